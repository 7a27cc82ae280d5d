"""Positions of pixels on the body, and relative to a crater."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xcrater.geometry.caps import Caps
from xcrater.geometry.grid import Grid
from xcrater.geometry.sphere import geodesic_inverse, great_circle_inverse

Floats = NDArray[np.float64]


def lonlat(grid: Grid, u: ArrayLike, v: ArrayLike) -> tuple[Floats, Floats]:
    """Convert pixel coordinates to east longitude and planetocentric latitude.

    Parameters
    ----------
    grid : Grid
        The raster's grid.
    u, v : array_like
        Coordinates along columns and rows, which broadcast; (0.5, 0.5) is the first pixel's centre.

    Returns
    -------
    lon, lat : ndarray
        Degrees. Longitudes are continuous along columns if the grid goes round the body. NaN where the grid shows no
        point of the body.

    Examples
    --------
    >>> grid = Grid((180, 360), -180.0, 1.0, 90.0, -1.0, (0, 180), (0, 360))
    >>> [float(at) for at in lonlat(grid, 370.5, 0.5)]
    [190.5, 89.5]
    """
    return grid.to_frame().lonlat(u, v)


def centres(craters: Caps) -> tuple[Floats, Floats]:
    """East longitude and planetocentric latitude of the craters' centres, degrees."""
    return craters.lon, np.degrees(craters.lat)


def seen_from(grid: Grid, craters: Caps, lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    """Distance and azimuth of points from the centres of craters.

    Parameters
    ----------
    grid : Grid
        The raster's grid, which determines the ellipsoid.
    craters : Caps
        Craters placed on the grid; one per point, or one for all of them.
    lon, lat : array_like
        East longitude and planetocentric latitude of the points, degrees.

    Returns
    -------
    distance : ndarray
        Length of the great circle, on an ellipsoid of the geodesic, in crater radii.
    azimuth : ndarray
        Degrees clockwise from north at the crater's centre, in [0, 360); 0 for the centre itself.

    Notes
    -----
    Distances on the sphere follow Vincenty (1975), whose arctangent is accurate at every distance; those on an
    ellipsoid follow Karney (2013), as pyproj computes them.

    Examples
    --------
    >>> from xcrater.engine.craters import place
    >>> grid = Grid((180, 360), -180.0, 1.0, 90.0, -1.0, (0, 180), (0, 360))
    >>> craters = place(grid, np.array([179.0]), np.array([0.0]), np.array([2.0]))
    >>> distance, azimuth = seen_from(grid, craters, [-180.0], [0.0])
    >>> distance.round(9).tolist(), azimuth.tolist()
    ([0.5], [90.0])
    """
    lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    lon0, lat0 = centres(craters)
    frame = grid.frame
    if frame is not None and not frame.sphere:
        metres, azimuth = geodesic_inverse(lon0, frame.geodetic(lat0), lon, frame.geodetic(lat), frame.axes)
        return metres / (craters.radius * frame.radius), azimuth
    angle, azimuth = great_circle_inverse(lon0, lat0, lon, lat)
    return angle / craters.radius, azimuth


def reached(grid: Grid, craters: Caps, distance: ArrayLike, azimuth: ArrayLike) -> tuple[Floats, Floats]:
    """Points at a distance and azimuth from the centres of craters: the inverse of `seen_from`.

    Parameters
    ----------
    grid : Grid
        The raster's grid, which determines the ellipsoid.
    craters : Caps
        Craters placed on the grid; one per point, or one for all of them.
    distance : array_like
        Distance along the great circle, on an ellipsoid along the geodesic, in crater radii.
    azimuth : array_like
        Degrees clockwise from north at the crater's centre.

    Returns
    -------
    lon, lat : ndarray
        East longitude, within half a turn of the centre's, and planetocentric latitude, degrees. NaN for points more
        than half-way round the body.

    Notes
    -----
    Points on the sphere follow Snyder (1987, eq. 5-3 to 5-6); those on an ellipsoid follow Karney (2013), as pyproj
    computes them.

    Examples
    --------
    >>> from xcrater.engine.craters import place
    >>> grid = Grid((180, 360), -180.0, 1.0, 90.0, -1.0, (0, 180), (0, 360))
    >>> craters = place(grid, np.array([179.0]), np.array([0.0]), np.array([2.0]))
    >>> lon, lat = reached(grid, craters, [0.5], [90.0])
    >>> lon.round(9).tolist(), abs(lat).round(9).tolist()
    ([180.0], [0.0])
    """
    frame = grid.to_frame()
    lon0, lat0 = centres(craters)
    distance, azimuth = np.asarray(distance, dtype=float), np.asarray(azimuth, dtype=float)
    angle = distance * craters.radius
    lon, lat = frame.destination(lon0, frame.geodetic(lat0), angle, np.radians(azimuth))
    near = angle <= np.pi
    return np.where(near, lon, np.nan), np.where(near, frame.planetocentric(lat), np.nan)
