"""Polygons given in a projected or planetographic CRS, drawn with straight edges on rasters in the same CRS.

On such rasters, only the geotransform lies between the given vertices and the pixels: there are no longitudes, no seams
of the map and no curved edges. GDAL, exactextract and rasterstats draw polygons in the same way. On rasters in another
CRS the edges are curved; `bent_outlines` traces them as closely as the pixels require.
"""

from __future__ import annotations

import itertools
import threading
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray

from xcrater.geometry.bands import past_poles
from xcrater.geometry.clipping import drawn_shape
from xcrater.geometry.frame import Frame
from xcrater.geometry.polygon_table import PlanePolygons, offsets
from xcrater.geometry.projection import classify, metres_per_unit, same_plane, transformer
from xcrater.geometry.rings import Outlines, Rings, assemble, oriented, ring_areas
from xcrater.geometry.sphere import planetocentric_latitude
from xcrater.geometry.tracing import refine

Floats = NDArray[np.float64]

_AT_THE_POLE = 1e-9
"""Rows closer to a pole than this lie on it, apart from rounding in the geotransform."""


def lies_in_plane(frame: Frame, polygons: PlanePolygons | None) -> bool:
    """Whether polygons were given in the CRS of a raster, in which their edges are straight.

    Parameters
    ----------
    frame : Frame
        Frame of the raster.
    polygons : PlanePolygons or None
        The polygons as given; None if they were given in longitude and planetocentric latitude.
    """
    map_plane = frame.map_plane
    return polygons is not None and map_plane is not None and same_plane(map_plane.crs, polygons.crs)


def plane_outlines(frame: Frame, polygons: PlanePolygons) -> Outlines:
    """Outline polygons that were given in the plane of a raster; see `lies_in_plane`.

    Parameters
    ----------
    frame : Frame
        Frame of the raster.
    polygons : PlanePolygons
        The polygons.

    Returns
    -------
    Outlines
        One shape per polygon, with exactly the given vertices; not clipped to the raster.
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
    """Make the geometry of one such polygon in the plane in which regions are clipped.

    Parameters
    ----------
    frame, polygons
        As for `plane_outlines`.
    position : int
        Position of the polygon.

    Returns
    -------
    shapely geometry or None
        See `xcrater.geometry.clipping.ring_shape`; None if an edge leaves the map.
    """
    outlines = plane_outlines(frame, polygons.take(np.array([position])))
    rings = itertools.pairwise(outlines.ring.tolist())
    return drawn_shape(frame, [(outlines.u[begin:end], outlines.v[begin:end]) for begin, end in rings])


def bent_outlines(frame: Frame, polygons: PlanePolygons, seam: float, tolerance: float) -> Rings:
    """Make rings of polygons whose edges are straight in a plane other than the raster's, and curved on the raster.

    Parameters
    ----------
    frame : Frame
        Frame of the raster.
    polygons : PlanePolygons
        Polygons that lie on the map with all of their edges. On a map with a seam they neither contain a pole nor cross
        the seam.
    seam : float
        Meridian at which longitudes are cut, degrees.
    tolerance : float
        Largest distance of the outline from the true edges, pixels.

    Returns
    -------
    Rings
        Rings in pixel coordinates, owned by the polygons' positions; shells have a positive area.
    """
    projection = classify(pyproj.CRS(polygons.crs))
    projected, axes = projection.family != "geographic", projection.axes
    # `refine` assumes that edges which are long in degrees may curve both ways
    degree = np.radians(axes[0]) / metres_per_unit(polygons.crs) if projected else 1.0

    def image(p: Floats, q: Floats) -> tuple[Floats, Floats]:
        lon, lat = p * degree, q * degree
        if projected:
            there, northing_first = transformer(polygons.crs, axes, threading.get_ident())
            point = (lat, lon) if northing_first else (lon, lat)
            lon, lat = map(np.asarray, there.transform(*point, direction="INVERSE", errcheck=False))
        return frame.project(seam + np.mod(lon - seam, 360.0), frame.geodetic(planetocentric_latitude(lat, axes)))

    owner = np.repeat(np.arange(len(polygons)), np.diff(polygons.shape))
    given = Rings(owner, np.diff(polygons.ring), polygons.x / degree, polygons.y / degree)
    rings = refine(frame, given, image, tolerance=tolerance)
    offset = offsets(rings.size)
    wrong = (ring_areas(rings.u, rings.v, offset) < 0) != (ring_areas(polygons.x, polygons.y, polygons.ring) < 0)
    vertex = np.arange(rings.u.size)
    back = np.repeat(offset[:-1] + offset[1:] - 1, rings.size) - vertex
    order = np.where(np.repeat(wrong, rings.size), back, vertex)
    return rings._replace(u=rings.u[order], v=rings.v[order])
