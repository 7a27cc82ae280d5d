"""Runs that keep their finished groups of tiles, whatever they compute and wherever their tasks run."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import dask.threaded
import xarray as xr
from dask.array import optimization
from dask.base import get_scheduler, is_dask_collection
from dask.core import flatten
from dask.optimization import cull
from dask.utils import ensure_dict

from xcrater.batch import files, groups
from xcrater.batch.work import WHOLE, Report, Shard, WorkDir, run_id
from xcrater.engine import graph
from xcrater.errors import CheckpointError
from xcrater.options import get_option
from xcrater.raster.identity import FileIdentity, check_unchanged, identity


class ShardFinished(Exception):
    """A shard is finished. It stops the caller, since there is no result before all shards are finished."""


@dataclass(frozen=True)
class Run:
    """A computation, the directory that keeps it, and the part of it that this process computes.

    Parameters
    ----------
    directory : Path
        Directory that keeps the results; every process in which tasks run must see it.
    about : mapping
        Description of the run, as `xcrater.engine.provenance.describe_run` makes it.
    rasters : mapping of str to xarray.DataArray
        The rasters, as `xcrater.open_mosaic` opened them.
    command : sequence of str
        Arguments of the command line that started the run.
    report, say : callable
        Called with a line about damage, and with one about what is kept.
    shard : Shard, optional
        The part of the groups to compute; all by default.
    """

    directory: Path
    about: Mapping[str, Any]
    rasters: Mapping[str, xr.DataArray]
    command: Sequence[str]
    report: Report
    say: Report
    shard: Shard | None = None

    @cached_property
    def work(self) -> WorkDir:
        """The directory."""
        return WorkDir(self.directory.absolute())

    @cached_property
    def known(self) -> dict[str, list[FileIdentity]]:
        """The files of each raster, as they were on the first access."""
        return {name: identity(da) for name, da in self.rasters.items()}

    @cached_property
    def described(self) -> dict[str, Any]:
        """Everything that distinguishes the run from others."""
        return {
            "files": {name: {str(file[0]): file[1:] for file in of_one} for name, of_one in self.known.items()},
            **self.about,
        }

    @cached_property
    def id(self) -> str:
        """Hash by which the run is known."""
        return run_id(self.described)

    def mine(self, group: int) -> bool:
        """Whether this process computes the independent group with a number."""
        return self.shard is None or self.shard.has(group)

    @contextlib.contextmanager
    def begun(self, tasks: Mapping[str, Any]) -> Iterator[None]:
        """Begin or resume the run for the duration of a block that computes it.

        Parameters
        ----------
        tasks : mapping
            What distinguishes its tasks from others, as `WorkDir.begin` takes it.

        Raises
        ------
        CheckpointError
            The directory belongs to another run, or cannot be written to.
        """
        shard = self.shard or WHOLE
        self.work.begin(self.id, self.described, self.command, tasks)
        with self.work.locked(shard):
            self.work.clear(shard)
            yield

    def finish(self) -> None:
        """Check, once everything is computed, that the results may be used.

        Raises
        ------
        ReadError
            A file of a raster has changed since the run began.
        ShardFinished
            Only a shard was to be computed, and there is no result before all shards are.
        """
        check_unchanged(self.rasters.values(), self.known.values())
        if self.shard is not None:
            raise ShardFinished

    def tell_kept(self, finished: int, groups: int) -> None:
        """Report how many groups need not be computed."""
        if finished:
            self.say(f"{finished:,} of {groups:,} groups are in {str(self.work.path)!r} already")


@contextlib.contextmanager
def keeping(run: Run) -> Iterator[str]:
    """Within the block, keep the results of groups of tiles, and use those kept already.

    Yields
    ------
    str
        The run's id.

    Raises
    ------
    CheckpointError, ReadError, ShardFinished
        When something is computed; see `Run.begun` and `Run.finish`.
    """

    def compute(*collections: Any, **settings: Any) -> tuple[Any, ...]:
        steps = _Steps.of(collections)
        with run.begun(steps.tells_apart()):
            results = steps.compute(run, settings)
            run.finish()
        return results

    with graph.computing_by(compute):
        yield run.id


class _Steps(NamedTuple):
    """The computation as tasks and their groups.

    Parameters
    ----------
    collections : sequence
        Lazy xarray or dask objects, and others, which are returned unchanged.
    tasks : dict
        All tasks by key.
    groups : list of Group
        Groups of the tile tasks.
    """

    collections: Sequence[Any]
    tasks: dict[Any, Any]
    groups: list[groups.Group]

    @classmethod
    def of(cls, collections: Sequence[Any]) -> _Steps:
        """The steps that compute lazy collections."""
        tasks: dict[Any, Any] = {}
        for each in filter(is_dask_collection, collections):
            tasks |= ensure_dict(each.__dask_graph__())
        outputs = list(flatten([each.__dask_keys__() for each in collections if is_dask_collection(each)]))
        tasks, _ = cull(tasks, outputs)
        return cls(collections, tasks, groups.find_groups(tasks, outputs))

    def tells_apart(self) -> dict[str, Any]:
        """What distinguishes the tasks from those of other runs."""
        stages = Counter(group.stage for group in self.groups)
        hashed = hashlib.blake2b(repr([group.tiles for group in self.groups]).encode(), digest_size=16).hexdigest()
        return {"memory": get_option("memory"), "groups": [stages[n] for n in range(len(stages))], "hash": hashed}

    def compute(self, run: Run, settings: Mapping[str, Any]) -> tuple[Any, ...]:
        """Compute what is not kept yet, and return the results; a shard has none."""
        shard = run.shard
        mine = [group for group in self.groups if shard is None or (group.stage == 0 and shard.has(group.number))]
        state = run.work.look(run.id, [group.name for group in mine])
        for text in state.damaged.values():
            run.report(text)
        run.tell_kept(len(state.finished), len(mine))
        where = str(run.work.path), run.id
        tasks, kept = groups.keeping(
            self.tasks,
            self.groups,
            run.id,
            keep=lambda group: (_keep, *where, group.name),
            load=lambda group: (_load, *where, group.name),
            finished=state.finished,
        )
        get = get_scheduler(scheduler=settings.get("scheduler"), collections=self.collections) or dask.threaded.get
        more = {name: value for name, value in settings.items() if name != "scheduler"}
        if shard is not None:
            # Gates that limit memory are needless, since results of a shard go to the disk.
            tasks |= {key: None for key, task in tasks.items() if graph.only_waits(task)}
            over = {
                (f"craters-over-{run.id}", group.number): (_over, kept[group.name])
                for group in mine
                if group.name not in state.finished
            }
            get(optimization.optimize(tasks | over, list(over)), list(over), **more)
            return ()
        lazy = [each for each in self.collections if is_dask_collection(each)]
        keys = [each.__dask_keys__() for each in lazy]
        found = iter(get(optimization.optimize(tasks, list(flatten(keys))), keys, **more))
        return tuple(_whole(each, next(found)) if is_dask_collection(each) else each for each in self.collections)


def _whole(collection: Any, parts: Any) -> Any:
    """Assemble a lazy collection's result from its computed parts."""
    function, arguments = collection.__dask_postcompute__()
    return function(parts, *arguments)


def _keep(directory: str, run: str, name: str, values: list[Any]) -> list[Any]:
    """Keep the results of a group, and return them."""
    if not WorkDir(Path(directory)).is_of(run):
        raise CheckpointError(
            f"{socket.gethostname()!r}, where tasks run, does not see the run in {directory!r}; expected a --work-dir "
            "on a disk that all workers share"
        )
    files.write(files.Group(directory, run, name), values)
    return values


def _load(directory: str, run: str, name: str) -> list[Any]:
    """Load the results of a group."""
    return files.read(files.Group(directory, run, name))


def _over(_: Any) -> None:
    """Drop the results of a shard's group, which are on the disk."""
