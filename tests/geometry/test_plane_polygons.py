"""Polygons in the raster's own projected CRS have straight edges in its plane, as in GDAL and exactextract."""

from __future__ import annotations

import copy
import pickle
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterstats
import shapely
import shapely.affinity
import xarray as xr
from affine import Affine

from tests.helpers import raise_if_dask_computes
from xcrater import CraterDatabase
from xcrater.errors import RegionError
from xcrater.geometry.bodies import get_body
from xcrater.geometry.projection import same_plane
from xcrater.table.polygon_tables import make_polygon_table

RADIUS = 1737400.0
COVERAGES = ["center", "all_touched", "exact"]


class Place(NamedTuple):
    """Position of a raster: its CRS, pixel size, lower left corner and number of pixels along a side."""

    crs: str
    pixel: float
    x: float
    y: float
    side: int = 160
    body: str = "moon"

    @property
    def transform(self) -> Affine:
        return Affine(self.pixel, 0, self.x, 0, -self.pixel, self.y + self.side * self.pixel)


PLACES = {
    "equidistant cylindrical": Place("IAU_2015:30110", 100.0, 2e5, 3e5),
    "equidistant cylindrical at 1 m": Place("IAU_2015:30110", 1.0, 4.12e6, -2.01e6),
    "south polar stereographic, over the pole": Place("IAU_2015:30135", 1000.0, -8e4, -7e4),
    "south polar stereographic at 100 m": Place("IAU_2015:30135", 100.0, 1e5, 5e4),
    "south polar stereographic at 5 m": Place("IAU_2015:30135", 5.0, 1e5, 5e4, 400),
    "north polar stereographic at 1 m": Place("IAU_2015:30130", 1.0, -2e5, 5e4, 400),
    "sinusoidal": Place("IAU_2015:30120", 100.0, 1e5, 5e5),
    "sinusoidal at 10 km": Place("IAU_2015:30120", 1e4, -2e6, -1e6),
    "Lambert conic": Place("+proj=lcc +lat_1=20 +lat_2=50 +lon_0=30 +R=1737400", 5000.0, -4e5, 3e5),
    "Lambert azimuthal": Place("+proj=laea +lat_0=40 +lon_0=-60 +R=1737400", 3000.0, -2e5, -3e5),
    "Mercator": Place("+proj=merc +R=1737400", 2000.0, 3e6, 1.5e6),
    "orthographic": Place("+proj=ortho +lat_0=10 +lon_0=170 +R=1737400", 4000.0, -3e5, -3e5),
    "Mollweide": Place("+proj=moll +R=1737400", 8000.0, -2e6, 4e5),
    "transverse Mercator in feet": Place("+proj=tmerc +lon_0=15 +R=1737400 +units=us-ft", 300.0, -2e4, 1e6),
    "ellipsoid, polar": Place("+proj=stere +lat_0=90 +a=3396190 +b=3376200", 500.0, -4e5, -3e5, body="mars"),
    "ellipsoid, equidistant cylindrical": Place("IAU_2015:49911", 500.0, -4e5, 5e5, body="mars"),
}


MARS_DEGREES = "+proj=longlat +a=3396190 +b=3376200 +no_defs"
PLACES["planetographic latitudes"] = Place(MARS_DEGREES, 0.02, -30.0, 10.0, 400, "mars")
PLACES["planetographic latitudes, over the antimeridian"] = Place(MARS_DEGREES, 0.001, 179.8, -60.0, 400, "mars")


def shapes_in(place: Place) -> list[Any]:
    """A box off the pixel edges, a disc with a hole, a slanted triangle, and two pieces that share an edge."""
    length = place.side * place.pixel

    def at(x: float, y: float) -> tuple[float, float]:
        return place.x + x * length, place.y + y * length

    west, south = at(0.1, 0.1)
    east, north = at(0.9, 0.9)
    inset = 0.3 * place.pixel
    return [
        shapely.box(west + inset, south + inset, east - 1.7 * inset, north - 2.1 * inset),
        shapely.Point(at(0.5013, 0.4971))
        .buffer(0.4 * length)
        .difference(shapely.Point(at(0.52, 0.47)).buffer(0.23 * length)),
        shapely.Polygon([at(0.1017, 0.1023), at(0.9041, 0.1519), at(0.4987, 0.9013)]),
        shapely.MultiPolygon(
            [
                shapely.box(*at(0.2113, 0.3129), *at(0.4807, 0.6211)),
                shapely.box(*at(0.4807, 0.4021), *at(0.7771, 0.9307)),
            ]
        ),
    ]


def raster_in(place: Place, values: np.ndarray | None = None, chunks: Any = None) -> xr.DataArray:
    if values is None:
        values = np.random.default_rng(3).integers(1, 200, (place.side, place.side)).astype(np.float32)
    da = xr.DataArray(values, dims=("y", "x")).rio.write_transform(place.transform).rio.write_crs(place.crs)
    return da if chunks is None else da.chunk(chunks)


def table_with(place: Place, shapes: list[Any], crs: Any = None) -> CraterDatabase:
    """Craters whose positions tell nothing about where their polygons are."""
    data = pd.DataFrame({"lat": 0.0, "lon": 0.0, "r": np.full(len(shapes), 1e3)})
    cdb = CraterDatabase(data, place.body)
    cdb.add_polygons("p", shapes, crs=place.crs if crs is None else crs)
    return cdb


def fractions(place: Place, shape: Any) -> np.ndarray:
    """Fraction of each pixel that a shape covers, by shapely's intersections one by one."""
    edges = place.x + place.pixel * np.arange(place.side + 1)
    x, y = np.meshgrid(edges[:-1], place.y + place.pixel * np.arange(place.side)[::-1])
    pixels = shapely.box(x, y, x + place.pixel, y + place.pixel)
    return shapely.area(shapely.intersection(pixels, shapely.unary_union(shape))) / place.pixel**2


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_exact_counts_are_areas_in_the_plane(place: Place) -> None:
    shapes = shapes_in(place)
    da = raster_in(place)
    stats = da.craters.get_stats(table_with(place, shapes), "p", ["count", "sum"], coverage="exact").compute()
    np.testing.assert_allclose(stats["count"], shapely.area(shapes) / place.pixel**2, rtol=1e-9)


@pytest.mark.parametrize("name", ["south polar stereographic at 100 m", "sinusoidal", "Mercator", "Lambert conic"])
def test_every_pixel_counts_by_the_fraction_of_its_square_inside(name: str) -> None:
    place = PLACES[name]._replace(side=48)
    shapes = shapes_in(place)
    da = raster_in(place)
    stats = da.craters.get_stats(table_with(place, shapes), "p", ["sum", "mean"], coverage="exact").compute()
    wanted = [fractions(place, shape) for shape in shapes]
    np.testing.assert_allclose(stats["sum"], [(part * da.values).sum() for part in wanted], rtol=1e-9)
    np.testing.assert_allclose(
        stats["mean"], [np.average(da.values.astype(float), weights=part) for part in wanted], rtol=1e-9
    )


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("coverage", ["center", "all_touched"])
def test_whole_pixels_are_those_of_rasterstats(place: Place, coverage: str) -> None:
    shapes = shapes_in(place)
    da = raster_in(place)
    stats = da.craters.get_stats(table_with(place, shapes), "p", ["count", "mean"], coverage=coverage).compute()
    peers = rasterstats.zonal_stats(
        [shapely.unary_union(shape) for shape in shapes], da.values, affine=place.transform, stats="count mean",
        all_touched=coverage == "all_touched", nodata=-1,
    )  # fmt: skip
    np.testing.assert_array_equal(stats["count"], [peer["count"] for peer in peers])
    np.testing.assert_allclose(stats["mean"], [peer["mean"] for peer in peers], rtol=1e-9)


@pytest.mark.parametrize("name", ["south polar stereographic, over the pole", "sinusoidal at 10 km", "Mercator"])
@pytest.mark.parametrize("coverage", COVERAGES)
def test_chunks_arrays_and_masks_agree(name: str, coverage: str) -> None:
    place = PLACES[name]
    cdb = table_with(place, shapes_in(place))
    whole = raster_in(place)
    stats = whole.craters.get_stats(cdb, "p", ["count", "sum"], coverage=coverage).compute()
    with raise_if_dask_computes():
        lazy = raster_in(place, chunks={"y": 37, "x": 50}).craters.get_stats(
            cdb, "p", ["count", "sum"], coverage=coverage
        )
    np.testing.assert_allclose(lazy["count"], stats["count"], rtol=1e-12)
    np.testing.assert_allclose(lazy["sum"], stats["sum"], rtol=1e-12)
    if coverage == "exact":
        return
    arrays = whole.craters.get_arrays(cdb, "p", coverage=coverage)["p"]
    np.testing.assert_array_equal([a.compute().count() for a in arrays], stats["count"])
    np.testing.assert_allclose([float(a.compute().sum()) for a in arrays], stats["sum"], rtol=1e-7)
    for i, shape in enumerate(shapes_in(place)):
        one = table_with(place, [shape])
        assert int(whole.craters.mask(one, "p", coverage=coverage).sum()) == stats["count"][i]


@pytest.mark.parametrize("name", ["equidistant cylindrical", "south polar stereographic at 100 m", "Mercator"])
@pytest.mark.parametrize("flips", [("y",), ("x",), ("y", "x")])
def test_rows_and_columns_may_run_in_either_direction(name: str, flips: tuple[str, ...]) -> None:
    place = PLACES[name]
    shapes = shapes_in(place)
    da = raster_in(place).rio.write_coordinate_system()
    rows = place.transform.f - place.pixel * (np.arange(place.side) + 0.5)
    da = da.assign_coords(y=rows, x=place.x + place.pixel * (np.arange(place.side) + 0.5)).drop_vars("spatial_ref")
    turned = da.isel({dim: slice(None, None, -1) for dim in flips}).rio.write_crs(place.crs)
    for coverage in COVERAGES:
        stats = ["count", "sum"]
        cdb = table_with(place, shapes)
        plain = raster_in(place).craters.get_stats(cdb, "p", stats, coverage=coverage).compute()
        other = turned.craters.get_stats(cdb, "p", stats, coverage=coverage).compute()
        np.testing.assert_allclose(other["count"], plain["count"], rtol=1e-9)
        np.testing.assert_allclose(other["sum"], plain["sum"], rtol=1e-9)


@pytest.mark.parametrize("label", ["planetographic", "IAU_2015:49901"])
def test_planetographic_polygons_have_straight_edges_on_rasters_in_that_system(label: str) -> None:
    """IAU planetographic longitudes on Mars count westward; rasters in that system are rare, but polygons are not."""
    place = PLACES["planetographic latitudes"]
    shapes = shapes_in(place)
    west = [shapely.transform(shape, lambda lonlat: lonlat * [-1.0, 1.0]) for shape in shapes]
    count = raster_in(place).craters.get_stats(table_with(place, west, label), "p", "count", coverage="exact").compute()
    np.testing.assert_allclose(count["count"], shapely.area(shapes) / place.pixel**2, rtol=1e-9)


SOUTH = "+proj=stere +lat_0=-90 +lon_0=0 +R=1737400 +units="
ESRI_SOUTH = (
    'PROJCS["Moon_2000_South_Pole_Stereographic",GEOGCS["Moon 2000",DATUM["D_Moon_2000",SPHEROID["Moon_2000_IAU_IAG",'
    '1737400.0,0.0]],PRIMEM["Greenwich",0],UNIT["Degree",0.0174532925199433]],PROJECTION["Stereographic"],'
    'PARAMETER["False_Easting",0],PARAMETER["False_Northing",0],PARAMETER["Central_Meridian",0],'
    'PARAMETER["Scale_Factor",1],PARAMETER["Latitude_Of_Origin",-90],UNIT["Meter",1]]'
)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (SOUTH + "m", True),
        ("+proj=stere +lat_0=-90 +lat_ts=-90 +R=1737400", True),
        ("+proj=stere +lat_0=-90 +R=1737400 +units=m +vunits=m", True),
        (ESRI_SOUTH, True),
        (SOUTH + "km", False),
        ("+proj=stere +lat_0=-90 +lon_0=90 +R=1737400", False),
        ("+proj=stere +lat_0=-90 +lat_ts=-80 +R=1737400", False),
        ("+proj=stere +lat_0=-90 +x_0=1 +R=1737400", False),
        ("+proj=stere +lat_0=-90 +R=1738000", False),
        ("+proj=laea +lat_0=-90 +R=1737400", False),
        ("+proj=stere +lat_0=90 +R=1737400", False),
    ],
)
def test_a_projection_is_recognised_by_any_of_its_names(other: str, same: bool) -> None:
    mine, theirs = (pyproj.CRS(crs).to_wkt() for crs in ("IAU_2015:30135", other))
    assert same_plane(mine, theirs) == same_plane(theirs, mine) == same


def test_edges_are_straight_on_a_raster_with_a_different_label_of_the_same_projection() -> None:
    place = PLACES["south polar stereographic at 100 m"]
    shapes = shapes_in(place)
    da = raster_in(place).rio.write_crs(ESRI_SOUTH)
    count = da.craters.get_stats(table_with(place, shapes), "p", "count", coverage="exact").compute()["count"]
    np.testing.assert_allclose(count, shapely.area(shapes) / place.pixel**2, rtol=1e-9)


@pytest.mark.parametrize(
    ("crs", "style", "x", "y"),
    [
        ("EPSG:3005", "WKT1_ESRI", 1e6, 5e5),  # python-rasterstats#222, pylandstats#7
        ("EPSG:32633", "WKT1_GDAL", 4e5, 5e6),
        ("EPSG:2193", "WKT1_ESRI", 1.5e6, 5e6),
        ("EPSG:5041", "WKT2_2019", 1.8e6, 1.9e6),  # both axes point south
        ("EPSG:3413", "WKT1_ESRI", -1e5, -1e5),
    ],
)
def test_labels_written_by_other_programs_and_with_other_axis_orders(crs: str, style: str, x: float, y: float) -> None:
    place = Place(crs, 30.0, x, y, body="earth")
    shapes = shapes_in(place)
    cdb = table_with(place, shapes, crs=pyproj.CRS(crs).to_wkt(style))
    count = raster_in(place).craters.get_stats(cdb, "p", "count", coverage="exact").compute()["count"]
    np.testing.assert_allclose(count, shapely.area(shapes) / place.pixel**2, rtol=1e-9)


@pytest.mark.parametrize("crs", ["IAU_2015:30110", "+proj=merc +R=1737400"])
@pytest.mark.parametrize("west", [-180.0, 0.0])
@pytest.mark.parametrize("coverage", COVERAGES)
def test_a_shape_cut_at_the_end_of_a_global_map_is_one_area(crs: str, west: float, coverage: str) -> None:
    """The two parts meet where the columns of the map begin again, or in the middle of a map that begins elsewhere."""
    half = np.pi * RADIUS
    pixel = half / 90
    values = np.random.default_rng(1).integers(1, 99, (60, 180)).astype("f4")
    transform = Affine(pixel, 0, west / 180 * half, 0, -pixel, 30 * pixel)
    da = xr.DataArray(values, dims=("y", "x")).rio.write_transform(transform).rio.write_crs(crs)
    ends = [shapely.box(half - 7.4 * pixel, y, half, y + 9.3 * pixel) for y in (-2e5, 3e5)]
    begins = [shapely.box(-half, y, 5.2 * pixel - half, y + 9.3 * pixel) for y in (-2e5, 3e5)]
    runs_on = [shapely.box(half - 7.4 * pixel, y, half + 5.2 * pixel, y + 9.3 * pixel) for y in (-2e5, 3e5)]
    cdb = CraterDatabase(pd.DataFrame({"lat": [0.0, 0.0], "lon": [0.0, 0.0], "r": 1e3}), "moon")
    cdb.add_polygons("cut", [shapely.MultiPolygon(pair) for pair in zip(ends, begins)], crs=crs)
    cdb.add_polygons("on", runs_on, crs=crs)
    stats = da.craters.get_stats(cdb, ["cut", "on"], ["count", "sum"], coverage=coverage).compute()
    np.testing.assert_allclose(stats["count"][0], stats["count"][1], rtol=1e-9)
    np.testing.assert_allclose(stats["sum"][0], stats["sum"][1], rtol=1e-9)
    if coverage == "exact":
        np.testing.assert_allclose(stats["count"][0], 12.6 * 9.3, rtol=1e-9)


def covering(shapes: list[Any], crs: str, side: int) -> Place:
    """A square raster in a CRS that contains some shapes."""
    west, south, east, north = shapely.total_bounds(shapes)
    pixel = max(east - west, north - south) / (side - 2)
    return Place(crs, pixel, west - pixel, south - pixel, side)


PLATE_CARREE = "+proj=longlat +R=1737400 +no_defs"
PAIRS = [
    ("south polar stereographic at 5 m", PLATE_CARREE),
    ("south polar stereographic at 100 m", "IAU_2015:30110"),
    ("south polar stereographic at 100 m", "IAU_2015:30120"),
    ("south polar stereographic at 100 m", "+proj=stere +lat_0=-90 +lon_0=90 +R=1737400 +units=km"),
    ("equidistant cylindrical at 1 m", "IAU_2015:30135"),
    ("Lambert azimuthal", "+proj=lcc +lat_1=20 +lat_2=50 +lon_0=-50 +R=1737400"),
    ("Lambert conic", "+proj=merc +lon_0=20 +R=1737400"),
    ("orthographic", "+proj=merc +R=1737400"),
    ("orthographic", PLATE_CARREE),
    ("orthographic", "+proj=eqc +lon_0=170 +R=1737400"),
    ("south polar stereographic, over the pole", "+proj=laea +lat_0=-85 +lon_0=90 +R=1737400"),
    ("Lambert azimuthal", "+proj=tmerc +lon_0=-50 +R=1737400"),
    ("ellipsoid, polar", "+proj=eqc +lat_ts=30 +a=3396190 +b=3376200"),
    ("ellipsoid, polar", "+proj=longlat +a=3396190 +b=3376200 +no_defs"),
    ("planetographic latitudes", "+proj=sinu +a=3396190 +b=3376200"),
    ("planetographic latitudes", "+proj=eqc +a=3396190 +b=3376200"),
]


@pytest.mark.parametrize(("name", "crs"), PAIRS)
def test_on_a_raster_in_another_crs_edges_are_straight_in_the_crs_of_the_polygons(name: str, crs: str) -> None:
    """Boxes on one map have curved sides on another, however fine the pixels are."""
    place = PLACES[name]
    given = shapes_in(place)[::2]
    there = pyproj.Transformer.from_crs(place.crs, crs, always_xy=True)
    dense = [shape.segmentize(place.side * place.pixel / 3000) for shape in given]
    drawn = [shapely.transform(shape, lambda xy: np.stack(there.transform(*xy.T), axis=1)) for shape in dense]
    turn = {PLATE_CARREE: 360.0, "+proj=merc +R=1737400": 2 * np.pi * RADIUS}.get(crs, np.inf)
    if np.ptp(shapely.total_bounds(drawn)[::2]) > turn / 2:
        # Longitudes continue across the antimeridian, as on this raster.
        drawn = [shapely.transform(shape, lambda xy: np.where([True, False], xy % turn, xy)) for shape in drawn]
    raster = covering(drawn, crs, 300)._replace(body=place.body)
    cdb = table_with(place, given)
    da = raster_in(raster, np.ones((raster.side, raster.side), "f4"))
    count = da.craters.get_stats(cdb, "p", "count", coverage="exact").compute()["count"]
    np.testing.assert_allclose(count, shapely.area(drawn) / raster.pixel**2, rtol=3e-7)
    lazy = da.chunk({"y": 91, "x": 170}).craters.get_stats(cdb, "p", "count", coverage="exact").compute()["count"]
    np.testing.assert_allclose(lazy, count, rtol=1e-12)


@pytest.mark.parametrize("name", ["south polar stereographic, over the pole", "sinusoidal at 10 km", "Mollweide"])
def test_true_areas_of_regions_add_up(name: str) -> None:
    """Two halves of a shape together have its area on the body, however the plane stretches it."""
    place = PLACES[name]
    whole = shapes_in(place)[1]
    west = shapely.intersection(whole, shapely.box(-1e9, -1e9, place.x + 0.47 * place.side * place.pixel, 1e9))
    halves = [whole, west, whole.difference(west)]
    da = raster_in(place)
    area = (
        da.craters.get_stats(table_with(place, halves), "p", "area", coverage="exact", weights="area")
        .compute()["area"]
        .values
    )
    assert area[1] + area[2] == pytest.approx(area[0], rel=1e-9)


def test_true_areas_at_the_rim_of_a_map() -> None:
    """At the rim, the parts of pixels are measured in longitude and latitude, for the polygon that was drawn."""
    pixel, side = 2.5e4, 160
    place = Place("+proj=moll +R=1737400", pixel, -pixel * side / 2, -pixel * side / 2, side)
    place = place._replace(x=-2 * np.sqrt(2) * RADIUS - 3.3 * pixel, y=-8e5, side=64)
    rim = shapely.Polygon(
        np.stack(
            [2 * np.sqrt(2) * RADIUS * np.cos(t := np.linspace(2.8, 3.5, 400)), np.sqrt(2) * RADIUS * np.sin(t)], 1
        )
    )
    inner = shapely.affinity.translate(rim, 1.37 * pixel, 0.0).intersection(shapely.affinity.scale(rim, 0.98, 0.9))
    da = raster_in(place)
    cdb = table_with(place, [shapely.buffer(inner, -0.2 * pixel)])
    area = da.craters.get_stats(cdb, "p", "area", coverage="exact", weights="area").compute()["area"].item()
    # Mollweide is an equal-area projection.
    assert area == pytest.approx(shapely.buffer(inner, -0.2 * pixel).area, rel=2e-6)


def test_tables_return_the_polygons_they_were_given() -> None:
    place = PLACES["south polar stereographic at 100 m"]
    shapes = shapes_in(place)
    cdb = table_with(place, [*shapes[:2], None, shapes[2]])
    assert repr(cdb.regions["p"]) == f"Polygons(3 of 4 craters, {4 + 128 + 3} vertices)"
    reverse = copy.copy(cdb)
    reverse.data = cdb.data.iloc[[3, 2, 0]]
    da = raster_in(place)
    counts = da.craters.get_stats(pickle.loads(pickle.dumps(reverse)), "p", "count", coverage="exact").compute()[
        "count"
    ]
    np.testing.assert_allclose(counts, [shapes[2].area / 1e4, 0.0, shapes[0].area / 1e4], rtol=1e-9)
    again = table_with(place, [*shapes[:2], None, shapes[2]])
    assert again.regions["p"] == cdb.regions["p"]
    assert hash(again.regions["p"]) == hash(cdb.regions["p"])
    assert cdb.regions["p"] != table_with(place, [*shapes[:2], None, shapes[3]]).regions["p"]
    table = make_polygon_table(np.array([None, *shapes], dtype=object), get_body("moon"), place.crs)
    assert table.plane is not None
    with pytest.raises(ValueError, match="read-only"):
        table.plane.x[0] = 0.0


def test_parts_that_overlap_in_the_plane_are_refused_with_advice_that_works() -> None:
    place = PLACES["sinusoidal"]
    box = shapes_in(place)[0]
    geometry = shapely.MultiPolygon([box, shapely.affinity.translate(box, 1000.5, 300.2)])
    with pytest.raises(RegionError, match=r"its parts overlap; type shapely\.unary_union\(geometry\)"):
        table_with(place, [geometry])
    united = shapely.unary_union(geometry)
    count = raster_in(place).craters.get_stats(table_with(place, [united]), "p", "count", coverage="exact").compute()
    assert count["count"].item() == pytest.approx(united.area / place.pixel**2, rel=1e-9)


HALF = np.pi * RADIUS


@pytest.mark.parametrize(
    ("crs", "shape"),
    [
        ("IAU_2015:30120", shapely.box(2.6e6, 2.4e6, 3.2e6, 2.6e6)),
        ("IAU_2015:30120", shapely.box(HALF * 0.9, -1e5, HALF * 1.1, 1e5)),
        ("+proj=moll +R=1737400", shapely.box(4e6, 5e5, 4.9e6, 1e6)),
        ("+proj=eqearth +R=1737400", shapely.box(4e6, 5e5, 4.6e6, 1e6)),
        ("+proj=lcc +lat_1=20 +lat_2=50 +lon_0=30 +R=1737400", shapely.box(-1e5, 4.9e6, 1e5, 5.1e6)),
        ("+proj=ortho +R=1737400", shapely.box(0, 0, 2e6, 1e5)),
        # Its corners are on the map, but the middle of its northern side is not.
        ("+proj=lcc +lat_1=20 +lat_2=50 +lon_0=0 +R=1737400", shapely.box(-2.5e6, 3e6, 2.5e6, 5.3e6)),
    ],
)
def test_a_polygon_that_extends_beyond_the_map_is_refused(crs: str, shape: Any) -> None:
    """For many of these points PROJ returns positions on the other side of the body."""
    table = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e3]}), "moon")
    with pytest.raises(RegionError, match="it reaches out of the projection"):
        table.add_polygons("p", [shape], crs=crs)


@pytest.mark.parametrize(
    ("crs", "shape"),
    [
        ("IAU_2015:30110", shapely.box(HALF * 0.9, -1e5, HALF * 1.1, 1e5)),
        ("+proj=merc +lon_0=180 +R=1737400", shapely.box(HALF * 1.2, -1e5, HALF * 1.4, 1e5)),
        ("IAU_2015:30120", shapely.box(HALF * 0.9, 0, HALF, 1e5).intersection(shapely.box(0, 0, HALF * 0.95, 1e5))),
        (
            "+proj=sinu +R=1737400",
            shapely.Polygon([(HALF, 0), (HALF / 2, HALF / 3), (-HALF / 2, HALF / 3), (-HALF, 0)]),
        ),
        ("IAU_2015:30135", shapely.box(-3e6, -3e6, 3e6, 3e6)),
        ("+proj=robin +R=1737400", shapely.box(-9e5, -2.3e6, 9e5, 2.3e6)),
        ("IAU_2015:49911", shapely.box(2e7, -1e6, 2.1e7, 1e6)),
    ],
)
def test_maps_may_be_used_up_to_their_rim_and_over_more_than_one_turn(crs: str, shape: Any) -> None:
    body = "mars" if "49911" in crs else "moon"
    table = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e3]}), body)
    table.add_polygons("p", [shape], crs=crs)
    assert table.p[0].area > 0
