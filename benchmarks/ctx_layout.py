"""Opening and planning a mosaic in the layout of the Mars CTX mosaic: 3,960 tiles of 47,420 x 47,420 pixels.

    python benchmarks/ctx_layout.py                                          # fails if that takes more than 10 s
    python benchmarks/ctx_layout.py --rows 3 --columns 5 --side 6000 --craters 2000

The tiles are virtual rasters of GDAL, 4° wide and of one value each, and a few of them do not exist. Besides timing,
the benchmark compares the statistics of craters within one tile with the tile's value.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import rasterio

import xcrater
from xcrater.engine.request import make_request

DEGREES = 4.0
CRS = "IAU_2015:49900"
ABSENT = 500
"""One tile in this many does not exist."""

VIRTUAL = """<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>{crs}</SRS>
<GeoTransform>{west!r}, {step!r}, 0, {north!r}, 0, -{step!r}</GeoTransform>
<VRTRasterBand dataType="Byte" band="1" blockXSize="512" blockYSize="512"><NoDataValue>0</NoDataValue>
<SimpleSource><SourceFilename relativeToVRT="1">values.tif</SourceFilename><SourceBand>1</SourceBand>
<SrcRect xOff="{value}" yOff="0" xSize="1" ySize="1"/><DstRect xOff="0" yOff="0" xSize="{side}" ySize="{side}"/>
</SimpleSource></VRTRasterBand></VRTDataset>"""


def value_of(row: np.ndarray, column: np.ndarray, columns: int) -> np.ndarray:
    """Value of the pixels of a tile, or 0, which is nodata, where there is no tile."""
    number = row * columns + column
    return np.where(number % ABSENT == 3, 0, number % 250 + 1)


def write_tiles(folder: Path, rows: int, columns: int, side: int) -> list[Path]:
    """Write virtual tiles and return their paths."""
    profile = {"driver": "GTiff", "width": 256, "height": 1, "count": 1, "dtype": "uint8", "crs": CRS}
    with rasterio.open(folder / "values.tif", "w", transform=rasterio.Affine(1, 0, 0, 0, -2, 0), **profile) as file:
        file.write(np.arange(256, dtype=np.uint8).reshape(1, 1, 256))
    crs, step, paths = escape(rasterio.CRS.from_user_input(CRS).to_wkt()), DEGREES / side, []
    for row, column in np.ndindex(rows, columns):
        value = int(value_of(np.array(row), np.array(column), columns))
        if value:
            west, north = -180 + DEGREES * column, DEGREES * (rows / 2 - row)
            path = folder / f"tile_{row:02d}_{column:02d}.vrt"
            path.write_text(VIRTUAL.format(side=side, crs=crs, west=west, north=north, step=step, value=value))
            paths.append(path)
    return paths


def table(rows: int, columns: int, count: int) -> pd.DataFrame:
    rng = np.random.default_rng(42)
    north = np.radians(DEGREES * rows / 2)
    return pd.DataFrame(
        {
            "lat": np.degrees(np.arcsin(rng.uniform(-np.sin(north), np.sin(north), count))),
            "lon": -180 + DEGREES * columns * rng.uniform(0, 1, count),
            "diam": rng.uniform(2300.0**-1.75, 1.0, count) ** (-1 / 1.75),
        }
    )


def differing(da: object, cdb: xcrater.CraterDatabase, rows: int, columns: int, compared: int) -> tuple[int, int]:
    """Compare craters within one tile with the tile's value; return how many were compared and how many differ."""
    data = cdb.data
    lat, lon = cdb.lat.to_numpy(), cdb.lon.to_numpy()
    reach = np.degrees(2 * cdb.rad.to_numpy() / cdb.body_radius) + 0.01
    down, across = DEGREES * rows / 2 - lat, lon + 180
    wide = reach / np.cos(np.radians(np.minimum(np.abs(lat) + reach, 89)))
    inside = np.all(
        [(x % DEGREES > r) & (x % DEGREES < DEGREES - r) for x, r in ((down, reach), (across, wide))], axis=0
    )
    chosen = np.flatnonzero(inside)[:compared]
    value = value_of((down[chosen] // DEGREES).astype(int), (across[chosen] // DEGREES).astype(int), columns)
    few = xcrater.CraterDatabase(data.iloc[chosen], "mars", units="km")
    few.add_annuli("rim", 1, 1.5, nvert=None)
    found = da.craters.get_stats(few, "rim", "min max count nodata").compute().isel(region=0, missing_dims="ignore")
    there = value > 0
    right = np.where(
        there, (found["min"] == value) & (found["max"] == value) & (found["count"] > 0), found["count"] == 0
    )
    return len(chosen), int((~right | (found["nodata"].to_numpy() > 0) & there).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=44)
    parser.add_argument("--columns", type=int, default=90)
    parser.add_argument("--side", type=int, default=47_420)
    parser.add_argument("--craters", type=int, default=100_000)
    parser.add_argument("--compare", type=int, default=20)
    parser.add_argument("--limit", type=float, default=10.0, help="fail if opening and planning take more seconds")
    options = parser.parse_args()
    cdb = xcrater.CraterDatabase(table(options.rows, options.columns, options.craters), "mars", units="km")
    cdb.add_annuli("rim", 1, 1.5, nvert=None)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_tiles(Path(folder), options.rows, options.columns, options.side)
        start = time.perf_counter()
        da = xcrater.open_mosaic(paths)
        opened = time.perf_counter()
        plan = make_request(da, cdb, "rim", coverage=None, nodata=None).plan()
        planned = time.perf_counter()
        print(f"{len(paths):,} files, {da.shape[0]:,} x {da.shape[1]:,} pixels in {da.data.npartitions:,} chunks")
        print(f"opened in {opened - start:.1f} s, {len(cdb):,} craters planned in {planned - opened:.1f} s")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(f"{len(plan):,} chunks touched; peak memory of the process {peak / 1e9:.2f} GB", flush=True)
        compared, wrong = differing(da, cdb, options.rows, options.columns, options.compare)
    print(f"{compared} craters within one tile: statistics of {wrong} differ from its value")
    raise SystemExit(bool(wrong) or planned - start > options.limit)


if __name__ == "__main__":
    main()
