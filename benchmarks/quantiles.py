"""Exact quantiles of one region of a thousand million pixels: time and peak memory, compared with sorting them all.

    python benchmarks/quantiles.py                 46,080 x 23,040 pixels, float32
    python benchmarks/quantiles.py --dtype int16
    python benchmarks/quantiles.py --ppd 16        smaller

The raster exists nowhere: each chunk is generated from its position when it is needed. The region is the whole body.
numpy sorts the same values in its own process, with all of them in memory; --no-numpy leaves this out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

SIDE = 2048
QUANTILES = ("median", "percentile_10", "percentile_90", "quantile_0.001")
FRACTIONS = (0.5, 0.1, 0.9, 0.001)


def chunk_values(rows: int, columns: int, top: int, left: int, dtype: str) -> np.ndarray:
    """Elevations of one chunk, generated from its position: a gentle slope and noise."""
    rng = np.random.default_rng((top, left))
    noise = rng.standard_normal((rows, columns), dtype="f4")
    noise *= 1500.0
    noise += np.linspace(-4000, 4000, columns, dtype="f4")
    return noise.astype(dtype)


def mosaic(ppd: int, dtype: str):
    """The lazy raster."""
    import dask.array
    import xarray as xr

    import xcrater  # noqa: F401

    height, width = 180 * ppd, 360 * ppd

    def make(block_info=None):
        (top, bottom), (left, right) = block_info[None]["array-location"]
        return chunk_values(bottom - top, right - left, top, left, dtype)

    chunks = tuple(tuple(np.diff([*range(0, size, SIDE), size]).tolist()) for size in (height, width))
    data = dask.array.map_blocks(make, chunks=chunks, dtype=dtype, meta=np.empty((0, 0), dtype))
    y, x = 90 - (np.arange(height) + 0.5) / ppd, -180 + (np.arange(width) + 0.5) / ppd
    return xr.DataArray(data, dims=("y", "x"), coords={"y": y, "x": x}).rio.write_crs("IAU_2015:30100")


def run_xcrater(ppd: int, dtype: str) -> dict:
    import pandas as pd

    import xcrater

    table = pd.DataFrame({"lat": [12.0], "lon": [40.0], "radius": [5.0e6]})
    cdb = xcrater.CraterDatabase(table, "moon")
    cdb.add_circles("whole", 1.2, nvert=None)
    lazy = mosaic(ppd, dtype).craters.get_stats(cdb, "whole", ["count", *QUANTILES], coverage="center")
    start = time.perf_counter()
    done = lazy.compute()
    return {
        "seconds": time.perf_counter() - start,
        "count": int(done["count"].item()),
        "answers": [float(done[name].item()) for name in QUANTILES],
    }


def run_numpy(ppd: int, dtype: str) -> dict:
    values = np.empty((180 * ppd, 360 * ppd), dtype)
    for top in range(0, values.shape[0], SIDE):
        for left in range(0, values.shape[1], SIDE):
            part = values[top : top + SIDE, left : left + SIDE]
            part[:] = chunk_values(*part.shape, top, left, dtype)
    values = values.ravel()
    start = time.perf_counter()
    values.sort()
    answers = []
    for q in FRACTIONS:  # linear between ranks, in double precision
        rank = q * (values.size - 1)
        low, high = (float(values[int(r)]) for r in (rank, min(int(rank) + 1, values.size - 1)))
        t = rank - int(rank)
        between = high - (high - low) * (1 - t) if t >= 0.5 else low + (high - low) * t
        answers.append(low if low == high or t == 0 else between)
    return {"seconds": time.perf_counter() - start, "count": values.size, "answers": answers}


def measure(name: str, *args: object) -> dict:
    """Run one of the functions above in its own process."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps([name, *args])], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ppd", type=int, default=128)
    parser.add_argument("--dtype", choices=["uint8", "int16", "float32", "float64"], default="float32")
    parser.add_argument("--no-numpy", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, *args = json.loads(options.child)
        result = {"run_xcrater": run_xcrater, "run_numpy": run_numpy}[name](*args)
        result["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(result))
        return
    found = measure("run_xcrater", options.ppd, options.dtype)
    print(f"{found['count']:,} pixels of {options.dtype}: {found['seconds']:.1f} s, peak {found['peak'] / 1e9:.2f} GB")
    for name, answer in zip(QUANTILES, found["answers"], strict=True):
        print(f"  {name} {answer!r}")
    if not options.no_numpy:
        wanted = measure("run_numpy", options.ppd, options.dtype)
        if (found["count"], found["answers"]) != (wanted["count"], wanted["answers"]):
            raise SystemExit(f"numpy gives other quantiles: {wanted['answers']}")
        spent = f"{wanted['seconds']:.1f} s to sort, {wanted['peak'] / 1e9:.2f} GB"
        print(f"numpy, with all of them in memory, gives the same: {spent}")


if __name__ == "__main__":
    main()
