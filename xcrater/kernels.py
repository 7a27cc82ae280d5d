"""Spans and a block of pixels to accumulators: pixel space only.

A block comes with a *code* per pixel, 0 where it holds a value, or with none at all where every pixel does.
Kernels never validate; outputs are given by the caller, one row per crater and one column per region.
"""

from __future__ import annotations

import math

import numpy as np

from xcrater._jit import jit
from xcrater.spans import region_spans

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


@jit
def accumulate_int(block, codes, clean, u0, lat0, rad, inner, outer, nvert, touched, grid, window, buffers, extremes,
                   count, total, sq_high, sq_low, low, high, nodata, nan):  # fmt: skip
    """Count, sum, sum of squares, extremes and missing pixels of every crater's regions; exact in integers.

    The sum of squares is kept as two integers, ``sq_high * 2**32 + sq_low``.
    """
    work, row, start, stop = buffers
    r0, c0 = window[0], window[2]
    for i in range(u0.size):
        for k in range(inner.size):
            n = region_spans(
                u0[i], lat0[i], rad[i], inner[k], outer[k], nvert[k], touched, grid, window, work, row, start, stop
            )
            for s in range(n):
                line = block[row[s] - r0, start[s] - c0 : stop[s] - c0]
                m = line.size
                sum1 = np.int64(0)
                square_low = np.int64(0)
                square_high = np.int64(0)
                if clean:
                    for c in range(m):
                        x = np.int64(line[c])
                        sum1 += x
                        x *= x
                        square_low += x & 0xFFFFFFFF
                        square_high += x >> 32
                    if extremes:
                        lo, hi = low[i, k], high[i, k]
                        for c in range(m):
                            x = np.int64(line[c])
                            lo = min(lo, x)
                            hi = max(hi, x)
                        low[i, k], high[i, k] = lo, hi
                else:
                    code = codes[row[s] - r0, start[s] - c0 : stop[s] - c0]
                    m = 0
                    lo, hi = low[i, k], high[i, k]
                    for c in range(line.size):
                        if code[c] == VALID:
                            x = np.int64(line[c])
                            m += 1
                            sum1 += x
                            lo = min(lo, x)
                            hi = max(hi, x)
                            x *= x
                            square_low += x & 0xFFFFFFFF
                            square_high += x >> 32
                        elif code[c] == NODATA:
                            nodata[i, k] += 1
                        else:
                            nan[i, k] += 1
                    low[i, k], high[i, k] = lo, hi
                count[i, k] += m
                total[i, k] += sum1
                sq_low[i, k] += square_low
                sq_high[i, k] += square_high


@jit
def accumulate_float(block, codes, clean, u0, lat0, rad, inner, outer, nvert, touched, grid, window, buffers, extremes,
                     count, total, m2, low, high, nodata, nan):  # fmt: skip
    """Count, sum, sum of squared deviations, extremes and missing pixels of every crater's regions.

    Each span's deviations are taken from its own mean, and spans merge by Chan's update (Chan, Golub & LeVeque
    1983), so a mean far larger than the spread costs no digits.
    """
    work, row, start, stop = buffers
    r0, c0 = window[0], window[2]
    for i in range(u0.size):
        for k in range(inner.size):
            n = region_spans(
                u0[i], lat0[i], rad[i], inner[k], outer[k], nvert[k], touched, grid, window, work, row, start, stop
            )
            lo, hi = low[i, k], high[i, k]
            for s in range(n):
                line = block[row[s] - r0, start[s] - c0 : stop[s] - c0]
                m = line.size
                sum1 = 0.0
                square = 0.0
                if clean:
                    for c in range(m):
                        sum1 += np.float64(line[c])
                    mean = sum1 / m
                    for c in range(m):
                        d = np.float64(line[c]) - mean
                        square += d * d
                    if extremes:
                        for c in range(m):
                            x = np.float64(line[c])
                            lo = min(lo, x)
                            hi = max(hi, x)
                else:
                    code = codes[row[s] - r0, start[s] - c0 : stop[s] - c0]
                    m = 0
                    for c in range(line.size):
                        if code[c] == VALID:
                            x = np.float64(line[c])
                            m += 1
                            sum1 += x
                            lo = min(lo, x)
                            hi = max(hi, x)
                        elif code[c] == NODATA:
                            nodata[i, k] += 1
                        else:
                            nan[i, k] += 1
                    if m == 0:
                        continue
                    mean = sum1 / m
                    for c in range(line.size):
                        if code[c] == VALID:
                            d = np.float64(line[c]) - mean
                            square += d * d
                held = count[i, k]
                if held > 0:
                    d = mean - total[i, k] / held
                    square += d * d * (held * (m / (held + m)))
                count[i, k] = held + m
                total[i, k] += sum1
                m2[i, k] += square
            low[i, k], high[i, k] = lo, hi


@jit
def collect(block, codes, clean, u0, lat0, rad, inner, outer, nvert, touched, grid, window, buffers, offset, out):
    """Copy the valid pixels of every crater's regions to ``out``, region by region from ``offset[i, k]`` on."""
    work, row, start, stop = buffers
    r0, c0 = window[0], window[2]
    for i in range(u0.size):
        for k in range(inner.size):
            n = region_spans(
                u0[i], lat0[i], rad[i], inner[k], outer[k], nvert[k], touched, grid, window, work, row, start, stop
            )
            at = offset[i, k]
            for s in range(n):
                r = row[s] - r0
                for c in range(start[s] - c0, stop[s] - c0):
                    if clean or codes[r, c] == VALID:
                        out[at] = block[r, c]
                        at += 1


@jit
def paint(u0, lat0, rad, inner, outer, nvert, touched, grid, window, buffers, out):
    """Set ``out``, an array over the window, to True in one crater's region."""
    work, row, start, stop = buffers
    n = region_spans(u0, lat0, rad, inner, outer, nvert, touched, grid, window, work, row, start, stop)
    for s in range(n):
        for c in range(start[s], stop[s]):
            out[row[s] - window[0], c - window[2]] = True


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
    work, row, start, stop = buffers
    lat_origin, lat_step, period = grid
    for i in range(u0.size):
        n = region_spans(u0[i], lat0[i], rad[i], 0.0, extent, 0, False, grid, window, work, row, start, stop)
        for s in range(n):
            lat = lat_origin + lat_step * (row[s] + 0.5)
            up = math.sin(0.5 * (lat - lat0[i])) ** 2
            both = math.cos(lat) * math.cos(lat0[i])
            for c in range(start[s], stop[s]):
                along = math.sin(math.pi * (c + 0.5 - u0[i]) / period) ** 2
                distance = 2.0 * math.asin(min(1.0, math.sqrt(up + both * along)))
                out[row[s] - window[0], c - window[2]] += crater_height(distance / rad[i], depth[i], rim[i], extent)
