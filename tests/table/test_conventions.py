"""Headers and cells that state a convention other than east longitude, planetocentric latitude and metres.

The expected values are written out as numbers. Each remedy that an error names is executed, and must lead to them.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from xcrater.database import CraterDatabase
from xcrater.errors import TableError
from xcrater.table.cells import decimal_degrees
from xcrater.table.wording import read_wording

LAT, LON, DIAM = [10.5, -45.0, 0.0], [20.0, -170.25, 130.0], [30.0, 25.0, 4.0]
"""East longitudes, planetocentric latitudes and diameters in km of three craters."""


def crater_table(**columns):
    """The three craters with columns added or replaced; None removes a column."""
    every = {"lat": LAT, "lon": LON, "diam_km": DIAM} | columns
    return pd.DataFrame({name: values for name, values in every.items() if values is not None})


def with_header(header, values, instead_of):
    """The three craters with `values` under `header`, in place of one of their columns."""
    return crater_table(**{instead_of: None, header: values})


def assert_right(cdb, lat=LAT, lon=LON, diam=DIAM):
    np.testing.assert_allclose(cdb.lat, lat, atol=1e-9)
    np.testing.assert_allclose((cdb.lon - np.array(lon) + 180) % 360, 180, atol=1e-9)
    np.testing.assert_allclose(cdb.rad, np.array(diam) * 500, rtol=1e-12)


def read(frame, body="moon", units="km", **options):
    return CraterDatabase(frame, body, units=units, **options)


def refuse(message, frame, *args, **options):
    with pytest.raises(TableError, match=re.escape(message)) as caught:
        read(frame, *args, **options)
    return str(caught.value)


def after_typing(error, frame, which=0):
    """The table after executing the assignment that an error message names."""
    line = re.findall(r"(?:from [\w.]+ import \w+; )?table\[.*?\] = .*?(?= if | for | or |, or|, and|; |$)", error)[
        which
    ]
    names = {"table": frame.copy()}
    exec(line, names)
    return names["table"]


WEST = [340.0, 170.25, 230.0]


class TestDirections:
    @pytest.mark.parametrize(
        "header",
        [
            "Lon_W", "lonW", "LON_W", "WLon", "Longitude (°W)", "Longitude (deg W)", "West Longitude", "Longitude_West",
            "Center Longitude (+West)", "LONGITUDE_WEST_DEG", "Positive West Longitude", "lon360W", "Western longitude",
            "Longitude [West positive]", "lon w",
        ],
    )  # fmt: skip
    def test_longitudes_counted_westward_become_east_longitudes(self, header):
        assert_right(read(with_header(header, WEST, "lon")))

    @pytest.mark.parametrize("header", ["Lon_E", "East Longitude", "Longitude (° E)", "lon_positive_east"])
    @pytest.mark.parametrize("body", ["moon", "mercury", "ganymede"])
    def test_longitudes_counted_eastward_stay_even_where_the_default_is_west(self, body, header):
        assert_right(read(with_header(header, LON, "lon"), body))

    def test_west_longitudes_are_converted_once_where_the_default_is_west_too(self):
        assert_right(read(with_header("Lon_W", WEST, "lon"), "mercury"))
        assert_right(read(with_header("lon", WEST, "lon"), "mercury"))

    def test_west_longitudes_from_minus_180(self):
        assert_right(read(with_header("Lon_W", [-20.0, 170.25, -130.0], "lon")))

    @pytest.mark.parametrize("header", ["Lat_S", "LatS", "South Latitude", "Latitude (°S)", "lat_south"])
    def test_latitudes_counted_southward(self, header):
        assert_right(read(with_header(header, [-10.5, 45.0, 0.0], "lat")))

    def test_a_column_named_by_the_user_keeps_the_convention_of_its_header(self):
        assert_right(read(with_header("Lon_W", WEST, "lon"), lon_col="Lon_W"))
        assert_right(read(with_header("pos_west", WEST, "lon"), lon_col="pos_west"))
        assert_right(read(with_header("x_w", LON, "lon"), lon_col="x_w"))  # a single letter may stand for anything

    def test_east_and_west_longitudes_may_both_be_given_if_they_agree(self):
        frame = crater_table(**{"lon": None, "West Longitude": WEST, "East Longitude": np.mod(LON, 360)})
        assert_right(read(frame))
        assert_right(read(crater_table(lon=None, lon_180=LON, lon_360=np.mod(LON, 360))))

    def test_edges_of_a_bounding_box_are_not_longitudes_of_centres(self):
        edges = {"West Longitude": np.mod(LON, 360) - 0.5, "East Longitude": np.mod(LON, 360) + 0.5}
        refuse("several longitude columns, 'West Longitude', 'East Longitude'", crater_table(lon=None, **edges))

    def test_letters_for_start_and_end_are_not_directions(self):
        frame = crater_table(lat=None, lon=None, lat_s=LAT, lat_e=LAT, lon_s=LON, lon_e=LON)
        refuse("several latitude columns, 'lat_s', 'lat_e'; say which with lat_col='...'", frame)
        frame = frame.rename(columns={"lat_s": "lat"}).drop(columns="lat_e")
        refuse("several longitude columns, 'lon_e', 'lon_s'; say which with lon_col='...'", frame)

    @pytest.mark.parametrize(
        ("header", "new", "instead_of"), [("Lon_W", "lon_east", "lon"), ("Lat_S", "lat_north", "lat")]
    )
    def test_negative_numbers_under_a_negative_direction_are_refused(self, header, new, instead_of):
        """A minus sign under a header "W" is ambiguous: is -20 meant as 20 W or 20 E?"""
        frame = with_header(header, [-20.0, -30.0, -5.0], instead_of)
        error = refuse("all of its numbers are negative", frame)
        keyword = {f"{instead_of}_col": new}
        assert getattr(read(after_typing(error, frame, 0), **keyword), instead_of).tolist() == [-20.0, -30.0, -5.0]
        assert getattr(read(after_typing(error, frame, 1), **keyword), instead_of).tolist() == [20.0, 30.0, 5.0]

    def test_a_header_that_contradicts_input_crs(self):
        for crs in ("planetocentric", "IAU_2015:30100", "+proj=longlat +R=1737400"):
            error = refuse(
                "'Lon_W' counts westward, but longitudes of input_crs count eastward",
                frame := with_header("Lon_W", WEST, "lon"),
                input_crs=crs,
            )
            assert_right(read(after_typing(error, frame), input_crs=crs))
        error = refuse(
            "'Lon_E' counts eastward, but longitudes of input_crs count westward",
            frame := with_header("Lon_E", LON, "lon"),
            "mars",
            input_crs="planetographic",
        )
        assert_right(read(after_typing(error, frame), "mars", input_crs="planetographic"), lat=CENTRIC)
        assert_right(read(with_header("Lon_W", WEST, "lon"), "mars", input_crs="planetographic"), lat=CENTRIC)

    def test_conventions_of_angles_are_refused_with_a_projection(self):
        refuse("input_crs is projected", with_header("Lon_W", WEST, "lon"), input_crs="+proj=eqc +R=1737400")


CENTRIC = np.degrees(np.arctan((3376200 / 3396190) ** 2 * np.tan(np.radians(LAT))))
"""Planetocentric latitudes of the craters if `LAT` is planetographic on Mars."""


class TestLatitudes:
    @pytest.mark.parametrize(
        "header", ["Planetographic Latitude", "lat_planetographic", "AREOGRAPHIC_LATITUDE", "Latitude (ographic)"]
    )
    def test_planetographic_latitudes_become_planetocentric(self, header):
        frame = with_header(header, LAT, "lat").rename(columns={"lon": "East Longitude"})
        assert_right(read(frame, "mars"), lat=CENTRIC)
        assert read(pd.DataFrame({header: [45.0], "lon_east": 0.0, "r": 1e3}), "mars", "m").lat[0] == pytest.approx(
            44.6618, abs=1e-4
        )

    def test_planetocentric_latitudes_stay_and_take_precedence(self):
        assert_right(read(with_header("Planetocentric Latitude", LAT, "lat"), "mars"))
        both = crater_table(**{"lat": None, "Planetographic Latitude": [1.0, 2.0, 3.0], "Planetocentric Latitude": LAT})
        assert_right(read(both, "mars"))

    def test_on_a_sphere_both_are_the_same(self):
        assert_right(read(with_header("Planetographic Latitude", LAT, "lat")))

    def test_with_planetographic_latitudes_on_mars_the_header_must_say_how_longitudes_count(self):
        frame = with_header("Planetographic Latitude", LAT, "lat")
        refuse("'lon' does not say whether its do; pass input_crs='planetographic'", frame, "mars")
        assert_right(read(frame.assign(lon=WEST), "mars", input_crs="planetographic"), lat=CENTRIC)
        assert_right(read(frame.rename(columns={"lon": "lon_east"}), "mars"), lat=CENTRIC)
        lettered = frame.assign(lon=["20 E", "170.25 W", "130 E"])  # hemispheres in the cells settle it
        assert_right(read(lettered, "mars"), lat=CENTRIC)
        assert_right(read(lettered, "mars", input_crs="planetographic"), lat=CENTRIC)
        refuse("'lat' does not say which latitude it is", crater_table(lon=None, planetographic_lon=WEST), "mars")

    def test_a_latitude_that_contradicts_input_crs(self):
        frame = with_header("Planetographic Latitude", LAT, "lat").rename(columns={"lon": "lon_east"})
        refuse(
            "says planetographic, but latitudes of input_crs are planetocentric; leave input_crs away",
            frame,
            "mars",
            input_crs="planetocentric",
        )
        assert_right(read(frame, "mars"), lat=CENTRIC)

    @pytest.mark.parametrize("header", ["Co-Latitude", "colatitude", "CoLat", "colat_deg", "COLATITUDE (DEG)"])
    def test_colatitudes_count_from_the_north_pole(self, header):
        assert_right(read(with_header(header, 90 - np.array(LAT), "lat")))
        assert_right(read(crater_table(**{header: 90 - np.array(LAT)})))
        refuse("is no co-latitude from 0 to 180°: 1 row (1)", with_header(header, [10.0, -5.0, 20.0], "lat"))


def test_swapped_coordinates_are_suspected():
    refuse(
        "'lat' is beyond ±90° (are longitudes and latitudes interchanged?): 2 rows (1, 2)",
        crater_table(lat=LON, lon=LAT),
    )


class TestUnits:
    def test_radians_become_degrees(self):
        assert_right(
            read(crater_table(lat=None, lon=None, lat_rad=np.radians(LAT), **{"Longitude (radians)": np.radians(LON)}))
        )
        assert_right(read(crater_table(lat_rad=[9.0] * 3, lon_rad=[9.0] * 3)))
        refuse("'lat_rad' is beyond ±90°", with_header("lat_rad", [0.1, 0.2, 1.6], "lat"))

    @pytest.mark.parametrize(
        ("header", "per_km"),
        [
            ("Diameter (cm)", 1e5),
            ("diam_mm", 1e6),
            ("DIAMcm", 1e5),
            ("Diameter [ft]", 1000 / 0.3048),
            ("diam in feet", 1000 / 0.3048),
        ],
    )
    def test_units_that_the_argument_cannot_name_are_converted(self, header, per_km):
        frame = with_header(header, np.array(DIAM) * per_km, "diam_km")
        assert_right(read(frame, units="m"))
        unit = read_wording(header).unit
        refuse(f"says {unit}, but units='km'; leave units away, and {unit} are converted", frame)

    @pytest.mark.parametrize(
        "header",
        ["Diameter (px)", "diam_pixels", "Diam_miles", "Diameter (10^3 km)", "diam_deg", "radius_rad", "R_deg"],
    )
    def test_an_unknown_unit_of_length_is_refused_by_name(self, header):
        error = refuse(f"column {header!r} says ", frame := with_header(header, DIAM, "diam_km"))
        keyword, name = re.search(r"pass (\w+)='(\w+)'", error).groups()
        size = np.array(DIAM) / (1 if keyword == "diam_col" else 2)
        assert_right(read(frame.assign(**{name: size}), **{keyword: name}))
        assert_right(read(crater_table(**{header: 7.0})))

    @pytest.mark.parametrize("header", ["lat (gon)", "lat_grad", "lat (hours)", "lat_arcmin"])
    def test_angles_in_other_units_than_degrees_and_radians_are_refused_by_name(self, header):
        unit = "gons|hours|arcminutes"
        with pytest.raises(TableError, match=f"says ({unit}); expected a latitude in degrees or radians"):
            read(with_header(header, LAT, "lat"))

    def test_coordinates_in_metres_need_their_crs(self):
        refuse(
            "'lat_m' says m; expected a latitude in degrees or radians. If it is right, pass the input_crs",
            with_header("lat_m", LAT, "lat"),
        )

    def test_a_diameter_in_the_requested_unit_beats_a_radius_in_another(self):
        frame = crater_table(radius_m=np.array(DIAM) * 500)
        assert_right(read(frame))
        assert_right(read(frame, units="m"))
        assert_right(
            read(crater_table(diam_km=None, radius_km=np.array(DIAM) / 2, diam_m=np.array(DIAM) * 1000), units="m")
        )

    def test_a_letter_next_to_a_size_is_not_a_direction(self):
        frame = crater_table(diam_km=None, Diameter_h=DIAM, Diameter_w=DIAM)
        refuse("several diameter columns, 'Diameter_h', 'Diameter_w'", frame)


class TestCells:
    @pytest.mark.parametrize(
        "lon",
        [
            ["20 E", "170.25 W", "130E"],
            ["E 20", "W170.25", "E130"],
            ["20 east", "170.25 West", "130 East"],
            ["20e", "170.25w", "130.0e"],
            ["20,0 E", "170,25 W", "130,0 E"],
        ],
    )
    @pytest.mark.parametrize("body", ["moon", "mercury"])
    def test_letters_of_hemispheres(self, lon, body):
        frame = crater_table(lat=["10.5N", "45.0S", "0"], lon=lon)
        assert_right(read(frame, body))
        assert_right(read(frame.rename(columns={"lon": "Lon_W"}), body))  # the letter in a cell overrides the header

    @pytest.mark.parametrize(
        ("lat", "fault"),
        [
            (["10.5 N", "-45 S", "0 N"], "'lat' has both a sign and a hemisphere: 1 row (1)"),
            (["10.5 N", "45 W", "0 N"], "'lat' names a hemisphere of the other coordinate: 1 row (1)"),
            (["10.5 N", "45", "3 N"], "'lat' names no hemisphere, but others do: 1 row (1)"),
            (["10.5", "45 S", "3"], "'lat' is not a number: 1 row (1)"),
            (["10.5 N", "45 N S", "0 N"], "'lat' is not a number: 1 row (1)"),
        ],
    )
    def test_ambiguous_letters_are_refused(self, lat, fault):
        refuse(fault, crater_table(lat=lat))

    @pytest.mark.parametrize(
        "lat",
        [
            ["10.5°", "-45°", "0°"],
            ["10.5° N", "45° S", "0° N"],
            ["10.5 deg", "-45 deg", "0 deg"],
            ["10:30:00", "-45:00:00", "0:0:0"],
            ["10°30'00\"N", "45°00'00\"S", "0°0'0\"N"],
            ["10° 30′", "-45° 0′", "0° 0′"],
            ["10 30 00", "-45 00 00", "0 0 0"],
            ["N10:30", "S45:00", "N0:00"],
        ],
    )
    def test_degree_signs_and_minutes_are_refused_by_name_with_the_line_to_type(self, lat):
        error = refuse("column 'lat' holds deg", frame := crater_table(lat=lat))
        assert_right(read(after_typing(error, frame)))

    def test_decimal_degrees_keep_signs_and_missing_cells(self):
        column = pd.Series(["-0:30:00", None, "0°30'W", 7.25, "12,5°"])
        assert decimal_degrees(column).tolist()[0] == -0.5
        assert decimal_degrees(column).tolist()[2:] == ["0.5 W", 7.25, 12.5]
        assert decimal_degrees(column).isna().tolist() == [False, True, False, False, False]
        for wrong in ("12:75:00", "12h30m", "12:30:30:30", "1.5:30", "twelve", "12-30-36"):
            with pytest.raises(TableError, match="expected degrees, or degrees, minutes and seconds"):
                decimal_degrees(pd.Series([wrong], name="lat"))

    @pytest.mark.parametrize(
        "diam",
        [
            ["1,234.5", "2,500.0", "25"],
            ["1.234,5", "2.500,0", "25"],
            ["1 234,5", "2 500", "25"],
            ["1'234.5", "2'500", "25"],
            ["1234,5", "2500", "25"],
            ["1 234.5", "2 500", "25"],
        ],
    )
    def test_thousands_and_decimal_commas(self, diam):
        assert_right(read(crater_table(diam_km=diam)), diam=[1234.5, 2500, 25])

    def test_an_ambiguous_comma_is_settled_by_the_table_or_refused(self):
        frame = crater_table(diam_km=["1,234", "2,500", "25"])
        error = refuse("column 'diam_km' holds '1,234', whose comma may stand before decimals or between", frame)
        assert_right(read(after_typing(error, frame, 0)), diam=[1.234, 2.5, 25])
        assert_right(read(after_typing(error, frame, 1)), diam=[1234, 2500, 25])
        assert_right(read(frame.assign(lat=["10,5", "-45", "0"])), diam=[1.234, 2.5, 25])
        assert_right(
            read(frame.assign(lat=["10.5", "-45", "0"], diam_km=["1,234", "2,500.0", "25"])), diam=[1234, 2500, 25]
        )
        assert_right(read(crater_table(lat=["10,500", "-45,000", "0"])))  # no latitude is in the thousands
        refuse("mixes decimal commas and points", crater_table(diam_km=["1,5", "2.25", "3"]))

    def test_booleans_dates_complex_numbers_and_lists_are_not_numbers(self):
        for lat in ([True, False, True], pd.to_datetime(["2020"] * 3), [1j, 2j, 3j], [[1], [2], [3]]):
            refuse("'lat' is not a number: 3 rows", crater_table(lat=lat))
        assert_right(read(crater_table(lat=pd.Categorical(["10.5", "-45", "0"]))))
        assert_right(read(crater_table(lat=["10.5", "\N{MINUS SIGN}45", " 0 "])))


class TestSeveralColumns:
    @pytest.mark.parametrize(
        ("headers", "minutes", "seconds"),
        [
            (("lat_deg", "lat_min", "lat_sec"), [29, 0, 0], [60 - 1e-9, 0, 0]),
            (("LatD", "LatM", "LatS"), [30, 0, 0], [0.0, 0.0, 0.0]),
            (("Latitude degrees", "Latitude minutes", None), [30.0, 0.0, 0.0], None),
        ],
    )
    def test_degrees_minutes_and_seconds(self, headers, minutes, seconds):
        """Without minutes, positions are up to a degree off, 30 km on the Moon; "LatS" means seconds here."""
        degrees, of_minutes, of_seconds = headers
        frame = crater_table(lat=None, **{degrees: [10, -45, 0], of_minutes: minutes})
        frame = frame if of_seconds is None else frame.assign(**{of_seconds: seconds})
        error = refuse(f"columns {degrees!r}, {of_minutes!r}", frame)
        found = read(after_typing(error, frame))
        np.testing.assert_allclose(found.lat, LAT, atol=1e-9)

    def test_minus_zero_degrees_keep_their_sign(self):
        """Supernova catalogues lost the sign of declinations of -00 (astrocatalogs/astrocats#43)."""
        frame = pd.DataFrame({"lat_deg": ["-0", "0"], "lat_min": ["30", "15"], "lon": [1.0, 2.0], "diam_km": 3.0})
        error = refuse("read with dtype=str so that -0 keeps its sign", frame)
        assert read(after_typing(error, frame)).lat.tolist() == [-0.5, 0.25]

    @pytest.mark.parametrize("bounds", [{"lat_min": [1, 2, 3], "lat_max": [4, 5, 6]}, {"lat_min": [-70, 1, 2]}])
    def test_bounds_are_not_minutes(self, bounds):
        assert_right(read(crater_table(**bounds)))

    @pytest.mark.parametrize(
        ("ns", "ew", "south", "west"),
        [("N/S", "E/W", "S", "W"), ("lat_dir", "lon_dir", "South", "West"), ("NS", "EW", "s", "w")],
    )
    def test_hemispheres_in_separate_columns(self, ns, ew, south, west):
        frame = crater_table(lat=np.abs(LAT), lon=np.abs(LON), **{ns: ["N", south, "N"], ew: ["E", west, "E"]})
        error = refuse(f"column 'lon' has no signs, and column {ew!r} names hemispheres", frame)
        frame = after_typing(error, frame)
        error = refuse(f"column 'lat' has no signs, and column {ns!r} names hemispheres", frame)
        for body in ("moon", "mercury"):
            assert_right(read(after_typing(error, frame), body))

    def test_columns_of_letters_that_mean_something_else(self):
        positive = {"lat": [10.5, 45.0, 0.0], "lon": [20.0, 170.0, 130.0]}
        assert_right(
            read(crater_table(**positive, morphology="S", lat_source="W")), lat=positive["lat"], lon=positive["lon"]
        )
        assert_right(read(crater_table(hemisphere=["N", "S", "N"])))  # the signs agree with the letters


class TestSystemsInAColumn:
    """What the Gazetteer of Planetary Nomenclature writes beside each feature."""

    @pytest.mark.parametrize(
        "text", ["Planetocentric, +West, 0 - 360", "+West", "positive west", "West Positive", "PositiveWest", "+W"]
    )
    @pytest.mark.parametrize("header", ["Coordinate System", "coordinate_system", "direction", "Lon convention"])
    def test_westward_longitudes_are_turned_where_the_column_says_so(self, header, text):
        assert_right(read(crater_table(lon=WEST, **{header: [text] * 3}), "europa"))
        assert_right(read(crater_table(lon=WEST, **{header: [text, None, text]}), "moon"))

    def test_the_kind_of_latitude_is_read_from_the_column(self):
        graphic = crater_table(
            lat=[10.5, -45.0, 0.0], lon=WEST, **{"Coordinate System": ["Planetographic, +West, 0 - 360"] * 3}
        )
        by_header = crater_table(lat=None, lon=None, lat_planetographic=LAT, lon_west=WEST)
        np.testing.assert_allclose(read(graphic, "mars").lat, read(by_header, "mars").lat)
        assert read(graphic, "mars").lat[0] != pytest.approx(10.5, abs=1e-3)
        assert_right(read(graphic, "mars"), lat=read(by_header, "mars").lat)
        assert_right(read(graphic, "moon"))
        assert_right(read(graphic, "mars", input_crs="planetographic"), lat=read(by_header, "mars").lat)

    @pytest.mark.parametrize("text", ["Planetocentric, +East, -180 - 180", "GCS_Moon_2000", "Saturn", ""])
    def test_a_column_that_says_east_or_nothing_changes_nothing(self, text):
        assert_right(read(crater_table(**{"Coordinate System": [text] * 3})))

    def test_rows_in_several_systems_are_refused_and_can_be_read_one_system_at_a_time(self):
        frame = crater_table(lon=[340.0, -170.25, 130.0], **{"Coordinate System": ["+West", "+East", "+East"]})
        error = refuse("column 'Coordinate System' names several systems, '+West', '+East'", frame)
        assert "xcrater.CraterDatabase(table[table['Coordinate System'] == '+West'], ...)" in error
        parts = [read(frame[frame["Coordinate System"] == text]) for text in ("+West", "+East")]
        assert [*parts[0].lon, *parts[1].lon] == pytest.approx(LON)

    @pytest.mark.parametrize(
        ("columns", "options"),
        [
            ({"lon": None, "lon_east": LON}, {}),
            ({}, {"input_crs": "planetocentric"}),
        ],
    )
    def test_a_column_that_contradicts_header_or_input_crs_is_refused_and_the_advice_helps(self, columns, options):
        frame = crater_table(**columns, **{"Coordinate System": ["+West"] * 3})
        error = refuse("column 'Coordinate System' says 'west' of the coordinates, and", frame, "mars", **options)
        names = {"table": frame}
        exec(error.rpartition("take it away: ")[2], names)
        assert_right(read(names["table"], "mars", **options))

    def test_letters_in_the_cells_say_more_than_the_column(self):
        cells = ["20 E", "170.25 W", "130 E"]
        assert_right(read(crater_table(lon=cells, **{"Coordinate System": ["Planetocentric, +West, 0 - 360"] * 3})))
