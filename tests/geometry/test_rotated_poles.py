"""Longitudes and latitudes on a rotated globe are not those of the body, although PROJ calls them so."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyproj
import pytest
import rioxarray  # noqa: F401
import xarray as xr

from xcrater import CraterDatabase
from xcrater.errors import BodyError, GridError
from xcrater.geometry.areas import pixel_areas
from xcrater.geometry.projection import classify

ROTATED = "+proj=ob_tran +o_proj=longlat +o_lat_p=40 +o_lon_p=10 +lon_0=20 +R=1737400 +no_defs"
CF_GRID_MAPPING = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 39.25,
    "grid_north_pole_longitude": -162.0,
    "earth_radius": 1737400.0,
}
GDAL_NETCDF = (
    'PROJCS["Rotated_pole",GEOGCS["Moon",DATUM["D",SPHEROID["S",1737400,0]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Rotated_pole"],UNIT["degree",0.0174532925199433],'
    'EXTENSION["PROJ4","+proj=ob_tran +o_proj=longlat +lon_0=20 +o_lon_p=10 +o_lat_p=40 +a=1737400 +b=1737400 '
    '+to_meter=0.0174532925199 +wktext"]]'
)
EVERY = {
    "a PROJ string": ROTATED,
    "a grid mapping of CF": pyproj.CRS.from_cf(CF_GRID_MAPPING).to_wkt(),
    "GDAL's netCDF driver": GDAL_NETCDF,
    "the poles exchanged": "+proj=ob_tran +o_proj=longlat +o_lat_p=-90 +R=1737400 +no_defs",
    "a sphere of no label": ROTATED.replace("1737400", "6371229"),
}


def latitudes(crs: str) -> xr.DataArray:
    """A raster in a rotated CRS whose values are the true latitudes of its pixels."""
    y, x = 89.5 - np.arange(180.0), -179.5 + np.arange(360.0)
    radius = pyproj.CRS(crs).ellipsoid.semi_major_metre
    plain = pyproj.Transformer.from_crs(crs, f"+proj=longlat +R={radius} +no_defs", always_xy=True)
    lat = plain.transform(*np.meshgrid(x, y))[1]
    return xr.DataArray(lat, dims=("y", "x"), coords={"y": y, "x": x}).rio.write_crs(crs)


@pytest.mark.parametrize("crs", EVERY.values(), ids=EVERY)
def test_a_raster_on_a_rotated_globe_is_refused_and_the_advice_works(crs: str) -> None:
    da = latitudes(crs)
    body = "moon" if pyproj.CRS(crs).ellipsoid.semi_major_metre < 2e6 else "earth"
    cdb = CraterDatabase(pd.DataFrame({"lat": [10.0, -50.0], "lon": [-30.0, 140.0], "r": [3e5, 3e5]}), body)
    cdb.add_circles("disc", 1, nvert=None)
    with pytest.raises(GridError, match="those of a rotated globe, not those of the body") as caught:
        da.craters.get_stats(cdb, "disc")
    (line,) = re.findall(r"da\.rio\.reproject\(.*\)$", str(caught.value))
    straight = eval(line, {"da": da})
    mean = straight.craters.get_stats(cdb, "disc", "mean", coverage="exact", weights="area").compute()["mean"]
    # The mean latitude over a disc differs from that of its centre, by up to 0.8° for discs of 300 km.
    np.testing.assert_allclose(mean, [10.0, -50.0], atol=0.8)


def test_areas_and_classification_refuse_a_rotated_globe_too() -> None:
    with pytest.raises(GridError, match="rotated globe"):
        pixel_areas(ROTATED, (1, 0, -180, 0, -1, 90), (0, 10, 0, 10))
    with pytest.raises(GridError, match=r'reproject\("IAU_2015:30100"\)'):
        classify(pyproj.CRS(ROTATED))
    with pytest.raises(GridError, match=r'reproject\("\+proj=longlat \+a=1234.0 \+b=1234.0 \+no_defs"\)'):
        classify(pyproj.CRS(ROTATED.replace("1737400", "1234")))


def test_relabelling_is_not_advised_for_a_raster_of_another_body() -> None:
    """Relabelled as plain longitude and latitude, the grid would give values of other places."""
    da = latitudes(ROTATED.replace("1737400", "6371229"))
    cdb = CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [-30.0], "r": [3e5]}), "moon")
    cdb.add_circles("disc", 1)
    with pytest.raises(GridError, match=r"rotated globe"):
        da.craters.get_stats(cdb, "disc")


def test_tables_and_polygons_on_a_rotated_globe_are_refused() -> None:
    table = pd.DataFrame({"lat": [10.0], "lon": [-30.0], "r": [3e5]})
    with pytest.raises(BodyError, match="a Derived Geographic 2D CRS"):
        CraterDatabase(table, "moon", input_crs=ROTATED)
    with pytest.raises(BodyError, match="a Derived Geographic 2D CRS"):
        CraterDatabase(table, "moon").add_polygons("p", [None], crs=ROTATED)


def test_a_shifted_prime_meridian_is_not_a_rotation() -> None:
    for crs in ("+proj=longlat +lon_0=180 +R=1737400 +no_defs", "+proj=longlat +pm=10 +R=1737400 +no_defs"):
        assert classify(pyproj.CRS(crs)).family == "geographic"
    oblique = ROTATED.replace("longlat", "moll")
    assert classify(pyproj.CRS(oblique)).family == "local"
