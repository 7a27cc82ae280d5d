"""Graphs sent to a cluster are small, and partial results report their size."""

from __future__ import annotations

from typing import Any

import cloudpickle
import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
from dask.sizeof import sizeof

from xcrater import CraterDatabase, tutorial
from xcrater.statistics.accumulators import Partial, Sums

OPERATIONS: dict[str, Any] = {
    "statistics": lambda da, cdb: da.craters.get_stats(cdb, ["floor", "ejecta"], ["mean", "std", "max"]),
    "true circles": lambda da, cdb: da.craters.get_stats(cdb, "circle", coverage="center"),
    "medians": lambda da, cdb: da.craters.get_stats(cdb, ["floor", "ejecta"], "median"),
    "fractions": lambda da, cdb: da.craters.get_stats(cdb, "ejecta", ["mean", "median"], coverage="exact"),
    "areas": lambda da, cdb: da.craters.get_stats(cdb, "ejecta", ["mean", "area"], weights="area"),
    "profiles": lambda da, cdb: da.craters.radial_profile(cdb, 20, outer=3.0),
    "sectors": lambda da, cdb: da.craters.radial_profile(cdb, 20, outer=3.0, sectors=8),
    "depths": lambda da, cdb: da.craters.depths(cdb),
    "masks": lambda da, cdb: da.craters.mask(cdb, "ejecta"),
    "chips": lambda da, cdb: da.craters.chips(cdb, 16, order="tiles"),
}


@pytest.fixture(scope="module")
def many() -> CraterDatabase:
    rng = np.random.default_rng(7)
    n = 20_000
    table = {
        "lat": np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
        "lon": rng.uniform(-180, 180, n),
        "diameter": rng.uniform(2500.0**-1.75, 1.0, n) ** (-1 / 1.75) * 1e3,
    }
    cdb = CraterDatabase(pd.DataFrame(table), "moon")
    cdb.add_circles("floor", 1)
    cdb.add_annuli("ejecta", 1, 3)
    cdb.add_annuli("circle", 0, 1, nvert=None)
    return cdb


@pytest.mark.parametrize("operation", OPERATIONS)
def test_graphs_take_40_bytes_a_crater_and_1_kb_a_chunk(many, operation):
    da = tutorial.synthetic_mosaic("moon", ppd=64, chunks=4096)
    da = da.copy(data=dask.array.zeros(da.shape, chunks=da.chunks, dtype="int16"))
    lazy = OPERATIONS[operation](da, many)
    tasks = dict(lazy.__dask_graph__())
    assert len(cloudpickle.dumps(tasks)) <= 40 * len(many) + 1000 * da.data.npartitions


def partial_results(lazy: Any, wanted: str) -> list[Any]:
    """Results of those tasks of a graph whose keys contain a word."""
    graph = dict(lazy.__dask_graph__())
    keys = [key for key in graph if wanted in str(key[0] if isinstance(key, tuple) else key)]
    return list(dask.get(graph, keys))


@pytest.mark.parametrize("operation", ["statistics", "medians", "depths", "arrays"])
def test_partial_results_report_their_size(cdb, operation):
    da = tutorial.synthetic_mosaic("moon", ppd=2, craters=cdb, chunks=360)
    lazy: Any
    if operation == "arrays":
        lazy = da.craters.map(cdb, "rim", np.ma.max)
    elif operation == "depths":
        lazy = da.craters.depths(cdb)
    else:
        lazy = da.craters.get_stats(cdb, ["rim", "true_ejecta"], "median" if operation == "medians" else "mean")
    found = partial_results(lazy, "-tile")
    assert len(found) >= 2
    for partial in found:
        assert sizeof(partial) == pytest.approx(len(cloudpickle.dumps(partial)), rel=0.2, abs=4000)


def test_sizes_include_all_that_records_hold():
    sums = Sums(np.arange(100, dtype=np.int32), np.zeros((100, 1, 2, 8)))
    assert sizeof(Partial([sums])) == pytest.approx(100 * (4 + 2 * 8 * 8), rel=0.05)
    assert sizeof(Partial([sums] * 5)) == pytest.approx(500 * (4 + 2 * 8 * 8), rel=0.05)
    objects = np.empty(1000, object)
    objects[:] = [np.ma.masked_array(np.zeros(50), True) for _ in range(1000)]
    assert sizeof(Partial([], [], [objects])) == pytest.approx(1000 * (8 + 50 * 9), rel=0.05)  # type: ignore[list-item]
