"""How a cluster spends its time: the headline's statistics and their medians on threads and on a LocalCluster.

    python benchmarks/cluster.py               128 pixels per degree, 1.3 million craters
    python benchmarks/cluster.py --craters 200000
    python benchmarks/cluster.py --small       a few seconds, for continuous integration

Threads and the cluster, which has one single-threaded process per core, take turns, so that a drift of the machine's
speed affects both alike; medians of the rounds are printed. "Cold" is the first run on workers that have just started,
with compiled kernels on disk. CPU seconds are those of all processes. A second table lists the times of tasks as
reported to the scheduler, added up by stage, and the amounts of data sent.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import headline
from dask.sizeof import sizeof
from dask.utils import key_split
from distributed import Client, LocalCluster, get_task_stream

import xcrater

WORKS = {"five statistics": headline.STATS, "median and percentile_90": ("median", "percentile_90")}


def spent() -> float:
    """CPU seconds of this process so far."""
    return time.process_time()


def start_up(_: int) -> float:
    """Seconds until a worker that has just started finishes its first tile, without reading."""
    start = time.perf_counter()
    from xcrater import tutorial

    cdb = tutorial.synthetic_craters("moon", 50, diameters=(50e3, 200e3))
    cdb.add_annuli("rim", 1, 1.5, nvert=None)
    da = tutorial.synthetic_mosaic("moon", ppd=1, chunks=400, dtype="int16")
    da.craters.get_stats(cdb, "rim", headline.STATS, coverage="center").compute(scheduler="synchronous")
    return time.perf_counter() - start


class Bench:
    """Measurements on one raster and one table.

    Parameters
    ----------
    raster, craters : Path
        Paths of the files.
    count : int
        Number of craters taken from the table; 0 for all.
    """

    def __init__(self, raster: Path, craters: Path, count: int) -> None:
        self.da = xcrater.open_mosaic(raster)
        self.cdb = headline.table_of(str(craters), count=count)

    def build(self, stats: tuple[str, ...]) -> Any:
        """The statistics, not yet computed."""
        return self.da.craters.get_stats(self.cdb, list(headline.REGIONS), stats, coverage="center")

    def on_threads(self, stats: tuple[str, ...]) -> tuple[float, float, Any]:
        """Compute on threads; return seconds, CPU seconds and the result."""
        start, before = time.perf_counter(), spent()
        with dask.config.set(scheduler="threads"):
            result = self.build(stats).compute()
        return time.perf_counter() - start, spent() - before, result

    def on_cluster(self, client: Client, stats: tuple[str, ...]) -> tuple[float, float, Any]:
        """Compute on the cluster; return seconds, CPU seconds of all processes and the result."""
        before = spent() + sum(client.run(spent).values())
        start = time.perf_counter()
        result = self.build(stats).compute()
        seconds = time.perf_counter() - start
        return seconds, spent() + sum(client.run(spent).values()) - before, result

    def stages(self, client: Client, stats: tuple[str, ...]) -> list[tuple[str, int, float, float, float]]:
        """Stages with number of tasks, seconds of computing and of transfers in all workers, and bytes of results."""
        start = time.perf_counter()
        lazy = self.build(stats)
        built = time.perf_counter() - start
        with get_task_stream(client) as stream:
            lazy.compute()
        whole = time.perf_counter() - start - built
        tasks: dict[str, int] = defaultdict(int)
        took: dict[tuple[str, str], float] = defaultdict(float)
        held: dict[str, int] = defaultdict(int)
        for task in stream.data:
            stage = key_split(task["key"])
            tasks[stage] += 1
            held[stage] += task["nbytes"] or 0
            for part in task["startstops"]:
                took[stage, part["action"]] += part["stop"] - part["start"]
        rows = [(s, n, took[s, "compute"], took[s, "transfer"], float(held[s])) for s, n in tasks.items()]
        workers = len(client.scheduler_info(-1)["workers"])
        busy = sum(row[2] + row[3] for row in rows) / workers
        return [("building the graph", 1, built, 0.0, 0.0), *rows, ("waiting, per worker", 0, whole - busy, 0.0, 0.0)]

    def travelling(self, stats: tuple[str, ...]) -> list[tuple[str, str]]:
        """What is sent between processes, and its size."""
        graph = dict(self.build(stats)[stats[0]].data.dask)
        tiles = {key: task for key, task in graph.items() if isinstance(key, tuple) and "-tile-" in key[0]}
        sizes = sorted(len(cloudpickle.dumps(task)) for task in tiles.values())
        pickled = len(cloudpickle.dumps(graph))
        first = dask.get(graph, next(iter(tiles)))
        return [
            ("tasks", f"{len(graph):,}"),
            ("pickled graph", f"{pickled / 1e6:.1f} MB: {pickled / len(self.cdb):.1f} bytes a crater"),
            ("task of a tile", f"{statistics.median(sizes) / 1e3:.0f} kB, at most {sizes[-1] / 1e3:.0f} kB"),
            ("partial result of the first tile", f"{sizeof(first) / 1e6:.2f} MB"),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ppd", type=int, default=128)
    parser.add_argument("--craters", type=int, default=0, help="craters of the table to take; all of them by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="8 pixels per degree, 5,000 craters, one round")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "xcrater-bench"
    )
    options = parser.parse_args()
    rows = 1_300_000
    if options.small:
        options.ppd, options.rounds, rows = 8, 1, 5_000
    options.data.mkdir(parents=True, exist_ok=True)
    raster, craters = options.data / f"moon_{options.ppd}ppd.tif", options.data / f"craters_{rows}.parquet"
    if not craters.exists():
        headline.make_craters(craters, rows)
    if not raster.exists():
        headline.make_mosaic(raster, options.ppd)
    bench = Bench(raster, craters, options.craters)
    for stats in WORKS.values():
        bench.on_threads(stats)  # compiles any kernels not compiled yet
    print(f"{len(bench.cdb):,} craters, {bench.da.size / 1e6:,.0f} megapixels in {bench.da.data.npartitions} chunks")
    cores = os.cpu_count() or 1
    print(f"\n{'seconds (CPU seconds)':28}{'threads':>16}{'cold cluster':>16}{'warm cluster':>16}{'warm/threads':>14}")
    detail = []
    for title, stats in WORKS.items():
        start = time.perf_counter()
        with (
            LocalCluster(
                n_workers=cores, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
            ) as cluster,
            Client(cluster) as client,
        ):
            came = time.perf_counter() - start
            cold = bench.on_cluster(client, stats)
            rounds = [(bench.on_threads(stats), bench.on_cluster(client, stats)) for _ in range(options.rounds)]
            threads, warm = (
                [statistics.median(r[kind][number] for r in rounds) for number in (0, 1)] for kind in (0, 1)
            )
            for name in cold[2].data_vars:
                assert cold[2][name].values.tobytes() == rounds[0][0][2][name].values.tobytes(), name
            cells = "".join(f"{s:7.1f} ({c:6.1f})" for s, c in (threads, cold[:2], warm))
            ratios = f"{warm[0] / threads[0]:6.2f} ({warm[1] / threads[1]:.2f})"
            print(f"{title:28}{cells}{ratios:>14}", flush=True)
            detail.append((title, bench.stages(client, stats), bench.travelling(stats)))
            if stats is headline.STATS:
                cluster.scale(cores + 1)
                client.wait_for_workers(cores + 1)
                new = max(client.scheduler_info(-1)["workers"].items(), key=lambda item: int(item[1]["name"]))[0]
                first = client.submit(start_up, 0, workers=[new]).result()
    print(f"\nthe workers came within {came:.1f} s; one that has just come takes {first:.1f} s until its first tile")
    for title, stages, travelling in detail:
        print(f"\n{title:34}{'tasks':>8}{'work, s':>10}{'transfer, s':>13}{'MB':>9}")
        for stage, tasks, work, transfer, held in stages:
            print(f"  {stage:32}{tasks or '':>8}{work:10.2f}{transfer:13.2f}{held / 1e6:9.1f}")
        for what, much in travelling:
            print(f"  {what:36}{much}")


if __name__ == "__main__":
    main()
