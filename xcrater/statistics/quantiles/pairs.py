"""Pairs: the distinct keys of each ROI, ascending, and the number of pixels that have each.

Tiles that share a crater ship pairs rather than pixels. Pairs merge like accumulators and lose nothing, and there are
never more of them than pixels or than distinct keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.errors import StatisticError
from xcrater.statistics.quantiles.problem import DIGIT

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NARROW = 2**26
"""Bytes that waiting pairs of 16-bit keys may take in any case; one ROI has at most 0.7 MB of them."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of several ROIs, and the numbers of tiles that they come from and still wait for.

    Parameters
    ----------
    roi : ndarray of int64, shape (n,)
        Number of each ROI, ascending.
    seen, tiles : ndarray of int32, shape (n,)
        Number of tiles from which each ROI's pairs come, and number of tiles that list its crater.
    start, stop : ndarray of int64, shape (n,)
        Position of each ROI's first pair, and the position past its last.
    keys : ndarray of unsigned integers, shape (pairs,)
        Distinct keys, ascending within each ROI.
    tally : ndarray of int32, int64 or float64, shape (pairs,)
        Number, or weight, of the pixels that have each key.
    squares : ndarray of float64, shape (n,), or None
        Sum of the squared weights of each ROI's pixels; None where pixels are counted.
    most : int
        Upper bound of a tally, from which merging chooses a dtype that holds the sums.
    """

    roi: Ints
    seen: NDArray[np.int32]
    tiles: NDArray[np.int32]
    start: Ints
    stop: Ints
    keys: Array
    tally: Array
    squares: Floats | None = None
    most: int = 2**62

    @property
    def nbytes(self) -> int:
        """Bytes of keys and tallies."""
        return self.keys.nbytes + self.tally.nbytes

    def take(self, index: Ints) -> Pairs:
        """Select the ROIs at some positions, without copying their pairs."""
        names = ("roi", "seen", "tiles", "start", "stop")
        squares = None if self.squares is None else self.squares[index]
        return replace(self, squares=squares, **{name: getattr(self, name)[index] for name in names})

    def packed(self) -> Pairs:
        """Make all pairs contiguous, copying them unless they are already."""
        offsets = offsets_of(self.stop - self.start)
        if offsets[-1] == self.keys.size and np.array_equal(offsets[:-1], self.start):
            return self
        keys, tally = np.empty(offsets[-1], self.keys.dtype), np.empty(offsets[-1], self.tally.dtype)
        kernels.pack(self.keys, self.tally, self.start, self.stop, keys, tally)
        return replace(self, start=offsets[:-1], stop=offsets[1:], keys=keys, tally=tally)

    def split(self) -> tuple[Pairs, Pairs]:
        """Separate the ROIs whose tiles have all been seen from the others, which do not keep their memory alive."""
        done = self.seen == self.tiles
        if done.all() or not done.any():
            none = self.take(np.empty(0, np.int64))
            return (self, none) if done.all() else (none, self)
        return self.take(np.flatnonzero(done)), self.take(np.flatnonzero(~done)).packed()


def offsets_of(length: Array) -> Ints:
    """Positions at which consecutive runs of these lengths begin, and the end of the last one."""
    return np.append(0, np.cumsum(length.ravel())).astype(np.int64)


def sort_runs(keys: Array, offsets: Ints, longest: float) -> None:
    """Sort long runs of wide keys with numpy, which uses vector instructions for them; kernels sort the others."""
    if 8 * keys.itemsize > DIGIT:
        length = np.diff(offsets)
        for i in np.flatnonzero((length >= 256) & (length < longest)).tolist():
            keys[offsets[i] : offsets[i + 1]].sort()


def pairs_of_runs(roi: Ints, tiles: NDArray[np.int32], keys: Array, weights: Floats | None, offsets: Ints) -> Pairs:
    """Make one tile's pairs in the memory of the keys and weights.

    Parameters
    ----------
    roi : ndarray of int64, shape (n,)
        Number of each ROI.
    tiles : ndarray of int32, shape (n,)
        Number of tiles that list each ROI's crater.
    keys : ndarray of unsigned integers, shape (pixels,)
        Keys of the ROIs' pixels, ROI after ROI. They are overwritten.
    weights : ndarray of float64, shape (pixels,), or None
        Weight of each pixel; None to count pixels. The weights are overwritten.
    offsets : ndarray of int64, shape (n + 1,)
        Position of each ROI's first pixel, and their number.
    """
    if weights is None:
        sort_runs(keys, offsets, np.inf)
    longest = int(np.diff(offsets).max(initial=0))
    dtype = np.int64 if weights is None else np.float64
    tally = np.empty(keys.size, np.int64) if weights is None else weights
    spare = np.empty(longest, keys.dtype), None if weights is None else np.empty(longest)
    squares = None
    if weights is not None:
        squares = np.empty(roi.size)
        kernels.sum_squares(weights, offsets, squares)
    counts, dense = np.empty(kernels.BUCKETS, np.int64), np.empty(kernels.BUCKETS, dtype)
    ends = np.empty_like(offsets)
    kernels.to_pairs(keys, weights, offsets, *spare, counts, dense, tally, ends)
    seen = np.ones(roi.size, np.int32)
    return Pairs(roi, seen, tiles, ends[:-1], ends[1:], keys[: ends[-1]], tally[: ends[-1]], squares)


def merge_pairs(parts: Sequence[Pairs], memory: int) -> Pairs:
    """Merge the pairs of several tiles, two at a time.

    Parameters
    ----------
    parts : sequence of Pairs
        The pairs of at least one tile.
    memory : int
        The option ``memory``, bytes. Half of it is for pairs.

    Raises
    ------
    StatisticError
        The pairs take more than half of the memory.
    """
    parts = list(parts)
    narrow = 8 * parts[0].keys.itemsize <= DIGIT
    allowed = max(memory // 2, NARROW) if narrow else memory // 2
    while len(parts) > 1:
        pairwise = [_merge_two(*two) for two in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairwise + parts[2 * len(pairwise) :]
        needed = sum(part.nbytes for part in parts)
        if needed > allowed:
            raise StatisticError(
                f"order statistics of large regions take {needed} bytes or more at a time, and {allowed} are "
                f"allowed (half of the option memory); set_options(memory={4 * needed}) or more, or ask for "
                f"fewer regions at a time, or for quantiles without frequencies and an array of weights"
            )
    return parts[0]


def _merge_two(one: Pairs, two: Pairs) -> Pairs:
    roi = np.union1d(one.roi, two.roi)
    seen, tiles = np.zeros(roi.size, np.int32), np.zeros(roi.size, np.int32)
    squares = None if one.squares is None else np.zeros(roi.size)
    ends = []
    for part in (one, two):
        place = np.searchsorted(roi, part.roi)
        start, stop = np.zeros(roi.size, np.int64), np.zeros(roi.size, np.int64)
        start[place], stop[place] = part.start, part.stop
        seen[place] += part.seen
        tiles[place] = part.tiles
        if squares is not None and part.squares is not None:
            squares[place] += part.squares
        ends.append((start, stop))
    size, most = one.keys.size + two.keys.size, min(one.most + two.most, 2**62)
    counts = np.result_type(one.tally, two.tally)
    counts = np.dtype(np.int64) if counts == np.int32 and most >= 2**31 else counts
    keys, tally, offsets = np.empty(size, one.keys.dtype), np.empty(size, counts), np.empty(roi.size + 1, int)
    tally1, tally2 = (part.tally.astype(counts, copy=False) for part in (one, two))
    kernels.merge_pairs(one.keys, tally1, *ends[0], two.keys, tally2, *ends[1], keys, tally, offsets)
    end = int(offsets[-1])  # at least half of the allocation; the rest was never touched and takes no memory
    return Pairs(roi, seen, tiles, offsets[:-1], offsets[1:], keys[:end], tally[:end], squares, most)
