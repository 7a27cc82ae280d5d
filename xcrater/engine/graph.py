"""Execution of reductions, eagerly or as dask graphs; the only module here that imports dask at the top.

A dask graph has one leaf task for each touched tile, a tree of merges in a fixed order, and one task that finishes. A
raster in memory runs through the same three functions without a graph.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import math
import operator
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import dask
import dask.array
import dask.system
import numpy as np
import xarray as xr
from dask.array import Array
from dask.base import compute as dask_compute
from dask.base import tokenize
from dask.delayed import Delayed, delayed
from dask.graph_manipulation import bind
from dask.highlevelgraph import HighLevelGraph

from xcrater.engine import progress
from xcrater.engine.lost import naming_lost_tiles
from xcrater.engine.plan import FAN_IN, Tile
from xcrater.engine.reduction import Finish, Handover, Leaf, Merge, Passes, Reduction
from xcrater.engine.rounds import give_memory_back
from xcrater.geometry.grid import Grid, Window

Tasks = dict[Any, Any]
"""Tasks of a graph by key."""

Position = tuple[int, ...]
"""Chunk numbers along the raster's extra dimensions, and the number of the group."""


class Round(NamedTuple):
    """Tiles that are read in one round over the raster.

    Parameters
    ----------
    tiles : sequence of Tile
        The tiles, each with only the craters of this round.
    handover : Handover, optional
        How these tiles hand incomplete craters to later tiles of the round.
    finish : callable, optional
        (partial result of the round, number of images in the block) -> something smaller. If one round has a finish,
        all of them do, and the reduction's own finish takes the list of their results.
    """

    tiles: Sequence[Tile]
    handover: Handover | None = None
    finish: Callable[[Any, int], Any] | None = None


class Group(NamedTuple):
    """Craters that are finished together.

    Parameters
    ----------
    rounds : sequence of Round
        The tiles on which these craters lie, each with only the craters of this group.
    start, stop : int
        Position of the first crater along the dimension of craters, and the position past the last.
    """

    rounds: Sequence[Round]
    start: int
    stop: int


def is_lazy(da: xr.DataArray) -> bool:
    """Whether a DataArray is backed by dask."""
    return isinstance(da.data, Array)


def reduce_rounds(da: xr.DataArray, rounds: Sequence[Round], reduction: Reduction, *, token: Any) -> dict[str, Any]:
    """Reduce the tiles of a raster to arrays of all craters, in rounds that run one after another.

    Parameters
    ----------
    da : xarray.DataArray
        The raster, rows and columns last.
    rounds : sequence of Round
        The tiles to read, round by round and in order within each.
    reduction : Reduction
        The operation.
    token : object
        Everything besides the raster, the rounds and the declared outputs that the results depend on.

    Returns
    -------
    dict of array
        Each output, shape (extra dimensions of the raster if images are kept, *shape of the output); dask arrays for a
        raster backed by dask, else numpy arrays.

    Notes
    -----
    A further round or pass reads its tiles again, because keeping the blocks since the first would hold all of them in
    memory at once. For that the tasks of the source are copied under other names, and the copies start when the
    previous round or pass is over.
    """
    if is_lazy(da):
        return _reduce_lazily(da.data, [Group(rounds, 0, 0)], reduction, token, grouped=False)
    block: np.ndarray = da.data
    cut = [block] if reduction.beside is None else [block, np.asarray(reduction.beside.data)]
    images = block.shape[:-2]
    partials: list[Any] = []
    for tiles, handover, finish in rounds:
        found = (reduction.leaf(*_arguments(cut, tile)) for tile in tiles)
        several = list(found if handover is None else handover.in_turn(found))
        partials += several if finish is None else [_finish_round(finish, reduction.merge, several, math.prod(images))]
    if reduction.passes is not None and reduction.passes.tiles:
        partials = [_pass_in_memory(block, reduction.merge(partials), reduction.passes)]
    shapes = _shapes(reduction, images)
    return _finish_all(reduction.finish, _last_merge(rounds, reduction), partials, math.prod(images), (), shapes)


def reduce_groups(da: xr.DataArray, groups: Sequence[Group], reduction: Reduction, *, token: Any) -> dict[str, Any]:
    """Reduce the tiles of a raster to arrays of one chunk for each group of craters.

    Parameters
    ----------
    da : xarray.DataArray
        The raster, rows and columns last.
    groups : sequence of Group
        Groups of consecutive craters that together contain all craters.
    reduction : Reduction
        The operation, of one pass and without a handover, since one task merges all tiles of a group.
    token : object
        Everything besides the raster, the groups' bounds and the declared outputs that the results depend on, including
        the groups' tiles.

    Returns
    -------
    dict of array
        Each output, shape (extra dimensions of the raster, craters, *shape of the output); dask arrays for a raster
        backed by dask, else numpy arrays.
    """
    if is_lazy(da):
        return _reduce_lazily(da.data, groups, reduction, token, grouped=True)
    block: np.ndarray = da.data
    lead, total = block.shape[:-2], groups[-1].stop if groups else 0
    results = {name: np.empty((*lead, total, *out.shape), out.dtype) for name, out in reduction.outputs.items()}
    for group in groups:
        tiles = itertools.chain.from_iterable(one.tiles for one in group.rounds)
        partials = [reduction.leaf(*_arguments([block], tile, copy=False)) for tile in tiles]
        bounds = (group.start, group.stop)
        shapes = _shapes(reduction, lead, group.stop - group.start)
        found = _finish_all(reduction.finish, reduction.merge, partials, math.prod(lead), bounds, shapes)
        for name, array in found.items():
            results[name][(*(slice(None) for _ in lead), slice(*bounds))] = array
    return results


def _reduce_lazily(
    source: Array, groups: Sequence[Group], reduction: Reduction, token: Any, *, grouped: bool
) -> dict[str, Any]:
    """Build the graph of a reduction: a dask array for each output."""
    sources = [source]
    if reduction.beside is not None:
        sources.append(dask.array.asarray(reduction.beside.data).rechunk(source.chunks[-2:]))
    edges = [(group.start, group.stop, [len(one.tiles) for one in group.rounds]) for group in groups]
    outputs = reduction.outputs
    declared = {name: (out.shape, out.dtype) for name, out in outputs.items()}
    name = f"craters-{tokenize([each.name for each in sources], edges, token, declared)}"
    lead_chunks = source.chunks[:-2]
    leads = list(itertools.product(*(range(len(c)) for c in lead_chunks)))

    partials: dict[Position, list[Any]] = {(*lead, n): [] for lead, n in itertools.product(leads, range(len(groups)))}
    last, graph, blocks = "", HighLevelGraph.merge(*(each.dask for each in sources)), sources
    for number in range(max((len(group.rounds) for group in groups), default=0)):
        layer: Tasks = {}
        found: list[list[Any]] = []
        prefix = f"{name}-{number}" if number else name
        for lead, n in itertools.product(leads, range(len(groups))):
            position, group = (*lead, n), groups[n]
            tiles, handover, finish = group.rounds[number] if number < len(group.rounds) else Round([])
            keys = _add_leaves(layer, (_stage(prefix, "tile"), *position), lead, tiles, reduction.leaf, blocks)
            if handover is not None:
                keys = _add_handover(layer, prefix, position, handover, keys)
            keys = _add_merges(layer, _stage(prefix, "merge"), position, reduction.merge, keys)
            if finish is not None:
                images = math.prod(c[i] for c, i in zip(lead_chunks, lead, strict=True))
                layer[(_stage(prefix, "round"), *position)] = (_finish_round, finish, reduction.merge, keys, images)
                keys = [(_stage(prefix, "round"), *position)]
            found.append(keys)
            partials[position] += keys
        graph = _after(graph, _stage(prefix, "tile"), layer, *(each.name for each in blocks), *([last] if last else []))
        last = _stage(prefix, "tile")
        if any(number + 1 < len(group.rounds) for group in groups):
            graph, blocks = _read_again(graph, _stage(name, "gate", number + 1), found, last, sources)
    if not last:
        graph, last = _after(graph, _stage(name, "tile"), {}), _stage(name, "tile")
    if reduction.passes is not None and reduction.passes.tiles:
        graph, last = _add_passes(graph, name, source, reduction.passes, reduction.merge, partials)

    # With a single output, the finishing task returns the array itself; otherwise it returns a dict, in which one
    # further task per output looks its array up.
    only = next(iter(outputs)) if len(outputs) == 1 else None
    whole = _stage(name, "finish")
    names = {out: whole if only else _stage(name, "pick") + f"-{out}" for out in outputs}
    layer = {}
    chosen: dict[str, Tasks] = {out: {} for out in outputs}
    for lead, (n, group) in itertools.product(leads, enumerate(groups)):
        of_block = tuple(c[i] for c, i in zip(lead_chunks, lead, strict=True))
        shapes = _shapes(reduction, of_block, group.stop - group.start if grouped else None)
        bounds = (group.start, group.stop) if grouped else ()
        merge = _last_merge(group.rounds, reduction)
        task = (reduction.finish, merge, partials[*lead, n], math.prod(of_block), bounds, shapes)
        if only is None:
            layer[(whole, *lead, n)] = (_finish_all, *task)
        picked: list[Any] = []
        for out, tasks in chosen.items():
            zeros = (0 for _ in outputs[out].shape)
            key = (names[out], *(lead if reduction.keep_images else ()), *((n,) if grouped else ()), *zeros)
            # Picked one after another: if several were ready at once, the scheduler of a cluster would give some to an
            # idle worker, which would first have to fetch the arrays of all outputs.
            tasks[key] = (_finish_only, *task) if only else (_pick, (whole, *lead, n), out, *picked)
            picked = [key]
    if only is None:
        graph, last = _after(graph, whole, layer, last), whole
    along = (tuple(group.stop - group.start for group in groups),) if grouped else ()
    results: dict[str, Any] = {}
    for out, tasks in chosen.items():
        graph = _after(graph, names[out], tasks, last, *(names[before] for before in list(results)[-1:]))
        lengths = (*(lead_chunks if reduction.keep_images else ()), *along, *((n,) for n in outputs[out].shape))
        results[out] = Array(graph, names[out], lengths, dtype=np.dtype(outputs[out].dtype))
    return results


def _stage(name: str, stage: str, number: int | None = None) -> str:
    """Name of the tasks of one stage of a reduction.

    Schedulers estimate the duration of a task from earlier ones whose names agree up to the hash. Each stage therefore
    has a distinct name, so that a look into a dict is not expected to last as long as reading a tile.
    """
    words, rest = name.split("-", 1)
    return f"{words}-{stage}-{rest}" + ("" if number is None else f"-{number}")


def _shapes(reduction: Reduction, images: tuple[int, ...], craters: int | None = None) -> dict[str, tuple[int, ...]]:
    """Shape of each output for a block with these lengths along the extra dimensions, and for a group's craters."""
    first = (*(images if reduction.keep_images else ()), *(() if craters is None else (craters,)))
    return {name: (*first, *out.shape) for name, out in reduction.outputs.items()}


def _add_leaves(
    layer: Tasks, prefix: tuple[Any, ...], lead: Position, tiles: Sequence[Tile], leaf: Leaf, sources: Sequence[Array]
) -> list[Any]:
    """Add a leaf task for each tile; its arguments are the sources' blocks, of which the first has extra dimensions."""
    source, *beside = sources
    keys = [(*prefix, *tile.index) for tile in tiles]
    for key, tile in zip(keys, tiles, strict=True):
        layer[key] = (leaf, (source.name, *lead, *tile.index), tile, *((o.name, *tile.index) for o in beside))
    return keys


def _add_handover(layer: Tasks, name: str, position: Position, handover: Handover, keys: list[Any]) -> list[Any]:
    """Add tasks that complete craters at their last tile; returns the keys of all partial results."""
    own: list[Any] = []
    handed: dict[int, list[Any]] = {}
    for n, (key, receivers) in enumerate(zip(keys, handover.receivers, strict=True)):
        layer[(_stage(name, "own"), *position, n)] = (operator.getitem, key, None)
        own.append((_stage(name, "own"), *position, n))
        for receiver in receivers:
            layer[(_stage(name, "handed"), *position, n, receiver)] = (operator.getitem, key, receiver)
            handed.setdefault(receiver, []).append((_stage(name, "handed"), *position, n, receiver))
    for receiver, parts in handed.items():
        layer[(_stage(name, "complete"), *position, receiver)] = (handover.complete, parts)
    return [*own, *((_stage(name, "complete"), *position, receiver) for receiver in handed)]


def _add_merges(
    layer: Tasks, name: str, position: Position, merge: Callable[..., Any], keys: list[Any], *state: Any
) -> list[Any]:
    """Add tasks that merge partial results until at most `FAN_IN` are left, and return their keys."""
    level = 0
    while len(keys) > FAN_IN:
        merged = []
        for n, start in enumerate(range(0, len(keys), FAN_IN)):
            layer[(name, *position, level, n)] = (merge, keys[start : start + FAN_IN], *state)
            merged.append((name, *position, level, n))
        keys, level = merged, level + 1
    return keys


def _pass_in_memory(block: np.ndarray, first: Any, passes: Passes) -> Any:
    """Run all further passes over a raster in memory, and return the partial result after them."""
    state = passes.between(first)
    for number in range(1, passes.count + 1):
        found = [passes.leaf(_arguments([block], tile)[0], tile, state, number) for tile in passes.tiles]
        state = passes.between(passes.merge(found, state))
    return passes.finish(first, state)


def _add_passes(
    graph: HighLevelGraph, name: str, source: Array, passes: Passes, merge: Merge, partials: dict[Position, list[Any]]
) -> tuple[HighLevelGraph, str]:
    """Add further passes to a graph, whose results replace the partials; returns the graph and its last layer."""
    layer: Tasks = {}
    for position, keys in partials.items():
        layer[(_stage(name, "first"), *position)] = (merge, keys)
        layer[(_stage(name, "state"), *position)] = (passes.between, (_stage(name, "first"), *position))
    graph = _after(graph, _stage(name, "first"), layer, _stage(name, "tile"))
    state, last = _stage(name, "state"), _stage(name, "first")  # keys of the state, and the layer that has them
    for number in range(1, passes.count + 1):
        known = [[(state, *position)] for position in partials]
        graph, (again,) = _read_again(graph, _stage(name, "again", number), known, last, [source])
        layer = {}
        for position in partials:
            for n, tile in enumerate(passes.tiles):
                block = (again.name, *position[:-1], *tile.index)
                layer[(_stage(name, "pass", number), *position, n)] = (
                    passes.leaf,
                    block,
                    tile,
                    (state, *position),
                    number,
                )
            keys = [(_stage(name, "pass", number), *position, n) for n in range(len(passes.tiles))]
            keys = _add_merges(layer, _stage(name, "merge", number), position, passes.merge, keys, (state, *position))
            layer[(_stage(name, "state", number), *position)] = (
                _next_state, passes.between, passes.merge, keys, (state, *position),
            )  # fmt: skip
        graph = _after(graph, _stage(name, "pass", number), layer, again.name, last)
        state, last = _stage(name, "state", number), _stage(name, "pass", number)
    layer = {}
    for position in partials:
        layer[(_stage(name, "last"), *position)] = (
            passes.finish,
            (_stage(name, "first"), *position),
            (state, *position),
        )
        partials[position] = [(_stage(name, "last"), *position)]
    return _after(graph, _stage(name, "last"), layer, _stage(name, "first"), last), _stage(name, "last")


def _read_again(
    graph: HighLevelGraph, gate: str, keys: Iterable[Sequence[Any]], last: str, sources: Sequence[Array]
) -> tuple[HighLevelGraph, list[Array]]:
    """Add copies of the sources' tasks that start once some tasks, of the layer ``last``, are over."""
    # A separate task per key signals that it is over, so that no result has to move on a cluster.
    over = {(f"{gate}-over", n): (_nothing, key) for n, key in enumerate(itertools.chain.from_iterable(keys))}
    graph = _after(graph, gate, {**over, gate: (_open, list(over))}, last)
    copies = [bind(source, Delayed(gate, graph), seed=gate) for source in sources]
    return HighLevelGraph.merge(graph, *(copy.dask for copy in copies)), copies


def _nothing(*_: Any) -> None:
    """The function of tasks for which others only wait."""


def _open(_: Sequence[Any]) -> None:
    """The function of the gate between two rounds."""
    give_memory_back()


def only_waits(task: Any) -> bool:
    """Whether a task only waits for the tasks before it, without using their results."""
    return isinstance(task, tuple) and bool(task) and task[0] in (_nothing, _open)


def _next_state(between: Callable[[Any], Any], merge: Callable[..., Any], partials: Sequence[Any], state: Any) -> Any:
    return between(merge(partials, state))


def _after(graph: HighLevelGraph, name: str, layer: Tasks, *others: str) -> HighLevelGraph:
    """Add a layer to a graph, which depends on some of the existing layers."""
    return HighLevelGraph({**graph.layers, name: layer}, {**graph.dependencies, name: set(others)})


def _layer(name: str, layer: Tasks, sources: Sequence[Any]) -> HighLevelGraph:
    return HighLevelGraph.from_collections(name, layer, dependencies=sources)


def _last_merge(rounds: Sequence[Round], reduction: Reduction) -> Merge:
    """The function that combines the last partial results: a merge, or a list if rounds are finished separately."""
    return list if any(one.finish is not None for one in rounds) else reduction.merge


def _finish_round(finish: Callable[[Any, int], Any], merge: Merge, partials: Sequence[Any], images: int) -> Any:
    return finish(merge(partials), images)


def _finish_all(
    finish: Finish,
    merge: Merge,
    partials: Sequence[Any],
    images: int,
    bounds: tuple[int, ...],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, np.ndarray]:
    arrays = finish(merge(partials), images, *bounds)
    return {name: array.reshape(shapes[name]) for name, array in arrays.items()}


def _pick(arrays: Mapping[str, np.ndarray], name: str, *_: np.ndarray) -> np.ndarray:
    """Pick the array of one output; further arguments are only waited for."""
    return arrays[name]


def _finish_only(*arguments: Any) -> np.ndarray:
    """Finish a reduction with a single output, and return its array."""
    (array,) = _finish_all(*arguments).values()
    return array


def from_tiles(
    grid: Grid, tiles: Iterable[Tile], fill: Callable[[Tile], np.ndarray], *, dtype: Any, token: Any
) -> Array:
    """Make a lazy array with one task per chunk of a grid.

    Parameters
    ----------
    grid : Grid
        Shape and chunk edges.
    tiles : iterable of Tile
        A tile for every chunk.
    fill : callable
        Tile -> block.
    dtype : dtype
        Data type of the blocks.
    token : object
        Everything that the blocks depend on.
    """
    name = f"tiles-{tokenize(grid, token)}"
    layer = {(name, *tile.index): (fill, tile) for tile in tiles}
    chunks = tuple(tuple(np.diff(edges).tolist()) for edges in (grid.row_edges, grid.col_edges))
    return Array(_layer(name, layer, []), name, chunks, dtype=dtype)


def to_dask(da: xr.DataArray) -> Array:
    """Return the pixels of a raster as a dask array; pixels in memory become one chunk."""
    return da.data if is_lazy(da) else dask.array.from_array(da.data, chunks=-1)


def token(*parts: Any) -> str:
    """Hash everything that a result depends on."""
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
    """Make a lazy array of one block, assembled from some tiles of a raster.

    Parameters
    ----------
    source : dask.array.Array
        The raster's pixels, rows and columns last; extra dimensions in one chunk.
    tiles : sequence of Tile
        The tiles to read.
    leaf : callable
        (block, tile) -> partial result.
    assemble : callable
        List of partial results -> the block.
    shape : tuple of int
        Shape of the block.
    meta : ndarray
        An empty array of the block's type and dtype.
    token : object
        Everything that the block depends on.
    """
    name = f"crater-{tokenize(token)}"
    layer: Tasks = {}
    keys = _add_leaves(layer, (f"{name}-tile",), (0,) * (source.ndim - 2), tiles, leaf, [source])
    layer[(name, *(0 for _ in shape))] = (assemble, keys)
    return Array(_layer(name, layer, [source]), name, tuple((n,) for n in shape), meta=meta)


def each_tile(source: Array | np.ndarray, steps: Iterable[Sequence[Tile]], leaf: Leaf) -> Iterator[Any]:
    """Yield the partial results of tiles in order; the next ones are computed while the caller uses the last.

    Parameters
    ----------
    source : dask.array.Array or ndarray
        The raster's pixels, rows and columns last; extra dimensions in one chunk.
    steps : iterable of sequence of Tile
        The tiles to read, in steps that are each computed together.
    leaf : callable
        (block, tile) -> partial result.
    """
    if not isinstance(source, Array):
        for tile in itertools.chain.from_iterable(steps):
            yield leaf(*_arguments([source], tile))
        return
    lead = (0,) * (source.ndim - 2)
    name = f"craters-{uuid.uuid4().hex}"

    def read(number: int, tiles: Sequence[Tile]) -> list[Any]:
        layer: Tasks = {}
        key = f"{name}-{number}"
        keys = _add_leaves(layer, (f"{key}-tile",), lead, tiles, leaf, [source])
        layer[key] = (list, keys)
        step = Delayed(key, _layer(key, layer, [source]))
        with naming_lost_tiles(step):
            (results,) = dask_compute(step)
        return list(results)

    with ThreadPoolExecutor(1) as thread:
        coming = None
        for number, tiles in enumerate(itertools.chain(steps, [None])):
            # A thread does not inherit context variables, so hand it the scheduler that is set here.
            context = contextvars.copy_context()
            following = None if tiles is None else thread.submit(context.run, read, number, tiles)
            if coming is not None:
                results = coming.result()[::-1]
                coming = None  # release the results as soon as they have been used
                while results:
                    yield results.pop()
            coming = following


def single(make: Callable[[], np.ndarray], *, shape: tuple[int, ...], meta: np.ndarray, token: Any) -> Array:
    """Make a lazy array of one block that needs no raster.

    Parameters
    ----------
    make : callable
        No argument -> the block.
    shape : tuple of int
        Shape of the block.
    meta : ndarray
        An empty array of the block's type and dtype.
    token : object
        Everything that the block depends on.
    """
    name = f"single-{tokenize(token)}"
    value = delayed(make, name=f"{name}-maker", traverse=False)(dask_key_name=f"{name}-value")
    return dask.array.from_delayed(value, shape, meta=meta, name=name)


def _arguments(arrays: Sequence[np.ndarray], tile: Tile, *, copy: bool = True) -> tuple[Any, ...]:
    """Arguments of a leaf for arrays in memory: the tile's block of the first, the tile, and blocks of the others."""
    blocks = [_view(array, (0, array.shape[-2], 0, array.shape[-1]), tile.window) for array in arrays]
    first, *others = [block.copy() for block in blocks] if copy else blocks
    return first, tile, *others


def _view(block: np.ndarray, tile: Window, part: Window) -> np.ndarray:
    top, left = tile[0], tile[2]
    return block[..., part[0] - top : part[1] - top, part[2] - left : part[3] - left]


Compute = Callable[..., tuple[Any, ...]]
"""(lazy collections, and keywords of `dask.compute` that set where tasks run) -> results."""

_compute: contextvars.ContextVar[Compute] = contextvars.ContextVar("compute", default=dask_compute)


@contextlib.contextmanager
def computing_by(function: Compute) -> Iterator[None]:
    """Within the block, `compute` passes lazy collections to a function instead of dask's."""
    before = _compute.set(function)
    try:
        yield
    finally:
        _compute.reset(before)


def compute(*collections: Any, workers: int | None = None) -> tuple[Any, ...]:
    """Compute lazy collections together, on the current scheduler or on a number of threads.

    Parameters
    ----------
    *collections : object
        Lazy xarray or dask objects; anything else is returned unchanged.
    workers : int, optional
        Number of threads; -1 for one per core, -2 for one less, as in joblib. None leaves the choice to dask.
    """
    if workers is None:
        with naming_lost_tiles(*collections), progress.bar():
            return _compute.get()(*collections)
    cores = dask.system.CPU_COUNT
    threads = max(1, cores + 1 + workers) if workers < 0 else max(1, workers)
    with progress.bar():
        return _compute.get()(*collections, scheduler="threads", num_workers=threads)
