"""Plan to tasks to tree merge: the only module that imports dask.

One leaf task per touched tile, a tree of merges in a fixed order, one task that finishes. A raster held in
memory takes the same three functions without a graph.
"""

from __future__ import annotations

import contextvars
import itertools
import math
import operator
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import dask
import dask.array
import dask.system
import numpy as np
import xarray as xr
from dask.array import Array
from dask.base import compute as dask_compute
from dask.base import tokenize
from dask.delayed import Delayed
from dask.graph_manipulation import bind
from dask.highlevelgraph import HighLevelGraph

from xcrater.engine.plan import FAN_IN, Tile
from xcrater.geometry.grid import Grid, Window

Leaf = Callable[..., Any]
Merge = Callable[[Sequence[Any]], Any]
Finish = Callable[[Any, int], Mapping[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Looks:
    """More looks at some tiles, each of which depends on what the one before found.

    Parameters
    ----------
    tiles : sequence of Tile
        Which.
    count : int
        How many looks.
    leaf : callable
        (block, tile, before, number of the look, from 1 on) -> partial result.
    merge : callable
        (list of partial results, before) -> one partial result; takes an empty list.
    between : callable
        Partial result of all tiles -> what the next look needs of it, as little as possible: ``before``.
    finish : callable
        (partial result of the first look, what the last one found) -> partial result.
    """

    tiles: Sequence[Tile]
    count: int
    leaf: Callable[[np.ndarray, Tile, Any, int], Any]
    merge: Callable[[Sequence[Any], Any], Any]
    between: Callable[[Any], Any]
    finish: Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Later:
    """What tiles leave to the last of several that share it, so that it need not wait for all tiles.

    Parameters
    ----------
    to : sequence of sequence of int
        For every tile, the tiles to which it leaves something: none before itself. The leaf then gives a dict: of None,
        its partial result; of each of these tiles, what it leaves to it.
    leaf : callable
        (list of all that was left to one tile, in the order of tiles) -> partial result.
    """

    to: Sequence[Sequence[int]]
    leaf: Callable[[Sequence[Any]], Any]


def is_lazy(da: xr.DataArray) -> bool:
    """Whether a DataArray is backed by dask."""
    return isinstance(da.data, Array)


def reduce_tiles(
    da: xr.DataArray,
    plan: Iterable[Tile],
    leaf: Leaf,
    merge: Merge,
    finish: Finish,
    *,
    shape: tuple[int, ...],
    dtypes: Mapping[str, str],
    token: Any,
    keep_images: bool = True,
    beside: xr.DataArray | None = None,
    looks: Looks | None = None,
    later: Later | None = None,
) -> dict[str, Any]:
    """Reduce the tiles of a raster to arrays, one for each name.

    Parameters
    ----------
    da : xarray.DataArray
        With rows and columns last.
    plan : iterable of Tile
        The touched tiles.
    leaf : callable
        (block, tile) -> partial result; the block has the raster's dtype and dimensions.
    merge : callable
        List of partial results -> one partial result; takes an empty list.
    finish : callable
        (partial result, number of images in the block) -> arrays by name, each of shape (images, *shape).
    shape : tuple of int
        Shape of each result after the raster's extra dimensions.
    dtypes : mapping
        Name and dtype of each result.
    token : object
        Everything besides the raster that the result depends on.
    keep_images : bool
        Whether results have the raster's extra dimensions before `shape`. If not, these must be one chunk.
    beside : xarray.DataArray, optional
        An array of the raster's rows and columns, whose block the leaf takes as its third argument.
    looks : Looks, optional
        More looks at tiles before the end.
    later : Later, optional
        What tiles leave to later ones.

    Returns
    -------
    dict of array
        dask arrays for a raster backed by dask, else numpy arrays.

    Notes
    -----
    Another look reads its tiles again: blocks that stayed since the first would be in memory all at once. So the
    source's tasks are copied under other names, and the copies start once the look before is over.
    """
    if looks is not None and not looks.tiles:
        looks = None
    if not is_lazy(da):
        block = da.data
        whole = (0, block.shape[-2], 0, block.shape[-1])
        others = [] if beside is None else [np.asarray(beside.data)]
        found = (
            leaf(_cut(block, whole, tile.window), tile, *(_cut(o, whole, tile.window) for o in others)) for tile in plan
        )
        partials = list(found) if later is None else list(in_turn(found, later))
        if looks is not None:
            partials = [merge(partials)]
            before = looks.between(partials[0])
            for look in range(1, looks.count + 1):
                seen = [looks.leaf(_cut(block, whole, t.window), t, before, look) for t in looks.tiles]
                before = looks.between(looks.merge(seen, before))
            partials = [looks.finish(partials[0], before)]
        lead_shape = block.shape[:-2]
        return _finish_all(finish, merge, partials, lead_shape, (*lead_shape, *shape) if keep_images else shape)

    source: Array = da.data
    other = [] if beside is None else [dask.array.asarray(beside.data).rechunk(source.chunks[-2:])]
    name = f"craters-{tokenize(source.name, [o.name for o in other], token, shape, dict(dtypes))}"
    lead_chunks = source.chunks[:-2]
    leads = list(itertools.product(*(range(len(c)) for c in lead_chunks)))
    layer: dict[Any, Any] = {}
    parts: dict[Any, list[Any]] = {}
    tiles = list(plan)
    for lead in leads:
        keys: list[Any] = [(f"{name}-tile", *lead, n) for n in range(len(tiles))]
        for key, tile in zip(keys, tiles, strict=True):
            layer[key] = (leaf, (source.name, *lead, *tile.index), tile, *((o.name, *tile.index) for o in other))
        if later is not None:
            keys = _leave(layer, name, lead, later, keys)
        parts[lead] = _merge_tree(layer, f"{name}-merge", lead, merge, keys)
    base = _layer(f"{name}-tile", layer, [source, *other])
    if looks is not None:
        base, parts = _look_again(base, name, source, looks, merge, parts)
    layer = {}
    outputs: dict[str, dict[Any, Any]] = {key: {} for key in dtypes}
    for lead in leads:
        block_shape = tuple(c[i] for c, i in zip(lead_chunks, lead, strict=True))
        out_shape = (*block_shape, *shape) if keep_images else shape
        layer[(name, *lead)] = (_finish_all, finish, merge, parts[lead], block_shape, out_shape)
        position = (*(lead if keep_images else ()), *(0 for _ in shape))
        for out in dtypes:
            outputs[out][(f"{name}-{out}", *position)] = (operator.getitem, (name, *lead), out)
    base = _after(base, name, layer, f"{name}-tile" if looks is None else f"{name}-last")

    results = {}
    for out, dtype in dtypes.items():
        key_name = f"{name}-{out}"
        layers = {**base.layers, key_name: outputs[out]}
        dependencies = {**base.dependencies, key_name: {name}}
        chunks = (*(lead_chunks if keep_images else ()), *((n,) for n in shape))
        results[out] = Array(HighLevelGraph(layers, dependencies), key_name, chunks, dtype=np.dtype(dtype))
    return results


def in_turn(found: Iterable[Mapping[Any, Any]], later: Later) -> Iterator[Any]:
    """Partial results of tiles that leave something to later ones."""
    left: dict[int, list[Any]] = {}
    for n, (parts, to) in enumerate(zip(found, later.to, strict=True)):
        yield parts[None]
        for tile in to:
            left.setdefault(tile, []).append(parts[tile])
        del parts
        if n in left:
            yield later.leaf(left.pop(n))


def _leave(layer: dict[Any, Any], name: str, lead: tuple[int, ...], later: Later, keys: list[Any]) -> list[Any]:
    """Add tasks that pass on what tiles leave to later ones: keys of all partial results."""
    own: list[Any] = []
    left: dict[int, list[Any]] = {}
    for n, (key, to) in enumerate(zip(keys, later.to, strict=True)):
        layer[(f"{name}-own", *lead, n)] = (operator.getitem, key, None)
        own.append((f"{name}-own", *lead, n))
        for tile in to:
            layer[(f"{name}-left", *lead, n, tile)] = (operator.getitem, key, tile)
            left.setdefault(tile, []).append((f"{name}-left", *lead, n, tile))
    for tile, parts in left.items():
        layer[(f"{name}-later", *lead, tile)] = (later.leaf, parts)
    return [*own, *((f"{name}-later", *lead, tile) for tile in left)]


def _merge_tree(
    layer: dict[Any, Any], name: str, lead: tuple[int, ...], merge: Callable[..., Any], keys: list[Any], *more: Any
) -> list[Any]:
    """Add tasks that merge partial results to a layer, until few are left: their keys."""
    level = 0
    while len(keys) > FAN_IN:
        merged = []
        for n, start in enumerate(range(0, len(keys), FAN_IN)):
            layer[(name, *lead, level, n)] = (merge, keys[start : start + FAN_IN], *more)
            merged.append((name, *lead, level, n))
        keys, level = merged, level + 1
    return keys


def _look_again(
    graph: HighLevelGraph, name: str, source: Array, looks: Looks, merge: Merge, partials: Mapping[Any, list[Any]]
) -> tuple[HighLevelGraph, dict[Any, list[Any]]]:
    """Add more looks at tiles to a graph; and the keys of each block's partial result then."""
    layer: dict[Any, Any] = {}
    for lead, keys in partials.items():
        layer[(f"{name}-first", *lead)] = (merge, keys)
        layer[(f"{name}-before", *lead)] = (looks.between, (f"{name}-first", *lead))
    graph = _after(graph, f"{name}-first", layer, f"{name}-tile")
    before, there = f"{name}-before", f"{name}-first"  # and the layer that has it
    for look in range(1, looks.count + 1):
        gate = f"{name}-gate-{look}"
        graph = _after(graph, gate, {gate: (_nothing, [(before, *lead) for lead in partials])})
        again = bind(source, Delayed(gate, graph), seed=gate)
        layer = {}
        for lead in partials:
            for n, tile in enumerate(looks.tiles):
                block = (again.name, *lead, *tile.index)
                layer[(f"{name}-look-{look}", *lead, n)] = (looks.leaf, block, tile, (before, *lead), look)
            keys = [(f"{name}-look-{look}", *lead, n) for n in range(len(looks.tiles))]
            keys = _merge_tree(layer, f"{name}-merge-{look}", lead, looks.merge, keys, (before, *lead))
            layer[(f"{name}-found-{look}", *lead)] = (_between, looks.between, looks.merge, keys, (before, *lead))
        graph = HighLevelGraph.merge(graph, again.dask)
        graph = _after(graph, f"{name}-look-{look}", layer, again.name, there)
        before, there = f"{name}-found-{look}", f"{name}-look-{look}"
    layer = {(f"{name}-last", *lead): (looks.finish, (f"{name}-first", *lead), (before, *lead)) for lead in partials}
    return _after(graph, f"{name}-last", layer, f"{name}-first", there), {
        lead: [(f"{name}-last", *lead)] for lead in partials
    }


def _nothing(*_: Any) -> None:
    """What a task that is only waited for gives."""


def _between(between: Callable[[Any], Any], merge: Callable[..., Any], partials: Sequence[Any], before: Any) -> Any:
    return between(merge(partials, before))


def _after(graph: HighLevelGraph, name: str, layer: dict[Any, Any], *others: str) -> HighLevelGraph:
    """A graph with one more layer, which needs some that are there."""
    return HighLevelGraph({**graph.layers, name: layer}, {**graph.dependencies, name: set(others)})


def _layer(name: str, layer: dict[Any, Any], sources: list[Any]) -> HighLevelGraph:
    return HighLevelGraph.from_collections(name, layer, dependencies=sources)


def _finish_all(
    finish: Finish, merge: Merge, partials: Sequence[Any], lead: tuple[int, ...], shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    arrays = finish(merge(partials), math.prod(lead))
    return {name: array.reshape(shape) for name, array in arrays.items()}


def from_tiles(
    grid: Grid, tiles: Iterable[Tile], fill: Callable[[Tile], np.ndarray], *, dtype: Any, token: Any
) -> Array:
    """A lazy array with one task per chunk of a grid.

    Parameters
    ----------
    grid : Grid
        Shape and chunk edges.
    tiles : iterable of Tile
        Every chunk.
    fill : callable
        Tile -> block.
    dtype : dtype
        Of the blocks.
    token : object
        Everything that the blocks depend on.
    """
    name = f"tiles-{tokenize(grid, token)}"
    layer = {(name, *tile.index): (fill, tile) for tile in tiles}
    chunks = tuple(tuple(np.diff(edges).tolist()) for edges in (grid.row_edges, grid.col_edges))
    return Array(_layer(name, layer, []), name, chunks, dtype=dtype)


def to_dask(da: xr.DataArray) -> Array:
    """The pixels of a raster as a dask array; those in memory as one chunk."""
    return da.data if is_lazy(da) else dask.array.from_array(da.data, chunks=-1)


def token(*parts: Any) -> str:
    """A short name of everything that a result depends on."""
    return str(tokenize(*parts))


def gather(
    source: Array,
    tiles: Sequence[Tile],
    leaf: Leaf,
    assemble: Callable[[Sequence[Any]], np.ndarray],
    *,
    shape: tuple[int, ...],
    meta: np.ndarray,
    token: Any,
) -> Array:
    """A lazy array of one block, made of what some tiles of a raster have of it.

    Parameters
    ----------
    source : dask.array.Array
        With rows and columns last; extra dimensions in one chunk.
    tiles : sequence of Tile
        Which.
    leaf : callable
        (block, tile) -> partial result.
    assemble : callable
        List of partial results -> the block.
    shape : tuple of int
        Of the block.
    meta : ndarray
        An empty array of the block's type and dtype.
    token : object
        Everything that the block depends on.
    """
    name = f"crater-{tokenize(token)}"
    lead = (0,) * (source.ndim - 2)
    layer: dict[Any, Any] = {
        (f"{name}-tile", n): (leaf, (source.name, *lead, *tile.index), tile) for n, tile in enumerate(tiles)
    }
    layer[(name, *(0 for _ in shape))] = (assemble, [(f"{name}-tile", n) for n in range(len(tiles))])
    return Array(_layer(name, layer, [source]), name, tuple((n,) for n in shape), meta=meta)


def each_tile(source: Array | np.ndarray, tiles: Sequence[Tile], leaf: Leaf, *, ahead: int) -> Iterator[list[Any]]:
    """Partial results of tiles in order, some at a time, the next ones computed meanwhile.

    Parameters
    ----------
    source : dask.array.Array or ndarray
        The raster's pixels, rows and columns last; extra dimensions in one chunk.
    tiles : sequence of Tile
        Which.
    leaf : callable
        (block, tile) -> partial result.
    ahead : int
        How many tiles are computed at once.
    """
    if not isinstance(source, Array):
        whole = (0, source.shape[-2], 0, source.shape[-1])
        for tile in tiles:
            yield [leaf(_cut(source, whole, tile.window), tile)]
        return
    lead = (0,) * (source.ndim - 2)
    name = f"craters-{uuid.uuid4().hex}"

    def group(start: int) -> list[Any]:
        numbers = range(start, min(start + ahead, len(tiles)))
        layer: dict[Any, Any] = {
            (f"{name}-tile", n): (leaf, (source.name, *lead, *tiles[n].index), tiles[n]) for n in numbers
        }
        key = f"{name}-{start}"
        layer[key] = (list, [(f"{name}-tile", n) for n in numbers])
        (results,) = dask_compute(Delayed(key, _layer(key, layer, [source])))
        return list(results)

    with ThreadPoolExecutor(1) as thread:
        coming = None
        for start in range(0, len(tiles), ahead):
            # The thread sees the scheduler that is set here and now.
            context = contextvars.copy_context()
            following = thread.submit(context.run, group, start)
            if coming is not None:
                yield coming.result()
            coming = following
        if coming is not None:
            yield coming.result()


def stack_groups(
    da: xr.DataArray,
    groups: Sequence[Sequence[Tile]],
    edges: Sequence[int],
    leaf: Leaf,
    finish: Callable[[Sequence[Any], int, int, int], np.ndarray],
    *,
    shape: tuple[int, ...],
    dtype: Any,
    token: Any,
) -> Any:
    """An array with one chunk for each group of craters, made of the tiles that the group meets.

    Parameters
    ----------
    da : xarray.DataArray
        With rows and columns last.
    groups : sequence of sequence of Tile
        The tiles that each group meets, each with the craters of that group alone.
    edges : sequence of int
        Where groups begin and end along the dimension of craters, from 0 on.
    leaf : callable
        (block, tile) -> partial result.
    finish : callable
        (list of partial results, first crater of the group, crater past its last, number of images in the block) ->
        array of shape (images, craters, *shape).
    shape : tuple of int
        Of what one crater has.
    dtype : dtype
        Of the result.
    token : object
        Everything besides the raster and `edges` that the result depends on, the groups' tiles included.

    Returns
    -------
    array
        Shape (extra dimensions of the raster, craters, *shape); a dask array for a raster backed by dask.
    """
    if not is_lazy(da):
        block = da.data
        lead, whole = block.shape[:-2], (0, block.shape[-2], 0, block.shape[-1])
        out = np.empty((*lead, edges[-1], *shape), dtype)
        for tiles, start, stop in zip(groups, edges, edges[1:], strict=False):
            partials = [leaf(_view(block, whole, tile.window), tile) for tile in tiles]
            where = (*(slice(None) for _ in lead), slice(start, stop))
            out[where] = _group(finish, partials, start, stop, lead, shape)
        return out
    source: Array = da.data
    name = f"chips-{tokenize(source.name, list(edges), token, shape, str(dtype))}"
    lead_chunks = source.chunks[:-2]
    layer: dict[Any, Any] = {}
    for at in itertools.product(*(range(len(c)) for c in lead_chunks)):
        lead = tuple(c[i] for c, i in zip(lead_chunks, at, strict=True))
        for n, (tiles, start, stop) in enumerate(zip(groups, edges, edges[1:], strict=False)):
            keys: list[Any] = [(f"{name}-tile", *at, n, t) for t in range(len(tiles))]
            for key, tile in zip(keys, tiles, strict=True):
                layer[key] = (leaf, (source.name, *at, *tile.index), tile)
            layer[(name, *at, n, *(0 for _ in shape))] = (_group, finish, keys, start, stop, lead, shape)
    chunks = (*lead_chunks, tuple(np.diff(edges).tolist()), *((n,) for n in shape))
    return Array(_layer(name, layer, [source]), name, chunks, dtype=np.dtype(dtype))


def _group(
    finish: Callable[..., np.ndarray],
    partials: Sequence[Any],
    start: int,
    stop: int,
    lead: tuple[int, ...],
    shape: tuple[int, ...],
) -> np.ndarray:
    return finish(partials, start, stop, math.prod(lead)).reshape(*lead, stop - start, *shape)


def single(make: Callable[[], np.ndarray], *, shape: tuple[int, ...], meta: np.ndarray, token: Any) -> Array:
    """A lazy array of one block that needs no raster.

    Parameters
    ----------
    make : callable
        Nothing -> the block.
    shape : tuple of int
        Of the block.
    meta : ndarray
        An empty array of the block's type and dtype.
    token : object
        Everything that the block depends on.
    """
    name = f"single-{tokenize(token)}"
    chunks = tuple((n,) for n in shape)
    return Array(_layer(name, {(name, *(0 for _ in shape)): (make,)}, []), name, chunks, meta=meta)


def _view(block: np.ndarray, tile: Window, part: Window) -> np.ndarray:
    top, left = tile[0], tile[2]
    return block[..., part[0] - top : part[1] - top, part[2] - left : part[3] - left]


def _cut(block: np.ndarray, tile: Window, part: Window) -> np.ndarray:
    return _view(block, tile, part).copy()


def compute(*collections: Any, workers: int | None = None) -> tuple[Any, ...]:
    """Compute lazy things together, on the scheduler that is set, or on that many threads.

    Parameters
    ----------
    *collections : object
        Lazy xarray or dask objects; anything else comes back as it is.
    workers : int, optional
        Number of threads; -1 for one per core, -2 for one less, as joblib counts. None leaves it to dask.
    """
    if workers is None:
        return dask_compute(*collections)
    cores = dask.system.CPU_COUNT
    threads = max(1, cores + 1 + workers) if workers < 0 else max(1, workers)
    return dask_compute(*collections, scheduler="threads", num_workers=threads)
