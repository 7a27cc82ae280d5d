"""``xcrater chips``: an image of every crater in its own frame, all of one size, written as a Zarr store."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import dask.array
import xarray as xr

from xcrater._optional import require
from xcrater.batch.parts import Parts
from xcrater.cli.output import RUN, OutputOptions, output_options, whole
from xcrater.cli.progress import Told
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
from xcrater.options import get_option
from xcrater.pixels.chips import groups_of_chips

EXAMPLE = """\b
Example:
  xcrater chips dem.tif craters.csv --body moon --units km --size 64 --extent 1.5 --out chips.zarr
"""

CHUNK = 2**21
"""Pixels of a chunk of the store."""

TOGETHER = 5_000
"""Largest number of chips made together, which is also what an interruption can lose."""


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
    help="How values between pixels are interpolated.",
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
@work_options
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
    work: WorkOptions,
) -> None:
    """Images of CRATERS resampled from RASTER, all of one size, each in the crater's azimuthal equidistant frame.

    The store holds the variable chips (crater, y, x); xarray.open_zarr opens it, and chips.sel(crater=label) finds one.
    It grows under a hidden name beside --out. With --work-dir, chips are kept there and the store is made from them.
    """
    output.check((".zarr",))
    run.check()
    work.check()
    nodata = known.missing([""]).get("")
    cdb = table.open(craters)
    opened = known.open({"": raster}, cdb.body)
    options = {"size": size, "extent": extent, "method": method, "order": order}
    told = Told()
    with run.running("chips", told.measure, "groups of craters"):
        chips = opened[""].craters.chips(cdb, size, extent, method=method, order=order, nodata=nodata)
        chips = chips.drop_vars("spatial_ref", errors="ignore").rename("chips")
        about = describe_run(opened, cdb, [], {**options, "nodata": nodata}, table=craters, command=command_line())
        bounds = groups_of_chips(chips, get_option("memory") // 8, TOGETHER)
        parts = Parts(len(bounds), _computed(chips, bounds), graph.token(chips.data.name, bounds), told.tell)
        with (
            work.in_parts("chips", about, opened, parts, say=run.say) as results,
            whole(output.out, alone=work.work_dir is not None) as made,
        ):
            stored = _begin(chips, made, about)
            for (start, stop), (values,) in zip(bounds, results, strict=True):
                stored[..., start:stop, :, :] = values
    run.say(f"{output.out}: chips of {len(cdb)} craters")


def _computed(chips: xr.DataArray, bounds: list[tuple[int, int]]) -> Callable[[int], list[Any]]:
    """Make the function that computes the chips of a group."""
    return lambda number: list(graph.compute(chips.data[..., slice(*bounds[number]), :, :]))


def _begin(chips: xr.DataArray, made: Path, about: dict[str, Any]) -> Any:
    """Create the store of chips without their pixels, and return the Zarr array that takes them."""
    *lead, count, rows, columns = chips.shape
    each = max(1, min(count, CHUNK // (math.prod(lead) * rows * columns)))
    empty = dask.array.zeros(chips.shape, chips.dtype, chunks=(*lead, each, rows, columns))
    dataset = chips.copy(data=empty).to_dataset().assign_attrs({RUN: about})
    dataset.to_zarr(made, mode="w", consolidated=False, zarr_format=3, compute=False)
    return require("zarr", extra="zarr").open_group(str(made), mode="r+")["chips"]
