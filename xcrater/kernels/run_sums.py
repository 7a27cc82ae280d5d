"""Drawn regions and a block of pixels to accumulators, run by run."""

from __future__ import annotations

import numpy as np

from xcrater.kernels.accumulators import (
    AREA,
    HIGH,
    LOW,
    MISSING,
    NANS,
    PIXELS,
    SQ_HIGH,
    SQ_LOW,
    merge_float,
    merge_moments,
)
from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.missing import NODATA, VALID
from xcrater.kernels.sums import scan_exact, scan_float


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
        merge_moments(held, t, mass, total, origin, square, cubes, fourths)
    else:
        merge_float(held, t, mass, total + mass * origin, square)
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
                    scan_float(block, codes, clean, *at, held, t)
                else:
                    scan_exact(block, codes, clean, *at, held, t)
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
