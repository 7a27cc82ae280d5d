"""Small circles on the sphere: their vertices, bounds and outlines.

Everything here works in degrees of longitude and latitude around a crater's own meridian. A disc is
symmetric about that meridian, so one number per latitude describes it: the *half-width*, the longitude
difference between the meridian and the disc's edge. The edge is either the true small circle or the
polygon through `nvert` points of it, with edges straight in longitude and latitude.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Geometries = NDArray[np.object_]

_DENSE = 360
_BLOCK = 65_536
_GRID = 2.0**-44


def disc_nodes(lat: ArrayLike, radius: ArrayLike, nvert: int) -> tuple[Floats, Floats]:
    """Vertices of each disc's polygon on the eastern side, from north to south.

    The great-circle direct problem (Snyder 1987, eq. 5-3 to 5-6) at azimuths 0, 360/nvert, ... up to 180°.

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
        Degrees. A first (last) half-width of 180 says that the disc holds the north (south) pole.

    Examples
    --------
    >>> lat, half_width = disc_nodes([0.0], [10.0], 4)
    >>> lat.round(6).tolist(), half_width.round(6).tolist()
    ([[10.0, 0.0, -10.0]], [[0.0, 10.0, 0.0]])
    """
    phi = np.radians(np.asarray(lat, dtype=float))[:, None]
    rho = np.radians(np.asarray(radius, dtype=float))[:, None]
    azimuth = 2 * np.pi * np.arange(nvert // 2 + 1) / nvert
    cos_a, sin_a = np.cos(azimuth), np.sin(azimuth)
    sin_a[-1] = 0.0  # exactly due south, whatever pi rounds to
    x = np.cos(phi) * np.cos(rho) - np.sin(phi) * np.sin(rho) * cos_a
    y = np.sin(rho) * sin_a
    z = np.sin(phi) * np.cos(rho) + np.cos(phi) * np.sin(rho) * cos_a
    return np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))


def region_polygons(
    lon: ArrayLike, lat: ArrayLike, radius: ArrayLike, inner: float, outer: float, nvert: int | None
) -> Geometries:
    """Outline of each crater's region, in longitude and latitude, for drawing and for GIS files.

    Edges are straight in longitude and latitude. A region that holds a pole is closed over it, along latitude
    ±90; one that crosses the antimeridian is cut there, so all longitudes lie in [-180, 180].

    Parameters
    ----------
    lon, lat : array_like, shape (n,)
        Crater centres: east longitude in [-180, 180) and latitude, degrees.
    radius : array_like, shape (n,)
        Angular radius of the craters, degrees.
    inner, outer : float
        Bounds of the region in crater radii, ``0 <= inner < outer``.
    nvert : int or None
        Number of vertices of the polygon that stands for each bounding circle, even. None draws the true circle
        with 360 vertices.

    Returns
    -------
    ndarray of shapely.Polygon or shapely.MultiPolygon, shape (n,)
        The disc within ``outer`` radii less the one within ``inner``. A disc of 180° or more is the whole body,
        so a region whose inner bound is as wide as that is an empty polygon.

    Notes
    -----
    The vertices are those of `disc_nodes`, on both sides of the centre's meridian. Longitudes are rounded to
    2⁻⁴⁴ degrees, so that going round the body is exact and the pieces on the two sides of a cut fit.

    Examples
    --------
    >>> ring, cut = region_polygons([0.0, 180.0], [0.0, 0.0], [2.0, 2.0], 1, 2, 4)
    >>> np.round(ring.exterior.coords, 6).tolist()
    [[0.0, 4.0], [4.0, 0.0], [0.0, -4.0], [-4.0, 0.0], [0.0, 4.0]]
    >>> ring.interiors[0].bounds
    (-2.0, -2.0, 2.0, 2.0)
    >>> cut.geom_type, cut.bounds, len(cut.geoms)
    ('MultiPolygon', (-180.0, -4.0, 180.0, 4.0), 2)
    """
    lon, lat, radius = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (lon, lat, radius))
    lon = np.round(lon / _GRID) * _GRID
    vertices = _DENSE if nvert is None else nvert
    out = np.empty(len(lon), dtype=object)
    for start in range(0, len(lon), _BLOCK):
        block = slice(start, start + _BLOCK)
        shells, _ = _disc_rings(lon[block], lat[block], outer * radius[block], vertices)
        if inner > 0:
            holes, plain = _disc_rings(lon[block], lat[block], inner * radius[block], vertices)
            polygons = _subtract(shells, holes, plain)
        else:
            polygons = shapely.polygons(shells)
        out[block] = cut_at_antimeridian(polygons)
    return out


def _disc_rings(lon: Floats, lat: Floats, radius: Floats, nvert: int) -> tuple[Geometries, NDArray[np.bool_]]:
    """Boundary of each disc in longitudes that run on past ±180, and whether it holds no pole."""
    node_lat, half_width = disc_nodes(lat, np.minimum(radius, 180.0), nvert)
    half_width = np.round(half_width / _GRID) * _GRID
    whole = radius >= 180.0
    north, south = (half_width[:, 0] == 180.0) | whole, (half_width[:, -1] == 180.0) | whole
    # Between the poles of the whole body there is nothing but the meridian where the strip is cut
    half_width[whole] = 180.0
    node_lat[whole] = np.linspace(90.0, -90.0, node_lat.shape[1])

    rings = np.empty(len(lon), dtype=object)
    for holds_north in (False, True):
        for holds_south in (False, True):
            rows = np.flatnonzero((north == holds_north) & (south == holds_south))
            if not len(rows):
                continue
            # A node on the centre's own meridian is both the east and the west side's: take it once
            west = slice(None if holds_north else 1, None if holds_south else -1)
            dlon = [half_width[rows], -half_width[rows, west][:, ::-1]]
            phi = [node_lat[rows], node_lat[rows, west][:, ::-1]]
            corner = np.broadcast_to([180.0, -180.0], (len(rows), 2))
            if holds_south:
                dlon.insert(1, corner)
                phi.insert(1, np.full((len(rows), 2), -90.0))
            if holds_north:
                dlon.append(-corner)
                phi.append(np.full((len(rows), 2), 90.0))
            ring = np.stack([lon[rows, None] + np.hstack(dlon), np.hstack(phi)], axis=-1)
            rings[rows] = shapely.linearrings(ring)
    return rings, ~(north | south)


def _subtract(shells: Geometries, holes: Geometries, plain: NDArray[np.bool_]) -> Geometries:
    """Discs less their inner discs; `plain` says which of the inner ones hold no pole."""
    out = np.empty(len(shells), dtype=object)
    out[plain] = shapely.polygons(shells[plain], holes[plain, None])
    # Near a pole straight edges let an inner polygon reach through a slightly larger one
    rest = ~plain | ~shapely.is_valid(out)
    out[rest] = shapely.difference(shapely.polygons(shells[rest]), shapely.polygons(holes[rest]))
    return out


def cut_at_antimeridian(polygons: Geometries) -> Geometries:
    """Bring longitudes of up to a turn too much into [-180, 180], splitting and merging where needed.

    Parameters
    ----------
    polygons : ndarray of shapely.Polygon, shapely.MultiPolygon or None, shape (n,)
        In longitude and latitude, degrees.

    Returns
    -------
    ndarray of shapely.Polygon, shapely.MultiPolygon or None, shape (n,)
        The same areas; those that were in range are the same objects.

    Examples
    --------
    >>> cut_at_antimeridian(np.array([shapely.box(170, 0, 190, 5)]))[0].bounds
    (-180.0, 0.0, 180.0, 5.0)
    """
    bounds = shapely.bounds(polygons)
    crossing = (bounds[:, 0] < -180.0) | (bounds[:, 2] > 180.0)
    if not crossing.any():
        return polygons
    pieces = []
    for turn in (-360.0, 0.0, 360.0):
        world = shapely.box(-180.0 + turn, -90.0, 180.0 + turn, 90.0)
        piece = shapely.intersection(polygons[crossing], world)
        pieces.append(shapely.transform(piece, lambda xy, turn=turn: xy - [turn, 0.0]))
    parts, row = shapely.get_parts(np.stack(pieces, axis=1).ravel(), return_index=True)
    # Touching the cut leaves points and lines behind
    areal = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    whole = shapely.multipolygons(parts[areal], indices=row[areal] // 3)
    out = polygons.copy()
    out[crossing] = shapely.union_all(whole[:, None], axis=1)
    return out
