"""Row spans of discs and rings agree with brute force over every pixel."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import reference as ref
from tests import strategies
from tests.helpers import ring_set
from tests.strategies import Cap, GridCase
from xcrater.engine.coverage import RULES
from xcrater.engine.craters import place
from xcrater.engine.region_set import region_mask
from xcrater.geometry.grid import Grid, Window
from xcrater.kernels.half_widths import node_scratch
from xcrater.kernels.spans import region_spans, region_windows, span_scratch

Mask = NDArray[np.bool_]
Spans = list[tuple[int, int, int]]

COVERAGES: tuple[ref.Coverage, ...] = ("all_touched", "center")
GRIDS = strategies.grids(max_pixels=3000, overhang=True)


def grid_of(case: GridCase) -> Grid:
    t, (rows, cols) = case.transform, case.shape
    return Grid(case.shape, t.c, t.a, t.f, t.e, (0, rows), (0, cols))


def whole(case: GridCase) -> Window:
    return (0, case.shape[0], 0, case.shape[1])


def spans_of(
    case: GridCase,
    cap: Cap,
    inner: float,
    outer: float,
    nvert: int,
    coverage: ref.Coverage,
    window: Window | None = None,
) -> Spans:
    """Spans (row, start, stop) of a region within a window; bounds are in radii of the cap."""
    grid = grid_of(case)
    window = window or whole(case)
    crater = place(grid, *(np.array([number]) for number in (cap.lon, cap.lat, cap.radius)))
    at = (crater.column[0], crater.lat[0], crater.radius[0])
    mode = RULES[coverage].mode
    buffers = span_scratch(window, grid.radians, nvert, mode)
    n = region_spans(*at, inner, outer, nvert, mode, grid.radians, window, buffers)
    return [tuple(span) for span in buffers[-1][:3, :n].T.tolist()]


def mask_of(case: GridCase, cap: Cap, inner: float, outer: float, nvert: int, coverage: ref.Coverage) -> Mask:
    grid = grid_of(case)
    crater = place(grid, *(np.array([number]) for number in (cap.lon, cap.lat, cap.radius)))
    shapes = ring_set([(inner, outer)], coverage, grid.radians, nvert or None)
    return region_mask(shapes, 0, crater, 0, whole(case))


def brute_force(
    case: GridCase, cap: Cap, inner: float, outer: float, nvert: int, coverage: ref.Coverage
) -> tuple[Mask, Mask]:
    """The mask, and which of its pixels rounding may decide either way."""
    bounds = inner * cap.radius, outer * cap.radius
    if nvert:
        region = ref.polygon_region(cap.lon, cap.lat, *bounds, nvert)
        mask = ref.polygon_mask(case.transform, case.shape, region, coverage)
        return mask, ref.polygon_ties(case.transform, case.shape, region, coverage)
    on_circle = (case.transform, case.shape, cap.lon, cap.lat, *bounds)
    if coverage == "center":
        return ref.circle_mask_center(*on_circle), ref.circle_margin_center(*on_circle) < ref.TIE
    return ref.circle_mask_all_touched(*on_circle), ref.circle_margin_all_touched(*on_circle) < ref.TIE


def assert_masks_agree(
    case: GridCase, cap: Cap, inner: float, outer: float, nvert: int, coverage: ref.Coverage
) -> Mask:
    mask = mask_of(case, cap, inner, outer, nvert, coverage)
    expected, ties = brute_force(case, cap, inner, outer, nvert, coverage)
    wrong = np.argwhere((mask != expected) & ~ties)
    assert not len(wrong), f"{len(wrong)} pixels differ, the first (row, column) {wrong[0]}: {mask[tuple(wrong[0])]}"
    return mask


@pytest.mark.parametrize("coverage", COVERAGES)
@given(case=GRIDS, data=st.data(), bounds=strategies.annuli())
@settings(max_examples=150)
def test_true_circles_equal_brute_force(
    coverage: ref.Coverage, case: GridCase, data: st.DataObject, bounds: tuple[float, float]
) -> None:
    assert_masks_agree(case, data.draw(strategies.caps(case)), *bounds, 0, coverage)


@pytest.mark.parametrize("nvert", [32, 8])
@pytest.mark.parametrize("coverage", COVERAGES)
@given(case=GRIDS, data=st.data(), bounds=strategies.annuli())
@settings(max_examples=100)
def test_polygons_equal_brute_force(
    nvert: int, coverage: ref.Coverage, case: GridCase, data: st.DataObject, bounds: tuple[float, float]
) -> None:
    cap = data.draw(strategies.caps(case))
    assume(not any(ref.tangent_to_pole(cap.lat, bound * cap.radius) for bound in bounds))
    assert_masks_agree(case, cap, *bounds, nvert, coverage)


ANY_REGION = {
    "case": GRIDS,
    "data": st.data(),
    "bounds": strategies.annuli(),
    "nvert": st.sampled_from([0, 4, 32]),
    "coverage": st.sampled_from(COVERAGES),
}


def windows(case: GridCase) -> st.SearchStrategy[Window]:
    """Windows of a grid, of one pixel or more."""

    def along(length: int) -> st.SearchStrategy[tuple[int, int]]:
        ends = st.tuples(st.integers(0, length), st.integers(0, length)).filter(lambda pair: pair[0] != pair[1])
        return ends.map(lambda pair: (min(pair), max(pair)))

    return st.tuples(along(case.shape[0]), along(case.shape[1])).map(lambda ends: (*ends[0], *ends[1]))


@given(**ANY_REGION)
@settings(max_examples=200)
def test_spans_are_sorted_disjoint_nonempty_and_inside_the_window(
    case: GridCase, data: st.DataObject, bounds: tuple[float, float], nvert: int, coverage: ref.Coverage
) -> None:
    window = data.draw(windows(case))
    spans = spans_of(case, data.draw(strategies.caps(case)), *bounds, nvert, coverage, window)
    assert all(window[0] <= row < window[1] and window[2] <= start < stop <= window[3] for row, start, stop in spans)
    assert all(a[0] < b[0] or (a[0] == b[0] and a[2] <= b[1]) for a, b in pairwise(spans))


@given(**ANY_REGION)
@settings(max_examples=200)
def test_spans_of_a_tile_are_those_of_the_grid_clipped_to_the_tile(
    case: GridCase, data: st.DataObject, bounds: tuple[float, float], nvert: int, coverage: ref.Coverage
) -> None:
    window, cap = data.draw(windows(case)), data.draw(strategies.caps(case))
    everywhere = spans_of(case, cap, *bounds, nvert, coverage)
    rows = [s for s in everywhere if window[0] <= s[0] < window[1]]
    clipped = [(row, max(start, window[2]), min(stop, window[3])) for row, start, stop in rows]
    assert spans_of(case, cap, *bounds, nvert, coverage, window) == [s for s in clipped if s[1] < s[2]]


@pytest.mark.nojit
@given(**ANY_REGION)
@settings(max_examples=100)
def test_bounding_windows_contain_every_touched_pixel(
    case: GridCase, data: st.DataObject, bounds: tuple[float, float], nvert: int, coverage: ref.Coverage
) -> None:
    grid, cap = grid_of(case), data.draw(strategies.caps(case))
    crater = place(grid, *(np.array([number]) for number in (cap.lon, cap.lat, cap.radius)))
    out = np.empty((1, 4))
    region_windows(crater.column, crater.lat, crater.radius, bounds[1], nvert, grid.radians, node_scratch(nvert), out)
    top, bottom, left, right = out[0]
    for row, start, stop in spans_of(case, cap, 0.0, bounds[1], nvert, coverage):
        assert top - 1e-6 < row + 1
        assert row < bottom + 1e-6
        turn = math.floor((start + 1 + 1e-6 - left) / grid.period) * grid.period
        assert right - left >= grid.period - 1e-6 or stop - 1 < right + turn + 1e-6


GLOBAL = GridCase(Affine(10, 0, -180, 0, -10, 90), (18, 36))
SOUTH_UP = GridCase(Affine(10, 0, 0, 0, 10, -90), (18, 36))
ODD_ORIGIN = GridCase(Affine(10, 0, -33.3, 0, -10, 90), (18, 36))
PARTIAL = GridCase(Affine(3, 0, 150, 0, -3, 33), (14, 20))
BEYOND_THE_POLES = GridCase(Affine(10, 0, 0, 0, -10, 110), (22, 36))
GRIDLINE = GridCase(Affine(10, 0, -185, 0, -10, 95), (19, 36))

NAMED = {
    "plain": Cap(12.3, 34.5, 17.0),
    "exactly on the seam": Cap(-180.0, 3.0, 21.0),
    "across the seam": Cap(176.1, -21.3, 14.2),
    "centred on the north pole": Cap(41.0, 90.0, 23.7),
    "centred on the south pole": Cap(-77.0, -90.0, 23.7),
    "over a pole": Cap(33.0, 81.7, 19.0),
    "with both poles": Cap(10.3, 20.1, 131.0),
    "but one pixel": Cap(50.2, -8.3, 174.7),
    "within a pixel": Cap(65.4, 24.4, 0.7),
    "everything": Cap(5.0, 6.0, 179.0),
}


@pytest.mark.nojit
@pytest.mark.parametrize("nvert", [0, 32])
@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("case", [GLOBAL, SOUTH_UP, ODD_ORIGIN, PARTIAL], ids=["global", "south", "odd", "partial"])
def test_named_discs_and_rings_equal_brute_force(case: GridCase, name: str, coverage: ref.Coverage, nvert: int) -> None:
    for inner, outer in ((0.0, 1.0), (0.6, 1.0), (0.9, 1.3)):
        assert_masks_agree(case, NAMED[name], inner, outer, nvert, coverage)


@pytest.mark.parametrize("nvert", [0, 32])
@pytest.mark.parametrize("coverage", COVERAGES)
def test_a_disc_over_both_poles_is_all_but_the_gap_around_its_antipode(coverage: ref.Coverage, nvert: int) -> None:
    mask = assert_masks_agree(GLOBAL, Cap(0.0, 0.0, 140.0), 0.0, 1.0, nvert, coverage)
    assert mask[[0, -1]].all()
    assert not mask[8:10, [0, -1]].any()
    assert mask[8:10, 10:26].all()


@pytest.mark.nojit
@pytest.mark.parametrize("nvert", [0, 32])
@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("case", [GLOBAL, SOUTH_UP], ids=["-180", "0"])
def test_a_crater_on_the_seam_covers_both_sides_alike(case: GridCase, coverage: ref.Coverage, nvert: int) -> None:
    lon = case.transform.c
    mask = assert_masks_agree(case, Cap(lon, 4.0, 22.0), 0.0, 1.0, nvert, coverage)
    np.testing.assert_array_equal(mask, mask[:, ::-1])
    assert mask[:, 0].any()
    assert not mask[:, 10:26].any()


@pytest.mark.nojit
@pytest.mark.parametrize("nvert", [0, 32])
@pytest.mark.parametrize("lat", [90.0, -90.0])
@pytest.mark.parametrize("case", [GLOBAL, SOUTH_UP], ids=["north-up", "south-up"])
def test_a_disc_centred_on_a_pole_covers_whole_rows(case: GridCase, lat: float, nvert: int) -> None:
    for coverage, rows in (("center", 2), ("all_touched", 3)):
        mask = mask_of(case, Cap(77.0, lat, 24.0), 0.0, 1.0, nvert, coverage)
        at_pole = mask if (lat > 0) == (case.transform.e < 0) else mask[::-1]
        assert at_pole[:rows].all()
        assert not at_pole[rows:].any()


@pytest.mark.nojit
@pytest.mark.parametrize("nvert", [0, 32])
def test_a_pixel_touched_from_both_sides_of_the_gap_is_counted_once(nvert: int) -> None:
    # The gap around the antipode at lon -175, lat 5 is 6° wide and lies within one pixel of 10°.
    cap = Cap(5.0, -5.0, 177.0)
    spans = spans_of(GLOBAL, cap, 0.0, 1.0, nvert, "all_touched")
    assert sum(stop - start for _, start, stop in spans) == GLOBAL.shape[0] * GLOBAL.shape[1]
    assert mask_of(GLOBAL, cap, 0.0, 1.0, nvert, "all_touched").all()
    outside = np.argwhere(~assert_masks_agree(GLOBAL, cap, 0.0, 1.0, nvert, "center"))
    assert outside.tolist() == [[8, 0]]


@pytest.mark.nojit
@pytest.mark.parametrize("nvert", [0, 32])
@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("name", NAMED)
def test_westward_columns_mirror_eastward_ones(name: str, coverage: ref.Coverage, nvert: int) -> None:
    west = GridCase(Affine(-10, 0, 180, 0, -10, 90), GLOBAL.shape)
    cap = NAMED[name]
    _, ties = brute_force(GLOBAL, cap, 0.5, 1.0, nvert, coverage)
    east_mask = mask_of(GLOBAL, cap, 0.5, 1.0, nvert, coverage)
    west_mask = mask_of(west, cap, 0.5, 1.0, nvert, coverage)
    assert not ((west_mask[:, ::-1] != east_mask) & ~ties).any()


@pytest.mark.parametrize("nvert", [0, 32])
@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("name", NAMED)
def test_a_turn_of_1000_37_columns_on_a_grid_of_1000(name: str, coverage: ref.Coverage, nvert: int) -> None:
    step = 360 / 1000.37
    case = GridCase(Affine(step, 0, -180, 0, -18, 90), (10, 1000))
    for turn in (0.0, 0.2):
        cap = Cap(NAMED[name].lon + turn, NAMED[name].lat, NAMED[name].radius)
        assert_masks_agree(case, cap, 0.4, 1.0, nvert, coverage)
    mask = assert_masks_agree(case, Cap(179.9, 0.0, 12.0), 0.0, 1.0, nvert, coverage)
    assert mask[:, [0, 999]].any(axis=0).all()


@pytest.mark.nojit
@pytest.mark.parametrize("nvert", [0, 32])
@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("name", NAMED)
def test_pixels_beyond_the_poles_are_never_inside(name: str, coverage: ref.Coverage, nvert: int) -> None:
    for outer in (0.7, 1.0):
        mask = assert_masks_agree(BEYOND_THE_POLES, NAMED[name], 0.0, outer, nvert, coverage)
        assert not mask[[0, 1, 20, 21]].any()


@pytest.mark.nojit
@pytest.mark.parametrize("nvert", [0, 32])
@pytest.mark.parametrize("coverage", COVERAGES)
def test_a_radius_of_half_a_turn_or_more_ends_at_the_poles(coverage: ref.Coverage, nvert: int) -> None:
    mask = assert_masks_agree(BEYOND_THE_POLES, Cap(10.0, 20.0, 100.0), 0.0, 1.9, nvert, coverage)
    assert mask[2:20].all()
    assert not mask[[0, 1, 20, 21]].any()


@pytest.mark.nojit
@pytest.mark.parametrize("nvert", [0, 32])
@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("step", [10.0, 4.0, 1.0, 0.5])
def test_rows_centred_on_the_poles_belong_to_discs_over_them(step: float, coverage: ref.Coverage, nvert: int) -> None:
    case = GridCase(Affine(90, 0, -180, 0, -step, 90 + step / 2), (round(180 / step) + 1, 4))
    for lat, row in ((90.0, 0), (-90.0, -1), (85.0, 0)):
        assert mask_of(case, Cap(12.0, lat, 20.0), 0.0, 1.0, nvert, coverage)[row].all()


@pytest.mark.nojit
def test_a_radius_of_half_a_turn_covers_everything_and_the_ring_outside_it_nothing() -> None:
    for nvert in (0, 32):
        for coverage in COVERAGES:
            assert mask_of(ODD_ORIGIN, Cap(1.0, 2.0, 90.0), 0.0, 2.0, nvert, coverage).all()
            assert spans_of(ODD_ORIGIN, Cap(1.0, 2.0, 90.0), 2.0, 3.0, nvert, coverage) == []


@pytest.mark.nojit
@pytest.mark.parametrize("nvert", [0, 32])
def test_a_hole_leaves_two_spans_in_a_row_and_a_seam_one_more(nvert: int) -> None:
    ring = (0.5, 1.0, nvert, "center")
    fine = GridCase(Affine(1, 0, -180, 0, -1, 10), (20, 360))
    assert [s for s in spans_of(fine, Cap(0.0, 0.0, 8.2), *ring) if s[0] == 10] == [(10, 172, 176), (10, 184, 188)]
    assert [s for s in spans_of(fine, Cap(176.0, 0.0, 8.2), *ring) if s[0] == 10] == [
        (10, 0, 4),
        (10, 348, 352),
    ]
    assert [s for s in spans_of(fine, Cap(178.0, 0.0, 8.2), *ring) if s[0] == 10] == [
        (10, 2, 6),
        (10, 350, 354),
    ]
