"""`raise_if_dask_computes` counts computes and fails on those that are not allowed."""

from __future__ import annotations

import dask.array as da
import pytest

from tests.helpers import raise_if_dask_computes


def test_fails_on_a_compute():
    with raise_if_dask_computes(), pytest.raises(RuntimeError, match="dask computed 1 times; at most 0 allowed"):
        da.ones(3, chunks=1).compute()


def test_counts_the_computes_it_allows():
    with raise_if_dask_computes(max_computes=2) as scheduler:
        assert da.ones(3, chunks=1).sum().compute() == 3
        da.ones(3, chunks=1).persist()
    assert scheduler.total_computes == 2


def test_building_is_not_computing():
    with raise_if_dask_computes() as scheduler:
        da.ones(3, chunks=1).sum()
    assert scheduler.total_computes == 0
