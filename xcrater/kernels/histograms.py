"""Order statistics of pixels of 8 or 16 bits, counted where they lie: runs of pixels and a block to counts of keys.

A key is a pixel's stored number less the least that its dtype holds. Whole squares of pixels are counted once for all
regions, so a wide region adds up counts rather than pixels. Kernels never validate; outputs and scratch space are
given by the caller.
"""

from __future__ import annotations

import numpy as np

from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.missing import VALID
from xcrater.kernels.selection import DENSE, pairs_counted, pairs_run, select_counted, select_run

SIDE = 64
"""Rows and columns of a square."""

SPREAD = SIDE * SIDE
"""Keys that a square may range over. Counts of more cost as much to add up as the pixels."""

MANY = 4096
"""Keys from which on counting is faster than sorting buckets."""

SPARSE = 65536 // DENSE
"""Keys that are sorted rather than counted, at most."""


@jit
def square_ranges(block, codes, clean, base, start):
    """Least pixel of each whole square, row by row of squares, and where its counts begin in an array of them all.

    ``start`` is one longer than ``base``. A square without pixels, or of too many keys, has no counts.
    """
    across = block.shape[1] // SIDE
    at = np.int64(0)
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
        base[j], start[j] = low, at
        if low <= high and high - low < SPREAD:
            at += high - low + 1
    start[base.size] = at


@jit
def square_counts(block, codes, clean, base, start, counts):
    """Count the keys of every square that has counts; these are 0 before."""
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
    """Add one array of counts to another; apart, for vector lanes."""
    for j in range(counts.size):
        out[j] += counts[j]


@inlined
def _count_row(block, codes, clean, r, a, b, low, out):
    """Count the keys of pixels [a, b) of row r."""
    if clean:
        row = block[r, a:b]
        for c in range(row.size):
            out[np.uint64(np.int64(row[c]) - low)] += 1
    else:
        for c in range(a, b):
            if codes[r, c] == VALID:
                out[np.uint64(np.int64(block[r, c]) - low)] += 1


@inlined
def _count_squares(block, codes, clean, runs, s, stop, window, low, base, start, counts, whole, out):
    """Count the keys of runs [s, stop), whole squares of them by their counts."""
    across = block.shape[1] // SIDE
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
                    _count_row(block, codes, clean, r, a, min(b, (j + 1) * SIDE), low, out)
                a = (j + 1) * SIDE
        s = last


@inlined
def _count(block, codes, clean, runs, first, stop, window, low, squares, whole, out):
    """Count the keys of runs [first, stop)."""
    base, start, counts = squares
    if base.size > 0 and runs[0, stop - 1] - runs[0, first] >= 2 * SIDE:
        _count_squares(block, codes, clean, runs, first, stop, window, low, base, start, counts, whole, out)
        return
    for s in range(first, stop):
        _count_row(
            block, codes, clean, runs[0, s] - window[0], runs[1, s] - window[2], runs[2, s] - window[2], low, out
        )


@inlined
def _gather(block, codes, clean, runs, first, stop, window, least, out):
    """Keys of runs [first, stop); there has to be room for one more."""
    n = 0
    for s in range(first, stop):
        r, a, b = runs[0, s] - window[0], runs[1, s] - window[2], runs[2, s] - window[2]
        if clean:
            row, to = block[r, a:b], out[n : n + b - a]
            for c in range(to.size):
                to[c] = np.int64(row[c]) - least
            n += to.size
        else:
            for c in range(a, b):  # rather than a branch that cannot be foreseen
                out[n] = np.int64(block[r, c]) - least
                n += codes[r, c] == VALID
    return n


@jit
def select_runs(block, codes, clean, runs, offset, window, roi, number, low, high, least, squares, q, mirrored, scratch,
                low_key, high_key):  # fmt: skip
    """Keys of the ranks on both sides of each quantile of drawn regions.

    Parameters
    ----------
    block, codes, clean
        Pixels, their codes, and whether all hold values (then there are no codes).
    runs, offset, window
        The regions of some craters, `xcrater.engine.region_set.Drawn`, and the block's window.
    roi : ndarray of int64, shape (craters, regions)
        Which row of the following each region has.
    number, low, high : ndarray of int64, shape (n,)
        How many valid pixels each has, the least and the greatest.
    least : int
        The least number of the block's dtype.
    squares : tuple of ndarray
        From `square_ranges` and `square_counts`: base, start, counts. Of no length where they would not pay.
    q, mirrored
        As `xcrater.kernels.selection.select` takes them.
    scratch : tuple of ndarray
        From `histogram_scratch`; its counts are 0 before and after.
    low_key, high_key : ndarray of uint64, shape (n, k)
        The keys.
    """
    keys, spare, counts, dense, whole = scratch
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            t = roi[i, k]
            n, first, stop = number[t], offset[i, k, 0], offset[i, k, 1]
            if n == 0:
                continue
            span = high[t] - low[t] + 1
            if n > MANY and span <= DENSE * n:
                _count(block, codes, clean, runs, first, stop, window, low[t], squares, whole, dense)
                select_counted(dense[:span], n, np.uint64(low[t] - least), q, mirrored, t, low_key, high_key)
                dense[:span] = 0
            else:
                n = _gather(block, codes, clean, runs, first, stop, window, least, keys)
                select_run(keys, 0, n, q, mirrored, spare, counts, t, low_key, high_key)


@jit
def pair_runs(block, codes, clean, runs, offset, window, roi, number, low, high, least, squares, scratch, begin, end,
              out, tally, at):  # fmt: skip
    """Pairs of drawn regions, written from ``at`` on; returns where they end.

    ``begin`` and ``end``, of shape (n,), tell where those of each region lie; the rest is as `select_runs` takes it.
    """
    keys, spare, counts, dense, whole = scratch
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            t = roi[i, k]
            n, first, stop = number[t], offset[i, k, 0], offset[i, k, 1]
            begin[t] = at
            if n > 0:
                span = high[t] - low[t] + 1
                if n > MANY and span <= DENSE * n:
                    _count(block, codes, clean, runs, first, stop, window, low[t], squares, whole, dense)
                    at = pairs_counted(dense, span, np.uint64(low[t] - least), out, tally, at)
                    dense[:span] = 0
                else:
                    n = _gather(block, codes, clean, runs, first, stop, window, least, keys)
                    at = pairs_run(keys, None, 0, n, spare, None, counts, counts, out, tally, at)
            end[t] = at
    return at


def histogram_scratch(key, columns):
    """Arrays that `select_runs` and `pair_runs` need: keys and as many again, counts, counts of keys, squares."""
    return (
        np.empty(SPARSE + 1, key),
        np.empty(SPARSE + 1, key),
        np.empty(65536, np.int64),
        np.zeros(65536, np.uint32),
        np.empty(columns // SIDE + 2, np.int64),
    )
