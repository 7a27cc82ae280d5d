"""``xcrater stats``: statistics of rasters in regions of a crater table, written as a table."""

from __future__ import annotations

import functools
from typing import Any

import click

from xcrater.cli.output import (
    TABLES,
    OutputOptions,
    output_options,
    replace_option,
    with_free_columns,
    write_table,
)
from xcrater.cli.regions import PixelOptions, RegionOptions, pixel_options, region_options
from xcrater.cli.shared import (
    RasterOptions,
    RunOptions,
    TableOptions,
    command_line,
    named_rasters,
    raster_options,
    run_options,
    table_options,
)
from xcrater.cli.work import WorkOptions, work_options
from xcrater.engine.provenance import describe_run
from xcrater.options import get_option

EXAMPLE = """\b
Example:
  xcrater stats dem.tif craters.csv --body moon --units km \\
      --region floor=0.8 --region rim=1:1.5 --stats mean,std,count --out stats.parquet
"""


@click.command("stats", epilog=EXAMPLE, short_help="Statistics of rasters in regions around craters.")
@click.argument("rasters", nargs=-1, required=True, metavar="[NAME=]RASTER...")
@click.argument("craters", type=click.Path())
@table_options
@region_options
@click.option("--stats", default="mean,std,count", show_default=True, help="Names separated by commas.")
@output_options("A .parquet, .csv, .geoparquet or .gpkg file.")
@replace_option
@pixel_options(get_option("coverage"))
@click.option("--weights", type=click.Choice(["area"]), help="Weight pixels by their true area.")
@raster_options
@run_options
@work_options
def command(
    rasters: tuple[str, ...],
    craters: str,
    table: TableOptions,
    shapes: RegionOptions,
    stats: str,
    output: OutputOptions,
    replace: bool,
    pixels: PixelOptions,
    weights: str | None,
    known: RasterOptions,
    run: RunOptions,
    work: WorkOptions,
) -> None:
    """Statistics of rasters in regions around CRATERS, written as a table.

    Each RASTER is a file that GDAL reads, or a pattern (in quotes) or an index of many files of one map. The table is
    written beside --out and renamed when it is complete, so that an interrupted run leaves no partial file.
    """
    output.check(TABLES)
    shapes.check()
    run.check()
    work.check()
    paths, exclude = named_rasters(rasters), pixels.excluded(table)
    nodata = known.missing(list(paths))
    cdb = table.open(craters)
    regions = shapes.declare(cdb)
    opened = known.open(paths, cdb.body)
    options: dict[str, Any] = {
        "stats": [name.strip() for name in stats.split(",")],
        "nodata": nodata,
        "coverage": pixels.coverage,
        "weights": weights,
        "exclude": exclude,
    }
    about = describe_run(opened, cdb, regions, options, table=craters, command=command_line())
    with run.running("stats"), work.keeping("stats", about, opened, say=run.say):
        compute = functools.partial(cdb.get_stats, opened, regions, **options)
        result = with_free_columns(cdb, craters, compute, replace=replace)
    write_table(result, output.out, about, cdb)
    run.say(f"{output.out}: {len(result)} craters, {len(result.columns)} columns")
