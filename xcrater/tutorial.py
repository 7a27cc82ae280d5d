"""Synthetic data to experiment with: seamless terrain of any size with craters of known shape, made without a file."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from rasterio import Affine

from xcrater import kernels
from xcrater.database import CraterDatabase
from xcrater.engine import graph
from xcrater.engine.craters import Craters, place
from xcrater.engine.plan import Tile, make_plan
from xcrater.geometry.bodies import get_body
from xcrater.geometry.grid import Grid

DEPTH_TO_DIAMETER = 0.2
"""Depth from rim to floor over diameter, of fresh simple craters (Pike 1977)."""
RIM_TO_DIAMETER = 0.036
"""Height of the rim above the surroundings over diameter, of fresh simple craters (Pike 1977, at 1 km)."""
EXTENT = 5.0
"""Distance from the centre at which the ejecta end, crater radii."""


def synthetic_craters(
    body: str = "moon",
    count: int = 100,
    *,
    diameters: tuple[float, float] = (15e3, 60e3),
    apart: float = EXTENT + 1.0,
    seed: int = 0,
) -> CraterDatabase:
    """Make a table of craters, uniformly distributed on the sphere, with a realistic distribution of sizes.

    Parameters
    ----------
    body : str
        Name of the body.
    count : int
        Number of craters to draw; those too close to larger ones are left out.
    diameters : tuple of float
        Smallest and largest diameter, metres. Sizes follow N(>D) ~ D**-1.75 between them.
    apart : float
        Smallest distance between the centres of two craters, in radii of the larger one. Rings that reach out to one
        radius less than this contain no other crater. 0 lets craters overlap, and is fast for millions of them.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    CraterDatabase
        Columns lat, lon (degrees) and diameter (metres), largest first.

    Examples
    --------
    >>> len(synthetic_craters("moon", 10))
    10
    """
    rng = np.random.default_rng(seed)
    smallest, largest = (d**-1.75 for d in diameters)
    diameter = np.sort(rng.uniform(largest, smallest, count) ** (-1 / 1.75))[::-1]
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    lon = rng.uniform(-180, 180, count)
    keep = np.ones(count, bool)
    if apart > 0:
        p = np.radians(lat), np.radians(lon)
        xyz = np.stack([np.cos(p[0]) * np.cos(p[1]), np.cos(p[0]) * np.sin(p[1]), np.sin(p[0])], axis=1)
        for i in range(count):
            chord = np.linalg.norm(xyz[:i][keep[:i]] - xyz[i], axis=1)
            limit = apart * diameter[:i][keep[:i]] / 2 / get_body(body).radius
            keep[i] = not (2 * np.arcsin(chord / 2) < limit).any()
    table = pd.DataFrame({"lat": lat[keep], "lon": lon[keep], "diameter": diameter[keep]})
    return CraterDatabase(table, body, units="m", diam_col="diameter")


def synthetic_mosaic(
    body: str = "moon",
    ppd: float = 8,
    craters: CraterDatabase | None = None,
    *,
    chunks: int = 1024,
    lon_origin: float = -180.0,
    roughness: float = 20.0,
    seed: int = 0,
    dtype: str = "float32",
) -> xr.DataArray:
    """Make a lazy global elevation model of any size.

    Every pixel is a function of its position alone, so that the model is seamless at the antimeridian, smooth over
    the poles, and the same whatever the chunks.

    Parameters
    ----------
    body : str
        Name of the body.
    ppd : float
        Pixels per degree; 360 times it must be a whole even number.
    craters : CraterDatabase, optional
        Craters to add to the terrain, with the shape whose means `crater_mean` gives; by default `synthetic_craters`.
    chunks : int
        Number of rows and columns of a chunk.
    lon_origin : float
        Longitude of the western edge, degrees.
    roughness : float
        Standard deviation of the terrain beneath the craters, metres.
    seed : int
        Seed of the terrain.
    dtype : str
        Data type of the pixels; values are rounded for integers.

    Returns
    -------
    xarray.DataArray
        Elevation in metres, dimensions (y, x), geographic CRS of the body.

    Raises
    ------
    ValueError
        The pixels per degree do not make a whole even number of pixels.

    Examples
    --------
    >>> synthetic_mosaic("moon", ppd=4).shape
    (720, 1440)
    """
    width = round(360 * ppd)
    if width < 4 or width % 2 or abs(width - 360 * ppd) > 1e-9:
        raise ValueError(f"received ppd={ppd!r}; expected 360 * ppd to be a whole even number of pixels")
    if craters is None:
        craters = synthetic_craters(body, seed=seed)
    step = 360.0 / width
    grid = Grid(
        shape=(width // 2, width),
        lon_origin=lon_origin,
        lon_step=step,
        lat_origin=90.0,
        lat_step=-step,
        row_edges=(*range(0, width // 2, chunks), width // 2),
        col_edges=(*range(0, width, chunks), width),
    )
    radius = craters.rad.to_numpy(float)
    placed = place(
        grid, craters.lon.to_numpy(float), craters.lat.to_numpy(float), np.degrees(radius / craters.body_radius)
    )
    with_craters = {tile.index: tile for tile in make_plan(grid, placed, EXTENT)}
    none = placed.take(slice(0, 0))
    everywhere = ((0, grid.shape[0], 0, grid.shape[1]),)
    tiles = [with_craters.get(index, Tile(index, window, none)) for index, window in grid.tiles(everywhere)]
    fill = _Terrain(grid, craters.body_radius, roughness, seed, dtype)
    data = graph.from_tiles(grid, tiles, fill, dtype=dtype, token=(fill, placed))
    da = xr.DataArray(
        data,
        dims=("y", "x"),
        coords={"y": 90 - step * (np.arange(width // 2) + 0.5), "x": lon_origin + step * (np.arange(width) + 0.5)},
        name="elevation",
        attrs={"units": "m", "long_name": f"synthetic elevation of {get_body(body).name}"},
    )
    return da.rio.write_crs(get_body(body).crs).rio.write_transform(Affine(step, 0, lon_origin, 0, -step, 90.0))


def crater_mean(inner: float, outer: float, radius: float, body: str = "moon") -> float:
    """Compute the true mean height of a synthetic crater between two circles, without the terrain beneath it.

    Parameters
    ----------
    inner, outer : float
        Radii of the circles, in crater radii.
    radius : float
        Radius of the crater, metres.
    body : str
        Name of the body.

    Returns
    -------
    float
        Mean height above the surroundings, metres.

    Examples
    --------
    >>> round(crater_mean(0, 1, 1000.0), 3)
    -128.0
    """
    angle = radius / get_body(body).radius
    node, weight = np.polynomial.legendre.leggauss(64)
    total = area = 0.0
    edges = [inner, *(e for e in (1.0, EXTENT) if inner < e < outer), outer]
    for a, b in itertools.pairwise(edges):
        for r, w in zip((a + b) / 2 + (b - a) / 2 * node, weight * (b - a) / 2, strict=True):
            ring = w * np.sin(r * angle)
            total += ring * kernels.crater_height(r, *_shape(radius), EXTENT)
            area += ring
    return float(total / area)


def _shape(radius: Any) -> tuple[Any, Any]:
    """Depth of the floor below the rim and height of the rim above the surroundings, metres."""
    return 2 * DEPTH_TO_DIAMETER * radius, 2 * RIM_TO_DIAMETER * radius


@dataclass(frozen=True)
class _Terrain:
    """Computes the elevations of one tile of the model."""

    grid: Grid
    body_radius: float
    roughness: float
    seed: int
    dtype: str

    def __call__(self, tile: Tile) -> NDArray[Any]:
        row_start, row_stop, col_start, col_stop = tile.window
        grid = self.grid
        lat = np.radians(grid.lat_origin + grid.lat_step * (np.arange(row_start, row_stop) + 0.5))
        lon = np.radians(grid.lon_origin + grid.lon_step * (np.arange(col_start, col_stop) + 0.5))
        out = np.empty((lat.size, lon.size))
        kernels.plane_waves(lon, lat, self._waves(), out)
        craters: Craters = tile.craters
        depth, rim = _shape(craters.radius * self.body_radius)
        caps = craters.caps()
        scratch = kernels.span_scratch(tile.window, grid.radians, 0, kernels.CENTER)
        kernels.stamp_craters(caps, depth, rim, EXTENT, grid.radians, tile.window, scratch, out)
        if np.dtype(self.dtype).kind in "iu":
            out = np.rint(out)
        return out.astype(self.dtype)

    def _waves(self) -> NDArray[np.float64]:
        rng = np.random.default_rng(self.seed)
        count = 12
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1)[:, None]
        waves = np.empty((count, 5))
        waves[:, :3] = direction * rng.uniform(3.0, 16.0, count)[:, None]
        waves[:, 3] = rng.uniform(0, 2 * np.pi, count)
        waves[:, 4] = self.roughness * np.sqrt(2 / count)
        return waves
