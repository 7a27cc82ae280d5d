"""Sums over the pixels of crater regions, each pixel counted by the fraction that the region covers.

Pixels that a disc covers entirely are summed as in `sums`: ring by ring, a vector of neighbouring pixels at a time.
Pixels on a disc's edge are few; they are listed with the fraction covered, and summed from the list. In a small crater
nearly all pixels are on an edge, so every pixel of the box around the crater is treated alike.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xcrater.kernels.accumulators import add_accumulator, merge_float, to_weighted
from xcrater.kernels.compile import apart, inlined, jit
from xcrater.kernels.covered_runs import copies
from xcrater.kernels.crossings import (
    beside_pole,
    disc_columns,
    disc_reach,
    disc_scratch,
    list_columns,
    list_polar,
    prepare_disc,
)
from xcrater.kernels.disc_areas import circle_areas
from xcrater.kernels.disc_profiles import FILL, KIND, LISTED_CIRCLE, SPACE
from xcrater.kernels.half_widths import SLACK, region_rows
from xcrater.kernels.lanes import LANES, NOWHERE, OUTSIDE
from xcrater.kernels.missing import NODATA, VALID
from xcrater.kernels.partial_pixels import EMPTY, cover_box, covered_part, disc_bounds, list_parts, parts_of
from xcrater.kernels.records import BoxScratch, BoxSums, CoveredScratch, Disc, EdgeScratch
from xcrater.kernels.slots import COUNT, HIGH, LOW, MISSING, NANS, PIXELS
from xcrater.kernels.sums import scan_ring

MOST_LANES = OUTSIDE - 4 * LANES
"""Columns that a disc may have for its bounds to fit into the 16 bits of a lane."""


@apart
def _take_pixels(block, top, left, places, n, x):
    """Copy the pixels at the first n ``places`` (row, column) to ``x``."""
    for k in range(n):
        x[k] = block[top + places[0, k], places[1, k] - left]


@apart
def _clip_parts(n, parts, rest):
    """Write the fractions not covered to ``rest``, and clear fractions of both that are only rounding."""
    for k in range(n):
        w = min(parts[k], 1.0)
        w = w if w > EMPTY else 0.0
        parts[k] = w
        rest[k] = 1.0 - w if w < 1.0 - EMPTY else 0.0


@inlined
def _cover_rings(pixels, u, first, window, origin, discs, edges, shown, box_sums, held):
    """Add the partly covered pixels of one crater's rings to their accumulators ``held[e]``.

    A pixel on the edge of disc e belongs partly to the ring that this disc bounds outwards, except for the part covered
    by the previous disc; and partly to the next ring, if the next disc contains the pixel.

    Parameters
    ----------
    pixels : Pixels
        One image of the tile.
    u : float
        Column coordinate of the crater's meridian, in the turn of longitude at hand.
    first : int
        First row of the grid that the outermost disc meets; ``shown[e]`` are the rows of disc e, counted from there.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile on the whole grid.
    origin : int
        Column that the lists of crossings begin with.
    discs : Discs
        The discs, with their lists.
    edges : EdgeScratch
        Bounds of each disc in each row, whether discs are nested, and scratch space.
    """
    top, left = first - window[0], window[2]
    lists, areas, columns = discs.lists, discs.areas, discs.columns
    bounds, nested, places = edges.bounds, edges.nested, edges.places
    parts, rest, values = edges.parts, edges.rest, edges.values
    count = nested.size
    for e in range(count):
        m = list_parts(
            u, first, shown[e, 0], shown[e, 1], columns[e], origin, lists[e], areas[e], bounds[e], window, places, parts
        )
        if m == 0:
            continue
        _take_pixels(pixels.stored, top, left, places, m, values)
        _clip_parts(m, parts, rest)
        last = e + 1 == count
        if not (nested[e] and (last or nested[e + 1])):
            for k in range(m):
                i, column = places[0, k], places[1, k]
                if e > 0 and bounds[e - 1, i, 0] <= column < bounds[e - 1, i, 3]:
                    inside = 0.0
                    if not bounds[e - 1, i, 1] <= column < bounds[e - 1, i, 2]:
                        inside = parts[k] - covered_part(
                            u, lists[e - 1], columns[e - 1], origin, first + i, areas[e - 1, i], column
                        )  # fmt: skip
                    parts[k] = inside if inside > EMPTY else 0.0
                if not (last or bounds[e + 1, i, 1] <= column < bounds[e + 1, i, 2]):
                    rest[k] = 0.0
        if not pixels.clean:
            for k in range(m):
                code = pixels.codes[top + places[0, k], places[1, k] - left]
                if code != VALID:
                    slot = MISSING if code == NODATA else NANS
                    held[e, slot] += parts[k]
                    if not last:
                        held[e + 1, slot] += rest[k]
                    parts[k] = rest[k] = values[k] = 0.0
        until = (m + ACROSS - 1) // ACROSS * ACROSS
        for k in range(m, until):
            parts[k] = rest[k] = values[k] = 0.0
        rows = until // ACROSS
        table = values[:until].reshape(rows, ACROSS)
        _add_box(table, parts[:until].reshape(rows, ACROSS), 0, rows, 0, ACROSS, box_sums, e, held)
        if not last:
            _add_box(table, rest[:until].reshape(rows, ACROSS), 0, rows, 0, ACROSS, box_sums, e + 1, held)


ACROSS = 16
"""Columns of the table into which listed pixels are put in order to sum them like a box."""


BOX = 48
"""Largest number of rows and of columns of a crater whose pixels are all treated alike; a multiple of `FILL`."""


@apart
def _add_box(values, parts, row, stop, skip, n, box_sums, e, held):
    """Add rows [row, stop) of a box of pixels, each weighted by the fraction covered, to accumulator ``held[e]``.

    Parameters
    ----------
    values, parts : ndarray of float64, shape (rows, columns)
        Pixels, and the fraction covered of each.
    row, stop : int
        The rows.
    skip, n : int
        First column, and number of columns.
    box_sums : BoxSums
        Scratch space.
    """
    weight, total, square, low, high = box_sums
    for j in range(n):
        weight[j] = total[j] = square[j] = 0.0
        low[j], high[j] = np.inf, -np.inf
    # Sums count from one of the values, so that a large mean costs no digits.
    origin = values[(row + stop) >> 1, skip + (n >> 1)]
    for i in range(row, stop - 1, 2):
        part, x = parts[i, skip : skip + n], values[i, skip : skip + n]
        other_part, other_x = parts[i + 1, skip : skip + n], values[i + 1, skip : skip + n]
        for j in range(n):
            w, d, other_w, other_d = part[j], x[j] - origin, other_part[j], other_x[j] - origin
            wd, other_wd = w * d, other_w * other_d
            weight[j] += w + other_w
            total[j] += wd + other_wd
            square[j] += wd * d + other_wd * other_d
            low[j] = min(low[j], min(x[j] if w > 0.0 else np.inf, other_x[j] if other_w > 0.0 else np.inf))
            high[j] = max(high[j], max(x[j] if w > 0.0 else -np.inf, other_x[j] if other_w > 0.0 else -np.inf))
    if (stop - row) % 2:
        part, x = parts[stop - 1, skip : skip + n], values[stop - 1, skip : skip + n]
        for j in range(n):
            w, d = part[j], x[j] - origin
            wd = w * d
            weight[j] += w
            total[j] += wd
            square[j] += wd * d
            low[j] = min(low[j], x[j] if w > 0.0 else np.inf)
            high[j] = max(high[j], x[j] if w > 0.0 else -np.inf)
    mass = shifted = about = 0.0
    least, most = np.inf, -np.inf
    for j in range(n):
        mass += weight[j]
        shifted += total[j]
        about += square[j]
        least, most = min(least, low[j]), max(most, high[j])
    if mass <= 0.0:
        return
    away = shifted / mass
    whole, squares = shifted + origin * mass, about - shifted * away
    if not squares >= KEPT * about:  # too many digits were lost, or some values are infinite
        whole = squares = 0.0
        for i in range(row, stop):
            for j in range(skip, skip + n):
                if parts[i, j] > 0.0:
                    whole += parts[i, j] * values[i, j]
        mean = whole / mass
        for i in range(row, stop):
            for j in range(skip, skip + n):
                if parts[i, j] > 0.0:
                    d = values[i, j] - mean
                    squares += parts[i, j] * (d * d)
    merge_float(held, e, mass, whole, squares)
    held[e, LOW], held[e, HIGH] = min(held[e, LOW], least), max(held[e, HIGH], most)


KEPT = 1e-4
"""Fraction of a sum of squares that must remain after the square of the mean is subtracted, to keep 12 digits."""


@apart
def _without(inner, row, stop, skip, n, outer):
    """Subtract rows [row, stop) of one box of fractions covered from another; below `EMPTY`, nothing is left."""
    for i in range(row, stop):
        a, b = inner[i, skip : skip + n], outer[i, skip : skip + n]
        for j in range(b.size):
            w = b[j] - a[j]
            b[j] = w if w > EMPTY else 0.0


@apart
def _bounds_to_lanes(bounds, n, left, right, origin, lanes):
    """Convert the columns that a disc contains and touches in n rows into lanes ``lanes[:, 1]`` and ``lanes[:, 2]``.

    Lanes ``lanes[:, 0]`` are those that the disc before touches. The loop has no branches, for the vectoriser.

    Returns
    -------
    pixels : int
        Number of pixels that the disc contains and the disc before does not touch.
    nested : bool
        Whether the disc contains every pixel that the disc before touches.
    """
    pixels = outside = 0
    for i in range(n):
        a, c, d, b = bounds[i, 0], max(bounds[i, 1], left), min(bounds[i, 2], right), bounds[i, 3]
        meets, holds = a < b, c < d
        lanes[0, 2, i] = np.int16(a - origin if meets else OUTSIDE)
        lanes[1, 2, i] = np.int16(b - origin if meets else NOWHERE)
        first, stop = (c - origin if holds else OUTSIDE), (d - origin if holds else NOWHERE)
        lanes[0, 1, i] = np.int16(first)
        lanes[1, 1, i] = np.int16(stop)
        hole_first, hole_stop = int(lanes[0, 0, i]), int(lanes[1, 0, i])
        hole = min(hole_stop, stop) - max(hole_first, first)
        pixels += max(0, stop - first) - (max(0, hole) if holds else 0)
        outside += (hole_first < first) | (hole_stop > stop)
    return pixels, outside == 0


@inlined
def _scan_whole(pixels, squares, first, rows, window, wide, groups, origin, edges, held):
    """Add the wholly covered pixels of one crater's rings to their accumulators ``held[e]``.

    Parameters
    ----------
    pixels, squares, window
        As `accumulate_covered` takes them.
    first, rows : int
        First row of the grid that the outermost disc meets, and the number of its rows.
    wide : bool
        Whether whole squares of pixels are taken from their summary.
    groups : int
        Groups of lanes that the outermost disc is wide.
    origin : int
        Column of the grid that lane 0 stands for.
    edges : EdgeScratch
        Lanes of what each disc contains and touches, and how many pixels each ring contains.
    """
    left, top = window[2], first - window[0]
    lanes, whole = edges.lanes, edges.whole
    for e in range(whole.size):
        if whole[e] == 0:
            continue
        before = held[e, COUNT] + held[e, NANS]
        scan_ring(pixels, squares, top, origin - left, lanes, 2 * e, 0, rows, wide, groups, held, e)
        held[e, MISSING] += whole[e] - (held[e, COUNT] + held[e, NANS] - before)


@inlined
def _add_small(block, u, first, rows, window, grid, place, width, discs, boxes, held):
    """Add the pixels of a crater that fits into a box to the accumulators ``held[e]`` of its rings.

    Parameters
    ----------
    block : ndarray, shape (rows, columns)
        Pixels, all with values.
    place, width : int
        First column of the box, and the number of its columns; a multiple of `FILL`.
    boxes : BoxScratch
        Scratch space.
    u, first, rows, window, grid, discs
        As `_add_large` takes them.
    """
    left, right = window[2], window[3]
    reach, columns, shown = discs.reach, discs.columns, boxes.shown
    count = reach.shape[0]
    for r in range(rows):
        line, value = block[first - window[0] + r, place - left : place - left + width], boxes.values[r, :width]
        for c in range(width):
            value[c] = line[c]
    for e in range(count):
        begin, end = first + reach[e, 0], first + reach[e, 1]
        disc_columns(u, discs.profiles[e], discs.nodes[e], grid, begin, end, left, right, columns[e])
        shown[e, 0] = shown[e, 1] = 0
        if begin < end and columns[e, 0] <= right and columns[e, 3] >= left:
            skip = (max(columns[e, 0] - 1, place) - place) // FILL * FILL
            n = (min(columns[e, 3] + 1, right) - place - skip + FILL - 1) // FILL * FILL
            shown[e, 0], shown[e, 1] = skip, n
            disc = Disc(discs.profiles[e], discs.nodes[e], discs.areas[e, reach[e, 0] :], discs.lists[e])
            cover_box(u, disc, begin, end, columns[e], place + skip, skip, n, boxes.parts[e, reach[e, 0] :])
    for e in range(count - 1, -1, -1):
        a, b, skip, n = reach[e, 0], reach[e, 1], shown[e, 0], shown[e, 1]
        if e > 0 and shown[e - 1, 1] > 0:
            _without(
                boxes.parts[e - 1], reach[e - 1, 0], reach[e - 1, 1], shown[e - 1, 0], shown[e - 1, 1], boxes.parts[e]
            )
        if n > 0:
            _add_box(boxes.values, boxes.parts[e], a, b, skip, n, boxes.sums, e, held)


@inlined
def _add_large(pixels, squares, u, first, rows, window, grid, a, b, scratch):
    """Add the pixels of a crater's rings to accumulators: whole pixels to ``held``, listed ones to ``partly``.

    Parameters
    ----------
    pixels, squares, window, grid, scratch
        As `accumulate_covered` takes them.
    u : float
        Column coordinate of the crater's meridian, in the turn of longitude at hand.
    first, rows : int
        First row of the grid that the outermost disc meets, and the number of its rows.
    a, b : int
        Columns [a, b) of the window that the outermost disc meets.
    """
    discs, edges, shown = scratch.discs, scratch.edges, scratch.boxes.shown
    reach, columns, profiles, nodes = discs.reach, discs.columns, discs.profiles, discs.nodes
    lists, areas, bounds = discs.lists, discs.areas, edges.bounds
    left, right, count = window[2], window[3], reach.shape[0]
    place = a - 2
    for e in range(count):
        begin, end = first + reach[e, 0], first + reach[e, 1]
        disc_columns(u, profiles[e], nodes[e], grid, begin, end, left, right, columns[e])
        if columns[e, 0] > right or columns[e, 3] < left:
            begin = end = first  # nothing of the disc shows
        else:
            list_columns(
                u, profiles[e], nodes[e], grid, areas[e, reach[e, 0] :], begin, end, columns[e], place, lists[e]
            )
        shown[e, 0], shown[e, 1] = begin - first, end - first
        disc_bounds(lists[e], columns[e], first, begin, end, first + rows, left, right, place, edges.tally, bounds[e])
        if profiles[e, KIND] == LISTED_CIRCLE:
            circle_areas(u, profiles[e], grid, first, begin - first, end - first, left, right, bounds[e], areas[e])
    wide = b - a > 4 * LANES
    if wide:
        a -= (a - left) % LANES
    groups = (b - a + LANES - 1) // LANES
    origin = min(a, left + pixels.stored.shape[1] - groups * LANES)
    for e in range(count):
        edges.whole[e], edges.nested[e] = _bounds_to_lanes(
            bounds[e], rows, left, right, origin, edges.lanes[:, 2 * e : 2 * e + 3]
        )
    _scan_whole(pixels, squares, first, rows, window, wide, groups, origin, edges, scratch.held)
    _cover_rings(pixels, u, first, window, place, discs, edges, shown, scratch.boxes.sums, scratch.partly)


@jit
def accumulate_covered(pixels, squares, order, caps, nest, grid, window, scratch, start, sums, left_out):
    """Accumulate the pixels of every crater's regions, each by the fraction covered.

    Parameters
    ----------
    pixels, squares, order, caps, nest, grid, window
        As `accumulate` takes them; ``nest.modes`` is not used.
    scratch : CoveredScratch
        From `covered_scratch` for that window.
    start : ndarray, shape (8,)
        An unweighted accumulator before any pixel.
    sums : Sums
        The weighted accumulators, ``out[i, image, nest.members[k]]`` for region k of crater i.
    left_out : ndarray of int64, shape (n,)
        Filled with the craters that are left out and must be drawn instead: those with discs without lists of
        crossings, with more columns than fit into lanes, or on rows that reach beyond a pole.

    Returns
    -------
    int
        The number of craters left out.
    """
    discs, held, partly, out = scratch.discs, scratch.held, scratch.partly, sums.out
    reach, profiles, nodes = discs.reach, discs.profiles, discs.nodes
    edges, nvert = nest.edges, nest.nvert
    count, left, right = edges.size, window[2], window[3]
    most = 0.5 * math.pi + abs(grid.lat_step) * SLACK
    lost = 0
    for j in range(order.size):
        i = order[j]
        u0, lat0, rad = caps.u0[i], caps.lat[i], caps.radius[i]
        first, stop = region_rows(lat0, edges[-1] * rad, grid, window[0], window[1])
        rows = stop - first
        polar = False
        north, south = grid.lat_origin + grid.lat_step * first, grid.lat_origin + grid.lat_step * stop
        listed = max(abs(north), abs(south)) <= most
        for e in range(count):
            a, b = region_rows(lat0, edges[e] * rad, grid, first, stop)
            reach[e, 0], reach[e, 1] = a - first, b - first
            rho = beside_pole(lat0, edges[e] * rad, nvert)
            ready = prepare_disc(e, lat0, rho, nvert, grid, first, a, b, nodes, profiles, discs.areas)
            polar |= not ready
            listed &= ready or list_polar(e, grid, nvert, first, a, b, nodes, profiles, discs.areas)
            for slot in range(8):
                partly[e, slot] = sums.start[slot]
        widest = disc_reach(profiles[count - 1], nodes[count - 1]) if listed else np.inf
        if min(2.0 * widest, float(right - left)) > MOST_LANES or not listed:
            left_out[lost] = i
            lost += 1
            continue
        k_first, k_last = copies(u0, widest, grid.period, left, right)
        small = rows <= BOX and 2.0 * widest + 2.0 <= min(BOX, (right - left) // FILL * FILL)
        boxed = pixels.clean and small and not polar
        if not boxed:
            for e in range(count):
                for slot in range(8):
                    held[e, slot] = start[slot]
        for k in range(k_first, k_last + 1):
            u = u0 + k * grid.period
            a, b = int(max(math.floor(u - widest), left)), int(min(math.ceil(u + widest), right))
            if a >= b:
                continue
            if boxed:
                width = (b - a + FILL - 1) // FILL * FILL
                place = min(a, right - width)
                _add_small(pixels.stored, u, first, rows, window, grid, place, width, discs, scratch.boxes, partly)
            else:
                _add_large(pixels, squares, u, first, rows, window, grid, a, b, scratch)
        for e in range(count):
            if not boxed:
                to_weighted(pixels.exact, held, e, partly, e)
            partly[e, PIXELS] = partly[e, COUNT]
        for k in range(nest.members.size):
            t = nest.outer[k]
            if nest.inner[k] + 1 < t:
                t = count
                for slot in range(8):
                    partly[t, slot] = sums.start[slot]
                for e in range(nest.inner[k] + 1, nest.outer[k] + 1):
                    add_accumulator(None, partly, e, partly, t)
            for slot in range(8):
                out[i, sums.image, nest.members[k], slot] = partly[t, slot]
    return lost


def covered_scratch(window: tuple[int, int, int, int], nvert: int, edges: int, dtype: np.dtype[Any]) -> CoveredScratch:
    """Arrays that `accumulate_covered` works in, any number of times.

    Parameters
    ----------
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile.
    nvert : int
        Number of vertices of the discs' polygons; 0 for true circles.
    edges : int
        Number of discs.
    dtype : dtype
        Dtype of an unweighted accumulator.
    """
    rows, columns = window[1] - window[0], window[3] - window[2]
    lanes = np.empty((2, 2 * edges + 1, rows + 4 * SPACE), np.int16)
    lanes[0], lanes[1] = OUTSIDE, NOWHERE
    parts = (parts_of(rows, columns) + ACROSS) // ACROSS * ACROSS
    return CoveredScratch(
        discs=disc_scratch(rows, columns, nvert, edges),
        edges=EdgeScratch(
            tally=np.empty((rows + SPACE, 4), np.int64),
            bounds=np.empty((edges, rows + SPACE, 4), np.int64),
            lanes=lanes,
            places=np.empty((2, parts + SPACE), np.int64),
            parts=np.empty(parts),
            rest=np.empty(parts + SPACE),
            values=np.empty(parts + 2 * SPACE),
            whole=np.empty(edges, np.int64),
            nested=np.empty(edges, np.bool_),
        ),
        boxes=BoxScratch(
            values=np.empty((BOX, BOX)),
            parts=np.empty((edges, BOX, BOX)),
            shown=np.empty((edges, 2), np.int64),
            sums=BoxSums(*np.empty((5, BOX))),
        ),
        held=np.empty((edges, 8), dtype),
        partly=np.empty((edges + 1, 8)),
    )
