"""The choice of craters whose quantiles are found by digit passes over the tiles instead of by their pairs."""

from __future__ import annotations

import numpy as np
import pytest

from xcrater.engine.plan import Spread
from xcrater.statistics.quantiles.coding import Coding
from xcrater.statistics.quantiles.problem import Problem
from xcrater.statistics.quantiles.sharing import choose_digits
from xcrater.statistics.quantiles.wanted import OrderStatistics

MEDIAN = OrderStatistics((0.5,))


@pytest.mark.nojit
def test_the_largest_craters_take_digit_passes_until_the_pairs_of_the_others_fit():
    # Tile 0 lists the craters 0, 1 and 2, tile 1 lists 0, 1 and 3, and tile 2 lists 0 and 4.
    spread = Spread(np.array([3, 2, 1, 1, 1], np.int32), np.array([0, 0, 0, 1, 2]), np.array([2, 1, 0, 1, 2]))
    pixels = np.array([1000, 100, 10**6, 5, 10**6])

    def chosen(memory: int, wanted: OrderStatistics = MEDIAN, dtype: str = "<f4") -> list[bool]:
        return choose_digits(spread, 3, pixels, Problem(wanted, Coding(dtype), 1, memory)).tolist()

    assert chosen(2 * 32 * 1100) == [False] * 5
    assert chosen(2 * 32 * 1099) == [True, *[False] * 4]
    assert chosen(1) == [True, True, False, False, False]
    assert not any(chosen(2 * 32 * 1099, OrderStatistics((0.5,), frequencies=True)))
    assert not any(chosen(2 * 32 * 1099, dtype="<i2"))
