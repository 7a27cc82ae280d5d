"""Order statistics of pixels of 8 or 16 bits, from histograms of the pixels in place.

A key is a pixel's stored number less the least number of its dtype. Whole squares of pixels are counted once for all
regions, so that a wide region adds up counts rather than pixels. Kernels never validate; the caller allocates outputs
and scratch space.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.missing import VALID
from xcrater.kernels.records import HistogramScratch
from xcrater.kernels.selection import DENSE, pairs_counted, pairs_run, select_counted, select_run

SIDE = 64
"""Rows and columns of a square."""

SPREAD = SIDE * SIDE
"""Largest range of keys of a square that is counted, since adding up more counts would cost as much as the pixels."""

MANY = 4096
"""Number of keys above which counting is faster than sorting buckets."""

SPARSE = 65536 // DENSE
"""Largest number of keys that are sorted rather than counted."""


@jit
def square_ranges(pixels, base, start):
    """Least pixel of each whole square, row by row of squares, and the position of its counts among those of all.

    Parameters
    ----------
    pixels : Pixels
        One image of the tile, integers.
    base, start : ndarray of int64, shape (squares,) and (squares + 1,)
        Filled; see `Squares`. A square without valid pixels, or with too wide a range of keys, has no counts.
    """
    block, codes, clean, _ = pixels
    across = block.shape[1] // SIDE
    position = np.int64(0)
    for j in range(base.size):
        top, left = j // across * SIDE, j % across * SIDE
        low, high = np.int64(2**62), np.int64(-(2**62))
        for r in range(top, top + SIDE):
            row = block[r, left : left + SIDE]
            if clean:
                least = most = row[0]
                for c in range(SIDE):
                    least, most = min(least, row[c]), max(most, row[c])
                low, high = min(low, np.int64(least)), max(high, np.int64(most))
            else:
                for c in range(SIDE):
                    if codes[r, left + c] == VALID:
                        low, high = min(low, np.int64(row[c])), max(high, np.int64(row[c]))
        base[j], start[j] = low, position
        if low <= high and high - low < SPREAD:
            position += high - low + 1
    start[base.size] = position


@jit
def square_counts(pixels, squares):
    """Count the keys of every square for which `square_ranges` allotted room; counts must be zeros before."""
    block, codes, clean, _ = pixels
    base, start, counts = squares
    across = block.shape[1] // SIDE
    for j in range(base.size):
        if start[j + 1] > start[j]:
            top, left = j // across * SIDE, j % across * SIDE
            first = start[j] - base[j]
            for r in range(top, top + SIDE):
                for c in range(left, left + SIDE):
                    if clean or codes[r, c] == VALID:
                        counts[first + np.int64(block[r, c])] += 1


@jit
def _add_counts(counts, out):
    """Add one array of counts to another: a loop of its own, for the vectoriser."""
    for j in range(counts.size):
        out[j] += counts[j]


@inlined
def _count_row(pixels, r, a, b, low, out):
    """Count the pixels [a, b) of row r of the block, in ``out[pixel - low]``."""
    block, codes, clean, _ = pixels
    if clean:
        row = block[r, a:b]
        for c in range(row.size):
            out[np.uint64(np.int64(row[c]) - low)] += 1
    else:
        for c in range(a, b):
            if codes[r, c] == VALID:
                out[np.uint64(np.int64(block[r, c]) - low)] += 1


@inlined
def _count_squares(pixels, runs, first, stop, window, low, squares, whole, out):
    """Count the pixels of runs [first, stop) in ``out[pixel - low]``, whole squares of them by their counts."""
    base, start, counts = squares
    across = pixels.stored.shape[1] // SIDE
    s = first
    while s < stop:
        band = (runs[0, s] - window[0]) // SIDE
        whole[: across + 1] = 0
        last = s
        while last < stop and (runs[0, last] - window[0]) // SIDE == band:
            a, b = runs[1, last] - window[2], runs[2, last] - window[2]
            for j in range((a + SIDE - 1) // SIDE, b // SIDE):
                whole[j] += 1
            last += 1
        for j in range(across):
            square = band * across + j
            if whole[j] == SIDE and start[square] < start[square + 1]:
                shift = base[square] - low
                length = start[square + 1] - start[square]
                _add_counts(counts[start[square] : start[square + 1]], out[shift : shift + length])
            else:
                whole[j] = 0
        for t in range(s, last):
            r, a, b = runs[0, t] - window[0], runs[1, t] - window[2], runs[2, t] - window[2]
            while a < b:
                j = a // SIDE
                if whole[j] == 0:
                    _count_row(pixels, r, a, min(b, (j + 1) * SIDE), low, out)
                a = (j + 1) * SIDE
        s = last


@inlined
def _count(pixels, runs, first, stop, window, low, squares, whole, out):
    """Count the pixels of runs [first, stop) in ``out[pixel - low]``."""
    if squares.base.size > 0 and runs[0, stop - 1] - runs[0, first] >= 2 * SIDE:
        _count_squares(pixels, runs, first, stop, window, low, squares, whole, out)
        return
    for s in range(first, stop):
        _count_row(pixels, runs[0, s] - window[0], runs[1, s] - window[2], runs[2, s] - window[2], low, out)


@inlined
def _gather(pixels, runs, first, stop, window, least, out):
    """Copy the keys of runs [first, stop) to ``out``, which has room for one more; returns their number."""
    block, codes, clean, _ = pixels
    n = 0
    for s in range(first, stop):
        r, a, b = runs[0, s] - window[0], runs[1, s] - window[2], runs[2, s] - window[2]
        if clean:
            row, to = block[r, a:b], out[n : n + b - a]
            for c in range(to.size):
                to[c] = np.int64(row[c]) - least
            n += to.size
        else:
            for c in range(a, b):  # branch-free: which pixels are valid cannot be predicted
                out[n] = np.int64(block[r, c]) - least
                n += codes[r, c] == VALID
    return n


@jit
def select_runs(pixels, drawn, window, roi, ranges, least, squares, q, mirrored, scratch, low_key, high_key):
    """Keys of the ranks on both sides of each quantile of drawn regions.

    Parameters
    ----------
    pixels : Pixels
        One image of the tile, integers of 8 or 16 bits.
    drawn : Runs
        Regions of some craters.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile on the whole grid.
    roi : ndarray of int64, shape (craters, regions)
        Position of each of these regions in ``ranges`` and the output.
    ranges : Ranges
        Numbers and ranges of the regions' pixels.
    least : int
        Least number of the block's dtype.
    squares : Squares
        From `square_ranges` and `square_counts`; empty if they would not pay.
    q, mirrored
        As `xcrater.kernels.selection.select` takes them.
    scratch : HistogramScratch
        From `histogram_scratch`.
    low_key, high_key : ndarray of uint64, shape (n, quantiles)
        Filled.
    """
    runs, _, offset = drawn
    number, low, high = ranges
    keys, spare, counts, dense, whole = scratch
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            t = roi[i, k]
            n, first, stop = number[t], offset[i, k, 0], offset[i, k, 1]
            if n == 0:
                continue
            span = high[t] - low[t] + 1
            if n > MANY and span <= DENSE * n:
                _count(pixels, runs, first, stop, window, low[t], squares, whole, dense)
                select_counted(dense[:span], n, np.uint64(low[t] - least), q, mirrored, t, low_key, high_key)
                dense[:span] = 0
            else:
                n = _gather(pixels, runs, first, stop, window, least, keys)
                select_run(keys, 0, n, q, mirrored, spare, counts, t, low_key, high_key)


@jit
def pair_runs(pixels, drawn, window, roi, ranges, least, squares, scratch, bounds, out, tally, position):
    """Write the pairs of drawn regions one after another: distinct keys, ascending, and the number of pixels of each.

    Parameters
    ----------
    pixels, drawn, window, roi, ranges, least, squares, scratch
        As `select_runs` takes them.
    bounds : ndarray of int64, shape (2, n)
        Filled with the position of each region's first pair, and the one past its last.
    out, tally : ndarray
        Filled with keys and numbers of pixels.
    position : int
        Position of the first pair.

    Returns
    -------
    int
        Position past the last pair.
    """
    runs, _, offset = drawn
    number, low, high = ranges
    keys, spare, counts, dense, whole = scratch
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            t = roi[i, k]
            n, first, stop = number[t], offset[i, k, 0], offset[i, k, 1]
            bounds[0, t] = position
            if n > 0:
                span = high[t] - low[t] + 1
                if n > MANY and span <= DENSE * n:
                    _count(pixels, runs, first, stop, window, low[t], squares, whole, dense)
                    position = pairs_counted(dense, span, np.uint64(low[t] - least), out, tally, position)
                    dense[:span] = 0
                else:
                    n = _gather(pixels, runs, first, stop, window, least, keys)
                    position = pairs_run(keys, None, 0, n, spare, None, counts, counts, out, tally, position)
            bounds[1, t] = position
    return position


def histogram_scratch(key: type[np.unsignedinteger[Any]], columns: int) -> HistogramScratch:
    """Arrays that `select_runs` and `pair_runs` work in, any number of times.

    Parameters
    ----------
    key : type
        Dtype of the keys.
    columns : int
        Columns of the block.
    """
    return HistogramScratch(
        keys=np.empty(SPARSE + 1, key),
        spare=np.empty(SPARSE + 1, key),
        counts=np.empty(65536, np.int64),
        dense=np.zeros(65536, np.uint32),
        whole=np.empty(columns // SIDE + 2, np.int64),
    )
