"""Cutting the blocks of craters from one tile: whole blocks, and pieces of those that lie on several tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.craters import Craters
from xcrater.engine.plan import Tile
from xcrater.geometry.grid import Window
from xcrater.pixels.blocks import RAW, Blocks, groups
from xcrater.pixels.windows import BlockWindows
from xcrater.raster.values import missing

Array = NDArray[Any]
Ints = NDArray[np.int64]

PIXELS = 2**22
"""Number of pixels of blocks that are assembled at a time; a single block may have more."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """Pieces of blocks, each a rectangle of one tile's pixels, laid out flat one after another.

    Parameters
    ----------
    crater : ndarray of int64, shape (p,)
        Row of the crater table that each piece belongs to.
    region : ndarray of int64, shape (p,)
        Position in the request of the region that each piece belongs to.
    place : ndarray of int64, shape (p, 4)
        Window of each piece on the raster's grid (row_start, row_stop, col_start, col_stop), with columns counted in
        the same turn of longitude as those of the whole block.
    offset : ndarray of int64, shape (p + 1,)
        Piece i has the pixels [offset[i], offset[i + 1]).
    values : ndarray, shape (images, pixels)
        Stored numbers, before scale and offset.
    mask : ndarray of bool, shape (images, pixels)
        True where a pixel lies outside the region or holds no value.
    fraction : ndarray of float64, shape (pixels,), or None
        Fraction of each pixel that lies inside the region, for ``coverage="exact"``.
    """

    crater: Ints
    region: Ints
    place: Ints
    offset: Ints
    values: Array
    mask: NDArray[np.bool_]
    fraction: NDArray[np.float64] | None

    def take(self, which: Ints) -> Pieces:
        """Copies of the pieces at some positions."""
        sizes = np.diff(self.offset)[which]
        runs = [slice(a, a + n) for a, n in zip(self.offset[which].tolist(), sizes.tolist(), strict=True)]
        # Without a dtype, numpy would convert pieces of foreign byte order to the machine's own.
        values, mask = (
            np.concatenate([a[:, :0], *(a[:, run] for run in runs)], axis=1, dtype=a.dtype)
            for a in (self.values, self.mask)
        )
        fraction = (
            None
            if self.fraction is None
            else np.concatenate([self.fraction[:0], *(self.fraction[run] for run in runs)])
        )
        offset = np.concatenate([[0], np.cumsum(sizes)])
        return Pieces(self.crater[which], self.region[which], self.place[which], offset, values, mask, fraction)


class Filled(NamedTuple):
    """Pixels of several windows, laid out flat one window after another.

    Parameters
    ----------
    offset : ndarray of int64, shape (n + 1,)
        Window i has the pixels [offset[i], offset[i + 1]).
    stored : ndarray, shape (images, pixels)
        Stored numbers, before scale and offset.
    mask : ndarray of bool, shape (images, pixels)
        True where a pixel lies outside the region or holds no value.
    fraction : ndarray of float64, shape (pixels,), or None
        Fraction of each pixel that lies inside the region, for ``coverage="exact"``.
    """

    offset: Ints
    stored: Array
    mask: NDArray[np.bool_]
    fraction: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Cut:
    """Pixels cut from one tile.

    Parameters
    ----------
    alone : ndarray of int64, shape (n,)
        Positions, among the tile's craters, of those that lie on it alone: none of their regions reaches another tile.
    whole : list of Blocks
        Complete blocks of these craters, one `Blocks` per region. `Blocks.crater` are rows of the crater table.
    parts : Pieces
        Pieces of the blocks of all other craters.
    """

    alone: Ints
    whole: list[Blocks]
    parts: Pieces


@dataclass(frozen=True)
class Cutter(BlockWindows):
    """Cuts regions from the tiles of a raster."""

    def __call__(self, block: Array, tile: Tile) -> Cut:
        """Cut the blocks of a tile's craters from its pixels, shape (extra dimensions of the raster, rows, columns)."""
        windows = self.windows(tile.craters)
        place, nonempty, within = self._crops(windows, tile.window)
        alone = (within | ~nonempty).all(axis=(0, 1)) & nonempty.any(axis=(0, 1))
        regions, craters = windows.shape[:2]
        rows = tile.craters.row.astype(np.int64)

        piece = np.full((regions, craters, 1), -1)
        piece[:, alone, 0] = np.arange(regions * alone.sum()).reshape(regions, -1)
        window = windows[:, alone].reshape(-1, 4)
        blocks = self._blocks(
            np.tile(rows[alone], regions), window, self._fill(block, tile, piece, window), block.shape[:-2]
        )
        count = int(alone.sum())
        whole = [blocks.part(n * count, (n + 1) * count) for n in range(regions)]

        parts = self._pieces(block, tile, place, np.logical_not(alone))
        return Cut(np.flatnonzero(alone), whole, parts)

    def pieces(self, block: Array, tile: Tile) -> Pieces:
        """Cut a tile's part of the blocks of all its craters as pieces, even of those that lie on it alone."""
        place, _, _ = self._crops(self.windows(tile.craters), tile.window)
        return self._pieces(block, tile, place, np.ones(len(tile.craters), bool))

    def _pieces(self, block: Array, tile: Tile, place: Ints, which: NDArray[np.bool_]) -> Pieces:
        """Cut pieces of some of a tile's craters, whose windows meet the tile at these places; see `_crops`."""
        reached = (place[..., 0] < place[..., 1]) & (place[..., 2] < place[..., 3]) & which  # (turn, region, crater)
        k, i, turn = np.nonzero(reached.transpose(1, 2, 0))
        piece = np.full((*place.shape[1:3], len(place)), -1)
        piece[k, i, turn] = np.arange(k.size)
        rows = tile.craters.row.astype(np.int64)
        return Pieces(rows[i], k, place[turn, k, i], *self._fill(block, tile, piece, place[turn, k, i]))

    def _crops(self, windows: Ints, tile: Window) -> tuple[Ints, NDArray[np.bool_], NDArray[np.bool_]]:
        """Intersect windows with a tile, separately for each turn of longitude.

        Parameters
        ----------
        windows : ndarray of int64, shape (region, crater, 4)
            Window of every block.
        tile : tuple of int
            Window of the tile.

        Returns
        -------
        place : ndarray of int64, shape (turn, region, crater, 4)
            Intersection of the window with the tile, columns counted as in the window; start past stop if empty.
        nonempty : ndarray of bool, shape (turn, region, crater)
            Whether the window has pixels of the raster in that turn.
        within : ndarray of bool, shape (turn, region, crater)
            Whether all of these pixels lie on the tile.
        """
        grid = self.raster.grid
        turns = np.array([-1, 0, 1] if grid.wraps else [0])[:, None, None] * grid.columns
        top, bottom = np.maximum(windows[..., 0], 0), np.minimum(windows[..., 1], grid.shape[0])
        left = np.maximum(windows[..., 2], turns)
        right = np.minimum(windows[..., 3], turns + grid.columns)
        nonempty = (top < bottom) & (left < right)
        within = (top >= tile[0]) & (bottom <= tile[1]) & (left >= tile[2] + turns) & (right <= tile[3] + turns)
        place = np.stack(
            np.broadcast_arrays(
                np.maximum(top, tile[0]), np.minimum(bottom, tile[1]),
                np.maximum(left, tile[2] + turns), np.minimum(right, tile[3] + turns),
            ), axis=-1,
        )  # fmt: skip
        return place, nonempty, within

    def _blocks(self, crater: Ints, window: Ints, filled: Filled, lead: tuple[int, ...]) -> Blocks:
        """Make blocks of some craters from their stored numbers, applying scale and offset."""
        values = self.raster.decode(filled.stored).astype(self.result_dtype, copy=False)
        flat = (*lead, int(filled.offset[-1]))
        return Blocks(
            crater=crater,
            window=window,
            offset=filled.offset,
            values=values.reshape(flat),
            mask=filled.mask.reshape(flat),
            fraction=filled.fraction,
            fill_value=self.fill_value,
        )

    def _fill(self, block: Array, tile: Tile, piece: Ints, place: Ints) -> Filled:
        """Lay the pixels of rectangles of a tile out flat.

        Parameters
        ----------
        block : ndarray, shape (extra dimensions of the raster, rows, columns)
            Pixels of the tile.
        tile : Tile
            The tile and its craters.
        piece : ndarray of int64, shape (region, crater, k)
            Positions in `place` of the rectangles that belong to each region of each crater; -1 for none.
        place : ndarray of int64, shape (p, 4)
            Windows of the rectangles.
        """
        turn = self.raster.grid.columns if self.raster.grid.wraps else 0
        offset = np.concatenate([[0], np.cumsum((place[:, 1] - place[:, 0]) * (place[:, 3] - place[:, 2]))])
        images, total = math.prod(block.shape[:-2]), int(offset[-1])
        stored = self._blank(images, total)
        outside = np.ones(total, bool)
        fraction = np.zeros(total if self.shapes.exact else 0)
        hidden = np.zeros((images, total if np.ma.is_masked(block) else 0), np.uint8)
        if total:
            pixels = _raw(np.ma.getdata(block).astype(self.dtype, copy=False), images)
            kernels.cut_pixels(pixels, tile.window, turn, place, offset, stored.view(RAW[stored.itemsize]))
            if hidden.size:
                kernels.cut_pixels(_raw(np.ma.getmaskarray(block), images), tile.window, turn, place, offset, hidden)
            for members, shapes in self.shapes.parts():
                for drawn in shapes.draw(tile.craters, tile.window):
                    kernels.cut_regions(
                        drawn.record(), drawn.craters.start, members, piece, turn, place, offset, outside, fraction
                    )
        mask = missing(np.ma.MaskedArray(stored, hidden.view(bool)) if hidden.size else stored, self.raster.nodata)
        mask |= outside
        return Filled(offset, stored, mask, fraction if self.shapes.exact else None)

    def _blank(self, images: int, pixels: int) -> Array:
        """An array of the fill value, or 0, to be overwritten where there are pixels."""
        fill = 0 if self.fill_value is None else self.fill_value
        return np.full((images, pixels), fill, np.dtype(self.dtype))

    def join(self, craters: Craters, parts: Sequence[Pieces], lead: tuple[int, ...]) -> Iterator[list[Blocks]]:
        """Assemble the blocks of craters from their pieces.

        Parameters
        ----------
        craters : Craters
            The craters, in the order of the blocks to make. Blocks of craters without pieces are masked throughout.
        parts : sequence of Pieces
            Pieces from every tile that these craters lie on; pieces of other craters are ignored.
        lead : tuple of int
            Lengths of the raster's extra dimensions.

        Yields
        ------
        list of Blocks
            One `Blocks` per region, of the same craters, in batches of about `PIXELS` pixels.
        """
        windows = self.windows(craters)
        size = (windows[..., 1] - windows[..., 0]) * (windows[..., 3] - windows[..., 2])
        order = np.argsort(craters.row, kind="stable")
        rows = craters.row[order]
        positions = []  # for each of `parts`, the position of every piece's crater; -1 for other craters
        for pieces in parts:
            nearest = np.minimum(np.searchsorted(rows, pieces.crater), max(rows.size - 1, 0))
            if rows.size:
                positions.append(np.where(rows[nearest] == pieces.crater, order[nearest], -1))
            else:
                positions.append(np.full(pieces.crater.size, -1))
        for run in groups(size.sum(axis=0), PIXELS):
            within = [
                (pieces, np.where((position >= run.start) & (position < run.stop), position - run.start, -1))
                for pieces, position in zip(parts, positions, strict=True)
            ]
            row = craters.row[run].astype(np.int64)
            yield [
                self._blocks(row, window[run], self._put_together(k, window[run], within, math.prod(lead)), lead)
                for k, window in enumerate(windows)
            ]

    def _put_together(self, region: int, window: Ints, within: Sequence[tuple[Pieces, Ints]], images: int) -> Filled:
        """Copy pieces to their places in the blocks of one region.

        Parameters
        ----------
        region : int
            Position of the region in the request.
        window : ndarray of int64, shape (n, 4)
            Windows of the blocks.
        within : sequence of (Pieces, ndarray of int64)
            Pieces, and the position of the block that each piece belongs to; -1 for pieces that belong to none.
        images : int
            Number of images.
        """
        filled = self._empty(window, images)
        for pieces, position in within:
            which = np.flatnonzero((pieces.region == region) & (position >= 0))
            if which.size:
                self._put(pieces, which, position[which], window, filled)
        return filled

    def _empty(self, window: Ints, images: int) -> Filled:
        """Make blocks of some windows, shape (n, 4), in which all pixels are masked."""
        offset = np.concatenate([[0], np.cumsum((window[:, 1] - window[:, 0]) * (window[:, 3] - window[:, 2]))])
        total = int(offset[-1])
        fraction = np.zeros(total) if self.shapes.exact else None
        return Filled(offset, self._blank(images, total), np.ones((images, total), bool), fraction)

    def _put(self, pieces: Pieces, which: Ints, to: Ints, window: Ints, filled: Filled) -> None:
        """Copy the pieces at positions ``which`` into the blocks at positions ``to``, which have these windows."""
        raw = RAW[filled.stored.itemsize]
        target = (which, to, pieces.place, pieces.offset, window, filled.offset)
        kernels.put(pieces.values.view(raw), *target, filled.stored.view(raw))
        kernels.put(pieces.mask, *target, filled.mask)
        if filled.fraction is not None and pieces.fraction is not None:
            kernels.put(pieces.fraction[None], *target, filled.fraction[None])

    def band(self, crater: Craters, rows: Window, parts: Iterable[Pieces], lead: tuple[int, ...]) -> Blocks:
        """Assemble some rows of one crater's block, for a single region, from pieces as they arrive.

        Parameters
        ----------
        crater : Craters
            The one crater.
        rows : tuple of int
            Window of these rows: all columns of the block's window, and some of its rows.
        parts : iterable of Pieces
            Pieces of this crater that lie within the rows, from every tile that meets them.
        lead : tuple of int
            Lengths of the raster's extra dimensions.
        """
        window = np.array([rows])
        filled = self._empty(window, math.prod(lead))
        for pieces in parts:
            which = np.arange(pieces.crater.size)
            self._put(pieces, which, np.zeros_like(which), window, filled)
        return self._blocks(crater.row.astype(np.int64), window, filled, lead)


def _raw(block: Array, images: int) -> Array:
    """View a block as plain numbers of the same size, which kernels copy; shape (images, rows, columns)."""
    block = np.ascontiguousarray(block).reshape(images, *block.shape[-2:])
    return block.view(RAW[block.itemsize])
