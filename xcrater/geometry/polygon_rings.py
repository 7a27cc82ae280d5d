"""Rings of polygons on a body: unwrapping longitudes, dividing edges, closing over poles, and reassembling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray

from xcrater.geometry.polygon_table import gather, offsets

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Geometries = NDArray[np.object_]
Transform: TypeAlias = Callable[[Floats, Floats], tuple[Floats, Floats]]

TOLERANCE = 1e-9
"""Differences below this, in degrees or as a fraction of an area, are rounding."""

FULL_TURN = 1e-9
"""A step in longitude that differs from 360° by less than this is a whole turn, degrees."""

_PASSES, _PIECES, _BLOCK = 60, 16, 16_384  # passes over all edges; pieces of an edge in one pass; edges at a time


@dataclass
class Rings:
    """Closed rings in flat arrays.

    Parameters
    ----------
    x, y : ndarray, shape (vertices,)
        Coordinates: degrees of longitude and latitude, or x and y of a CRS. The last vertex of a ring repeats its
        first, perhaps a whole turn further on.
    start : ndarray of int64, shape (rings + 1,)
        Position of each ring's first vertex, and the number of vertices.
    part : ndarray of int64, shape (rings,)
        The polygon that each ring belongs to.
    hole : ndarray of bool, shape (rings,)
        Whether the ring bounds a hole.
    pole : ndarray of int64, shape (rings,)
        The pole over which the ring is closed: 1 north, -1 south, 0 none.
    turned : ndarray of bool, shape (rings,)
        Whether the ring bounds the area on its other side: more than half of the body, including both poles.
    """

    x: Floats
    y: Floats
    start: Ints
    part: Ints
    hole: Flags
    pole: Ints
    turned: Flags

    @property
    def number(self) -> Ints:
        """The ring that each vertex belongs to."""
        return np.repeat(np.arange(len(self.part)), np.diff(self.start))

    @property
    def winding(self) -> Ints:
        """Number of times that each ring goes around the body, positive eastwards."""
        return np.rint((self.x[self.start[1:] - 1] - self.x[self.start[:-1]]) / 360.0).astype(np.int64)


def rings_of(parts: Geometries) -> Rings:
    """The rings of shapely polygons, shells before their holes."""
    rings, part = shapely.get_rings(parts, return_index=True)
    xy = shapely.get_coordinates(rings)
    start = offsets(shapely.get_num_coordinates(rings))
    nothing = np.zeros(len(rings), dtype=np.int64)
    hole = np.diff(part, prepend=-1) == 0
    return Rings(xy[:, 0], xy[:, 1], start, part.astype(np.int64), hole, nothing, nothing.astype(bool))


def of_parts(rings: Rings, parts: Ints) -> Rings:
    """Select the rings of some parts, which must be sorted; parts are renumbered."""
    keep = np.flatnonzero(np.isin(rings.part, parts))
    vertices, start = gather(rings.start, keep)
    part = np.searchsorted(parts, rings.part[keep])
    x, y = rings.x[vertices], rings.y[vertices]
    return Rings(x, y, start, part, rings.hole[keep], rings.pole[keep], rings.turned[keep])


def unwrap(rings: Rings, *, whole_turns: bool, along_poles: bool = False) -> None:
    """Make longitudes continuous along each ring, taking every step the short way round.

    Parameters
    ----------
    rings : Rings
        Rings whose `x` are longitudes; changed in place.
    whole_turns : bool
        Whether a step of 360° is kept rather than becoming 0°.
    along_poles : bool
        Whether steps along latitude ±90°, the edge of the plane, are kept, however long.
    """
    step = np.diff(rings.x)
    turns = np.where(np.abs(step) > 180.0, -np.round(step / 360.0), 0.0)
    if whole_turns:
        turns[np.abs(np.abs(step) - 360.0) < FULL_TURN] = 0.0
    if along_poles:
        turns[pole_steps(rings)] = 0.0
    turns[rings.start[1:-1] - 1] = 0.0
    if not turns.any():
        return
    total = np.concatenate([[0.0], np.cumsum(turns)])
    total -= np.repeat(total[rings.start[:-1]], np.diff(rings.start))
    rings.x = rings.x + 360.0 * total


def pole_steps(rings: Rings) -> Flags:
    """Which steps from a vertex to the next lead along latitude ±90°, shape (vertices - 1,)."""
    at_pole = np.abs(rings.y) > 90.0 - TOLERANCE
    return np.asarray(at_pole[1:] & at_pole[:-1])


def mean_latitude(rings: Rings) -> Floats:
    """Mean latitude over longitude of each ring, degrees; meaningful for rings that go once around the body."""
    trapezoid = (rings.y[1:] + rings.y[:-1]) / 2 * np.diff(rings.x)
    trapezoid[rings.start[1:-1] - 1] = 0.0
    total = np.add.reduceat(trapezoid, rings.start[:-1])
    winding = rings.winding
    return total / np.where(winding == 0, 1.0, 360.0 * winding)


def orient(rings: Rings) -> None:
    """Reverse rings in place where shells do not run counter-clockwise in their plane, and holes clockwise."""
    order = _orientation(rings.x, rings.y, rings.start, rings.hole)
    rings.x, rings.y = rings.x[order], rings.y[order]


def _orientation(x: Floats, y: Floats, start: Ints, hole: Flags) -> Ints:
    """Order of the vertices in which shells run counter-clockwise and holes clockwise."""
    wrong = (signed_area(x, y, start) < 0.0) != hole
    size = np.diff(start)
    order = np.arange(x.size)
    back = np.repeat(start[:-1] + start[1:] - 1, size) - order
    return np.where(np.repeat(wrong, size), back, order)


def signed_area(x: Floats, y: Floats, start: Ints) -> Floats:
    """Twice the area of closed rings, positive where they run counter-clockwise."""
    size = np.diff(start)
    # Coordinates relative to the ring's first vertex preserve the digits of a small ring
    x, y = x - np.repeat(x[start[:-1]], size), y - np.repeat(y[start[:-1]], size)
    cross = np.append(x[:-1] * y[1:] - x[1:] * y[:-1], 0.0)
    cross[start[1:] - 1] = 0.0
    return np.asarray(np.add.reduceat(cross, start[:-1]))


def perimeter(rings: Rings, lon: Floats, lat: Floats, parts: int) -> Floats:
    """Length of each part's rings on the sphere, degrees: the sum of chords between vertices (haversine formula)."""
    step = np.radians(np.abs((np.diff(lon) + 180.0) % 360.0 - 180.0))
    phi = np.radians(lat)
    half = np.sin(np.diff(phi) / 2) ** 2 + np.cos(phi[1:]) * np.cos(phi[:-1]) * np.sin(step / 2) ** 2
    chord = 2 * np.degrees(np.sqrt(half))
    chord[rings.start[1:-1] - 1] = 0.0
    per_ring = np.add.reduceat(chord, rings.start[:-1])
    return np.bincount(rings.part, per_ring, parts).astype(np.float64)


def densify(
    rings: Rings,
    tolerance: Floats,
    transform: Transform,
    suspects: Flags,
    *,
    wrap: bool,
) -> Ints:
    """Divide edges, in place, until each is straight in longitude and latitude to within a tolerance.

    Parameters
    ----------
    rings : Rings
        Rings in the CRS in which their edges are straight.
    tolerance : ndarray, shape (rings,)
        Largest sagitta per ring, degrees.
    transform : callable
        Maps x and y to longitude and latitude; NaN where there are none.
    suspects : ndarray of bool, shape (vertices,)
        First vertices of edges that may need dividing.
    wrap : bool
        Whether the longitudes of neighbouring points may differ by whole turns.

    Returns
    -------
    ndarray of int64
        Rings that have points without longitude and latitude; if there are any, no ring was changed.
    """
    ends = np.zeros(rings.x.size, dtype=bool)
    ends[rings.start[1:] - 1] = True
    begin = np.flatnonzero(~ends)
    # Rows x0, y0, x1, y1 with one column per edge; the pieces of an edge replace it
    edges = np.stack([rings.x[begin], rings.y[begin], rings.x[begin + 1], rings.y[begin + 1]])
    ring = rings.number[begin]
    undecided = suspects[begin]
    lost: Ints = np.empty(0, dtype=np.int64)
    for _ in range(_PASSES):
        deviation = np.zeros(ring.size)
        todo = np.flatnonzero(undecided)
        for block in np.array_split(todo, todo.size // _BLOCK + 1):
            deviation[block] = _deviation(edges[:, block], transform, wrap=wrap)
        lost = np.unique(ring[np.isnan(deviation)])
        if lost.size:
            return lost
        # The sagitta falls as the square of the length. An edge may be curved only in places, hence several passes.
        pieces = np.ceil(np.sqrt(np.clip(deviation / tolerance[ring], 1.0, _PIECES**2))).astype(np.int64)
        if pieces.max() == 1:
            break
        which = np.repeat(np.arange(ring.size), pieces)
        nth = np.arange(which.size) - np.repeat(offsets(pieces)[:-1], pieces)
        x0, y0, x1, y1 = edges[:, which]
        share = pieces[which]
        near, far = nth / share, (nth + 1) / share
        last = nth + 1 == share
        edges = np.stack(
            [
                x0 + near * (x1 - x0),
                y0 + near * (y1 - y0),
                np.where(last, x1, x0 + far * (x1 - x0)),
                np.where(last, y1, y0 + far * (y1 - y0)),
            ]
        )
        undecided, ring = (pieces > 1)[which], ring[which]
    count = np.bincount(ring, minlength=len(rings.part))
    start = offsets(count)
    closing = rings.x[rings.start[1:] - 1], rings.y[rings.start[1:] - 1]
    rings.x, rings.y = (np.insert(edges[i], start[1:], closing[i]) for i in (0, 1))
    rings.start = start + np.arange(start.size)
    return lost


def _deviation(edges: Floats, transform: Transform, *, wrap: bool) -> Floats:
    """Largest distance of each edge from its chord in longitude and latitude, degrees on the body."""
    x0, y0, x1, y1 = edges
    share = np.linspace(0.0, 1.0, 5)[:, None]
    x, y = x0 + share * (x1 - x0), y0 + share * (y1 - y0)
    x[-1], y[-1] = x1, y1
    lon, lat = (a.reshape(x.shape) for a in transform(x.ravel(), y.ravel()))
    step = np.diff(lon, axis=0)
    if wrap:
        step = (step + 180.0) % 360.0 - 180.0
    shrink = np.cos(np.radians(lat)).max(axis=0)
    east = np.cumsum(step, axis=0) * shrink
    north = lat[1:] - lat[0]
    length = np.hypot(east[-1], north[-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        across = np.abs(east[:-1] * north[-1] - north[:-1] * east[-1]) / length
    apart = np.where(length > 0.0, across, np.hypot(east[:-1], north[:-1]))
    deviation = np.where(np.isnan(lon).any(axis=0), np.nan, apart.max(axis=0))
    if wrap:
        # An edge of more than half a turn must be divided, since its ends would otherwise be joined the short way round
        direct = (lon[-1] - lon[0] + 180.0) % 360.0 - 180.0
        deviation += np.abs(east[-1] - direct * shrink) * (np.abs(step.sum(axis=0) - direct) > 1.0)
    return np.asarray(deviation)


def assemble(rings: Rings, parts: int) -> Geometries:
    """Assemble polygons from rings, closing them over the poles and moving holes into the turn of their shells."""
    x, y, start = _close_over_poles(rings)
    linear = shapely.linearrings(
        np.stack([x, y], axis=-1), indices=np.repeat(np.arange(len(rings.part)), np.diff(start))
    )
    if rings.hole.any():
        bounds = shapely.bounds(linear)
        shell = np.maximum.accumulate(np.where(rings.hole, 0, np.arange(len(rings.part))))
        turns = np.ceil((bounds[shell, 0] - bounds[:, 0]) / 360.0 - TOLERANCE)
        turns[~rings.hole] = 0.0
        linear = shift(linear, turns)
    polygons = np.asarray(shapely.polygons(linear, indices=rings.part), dtype=object)
    polar = np.unique(rings.part[(rings.pole != 0) | rings.turned])
    for i in polar:
        of_part = np.flatnonzero(rings.part == i)
        if of_part.size > 1 or rings.turned[of_part].any():
            polygons[i] = _around_the_pole(linear[of_part], rings.turned[of_part], polygons[i])
    return polygons


def _close_over_poles(rings: Rings) -> tuple[Floats, Floats, Ints]:
    """x, y and start of all rings, after adding an edge to the pole and back to each ring that goes around it."""
    polar = np.flatnonzero(rings.pole)
    if not polar.size:
        return rings.x, rings.y, rings.start
    x, y = rings.x.copy(), rings.y.copy()
    first, last = rings.start[polar], rings.start[polar + 1] - 1
    for i, begin, end in zip(polar, first, last, strict=True):
        # The meridian from the vertex nearest to the pole crosses no edge
        turn = x[end] - x[begin]
        split = int(np.argmax(y[begin:end] * rings.pole[i]))
        ring = np.concatenate([x[begin:end], x[begin : begin + split + 1] + turn])
        x[begin : end + 1] = ring[split:]
        y[begin : end + 1] = np.concatenate([y[begin:end], y[begin : begin + split + 1]])[split:]
    pole = 90.0 * rings.pole[polar]
    way_x = np.stack([x[last], x[first], x[first]], axis=1).ravel()
    way_y = np.stack([pole, pole, y[first]], axis=1).ravel()
    where = np.repeat(last + 1, 3)
    added = np.zeros(len(rings.part), dtype=np.int64)
    added[polar] = 3
    return np.insert(x, where, way_x), np.insert(y, where, way_y), rings.start + offsets(added)


def _around_the_pole(rings: Geometries, turned: Flags, plain: Any) -> Any:
    """Subtract holes from a shell that goes around the body, even if they cross the shell's seam."""
    middle = shapely.bounds(rings[0])[[0, 2]].mean()
    strip = shapely.box(middle - 180.0, -90.0, middle + 180.0, 90.0)

    def disc(i: int) -> Any:
        inside = shapely.Polygon(rings[i])
        return strip.difference(_copies(inside)) if turned[i] else inside

    shapes = [disc(i) for i in range(len(rings))]
    if not shapely.is_valid(shapes).all():
        return plain
    out = shapes[0]
    for hole in shapes[1:]:
        rest = out.difference(_copies(hole))
        if abs(out.area - rest.area - hole.area) > 1e-6 * hole.area:
            return plain  # a hole lies outside its shell, which the validity check of the plain polygon reports
        out = rest
    return out


def _copies(polygon: Any) -> Any:
    """The union of a polygon with its copies one turn to the west and east."""
    return shapely.union_all(shift(np.full(3, polygon, dtype=object), np.array([-1.0, 0.0, 1.0])))


def mend(polygons: Geometries, owner: Ints) -> tuple[Geometries, Ints]:
    """Make parts valid in which chords of edges that almost met may cross; returns parts and their owners."""
    bad = ~shapely.is_valid(polygons)
    if bad.any():
        polygons = polygons.copy()
        polygons[bad] = shapely.make_valid(polygons[bad])
    parts, number = shapely.get_parts(polygons, return_index=True)
    while (shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():
        parts, inner = shapely.get_parts(parts, return_index=True)
        number = number[inner]
    areal = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > 0.0)
    return parts[areal], owner[number[areal]]


def shift(geometries: Geometries, turns: Floats) -> Geometries:
    """Move geometries eastwards by whole turns."""
    moved = np.flatnonzero(turns)
    if not moved.size:
        return geometries
    out = geometries.copy()
    xy, number = shapely.get_coordinates(geometries[moved], return_index=True)
    xy[:, 0] += 360.0 * turns[moved][number]
    # set_coordinates changes the array that it is given
    out[moved] = shapely.set_coordinates(geometries[moved].copy(), xy)
    return out
