"""Crossings of the edges of columns with a disc: the lists from which the fractions of pixels follow."""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import apart, inlined, jit
from xcrater.kernels.disc_areas import beyond_circle, circle_width
from xcrater.kernels.disc_profiles import (
    COLUMNS,
    KIND,
    LAT0,
    LISTED_CIRCLE,
    LISTED_POLYGON,
    MIDDLE,
    POLYGON,
    PROFILE,
    QUADRATURE,
    RADIUS,
    RHO,
    SERIES,
    SPACE,
    TERMS,
    TOP,
    WIDEST,
    crossings,
    disc_profile,
    filled,
    half_width,
    list_after,
    list_before,
    row_areas,
)
from xcrater.kernels.half_widths import NODE_HALF, NODE_INVERSE, NODE_ROW, NODE_SLOPE, node_scratch, polygon_nodes
from xcrater.kernels.records import Discs

BEFORE, BEYOND_BEFORE, AFTER, BEYOND_AFTER, PLACE, LISTS = range(6)
"""Rows of a disc's lists. For each edge of columns: the row in which the edge enters the disc, before the widest place,
and the area of the disc beyond the edge in this row; the row in which it leaves the disc, and the area beyond the edge
in that one; scratch space. LISTS is their number."""


@jit
def disc_lists(u, profile, nodes, areas, row_start, row_stop, first, stop, left, lists):
    """List where the edges of columns [first, stop) cross a disc.

    An edge that misses the disc formally leaves it in row -inf, before it enters it in row inf. For a crossing outside
    the rows, only the side is correct.

    Parameters
    ----------
    u : float
        Column coordinate of the disc's meridian.
    profile, nodes, areas, lists
        Fields of `Disc`; areas begin with ``row_start``.
    row_start, row_stop : int
        Rows that the disc may meet.
    first, stop : int
        The edges; edge j is between columns j - 1 and j.
    left : int
        First edge of the lists.
    """
    away = first - u
    if profile[KIND] == SERIES:
        radius, middle, widest, top = profile[RADIUS], profile[MIDDLE], profile[WIDEST], profile[TOP]
        a, b = first - left, first - left + filled(stop - first)
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
            crossings(profile, sign, away, at)
            if side == 0:
                list_before(profile, away, at, rows, beyond)
            else:
                list_after(profile, away, at, rows, beyond)
    else:
        _list_polygon_edges(away, profile, nodes, areas, row_start, row_stop, stop - first, first - left, lists)
    # The outermost edges may enter and leave the disc within one row.
    i, last = first - left, stop - left - 1
    while i <= last and i + left < u and lists[BEFORE, i] >= lists[AFTER, i]:
        _join_crossings(abs(i + left - u), areas, row_start, row_stop, i, lists)
        i += 1
    while last >= i and last + left >= u and lists[BEFORE, last] >= lists[AFTER, last]:
        _join_crossings(abs(last + left - u), areas, row_start, row_stop, last, lists)
        last -= 1


@inlined
def _join_crossings(d, areas, row_start, row_stop, i, lists):
    """Set the areas of edge i, d columns from the meridian, to those beyond both crossings if these share a row."""
    row = lists[BEFORE, i]
    if row == lists[AFTER, i] and row_start <= row < row_stop:
        rest = areas[int(row) - row_start] - d
        lists[BEYOND_BEFORE, i] = lists[BEYOND_AFTER, i] = lists[BEYOND_BEFORE, i] + lists[BEYOND_AFTER, i] - rest


@inlined
def _list_polygon_edges(away, profile, nodes, areas, row_start, row_stop, number, at, lists):
    """`disc_lists` of a polygon, for a number of edges from position ``at`` of the lists on."""
    widest, last = int(profile[TOP]), int(profile[TERMS]) - 1
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
            # Search the side of the polygon, beginning with that of the previous edge of columns.
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
    """Integral of a polygon's half-width from row coordinate start to v, which is on side j, where it is h; pixels."""
    area = 0.0
    while v > start and j >= 0:
        v1, h1 = nodes[NODE_ROW, j], nodes[NODE_HALF, j]
        if v1 < start:
            h1, v1 = h1 + (start - v1) * nodes[NODE_SLOPE, j], start
        area += 0.5 * (h + h1) * (v - v1)
        v, h = v1, h1
        j -= 1
    return area


@inlined
def beside_pole(lat0, rho, nvert):
    """Radius of a disc; slightly less for a circle through a pole, where longitude jumps by half a turn."""
    away = 0.5 * math.pi - abs(lat0)
    return away - THROUGH if nvert == 0 and abs(rho - away) < THROUGH else rho


THROUGH, CLOSE = 2e-14, 1e-8
"""Distances from a pole, radians: a circle that passes closer than the first is taken to go through the pole, and one
that reaches beyond the pole by less than the second is not listed."""


@jit
def prepare_disc(e, lat0, rho, nvert, grid, first, row_start, row_stop, nodes, profiles, areas):
    """Prepare disc e of a crater.

    Parameters
    ----------
    lat0, rho : float
        Latitude of the centre and angular radius, radians.
    nvert : int
        Number of vertices of the disc's polygon; 0 for a true circle.
    grid : Rows
        Placement of rows and columns.
    first : int
        First row of the areas.
    row_start, row_stop : int
        Rows that the disc may meet.
    nodes, profiles, areas : ndarray of float64
        Fields of `Discs`; filled for disc e, areas only if the disc can be listed.

    Returns
    -------
    bool
        Whether `disc_lists` applies to the disc.
    """
    profile = profiles[e]
    disc_profile(lat0, rho, nvert, grid, profile)
    if profile[KIND] == SERIES:
        a = row_start - first
        row_areas(profile, row_start, areas[e, a : a + filled(row_stop - row_start)])
    elif profile[KIND] == POLYGON:
        count = polygon_nodes(lat0, rho, nvert, grid.lat_origin, grid.lat_step, profile[COLUMNS], nodes[e])
        if nodes[e, NODE_HALF, 0] == 0.0 and nodes[e, NODE_HALF, count - 1] == 0.0:
            _list_polygon(profile, nodes[e], count, -1, row_start, row_stop, row_start - first, e, areas)
    return is_listed(profile)


@inlined
def is_listed(profile):
    """Whether `disc_lists` applies to a disc."""
    return profile[KIND] == SERIES or profile[KIND] == LISTED_POLYGON


@inlined
def _list_polygon(profile, nodes, count, closes, row_start, row_stop, to, e, areas):
    """Prepare a polygon for lists, and set its areas, if it widens up to one place and narrows from there on.

    Parameters
    ----------
    count : int
        Number of its nodes.
    closes : int
        The side that goes to a pole along the meridian half a turn away; -1 if there is none.
    row_start, row_stop : int
        Rows that the polygon may meet.
    to : int
        Position of the first of these rows in ``areas[e]``.
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
    profile[TOP], profile[TERMS] = widest, count
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
    """Slopes of a polygon's sides: half-width per row, and the inverse (0 for vertical sides)."""
    for j in range(n):
        down, along = rows[j + 1] - rows[j], half[j + 1] - half[j]
        slopes[j], inverse[j] = along / down, down / along if along != 0.0 else 0.0


@jit
def list_polar(e, grid, nvert, first, row_start, row_stop, nodes, profiles, areas):
    """Prepare a disc near a pole, which `prepare_disc` leaves out, for lists if it can be listed.

    A circle with a radius below 90° can be listed, unless it reaches beyond a pole by almost nothing. So can a polygon
    that closes over one pole, with an additional node there.

    Parameters
    ----------
    e, nvert, grid, first, row_start, row_stop, nodes, profiles, areas
        As `prepare_disc` takes them.

    Returns
    -------
    bool
        Whether the disc can be listed.
    """
    profile, node = profiles[e], nodes[e]
    lat0, rho, half_pi = abs(profile[LAT0]), profile[RHO], 0.5 * math.pi
    if profile[KIND] == QUADRATURE and rho < half_pi and not 0.0 <= lat0 + rho - half_pi < CLOSE:
        profile[KIND] = LISTED_CIRCLE
        away = math.asin(min(1.0, math.sin(rho) / math.cos(lat0))) if lat0 + rho < half_pi else math.pi
        profile[WIDEST] = away * profile[COLUMNS]
        return True
    count, half_turn, pole = nvert // 2 + 1, 0.5 * grid.period, math.copysign(half_pi, grid.lat_step)
    if profile[KIND] == POLYGON:
        opens = node[NODE_HALF, 0] >= half_turn * (1.0 - 1e-12)
        ends = node[NODE_HALF, count - 1] >= half_turn * (1.0 - 1e-12)
        if opens == ends:
            return False
        if opens:
            for j in range(count, 0, -1):
                node[NODE_ROW, j], node[NODE_HALF, j] = node[NODE_ROW, j - 1], node[NODE_HALF, j - 1]
            node[NODE_ROW, 0] = (-pole - grid.lat_origin) / grid.lat_step
            node[NODE_HALF, 0] = node[NODE_HALF, 1] = half_turn
        else:
            node[NODE_ROW, count] = (pole - grid.lat_origin) / grid.lat_step
            node[NODE_HALF, count] = node[NODE_HALF, count - 1] = half_turn
        closes = 0 if opens else count - 1
        _list_polygon(profile, node, count + 1, closes, row_start, row_stop, row_start - first, e, areas)
    return profile[KIND] == LISTED_POLYGON


SMOOTH = 1e-10
"""Greatest difference between the integrals over a column by polynomials of degree 3 and 4 for the latter to be used:
its own error is far smaller then."""


@inlined
def _circle_edge(profile, grid, d):
    """Find where an edge of columns, d columns from the meridian, enters and leaves a circle near a pole.

    Returns
    -------
    tuple of float
        Row coordinate at which the edge enters and its derivative with respect to d, then the same for where it leaves
        the circle. NaN if the edge misses the circle; infinite for the end beyond a pole.
    """
    lat0, rho, angle, sign = abs(profile[LAT0]), profile[RHO], d / profile[COLUMNS], math.copysign(1.0, profile[LAT0])
    down = sign * grid.lat_step < 0.0  # rows lead away from the pole
    sin0, cos0, cos_rho, sin_rho, sine = math.sin(lat0), math.cos(lat0), math.cos(rho), math.sin(rho), math.sin(angle)
    cosine = math.cos(angle)
    y, x = sin0, cos0 * cosine
    across = cos0 * sine
    square = (sin_rho - across) * (sin_rho + across)
    # The edge is inside if n cos(lat - alpha) > cos rho (spherical law of cosines), with lat continuing past the pole.
    if d >= profile[WIDEST] or not square > 0.0:
        return np.nan, np.nan, np.nan, np.nan
    root = math.sqrt(square)
    beta = math.atan2(root, cos_rho)
    alpha = lat0 + math.atan2((1.0 - cosine) * cos0 * y, y * y + x * cos0)
    unit = sign * across / ((x * x + y * y) * root * grid.lat_step * profile[COLUMNS])
    near, near_slope = (sign * (alpha - beta) - grid.lat_origin) / grid.lat_step, unit * (x * cos_rho + y * root)
    far, far_slope = (sign * (alpha + beta) - grid.lat_origin) / grid.lat_step, -unit * (x * cos_rho - y * root)
    if alpha + beta >= 0.5 * math.pi:
        far = -np.inf if down else np.inf
    return (far, far_slope, near, near_slope) if down else (near, near_slope, far, far_slope)


@inlined
def _between_edges(y0, slope0, y_middle, y1, slope1):
    """Integral of the positive part of a decreasing function between two edges of columns, and its estimated error.

    By the polynomial of degree 4 through the values and slopes at both edges and the value half-way.
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
    """`disc_lists` of a circle near a pole.

    From the outermost edge inwards, the area beyond an edge in its row is the area beyond the next edge outwards plus
    that between the two edges, which is an integral over the column. The integrand is smooth except where the circle
    ends.
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
                        # Fractions of the row inside the circle at the edge, at the next one outwards, and half-way.
                        sign, zero = (-1.0, row + 1.0) if turn == 0 else (1.0, row)
                        y0, slope0 = sign * (here[2 * turn] - zero), sign * here[2 * turn + 1]
                        y1, slope1 = sign * (outer[2 * turn] - zero), sign * outer[2 * turn + 1]
                        y_middle = sign * (between[2 * turn] - zero)
                        beyond, error = _between_edges(y0, slope0, y_middle, y1, slope1)
                        if lists[2 * turn, at - step] == row:
                            beyond += lists[2 * turn + 1, at - step]
                    if not error < SMOOTH:
                        beyond = beyond_circle(profile, grid, d, max(here[0], row), min(here[2], row + 1.0))
                    lists[2 * turn + 1, at] = beyond
            outer = here
            edge += step


@inlined
def disc_reach(profile, nodes):
    """Greatest half-width of a disc with lists, columns."""
    return nodes[NODE_HALF, int(profile[TOP])] if profile[KIND] == LISTED_POLYGON else profile[WIDEST]


@inlined
def disc_columns(u, profile, nodes, grid, row_start, row_stop, left, right, out):
    """Edges of columns, from left to right, that cross a disc with lists in rows [row_start, row_stop).

    Parameters
    ----------
    u, profile, nodes
        As `disc_lists` takes them.
    grid : Rows
        Where rows and columns lie.
    out : ndarray of int64, shape (4,)
        Filled with the first and the last of these edges west of the meridian, then east of it. Edges in between lie
        entirely inside the disc.
    """
    west, east, narrowest = math.floor(u), math.floor(u) + 1.0, -1.0
    if profile[KIND] == SERIES:
        count, radius, middle = int(profile[TERMS]), profile[RADIUS], profile[MIDDLE]
        a, b = (row_start - middle) / radius, (row_stop - middle) / radius
        h = half_width(profile, count, max(a, -1.0)), half_width(profile, count, min(b, 1.0))
        widest = profile[WIDEST] if a <= profile[TOP] <= b else max(h)
        if a > -1.0 and b < 1.0:
            narrowest = min(h)
    else:
        widest = disc_reach(profile, nodes)
        if profile[KIND] == LISTED_CIRCLE:
            h = circle_width(profile, grid, row_start), circle_width(profile, grid, row_stop)
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
    """List the edges ``columns`` that `disc_columns` found; the neighbouring edges have no crossings, in rows NaN."""
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


def disc_scratch(rows: int, columns: int, nvert: int, edges: int) -> Discs:
    """Make the arrays for the discs of one crater within a window.

    Parameters
    ----------
    rows, columns : int
        Size of the window.
    nvert : int
        Greatest number of vertices of the discs' polygons; 0 for true circles.
    edges : int
        Number of discs.
    """
    return Discs(
        nodes=np.stack([node_scratch(nvert)] * edges),
        profiles=np.empty((edges, PROFILE)),
        areas=np.empty((edges, rows + SPACE)),
        lists=np.empty((edges, LISTS, columns + SPACE)),
        columns=np.empty((edges, 4), np.int64),
        reach=np.empty((edges, 2), np.int64),
    )
