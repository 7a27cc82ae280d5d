"""What a region is, before any raster: a shape measured in crater radii, or polygons of one's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater.errors import RegionError
from xcrater.geometry.polygon_table import PolygonTable

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Annulus:
    """The ring between two distances from a crater's centre.

    Parameters
    ----------
    inner, outer : float
        Bounds in crater radii, ``0 <= inner < outer``.
    nvert : int or None
        Number of vertices, even, of the polygon that stands for each bounding circle (edges straight in
        longitude and latitude), or None for the true small circle.

    Raises
    ------
    RegionError
        If the bounds or the number of vertices make no ring.

    Examples
    --------
    >>> Annulus(1, 1.5)
    Annulus(inner=1, outer=1.5, nvert=32)
    """

    inner: float
    outer: float
    nvert: int | None = 32

    def __post_init__(self) -> None:
        if not all(isinstance(bound, Real) and math.isfinite(bound) for bound in (self.inner, self.outer)):
            raise RegionError(f"received inner={self.inner!r}, outer={self.outer!r}; both must be finite numbers")
        if self.inner < 0:
            raise RegionError(f"received inner={self.inner!r}; a distance in crater radii is 0 or more")
        if self.inner >= self.outer:
            raise RegionError(
                f"received inner={self.inner!r}, outer={self.outer!r}; inner must be less than outer "
                "(both in crater radii from the centre)"
            )
        if self.nvert is not None and (self.nvert != int(self.nvert) or self.nvert < 4 or self.nvert % 2):
            raise RegionError(
                f"received nvert={self.nvert!r}; expected an even number from 4 on, or None for a true circle"
            )


@dataclass(frozen=True)
class Circle(Annulus):
    """The disc within a distance of a crater's centre: an annulus whose inner bound is 0."""

    def __init__(self, size: float = 1.0, nvert: int | None = 32) -> None:
        super().__init__(0.0, size, nvert)


@dataclass(frozen=True)
class Sector(Annulus):
    """The part of a ring between two azimuths.

    Parameters
    ----------
    inner, outer, nvert
        Of the ring; see `Annulus`.
    start, stop : float
        Degrees clockwise from north at the crater's centre, ``0 <= start < stop <= 360``. Of the ring's pixels those
        belong whose centre's azimuth is start or more, and less than stop.

    Raises
    ------
    RegionError
        If the bounds make no part of a ring.

    Examples
    --------
    >>> Sector(1, 1.5, None, start=90, stop=180)
    Sector(inner=1, outer=1.5, nvert=None, start=90, stop=180)
    """

    start: float = 0.0
    stop: float = 360.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.start, Real) and isinstance(self.stop, Real) and 0 <= self.start < self.stop <= 360):
            raise RegionError(
                f"received start={self.start!r}, stop={self.stop!r}; expected 0 <= start < stop <= 360, in degrees "
                "clockwise from north"
            )


@dataclass(frozen=True, eq=False, repr=False)
class Polygons:
    """Polygons of one's own, one or none per crater; see `CraterDatabase.add_polygons`.

    Parameters
    ----------
    table : PolygonTable
        The polygons, in the order of the craters.
    index : pandas.Index
        Labels of the craters when the polygons were added.
    centres : ndarray, shape (n, 2)
        Longitude and latitude of the craters then, degrees.
    """

    table: PolygonTable
    index: pd.Index[Any]
    centres: Floats

    def __repr__(self) -> str:
        regions = int(np.count_nonzero(np.diff(self.table.shape)))
        return f"Polygons({regions} of {len(self.table)} craters, {self.table.lon.size} vertices)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Polygons):
            return NotImplemented
        mine, theirs = ((p.table.lon, p.table.lat, p.table.ring, p.table.shape, p.centres) for p in (self, other))
        return self.index.equals(other.index) and all(map(np.array_equal, mine, theirs))

    def __hash__(self) -> int:
        return hash((self.table.lon.tobytes(), self.table.lat.tobytes(), self.table.ring.tobytes()))

    def of(self, data: pd.DataFrame) -> PolygonTable:
        """The polygons of some of the craters, whatever rows were taken and in which order since they were added.

        Parameters
        ----------
        data : pandas.DataFrame
            `CraterDatabase.data`: the craters wanted. A label that has come to mean another crater, by its centre, is
            an error.

        Returns
        -------
        PolygonTable
            One shape for each.

        Raises
        ------
        RegionError
            They are not the craters that the polygons were added to.
        """
        if self.index.equals(data.index):
            at = np.arange(len(data))
        elif self.index.is_unique:
            at = self.index.get_indexer(data.index)
        else:
            at = np.full(len(data), -1)
        if (at < 0).any() or not np.array_equal(self.centres[at], data[["_lon", "_lat"]].to_numpy(np.float64)):
            raise RegionError(
                "the table's rows are not those that the polygons were added to, by their labels and positions; "
                "type cdb.add_polygons(...) again after changing cdb.data"
            )
        return self.table if np.array_equal(at, np.arange(len(self.table))) else self.table.take(at)


Region: TypeAlias = Annulus | Polygons
"""Any declaration of a region."""
