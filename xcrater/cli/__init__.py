"""The command line: ``xcrater demo``, ``xcrater stats``, ``xcrater info``."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

import xcrater
from xcrater import CraterDatabase, tutorial
from xcrater.errors import XcraterError
from xcrater.geometry.grid import Grid
from xcrater.raster.mosaic import open_mosaic
from xcrater.raster.reading import Raster, read_raster


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(xcrater.__version__, prog_name="xcrater")
def cli() -> None:
    """Impact-crater science on rasters larger than memory."""


def main() -> None:
    """Run the command line; bad input is answered with one line and exit code 2."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("xcrater: interrupted", err=True)
        code = 130
    except click.ClickException as err:
        click.echo(f"xcrater: {_one_line(err.format_message())}", err=True)
        code = 2
    except (XcraterError, OSError, ImportError) as err:
        click.echo(f"xcrater: {_one_line(str(err))}", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _one_line(message: str) -> str:
    return " ".join(message.split())


class _Region(click.ParamType):
    """NAME=OUTER or NAME=INNER:OUTER, in crater radii."""

    name = "name=inner:outer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = r"([-+0-9.eE]+)"
        match = re.fullmatch(rf"([^=]+)=(?:{number}:)?{number}", value)
        try:
            if match is None:
                raise ValueError
            return match[1], float(match[2] or 0.0), float(match[3])
        except ValueError:
            self.fail(f"received --region {value!r}; expected NAME=INNER:OUTER in crater radii, such as rim=1:1.5")


@contextlib.contextmanager
def _scheduler(threads: int | None, address: str | None, quiet: bool) -> Iterator[None]:
    """Where tasks run, with a progress bar on standard error."""
    import dask

    if address is not None:
        from xcrater._optional import require

        with require("distributed", extra="distributed").Client(address, timeout="10s"):
            yield
        return
    from dask.diagnostics.progress import ProgressBar

    bar = contextlib.nullcontext() if quiet or not sys.stderr.isatty() else ProgressBar(out=sys.stderr)
    settings = {"scheduler": "threads", **({} if threads is None else {"num_workers": threads})}
    with dask.config.set(settings), bar:
        yield


@cli.command()
@click.argument("raster")
@click.argument("craters", type=click.Path())
@click.option("--body", required=True, help="Planetary body, such as moon.")
@click.option("--units", type=click.Choice(["m", "km"]), default="m", show_default=True, help="Of radius or diameter.")
@click.option(
    "--region",
    "regions",
    type=_Region(),
    multiple=True,
    required=True,
    help="NAME=INNER:OUTER in crater radii; may be repeated.",
)
@click.option("--stats", default="mean,std,count", show_default=True, help="Names separated by commas.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@click.option(
    "--coverage", type=click.Choice(["all_touched", "center", "exact"]), default="all_touched", show_default=True
)
@click.option("--weights", type=click.Choice(["area"]), help="Weigh pixels by their true area.")
@click.option(
    "--nvert", type=int, default=32, show_default=True, help="Vertices of each circle's polygon; 0 for true circles."
)
@click.option("--nodata", type=float, help="Stored number that stands for no value, instead of the file's own.")
@click.option("--input-crs", default="default", show_default=True, help="Coordinate system of the table.")
@click.option("--lat-col", help="Latitude column.")
@click.option("--lon-col", help="Longitude column.")
@click.option("--rad-col", help="Radius column.")
@click.option("--diam-col", help="Diameter column.")
@click.option("--drop-bad-rows", is_flag=True, help="Leave out rows that cannot be used, instead of stopping.")
@click.option("--threads", type=click.IntRange(min=1), help="Number of threads; the default is one per core.")
@click.option("--scheduler", help="Address of a dask.distributed scheduler to run on.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def stats(
    raster: str,
    craters: str,
    body: str,
    units: str,
    regions: tuple[tuple[str, float, float], ...],
    stats: str,
    out: Path,
    coverage: str,
    weights: str | None,
    nvert: int,
    nodata: float | None,
    input_crs: str,
    lat_col: str | None,
    lon_col: str | None,
    rad_col: str | None,
    diam_col: str | None,
    drop_bad_rows: bool,
    threads: int | None,
    scheduler: str | None,
    quiet: bool,
) -> None:
    """Statistics of RASTER in regions around CRATERS, written as a table.

    The table is written to a temporary file beside --out and renamed, so an interrupted run leaves no half file.
    """
    if out.suffix not in (".parquet", ".csv"):
        raise click.UsageError(f"received --out {str(out)!r}; expected a name ending in .parquet or .csv")
    if not out.parent.is_dir():
        raise click.UsageError(f"the directory of --out {str(out)!r} does not exist; create it first")
    if out.suffix == ".parquet":
        from xcrater._optional import require

        require("pyarrow", extra="parquet")
    cdb = CraterDatabase(
        craters,
        body,
        input_crs,
        units,
        lat_col=lat_col,
        lon_col=lon_col,
        rad_col=rad_col,
        diam_col=diam_col,
        errors="drop" if drop_bad_rows else "raise",
    )
    for name, inner, outer in regions:
        cdb.add_annuli(name, inner, outer, nvert=nvert or None)
    with _scheduler(threads, scheduler, quiet):
        table = cdb.get_stats(
            raster,
            [name for name, _, _ in regions],
            [name.strip() for name in stats.split(",")],
            nodata=nodata,
            coverage=coverage,
            weights=weights,
        )
    partial = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        if out.suffix == ".csv":
            table.to_csv(partial, index=False)
        else:
            table.to_parquet(partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    if not quiet:
        click.echo(f"{out}: {len(table)} craters, {len(table.columns)} columns", err=True)


@cli.command()
@click.argument("raster")
def info(raster: str) -> None:
    """Grid, body, chunks and nodata of RASTER as xcrater reads them."""
    from xcrater.geometry.bodies import body_of_crs

    da = open_mosaic(raster)
    read = read_raster(da)
    grid = read.grid
    body = body_of_crs(da.rio.crs)
    placed = _lonlat_extent(grid) if grid.closed else _plane_extent(read)
    chunks = f"{len(grid.row_edges) - 1} x {len(grid.col_edges) - 1}"
    stored = "value = stored number"
    if read.decodes:
        stored = f"value = stored number * {read.scale:g}" + (f" + {read.offset:g}" if read.offset else "")
    rows = {
        "pixels": f"{grid.shape[1]} x {grid.shape[0]} {da.dtype}, {da.nbytes / 1e6:.4g} MB",
        "bands": " x ".join(f"{d} {da.sizes[d]}" for d in read.extra_dims) or "1",
        "CRS": da.rio.crs.to_string() if len(da.rio.crs.to_string()) < 60 else da.rio.crs.to_wkt().split('"')[1],
        "body": "unknown" if body is None else f"{body.name} (radius {body.radius:g} m)",
        **placed,
        "wraps": "yes, once round the body" if grid.wraps else "no",
        "chunks": f"{chunks} of up to {da.chunks[-1][0] if da.chunks else 0} x {da.chunks[-2][0] if da.chunks else 0}",
        "nodata": "none declared" if read.nodata is None else f"{read.nodata:g}",
        "values": stored,
    }
    for name, text in rows.items():
        click.echo(f"{name:<11}{text}")


def _lonlat_extent(grid: Grid) -> dict[str, str]:
    north, south = sorted((grid.lat_origin, grid.lat_origin + grid.shape[0] * grid.lat_step), reverse=True)
    west, east = sorted((grid.lon_origin, grid.lon_origin + grid.shape[1] * grid.lon_step))
    return {
        "longitude": f"{west:g} to {east:g} degrees east",
        "latitude": f"{south:g} to {north:g} degrees, rows from {'north' if grid.lat_step < 0 else 'south'}",
        "resolution": f"{1 / abs(grid.lat_step):g} pixels per degree",
    }


def _plane_extent(raster: Raster) -> dict[str, str]:
    """The same of a grid whose rows and columns are not linear in longitude and latitude, or on an oblate body."""
    a, _, c, _, e, f = raster.surface[1]
    rows, columns = raster.grid.shape
    (left, right), (low, high) = sorted((c, c + a * columns)), sorted((f, f + e * rows))
    return {
        "x": f"{left:.10g} to {right:.10g} in units of the CRS",
        "y": f"{low:.10g} to {high:.10g}, rows from {'the top' if e < 0 else 'the bottom'}",
        "resolution": f"{abs(a):g} x {abs(e):g} per pixel",
    }


@cli.command()
@click.option(
    "--real", is_flag=True, help="The documented example on the real lunar mosaic instead of a synthetic one."
)
@click.option("--ppd", type=float, default=32.0, show_default=True, help="Pixels per degree of the synthetic mosaic.")
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    default=Path("xcrater_demo.png"),
    show_default=True,
    help="Where to write the figure.",
)
def demo(real: bool, ppd: float, figure: Path) -> None:
    """Regions, statistics and pixel arrays of craters, on a synthetic Moon whose true values are known."""
    if not figure.parent.is_dir():
        raise click.UsageError(f"the directory of --figure {str(figure)!r} does not exist; create it first")
    with pd.option_context("display.width", 120, "display.max_columns", 20):
        if real:
            _real_demo(figure)
        else:
            _synthetic_demo(ppd, figure)


def _synthetic_demo(ppd: float, figure: Path) -> None:
    try:
        cdb = tutorial.synthetic_craters("moon", 400)
        dem = tutorial.synthetic_mosaic("moon", ppd=ppd, craters=cdb)
    except ValueError as err:
        raise click.UsageError(str(err)) from err
    regions = {"floor": (0.0, 0.8), "rim": (1.0, 1.5), "ejecta": (1.0, 3.0)}
    for name, (inner, outer) in regions.items():
        cdb.add_annuli(name, inner, outer, nvert=None)
    click.echo(
        f"A synthetic Moon of {dem.sizes['x']} x {dem.sizes['y']} pixels in {dem.data.npartitions} chunks, "
        f"made as it is read; {len(cdb)} craters, regions {', '.join(regions)}."
    )
    start = time.perf_counter()
    with _scheduler(None, None, quiet=False):
        table = dem.craters.get_stats(cdb, list(regions), coverage="center").compute()
    seconds = time.perf_counter() - start
    visited = int(table["count"].sum())
    click.echo(f"{len(cdb) * len(regions)} regions, {visited:,} pixels, {seconds:.1f} s\n")
    shown = pd.DataFrame(
        {"diameter_km": cdb.rad.to_numpy() / 500, "lat": cdb.lat.to_numpy(), "lon": cdb.lon.to_numpy()}
    )
    worst = {}
    for name, (inner, outer) in regions.items():
        truth = np.array([tutorial.crater_mean(inner, outer, radius) for radius in cdb.rad])
        mean = table["mean"].sel(region=name).to_numpy()
        depth = 2 * tutorial.DEPTH_TO_DIAMETER * cdb.rad.to_numpy()
        shown[f"{name}_mean"], shown[f"{name}_true"] = mean.round(1), truth.round(1)
        worst[name] = float(np.abs(mean - truth).max()), float((np.abs(mean - truth) / depth).max())
    click.echo(shown.round(2).head(8).to_string(index=False))
    click.echo("\nMean elevation in metres against the shape that was stamped in; largest difference:")
    for name, (metres, share) in worst.items():
        click.echo(f"  {name:<7}{metres:7.1f} m, {share:.2%} of the crater's depth")
    click.echo("(the terrain under the craters, 20 m rough, and the pixel size make the difference)\n")

    rims = dem.craters.get_arrays(cdb, "rim", coverage="center")
    roi = rims["rim"].iloc[0].compute()
    click.echo(
        f"{rims!r}\nthe first one: {type(roi).__name__}, shape {roi.shape}, {roi.dtype}, {roi.count()} valid pixels"
    )
    _draw(dem, cdb, list(regions), range(4), figure)


def _real_demo(figure: Path) -> None:
    from xcrater import sample_data

    cdb = CraterDatabase(sample_data["moon_craters_km.csv"], "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    click.echo(repr(cdb))
    start = time.perf_counter()
    table = cdb.get_stats(sample_data["moon.tif"], "rim")
    click.echo(f"{time.perf_counter() - start:.2f} s for mean, std and count\n{table.head()}\n")
    arrays = cdb.get_arrays(sample_data["moon.tif"], "rim")
    roi = arrays["rim"].iloc[0]
    click.echo(f"first pixel array: {type(roi).__name__}, shape {roi.shape}, {roi.dtype}")
    percentiles = arrays["rim"].apply(lambda a: np.percentile(a.compressed(), 90))
    click.echo(f"90th percentiles of the first five: {percentiles.head().tolist()}")
    _draw(open_mosaic(sample_data["moon.tif"]), cdb, ["rim"], range(5), figure)


def _draw(da: Any, cdb: CraterDatabase, regions: list[str], craters: range, figure: Path) -> None:
    try:
        from xcrater.display.plots import roi_panels

        panels = roi_panels(da, cdb, regions, craters)
    except ImportError as err:
        click.echo(f"no figure: {_one_line(str(err))}")
        return
    panels.savefig(figure)
    click.echo(f"figure: {figure}")
