"""Tables of statistics and arrays, as `CraterDatabase.get_stats` and `get_arrays` return them."""

from __future__ import annotations

import pickle
import re
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

import xcrater
from tests.helpers import raise_if_dask_computes
from xcrater import CraterDatabase, open_mosaic, sample_data
from xcrater.errors import ColumnExistsError, ColumnNamesWarning, GridError

TABLE = ["Diameter (km)", "Latitude", "Longitude"]
MOON, DEM = sample_data["moon.tif"], sample_data["moon_dem.tif"]


@pytest.fixture(scope="module")
def table():
    """Twenty craters that touch neither ±180° nor a pole."""
    table = pd.read_csv(sample_data["moon_craters_km.csv"])
    return table[(table["Latitude"].abs() < 50) & (table["Longitude"].abs() < 140)].iloc[:20].reset_index(drop=True)


@pytest.fixture(scope="module")
def cdb(table):
    cdb = CraterDatabase(table, "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    cdb.add_circles("floor", 0.8)
    return cdb


@pytest.fixture(scope="module")
def peer(table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        craterpy = pytest.importorskip("craterpy")
        peer = craterpy.CraterDatabase(table, "moon", units="km")
        peer.add_annuli("rim", 1, 1.5, n_jobs=1)
        peer.add_circles("floor", 0.8, n_jobs=1)
    return peer


@pytest.fixture(scope="module")
def alone(cdb):
    return cdb.get_stats(MOON, "rim")


def floats(path) -> xr.DataArray:
    """The stored numbers of a raster as floats, all of them valid."""
    image = open_mosaic(path).astype(float)
    image.attrs = {}
    return image


def columns(frame: pd.DataFrame) -> list[str]:
    assert list(frame.columns[:3]) == TABLE
    return list(frame.columns[3:])


class TestNames:
    """Names of columns."""

    def test_one_raster(self, alone):
        assert columns(alone) == ["mean_rim", "count_rim", "std_rim"]

    def test_several_regions_come_one_after_the_other(self, cdb, alone):
        frame = cdb.get_stats(MOON, ["floor", "rim"])
        assert columns(frame) == ["mean_floor", "count_floor", "std_floor", "mean_rim", "count_rim", "std_rim"]
        pd.testing.assert_frame_equal(frame[list(alone.columns)], alone)

    def test_a_list_names_rasters_by_file(self, cdb, alone):
        frame = cdb.get_stats([str(MOON), str(DEM)], "rim", "mean")
        assert columns(frame) == ["mean_moon.tif_rim", "mean_moon_dem.tif_rim"]
        assert frame["mean_moon.tif_rim"].equals(alone["mean_rim"].rename("mean_moon.tif_rim"))

    def test_a_list_numbers_rasters_that_are_not_files(self, cdb):
        with rasterio.open(DEM) as dataset:
            frame = cdb.get_stats((open_mosaic(MOON), dataset, str(MOON), DEM), "rim", "count")
        # craterpy takes only a str for a file name, so it numbers a pathlib.Path.
        assert columns(frame) == ["count_raster0_rim", "count_raster1_rim", "count_moon.tif_rim", "count_raster3_rim"]

    def test_a_dict_names_rasters(self, cdb):
        frame = cdb.get_stats({"wac": MOON, "dem": DEM}, ["rim", "floor"], "count max")
        assert columns(frame) == [
            f"{stat}_{raster}_{region}"
            for region in ("rim", "floor")
            for raster in ("wac", "dem")
            for stat in ("max", "count")
        ]

    def test_the_variables_of_a_dataset_are_rasters(self, cdb, alone):
        image = open_mosaic(MOON)
        half = (image // 2).drop_attrs(deep=False)
        frame = cdb.get_stats(xr.Dataset({"wac": image, "half": half}), "rim", "mean")
        assert columns(frame) == ["mean_wac_rim", "mean_half_rim"]
        np.testing.assert_array_equal(frame["mean_wac_rim"], alone["mean_rim"])

    def test_arrays(self, cdb):
        assert columns(cdb.get_arrays(MOON, "rim")) == ["rim"]
        assert columns(cdb.get_arrays(MOON, ["rim", "floor"])) == ["rim", "floor"]
        assert columns(cdb.get_arrays([str(MOON), str(DEM)], "rim")) == ["moon.tif_rim", "moon_dem.tif_rim"]
        assert columns(cdb.get_arrays([MOON, DEM], "rim")) == ["raster0_rim", "raster1_rim"]
        expected = ["wac_rim", "dem_rim", "wac_floor", "dem_floor"]
        assert columns(cdb.get_arrays({"wac": MOON, "dem": DEM}, ["rim", "floor"])) == expected

    def test_two_files_of_the_same_name_are_refused(self, cdb, tmp_path):
        shutil.copy(MOON, tmp_path / "moon.tif")
        message = "received two rasters named 'moon.tif'; give them names: {'a': ..., 'b': ...}"
        for method in (cdb.get_stats, cdb.get_arrays):
            with pytest.raises(GridError, match=re.escape(message)):
                method([str(MOON), str(tmp_path / "moon.tif")], "rim")

    @pytest.mark.parametrize("rasters", [[], {}], ids=["list", "dict"])
    def test_no_raster_is_refused(self, cdb, rasters):
        with pytest.raises(GridError, match="received no raster; expected a path, a DataArray, or several"):
            cdb.get_stats(rasters, "rim")

    def test_other_objects_are_refused(self, cdb):
        with pytest.raises(
            GridError, match="received an object of type int as raster; expected a path, a DataArray, or several"
        ):
            cdb.get_stats(3, "rim")


class TestNamesThatRunTogether:
    """As a column name, ``dem_slope_rim`` may come from two pairs of raster and region; neither may be lost."""

    @pytest.fixture
    def cdb(self, table):
        cdb = CraterDatabase(table, "moon", units="km")
        for name, outer in (("rim", 1.5), ("slope_rim", 2), ("_rim", 2.5), ("rim_", 3)):
            cdb.add_annuli(name, 1, outer)
        return cdb

    @pytest.mark.parametrize(
        ("rasters", "regions", "ends"),
        [
            (["dem", "dem_slope"], ["rim", "slope_rim"],
             ["_dem_rim", "_dem_slope_rim", "_dem__slope_rim", "_dem_slope_slope_rim"]),
            (["dem_slope", "dem"], ["slope_rim", "rim"],
             ["_dem_slope_slope_rim", "_dem_slope_rim", "_dem_slope__rim", "_dem_rim"]),
            (["dem"], ["rim", "_rim", "rim_"], ["_dem_rim", "_dem__rim", "_dem_rim_"]),
        ],
    )  # fmt: skip
    def test_raster_and_region(self, cdb, rasters, regions, ends):
        image = open_mosaic(MOON)
        named = {name: (image + n).drop_attrs(deep=False) for n, name in enumerate(rasters)}
        apart = {(name, region): cdb.get_stats(da, region, "mean") for region in regions for name, da in named.items()}
        with pytest.warns(ColumnNamesWarning, match="would be equal; those of the former end in ") as caught:
            frame = cdb.get_stats(named, regions, "mean count")
        assert caught[0].filename == __file__
        assert columns(frame) == [f"{stat}{end}" for end in ends for stat in ("mean", "count")]
        for end, alone in zip(ends, apart.values(), strict=True):
            np.testing.assert_array_equal(frame[f"mean{end}"], alone.iloc[:, -1])
        with pytest.warns(ColumnNamesWarning):
            assert columns(cdb.get_arrays(named, regions)) == [end.removeprefix("_") for end in ends]

    def test_regions_of_one_raster(self, cdb):
        with pytest.warns(ColumnNamesWarning):
            frame = cdb.get_stats(MOON, ["rim", "_rim"], "count")
        assert columns(frame) == ["count_rim", "count__rim"]
        assert (frame["count__rim"] > frame["count_rim"]).all()

    def test_a_statistic_and_a_raster(self, cdb):
        image = open_mosaic(MOON)
        with pytest.warns(ColumnNamesWarning):
            frame = cdb.get_stats({"dem": image, "": image}, "rim", "mean", add_stats={"mean_dem": np.ma.max})
        assert columns(frame) == ["mean_dem_rim", "mean_dem_dem_rim", "mean__rim", "mean_dem__rim"]
        np.testing.assert_array_equal(frame["mean_dem_rim"], frame["mean__rim"])

    def test_names_made_of_underscores(self, cdb):
        image, regions = open_mosaic(MOON), ["rim", "_rim", "rim_"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ColumnNamesWarning)
            frame = cdb.get_stats(
                {"_" * n + "a" + "_" * m: image for n in range(3) for m in range(3)}, regions, "count"
            )
        assert len(columns(frame)) == len(set(columns(frame))) == 27


class TestImages:
    """Rasters of several images."""

    def stacked(self, **coordinate):
        ((dim, values),) = coordinate.items()
        image = floats(MOON)
        return xr.concat([image + n for n in range(len(values))], dim).assign_coords({dim: values})

    @pytest.mark.parametrize(
        ("coordinate", "labels"),
        [
            ({"time": pd.date_range("2020", periods=2)}, ["time2020-01-01", "time2020-01-02"]),
            ({"time": pd.date_range("2020", periods=2, freq="12h")}, ["time2020-01-01", "time2020-01-01T12:00"]),
            ({"lag": pd.to_timedelta([1, 2], "D")}, ["lagP1DT0H0M0S", "lagP2DT0H0M0S"]),
            ({"band": [1, 1]}, ["band1[0]", "band1[1]"]),
            ({"wavelength": np.array([0.1, 749.9], "f4")}, ["wavelength0.1", "wavelength749.9"]),
            ({"filter": ["red", "blue"]}, ["filterred", "filterblue"]),
        ],
        ids=["days", "hours", "lags", "repeated", "float32", "text"],
    )
    def test_labels_are_readable_and_unique(self, cdb, coordinate, labels):
        stack = self.stacked(**coordinate)
        frame = cdb.get_stats(stack, "rim", "mean")
        assert columns(frame) == [f"mean_{label}_rim" for label in labels]
        for n, label in enumerate(labels):
            alone = cdb.get_stats(stack.isel({next(iter(coordinate)): n}), "rim", "mean")
            np.testing.assert_array_equal(frame[f"mean_{label}_rim"], alone["mean_rim"])

    def test_dimensions_without_coordinates_are_each_numbered(self, cdb):
        image = floats(MOON)
        both = xr.concat([xr.concat([image + 10 * a + b for b in range(2)], "b") for a in range(2)], "a")
        frame = cdb.get_stats(both, "rim", "mean")
        assert columns(frame) == [f"mean_a{a}_b{b}_rim" for a in range(2) for b in range(2)]
        alone = cdb.get_stats(both.isel(a=1, b=0), "rim", "mean")
        np.testing.assert_array_equal(frame["mean_a1_b0_rim"], alone["mean_rim"])


class TestColumnsThatExist:
    """Columns that the table already has."""

    def again(self, frame, **options):
        cdb = CraterDatabase(frame, "moon", units="km")
        cdb.add_annuli("rim", 1, 2)
        return cdb, cdb.get_stats(MOON, "rim", "mean count", **options)

    def test_a_second_run_replaces_the_results_of_the_first(self, alone):
        _, second = self.again(alone)
        assert columns(second) == ["std_rim", "mean_rim", "count_rim"]
        assert (second["count_rim"] > alone["count_rim"]).all()
        _, third = self.again(second.query("count_rim > 0"))
        pd.testing.assert_frame_equal(third, second)

    def test_parquet_records_which_columns_are_results(self, alone, tmp_path):
        alone.to_parquet(tmp_path / "first.parquet")
        assert columns(self.again(tmp_path / "first.parquet")[1]) == ["std_rim", "mean_rim", "count_rim"]

    @pytest.mark.parametrize("name", ["mean_rim", "count_rim"])
    def test_other_columns_are_not_overwritten(self, table, name):
        frame = table.assign(**{name: 7.0})
        with raise_if_dask_computes(), pytest.raises(ColumnExistsError, match=f"the column '{name}' already") as caught:
            self.again(frame)
        cdb = CraterDatabase(frame, "moon", units="km")
        cdb.add_annuli("rim", 1, 2)
        exec(re.search(r"type (cdb.data = .*?\)) to replace it", str(caught.value))[1], {"cdb": cdb})
        assert columns(cdb.get_stats(MOON, "rim", "mean count")) == ["mean_rim", "count_rim"]
        assert pickle.loads(pickle.dumps(caught.value)).columns == [name]

    def test_a_table_read_from_csv_does_not_know_which_columns_are_results(self, alone, tmp_path):
        alone.to_csv(tmp_path / "first.csv", index=False)
        with pytest.raises(ColumnExistsError, match="the columns 'mean_rim', 'count_rim' already"):
            self.again(tmp_path / "first.csv")

    def test_categories_do_not_overwrite_columns(self, table, cdb):
        with pytest.raises(ColumnExistsError, match="the column '60_rim' already"):
            self.again(table.assign(**{"60_rim": 7.0, "depth_rim": 3.0}), categorical=True)

    def test_arrays_do_not_overwrite_a_measured_rim(self, table):
        cdb = CraterDatabase(table.assign(rim=3.0), "moon", units="km")
        cdb.add_annuli("rim", 1, 2)
        with pytest.raises(ColumnExistsError, match="the column 'rim' already"):
            cdb.get_arrays(MOON, "rim")
        assert cdb.get_stats(MOON, "rim", "mean")["rim"].tolist() == [3.0] * len(table)

    def test_columns_of_the_same_name_are_all_kept(self, table):
        frame = pd.concat([table.assign(note="a"), table.assign(note="b")[["note"]]], axis=1)
        cdb = CraterDatabase(frame, "moon", units="km")
        cdb.add_annuli("rim", 1, 2)
        assert list(cdb.get_stats(MOON, "rim", "mean").columns) == [*TABLE, "note", "note", "mean_rim"]


class TestCraterpysHabits:
    """Behaviour taken over from craterpy."""

    def test_nodata_of_a_single_raster_by_its_key(self, cdb):
        ours = cdb.get_stats(MOON, "rim", "count", nodata={"_": 60})
        pd.testing.assert_frame_equal(ours, cdb.get_stats(MOON, "rim", "count", nodata=60))
        with pytest.raises(GridError, match=r"received nodata for \['moon'\]"):
            cdb.get_stats(MOON, "rim", "count", nodata={"moon": 60})

    def test_number_of_jobs_has_no_effect_on_declarations(self, table, cdb):
        other = CraterDatabase(table, "moon", units="km")
        other.add_annuli("rim", 1, 1.5, n_jobs=1)
        other.add_circles("floor", 0.8, n_jobs=-2)
        assert other == cdb

    def test_all_bodies(self, peer):
        import craterpy

        assert set(craterpy.all_bodies) <= set(xcrater.all_bodies)
        for body in craterpy.all_bodies:
            assert len(CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e3]}), body)) == 1
        with pytest.raises(AttributeError, match="module 'xcrater' has no attribute 'all_moons'"):
            _ = xcrater.all_moons


COMBINATIONS = {
    "default": (str(MOON), "rim", {}),
    "regions": (str(MOON), ["floor", "rim"], {}),
    "list": ([str(MOON), str(DEM)], ["rim", "floor"], {"stats": ["mean", "min"]}),
    "list of one": ([str(DEM)], ["rim"], {}),
    "dict": ({"b": str(DEM), "a": str(MOON)}, ["rim", "floor"], {"stats": ("std", "count")}),
    "dict of one": ({"_": str(MOON)}, "rim", {}),
    "list of paths": ([MOON, str(DEM)], ["rim", "floor"], {"stats": ["mean"]}),
    "nodata by craterpy's key": (str(MOON), "rim", {"stats": "count", "nodata": {"_": 60}}),
    "order": (str(MOON), "rim", {"stats": ["std", "nodata", "percentile_90", "max", "median", "percentile_5", "min"]}),
    "string": (str(MOON), "rim", {"stats": "median mean percentile_33.3 count"}),
    "all": (str(MOON), "rim", {"stats": "*"}),
    "ALL": (str(MOON), "floor", {"stats": "ALL"}),
    "every name": (
        str(MOON),
        "rim",
        {"stats": ["unique", "range", "minority", "majority", "sum", "nan", "nodata", "min"]},
    ),
    "nodata": ({"a": str(MOON), "b": str(DEM)}, "rim", {"stats": "count nodata", "nodata": {"a": 60}}),
    "one nodata": (str(MOON), "rim", {"stats": "count nodata", "nodata": 70}),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_statistics_have_the_columns_of_craterpy_in_its_order(cdb, peer, name):
    rasters, regions, options = COMBINATIONS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peer.get_stats(rasters, regions, n_jobs=1, **options)
    ours = cdb.get_stats(rasters, regions, n_jobs=1, **options)
    assert list(ours.columns) == list(theirs.columns)
    assert ours.index.equals(theirs.index)
    heights = ["b"] if isinstance(rasters, dict) else ["moon_dem.tif"]
    unscaled = [column for column in ours if not any(f"_{height}_" in column for height in heights)]
    for column in unscaled:
        np.testing.assert_allclose(
            ours[column].to_numpy(float), theirs[column].to_numpy(float), rtol=1e-9, err_msg=column
        )


@pytest.mark.parametrize("name", ["default", "regions", "list", "list of one", "dict", "dict of one"])
def test_arrays_have_the_columns_of_craterpy_in_its_order(cdb, peer, name):
    rasters, regions, _ = COMBINATIONS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peer.get_arrays(rasters, regions, n_jobs=1)
    ours = cdb.get_arrays(rasters, regions, n_jobs=1)
    assert list(ours.columns) == list(theirs.columns)
    assert ours.index.equals(theirs.index)
    for column in columns(ours):
        for mine, other in zip(ours[column], theirs[column], strict=True):
            assert mine.shape == other.shape
            np.testing.assert_array_equal(np.ma.getmaskarray(mine), np.ma.getmaskarray(other))


class TestRasters:
    """Kinds of rasters."""

    @pytest.mark.parametrize("kind", ["path", "str", "lazy", "eager", "chunked", "dataset"])
    def test_all_kinds_of_rasters_give_the_same_table(self, cdb, alone, kind):
        arrays = cdb.get_arrays(MOON, "rim")["rim"]
        with rasterio.open(MOON) as dataset:
            raster = {
                "path": MOON,
                "str": str(MOON),
                "lazy": open_mosaic(MOON),
                "eager": open_mosaic(MOON).compute(),
                "chunked": open_mosaic(MOON, chunks=100),
                "dataset": dataset,
            }[kind]
            pd.testing.assert_frame_equal(cdb.get_stats(raster, "rim"), alone, rtol=1e-12)
            for ours, expected in zip(cdb.get_arrays(raster, "rim")["rim"], arrays, strict=True):
                np.testing.assert_array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(expected))
                np.testing.assert_array_equal(ours.compressed(), expected.compressed())

    @pytest.mark.parametrize("n_jobs", [None, 1, 2, -1, -2])
    def test_threads_do_not_change_the_answer(self, cdb, alone, n_jobs):
        pd.testing.assert_frame_equal(cdb.get_stats(MOON, "rim", n_jobs=n_jobs), alone, check_exact=True)
        shapes = cdb.get_arrays(MOON, "rim", n_jobs=n_jobs)["rim"].map(np.shape)
        assert shapes.tolist() == cdb.get_arrays(MOON, "rim")["rim"].map(np.shape).tolist()

    def test_several_bands(self, cdb, alone):
        first = open_mosaic(MOON)
        da = xr.concat([first, first // 2], pd.Index([1, 2], name="band"))
        frame = cdb.get_stats(da, ["rim", "floor"], "mean count")
        names = {
            f"{stat}_band{band}_{region}" for stat in ("mean", "count") for band in (1, 2) for region in cdb.regions
        }
        assert set(columns(frame)) == names
        assert len(columns(frame)) == len(names)
        np.testing.assert_array_equal(frame["mean_band1_rim"], alone["mean_rim"])
        assert (frame["mean_band2_rim"] < frame["mean_band1_rim"]).all()
        named = cdb.get_stats({"wac": da}, "rim", "max")
        assert columns(named) == ["max_wac_band1_rim", "max_wac_band2_rim"]
        arrays = cdb.get_arrays(da, "rim")["rim"]
        assert arrays.iloc[0].shape[0] == 2
        np.testing.assert_array_equal(arrays.iloc[0][1].compressed(), arrays.iloc[0][0].compressed() // 2)

    def test_dimensions_without_labels_are_numbered(self, cdb):
        da = open_mosaic(MOON).expand_dims(look=2, phase=2)
        names = [f"count_look{look}_phase{phase}_rim" for look in (0, 1) for phase in (0, 1)]
        assert columns(cdb.get_stats(da, "rim", "count")) == names

    def test_a_dimension_of_length_one_has_no_name(self, cdb, alone):
        da = open_mosaic(MOON).expand_dims(band=[1])
        pd.testing.assert_frame_equal(cdb.get_stats(da, "rim"), alone)


class TestNodata:
    """Nodata of one and of several rasters."""

    def test_one_nodata_for_all_rasters(self, cdb):
        frame = cdb.get_stats({"a": MOON, "b": MOON}, "rim", "nodata", nodata=60)
        assert (frame["nodata_a_rim"] > 0).all()
        assert frame["nodata_a_rim"].tolist() == frame["nodata_b_rim"].tolist()

    def test_one_nodata_per_raster(self, cdb):
        frame = cdb.get_stats({"a": MOON, "b": MOON, "c": MOON}, "rim", "count nodata", nodata={"a": 60, "b": None})
        own = cdb.get_stats(MOON, "rim", "count nodata")
        assert (frame["nodata_a_rim"] > frame["nodata_b_rim"]).all()
        for raster in "bc":
            for stat in ("count", "nodata"):
                assert frame[f"{stat}_{raster}_rim"].tolist() == own[f"{stat}_rim"].tolist()

    def test_nodata_of_files_in_a_list(self, cdb):
        frame = cdb.get_stats([str(MOON), str(DEM)], "rim", "nodata", nodata={"moon.tif": 60})
        assert (frame["nodata_moon.tif_rim"] > 0).all()
        assert (frame["nodata_moon_dem.tif_rim"] == 0).all()
        for nodata in ({"moon.tif": 60}, {"raster0": 60}):  # a pathlib.Path may also be named by its column
            of_paths = cdb.get_stats([MOON, DEM], "rim", "nodata", nodata=nodata)
            np.testing.assert_array_equal(of_paths[["nodata_raster0_rim", "nodata_raster1_rim"]], frame.iloc[:, -2:])

    def test_nodata_for_arrays(self, cdb):
        pixels = cdb.get_arrays({"a": MOON, "b": MOON}, "rim", nodata={"a": 60}).iloc[0]
        assert 60 not in pixels["a_rim"].compressed()
        assert 60 in pixels["b_rim"].compressed()

    def test_nodata_of_an_unknown_raster_is_refused(self, cdb):
        for method in (cdb.get_stats, cdb.get_arrays):
            with pytest.raises(GridError, match=re.escape("received nodata for ['c']; the rasters are ['a', 'b']")):
                method({"a": MOON, "b": DEM}, "rim", nodata={"a": 0, "c": 0})


class TestIndex:
    """The index and columns of the crater table."""

    @pytest.mark.parametrize(
        "labels", [range(100, 120), list("abcdefghijklmnopqrst"), [7] * 20], ids=["int", "str", "same"]
    )
    def test_the_index_of_the_table_is_kept(self, table, alone, labels):
        cdb = CraterDatabase(table.set_axis(pd.Index(labels, name="id")), "moon", units="km")
        cdb.add_annuli("rim", 1, 1.5)
        for frame in (cdb.get_stats([MOON, DEM], "rim"), cdb.get_arrays(MOON, "rim")):
            assert frame.index.tolist() == list(labels)
            assert frame.index.name == "id"
        np.testing.assert_array_equal(cdb.get_stats(MOON, "rim")["mean_rim"], alone["mean_rim"])

    def test_columns_of_the_table_come_first_and_unchanged(self, table):
        table = table.assign(name=[f"crater {i}" for i in range(20)])[["name", *TABLE]]
        cdb = CraterDatabase(table, "moon", units="km")
        cdb.add_circles("floor")
        frame = cdb.get_stats(MOON, "floor", "count")
        pd.testing.assert_frame_equal(frame[table.columns], table)
        assert list(frame.columns) == ["name", *TABLE, "count_floor"]


class TestColumns:
    """Kinds of columns."""

    def test_dtypes_of_columns(self, cdb):
        frame = cdb.get_stats(MOON, "rim", "*")
        integers = {"count_rim", "nodata_rim", "nan_rim", "unique_rim"}
        assert {column for column in columns(frame) if frame[column].dtype == np.int64} == integers
        assert all(frame[column].dtype == np.float64 for column in columns(frame) if column not in integers)

    def test_columns_of_categories(self, cdb, alone):
        frame = cdb.get_stats(open_mosaic(MOON) // 64, "rim", "count", nodata=-1, categorical=True)
        assert columns(frame) == ["count_rim", "0_rim", "1_rim", "2_rim", "3_rim"]
        assert frame["count_rim"].tolist() == frame[["0_rim", "1_rim", "2_rim", "3_rim"]].sum(axis=1).tolist()
        pixels = cdb.get_arrays(open_mosaic(MOON) // 64, "rim", nodata=-1)["rim"]
        assert frame["1_rim"].tolist() == [int((a == 1).sum()) for a in pixels]

    def test_user_supplied_statistics(self, cdb):
        added = {"bright": lambda pixels: int((pixels > 100).sum()), "low": lambda pixels: float(pixels.min())}
        frame = cdb.get_stats({"wac": MOON}, ["rim", "floor"], "min", add_stats=added)
        assert columns(frame) == [
            f"{stat}_wac_{region}" for region in ("rim", "floor") for stat in ("min", "bright", "low")
        ]
        np.testing.assert_array_equal(frame["low_wac_rim"], frame["min_wac_rim"])
        assert frame["bright_wac_rim"].dtype == np.int64
        assert frame["low_wac_rim"].dtype == np.float64

    def test_user_supplied_statistics_alone(self, cdb):
        frame = cdb.get_stats(MOON, "rim", [], add_stats={"size": np.size})
        assert columns(frame) == ["size_rim"]
        assert frame["size_rim"].iloc[0] == cdb.get_arrays(MOON, "rim")["rim"].iloc[0].size

    def test_without_statistics_the_defaults_of_rasterstats_apply(self, cdb):
        assert columns(cdb.get_stats(MOON, "rim", [])) == ["min_rim", "max_rim", "mean_rim", "count_rim"]
