"""User-supplied polygons on rasters match peer libraries, and the same regions declared in other ways."""

from __future__ import annotations

import json
from pathlib import Path

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
def test_outlines_added_as_polygons_have_the_statistics_of_their_regions(
    mosaic: xr.DataArray, count: int, coverage: str
) -> None:
    cdb = table(np.linspace(-88.8, 89.1, count), [180.0, -179.8, 179.5, 12.0][: min(count, 4)] * max(count // 4, 1))
    cdb.add_annuli("rim", 1, 1.5)
    cdb.add_polygons("again", cdb.rim)
    stats = mosaic.craters.get_stats(cdb, ["rim", "again"], ["count", "mean"], coverage=coverage).compute()
    np.testing.assert_allclose(stats["count"][1], stats["count"][0], rtol=1e-9)
    np.testing.assert_allclose(stats["mean"][1], stats["mean"][0], rtol=1e-9)


@pytest.mark.parametrize("nvert", [32, None])
@pytest.mark.parametrize("inner", [0.0, 0.5])
def test_outlines_over_a_pole_added_as_polygons_have_the_statistics_of_their_regions(
    mosaic: xr.DataArray, inner: float, nvert: int | None, tmp_path: Path
) -> None:
    """These outlines run along latitude ±90, with vertices at every place where they were closed and cut."""
    rng = np.random.default_rng(4)
    lat = np.append(rng.choice([-1, 1], 28) * (90 - 10 ** rng.uniform(-3, 0, 28)), [90, -90])
    cdb = table(lat, np.append(rng.uniform(-180, 180, 24), [0.0, 180.0, 90.0, -90.0, 0.0, 0.0]), radius=6e4)
    cdb.add_annuli("whole", inner, 1, nvert=nvert)
    cdb.add_polygons("again", cdb.whole)
    cdb.to_geojson(tmp_path / "a.geojson", "whole")
    cdb.add_polygons("read", CraterDatabase.read_shapefile(tmp_path / "a.geojson").whole)
    names = ["whole", "again", "read"]
    stats = mosaic.craters.get_stats(cdb, names, ["count", "mean", "area"], coverage="exact").compute()
    assert stats["area"][0].to_numpy() == pytest.approx((1 - inner**2) * np.pi * 6e4**2, rel=0.02)
    for name in stats:
        # The outline of a true circle has 360 vertices.
        for i in (1, 2):
            np.testing.assert_allclose(stats[name][i], stats[name][0], rtol=1e-9 if nvert else 2e-4)
    center = mosaic.craters.get_stats(cdb, names[:2], "count", coverage="center").compute()["count"]
    assert np.abs(center[1] - center[0]).max() <= (0 if nvert else 2)


def test_a_geojson_file_is_cut_at_the_antimeridian_and_read_whole(mosaic: xr.DataArray) -> None:
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
