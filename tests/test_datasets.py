"""The accessor of a Dataset gives for each raster what the raster's own accessor gives, in labelled results."""

from __future__ import annotations

import dask.array
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

from tests.helpers import raise_if_dask_computes
from xcrater import CraterDatabase, tutorial
from xcrater.errors import GridError, StatisticError

TABLE = pd.DataFrame({"lat": [10.0, -88.0, 40.0], "lon": [20.0, 50.0, 179.9], "radius": [150e3, 180e3, 120e3]})


@pytest.fixture
def cdb():
    cdb = CraterDatabase(TABLE, "moon")
    cdb.add_annuli("rim", 1, 1.5)
    cdb.add_circles("floor", 0.8)
    return cdb


@pytest.fixture
def ds(cdb):
    dem = tutorial.synthetic_mosaic("moon", ppd=2, craters=cdb).assign_attrs(units="m", long_name="elevation")
    raster = xr.Dataset({"dem": dem, "high": (dem > 0).drop_attrs(), "times": ("time", [1, 2])})
    return raster.reset_coords("spatial_ref")  # dtypes as in files


def test_statistics_equal_those_of_each_variable(ds, cdb):
    lazy = ds.chunk({"y": 100})
    with raise_if_dask_computes():
        found = lazy.craters.get_stats(cdb, ["rim", "floor"], "mean,std")
    assert list(found.data_vars) == ["mean_dem", "std_dem", "mean_high", "std_high"]
    for name in ("dem", "high"):
        alone = lazy.set_coords("spatial_ref")[name].craters.get_stats(cdb, ["rim", "floor"], "mean std")
        for stat in ("mean", "std"):
            xr.testing.assert_identical(found[f"{stat}_{name}"].rename(stat).compute(), alone[stat].compute())


def test_other_operations_equal_those_of_each_variable(ds, cdb):
    assert list(ds.craters.depths(cdb)["depth_dem"].dims) == ["crater"]
    assert ds.craters.radial_profile(cdb, 4, "count")["count_high"].sizes == {"crater": 3, "r": 4}
    assert list(ds.craters.chips(cdb, 8, extent=2.0).data_vars) == ["dem", "high"]
    assert list(ds.craters.map(cdb, "rim", np.size).data_vars) == ["dem", "high"]
    assert set(ds.craters.get_arrays(cdb, "rim")) == {"dem", "high"}
    assert ds.craters.mask(cdb, "rim").dtype == bool


def test_datasets_without_rasters_are_refused(ds, cdb):
    with pytest.raises(GridError, match="without rasters: its variables are times"):
        ds[["times"]].craters.get_stats(cdb, "rim")
    twice = ds.rename(high="2_dem").assign(dem_2=ds.dem).drop_vars("dem").rename(dem_2="dem")
    clash = {"mean_2": np.ma.mean}
    with pytest.raises(GridError, match=r"rename one: ds.rename\(\{'dem': 'other'\}\)") as caught:
        twice.craters.get_stats(cdb, "rim", "mean", add_stats=clash)
    assert "mean_2_dem" in str(caught.value)
    assert twice.rename({"dem": "other"}).craters.get_stats(cdb, "rim", "mean", add_stats=clash).sizes["crater"] == 3


class TestStatistics:
    """Functions among the names of statistics."""

    def test_a_function_is_a_statistic_under_its_name(self, ds, cdb):
        dem = ds.set_coords("spatial_ref").dem
        found = dem.craters.get_stats(cdb, "rim", ["range", np.ma.ptp])
        np.testing.assert_allclose(found["ptp"].astype(float), found["range"], rtol=1e-6)  # computed in float32
        assert list(dem.craters.get_stats(cdb, "rim", np.ma.ptp).data_vars) == ["ptp"]
        np.testing.assert_array_equal(cdb.get_stats(dem, "rim", np.ma.ptp)["ptp_rim"], found["ptp"].astype(float))
        assert list(cdb.get_stats(dem, "rim", "mean,std").columns[-2:]) == ["mean_rim", "std_rim"]
        profile = dem.craters.radial_profile(cdb, 3, np.ma.ptp, stack=True)
        assert profile["ptp"].dtype == float

    @pytest.mark.parametrize("given", [lambda pixels: 1, [np.ma.ptp, np.ma.ptp], np.ma.median])
    def test_functions_without_a_name_must_be_named(self, ds, cdb, given):
        dem = ds.set_coords("spatial_ref").dem
        with pytest.raises(StatisticError, match=r"add_stats=\{'spread': function\}"):
            dem.craters.get_stats(cdb, "rim", given)
        assert "spread" in dem.craters.get_stats(cdb, "rim", (), add_stats={"spread": lambda pixels: 1})

    @pytest.mark.parametrize("given", [5, [5]])
    def test_other_objects_are_refused_as_statistics(self, ds, cdb, given):
        with pytest.raises(StatisticError, match="received"):
            ds.set_coords("spatial_ref").dem.craters.get_stats(cdb, "rim", given)


def results(dem: xr.DataArray, cdb: CraterDatabase) -> dict[str, xr.Dataset]:
    accessor = dem.craters
    stats = "mean sum var count frac_7 percentile_90 cv area unique coverage"
    arrays = accessor.get_arrays(cdb, ["rim", "floor"], coverage="exact")
    return {
        "stats": accessor.get_stats(cdb, ["rim", "floor"], stats),
        "profile": accessor.radial_profile(cdb, 4, "mean count", sectors=2),
        "stacked": accessor.radial_profile(cdb, 4, "mean count", stack=True),
        "pooled": accessor.radial_profile(cdb, 4, "mean var", stack="pixels"),
        "depths": accessor.depths(cdb, background=(2, 2.5)),
        "planes": accessor.depths(cdb, detrend="plane"),
        "map": accessor.map(cdb, ["rim"], lambda x: {"a": 1}, returns={"a": None}),
        "chips": accessor.chips(cdb, 8).to_dataset(name="dem"),
        "mask": accessor.mask(cdb, "rim", kind="count").to_dataset(name="mask"),
        "pixels": arrays.to_dataset(0),
    }


def test_every_variable_of_every_result_has_a_description_and_units(ds, cdb):
    dem = ds.set_coords("spatial_ref").dem
    for name, result in results(dem, cdb).items():
        for key, variable in result.variables.items():
            if key == "spatial_ref" or (name == "mask" and key in ("y", "x")):  # those of the raster
                continue
            assert variable.attrs.get("long_name"), (name, key)
            if variable.dtype.kind in "iuf" and key not in ("crater", "a"):
                assert variable.attrs.get("units"), (name, key)
        for key in ("lon", "lat"):
            if key in result.coords:
                assert result[key].attrs["standard_name"] == {"lon": "longitude", "lat": "latitude"}[key]
    stats = dem.craters.get_stats(cdb, "rim", "mean var sum", weights="area")
    assert stats["mean"].attrs == {"long_name": "mean of elevation", "units": "m"}
    assert [stats[name].attrs["units"] for name in ("var", "sum")] == ["m2", "m m2"]
    unknown = dem.drop_attrs(deep=False).craters.get_stats(cdb, "rim", "mean count")
    assert "units" not in unknown["mean"].attrs
    assert unknown["count"].attrs["units"] == "1"


def test_results_are_tidy_tables(ds, cdb):
    dem = ds.set_coords("spatial_ref").dem.craters
    found = {
        "stats": dem.get_stats(cdb, ["rim", "floor"], "mean count"),
        "depths": dem.depths(cdb, coverage="center"),
        "profile": dem.radial_profile(cdb, 4, "mean", sectors=2),
    }
    stats = found["stats"].to_dataframe()
    assert stats.index.names == ["region", "crater"]
    assert len(stats) == 6
    assert {"lat", "lon", "radius", "mean"} <= set(stats.columns)
    assert found["depths"].to_dataframe().index.names == ["crater"]
    assert len(found["profile"].to_dataframe()) == 3 * 4 * 2
    for name in ("stats", "depths", "profile"):
        assert not (found[name].to_dataframe().dtypes == "object").any()
        assert "spatial_ref" not in found[name].to_dataframe()


def test_plots_of_results_show_their_names(ds, cdb):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    profile = ds.set_coords("spatial_ref").dem.craters.radial_profile(cdb, 4, "mean", stack=True)
    (line,) = profile["mean"].plot()
    assert line.axes.get_ylabel() == "mean of elevation [m]"
    assert line.axes.get_xlabel().split() == ["distance", "from", "the", "crater's", "centre", "[crater", "radii]"]
    pyplot.close("all")


class TestPixelsOfSeveralRegions:
    """The pixels of several regions of one crater in one dataset."""

    def test_each_region_equals_that_region_alone_at_its_own_coordinates(self, ds, cdb):
        dem = ds.set_coords("spatial_ref").dem.chunk({"y": 90, "x": 200})
        with raise_if_dask_computes():
            arrays = dem.craters.get_arrays(cdb, ["floor", "rim"], coverage="exact")
            lazy = [arrays.to_dataset(i) for i in range(3)]
        assert isinstance(lazy[0].data.data, dask.array.Array)
        for i, both in enumerate(lazy):
            both = both.compute()
            assert both.data.dims == ("region", "y", "x")
            assert both.region.values.tolist() == ["floor", "rim"]
            for region in both.region.values:
                alone, part = arrays.to_dataset(i, region).compute(), both.sel(region=region)
                assert int(part.mask.sum()) == int(alone.mask.sum())
                for name in ("data", "coverage", "distance"):
                    pixels = [d[name].where(d.mask).values[d.mask.values] for d in (part, alone)]
                    np.testing.assert_array_equal(np.sort(pixels[0]), np.sort(pixels[1]))
            wide = arrays.to_dataset(i, "rim").compute()
            xr.testing.assert_equal(both.sel(region="rim").drop_vars("region"), wide.drop_vars("region"))

    def test_regions_in_another_turn_of_longitude(self, ds):
        cdb = CraterDatabase(TABLE.iloc[[2]], "moon")
        cdb.add_polygons("west", [shapely.box(176, 36, 179, 44)])
        cdb.add_polygons("east", [shapely.box(-179, 36, -176, 44)])
        dem = ds.set_coords("spatial_ref").dem
        both = dem.craters.get_arrays(cdb, ["west", "east"], coverage="center").to_dataset(2)
        assert both.x.size == 16
        np.testing.assert_allclose(np.diff(both.x), 0.5)
        assert both.mask.sum(["y", "x"]).values.tolist() == [6 * 16, 6 * 16]
        left = both.mask.any(["region", "y"]).values
        assert left.tolist() == [True] * 6 + [False] * 4 + [True] * 6
