"""Errors for runs that a cluster ended: dask's errors name tasks, ours name tiles of the raster."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from xcrater.engine.plan import Tile
from xcrater.errors import LostTilesError
from xcrater.geometry.grid import Window

NAMED = 3
"""Number of tiles that an error names before it counts the others."""


@contextmanager
def naming_lost_tiles(*collections: Any) -> Iterator[None]:
    """Within the block, turn errors of a cluster that lost workers or its scheduler into errors that name the tiles.

    Parameters
    ----------
    *collections : object
        The objects that the block computes: lazy xarray or dask objects, or anything else.

    Raises
    ------
    LostTilesError
        Raised in place of the errors of dask.distributed, which is imported only if there is a client.
    """
    try:
        yield
    except Exception as err:
        distributed = sys.modules.get("distributed")
        if distributed is None:
            raise
        if isinstance(err, distributed.scheduler.KilledWorker):
            lost = _tiles_of(collections, err.task)
            side = max((max(_sides(tile.window)) for tile in lost), default=2)
            worker = getattr(err.last_worker, "address", err.last_worker)
            raise LostTilesError(
                f"the cluster lost {_named(lost)}: {err.allowed_failures + 1} workers died one after another while "
                f"they worked on it, the last of them {worker}. Most often a worker has too little memory: take "
                f"smaller chunks, da = da.chunk({(side + 1) // 2}), and xcrater.set_options(memory=...) of less than "
                "half of a worker's memory, or look into the worker's log",
                [tile.window for tile in lost],
            ) from err
        if isinstance(err, distributed.client.FutureCancelledError | distributed.client.FuturesCancelledError):
            reason = getattr(err, "reason", "cancelled")
        elif isinstance(err, distributed.comm.CommClosedError):
            reason = "connection lost"
        else:
            raise
        lost = _tiles_of(collections, None)
        raise LostTilesError(
            f"the cluster lost {_named(lost)}: it gave up the run ({reason}), and none of the results has arrived. "
            "Connect to a scheduler that runs, client = distributed.Client(...), and compute again",
            [tile.window for tile in lost],
        ) from err


def _tiles_of(collections: Sequence[Any], key: Any) -> list[Tile]:
    """The tile of a task, even if its key has been renamed; all tiles for a task that combines them."""
    tiles: dict[Any, Tile] = {}
    for each in collections:
        graph = each.__dask_graph__() if hasattr(each, "__dask_graph__") else None
        for name, task in dict(graph or {}).items():
            tile = next((part for part in task if isinstance(part, Tile)), None) if isinstance(task, tuple) else None
            if tile is not None:
                tiles[name] = tile
    if isinstance(key, tuple):
        for name, tile in tiles.items():
            if key[1:] == name[1:] and str(key[0]).endswith(name[0]):
                return [tile]
    return list(tiles.values())


def _sides(window: Window) -> tuple[int, int]:
    return window[1] - window[0], window[3] - window[2]


def _named(tiles: Sequence[Tile]) -> str:
    if not tiles:
        return "a task that reads no tile"
    shown = tiles[:NAMED]
    windows = ["rows {} to {}, columns {} to {}".format(*tile.window) for tile in shown]
    if len(tiles) == 1:
        return f"the tile of {windows[0]} of the raster"
    more = f"; and {len(tiles) - len(shown)} more" if len(shown) < len(tiles) else ""
    return f"{len(tiles)} tiles of the raster ({'; '.join(windows)}{more})"
