"""Exactness of statistics of large integers; a statistic that would not be exact is refused by itself.

Sums of squares of integers from 2**31 on do not fit the accumulators, sums may exceed 64 bits, and a result is a
float64, which holds every integer up to 2**53 but only some beyond. Counts, extremes, majorities and numbers of
distinct values are exact, because they are found among the integers themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.errors import StatisticError

Array = NDArray[Any]

SQUARED = 2**31
"""Sums of squares of integers smaller than this fit the accumulators."""

HELD = 2**53
"""The limit up to which float64 holds every integer."""


def are_wide(dtype: str) -> bool:
    """Whether a raster of a dtype may hold integers of `SQUARED` or more."""
    kind = np.dtype(dtype)
    return kind.kind in "iu" and (kind.itemsize == 8 or kind == np.uint32)


def inexact(integers: Array) -> NDArray[np.bool_]:
    """Which integers float64 does not hold; for floats, those from `HELD` on, which may have been rounded."""
    if integers.dtype.kind == "f":
        return np.asarray(np.isfinite(integers) & (np.abs(integers) > HELD))
    rounded = integers.astype(np.float64)
    fits = rounded < 2.0 ** (63 if integers.dtype.kind == "i" else 64)
    return np.asarray(~fits | (np.where(fits, rounded, 0.0).astype(integers.dtype) != integers))


def refuse(statistic: str, why: str) -> StatisticError:
    """Make the error that refuses a statistic."""
    return StatisticError(
        f"the statistic {statistic!r} of this raster is not exact: {why}; ask for the others without it, or convert "
        "the raster first, which rounds integers beyond 2**53: da = da.astype('float64')"
    )


def check_squares(state: Mapping[str, Any]) -> None:
    """Refuse a statistic that needs sums of squares if the integers are too large for these."""
    if are_wide(state["dtype"]):
        some = state["weight"] > 0
        large = some & ((state["low"] <= -SQUARED) | (state["high"] >= SQUARED))
        if large.any():
            raise refuse(state["statistic"], f"squares of integers of {SQUARED} or more do not fit 64 bits")


def check_total(state: Mapping[str, Any]) -> None:
    """Refuse a statistic that needs the sum of integers if this may exceed 64 bits."""
    if are_wide(state["dtype"]):
        some = state["weight"] > 0
        low, high = (np.where(some, state[name], 0).astype(float) for name in ("low", "high"))
        limit = 2.0**63 * (1 - 1e-9)
        if (state["count"] * np.maximum(-low, high) >= limit).any():
            raise refuse(state["statistic"], "the sum of its integers may not fit 64 bits")


def check_held(state: Mapping[str, Any], integers: Array) -> None:
    """Refuse a statistic if some of its results are integers that float64 does not hold."""
    if (inexact(integers) & (state["weight"] > 0)).any():
        raise refuse(state["statistic"], "float64 does not hold all integers beyond 2**53")
