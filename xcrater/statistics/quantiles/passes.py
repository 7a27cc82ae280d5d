"""Digit passes: the keys of requested ranks, found 16 bits at a time from the most significant.

A pass over the tiles counts, for each ROI, the next 16-bit digits of those keys that begin with the bits known so far.
The counts of all tiles add up. The digit into which a requested rank falls extends the known bits, and from then on the
rank is counted from that digit's first key. After the last pass the keys are complete and exact, whatever the number of
pixels, while a pass holds only 65,536 counts for each prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from xcrater.statistics.quantiles.pairs import Ints, Pairs
from xcrater.statistics.quantiles.problem import DIGIT, Problem


class Questions(NamedTuple):
    """The questions of a pass: each counts the digits that follow one distinct prefix in one ROI.

    Parameters
    ----------
    target : ndarray of int64, shape (questions,)
        Position of each question's ROI among the targets, ascending.
    prefix : ndarray of uint64, shape (questions,)
        Leading bits of the keys to count, ascending within each ROI.
    number : ndarray of int64, shape (n, 2, quantiles)
        Position of the question that determines the next digit of each target.
    """

    target: Ints
    prefix: NDArray[np.uint64]
    number: Ints


def questions_about(prefix: NDArray[np.uint64]) -> Questions:
    """Make the questions that extend prefixes, shape (n, 2, quantiles)."""
    n = len(prefix)
    target = np.repeat(np.arange(n), prefix[0].size if n else 0)
    both = np.stack([target.astype(np.uint64), prefix.ravel()], axis=1)
    distinct, number = np.unique(both, axis=0, return_inverse=True)
    return Questions(distinct[:, 0].astype(np.int64), distinct[:, 1], number.reshape(prefix.shape).astype(np.int64))


class Asked(NamedTuple):
    """The questions about one region of a crater.

    Parameters
    ----------
    region : int
        Position of the region.
    first : int
        Number of the region's first question; the others follow. In the first pass it is the number of the ROI.
    prefixes : ndarray of uint64, shape (questions,)
        Leading bits of the keys of each question.
    """

    region: int
    first: int
    prefixes: NDArray[np.uint64]

    @classmethod
    def any_key(cls, region: int, roi: int) -> Asked:
        """The question of the first pass about a ROI: the first digits of all keys."""
        return cls(region, roi, np.zeros(1, np.uint64))


class Searched:
    """Base of the targets of ranks and of cumulated weights, which are dataclasses of arrays with one row per ROI."""

    roi: Ints
    prefix: NDArray[np.uint64]

    def __len__(self) -> int:
        return self.roi.size

    def take(self, index: Any) -> Self:
        """Select the ROIs at some positions."""
        return type(self)(*(getattr(self, each.name)[index] for each in fields(self)))  # type: ignore[arg-type]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Join several targets, sorted by the numbers of their ROIs."""
        names = [each.name for each in fields(cls)]  # type: ignore[arg-type]
        whole = cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
        return whole.take(np.argsort(whole.roi))

    @cached_property
    def questions(self) -> Questions:
        """The questions of the next pass."""
        return questions_about(self.prefix)

    def asked(self, region: int, position: int) -> Asked:
        """The questions about one ROI, from its region and its position among the targets."""
        first, stop = np.searchsorted(self.questions.target, [position, position + 1]).tolist()
        return Asked(region, first, self.questions.prefix[first:stop])


@dataclass(frozen=True, eq=False)
class Targets(Searched):
    """The keys of requested ranks, as far as they are known.

    Parameters
    ----------
    roi : ndarray of int64, shape (n,)
        Number of each ROI, ascending.
    count : ndarray of int64, shape (n,)
        Number of pixels of the ROI.
    prefix : ndarray of uint64, shape (n, 2, quantiles)
        Known leading bits of the keys of the ranks below and above each quantile.
    rank : ndarray of int64, shape (n, 2, quantiles)
        Rank of each key among the keys with the same leading bits, counting from 0.
    tiles : ndarray of int32, shape (n,)
        Number of tiles that list the ROI's crater.
    """

    roi: Ints
    count: Ints
    prefix: NDArray[np.uint64]
    rank: Ints
    tiles: NDArray[np.int32]

    @classmethod
    def of_first_digits(cls, problem: Problem, digits: Pairs) -> Targets:
        """Make targets of ROIs whose first digits have been counted on all of their tiles, except empty ROIs."""
        total = np.append(0, np.cumsum(digits.tally))
        count = total[digits.stop] - total[digits.start]
        filled = np.flatnonzero(count)
        digits, count = digits.take(filled), count[filled]
        below = (problem.quantiles * (count - 1)[:, None]).astype(np.int64)
        above = np.minimum(below + 1, count[:, None] - 1)
        if problem.coding.mirrored:
            below, above = count[:, None] - 1 - above, count[:, None] - 1 - below
        rank = np.stack([below, above], axis=1)
        start = cls(digits.roi, count, np.zeros(rank.shape, np.uint64), rank, digits.tiles)
        return start._extended(np.broadcast_to(digits.roi[:, None, None], rank.shape), digits)

    @classmethod
    def together(cls, problem: Problem, parts: list[Targets]) -> Targets:
        """Join all targets of a request, sorted by ROI."""
        shape = (0, 2, len(problem.wanted.quantiles))
        none = cls(
            np.empty(0, np.int64), np.empty(0, np.int64), np.empty(shape, np.uint64), np.empty(shape, np.int64),
            np.empty(0, np.int32),
        )  # fmt: skip
        return cls.joined([none, *parts])

    def extended(self, digits: Pairs) -> Targets:
        """Extend by 16 bits those targets whose digits have been counted on all of their tiles.

        Parameters
        ----------
        digits : Pairs
            Digits and their counts, with numbers of questions in place of those of ROIs. All questions about a ROI are
            complete at the same time, because the same tiles answer them.
        """
        answered = np.unique(self.questions.target[digits.roi])
        return self.take(answered)._extended(self.questions.number[answered], digits)

    def _extended(self, number: Ints, digits: Pairs) -> Targets:
        """Extend every target by one digit, found among the digits with a ``number``."""
        past = np.cumsum(digits.tally)
        before = past - digits.tally
        start = before[digits.start[np.searchsorted(digits.roi, number)]]
        found = np.searchsorted(past, start + self.rank, side="right")
        prefix = (self.prefix << np.uint64(DIGIT)) | digits.keys[found].astype(np.uint64)
        return replace(self, prefix=prefix, rank=start + self.rank - before[found])
