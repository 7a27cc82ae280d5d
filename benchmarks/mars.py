"""Planning on a Mars CTX mosaic: 4.27 x 2.13 million pixels in 8192-pixel chunks, 384,000 craters, three regions.

    python benchmarks/mars.py            # plan, graph, and 20 of its tiles against a mask of great-circle distances

The raster is virtual: a chunk is generated when a task asks for it. The benchmark prints the time and the memory from
the call to the graph, and fails if a tile's statistics differ from those of the pixels under a mask.
"""

from __future__ import annotations

import argparse
import math
import resource
import time

import dask
import numpy as np
import pandas as pd
import rioxarray  # noqa: F401
import xarray as xr

import xcrater
from xcrater.engine.craters import Craters
from xcrater.engine.graph import from_tiles
from xcrater.engine.plan import Tile
from xcrater.geometry.grid import Grid

REGIONS = {"floor": (0.0, 1.0), "rim": (1.0, 1.5), "ejecta": (1.0, 3.0)}
SIDE = 8192


def pixels(tile: Tile) -> np.ndarray:
    """The pixels of a tile, each a function of its row and column."""
    top, bottom, left, right = tile.window
    row, column = np.arange(top, bottom, dtype=np.uint32), np.arange(left, right, dtype=np.uint32)
    return ((row[:, None] * np.uint32(2654435761) ^ column * np.uint32(40503)) >> np.uint32(20)).astype(np.uint8)


def mosaic(height: int) -> xr.DataArray:
    """The virtual raster, on the IAU sphere of Mars."""
    width, step = 2 * height, 180.0 / height
    row_edges, col_edges = ((*range(0, n, SIDE), n) for n in (height, width))
    grid = Grid((height, width), -180.0, step, 90.0, -step, row_edges, col_edges)
    nobody = Craters(np.empty(0, np.int32), np.empty(0), np.empty(0), np.empty(0))
    tiles = (
        Tile((i, j), (row_edges[i], row_edges[i + 1], col_edges[j], col_edges[j + 1]), nobody)
        for i in range(len(row_edges) - 1)
        for j in range(len(col_edges) - 1)
    )
    coords = {"y": 90 - step * (np.arange(height) + 0.5), "x": -180 + step * (np.arange(width) + 0.5)}
    da = xr.DataArray(from_tiles(grid, tiles, pixels, dtype="u1", token=height), coords, ("y", "x"))
    return da.rio.write_crs("IAU_2015:49900")


def table(count: int) -> pd.DataFrame:
    rng = np.random.default_rng(384)
    return pd.DataFrame(
        {
            "lat": np.degrees(np.arcsin(rng.uniform(-1, 1, count))),
            "lon": rng.uniform(-180, 180, count),
            "diam": rng.uniform(2300.0**-1.75, 1.0, count) ** (-1 / 1.75),
        }
    )


def oracle(block: np.ndarray, tile: Tile, height: int, crater: int) -> list[tuple[int, int, int]]:
    """Count, sum and sum of squares in each region of one of the tile's craters, by distances of all pixels."""
    step = math.pi / height
    top, bottom, left, right = tile.window
    craters = tile.craters
    radius, lat0, lon0 = craters.radius[crater], craters.lat[crater], craters.column[crater] * step
    lat = math.pi / 2 - step * (np.arange(top, bottom) + 0.5)
    lon = step * (np.arange(left, right) + 0.5)
    found = []
    near = np.abs(lat - lat0) <= 3 * radius + step  # rows that the crater may reach
    up = np.sin((lat[near] - lat0) / 2) ** 2
    both = np.cos(lat[near]) * math.cos(lat0)
    angle = up[:, None] + both[:, None] * np.sin((lon - lon0) / 2) ** 2
    values = block[near].astype(np.int64)
    for inner, outer in REGIONS.values():
        low, high = (math.sin(min(r * radius, math.pi) / 2) ** 2 for r in (inner, outer))
        inside = values[(angle <= high) & ((angle > low) if inner else True)]
        found.append((inside.size, int(inside.sum()), int((inside**2).sum())))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=2_130_000)
    parser.add_argument("--craters", type=int, default=384_000)
    parser.add_argument("--tiles", type=int, default=20)
    options = parser.parse_args()
    cdb = xcrater.CraterDatabase(table(options.craters), "mars", units="km")
    for name, (inner, outer) in REGIONS.items():
        cdb.add_annuli(name, inner, outer, nvert=None)
    start = time.perf_counter()
    da = mosaic(options.height)
    made = time.perf_counter()
    lazy = da.craters.get_stats(cdb, list(REGIONS), ["count", "mean", "std"], coverage="center")
    planned = time.perf_counter()
    graph = lazy["mean"].data.dask
    tiles = {key: task for key, task in graph.items() if isinstance(key, tuple) and "-tile-" in key[0]}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{da.shape[0]:,} x {da.shape[1]:,} pixels in {da.data.npartitions:,} chunks, {len(cdb):,} craters")
    print(f"virtual raster made in {made - start:.1f} s")
    print(f"planned and graphed in {planned - made:.1f} s: {len(graph):,} tasks, {len(tiles):,} tiles touched")
    print(f"peak memory of the process {peak / 1e9:.2f} GB", flush=True)

    rng = np.random.default_rng(1)
    compared = differing = 0
    for n in rng.choice(len(tiles), min(options.tiles, len(tiles)), replace=False):
        key = list(tiles)[n]
        partial = dask.get(graph.cull({key}), key)
        (tile,) = (a for a in getattr(tiles[key], "args", tiles[key]) if isinstance(a, Tile))
        block = pixels(tile)
        for crater in range(len(tile.craters)):
            wanted = oracle(block, tile, options.height, crater)
            for region, (count, total, squares) in enumerate(wanted):
                held = partial.sums[0].sums[crater, 0, region]
                compared += count
                differing += (held[0], held[1], held[2] * 2**32 + held[3]) != (count, total, squares)
    print(f"{options.tiles} tiles, {compared:,} pixels of regions: {differing} regions differ from the mask's")
    raise SystemExit(bool(differing))


if __name__ == "__main__":
    main()
