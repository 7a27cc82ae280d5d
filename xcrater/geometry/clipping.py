"""Regions as geometries in the plane of a frame, clipped to the map's domain.

The plane (`Frame.to_plane`) has longitude from the central meridian and latitude as its coordinates; for azimuthal
maps, the distance from the centre laid off along its azimuth. Maps are torn along straight lines or circles in that
plane, so shapely's intersections cut regions exactly where the map ends. Only regions that meet the rim of the domain
need this, one at a time; all others are traced in batches, see `xcrater.geometry.tracing`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from xcrater.geometry.caps import Caps
from xcrater.geometry.frame import INSET, Frame
from xcrater.geometry.polygon_table import PolygonTable
from xcrater.geometry.rings import signed_area
from xcrater.geometry.sphere import great_circle_direct, great_circle_distance
from xcrater.geometry.tracing import SAGITTA, Curves, Ellipses, curves_about

Floats = NDArray[np.float64]
Course = Callable[[Floats], tuple[Floats, Floats]]
"""East longitude and geodetic latitude along a closed line, as a function of the fraction passed, from 0 to 1."""

LATTICE = 2.0**-43
"""Longitudes that are multiples of this, in degrees, keep their last digit when they are moved by whole turns."""

_RIM_VERTICES = 2**14
_NEGLIGIBLE_BULGE = 1e-9  # degrees


def ring_shape(
    frame: Frame, craters: Caps, i: int, inner: float, outer: float, nvert: int = 0, ellipses: Ellipses | None = None
) -> Any:
    """Make the geometry of one crater's region in the plane in which regions are clipped.

    Parameters
    ----------
    frame : Frame
        Frame of the raster, of the normal or azimuthal kind.
    craters : Caps
        Craters placed on the frame's grid.
    i : int
        Position of the crater.
    inner, outer, nvert, ellipses
        As in `xcrater.geometry.outlines.ring_outlines`.

    Returns
    -------
    shapely geometry
        Edges are straight in longitude and geodetic latitude. If coordinates are polar, they are straight in distance
        from the centre and azimuth, and the region is not clipped to the domain.
    """
    index = np.array([i])
    curve = curves_about(frame, craters.take(index), None if ellipses is None else ellipses.take(index))
    return ring_region(_unclipped(frame), curve, inner, outer, nvert)


def polygon_shape(frame: Frame, table: PolygonTable, i: int) -> Any:
    """Make the geometry of one polygon of a table in the plane in which regions are clipped; see `ring_shape`."""
    shape = polygon_region(_unclipped(frame), table_rings(table, i, table.lon))
    if frame.kind == "azimuthal" or frame.sphere:
        return shape
    # Edges that are straight in planetocentric latitude are curved in geodetic latitude, but little over short lengths
    fine = shapely.segmentize(shape, np.degrees(0.25 / frame.per_radian))
    return shapely.transform(fine, lambda xy: np.stack([xy[:, 0], frame.geodetic(xy[:, 1])], axis=1))


def drawn_shape(frame: Frame, rings: list[tuple[Floats, Floats]]) -> Any:
    """Convert a polygon whose edges are straight on the map to the plane in which regions are clipped.

    Parameters
    ----------
    frame : Frame
        Frame of the raster, of the normal or azimuthal kind.
    rings : list of (u, v)
        Vertices of the polygon's rings in pixel coordinates: shells with a positive area, holes with a negative one.

    Returns
    -------
    shapely geometry or None
        A geometry like that of `ring_shape`; None if an edge leaves the map.
    """
    frame = _unclipped(frame)
    shells: list[Any] = []
    holes: list[Any] = []
    for u, v in rings:
        is_shell = signed_area(u, v) > 0
        if is_shell != (frame.hand > 0):
            u, v = u[::-1], v[::-1]
        course = _along_drawn_edges(frame, u, v)
        p, q = _traced(frame, course, np.linspace(0.0, 1.0, u.size * max(8, 256 // u.size) + 1))
        if not (np.isfinite(p) & np.isfinite(q)).all():
            return None
        (shells if is_shell else holes).append(_clipped(frame, p, q))
    return shapely.difference(shapely.union_all(shells), shapely.union_all(holes))


def _along_drawn_edges(frame: Frame, u: Floats, v: Floats) -> Course:
    """The course along the edges of a ring, which are straight in pixel coordinates."""
    corner, corners_u, corners_v = np.arange(u.size + 1), np.append(u, u[0]), np.append(v, v[0])

    def course(t: Floats) -> tuple[Floats, Floats]:
        along_u, along_v = np.interp(t * u.size, corner, corners_u), np.interp(t * u.size, corner, corners_v)
        return frame.from_plane(*frame.plane(along_u, along_v))

    return course


def ring_region(frame: Frame, curve: Curves, inner: float, outer: float, nvert: int) -> Any:
    """The region between two multiples of one curve, clipped to the domain.

    Parameters
    ----------
    frame : Frame
        A frame of the normal or azimuthal kind.
    curve : Curves
        A single curve.
    inner, outer : float
        The multiples; no hole if `inner` is 0.
    nvert : int
        Number of vertices of the polygon that stands for each bounding curve; 0 for the true curve.
    """
    region = _enclosed_by(frame, curve.scaled(outer), nvert)
    return shapely.difference(region, _enclosed_by(frame, curve.scaled(inner), nvert)) if inner > 0 else region


def _enclosed_by(frame: Frame, curve: Curves, nvert: int) -> Any:
    """The region enclosed by one curve, clipped to the domain."""
    if frame.cap_radius(curve.reach)[0] >= 180.0:
        return domain(frame)
    course: Course
    if nvert:
        corners_x, corners_y = (axis[0] for axis in curve.points(frame, 2 * np.pi * np.arange(nvert) / nvert))
        corners_x = np.unwrap(corners_x, period=360.0)
        closing = (corners_x[0] - corners_x[-1] + 180.0) % 360.0 - 180.0
        corners_x, corners_y = np.append(corners_x, corners_x[-1] + closing), np.append(corners_y, corners_y[0])

        def course(t: Floats) -> tuple[Floats, Floats]:
            corner = np.arange(nvert + 1)
            return np.interp(t * nvert, corner, corners_x), np.interp(t * nvert, corner, corners_y)

        first = np.linspace(0.0, 1.0, nvert * max(1, 256 // nvert) + 1)
    else:

        def course(t: Floats) -> tuple[Floats, Floats]:
            lon, lat = curve.points(frame, 2 * np.pi * t)
            return lon[0], lat[0]

        first = np.linspace(0.0, 1.0, 513)
    return _clipped(frame, *_traced(frame, course, first))


def polygon_region(frame: Frame, rings: list[tuple[Floats, Floats]]) -> Any:
    """Clip a polygon to the domain.

    Parameters
    ----------
    frame : Frame
        A frame of the normal or azimuthal kind.
    rings : list of (lon, lat)
        Vertices of the polygon's rings, degrees, with edges straight in longitude and planetocentric latitude. Points
        within an odd number of rings are inside.

    Returns
    -------
    shapely geometry
        The region in the plane of the frame, but with planetocentric latitudes unless coordinates are polar.
    """
    if frame.kind != "azimuthal":
        shape = reduce(
            shapely.symmetric_difference,
            [valid(shapely.Polygon(np.stack([x - frame.centre[0], y], axis=1))) for x, y in rings],
            shapely.Polygon(),
        )
        low, high = frame.planetocentric(np.array(frame.limits))
        band = shapely.box(shape.bounds[0], low, shape.bounds[2], high)
        return _brought_onto_map(frame, shapely.intersection(shape, band))
    shape, outside = shapely.Polygon(), False
    for x, y in rings:
        course = _along_edges(frame, x, y)
        p, q = _traced(frame, course, np.linspace(0.0, 1.0, x.size * max(8, 256 // x.size) + 1))
        # A ring whose orientation in the plane differs from that in longitude and latitude encloses the point opposite.
        outside ^= bool(signed_area(p, q) * signed_area(x, y) < 0)
        shape = shapely.symmetric_difference(shape, valid(shapely.Polygon(np.stack([p, q], axis=1))))
    whole = domain(frame)
    return shapely.difference(whole, shape) if outside else shapely.intersection(whole, shape)


def _along_edges(frame: Frame, lon: Floats, lat: Floats) -> Course:
    """The course along the edges of a ring, which are straight in longitude and planetocentric latitude."""
    corner, corners_x, corners_y = np.arange(lon.size + 1), np.append(lon, lon[0]), np.append(lat, lat[0])

    def course(t: Floats) -> tuple[Floats, Floats]:
        x, y = np.interp(t * lon.size, corner, corners_x), np.interp(t * lon.size, corner, corners_y)
        return wrapped(x), frame.geodetic(y)

    return course


def table_rings(table: PolygonTable, i: int, lon: Floats) -> list[tuple[Floats, Floats]]:
    """Longitudes and latitudes of each ring of a shape in a table, with `lon` in place of the table's longitudes."""
    rings = itertools.pairwise(table.ring[table.shape[i] : table.shape[i + 1] + 1].tolist())
    return [(lon[a:b], table.lat[a:b]) for a, b in rings]


def wrapped(lon: Floats) -> Floats:
    """Longitude in [-180, 180); longitudes a turn apart give identical results to the last digit."""
    return np.asarray(np.mod(np.round(lon / LATTICE) * LATTICE + 180.0, 360.0) - 180.0)


def valid(shape: Any) -> Any:
    """Make a polygon valid whose ring touches itself, as the area that the ring encloses an odd number of times."""
    if shapely.is_valid(shape):
        return shape
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shape)))
    return shapely.multipolygons(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])


# The domain of a map


def domain(frame: Frame) -> Any:
    """The part of the body that the map shows, as a polygon in the plane."""
    if frame.kind == "azimuthal":
        return _disc(frame.limits[1])
    rim = 180.0 - INSET
    return shapely.box(-rim, frame.limits[0], rim, frame.limits[1])


@lru_cache(maxsize=16)
def _disc(radius: float) -> Any:
    turn = 2 * np.pi * np.arange(_RIM_VERTICES) / _RIM_VERTICES
    return shapely.Polygon(np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1))


def _unclipped(frame: Frame) -> Frame:
    """A copy of a frame whose domain is the whole body, if the plane shows all of it."""
    return replace(frame, limits=(0.0, 180.0)) if frame.kind == "azimuthal" else frame


def _traced(frame: Frame, course: Course, t: Floats) -> tuple[Floats, Floats]:
    """Vertices, in the plane, of a closed line that follows its course on the ground to a fraction of a pixel.

    `t` are the first vertices to try. Further vertices between them are moved outward by a third of their distance from
    the chord, which is Simpson's rule for the area.
    """
    tolerance = 0.1 * SAGITTA / frame.per_radian
    p, q = frame.to_plane(*course(t))
    for depth in range(41):
        middle = (t[1:] + t[:-1]) / 2
        mid_p, mid_q = frame.to_plane(*course(middle))
        step = np.diff(p) if frame.kind == "azimuthal" else np.mod(np.diff(p) + 180.0, 360.0) - 180.0
        chord_p, chord_q = p[:-1] + step / 2, (q[1:] + q[:-1]) / 2
        off = great_circle_distance(*_ground(frame, mid_p, mid_q), *_ground(frame, chord_p, chord_q))
        split = np.flatnonzero((off > tolerance) & (np.diff(t) > 1e-12))
        if not split.size or depth == 40:
            break
        t = np.insert(t, split + 1, middle[split])
        p, q = np.insert(p, split + 1, mid_p[split]), np.insert(q, split + 1, mid_q[split])
    bulge_p, bulge_q = mid_p - chord_p, mid_q - chord_q
    if frame.kind != "azimuthal":
        bulge_p = np.mod(bulge_p + 180.0, 360.0) - 180.0
    add = np.flatnonzero(np.hypot(bulge_p, bulge_q) > _NEGLIGIBLE_BULGE)
    p = np.insert(p, add + 1, (chord_p + 4 / 3 * bulge_p)[add])
    q = np.insert(q, add + 1, (chord_q + 4 / 3 * bulge_q)[add])
    return (p if frame.kind == "azimuthal" else np.unwrap(p, period=360.0)), q


def _ground(frame: Frame, p: Floats, q: Floats) -> tuple[Floats, Floats]:
    """Longitude from an arbitrary meridian, and geodetic latitude, of points of the plane, on the map or not."""
    if frame.kind == "azimuthal":
        return great_circle_direct(*frame.centre, np.hypot(p, q), np.arctan2(p, q))
    return p, q


def _clipped(frame: Frame, p: Floats, q: Floats) -> Any:
    """The area to the left of a closed line in the plane, clipped to the domain."""
    if frame.kind == "azimuthal":
        ring = valid(shapely.Polygon(np.stack([p, q], axis=1)))
        if signed_area(p, q) > 0:
            return shapely.intersection(ring, domain(frame))
        return shapely.difference(domain(frame), ring)
    p = np.round(p / LATTICE) * LATTICE
    turns = round((p[-1] - p[0]) / 360.0)
    if turns:
        p[-1], q[-1] = p[0] + 360.0 * turns, q[0]
        pole = 90.0 * turns
        shape = shapely.Polygon(np.stack([np.append(p, [p[-1], p[0]]), np.append(q, [pole, pole])], axis=1))
    else:
        p[-1], q[-1] = p[0], q[0]
        shape = shapely.Polygon(np.stack([p, q], axis=1))
        if signed_area(p, q) < 0:
            west = np.round((shape.centroid.x - 180.0) / LATTICE) * LATTICE
            shape = shapely.difference(shapely.box(west, -90.0, west + 360.0, 90.0), valid(shape))
    return _brought_onto_map(frame, valid(shape))


def _brought_onto_map(frame: Frame, shape: Any) -> Any:
    """Cut a shape with continuous longitudes at the seam of the map, and move its parts onto the map."""
    west, _, east, _ = shape.bounds
    pieces = []
    for turn in range(int(np.floor((west + 180.0) / 360.0)), int(np.floor((east + 180.0) / 360.0)) + 1):
        moved = shapely.transform(shape, lambda xy, turn=turn: xy - [360.0 * turn, 0.0])
        pieces.append(shapely.intersection(moved, domain(frame)))
    return shapely.union_all(pieces)
