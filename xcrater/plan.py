"""Which craters meet which tile of a raster: plain arrays, before anything is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.grid import Grid, Window
from xcrater.order import Share

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
    share : Share or None
        How tiles share them, where order statistics are asked for.
    """

    index: tuple[int, int]
    window: Window
    craters: Craters
    share: Share | None = None


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
    row_chunk, col_chunk = (np.repeat(np.arange(len(e) - 1), np.diff(e)) for e in (grid.row_edges, grid.col_edges))
    across = len(grid.col_edges) - 1
    i_start = row_chunk[np.minimum(row_start, height - 1)]
    deep = np.where(row_stop > row_start, row_chunk[row_stop - 1] + 1 - i_start, 0)

    polar = half >= grid.period / 2
    tiles, members = [], []
    for k in range(-1, int(np.ceil(width / grid.period)) + 1):
        west, east = craters.u0 - half + k * grid.period, craters.u0 + half + k * grid.period
        shown = np.flatnonzero((deep > 0) & np.where(polar, k == 0, (west < width + 1.0) & (east > -1.0)))
        whole = polar[shown]
        col_start = np.where(whole, 0, np.clip(np.floor(west[shown] - 1e-6), 0, width)).astype(np.int64)
        col_stop = np.where(whole, width, np.clip(np.ceil(east[shown] + 1e-6), 0, width)).astype(np.int64)
        j_start = col_chunk[np.minimum(col_start, width - 1)]
        wide = np.where(col_stop > col_start, col_chunk[col_stop - 1] + 1 - j_start, 0)
        hits = deep[shown] * wide
        member = np.repeat(np.arange(shown.size), hits)
        nth = np.arange(member.size) - np.repeat(np.cumsum(hits) - hits, hits)
        down, right_by = np.divmod(nth, wide[member])
        tiles.append((i_start[shown[member]] + down) * across + j_start[member] + right_by)
        members.append(shown[member])
    tile, member = np.concatenate(tiles), np.concatenate(members)
    order = np.argsort(member, kind="stable")  # of a few ascending runs, which numpy merges
    tile, member = tile[order], member[order]
    # Of numbers of 16 bits, a stable sort takes numpy one pass.
    number = tile.astype(np.uint16 if (len(grid.row_edges) - 1) * across <= 2**16 else np.int64)
    order = np.argsort(number, kind="stable")
    tile, member = tile[order], member[order]
    # Two turns of one crater may meet the same tile.
    again = np.zeros(tile.size, bool)
    again[1:] = (tile[1:] == tile[:-1]) & (member[1:] == member[:-1])
    tile, member = tile[~again], member[~again]
    first = np.flatnonzero(np.append(True, tile[1:] != tile[:-1])[: tile.size])
    return Plan(grid, craters, tile[first], np.append(first, tile.size), member.astype(np.int32))
