"""The one protocol by which operations reduce tiles to arrays: leaf, merge, finish, and what an operation needs.

Statistics, planes of depths, chips, user-supplied functions and arrays of pixels each declare a `Reduction`;
`xcrater.engine.graph` runs it, eagerly or as a dask graph. This module knows neither.

    each tile ──leaf──► partial ──merge (tree)──► partial ──finish──► one array for each output

What one tile cannot complete of a crater that lies on several takes one of two roads. Sums merge: any tree will do.
Pixels do not: they are handed to the last tile that lists the crater (`Handover`), where the crater is completed, so
that no more than the pixels of unfinished craters is ever held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xcrater.engine.plan import SpreadTile, Tile

Leaf = Callable[..., Any]
"""(block, tile) -> partial result; a third argument is the block of the raster beside, where one is declared."""

Merge = Callable[[Sequence[Any]], Any]
"""List of partial results, in the order of their tiles -> one partial result; takes an empty list."""

Finish = Callable[..., Mapping[str, np.ndarray]]
"""(partial result, number of images in the block) -> array of each output. A reduction that is run group by group
also passes the position of the group's first crater and the position past its last."""


@dataclass(frozen=True)
class Output:
    """An array that a reduction makes.

    Parameters
    ----------
    shape : tuple of int
        Lengths of the dimensions after the raster's extra ones; group by group, after the dimension of craters.
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
        Partial result of all tiles -> state: as little as possible of what the next pass needs to know.
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
    """How tiles hand what they cannot complete to the last tile that lists the crater.

    The leaf of a reduction with a handover gives a dict: its own partial result under None, and under the position of
    each receiver what it hands to that tile.

    Parameters
    ----------
    receivers : sequence of sequence of int
        Positions of the tiles to which each tile hands something; none comes before the tile itself.
    complete : callable
        (everything handed to one tile, in the order of tiles) -> partial result.
    """

    receivers: Sequence[Sequence[int]]
    complete: Callable[[Sequence[Any]], Any]

    @classmethod
    def to_last(cls, tiles: Iterable[SpreadTile], complete: Callable[[Sequence[Any]], Any]) -> Handover:
        """Hand over to the last tile that lists each crater, as the plan knows it."""
        return cls([tile.receivers.tolist() for tile in tiles], complete)

    def in_turn(self, found: Iterable[Mapping[Any, Any]]) -> Iterator[Any]:
        """Partial results of tiles read in order: each tile's own, then that of the craters it completes."""
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
        The arrays that it makes, by name.
    keep_images : bool
        Whether every image of the raster is reduced for itself, so that outputs have the raster's extra dimensions
        first. Otherwise these must be one chunk, and outputs do not have them.
    beside : xarray.DataArray, optional
        An array of the raster's rows and columns, such as weights, whose block the leaf takes as well.
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
    """Merge of partial results that are sequences: one after the other."""
    return [item for partial in partials for item in partial]
