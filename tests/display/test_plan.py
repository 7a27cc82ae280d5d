"""The printed plan says what the operations then do."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import raise_if_dask_computes
from tests.pixels.test_container import CRATERS, GLOBAL, database, numbered
from tests.strategies import data_array
from xcrater import set_options
from xcrater.errors import RegionError, StatisticError


def planned(memory: int = 2**30, **options):
    da = data_array(numbered(GLOBAL, "i2", (2,)), GLOBAL).chunk({"band": 1, "y": 10, "x": 25})
    cdb = database(*CRATERS)
    with set_options(memory=memory), raise_if_dask_computes():
        return da, cdb, da.craters.plan(cdb, ["floor", "rim"], **options)


def test_tiles_and_sizes_agree_with_arrays():
    da, cdb, plan = planned()
    arrays = da.craters.get_arrays(cdb, ["floor", "rim"])
    assert len(plan.tiles) == len(arrays._source.plan)
    np.testing.assert_array_equal(plan.sizes, arrays.sizes)
    computed = arrays.compute()
    assert plan.arrays.result == computed.map(lambda array: array.nbytes + array.mask.nbytes).to_numpy().sum()
    heights, widths = np.diff([0, 10, 20, 30, 36]), np.diff([0, 25, 50, 72])
    np.testing.assert_array_equal(plan.tiles["bytes"], 4 * heights[plan.tiles["row"]] * widths[plan.tiles["column"]])
    assert plan.chunks == 12


def test_results_and_rounds_agree_with_the_operations():
    _, _, plan = planned(stats=("mean", "count"))
    assert plan.statistics.result == 2 * 2 * 2 * len(CRATERS) * 8
    assert (plan.statistics.rounds, plan.arrays.rounds) == (1, 1)
    assert plan.statistics.tiles_read == plan.arrays.tiles_read == len(plan.tiles)
    da, cdb, little = planned(memory=1500)
    assert little.statistics.rounds > 1
    assert little.arrays.rounds > 1
    assert little.arrays.tiles_read > len(little.tiles)
    with set_options(memory=1500):
        layers = da.craters.get_stats(cdb, ["floor", "rim"])["mean"].data.dask.layers
    assert sum(layer.startswith("craters-gate-") for layer in layers) == little.statistics.rounds - 1
    assert little.statistics.peak < plan.statistics.peak


def test_the_plan_is_shown_as_text_and_in_notebooks():
    _, _, plan = planned()
    html = plan._repr_html_()
    for text in ("4", "floor, rim", "8 of the raster's 12 chunks", "Largest crater"):
        assert text in repr(plan)
    assert "nothing has been read" in html
    assert html.count("<tr") == len(repr(plan).splitlines()) - 1


def test_a_table_without_craters_reads_nothing():
    da, _cdb, _ = planned()
    none = database(*CRATERS)
    none.data = none.data.iloc[:0]
    plan = da.craters.plan(none, "rim")
    assert (plan.craters, len(plan.tiles), plan.bytes_read, plan.arrays.result) == (0, 0, 0, 0)
    assert "Largest" not in repr(plan)


def test_unknown_regions_and_statistics_are_refused():
    da, cdb, _ = planned()
    with pytest.raises(RegionError, match="ejecta"):
        da.craters.plan(cdb, "ejecta")
    with pytest.raises(StatisticError, match="meen"):
        da.craters.plan(cdb, "rim", "meen")
