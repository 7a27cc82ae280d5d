"""Sums over the pixels of drawn regions, run by run: for any shape, any grid, and weighted pixels."""

from __future__ import annotations

import numpy as np

from xcrater.kernels.accumulators import carry_squares, merge_float, merge_moments
from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.missing import NODATA, VALID
from xcrater.kernels.slots import AREA, HIGH, LOW, MISSING, NANS, PIXELS
from xcrater.kernels.sums import scan_run


@inlined
def _scan_runs(pixels, drawn, first, stop, window, weights, areas, held, t):
    """Add the pixels of runs [first, stop) to ``held[t]``, an accumulator of weighted pixels.

    Deviations are taken from the mean of all these pixels, so there are two passes. Returns False if a weight is
    negative, infinite or not a number.
    """
    block, codes, clean, _ = pixels
    runs, weight, _ = drawn
    down, across = int(weights.shape[0] > 1), int(weights.shape[1] > 1)
    area_down, area_across = int(areas.shape[0] > 1), int(areas.shape[1] > 1)
    mass = total = fraction = area = origin = 0.0
    sound = True
    for s in range(first, stop):
        r, cover = runs[0, s] - window[0], weight[s]
        for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
            if clean or codes[r, c] == VALID:
                w = cover * weights[r * down, c * across]
                sound &= 0.0 <= w < np.inf
                fraction += cover
                area += cover * areas[r * area_down, c * area_across]
                if w > 0.0:
                    x = np.float64(block[r, c])
                    if mass == 0.0 and abs(x) < np.inf:
                        origin = x  # sums are relative to this value, so that a large mean costs no digits
                    mass += w
                    total += w * (x - origin)
                    held[t, LOW] = min(held[t, LOW], x)
                    held[t, HIGH] = max(held[t, HIGH], x)
            elif codes[r, c] == NODATA:
                held[t, MISSING] += cover
            else:
                held[t, NANS] += cover
    held[t, PIXELS] += fraction
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
        merge_moments(held, t, mass, total, origin, square, cubes, fourths)
    else:
        merge_float(held, t, mass, total + mass * origin, square)
    return sound


@jit
def sum_runs(pixels, weighted, drawn, window, weights, areas, sums, members, first):
    """Accumulate the pixels of drawn regions, to ``sums.out[first + i, image, members[k]]`` for region k of crater i.

    Parameters
    ----------
    pixels : Pixels
        One image of the tile.
    weighted : bool
        Whether accumulators are of weighted pixels.
    drawn : Runs
        The regions.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile on the whole grid.
    weights, areas : ndarray of float64, shape (rows or 1, columns or 1)
        Weight and area of each pixel of the window.
    sums : Sums
        The accumulators; those of these regions are overwritten.
    members : ndarray of int64, shape (regions,)
        Position of each region in the output.
    first : int
        Position in the output of the first of the drawn craters.

    Returns
    -------
    bool
        False if a weight is negative, infinite or not a number.
    """
    sound = True
    for i in range(drawn.offset.shape[0]):
        for k in range(drawn.offset.shape[1]):
            held = sums.out[first + i, sums.image]
            t = members[k]
            for slot in range(held.shape[1]):
                held[t, slot] = sums.start[slot]
            begin, end = drawn.offset[i, k, 0], drawn.offset[i, k, 1]
            if weighted:
                sound &= _scan_runs(pixels, drawn, begin, end, window, weights, areas, held, t)
                continue
            for s in range(begin, end):
                r, a, b = drawn.runs[0, s] - window[0], drawn.runs[1, s] - window[2], drawn.runs[2, s] - window[2]
                scan_run(pixels, r, a, b, held, t)
            if pixels.exact is not None:
                carry_squares(held, t)
    return sound


@jit
def sum_areas(pixels, drawn, window, areas, sums, members, first):
    """Set slot AREA of drawn regions' accumulators to the area of their valid pixels; parameters as in `sum_runs`."""
    down, across = int(areas.shape[0] > 1), int(areas.shape[1] > 1)
    runs, weight, offset = drawn
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            area = 0.0
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                r = runs[0, s] - window[0]
                for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
                    if pixels.clean or pixels.codes[r, c] == VALID:
                        area += weight[s] * areas[r * down, c * across]
            sums.out[first + i, sums.image, members[k], AREA] = area


@jit
def collect(pixels, weighted, drawn, window, weights, values, masses, length):
    """Copy the valid pixels of drawn regions, region after region.

    Parameters
    ----------
    pixels, drawn, window, weights
        As `sum_runs` takes them.
    weighted : bool
        Whether pixels have weights; those of weight 0 are left out.
    values : ndarray of the block's dtype, shape (n,)
        Filled with pixels; one longer than the pixels of all regions.
    masses : ndarray of float64, shape (n,) or (0,)
        Filled with the pixels' weights, if they have any.
    length : ndarray of int64, shape (craters, regions)
        Filled with the number of pixels of each region.
    """
    block, codes, clean, _ = pixels
    runs, weight, offset = drawn
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
                    for c in range(first, stop):  # branch-free: which pixels are valid cannot be predicted
                        values[n] = block[r, c]
                        n += codes[r, c] == VALID
            length[i, k] = n - begun
