"""Polygons in pixel coordinates agree with shapely, GDAL and exactextract."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tests import reference as ref
from tests.reference import PixelWindow
from xcrater.kernels.half_widths import CENTER, EXACT, TOUCHED
from xcrater.kernels.polygon_spans import (
    DUST,
    ONE,
    polygon_bound,
    polygon_runs,
    polygon_scratch,
    polygon_sums,
    polygons_bound,
)
from xcrater.kernels.records import Polygons

Floats = NDArray[np.float64]
Rings = Sequence[Floats]
MODES = (CENTER, TOUCHED, EXACT)


def rings_of(geometry: BaseGeometry) -> list[Floats]:
    """The rings of a geometry, not closed; shells have positive area in (u, v) and holes negative area."""
    rings = []
    for part in shapely.get_parts(geometry):
        for ring in (part.exterior, *part.interiors):
            uv = shapely.get_coordinates(ring)[:-1]
            shell = ring is part.exterior or ring.equals(part.exterior)
            rings.append(uv if shapely.is_ccw(ring) == shell else uv[::-1])
    return rings


def outlines(shapes: Sequence[Rings], period: float = np.inf) -> Polygons:
    """Shapes in the form that kernels accept."""
    rings = [ring for shape in shapes for ring in shape]
    uv = np.concatenate([np.empty((0, 2)), *rings])
    ring = np.cumsum([0, *map(len, rings)])
    shape = np.cumsum([0, *map(len, shapes)])
    return Polygons(uv[:, 0].copy(), uv[:, 1].copy(), ring.astype(np.int64), shape.astype(np.int64), period)


def shares(
    rings: Rings,
    mode: int,
    window: PixelWindow,
    period: float = np.inf,
    surface: tuple[Floats, Floats] | None = None,
) -> Floats:
    """The weight of every pixel of a window; also checks that runs are ordered and in bounds."""
    polygons = outlines([rings], period)
    pieces, most = polygon_bound(polygons, 0, window)
    scratch = polygon_scratch(window, pieces, surface)
    runs, weight = np.full((3, most + 1), -1), np.full(most + 1, -1.0)
    n = polygon_runs(polygons, 0, mode, window, scratch, runs, weight)
    assert n <= most
    assert np.all(scratch[0] == (-1, 0)), "the kernel must reset its scratch space"
    assert not scratch[1].any(), "the kernel must reset its scratch space"
    assert not scratch[5].any(), "the kernel must reset its scratch space"
    assert not scratch[7].any(), "the kernel must reset its scratch space"
    image = np.zeros((window[1] - window[0], window[3] - window[2]))
    end = (window[0], window[2])
    for (row, start, stop), share in zip(runs[:, :n].T.tolist(), weight[:n].tolist()):
        assert (row, start) >= end, "rows and columns must increase, and runs must be disjoint"
        assert window[0] <= row < window[1]
        assert window[2] <= start < stop <= window[3]
        assert share == 1.0 or (mode == EXACT and stop == start + 1 and 0.0 < share < 1.0)
        image[row - window[0], start - window[2] : stop - window[2]] = share
        end = (row, stop)
    return image


def star(rng: np.random.Generator, centre: Floats, radius: float, count: int, least: float = 0.2) -> Floats:
    """A star-shaped ring."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    distances = radius * rng.uniform(least, 1.0, count)
    return centre + np.column_stack([distances * np.cos(angles), distances * np.sin(angles)])


def random_geometry(rng: np.random.Generator, window: PixelWindow) -> BaseGeometry:
    """A valid polygon or multipolygon in or near the window."""
    low, high = np.array([window[2], window[0]]), np.array([window[3], window[1]])
    size = float(max(high - low))
    centre = rng.uniform(low - 0.2 * size, high + 0.2 * size)
    kind = rng.integers(8)
    if kind == 0:
        shape = shapely.convex_hull(shapely.MultiPoint(centre + rng.normal(0, size / 4, (rng.integers(3, 40), 2))))
    elif kind == 1:
        shape = shapely.Polygon(star(rng, centre, size * rng.uniform(0.05, 1.0), rng.integers(3, 60)))
    elif kind == 2:
        radius = size * rng.uniform(0.1, 1.0)
        whole = shapely.Polygon(star(rng, centre, radius, rng.integers(8, 60), 0.8)).buffer(0)
        hole = star(rng, centre, radius * rng.uniform(0.05, 0.95), rng.integers(3, 30))
        shape = whole.difference(shapely.Polygon(hole).buffer(0))
    elif kind == 3:  # slivers, some much narrower than a pixel
        ends = rng.uniform(low - 2, high + 2, (2, 2))
        shape = shapely.LineString(ends).buffer(10.0 ** rng.uniform(-5, 0), cap_style="flat")
    elif kind == 4:
        parts = [star(rng, rng.uniform(low, high), size / 6, rng.integers(3, 20)) for _ in range(rng.integers(2, 6))]
        shape = shapely.union_all([shapely.Polygon(part) for part in parts if shapely.Polygon(part).is_valid])
    elif kind == 5:  # within a pixel, or across a pixel's edge or corner
        at = np.round(centre * 2) / 2 if rng.random() < 0.5 else centre
        shape = shapely.Polygon(star(rng, at, 10.0 ** rng.uniform(-4, 0), rng.integers(3, 20)))
    elif kind == 6:
        shape = shapely.Polygon(star(rng, centre, size * 10.0 ** rng.uniform(0, 3), rng.integers(3, 40)))
    else:  # boxes aligned with edges and centres of pixels
        corners = np.sort(np.round(rng.uniform(low - 1, high + 1, (2, 2)) * 2) / 2, axis=0)
        shape = shapely.box(*corners.ravel())
    return shape if shape.is_valid and shape.area > 0 and "Polygon" in shape.geom_type else shapely.box(*low, *high)


def random_window(rng: np.random.Generator) -> PixelWindow:
    row, col = rng.integers(-50, 50, 2) if rng.random() < 0.7 else rng.integers(-100_000, 100_000, 2)
    rows, cols = rng.integers(1, 24, 2)
    return int(row), int(row + rows), int(col), int(col + cols)


def assert_masks_agree(geometry: BaseGeometry, window: PixelWindow) -> tuple[Floats, Floats, Floats]:
    images = tuple(shares(rings_of(geometry), mode, window) for mode in MODES)
    for image, oracle in zip(images, (ref.pixel_mask_center, ref.pixel_mask_touched)):
        expected, ties = oracle(geometry, window)
        wrong = np.argwhere((image != expected) & ~ties)
        assert not len(wrong), f"{len(wrong)} of {image.size} pixels differ, the first (row, column) {wrong[0]}"
    return images


def assert_shares_agree(geometry: BaseGeometry, window: PixelWindow, image: Floats, tolerance: float) -> None:
    snapped = (image == 0.0) | (image == 1.0)
    error = np.abs(image - ref.pixel_shares(geometry, window))
    assert np.all(error <= tolerance + snapped * DUST / ONE)


def gdal_center(geometry: BaseGeometry, window: PixelWindow) -> NDArray[np.bool_]:
    """GDAL's mask of pixel centres, with the corner of the window as the origin."""
    near = shapely.transform(geometry, lambda uv: uv - (window[2], window[0]))
    shape = window[1] - window[0], window[3] - window[2]
    # The transform must not be the identity, for which rasterio warns that nothing is georeferenced.
    half = shapely.transform(near, lambda uv: uv / 2)
    mask = rasterio.features.rasterize([half], shape, transform=Affine(0.5, 0, 0, 0, 0.5, 0), dtype="uint8")
    return np.asarray(mask, dtype=bool)


def coverages(geometries: Sequence[BaseGeometry], window: PixelWindow) -> Floats:
    """exactextract's covered fractions of a window's pixels for each geometry."""
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    rows, cols = window[1] - window[0], window[3] - window[2]
    # exactextract has north up, so rows are negated.
    source = NumPyRasterSource(np.zeros((rows, cols)), xmin=window[2], ymin=-window[1], xmax=window[3], ymax=-window[0])
    features = [
        {
            "type": "Feature",
            "properties": {},
            "geometry": shapely.geometry.mapping(shapely.transform(geometry, lambda uv: uv * (1, -1))),
        }
        for geometry in geometries
    ]
    images = np.zeros((len(geometries), rows * cols))
    for image, answer in zip(images, exact_extract(source, features, ["cell_id", "coverage"])):
        image[answer["properties"]["cell_id"]] = answer["properties"]["coverage"]
    return images.reshape(-1, rows, cols)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_random_polygons_agree_with_shapely_and_gdal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for i in range(60):
        window = random_window(rng)
        geometry = random_geometry(rng, window)
        center, _, exact = assert_masks_agree(geometry, window)
        ties = ref.pixel_mask_center(geometry, window)[1]
        assert np.array_equal(center[~ties], gdal_center(geometry, window)[~ties])
        if i % 4 == 0:
            assert_shares_agree(geometry, window, exact, max(1e-9, 1e-15 * geometry.length))


@pytest.mark.parametrize("seed", range(4))
def test_covered_fractions_agree_with_exactextract(seed: int) -> None:
    rng = np.random.default_rng(seed)
    window = (0, int(rng.integers(5, 40)), 0, int(rng.integers(5, 40)))
    geometries = [random_geometry(rng, window) for _ in range(150)]
    images = [shares(rings_of(geometry), EXACT, window) for geometry in geometries]
    np.testing.assert_allclose(images, coverages(geometries, window), rtol=0, atol=1e-6)


COORDINATE = st.integers(-12, 92).map(lambda n: n / 8) | st.floats(-1.5, 11.5)


@st.composite
def hulls_and_stars(draw: st.DrawFn) -> BaseGeometry:
    """Polygons with many vertices on edges and centres of pixels."""
    points = draw(st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=12, unique=True))
    if draw(st.booleans()):
        shape = shapely.convex_hull(shapely.MultiPoint(points))
    else:
        x, y = np.mean(points, axis=0)
        shape = shapely.Polygon(sorted(points, key=lambda p: math.atan2(p[1] - y, p[0] - x)))
    assume(shape.geom_type == "Polygon" and shape.is_valid and shape.area > 1e-9)
    return shape


@given(geometry=hulls_and_stars())
@settings(max_examples=150)
def test_polygons_on_edges_and_centres_of_pixels_agree_with_shapely(geometry: BaseGeometry) -> None:
    window = (0, 10, 0, 9)
    exact = assert_masks_agree(geometry, window)[2]
    assert_shares_agree(geometry, window, exact, 1e-12)
    whole = (-2, 13, -2, 13)
    assert shares(rings_of(geometry), EXACT, whole).sum() == pytest.approx(geometry.area, rel=1e-12, abs=1e-10)


@given(seed=st.integers(0, 10**6), data=st.data())
@settings(max_examples=100)
def test_every_tiling_gives_the_same_result(seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    window = random_window(rng)
    rings = rings_of(random_geometry(rng, window))
    period = data.draw(st.sampled_from([np.inf, float(window[3] - window[2]), 17.3]))
    row_cuts, col_cuts = (
        sorted({low, high, *data.draw(st.lists(st.integers(low, high), max_size=3))})
        for low, high in (window[:2], window[2:])
    )
    for mode in MODES:
        tiles = [
            [shares(rings, mode, (*rows, *cols), period) for cols in pairwise(col_cuts)] for rows in pairwise(row_cuts)
        ]
        assert np.array_equal(np.block(tiles), shares(rings, mode, window, period))


@given(
    seed=st.integers(0, 10**6),
    period=st.sampled_from([8.0, 11.0, 30.0, 10 / 3]),
    start=st.integers(-40, 40),
)
@settings(max_examples=100)
def test_all_periodic_copies_are_drawn(seed: int, period: float, start: int) -> None:
    rng = np.random.default_rng(seed)
    ring = star(rng, rng.uniform(0, 10, 2), period * rng.uniform(0.1, 0.49), int(rng.integers(3, 20)))
    window = (0, 10, start, start + int(rng.integers(1, 25)))
    copies = [ring + np.array([k * period, 0]) for k in range(-30, 31)]
    for mode in MODES:
        assert np.array_equal(shares([ring], mode, window, period), shares(copies, mode, window))


@pytest.mark.parametrize("offset", [0.0, 0.5, 1 / 3])
@pytest.mark.parametrize("step", [0.5, 0.1, 1 / 3, 0.7])
def test_a_cap_around_the_pole_has_no_seam(step: float, offset: float) -> None:
    period = 360 / step
    columns = math.floor(period)
    lon = np.linspace(-180, 180, 37)
    lat = 70 + 5 * np.sin(np.radians(lon + 20))
    lon, lat = np.append(lon, [180, -180]), np.append(lat, [90, 90])
    ring = np.column_stack([(lon - (-180 - offset * step)) / step, (90 - lat)])[::-1]
    window = (0, 12, 0, columns)
    for mode in MODES:
        image = shares([ring], mode, window, period)
        assert np.all(image == 1.0)
    assert shares([ring], EXACT, (-1, 40, 0, 720), period if step == 0.5 else np.inf).sum() == pytest.approx(
        shapely.Polygon(ring).area if step == 0.5 else shapely.clip_by_rect(shapely.Polygon(ring), 0, -1, 720, 40).area
    )


@given(points=st.lists(st.tuples(st.floats(-2, 12), st.floats(-2, 12)), min_size=6, max_size=20))
@settings(max_examples=100)
def test_a_shape_cut_in_two_gives_the_same_result(points: list[tuple[float, float]]) -> None:
    hull = shapely.convex_hull(shapely.MultiPoint(points))
    assume(hull.geom_type == "Polygon" and hull.area > 1e-3)
    (ring,) = rings_of(hull)
    assume(len(ring) >= 4)
    half = len(ring) // 2
    pieces = [ring[: half + 1], np.concatenate([ring[half:], ring[:1]])]
    for mode in MODES:
        assert np.array_equal(shares(pieces, mode, (0, 10, 0, 10)), shares([ring], mode, (0, 10, 0, 10)))


@pytest.mark.parametrize("mode", [CENTER, EXACT])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=60)
def test_fractions_of_adjacent_shapes_add_up_to_1(mode: int, seed: int) -> None:
    """The shapes are the triangles between a point and the corners of the window."""
    rng = np.random.default_rng(seed)
    corners = np.array([(0, 0), (10, 0), (10, 10), (0, 10)], dtype=float)
    point = np.round(rng.uniform(0, 10, 2) * 4) / 4 if seed % 2 else rng.uniform(0, 10, 2)
    total = sum(
        shares([np.array([point, corners[i - 1], corners[i]])], mode, (0, 10, 0, 10))
        for i in range(4)
        if shapely.Polygon([point, corners[i - 1], corners[i]]).area > 0
    )
    np.testing.assert_allclose(total, 1.0, rtol=0, atol=0 if mode == CENTER else 1e-15)


def far_away(scale: float) -> BaseGeometry:
    rng = np.random.default_rng(5)
    return shapely.Polygon(star(rng, np.array([99_990.0, 99_980.0]), scale, 64, 0.8))


@pytest.mark.parametrize("scale", [1e-3, 0.3, 8.0, 300.0])
def test_fractions_keep_their_digits_far_from_the_origin(scale: float) -> None:
    """Far out, coordinates are multiples of 2^-36, so the shape moved to the origin is the same to the bit."""
    rings = rings_of(far_away(scale))
    moved = [ring - (99_000, 99_000) for ring in rings]
    far = shares(rings, EXACT, (99_900, 100_100, 99_900, 100_100))
    near = shares(moved, EXACT, (900, 1100, 900, 1100))
    np.testing.assert_allclose(far, near, rtol=0, atol=1e-13)
    if scale < 100:
        area = sum(
            math.fsum((u0 * v1 - u1 * v0) / 2 for (u0, v0), (u1, v1) in zip(ring, np.roll(ring, -1, axis=0)))
            for ring in (ring - (990, 980) for ring in moved)
        )
        assert far.sum() == pytest.approx(area, rel=1e-9 if scale < 0.01 else 1e-12)


@pytest.mark.parametrize("start", [0, 5000])
def test_many_pieces_in_one_row(start: int) -> None:
    """The shape is a comb of 3000 teeth, drawn in either direction and from any vertex."""
    teeth = 3000
    u = 3 * np.append(np.repeat(np.arange(2 * teeth), 2), [2 * teeth, 0])
    v = np.append(np.tile([0.25, 0.75, 0.75, 0.25], teeth), [0.125, 0.125])
    comb = np.roll(np.column_stack([u, v]), start, axis=0)
    tooth = np.repeat([0.625, 0.125], 3)
    for ring in (comb, comb[::-1]):
        image = shares([ring], EXACT, (0, 1, 0, 6 * teeth))[0]
        assert np.array_equal(image[:-6], np.tile(tooth, teeth)[:-6])
        assert np.array_equal(shares([ring], CENTER, (0, 1, 0, 6 * teeth))[0], np.tile(tooth > 0.5, teeth))


def test_sums_over_many_shapes() -> None:
    rng = np.random.default_rng(1)
    window = (-60, 160, -60, 160)
    shapes = [[star(rng, rng.uniform(0, 100, 2), 10.0 ** rng.uniform(-2, 1.6), 32)] for _ in range(200)]
    polygons = outlines(shapes)
    pieces, most = polygons_bound(polygons, window)
    out = np.empty(200)
    buffers = polygon_scratch(window, pieces), np.empty((3, most), np.int64), np.empty(most)
    polygon_sums(polygons, EXACT, window, *buffers, out)
    np.testing.assert_allclose(out, [shapely.Polygon(rings[0]).area for rings in shapes], rtol=1e-10)


@pytest.mark.nojit
def test_fractions_of_simple_shapes_by_hand() -> None:
    window = (0, 4, 0, 5)
    box = np.array([(0.75, 0.5), (3.25, 0.5), (3.25, 2.0), (0.75, 2.0)])
    np.testing.assert_array_equal(
        shares([box], EXACT, window),
        [[0.125, 0.5, 0.5, 0.125, 0], [0.25, 1, 1, 0.25, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
    )
    assert shares([box], TOUCHED, window).tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [0] * 5, [0] * 5]
    assert shares([box], CENTER, window)[1].tolist() == [0, 1, 1, 0, 0]
    triangle = np.array([(0.0, 0.0), (4.0, 0.0), (0.0, 4.0)])
    hole = np.array([(0.0, 0.0), (0.0, 2.0), (2.0, 0.0)])
    expected = [[0, 0.5, 1, 0.5, 0], [0.5, 1, 0.5, 0, 0], [1, 0.5, 0, 0, 0], [0.5, 0, 0, 0, 0]]
    expected[0][1] = 0.5
    np.testing.assert_array_equal(shares([triangle, hole], EXACT, window), expected)
    assert np.array_equal(shares([triangle, hole], TOUCHED, window), np.array(expected) > 0)
    assert np.array_equal(shares([box], EXACT, (0, 4, 5, 10), 5.0), shares([box], EXACT, window))


@pytest.mark.nojit
def test_slivers_and_tiny_shapes_are_not_missed() -> None:
    sliver = np.array([(0.1, 0.2), (4.9, 3.7), (4.9, 3.7 + 1e-7)])
    window = (0, 4, 0, 5)
    crossed = ref.pixel_mask_touched(shapely.LineString([(0.1, 0.2), (4.9, 3.7)]), window)[0]
    assert np.array_equal(shares([sliver], TOUCHED, window), crossed)
    assert shares([sliver], EXACT, window).sum() == pytest.approx(2.4e-7, rel=1e-4)
    speck = np.array([(2.3, 1.3), (2.3 + 1e-5, 1.3), (2.3, 1.3 + 1e-5)])
    assert np.argwhere(shares([speck], TOUCHED, window)).tolist() == [[1, 2]]
    assert shares([speck], EXACT, window)[1, 2] == pytest.approx(5e-11, rel=1e-4)


@pytest.mark.nojit
def test_an_edge_that_rounds_to_a_pixel_edge() -> None:
    ring = np.array([(-1e-20, 0.0), (3.0, 0.0), (3.0, 2.0), (1e-20, 2.0)])
    for window in ((0, 2, -1, 4), (0, 2, 0, 4)):
        image = shares([ring], EXACT, window)
        assert image[:, -4:].tolist() == [[1, 1, 1, 0], [1, 1, 1, 0]]
        assert image.sum() == 6


@pytest.mark.nojit
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("window", [(0, 0, 0, 5), (0, 4, 3, 3), (5, 9, 0, 5), (-9, -5, 0, 5), (0, 4, 9, 12)])
def test_a_shape_outside_the_window_has_no_runs(mode: int, window: PixelWindow) -> None:
    assert not shares([np.array([(0.5, 0.5), (4.5, 0.5), (3.5, 3.5)])], mode, window).any()


# True areas


Surface = tuple[tuple[float, ...], float, float]
"""Coefficients of 1, x, y, x², xy, y² and y³ around a point (x, y)."""


def integral(geometry: BaseGeometry, surface: Surface) -> float:
    """Integral of the surface over a geometry, along its edges; three Gauss points per edge make it exact."""
    (one, by_x, by_y, xx, xy, yy, yyy), u0, v0 = surface
    total = []
    for part in shapely.get_parts(geometry):
        if part.geom_type != "Polygon":
            continue
        for ring in rings_of(part):
            start, end = ring - (u0, v0), np.roll(ring, -1, axis=0) - (u0, v0)
            for at, weight in zip(*np.polynomial.legendre.leggauss(3)):
                x, y = (start + (end - start) * (at + 1) / 2).T
                inner = one * x + by_x * x**2 / 2 + by_y * x * y + xx * x**3 / 3 + xy * x**2 * y / 2 + yy * x * y**2
                inner += yyy * x * y**3
                total += (weight / 2 * inner * (end - start)[:, 1]).tolist()
    return math.fsum(total)


def true_areas(window: PixelWindow, surface: Surface) -> Floats:
    """Integral over every pixel of a window."""
    rows, cols = range(window[0], window[1]), range(window[2], window[3])
    return np.array([[integral(shapely.box(c, r, c + 1, r + 1), surface) for c in cols] for r in rows])


def random_surface(rng: np.random.Generator, window: PixelWindow, rows_alone: bool) -> Surface:
    size = max(window[1] - window[0], window[3] - window[2]) + 2
    scale = 0.2 / size ** np.array([0, 1, 1, 2, 2, 2, 3.0])
    numbers = scale * np.array([5, *rng.uniform(-1, 1, 6)])
    numbers[[1, 3, 4] if rows_alone else 6] = 0
    middle = (window[2] + window[3]) / 2, (window[0] + window[1]) / 2
    return tuple(numbers.tolist()), *middle


@pytest.mark.parametrize("rows_alone", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_fractions_of_true_areas_are_integrals(seed: int, rows_alone: bool) -> None:
    """Fractions are exact where the area per pixel is a paraboloid, or a cubic polynomial of the row."""
    rng = np.random.default_rng(seed)
    row, col, rows, cols = (int(n) for n in (*rng.integers(-50, 50, 2), *rng.integers(1, 12, 2)))
    window = (row, row + rows, col, col + cols)
    geometry, surface = random_geometry(rng, window), random_surface(rng, window, rows_alone)
    around = true_areas((window[0] - 2, window[1] + 2, window[2] - 2, window[3] + 2), surface)
    areas = around[2:-2, 2:-2]
    given_ = (around[:, :1].copy(), areas[:, :1].copy()) if rows_alone else (around, areas.copy())
    found = shares(rings_of(geometry), EXACT, window, surface=given_) * areas
    plane = shares(rings_of(geometry), EXACT, window)
    assert ((found > 0) == (plane > 0)).all()
    wanted = np.zeros(found.shape)
    for r, c in np.argwhere(plane > 0):
        box = shapely.box(window[2] + c, window[0] + r, window[2] + c + 1, window[0] + r + 1)
        wanted[r, c] = integral(shapely.intersection(geometry, box), surface)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-10)
    if (plane < 1)[plane > 0].any() and geometry.area > 1e-3:
        assert np.abs(plane * areas - wanted).max() > np.abs(found - wanted).max()


def test_fractions_are_those_of_the_plane_where_areas_are_unknown() -> None:
    """NaN in the areas stands for pixels off the map, next to which the plane's fractions are used."""
    window = (0, 3, 0, 4)
    around = np.ones((7, 8))
    around[:, 4:] = 2.0
    around[3, 3] = np.nan
    ring = np.array([[0.2, 0.3], [3.7, 0.1], [2.9, 2.6], [0.4, 2.2]])
    plane = shares([ring], EXACT, window)
    found = shares([ring], EXACT, window, surface=(around, np.ones((3, 4))))
    beside = np.zeros((3, 4), bool)
    beside[1, [0, 1, 2]] = beside[[0, 2], 1] = True  # the pixel of unknown area and its neighbours
    assert (found[beside] == plane[beside]).all()
    assert found[0, 3] == pytest.approx(2 * plane[0, 3])  # the areas are constant around this pixel
