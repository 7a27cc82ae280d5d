"""The plan lists, for each tile, the craters that touch it, and misses none."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference as ref
from tests import strategies
from tests.geometry.test_outlines import OBLATE, SPHERE, frame_of
from tests.strategies import GridCase
from xcrater.engine.craters import Craters, place
from xcrater.engine.plan import Plan, disc_boxes, make_plan, outline_boxes
from xcrater.geometry.grid import Grid
from xcrater.geometry.outlines import ring_outlines

GRIDS = strategies.grids(max_pixels=2000, overhang=True)


def grid_of(case: GridCase, chunks: strategies.Chunks | None = None) -> Grid:
    t = case.transform
    rows, cols = chunks or tuple((length,) for length in case.shape)
    edges = [(0, *np.cumsum(lengths).tolist()) for lengths in (rows, cols)]
    return Grid(case.shape, t.c, t.a, t.f, t.e, *edges)


def place_caps(grid: Grid, caps: list[strategies.Cap]) -> Craters:
    table = np.array([(cap.lon, cap.lat, cap.radius) for cap in caps]).reshape(-1, 3)
    return place(grid, *table.T)


CAPS = st.lists(strategies.caps(), min_size=1, max_size=6)


@given(data=st.data(), case=GRIDS, outer=st.sampled_from([0.5, 1.0, 1.5, 3.0]), nvert=st.sampled_from([0, 32]))
@settings(max_examples=150)
def test_no_tile_that_shares_a_pixel_with_a_region_is_missed(
    data: st.DataObject, case: GridCase, outer: float, nvert: int
) -> None:
    grid = grid_of(case, data.draw(strategies.chunkings(case.shape)))
    caps = data.draw(st.lists(strategies.caps(case), min_size=1, max_size=3))
    listed = {
        (tile.index, i) for tile in make_plan(grid, place_caps(grid, caps), outer) for i in tile.craters.row.tolist()
    }
    for i, cap in enumerate(caps):
        if nvert:
            region = ref.polygon_region(cap.lon, cap.lat, 0, outer * cap.radius, nvert)
            mask = ref.polygon_mask(case.transform, case.shape, region, "all_touched")
            mask &= ~ref.polygon_ties(case.transform, case.shape, region, "all_touched")
        else:
            on_circle = (case.transform, case.shape, cap.lon, cap.lat, 0, outer * cap.radius)
            mask = ref.circle_mask_all_touched(*on_circle) & (ref.circle_margin_all_touched(*on_circle) > ref.TIE)
        rows, cols = np.nonzero(mask)
        down = np.searchsorted(grid.row_edges, rows, side="right") - 1
        across = np.searchsorted(grid.col_edges, cols, side="right") - 1
        met = {((a, b), i) for a, b in zip(down.tolist(), across.tolist())}
        assert met <= listed, f"{cap}: tiles {sorted(met - listed)} are missed"


@given(data=st.data(), case=GRIDS, outer=st.sampled_from([0.5, 1.0, 3.0]), caps=CAPS)
@settings(max_examples=100)
def test_tiles_and_their_members_are_sorted_without_duplicates(
    data: st.DataObject, case: GridCase, outer: float, caps: list[strategies.Cap]
) -> None:
    grid = grid_of(case, data.draw(strategies.chunkings(case.shape)))
    plan = make_plan(grid, place_caps(grid, caps), outer)
    assert (np.diff(plan.tile) > 0).all()
    assert plan.offset[0] == 0
    assert plan.offset[-1] == plan.member.size
    assert (np.diff(plan.offset) > 0).all()
    assert plan.member.dtype == np.int32
    for tile in plan:
        assert (np.diff(tile.craters.row) > 0).all()
        (r0, r1, c0, c1), (i, j) = tile.window, tile.index
        assert (r0, r1) == grid.row_edges[i : i + 2]
        assert (c0, c1) == grid.col_edges[j : j + 2]
        np.testing.assert_array_equal(tile.craters.column, plan.craters.column[tile.craters.row])
    assert [tile.index for tile in plan] == sorted(tile.index for tile in plan)


def tiles_of(grid: Grid, lon: float, lat: float, radius: float) -> list[tuple[int, int]]:
    return [tile.index for tile in make_plan(grid, place_caps(grid, [strategies.Cap(lon, lat, radius)]), 1.0)]


@pytest.mark.parametrize("origin", [-180.0, 0.0, 37.5])
def test_a_crater_is_on_exactly_the_tiles_that_its_bounding_box_meets(origin: float) -> None:
    case = GridCase(Affine(1, 0, origin, 0, -1, 90), (180, 360))
    grid = grid_of(case, ((90, 90), (120, 120, 120)))
    assert tiles_of(grid, origin + 60, 45, 5) == [(0, 0)]
    assert tiles_of(grid, origin + 60, 2, 5) == [(0, 0), (1, 0)]
    assert tiles_of(grid, origin + 119, -45, 5) == [(1, 0), (1, 1)]
    assert tiles_of(grid, origin + 360, -45, 5) == [(1, 0), (1, 2)]
    assert tiles_of(grid, origin + 60, 88, 5) == [(0, 0), (0, 1), (0, 2)]
    assert tiles_of(grid, origin + 60, 0, 179) == [(i, j) for i in range(2) for j in range(3)]


def test_a_crater_outside_a_partial_raster_is_on_no_tile() -> None:
    grid = grid_of(GridCase(Affine(1, 0, 10, 0, -1, 20), (20, 30)), ((10, 10), (30,)))
    for lon, lat in ((0, 10), (60, 10), (-170, 10), (25, 40), (25, -40)):
        assert tiles_of(grid, lon, lat, 5) == []
    assert tiles_of(grid, 369, 10, 5) == [(0, 0), (1, 0)]


def test_an_empty_plan_is_well_formed() -> None:
    grid = grid_of(GridCase(Affine(1, 0, 10, 0, -1, 20), (20, 30)))
    plan = make_plan(grid, place_caps(grid, []), 1.0)
    assert len(plan) == 0
    assert list(plan) == []
    assert plan.offset.tolist() == [0]


def calls_of_making_a_plan(n: int, rng: np.random.Generator) -> tuple[int, Plan]:
    """Number of Python and C function calls needed to place n craters and make their plan."""
    case = GridCase(Affine(0.5, 0, -180, 0, -0.5, 90), (360, 720))
    grid = grid_of(case, ((60,) * 6, (60,) * 12))
    table = rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))), rng.uniform(0.01, 2, n)
    calls = 0

    def count(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        plan = make_plan(grid, place(grid, *table), 1.5)
    finally:
        sys.setprofile(before)
    return calls, plan


def test_the_number_of_calls_does_not_grow_with_craters() -> None:
    rng = np.random.default_rng(0)
    calls_of_making_a_plan(100, rng)
    few, _ = calls_of_making_a_plan(1_000, rng)
    many, plan = calls_of_making_a_plan(300_000, rng)
    assert len(plan) == 72
    assert np.unique(plan.member).size == 300_000
    assert many < few + 100


FRAMES = st.sampled_from(["sinusoidal", "Mercator", "north polar", "orthographic", "Lambert conic", "equirectangular"])


@given(
    data=st.data(),
    name=FRAMES,
    body=st.sampled_from([SPHERE, OBLATE]),
    outer=st.sampled_from([0.5, 1.0, 3.0]),
    nvert=st.sampled_from([0, 8]),
)
@settings(max_examples=60)
def test_no_tile_is_missed_on_other_grids(data: st.DataObject, name: str, body: str, outer: float, nvert: int) -> None:
    frame = frame_of(name, body, 40)
    rows, cols = data.draw(strategies.chunkings(frame.shape))
    edges = [(0, *np.cumsum(lengths).tolist()) for lengths in (rows, cols)]
    grid = Grid(frame.shape, 0.0, 1.0, 0.0, 1.0, *edges, frame=frame)
    craters = place_caps(grid, data.draw(st.lists(strategies.caps(), min_size=1, max_size=3)))
    outlines = ring_outlines(frame, craters, 0, outer, nvert)
    plan = make_plan(grid, craters, [disc_boxes(grid, craters, outer, nvert)])
    drawn = make_plan(grid, craters, [outline_boxes(outlines), outline_boxes(outlines)])
    listed = [{(tile.index, i) for tile in which for i in tile.craters.row.tolist()} for which in (plan, drawn)]
    for i in range(len(craters)):
        rings = [slice(*outlines.ring[j : j + 2]) for j in range(outlines.shape[i], outlines.shape[i + 1])]
        mask = ref.winding_mask([(outlines.u[s], outlines.v[s]) for s in rings], frame.shape, frame.period)
        down = np.searchsorted(edges[0], np.nonzero(mask)[0], side="right") - 1
        across = np.searchsorted(edges[1], np.nonzero(mask)[1], side="right") - 1
        met = {((a, b), i) for a, b in zip(down.tolist(), across.tolist())}
        assert met <= listed[0]
        assert met <= listed[1]


def test_several_boxes_per_crater_give_one_plan() -> None:
    grid = grid_of(GridCase(Affine(1, 0, -180, 0, -1, 90), (180, 360)), ((60, 60, 60), (90, 90, 90, 90)))
    craters = place_caps(grid, [strategies.Cap(10, 20, 30), strategies.Cap(-170, -80, 5)])
    small, large = disc_boxes(grid, craters, 0.5), disc_boxes(grid, craters, 2.0)
    one, several = make_plan(grid, craters, 2.0), make_plan(grid, craters, [small, large, small])
    np.testing.assert_array_equal(one.tile, several.tile)
    np.testing.assert_array_equal(one.member, several.member)
    np.testing.assert_array_equal(one.offset, several.offset)
    assert len(make_plan(grid, craters, [])) == 0


@given(data=st.data(), case=GRIDS, caps=CAPS)
@settings(max_examples=50)
def test_the_spread_of_a_crater_covers_the_tiles_that_list_it(
    data: st.DataObject, case: GridCase, caps: list[strategies.Cap]
) -> None:
    grid = grid_of(case, data.draw(strategies.chunkings(case.shape)))
    plan = make_plan(grid, place_caps(grid, caps), 1.5)
    tiles = list(plan.spread_tiles())
    assert [tile.index for tile in tiles] == [tile.index for tile in plan]
    for i in range(len(caps)):
        listing = [n for n, tile in enumerate(tiles) if i in tile.craters.row]
        wanted = [len(listing), *(listing[at] if listing else -1 for at in (0, -1))]
        assert [plan.spread.count[i], plan.spread.first[i], plan.spread.last[i]] == wanted
    for n, tile in enumerate(tiles):
        assert tile.number == n
        np.testing.assert_array_equal(tile.spread.last, plan.spread.last[tile.craters.row])
        assert set(tile.receivers) == {n, *plan.spread.last[tile.craters.row]}
