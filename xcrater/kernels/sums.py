"""Spans and a block of pixels to accumulators: pixel space only.

A block comes with a *code* per pixel, 0 where it holds a value, or with none at all where every pixel does.
Kernels never validate; outputs are given by the caller.
"""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import apart, inlined, jit
from xcrater.kernels.coverage import (
    EMPTY,
    FILL,
    KIND,
    LISTED_CIRCLE,
    SPACE,
    beside_pole,
    circle_areas,
    copies,
    cover_box,
    covered_part,
    disc_bounds,
    disc_columns,
    disc_reach,
    disc_scratch,
    list_columns,
    list_parts,
    list_polar,
    parts_of,
    prepare_disc,
    region_runs,
)
from xcrater.kernels.lanes import LANES, NOWHERE, OUTSIDE, ring_deviations, ring_sums
from xcrater.kernels.polygon_spans import polygon_bound, polygon_runs
from xcrater.kernels.spans import (
    CENTER,
    EXACT,
    SLACK,
    _columns,
    disc_lanes,
    edge_half_widths,
    nested_lanes,
    node_scratch,
    region_rows,
    region_spans,
    row_spans,
)

VALID, NODATA, NAN = 0, 1, 2
BELOW_FOUR = 4.0 - 2.0**-51


@jit
def classify(block, nodata, has_nodata, out):
    """Write each pixel's code; returns how many pixels hold no value. For integers."""
    invalid = 0
    for r in range(block.shape[0]):
        for c in range(block.shape[1]):
            code = VALID
            if has_nodata and block[r, c] == nodata:
                code = NODATA
                invalid += 1
            out[r, c] = code
    return invalid


@jit
def classify_float(block, nodata, has_nodata, out):
    """Write each pixel's code; returns how many pixels hold no value. For floats: NaN holds none either."""
    invalid = 0
    for r in range(block.shape[0]):
        for c in range(block.shape[1]):
            code = VALID
            x = block[r, c]
            if x != x:
                code = NAN
                invalid += 1
            elif has_nodata and x == nodata:
                code = NODATA
                invalid += 1
            out[r, c] = code
    return invalid


COUNT, TOTAL, SQ_HIGH, SQ_LOW, LOW, HIGH, MISSING, NANS = range(8)
"""Slots of an accumulator of integers. Floats keep their squared deviations in SQ_HIGH and leave SQ_LOW."""

PIXELS = SQ_LOW
AREA, CUBES, FOURTHS, ORIGIN = range(8, 12)
"""Slots of an accumulator of weighted pixels, floats: COUNT is the sum of weights, PIXELS that of fractions covered.

The last four are there only where they are asked for: area, sums of third and fourth powers of deviations, and what
TOTAL counts from.
"""


@inlined
def _scan_exact(block, codes, clean, r, a, b, held, t):
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
def _scan_float(block, codes, clean, r, a, b, held, t):
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
    _merge_float(held, t, n, s, square)


@inlined
def _merge_float(held, t, n, total, square):
    """Merge count, sum and squared deviations of other pixels into an accumulator of floats."""
    before = held[t, COUNT]
    if before > 0:
        apart = total / n - held[t, TOTAL] / before
        square += apart * apart * (before * (n / (before + n)))
    held[t, COUNT] = before + n
    held[t, TOTAL] += total
    held[t, SQ_HIGH] += square


@inlined
def _scan_lanes(block, codes, clean, exact, top, left, lanes, e, first, stop, lane, held, t):
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
            _merge_float(held, t, n, total, square)
        else:
            held[t, COUNT] += n
            held[t, TOTAL] += total
            held[t, SQ_HIGH] += square_high
            held[t, SQ_LOW] += square_low


@inlined
def _merge_moments(held, t, n, total, origin, square, cubes, fourths):
    """Merge sums of deviations and their powers into an accumulator with moments (Pébay 2008, eq. 2.1 and 2.2).

    TOTAL counts from ORIGIN there, one of the values, so that a great mean costs no digits.
    """
    before = held[t, COUNT]
    if before > 0.0:
        shift = origin - held[t, ORIGIN]
        d = shift + total / n - held[t, TOTAL] / before
        a, b = before / (before + n), n / (before + n)
        d2, earlier = d * d, held[t, SQ_HIGH]
        held[t, FOURTHS] += (
            d2 * d2 * before * b * (a * a - a * b + b * b)
            + 6.0 * d2 * (a * a * square + b * b * earlier)
            + 4.0 * d * (a * cubes - b * held[t, CUBES])
        )
        held[t, CUBES] += d * d2 * before * b * (a - b) + 3.0 * d * (a * square - b * earlier)
        held[t, SQ_HIGH] += d2 * before * b
        held[t, TOTAL] += n * shift
    else:
        held[t, ORIGIN] = origin
    held[t, COUNT] = before + n
    held[t, TOTAL] += total
    held[t, SQ_HIGH] += square
    held[t, CUBES] += cubes
    held[t, FOURTHS] += fourths


@inlined
def _add_sums(exact, source, i, held, t):
    """Merge all but the missing pixels of accumulator ``source[i]`` into ``held[t]``."""
    if exact is None:
        held[t, PIXELS] += source[i, PIXELS]
        if source.shape[1] > AREA:
            held[t, AREA] += source[i, AREA]
    if source[i, COUNT] > 0:
        if exact is None and source.shape[1] > AREA:
            _merge_moments(
                held, t, source[i, COUNT], source[i, TOTAL], source[i, ORIGIN], source[i, SQ_HIGH], source[i, CUBES],
                source[i, FOURTHS],
            )  # fmt: skip
        elif exact is None:
            _merge_float(held, t, source[i, COUNT], source[i, TOTAL], source[i, SQ_HIGH])
        else:
            held[t, COUNT] += source[i, COUNT]
            held[t, TOTAL] += source[i, TOTAL]
            held[t, SQ_HIGH] += source[i, SQ_HIGH]
            held[t, SQ_LOW] += source[i, SQ_LOW]
        held[t, LOW] = min(held[t, LOW], source[i, LOW])
        held[t, HIGH] = max(held[t, HIGH], source[i, HIGH])
    held[t, NANS] += source[i, NANS]


@inlined
def _add(exact, source, i, held, t):
    """Merge accumulator ``source[i]`` into ``held[t]``."""
    _add_sums(exact, source, i, held, t)
    held[t, MISSING] += source[i, MISSING]


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
        _scan_lanes(block, codes, clean, exact, top, left, lanes, 0, 0, LANES, 0, out, j)


TALL = 16384
"""Rows that are scanned at once: so many counts fit a lane."""


@jit
def _scan_band(block, codes, clean, exact, squares, top, left, lanes, e, row, until, held, t):
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
            _add_sums(exact, squares, (top + row) // LANES * across + (left + lane) // LANES, held, t)
        else:
            _scan_lanes(block, codes, clean, exact, top, left, lanes, e, row, until, lane, held, t)


@inlined
def _scan_rings(block, codes, clean, exact, squares, u0, widest, first, stop, edges, modes, period, window, half, lanes,
                reach, held):  # fmt: skip
    """Add the pixels of one crater's rings to their accumulators; False where a row takes more than its two bounds."""
    left, right, count, rows = window[2], window[3], edges.size, stop - first
    u = u0 + period * np.rint((0.5 * (left + right) - u0) / period)
    a, b = left, right
    if widest < 0.5 * period:
        start, end = _columns(u, widest, modes[count - 1])
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
                _scan_band(block, codes, clean, exact, squares, top, left, lanes, e, row, until, held, e)
            else:
                for lane in range(0, groups * LANES, LANES):
                    _scan_lanes(block, codes, clean, exact, top, left, lanes, e, row, until, lane, held, e)
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
                    _scan_float(block, codes, clean, r, a, b, held, count + k)
                else:
                    _scan_exact(block, codes, clean, r, a, b, held, count + k)


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
                    _add(exact, held, e, held, count + k)
            if exact is not None:  # narrow integers' squares are summed whole: split the sum, so that it can go on
                low = np.int64(held[count + k, SQ_LOW])
                held[count + k, SQ_HIGH] += low >> 32
                held[count + k, SQ_LOW] = low & 0xFFFFFFFF
            for slot in range(8):
                out[i, image, members[k], slot] = held[count + k, slot]


@inlined
def _exact_variance(n, total, sq_high, sq_low):
    """Population variance of integers; ``sq_high * 2**32 + sq_low`` is the sum of their squares.

    Deviations are from q, the integer next to the mean, in two parts to stay within 64 bits.
    """
    q = np.int64(np.rint(total / n))
    twice = 2 * total - n * q
    product = q * (twice & 0xFFFFFFFF)
    high = sq_high - q * (twice >> 32) + (sq_low >> 32) - (product >> 32)
    low = (sq_low & 0xFFFFFFFF) - (product & 0xFFFFFFFF)
    high, low = high + (low >> 32), low & 0xFFFFFFFF
    rest = (total - n * q) / n
    return (high * 4294967296.0 + low) / n - rest * rest


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
    _merge_float(held, e, mass, whole, squares)
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
                _scan_band(block, codes, clean, exact, squares, top, origin - left, lanes, 2 * e, row, until, held, e)
            else:
                for lane in range(0, groups * LANES, LANES):
                    _scan_lanes(
                        block, codes, clean, exact, top, origin - left, lanes, 2 * e, row, until, lane, held, e
                    )  # fmt: skip
            row = until
        held[e, MISSING] += whole[e] - (held[e, COUNT] + held[e, NANS] - before)


@inlined
def _to_weighted(exact, held, t, out, k):
    """Merge an accumulator of pixels that count one each into one of weighted pixels."""
    n = held[t, COUNT]
    if n > 0:
        total, square = np.float64(held[t, TOTAL]), np.float64(held[t, SQ_HIGH])
        if exact is not None:
            square = _exact_variance(n, held[t, TOTAL], held[t, SQ_HIGH], held[t, SQ_LOW]) * n
        _merge_float(out, k, np.float64(n), total, square)
        out[k, LOW], out[k, HIGH] = min(out[k, LOW], held[t, LOW]), max(out[k, HIGH], held[t, HIGH])
    out[k, MISSING] += held[t, MISSING]
    out[k, NANS] += held[t, NANS]


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
                _to_weighted(exact, held, e, partly, e)
            partly[e, PIXELS] = partly[e, COUNT]
        for k in range(members.size):
            t = outer_edge[k]
            if inner_edge[k] + 1 < t:
                t = count
                for slot in range(8):
                    partly[t, slot] = partly_start[slot]
                for e in range(inner_edge[k] + 1, outer_edge[k] + 1):
                    _add(None, partly, e, partly, t)
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


@jit
def merge_sums(exact, sums, place, out):
    """Merge accumulators into others: ``sums[i]`` into ``out[place[i]]``, both of shape (craters, more, slots)."""
    for i in range(place.size):
        for k in range(out.shape[1]):
            _add(exact, sums[i], k, out[place[i]], k)


@jit
def lay_out(sums, slot, out):
    """One slot of accumulators of shape (craters, more, 8), as an array of shape (more, craters)."""
    for i in range(sums.shape[0]):
        for k in range(sums.shape[1]):
            out[k, i] = sums[i, k, slot]


@jit
def exact_variance(count, total, sq_high, sq_low, out):
    """Population variance of integers, from sums without rounding; NaN of none."""
    for i in range(count.size):
        out[i] = np.nan
        if count[i] > 0:
            out[i] = _exact_variance(count[i], total[i], sq_high[i], sq_low[i])


@jit
def draw_discs(i, u0, lat0, rad, inner, outer, nvert, mode, grid, window, buffers, scratch, runs, weight, offset):
    """Runs of all regions of craters i, i + 1, ... one after another, as long as there is room.

    Parameters
    ----------
    mode : int
        Coverage: `CENTER`, `TOUCHED` or `EXACT`.
    buffers, scratch : tuple of ndarray
        From `span_scratch`, and from `cover_scratch` where the mode is `EXACT`.
    runs, weight : ndarray, shape (3, n) and (n,)
        Filled with (row, start, stop) and the fraction covered of each pixel.
    offset : ndarray, shape (craters, regions, 2)
        Filled with where a region's runs begin and end.

    Returns
    -------
    int
        The first crater that there was no room for.
    """
    n, room = 0, weight.size
    spans = buffers[5]
    while i < u0.size:
        begun = n
        for k in range(inner.size):
            at = (u0[i], lat0[i], rad[i], inner[k], outer[k], nvert[k])
            offset[i, k, 0] = n
            if mode == EXACT:
                m = region_runs(*at, grid, window, scratch, runs[:, n:], weight[n:])
            else:
                m = region_spans(*at, mode, grid, window, buffers)
                if n + m <= room:
                    for s in range(m):
                        runs[0, n + s], runs[1, n + s], runs[2, n + s] = spans[0, s], spans[1, s], spans[2, s]
                        weight[n + s] = 1.0
            n += m
            offset[i, k, 1] = n
            if n > room:
                break
        if n > room:
            n = begun
            break
        i += 1
    return i


@jit
def outline_rooms(u, v, ring, shape, period, window, out):
    """Add to ``out[i]`` how many pieces and runs shape i may have; see `polygon_bound`."""
    for i in range(shape.size - 1):
        pieces, runs = polygon_bound(u, v, ring, shape[i], shape[i + 1], period, window)
        out[i, 0] = max(out[i, 0], pieces)
        out[i, 1] += runs


@jit
def draw_outlines(u, v, ring, shape, first, stop, mode, period, window, scratch, runs, weight, n, k, offset):
    """Append the runs of shapes [first, stop), the craters' regions k, to n runs; returns their new number.

    Where each one's begin and end goes to ``offset[i - first, k]``.
    """
    for i in range(first, stop):
        offset[i - first, k, 0] = n
        n += polygon_runs(u, v, ring, shape[i], shape[i + 1], mode, period, window, scratch, runs[:, n:], weight[n:])
        offset[i - first, k, 1] = n
    return n


@inlined
def _run_from(runs, first, stop, row):
    """The first of some runs, rows ascending, that lies in a row or after it."""
    while first < stop:
        middle = (first + stop) // 2
        if runs[0, middle] < row:
            first = middle + 1
        else:
            stop = middle
    return first


@inlined
def _join(cuts, begin, rows, left, depth):
    """Sort the pieces of each row, which begin at ``begin[r]``, and join those that meet or overlap, in place."""
    n, first = 0, begin[0]
    for r in range(rows):
        stop = begin[r + 1]
        begin[r] = n
        if stop - first == 1:
            cuts[0, n], cuts[1, n] = cuts[0, first], cuts[1, first]
            n += 1
        elif stop > first:
            # Count up where one begins and down where it ends: linear, however many there are.
            low, high = cuts[0, first], cuts[1, first]
            for c in range(first, stop):
                low, high = min(low, cuts[0, c]), max(high, cuts[1, c])
                depth[cuts[0, c] - left] += 1
                depth[cuts[1, c] - left] -= 1
            deep = 0
            for c in range(low, high + 1):
                before = deep
                deep += depth[c - left]
                depth[c - left] = 0
                if before == 0 and deep > 0:
                    cuts[0, n] = c
                elif before > 0 and deep == 0:
                    cuts[1, n] = c
                    n += 1
        first = stop
    begin[rows] = n


@jit
def leave_out(i, runs, weight, offset, holes, hole, near, member, window, begin, depth, cuts, out, out_weight,
              out_offset):  # fmt: skip
    """Runs of the regions of craters i, i + 1, ... without the discs of their neighbours, as long as there is room.

    Parameters
    ----------
    runs, weight, offset : ndarray
        Regions that are drawn: (row, start, stop) and the fraction covered, rows ascending within a region, and where
        the runs of each crater's regions begin and end.
    holes : ndarray, shape (3, n)
        Runs of all discs, rows ascending within a disc.
    hole : ndarray, shape (discs, 2)
        Where each disc's begin and end.
    near, member : ndarray
        Which discs are left out of each crater's regions, and where each crater's begin among them.
    begin : ndarray, shape (rows + 1,)
        Scratch.
    depth : ndarray, shape (columns + 1,)
        Scratch; zeros, and left so.
    cuts : ndarray, shape (2, room)
        Scratch.
    out, out_weight, out_offset : ndarray
        Filled like runs, weight and offset.

    Returns
    -------
    int
        The first crater that there was no room for.
    """
    n, room = 0, out_weight.size
    while i < offset.shape[0]:
        # What rows and columns the crater's regions meet.
        total, first, stop, left, right = 0, window[1], window[0], window[3], window[2]
        for k in range(offset.shape[1]):
            total += offset[i, k, 1] - offset[i, k, 0]
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                first, stop = min(first, runs[0, s]), max(stop, runs[0, s] + 1)
                left, right = min(left, runs[1, s]), max(right, runs[2, s])
        rows = max(stop - first, 0)
        # The discs' runs there, row by row: how many up to each row's end, then they, from each row's end backwards.
        for r in range(rows + 1):
            begin[r] = 0
        for m in range(near[i], near[i + 1]):
            for s in range(_run_from(holes, hole[member[m], 0], hole[member[m], 1], first), hole[member[m], 1]):
                if holes[0, s] >= stop:
                    break
                if holes[1, s] < right and holes[2, s] > left:
                    begin[holes[0, s] - first] += 1
        for r in range(rows):
            begin[r + 1] += begin[r]
        if n + total + offset.shape[1] * begin[rows] > room:
            break
        for m in range(near[i], near[i + 1]):
            for s in range(_run_from(holes, hole[member[m], 0], hole[member[m], 1], first), hole[member[m], 1]):
                if holes[0, s] >= stop:
                    break
                if holes[1, s] < right and holes[2, s] > left:
                    r = holes[0, s] - first
                    begin[r] -= 1
                    cuts[0, begin[r]], cuts[1, begin[r]] = max(holes[1, s], left), min(holes[2, s], right)
        _join(cuts, begin, rows, window[2], depth)
        for k in range(offset.shape[1]):
            out_offset[i, k, 0] = n
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                r, a, b = runs[0, s] - first, runs[1, s], runs[2, s]
                for c in range(begin[r], begin[r + 1]):
                    if cuts[1, c] <= a:
                        continue
                    if cuts[0, c] >= b:
                        break
                    if cuts[0, c] > a:
                        out[0, n], out[1, n], out[2, n], out_weight[n] = runs[0, s], a, cuts[0, c], weight[s]
                        n += 1
                    a = cuts[1, c]
                if a < b:
                    out[0, n], out[1, n], out[2, n], out_weight[n] = runs[0, s], a, b, weight[s]
                    n += 1
            out_offset[i, k, 1] = n
        i += 1
    return i


@inlined
def compass(east, north):
    """A number from 0 to less than 4 that grows with azimuth, one to a quarter turn; 0 at the centre itself."""
    if east >= 0.0 and north > 0.0:
        return east / (east + north)
    if east > 0.0:
        return 1.0 + north / (north - east)
    if north < 0.0:
        return 2.0 + east / (east + north)
    if east < 0.0:
        return min(3.0 + north / (north - east), BELOW_FOUR)
    return 0.0


@inlined
def _turns(runs, begin, end, u0, period, east, left, across):
    """Sine, and 1 less the cosine, of the longitude from a crater's meridian of every column that some runs meet."""
    first, stop = left + across.shape[1], left
    for s in range(begin, end):
        first, stop = min(first, runs[1, s]), max(stop, runs[2, s])
    for c in range(first, stop):
        turn = c + 0.5 - u0
        turn = (turn - period * np.floor(turn / period + 0.5)) * east
        across[0, c - left], across[1, c - left] = math.sin(turn), 2.0 * math.sin(0.5 * turn) ** 2


@jit
def number_sectors(runs, offset, u0, lat0, grid, east, window, edges, across, out):
    """For the pixels of all runs, the last of some azimuths that is not beyond that of the pixel's centre; -1 if none.

    Parameters
    ----------
    runs, offset : ndarray
        From `draw_discs`.
    east : float
        Radians of longitude per column, negative where columns run west.
    edges : ndarray
        The azimuths, ascending, as `compass` numbers them.
    across : ndarray, shape (2, columns of the window)
        Scratch.
    out : ndarray of int16
        Filled pixel by pixel.
    """
    lat_origin, lat_step, period = grid
    left = window[2]
    p = 0
    for i in range(offset.shape[0]):
        begin, end = offset[i, 0, 0], offset[i, offset.shape[1] - 1, 1]
        _turns(runs, begin, end, u0[i], period, east, left, across)
        sin_lat0 = math.sin(lat0[i])
        for s in range(begin, end):
            lat = lat_origin + lat_step * (runs[0, s] + 0.5)
            up, cos_lat = math.sin(lat - lat0[i]), math.cos(lat)
            for c in range(runs[1, s] - left, runs[2, s] - left):
                # cos(lat0) sin(lat) - sin(lat0) cos(lat) cos(turn), without the difference of nearly equal numbers
                at = compass(cos_lat * across[0, c], up + sin_lat0 * cos_lat * across[1, c])
                low, high = -1, edges.size - 1
                while low < high:
                    middle = (low + high + 1) >> 1
                    if edges[middle] <= at:
                        low = middle
                    else:
                        high = middle - 1
                out[p] = low
                p += 1


@jit
def split_runs(runs, weight, offset, begin, number, regions, low, high, pieces, out, out_weight, out_offset):
    """Cut the runs of rings where the sector changes, and share the pieces out among regions.

    Parameters
    ----------
    runs, weight, offset : ndarray
        Of the rings, as `draw_discs` fills them: crater by crater and ring by ring.
    begin : ndarray of int64, shape (n + 1,)
        Where each run's pixels begin in ``number``.
    number : ndarray of int16
        Of each pixel's sector.
    regions : ndarray, shape (rings + 1,)
        Regions ``regions[k]`` to ``regions[k + 1]`` are parts of ring k: of its pixels with a number from ``low`` to
        below ``high``, which no other has.
    pieces : ndarray of int64, shape (4, m)
        Scratch.
    out, out_weight, out_offset : ndarray
        Filled with the regions' runs.
    """
    n = 0
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            m = 0
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                p = begin[s]
                while p < begin[s + 1]:
                    pieces[0, m], pieces[1, m], pieces[2, m] = s, number[p], p
                    p += 1
                    while p < begin[s + 1] and number[p] == pieces[1, m]:
                        p += 1
                    pieces[3, m] = p
                    m += 1
            for region in range(regions[k], regions[k + 1]):
                out_offset[i, region, 0] = n
                for t in range(m):
                    if low[region] <= pieces[1, t] < high[region]:
                        s = pieces[0, t]
                        shift = runs[1, s] - begin[s]
                        out[0, n], out[1, n], out[2, n] = runs[0, s], pieces[2, t] + shift, pieces[3, t] + shift
                        out_weight[n] = weight[s]
                        n += 1
                out_offset[i, region, 1] = n


@inlined
def _arc_by_sine(square, cosine):
    """An arc by its sine, of the square of the sine and the cosine."""
    if square < 0.01 and cosine > 0.0:  # the series of the arcsine, to the last digit
        return 1.0 + square * (
            1 / 6 + square * (3 / 40 + square * (15 / 336 + square * (105 / 3456 + square * (945 / 42240
            + square * (10395 / 599040)))))
        )  # fmt: skip
    sine = math.sqrt(square)
    return math.atan2(sine, cosine) / sine if sine > 0.0 else 0.0


@jit
def place_moments(block, codes, clean, runs, weight, offset, u0, lat0, radius, grid, east, window, areas, across, out):
    """Moments of place and value of drawn regions, on grids with a closed form.

    Places are x eastward and y northward in the crater's azimuthal equidistant frame (Snyder 1987, eq. 22-2 to 22-5),
    in crater radii.

    Parameters
    ----------
    east : float
        Radians of longitude per column, negative where columns run west.
    areas : ndarray, shape (rows or 1, columns or 1)
        Weight of each pixel besides the fraction covered.
    across : ndarray, shape (2, columns of the window)
        Scratch.
    out : ndarray, shape (craters, regions, 11)
        Filled with the fractions covered, the weights, the means of x, y and values, and the sums of products of their
        deviations, weighted: xx, xy, yy, xz, yz, zz.
    """
    lat_origin, lat_step, period = grid
    down, over = int(areas.shape[0] > 1), int(areas.shape[1] > 1)
    top, left = window[0], window[2]
    for i in range(offset.shape[0]):
        _turns(runs, offset[i, 0, 0], offset[i, offset.shape[1] - 1, 1], u0[i], period, east, left, across)
        sin_lat0, cos_lat0 = math.sin(lat0[i]), math.cos(lat0[i])
        for k in range(offset.shape[1]):
            pixels = mass = origin = sx = sy = sz = xx = xy = yy = xz = yz = zz = 0.0
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                r, cover = runs[0, s] - top, weight[s]
                lat = lat_origin + lat_step * (runs[0, s] + 0.5)
                up, cos_lat, cosine = math.sin(lat - lat0[i]), math.cos(lat), math.cos(lat - lat0[i])
                for c in range(runs[1, s] - left, runs[2, s] - left):
                    if clean or codes[r, c] == VALID:
                        z = np.float64(block[r, c])
                        if pixels == 0.0:
                            origin = z  # sums count from there, lest a great mean cost their digits
                        z -= origin
                        w = cover * areas[r * down, c * over]
                        x, y = cos_lat * across[0, c], up + sin_lat0 * cos_lat * across[1, c]
                        arc = _arc_by_sine(x * x + y * y, cosine - cos_lat0 * cos_lat * across[1, c]) / radius[i]
                        x, y = x * arc, y * arc
                        pixels, mass = pixels + cover, mass + w
                        wx, wy, wz = w * x, w * y, w * z
                        sx, sy, sz = sx + wx, sy + wy, sz + wz
                        xx, xy, yy = xx + wx * x, xy + wx * y, yy + wy * y
                        xz, yz, zz = xz + wx * z, yz + wy * z, zz + wz * z
            held = out[i, k]
            held[0], held[1] = pixels, mass
            if mass > 0.0:
                held[2], held[3], held[4] = sx / mass, sy / mass, origin + sz / mass
                held[5], held[6], held[7] = xx - sx * held[2], xy - sx * held[3], yy - sy * held[3]
                held[8], held[9], held[10] = xz - sz * held[2], yz - sz * held[3], zz - sz * (sz / mass)


@inlined
def _scan_runs(block, codes, clean, runs, weight, first, stop, window, weights, areas, held, t):
    """Add the pixels of some runs to an accumulator of weighted pixels; False where a weight is none.

    Deviations are from the mean of all of them, so there are two passes.
    """
    down, across = int(weights.shape[0] > 1), int(weights.shape[1] > 1)
    area_down, area_across = int(areas.shape[0] > 1), int(areas.shape[1] > 1)
    mass = total = pixels = area = origin = 0.0
    sound = True
    for s in range(first, stop):
        r, cover = runs[0, s] - window[0], weight[s]
        for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
            if clean or codes[r, c] == VALID:
                w = cover * weights[r * down, c * across]
                sound &= 0.0 <= w < np.inf
                pixels += cover
                area += cover * areas[r * area_down, c * area_across]
                if w > 0.0:
                    x = np.float64(block[r, c])
                    if mass == 0.0 and abs(x) < np.inf:
                        origin = x  # sums count from there, lest a great mean cost their digits
                    mass += w
                    total += w * (x - origin)
                    held[t, LOW] = min(held[t, LOW], x)
                    held[t, HIGH] = max(held[t, HIGH], x)
            elif codes[r, c] == NODATA:
                held[t, MISSING] += cover
            else:
                held[t, NANS] += cover
    held[t, PIXELS] += pixels
    more = held.shape[1] > AREA
    if more:
        held[t, AREA] += area
    if not mass > 0.0:
        return sound
    mean = total / mass
    square = cubes = fourths = 0.0
    for s in range(first, stop):
        r, cover = runs[0, s] - window[0], weight[s]
        for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
            if clean or codes[r, c] == VALID:
                w = cover * weights[r * down, c * across]
                if w > 0.0:
                    d = np.float64(block[r, c]) - origin - mean
                    square += w * (d * d)
                    if more:
                        cubes += w * (d * d * d)
                        fourths += w * (d * d) * (d * d)
    if more:
        _merge_moments(held, t, mass, total, origin, square, cubes, fourths)
    else:
        _merge_float(held, t, mass, total + mass * origin, square)
    return sound


@jit
def sum_runs(block, codes, clean, exact, weighted, runs, weight, offset, window, weights, areas, start, image, members,
             first, out):  # fmt: skip
    """Accumulate the pixels of drawn regions, ``out[i, image, members[k]]`` for ``offset[i, k]``, from crater first on.

    Parameters
    ----------
    exact : bool or None
        None for floats.
    weighted : bool
        Whether accumulators are of weighted pixels.
    weights, areas : ndarray, shape (rows or 1, columns or 1)
        Weight and area of each pixel.
    offset : ndarray, shape (n, k, 2)
        Where each region's runs begin and end.

    Returns
    -------
    bool
        Whether all weights are numbers from 0 on.
    """
    sound = True
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            held = out[first + i, image]
            t = members[k]
            for slot in range(held.shape[1]):
                held[t, slot] = start[slot]
            if weighted:
                sound &= _scan_runs(
                    block, codes, clean, runs, weight, offset[i, k, 0], offset[i, k, 1], window, weights, areas, held, t
                )
                continue
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                at = (runs[0, s] - window[0], runs[1, s] - window[2], runs[2, s] - window[2])
                if exact is None:
                    _scan_float(block, codes, clean, *at, held, t)
                else:
                    _scan_exact(block, codes, clean, *at, held, t)
            if exact is not None:  # the low words of squares are summed whole: split the sum, so that it can go on
                low = np.int64(held[t, SQ_LOW])
                held[t, SQ_HIGH] += low >> 32
                held[t, SQ_LOW] = low & 0xFFFFFFFF
    return sound


@jit
def sum_areas(codes, clean, runs, weight, offset, window, areas, image, members, first, out):
    """Set the areas of drawn regions, ``out[i, image, members[k], AREA]``; see `sum_runs`."""
    down, across = int(areas.shape[0] > 1), int(areas.shape[1] > 1)
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            area = 0.0
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                r = runs[0, s] - window[0]
                for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
                    if clean or codes[r, c] == VALID:
                        area += weight[s] * areas[r * down, c * across]
            out[first + i, image, members[k], AREA] = area


@jit
def collect(block, codes, clean, weighted, runs, weight, offset, window, weights, values, masses, length):
    """Copy the valid pixels of drawn regions, one region after another, to ``values``, and their weights to ``masses``.

    Those without weight are left out. Their numbers go to ``length[i, k]``. There has to be room for one pixel more.
    """
    down, across = int(weights.shape[0] > 1), int(weights.shape[1] > 1)
    n = 0
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            begun = n
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                r = runs[0, s] - window[0]
                first, stop = runs[1, s] - window[2], runs[2, s] - window[2]
                if weighted:
                    for c in range(first, stop):
                        w = weight[s] * weights[r * down, c * across]
                        values[n], masses[n] = block[r, c], w
                        n += (clean or codes[r, c] == VALID) and w > 0.0
                elif clean:
                    row, out = block[r, first:stop], values[n : n + stop - first]
                    for c in range(out.size):
                        out[c] = row[c]
                    n += out.size
                else:
                    for c in range(first, stop):  # rather than a branch that cannot be foreseen
                        values[n] = block[r, c]
                        n += codes[r, c] == VALID
            length[i, k] = n - begun


@jit
def paint(runs, weight, offset, window, out):
    """Write the covered fraction of one region's pixels to ``out``, an array over the window."""
    for s in range(offset[0], offset[1]):
        r = runs[0, s] - window[0]
        for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
            out[r, c] = weight[s]


@jit
def count_regions(runs, weight, offset, window, out):
    """Add 1 to the pixels of every shape in ``offset``, of shape (craters, regions, 2), in an array over the window."""
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                if weight[s] > 0.0:
                    r = runs[0, s] - window[0]
                    for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
                        out[r, c] += 1


@jit
def name_craters(runs, weight, offset, window, row, out):
    """Write ``row[i]`` to the pixels of crater i's shapes, over those before; see `count_regions`."""
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                if weight[s] > 0.0:
                    r = runs[0, s] - window[0]
                    for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
                        out[r, c] = row[i]


@jit
def plane_waves(lon, lat, waves, out):
    """Sum of waves over the sphere: ``a cos(k . p + phase)`` of each pixel's unit vector p.

    ``waves`` has a row (kx, ky, kz, phase, a) per wave; lon and lat are the pixel centres in radians.
    """
    for r in range(lat.size):
        z, xy = math.sin(lat[r]), math.cos(lat[r])
        for c in range(lon.size):
            x, y = xy * math.cos(lon[c]), xy * math.sin(lon[c])
            height = 0.0
            for w in range(waves.shape[0]):
                height += waves[w, 4] * math.cos(waves[w, 0] * x + waves[w, 1] * y + waves[w, 2] * z + waves[w, 3])
            out[r, c] = height


@jit
def crater_height(r, depth, rim, extent):
    """Height of a synthetic crater at r crater radii: a parabolic bowl, and ejecta falling as r**-3 to 0 at extent."""
    if r <= 1.0:
        return rim - depth * (1.0 - r * r)
    if r >= extent:
        return 0.0
    end = extent**-3.0
    return rim * (r**-3.0 - end) / (1.0 - end)


@jit
def stamp_craters(u0, lat0, rad, depth, rim, extent, grid, window, buffers, out):
    """Add synthetic craters to a block of heights. Depth and rim height are those of each crater."""
    spans = buffers[5]
    lat_origin, lat_step, period = grid
    for i in range(u0.size):
        for s in range(region_spans(u0[i], lat0[i], rad[i], 0.0, extent, 0, False, grid, window, buffers)):
            row = spans[0, s]
            lat = lat_origin + lat_step * (row + 0.5)
            up = math.sin(0.5 * (lat - lat0[i])) ** 2
            both = math.cos(lat) * math.cos(lat0[i])
            for c in range(spans[1, s], spans[2, s]):
                along = math.sin(math.pi * (c + 0.5 - u0[i]) / period) ** 2
                distance = 2.0 * math.asin(min(1.0, math.sqrt(up + both * along)))
                out[row - window[0], c - window[2]] += crater_height(distance / rad[i], depth[i], rim[i], extent)
