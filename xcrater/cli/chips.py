"""``xcrater chips``: an image of every crater in its own frame, all of one size, written as a Zarr store."""

from __future__ import annotations

import click

from xcrater.cli.output import OutputOptions, output_options, write_dataset
from xcrater.cli.shared import (
    RasterOptions,
    RunOptions,
    TableOptions,
    command_line,
    raster_options,
    run_options,
    table_options,
)
from xcrater.engine.provenance import describe_run

EXAMPLE = """\b
Example:
  xcrater chips dem.tif craters.csv --body moon --units km --size 64 --extent 1.5 --out chips.zarr
"""


@click.command("chips", epilog=EXAMPLE, short_help="Images of craters, each in its own frame, as a Zarr store.")
@click.argument("raster")
@click.argument("craters", type=click.Path())
@table_options
@click.option("--size", type=int, default=64, show_default=True, help="Pixels along each side of a chip.")
@click.option(
    "--extent", type=float, default=1.5, show_default=True, help="Crater radii from the centre to a chip's edges."
)
@click.option(
    "--method",
    type=click.Choice(["bilinear", "cubic", "nearest"]),
    default="bilinear",
    show_default=True,
    help="How values between pixels are found.",
)
@click.option(
    "--order",
    type=click.Choice(["tiles", "table"]),
    default="tiles",
    show_default=True,
    help="Craters by the raster's chunks, so that each is read a few times only; or as in CRATERS.",
)
@output_options("A .zarr store.")
@raster_options
@run_options
def command(
    raster: str,
    craters: str,
    table: TableOptions,
    size: int,
    extent: float,
    method: str,
    order: str,
    output: OutputOptions,
    known: RasterOptions,
    run: RunOptions,
) -> None:
    """Images of CRATERS resampled from RASTER, all of one size, each in the crater's azimuthal equidistant frame.

    The store holds the variable chips (crater, y, x); xarray.open_zarr opens it, and chips.sel(crater=label) finds one.
    """
    output.check((".zarr",))
    run.check()
    nodata = known.missing([""]).get("")
    cdb = table.open(craters)
    opened = known.open({"": raster}, cdb.body)
    options = {"size": size, "extent": extent, "method": method, "order": order}
    with run.running("chips"):
        chips = opened[""].craters.chips(cdb, size, extent, method=method, order=order, nodata=nodata)
        about = describe_run(opened, cdb, [], {**options, "nodata": nodata}, table=craters, command=command_line())
        write_dataset(chips.drop_vars("spatial_ref", errors="ignore").to_dataset(name="chips"), output.out, about)
    run.say(f"{output.out}: chips of {len(cdb)} craters")
