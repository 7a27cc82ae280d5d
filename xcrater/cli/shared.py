"""What several commands need: the options of a crater table, where tasks run, checks of output paths."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import dask
from dask.diagnostics.progress import ProgressBar

from xcrater import CraterDatabase
from xcrater._optional import require


def one_line(message: str) -> str:
    """A message on one line, as standard error shows it."""
    return " ".join(message.split())


def check_directory(path: Path, option: str) -> None:
    """Refuse an output path whose directory does not exist, before anything is computed."""
    if not path.parent.is_dir():
        raise click.UsageError(f"the directory of {option} {str(path)!r} does not exist; create it first")


class TableOptions(NamedTuple):
    """How a crater table is to be read: the arguments of `CraterDatabase` that the command line offers."""

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


def table_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a crater table, and pass them to it as one `TableOptions` named ``table``."""
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
    return _packed(command, "table", TableOptions, options)


class RasterOptions(NamedTuple):
    """What the command line says of a raster that its file does not."""

    nodata: float | None
    trust_body: bool


def raster_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command options of its raster, and pass them to it as one `RasterOptions` named ``known``."""
    options = (
        click.option("--nodata", type=float, help="Stored number that stands for no value, instead of the file's own."),
        click.option(
            "--trust-body",
            is_flag=True,
            help="Take the raster to show the table's body on a sphere of its own, where its CRS has another.",
        ),
    )
    return _packed(command, "known", RasterOptions, options)


class RunOptions(NamedTuple):
    """Where tasks run, and whether anything is said meanwhile."""

    threads: int | None
    scheduler: str | None
    quiet: bool

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run what is computed in a ``with`` block as asked, with a progress bar on standard error if it is a terminal.

        Tasks run on the cluster at the address `scheduler`, if there is one, or else on `threads` threads.
        """
        if self.scheduler is not None:
            with require("distributed", extra="distributed").Client(self.scheduler, timeout="10s"):
                yield
            return
        silent = self.quiet or not sys.stderr.isatty()
        bar: Any = contextlib.nullcontext() if silent else ProgressBar(out=sys.stderr)  # type: ignore[no-untyped-call]
        settings = {"scheduler": "threads", **({} if self.threads is None else {"num_workers": self.threads})}
        with dask.config.set(settings), bar:
            yield


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of where its tasks run, and pass them to it as one `RunOptions` named ``run``."""
    options = (
        click.option("--threads", type=click.IntRange(min=1), help="Number of threads; the default is one per core."),
        click.option("--scheduler", help="Address of a dask.distributed scheduler to run on."),
        click.option("--quiet", is_flag=True, help="Show no progress bar."),
    )
    return _packed(command, "run", RunOptions, options)


class OutputOptions(NamedTuple):
    """Where a table of results goes, and what of the table that it is made of it may replace."""

    out: Path
    replace: bool


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of its result, and pass them to it as one `OutputOptions` named ``output``."""
    options = (
        click.option("--out", required=True, type=click.Path(path_type=Path), help="A .parquet or .csv file."),
        click.option("--replace", is_flag=True, help="Replace columns of CRATERS that have the names of results."),
    )
    return _packed(command, "output", OutputOptions, options)


def _packed(
    command: Callable[..., None],
    name: str,
    record: Any,
    options: tuple[Callable[[Callable[..., None]], Callable[..., None]], ...],
) -> Callable[..., None]:
    """A command with more options, whose values it receives as one record under a name."""

    @functools.wraps(command)
    def packed(**values: Any) -> None:
        command(**{name: record(**{field: values.pop(field) for field in record._fields})}, **values)

    for option in reversed(options):
        packed = option(packed)
    return packed
