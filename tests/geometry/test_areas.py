"""True areas of pixels on the sphere and the ellipsoid agree with closed forms and geodesic polygons."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pyproj
import pytest

from xcrater.errors import GridError
from xcrater.geometry.areas import pixel_areas

MOON = "+R=1737400"
MARS = "+a=3396190 +b=3376200"


def surface(figure):
    """Area of the sphere or oblate ellipsoid, m²."""
    if figure == MOON:
        return 4 * np.pi * 1737400.0**2
    a, b = 3396190.0, 3376200.0
    e = np.sqrt(1 - (b / a) ** 2)
    return 2 * np.pi * a**2 * (1 + (1 - e**2) / e * np.arctanh(e))


def globe(projection, figure, rows=180, cols=360):
    """A CRS, and the transform of a grid that just contains its map of the whole body."""
    crs = f"+proj={projection} {figure} +type=crs"
    lon, lat = np.meshgrid(np.linspace(-180, 180, 361), np.linspace(-90, 90, 181))
    x, y = (lon, lat) if projection == "longlat" else pyproj.Proj(crs)(lon, lat)
    good = np.isfinite(x) & np.isfinite(y)
    width, height = np.abs(x[good]).max(), np.abs(y[good]).max()
    return crs, (2 * width / cols, 0.0, -width, 0.0, -2 * height / rows, height)


@pytest.mark.parametrize("figure", [MOON, MARS])
@pytest.mark.parametrize("projection", ["longlat", "eqc", "eqc +lat_ts=30 +lon_0=50", "cea", "mill"])
def test_closed_forms_add_up_to_the_body(projection, figure):
    crs, transform = globe(projection.replace(" +lon_0=50", ""), figure)
    areas = pixel_areas(crs, transform, (0, 180, 0, 360))
    assert areas.shape == (180, 1)
    assert 360 * areas.sum() == pytest.approx(surface(figure), rel=1e-12)


@pytest.mark.parametrize("figure", [MOON, MARS])
@pytest.mark.parametrize(
    ("projection", "accuracy"),
    [
        ("moll", 1e-6),
        ("sinu", 1e-6),
        ("laea +lat_0=90", 1e-6),
        ("aeqd +lat_0=-90", 1e-6),
        # Its poles are straight lines along a row, so all pixels partly outside have the same relative error.
        ("eck4", 1e-4),
    ],
)
def test_numeric_areas_add_up_to_the_body(projection, accuracy, figure):
    crs, transform = globe(projection, figure, 200, 400)
    # The grid is slightly wider, as PROJ may refuse a point at the far edge.
    transform = tuple(1.01 * number for number in transform)
    areas = pixel_areas(crs, transform, (0, 200, 0, 400))
    assert areas.shape == (200, 400)
    assert areas.min() == areas[0, 0] == 0.0
    assert areas.sum() == pytest.approx(surface(figure), rel=accuracy)


def outline(transform, row, col, n):
    """Points along the outline of a pixel."""
    t = np.arange(n) / n
    u = np.concatenate([t, np.ones(n), 1 - t, np.zeros(n)]) + col
    v = np.concatenate([np.zeros(n), t, np.ones(n), 1 - t]) + row
    a, _, c, _, e, f = transform
    return c + a * u, f + e * v


@pytest.mark.parametrize("figure", [MOON, MARS])
@pytest.mark.parametrize("degrees", [0.05, 1.0])
@pytest.mark.parametrize(
    "projection",
    [
        "longlat",
        "eqc +lat_ts=40",
        "merc",
        "sinu",
        "laea +lat_0=30",
        "stere +lat_0=90",
        "stere +lat_0=-90 +lat_ts=-70",
        "lcc +lat_1=30 +lat_2=60",
        "tmerc",
        "aeqd +lat_0=40 +lon_0=20",
        "ortho +lat_0=30",
    ],
)
def test_areas_agree_with_geodesic_outlines(projection, degrees, figure):
    crs = f"+proj={projection} {figure} +type=crs"
    geod = pyproj.CRS(crs).get_geod()
    sign = -1 if "-90" in projection else 1
    lat_lon = [(sign * 52.3, 17.0), (sign * 66.0, -8.0), (sign * 31.0, 4.0)]
    proj = None if projection == "longlat" else pyproj.Proj(crs)
    size = degrees if proj is None else degrees * np.radians(1) * geod.a
    for lat, lon in lat_lon:
        x, y = (lon, lat) if proj is None else proj(lon, lat)
        transform = (size, 0.0, x - 2 * size, 0.0, -size, y + size)
        areas = np.broadcast_to(pixel_areas(crs, transform, (0, 3, 0, 5)), (3, 5))
        for row, col in ((0, 0), (1, 2), (2, 4)):
            lons, lats = outline(transform, row, col, 1000)
            if proj is not None:
                lons, lats = proj(lons, lats, inverse=True)
            expected = abs(geod.polygon_area_perimeter(lons, lats)[0])
            # The comparison is limited by the chords of the outline and by GeographicLib's resolution of square
            # decimetres.
            assert areas[row, col] == pytest.approx(expected, rel=3e-8)


@pytest.mark.parametrize("size", [5.0, 5000.0, 30000.0])
@pytest.mark.parametrize(("row", "col"), [(0, 0), (-300, 40), (3, -77)])
def test_polar_stereographic_areas_agree_with_their_closed_form(size, row, col):
    radius = 1737400.0
    transform = (size, 0.0, -size / 3, 0.0, -size, size / 7)
    areas = pixel_areas(f"+proj=stere +lat_0=90 {MOON}", transform, (row, row + 9, col, col + 7))
    nodes, weights = np.polynomial.legendre.leggauss(12)
    x = transform[2] + size * (np.arange(col, col + 7)[:, None] + (nodes + 1) / 2)
    y = transform[5] - size * (np.arange(row, row + 9)[:, None] + (nodes + 1) / 2)
    density = (1 + (x[None, None] ** 2 + y[:, :, None, None] ** 2) / (4 * radius**2)) ** -2.0
    expected = size**2 * np.einsum("rgch,g,h->rc", density, weights / 2, weights / 2)
    np.testing.assert_allclose(areas, expected, rtol=1e-9)


@pytest.mark.parametrize("step", [1e-5, 1e-3, 0.5])
def test_rows_next_to_the_pole_keep_their_digits(step):
    areas = pixel_areas(f"+proj=longlat {MOON}", (step, 0, 0, 0, -step, 90), (0, 3, 0, 1))
    edges = np.radians(step) * np.arange(4)
    expected = 1737400.0**2 * np.radians(step) * 2 * np.diff(np.sin(edges / 2) ** 2)
    # Latitudes near 90° have 14 digits after the decimal point.
    np.testing.assert_allclose(areas[:, 0], expected, rtol=1e-12 + 3e-14 / step)


def test_rows_beyond_a_pole_have_no_area():
    crs = f"+proj=longlat {MARS}"
    areas = pixel_areas(crs, (1, 0, 0, 0, -1, 91.5), (-1, 185, 7, 9))
    assert areas.shape == (186, 1)
    assert (areas[:2] == 0).all()
    half = pixel_areas(crs, (1, 0, 0, 0, -0.5, 90), (0, 1, 0, 1))
    assert areas[2] == pytest.approx(half[0], rel=1e-12)
    assert 360 * areas.sum() == pytest.approx(surface(MARS), rel=1e-12)
    south_up = pixel_areas(crs, (-1, 0, 0, 0, 1, -91.5), (-1, 185, 7, 9))
    np.testing.assert_allclose(south_up, areas, rtol=1e-12)


def test_areas_on_planetocentric_latitudes():
    centric = pixel_areas("IAU_2015:49902", (1, 0, -180, 0, -1, 90), (0, 180, 0, 360))[:, 0]
    assert 360 * centric.sum() == pytest.approx(surface(MARS), rel=1e-12)
    edges = np.radians(np.arange(90, -91, -1.0))
    graphic = np.degrees(np.arctan2((3396190 / 3376200) ** 2 * np.sin(edges), np.cos(edges)))
    rows = [
        pixel_areas(f"+proj=longlat {MARS}", (1, 0, 0, 0, -(north - south), north), (0, 1, 0, 1))[0, 0]
        for north, south in pairwise(graphic)
    ]
    np.testing.assert_allclose(centric, rows, rtol=1e-10)


@pytest.mark.parametrize(
    "code", ["IAU_2015:49910", "IAU_2015:49911", "IAU_2015:49912", "IAU_2015:49930", "IAU_2015:49935"]
)
def test_iau_projections_are_understood(code):
    areas = pixel_areas(code, (1000, 0, 20000, 0, -1000, 50000), (0, 10, 0, 10))
    assert np.broadcast_to(areas, (10, 10)).mean() == pytest.approx(1e6, rel=0.02)


def test_units_of_the_crs_are_respected():
    metres = pixel_areas(f"+proj=stere +lat_0=90 {MOON}", (1000, 0, 0, 0, -1000, 0), (0, 4, 0, 4))
    kilometres = pixel_areas(f"+proj=stere +lat_0=90 {MOON} +units=km", (1, 0, 0, 0, -1, 0), (0, 4, 0, 4))
    np.testing.assert_allclose(kilometres, metres, rtol=1e-9)
    equal = pixel_areas(f"+proj=sinu {MOON} +units=km", (1, 0, 0, 0, -1, 0), (0, 4, 0, 4))
    np.testing.assert_allclose(equal, [[1e6]], rtol=1e-12)


def test_areas_on_an_equal_area_map_are_a_single_number():
    crs, transform = globe("moll", MOON)
    inside = pixel_areas(crs, transform, (80, 100, 100, 200))
    assert inside.shape == (1, 1)
    whole = pixel_areas(crs, transform, (0, 180, 0, 360))
    np.testing.assert_allclose(whole[80:100, 100:200], np.broadcast_to(inside, (20, 100)), rtol=1e-12)


@pytest.mark.parametrize("projection", ["ortho", "robin", "stere +lat_0=90"])
def test_a_window_has_the_areas_of_the_whole_grid(projection):
    crs, transform = f"+proj={projection} {MOON} +type=crs", (50e3, 0, -2e6, 0, -50e3, 2e6)
    whole = pixel_areas(crs, transform, (20, 50, 20, 60))
    np.testing.assert_allclose(pixel_areas(crs, transform, (30, 45, 25, 33)), whole[10:25, 5:13], rtol=1e-7)


def test_empty_windows_have_no_areas():
    assert pixel_areas(f"+proj=longlat {MOON}", (1, 0, 0, 0, -1, 0), (3, 3, 0, 5)).shape == (0, 5)


def test_pixels_off_the_map_have_no_area():
    areas = pixel_areas(f"+proj=ortho {MOON}", (1e5, 0, 5e6, 0, -1e5, 0), (0, 20, 0, 30))
    assert areas.shape == (20, 30)
    assert not areas.any()


@pytest.mark.parametrize(
    ("crs", "transform", "message"),
    [
        (f"+proj=longlat {MOON}", (1, 0.1, 0, 0, -1, 0), "received transform="),
        (f"+proj=longlat {MOON}", (0, 0, 0, 0, -1, 0), "received transform="),
        ('LOCAL_CS["nothing"]', (1, 0, 0, 0, -1, 0), "neither geographic nor projected"),
    ],
)
def test_unusable_grids_are_refused(crs, transform, message):
    with pytest.raises(GridError, match=message):
        pixel_areas(crs, transform, (0, 1, 0, 1))


def test_areas_in_threads_and_after_pickling():
    crs, transform = globe("robin", MOON)
    expected = pixel_areas(crs, transform, (60, 100, 100, 200))
    with ThreadPoolExecutor(4) as pool:
        for areas in pool.map(lambda _: pixel_areas(crs, transform, (60, 100, 100, 200)), range(8)):
            np.testing.assert_array_equal(areas, expected)
    assert pickle.loads(pickle.dumps(pixel_areas)) is pixel_areas
