"""``xcrater demo``: regions, statistics and pixel arrays, on synthetic or real data."""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
import pandas as pd
import xarray as xr

from xcrater import CraterDatabase, open_mosaic, sample_data, tutorial
from xcrater.cli.output import check_directory
from xcrater.cli.shared import RunOptions, one_line
from xcrater.display.plots import roi_panels

EXAMPLE = """\b
Example:
  xcrater demo --ppd 8
"""


@click.command("demo", epilog=EXAMPLE, short_help="Regions, statistics and pixels of a synthetic Moon.")
@click.option(
    "--real", is_flag=True, help="The documented example on the real lunar mosaic instead of a synthetic one."
)
@click.option("--ppd", type=float, default=16.0, show_default=True, help="Pixels per degree of the synthetic mosaic.")
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    default=Path("xcrater_demo.png"),
    show_default=True,
    help="Where to write the figure.",
)
def command(real: bool, ppd: float, figure: Path) -> None:
    """Regions, statistics and pixel arrays of craters, on a synthetic Moon whose true values are known."""
    check_directory(figure, "--figure")
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
    lazy = dem.craters.get_stats(cdb, list(regions), coverage="center")
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        with RunOptions(None, None, None, None, quiet=False).running("demo"):
            table = lazy.compute()
        seconds.append(time.perf_counter() - start)
    visited = int(table["count"].sum())
    click.echo(
        f"{len(cdb) * len(regions)} regions, {visited:,} pixels: {seconds[0]:.1f} s, "
        f"and {seconds[1]:.1f} s when they are computed again, most of it to make the terrain\n"
    )
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


def _draw(da: xr.DataArray, cdb: CraterDatabase, regions: list[str], craters: range, figure: Path) -> None:
    try:
        panels = roi_panels(da, cdb, regions, craters)
    except ImportError as err:
        click.echo(f"no figure: {one_line(str(err))}")
        return
    panels.savefig(figure)
    click.echo(f"figure: {figure}")
