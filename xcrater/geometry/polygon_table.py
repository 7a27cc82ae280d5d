"""Polygons of one's own, one or none per crater: checked, brought to one frame and kept in flat arrays.

Everything that is special about a sphere is settled here, once: the antimeridian, the poles, edges that are straight
in a CRS of their own. What comes out are simple closed rings in the plane of east longitude and planetocentric
latitude, with edges straight in that plane and longitudes that run on past ±180.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from xcrater.errors import RegionError
from xcrater.geometry.bodies import Body, is_projected, to_geodetic

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Geometries = NDArray[np.object_]

SAGITTA = 1e-4
"""Most that a straight edge in longitude and latitude deviates from one that was straight in another CRS, degrees."""

RELATIVE_SAGITTA = 1e-3
"""The same as a part of the polygon's thickness, the width of a long strip of its area and perimeter."""

_LEAST_SAGITTA = 1e-7
_PASSES, _PIECES, _BLOCK = 60, 16, 16_384
_TOLERANCE = 1e-9
_FULL_TURN = 1e-9


@dataclass(frozen=True, eq=False)
class PolygonTable:
    """Polygons in flat arrays, in longitude and latitude; one shape, perhaps empty, per crater.

    Parameters
    ----------
    lon, lat : ndarray, shape (n,)
        East longitude and planetocentric latitude of the vertices, degrees; the first of a ring is not repeated.
        Along a ring longitudes run on without jumps, also past ±180. A ring around a pole goes along latitude ±90
        back to where it began.
    ring : ndarray of int64, shape (rings + 1,)
        Where each ring's vertices begin.
    shape : ndarray of int64, shape (shapes + 1,)
        Where each shape's rings begin. Shells run counter-clockwise (longitude to the right, latitude up) and each is
        followed by its holes, which run clockwise.

    See Also
    --------
    make_polygon_table : Make one of shapely's polygons.
    """

    lon: Floats
    lat: Floats
    ring: Ints
    shape: Ints

    def __post_init__(self) -> None:
        for array in (self.lon, self.lat, self.ring, self.shape):
            array.setflags(write=False)

    def __len__(self) -> int:
        return self.shape.size - 1

    def take(self, index: NDArray[np.integer] | Flags | slice) -> PolygonTable:
        """The shapes at some positions.

        Parameters
        ----------
        index : ndarray of int or bool, or slice
            Which shapes, in the order wanted; a position may come twice.

        Returns
        -------
        PolygonTable
            Their polygons.
        """
        rows = np.arange(len(self))[index]
        rings, shape = gather(self.shape, rows)
        vertices, ring = gather(self.ring, rings)
        return PolygonTable(self.lon[vertices], self.lat[vertices], ring, shape)

    def polygons(self) -> Geometries:
        """The shapes as shapely's polygons and multipolygons, None where there is none.

        Returns
        -------
        ndarray of object, shape (shapes,)
            Longitudes run on past ±180 as in the table.
        """
        rings = _linear_rings(self.lon, self.lat, self.ring)
        part = np.cumsum(shapely.is_ccw(rings)) - 1
        owner = np.repeat(np.arange(len(self)), np.diff(self.shape))
        starts = np.flatnonzero(np.diff(part, prepend=-1))
        return _collect(shapely.polygons(rings, indices=part), owner[starts], len(self))


def make_polygon_table(
    geometries: Geometries, body: Body, crs: Any = "planetocentric", labels: Sequence[Any] | NDArray[Any] | None = None
) -> PolygonTable:
    """Check polygons and bring them to east longitude and planetocentric latitude.

    Parameters
    ----------
    geometries : ndarray of object, shape (n,)
        A shapely Polygon or MultiPolygon per crater; None, NaN or an empty polygon for no region.
    body : Body
        The body they are on.
    crs : str or pyproj.CRS, default "planetocentric"
        What their coordinates are in, as for `xcrater.geometry.bodies.to_geodetic`. Edges are straight in it.
    labels : sequence, optional
        What to call each crater in errors; its position if not given.

    Returns
    -------
    PolygonTable
        One shape per crater.

    Raises
    ------
    RegionError
        Something is no polygon, or an invalid one, or reaches beyond a pole or out of the projection.
    BodyError
        The CRS is unknown or of another body.

    Notes
    -----
    In longitude and latitude, an edge that spans more than 180° is taken the short way round, except that one of
    exactly 360° stays a whole turn where the polygon makes sense that way (a band around the body, a cap that reaches
    the pole). A ring that goes once around the body is closed over the pole of the hemisphere where the mean of its
    latitude lies. Parts that meet, such as the two sides of a cut at ±180, are put together. Validity (shapely's) is
    judged after that.

    In a projected CRS validity is judged in its own plane, and a ring around a pole holds that pole which lies on its
    inside there. Edges that are not straight in longitude and planetocentric latitude are divided until the sagitta,
    the distance between the curve and its chord, is below both `SAGITTA` and `RELATIVE_SAGITTA` times twice the
    polygon's area over its perimeter (but no smaller than 1e-7°, 3 mm on the Moon).

    Examples
    --------
    >>> from xcrater.bodies import get_body
    >>> square = shapely.box(170, -5, 190, 5)
    >>> table = make_polygon_table(np.array([square, None]), get_body("moon"))
    >>> table.lon.tolist(), table.lat.tolist(), table.shape.tolist()
    ([-170.0, -170.0, -190.0, -190.0], [-5.0, 5.0, 5.0, -5.0], [0, 1, 1])
    """
    checker = _Checker(np.asarray(range(len(geometries)) if labels is None else labels, dtype=object))
    parts, owner = _areal_parts(geometries, checker)
    if not len(parts):
        to_geodetic([], [], body, crs)  # a wrong CRS is an error here too
        return _flatten(parts, owner, len(geometries))
    read = _from_plane if is_projected(crs) else _from_angles
    return _flatten(*read(parts, owner, len(geometries), body, crs, checker), len(geometries))


@dataclass(frozen=True)
class _Checker:
    """Refuses polygons by the labels of their craters."""

    labels: NDArray[Any]

    def refuse(self, bad: Flags, owner: Ints, reason: str | Callable[[int], str], advice: str) -> None:
        """Raise an error if any part is bad; `reason` may depend on which."""
        at = np.flatnonzero(bad)
        if not at.size:
            return
        craters = np.unique(owner[at])
        first = int(at[0])
        why = reason if isinstance(reason, str) else reason(first)
        more = ""
        if craters.size > 1:
            others = [str(self.labels[i]) for i in craters[craters != owner[first]][:5]]
            more = f" (and {craters.size - 1} more: {', '.join(others)}{', …' if craters.size > 6 else ''})"
        raise RegionError(f"the polygon of crater {self.labels[owner[first]]!r} cannot be used: {why}{more}; {advice}")

    def refuse_invalid(self, polygons: Geometries, owner: Ints) -> None:
        self.refuse(
            ~shapely.is_valid(polygons),
            owner,
            lambda i: str(shapely.is_valid_reason(polygons[i])),
            "type shapely.make_valid(geometries), or correct it",
        )


def _areal_parts(geometries: Geometries, checker: _Checker) -> tuple[Geometries, Ints]:
    """Every polygon that is not empty, and the crater it belongs to."""
    shapes = np.asarray(geometries, dtype=object).copy()
    every = np.arange(len(shapes))
    known = shapely.is_geometry(shapes)
    for i in np.flatnonzero(~known):
        if shapes[i] is not None and not (isinstance(shapes[i], float) and np.isnan(shapes[i])):
            kind = type(shapes[i]).__name__
            checker.refuse(every == i, every, f"it is a {kind}", "expected a shapely Polygon or MultiPolygon, or None")
        shapes[i] = None
    kinds = shapely.get_type_id(shapes)
    polygonal = (kinds == shapely.GeometryType.POLYGON) | (kinds == shapely.GeometryType.MULTIPOLYGON)
    checker.refuse(
        known & ~polygonal,
        every,
        lambda i: f"it is a {shapes[i].geom_type}, expected a Polygon or MultiPolygon",
        "shapely.buffer(geometries, 0) keeps areas alone, or pass None for no region",
    )
    parts, owner = shapely.get_parts(shapely.force_2d(shapes), return_index=True)
    full = ~shapely.is_empty(parts)
    parts, owner = parts[full], owner[full].astype(np.int64)
    xy, part = shapely.get_coordinates(parts, return_index=True)
    bad = np.zeros(len(parts), dtype=bool)
    bad[part[~np.isfinite(xy).all(axis=1)]] = True
    checker.refuse(bad, owner, "a coordinate is NaN or infinite", "pass None for no region, or correct it")
    return parts, owner


@dataclass
class _Rings:
    """Closed rings in flat arrays, the last vertex of each a copy of its first, or that a turn further on.

    `pole` is that over which a ring is closed: 1 north, -1 south, 0 none. A ring that is `turned` bounds what lies on
    its other side: a disc of more than half the body that holds both poles.
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
        return np.repeat(np.arange(len(self.part)), np.diff(self.start))

    @property
    def winding(self) -> Ints:
        return np.rint((self.x[self.start[1:] - 1] - self.x[self.start[:-1]]) / 360.0).astype(np.int64)


def _rings(parts: Geometries) -> _Rings:
    rings, part = shapely.get_rings(parts, return_index=True)
    xy = shapely.get_coordinates(rings)
    start = _offsets(shapely.get_num_coordinates(rings))
    nothing = np.zeros(len(rings), dtype=np.int64)
    hole = np.diff(part, prepend=-1) == 0
    return _Rings(xy[:, 0], xy[:, 1], start, part.astype(np.int64), hole, nothing, nothing.astype(bool))


def _from_angles(
    parts: Geometries, owner: Ints, count: int, body: Body, crs: Any, checker: _Checker
) -> tuple[Geometries, Ints]:
    # All these systems are straight in longitude: a sign, a zero meridian and a unit
    (zero, one), _ = to_geodetic([0.0, 1.0], [0.0, 0.0], body, crs)
    scale = (one - zero + 180.0) % 360.0 - 180.0
    scale = float(np.round(scale, 9)) if abs(abs(scale) - 1.0) < 1e-9 else float(scale)

    def latitude(y: Floats) -> Floats:
        return to_geodetic(np.zeros_like(y), y, body, crs)[1]

    # Latitudes stay those of the CRS until validity has been judged, for edges are straight in them
    rings = _rings(parts)
    unit = abs(scale)
    lon = rings.x * scale + zero if (scale, zero) != (1.0, 0.0) else rings.x
    y = rings.y * unit if unit != 1.0 else rings.y
    beyond = np.zeros(len(parts), dtype=bool)
    beyond[rings.part[rings.number[np.abs(y) > 90.0 + _TOLERANCE]]] = True
    checker.refuse(
        beyond, owner, "a latitude is beyond ±90°", "name the CRS of the coordinates: cdb.add_polygons(..., crs=...)"
    )
    rings.y = np.clip(y, -90.0, 90.0)

    rings.x = lon
    polygons, wild = _unwrapped(rings, len(parts), whole_turns=True)
    bad = wild | ~shapely.is_valid(polygons) | (shapely.area(polygons) == 0.0)
    step = np.flatnonzero(np.abs(np.abs(np.diff(lon)) - 360.0) < _FULL_TURN)
    again = np.intersect1d(np.flatnonzero(bad), rings.part[rings.number[step]])
    if again.size:
        polygons[again], wild[again] = _unwrapped(_of_parts(rings, again), again.size, whole_turns=False)
        bad[again] = wild[again] | ~shapely.is_valid(polygons[again]) | (shapely.area(polygons[again]) == 0.0)
    checker.refuse(wild, owner, "a ring goes around the body more than once", "correct it")
    checker.refuse_invalid(polygons, owner)
    checker.refuse(bad, owner, "its area is 0", "pass None for no region, or correct it")

    polygons, owner = _collect_parts(polygons, owner, count, checker)
    samples = shapely.get_coordinates(polygons)[:, 1]
    if np.array_equal(latitude(samples / unit), samples):
        return polygons, owner
    # Bend the edges: those that were straight in the CRS's latitude
    bent = _rings(polygons)
    tolerance = _sagitta(_thickness(polygons))[bent.part]
    # Few edges reach over so much latitude that the second derivative bends them
    quarter = latitude(np.linspace(-90.0, 90.0, 721) / unit)
    bend = 1.1 * np.abs(np.diff(quarter, 2)).max() / 0.25**2
    rise = np.append(np.diff(bent.y), 0.0)
    suspects = bend * rise**2 / 8 > tolerance[bent.number]
    _densify(bent, tolerance, lambda x, y: (x, latitude(y / unit)), suspects, wrap=False)
    bent.y = latitude(bent.y / unit)
    return _mend(_assemble(bent, len(polygons)), owner)


def _unwrapped(rings: _Rings, parts: int, *, whole_turns: bool) -> tuple[Geometries, Flags]:
    """Polygons in longitudes that run on, and which have a ring that winds around the body several times."""
    rings = replace(rings)
    _unwrap(rings, whole_turns=whole_turns)
    winding = rings.winding
    wild = np.zeros(parts, dtype=bool)
    wild[rings.part[np.abs(winding) > 1]] = True
    rings.pole = np.where(winding == 0, 0, np.where(_mean_latitude(rings) >= 0.0, 1, -1))
    return _assemble(rings, parts), wild


def _of_parts(rings: _Rings, parts: Ints) -> _Rings:
    """The rings of some parts."""
    keep = np.flatnonzero(np.isin(rings.part, parts))
    vertices, start = gather(rings.start, keep)
    part = np.searchsorted(parts, rings.part[keep])
    x, y = rings.x[vertices], rings.y[vertices]
    return _Rings(x, y, start, part, rings.hole[keep], rings.pole[keep], rings.turned[keep])


def _unwrap(rings: _Rings, *, whole_turns: bool) -> None:
    """Let longitudes run on along each ring, every step the short way round; steps of 360° may stay."""
    step = np.diff(rings.x)
    turns = np.where(np.abs(step) > 180.0, -np.round(step / 360.0), 0.0)
    if whole_turns:
        turns[np.abs(np.abs(step) - 360.0) < _FULL_TURN] = 0.0
    turns[rings.start[1:-1] - 1] = 0.0
    if not turns.any():
        return
    total = np.concatenate([[0.0], np.cumsum(turns)])
    total -= np.repeat(total[rings.start[:-1]], np.diff(rings.start))
    rings.x = rings.x + 360.0 * total


def _mean_latitude(rings: _Rings) -> Floats:
    """Mean of each ring's latitude over longitude; of use where the ring goes once around the body."""
    trapezoid = (rings.y[1:] + rings.y[:-1]) / 2 * np.diff(rings.x)
    trapezoid[rings.start[1:-1] - 1] = 0.0
    total = np.add.reduceat(trapezoid, rings.start[:-1])
    winding = rings.winding
    return total / np.where(winding == 0, 1.0, 360.0 * winding)


def _from_plane(
    parts: Geometries, owner: Ints, count: int, body: Body, crs: Any, checker: _Checker
) -> tuple[Geometries, Ints]:
    checker.refuse_invalid(parts, owner)

    def transform(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        return to_geodetic(x, y, body, crs)

    outside = "it reaches out of the projection", "clip it to the map, or name the CRS of the coordinates"
    rings = _rings(parts)
    _orient(rings)
    lon, lat = transform(rings.x, rings.y)
    bad = np.zeros(len(parts), dtype=bool)
    bad[rings.part[rings.number[np.isnan(lon) | np.isnan(lat)]]] = True
    checker.refuse(bad, owner, *outside)

    thickness = 2 * shapely.area(parts) / shapely.length(parts) ** 2 * _perimeter(rings, lon, lat, len(parts))
    mirrored = _mirrored(rings, transform, shapely.length(parts))
    lost = _densify(rings, _sagitta(thickness)[rings.part], transform, np.ones(rings.x.size, dtype=bool), wrap=True)
    bad[rings.part[lost]] = True
    checker.refuse(bad, owner, *outside)

    rings.x, rings.y = transform(rings.x, rings.y)
    _unwrap(rings, whole_turns=False)
    winding = rings.winding
    inside = np.where(rings.hole, -1, 1) * (-1 if mirrored else 1)
    rings.pole = winding * inside
    bad[rings.part[np.abs(winding) > 1]] = True
    checker.refuse(bad, owner, "a ring goes around the body more than once", "correct it")
    rings.turned = (winding == 0) & (_signed_area(rings.x, rings.y, rings.start) * inside < 0.0)
    polygons, owner = _mend(_assemble(rings, len(parts)), owner)
    return _collect_parts(polygons, owner, count, checker)


def _orient(rings: _Rings) -> None:
    """Let shells run counter-clockwise in their plane, and holes clockwise."""
    order = _orientation(rings.x, rings.y, rings.start, rings.hole)
    rings.x, rings.y = rings.x[order], rings.y[order]


def _perimeter(rings: _Rings, lon: Floats, lat: Floats, parts: int) -> Floats:
    """Length of each part's rings on the body, by chords between vertices; degrees."""
    step = np.radians(np.abs((np.diff(lon) + 180.0) % 360.0 - 180.0))
    phi = np.radians(lat)
    half = np.sin(np.diff(phi) / 2) ** 2 + np.cos(phi[1:]) * np.cos(phi[:-1]) * np.sin(step / 2) ** 2
    chord = 2 * np.degrees(np.sqrt(half))
    chord[rings.start[1:-1] - 1] = 0.0
    per_ring = np.add.reduceat(chord, rings.start[:-1])
    return np.bincount(rings.part, per_ring, parts).astype(np.float64)


def _mirrored(rings: _Rings, transform: Callable[[Floats, Floats], tuple[Floats, Floats]], length: Floats) -> bool:
    """Whether counter-clockwise in the plane is clockwise on the body, as where x points west."""
    first = rings.start[:-1]
    x, y, step = rings.x[first], rings.y[first], 1e-5 * length[rings.part]
    lon, lat = transform(np.concatenate([x, x + step, x]), np.concatenate([y, y, y + step]))
    lon, lat = lon.reshape(3, -1), lat.reshape(3, -1)
    east = (lon[1:] - lon[0] + 180.0) % 360.0 - 180.0
    north = lat[1:] - lat[0]
    return bool(np.nansum(np.sign(east[0] * north[1] - east[1] * north[0])) < 0)


def _thickness(polygons: Geometries) -> Floats:
    """Width of the strip that has a polygon's area and perimeter, in degrees on the body."""
    bounds = shapely.bounds(polygons)
    shrink = np.cos(np.radians(np.abs(bounds[:, 1] + bounds[:, 3]) / 2))
    return np.asarray(2 * shapely.area(polygons) / shapely.length(polygons) * shrink)


def _sagitta(thickness: Floats) -> Floats:
    return np.clip(RELATIVE_SAGITTA * thickness, _LEAST_SAGITTA, SAGITTA)


def _densify(
    rings: _Rings,
    tolerance: Floats,
    transform: Callable[[Floats, Floats], tuple[Floats, Floats]],
    suspects: Flags,
    *,
    wrap: bool,
) -> Ints:
    """Divide edges until they are straight in longitude and latitude to within a tolerance per ring.

    Returns the rings that have points without longitude and latitude. Only edges that begin at `suspects` are looked
    at. With `wrap`, longitudes of neighbouring points may differ by whole turns.
    """
    ends = np.zeros(rings.x.size, dtype=bool)
    ends[rings.start[1:] - 1] = True
    begin = np.flatnonzero(~ends)
    # x0, y0, x1, y1 of every edge; each keeps its place as it is divided
    edges = np.stack([rings.x[begin], rings.y[begin], rings.x[begin + 1], rings.y[begin + 1]])
    ring = rings.number[begin]
    undecided = suspects[begin]
    lost: Ints = np.empty(0, dtype=np.int64)
    for _ in range(_PASSES):
        deviation = np.zeros(ring.size)
        some = np.flatnonzero(undecided)
        for at in np.array_split(some, some.size // _BLOCK + 1):
            deviation[at] = _deviation(edges[:, at], transform, wrap=wrap)
        lost = np.unique(ring[np.isnan(deviation)])
        if lost.size:
            return lost
        # The sagitta falls as the square of the length; not at once, for edges need it in places
        pieces = np.ceil(np.sqrt(np.clip(deviation / tolerance[ring], 1.0, _PIECES**2))).astype(np.int64)
        if pieces.max() == 1:
            break
        which = np.repeat(np.arange(ring.size), pieces)
        nth = np.arange(which.size) - np.repeat(_offsets(pieces)[:-1], pieces)
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
    start = _offsets(count)
    closing = rings.x[rings.start[1:] - 1], rings.y[rings.start[1:] - 1]
    rings.x, rings.y = (np.insert(edges[i], start[1:], closing[i]) for i in (0, 1))
    rings.start = start + np.arange(start.size)
    return lost


def _deviation(edges: Floats, transform: Callable[[Floats, Floats], tuple[Floats, Floats]], *, wrap: bool) -> Floats:
    """How far each edge strays from its chord in longitude and latitude, degrees on the body."""
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
        # An edge of more than half a turn, which its ends alone would make a short one
        direct = (lon[-1] - lon[0] + 180.0) % 360.0 - 180.0
        deviation += np.abs(east[-1] - direct * shrink) * (np.abs(step.sum(axis=0) - direct) > 1.0)
    return np.asarray(deviation)


def _assemble(rings: _Rings, parts: int) -> Geometries:
    """Polygons of rings, closed over the poles, holes in the same turn as their shells."""
    x, y, start = _close_over_poles(rings)
    linear = shapely.linearrings(
        np.stack([x, y], axis=-1), indices=np.repeat(np.arange(len(rings.part)), np.diff(start))
    )
    if rings.hole.any():
        bounds = shapely.bounds(linear)
        shell = np.maximum.accumulate(np.where(rings.hole, 0, np.arange(len(rings.part))))
        turns = np.ceil((bounds[shell, 0] - bounds[:, 0]) / 360.0 - _TOLERANCE)
        turns[~rings.hole] = 0.0
        linear = _shift(linear, turns)
    polygons = np.asarray(shapely.polygons(linear, indices=rings.part), dtype=object)
    special = np.unique(rings.part[(rings.pole != 0) | rings.turned])
    for i in special:
        of_part = np.flatnonzero(rings.part == i)
        if of_part.size > 1 or rings.turned[of_part].any():
            polygons[i] = _around_the_pole(linear[of_part], rings.turned[of_part], polygons[i])
    return polygons


def _close_over_poles(rings: _Rings) -> tuple[Floats, Floats, Ints]:
    """Vertices of all rings, with the way to the pole and back where a ring goes around it."""
    at = np.flatnonzero(rings.pole)
    if not at.size:
        return rings.x, rings.y, rings.start
    x, y = rings.x.copy(), rings.y.copy()
    first, last = rings.start[at], rings.start[at + 1] - 1
    for i, begin, end in zip(at, first, last, strict=True):
        # From the vertex nearest to the pole, the way there crosses no edge
        turn = x[end] - x[begin]
        split = int(np.argmax(y[begin:end] * rings.pole[i]))
        ring = np.concatenate([x[begin:end], x[begin : begin + split + 1] + turn])
        x[begin : end + 1] = ring[split:]
        y[begin : end + 1] = np.concatenate([y[begin:end], y[begin : begin + split + 1]])[split:]
    pole = 90.0 * rings.pole[at]
    way_x = np.stack([x[last], x[first], x[first]], axis=1).ravel()
    way_y = np.stack([pole, pole, y[first]], axis=1).ravel()
    where = np.repeat(last + 1, 3)
    added = np.zeros(len(rings.part), dtype=np.int64)
    added[at] = 3
    return np.insert(x, where, way_x), np.insert(y, where, way_y), rings.start + _offsets(added)


def _around_the_pole(rings: Geometries, turned: Flags, plain: Any) -> Any:
    """A shell as wide as the body, less its holes wherever they lie across its seam."""
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
            return plain  # a hole outside of its shell, which shapely's check of the plain polygon names
        out = rest
    return out


def _copies(polygon: Any) -> Any:
    return shapely.union_all(_shift(np.full(3, polygon, dtype=object), np.array([-1.0, 0.0, 1.0])))


def _mend(polygons: Geometries, owner: Ints) -> tuple[Geometries, Ints]:
    """Parts that are valid, where chords of edges that almost met may cross."""
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


def _collect_parts(parts: Geometries, owner: Ints, count: int, checker: _Checker) -> tuple[Geometries, Ints]:
    """Parts of each shape side by side: in one turn, and joined where they meet."""
    parts, number = shapely.get_parts(parts, return_index=True)
    owner = owner[number]
    middle = shapely.bounds(parts)[:, [0, 2]].mean(axis=1)
    turns = -np.floor((middle + 180.0) / 360.0)
    middle += 360.0 * turns
    first = np.searchsorted(owner, owner)
    turns += np.round((middle[first] - middle) / 360.0)
    parts = _shift(parts, turns)

    shapes = _collect(parts, owner, count)
    pieces = np.bincount(owner, minlength=count)
    # Parts with an edge in common are two sides of a cut: no valid multipolygon, but one area
    met = np.flatnonzero((pieces > 1) & ~shapely.is_valid(shapes))
    if met.size:
        joined = shapely.unary_union(shapes[met])
        apart = np.zeros(count, dtype=bool)
        area = shapely.area(shapes[met])
        apart[met] = np.abs(shapely.area(joined) - area) > _TOLERANCE * area
        checker.refuse(
            apart, np.arange(count), "its parts overlap", "type shapely.unary_union(geometry) for what they cover"
        )
        shapes[met] = joined
    bounds = shapely.bounds(shapes)
    wide = np.flatnonzero(bounds[:, 2] - bounds[:, 0] > 360.0 + _TOLERANCE)
    if wide.size:
        twice = np.zeros(count, dtype=bool)
        # Less than a whole number of turns apart, no copies meet
        for turn in range(1, int(np.ceil((bounds[wide, 2] - bounds[wide, 0]).max() / 360.0)) + 1):
            copy = _shift(shapes[wide], np.full(wide.size, float(turn)))
            shared = shapely.area(shapely.intersection(shapes[wide], copy))
            twice[wide] |= shared > _TOLERANCE * shapely.area(shapes[wide])
        checker.refuse(
            twice, np.arange(count), "it covers some of the body twice", "correct its longitudes, or cut it at ±180"
        )
    out, number = shapely.get_parts(shapes, return_index=True)
    return out, number.astype(np.int64)


def _shift(geometries: Geometries, turns: Floats) -> Geometries:
    """Geometries so many turns further east."""
    moved = np.flatnonzero(turns)
    if not moved.size:
        return geometries
    out = geometries.copy()
    xy, number = shapely.get_coordinates(geometries[moved], return_index=True)
    xy[:, 0] += 360.0 * turns[moved][number]
    # set_coordinates works in place on the array it is given
    out[moved] = shapely.set_coordinates(geometries[moved].copy(), xy)
    return out


def _collect(parts: Geometries, owner: Ints, count: int) -> Geometries:
    """One polygon or multipolygon per shape; None where there are no parts."""
    out = np.full(count, None, dtype=object)
    pieces = np.bincount(owner, minlength=count)
    alone = pieces[owner] == 1
    out[owner[alone]] = parts[alone]
    if not alone.all():
        shapes, number = np.unique(owner[~alone], return_inverse=True)
        out[shapes] = shapely.multipolygons(parts[~alone], indices=number)
    return out


def _flatten(parts: Geometries, owner: Ints, count: int) -> PolygonTable:
    if not len(parts):
        nothing = np.empty(0)
        return PolygonTable(nothing, nothing.copy(), np.zeros(1, np.int64), np.zeros(count + 1, np.int64))
    rings = _rings(parts)
    _orient(rings)
    # The closing vertex goes, and so do vertices that are the same as the next
    differs = (np.diff(rings.x) != 0.0) | (np.diff(rings.y) != 0.0)
    keep = np.append(differs, False)
    keep[rings.start[1:] - 1] = False
    kept = np.bincount(rings.number[keep], minlength=len(rings.part))
    rings_of = np.bincount(owner[rings.part], minlength=count)
    return PolygonTable(rings.x[keep] + 0.0, rings.y[keep] + 0.0, _offsets(kept), _offsets(rings_of))


def _orientation(x: Floats, y: Floats, start: Ints, hole: Flags) -> Ints:
    """Order of vertices in which shells run counter-clockwise and holes clockwise."""
    wrong = (_signed_area(x, y, start) < 0.0) != hole
    size = np.diff(start)
    order = np.arange(x.size)
    back = np.repeat(start[:-1] + start[1:] - 1, size) - order
    return np.where(np.repeat(wrong, size), back, order)


def _signed_area(x: Floats, y: Floats, start: Ints) -> Floats:
    """Twice the area of closed rings, positive where they run counter-clockwise."""
    size = np.diff(start)
    # Relative to a vertex of its own, a small ring keeps its digits
    x, y = x - np.repeat(x[start[:-1]], size), y - np.repeat(y[start[:-1]], size)
    cross = np.append(x[:-1] * y[1:] - x[1:] * y[:-1], 0.0)
    cross[start[1:] - 1] = 0.0
    return np.asarray(np.add.reduceat(cross, start[:-1]))


def _linear_rings(x: Floats, y: Floats, start: Ints) -> Geometries:
    """Closed rings of rings in flat arrays that are not."""
    number = np.repeat(np.arange(start.size - 1), np.diff(start))
    return np.asarray(shapely.linearrings(np.stack([x, y], axis=-1), indices=number), dtype=object)


def _offsets(sizes: NDArray[np.integer]) -> Ints:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def gather(start: Ints, groups: NDArray[np.integer]) -> tuple[Ints, Ints]:
    """Positions of all members of some groups, and where each group's begin among them."""
    size = start[groups + 1] - start[groups]
    offsets = _offsets(size)
    return np.arange(offsets[-1]) + np.repeat(start[groups] - offsets[:-1], size), offsets
