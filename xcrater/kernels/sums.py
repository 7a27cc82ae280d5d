"""Sums over the pixels of crater regions, ring by ring, for regions that take whole pixels.

The discs that bound a crater's regions are nested, so each pixel lies in one ring between two consecutive discs. A
ring's pixels are summed once, and a region is put together from the accumulators of its rings.
"""

from __future__ import annotations

import numpy as np

from xcrater.kernels.accumulators import add_accumulator, add_sums, carry_squares, merge_float
from xcrater.kernels.compile import chosen, inlined, jit, linked
from xcrater.kernels.half_widths import CENTER, edge_half_widths
from xcrater.kernels.lanes import LANES, NOWHERE, OUTSIDE, ring_deviations, ring_sums
from xcrater.kernels.missing import NODATA, VALID
from xcrater.kernels.slots import COUNT, HIGH, LOW, MISSING, NANS, SQ_HIGH, SQ_LOW, TOTAL
from xcrater.kernels.spans import disc_lanes, nested_lanes, row_columns, row_spans

# Whether ``pixels.exact`` is None is known when a kernel is compiled. `chosen` leaves the function that does not apply
# out before it is compiled; a branch within a function is only left out of the machine code.


@inlined
def _scan_exact(pixels, r, a, b, held, t):
    """Add integer pixels [a, b) of row r to accumulator ``held[t]``."""
    n = total = square_low = square_high = np.int64(0)
    low, high = held[t, LOW], held[t, HIGH]
    for c in range(a, b):
        if pixels.clean or pixels.codes[r, c] == VALID:
            x = np.int64(pixels.stored[r, c])
            n += 1
            total += x
            low, high = min(low, x), max(high, x)
            x *= x
            square_low += x & 0xFFFFFFFF
            square_high += x >> 32
    held[t, COUNT] += n
    held[t, TOTAL] += total
    held[t, LOW], held[t, HIGH] = low, high
    held[t, SQ_LOW] += square_low
    held[t, SQ_HIGH] += square_high
    held[t, MISSING] += b - a - n


@inlined
def _scan_float(pixels, r, a, b, held, t):
    """Add floating-point pixels [a, b) of row r to accumulator ``held[t]``.

    Deviations of a run are taken from its own mean, and runs are merged by Chan's update (Chan, Golub & LeVeque
    1983), so that a mean far larger than the spread costs no digits.
    """
    s = square = 0.0
    n = 0
    for c in range(a, b):
        if pixels.clean or pixels.codes[r, c] == VALID:
            x = np.float64(pixels.stored[r, c])
            n += 1
            s += x
            held[t, LOW] = min(held[t, LOW], x)
            held[t, HIGH] = max(held[t, HIGH], x)
        elif pixels.codes[r, c] == NODATA:
            held[t, MISSING] += 1
        else:
            held[t, NANS] += 1
    if n == 0:
        return
    mean = s / n
    for c in range(a, b):
        if pixels.clean or pixels.codes[r, c] == VALID:
            d = np.float64(pixels.stored[r, c]) - mean
            square += d * d
    merge_float(held, t, n, s, square)


@chosen(_scan_float, _scan_exact)
def scan_run(pixels, r, a, b, held, t):
    """Add pixels [a, b) of row r of the block to accumulator ``held[t]``, each with weight 1."""


@inlined
def _float_lanes(pixels, top, left, lanes, e, first, stop, lane, held, t):
    block, codes, clean, _ = pixels
    n, nans, total, low, high, _, _ = ring_sums(block, codes, clean, top, left, lanes, e, first, stop, lane)
    held[t, NANS] += nans
    if n > 0:
        held[t, LOW] = min(held[t, LOW], low)
        held[t, HIGH] = max(held[t, HIGH], high)
        square = ring_deviations(block, codes, clean, top, left, lanes, e, first, stop, lane, total / n)
        merge_float(held, t, n, total, square)


@inlined
def _exact_lanes(pixels, top, left, lanes, e, first, stop, lane, held, t):
    block, codes, clean, _ = pixels
    n, _, total, low, high, square_high, square_low = ring_sums(
        block, codes, clean, top, left, lanes, e, first, stop, lane
    )
    if n > 0:
        held[t, LOW] = min(held[t, LOW], low)
        held[t, HIGH] = max(held[t, HIGH], high)
        held[t, COUNT] += n
        held[t, TOTAL] += total
        held[t, SQ_HIGH] += square_high
        held[t, SQ_LOW] += square_low


@chosen(_float_lanes, _exact_lanes)
def scan_lanes(pixels, top, left, lanes, e, first, stop, lane, held, t):
    """Add a ring's pixels in one group of lanes to ``held[t]``, in all slots but MISSING; see `ring_sums`."""


@jit
def summarise(pixels, start, lanes, out):
    """Accumulators of every whole square of `LANES` by `LANES` pixels.

    Parameters
    ----------
    pixels : Pixels
        One image of the tile.
    start : ndarray, shape (8,)
        An accumulator before any pixel.
    lanes : ndarray of int16, shape (2, 2, LANES)
        Scratch space.
    out : ndarray, shape (squares, 8)
        Filled, row by row of squares, in all slots but MISSING.
    """
    across = pixels.stored.shape[1] // LANES
    lanes[0, 0], lanes[1, 0], lanes[0, 1], lanes[1, 1] = OUTSIDE, NOWHERE, 0, LANES
    zero, rows = np.int64(0), np.int64(LANES)  # constants are types of their own, and one signature compiles once
    for j in range(out.shape[0]):
        for slot in range(8):
            out[j, slot] = start[slot]
        top, left = j // across * LANES, j % across * LANES
        scan_lanes(pixels, top, left, lanes, zero, zero, rows, zero, out, j)


TALL = 16384
"""Rows that are scanned at once: a lane counts its pixels in 16 bits."""


@inlined
def _band_bounds(lanes, e, row, until):
    """First and last lane that any, and that every, of some rows takes of a disc, and then of its hole."""
    out_a, full_a, full_b, out_b = OUTSIDE, 0, OUTSIDE, NOWHERE
    hole_a, core_a, core_b, hole_b = OUTSIDE, 0, OUTSIDE, NOWHERE
    for r in range(row, until):
        a, b, c, d = lanes[0, e + 1, r], lanes[1, e + 1, r], lanes[0, e, r], lanes[1, e, r]
        out_a, full_a, full_b, out_b = min(out_a, a), max(full_a, a), min(full_b, b), max(out_b, b)
        hole_a, core_a, core_b, hole_b = min(hole_a, c), max(core_a, c), min(core_b, d), max(hole_b, d)
    return out_a, full_a, full_b, out_b, hole_a, core_a, core_b, hole_b


@inlined
def scan_ring(pixels, squares, top, left, lanes, e, first, stop, wide, groups, held, t):
    """Add a ring's pixels to ``held[t]``, in all slots but MISSING.

    Parameters
    ----------
    pixels : Pixels
        One image of the tile.
    squares : ndarray, shape (squares, 8)
        From `summarise`, for whole squares of pixels; empty where it was not worth making.
    top, left : int
        Row and column of the block that row 0 and lane 0 of the bounds stand for.
    lanes : ndarray of int16, shape (2, discs + 1, rows)
        Bounds of every disc in every row; see `ring_sums`. The ring is disc e + 1 without disc e.
    e : int
        Position of the disc that the ring surrounds.
    first, stop : int
        The ring's rows.
    wide : bool
        Whether rows go by rows of squares, to take whole squares and to pass over the hole.
    groups : int
        Groups of lanes that the outermost disc is wide.
    held : ndarray, shape (accumulators, 8)
        Changed.
    t : int
        Position of the ring's accumulator.
    """
    across = pixels.stored.shape[1] // LANES
    full_a, full_b, hole_a, core_a, core_b, hole_b = 0, 0, 0, OUTSIDE, 0, 0
    whole, lane, end, row = False, 0, groups * LANES, first
    while row < stop:
        until = min(stop, row + LANES - (top + row) % LANES if wide else row + TALL)
        if wide:
            lane, full_a, full_b, end, hole_a, core_a, core_b, hole_b = _band_bounds(lanes, e, row, until)
            lane = lane // LANES * LANES
            whole = squares.shape[0] > 0 and until - row == LANES and (top + row) % LANES == 0 and left % LANES == 0
        for at in range(lane, end, LANES):
            last = at + LANES
            if core_a <= at and last <= core_b:
                continue
            if whole and full_a <= at and last <= full_b and (hole_b <= at or last <= hole_a):
                add_sums(pixels.exact, squares, (top + row) // LANES * across + (left + at) // LANES, held, t)
            else:
                scan_lanes(pixels, top, left, lanes, e, row, until, at, held, t)
        row = until


@inlined
def _scan_rings(pixels, squares, u0, widest, first, stop, modes, period, window, scratch, held):
    """Add the pixels of one crater's rings to their accumulators.

    Parameters
    ----------
    u0 : float
        Column coordinate of the crater's meridian.
    widest : float
        Greatest half-width of the outermost disc, columns.
    first, stop : int
        Rows of the grid that the outermost disc meets.
    modes : ndarray, shape (discs,)
        Which pixels each disc takes.
    period : float
        Columns per turn of longitude.
    pixels, squares, window, scratch, held
        As `accumulate` takes them.

    Returns
    -------
    bool
        False where two bounds per row do not describe a disc, or the discs are not nested after rounding to pixels;
        the accumulators are worthless then.
    """
    half, lanes, reach = scratch.half, scratch.lanes, scratch.reach
    left, right, count, rows = window[2], window[3], modes.size, stop - first
    u = u0 + period * np.rint((0.5 * (left + right) - u0) / period)
    a, b = left, right
    if widest < 0.5 * period:
        start, end = row_columns(u, widest, modes[count - 1])
        a, b = int(max(start, left)), int(min(end, right))
        if a >= b:
            a, b = left, left + 1  # nothing around u; a copy one turn further may still show
    wide = b - a > 4 * LANES
    if wide:
        a -= (a - left) % LANES
    groups = (b - a + LANES - 1) // LANES
    if groups * LANES >= OUTSIDE:
        return False
    origin = min(a, left + pixels.stored.shape[1] - groups * LANES)
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
        scan_ring(pixels, squares, top, left, lanes, e, reach[e, 0], reach[e, 1], wide, groups, held, e)
        inside = held[e, MISSING]
        held[e, MISSING] = inside - inner - held[e, COUNT] - held[e, NANS]
        inner = inside
    return True


@linked
def _scan_regions(pixels, u0, first, stop, nest, period, window, half, runs, held):
    """Add the pixels of one crater's regions to their accumulators, region by region and run by run.

    Parameters
    ----------
    half : ndarray, shape (discs, rows)
        Half-width of each disc in each row, columns.
    runs : ndarray of int64, shape (4, n)
        Scratch space for the runs of one row.
    pixels, u0, first, stop, nest, period, window, held
        As `_scan_rings` and `accumulate` take them. Region k goes to ``held[discs + k]``.
    """
    left, count, modes = window[2], nest.modes.size, nest.modes
    for k in range(nest.outer.size):
        disc, hole = nest.outer[k], nest.inner[k]
        for row in range(first, stop):
            hole_half, hole_mode = -1.0, CENTER
            if hole >= 0:
                hole_half, hole_mode = half[hole, row - first], modes[hole]
            n = row_spans(
                u0, half[disc, row - first], hole_half, modes[disc], hole_mode, period, left, window[3],
                runs[1], runs[2], 0,
            )  # fmt: skip
            for m in range(n):
                scan_run(pixels, row - window[0], runs[1, m] - left, runs[2, m] - left, held, count + k)


@jit
def accumulate(pixels, squares, order, caps, nest, grid, window, scratch, held, sums):
    """Accumulate the pixels of every crater's regions.

    Each pixel is visited once, for the ring that it lies in; regions are put together from rings at the end. Where
    the discs of a row are not nested after rounding to pixels, or a disc shows in two pieces (at the antimeridian,
    around a pole), the crater goes region by region instead.

    Parameters
    ----------
    pixels : Pixels
        One image of the tile, a multiple of `LANES` wide: it may be wider than the window.
    squares : ndarray, shape (squares, 8)
        From `summarise`, for whole squares of pixels; empty where it was not worth making.
    order : ndarray of int64, shape (n,)
        Order in which to visit the craters: those in neighbouring rows share the processor's cache.
    caps : Caps
        The craters.
    nest : Nest
        The regions.
    grid : Rows
        Where rows and columns lie.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile on the whole grid.
    scratch : SpanScratch
        From `span_scratch` for that window.
    held : ndarray, shape (discs + regions, 8)
        Scratch space: the rings of one crater, then its regions.
    sums : Sums
        The accumulators, ``out[i, image, nest.members[k]]`` for region k of crater i.
    """
    edges, modes = nest.edges, nest.modes
    half, out = scratch.half, sums.out
    count = edges.size
    for n in range(order.size):
        i = order[n]
        u0 = caps.u0[i]
        first, stop = edge_half_widths(
            caps.lat[i], caps.radius[i], edges, modes, nest.nvert, grid, window, scratch.tables, scratch.nodes, half,
            scratch.reach,
        )  # fmt: skip
        for t in range(held.shape[0]):
            for slot in range(8):
                held[t, slot] = sums.start[slot]
        widest = -1.0
        for row in range(stop - first):
            widest = max(widest, half[count - 1, row])
        by_rings = widest < 0.0 or _scan_rings(
            pixels, squares, u0, widest, first, stop, modes, grid.period, window, scratch, held
        )
        if not by_rings:
            for e in range(count):
                held[e, MISSING] = 0
            _scan_regions(pixels, u0, first, stop, nest, grid.period, window, half, scratch.spans, held)
        for k in range(nest.outer.size):
            if by_rings:
                for e in range(nest.inner[k] + 1, nest.outer[k] + 1):
                    add_accumulator(pixels.exact, held, e, held, count + k)
            if pixels.exact is not None:
                carry_squares(held, count + k)
            for slot in range(8):
                out[i, sums.image, nest.members[k], slot] = held[count + k, slot]
