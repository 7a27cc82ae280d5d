"""Zonal statistics as users get them from the accessor: values, laziness, keys, labels and warnings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import reference as ref
from tests import strategies
from tests.helpers import raise_if_dask_computes
from tests.strategies import MOON_RADIUS_M, GridCase
from xcrater import CraterDatabase, open_mosaic, set_options, tutorial
from xcrater.errors import BodyError, GridError, NoOverlapWarning, RegionError, StatisticError, XcraterError
from xcrater.statistics import finish
from xcrater.statistics.aggregations import Aggregation

Array = NDArray[Any]

STATS = (*ref.RASTERSTATS, "percentile_0", "percentile_33.3", "percentile_90")
COUNTS = ("count", "unique", "nodata", "nan")
GLOBAL = GridCase(Affine(5, 0, -180, 0, -5, 90), (36, 72))
PARTIAL = GridCase(Affine(1, 0, 10, 0, -1, 20), (20, 30))


def table(*craters: tuple[float, float, float]) -> pd.DataFrame:
    """A table of craters at (longitude, latitude, angular radius) in degrees."""
    lon, lat, radius = np.array(craters, dtype=float).T
    return pd.DataFrame({"lat": lat, "lon": lon, "radius": np.radians(radius) * MOON_RADIUS_M})


def database(*craters: tuple[float, float, float], nvert: int | None = 32) -> CraterDatabase:
    """Craters with a disc "floor", a ring "rim" and a wide ring "ejecta" that overlaps the rim."""
    return with_regions(table(*craters), nvert=nvert)


def with_regions(frame: pd.DataFrame, *, nvert: int | None = 32) -> CraterDatabase:
    cdb = CraterDatabase(frame, "moon")
    cdb.add_circles("floor", 1.0, nvert=nvert)
    cdb.add_annuli("rim", 0.9, 1.3, nvert=nvert)
    cdb.add_annuli("ejecta", 1.0, 3.0, nvert=nvert)
    return cdb


CRATERS = (
    (12.31, 34.53, 7.07),
    (179.13, -20.17, 15.03),
    (33.27, 84.61, 9.07),
    (12.31, 34.53, 7.07),
    (-100.37, -5.17, 40.11),
)
"""In the open, across the seam, over a pole, the first one again, and one that contains the ejecta of others."""


def raster(dtype: str = "i2", seed: int = 0, case: GridCase = GLOBAL, lead: tuple[int, ...] = ()) -> Array:
    return np.random.default_rng(seed).integers(0, 50, (*lead, *case.shape)).astype(dtype)


def mask_of(case: GridCase, cdb: CraterDatabase, region: str, crater: int, coverage: ref.Coverage) -> Array:
    """The pixels of a region, according to the oracle."""
    shape = cdb.region(region)
    radius = math.degrees(cdb.rad.iloc[crater] / MOON_RADIUS_M)
    of = (cdb.lon.iloc[crater], cdb.lat.iloc[crater], shape.inner * radius, shape.outer * radius)
    if shape.nvert is None:
        mask = ref.circle_mask_center if coverage == "center" else ref.circle_mask_all_touched
        return mask(case.transform, case.shape, *of)
    return ref.polygon_mask(case.transform, case.shape, ref.polygon_region(*of, shape.nvert), coverage)


def assert_identical(actual: xr.Dataset, wanted: xr.Dataset) -> None:
    """Check that datasets are bitwise equal, including coordinates, dimensions and attributes; NaN equals NaN."""
    xr.testing.assert_identical(actual.compute(), wanted.compute())


@pytest.mark.parametrize("coverage", ["all_touched", "center"])
@pytest.mark.parametrize("nvert", [None, 32])
@pytest.mark.parametrize("chunks", [None, {"y": 10, "x": 20}])
def test_statistics_agree_with_the_pixels_under_brute_force_masks(
    coverage: ref.Coverage, nvert: int | None, chunks: Any
) -> None:
    values, cdb = raster(), database(*CRATERS, nvert=nvert)
    da = strategies.data_array(values, GLOBAL, chunks=chunks, nodata=3)
    regions = ["floor", "rim", "ejecta"]
    found = da.craters.get_stats(cdb, regions, STATS, coverage=coverage).compute()
    for region in regions:
        for i in range(len(cdb)):
            wanted = ref.statistics(values[mask_of(GLOBAL, cdb, region, i, coverage)], 3, STATS)
            actual = {name: found[name].sel(region=region).values[i] for name in STATS}
            assert actual == pytest.approx(wanted, rel=1e-13), (region, i)


@given(data=st.data(), frame=strategies.crater_tables(GLOBAL), coverage=st.sampled_from(["all_touched", "center"]))
@settings(max_examples=10)
def test_integer_statistics_do_not_depend_on_chunks_by_a_single_bit(
    data: st.DataObject, frame: pd.DataFrame, coverage: str
) -> None:
    dtypes = ("u1", "i2", "u2", "i4")
    case = data.draw(strategies.pixel_values(GLOBAL.shape, dtypes=dtypes))
    chunks = data.draw(strategies.chunkings(GLOBAL.shape))
    cdb = with_regions(frame)
    found = [
        strategies.data_array(case.values, GLOBAL, chunks=c, nodata=case.nodata).craters.get_stats(
            cdb, ["floor", "ejecta"], STATS, coverage=coverage
        )
        for c in (None, chunks)
    ]
    assert_identical(found[1], found[0])


@given(data=st.data(), frame=strategies.crater_tables(GLOBAL), dtype=st.sampled_from(["f4", "f8"]))
@settings(max_examples=10)
def test_float_statistics_depend_on_chunks_by_no_more_than_1e_12(
    data: st.DataObject, frame: pd.DataFrame, dtype: str
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    values = (100 + rng.normal(0, 20, GLOBAL.shape)).astype(dtype)
    values[rng.random(GLOBAL.shape) < data.draw(st.sampled_from([0.0, 0.1, 0.9]))] = np.nan
    chunks = data.draw(strategies.chunkings(GLOBAL.shape))
    cdb = with_regions(frame)
    whole, cut = (
        strategies.data_array(values, GLOBAL, chunks=c).craters.get_stats(cdb, ["floor", "rim"], STATS).compute()
        for c in (None, chunks)
    )
    # The spread of a few pixels is a difference of values near 100, so it loses digits.
    np.testing.assert_allclose(cut["std"], whole["std"], rtol=1e-12, atol=1e-12)
    for name in ("sum", "mean"):
        np.testing.assert_allclose(cut[name], whole[name], rtol=1e-12)
    others = [name for name in STATS if name not in ("sum", "mean", "std")]
    xr.testing.assert_identical(cut[others], whole[others])


def test_float_statistics_of_one_chunking_are_bitwise_reproducible() -> None:
    values = np.random.default_rng(1).normal(0, 1, GLOBAL.shape)
    da = strategies.data_array(values, GLOBAL, chunks={"y": 5, "x": 9})
    lazy = da.craters.get_stats(database(*CRATERS), "ejecta", STATS)
    with dask.config.set(scheduler="threads", num_workers=4):
        threads = [lazy.compute() for _ in range(3)]
    for again in threads:
        xr.testing.assert_identical(again, lazy.compute(scheduler="synchronous"))


def test_two_identical_craters_each_get_all_pixels() -> None:
    found = strategies.data_array(raster(), GLOBAL).craters.get_stats(database(*CRATERS), "ejecta", STATS)
    for name in STATS:
        np.testing.assert_array_equal(found[name][0], found[name][3], err_msg=name)
    assert found["count"][0] > 20


def test_a_crater_inside_another_takes_no_pixels_from_it() -> None:
    large, small = (10.0, 0.0, 30.0), (12.0, 3.0, 11.0)
    da = strategies.data_array(raster(), GLOBAL, chunks={"y": 7})
    both = da.craters.get_stats(database(large, small), ["floor", "rim"], STATS).compute()
    for i, crater in enumerate((large, small)):
        alone = da.craters.get_stats(database(crater), ["floor", "rim"], STATS).compute()
        for name in STATS:
            np.testing.assert_array_equal(both[name][:, i], alone[name][:, 0], err_msg=name)
        assert both["count"][0, i] > 10


@pytest.mark.parametrize("dtype", ["i2", "f8"])
@pytest.mark.parametrize("chunks", [None, {"y": 9, "x": 40}])
def test_several_regions_at_once_equal_each_region_alone(dtype: str, chunks: Any) -> None:
    da = strategies.data_array(raster(dtype), GLOBAL, chunks=chunks)
    cdb = database(*CRATERS)
    together = da.craters.get_stats(cdb, ["ejecta", "floor", "rim"], STATS)
    assert together["region"].values.tolist() == ["ejecta", "floor", "rim"]
    for region in ("floor", "rim", "ejecta"):
        alone = da.craters.get_stats(cdb, region, STATS)
        for name in STATS:
            # A wider region meets more tiles, so the tree of merges may differ.
            np.testing.assert_allclose(together[name].sel(region=region), alone[name], rtol=1e-13, err_msg=name)


def test_building_statistics_computes_nothing() -> None:
    cdb = database(*CRATERS)
    da = strategies.data_array(raster(), GLOBAL, chunks={"y": 10, "x": 20}, nodata=3)
    eager = strategies.data_array(raster(), GLOBAL, nodata=3)
    with raise_if_dask_computes():
        lazy = da.craters.get_stats(cdb, ["floor", "rim"], STATS, categorical=True, add_stats={"ptp": np.ma.ptp})
    assert all(isinstance(v.data, dask.array.Array) for v in lazy.data_vars.values())
    with raise_if_dask_computes(max_computes=1):
        found = lazy.compute()
    xr.testing.assert_identical(
        found,
        eager.craters.get_stats(cdb, ["floor", "rim"], STATS, categorical=True, add_stats={"ptp": np.ma.ptp}),
    )


def test_a_raster_in_memory_gives_numbers_at_once() -> None:
    found = strategies.data_array(raster(), GLOBAL).craters.get_stats(database(*CRATERS), "floor", STATS)
    assert all(isinstance(v.data, np.ndarray) for v in found.data_vars.values())


def tasks(da: xr.DataArray, cdb: CraterDatabase, stats: Any = "mean") -> int:
    """Number of dask tasks in addition to those of the raster."""
    return len(dict(da.craters.get_stats(cdb, "floor", stats)[stats].data.dask)) - len(dict(da.data.dask))


def test_tasks_grow_with_touched_chunks() -> None:
    case = GridCase(Affine(1, 0, -180, 0, -1, 90), (180, 360))
    da = strategies.data_array(raster(case=case), case, chunks={"y": 10, "x": 10})
    # A chunk is 10° wide, so a disc of 4° in the middle of a chunk meets that chunk only.
    few, many = ([(10 * i + 5.0, 5.0, 4.0) for i in range(n)] for n in (3, 12))
    assert tasks(da, database(*many)) - tasks(da, database(*few)) == 12 - 3
    assert tasks(da, database((0.0, 0.0, 178.0))) <= 648 * 1.2


def test_tasks_do_not_grow_with_craters() -> None:
    rng = np.random.default_rng(0)
    da = strategies.data_array(raster(), GLOBAL, chunks={"y": 12, "x": 24})
    few, many = (
        database(*zip(rng.uniform(-180, 180, n), rng.uniform(-90, 90, n), rng.uniform(1, 20, n))) for n in (200, 5000)
    )
    assert tasks(da, few) == tasks(da, many)


def test_only_touched_chunks_are_read() -> None:
    read = []

    def block(block_info: Any = None) -> Array:
        read.append(block_info[None]["chunk-location"])
        return np.ones((10, 10), "i2")

    case = GridCase(Affine(1, 0, 10, 0, -1, 20), (20, 30))
    data = dask.array.map_blocks(block, chunks=((10, 10), (10, 10, 10)), dtype="i2", meta=np.empty((0, 0), "i2"))
    da = strategies.data_array(np.zeros(case.shape), case).copy(data=data)
    assert int(da.craters.get_stats(database((15, 15, 2), (35, 5, 3)), "floor", "count")["count"].sum()) > 20
    assert sorted(read) == [(0, 0), (1, 2)]


def key(da: xr.DataArray, cdb: CraterDatabase, regions: Any = "floor", **options: Any) -> tuple[Any, Array]:
    """The dask name of a request's result, and its values."""
    found = da.craters.get_stats(cdb, regions, **{"stats": ["mean"]} | options)
    (name,) = found.data_vars
    return found[name].data.name, found[name].values


def test_the_same_request_has_the_same_key() -> None:
    da = strategies.data_array(raster(), GLOBAL, chunks={"y": 10}, nodata=3)
    base, _ = key(da, database(*CRATERS))
    assert key(da, database(*CRATERS))[0] == base
    assert key(da.copy(), database(*CRATERS), coverage="all_touched")[0] == base


def test_every_change_of_a_request_changes_its_key_and_its_answer() -> None:
    da = strategies.data_array(raster(), GLOBAL, chunks={"y": 10}, nodata=3)
    cdb = database(*CRATERS)
    one_larger, one_moved = cdb.copy(), cdb.copy()
    one_larger.data.loc[1, "_radius_m"] *= 1.5
    one_moved.data.loc[2, "_lon"] += 90
    with_scale, with_offset, elsewhere, other = (
        da.copy(),
        da.copy(),
        da,
        strategies.data_array(raster(seed=1), GLOBAL, chunks={"y": 10}, nodata=3),
    )
    with_scale.attrs["scale_factor"], with_offset.attrs["add_offset"] = 0.5, 7.0
    moved = GridCase(Affine(5, 0, -175, 0, -5, 90), GLOBAL.shape)
    elsewhere = strategies.data_array(raster(), moved, nodata=3).copy(data=da.data)
    requests = {
        "plain": key(da, cdb),
        "region": key(da, cdb, "rim"),
        "coverage": key(da, cdb, coverage="center"),
        "nodata": key(da, cdb, nodata=4),
        "statistic": key(da, cdb, stats=["median"]),
        "radius": key(da, one_larger),
        "longitude": key(da, one_moved),
        "vertices": key(da, database(*CRATERS, nvert=4)),
        "true circles": key(da, database(*CRATERS, nvert=None)),
        "fewer craters": key(da, database(*CRATERS[:4])),
        "scale": key(with_scale, cdb),
        "offset": key(with_offset, cdb),
        "pixels": key(other, cdb),
        "place": key(elsewhere, cdb),
    }
    keys = [name for name, _ in requests.values()]
    assert len(set(keys)) == len(keys)
    answers = {name: tuple(values.tolist()) for name, (_, values) in requests.items()}
    assert len(set(answers.values())) == len(answers), answers


def test_added_functions_and_percentiles_have_keys_of_their_own() -> None:
    da = strategies.data_array(raster(), GLOBAL, chunks={"y": 10})
    cdb = database(*CRATERS)
    keys = {key(da, cdb, stats=[f"percentile_{q}"])[0] for q in (10, 20)}
    keys |= {
        da.craters.get_stats(cdb, "floor", (), add_stats={"own": function})["own"].data.name
        for function in (np.ma.max, np.ma.min, lambda pixels: pixels.sum(), lambda pixels: pixels.mean())
    }
    assert len(keys) == 6


def test_variables_computed_together_or_apart_agree() -> None:
    da = strategies.data_array(raster(), GLOBAL, chunks={"y": 10})
    cdb = database(*CRATERS)
    plain, center = da.craters.get_stats(cdb, "floor"), da.craters.get_stats(cdb, "floor", coverage="center")
    together = dask.compute(plain, center)
    xr.testing.assert_identical(together[0], plain.compute())
    xr.testing.assert_identical(together[1], center.compute())


@pytest.mark.parametrize("chunks", [None, {"band": 1, "y": 20}, {"band": 2, "time": 1, "x": 50}])
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_extra_dimensions_are_kept_with_their_coordinates(chunks: Any, dtype: str) -> None:
    values = raster(dtype, lead=(2, 2))
    da = strategies.data_array(values, GLOBAL, nodata=3)
    da = da.assign_coords(band=[10, 20], time=["a", "b"], wavelength=("band", [0.4, 0.5]), mission="M3")
    da = da if chunks is None else da.chunk(chunks)
    cdb = database(*CRATERS)
    found = da.craters.get_stats(cdb, ["floor", "rim"], STATS, add_stats={"top": np.ma.max}, categorical=True)
    assert found["mean"].dims == ("band", "time", "region", "crater")
    assert found["mean"].shape == (2, 2, 2, len(CRATERS))
    assert found["band"].values.tolist() == [10, 20]
    assert found["time"].values.tolist() == ["a", "b"]
    assert found["wavelength"].dims == ("band",)
    assert found["mission"].item() == "M3"
    found = found.compute()
    for band, time in np.ndindex(2, 2):
        flat = strategies.data_array(values[band, time], GLOBAL, nodata=3)
        alone = flat.craters.get_stats(cdb, ["floor", "rim"], STATS, add_stats={"top": np.ma.max}, categorical=True)
        for name in alone.data_vars:
            image = found[name].isel(band=band, time=time).values
            if name in ("sum", "mean", "std"):
                np.testing.assert_allclose(image, alone[name], rtol=1e-13, err_msg=name)
            else:
                np.testing.assert_array_equal(image, alone[name], err_msg=name)


def test_the_order_of_dimensions_does_not_matter() -> None:
    da = strategies.data_array(raster(lead=(2,)), GLOBAL, nodata=3)
    cdb = database(*CRATERS)
    wanted = da.craters.get_stats(cdb, "rim", STATS)
    xr.testing.assert_identical(da.transpose("x", "band", "y").craters.get_stats(cdb, "rim", STATS), wanted)
    turned = da.transpose("y", "x", "band").chunk(y=5, x=30, band=1)
    assert_identical(turned.craters.get_stats(cdb, "rim", STATS), wanted)


def test_the_dataset_is_labelled_with_the_table() -> None:
    frame = table(*CRATERS)
    frame.index = pd.Index(["a", "b", "c", "d", "e"])
    cdb = with_regions(frame)
    found = strategies.data_array(raster(), GLOBAL, chunks={"y": 9}).craters.get_stats(cdb, ["rim", "floor"])
    assert list(found.data_vars) == ["mean", "count", "std"]
    assert found.sizes == {"region": 2, "crater": 5}
    assert found["crater"].values.tolist() == ["a", "b", "c", "d", "e"]
    np.testing.assert_array_equal(found["lat"], cdb.lat)
    np.testing.assert_array_equal(found["lon"], cdb.lon)
    np.testing.assert_array_equal(found["radius"], cdb.rad)
    assert found["radius"].attrs["units"] == "m"
    assert found["count"].dtype == np.int64
    assert found["mean"].dtype == np.float64
    assert found.attrs == {"body": "moon", "coverage": "all_touched"}
    center = strategies.data_array(raster(), GLOBAL).craters.get_stats(cdb, "rim", coverage="center")
    assert center.attrs["coverage"] == "center"


def test_one_region_name_drops_the_region_dimension_and_a_list_of_one_keeps_it() -> None:
    da, cdb = strategies.data_array(raster(), GLOBAL), database(*CRATERS)
    one, listed = da.craters.get_stats(cdb, "rim"), da.craters.get_stats(cdb, ["rim"])
    assert one["mean"].dims == ("crater",)
    assert one["region"].item() == "rim"
    assert listed["mean"].dims == ("region", "crater")
    xr.testing.assert_identical(listed.isel(region=0), one)


def test_statistics_take_one_string_of_names() -> None:
    da, cdb = strategies.data_array(raster(), GLOBAL), database(*CRATERS)
    wanted = da.craters.get_stats(cdb, "rim", ["median", "max"])
    xr.testing.assert_identical(da.craters.get_stats(cdb, "rim", "max median"), wanted)


@pytest.mark.parametrize("chunks", [None, {"y": 10}])
@pytest.mark.parametrize("dtype", ["bool", "u1", "f2", "f8", ">i2"])
def test_craters_outside_the_raster_warn_and_count_nothing(chunks: Any, dtype: str) -> None:
    da = strategies.data_array(np.ones(PARTIAL.shape, dtype), PARTIAL, chunks=chunks)
    cdb = database((-100.0, 5.0, 3.0), (100.0, -50.0, 3.0))
    with pytest.warns(NoOverlapWarning, match="no region of the 2 craters meets the raster"):
        found = da.craters.get_stats(cdb, ["floor", "rim"], STATS, add_stats={"size": np.ma.count}).compute()
    for name in STATS:
        assert (found[name] == 0).all() if name in ("count", "nodata", "nan") else found[name].isnull().all(), name
    assert (found["size"] == 0).all()


@pytest.mark.parametrize("chunks", [None, {"y": 10}])
def test_a_crater_outside_the_raster_counts_nothing_when_another_is_inside(chunks: Any) -> None:
    da = strategies.data_array(np.ones(PARTIAL.shape, "i2"), PARTIAL, chunks=chunks)
    found = da.craters.get_stats(database((-100.0, 5.0, 3.0), (25.0, 10.0, 3.0)), "floor", STATS).compute()
    assert found["count"].values.tolist()[0] == 0
    assert found["count"].values.tolist()[1] > 20
    assert all(np.isnan(found[name][0]) for name in STATS if name not in ("count", "nodata", "nan"))


@pytest.mark.parametrize("coverage", ["all_touched", "center"])
@pytest.mark.parametrize("lon", [10.0, 40.0, 370.0, -350.0])
def test_pixels_beyond_the_edge_of_a_raster_never_count(coverage: ref.Coverage, lon: float) -> None:
    cdb = database((lon + 0.03, 19.07, 6.11), nvert=None)
    da = strategies.data_array(np.ones(PARTIAL.shape, "i2"), PARTIAL, chunks={"y": 7, "x": 11})
    found = da.craters.get_stats(cdb, ["floor", "rim"], ["count", "nodata", "sum"], coverage=coverage).compute()
    for region in ("floor", "rim"):
        expected = mask_of(PARTIAL, cdb, region, 0, coverage).sum()
        assert found["count"].sel(region=region).item() == expected > 5
        assert found["sum"].sel(region=region).item() == expected
        assert found["nodata"].sel(region=region).item() == 0


@pytest.mark.parametrize("chunks", [None, {"y": 10, "x": 25}])
def test_added_statistics_are_functions_of_the_arrays(chunks: Any) -> None:
    functions = {
        "spread": lambda pixels: pixels.max() - pixels.min(),
        "rms": lambda pixels: np.sqrt(np.mean(np.square(pixels.compressed().astype(float)))),
        "shape": lambda pixels: pixels.shape,
    }
    da, cdb = strategies.data_array(raster(), GLOBAL, chunks=chunks, nodata=3), database(*CRATERS)
    found = da.craters.get_stats(cdb, ["floor", "ejecta"], "count", add_stats=functions).compute()
    arrays = da.craters.get_arrays(cdb, ["floor", "ejecta"]).compute()
    for region in ("floor", "ejecta"):
        for i in range(len(cdb)):
            assert found["count"].sel(region=region).values[i] == arrays[region].iloc[i].count()
            for name, function in functions.items():
                assert found[name].sel(region=region).values[i] == function(arrays[region].iloc[i]), name


@pytest.mark.parametrize("chunks", [None, {"y": 10, "x": 25}])
def test_categories_count_each_value(chunks: Any) -> None:
    values, cdb = raster("u1") % 4, database(*CRATERS)
    da = strategies.data_array(values, GLOBAL, chunks=chunks, nodata=2)
    found = da.craters.get_stats(cdb, "rim", "count", categorical=True).compute()
    for i in range(len(cdb)):
        pixels = values[mask_of(GLOBAL, cdb, "rim", i, "all_touched")]
        wanted = {value: int((pixels == value).sum()) for value in (0, 1, 3) if (pixels == value).any()}
        assert found["categorical"].values[i] == wanted


@pytest.mark.parametrize("chunks", [None, {"y": 10}])
def test_a_nodata_that_is_given_replaces_the_declared_one(chunks: Any) -> None:
    values, cdb = raster("i2"), database(*CRATERS)
    da = strategies.data_array(values, GLOBAL, chunks=chunks, nodata=3)
    declared, given = da.craters.get_stats(cdb, "rim", STATS), da.craters.get_stats(cdb, "rim", STATS, nodata=5)
    plain = strategies.data_array(values, GLOBAL, nodata=5).craters.get_stats(cdb, "rim", STATS)
    assert_identical(given, plain)
    assert not declared["sum"].equals(given["sum"])


@pytest.mark.parametrize("dtype", ["i2", "f4", "f8"])
def test_fill_value_scale_and_offset_are_read_from_attributes(dtype: str) -> None:
    values, cdb = raster(dtype), database(*CRATERS)
    da = strategies.data_array(values, GLOBAL, chunks={"y": 10})
    da.attrs |= {"_FillValue": 7, "scale_factor": -0.3, "add_offset": 1737.4}
    found = da.craters.get_stats(cdb, "rim", STATS).compute()
    assert found["nodata"].sum() > 0
    for i in range(len(cdb)):
        pixels = values[mask_of(GLOBAL, cdb, "rim", i, "all_touched")]
        assert found["nodata"].values[i] == (pixels == 7).sum()
        wanted = ref.statistics(pixels[pixels != 7].astype("f8") * -0.3 + 1737.4, None, STATS)
        actual = {name: found[name].values[i] for name in STATS}
        assert actual | {"nodata": 0} == pytest.approx(wanted, rel=1e-12)


def test_nan_declared_as_nodata_is_counted_as_nan() -> None:
    values, cdb = raster("f4"), database(*CRATERS)
    values[values == 3] = np.nan
    for nodata in (None, math.nan):
        da = strategies.data_array(values, GLOBAL, nodata=nodata)
        found = da.craters.get_stats(cdb, "ejecta", "count nodata nan")
        pixels = values[mask_of(GLOBAL, cdb, "ejecta", 0, "all_touched")]
        assert found["nan"].values[0] == np.isnan(pixels).sum() > 0
        assert found["nodata"].values[0] == 0
        assert found["count"].values[0] == pixels.size - np.isnan(pixels).sum()


@pytest.mark.parametrize("west", [False, True])
@pytest.mark.parametrize("origin", [-180.0, 0.0, 125.0])
@pytest.mark.parametrize("step", [-5, 5])
def test_statistics_depend_neither_on_origin_nor_on_the_order_of_rows_and_columns(
    step: int, origin: float, west: bool
) -> None:
    cdb = database(*CRATERS, nvert=None)
    base = strategies.data_array(raster(), GLOBAL)
    turned = base.roll(x=round((-180 - origin) / 5))
    turned = turned.assign_coords(x=origin + 2.5 + 5 * np.arange(72))
    turned = turned if step < 0 else turned.isel(y=slice(None, None, -1))
    turned = turned.isel(x=slice(None, None, -1)) if west else turned
    wanted = base.craters.get_stats(cdb, ["floor", "ejecta"], STATS)
    found = turned.craters.get_stats(cdb, ["floor", "ejecta"], STATS)
    for name in STATS:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


def test_options_are_read_when_the_request_is_made() -> None:
    da, cdb = strategies.data_array(raster(), GLOBAL, chunks={"y": 9}), database(*CRATERS)
    with set_options(coverage="center"):
        lazy = da.craters.get_stats(cdb, "rim")
    assert_identical(lazy, da.craters.get_stats(cdb, "rim", coverage="center"))
    assert not lazy["count"].equals(da.craters.get_stats(cdb, "rim")["count"])


def test_unsuitable_arguments_are_refused() -> None:
    da, cdb = strategies.data_array(raster(), GLOBAL), database(*CRATERS)
    get_stats = da.craters.get_stats
    with pytest.raises(RegionError, match="did you mean 'rim'"):
        get_stats(cdb, "rimm")
    with pytest.raises(RegionError, match="asked for twice"):
        get_stats(cdb, ["rim", "rim"])
    with pytest.raises(RegionError, match="received no region"):
        get_stats(cdb, [])
    with pytest.raises(StatisticError, match="did you mean 'median'"):
        get_stats(cdb, "rim", "medain")
    with pytest.raises(StatisticError, match="percentile_<q> with q from 0 to 100"):
        get_stats(cdb, "rim", "percentile_101")
    with pytest.raises(StatisticError, match="asked for twice"):
        get_stats(cdb, "rim", "mean mean")
    with pytest.raises(StatisticError, match="received weights='areas'"):
        get_stats(cdb, "rim", weights="areas")
    with pytest.raises(StatisticError, match="a built-in statistic"):
        get_stats(cdb, "rim", add_stats={"mean": np.mean})
    with pytest.raises(StatisticError, match="expected a function"):
        get_stats(cdb, "rim", add_stats={"own": 3})
    with pytest.raises(XcraterError, match="received coverage='touched'"):
        get_stats(cdb, "rim", coverage="touched")
    with pytest.raises(BodyError, match="not on mars"):
        get_stats(with_regions_on("mars"), "rim")
    with pytest.raises(GridError, match="dtype complex128"):
        da.astype(complex).craters.get_stats(cdb, "rim")


def with_regions_on(body: str) -> CraterDatabase:
    cdb = CraterDatabase(table(*CRATERS), body)
    cdb.add_circles("rim")
    return cdb


def test_a_declared_statistic_reduces_tile_by_tile() -> None:
    case = strategies.GridCase(Affine(2, 0, -180, 0, -2, 90), (90, 180))
    values = np.random.default_rng(3).integers(0, 5, case.shape).astype("u1")
    da = strategies.data_array(values, case, chunks=(31, 47), nodata=0)
    cdb = CraterDatabase(pd.DataFrame({"lat": [5.0, -80.0], "lon": [0.0, 179.0], "radius": [400e3, 300e3]}), "moon")
    cdb.add_annuli("ring", 0.5, 1.5)
    covered = Aggregation("any", ("sums",), lambda s: s["count"] / (s["count"] + s["nodata"]))
    missing = Aggregation("any", ("sums",), lambda s: s["nodata"] / (s["count"] + s["nodata"]))
    lazy = da.craters.get_stats(cdb, "ring", "count nodata", add_stats={"covered": covered})
    other = da.craters.get_stats(cdb, "ring", "count nodata", add_stats={"covered": missing})
    assert lazy["covered"].data.name != other["covered"].data.name
    result = lazy.compute()
    np.testing.assert_array_equal(result["covered"], result["count"] / (result["count"] + result["nodata"]))
    np.testing.assert_allclose(result["covered"] + other["covered"].compute(), 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("ppd", [1, 2, 4, 8])
@pytest.mark.parametrize("lon_origin", [-180, 0])
@pytest.mark.parametrize("south_up", [False, True])
def test_true_circles_on_global_mosaics_equal_brute_force_pixel_for_pixel(
    ppd: int, lon_origin: int, south_up: bool
) -> None:
    """Every pixel has a value of its own, so equal counts, sums and spreads mean equal sets of pixels."""
    rng = np.random.default_rng([ppd, abs(lon_origin), south_up])
    shape = (180 * ppd, 360 * ppd)
    step = 1 / ppd
    origin = -90 if south_up else 90
    case = GridCase(Affine(step, 0, lon_origin, 0, step if south_up else -step, origin), shape)
    values = rng.permutation(np.arange(shape[0] * shape[1], dtype="i4")).reshape(shape)
    rows, cols = (tuple(np.diff([0, *np.sort(rng.integers(1, n, 4)), n])) for n in shape)
    da = strategies.data_array(values, case, chunks=(rows, cols))
    edge = 170.0
    lon = [0.0, 180.0, 179.9, -120.3, 15.2, 77.7, 60.0, -33.3]
    lat = [90.0, -90.0, 12.3, 88.8, -89.9, 45.6, -7.0, 0.001]
    degrees = [3.3, edge, 20.2, 0.1 * step, 95.5, 60.6, 1.7 * step, edge - 1]
    radius = np.radians(degrees) * MOON_RADIUS_M
    cdb = CraterDatabase(pd.DataFrame({"lat": lat, "lon": lon, "radius": radius}), "moon")
    cdb.add_circles("cap", 1.0, nvert=None)
    cdb.add_annuli("ring", 0.37, 1.0, nvert=None)
    found = da.craters.get_stats(cdb, ["cap", "ring"], "count sum std", coverage="center").compute()
    x, y = ref.pixel_centres(case.transform, shape)
    for i in range(len(cdb)):
        d = ref.great_circle_distance(x, y, cdb.lon[i], cdb.lat[i])
        for name, inner in (("cap", 0.0), ("ring", 0.37)):
            assert (np.abs(d - degrees[i]) > ref.TIE).all()
            inside = values[(d <= degrees[i]) & ((d > inner * degrees[i]) | (inner == 0))].astype(float)
            one = found.sel(region=name).isel(crater=i)
            assert one["count"] == inside.size
            assert inside.size == 0 or one["sum"] == inside.sum()
            assert inside.size == 0 or float(one["std"]) == pytest.approx(inside.std(), rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("kind", ["masked", "scaled"])
def test_tiles_of_mixed_dtypes_and_blocks_of_craters_outside_the_raster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Masked tiles sum floats while scaled rasters sum the stored integers, and blocks of craters may have no sums."""
    monkeypatch.setattr(finish, "BLOCK", 64)
    craters = tutorial.synthetic_craters("moon", 60)
    dem = tutorial.synthetic_mosaic("moon", ppd=2, craters=craters, dtype="int16").isel(y=slice(0, 180))
    south = pd.DataFrame({"lat": np.full(200, -60.0), "lon": np.linspace(-170.0, 170.0, 200), "radius": 2e4})
    north = pd.DataFrame({"lat": craters.lat, "lon": craters.lon, "radius": craters.rad}).query("lat > 10")
    cdb = CraterDatabase(pd.concat([north, south, north], ignore_index=True), "moon")
    cdb.add_annuli("rim", 1, 3, nvert=None)
    mask = np.zeros(dem.shape, bool)
    mask[:90, :100] = kind == "masked"
    dem.attrs["scale_factor"] = 0.5
    if kind == "masked":
        stored = dask.array.from_array(np.ma.masked_array(dem.values, mask), (90, 180), asarray=False)
        da = dem.copy(data=stored)
    else:
        dem.rio.to_raster(tmp_path / "dem.tif", tiled=True)
        da = open_mosaic(tmp_path / "dem.tif")
        assert da.dtype.kind == "f"
    stats = ["count", "mean", "std", "min", "max", "median"]
    found = da.craters.get_stats(cdb, "rim", stats, coverage="center").compute()
    plain = dem.copy(data=np.where(mask, np.nan, 0.5 * dem.values))
    del plain.attrs["scale_factor"]
    wanted = plain.craters.get_stats(cdb, "rim", stats, coverage="center")
    for name in stats:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, err_msg=name)
    assert (found["count"][len(north) : -len(north)] == 0).all()
    assert (found["count"][: len(north)] > 0).any()
