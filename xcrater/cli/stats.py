"""``xcrater stats``: statistics of a raster in regions of a crater table, written as a table."""

from __future__ import annotations

import functools
import os
import re
from typing import NamedTuple

import click

from xcrater._optional import require
from xcrater.cli.shared import (
    OutputOptions,
    RasterOptions,
    RunOptions,
    TableOptions,
    check_directory,
    output_options,
    raster_options,
    run_options,
    table_options,
)
from xcrater.errors import ColumnExistsError
from xcrater.options import COVERAGES, get_option
from xcrater.raster.mosaic import open_mosaic


class Ring(NamedTuple):
    """A region as the command line declares it: bounds in crater radii, or in units of the fitted ellipse."""

    name: str
    inner: float
    outer: float
    ellipse: bool = False


def _ring(text: str, option: str) -> Ring:
    """The region that NAME=OUTER or NAME=INNER:OUTER declares."""
    number = r"([-+0-9.eE]+)"
    match = re.fullmatch(rf"([^=]+)=(?:{number}:)?{number}", text)
    try:
        if match is None:
            raise ValueError
        return Ring(match[1], float(match[2] or 0.0), float(match[3]), option == "--ellipse")
    except ValueError as err:
        raise click.BadParameter(
            f"received {option} {text!r}; expected NAME=INNER:OUTER in crater radii, such as rim=1:1.5"
        ) from err


def _region(text: str) -> Ring:
    return _ring(text, "--region")


def _ellipse(text: str) -> Ring:
    return _ring(text, "--ellipse")


@click.command("stats")
@click.argument("raster")
@click.argument("craters", type=click.Path())
@table_options
@click.option(
    "--region",
    "regions",
    type=_region,
    metavar="NAME=INNER:OUTER",
    multiple=True,
    help="A ring by its bounds in crater radii, such as rim=1:1.5, or a disc, such as floor=0.8; may be repeated.",
)
@click.option(
    "--ellipse",
    "ellipses",
    type=_ellipse,
    metavar="NAME=INNER:OUTER",
    multiple=True,
    help="The same in units of the ellipse that the table fits to each rim; always true curves; may be repeated.",
)
@click.option("--stats", default="mean,std,count", show_default=True, help="Names separated by commas.")
@output_options
@click.option(
    "--coverage",
    type=click.Choice(COVERAGES),
    default=get_option("coverage"),
    show_default=True,
    help="Which pixels belong to a region.",
)
@click.option("--weights", type=click.Choice(["area"]), help="Weigh pixels by their true area.")
@click.option(
    "--nvert",
    type=int,
    default=get_option("nvert") or 0,
    show_default=True,
    help="Number of vertices of the polygon that stands for each circle; 0 for true circles.",
)
@raster_options
@run_options
def command(
    raster: str,
    craters: str,
    table: TableOptions,
    regions: tuple[Ring, ...],
    ellipses: tuple[Ring, ...],
    stats: str,
    output: OutputOptions,
    coverage: str,
    weights: str | None,
    nvert: int,
    known: RasterOptions,
    run: RunOptions,
) -> None:
    """Statistics of RASTER in regions around CRATERS, written as a table.

    The table is written to a temporary file beside --out and renamed, so an interrupted run leaves no half file.
    """
    out = output.out
    if out.suffix not in (".parquet", ".csv"):
        raise click.UsageError(f"received --out {str(out)!r}; expected a name ending in .parquet or .csv")
    check_directory(out, "--out")
    rings = (*regions, *ellipses)
    if not rings:
        raise click.UsageError("received no region; expected --region or --ellipse, such as --region rim=1:1.5")
    if out.suffix == ".parquet":
        require("pyarrow", extra="parquet")
    cdb = table.open(craters)
    for ring in rings:
        if ring.ellipse:
            cdb.add_ellipses(ring.name, ring.inner, ring.outer)
        else:
            cdb.add_annuli(ring.name, ring.inner, ring.outer, nvert=nvert or None)
    compute = functools.partial(
        cdb.get_stats,
        open_mosaic(raster, body=cdb.body) if known.trust_body else raster,
        [ring.name for ring in rings],
        [name.strip() for name in stats.split(",")],
        nodata=known.nodata,
        coverage=coverage,
        weights=weights,
    )
    with run.running():
        try:
            result = compute()
        except ColumnExistsError as err:  # found before anything is computed
            columns = ", ".join(map(repr, err.columns))
            if not output.replace:
                raise click.UsageError(
                    f"{craters!r} has columns already that results have the names of: {columns}. Add --replace to "
                    "replace them, or give the regions other names"
                ) from err
            cdb.data = cdb.data.drop(columns=err.columns)
            result = compute()
    partial = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        if out.suffix == ".csv":
            result.to_csv(partial, index=False)
        else:
            result.to_parquet(partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    if not run.quiet:
        click.echo(f"{out}: {len(result)} craters, {len(result.columns)} columns", err=True)
