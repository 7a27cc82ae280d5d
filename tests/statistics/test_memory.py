"""Statistics whose accumulators exceed the memory limit are collected in rounds, and do not change."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.pixels.test_container import CRATERS, GLOBAL, database, numbered
from tests.strategies import data_array
from xcrater import set_options

MANY = (*CRATERS, *((lon, lat, 3.0) for lon in range(-180, 180, 40) for lat in (-60.0, 0.0, 60.0)))


@pytest.fixture(params=["lazy", "in memory"])
def raster(request: pytest.FixtureRequest) -> xr.DataArray:
    values = numbered(GLOBAL, "i2", (3,))
    values[..., ::7, ::5] = -1
    da = data_array(values, GLOBAL, nodata=-1)
    return da.chunk({"band": 2, "y": 10, "x": 25}) if request.param == "lazy" else da


@pytest.mark.parametrize(
    ("stats", "options"),
    [
        (("mean", "std", "count", "min", "max"), {"coverage": "center"}),
        (("mean", "area", "skew"), {"coverage": "exact", "weights": "area"}),
        (("mean", "median"), {"coverage": "center"}),
    ],
)
def test_statistics_with_little_memory_are_the_same(raster, stats, options):
    cdb = database(*MANY)
    wanted = raster.craters.get_stats(cdb, ["floor", "rim"], stats, **options)
    with set_options(memory=6000):
        found = raster.craters.get_stats(cdb, ["floor", "rim"], stats, **options)
    for name in stats:
        assert found[name].dims == wanted[name].dims
        assert found[name].dtype == wanted[name].dtype
        np.testing.assert_allclose(found[name].values, wanted[name].values, rtol=1e-12, atol=0)
    if raster.chunks and "median" not in stats:
        gates = {layer for layer in found["mean"].data.dask.layers if "gate-" in layer}
        assert len(gates) > 2


def test_profiles_in_sectors_with_little_memory_are_the_same(raster):
    cdb = database(*MANY)
    wanted = raster.craters.radial_profile(cdb, 3, ("mean", "count"), sectors=4)
    with set_options(memory=50_000):
        found = raster.craters.radial_profile(cdb, 3, ("mean", "count"), sectors=4)
    xr.testing.assert_allclose(found.compute(), wanted.compute(), rtol=1e-12)
    np.testing.assert_array_equal(found["count"], wanted["count"])


def test_craters_on_no_tile_have_no_pixels_in_any_round(raster):
    part = raster.isel(y=slice(0, 10))
    cdb = database((0.0, -60.0, 3.0), *MANY)
    with set_options(memory=3000):
        found = part.craters.get_stats(cdb, "rim", ("count", "mean")).compute()
    xr.testing.assert_allclose(found, part.craters.get_stats(cdb, "rim", ("count", "mean")).compute(), rtol=1e-12)
    assert int(found["count"][0, 0]) == 0
