"""Pixel bounds of regions for the plan: never too small, perhaps too large, and much cheaper than outlines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xcrater.geometry.caps import Caps
from xcrater.geometry.frame import Frame
from xcrater.geometry.outlines import ring_outlines, well_inside
from xcrater.geometry.sphere import great_circle_direct, half_width, polar_coordinates
from xcrater.geometry.tracing import BATCH, SAGITTA, Ellipses, curves_about

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_POINTS = 16  # number of points around a cap


def ring_boxes(
    frame: Frame, craters: Caps, outer: float, nvert: int = 0, ellipses: Ellipses | None = None
) -> tuple[Floats, Floats, Floats, Floats]:
    """Pixel bounds that contain every crater's largest region, perhaps with a margin.

    Parameters
    ----------
    frame : Frame
        Frame of the raster.
    craters : Caps
        Craters placed on the frame's grid.
    outer : float
        Bound of the region in crater radii, or in multiples of the ellipse.
    nvert : int
        Number of vertices of the region's polygon; 0 for the true curve.
    ellipses : Ellipses, optional
        One ellipse per crater, instead of circles of the craters' radii.

    Returns
    -------
    top, bottom, west, east : ndarray, shape (n,)
        First and last row and column coordinate; NaN for regions that lie off the map.

    Notes
    -----
    A few points around the region are projected. The margin is half a pixel plus the greatest second difference between
    them, which is eight times the distance of an arc from its chord. Ellipses have the boxes of the circles around
    them.
    """
    curves = curves_about(frame, craters, ellipses).scaled(outer)
    lon, lat = curves.lon, curves.lat
    cap = frame.cap_radius(curves.reach)
    found = np.full((4, lon.size), np.nan)
    if frame.kind == "cylindrical":
        for start in range(0, lon.size, BATCH // _POINTS):
            block = slice(start, start + BATCH // _POINTS)
            found[:, block] = _band_boxes(frame, lon[block], lat[block], cap[block])
        return found[0], found[1], found[2], found[3]
    # Regions well inside the domain, around which the map is smooth
    done = well_inside(frame, curves.scaled(1.5), nvert)
    if frame.kind != "azimuthal" or nvert:
        done &= np.abs(lat) + 1.5 * cap < 90.0
    rows = np.flatnonzero(done)
    for start in range(0, rows.size, BATCH // _POINTS):
        batch = rows[start : start + BATCH // _POINTS]
        x, y = _points_around(lon[batch], lat[batch], cap[batch], nvert)
        u, v = (a.reshape(x.shape) for a in frame.project(x.ravel(), y.ravel()))
        found[:, batch] = _bounds(u, v, closed=nvert == 0)
    if frame.kind == "azimuthal":
        done |= _off_the_map(frame, lon, lat, cap, nvert)
        rest = np.flatnonzero(~done)
        distance, _ = polar_coordinates(frame.centre, lon[rest], lat[rest])
        small = (cap[rest] < 5.0) & (distance + 4 * cap[rest] < 176.0)
        small &= (np.abs(lat[rest]) + 2 * cap[rest] < 90.0) | (nvert == 0)
        batch = rest[small]
        if batch.size:
            found[:, batch] = _rim_boxes(frame, *_points_around(lon[batch], lat[batch], cap[batch], nvert), nvert)
            done[batch] = True
    rest = np.flatnonzero(~done)
    if rest.size:
        chosen = None if ellipses is None else ellipses.take(rest)
        outlines = ring_outlines(frame, craters.take(rest), 0.0, outer, nvert, ellipses=chosen)
        west, east, top, bottom = outlines.bounds()
        found[:, rest] = np.stack([top - 0.5, bottom + 0.5, west - 0.5, east + 0.5])
    return found[0], found[1], found[2], found[3]


def _off_the_map(frame: Frame, lon: Floats, lat: Floats, cap: Floats, nvert: int) -> Bools:
    """Which regions certainly lie outside an azimuthal domain."""
    distance, _ = polar_coordinates(frame.centre, lon, lat)
    if nvert:
        return np.asarray((np.abs(lat) + 2 * cap < 90.0) & (distance - 3 * cap >= frame.limits[1]))
    return np.asarray(distance - cap >= frame.limits[1])


def _rim_boxes(frame: Frame, lon: Floats, lat: Floats, nvert: int) -> Floats:
    """Bounds of small regions across the rim of an azimuthal domain, from points on them, shape (n, k)."""
    distance, azimuth = polar_coordinates(frame.centre, lon, lat)
    # Points beyond the rim are moved onto it, because a region may cross the rim anywhere between two of its points.
    x, y = great_circle_direct(*frame.centre, np.minimum(distance, frame.limits[1]), azimuth)
    u, v = (a.reshape(x.shape) for a in frame.project(x.ravel(), y.ravel()))
    step = [np.abs(np.diff(axis, axis=1)).max(axis=1) for axis in (v, u)]
    return np.asarray(_bounds(u, v, closed=nvert == 0) + np.stack([-step[0], step[0], -step[1], step[1]]))


def _band_boxes(frame: Frame, lon: Floats, lat: Floats, cap: Floats) -> Floats:
    """Bounds of caps on a cylindrical map, from their latitudes and half-widths."""
    north, south = np.minimum(lat + cap, 90.0), np.maximum(lat - cap, -90.0)
    half = np.where((lat + cap > 90.0 - 1e-9) | (lat - cap < 1e-9 - 90.0), 180.0, half_width(lat, cap))
    meridian = np.full(lon.size, frame.centre[0])
    a, b = (frame.project(meridian, np.clip(edge, *frame.limits))[1] for edge in (north, south))
    u, _ = frame.project(lon, np.zeros(lon.size))
    half = half * abs(frame.columns[1])
    return np.stack([np.minimum(a, b) - SAGITTA, np.maximum(a, b) + SAGITTA, u - half - SAGITTA, u + half + SAGITTA])


def _points_around(lon: Floats, lat: Floats, cap: Floats, nvert: int) -> tuple[Floats, Floats]:
    """Points around each cap; for a polygon, points around the box in longitude and latitude that contains the cap."""
    if nvert:
        return _box_points(lon, lat, cap)
    azimuth = 2 * np.pi * np.arange(_POINTS) / _POINTS
    return great_circle_direct(lon[:, None], lat[:, None], cap[:, None], azimuth)


def _box_points(lon: Floats, lat: Floats, cap: Floats) -> tuple[Floats, Floats]:
    """Five points along each side of every cap's box in longitude and latitude, shape (n, 20)."""
    half = half_width(lat, cap)
    side = np.linspace(-1.0, 1.0, 5)
    one = np.ones(5)
    x = np.concatenate([side, one, -side, -one])
    y = np.concatenate([-one, side, one, -side])
    return lon[:, None] + half[:, None] * x, lat[:, None] + cap[:, None] * y


def _bounds(u: Floats, v: Floats, *, closed: bool) -> Floats:
    """Top, bottom, west and east of rows of points, with a margin for the arcs between them."""
    edges = []
    for axis in (v, u):
        margin = _second_differences(axis, closed=closed) + 0.5
        edges += [axis.min(axis=1) - margin, axis.max(axis=1) + margin]
    return np.stack(edges)


def _second_differences(axis: Floats, *, closed: bool) -> Floats:
    """Greatest second difference of every row of points: around a closed curve, or along four sides of five points."""
    if closed:
        bend = np.roll(axis, 1, axis=1) - 2 * axis + np.roll(axis, -1, axis=1)
    else:
        sides = axis.reshape(axis.shape[0], 4, 5)
        bend = (sides[:, :, 2:] - 2 * sides[:, :, 1:-1] + sides[:, :, :-2]).reshape(axis.shape[0], -1)
    return np.asarray(np.abs(bend).max(axis=1))
