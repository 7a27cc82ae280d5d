"""One image of a tile: the keys, pairs and digits of its ROIs, from a bounded number of pixels at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.plan import FAN_IN
from xcrater.geometry.grid import Window
from xcrater.statistics.quantiles.answers import Answers, answer_pairs, answer_runs, answer_targets, first_targets
from xcrater.statistics.quantiles.pairs import Array, Floats, Ints, Pairs, merge_pairs, offsets_of, pairs_of_runs
from xcrater.statistics.quantiles.passes import Asked
from xcrater.statistics.quantiles.problem import DIGIT, Problem
from xcrater.statistics.quantiles.weighted_passes import WeightedDigits

BATCH = 2**20
"""Number of pixels of several craters that are processed at a time."""

Collect = Callable[[Ints, tuple[int, int]], tuple[Array, Floats | None, Ints]]
"""(positions among the tile's craters, rows (start, stop)) -> values of the valid pixels in these rows, crater by
crater and region by region, in an array that may be overwritten; their weights, or None; and the number of values in
each region, shape (craters, regions)."""


@dataclass(frozen=True, eq=False)
class TileImage:
    """One image of a tile in the form that the search for order statistics takes.

    Parameters
    ----------
    problem : Problem
        The requested order statistics.
    collect : callable
        Collects values; see `Collect`.
    craters : ndarray of int, shape (craters,)
        Positions in the table of the tile's craters, ascending.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile.
    image, images : int
        Position of the image in the block, and the number of images there.
    """

    problem: Problem
    collect: Collect
    craters: NDArray[Any]
    window: Window
    image: int = 0
    images: int = 1

    @property
    def rois(self) -> Ints:
        """Number of the ROI of each crater and region, shape (craters, regions)."""
        return self.problem.rois(self.craters, self.image, self.images)

    def answers(self, index: Ints) -> Answers:
        """Compute the order statistics of craters that lie on this tile alone and fit the memory."""
        return answer_runs(self.problem, self.rois[index].ravel(), *self._keys(index, self._rows))

    def answers_by_digits(self, crater: int) -> Answers:
        """Compute the quantiles of one crater on this tile alone, by passes over its rows instead of over tiles."""
        roi = self.rois[crater]
        asked = [Asked.any_key(k, int(roi[k])) for k in range(self.problem.regions)]
        targets = first_targets(self.problem, self.digits(crater, asked, 1, 0))
        for number in range(1, self.problem.passes):
            asked = [targets.asked(int(k), n) for n, k in enumerate(np.searchsorted(roi, targets.roi))]
            if asked:
                targets = targets.extended(self.digits(crater, asked, 1, number))
        return answer_targets(self.problem, targets)

    def answers_by_pairs(self, crater: int) -> Answers:
        """Compute the order statistics of one crater that lies on this tile alone, from pairs of few rows at a time."""
        return answer_pairs(self.problem, self.pairs(np.array([crater]), np.ones(1, np.int32), banded=True))

    def pairs(self, index: Ints, tiles: NDArray[np.int32], *, banded: bool) -> Pairs:
        """Make the pairs of some craters, in separate memory.

        Parameters
        ----------
        index : ndarray of int64, shape (n,)
            Positions among the tile's craters.
        tiles : ndarray of int32, shape (n,)
            Number of tiles that list each crater.
        banded : bool
            Whether to process few rows at a time, because memory does not hold all of the pixels.
        """
        roi, tiles = self.rois[index].ravel(), np.repeat(tiles, self.problem.regions)
        pieces: list[Pairs] = []
        for rows in self._bands() if banded else [self._rows]:
            piece = pairs_of_runs(roi, tiles, *self._keys(index, rows))
            pieces.append(replace(piece, keys=piece.keys.copy(), tally=piece.tally.copy()))
            if len(pieces) == FAN_IN:
                pieces = [merge_pairs(pieces, self.problem.memory)]
        return replace(merge_pairs(pieces, self.problem.memory), seen=np.ones(roi.size, np.int32))

    def digits(self, crater: int, asked: Sequence[Asked], tiles: int, number: int) -> Pairs:
        """Count the digits of one crater's keys, as pairs with numbers of questions in place of those of ROIs.

        Parameters
        ----------
        crater : int
            Position among the tile's craters.
        asked : sequence of Asked
            The questions about each region.
        tiles : int
            Number of tiles that list the crater.
        number : int
            Number of passes before this one.
        """
        below = self.problem.coding.bits - DIGIT * (number + 1)
        if self.problem.weighted:
            return self._weighted_digits(crater, WeightedDigits(self.problem, asked, below), tiles)
        shift = np.uint64(below)
        counts = [np.zeros((a.prefixes.size, 1 << DIGIT), np.int64) for a in asked]
        for rows in self._bands():
            keys, _, offsets = self._keys(np.array([crater]), rows)
            for a, count in zip(asked, counts, strict=True):
                kernels.count_digits(keys[offsets[a.region] : offsets[a.region + 1]], shift, a.prefixes, count)
        each = [c for count in counts for c in count]
        present = [np.flatnonzero(c != 0) for c in each]  # several times faster than flatnonzero of integers
        tally = [c[digit] for c, digit in zip(each, present, strict=True)]
        question = np.concatenate([a.first + np.arange(a.prefixes.size) for a in asked])
        offsets = offsets_of(np.array([digit.size for digit in present]))
        return Pairs(
            question, np.ones(question.size, np.int32), np.full(question.size, tiles, np.int32),
            offsets[:-1], offsets[1:], np.concatenate(present).astype(np.uint16), np.concatenate(tally),
        )  # fmt: skip

    def _weighted_digits(self, crater: int, digits: WeightedDigits, tiles: int) -> Pairs:
        """Sum the weights of the digits of one crater's keys instead of counting them."""
        for rows in self._bands():
            keys, weights, offsets = self._keys(np.array([crater]), rows)
            assert weights is not None
            digits.add(keys, weights, offsets)
        return digits.pairs(tiles)

    @property
    def _rows(self) -> tuple[int, int]:
        return self.window[0], self.window[1]

    def _bands(self) -> list[tuple[int, int]]:
        """Divide the tile's rows into bands that fit the memory; a single row may take more."""
        start, stop = self._rows
        width = (self.window[3] - self.window[2]) * self.problem.regions
        height = max(1, self.problem.room // max(1, width))
        return [(row, min(row + height, stop)) for row in range(start, stop, height)]

    def _keys(self, index: Ints, rows: tuple[int, int]) -> tuple[Array, Floats | None, Ints]:
        """Keys of some craters' pixels in some rows, ROI after ROI, their weights, and the offset of each ROI."""
        values, weights, length = self.collect(index, rows)
        return self.problem.coding.keys(values), weights, offsets_of(length)


def batches(problem: Problem, index: Ints, pixels: Ints) -> Iterator[Ints]:
    """Yield consecutive craters in batches that fit the memory and the processor's cache; a single one may exceed them.

    Parameters
    ----------
    problem : Problem
        The requested order statistics.
    index : ndarray of int64, shape (n,)
        Positions of craters.
    pixels : ndarray of int64, shape (craters,)
        Number of pixels, or of pairs, of each crater.
    """
    past, room = np.cumsum(pixels[index]), min(problem.room, BATCH)
    start = 0
    while start < index.size:
        before = past[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(past, before + room, side="right")))
        yield index[start:stop]
        start = stop
