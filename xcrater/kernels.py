"""Spans and a block of pixels to accumulators: pixel space only.

A block comes with a *code* per pixel, 0 where it holds a value, or with none at all where every pixel does.
Kernels never validate; outputs are given by the caller.
"""

from __future__ import annotations

import math

import numpy as np

from xcrater._jit import allocating, inlined, jit
from xcrater.spans import CENTER, _columns, disc_lanes, edge_half_widths, nested_lanes, region_spans, row_spans
from xcrater.vectors import LANES, NOWHERE, OUTSIDE, ring_deviations, ring_sums

VALID, NODATA, NAN = 0, 1, 2


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
def _add_sums(exact, source, i, held, t):
    """Merge all but the missing pixels of accumulator ``source[i]`` into ``held[t]``."""
    if source[i, COUNT] > 0:
        if exact is None:
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
def _scan_band(block, codes, clean, exact, squares, top, left, lanes, e, row, until, held):
    """Add the pixels of ring e in a few rows to its accumulator, whole squares of them from the summary."""
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
            _add_sums(exact, squares, (top + row) // LANES * across + (left + lane) // LANES, held, e)
        else:
            _scan_lanes(block, codes, clean, exact, top, left, lanes, e, row, until, lane, held, e)


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
                _scan_band(block, codes, clean, exact, squares, top, left, lanes, e, row, until, held)
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


@jit
def merge_sums(exact, sums, place, out):
    """Merge accumulators into others: ``sums[i]`` into ``out[place[i]]``, both of shape (craters, more, 8)."""
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
    """Population variance of integers, from sums without rounding: ``sq_high * 2**32 + sq_low`` is that of squares.

    Deviations are from q, the integer next to the mean, in two parts to stay within 64 bits.
    """
    for i in range(count.size):
        n = count[i]
        if n == 0:
            out[i] = np.nan
            continue
        q = np.int64(np.rint(total[i] / n))
        twice = 2 * total[i] - n * q
        product = q * (twice & 0xFFFFFFFF)
        high = sq_high[i] - q * (twice >> 32) + (sq_low[i] >> 32) - (product >> 32)
        low = (sq_low[i] & 0xFFFFFFFF) - (product & 0xFFFFFFFF)
        high, low = high + (low >> 32), low & 0xFFFFFFFF
        rest = (total[i] - n * q) / n
        out[i] = (high * 4294967296.0 + low) / n - rest * rest


@jit
def collect(block, codes, clean, u0, lat0, rad, inner, outer, nvert, touched, grid, window, buffers, offset, out):
    """Copy the valid pixels of every crater's regions to ``out``, region by region from ``offset[i, k]`` on."""
    r0, c0 = window[0], window[2]
    spans = buffers[5]
    for i in range(u0.size):
        for k in range(inner.size):
            n = region_spans(u0[i], lat0[i], rad[i], inner[k], outer[k], nvert[k], touched, grid, window, buffers)
            at = offset[i, k]
            for s in range(n):
                r = spans[0, s] - r0
                for c in range(spans[1, s] - c0, spans[2, s] - c0):
                    if clean or codes[r, c] == VALID:
                        out[at] = block[r, c]
                        at += 1


@jit
def gather(block, codes, clean, u0, lat0, rad, inner, outer, nvert, touched, grid, window, buffers, length, out):
    """Copy the valid pixels of every crater's regions to ``out``, one after the other; how many to ``length[i, k]``."""
    r0, c0 = window[0], window[2]
    spans = buffers[5]
    at = 0
    for i in range(u0.size):
        for k in range(inner.size):
            n = region_spans(u0[i], lat0[i], rad[i], inner[k], outer[k], nvert[k], touched, grid, window, buffers)
            before = at
            for s in range(n):
                r = spans[0, s] - r0
                first, stop = spans[1, s] - c0, spans[2, s] - c0
                if clean:
                    for c in range(stop - first):
                        out[at + c] = block[r, first + c]
                    at += stop - first
                else:
                    for c in range(first, stop):
                        out[at] = block[r, c]
                        at += codes[r, c] == VALID
            length[i, k] = at - before


@jit
def paint(u0, lat0, rad, inner, outer, nvert, touched, grid, window, buffers, out):
    """Set ``out``, an array over the window, to True in one crater's region."""
    spans = buffers[5]
    for s in range(region_spans(u0, lat0, rad, inner, outer, nvert, touched, grid, window, buffers)):
        out[spans[0, s] - window[0], spans[1, s] - window[2] : spans[2, s] - window[2]] = True


@jit
def scatter(source, source_offset, length, target_offset, target):
    """Copy runs of values from one flat array to their places in another, moving the target offsets on."""
    for i in range(length.size):
        a, b = source_offset[i], target_offset[i]
        for j in range(length[i]):
            target[b + j] = source[a + j]
        target_offset[i] = b + length[i]


@allocating
def sort_runs(values, offsets):
    """Sort each run ``values[offsets[i]:offsets[i + 1]]`` in place."""
    for i in range(offsets.size - 1):
        values[offsets[i] : offsets[i + 1]].sort()


@jit
def run_quantile(values, offsets, q, out):
    """Quantile of each sorted run, linear between ranks as numpy's; NaN for an empty run."""
    for i in range(offsets.size - 1):
        a, n = offsets[i], offsets[i + 1] - offsets[i]
        if n == 0:
            out[i] = np.nan
            continue
        rank = q * (n - 1)
        below = int(rank)
        above = min(below + 1, n - 1)
        t = rank - below
        x, y = np.float64(values[a + below]), np.float64(values[a + above])
        if x == y or t == 0.0:
            out[i] = x
        elif t >= 0.5:
            out[i] = y - (y - x) * (1.0 - t)
        else:
            out[i] = x + (y - x) * t


@jit
def run_frequencies(values, offsets, majority, minority, unique):
    """Most and least frequent value (the smallest of equals) and number of distinct values of each sorted run."""
    for i in range(offsets.size - 1):
        a, b = offsets[i], offsets[i + 1]
        if a == b:
            continue
        most, least, distinct = 0, b - a + 1, 0
        j = a
        while j < b:
            e = j + 1
            while e < b and values[e] == values[j]:
                e += 1
            distinct += 1
            if e - j > most:
                most = e - j
                majority[i] = values[j]
            if e - j < least:
                least = e - j
                minority[i] = values[j]
            j = e
        unique[i] = distinct


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
