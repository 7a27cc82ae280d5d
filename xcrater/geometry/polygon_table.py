"""Polygons of a table's craters in flat arrays, one shape per crater, in longitude and latitude or another CRS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Geometries = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class PlanePolygons:
    """Polygons as flat arrays in the CRS in which they were given: one shape, perhaps empty, per crater.

    Parameters
    ----------
    crs : str
        The projected CRS as WKT, without a vertical part; or longitude and geodetic latitude on an ellipsoid, as
        `xcrater.geometry.projection.geodetic_crs` writes it.
    x, y : ndarray, shape (n,)
        Vertices as easting and northing in units of the CRS, or as east longitude and geodetic latitude, degrees, with
        continuous longitudes like those of a `PolygonTable`; the first vertex of a ring is not repeated.
    ring : ndarray of int64, shape (rings + 1,)
        Position of each ring's first vertex, and the number of vertices.
    shape : ndarray of int64, shape (shapes + 1,)
        Position of each shape's first ring, and the number of rings. Shells run counter-clockwise (x to the right,
        y up) and each is followed by its holes, which run clockwise.
    """

    crs: str
    x: Floats
    y: Floats
    ring: Ints
    shape: Ints

    def __post_init__(self) -> None:
        for array in (self.x, self.y, self.ring, self.shape):
            array.setflags(write=False)

    def __len__(self) -> int:
        return self.shape.size - 1

    def take(self, index: NDArray[np.integer] | Flags | slice) -> PlanePolygons:
        """Select shapes by position, as `PolygonTable.take` does."""
        rings, shape = gather(self.shape, np.arange(len(self))[index])
        vertices, ring = gather(self.ring, rings)
        return PlanePolygons(self.crs, self.x[vertices], self.y[vertices], ring, shape)


@dataclass(frozen=True, eq=False)
class PolygonTable:
    """Polygons in longitude and latitude as flat arrays: one shape, perhaps empty, per crater.

    Parameters
    ----------
    lon, lat : ndarray, shape (n,)
        East longitude and planetocentric latitude of the vertices, degrees; the first vertex of a ring is not repeated.
        Longitudes are continuous along a ring, even past ±180. A ring around a pole returns to its first longitude
        along latitude ±90.
    ring : ndarray of int64, shape (rings + 1,)
        Position of each ring's first vertex, and the number of vertices.
    shape : ndarray of int64, shape (shapes + 1,)
        Position of each shape's first ring, and the number of rings. Shells run counter-clockwise (longitude to the
        right, latitude up) and each is followed by its holes, which run clockwise.
    plane : PlanePolygons or None
        The same shapes in the CRS in which they were given and in which their edges are straight; None if edges are
        straight in longitude and planetocentric latitude.
    """

    lon: Floats
    lat: Floats
    ring: Ints
    shape: Ints
    plane: PlanePolygons | None = None

    def __post_init__(self) -> None:
        for array in (self.lon, self.lat, self.ring, self.shape):
            array.setflags(write=False)

    def __len__(self) -> int:
        return self.shape.size - 1

    def take(self, index: NDArray[np.integer] | Flags | slice) -> PolygonTable:
        """Select shapes by position.

        Parameters
        ----------
        index : ndarray of int or bool, or slice
            Positions of the shapes, in the order of the result; a position may occur more than once.

        Returns
        -------
        PolygonTable
            The selected shapes.
        """
        rows = np.arange(len(self))[index]
        rings, shape = gather(self.shape, rows)
        vertices, ring = gather(self.ring, rings)
        plane = None if self.plane is None else self.plane.take(index)
        return PolygonTable(self.lon[vertices], self.lat[vertices], ring, shape, plane)

    def same_as(self, other: PolygonTable) -> bool:
        """Whether another table has the same shapes, given in the same CRS."""
        planes = (self.plane, other.plane)
        arrays = [(table.lon, table.lat, table.ring, table.shape) for table in (self, other)]
        given = [() if plane is None else (plane.x, plane.y, plane.ring, plane.shape) for plane in planes]
        crs = [None if plane is None else plane.crs for plane in planes]
        return crs[0] == crs[1] and all(map(np.array_equal, (*arrays[0], *given[0]), (*arrays[1], *given[1])))

    def polygons(self) -> Geometries:
        """Convert the shapes to shapely's polygons and multipolygons.

        Returns
        -------
        ndarray of object, shape (shapes,)
            A geometry per shape, None for an empty one. Longitudes continue past ±180 as in the table.
        """
        rings = linear_rings(self.lon, self.lat, self.ring)
        part = np.cumsum(shapely.is_ccw(rings)) - 1
        owner = np.repeat(np.arange(len(self)), np.diff(self.shape))
        starts = np.flatnonzero(np.diff(part, prepend=-1))
        return collect(shapely.polygons(rings, indices=part), owner[starts], len(self))


def linear_rings(x: Floats, y: Floats, start: Ints) -> Geometries:
    """Make shapely's linear rings from vertices in flat arrays, in which first vertices are not repeated."""
    number = np.repeat(np.arange(start.size - 1), np.diff(start))
    return np.asarray(shapely.linearrings(np.stack([x, y], axis=-1), indices=number), dtype=object)


def collect(parts: Geometries, owner: Ints, count: int) -> Geometries:
    """Combine the polygons of each shape.

    Parameters
    ----------
    parts : ndarray of shapely.Polygon
        The polygons.
    owner : ndarray of int64
        The shape that each polygon belongs to.
    count : int
        Number of shapes.

    Returns
    -------
    ndarray of object, shape (count,)
        A polygon or multipolygon per shape, None for a shape without polygons.
    """
    out = np.full(count, None, dtype=object)
    pieces = np.bincount(owner, minlength=count)
    alone = pieces[owner] == 1
    out[owner[alone]] = parts[alone]
    if not alone.all():
        shapes, number = np.unique(owner[~alone], return_inverse=True)
        out[shapes] = shapely.multipolygons(parts[~alone], indices=number)
    return out


def offsets(sizes: NDArray[np.integer]) -> Ints:
    """Compute the offsets of groups that lie one after the other in a flat array.

    Parameters
    ----------
    sizes : ndarray of int, shape (groups,)
        Number of members of each group.

    Returns
    -------
    ndarray of int64, shape (groups + 1,)
        Position of each group's first member, and the number of all members.
    """
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def gather(start: Ints, groups: NDArray[np.integer]) -> tuple[Ints, Ints]:
    """Find the members of some groups in a flat array.

    Parameters
    ----------
    start : ndarray of int64, shape (groups + 1,)
        Offsets of all groups; see `offsets`.
    groups : ndarray of int, shape (k,)
        The groups to find, in the order of the result.

    Returns
    -------
    members : ndarray of int64
        Positions of their members, group after group.
    begin : ndarray of int64, shape (k + 1,)
        Offsets of these groups in `members`.
    """
    size = start[groups + 1] - start[groups]
    begin = offsets(size)
    return np.arange(begin[-1]) + np.repeat(start[groups] - begin[:-1], size), begin
