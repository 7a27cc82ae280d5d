"""Complete blocks from tiles: all craters at once, or a batch at a time, with each tile read once.

A crater that lies on one tile alone is complete there. The pieces of any other are handed to the last tile that lists
the crater and put together as soon as that tile has been read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xcrater.engine import graph
from xcrater.engine.craters import Craters
from xcrater.engine.plan import Plan, SpreadTile
from xcrater.engine.reduction import Handover, Output, Reduction, chained
from xcrater.engine.rounds import AHEAD, Room, give_memory_back, used_up
from xcrater.engine.sized import Sized
from xcrater.options import get_option
from xcrater.pixels import blocks as _blocks
from xcrater.pixels.blocks import Blocks
from xcrater.pixels.budget import check_craters, check_result
from xcrater.pixels.cutting import Cut, Cutter, Pieces
from xcrater.pixels.source import BlockSource

RegionBlocks = list[Blocks]
"""Blocks of every region, of the same craters in the same order; `Blocks.crater` are rows of the table."""


@dataclass(frozen=True, eq=False)
class HandedOver(Sized):
    """What one tile hands to the last tile that lists some of its craters.

    Parameters
    ----------
    complete : ndarray of int32, shape (n,)
        Rows of the craters that turned out to lie on the tile alone: the last tile must leave them out.
    pieces : Pieces
        Pixels of the other craters.
    craters : Craters or None
        All craters that the last tile is to complete; known to that tile itself, None from every other.
    labels : ndarray or None
        Labels of these craters, where they are needed.
    lead : tuple of int
        Shape of the tile's images.
    """

    complete: NDArray[np.int32]
    pieces: Pieces
    craters: Craters | None
    labels: NDArray[Any] | None
    lead: tuple[int, ...]


class Completed(NamedTuple):
    """Craters that are complete now that their last tile has been read.

    Parameters
    ----------
    blocks : list of Blocks
        Their blocks of every region.
    craters : Craters
        The craters.
    labels : ndarray or None
        Their labels, where they were handed over.
    """

    blocks: RegionBlocks
    craters: Craters
    labels: NDArray[Any] | None


def hand_over(cut: Cut, tile: SpreadTile, labels: NDArray[Any] | None = None) -> dict[int | None, HandedOver]:
    """Sort what a tile alone cannot complete by the last tile that lists each crater.

    Parameters
    ----------
    cut : Cut
        The tile's blocks and pieces.
    tile : SpreadTile
        The tile.
    labels : ndarray, optional
        Labels of the tile's craters, to be handed over with them.

    Returns
    -------
    dict of int to HandedOver
        One entry for each of the tile's receivers, by position in the plan.
    """
    craters, last = tile.craters, tile.spread.last
    order = np.argsort(craters.row, kind="stable")
    last_of_piece = last[order[np.searchsorted(craters.row, cut.parts.crater, sorter=order)]]
    incomplete = np.ones(len(craters), bool)
    incomplete[cut.alone] = False
    handed: dict[int | None, HandedOver] = {}
    for receiver in tile.receivers.tolist():
        own, own_labels = None, None
        if receiver == tile.number:
            awaited = np.flatnonzero(incomplete & (last == receiver))
            # What is left out near other craters has been left out of the pieces already.
            own = replace(craters.take(awaited), near=None)
            own_labels = None if labels is None else labels[awaited]
        handed[receiver] = HandedOver(
            complete=craters.row[cut.alone[last[cut.alone] == receiver]],
            pieces=cut.parts.take(np.flatnonzero(last_of_piece == receiver)),
            craters=own,
            labels=own_labels,
            lead=cut.whole[0].values.shape[:-1],
        )
    return handed


def complete(cutter: Cutter, handed: Sequence[HandedOver]) -> Iterator[Completed]:
    """Put together what was handed to the last tile of some craters, a number of craters at a time.

    Parameters
    ----------
    cutter : Cutter
        How regions are cut.
    handed : sequence of HandedOver
        Everything handed to one tile, by tiles in order; that tile's own comes last.
    """
    craters, labels = handed[-1].craters, handed[-1].labels
    assert craters is not None
    awaited = np.flatnonzero(~np.isin(craters.row, np.concatenate([one.complete for one in handed])))
    craters = craters.take(awaited)
    start = 0
    for blocks in cutter.join(craters, [one.pieces for one in handed], handed[-1].lead):
        run = slice(start, start + len(blocks[0]))
        yield Completed(blocks, craters.take(run), None if labels is None else labels[awaited[run]])
        start = run.stop


@dataclass(frozen=True)
class GatherLeaf:
    """Cuts one tile: its complete blocks, and what it hands to later tiles.

    Parameters
    ----------
    cutter : Cutter
        How regions are cut.
    """

    cutter: Cutter

    def __call__(self, block: NDArray[Any], tile: SpreadTile) -> dict[int | None, Any]:
        """Complete blocks under None, the rest under the position of the tile that receives it."""
        cut = self.cutter(block, tile)
        return {None: [cut.whole], **hand_over(cut, tile)}

    def complete(self, handed: Sequence[HandedOver]) -> list[RegionBlocks]:
        """Blocks of the craters whose last tile has been read."""
        return [completed.blocks for completed in complete(self.cutter, handed)]


@dataclass(frozen=True, eq=False)
class GatherFinish:
    """Puts the masked arrays of all craters into one array of objects.

    Parameters
    ----------
    cutter : Cutter
        How regions are cut.
    craters : Craters
        All craters.
    position : ndarray of int64
        Position among them of each row of the crater table.
    lead : tuple of int
        Lengths of the raster's extra dimensions.
    """

    cutter: Cutter
    craters: Craters
    position: NDArray[np.int64]
    lead: tuple[int, ...]

    def __call__(self, gathered: list[RegionBlocks], images: int) -> dict[str, NDArray[Any]]:
        """Masked arrays, shape (1, region, crater); craters on no tile are masked throughout."""
        cells = np.empty((1, len(self.cutter.shapes), len(self.craters)), object)
        missing = np.ones(len(self.craters), bool)
        for of_regions in gathered:
            missing[self.position[of_regions[0].crater]] = False
        nowhere = self.cutter.join(self.craters.take(np.flatnonzero(missing)), [], self.lead)
        for of_regions in itertools.chain(gathered, nowhere):
            for row, blocks in zip(cells[0], of_regions, strict=True):
                for position, array in zip(self.position[blocks.crater].tolist(), blocks.arrays(), strict=True):
                    row[position] = array
        return {"cells": cells}


def gather(source: BlockSource) -> Any:
    """Every block as a masked array, dtype object, shape (region, crater).

    Parameters
    ----------
    source : BlockSource
        The blocks.

    Returns
    -------
    array
        A dask array of one chunk for a raster backed by dask, else a numpy array.
    """
    request, leaf = source.request, GatherLeaf(source.cutter)
    check_result(int(source.sizes.sum()), "arrays.compute()", "use arrays.iter_computed(), or arrays.to_zarr(path)")
    rounds = [list(plan.spread_tiles()) for plan in used_up(source.rounds())]
    return graph.reduce_rounds(
        request.da,
        [graph.Round(tiles, Handover.to_last(tiles, leaf.complete)) for tiles in rounds],
        Reduction(
            leaf,
            chained,
            GatherFinish(source.cutter, request.craters, source.position, source.lead),
            {"cells": Output((len(source.regions), len(request.craters)), "O")},
            keep_images=False,
        ),
        token=("gather", request.craters, source.cutter),
    )["cells"]


def iter_complete(source: BlockSource) -> Iterator[RegionBlocks]:
    """Blocks of every crater once, in the order in which tiles complete them; of craters on no tile at the end.

    The craters are read in as many rounds as the option ``memory`` makes necessary. None may be so large
    (`BlockSource.large`) that it cannot wait in memory for its last tile.
    """
    leaf, room = GatherLeaf(source.cutter), Room.within(get_option("memory"))
    rounds = source.rounds()  # used up twice, since tiles are read ahead of those that are completed
    steps = itertools.chain.from_iterable(_steps(plan, source.sizes, room) for plan in used_up(list(rounds)))
    read = graph.each_tile(source.request.da.data, steps, leaf)
    with source.request.naming_craters():
        for plan in used_up(rounds):
            handover = Handover.to_last(plan.spread_tiles(), leaf.complete)
            for completed in handover.in_turn(itertools.islice(read, len(plan))):
                yield from (of_regions for of_regions in completed if len(of_regions[0]))
                completed.clear()
    nowhere = np.flatnonzero(source.plan.spread.count == 0)
    yield from source.cutter.join(source.request.craters.take(nowhere), [], source.lead)


def all_complete(source: BlockSource) -> RegionBlocks:
    """Blocks of all craters at once; there is at least one crater."""
    return _taken(list(iter_complete(source)))


def _steps(plan: Plan, sizes: NDArray[np.int64], room: Room) -> Iterator[list[SpreadTile]]:
    """Tiles that are computed at once: consecutive ones, as many as have room for what is cut from them."""
    step: list[SpreadTile] = []
    held = 0.0
    for tile in plan.spread_tiles():
        cut = float((sizes[plan.members(tile.number)] / tile.spread.count).sum())
        if step and (len(step) == AHEAD or held + cut > room.threads):
            yield step
            step, held = [], 0.0
        step.append(tile)
        held += cut
    if step:
        yield step


def iter_blocks(source: BlockSource, batch: int) -> Iterator[dict[str, Blocks]]:
    """Blocks of a number of craters at a time, each crater once; see `CraterArrays.iter_blocks`.

    Parameters
    ----------
    source : BlockSource
        The blocks.
    batch : int
        Number of craters at a time. The last batch may have fewer, and so may one whose pixels would take more than an
        eighth of the option ``memory``.

    Yields
    ------
    dict of str to Blocks
        The blocks of each region. `Blocks.crater` are positions in the source.
    """
    if batch < 1:
        raise ValueError(f"received batch={batch!r}; expected a number of craters from 1 on")
    # The caller still has the crater before while the next one is put together, of pieces that are in memory too, and
    # the tiles of the one after it are being read.
    check_craters(
        4 * source.sizes,
        source.labels,
        f"leave such craters out by arrays.loc[4 * arrays.sizes <= {get_option('memory')}], or take "
        "arrays.to_zarr(path)",
    )
    yield from in_batches(source, batch)


def in_batches(source: BlockSource, batch: int) -> Iterator[dict[str, Blocks]]:
    """Blocks of a number of craters at a time, or of fewer whose pixels take their share of the memory.

    That is an eighth: a batch is there twice while it is put together, and the caller has the one before.
    """
    most = Room.within(get_option("memory")).waiting // 2
    waiting: list[RegionBlocks] = []
    count = held = 0
    for of_regions in iter_complete(source):
        size = sum(blocks.nbytes for blocks in of_regions)
        if waiting and held + size > most:
            yield _named(source, _taken(waiting))
            count = held = 0
            give_memory_back()
        count, held = count + len(of_regions[0]), held + size
        waiting.append(of_regions)
        del of_regions
        if count < batch and held >= most:  # a crater as large as this does not wait for others
            yield _named(source, _taken(waiting))
            count = held = 0
            give_memory_back()
        if count >= batch:
            joined = _taken(waiting)
            full = count - count % batch
            for start in range(0, full, batch):
                yield _named(source, [blocks.part(start, start + batch) for blocks in joined])
            if full < count:
                waiting.append([blocks.part(full, count) for blocks in joined])
            held = sum(blocks.nbytes for rest in waiting for blocks in rest)
            count -= full
            del joined
    if count:
        yield _named(source, _taken(waiting))


def _taken(waiting: list[RegionBlocks]) -> RegionBlocks:
    """The blocks that wait, joined; none waits any longer."""
    joined = [_blocks.concatenate(of_region) for of_region in zip(*waiting, strict=True)]
    waiting.clear()
    return joined


def _named(source: BlockSource, of_regions: RegionBlocks) -> dict[str, Blocks]:
    crater = source.position[of_regions[0].crater]
    return {name: replace(blocks, crater=crater) for name, blocks in zip(source.regions, of_regions, strict=True)}
