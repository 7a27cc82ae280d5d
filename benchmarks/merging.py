"""Merging two catalogues of a million lunar craters each, most of which are in both.

    python benchmarks/merging.py

The second catalogue measures the craters of the first again, with errors of position and size, misses some of them, and
has others of its own. The benchmark prints time and memory, and how many pairs are the same crater; it fails if they
are too few.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pandas as pd

import xcrater


def catalogues(count: int, common: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables of `count` craters above 1 km, of which the fraction `common` is in both under the same ``name``."""
    rng = np.random.default_rng(19)
    both = round(common * count)
    total = 2 * count - both
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, total))), rng.uniform(-180, 180, total)
    diam = rng.uniform(1000.0**-1.75, 1.0, total) ** (-1 / 1.75)
    every = pd.DataFrame({"lat": lat, "lon": lon, "diam_km": diam, "name": np.arange(total)})
    second = every.iloc[count - both :].sample(frac=1.0, random_state=19).reset_index(drop=True)
    shift = np.degrees(rng.normal(0.0, 0.03, (2, count)) * second["diam_km"].to_numpy() / 1737.4)  # 6 % of the radius
    moved = np.clip(second["lat"] + shift[0], -90, 90)
    second = second.assign(
        lat=moved,
        lon=second["lon"] + shift[1] / np.maximum(np.cos(np.radians(moved)), 1e-3),
        diam_km=second["diam_km"] * np.exp(rng.normal(0.0, 0.05, count)),
    )
    return every.iloc[:count], second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--craters", type=int, default=1_000_000)
    parser.add_argument("--common", type=float, default=0.7)
    options = parser.parse_args()
    tables = catalogues(options.craters, options.common)
    one, two = (xcrater.CraterDatabase(table, "moon", units="km") for table in tables)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    pairs = one.match(two)
    matched = time.perf_counter()
    merged = xcrater.CraterDatabase.merge(one, two)
    stop = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    names = (
        table["name"].to_numpy()[pairs[row]] for table, row in zip(tables, ("first_row", "second_row"), strict=True)
    )
    same = int(np.equal(*names).sum())
    both = round(options.common * options.craters)
    print(f"two tables of {options.craters:,} craters, {both:,} of them in both")
    print(f"match: {matched - start:.1f} s, {len(pairs):,} pairs, {same:,} of them the same crater")
    print(f"merge: {stop - matched:.1f} s, {len(merged):,} craters")
    print(f"peak memory of the process {peak / 1e9:.2f} GB, {before / 1e9:.2f} GB with the tables alone")
    assert len(merged) == 2 * options.craters - len(pairs)
    raise SystemExit(same < 0.95 * both)


if __name__ == "__main__":
    main()
