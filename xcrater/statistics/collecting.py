"""Pixels of regions in the layout that order statistics take: crater by crater and region by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.craters import Craters
from xcrater.engine.region_set import RegionSet
from xcrater.statistics.paths import Image

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Collector:
    """Collects the valid pixels of an image's regions; see `xcrater.statistics.quantiles.tile_image.Collect`.

    Parameters
    ----------
    regions : RegionSet
        All regions of the request.
    image : Image
        The pixels.
    craters : Craters
        The craters on the tile.
    weighted : bool
        Whether pixels have weights, which include fractions covered.
    """

    regions: RegionSet
    image: Image
    craters: Craters
    weighted: bool

    def __call__(self, index: Array, rows: tuple[int, int]) -> tuple[Array, Array | None, Array]:
        """Values of the pixels in some rows, their weights if any, and their numbers, shape (craters, regions)."""
        top, _, left, right = self.image.window
        craters, window = self.craters.take(index), (*rows, left, right)
        part = slice(rows[0] - top, rows[1] - top)
        stored, codes, clean, _ = self.image.pixels
        pixels = self.image.pixels._replace(stored=stored[part], codes=codes if clean else codes[part])
        weights = self.image.weights
        weights = weights[part] if weights.shape[0] > 1 else weights
        length = np.zeros((index.size, len(self.regions)), np.int64)
        pieces: list[_Piece] = []
        for members, regions in self.regions.parts():
            for drawn in regions.draw(craters, window):
                size = drawn.pixels() + 1
                values, masses = np.empty(size, stored.dtype), np.empty(size if self.weighted else 0)
                lengths = np.empty(drawn.offset.shape[:2], np.int64)
                kernels.collect(pixels, self.weighted, drawn.record(), window, weights, values, masses, lengths)
                length[drawn.craters, members] = lengths
                pieces.append(_Piece(values, masses, lengths, members, drawn.craters.start))
        return (*_in_order(pieces, length, stored.dtype, self.weighted), length)


@dataclass(frozen=True, eq=False)
class _Piece:
    """Pixels of some craters and some regions.

    Parameters
    ----------
    values, weights : ndarray, shape (n,)
        Pixels and their weights, region after region; the arrays may be longer than the number of pixels.
    lengths : ndarray of int64, shape (craters, regions)
        Number of pixels of each region.
    members : ndarray of int64, shape (regions,)
        Position of each region among all regions.
    first : int
        Position of the first of these craters.
    """

    values: Array
    weights: Array
    lengths: Array
    members: Array
    first: int


def _in_order(
    pieces: Sequence[_Piece], length: Array, dtype: np.dtype[Any], weighted: bool
) -> tuple[Array, Array | None]:  # fmt: skip
    """Arrange the values and weights of all pieces crater by crater and region by region."""
    if len(pieces) == 1 and pieces[0].members.size == length.shape[1]:
        end = int(pieces[0].lengths.sum())
        return pieces[0].values[:end], pieces[0].weights[:end] if weighted else None
    start = (np.cumsum(length) - length.ravel()).reshape(length.shape)
    out = np.empty(int(length.sum()), dtype)
    weights = np.empty(out.size) if weighted else None
    for piece in pieces:
        number = piece.lengths.ravel()
        end = int(number.sum())
        begin = np.cumsum(number) - number
        target = start[piece.first : piece.first + len(piece.lengths), piece.members].ravel()
        place = np.repeat(target - begin, number) + np.arange(end)
        out[place] = piece.values[:end]
        if weights is not None:
            weights[place] = piece.weights[:end]
    return out, weights
