"""`get_arrays` returns the pixels of each crater as lazy masked arrays, in a container that is indexed like a table."""

from __future__ import annotations

import math
import pickle
import warnings
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
from xcrater import CraterDatabase
from xcrater.engine.rounds import AHEAD
from xcrater.errors import GridError, NoOverlapWarning, RegionError
from xcrater.pixels.container import CraterArrays

Array = NDArray[Any]

GLOBAL = GridCase(Affine(5, 0, -180, 0, -5, 90), (36, 72))
EAST = GridCase(Affine(5, 0, 0, 0, -5, 90), (36, 72))
SOUTH_UP = GridCase(Affine(5, 0, -180, 0, 5, -90), (36, 72))
PARTIAL = GridCase(Affine(1, 0, 10, 0, -1, 20), (20, 30))
CHUNKS: tuple[Any, ...] = (None, {"y": 10, "x": 25})

IN_THE_OPEN, ON_THE_SEAM, OVER_A_POLE, SMALL = (
    (12.31, 34.53, 17.07),
    (179.13, -20.17, 15.03),
    (33.27, 84.61, 9.07),
    (-60.37, 1.19, 0.41),
)
CRATERS = (IN_THE_OPEN, ON_THE_SEAM, OVER_A_POLE, SMALL)


def database(*craters: tuple[float, float, float], nvert: int | None = 32) -> CraterDatabase:
    """Craters at (longitude, latitude, angular radius) in degrees, with a disc "floor" and a ring "rim"."""
    lon, lat, radius = np.array(craters, dtype=float).T
    return with_regions(pd.DataFrame({"lat": lat, "lon": lon, "radius": np.radians(radius) * MOON_RADIUS_M}), nvert)


def with_regions(frame: pd.DataFrame, nvert: int | None = 32) -> CraterDatabase:
    cdb = CraterDatabase(frame, "moon")
    cdb.add_circles("floor", 1.0, nvert=nvert)
    cdb.add_annuli("rim", 0.7, 1.4, nvert=nvert)
    return cdb


def numbered(case: GridCase, dtype: str = "i4", lead: tuple[int, ...] = ()) -> Array:
    """A raster in which each value identifies its pixel: row * columns + column."""
    shape = (*lead, *case.shape)
    return np.arange(math.prod(shape)).reshape(shape).astype(dtype)


def polygon(cdb: CraterDatabase, region: str, crater: int) -> Any:
    of = cdb.region(region)
    radius = math.degrees(cdb.rad.iloc[crater] / MOON_RADIUS_M)
    return ref.polygon_region(
        cdb.lon.iloc[crater], cdb.lat.iloc[crater], of.inner * radius, of.outer * radius, of.nvert
    )


def assert_same(actual: Any, wanted: Any) -> None:
    """Check that masked arrays agree in dtype, mask, unmasked values and fill value."""
    assert isinstance(actual, np.ma.MaskedArray)
    assert isinstance(wanted, np.ma.MaskedArray)
    assert actual.dtype == wanted.dtype
    np.testing.assert_array_equal(np.ma.getmaskarray(actual), np.ma.getmaskarray(wanted))
    np.testing.assert_array_equal(actual.compressed(), wanted.compressed())
    np.testing.assert_array_equal(actual.fill_value, wanted.fill_value)


@pytest.mark.slow
@given(data=st.data(), case=strategies.grids(max_pixels=1500), coverage=st.sampled_from(["all_touched", "center"]))
@settings(max_examples=12)
def test_lazy_elements_equal_eager_arrays_for_any_chunks(data: st.DataObject, case: GridCase, coverage: str) -> None:
    cdb = with_regions(data.draw(strategies.crater_tables(case, max_size=3)), data.draw(st.sampled_from([None, 32])))
    pixels = data.draw(strategies.pixel_values(case.shape))
    chunks = data.draw(strategies.chunkings(case.shape))
    whole, cut = (strategies.data_array(pixels.values, case, chunks=c, nodata=pixels.nodata) for c in (None, chunks))
    with warnings.catch_warnings(category=NoOverlapWarning, action="ignore"):
        eager = whole.craters.get_arrays(cdb, ["floor", "rim"], coverage=coverage).compute()
        lazy = cut.craters.get_arrays(cdb, ["floor", "rim"], coverage=coverage)
        stats = cut.craters.get_stats(cdb, ["floor", "rim"], "count", coverage=coverage).compute()
    at_once = lazy.compute()
    for region in ("floor", "rim"):
        for i, element in enumerate(lazy[region]):
            found = element.compute()
            assert found.shape == element.shape
            assert_same(found, eager[region].iloc[i])
            assert_same(at_once[region].iloc[i], found)
            assert found.count() == stats["count"].sel(region=region).values[i]


@pytest.mark.parametrize("coverage", ["all_touched", "center"])
@pytest.mark.parametrize("case", [GLOBAL, EAST, SOUTH_UP], ids=["-180", "0", "south-up"])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_masks_agree_with_the_oracle_and_data_with_the_raster(
    coverage: ref.Coverage, case: GridCase, chunks: Any
) -> None:
    values, cdb = numbered(case), database(*CRATERS)
    arrays = strategies.data_array(values, case, chunks=chunks).craters.get_arrays(
        cdb, ["floor", "rim"], coverage=coverage
    )
    for region in arrays:
        for i, element in enumerate(arrays[region]):
            mask = ref.polygon_mask(case.transform, case.shape, polygon(cdb, region, i), coverage)
            # Every value identifies its pixel, so equal sets of values mean equal masks.
            found = element.compute()
            assert sorted(found.compressed().tolist()) == values[mask].tolist()
            rows, cols = np.divmod(found.data, case.shape[1])
            assert (rows == rows[:, :1]).all()
            assert (np.diff(rows[:, 0]) == 1).all()
            assert (cols == cols[0]).all()
            assert (np.diff(cols[0]) % case.shape[1] == 1).all()


@pytest.mark.parametrize("chunks", CHUNKS)
def test_elements_are_dask_arrays_of_masked_arrays(chunks: Any) -> None:
    arrays = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL, chunks=chunks, nodata=-7).craters.get_arrays(
        database(*CRATERS), "floor"
    )
    assert isinstance(arrays, CraterArrays)
    for element in arrays["floor"]:
        assert isinstance(element, dask.array.Array)
        assert isinstance(element._meta, np.ma.MaskedArray)
        assert element.dtype == element._meta.dtype == np.int16
        assert element._meta.fill_value == -7
        assert element.npartitions == 1
        block = element.compute()
        assert isinstance(block, np.ma.MaskedArray)
        assert (element + 1).max().compute() == block.max() + 1
        assert_same(dask.array.ma.masked_greater(element, 5).compute(), np.ma.masked_greater(block, 5))


def test_building_arrays_computes_nothing_and_one_compute_reads_each_chunk_once() -> None:
    read = []

    def block(block_info: Any = None) -> Array:
        read.append(block_info[None]["chunk-location"])
        return np.ones((9, 18), "i2")

    data = dask.array.map_blocks(block, chunks=((9,) * 4, (18,) * 4), dtype="i2", meta=np.empty((0, 0), "i2"))
    da = strategies.data_array(numbered(GLOBAL), GLOBAL).copy(data=data)
    with raise_if_dask_computes():
        arrays = da.craters.get_arrays(database(*CRATERS), ["floor", "rim"])
        small = arrays["floor"].iloc[3]
        sums = arrays["floor"].map(np.ma.sum)
        list(arrays["rim"])
    small.compute()
    assert read == [(1, 1)]
    with raise_if_dask_computes(max_computes=1):
        arrays.compute()
    assert len(read[1:]) == len(set(read[1:])) == len(arrays._source.plan)
    del read[:]
    sums.compute()
    assert len(read) == len(set(read)) > 4


@pytest.mark.parametrize("region", ["floor", "rim"])
@pytest.mark.parametrize("case", [GLOBAL, EAST, SOUTH_UP, PARTIAL], ids=["-180", "0", "south-up", "partial"])
def test_windows_are_the_rounded_out_bounds_of_the_polygons(case: GridCase, region: str) -> None:
    cdb = database((23.3, 11.7, 4.1), (31.9, 3.3, 0.13), (25.0, 12.0, 3.7), (39.8, 0.43, 2.6))
    arrays = strategies.data_array(numbered(case), case).craters.get_arrays(cdb, region)
    for i, element in enumerate(arrays[region]):
        rows, cols = ref.window(case.transform, polygon(cdb, region, i).bounds)
        assert element.shape == (rows[1] - rows[0], cols[1] - cols[0])
        found = element.compute()
        places = np.argwhere(~found.mask)
        numbers = (places[:, 0] + rows[0]) * case.shape[1] + places[:, 1] + cols[0]
        assert found.compressed().tolist() == numbers.tolist()


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize(("case", "lon"), [(GLOBAL, 179.13), (GLOBAL, -177.9), (EAST, 0.7), (EAST, -1.3)], ids=str)
def test_columns_continue_across_the_seam(case: GridCase, lon: float, chunks: Any) -> None:
    da = strategies.data_array(numbered(case), case, chunks=chunks)
    cdb = database((lon, 7.3, 14.2))
    (element,) = da.craters.get_arrays(cdb, "floor")["floor"]
    cols = element.compute().data[0] % 72
    (_, wanted) = ref.window(case.transform, polygon(cdb, "floor", 0).bounds)
    assert wanted[0] % 72 > wanted[1] % 72 > 0
    assert cols.tolist() == [col % 72 for col in range(*wanted)]


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("nvert", [None, 32])
@pytest.mark.parametrize("lat", [86.3, -86.3, 90.0])
def test_over_a_pole_each_column_occurs_once(lat: float, nvert: int | None, chunks: Any) -> None:
    da = strategies.data_array(numbered(EAST), EAST, chunks=chunks)
    (element,) = da.craters.get_arrays(database((179.0, lat, 8.2), nvert=nvert), "floor")["floor"]
    found = element.compute()
    assert found.data[0].tolist() == list(range(found.data[0, 0], found.data[0, 0] + 72))
    assert not found.mask[0 if lat > 0 else -1].any()
    assert found.count() == len(set(found.compressed().tolist()))


@pytest.mark.parametrize("columns", [1000, 999])
def test_columns_keep_their_order_when_a_turn_is_not_a_whole_number_of_columns(columns: int) -> None:
    step = 360 / (columns + 0.37)
    case = GridCase(Affine(step, 0, -180, 0, -9, 90), (20, columns))
    da = strategies.data_array(numbered(case), case, chunks={"x": 300})
    cdb = database(*((lon, -3.0, 5.2) for lon in (179.9, -179.8, 175.1, -174.9, 3.0)))
    counts = da.craters.get_stats(cdb, "floor", "count", coverage="center")["count"].values
    for element, count in zip(da.craters.get_arrays(cdb, "floor", coverage="center")["floor"], counts):
        found = element.compute()
        assert (np.diff(found.data[0] % columns) % columns == 1).all()
        assert found.count() == count
        assert found.shape[1] in (29, 30)


@pytest.mark.parametrize("chunks", [None, {"y": 7, "x": 11}])
def test_arrays_extend_beyond_a_partial_raster_with_masked_pixels(chunks: Any) -> None:
    da = strategies.data_array(numbered(PARTIAL), PARTIAL, chunks=chunks, nodata=-1)
    cdb = database((10.3, 19.2, 4.1), (39.6, 0.7, 4.1), (369.1, 10.2, 4.1), (25.0, 40.0, 3.1))
    arrays = da.craters.get_arrays(cdb, "floor")["floor"]
    for i, element in enumerate(arrays):
        rows, cols = ref.window(PARTIAL.transform, polygon(cdb, "floor", i).bounds)
        found = element.compute()
        assert found.shape == (rows[1] - rows[0], cols[1] - cols[0])
        row, col = np.indices(found.shape)
        row, col = row + rows[0], col + cols[0]
        outside = (row < 0) | (row >= 20) | (col < 0) | (col >= 30)
        assert outside.any()
        assert found.mask[outside].all()
        assert (found.data[outside] == -1).all()
        inside = ~outside & ~found.mask
        np.testing.assert_array_equal(found.data[inside], (row * 30 + col)[inside])
    assert arrays.iloc[3].compute().count() == 0


@pytest.mark.parametrize("dtype", ["bool", "u1", "i2", "f4", "f8"])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_craters_outside_the_raster_give_fully_masked_arrays(dtype: str, chunks: Any) -> None:
    da = strategies.data_array(np.ones(PARTIAL.shape, dtype), PARTIAL, chunks=chunks)
    with pytest.warns(NoOverlapWarning):
        arrays = da.craters.get_arrays(database((-100.3, 5.2, 2.1)), "floor")
    found = arrays.compute()["floor"].iloc[0]
    assert found.mask.all()
    assert found.dtype == dtype
    assert_same(arrays["floor"].iloc[0].compute(), found)


@pytest.mark.parametrize(("dtype", "nodata"), [("u1", 255), ("i2", -32768), ("f4", -9999.0), ("f8", 7.0), ("bool", 0)])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_nodata_is_masked_and_is_the_fill_value(dtype: str, nodata: float, chunks: Any) -> None:
    values = np.ones(GLOBAL.shape, dtype)
    values[::2] = nodata
    da = strategies.data_array(values, GLOBAL, chunks=chunks, nodata=nodata)
    found = da.craters.get_arrays(database(IN_THE_OPEN), "floor")["floor"].iloc[0].compute()
    assert found.dtype == dtype
    assert found.fill_value == nodata
    assert 0 < found.count() < found.size / 2
    assert (found.compressed() == 1).all()


def test_without_nodata_the_fill_value_is_the_numpy_default() -> None:
    for dtype in ("u1", "f4"):
        da = strategies.data_array(numbered(GLOBAL, dtype), GLOBAL)
        found = da.craters.get_arrays(database(IN_THE_OPEN), "floor").compute()["floor"].iloc[0]
        assert found.fill_value == np.ma.masked_array(np.empty(0, dtype)).fill_value


def test_a_given_nodata_replaces_the_declared_one() -> None:
    values = np.tile(np.arange(4, dtype="i2"), (36, 18))
    da = strategies.data_array(values, GLOBAL, chunks={"y": 9}, nodata=1)
    found = da.craters.get_arrays(database(IN_THE_OPEN), "floor", nodata=2)["floor"].iloc[0].compute()
    assert set(found.compressed().tolist()) == {0, 1, 3}
    assert found.fill_value == 2


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_nan_is_masked(dtype: str, chunks: Any) -> None:
    values = numbered(GLOBAL, dtype)
    values[:, ::3] = np.nan
    da = strategies.data_array(values, GLOBAL, chunks=chunks)
    found = da.craters.get_arrays(database(IN_THE_OPEN), "floor")["floor"].iloc[0].compute()
    assert found.count() > 5
    assert not np.isnan(found.compressed()).any()


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_scale_and_offset_make_float64_values(dtype: str, chunks: Any) -> None:
    values, cdb = (numbered(GLOBAL) % 100).astype(dtype), database(*CRATERS)
    da = strategies.data_array(values, GLOBAL, chunks=chunks)
    stored = da.craters.get_arrays(cdb, "floor", nodata=50).compute()["floor"]
    da.attrs |= {"_FillValue": 50, "scale_factor": 0.1, "add_offset": -1737.4}
    arrays = da.craters.get_arrays(cdb, "floor")
    assert arrays.dtype == np.float64
    for element, raw in zip(arrays["floor"], stored):
        found = element.compute()
        assert element.dtype == found.dtype == np.float64
        np.testing.assert_array_equal(found.mask, raw.mask)
        np.testing.assert_array_equal(found.compressed(), raw.compressed().astype("f8") * 0.1 - 1737.4)


@pytest.mark.parametrize("nodata", [-99999, 2.5])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_nodata_value_that_the_dtype_cannot_hold_masks_nothing(nodata: float, scale: float) -> None:
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL)
    da.attrs |= {"scale_factor": scale}
    plain = da.craters.get_arrays(database(IN_THE_OPEN), "floor").compute()["floor"].iloc[0]
    found = da.craters.get_arrays(database(IN_THE_OPEN), "floor", nodata=nodata).compute()["floor"].iloc[0]
    assert_same(found, plain)


@pytest.mark.parametrize("chunks", [None, {"y": 10, "x": 25}, {"band": 1, "time": 2, "y": 10}])
def test_extra_dimensions_come_first(chunks: Any) -> None:
    values, cdb = numbered(GLOBAL, lead=(2, 2)), database(*CRATERS)
    da = strategies.data_array(values, GLOBAL, chunks=chunks, nodata=8)
    arrays = da.craters.get_arrays(cdb, ["floor", "rim"])
    at_once = arrays.compute()
    for band, time in np.ndindex(2, 2):
        alone = strategies.data_array(values[band, time], GLOBAL, nodata=8).craters.get_arrays(cdb, ["floor", "rim"])
        for region, wanted in alone.compute().items():
            for i in range(len(cdb)):
                element = arrays[region].iloc[i]
                assert element.shape == (2, 2, *wanted.iloc[i].shape)
                assert_same(element.compute()[band, time], wanted.iloc[i])
                assert_same(at_once[region].iloc[i][band, time], wanted.iloc[i])


def labelled() -> tuple[CraterDatabase, CraterArrays]:
    cdb = database(*CRATERS)
    cdb.data.index = pd.Index(["open", "seam", "pole", "small"], name="crater")
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks={"y": 10})
    return cdb, da.craters.get_arrays(cdb, ["floor", "rim"])


def test_the_container_is_a_sequence_of_regions() -> None:
    _, arrays = labelled()
    assert list(arrays) == arrays.regions == ["floor", "rim"]
    assert len(arrays) == 2
    assert "rim" in arrays
    assert "ejecta" not in arrays
    assert repr(arrays).startswith("CraterArrays of 4 craters with regions floor, rim: lazy masked arrays of int32")
    with pytest.raises(RegionError, match="received the region 'ejecta'; these arrays have 'floor', 'rim'"):
        arrays["ejecta"]


def test_a_region_is_looked_up_by_position_label_and_slice() -> None:
    _, arrays = labelled()
    rim = arrays["rim"]
    keys = [element.name for element in rim]
    assert len(rim) == len(set(keys)) == 4
    assert rim.name == "rim"
    assert repr(rim) == "4 lazy masked arrays of region 'rim', dtype int32"
    assert [rim.iloc[i].name for i in range(4)] == keys
    assert rim.iloc[-1].name == keys[3]
    assert [element.name for element in rim.iloc[1:3]] == keys[1:3]
    assert [rim.loc[label].name for label in ("open", "seam", "pole", "small")] == keys
    assert rim["pole"].name == keys[2]
    assert list(rim.index) == ["open", "seam", "pole", "small"]
    assert arrays["floor"].iloc[0].name != keys[0]


def test_failed_and_ambiguous_look_ups_say_so() -> None:
    _, arrays = labelled()
    with pytest.raises(KeyError, match=r"no crater is labelled 'crater 5'; use \.iloc for positions"):
        arrays["rim"].loc["crater 5"]
    with pytest.raises(IndexError):
        arrays["rim"].iloc[4]
    cdb = database(*CRATERS)
    cdb.data.index = pd.Index(["a", "b", "a", "c"])
    twice = strategies.data_array(numbered(GLOBAL), GLOBAL).craters.get_arrays(cdb, "rim")["rim"]
    with pytest.raises(KeyError, match="several craters are labelled 'a'"):
        twice["a"]
    assert twice["c"].name == twice.iloc[3].name


def test_compute_gives_a_table_of_masked_arrays() -> None:
    cdb, arrays = labelled()
    found = arrays.compute()
    assert isinstance(found, pd.DataFrame)
    assert list(found.columns) == ["floor", "rim"]
    pd.testing.assert_index_equal(found.index, cdb.data.index, exact="equiv")
    assert all(isinstance(cell, np.ma.MaskedArray) for column in found.columns for cell in found[column])
    with_workers = arrays.compute(workers=2)
    for region in found:
        for i in range(4):
            assert_same(with_workers[region].iloc[i], found[region].iloc[i])


def test_arrays_of_one_pixel_stay_arrays() -> None:
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks={"y": 10})
    cells = da.craters.get_arrays(database((12.4, 32.6, 0.3)), "floor").compute()["floor"]
    assert cells.iloc[0].shape == (1, 1)
    assert cells.iloc[0].item() == 11 * 72 + 38


@pytest.mark.parametrize("chunks", CHUNKS)
def test_map_applies_a_function_to_each_masked_array(chunks: Any) -> None:
    cdb = database(*CRATERS)
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks=chunks, nodata=500)
    floor = da.craters.get_arrays(cdb, ["rim", "floor"])["floor"]
    with raise_if_dask_computes():
        mapped = floor.map(np.ma.sum, dtype=int)
    assert isinstance(mapped, xr.DataArray)
    assert isinstance(mapped.data, np.ndarray if chunks is None else dask.array.Array)
    assert mapped.dims == ("crater",)
    assert mapped.dtype == int
    assert mapped.values.tolist() == [int(element.compute().sum()) for element in floor]
    np.testing.assert_array_equal(mapped["radius"], cdb.rad)
    assert floor.apply(np.ma.count).dtype == float


@pytest.mark.parametrize("coverage", ["all_touched", "center"])
@pytest.mark.parametrize("nvert", [None, 32])
@pytest.mark.parametrize("case", [GLOBAL, EAST, SOUTH_UP, PARTIAL], ids=["-180", "0", "south-up", "partial"])
def test_unmasked_pixels_are_those_that_statistics_count(case: GridCase, nvert: int | None, coverage: str) -> None:
    largest = (100.3, -7.1, 171.0)
    cdb = database(*CRATERS, (-179.3, 89.9, 24.1), (0.3, -60.27, 45.2), largest, (24.3, 11.2, 3.1), nvert=nvert)
    da = strategies.data_array(numbered(case), case, chunks={"y": 9, "x": 17}, nodata=5)
    stats = da.craters.get_stats(cdb, ["floor", "rim"], "count sum", coverage=coverage).compute()
    arrays = da.craters.get_arrays(cdb, ["floor", "rim"], coverage=coverage)
    for region in arrays:
        for i, element in enumerate(arrays[region]):
            found = element.compute()
            assert found.count() == stats["count"].sel(region=region).values[i]
            if found.count():
                assert found.sum(dtype=float) == stats["sum"].sel(region=region).values[i]
    assert (stats["count"] > 0).sum() >= 4


def test_every_change_of_a_request_changes_an_elements_key() -> None:
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks={"y": 10})
    cdb = database(*CRATERS)
    scaled, larger = da.copy(), cdb.copy()
    scaled.attrs["scale_factor"] = 0.5
    larger.data["_radius_m"] *= 1.1

    def key(da: xr.DataArray, cdb: CraterDatabase, region: str = "floor", crater: int = 0, **options: Any) -> str:
        return str(da.craters.get_arrays(cdb, region, **options)[region].iloc[crater].name)

    base = key(da, cdb)
    assert key(da, database(*CRATERS)) == base
    others = {
        key(da, cdb, "rim"),
        key(da, cdb, crater=1),
        key(da, cdb, coverage="center"),
        key(da, cdb, nodata=4),
        key(scaled, cdb),
        key(da, larger),
        key(da, database(*CRATERS, nvert=None)),
        key(da + 1, cdb),
    }
    assert len(others | {base}) == 9


def names(elements: Any) -> list[str]:
    return [element.name for element in elements]


def test_selections_are_containers_too() -> None:
    cdb, arrays = labelled()
    rim = arrays["rim"]
    keys = names(rim)
    with raise_if_dask_computes():
        small = cdb.data["radius"] < 1e5
        chosen = {
            "slice": (rim.iloc[1:3], [1, 2]),
            "backwards": (rim.iloc[::-1], [3, 2, 1, 0]),
            "list": (rim.iloc[[3, 0]], [3, 0]),
            "booleans": (rim.iloc[[True, False, False, True]], [0, 3]),
            "labels": (rim.loc[["pole", "open"]], [2, 0]),
            "from label to label": (rim.loc["seam":"small"], [1, 2, 3]),
            "boolean series": (rim[small], [3]),
            "positions in brackets": (rim[:2], [0, 1]),
            "none": (rim.iloc[:0], []),
            "head": (rim.head(2), [0, 1]),
            "all of the head": (rim.head(), [0, 1, 2, 3]),
            "tail": (rim.tail(1), [3]),
            "twice": (rim.iloc[1:].iloc[[2, 0]], [3, 1]),
            "of the table": (arrays.iloc[2:]["rim"], [2, 3]),
            "of the table by label": (arrays.loc[small]["rim"], [3]),
            "of some regions": (arrays[["rim"]].head(1)["rim"], [0]),
            "tail of the table": (arrays.tail(3)["rim"], [1, 2, 3]),
        }
    computed = arrays.compute()["rim"]
    for selection, wanted in chosen.values():
        assert names(selection) == [keys[i] for i in wanted]
        assert list(selection.index) == [arrays.index[i] for i in wanted]
        assert len(selection) == len(wanted)
        assert selection.dtype == np.int32
        found = selection.compute()
        assert found.name == "rim"
        assert list(found.index) == list(selection.index)
        for i, row in enumerate(wanted):
            assert_same(found.iloc[i], computed.iloc[row])
        assert selection.map(np.ma.sum).values.tolist() == [computed.iloc[row].sum() for row in wanted]
        np.testing.assert_array_equal(selection.map(np.ma.sum)["radius"], cdb.rad.iloc[wanted])


def test_selecting_regions_and_craters_of_a_container() -> None:
    _, arrays = labelled()
    assert arrays[["rim"]].regions == ["rim"]
    assert arrays[["rim", "floor"]].regions == ["rim", "floor"]
    some = arrays.iloc[[2, 0]]
    assert isinstance(some, CraterArrays)
    assert list(some.index) == ["pole", "open"]
    assert some.extent(1, "rim") == some["rim"].extent(1) == arrays.extent(0, "rim")
    for former in (lambda: arrays.extent("rim", 0), lambda: arrays.extent(region="rim", crater=0)):
        with pytest.warns(DeprecationWarning, match=r"type extent\(0, 'rim'\)") as caught:
            assert former() == arrays.extent(0, "rim")
        assert [w.filename for w in caught] == [__file__]
    with pytest.raises(RegionError, match=r"received no region; these arrays have .*: arrays.extent\(0, 'floor'\)"):
        arrays.extent(0)
    whole, found = arrays.compute(), some.compute()
    assert list(found.index) == ["pole", "open"]
    for region in ("floor", "rim"):
        assert_same(found.loc["pole", region], whole.loc["pole", region])
    one = arrays.iloc[2]
    assert {name: element.name for name, element in one.items()} == {
        name: arrays[name].iloc[2].name for name in arrays
    }  # fmt: skip
    with pytest.raises(RegionError, match="received the region 'ejecta'"):
        arrays[["rim", "ejecta"]]
    with pytest.raises(RegionError, match="each once"):
        arrays[["rim", "rim"]]
    with pytest.raises(IndexError, match="received a crater twice"):
        arrays.iloc[[1, 1]]
    with pytest.raises(KeyError):
        arrays["rim"].loc[["crater 5"]]


@given(data=st.data(), case=strategies.grids(max_pixels=1500), coverage=st.sampled_from(["all_touched", "exact"]))
@settings(max_examples=10)
def test_batches_contain_each_array_once(data: st.DataObject, case: GridCase, coverage: str) -> None:
    cdb = with_regions(data.draw(strategies.crater_tables(case, max_size=7)), data.draw(st.sampled_from([None, 32])))
    pixels = data.draw(strategies.pixel_values(case.shape))
    da = strategies.data_array(pixels.values, case, chunks=data.draw(strategies.chunkings(case.shape)))
    batch = data.draw(st.integers(1, 8))
    with warnings.catch_warnings(category=NoOverlapWarning, action="ignore"):
        arrays = da.craters.get_arrays(cdb, ["floor", "rim"], coverage=coverage)
    some = arrays.iloc[data.draw(st.permutations(range(len(cdb))))]
    whole, frames, blocks = arrays.compute(), list(some.iter_computed(batch)), list(some.iter_blocks(batch))
    assert [len(frame) for frame in frames[:-1]] == [batch] * (len(frames) - 1)
    assert 0 < len(frames[-1]) <= batch
    assert sorted(label for frame in frames for label in frame.index) == list(range(len(cdb)))
    for frame, flat in zip(frames, blocks, strict=True):
        for region in ("floor", "rim"):
            of = flat[region]
            assert list(some.index[of.crater]) == list(frame.index)
            for i, label in enumerate(frame.index):
                assert_same(frame[region].iloc[i], whole.loc[label, region])
                assert of.shape[i].tolist() == list(frame[region].iloc[i].shape)
                valid = ~of.mask[of.offset[i] : of.offset[i + 1]]
                if coverage == "exact":
                    assert of.fraction is not None
                    inside = of.fraction[of.offset[i] : of.offset[i + 1]]
                    assert (inside[valid] > 0).all()
                else:
                    assert of.fraction is None


def test_batches_read_each_tile_once_and_keep_the_scheduler() -> None:
    read = []

    def block(block_info: Any = None) -> Array:
        read.append(block_info[None]["chunk-location"])
        return np.ones((9, 18), "i2")

    data = dask.array.map_blocks(block, chunks=((9,) * 4, (18,) * 4), dtype="i2", meta=np.empty((0, 0), "i2"))
    da = strategies.data_array(numbered(GLOBAL), GLOBAL).copy(data=data)
    with raise_if_dask_computes():
        arrays = da.craters.get_arrays(database(*CRATERS), ["floor", "rim"])
        batches = arrays.iter_computed(batch=1)
    assert not read
    groups = math.ceil(len(arrays._source.plan) / AHEAD)
    with raise_if_dask_computes(max_computes=groups) as scheduler:
        assert [len(frame) for frame in batches] == [1] * 4
    assert scheduler.total_computes == groups > 1
    assert len(read) == len(set(read)) == len(arrays._source.plan) > 8
    with pytest.raises(ValueError, match="received batch=0"):
        next(arrays.iter_computed(batch=0))
    del read[:]
    with dask.config.set(scheduler="synchronous"):
        dask.compute(*arrays["rim"], *arrays["floor"])
    assert len(read) == len(set(read))


def test_batches_keep_extra_dimensions_and_decode_values() -> None:
    da = strategies.data_array(numbered(GLOBAL, "i2", lead=(2, 3)), GLOBAL, chunks={"band": 1, "y": 10}, nodata=7)
    da.attrs["scale_factor"] = 0.5
    arrays = da.craters.get_arrays(database(*CRATERS), "rim")
    whole = arrays.compute()["rim"]
    (frame,) = arrays.iter_computed()
    (flat,) = arrays.iter_blocks()
    assert flat["rim"].values.shape == flat["rim"].mask.shape == (2, 3, flat["rim"].offset[-1])
    for label, found in frame["rim"].items():
        assert_same(found, whole[label])


def test_arrays_can_be_modified_and_pickled_independently() -> None:
    _, arrays = labelled()
    cells = arrays.compute()["rim"]
    before = [cell.copy() for cell in cells]
    cells.iloc[0][...] = 5
    cells.iloc[0][0] = np.ma.masked
    cells.iloc[0].fill_value = 3
    for cell, was in list(zip(cells, before))[1:]:
        assert_same(cell, was)
    again = pickle.loads(pickle.dumps(cells.iloc[1]))
    assert_same(again, before[1])
    assert len(pickle.dumps(cells.iloc[3])) < 2000


@pytest.mark.parametrize("dtype", [">i2", "f2", "u8", "i8", "longdouble", "c16"])
def test_pixels_of_any_dtype_are_cut_unchanged(dtype: str) -> None:
    values = (numbered(GLOBAL, "f8") * 0.5 + 2.0**40 * (np.dtype(dtype).kind in "ui" and dtype != ">i2")).astype(dtype)
    da = strategies.data_array(values, GLOBAL, chunks={"y": 10})
    if dtype == "c16":
        with pytest.raises(GridError, match="complex128"):
            da.craters.get_arrays(database(*CRATERS), "floor")
        return
    for element in da.craters.get_arrays(database(*CRATERS), "floor")["floor"]:
        found = element.compute()
        assert found.dtype == np.dtype(dtype)
        assert np.isin(found.compressed(), values).all()


@pytest.mark.parametrize("dtype", [">i2", ">f4", ">f8"])
def test_byte_order_survives_joining_pieces_of_several_tiles(dtype: str) -> None:
    da = strategies.data_array(numbered(GLOBAL).astype(dtype), GLOBAL, chunks={"y": 10})
    arrays = da.craters.get_arrays(database(*CRATERS), "floor")
    floor, at_once, ragged = arrays["floor"], arrays.compute()["floor"], arrays["floor"].to_ragged()
    batched = pd.concat(list(arrays.iter_computed(batch=3)))["floor"]
    for i, element in enumerate(floor):
        wanted = element.compute()
        for found in (at_once.iloc[i], batched.loc[i], ragged[i]):
            assert_same(found, wanted)
    assert floor.map(np.ma.sum).values.tolist() == [element.compute().sum() for element in floor]


def test_masked_rasters_stay_masked() -> None:
    data = dask.array.ma.masked_greater(dask.array.from_array(numbered(GLOBAL), chunks=(10, 25)), 1200)
    da = strategies.data_array(numbered(GLOBAL), GLOBAL).copy(data=data)
    arrays = da.craters.get_arrays(database(*CRATERS), "rim")
    for element, cell in zip(arrays["rim"], arrays.compute()["rim"]):
        assert_same(element.compute(), cell)
        assert cell.count() == 0 or cell.max() <= 1200
    assert arrays["rim"].map(np.ma.count).sum() > 20


@pytest.mark.parametrize("chunks", [(36, 72), (10, 25)])
def test_masked_blocks_that_dask_takes_for_plain_arrays_stay_masked(chunks: tuple[int, int]) -> None:
    # Dask takes these blocks for plain arrays, so xarray does not turn their masked pixels into NaN.
    stored = dask.array.from_array(numbered(GLOBAL), chunks=chunks)
    data = stored.map_blocks(lambda block: np.ma.masked_greater(block, 800), meta=np.empty((0, 0), "i4"))
    plain = strategies.data_array(numbered(GLOBAL), GLOBAL)
    arrays = plain.copy(data=data).craters.get_arrays(database(IN_THE_OPEN), "rim")
    whole = plain.craters.get_arrays(database(IN_THE_OPEN), "rim").compute()["rim"].iloc[0]
    wanted = np.ma.masked_greater(whole, 800)
    assert 0 < wanted.count() < whole.count()
    for found in (arrays.compute()["rim"].iloc[0], arrays["rim"].iloc[0].compute()):
        assert_same(found, wanted)
