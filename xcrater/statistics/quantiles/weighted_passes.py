"""Digit passes for weighted quantiles: the ends of each quantile's interval, found 16 bits at a time.

They work like `xcrater.statistics.quantiles.passes`, with cumulated weights instead of ranks. A weighted quantile is
the mean of the values whose cumulated weights lie in an interval (`xcrater.kernels.tallies.weighted_quantiles`). The
two keys at its ends contribute with the part of their weights that lies in the interval, and all keys in between with
all of their weights. Passes therefore sum the weight of each digit, and the product of weight and value, which is added
up for the keys between the ends.

Each question of a pass has two answers about the same digits: pairs with number ``2 question`` hold the weights, and
pairs with number ``2 question + 1`` the sums of weight times value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from xcrater.statistics.quantiles.pairs import Array, Floats, Ints, Pairs, offsets_of
from xcrater.statistics.quantiles.passes import Asked, Searched
from xcrater.statistics.quantiles.problem import DIGIT, Problem

ROUNDING = 1e-15
"""Least part of the total weight that a key must have within an interval in order to contribute."""


@dataclass(frozen=True, eq=False)
class WeightedTargets(Searched):
    """The ends of intervals of cumulated weight, as far as their keys are known.

    Parameters
    ----------
    roi : ndarray of int64, shape (n,)
        Number of each ROI, ascending.
    total : ndarray of float64, shape (n,)
        Sum of the ROI's weights.
    prefix : ndarray of uint64, shape (n, 2, quantiles)
        Known leading bits of the keys at the lower and the upper end of each quantile's interval.
    place : ndarray of float64, shape (n, 2, quantiles)
        Cumulated weight of each end, counted from the first key with the same leading bits.
    held : ndarray of float64, shape (n, 2, quantiles)
        Weight of the keys with these leading bits.
    between : ndarray of float64, shape (n, 2, quantiles)
        Weight of the keys that certainly lie between the two ends, and their sum of weight times value.
    tiles : ndarray of int32, shape (n,)
        Number of tiles that list the ROI's crater.
    """

    roi: Ints
    total: Floats
    prefix: NDArray[np.uint64]
    place: Floats
    held: Floats
    between: Floats
    tiles: NDArray[np.int32]

    @classmethod
    def of_first_digits(cls, problem: Problem, digits: Pairs) -> WeightedTargets:
        """Targets of the ROIs whose first digits have been counted on all of their tiles; empty ROIs have none."""
        assert digits.squares is not None
        first = np.arange(0, digits.roi.size, 2)
        filled = first[digits.stop[first] > digits.start[first]]
        total = np.array([digits.tally[digits.start[i] : digits.stop[i]].sum() for i in filled], float)
        one = digits.squares[filled] / total
        # In a mirrored raster the largest key belongs to the smallest value.
        q = 1.0 - problem.quantiles if problem.coding.mirrored else problem.quantiles
        start = q * (total - one)[:, None]
        place = np.stack([start, start + one[:, None]], axis=1)
        roi = digits.roi[filled] // 2
        zeros = np.zeros(place.shape)
        targets = cls(roi, total, zeros.astype(np.uint64), place, zeros, zeros, digits.tiles[filled])
        return targets._extended(np.broadcast_to(roi[:, None, None], place.shape), digits)

    @classmethod
    def together(cls, problem: Problem, parts: list[WeightedTargets]) -> WeightedTargets:
        """Join all targets of a request, sorted by ROI."""
        empty = np.empty((0, 2, len(problem.wanted.quantiles)))
        none = cls(
            np.empty(0, np.int64), np.empty(0), empty.astype(np.uint64), empty, empty, empty, np.empty(0, np.int32)
        )
        return cls.joined([none, *parts])

    def extended(self, digits: Pairs) -> WeightedTargets:
        """Extend by 16 bits those targets whose digits have been counted on all of their tiles."""
        answered = np.unique(self.questions.target[digits.roi // 2])
        return self.take(answered)._extended(self.questions.number[answered], digits)

    def _extended(self, number: Ints, digits: Pairs) -> WeightedTargets:
        """Extend every target by one digit, found among the digits with a ``number``."""
        prefix, place, held, between = self.prefix.copy(), self.place.copy(), self.held.copy(), self.between.copy()
        where = np.searchsorted(digits.roi, 2 * number)
        for i, k in np.ndindex(len(self), prefix.shape[2]):
            ends = []
            for end in (0, 1):
                at = where[i, end, k]
                run, second = (slice(digits.start[j], digits.stop[j]) for j in (at, at + 1))
                weight, moment = digits.tally[run], digits.tally[second]
                past = np.cumsum(weight)
                found = int(np.searchsorted(past, place[i, end, k], side="left" if end else "right"))
                found = min(found, past.size - 1)  # rounding may lead past the last digit
                ends.append((found, weight, moment))
                place[i, end, k] -= past[found] - weight[found]
                held[i, end, k] = weight[found]
            (low, weight, moment), (high, other_weight, other_moment) = ends
            if prefix[i, 0, k] == prefix[i, 1, k]:
                inside = [a[low + 1 : high].sum() for a in (weight, moment)]
            else:
                inside = [
                    a[low + 1 :].sum() + b[:high].sum() for a, b in ((weight, other_weight), (moment, other_moment))
                ]
            between[i, :, k] += inside
            for end in (0, 1):
                run = slice(digits.start[where[i, end, k]], digits.stop[where[i, end, k]])
                digit = digits.keys[run][(low, high)[end]]
                prefix[i, end, k] = (prefix[i, end, k] << np.uint64(DIGIT)) | np.uint64(digit)
        return replace(self, prefix=prefix, place=place, held=held, between=between)

    def quantiles(self, problem: Problem) -> Floats:
        """Compute the quantiles, shape (n, quantiles), once all bits of the keys are known."""
        keys = self.prefix.astype(problem.coding.key)
        low, high = (problem.coding.values(keys[:, end]) for end in (0, 1))
        parts = np.stack([self.held[:, 0] - self.place[:, 0], self.place[:, 1]], axis=1)
        parts = np.where(parts > ROUNDING * self.total[:, None, None], parts, 0.0)
        weight, moment = self.between[:, 0], self.between[:, 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            for part, value in ((parts[:, 0], low), (parts[:, 1], high)):
                moment = moment + np.where(part > 0.0, part * value, 0.0)
            whole = weight + parts.sum(axis=1)
            mean = moment / whole
        for part, value in ((parts[:, 0], low), (parts[:, 1], high)):
            # Like numpy, start from the value with the larger part, so that inf - inf gives NaN if that is infinite.
            larger = np.where(value > 0, part >= (whole - part) * (1.0 - 1e-9), part * (1.0 - 1e-9) > whole - part)
            mean[np.isinf(value) & (part > 0.0) & (part < whole) & larger] = np.nan
        inside = np.clip(mean, np.minimum(low, high), np.maximum(low, high))
        found = np.where(low == high, low, np.where(np.isnan(mean), np.nan, inside))
        return np.asarray(np.where(np.isnan(low) | np.isnan(high), np.nan, found) + 0.0)


@dataclass(eq=False)
class WeightedDigits:
    """Weights of one crater's digits, and sums of weight times value, added up over its rows.

    Parameters
    ----------
    problem : Problem
        The requested order statistics.
    asked : sequence of Asked
        The questions about each region.
    shift : int
        Number of bits below the digit.
    """

    problem: Problem
    asked: Sequence[Asked]
    shift: int
    _sums: list[Floats] = field(init=False)
    _squares: Floats = field(init=False)

    def __post_init__(self) -> None:
        self._sums = [np.zeros((a.prefixes.size, 2, 1 << DIGIT)) for a in self.asked]
        self._squares = np.zeros(sum(a.prefixes.size for a in self.asked))

    def add(self, keys: Array, weights: Floats, offsets: Ints) -> None:
        """Add pixels of all regions, from ``offsets[region]`` to before ``offsets[region + 1]``."""
        question = 0
        for a, sums in zip(self.asked, self._sums, strict=True):
            part = slice(offsets[a.region], offsets[a.region + 1])
            bits, weight = keys[part].astype(np.uint64) >> np.uint64(self.shift), weights[part]
            values = self.problem.coding.values(keys[part])
            for k, prefix in enumerate(a.prefixes):
                mine = (bits >> np.uint64(DIGIT) == prefix) & (weight > 0.0)
                digit = (bits[mine] & np.uint64(0xFFFF)).astype(np.int64)
                w = weight[mine]
                sums[k, 0] += np.bincount(digit, w, 1 << DIGIT)
                sums[k, 1] += np.bincount(digit, w * values[mine], 1 << DIGIT)
                self._squares[question] += (w * w).sum()
                question += 1

    def pairs(self, tiles: int) -> Pairs:
        """The sums as pairs: for each question first the weights, then the sums of weight times value."""
        each = [two for sums in self._sums for two in sums]
        present = [np.flatnonzero(weight) for weight, _ in each]
        number = np.concatenate([a.first + np.arange(a.prefixes.size) for a in self.asked])
        roi = (2 * number[:, None] + np.arange(2)).ravel()
        offsets = offsets_of(np.repeat([digit.size for digit in present], 2))
        keys = [digit for digit in present for _ in range(2)]
        tally = [two[j][digit] for two, digit in zip(each, present, strict=True) for j in range(2)]
        return Pairs(
            roi, np.ones(roi.size, np.int32), np.full(roi.size, tiles, np.int32), offsets[:-1], offsets[1:],
            np.concatenate(keys).astype(np.uint16), np.concatenate(tally), np.repeat(self._squares, 2),
        )  # fmt: skip
