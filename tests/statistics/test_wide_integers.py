"""On rasters of 32- and 64-bit integers, every statistic is either exact or refused by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from affine import Affine

from tests import strategies
from tests.strategies import GridCase
from xcrater import CraterDatabase
from xcrater.aggregations import Aggregation
from xcrater.errors import GridError, StatisticError

GRID = GridCase(Affine(10, 0, -180, 0, -10, 90), (18, 36))
INSIDE = (slice(5, 13), slice(14, 22))
"""The pixels of the box from -40° to 40° in longitude and latitude."""

EXACT = "count min max range majority minority unique variety median nodata coverage"


def database() -> CraterDatabase:
    cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "rad": [1e3]}), "moon")
    cdb.add_polygons("box", [shapely.box(-40, -40, 40, 40)])
    return cdb


def numbers(da: xr.DataArray, stats: str, **options: Any) -> dict[str, Any]:
    found = da.craters.get_stats(database(), "box", stats, coverage=options.pop("coverage", "center"), **options)
    return {name: array.values.item() for name, array in found.compute().items()}


def identifiers(dtype: str, first: int, step: int = 1) -> xr.DataArray:
    """A raster of distinct identifiers in the box, except for one that occurs three times."""
    values = np.full(GRID.shape, first, dtype)
    row = first + step * np.arange(64, dtype=object)
    values[INSIDE] = row.astype(dtype).reshape(8, 8)
    values[5, 15:17] = values[5, 14]
    return strategies.data_array(values, GRID)


def ways(da: xr.DataArray) -> list[xr.DataArray]:
    return [da, da.chunk(36), da.chunk({"y": 7, "x": 18}), da.chunk(5)]


@pytest.mark.parametrize(
    ("dtype", "first", "step"),
    [
        ("u4", 2**31 - 20, 1), ("u4", 2**32 - 64, 1), ("i8", 2**31, 3), ("i8", -(2**40), 1), ("u8", 2**40, 1),
        ("i8", -(2**52), 2**40), ("i8", 2**60, 2**20), ("u8", 2**62, 2**30), ("i8", -(2**62), 2**57),
    ],
)  # fmt: skip
def test_large_identifiers_have_exact_counts_extremes_and_frequencies(dtype, first, step):
    da = identifiers(dtype, first, step)
    inside = da.values[INSIDE].astype(object)
    for way in ways(da):
        found = numbers(way, f"{EXACT} percentile_0 percentile_100".replace("median ", ""))
        assert found["count"] == 64
        assert found["min"] == found["percentile_0"] == inside.min()
        assert found["max"] == found["percentile_100"] == inside.max()
        assert found["range"] == inside.max() - inside.min()
        assert found["unique"] == found["variety"] == 62
        assert found["majority"] == inside[0, 0]
        assert found["minority"] == inside[0, 3]


@pytest.mark.parametrize("first", [2**31, 2**40, 2**60])
def test_the_median_of_large_integers_is_exact_where_the_middle_is_one_pixel(first):
    da = identifiers("i8", first, 2**20)
    da.values[5, 14] = first - 2**30  # one pixel becomes missing, which leaves 63
    for way in ways(da):
        found = numbers(way, "median count", nodata=first - 2**30)
        assert found == {"count": 63, "median": np.sort(da.values[INSIDE].ravel())[1:][31]}


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize(("dtype", "first"), [("i8", 2**53 + 1), ("u8", 2**53 + 1), ("i8", -(2**53) - 501)])
def test_integers_that_float64_cannot_hold_are_refused_by_name(dtype, first, way):
    da = ways(identifiers(dtype, first, 2))[way]
    inside = da.values[INSIDE]
    found = numbers(da, "count range unique")
    assert found == {"count": 64, "range": int(inside.max() - inside.min()), "unique": 62}
    for name in ("min", "max", "majority", "minority", "median", "percentile_0", "std", "var"):
        with pytest.raises(StatisticError, match=r"float64 does not hold|do not fit 64 bits") as raised:
            numbers(da, f"{name} count")
        assert "'float64'" in str(raised.value)
        assert repr(name) in str(raised.value)


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize(("dtype", "value"), [("u4", 2**31), ("u4", 2**32 - 1), ("i8", -(2**31)), ("u8", 2**45)])
def test_spreads_of_integers_beyond_2_31_are_refused_by_name_and_the_remedy_works(dtype, value, way):
    values = np.ones(GRID.shape, dtype)
    values[6, 16] = value
    da = ways(strategies.data_array(values, GRID))[way]
    inside = values[INSIDE].astype(float)
    found = numbers(da, "sum mean max min")
    assert found["sum"] == inside.sum()
    assert found["mean"] == pytest.approx(inside.mean(), rel=1e-15)
    assert (found["max"], found["min"]) == (inside.max(), inside.min())
    for coverage in ("center", "exact"):
        for name in ("std", "var", "cv", "skew", "kurtosis"):
            with pytest.raises(StatisticError, match=rf"'{name}'.*squares") as raised:
                numbers(da, f"mean {name}", coverage=coverage)
    remedy = str(raised.value).rpartition(": ")[2]
    assert remedy == "da = da.astype('float64')"
    names = {"da": da}
    exec(remedy, names)
    assert numbers(names["da"], "std")["std"] == pytest.approx(inside.std(), rel=1e-12)


@pytest.mark.parametrize("coverage", ["center", "exact"])
def test_sums_that_overflow_64_bits_are_refused_and_others_are_exact(coverage):
    for way in ways(identifiers("i8", 2**58, 0)):
        with pytest.raises(StatisticError, match="'sum'"):
            numbers(way, "count sum", coverage=coverage)
        with pytest.raises(StatisticError, match="'mean'"):
            numbers(way, "mean", coverage=coverage)
    for way in ways(identifiers("i8", 2**56, 0)):
        assert numbers(way, "sum mean", coverage=coverage) == {"sum": 2**62, "mean": 2**56}


def test_a_user_statistic_of_sums_that_do_not_fit_is_refused_by_its_name():
    own = Aggregation("own", ("sums",), lambda state: state["total"] / state["weight"])
    with pytest.raises(StatisticError, match="'mine'"):
        numbers(identifiers("i8", 2**60), "count", add_stats={"mine": own})


@pytest.mark.parametrize("chunk", [None, 5])
def test_the_largest_uint64_as_nodata_is_missing_and_larger_values_are_refused_with_the_line_to_type(chunk):
    values = np.full(GRID.shape, 7, "u8")
    values[6, 14:18] = 2**64 - 1
    da = strategies.data_array(values, GRID, nodata=2**64 - 1)
    da = da.chunk(chunk) if chunk else da
    assert numbers(da, "count nodata max") == {"count": 60, "nodata": 4, "max": 7}
    with pytest.raises(GridError, match=r"astype\('float64'\)"):
        numbers(da, "max", nodata=0)
    assert numbers(da.astype("float64"), "max", nodata=0)["max"] == 2.0**64


def test_categories_of_large_integers_are_whole_numbers():
    values = np.full(GRID.shape, 2**53 + 1)
    values[6, 14] = 2**53 + 3
    for way in ways(strategies.data_array(values, GRID)):
        found = numbers(way, "count", categorical=True)
        assert found["categorical"] == {2**53 + 1: 63, 2**53 + 3: 1}


def test_a_profile_of_large_integers_is_exact_or_refused():
    da = identifiers("i8", 2**40)
    cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "rad": [1e6]}), "moon")
    found = da.craters.radial_profile(cdb, [0.0, 1.0], ["max"])
    assert math.isfinite(found["max"].values.item())
    with pytest.raises(StatisticError, match="'std'"):
        da.craters.radial_profile(cdb, [0.0, 1.0], ["std"]).compute()


@pytest.mark.parametrize("dtype", ["i4", "u4", "i8"])
def test_sums_of_counts_per_pixel_beyond_32_bits_are_exact(dtype):
    """The population raster of rasterstats' issue 129, summed there to 1396284338 instead of 31461055410."""
    values = np.full(GRID.shape, 491578990, dtype)
    for way in ways(strategies.data_array(values, GRID)):
        found = numbers(way, "sum mean std")
        assert found == {"sum": 64 * 491578990, "mean": 491578990, "std": 0}


def test_an_identifier_of_2_53_and_1_is_never_taken_for_its_neighbour():
    """Rasterised through floats, the identifier became 2**53 in xarray-spatial's issue 3056."""
    values = np.full(GRID.shape, 2**53)
    values[INSIDE] = 2**53 + 1
    values[5, 14:17] = 2**53
    for way in ways(strategies.data_array(values, GRID)):
        assert numbers(way, "unique minority range") == {"unique": 2, "minority": 2**53, "range": 1}
        with pytest.raises(StatisticError, match="'majority'"):
            numbers(way, "majority")
        assert numbers(way - 2**53, "majority")["majority"] == 1
