"""Progress of a run: a bar if standard error is a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import click
from dask.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from xcrater import kernels

REFRESH = 0.2
"""Seconds between two updates of the bar."""

LOG = 5.0
"""Seconds between two lines if there is no terminal."""


class Done(NamedTuple):
    """How many units of a run are done, and how many there are in total."""

    done: int
    total: int


Measure = Callable[[], Done]


class Told:
    """Progress as reported by the code that does the work, for runs that dask's counters do not see."""

    def __init__(self) -> None:
        self._done = Done(0, 0)

    def tell(self, done: int, total: int) -> None:
        """Record how many units are done, and how many there are in total."""
        self._done = Done(done, total)

    def measure(self) -> Done:
        """The progress reported last."""
        return self._done


@contextlib.contextmanager
def watching(what: str, unit: str, measure: Measure, *, quiet: bool) -> Iterator[None]:
    """Report the progress of a run on standard error during a ``with`` block.

    Parameters
    ----------
    what : str
        Name of the command that runs, such as "stats".
    unit : str
        What is counted, such as "tasks".
    measure : callable
        Returns the progress; called repeatedly from a separate thread.
    quiet : bool
        Whether to report nothing.
    """
    if quiet:
        yield
        return
    over = threading.Event()
    show = _show_bar if sys.stderr.isatty() else _show_lines
    thread = threading.Thread(target=show, args=(what, unit, measure, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def tell_of_compiling() -> None:
    """Announce that this process compiles kernels first, if none are cached on disk."""
    directory = kernels.cache_directory()
    if directory is not None and next(directory.rglob("*.nbi"), None) is None:
        click.echo("xcrater: compiling kernels first, once on a machine; this takes 10 to 30 seconds", err=True)


def _show_bar(what: str, unit: str, measure: Measure, over: threading.Event) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=1 / REFRESH) as bar:
        task = bar.add_task(what, total=None)
        while True:
            last = over.wait(REFRESH)
            done = measure()
            if done.total:
                bar.update(task, completed=done.done, total=done.total)
            if last:
                return


def _show_lines(what: str, unit: str, measure: Measure, over: threading.Event) -> None:
    start = time.monotonic()
    while not over.wait(LOG):
        done, seconds = measure(), time.monotonic() - start
        counts = f"{done.done:,} of {done.total:,} {unit}, " if done.total else ""
        line = f"xcrater {what}: {counts}{seconds:.0f} s"
        if 0 < done.done < done.total:
            line += f", about {seconds * (done.total - done.done) / done.done:.0f} s to go"
        click.echo(line, err=True)


class CountTasks(Callback):
    """Counts the tasks that dask runs in this process within a ``with`` block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._done = self._total = 0

    def _start_state(self, dsk: Any, state: dict[str, Any]) -> None:
        self._total += sum(len(state[stage]) for stage in ("ready", "waiting", "running"))

    def _posttask(self, *_: Any) -> None:
        self._done += 1

    def measure(self) -> Done:
        """Tasks that have run, out of those submitted to dask so far."""
        return Done(self._done, self._total)


class CountOnCluster:
    """Counts the tasks that a cluster has received since this object was made.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._most = Done(0, 0)

    def measure(self) -> Done:
        """Tasks that are finished; those that the scheduler has forgotten were finished too."""
        with contextlib.suppress(Exception):  # whatever waits for the results reports a scheduler that is gone
            states = self._client.run_on_scheduler(_states)
            total = sum(states.values())
            waiting = sum(states.get(state, 0) for state in ("waiting", "processing", "queued", "no-worker"))
            self._most = Done(max(total - waiting, self._most.done), max(total, self._most.total))
        return self._most


def _states(dask_scheduler: Any) -> dict[str, int]:
    """Number of a scheduler's tasks in each state."""
    found: dict[str, int] = {}
    for group in dask_scheduler.task_groups.values():
        for state, count in group.states.items():
            found[state] = found.get(state, 0) + count
    return found
