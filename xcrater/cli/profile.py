"""``xcrater profile``: radial profiles of craters, written as a long table or a Zarr store."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from xcrater.cli.output import OutputOptions, output_options, write_dataset, write_table
from xcrater.cli.regions import PixelOptions, pixel_options
from xcrater.cli.shared import (
    RasterOptions,
    RunOptions,
    TableOptions,
    command_line,
    raster_options,
    run_options,
    table_options,
)
from xcrater.cli.work import WorkOptions, work_options
from xcrater.engine import graph
from xcrater.engine.provenance import describe_run

EXAMPLE = """\b
Example:
  xcrater profile dem.tif craters.csv --body moon --units km \\
      --edges 20 --outer 3 --stats mean,median --out profiles.parquet
"""

Bounds = int | list[float]


def _bounds(option: str, example: str) -> Callable[[str], Bounds]:
    """Make the parser of a number of equal parts, or of their bounds separated by commas."""

    def read(text: str) -> Bounds:
        try:
            return int(text) if re.fullmatch(r"\d+", text) else [float(part) for part in text.split(",")]
        except ValueError as err:
            raise click.BadParameter(
                f"received {option} {text!r}; expected a number of equal parts, or bounds separated by commas, such as "
                f"{example}"
            ) from err

    return read


@click.command("profile", epilog=EXAMPLE, short_help="Radial profiles of craters.")
@click.argument("raster")
@click.argument("craters", type=click.Path())
@table_options
@click.option(
    "--edges",
    type=_bounds("--edges", "0,0.5,1,2"),
    default="20",
    show_default=True,
    help="Number of equally wide rings, or their bounds in crater radii, such as 0,0.5,1,2.",
)
@click.option(
    "--outer", type=float, help="Outer bound of the last ring if --edges is a number, in crater radii; 2.5 if unset."
)
@click.option(
    "--sectors",
    type=_bounds("--sectors", "0,90,180,270,360"),
    help="Number of equal sectors of azimuth, or their bounds in degrees clockwise from north.",
)
@click.option(
    "--stack",
    type=click.Choice(["craters", "pixels"]),
    help="One profile of all craters: of their statistics, or of all their pixels together.",
)
@click.option("--stats", default="mean", show_default=True, help="Names separated by commas.")
@click.option("--nvert", type=int, default=0, show_default=True, help="Vertices of each circle; 0 for true circles.")
@output_options("A .parquet or .csv file, with one row per crater and ring; or a .zarr store.")
@pixel_options(None)
@click.option("--weights", type=click.Choice(["area"]), help="Weight pixels by their true area.")
@raster_options
@run_options
@work_options
def command(
    raster: str,
    craters: str,
    table: TableOptions,
    stats: str,
    nvert: int,
    output: OutputOptions,
    pixels: PixelOptions,
    weights: str | None,
    known: RasterOptions,
    run: RunOptions,
    work: WorkOptions,
    **rings: Any,
) -> None:
    """Statistics of rings around CRATERS on RASTER, or of sectors of the rings.

    A table has one row per crater, ring and sector: the crater's label and place, the ring's middle r and its bounds in
    crater radii, and the statistics.
    """
    output.check((".parquet", ".csv", ".zarr"))
    run.check()
    work.check()
    exclude, nodata = pixels.excluded(table), known.missing([""]).get("")
    cdb = table.open(craters)
    opened = known.open({"": raster}, cdb.body)
    options: dict[str, Any] = {
        **rings,
        "stack": rings["stack"] or False,
        "stats": [name.strip() for name in stats.split(",")],
        "nvert": nvert or None,
        "coverage": pixels.coverage,
        "weights": weights,
        "nodata": nodata,
        "exclude": exclude,
    }
    about = describe_run(opened, cdb, [], options, table=craters, command=command_line())
    with run.running("profile"), work.keeping("profile", about, opened, say=run.say):
        (result,) = graph.compute(opened[""].craters.radial_profile(cdb, **options))
    result = result.drop_vars("spatial_ref", errors="ignore")
    if output.out.suffix == ".zarr":
        write_dataset(result, output.out, about)
    else:
        write_table(result.to_dataframe().reset_index(), output.out, about, None)
    run.say(f"{output.out}: profiles of {len(cdb)} craters in {result.sizes['r']} rings")
