"""Mistakes that users make: every message says what was received, what was expected, or what to type instead."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from affine import Affine

from xcrater import CraterDatabase, open_mosaic, sample_data, set_options
from xcrater.errors import (
    BodyError,
    GridError,
    NoOverlapWarning,
    RegionError,
    StatisticError,
    TableError,
    XcraterError,
)

MOON = sample_data["moon.tif"]


def craters(**columns) -> pd.DataFrame:
    return pd.DataFrame({"lat": [0.0, 10.0], "lon": [20.0, 30.0], "radius": [1e5, 1e5]} | columns)


@pytest.fixture
def cdb():
    cdb = CraterDatabase(craters(), "moon")
    cdb.add_annuli("rim", 1, 1.5)
    cdb.add_circles("floor", 0.8)
    return cdb


@pytest.fixture
def da():
    y, x = np.arange(85.0, -90, -10), np.arange(-175.0, 180, 10)
    da = xr.DataArray(np.ones((18, 36), "u1"), {"y": y, "x": x}, ("y", "x"))
    return da.rio.write_crs("IAU_2015:30100").rio.write_transform(Affine(10, 0, -180, 0, -10, 90))


def error_saying(error: type[Exception], *words: str):
    """Context that expects an error whose message contains all the words in this order."""
    return pytest.raises(error, match="(?s)" + ".*".join(map(re.escape, words)))


class TestTables:
    """Crater tables."""

    def test_missing_file(self, tmp_path):
        path = tmp_path / "craters.csv"
        with error_saying(TableError, f"received {str(path)!r}", "there is no such file"):
            CraterDatabase(path, "moon")

    def test_unreadable_file(self, tmp_path):
        path = tmp_path / "craters.parquet"
        path.write_text("lat,lon,radius\n1,2,3\n")
        with error_saying(
            TableError, repr(str(path)), "cannot be read as a Parquet table", "Read it with pandas and pass the"
        ):
            CraterDatabase(path, "moon")

    def test_raster_for_a_table(self):
        with error_saying(
            TableError, f"received {str(MOON)!r}; expected a file that ends in .csv", "pass the DataFrame"
        ):
            CraterDatabase(MOON, "moon")

    def test_an_empty_table_without_columns(self, tmp_path):
        with error_saying(TableError, "the DataFrame has no columns; expected one row per crater, and a header"):
            CraterDatabase(pd.DataFrame(), "moon")
        # A table without rows is a falsy database, as in craterpy, but only if its columns are known.
        (tmp_path / "craters.csv").write_text("lat,lon\n")
        with error_saying(TableError, "found no radius or diameter column among 'lat', 'lon'"):
            CraterDatabase(tmp_path / "craters.csv", "moon")

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "craters.csv").write_text("")
        with error_saying(TableError, "craters.csv' cannot be read as a comma-separated table", "pass the DataFrame"):
            CraterDatabase(tmp_path / "craters.csv", "moon")

    def test_no_latitude_column(self):
        table = craters().rename(columns={"lat": "breadth"})
        with error_saying(
            TableError, "found no latitude column among 'breadth', 'lon', 'radius'", "name it: lat_col='...'"
        ):
            CraterDatabase(table, "moon")
        assert CraterDatabase(table, "moon", lat_col="breadth").lat.tolist() == [0, 10]

    def test_two_latitude_columns(self):
        with error_saying(
            TableError, "found several latitude columns, 'lat', 'Latitude'", "say which with lat_col='...'"
        ):
            CraterDatabase(craters(Latitude=[1, 2]), "moon")

    def test_two_radius_columns(self):
        table = craters().rename(columns={"radius": "radius_a"}).assign(radius_b=1.0)
        with error_saying(
            TableError, "found several radius columns, 'radius_a', 'radius_b'", "say which with rad_col='...'"
        ):
            CraterDatabase(table, "moon")

    def test_misspelt_column(self):
        with error_saying(TableError, "received diam_col='radus', which is not a column", "did you mean 'radius'?"):
            CraterDatabase(craters(), "moon", diam_col="radus")

    @pytest.mark.parametrize("units", ["miles", "KM", "kilometers", None])
    def test_unknown_units(self, units):
        with error_saying(TableError, f"received units={units!r}", "expected 'm' or 'km'"):
            CraterDatabase(craters(), "moon", units=units)


class TestBodies:
    """Bodies."""

    @pytest.mark.parametrize(("body", "close"), [("mooon", "moon"), ("Marz", "mars"), ("enceladius", "enceladus")])
    def test_misspelt_body(self, body, close):
        with error_saying(BodyError, f"received body={body!r}", "did you mean", repr(close)):
            CraterDatabase(craters(), body)

    def test_unknown_body(self):
        with error_saying(BodyError, "received body='qqq'", "expected one of the", "such as 'moon'"):
            CraterDatabase(craters(), "qqq")


class TestRegions:
    """Regions."""

    def test_misspelt_region(self, cdb, da):
        for ask in (cdb.get_stats, cdb.get_arrays):
            with error_saying(RegionError, "received region 'rims', which was not added", "did you mean 'rim'?"):
                ask(da, "rims")

    def test_unknown_region(self, cdb, da):
        with error_saying(RegionError, "received region 'wall', which was not added", "expected one of rim, floor"):
            cdb.get_stats(da, ["rim", "wall"])

    def test_a_region_name_before_any_region_was_added(self, da):
        with error_saying(
            RegionError, "received region 'rim'; none was added yet", "cdb.add_annuli('rim', inner=1, outer=1.5)"
        ):
            CraterDatabase(craters(), "moon").get_stats(da, "rim")

    def test_no_region_requested(self, cdb, da):
        with error_saying(RegionError, "received no region; the table has 'rim', 'floor'"):
            cdb.get_stats(da, [])

    def test_a_region_added_twice(self, cdb):
        with error_saying(
            RegionError, "received the region name 'rim'", "already", "del cdb.regions['rim']", "another name"
        ):
            cdb.add_annuli("rim", 1, 2)
        assert cdb.regions["rim"].outer == 1.5

    def test_a_region_requested_twice(self, cdb, da):
        with error_saying(RegionError, "the region 'rim' is asked for twice; name it once"):
            cdb.get_stats(da, ["rim", "floor", "rim"])

    @pytest.mark.parametrize(("inner", "outer"), [(2, 1), (1, 1)])
    def test_inner_is_not_less_than_outer(self, cdb, inner, outer):
        with error_saying(
            RegionError, f"received inner={inner}, outer={outer}", "inner must be less than outer", "crater radii"
        ):
            cdb.add_annuli("ring", inner, outer)
        assert "ring" not in cdb.regions

    def test_negative_radii_of_regions(self, cdb):
        with error_saying(RegionError, "received inner=-1", "a distance in crater radii is 0 or more"):
            cdb.add_annuli("ring", -1, 1)
        with error_saying(RegionError, "outer=-2", "must be less than outer"):
            cdb.add_circles("disc", -2)

    @pytest.mark.parametrize("bound", [float("nan"), float("inf")])
    def test_radii_of_regions_that_are_not_finite(self, cdb, bound):
        with error_saying(RegionError, f"outer={bound!r}", "must be finite numbers"):
            cdb.add_annuli("ring", 1, bound)

    @pytest.mark.parametrize("bound", ["2", None])
    def test_radii_of_regions_that_are_not_numbers(self, cdb, bound):
        with error_saying(RegionError, f"outer={bound!r}", "numbers"):
            cdb.add_annuli("ring", 1, bound)

    @pytest.mark.parametrize("nvert", [33, 3, 2, 0, -4, 32.5])
    def test_bad_nvert(self, cdb, nvert):
        with error_saying(
            RegionError, f"received nvert={nvert!r}", "expected an even number from 4 on, or None for a true circle"
        ):
            cdb.add_annuli("ring", 1, 2, nvert=nvert)

    def test_bad_nvert_as_an_option(self):
        with error_saying(
            XcraterError, "received nvert=33", "expected an even number from 4 on, or None for a true circle"
        ):
            set_options(nvert=33)


class TestStatistics:
    """Statistics, weights and coverage."""

    @pytest.mark.parametrize(
        ("name", "close"), [("medan", "median"), ("average", "mean"), ("percentil_90", "percentile_")]
    )
    def test_misspelt_statistic(self, cdb, da, name, close):
        with error_saying(
            StatisticError, f"unknown statistic {name!r}", f"did you mean '{close}", "expected any of min, max"
        ):
            cdb.get_stats(da, "rim", ["mean", name])

    def test_unknown_statistic(self, cdb, da):
        with error_saying(
            StatisticError, "unknown statistic 'qqq'; expected any of min, max, mean", "percentile_<0 to 100>"
        ):
            cdb.get_stats(da, "rim", "qqq")

    def test_a_statistic_requested_twice(self, cdb, da):
        with error_saying(StatisticError, "the statistic 'mean' is asked for twice; name it once"):
            cdb.get_stats(da, "rim", "mean count mean")

    def test_a_statistic_that_is_not_a_name(self, cdb, da):
        with error_saying(StatisticError, f"received {np.mean!r} as a statistic; expected a name such as 'mean'"):
            cdb.get_stats(da, "rim", [np.mean])

    @pytest.mark.parametrize(
        "name", ["percentile_101", "percentile_-1", "percentile_nan", "percentile_", "percentile_x"]
    )
    def test_percentile_beyond_100(self, cdb, da, name):
        with error_saying(StatisticError, f"received {name!r}", "q from 0 to 100, such as 'percentile_90'"):
            cdb.get_stats(da, "rim", name)

    @pytest.mark.parametrize("weights", ["areas", np.ones(3), True], ids=["name", "array", "bool"])
    def test_weights(self, cdb, da, weights):
        with error_saying(StatisticError, "received weights=", "expected None, 'area'", "or an xarray.DataArray"):
            cdb.get_stats(da, "rim", weights=weights)

    def test_weights_on_another_grid(self, cdb, da):
        for weights, what in (
            (da[1:], "'y' is not the raster's"),
            (da.assign_coords(x=da.x + 1), "'x' is not the raster's"),
            (da.expand_dims(band=2), "with dimensions ('band', 'y', 'x')"),
            (da.rio.write_crs("IAU_2015:49900"), "whose CRS is not the raster's"),
            (da.astype(str), "of dtype <U"),
        ):
            with error_saying(StatisticError, "received weights", what):
                cdb.get_stats(da, "rim", weights=weights)

    @pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
    def test_negative_infinite_or_missing_weights(self, cdb, da, bad):
        weights = xr.full_like(da, bad, dtype=float)
        with error_saying(StatisticError, "weights that are negative, infinite or not numbers"):
            cdb.get_stats(da, "rim", weights=weights)
        mended = xr.where(da.x < da.x.mean(), bad, xr.ones_like(da, float)).transpose(*da.dims)
        mended = mended.where((mended >= 0) & (mended < float("inf")), 0)  # the remedy of the error
        assert np.isfinite(cdb.get_stats(da, "rim", "sum", weights=mended)["sum_rim"]).all()

    @pytest.mark.parametrize("name", ["quantile_1.5", "quantile_x", "frac_", "frac_x"])
    def test_numbers_in_names(self, cdb, da, name):
        with error_saying(StatisticError, f"received {name!r}; expected {name.partition('_')[0]}_<"):
            cdb.get_stats(da, "rim", name)

    @pytest.mark.parametrize("coverage", ["touched", "Exact", "centre", True])
    def test_unknown_coverage(self, cdb, da, coverage):
        for ask in (cdb.get_stats, cdb.get_arrays):
            with error_saying(
                XcraterError, f"received coverage={coverage!r}", "expected one of 'all_touched', 'center', 'exact'"
            ):
                ask(da, "rim", coverage=coverage)

    def test_a_user_supplied_statistic_that_is_not_a_function(self, cdb, da):
        with error_saying(StatisticError, "received add_stats['p90'] = 90", "expected a function of a masked array"):
            cdb.get_stats(da, "rim", add_stats={"p90": 90})

    @pytest.mark.parametrize("name", ["mean", "percentile_90", "categorical"])
    def test_a_user_supplied_statistic_named_like_a_built_in(self, cdb, da, name):
        with error_saying(
            StatisticError, f"received add_stats with the name {name!r}", "a built-in statistic; choose another"
        ):
            cdb.get_stats(da, "rim", add_stats={name: np.ma.count})


class TestRasters:
    """Rasters."""

    def test_missing_file(self, cdb, tmp_path):
        path = tmp_path / "mosaic.tif"
        for ask in (cdb.get_stats, cdb.get_arrays):
            with error_saying(FileNotFoundError, f"there is no raster file {str(path)!r}"):
                ask(path, "rim")

    def test_unreadable_file(self, cdb, tmp_path):
        path = tmp_path / "mosaic.tif"
        path.write_text("not a raster")
        with error_saying(GridError, f"cannot read {str(path)!r} as a raster", "not recognized"):
            cdb.get_stats(path, "rim")

    def test_table_for_a_raster(self, cdb):
        path = sample_data["moon_craters_km.csv"]
        with error_saying(GridError, f"cannot read {str(path)!r} as a raster"):
            cdb.get_stats(path, "rim")

    def test_no_crs(self, cdb, da):
        with error_saying(
            GridError, "the raster has no CRS", 'da = da.rio.write_crs("IAU_2015:30100")', "latitude on moon"
        ):
            cdb.get_stats(da.drop_vars("spatial_ref"), "rim")

    def test_another_body(self, cdb):
        mars = sample_data["mars.tif"]
        line = 'da = da.rio.write_crs("IAU_2015:30100")'
        with error_saying(
            BodyError, "the raster's CRS", "Mars", "is not on moon, the table's body (radius 1.7374e+06 m)", line
        ):
            cdb.get_stats(mars, "rim")

    def test_a_raster_labelled_as_the_earth_by_mistake(self, cdb, da):
        with error_saying(
            BodyError, "the raster's CRS 'WGS 84'", "is not on moon", 'da = da.rio.write_crs("IAU_2015:30100")'
        ):
            cdb.get_stats(da.rio.write_crs("EPSG:4326"), "rim")

    def test_rotated_transform(self, cdb, da):
        rotated = da.drop_vars(["x", "y"]).rio.write_transform(Affine.rotation(5) * Affine(10, 0, -180, 0, -10, 90))
        with error_saying(GridError, "geotransform is rotated: (", "da = da.rio.reproject(da.rio.crs)"):
            cdb.get_stats(rotated, "rim")

    def test_not_spatial(self, cdb):
        table = xr.DataArray(np.zeros((3, 4)), dims=("crater", "statistic"))
        with error_saying(
            GridError, "('crater', 'statistic')", "expected two spatial ones such as ('y', 'x')", "set_spatial_dims("
        ):
            cdb.get_stats(table, "rim")

    def test_an_array_without_coordinates(self, cdb):
        with error_saying(GridError, "received an object of type ndarray", "expected a path, a DataArray, or several"):
            cdb.get_stats(np.zeros((18, 36)), "rim")

    @pytest.mark.parametrize("source", ["memory", "file"])
    def test_craters_that_do_not_meet_the_raster(self, da, source):
        cdb = CraterDatabase(craters(lat=[80.0, 82.0], radius=[1e4, 1e4]), "moon")
        cdb.add_circles("floor")
        part = da.sel(y=slice(0, -90)) if source == "memory" else open_mosaic(MOON).isel(y=slice(256, None))
        message = "no region of the 2 craters meets the raster; every count is 0. Check that the raster's longitudes"
        with pytest.warns(NoOverlapWarning, match=re.escape(message)):
            frame = cdb.get_stats(part, "floor", "count mean max median")
        assert frame["count_floor"].tolist() == [0, 0]
        assert frame[["mean_floor", "max_floor", "median_floor"]].isna().all(axis=None)
        with pytest.warns(NoOverlapWarning, match="meets the raster"):
            pixels = cdb.get_arrays(part, "floor")["floor"]
        assert [cell.count() for cell in pixels] == [0, 0]

    @pytest.mark.parametrize("method", ["get_stats", "get_arrays"])
    @pytest.mark.parametrize("start", ["raster", "table"])
    def test_the_overlap_warning_points_to_the_line_of_the_user(self, da, start, method):
        cdb = CraterDatabase(craters(lat=[80.0, 82.0], radius=[1e4, 1e4]), "moon")
        cdb.add_circles("floor")
        part = da.sel(y=slice(0, -90))
        owner, other = (part.craters, cdb) if start == "raster" else (cdb, part)
        with pytest.warns(NoOverlapWarning) as caught:
            getattr(owner, method)(other, "floor")
        assert [w.filename for w in caught if w.category is NoOverlapWarning] == [__file__]
