"""Groups of tiles in a graph of tasks, and the graph that keeps each group's results.

A tile task reads a block, and the partial results of tiles merge in a fixed tree. A *group* consists of consecutive
tiles. Tasks that depend on its tiles alone are inside the group. Those results inside that tasks outside need are its
*frontier*: once they are kept, the group need not be computed again. So the graph of any operation can be interrupted
between any two of its groups, and a resumed run goes through the same tasks in the same tree, to the same bits.

Tiles that are read again using what earlier tiles have found (a search in several passes) belong to a later *stage*. A
tile that merely waits for others, because memory is short, does not.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dask.core import get_dependencies, toposort

from xcrater.engine import graph
from xcrater.engine.plan import Tile

Tasks = Mapping[Any, Any]

INSIDE = ("craters-merge-", "craters-own-", "craters-handed-", "craters-complete-")
"""Prefixes of the names of tasks that combine partial results."""

MOST = 8192
"""Largest number of groups in a stage. Even this many files take only about a minute to write, and are easy to list."""


@dataclass(frozen=True, eq=False)
class Group:
    """Consecutive tiles whose results are kept together.

    Parameters
    ----------
    name : str
        The stage and the group's number there, such as "0-00012".
    stage, number : int
        Counted from 0.
    tiles : list
        Keys of the tile tasks.
    inside : list
        Keys of all tasks that depend on these tiles and on no other of the stage, the tiles among them.
    frontier : list
        Those of the tasks inside whose results other tasks need.
    """

    name: str
    stage: int
    number: int
    tiles: list[Any]
    inside: list[Any]
    frontier: list[Any]


def find_groups(tasks: Tasks, outputs: Iterable[Any], *, most: int = MOST) -> list[Group]:
    """Find the groups of a graph, which depend on its tasks alone.

    Parameters
    ----------
    tasks : mapping
        The tasks by key.
    outputs : iterable
        Keys of the results.
    most : int
        Approximate largest number of groups in a stage.
    """
    needs = {key: _needs(tasks, key) for key in tasks}
    in_order = toposort(tasks, dependencies=needs)
    # The length of the longest chain of tiles that a task depends on, counting itself.
    depth: dict[Any, int] = {}
    of_stage: dict[int, list[Any]] = {}
    for key in in_order:
        depth[key] = max((depth[need] for need in needs[key]), default=0)
        if _is_tile(key, tasks[key]):
            of_stage.setdefault(depth[key], []).append(key)
            depth[key] += 1
    tiles = {
        (stage, number): chosen
        for stage, keys in sorted(of_stage.items())
        for number, chosen in enumerate(_cut(sorted(keys), most))
    }
    owner = {key: group for group, chosen in tiles.items() for key in chosen}
    inside = {group: list(chosen) for group, chosen in tiles.items()}
    for key in in_order:
        if key in owner or not str(key[0] if isinstance(key, tuple) else key).startswith(INSIDE):
            continue
        owners = {owner.get(need) for need in needs[key] if depth[need] == depth[key]}
        if len(owners) == 1 and (one := owners.pop()) is not None:
            owner[key] = one
            inside[one].append(key)

    outside = set(outputs)
    for key in tasks:  # a gate needs no result, but the task that it waits for must exist
        outside |= {need for need in get_dependencies(tasks, key) if owner.get(need) != owner.get(key)}
    return [
        Group(f"{group[0]}-{group[1]:05d}", *group, tiles[group], keys, [key for key in keys if key in outside])
        for group, keys in inside.items()
    ]


def _is_tile(key: Any, task: Any) -> bool:
    """Whether a task is one that reads a tile of the raster for craters."""
    ours = isinstance(key, tuple) and str(key[0]).startswith("craters-")
    return ours and isinstance(task, tuple) and any(isinstance(part, Tile) for part in task)


def _needs(tasks: Tasks, key: Any) -> set[Any]:
    """Keys of the tasks whose results a task uses; a gate only waits, and uses none."""
    return set() if graph.only_waits(tasks[key]) else set(get_dependencies(tasks, key))


def _cut(keys: Sequence[Any], most: int) -> Iterable[list[Any]]:
    """Cut tiles into runs of a power of two, each within one raster, image and block of craters."""
    size = 1
    while len(keys) > size * most:
        size *= 2
    chosen: list[Any] = []
    for key in keys:
        if chosen and (len(chosen) == size or key[:-2] != chosen[0][:-2]):
            yield chosen
            chosen = []
        chosen.append(key)
    if chosen:
        yield chosen


def keeping(
    tasks: Tasks,
    groups: Sequence[Group],
    token: str,
    keep: Callable[[Group], tuple[Any, ...]],
    load: Callable[[Group], tuple[Any, ...]],
    finished: Collection[str],
) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Make a graph with the same results that keeps each group's results before others use them, or loads kept ones.

    Parameters
    ----------
    tasks : mapping
        The tasks by key.
    groups : sequence of Group
        Its groups, from `find_groups`.
    token : str
        Distinguishes the new tasks from those of other graphs.
    keep : callable
        Group -> the beginning of a task that is completed by the list of the group's results, and returns that list.
    load : callable
        Group -> a task that returns the list that was kept.
    finished : collection of str
        Names of the groups that have been kept already.

    Returns
    -------
    tasks : dict
        The new graph.
    kept : dict of str
        Key of the task that returns each group's results, by the group's name.
    """
    new, owner = dict(tasks), {key: group.name for group in groups for key in group.inside}
    names: dict[Any, Any] = {}
    kept = {}
    for group in groups:
        # Schedulers learn the durations of tasks by the first word of their keys.
        done = group.name in finished
        key = (f"craters-{'load' if done else 'keep'}-{token}", group.stage, group.number)
        kept[group.name] = key
        if done:
            for one in group.inside:
                del new[one]
        for n, one in enumerate(group.frontier):
            names[one] = (f"craters-kept-{token}", group.stage, group.number, n)
            new[names[one]] = (operator.getitem, key, n)
    for key in tasks.keys() & new.keys():
        others = {need: names[need] for need in get_dependencies(tasks, key) if need in names}
        others = {need: name for need, name in others.items() if owner[need] != owner.get(key)}
        if others:
            new[key] = _renamed(new[key], others)
    for group in groups:
        new[kept[group.name]] = load(group) if group.name in finished else (*keep(group), group.frontier)
    return new, kept


def _renamed(task: Any, names: Mapping[Any, Any]) -> Any:
    """A copy of a task in which some of the keys it refers to are replaced."""
    if isinstance(task, list):
        return [_renamed(part, names) for part in task]
    if type(task) is tuple:
        with contextlib.suppress(TypeError):  # unhashable arguments, such as lists, are not keys
            if task in names:
                return names[task]
        return tuple(_renamed(part, names) for part in task)
    return task
