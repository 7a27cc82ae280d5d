"""``xcrater convert``: a copy of a raster in a layout that is fast to read."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import click

from xcrater.cli.output import RUN, OutputOptions
from xcrater.cli.progress import Told
from xcrater.cli.shared import RunOptions, command_line, run_options
from xcrater.cli.work import stoppable
from xcrater.raster.converting import ENDINGS, SIDE, convert

EXAMPLE = """\b
Example:
  xcrater convert dem.tif dem.zarr
"""


@click.command("convert", epilog=EXAMPLE, short_help="Copy a raster to a layout that is fast to read.")
@click.argument("raster")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option(
    "--chunk",
    type=click.IntRange(min=16),
    default=SIDE,
    show_default=True,
    help="Rows and columns of a chunk of a Zarr store, and of the steps of a conversion.",
)
@run_options
def command(raster: str, out: Path, overwrite: bool, chunk: int, run: RunOptions) -> None:
    """Copy RASTER to OUT: a cloud-optimised GeoTIFF (.tif) with overviews, or a Zarr store (.zarr).

    RASTER is a file that GDAL reads, or a pattern (in quotes) or an index of many files of one map. Stored numbers,
    nodata, scale and offset are preserved. The copy grows in a hidden directory beside OUT and is renamed once it is
    complete. After an interruption the same command continues with the next row of chunks; only the last step of a
    GeoTIFF, which makes overviews and joins the parts, is repeated in full.
    """
    OutputOptions(out, overwrite).check(ENDINGS, "OUT")
    run.check()
    folder = out.with_name(f".{out.name}.partial")
    told = Told()
    about = {"xcrater": importlib.metadata.version("xcrater"), "command": command_line()}
    with run.running("convert", told.measure, "rows of chunks", compiles=False), stoppable(folder):
        convert(raster, out, folder, side=chunk, report=told.tell, about={RUN: json.dumps(about)})
    run.say(f"{out}: a copy of {raster}")
