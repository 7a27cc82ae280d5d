"""Frequencies and weighted quantiles of runs of ascending values, each with the number or weight of its pixels.

Runs are as in `xcrater.kernels.selection`, with values instead of keys. Kernels never validate; the caller allocates
outputs.
"""

from __future__ import annotations

import numpy as np

from xcrater.kernels.compile import inlined, jit


@jit
def sum_squares(weights, offsets, out):
    """Sum of the squares of each run's weights, shape (runs,)."""
    for run in range(offsets.size - 1):
        total = 0.0
        for i in range(offsets[run], offsets[run + 1]):
            total += weights[i] * weights[i]
        out[run] = total


@inlined
def _add(total, lost, more):
    """Add a number to a sum, with the rounding error accumulated so far (Kahan)."""
    more = more - lost
    longer = total + more
    return longer, (longer - total) - more


@inlined
def _mean_between(values, weight, a, b, start, stop, rounding):
    """Mean of the ascending values [a, b) whose cumulated weights lie between two numbers.

    As numpy does between two ranks, the mean is the value with the largest part of the interval (of several, the
    largest value) plus the weighted differences of the others from it, so that equal values give themselves. Parts of
    the interval that are no larger than rounding do not count; if there are no larger ones, the result is the value at
    the start of the interval.
    """
    best = 0.0
    base = values[b - 1]
    first = b
    past = lost = first_before = first_lost = 0.0
    i = a
    while i < b and past < stop:
        before, before_lost = past, lost
        past, lost = _add(past, lost, weight[i])
        if past > start and first == b:
            first, first_before, first_lost = i, before, before_lost
            base = values[i]
        part = min(past, stop) - max(before, start)
        if part > rounding and part >= best * (1.0 - 1e-9):
            best, base = max(best, part), values[i]
        i += 1
    if best == 0.0:
        return base
    past, lost = first_before, first_lost
    mass = moment = 0.0
    i = first
    while i < b and past < stop:
        before = past
        past, lost = _add(past, lost, weight[i])
        part = min(past, stop) - max(before, start)
        if part > rounding:
            mass += part
            if values[i] != base:
                moment += part * (values[i] - base)
        i += 1
    return base + moment / mass if moment != 0.0 else base


@jit
def weighted_quantiles(values, weight, squares, offsets, q, out):
    """Weighted quantiles of type 7 (Akinshin 2023, arXiv:2304.07265), with Kish's effective number of values.

    In a run whose weights w add up to W, the typical weight of one value is ``D = sum(w ** 2) / W``, and the effective
    number of values is W / D. The quantile is the mean of the values whose cumulated weights lie between ``q (W - D)``
    and ``q (W - D) + D``. With equal weights, this interval contains parts of the two values around the rank
    ``q (n - 1)``, in the proportion of linear interpolation.

    Parameters
    ----------
    values : ndarray of float64
        Ascending values of each run, run after run. Equal values may be combined into one.
    weight : ndarray of float64
        Weight of each value, above 0.
    squares : ndarray of float64, shape (runs,)
        Sum over each run's pixels of their squared weights.
    offsets
        The runs.
    q : ndarray of float64, shape (k,)
        Quantiles from 0 to 1.
    out : ndarray of float64, shape (runs, k)
        Filled with the quantiles; NaN for runs that are empty or whose weights are not finite.
    """
    for run in range(offsets.size - 1):
        a, b = offsets[run], offsets[run + 1]
        if a == b:
            out[run] = np.nan
            continue
        total = lost = 0.0
        for i in range(a, b):
            total, lost = _add(total, lost, weight[i])
        one = squares[run] / total
        for k in range(q.size):
            if not one < np.inf:
                out[run, k] = np.nan
                continue
            start = q[k] * (total - one)
            out[run, k] = _mean_between(values, weight, a, b, start, start + one, 1e-15 * total)


@jit
def frequencies(values, tally, slack, relative, offsets, wanted, majority, minority, unique, share):
    """Frequencies of runs of ascending, distinct values, each with a number or weight.

    Parameters
    ----------
    values : ndarray of float64
        The values, run after run.
    tally : ndarray of int64 or float64
        Number or weight of the pixels of each value.
    slack : ndarray of the same dtype, shape (runs,)
        Absolute tolerance within which two numbers or weights count as equal.
    relative : number of the same dtype
        Relative tolerance, which is added to it.
    offsets
        The runs.
    wanted : ndarray of float64, shape (k,)
        Values whose share is requested.
    majority, minority : ndarray of float64, shape (runs,)
        Filled with the most and the least frequent value; of several, the smallest.
    unique : ndarray of float64, shape (runs,)
        Filled with the number of distinct values.
    share : ndarray of float64, shape (runs, k)
        Filled with the fraction of the pixels that have each of these values.
    """
    for run in range(offsets.size - 1):
        a, b = offsets[run], offsets[run + 1]
        if a == b:
            continue
        most = least = tally[a]
        whole = tally[a] * 0
        for i in range(a, b):
            most, least = max(most, tally[i]), min(least, tally[i])
            whole += tally[i]
        most, least = most - slack[run] - relative * most, least + slack[run] + relative * least
        i = a
        while tally[i] < most:
            i += 1
        majority[run] = values[i]
        i = a
        while tally[i] > least:
            i += 1
        minority[run] = values[i]
        unique[run] = b - a
        for k in range(wanted.size):
            share[run, k] = 0.0
            for i in range(a, b):
                if values[i] == wanted[k]:
                    share[run, k] = tally[i] / whole
