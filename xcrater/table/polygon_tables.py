"""User-supplied polygons, one or none per crater: checked and converted to longitude and latitude.

Everything that is special about a sphere is settled here, once: the antimeridian, the poles, and edges that are
straight in another CRS. The results are simple closed rings in the plane of east longitude and planetocentric latitude,
with straight edges in that plane and longitudes that continue past ±180.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from xcrater.errors import BodyError, RegionError
from xcrater.geometry.bodies import Body, ellipsoids, horizontal, is_projected, to_geodetic
from xcrater.geometry.polygon_rings import (
    FULL_TURN,
    TOLERANCE,
    Rings,
    assemble,
    densify,
    mean_latitude,
    mend,
    of_parts,
    orient,
    perimeter,
    pole_steps,
    rings_of,
    shift,
    signed_area,
    unwrap,
)
from xcrater.geometry.polygon_table import PlanePolygons, PolygonTable, collect, offsets
from xcrater.geometry.projection import geodetic_crs, on_map
from xcrater.table.regions import Polygons

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Geometries = NDArray[np.object_]

SAGITTA = 1e-4
"""Largest deviation, in degrees, of an edge straight in longitude and latitude from one straight in its CRS."""

RELATIVE_SAGITTA = 1e-3
"""The same deviation as a fraction of the polygon's thickness, the width of a long strip of its area and perimeter."""

_LEAST_SAGITTA = 1e-7  # degrees, 3 mm on the Moon: dividing edges more finely would follow rounding errors

_UNITE = "type shapely.unary_union(geometry) for what they cover"


def declare_polygons(data: pd.DataFrame, geometries: Any, body: Body, crs: Any) -> Polygons:
    """Declare a region of user-supplied polygons; see `CraterDatabase.add_polygons`.

    Parameters
    ----------
    data : pandas.DataFrame
        `CraterDatabase.data`, one row per crater.
    geometries : sequence, numpy.ndarray, pandas.Series or geopandas.GeoSeries
        A shapely Polygon or MultiPolygon per crater, None for a crater without one.
    body : Body
        The body that the craters are on.
    crs : str, pyproj.CRS or None
        CRS of the coordinates; None for a GeoSeries' own CRS, or else longitude and planetocentric latitude.

    Returns
    -------
    Polygons
        The declaration. Its polygons stay with their craters when rows of `data` are selected or sorted.

    Raises
    ------
    RegionError
        There is not exactly one usable polygon, or None, per crater.
    BodyError
        The CRS is unknown or belongs to another body.
    """
    shapes, known_crs = _geometries(geometries, data.index, crs)
    try:
        table = make_polygon_table(
            shapes, body, "planetocentric" if known_crs is None else known_crs, data.index.to_numpy()
        )
    except BodyError as err:
        label = "" if known_crs is crs else ". If that is a wrong label, pass crs='planetocentric'"
        raise BodyError(str(err).replace("an input_crs", "a crs").replace("input_crs", "crs") + label) from err
    return Polygons(table, data.index.copy(), data[["_lon", "_lat"]].to_numpy(np.float64, copy=True))


def make_polygon_table(
    geometries: Geometries, body: Body, crs: Any = "planetocentric", labels: Sequence[Any] | NDArray[Any] | None = None
) -> PolygonTable:
    """Check polygons and convert them to east longitude and planetocentric latitude.

    Parameters
    ----------
    geometries : ndarray of object, shape (n,)
        A shapely Polygon or MultiPolygon per crater; None, NaN or an empty polygon for no region.
    body : Body
        The body that the polygons are on.
    crs : str or pyproj.CRS, default "planetocentric"
        CRS of the coordinates, as for `xcrater.geometry.bodies.to_geodetic`. Edges are straight in it.
    labels : sequence, optional
        Label of each crater for error messages; its position if not given.

    Returns
    -------
    PolygonTable
        One shape per crater.

    Raises
    ------
    RegionError
        A geometry is not a polygon, is invalid, or reaches beyond a pole or out of the projection.
    BodyError
        The CRS is unknown or belongs to another body.

    Notes
    -----
    In longitude and latitude, an edge that spans more than 180° is taken the short way round, with two exceptions. An
    edge of exactly 360° stays a whole turn if that makes a valid polygon (a band around the body, a cap that reaches
    the pole), and an edge along a pole stays as it is if only that makes a valid polygon (a cap that was cut at ±180).
    A ring that goes once around the body is closed over the pole of the hemisphere in which its mean latitude lies.
    Parts that share an edge, such as the two sides of a cut at ±180, are joined. Validity, as shapely defines it, is
    judged after that.

    In a projected CRS, validity is judged in its own plane, and a ring around a pole contains the pole that lies on its
    inside there. Edges that are not straight in longitude and planetocentric latitude are divided until the sagitta,
    the distance between the curve and its chord, is below both `SAGITTA` and `RELATIVE_SAGITTA` times twice the
    polygon's area over its perimeter (but no smaller than 1e-7°, 3 mm on the Moon). The table also keeps the given
    vertices of a projected CRS: rasters in the same CRS draw them straight, and others trace the true edges to a
    hundredth of a pixel, unless the polygon meets the seam or a pole of their map.

    Examples
    --------
    >>> import numpy as np, shapely
    >>> from xcrater.geometry.bodies import get_body
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
    if not is_projected(crs):
        lonlat, given = _from_angles(parts, owner, len(geometries), body, crs, checker)
        table = _flatten(*lonlat, len(geometries))
        return table if given is None else _with_plane(table, geodetic_crs(_axes(body, crs)), *given)
    checker.refuse_invalid(parts, owner)
    shapes = _joined(collect(parts, owner, len(geometries)), checker, lambda _: _UNITE)
    parts, owner = shapely.get_parts(shapes, return_index=True)
    table = _flatten(*_from_plane(parts, owner, len(geometries), body, crs, checker), len(geometries))
    return _with_plane(table, _wkt(crs), parts, owner)


def _with_plane(table: PolygonTable, crs: str, parts: Geometries, owner: Ints) -> PolygonTable:
    """A copy of a table that also holds its shapes as parts in the CRS in which they were given."""
    given = _flatten(parts, owner, len(table))
    return replace(table, plane=PlanePolygons(crs, given.lon, given.lat, given.ring, given.shape))


def _axes(body: Body, crs: Any) -> tuple[float, float]:
    """Semi-axes, in metres, of the ellipsoid whose normals define the latitudes of a CRS."""
    if isinstance(crs, str) and crs.strip().lower() == "planetographic":
        return ellipsoids(body)[-1]
    ellipsoid = pyproj.CRS.from_user_input(crs).ellipsoid
    assert ellipsoid is not None
    return float(ellipsoid.semi_major_metre), float(ellipsoid.semi_minor_metre)


def _geometries(geometries: Any, index: pd.Index[Any], crs: Any) -> tuple[NDArray[np.object_], Any]:
    """The geometries as an array of one per row, and their CRS."""
    if isinstance(geometries, pd.DataFrame):
        raise RegionError(
            "received a DataFrame; expected one geometry per crater: type cdb.add_polygons(name, table.geometry)"
        )
    if isinstance(geometries, (str, bytes, Mapping)) or not hasattr(geometries, "__len__"):
        kind = type(geometries).__name__
        raise RegionError(
            f"received geometries of type {kind}; expected a sequence with a shapely Polygon, MultiPolygon or None "
            f"for each of the {len(index)} craters: type [geometry, None, ...]"
        )
    if len(geometries) != len(index):
        raise RegionError(
            f"received {len(geometries)} geometries for {len(index)} craters; expected one per crater, None where "
            "there is no region"
            + (": type geometries.reindex(cdb.data.index)" if isinstance(geometries, pd.Series) else "")
        )
    if isinstance(geometries, pd.Series) and not geometries.index.equals(index):
        line = (
            "geometries.loc[cdb.data.index]"
            if geometries.index.is_unique and index.isin(geometries.index).all()
            else "geometries.to_numpy(), if they are in the table's order"
        )
        raise RegionError(f"received a Series whose index is not the table's; type {line}")
    if crs is None:
        crs = getattr(geometries, "crs", None)
    shapes = np.empty(len(index), dtype=object)
    shapes[:] = list(geometries)
    return shapes, crs


@dataclass(frozen=True)
class _Checker:
    """Raises errors that name craters by their labels."""

    labels: NDArray[Any]

    def refuse(self, bad: Flags, owner: Ints, reason: str | Callable[[int], str], advice: str) -> None:
        """Raise an error if any part is bad.

        Parameters
        ----------
        bad : ndarray of bool
            Which parts cannot be used.
        owner : ndarray of int
            Position of the crater that each part belongs to.
        reason : str or callable
            The reason, or a function that states it for the position of the first bad part.
        advice : str
            What the user can do about it.
        """
        parts = np.flatnonzero(bad)
        if not parts.size:
            return
        craters = np.unique(owner[parts])
        first = int(parts[0])
        why = reason if isinstance(reason, str) else reason(first)
        more = ""
        if craters.size > 1:
            others = [str(self.labels[i]) for i in craters[craters != owner[first]][:5]]
            more = f" (and {craters.size - 1} more: {', '.join(others)}{', …' if craters.size > 6 else ''})"
        raise RegionError(f"the polygon of crater {self.labels[owner[first]]!r} cannot be used: {why}{more}; {advice}")

    def refuse_invalid(self, polygons: Geometries, owner: Ints) -> None:
        """Raise an error if any polygon is invalid, with shapely's reason."""
        self.refuse(
            ~shapely.is_valid(polygons),
            owner,
            lambda i: str(shapely.is_valid_reason(polygons[i])),
            "type shapely.make_valid(geometries), or correct it",
        )


def _areal_parts(geometries: Geometries, checker: _Checker) -> tuple[Geometries, Ints]:
    """All polygons that are not empty, and the position of the crater that each belongs to."""
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


def _from_angles(
    parts: Geometries, owner: Ints, count: int, body: Body, crs: Any, checker: _Checker
) -> tuple[tuple[Geometries, Ints], tuple[Geometries, Ints] | None]:
    """Convert polygons whose coordinates are angles to parts in longitude and planetocentric latitude, with owners.

    If latitudes of the CRS are geodetic, the same parts in longitude and geodetic latitude are returned second.
    """
    # Longitude is linear in all these systems, which differ in its sign, zero meridian and unit
    (zero, one), _ = to_geodetic([0.0, 1.0], [0.0, 0.0], body, crs)
    scale = (one - zero + 180.0) % 360.0 - 180.0
    scale = float(np.round(scale, 9)) if abs(abs(scale) - 1.0) < 1e-9 else float(scale)

    def latitude(y: Floats) -> Floats:
        return to_geodetic(np.zeros_like(y), y, body, crs)[1]

    # Latitudes stay those of the CRS until validity has been judged, because edges are straight in them
    rings = rings_of(parts)
    unit = abs(scale)
    lon = rings.x * scale + zero if (scale, zero) != (1.0, 0.0) else rings.x
    y = rings.y * unit if unit != 1.0 else rings.y
    beyond = np.zeros(len(parts), dtype=bool)
    beyond[rings.part[rings.number[np.abs(y) > 90.0 + TOLERANCE]]] = True
    checker.refuse(
        beyond, owner, "a latitude is beyond ±90°", "name the CRS of the coordinates: cdb.add_polygons(..., crs=...)"
    )
    rings.y = np.clip(y, -90.0, 90.0)

    rings.x = lon
    polygons, wild = _unwrapped(rings, len(parts), _Steps(whole_turns=True))
    bad = wild | ~shapely.is_valid(polygons) | (shapely.area(polygons) == 0.0)
    length = np.abs(np.diff(lon))
    for doubtful, steps in (
        (np.abs(length - 360.0) < FULL_TURN, _Steps(whole_turns=False)),
        # A pole is a line in this plane, and a cut may have left a vertex anywhere on it
        (pole_steps(rings) & (length > 180.0), _Steps(whole_turns=True, along_poles=True)),
    ):
        again = np.intersect1d(np.flatnonzero(bad), rings.part[rings.number[np.flatnonzero(doubtful)]])
        if again.size:
            polygons[again], wild[again] = _unwrapped(of_parts(rings, again), again.size, steps)
            bad[again] = wild[again] | ~shapely.is_valid(polygons[again]) | (shapely.area(polygons[again]) == 0.0)
    checker.refuse(wild, owner, "a ring goes around the body more than once", "correct it")
    checker.refuse_invalid(polygons, owner)
    checker.refuse(bad, owner, "its area is 0", "pass None for no region, or correct it")

    polygons, owner = _collect_parts(polygons, owner, count, checker, 360.0 / scale)
    samples = shapely.get_coordinates(polygons)[:, 1]
    if np.array_equal(latitude(samples / unit), samples):
        return (polygons, owner), None
    # Divide edges that are straight in the CRS's latitude but curved in planetocentric latitude
    bent = rings_of(polygons)
    tolerance = _sagitta(_thickness(polygons))[bent.part]
    # Few edges span enough latitude for the second derivative to curve them noticeably
    quarter = latitude(np.linspace(-90.0, 90.0, 721) / unit)
    bend = 1.1 * np.abs(np.diff(quarter, 2)).max() / 0.25**2
    rise = np.append(np.diff(bent.y), 0.0)
    suspects = bend * rise**2 / 8 > tolerance[bent.number]
    densify(bent, tolerance, lambda x, y: (x, latitude(y / unit)), suspects, wrap=False)
    bent.y = latitude(bent.y / unit)
    return mend(assemble(bent, len(polygons)), owner), (polygons, owner)


class _Steps(NamedTuple):
    """Which large steps of longitude are kept, whereas others go the short way round; see `unwrap`."""

    whole_turns: bool
    along_poles: bool = False


def _unwrapped(rings: Rings, parts: int, steps: _Steps) -> tuple[Geometries, Flags]:
    """Make longitudes continuous; also tells which polygons have a ring that winds around the body more than once."""
    rings = replace(rings)
    unwrap(rings, **steps._asdict())
    winding = rings.winding
    wild = np.zeros(parts, dtype=bool)
    wild[rings.part[np.abs(winding) > 1]] = True
    rings.pole = np.where(winding == 0, 0, np.where(mean_latitude(rings) >= 0.0, 1, -1))
    return assemble(rings, parts), wild


def _from_plane(
    parts: Geometries, owner: Ints, count: int, body: Body, crs: Any, checker: _Checker
) -> tuple[Geometries, Ints]:
    """Convert polygons whose coordinates are x and y of a projection to parts in longitude and latitude."""

    def transform(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        return to_geodetic(x, y, body, crs)

    outside = "it reaches out of the projection", "clip it to the map, or name the CRS of the coordinates"
    rings = rings_of(parts)
    orient(rings)
    lon, lat = transform(rings.x, rings.y)
    bad = np.zeros(len(parts), dtype=bool)
    wkt = _wkt(crs)
    middle_x, middle_y = ((axis + np.roll(axis, -1)) / 2 for axis in (rings.x, rings.y))
    # After the last vertex of a ring this would be the middle between two rings
    last = rings.start[1:] - 1
    middle_x[last], middle_y[last] = rings.x[last], rings.y[last]
    shown = on_map(wkt, rings.x, rings.y) & on_map(wkt, middle_x, middle_y)
    bad[rings.part[rings.number[np.isnan(lon) | np.isnan(lat) | ~shown]]] = True
    checker.refuse(bad, owner, *outside)

    thickness = 2 * shapely.area(parts) / shapely.length(parts) ** 2 * perimeter(rings, lon, lat, len(parts))
    mirrored = _mirrored(rings, transform, shapely.length(parts))
    lost = densify(rings, _sagitta(thickness)[rings.part], transform, np.ones(rings.x.size, dtype=bool), wrap=True)
    bad[rings.part[lost]] = True
    checker.refuse(bad, owner, *outside)

    rings.x, rings.y = transform(rings.x, rings.y)
    unwrap(rings, whole_turns=False)
    winding = rings.winding
    inside = np.where(rings.hole, -1, 1) * (-1 if mirrored else 1)
    rings.pole = winding * inside
    bad[rings.part[np.abs(winding) > 1]] = True
    checker.refuse(bad, owner, "a ring goes around the body more than once", "correct it")
    rings.turned = (winding == 0) & (signed_area(rings.x, rings.y, rings.start) * inside < 0.0)
    polygons, owner = mend(assemble(rings, len(parts)), owner)
    return _collect_parts(polygons, owner, count, checker, None)


def _wkt(crs: Any) -> str:
    """A CRS as WKT, without a vertical part."""
    return horizontal(pyproj.CRS.from_user_input(crs)).to_wkt()


def _mirrored(rings: Rings, transform: Callable[[Floats, Floats], tuple[Floats, Floats]], length: Floats) -> bool:
    """Whether counter-clockwise in the plane is clockwise on the body, as it is where x points west."""
    first = rings.start[:-1]
    x, y, step = rings.x[first], rings.y[first], 1e-5 * length[rings.part]
    lon, lat = transform(np.concatenate([x, x + step, x]), np.concatenate([y, y, y + step]))
    lon, lat = lon.reshape(3, -1), lat.reshape(3, -1)
    east = (lon[1:] - lon[0] + 180.0) % 360.0 - 180.0
    north = lat[1:] - lat[0]
    return bool(np.nansum(np.sign(east[0] * north[1] - east[1] * north[0])) < 0)


def _thickness(polygons: Geometries) -> Floats:
    """Width, in degrees on the body, of a long strip with a polygon's area and perimeter."""
    bounds = shapely.bounds(polygons)
    shrink = np.cos(np.radians(np.abs(bounds[:, 1] + bounds[:, 3]) / 2))
    return np.asarray(2 * shapely.area(polygons) / shapely.length(polygons) * shrink)


def _sagitta(thickness: Floats) -> Floats:
    return np.clip(RELATIVE_SAGITTA * thickness, _LEAST_SAGITTA, SAGITTA)


def _collect_parts(
    parts: Geometries, owner: Ints, count: int, checker: _Checker, whole_turn: float | None
) -> tuple[Geometries, Ints]:
    """Move the parts of each shape into one turn, and join those that share an edge.

    `whole_turn` is a turn of longitude in the given coordinates; None if they are not angles.
    """
    parts, number = shapely.get_parts(parts, return_index=True)
    owner = owner[number]
    middle = shapely.bounds(parts)[:, [0, 2]].mean(axis=1)
    turns = -np.floor((middle + 180.0) / 360.0)
    middle += 360.0 * turns
    first = np.searchsorted(owner, owner)
    turns += np.round((middle[first] - middle) / 360.0)
    parts = shift(parts, turns)

    shapes = collect(parts, owner, count)
    shapes = _joined(shapes, checker, lambda i: _overlap_advice(turns[owner == i], whole_turn))
    bounds = shapely.bounds(shapes)
    wide = np.flatnonzero(bounds[:, 2] - bounds[:, 0] > 360.0 + TOLERANCE)
    if wide.size:
        twice = np.zeros(count, dtype=bool)
        # Copies of a shape can overlap only if they are fewer turns apart than the shape is wide
        for turn in range(1, int(np.ceil((bounds[wide, 2] - bounds[wide, 0]).max() / 360.0)) + 1):
            copy = shift(shapes[wide], np.full(wide.size, float(turn)))
            shared = shapely.area(shapely.intersection(shapes[wide], copy))
            twice[wide] |= shared > TOLERANCE * shapely.area(shapes[wide])
        checker.refuse(
            twice, np.arange(count), "it covers some of the body twice", "correct its longitudes, or cut it at ±180"
        )
    out, number = shapely.get_parts(shapes, return_index=True)
    return out, number.astype(np.int64)


def _joined(shapes: Geometries, checker: _Checker, advice: Callable[[int], str]) -> Geometries:
    """Join those parts of each shape that share an edge.

    They are the two sides of a cut, or the pieces in which a map was digitised: not a valid multipolygon, but one area.

    Parameters
    ----------
    shapes : ndarray of object, shape (n,)
        A polygon or multipolygon per crater, or None.
    checker : _Checker
        Refuses shapes whose parts overlap.
    advice : callable
        What the user can do about the shape at a position.
    """
    multiple = np.flatnonzero(shapely.get_num_geometries(shapes) > 1)
    met = multiple[~shapely.is_valid(shapes[multiple])]
    if not met.size:
        return shapes
    # With an axis, the parts of each row are united separately
    joined = shapely.unary_union(shapes[met][:, None], axis=1)
    area = shapely.area(shapes[met])
    apart = np.flatnonzero(np.abs(shapely.area(joined) - area) > TOLERANCE * area)
    if apart.size:
        overlap = np.zeros(len(shapes), dtype=bool)
        overlap[met[apart]] = True
        checker.refuse(overlap, np.arange(len(shapes)), "its parts overlap", advice(int(met[apart[0]])))
    shapes = shapes.copy()
    shapes[met] = joined
    return shapes


def _overlap_advice(turns: Floats, whole_turn: float | None) -> str:
    """The line to type for the area that overlapping parts cover.

    Parameters
    ----------
    turns : ndarray, shape (parts,)
        Turns of longitude by which each part was moved eastwards before the parts overlapped.
    whole_turn : float or None
        A turn of longitude in the units and the direction of the given coordinates; None if they are not angles.
    """
    if not np.ptp(turns):
        return _UNITE
    if whole_turn is None:
        return "they meet on the other side of the map: clip each to one turn of longitude"
    moves = ((turns - turns[0]) * whole_turn).tolist()
    return (
        "type shapely.unary_union([shapely.affinity.translate(part, move) for part, move in "
        f"zip(geometry.geoms, {moves})]) for what they cover"
    )


def _flatten(parts: Geometries, owner: Ints, count: int) -> PolygonTable:
    if not len(parts):
        nothing = np.empty(0)
        return PolygonTable(nothing, nothing.copy(), np.zeros(1, np.int64), np.zeros(count + 1, np.int64))
    rings = rings_of(parts)
    orient(rings)
    # Leave out the closing vertices, and vertices equal to their successor
    differs = (np.diff(rings.x) != 0.0) | (np.diff(rings.y) != 0.0)
    keep = np.append(differs, False)
    keep[rings.start[1:] - 1] = False
    kept = np.bincount(rings.number[keep], minlength=len(rings.part))
    per_shape = np.bincount(owner[rings.part], minlength=count)
    # Adding 0 turns -0.0 into 0.0
    return PolygonTable(rings.x[keep] + 0.0, rings.y[keep] + 0.0, offsets(kept), offsets(per_shape))
