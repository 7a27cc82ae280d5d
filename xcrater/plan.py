"""Which craters meet which tile of a raster: plain arrays, before anything is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.grid import Grid, Window

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Craters:
    """Craters placed on a grid.

    Parameters
    ----------
    row : ndarray of int32, shape (n,)
        Position in the table.
    u0 : ndarray, shape (n,)
        Column coordinate of the crater's meridian, within one turn of the grid's first column.
    lat : ndarray, shape (n,)
        Latitude of the centre, radians.
    radius : ndarray, shape (n,)
        Angular radius, radians.
    """

    row: NDArray[np.int32]
    u0: Floats
    lat: Floats
    radius: Floats

    def __len__(self) -> int:
        return self.row.size

    def take(self, index: NDArray[np.integer] | slice) -> Craters:
        """The craters at some positions of this table."""
        return Craters(self.row[index], self.u0[index], self.lat[index], self.radius[index])


@dataclass(frozen=True, eq=False)
class Tile:
    """One raster chunk and the craters whose regions may reach it.

    Parameters
    ----------
    index : tuple of int
        Chunk number along rows and columns.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) on the whole grid.
    craters : Craters
        In table order.
    """

    index: tuple[int, int]
    window: Window
    craters: Craters


@dataclass(frozen=True, eq=False)
class Plan:
    """The tiles that any region touches, in row-major order.

    Parameters
    ----------
    grid : Grid
        The raster's grid with its chunk edges.
    craters : Craters
        The whole table.
    tile : ndarray of int64, shape (t,)
        Number of each touched tile, ``row_chunk * column_chunks + column_chunk``, ascending.
    offset : ndarray of int64, shape (t + 1,)
        Where each tile's craters begin in `member`.
    member : ndarray of int32
        Crater rows, tile by tile, ascending within a tile.
    """

    grid: Grid
    craters: Craters
    tile: Ints
    offset: Ints
    member: NDArray[np.int32]

    def __len__(self) -> int:
        return self.tile.size

    def __iter__(self) -> Iterator[Tile]:
        rows, cols = self.grid.row_edges, self.grid.col_edges
        across = len(cols) - 1
        for n, tile in enumerate(self.tile.tolist()):
            i, j = divmod(tile, across)
            yield Tile(
                index=(i, j),
                window=(rows[i], rows[i + 1], cols[j], cols[j + 1]),
                craters=self.craters.take(self.member[self.offset[n] : self.offset[n + 1]]),
            )


def place(grid: Grid, lon: NDArray[Any], lat: NDArray[Any], angle: NDArray[Any]) -> Craters:
    """Put a crater table on a grid.

    Parameters
    ----------
    grid : Grid
        Where.
    lon, lat, angle : ndarray, shape (n,)
        Longitude and latitude of the centres and angular radii, degrees.
    """
    return Craters(
        row=np.arange(lon.size, dtype=np.int32),
        u0=np.mod((lon - grid.lon_origin) / grid.lon_step, grid.period),
        lat=np.radians(lat),
        radius=np.radians(angle),
    )


def extents(grid: Grid, craters: Craters, outer: float) -> tuple[Floats, Floats, Floats]:
    """Bounds of every crater's disc on the grid: first and last row coordinate, half-width in columns.

    A disc that holds a pole has half a turn as its half-width. The widest parallel of a cap that holds none
    has ``sin h = sin rho / cos lat`` (the right spherical triangle of pole, centre and point of tangency).
    """
    rho = np.minimum(outer * craters.radius, np.pi)
    north, south = craters.lat + rho, craters.lat - rho
    # A disc that ends at a pole to the last digit may be rounded to either side of it later on.
    polar = (north > np.pi / 2 - 1e-9) | (south < 1e-9 - np.pi / 2)
    whole = rho >= np.pi
    north = np.where(whole | (north > np.pi / 2), np.pi / 2, north)
    south = np.where(whole | (south < -np.pi / 2), -np.pi / 2, south)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.arcsin(np.minimum(1.0, np.sin(rho) / np.cos(craters.lat)))
    half = np.where(polar, np.pi, half) * grid.period / (2 * np.pi)
    a = (np.degrees(north) - grid.lat_origin) / grid.lat_step
    b = (np.degrees(south) - grid.lat_origin) / grid.lat_step
    return np.minimum(a, b), np.maximum(a, b), half


def make_plan(grid: Grid, craters: Craters, outer: float) -> Plan:
    """Cut a crater table by tile.

    Parameters
    ----------
    grid : Grid
        The raster's grid with its chunk edges.
    craters : Craters
        The table, placed on the grid.
    outer : float
        The largest region, in crater radii.

    Notes
    -----
    A crater is listed with every tile that the bounding box of its largest disc meets, a box taken a hair
    too large so that rounding never decides which tile counts a pixel.
    """
    height, width = grid.shape
    top, bottom, half = extents(grid, craters, outer)
    row_start = np.clip(np.floor(top - 1e-6), 0, height).astype(np.int64)
    row_stop = np.clip(np.ceil(bottom + 1e-6), 0, height).astype(np.int64)
    row_edges, col_edges = np.asarray(grid.row_edges), np.asarray(grid.col_edges)
    across = col_edges.size - 1
    i_start = np.searchsorted(row_edges, row_start, side="right") - 1
    i_stop = np.searchsorted(row_edges, row_stop, side="left")
    i_stop = np.where(row_stop > row_start, i_stop, i_start)

    polar = half >= grid.period / 2
    tiles, members = [], []
    for k in range(-1, int(np.ceil(width / grid.period)) + 1):
        left, right = craters.u0 - half + k * grid.period, craters.u0 + half + k * grid.period
        col_start = np.clip(np.floor(left - 1e-6), 0, width)
        col_stop = np.clip(np.ceil(right + 1e-6), 0, width)
        col_start = np.where(polar, 0, col_start).astype(np.int64)
        col_stop = np.where(polar, width if k == 0 else 0, col_stop).astype(np.int64)
        j_start = np.searchsorted(col_edges, col_start, side="right") - 1
        j_stop = np.searchsorted(col_edges, col_stop, side="left")
        wide = np.where(col_stop > col_start, j_stop - j_start, 0)
        hits = (i_stop - i_start) * wide
        member = np.repeat(np.arange(len(craters), dtype=np.int32), hits)
        nth = np.arange(member.size) - np.repeat(np.cumsum(hits) - hits, hits)
        down, right_by = np.divmod(nth, wide[member]) if member.size else (nth, nth)
        tiles.append((i_start[member] + down) * across + j_start[member] + right_by)
        members.append(member)
    tile, member = np.concatenate(tiles), np.concatenate(members)
    order = np.lexsort((member, tile))
    tile, member = tile[order], member[order]
    # Two turns of one crater may meet the same tile.
    again = np.zeros(tile.size, bool)
    again[1:] = (tile[1:] == tile[:-1]) & (member[1:] == member[:-1])
    tile, member = tile[~again], member[~again]
    touched, first = np.unique(tile, return_index=True)
    return Plan(grid, craters, touched, np.append(first, tile.size), member)
