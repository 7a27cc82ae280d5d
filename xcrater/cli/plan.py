"""``xcrater plan``: what statistics and arrays would read, give and hold in memory, and how long they would take."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import click
import dask
import numpy as np
import xarray as xr

from xcrater import CraterDatabase
from xcrater.cli.regions import PixelOptions, RegionOptions, pixel_options, region_options
from xcrater.cli.shared import (
    RasterOptions,
    RunOptions,
    TableOptions,
    raster_options,
    run_options,
    table_options,
)
from xcrater.display.plan import CraterPlan
from xcrater.engine.plan import Tile
from xcrater.engine.request import make_request
from xcrater.errors import NoOverlapWarning
from xcrater.options import get_option

EXAMPLE = """\b
Example:
  xcrater plan dem.tif craters.csv --body moon --units km --region rim=1:1.5 --stats mean,median
"""

SAMPLES = 3
"""Number of tiles that the calibration measures."""


@click.command("plan", epilog=EXAMPLE, short_help="Estimate what a run would read, hold in memory and take.")
@click.argument("raster")
@click.argument("craters", type=click.Path())
@table_options
@region_options
@click.option("--stats", default="mean,std,count", show_default=True, help="Names separated by commas.")
@pixel_options(get_option("coverage"))
@raster_options
@run_options
@click.option("--calibrate/--no-calibrate", default=True, help="Time the statistics on a few tiles.")
def command(
    raster: str,
    craters: str,
    table: TableOptions,
    shapes: RegionOptions,
    stats: str,
    pixels: PixelOptions,
    known: RasterOptions,
    run: RunOptions,
    calibrate: bool,
) -> None:
    """Estimate what statistics and pixels of RASTER in regions around CRATERS would read, return and hold in memory.

    Nothing is written, and nothing is read except a few tiles on which the statistics are timed.
    """
    shapes.check()
    run.check()
    exclude, nodata = pixels.excluded(table), known.missing([""]).get("")
    cdb = table.open(craters)
    regions = shapes.declare(cdb)
    (da,) = known.open({"": raster}, cdb.body).values()
    names = [name.strip() for name in stats.split(",")]
    with run._replace(quiet=True).running("plan"):
        plan = da.craters.plan(cdb, regions, names, coverage=pixels.coverage, nodata=nodata, exclude=exclude)
        click.echo(repr(plan))
        if not calibrate or plan.tiles.empty:
            return
        request = make_request(da, cdb, regions, coverage=pixels.coverage, nodata=nodata)
        chosen = set(_spread(plan))
        tiles = [tile for n, tile in enumerate(request.plan()) if n in chosen]
        # Neighbours of a tile's craters may lie outside the tile, so they come from the whole table.
        near = None if exclude is None else replace(exclude, of=cdb if exclude.of is None else exclude.of)
        asked = {"coverage": pixels.coverage, "nodata": nodata, "exclude": near}
        measured = [_measure(request.da, cdb, tile, regions, names, asked) for tile in [tiles[0], *tiles]][
            1:
        ]  # the first one loads the kernels
        threads = run.threads or dask.system.CPU_COUNT
    seconds = _estimate(plan, measured) / min(threads, len(plan.tiles))
    click.echo(
        f"  Time            about {_duration(seconds)} for the statistics on {threads} threads of this machine, "
        f"measured on {len(measured)} tile{'s' if len(measured) > 1 else ''}"
    )


class Measured(NamedTuple):
    """One timed tile: its bytes and craters, and the seconds spent reading it and summing its pixels."""

    bytes: int
    craters: int
    reading: float
    summing: float


def _spread(plan: CraterPlan) -> list[int]:
    """Positions of a few tiles, from the one with the fewest craters to the one with the most."""
    order = np.argsort(plan.tiles["craters"].to_numpy(), kind="stable")
    return sorted({int(order[n]) for n in np.linspace(0, len(order) - 1, SAMPLES).round().astype(int)})


def _measure(
    da: xr.DataArray,
    cdb: CraterDatabase,
    tile: Tile,
    regions: Sequence[str],
    stats: Sequence[str],
    asked: Mapping[str, Any],
) -> Measured:
    """Read one tile and sum its pixels, on one thread."""
    top, bottom, left, right = tile.window
    part = da[..., top:bottom, left:right]
    with dask.config.set(scheduler="synchronous"), warnings.catch_warnings():
        warnings.simplefilter("ignore", NoOverlapWarning)
        start = time.perf_counter()
        block = part.compute()
        reading = time.perf_counter() - start
        start = time.perf_counter()
        block.craters.get_stats(cdb.iloc[np.unique(tile.craters.row)], regions, stats, **asked).compute()
        summing = time.perf_counter() - start
    return Measured(block.nbytes, len(tile.craters), reading, summing)


def _estimate(plan: CraterPlan, measured: Sequence[Measured]) -> float:
    """Estimate seconds on one thread, scaling reading by bytes and summing by craters and bytes of the timed tiles."""
    total_bytes, total_craters = plan.bytes_read, int(plan.tiles["craters"].sum())
    reading = sum(m.reading for m in measured) / max(1, sum(m.bytes for m in measured)) * total_bytes
    summing = sum(m.summing for m in measured) / max(1, sum(m.craters for m in measured)) * total_craters
    return plan.statistics.rounds * reading + summing


def _duration(seconds: float) -> str:
    """A duration in words."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
