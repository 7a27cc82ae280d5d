"""Rounds over a raster keep within the available memory, and treat every crater once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcrater.engine.craters import place
from xcrater.engine.plan import Plan, make_plan
from xcrater.engine.rounds import Room, along_tiles, in_rounds
from xcrater.geometry.grid import Grid


def plan_of(chunk: int, *craters: tuple[float, float, float]) -> Plan:
    """The plan of discs (longitude, latitude, angular radius in degrees) on a globe of 1° pixels."""
    rows, columns = ((*range(0, length, chunk), length) for length in (180, 360))
    grid = Grid((180, 360), -180.0, 1.0, 90.0, -1.0, rows, columns)
    lon, lat, radius = np.array(craters, float).reshape(-1, 3).T
    return make_plan(grid, place(grid, lon, lat, radius), 1.0)


def waiting(plan: Plan, sizes: np.ndarray) -> int:
    """The largest number of bytes that waits at any time, counted tile by tile."""
    spread, most = plan.spread, 0
    for tile in range(len(plan)):
        across = (spread.count > 1) & (spread.first <= tile) & (spread.last >= tile)
        most = max(most, int(sizes[across].sum()))
    return most


@st.composite
def cases(draw: st.DrawFn) -> tuple[Plan, np.ndarray, Room]:
    craters = [
        (draw(st.floats(-180, 180)), draw(st.floats(-90, 90)), draw(st.floats(0.1, 60.0)))
        for _ in range(draw(st.integers(0, 30)))
    ]
    sizes = np.array([draw(st.integers(1, 1000)) for _ in craters], np.int64)
    return (
        plan_of(draw(st.sampled_from([30, 90, 400])), *craters),
        sizes,
        Room(*draw(st.tuples(*2 * [st.integers(1, 5000)]))),
    )


@given(cases())
def test_every_crater_is_in_one_round_with_all_its_tiles(case):
    plan, sizes, room = case
    rounds = in_rounds(plan, sizes, room)
    together = np.sum([each.spread.count for each in rounds], axis=0)
    np.testing.assert_array_equal(together, plan.spread.count)
    assert (np.sum([each.spread.count > 0 for each in rounds], axis=0) <= 1).all()
    for each in rounds:
        assert len(each) == len(set(each.tile.tolist()))
        listed = {(int(t), int(m)) for n, t in enumerate(each.tile) for m in each.members(n)}
        assert listed <= {(int(t), int(m)) for n, t in enumerate(plan.tile) for m in plan.members(n)}


@given(cases())
def test_no_round_exceeds_the_room_unless_a_single_crater_does(case):
    plan, sizes, room = case
    for each in in_rounds(plan, sizes, room):
        across = each.spread.count > 1
        assert waiting(each, sizes) <= room.waiting or across.sum() == 1
        for n in range(len(each)):
            members = each.members(n)
            alone = sizes[members][each.spread.count[members] == 1]
            assert alone.sum() <= room.tile + alone.max(initial=0)


def test_a_table_that_fits_takes_one_round_with_the_same_plan():
    plan = plan_of(60, (0, 0, 5), (10, 10, 40), (170, -80, 30))
    assert in_rounds(plan, np.full(3, 100), Room(10**6, 10**6)) == [plan]


def test_craters_that_wait_at_different_times_share_a_round():
    # Each of two distant craters lies across two rows of tiles, so only one of them waits at any time.
    plan = plan_of(30, (5, 60, 3), (5, -60, 3))
    sizes = np.array([100, 100])
    assert len(in_rounds(plan, sizes, Room(10**6, 100))) == 1
    overlapping = plan_of(30, (5, 60, 3), (8, 60, 3))
    assert len(in_rounds(overlapping, sizes, Room(10**6, 100))) == 2


@pytest.mark.parametrize("memory", [1, 100, 2**30])
def test_rooms_divide_up_the_memory(memory):
    room = Room.within(memory)
    assert room.threads + room.waiting <= max(memory, 1)
    assert room.tile >= 1


def test_an_empty_plan_reads_no_tile():
    plan = plan_of(60)
    assert sum(map(len, in_rounds(plan, np.empty(0, np.int64), Room(1, 1)))) == 0


@given(cases(), st.integers(1, 100), st.integers(1, 2000))
def test_rounds_along_tiles_contain_every_crater_once(case, each, most):
    plan, _, _ = case
    rounds = along_tiles(plan, each, most)
    together = np.concatenate([np.empty(0, int), *rounds])
    np.testing.assert_array_equal(np.sort(together), np.arange(len(plan.craters)))
    for craters in rounds:
        assert (np.diff(craters) > 0).all()
        found = plan.spread.count[craters] * each
        assert found.sum() < most + found.max(initial=0) or found.sum() <= most
