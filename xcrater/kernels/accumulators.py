"""Accumulators of pixels, and their merging.

An accumulator is one row of an array, whose slots `xcrater.kernels.slots` numbers. Accumulators of integers are exact:
the sum of squares, ``SQ_HIGH * 2**32 + SQ_LOW``, is kept in two parts. Those of floating-point numbers keep the sum of
squared deviations from the mean in SQ_HIGH.
"""

from __future__ import annotations

import numpy as np

from xcrater.kernels.compile import chosen, inlined, jit
from xcrater.kernels.slots import (
    AREA,
    COUNT,
    CUBES,
    FOURTHS,
    HIGH,
    LOW,
    MISSING,
    NANS,
    ORIGIN,
    PIXELS,
    SQ_HIGH,
    SQ_LOW,
    TOTAL,
)


@inlined
def merge_float(held, t, n, total, square):
    """Merge the count, sum and squared deviations of other pixels into ``held[t]``, floating-point numbers.

    By Chan's update (Chan, Golub & LeVeque 1983).
    """
    before = held[t, COUNT]
    if before > 0:
        gap = total / n - held[t, TOTAL] / before
        square += gap * gap * (before * (n / (before + n)))
    held[t, COUNT] = before + n
    held[t, TOTAL] += total
    held[t, SQ_HIGH] += square


@inlined
def merge_moments(held, t, n, total, origin, square, cubes, fourths):
    """Merge sums of powers of deviations into ``held[t]``, an accumulator with higher moments.

    By Pébay's update (Pébay 2008, eq. 2.1 and 2.2). TOTAL counts from ORIGIN, one of the values, so that a large mean
    costs no digits.
    """
    before = held[t, COUNT]
    if before > 0.0:
        shift = origin - held[t, ORIGIN]
        d = shift + total / n - held[t, TOTAL] / before
        a, b = before / (before + n), n / (before + n)
        d2, earlier = d * d, held[t, SQ_HIGH]
        held[t, FOURTHS] += (
            d2 * d2 * before * b * (a * a - a * b + b * b)
            + 6.0 * d2 * (a * a * square + b * b * earlier)
            + 4.0 * d * (a * cubes - b * held[t, CUBES])
        )
        held[t, CUBES] += d * d2 * before * b * (a - b) + 3.0 * d * (a * square - b * earlier)
        held[t, SQ_HIGH] += d2 * before * b
        held[t, TOTAL] += n * shift
    else:
        held[t, ORIGIN] = origin
    held[t, COUNT] = before + n
    held[t, TOTAL] += total
    held[t, SQ_HIGH] += square
    held[t, CUBES] += cubes
    held[t, FOURTHS] += fourths


@inlined
def _add_floats(exact, source, i, held, t):
    held[t, PIXELS] += source[i, PIXELS]
    if source.shape[1] > AREA:
        held[t, AREA] += source[i, AREA]
    if source[i, COUNT] > 0:
        if source.shape[1] > AREA:
            merge_moments(
                held, t, source[i, COUNT], source[i, TOTAL], source[i, ORIGIN], source[i, SQ_HIGH], source[i, CUBES],
                source[i, FOURTHS],
            )  # fmt: skip
        else:
            merge_float(held, t, source[i, COUNT], source[i, TOTAL], source[i, SQ_HIGH])
        held[t, LOW] = min(held[t, LOW], source[i, LOW])
        held[t, HIGH] = max(held[t, HIGH], source[i, HIGH])
    held[t, NANS] += source[i, NANS]


@inlined
def _add_integers(exact, source, i, held, t):
    if source[i, COUNT] > 0:
        held[t, COUNT] += source[i, COUNT]
        held[t, TOTAL] += source[i, TOTAL]
        held[t, SQ_HIGH] += source[i, SQ_HIGH]
        held[t, SQ_LOW] += source[i, SQ_LOW]
        held[t, LOW] = min(held[t, LOW], source[i, LOW])
        held[t, HIGH] = max(held[t, HIGH], source[i, HIGH])
    held[t, NANS] += source[i, NANS]


@chosen(_add_floats, _add_integers)
def add_sums(exact, source, i, held, t):
    """Merge all slots of accumulator ``source[i]`` except MISSING into ``held[t]``; exact is None for floats."""


@inlined
def add_accumulator(exact, source, i, held, t):
    """Merge accumulator ``source[i]`` into ``held[t]``; exact is None for floats."""
    add_sums(exact, source, i, held, t)
    held[t, MISSING] += source[i, MISSING]


@inlined
def carry_squares(held, t):
    """Carry the high bits of SQ_LOW over to SQ_HIGH, so that further sums do not overflow; for exact integers."""
    low = np.int64(held[t, SQ_LOW])
    held[t, SQ_HIGH] += low >> 32
    held[t, SQ_LOW] = low & 0xFFFFFFFF


@inlined
def _exact_variance(n, total, sq_high, sq_low):
    """Population variance of integers; ``sq_high * 2**32 + sq_low`` is the sum of their squares.

    Deviations are taken from q, the integer nearest to the mean, in two parts to stay within 64 bits.
    """
    q = np.int64(np.rint(total / n))
    twice = 2 * total - n * q
    product = q * (twice & 0xFFFFFFFF)
    high = sq_high - q * (twice >> 32) + (sq_low >> 32) - (product >> 32)
    low = (sq_low & 0xFFFFFFFF) - (product & 0xFFFFFFFF)
    high, low = high + (low >> 32), low & 0xFFFFFFFF
    rest = (total - n * q) / n
    return (high * 4294967296.0 + low) / n - rest * rest


@inlined
def to_weighted(exact, held, t, out, k):
    """Merge ``held[t]``, of pixels that count one each, into ``out[k]``, an accumulator of weighted pixels."""
    n = held[t, COUNT]
    if n > 0:
        total, square = np.float64(held[t, TOTAL]), np.float64(held[t, SQ_HIGH])
        if exact is not None:
            square = _exact_variance(n, held[t, TOTAL], held[t, SQ_HIGH], held[t, SQ_LOW]) * n
        merge_float(out, k, np.float64(n), total, square)
        out[k, LOW], out[k, HIGH] = min(out[k, LOW], held[t, LOW]), max(out[k, HIGH], held[t, HIGH])
    out[k, MISSING] += held[t, MISSING]
    out[k, NANS] += held[t, NANS]


@jit
def merge_sums(exact, sums, place, out):
    """Merge the accumulators of some craters into those of all craters.

    Parameters
    ----------
    exact : bool or None
        None for floats.
    sums : ndarray, shape (n, more, slots)
        The accumulators of some craters.
    place : ndarray of int64, shape (n,)
        Position of each of these craters among all craters.
    out : ndarray, shape (craters, more, slots)
        The accumulators of all craters, which are changed.
    """
    for i in range(place.size):
        for k in range(out.shape[1]):
            add_accumulator(exact, sums[i], k, out[place[i]], k)


@jit
def lay_out(sums, slot, out):
    """Copy one slot of accumulators, shape (craters, more, slots), to ``out``, shape (more, craters)."""
    for i in range(sums.shape[0]):
        for k in range(sums.shape[1]):
            out[k, i] = sums[i, k, slot]


@jit
def exact_variance(count, total, sq_high, sq_low, out):
    """Population variance of integers from their exact sums, all of shape (n,); NaN if there are no pixels."""
    for i in range(count.size):
        out[i] = np.nan
        if count[i] > 0:
            out[i] = _exact_variance(count[i], total[i], sq_high[i], sq_low[i])
