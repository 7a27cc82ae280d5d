"""Outlines of regions on grids of every projection.

Set XCRATER_CRATERS=1000 to try that many craters on each grid.
"""

from __future__ import annotations

import math
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import dask.base
import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests import reference as ref
from xcrater.engine.craters import Craters
from xcrater.errors import GridError
from xcrater.geometry.bodies import get_body, to_geodetic
from xcrater.geometry.boxes import ring_boxes
from xcrater.geometry.frame import Frame, linear_frame, make_frame
from xcrater.geometry.outlines import polygon_outlines, ring_outlines
from xcrater.geometry.polygon_table import PolygonTable
from xcrater.geometry.rings import Outlines
from xcrater.geometry.tracing import SAGITTA, Ellipses

CRATERS = int(os.environ.get("XCRATER_CRATERS", "12"))
SPHERE = "+R=1737400"
OBLATE = "+a=3396190 +b=3376200"
RADIUS = {SPHERE: 1_737_400.0, OBLATE: 3_396_190.0}

# PROJ terms, and the west, east, south and north edges of the raster in body radii
PROJECTIONS = {
    "sinusoidal": ("+proj=sinu +lon_0=20", (-3.1416, 3.1416, -1.5708, 1.5708)),
    "Mollweide": ("+proj=moll +lon_0=-100", (-2.9, 2.9, -1.45, 1.45)),
    "Robinson": ("+proj=robin", (-2.7, 2.7, -1.36, 1.36)),
    "Mercator": ("+proj=merc +lon_0=30", (-3.1416, 3.1416, -2.5, 2.5)),
    "north polar": ("+proj=stere +lat_0=90 +lon_0=45", (-1, 1, -0.8, 1.2)),
    "south polar": ("+proj=stere +lat_0=-90", (-1, 1, -1, 1)),
    "Lambert azimuthal": ("+proj=laea +lat_0=40 +lon_0=170", (-2, 2, -2, 2)),
    "Lambert conic": ("+proj=lcc +lat_1=20 +lat_2=60 +lat_0=40 +lon_0=10", (-3, 3, -2, 2)),
    "Albers": ("+proj=aea +lat_1=20 +lat_2=60 +lat_0=40 +lon_0=-80", (-3, 3, -2, 2)),
    "orthographic": ("+proj=ortho +lat_0=30 +lon_0=60", (-1.05, 1.05, -1.05, 1.05)),
    "azimuthal equidistant": ("+proj=aeqd +lat_0=-20 +lon_0=120", (-3.2, 3.2, -3.2, 3.2)),
    "local equidistant": ("+proj=aeqd +lat_0=-80 +lon_0=120", (-0.1, 0.1, -0.1, 0.1)),
    "equal-area cylindrical": ("+proj=cea +lat_ts=30 +lon_0=100", (-3.1416, 3.1416, -1.2, 1.2)),
    "equirectangular": ("+proj=eqc +lat_ts=30 +lon_0=180", (-2.8, 2.8, -1.6, 1.6)),
    "transverse Mercator": ("+proj=tmerc +lon_0=15 +k=0.9996", (-0.3, 0.3, -1, 1)),
    "gnomonic": ("+proj=gnom +lat_0=70 +lon_0=-30", (-1, 1, -1, 1)),
}
EVERY = [(name, body) for name in PROJECTIONS for body in (SPHERE, OBLATE)]
IDS = [f"{name}, {'sphere' if body == SPHERE else 'oblate'}" for name, body in EVERY]


def crs_of(name: str, body: str) -> pyproj.CRS:
    return pyproj.CRS(f"{PROJECTIONS[name][0]} {body} +units=m +no_defs")


def frame_of(name: str, body: str, columns: int = 60, *, south_up: bool = False) -> Frame:
    west, east, south, north = (edge * RADIUS[body] for edge in PROJECTIONS[name][1])
    step = (east - west) / columns
    rows = math.ceil((north - south) / step)
    vertical = (south, step) if south_up else (north, -step)
    return make_frame(crs_of(name, body), (west, step, *vertical), (rows, columns), RADIUS[body])


def affine_of(frame: Frame) -> Affine:
    x, x_step, y, y_step = frame.transform
    return Affine(x_step, 0, x, 0, y_step, y)


def craters_of(lon: object, lat: object, radius: object) -> Craters:
    """Craters at longitude, planetocentric latitude and angular radius in degrees."""
    lon, lat, radius = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a, dtype=float)) for a in (lon, lat, radius)))
    return Craters(np.arange(lon.size, dtype=np.int32), np.mod(lon, 360), np.radians(lat), np.radians(radius))


def varied_craters(frame: Frame, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Craters anywhere, near poles, near the seam and near the rim of the domain, in degrees."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    kind = np.arange(n) % 6
    near_pole = rng.choice([-1, 1], n) * (90 - np.abs(rng.normal(0, 5, n)))
    lat = np.where(kind == 0, near_pole, lat)
    lon = np.where(kind == 1, frame.centre[0] + 180 + rng.normal(0, 3, n), lon)
    if frame.kind == "azimuthal":
        away = np.clip(frame.limits[1] + rng.normal(0, 3, n), 0, 179)
        geod = pyproj.Geod(a=1, b=1)
        x, y, _ = geod.fwd(
            np.full(n, frame.centre[0]), np.full(n, frame.centre[1]), rng.uniform(0, 360, n), np.radians(away)
        )
        lon, lat = np.where(kind == 2, x, lon), np.where(kind == 2, y, lat)
    lat = np.where(kind == 3, rng.choice([-90, 90, 0, 89.999], n), lat)
    lon = np.where(kind == 3, rng.choice([0, 180, -180, frame.centre[0]], n), lon)
    radius = np.exp(rng.uniform(np.log(0.5), np.log(60), n))
    return lon, lat, np.where(rng.random(n) < 0.1, rng.uniform(60, 150, n), radius)


def rings_of(outlines: Outlines, i: int) -> list[tuple[np.ndarray, np.ndarray]]:
    at = [slice(*outlines.ring[j : j + 2]) for j in range(outlines.shape[i], outlines.shape[i + 1])]
    return [(outlines.u[s], outlines.v[s]) for s in at]


def areas(outlines: Outlines) -> np.ndarray:
    """Area of each shape in square pixels."""
    out = np.zeros(len(outlines))
    for i in range(len(outlines)):
        for u, v in rings_of(outlines, i):
            x, y = u - u[0], v - v[0]
            out[i] += math.fsum((x * np.roll(y, -1) - np.roll(x, -1) * y).tolist()) / 2
    return out


class Pixels:
    """Positions of a frame's pixel centres on the body, and of points 0.02 pixels from them, by pyproj alone."""

    def __init__(self, name: str, body: str, frame: Frame) -> None:
        turns = np.arange(8) * np.pi / 4
        shifts = [(0.0, 0.0), *((2 * SAGITTA * math.cos(a), 2 * SAGITTA * math.sin(a)) for a in turns.tolist())]
        self.frame = frame
        self.at = [ref.projected_pixels(crs_of(name, body), affine_of(frame), frame.shape, shift) for shift in shifts]
        if frame.kind == "azimuthal":  # the cap is slightly smaller than the map by design
            for k, (x, y) in enumerate(self.at):
                away = np.degrees(np.arccos(np.clip(self._cosine(x, y), -1, 1)))
                inside = away < frame.limits[1]
                self.at[k] = np.where(inside, x, np.nan), np.where(inside, y, np.nan)

    def _cosine(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        phi_0, phi, turn = np.radians(self.frame.centre[1]), np.radians(lat), np.radians(lon - self.frame.centre[0])
        return np.sin(phi_0) * np.sin(phi) + np.cos(phi_0) * np.cos(phi) * np.cos(turn)

    def wrong(self, got: np.ndarray, mask: object) -> int:
        """Count the pixels that differ from a mask, except where a shift by 0.02 pixels changes the mask."""
        wanted, *near = (mask(at) for at in self.at)
        settled = np.logical_and.reduce([other == wanted for other in near])
        # Near the rim of the map a shifted centre may be off the map.
        settled &= np.logical_and.reduce([np.isfinite(x) == np.isfinite(self.at[0][0]) for x, _ in self.at])
        return int(np.count_nonzero((got != wanted) & settled))


@pytest.mark.parametrize(("name", "body"), EVERY, ids=IDS)
def test_circles_contain_the_pixels_within_geodesic_distance(name: str, body: str) -> None:
    frame = frame_of(name, body)
    pixels = Pixels(name, body, frame)
    geod = pyproj.Geod(a=frame.axes[0], b=frame.axes[1])
    lon, lat, radius = varied_craters(frame, CRATERS, seed=len(name))
    inner, outer = 0.4, 1.0
    outlines = ring_outlines(frame, craters_of(lon, lat, radius), inner, outer)
    assert np.isfinite(outlines.u).all()
    assert np.isfinite(outlines.v).all()
    metres = np.radians(radius) * frame.radius
    for i, phi in enumerate(frame.geodetic(lat)):
        got = ref.winding_mask(rings_of(outlines, i), frame.shape, frame.period)
        ring = (lon[i], phi, inner * metres[i], outer * metres[i])
        wrong = pixels.wrong(got, lambda at, ring=ring: ref.geodesic_mask(geod, at, *ring))
        assert wrong == 0, f"{wrong} pixels of crater {lon[i]}, {lat[i]}, {radius[i]}"


def table_of(shapes: list[shapely.Geometry]) -> PolygonTable:
    rings, shape = [], [0]
    for one in shapes:
        for part in shapely.get_parts(one):
            if part.geom_type == "Polygon" and not part.is_empty:
                part = shapely.geometry.polygon.orient(part)
                rings += [np.asarray(ring.coords)[:-1] for ring in (part.exterior, *part.interiors)]
        shape.append(len(rings))
    lon, lat = np.concatenate(rings).T
    return PolygonTable(lon, lat, np.cumsum([0, *map(len, rings)]), np.array(shape))


def polygonal(frame: Frame, n: int, seed: int, nvert: int) -> tuple[Craters, list[shapely.Geometry]]:
    """Craters whose polygon does not touch a pole, and these polygons minus those of 0.4 radii."""
    table = []
    for lon, lat, radius in zip(*varied_craters(frame, n, seed)):
        at_pole = any(ref.tangent_to_pole(lat, k * radius) for k in (1.0, 0.4)) or abs(lat) > 89.99
        if not at_pole:
            table.append((lon, lat, radius))
    shapes = [ref.polygon_region(lon, lat, 0.4 * radius, radius, nvert) for lon, lat, radius in table]
    return craters_of(*np.transpose(table)), shapes


@pytest.mark.parametrize("name", PROJECTIONS)
@pytest.mark.parametrize("nvert", [4, 32])
def test_polygons_of_circles_have_straight_edges_in_longitude_and_latitude(name: str, nvert: int) -> None:
    frame = frame_of(name, SPHERE)
    pixels = Pixels(name, SPHERE, frame)
    craters, shapes = polygonal(frame, CRATERS // 2, 7 * nvert + len(name), nvert)
    outlines = ring_outlines(frame, craters, 0.4, 1.0, nvert)
    for i, shape in enumerate(shapes):
        got = ref.winding_mask(rings_of(outlines, i), frame.shape, frame.period)
        assert pixels.wrong(got, lambda at, shape=shape: ref.lonlat_mask(at, shape)) == 0, shape


@pytest.mark.parametrize(("name", "body"), EVERY, ids=IDS)
def test_user_supplied_polygons_contain_the_right_pixels(name: str, body: str) -> None:
    frame = frame_of(name, body)
    pixels = Pixels(name, body, frame)
    _, shapes = polygonal(frame, CRATERS // 2, len(name), 8)
    outlines = polygon_outlines(frame, table_of(shapes))
    assert np.isfinite(outlines.u).all()
    assert len(outlines) == len(shapes)
    for i, shape in enumerate(shapes):
        got = ref.winding_mask(rings_of(outlines, i), frame.shape, frame.period)

        def mask(at: tuple[np.ndarray, np.ndarray], shape: shapely.Geometry = shape) -> np.ndarray:
            return ref.lonlat_mask((at[0], frame.planetocentric(at[1])), shape)

        assert pixels.wrong(got, mask) == 0, shape


def test_polygons_with_several_parts_and_islands_in_holes() -> None:
    parts = shapely.union_all(
        [
            shapely.box(150, -30, 230, 40).difference(shapely.box(160, -20, 220, 30)),
            shapely.box(170, -10, 200, 20),
            shapely.box(100, 50, 120, 60),
        ]
    )
    for name in ("sinusoidal", "Lambert azimuthal", "orthographic", "Mercator", "north polar"):
        frame = frame_of(name, SPHERE)
        outlines = polygon_outlines(frame, table_of([parts]))
        got = ref.winding_mask(rings_of(outlines, 0), frame.shape, frame.period)
        assert Pixels(name, SPHERE, frame).wrong(got, lambda at: ref.lonlat_mask(at, parts)) == 0


def cap_area(radius: np.ndarray) -> np.ndarray:
    return 4 * np.pi * RADIUS[SPHERE] ** 2 * np.sin(np.radians(radius) / 2) ** 2


@pytest.mark.parametrize("columns", [100, 40_000])
@pytest.mark.parametrize(
    "name", ["sinusoidal", "Albers", "equal-area cylindrical", "Lambert azimuthal", "equirectangular"]
)
def test_areas_agree_with_those_of_caps(name: str, columns: int) -> None:
    """This includes regions much smaller than a pixel and regions cut by the seam."""
    rng = np.random.default_rng(columns)
    frame = frame_of(name, SPHERE, columns)
    lon, lat, radius = rng.uniform(-180, 180, 60), rng.uniform(-85, 85, 60), np.exp(rng.uniform(-7, 2, 60))
    lon[:6] = frame.centre[0] + 180
    if name == "Lambert azimuthal":
        far = ref.great_circle_distance(*frame.centre, lon, lat) > 175 - radius
        lon, lat, radius = lon[~far], lat[~far], radius[~far]
    pixel = abs(frame.transform[1] * frame.transform[3])
    outlines = ring_outlines(frame, craters_of(lon, lat, radius), 0, 1)
    if name == "equirectangular":
        # The map's scale is 1 / cos(latitude), so integrate sin(latitude) along the ring by Simpson's rule.
        got = []
        for u, v in (ring for i in range(len(outlines)) for ring in rings_of(outlines, i)):
            start, end = frame.lonlat(u, v)[1], frame.lonlat(np.roll(u, -1), np.roll(v, -1))[1]
            middle = (start + end) / 2
            mean = (np.sin(np.radians(start)) + 4 * np.sin(np.radians(middle)) + np.sin(np.radians(end))) / 6
            mean -= np.sin(np.radians(start[0]))
            got.append(-math.fsum(mean * (np.roll(u, -1) - u)) / frame.period * 2 * np.pi * RADIUS[SPHERE] ** 2)
        got = np.abs(got)
    else:
        got = areas(outlines) * pixel
    np.testing.assert_allclose(got, cap_area(radius), rtol=1e-6)


def test_areas_on_a_stereographic_map_agree_with_those_of_circles() -> None:
    """A circle on the sphere is a circle on this map, through the images of its nearest and farthest point."""
    frame = frame_of("north polar", SPHERE, 5000)
    rng = np.random.default_rng(0)
    lat, radius = rng.uniform(50, 89, 50), np.exp(rng.uniform(-7, 1, 50))
    outlines = ring_outlines(frame, craters_of(rng.uniform(0, 360, 50), lat, radius), 0.5, 1)
    assert (areas(ring_outlines(frame, craters_of(0, 89.9, 3), 0, 1)) > 0).all()

    def disc(radius: np.ndarray) -> np.ndarray:
        near, far = (2 * RADIUS[SPHERE] * np.tan(np.radians(90 - lat + k * radius) / 2) for k in (-1, 1))
        return np.pi / 4 * (far - near) ** 2

    np.testing.assert_allclose(areas(outlines) * frame.transform[1] ** 2, disc(radius) - disc(radius / 2), rtol=1e-6)


def test_areas_on_the_ellipsoid_agree_with_geodesic_polygons() -> None:
    frame = frame_of("equal-area cylindrical", OBLATE, 3000)
    geod = pyproj.Geod(a=frame.axes[0], b=frame.axes[1])
    rng = np.random.default_rng(1)
    lon, lat, radius = rng.uniform(-180, 180, 20), rng.uniform(-80, 80, 20), np.exp(rng.uniform(-4, 2, 20))
    got = areas(ring_outlines(frame, craters_of(lon, lat, radius), 0, 1)) * abs(frame.transform[1] * frame.transform[3])

    def inscribed(i: int, n: int) -> float:
        turns = -360 * np.arange(n) / n
        metres = np.full(n, np.radians(radius[i]) * frame.radius)
        x, y, _ = geod.fwd(np.full(n, lon[i]), np.full(n, frame.geodetic(lat)[i]), turns, metres)
        return geod.polygon_area_perimeter(x, y)[0]

    expected = [(4 * inscribed(i, 2000) - inscribed(i, 1000)) / 3 for i in range(20)]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("south_up", [False, True])
@pytest.mark.parametrize("name", ["sinusoidal", "north polar", "Mercator"])
def test_shells_have_positive_area_whichever_way_rows_run(name: str, south_up: bool) -> None:
    frame = frame_of(name, SPHERE, south_up=south_up)
    lon, lat, radius = [40, 40, 200, 0], [60, 88, 70, 90], [5, 20, 40, 30]
    outlines = ring_outlines(frame, craters_of(lon, lat, radius), 0, 1)
    ring = ring_outlines(frame, craters_of(lon, lat, radius), 0.5, 1)
    assert (areas(outlines) > 0).all()
    assert (areas(ring) > 0).all()
    assert (areas(ring) < areas(outlines)).all()


@pytest.mark.parametrize("nvert", [0, 8])
@pytest.mark.parametrize("name", ["sinusoidal", "orthographic", "Mercator"])
def test_a_crater_alone_has_the_same_vertices_as_among_others(name: str, nvert: int) -> None:
    frame = frame_of(name, OBLATE, 400)
    craters = craters_of(*varied_craters(frame, 24, 3))
    together = ring_outlines(frame, craters, 0.5, 1.5, nvert)
    for i in range(24):
        alone = ring_outlines(frame, craters.take(np.array([i])), 0.5, 1.5, nvert)
        both = rings_of(alone, 0), rings_of(together, i)
        assert len(both[0]) == len(both[1])
        for one, other in zip(*both):
            np.testing.assert_array_equal(one, other)


def test_a_crater_beyond_the_horizon_has_no_outline() -> None:
    frame = frame_of("orthographic", SPHERE)
    outlines = ring_outlines(frame, craters_of([240, 60], [-30, 30], [20, 20]), 0, 1)
    assert np.diff(outlines.shape).tolist() == [0, 1]
    assert np.isnan(outlines.bounds()[0]).tolist() == [True, False]
    assert np.isnan(ring_boxes(frame, craters_of([240, 60], [-30, 30], [20, 20]), 1)[0]).tolist() == [True, False]


def test_no_craters() -> None:
    frame = frame_of("orthographic", SPHERE)
    empty = craters_of([], [], [])
    assert ring_outlines(frame, empty, 0, 1).shape.tolist() == [0]
    assert ring_outlines(frame, empty, 0, 1, 8).ring.tolist() == [0]
    assert [box.size for box in ring_boxes(frame, empty, 1)] == [0] * 4


CODES = ["30110", "30115", "30120", "30125", "30130", "30135", "30140", "30150", "30160", "30165", "30175", "30180",
         "30185", "49910", "49911", "49912", "49916", "49917", "49921", "49922", "49931", "49932", "49936", "49941",
         "49951", "49965", "49966", "49976", "49981", "49986", "19911", "19921", "19931"]  # fmt: skip


@pytest.mark.parametrize("code", CODES)
def test_the_raster_and_the_table_read_every_kind_of_axis_alike(code: str) -> None:
    """Points of all quadrants, in systems with westward longitudes or planetocentric latitudes."""
    crs = pyproj.CRS(f"IAU_2015:{code}")
    body = get_body({"30": "moon", "49": "mars", "19": "mercury"}[code[:2]])
    step = 0.4 * body.radius / 50
    frame = make_frame(crs, (-50 * step, step, 50 * step, -step), (100, 100), body.radius)
    u, v = np.array([20.3, 77.7, 22.2, 70.0]), np.array([33.3, 20.0, 81.5, 77.7])
    x, y = (u - 50) * step, (50 - v) * step
    lon, lat = to_geodetic(x, y, body, crs)
    assert np.isfinite(lon).all()
    got = frame.pixels(lon, lat)
    np.testing.assert_allclose((got[0] - u + 50) % (frame.period if frame.period < 1e9 else 1e9), 50, atol=1e-6)
    np.testing.assert_allclose(got[1], v, atol=1e-6)
    back = frame.lonlat(u, v)
    np.testing.assert_allclose((back[0] - lon + 180) % 360, 180, atol=1e-8)
    np.testing.assert_allclose(back[1], lat, atol=1e-8)


@pytest.mark.parametrize(
    "terms",
    [
        "+proj=sinu +lon_0=25 +pm=10",
        "+proj=stere +lat_0=90 +pm=-20",
        "+proj=merc +units=km",
        "+proj=tmerc +lon_0=-153 +x_0=500000",
    ],
)
def test_prime_meridians_and_units(terms: str) -> None:
    crs = pyproj.CRS(f"{terms} {SPHERE} +no_defs")
    unit = crs.axis_info[0].unit_conversion_factor
    x0 = 500_000 / unit if "tmerc" in terms else 0.0
    frame = make_frame(crs, (x0 - 5e5 / unit, 1e4 / unit, 5e5 / unit, -1e4 / unit), (100, 100), RADIUS[SPHERE])
    lon, lat = to_geodetic(x0 + np.array([2e5, -1e5]) / unit, np.array([3e5, -2e5]) / unit, get_body("moon"), crs)
    u, v = frame.pixels(lon, lat)
    np.testing.assert_allclose((u - [70, 40] + 50) % (frame.period if frame.period < 1e9 else 1e9), 50, atol=1e-6)
    np.testing.assert_allclose(v, [20, 70], atol=1e-6)


def test_grids_with_a_closed_form_have_a_frame_too() -> None:
    frame = linear_frame((-180.0, 2.0, 90.0, -2.0), (90, 180))
    assert (frame.period, frame.kind) == (180, "cylindrical")
    columns = Craters(
        np.zeros(1, np.int32), np.array([100.0]), np.radians([10.0]), np.radians([20.0]), meridians=(-180.0, 2.0)
    )
    west, east, top, bottom = ring_outlines(frame, columns, 0, 1).bounds()
    assert (top[0], bottom[0]) == (pytest.approx(30, abs=SAGITTA), pytest.approx(50, abs=SAGITTA))
    assert (west[0] + east[0]) / 2 == pytest.approx(100, abs=1e-9)


@pytest.mark.parametrize("ocentric", [False, True])
def test_geographic_grids_of_oblate_bodies(ocentric: bool) -> None:
    frame = linear_frame(
        (0.0, 3.0, 90.0, -3.0), (60, 120), axes=(3396190.0, 3376200.0), radius=3396190.0, ocentric=ocentric
    )
    geod = pyproj.Geod(a=3396190.0, b=3376200.0)
    lon, lat = np.meshgrid(3 * (np.arange(120) + 0.5), 90 - 3 * (np.arange(60) + 0.5))
    if ocentric:
        lat = frame.geodetic(lat)
    for at in ((10.0, 45.0, 20.0), (0.0, -80.0, 30.0), (359.0, 2.0, 130.0)):
        outlines = ring_outlines(frame, craters_of(*at), 0.3, 1)
        got = ref.winding_mask(rings_of(outlines, 0), frame.shape, frame.period)
        metres = np.radians(at[2]) * frame.radius
        wanted = ref.geodesic_mask(
            geod, (lon, lat), at[0], float(frame.geodetic(np.array(at[1]))), 0.3 * metres, metres
        )
        assert np.count_nonzero(got != wanted) <= 1


def test_frames_can_be_pickled_hashed_and_tokenized() -> None:
    frame = frame_of("sinusoidal", OBLATE)
    again = pickle.loads(pickle.dumps(frame))
    assert again == frame
    assert hash(again) == hash(frame)
    assert dask.base.tokenize(again) == dask.base.tokenize(frame)
    assert dask.base.tokenize(frame_of("sinusoidal", OBLATE, 61)) != dask.base.tokenize(frame)


def test_outlines_from_several_threads_are_the_same() -> None:
    frame = frame_of("sinusoidal", OBLATE)
    craters = craters_of(*varied_craters(frame, 12, 5))
    alone = ring_outlines(frame, craters, 0, 1)
    with ThreadPoolExecutor(4) as pool:
        for other in pool.map(lambda _: ring_outlines(frame, craters, 0, 1), range(8)):
            np.testing.assert_array_equal(other.u, alone.u)


def test_a_grid_outside_its_projection_is_refused() -> None:
    with pytest.raises(GridError, match=r"no pixel .* check da\.rio\.transform\(\)"):
        make_frame(crs_of("orthographic", SPHERE), (9e6, 1e3, 9e6, -1e3), (10, 10), 1.7e6)


def test_interrupted_projections_are_refused() -> None:
    crs = pyproj.CRS(f"+proj=igh {SPHERE} +units=m +no_defs")
    with pytest.raises(GridError, match=r"interrupted.*da = da\.rio\.reproject\("):
        make_frame(crs, (-1e6, 1e4, 1e6, -1e4), (100, 100), 1.7e6)


@given(
    which=st.sampled_from(EVERY),
    columns=st.sampled_from([20, 300]),
    nvert=st.sampled_from([0, 4, 32]),
    outer=st.sampled_from([0.5, 1.0, 3.0]),
    lon=st.floats(-180, 180),
    lat=st.sampled_from([-90.0, 90.0, 0.0, 89.9]) | st.floats(-90, 90),
    radius=st.floats(math.log(1e-3), math.log(60)).map(math.exp),
)
@settings(max_examples=60)
def test_boxes_contain_the_outlines(
    which: tuple[str, str], columns: int, nvert: int, outer: float, lon: float, lat: float, radius: float
) -> None:
    frame = frame_of(*which, columns)
    craters = craters_of(lon, lat, radius)
    west, east, top, bottom = (edge[0] for edge in ring_outlines(frame, craters, 0, outer, nvert).bounds())
    box_top, box_bottom, box_west, box_east = (edge[0] for edge in ring_boxes(frame, craters, outer, nvert))
    rows, cols = frame.shape
    # Off the raster, the outline is coarse and need not lie within the box.
    assume(bottom >= 0 and top <= rows)  # false for an outline that does not exist
    assume(np.isfinite(frame.period) or (east >= 0 and west <= cols))
    assert box_top <= max(top, 0)
    assert box_bottom >= min(bottom, rows)
    if np.isfinite(frame.period):
        turn = frame.period * round(((box_west + box_east) - (west + east)) / 2 / frame.period)
        whole = box_east - box_west >= frame.period * (1 - 1e-12)
        assert whole or (box_west <= west + turn and box_east >= east + turn)
    else:
        assert box_west <= max(west, 0)
        assert box_east >= min(east, cols)


def test_taking_rows_of_a_polygon_table() -> None:
    table = table_of(
        [shapely.box(0, 0, 1, 1), shapely.Polygon(), shapely.box(2, 2, 9, 9).difference(shapely.box(3, 3, 4, 4))]
    )
    cut = table.take([2, 0])
    assert len(cut) == 2
    assert np.diff(cut.shape).tolist() == [2, 1]
    assert cut.lon[-4:].tolist() == table.lon[:4].tolist()
    assert len(table.take(np.array([False, True, False]))) == 1


def ellipse_mask(
    geod: pyproj.Geod,
    at: tuple[np.ndarray, np.ndarray],
    lon: float,
    lat: float,
    metres: tuple[float, float],
    axis: float,
) -> np.ndarray:
    """Points closer to the centre than the ellipse's boundary in their direction, by the polar form of an ellipse."""
    a, b = metres
    x, y = at
    here, out = np.isfinite(x) & np.isfinite(y), np.zeros(x.shape, bool)
    n = np.count_nonzero(here)
    azimuth, _, distance = geod.inv(np.full(n, lon), np.full(n, lat), x[here], y[here])
    t = np.radians(azimuth - axis)
    out[here] = distance < a * b / np.hypot(b * np.cos(t), a * np.sin(t))
    return out


@pytest.mark.parametrize(("name", "body"), EVERY, ids=IDS)
def test_ellipses_contain_the_pixels_within_their_polar_form(name: str, body: str) -> None:
    frame = frame_of(name, body)
    pixels = Pixels(name, body, frame)
    geod = pyproj.Geod(a=frame.axes[0], b=frame.axes[1])
    lon, lat, radius = varied_craters(frame, CRATERS, seed=len(name))
    radius = np.minimum(radius, 80.0)
    rng = np.random.default_rng(len(name))
    ratio, axis = rng.uniform(0.3, 1.0, lon.size), rng.uniform(0, 180, lon.size)
    ellipses = Ellipses(np.radians(radius), ratio * np.radians(radius), axis)
    craters = craters_of(lon, lat, 1.0)
    outlines = ring_outlines(frame, craters, 0.4, 1.0, ellipses=ellipses)
    west, east, top, bottom = ring_outlines(frame, craters, 0.0, 1.0, ellipses=ellipses).bounds()
    box_top, box_bottom, box_west, box_east = ring_boxes(frame, craters, 1.0, ellipses=ellipses)
    metres = np.radians(radius) * frame.radius
    for i, phi in enumerate(frame.geodetic(lat)):
        got = ref.winding_mask(rings_of(outlines, i), frame.shape, frame.period)

        def mask(at: tuple[np.ndarray, np.ndarray], i: int = i, phi: float = phi) -> np.ndarray:
            outer, inner = (
                ellipse_mask(geod, at, lon[i], phi, (k * metres[i], k * ratio[i] * metres[i]), axis[i])
                for k in (1.0, 0.4)
            )
            return outer & ~inner

        assert pixels.wrong(got, mask) == 0, f"crater {lon[i]}, {lat[i]}, {radius[i]}, {ratio[i]}, {axis[i]}"
        if got.any():
            rows, cols = frame.shape
            assert box_top[i] <= max(top[i], 0)
            assert box_bottom[i] >= min(bottom[i], rows)
            if not np.isfinite(frame.period):
                assert box_west[i] <= max(west[i], 0)
                assert box_east[i] >= min(east[i], cols)


@pytest.mark.parametrize("name", ["sinusoidal", "orthographic", "Mercator"])
def test_ellipses_with_equal_axes_are_circles(name: str) -> None:
    frame = frame_of(name, OBLATE, 400)
    lon, lat, radius = varied_craters(frame, 24, 3)
    angle = np.radians(radius)
    ellipses = Ellipses(angle, angle, np.linspace(0, 170, 24))
    circles, others = (
        ring_outlines(frame, craters_of(lon, lat, radius), 0.5, 1),
        ring_outlines(frame, craters_of(lon, lat, 1.0), 0.5, 1, ellipses=ellipses),
    )
    np.testing.assert_allclose(areas(others), areas(circles), rtol=1e-5, atol=1e-5)
