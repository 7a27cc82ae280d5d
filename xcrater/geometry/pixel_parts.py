"""True areas of the intersections of regions and single pixels, where the areal scale of the map is not smooth.

Maps are torn and folded at their edges, and tabulated projections have kinks. The plane in which regions are clipped
(`Frame.to_plane`) has none of this, and edges of maps are straight lines or circles there. The outlines of pixels are
therefore transformed to that plane, instead of regions to the map.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from xcrater.geometry.areas import enclosed_areas
from xcrater.geometry.clipping import valid
from xcrater.geometry.frame import Frame

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_STEPS = 4, 8, 16  # points along a side; the fewest are used that match the area and the course of the most
_SAME, _CLOSE = 1e-7, 3e-5
_MOST = 32
_HALVINGS = 45
_AT_ONCE = 2**13  # pixels
_BACK = 2e-3  # radians; a smaller step backwards along the plane's edge is rounding
_BESIDE = 1e-3  # degrees; a map that ends within this distance of the plane's edge is taken to end at it


def true_parts(frame: Frame, shapes: Sequence[Any], which: Ints, column: Ints, row: Ints) -> Floats:
    """Compute the true areas of intersections of shapes and pixels.

    Parameters
    ----------
    frame : Frame
        A frame of kind "normal" or "azimuthal".
    shapes : sequence of shapely geometries
        Shapes in the frame's plane; see `xcrater.geometry.clipping.ring_shape`.
    which : ndarray of int64, shape (n,)
        Position in `shapes` of the shape to intersect.
    column, row : ndarray of int64, shape (n,)
        Position of the pixel on the grid.

    Returns
    -------
    ndarray, shape (n,)
        Areas in m²; NaN if a shape and a pixel do not meet, or if the edge of the map there is not that of the plane.

    Notes
    -----
    Sides of pixels are curves in the plane. They are traced by points that are denser towards the ends of a side,
    because maps fold like a square root; every other point is moved outward by a third of its distance from the chord,
    which is Simpson's rule for the area. Where the map ends within a pixel, the edge of the plane closes its outline.
    """
    areas = np.full(which.size, np.nan)
    order = np.lexsort((row, column))
    for batch in np.split(order, np.arange(_AT_ONCE, which.size, _AT_ONCE)):
        pixels, number = np.unique(np.stack([column[batch], row[batch]]), axis=1, return_inverse=True)
        outlines = _pixel_outlines(frame, pixels[0], pixels[1])[number.ravel()]
        pieces = shapely.intersection(np.asarray(shapes, dtype=object)[which[batch]], outlines)
        areas[batch] = _areas(frame, pieces)
    return areas


def _areas(frame: Frame, pieces: NDArray[Any]) -> Floats:
    """True areas of geometries in the plane; NaN for those that have no area."""
    parts, source = shapely.get_parts(pieces, return_index=True)
    solid = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts, source = parts[solid], source[solid]
    rings, part = shapely.get_rings(parts, return_index=True)
    hole = np.diff(part, prepend=-1) == 0
    vertices, ring = shapely.get_coordinates(rings, return_index=True)
    last = np.diff(ring, append=-1) != 0  # the last vertex of a ring repeats its first
    p, q = vertices[~last].T
    ends = np.concatenate([[0], np.cumsum(np.bincount(ring, minlength=rings.size) - 1)])
    areas = enclosed_areas(frame.crs, frame.from_plane, p, q, ends)
    total = np.bincount(source[part], np.where(hole, -areas, areas), pieces.size)
    return np.where(np.bincount(source, minlength=pieces.size) > 0, total, np.nan)


def _pixel_outlines(frame: Frame, column: Ints, row: Ints) -> NDArray[Any]:
    """Polygons, in the plane, of the parts of pixels on the map; None where the map's edge is not that of the plane."""
    tried = _STEPS[-1]
    p, q = _side(frame, column[:, None], row[:, None], np.arange(4 * tried) / tried)
    on = np.isfinite(p)
    joined = on & np.roll(on, -1, axis=1)
    if frame.kind == "normal":
        joined &= ~(np.abs(np.roll(p, -1, axis=1) - p) > 180.0)
    polygons = np.full(column.size, None, dtype=object)
    whole = np.flatnonzero(joined.all(axis=1))
    outlines, areas, bent = [], [], []
    for steps in _STEPS:
        line = np.stack([p[whole, :: tried // steps], q[whole, :: tried // steps]])
        line = np.append(line, line[..., :1], axis=2)
        outlines.append(shapely.polygons(_swollen(line)))
        areas.append(shapely.area(outlines[-1]))
        (to_p, to_q), (over_p, over_q) = np.diff(line[..., ::2], axis=2), line[..., 1::2] - line[..., :-1:2]
        bent.append(np.abs(to_p * over_q - to_q * over_p).sum(axis=1) / 2)
    # The largest number of points suffices if half as many give nearly the same
    off = np.abs(np.array([areas[0], areas[1], areas[2] + (areas[1] - areas[2]) / 16.0]) - areas[-1])
    same = (off <= _SAME * areas[-1]) & (np.array(bent) <= _CLOSE * areas[-1])
    fewest = same.argmax(axis=0)
    told = same.any(axis=0)
    polygons[whole[told]] = np.stack(outlines)[fewest, np.arange(whole.size)][told]
    whole = whole[~told]
    if whole.size:
        corner = np.broadcast_to(np.arange(4.0), (whole.size, 4))
        outline = _traced(frame, column[whole, None], row[whole, None], corner, corner + 1.0)[:, :, :-1]
        outline = outline.reshape(whole.size, -1, 2)
        good = np.isfinite(outline).all(axis=(1, 2))
        polygons[whole[good]] = shapely.polygons(outline[good])
    across = np.flatnonzero(on.any(axis=1) & ~joined.all(axis=1))
    if across.size:
        polygons[across] = _at_the_edge(frame, column[across], row[across], on[across], joined[across])
    crossed = np.flatnonzero(~shapely.is_valid(polygons) & ~shapely.is_missing(polygons))
    polygons[crossed] = [valid(polygon) for polygon in polygons[crossed]]
    return polygons


def _swollen(line: Floats) -> Floats:
    """Move every other point of lines outward; from shape (2, ..., an odd number of points) to (..., points, 2)."""
    line[..., 1::2] += (line[..., 1::2] - (line[..., :-1:2] + line[..., 2::2]) / 2) / 3
    return np.moveaxis(line, 0, -1)


def _side(frame: Frame, column: Any, row: Any, way: Any) -> tuple[Floats, Floats]:
    """Points of the plane on the sides of pixels; NaN off the map.

    Parameters
    ----------
    frame : Frame
        Frame of the raster.
    column, row : array_like of int
        The pixels.
    way : array_like
        Distance around each pixel, counter-clockwise on the body, in sides from its first corner; any number.

    Returns
    -------
    p, q : ndarray
        Coordinates in the plane, of the shape to which the arguments broadcast.
    """
    way = np.mod(way if frame.hand > 0 else -way, 4.0)
    side, share = np.divmod(way, 1.0)
    across = np.choose(side.astype(np.int64), [share, 1.0, 1.0 - share, 0.0])
    down = np.choose(side.astype(np.int64), [0.0, share, 1.0, 1.0 - share])
    u, v = np.broadcast_arrays(column + across, row + down)
    p, q = frame.plane(u.ravel(), v.ravel())
    return p.reshape(u.shape), q.reshape(u.shape)


def _traced(frame: Frame, column: Any, row: Any, start: Floats, stop: Floats) -> Floats:
    """Points along stretches of sides, shape (..., points, 2), which are denser towards the ends.

    `start` and `stop` bound the stretches, as distances that `_side` takes.
    """
    way = start[..., None] + (stop - start)[..., None] * np.sin(np.pi / 2 * np.arange(_MOST + 1) / _MOST) ** 2
    way[..., -1] = stop
    return _swollen(np.stack(_side(frame, column[..., None], row[..., None], way)))


def _at_the_edge(frame: Frame, column: Ints, row: Ints, on: Bools, joined: Bools) -> list[Any]:
    """Polygons of pixels that are not entirely on the map, or in which it is torn."""
    step = 1.0 / max(_STEPS)
    begins, ends = on & ~np.roll(joined, 1, axis=1), on & ~joined
    pixel, first = np.nonzero(begins)
    same, last = np.nonzero(ends)
    # Each pixel has as many beginnings as ends of stretches, and its first end may belong to its last beginning.
    shift = np.zeros(pixel.size, np.int64)
    starts = [*np.flatnonzero(np.diff(pixel, prepend=-1)).tolist(), pixel.size]
    for a, b in itertools.pairwise(starts):
        if last[a] < first[a]:
            last[a:b] = np.roll(last[a:b], -1)
            shift[b - 1] = on.shape[1]
    assert (pixel == same).all()
    where = column[pixel], row[pixel]
    start = _last_on(frame, *where, first * step, -step)
    stop = _last_on(frame, *where, (last + shift) * step, step)
    pieces: list[tuple[int, float, float]] = []
    for k, (a, b) in enumerate(zip(start.tolist(), stop.tolist(), strict=True)):
        breaks = [a, *np.arange(np.floor(a) + 1.0, np.ceil(b)).tolist(), b]
        pieces += [(k, low, high) for low, high in itertools.pairwise(breaks) if high > low]
    run = np.array([k for k, _, _ in pieces], dtype=np.int64)
    low, high = (np.array([piece[k] for piece in pieces]) for k in (1, 2))
    traced = _traced(frame, column[pixel[run]], row[pixel[run]], low, high)
    lines: list[list[Floats]] = [[] for _ in range(pixel.size)]
    for k, line in zip(run.tolist(), np.moveaxis(traced, 1, 2), strict=True):
        lines[k].append(line[:, np.isfinite(line).all(axis=0)])
    out: list[Any] = []
    for a, b in itertools.pairwise(starts):
        runs = [np.concatenate(line, axis=1) if line else np.empty((2, 0)) for line in lines[a:b]]
        runs = [line for line in runs if line.shape[1] > 1]
        ring: list[Floats] = []
        for line, after in zip(runs, runs[1:] + runs[:1], strict=True):
            gap = _edge_of_plane(frame, line[:, -1], after[:, 0])
            ring += [line, gap] if gap is not None else [np.full((2, 1), np.nan)]
        vertices = np.concatenate([np.empty((2, 0)), *ring], axis=1)
        usable = vertices.shape[1] > 3 and bool(np.isfinite(vertices).all())
        out.append(shapely.Polygon(vertices.T) if usable else None)
    return out


def _last_on(frame: Frame, column: Ints, row: Ints, way: Any, step: float) -> Floats:
    """Find by bisection how far the map extends around pixels from points on it.

    Parameters
    ----------
    frame : Frame
        Frame of the raster.
    column, row : ndarray of int64, shape (n,)
        The pixels.
    way : ndarray, shape (n,)
        Points on the map, as distances that `_side` takes.
    step : float
        Distance from these within which the map certainly ends; negative for the clockwise sense.
    """
    low, high = np.zeros(way.size), np.full(way.size, step)
    before, _ = _side(frame, column, row, way)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        p, _ = _side(frame, column, row, way + middle)
        with np.errstate(invalid="ignore"):
            on = np.isfinite(p) & ((np.abs(p - before) <= 180.0) | (frame.kind == "azimuthal"))
        low, high, before = np.where(on, middle, low), np.where(on, high, middle), np.where(on, p, before)
    return np.asarray(way + low)


def _edge_of_plane(frame: Frame, end: Floats, begin: Floats) -> Floats | None:
    """Points of the plane's edge, counter-clockwise from the end of a line to the beginning of the next; shape (2, n).

    None if these ends do not lie on the edge.
    """
    if frame.kind == "azimuthal":
        turn = np.mod(np.arctan2(begin[1], begin[0]) - np.arctan2(end[1], end[0]), 2 * np.pi)
        if turn > 2 * np.pi - _BACK:
            return np.empty((2, 0))
        share = np.arange(2 * _MOST + 1) / (2 * _MOST)
        radius = np.hypot(*end) + share * (np.hypot(*begin) - np.hypot(*end))
        radius[1::2] *= 1.0 + (1.0 - np.cos(turn / (2 * _MOST))) / 3.0  # Simpson's rule, as above
        angle = np.arctan2(end[1], end[0]) + share * turn
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)])[:, 1:-1]
    places = []
    for p, q in (end, begin):
        # Distances from the edges, counted from the south-eastern corner: east, north, west and south
        away = np.array([180.0 - p, 90.0 - q, 180.0 + p, 90.0 + q])
        way = np.array([90.0 + q, 360.0 - p, 630.0 - q, 900.0 + p])
        nearest = int(away.argmin())
        if away[nearest] > _BESIDE:
            return None
        places.append(way[nearest])
    way = np.mod(places[1] - places[0], 1080.0)
    if way > 1080.0 - np.degrees(_BACK):
        return np.empty((2, 0))
    corners = np.array([180.0, 540.0, 720.0, 1080.0, 1260.0, 1620.0, 1800.0])
    passed = corners[(corners > places[0]) & (corners < places[0] + way)]
    line = np.concatenate([[places[0]], passed, [places[0] + way]])
    edge = np.array([0.0, 180.0, 540.0, 720.0, 1080.0])
    turned = np.mod(line, 1080.0)
    return np.stack([
        np.interp(turned, edge, [180.0, 180.0, -180.0, -180.0, 180.0]),
        np.interp(turned, edge, [-90.0, 90.0, 90.0, -90.0, -90.0]),
    ])  # fmt: skip
