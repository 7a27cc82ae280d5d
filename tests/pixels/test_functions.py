"""User-supplied functions get the right pixels of every crater, and their results are collected and checked."""

from __future__ import annotations

import re
import warnings
from typing import Any

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import reference as ref
from tests import strategies
from tests.helpers import raise_if_dask_computes
from tests.pixels.test_container import (
    CRATERS,
    EAST,
    GLOBAL,
    IN_THE_OPEN,
    PARTIAL,
    SMALL,
    SOUTH_UP,
    database,
    numbered,
    polygon,
    with_regions,
)
from tests.strategies import MOON_RADIUS_M
from tests.test_everywhere import MAPS, table_of, varied_craters
from xcrater import CraterDatabase
from xcrater.errors import FunctionError, NoOverlapWarning
from xcrater.pixels.calls import WANTS

Array = NDArray[Any]


def everything(**given: Array) -> dict[str, Array]:
    return {f"given {name}": array.copy() for name, array in given.items()}


def got(da: xr.DataArray, cdb: CraterDatabase, region: Any = "floor", **options: Any) -> xr.Dataset:
    """All that a function receives for each crater, kept as arrays in the cells of the result."""
    wants = options.pop("wants", WANTS)
    found = da.craters.map(
        cdb, region, everything, wants=wants, dtype=object, returns={f"given {name}": None for name in wants}, **options
    ).compute()
    assert isinstance(found, xr.Dataset)
    return xr.Dataset({name: found[f"given {name}"].drop_vars(["lat", "lon"]) for name in wants})


@pytest.mark.parametrize("coverage", ["all_touched", "center"])
@pytest.mark.parametrize("case", [GLOBAL, EAST, SOUTH_UP], ids=["-180", "0", "south-up"])
@pytest.mark.parametrize("chunks", [None, {"y": 10, "x": 25}])
def test_a_function_receives_the_pixels_of_the_oracle(
    case: strategies.GridCase, coverage: ref.Coverage, chunks: Any
) -> None:
    values, cdb = numbered(case), database(*CRATERS)
    da = strategies.data_array(values, case, chunks=chunks, nodata=1000)
    for region in ("floor", "rim"):
        found = got(da, cdb, region, coverage=coverage)
        for i in range(len(cdb)):
            mask = ref.polygon_mask(case.transform, case.shape, polygon(cdb, region, i), coverage) & (values != 1000)
            cells = {name: found[name].values[i] for name in WANTS}
            assert sorted(cells["values"].tolist()) == values[mask].tolist()
            row, col = np.divmod(cells["values"], case.shape[1])
            assert (np.diff(row) >= 0).all()
            t = case.transform
            np.testing.assert_allclose(np.mod(cells["x"] - (t.c + t.a * (col + 0.5)) + 180, 360), 180, atol=1e-9)
            np.testing.assert_allclose(cells["y"], t.f + t.e * (row + 0.5), atol=1e-9)
            np.testing.assert_allclose(cells["lon"], cells["x"], atol=1e-9)
            np.testing.assert_allclose(cells["lat"], cells["y"], atol=1e-9)
            # Within a row, longitudes increase across the antimeridian too.
            assert (np.diff(cells["lon"])[np.diff(row) == 0] > 0).all()
            away = ref.great_circle_distance(cdb.lon[i], cdb.lat[i], cells["lon"], cells["lat"])
            radius = np.degrees(cdb.rad[i] / MOON_RADIUS_M)
            np.testing.assert_allclose(cells["distance"], away / radius, rtol=1e-9)
            assert (cells["coverage"] == 1).all()


@pytest.mark.parametrize("name", ["±180", "sinusoidal, oblate", "north polar, sphere", "IAU 49901", "Mercator, oblate"])
@pytest.mark.parametrize("coverage", ["center", "exact"])
def test_coordinates_on_any_grid_agree_with_proj(name: str, coverage: str) -> None:
    on = MAPS[name]
    cdb = table_of(on, varied_craters(on, 12, 3))
    found = got(on.numbered(chunks={"y": 23, "x": 31}), cdb, "disc", coverage=coverage)
    lon, lat = (at.ravel() for at in on.places())
    weights = on.numbered().craters.get_stats(cdb, "disc", "count", coverage=coverage)["count"].values
    radius = cdb.rad.to_numpy() * on.geod.a / cdb.body_radius
    compared = 0
    for i in range(len(cdb)):
        cells = {key: found[key].values[i] for key in WANTS}
        at = cells["values"]
        assert cells["coverage"].sum() == pytest.approx(weights[i], rel=1e-9, abs=1e-9)
        shown = np.isfinite(lon[at])
        assert shown.sum() >= at.size - (coverage == "exact") * at.size / 2
        np.testing.assert_allclose(np.mod(cells["lon"] - lon[at] + 180, 360)[shown], 180, atol=1e-7)
        np.testing.assert_allclose(on.geodetic(cells["lat"])[shown], lat[at][shown], atol=1e-7)
        from_lat = np.full(at.size, float(on.geodetic(cdb.lat.iloc[i])))
        azimuth, _, metres = on.geod.inv(np.full(at.size, cdb.lon.iloc[i]), from_lat, lon[at], lat[at])
        np.testing.assert_allclose(cells["distance"][shown], metres[shown] / radius[i], rtol=1e-6, atol=1e-12)
        off = np.abs(np.mod(cells["azimuth"] - azimuth + 180, 360) - 180)[
            shown & (cells["distance"] > 1e-9) & (cells["distance"] < 2)
        ]
        assert off.size == 0 or off.max() < 1e-4
        compared += shown.sum()
    assert compared > 100


@given(data=st.data(), case=strategies.grids(max_pixels=1200))
@settings(max_examples=10)
def test_results_do_not_depend_on_chunks(data: st.DataObject, case: strategies.GridCase) -> None:
    cdb = with_regions(data.draw(strategies.crater_tables(case, max_size=4)), data.draw(st.sampled_from([None, 32])))
    coverage = data.draw(st.sampled_from(["all_touched", "center", "exact"]))
    pixels = data.draw(strategies.pixel_values(case.shape))
    chunks = data.draw(strategies.chunkings(case.shape))
    wants = ("values", "coverage", "distance")
    with warnings.catch_warnings(category=NoOverlapWarning, action="ignore"):
        whole, cut = (
            got(strategies.data_array(pixels.values, case, chunks=c, nodata=pixels.nodata), cdb, ["floor", "rim"],
                wants=wants, coverage=coverage)
            for c in (None, chunks)
        )  # fmt: skip
        blocks = strategies.data_array(pixels.values, case, nodata=pixels.nodata).craters.get_arrays(
            cdb, ["floor", "rim"], coverage=coverage
        )
    at_once = blocks.compute()
    for k, region in enumerate(["floor", "rim"]):
        for i in range(len(cdb)):
            np.testing.assert_array_equal(cut["values"].values[k, i], at_once[region].iloc[i].compressed())
            for name in ("values", "distance"):
                np.testing.assert_array_equal(cut[name].values[k, i], whole[name].values[k, i])
            np.testing.assert_allclose(cut["coverage"].values[k, i], whole["coverage"].values[k, i], atol=1e-12)


def test_building_computes_nothing_and_computing_reads_each_chunk_once() -> None:
    read = []

    def block(block_info: Any = None) -> Array:
        read.append(block_info[None]["chunk-location"])
        return np.ones((9, 18), "i2")

    data = dask.array.map_blocks(block, chunks=((9,) * 4, (18,) * 4), dtype="i2", meta=np.empty((0, 0), "i2"))
    da = strategies.data_array(numbered(GLOBAL), GLOBAL).copy(data=data)
    called = []
    with raise_if_dask_computes():
        lazy = da.craters.map(database(*CRATERS), ["floor", "rim"], lambda values: called.append(1) or values.sum())
    assert dask.is_dask_collection(lazy.data)
    assert not called
    lazy.compute(scheduler="synchronous")
    assert len(called) == 8
    assert len(read) == len(set(read)) > 4


def test_craters_on_one_tile_are_finished_by_the_task_of_the_tile() -> None:
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks={"y": 12, "x": 36})
    inside = (-95.0, 60.0, 3.1)
    lazy = da.craters.map(database(inside, SMALL), "floor", np.sum)
    graph = dict(lazy.data.dask)
    found = [dask.get(graph, key) for key in graph if "-tile" in str(key)]  # type: ignore[attr-defined]
    assert sorted(row for parts in found for one in parts[None] for row in one.row) == [0, 1]
    assert sum(handed.values.pieces.values.size for parts in found for n, handed in parts.items() if n is not None) == 0


def test_craters_on_several_tiles_are_finished_with_the_last_tile() -> None:
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks={"y": 12, "x": 36})
    above, below = (0.5, 30.0, 20.0), (0.5, -60.0, 20.0)  # `above` lies on tiles 0 to 3, `below` on 4 and 5
    lazy = da.craters.map(database(above, below), "floor", np.sum)
    graph = dict(lazy.data.dask)
    rows = {}
    for key in graph:
        if "-complete" in str(key):
            rows[key[-1]] = [row for one in dask.get(graph, key) for row in one.row]  # type: ignore[attr-defined]
    assert {tile: of for tile, of in rows.items() if of} == {3: [0], 5: [1]}


@pytest.mark.parametrize("chunks", [None, {"y": 10, "x": 25}])
def test_functions_may_return_numbers_sequences_and_dicts(chunks: Any) -> None:
    cdb = database(*CRATERS)
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks=chunks)
    sums = [float(v.sum()) for v in got(da, cdb, wants=["values"])["values"].values]
    number = da.craters.map(cdb, "floor", np.sum)
    assert isinstance(number, xr.DataArray)
    assert number.dims == ("crater",)
    assert number.dtype == np.float64
    assert number.values.tolist() == sums
    np.testing.assert_array_equal(number["radius"], cdb.rad)
    assert number.attrs == {"long_name": "sum", "body": "moon", "coverage": "all_touched"}
    whole = da.craters.map(cdb, ["floor"], np.sum, dtype="int64")
    assert whole.dims == ("region", "crater")
    assert whole.dtype == np.int64
    assert whole.sel(region="floor").values.tolist() == sums
    pair = da.craters.map(cdb, "floor", lambda v: [v.min(), v.max()], returns=2, dtype="int32")
    assert pair.dims == ("crater", "output")
    assert pair.dtype == np.int32
    both = da.craters.map(
        cdb, "floor", lambda v: {"ends": (v.min(), v.max()), "sum": v.sum()}, returns={"sum": None, "ends": 2}
    )
    assert isinstance(both, xr.Dataset)
    assert both["ends"].dims == ("crater", "ends_output")
    np.testing.assert_array_equal(both["ends"], pair)
    assert both["sum"].values.tolist() == sums
    by_name = da.craters.map(cdb, "floor", lambda values: values.sum(), wants="values")
    assert by_name.values.tolist() == sums
    assert da.craters.map(cdb, "floor", lambda v: np.ma.masked).isnull().all()
    assert da.craters.map(cdb, "floor", lambda v: v.size > 20, dtype=bool).dtype == bool


@pytest.mark.parametrize("chunks", [None, {"y": 10, "x": 25}])
@pytest.mark.parametrize("coverage", ["center", "exact"])
def test_a_function_receives_the_weights_of_its_pixels(chunks: Any, coverage: str) -> None:
    cdb, regions = database(*CRATERS), ["floor", "rim"]
    da = strategies.data_array(np.stack([numbered(GLOBAL, "f8")] * 2), GLOBAL, chunks=chunks)
    on_grid = strategies.data_array(1.0 + numbered(GLOBAL, "f8") % 7, GLOBAL, chunks=chunks)

    def totals(values: Array, coverage: Array, weights: Array) -> list[float]:
        return [(values * coverage * weights).sum(), (weights == 1 + values % 7).all()]

    for weights in ("area", on_grid):
        stats = da.craters.get_stats(cdb, regions, "sum count", coverage=coverage, weights=weights)
        with raise_if_dask_computes():
            found = da.craters.map(
                cdb,
                regions,
                totals,
                coverage=coverage,
                weights=weights,
                wants=("values", "coverage", "weights"),
                returns=2,
            )
        np.testing.assert_allclose(found[..., 0], stats["sum"].where(stats["count"] > 0, 0), rtol=1e-9)
        if weights is on_grid:
            assert found[..., 1].all()


def test_weights_that_a_function_does_not_take_are_an_error() -> None:
    da = strategies.data_array(numbered(GLOBAL), GLOBAL)
    with pytest.raises(FunctionError, match=r"wants=\('values', 'weights'\)"):
        da.craters.map(database(*CRATERS), "floor", np.sum, weights="area")


def test_scale_and_offset_are_applied() -> None:
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL, chunks={"y": 10})
    plain = da.craters.map(database(*CRATERS), "floor", np.max)
    da.attrs |= {"scale_factor": 0.5, "add_offset": 3.0}
    np.testing.assert_array_equal(da.craters.map(database(*CRATERS), "floor", np.max), plain * 0.5 + 3)


@pytest.mark.parametrize("chunks", [None, {"band": 1, "time": 2, "y": 10}, {"band": 2, "time": 1, "x": 20}])
def test_extra_dimensions_come_first(chunks: Any) -> None:
    values, cdb = numbered(GLOBAL, "f8", lead=(2, 2)), database(*CRATERS)
    values[0, 1, ::2] = np.nan
    da = strategies.data_array(values, GLOBAL, chunks=chunks).assign_coords(band=["red", "blue"])
    found = da.craters.map(
        cdb, ["floor", "rim"], lambda values, distance: [values.size, (values * distance).sum()],
        wants=["distance", "values"], returns=2,
    )  # fmt: skip
    assert found.dims == ("band", "time", "region", "crater", "output")
    assert found["band"].values.tolist() == ["red", "blue"]
    for band, time in np.ndindex(2, 2):
        alone = strategies.data_array(values[band, time], GLOBAL).craters.map(
            cdb, ["floor", "rim"], lambda values, distance: [values.size, (values * distance).sum()],
            wants=["values", "distance"], returns=2,
        )  # fmt: skip
        np.testing.assert_array_equal(found.values[band, time], alone)


@pytest.mark.parametrize("chunks", [None, {"y": 7, "x": 11}])
def test_without_valid_pixels_a_function_receives_empty_arrays(chunks: Any) -> None:
    da = strategies.data_array(np.full(PARTIAL.shape, -1), PARTIAL, chunks=chunks, nodata=-1)
    cdb = database((25.0, 10.0, 3.1), (-100.3, 5.2, 2.1))
    found = got(da, cdb)
    for name in WANTS:
        assert [cell.size for cell in found[name].values] == [0, 0]
    assert got(da, cdb, wants=["values"])["values"].values[0].dtype == da.dtype
    assert da.craters.map(cdb, "floor", np.size).values.tolist() == [0, 0]


def test_repeated_labels_and_user_supplied_polygons() -> None:
    cdb = database(IN_THE_OPEN, SMALL, IN_THE_OPEN)
    cdb.data.index = pd.Index(["a", "b", "a"])
    cdb.add_polygons("mapped", [shapely.box(0, 0, 20, 10), None, shapely.box(-190, 0, -170, 10)])
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks={"y": 10, "x": 25})
    found = da.craters.map(cdb, ["floor", "mapped"], np.size, coverage="center")
    assert found["crater"].values.tolist() == ["a", "b", "a"]
    assert found.sel(region="mapped").values.tolist() == [8, 0, 8]
    counts = da.craters.get_stats(cdb, ["floor", "mapped"], "count", coverage="center")["count"]
    np.testing.assert_array_equal(found, counts)


def test_weights_of_exact_coverage_add_up_to_the_statistics() -> None:
    da = strategies.data_array(numbered(GLOBAL, "f8"), GLOBAL, chunks={"y": 10, "x": 25})
    cdb = database(*CRATERS, nvert=None)
    stats = da.craters.get_stats(cdb, ["floor", "rim"], "count sum", coverage="exact")
    found = da.craters.map(
        cdb, ["floor", "rim"], lambda values, coverage: {"count": coverage.sum(), "sum": (values * coverage).sum()},
        wants=("values", "coverage"), returns={"count": None, "sum": None}, coverage="exact",
    )  # fmt: skip
    np.testing.assert_allclose(found["count"], stats["count"], rtol=1e-12)
    np.testing.assert_allclose(found["sum"], stats["sum"], rtol=1e-12)


def failing(values: Array) -> float:
    if values.size < 30:
        raise ZeroDivisionError("too few")
    return float(values.size)


@pytest.mark.parametrize("chunks", [None, {"y": 10, "x": 25}, {"y": 36}])
def test_an_exception_in_a_function_is_reported_with_the_label_of_its_crater(chunks: Any) -> None:
    cdb = database(*CRATERS)
    cdb.data.index = pd.Index(["open", "seam", "pole", "small"])
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks=chunks)
    with pytest.raises(FunctionError, match="the crater labelled 'small' with ZeroDivisionError: too few") as caught:
        da.craters.map(cdb, "floor", failing).compute()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    found = da.craters.map(cdb, "floor", failing, errors="nan").compute()
    assert np.isnan(found.values).tolist() == [False, False, False, True]
    rows = da.craters.map(cdb, "floor", lambda v: [failing(v), 1.0], errors="nan", returns=2).compute()
    assert np.isnan(rows.values).tolist() == [[False] * 2] * 3 + [[True] * 2]
    with pytest.raises(FunctionError, match="labelled 'small' with ZeroDivisionError"):
        da.craters.get_arrays(cdb, "floor")["floor"].map(lambda block: failing(block.compressed())).compute()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"func": 3}, "received 3; expected a function"),
        ({"wants": "height"}, "received wants='height'; expected some of 'values', 'coverage'"),
        ({"wants": ()}, r"received wants=\(\)"),
        ({"errors": "ignore"}, "received errors='ignore'; expected 'raise' or 'nan'"),
        ({"errors": "nan", "dtype": int}, "received errors='nan' with dtype int64, which has no NaN; take dtype=float"),
        ({"dtype": "U3"}, "received dtype='U3'; expected that of numbers"),
        ({"returns": 0}, "received returns=0; expected None for a number"),
        ({"returns": {}}, "received returns={}"),
        ({"returns": {"a": -1}}, "received returns={'a': -1}"),
        ({"returns": {"lat": None}}, "the name 'lat', a coordinate of the result; choose another"),
    ],
)
def test_impossible_requests_are_refused_at_once(options: dict[str, Any], said: str) -> None:
    da = strategies.data_array(numbered(GLOBAL), GLOBAL)
    with pytest.raises(FunctionError, match=said):
        da.craters.map(database(SMALL), "floor", **{"func": np.sum, **options})


@pytest.mark.parametrize(
    ("func", "options", "said"),
    [
        (lambda v: [1.0, 2.0], {}, "returned an array of shape (2,) for the crater labelled 0; expected a number. Say what it returns: returns=2"),  # noqa: E501
        (lambda v: 1.0, {"returns": 2}, "returned 1.0 for the crater labelled 0; expected 2 numbers. Say what it returns: returns=None"),  # noqa: E501
        (lambda v: {"a": 1, "b": [2, 3]}, {}, "returned a dict with 'a', 'b' for the crater labelled 0; expected a number. Say what it returns: returns={'a': None, 'b': 2}"),  # noqa: E501
        (lambda v: {"a": 1}, {"returns": {"b": None}}, "returned a dict with 'a' for the crater labelled 0; expected a dict with 'b'"),  # noqa: E501
        (lambda v: {"a": [1, 2]}, {"returns": {"a": None}}, "returns={'a': 2, ...}"),
        (lambda v: None, {}, "returned None for the crater labelled 0; expected what float64 holds"),
        (lambda v: "high", {}, "returned 'high'"),
        (lambda v: 1j, {}, "returned 1j for the crater labelled 0; expected what float64 holds. Say what it returns: dtype=complex128"),  # noqa: E501
        (lambda v: 0.5, {"dtype": int}, "expected what int64 holds. Say what it returns: dtype=float64"),
        (lambda v: np.nan, {"dtype": "i2"}, "expected what int16 holds"),
        (lambda v: 70000, {"dtype": "i2"}, "expected what int16 holds"),
        (lambda v: np.ma.masked, {"dtype": int}, "expected what int64 holds"),
    ],
)  # fmt: skip
def test_unexpected_return_values_are_refused_with_the_line_to_type(
    func: Any, options: dict[str, Any], said: str
) -> None:
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks={"y": 10})
    for errors in ("raise", "nan") if "dtype" not in options else ("raise",):
        lazy = da.craters.map(database(SMALL), "floor", func, errors=errors, **options)
        with pytest.raises(FunctionError, match=re.escape(said)):
            lazy.compute()


def test_every_change_of_a_request_changes_its_key() -> None:
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks={"y": 10})
    cdb = database(*CRATERS)

    def key(da: xr.DataArray = da, func: Any = np.sum, **options: Any) -> str:
        return str(da.craters.map(cdb, "floor", func, **{"wants": ["values"], **options}).data.name)

    assert key() == key()
    others = {
        key(func=np.max), key(dtype="f4"), key(wants=["distance"]), key(returns=1), key(coverage="center"),
        key(nodata=3), key(errors="nan"), key(da + 1),
    }  # fmt: skip
    assert len(others | {key()}) == 9


def spread(values: Array, distance: Array) -> list[float]:
    return [float(values.sum()), float(distance.max(initial=0.0))]


def test_functions_run_in_other_processes() -> None:
    da = strategies.data_array(numbered(GLOBAL), GLOBAL, chunks={"y": 18})
    lazy = da.craters.map(database(*CRATERS), "floor", spread, wants=("values", "distance"), returns=2)
    np.testing.assert_array_equal(
        lazy.compute(scheduler="processes", num_workers=1), lazy.compute(scheduler="synchronous")
    )
