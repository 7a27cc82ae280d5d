"""Order statistics of one tile's pixels of 8 or 16 bits: keys are counted where the pixels lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels

if TYPE_CHECKING:
    from xcrater.engine.region_set import Drawn

Array = NDArray[Any]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Counting:
    """An image whose keys are counted.

    Parameters
    ----------
    draw : callable
        Positions of some of the tile's craters -> their regions, as pairs of region numbers and runs of these.
    stored, codes, clean
        The pixels, integers of 8 or 16 bits, their codes, and whether all hold values (then there are no codes).
    window : tuple of int
        Of the block.
    lat : ndarray, shape (craters,)
        Latitude, by which craters are taken in turn: neighbours' pixels are in the processor's caches.
    number, low, high : ndarray of int64, shape (craters, regions)
        How many valid pixels each region has, the least and the greatest; of none, anything.
    """

    draw: Callable[[Ints], Iterator[tuple[Array, Drawn]]]
    stored: Array
    codes: Array
    clean: bool
    window: tuple[int, int, int, int]
    lat: Array
    number: Ints
    low: Ints
    high: Ints

    @property
    def key(self) -> np.dtype[Any]:
        """Dtype of the keys."""
        return np.dtype(f"u{self.stored.dtype.itemsize}")

    @property
    def least(self) -> int:
        """Stored number whose key is 0."""
        return int(np.iinfo(self.stored.dtype).min)

    @cached_property
    def distinct(self) -> Ints:
        """At most so many distinct values each region has, shape (craters, regions)."""
        return np.where(self.number > 0, np.minimum(self.number, self.high - self.low + 1), 0)

    @cached_property
    def _scratch(self) -> tuple[Array, ...]:
        return kernels.histogram_scratch(self.key, self.stored.shape[1])

    @cached_property
    def _squares(self) -> tuple[Array, Array, Array]:
        """Counts of whole squares of pixels; none where wide regions are too few for them to pay."""
        side = kernels.SIDE
        wide = self.number[self.number > 16 * side * side].sum()
        many = (self.stored.shape[0] // side) * (self.stored.shape[1] // side) if wide > 2 * self.stored.size else 0
        base, start = np.empty(many, np.int64), np.zeros(many + 1, np.int64)
        if many:
            kernels.square_ranges(self.stored, self.codes, self.clean, base, start)
        counts = np.zeros(int(start[-1]), np.uint16)
        if many:
            kernels.square_counts(self.stored, self.codes, self.clean, base, start, counts)
        return base, start, counts

    def select(self, index: Ints, q: Array, mirrored: bool) -> tuple[Array, Array]:
        """Keys on both sides of each quantile, each of shape (craters * regions, quantiles); 0 of no pixels."""
        found = np.zeros((2, index.size * self.number.shape[1], q.size), np.uint64)
        for drawn, roi in self._drawn(index):
            kernels.select_runs(
                self.stored, self.codes, self.clean, drawn.runs, drawn.offset, self.window, roi, *self._of(index),
                self.least, self._squares, q, mirrored, self._scratch, found[0], found[1],
            )  # fmt: skip
        return found[0], found[1]

    def pairs(self, index: Ints) -> tuple[Ints, Ints, Array, Array]:
        """Where the pairs of each region begin and end, in any order; keys, and how many pixels have each."""
        room = int(self.distinct[index].sum())
        counts = np.int32 if self.stored.size < 2**31 else np.int64
        keys, tally = np.empty(room, self.key), np.empty(room, counts)
        begin, end = np.zeros((2, index.size * self.number.shape[1]), np.int64)
        at = 0
        for drawn, roi in self._drawn(index):
            at = kernels.pair_runs(
                self.stored, self.codes, self.clean, drawn.runs, drawn.offset, self.window, roi, *self._of(index),
                self.least, self._squares, self._scratch, begin, end, keys, tally, at,
            )  # fmt: skip
        if at < room // 2:  # rather than keep what was never filled
            return begin, end, keys[:at].copy(), tally[:at].copy()
        return begin, end, keys[:at], tally[:at]

    def _of(self, index: Ints) -> tuple[Ints, Ints, Ints]:
        return self.number[index].ravel(), self.low[index].ravel(), self.high[index].ravel()

    def _drawn(self, index: Ints) -> Iterator[tuple[Drawn, Ints]]:
        """Runs of some craters, by latitude, and which of their regions these are, of all of them in order."""
        regions = self.number.shape[1]
        order = np.argsort(self.lat[index], kind="stable")
        numbers = np.arange(index.size * regions).reshape(index.size, regions)[order]
        for members, drawn in self.draw(index[order]):
            yield drawn, np.ascontiguousarray(numbers[drawn.craters][:, members])
