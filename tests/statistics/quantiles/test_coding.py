"""Keys sort in the order of the values they encode, and decode to exactly these values."""

from __future__ import annotations

import numpy as np
import pytest

from tests.statistics.quantiles.patterns import DTYPES, PATTERNS, patterned
from xcrater.statistics.quantiles.coding import Coding

STORED = {"i1": "i2", "u4": "i8", "f2": "f4"}
"""The dtype to which a tile is converted when kernels are not compiled for its own."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.nojit
def test_keys_sort_like_their_values(dtype):
    rng = np.random.default_rng(0)
    values = np.concatenate([patterned(rng, dtype, pattern, 20) for pattern in PATTERNS])
    coding = Coding(values.dtype.str)
    keys = coding.keys(values.astype(STORED.get(dtype, dtype)))
    assert keys.dtype.kind == "u"
    order = np.argsort(keys, kind="stable")
    np.testing.assert_array_equal(values[order], np.sort(values))
    np.testing.assert_array_equal(keys[:, None] == keys, values[:, None] == values)
    np.testing.assert_array_equal(coding.values(keys), values.astype("f8"))
