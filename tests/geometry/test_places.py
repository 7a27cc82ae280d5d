"""Positions of pixels on the body, and their distance and azimuth from a crater."""

import numpy as np
import pyproj
import pytest
import rioxarray  # noqa: F401
import xarray as xr

from xcrater.engine.craters import place
from xcrater.geometry import places
from xcrater.geometry.bodies import get_body
from xcrater.raster.reading import read_raster

pytestmark = pytest.mark.nojit

MOON = 1737400.0
CASES = {
    "longlat": ("+proj=longlat +R=1737400 +no_defs", (0.5, -0.5), (-180, 90), (360, 720)),
    "stere": ("+proj=stere +lat_0=-90 +R=1737400 +no_defs", (2e4, -2e4), (-1e6, 1e6), (100, 100)),
    "mars": ("+proj=sinu +a=3396190 +b=3376200 +no_defs", (5e4, -5e4), (-6e6, 3e6), (120, 240)),
}


def _grid(name):
    crs, step, origin, shape = CASES[name]
    x, y = (o + s * (np.arange(n) + 0.5) for o, s, n in zip(origin, step, shape[::-1]))
    da = xr.DataArray(np.zeros(shape, "u1"), dims=("y", "x"), coords={"y": y, "x": x}).rio.write_crs(crs)
    return read_raster(da, body=get_body("mars" if name == "mars" else "moon")).grid


@pytest.mark.parametrize("name", CASES)
def test_pixels_are_where_proj_places_them(name):
    grid = _grid(name)
    crs, step, origin, _ = CASES[name]
    crs = pyproj.CRS(crs)
    u, v = np.array([50.5, 60.25, 70.0]), np.array([40.5, 50.75, 60.0])
    to = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    lon, lat = to.transform(origin[0] + step[0] * u, origin[1] + step[1] * v)
    b_a = crs.ellipsoid.semi_minor_metre / crs.ellipsoid.semi_major_metre
    lat = np.degrees(np.arctan(b_a**2 * np.tan(np.radians(lat))))
    found = places.lonlat(grid, u, v)
    np.testing.assert_allclose(np.mod(found[0] - lon + 180, 360) - 180, 0, atol=1e-9)
    np.testing.assert_allclose(found[1], lat, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_distance_and_azimuth_agree_with_geodesics(name):
    grid = _grid(name)
    ellipsoid = pyproj.CRS(CASES[name][0]).ellipsoid
    radius = get_body("mars" if name == "mars" else "moon").radius
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(-180, 180, 50), rng.uniform(-90, -5, 50)
    lon[:3], lat[:3] = (179.9, -179.9, 10), (-5, -5, -90)
    craters = place(grid, lon, lat, np.full(50, 2.0))
    np.testing.assert_allclose(np.mod(places.centres(craters)[0] - lon + 180, 360) - 180, 0, atol=1e-9)
    geod = pyproj.Geod(a=ellipsoid.semi_major_metre, b=ellipsoid.semi_minor_metre)
    b_a = ellipsoid.semi_minor_metre / ellipsoid.semi_major_metre
    to_lon, to_lat = rng.uniform(-180, 180, 50), rng.uniform(-90, 90, 50)

    def geodetic(at):
        return np.where(at == -90, -90, np.degrees(np.arctan(np.tan(np.radians(at)) / b_a**2)))

    azimuth, _, metres = geod.inv(lon, geodetic(lat), to_lon, geodetic(to_lat))
    found = places.seen_from(grid, craters, to_lon, to_lat)
    np.testing.assert_allclose(found[0], metres / (radius * np.radians(2.0)), rtol=1e-9)
    away = np.mod(found[1] - azimuth + 180, 360) - 180
    np.testing.assert_allclose(away[np.abs(lat) < 90], 0, atol=1e-7)
    assert ((found[1] >= 0) & (found[1] < 360)).all()


@pytest.mark.parametrize("name", CASES)
def test_distance_and_azimuth_lead_back_to_the_same_point(name):
    grid = _grid(name)
    rng = np.random.default_rng(2)
    lon, lat = rng.uniform(-180, 180, 50), rng.uniform(-85, 85, 50)
    craters = place(grid, lon, lat, np.full(50, 2.0))
    distance, azimuth = rng.uniform(0.01, 70, 50), rng.uniform(0, 360, 50)
    found = places.seen_from(grid, craters, *places.reached(grid, craters, distance, azimuth))
    np.testing.assert_allclose(found[0], distance, rtol=1e-9)
    np.testing.assert_allclose(found[1], azimuth, atol=1e-6)
    assert np.isnan(places.reached(grid, craters, 90.001, 0.0)).all()
