"""Regions to row spans on a cylindrical grid: the run of columns that a region covers in each row.

On a grid whose columns are equally spaced in longitude and whose rows are equally spaced in latitude, a
disc around a crater is symmetric about the crater's meridian. So its shape in one row is a single number,
the half-width: the disc covers the columns between ``u0 - h`` and ``u0 + h``. A half-width below zero says
that the disc misses the row, an infinite one that it goes all the way round. The antimeridian is where the
columns, counted modulo the columns per turn, fall off the grid; a pole is where the half-width is infinite.

Pixel coordinates: column ``j`` covers ``[j, j + 1)`` and row ``r`` covers ``[r, r + 1)``; angles are radians.
"""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.lanes import NOWHERE, OUTSIDE
from xcrater.kernels.records import SpanScratch

CENTER, TOUCHED, CONTAINED, EXACT = 0, 1, 2, 3
"""Which pixels a region takes: centre inside, square touched, square wholly inside; or each by the share inside."""

SLACK = 1e-9
"""Rows by which rounding may misplace a pole or the end of a disc."""


@jit
def row_tables(grid, row_start, row_stop, mode, sin_half, cos_half, inverse_cos):
    """Sine and cosine of half the latitude and 1 / cosine of the latitude, row by row.

    At the rows' centres for `CENTER`, else at their edges (one more than there are rows). Beyond a pole the
    edge is the pole, and the centre is nowhere (NaN).
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
    """Arcsine of x over x, where q = x², to the last digit of a double for q < 0.01."""
    return 1.0 + q * (1 / 6 + q * (3 / 40 + q * (5 / 112 + q * (35 / 1152 + q * (63 / 2816 + q * (231 / 13312))))))


@inlined
def circle_half_width(sin2_d, sin2_rho, inverse_cosines):
    """Half-width in radians of a cap at one latitude (spherical law of cosines).

    In the half-angle form, which keeps its digits for small caps:
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
    """Half-widths, in columns, of a true small circle in rows [row_start, row_stop), to ``half[row - first]``.

    Within a row the half-width is taken where the mode asks: at the centre, where it is largest (touched) or
    where it is smallest (contained).
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
    # The parallel where the half-width has its extreme: a maximum for a cap without a pole, a minimum for
    # one with both; a cap with one pole has none.
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
            # Beyond the disc or the pole; where a pole is inside, the disc's own end lies beyond it.
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
"""Rows of the array of a polygon's nodes: where they are, the azimuths they were last made for, and edges' slopes."""


@inlined
def polygon_nodes(lat0, rho, nvert, lat_origin, lat_step, columns_per_radian, nodes):
    """Vertices of a disc's polygon on one side of its meridian, in pixel coordinates, in order of rows.

    Fills the first two rows of nodes and returns how many vertices there are. A first or last half-width of half a
    turn says that the polygon closes over the pole beyond it.
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
        # Small and away from the poles: both angles by the arcsine's series, a loop for the vectoriser.
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

    `half_turn` is the columns in 180°, which a node's half-width reaches where the polygon closes over a
    pole; `pole_first` and `pole_last` are the row coordinates of the poles before and after the nodes.
    """
    north, south = nodes[NODE_ROW, 0], nodes[NODE_ROW, count - 1]
    open_first = nodes[NODE_HALF, 0] >= half_turn * (1.0 - 1e-12)
    open_last = nodes[NODE_HALF, count - 1] >= half_turn * (1.0 - 1e-12)
    rows, to = row_stop - row_start, row_start - first
    # Along the middle line of each row, or along the lines between rows.
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
    # Nodes inside a row bend the sides there.
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
    """Half-widths of a disc in rows [row_start, row_stop), to ``half[e, row - first]``.

    Of its polygon, or of the true circle for nvert 0.
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
    """Half-widths of several discs of one crater, ``half[e, row - first]``, and the rows (first, stop) that they meet.

    The last disc is the widest. Those that each may meet go to ``reach[e]``, counted from the first.
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
def row_columns(center, half, mode):
    """Columns [start, stop) that a disc's row takes."""
    if mode == CENTER:
        return np.ceil(center - half - 0.5), np.floor(center + half - 0.5) + 1.0
    if mode == TOUCHED:
        return np.floor(center - half), np.ceil(center + half)
    return np.ceil(center - half), np.floor(center + half)


@inlined
def disc_lanes(u, e, mode, half, rows, period, left, right, origin, lanes):
    """Bounds of disc e in lanes, columns counted from the origin, within columns [left, right).

    Fills ``lanes[:, e + 1]``. Returns how many pixels there are, and whether a row has more than the one piece
    around u, as it may where the disc, a turn of longitude on, shows again.
    """
    pixels = np.int64(0)
    pieces = False
    for row in range(rows):
        h = half[e, row]
        h = np.inf if h >= 0.5 * period else h
        a, b = row_columns(u, h, mode)
        a, b = max(a, left), min(b, right)
        hit = (h >= 0.0) & (a < b)
        east = (u + period - h < right + 1.0) & ((b < right) | (a >= b))
        west = (u - period + h > left - 1.0) & ((a > left) | (a >= b))
        pieces |= (h >= 0.0) & (east | west)
        first, stop = np.int32(a - origin if hit else OUTSIDE), np.int32(b - origin if hit else NOWHERE)
        lanes[0, e + 1, row] = first
        lanes[1, e + 1, row] = stop
        pixels += np.int64(stop - first if hit else 0)
    return pixels, pieces


@inlined
def nested_lanes(count, rows, lanes):
    """Whether every disc's bounds, in lanes, hold those of the disc before it."""
    apart = False
    for e in range(1, count):
        for row in range(rows):
            apart |= (lanes[0, e + 1, row] > lanes[0, e, row]) | (lanes[1, e + 1, row] < lanes[1, e, row])
    return not apart


@jit
def row_spans(u0, outer, inner, outer_mode, inner_mode, period, col_start, col_stop, start, stop, n):
    """Append one row's spans: the outer disc without the inner one, within columns [col_start, col_stop).

    A disc shows once per turn of longitude that the grid holds a part of; the copies of one region never
    overlap and come in order. Returns the new number of spans.
    """
    half_turn = 0.5 * period
    if outer < 0.0 or inner >= half_turn:
        return n
    if outer >= half_turn:
        k_first, k_last = 0, 0
    else:
        k_first = math.ceil((col_start - 1.0 - u0 - outer) / period)
        k_last = math.floor((col_stop + 1.0 - u0 + outer) / period)
    done = col_start
    for k in range(k_first, k_last + 1):
        if outer >= half_turn:
            a, b = col_start, col_stop
        else:
            a, b = row_columns(u0 + k * period, outer, outer_mode)
            a, b = max(a, done), min(b, col_stop)
        if a >= b:
            continue
        done = b
        if inner >= 0.0:
            hole_first = math.ceil((a - 1.0 - u0 - inner) / period)
            hole_last = math.floor((b + 1.0 - u0 + inner) / period)
            for m in range(hole_first, hole_last + 1):
                hole_a, hole_b = row_columns(u0 + m * period, inner, inner_mode)
                if hole_a >= hole_b or hole_b <= a:
                    continue
                if hole_a >= b:
                    break
                if hole_a > a:
                    start[n], stop[n] = a, hole_a
                    n += 1
                a = hole_b
        if a < b:
            start[n], stop[n] = a, b
            n += 1
    return n


@inlined
def region_rows(lat0, rho, grid, row_start, row_stop):
    """The rows within [row_start, row_stop) that a disc can meet, with a hair to spare."""
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


@jit
def region_spans(u0, lat0, rad, inner, outer, nvert, mode, grid, window, scratch):
    """Row spans of one region within a window of the grid.

    Parameters
    ----------
    u0, lat0, rad : float
        Column coordinate of the crater's meridian, its latitude and its angular radius (radians).
    inner, outer : float
        Bounds of the region in crater radii.
    nvert : int
        Vertices of its polygons; 0 for true circles.
    mode : int
        Coverage: `CENTER` or `TOUCHED`.
    grid : tuple of float
        Latitude of the first row's outer edge, latitude per row (radians), columns per turn.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) in pixels of the whole grid.
    scratch : SpanScratch
        From `span_scratch` for that window; ``spans`` is filled with row, first column and column past the last of each
        span: rows ascending, columns ascending within a row.

    Returns
    -------
    int
        The number of spans.
    """
    tables, nodes, half, _, _, spans = scratch
    period = grid.period
    outer_mode, inner_mode = (TOUCHED, CONTAINED) if mode == TOUCHED else (CENTER, CENTER)
    first, stop = region_rows(lat0, outer * rad, grid, window[0], window[1])
    disc_half_widths(lat0, outer * rad, nvert, outer_mode, grid, window[0], first, first, stop, tables, nodes, half[0])
    hole_first, hole_stop = first, first
    if inner > 0.0:
        rho = inner * rad
        hole_first, hole_stop = region_rows(lat0, rho, grid, first, stop)
        disc_half_widths(
            lat0, rho, nvert, inner_mode, grid, window[0], hole_first, hole_first, hole_stop, tables, nodes, half[1]
        )
    n = 0
    for r in range(first, stop):
        hole = -1.0
        if hole_first <= r < hole_stop:
            hole = half[1, r - hole_first]
        before = n
        n = row_spans(
            u0, half[0, r - first], hole, outer_mode, inner_mode, period, window[2], window[3], spans[1], spans[2], n
        )
        spans[0, before:n] = r
    return n


@jit
def region_windows(u0, lat0, rad, outer, nvert, grid, nodes, out):
    """Bounds of every crater's disc in pixel coordinates: (first row, last row, first column, last column).

    The columns are counted on from the crater's meridian without wrapping; a disc that holds a pole spans
    a whole turn.
    """
    lat_origin, lat_step, period = grid
    half_pi = 0.5 * math.pi
    for i in range(u0.size):
        rho = outer * rad[i]
        north, south = lat0[i] + rho, lat0[i] - rho
        polar = north > half_pi or south < -half_pi
        if rho >= math.pi:
            north, south = half_pi, -half_pi
        a = (min(north, half_pi) - lat_origin) / lat_step
        b = (max(south, -half_pi) - lat_origin) / lat_step
        half = 0.5 * period
        if nvert == 0 and not polar:
            half = math.asin(min(1.0, math.sin(rho) / math.cos(lat0[i]))) * period / (2.0 * math.pi)
        elif nvert > 0 and rho < math.pi:
            count = polygon_nodes(lat0[i], rho, nvert, lat_origin, lat_step, period / (2.0 * math.pi), nodes)
            first, last = min(a, b), max(a, b)
            full = half * (1.0 - 1e-12)
            a = first if nodes[NODE_HALF, 0] >= full else nodes[NODE_ROW, 0]
            b = last if nodes[NODE_HALF, count - 1] >= full else nodes[NODE_ROW, count - 1]
            half = 0.0
            for j in range(count):
                half = max(half, nodes[NODE_HALF, j])
        out[i, 0] = min(a, b)
        out[i, 1] = max(a, b)
        out[i, 2] = u0[i] - half
        out[i, 3] = u0[i] + half


def span_scratch(window, grid, nvert, mode, edges=2, regions=1):
    """Arrays that the functions above need for a window of the grid: (tables, nodes, half, lanes, reach, spans).

    A row holds one outer piece and one hole per turn of longitude in the window, and one more at each end, for
    each region; or two runs for each of nested discs.
    """
    rows, columns = window[1] - window[0], window[3] - window[2]
    tables = np.empty((3, rows + 1))
    row_tables(grid, window[0], window[1], CENTER if mode == CENTER else TOUCHED, tables[0], tables[1], tables[2])
    turns = int(columns / grid.period) + 3
    lanes = np.empty((2, edges + 1, rows), np.int16)
    lanes[0], lanes[1] = OUTSIDE, NOWHERE  # the first of them stays so: the hole of a ring without one
    return SpanScratch(
        tables=tables,
        nodes=node_scratch(nvert),
        half=np.empty((max(edges, 2), rows)),
        lanes=lanes,
        reach=np.empty((max(edges, 2), 2), np.int64),
        spans=np.empty((4, rows * 2 * (turns * regions + edges)), np.int64),
    )


def node_scratch(nvert):
    """An array for `polygon_nodes` of up to so many vertices, and one node more."""
    return np.zeros((7, nvert // 2 + 2))
