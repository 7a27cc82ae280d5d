"""Columns are found by the words in their headers, and ambiguous headers are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.table.examples import headed, table
from xcrater.database import CraterDatabase
from xcrater.errors import TableError


class TestColumns:
    ROBBINS = (
        "CRATER_ID", "LAT_CIRC_IMG", "LON_CIRC_IMG", "LAT_ELLI_IMG", "LON_ELLI_IMG", "DIAM_CIRC_IMG",
        "DIAM_CIRC_SD_IMG", "DIAM_ELLI_MAJOR_IMG", "DIAM_ELLI_MINOR_IMG", "DIAM_ELLI_ECCEN_IMG", "DIAM_ELLI_ELLIP_IMG",
        "DIAM_ELLI_ANGLE_IMG", "LAT_ELLI_SD_IMG", "LON_ELLI_SD_IMG", "DIAM_ELLI_MAJOR_SD_IMG", "ARC_IMG", "PTS_RIM_IMG",
    )  # fmt: skip
    ROBBINS_HYNEK = (
        "CRATER_ID", "LATITUDE_CIRCLE_IMAGE", "LONGITUDE_CIRCLE_IMAGE", "LATITUDE_ELLIPSE_IMAGE", "DIAM_CIRCLE_IMAGE",
        "DIAM_CIRCLE_SD_IMAGE", "DIAM_ELLIPSE_MAJOR_IMAGE", "LATITUDE_CIRCLE_TOPOG", "LONGITUDE_CIRCLE_TOPOG",
        "DIAM_CIRCLE_TOPOG", "DEPTH_RIM_TOPOG", "DEGRADATION_STATE",
    )  # fmt: skip
    GAZETTEER = (
        "Clean_Feature_Name", "Diameter", "Center_Latitude", "Center_Longitude", "Northernmost_Latitude",
        "Southernmost_Latitude", "Easternmost_Longitude", "Westernmost_Longitude", "Min_Latitude", "Max_Latitude",
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("columns", "lat", "lon", "size", "per_radius"),
        [
            (ROBBINS, "LAT_CIRC_IMG", "LON_CIRC_IMG", "DIAM_CIRC_IMG", 2),
            (("CRATER_ID", "LAT_EL_IM", "LON_EL_IM", "DIAM_C_IM"), "LAT_EL_IM", "LON_EL_IM", "DIAM_C_IM", 2),
            (ROBBINS_HYNEK, "LATITUDE_CIRCLE_IMAGE", "LONGITUDE_CIRCLE_IMAGE", "DIAM_CIRCLE_IMAGE", 2),
            (GAZETTEER, "Center_Latitude", "Center_Longitude", "Diameter", 2),
            (("Longitude(degree)", "Latitude(degree)", "Diameter(m)", "Depth(m)"), 1, 0, 2, 2),
            (("Diameter (m)", "Latitude", "Longitude"), 1, 2, 0, 2),
            (("lat", "lon", "DEGRADATION_STATE", "gradient", "radius_sd", "r"), "lat", "lon", "r", 1),
            (("LatDeg", "LonDeg", "CraterRadius"), 0, 1, 2, 1),
            (("LATdeg", "LON_E", "DIAMm"), 0, 1, 2, 2),
            (("Latitude (° N)", "Longitude (° E)", "R_m", "R_deg", "N(D)"), 0, 1, 2, 1),
            (("lat", "lon", "lat_rad", "lon_rad", "radius_px", "radius"), "lat", "lon", "radius", 1),
            (("lat", "lon", "R_deg", "radius_deg", "diam_circ_m"), 0, 1, 4, 2),
            (("lat", "lon", "Diam_km", "Diam_m"), "lat", "lon", "Diam_m", 2),
            (("lat", "lon", "diam_mean", "diam_elli_major"), "lat", "lon", "diam_mean", 2),
        ],
    )
    def test_columns_are_found_by_their_headers(self, columns, lat, lon, size, per_radius):
        frame = headed(*columns)
        lat, lon, size = (columns[key] if isinstance(key, int) else key for key in (lat, lon, size))
        found = CraterDatabase(frame, "moon")
        np.testing.assert_array_equal(found.lat, frame[lat])
        np.testing.assert_array_equal(found.lon, frame[lon])
        np.testing.assert_array_equal(found.rad, frame[size] / per_radius)

    def test_the_catalogue_of_head_2010_is_read_in_kilometres(self):
        frame = headed("Lon", "Lat", "Diam_km")
        assert CraterDatabase(frame, "moon", units="km").rad.tolist() == [1500.0, 1500.0]

    def test_two_diameters_are_ambiguous(self):
        frame = headed("Longitude", "Latitude", "Diameter_h", "Diameter_w", "Confidence")
        with pytest.raises(
            TableError, match=r"several diameter columns, 'Diameter_h', 'Diameter_w'; .* diam_col='...'"
        ):
            CraterDatabase(frame, "moon")
        assert CraterDatabase(frame, "moon", diam_col="Diameter_w").rad.tolist() == [2.0, 2.0]

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            (("lat", "latitude", "lon", "r"), "several latitude columns, 'lat', 'latitude'; say which with lat_col="),
            (("lat", "lon_180", "lon_360", "r"), "several longitude columns, 'lon_180', 'lon_360'; .* lon_col="),
            (("lat", "lon", "rad_a", "rad_b"), "several radius columns, 'rad_a', 'rad_b'; .* rad_col="),
            (("lat", "lon", "radius", "diam_a", "diam_b"), "several diameter columns, .* rad_col or diam_col="),
            (("lon", "r"), "found no latitude column among 'lon', 'r'; name it: lat_col="),
            (("lat", "r"), "found no longitude column among 'lat', 'r'; name it: lon_col="),
            (("lat", "lon", "DEGRADATION_STATE"), "found no radius or diameter column .* rad_col='...' or diam_col="),
            (("lat;lon;r",), "only one column: are its values separated otherwise"),
            (("lat", "lon", "Diameter (km)"), "'Diameter .km.' says km, but units='m'; pass units='km', or rename"),
            (("lat", "lon", "radius", "diameter"), "both a radius column 'radius' and a diameter column 'diameter'"),
        ],
    )
    def test_unclear_headers(self, columns, message):
        with pytest.raises(TableError, match=message):
            CraterDatabase(headed(*columns), "moon")

    def test_header_in_metres_contradicts_kilometres(self):
        with pytest.raises(TableError, match="'R_m' says m, but units='km'; pass units='m'"):
            CraterDatabase(headed("lat", "lon", "R_m"), "moon", units="km")

    @pytest.mark.parametrize("keyword", ["rad_col", "diam_col"])
    def test_the_header_of_a_named_column_is_checked_too(self, keyword):
        with pytest.raises(TableError, match="'size_km' says km, but units='m'"):
            CraterDatabase(headed("lat", "lon", "size_km"), "moon", **{keyword: "size_km"})

    def test_radius_is_used_where_the_diameter_is_twice_the_radius(self):
        frame = table(r=None, radius_m=[5e3, 42.5e3, 1e3], diam_km=[10.0, 85.0, 2.001])
        assert CraterDatabase(frame, "moon").rad.tolist() == [5e3, 42.5e3, 1e3]
        frame["diam_km"] *= 1.01
        with pytest.raises(TableError, match="say which: rad_col='radius_m' or diam_col='diam_km'"):
            CraterDatabase(frame, "moon")

    def test_named_columns(self):
        frame = headed("a", "b", "c")
        found = CraterDatabase(frame, "moon", lat_col="a", lon_col="b", diam_col="c")
        assert (found.lat[0], found.lon[0], found.rad[0]) == (1.0, 2.0, 1.5)
        with pytest.raises(TableError, match="rad_col='radios', which is not a column; did you mean 'radius'"):
            CraterDatabase(headed("lat", "lon", "radius"), "moon", rad_col="radios")
        with pytest.raises(TableError, match="lat_col='zzz', which is not a column; expected one of 'lat', 'lon', 'r'"):
            CraterDatabase(table(), "moon", lat_col="zzz")
        double = pd.DataFrame([[1.0, 2.0, 3.0, 4.0]], columns=["lat", "lon", "r", "r"])
        with pytest.raises(TableError, match=r"rad_col='r'; 2 columns have that name. Rename"):
            CraterDatabase(double, "moon", rad_col="r")
        with pytest.raises(TableError, match="rad_col='a' and diam_col='b'; expected only one"):
            CraterDatabase(frame, "moon", rad_col="a", diam_col="b")

    def test_projected_coordinates_are_x_and_y(self):
        found = CraterDatabase(headed("x", "y", "r"), "moon", "+proj=eqc +R=1737400")
        assert found.lon[0] == pytest.approx(np.degrees(1 / 1737400))
        assert found.lat[0] == pytest.approx(np.degrees(2 / 1737400))
        with pytest.raises(TableError, match="found no latitude column"):
            CraterDatabase(headed("x", "y", "r"), "moon")
