"""The one protocol by which operations reduce tiles to arrays: leaf, merge, finish, and what an operation needs.

Statistics, planes of depths, chips, user-supplied functions and arrays of pixels each declare a `Reduction`, which
`xcrater.engine.graph` runs eagerly or as a dask graph. This module knows neither dask nor any operation.

    each tile ──leaf──► partial ──merge (tree)──► partial ──finish──► one array for each output

The partial results of a crater that lies on several tiles take one of two routes. Sums merge in any tree. Pixels do
not: they are handed to the last tile that lists the crater (`Handover`), where the crater is completed, so that only
the pixels of unfinished craters are ever held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xcrater.engine.plan import SpreadTile, Tile

Leaf = Callable[..., Any]
"""(block, tile) -> partial result; a third argument is the block of the raster `beside`, if one is declared."""

Merge = Callable[[Sequence[Any]], Any]
"""List of partial results, in the order of their tiles -> one partial result; takes an empty list."""

Finish = Callable[..., Mapping[str, np.ndarray]]
"""(partial result, number of images in the block) -> array of each output. A reduction that runs group by group also
receives the position of the group's first crater and the position past its last."""


@dataclass(frozen=True)
class Output:
    """An array that a reduction makes.

    Parameters
    ----------
    shape : tuple of int
        Lengths of the dimensions after the raster's extra ones, or after the dimension of craters if the reduction runs
        group by group.
    dtype : str
        Data type.
    """

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Passes:
    """Further passes over some tiles, each of which depends on what the one before it found.

    Parameters
    ----------
    tiles : sequence of Tile
        The tiles to read again.
    count : int
        Number of passes after the first.
    leaf : callable
        (block, tile, state, number of the pass, counting from 1) -> partial result.
    merge : callable
        (list of partial results, state) -> one partial result; takes an empty list.
    between : callable
        Partial result of all tiles -> state, the least information that the next pass needs.
    finish : callable
        (partial result of the first pass, state after the last one) -> partial result.
    """

    tiles: Sequence[Tile]
    count: int
    leaf: Callable[[np.ndarray, Tile, Any, int], Any]
    merge: Callable[[Sequence[Any], Any], Any]
    between: Callable[[Any], Any]
    finish: Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Handover:
    """The handing over of incomplete craters to the last tile that lists them.

    The leaf of a reduction with a handover returns a dict with its own partial result under None, and with what it
    hands to another tile under the position of that tile.

    Parameters
    ----------
    receivers : sequence of sequence of int
        For each tile, positions of the tiles to which it hands something, none of which precedes the tile itself.
    complete : callable
        (everything handed to one tile, in the order of tiles) -> partial result.
    """

    receivers: Sequence[Sequence[int]]
    complete: Callable[[Sequence[Any]], Any]

    @classmethod
    def to_last(cls, tiles: Iterable[SpreadTile], complete: Callable[[Sequence[Any]], Any]) -> Handover:
        """Make the handover to the last tile that lists each crater, from the tiles of a plan."""
        return cls([tile.receivers.tolist() for tile in tiles], complete)

    def in_turn(self, found: Iterable[Mapping[Any, Any]]) -> Iterator[Any]:
        """Yield partial results of tiles in order: each tile's own, then that of the craters it completes."""
        handed: dict[int, list[Any]] = {}
        for n, (parts, receivers) in enumerate(zip(found, self.receivers, strict=True)):
            yield parts[None]
            for receiver in receivers:
                handed.setdefault(receiver, []).append(parts[receiver])
            del parts
            if n in handed:
                yield self.complete(handed.pop(n))


@dataclass(frozen=True, eq=False)
class Reduction:
    """An operation on tiles, and what it needs and makes.

    Parameters
    ----------
    leaf, merge, finish : callable
        The three stages; see `Leaf`, `Merge` and `Finish`.
    outputs : mapping of str to Output
        The resulting arrays, by name.
    keep_images : bool
        Whether every image of the raster is reduced separately, so that outputs have the raster's extra dimensions
        first. Otherwise these must be in one chunk, and outputs do not have them.
    beside : xarray.DataArray, optional
        A second array on the raster's rows and columns, such as weights, whose block the leaf also takes.
    passes : Passes, optional
        Further passes over some tiles.
    """

    leaf: Leaf
    merge: Merge
    finish: Finish
    outputs: Mapping[str, Output]
    keep_images: bool = True
    beside: xr.DataArray | None = None
    passes: Passes | None = None


def chained(partials: Sequence[Sequence[Any]]) -> list[Any]:
    """Merge partial results that are sequences by concatenating them."""
    return [item for partial in partials for item in partial]
