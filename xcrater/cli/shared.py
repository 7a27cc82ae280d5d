"""Options that several commands share: those of a crater table, of rasters, and of where tasks run."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import dask
import xarray as xr

from xcrater import CraterDatabase, set_options
from xcrater._optional import require
from xcrater.cli import progress
from xcrater.cli.packing import Command, packed
from xcrater.raster.mosaic import open_mosaic


def one_line(message: str) -> str:
    """Put a message on one line, for standard error."""
    return " ".join(message.split())


def command_line() -> str:
    """The command as a shell would take it."""
    return shlex.join(["xcrater", *sys.argv[1:]])


class TableOptions(NamedTuple):
    """How to read a crater table: the arguments of `CraterDatabase` that the command line offers."""

    body: str
    units: str
    input_crs: str
    lat_col: str | None
    lon_col: str | None
    rad_col: str | None
    diam_col: str | None
    drop_bad_rows: bool

    def open(self, path: str) -> CraterDatabase:
        """Read the crater table at a path."""
        return CraterDatabase(
            path,
            self.body,
            self.input_crs,
            self.units,
            lat_col=self.lat_col,
            lon_col=self.lon_col,
            rad_col=self.rad_col,
            diam_col=self.diam_col,
            errors="drop" if self.drop_bad_rows else "raise",
        )


def table_options(command: Command) -> Command:
    """Add the options of a crater table to a command, which receives them as one `TableOptions` named ``table``."""
    options = (
        click.option("--body", required=True, help="Planetary body, such as moon."),
        click.option(
            "--units",
            type=click.Choice(["m", "km"]),
            default="m",
            show_default=True,
            help="Unit of the radius or diameter column.",
        ),
        click.option("--input-crs", default="default", show_default=True, help="Coordinate system of the table."),
        click.option("--lat-col", help="Name of the latitude column."),
        click.option("--lon-col", help="Name of the longitude column."),
        click.option("--rad-col", help="Name of the radius column."),
        click.option("--diam-col", help="Name of the diameter column."),
        click.option("--drop-bad-rows", is_flag=True, help="Leave out rows that cannot be used, instead of stopping."),
    )
    return packed(command, "table", TableOptions, options)


class NamedNumber(NamedTuple):
    """A number for one of several rasters, or for every one where the name is empty."""

    name: str
    number: float


def _nodata(text: str) -> NamedNumber:
    name, _, number = text.rpartition("=")
    try:
        return NamedNumber(name, float(number))
    except ValueError as err:
        raise click.BadParameter(
            f"received --nodata {text!r}; expected a number, or NAME=NUMBER for one of several rasters"
        ) from err


class RasterOptions(NamedTuple):
    """What the command line states about rasters where their files do not."""

    nodata: tuple[NamedNumber, ...]
    trust_body: bool

    def open(self, paths: Mapping[str, str], body: str) -> dict[str, xr.DataArray]:
        """Open rasters lazily, keyed by their names."""
        return {name: open_mosaic(path, body=body if self.trust_body else None) for name, path in paths.items()}

    def missing(self, names: Sequence[str]) -> dict[str, float]:
        """The stored number that stands for a missing value, for each raster that --nodata names."""
        for each in self.nodata:
            if each.name and each.name not in names:
                raise click.UsageError(f"received --nodata for {each.name!r}; the rasters are {', '.join(names)}")
        of_all = {name: each.number for each in self.nodata if not each.name for name in names}
        return of_all | {each.name: each.number for each in self.nodata if each.name}


def raster_options(command: Command) -> Command:
    """Add the options of rasters to a command, which receives them as one `RasterOptions` named ``known``."""
    options = (
        click.option(
            "--nodata",
            type=_nodata,
            metavar="[NAME=]NUMBER",
            multiple=True,
            help="Stored number that stands for a missing value, instead of the file's own.",
        ),
        click.option(
            "--trust-body",
            is_flag=True,
            help="Treat the raster as a map of the table's body even if the sphere of its CRS is another.",
        ),
    )
    return packed(command, "known", RasterOptions, options)


def named_rasters(texts: Sequence[str]) -> dict[str, str]:
    """Paths of rasters by the names that columns will contain.

    Parameters
    ----------
    texts : sequence of str
        Each is PATH or NAME=PATH. A single path has no name. Of several paths, those without a name take that of their
        file, as in `CraterDatabase.get_stats`.
    """
    named: dict[str, str] = {}
    for text in texts:
        match = None if Path(text).exists() else re.fullmatch(r"(\w+)=(.+)", text)
        name, path = (match[1], match[2]) if match else (Path(text).name if len(texts) > 1 else "", text)
        if name in named:
            raise click.UsageError(
                f"received two rasters named {name!r}; give them names, such as dem={named[name]} slope={path}"
            )
        named[name] = path
    return named


class RunOptions(NamedTuple):
    """Where tasks run, how much memory they may take, and whether progress is reported."""

    threads: int | None
    scheduler: str | None
    scheduler_file: Path | None
    memory: str | None
    quiet: bool

    def check(self) -> None:
        """Refuse options that contradict each other or name a missing file."""
        if self.scheduler is not None and self.scheduler_file is not None:
            raise click.UsageError("received both --scheduler and --scheduler-file; expected one of them")
        if self.scheduler_file is not None and not self.scheduler_file.is_file():
            raise click.UsageError(
                f"there is no file {str(self.scheduler_file)!r} of --scheduler-file; start a scheduler that writes it: "
                "dask scheduler --scheduler-file FILE"
            )

    @contextlib.contextmanager
    def running(
        self, what: str, measure: progress.Measure | None = None, unit: str = "tasks", *, compiles: bool = True
    ) -> Iterator[None]:
        """Run what is computed in a ``with`` block where these options say, and report its progress.

        Parameters
        ----------
        what : str
            Name of the command.
        measure : callable, optional
            Returns the progress; by default tasks of dask are counted.
        unit : str
            What is counted.
        compiles : bool
            Whether the block needs kernels, which this process compiles unless a cluster does.

        Notes
        -----
        Tasks run on the cluster that the options name, if any, or else on `threads` threads of this process.
        """
        with contextlib.ExitStack() as stack:
            if self.memory is not None:
                stack.enter_context(set_options(memory=self.memory))
            if self.scheduler is not None or self.scheduler_file is not None:
                counted = progress.CountOnCluster(stack.enter_context(self._client())).measure
            else:
                threads: dict[str, Any] = {} if self.threads is None else {"num_workers": self.threads}
                stack.enter_context(dask.config.set(scheduler="threads", **threads))
                counted = stack.enter_context(progress.CountTasks()).measure
                if compiles and not self.quiet:
                    progress.tell_of_compiling()
            stack.enter_context(progress.watching(what, unit, measure or counted, quiet=self.quiet))
            yield

    def _client(self) -> Any:
        """A client of the cluster that the options name."""
        distributed = require("distributed", extra="distributed")
        named = {"address": self.scheduler} if self.scheduler else {"scheduler_file": str(self.scheduler_file)}
        try:
            return distributed.Client(**named, timeout="10s")
        except (OSError, ValueError) as err:
            (text,) = named.values()
            raise click.UsageError(f"no scheduler of dask can be reached by {text!r}: {err}") from err

    def say(self, text: str) -> None:
        """Print a line on standard error, unless the run is quiet."""
        if not self.quiet:
            click.echo(text, err=True)


def run_options(command: Command) -> Command:
    """Add the options of where tasks run to a command, which receives them as one `RunOptions` named ``run``."""
    options = (
        click.option("--threads", type=click.IntRange(min=1), help="Number of threads; the default is one per core."),
        click.option("--scheduler", metavar="ADDRESS", help="Address of a dask.distributed scheduler to run on."),
        click.option(
            "--scheduler-file",
            type=click.Path(path_type=Path),
            help="The scheduler's file, which `dask scheduler --scheduler-file FILE` writes, instead of its address.",
        ),
        click.option("--memory", help="Memory for pixels and sums besides the result, such as 4GiB; 1GiB if unset."),
        click.option("--quiet", is_flag=True, help="Say nothing but errors."),
    )
    return packed(command, "run", RunOptions, options)
