"""Polygons of discs and rings in longitude and latitude, across the antimeridian and over poles."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import shapely

from xcrater.geometry.lonlat_polygons import region_polygons


def distance(lon0, lat0, lon, lat):
    """Great-circle distance in degrees, by the haversine formula."""
    lon0, lat0, lon, lat = map(np.radians, (lon0, lat0, lon, lat))
    h = np.sin((lat - lat0) / 2) ** 2 + np.cos(lat0) * np.cos(lat) * np.sin((lon - lon0) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.clip(h, 0, 1))))


def craters(n=600, seed=0):
    """Random craters of many sizes, with many on poles, on round meridians and larger than a hemisphere."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    lat[: n // 5] = np.round(lat[: n // 5] / 90) * 90
    lon[::7] = np.round(lon[::7] / 90) * 90
    lon[lon >= 180] = -180
    return lon, lat, 10 ** rng.uniform(-3, 2.2, n), rng


@pytest.mark.parametrize(
    ("inner", "outer", "nvert", "tolerance"),
    [(0, 1, None, 0.02), (1, 1.5, None, 0.02), (0.5, 3, 32, 0.1), (1, 1.02, 32, 0.1)],
)
def test_polygons_contain_the_points_within_the_radius(inner, outer, nvert, tolerance):
    lon, lat, radius, rng = craters()
    polygons = region_polygons(lon, lat, radius, inner, outer, nvert)
    assert shapely.is_valid(polygons).all()
    bounds = shapely.bounds(polygons[~shapely.is_empty(polygons)])
    assert (bounds[:, [0, 1]] >= [-180, -90]).all()
    assert (bounds[:, [2, 3]] <= [180, 90]).all()
    for attempt in range(30):
        if attempt % 2:
            x, y = rng.uniform(-180, 180, len(lon)), np.degrees(np.arcsin(rng.uniform(-1, 1, len(lon))))
        else:
            y = np.clip(lat + rng.normal(0, outer, len(lon)) * radius, -89.999, 89.999)
            x = lon + rng.normal(0, outer, len(lon)) * radius / np.cos(np.radians(y))
            x = (x + 180) % 360 - 180
        d = distance(lon, lat, x, y) / radius
        clear = np.minimum(np.abs(d - inner) / max(inner, 1e-9), np.abs(d - outer) / outer) > tolerance
        inside = shapely.contains_xy(polygons, x, y)
        np.testing.assert_array_equal(inside[clear], ((d >= inner) & (d < outer))[clear])


def test_a_disc_across_the_antimeridian_is_two_pieces_that_meet_it():
    (polygon,) = region_polygons([179.3], [20.0], [4.0], 0, 1, 32)
    assert polygon.geom_type == "MultiPolygon"
    assert sorted(part.bounds[0::2] for part in polygon.geoms) == [
        (-180.0, pytest.approx(179.3 + 4.26 - 360, abs=0.02)),
        (pytest.approx(179.3 - 4.26, abs=0.02), 180.0),
    ]


def test_a_hole_across_the_antimeridian_is_kept():
    (polygon,) = region_polygons([179.9], [0.0], [4.0], 1, 2, None)
    assert polygon.area == pytest.approx(np.pi * (8**2 - 4**2), rel=0.01)
    assert not polygon.contains(shapely.Point(179.0, 0.0))
    assert not polygon.contains(shapely.Point(-179.0, 0.0))


@pytest.mark.parametrize("lon", [0.0, 30.1, -77.7, 179.99999, -180.0])
@pytest.mark.parametrize("pole", [1, -1])
def test_a_polar_cap_is_one_polygon_of_all_longitudes(lon, pole):
    (cap,) = region_polygons([lon], [pole * 85.0], [8.0], 0, 1, 32)
    assert cap.geom_type == "Polygon"
    assert not len(cap.interiors)
    assert cap.bounds[0::2] == (-180.0, 180.0)
    assert pole * 90.0 in cap.bounds[1::2]


def test_a_polar_ring_keeps_its_hole():
    inside_pole, around_pole = region_polygons([30.1, 30.1], [85.0, 85.0], [4.0, 8.0], 1, 2, 32)
    assert inside_pole.covers(shapely.Point(0.0, 90.0))
    assert not inside_pole.covers(shapely.Point(30.1, 85.0))
    assert not around_pole.covers(shapely.Point(0.0, 90.0))


def test_a_disc_over_both_poles_leaves_out_the_surroundings_of_its_antipode():
    (disc,) = region_polygons([0.0], [10.0], [150.0], 0, 1, None)
    whole, rest = shapely.box(-180, -90, 180, 90), region_polygons([-180.0], [-10.0], [30.0], 0, 1, None)[0]
    assert shapely.symmetric_difference(disc, whole.difference(rest)).area < 1e-6
    (inland,) = region_polygons([100.0], [10.0], [150.0], 0, 1, None)
    assert inland.geom_type == "Polygon"
    assert len(inland.interiors) == 1


def test_a_disc_beyond_its_antipode_is_the_whole_body():
    whole, ring, nothing = (
        region_polygons([30.1], [10.0], [radius], inner, 2, 32)[0]
        for radius, inner in [(90.0, 0), (100.0, 1), (180.0, 1)]
    )
    assert whole.equals(shapely.box(-180, -90, 180, 90))
    assert ring.covers(shapely.Point(-149.9, -10.0))
    assert not ring.covers(shapely.Point(30.1, 10.0))
    assert nothing.is_empty


@pytest.mark.parametrize(("nvert", "expected"), [(4, 4), (32, 32), (None, 360)])
def test_number_of_vertices(nvert, expected):
    (polygon,) = region_polygons([10.0], [20.0], [3.0], 0, 1, nvert)
    assert len(polygon.exterior.coords) - 1 == expected


@pytest.mark.parametrize(("inner", "outer"), [(0, 1), (1, 1.5)])
@pytest.mark.parametrize("body", ["moon", "ceres"])
def test_vertices_agree_with_craterpy(sample, body, inner, outer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import craterpy

        theirs = craterpy.CraterDatabase(str(sample(f"{body}_craters_km.csv")), body, units="km")
        theirs.data = theirs.data.iloc[:120]
        theirs.add_annuli("rim", inner, outer, n_jobs=1)
        polygons = theirs.data["rim"].to_numpy()
    radius = np.degrees(theirs.rad.to_numpy() / theirs._rbody)
    ours = region_polygons(theirs.lon.to_numpy(), theirs.lat.to_numpy(), radius, inner, outer, 32)
    bounds = shapely.bounds(ours)
    plain = (bounds[:, 2] - bounds[:, 0] < 300) & (shapely.get_type_id(ours) == shapely.GeometryType.POLYGON)
    assert plain.sum() > 100
    for our, their in zip(ours[plain], polygons[plain]):
        assert len(our.interiors) == len(their.interiors) == (inner > 0)
        for a, b in zip([our.exterior, *our.interiors], [their.exterior, *their.interiors]):
            np.testing.assert_allclose(_from_the_north(a), _from_the_north(b), atol=1e-9)


def _from_the_north(ring):
    """The vertices clockwise, starting with the northernmost."""
    xy = np.asarray(ring.coords)[:-1]
    xy = xy[::-1] if shapely.is_ccw(ring) else xy
    return np.roll(xy, -int(np.argmax(xy[:, 1])), axis=0)
