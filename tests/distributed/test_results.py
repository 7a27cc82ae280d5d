"""The same lazy results on a cluster of worker processes, on threads and on a single thread."""

from __future__ import annotations

import dask
import numpy as np
import pytest

from xcrater import tutorial
from xcrater.errors import FunctionError

STATS = ["count", "mean", "std", "min", "max", "sum", "median", "majority", "percentile_90"]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_statistics_have_the_same_bytes_as_on_threads(client, cdb, dtype):
    da = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb, chunks=200, dtype=dtype)
    lazy = da.craters.get_stats(cdb, ["rim", "true_ejecta"], STATS)
    on_cluster = client.compute(lazy).result()
    with dask.config.set(scheduler="threads"):
        on_threads = lazy.compute()
    with dask.config.set(scheduler="synchronous"):
        alone = lazy.compute()
    for name in STATS:
        assert on_cluster[name].values.tobytes() == on_threads[name].values.tobytes() == alone[name].values.tobytes()


@pytest.mark.slow
def test_arrays_are_the_same_as_on_threads(client, cdb):
    da = tutorial.synthetic_mosaic("moon", ppd=2, craters=cdb, chunks=200)
    arrays = da.craters.get_arrays(cdb, "rim")
    with dask.config.set(scheduler="threads"):
        on_threads = arrays.compute()["rim"]
    on_cluster = arrays.compute()["rim"]  # the client becomes the default scheduler
    one = arrays["rim"].iloc[7].compute()
    assert isinstance(one, np.ma.MaskedArray)
    for ours, theirs in zip(on_cluster, on_threads, strict=True):
        assert isinstance(ours, np.ma.MaskedArray)
        np.testing.assert_array_equal(ours.mask, theirs.mask)
        np.testing.assert_array_equal(ours.compressed(), theirs.compressed())
    np.testing.assert_array_equal(one.compressed(), on_threads[7].compressed())


@pytest.mark.slow
def test_functions_run_on_the_workers(client, cdb):
    da = tutorial.synthetic_mosaic("moon", ppd=2, craters=cdb, chunks=200)
    lazy = da.craters.get_stats(cdb, "rim", "max", add_stats={"top": np.ma.max})
    result = client.compute(lazy).result()
    np.testing.assert_array_equal(result["top"].values.astype(float), result["max"].values)


def reach(values, distance):
    return {"values": values.size, "ends": [distance.min(initial=9.0), distance.max(initial=0.0)]}


@pytest.mark.slow
def test_functions_of_pixels_and_batches_run_on_the_workers(client, cdb):
    da = tutorial.synthetic_mosaic("moon", ppd=2, craters=cdb, chunks=200)
    lazy = da.craters.map(
        cdb, ["rim", "true_ejecta"], reach, wants=("values", "distance"), returns={"values": None, "ends": 2}
    )
    on_cluster = client.compute(lazy).result()
    with dask.config.set(scheduler="synchronous"):
        alone = lazy.compute()
        frames = list(da.craters.get_arrays(cdb, "rim").iter_computed(batch=70))
    for name in lazy:
        np.testing.assert_array_equal(on_cluster[name], alone[name])
    there = list(da.craters.get_arrays(cdb, "rim").iter_computed(batch=70))
    for ours, theirs in zip(there, frames, strict=True):
        assert ours.index.equals(theirs.index)
        for one, other in zip(ours["rim"], theirs["rim"], strict=True):
            np.testing.assert_array_equal(one.compressed(), other.compressed())
    lazy = da.craters.map(cdb, "rim", np.linalg.inv)
    with pytest.raises(FunctionError, match=r"the crater labelled \d+ with LinAlgError"):
        client.compute(lazy.isel(crater=0)).result()
