"""Time, peak memory and graph size of the main operations, on a synthetic Moon held in memory.

asv run --config benchmarks/asv.conf.json
"""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd

import xcrater
from xcrater import tutorial

COVERAGES = ("center", "all_touched")
SHAPES = ("true circles", "polygons")


def lunar_craters(count: int, smallest_km: float = 5.0) -> xcrater.CraterDatabase:
    """Craters with sizes as N(>D) ~ D**-1.75 up to 500 km, uniform on the sphere."""
    rng = np.random.default_rng(1)
    diameter = rng.uniform(500.0**-1.75, smallest_km**-1.75, count) ** (-1 / 1.75)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    table = pd.DataFrame({"lat": lat, "lon": rng.uniform(-180, 180, count), "diameter": diameter})
    cdb = xcrater.CraterDatabase(table, "moon", units="km")
    for name, nvert in (("true circles", None), ("polygons", 32)):
        cdb.add_circles(f"floor {name}", 1.0, nvert=nvert)
        cdb.add_annuli(f"rim {name}", 1.0, 1.5, nvert=nvert)
        cdb.add_annuli(f"ejecta {name}", 1.0, 3.0, nvert=nvert)
    return cdb


def regions(shape: str) -> list[str]:
    return [f"{name} {shape}" for name in ("floor", "rim", "ejecta")]


class Stats:
    """Statistics of 20,000 craters on a mosaic of 33 megapixels, in four chunks."""

    params = (COVERAGES, SHAPES, ("int16", "float32"))
    param_names = ("coverage", "shape", "dtype")
    timeout = 300

    def setup(self, coverage: str, shape: str, dtype: str) -> None:
        self.cdb = lunar_craters(20_000)
        few = tutorial.synthetic_craters("moon", 50)
        mosaic = tutorial.synthetic_mosaic("moon", ppd=16, craters=few, chunks=2880, dtype=dtype, roughness=1000.0)
        self.da = mosaic.persist()
        self.regions = regions(shape)
        self.run(coverage, ["mean"])

    def run(self, coverage: str, stats: list[str]) -> None:
        self.da.craters.get_stats(self.cdb, self.regions, stats, coverage=coverage).compute()

    def time_moments(self, coverage: str, shape: str, dtype: str) -> None:
        self.run(coverage, ["count", "mean", "std", "min", "max"])

    def peakmem_moments(self, coverage: str, shape: str, dtype: str) -> None:
        self.run(coverage, ["count", "mean", "std", "min", "max"])

    def time_order_statistics(self, coverage: str, shape: str, dtype: str) -> None:
        self.run(coverage, ["median", "percentile_90", "majority"])


class Rings:
    """Twenty rings of equal width, compared with the disc they make up, for one large crater and many small ones."""

    params = (("one crater of 600 km", "20,000 craters"), (1, 20))
    param_names = ("table", "rings")

    def setup(self, table: str, rings: int) -> None:
        self.cdb = lunar_craters(20_000)
        if table.startswith("one"):
            one = pd.DataFrame({"lat": [12.0], "lon": [3.0], "diameter": [600.0]})
            self.cdb = xcrater.CraterDatabase(one, "moon", units="km")
        edges = np.linspace(0, 3, rings + 1)
        for n in range(rings):
            self.cdb.add_annuli(f"ring {n}", edges[n], edges[n + 1], nvert=None)
        self.names = [f"ring {n}" for n in range(rings)]
        few = tutorial.synthetic_craters("moon", 50)
        self.da = tutorial.synthetic_mosaic("moon", ppd=16, craters=few, dtype="int16").compute()
        self.time_rings(table, rings)

    def time_rings(self, table: str, rings: int) -> None:
        self.da.craters.get_stats(self.cdb, self.names, "mean", coverage="center")


class Plan:
    """Building the graph for a million craters on a raster of a gigapixel, which is never read."""

    params = (10_000, 1_000_000)
    param_names = ("craters",)
    timeout = 300

    def setup(self, craters: int) -> None:
        self.cdb = lunar_craters(craters, 1.0)
        self.da = tutorial.synthetic_mosaic(
            "moon", ppd=128, craters=tutorial.synthetic_craters("moon", 10), chunks=4096
        )

    def build(self):
        return self.da.craters.get_stats(self.cdb, regions("true circles"), ["mean", "std"])

    def time_build(self, craters: int) -> None:
        self.build()

    def peakmem_build(self, craters: int) -> None:
        self.build()

    def track_tasks(self, craters: int) -> int:
        return len(self.build().__dask_graph__())

    def track_graph_bytes(self, craters: int) -> int:
        return len(pickle.dumps(dict(self.build().__dask_graph__())))

    track_graph_bytes.unit = "bytes"  # type: ignore[attr-defined]


class Arrays:
    """Arrays of the pixels of 5,000 craters."""

    params = (SHAPES,)
    param_names = ("shape",)

    def setup(self, shape: str) -> None:
        self.cdb = lunar_craters(5_000)
        few = tutorial.synthetic_craters("moon", 50)
        self.da = tutorial.synthetic_mosaic("moon", ppd=16, craters=few, chunks=1440, dtype="int16").persist()
        self.arrays = self.da.craters.get_arrays(self.cdb, f"rim {shape}")
        self.arrays[f"rim {shape}"].iloc[0].compute()

    def time_container(self, shape: str) -> None:
        self.da.craters.get_arrays(self.cdb, f"rim {shape}")

    def time_element(self, shape: str) -> None:
        _ = self.arrays[f"rim {shape}"].iloc[7]

    def time_all(self, shape: str) -> None:
        self.arrays.compute()

    def peakmem_all(self, shape: str) -> None:
        self.arrays.compute()


class Pixels:
    """Operations other than statistics on the pixels of 5,000 craters."""

    params = (("mask", "map", "exclude", "profile", "sectors", "chips", "depths", "ragged"),)
    param_names = ("operation",)
    timeout = 300

    def setup(self, operation: str) -> None:
        self.cdb = lunar_craters(5_000)
        few = tutorial.synthetic_craters("moon", 50)
        self.da = tutorial.synthetic_mosaic("moon", ppd=8, craters=few, chunks=720, dtype="int16").persist()
        self.run(operation)

    def run(self, operation: str) -> None:
        craters, cdb, rim = self.da.craters, self.cdb, "rim true circles"
        if operation == "mask":
            craters.mask(cdb, rim, kind="count").compute()
        elif operation == "map":
            craters.map(cdb, rim, np.ptp).compute()
        elif operation == "exclude":
            craters.get_stats(cdb, rim, "mean", exclude=1.0).compute()
        elif operation == "profile":
            craters.radial_profile(cdb, 20).compute()
        elif operation == "sectors":
            craters.radial_profile(cdb, 20, sectors=8).compute()
        elif operation == "chips":
            craters.chips(cdb, 32).compute()
        elif operation == "depths":
            craters.depths(cdb).compute()
        elif operation == "ragged":
            craters.get_arrays(cdb, rim)[rim].to_ragged()

    def time_operation(self, operation: str) -> None:
        self.run(operation)

    def peakmem_operation(self, operation: str) -> None:
        self.run(operation)
