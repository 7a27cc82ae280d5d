"""Accumulators of pixels that count by the fraction covered."""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.accumulators import (
    COUNT,
    HIGH,
    LOW,
    MISSING,
    NANS,
    PIXELS,
    add_accumulator,
    merge_float,
    to_weighted,
)
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
from xcrater.kernels.lanes import LANES, NOWHERE, OUTSIDE
from xcrater.kernels.missing import NODATA, VALID
from xcrater.kernels.partial_pixels import EMPTY, cover_box, covered_part, disc_bounds, list_parts, parts_of
from xcrater.kernels.spans import SLACK, node_scratch, region_rows
from xcrater.kernels.sums import TALL, scan_band, scan_lanes

MOST_LANES = OUTSIDE - 4 * LANES
"""Columns of a disc whose bounds fit in lanes."""


@apart
def _take_pixels(block, top, left, places, n, x):
    """Values of the pixels at ``places``."""
    for k in range(n):
        x[k] = block[top + places[0, k], places[1, k] - left]


@apart
def _clip_parts(n, parts, rest):
    """What is left of the pixels in ``rest``, and no rounding in either."""
    for k in range(n):
        w = min(parts[k], 1.0)
        w = w if w > EMPTY else 0.0
        parts[k] = w
        rest[k] = 1.0 - w if w < 1.0 - EMPTY else 0.0


@inlined
def _cover_rings(block, codes, clean, u, first, shown, nested, columns, origin, lists, areas, bounds, window, places,
                 cells, sums, held):  # fmt: skip
    """Add the partly covered pixels of one crater's rings, those of the copy at u, to their accumulators.

    They are of the ring that ends with the disc, without what the disc before covers; and of the next one, where the
    next disc holds them.
    """
    top, left = first - window[0], window[2]
    count = nested.size
    parts, rest, values = cells
    for e in range(count):
        m = list_parts(
            u, first, shown[e, 0], shown[e, 1], columns[e], origin, lists[e], areas[e], bounds[e], left, window[3],
            places, parts,
        )  # fmt: skip
        if m == 0:
            continue
        _take_pixels(block, top, left, places, m, values)
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
        if not clean:
            for k in range(m):
                code = codes[top + places[0, k], places[1, k] - left]
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
        _add_box(table, parts[:until].reshape(rows, ACROSS), 0, rows, 0, ACROSS, *sums, e, held)
        if not last:
            _add_box(table, rest[:until].reshape(rows, ACROSS), 0, rows, 0, ACROSS, *sums, e + 1, held)


ACROSS = 16
"""Columns of a box that pixels from anywhere are put into."""


BOX = 48
"""Rows and columns of a box at most, whose pixels are treated alike; a multiple of `FILL`."""


@apart
def _add_box(pixels, parts, row, stop, skip, n, weight, total, square, low, high, e, held):
    """Add rows [row, stop) of a box, each pixel by its part, to an accumulator; after ``n`` comes scratch space."""
    for j in range(n):
        weight[j] = total[j] = square[j] = 0.0
        low[j], high[j] = np.inf, -np.inf
    origin = pixels[(row + stop) >> 1, skip + (n >> 1)]  # sums count from there
    for i in range(row, stop - 1, 2):
        part, x = parts[i, skip : skip + n], pixels[i, skip : skip + n]
        other_part, other_x = parts[i + 1, skip : skip + n], pixels[i + 1, skip : skip + n]
        for j in range(n):
            w, d, other_w, other_d = part[j], x[j] - origin, other_part[j], other_x[j] - origin
            wd, other_wd = w * d, other_w * other_d
            weight[j] += w + other_w
            total[j] += wd + other_wd
            square[j] += wd * d + other_wd * other_d
            low[j] = min(low[j], min(x[j] if w > 0.0 else np.inf, other_x[j] if other_w > 0.0 else np.inf))
            high[j] = max(high[j], max(x[j] if w > 0.0 else -np.inf, other_x[j] if other_w > 0.0 else -np.inf))
    if (stop - row) % 2:
        part, x = parts[stop - 1, skip : skip + n], pixels[stop - 1, skip : skip + n]
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
    if not squares >= KEPT * about:  # too many digits went, or there are infinities
        whole = squares = 0.0
        for i in range(row, stop):
            for j in range(skip, skip + n):
                if parts[i, j] > 0.0:
                    whole += parts[i, j] * pixels[i, j]
        mean = whole / mass
        for i in range(row, stop):
            for j in range(skip, skip + n):
                if parts[i, j] > 0.0:
                    d = pixels[i, j] - mean
                    squares += parts[i, j] * (d * d)
    merge_float(held, e, mass, whole, squares)
    held[e, LOW], held[e, HIGH] = min(held[e, LOW], least), max(held[e, HIGH], most)


KEPT = 1e-4
"""Share of a sum of squares that has to be left when the square of the mean is taken off, for 12 digits of it."""


@apart
def _without(inner, row, stop, skip, n, outer):
    """Take rows [row, stop) of one box of parts from another."""
    for i in range(row, stop):
        a, b = inner[i, skip : skip + n], outer[i, skip : skip + n]
        for j in range(b.size):
            w = b[j] - a[j]
            b[j] = w if w > EMPTY else 0.0


@apart
def _bounds_to_lanes(bounds, n, left, right, origin, lanes):
    """Bounds in lanes of what a disc holds and touches in n rows: ``lanes[:, 1]``, ``lanes[:, 2]``.

    Returns how many of the pixels held are not in ``lanes[:, 0]``, what the disc before touches, and whether all that
    it touches is held. A loop without branches, for the vectoriser.
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
def _scan_whole(block, codes, clean, exact, squares, first, stop, count, window, wide, groups, origin, lanes, whole,
                held):  # fmt: skip
    """Add the wholly covered pixels of one crater's rings, by their lanes."""
    rows, left, top = stop - first, window[2], first - window[0]
    for e in range(count):
        if whole[e] == 0:
            continue
        before = held[e, COUNT] + held[e, NANS]
        row = 0
        while row < rows:
            until = min(rows, row + LANES - (top + row) % LANES if wide else row + TALL)
            if wide:
                scan_band(block, codes, clean, exact, squares, top, origin - left, lanes, 2 * e, row, until, held, e)
            else:
                for lane in range(0, groups * LANES, LANES):
                    scan_lanes(
                        block, codes, clean, exact, top, origin - left, lanes, 2 * e, row, until, lane, held, e
                    )  # fmt: skip
            row = until
        held[e, MISSING] += whole[e] - (held[e, COUNT] + held[e, NANS] - before)


@jit
def accumulate_covered(block, codes, clean, exact, squares, order, u0, lat0, rad, edges, outer_edge, inner_edge,
                       members, nvert, grid, window, scratch, start, partly_start, held, partly, image, out,
                       left_out):  # fmt: skip
    """Accumulate the pixels of every crater's regions, each by the fraction covered.

    Wholly covered pixels go the way of `accumulate`, by rings and vectors of lanes; those on a disc's edge one by one.

    Parameters
    ----------
    block, codes, clean, exact, squares, order, u0, lat0, rad, members, nvert, grid, window, start, image
        As for `accumulate`.
    edges : ndarray, shape (e,)
        Radius of each disc in crater radii, innermost first.
    outer_edge, inner_edge : ndarray, shape (k,)
        Discs that bound each region; -1 for no hole.
    scratch : tuple of ndarray
        From `covered_scratch`.
    partly_start : ndarray, shape (8,)
        A weighted accumulator before any pixel.
    held, partly : ndarray, shape (e, 8) and (e + 1, 8)
        Scratch space: one crater's rings, of whole pixels and of parts.
    out : ndarray, shape (n, images, regions, 8)
        The weighted accumulators.
    left_out : ndarray of int64, shape (n,)
        Filled with the craters that are left out: of discs without lists, of more columns than there are lanes for,
        and on rows that reach beyond a pole.

    Returns
    -------
    int
        How many were left out.
    """
    (nodes, profiles, areas, lists, columns, reach), by_edges, by_boxes = scratch
    tally, bounds, lanes, places, cells, whole, nested = by_edges
    pixels, box, shown, sums = by_boxes
    count, left, right = edges.size, window[2], window[3]
    most = 0.5 * math.pi + abs(grid[1]) * SLACK
    lost = 0
    for j in range(order.size):
        i = order[j]
        first, stop = region_rows(lat0[i], edges[-1] * rad[i], grid, window[0], window[1])
        rows = stop - first
        polar = False
        listed = max(abs(grid[0] + grid[1] * first), abs(grid[0] + grid[1] * stop)) <= most
        for e in range(count):
            a, b = region_rows(lat0[i], edges[e] * rad[i], grid, first, stop)
            reach[e, 0], reach[e, 1] = a - first, b - first
            rho = beside_pole(lat0[i], edges[e] * rad[i], nvert)
            ready = prepare_disc(e, lat0[i], rho, nvert, grid, first, a, b, nodes, profiles, areas)
            polar |= not ready
            listed &= ready or list_polar(e, grid, nvert, first, a, b, nodes, profiles, areas)
            for slot in range(8):
                partly[e, slot] = partly_start[slot]
        widest = disc_reach(profiles[count - 1], nodes[count - 1]) if listed else np.inf
        if min(2.0 * widest, float(right - left)) > MOST_LANES or not listed:
            left_out[lost] = i
            lost += 1
            continue
        k_first, k_last = copies(u0[i], widest, grid[2], left, right)
        boxed = clean and rows <= BOX and 2.0 * widest + 2.0 <= min(BOX, (right - left) // FILL * FILL) and not polar
        if not boxed:
            for e in range(count):
                for slot in range(8):
                    held[e, slot] = start[slot]
        for k in range(k_first, k_last + 1):
            u = u0[i] + k * grid[2]
            a, b = int(max(math.floor(u - widest), left)), int(min(math.ceil(u + widest), right))
            if a >= b:
                continue
            width = (b - a + FILL - 1) // FILL * FILL
            if boxed:
                at = min(a, right - width)
                for r in range(rows):
                    line, pixel = block[first - window[0] + r, at - left : at - left + width], pixels[r, :width]
                    for c in range(width):
                        pixel[c] = line[c]
                for e in range(count):
                    begin, end = first + reach[e, 0], first + reach[e, 1]
                    disc_columns(u, profiles[e], nodes[e], grid, begin, end, left, right, columns[e])
                    shown[e, 0] = shown[e, 1] = 0
                    if begin < end and columns[e, 0] <= right and columns[e, 3] >= left:
                        skip = (max(columns[e, 0] - 1, at) - at) // FILL * FILL
                        n = (min(columns[e, 3] + 1, right) - at - skip + FILL - 1) // FILL * FILL
                        shown[e, 0], shown[e, 1] = skip, n
                        cover_box(
                            u, profiles[e], nodes[e], areas[e, reach[e, 0] :], reach[e, 0], begin, end,
                            columns[e], at + skip, skip, n, lists[e], box[e],
                        )  # fmt: skip
                for e in range(count - 1, -1, -1):
                    if e > 0 and shown[e - 1, 1] > 0:
                        _without(box[e - 1], reach[e - 1, 0], reach[e - 1, 1], shown[e - 1, 0], shown[e - 1, 1], box[e])
                    if shown[e, 1] > 0:
                        _add_box(pixels, box[e], reach[e, 0], reach[e, 1], shown[e, 0], shown[e, 1], *sums, e, partly)
                continue
            place = a - 2  # of the lists
            for e in range(count):
                begin, end = first + reach[e, 0], first + reach[e, 1]
                disc_columns(u, profiles[e], nodes[e], grid, begin, end, left, right, columns[e])
                if columns[e, 0] > right or columns[e, 3] < left:
                    begin = end = first  # none of it shows
                else:
                    list_columns(
                        u, profiles[e], nodes[e], grid, areas[e, reach[e, 0] :], begin, end, columns[e], place,
                        lists[e],
                    )  # fmt: skip
                shown[e, 0], shown[e, 1] = begin - first, end - first
                disc_bounds(lists[e], columns[e], first, begin, end, stop, left, right, place, tally, bounds[e])
                if profiles[e, KIND] == LISTED_CIRCLE:
                    at = begin - first, end - first, left, right
                    circle_areas(u, profiles[e], grid, first, *at, bounds[e], areas[e])
            wide = b - a > 4 * LANES
            if wide:
                a -= (a - left) % LANES
            groups = (b - a + LANES - 1) // LANES
            origin = min(a, left + block.shape[1] - groups * LANES)
            for e in range(count):
                whole[e], nested[e] = _bounds_to_lanes(
                    bounds[e], rows, left, right, origin, lanes[:, 2 * e : 2 * e + 3]
                )  # fmt: skip
            _scan_whole(
                block, codes, clean, exact, squares, first, stop, count, window, wide, groups, origin, lanes, whole,
                held,
            )  # fmt: skip
            _cover_rings(
                block, codes, clean, u, first, shown, nested, columns, place, lists, areas, bounds, window, places,
                cells, sums, partly,
            )  # fmt: skip
        for e in range(count):
            if not boxed:
                to_weighted(exact, held, e, partly, e)
            partly[e, PIXELS] = partly[e, COUNT]
        for k in range(members.size):
            t = outer_edge[k]
            if inner_edge[k] + 1 < t:
                t = count
                for slot in range(8):
                    partly[t, slot] = partly_start[slot]
                for e in range(inner_edge[k] + 1, outer_edge[k] + 1):
                    add_accumulator(None, partly, e, partly, t)
            for slot in range(8):
                out[i, image, members[k], slot] = partly[t, slot]
    return lost


def covered_scratch(window, nvert, edges):
    """Arrays that `accumulate_covered` needs for a window: for discs, for their edges' pixels, and for small boxes."""
    rows, columns = window[1] - window[0], window[3] - window[2]
    lanes = np.empty((2, 2 * edges + 1, rows + 4 * SPACE), np.int16)
    lanes[0], lanes[1] = OUTSIDE, NOWHERE
    parts = (parts_of(rows, columns) + ACROSS) // ACROSS * ACROSS
    discs = (
        np.stack([node_scratch(nvert)] * edges),
        *disc_scratch(rows, columns, edges),
        np.empty((edges, 4), np.int64),
        np.empty((edges, 2), np.int64),
    )
    by_edges = (
        np.empty((rows + SPACE, 4), np.int64),
        np.empty((edges, rows + SPACE, 4), np.int64),
        lanes,
        np.empty((2, parts + SPACE), np.int64),
        (np.empty(parts), np.empty(parts + SPACE), np.empty(parts + 2 * SPACE)),
        np.empty(edges, np.int64),
        np.empty(edges, np.bool_),
    )
    by_boxes = (
        np.empty((BOX, BOX)),
        np.empty((edges, BOX, BOX)),
        np.empty((edges, 2), np.int64),
        tuple(np.empty((5, BOX))),
    )
    return discs, by_edges, by_boxes
