"""Area of a disc beyond an edge of columns, by quadrature for circles and by trapezoids for polygons."""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.disc_profiles import COLUMNS, KIND, LAT0, QUADRATURE, RHO, WHOLE
from xcrater.kernels.half_widths import NODE_HALF, NODE_ROW, circle_half_width

_FOUR_AT, _FOUR_WEIGHT = np.polynomial.legendre.leggauss(4)


_EIGHT_AT, _EIGHT_WEIGHT = np.polynomial.legendre.leggauss(8)


@jit
def _azimuth(a, rho, c):
    """Azimuth, from the centre, at which a circle of radius rho around colatitude a meets colatitude c; all in radians.

    By the half-angle formulas of spherical trigonometry.
    """
    s = 0.5 * (a + rho + c)
    up = max(0.0, math.sin(s - a) * math.sin(s - rho))
    down = max(0.0, math.sin(s) * math.sin(s - c))
    return 2.0 * math.atan2(math.sqrt(up), math.sqrt(down))


@inlined
def _arc_area(a, rho, first, stop, nodes, weights):
    """Integral of the half-width over colatitude along the azimuths from first to stop, radians squared.

    The circle has radius rho around colatitude a; nodes and weights are those of a quadrature rule on [-1, 1].
    """
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
    """Integral of a cap's half-width over colatitudes c1 to c2 within the cap, radians squared.

    By Gauss-Legendre quadrature over the azimuth. Its error depends on the distance, in half-lengths of the interval,
    of the complex azimuths (with real parts 0 and pi) at which the circle would pass through a pole. Eight nodes are
    exact to the last digits from a distance of 4 half-lengths, four nodes from 30.
    """
    total = 0.0
    if rho > a:  # all longitudes around the north pole are inside
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
    """Area of a circle farther than d columns on one side, between two latitudes, in columns times radians.

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
    # acos(cos rho / n), computed with the digits that small caps need: n² = 1 - (cos lat0 sin angle)²
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
    """Area of a polygon farther than d columns on one side, between two row coordinates, in pixels.

    The poles beyond the first and the last of the nodes are at row coordinates pole_first and pole_last.
    """
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
    """Latitudes of the two edges of a row, radians; of an edge beyond a pole, that of the pole."""
    half_pi = 0.5 * math.pi
    a = grid.lat_origin + grid.lat_step * row
    b = grid.lat_origin + grid.lat_step * (row + 1)
    return min(max(a, -half_pi), half_pi), min(max(b, -half_pi), half_pi)


@inlined
def beyond(profile, nodes, count, row, grid, d):
    """Area, in pixels, of the part of a disc in a row that is farther than d columns on one side.

    For discs without lists of crossings; count is the number of the polygon's nodes.
    """
    kind = profile[KIND]
    lat_a, lat_b = row_latitudes(grid, row)
    if kind == QUADRATURE:
        return _beyond_quadrature(profile, d, lat_a, lat_b) / abs(grid.lat_step)
    half_turn = 0.5 * grid.period
    v_a, v_b = (lat_a - grid.lat_origin) / grid.lat_step, (lat_b - grid.lat_origin) / grid.lat_step
    if kind == WHOLE:
        return max(0.0, half_turn - d) * (v_b - v_a)
    pole = math.copysign(0.5 * math.pi, -grid.lat_step)
    pole_first, pole_last = (pole - grid.lat_origin) / grid.lat_step, (-pole - grid.lat_origin) / grid.lat_step
    return _beyond_polygon(nodes, count, half_turn, pole_first, pole_last, d, v_a, v_b)


_TWO_AT, _TWO_WEIGHT = np.polynomial.legendre.leggauss(2)


_THREE_AT, _THREE_WEIGHT = np.polynomial.legendre.leggauss(3)


@inlined
def circle_width(profile, grid, row):
    """Half-width of a circle, in columns, at the beginning of a row; half a turn at most."""
    lat, lat0 = min(max(grid.lat_origin + grid.lat_step * row, -0.5 * math.pi), 0.5 * math.pi), profile[LAT0]
    square, rise = math.sin(0.5 * profile[RHO]) ** 2, math.sin(0.5 * (lat - lat0)) ** 2
    half = circle_half_width(rise, square, 1.0 / (math.cos(lat) * math.cos(lat0)))
    return profile[COLUMNS] * min(half, math.pi)


@jit
def beyond_circle(profile, grid, d, start, stop):
    """Integral of the half-width less d between two coordinates within a row where it is positive, in pixels.

    By Gauss-Legendre quadrature. Its error depends on how many rows away the half-width has a singularity: where the
    circle ends or closes over a pole, and at the poles.
    """
    lat0, rho, half_pi = abs(profile[LAT0]), profile[RHO], 0.5 * math.pi
    lat_a, lat_b = grid.lat_origin + grid.lat_step * start, grid.lat_origin + grid.lat_step * stop
    lat = 0.5 * math.copysign(lat_a + lat_b, (lat_a + lat_b) * profile[LAT0])
    top = lat0 + rho
    away = min(abs(lat - lat0 + rho), abs((top if top < half_pi else math.pi - top) - lat), half_pi - abs(lat))
    away /= abs(grid.lat_step)
    if away < 30.0:
        return _beyond_quadrature(profile, d, lat_a, lat_b) / abs(grid.lat_step)
    total, middle, reach = 0.0, 0.5 * (start + stop), 0.5 * (stop - start)
    if away < 300.0:
        for i in range(3):
            total += _THREE_WEIGHT[i] * (circle_width(profile, grid, middle + reach * _THREE_AT[i]) - d)
    else:
        for i in range(2):
            total += _TWO_WEIGHT[i] * (circle_width(profile, grid, middle + reach * _TWO_AT[i]) - d)
    return total * reach


@jit
def circle_areas(u, profile, grid, first, begin, end, left, right, bounds, areas):
    """Areas of a circle near a pole on one side of its meridian, in the rows where partly covered pixels need them."""
    middle = math.floor(u)
    for i in range(begin, end):
        c, d = bounds[i, 1], bounds[i, 2]
        west, east = left < c <= min(middle, right), max(middle + 1, left) <= d < right
        if west or east or (left <= middle < right and not c <= middle < d):
            areas[i] = beyond_circle(profile, grid, 0.0, float(first + i), first + i + 1.0)
