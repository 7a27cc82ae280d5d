"""The one rule for missing values: nodata, NaN and masked pixels."""

from __future__ import annotations

import numpy as np
import pytest

from xcrater import kernels
from xcrater.errors import GridError
from xcrater.raster.values import classify, kernel_block, missing, representable, sentinel

NAN = float("nan")


@pytest.mark.parametrize(
    ("number", "dtype", "held"),
    [
        (0, "u1", True),
        (-1, "u1", False),
        (255.0, "u1", True),
        (0.5, "i2", False),
        (-32768, "i2", True),
        (-3.4e38, "f4", True),
        (-3.4028235e38, "f4", True),  # the lowest float32, as it is commonly written
        (-3.4028236e38, "f4", False),
        (1e300, "f4", False),
        (np.inf, "f4", True),
        (1, "?", True),
        (2, "?", False),
    ],
)
def test_nodata_counts_only_where_a_pixel_can_hold_it(number, dtype, held):
    assert representable(number, np.dtype(dtype)) == held
    value, found = sentinel(number, np.dtype(dtype))
    assert found == held
    assert value == (np.dtype(dtype).type(number) if held else 0)


def test_without_nodata_there_is_no_sentinel():
    assert sentinel(None, np.dtype("i2")) == (0, False)


@pytest.mark.parametrize(
    ("pixels", "nodata", "expected"),
    [
        (np.array([[1, 7], [7, 0]], "u1"), 7, [[False, True], [True, False]]),
        (np.array([[1, 7]], "u1"), None, [[False, False]]),
        (np.array([[1, 7]], "u1"), -1, [[False, False]]),
        (np.array([[1.0, NAN, -5.0]]), None, [[False, True, False]]),
        (np.array([[1.0, NAN, -5.0]], ">f4"), -5, [[False, True, True]]),
        (np.ma.masked_equal(np.array([[3, 4]], "i2"), 3), 4, [[True, True]]),
        (np.ma.masked_array([[1.0, NAN]], mask=[[True, False]]), None, [[True, True]]),
    ],
)
def test_missing_pixels_are_those_with_nodata_nan_or_a_mask(pixels, nodata, expected):
    assert missing(pixels, nodata).tolist() == expected
    codes, clean = classify(kernel_block(pixels), nodata)
    assert clean == (not np.any(expected))
    if not clean:
        assert (codes != kernels.VALID).tolist() == expected


def test_finding_missing_pixels_does_not_change_the_array():
    pixels = np.ma.masked_array([1.0, NAN, 2.0], mask=[True, False, False])
    missing(pixels, 2)
    assert pixels.mask.tolist() == [True, False, False]


def test_unsigned_integers_beyond_int64_are_refused_unless_they_are_missing():
    pixels = np.array([[2**64 - 1, 1]], "u8")
    with pytest.raises(GridError, match="astype"):
        kernel_block(pixels)
    codes, clean = classify(kernel_block(pixels, 2**64 - 1), 2**64 - 1)
    assert not clean
    assert (codes != 0).tolist() == [[True, False]]
