"""Outlines of craters' regions in longitude and latitude, for drawing and for GIS files.

Rings are built around each crater's own meridian, from the half-widths of `xcrater.geometry.sphere.disc_nodes`, and
are closed over a pole if they contain it; `xcrater.geometry.antimeridian` then moves them into [-180, 180].
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from xcrater.geometry.antimeridian import cut_at_antimeridian
from xcrater.geometry.sphere import disc_nodes

Floats = NDArray[np.float64]
Geometries = NDArray[np.object_]

_CIRCLE_VERTICES = 360
_CRATERS_PER_BLOCK = 65_536
_LATTICE = 2.0**-44  # degrees; sums of multiples of this and whole turns are exact


def region_polygons(
    lon: ArrayLike, lat: ArrayLike, radius: ArrayLike, inner: float, outer: float, nvert: int | None
) -> Geometries:
    """Make the outline of each crater's region in longitude and latitude, for drawing and for GIS files.

    Edges are straight in longitude and latitude. A region that contains a pole is closed over it, along latitude ±90.
    A region that crosses the antimeridian is cut there, so that all longitudes lie in [-180, 180].

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
        The disc within ``outer`` radii less the one within ``inner``. A disc of 180° or more is the whole body, so a
        region with such an inner bound is an empty polygon.

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
    lon = np.round(lon / _LATTICE) * _LATTICE
    vertices = _CIRCLE_VERTICES if nvert is None else nvert
    out = np.empty(len(lon), dtype=object)
    for start in range(0, len(lon), _CRATERS_PER_BLOCK):
        block = slice(start, start + _CRATERS_PER_BLOCK)
        shells, _ = _disc_rings(lon[block], lat[block], outer * radius[block], vertices)
        if inner > 0:
            holes, plain = _disc_rings(lon[block], lat[block], inner * radius[block], vertices)
            polygons = _subtract(shells, holes, plain)
        else:
            polygons = shapely.polygons(shells)
        out[block] = cut_at_antimeridian(polygons)
    return out


def _disc_rings(lon: Floats, lat: Floats, radius: Floats, nvert: int) -> tuple[Geometries, NDArray[np.bool_]]:
    """Boundary of each disc in longitudes that continue past ±180, and whether the disc contains no pole."""
    node_lat, half_width = disc_nodes(lat, np.minimum(radius, 180.0), nvert)
    half_width = np.round(half_width / _LATTICE) * _LATTICE
    whole = radius >= 180.0
    north, south = (half_width[:, 0] == 180.0) | whole, (half_width[:, -1] == 180.0) | whole
    # The outline of the whole body runs from pole to pole along the meridian where the strip is cut
    half_width[whole] = 180.0
    node_lat[whole] = np.linspace(90.0, -90.0, node_lat.shape[1])

    rings = np.empty(len(lon), dtype=object)
    for holds_north in (False, True):
        for holds_south in (False, True):
            rows = np.flatnonzero((north == holds_north) & (south == holds_south))
            if not len(rows):
                continue
            # A node on the centre's own meridian belongs to both the east and the west side, so take it once
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
    """Subtract inner discs from discs; `plain` tells which of the inner discs contain no pole."""
    out = np.empty(len(shells), dtype=object)
    out[plain] = shapely.polygons(shells[plain], holes[plain, None])
    # Near a pole, the straight edges of an inner polygon may cross those of a slightly larger one
    rest = ~plain | ~shapely.is_valid(out)
    out[rest] = shapely.difference(shapely.polygons(shells[rest]), shapely.polygons(holes[rest]))
    return out
