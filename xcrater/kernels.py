"""Spans and a block of pixels to accumulators: pixel space only.

A block comes with a *code* per pixel, 0 where it holds a value, or with none at all where every pixel does.
Kernels never validate; outputs are given by the caller.
"""

from __future__ import annotations

import math

import numpy as np

from xcrater._jit import inlined, jit
from xcrater.spans import CENTER, _columns, edge_half_widths, region_spans, row_spans

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


BLOCK = 64
"""Pixels of a row that one entry of a summary stands for."""

LONG = 4 * BLOCK
"""Pixels from which on a run takes whole blocks from the summary."""

COUNT, TOTAL, SQ_HIGH, SQ_LOW, LOW, HIGH, MISSING, NANS = range(8)
"""Slots of an accumulator of integers. Floats keep their squared deviations in SQ_HIGH and leave SQ_LOW."""


@jit
def summarise(block, codes, clean, total, square, count, low, high):
    """Sums, sums of squares and counts of every row up to each whole `BLOCK` of pixels, and each block's extremes.

    For integers of at most 16 bits. The first three have one more column than there are whole blocks.
    """
    for r in range(block.shape[0]):
        total[r, 0] = square[r, 0] = count[r, 0] = 0
        for j in range(low.shape[1]):
            s = q = n = np.int64(0)
            lo, hi = np.int64(2**63 - 1), np.int64(-(2**63))
            for c in range(j * BLOCK, (j + 1) * BLOCK):
                if clean or codes[r, c] == VALID:
                    x = np.int64(block[r, c])
                    s += x
                    q += x * x
                    n += 1
                    lo = min(lo, x)
                    hi = max(hi, x)
            total[r, j + 1] = total[r, j] + s
            square[r, j + 1] = square[r, j] + q
            count[r, j + 1] = count[r, j] + n
            low[r, j] = lo
            high[r, j] = hi


@inlined
def _scan_exact(block, codes, clean, wide, r, a, b, held, t):
    """Add pixels [a, b) of row r, integers, to an accumulator."""
    s = low_part = high_part = np.int64(0)
    lo, hi = held[t, LOW], held[t, HIGH]
    n = b - a
    if clean and not wide:
        for c in range(a, b):
            x = np.int64(block[r, c])
            s += x
            low_part += x * x
            lo = min(lo, x)
            hi = max(hi, x)
    else:
        n = 0
        for c in range(a, b):
            if clean or codes[r, c] == VALID:
                x = np.int64(block[r, c])
                n += 1
                s += x
                lo = min(lo, x)
                hi = max(hi, x)
                x *= x
                low_part += x & 0xFFFFFFFF
                high_part += x >> 32
        held[t, MISSING] += b - a - n
    held[t, COUNT] += n
    held[t, TOTAL] += s
    held[t, SQ_LOW] += low_part
    held[t, SQ_HIGH] += high_part
    held[t, LOW] = lo
    held[t, HIGH] = hi


@inlined
def _scan_float(block, codes, clean, r, a, b, held, t):
    """Add pixels [a, b) of row r, floats, to an accumulator.

    A run's deviations are taken from its own mean, and runs merge by Chan's update (Chan, Golub & LeVeque
    1983), so a mean far larger than the spread costs no digits.
    """
    s = square = 0.0
    lo, hi = held[t, LOW], held[t, HIGH]
    n = 0
    for c in range(a, b):
        if clean or codes[r, c] == VALID:
            x = np.float64(block[r, c])
            n += 1
            s += x
            lo = min(lo, x)
            hi = max(hi, x)
        elif codes[r, c] == NODATA:
            held[t, MISSING] += 1
        else:
            held[t, NANS] += 1
    held[t, LOW] = lo
    held[t, HIGH] = hi
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


@jit
def _add_blocks(block, codes, clean, total, square, count, low, high, r, a, b, held, t):
    """Add pixels [a, b) of row r, narrow integers, to an accumulator, whole blocks of them from the summary."""
    first, last = (a + BLOCK - 1) // BLOCK, b // BLOCK
    n = count[r, last] - count[r, first]
    held[t, COUNT] += n
    held[t, MISSING] += (last - first) * BLOCK - n
    held[t, TOTAL] += total[r, last] - total[r, first]
    held[t, SQ_LOW] += square[r, last] - square[r, first]
    lo, hi = held[t, LOW], held[t, HIGH]
    for j in range(first, last):
        lo = min(lo, low[r, j])
        hi = max(hi, high[r, j])
    held[t, LOW], held[t, HIGH] = lo, hi
    _scan_exact(block, codes, clean, False, r, a, first * BLOCK, held, t)
    _scan_exact(block, codes, clean, False, r, last * BLOCK, b, held, t)


@jit
def _compose(exact, ring, into, held):
    """Merge a ring's accumulator into a region's, both rows of ``held``."""
    if exact is None:
        if held[ring, COUNT] > 0:
            _merge_float(held, into, held[ring, COUNT], held[ring, TOTAL], held[ring, SQ_HIGH])
        held[into, MISSING] += held[ring, MISSING]
        held[into, NANS] += held[ring, NANS]
    else:
        for slot in (COUNT, TOTAL, SQ_HIGH, SQ_LOW, MISSING):
            held[into, slot] += held[ring, slot]
    held[into, LOW] = min(held[into, LOW], held[ring, LOW])
    held[into, HIGH] = max(held[into, HIGH], held[ring, HIGH])


@jit
def _nest_runs(u0, first, stop, edges, modes, outer_edge, inner_edge, grid, window, half, runs):
    """Cut every row of one crater's discs into runs (row, start, stop, accumulator); returns how many.

    Accumulators are numbered rings first, then regions.
    """
    left, right, period = window[2], window[3], grid[2]
    count, regions = edges.size, outer_edge.size
    row_of, begin, end, target = runs[0], runs[1], runs[2], runs[3]
    widest = -1.0
    for row in range(stop - first):
        widest = max(widest, half[count - 1, row])
    if widest < 0.0:
        return 0
    single = widest < 0.5 * period
    u = u0
    if single:
        turn = math.ceil((left - 1.0 - u0 - widest) / period)
        single = turn == math.floor((right + 1.0 - u0 + widest) / period)
        u = u0 + turn * period
    n = 0
    for row in range(first, stop):
        before = n
        nested = single
        if single:
            inside = False
            from_before = to_before = 0
            for e in range(count):
                h = half[e, row - first]
                if h >= 0.0:
                    a, b = _columns(u, h, modes[e])
                    a, b = max(a, left), min(b, right)
                    if a < b:
                        if not inside:
                            begin[n], end[n], target[n] = a, b, e
                            n += 1
                        else:
                            nested = nested and a <= from_before and b >= to_before
                            if a < from_before:
                                begin[n], end[n], target[n] = a, from_before, e
                                n += 1
                            if to_before < b:
                                begin[n], end[n], target[n] = to_before, b, e
                                n += 1
                        inside = True
                        from_before, to_before = a, b
                        continue
                nested = nested and not inside
        if not nested:
            n = before
            for k in range(regions):
                disc, hole = outer_edge[k], inner_edge[k]
                hole_half, hole_mode = -1.0, CENTER
                if hole >= 0:
                    hole_half, hole_mode = half[hole, row - first], modes[hole]
                start = n
                n = row_spans(
                    u0, half[disc, row - first], hole_half, modes[disc], hole_mode, period, left, right, begin, end, n
                )
                target[start:n] = count + k
        row_of[before:n] = row
    return n


@jit
def _scan_runs(block, codes, clean, exact, wide, total, square, valid, low, high, window, runs, n, held):
    """Add the pixels of runs to their accumulators; ``exact`` is None for floats."""
    top, left = window[0], window[2]
    summed = total.shape[0] > 0
    for m in range(n):
        r, a, b, t = runs[0, m] - top, runs[1, m] - left, runs[2, m] - left, runs[3, m]
        if exact is None:  # numba drops the branches that cannot be when it compiles
            _scan_float(block, codes, clean, r, a, b, held, t)
        elif summed and b - a >= LONG:
            _add_blocks(block, codes, clean, total, square, valid, low, high, r, a, b, held, t)
        else:
            _scan_exact(block, codes, clean, wide, r, a, b, held, t)


@jit
def accumulate(block, codes, clean, exact, wide, summary, u0, lat0, rad, edges, modes, outer_edge, inner_edge, nvert,
               grid, window, buffers, start, held, out):  # fmt: skip
    """Accumulate the pixels of every crater's regions.

    The discs of one crater are nested, so in each row their edges cut the widest into runs, two for each ring
    and one for the innermost. Each run is visited once, for its ring; regions are put together from rings at the
    end. Where a row's edges are not nested after rounding to pixels, or the crater shows more than once in the
    tile (at the antimeridian, around a pole), the row goes region by region.

    Parameters
    ----------
    block, codes, clean
        Pixels, their codes, and whether all hold values (then there are no codes).
    exact : bool or None
        None for floats.
    wide : bool
        Whether squares of pixels need more than 32 bits.
    summary : tuple of ndarray
        From `summarise`; with no rows where it is not worth making.
    u0, lat0, rad : ndarray, shape (n,)
        The craters.
    edges, modes : ndarray, shape (e,)
        Radius of each disc in crater radii, innermost first, and which pixels it takes.
    outer_edge, inner_edge : ndarray, shape (k,)
        Discs that bound each region; -1 for no hole.
    nvert : int
        Vertices of the polygons; 0 for true circles.
    grid, window, buffers
        As `region_spans` takes them.
    start : ndarray, shape (8,)
        An accumulator before any pixel.
    held : ndarray, shape (e + k, 8)
        Scratch space: one crater's rings, then its regions.
    out : ndarray, shape (n, k, 8)
        The accumulators.
    """
    tables, nodes, half, runs = buffers
    total, square, valid, low, high = summary
    count = edges.size
    for i in range(u0.size):
        for t in range(held.shape[0]):
            for slot in range(8):
                held[t, slot] = start[slot]
        first, stop = edge_half_widths(lat0[i], rad[i], edges, modes, nvert, grid, window, tables, nodes, half)
        n = _nest_runs(u0[i], first, stop, edges, modes, outer_edge, inner_edge, grid, window, half, runs)
        _scan_runs(block, codes, clean, exact, wide, total, square, valid, low, high, window, runs, n, held)
        for k in range(outer_edge.size):
            for e in range(inner_edge[k] + 1, outer_edge[k] + 1):
                _compose(exact, e, count + k, held)
            for slot in range(8):
                out[i, k, slot] = held[count + k, slot]


@jit
def collect(block, codes, clean, u0, lat0, rad, inner, outer, nvert, touched, grid, window, buffers, offset, out):
    """Copy the valid pixels of every crater's regions to ``out``, region by region from ``offset[i, k]`` on."""
    r0, c0 = window[0], window[2]
    spans = buffers[3]
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
def paint(u0, lat0, rad, inner, outer, nvert, touched, grid, window, buffers, out):
    """Set ``out``, an array over the window, to True in one crater's region."""
    spans = buffers[3]
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


@jit
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
    spans = buffers[3]
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
