"""Every statistic, under every coverage rule and weighting, agrees with exact arithmetic on brute-force fractions."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import exact_reference as exact
from tests import reference as ref
from tests import strategies
from tests.helpers import raise_if_dask_computes
from tests.strategies import MOON_RADIUS_M, GridCase
from xcrater import CraterDatabase
from xcrater.errors import GridError, NoOverlapWarning, StatisticError, XcraterError

Array = NDArray[Any]

COVERAGES = ("all_touched", "center", "exact")
WEIGHTS = (None, "area", "array")
DTYPES = ("u1", "i1", "i2", "u2", "i4", "f4", "f8")
FRACTIONS = ("frac_0", "frac_7", "frac_-9999", "frac_1.5")
STATS = (*exact.STATISTICS, "area", *FRACTIONS)
COUNTS = ("count", "nodata", "nan")
ORDER = ("min", "max", "range", "median", "majority", "minority", "unique", "variety")
SHARES = ("coverage", "area")
EPS = float(np.finfo(float).eps)
PIXEL = 1e-9
"""Error allowed in the covered fraction of a pixel."""
OUTLINE, CIRCLE = 2e-3, 5e-7
"""Errors allowed in the true area of a pixel's part, in pixels, and of a whole circle, in circles.

Both are for circles, which the oracle replaces by polygons within a hundredth of a pixel and of nearly the same area.
"""

GLOBAL = GridCase(Affine(10, 0, -180, 0, -10, 90), (18, 36))
FINE = GridCase(Affine(2, 0, -180, 0, -2, 90), (90, 180))


@dataclass(frozen=True, eq=False)
class Region:
    """One region of one crater according to the oracle."""

    fraction: Array
    areas: Array
    """True area of the part of each pixel inside the region, m²; of the whole pixel unless coverage is exact."""
    tie: bool
    """Whether rounding decides which pixels belong to the region."""
    off: Array | None = None
    """Error allowed in each of these areas besides rounding, m²; None unless coverage is exact."""
    all_off: float = 0.0
    """Error allowed in the sum of all areas, m²."""

    def area_slack(self, valid: Array) -> float:
        """Error allowed in the sum of the areas of the valid pixels, m²."""
        return self.all_off if self.off is None or valid[self.fraction > 0].all() else math.fsum(self.off[valid])


def region_of(case: GridCase, cdb: CraterDatabase, name: str, crater: int, coverage: str) -> Region:
    shape = cdb.region(name)
    radius = math.degrees(cdb.rad.iloc[crater] / MOON_RADIUS_M)
    place = float(cdb.lon.iloc[crater]), float(cdb.lat.iloc[crater])
    return annulus(case, *place, shape.inner * radius, shape.outer * radius, shape.nvert, coverage)


@functools.lru_cache(maxsize=4096)
def annulus(
    case: GridCase, lon: float, lat: float, inner: float, outer: float, nvert: int | None, coverage: str
) -> Region:
    if coverage == "exact":
        return partly_covered(case, lon, lat, inner, outer, nvert)
    grid = case.transform, case.shape
    if nvert is None:
        of = (*grid, lon, lat, inner, outer)
        mask = ref.circle_mask_center if coverage == "center" else ref.circle_mask_all_touched
        margin = ref.circle_margin_center if coverage == "center" else ref.circle_margin_all_touched
        inside, tie = mask(*of).astype(float), bool((margin(*of) < ref.TIE).any())
    else:
        geometry = ref.polygon_region(lon, lat, inner, outer, nvert)
        tie = any(ref.tangent_to_pole(lat, bound) for bound in (inner, outer))
        tie |= bool(ref.polygon_ties(*grid, geometry, coverage).any())
        inside = ref.polygon_mask(*grid, geometry, coverage).astype(float)
    return Region(inside, inside * exact.true_areas(*grid, MOON_RADIUS_M), tie)


def partly_covered(case: GridCase, lon: float, lat: float, inner: float, outer: float, nvert: int | None) -> Region:
    grid = case.transform, case.shape
    if nvert is None:
        of = (*grid, lon, lat, inner, outer)
        fraction, areas, tie = exact.circle_coverage(*of), exact.circle_areas(*of, MOON_RADIUS_M), False
    else:
        geometry = ref.polygon_region(lon, lat, inner, outer, nvert)
        fraction = exact.polygon_coverage(*grid, geometry)
        areas = exact.polygon_areas(*grid, geometry, MOON_RADIUS_M)
        tie = any(ref.tangent_to_pole(lat, bound) for bound in (inner, outer))
    off = bends(case, fraction)
    all_off = math.fsum(off.ravel())
    if nvert is None:
        off += OUTLINE * np.where((fraction > 0) & (fraction < 1), exact.true_areas(*grid, MOON_RADIUS_M), 0)
        total, circle = math.fsum(areas.ravel()), cap(outer) - cap(inner)
        all_off = all_off + CIRCLE * circle if total == pytest.approx(circle, rel=1e-9) else math.fsum(off.ravel())
    return Region(np.where(fraction < 1e-12, 0, fraction), areas, tie or doubtful(fraction), off, all_off)


def cap(radius: float) -> float:
    """True area of a spherical cap of this angular radius in degrees, m²."""
    return 4 * math.pi * (MOON_RADIUS_M * math.sin(math.radians(radius) / 2)) ** 2


def bends(case: GridCase, fraction: Array) -> Array:
    """Bound on the error of partial pixel areas, m², from approximating the cosine of latitude by a cubic.

    The cubic is more accurate than the parabola that has the integrals of the cosine over the pixel and its two
    neighbours. In units of the pixel's height h, with y measured from its middle, that parabola misses the third-order
    term sin h³/6 (y³ - 5/4 y): h³/12 at the edges, 0.28 of that over half a pixel, and nothing over a whole pixel.
    """
    h, width = abs(math.radians(case.transform.e)), abs(math.radians(case.transform.a))
    sine = np.abs(np.sin(np.radians(ref.pixel_centres(case.transform, case.shape)[1])))
    part = np.clip(np.minimum(fraction, 1 - fraction), 0, 0.3)
    return part * h**3 / 12 * (sine + h) * h * width * MOON_RADIUS_M**2


def doubtful(fraction: Array) -> bool:
    """Whether so little of some pixel is inside that rounding may leave the pixel out."""
    return bool(((fraction > -1e-7) & (fraction != 0) & (fraction < 1e-7)).any())


def with_regions(frame: pd.DataFrame, nvert: int | None = 32) -> CraterDatabase:
    cdb = CraterDatabase(frame, "moon")
    cdb.add_circles("floor", 1.0, nvert=nvert)
    cdb.add_annuli("rim", 0.8, 1.7, nvert=nvert)
    return cdb


def craters(*places: tuple[float, float, float]) -> pd.DataFrame:
    """A table of craters at (longitude, latitude, angular radius) in degrees."""
    lon, lat, radius = np.array(places, dtype=float).T
    return pd.DataFrame({"lat": lat, "lon": lon, "radius": np.radians(radius) * MOON_RADIUS_M})


PLACES = (
    (12.31, 34.53, 17.07),
    (179.13, -20.17, 15.03),
    (33.27, 84.61, 9.07),
    (-77.1, -89.2, 23.3),
    (-100.37, -5.17, 2.11),
)
"""Craters in the open, across the seam, over either pole, and smaller than a pixel."""


def get_stats(da: xr.DataArray, cdb: CraterDatabase, regions: Any, stats: Any = STATS, **options: Any) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoOverlapWarning)
        return da.craters.get_stats(cdb, regions, stats, **options).compute()


def random_weights(case: GridCase, seed: int = 0, chunks: Any = None) -> xr.DataArray:
    return strategies.data_array(np.random.default_rng(seed).uniform(0.5, 2, case.shape), case, chunks=chunks)


def assert_right(
    found: dict[str, Any], values: Array, nodata: Any, region: Region, weights: Any, exactly: bool
) -> bool:
    """Compare the statistics of one region with the oracle's, within the error of rounding and of covered fractions.

    Parameters
    ----------
    found : dict
        The statistics of the region by name.
    values : ndarray, shape (rows, columns)
        The raster's values, which may be infinite.
    nodata : number or None
        The value of missing pixels.
    region : Region
        The region according to the oracle.
    weights : ndarray, shape (rows, columns), or None
        Weight of each pixel.
    exactly : bool
        Whether coverage is exact, that is, in fractions of a pixel.

    Returns
    -------
    bool
        Whether every statistic was compared with the oracle's. One that rounding decides is only checked to be
        possible.
    """
    fraction = region.fraction
    wanted = exact.statistics(values, fraction, weights, nodata, STATS, fractions=exactly, areas=region.areas)
    table = exact.table(values, fraction, weights, nodata, fractions=exactly)
    slack = PIXEL * max(1, np.count_nonzero(fraction)) if exactly else 0.0
    for name in COUNTS:
        assert found[name] == pytest.approx(wanted[name], abs=slack, rel=1e-9 if exactly else 0), name
    if exactly and wanted["count"] < 1e3 * slack:  # almost no area inside
        assert_possible(found, values)
        return False
    inside = math.fsum(fraction.ravel())
    off = 4 * slack / inside if exactly and inside else 0.0  # relative error of the total weight
    valid = (values == values) & (True if nodata is None else values != nodata)
    for name, absolute in (("coverage", 0.0), ("area", region.area_slack(valid))):
        assert found[name] == pytest.approx(wanted[name], rel=1e-9 + off, abs=absolute, nan_ok=True), name
    if region.tie and exactly and not table.numbers:
        assert_possible(found, values)
        return False
    x = np.array(table.numbers, dtype=float)
    if x.size == 0:
        for name in set(STATS) - {*COUNTS, *SHARES}:
            assert math.isnan(found[name]), name
        return True
    finite = bool(np.isfinite(x).all())
    heavy = np.array([float(weight) for weight in table.weights])
    if not region.tie:
        for name in (name for name in ("min", "max", "range", "unique", "variety") if name in STATS):
            assert found[name] == pytest.approx(wanted[name], rel=0, abs=0, nan_ok=True), name
        for name in ("majority", "minority"):
            if table.ranked:
                assert found[name] == wanted[name], name
            else:  # rounding chooses among values of equal weight
                value = type(table.numbers[0])(found[name])
                assert float(table.weight_of[value]) == pytest.approx(
                    float(table.weight_of[type(value)(wanted[name])]), rel=1e-12, abs=off * float(table.total)
                ), name
        for name in STATS:
            if name == "median" or name.startswith(("percentile_", "quantile_")):
                assert_quantile(found[name], table, name, off)
    for name in FRACTIONS:
        assert found[name] == pytest.approx(wanted[name], rel=1e-12, abs=off), name
    if not finite:
        for name in ("sum", "mean", "std", "var", "skew", "kurtosis", "cv"):
            assert found[name] == pytest.approx(wanted[name], nan_ok=True), name
        return not region.tie
    whole = values.dtype.kind in "iu" and table.ranked
    return assert_moments(found, wanted, x, heavy, off, whole=whole) and not region.tie


def assert_possible(found: dict[str, Any], values: Array) -> None:
    """Order statistics are NaN or the value of some pixel, and averages lie between the smallest and largest value."""
    valid = values[values == values].astype(float)
    for name in ("min", "max", "majority", "minority"):
        assert math.isnan(found[name]) or found[name] in valid, name
    for name in ("mean", "median", "percentile_33.3", "quantile_0.9"):
        assert math.isnan(found[name]) or valid.min() <= found[name] <= valid.max(), name
    for name in FRACTIONS:
        assert math.isnan(found[name]) or 0 <= found[name] <= 1, name


def assert_quantile(found: float, table: exact.Table, name: str, off: float) -> None:
    """Unweighted quantiles are those of numpy; weighted ones lie between the quantiles slightly below and above."""
    kind, _, number = name.partition("_")
    q = Fraction(1, 2) if kind == "median" else Fraction(number) / (100 if kind == "percentile" else 1)
    spread = 8 * EPS * max((abs(x) for x in table.numbers if math.isfinite(x)), default=0)
    if table.ranked:
        with np.errstate(invalid="ignore"):
            assert found == pytest.approx(ref.quantile(table.numbers, float(q)), rel=0, abs=spread, nan_ok=True), name
        return
    # The quantile is the mean over an interval that holds 1/n of the total weight; an error in the fractions moves its
    # ends.
    shift = Fraction(1e-13 + off)
    n = table.total**2 / sum(weight**2 for weight in table.weights)
    finite = [x for x in table.numbers if math.isfinite(x)]
    spread += 4 * float(shift * n) * (float(max(finite)) - float(min(finite)) if finite else 0.0)
    low, high = (table.quantile(q, sign * shift) for sign in (-1, 1))
    if math.isnan(found):  # interpolating from negative infinity computes inf - inf
        assert low == -math.inf or math.isnan(low) or math.isnan(high), (name, low, high)
        return
    low, high = -math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high
    assert low - spread <= found <= high + spread, (name, found, low, high)


def assert_moments(
    found: dict[str, Any], wanted: dict[str, Any], x: Array, heavy: Array, off: float, *, whole: bool
) -> bool:
    """Compare sums and moments; return whether the variance is accurate enough to compare the higher moments."""
    total, top, spread = float(heavy.sum()), float(np.abs(x).max()), float(x.max() - x.min())
    rel = 1e-12
    magnitude = float((heavy * np.abs(x)).sum())
    assert found["sum"] == pytest.approx(
        wanted["sum"], rel=0, abs=0.0 if whole else rel * magnitude + off * total * top
    )
    assert found["mean"] == pytest.approx(wanted["mean"], rel=rel, abs=rel * magnitude / total + off * spread)
    std, var = wanted["std"], wanted["var"]
    # Floats carry a rounding error relative to their size, which enters the variance multiplied by the spread.
    rounding = 0.0 if whole else 8 * EPS * top * std + (4 * EPS * top) ** 2
    abs_var = rounding + 2 * off * spread**2
    assert found["var"] == pytest.approx(var, rel=rel, abs=abs_var)
    abs_std = math.sqrt(abs_var) if std == 0 else min(math.sqrt(abs_var), abs_var / std)
    assert found["std"] == pytest.approx(std, rel=rel, abs=abs_std)
    if wanted["mean"] != 0 and abs(wanted["mean"]) > 1e-6 * top:
        error = (abs_std + std * (rel + (rel * magnitude / total + off * spread) / abs(wanted["mean"]))) / abs(
            wanted["mean"]
        )
        assert found["cv"] == pytest.approx(wanted["cv"], rel=rel, abs=2 * error)
    if std == 0 and whole:
        assert math.isnan(found["skew"])
        assert math.isnan(found["kurtosis"])
    if var <= 100 * abs_var or top > 1e70:
        return whole and var == 0
    reach = spread / std
    doubt = 1e-11 + off + (0 if whole else 8 * EPS * top / std)
    assert found["skew"] == pytest.approx(wanted["skew"], rel=1e-11, abs=8 * doubt * reach**3)
    assert found["kurtosis"] == pytest.approx(wanted["kurtosis"], rel=1e-11, abs=8 * doubt * reach**4)
    return True


def each(found: xr.Dataset, cdb: CraterDatabase) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield each region, the crater's position and its statistics by name."""
    for region in found["region"].values.tolist():
        for crater in range(len(cdb)):
            yield region, crater, {str(name): found[name].sel(region=region).values[crater] for name in found.data_vars}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("coverage", COVERAGES)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_statistics_of_random_rasters_and_craters(coverage: str, weights: str | None, data: st.DataObject) -> None:
    grid = data.draw(strategies.grids(max_pixels=700))
    pixels = data.draw(strategies.pixel_values(grid.shape, dtypes=DTYPES))
    if pixels.values.dtype.kind == "f" and data.draw(st.booleans()):
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        odds = data.draw(st.sampled_from([(0.1, 0.1, 0.4, 0.4), (0.5, 0, 0.5, 0), (0, 0, 0.5, 0.5)]))
        special = rng.choice([np.inf, -np.inf, -0.0, 0.0], grid.shape, p=odds)
        pixels.values[...] = np.where(rng.random(grid.shape) < 0.3, special, pixels.values)
    cdb = with_regions(
        data.draw(strategies.crater_tables(grid, max_size=3, max_radius=40)), data.draw(st.sampled_from([None, 32]))
    )
    chunks = data.draw(strategies.chunkings(grid.shape))
    areas = exact.true_areas(grid.transform, grid.shape, MOON_RADIUS_M)
    array = random_weights(grid)
    heavy = {None: None, "area": areas, "array": array.values}[weights]
    given_weights = array if weights == "array" else weights
    answers = [
        get_stats(
            strategies.data_array(pixels.values, grid, chunks=cut, nodata=pixels.nodata),
            cdb, ["floor", "rim"], coverage=coverage, weights=given_weights, categorical=True,
        )
        for cut in (None, chunks)
    ]  # fmt: skip
    nodata = None if pixels.nodata is not None and math.isnan(pixels.nodata) else pixels.nodata
    for found in answers:
        assert found["count"].dtype == (np.float64 if coverage == "exact" else np.int64)
        for region, crater, numbers in each(found, cdb):
            oracle = region_of(grid, cdb, region, crater, coverage)
            if oracle.tie and coverage != "exact":
                assert_possible(numbers, pixels.values)
                continue
            assert_right(numbers, pixels.values, nodata, oracle, heavy, coverage == "exact")
            if oracle.tie:
                continue
            wanted = exact.categories(pixels.values, oracle.fraction, heavy, nodata)
            slack = 2 * PIXEL * np.count_nonzero(oracle.fraction) * (1 if heavy is None else heavy.max())
            assert numbers["categorical"] == pytest.approx(
                wanted, rel=1e-12, abs=slack if coverage == "exact" else 0
            ), (region, crater)
    whole, cut = answers
    ordered = [name for name in STATS if name in ORDER or (coverage != "exact" and name in (*COUNTS, "coverage"))]
    if coverage != "exact" and weights is None:
        ordered += [name for name in STATS if name.startswith(("percentile_", "quantile_", "frac_"))]
    else:  # these depend on sums of weights, whose last digit depends on the order of addition
        ordered = [name for name in ordered if name not in ("median", "majority", "minority")]
    xr.testing.assert_identical(cut[ordered], whole[ordered])


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("nvert", [None, 32])
@pytest.mark.parametrize("dtype", ["u1", "f8"])
def test_statistics_across_the_seam_and_over_the_poles(
    coverage: str, weights: str | None, nvert: int | None, dtype: str
) -> None:
    rng = np.random.default_rng(7)
    values = rng.integers(0, 9, GLOBAL.shape).astype(dtype) if dtype == "u1" else rng.normal(50, 20, GLOBAL.shape)
    cdb = with_regions(craters(*PLACES), nvert)
    areas = exact.true_areas(GLOBAL.transform, GLOBAL.shape, MOON_RADIUS_M)
    array = random_weights(GLOBAL)
    heavy = {None: None, "area": areas, "array": array.values}[weights]
    da = strategies.data_array(values, GLOBAL, chunks={"y": 7, "x": 10}, nodata=3)
    found = get_stats(
        da, cdb, ["floor", "rim"], coverage=coverage, weights=array.chunk(y=5) if weights == "array" else weights
    )
    compared = []
    for region, crater, numbers in each(found, cdb):
        oracle = region_of(GLOBAL, cdb, region, crater, coverage)
        assert not oracle.tie
        compared.append(assert_right(numbers, values, 3, oracle, heavy, coverage == "exact"))
    assert sum(compared) >= 2 * len(PLACES[:4])  # a region within one pixel has no higher moments


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("coverage", COVERAGES)
def test_a_small_spread_on_a_great_mean_is_seen(coverage: str, weights: str | None) -> None:
    """For values of 1e9 ± 1, a variance from the difference of sums of squares would be wrong by about a hundred."""
    values = 1e9 + np.random.default_rng(0).choice([-1.0, 1.0], GLOBAL.shape)
    cdb = with_regions(craters(*PLACES[:4]), None)
    areas = exact.true_areas(GLOBAL.transform, GLOBAL.shape, MOON_RADIUS_M)
    array = random_weights(GLOBAL)
    heavy = {None: None, "area": areas, "array": array.values}[weights]
    names = ["mean", "std", "var", "cv", "skew", "kurtosis"]
    for chunks in (None, {"y": 3, "x": 5}):
        da = strategies.data_array(values, GLOBAL, chunks=chunks)
        found = get_stats(
            da, cdb, ["floor", "rim"], names, coverage=coverage, weights=array if weights == "array" else weights
        )
        for region, crater, numbers in each(found, cdb):
            fraction = region_of(GLOBAL, cdb, region, crater, coverage).fraction
            wanted = exact.statistics(values, fraction, heavy, None, names, fractions=coverage == "exact")
            assert numbers["mean"] == pytest.approx(wanted["mean"], rel=1e-14)
            for name in names[1:]:
                assert numbers[name] == pytest.approx(wanted[name], rel=1e-5, abs=1e-5 if "cv" not in name else 0), name


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize(("dtype", "value"), [("u1", 255), ("i2", -7), ("i4", 2**31 - 1), ("f4", 0.1), ("f8", 1e9)])
def test_a_constant_has_no_spread(coverage: str, weights: str | None, dtype: str, value: float) -> None:
    da = strategies.data_array(np.full(GLOBAL.shape, value, dtype), GLOBAL, chunks={"y": 5})
    value = float(np.dtype(dtype).type(value))
    cdb = with_regions(craters(*PLACES[:4]))
    found = get_stats(
        da, cdb, "rim", [*STATS, f"frac_{value!r}"],
        coverage=coverage, weights=random_weights(GLOBAL) if weights == "array" else weights,
    )  # fmt: skip
    for name in ("min", "max", "median", "percentile_33.3", "quantile_0.9", "majority", "minority"):
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    np.testing.assert_allclose(found["mean"], value, rtol=1e-15)
    for name in ("std", "var", "range"):
        np.testing.assert_allclose(found[name], 0, atol=1e-15 * abs(value) ** (1 + (name == "var")), err_msg=name)
    assert (found["unique"] == 1).all()
    np.testing.assert_allclose(found[f"frac_{value!r}"], 1, rtol=1e-12)
    if dtype[0] in "iu":
        np.testing.assert_array_equal(found["std"], 0)
        assert np.isnan(found["skew"]).all()
        assert np.isnan(found["kurtosis"]).all()
        np.testing.assert_array_equal(found["cv"], 0)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("dtype", ["u1", "i4", "f4"])
def test_without_valid_pixels_counts_are_0_and_all_else_is_nan(coverage: str, weights: str | None, dtype: str) -> None:
    values = np.full(GLOBAL.shape, 7, dtype)
    if dtype == "f4":
        values[::2] = np.nan
    cdb = with_regions(craters(*PLACES[:4]))
    given_weights = random_weights(GLOBAL) if weights == "array" else weights
    for chunks in (None, {"x": 11}):
        da = strategies.data_array(values, GLOBAL, chunks=chunks, nodata=7)
        found = get_stats(da, cdb, ["floor", "rim"], coverage=coverage, weights=given_weights, categorical=True)
        for name in STATS:
            if name in ("count", "area"):
                np.testing.assert_array_equal(found[name], 0, err_msg=name)
            elif name not in ("nodata", "nan"):
                assert np.isnan(found[name]).all(), name
        assert (found["nodata"] + found["nan"] > 0).all()
        assert all(table == {} for table in found["categorical"].values.ravel())


@pytest.mark.parametrize("coverage", ["all_touched", "center"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_quantiles_without_weights_agree_with_numpy(coverage: ref.Coverage, dtype: str) -> None:
    values = (np.random.default_rng(3).gamma(2, 20, FINE.shape)).astype(dtype)
    cdb = with_regions(craters(*PLACES), None)
    names = ["median", *(f"percentile_{q}" for q in (0, 1, 25, 33.3, 50, 90, 99.9, 100)), "quantile_0.25", "quantile_1"]
    found = get_stats(
        strategies.data_array(values, FINE, chunks={"y": 40, "x": 70}), cdb, ["rim"], names, coverage=coverage
    )
    for region, crater, numbers in each(found, cdb):
        inside = values[region_of(FINE, cdb, region, crater, coverage).fraction > 0].astype(float)
        for name in names:
            kind, _, q = name.partition("_")
            percent = 50.0 if kind == "median" else float(q) * (1 if kind == "percentile" else 100)
            assert numbers[name] == pytest.approx(np.percentile(inside, percent), rel=4 * EPS), name


def test_a_common_integer_weight_changes_no_moment() -> None:
    values = np.random.default_rng(5).normal(100, 30, GLOBAL.shape)
    da, cdb = strategies.data_array(values, GLOBAL), with_regions(craters(*PLACES))
    twos = strategies.data_array(np.full(GLOBAL.shape, 2.0), GLOBAL)
    plain, heavy = get_stats(da, cdb, "rim"), get_stats(da, cdb, "rim", weights=twos)
    for name in ("mean", "var", "std", "cv", "skew", "kurtosis", "min", "max", "count", "coverage", "area", "unique"):
        np.testing.assert_allclose(heavy[name], plain[name], rtol=1e-11, err_msg=name)
    np.testing.assert_allclose(heavy["sum"], 2 * plain["sum"], rtol=1e-13)
    # All values differ, so interpolating between distinct values is interpolating between pixels.
    for name in ("median", "percentile_33.3", "quantile_0.9"):
        np.testing.assert_allclose(heavy[name], plain[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("coverage", COVERAGES)
def test_weights_by_area_equal_an_array_of_areas(coverage: str) -> None:
    values = np.random.default_rng(6).integers(0, 9, GLOBAL.shape).astype("i2")
    areas = exact.true_areas(GLOBAL.transform, GLOBAL.shape, MOON_RADIUS_M)
    da, cdb = strategies.data_array(values, GLOBAL, nodata=0), with_regions(craters(*PLACES), None)
    by_name = get_stats(da, cdb, ["floor", "rim"], coverage=coverage, weights="area")
    by_array = get_stats(da, cdb, ["floor", "rim"], coverage=coverage, weights=strategies.data_array(areas, GLOBAL))
    for name in STATS:
        np.testing.assert_allclose(by_name[name], by_array[name], rtol=1e-10, atol=1e-10, err_msg=name)


def test_weights_leave_counts_alone() -> None:
    values = np.random.default_rng(6).integers(0, 9, GLOBAL.shape).astype("u1")
    da, cdb = strategies.data_array(values, GLOBAL, nodata=0), with_regions(craters(*PLACES))
    for coverage in COVERAGES:
        plain = get_stats(da, cdb, "rim", [*COUNTS, *SHARES], coverage=coverage)
        heavy = get_stats(da, cdb, "rim", [*COUNTS, *SHARES], coverage=coverage, weights=random_weights(GLOBAL))
        xr.testing.assert_allclose(heavy, plain, rtol=1e-12)


def test_pixels_of_weight_0_are_counted_but_have_no_value() -> None:
    values = np.random.default_rng(8).integers(0, 9, GLOBAL.shape).astype("i2")
    values[GLOBAL.shape[0] // 3] = 99
    weights = random_weights(GLOBAL)
    weights.values[values == 99] = 0
    da, cdb = strategies.data_array(values, GLOBAL), with_regions(craters((0.3, 30.2, 25.1)), None)
    found = get_stats(da, cdb, ["floor"], weights=weights, categorical=True)
    oracle = region_of(GLOBAL, cdb, "floor", 0, "all_touched")
    inside = oracle.fraction
    ((_, _, numbers),) = each(found, cdb)
    assert ((values == 99) & (inside > 0)).any()
    wanted = exact.statistics(values, inside, weights.values, None, STATS, areas=oracle.areas)
    names = [*COUNTS, *SHARES, "sum", "mean", "std", "skew", "min", "max", "range", "median", "majority", "frac_7"]
    for name in names:
        assert numbers[name] == pytest.approx(wanted[name], rel=1e-10), name


@pytest.mark.parametrize("chunks", [None, {"y": 7}])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.5])
def test_impossible_weights_are_refused_where_they_matter(bad: float, chunks: Any) -> None:
    values = np.random.default_rng(8).integers(1, 9, GLOBAL.shape).astype("i2")
    cdb = with_regions(craters((0.3, 30.2, 15.1)), None)
    inside = region_of(GLOBAL, cdb, "floor", 0, "all_touched").fraction > 0
    row, col = np.argwhere(inside)[1]
    weights = random_weights(GLOBAL)
    weights.values[~inside] = bad
    da = strategies.data_array(values, GLOBAL, chunks=chunks, nodata=0)
    assert np.isfinite(get_stats(da, cdb, "floor", "mean", weights=weights)["mean"]).all()
    weights.values[row, col] = bad
    with pytest.raises((GridError, StatisticError), match="weight"):
        get_stats(da, cdb, "floor", "mean", weights=weights)
    values[row, col] = 0
    da = strategies.data_array(values, GLOBAL, chunks=chunks, nodata=0)
    assert np.isfinite(get_stats(da, cdb, "floor", "mean", weights=weights)["mean"]).all()


def test_weights_of_another_grid_are_refused() -> None:
    da, cdb = strategies.data_array(np.ones(GLOBAL.shape), GLOBAL), with_regions(craters(*PLACES))
    weights = random_weights(GLOBAL)
    others = {
        "shape": weights.isel(y=slice(1, None)),
        "coordinates": random_weights(GridCase(Affine(10, 0, 0, 0, -10, 90), GLOBAL.shape)),
        "upside down": weights.isel(y=slice(None, None, -1)),
        "CRS": weights.rio.write_crs("IAU_2015:49900"),
    }
    for other in others.values():
        with pytest.raises((GridError, StatisticError, XcraterError), match="weights"):
            da.craters.get_stats(cdb, "rim", "mean", weights=other)
    for nonsense in ("areas", 3.0):
        with pytest.raises(StatisticError, match="weights"):
            da.craters.get_stats(cdb, "rim", "mean", weights=nonsense)


def test_weights_and_coverage_are_lazy_and_have_keys_of_their_own() -> None:
    values = np.random.default_rng(9).integers(0, 9, GLOBAL.shape).astype("u1")
    da, cdb = strategies.data_array(values, GLOBAL, chunks={"y": 7}), with_regions(craters(*PLACES))
    requests: list[dict[str, Any]] = [
        {"coverage": coverage, "weights": weights}
        for coverage in COVERAGES
        for weights in (None, "area", random_weights(GLOBAL, 0, {"y": 5}), random_weights(GLOBAL, 1, {"y": 5}))
    ]
    with raise_if_dask_computes():
        lazy = [da.craters.get_stats(cdb, "rim", "mean", **request)["mean"] for request in requests]
    assert len({mean.data.name for mean in lazy}) == len(requests)
    assert len({tuple(mean.values.tolist()) for mean in lazy}) == len(requests)


@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_scale_and_offset_reach_every_statistic(coverage: str, weights: str | None) -> None:
    values = np.random.default_rng(10).integers(0, 40, GLOBAL.shape).astype("i2")
    cdb = with_regions(craters(*PLACES[:4]), None)
    da = strategies.data_array(values, GLOBAL, chunks={"y": 7, "x": 13}, nodata=3)
    da.attrs |= {"scale_factor": -0.5, "add_offset": 11.0}
    areas = exact.true_areas(GLOBAL.transform, GLOBAL.shape, MOON_RADIUS_M)
    array = random_weights(GLOBAL)
    heavy = {None: None, "area": areas, "array": array.values}[weights]
    found = get_stats(da, cdb, ["floor", "rim"], coverage=coverage, weights=array if weights == "array" else weights)
    decoded = np.where(values == 3, 1e6, 11 - 0.5 * values)
    for region, crater, numbers in each(found, cdb):
        oracle = region_of(GLOBAL, cdb, region, crater, coverage)
        assert not oracle.tie
        assert assert_right(numbers, decoded, 1e6, oracle, heavy, coverage == "exact")


@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("lead", [(2,), (2, 2)])
def test_weights_serve_every_band(coverage: str, lead: tuple[int, ...]) -> None:
    values = np.random.default_rng(11).normal(5, 2, (*lead, *GLOBAL.shape)).astype("f4")
    cdb, weights = with_regions(craters(*PLACES)), random_weights(GLOBAL)
    da = strategies.data_array(values, GLOBAL, chunks=(*((1,) * n for n in lead), 7, 13))
    names = ["mean", "std", "median", "skew", "count"]
    found = get_stats(da, cdb, ["floor", "rim"], names, coverage=coverage, weights=weights)
    assert found["mean"].shape == (*lead, 2, len(PLACES))
    for index in np.ndindex(*lead):
        alone = get_stats(
            strategies.data_array(values[index], GLOBAL),
            cdb,
            ["floor", "rim"],
            names,
            coverage=coverage,
            weights=weights,
        )
        for name in names:
            np.testing.assert_allclose(found[name].values[index], alone[name], rtol=1e-11, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("nvert", [None, 32])
def test_a_region_smaller_than_a_pixel_keeps_its_area(nvert: int | None) -> None:
    da = strategies.data_array(np.arange(36 * 18, dtype="i2").reshape(GLOBAL.shape), GLOBAL)
    radius = 0.05
    cdb = with_regions(craters((14.7, 3.3, radius), (0.0, -4.1, radius), (10.0, 10.0, radius)), nvert)
    found = get_stats(da, cdb, "floor", ["count", "area", "mean"], coverage="exact")
    area = cap(radius)
    if nvert is not None:
        area *= nvert / 2 * math.sin(2 * math.pi / nvert) / math.pi
    at = np.cos(np.radians(cdb.lat))
    np.testing.assert_allclose(found["count"], area / MOON_RADIUS_M**2 / at / math.radians(10) ** 2, rtol=1e-5)
    np.testing.assert_allclose(found["area"], area, rtol=5e-5)  # pixels of 10° are coarse; see `bends`
    row, col = 8, 19
    assert found["mean"].values[0] == pytest.approx(row * 36 + col, rel=1e-12)
    assert found["mean"].values[1] == pytest.approx(9 * 36 + 17.5, rel=1e-9)  # one half on either of two pixels


@pytest.mark.parametrize("place", [(12.3, 34.5, 7.0), (179.9, -20.0, 15.0), (33.0, 85.0, 9.0), (0.0, -90.0, 20.0)])
def test_area_agrees_with_that_of_a_spherical_cap(place: tuple[float, float, float]) -> None:
    """Partial pixels add up to the cap, except for terms of third order in the pixel's height; see `bends`."""
    cdb = with_regions(craters(place), None)
    da = strategies.data_array(np.ones(FINE.shape, "u1"), FINE, chunks={"y": 31})
    found = get_stats(da, cdb, ["floor", "rim"], ["area", "coverage"], coverage="exact")
    wanted = np.array([cap(place[2]), cap(1.7 * place[2]) - cap(0.8 * place[2])])
    np.testing.assert_allclose(found["area"].values[:, 0], wanted, rtol=2e-6)
    np.testing.assert_array_equal(found["coverage"], 1)


@pytest.mark.parametrize("coverage", COVERAGES)
def test_coverage_and_area_refer_to_pixels_with_values(coverage: str) -> None:
    rng = np.random.default_rng(12)
    values = rng.integers(1, 9, GLOBAL.shape).astype("f4")
    values[rng.random(GLOBAL.shape) < 0.2] = np.nan
    values[rng.random(GLOBAL.shape) < 0.2] = 0
    partial = GridCase(Affine(10, 0, -20, 0, -10, 60), (6, 8))
    cdb = with_regions(craters((12.31, 34.53, 17.07)), None)  # the ring extends beyond the raster
    da = strategies.data_array(values[:6, :8], partial, nodata=0)
    found = get_stats(da, cdb, ["floor", "rim"], coverage=coverage)
    for region, crater, numbers in each(found, cdb):
        oracle = region_of(partial, cdb, region, crater, coverage)
        assert 0 < numbers["coverage"] < 1
        assert assert_right(numbers, values[:6, :8], 0, oracle, None, coverage == "exact")


def test_meaningless_names_of_statistics_are_refused() -> None:
    da, cdb = strategies.data_array(np.ones(GLOBAL.shape), GLOBAL), with_regions(craters(*PLACES))
    for name in ("quantile_1.5", "quantile_-0.1", "quantile_", "frac_", "frac_red", "percentile_101", "varr"):
        with pytest.raises(StatisticError, match=name):
            da.craters.get_stats(cdb, "rim", name)
