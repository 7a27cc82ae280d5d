"""``xcrater info``: how xcrater reads a raster."""

from __future__ import annotations

import click

from xcrater import open_mosaic
from xcrater.geometry.bodies import body_of_crs
from xcrater.geometry.grid import Grid
from xcrater.raster.declared import prepare
from xcrater.raster.reading import Raster, read_raster

EXAMPLE = """\b
Example:
  xcrater info dem.tif
"""


@click.command("info", epilog=EXAMPLE, short_help="How xcrater reads a raster.")
@click.argument("raster")
def command(raster: str) -> None:
    """Grid, body, chunks and nodata of RASTER as xcrater reads them."""
    da = prepare(open_mosaic(raster), None)
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
    """Extent and resolution of a grid whose rows and columns are linear in longitude and latitude."""
    north, south = sorted((grid.lat_origin, grid.lat_origin + grid.shape[0] * grid.lat_step), reverse=True)
    west, east = sorted((grid.lon_origin, grid.lon_origin + grid.shape[1] * grid.lon_step))
    return {
        "longitude": f"{west:g} to {east:g} degrees east",
        "latitude": f"{south:g} to {north:g} degrees, rows from {'north' if grid.lat_step < 0 else 'south'}",
        "resolution": f"{1 / abs(grid.lat_step):g} pixels per degree",
    }


def _plane_extent(raster: Raster) -> dict[str, str]:
    """Extent and resolution in the raster's CRS, for any other grid or one on an oblate body."""
    a, _, c, _, e, f = raster.surface[1]
    rows, columns = raster.grid.shape
    (left, right), (low, high) = sorted((c, c + a * columns)), sorted((f, f + e * rows))
    return {
        "x": f"{left:.10g} to {right:.10g} in units of the CRS",
        "y": f"{low:.10g} to {high:.10g}, rows from {'the top' if e < 0 else 'the bottom'}",
        "resolution": f"{abs(a):g} x {abs(e):g} per pixel",
    }
