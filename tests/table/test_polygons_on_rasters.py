"""Polygons of the user on rasters: as peers draw them, and as the same regions declared otherwise."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

import xcrater
from xcrater import CraterDatabase
from xcrater.options import COVERAGES


def table(lat: object, lon: object, radius: float = 4e4) -> CraterDatabase:
    size = np.broadcast(lat, lon).size
    return CraterDatabase(
        pd.DataFrame({"lat": np.broadcast_to(lat, size), "lon": np.broadcast_to(lon, size), "r": radius}), "moon"
    )


@pytest.fixture(scope="module")
def mosaic() -> xr.DataArray:
    return xcrater.tutorial.synthetic_mosaic("moon", ppd=4)


@pytest.mark.parametrize("count", [1, 2, 3, 12])
@pytest.mark.parametrize("coverage", COVERAGES)
def test_regions_given_back_as_polygons_have_the_same_statistics(
    mosaic: xr.DataArray, count: int, coverage: str
) -> None:
    cdb = table(np.linspace(-88.8, 89.1, count), [180.0, -179.8, 179.5, 12.0][: min(count, 4)] * max(count // 4, 1))
    cdb.add_annuli("rim", 1, 1.5)
    cdb.add_polygons("again", cdb.rim)
    stats = mosaic.craters.get_stats(cdb, ["rim", "again"], ["count", "mean"], coverage=coverage).compute()
    np.testing.assert_allclose(stats["count"][1], stats["count"][0], rtol=1e-9)
    np.testing.assert_allclose(stats["mean"][1], stats["mean"][0], rtol=1e-9)


def test_a_file_of_geojson_is_cut_at_the_antimeridian_and_read_whole(mosaic: xr.DataArray) -> None:
    lats = [-70.0, -10.0, 0.0, 33.0]
    features = [
        {
            "type": "MultiPolygon",
            "coordinates": [
                [[[x, y] for x, y in shapely.box(west, lat, east, lat + 3).exterior.coords]]
                for west, east in ((177.5, 180.0), (-180.0, -176.25))
            ],
        }
        for lat in lats
    ]
    cdb = table(lats, 180.0)
    cdb.add_polygons("cut", [shapely.from_geojson(json.dumps(feature)) for feature in features])
    cdb.add_polygons("whole", [shapely.box(177.5, lat, 183.75, lat + 3) for lat in lats])
    for coverage in COVERAGES:
        stats = mosaic.craters.get_stats(cdb, ["cut", "whole"], ["count", "mean"], coverage=coverage).compute()
        np.testing.assert_array_equal(stats["count"][0], stats["count"][1])
        np.testing.assert_array_equal(stats["mean"][0], stats["mean"][1])
    exact = mosaic.craters.get_stats(cdb, "cut", "count", coverage="exact").compute()["count"]
    np.testing.assert_allclose(exact, 6.25 * 3 * 16, rtol=1e-9)
