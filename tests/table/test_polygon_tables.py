"""User-supplied polygons become tables of continuous rings, across the antimeridian, over poles and from any map."""

from __future__ import annotations

import math

import numpy as np
import pyproj
import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

from xcrater.errors import BodyError, RegionError
from xcrater.geometry.bodies import get_body, to_geodetic
from xcrater.geometry.polygon_table import PolygonTable
from xcrater.table.polygon_tables import SAGITTA, make_polygon_table

pytestmark = pytest.mark.nojit

MOON, MARS = get_body("moon"), get_body("mars")
RADIUS = MOON.radius


def table_of(*geometries, body=MOON, crs="planetocentric", labels=None):
    shapes = np.empty(len(geometries), dtype=object)
    shapes[:] = geometries
    return make_polygon_table(shapes, body, crs, labels)


def polygon_of(geometry, **options):
    return table_of(geometry, **options).polygons()[0]


def assert_well_formed(table):
    """Check offsets, orientation, continuity of longitudes, and that rings close over poles only."""
    assert table.ring[0] == table.shape[0] == 0
    assert table.ring[-1] == table.lon.size == table.lat.size
    assert table.shape[-1] == table.ring.size - 1
    assert np.isfinite(table.lon).all()
    assert (np.abs(table.lat) <= 90).all()
    for begin, end in zip(table.ring[:-1], table.ring[1:]):
        lon, lat = (np.append(v[begin:end], v[begin]) for v in (table.lon, table.lat))
        assert end - begin >= 3
        wide = np.abs(np.diff(lon)) > 180
        assert ((np.abs(lat[:-1]) == 90) | (np.abs(np.abs(np.diff(lon)) - 360) < 1e-9))[wide].all()
    for first, last in zip(table.shape[:-1], table.shape[1:]):
        area = 0.0
        for i in range(first, last):
            lon, lat = (v[table.ring[i] : table.ring[i + 1]] for v in (table.lon, table.lat))
            area += Polygon(np.stack([lon, lat], axis=-1)).area * (1 if is_ccw(lon, lat) else -1)
        if last > first:
            assert is_ccw(*(v[table.ring[first] : table.ring[first + 1]] for v in (table.lon, table.lat)))
            assert area > 0
    for shape in table.polygons():
        assert shape is None or shapely.is_valid(shape)


def is_ccw(lon, lat):
    return shapely.LinearRing(np.stack([lon, lat], axis=-1)).is_ccw


def holds(shape, lon, lat):
    """Whether points lie in a shape whose longitudes continue beyond ±180."""
    return np.any([shapely.contains_xy(shape, lon + 360 * k, lat) for k in (-2, -1, 0, 1, 2)], axis=0)


def margin(shape, lon, lat):
    """Distance from points to the outline of the shape, ignoring its seams, in degrees."""
    points = [shapely.points(lon + 360 * k, lat) for k in (-2, -1, 0, 1, 2)]
    return np.min([shapely.distance(p, shape.boundary) for p in points], axis=0)


class TestAntimeridian:
    """Polygons across ±180° longitude, in every convention in use."""

    SQUARE = box(170, -5, 190, 5)

    @pytest.mark.parametrize(
        "geometry",
        [
            box(170, -5, 190, 5),
            box(-190, -5, -170, 5),
            box(530, -5, 550, 5),
            Polygon([(170, -5), (-170, -5), (-170, 5), (170, 5)]),
            Polygon([(170, 5), (-170, 5), (-170, -5), (170, -5)]),
            Polygon([(170, -5), (180, -5), (-180, -5), (-170, -5), (-170, 5), (-180, 5), (180, 5), (170, 5)]),
            MultiPolygon([box(170, -5, 180, 5), box(-180, -5, -170, 5)]),
            MultiPolygon([box(-180, -5, -170, 5), box(170, -5, 180, 5)]),
            MultiPolygon([box(180, -5, 190, 5), box(170, -5, 180, 5)]),
            shapely.Polygon([(170, -5, 7), (190, -5, 7), (190, 5, 7), (170, 5, 7)]),
        ],
    )
    def test_every_convention_gives_the_same_square(self, geometry):
        table = table_of(geometry)
        assert_well_formed(table)
        shape = table.polygons()[0]
        turn = 360 * round((180 - shape.centroid.x) / 360)
        assert shapely.transform(shape, lambda xy: xy + np.array([turn, 0])).equals(self.SQUARE)

    def test_holes_follow_their_shells(self):
        table = table_of(Polygon(self.SQUARE.exterior.coords, [[(-179, 0), (-178, 0), (-178, 1)]]))
        assert_well_formed(table)
        assert table.polygons()[0].area == pytest.approx(199.5)
        assert np.diff(table.shape).tolist() == [2]

    def test_coordinates_in_range_keep_every_bit(self):
        ring = np.array([(0.1, 0.2), (10.3, 0.7), (9.9, 11.1)])
        table = table_of(Polygon(ring))
        np.testing.assert_array_equal(np.stack([table.lon, table.lat], axis=-1), ring)

    def test_distant_parts_stay_separate(self):
        table = table_of(MultiPolygon([box(0, 0, 1, 1), box(40, 0, 41, 1), box(-40, 0, -39, 1)]))
        assert np.diff(table.shape).tolist() == [3]
        assert_well_formed(table)


class TestPoles:
    """Polygons around or next to a pole."""

    def test_a_ring_around_the_pole_that_turns_back_on_its_way(self):
        hook = [(50, 60), (55, 85), (20, 75), (25, 80), (60, 88), (70, 60)]
        table = table_of(Polygon([(lon, 60) for lon in range(80, 401, 10)] + hook))
        assert_well_formed(table)
        shape = table.polygons()[0]
        lon, lat = np.array([40, 40, 40, 40, 200, 200]), np.array([61, 79.5, 82, 87, 59, 61])
        assert holds(shape, lon, lat).tolist() == [True, True, False, True, False, True]

    CAP = tuple((lon, 80 + lon % 3) for lon in range(0, 360, 10))

    @pytest.mark.parametrize("sign", [1, -1])
    @pytest.mark.parametrize("step", [1, -1])
    def test_a_ring_around_the_body_is_closed_over_the_nearer_pole(self, sign, step):
        table = table_of(Polygon([(lon, sign * lat) for lon, lat in self.CAP][::step]))
        assert_well_formed(table)
        west, south, east, north = table.polygons()[0].bounds
        assert east - west == 360
        assert (north if sign > 0 else -south) == 90
        assert min(abs(south), abs(north)) >= 80 - 1e-12

    def test_a_ring_between_two_parallels(self):
        inner = [(lon, 85) for lon in range(350, -1, -10)]
        table = table_of(Polygon(self.CAP, [inner]))
        assert_well_formed(table)
        assert table.polygons()[0].bounds[3] == 85

    def test_a_hole_across_the_seam(self):
        hole = [(-10, 84), (10, 84), (10, 86), (-10, 86)]
        table = table_of(Polygon(self.CAP, [hole]))
        assert_well_formed(table)
        assert table.polygons()[0].area == pytest.approx(table_of(Polygon(self.CAP)).polygons()[0].area - 40)

    @pytest.mark.parametrize(
        ("geometry", "area"),
        [
            (box(-180, 60, 180, 90), 360 * 30),
            (box(0, -90, 360, -60), 360 * 30),
            (box(-180, -10, 180, 10), 360 * 20),
            (Polygon([(0, 80), (360, 80), (360, 90), (0, 90)]), 360 * 10),
            (Polygon([*((lon, 80) for lon in range(0, 361, 10)), (0, 80)]), 360 * 10),
            (Polygon([(170, 80), (-170, 80), (-170, 90), (170, 90)]), 20 * 10),
            (box(-180, 60, 180, 90) - box(-10, 70, 10, 80), 360 * 30 - 200),
        ],
    )
    def test_polygons_of_whole_turns_of_longitude(self, geometry, area):
        table = table_of(geometry)
        assert_well_formed(table)
        assert table.polygons()[0].area == pytest.approx(area)


PROJECTIONS = [
    "+proj=stere +lat_0=90 +R=1737400",
    "+proj=stere +lat_0=-90 +lon_0=77 +R=1737400",
    "+proj=laea +lat_0=70 +lon_0=180 +R=1737400",
    "+proj=aeqd +lat_0=10 +lon_0=-170 +R=1737400",
    "+proj=eqc +lon_0=180 +R=1737400",
    "+proj=sinu +R=1737400",
    "+proj=merc +lon_0=100 +R=1737400",
]


@st.composite
def stars(draw, reach):
    """A star-shaped polygon in metres, sometimes with a hole."""
    n = draw(st.integers(3, 9))
    turn = draw(st.floats(0, 2 * math.pi))
    reaches = draw(st.lists(st.floats(0.4, 1.0), min_size=n, max_size=n))
    size = reach * 10 ** draw(st.floats(-3, 0))
    x, y = (draw(st.floats(-1, 1)) * reach for _ in range(2))
    angle = turn + 2 * np.pi * np.arange(n) / n
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * np.array(reaches)[:, None]
    holes = [unit * size * 0.3 + [x, y]] if draw(st.booleans()) else []
    return Polygon(unit * size + [x, y], holes)


@pytest.mark.parametrize("crs", PROJECTIONS)
@settings(max_examples=15)
@given(data=st.data())
def test_projected_polygons_contain_the_same_points_as_on_their_map(crs, data):
    cylinder = any(name in crs for name in ("eqc", "sinu", "merc"))
    star = data.draw(stars(RADIUS * (0.7 if cylinder else 0.8 if "laea" in crs else 1.25)))
    table = table_of(star, crs=crs)
    assert_well_formed(table)
    shape = table.polygons()[0]
    proj = pyproj.Proj(crs)
    rng = np.random.default_rng(0)
    reach = math.hypot(*(star.bounds[2] - star.bounds[0], star.bounds[3] - star.bounds[1]))
    near = rng.uniform(-0.7, 0.7, (2, 400)) * reach + np.array(star.centroid.coords[0])[:, None]
    lon, lat = to_geodetic(*near, MOON, crs)
    everywhere = rng.uniform(-180, 180, 100), np.degrees(np.arcsin(rng.uniform(-1, 1, 100)))
    lon, lat = (np.concatenate([v[np.isfinite(lon)], w]) for v, w in zip((lon, lat), everywhere))
    x, y = proj(lon, lat)
    points = np.isfinite(x) & np.isfinite(y)
    lon, lat, x, y = lon[points], lat[points], x[points], y[points]
    # Tolerance in map units: within the reach of these polygons, scales differ by a factor of at most 100.
    away = shapely.distance(shapely.points(x, y), star.boundary) > 100 * np.radians(SAGITTA) * RADIUS
    away |= (margin(shape, lon, lat) > 2 * SAGITTA / np.cos(np.radians(lat))) & (np.abs(lat) < 89)
    away &= shapely.distance(shapely.points(x, y), star.boundary) > 1e-3 * reach
    np.testing.assert_array_equal(holds(shape, lon, lat)[away], shapely.contains_xy(star, x, y)[away])


@pytest.mark.parametrize("crs", ["+proj=stere +lat_0=90 +R=1737400", "+proj=laea +lat_0=70 +R=1737400"])
@pytest.mark.parametrize("size", [1e3, 1e5, 1e6])
def test_straight_edges_on_the_map_stay_within_the_sagitta(crs, size):
    square = shapely.affinity.rotate(box(3e5, 2e5, 3e5 + size, 2e5 + size), 20)
    table = table_of(square, crs=crs)
    shape = table.polygons()[0]
    dense = shapely.get_coordinates(shapely.segmentize(square, size / 5000))
    lon, lat = to_geodetic(*dense.T, MOON, crs)
    lon += 360 * np.round((shape.centroid.x - lon) / 360)
    # A degree of longitude shortens with latitude.
    shrink = np.cos(np.radians(lat))
    off = shapely.distance(shapely.points(lon, lat), shape.boundary) * shrink
    assert off.max() < SAGITTA
    assert off.max() < 1.1e-3 * np.degrees(size / RADIUS)


def test_planetographic_edges_stay_within_the_sagitta():
    triangle = Polygon([(10, -50), (40, 10), (20, 70)])
    table = table_of(triangle, body=MARS, crs="planetographic")
    assert_well_formed(table)
    shape = table.polygons()[0]
    dense = shapely.get_coordinates(shapely.segmentize(triangle, 0.01))
    lon, lat = to_geodetic(*dense.T, MARS, "planetographic")
    assert 12 < table.lon.size < 300
    off = shapely.distance(shapely.points(lon, lat), shape.boundary) * np.cos(np.radians(lat))
    assert 0.2 * SAGITTA < off.max() < 1.1 * SAGITTA
    assert table_of(triangle, body=MARS).lon.size == 3


def test_polygons_in_geographic_systems():
    square = box(10, 20, 30, 40)
    west = polygon_of(square, body=get_body("mercury"), crs="default")
    assert west.bounds == (-30, 20, -10, 40)
    dawn = polygon_of(square, body=get_body("vesta"), crs="dawn_claudia")
    assert dawn.normalize().equals(box(-200 + 360, 20, -180 + 360, 40)) or dawn.bounds == (-200, 20, -180, 40)
    mars = polygon_of(square, body=MARS, crs="IAU_2015:49902")
    assert mars.bounds == (10, 20, 30, 40)


def test_a_disc_of_more_than_half_the_body_contains_both_poles():
    crs = "+proj=aeqd +R=1737400"
    disc = Point(0, 0).buffer(2.5 * RADIUS) - box(-1e5, -1e5, 1e5, 1e5)
    table = table_of(disc, crs=crs)
    assert_well_formed(table)
    shape = table.polygons()[0]
    lon = np.array([0, 10, 170, 180, 3, 4, -120, -179])
    lat = np.array([0, 0, 0, 0, 89.9, -89.9, 10, 40])
    assert holds(shape, lon, lat).tolist() == [False, True, False, False, True, True, True, True]


def test_an_edge_of_more_than_half_a_turn_on_a_map():
    shape = polygon_of(box(-5e6, -1e6, 5e6, 1e6), crs="+proj=eqc +R=1737400")
    half = np.degrees(5e6 / RADIUS)
    np.testing.assert_allclose(shape.bounds[::2], [-half, half], rtol=1e-12)


BOWTIE = Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (BOWTIE, r"crater 'b' cannot be used: Self-intersection\[0.5 0.5\]; type shapely.make_valid"),
        (Polygon([(179, 0), (-179, 1), (-179, 0), (179, 1)]), "'b' cannot be used: Self-intersection"),
        (Polygon([(0, 0), (1, 1), (2, 2)]), "'b' cannot be used: .*; type shapely.make_valid"),
        (Polygon([(0, 0), (1, 1), (0, 0), (0, 0)]), "'b' cannot be used: Too few points"),
        (Polygon(box(0, 0, 1, 1).exterior.coords, [[(2, 2), (3, 2), (3, 3)]]), "'b' cannot be used: Hole lies outside"),
        (Point(0, 0), "it is a Point, expected a Polygon or MultiPolygon; shapely.buffer"),
        (shapely.GeometryCollection([box(0, 0, 1, 1)]), "it is a GeometryCollection"),
        ("POLYGON EMPTY", "it is a str; expected a shapely Polygon"),
        (box(0, 80, 1, 91), "a latitude is beyond ±90°; name the CRS"),
        (MultiPolygon([box(0, 0, 2, 2), box(1, 1, 3, 3)]), "its parts overlap; type shapely.unary_union"),
        (MultiPolygon([box(170, 0, 190, 2), box(-180, 0, -175, 1)]), "its parts overlap"),
        (Polygon([(lon, lat) for lat in (80, 81) for lon in range(0, 360, 40)]), "more than once|Self-inter"),
        (
            Polygon(
                [(0, 0), (100, 1), (200, 2), (300, 3), (400, 4), (400, 6), (300, 3.5), (200, 2.5), (100, 1.5), (0, 5)]
            ),
            "covers some of the body twice",
        ),
    ],
)
def test_unusable_polygons_are_refused_by_their_label(geometry, message):
    with pytest.raises(RegionError, match=message):
        table_of(box(0, 0, 1, 1), geometry, labels=["a", "b"])


def test_several_unusable_polygons_are_counted():
    with pytest.raises(RegionError, match=r"crater 1 .*\(and 6 more: 2, 3, 4, 5, 6, …\)"):
        table_of(None, *[BOWTIE] * 7)


def test_coordinates_that_are_not_finite_are_refused():
    bad = shapely.set_coordinates(box(0, 0, 1, 1), [[0, 0], [1, 0], [1, np.nan], [0, 1], [0, 0]])
    with pytest.raises(RegionError, match="crater 0 cannot be used: a coordinate is NaN"):
        table_of(bad)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [(box(-2e6, 0, 0, 1e5), "reaches out of the projection"), (shapely.affinity.scale(BOWTIE, 1e5, 1e5), "Self-inter")],
)
def test_unusable_projected_polygons_are_refused(geometry, message):
    with pytest.raises(RegionError, match=message):
        table_of(geometry, crs="+proj=ortho +R=1737400")


@pytest.mark.parametrize("geometries", [(box(0, 0, 1, 1),), (None,)])
def test_a_crs_of_another_body_is_refused(geometries):
    with pytest.raises(BodyError, match="the table is on moon"):
        table_of(*geometries, crs="EPSG:4326")


def test_missing_and_empty_polygons_are_no_region():
    table = table_of(None, Polygon(), MultiPolygon(), float("nan"))
    assert len(table) == 4
    assert table.shape.tolist() == [0] * 5
    assert table.polygons().tolist() == [None] * 4
    assert len(table.take(np.array([1, 1]))) == 2


def test_take_keeps_the_selected_polygons():
    shapes = [
        box(0, 0, 1, 1),
        None,
        box(0, 0, 9, 9) - box(1, 1, 2, 2),
        MultiPolygon([box(0, 0, 1, 1), box(3, 3, 4, 4)]),
    ]
    table = table_of(*shapes)
    assert_well_formed(table)
    for index in (np.array([3, 0, 1, 3]), np.array([True, False, True, True]), slice(1, None), np.array([], int)):
        taken = table.take(index)
        assert_well_formed(taken)
        expected = table.polygons()[index]
        assert len(taken) == len(expected)
        for one, other in zip(taken.polygons(), expected):
            assert one is other is None or one.equals_exact(other)


def test_arrays_are_read_only():
    table = table_of(box(0, 0, 1, 1))
    with pytest.raises(ValueError, match="read-only"):
        table.lon[0] = 5
    assert isinstance(table, PolygonTable)


def two_sided(lat, height=2.0):
    """A box across ±180 in the form of RFC 7946, cut into two parts."""
    return MultiPolygon([box(178, lat, 180, lat + height), box(-180, lat, -178, lat + height)])


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_any_number_of_polygons_may_be_cut_at_the_antimeridian(count):
    table = table_of(*[two_sided(-60 + 3 * i) for i in range(count)])
    assert len(table.polygons()) == count
    for i, shape in enumerate(table.polygons()):
        moved = shapely.transform(shape, lambda lonlat: lonlat % [360.0, np.inf] if lonlat[:, 0].min() < 0 else lonlat)
        assert shape.geom_type == "Polygon"
        assert shapely.equals(moved, box(178, -60 + 3 * i, 182, -58 + 3 * i))


@pytest.mark.parametrize("crs", ["planetocentric", "IAU_2015:30110", "+proj=longlat +R=1737400 +axis=wnu"])
def test_parts_of_a_unit_that_share_an_edge_become_one_area(crs):
    factor = RADIUS * math.pi / 180 if crs == "IAU_2015:30110" else 1.0
    units = [
        shapely.transform(
            MultiPolygon([box(x, 0, x + 1, 1), box(x + 1, 0, x + 2, 1), box(x, 1, x + 2, 2)]), lambda xy: factor * xy
        )
        for x in (0, 20, 50)
    ]
    shapes = table_of(units[0], None, *units[1:], crs=crs).polygons()
    assert shapes[1] is None
    assert [round(shape.area, 9) for shape in shapes[[0, 2, 3]]] == [4.0] * 3
    assert {shape.geom_type for shape in shapes[[0, 2, 3]]} == {"Polygon"}


def advice_of(geometry, **options):
    with pytest.raises(RegionError, match="its parts overlap") as caught:
        table_of(box(0, 0, 1, 1), geometry, two_sided(5), **options)
    line = str(caught.value).partition("; type ")[2].removesuffix(" for what they cover")
    return eval(line, {"shapely": shapely, "geometry": geometry, "zip": zip})


@pytest.mark.parametrize(
    ("geometry", "area"),
    [
        (MultiPolygon([box(0, 0, 2, 2), box(1, 1, 3, 3)]), 7.0),
        (MultiPolygon([box(170, 0, 190, 2), box(-180, 0, -165, 1)]), 45.0),
        (MultiPolygon([box(-180, 0, -165, 1), box(170, 0, 190, 2), box(0, 0, 1, 1)]), 46.0),
        (MultiPolygon([box(355, 0, 365, 2), box(-5, 1, 5, 3)]), 30.0),
    ],
)
@pytest.mark.parametrize("crs", ["planetocentric", "+proj=longlat +R=1737400 +axis=wnu"])
def test_the_advice_for_overlapping_parts_gives_the_area_they_cover(geometry, area, crs):
    (shape,) = table_of(advice_of(geometry, crs=crs), crs=crs).polygons()
    assert shape.area == pytest.approx(area, rel=1e-12)


def test_the_advice_for_overlapping_parts_works_on_a_map_too():
    geometry = MultiPolygon([box(0, 0, 2e5, 2e5), box(1e5, 1e5, 3e5, 3e5)])
    (shape,) = table_of(advice_of(geometry, crs="IAU_2015:30110"), crs="IAU_2015:30110").polygons()
    assert shape.area == pytest.approx(7e10 / (RADIUS * math.pi / 180) ** 2, rel=1e-9)


def test_advice_for_a_footprint_that_is_invalid_after_its_cut_at_the_antimeridian():
    """The footprint crosses itself at its cut (gadomski/antimeridian#55); the errors' advice leads to its area."""
    west = [(180, -15.358), (180, -15.355), (179.25, -15.35), (179.25, -16.33), (180, -16.347), (180, -16.349)]
    east = [(-180, -16.349), (-179.71, -16.35), (-179.7, -15.36), (-180, -15.358)]
    geometry = MultiPolygon([Polygon([*west, west[0]]), Polygon(east)])
    with pytest.raises(RegionError, match=r"Self-inter.*; type shapely\.make_valid\(geometries\)"):
        table_of(geometry)
    geometry = shapely.make_valid(geometry)
    with pytest.raises(
        RegionError, match=r"a GeometryCollection.*; shapely\.buffer\(geometries, 0\) keeps areas alone"
    ):
        table_of(geometry)
    geometry = shapely.buffer(geometry, 0)
    assert polygon_of(geometry).area == pytest.approx(geometry.area, rel=1e-9)
