"""Where pixels lie on the body, and where they lie as seen from a crater."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xcrater.geometry.caps import Caps
from xcrater.geometry.grid import Grid
from xcrater.geometry.sphere import geodesic_inverse, great_circle_inverse

Floats = NDArray[np.float64]


def lonlat(grid: Grid, u: ArrayLike, v: ArrayLike) -> tuple[Floats, Floats]:
    """East longitude and planetocentric latitude of pixel coordinates.

    Parameters
    ----------
    grid : Grid
        The raster's grid.
    u, v : array_like
        Along columns and rows; (0.5, 0.5) is the first pixel's centre. They broadcast.

    Returns
    -------
    lon, lat : ndarray
        Degrees. Longitudes run on with columns where the grid goes round the body. NaN where the grid shows no point
        of the body.

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
    """Distance and azimuth of points, each as seen from the centre of a crater of its own.

    Parameters
    ----------
    grid : Grid
        The raster's grid, which says what ellipsoid the points lie on.
    craters : Caps
        Placed on it; one per point, or one for all of them.
    lon, lat : array_like
        East longitude and planetocentric latitude of the points, degrees.

    Returns
    -------
    distance : ndarray
        Length of the great circle, on an ellipsoid that of the geodesic, in crater radii.
    azimuth : ndarray
        Degrees clockwise from north at the crater's centre, in [0, 360); 0 of the centre itself.

    Notes
    -----
    On the sphere distances are those of Vincenty (1975), with the arctangent, which is accurate at every distance;
    on an ellipsoid Karney's (2013), as pyproj computes them.

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
    """Points at some distance and azimuth, each as seen from the centre of a crater of its own: `seen_from` backwards.

    Parameters
    ----------
    grid : Grid
        The raster's grid, which says what ellipsoid the points lie on.
    craters : Caps
        Placed on it; one per point, or one for all of them.
    distance : array_like
        Along the great circle, on an ellipsoid along the geodesic, in crater radii.
    azimuth : array_like
        Degrees clockwise from north at the crater's centre.

    Returns
    -------
    lon, lat : ndarray
        East longitude, within half a turn of the centre's, and planetocentric latitude, degrees. NaN for points more
        than half-way round the body.

    Notes
    -----
    Snyder (1987, eq. 5-3 to 5-6) on the sphere; Karney (2013), as pyproj computes it, on an ellipsoid.

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
