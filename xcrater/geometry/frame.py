"""Frames: the placement of one raster's pixels on its body, for any projection.

A `Frame` converts pixel coordinates to longitude and latitude and back, and to the plane in which regions are clipped
to the map. Three kinds of projection need different ways of dealing with the places where the map is torn:

- ``"cylindrical"``: columns are linear in longitude. Rings are continuous in longitude and closed over the poles.
- ``"normal"``: torn along the meridian opposite to the central one (sinusoidal, Mollweide, conic, ...). Regions
  that cross it are cut there in the plane of longitude and latitude.
- ``"azimuthal"``: one-to-one within a cap around a centre. Regions that leave the cap are clipped to it in the
  plane whose polar coordinates are distance from that centre and azimuth.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyproj
from numpy.typing import ArrayLike, NDArray
from pyproj.exceptions import ProjError

from xcrater.errors import GridError
from xcrater.geometry.projection import classify, geodetic_crs, metres_per_unit, transformer
from xcrater.geometry.rings import signed_area
from xcrater.geometry.sphere import (
    geodesic_direct,
    geodetic_latitude,
    great_circle_direct,
    great_circle_distance,
    planetocentric_latitude,
    polar_coordinates,
)

Floats = NDArray[np.float64]

INSET = 1e-9
"""Distance, in degrees, that the plane of a frame keeps from the meridian along which a map is torn."""


class MapPlane(NamedTuple):
    """The plane of a CRS, and the position of a raster's pixels in it."""

    crs: str
    """A projected CRS as WKT, or longitude and geodetic latitude as a `xcrater.geometry.projection.geodetic_crs`."""
    transform: tuple[float, float, float, float]
    """x of the first column's outer edge, x per column, y of the first row's outer edge, y per row; units of `crs`."""


@dataclass(frozen=True)
class Frame:
    """The placement of a raster of any projection on a body.

    It holds plain values only, so that frames can be hashed, pickled and compared. Make one with `make_frame` or
    `linear_frame`. Latitudes are planetocentric in `pixels` and `lonlat`, geodetic elsewhere.

    Parameters
    ----------
    crs : str
        The raster's CRS as WKT; empty if columns are linear in longitude and rows in latitude.
    transform : tuple of float
        Outer edge of the first column, step per column, outer edge of the first row and step per row, in units of the
        CRS; in degrees of east longitude and of latitude if `crs` is empty.
    shape : tuple of int
        Rows and columns.
    axes : tuple of float
        Semi-major and semi-minor axis of the raster's ellipsoid, metres.
    radius : float
        Body radius in metres that converts the angular radii of craters to metres.
    kind : str
        ``"cylindrical"``, ``"normal"`` or ``"azimuthal"``.
    centre : tuple of float
        East longitude and geodetic latitude of the projection's centre, degrees.
    limits : tuple of float
        Southernmost and northernmost geodetic latitude of the domain, degrees; for the azimuthal kind 0 and the
        greatest distance from the centre.
    columns : tuple of float
        For the cylindrical kind, column coordinate of the central meridian, and columns per degree of longitude.
    hand : float
        1 if rings that are counter-clockwise on the body have a positive area in pixel coordinates, else -1.
    ocentric : bool
        Whether rows are linear in planetocentric latitude, if `crs` is empty.
    linear_in : MapPlane or None
        The raster's own plane if its CRS is projected although `crs` is empty, as for the equidistant cylindrical
        projection of a sphere.
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
    linear_in: MapPlane | None = None

    @property
    def map_plane(self) -> MapPlane | None:
        """The plane of the raster's CRS; None if that plane is longitude and planetocentric latitude itself."""
        if self.crs:
            return MapPlane(self.crs, self.transform)
        if self.linear_in is None and not self.sphere and not self.ocentric:
            return MapPlane(geodetic_crs(self.axes), self.transform)
        return self.linear_in

    @property
    def period(self) -> float:
        """Columns per turn of longitude; infinite if columns do not repeat."""
        return 360.0 * abs(self.columns[1]) if self.kind == "cylindrical" else np.inf

    @property
    def sphere(self) -> bool:
        """Whether the raster's ellipsoid is a sphere."""
        return self.axes[0] == self.axes[1]

    @property
    def per_radian(self) -> float:
        """Pixels per radian of great circle at true scale."""
        steps = min(abs(self.transform[1]), abs(self.transform[3]))
        return float(np.degrees(1.0) / steps) if not self.crs else self.axes[0] / (steps * metres_per_unit(self.crs))

    # Latitudes and distances on the body

    def geodetic(self, lat: Floats) -> Floats:
        """Convert planetocentric to geodetic latitude, degrees."""
        return geodetic_latitude(lat, self.axes)

    def planetocentric(self, lat: Floats) -> Floats:
        """Convert geodetic to planetocentric latitude, degrees."""
        return planetocentric_latitude(lat, self.axes)

    def destination(self, lon: Floats, lat: Floats, angle: Floats, azimuth: Floats) -> tuple[Floats, Floats]:
        """Find the points at some distance and azimuth from others.

        Parameters
        ----------
        lon, lat : ndarray
            Starting points: longitude and geodetic latitude, degrees.
        angle : ndarray
            Distance along the great circle, radians; on an ellipsoid the length of the geodesic in units of `radius`.
        azimuth : ndarray
            Azimuth at the start, radians clockwise from north.

        Returns
        -------
        lon, lat : ndarray
            Degrees; longitudes within half a turn of the start's, geodetic latitudes.
        """
        if self.sphere:
            return great_circle_direct(lon, lat, np.degrees(angle), azimuth)
        return geodesic_direct(lon, lat, angle * self.radius, azimuth, self.axes)

    def cap_radius(self, angle: Floats) -> Floats:
        """Angular radius, degrees, of a cap in geodetic coordinates that certainly contains a geodesic circle.

        Along a geodesic, the normal turns per length by at most the greatest curvature of the ellipsoid, a / b².
        """
        if self.sphere:
            return np.degrees(angle)
        return np.degrees(angle * self.radius * self.axes[0] / self.axes[1] ** 2) * (1 + 1e-9)

    # Pixels, longitude and latitude

    def pixels(self, lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
        """Convert longitude and latitude to pixel coordinates.

        Parameters
        ----------
        lon, lat : array_like, shape (n,)
            East longitude and planetocentric latitude, degrees.

        Returns
        -------
        u, v : ndarray, shape (n,)
            Coordinates along columns and rows; not finite outside the projection's domain.
        """
        return self.project(np.asarray(lon, dtype=float), self.geodetic(np.asarray(lat, dtype=float)))

    def lonlat(self, u: ArrayLike, v: ArrayLike) -> tuple[Floats, Floats]:
        """Convert pixel coordinates to east longitude and planetocentric latitude, degrees.

        Parameters
        ----------
        u, v : array_like, shape (n,)
            Coordinates along columns and rows.

        Returns
        -------
        lon, lat : ndarray, shape (n,)
            Degrees; NaN where the projection shows no point of the body.
        """
        u, v = np.broadcast_arrays(np.asarray(u, dtype=float), np.asarray(v, dtype=float))
        x_origin, x_step, y_origin, y_step = self.transform
        if not self.crs:
            lat = y_origin + y_step * v
            lat = np.where(np.abs(lat) <= 90.0, lat, np.nan)
            return x_origin + x_step * u, lat if self.ocentric else self.planetocentric(lat)
        forward, northing_first = transformer(self.crs, self.axes, threading.get_ident())
        x, y = x_origin + x_step * u, y_origin + y_step * v
        lon, lat = forward.transform(*((y, x) if northing_first else (x, y)), direction="INVERSE", errcheck=False)
        lon, lat = np.where(np.isfinite(lon), lon, np.nan), np.where(np.isfinite(lat), lat, np.nan)
        # Beyond the rim PROJ may return a point on the other side, so only points that project back are on the map.
        back_u, back_v = self.project(lon, lat)
        with np.errstate(invalid="ignore"):
            away = np.abs(back_u - u)
            if self.kind == "cylindrical":
                away = np.minimum(np.mod(away, self.period), self.period - np.mod(away, self.period))
            shown = (away < 1e-3) & (np.abs(back_v - v) < 1e-3)
        return np.where(shown, lon, np.nan), np.where(shown, self.planetocentric(lat), np.nan)

    def project(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Convert east longitude and geodetic latitude, degrees, to pixel coordinates.

        These are not finite outside the projection's domain. If columns are linear in longitude, they continue with
        longitudes beyond a turn.
        """
        x_origin, x_step, y_origin, y_step = self.transform
        cylindrical = self.kind == "cylindrical"
        u: Floats = self.columns[0] + self.columns[1] * (lon - self.centre[0]) if cylindrical else lon
        if not self.crs:
            return u, ((self.planetocentric(lat) if self.ocentric else lat) - y_origin) / y_step
        forward, northing_first = transformer(self.crs, self.axes, threading.get_ident())
        meridian = np.full_like(lat, self.centre[0]) if cylindrical else lon
        first, second = forward.transform(meridian, lat, errcheck=False)
        x, y = (np.asarray(a) for a in ((second, first) if northing_first else (first, second)))
        u = u if cylindrical else np.where(np.isfinite(x), (x - x_origin) / x_step, np.nan)
        return u, np.where(np.isfinite(y), (y - y_origin) / y_step, np.nan)

    def shown(self, first: int, stop: int) -> Floats:
        """Fraction of the height of rows [first, stop) that is on the body, if latitude depends on rows alone."""
        if self.kind != "cylindrical":
            return np.ones(stop - first)
        poles = self.limit_rows()
        edges = np.clip(np.arange(first, stop + 1), poles.min(), poles.max())
        return np.asarray(np.diff(edges))

    def limit_rows(self) -> Floats:
        """Row coordinates of the southernmost and northernmost latitude of a cylindrical map, shape (2,)."""
        return self.project(np.full(2, self.centre[0]), np.array(self.limits))[1]

    # The plane in which regions are clipped

    def to_plane(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Convert east longitude and geodetic latitude, degrees, to the plane in which regions are clipped.

        Its coordinates are longitude from the central meridian and latitude, in degrees; for the azimuthal kind, the
        distance from the centre, in degrees, laid off along its azimuth.
        """
        if self.kind != "azimuthal":
            return lon - self.centre[0], lat
        distance, azimuth = polar_coordinates(self.centre, lon, lat)
        return distance * np.sin(azimuth), distance * np.cos(azimuth)

    def from_plane(self, p: Floats, q: Floats) -> tuple[Floats, Floats]:
        """Convert points on the map, in the plane in which regions are clipped, to longitude and geodetic latitude."""
        if self.kind != "azimuthal":
            rim = 180.0 - INSET
            p = p if self.kind == "cylindrical" else np.clip(p, -rim, rim)
            return self.centre[0] + p, np.clip(q, *self.limits)
        return great_circle_direct(*self.centre, np.hypot(p, q), np.arctan2(p, q))

    def plane(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Convert pixel coordinates to the plane in which regions are clipped; NaN where the map shows no point."""
        lon, lat = self.lonlat(u, v)
        p, q = self.to_plane(lon, self.geodetic(lat))
        if self.kind == "normal":
            p = np.mod(p + 180.0, 360.0) - 180.0
            # A point on the seam belongs to the side of the map on which it is drawn
            (middle, beside), _ = self.project(self.centre[0] + np.array([0.0, 1.0]), np.zeros(2))
            east = (u - middle) * (beside - middle)
            p = np.where(np.abs(p) > 179.0, np.copysign(p, east), p)
        return p, q

    def plane_to_pixels(self, p: Floats, q: Floats) -> tuple[Floats, Floats]:
        """Convert points of the plane in which regions are clipped to pixel coordinates."""
        return self.project(*self.from_plane(p, q))


# Making a frame


def linear_frame(
    transform: tuple[float, float, float, float],
    shape: tuple[int, int],
    *,
    axes: tuple[float, float] = (1.0, 1.0),
    radius: float = 1.0,
    ocentric: bool = True,
    linear_in: MapPlane | None = None,
) -> Frame:
    """Make the frame of a grid with columns linear in longitude and rows linear in latitude.

    Parameters
    ----------
    transform : tuple of float
        East longitude of the first column's outer edge, longitude per column, latitude of the first row's outer edge,
        latitude per row; degrees.
    shape : tuple of int
        Rows and columns.
    axes : tuple of float
        Semi-major and semi-minor axis, metres; a unit sphere by default.
    radius : float
        Body radius that converts the angular radii of craters to metres.
    ocentric : bool
        Whether latitudes are planetocentric.
    linear_in : MapPlane, optional
        The raster's own plane, if its CRS is projected.
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
        linear_in=linear_in,
    )


def make_frame(
    crs: pyproj.CRS, transform: tuple[float, float, float, float], shape: tuple[int, int], radius: float
) -> Frame:
    """Make the frame of a raster in a projected CRS.

    Parameters
    ----------
    crs : pyproj.CRS
        The projected CRS.
    transform : tuple of float
        x of the first column's outer edge, x per column, y of the first row's outer edge, y per row; units of the CRS.
    shape : tuple of int
        Rows and columns.
    radius : float
        Body radius in metres that converts the angular radii of craters to metres.

    Returns
    -------
    Frame
        The frame, whose kind, centre and domain are determined here.

    Raises
    ------
    GridError
        The projection has no inverse, is interrupted, or shows nothing of the body at the raster's pixels.
    """
    projection = classify(crs)
    axes, (lon_0, lat_0), name = projection.axes, projection.origin, projection.method
    if projection.family == "interrupted":
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
    if projection.family == "azimuthal":
        natural = 90.0 if name in ("ortho", "gnom") else 180.0
        if name == "aeqd" and abs(lat_0) < 90.0:
            # On an oblate body, geodesics from a point first meet along a short line around the point opposite.
            natural -= 360.0 * (1 - axes[1] / axes[0])
        return _capped(replace(frame, kind="azimuthal", centre=(lon_0, lat_0)), natural)
    if projection.family == "local":
        return _capped(replace(frame, kind="azimuthal", centre=at), 180.0)
    return replace(frame, limits=_latitudes(frame))


def _hand(frame: Frame, lon: float, lat: float) -> float:
    """1 if the map preserves the sense of rotation around one of its points, else -1."""
    bearing = np.arange(3) * 2 * np.pi / 3
    x, y = great_circle_direct(np.full(3, lon), np.full(3, lat), np.full(3, 1e-3), -bearing)
    u, v = frame.project(x, y)
    return float(np.sign(signed_area(u, v))) or 1.0


def _linear_columns(frame: Frame) -> tuple[float, float] | None:
    """Column of the central meridian and columns per degree, if columns depend linearly on longitude alone."""
    lon = np.linspace(-179.0, 179.0, 9)
    lat = np.array([-70.0, -40.0, 0.0, 40.0, 70.0])
    u = np.stack([frame.project(frame.centre[0] + lon, np.full(9, y))[0] for y in lat])
    middle, per_degree = u[2, 4], (u[2, -1] - u[2, 0]) / 358.0
    if not np.isfinite(u).all() or np.abs(u - (middle + per_degree * lon)).max() > 1e-9 * abs(per_degree) * 360.0:
        return None
    return float(middle), float(per_degree)


def _latitudes(frame: Frame) -> tuple[float, float]:
    """Latitudes between which the map is finite and within reach of the raster."""
    rows, cols = frame.shape
    far = 4.0 * (rows + cols) + 8.0 * np.pi * frame.per_radian
    found = []
    for pole in (-90.0, 90.0):
        inward = np.concatenate([[0.0], 10.0 ** np.arange(-9.0, 0.0, 0.5), np.arange(1.0, 90.0)])
        lat = pole - np.sign(pole) * inward
        p = np.array([-180.0 + INSET, -120.0, -60.0, 0.0, 60.0, 120.0, 180.0 - INSET])
        x, y = (a.ravel() for a in np.meshgrid(frame.centre[0] + p, lat))
        u, v = (a.reshape(lat.size, p.size) for a in frame.project(x, y))
        with np.errstate(invalid="ignore"):
            good = (np.isfinite(u) & np.isfinite(v) & (np.abs(v - rows / 2) < far)).all(axis=1)
            if frame.kind != "cylindrical":
                good &= (np.abs(u - cols / 2) < far).all(axis=1)
        found.append(float(lat[np.argmax(good)]))
    return found[0], found[1]


def _capped(frame: Frame, natural: float) -> Frame:
    """Limit an azimuthal frame to a cap that contains the raster, within the projection's own domain."""
    rows, cols = frame.shape
    reach = np.concatenate([np.linspace(0.01, natural, 4000)[:-1], natural - 10.0 ** np.arange(-9.0, 0.5, 0.5)])
    reach = np.unique(reach[reach > 0])
    bearing = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    lon, lat = great_circle_direct(frame.centre[0], frame.centre[1], reach[:, None], bearing)
    u, v = (a.reshape(lon.shape) for a in frame.project(lon.ravel(), lat.ravel()))
    (u0,), (v0,) = frame.project(np.array([frame.centre[0]]), np.array([frame.centre[1]]))
    back_lon, back_lat = (a.reshape(lon.shape) for a in frame.lonlat(u, v))
    needed = max(np.hypot(x - u0, y - v0) for x in (0, cols) for y in (0, rows)) * 1.01 + 2.0
    with np.errstate(invalid="ignore"):
        away = great_circle_distance(back_lon, frame.geodetic(back_lat), lon, lat)
        good = (np.isfinite(u) & np.isfinite(v)).all(axis=1) & ~(away > 1e-6).any(axis=1)
        if natural > 90.0:
            good &= np.isfinite(away).all(axis=1) | (reach > 170.0)
        beyond = (np.hypot(u - u0, v - v0) > needed).all(axis=1)
    last = int(np.argmin(good)) if not good.all() else good.size  # position of the first failure
    enough = np.flatnonzero(beyond[:last])
    at = int(enough[0]) if enough.size else last - 1
    if at < 0:
        raise GridError(
            f"PROJ cannot invert the raster's projection around its centre {frame.centre}. Reproject it: "
            'da = da.rio.reproject("IAU_2015:...")'
        )
    return replace(frame, limits=(0.0, float(reach[at])))
