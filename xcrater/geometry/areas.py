"""True areas of pixels on the sphere or ellipsoid, in any projection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.errors import GridError
from xcrater.geometry.area_quadrature import POLYGONS, SHORT, Beyond, by_blocks, enclosed
from xcrater.geometry.areal_scale import Places, Plane, central, plane_of, surrounded
from xcrater.geometry.sphere import geodetic_interval, zone_area

Floats = NDArray[np.float64]
Transform = tuple[float, float, float, float, float, float]
Window = tuple[int, int, int, int]
"""(row_start, row_stop, col_start, col_stop) in pixels of the whole grid."""

_BENT = 3e-6  # areas whose third differences exceed this fraction of them are not smooth


def pixel_areas(crs: Any, transform: Transform, window: Window, *, whole: bool = False) -> Floats:
    """Compute true areas of the pixels of a window.

    Parameters
    ----------
    crs : pyproj.CRS or anything pyproj.CRS.from_user_input takes
        The grid's CRS, geographic or projected.
    transform : tuple of float
        The affine transform (a, b, c, d, e, f) of the corner of pixel (0, 0), in the CRS's units, with b = d = 0:
        x = a column + c, y = e row + f.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop), anywhere on the grid.
    whole : bool
        Whether a pixel across the edge of a map has the area that it would have if all of it were like the part inside,
        so that a fraction of its square has that fraction of the area.

    Returns
    -------
    ndarray
        Areas in m², of shape (1, 1) if all are equal, (rows, 1) if they depend on latitude alone, and (rows, columns)
        otherwise; all broadcast to the last. A pixel outside the projection's domain, or beyond a pole, has the area 0
        (if `whole`, that of all others on an equal-area map). A pixel that is partly outside has the area of the part
        inside, to about 1 % of the whole pixel.

    Raises
    ------
    GridError
        The transform is rotated or flat, or the CRS has no ellipsoid or cannot be used by PROJ.

    Notes
    -----
    Pixels of longitude/latitude grids and cylindrical projections lie between parallels. On the ellipsoid their areas
    are differences of q (Snyder 1987, eq. 3-12), taken without cancellation: relative errors stay near 1e-13 wherever
    latitude is linear in rows, and 1e-15 radians over the pixel's height elsewhere. Equal-area projections have one
    area. For all others, 1 over PROJ's areal scale, a smooth function, is interpolated by polynomials of degree 7 over
    blocks of pixels, which are halved until their last coefficients are below 2e-10 of the first, and is integrated
    exactly over each pixel; PROJ's own derivatives limit this to relative errors of about 1e-10. Where the scale is not
    smooth, the area of a pixel is the integral of x dy of an equal-area map along its sides. Only pixels across the
    edge of the domain are sampled (32 × 32 points).

    If PROJ has a projection for spheres only, it treats an ellipsoid's longitude and geodetic latitude as those of a
    sphere; areas are still those on the ellipsoid.

    Examples
    --------
    >>> areas = pixel_areas("+proj=longlat +R=1737400", (1, 0, -180, 0, -1, 90), (0, 180, 0, 360))
    >>> areas.shape, bool(np.isclose(360 * areas.sum(), 4 * np.pi * 1737400**2, rtol=1e-13))
    ((180, 1), True)
    """
    a, b, c, d, e, f = (float(number) for number in tuple(transform)[:6])
    if b or d or not a or not e or not np.isfinite([a, c, e, f]).all():
        raise GridError(f"received transform={tuple(transform)}; expected (a, 0, c, 0, e, f) with a and e not 0")
    row_start, row_stop, col_start, col_stop = (int(edge) for edge in window)
    if row_stop <= row_start or col_stop <= col_start:
        return np.zeros((max(row_stop - row_start, 0), max(col_stop - col_start, 0)))
    return _areas(plane_of(crs), (a, c, e, f), (row_start, row_stop, col_start, col_stop), "like" if whole else "part")


def areas_around(crs: Any, transform: Transform, window: Window, margin: int) -> Floats:
    """Compute true areas of the pixels of a window and of those around it, as far as areas vary smoothly.

    Parameters
    ----------
    crs, transform, window
        As for `pixel_areas`; the window is not empty.
    margin : int
        Number of pixels to add on every side.

    Returns
    -------
    ndarray
        Areas in m², of shape (1, 1) if all are equal, (rows + 2 margin, 1) if they depend on latitude alone, and
        (rows + 2 margin, columns + 2 margin) otherwise. NaN where they are not smooth (third differences above 3e-6 of
        them), mainly at the edge of the map, and off the map. If latitude is linear in rows, areas past the poles
        continue by the same formula and become negative.
    """
    a, _, c, _, e, f = (float(number) for number in tuple(transform)[:6])
    margin += 2
    around = (window[0] - margin, window[1] + margin, window[2] - margin, window[3] + margin)
    areas = _areas(plane_of(crs), (a, c, e, f), around, "smooth")
    rows, cols = (slice(2, -2) if size > 1 else slice(None) for size in areas.shape)
    bent = np.zeros(areas.shape, bool)
    if areas.shape[1] > 1:
        for axis in (0, 1):  # smooth areas are close to parabolas from pixel to pixel
            most = _BENT * np.abs(areas[:-3] if axis == 0 else areas[:, :-3])
            off = ~(np.abs(np.diff(areas, n=3, axis=axis)) <= most)
            met = np.moveaxis(bent, axis, 0)
            for first in (1, 2):
                met[first : off.shape[axis] + first] |= np.moveaxis(off, axis, 0)
    return np.where(bent, np.nan, areas)[rows, cols]


def enclosed_areas(crs: Any, places: Places, u: Floats, v: Floats, ring: NDArray[np.int64]) -> Floats:
    """Compute true areas of small polygons on any plane.

    Parameters
    ----------
    crs
        As for `pixel_areas`; only its ellipsoid matters.
    places : callable
        East longitude and geodetic latitude of places on the plane, degrees.
    u, v : ndarray, shape (n,)
        Vertices on the plane, where edges are straight; the first vertex of a ring is not repeated.
    ring : ndarray of int64, shape (polygons + 1,)
        Position of each polygon's first vertex, and the number of vertices.

    Returns
    -------
    ndarray, shape (polygons,)
        Areas in m²; NaN if some place has no longitude and latitude.

    Notes
    -----
    An area is the integral of x dy along the edges, on Lambert's azimuthal map of the sphere of equal area (Snyder
    1987, eq. 3-11 and 24-2) around the polygon, interpolated at five Chebyshev points of each edge.
    """
    plane, found = plane_of(crs), [np.empty(0)]
    for first in range(0, ring.size - 1, POLYGONS):
        part = ring[first : first + POLYGONS + 1]
        some = slice(part[0], part[-1])
        found.append(enclosed(plane, places, u[some], v[some], part - part[0], SHORT))
    return np.concatenate(found)


def _areas(plane: Plane, steps: tuple[float, float, float, float], window: Window, beyond: Beyond) -> Floats:
    """Areas of the pixels of a window; `steps` are a, c, e and f of the transform."""
    a, c, e, f = steps
    if plane.linear is not None:
        origin, per_unit, lon_per_unit = plane.linear
        return _between_parallels(
            plane, origin + per_unit * f, per_unit * e, window[:2], abs(a * lon_per_unit), beyond == "smooth"
        )
    x: Floats = c + a * np.arange(window[2], window[3] + 1, dtype=np.float64)
    y: Floats = f + e * np.arange(window[0], window[1] + 1, dtype=np.float64)
    if plane.kind == "cylindrical":
        return _rows_of_cylinder(plane, y, abs(a), beyond == "smooth")
    if plane.kind == "equal area" and (beyond != "part" or surrounded(plane, x, y)):
        return np.array([[abs(a * e) * plane.square_metres]])
    return by_blocks(plane, x, y, beyond)


def _between_parallels(
    plane: Plane, origin: float, step: float, rows: tuple[int, int], width: float, past: bool
) -> Floats:
    """Areas on a grid whose latitude is linear in rows; `origin`, `step` and the `width` of a pixel are in degrees.

    Past the poles they are 0, or if `past`, they continue by the same formula.
    """
    edges = origin + step * np.arange(rows[0], rows[1] + 1)
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    height = np.full(low.size, abs(step))
    if not past:
        inside = (low >= -90.0) & (high <= 90.0)
        low, high = np.clip(low, -90.0, 90.0), np.clip(high, -90.0, 90.0)
        height = np.where(inside, height, high - low)
    if plane.planetocentric and plane.e2 != 0.0:
        low, high, height = geodetic_interval(plane.e2, low, high, height)
    return np.asarray(zone_area(plane.a, plane.e2, low, high, height) * np.radians(width))[:, None]


def _rows_of_cylinder(plane: Plane, y: Floats, a: float, smooth: bool) -> Floats:
    """Areas between the latitudes of row edges; if `smooth`, NaN for rows that are not entirely on the map."""
    assert plane.proj is not None
    lon = central(plane)
    x, equator = plane.proj(lon, 0.0)
    up = np.sign(plane.proj(lon, 1.0)[1] - equator)
    _, lat = plane.proj(np.full_like(y, x), y, inverse=True)
    shown = np.isfinite(lat) & (np.abs(lat) <= 90.0)
    # Edges beyond the map, which the cylindrical equal-area projection has, count as the pole
    lat = np.clip(np.where(np.isfinite(lat), lat, 90.0 * up * np.sign(y - equator)), -90.0, 90.0)
    low, high = np.minimum(lat[:-1], lat[1:]), np.maximum(lat[:-1], lat[1:])
    areas = zone_area(plane.a, plane.e2, low, high, high - low) * np.radians(a * abs(plane.lon_per_unit))
    return np.asarray(np.where(shown[:-1] & shown[1:], areas, np.nan) if smooth else areas)[:, None]
