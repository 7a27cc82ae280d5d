"""Masks aligned with the raster agree with distances, and with the masks of the craters one by one."""

from __future__ import annotations

import warnings
from typing import Any

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import reference as ref
from tests import strategies
from tests.helpers import raise_if_dask_computes
from tests.strategies import MOON_RADIUS_M, GridCase
from tests.test_everywhere import MAPS, Oracle, varied_craters
from xcrater import CraterDatabase
from xcrater.engine.region_set import region_mask
from xcrater.engine.request import make_request
from xcrater.errors import NoOverlapWarning, RegionError, XcraterError

Array = NDArray[Any]

GLOBAL = GridCase(Affine(5, 0, -180, 0, -5, 90), (36, 72))
KINDS = ["any", "count", "crater"]
CRATERS = ((12.31, 34.53, 7.07), (179.13, -20.17, 15.03), (33.27, 84.61, 9.07), (12.31, 34.53, 7.07), (14.1, 30.2, 3.3),
           (-100.37, -5.17, 40.11))  # fmt: skip
"""Longitude, latitude, radius in degrees: open, seam, pole, the first again, one across its rim, and a large one."""


def database(*craters: tuple[float, float, float], nvert: int | None = None) -> CraterDatabase:
    lon, lat, radius = np.array(craters, dtype=float).T
    cdb = CraterDatabase(pd.DataFrame({"lat": lat, "lon": lon, "radius": np.radians(radius) * MOON_RADIUS_M}), "moon")
    cdb.add_circles("disc", 1.0, nvert=nvert)
    cdb.add_annuli("rim", 0.8, 1.4, nvert=nvert)
    return cdb


def combined(each: Array, radius: Array) -> dict[str, Array]:
    """What each kind of mask should contain, combined from the masks of single craters, shape (crater, row, column)."""
    order = sorted(range(len(radius)), key=lambda i: (radius[i], i))
    crater = np.full(each.shape[1:], -1)
    for i in reversed(order):
        crater[each[i]] = i
    return {"any": each.any(axis=0), "count": each.sum(axis=0), "crater": crater}


def alone(da: xr.DataArray, cdb: CraterDatabase, region: str, coverage: str) -> Array:
    """The mask of each crater, shape (crater, row, column), on a raster of at most one turn of longitude."""
    request = make_request(da, cdb, region, coverage=coverage, nodata=None)
    window = (0, request.raster.grid.shape[0], 0, request.raster.grid.shape[1])
    return np.array([region_mask(request.shapes, 0, request.craters, i, window) for i in range(len(cdb))])


def zeros(case: GridCase = GLOBAL, **options: Any) -> xr.DataArray:
    return strategies.data_array(np.zeros(case.shape, "u1"), case, **options)


@pytest.mark.parametrize("chunks", [None, {"y": 10, "x": 20}])
@pytest.mark.parametrize("coverage", ["center", "all_touched"])
def test_masks_agree_with_distances(coverage: str, chunks: Any) -> None:
    cdb = database(*CRATERS)
    circle_mask = ref.circle_mask_center if coverage == "center" else ref.circle_mask_all_touched
    for region, (inner, outer) in {"disc": (0.0, 1.0), "rim": (0.8, 1.4)}.items():
        each = np.array(
            [circle_mask(GLOBAL.transform, GLOBAL.shape, lon, lat, inner * r, outer * r) for lon, lat, r in CRATERS]
        )
        wanted = combined(each, cdb.rad.to_numpy())
        for kind in KINDS:
            found = zeros(chunks=chunks).craters.mask(cdb, region, kind=kind, coverage=coverage)
            np.testing.assert_array_equal(found, wanted[kind], err_msg=f"{region} {kind}")
            assert found.dtype == (bool if kind == "any" else np.int32)
    assert (wanted["count"] > 1).any()
    assert {0, 4} <= set(np.unique(wanted["crater"]))
    assert 3 not in wanted["crater"]


@given(data=st.data(), frame=strategies.crater_tables(), kind=st.sampled_from(KINDS),
       coverage=st.sampled_from(["all_touched", "center", "exact"]), nvert=st.sampled_from([None, 32]))  # fmt: skip
@settings(max_examples=25)
def test_chunks_change_nothing(
    data: st.DataObject, frame: pd.DataFrame, kind: str, coverage: str, nvert: int | None
) -> None:
    case = data.draw(strategies.grids(max_pixels=1500, overhang=True))
    chunks = data.draw(strategies.chunkings(case.shape))
    cdb = CraterDatabase(frame, "moon", rad_col="radius_m")
    cdb.add_annuli("rim", 0.8, 1.4, nvert=nvert)
    whole, cut = zeros(case), zeros(case, chunks=chunks)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NoOverlapWarning)
        found = cut.craters.mask(cdb, "rim", kind=kind, coverage=coverage)
        expected = whole.craters.mask(cdb, "rim", kind=kind, coverage=coverage)
    assert found.chunks == cut.chunks
    xr.testing.assert_identical(found.compute(), expected)
    each = alone(whole, cdb, "rim", coverage)
    np.testing.assert_array_equal(found, combined(each, cdb.rad.to_numpy())[kind])
    if any(issubclass(warning.category, NoOverlapWarning) for warning in caught):
        assert not each.any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["±180", "IAU 49902", "south polar, sphere", "sinusoidal, oblate",
                                  "orthographic, oblate", "two turns", "past 360", "gridline", "gridline, oblate",
                                  "no whole number of columns a turn", "IAU 49901, 0 to 360, past 360"])  # fmt: skip
def test_masks_on_maps_of_every_kind(name: str) -> None:
    on = MAPS[name]
    frame = varied_craters(on, 18, 5)
    cdb = CraterDatabase(frame, on.body)
    cdb.add_annuli("rim", 0.8, 1.4, nvert=None)
    da = on.data(np.zeros(on.shape, "u1"), chunks={"y": 20, "x": 37})
    found = {kind: da.craters.mask(cdb, "rim", kind=kind, coverage="center").to_numpy() for kind in KINDS}
    oracle = Oracle(on)
    sure, each = np.ones(on.shape, bool), []
    for lon, lat, radius in frame[["lon", "lat", "radius"]].itertuples(index=False):
        inside, certain = oracle.pixels(lon, lat, 0.8 * radius, 1.4 * radius)
        each.append(inside)
        sure &= certain
    wanted = combined(np.array(each), cdb.rad.to_numpy())
    turn = np.arange(on.shape[1]) < on.period  # the oracle leaves out columns that repeat places
    assert (sure & turn).mean() > 0.3
    for kind in KINDS:
        np.testing.assert_array_equal(found[kind][sure & turn], wanted[kind][sure & turn], err_msg=kind)
        if not turn.all() and on.period == round(on.period):
            period = round(on.period)
            again = found[kind][:, period:]
            np.testing.assert_array_equal(again, found[kind][:, : again.shape[1]], err_msg=kind)


@pytest.mark.parametrize("coverage", ["all_touched", "center", "exact"])
def test_columns_past_one_turn_are_marked_when_a_turn_is_not_a_whole_number_of_columns(coverage: str) -> None:
    step = 7.0
    case = GridCase(Affine(step, 0, -180, 0, -step, 84), (24, 70))
    # The crater lies in columns 52 to 56, which the first turn shows at columns 0.57 to 4.57.
    lon, lat, radius = -180 + 54 * step, 0.0, 1.9 * step
    found = zeros(case, chunks={"x": 9}).craters.mask(database((lon, lat, radius)), "disc", coverage=coverage)
    for west in (0, 360):
        first = round((lon - 360 - case.transform.c) / step - 4 + west / step)
        part = GridCase(Affine(step, 0, -180 + first * step, 0, -step, 84), (24, 12))
        wanted = zeros(part).craters.mask(database((lon, lat, radius)), "disc", coverage=coverage)
        columns = slice(max(first, 0), first + 12)
        np.testing.assert_array_equal(found[:, columns], wanted[:, columns.start - first :])
        assert wanted.any()


def test_polygons_and_fractions() -> None:
    cdb = database(*CRATERS[:3])
    shapes = [shapely.box(10, 30, 17, 38), shapely.box(172, -30, 186, -12), None]
    cdb.add_polygons("mine", shapes)
    for coverage in ("all_touched", "center", "exact"):
        found = zeros(chunks={"y": 7, "x": 40}).craters.mask(cdb, "mine", kind="crater", coverage=coverage).to_numpy()
        # exact coverage marks each pixel with any part inside
        rule: Any = "center" if coverage == "center" else "all_touched"
        each = np.array([ref.polygon_mask(GLOBAL.transform, GLOBAL.shape, s, rule) for s in shapes[:2]])
        np.testing.assert_array_equal(found, combined(each, cdb.rad.to_numpy()[:2])["crater"])


def test_building_a_mask_computes_nothing_and_reads_nothing() -> None:
    def refuse(block: Array) -> Array:
        raise AssertionError("a block was read")

    data = dask.array.map_blocks(
        refuse, dask.array.zeros(GLOBAL.shape, chunks=(9, 20)), dtype="f4", meta=np.empty((0, 0), "f4")
    )
    da = zeros().copy(data=data)
    with raise_if_dask_computes():
        lazy = [da.craters.mask(database(*CRATERS), "rim", kind=kind) for kind in KINDS]
    for one in lazy:
        assert len(dict(one.data.dask)) == 16  # one task per chunk
        one.compute()


def test_a_raster_in_memory_gives_a_mask_at_once() -> None:
    for kind in KINDS:
        assert isinstance(zeros().craters.mask(database(*CRATERS), "rim", kind=kind).data, np.ndarray)


@pytest.mark.parametrize("lead", [(), (3,)])
def test_where_takes_a_mask_of_a_lazy_raster(lead: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(0, 1, (*lead, *GLOBAL.shape))
    da = strategies.data_array(values, GLOBAL).chunk({"y": 10, "x": 13})
    cdb = database(*CRATERS)
    with raise_if_dask_computes():
        mask = da.craters.mask(cdb, "rim")
        kept = da.where(mask)
    assert kept.chunks == da.chunks
    assert kept.dims == da.dims
    assert mask.dims == ("y", "x")
    assert mask.rio.crs == da.rio.crs
    assert mask.rio.transform() == da.rio.transform()
    wanted = np.where(zeros().craters.mask(cdb, "rim"), values, np.nan)
    np.testing.assert_array_equal(kept, wanted)


def test_dimensions_in_any_order() -> None:
    cdb = database(*CRATERS)
    da = zeros(chunks={"y": 10})
    turned = da.transpose("x", "y").craters.mask(cdb, "rim", kind="count")
    assert turned.dims == ("x", "y")
    xr.testing.assert_identical(
        turned.transpose("y", "x").compute(), da.craters.mask(cdb, "rim", kind="count").compute()
    )


def test_every_change_of_a_request_changes_the_key() -> None:
    cdb, da = database(*CRATERS), zeros(chunks={"y": 10})
    larger = cdb.copy()
    larger.data.loc[1, "_radius_m"] *= 1.5
    wider = cdb.copy()
    del wider.regions["rim"]
    wider.add_annuli("rim", 0.8, 1.5, nvert=None)
    moved = GridCase(Affine(5, 0, -175, 0, -5, 90), GLOBAL.shape)
    requests = [
        (da, cdb, "rim", "any", "center"),
        (da, cdb, "rim", "count", "center"),
        (da, cdb, "rim", "any", "exact"),
        (da, cdb, "disc", "any", "center"),
        (da, wider, "rim", "any", "center"),
        (da, larger, "rim", "any", "center"),
        (zeros(moved, chunks={"y": 10}), cdb, "rim", "any", "center"),
        (da.chunk({"y": 11}), cdb, "rim", "any", "center"),
    ]
    names = [r.craters.mask(c, n, kind=kind, coverage=cover).data.name for r, c, n, kind, cover in requests]
    assert len(set(names)) == len(names)
    assert names[0] == da.craters.mask(database(*CRATERS), "rim", coverage="center").data.name


def test_a_mask_without_craters_on_the_raster_is_empty() -> None:
    case = GridCase(Affine(1, 0, 10, 0, -1, 20), (20, 30))
    for chunks in (None, {"y": 7}):
        with pytest.warns(NoOverlapWarning):
            found = zeros(case, chunks=chunks).craters.mask(database((-150, -50, 3)), "rim", kind="crater")
        assert (found == -1).all()
        assert found.shape == case.shape


def test_bad_input_is_refused() -> None:
    cdb = database(*CRATERS)
    with pytest.raises(XcraterError, match="received kind='all'; expected one of 'any', 'count', 'crater'"):
        zeros().craters.mask(cdb, "rim", kind="all")
    with pytest.raises(RegionError, match="expected the name of one region"):
        zeros().craters.mask(cdb, ["rim", "disc"])
    with pytest.raises(XcraterError, match="coverage"):
        zeros().craters.mask(cdb, "rim", coverage="some")
    with pytest.raises(RegionError, match="nowhere"):
        zeros().craters.mask(cdb, "nowhere")
