"""Formulas of the sphere and of the ellipsoid of revolution: great circles, geodesics, small circles and latitudes.

Longitudes are east longitudes, and azimuths run clockwise from north. Longitudes and latitudes are in degrees; the unit
of every other angle is stated. All functions are vectorised and broadcast their arguments.

Compiled kernels carry their own copies of the few formulas that they evaluate per pixel (`xcrater.kernels.resample`
the direct problem, `xcrater.kernels.half_widths` and `xcrater.kernels.disc_areas` half-widths of discs): they cannot
call numpy code, and they trade generality for speed.

References
----------
Snyder, J. P. (1987). Map Projections: A Working Manual. USGS Professional Paper 1395.
Vincenty, T. (1975). Direct and inverse solutions of geodesics on the ellipsoid. Survey Review 23(176), 88-93.
Karney, C. F. F. (2013). Algorithms for geodesics. Journal of Geodesy 87, 43-55.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Great circles


def great_circle_direct(lon: Any, lat: Any, distance: Any, azimuth: Any) -> tuple[Floats, Floats]:
    """Solve the direct problem on the sphere: the end points of great circles (Snyder 1987, eq. 5-3 to 5-6).

    Parameters
    ----------
    lon, lat : array_like
        Starting points, degrees.
    distance : array_like
        Angular distance, degrees.
    azimuth : array_like
        Azimuth at the start, radians.

    Returns
    -------
    lon, lat : ndarray
        End points, degrees; longitudes within half a turn of the start's.

    Examples
    --------
    >>> lon, lat = great_circle_direct(170.0, 0.0, 20.0, np.pi / 2)
    >>> float(lon.round(9)), float(abs(lat).round(9))
    (190.0, 0.0)
    """
    x, y, z = _direct_vector(np.radians(lat), np.radians(distance), np.cos(azimuth), np.sin(azimuth))
    return lon + np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def great_circle_inverse(lon: Any, lat: Any, other_lon: Any, other_lat: Any) -> tuple[Floats, Floats]:
    """Solve the inverse problem on the sphere: distance and azimuth from one point to another.

    Parameters
    ----------
    lon, lat : array_like
        Starting points, degrees.
    other_lon, other_lat : array_like
        End points, degrees.

    Returns
    -------
    distance : ndarray
        Length of the great circle, radians.
    azimuth : ndarray
        Azimuth at the start, degrees in [0, 360); 0 if both points coincide.

    Notes
    -----
    This is the spherical case of Vincenty (1975), whose arctangent is accurate at every distance.

    Examples
    --------
    >>> distance, azimuth = great_circle_inverse(179.0, 0.0, -180.0, 0.0)
    >>> float(np.degrees(distance).round(9)), float(azimuth)
    (1.0, 90.0)
    """
    turn, phi, phi_0 = np.radians(other_lon - lon), np.radians(other_lat), np.radians(lat)
    east, north, up = _local_vector(np.sin(phi_0), np.cos(phi_0), phi, turn)
    azimuth = np.mod(np.degrees(np.arctan2(east, north)), 360.0)
    return np.arctan2(np.hypot(east, north), up), np.where(azimuth == 360.0, 0.0, azimuth)


def polar_coordinates(centre: tuple[float, float], lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Angular distance and azimuth of points from one centre, such as that of an azimuthal projection.

    Parameters
    ----------
    centre : tuple of float
        Longitude and latitude of the centre, degrees. From a pole, every meridian has its own azimuth.
    lon, lat : ndarray
        The points, degrees.

    Returns
    -------
    distance : ndarray
        Angular distance, degrees.
    azimuth : ndarray
        Azimuth, radians in [-pi, pi].
    """
    phi, turn = np.radians(lat), np.radians(lon - centre[0])
    sin_0, cos_0 = np.sin(np.radians(centre[1])), np.cos(np.radians(centre[1]))
    cos_0 = 0.0 if abs(centre[1]) == 90.0 else cos_0  # exact, so that meridians stay distinct even at the opposite pole
    east, north, up = _local_vector(sin_0, cos_0, phi, turn)
    return np.degrees(np.arctan2(np.hypot(east, north), up)), np.arctan2(east, north)


def great_circle_distance(lon: Floats, lat: Floats, other_lon: Floats, other_lat: Floats) -> Floats:
    """Angular distance between points, radians, by haversines, which are accurate for points that are close together.

    Parameters
    ----------
    lon, lat, other_lon, other_lat : ndarray
        The points, degrees.
    """
    half = np.radians(other_lon - lon) / 2
    phi, other = np.radians(lat), np.radians(other_lat)
    haversine = np.sin((other - phi) / 2) ** 2 + np.cos(phi) * np.cos(other) * np.sin(half) ** 2
    return np.asarray(2 * np.arcsin(np.sqrt(np.minimum(1.0, haversine))))


def _direct_vector(phi: Any, rho: Any, cos_azimuth: Any, sin_azimuth: Any) -> tuple[Any, Any, Any]:
    """Unit vector to the end of a great circle: x towards the start's meridian at the equator, z to the north pole."""
    sin_rho, cos_rho, sin_phi, cos_phi = np.sin(rho), np.cos(rho), np.sin(phi), np.cos(phi)
    x = cos_phi * cos_rho - sin_phi * sin_rho * cos_azimuth
    y = sin_rho * sin_azimuth
    z = sin_phi * cos_rho + cos_phi * sin_rho * cos_azimuth
    return x, y, z


def _local_vector(sin_0: Any, cos_0: Any, phi: Any, turn: Any) -> tuple[Any, Any, Any]:
    """East, north and up components of points in the horizon system of a centre; angles in radians."""
    east = np.cos(phi) * np.sin(turn)
    north = cos_0 * np.sin(phi) - sin_0 * np.cos(phi) * np.cos(turn)
    up = sin_0 * np.sin(phi) + cos_0 * np.cos(phi) * np.cos(turn)
    return east, north, up


# Small circles


def half_width(lat: Floats, radius: Floats) -> Floats:
    """Greatest longitude difference between a small circle and its centre, degrees.

    Parameters
    ----------
    lat : ndarray
        Latitude of the centre, degrees.
    radius : ndarray
        Angular radius, degrees; below 90.

    Returns
    -------
    ndarray
        Degrees; 90 or NaN if the circle contains a pole, so that every longitude meets it.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.degrees(np.arcsin(np.minimum(1.0, np.sin(np.radians(radius)) / np.cos(np.radians(lat)))))


def disc_nodes(lat: ArrayLike, radius: ArrayLike, nvert: int) -> tuple[Floats, Floats]:
    """Vertices on the eastern side of the polygon that stands for each small circle, from north to south.

    A disc is symmetric about its centre's meridian, so that one number per latitude describes it: the half-width,
    the longitude difference between the meridian and the disc's edge. Vertices lie on the true circle at azimuths 0,
    360 / nvert, ... up to 180 degrees (direct problem, Snyder 1987, eq. 5-3 to 5-6).

    Parameters
    ----------
    lat : array_like, shape (n,)
        Latitude of the centres, degrees.
    radius : array_like, shape (n,)
        Angular radius, degrees, between 0 and 180.
    nvert : int
        Number of vertices of the whole polygon, even.

    Returns
    -------
    node_lat, node_half_width : ndarray, shape (n, nvert // 2 + 1)
        Degrees. A first (last) half-width of 180 means that the disc contains the north (south) pole.

    Examples
    --------
    >>> lat, half_width = disc_nodes([0.0], [10.0], 4)
    >>> lat.round(6).tolist(), half_width.round(6).tolist()
    ([[10.0, 0.0, -10.0]], [[0.0, 10.0, 0.0]])
    """
    phi = np.radians(np.asarray(lat, dtype=float))[:, None]
    rho = np.radians(np.asarray(radius, dtype=float))[:, None]
    azimuth = 2 * np.pi * np.arange(nvert // 2 + 1) / nvert
    cos_azimuth, sin_azimuth = np.cos(azimuth), np.sin(azimuth)
    sin_azimuth[-1] = 0.0  # exactly due south, despite the rounding of pi
    x, y, z = _direct_vector(phi, rho, cos_azimuth, sin_azimuth)
    return np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))


# Geodesics of the ellipsoid


@lru_cache(maxsize=256)
def _geod(axes: tuple[float, float], thread: int) -> pyproj.Geod:
    """Geodesics on an ellipsoid; one object per thread, because PROJ objects must not be shared."""
    return pyproj.Geod(a=axes[0], b=axes[1])


def geodesic_direct(
    lon: Floats, lat: Floats, metres: Floats, azimuth: Floats, axes: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Solve the direct problem on an ellipsoid: the end points of geodesics (Karney 2013, as pyproj computes it).

    Parameters
    ----------
    lon, lat : ndarray
        Starting points: longitude and geodetic latitude, degrees.
    metres : ndarray
        Length of the geodesic.
    azimuth : ndarray
        Azimuth at the start, radians.
    axes : tuple of float
        Semi-major and semi-minor axis of the ellipsoid, metres.

    Returns
    -------
    lon, lat : ndarray
        End points, degrees; longitudes within half a turn of the start's.
    """
    shape = np.broadcast_shapes(np.shape(lon), np.shape(metres), np.shape(azimuth))
    arguments = (lon, lat, np.degrees(azimuth), metres)
    start_lon, start_lat, turn, length = (np.array(np.broadcast_to(a, shape)).ravel() for a in arguments)
    x, y, _ = _geod(axes, threading.get_ident()).fwd(start_lon, start_lat, turn, length, return_back_azimuth=False)
    x, y = x.reshape(shape), y.reshape(shape)
    return lon + np.mod(x - lon + 180.0, 360.0) - 180.0, y


def geodesic_inverse(
    lon: Any, lat: Any, other_lon: Any, other_lat: Any, axes: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Solve the inverse problem on an ellipsoid: length and azimuth of geodesics (Karney 2013, as pyproj computes it).

    Parameters
    ----------
    lon, lat, other_lon, other_lat : array_like
        Starting and end points: longitude and geodetic latitude, degrees.
    axes : tuple of float
        Semi-major and semi-minor axis of the ellipsoid, metres.

    Returns
    -------
    metres : ndarray
        Length of the geodesic.
    azimuth : ndarray
        Azimuth at the start, degrees in [0, 360); 0 if both points coincide.
    """
    lon, lat, other_lon, other_lat = np.broadcast_arrays(lon, lat, other_lon, other_lat)
    azimuth, _, metres = _geod(axes, threading.get_ident()).inv(lon, lat, other_lon, other_lat)
    azimuth = np.mod(azimuth, 360.0)
    azimuth = np.where((azimuth == 360.0) | (np.asarray(metres) == 0.0), 0.0, azimuth)
    return np.asarray(metres), azimuth


# Latitudes


def geodetic_latitude(lat: Floats, axes: tuple[float, float]) -> Floats:
    """Convert planetocentric to geodetic latitude (Snyder 1987, eq. 3-28).

    Parameters
    ----------
    lat : ndarray
        Planetocentric latitude, degrees.
    axes : tuple of float
        Semi-major and semi-minor axis of the ellipsoid.

    Returns
    -------
    ndarray
        Degrees; the argument itself on a sphere.
    """
    return _scale_tangent(lat, (axes[0] / axes[1]) ** 2)


def planetocentric_latitude(lat: Floats, axes: tuple[float, float]) -> Floats:
    """Convert geodetic to planetocentric latitude (Snyder 1987, eq. 3-28).

    Parameters
    ----------
    lat : ndarray
        Geodetic latitude, degrees. Latitudes beyond the poles stay beyond them.
    axes : tuple of float
        Semi-major and semi-minor axis of the ellipsoid.

    Returns
    -------
    ndarray
        Degrees; the argument itself on a sphere.
    """
    return _scale_tangent(lat, (axes[1] / axes[0]) ** 2)


def _scale_tangent(lat: Floats, factor: float) -> Floats:
    if factor == 1.0:
        return lat
    phi = np.radians(lat)
    scaled = np.degrees(np.arctan2(factor * np.sin(phi), np.cos(phi)))
    return np.asarray(np.where(np.abs(lat) == 90.0, lat, scaled))  # keep poles exact to the last digit


def geodetic_interval(e2: float, low: Floats, high: Floats, height: Floats) -> tuple[Floats, Floats, Floats]:
    """Convert planetocentric to geodetic latitudes (Snyder 1987, eq. 3-28), with their difference free of cancellation.

    Parameters
    ----------
    e2 : float
        Squared eccentricity of the ellipsoid.
    low, high : ndarray
        Planetocentric latitudes, degrees.
    height : ndarray
        ``high - low``, degrees, passed separately because it may be known to more digits than the difference.

    Returns
    -------
    low, high, height : ndarray
        The geodetic latitudes and their difference, degrees.
    """
    k = 1.0 / (1.0 - e2)
    s, t = (np.degrees(np.arctan2(k * np.sin(np.radians(v)), np.cos(np.radians(v)))) for v in (low, high))
    # The tangent of the difference follows from both tangents without loss of digits
    u, v = np.radians(low), np.radians(high)
    apart = np.arctan2(k * np.sin(np.radians(height)), np.cos(u) * np.cos(v) + k**2 * np.sin(u) * np.sin(v))
    return np.where(np.abs(low) == 90.0, low, s), np.where(np.abs(high) == 90.0, high, t), np.degrees(apart)


def zone_area(a: float, e2: float, low: Floats, high: Floats, height: Floats) -> Floats:
    """Area between two parallels over one radian of longitude.

    Parameters
    ----------
    a : float
        Semi-major axis of the ellipsoid, metres.
    e2 : float
        Squared eccentricity of the ellipsoid.
    low, high : ndarray
        Geodetic latitudes of the parallels, degrees.
    height : ndarray
        ``high - low``, degrees, passed separately because it may be known to more digits than the difference.

    Returns
    -------
    ndarray
        Area, m².

    Notes
    -----
    This is the difference of two values of q (Snyder 1987, eq. 3-12), rearranged so that neither of its terms suffers
    from cancellation.
    """
    middle = (low + high) / 2
    cosine = np.where(np.abs(middle) > 45.0, np.sin(np.radians(90.0 - np.abs(middle))), np.cos(np.radians(middle)))
    rise = 2 * cosine * np.sin(np.radians(height) / 2)
    if e2 == 0.0:
        return np.asarray(a**2 * rise)
    s, t = np.sin(np.radians(low)), np.sin(np.radians(high))
    e = np.sqrt(abs(e2))
    first = rise * (1 + e2 * s * t) / ((1 - e2 * s**2) * (1 - e2 * t**2))
    curve = np.arctanh if e2 > 0 else np.arctan
    second = curve(e * rise / (1 - e2 * s * t)) / e
    return np.asarray(a**2 * (1 - e2) * (first + second) / 2)
