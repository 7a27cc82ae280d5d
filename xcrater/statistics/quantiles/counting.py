"""Order statistics of one tile's pixels of 8 or 16 bits, whose keys are counted in place.

A key is a stored number less the least number of its dtype, so a region has at most 65,536 distinct keys, and their
counts give every order statistic. A region of many pixels is counted rather than sorted, unless its keys are widely
spread. Whole squares of pixels are counted once for all regions, so that wide regions add up counts instead of pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.drawn import Drawn
from xcrater.geometry.grid import Window

Array = NDArray[Any]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Counting:
    """One image of a tile whose keys are counted in place.

    Parameters
    ----------
    draw : callable
        Positions of some of the tile's craters -> their regions as runs of pixels, in parts: the positions of a part's
        regions among all regions, and the drawn regions.
    stored : ndarray of 8- or 16-bit integers, shape (rows, columns)
        Stored numbers.
    codes : ndarray of uint8, shape (rows, columns), or any where the image is clean
        Code of each pixel, `xcrater.kernels.VALID` for those with a value.
    clean : bool
        Whether every pixel has a value.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the image on the whole grid.
    lat : ndarray of float64, shape (craters,)
        Latitude of each crater. Craters are processed in its order, so that the pixels of neighbours are still in the
        processor's caches.
    number : ndarray of int64, shape (craters, regions)
        Number of pixels with a value in each region.
    low, high : ndarray of int64, shape (craters, regions)
        Least and greatest stored number in each region; arbitrary in a region without pixels.
    """

    draw: Callable[[Ints], Iterator[tuple[Array, Drawn]]]
    stored: Array
    codes: Array
    clean: bool
    window: Window
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
        """Upper bound of the number of distinct values of each region, shape (craters, regions)."""
        return np.where(self.number > 0, np.minimum(self.number, self.high - self.low + 1), 0)

    @cached_property
    def _scratch(self) -> tuple[Array, ...]:
        scratch: tuple[Array, ...] = kernels.histogram_scratch(self.key, self.stored.shape[1])
        return scratch

    @cached_property
    def _pixels(self) -> kernels.Pixels:
        """The image as kernels take it."""
        return kernels.Pixels(self.stored, self.codes, self.clean, True)

    @cached_property
    def _squares(self) -> kernels.Squares:
        """Counts of whole squares of pixels; no squares unless enough regions are wide for them to pay."""
        side = kernels.SIDE
        wide = self.number[self.number > 16 * side * side].sum()
        count = (self.stored.shape[0] // side) * (self.stored.shape[1] // side) if wide > 2 * self.stored.size else 0
        base, start = np.empty(count, np.int64), np.zeros(count + 1, np.int64)
        if count:
            kernels.square_ranges(self._pixels, base, start)
        squares = kernels.Squares(base, start, np.zeros(int(start[-1]), np.uint16))
        if count:
            kernels.square_counts(self._pixels, squares)
        return squares

    def select(self, index: Ints, q: Array, mirrored: bool) -> tuple[Array, Array]:
        """Select the keys of the ranks on both sides of each quantile.

        Parameters
        ----------
        index : ndarray of int64, shape (n,)
            Positions of craters.
        q : ndarray of float64, shape (quantiles,)
            Quantiles from 0 to 1.
        mirrored : bool
            Whether the largest key belongs to the smallest value.

        Returns
        -------
        low, high : ndarray of uint64, shape (n * regions, quantiles)
            The smaller and the larger key; 0 for regions without pixels.
        """
        found = np.zeros((2, index.size * self.number.shape[1], q.size), np.uint64)
        for drawn, roi in self._drawn(index):
            kernels.select_runs(
                self._pixels, drawn.record(), self.window, roi, self._ranges(index), self.least, self._squares, q,
                mirrored, self._scratch, found[0], found[1],
            )  # fmt: skip
        return found[0], found[1]

    def pairs(self, index: Ints) -> tuple[Ints, Ints, Array, Array]:
        """Make the pairs of keys and their counts.

        Parameters
        ----------
        index : ndarray of int64, shape (n,)
            Positions of craters.

        Returns
        -------
        start, stop : ndarray of int64, shape (n * regions,)
            Position of each region's first pair, and the position past its last. The regions' pairs are in the order
            in which they were drawn.
        keys : ndarray of unsigned integers, shape (pairs,)
            Distinct keys, ascending within each region.
        tally : ndarray of int32 or int64, shape (pairs,)
            Number of pixels that have each key.
        """
        room = int(self.distinct[index].sum())
        counts = np.int32 if self.stored.size < 2**31 else np.int64
        keys, tally = np.empty(room, self.key), np.empty(room, counts)
        bounds = np.zeros((2, index.size * self.number.shape[1]), np.int64)
        filled = 0
        for drawn, roi in self._drawn(index):
            filled = kernels.pair_runs(
                self._pixels, drawn.record(), self.window, roi, self._ranges(index), self.least, self._squares,
                self._scratch, bounds, keys, tally, filled,
            )  # fmt: skip
        if filled < room // 2:  # copy, so as not to keep memory that was never filled
            return bounds[0], bounds[1], keys[:filled].copy(), tally[:filled].copy()
        return bounds[0], bounds[1], keys[:filled], tally[:filled]

    def _ranges(self, index: Ints) -> kernels.Ranges:
        """Number of pixels, least and greatest stored number of each region of some craters."""
        return kernels.Ranges(self.number[index].ravel(), self.low[index].ravel(), self.high[index].ravel())

    def _drawn(self, index: Ints) -> Iterator[tuple[Drawn, Ints]]:
        """Yield regions of some craters, from south to north, and the positions of these regions in the results."""
        regions = self.number.shape[1]
        by_latitude = np.argsort(self.lat[index], kind="stable")
        positions = np.arange(index.size * regions).reshape(index.size, regions)[by_latitude]
        for members, drawn in self.draw(index[by_latitude]):
            yield drawn, np.ascontiguousarray(positions[drawn.craters][:, members])
