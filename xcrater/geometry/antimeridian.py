"""The antimeridian: polygons whose longitudes continue past ±180 are cut there and moved into one turn."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

Geometries = NDArray[np.object_]


def cut_at_antimeridian(polygons: Geometries) -> Geometries:
    """Bring longitudes that are up to a turn out of range into [-180, 180], splitting and merging where needed.

    Parameters
    ----------
    polygons : ndarray of shapely.Polygon, shapely.MultiPolygon or None, shape (n,)
        In longitude and latitude, degrees.

    Returns
    -------
    ndarray of shapely.Polygon, shapely.MultiPolygon or None, shape (n,)
        The same areas; polygons that were in range are the same objects.

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
    # Where polygons touch the cut, intersecting leaves points and lines behind
    areal = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    whole = shapely.multipolygons(parts[areal], indices=row[areal] // 3)
    out = polygons.copy()
    out[crossing] = shapely.union_all(whole[:, None], axis=1)
    return out
