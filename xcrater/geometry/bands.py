"""Rings on maps whose columns are linear in longitude; they are continuous in longitude and closed over the poles."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xcrater.geometry.frame import Frame
from xcrater.geometry.polygon_table import gather
from xcrater.geometry.rings import Outlines, Rings, oriented, ring_areas
from xcrater.geometry.tracing import Curves, Traced, trace_polygons, trace_smoothly

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BEYOND_POLE = 2.0**-32  # pixels


def band_rings(frame: Frame, curves: Curves, nvert: int, sign: float) -> list[Rings]:
    """Make rings that enclose discs, or ellipses, on a cylindrical map.

    Parameters
    ----------
    frame : Frame
        A frame of the cylindrical kind.
    curves : Curves
        The boundaries.
    nvert : int
        Number of vertices of the polygon that stands for each boundary; 0 for the true curve.
    sign : float
        1 for shells, whose areas are positive in pixel coordinates; -1 for holes.

    Returns
    -------
    list of Rings
        Rings owned by the index of the curve. A disc that contains both poles has two: the whole body, and a hole
        around the point opposite to its centre.
    """
    whole = frame.cap_radius(curves.reach) >= 180.0
    partial = np.flatnonzero(~whole)
    enclosed = curves.take(partial)
    traced = trace_polygons(frame, enclosed, nvert) if nvert else trace_smoothly(frame, enclosed)
    parts: list[Rings] = []
    for rings, advance in traced:
        moved = Traced(rings._replace(owner=partial[rings.owner]), advance)
        parts += _closed_over_poles(frame, moved, curves.lon, sign)
    if whole.any():
        parts.append(_whole_body(frame, np.flatnonzero(whole), curves.lon, sign))
    return parts


def _closed_over_poles(frame: Frame, traced: Traced, lon: Floats, sign: float) -> list[Rings]:
    """Close rings along the pole that they go around; `lon` is the longitude of every curve's centre."""
    (owner, size, u, v), advance = traced
    parts: list[Rings] = []
    offset = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    area = ring_areas(u, v, offset) * frame.hand
    for held, east in ((advance * frame.columns[1] > 0, True), (advance * frame.columns[1] < 0, False)):
        rows = np.flatnonzero(held)
        if not rows.size:
            continue
        # The region lies to the left of its ring, so a ring that goes east has it to the north.
        pole = frame.project(np.array([frame.centre[0]]), np.array([frame.limits[1 if east else 0]]))[1][0]
        first = u[offset[rows]]
        tail_u = np.stack([first + advance[rows], first + advance[rows], first], axis=1)
        tail_v = np.stack([v[offset[rows]], np.full(rows.size, pole), np.full(rows.size, pole)], axis=1)
        vertices, begin = gather(offset, rows)
        ends = np.repeat(begin[1:], 3)
        closed_u = np.insert(u[vertices], ends, tail_u.ravel())
        closed_v = np.insert(v[vertices], ends, tail_v.ravel())
        parts.append(oriented(Rings(owner[rows], size[rows] + 3, closed_u, closed_v), sign * frame.hand))
    rows = np.flatnonzero(advance == 0)
    if rows.size:
        vertices, _ = gather(offset, rows)
        parts.append(oriented(Rings(owner[rows], size[rows], u[vertices], v[vertices]), sign * frame.hand))
        # A ring around the point opposite to the centre is the hole of a region that contains both poles.
        inverted = owner[rows[area[rows] < 0]]
        if inverted.size:
            parts.append(_whole_body(frame, inverted, lon, sign))
    return parts


def _whole_body(frame: Frame, owner: Ints, lon: Floats, sign: float) -> Rings:
    """Make rings around the whole body, each beginning on the meridian of its owner's centre."""
    first, _ = frame.project(lon[owner], np.zeros(owner.size))
    south, north = frame.limit_rows()
    turn = 360.0 * frame.columns[1]
    u = np.stack([first, first + turn, first + turn, first], axis=1)
    v = np.broadcast_to([south, south, north, north], u.shape)
    return oriented(Rings(owner, np.full(owner.size, 4), u.ravel(), v.ravel().copy()), sign * frame.hand)


def past_poles(frame: Frame, outlines: Outlines) -> Outlines:
    """Move edges along a pole slightly beyond it, so that they cannot pass through the centres of a row across it."""
    if frame.kind != "cylindrical":
        return outlines
    poles = frame.limit_rows()
    v = outlines.v
    for pole, other in (poles, poles[::-1]):
        v = np.where(v == pole, pole + math.copysign(_BEYOND_POLE, pole - other), v)
    return replace(outlines, v=v)


def joined(outlines: Outlines) -> Outlines:
    """Remove seams across holes from outlines, because a seam there would count as touching pixels.

    If a region and its hole go round the same pole, both become one ring. If only the region does, its seam, which lies
    on the crater's meridian, is moved to where there can be neither a hole around the crater nor one around the point
    opposite to it.
    """
    u, v, ring, shape, period = outlines.u, outlines.v, outlines.ring, outlines.shape, outlines.period
    size = np.diff(ring)
    after = np.arange(u.size) + 1
    after[ring[1:][size > 0] - 1] = ring[:-1][size > 0]
    edges = np.flatnonzero(np.abs(u[after] - u) > period * (1 - 1e-9))  # only edges along a pole are a turn long
    edge_ring = np.searchsorted(ring, edges, side="right") - 1
    polar = np.unique(edge_ring)
    polar_shape = np.searchsorted(shape, polar, side="right") - 1
    shapes, count = np.unique(polar_shape, return_counts=True)
    new: dict[int, Floats] = {}
    for k in polar[np.isin(polar_shape, shapes[count == 1])].tolist():
        line = np.stack([u[ring[k] : ring[k + 1]], v[ring[k] : ring[k + 1]]])
        new[k] = _seam_moved(line, edges[edge_ring == k] - ring[k], period)
    for i in shapes[count == 2].tolist():
        outer, inner = polar[(polar >= shape[i]) & (polar < shape[i + 1])].tolist()
        along, hole = edges[edge_ring == outer], edges[edge_ring == inner]
        if hole.size == 2:  # shell and hole are both the whole body, so nothing remains
            new[outer] = new[inner] = np.empty((2, 0))
            continue
        along = along[v[along] == v[hole[0]]]
        if along.size == 1:
            shell, gap = (
                _opened(np.stack([u[ring[k] : ring[k + 1]], v[ring[k] : ring[k + 1]]]), edge - ring[k])
                for k, edge in ((outer, along[0]), (inner, hole[0]))
            )
            if shell.shape[1] == 2:  # the shell is the whole body, so its seam is moved to that of the hole
                shell[0] = gap[0, [-1, 0]]
            gap[0] += period * np.rint((shell[0, -1] - gap[0, 0]) / period)
            new[outer], new[inner] = np.concatenate([shell, gap], axis=1), np.empty((2, 0))
    return _with_rings(outlines, new) if new else outlines


def _seam_moved(line: Floats, polar_edges: Ints, period: float) -> Floats:
    """Move the seam of a ring around a pole, shape (2, n), away from the crater's meridian.

    `polar_edges` are the indices of the edges along poles, of which there are two if the ring is the whole body.
    """
    if polar_edges.size == 2:
        return np.stack([line[0] + period / 4, line[1]])
    pole = line[1, polar_edges[0]]
    line = _opened(line, polar_edges[0])
    turn = np.array([[line[0, -1] - line[0, 0]], [0.0]])
    half = int(np.abs(line[0, :-1] - line[0, 0] - turn[0] / 2).argmin())
    line = np.concatenate([line[:, half:-1], line[:, : half + 1] + turn], axis=1)
    return np.concatenate([line, np.stack([line[0, [-1, 0]], np.full(2, pole)])], axis=1)


def _opened(line: Floats, edge: np.int64) -> Floats:
    """Open a ring of shape (2, n) at one of its edges, leaving out the ends of that edge."""
    return np.roll(line, -(edge + 1), axis=1)[:, 1:-1]


def _with_rings(outlines: Outlines, new: dict[int, Floats]) -> Outlines:
    """Replace some rings of outlines, by index; rings without vertices are left out."""
    u, v, ring = outlines.u, outlines.v, outlines.ring
    rings = [new.get(k, np.stack([u[a:b], v[a:b]])) for k, (a, b) in enumerate(itertools.pairwise(ring.tolist()))]
    kept = np.array([r.shape[1] > 0 for r in rings])
    ends = np.cumsum([0, *(r.shape[1] for r, keep in zip(rings, kept, strict=True) if keep)])
    vertices = np.concatenate([np.empty((2, 0)), *rings], axis=1)
    before = np.concatenate([[0], np.cumsum(kept)])
    shape = before[outlines.shape].astype(np.int64)
    return Outlines(vertices[0], vertices[1], ends.astype(np.int64), shape, outlines.period)
