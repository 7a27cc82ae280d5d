"""Closed curves around centres, traced on the ellipsoid and projected to rings of vertices.

A curve is given by its angular distance from the centre as a function of azimuth: constant for a circle, and the polar
form ``a b / sqrt((b cos t)² + (a sin t)²)`` for an ellipse whose semi-major axis points along t = 0. Everything that
outlines regions (`xcrater.geometry.outlines`, `clipping`, `boxes`) takes an optional `Ellipses` besides the craters,
and is otherwise the same for both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xcrater.geometry.caps import Caps
from xcrater.geometry.frame import Frame
from xcrater.geometry.rings import Rings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Image = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""A mapping of arrays of coordinates from one plane to another."""

SAGITTA = 0.01
"""Largest distance, in pixels, of a boundary from the edges that represent it."""

BATCH = 2**20
"""Number of vertices that are traced at a time."""

_NEGLIGIBLE_BULGE = 0.02  # of the tolerance; edges that bulge more get a middle vertex that preserves the area
_FEWEST_VERTICES, _MOST_VERTICES = 32, 2**18


@dataclass(frozen=True, eq=False)
class Ellipses:
    """Ellipses around the centres of craters, one per crater.

    Parameters
    ----------
    semi_major, semi_minor : ndarray, shape (n,)
        Angular distance from the centre to the boundary along each axis, radians; on an ellipsoid the length of the
        geodesic in units of the frame's `radius`. ``0 < semi_minor <= semi_major < pi``.
    azimuth : ndarray, shape (n,)
        Azimuth of the semi-major axis at the centre, degrees clockwise from north.
    """

    semi_major: Floats
    semi_minor: Floats
    azimuth: Floats

    def __len__(self) -> int:
        return self.semi_major.size

    def take(self, index: NDArray[np.integer] | slice) -> Ellipses:
        """Select the ellipses at some positions."""
        return Ellipses(self.semi_major[index], self.semi_minor[index], self.azimuth[index])


@dataclass(frozen=True, eq=False)
class Curves:
    """Circles or ellipses around centres on the body of a frame.

    Parameters
    ----------
    lon, lat : ndarray, shape (n,)
        Centres: east longitude and geodetic latitude, degrees.
    reach : ndarray, shape (n,)
        Greatest angular distance of a curve from its centre, radians: a circle's radius, an ellipse's semi-major axis.
    semi_minor, axis : ndarray, shape (n,), or None
        Semi-minor axis of ellipses, and azimuth of their semi-major axis, radians; None for circles.
    """

    lon: Floats
    lat: Floats
    reach: Floats
    semi_minor: Floats | None = None
    axis: Floats | None = None

    def __len__(self) -> int:
        return self.lon.size

    def take(self, index: NDArray[np.integer] | slice) -> Curves:
        """Select the curves at some positions."""
        return Curves(*(None if a is None else a[index] for a in self._arrays()))  # type: ignore[arg-type]

    def _arrays(self) -> tuple[Floats | None, ...]:
        return self.lon, self.lat, self.reach, self.semi_minor, self.axis

    def scaled(self, factor: float) -> Curves:
        """The curves with all distances from their centres multiplied by a factor."""
        semi_minor = None if self.semi_minor is None else factor * self.semi_minor
        return replace(self, reach=factor * self.reach, semi_minor=semi_minor)

    def polar(self, turn: ArrayLike) -> tuple[Floats, Floats]:
        """Polar coordinates of points along each curve, counter-clockwise.

        Parameters
        ----------
        turn : array_like, shape (k,)
            Angle around the curve, radians, from due south in the northern hemisphere and from due north in the
            southern: the angle at the centre of a circle, or the eccentric anomaly of an ellipse, whose equal steps
            follow the curvature.

        Returns
        -------
        distance, azimuth : ndarray, shapes (n, 1) or (n, k), and (n, k)
            Angular distance from the centre and azimuth at the centre, radians.
        """
        start = np.where(self.lat >= 0, np.pi, 0.0)[:, None]
        if self.semi_minor is None or self.axis is None:
            return self.reach[:, None], np.asarray(start - turn)
        a, b, axis = self.reach[:, None], self.semi_minor[:, None], self.axis[:, None]
        anomaly = np.arctan2(a * np.sin(start - axis), b * np.cos(start - axis)) - turn
        along, across = a * np.cos(anomaly), b * np.sin(anomaly)
        return np.hypot(along, across), axis + np.arctan2(across, along)

    def points(self, frame: Frame, turn: ArrayLike, *, exact_start: bool = False) -> tuple[Floats, Floats]:
        """Points along each curve, counter-clockwise.

        Parameters
        ----------
        frame : Frame
            The frame, which determines the ellipsoid.
        turn : array_like, shape (k,)
            As in `polar`.
        exact_start : bool
            Whether the first point, at turn 0, lies on the centre's meridian, or the opposite one, to the last digit.

        Returns
        -------
        lon, lat : ndarray, shape (n, k)
            Degrees; longitudes within half a turn of the centre's, geodetic latitudes.
        """
        distance, azimuth = self.polar(turn)
        lon, lat = frame.destination(self.lon[:, None], self.lat[:, None], distance, azimuth)
        if exact_start:
            over_the_pole = np.abs(lon[:, 0] - self.lon) > 90.0
            lon[:, 0] = self.lon + np.where(over_the_pole, 180.0, 0.0)
        return lon, lat


def curves_about(frame: Frame, craters: Caps, ellipses: Ellipses | None = None) -> Curves:
    """Make curves of the rims of craters, or of ellipses around the craters' centres.

    Parameters
    ----------
    frame : Frame
        Frame of the raster.
    craters : Caps
        Craters placed on the frame's grid.
    ellipses : Ellipses, optional
        One ellipse per crater, instead of circles of the craters' radii.
    """
    lon = np.asarray(craters.lon, dtype=float)
    lat = frame.geodetic(np.degrees(np.asarray(craters.lat, dtype=float)))
    if ellipses is None:
        return Curves(lon, lat, np.asarray(craters.radius, dtype=float))
    return Curves(lon, lat, ellipses.semi_major, ellipses.semi_minor, np.radians(ellipses.azimuth))


class Traced(NamedTuple):
    """Rings of curves on the map, counter-clockwise on the body.

    Parameters
    ----------
    rings : Rings
        One ring per curve, owned by the curve's index.
    advance : ndarray, shape (rings,)
        Columns by which a ring that goes round the body ends beyond its first vertex; 0 for closed rings.
    """

    rings: Rings
    advance: Floats


def trace_smoothly(frame: Frame, curves: Curves) -> list[Traced]:
    """Trace true curves, each with as many vertices as it needs.

    Parameters
    ----------
    frame : Frame
        Frame of the raster.
    curves : Curves
        Curves well inside the map's domain, unless columns are linear in longitude.

    Returns
    -------
    list of Traced
        Batches of rings with the same number of vertices; vertices are moved outward to preserve areas.

    Notes
    -----
    From n points of a curve follow its area by n and by n / 2 of them, and the distances of points from the chords
    between their neighbours, which are four times the distances of the curve from chords between neighbouring points.
    The number of points is doubled until both have converged.
    """
    need = np.full(len(curves), _FEWEST_VERTICES)
    out = []
    n = _FEWEST_VERTICES
    while n <= _MOST_VERTICES:
        todo = np.flatnonzero(need == n)
        for start in range(0, todo.size, max(1, BATCH // n)):
            batch = todo[start : start + max(1, BATCH // n)]
            u, v, advance = _sampled(frame, curves.take(batch), n)
            bulge, near = _bulges(frame, u, v, advance)
            fine_u, fine_v = _area_preserving(u, v, advance)
            level = np.where(advance == 0, v[:, 0], v.min(axis=1) - 1.0)
            area = _area(fine_u, fine_v, advance, level)
            coarse = _area(*_area_preserving(u[:, ::2], v[:, ::2], advance), advance, level)
            unsettled = (np.abs(area - coarse) > 4e-5 * np.abs(area)) & (n < 1024) & near
            again = ((bulge > SAGITTA) | unsettled) & (n < _MOST_VERTICES)
            doublings = np.ceil(np.log2(np.sqrt(np.maximum(bulge[again], SAGITTA) / SAGITTA))).astype(np.int64)
            need[batch[again]] = np.minimum(n << np.maximum(doublings, 1), _MOST_VERTICES)
            if advance.any():  # both ends of a ring around the body lie on the crater's meridian
                fine_u[:, 0] = np.where(advance != 0, u[:, 0], fine_u[:, 0])
            good = ~again
            size = np.full(np.count_nonzero(good), n)
            rings = Rings(batch[good], size, fine_u[good].ravel(), fine_v[good].ravel())
            out.append(Traced(rings, advance[good]))
        n *= 2
    return out


def _sampled(frame: Frame, curves: Curves, n: int) -> tuple[Floats, Floats, Floats]:
    """Pixel coordinates of n points of each curve, shape (curves, n), and the columns by which each curve advances."""
    x, y = curves.points(frame, 2 * np.pi * np.arange(n) / n, exact_start=True)
    advance = np.zeros(len(curves))
    if frame.kind == "cylindrical":
        x, turns = run_on(x)
        advance = 360.0 * turns * frame.columns[1]
        y = np.clip(y, *frame.limits)
    u, v = frame.project(x.ravel(), y.ravel())
    return u.reshape(x.shape), v.reshape(x.shape), advance


def run_on(lon: Floats) -> tuple[Floats, Floats]:
    """Make longitudes of closed rings, shape (n, k), continuous; also returns the turns that each goes eastward."""
    lon = np.unwrap(lon, period=360.0, axis=1)
    closing = np.mod(lon[:, :1] - lon[:, -1:] + 180.0, 360.0) - 180.0
    return lon, np.rint((lon[:, -1] + closing[:, 0] - lon[:, 0]) / 360.0)


def _bulges(frame: Frame, u: Floats, v: Floats, advance: Floats) -> tuple[Floats, Bools]:
    """Distances of curves from their chords near the raster, pixels, and which curves come near it."""
    rows, cols = frame.shape
    odd_u, odd_v = u[:, 1::2], v[:, 1::2]
    next_u = np.append(u[:, 2::2], u[:, :1] + advance[:, None], axis=1)
    next_v = np.append(v[:, 2::2], v[:, :1], axis=1)
    before_u, before_v = u[:, ::2], v[:, ::2]
    bulge = np.hypot(odd_u - (before_u + next_u) / 2, odd_v - (before_v + next_v) / 2)
    length = np.hypot(next_u - before_u, next_v - before_v) + 1.0
    near = (odd_v > -length) & (odd_v < rows + length)
    if frame.kind != "cylindrical":
        near &= (odd_u > -length) & (odd_u < cols + length)
    return np.where(near, bulge, 0.0).max(axis=1) / 4, np.asarray(near.any(axis=1))


def _area(u: Floats, v: Floats, advance: Floats, level: Floats) -> Floats:
    """Area between each row of vertices and a level; a row ends `advance` columns beyond its first vertex."""
    height = v - level[:, None]
    width = np.diff(u, axis=1, append=u[:, :1] + advance[:, None])
    return np.asarray(((height + np.roll(height, -1, axis=1)) * width).sum(axis=1) / 2)


def _area_preserving(u: Floats, v: Floats, advance: Floats) -> tuple[Floats, Floats]:
    """Move the vertices of smooth rings outward so that the polygon has the area of the ring.

    A ring whose k-th harmonic is c, at n equal steps, has the area pi k |c|²; its polygon has n/2 sin(x) |c|² with
    x = 2 pi k / n. Second differences have the gain s = 2 - 2 cos(x), and sqrt(x / sin x) = 1 + s / 12 + 19 s² / 1440
    to sixth order.
    """
    moved = []
    for axis, jump in ((u, advance[:, None]), (v, np.zeros((advance.size, 1)))):
        line = np.concatenate([axis[:, -2:] - jump, axis, axis[:, :2] + jump], axis=1)
        bend = line[:, :-2] - 2 * line[:, 1:-1] + line[:, 2:]
        moved.append(axis - bend[:, 1:-1] / 12 + 19 / 1440 * (bend[:, :-2] - 2 * bend[:, 1:-1] + bend[:, 2:]))
    return moved[0], moved[1]


def trace_polygons(frame: Frame, curves: Curves, nvert: int) -> list[Traced]:
    """Trace polygons through points of curves, with edges straight in longitude and geodetic latitude.

    Parameters
    ----------
    frame : Frame
        Frame of the raster.
    curves : Curves
        As in `trace_smoothly`.
    nvert : int
        Number of vertices of each polygon.

    Returns
    -------
    list of Traced
        Batches of rings, which may have more vertices than the polygons, because edges are curved on the map.
    """
    out = []
    block = max(1, BATCH // (4 * nvert))
    for start in range(0, len(curves), block):
        batch = curves.take(slice(start, start + block))
        owner = start + np.arange(len(batch))
        p, q = batch.points(frame, 2 * np.pi * np.arange(nvert) / nvert, exact_start=True)
        advance = np.zeros(owner.size)
        if frame.kind != "cylindrical":
            if frame.kind == "normal":
                p += 360.0 * np.rint((frame.centre[0] - batch.lon) / 360.0)[:, None]
            corners = Rings(owner, np.full(owner.size, nvert), p.ravel(), q.ravel())
            out.append(Traced(refine(frame, corners, frame.project), advance))
            continue
        p, turns = run_on(p)
        # The last edge of a ring around the body ends a turn further on, so trace the ring as an open line.
        p = np.append(p, p[:, :1] + 360.0 * turns[:, None], axis=1)
        q = np.clip(np.append(q, q[:, :1], axis=1), *frame.limits)
        corners = Rings(owner, np.full(owner.size, nvert + 1), p.ravel(), q.ravel())
        _, size, u, v = refine(frame, corners, frame.project, closed=False)
        keep = np.ones(u.size, bool)
        keep[np.cumsum(size) - 1] = False  # the last vertex repeats the first one
        out.append(Traced(Rings(owner, size - 1, u[keep], v[keep]), 360.0 * turns * frame.columns[1]))
    return out


def refine(frame: Frame, rings: Rings, image: Image, *, closed: bool = True, tolerance: float = SAGITTA) -> Rings:
    """Map rings to pixel coordinates, adding vertices where edges are curved.

    Parameters
    ----------
    frame : Frame
        Frame of the raster; only edges that come near the raster are divided.
    rings : Rings
        Rings with straight edges in some plane whose units are about the size of degrees on the body.
    image : callable
        Maps points of that plane to pixel coordinates.
    closed : bool
        Whether the last vertex of each ring is joined to its first one.
    tolerance : float
        Largest distance of an edge from its image, pixels.

    Returns
    -------
    Rings
        The same rings in pixel coordinates.

    Notes
    -----
    Edges are halved until their middle lies on the chord to within the tolerance. An edge that bulges less still gets
    its middle as a vertex, moved outward by a third of the bulge, which is Simpson's rule for the area.
    """
    owner, size, p, q = rings
    if not size.size:
        return Rings(owner, size, np.empty(0), np.empty(0))
    ends = np.cumsum(size)
    after = np.arange(p.size) + 1
    after[ends - 1] = ends - size
    u, v = image(p, q)
    edge = np.arange(p.size)
    if not closed:
        edge = np.delete(edge, ends - 1)
    found = [(np.arange(p.size), np.zeros(p.size), u, v)]
    t0, t1 = np.zeros(edge.size), np.ones(edge.size)
    u0, v0, u1, v1 = u[edge], v[edge], u[after[edge]], v[after[edge]]
    for depth in range(40):
        t = (t0 + t1) / 2
        dp, dq = p[after[edge]] - p[edge], q[after[edge]] - q[edge]
        u, v = image(p[edge] + t * dp, q[edge] + t * dq)
        bend_u, bend_v = u - (u0 + u1) / 2, v - (v0 + v1) / 2
        bulge = np.hypot(bend_u, bend_v)
        length = np.hypot(u1 - u0, v1 - v0)
        # The middle of a long edge says little, since the edge may cross its chord there.
        long = np.maximum(np.abs(dp), np.abs(dq)) * (t1 - t0) > 2.0
        split = _near(frame, u, v, length)
        split &= ((bulge > tolerance) | (long & (bulge + length > tolerance))) & (depth < 39)
        third = np.where(split, 0.0, 1 / 3)
        add = split | (bulge > _NEGLIGIBLE_BULGE * tolerance) | ((tolerance < SAGITTA) & (bulge > 1e-7 * length))
        found.append((edge[add], t[add], (u + bend_u * third)[add], (v + bend_v * third)[add]))
        if not split.any():
            break
        s = split
        edge, t0, t1 = np.tile(edge[s], 2), np.append(t0[s], t[s]), np.append(t[s], t1[s])
        u0, v0, u1, v1 = np.append(u0[s], u[s]), np.append(v0[s], v[s]), np.append(u[s], u1[s]), np.append(v[s], v1[s])
    edges, ts, us, vs = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((ts, edges))
    ring = np.repeat(np.arange(size.size), size)
    return Rings(owner, np.bincount(ring[edges], minlength=size.size), us[order], vs[order])


def _near(frame: Frame, u: Floats, v: Floats, length: Floats) -> Bools:
    """Whether points lie within a length, pixels, of the raster; columns do not matter if they repeat."""
    rows, cols = frame.shape
    near = (v > -length - 1) & (v < rows + length + 1)
    return near if frame.kind == "cylindrical" else near & (u > -length - 1) & (u < cols + length + 1)
