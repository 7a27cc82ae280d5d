"""Polygons given in a projected CRS, drawn straight on the rasters that have this CRS.

There nothing stands between the given vertices and the pixels but the raster's geotransform: no longitudes, no seams of
the map and no edges that bend. GDAL, exactextract and rasterstats draw polygons so. On rasters in another CRS the same
polygons are drawn from longitude and latitude by `xcrater.geometry.outlines.polygon_outlines`.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.geometry.bands import past_poles
from xcrater.geometry.clipping import drawn_shape
from xcrater.geometry.frame import Frame
from xcrater.geometry.polygon_table import PlanePolygons
from xcrater.geometry.projection import same_plane
from xcrater.geometry.rings import Outlines, Rings, assemble, oriented

Floats = NDArray[np.float64]

_AT_THE_POLE = 1e-9
"""Rows nearer to a pole than this lie on it, but for rounding in the geotransform."""


def lies_in_plane(frame: Frame, polygons: PlanePolygons | None) -> bool:
    """Whether polygons were given in the projected CRS of a raster.

    Parameters
    ----------
    frame : Frame
        How the raster lies on the body.
    polygons : PlanePolygons or None
        The polygons as given; None where these were given in longitude and latitude.
    """
    map_plane = frame.map_plane
    return polygons is not None and map_plane is not None and same_plane(map_plane.crs, polygons.crs)


def plane_outlines(frame: Frame, polygons: PlanePolygons) -> Outlines:
    """Outlines of polygons that lie in the plane of a raster, see `lies_in_plane`.

    Parameters
    ----------
    frame : Frame
        How the raster lies on the body.
    polygons : PlanePolygons
        The polygons.

    Returns
    -------
    Outlines
        One shape per polygon, with the given vertices and no others; not clipped to the raster.
    """
    assert frame.map_plane is not None
    x_origin, x_step, y_origin, y_step = frame.map_plane.transform
    u, v = (polygons.x - x_origin) / x_step, (polygons.y - y_origin) / y_step
    if frame.kind == "cylindrical":
        for pole in frame.limit_rows():
            v = np.where(np.abs(v - pole) < _AT_THE_POLE, pole, v)
    owner = np.repeat(np.arange(len(polygons)), np.diff(polygons.shape))
    rings = oriented(Rings(owner, np.diff(polygons.ring), u, v), np.sign(x_step * y_step))
    return past_poles(frame, assemble([rings], len(polygons), frame.period))


def plane_shape(frame: Frame, polygons: PlanePolygons, position: int) -> Any:
    """One of such polygons as a geometry in the plane in which regions are clipped.

    Parameters
    ----------
    frame, polygons
        As for `plane_outlines`.
    position : int
        Which of the polygons.

    Returns
    -------
    shapely geometry or None
        See `xcrater.geometry.clipping.ring_shape`; None where an edge leaves the map.
    """
    outlines = plane_outlines(frame, polygons.take(np.array([position])))
    rings = itertools.pairwise(outlines.ring.tolist())
    return drawn_shape(frame, [(outlines.u[begin:end], outlines.v[begin:end]) for begin, end in rings])
