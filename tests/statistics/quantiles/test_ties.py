"""Values whose frequencies differ by rounding only are tied, and pixels of weight 0 take no part."""

from __future__ import annotations

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

CUTS = [None, {"x": 1}, {"y": 1}, {"y": 2, "x": 2}]


def stats(da: xr.DataArray, box: tuple[float, ...], names: str, **options: Any) -> dict[str, Any]:
    cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "rad": [1e3]}), "moon")
    cdb.add_polygons("box", [shapely.box(*box)])
    found = da.craters.get_stats(cdb, "box", names, **options).compute()
    return {name: array.values.item() for name, array in found.items()}


def cut(da: xr.DataArray, chunks: dict[str, int] | None) -> xr.DataArray:
    return da.chunk(chunks) if chunks else da


@pytest.mark.parametrize("chunks", CUTS)
@pytest.mark.parametrize(
    ("pixel", "west", "south"), [(0.1, 10, 20), (0.3, -170.1, 33.3), (1 / 3, 0.7, -60), (1e-3, 179, 7)]
)
def test_the_rarest_of_values_that_cover_equally_much_is_the_smallest(pixel, west, south, chunks):
    """A box between the centres of opposite corner pixels covers a quarter of each of the four corner pixels."""
    grid = GridCase(Affine(pixel, 0, west, 0, -pixel, south + 3 * pixel), (3, 3))
    da = strategies.data_array(np.arange(9, dtype="i2").reshape(3, 3)[::-1] + 1, grid)
    box = west + 0.5 * pixel, south + 0.5 * pixel, west + 2.5 * pixel, south + 2.5 * pixel
    found = stats(cut(da, chunks), box, "minority majority unique", coverage="exact")
    assert found == {"minority": 1, "majority": 5, "unique": 9}


@pytest.mark.parametrize("chunks", CUTS)
@pytest.mark.parametrize("unit", [1.0, 1e12, 1e-12])
def test_weights_that_add_up_to_the_same_but_for_rounding_are_a_tie(unit, chunks):
    grid = GridCase(Affine(1, 0, 0, 0, -1, 3), (3, 3))
    da = strategies.data_array(np.array([[7, 7, 7], [4, 4, 4], [9, 9, 4]], "f4"), grid)
    weights = strategies.data_array(unit * np.array([[0.1, 0.2, 0.3], [0.3, 0.1, 0.1], [0.3, 0.3, 0.1]]), grid)
    found = stats(cut(da, chunks), (0, 0, 3, 3), "minority majority", weights=weights, coverage="center")
    assert found == {"minority": 4, "majority": 4}


@pytest.mark.parametrize(("factor", "smaller"), [(1 - 1e-6, True), (1 - 1e-12, False)])
def test_differences_above_rounding_still_decide(factor, smaller):
    grid = GridCase(Affine(1, 0, 0, 0, -1, 2), (2, 2))
    da = strategies.data_array(np.array([[1, 2], [1, 2]], "u1"), grid)
    weights = strategies.data_array(np.array([[factor, 1], [factor, 1]]), grid)
    found = stats(da, (0, 0, 2, 2), "minority majority", weights=weights, coverage="center")
    assert found == {"minority": 1, "majority": 2 if smaller else 1}


def test_counts_of_pixels_are_compared_without_a_tolerance():
    grid = GridCase(Affine(0.25, 0, -180, 0, -0.25, 90), (720, 1440))
    values = np.ones(grid.shape, "u1")
    values[:360] = 2
    values[0, 0] = 1
    found = stats(strategies.data_array(values, grid), (-180, -90, 180, 90), "minority majority", coverage="center")
    assert found == {"minority": 2, "majority": 1}


def test_a_value_in_a_sliver_is_rarer_than_one_in_most_of_a_large_area():
    """The tolerance for ties scales with the area of the rarer value, not with that of the whole region."""
    grid = GridCase(Affine(1, 0, 0, 0, -1, 60), (60, 60))
    values = np.full(grid.shape, 5, "u1")
    values[:, -1], values[0, 0] = 1, 3
    da = strategies.data_array(values, grid)
    found = stats(da, (0.99, 0, 59.001, 59.5), "minority majority", coverage="exact")
    assert found == {"minority": 3, "majority": 5}


@pytest.mark.parametrize("chunks", CUTS)
def test_pixels_of_weight_0_take_no_part_in_extremes_and_frequencies_unlike_in_exactextract(chunks):
    exactextract = pytest.importorskip("exactextract")
    grid = GridCase(Affine(1, 0, 0, 0, -1, 3), (3, 3))
    values = np.array([[1, 2, 2], [3, 9, 9], [9, 9, 3]], "f8")
    weights = np.where((values == 1) | (values == 9), 0.0, 1.0)
    da, names = strategies.data_array(values, grid), "min max variety majority minority"
    found = stats(cut(da, chunks), (0, 0, 3, 3), names, weights=strategies.data_array(weights, grid), coverage="exact")
    assert found == {"min": 2, "max": 3, "variety": 2, "majority": 2, "minority": 2}
    source = exactextract.raster.NumPyRasterSource
    extent = {"xmin": 0, "ymin": 0, "xmax": 3, "ymax": 3}
    feature = {"type": "Feature", "geometry": shapely.geometry.mapping(shapely.box(0, 0, 3, 3)), "properties": {}}
    theirs = exactextract.exact_extract(
        source(values, **extent), [feature], names.split(), weights=source(weights, **extent)
    )[0]["properties"]
    assert theirs == {"min": 1, "max": 9, "variety": 4, "majority": 9, "minority": 1}


@pytest.mark.parametrize("options", [{"coverage": "exact"}, {"coverage": "center"}])
def test_a_region_whose_weights_are_all_0_has_no_statistics(options):
    grid = GridCase(Affine(1, 0, 0, 0, -1, 3), (3, 3))
    da, nothing = (strategies.data_array(np.full((3, 3), value), grid) for value in (7.0, 0.0))
    found = stats(da, (0, 0, 3, 3), "count min median majority variety", weights=nothing, **options)
    assert found["count"] == 9
    assert all(np.isnan(found[name]) for name in ("min", "median", "majority", "variety"))
