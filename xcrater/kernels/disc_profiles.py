"""Profiles of discs on a cylindrical grid, and the half-widths and areas that follow from a short polynomial.

As in `half_widths`, a disc covers in a row the columns between ``u0 - h`` and ``u0 + h``, where the half-width h varies
with latitude. The fractions covered of a row's pixels follow from one function of the distance d from the meridian, in
columns: the area

    beyond(d) = integral over the row of max(h - d, 0)

of the part of the disc that lies farther than d on one side. The fraction of a pixel is a difference of two of its
values. For a polygon h is piecewise linear, so the integral is a sum of trapezoids. For a circle, with s = (lat -
lat0) / rho, h = sqrt(1 - s²) g(s), where g is smoother the farther the poles are away: a short polynomial approximates
g, and the integral has a closed form. The pixels of a disc then need only the two places where each edge of columns
crosses it; `crossings` lists them in loops without branches. Near a pole, crossings have a closed form, and the
integral goes from one crossing to the next along the circle, which is smooth over a column; where it is not, it goes
over the azimuth by Gauss-Legendre quadrature (`disc_areas`).
"""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import apart, inlined, jit
from xcrater.kernels.half_widths import arcsine_ratio

# Numbers of coefficients of g, and the distance of a pole, in radii, from which each gives errors below 1e-11.
_SHORT, _MIDDLE, _LONG = 4, 6, 14


_FAR_SHORT, _FAR_MIDDLE, _FAR_LONG = 400.0, 40.0, 4.0


def _nodes(count):
    """Chebyshev nodes, and the matrix that turns values at them into coefficients of powers."""
    at = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    return at, np.linalg.inv(np.vander(at, increasing=True))


_AT_SHORT, _POWERS_SHORT = _nodes(_SHORT)


_AT_MIDDLE, _POWERS_MIDDLE = _nodes(_MIDDLE)


_AT_LONG, _POWERS_LONG = _nodes(_LONG)


def _arcsine_polynomial(degree):
    """Coefficients of a polynomial for arcsin(sqrt(z)) / sqrt(z), z from 0 to 1/4, by interpolation of the series."""

    def series(z):
        term, total = np.ones_like(z), np.ones_like(z)
        for n in range(1, 40):
            term = term * z * ((2 * n - 1) / (2 * n))
            total = total + term / (2 * n + 1)
        return total

    return np.polynomial.Chebyshev.interpolate(series, degree, [0.0, 0.25]).convert(kind=np.polynomial.Polynomial).coef


_ARCSINE = _arcsine_polynomial(14)


SERIES, QUADRATURE, POLYGON, LISTED_POLYGON, WHOLE, LISTED_CIRCLE = range(6)


KIND, RADIUS, MIDDLE, COLUMNS, LAT0, RHO, TOP, WIDEST, ARC, TERMS = range(10)


G, P = 10, 10 + _LONG


PROFILE = P + _LONG + 1
"""Length of a disc's profile. Its entries, numbered above: the kind of disc; rows per radius; row coordinate of the
centre; columns per radian; latitude of the centre and radius, radians; position of the widest place, in radii from the
centre along the rows, and its half-width, columns; and the coefficients of g and of its integral. TERMS is the number
of coefficients of g. For a polygon with lists, TOP is the position of its widest node, and TERMS the number of its
nodes."""


FILL = 8
"""Loops run over a multiple of this many elements, so that they consist of whole vectors."""


SPACE = 24
"""Elements by which scratch arrays are longer than a window: for `FILL`, for two beyond either end, and so that arrays
for a window of a power of two do not all compete for the same lines of the processor's cache."""


@inlined
def filled(n):
    """A number of elements rounded up to whole vectors: an incomplete one would take longer than all the others."""
    return (n + FILL - 1) // FILL * FILL


@inlined
def _fit(profile, count, at, powers, lat0, sin0, cos0, rho, columns_per_radian, along):
    """Set the coefficients of g by interpolation at Chebyshev nodes ``at``; see `_nodes`."""
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
        value = 2.0 * math.sqrt(ratio) * arcsine_ratio(square) * rho * columns_per_radian
        for k in range(count):
            profile[G + k] += powers[k, j] * value


@inlined
def _integrate(profile, count):
    """Set the integral of the half-width, ``arc * asin(s) + sqrt(1 - s²) p(s)``, from the coefficients of g."""
    profile[TERMS] = count
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
    """Set the coefficients of g of a small disc, from the series of its squared half-width in powers of the radius.

    The first term left out is of the order of (rho * slope)⁴.

    Parameters
    ----------
    rho : float
        Angular radius, radians; negative where rows run south.
    slope : float
        Tangent of the latitude of the centre.
    scale : float
        Columns in a radius, along the parallel of the centre.
    """
    rho2, slope2 = rho * rho, slope * slope
    profile[G] = scale * (1.0 + rho2 * slope2 / 24.0)
    profile[G + 1] = scale * rho * slope * (0.5 + rho2 * (1.0 / 24.0 + slope2 / 16.0))
    profile[G + 2] = scale * rho2 * (1.0 / 6.0 + slope2 / 3.0)
    profile[G + 3] = scale * rho2 * rho * slope * (5.0 / 24.0 + slope2 / 4.0)


@jit
def disc_profile(lat0, rho, nvert, grid, profile):
    """Determine the kind of a disc, and set the numbers of its profile.

    Parameters
    ----------
    lat0, rho : float
        Latitude of the centre and angular radius, radians.
    nvert : int
        Number of vertices of its polygon; 0 for a true circle.
    grid : Rows
        Where rows and columns lie.
    profile : ndarray of float64, shape (PROFILE,)
        Filled.
    """
    columns_per_radian = grid.period / (2.0 * math.pi)
    profile[RADIUS] = rho / abs(grid.lat_step)
    profile[MIDDLE] = (lat0 - grid.lat_origin) / grid.lat_step
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
        along = math.copysign(1.0, grid.lat_step)
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
            profile[WIDEST] = away * arcsine_ratio(away * away) * columns_per_radian
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
def half_width(profile, count, s):
    """Half-width, in columns, at s radii from the centre along the rows; count is the number of coefficients."""
    value = profile[G + count - 1]
    for k in range(count - 2, -1, -1):
        value = value * s + profile[G + k]
    return value * math.sqrt(max(0.0, 1.0 - s * s))


@inlined
def _area_between(profile, count, a, b):
    """Integral of the half-width between a and b, both from -1 to 1, in columns times radii.

    Differences are taken before anything is summed, so that areas keep their digits however large the disc is.
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


@inlined
def _newton(profile, count, sign, away, out):
    """One Newton step on the squares of half-widths; an error e of a crossing makes an error of e² in an area."""
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
def crossings(profile, sign, away, out):
    """Find where the half-width equals the distance of each edge of columns from the meridian.

    This uses Newton's method, starting from an ellipse through the widest place.

    Parameters
    ----------
    profile : ndarray of float64
        Profile of a disc of kind `SERIES`.
    sign : float
        -1 for crossings before the widest place, 1 for those after it.
    away : float
        Distance of the first edge from the meridian, columns; negative to the west.
    out : ndarray of float64, shape (edges,)
        Filled, in radii from the centre along the rows.
    """
    top, widest = profile[TOP], profile[WIDEST]
    low, high = (-1.0, top) if sign < 0.0 else (top, 1.0)
    for i in range(out.size):
        share = abs(i + away) / widest
        out[i] = min(max(top + sign * math.sqrt(max(0.0, 1.0 - share * share)), low), high)
    if profile[TERMS] == _SHORT:
        for _ in range(2):
            _newton(profile, _SHORT, sign, away, out)
    elif profile[TERMS] == _MIDDLE:
        for _ in range(3):
            _newton(profile, _MIDDLE, sign, away, out)
    else:
        for _ in range(5):
            _newton(profile, _LONG, sign, away, out)


@inlined
def _beyonds_of(profile, count, sign, away, at, rows, out):
    """Rows of crossings, and the disc's area beyond each edge from the crossing to the end of its row.

    For crossings after the widest place, areas extend to the beginning of the row. Parameters are those of `crossings`;
    ``at`` are the crossings.
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
def list_before(profile, away, at, rows, out):
    """Rows of the crossings before the widest place, and areas beyond each edge in them."""
    if profile[TERMS] == _SHORT:
        _beyonds_of(profile, _SHORT, -1.0, away, at, rows, out)
    elif profile[TERMS] == _MIDDLE:
        _beyonds_of(profile, _MIDDLE, -1.0, away, at, rows, out)
    else:
        _beyonds_of(profile, _LONG, -1.0, away, at, rows, out)


@apart
def list_after(profile, away, at, rows, out):
    """Rows of the crossings after the widest place, and areas beyond each edge in them."""
    if profile[TERMS] == _SHORT:
        _beyonds_of(profile, _SHORT, 1.0, away, at, rows, out)
    elif profile[TERMS] == _MIDDLE:
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
        h = min(half_width(profile, count, a), half_width(profile, count, b))
        contained[i] = h if (a > -1.0) & (b < 1.0) else -1.0
    for i in range(touched.size):
        a, b = (start + i) / radius, (start + i + 1) / radius
        c, d = min(max(a, -1.0), 1.0), min(max(b, -1.0), 1.0)
        h = max(half_width(profile, count, c), half_width(profile, count, d))
        h = widest if (a <= top) & (b >= top) else h
        touched[i] = h if (b > -1.0) & (a < 1.0) else -1.0


@apart
def row_areas(profile, row_start, out):
    """Area of a circle on one side of its meridian, in pixels, in each row from the first on."""
    if profile[TERMS] == _SHORT:
        _areas_of(profile, _SHORT, row_start, out)
    elif profile[TERMS] == _MIDDLE:
        _areas_of(profile, _MIDDLE, row_start, out)
    else:
        _areas_of(profile, _LONG, row_start, out)


@apart
def row_half_widths(profile, row_start, contained, touched):
    """Half-widths, in columns, of the pixels that a circle contains and touches in each row from the first on."""
    if profile[TERMS] == _SHORT:
        _half_widths_of(profile, _SHORT, row_start, contained, touched)
    elif profile[TERMS] == _MIDDLE:
        _half_widths_of(profile, _MIDDLE, row_start, contained, touched)
    else:
        _half_widths_of(profile, _LONG, row_start, contained, touched)
