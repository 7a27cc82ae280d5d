"""The README's table of memory: peak memory of each operation for a Robbins-sized table and a global mosaic.

    python benchmarks/memory.py                        128 pixels per degree, 1.3 million craters, all regions
    python benchmarks/memory.py --memory "512 MiB"     with another value of the option memory
    python benchmarks/memory.py --small                a few seconds, for continuous integration

Each operation runs in its own process on two threads, with the option ``memory`` at its default of 1 GiB. Its peak is
that of the whole process, including Python, libraries, table, plan and result. Operations that must hold all pixels of
a crater are first requested for all craters, which they must refuse before reading anything, and then run without the
largest basins, as the error advises. The mosaic and the craters are those of headline.py.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from headline import REGIONS, make_craters, make_mosaic

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "xcrater-bench"

OPERATIONS = {
    "statistics": "get_stats, 5 statistics",
    "exact": "get_stats, exact fractions",
    "medians": "get_stats, medians",
    "exclude": "get_stats, neighbours left out (100,000 craters)",
    "profile": "radial_profile of 20 rings (100,000 craters)",
    "sectors": "radial_profile of 20 rings in 8 sectors (100,000 craters)",
    "iter_computed": "iter_computed",
    "iter_blocks": "iter_blocks",
    "to_zarr": "to_zarr of the rims (300,000 craters)",
    "to_ragged": "to_ragged of the rims (100,000 craters)",
    "map": "map of all regions",
    "mask": "mask, counts",
    "depths": "depths (100,000 craters)",
    "chips": "chips of 64 × 64 pixels (100,000 craters)",
}
FEWER = {"exclude": 100_000, "profile": 100_000, "sectors": 100_000, "to_zarr": 300_000, "to_ragged": 100_000}
FEWER |= {"depths": 100_000, "chips": 100_000}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def child(raster: str, craters: str, operation: str, memory: str, share: float) -> dict:
    """Run one operation; return its seconds, peak and result in bytes, and the number of refused craters."""
    import dask
    import pandas as pd

    import xcrater
    from xcrater.errors import MemoryBudgetError
    from xcrater.options import get_option

    dask.config.set(scheduler="threads", num_workers=2)
    xcrater.set_options(memory=memory)
    table = pd.read_parquet(craters)
    if operation in FEWER:
        table = table.sample(min(round(FEWER[operation] * share), len(table)), random_state=1)
    start, regions, refused = time.perf_counter(), list(REGIONS), 0

    def prepared(table: pd.DataFrame):
        cdb = xcrater.CraterDatabase(table, "moon", units="km")
        for name, (inner, outer) in REGIONS.items():
            cdb.add_annuli(name, inner, outer, nvert=None)
        return cdb

    cdb, da = prepared(table), xcrater.open_mosaic(raster)
    on, center = da.craters, {"coverage": "center"}

    def iterated(call: str) -> int:
        nonlocal refused
        arrays = on.get_arrays(cdb, regions, **center)
        try:
            next(getattr(arrays, call)())
        except MemoryBudgetError as error:
            most = int(re.search(r"4 \* arrays\.sizes <= (\d+)", str(error))[1]) // 4
            refused = int((arrays.sizes > most).sum())
            arrays = arrays.loc[arrays.sizes <= most]
        total = 0
        for batch in getattr(arrays, call)():
            if call == "iter_blocks":
                total += sum(blocks.nbytes for blocks in batch.values())
            else:
                total += sum(array.nbytes + array.mask.nbytes for name in regions for array in batch[name])
        return total

    def mapped() -> int:
        nonlocal cdb, refused
        try:
            lazy = on.map(cdb, regions, np.ptp, errors="nan", **center)
        except MemoryBudgetError:
            # A pixel takes 3 bytes, but 12 while a function works on its crater, including the function's input.
            kept = 4 * on.plan(cdb, regions, **center).sizes <= get_option("memory")
            refused = int((~kept).sum())
            cdb = prepared(table[kept.to_numpy()])
            lazy = on.map(cdb, regions, np.ptp, errors="nan", **center)
        return lazy.compute().nbytes

    def stored() -> int:
        with tempfile.TemporaryDirectory() as directory:
            on.get_arrays(cdb, ["rim"], **center).to_zarr(f"{directory}/rims.zarr")
            return sum(file.stat().st_size for file in Path(directory).rglob("*") if file.is_file())

    def ragged() -> int:
        flat = on.get_arrays(cdb, ["rim"], **center).to_ragged()["rim"]
        return flat.values.nbytes + flat.mask.nbytes

    five = ("count", "mean", "std", "min", "max")
    near = xcrater.Exclude(min_ratio=0.25)
    run = {
        "statistics": lambda: on.get_stats(cdb, regions, five, **center).compute().nbytes,
        "exact": lambda: on.get_stats(cdb, regions, five, coverage="exact").compute().nbytes,
        "medians": lambda: on.get_stats(cdb, regions, ("median", "percentile_90"), **center).compute().nbytes,
        "exclude": lambda: on.get_stats(cdb, regions, five, exclude=near, **center).compute().nbytes,
        "profile": lambda: on.radial_profile(cdb, 20, "mean", outer=3.0).compute().nbytes,
        "sectors": lambda: on.radial_profile(cdb, 20, "mean", outer=3.0, sectors=8).compute().nbytes,
        "iter_computed": lambda: iterated("iter_computed"),
        "iter_blocks": lambda: iterated("iter_blocks"),
        "to_zarr": stored,
        "to_ragged": ragged,
        "map": mapped,
        "mask": lambda: on.mask(cdb, "rim", kind="count", **center).max().compute().nbytes,
        "depths": lambda: on.depths(cdb).compute().nbytes,
        "chips": lambda: on.chips(cdb, 64, order="tiles").max(("y", "x")).compute().nbytes,
    }[operation]
    before = peak()
    result = run()
    return {
        "seconds": time.perf_counter() - start,
        "before": before,
        "peak": peak(),
        "result": result,
        "craters": len(cdb),
        "refused": refused,
    }


def measure(*arguments: object) -> dict:
    """Run one operation in its own process."""
    command = [sys.executable, "-W", "ignore", __file__, "--child", json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{arguments}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.split("RESULT ")[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ppd", type=int, default=128, help="pixels per degree")
    parser.add_argument("--craters", type=int, default=1_300_000)
    parser.add_argument("--data", type=Path, default=CACHE, help="directory for mosaic and craters")
    parser.add_argument("--memory", default="1 GiB", help="value of the option memory")
    parser.add_argument("--only", nargs="*", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--small", action="store_true", help="8 pixels per degree and 4000 craters, in 4 MB")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print("RESULT " + json.dumps(child(*json.loads(asked.child))))
        return
    if asked.small:
        asked.ppd, asked.craters, asked.memory = 8, 4000, "4 MB"
    asked.data.mkdir(parents=True, exist_ok=True)
    raster, craters = asked.data / f"moon_{asked.ppd}ppd.tif", asked.data / f"craters_{asked.craters}.parquet"
    if not raster.exists():
        make_mosaic(raster, asked.ppd)
    if not craters.exists():
        make_craters(craters, asked.craters)
    print(f"{asked.craters:,} craters, {asked.ppd} pixels per degree, option memory {asked.memory}, 2 threads\n")
    print("| operation | craters | refused | seconds | result | peak of the process |")
    print("|---|---|---|---|---|---|")
    for operation in asked.only:
        found = measure(str(raster), str(craters), operation, asked.memory, asked.craters / 1_300_000)
        print(
            f"| {OPERATIONS[operation]} | {found['craters']:,} | {found['refused']} | {found['seconds']:.1f} | "
            f"{found['result'] / 1e9:.2f} GB | {found['peak'] / 1e9:.2f} GB |",
            flush=True,
        )


if __name__ == "__main__":
    main()
