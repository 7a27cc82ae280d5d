"""The pixels of craters that are too large for memory, one band of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xcrater.engine import graph
from xcrater.engine.plan import Tile
from xcrater.geometry.grid import Window
from xcrater.pixels.blocks import Blocks
from xcrater.pixels.cutting import Cutter, Pieces
from xcrater.pixels.source import BlockSource


class Band(NamedTuple):
    """Some rows of one crater's block.

    Parameters
    ----------
    region : int
        Position of the region.
    window : tuple of int
        Window of the whole block on the raster's grid.
    blocks : Blocks
        The rows, as a separate block.
    """

    region: int
    window: Window
    blocks: Blocks


@dataclass(frozen=True)
class BandLeaf:
    """Cuts the pixels within a band of rows from a tile.

    Parameters
    ----------
    cutter : Cutter
        Cuts the region from a tile.
    """

    cutter: Cutter

    def __call__(self, block: NDArray[Any], tile: BandTile) -> Pieces:
        """Pieces of the tile's only crater."""
        first, last = tile.rows
        top, bottom, left, right = tile.window
        inside = max(top, first), min(bottom, last)
        narrow = Tile(tile.index, (*inside, left, right), tile.craters)
        return self.cutter.pieces(block[..., inside[0] - top : inside[1] - top, :], narrow)


@dataclass(frozen=True, eq=False)
class BandTile(Tile):
    """A tile from which only a band of rows is needed.

    Parameters
    ----------
    rows : tuple of int
        First row of the band, and the row past its last.
    """

    rows: tuple[int, int]


class Rows(NamedTuple):
    """A band of rows of one crater's block, before it is cut.

    Parameters
    ----------
    position : int
        Position of the crater in the source.
    region : int
        Position of the region.
    window : tuple of int
        Window of the whole block on the raster's grid.
    top, bottom : int
        First row of the band on that grid, and the row past its last.
    last : bool
        Whether the crater has no more bands.
    """

    position: int
    region: int
    window: Window
    top: int
    bottom: int
    last: bool


def iter_bands(source: BlockSource, position: int, *, most: int) -> Iterator[Band]:
    """Yield the blocks of one crater, however large, in bands of rows: region by region, from the top.

    Parameters
    ----------
    source : BlockSource
        The blocks.
    position : int
        Position of the crater in the source.
    most : int
        Largest number of bytes in a band, unless a single row has more.
    """
    for rows in cut_bands(source, position, most=most):
        yield read_band(source, rows)


def cut_bands(source: BlockSource, position: int, *, most: int) -> list[Rows]:
    """Determine the bands that `iter_bands` yields."""
    edges = np.asarray(source.request.raster.grid.row_edges)
    crater = source.request.craters.take(np.array([position]))
    found: list[Rows] = []
    for k in range(len(source.regions)):
        cutter = source.of([k]).cutter
        window: Window = tuple(cutter.windows(crater)[0, 0].tolist())
        top, bottom = window[:2]
        each = -(-int(cutter.sizes(crater, source.request.images)[0]) // max(bottom - top, 1))
        while top < bottom:
            stop = min(bottom, top + max(1, most // max(each, 1)))
            chunk = int(edges[np.searchsorted(edges, stop, "right") - 1])
            if top < chunk < stop < bottom:  # end at a chunk boundary, so that no chunk is read for two bands
                stop = chunk
            found.append(Rows(position, k, window, top, stop, last=False))
            top = stop
    return [*found[:-1], *(rows._replace(last=True) for rows in found[-1:])]


def read_band(source: BlockSource, rows: Rows) -> Band:
    """Read one of the bands that `cut_bands` determined."""
    grid, crater = source.request.raster.grid, source.request.craters.take(np.array([rows.position]))
    cutter = source.of([rows.region]).cutter
    part = (rows.top, rows.bottom, *rows.window[2:])
    tiles = [
        BandTile(index, (*tile[:3], min(tile[3], grid.columns)), crater, (rows.top, rows.bottom))
        for index, tile in grid.tiles(cutter.portions(part))
    ]
    steps = ([tile] for tile in tiles)  # one tile at a time, since the crater itself takes the memory
    parts = graph.each_tile(source.request.da.data, steps, BandLeaf(cutter))
    with source.request.naming_craters():
        return Band(rows.region, rows.window, cutter.band(crater, part, parts, source.lead))
