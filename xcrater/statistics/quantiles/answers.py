"""Order statistics of ROIs from their complete sets of keys."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.statistics.quantiles.pairs import Array, Floats, Ints, Pairs, pairs_of_runs, sort_runs
from xcrater.statistics.quantiles.passes import Targets
from xcrater.statistics.quantiles.problem import Problem
from xcrater.statistics.quantiles.wanted import FREQUENCIES
from xcrater.statistics.quantiles.weighted_passes import WeightedTargets

PIXEL = 1e-9
"""Error of the fraction of a pixel covered by a region."""

SORTED = 2**16
"""Length of a run of wide keys above which selecting ranks is faster than sorting."""


AnyTargets = Targets | WeightedTargets
"""The targets of digit passes: the keys sought, by ranks or by cumulated weights, as far as they are known."""


def first_targets(problem: Problem, digits: Pairs) -> AnyTargets:
    """Make the targets of the ROIs whose first digits have been counted on all of their tiles."""
    kind = WeightedTargets if problem.weighted else Targets
    return kind.of_first_digits(problem, digits)


@dataclass(frozen=True, eq=False)
class Answers:
    """Order statistics of some ROIs.

    Parameters
    ----------
    roi : ndarray of int64, shape (n,)
        Number of each ROI.
    numbers : ndarray of float64, shape (n, `OrderStatistics.columns`)
        Order statistics, in the columns of the declaration.
    categories : ndarray of object, shape (n,), or None
        Dict of value to number (or weight) of pixels of each ROI, if categories are requested.
    """

    roi: Ints
    numbers: Floats
    categories: Array | None = None


def interpolate(problem: Problem, low: Array, high: Array, n: Ints) -> Floats:
    """Interpolate quantiles linearly between the keys of the ranks on both sides of them, as numpy does.

    Parameters
    ----------
    problem : Problem
        The requested order statistics.
    low, high : ndarray of unsigned integers, shape (rois, quantiles)
        The smaller and the larger key.
    n : ndarray of int64, shape (rois,)
        Number of pixels of each ROI; quantiles of a ROI without pixels are NaN.
    """
    coding = problem.coding
    if coding.mirrored:
        low, high = high, low
    x, y = (coding.values(keys.astype(coding.key)) for keys in (low, high))
    rank = problem.quantiles * np.maximum(n - 1, 0)[:, None]
    t = rank - np.floor(rank)
    with np.errstate(invalid="ignore"):  # inf - inf
        between = np.where(t >= 0.5, y - (y - x) * (1.0 - t), x + (y - x) * t)
    return np.where(n[:, None] == 0, np.nan, np.where((x == y) | (t == 0.0), x, between) + 0.0)


def answer_runs(problem: Problem, roi: Ints, keys: Array, weights: Floats | None, offsets: Ints) -> Answers:
    """Compute the order statistics of ROIs from all of their keys.

    Parameters
    ----------
    problem : Problem
        The requested order statistics.
    roi : ndarray of int64, shape (n,)
        Number of each ROI.
    keys : ndarray of unsigned integers, shape (pixels,)
        Keys of the ROIs' pixels, ROI after ROI. They are overwritten.
    weights : ndarray of float64, shape (pixels,), or None
        Weight of each pixel. They are overwritten.
    offsets : ndarray of int64, shape (n + 1,)
        Position of each ROI's first pixel, and their number.
    """
    if problem.wanted.distinct or weights is not None:
        return answer_pairs(problem, pairs_of_runs(roi, np.ones(roi.size, np.int32), keys, weights, offsets))
    q = problem.quantiles
    low, high = (np.zeros((roi.size, q.size), np.uint64) for _ in range(2))
    sort_runs(keys, offsets, SORTED)
    spare = np.empty(int(np.diff(offsets).max(initial=0)), keys.dtype)
    counts = np.empty(kernels.BUCKETS, np.int64)
    kernels.select(keys, offsets, q, problem.coding.mirrored, spare, counts, low, high)
    return Answers(roi, interpolate(problem, low, high, np.diff(offsets)))


def answer_pairs(problem: Problem, pairs: Pairs) -> Answers:
    """Compute the order statistics of ROIs from all of their pairs."""
    wanted, q = problem.wanted, problem.quantiles
    numbers = np.full((pairs.roi.size, wanted.columns), np.nan)
    if q.size and not problem.weighted:
        low, high = (np.zeros((pairs.roi.size, q.size), np.uint64) for _ in range(2))
        count = np.empty(pairs.roi.size, np.int64)
        mirrored = problem.coding.mirrored
        kernels.select_pairs(pairs.keys, pairs.tally, pairs.start, pairs.stop, q, mirrored, low, high, count)
        numbers[:, : q.size] = interpolate(problem, low, high, count)
    categories = _answer_values(problem, pairs.packed(), numbers) if problem.counts_values else None
    return Answers(pairs.roi, numbers, categories)


def answer_targets(problem: Problem, targets: AnyTargets) -> Answers:
    """Compute the quantiles of ROIs whose keys the last digit pass has completed."""
    if isinstance(targets, WeightedTargets):
        return Answers(targets.roi, targets.quantiles(problem))
    keys = targets.prefix.astype(problem.coding.key)
    return Answers(targets.roi, interpolate(problem, keys[:, 0], keys[:, 1], targets.count))


def _answer_values(problem: Problem, pairs: Pairs, numbers: Floats) -> Array | None:
    """Fill the columns that depend on the tally of each value, and return the categories if requested."""
    wanted, coding, q = problem.wanted, problem.coding, problem.quantiles
    values, offsets = coding.values(pairs.keys), np.append(pairs.start, pairs.keys.size)
    squares = pairs.squares
    tally = pairs.tally.astype(np.float64 if problem.weighted else np.int64, copy=False)
    backwards = slice(None, None, -1 if coding.mirrored else 1)
    if coding.mirrored:  # values ascend as keys descend, so reverse everything; the last ROI then comes first
        values, tally = np.ascontiguousarray(values[::-1]), np.ascontiguousarray(tally[::-1])
        offsets = offsets[-1] - offsets[::-1]
        squares = None if squares is None else np.ascontiguousarray(squares[::-1])
    if coding.scaled:
        values, tally, offsets = _distinct(values, tally, offsets)
    if squares is not None and q.size:
        kernels.weighted_quantiles(values, tally, squares, offsets, q, numbers[backwards, : q.size])
    columns = numbers[backwards, q.size :]
    n = len(FREQUENCIES)
    majority, minority, unique = (columns if wanted.frequencies else np.empty((pairs.roi.size, n))).T[:n]
    shares = columns[:, n * wanted.frequencies :]
    asked = np.array([coding.nearest(value) for value in wanted.shares])
    slack = _slack(tally, squares, offsets)
    kernels.frequencies(values, tally, *slack, offsets, asked, majority, minority, unique, shares)
    if not wanted.categories:
        return None
    if coding.scaled or coding.kind == "f":
        named: Array = values
    else:  # integers have no scale here, so keys are in the order of values
        named = coding.stored(pairs.keys)
    dicts = np.empty(pairs.roi.size, object)
    for i, (start, stop) in enumerate(itertools.pairwise(offsets.tolist())):
        dicts[i] = dict(zip(named[start:stop].tolist(), tally[start:stop].tolist(), strict=True))
    return dicts[backwards]


def _slack(tally: Array, squares: Floats | None, offsets: Ints) -> tuple[Array, Any]:
    """Absolute and relative tolerance within which two tallies of a ROI count as equal.

    Numbers of pixels are exact. A covered fraction is exact to `PIXEL`, be it that of one pixel or the mean of the many
    that make up a sum of fractions; with weights, a weight of typical size takes the place of a fully covered pixel.
    """
    slack = np.zeros(offsets.size - 1, tally.dtype)
    if squares is None:
        return slack, tally.dtype.type(0)
    some = np.flatnonzero(np.diff(offsets))
    if some.size:
        with np.errstate(invalid="ignore", over="ignore"):
            slack[some] = PIXEL * squares[some] / np.add.reduceat(tally, offsets[some])
    return slack, PIXEL


def _distinct(values: Floats, tally: NDArray[np.generic], offsets: Ints) -> tuple[Floats, Array, Ints]:
    """Runs of distinct ascending values; tallies of keys that scale and offset round to the same value are added."""
    new = np.ones(values.size, bool)
    new[1:] = values[1:] != values[:-1]
    new[offsets[:-1][offsets[:-1] < values.size]] = True
    if new.all():
        return values, tally, offsets
    return values[new], np.add.reduceat(tally, np.flatnonzero(new)), np.append(0, np.cumsum(new))[offsets]
