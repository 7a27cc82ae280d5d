"""Sums over vectors of pixels agree with the same functions run as plain Python."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xcrater.kernels.lanes import LANES, NOWHERE, OUTSIDE, ring_deviations, ring_sums

DTYPES = ("u1", "i2", "u2", "i4", "i8", "f4", "f8")
ROWS = 12


@numba.njit
def compiled_sums(block, codes, clean, top, left, lanes, e, first, stop, lane):  # type: ignore[no-untyped-def]
    return ring_sums(block, codes, clean, top, left, lanes, e, first, stop, lane)


@numba.njit
def compiled_deviations(block, codes, clean, top, left, lanes, e, first, stop, lane, mean):  # type: ignore[no-untyped-def]
    return ring_deviations(block, codes, clean, top, left, lanes, e, first, stop, lane, mean)


def scene(rng: np.random.Generator, dtype: str) -> tuple[Any, ...]:
    """A block with extreme values, its codes, and the bounds of two nested discs in three groups of lanes."""
    shape = (ROWS + 5, 4 * LANES)
    if dtype[0] == "f":
        block = rng.choice([rng.normal(0, 9, shape), np.full(shape, -0.0), np.full(shape, 1e30)]).astype(dtype)
    else:
        info = np.iinfo(dtype)
        low, high = max(info.min, -(2**31) + 1), min(info.max, 2**31 - 1)
        block = rng.choice([rng.integers(low, high, shape), rng.choice([low, high], shape)]).astype(dtype)
    codes = rng.choice(3 if dtype[0] == "f" else 2, shape, p=None).astype("u1")
    lanes = np.empty((2, 3, ROWS), np.int16)
    lanes[0], lanes[1] = OUTSIDE, NOWHERE
    for row in range(ROWS):
        a, c, d, b = np.sort(rng.choice(3 * LANES + 1, 4, replace=False))
        if rng.random() < 0.8:
            lanes[:, 2, row] = a, b
            if rng.random() < 0.7:
                lanes[:, 1, row] = c, d
    return block, codes, lanes


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 2**32 - 1), clean=st.booleans(), ring=st.integers(0, 1), group=st.integers(0, 2))
@settings(max_examples=30)
def test_sums_equal_those_of_plain_python(dtype: str, seed: int, clean: bool, ring: int, group: int) -> None:
    rng = np.random.default_rng(seed)
    block, codes, lanes = scene(rng, dtype)
    first, stop = sorted(rng.integers(0, ROWS + 1, 2).tolist())
    place = (3, int(rng.integers(0, LANES + 1)), lanes, ring, first, stop, group * LANES)
    found, wanted = compiled_sums(block, codes, clean, *place), ring_sums(block, codes, clean, *place)
    assert found[:2] == wanted[:2]
    assert found[3:5] == wanted[3:5]
    if dtype[0] == "f":
        assert found[2] == pytest.approx(wanted[2], rel=1e-12, abs=1e-9)
        if wanted[0]:
            mean = wanted[2] / wanted[0]
            found, wanted = (f(block, codes, clean, *place, mean) for f in (compiled_deviations, ring_deviations))
            assert found == pytest.approx(wanted, rel=1e-12, abs=1e-9)
    else:
        assert found == wanted


@pytest.mark.nojit
def test_a_ring_is_its_disc_without_the_next_smaller_disc() -> None:
    block = np.arange(4 * 2 * LANES, dtype="i2").reshape(4, 2 * LANES)
    lanes = np.empty((2, 3, 2), np.int16)
    lanes[0], lanes[1] = OUTSIDE, NOWHERE
    lanes[:, 1, 1] = 5, 8
    lanes[:, 2] = [[3], [10]]
    n, nans, total, low, high, _, squares = ring_sums(block, block, True, 2, 1, lanes, 1, 0, 2, 0)
    pixels = np.r_[block[2, 4:11], block[3, 4:6], block[3, 9:11]].astype(int)
    assert (n, nans, total, low, high) == (pixels.size, 0, pixels.sum(), pixels.min(), pixels.max())
    assert squares == (pixels**2).sum()


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", DTYPES)
def test_without_pixels_the_extremes_keep_their_start_values(dtype: str) -> None:
    block = np.zeros((1, LANES), dtype)
    lanes = np.empty((2, 2, 1), np.int16)
    lanes[0], lanes[1] = OUTSIDE, NOWHERE
    n, _, total, low, high, *_ = ring_sums(block, block, True, 0, 0, lanes, 0, 0, 1, 0)
    assert (n, total) == (0, 0)
    assert low > high
