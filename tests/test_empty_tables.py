"""For a table that a filter left empty, every operation gives an empty result of the right shape."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xcrater
from xcrater import CraterDatabase, tutorial


@pytest.fixture(scope="module", params=["eager", "lazy", "eager bands", "lazy bands"])
def da(request):
    da = tutorial.synthetic_mosaic("moon", ppd=2)
    da = da.compute() if request.param.startswith("eager") else da.chunk(x=200)
    return xr.concat([da, da * 2], "band") if request.param.endswith("bands") else da


@pytest.fixture(params=["filtered before", "filtered after"])
def cdb(request):
    frame = pd.DataFrame({"lat": [10.0], "lon": [20.0], "diam": [400.0], "major": [410.0], "minor": [390.0]})
    frame = frame.assign(angle=30.0)
    cdb = CraterDatabase(frame.query("diam > 1e9") if request.param == "filtered before" else frame, "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    cdb.add_circles("disc", 1, nvert=None)
    cdb.data = cdb.data.query("diam > 1e9")
    return cdb


def lead(da):
    return da.shape[:-2]


def test_the_database_itself(cdb):
    assert (len(cdb), bool(cdb)) == (0, False)
    assert [len(series) for series in (cdb.lat, cdb.lon, cdb.rad, cdb.center, cdb.rim, cdb.disc)] == [0] * 6
    assert repr(cdb) == "CraterDatabase of length 0 with attributes lat, lon, rad, center, rim, disc."
    assert cdb.copy() == cdb


@pytest.mark.parametrize(
    "options", [{}, {"coverage": "exact", "weights": "area"}, {"exclude": 1}, {"categorical": True}]
)
def test_statistics(cdb, da, options):
    found = da.craters.get_stats(cdb, ["rim", "disc"], "mean median count skew", **options).compute()
    assert found["mean"].shape == (*lead(da), 2, 0)
    assert da.craters.get_stats(cdb, "rim", "mean").compute()["mean"].shape == (*lead(da), 0)


def test_regions_with_data_for_each_crater(cdb, da):
    cdb.add_ellipses("ellipse")
    cdb.add_polygons("polygon", [])
    found = da.craters.get_stats(cdb, ["ellipse", "polygon"], "mean").compute()
    assert found["mean"].shape == (*lead(da), 2, 0)


def test_tables_of_results(cdb, da):
    images = 2 if lead(da) else 1
    frame = cdb.get_stats(da, ["rim", "disc"], "mean count")
    assert frame.shape == (0, len(cdb.orig_cols) + 4 * images)
    assert cdb.get_arrays(da, ["rim", "disc"]).shape == (0, len(cdb.orig_cols) + 2)


def test_arrays(cdb, da, tmp_path):
    arrays = da.craters.get_arrays(cdb, ["rim", "disc"])
    assert (len(arrays["rim"]), list(arrays["rim"])) == (0, [])
    assert arrays.compute().shape == (0, 2)
    assert list(arrays.iter_computed()) == []
    if not lead(da):
        arrays.to_zarr(tmp_path / "arrays.zarr")
        assert xcrater.open_arrays(tmp_path / "arrays.zarr").compute().shape == (0, 2)


def test_functions(cdb, da):
    assert da.craters.map(cdb, ["rim", "disc"], np.mean).compute().shape == (*lead(da), 2, 0)


def test_profiles(cdb, da):
    assert da.craters.radial_profile(cdb, 5, sectors=4).compute()["mean"].shape == (*lead(da), 0, 5, 4)
    for stack in ("craters", "pixels"):
        profile = da.craters.radial_profile(cdb, 5, ("mean", "count"), stack=stack).compute()
        assert profile["mean"].shape == (*lead(da), 5)
        assert np.isnan(profile["mean"]).all()
    assert (profile["count"] == 0).all()


@pytest.mark.parametrize("order", ["table", "tiles"])
def test_chips(cdb, da, order):
    assert da.craters.chips(cdb, (8, 6), order=order).compute().shape == (*lead(da), 0, 8, 6)


def test_depths(cdb, da):
    assert all(v.shape == (*lead(da), 0) for v in da.craters.depths(cdb).compute().data_vars.values())


def test_masks(cdb, da):
    image = da.isel(band=0) if lead(da) else da
    assert not image.craters.mask(cdb, "rim").compute().any()
    assert (image.craters.mask(cdb, "rim", kind="count").compute() == 0).all()
