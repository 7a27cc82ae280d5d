"""Slow, obvious answers for covered fractions, true areas and weighted statistics; nothing here imports the package.

Units and grids are those of `tests.reference`: longitudes, latitudes and radii are in degrees, and a grid is an affine
without rotation and a shape (rows, columns). Sums and moments are computed exactly, as fractions of integers, and
rounded once.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import shapely
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

from tests import reference as ref
from tests.reference import Floats, Shape

STATISTICS = (
    *ref.RASTERSTATS, "percentile_0", "percentile_33.3", "percentile_90", "percentile_100",
    "quantile_0.25", "quantile_0.9", "var", "variety", "coverage", "skew", "kurtosis", "cv",
)  # fmt: skip


class Measure(NamedTuple):
    """A weight of latitudes, and so of areas on the map or on the sphere."""

    density: Callable[[Floats], Floats]
    between: Callable[[float, float], float]
    """Integral of the density from one latitude to another, in radians."""


FLAT = Measure(np.ones_like, lambda south, north: north - south)
SPHERE = Measure(np.cos, lambda south, north: 2 * math.cos((north + south) / 2) * math.sin((north - south) / 2))


# Fractions and true areas of pixels


def polygon_coverage(transform: Affine, shape: Shape, geometry: BaseGeometry, *, turns: bool = True) -> Floats:
    """Fraction of each pixel's area inside the geometry, in the grid's own coordinates.

    With turns, the geometry stands for all its copies 360 apart in x.
    """
    whole, pieces = _pieces(transform, shape, geometry, turns)
    fraction, size = whole.astype(float), abs(transform.a * transform.e)
    for index, _, piece in pieces:
        fraction[index] = piece.area / size
    return np.clip(fraction, 0, 1)


def polygon_areas(transform: Affine, shape: Shape, geometry: BaseGeometry, radius_m: float) -> Floats:
    """Area on a sphere, m², of each pixel's part inside a geometry with straight edges in longitude and latitude.

    The geometry stands for all its copies 360 apart in longitude, and must not reach beyond the poles.
    """
    whole, pieces = _pieces(transform, shape, geometry, turns=True)
    areas = np.where(whole, true_areas(transform, shape, radius_m), 0.0)
    for index, south, piece in pieces:
        areas[index] = radius_m**2 * _area_above(south, piece)
    return areas


def _pieces(
    transform: Affine, shape: Shape, geometry: BaseGeometry, turns: bool
) -> tuple[ref.Mask, Iterator[tuple[tuple[int, ...], float, BaseGeometry]]]:
    """Pixels wholly inside, and for each pixel cut by an edge its index, its southern edge's y, and the part inside.

    Coordinates of a part are relative to a southern corner of its pixel, so that small pieces far from the origin keep
    all their digits.
    """
    everywhere = ref._repeat(transform, shape, geometry) if turns else geometry
    shapely.prepare(everywhere)
    squares = shapely.box(*ref.pixel_edges(transform, shape))
    whole = shapely.contains_properly(everywhere, squares)
    edge = shapely.intersects(everywhere, squares) & ~whole
    corners = shapely.get_coordinates(shapely.get_point(shapely.get_exterior_ring(squares[edge]), 0))

    def cut() -> Iterator[tuple[tuple[int, ...], float, BaseGeometry]]:
        for index, xy in zip(map(tuple, np.argwhere(edge).tolist()), corners):
            piece = shapely.intersection(everywhere, squares[index])
            yield index, float(xy[1]), shapely.transform(piece, lambda points, xy=xy: points - xy)

    return whole, cut()


def _area_above(south: float, piece: BaseGeometry) -> float:
    """Area on the unit sphere of a piece whose y is relative to a latitude: the sum of ∮ sin(lat) dlon.

    The sine of that latitude is subtracted, which changes nothing around a ring but keeps the digits of small pieces.
    The mean sine along an edge is exact to rounding by Gauss-Legendre quadrature.
    """

    def around(ring: BaseGeometry) -> float:
        x, y = np.radians(shapely.get_coordinates(ring)).T
        along = y[:-1, None] + np.diff(y)[:, None] * (_NODES + 1) / 2
        sines = 2 * np.cos(math.radians(south) + along / 2) * np.sin(along / 2)
        return abs(math.fsum(np.diff(x) * (sines @ _WEIGHTS) / 2))

    polygons = [part for part in shapely.get_parts(piece) if part.geom_type == "Polygon"]
    return math.fsum(around(part.exterior) - math.fsum(map(around, part.interiors)) for part in polygons)


def circle_coverage(
    transform: Affine, shape: Shape, lon: float, lat: float, inner_deg: float, outer_deg: float
) -> Floats:
    """Fraction of each pixel's area on the map of longitude and latitude that lies in an annulus."""
    _, south, _, north = ref.pixel_edges(transform, shape)
    on_body = (np.clip(north, -90, 90) - np.clip(south, -90, 90)) / (north - south)
    return on_body * _annulus_share(transform, shape, lon, lat, inner_deg, outer_deg, FLAT)


def circle_areas(
    transform: Affine, shape: Shape, lon: float, lat: float, inner_deg: float, outer_deg: float, radius_m: float
) -> Floats:
    """Area on a sphere, m², of each pixel's part in an annulus."""
    share = _annulus_share(transform, shape, lon, lat, inner_deg, outer_deg, SPHERE)
    return share * true_areas(transform, shape, radius_m)


def _annulus_share(
    transform: Affine, shape: Shape, lon: float, lat: float, inner_deg: float, outer_deg: float, measure: Measure
) -> Floats:
    """Fraction of each pixel inside an annulus, relative to the part of the pixel between the poles."""
    outer = _disc_share(transform, shape, lon, lat, outer_deg, measure)
    return outer - _disc_share(transform, shape, lon, lat, inner_deg, measure) if inner_deg > 0 else outer


def _disc_share(transform: Affine, shape: Shape, lon: float, lat: float, radius_deg: float, measure: Measure) -> Floats:
    """Fraction of each pixel inside a circle; for pixels cut by it, the length of parallels inside is integrated."""
    west, south, east, north = ref.pixel_edges(transform, shape)
    nearest, farthest = ref.pixel_distance_range(transform, shape, lon, lat)
    south, north = np.clip(south, -90, 90), np.clip(north, -90, 90)
    share = np.where(farthest <= radius_deg, 1.0, 0.0)
    for index in map(tuple, np.argwhere((nearest < radius_deg) & (farthest > radius_deg) & (north > south)).tolist()):
        west_of, east_of = (math.radians(edge[index] - lon) for edge in (west, east))
        below, above = math.radians(south[index]), math.radians(north[index])
        inside = _inside(math.radians(lat), math.radians(radius_deg), west_of, east_of, below, above, measure)
        share[index] = inside / ((east_of - west_of) * measure.between(below, above))
    return share


def _inside(phi: float, radius: float, west: float, east: float, south: float, north: float, measure: Measure) -> float:
    """Measure of the part of a box within a small circle around (0, phi): longitude times latitude's measure, radians.

    The range of latitudes is split where the circle crosses the box's meridians, where it is due north, south or
    opposite, and where its tangent is a meridian. The integrand's only singularities, square roots, then lie at the
    ends.
    """
    ends = [phi - radius, phi + radius, math.pi - phi - radius, -math.pi - phi + radius]
    if abs(math.sin(phi)) < math.cos(radius):
        ends.append(math.asin(math.sin(phi) / math.cos(radius)))
    for meridian in (west, east):
        a, b = math.sin(phi), math.cos(phi) * math.cos(meridian)
        size = math.hypot(a, b)
        if size >= abs(math.cos(radius)):
            turn = math.acos(math.cos(radius) / size)
            ends += [
                math.atan2(a, b) + side * turn + whole for side in (-1, 1) for whole in (0, 2 * math.pi, -2 * math.pi)
            ]
    cuts = sorted({south, north, *(end for end in ends if south < end < north)})
    tolerance = 1e-13 * (east - west) * measure.between(south, north)
    return math.fsum(
        _integral(phi, radius, west, east, low, high, tolerance, measure=measure) for low, high in pairwise(cuts)
    )


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def _integral(
    phi: float, radius: float, west: float, east: float, low: float, high: float, tolerance: float, depth: int = 9,
    measure: Measure = FLAT,
) -> float:  # fmt: skip
    """Gauss-Legendre quadrature with latitude = middle - half * cos(angle), which smooths square roots at the ends.

    Intervals are halved until the tolerance is met.
    """

    def rule(a: float, b: float) -> float:
        angle = (_NODES + 1) * (math.pi / 2)
        # Measure latitude from the nearer end, so that a root at an end sees its distance from it with all digits.
        latitude = a + (b - a) * np.sin(angle / 2) ** 2
        lengths = _parallel_inside(phi, radius, west, east, latitude) * measure.density(latitude)
        return float(np.sum(_WEIGHTS * lengths * np.sin(angle))) * (b - a) * math.pi / 4

    middle = (low + high) / 2
    whole, halves = rule(low, high), rule(low, middle) + rule(middle, high)
    if abs(whole - halves) <= tolerance or depth == 0 or not low < middle < high:
        return halves
    return _integral(phi, radius, west, east, low, middle, tolerance / 2, depth - 1, measure) + _integral(
        phi, radius, west, east, middle, high, tolerance / 2, depth - 1, measure
    )


def _parallel_inside(phi: float, radius: float, west: float, east: float, latitude: Floats) -> Floats:
    """Length, in radians of longitude, of a parallel between two meridians that lies within the circle."""
    away = latitude - phi
    near = np.sin((radius - away) / 2) * np.sin((radius + away) / 2)
    far = np.cos((latitude + phi + radius) / 2) * np.cos((latitude + phi - radius) / 2)
    half = 2 * np.arctan2(np.sqrt(np.maximum(near, 0)), np.sqrt(np.maximum(far, 0)))
    first, last = math.floor((west - math.pi) / (2 * math.pi)), math.ceil((east + math.pi) / (2 * math.pi))
    copies = [2 * math.pi * turn for turn in range(first, last + 1)]
    return np.sum(
        [np.clip(np.minimum(east, at + half) - np.maximum(west, at - half), 0, None) for at in copies], axis=0
    )


def true_areas(transform: Affine, shape: Shape, radius_m: float) -> Floats:
    """Area of each pixel on a sphere, m²: R² Δλ (sin φ₁ - sin φ₂)."""
    return radius_m**2 * ref.pixel_areas(transform, shape)


# Statistics


def statistics(
    values: ArrayLike,
    coverage: ArrayLike,
    weights: ArrayLike | None = None,
    nodata: float | None = None,
    stats: Iterable[str] = STATISTICS,
    *,
    fractions: bool = False,
    areas: ArrayLike | None = None,
) -> dict[str, float | int]:
    """Statistics of one region.

    Parameters
    ----------
    values : array_like
        All pixels of the grid, or those of the region.
    coverage : array_like, same shape
        Fraction of each pixel inside the region; pixels of fraction 0 are not part of it.
    weights : array_like, same shape, optional
        Weight of each pixel. Pixels of weight 0 are counted, but take no part in any other statistic.
    nodata : number, optional
        Value of missing pixels; NaN is always missing.
    stats : iterable of str
        Names of the statistics.
    fractions : bool
        Whether coverage is in fractions, in which case counts are floats and quantiles are weighted.
    areas : array_like, same shape, optional
        Area of each pixel's part inside the region, for ``area``.

    Returns
    -------
    dict
        Statistics by name. Without a valid pixel, only count, area, nodata and nan are numbers; all else is NaN.
    """
    everything, c = np.asarray(values).ravel(), np.asarray(coverage, dtype=float).ravel()
    region = c > 0
    pixels, c = everything[region], c[region]
    is_nan = np.isnan(pixels) if pixels.dtype.kind == "f" else np.zeros(pixels.shape, dtype=bool)
    is_nodata = np.zeros(pixels.shape, dtype=bool) if nodata is None else pixels == nodata
    valid = ~is_nan & ~is_nodata
    number = float if fractions else int
    answers: dict[str, float | int] = {
        "count": number(math.fsum(c[valid])),
        "nodata": number(math.fsum(c[is_nodata])),
        "nan": number(math.fsum(c[is_nan & ~is_nodata])),
        "coverage": math.fsum(c[valid]) / math.fsum(c) if valid.any() else math.nan,
    }
    if areas is not None:
        answers["area"] = math.fsum(np.asarray(areas, dtype=float).ravel()[region][valid])
    none = not valid.any()
    used = table(values, coverage, weights, nodata, fractions=fractions)
    return {stat: answers[stat] if stat in answers else math.nan if none else used.statistic(stat) for stat in stats}


def table(
    values: ArrayLike,
    coverage: ArrayLike,
    weights: ArrayLike | None = None,
    nodata: float | None = None,
    *,
    fractions: bool = False,
) -> Table:
    """The valid pixels inside with a weight above 0; for the arguments, see `statistics`."""
    pixels, c = np.asarray(values).ravel(), np.asarray(coverage, dtype=float).ravel()
    w = np.ones(c.size) if weights is None else np.asarray(weights, dtype=float).ravel()
    used = (c > 0) & (w > 0) & (pixels == pixels)
    if nodata is not None:
        used &= pixels != nodata
    return Table(pixels[used], c[used], w[used], ranked=weights is None and not fractions)


def categories(
    values: ArrayLike, coverage: ArrayLike, weights: ArrayLike | None = None, nodata: float | None = None
) -> dict[float | int, float]:
    """Weight of each value: the sum of coverage times weight."""
    used = table(values, coverage, weights, nodata)
    return {value: float(weight) for value, weight in used.weight_of.items()}


class Table:
    """Valid pixels, each with an exact weight."""

    def __init__(self, pixels: NDArray[Any], coverage: Floats, weights: Floats, *, ranked: bool = False) -> None:
        self.pixels = pixels
        self.numbers = pixels.tolist()
        self.weights = [Fraction(c) * Fraction(w) for c, w in zip(coverage.tolist(), weights.tolist())]
        self.ranked = ranked
        weight_of: defaultdict[float | int, Fraction] = defaultdict(Fraction)
        for number, weight in zip(self.numbers, self.weights):
            weight_of[number] += weight
        self.weight_of = dict(sorted(weight_of.items()))
        self.total = sum(self.weights, Fraction(0))

    def statistic(self, stat: str) -> float:
        if stat == "sum" and not self.numbers:
            return 0.0
        if not self.numbers:
            return math.nan
        if stat in ("min", "max", "range"):
            low, high = float(min(self.numbers)), float(max(self.numbers))
            return {"min": low, "max": high, "range": high - low if low != high or math.isfinite(low) else math.nan}[
                stat
            ]
        if stat in ("unique", "variety"):
            return len(self.weight_of)
        if stat in ("majority", "minority"):
            most = max if stat == "majority" else min
            # the first one is the smallest of equals
            return float(most(self.weight_of, key=self.weight_of.__getitem__))
        if stat.startswith("frac_"):
            return float(self.weight_of.get(float(stat.removeprefix("frac_")), Fraction(0)) / self.total)
        if stat == "median":
            return self.quantile(Fraction(1, 2))
        if stat.startswith("percentile_"):
            return self.quantile(Fraction(stat.removeprefix("percentile_")) / 100)
        if stat.startswith("quantile_"):
            return self.quantile(Fraction(stat.removeprefix("quantile_")))
        return self.moment(stat)

    def quantile(self, q: Fraction, shift: Fraction = Fraction(0)) -> float:
        """By numpy's linear rule or, with weights, Akinshin's of type 7 (2023, arXiv:2304.07265, section 3).

        With W the sum of the weights, the effective number of pixels is ``n = W ** 2 / sum(w ** 2)`` (Kish). Type 7 is
        at ``h = q (n - 1) + 1``, and its distribution function grows from 0 at ``(h - 1) / n`` to 1 at ``h / n``. With
        pixels sorted by value, each takes part by the growth of this function over its share of the weights. A shift of
        the shares, as far as there is room for it, shows what rounding of the weights may do.
        """
        if self.ranked:
            ordered = sorted(self.numbers)
            at = q * (len(ordered) - 1)
            low = math.floor(at)
            return _between(ordered[low], ordered[min(low + 1, len(ordered) - 1)], at - low)
        n = self.total**2 / sum((weight**2 for weight in self.weights), Fraction(0))
        h = min(max(q * (n - 1) + shift * n, Fraction(0)), n - 1) + 1
        parts: defaultdict[float | int, Fraction] = defaultdict(Fraction)
        share = before = Fraction(0)
        for number, weight in sorted(zip(self.numbers, self.weights)):
            share += weight / self.total
            after = min(max(share * n - (h - 1), Fraction(0)), Fraction(1))
            parts[number] += after - before
            before = after
        return _mean({number: part for number, part in parts.items() if part})

    def moment(self, stat: str) -> float:
        if not all(map(math.isfinite, self.numbers)):
            if stat not in ("sum", "mean"):
                return math.nan
            ends = {number for number in self.numbers if math.isinf(number)}
            return ends.pop() if len(ends) == 1 else math.nan
        power = [self._power_sum(k) for k in range(3)]
        if stat == "sum":
            return float(power[1])
        mean = power[1] / self.total
        if stat == "mean":
            return float(mean)
        var = power[2] / self.total - mean**2
        if stat == "var":
            return float(var)
        if stat == "std":
            return ref._square_root(var)
        if stat == "cv":
            return ref._square_root(var) / float(mean) if mean else math.nan if var == 0 else math.inf
        if var == 0:
            return math.nan
        m3 = self._power_sum(3) / self.total - 3 * mean * power[2] / self.total + 2 * mean**3
        if stat == "skew":
            return math.copysign(ref._square_root(m3**2 / var**3), m3)
        if stat == "kurtosis":
            m4 = (
                self._power_sum(4) - 4 * mean * self._power_sum(3) + 6 * mean**2 * power[2]
            ) / self.total - 3 * mean**4
            return float(m4 / var**2 - 3)
        raise ValueError(
            f"received the statistic {stat!r}; expected one of {STATISTICS}, percentile_<q> or frac_<value>"
        )

    def _power_sum(self, k: int) -> Fraction:
        return sum((Fraction(value) ** k * weight for value, weight in self.weight_of.items()), Fraction(0))


def _between(low: float, high: float, part: Fraction) -> float:
    """The value at a fraction of the way from low to high; an infinity at fraction 0 or 1 is not used."""
    if part == 0 or low == high:
        return float(low)
    if math.isinf(low) or math.isinf(high):
        return float(high) if part == 1 else low + high
    return float(Fraction(low) + part * (Fraction(high) - Fraction(low)))


def _mean(parts: dict[float | int, Fraction]) -> float:
    """Mean of values weighted by parts that add up to 1; infinities are treated as in numpy, from the largest part."""
    if all(map(math.isfinite, parts)):
        return float(sum((Fraction(value) * part for value, part in parts.items()), Fraction(0)))
    base = max(parts, key=lambda value: (parts[value], value))
    return sum((float(part) * (value - base) for value, part in parts.items() if value != base), float(base))
