"""Bodies and their coordinate systems agree with craterpy and with the IAU definitions in PROJ."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyproj
import pytest

from xcrater.errors import BodyError
from xcrater.geometry.bodies import body_of_crs, ellipsoids, get_body, is_projected, same_body, to_geodetic

# One point per quadrant, one near each pole, and the ends of both conventions of longitude.
LON = np.array([10.0, 100.0, -10.0, -100.0, 190.0, 359.0, 0.0])
LAT = np.array([10.0, -20.0, 80.0, -80.0, 45.0, -45.0, 0.0])
CRATERPY_BODIES = [
    "mercury", "venus", "moon", "earth", "mars", "ceres", "vesta", "europa", "ganymede", "callisto", "enceladus",
    "tethys", "dione", "rhea", "iapetus", "pluto",
]  # fmt: skip


def craterpy_geodetic(body, system):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import craterpy

        cdb = craterpy.CraterDatabase(pd.DataFrame({"lon": LON, "lat": LAT, "rad": 1.0}), body, system)
    return cdb.lon.to_numpy(), cdb.lat.to_numpy()


def assert_same_place(actual, expected):
    lon, lat = actual
    assert ((lon >= -180) & (lon < 180)).all()
    np.testing.assert_allclose((lon - expected[0] + 180) % 360 - 180, 0, atol=1e-9)
    np.testing.assert_allclose(lat, expected[1], atol=1e-9)


@pytest.mark.parametrize("system", ["default", "planetocentric"])
@pytest.mark.parametrize("body", CRATERPY_BODIES)
def test_coordinate_systems_agree_with_craterpy(body, system):
    assert_same_place(to_geodetic(LON, LAT, get_body(body), system), craterpy_geodetic(body, system))


@pytest.mark.parametrize("system", ["claudia_dp", "claudia_p", "dawn_claudia", "+proj=longlat +R=255000 +lon_0=10"])
def test_coordinate_systems_of_vesta_agree_with_craterpy(system):
    assert_same_place(to_geodetic(LON, LAT, get_body("vesta"), system), craterpy_geodetic("vesta", system))


@pytest.mark.parametrize("body", ["ganymede", "callisto", "enceladus", "tethys", "dione", "rhea"])
def test_planetographic_coordinates_on_spheres_agree_with_craterpy(body):
    actual = to_geodetic(LON, LAT, get_body(body), "planetographic")
    assert_same_place(actual, craterpy_geodetic(body, "planetographic"))
    assert_same_place(actual, (-LON, LAT))


@pytest.mark.parametrize(("body", "sign"), [("mercury", -1), ("mars", -1), ("iapetus", -1), ("ceres", 1), ("earth", 1)])
def test_planetographic_latitude_is_converted_where_craterpy_leaves_it(body, sign):
    (a, b), *_ = [axes for axes in ellipsoids(get_body(body)) if axes[0] != axes[1]]
    expected = np.degrees(np.arctan((b / a) ** 2 * np.tan(np.radians(LAT))))
    assert_same_place(to_geodetic(LON, LAT, get_body(body), "planetographic"), (sign * LON, expected))
    lon, lat = craterpy_geodetic(body, "planetographic")
    assert_same_place((lon, lat), (sign * LON, LAT))


def test_default_on_a_body_that_craterpy_lacks_is_planetocentric():
    assert_same_place(to_geodetic(LON, LAT, get_body("phobos"), "default"), (LON, LAT))


def test_longitudes_in_range_keep_every_bit():
    lon = np.array([-14.91, -180.0, np.nextafter(180, 0), 0.1])
    np.testing.assert_array_equal(to_geodetic(lon, lon * 0, get_body("moon"))[0], lon)
    edge = [180.0, -540.0, np.nextafter(-180, -200), 720.0]
    np.testing.assert_array_equal(to_geodetic(edge, [0.0] * 4, get_body("moon"))[0], [-180, -180, -180, 0])


def ocentric(lat):
    return np.degrees(np.arctan((3376200 / 3396190) ** 2 * np.tan(np.radians(lat))))


@pytest.mark.parametrize(
    ("crs", "lon", "lat"),
    [
        ("IAU_2015:49900", LON, LAT),
        ("IAU_2015:49901", -LON, ocentric(LAT)),
        ("IAU_2015:49902", LON, LAT),
        ("+proj=longlat +a=3396190 +b=3376200", LON, ocentric(LAT)),
        ("+proj=longlat +R=3389500", LON, LAT),
        ("+proj=longlat +R=3396190 +axis=wnu", -LON, LAT),
        ("+proj=longlat +R=3396190 +pm=20", LON + 20, LAT),
        ("+proj=longlat +R=3396190 +lon_0=20", LON + 20, LAT),
        ("+proj=longlat +R=3396190 +lon_0=20 +axis=wnu", -LON + 20, LAT),
    ],
)
def test_geographic_crs(crs, lon, lat):
    mars = get_body("mars")
    assert_same_place(to_geodetic(LON, LAT, mars, crs), (lon, lat))
    assert_same_place(to_geodetic(LON, LAT, mars, pyproj.CRS.from_user_input(crs)), (lon, lat))


X = np.array([1e6, -1e6, -2e6, 3e6])
Y = np.array([5e5, 7e5, -5e5, -1e6])


@pytest.mark.parametrize(
    ("crs", "sign", "convert"),
    [("IAU_2015:49910", 1, False), ("IAU_2015:49911", -1, True), ("IAU_2015:49912", 1, True)],
)
def test_cylindrical_crs(crs, sign, convert):
    lat = np.degrees(Y / 3396190)
    expected = (sign * np.degrees(X / 3396190), ocentric(lat) if convert else lat)
    assert_same_place(to_geodetic(X, Y, get_body("mars"), crs), expected)


@pytest.mark.parametrize(("crs", "pole"), [("IAU_2015:30130", 1), ("IAU_2015:30135", -1)])
def test_polar_stereographic_crs(crs, pole):
    colatitude = 2 * np.degrees(np.arctan(np.hypot(X, Y) / (2 * 1737400)))
    expected = (np.degrees(np.arctan2(X, -pole * Y)), pole * (90 - colatitude))
    assert_same_place(to_geodetic(X, Y, get_body("moon"), crs), expected)


def test_projected_crs_with_northing_first_and_a_meridian():
    earth = get_body("earth")
    lon, lat = to_geodetic([1.6e6], [5.43e6], earth, "EPSG:2193")  # New Zealand, with the axes northing and easting
    assert (lon[0], lat[0]) == pytest.approx((173.0, -41.1), abs=0.3)
    assert to_geodetic([0.0], [0.0], get_body("moon"), "+proj=eqc +R=1737400 +pm=30")[0] == pytest.approx([30.0])


def test_points_outside_a_projection_are_nan():
    lon, lat = to_geodetic([0.0, 1e7], [0.0, 0.0], get_body("moon"), "+proj=ortho +R=1737400")
    assert np.isnan(lon).tolist() == np.isnan(lat).tolist() == [False, True]


def test_get_body():
    mars = get_body(" Mars ")
    assert (mars.name, mars.naif, mars.radius) == ("mars", 499, 3396190.0)
    assert mars.crs.to_authority() == ("IAU_2015", "49900")
    assert get_body("vesta").radius == 255000.0
    assert get_body("europa").naif != get_body("52 europa").naif


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mon", "received body='mon'; expected one of the .* did you mean 'moon'"),
        ("qqqq", "received body='qqqq'; .* such as 'moon', 'mars' or 'ceres'"),
        (301, "received body=301, a int; expected a name such as 'moon'"),
    ],
)
def test_unknown_body(name, message):
    with pytest.raises(BodyError, match=message):
        get_body(name)


@pytest.mark.parametrize(
    ("crs", "body", "same"),
    [
        ("+proj=longlat +R=3389500", "mars", True),
        ("+proj=longlat +a=3396000 +b=3376200", "mars", True),
        ("IAU_2015:49931", "mars", True),
        ("ESRI:104903", "moon", True),
        ("+proj=eqc +R=1738000", "moon", True),
        ("EPSG:3031", "earth", True),
        ("+proj=longlat +R=6371000", "earth", True),
        ("EPSG:4326", "moon", False),
        ("IAU_2015:50400", "mercury", False),
        ("+proj=longlat +R=2410300", "mercury", False),
        ("+proj=longlat +R=2439700", "callisto", False),
        ("IAU_2015:60500", "oberon", False),  # within 0.3 % of the radius, but the code belongs to Rhea
        ('LOCAL_CS["pixels",UNIT["metre",1]]', "moon", False),
    ],
)
def test_same_body(crs, body, same):
    assert same_body(crs, get_body(body)) is same


@pytest.mark.parametrize(
    ("crs", "name"),
    [
        ("IAU_2015:30135", "moon"),
        (pyproj.CRS("IAU_2015:49902").to_wkt(), "mars"),
        ("ESRI:104905", "mars"),
        ("EPSG:4326", "earth"),
        ("EPSG:9518", "earth"),  # with heights
        ("+proj=longlat +a=6378137 +b=6356752 +towgs84=1,2,3 +type=crs", "earth"),
        ("+proj=longlat +R=763500", "rhea"),
        ("+proj=longlat +R=1738100", "moon"),
        ("+proj=longlat +R=762400", None),  # Rhea or Oberon
        ("+proj=longlat +R=1e9", None),
        ('LOCAL_CS["pixels",UNIT["metre",1]]', None),
    ],
)
def test_body_of_crs(crs, name):
    body = body_of_crs(crs)
    assert (body.name if body else None) == name


def test_is_projected():
    assert is_projected("EPSG:3031")
    assert not any(map(is_projected, ["default", "nonsense", "EPSG:4326", "IAU_2015:49902"]))


@pytest.mark.parametrize(
    ("body", "crs", "message"),
    [
        ("moon", "planetographic", "no planetographic system for moon. Pass input_crs='planetocentric'"),
        ("moon", "claudia_p", "input_crs='claudia_p' for moon; that longitude system is Vesta's"),
        ("moon", "nonsense", "expected 'default', 'planetocentric', 'planetographic'"),
        ("moon", "EPSG:4326", "'WGS 84', of earth; the table is on moon .radius 1737400 m.. Pass body='earth', or an"),
        ("moon", "+proj=longlat +R=1e9", "semi-major axis of 1000000000 m; .* Pass an input_crs of moon"),
        ("earth", "EPSG:4978", "a Geocentric CRS; expected a geographic or projected CRS. Transform the coordinates"),
        ("moon", "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=45 +R=1737400", "a Derived Geographic 2D CRS"),
    ],
)
def test_unusable_input_crs(body, crs, message):
    with pytest.raises(BodyError, match=message):
        to_geodetic(LON, LAT, get_body(body), crs)
