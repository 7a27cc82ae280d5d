"""Outlines of regions as rings of vertices in pixel coordinates, for grids without a closed form and for areas.

The boundary of every region is traced on the ellipsoid and projected point by point, with so many points that the
polygon follows the true boundary to a hundredth of a pixel. These functions serve craters placed on a frame's grid
(`xcrater.geometry.caps.Caps`) or polygons in longitude and latitude (`PolygonTable`)::

    ring_outlines(frame, craters, inner, outer, nvert=0, finely=None, ellipses=None) -> Outlines
    polygon_outlines(frame, table, finely=None) -> Outlines
    clipping.ring_shape(frame, craters, i, inner, outer, nvert=0, ellipses=None) -> shapely geometry in the plane
    clipping.polygon_shape(frame, table, i) -> shapely geometry in the plane
    boxes.ring_boxes(frame, craters, outer, nvert=0, ellipses=None) -> (top, bottom, west, east)

With ``ellipses=tracing.Ellipses(semi_major, semi_minor, azimuth)``, one per crater, `inner` and `outer` are multiples
of the ellipse instead of the crater's circle, and the craters' radii do not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from xcrater.geometry.bands import band_rings, joined, past_poles
from xcrater.geometry.caps import Caps
from xcrater.geometry.clipping import LATTICE, polygon_region, ring_region, table_rings, wrapped
from xcrater.geometry.frame import Frame
from xcrater.geometry.plane_polygons import bent_outlines
from xcrater.geometry.polygon_table import PolygonTable, gather
from xcrater.geometry.rings import Outlines, Rings, assemble, oriented
from xcrater.geometry.sphere import great_circle_distance, half_width, polar_coordinates
from xcrater.geometry.tracing import (
    SAGITTA,
    Curves,
    Ellipses,
    Image,
    curves_about,
    refine,
    trace_polygons,
    trace_smoothly,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_BESIDE_SEAM = 1e-6  # degrees
_FINE = 1e-4  # pixels; the tolerance for regions that are clipped, whose parts may be long and thin


def ring_outlines(
    frame: Frame,
    craters: Caps,
    inner: float,
    outer: float,
    nvert: int = 0,
    finely: Bools | None = None,
    ellipses: Ellipses | None = None,
) -> Outlines:
    """Outline every crater's disc or annulus.

    Parameters
    ----------
    frame : Frame
        Frame of the raster.
    craters : Caps
        Craters placed on the frame's grid.
    inner, outer : float
        Bounds of the region in crater radii, or in multiples of the ellipse; no hole if `inner` is 0.
    nvert : int
        Number of vertices of the polygon that stands for each bounding curve, with edges straight in longitude and
        geodetic latitude; 0 draws the true curve, which for a circle is all points at one geodesic distance.
    finely : ndarray of bool, shape (n,), optional
        Craters whose outlines follow the true boundary to a thousandth of a pixel. Without effect if columns are linear
        in longitude.
    ellipses : Ellipses, optional
        One ellipse per crater, instead of circles of the craters' radii.

    Returns
    -------
    Outlines
        One shape per crater. Its vertices depend only on the crater and the frame.
    """
    curves = curves_about(frame, craters, ellipses)
    bounds = [(bound, sign) for bound, sign in ((outer, 1.0), (inner, -1.0)) if bound > 0]
    parts: list[Rings] = []
    if frame.kind == "cylindrical":
        for bound, sign in bounds:
            parts += band_rings(frame, curves.scaled(bound), nvert, sign)
        outlines = past_poles(frame, assemble(parts, len(curves), frame.period))
        return joined(outlines) if inner > 0 else outlines
    plain = well_inside(frame, curves.scaled(outer), nvert)
    if finely is not None:
        plain &= ~finely
    batch = np.flatnonzero(plain)
    for bound, sign in bounds if batch.size else ():
        enclosed = curves.take(batch).scaled(bound)
        traced = trace_polygons(frame, enclosed, nvert) if nvert else trace_smoothly(frame, enclosed)
        parts += [oriented(rings._replace(owner=batch[rings.owner]), sign * frame.hand) for rings, _ in traced]
    for i in np.flatnonzero(~plain).tolist():
        region = ring_region(frame, curves.take(np.array([i])), inner, outer, nvert)
        parts.append(_clipped_rings(frame, i, region, frame.plane_to_pixels))
    return assemble(parts, len(curves), frame.period)


def well_inside(frame: Frame, curves: Curves, nvert: int) -> Bools:
    """Which curves lie so far inside the domain of a map that they are closed curves on it.

    Parameters
    ----------
    frame : Frame
        A frame of the normal or azimuthal kind.
    curves : Curves
        Boundaries of regions.
    nvert : int
        Number of vertices of the polygon that stands for each boundary; 0 for the true curve.
    """
    cap, lon, lat = frame.cap_radius(curves.reach) + 1e-6, curves.lon, curves.lat
    if frame.kind == "azimuthal":
        distance, _ = polar_coordinates(frame.centre, lon, lat)
        if not nvert:
            return np.asarray(distance + cap < frame.limits[1])
        # Edges that are straight in longitude and latitude leave the cap, especially near a pole.
        return np.asarray((distance + 3 * cap < frame.limits[1]) & (np.abs(lat) + 2 * cap < 90.0))
    p = np.mod(lon - frame.centre[0] + 180.0, 360.0) - 180.0
    inside = (lat + cap < frame.limits[1]) & (lat - cap > frame.limits[0]) & (cap < 90.0)
    return np.asarray(inside & (np.abs(p) + half_width(lat, cap) < 180.0 - 1e-6))


def polygon_outlines(frame: Frame, table: PolygonTable, finely: Bools | None = None) -> Outlines:
    """Outline polygons whose edges are straight in longitude and planetocentric latitude, or in another plane.

    Parameters
    ----------
    frame : Frame
        Frame of the raster.
    table : PolygonTable
        The polygons.
    finely : ndarray of bool, shape (len(table),), optional
        As in `ring_outlines`.

    Returns
    -------
    Outlines
        One shape per polygon, clipped to the projection's domain.
    """
    size = np.diff(table.ring)
    owner = np.repeat(np.arange(len(table)), np.diff(table.shape))
    lon, lat = np.round(table.lon / LATTICE) * LATTICE, table.lat
    fine = np.zeros(len(table), bool) if finely is None else finely
    if frame.kind == "cylindrical":
        plain = inside = np.ones(len(table), bool)
    else:
        lon, inside = _near_the_centre(frame, table, lon)
        plain = (inside & ~fine) | (np.diff(table.shape) == 0)
    parts: list[Rings] = []
    bent = np.zeros(len(table), bool)
    for seam, shapes in _away_from_seams(frame, table, inside):
        assert table.plane is not None
        for some, tolerance in ((shapes[~fine[shapes]], SAGITTA), (shapes[fine[shapes]], _FINE)):
            rings = bent_outlines(frame, table.plane.take(some), seam, tolerance)
            parts.append(rings._replace(owner=some[rings.owner]))
        bent[shapes] = True
    batch = np.flatnonzero((plain & ~bent)[owner])
    if batch.size:
        vertices, _ = gather(table.ring, batch)
        rings = Rings(owner[batch], size[batch], lon[vertices], lat[vertices])
        parts.append(oriented(refine(frame, rings, _planetocentric_image(frame)), frame.hand))

    def image(p: Floats, q: Floats) -> tuple[Floats, Floats]:
        return frame.plane_to_pixels(p, q if frame.kind == "azimuthal" else frame.geodetic(q))

    for i in np.flatnonzero(~plain & ~bent).tolist():
        parts.append(_clipped_rings(frame, i, polygon_region(frame, table_rings(table, i, lon)), image))
    return past_poles(frame, assemble(parts, len(table), frame.period))


def _away_from_seams(frame: Frame, table: PolygonTable, inside: Bools) -> list[tuple[float, Ints]]:
    """Polygons given in another plane that can be traced from there, grouped by a meridian that they do not meet.

    `inside` tells which polygons certainly lie well inside the map's domain.
    """
    if table.plane is None:
        return []
    filled = np.diff(table.shape) > 0
    opposite = frame.centre[0] - 180.0
    if frame.kind == "azimuthal":  # azimuthal maps have no seam
        rest = np.flatnonzero(filled & ~inside)
        inside = inside.copy()
        inside[rest] = _on_one_side(frame, table.take(rest))
        return [(opposite, np.flatnonzero(filled & inside))]
    west, east, south, north = _extents(table, table.lon)
    free = filled & inside & (south > -90.0) & (north < 90.0)
    found = []
    for seam in (opposite, frame.centre[0]) if frame.kind == "cylindrical" else (opposite,):
        begin = np.mod(west - seam, 360.0)
        clear = free & (begin > _BESIDE_SEAM) & (begin + (east - west) < 360.0 - _BESIDE_SEAM)
        found.append((seam, np.flatnonzero(clear)))
        free &= ~clear
    return found


def _on_one_side(frame: Frame, table: PolygonTable) -> Bools:
    """Which polygons an azimuthal map shows entirely, because its projection is one-to-one in and around them."""
    if not len(table):
        return np.zeros(0, bool)
    u, v = frame.pixels(table.lon, table.lat)
    shown = np.isfinite(u) & np.isfinite(v)
    lon, lat = frame.lonlat(np.where(shown, u, 0.0), np.where(shown, v, 0.0))
    with np.errstate(invalid="ignore"):
        shown &= great_circle_distance(lon, lat, table.lon, table.lat) < 1e-6
    whole = np.logical_and.reduceat(shown, table.ring[table.shape[:-1]])
    # A region with its boundary inside the domain that nevertheless extends beyond it contains the point opposite
    across, up = frame.centre[0] + 180.0, -frame.planetocentric(np.array(frame.centre[1]))
    polygons = table.polygons()
    for turn in range(-3, 3):
        whole &= ~shapely.intersects_xy(polygons, across + 360.0 * turn, up)
    return np.asarray(whole)


def _planetocentric_image(frame: Frame) -> Image:
    """The map as a function of longitude and planetocentric latitude, identical for longitudes a turn apart."""

    def image(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        lat = frame.geodetic(lat)
        if frame.kind == "azimuthal":
            return frame.project(wrapped(lon), lat)
        return frame.plane_to_pixels(lon - frame.centre[0], lat)

    return image


def _near_the_centre(frame: Frame, table: PolygonTable, lon: Floats) -> tuple[Floats, Bools]:
    """Longitudes of polygons within a turn of the map's centre, and which polygons lie well inside the domain."""
    west, east, south, north = _extents(table, lon)
    turn = 360.0 * np.rint(((west + east) / 2 - frame.centre[0]) / 360.0)
    lon = lon - np.repeat(turn, np.diff(table.ring[table.shape]))
    if frame.kind == "normal":
        inside = (west - turn > frame.centre[0] - 180.0) & (east - turn < frame.centre[0] + 180.0)
        return lon, inside & (frame.geodetic(south) > frame.limits[0]) & (frame.geodetic(north) < frame.limits[1])
    # Every point of a polygon is nearer to the middle of its bounding box than the box's half-diagonal on the ground.
    middle_lat = frame.geodetic((south + north) / 2)
    distance, _ = polar_coordinates(frame.centre, (west + east) / 2, middle_lat)
    reach = (north - south) / 2 * (frame.axes[0] / frame.axes[1]) ** 2 + (east - west) / 2
    return lon, distance + reach < frame.limits[1] - 1e-6


def _extents(table: PolygonTable, lon: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Least and greatest longitude, and least and greatest latitude, of each shape; 0 for shapes without rings."""
    starts = table.ring[table.shape]
    filled = np.flatnonzero(np.diff(starts))
    west, east, south, north = (np.zeros(len(table)) for _ in range(4))
    if filled.size:
        begin = starts[:-1][filled]
        west[filled], east[filled] = (extreme.reduceat(lon, begin) for extreme in (np.minimum, np.maximum))
        south[filled], north[filled] = (extreme.reduceat(table.lat, begin) for extreme in (np.minimum, np.maximum))
    return west, east, south, north


def _clipped_rings(frame: Frame, owner: int, region: Any, image: Image) -> Rings:
    """Make rings in pixel coordinates from a geometry in the plane; `image` maps the plane to pixel coordinates."""
    rings = []
    for part in shapely.get_parts(region):
        if shapely.get_type_id(part) == shapely.GeometryType.POLYGON and not part.is_empty:
            part = shapely.orient_polygons(part) if hasattr(shapely, "orient_polygons") else _orient(part)
            rings += [np.asarray(ring.coords)[:-1] for ring in (part.exterior, *part.interiors)]
    size = np.array([len(ring) for ring in rings], dtype=np.int64)
    p, q = np.concatenate(rings).T if rings else np.empty((2, 0))
    refined = refine(frame, Rings(np.full(size.size, owner), size, p, q), image, tolerance=_FINE)
    return oriented(refined, frame.hand)


def _orient(polygon: Any) -> Any:
    return shapely.geometry.polygon.orient(polygon)
