"""Spans and a block of pixels to accumulators: pixel space only."""

from __future__ import annotations

import numpy as np

from xcrater.kernels.accumulators import (
    COUNT,
    HIGH,
    LOW,
    MISSING,
    NANS,
    SQ_HIGH,
    SQ_LOW,
    TOTAL,
    add_accumulator,
    add_sums,
    merge_float,
)
from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.lanes import LANES, NOWHERE, OUTSIDE, ring_deviations, ring_sums
from xcrater.kernels.missing import NODATA, VALID
from xcrater.kernels.spans import CENTER, disc_lanes, edge_half_widths, nested_lanes, row_columns, row_spans


@inlined
def scan_exact(block, codes, clean, r, a, b, held, t):
    """Add pixels [a, b) of row r, integers, to an accumulator."""
    for c in range(a, b):
        if clean or codes[r, c] == VALID:
            x = np.int64(block[r, c])
            held[t, COUNT] += 1
            held[t, TOTAL] += x
            held[t, LOW] = min(held[t, LOW], x)
            held[t, HIGH] = max(held[t, HIGH], x)
            x *= x
            held[t, SQ_LOW] += x & 0xFFFFFFFF
            held[t, SQ_HIGH] += x >> 32
        else:
            held[t, MISSING] += 1


@inlined
def scan_float(block, codes, clean, r, a, b, held, t):
    """Add pixels [a, b) of row r, floats, to an accumulator.

    A run's deviations are taken from its own mean, and runs merge by Chan's update (Chan, Golub & LeVeque
    1983), so a mean far larger than the spread costs no digits.
    """
    s = square = 0.0
    n = 0
    for c in range(a, b):
        if clean or codes[r, c] == VALID:
            x = np.float64(block[r, c])
            n += 1
            s += x
            held[t, LOW] = min(held[t, LOW], x)
            held[t, HIGH] = max(held[t, HIGH], x)
        elif codes[r, c] == NODATA:
            held[t, MISSING] += 1
        else:
            held[t, NANS] += 1
    if n == 0:
        return
    mean = s / n
    for c in range(a, b):
        if clean or codes[r, c] == VALID:
            d = np.float64(block[r, c]) - mean
            square += d * d
    merge_float(held, t, n, s, square)


@inlined
def scan_lanes(block, codes, clean, exact, top, left, lanes, e, first, stop, lane, held, t):
    """Add a ring's pixels in one group of lanes to an accumulator, all but MISSING; see `ring_sums`."""
    n, nans, total, low, high, square_high, square_low = ring_sums(
        block, codes, clean, top, left, lanes, e, first, stop, lane
    )
    if exact is None:
        held[t, NANS] += nans
    if n > 0:
        held[t, LOW] = min(held[t, LOW], low)
        held[t, HIGH] = max(held[t, HIGH], high)
        if exact is None:
            square = ring_deviations(block, codes, clean, top, left, lanes, e, first, stop, lane, total / n)
            merge_float(held, t, n, total, square)
        else:
            held[t, COUNT] += n
            held[t, TOTAL] += total
            held[t, SQ_HIGH] += square_high
            held[t, SQ_LOW] += square_low


@jit
def summarise(block, codes, clean, exact, start, lanes, out):
    """Accumulators, without MISSING, of every whole square of `LANES` by `LANES` pixels, row by row of squares.

    ``lanes``, of shape (2, 2, LANES), is scratch space.
    """
    across = block.shape[1] // LANES
    lanes[0, 0], lanes[1, 0], lanes[0, 1], lanes[1, 1] = OUTSIDE, NOWHERE, 0, LANES
    for j in range(out.shape[0]):
        for slot in range(8):
            out[j, slot] = start[slot]
        top, left = j // across * LANES, j % across * LANES
        scan_lanes(block, codes, clean, exact, top, left, lanes, 0, 0, LANES, 0, out, j)


TALL = 16384
"""Rows that are scanned at once: so many counts fit a lane."""


@jit
def scan_band(block, codes, clean, exact, squares, top, left, lanes, e, row, until, held, t):
    """Add the pixels of ring e in a few rows to accumulator t, whole squares of them from the summary."""
    # The widest and the narrowest of these rows, of the disc and of its hole.
    out_a, full_a, full_b, out_b = OUTSIDE, 0, OUTSIDE, NOWHERE
    hole_a, core_a, core_b, hole_b = OUTSIDE, 0, OUTSIDE, NOWHERE
    for r in range(row, until):
        a, b, c, d = lanes[0, e + 1, r], lanes[1, e + 1, r], lanes[0, e, r], lanes[1, e, r]
        out_a, full_a, full_b, out_b = min(out_a, a), max(full_a, a), min(full_b, b), max(out_b, b)
        hole_a, core_a, core_b, hole_b = min(hole_a, c), max(core_a, c), min(core_b, d), max(hole_b, d)
    whole = squares.shape[0] > 0 and until - row == LANES and (top + row) % LANES == 0 and left % LANES == 0
    across = block.shape[1] // LANES
    for lane in range(out_a // LANES * LANES, out_b, LANES):
        last = lane + LANES
        if core_a <= lane and last <= core_b:
            continue
        if whole and full_a <= lane and last <= full_b and (hole_b <= lane or last <= hole_a):
            add_sums(exact, squares, (top + row) // LANES * across + (left + lane) // LANES, held, t)
        else:
            scan_lanes(block, codes, clean, exact, top, left, lanes, e, row, until, lane, held, t)


@inlined
def _scan_rings(block, codes, clean, exact, squares, u0, widest, first, stop, edges, modes, period, window, half, lanes,
                reach, held):  # fmt: skip
    """Add the pixels of one crater's rings to their accumulators; False where a row takes more than its two bounds."""
    left, right, count, rows = window[2], window[3], edges.size, stop - first
    u = u0 + period * np.rint((0.5 * (left + right) - u0) / period)
    a, b = left, right
    if widest < 0.5 * period:
        start, end = row_columns(u, widest, modes[count - 1])
        a, b = int(max(start, left)), int(min(end, right))
        if a >= b:
            a, b = left, left + 1  # nothing around u; a copy a turn on may show
    wide = b - a > 4 * LANES
    if wide:
        a -= (a - left) % LANES
    groups = (b - a + LANES - 1) // LANES
    if groups * LANES >= OUTSIDE:
        return False
    origin = min(a, left + block.shape[1] - groups * LANES)
    for e in range(count):
        held[e, MISSING], pieces = disc_lanes(
            u, e, modes[e], half, rows, period, float(left), float(right), origin, lanes
        )
        if pieces:
            return False
    if not nested_lanes(count, rows, lanes):
        return False
    top, left = first - window[0], origin - left
    inner = held[0, MISSING] * 0
    for e in range(count):
        row, end = reach[e, 0], reach[e, 1]
        while row < end:
            until = min(end, row + LANES - (top + row) % LANES if wide else row + TALL)
            if wide:
                scan_band(block, codes, clean, exact, squares, top, left, lanes, e, row, until, held, e)
            else:
                for lane in range(0, groups * LANES, LANES):
                    scan_lanes(block, codes, clean, exact, top, left, lanes, e, row, until, lane, held, e)
            row = until
        pixels = held[e, MISSING]
        held[e, MISSING] = pixels - inner - held[e, COUNT] - held[e, NANS]
        inner = pixels
    return True


@jit
def _scan_regions(block, codes, clean, exact, u0, first, stop, modes, outer_edge, inner_edge, period, window, half,
                  runs, held):  # fmt: skip
    """Add the pixels of one crater's regions to their accumulators, region by region and run by run."""
    left, count = window[2], modes.size
    for k in range(outer_edge.size):
        disc, hole = outer_edge[k], inner_edge[k]
        for row in range(first, stop):
            hole_half, hole_mode = -1.0, CENTER
            if hole >= 0:
                hole_half, hole_mode = half[hole, row - first], modes[hole]
            n = row_spans(
                u0, half[disc, row - first], hole_half, modes[disc], hole_mode, period, left, window[3],
                runs[1], runs[2], 0,
            )  # fmt: skip
            for m in range(n):
                r, a, b = row - window[0], runs[1, m] - left, runs[2, m] - left
                if exact is None:  # numba drops the branches that cannot be when it compiles
                    scan_float(block, codes, clean, r, a, b, held, count + k)
                else:
                    scan_exact(block, codes, clean, r, a, b, held, count + k)


@jit
def accumulate(block, codes, clean, exact, squares, order, u0, lat0, rad, edges, modes, outer_edge, inner_edge, members,
               nvert, grid, window, buffers, start, held, image, out):  # fmt: skip
    """Accumulate the pixels of every crater's regions.

    The discs of one crater are nested, so each pixel is visited once, for the ring between two discs that it lies
    in; regions are put together from rings at the end. Where a row's discs are not nested after rounding to pixels,
    or a disc shows in two pieces (at the antimeridian, around a pole), the crater goes region by region.

    Parameters
    ----------
    block, codes, clean
        Pixels, a multiple of `LANES` wide; their codes; whether all hold values (then there are no codes). They may
        be wider than the window.
    exact : bool or None
        None for floats.
    squares : ndarray, shape (s, 8)
        From `summarise`; of no length where it is not worth making.
    order : ndarray, shape (n,)
        In which to visit the craters: those in neighbouring rows share the processor's cache.
    u0, lat0, rad : ndarray, shape (n,)
        The craters.
    edges, modes : ndarray, shape (e,)
        Radius of each disc in crater radii, innermost first, and which pixels it takes.
    outer_edge, inner_edge : ndarray, shape (k,)
        Discs that bound each region; -1 for no hole.
    members : ndarray, shape (k,)
        Positions of these regions in the output.
    nvert : int
        Vertices of the polygons; 0 for true circles.
    grid, window, buffers
        As `region_spans` takes them.
    start : ndarray, shape (8,)
        An accumulator before any pixel.
    held : ndarray, shape (e + k, 8)
        Scratch space: one crater's rings, then its regions.
    image : int
        Which of several this block is.
    out : ndarray, shape (n, images, regions, 8)
        The accumulators.
    """
    tables, nodes, half, lanes, reach, runs = buffers
    count = edges.size
    for n in range(order.size):
        i = order[n]
        first, stop = edge_half_widths(lat0[i], rad[i], edges, modes, nvert, grid, window, tables, nodes, half, reach)
        for t in range(held.shape[0]):
            for slot in range(8):
                held[t, slot] = start[slot]
        widest = -1.0
        for row in range(stop - first):
            widest = max(widest, half[count - 1, row])
        by_rings = widest < 0.0 or _scan_rings(
            block, codes, clean, exact, squares, u0[i], widest, first, stop, edges, modes, grid[2], window, half, lanes,
            reach, held,
        )  # fmt: skip
        if not by_rings:
            for e in range(count):
                held[e, MISSING] = 0
            _scan_regions(
                block, codes, clean, exact, u0[i], first, stop, modes, outer_edge, inner_edge, grid[2], window, half,
                runs, held,
            )  # fmt: skip
        for k in range(outer_edge.size):
            if by_rings:
                for e in range(inner_edge[k] + 1, outer_edge[k] + 1):
                    add_accumulator(exact, held, e, held, count + k)
            if exact is not None:  # narrow integers' squares are summed whole: split the sum, so that it can go on
                low = np.int64(held[count + k, SQ_LOW])
                held[count + k, SQ_HIGH] += low >> 32
                held[count + k, SQ_LOW] = low & 0xFFFFFFFF
            for slot in range(8):
                out[i, image, members[k], slot] = held[count + k, slot]
