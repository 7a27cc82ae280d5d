"""`to_dataset` gives the pixels of one crater with coordinates, distance and azimuth."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies
from tests.helpers import raise_if_dask_computes
from tests.pixels.test_container import CHUNKS, CRATERS, EAST, GLOBAL, SOUTH_UP, database, numbered, with_regions
from xcrater import CraterDatabase
from xcrater.errors import NoOverlapWarning, RegionError

MOON = pyproj.Geod(a=1737400.0, b=1737400.0)


def assert_as_seen(ds: xr.Dataset, cdb: CraterDatabase, crater: int) -> None:
    """Check distance and azimuth against geodesics from the crater to the longitude and latitude of every pixel."""
    lon, lat = (at.values for at in xr.broadcast(ds.lon, ds.lat))
    shown = np.isfinite(lat)
    if ds.lon.ndim == 1:
        lon, lat, shown = lon.T, lat.T, shown.T
    here = np.full(int(shown.sum()), cdb.lon.iloc[crater]), np.full(int(shown.sum()), cdb.lat.iloc[crater])
    azimuth, _, metres = MOON.inv(*here, lon[shown], lat[shown])
    np.testing.assert_allclose(ds.distance.values[shown], metres / cdb.rad.iloc[crater], rtol=1e-9, atol=1e-9)
    turn = np.mod(ds.azimuth.values[shown] - azimuth + 180, 360) - 180
    off_centre = (metres > 1) & (metres < np.pi * 1737400 - 1)
    if abs(cdb.lat.iloc[crater]) < 90:
        np.testing.assert_allclose(turn[off_centre], 0, atol=1e-4)
    assert np.isnan(ds.distance.values[~shown]).all()


@pytest.mark.parametrize("coverage", ["all_touched", "exact"])
@pytest.mark.parametrize("case", [GLOBAL, EAST, SOUTH_UP], ids=["-180", "0", "south-up"])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_a_dataset_has_the_pixels_of_the_element_at_their_coordinates(case, coverage, chunks):
    values, cdb = numbered(case, "i4"), database(*CRATERS)
    da = strategies.data_array(values, case, chunks=chunks, nodata=7)
    da.attrs |= {"units": "m", "long_name": "elevation"}
    with raise_if_dask_computes():
        arrays = da.craters.get_arrays(cdb, ["floor", "rim"], coverage=coverage)
    if chunks is not None:
        with raise_if_dask_computes():
            assert all(variable.chunks for variable in arrays["rim"].to_dataset(0).data_vars.values())
    for region in arrays:
        for i in range(len(CRATERS)):
            ds, element = arrays[region].to_dataset(i).load(), arrays[region].iloc[i].compute()
            xr.testing.assert_identical(ds, arrays.to_dataset(i, region).load())
            np.testing.assert_array_equal(ds.mask, ~element.mask)
            np.testing.assert_array_equal(ds.data, element.astype(float).filled(np.nan))
            # Every pixel's value tells its row and column in the raster.
            pixel = ds.data.values[ds.mask.values].astype(int)
            row, col = np.divmod(pixel, case.shape[1])
            lon, lat = (at.transpose("y", "x").values[ds.mask.values] for at in xr.broadcast(ds.lon, ds.lat))
            np.testing.assert_allclose(lat, da.y.values[row])
            np.testing.assert_allclose(np.mod(lon - da.x.values[col] + 180, 360), 180)
            np.testing.assert_allclose(np.diff(ds.x), 5)
            np.testing.assert_array_equal(ds.lon, ds.x)
            assert ("coverage" in ds) == (coverage == "exact")
            if coverage == "exact":
                assert (ds.coverage.values[ds.mask.values] > 0).all()
                assert ds.coverage.max() <= 1
            assert_as_seen(ds, cdb, i)
            assert ds.rio.crs == da.rio.crs
            assert ds.rio.transform().almost_equals(
                case.transform @ type(case.transform).translation(*corner(ds, case))
            )
            assert ds.attrs["crater"] == i
            assert ds.attrs["region"] == region
            assert ds.data.attrs == {"units": "m", "long_name": "elevation"}


def corner(ds, case):
    at = case.transform
    return round((float(ds.x[0]) - at.c) / at.a - 0.5), round((float(ds.y[0]) - at.f) / at.e - 0.5)


@given(data=st.data(), case=strategies.grids(max_pixels=1500))
@settings(max_examples=15)
def test_pixels_of_any_grid_are_at_their_coordinates_in_the_raster(data, case):
    cdb = with_regions(data.draw(strategies.crater_tables(case, max_size=2)), data.draw(st.sampled_from([None, 32])))
    da = strategies.data_array(numbered(case, "f8"), case, chunks=data.draw(strategies.chunkings(case.shape)))
    with warnings.catch_warnings(category=NoOverlapWarning, action="ignore"):
        arrays = da.craters.get_arrays(cdb, "floor")
    for i in range(len(cdb)):
        ds = arrays.to_dataset(i).load()
        row, col = np.divmod(ds.data.values[ds.mask.values].astype(int), case.shape[1])
        lon, lat = (at.transpose("y", "x").values[ds.mask.values] for at in xr.broadcast(ds.lon, ds.lat))
        np.testing.assert_allclose(lat, da.y.values[row], atol=1e-9)
        np.testing.assert_allclose(np.mod(lon - da.x.values[col] + 180, 360), 180, atol=1e-6)
        assert_as_seen(ds, cdb, i)


@pytest.mark.parametrize("columns", [1000, 999])
def test_columns_past_the_seam_have_their_own_coordinates_on_an_uneven_turn(columns):
    step = 360 / (columns + 0.37)
    case = strategies.GridCase(type(GLOBAL.transform)(step, 0, -180, 0, -9, 90), (20, columns))
    da = strategies.data_array(numbered(case), case)
    ds = da.craters.get_arrays(database((179.9, -3.0, 5.2)), "floor").to_dataset(0)
    col = ds.data.values[ds.mask.values].astype(int) % columns
    lon = np.broadcast_to(ds.lon, ds.mask.shape)[ds.mask.values]
    np.testing.assert_allclose(np.mod(lon - da.x.values[col] + 180, 360), 180, atol=1e-9)
    assert (np.diff(ds.x) > 0).all()


def projected(crs: str) -> xr.DataArray:
    x, y = (np.arange(n) * 2e4 - 1e6 + 1e4 for n in (100, 100))
    da = xr.DataArray(np.arange(1e4).reshape(100, 100), {"y": y[::-1], "x": x}, ("y", "x"))
    return da.chunk({"y": 30, "x": 40}).rio.write_crs(crs)


def test_a_projected_raster_has_longitudes_and_latitudes_of_each_pixel():
    crs = "+proj=stere +lat_0=-90 +R=1737400 +no_defs"
    da, cdb = projected(crs), database((33.0, -75.0, 4.0), (10.0, -90.0, 3.0))
    with raise_if_dask_computes():
        arrays = da.craters.get_arrays(cdb, "floor", coverage="exact")
        lazy = [arrays.to_dataset(i) for i in range(2)]
    for i, ds in enumerate(lazy):
        assert ds.lon.dims == ds.lat.dims == ("y", "x")
        ds = ds.load()
        x, y = np.meshgrid(ds.x, ds.y)
        lon, lat = pyproj.Transformer.from_crs(crs, pyproj.CRS(crs).geodetic_crs, always_xy=True).transform(x, y)
        np.testing.assert_allclose(ds.lat, lat, atol=1e-9)
        np.testing.assert_allclose(np.mod(ds.lon - lon + 180, 360), 180, atol=1e-7)
        xr.testing.assert_equal(
            ds.data.where(ds.mask, drop=True), da.sel(x=ds.x, y=ds.y).where(ds.mask, drop=True).load()
        )
        assert_as_seen(ds, cdb, i)


@pytest.mark.parametrize(
    ("dtype", "wanted"), [("bool", "f4"), ("u1", "f4"), ("i2", "f4"), ("i4", "f8"), ("f4", "f4"), ("f8", "f8")]
)
def test_data_are_floats_wide_enough_for_every_value(dtype, wanted):
    da = strategies.data_array(np.ones(GLOBAL.shape, dtype), GLOBAL)
    assert da.craters.get_arrays(database(CRATERS[0]), "floor").to_dataset(0).data.dtype == wanted


def test_extra_dimensions_keep_their_coordinates_and_values_are_decoded():
    da = strategies.data_array(numbered(GLOBAL, "i2", (2, 3)), GLOBAL, chunks={"band": 1, "y": 10})
    da = da.assign_coords(time=pd.date_range("2020", periods=3), wavelength=("band", [500.0, 600.0])).rename("red")
    da.attrs |= {"scale_factor": 0.5, "add_offset": 3.0, "_FillValue": 11}
    ds = da.craters.get_arrays(database(*CRATERS), "rim")["rim"].to_dataset(1)
    assert ds.data.dims == ds.mask.dims == ("band", "time", "y", "x")
    assert ds.distance.dims == ("y", "x")
    xr.testing.assert_equal(
        ds.wavelength.drop_vars(["spatial_ref", "crater", "region"]), da.wavelength.drop_vars("spatial_ref")
    )
    assert ds.data.attrs == {"long_name": "red"}
    shown = ds.data.isel(band=1, time=2).load()
    np.testing.assert_array_equal(np.unique(np.mod(shown.values[np.isfinite(shown)], 0.5)), [0.0])


def test_labels_are_those_of_the_table():
    frame = pd.DataFrame({"lat": [1.0, 2.0], "lon": [3.0, 4.0], "radius": [3e5, 4e5]}, index=["Copernicus", "Tycho"])
    arrays = strategies.data_array(numbered(GLOBAL), GLOBAL).craters.get_arrays(with_regions(frame), ["rim", "floor"])
    ds = arrays.to_dataset("Tycho", "rim")
    assert ds.attrs["crater"] == ds.crater.item() == "Tycho"
    assert (ds.attrs["crater_lon"], ds.attrs["crater_radius"]) == (4.0, 4e5)
    with pytest.raises(KeyError, match="no crater is labelled 'Kepler'"):
        arrays.to_dataset("Kepler", "rim")
    assert arrays.to_dataset("Tycho").region.values.tolist() == ["rim", "floor"]
    with pytest.raises(RegionError, match="received the region 'wall'"):
        arrays.to_dataset("Tycho", "wall")


@pytest.mark.parametrize("crater", [1, 2])
def test_datasets_can_be_plotted(crater):
    matplotlib = pytest.importorskip("matplotlib.pyplot")
    ds = (
        strategies.data_array(numbered(GLOBAL), GLOBAL)
        .craters.get_arrays(database(*CRATERS), "floor")
        .to_dataset(crater)
    )
    drawn = ds.data.plot()
    assert drawn.get_array().count() == ds.mask.sum()
    assert drawn.axes.get_xlabel() == "longitude [degrees_east]"
    matplotlib.close("all")
