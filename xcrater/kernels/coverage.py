"""How much of each pixel a disc covers, on a cylindrical grid: exactly, row by row.

As in `spans`, a disc shows in a row as the columns between ``u0 - h`` and ``u0 + h``, where the half-width h changes
with the latitude. What a row needs is one function of the distance d from the meridian, in columns: the area

    beyond(d) = integral over the row of max(h - d, 0)

of the disc's part farther than d on one side. A pixel's covered fraction is a difference of two of its values. For a
polygon h is piecewise linear, and so the integral is a sum of trapezoids. For a circle, s = (lat - lat0) / rho puts
it as ``h = sqrt(1 - s²) g(s)`` with g as smooth as the cap is far from the poles, so that a short polynomial stands
for g and the integral has a closed form. All that a disc's pixels need, then, are the two places where each edge of
columns crosses it: `disc_lists` makes these in loops without branches. Where a pole is near, crossings have a closed
form, and the integral goes from one to the next along the circle, which is smooth over a column; or, where that is not
so, over the azimuth by Gauss and Legendre's rule.
"""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import apart, inlined, jit
from xcrater.kernels.spans import (
    CONTAINED,
    NODE_HALF,
    NODE_INVERSE,
    NODE_ROW,
    NODE_SLOPE,
    SLACK,
    TOUCHED,
    _arcsine_ratio,
    _circle_half_width,
    disc_half_widths,
    node_scratch,
    polygon_nodes,
    region_rows,
    row_tables,
)

_FOUR_AT, _FOUR_WEIGHT = np.polynomial.legendre.leggauss(4)
_EIGHT_AT, _EIGHT_WEIGHT = np.polynomial.legendre.leggauss(8)

# The short polynomial's number of coefficients, and how many radii away a pole has to be for an error below 1e-11.
_SHORT, _MIDDLE, _LONG = 4, 6, 14
_FAR_SHORT, _FAR_MIDDLE, _FAR_LONG = 400.0, 40.0, 4.0


def _nodes(count):
    """Chebyshev's nodes, and what turns values there into the coefficients of powers."""
    at = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    return at, np.linalg.inv(np.vander(at, increasing=True))


_AT_SHORT, _POWERS_SHORT = _nodes(_SHORT)
_AT_MIDDLE, _POWERS_MIDDLE = _nodes(_MIDDLE)
_AT_LONG, _POWERS_LONG = _nodes(_LONG)


def _arcsine_polynomial(degree):
    """Coefficients for the arcsine of sqrt(z) over sqrt(z), z up to 1/4, from its series."""

    def series(z):
        term, total = np.ones_like(z), np.ones_like(z)
        for n in range(1, 40):
            term = term * z * ((2 * n - 1) / (2 * n))
            total = total + term / (2 * n + 1)
        return total

    return np.polynomial.Chebyshev.interpolate(series, degree, [0.0, 0.25]).convert(kind=np.polynomial.Polynomial).coef


_ARCSINE = _arcsine_polynomial(14)

SERIES, QUADRATURE, POLYGON, LISTED_POLYGON, WHOLE, LISTED_CIRCLE = range(6)
KIND, RADIUS, MIDDLE, COLUMNS, LAT0, RHO, TOP, WIDEST, ARC, COUNT = range(10)
G, P = 10, 10 + _LONG
PROFILE = P + _LONG + 1
"""Length of a disc's profile: its kind; rows in a radius, row coordinate of the centre, columns per radian; where it is
widest, in radii southward or northward as rows go, and how wide; and of the polynomials g and p, the coefficients."""

FILL = 8
"""Elements that loops are over at a time: whole vectors."""

SPACE = 24
"""By how many elements scratch arrays are longer than a window: for `FILL`, for two beyond either end, and so that the
beginnings of a few of them, of a window of a power of two, do not compete for one line of the processor's cache."""


@inlined
def _filled(n):
    """A number of elements, filled up to whole vectors: what is left over would take longer than all the rest."""
    return (n + FILL - 1) // FILL * FILL


@inlined
def _fit(profile, count, at, powers, lat0, sin0, cos0, rho, columns_per_radian, along):
    """Coefficients of g, by interpolation."""
    for k in range(count):
        profile[G + k] = 0.0
    for j in range(count):
        t = rho * at[j] * along
        if count == _LONG:
            up = math.sin(0.5 * (rho - t)) * math.sin(0.5 * (rho + t))
            h = 2.0 * math.asin(math.sqrt(up / (math.cos(lat0 + t) * cos0)))
            value = h / math.sqrt(1.0 - at[j] * at[j]) * columns_per_radian
            for k in range(count):
                profile[G + k] += powers[k, j] * value
            continue
        # rho is below 0.04: the sines' series to the last digit.
        a, b = 0.25 * (rho - t) ** 2, 0.25 * (rho + t) ** 2
        tt = t * t
        sinc = (1.0 - a / 6.0 * (1.0 - a / 20.0 * (1.0 - a / 42.0))) * (
            1.0 - b / 6.0 * (1.0 - b / 20.0 * (1.0 - b / 42.0))
        )
        sine = t * (1.0 - tt / 6.0 * (1.0 - tt / 20.0 * (1.0 - tt / 42.0)))
        cosine = 1.0 - 0.5 * tt * (1.0 - tt / 12.0 * (1.0 - tt / 30.0 * (1.0 - tt / 56.0)))
        # sin²(h/2) over rho² (1 - s²)
        ratio = 0.25 * sinc / ((cos0 * cosine - sin0 * sine) * cos0)
        square = ratio * (rho * rho - tt)
        value = 2.0 * math.sqrt(ratio) * _arcsine_ratio(square) * rho * columns_per_radian
        for k in range(count):
            profile[G + k] += powers[k, j] * value


@inlined
def _integrate(profile, count):
    """Prepare the integral of the half-width, ``arc * asin(s) + sqrt(1 - s²) p(s)``, from the coefficients of g."""
    profile[COUNT] = count
    # Compare the powers of s in the integral's derivative.
    profile[P + count] = profile[G + count - 1] * (1.0 / (count + 1))
    for m in range(count, 0, -1):
        above = (m + 1) * profile[P + m + 1] if m < count else 0.0
        here = profile[G + m] if m < count else 0.0
        before = profile[G + m - 2] if m >= 2 else 0.0
        profile[P + m - 1] = (above - here + before) * (1.0 / m)
    profile[ARC] = profile[G] - profile[P + 1]


@inlined
def _expand(profile, rho, slope, scale):
    """Coefficients of g of a small disc, from the series of the square of the half-width, by orders of the radius.

    ``slope`` is the tangent of the latitude; the first term left out is of the order of (rho * slope)⁴.
    """
    rho2, slope2 = rho * rho, slope * slope
    profile[G] = scale * (1.0 + rho2 * slope2 / 24.0)
    profile[G + 1] = scale * rho * slope * (0.5 + rho2 * (1.0 / 24.0 + slope2 / 16.0))
    profile[G + 2] = scale * rho2 * (1.0 / 6.0 + slope2 / 3.0)
    profile[G + 3] = scale * rho2 * rho * slope * (5.0 / 24.0 + slope2 / 4.0)


@jit
def disc_profile(lat0, rho, nvert, grid, profile):
    """Find out what a disc is, and prepare its numbers."""
    columns_per_radian = grid[2] / (2.0 * math.pi)
    profile[RADIUS] = rho / abs(grid[1])
    profile[MIDDLE] = (lat0 - grid[0]) / grid[1]
    profile[COLUMNS] = columns_per_radian
    profile[LAT0], profile[RHO] = lat0, rho
    polar = 0.5 * math.pi - abs(lat0)
    if rho >= math.pi:
        profile[KIND] = WHOLE
    elif nvert > 0:
        profile[KIND] = POLYGON
    elif rho * _FAR_LONG > polar:
        profile[KIND] = QUADRATURE
    else:
        profile[KIND] = SERIES
        along = math.copysign(1.0, grid[1])
        sin0, cos0 = math.sin(lat0), math.cos(lat0)
        slope, scale = sin0 / cos0, rho / cos0 * columns_per_radian
        at = lat0, sin0, cos0, rho, columns_per_radian, along
        if rho * _FAR_MIDDLE < polar:
            if (rho * (1.0 + abs(slope))) ** 4 * scale < 1e-10:
                _expand(profile, rho * along, slope, scale)
                _integrate(profile, _SHORT)
            elif rho * _FAR_SHORT < polar:
                _fit(profile, _SHORT, _AT_SHORT, _POWERS_SHORT, *at)
                _integrate(profile, _SHORT)
            else:
                _fit(profile, _MIDDLE, _AT_MIDDLE, _POWERS_MIDDLE, *at)
                _integrate(profile, _MIDDLE)
            # The series of the sines and arcsines below.
            square = rho * rho
            sin_rho = rho * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)))
            fall = 0.5 * square * (1.0 - square / 12.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0)))
            rise, away = slope * (fall / (1.0 - fall)), sin_rho / cos0
            up = rise * (1.0 + rise * (0.5 * slope + rise * (0.5 * slope * slope + 1.0 / 6.0)))
            profile[TOP] = along * up / rho
            profile[WIDEST] = away * _arcsine_ratio(away * away) * columns_per_radian
        else:
            _fit(profile, _LONG, _AT_LONG, _POWERS_LONG, *at)
            _integrate(profile, _LONG)
            profile[TOP] = along * (math.asin(sin0 / math.cos(rho)) - lat0) / rho
            profile[WIDEST] = math.asin(math.sin(rho) / cos0) * columns_per_radian


@inlined
def _arcsine(a):
    """Arcsine of a number from 0 to 1, without a branch."""
    low = a <= 0.5
    z = a * a if low else 0.5 * (1.0 - a)
    value = _ARCSINE[14]
    for k in range(13, -1, -1):
        value = value * z + _ARCSINE[k]
    value *= math.sqrt(z)
    return value if low else 0.5 * math.pi - 2.0 * value


@inlined
def _half_width(profile, count, s):
    value = profile[G + count - 1]
    for k in range(count - 2, -1, -1):
        value = value * s + profile[G + k]
    return value * math.sqrt(max(0.0, 1.0 - s * s))


@inlined
def _area_between(profile, count, a, b):
    """Integral of the half-width from a to b, in columns times radii; both from -1 to 1.

    Differences are taken before anything is summed, so that an area has its digits however large the disc is.
    """
    x, y = math.sqrt(max(0.0, 1.0 - a * a)), math.sqrt(max(0.0, 1.0 - b * b))
    slope = (a + b) / max(x + y, 1e-300)  # minus the chord's
    slope = slope if x + y > 0.0 else 0.0
    chord = (b - a) * math.sqrt(1.0 + slope * slope)
    angle = 2.0 * _arcsine(min(1.0, 0.5 * chord))
    # p(b) by Horner's rule, whose partial values are the coefficients of (p(s) - p(b)) / (s - b).
    value = quotient = profile[P + count]
    at_b = value * b + profile[P + count - 1]
    for k in range(count - 2, -1, -1):
        quotient = quotient * a + at_b
        at_b = at_b * b + profile[P + k]
    return profile[ARC] * angle - (b - a) * slope * at_b + x * (b - a) * quotient


# The loops below are short, without branches and over arrays that begin where they do and hold whole vectors, which is
# what the vectoriser takes; the number of coefficients has to be a constant in each.


@inlined
def _newton(profile, count, sign, away, out):
    """One of Newton's steps on the squares of half-widths. An error e of a crossing makes one of e² in an area."""
    top = profile[TOP]
    low, high = (-1.0, top) if sign < 0.0 else (top, 1.0)
    for i in range(out.size):
        d, s = abs(i + away), out[i]
        g = profile[G + count - 1]
        slope = 0.0
        for k in range(count - 2, -1, -1):
            slope = slope * s + g
            g = g * s + profile[G + k]
        x = 1.0 - s * s
        down = 2.0 * g * (x * slope - s * g)
        down = down if down * sign < 0.0 else -sign * 1e300
        out[i] = min(max(s - (x * g * g - d * d) / down, low), high)


@apart
def _crossings(profile, sign, away, out):
    """Where the half-width passes the distance of each edge of columns, before (sign -1) or after (1) the widest.

    ``away`` is how far the first edge is from the meridian, negative to the west. From the parabola through the top.
    """
    top, widest = profile[TOP], profile[WIDEST]
    low, high = (-1.0, top) if sign < 0.0 else (top, 1.0)
    for i in range(out.size):
        share = abs(i + away) / widest
        out[i] = min(max(top + sign * math.sqrt(max(0.0, 1.0 - share * share)), low), high)
    if profile[COUNT] == _SHORT:
        for _ in range(2):
            _newton(profile, _SHORT, sign, away, out)
    elif profile[COUNT] == _MIDDLE:
        for _ in range(3):
            _newton(profile, _MIDDLE, sign, away, out)
    else:
        for _ in range(5):
            _newton(profile, _LONG, sign, away, out)


@inlined
def _beyonds_of(profile, count, sign, away, at, rows, out):
    """Rows of crossings, and integrals of the half-width less the edge's distance from there to the row's end.

    To its start, if the sign is 1.
    """
    radius, middle, widest = profile[RADIUS], profile[MIDDLE], profile[WIDEST]
    for i in range(out.size):
        s, d = at[i], abs(i + away)
        row = math.floor(middle + radius * s)
        v = row - middle + (1.0 if sign < 0.0 else 0.0)
        end = v / radius
        a, b = (s, min(max(s, end), 1.0)) if sign < 0.0 else (max(min(s, end), -1.0), s)
        out[i] = radius * _area_between(profile, count, a, b) - d * abs(v - radius * s)
        rows[i] = row if d < widest else -sign * np.inf


@apart
def _list_before(profile, away, at, rows, out):
    if profile[COUNT] == _SHORT:
        _beyonds_of(profile, _SHORT, -1.0, away, at, rows, out)
    elif profile[COUNT] == _MIDDLE:
        _beyonds_of(profile, _MIDDLE, -1.0, away, at, rows, out)
    else:
        _beyonds_of(profile, _LONG, -1.0, away, at, rows, out)


@apart
def _list_after(profile, away, at, rows, out):
    if profile[COUNT] == _SHORT:
        _beyonds_of(profile, _SHORT, 1.0, away, at, rows, out)
    elif profile[COUNT] == _MIDDLE:
        _beyonds_of(profile, _MIDDLE, 1.0, away, at, rows, out)
    else:
        _beyonds_of(profile, _LONG, 1.0, away, at, rows, out)


@inlined
def _areas_of(profile, count, row_start, out):
    radius, start = profile[RADIUS], row_start - profile[MIDDLE]
    for i in range(out.size):
        a, b = min(max((start + i) / radius, -1.0), 1.0), min(max((start + i + 1) / radius, -1.0), 1.0)
        out[i] = radius * _area_between(profile, count, a, b)


@inlined
def _half_widths_of(profile, count, row_start, contained, touched):
    radius, start, top, widest = profile[RADIUS], row_start - profile[MIDDLE], profile[TOP], profile[WIDEST]
    for i in range(contained.size):
        a, b = (start + i) / radius, (start + i + 1) / radius
        h = min(_half_width(profile, count, a), _half_width(profile, count, b))
        contained[i] = h if (a > -1.0) & (b < 1.0) else -1.0
    for i in range(touched.size):
        a, b = (start + i) / radius, (start + i + 1) / radius
        c, d = min(max(a, -1.0), 1.0), min(max(b, -1.0), 1.0)
        h = max(_half_width(profile, count, c), _half_width(profile, count, d))
        h = widest if (a <= top) & (b >= top) else h
        touched[i] = h if (b > -1.0) & (a < 1.0) else -1.0


@apart
def _row_areas(profile, row_start, out):
    """A circle's area on one side in each row from the first on."""
    if profile[COUNT] == _SHORT:
        _areas_of(profile, _SHORT, row_start, out)
    elif profile[COUNT] == _MIDDLE:
        _areas_of(profile, _MIDDLE, row_start, out)
    else:
        _areas_of(profile, _LONG, row_start, out)


@apart
def _row_half_widths(profile, row_start, contained, touched):
    """Half-widths of the pixels that a circle contains and touches in each row from the first on."""
    if profile[COUNT] == _SHORT:
        _half_widths_of(profile, _SHORT, row_start, contained, touched)
    elif profile[COUNT] == _MIDDLE:
        _half_widths_of(profile, _MIDDLE, row_start, contained, touched)
    else:
        _half_widths_of(profile, _LONG, row_start, contained, touched)


BEFORE, BEYOND_BEFORE, AFTER, BEYOND_AFTER, PLACE, LISTS = range(6)
"""A disc's lists: of each edge of columns, the row in which it enters the disc, before the widest place, and the disc's
area beyond the edge in this row; the row in which it leaves the disc, and the area beyond it there; scratch space."""


@jit
def disc_lists(u, profile, nodes, areas, row_start, row_stop, first, stop, left, lists):
    """Where the edges of columns [first, stop) cross a disc around column u, to ``lists[:, column - left]``.

    An edge that passes the disc by leaves it, in row -inf, before it enters it, in row inf. Of crossings outside of
    rows [row_start, row_stop) only the side is told. ``areas``, of these rows, are those of the disc on one side of
    its meridian.
    """
    away = first - u
    if profile[KIND] == SERIES:
        radius, middle, widest, top = profile[RADIUS], profile[MIDDLE], profile[WIDEST], profile[TOP]
        a, b = first - left, first - left + _filled(stop - first)
        at = lists[PLACE, a:b]
        for side in range(2):
            sign = 2.0 * side - 1.0
            rows, beyond = lists[2 * side, a:b], lists[2 * side + 1, a:b]
            beside = (row_start - middle) / radius > top if side == 0 else (row_stop - middle) / radius < top
            if beside:
                for i in range(rows.size):
                    row = row_stop if side else row_start - 1.0
                    rows[i] = row if abs(i + away) < widest else -sign * np.inf
                continue
            _crossings(profile, sign, away, at)
            if side == 0:
                _list_before(profile, away, at, rows, beyond)
            else:
                _list_after(profile, away, at, rows, beyond)
    else:
        _list_polygon_edges(away, profile, nodes, areas, row_start, row_stop, stop - first, first - left, lists)
    # Where an edge enters and leaves within one row, among the outermost.
    i, last = first - left, stop - left - 1
    while i <= last and i + left < u and lists[BEFORE, i] >= lists[AFTER, i]:
        _join_crossings(abs(i + left - u), areas, row_start, row_stop, i, lists)
        i += 1
    while last >= i and last + left >= u and lists[BEFORE, last] >= lists[AFTER, last]:
        _join_crossings(abs(last + left - u), areas, row_start, row_stop, last, lists)
        last -= 1


@inlined
def _join_crossings(d, areas, row_start, row_stop, i, lists):
    """Areas beyond an edge that enters and leaves the disc within one row: what is beyond both crossings."""
    row = lists[BEFORE, i]
    if row == lists[AFTER, i] and row_start <= row < row_stop:
        rest = areas[int(row) - row_start] - d
        lists[BEYOND_BEFORE, i] = lists[BEYOND_AFTER, i] = lists[BEYOND_BEFORE, i] + lists[BEYOND_AFTER, i] - rest


@inlined
def _list_polygon_edges(away, profile, nodes, areas, row_start, row_stop, number, at, lists):
    """`disc_lists` of a polygon."""
    widest, last = int(profile[TOP]), int(profile[COUNT]) - 1
    for side in range(2):
        rows, beyond = lists[2 * side], lists[2 * side + 1]
        j = 0 if side == 0 else last - 1
        closed = nodes[NODE_HALF, 0 if side == 0 else last] > 0.0  # it ends over the pole
        for i in range(number):
            d = abs(i + away)
            if d >= nodes[NODE_HALF, widest]:
                rows[at + i] = np.inf if side == 0 else -np.inf
                continue
            if closed:
                rows[at + i] = row_start - 1.0 if side == 0 else row_stop
                continue
            # The piece from the previous edge of columns on
            if side == 0:
                while nodes[NODE_HALF, j + 1] <= d:
                    j += 1
                while nodes[NODE_HALF, j] > d:
                    j -= 1
            else:
                while nodes[NODE_HALF, j] <= d:
                    j -= 1
                while nodes[NODE_HALF, j + 1] > d:
                    j += 1
            v1, v2 = nodes[NODE_ROW, j], nodes[NODE_ROW, j + 1]
            v = min(max(v1 + (d - nodes[NODE_HALF, j]) * nodes[NODE_INVERSE, j], v1), v2)
            row = math.floor(v)
            rows[at + i] = row
            if row_start <= row < row_stop:
                area = _polygon_area(nodes, j, row, v, d) - d * (v - row)
                beyond[at + i] = areas[row - row_start] - d - area if side == 0 else area


@inlined
def _polygon_area(nodes, j, start, v, h):
    """Integral of a polygon's half-width from row coordinate start to v, which is on edge j, where it is h."""
    area = 0.0
    while v > start and j >= 0:
        v1, h1 = nodes[NODE_ROW, j], nodes[NODE_HALF, j]
        if v1 < start:
            h1, v1 = h1 + (start - v1) * nodes[NODE_SLOPE, j], start
        area += 0.5 * (h + h1) * (v - v1)
        v, h = v1, h1
        j -= 1
    return area


@jit
def _azimuth(a, rho, c):
    """Azimuth from north at which a circle around colatitude a passes colatitude c (half-angle formulas)."""
    s = 0.5 * (a + rho + c)
    up = max(0.0, math.sin(s - a) * math.sin(s - rho))
    down = max(0.0, math.sin(s) * math.sin(s - c))
    return 2.0 * math.atan2(math.sqrt(up), math.sqrt(down))


@inlined
def _arc_area(a, rho, first, stop, nodes, weights):
    """Integral of the half-width (radians) over colatitude, along a circle's azimuths from first to stop."""
    sin_a, cos_a = math.sin(a), math.cos(a)
    sin_rho = math.sin(rho)
    gap, far = math.sin(0.5 * (a - rho)), math.cos(0.5 * (a + rho))
    sin_gap, sin_far = math.sin(a - rho), math.sin(a + rho)
    total = 0.0
    for i in range(nodes.size):
        half = 0.25 * (first + stop) + 0.25 * (stop - first) * nodes[i]
        up, down = math.sin(half), math.cos(half)
        sine = 2.0 * up * down
        # sin²(c/2) and cos²(c/2), either with all its digits at its own pole; likewise the cosine part of h
        sin_c = 2.0 * math.sqrt((gap * gap + sin_a * sin_rho * up * up) * (far * far + sin_a * sin_rho * down * down))
        x = sin_gap + 2.0 * cos_a * sin_rho * up * up
        if up > down:
            x = sin_far - 2.0 * cos_a * sin_rho * down * down
        h = math.atan2(sin_rho * sine, x)
        if sin_c > 0.0:
            total += weights[i] * h * (sin_a * sin_rho * sine / sin_c)
    return 0.5 * (stop - first) * total


@jit
def _cap_area(a, rho, c1, c2):
    """Integral of a cap's half-width (radians) over colatitudes c1 to c2 within the cap.

    By Gauss and Legendre's rule, whose error goes with how far, in half-lengths of the interval, the azimuths are at
    which the circle would pass through a pole: complex ones, above 0 and pi. Eight nodes are right to the last digits
    from 4 on, four nodes from 30 on.
    """
    total = 0.0
    if rho > a:  # beyond the north pole all longitudes are inside
        edge = rho - a
        total += math.pi * max(0.0, min(c2, edge) - c1)
        c1 = max(c1, edge)
    if rho + a > math.pi:
        edge = 2.0 * math.pi - rho - a
        total += math.pi * max(0.0, c2 - max(c1, edge))
        c2 = min(c2, edge)
    if c2 <= c1:
        return total
    at, last = _azimuth(a, rho, c1), _azimuth(a, rho, c2)
    scale = math.sqrt(math.sin(a) * math.sin(rho))
    north = 2.0 * math.asinh(abs(math.sin(0.5 * (a - rho))) / scale)
    south = 2.0 * math.asinh(abs(math.cos(0.5 * (a + rho))) / scale)
    width = last - at
    for _ in range(1000):
        if not at < last:
            break
        stop = min(at + width, last)
        middle, reach = 0.5 * (at + stop), 0.5 * (stop - at)
        away = min(math.hypot(middle, north), math.hypot(math.pi - middle, south))
        if away > 30.0 * reach:
            total += _arc_area(a, rho, at, stop, _FOUR_AT, _FOUR_WEIGHT)
        elif away > 4.0 * reach or width < 1e-9:
            total += _arc_area(a, rho, at, stop, _EIGHT_AT, _EIGHT_WEIGHT)
        else:
            width *= 0.5
            continue
        at = stop
        width *= 2.0
    return total


@jit
def _beyond_quadrature(profile, d, lat_a, lat_b):
    """`beyond` in columns times radians, between two latitudes.

    The half-width is more than d where ``n cos(lat - alpha) > cos rho``, the spherical law of cosines.
    """
    lat0, rho, scale = profile[LAT0], profile[RHO], profile[COLUMNS]
    low, high = min(lat_a, lat_b), max(lat_a, lat_b)
    if lat0 < 0.0:
        lat0, low, high = -lat0, -high, -low
    angle = d / scale
    if angle >= math.pi:
        return 0.0
    a = 0.5 * math.pi - lat0
    y, x = math.sin(lat0), math.cos(lat0) * math.cos(angle)
    n, cos_rho = math.hypot(x, y), math.cos(rho)
    if n <= cos_rho:
        return 0.0
    total = 0.0
    # acos(cos rho / n), with the digits that small caps need: n² = 1 - (cos lat0 sin angle)²
    across = math.cos(lat0) * math.sin(angle)
    beta = math.pi
    if n > -cos_rho:
        beta = math.atan2(math.sqrt(max(0.0, (math.sin(rho) - across) * (math.sin(rho) + across))), cos_rho)
    # atan2(y, x) - lat0, likewise
    alpha = lat0 + math.atan2(2.0 * math.sin(0.5 * angle) ** 2 * math.cos(lat0) * y, y * y + x * math.cos(lat0))
    for turn in range(-1, 2):
        p = max(low, alpha - beta + 2.0 * math.pi * turn, lat0 - rho, -0.5 * math.pi)
        q = min(high, alpha + beta + 2.0 * math.pi * turn, lat0 + rho, 0.5 * math.pi)
        if p < q:
            total += _cap_area(a, rho, 0.5 * math.pi - q, 0.5 * math.pi - p) - angle * (q - p)
    return max(0.0, total * scale)


@inlined
def _beyond_polygon(nodes, count, half_turn, pole_first, pole_last, d, v_a, v_b):
    """`beyond` in columns times rows, between two row coordinates, of a polygon's nodes."""
    total = 0.0
    begin, end = -1, count - 1
    while begin < end:  # the last node before the first row coordinate
        j = (begin + end + 1) // 2
        begin, end = (j, end) if nodes[NODE_ROW, j] < v_a else (begin, j - 1)
    for j in range(begin, count):
        v1 = nodes[NODE_ROW, j] if j >= 0 else pole_first
        v2 = nodes[NODE_ROW, j + 1] if j + 1 < count else pole_last
        if v2 <= v_a or v1 >= v_b:
            if v1 >= v_b:
                break
            continue
        h1 = nodes[NODE_HALF, max(j, 0)]
        h2 = nodes[NODE_HALF, min(j + 1, count - 1)]
        if j < 0 or j + 1 == count:
            if h1 < half_turn * (1.0 - 1e-12):
                continue  # the polygon ends here rather than closing over the pole
            h1 = h2 = half_turn
        if v2 <= v1:
            continue
        slope = (h2 - h1) / (v2 - v1)
        p, q = max(v1, v_a), min(v2, v_b)
        x, y = h1 + slope * (p - v1) - d, h1 + slope * (q - v1) - d
        if x >= 0.0 and y >= 0.0:
            total += 0.5 * (x + y) * (q - p)
        elif x > 0.0 or y > 0.0:
            more = max(x, y)
            total += 0.5 * more * more / abs(slope)
    return total


@inlined
def row_latitudes(grid, row):
    """Latitudes of a row's two edges, none beyond a pole."""
    half_pi = 0.5 * math.pi
    a = grid[0] + grid[1] * row
    b = grid[0] + grid[1] * (row + 1)
    return min(max(a, -half_pi), half_pi), min(max(b, -half_pi), half_pi)


@inlined
def beside_pole(lat0, rho, nvert):
    """A disc's radius, less by rounding where a circle passes through a pole: longitude jumps there by half a turn."""
    away = 0.5 * math.pi - abs(lat0)
    return away - THROUGH if nvert == 0 and abs(rho - away) < THROUGH else rho


THROUGH, CLOSE = 2e-14, 1e-8
"""Radians from a pole within which a circle passes through it; and, over it, within which it is not listed."""


@jit
def prepare_disc(e, lat0, rho, nvert, grid, first, row_start, row_stop, nodes, profiles, areas):
    """Prepare disc e of a crater, which may meet rows [row_start, row_stop).

    Fills ``profiles[e]`` and, of discs that `disc_lists` is for, the rows' areas on one side of the meridian,
    ``areas[e, row - first]``. Returns whether it is for this one.
    """
    profile = profiles[e]
    disc_profile(lat0, rho, nvert, grid, profile)
    if profile[KIND] == SERIES:
        a = row_start - first
        _row_areas(profile, row_start, areas[e, a : a + _filled(row_stop - row_start)])
    elif profile[KIND] == POLYGON:
        count = polygon_nodes(lat0, rho, nvert, grid[0], grid[1], profile[COLUMNS], nodes[e])
        if nodes[e, NODE_HALF, 0] == 0.0 and nodes[e, NODE_HALF, count - 1] == 0.0:
            _list_polygon(profile, nodes[e], count, -1, row_start, row_stop, row_start - first, e, areas)
    return is_listed(profile)


@inlined
def is_listed(profile):
    """Whether `disc_lists` is for a disc."""
    return profile[KIND] == SERIES or profile[KIND] == LISTED_POLYGON


@jit
def disc_edges(e, lat0, rho, nvert, grid, window_start, first, row_start, row_stop, tables, nodes, profiles, half,
               areas):  # fmt: skip
    """`prepare_disc`, and half-widths of pixels contained and touched: ``half[2 * e : 2 * e + 2, row - first]``."""
    prepare_disc(e, lat0, rho, nvert, grid, first, row_start, row_stop, nodes, profiles, areas)
    if profiles[e, KIND] == SERIES:
        a, b = row_start - first, row_start - first + _filled(row_stop - row_start)
        _row_half_widths(profiles[e], row_start, half[2 * e, a:b], half[2 * e + 1, a:b])
        return
    at = (lat0, rho, nvert)
    disc_half_widths(*at, CONTAINED, grid, window_start, first, row_start, row_stop, tables, nodes[e], half, 2 * e)
    disc_half_widths(*at, TOUCHED, grid, window_start, first, row_start, row_stop, tables, nodes[e], half, 2 * e + 1)


@inlined
def _list_polygon(profile, nodes, count, closes, row_start, row_stop, to, e, areas):
    """See whether a polygon grows to one greatest width and shrinks from there, then fill its rows' areas.

    ``closes`` is the edge that goes to a pole, along the meridian half a turn away, if there is one.
    """
    widest, last = 0, count - 1
    for j in range(count):
        if nodes[NODE_HALF, j] > nodes[NODE_HALF, widest]:
            widest = j
    _slopes(nodes[NODE_ROW], nodes[NODE_HALF], last, nodes[NODE_SLOPE], nodes[NODE_INVERSE])
    for j in range(last):
        slope = nodes[NODE_SLOPE, j]
        as_told = slope > 0.0 if j < widest else slope < 0.0 or closes == j
        if nodes[NODE_ROW, j + 1] <= nodes[NODE_ROW, j] or not as_told:
            return
    profile[KIND] = LISTED_POLYGON
    profile[TOP], profile[COUNT] = widest, count
    j = 0
    for i in range(row_stop - row_start):
        v = float(row_start + i + 1)
        while j < last - 1 and nodes[NODE_ROW, j + 1] < v:
            j += 1
        h = 0.0
        if v >= nodes[NODE_ROW, count - 1]:
            v, h = nodes[NODE_ROW, last], nodes[NODE_HALF, last]
        elif v > nodes[NODE_ROW, 0]:
            h = nodes[NODE_HALF, j] + (v - nodes[NODE_ROW, j]) * nodes[NODE_SLOPE, j]
        areas[e, to + i] = _polygon_area(nodes, j, float(row_start + i), v, h) if v > nodes[NODE_ROW, 0] else 0.0


@apart
def _slopes(rows, half, n, slopes, inverse):
    """How half-widths change with rows along a polygon's edges, and rows with half-widths."""
    for j in range(n):
        down, along = rows[j + 1] - rows[j], half[j + 1] - half[j]
        slopes[j], inverse[j] = along / down, down / along if along != 0.0 else 0.0


@inlined
def row_bounds(u, contained, touched, half_turn, left, right):
    """Columns [a, b) that a disc touches in a row, and those of them, [c, d), that it holds; no c before b if none."""
    if touched < 0.0:
        return left, left, left, left
    touched = min(touched, half_turn)
    a = int(min(max(math.floor(u - touched), left), right))
    b = int(min(max(math.ceil(u + touched), a), right))
    if contained < 0.0:
        return a, b, b, b
    contained = min(contained, half_turn)
    c = int(min(max(math.ceil(u - contained), a), b))
    d = int(min(math.floor(u + contained), b))
    return (a, c, d, b) if c < d else (a, b, b, b)


@inlined
def _beyond(profile, nodes, count, row, grid, d):
    """Area in pixels of a disc's part in a row that is farther than d columns to one side: of discs without lists."""
    kind = profile[KIND]
    lat_a, lat_b = row_latitudes(grid, row)
    if kind == QUADRATURE:
        return _beyond_quadrature(profile, d, lat_a, lat_b) / abs(grid[1])
    half_turn = 0.5 * grid[2]
    v_a, v_b = (lat_a - grid[0]) / grid[1], (lat_b - grid[0]) / grid[1]
    if kind == WHOLE:
        return max(0.0, half_turn - d) * (v_b - v_a)
    pole = math.copysign(0.5 * math.pi, -grid[1])
    pole_first, pole_last = (pole - grid[0]) / grid[1], (-pole - grid[0]) / grid[1]
    return _beyond_polygon(nodes, count, half_turn, pole_first, pole_last, d, v_a, v_b)


@inlined
def _beyond_outer(lists, at, row):
    """`_beyond_listed` of an edge that does not lie in the disc throughout the row."""
    beyond = lists[BEYOND_AFTER, at] if lists[AFTER, at] == row else 0.0
    return lists[BEYOND_BEFORE, at] if lists[BEFORE, at] == row else beyond


@inlined
def _beyond_listed(lists, at, row, area, d):
    """The same of a disc with lists: of the edge of columns number ``at``, at a distance of d."""
    inside = (lists[BEFORE, at] < row) & (row < lists[AFTER, at])
    return max(0.0, area - d if inside else _beyond_outer(lists, at, row))


@inlined
def cover_row(u, e, i, row, profiles, nodes, nvert, grid, areas, lists, start, stop, left, out):
    """Covered fraction of the pixels [start, stop) of a row, number i, by disc e, to ``out[e, column - left]``.

    Of a row that reaches beyond a pole, what counts is the part on the body.
    """
    if start >= stop:
        return
    if is_listed(profiles[e]):
        area = areas[e, i]
        x = start - u
        lat_a, lat_b = row_latitudes(grid, row)
        height = abs(lat_b - lat_a) / abs(grid[1])
        per_row = 1.0 if height > 1.0 - SLACK else 1.0 / height
        before = _beyond_listed(lists[e], start - left, row, area, abs(x))
        for c in range(start - left, stop - left):
            after = _beyond_listed(lists[e], c + 1, row, area, abs(x + 1.0))
            covered = 2.0 * area - before - after if (x < 0.0) & (x > -1.0) else abs(before - after)
            out[e, c] = min(covered * per_row, 1.0)
            before = after
            x += 1.0
    else:
        _cover_unlisted(u, profiles[e], nodes[e], nvert, row, grid, start, stop, left, out[e])


@jit
def _cover_unlisted(u, profile, nodes, nvert, row, grid, start, stop, left, out):
    """`cover_row` of a disc without lists."""
    x = start - u
    count = nvert // 2 + 1
    lat_a, lat_b = row_latitudes(grid, row)
    per_row = 1.0 / max(abs((lat_b - lat_a) / grid[1]), 1e-300)
    before = _beyond(profile, nodes, count, row, grid, abs(x))
    for c in range(start, stop):
        after = _beyond(profile, nodes, count, row, grid, abs(x + 1.0))
        covered = abs(before - after)
        if -1.0 < x < 0.0:
            covered = 2.0 * _beyond(profile, nodes, count, row, grid, 0.0) - before - after
        out[c - left] = min(max(covered * per_row, 0.0), 1.0)
        before = after
        x = c + 1 - u


@inlined
def list_disc(u, e, first, i_first, i_stop, half, half_turn, profiles, nodes, areas, left, right, lists):
    """`disc_lists` of disc e in rows [i_first, i_stop) from ``first`` on, of columns where it ends in some of them."""
    if not is_listed(profiles[e]):
        return
    widest, narrowest = -1.0, np.inf
    for i in range(i_first, i_stop):
        widest = max(widest, half[2 * e + 1, i])
        narrowest = min(narrowest, half[2 * e, i])
    a, c, d, b = row_bounds(u, narrowest, widest, half_turn, left, right)
    if a < b:
        at = (u, profiles[e], nodes[e], areas[e, i_first:], first + i_first, first + i_stop)
        disc_lists(*at, a, min(c, b) + 1, left, lists[e])
        if c < d:
            disc_lists(*at, d, b + 1, left, lists[e])


@jit
def list_polar(e, grid, nvert, first, row_start, row_stop, nodes, profiles, areas):
    """Whether a disc close to a pole, not ready by `prepare_disc`, has lists all the same, and prepare it.

    A circle has, of a radius below 90°, unless it is over a pole by next to nothing; so has a polygon that closes over
    one pole, with a node more there.
    """
    profile, node = profiles[e], nodes[e]
    lat0, rho, half_pi = abs(profile[LAT0]), profile[RHO], 0.5 * math.pi
    if profile[KIND] == QUADRATURE and rho < half_pi and not 0.0 <= lat0 + rho - half_pi < CLOSE:
        profile[KIND] = LISTED_CIRCLE
        away = math.asin(min(1.0, math.sin(rho) / math.cos(lat0))) if lat0 + rho < half_pi else math.pi
        profile[WIDEST] = away * profile[COLUMNS]
        return True
    count, half_turn, pole = nvert // 2 + 1, 0.5 * grid[2], math.copysign(half_pi, grid[1])
    if profile[KIND] == POLYGON:
        opens = node[NODE_HALF, 0] >= half_turn * (1.0 - 1e-12)
        ends = node[NODE_HALF, count - 1] >= half_turn * (1.0 - 1e-12)
        if opens == ends:
            return False
        if opens:
            for j in range(count, 0, -1):
                node[NODE_ROW, j], node[NODE_HALF, j] = node[NODE_ROW, j - 1], node[NODE_HALF, j - 1]
            node[NODE_ROW, 0] = (-pole - grid[0]) / grid[1]
            node[NODE_HALF, 0] = node[NODE_HALF, 1] = half_turn
        else:
            node[NODE_ROW, count] = (pole - grid[0]) / grid[1]
            node[NODE_HALF, count] = node[NODE_HALF, count - 1] = half_turn
        closes = 0 if opens else count - 1
        _list_polygon(profile, node, count + 1, closes, row_start, row_stop, row_start - first, e, areas)
    return profile[KIND] == LISTED_POLYGON


SMOOTH = 1e-10
"""Of an integral over a column, how far those of degree 3 and 4 may be apart; the latter is far better then."""


@inlined
def _circle_edge(profile, grid, d):
    """Where an edge of columns at a distance d enters and leaves a circle that `list_polar` is for.

    Row coordinates and how they change with d: of where the edge enters, then of where it leaves the circle. Not a
    number where it passes it by. The end over a pole is at infinity.
    """
    lat0, rho, angle, sign = abs(profile[LAT0]), profile[RHO], d / profile[COLUMNS], math.copysign(1.0, profile[LAT0])
    down = sign * grid[1] < 0.0  # rows lead away from the pole
    sin0, cos0, cos_rho, sin_rho, sine = math.sin(lat0), math.cos(lat0), math.cos(rho), math.sin(rho), math.sin(angle)
    cosine = math.cos(angle)
    y, x = sin0, cos0 * cosine
    across = cos0 * sine
    square = (sin_rho - across) * (sin_rho + across)
    # It is in the circle where n cos(lat - alpha) > cos rho, the spherical law of cosines, for lat to beyond the pole.
    if d >= profile[WIDEST] or not square > 0.0:
        return np.nan, np.nan, np.nan, np.nan
    root = math.sqrt(square)
    beta = math.atan2(root, cos_rho)
    alpha = lat0 + math.atan2((1.0 - cosine) * cos0 * y, y * y + x * cos0)
    unit = sign * across / ((x * x + y * y) * root * grid[1] * profile[COLUMNS])
    near, near_slope = (sign * (alpha - beta) - grid[0]) / grid[1], unit * (x * cos_rho + y * root)
    far, far_slope = (sign * (alpha + beta) - grid[0]) / grid[1], -unit * (x * cos_rho - y * root)
    if alpha + beta >= 0.5 * math.pi:
        far = -np.inf if down else np.inf
    return (far, far_slope, near, near_slope) if down else (near, near_slope, far, far_slope)


@inlined
def _between_edges(y0, slope0, y_middle, y1, slope1):
    """Integral of a falling function between two edges of columns as far as it is above 0, and about its error.

    By the polynomial of degree 4 through its values and slopes at the edges and the value between.
    """
    whole = (7.0 * (y0 + y1) + 16.0 * y_middle) / 30.0 + (slope0 - slope1) / 60.0
    error = abs(whole - 0.5 * (y0 + y1) - (slope0 - slope1) / 12.0)
    if y1 >= 0.0:
        return whole, error
    rise, bend, half = y1 - y0 - slope0, slope1 - slope0, 16.0 * (y_middle - y0 - 0.5 * slope0)
    a = half - 5.0 * rise + bend
    b, c = 4.0 * rise - bend - 2.0 * a, a - 3.0 * rise + bend
    t = y0 / (y0 - y1)
    for _ in range(4):
        value = y0 + t * (slope0 + t * (a + t * (b + t * c)))
        slope = slope0 + t * (2.0 * a + t * (3.0 * b + t * 4.0 * c))
        t = min(max(t - value / slope, 0.0), 1.0) if slope < 0.0 else t
    return t * (y0 + t * (0.5 * slope0 + t * (a / 3.0 + t * (0.25 * b + t * 0.2 * c)))), error


@jit
def _list_circle_edges(u, profile, grid, row_start, row_stop, first, stop, left, lists):
    """`disc_lists` of a circle that `list_polar` is for.

    From the outermost edges inwards, the area beyond an edge in its row is that beyond the next one and what lies
    between the two: an integral of where the circle is over the columns. It is smooth but where the circle ends.
    """
    low, high = row_start - 1.0, row_stop + 0.0
    for side in range(2):
        edge, last, step = first, min(stop - 1, math.floor(u)), 1
        if side:
            edge, last, step = stop - 1, max(first, math.floor(u) + 1), -1
        outer = between = (np.nan, np.nan, np.nan, np.nan)
        while edge <= last if side == 0 else edge >= last:
            d, at = abs(edge - u), edge - left
            here = _circle_edge(profile, grid, d)
            if here[0] != here[0]:
                lists[BEFORE, at], lists[AFTER, at] = np.inf, -np.inf
            else:
                lists[BEFORE, at] = math.floor(min(max(here[0], low), high))
                lists[AFTER, at] = math.floor(min(max(here[2], low), high))
                smooth = outer[0] == outer[0] and lists[BEFORE, at - step] < lists[AFTER, at - step]
                if smooth:
                    between = _circle_edge(profile, grid, d + 0.5)
                for turn in range(2):
                    row = lists[2 * turn, at]
                    if not row_start <= row < row_stop:
                        continue
                    error = 1.0
                    if smooth:
                        # How much of the row is in the circle at these places
                        sign, zero = (-1.0, row + 1.0) if turn == 0 else (1.0, row)
                        y0, slope0 = sign * (here[2 * turn] - zero), sign * here[2 * turn + 1]
                        y1, slope1 = sign * (outer[2 * turn] - zero), sign * outer[2 * turn + 1]
                        y_middle = sign * (between[2 * turn] - zero)
                        beyond, error = _between_edges(y0, slope0, y_middle, y1, slope1)
                        if lists[2 * turn, at - step] == row:
                            beyond += lists[2 * turn + 1, at - step]
                    if not error < SMOOTH:
                        beyond = _beyond_circle(profile, grid, d, max(here[0], row), min(here[2], row + 1.0))
                    lists[2 * turn + 1, at] = beyond
            outer = here
            edge += step


@inlined
def _circle_width(profile, grid, row):
    """Half-width of a circle at the beginning of a row."""
    lat, lat0 = min(max(grid[0] + grid[1] * row, -0.5 * math.pi), 0.5 * math.pi), profile[LAT0]
    square, rise = math.sin(0.5 * profile[RHO]) ** 2, math.sin(0.5 * (lat - lat0)) ** 2
    half = _circle_half_width(rise, square, 1.0 / (math.cos(lat) * math.cos(lat0)))
    return profile[COLUMNS] * min(half, math.pi)


_TWO_AT, _TWO_WEIGHT = np.polynomial.legendre.leggauss(2)
_THREE_AT, _THREE_WEIGHT = np.polynomial.legendre.leggauss(3)


@jit
def _beyond_circle(profile, grid, d, start, stop):
    """Integral of the half-width less d over row coordinates, of one row, between which it is more than that.

    By Gauss and Legendre's rule. Its error goes with how many rows away the half-width has a singularity: where the
    circle ends or closes over a pole, and at the poles.
    """
    lat0, rho, half_pi = abs(profile[LAT0]), profile[RHO], 0.5 * math.pi
    lat_a, lat_b = grid[0] + grid[1] * start, grid[0] + grid[1] * stop
    lat = 0.5 * math.copysign(lat_a + lat_b, (lat_a + lat_b) * profile[LAT0])
    top = lat0 + rho
    away = min(abs(lat - lat0 + rho), abs((top if top < half_pi else math.pi - top) - lat), half_pi - abs(lat))
    away /= abs(grid[1])
    if away < 30.0:
        return _beyond_quadrature(profile, d, lat_a, lat_b) / abs(grid[1])
    total, middle, reach = 0.0, 0.5 * (start + stop), 0.5 * (stop - start)
    if away < 300.0:
        for i in range(3):
            total += _THREE_WEIGHT[i] * (_circle_width(profile, grid, middle + reach * _THREE_AT[i]) - d)
    else:
        for i in range(2):
            total += _TWO_WEIGHT[i] * (_circle_width(profile, grid, middle + reach * _TWO_AT[i]) - d)
    return total * reach


@jit
def circle_areas(u, profile, grid, first, begin, end, left, right, bounds, areas):
    """Areas, on one side, of a circle that `list_polar` is for, in those rows that its pixels need."""
    middle = math.floor(u)
    for i in range(begin, end):
        c, d = bounds[i, 1], bounds[i, 2]
        west, east = left < c <= min(middle, right), max(middle + 1, left) <= d < right
        if west or east or (left <= middle < right and not c <= middle < d):
            areas[i] = _beyond_circle(profile, grid, 0.0, float(first + i), first + i + 1.0)


@inlined
def disc_reach(profile, nodes):
    """Greatest half-width of a disc with lists."""
    return nodes[NODE_HALF, int(profile[TOP])] if profile[KIND] == LISTED_POLYGON else profile[WIDEST]


@inlined
def disc_columns(u, profile, nodes, grid, row_start, row_stop, left, right, out):
    """Edges of columns, among [left, right], that cross a disc with lists in rows [row_start, row_stop).

    Fills ``out`` with the first and the last of them west of the meridian, then east of it. Those in between are in
    the disc.
    """
    west, east, narrowest = math.floor(u), math.floor(u) + 1.0, -1.0
    if profile[KIND] == SERIES:
        count, radius, middle = int(profile[COUNT]), profile[RADIUS], profile[MIDDLE]
        a, b = (row_start - middle) / radius, (row_stop - middle) / radius
        h = _half_width(profile, count, max(a, -1.0)), _half_width(profile, count, min(b, 1.0))
        widest = profile[WIDEST] if a <= profile[TOP] <= b else max(h)
        if a > -1.0 and b < 1.0:
            narrowest = min(h)
    else:
        widest = disc_reach(profile, nodes)
        if profile[KIND] == LISTED_CIRCLE:
            h = _circle_width(profile, grid, row_start), _circle_width(profile, grid, row_stop)
            narrowest = min(min(h), widest)
    narrowest = narrowest * (1.0 - 1e-12) - 1e-9
    if narrowest > 0.0:
        west, east = min(west, math.floor(u - narrowest)), max(east, math.ceil(u + narrowest))
    out[0] = int(max(math.floor(u - widest) + 1.0, left))
    out[1] = int(min(west, right))
    out[2] = int(max(east, left))
    out[3] = int(min(math.ceil(u + widest) - 1.0, right))


@jit
def list_columns(u, profile, nodes, grid, areas, row_start, row_stop, columns, left, lists):
    """`disc_lists` of the edges that `disc_columns` tells; those beside them have no crossings, in rows NaN."""
    a, b, c, d = columns
    if a <= b and c <= d and c == b + 1:
        a, b, c, d = a, d, 1, 0
    for first, last in ((a, b), (c, d)):
        if first <= last and profile[KIND] == LISTED_CIRCLE:
            _list_circle_edges(u, profile, grid, row_start, row_stop, first, last + 1, left, lists)
        elif first <= last:
            disc_lists(u, profile, nodes, areas, row_start, row_stop, first, last + 1, left, lists)
    for edge in (columns[0] - 1 - left, columns[3] + 1 - left):
        lists[BEFORE, edge] = lists[AFTER, edge] = np.nan


@apart
def cover_box(u, profile, nodes, areas, row, row_start, row_stop, columns, left, skip, n, lists, out):
    """Covered fractions of pixels of a small box, n columns of it from ``skip`` on: ``out[row, column - left + skip]``.

    Where a box has hardly more pixels than lie on the disc's edge, it takes less time to treat all of them alike.
    """
    before, beyond_before = lists[BEFORE, : n + FILL], lists[BEYOND_BEFORE, : n + FILL]
    after, beyond_after = lists[AFTER, : n + FILL], lists[BEYOND_AFTER, : n + FILL]
    for j in range(n + FILL):
        before[j], after[j] = np.inf, -np.inf
    start, stop = columns[0], columns[3] + 1
    if start < stop:
        disc_lists(u, profile, nodes, areas, row_start, row_stop, start, stop, left, lists)
        for j in range(stop - left, n + FILL):
            before[j], after[j] = np.inf, -np.inf
    away = left - u
    next_before, next_beyond_before, next_after, next_beyond_after = (
        before[1:], beyond_before[1:], after[1:], beyond_after[1:],
    )  # fmt: skip
    for i in range(row_stop - row_start):
        here, area, part = float(row_start + i), areas[i], out[row + i, skip : skip + n]
        for j in range(n):
            # Both, rather than one from the turn before, which would have to be stored and loaded again.
            w = _east_of_edge(
                area, here, j + away, before[j], beyond_before[j], after[j], beyond_after[j]
            ) - _east_of_edge(
                area, here, j + 1 + away, next_before[j], next_beyond_before[j], next_after[j], next_beyond_after[j]
            )  # fmt: skip
            w = w if w > EMPTY else 0.0
            part[j] = w if w < 1.0 - EMPTY else 1.0


@inlined
def _east_of_edge(area, here, d, before, beyond_before, after, beyond_after):
    """A disc's area in row ``here`` east of an edge of columns, d from the meridian."""
    beyond = area - abs(d) if (before < here) & (here < after) else 0.0
    beyond = beyond_after if after == here else beyond
    beyond = beyond_before if before == here else beyond
    return 2.0 * area - beyond if d < 0.0 else beyond


@apart
def disc_bounds(lists, columns, first, begin, end, stop, left, right, origin, tally, bounds):
    """Columns [a, b) that a disc with lists touches in each row from first to stop, and the edges c to d that it holds.

    They go to ``bounds[row - first]`` as a, c, d, b. The pixels [c, d) are those that it holds. The disc is in rows
    [begin, end). All by the lists alone: wherever rounding puts a crossing, no pixel is lost and none is there twice.
    """
    n = end - begin
    for i in range(n + 2):
        for j in range(4):
            tally[i, j] = 0
    a, b, c, d = columns
    for side in range(2):
        from_edge, to_edge, touches, holds = (a, b + 1, 0, 1) if side == 0 else (c, d + 1, 3, 2)
        for k in range(from_edge - origin, to_edge - origin):
            before, after = lists[BEFORE, k], lists[AFTER, k]
            i, j = int(min(max(before - begin, -1.0), float(n))), int(min(max(after - begin, -1.0), float(n)))
            tally[max(i, 0), touches] += before <= after
            tally[j + 1, touches] -= before <= after
            tally[i + 1, holds] += before < after
            tally[max(j, 0), holds] -= before < after
    for row in range(first, begin):
        _no_bounds(left, right, bounds[row - first])
    touches_west = holds_west = holds_east = touches_east = 0
    for i in range(n):
        touches_west, holds_west = touches_west + tally[i, 0], holds_west + tally[i, 1]
        holds_east, touches_east = holds_east + tally[i, 2], touches_east + tally[i, 3]
        here = bounds[begin - first + i]
        here[0], here[1] = (max(b - touches_west, left), b + 1 - holds_west) if b >= left else (left, left)
        here[2], here[3] = (c - 1 + holds_east, min(c + touches_east, right)) if c <= right else (right, right)
    for row in range(end, stop):
        _no_bounds(left, right, bounds[row - first])


@inlined
def _no_bounds(left, right, bounds):
    bounds[0] = bounds[1] = right
    bounds[2] = bounds[3] = left


@inlined
def _beyond_edge(u, lists, columns, origin, row, area, edge):
    a, b, c, d = columns
    if edge < a or edge > d:
        return 0.0
    if b < edge < c:
        return area - abs(edge - u)
    return _beyond_listed(lists, edge - origin, row, area, abs(edge - u))


@inlined
def covered_part(u, lists, columns, origin, row, area, column):
    """Covered fraction of a pixel that a disc with lists touches and does not hold."""
    west = _beyond_edge(u, lists, columns, origin, row, area, column)
    east = _beyond_edge(u, lists, columns, origin, row, area, column + 1)
    return 2.0 * area - west - east if column < u < column + 1 else abs(west - east)


@apart
def list_parts(u, first, begin, end, columns, origin, lists, areas, bounds, left, right, places, shares):
    """Pixels that a disc with lists covers partly: their rows from ``first`` on and columns, and the fractions covered.

    Those are of rows [begin, end) and columns [left, right). On either side of the meridian each one is next to a
    crossing in its row, on the outer side of the edge of columns; or it is the outermost of those whose inner edge lies
    in the disc. And then there is the one on the meridian. Returns how many there are.
    """
    n = 0
    low, high = float(first + begin), float(first + end)
    for side in range(2):
        a = max(columns[0], left + 1) if side == 0 else columns[2]
        b = columns[1] + 1 if side == 0 else min(columns[3] + 1, right)
        outward, shift = (-1, -1) if side == 0 else (1, 0)
        for turn in range(2):
            rows, beyond = lists[2 * turn], lists[2 * turn + 1]
            for k in range(a - origin, b - origin):
                row = rows[k]
                places[0, n] = np.int64(min(max(row, low), high)) - first
                places[1, n] = k + origin + shift
                shares[n] = beyond[k] - (beyond[k + outward] if rows[k + outward] == row else 0.0)
                n += (low <= row) & (row < high) & ((turn == 0) | (lists[BEFORE, k] != row))
    middle = math.floor(u)
    for i in range(begin, end):
        c, d, row, area = bounds[i, 1], bounds[i, 2], first + i, areas[i]
        if left < c <= min(middle, right):
            places[0, n], places[1, n] = i, c - 1
            shares[n] = area - (u - c) - _beyond_outer(lists, c - 1 - origin, row)
            n += 1
        if max(middle + 1, left) <= d < right:
            places[0, n], places[1, n] = i, d
            shares[n] = area - (d - u) - _beyond_outer(lists, d + 1 - origin, row)
            n += 1
        if left <= middle < right and not c <= middle < d:
            places[0, n], places[1, n] = i, middle
            shares[n] = covered_part(u, lists, columns, origin, row, area, middle)
            n += 1
    return n


def parts_of(rows, columns):
    """At most so many pixels that a disc covers partly: two of each edge of columns, and two to a row; one to spare."""
    return 2 * (columns + 2) + 2 * rows + 1


EMPTY = 1e-13
"""Fractions of a pixel below this one are rounding."""


@inlined
def copies(u, half, period, left, right):
    """First and last turn of longitude, relative to u, in which a disc of that half-width meets [left, right)."""
    half = min(half, 0.5 * period)
    return math.ceil((left - u - half) / period - 1e-12), math.floor((right - u + half) / period + 1e-12)


@jit
def region_runs(u0, lat0, rad, inner, outer, nvert, grid, window, scratch, runs, weight):
    """Covered pixels of one region within a window, as runs of equally covered ones.

    Parameters
    ----------
    u0, lat0, rad : float
        Column coordinate of the crater's meridian, its latitude and its angular radius (radians).
    inner, outer : float
        Bounds of the region in crater radii.
    nvert : int
        Vertices of its polygons; 0 for true circles.
    grid : tuple of float
        Latitude of the first row's outer edge, latitude per row (radians), columns per turn.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) in pixels of the whole grid.
    scratch : tuple of ndarray
        From `cover_scratch` for that window.
    runs, weight : ndarray, shape (3, n) and (n,)
        Filled with (row, start, stop) and the fraction covered, rows ascending, columns ascending within a row.

    Returns
    -------
    int
        The number of runs; more than n where these are too few, of which only n were written.
    """
    tables, nodes, profiles, half, areas, lists, cover = scratch
    left, right, half_turn = window[2], window[3], 0.5 * grid[2]
    first, stop = region_rows(lat0, outer * rad, grid, window[0], window[1])
    count = 1 if inner <= 0.0 else 2
    for e in range(count):
        rho = beside_pole(lat0, rad * (outer if e == count - 1 else inner), nvert)
        a, b = region_rows(lat0, rho, grid, first, stop)
        half[2 * e : 2 * e + 2, : stop - first] = -1.0
        disc_edges(e, lat0, rho, nvert, grid, window[0], first, a, b, tables, nodes, profiles, half, areas)
    n = 0
    widest = -1.0
    for i in range(stop - first):
        widest = max(widest, half[2 * count - 1, i])
    k_first, k_last = copies(u0, widest, grid[2], left, right)
    outer_disc = count - 1
    for k in range(k_first, k_last + 1):
        if k_first == k_last:  # else the lists are made for each row
            for e in range(count):
                u = u0 + k * grid[2]
                list_disc(
                    u, e, first, 0, stop - first, half, half_turn, profiles, nodes, areas, left, right, lists
                )  # fmt: skip
    for row in range(first, stop):
        i = row - first
        begun = n
        for k in range(k_first, k_last + 1):
            u = u0 + k * grid[2]
            a, c, d, b = row_bounds(u, half[2 * outer_disc, i], half[2 * outer_disc + 1, i], half_turn, left, right)
            ia = ic = id = ib = b
            if count == 2:
                ia, ic, id, ib = row_bounds(u, half[0, i], half[1, i], half_turn, left, right)
            for e in range(count):
                if k_first < k_last:
                    list_disc(
                        u, e, first, i, i + 1, half, half_turn, profiles, nodes, areas, left, right, lists
                    )  # fmt: skip
                at = (u, e, i, row, profiles, nodes, nvert, grid, areas, lists)
                if e == outer_disc:
                    cover_row(*at, a, c, left, cover)
                    cover_row(*at, d, b, left, cover)
                else:
                    cover_row(*at, ia, ic, left, cover)
                    cover_row(*at, id, ib, left, cover)
            col = a
            while col < b:
                end, w = col + 1, 1.0
                if c <= col < d:
                    # Whole, up to the hole or to the end
                    end = min(d, ia) if col < ia else (d if col >= ib else end)
                else:
                    w = cover[outer_disc, col - left]
                if ic <= col < id:
                    w, end = 0.0, id
                elif ia <= col < ib:
                    w -= cover[0, col - left]
                if w > EMPTY:
                    if w > 1.0 - EMPTY:
                        w = 1.0
                    if n > begun and runs.shape[1] >= n and runs[2, n - 1] > col:
                        weight[n - 1] = min(1.0, weight[n - 1] + w)  # where a disc meets itself on the other side
                    else:
                        if n < runs.shape[1]:
                            runs[0, n], runs[1, n], runs[2, n], weight[n] = row, col, end, w
                        n += 1
                col = end
    return n


def disc_scratch(rows, columns, edges):
    """Arrays that the lists of discs need: (profiles, areas, lists)."""
    return (
        np.empty((edges, PROFILE)),
        np.empty((edges, rows + SPACE)),
        np.empty((edges, LISTS, columns + SPACE)),
    )


def cover_scratch(window, grid, nvert, edges=2):
    """Arrays that a window's discs need: (tables, nodes, profiles, half, areas, lists, cover)."""
    rows, columns = window[1] - window[0], window[3] - window[2]
    tables = np.empty((3, rows + 1))
    row_tables(grid, window[0], window[1], TOUCHED, tables[0], tables[1], tables[2])
    profiles, areas, lists = disc_scratch(rows, columns, edges)
    nodes, half = np.stack([node_scratch(nvert)] * edges), np.full((2 * edges, rows + SPACE), -1.0)
    return tables, nodes, profiles, half, areas, lists, np.empty((edges, columns))
