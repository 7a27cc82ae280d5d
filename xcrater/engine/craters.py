"""Craters on a grid, and the discs that are excluded from their regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.geometry.grid import Grid, Window
from xcrater.geometry.polygon_table import gather
from xcrater.table.crater_table import CraterTable
from xcrater.table.regions import CraterShapes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Craters:
    """Craters placed on a grid.

    Parameters
    ----------
    row : ndarray of int32, shape (n,)
        Position in the table.
    column : ndarray, shape (n,)
        Column coordinate of the crater's meridian on the grid's line of meridians, within one turn of its first column.
    lat : ndarray, shape (n,)
        Planetocentric latitude of the centre, radians.
    radius : ndarray, shape (n,)
        Angular radius, radians: the radius in metres over that of the body.
    shapes : tuple of CraterShapes
        For each region that differs from crater to crater, the shapes of all craters.
    near : Neighbours or None
        Discs to exclude from each crater's regions; None if there are none.
    meridians : tuple of float
        Longitude of column coordinate 0 and longitude per column, degrees: those of the grid if it has a closed form,
        else 0 and 1.
    """

    row: NDArray[np.int32]
    column: Floats
    lat: Floats
    radius: Floats
    shapes: tuple[CraterShapes, ...] = ()
    near: Neighbours | None = None
    meridians: tuple[float, float] = (0.0, 1.0)

    def __len__(self) -> int:
        return self.row.size

    @property
    def lon(self) -> Floats:
        """East longitude of each centre, degrees, within one turn of the grid's first column."""
        origin, step = self.meridians
        return np.asarray(origin + step * self.column)

    def caps(self) -> kernels.Caps:
        """The record of the craters that kernels take, for grids with a closed form."""
        return kernels.Caps(self.column, self.lat, self.radius)

    def take(self, index: NDArray[np.integer] | slice) -> Craters:
        """Select the craters at some positions of this table."""
        shapes = tuple(of_region.take(index) for of_region in self.shapes)
        near = None if self.near is None else self.near.take(index)
        return Craters(
            self.row[index], self.column[index], self.lat[index], self.radius[index], shapes, near, self.meridians
        )

    def on(self, window: Window, period: float) -> Craters:
        """The same craters, without those neighbours that do not reach a window of the grid."""
        return self if self.near is None else replace(self, near=self.near.on(window, period))


def place(grid: Grid, lon: NDArray[Any], lat: NDArray[Any], angle: NDArray[Any]) -> Craters:
    """Place a crater table on a grid.

    Parameters
    ----------
    grid : Grid
        The grid.
    lon, lat, angle : ndarray, shape (n,)
        Longitude and latitude of the centres and angular radii, degrees.
    """
    return Craters(
        row=np.arange(lon.size, dtype=np.int32),
        column=np.mod((lon - grid.lon_origin) / grid.lon_step, 360.0 / abs(grid.lon_step)),
        lat=np.radians(lat),
        radius=np.radians(angle),
        meridians=(grid.lon_origin, grid.lon_step),
    )


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Discs that are excluded from the regions of some craters.

    Parameters
    ----------
    offset : ndarray of int64, shape (craters + 1,)
        Position of each crater's first disc in `member`, and the number of members.
    member : ndarray of int32
        Positions in `discs`, crater by crater and ascending for each crater.
    discs : Craters
        The discs, as craters of one radius each; every disc belongs to some crater.
    bounds : ndarray of int32, shape (discs, 4)
        First and last row and column that each disc may meet; columns count from within a turn of the grid's first.
    """

    offset: Ints
    member: NDArray[np.int32]
    discs: Craters
    bounds: NDArray[np.int32]

    def take(self, index: NDArray[np.integer] | slice) -> Neighbours | None:
        """Select the neighbours of the craters at some positions; None if they have none."""
        chosen = np.arange(self.offset.size - 1)[index] if isinstance(index, slice) else index
        at, offset = gather(self.offset, chosen)
        return self._of(offset, self.member[at])

    def on(self, window: Window, period: float) -> Neighbours | None:
        """Select the neighbours whose discs may reach a window of the grid; None if there are none."""
        reaches = meets(tuple(self.bounds.T), window, period)
        if reaches.all():
            return self
        kept = reaches[self.member]
        return self._of(np.append(0, np.cumsum(kept))[self.offset], self.member[kept])

    def _of(self, offset: Ints, member: NDArray[np.int32]) -> Neighbours | None:
        used: NDArray[np.integer]
        if not member.size:
            return None
        if 16 * member.size < len(self.discs):
            used = np.unique(member)
            number = np.searchsorted(used, member)
        else:
            present = np.zeros(len(self.discs), bool)
            present[member] = True
            used = np.flatnonzero(present)
            number = np.cumsum(present)[member] - 1
        if used.size == len(self.discs):
            return replace(self, offset=offset, member=member)
        return Neighbours(offset, number.astype(np.int32), self.discs.take(used), self.bounds[used])


def meets(bounds: Sequence[NDArray[Any]], window: Window, period: float) -> Flags:
    """Whether boxes, or their copies a turn away, meet a window; boxes that are NaN do not."""
    top, bottom, west, east = bounds
    met = (bottom > window[0]) & (top < window[1])
    width = window[3] - window[2]
    if not math.isfinite(period):
        return np.asarray(met & (east > window[2]) & (west < window[3]))
    after = np.mod(west - window[2], period)
    return np.asarray(met & ((after < width) | (after + (east - west) > period)))


def on_grid(grid: Grid, cdb: CraterTable, sphere: float) -> Craters:
    """Place a table on a grid, converting the craters' radii to angles on a sphere of a radius in metres."""
    return place(
        grid,
        cdb.lon.to_numpy(float),
        cdb.lat.to_numpy(float),
        np.degrees(cdb.rad.to_numpy(float) / sphere),
    )
