"""``xcrater arrays``: pixels of craters' regions, written as a Zarr store that `xcrater.open_arrays` opens."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import click

from xcrater._optional import require
from xcrater.batch.parts import Parts
from xcrater.cli.output import RUN, OutputOptions, output_options, put_in_place, whole
from xcrater.cli.progress import Done, Told
from xcrater.cli.regions import PixelOptions, RegionOptions, pixel_options, region_options
from xcrater.cli.shared import (
    RasterOptions,
    RunOptions,
    TableOptions,
    command_line,
    raster_options,
    run_options,
    table_options,
)
from xcrater.cli.work import WorkOptions, stoppable, work_options
from xcrater.engine.provenance import describe_run
from xcrater.errors import StoreError
from xcrater.options import get_option
from xcrater.pixels.container import CraterArrays, source_of
from xcrater.pixels.layout import read_about
from xcrater.pixels.parts import PixelParts
from xcrater.pixels.store import begin

EXAMPLE = """\b
Example:
  xcrater arrays dem.tif craters.csv --body moon --units km --region rim=1:1.5 --out rims.zarr
"""


@click.command("arrays", epilog=EXAMPLE, short_help="Pixels of craters' regions, as a Zarr store.")
@click.argument("raster")
@click.argument("craters", type=click.Path())
@table_options
@region_options
@output_options("A .zarr store.")
@click.option(
    "--batch", type=click.IntRange(min=1), default=10_000, show_default=True, help="Craters written at a time."
)
@pixel_options(get_option("coverage"))
@raster_options
@run_options
@work_options
def command(
    raster: str,
    craters: str,
    table: TableOptions,
    shapes: RegionOptions,
    output: OutputOptions,
    batch: int,
    pixels: PixelOptions,
    known: RasterOptions,
    run: RunOptions,
    work: WorkOptions,
) -> None:
    """Pixels of RASTER in regions around CRATERS, as a Zarr store that xcrater.open_arrays opens.

    The store grows under a hidden name beside --out and is renamed once it is complete. After an interruption the same
    command continues it. With --work-dir, pixels are kept there and the store is made from them: this takes twice the
    space, but its bytes do not depend on interruptions, and shards can be computed in parallel.
    """
    output.check((".zarr",))
    shapes.check()
    run.check()
    work.check()
    exclude, nodata = pixels.excluded(table), known.missing([""]).get("")
    cdb = table.open(craters)
    regions = shapes.declare(cdb)
    opened = known.open({"": raster}, cdb.body)
    options: dict[str, Any] = {"nodata": nodata, "coverage": pixels.coverage, "exclude": exclude}
    describe = functools.partial(describe_run, opened, cdb, regions, table=craters, command=command_line())
    make = functools.partial(opened[""].craters.get_arrays, cdb, regions, **options)
    if work.work_dir is None:
        partial = output.out.with_name(f".{output.out.name}.partial")
        with run.running("arrays", lambda: _written(partial, len(cdb)), "craters"), stoppable(partial):
            _go_on(make(), partial, batch, output)
        _describe(partial, describe(options))
        put_in_place(partial, output.out)
    else:
        about, told = describe({**options, "batch": batch}), Told()
        with run.running("arrays", told.measure, "groups of craters"):
            pixels_of = PixelParts.of(source_of(make()), batch)
            parts = Parts(len(pixels_of.parts), pixels_of.compute, pixels_of.token, told.tell)
            with (
                work.in_parts("arrays", about, opened, parts, say=run.say) as results,
                whole(output.out, alone=True) as made,
            ):
                store = begin(pixels_of.source, made, made=about["run_id"])
                for number, blocks in enumerate(results):
                    pixels_of.add(store, number, blocks)
                _describe(made, about)
    run.say(f"{output.out}: pixels of {len(cdb)} craters in {', '.join(regions)}")


def _go_on(arrays: CraterArrays, partial: Path, batch: int, output: OutputOptions) -> None:
    """Write a store, or continue one that an interrupted command left."""
    try:
        arrays.to_zarr(partial, batch=batch)
    except StoreError as err:
        if not partial.exists():
            raise
        if not output.overwrite:
            raise click.UsageError(
                f"an earlier command began {str(partial)!r} for this --out, and this one cannot continue it; add "
                f"--overwrite to begin anew, or name another --out ({err})"
            ) from err
        shutil.rmtree(partial)
        arrays.to_zarr(partial, batch=batch)


def _describe(made: Path, about: dict[str, Any]) -> None:
    """Store the description of the run in the store's metadata."""
    require("zarr", extra="zarr").open_group(str(made), mode="r+").update_attributes({RUN: about})


def _written(partial: Path, craters: int) -> Done:
    """How many craters a growing store contains so far."""
    try:
        found = read_about(str(partial))
    except StoreError:
        found = None
    return Done(0 if found is None else found["written"] or 0, craters)
