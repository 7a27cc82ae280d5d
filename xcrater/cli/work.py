"""Options of runs that can be interrupted, and how they respond to the signals of a batch system."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import click
import xarray as xr

from xcrater.batch.parts import Parts
from xcrater.batch.run import Run, ShardFinished, keeping
from xcrater.batch.work import Report, Shard
from xcrater.cli.packing import Command, packed

STOPPED = 75
"""Exit code of a run that a signal stopped and that can be resumed: EX_TEMPFAIL of sysexits.h."""

SIGNALS = ("SIGTERM", "SIGUSR1")
"""Signals that batch systems send before a job's time is over."""


class Stopped(BaseException):
    """A signal of a batch system has stopped a run. Not an `Exception`, so that no error handler catches it."""


def _shard(text: str) -> Shard:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise click.BadParameter(
            f"received --shard {text!r}; expected I/N with I from 1 to N, such as 1/7: in a job array --array=1-7, "
            "--shard $SLURM_ARRAY_TASK_ID/7"
        )
    return Shard(int(match[1]), int(match[2]))


class WorkOptions(NamedTuple):
    """Where finished groups are kept, and which part of them to compute."""

    work_dir: Path | None
    shard: Shard | None

    def check(self) -> None:
        """Refuse a shard whose results would not be kept."""
        if self.shard is not None and self.work_dir is None:
            raise click.UsageError("received --shard without --work-dir; expected the directory that all shards share")

    @contextlib.contextmanager
    def keeping(
        self, operation: str, about: dict[str, Any], rasters: Mapping[str, xr.DataArray], *, say: Report
    ) -> Iterator[None]:
        """Keep the finished groups of what a ``with`` block computes, if there is a directory for them.

        Parameters
        ----------
        operation : str
            Name of the command.
        about : dict
            What `xcrater.engine.provenance.describe_run` returns; "run_id" is added to it.
        rasters : mapping of str to xarray.DataArray
            The rasters as they were opened.
        say : callable
            Takes a line about the progress of the run.
        """
        if self.work_dir is None:
            yield
            return
        run = self._run(self.work_dir, operation, about, rasters, say)
        with self._merged_later(say), stoppable(self.work_dir), keeping(run):
            yield

    @contextlib.contextmanager
    def in_parts(
        self,
        operation: str,
        about: dict[str, Any],
        rasters: Mapping[str, xr.DataArray],
        parts: Parts,
        *,
        say: Report,
    ) -> Iterator[Iterator[list[Any]]]:
        """Yield the results of all parts of a run in turn, and keep each as it is computed if there is a directory.

        Parameters
        ----------
        operation, about, rasters, say : object
            As for `keeping`.
        parts : Parts
            The parts.
        """
        if self.work_dir is None:
            yield parts.results()
            return
        run = self._run(self.work_dir, operation, about, rasters, say)
        with self._merged_later(say), stoppable(self.work_dir), parts.kept(run) as results:
            yield results

    def _run(
        self, directory: Path, operation: str, about: dict[str, Any], rasters: Mapping[str, xr.DataArray], say: Report
    ) -> Run:
        """The run that this command belongs to; its id is added to `about`."""
        described = {"operation": operation} | {name: value for name, value in about.items() if name != "command"}
        run = Run(directory, described, rasters, _without_shard(sys.argv[1:]), _report, say, self.shard)
        about["run_id"] = run.id
        return run

    @contextlib.contextmanager
    def _merged_later(self, say: Report) -> Iterator[None]:
        try:
            yield
        except ShardFinished:
            say(f"shard {self.shard} is finished; once all are, `xcrater merge {self.work_dir}` makes the output")
            raise


def work_options(command: Command) -> Command:
    """Add the options of interruptible runs to a command, which receives them as one `WorkOptions` named ``work``."""
    options = (
        click.option(
            "--work-dir",
            type=click.Path(path_type=Path),
            help="Keep finished groups in this directory, and resume from them when the command is started again.",
        ),
        click.option(
            "--shard",
            type=_shard,
            metavar="I/N",
            help="Compute part I of N, counted from 1, into --work-dir; `xcrater merge` combines the parts.",
        ),
    )
    return packed(command, "work", WorkOptions, options)


def _report(text: str) -> None:
    click.echo(f"xcrater: {text}", err=True)


def _without_shard(arguments: list[str]) -> list[str]:
    """The arguments of the whole run: those of a shard's command without --shard."""
    kept = [text for text in arguments if not text.startswith("--shard=")]
    while "--shard" in kept:
        at = kept.index("--shard")
        del kept[at : at + 2]
    return kept


@contextlib.contextmanager
def stoppable(directory: Path | None = None) -> Iterator[None]:
    """Within the block, signals of a batch system raise `Stopped`; threads other than the main one receive none.

    Parameters
    ----------
    directory : Path, optional
        The directory that keeps finished groups, if there is one, which the message names.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> NoReturn:
        name = signal.Signals(number).name
        kept = "" if directory is None else f"what is finished is in {str(directory)!r}: "
        raise Stopped(f"stopped by {name}; {kept}start the same command again")

    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
