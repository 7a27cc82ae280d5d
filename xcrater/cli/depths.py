"""``xcrater depths``: depths, rim heights and wall slopes of craters on an elevation model, written as a table."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from xcrater import frames
from xcrater.cli.output import (
    TABLES,
    OutputOptions,
    output_options,
    replace_option,
    with_free_columns,
    write_table,
)
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
from xcrater.engine.provenance import describe_run

EXAMPLE = """\b
Example:
  xcrater depths dem.tif craters.csv --body moon --units km \\
      --floor 0:0.4 --background 5:5.5 --out depths.csv
"""


def _bounds(option: str) -> Callable[[str], tuple[float, float]]:
    """Make the parser of a zone's limits, INNER:OUTER."""

    def read(text: str) -> tuple[float, float]:
        match = re.fullmatch(r"([-+0-9.eE]+):([-+0-9.eE]+)", text)
        try:
            if match is None:
                raise ValueError
            return float(match[1]), float(match[2])
        except ValueError as err:
            raise click.BadParameter(
                f"received {option} {text!r}; expected INNER:OUTER in crater radii, such as 0.7:0.9"
            ) from err

    return read


def _zone(option: str, default: str | None, help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    shown = default is not None
    return click.option(
        option, type=_bounds(option), metavar="INNER:OUTER", default=default, show_default=shown, help=help
    )


@click.command("depths", epilog=EXAMPLE, short_help="Depths, rim heights and wall slopes of craters.")
@click.argument("raster")
@click.argument("craters", type=click.Path())
@table_options
@_zone("--rim", "0.99:1.01", "Limits of the rim, in crater radii.")
@_zone("--floor", "0:0.4", "Limits of the floor.")
@_zone("--wall", "0.7:0.9", "Limits of the wall.")
@_zone("--background", None, "Limits of the surroundings above which the rim's height is measured.")
@click.option(
    "--percentiles",
    type=click.FloatRange(0, 100),
    nargs=2,
    metavar="RIM FLOOR",
    help="Measure at a percentile of the rim's pixels and one of the floor's, such as 60 3, instead of their means.",
)
@click.option("--detrend", is_flag=True, help="Subtract the plane that fits the pixels at 2 to 3 radii.")
@output_options("A .parquet, .csv, .geoparquet or .gpkg file.")
@replace_option
@pixel_options("exact")
@click.option("--weights", type=click.Choice(["area"]), help="Weight pixels by their true area.")
@raster_options
@run_options
@work_options
def command(
    raster: str,
    craters: str,
    table: TableOptions,
    percentiles: tuple[float, float] | None,
    detrend: bool,
    output: OutputOptions,
    replace: bool,
    pixels: PixelOptions,
    weights: str | None,
    known: RasterOptions,
    run: RunOptions,
    work: WorkOptions,
    **zones: tuple[float, float] | None,
) -> None:
    """Depth, rim height, depth over diameter and wall slope of CRATERS on the elevation model RASTER.

    Each result has its standard error, and each zone its number of pixels. Zones are bounded by true circles.
    """
    output.check(TABLES)
    run.check()
    work.check()
    exclude, nodata = pixels.excluded(table), known.missing([""]).get("")
    cdb = table.open(craters)
    opened = known.open({"": raster}, cdb.body)
    options: dict[str, Any] = {
        **zones,
        **({} if percentiles is None else {"method": "percentile", "percentiles": percentiles}),
        "detrend": "plane" if detrend else None,
        "coverage": pixels.coverage,
        "weights": weights,
        "nodata": nodata,
        "exclude": exclude,
    }
    about = describe_run(opened, cdb, [], options, table=craters, command=command_line())
    with run.running("depths"), work.keeping("depths", about, opened, say=run.say):
        lazy = opened[""].craters.depths(cdb, **options)
        result = with_free_columns(cdb, craters, lambda: frames.measures_frame(cdb, lazy), replace=replace)
    write_table(result, output.out, about, cdb)
    run.say(f"{output.out}: {len(result)} craters, {len(result.columns)} columns")
