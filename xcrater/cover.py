"""How much of each pixel a disc covers, on a cylindrical grid: exactly, row by row.

As in `spans`, a disc shows in a row as the columns between ``u0 - h`` and ``u0 + h``, where the half-width h changes
with the latitude. What a row needs is one function of the distance d from the meridian, in columns: the area

    beyond(d) = integral over the row of max(h - d, 0)

of the disc's part farther than d on one side. A pixel's covered fraction is a difference of two of its values. For a
polygon h is piecewise linear, and so the integral is a sum of trapezoids. For a circle, t = (lat - lat0) / rho puts
it as ``h = sqrt(1 - t²) g(t)`` with g as smooth as the cap is far from the poles, so that a short polynomial stands
for g and the integral has a closed form. Where g is not that smooth, or the circle so large that differences of areas
would lose digits, the integral is taken over the azimuth by Gauss and Legendre's rule.
"""

from __future__ import annotations

import math

import numpy as np

from xcrater._jit import inlined, jit
from xcrater.spans import (
    CONTAINED,
    NODE_HALF,
    NODE_ROW,
    TOUCHED,
    _arcsine_ratio,
    disc_half_widths,
    node_scratch,
    region_rows,
    row_tables,
)

NODES = 6
"""Of the short polynomial, whose error is below 1e-11 of a half-width where the pole is `FAR` radii away."""

FAR = 40.0
LARGE = 512.0
"""Rows or columns in a radius beyond which areas are integrated from row to row."""

_T = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
_TO_POWERS = np.linalg.inv(np.vander(_T, increasing=True))

_GAUSS_AT, _GAUSS_WEIGHT = np.polynomial.legendre.leggauss(8)

SERIES, QUADRATURE, POLYGON, WHOLE = 0, 1, 2, 3
KIND, RADIUS, ARC, COLUMNS, LAT0, RHO, NORTHMOST = 0, 1, 2, 3, 4, 5, 6
G, P = 8, 8 + NODES
PROFILE = P + NODES + 1
"""Length of a disc's profile: what it is, numbers, the polynomials g and p."""


@jit
def disc_profile(lat0, rho, nvert, grid, profile):
    """Prepare a disc for `beyond`."""
    columns_per_radian = grid[2] / (2.0 * math.pi)
    profile[RADIUS] = rho / abs(grid[1])
    profile[COLUMNS] = columns_per_radian
    profile[LAT0], profile[RHO] = lat0, rho
    profile[KIND] = QUADRATURE
    if rho >= math.pi:
        profile[KIND] = WHOLE
        return
    if nvert > 0:
        profile[KIND] = POLYGON
        return
    cos0, sin0 = math.cos(lat0), math.sin(lat0)
    if rho * FAR > 0.5 * math.pi - abs(lat0) or max(profile[RADIUS], rho / cos0 * columns_per_radian) > LARGE:
        return
    profile[KIND] = SERIES
    for k in range(NODES):
        profile[G + k] = 0.0
    for j in range(NODES):
        # rho is below 1/25: the sines' series to the last digit.
        s = rho * _T[j]
        a, b = 0.5 * (rho - s), 0.5 * (rho + s)
        ratio = (1.0 - a * a / 6.0 * (1.0 - a * a / 20.0)) * (1.0 - b * b / 6.0 * (1.0 - b * b / 20.0)) * 0.25
        ss = s * s
        sine = s * (1.0 - ss / 6.0 * (1.0 - ss / 20.0 * (1.0 - ss / 42.0)))
        cosine = 1.0 - 0.5 * ss * (1.0 - ss / 12.0 * (1.0 - ss / 30.0))
        # sin²(h/2) over rho² (1 - t²)
        ratio /= (cos0 * cosine - sin0 * sine) * cos0
        square = ratio * (rho * rho - ss)
        value = 2.0 * math.sqrt(ratio) * _arcsine_ratio(square) * rho * columns_per_radian
        for k in range(NODES):
            profile[G + k] += _TO_POWERS[k, j] * value
    # The integral of sqrt(1 - t²) g(t) is arc * asin(t) + sqrt(1 - t²) p(t): compare the powers of t.
    profile[P + NODES] = profile[G + NODES - 1] / (NODES + 1)
    for m in range(NODES, 0, -1):
        above = (m + 1) * profile[P + m + 1] if m < NODES else 0.0
        here = profile[G + m] if m < NODES else 0.0
        before = profile[G + m - 2] if m >= 2 else 0.0
        profile[P + m - 1] = (above - here + before) / m
    profile[ARC] = profile[G] - profile[P + 1]
    profile[NORTHMOST] = (math.asin(sin0 / math.cos(rho)) - lat0) / rho


@inlined
def _polynomial(profile, first, count, t):
    value = profile[first + count - 1]
    for k in range(count - 2, -1, -1):
        value = value * t + profile[first + k]
    return value


@inlined
def area_below(profile, t):
    """Integral of the half-width from the meridian's middle to t, in columns times radii."""
    return profile[ARC] * math.asin(t) + math.sqrt(1.0 - t * t) * _polynomial(profile, P, NODES + 1, t)


@inlined
def _crossing(profile, d, a, b, sign):
    """Where between a and b the half-width passes d, on the side of the widest parallel that the sign says.

    Newton's method on the squares. An error e of it makes one of e² in an area, where the integrand is nil.
    """
    g = _polynomial(profile, G, NODES, 0.5 * (a + b))
    t = min(max(sign * math.sqrt(max(0.0, 1.0 - (d / g) ** 2)), a), b)
    for _ in range(8):
        g = slope = 0.0
        for k in range(NODES - 1, -1, -1):
            slope = slope * t + g
            g = g * t + profile[G + k]
        x = 1.0 - t * t
        down = 2.0 * g * (x * slope - t * g)
        if down * sign >= 0.0:
            break
        before = t
        t = min(max(t - (x * g * g - d * d) / down, a), b)
        if abs(t - before) < 1e-6:
            break
    return t


@inlined
def _beyond_series(profile, d, a, b, area_a, area_b, half_a, half_b):
    """`beyond` between a and b, of which areas and half-widths are known."""
    top = profile[NORTHMOST]
    t1, t2 = a, b
    w1, w2 = area_a, area_b
    if half_a < d:
        if b <= top and half_b <= d:
            return 0.0
        t1 = _crossing(profile, d, a, min(b, max(a, top)), -1.0)
        w1 = area_below(profile, t1)
    if half_b < d:
        if a >= top and half_a <= d:
            return 0.0
        t2 = _crossing(profile, d, max(a, min(b, top)), b, 1.0)
        w2 = area_below(profile, t2)
    return max(0.0, w2 - w1 - d * (t2 - t1))


@jit
def _azimuth(a, rho, c):
    """Azimuth from north at which a circle around colatitude a passes colatitude c (half-angle formulas)."""
    s = 0.5 * (a + rho + c)
    up = max(0.0, math.sin(s - a) * math.sin(s - rho))
    down = max(0.0, math.sin(s) * math.sin(s - c))
    return 2.0 * math.atan2(math.sqrt(up), math.sqrt(down))


@jit
def _arc_area(a, rho, first, stop):
    """Integral of the half-width (radians) over colatitude, along a circle's azimuths from first to stop."""
    sin_a, cos_a = math.sin(a), math.cos(a)
    sin_rho = math.sin(rho)
    gap, far = math.sin(0.5 * (a - rho)), math.cos(0.5 * (a + rho))
    sin_gap, sin_far = math.sin(a - rho), math.sin(a + rho)
    total = 0.0
    for i in range(_GAUSS_AT.size):
        theta = 0.5 * (first + stop) + 0.5 * (stop - first) * _GAUSS_AT[i]
        half, other = math.sin(0.5 * theta), math.cos(0.5 * theta)
        sine = 2.0 * half * other
        # sin²(c/2) and cos²(c/2), either with all its digits at its own pole; likewise the cosine part of h
        sin_c = 2.0 * math.sqrt(
            (gap * gap + sin_a * sin_rho * half * half) * (far * far + sin_a * sin_rho * other * other)
        )
        x = sin_gap + 2.0 * cos_a * sin_rho * half * half
        if half > other:
            x = sin_far - 2.0 * cos_a * sin_rho * other * other
        h = math.atan2(sin_rho * sine, x)
        if sin_c > 0.0:
            total += _GAUSS_WEIGHT[i] * h * (sin_a * sin_rho * sine / sin_c)
    return 0.5 * (stop - first) * total


@jit
def _cap_area(a, rho, c1, c2, enough):
    """Integral of a cap's half-width (radians) over colatitudes c1 to c2 within the cap; its mean to ``enough``."""
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
    first, stop = _azimuth(a, rho, c1), _azimuth(a, rho, c2)
    whole = _arc_area(a, rho, first, stop)
    # Halved where the rule has not converged yet: where the circle passes close by a pole.
    at, depth = first, 0
    width = stop - first
    while at < stop:
        end = min(at + width, stop)
        middle = 0.5 * (at + end)
        left, right = _arc_area(a, rho, at, middle), _arc_area(a, rho, middle, end)
        if abs(left + right - whole) <= enough * (c2 - c1) or depth > 12:
            total += left + right
            at = end
            depth = max(0, depth - 1)
            width = 2.0 * width if depth else width
        else:
            width *= 0.5
            depth += 1
        if at < stop:
            whole = _arc_area(a, rho, at, min(at + width, stop))
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
            total += _cap_area(a, rho, 0.5 * math.pi - q, 0.5 * math.pi - p, max(1e-14, 1e-10 / scale)) - angle * (
                q - p
            )
    return max(0.0, total * scale)


@inlined
def _beyond_polygon(nodes, count, half_turn, pole_first, pole_last, d, v_a, v_b):
    """`beyond` in columns times rows, between two row coordinates, of a polygon's nodes."""
    total = 0.0
    for j in range(-1, count):
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


@jit
def disc_edges(e, lat0, rho, nvert, grid, window_start, first, row_start, row_stop, tables, nodes, profiles, half,
               areas, widths):  # fmt: skip
    """Prepare disc e of a crater, which may meet rows [row_start, row_stop).

    Fills ``profiles[e]``; the half-widths of pixels contained and touched, ``half[2 * e : 2 * e + 2, row - first]``;
    and for a profile of the kind `SERIES`, half-widths and areas at the rows' edges.
    """
    profile = profiles[e]
    disc_profile(lat0, rho, nvert, grid, profile)
    if profile[KIND] != SERIES:
        at = (lat0, rho, nvert)
        disc_half_widths(*at, CONTAINED, grid, window_start, first, row_start, row_stop, tables, nodes[e], half, 2 * e)
        disc_half_widths(
            *at, TOUCHED, grid, window_start, first, row_start, row_stop, tables, nodes[e], half, 2 * e + 1
        )  # fmt: skip
        return
    scale, shift = grid[1] / rho, (grid[0] - lat0) / rho
    to = row_start - first
    for i in range(row_stop - row_start + 1):
        t = min(max(shift + scale * (row_start + i), -1.0), 1.0)
        x = math.sqrt(1.0 - t * t)
        widths[e, to + i] = x * _polynomial(profile, G, NODES, t)
        areas[e, to + i] = profile[ARC] * math.asin(t) + x * _polynomial(profile, P, NODES + 1, t)
    top = profile[NORTHMOST]
    widest = math.sqrt(1.0 - top * top) * _polynomial(profile, G, NODES, top)
    for i in range(to, to + row_stop - row_start):
        t = shift + scale * (first + i)
        below, above = min(t, t + scale), max(t, t + scale)
        half[2 * e, i] = min(widths[e, i], widths[e, i + 1]) if below > -1.0 and above < 1.0 else -1.0
        half[2 * e + 1, i] = widest if below <= top <= above else max(widths[e, i], widths[e, i + 1])
        if below >= 1.0 or above <= -1.0:
            half[2 * e + 1, i] = -1.0


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
def _beyond(profile, e, i, nodes, count, row, grid, areas, widths, d):
    """Area in pixels of disc e's part in row i from the first that is farther than d columns to one side."""
    kind = profile[KIND]
    if kind == SERIES:
        if grid[1] < 0.0:
            s, n = i + 1, i
        else:
            s, n = i, i + 1
        shift, scale = (grid[0] - profile[LAT0]) / profile[RHO], grid[1] / profile[RHO]
        t1, t2 = shift + scale * row, shift + scale * (row + 1)
        t1, t2 = max(min(t1, t2), -1.0), min(max(t1, t2), 1.0)
        return profile[RADIUS] * _beyond_series(
            profile, d, t1, t2, areas[e, s], areas[e, n], widths[e, s], widths[e, n]
        )
    lat_a, lat_b = row_latitudes(grid, row)
    if kind == QUADRATURE:
        return _beyond_quadrature(profile, d, lat_a, lat_b) / abs(grid[1])
    half_turn = 0.5 * grid[2]
    v_a, v_b = (lat_a - grid[0]) / grid[1], (lat_b - grid[0]) / grid[1]
    if kind == WHOLE:
        return max(0.0, half_turn - d) * (v_b - v_a)
    pole = math.copysign(0.5 * math.pi, -grid[1])
    pole_first, pole_last = (pole - grid[0]) / grid[1], (-pole - grid[0]) / grid[1]
    return _beyond_polygon(nodes[e], count, half_turn, pole_first, pole_last, d, v_a, v_b)


@jit
def cover_row(u, profiles, e, i, nodes, nvert, row, grid, areas, widths, start, stop, left, out):
    """Covered fraction of the pixels [start, stop) of a row by disc e, to ``out[e, column - left]``.

    Of a row that reaches beyond a pole, what counts is the part on the body.
    """
    if start >= stop:
        return
    profile = profiles[e]
    count = nvert // 2 + 1
    lat_a, lat_b = row_latitudes(grid, row)
    per_row = 1.0 / max(abs((lat_b - lat_a) / grid[1]), 1e-300)
    x = start - u
    before = _beyond(profile, e, i, nodes, count, row, grid, areas, widths, abs(x))
    for c in range(start, stop):
        after = _beyond(profile, e, i, nodes, count, row, grid, areas, widths, abs(x + 1.0))
        if x >= 0.0:
            covered = before - after
        elif x <= -1.0:
            covered = after - before
        else:
            covered = 2.0 * _beyond(profile, e, i, nodes, count, row, grid, areas, widths, 0.0) - before - after
        out[e, c - left] = min(max(covered * per_row, 0.0), 1.0)
        before = after
        x = c + 1 - u


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
    tables, nodes, profiles, half, areas, widths, cover = scratch
    left, right, half_turn = window[2], window[3], 0.5 * grid[2]
    first, stop = region_rows(lat0, outer * rad, grid, window[0], window[1])
    count = 1 if inner <= 0.0 else 2
    for e in range(count):
        rho = rad * (outer if e == count - 1 else inner)
        a, b = region_rows(lat0, rho, grid, first, stop)
        half[2 * e : 2 * e + 2, : stop - first] = -1.0
        disc_edges(e, lat0, rho, nvert, grid, window[0], first, a, b, tables, nodes, profiles, half, areas, widths)
    n = 0
    for row in range(first, stop):
        i = row - first
        k_first, k_last = copies(u0, half[2 * count - 1, i], grid[2], left, right)
        begun = n
        for k in range(k_first, k_last + 1):
            u = u0 + k * grid[2]
            a, c, d, b = row_bounds(u, half[2 * count - 2, i], half[2 * count - 1, i], half_turn, left, right)
            ia = ic = id = ib = b
            if count == 2:
                ia, ic, id, ib = row_bounds(u, half[0, i], half[1, i], half_turn, left, right)
                cover_row(u, profiles, 0, i, nodes, nvert, row, grid, areas, widths, ia, ic, left, cover)
                cover_row(u, profiles, 0, i, nodes, nvert, row, grid, areas, widths, id, ib, left, cover)
            cover_row(u, profiles, count - 1, i, nodes, nvert, row, grid, areas, widths, a, c, left, cover)
            cover_row(u, profiles, count - 1, i, nodes, nvert, row, grid, areas, widths, d, b, left, cover)
            col = a
            while col < b:
                end, w = col + 1, 1.0
                if c <= col < d:
                    # Whole, up to the hole or to the end
                    end = min(d, ia) if col < ia else (d if col >= ib else end)
                else:
                    w = cover[count - 1, col - left]
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


def cover_scratch(window, grid, nvert, edges=2):
    """Arrays that a window's discs need: (tables, nodes, profiles, half, areas, widths, cover)."""
    rows, columns = window[1] - window[0], window[3] - window[2]
    tables = np.empty((3, rows + 1))
    row_tables(grid, window[0], window[1], TOUCHED, tables[0], tables[1], tables[2])
    return (
        tables,
        np.stack([node_scratch(nvert)] * edges),
        np.empty((edges, PROFILE)),
        np.full((2 * edges, rows), -1.0),
        np.empty((edges, rows + 1)),
        np.empty((edges, rows + 1)),
        np.empty((edges, columns)),
    )
