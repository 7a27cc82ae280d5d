"""Half-widths of discs on a cylindrical grid, row by row.

If columns are equally spaced in longitude and rows in latitude, a disc around a crater is symmetric about the crater's
meridian. A single number therefore describes it in each row, the half-width h: the disc covers the columns between
``u0 - h`` and ``u0 + h``. A half-width below zero means that the disc misses the row, and an infinite one that it goes
all the way round, as around a pole.

Pixel coordinates: column ``j`` covers ``[j, j + 1)`` and row ``r`` covers ``[r, r + 1)``; angles are radians.
"""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import inlined, jit

CENTER, TOUCHED, CONTAINED, EXACT = 0, 1, 2, 3
"""The pixels that a region takes: those with the centre inside, those touched, those contained; or all, by the fraction
covered."""


SLACK = 1e-9
"""Rows by which rounding may displace a pole or the end of a disc."""


@jit
def row_tables(grid, row_start, row_stop, mode, sin_half, cos_half, inverse_cos):
    """Trigonometric functions of the latitude, row by row.

    Parameters
    ----------
    grid : Rows
        Where rows and columns lie.
    row_start, row_stop : int
        The rows.
    mode : int
        For `CENTER`, latitudes are those of the rows' centres, NaN beyond a pole. Otherwise they are those of the rows'
        edges, one more than there are rows; an edge beyond a pole is at the pole.
    sin_half, cos_half, inverse_cos : ndarray of float64, shape (rows + 1,)
        Filled with the sine and cosine of half the latitude, and 1 / cosine of the latitude.
    """
    half_pi = 0.5 * math.pi
    count = row_stop - row_start + (0 if mode == CENTER else 1)
    for i in range(count):
        lat = grid.lat_origin + grid.lat_step * (row_start + i + (0.5 if mode == CENTER else 0.0))
        if abs(lat) > half_pi:
            beyond = abs(lat) > half_pi + abs(grid.lat_step) * SLACK
            lat = np.nan if beyond and mode == CENTER else math.copysign(half_pi, lat)
        sin_half[i] = math.sin(0.5 * lat)
        cos_half[i] = math.cos(0.5 * lat)
        inverse_cos[i] = 1.0 / math.cos(lat)


@inlined
def arcsine_ratio(q):
    """Arcsine of x divided by x, where q = x²; accurate to the last digit of a double for q < 0.01."""
    return 1.0 + q * (1 / 6 + q * (3 / 40 + q * (5 / 112 + q * (35 / 1152 + q * (63 / 2816 + q * (231 / 13312))))))


@inlined
def circle_half_width(sin2_d, sin2_rho, inverse_cosines):
    """Half-width, in radians, of a cap at one latitude; -1 if it does not reach there, infinite if it goes all round.

    By the spherical law of cosines in its half-angle form, which keeps its digits for small caps:
    sin²(h/2) = (sin²(rho/2) - sin²(d/2)) / (cos lat cos lat0), where d = lat - lat0.
    """
    s = sin2_rho - sin2_d
    if s < 0.0:
        return -1.0
    q = s * inverse_cosines
    if q < 0.01:
        return 2.0 * math.sqrt(q) * arcsine_ratio(q)
    if q >= 1.0:
        return np.inf
    if q >= 0.01:
        return 2.0 * math.asin(math.sqrt(q))
    return -1.0  # not a number: beyond the pole, or tangent to it


@inlined
def circle_half_widths(lat0, rho, mode, grid, window_start, first, row_start, row_stop, tables, half):
    """Half-widths, in columns, of a true circle in rows [row_start, row_stop), to ``half[row - first]``.

    Depending on the mode, the half-width within a row is that at the centre, the greatest (touched) or the least
    (contained). ``tables`` come from `row_tables`, beginning with row window_start.
    """
    columns_per_radian = grid.period / (2.0 * math.pi)
    sin0, cos0 = math.sin(0.5 * lat0), math.cos(0.5 * lat0)
    inverse0 = 1.0 / math.cos(lat0)
    sin2_rho = math.sin(0.5 * rho) ** 2
    offset, to = row_start - window_start, row_start - first
    if mode == CENTER:
        poleward = max(tables[2, offset], tables[2, offset + row_stop - row_start - 1])
        if sin2_rho * poleward * inverse0 < 0.01:  # and not NaN: a loop without branches, for the vectoriser
            for i in range(row_stop - row_start):
                t = tables[0, offset + i] * cos0 - tables[1, offset + i] * sin0
                s = sin2_rho - t * t
                q = max(s, 0.0) * (tables[2, offset + i] * inverse0)
                h = columns_per_radian * (2.0 * math.sqrt(q) * arcsine_ratio(q))
                half[to + i] = h if s >= 0.0 else -1.0
            return
        for i in range(row_stop - row_start):
            t = tables[0, offset + i] * cos0 - tables[1, offset + i] * sin0
            half[to + i] = columns_per_radian * circle_half_width(t * t, sin2_rho, tables[2, offset + i] * inverse0)
        return
    half_pi = 0.5 * math.pi
    # The parallel at which the half-width is extreme: a maximum for a cap without a pole, a minimum for a cap with both
    # poles; a cap with one pole has no extreme.
    cos_rho = math.cos(rho)
    turning = np.nan
    extreme = 0.0
    if abs(math.sin(lat0)) < abs(cos_rho):
        turning = math.asin(math.sin(lat0) / cos_rho)
        extreme = math.asin(min(1.0, math.sin(rho) / math.cos(lat0)))
        if cos_rho < 0.0:
            extreme = math.pi - extreme
    slack = abs(grid.lat_step) * SLACK
    lat_a = grid.lat_origin + grid.lat_step * row_start
    t = tables[0, offset] * cos0 - tables[1, offset] * sin0
    h_a = circle_half_width(t * t, sin2_rho, tables[2, offset] * inverse0)
    for i in range(row_stop - row_start):
        lat_b = grid.lat_origin + grid.lat_step * (row_start + i + 1)
        t = tables[0, offset + i + 1] * cos0 - tables[1, offset + i + 1] * sin0
        h_b = circle_half_width(t * t, sin2_rho, tables[2, offset + i + 1] * inverse0)
        low, high = min(lat_a, lat_b), max(lat_a, lat_b)
        turns_inside = low <= turning <= high
        if low >= min(lat0 + rho, half_pi) - slack or high <= max(lat0 - rho, -half_pi) + slack:
            # Beyond the end of the disc, or beyond a pole; a disc that contains a pole ends beyond it.
            h = -1.0
        elif mode == TOUCHED:
            h = max(h_a, h_b)
            if turns_inside and cos_rho > 0.0:
                h = extreme
        else:
            h = min(h_a, h_b)
            if turns_inside and cos_rho < 0.0 and h >= 0.0:
                h = extreme
        half[to + i] = h * columns_per_radian
        lat_a = lat_b
        h_a = h_b


NODE_ROW, NODE_HALF, NODE_COS, NODE_SIN, NODE_COUNT, NODE_SLOPE, NODE_INVERSE = range(7)
"""Rows of the array of a polygon's nodes: row coordinate and half-width of each node; cosine and sine of the azimuths,
and the number of vertices for which these were made; slopes of the sides that begin at each node; inverse slopes."""


@inlined
def polygon_nodes(lat0, rho, nvert, lat_origin, lat_step, columns_per_radian, nodes):
    """Vertices of a disc's polygon on one side of its meridian, in pixel coordinates, in order of rows.

    A first or last half-width of half a turn means that the polygon closes over the pole beyond it.

    Parameters
    ----------
    lat0, rho : float
        Latitude of the centre and angular radius, radians.
    nvert : int
        Number of vertices.
    lat_origin, lat_step, columns_per_radian : float
        Placement of rows and columns; see `Rows`.
    nodes : ndarray of float64, shape (7, n)
        Filled with row coordinates and half-widths.

    Returns
    -------
    int
        The number of nodes.
    """
    count = nvert // 2 + 1
    if nodes[NODE_COUNT, 0] != nvert:
        nodes[NODE_COUNT, 0] = nvert
        for j in range(count):
            azimuth = 2.0 * math.pi * j / nvert
            nodes[NODE_COS, j] = math.cos(azimuth)
            nodes[NODE_SIN, j] = math.sin(azimuth) if 2 * j < nvert else 0.0
    sin0, cos0 = math.sin(lat0), math.cos(lat0)
    sin_rho, cos_rho = math.sin(rho), math.cos(rho)
    poleward = math.cos(abs(lat0) + rho)
    if sin_rho < 0.1 * poleward and poleward > 0.1:
        # Small and away from the poles: both angles follow from the series of the arcsine, in a vectorised loop.
        for j in range(count):
            z = sin0 * cos_rho + cos0 * sin_rho * nodes[NODE_COS, j]
            cos_lat = math.sqrt(1.0 - z * z)
            up = z * cos0 - cos_lat * sin0
            along = sin_rho * nodes[NODE_SIN, j] / cos_lat
            nodes[NODE_ROW, j] = (lat0 + up * arcsine_ratio(up * up) - lat_origin) / lat_step
            nodes[NODE_HALF, j] = along * arcsine_ratio(along * along) * columns_per_radian
    else:
        for j in range(count):
            x = cos0 * cos_rho - sin0 * sin_rho * nodes[NODE_COS, j]
            y = sin_rho * nodes[NODE_SIN, j]
            z = sin0 * cos_rho + cos0 * sin_rho * nodes[NODE_COS, j]
            nodes[NODE_ROW, j] = (math.atan2(z, math.hypot(x, y)) - lat_origin) / lat_step
            nodes[NODE_HALF, j] = math.atan2(y, x) * columns_per_radian
    if lat_step > 0.0:
        for j in range(count // 2):
            k = count - 1 - j
            nodes[NODE_ROW, j], nodes[NODE_ROW, k] = nodes[NODE_ROW, k], nodes[NODE_ROW, j]
            nodes[NODE_HALF, j], nodes[NODE_HALF, k] = nodes[NODE_HALF, k], nodes[NODE_HALF, j]
    return count


@inlined
def polygon_half_widths(count, nodes, half_turn, pole_first, pole_last, mode, first, row_start, row_stop, half):
    """Half-widths, in columns, of a disc's polygon in rows [row_start, row_stop), to ``half[row - first]``.

    If the polygon closes over a pole, the half-width of that node is half_turn, the columns in 180°; pole_first and
    pole_last are the row coordinates of the poles before and after the nodes.
    """
    north, south = nodes[NODE_ROW, 0], nodes[NODE_ROW, count - 1]
    open_first = nodes[NODE_HALF, 0] >= half_turn * (1.0 - 1e-12)
    open_last = nodes[NODE_HALF, count - 1] >= half_turn * (1.0 - 1e-12)
    rows, to = row_stop - row_start, row_start - first
    # Evaluate along the middle line of each row, or along the lines between rows.
    lines, shift, slack = (rows, 0.5, -1.0) if mode == CENTER else (rows + 1, 0.0, SLACK)
    j = 0
    above = np.inf
    for i in range(lines):
        v = row_start + i + shift
        if v < north or (v <= north + slack and not open_first):
            h = np.inf if open_first and (mode != CENTER or v >= pole_first - SLACK) else -1.0
        elif v > south or (v >= south - slack and not open_last):
            h = np.inf if open_last and (mode != CENTER or v <= pole_last + SLACK) else -1.0
        else:
            while j < count - 2 and nodes[NODE_ROW, j + 1] < v:
                j += 1
            height = nodes[NODE_ROW, j + 1] - nodes[NODE_ROW, j]
            if height > 0.0:
                h = nodes[NODE_HALF, j] + (v - nodes[NODE_ROW, j]) / height * (
                    nodes[NODE_HALF, j + 1] - nodes[NODE_HALF, j]
                )
            else:
                h = max(nodes[NODE_HALF, j], nodes[NODE_HALF, j + 1])
        if mode == CENTER:
            half[to + i] = h
        elif i > 0:
            half[to + i - 1] = max(above, h) if mode == TOUCHED else min(above, h)
        above = h
    if mode == CENTER:
        return
    # Nodes inside a row may hold its extreme.
    for j in range(count):
        v = nodes[NODE_ROW, j]
        if j == 0 and not open_first:
            v += SLACK
        elif j == count - 1 and not open_last:
            v -= SLACK
        i = math.floor(v) - row_start
        if 0 <= i < rows:
            h = half[to + i]
            half[to + i] = max(h, nodes[NODE_HALF, j]) if mode == TOUCHED else min(h, nodes[NODE_HALF, j])
    for i in range(rows):
        if row_start + i + 1.0 <= pole_first + SLACK:
            half[to + i] = -1.0
        if row_stop - 1.0 - i >= pole_last - SLACK:
            half[to + rows - 1 - i] = -1.0
        if row_start + i + 1.0 > pole_first + SLACK and row_stop - 1.0 - i < pole_last - SLACK:
            break


@inlined
def disc_half_widths(lat0, rho, nvert, mode, grid, window_start, first, row_start, row_stop, tables, nodes, half):
    """Half-widths of a disc in rows [row_start, row_stop).

    Parameters
    ----------
    lat0, rho : float
        Latitude of the centre and angular radius, radians.
    nvert : int
        Number of vertices of its polygon; 0 for a true circle.
    mode : int
        `CENTER`, `TOUCHED` or `CONTAINED`.
    grid : Rows
        Where rows and columns lie.
    window_start, first : int
        First rows of ``tables`` and of ``half``.
    tables, nodes
        Fields of `SpanScratch`.
    half : ndarray of float64, shape (rows,)
        Filled in ``half[row - first]``, columns.
    """
    lat_origin, lat_step, period = grid.lat_origin, grid.lat_step, grid.period
    if row_stop <= row_start:
        return
    if nvert == 0 and rho < math.pi:
        circle_half_widths(lat0, rho, mode, grid, window_start, first, row_start, row_stop, tables, half)
        return
    pole = 0.5 * math.pi if lat_step < 0.0 else -0.5 * math.pi
    pole_first = (pole - lat_origin) / lat_step
    pole_last = (-pole - lat_origin) / lat_step
    if rho >= math.pi:
        for row in range(row_start, row_stop):
            if mode == CENTER:
                on_body = pole_first - SLACK <= row + 0.5 <= pole_last + SLACK
            else:
                on_body = row + 1.0 > pole_first + SLACK and row < pole_last - SLACK
            half[row - first] = np.inf if on_body else -1.0
        return
    columns_per_radian = period / (2.0 * math.pi)
    count = polygon_nodes(lat0, rho, nvert, lat_origin, lat_step, columns_per_radian, nodes)
    polygon_half_widths(count, nodes, 0.5 * period, pole_first, pole_last, mode, first, row_start, row_stop, half)


@inlined
def edge_half_widths(lat0, rad, edges, modes, nvert, grid, window, tables, nodes, half, reach):
    """Half-widths of the nested discs of one crater.

    Parameters
    ----------
    lat0, rad : float
        Latitude and angular radius of the crater, radians.
    edges, modes, nvert
        Fields of `Nest`.
    grid, window
        As `region_spans` takes them.
    tables, nodes, half, reach
        Fields of `SpanScratch`; ``half[e, row - first]`` and ``reach[e]``, counted from ``first``, are filled.

    Returns
    -------
    first, stop : int
        Rows that the outermost disc may meet.
    """
    first, stop = region_rows(lat0, edges[-1] * rad, grid, window[0], window[1])
    for e in range(edges.size):
        rho = edges[e] * rad
        a, b = region_rows(lat0, rho, grid, first, stop)
        reach[e, 0], reach[e, 1] = a - first, b - first
        for i in range(a - first):
            half[e, i] = -1.0
        for i in range(b - first, stop - first):
            half[e, i] = -1.0
        disc_half_widths(lat0, rho, nvert, modes[e], grid, window[0], first, a, b, tables, nodes, half[e])
    return first, stop


@inlined
def region_rows(lat0, rho, grid, row_start, row_stop):
    """Rows within [row_start, row_stop) that a disc of angular radius rho around latitude lat0 may meet.

    They may include a row that the disc misses by less than rounding.
    """
    lat_origin, lat_step = grid.lat_origin, grid.lat_step
    half_pi = 0.5 * math.pi
    a = (min(lat0 + rho, half_pi) - lat_origin) / lat_step
    b = (max(lat0 - rho, -half_pi) - lat_origin) / lat_step
    if rho >= math.pi:
        a, b = (half_pi - lat_origin) / lat_step, (-half_pi - lat_origin) / lat_step
    if lat0 + rho > half_pi:
        a = (half_pi - lat_origin) / lat_step
    low, high = min(a, b), max(a, b)
    first = min(max(row_start, math.floor(max(low - 1e-6, -1.0))), row_stop)
    last = min(row_stop, math.ceil(min(high + 1e-6, row_stop + 1.0)))
    return first, max(first, last)


def node_scratch(nvert):
    """Make the array of `polygon_nodes` for up to nvert vertices, with room for an additional node over a pole."""
    return np.zeros((7, nvert // 2 + 2))
