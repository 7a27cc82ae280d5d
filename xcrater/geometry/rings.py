"""Rings of vertices in pixel coordinates: the records of which outlines consist, their areas and their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xcrater.geometry.polygon_table import gather

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Outlines:
    """Rings of vertices in pixel coordinates, one shape per crater.

    Parameters
    ----------
    u, v : ndarray, shape (n,)
        Vertices along columns and rows; pixel (r, c) covers [c, c + 1) x [r, r + 1). Rings are not closed: the
        first vertex is not repeated.
    ring : ndarray of int64, shape (rings + 1,)
        Position of each ring's first vertex, and the number of vertices.
    shape : ndarray of int64, shape (shapes + 1,)
        Position of each shape's first ring, and the number of rings.
    period : float
        Columns per turn of longitude; infinite if columns do not repeat.

    Notes
    -----
    ``sum(u[i] * v[i + 1] - u[i + 1] * v[i]) / 2`` over the rings is the area: shells are positive, holes negative.
    A point is inside if its winding number is not 0. With a finite period a shape stands for all of its copies.
    """

    u: Floats
    v: Floats
    ring: Ints
    shape: Ints
    period: float

    def __len__(self) -> int:
        return self.shape.size - 1

    def bounds(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Least and greatest u and v of every shape, each of shape (shapes,); NaN for shapes without a ring."""
        starts = self.ring[self.shape]
        filled = starts[1:] > starts[:-1]
        extremes = []
        for axis, extreme in ((self.u, np.minimum), (self.u, np.maximum), (self.v, np.minimum), (self.v, np.maximum)):
            out = np.full(len(self), np.nan)
            if filled.any():
                out[filled] = extreme.reduceat(axis, starts[:-1][filled])
            extremes.append(out)
        return extremes[0], extremes[1], extremes[2], extremes[3]


class Rings(NamedTuple):
    """Rings in flat arrays, not yet in the order of their shapes.

    Parameters
    ----------
    owner : ndarray of int64, shape (rings,)
        Index of the shape that each ring belongs to.
    size : ndarray of int64, shape (rings,)
        Number of vertices of each ring; the first is not repeated.
    u, v : ndarray, shape (sum of sizes,)
        Vertices of all rings, one ring after the other, in pixel coordinates or those of another plane.
    """

    owner: Ints
    size: Ints
    u: Floats
    v: Floats


def signed_area(x: Floats, y: Floats) -> float:
    """Area of one ring, positive if it runs counter-clockwise (x to the right, y up)."""
    x, y = x - x[0], y - y[0]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def ring_areas(u: Floats, v: Floats, offset: Ints) -> Floats:
    """Signed area of every ring in flat arrays; `offset` holds the position of each ring's first vertex."""
    size = np.diff(offset)
    first = np.repeat(offset[:-1], size)
    x, y = u - u[first], v - v[first]
    after = np.arange(u.size) + 1
    after[offset[1:] - 1] = offset[:-1]
    cross = x * y[after] - x[after] * y
    return np.asarray(np.add.reduceat(cross, offset[:-1]) / 2) if size.size else np.empty(0)


def oriented(rings: Rings, sign: float) -> Rings:
    """Return rings unchanged if `sign` is positive, and with reversed vertices if it is negative."""
    owner, size, u, v = rings
    if sign > 0 or not size.size:
        return rings
    ends = np.cumsum(size)
    reverse = np.repeat(2 * ends - size - 1, size) - np.arange(u.size)
    return Rings(owner, size, u[reverse], v[reverse])


def assemble(parts: Iterable[Rings], shapes: int, period: float) -> Outlines:
    """Put rings in the order of their shapes.

    Parameters
    ----------
    parts : iterable of Rings
        The rings; those of one shape keep their order.
    shapes : int
        Number of shapes; shapes without rings are empty.
    period : float
        Columns per turn of longitude; see `Outlines`.
    """
    parts = list(parts)
    owner = np.concatenate([np.empty(0, np.int64), *(part.owner for part in parts)]).astype(np.int64)
    size = np.concatenate([np.empty(0, np.int64), *(part.size for part in parts)]).astype(np.int64)
    u = np.concatenate([np.empty(0), *(part.u for part in parts)])
    v = np.concatenate([np.empty(0), *(part.v for part in parts)])
    offset = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    vertices, ring = gather(offset, np.argsort(owner, kind="stable"))
    count = np.bincount(owner, minlength=shapes)
    return Outlines(u[vertices], v[vertices], ring, np.concatenate([[0], np.cumsum(count)]).astype(np.int64), period)
