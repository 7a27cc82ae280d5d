"""Time against the number of pixels and against the number of craters, over two decades each, with a plot.

    python benchmarks/scaling.py            # writes benchmarks/scaling.csv and benchmarks/scaling.png

The raster is that of benchmarks/headline.py, decimated to fewer pixels, with the first rows of its table. Times are
medians of several rounds in one process, after a first run that loads the kernels; the fit is a constant plus a slope.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import headline
import matplotlib as mpl
import numpy as np
import pandas as pd
import rasterio

import xcrater

HERE = Path(__file__).parent
THINNED = (12, 6, 3, 2, 1)
CRATERS = (13_000, 41_000, 130_000, 410_000, 1_300_000)
KINDS = {"true circles, center": (None, "center"), "32-vertex polygons, all_touched": (32, "all_touched")}


def thinned(raster: Path, step: int) -> Path:
    """The raster decimated to every `step`-th row and column, in the same format."""
    path = raster if step == 1 else raster.with_name(f"{raster.stem}_thinned_{step}.tif")
    if not path.exists():
        with rasterio.open(raster) as source:
            profile = source.profile
            shape = source.height // step, source.width // step
            band = np.empty(shape, profile["dtype"])
            for row in range(0, source.height, 1920):
                window = ((row, row + 1920), (0, source.width))
                band[row // step : (row + 1920) // step] = source.read(1, window=window)[::step, ::step]
            profile |= {"height": shape[0], "width": shape[1], "predictor": 2}
            profile["transform"] = source.transform * source.transform.scale(step)
        with rasterio.open(path, "w", **profile) as target:
            target.write(band, 1)
    return path


def seconds(raster: Path, table: pd.DataFrame, kind: str, rounds: int) -> float:
    nvert, coverage = KINDS[kind]
    spent = []
    for _ in range(rounds):
        cdb = xcrater.CraterDatabase(table, "moon", units="km")
        for name, (inner, outer) in headline.REGIONS.items():
            cdb.add_annuli(name, inner, outer, nvert=nvert)
        start = time.perf_counter()
        cdb.get_stats(xcrater.open_mosaic(raster), list(headline.REGIONS), headline.STATS, coverage=coverage)
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def measure(data: Path, rounds: int) -> pd.DataFrame:
    raster, craters = data / "moon_128ppd.tif", data / "craters_1300000.parquet"
    data.mkdir(parents=True, exist_ok=True)
    if not craters.exists():
        headline.make_craters(craters, CRATERS[-1])
    if not raster.exists():
        headline.make_mosaic(raster, 128)
    table = pd.read_parquet(craters)
    points = []
    for kind in KINDS:
        seconds(thinned(raster, THINNED[0]), table[:1000], kind, 1)
        for step in THINNED:
            path = thinned(raster, step)
            with rasterio.open(path) as source:
                pixels = source.height * source.width
            points.append(("pixels", pixels, 130_000, kind, seconds(path, table[:130_000], kind, rounds)))
            print(points[-1], flush=True)
        for count in CRATERS:
            path = thinned(raster, THINNED[2])
            points.append(
                ("craters", pixels // THINNED[2] ** 2, count, kind, seconds(path, table[:count], kind, rounds))
            )
            print(points[-1], flush=True)
    return pd.DataFrame(points, columns=["against", "pixels", "craters", "kind", "seconds"])


def plot(points: pd.DataFrame, path: Path) -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for panel, (against, fixed) in zip(panels, (("pixels", "craters"), ("craters", "pixels")), strict=True):
        chosen = points[points["against"] == against]
        for kind, color in zip(KINDS, ("C0", "C1"), strict=True):
            x, y = (chosen[chosen["kind"] == kind][name].to_numpy(float) for name in (against, "seconds"))
            slope, constant = np.polyfit(x, y, 1, w=1 / y)
            line = np.geomspace(x.min(), x.max(), 50)
            panel.plot(x, y, "o", color=color, label=kind)
            unit, scale = ("ns a pixel", 1e9) if against == "pixels" else ("µs a crater", 1e6)
            label = f"{constant:.2f} s + {slope * scale:.2g} {unit}"
            panel.plot(line, constant + slope * line, "-", color=color, lw=1, label=label)
        panel.set(xscale="log", yscale="log", xlabel=against, title=f"{chosen[fixed].iloc[0]:,} {fixed}")
        panel.grid(alpha=0.3, which="both")
        panel.legend(fontsize=8)
    panels[0].set_ylabel("seconds")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("~/.cache/xcrater-bench").expanduser())
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    points = measure(options.data, options.rounds)
    points.to_csv(HERE / "scaling.csv", index=False, float_format="%.4g")
    plot(points, HERE / "scaling.png")


if __name__ == "__main__":
    main()
