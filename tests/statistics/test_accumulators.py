"""Statistics from tile accumulators agree with exact arithmetic on whole numbers and fractions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import reference as ref
from tests.helpers import ring_set
from xcrater import kernels
from xcrater.engine.craters import Craters, place
from xcrater.engine.plan import Plan, make_plan
from xcrater.engine.region_set import RegionSet, region_mask
from xcrater.geometry.grid import Grid
from xcrater.kernels import slots
from xcrater.kernels.half_widths import CENTER
from xcrater.kernels.lanes import LANES
from xcrater.kernels.spans import span_scratch
from xcrater.statistics.accumulators import Partial, add_up, merge
from xcrater.statistics.aggregations import Aggregation, parse
from xcrater.statistics.finish import Finish
from xcrater.statistics.leaf import Leaf
from xcrater.statistics.quantiles.coding import Coding
from xcrater.statistics.quantiles.problem import Problem
from xcrater.statistics.quantiles.search import OrderSearch
from xcrater.statistics.quantiles.sharing import choose_digits, shared_tiles
from xcrater.table.regions import Annulus

Array = NDArray[Any]

INTEGERS = ("bool", "u1", "i1", "u2", "i2", "u4", "i4", "i8")
FLOATS = ("f2", "f4", "f8")
STATS = (*ref.RASTERSTATS, "percentile_0", "percentile_17.5", "percentile_50", "percentile_90", "percentile_100")
COUNTS = ("count", "unique", "nodata", "nan")
ROUNDED = ("sum", "mean", "std")
SHAPE = (12, 24)
SHAPES = RegionSet(
    (Annulus(0, 1, None), Annulus(0.5, 1.2, 32), Annulus(1, 2, None)),
    "all_touched",
    kernels.Rows(math.pi / 2, -math.pi / 12, 24.0),
)
"""A disc, a ring that overlaps it, and a ring around the disc, on a grid of 15° pixels."""


def grid_of(row_edges: Sequence[int] = (0, 12), col_edges: Sequence[int] = (0, 24)) -> Grid:
    return Grid(SHAPE, -180.0, 15.0, 90.0, -15.0, tuple(row_edges), tuple(col_edges))


CRATERS = place(
    grid_of(),
    np.array([3.0, 177.0, -60.0, -60.0, 20.0]),
    np.array([10.0, -20.0, 85.0, 85.0, -89.0]),
    np.array([25.0, 40.0, 20.0, 20.0, 2.0]),
)
"""Craters in the open, across the seam, two identical ones over a pole, and a small one at the other pole."""


def masks() -> Array:
    """Masks of each region of each crater, shape (region, crater, row, column)."""
    window = (0, SHAPE[0], 0, SHAPE[1])
    regions, craters = range(len(SHAPES)), range(len(CRATERS))
    return np.array([[region_mask(SHAPES, k, CRATERS, i, window) for i in craters] for k in regions])


def leaves(plan: Plan, values: Array, leaf: Leaf) -> list[Partial]:
    tiles = list(plan)
    if leaf.order is not None:
        most = np.full(len(plan.craters), SHAPE[0] * SHAPE[1] * len(SHAPES))
        tiles = list(shared_tiles(plan, choose_digits(plan.spread, len(plan), most, leaf.order.problem)))
    return [leaf(values[..., t.window[0] : t.window[1], t.window[2] : t.window[3]], t) for t in tiles]


def leaf_of(
    aggregations: Sequence[Aggregation],
    nodata: float | int | None,
    dtype: np.dtype[Any],
    scale: float = 1.0,
    offset: float = 0.0,
) -> Leaf:
    """The leaf that collects all that these statistics need."""
    wanted = reduce(or_, (a.order for a in aggregations))
    order = OrderSearch(Problem(wanted, Coding(dtype.str, scale, offset), len(SHAPES), 2**29)) if wanted else None
    return Leaf(SHAPES, nodata, order=order, higher=any("moments" in a.needs for a in aggregations))


def statistics(
    values: Array,
    nodata: float | int | None = None,
    *,
    stats: Sequence[str] = STATS,
    grid: Grid | None = None,
    scale: float = 1.0,
    offset: float = 0.0,
    craters: Craters = CRATERS,
) -> dict[str, Array]:
    """Statistics by name, each of shape (image, region, crater), from accumulators merged in a tree of two levels."""
    aggregations = parse(stats)
    plan = make_plan(grid or grid_of(), craters, 2.0)
    leaf = leaf_of(aggregations, nodata, values.dtype, scale, offset)
    partials = leaves(plan, values, leaf)
    pairs = [merge(partials[i : i + 2], leaf.order) for i in range(0, len(partials), 2)]
    finish = Finish(aggregations, len(craters), len(SHAPES), values.dtype.str, scale, offset, leaf)
    return finish(merge(pairs, leaf.order), math.prod(values.shape[:-2]))


def expected(
    values: Array, nodata: float | int | None, stats: Sequence[str], scale: float = 1.0, offset: float = 0.0
) -> dict[str, Array]:
    """The same statistics from the pixels under each mask."""
    images = np.ma.getdata(values).reshape(-1, *SHAPE)
    hidden = np.ma.getmaskarray(values).reshape(-1, *SHAPE)
    cells = []
    for image, hide in zip(images, hidden):
        for mask in masks().reshape(-1, *SHAPE):
            found = ref.statistics(image[mask & ~hide], nodata, {*stats, "count", "nodata"})
            found["nodata"] += int((mask & hide).sum())
            if (scale, offset) != (1.0, 0.0):
                pixels = image[mask & ~hide]
                missing = (pixels != pixels) | (False if nodata is None else pixels == nodata)
                decoded = ref.statistics(pixels[~missing].astype("f8") * scale + offset, None, stats)
                found |= {name: value for name, value in decoded.items() if name not in ("nodata", "nan")}
            if found["count"] == 0:
                found = {name: found[name] if name in ("count", "nodata", "nan") else math.nan for name in found}
            cells.append(found)
    shape = (len(images), len(SHAPES), len(CRATERS))
    return {name: np.array([cell[name] for cell in cells]).reshape(shape) for name in stats}


def assert_statistics_agree(
    actual: dict[str, Array], wanted: dict[str, Array], *, rtol: float, atol: float = 0.0, inexact: Sequence[str]
) -> None:
    assert set(actual) == set(wanted)
    for name in wanted:
        if name in inexact:
            np.testing.assert_allclose(actual[name], wanted[name], rtol=rtol, atol=atol, err_msg=name)
        else:
            np.testing.assert_array_equal(actual[name], wanted[name], err_msg=name)


def integers(rng: np.random.Generator, dtype: str, pattern: str) -> tuple[Array, int | None]:
    """Pixel values of one pattern, and a value that may serve as nodata."""
    if dtype == "bool":
        return rng.integers(0, 2, SHAPE).astype(bool), None
    low, high = (-(2**31) + 1, 2**31 - 1) if dtype == "i8" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    high = min(high, 2**31 - 1)
    drawn = {
        "constant": lambda: np.full(SHAPE, rng.choice([low, 0, 7, high])),
        "few": lambda: rng.integers(0, 4, SHAPE),
        "wide": lambda: rng.integers(low, high, SHAPE, endpoint=True),
        "extreme": lambda: rng.choice([low, high], SHAPE),
        "top": lambda: high - rng.integers(0, 3, SHAPE),
        "bottom": lambda: low + rng.integers(0, 3, SHAPE),
    }
    return drawn[pattern]().astype(dtype), int(rng.choice([low, 0, high]))


PATTERNS = ("constant", "few", "wide", "extreme", "top", "bottom")


def edges(draw: st.DataObject) -> Grid:
    """The grid, cut into random chunks."""
    rows = draw.draw(st.sets(st.integers(1, SHAPE[0] - 1), max_size=4))
    cols = draw.draw(st.sets(st.integers(1, SHAPE[1] - 1), max_size=4))
    return grid_of([0, *sorted(rows), SHAPE[0]], [0, *sorted(cols), SHAPE[1]])


@pytest.mark.parametrize("dtype", INTEGERS)
@given(data=st.data(), pattern=st.sampled_from(PATTERNS), seed=st.integers(0, 2**32 - 1), holes=st.booleans())
@settings(max_examples=25)
def test_integers_equal_exact_arithmetic(dtype: str, data: st.DataObject, pattern: str, seed: int, holes: bool) -> None:
    values, sentinel = integers(np.random.default_rng(seed), dtype, pattern)
    nodata = sentinel if holes else None
    actual = statistics(values, nodata, grid=edges(data))
    assert_statistics_agree(
        actual, expected(values, nodata, STATS), rtol=1e-13, inexact=("mean", "std", "percentile_17.5", "percentile_90")
    )


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), hole=st.sampled_from([0.0, 0.1, 0.9]))
@settings(max_examples=25)
def test_floats_equal_exact_arithmetic(dtype: str, data: st.DataObject, seed: int, hole: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice([rng.normal(0, 3, SHAPE), rng.integers(0, 4, SHAPE), np.full(SHAPE, 0.1)]).astype(dtype)
    values[rng.random(SHAPE) < hole] = np.nan
    values[rng.random(SHAPE) < hole] = -9
    actual = statistics(values, -9, grid=edges(data))
    inexact = (*ROUNDED, "range", "median", *(name for name in STATS if name.startswith("percentile")))
    assert_statistics_agree(actual, expected(values, -9, STATS), rtol=1e-12, atol=2e-13, inexact=inexact)


@pytest.mark.parametrize("dtype", ["i4", "i8", "f8"])
def test_a_mean_far_above_the_spread_loses_no_digits(dtype: str) -> None:
    values = (10**9 + np.random.default_rng(4).integers(-1, 2, SHAPE)).astype(dtype)
    grid = grid_of((0, 3, 8, 12), (0, 5, 18, 24))
    actual, wanted = (s["std"] for s in (statistics(values, stats=["std"], grid=grid), expected(values, None, ["std"])))
    # Squares of the values have 19 digits, so a difference of sums of squares would have no correct digit left.
    np.testing.assert_allclose(actual, wanted, rtol=1e-13 if dtype != "f8" else 1e-7)


def test_squares_of_very_low_integers_do_not_overflow_when_they_are_recombined() -> None:
    counts = {-(2**31): 1932735, -(2**31) + 10_000: 214748}
    n, total = sum(counts.values()), sum(value * count for value, count in counts.items())
    squares = [(value * value, count) for value, count in counts.items()]
    state = {
        "count": np.array(n),
        "weight": np.array(n),
        "total": np.array(total),
        "sq_high": np.array(sum((square >> 32) * count for square, count in squares)),
        "sq_low": np.array(sum((square & 0xFFFFFFFF) * count for square, count in squares)),
        "scale": 1.0,
    }
    (std,) = parse(["std"])
    variance = (n * sum(square * count for square, count in squares) - total * total) / n**2
    assert std.finalise(state) == pytest.approx(math.sqrt(variance), rel=1e-13)


@pytest.mark.parametrize("value", [1e9 + 0.1, 0.1, -3e-300, 1e150])
def test_the_spread_of_a_constant_is_negligible_against_its_value(value: float) -> None:
    actual = statistics(np.full(SHAPE, value), stats=["std", "min", "max"], grid=grid_of((0, 5, 12)))
    assert (actual["std"] <= 1e-15 * abs(value)).all()
    assert (actual["min"] == value).all()
    assert (actual["max"] == value).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_infinities_are_values(dtype: str) -> None:
    values = np.random.default_rng(8).integers(0, 9, SHAPE).astype(dtype)
    values[5, 12], values[7, 0], values[0, :3], values[-1] = np.inf, -np.inf, np.nan, np.inf
    stats = ("count", "min", "max", "sum", "mean", "std", "majority", "minority", "unique", "nodata", "nan", "median")
    actual = statistics(values, stats=stats, grid=grid_of((0, 6, 12), (0, 12, 24)))
    assert_statistics_agree(actual, expected(values, None, stats), rtol=1e-13, inexact=ROUNDED)
    assert np.isinf(actual["max"]).any()
    assert np.isnan(actual["std"]).any()


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_range_of_infinities_alone_is_nan(dtype: str) -> None:
    assert np.isnan(statistics(np.full(SHAPE, np.inf, dtype), stats=["range"])["range"]).all()


@pytest.mark.parametrize("middle", [2.0, -2.0])
def test_the_median_is_the_middle_value_whatever_its_neighbours(middle: float) -> None:
    values = np.full(SHAPE, np.nan)
    values[masks()[0, 4]] = np.inf
    row, column = np.argwhere(masks()[0, 4])[:2].T
    values[row, column] = -np.inf, middle
    values[masks()[0, 4] & (np.cumsum(masks()[0, 4]).reshape(SHAPE) > 3)] = np.nan
    assert statistics(values, stats=["median"])["median"][0, 0, 4] == middle


@pytest.mark.parametrize("dtype", [*INTEGERS[1:], *FLOATS])
def test_all_nodata_counts_nothing_and_gives_nan(dtype: str) -> None:
    actual = statistics(np.full(SHAPE, 7, dtype), 7)
    for name, found in actual.items():
        if name in ("count", "nan"):
            assert (found == 0).all()
        elif name == "nodata":
            np.testing.assert_array_equal(found[0], masks().sum(axis=(-1, -2)))
        else:
            assert np.isnan(found).all(), name


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_all_nan_counts_nothing_and_gives_nan(dtype: str) -> None:
    actual = statistics(np.full(SHAPE, np.nan, dtype), 7)
    np.testing.assert_array_equal(actual["nan"][0], masks().sum(axis=(-1, -2)))
    assert not actual["count"].any()
    assert not actual["nodata"].any()
    assert all(np.isnan(found).all() for name, found in actual.items() if name not in ("count", "nodata", "nan"))


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, ">i2", ">f4"])
def test_no_tile_at_all_counts_nothing_and_gives_nan(dtype: str) -> None:
    aggregations = parse(STATS)
    shapes = ring_set([(0.0, 1.0), (0.5, 1.2)], "all_touched", SHAPES.grid)
    problem = Problem(reduce(or_, (a.order for a in aggregations)), Coding(np.dtype(dtype).str), 2, 2**29)
    leaf = Leaf(shapes, None, order=OrderSearch(problem))
    actual = Finish(aggregations, 3, 2, np.dtype(dtype).str, 1.0, 0.0, leaf)(merge([], leaf.order), 4)
    assert {found.shape for found in actual.values()} == {(4, 2, 3)}
    for name, found in actual.items():
        assert (found == 0).all() if name in ("count", "nodata", "nan") else np.isnan(found).all(), name


@pytest.mark.parametrize("dtype", [">u2", ">i4", ">f4", ">f8"])
def test_byte_order_changes_nothing(dtype: str) -> None:
    values = np.random.default_rng(3).integers(0, 99, SHAPE).astype(dtype)
    swapped, native = statistics(values, 5), statistics(values.astype(dtype[1:]), 5)
    for name in native:
        np.testing.assert_array_equal(swapped[name], native[name], err_msg=name)


@pytest.mark.parametrize("dtype", ["i2", "f4", "f8"])
def test_masked_pixels_are_counted_as_nodata_whatever_their_values(dtype: str) -> None:
    rng = np.random.default_rng(6)
    values = np.ma.MaskedArray(rng.integers(0, 9, SHAPE).astype(dtype), mask=rng.random(SHAPE) < 0.4)
    if dtype != "i2":
        values.data[values.mask & (rng.random(SHAPE) < 0.5)] = np.nan
    for nodata in (None, 3):
        actual = statistics(values, nodata, grid=grid_of((0, 7, 12)))
        inexact = (*ROUNDED, "median", *(name for name in STATS if name.startswith("percentile")))
        assert_statistics_agree(actual, expected(values, nodata, STATS), rtol=1e-13, inexact=inexact)


def test_a_masked_array_without_a_mask_is_plain() -> None:
    values = np.random.default_rng(6).integers(0, 9, SHAPE)
    plain, masked = statistics(values), statistics(np.ma.MaskedArray(values))
    for name in plain:
        np.testing.assert_array_equal(plain[name], masked[name], err_msg=name)


@pytest.mark.parametrize(("scale", "offset"), [(0.5, 0.0), (2.0, -1737.4), (-0.25, 100.0), (1.0, 3.0)])
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
def test_scale_and_offset_apply_to_values_not_to_nodata(dtype: str, scale: float, offset: float) -> None:
    values = np.random.default_rng(9).integers(0, 20, SHAPE).astype(dtype)
    actual = statistics(values, 4, scale=scale, offset=offset, grid=grid_of((0, 7, 12)))
    inexact = (*ROUNDED, "median", "range", *(name for name in STATS if name.startswith("percentile")))
    assert_statistics_agree(actual, expected(values, 4, STATS, scale, offset), rtol=1e-13, inexact=inexact)


@pytest.mark.parametrize("nodata", [300, -1, 2.5, math.inf])
def test_a_nodata_that_the_dtype_cannot_hold_marks_nothing(nodata: float) -> None:
    values = np.random.default_rng(1).integers(0, 256, SHAPE).astype("u1")
    actual = statistics(values, nodata)
    assert not actual["nodata"].any()
    np.testing.assert_array_equal(actual["count"][0], masks().sum(axis=(-1, -2)))


def test_a_nodata_beyond_float32_marks_nothing() -> None:
    values = np.random.default_rng(1).normal(size=SHAPE).astype("f4")
    values[5] = -np.inf
    actual = statistics(values, float(np.finfo("f8").min), stats=["count", "nodata"])
    assert not actual["nodata"].any()


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31) + 1])
def test_the_largest_int64_that_fits_is_exact(value: int) -> None:
    values = np.full(SHAPE, value, "i8")
    actual = statistics(values, stats=["sum", "std", "mean"])
    assert (actual["std"] == 0).all()
    assert (actual["mean"] == value).all()
    np.testing.assert_array_equal(actual["sum"][0], masks().sum(axis=(-1, -2)) * value)


def test_int64_beyond_the_limit_may_mark_missing_pixels() -> None:
    values = np.arange(math.prod(SHAPE)).reshape(SHAPE)
    values[6] = np.iinfo("i8").min
    actual = statistics(values, int(np.iinfo("i8").min), stats=["sum", "nodata", "count", "std"])
    wanted = expected(values, int(np.iinfo("i8").min), ["sum", "nodata", "count", "std"])
    assert_statistics_agree(actual, wanted, rtol=1e-13, inexact=["std"])


@pytest.mark.parametrize("dtype", ["u1", "i4", "f4"])
def test_several_images_at_once_equal_each_image_alone(dtype: str) -> None:
    values = np.random.default_rng(2).integers(0, 99, (2, 3, *SHAPE)).astype(dtype)
    grid = grid_of((0, 5, 12), (0, 9, 24))
    together = statistics(values, 4, grid=grid)
    for n, image in enumerate(values.reshape(-1, *SHAPE)):
        alone = statistics(image, 4, grid=grid)
        for name in STATS:
            np.testing.assert_array_equal(together[name][n], alone[name][0], err_msg=name)


@pytest.mark.parametrize("dtype", INTEGERS)
@given(data=st.data(), pattern=st.sampled_from(PATTERNS), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_the_order_of_merges_never_changes_a_bit_on_an_integer_raster(
    dtype: str, data: st.DataObject, pattern: str, seed: int
) -> None:
    values, nodata = integers(np.random.default_rng(seed), dtype, pattern)
    plan = make_plan(edges(data), CRATERS, 2.0)
    leaf = leaf_of(parse(STATS), nodata, values.dtype, 0.1, 7.0)
    partials = leaves(plan, values, leaf)
    finish = Finish(parse(STATS), len(CRATERS), len(SHAPES), values.dtype.str, 0.1, 7.0, leaf)
    one_by_one = partials[0]
    for partial in data.draw(st.permutations(partials[1:])):
        one_by_one = merge([partial, one_by_one], leaf.order)
    in_order, shuffled = finish(merge(partials, leaf.order), 1), finish(merge([one_by_one], leaf.order), 1)
    for name in STATS:
        np.testing.assert_array_equal(in_order[name], shuffled[name], err_msg=name)


def test_statistics_do_not_depend_on_which_others_are_asked_for() -> None:
    values = np.random.default_rng(2).normal(size=SHAPE)
    values[values > 1] = np.nan
    together = statistics(values)
    for name in STATS:
        np.testing.assert_array_equal(statistics(values, stats=[name])[name], together[name], err_msg=name)


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", ["u1", "i4", "f4"])
@pytest.mark.parametrize("nodata", [None, 3])
def test_kernels_equal_exact_arithmetic(dtype: str, nodata: int | None) -> None:
    values = np.random.default_rng(5).integers(0, 9, SHAPE).astype(dtype)
    if dtype == "f4" and nodata is not None:
        values[2:4, ::3] = np.nan
    actual = statistics(values, nodata, grid=grid_of((0, 4, 12), (0, 10, 24)))
    inexact = (*ROUNDED, *(name for name in STATS if name.startswith("percentile")))
    assert_statistics_agree(actual, expected(values, nodata, STATS), rtol=1e-12, inexact=inexact)


@pytest.mark.nojit
def test_plane_waves_agree_with_numpy() -> None:
    rng = np.random.default_rng(7)
    lon, lat, waves = rng.uniform(-3, 3, 5), rng.uniform(-1, 1, 4), rng.normal(size=(3, 5))
    out = np.empty((4, 5))
    kernels.plane_waves(lon, lat, waves, out)
    x, y = np.cos(lat)[:, None] * np.cos(lon), np.cos(lat)[:, None] * np.sin(lon)
    point = np.stack([x, y, np.broadcast_to(np.sin(lat)[:, None], x.shape)], axis=-1)
    wanted = (waves[:, 4] * np.cos(point @ waves[:, :3].T + waves[:, 3])).sum(axis=-1)
    np.testing.assert_allclose(out, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.nojit
def test_a_stamped_crater_has_a_bowl_a_rim_and_ejecta_at_the_right_distances() -> None:
    grid = grid_of()
    window = (0, 12, 0, 24)
    scratch = span_scratch(window, grid.radians, 0, CENTER)
    lon, lat, radius, depth, rim, extent = 170.0, 60.0, 35.0, 3.0, 0.5, 2.0
    crater = place(grid, np.array([lon]), np.array([lat]), np.array([radius]))
    out = np.full(SHAPE, 10.0)
    placed = crater.caps()
    kernels.stamp_craters(placed, np.array([depth]), np.array([rim]), extent, grid.radians, window, scratch, out)
    rows, cols = np.indices(SHAPE)
    distance = ref.great_circle_distance(lon, lat, -180 + 15 * (cols + 0.5), 90 - 15 * (rows + 0.5)) / radius
    bowl = rim - depth * (1 - distance**2)
    ejecta = rim * (distance**-3 - extent**-3) / (1 - extent**-3)
    wanted = 10 + np.where(distance <= 1, bowl, np.where(distance < extent, ejecta, 0))
    np.testing.assert_allclose(out, wanted, rtol=1e-12)
    assert out.min() < 8
    assert out.max() > 10.3


WIDE = Grid((100, 1500), -30.0, 0.1, 12.5, -0.25, (0, 37, 100), (0, 700, 1500))
"""Larger than the squares that are summarised; tiles end inside a square, the first shortly after the edge of one."""
WHOLE = Grid((90, 360), 0.0, 1.0, 90.0, -2.0, (0, 44, 45, 90), (0, 64, 200, 360))
"""The whole sphere, with a band of tiles one row high."""


def craters_on(grid: Grid, rng: np.random.Generator, n: int, largest: float = 50.0) -> Craters:
    """Random craters of many sizes, some larger than the grid."""
    west, north = grid.lon_origin, grid.lat_origin
    east, south = west + grid.lon_step * grid.shape[1], north + grid.lat_step * grid.shape[0]
    angle = 10 ** rng.uniform(-1.5, np.log10(largest), n)
    return place(grid, rng.uniform(west, east, n), rng.uniform(south, north, n), angle)


def sums_of(
    values: Array, shapes: RegionSet, craters: Craters, *, summarise: bool | None = None, grid: Grid = WIDE
) -> Array:
    """Merged accumulators of the craters in table order, shape (crater, lead, region, 8)."""
    plan = make_plan(grid, craters, float(shapes.bounds[1].max()))
    merged = merge(leaves(plan, values, Leaf(shapes, 0, summarise=summarise)))
    return add_up(merged.sums, np.arange(len(craters)))


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("holes", ["none", "some", "whole squares"])
def test_summaries_of_squares_change_no_bit_on_integer_rasters(dtype: str, holes: str) -> None:
    rng = np.random.default_rng(2)
    info = np.iinfo(dtype) if dtype[0] in "iu" else np.finfo("f4")
    values = rng.choice([info.min, info.max, 1, 2, 3], WIDE.shape).astype(dtype)
    if dtype[0] == "f":
        values = rng.normal(1000, 3, WIDE.shape).astype(dtype)
    values[values == 0] = 1
    if holes == "some":
        values[rng.random(values.shape) < 0.1] = 0
    elif holes == "whole squares":
        values[:, 64:256] = 0
    craters = craters_on(WIDE, rng, 200)
    for coverage in ("center", "all_touched"):
        for nvert in (0, 32):
            shapes = ring_set([(0.0, 1.0), (0.9, 2.5)], coverage, WIDE.radians, nvert or None)
            without = sums_of(values, shapes, craters, summarise=False)
            for summarise in (True, None):
                found = sums_of(values, shapes, craters, summarise=summarise)
                if dtype[0] == "f":
                    np.testing.assert_allclose(found, without, rtol=1e-12)
                else:
                    np.testing.assert_array_equal(found, without)
            assert without[..., slots.COUNT].max() > 50 * LANES**2 / 2


@pytest.mark.parametrize("dtype", ["i2", "i4", "f4"])
@pytest.mark.parametrize("coverage", ["center", "all_touched"])
@pytest.mark.parametrize("nvert", [0, 32])
@given(seed=st.integers(0, 2**32 - 1), summarise=st.booleans(), on=st.sampled_from(["wide", "whole"]))
@settings(max_examples=15)
def test_pixels_are_those_under_the_mask(
    dtype: str, coverage: str, nvert: int, seed: int, summarise: bool, on: str
) -> None:
    """The masks drawn one by one agree across the seam, over the poles, all around and in tiles one row high."""
    rng = np.random.default_rng(seed)
    grid = {"wide": WIDE, "whole": WHOLE}[on]
    values = rng.integers(-3, 100, grid.shape).astype(dtype)
    craters = craters_on(grid, rng, 8, largest=180.0)
    bounds = rng.choice([0.0, 0.5, 0.99, 1.0, 1.01, 1.5, 3.0], (3, 2))
    pairs = list(zip(bounds.min(axis=1).tolist(), (bounds.max(axis=1) + 0.1).tolist()))
    shapes = ring_set(pairs, coverage, grid.radians, nvert or None)
    found = sums_of(values, shapes, craters, summarise=summarise, grid=grid)
    window = (0, grid.shape[0], 0, grid.shape[1])
    for k in range(3):
        for i in range(len(craters)):
            pixels = values[region_mask(shapes, k, craters, i, window)].astype("f8")
            valid = pixels[pixels != 0]
            held = found[i, 0, k]
            wanted = {slots.COUNT: valid.size, slots.MISSING: pixels.size - valid.size, slots.NANS: 0}
            if valid.size:
                wanted |= {slots.TOTAL: valid.sum(), slots.LOW: valid.min(), slots.HIGH: valid.max()}
                if dtype == "f4":
                    deviation = ((valid - valid.mean()) ** 2).sum()
                    assert held[slots.SQ_HIGH] == pytest.approx(deviation, rel=1e-12, abs=1e-9)
                else:
                    assert held[slots.SQ_HIGH] * 2**32 + held[slots.SQ_LOW] == (valid**2).sum()
            for slot, number in wanted.items():
                assert held[slot] == number, (slot, k, i)


@given(
    data=st.data(),
    seed=st.integers(0, 2**32 - 1),
    coverage=st.sampled_from(["center", "all_touched"]),
    nvert=st.sampled_from([0, 32]),
)
@settings(max_examples=40)
def test_overlapping_regions_built_from_shared_rings_equal_each_region_alone(
    data: st.DataObject, seed: int, coverage: str, nvert: int
) -> None:
    """Many overlapping regions visit each pixel once and share the visit; each must equal the region alone."""
    rng = np.random.default_rng(seed)
    bounds = st.sampled_from([0.0, 0.5, 0.99, 1.0, 1.01, 1.5, 3.0])
    pairs = data.draw(st.lists(st.tuples(bounds, bounds).filter(lambda p: p[0] < p[1]), min_size=1, max_size=6))
    dtype = data.draw(st.sampled_from(["i2", "f4"]))
    values = rng.integers(-3, 100, WIDE.shape).astype(dtype)
    craters = craters_on(WIDE, rng, 20)
    together = sums_of(values, ring_set(pairs, coverage, WIDE.radians, nvert or None), craters)
    for k, (a, b) in enumerate(pairs):
        alone = sums_of(values, ring_set([(a, b)], coverage, WIDE.radians, nvert or None), craters)
        listed = np.unique(make_plan(WIDE, craters, b).member)
        np.testing.assert_allclose(together[listed, :, k], alone[listed, :, 0], rtol=1e-12 if dtype == "f4" else 0)


def test_twenty_rings_visit_each_pixel_once() -> None:
    """Rings of equal width add up to the disc, pixel by pixel."""
    rng = np.random.default_rng(6)
    values = rng.integers(1, 100, WIDE.shape).astype("i2")
    craters = craters_on(WIDE, rng, 50)
    edges = np.linspace(0, 2, 21)
    rings = ring_set(list(itertools.pairwise(edges.tolist())), "center", WIDE.radians)
    disc = ring_set([(0.0, 2.0)], "center", WIDE.radians)
    apart, whole = (sums_of(values, shapes, craters) for shapes in (rings, disc))
    for slot in (slots.COUNT, slots.TOTAL):
        np.testing.assert_array_equal(apart[..., slot].sum(axis=-1), whole[..., 0, slot])
