"""Outlines of regions, on grids that have no closed form and for areas: rings of vertices in pixel coordinates.

A `Frame` knows how one raster lies on its body. It traces the boundary of every region on the ellipsoid, projects
it point by point, and chooses so many points that the polygon keeps to the true boundary within a hundredth of a
pixel. Three kinds of projection need three ways to stay clear of the places where the map is torn:

- ``"cylindrical"``: columns are linear in longitude. Rings run on in longitude and are closed over the poles.
- ``"normal"``: torn along the meridian opposite to the central one (sinusoidal, Mollweide, conic, ...). Regions
  that cross it are cut there in the plane of longitude and latitude.
- ``"azimuthal"``: one-to-one within a cap around a centre. Regions that leave the cap are clipped to it in the
  plane whose polar coordinates are distance from that centre and azimuth.
"""

from __future__ import annotations

import itertools
import math
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj.exceptions import ProjError

from xcrater.errors import GridError
from xcrater.geometry.caps import Caps
from xcrater.geometry.polygon_table import PolygonTable, gather
from xcrater.geometry.sphere import (
    geodesic_direct,
    geodetic_latitude,
    great_circle_direct,
    great_circle_distance,
    half_width,
    planetocentric_latitude,
    polar_coordinates,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Image = Callable[[Floats, Floats], tuple[Floats, Floats]]
Rings = tuple[Ints, Ints, Floats, Floats]
"""Shape of each ring, number of its vertices, and all their coordinates."""

SAGITTA = 0.01
"""How far, in pixels, a boundary may lie from the edges that stand for it."""

_FINE = 1e-4  # the same for regions that are cut, which may be long and thin
_FLAT = 0.02  # of these; edges that bulge more get a vertex between them that keeps the area
_HAIR = 1e-9  # degrees; rings stay that far within the rim of the domain
_TIP = 2.0**-32  # pixels; edges along a pole are drawn that far beyond it
_LATTICE = 2.0**-43  # degrees; a turn more or less is exact on it
_FEWEST, _MOST = 32, 2**18
_RIM = 2**14
_BATCH = 2**20
_AZIMUTHAL = frozenset({"stere", "sterea", "ups", "laea", "aeqd", "ortho", "gnom", "airy", "nsper"})
_LOCAL = frozenset({"tmerc", "etmerc", "utm", "omerc", "cass", "tcc", "tcea", "somerc", "gstmerc", "ob_tran", "geos"})
_TORN = frozenset({"goode", "igh", "igh_o", "imoll", "imoll_o", "healpix", "rhealpix", "qsc", "s2", "isea", "peirce_q"})


@dataclass(frozen=True, eq=False)
class Outlines:
    """Rings of vertices in pixel coordinates, one shape per crater.

    Parameters
    ----------
    u, v : ndarray, shape (n,)
        Vertices along columns and rows; pixel (r, c) covers [c, c + 1) x [r, r + 1). Rings are not closed: the
        first vertex is not repeated.
    ring : ndarray of int64, shape (rings + 1,)
        Where each ring's vertices begin.
    shape : ndarray of int64, shape (shapes + 1,)
        Where each shape's rings begin.
    period : float
        Columns per turn of longitude; infinite where columns do not repeat.

    Notes
    -----
    ``sum(u[i] * v[i + 1] - u[i + 1] * v[i]) / 2`` over the rings is the area: shells are positive, holes negative.
    A point is inside where the winding number is not 0. With a finite period a shape stands for all of its copies.
    """

    u: Floats
    v: Floats
    ring: Ints
    shape: Ints
    period: float

    def __len__(self) -> int:
        return self.shape.size - 1

    def bounds(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Least and greatest u and v of every shape, each of shape (shapes,); NaN where it has no ring."""
        starts = self.ring[self.shape]
        filled = starts[1:] > starts[:-1]
        found = []
        for at, reduce_at in ((self.u, np.minimum), (self.u, np.maximum), (self.v, np.minimum), (self.v, np.maximum)):
            out = np.full(len(self), np.nan)
            if filled.any():
                out[filled] = reduce_at.reduceat(at, starts[:-1][filled])
            found.append(out)
        return found[0], found[1], found[2], found[3]


@dataclass(frozen=True)
class Frame:
    """How a raster of any projection lies on a body.

    Plain values only, so that frames can be hashed, pickled and compared. Make one with `make_frame`.

    Parameters
    ----------
    crs : str
        The raster's CRS as WKT; empty where columns are linear in longitude and rows in latitude.
    transform : tuple of float
        Outer edge of the first column, step per column, outer edge of the first row and step per row, in units
        of the CRS; degrees of east longitude and of latitude where `crs` is empty.
    shape : tuple of int
        Rows and columns.
    axes : tuple of float
        Semi-major and semi-minor axis of the raster's ellipsoid, metres.
    radius : float
        Body radius in metres by which the angular radii of craters become metres.
    kind : str
        ``"cylindrical"``, ``"normal"`` or ``"azimuthal"``.
    centre : tuple of float
        East longitude and geodetic latitude of the projection's centre, degrees.
    limits : tuple of float
        Southernmost and northernmost geodetic latitude of the domain, degrees; for the azimuthal kind 0 and the
        greatest distance from the centre.
    columns : tuple of float
        Of the cylindrical kind: column coordinate of the central meridian, and columns per degree of longitude.
    hand : float
        1 where counter-clockwise on the body has a positive area in pixel coordinates, else -1.
    ocentric : bool
        Whether rows are linear in planetocentric latitude (where `crs` is empty).
    """

    crs: str
    transform: tuple[float, float, float, float]
    shape: tuple[int, int]
    axes: tuple[float, float]
    radius: float
    kind: str
    centre: tuple[float, float] = (0.0, 0.0)
    limits: tuple[float, float] = (-90.0, 90.0)
    columns: tuple[float, float] = (0.0, 0.0)
    hand: float = 1.0
    ocentric: bool = False

    @property
    def period(self) -> float:
        """Columns per turn of longitude; infinite where columns do not repeat."""
        return 360.0 * abs(self.columns[1]) if self.kind == "cylindrical" else np.inf

    @property
    def sphere(self) -> bool:
        """Whether the raster's ellipsoid is a sphere."""
        return self.axes[0] == self.axes[1]

    @property
    def per_radian(self) -> float:
        """Pixels per radian of great circle at true scale."""
        steps = min(abs(self.transform[1]), abs(self.transform[3]))
        return float(np.degrees(1.0) / steps) if not self.crs else self.axes[0] / (steps * _unit(self.crs))

    def geodetic(self, lat: Floats) -> Floats:
        """Geodetic latitude of a planetocentric one, degrees (Snyder 1987, eq. 3-28)."""
        return geodetic_latitude(lat, self.axes)

    def planetocentric(self, lat: Floats) -> Floats:
        """Planetocentric latitude of a geodetic one, degrees (Snyder 1987, eq. 3-28)."""
        return planetocentric_latitude(lat, self.axes)

    def pixels(self, lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
        """Pixel coordinates of points.

        Parameters
        ----------
        lon, lat : array_like, shape (n,)
            East longitude and planetocentric latitude, degrees.

        Returns
        -------
        u, v : ndarray, shape (n,)
            Along columns and rows; not finite outside of the projection's domain.
        """
        return self._pixels(np.asarray(lon, dtype=float), self.geodetic(np.asarray(lat, dtype=float)))

    def lonlat(self, u: ArrayLike, v: ArrayLike) -> tuple[Floats, Floats]:
        """East longitude and planetocentric latitude of pixel coordinates, degrees.

        Parameters
        ----------
        u, v : array_like, shape (n,)
            Along columns and rows.

        Returns
        -------
        lon, lat : ndarray, shape (n,)
            NaN where the projection shows no point of the body.
        """
        u, v = np.broadcast_arrays(np.asarray(u, dtype=float), np.asarray(v, dtype=float))
        x_origin, x_step, y_origin, y_step = self.transform
        if not self.crs:
            lat = y_origin + y_step * v
            lat = np.where(np.abs(lat) <= 90.0, lat, np.nan)
            return x_origin + x_step * u, lat if self.ocentric else self.planetocentric(lat)
        forward, swapped = _transformer(self.crs, self.axes, threading.get_ident())
        x, y = x_origin + x_step * u, y_origin + y_step * v
        lon, lat = forward.transform(*((y, x) if swapped else (x, y)), direction="INVERSE", errcheck=False)
        lon, lat = np.where(np.isfinite(lon), lon, np.nan), np.where(np.isfinite(lat), lat, np.nan)
        # Beyond the rim PROJ may answer with a point of the other side: only those that come back are on the map.
        at_u, at_v = self._pixels(lon, lat)
        with np.errstate(invalid="ignore"):
            away = np.abs(at_u - u)
            if self.kind == "cylindrical":
                away = np.minimum(np.mod(away, self.period), self.period - np.mod(away, self.period))
            here = (away < 1e-3) & (np.abs(at_v - v) < 1e-3)
        return np.where(here, lon, np.nan), np.where(here, self.planetocentric(lat), np.nan)

    def _pixels(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Pixel coordinates of east longitude and geodetic latitude; longitudes may run on where columns do."""
        x_origin, x_step, y_origin, y_step = self.transform
        flat = self.kind == "cylindrical"
        u: Floats = self.columns[0] + self.columns[1] * (lon - self.centre[0]) if flat else lon
        if not self.crs:
            return u, ((self.planetocentric(lat) if self.ocentric else lat) - y_origin) / y_step
        forward, swapped = _transformer(self.crs, self.axes, threading.get_ident())
        at = np.full_like(lat, self.centre[0]) if flat else lon
        first, second = forward.transform(at, lat, errcheck=False)
        x, y = (np.asarray(a) for a in ((second, first) if swapped else (first, second)))
        u = u if flat else np.where(np.isfinite(x), (x - x_origin) / x_step, np.nan)
        return u, np.where(np.isfinite(y), (y - y_origin) / y_step, np.nan)

    def shown(self, first: int, stop: int) -> Floats:
        """Part of the height of rows [first, stop) that is on the body, where latitude depends on rows alone."""
        if self.kind != "cylindrical":
            return np.ones(stop - first)
        _, poles = self._pixels(np.full(2, self.centre[0]), np.array(self.limits))
        edges = np.clip(np.arange(first, stop + 1), poles.min(), poles.max())
        return np.asarray(np.diff(edges))

    # The plane in which shapes are cut

    def _to_plane(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Longitude from the central meridian and latitude; or distance from the centre, turned to its azimuth."""
        if self.kind != "azimuthal":
            return lon - self.centre[0], lat
        distance, bearing = polar_coordinates(self.centre, lon, lat)
        return distance * np.sin(bearing), distance * np.cos(bearing)

    def plane(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Points of the plane in which shapes are cut, of pixel coordinates; NaN where the map shows none."""
        lon, lat = self.lonlat(u, v)
        p, q = self._to_plane(lon, self.geodetic(lat))
        if self.kind == "normal":
            p = np.mod(p + 180.0, 360.0) - 180.0
            # Of both sides of a seam, the one where it is on the map
            (middle, beside), _ = self._pixels(self.centre[0] + np.array([0.0, 1.0]), np.zeros(2))
            east = (u - middle) * (beside - middle)
            p = np.where(np.abs(p) > 179.0, np.copysign(p, east), p)
        return p, q

    def from_plane(self, p: Floats, q: Floats) -> tuple[Floats, Floats]:
        """East longitude and geodetic latitude of points of the plane in which shapes are cut."""
        if self.kind != "azimuthal":
            rim = 180.0 - _HAIR
            p = p if self.kind == "cylindrical" else np.clip(p, -rim, rim)
            return self.centre[0] + p, np.clip(q, *self.limits)
        return great_circle_direct(*self.centre, np.hypot(p, q), np.arctan2(p, q))

    def _image(self, p: Floats, q: Floats) -> tuple[Floats, Floats]:
        return self._pixels(*self.from_plane(p, q))

    # Circles

    def outlines(
        self, craters: Caps, inner: float, outer: float, nvert: int = 0, finely: Bools | None = None
    ) -> Outlines:
        """Outline of every crater's region.

        Parameters
        ----------
        craters : Caps
            Longitudes in degrees (or columns of a closed grid, see `Grid.to_frame`), latitudes and radii in radians.
        inner, outer : float
            Bounds of the region in crater radii; no hole where inner is 0.
        nvert : int
            Number of vertices of the polygon that stands for each bounding circle, edges straight in longitude and
            geodetic latitude; 0 draws the true circle, all points at one geodesic distance.
        finely : ndarray of bool, shape (n,), optional
            Which craters' outlines are to keep to the true boundary within a thousandth of a pixel, unless columns are
            linear in longitude.

        Returns
        -------
        Outlines
            One shape per crater. The vertices of one depend on nothing but the crater and the frame.
        """
        lon, lat = self._centres(craters)
        angle = np.asarray(craters.radius, dtype=float)
        parts: list[Rings] = []
        if self.kind == "cylindrical":
            for bound, sign in ((outer, 1.0), (inner, -1.0)):
                if bound > 0:
                    parts += self._bands(lon, lat, bound * angle, nvert, sign)
        else:
            plain = self._plain(lon, lat, outer * angle, nvert)
            if finely is not None:
                plain &= ~finely
            some = np.flatnonzero(plain)
            for bound, sign in ((outer, 1.0), (inner, -1.0)):
                if bound > 0 and some.size:
                    rings = self._closed(lon[some], lat[some], bound * angle[some], nvert)
                    parts += [_turned((some[of], size, u, v), sign * self.hand) for of, size, u, v in rings]
            for i in np.flatnonzero(~plain).tolist():
                parts.append(self._drawn(i, self._ring(lon[i], lat[i], angle[i], inner, outer, nvert), self._image))
        outlines = self._past_poles(_assemble(parts, len(lon), self.period))
        return _joined(outlines) if self.kind == "cylindrical" and inner > 0 else outlines

    def _centres(self, craters: Caps) -> tuple[Floats, Floats]:
        lon = np.asarray(craters.u0, dtype=float)
        if not self.crs and self.sphere:
            lon = self.transform[0] + self.transform[1] * lon
        return lon, self.geodetic(np.degrees(np.asarray(craters.lat, dtype=float)))

    def _cap(self, angle: Floats) -> Floats:
        """Angular radius, degrees, of a cap in geodetic coordinates that holds a geodesic circle for certain.

        Normals turn along a geodesic by at most the greatest curvature of the ellipsoid, a / b².
        """
        if self.sphere:
            return np.degrees(angle)
        return np.degrees(angle * self.radius * self.axes[0] / self.axes[1] ** 2) * (1 + 1e-9)

    def _plain(self, lon: Floats, lat: Floats, angle: Floats, nvert: int) -> Bools:
        """Which regions lie so well inside of the domain that their rings are closed curves on the map."""
        cap = self._cap(angle) + 1e-6
        if self.kind == "azimuthal":
            distance, _ = polar_coordinates(self.centre, lon, lat)
            # Edges that are straight in longitude and latitude leave the cap, the more so near a pole.
            well = (distance + 3 * cap < self.limits[1]) & (np.abs(lat) + 2 * cap < 90.0) if nvert else False
            return well | ((distance + cap < self.limits[1]) & (nvert == 0))
        p = np.mod(lon - self.centre[0] + 180.0, 360.0) - 180.0
        inside = (lat + cap < self.limits[1]) & (lat - cap > self.limits[0]) & (cap < 90.0)
        half = half_width(lat, cap)
        return inside & (np.abs(p) + half < 180.0 - 1e-6)

    def _sample(self, lon: Floats, lat: Floats, angle: Floats, n: int) -> tuple[Floats, Floats]:
        """Points of each circle, counter-clockwise from due south (north on the southern half), shape (m, n)."""
        turn = -2 * np.pi * np.arange(n) / n
        start = np.where(lat >= 0, np.pi, 0.0)[:, None]
        bearing = start + turn
        return self.around(lon[:, None], lat[:, None], angle[:, None], bearing, exact=True)

    def around(
        self, lon: Floats, lat: Floats, angle: Floats, bearing: Floats, *, exact: bool = False
    ) -> tuple[Floats, Floats]:
        """Points of circles at some bearings from north, radians; longitudes within half a turn of the centre's."""
        if self.sphere:
            x, y = great_circle_direct(lon, lat, np.degrees(angle), bearing)
        else:
            x, y = geodesic_direct(lon, lat, angle * self.radius, bearing, self.axes)
        if exact:  # on the centre's own meridian, or on the one opposite, to the last digit
            over = np.abs(x[:, 0] - lon[:, 0]) > 90.0
            x[:, 0] = lon[:, 0] + np.where(over, 180.0, 0.0)
        return x, y

    def _closed(self, lon: Floats, lat: Floats, angle: Floats, nvert: int) -> list[Rings]:
        """Rings of regions well inside of the domain, counter-clockwise on the body."""
        if nvert:
            return self._polygon_rings(lon, lat, angle, nvert)
        return [(of, size, u, v) for of, size, u, v, _ in self._circles(lon, lat, angle)]

    def _circles(self, lon: Floats, lat: Floats, angle: Floats) -> list[tuple[Ints, Ints, Floats, Floats, Floats]]:
        """True circles, each with so many vertices as it needs; last of all how many columns a ring advances.

        From n points of a circle follow its area with n and with n / 2 points, and how far points lie from the
        chords between their neighbours: four times what the points between them would.
        """
        need = np.full(lon.size, _FEWEST)
        rows, cols = self.shape
        out = []
        n = _FEWEST
        while n <= _MOST:
            todo = np.flatnonzero(need == n)
            for start in range(0, todo.size, max(1, _BATCH // n)):
                some = todo[start : start + max(1, _BATCH // n)]
                x, y = self._sample(lon[some], lat[some], angle[some], n)
                along = np.zeros(some.size)
                if self.kind == "cylindrical":
                    x = np.unwrap(x, period=360.0, axis=1)
                    closing = np.mod(x[:, :1] - x[:, -1:] + 180.0, 360.0) - 180.0
                    along = 360.0 * np.rint((x[:, -1] + closing[:, 0] - x[:, 0]) / 360.0) * self.columns[1]
                    y = np.clip(y, *self.limits)
                u, v = self._pixels(x.ravel(), y.ravel())
                u, v = u.reshape(x.shape), v.reshape(x.shape)

                odd_u, odd_v = u[:, 1::2], v[:, 1::2]
                next_u = np.append(u[:, 2::2], u[:, :1] + along[:, None], axis=1)
                next_v = np.append(v[:, 2::2], v[:, :1], axis=1)
                before_u, before_v = u[:, ::2], v[:, ::2]
                bulge = np.hypot(odd_u - (before_u + next_u) / 2, odd_v - (before_v + next_v) / 2)
                length = np.hypot(next_u - before_u, next_v - before_v) + 1.0
                near = (odd_v > -length) & (odd_v < rows + length)
                if self.kind != "cylindrical":
                    near &= (odd_u > -length) & (odd_u < cols + length)
                bulge = np.where(near, bulge, 0.0).max(axis=1) / 4

                fine_u, fine_v = _area_true(u, v, along)
                level = np.where(along == 0, v[:, 0], v.min(axis=1) - 1.0)
                area = _area(fine_u, fine_v, along, level)
                coarse = _area(*_area_true(before_u, before_v, along), along, level)
                shaky = (np.abs(area - coarse) > 4e-5 * np.abs(area)) & (n < 1024) & near.any(axis=1)
                again = ((bulge > SAGITTA) | shaky) & (n < _MOST)
                power = np.ceil(np.log2(np.sqrt(np.maximum(bulge[again], SAGITTA) / SAGITTA))).astype(np.int64)
                need[some[again]] = np.minimum(n << np.maximum(power, 1), _MOST)
                if along.any():  # both ends of a ring round the body lie on the crater's meridian
                    fine_u[:, 0] = np.where(along != 0, u[:, 0], fine_u[:, 0])
                good = ~again
                size = np.full(np.count_nonzero(good), n)
                out.append((some[good], size, fine_u[good].ravel(), fine_v[good].ravel(), along[good]))
            n *= 2
        return out

    def _polygon_rings(self, lon: Floats, lat: Floats, angle: Floats, nvert: int) -> list[Rings]:
        out: list[Rings] = []
        block = max(1, _BATCH // (4 * nvert))
        for start in range(0, lon.size, block):
            at = slice(start, start + block)
            p, q = self._sample(lon[at], lat[at], angle[at], nvert)
            if self.kind == "normal":
                p += 360.0 * np.rint((self.centre[0] - lon[at]) / 360.0)[:, None]
            of = start + np.arange(p.shape[0])
            size = np.full(of.size, nvert)
            out.append(_refined((of, size, p.ravel(), q.ravel()), self._pixels, self._near))
        return out

    def _near(self, u: Floats, v: Floats, length: Floats) -> Bools:
        rows, cols = self.shape
        near = (v > -length - 1) & (v < rows + length + 1)
        return near if self.kind == "cylindrical" else near & (u > -length - 1) & (u < cols + length + 1)

    # Where columns are linear in longitude

    def _bands(self, lon: Floats, lat: Floats, angle: Floats, nvert: int, sign: float) -> list[Rings]:
        """Rings that run on in longitude, closed over the poles."""
        whole = self._cap(angle) >= 180.0
        parts: list[Rings] = []
        some = np.flatnonzero(~whole)
        if nvert:
            traced = []
            block = max(1, _BATCH // (4 * nvert))
            for start in range(0, some.size, block):
                at = some[start : start + block]
                x, y = self._sample(lon[at], lat[at], angle[at], nvert)
                x = np.unwrap(x, period=360.0, axis=1)
                closing = np.mod(x[:, :1] - x[:, -1:] + 180.0, 360.0) - 180.0
                turns = np.rint((x[:, -1] + closing[:, 0] - x[:, 0]) / 360.0)
                # The last edge leads a turn on; the ring is traced as an open line and closed below.
                x = np.append(x, x[:, :1] + 360.0 * turns[:, None], axis=1)
                y = np.clip(np.append(y, y[:, :1], axis=1), *self.limits)
                line = (np.arange(at.size), np.full(at.size, nvert + 1), x.ravel(), y.ravel())
                _, size, u, v = _refined(line, self._pixels, self._near, closed=False)
                # without the last vertex, which is the first one again
                keep = np.ones(u.size, bool)
                keep[np.cumsum(size) - 1] = False
                traced.append((at, size - 1, u[keep], v[keep], 360.0 * turns * self.columns[1]))
        else:
            traced = [
                (some[of], size, u, v, along)
                for of, size, u, v, along in self._circles(lon[some], lat[some], angle[some])
            ]
        for of, size, u, v, along in traced:
            parts += self._band(of, size, u, v, along, lon, sign)
        if whole.any():
            parts.append(self._strip(np.flatnonzero(whole), lon, sign))
        return parts

    def _band(self, of: Ints, size: Ints, u: Floats, v: Floats, along: Floats, lon: Floats, sign: float) -> list[Rings]:
        parts: list[Rings] = []
        offset = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
        area = _ring_areas(u, v, offset) * self.hand
        for held, east in ((along * self.columns[1] > 0, True), (along * self.columns[1] < 0, False)):
            rows = np.flatnonzero(held)
            if not rows.size:
                continue
            # Going east with the region to the left, it lies to the north.
            pole = self._pixels(np.array([self.centre[0]]), np.array([self.limits[1 if east else 0]]))[1][0]
            first = u[offset[rows]]
            tail_u = np.stack([first + along[rows], first + along[rows], first], axis=1)
            tail_v = np.stack([v[offset[rows]], np.full(rows.size, pole), np.full(rows.size, pole)], axis=1)
            at, begin = gather(offset, rows)
            ends = np.repeat(begin[1:], 3)
            closed_u, closed_v = np.insert(u[at], ends, tail_u.ravel()), np.insert(v[at], ends, tail_v.ravel())
            parts.append(_turned((of[rows], size[rows] + 3, closed_u, closed_v), sign * self.hand))
        rows = np.flatnonzero(along == 0)
        if rows.size:
            at, _ = gather(offset, rows)
            parts.append(_turned((of[rows], size[rows], u[at], v[at]), sign * self.hand))
            # A ring around the point opposite is the hole of a region that holds both poles.
            inverted = of[rows[area[rows] < 0]]
            if inverted.size:
                parts.append(self._strip(inverted, lon, sign))
        return parts

    def _strip(self, of: Ints, lon: Floats, sign: float) -> Rings:
        """The whole body, from each crater's meridian on."""
        first, _ = self._pixels(lon[of], np.zeros(of.size))
        _, (south, north) = self._pixels(np.full(2, self.centre[0]), np.array(self.limits))
        turn = 360.0 * self.columns[1]
        u = np.stack([first, first + turn, first + turn, first], axis=1)
        v = np.broadcast_to([south, south, north, north], u.shape)
        return _turned((of, np.full(of.size, 4), u.ravel(), v.ravel().copy()), sign * self.hand)

    # Regions that meet the rim of the domain, one by one

    def shape_of(self, craters: Caps, i: int, inner: float, outer: float, nvert: int = 0) -> Any:
        """One crater's region in the plane in which shapes are cut, a shapely geometry; parameters as of `outlines`.

        Its edges are straight in longitude and geodetic latitude; or where coordinates are polar, of distance from
        the centre and azimuth, and there it is not clipped to the domain.
        """
        (lon,), (lat,) = self._centres(craters.take(np.array([i])))
        return self._unclipped()._ring(lon, lat, float(craters.radius[i]), inner, outer, nvert)

    def _unclipped(self) -> Frame:
        return replace(self, limits=(0.0, 180.0)) if self.kind == "azimuthal" else self

    def _ring(self, lon: float, lat: float, angle: float, inner: float, outer: float, nvert: int) -> Any:
        region = self._region(lon, lat, outer * angle, nvert)
        return shapely.difference(region, self._region(lon, lat, inner * angle, nvert)) if inner > 0 else region

    def _region(self, lon: float, lat: float, angle: float, nvert: int) -> Any:
        """One region in the plane, clipped to the domain."""
        if self._cap(np.array(angle)) >= 180.0:
            return self._domain()
        start = np.pi if lat >= 0 else 0.0
        if nvert:
            bearing = start - 2 * np.pi * np.arange(nvert) / nvert
            corner_x, corner_y = self.around(np.array(lon), np.array(lat), np.array(angle), bearing)
            corner_x = np.unwrap(corner_x, period=360.0)
            closing = (corner_x[0] - corner_x[-1] + 180.0) % 360.0 - 180.0
            corner_x, corner_y = np.append(corner_x, corner_x[-1] + closing), np.append(corner_y, corner_y[0])

            def point(t: Floats) -> tuple[Floats, Floats]:
                at = t * nvert
                steps = np.arange(nvert + 1)
                return np.interp(at, steps, corner_x), np.interp(at, steps, corner_y)

            first = np.linspace(0.0, 1.0, nvert * max(1, 256 // nvert) + 1)
        else:

            def point(t: Floats) -> tuple[Floats, Floats]:
                return self.around(np.array(lon), np.array(lat), np.array(angle), start - 2 * np.pi * t)

            first = np.linspace(0.0, 1.0, 513)
        return self._clipped(*self._traced(point, first))

    def _traced(self, point: Callable[[Floats], tuple[Floats, Floats]], t: Floats) -> tuple[Floats, Floats]:
        """A closed line in the plane that keeps to its course on the ground within a fraction of a pixel.

        Between its points it has others, moved outward by a third of their distance from the chord: Simpson's rule
        for the area.
        """
        tolerance = 0.1 * SAGITTA / self.per_radian
        p, q = self._to_plane(*point(t))
        for depth in range(41):
            middle = (t[1:] + t[:-1]) / 2
            mid_p, mid_q = self._to_plane(*point(middle))
            step = np.diff(p) if self.kind == "azimuthal" else np.mod(np.diff(p) + 180.0, 360.0) - 180.0
            chord_p, chord_q = p[:-1] + step / 2, (q[1:] + q[:-1]) / 2
            off = great_circle_distance(*self._ground(mid_p, mid_q), *self._ground(chord_p, chord_q))
            split = np.flatnonzero((off > tolerance) & (np.diff(t) > 1e-12))
            if not split.size or depth == 40:
                break
            t = np.insert(t, split + 1, middle[split])
            p, q = np.insert(p, split + 1, mid_p[split]), np.insert(q, split + 1, mid_q[split])
        bulge_p, bulge_q = mid_p - chord_p, mid_q - chord_q
        if self.kind != "azimuthal":
            bulge_p = np.mod(bulge_p + 180.0, 360.0) - 180.0
        add = np.flatnonzero(np.hypot(bulge_p, bulge_q) > _HAIR)
        p = np.insert(p, add + 1, (chord_p + 4 / 3 * bulge_p)[add])
        q = np.insert(q, add + 1, (chord_q + 4 / 3 * bulge_q)[add])
        return (p if self.kind == "azimuthal" else np.unwrap(p, period=360.0)), q

    def _ground(self, p: Floats, q: Floats) -> tuple[Floats, Floats]:
        """Longitude and geodetic latitude of points of the plane, far from the rim or not."""
        if self.kind == "azimuthal":
            return great_circle_direct(*self.centre, np.hypot(p, q), np.arctan2(p, q))
        return p, q

    def _domain(self) -> Any:
        if self.kind == "azimuthal":
            return _disc(self.limits[1])
        rim = 180.0 - _HAIR
        return shapely.box(-rim, self.limits[0], rim, self.limits[1])

    def _clipped(self, p: Floats, q: Floats) -> Any:
        """What a line with the region on its left encloses, clipped to the domain."""
        if self.kind == "azimuthal":
            ring = valid(shapely.Polygon(np.stack([p, q], axis=1)))
            inside = _signed(p, q) > 0
            return shapely.intersection(ring, self._domain()) if inside else shapely.difference(self._domain(), ring)
        p = np.round(p / _LATTICE) * _LATTICE
        turns = round((p[-1] - p[0]) / 360.0)
        if turns:
            p[-1], q[-1] = p[0] + 360.0 * turns, q[0]
            pole = 90.0 * turns
            shape = shapely.Polygon(np.stack([np.append(p, [p[-1], p[0]]), np.append(q, [pole, pole])], axis=1))
        else:
            p[-1], q[-1] = p[0], q[0]
            shape = shapely.Polygon(np.stack([p, q], axis=1))
            if _signed(p, q) < 0:
                west = np.round((shape.centroid.x - 180.0) / _LATTICE) * _LATTICE
                shape = shapely.difference(shapely.box(west, -90.0, west + 360.0, 90.0), valid(shape))
        return self._cut(valid(shape))

    def _cut(self, shape: Any) -> Any:
        """A shape whose longitudes run on, brought onto the map."""
        west, _, east, _ = shape.bounds
        pieces = []
        for turn in range(int(np.floor((west + 180.0) / 360.0)), int(np.floor((east + 180.0) / 360.0)) + 1):
            moved = shapely.transform(shape, lambda xy, turn=turn: xy - [360.0 * turn, 0.0])
            pieces.append(shapely.intersection(moved, self._domain()))
        return shapely.union_all(pieces)

    def _drawn(self, i: int, region: Any, image: Image) -> Rings:
        """Rings of a shape in the plane."""
        rings = []
        for part in shapely.get_parts(region):
            if shapely.get_type_id(part) == shapely.GeometryType.POLYGON and not part.is_empty:
                part = shapely.orient_polygons(part) if hasattr(shapely, "orient_polygons") else _orient(part)
                rings += [np.asarray(ring.coords)[:-1] for ring in (part.exterior, *part.interiors)]
        size = np.array([len(ring) for ring in rings], dtype=np.int64)
        p, q = np.concatenate(rings).T if rings else np.empty((2, 0))
        refined = _refined((np.full(size.size, i), size, p, q), image, self._near, tolerance=_FINE)
        return _turned(refined, self.hand)

    # Polygons of the user

    def polygons(self, table: PolygonTable, finely: Bools | None = None) -> Outlines:
        """Outlines of polygons whose edges are straight in longitude and planetocentric latitude.

        Parameters
        ----------
        table : PolygonTable
            The polygons.
        finely : ndarray of bool, optional
            As in `outlines`.

        Returns
        -------
        Outlines
            One shape per polygon, clipped to the projection's domain.
        """
        size = np.diff(table.ring)
        of = np.repeat(np.arange(len(table)), np.diff(table.shape))
        lon = np.round(table.lon / _LATTICE) * _LATTICE
        lat = table.lat
        if self.kind == "cylindrical":
            plain = np.ones(len(table), bool)
        else:
            lon, plain = self._brought(table, lon)
            if finely is not None:
                plain &= ~finely
            plain |= np.diff(table.shape) == 0
        parts: list[Rings] = []
        some = np.flatnonzero(plain[of])
        if some.size:
            at, _ = gather(table.ring, some)
            rings = (of[some], size[some], lon[at], lat[at])
            parts.append(_turned(_refined(rings, self._polygon_image, self._near), self.hand))
        ocentric = self._image if self.kind == "azimuthal" else lambda p, q: self._image(p, self.geodetic(q))
        for i in np.flatnonzero(~plain).tolist():
            parts.append(self._drawn(i, self._polygon(_rings_of(table, i, lon)), ocentric))
        return self._past_poles(_assemble(parts, len(table), self.period))

    def _past_poles(self, outlines: Outlines) -> Outlines:
        """Edges along a pole a hair beyond it, lest they pass through the centres of a row that lies across it."""
        if self.kind != "cylindrical":
            return outlines
        _, poles = self._pixels(np.full(2, self.centre[0]), np.array(self.limits))
        v = outlines.v
        for pole, other in (poles, poles[::-1]):
            v = np.where(v == pole, pole + math.copysign(_TIP, pole - other), v)
        return replace(outlines, v=v)

    def _polygon_image(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Pixels of planetocentric points, longitudes a turn apart being the same to the last digit."""
        lat = self.geodetic(lat)
        if self.kind == "azimuthal":
            return self._pixels(_wrapped(lon), lat)
        return self._image(lon - self.centre[0], lat)

    def _brought(self, table: PolygonTable, lon: Floats) -> tuple[Floats, Bools]:
        """Longitudes within a turn of the centre's, and which polygons lie well inside of the domain."""
        n = len(table)
        starts, filled = table.ring[table.shape], np.flatnonzero(np.diff(table.ring[table.shape]))
        west, east, south, north = (np.zeros(n) for _ in range(4))
        if filled.size:
            begin = starts[:-1][filled]
            west[filled], east[filled] = (pick.reduceat(lon, begin) for pick in (np.minimum, np.maximum))
            south[filled], north[filled] = (pick.reduceat(table.lat, begin) for pick in (np.minimum, np.maximum))
        turn = 360.0 * np.rint(((west + east) / 2 - self.centre[0]) / 360.0)
        lon = lon - np.repeat(turn, np.diff(starts))
        if self.kind == "normal":
            inside = (west - turn > self.centre[0] - 180.0) & (east - turn < self.centre[0] + 180.0)
            return lon, inside & (self.geodetic(south) > self.limits[0]) & (self.geodetic(north) < self.limits[1])
        # Every point of a polygon is nearer to its own box' middle than the box' half-diagonal on the ground.
        middle_lat = self.geodetic((south + north) / 2)
        distance, _ = polar_coordinates(self.centre, (west + east) / 2, middle_lat)
        reach = (north - south) / 2 * (self.axes[0] / self.axes[1]) ** 2 + (east - west) / 2
        return lon, distance + reach < self.limits[1] - 1e-6

    def shape_of_polygon(self, table: PolygonTable, i: int) -> Any:
        """One of the polygons in the plane in which shapes are cut; see `shape_of`."""
        shape = self._unclipped()._polygon(_rings_of(table, i, table.lon))
        if self.kind == "azimuthal" or self.sphere:
            return shape
        # What is straight in planetocentric latitude bends by so little in geodetic
        fine = shapely.segmentize(shape, np.degrees(0.25 / self.per_radian))
        return shapely.transform(fine, lambda at: np.stack([at[:, 0], self.geodetic(at[:, 1])], axis=1))

    def _polygon(self, rings: list[tuple[Floats, Floats]]) -> Any:
        """A polygon clipped to the domain; latitudes are planetocentric, unless coordinates are polar."""
        if self.kind != "azimuthal":
            shape = reduce(
                shapely.symmetric_difference,
                [valid(shapely.Polygon(np.stack([x - self.centre[0], y], axis=1))) for x, y in rings],
                shapely.Polygon(),
            )
            low, high = self.planetocentric(np.array(self.limits))
            return self._cut(shapely.intersection(shape, shapely.box(shape.bounds[0], low, shape.bounds[2], high)))
        shape, outside = shapely.Polygon(), False
        for x, y in rings:
            steps, corner_x, corner_y = np.arange(x.size + 1), np.append(x, x[0]), np.append(y, y[0])
            n = x.size

            def point(
                t: Floats, steps: Ints = steps, xs: Floats = corner_x, ys: Floats = corner_y, n: int = n
            ) -> tuple[Floats, Floats]:
                return _wrapped(np.interp(t * n, steps, xs)), self.geodetic(np.interp(t * n, steps, ys))

            p, q = self._traced(point, np.linspace(0.0, 1.0, n * max(8, 256 // n) + 1))
            # A ring that turns the other way in the plane than in longitude and latitude holds the point opposite.
            outside ^= bool(_signed(p, q) * _signed(x, y) < 0)
            shape = shapely.symmetric_difference(shape, valid(shapely.Polygon(np.stack([p, q], axis=1))))
        domain = self._domain()
        return shapely.difference(domain, shape) if outside else shapely.intersection(domain, shape)

    # Boxes for the plan

    def boxes(self, craters: Caps, outer: float, nvert: int = 0) -> tuple[Floats, Floats, Floats, Floats]:
        """Pixel bounds of every crater's largest region, too large rather than too small.

        Parameters
        ----------
        craters : Caps
            As in `outlines`.
        outer : float
            Bound of the region in crater radii.
        nvert : int
            Number of vertices of its polygon; 0 for the true circle.

        Returns
        -------
        top, bottom, west, east : ndarray, shape (n,)
            First and last row and column coordinate; NaN for regions that lie off the map.

        Notes
        -----
        A few points around the region are projected. The margin is the greatest second difference between
        them, eight times how far an arc lies from its chord, and half a pixel.
        """
        lon, lat = self._centres(craters)
        angle = outer * np.asarray(craters.radius, dtype=float)
        cap = self._cap(angle)
        found = np.full((4, lon.size), np.nan)
        if self.kind == "cylindrical":
            plain = np.ones(lon.size, bool)
        else:
            # Well inside of the domain, so that the map is smooth all around.
            plain = self._plain(lon, lat, 1.5 * angle, nvert)
        if self.kind != "azimuthal" or nvert:
            plain &= (np.abs(lat) + 1.5 * cap < 90.0) | (self.kind == "cylindrical")
        rows = np.flatnonzero(plain)
        block = _BATCH // 16
        for start in range(0, rows.size, block):
            some = rows[start : start + block]
            if self.kind == "cylindrical":
                found[:, some] = self._band_boxes(lon[some], lat[some], cap[some])
                continue
            x, y = _ring_points(lon[some], lat[some], cap[some], nvert)
            u, v = (a.reshape(x.shape) for a in self._pixels(x.ravel(), y.ravel()))
            found[:, some] = _bounds(u, v, closed=nvert == 0)
        if self.kind == "azimuthal":
            done = plain | ~self._may_show(lon, lat, cap, nvert)
            rest = np.flatnonzero(~done)
            distance, _ = polar_coordinates(self.centre, lon[rest], lat[rest])
            small = (cap[rest] < 5.0) & (distance + 4 * cap[rest] < 176.0)
            small &= (np.abs(lat[rest]) + 2 * cap[rest] < 90.0) | (nvert == 0)
            some = rest[small]
            if some.size:
                found[:, some] = self._rim_boxes(*_ring_points(lon[some], lat[some], cap[some], nvert), nvert)
                done[some] = True
            plain = done
        rest = np.flatnonzero(~plain)
        if rest.size:
            west, east, top, bottom = self.outlines(craters.take(rest), 0.0, outer, nvert).bounds()
            found[:, rest] = np.stack([top - 0.5, bottom + 0.5, west - 0.5, east + 0.5])
        return found[0], found[1], found[2], found[3]

    def _may_show(self, lon: Floats, lat: Floats, cap: Floats, nvert: int) -> Bools:
        """False only for regions that are certainly outside of an azimuthal domain."""
        distance, _ = polar_coordinates(self.centre, lon, lat)
        if nvert:
            return (np.abs(lat) + 2 * cap >= 90.0) | (distance - 3 * cap < self.limits[1])
        return distance - cap < self.limits[1]

    def _rim_boxes(self, lon: Floats, lat: Floats, nvert: int) -> Floats:
        """Bounds of small regions across the rim of an azimuthal domain: points beyond it are brought to it."""
        distance, bearing = polar_coordinates(self.centre, lon, lat)
        x, y = great_circle_direct(*self.centre, np.minimum(distance, self.limits[1]), bearing)
        u, v = (a.reshape(x.shape) for a in self._pixels(x.ravel(), y.ravel()))
        step = [np.abs(np.diff(at, axis=1)).max(axis=1) for at in (v, u)]  # a rim is crossed anywhere between two
        return _bounds(u, v, closed=nvert == 0) + np.stack([-step[0], step[0], -step[1], step[1]])

    def _band_boxes(self, lon: Floats, lat: Floats, cap: Floats) -> Floats:
        """Bounds of caps from their latitudes and half-widths."""
        north, south = np.minimum(lat + cap, 90.0), np.maximum(lat - cap, -90.0)
        half = half_width(lat, cap)
        half = np.where((lat + cap > 90.0 - 1e-9) | (lat - cap < 1e-9 - 90.0), 180.0, half)
        at = np.full(lon.size, self.centre[0])
        a, b = (self._pixels(at, np.clip(edge, *self.limits))[1] for edge in (north, south))
        u, _ = self._pixels(lon, np.zeros(lon.size))
        half = half * abs(self.columns[1])
        return np.stack(
            [np.minimum(a, b) - SAGITTA, np.maximum(a, b) + SAGITTA, u - half - SAGITTA, u + half + SAGITTA]
        )


# Making a frame


def linear_frame(
    transform: tuple[float, float, float, float],
    shape: tuple[int, int],
    *,
    axes: tuple[float, float] = (1.0, 1.0),
    radius: float = 1.0,
    ocentric: bool = True,
) -> Frame:
    """The frame of a grid with columns linear in longitude and rows in latitude.

    Parameters
    ----------
    transform : tuple of float
        East longitude of the first column's outer edge and per column, latitude of the first row's and per row.
    shape : tuple of int
        Rows and columns.
    axes : tuple of float
        Semi-major and semi-minor axis, metres; any sphere by default.
    radius : float
        Body radius by which angular radii of craters become metres.
    ocentric : bool
        Whether latitudes are planetocentric.
    """
    lon_origin, lon_step, _, lat_step = transform
    return Frame(
        crs="",
        transform=transform,
        shape=shape,
        axes=axes,
        radius=radius,
        kind="cylindrical",
        centre=(lon_origin, 0.0),
        columns=(0.0, 1.0 / lon_step),
        hand=float(np.sign(lon_step * lat_step)),
        ocentric=ocentric,
    )


def make_frame(
    crs: pyproj.CRS, transform: tuple[float, float, float, float], shape: tuple[int, int], radius: float
) -> Frame:
    """The frame of a raster in a projected CRS.

    Parameters
    ----------
    crs : pyproj.CRS
        Projected.
    transform : tuple of float
        x of the first column's outer edge and per column, y of the first row's and per row; units of the CRS.
    shape : tuple of int
        Rows and columns.
    radius : float
        Body radius in metres by which angular radii of craters become metres.

    Returns
    -------
    Frame
        With its kind, centre and domain found out.

    Raises
    ------
    GridError
        The projection has no inverse, is interrupted, or shows nothing of the body at the raster's pixels.
    """
    ellipsoid = crs.ellipsoid
    assert ellipsoid is not None
    axes = (float(ellipsoid.semi_major_metre), float(ellipsoid.semi_minor_metre))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pyproj: a PROJ string loses the CRS's names
        terms = crs.to_dict()
    name = str(terms.get("proj", ""))
    geodetic = crs.geodetic_crs
    meridian = geodetic.prime_meridian.longitude if geodetic is not None and geodetic.prime_meridian else 0.0
    lon_0, lat_0 = meridian + float(terms.get("lon_0", 0.0)), float(terms.get("lat_0", 0.0))
    if name in _TORN:
        raise GridError(
            f"the raster's projection {crs.name!r} is interrupted, so circles on it are torn. Reproject it first: "
            'da = da.rio.reproject("IAU_2015:...")'
        )
    frame = Frame(crs.to_wkt(), transform, shape, axes, radius, "normal", centre=(lon_0, 0.0))
    try:
        rows, cols = np.linspace(0, shape[0], 33), np.linspace(0, shape[1], 33)
        u, v = (a.ravel() for a in np.meshgrid(cols, rows))
        lon, lat = frame.lonlat(u, v)
    except ProjError as err:
        raise GridError(
            f"PROJ cannot project from and to the raster's CRS {crs.name!r}: {err}. Reproject it: "
            'da = da.rio.reproject("IAU_2015:...")'
        ) from err
    shown = np.isfinite(lon) & np.isfinite(lat)
    if not shown.any():
        raise GridError(
            f"no pixel of the raster lies within the domain of its projection {crs.name!r}, or that has no inverse. "
            "Its coordinates are probably not in the units of its CRS: check da.rio.transform() and da.rio.crs"
        )
    some = np.flatnonzero(shown)
    middle = some[np.argmin(np.hypot(u[some] - shape[1] / 2, v[some] - shape[0] / 2))]
    at = float(lon[middle]), float(frame.geodetic(lat[middle]))
    frame = replace(frame, hand=_hand(frame, *at))
    columns = _linear_columns(frame)
    if columns is not None:
        frame = replace(frame, kind="cylindrical", columns=columns)
        return replace(frame, limits=_latitudes(frame))
    if name in _AZIMUTHAL:
        natural = 90.0 if name in ("ortho", "gnom") else 180.0
        if name == "aeqd" and abs(lat_0) < 90.0:
            # Geodesics from a point of an oblate body first meet along a short line around the point opposite.
            natural -= 360.0 * (1 - axes[1] / axes[0])
        return _capped(replace(frame, kind="azimuthal", centre=(lon_0, lat_0)), natural)
    if name in _LOCAL:
        return _capped(replace(frame, kind="azimuthal", centre=at), 180.0)
    return replace(frame, limits=_latitudes(frame))


def _hand(frame: Frame, lon: float, lat: float) -> float:
    """Whether the map keeps the sense of rotation around a point of it."""
    bearing = np.arange(3) * 2 * np.pi / 3
    x, y = great_circle_direct(np.full(3, lon), np.full(3, lat), np.full(3, 1e-3), -bearing)
    u, v = frame._pixels(x, y)
    return float(np.sign(_signed(u, v))) or 1.0


def _linear_columns(frame: Frame) -> tuple[float, float] | None:
    """Column of the central meridian and columns per degree, where columns depend on longitude alone, linearly."""
    lon = np.linspace(-179.0, 179.0, 9)
    lat = np.array([-70.0, -40.0, 0.0, 40.0, 70.0])
    u = np.stack([frame._pixels(frame.centre[0] + lon, np.full(9, y))[0] for y in lat])
    middle, per_degree = u[2, 4], (u[2, -1] - u[2, 0]) / 358.0
    if not np.isfinite(u).all() or np.abs(u - (middle + per_degree * lon)).max() > 1e-9 * abs(per_degree) * 360.0:
        return None
    return float(middle), float(per_degree)


def _latitudes(frame: Frame) -> tuple[float, float]:
    """Latitudes between which the map is finite and no farther away than it matters."""
    rows, cols = frame.shape
    far = 4.0 * (rows + cols) + 8.0 * np.pi * frame.per_radian
    found = []
    for pole in (-90.0, 90.0):
        inward = np.concatenate([[0.0], 10.0 ** np.arange(-9.0, 0.0, 0.5), np.arange(1.0, 90.0)])
        lat = pole - np.sign(pole) * inward
        p = np.array([-180.0 + _HAIR, -120.0, -60.0, 0.0, 60.0, 120.0, 180.0 - _HAIR])
        x, y = (a.ravel() for a in np.meshgrid(frame.centre[0] + p, lat))
        u, v = (a.reshape(lat.size, p.size) for a in frame._pixels(x, y))
        with np.errstate(invalid="ignore"):
            good = (np.isfinite(u) & np.isfinite(v) & (np.abs(v - rows / 2) < far)).all(axis=1)
            if frame.kind != "cylindrical":
                good &= (np.abs(u - cols / 2) < far).all(axis=1)
        found.append(float(lat[np.argmax(good)]))
    return found[0], found[1]


def _capped(frame: Frame, natural: float) -> Frame:
    """Limit an azimuthal frame to a cap that holds the raster, within the projection's own domain."""
    rows, cols = frame.shape
    reach = np.concatenate([np.linspace(0.01, natural, 4000)[:-1], natural - 10.0 ** np.arange(-9.0, 0.5, 0.5)])
    reach = np.unique(reach[reach > 0])
    bearing = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    lon, lat = great_circle_direct(frame.centre[0], frame.centre[1], reach[:, None], bearing)
    u, v = (a.reshape(lon.shape) for a in frame._pixels(lon.ravel(), lat.ravel()))
    (u0,), (v0,) = frame._pixels(np.array([frame.centre[0]]), np.array([frame.centre[1]]))
    back_lon, back_lat = (a.reshape(lon.shape) for a in frame.lonlat(u, v))
    needed = max(np.hypot(x - u0, y - v0) for x in (0, cols) for y in (0, rows)) * 1.01 + 2.0
    with np.errstate(invalid="ignore"):
        away = great_circle_distance(back_lon, frame.geodetic(back_lat), lon, lat)
        good = (np.isfinite(u) & np.isfinite(v)).all(axis=1) & ~(away > 1e-6).any(axis=1)
        if natural > 90.0:
            good &= np.isfinite(away).all(axis=1) | (reach > 170.0)
        beyond = (np.hypot(u - u0, v - v0) > needed).all(axis=1)
    last = int(np.argmin(good)) if not good.all() else good.size  # the first that fails
    enough = np.flatnonzero(beyond[:last])
    at = int(enough[0]) if enough.size else last - 1
    if at < 0:
        raise GridError(
            f"PROJ cannot invert the raster's projection around its centre {frame.centre}. Reproject it: "
            'da = da.rio.reproject("IAU_2015:...")'
        )
    return replace(frame, limits=(0.0, float(reach[at])))


@lru_cache(maxsize=256)
def _transformer(crs: str, axes: tuple[float, float], thread: int) -> tuple[pyproj.Transformer, bool]:
    """From east longitude and geodetic latitude to x and y, and whether y comes first; one for each thread."""
    # Neither always_xy nor the CRS's own geodetic frame: axes of IAU codes may point west or be planetocentric.
    geodetic = pyproj.CRS(f"+proj=longlat +a={axes[0]!r} +b={axes[1]!r} +no_defs")
    projected = pyproj.CRS(crs)
    swapped = "north" in projected.axis_info[0].name.lower()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pyproj.Transformer.from_crs(geodetic, projected), swapped


@lru_cache(maxsize=256)
def _unit(crs: str) -> float:
    """Metres per unit of a projected CRS."""
    axis = pyproj.CRS(crs).axis_info
    return float(axis[0].unit_conversion_factor) if axis else 1.0


@lru_cache(maxsize=16)
def _disc(distance: float) -> Any:
    turn = 2 * np.pi * np.arange(_RIM) / _RIM
    return shapely.Polygon(np.stack([distance * np.cos(turn), distance * np.sin(turn)], axis=1))


def _wrapped(lon: Floats) -> Floats:
    """Longitude in [-180, 180), the same to the last digit for those a turn apart."""
    return np.asarray(np.mod(np.round(lon / _LATTICE) * _LATTICE + 180.0, 360.0) - 180.0)


def _ring_points(lon: Floats, lat: Floats, cap: Floats, nvert: int) -> tuple[Floats, Floats]:
    """A few points around each cap; for a polygon around the cap's box of longitude and latitude, which holds it."""
    if nvert:
        return _box_points(lon, lat, cap)
    return great_circle_direct(lon[:, None], lat[:, None], cap[:, None], 2 * np.pi * np.arange(16) / 16)


def _bounds(u: Floats, v: Floats, *, closed: bool) -> Floats:
    """Top, bottom, west and east of rows of points, with a margin for what lies between them."""
    edges = []
    for at in (v, u):
        margin = _second_differences(at, closed=closed) + 0.5
        edges += [at.min(axis=1) - margin, at.max(axis=1) + margin]
    return np.stack(edges)


def _box_points(lon: Floats, lat: Floats, cap: Floats) -> tuple[Floats, Floats]:
    """Five points along each side of every cap's box of longitude and latitude, shape (n, 20)."""
    half = half_width(lat, cap)
    side = np.linspace(-1.0, 1.0, 5)
    one = np.ones(5)
    x = np.concatenate([side, one, -side, -one])
    y = np.concatenate([-one, side, one, -side])
    return lon[:, None] + half[:, None] * x, lat[:, None] + cap[:, None] * y


def _second_differences(at: Floats, *, closed: bool) -> Floats:
    """Greatest second difference of every row: around, or along each of four sides of five."""
    if closed:
        bend = np.roll(at, 1, axis=1) - 2 * at + np.roll(at, -1, axis=1)
    else:
        sides = at.reshape(at.shape[0], 4, 5)
        bend = (sides[:, :, 2:] - 2 * sides[:, :, 1:-1] + sides[:, :, :-2]).reshape(at.shape[0], -1)
    return np.asarray(np.abs(bend).max(axis=1))


# Rings


def _signed(x: Floats, y: Floats) -> float:
    """Area of a ring, positive where it runs counter-clockwise."""
    x, y = x - x[0], y - y[0]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _ring_areas(u: Floats, v: Floats, offset: Ints) -> Floats:
    """Area of every ring of flat arrays."""
    size = np.diff(offset)
    first = np.repeat(offset[:-1], size)
    x, y = u - u[first], v - v[first]
    after = np.arange(u.size) + 1
    after[offset[1:] - 1] = offset[:-1]
    cross = x * y[after] - x[after] * y
    return np.asarray(np.add.reduceat(cross, offset[:-1]) / 2) if size.size else np.empty(0)


def _area(u: Floats, v: Floats, along: Floats, level: Floats) -> Floats:
    """Area between each row of vertices and a level; a row ends `along` columns on."""
    height = v - level[:, None]
    width = np.diff(u, axis=1, append=u[:, :1] + along[:, None])
    return np.asarray(((height + np.roll(height, -1, axis=1)) * width).sum(axis=1) / 2)


def _area_true(u: Floats, v: Floats, along: Floats) -> tuple[Floats, Floats]:
    """Vertices of smooth rings moved outward so that the polygon has the ring's area.

    A ring whose k-th harmonic is c, at n equal steps, has the area pi k |c|²; its polygon n/2 sin(x) |c|² with
    x = 2 pi k / n. Second differences have the gain s = 2 - 2 cos(x), and sqrt(x / sin x) = 1 + s / 12 + 19 s² / 1440
    to the sixth order.
    """
    moved = []
    for at, jump in ((u, along[:, None]), (v, np.zeros((along.size, 1)))):
        line = np.concatenate([at[:, -2:] - jump, at, at[:, :2] + jump], axis=1)
        bend = line[:, :-2] - 2 * line[:, 1:-1] + line[:, 2:]
        moved.append(at - bend[:, 1:-1] / 12 + 19 / 1440 * (bend[:, :-2] - 2 * bend[:, 1:-1] + bend[:, 2:]))
    return moved[0], moved[1]


def _refined(
    rings: Rings,
    image: Image,
    near: Callable[[Floats, Floats, Floats], Bools],
    *,
    closed: bool = True,
    tolerance: float = SAGITTA,
) -> Rings:
    """Rings of the plane, edges straight there, as rings of pixel coordinates.

    Edges are halved until their middle lies on the chord to within the tolerance; one that bulges less still gets
    its middle, moved outward by a third of the bulge: Simpson's rule for the area.
    """
    of, size, p, q = rings
    if not size.size:
        return of, size, np.empty(0), np.empty(0)
    ends = np.cumsum(size)
    after = np.arange(p.size) + 1
    after[ends - 1] = ends - size
    u, v = image(p, q)
    edge = np.arange(p.size)
    if not closed:
        edge = np.delete(edge, ends - 1)
    found = [(np.arange(p.size), np.zeros(p.size), u, v)]
    t0, t1 = np.zeros(edge.size), np.ones(edge.size)
    u0, v0, u1, v1 = u[edge], v[edge], u[after[edge]], v[after[edge]]
    for depth in range(40):
        t = (t0 + t1) / 2
        dp, dq = p[after[edge]] - p[edge], q[after[edge]] - q[edge]
        u, v = image(p[edge] + t * dp, q[edge] + t * dq)
        bend_u, bend_v = u - (u0 + u1) / 2, v - (v0 + v1) / 2
        bulge = np.hypot(bend_u, bend_v)
        length = np.hypot(u1 - u0, v1 - v0)
        # A long edge may cross its chord in the middle.
        long = np.maximum(np.abs(dp), np.abs(dq)) * (t1 - t0) > 2.0
        split = near(u, v, length) & ((bulge > tolerance) | (long & (bulge + length > tolerance))) & (depth < 39)
        third = np.where(split, 0.0, 1 / 3)
        add = split | (bulge > _FLAT * tolerance) | ((tolerance < SAGITTA) & (bulge > 1e-7 * length))
        found.append((edge[add], t[add], (u + bend_u * third)[add], (v + bend_v * third)[add]))
        if not split.any():
            break
        s = split
        edge, t0, t1 = np.tile(edge[s], 2), np.append(t0[s], t[s]), np.append(t[s], t1[s])
        u0, v0, u1, v1 = np.append(u0[s], u[s]), np.append(v0[s], v[s]), np.append(u[s], u1[s]), np.append(v[s], v1[s])
    edges, ts, us, vs = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((ts, edges))
    ring = np.repeat(np.arange(size.size), size)
    return of, np.bincount(ring[edges], minlength=size.size), us[order], vs[order]


def _rings_of(table: PolygonTable, i: int, lon: Floats) -> list[tuple[Floats, Floats]]:
    """Vertices of each ring of a shape of the table, with other longitudes than its own."""
    rings = itertools.pairwise(table.ring[table.shape[i] : table.shape[i + 1] + 1].tolist())
    return [(lon[a:b], table.lat[a:b]) for a, b in rings]


def _turned(rings: Rings, sign: float) -> Rings:
    """The rings in the opposite sense where sign is negative."""
    of, size, u, v = rings
    if sign > 0 or not size.size:
        return rings
    ends = np.cumsum(size)
    at = np.repeat(2 * ends - size - 1, size) - np.arange(u.size)
    return of, size, u[at], v[at]


def _assemble(parts: Iterable[Rings], shapes: int, period: float) -> Outlines:
    """Rings of all shapes in the order of the shapes."""
    parts = list(parts)
    of = np.concatenate([np.empty(0, np.int64), *(part[0] for part in parts)]).astype(np.int64)
    size = np.concatenate([np.empty(0, np.int64), *(part[1] for part in parts)]).astype(np.int64)
    u, v = (np.concatenate([np.empty(0), *(part[k] for part in parts)]) for k in (2, 3))
    offset = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    order = np.argsort(of, kind="stable")
    at, ring = gather(offset, order)
    count = np.bincount(of, minlength=shapes)
    return Outlines(u[at], v[at], ring, np.concatenate([[0], np.cumsum(count)]).astype(np.int64), period)


def _joined(outlines: Outlines) -> Outlines:
    """Outlines without seams across holes, which would touch pixels there.

    Where a region and its hole go round one pole, both become one ring. Where the region alone does, its seam, on the
    crater's meridian, is put where neither a hole around the crater nor one around the point opposite can be.
    """
    u, v, ring, shape, period = outlines.u, outlines.v, outlines.ring, outlines.shape, outlines.period
    size = np.diff(ring)
    after = np.arange(u.size) + 1
    after[ring[1:][size > 0] - 1] = ring[:-1][size > 0]
    edges = np.flatnonzero(np.abs(u[after] - u) > period * (1 - 1e-9))  # those along a pole
    of = np.searchsorted(ring, edges, side="right") - 1
    polar = np.unique(of)
    shapes, count = np.unique(np.searchsorted(shape, polar, side="right") - 1, return_counts=True)
    new: dict[int, Floats] = {}
    for k in polar[np.isin(np.searchsorted(shape, polar, side="right") - 1, shapes[count == 1])].tolist():
        at = edges[of == k]
        if at.size == 2:
            new[k] = np.stack([u[ring[k] : ring[k + 1]] + period / 4, v[ring[k] : ring[k + 1]]])
            continue
        line = _from(u, v, ring[k], ring[k + 1], at[0])
        turn = np.array([[line[0, -1] - line[0, 0]], [0.0]])
        half = int(np.abs(line[0, :-1] - line[0, 0] - turn[0] / 2).argmin())
        line = np.concatenate([line[:, half:-1], line[:, : half + 1] + turn], axis=1)
        over = np.stack([line[0, [-1, 0]], np.full(2, v[at[0]])])
        new[k] = np.concatenate([line, over], axis=1)
    for i in shapes[count == 2].tolist():
        outer, inner = polar[(polar >= shape[i]) & (polar < shape[i + 1])].tolist()
        at, hole = edges[of == outer], edges[of == inner]
        if hole.size == 2:  # all the body less all the body
            new[outer] = new[inner] = np.empty((2, 0))
            continue
        at = at[v[at] == v[hole[0]]]
        if at.size == 1:
            shell, gap = (_from(u, v, ring[k], ring[k + 1], e) for k, e in ((outer, at[0]), (inner, hole[0])))
            if shell.shape[1] == 2:  # of all the body, the seam is where the hole's is
                shell[0] = gap[0, [-1, 0]]
            gap[0] += period * np.rint((shell[0, -1] - gap[0, 0]) / period)
            new[outer], new[inner] = np.concatenate([shell, gap], axis=1), np.empty((2, 0))
    if not new:
        return outlines
    rings = [new.get(k, np.stack([u[a:b], v[a:b]])) for k, (a, b) in enumerate(itertools.pairwise(ring.tolist()))]
    kept = np.array([r.shape[1] > 0 for r in rings])
    ends = np.cumsum([0, *(r.shape[1] for r, keep in zip(rings, kept, strict=True) if keep)])
    joined = np.concatenate([np.empty((2, 0)), *rings], axis=1)
    before = np.concatenate([[0], np.cumsum(kept)])
    return Outlines(joined[0], joined[1], ends.astype(np.int64), before[shape].astype(np.int64), period)


def _from(u: Floats, v: Floats, first: np.int64, stop: np.int64, edge: np.int64) -> Floats:
    """A ring from behind one of its edges to before it, shape (2, n), without the edge's ends."""
    turned = np.roll(np.stack([u[first:stop], v[first:stop]]), -(edge - first + 1), axis=1)
    return turned[:, 1:-1]


def valid(shape: Any) -> Any:
    """A polygon whose ring touches itself, as the area it encloses an odd number of times."""
    if shapely.is_valid(shape):
        return shape
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shape)))
    return shapely.multipolygons(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])


def _orient(polygon: Any) -> Any:
    return shapely.geometry.polygon.orient(polygon)
