"""Weighted quantiles as users see them, and their definition checked on random pixels."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import exact_reference as exact
from tests import strategies
from tests.statistics.quantiles.patterns import PATTERNS, QUANTILES, patterned
from tests.strategies import MOON_RADIUS_M, GridCase
from xcrater import CraterDatabase, set_options
from xcrater.aggregations import Aggregation, OrderStatistics
from xcrater.errors import StatisticError
from xcrater.statistics.quantiles.answers import answer_runs
from xcrater.statistics.quantiles.coding import Coding
from xcrater.statistics.quantiles.problem import Problem

Array = NDArray[Any]

GRID = GridCase(Affine(10, 0, -180, 0, -10, 90), (18, 36))
NAMES = [f"quantile_{q}" for q in QUANTILES]


def box_database(*bounds: float) -> CraterDatabase:
    """One crater whose region is a box with these bounds, in degrees."""
    cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "rad": [1e3]}), "moon")
    cdb.add_polygons("box", [shapely.box(*bounds)])
    return cdb


def discs(*places: tuple[float, float, float]) -> CraterDatabase:
    """Craters at (longitude, latitude, angular radius) in degrees, each with its disc."""
    lon, lat, radius = np.array(places, dtype=float).T
    cdb = CraterDatabase(pd.DataFrame({"lat": lat, "lon": lon, "rad": np.radians(radius) * MOON_RADIUS_M}), "moon")
    cdb.add_circles("disc", 1.0, nvert=None)
    return cdb


def plain_with_one_bright_pixel(dtype: str = "u1") -> xr.DataArray:
    values = np.full(GRID.shape, 10, dtype)
    values[9, 18] = 250
    return strategies.data_array(values, GRID)


@pytest.mark.parametrize("chunk", [None, 5])
@pytest.mark.parametrize("dtype", ["u1", "f4", "i4"])
@pytest.mark.parametrize("options", [{"coverage": "exact"}, {"weights": "area"}, {"weights": "ones"}])
def test_the_median_of_an_area_nearly_all_of_one_value_is_that_value(options, dtype, chunk):
    da = plain_with_one_bright_pixel(dtype)
    if options.get("weights") == "ones":
        options = {"coverage": "center", "weights": strategies.data_array(np.ones(GRID.shape), GRID)}
    if chunk:
        da = da.chunk(chunk)
    found = da.craters.get_stats(box_database(-45, -45, 45, 45), "box", "median percentile_25 percentile_90", **options)
    for name in found:
        assert found[name].values.item() == 10, name


def test_a_profile_and_its_sectors_have_the_same_weighted_median_as_statistics():
    da = plain_with_one_bright_pixel()
    cdb = discs((1.0, 1.0, 60.0))
    for sectors in (None, 2):
        profile = da.craters.radial_profile(cdb, [0.0, 1.0], ["median"], sectors=sectors, coverage="exact")
        np.testing.assert_array_equal(profile["median"], 10)


def test_a_user_statistic_of_quantiles_follows_the_rule_of_weights():
    spread = Aggregation(
        "spread", ("sums",), lambda s: s["order"].quantile(0.9) - s["order"].quantile(0.1),
        order=OrderStatistics(quantiles=(0.1, 0.9)),
    )  # fmt: skip
    found = plain_with_one_bright_pixel().craters.get_stats(
        box_database(-45, -45, 45, 45), "box", ["median"], coverage="exact", add_stats={"spread": spread}
    )
    assert found["spread"].values.item() == 0


def test_percentiles_of_classes_by_area_are_those_of_their_shares():
    """One tenth of the area of this map of classes is class 1, and the rest is class 5."""
    values = np.full(GRID.shape, 5, "u1")
    values[:, 18] = 1
    found = strategies.data_array(values, GRID).craters.get_stats(
        box_database(-50, -40, 50, 40), "box", "percentile_5 percentile_20 median", weights="area"
    )
    assert [found[name].values.item() for name in ("percentile_5", "percentile_20", "median")] == [1, 5, 5]


def test_exact_coverage_moves_quantiles_of_a_large_region_by_little():
    rng = np.random.default_rng(4)
    fine = GridCase(Affine(2, 0, -180, 0, -2, 90), (90, 180))
    da = strategies.data_array(rng.integers(0, 200, fine.shape).astype("u1"), fine)
    found = {
        coverage: da.craters.get_stats(discs((10.3, 5.2, 60.0)), "disc", NAMES, coverage=coverage)
        for coverage in ("exact", "center")
    }
    for name in NAMES[1:-1]:
        assert abs(found["exact"][name] - found["center"][name]).values.item() < 2


def of_run(values: Array, weights: Array, scale: float = 1.0) -> Array:
    """Quantiles of a single run of pixels."""
    problem = Problem(OrderStatistics(QUANTILES), Coding(values.dtype.str, scale), 1, 2**29, weighted=True)
    keys, offsets = problem.coding.keys(values.copy()), np.array([0, values.size])
    return answer_runs(problem, np.zeros(1, int), keys, weights.copy(), offsets).numbers[0]


def close(scale: float) -> dict[str, float]:
    return {"rtol": 1e-10, "atol": 1e-12 * scale}


@given(
    seed=st.integers(0, 2**32), dtype=st.sampled_from(["u1", "i2", "i4", "f4", "f8"]), n=st.integers(1, 60),
    pattern=st.sampled_from([p for p in PATTERNS if p != "extreme"]), scale=st.sampled_from([1.0, -0.5]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
@pytest.mark.nojit
def test_weighted_quantiles_of_random_pixels(seed, dtype, n, pattern, scale):
    rng = np.random.default_rng(seed)
    values = patterned(rng, dtype, pattern, n)
    decoded = values.astype(float) * scale
    weights = rng.choice([0.1, 0.25, 1.0, rng.random()], n) if rng.random() < 0.5 else rng.uniform(0.01, 1, n)
    size = float(abs(decoded).max())
    found = of_run(values, weights, scale)
    table = exact.table(decoded, np.ones(n), weights)
    np.testing.assert_allclose(found, [table.quantile(Fraction(q)) for q in QUANTILES], **close(size))
    # Neither a common factor of the weights nor the order of the pixels matters.
    for factor in (2.0**40, 3e-7):
        np.testing.assert_allclose(of_run(values, factor * weights, scale), found, **close(size))
    order = rng.permutation(n)
    np.testing.assert_allclose(of_run(values[order], weights[order], scale), found, **close(size))
    # With equal weights, the quantiles are those of numpy.
    np.testing.assert_allclose(of_run(values, np.full(n, 0.1), scale), np.quantile(decoded, QUANTILES), **close(size))
    # The quantiles increase and stay within the range of the values.
    assert (np.diff(found) >= -1e-12 * size).all()
    assert decoded.min() - 1e-12 * size <= found[0]
    assert found[-1] <= decoded.max() + 1e-12 * size


@given(seed=st.integers(0, 2**32), n=st.integers(2, 40), move=st.floats(1e-9, 1e-3))
@settings(max_examples=40, deadline=None)
def test_tied_values_give_the_quantiles_of_nearly_tied_ones(seed, n, move):
    """Grouping equal values makes no jump: moving them apart by a little moves the quantiles by no more."""
    rng = np.random.default_rng(seed)
    values, weights = rng.integers(0, 4, n).astype(float), rng.uniform(0.01, 1, n)
    apart = values + move * rng.random(n)
    assert abs(of_run(values, weights) - of_run(apart, weights)).max() <= move + 1e-12


@pytest.mark.parametrize("values", [(-math.inf, 1.0), (1.0, math.inf), (-math.inf, 1.0, 2.0), (1.0, 2.0, math.inf)])
def test_between_an_infinity_and_a_number_quantiles_of_equal_weights_are_numpys(values):
    values = np.array(values)
    found = of_run(values, np.full(values.size, 0.1))
    with np.errstate(invalid="ignore"):
        inside = np.array(QUANTILES[1:-1])
        wanted = np.quantile(values, inside)
    whole = np.isclose(inside * (values.size - 1) % 1, 0)  # where numpy multiplies infinity by 0
    np.testing.assert_allclose(found[1:-1][~whole], wanted[~whole], rtol=1e-12)
    assert found[0] == values[0]
    assert found[-1] == values[-1]


def test_weights_of_0_or_almost_0_do_not_move_quantiles():
    values, weights = np.array([1.0, 2, 3, 4, 1e300]), np.array([0.5, 0.5, 0.5, 0.5, 0.0])
    np.testing.assert_allclose(of_run(values, weights), np.quantile(values[:4], QUANTILES), rtol=1e-15)
    weights[4] = 1e-200
    np.testing.assert_allclose(of_run(values, weights)[:-1], np.quantile(values[:4], QUANTILES[:-1]), rtol=1e-15)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32), memory=st.sampled_from([20000, 2**29]), chunk=st.integers(3, 40))
@settings(max_examples=15, deadline=None)
def test_weighted_quantiles_do_not_depend_on_chunks_or_memory(seed, memory, chunk):
    rng = np.random.default_rng(seed)
    dtype = str(rng.choice(["u1", "i2", "i4", "f4", "f8"]))
    values = patterned(rng, dtype, str(rng.choice(["few", "wide", "normal"])), GRID.shape)
    weights = strategies.data_array(rng.choice([0.0, 0.3, rng.random()], GRID.shape), GRID)
    cdb = discs((rng.uniform(-180, 180), rng.uniform(-90, 90), rng.uniform(20, 120)), (3.0, 5.0, 4.0))
    size = float(abs(values.astype(float)).max())
    for options in ({"coverage": "exact"}, {"coverage": "exact", "weights": weights}, {"weights": "area"}):
        da = strategies.data_array(values, GRID)
        whole = da.craters.get_stats(cdb, "disc", NAMES, **options)
        with set_options(memory=memory):
            lazy = da.chunk(chunk).craters.get_stats(cdb, "disc", NAMES, **options)
        lazy = lazy.compute(scheduler="synchronous")
        for name in NAMES:
            np.testing.assert_allclose(lazy[name], whole[name], rtol=1e-9, atol=1e-11 * size, err_msg=name)


def test_coverage_of_a_half_none_all_and_a_quarter_of_four_pixels():
    """The case of rio-tiler's issue 680; the pixel that is not covered takes no part in any statistic."""
    grid = GridCase(Affine(1, 0, 0, 0, -1, 2), (2, 2))
    da = strategies.data_array(np.array([[1, 2], [3, 4]], "f4"), grid)
    weights = strategies.data_array(np.array([[0.5, 0.0], [1.0, 0.25]]), grid)
    names = "mean sum min max median majority minority unique"
    found = da.craters.get_stats(box_database(0, 0, 2, 2), "box", names, coverage="center", weights=weights)
    # The weights add up to 1.75 and their squares to 1.3125, so the median is the mean over the middle 0.75 of 1.75,
    # from 0.5 to 1.25, where the value is 3.
    wanted = {
        "mean": 4.5 / 1.75,
        "sum": 4.5,
        "min": 1,
        "max": 4,
        "median": 3,
        "majority": 3,
        "minority": 4,
        "unique": 3,
    }
    assert {name: found[name].values.item() for name in found} == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("weights", [(2.5, 2.4, 3.8, 1.1), (2.5, 2.4, 3.7, 1.2)])
def test_the_median_of_halves_of_equal_weight_lies_halfway_however_their_sum_is_rounded(weights):
    """In collapse's issue 448 rounding gave 2 or 2.5; here 2.5 + 2.4 and the other two weights both add up to 4.9."""
    found = of_run(np.array([1.0, 2, 3, 4]), np.array(weights))
    assert found[QUANTILES.index(0.5)] == pytest.approx(2.5, rel=1e-14)


def test_the_median_of_few_values_of_different_weights_has_half_of_the_weight_on_either_side():
    """In StatsBase's issue 435, interpolation between values left less than half of the weight below the median."""
    values, weights = np.array([1, 4, 3, 2, 2.5, 7]), np.array([0.1, 0.3, 0.05, 0.05, 0.2, 0.3])
    median = of_run(values, weights)[QUANTILES.index(0.5)]
    assert median == pytest.approx(float(exact.table(values, np.ones(6), weights).quantile(Fraction(1, 2))), rel=1e-14)
    assert 3 < median <= 4  # the cumulative weights are 0.1, 0.15, 0.35, 0.4, 0.7 and 1


@pytest.mark.parametrize("options", [{"coverage": "exact"}, {"weights": "area"}])
@pytest.mark.parametrize(("dtype", "scale"), [("i4", -0.5), ("u4", 1.0), ("f4", 1.0), ("f8", 1.0), ("i8", 1.0)])
def test_weighted_quantiles_of_regions_too_large_for_the_memory_are_the_same(dtype, scale, options):
    """Tiles are read again instead of raising an error, on one tile as on many."""
    rng = np.random.default_rng(7)
    pattern = str(rng.choice(["wide", "normal"]))
    da = strategies.data_array(patterned(rng, dtype, pattern, (2, *GRID.shape)), GRID)
    if scale != 1.0:
        da.attrs |= {"scale_factor": scale, "add_offset": 3.0}
    cdb = discs((10.0, 20.0, 120.0), (-70.0, -40.0, 50.0), (3.0, 5.0, 14.0))
    wanted = da.craters.get_stats(cdb, ["disc"], NAMES, **options)
    size = float(max(abs(wanted["quantile_0.0"]).max(), abs(wanted["quantile_1.0"]).max()))
    for chunks in ({}, {"x": 12, "y": 9}):
        with set_options(memory=8000):
            lazy = (da.chunk(chunks) if chunks else da).craters.get_stats(cdb, ["disc"], NAMES, **options)
            found = lazy.compute(scheduler="synchronous")
        for name in NAMES:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, atol=1e-11 * size, err_msg=name)


@pytest.mark.parametrize("memory", [1, 2**29])
@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_infinities_among_whole_pixels_give_the_quantiles_of_numpy_in_any_memory(memory, scale):
    """With four pixels the quantiles 0.175, 0.25 and 0.9 lie between two values, and 0.5 is halfway."""
    grid = GridCase(Affine(1, 0, 0, 0, -1, 2), (2, 2))
    inside = np.array(QUANTILES[1:-1])
    for numbers in ((-math.inf, 1.0, 2.0, 3.0), (1.0, 2.0, 3.0, math.inf), (-math.inf, 0.0, 0.5, math.inf)):
        da = strategies.data_array(np.array(numbers).reshape(2, 2), grid)
        if scale != 1.0:
            da.attrs |= {"scale_factor": scale, "add_offset": 0.0}
        with set_options(memory=memory):
            lazy = da.chunk(1).craters.get_stats(box_database(0, 0, 2, 2), "box", NAMES[1:-1], coverage="exact")
            found = lazy.compute(scheduler="synchronous")
        with np.errstate(invalid="ignore"):
            wanted = np.quantile(scale * np.array(numbers), inside)
        np.testing.assert_allclose([found[name].item() for name in NAMES[1:-1]], wanted, rtol=1e-12)


def test_modes_and_arrays_of_weights_say_how_much_memory_large_regions_need():
    da = strategies.data_array(np.random.default_rng(1).normal(size=GRID.shape), GRID).chunk(5)
    weights = strategies.data_array(np.ones(GRID.shape), GRID)
    for stats, by in (("median unique", None), ("median", weights)):
        with set_options(memory=1000):
            lazy = da.craters.get_stats(discs((10.0, 20.0, 120.0)), "disc", stats, coverage="exact", weights=by)
        with pytest.raises(StatisticError, match=r"set_options\(memory="):
            lazy.compute(scheduler="synchronous")
