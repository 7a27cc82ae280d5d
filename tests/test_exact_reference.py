"""The oracles for covered fractions and weighted statistics agree with independent packages."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rasterstats
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import exact_reference as exact
from tests import reference as ref
from tests import strategies

GRID = Affine(5, 0, -180, 0, -5, 90)
SHAPE = (36, 72)
OVER_POLES = Affine(9, 0, -13.3, 0, -7, 94.3), (27, 40)
RADIUS_M = 1_737_400.0
DISCS = [
    (12.31, 34.53, 7.07), (179.13, -20.17, 15.03), (33.27, 84.61, 9.07), (0.0, 90.0, 12.3), (-50.0, -90.0, 31.0),
    (-100.37, -5.17, 40.11), (77.0, -70.0, 95.3), (140.0, 10.0, 170.1), (2.5, 2.5, 0.31), (-180.0, 0.0, 10.0),
    (60.0, 80.0, 10.0), (15.0, 0.0, 90.0),
]  # fmt: skip


def many_cornered(lon: float, lat: float, radius: float, n: int = 200_000) -> NDArray[np.float64]:
    """Points on a circle, shape (n, 2), with continuous longitudes."""
    phi, r, turn = math.radians(lat), math.radians(radius), np.linspace(0, 2 * math.pi, n, endpoint=False)
    sin_lat = math.sin(phi) * math.cos(r) + math.cos(phi) * math.sin(r) * np.cos(turn)
    away = np.arctan2(np.sin(turn) * math.sin(r) * math.cos(phi), math.cos(r) - math.sin(phi) * sin_lat)
    return np.column_stack([lon + np.degrees(np.unwrap(away)), np.degrees(np.arcsin(sin_lat))])


@pytest.mark.parametrize("disc", [disc for disc in DISCS if abs(disc[1]) + disc[2] < 89])
def test_fractions_of_a_disc_agree_with_a_polygon_of_many_vertices(disc: tuple[float, float, float]) -> None:
    polygon = shapely.Polygon(many_cornered(*disc))
    found = exact.circle_coverage(GRID, SHAPE, *disc[:2], 0, disc[2])
    wanted = exact.polygon_coverage(GRID, SHAPE, polygon)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("disc", [disc for disc in DISCS if abs(disc[1]) < 90 and abs(disc[1]) + disc[2] > 90.1])
def test_fractions_of_a_polar_disc_agree_with_a_polygon_of_many_vertices(disc: tuple[float, float, float]) -> None:
    lon, lat, radius = disc
    found = exact.circle_coverage(GRID, SHAPE, lon, lat, 0, radius)
    if radius > 90 and radius - abs(lat) > 90:  # contains both poles: everything but the disc around the antipode
        wanted = 1 - exact.circle_coverage(GRID, SHAPE, lon + 180, -lat, 0, 180 - radius)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-11)
        return
    x, y = many_cornered(lon, lat, radius).T
    pole = math.copysign(90, lat)
    turn = math.copysign(360, x[-1] - x[0])
    ring = np.column_stack([[*x, x[0] + turn, x[0] + turn, x[0]], [*y, y[0], pole, pole]])
    wanted = exact.polygon_coverage(GRID, SHAPE, shapely.Polygon(ring))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-8)


@pytest.mark.parametrize("disc", DISCS)
def test_fractions_of_a_disc_add_up_to_its_area_in_longitude_and_latitude(disc: tuple[float, float, float]) -> None:
    """The area is a plain sum over parallels, whose half widths are arc cosines, instead of adaptive quadrature."""
    lon, lat, radius = disc
    phi, r = math.radians(lat), math.radians(radius)
    ends = {max(-math.pi / 2, phi - r), min(math.pi / 2, phi + r)}
    ends |= {turn for turn in (math.pi - phi - r, -math.pi - phi + r) if min(ends) < turn < max(ends)}
    nodes, weights = np.polynomial.legendre.leggauss(400)
    total = 0.0
    for low, high in zip(sorted(ends), sorted(ends)[1:]):
        t = nodes * (math.pi / 2)
        at = (low + high) / 2 + (high - low) / 2 * np.sin(t)
        cosine = (math.cos(r) - np.sin(at) * math.sin(phi)) / (np.cos(at) * math.cos(phi))
        total += (
            float(np.sum(weights * 2 * np.arccos(np.clip(cosine, -1, 1)) * np.cos(t))) * (high - low) / 2 * math.pi / 2
        )
    fractions = exact.circle_coverage(GRID, SHAPE, lon, lat, 0, radius)
    assert math.fsum(fractions.ravel()) * math.radians(5) ** 2 == pytest.approx(total, rel=1e-10)


@given(data=st.data())
@settings(max_examples=15)
def test_fractions_do_not_depend_on_the_grid(data: st.DataObject) -> None:
    """A pixel's fraction is the mean of those of its quarters, and the order of rows does not matter."""
    grid = data.draw(strategies.grids(max_pixels=700))
    cap = data.draw(strategies.caps(grid, max_radius=100))
    inner = cap.radius * data.draw(st.sampled_from([0, 0.5, 0.9]))
    (rows, cols), t = grid.shape, grid.transform
    fine = Affine(t.a / 2, 0, t.c, 0, t.e / 2, t.f)
    turned = Affine(t.a, 0, t.c, 0, -t.e, t.f + rows * t.e)
    whole = exact.circle_coverage(t, grid.shape, cap.lon, cap.lat, inner, cap.radius)
    quarters = exact.circle_coverage(fine, (2 * rows, 2 * cols), cap.lon, cap.lat, inner, cap.radius)
    flipped = exact.circle_coverage(turned, grid.shape, cap.lon, cap.lat, inner, cap.radius)
    np.testing.assert_allclose(whole, quarters.reshape(rows, 2, cols, 2).mean(axis=(1, 3)), rtol=0, atol=2e-11)
    np.testing.assert_allclose(whole, flipped[::-1], rtol=0, atol=2e-11)


def test_fractions_of_a_polygon_agree_with_exactextract() -> None:
    exactextract = pytest.importorskip("exactextract")
    rng = np.random.default_rng(0)
    transform, shape = Affine(0.5, 0, 10, 0, -0.5, 20), (20, 30)
    raster = exactextract.raster.NumPyRasterSource(np.zeros(shape), xmin=10, ymin=10, xmax=25, ymax=20)
    shapes = []
    for _ in range(30):
        angle = np.sort(rng.uniform(0, 2 * math.pi, 12))
        reach = rng.uniform(0.3, 4, 12)
        ring = np.column_stack([rng.uniform(9, 26) + reach * np.cos(angle), rng.uniform(9, 21) + reach * np.sin(angle)])
        hole = shapely.Point(ring.mean(axis=0)).buffer(0.4)
        shapes.append(shapely.make_valid(shapely.Polygon(ring)).difference(hole))
    for geometry in shapes:
        feature = {"type": "Feature", "geometry": shapely.geometry.mapping(geometry), "properties": {}}
        found = exactextract.exact_extract(raster, [feature], ["cell_id", "coverage"])[0]["properties"]
        wanted = np.zeros(shape)
        wanted.ravel()[np.asarray(found["cell_id"], dtype=int)] = found["coverage"]
        ours = exact.polygon_coverage(transform, shape, geometry, turns=False)
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-6)


def test_true_areas_add_up_to_the_sphere() -> None:
    areas = exact.true_areas(GRID, SHAPE, RADIUS_M)
    assert math.fsum(areas.ravel()) == pytest.approx(4 * math.pi * RADIUS_M**2, rel=1e-14)


def cap(radius: float) -> float:
    """True area of a cap, m²."""
    return 4 * math.pi * (RADIUS_M * math.sin(math.radians(radius) / 2)) ** 2


@pytest.mark.parametrize("grid", [(GRID, SHAPE), OVER_POLES])
@pytest.mark.parametrize("disc", DISCS)
def test_true_areas_of_a_disc_add_up_to_the_cap(
    disc: tuple[float, float, float], grid: tuple[Affine, tuple[int, int]]
) -> None:
    lon, lat, radius = disc
    pixels, inner = exact.true_areas(*grid, RADIUS_M), 0.6 * radius
    areas = exact.circle_areas(*grid, lon, lat, 0, radius, RADIUS_M)
    assert math.fsum(areas.ravel()) == pytest.approx(cap(radius), rel=2e-13)
    nearest, farthest = ref.pixel_distance_range(*grid, lon, lat)
    np.testing.assert_array_equal(areas[farthest < radius], pixels[farthest < radius])
    np.testing.assert_array_equal(areas[nearest > radius], 0)
    assert (areas <= pixels * (1 + 1e-12)).all()
    ring = exact.circle_areas(*grid, lon, lat, inner, radius, RADIUS_M)
    assert math.fsum(ring.ravel()) == pytest.approx(cap(radius) - cap(inner), rel=1e-12)
    np.testing.assert_array_equal(ring[farthest < inner], 0)


@pytest.mark.parametrize("disc", [disc for disc in DISCS if abs(disc[1]) + disc[2] < 89])
def test_true_areas_of_a_disc_agree_with_a_polygon_of_many_vertices(disc: tuple[float, float, float]) -> None:
    found = exact.circle_areas(GRID, SHAPE, *disc[:2], 0, disc[2], RADIUS_M)
    wanted = exact.polygon_areas(GRID, SHAPE, shapely.Polygon(many_cornered(*disc)), RADIUS_M)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-8 * exact.true_areas(GRID, SHAPE, RADIUS_M).max())


def lonlat_area(polygon: shapely.Polygon) -> float:
    """True area, m², from the mean sine of the latitude along each edge in closed form."""
    total = 0.0
    for ring, sign in ((polygon.exterior, 1), *((hole, -1) for hole in polygon.interiors)):
        x, y = np.radians(shapely.get_coordinates(ring)).T
        means = np.sin((y[1:] + y[:-1]) / 2) * np.sinc(np.diff(y) / (2 * math.pi))
        total += sign * abs(math.fsum(np.diff(x) * means))
    return RADIUS_M**2 * total


@pytest.mark.parametrize("grid", [(GRID, SHAPE), OVER_POLES])
def test_true_areas_of_a_polygon_add_up_to_its_area(grid: tuple[Affine, tuple[int, int]]) -> None:
    rng = np.random.default_rng(3)
    for lon, lat, size in [(12, 34, 30), (181, -50, 38), (-170, 76, 13), (900, 0, 2), (77, -20, 69.5), (0, 88, 0.7)]:
        turn, reach = np.linspace(0, 2 * math.pi, 25)[:-1], size * rng.uniform(0.4, 1, 24)
        star = np.column_stack([lon + reach * np.cos(turn), lat + reach * np.sin(turn)])
        hole = (0.3 * (star - (lon, lat)) + (lon, lat))[::-1]
        polygon = shapely.Polygon(star, [hole])
        areas = exact.polygon_areas(*grid, polygon, RADIUS_M)
        assert math.fsum(areas.ravel()) == pytest.approx(lonlat_area(polygon), rel=1e-12)
        pixels, fraction = exact.true_areas(*grid, RADIUS_M), exact.polygon_coverage(*grid, polygon)
        np.testing.assert_array_equal(areas[fraction == 0], 0)
        np.testing.assert_allclose(areas[fraction == 1], pixels[fraction == 1], rtol=1e-12)
    everywhere = exact.polygon_areas(*grid, shapely.box(-180, -90, 180, 90), RADIUS_M)
    np.testing.assert_allclose(everywhere, exact.true_areas(*grid, RADIUS_M), rtol=1e-12)


def test_true_areas_of_small_pieces_keep_their_digits() -> None:
    tiny = shapely.box(178.3, 81.2, 178.3 + 2.0**-20, 81.2 + 2.0**-20)
    west, south, east, north = tiny.bounds
    height = math.radians(north - south)
    area = RADIUS_M**2 * math.radians(east - west) * height * math.cos(math.radians(south) + height / 2)
    areas = exact.polygon_areas(GRID, SHAPE, tiny, RADIUS_M)
    assert areas.sum() == areas.max() == pytest.approx(area, rel=1e-14)


ORDER = ("count", "min", "max", "median", "majority", "minority", "unique", "range", "nodata", "nan", "percentile_33.3")


@given(case=strategies.pixel_values((4, 9)))
def test_statistics_without_weights_agree_with_rasterstats_and_numpy(case: strategies.DataCase) -> None:
    found = exact.statistics(case.values, np.ones(case.values.shape), None, case.nodata)
    wanted = ref.statistics(case.values, case.nodata, (*ref.RASTERSTATS, "percentile_33.3"))
    if wanted["count"] == 0:
        wanted["unique"] = math.nan
    # numpy adds to one pixel a part of the step to the next. It rounds the position between them, which is up to the
    # number of pixels, so its error is that of the step and not of the result.
    largest = np.abs(case.values.astype(float)).max(initial=0.0, where=np.isfinite(case.values))
    rounding = case.values.size * np.finfo(float).eps * largest
    percentile = pytest.approx(wanted.pop("percentile_33.3"), rel=1e-15, abs=rounding, nan_ok=True)
    assert found["percentile_33.3"] == percentile
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-15, nan_ok=True)


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_moments_agree_with_numpy_and_scipy(dtype: str) -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).gamma(2, 20, 200).astype(dtype)
    found = exact.statistics(values, np.ones(200))
    x = values.astype(float)
    assert found["var"] == pytest.approx(x.var(), rel=1e-13)
    assert found["std"] == pytest.approx(x.std(), rel=1e-13)
    assert found["cv"] == pytest.approx(x.std() / x.mean(), rel=1e-13)
    assert found["skew"] == pytest.approx(scipy_stats.skew(x), rel=1e-12)
    assert found["kurtosis"] == pytest.approx(scipy_stats.kurtosis(x), rel=1e-12)
    for q in (0, 33.3, 90, 100):
        assert exact.statistics(values, np.ones(200), stats=[f"percentile_{q}"])[f"percentile_{q}"] == pytest.approx(
            np.percentile(x, q), rel=1e-14
        )


def test_integer_weights_act_as_repeated_pixels() -> None:
    rng = np.random.default_rng(2)
    values, weights = rng.integers(0, 30, 60).astype(float), rng.integers(1, 5, 60)
    once = exact.statistics(values, np.ones(60), weights)
    often = exact.statistics(np.repeat(values, weights), np.ones(weights.sum()))
    for name in ("sum", "mean", "var", "std", "cv", "skew", "kurtosis", "majority", "minority", "unique", "min", "max"):
        assert once[name] == pytest.approx(often[name], rel=1e-15), name
    assert once["count"] == 60


OPERATIONS = {
    "count": "count", "sum": "sum", "mean": "mean", "var": "variance", "std": "stdev", "cv": "coefficient_of_variation",
    "min": "min", "max": "max", "majority": "majority", "minority": "minority", "variety": "variety",
}  # fmt: skip


@pytest.mark.parametrize("distinct", [6, 1000])
def test_statistics_with_fractions_and_weights_agree_with_exactextract(distinct: int) -> None:
    exactextract = pytest.importorskip("exactextract")
    source = exactextract.raster.NumPyRasterSource
    rng = np.random.default_rng(distinct)
    for radius in (0.3, 1.7, 4.2):
        values, weights = rng.integers(0, distinct, (10, 12)).astype(float), rng.random((10, 12))
        values[rng.random(values.shape) < 0.1] = -1
        box = {"xmin": 0, "ymin": 0, "xmax": 12, "ymax": 10}
        geometry = shapely.Point(6.1, 5.3).buffer(radius)
        feature = {"type": "Feature", "geometry": shapely.geometry.mapping(geometry), "properties": {}}
        operations = [
            *OPERATIONS.values(), "weighted_mean", "weighted_sum", "weighted_variance", "weighted_stdev",
        ]  # fmt: skip
        theirs = exactextract.exact_extract(
            source(values, nodata=-1, **box), [feature], operations, weights=source(weights, **box)
        )[0]["properties"]
        cells = exactextract.exact_extract(source(values, **box), [feature], ["cell_id", "coverage"])[0]["properties"]
        # Use exactextract's own fractions, which are in single precision, so that all else can be compared to all
        # digits.
        coverage = np.zeros(values.shape)
        coverage.ravel()[np.asarray(cells["cell_id"], dtype=int)] = cells["coverage"]
        plain = exact.statistics(values, coverage, None, -1, fractions=True)
        for ours, name in OPERATIONS.items():
            if ours == "majority" and distinct > 100:
                continue  # of values with equal coverage, exactextract gives the largest
            assert plain[ours] == pytest.approx(theirs[name], rel=1e-12), (ours, radius)
        heavy = exact.statistics(values, coverage, weights, -1, fractions=True)
        for ours, name in {"mean": "mean", "sum": "sum", "var": "variance", "std": "stdev"}.items():
            assert heavy[ours] == pytest.approx(theirs[f"weighted_{name}"], rel=1e-12), (ours, radius)


def test_quantiles_of_whole_pixels_with_distinct_values_agree_with_exactextract() -> None:
    exactextract = pytest.importorskip("exactextract")
    values, inside = np.random.default_rng(3).permutation(80).reshape(8, 10).astype(float), np.zeros((8, 10))
    inside[1:6, 2:7] = 1
    source = exactextract.raster.NumPyRasterSource(values, xmin=0, ymin=0, xmax=10, ymax=8)
    feature = {"type": "Feature", "geometry": shapely.geometry.mapping(shapely.box(2, 2, 7, 7)), "properties": {}}
    quantiles = ["quantile(q=0.25)", "median", "quantile(q=0.9)"]
    theirs = exactextract.exact_extract(source, [feature], quantiles)[0]["properties"]
    ours = exact.statistics(values, inside, fractions=True)
    for name, other in (("quantile_0.25", "quantile_25"), ("median", "median"), ("quantile_0.9", "quantile_90")):
        assert ours[name] == pytest.approx(theirs[other], rel=1e-14), name
        assert ours[name] == pytest.approx(exact.statistics(values, inside)[name], rel=1e-14), name


def test_categories_agree_with_rasterstats_and_their_fractions_with_exactextract() -> None:
    exactextract = pytest.importorskip("exactextract")
    source = exactextract.raster.NumPyRasterSource
    rng = np.random.default_rng(4)
    values, weights = rng.integers(0, 4, (8, 8)).astype(float), rng.random((8, 8))
    box = shapely.box(1, 2, 7, 7)
    inside = np.zeros(values.shape)
    inside[1:6, 1:7] = 1
    theirs = rasterstats.zonal_stats(box, values, affine=Affine(1, 0, 0, 0, -1, 8), nodata=-99, categorical=True)[0]
    assert exact.categories(values, inside) == {key: float(count) for key, count in theirs.items()}
    feature = {"type": "Feature", "geometry": shapely.geometry.mapping(box), "properties": {}}
    extents = {"xmin": 0, "ymin": 0, "xmax": 8, "ymax": 8}
    parts = exactextract.exact_extract(
        source(values, **extents), [feature], ["unique", "weighted_frac"], weights=source(weights, **extents)
    )[0]["properties"]
    for value, part in zip(parts["unique"], parts["weighted_frac"]):
        found = exact.statistics(values, inside, weights, stats=[f"frac_{value:g}"])
        assert found[f"frac_{value:g}"] == pytest.approx(part, rel=1e-12)
    assert exact.statistics(values, inside, weights, stats=["frac_77"])["frac_77"] == 0


def test_area_is_the_sum_over_the_parts_with_values() -> None:
    coverage, areas = np.array([1.0, 0.5, 0.25, 0.125, 0.0]), np.array([8.0, 3.0, 1.5, 2.0, 9.0])
    found = exact.statistics([4, 4, np.nan, 7, 4], coverage, coverage, 7, ["area"], fractions=True, areas=areas)
    assert found["area"] == 11


def test_without_valid_pixels_counts_are_0_and_the_rest_is_nan() -> None:
    for values, nodata in ((np.full(3, 7), 7), (np.full(3, np.nan), None)):
        found = exact.statistics(
            values, np.ones(3), None, nodata, areas=np.ones(3), stats=[*exact.STATISTICS, "area", "frac_7"]
        )
        assert found.pop("nodata") + found.pop("nan") == 3
        assert (found.pop("count"), found.pop("area")) == (0, 0)
        assert all(map(math.isnan, found.values()))
