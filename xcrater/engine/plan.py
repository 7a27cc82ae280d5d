"""The plan: which craters meet which tile of a raster, as plain arrays, made before anything is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.engine.craters import Craters
from xcrater.geometry.boxes import ring_boxes
from xcrater.geometry.grid import Boxes, Grid, Window
from xcrater.geometry.rings import Outlines

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


FAN_IN = 16
"""Number of partial results that merge into one."""


TOGETHER = 2**14
"""Number of craters, of one or several tiles, that are looked up at a time."""


@dataclass(frozen=True, eq=False)
class Spread:
    """The number of tiles of a plan that list each crater, and the first and the last of them.

    A crater that one tile alone cannot complete waits for the last tile that lists it; if tiles are read in order, all
    others have been read by then.

    Parameters
    ----------
    count : ndarray of int32, shape (n,)
        Number of tiles that list each crater; 0 for a crater that no tile lists.
    first, last : ndarray of int64, shape (n,)
        Position in the plan of the first and of the last tile that list each crater; -1 for a crater that none does.

    Notes
    -----
    A tile may list a crater of which it turns out to have no pixel, because boxes are slightly enlarged. The numbers
    are therefore upper bounds: a crater with pixels on a single tile may still be listed by two.
    """

    count: NDArray[np.int32]
    first: Ints
    last: Ints

    def take(self, index: NDArray[np.integer] | slice) -> Spread:
        """Select the craters at some positions."""
        return Spread(self.count[index], self.first[index], self.last[index])


@dataclass(frozen=True, eq=False)
class Tile:
    """One raster chunk and the craters whose regions may reach it.

    Parameters
    ----------
    index : tuple of int
        Chunk number along rows and columns.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) on the whole grid, without columns past one turn of longitude.
    craters : Craters
        The craters, in table order.
    """

    index: tuple[int, int]
    window: Window
    craters: Craters


@dataclass(frozen=True, eq=False)
class SpreadTile(Tile):
    """A tile that knows which of its craters also lie on other tiles.

    Parameters
    ----------
    number : int
        Position of this tile in the plan.
    spread : Spread
        The tiles that list each of this tile's craters, shape (craters of this tile,).
    """

    number: int
    spread: Spread

    @property
    def receivers(self) -> Ints:
        """Positions, ascending, of the tiles that complete craters of this one; always including this tile."""
        return np.union1d(self.spread.last, [self.number])


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
        Position of each tile's first crater in `member`, and the number of members.
    member : ndarray of int32
        Positions in `craters`, tile by tile, ascending within a tile.
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
        across, columns, period = len(cols) - 1, self.grid.columns, self.grid.period
        offset = self.offset.tolist()
        first = stop = 0  # bounds of the members whose craters have been looked up together, which is faster
        for n, tile in enumerate(self.tile.tolist()):
            i, j = divmod(tile, across)
            window = (rows[i], rows[i + 1], cols[j], min(cols[j + 1], columns))
            if n == 0 or offset[n + 1] > stop:
                first, last = offset[n], int(np.searchsorted(self.offset, offset[n] + TOGETHER, "right")) - 1
                stop = offset[max(n + 1, last)]
                together = self.craters.take(self.member[first:stop])
            craters = together.take(slice(offset[n] - first, offset[n + 1] - first))
            yield Tile((i, j), window, craters.on(window, period))

    def only(self, craters: NDArray[Any]) -> Plan:
        """The plan of some of the craters alone, given by position or by a mask."""
        kept = np.zeros(len(self.craters), bool)
        kept[craters] = True
        chosen = kept[self.member]
        stops = np.append(0, np.cumsum(chosen))[self.offset]
        touched = np.flatnonzero(np.diff(stops))
        return replace(
            self, tile=self.tile[touched], offset=np.append(0, stops[1:][touched]), member=self.member[chosen]
        )

    def members(self, n: int) -> NDArray[np.int32]:
        """Positions in `craters` of the craters that the tile at position ``n`` lists."""
        return self.member[self.offset[n] : self.offset[n + 1]]

    @cached_property
    def spread(self) -> Spread:
        """The spread of `craters` over the tiles."""
        n = len(self.craters)
        tile = np.repeat(np.arange(len(self)), np.diff(self.offset))
        first, last = np.full(n, -1), np.full(n, -1)
        last[self.member] = tile  # tiles ascend, and the last assignment wins
        first[self.member[::-1]] = tile[::-1]
        return Spread(np.bincount(self.member, minlength=n).astype(np.int32), first, last)

    def spread_tiles(self) -> Iterator[SpreadTile]:
        """Yield the tiles in order, each with the spread of its craters."""
        for n, tile in enumerate(self):
            yield SpreadTile(tile.index, tile.window, tile.craters, n, self.spread.take(self.members(n)))


def extents(grid: Grid, craters: Craters, outer: float) -> tuple[Floats, Floats, Floats]:
    """Bounds of every crater's disc on the grid: first and last row coordinate, half-width in columns.

    A disc that contains a pole has a half-width of half a turn. For a cap that contains no pole, the widest half-width
    is ``sin h = sin rho / cos lat`` (from the right spherical triangle of pole, centre and point of tangency).
    """
    rho = np.minimum(outer * craters.radius, np.pi)
    north, south = craters.lat + rho, craters.lat - rho
    # A disc that ends exactly at a pole may later be rounded to either side of it.
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


def disc_boxes(grid: Grid, craters: Craters, outer: float, nvert: int = 0) -> Boxes:
    """Pixel bounds that contain every crater's disc, perhaps with a margin.

    Parameters
    ----------
    grid : Grid
        The grid.
    craters : Craters
        The table, placed on the grid.
    outer : float
        The disc's radius, in crater radii.
    nvert : int
        Number of vertices of the polygon that stands for the disc; 0 for the true circle. On a grid with a closed form
        the box contains both.
    """
    if grid.frame is not None:
        return ring_boxes(grid.frame, craters, outer, nvert)
    top, bottom, half = extents(grid, craters, outer)
    return top, bottom, craters.column - half, craters.column + half


def outline_boxes(outlines: Outlines) -> Boxes:
    """Pixel bounds of shapes that have been drawn, such as a user's polygons.

    Parameters
    ----------
    outlines : Outlines
        One shape per crater.
    """
    west, east, top, bottom = outlines.bounds()
    return top, bottom, west, east


def make_plan(grid: Grid, craters: Craters, boxes: float | Sequence[Boxes]) -> Plan:
    """Divide a crater table by tile.

    Parameters
    ----------
    grid : Grid
        The raster's grid with its chunk edges.
    craters : Craters
        The table, placed on the grid.
    boxes : float or sequence of Boxes
        Pixel bounds of every crater's regions, from `disc_boxes` or `outline_boxes`, for each kind of region. A number
        is the radius of the largest disc in crater radii; the disc is a true circle if the grid has no closed form.

    Notes
    -----
    A crater is listed with every tile that one of its boxes meets. Boxes are slightly enlarged, so that rounding never
    decides which tile counts a pixel.
    """
    if isinstance(boxes, int | float):
        boxes = [disc_boxes(grid, craters, boxes)]
    row_chunk, col_chunk = (np.repeat(np.arange(len(e) - 1), np.diff(e)) for e in (grid.row_edges, grid.col_edges))
    found = [_tiles_of(grid, box, row_chunk, col_chunk) for box in boxes]
    tile, member = (
        (np.concatenate([np.empty(0, np.int64), *parts]) for parts in zip(*found, strict=True))
        if found
        else 2 * (np.empty(0, np.int64),)
    )
    order = np.argsort(member, kind="stable")  # the input consists of a few ascending runs, which numpy merges fast
    tile, member = tile[order], member[order]
    # numpy's stable sort of 16-bit numbers is a radix sort, which is faster.
    number = tile.astype(np.uint16 if (len(grid.row_edges) - 1) * (len(grid.col_edges) - 1) <= 2**16 else np.int64)
    order = np.argsort(number, kind="stable")
    tile, member = tile[order], member[order]
    # Two copies a turn apart, or two boxes, of one crater may meet the same tile.
    again = np.zeros(tile.size, bool)
    again[1:] = (tile[1:] == tile[:-1]) & (member[1:] == member[:-1])
    tile, member = tile[~again], member[~again]
    first = np.flatnonzero(np.append(True, tile[1:] != tile[:-1])[: tile.size])
    return Plan(grid, craters, tile[first], np.append(first, tile.size), member.astype(np.int32))


def _tiles_of(grid: Grid, boxes: Boxes, row_chunk: Ints, col_chunk: Ints) -> tuple[Ints, Ints]:
    """Numbers of all tiles that boxes meet, and positions of the craters that the boxes belong to."""
    height, width, period = grid.shape[0], grid.columns, grid.period
    top, bottom, west, east = boxes
    shown = np.isfinite(top)
    if not shown.all():
        top, bottom, west, east = (np.where(shown, at, 0.0) for at in boxes)
    row_start = np.clip(np.floor(top - 1e-6), 0, height).astype(np.int64)
    row_stop = np.clip(np.ceil(bottom + 1e-6), 0, height).astype(np.int64)
    across = len(grid.col_edges) - 1
    i_start = row_chunk[np.minimum(row_start, height - 1)]
    deep = np.where(row_stop > row_start, row_chunk[row_stop - 1] + 1 - i_start, 0)

    polar = east - west >= period * (1 - 1e-12)
    turns = [0]
    if np.isfinite(period) and west.size:
        first, last = (-1.0 - float(east.max())) / period, (width + 1.0 - float(west.min())) / period
        turns = list(range(min(0, int(np.ceil(first))), max(0, int(np.floor(last))) + 1))
    tiles, members = [], []
    for k in turns:
        shift = k * period if k else 0.0
        left, right = west + shift, east + shift
        shown = np.flatnonzero((deep > 0) & np.where(polar, k == 0, (left < width + 1.0) & (right > -1.0)))
        whole = polar[shown]
        col_start = np.where(whole, 0, np.clip(np.floor(left[shown] - 1e-6), 0, width)).astype(np.int64)
        col_stop = np.where(whole, width, np.clip(np.ceil(right[shown] + 1e-6), 0, width)).astype(np.int64)
        j_start = col_chunk[np.minimum(col_start, width - 1)]
        wide = np.where(col_stop > col_start, col_chunk[col_stop - 1] + 1 - j_start, 0)
        hits = deep[shown] * wide
        member = np.repeat(np.arange(shown.size), hits)
        nth = np.arange(member.size) - np.repeat(np.cumsum(hits) - hits, hits)
        down, right_by = np.divmod(nth, wide[member])
        tiles.append((i_start[shown[member]] + down) * across + j_start[member] + right_by)
        members.append(shown[member])
    return np.concatenate(tiles), np.concatenate(members)
