"""The table in the README: statistics of a Robbins-sized table on a global mosaic, against reading the mosaic once.

    python benchmarks/headline.py              128 pixels per degree, 1.06 gigapixels, 1.3 million craters
    python benchmarks/headline.py --ppd 256    4.2 gigapixels
    python benchmarks/headline.py --small      a few seconds, for continuous integration

The mosaic (int16 elevations, 512-pixel tiles, deflate with predictor) and the craters (sizes as N(>D) ~ D**-1.75 from 1
to 2500 km, uniform on the sphere) are made once from fixed seeds, under --data. Each measurement runs in its own
process. The measurements of a round follow each other, so that a drift of the machine's speed affects all alike;
medians of the rounds are printed. exactextract, rasterstats, craterpy and, where available, GDAL's zonal statistics run
on a sample of the same craters. The mosaic in other file formats, and a second one of twice the resolution, are made
once as well; ``--no-variants`` leaves them out.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

REGIONS = {"floor": (0.0, 1.0), "rim": (1.0, 1.5), "ejecta": (1.0, 3.0)}
STATS = ("count", "mean", "std", "min", "max")
MOON = 1737.4


def make_craters(path: Path, count: int) -> None:
    """Write a table like Robbins' with CRATER_ID, LAT_CIRC_IMG, LON_CIRC_IMG and DIAM_CIRC_IMG (km)."""
    rng = np.random.default_rng(2018)
    diameter = rng.uniform(2500.0**-1.75, 1.0, count) ** (-1 / 1.75)
    table = {
        "CRATER_ID": np.arange(count),
        "LAT_CIRC_IMG": np.degrees(np.arcsin(rng.uniform(-1, 1, count))),
        "LON_CIRC_IMG": rng.uniform(0, 360, count),
        "DIAM_CIRC_IMG": diameter,
    }
    pd.DataFrame(table).to_parquet(path)


def make_mosaic(path: Path, ppd: int) -> None:
    """Write a mosaic of rough terrain, craters, and noise of a few metres, as in laser altimetry."""
    import rasterio

    from xcrater import tutorial

    craters = tutorial.synthetic_craters("moon", 2000, apart=0, diameters=(20e3, 200e3))
    da = tutorial.synthetic_mosaic("moon", ppd=ppd, craters=craters, chunks=2048, roughness=1500.0, dtype="float32")
    height, width = da.shape
    profile = {
        "driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": "int16", "tiled": True,
        "blockxsize": 512, "blockysize": 512, "compress": "deflate", "predictor": 2, "zlevel": 6, "BIGTIFF": "YES",
        "crs": da.rio.crs, "transform": da.rio.transform(), "num_threads": 2,
    }  # fmt: skip
    partial = path.with_suffix(f".{os.getpid()}.tif")
    with rasterio.open(partial, "w", **profile) as out:
        for row in range(0, height, 2048):
            band = da[row : row + 2048].compute()
            noise = np.random.default_rng(row).normal(0, 4, band.shape).astype("float32")
            out.write(
                np.rint(band.values + noise).clip(-32000, 32000).astype("int16"),
                1,
                window=((row, row + len(band)), (0, width)),
            )
    partial.replace(path)


def make_variant(source: str, path: Path, kind: str) -> None:
    """Write the mosaic in another form: with scale and offset, as float32, or in strips of one row."""
    import rasterio
    from rasterio.windows import Window

    partial = path.with_suffix(f".{os.getpid()}.tif")
    if kind == "scaled":
        shutil.copy(source, partial)
        with rasterio.open(partial, "r+") as out:
            out.scales, out.offsets = (0.5,), (1000.0,)
    else:
        with rasterio.open(source) as mosaic:
            profile = mosaic.profile | {"num_threads": 2, "BIGTIFF": "YES"}
            profile |= {"dtype": "float32", "predictor": 3} if kind == "float32" else {"tiled": False, "blockysize": 1}
            if kind == "strips":
                profile.pop("blockxsize")
            with rasterio.open(partial, "w", **profile) as out:
                for row in range(0, mosaic.height, 512):
                    window = Window(0, row, mosaic.width, min(512, mosaic.height - row))
                    out.write(mosaic.read(1, window=window).astype(profile["dtype"]), 1, window=window)
    partial.replace(path)


def read_only(raster: str, side: int | str) -> dict:
    """Read every chunk on dask's threads and drop it."""
    import dask

    import xcrater

    da = xcrater.open_mosaic(raster, chunks=side)
    tasks = [dask.delayed(np.size)(block) for block in da.data.to_delayed().ravel()]
    dask.compute(*tasks, scheduler="threads")
    return {}


def run_xcrater(
    raster: str, craters: str, nvert: int, coverage: str, stats: list[str] | tuple[str, ...] = STATS
) -> dict:
    """Time from opening the file to a finished DataFrame with a column for each region and statistic."""
    import xcrater

    start = time.perf_counter()
    cdb = xcrater.CraterDatabase(craters, "moon", units="km")
    for name, (inner, outer) in REGIONS.items():
        cdb.add_annuli(name, inner, outer, nvert=nvert or None)
    table = time.perf_counter()
    frame = cdb.get_stats(xcrater.open_mosaic(raster), list(REGIONS), stats, coverage=coverage)
    done = time.perf_counter()
    pixels = int(sum(frame[f"count_{name}"].sum() for name in REGIONS)) if "count" in stats else 0
    return {"table": table - start, "statistics": done - table, "pixels": pixels}


def run_plan(raster: str, craters: str) -> dict:
    """Time from the call to the graph, and the size of the graph."""
    import cloudpickle

    import xcrater

    cdb = xcrater.CraterDatabase(craters, "moon", units="km")
    for name, (inner, outer) in REGIONS.items():
        cdb.add_annuli(name, inner, outer, nvert=None)
    da = xcrater.open_mosaic(raster)
    start = time.perf_counter()
    lazy = da.craters.get_stats(cdb, list(REGIONS), STATS, coverage="center")
    planned = time.perf_counter()
    ours = {k: v for k, v in lazy["mean"].data.dask.layers.items() if k.startswith("craters")}
    size = sum(len(cloudpickle.dumps(dict(layer))) for layer in ours.values())
    return {"inner": planned - start, "bytes": size / len(cdb), "tasks": sum(map(len, ours.values()))}


def table_of(craters: str, smallest_km: float = 0.0, count: int = 0, largest_km: float = np.inf):
    """The table with its regions, restricted to a range of diameters and to a sample if requested."""
    import xcrater

    table = pd.read_parquet(craters)
    table = table[table["DIAM_CIRC_IMG"].between(smallest_km, largest_km)]
    cdb = xcrater.CraterDatabase(table.sample(min(count or len(table), len(table)), random_state=1), "moon", units="km")
    for name, (inner, outer) in REGIONS.items():
        cdb.add_annuli(name, inner, outer, nvert=None)
    return cdb


def run_container(raster: str, craters: str) -> dict:
    """Time to make lazy arrays of all craters and regions, and to look one up."""
    import xcrater

    cdb, da = table_of(craters), xcrater.open_mosaic(raster)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    arrays = da.craters.get_arrays(cdb, list(REGIONS), coverage="center")
    made = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    rim = arrays["rim"]
    _ = rim.iloc[0]
    looked = time.perf_counter()
    for n in range(1, 1001):
        _ = rim.iloc[n]
    return {"inner": made - start, "more": peak, "each": (time.perf_counter() - looked) / 1000}


def run_blocks(raster: str, craters: str, regions: list[str], largest_km: float) -> dict:
    """Time to compute every masked array of the smaller craters, batch by batch."""
    import xcrater

    cdb, da = table_of(craters, largest_km=largest_km), xcrater.open_mosaic(raster)
    start = time.perf_counter()
    arrays = da.craters.get_arrays(cdb, regions, coverage="center")
    blocks = sum(frame.size for frame in arrays.iter_computed(batch=50_000))
    return {"inner": time.perf_counter() - start, "count": blocks}


def run_operation(raster: str, craters: str, operation: str, smallest_km: float, count: int) -> dict:
    """Time to compute one of the other operations."""
    import xcrater
    from xcrater.options import get_option

    cdb, da = table_of(craters, smallest_km, count), xcrater.open_mosaic(raster)
    on, rim = da.craters, "rim"
    if operation == "map":  # needs four times the bytes of a crater's pixels, which does not fit for a few basins
        fitting = 4 * on.plan(cdb, rim, coverage="center").sizes <= get_option("memory")
        cdb = cdb[fitting.to_numpy()]
    run = {
        "statistics": lambda: on.get_stats(cdb, "ejecta", ["mean", "std"], coverage="center"),
        "exclude": lambda: on.get_stats(
            cdb, "ejecta", ["mean", "std"], coverage="center", exclude=xcrater.Exclude(min_ratio=0.25)
        ),
        "profile": lambda: on.radial_profile(cdb, 20, "mean", outer=3.0),
        "sectors": lambda: on.radial_profile(cdb, 20, "mean", outer=3.0, sectors=8),
        "map": lambda: on.map(cdb, rim, np.ptp, coverage="center"),
        "depths": lambda: on.depths(cdb),
        "mask": lambda: on.mask(cdb, rim, kind="count", coverage="center").max(),
        "chips": lambda: on.chips(cdb, 64, order="tiles").max(("y", "x")),
    }[operation]
    start = time.perf_counter()
    run().compute()
    return {"inner": time.perf_counter() - start, "count": len(cdb)}


def run_parts(raster: str, craters: str, nvert: int, coverage: str) -> dict:
    """Time that a single thread spends in each part of `run_xcrater`."""
    import dask

    from xcrater import kernels
    from xcrater.engine import graph, request
    from xcrater.statistics import finish, leaf

    parts = {}

    def watch(owner, name: str, title: str) -> None:
        function = getattr(owner, name)

        def timed(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                parts[title] = parts.get(title, 0.0) + time.perf_counter() - start

        setattr(owner, name, timed)

    watch(kernels, "accumulate", "spans and accumulate")
    watch(kernels, "summarise", "summarise squares")
    watch(leaf.Leaf, "__call__", "leaf")
    watch(finish.Finish, "__call__", "merge and finalise")
    watch(graph, "reduce_rounds", "graph")
    watch(request, "make_plan", "plan")
    start = time.perf_counter()
    with dask.config.set(scheduler="synchronous"):
        run_xcrater(raster, craters, nvert, coverage)
    whole = time.perf_counter() - start
    parts["rest of the leaves"] = (
        parts.pop("leaf") - parts["spans and accumulate"] - parts.get("summarise squares", 0.0)
    )
    parts["read, decode and everything else"] = whole - sum(parts.values())
    return {"parts": parts}


def sample_of(craters: str, count: int) -> pd.DataFrame:
    return pd.read_parquet(craters).sample(count, random_state=1)


def polygons(craters: str, count: int):
    import xcrater

    cdb = xcrater.CraterDatabase(sample_of(craters, count), "moon", units="km")
    for name, (inner, outer) in REGIONS.items():
        cdb.add_annuli(name, inner, outer)
    return {name: getattr(cdb, name) for name in REGIONS}


def run_exactextract(raster: str, craters: str, count: int, strategy: str) -> dict:
    """Time of five statistics of a sample, without making the polygons."""
    import geopandas
    from exactextract import exact_extract

    frames = [
        geopandas.GeoDataFrame(geometry=list(shapes), crs="IAU_2015:30100")
        for shapes in polygons(craters, count).values()
    ]
    start = time.perf_counter()
    for frame in frames:
        exact_extract(raster, frame, ["count", "mean", "stdev", "min", "max"], strategy=strategy)
    return {"inner": time.perf_counter() - start}


def run_rasterstats(raster: str, craters: str, count: int) -> dict:
    """Time of five statistics of a sample, without making the polygons."""
    from rasterstats import zonal_stats

    shapes = polygons(craters, count)
    start = time.perf_counter()
    for geometries in shapes.values():
        zonal_stats(list(geometries), raster, stats=list(STATS), all_touched=True, nodata=-32768)
    return {"inner": time.perf_counter() - start}


def gdal_commands():
    """A function that runs a command of GDAL 3.12 or newer, given as a list of words, or None without such a GDAL.

    It uses the program ``gdal``, or the library contained in the wheels of rasterio or pyogrio.
    """
    program = shutil.which("gdal")
    found = re.search(r"GDAL (\d+)\.(\d+)", run_quietly([program, "--version"])) if program else None
    if found and (int(found[1]), int(found[2])) >= (3, 12):
        return lambda words: run_quietly([program, *words])
    for name in ("rasterio", "pyogrio"):
        package = importlib.util.find_spec(name)
        beside = Path(package.origin).parents[1] / f"{name}.libs" if package and package.origin else Path()
        for path in beside.glob("libgdal*"):
            importlib.import_module(name)  # sets the library's data directory
            library = ctypes.CDLL(str(path))
            library.GDALVersionInfo.restype = ctypes.c_char_p
            if int(library.GDALVersionInfo(b"VERSION_NUM")) >= 3_120_000:
                return lambda words, library=library: run_algorithm(library, words)
    return None


def run_quietly(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def run_algorithm(library, words: list[str]) -> None:
    """Run a command of GDAL, given as group, name and arguments, through the C interface to its algorithms."""
    handle, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
        ("GDALGetGlobalAlgorithmRegistry", handle, ()),
        ("GDALAlgorithmRegistryInstantiateAlg", handle, (handle, text)),
        ("GDALAlgorithmInstantiateSubAlgorithm", handle, (handle, text)),
        ("GDALAlgorithmParseCommandLineArguments", ctypes.c_bool, (handle, ctypes.POINTER(text))),
        ("GDALAlgorithmRun", ctypes.c_bool, (handle, handle, handle)),
        ("GDALAlgorithmFinalize", ctypes.c_bool, (handle,)),
        ("CPLGetLastErrorMsg", text, ()),
    ):
        getattr(library, name).restype, getattr(library, name).argtypes = result, arguments
    library.GDALAllRegister()
    group, name, *arguments = (word.encode() for word in words)
    algorithm = library.GDALAlgorithmInstantiateSubAlgorithm(
        library.GDALAlgorithmRegistryInstantiateAlg(library.GDALGetGlobalAlgorithmRegistry(), group), name
    )
    listed = (text * (len(arguments) + 1))(*arguments, None)
    if not (
        library.GDALAlgorithmParseCommandLineArguments(algorithm, listed)
        and library.GDALAlgorithmRun(algorithm, None, None)
        and library.GDALAlgorithmFinalize(algorithm)
    ):
        raise SystemExit(f"gdal {' '.join(words)}: {library.CPLGetLastErrorMsg().decode()}")


def run_gdal(raster: str, craters: str, count: int, pixels: str, regions: list[str]) -> dict:
    """Time of five statistics of a sample, without making and writing the polygons."""
    import geopandas

    command = gdal_commands()
    with tempfile.TemporaryDirectory() as folder:
        zones = {name: Path(folder) / f"{name}.gpkg" for name in regions}
        shapes = polygons(craters, count)
        for name, path in zones.items():
            geopandas.GeoDataFrame(geometry=list(shapes[name]), crs="IAU_2015:30100").to_file(path)
        statistics = [f"--stat={name}" for name in ("count", "mean", "stdev", "min", "max")]
        start = time.perf_counter()
        for path in zones.values():
            table = str(path.with_suffix(".csv"))
            command(["raster", "zonal-stats", f"--zones={path}", f"--pixels={pixels}", *statistics, raster, table])
        return {"inner": time.perf_counter() - start}


def run_sample(raster: str, craters: str, count: int, coverage: str, regions: list[str]) -> dict:
    """Time of five statistics of the same sample by xcrater, with the same polygons."""
    import xcrater

    cdb = xcrater.CraterDatabase(sample_of(craters, count), "moon", units="km")
    for name in regions:
        cdb.add_annuli(name, *REGIONS[name])
    start = time.perf_counter()
    cdb.get_stats(xcrater.open_mosaic(raster), regions, STATS, coverage=coverage)
    return {"inner": time.perf_counter() - start}


def run_craterpy(raster: str, craters: str, count: int) -> dict:
    """Time of regions and statistics of a sample by craterpy, on one core."""
    import craterpy

    table = sample_of(craters, count)
    start = time.perf_counter()
    cdb = craterpy.CraterDatabase(
        table, "moon", units="km", lat_col="LAT_CIRC_IMG", lon_col="LON_CIRC_IMG", diam_col="DIAM_CIRC_IMG"
    )
    for name, (inner, outer) in REGIONS.items():
        cdb.add_annuli(name, inner, outer, n_jobs=1)
    cdb.get_stats(raster, list(REGIONS), STATS, nodata=-32768, n_jobs=1)
    return {"inner": time.perf_counter() - start}


def child(task: list) -> None:
    """Run one measurement and print it as JSON."""
    name, *args = task
    start = time.perf_counter()
    result = globals()[name](*args)
    result["seconds"] = time.perf_counter() - start
    result["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print("RESULT " + json.dumps(result))


def measure(task: list) -> dict:
    """Run one measurement in its own process."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--child", json.dumps(task)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{task}: {done.stderr[-2000:]}")
    result = json.loads(done.stdout.split("RESULT ")[-1])
    result["process"] = time.perf_counter() - start
    return result


def import_ratio(times: int) -> float:
    """Time to import xcrater relative to importing xarray, rioxarray and dask.array, measured in turn."""
    seconds: dict[str, list[float]] = {"xarray, rioxarray, dask.array": [], "xcrater": []}
    for _ in range(times):
        for modules, spent in seconds.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-W", "ignore", "-c", f"import {modules}"], check=True)
            spent.append(time.perf_counter() - start)
    dependencies, ours = (statistics.median(spent) for spent in seconds.values())
    return ours / dependencies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ppd", type=int, default=128)
    parser.add_argument("--craters", type=int, default=1_300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="8 pixels per degree, 5,000 craters, one round")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-variants", action="store_true", help="only the one mosaic, no other kinds of files")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "xcrater-bench"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(json.loads(options.child))
        return
    if options.small:
        options.ppd, options.craters, options.rounds = 8, 5_000, 1
    options.data.mkdir(parents=True, exist_ok=True)
    raster, craters = options.data / f"moon_{options.ppd}ppd.tif", options.data / f"craters_{options.craters}.parquet"
    if not craters.exists():
        make_craters(craters, options.craters)
    if not raster.exists():
        make_mosaic(raster, options.ppd)
    raster, craters = str(raster), str(craters)
    sample = 20 if options.small else 300

    reads = {
        f"read once, {side} px chunks": ["read_only", raster, side]
        for side in ((512,) if options.small else (1024, 2048, 4096))
    }
    ours = {
        "xcrater, true circles, center": ["run_xcrater", raster, craters, 0, "center"],
        "xcrater, 32-vertex polygons, all_touched": ["run_xcrater", raster, craters, 32, "all_touched"],
    }
    others = {
        "xcrater, true circles, exact": ["run_xcrater", raster, craters, 0, "exact"],
        "xcrater, 32-vertex polygons, exact": ["run_xcrater", raster, craters, 32, "exact"],
        "xcrater, true circles, center, mean and std": ["run_xcrater", raster, craters, 0, "center", ["mean", "std"]],
        "xcrater, true circles, center, median and percentile_90": [
            "run_xcrater", raster, craters, 0, "center", ["median", "percentile_90"]
        ],
    }  # fmt: skip
    peers = {
        "exactextract, feature-sequential": ["run_exactextract", raster, craters, sample, "feature-sequential"],
        "exactextract, raster-sequential": ["run_exactextract", raster, craters, sample * 10, "raster-sequential"],
        "rasterstats": ["run_rasterstats", raster, craters, sample],
        "craterpy": ["run_craterpy", raster, craters, sample],
    }
    if gdal_commands():
        peers |= {
            f"gdal raster zonal-stats, {title}": ["run_gdal", raster, craters, sample * 10, pixels, list(REGIONS)]
            for pixels, title in {"all-touched": "touched pixels", "fractional": "exact fractions"}.items()
        }
    if options.no_peers:
        peers = {}
    large, some = (50.0, 200) if options.small else (5.0, 20_000)
    pixels = {
        "arrays of the rim, craters to 20 km": ["run_blocks", raster, craters, ["rim"], 20.0],
        "arrays of all regions, craters to 20 km": ["run_blocks", raster, craters, list(REGIONS), 20.0],
    } | {
        f"{title}, craters from {large:g} km": ["run_operation", raster, craters, name, large, 0]
        for name, title in {
            "statistics": "mean and std of the ejecta",
            "exclude": "the same without neighbours",
            "profile": "profile of 20 rings",
            "sectors": "profile of 20 rings by 8 sectors",
            "map": "a function of the rim's pixels",
            "depths": "depths",
            "mask": "mask of all rims",
        }.items()
    }
    pixels[f"chips of 64 by 64, {some:,} craters"] = ["run_operation", raster, craters, "chips", 0.0, some]
    variants = {
        "scaled": "int16 with a scale and an offset",
        "float32": "float32",
        "strips": "strips of one row across the map",
        "fine": f"{2 * options.ppd} pixels per degree",
    }
    files = {}
    for kind, title in {} if options.no_variants else variants.items():
        path = options.data / (
            f"moon_{2 * options.ppd}ppd.tif" if kind == "fine" else f"{Path(raster).stem}_{kind}.tif"
        )
        if not path.exists() and kind == "fine":
            make_mosaic(path, 2 * options.ppd)
        elif not path.exists():
            make_variant(raster, path, kind)
        files[title] = (
            ["read_only", str(path), "auto"],
            ["run_xcrater", str(path), craters, 0, "center"],
        )
    rims = {"xcrater": ["run_sample", raster, craters, some, "all_touched", ["rim"]]}
    if "run_gdal" in {task[0] for task in peers.values()}:
        rims["gdal raster zonal-stats"] = ["run_gdal", raster, craters, some, "all-touched", ["rim"]]
    measure(ours["xcrater, true circles, center"])  # compiles any kernels not cached yet
    results: dict[str, list[dict]] = {}
    for _ in range(options.rounds):
        for name, task in (reads | ours | others | peers | pixels).items():
            results.setdefault(name, []).append(measure(task))

    def median(name: str, key: str = "seconds") -> float:
        return statistics.median(r[key] for r in results[name])

    read = min(median(name) for name in reads)
    pairs = options.craters * len(REGIONS)
    python = f"Python {platform.python_version()}"
    print(
        f"{options.ppd} pixels per degree, {options.craters:,} craters, {len(REGIONS)} regions, {len(STATS)} statistics"
    )
    print(f"{platform.machine()}, {os.cpu_count()} cores, {python}, median of {options.rounds}\n")
    print("| | seconds | x reading once | crater-regions/s | pixels/s | peak memory |\n|---|---|---|---|---|---|")
    for name in reads:
        print(f"| {name} | {median(name):.2f} | {median(name) / read:.2f} | | | {median(name, 'peak') / 1e9:.2f} GB |")
    for name in ours | others:
        s = median(name)
        print(
            f"| {name} | {s:.2f} | {s / read:.2f} | {pairs / s:,.0f} | {median(name, 'pixels') / s:.3g} "
            f"| {median(name, 'peak') / 1e9:.2f} GB |"
        )
    of_peer = {name: median(name, "inner") / (task[3] * len(REGIONS)) for name, task in peers.items()}
    for name, task in peers.items():
        title = f"{name}, extrapolated from {task[3]:,} craters"
        whole = of_peer[name] * pairs
        print(f"| {title} | {whole:,.0f} | {whole / read:,.0f} | {1 / of_peer[name]:,.0f} | | |")
    print("\n| | seconds | x reading once | a second | peak memory |\n|---|---|---|---|---|")
    for name in pixels:
        s, peak = median(name, "inner"), median(name, "peak") / 1e9
        print(f"| {name} | {s:.2f} | {s / read:.2f} | {median(name, 'count') / s:,.0f} | {peak:.2f} GB |")
    container = [measure(["run_container", raster, craters]) for _ in range(options.rounds)]
    made, more, each = (statistics.median(c[key] for c in container) for key in ("inner", "more", "each"))
    print(f"lazy arrays of {pairs:,} regions made in {made:.2f} s and {more / 1e6:.0f} MB, {each * 1e3:.2f} ms each\n")
    print("| file, xcrater, true circles, center | reading once | seconds | x reading once |\n|---|---|---|---|")
    for title, tasks in files.items():
        once, s = (statistics.median(measure(task)["seconds"] for _ in range(options.rounds)) for task in tasks)
        print(f"| {title} | {once:.2f} | {s:.2f} | {s / once:.2f} |")
    print(f"\n| {some:,} rims, 32-vertex polygons, touched pixels | seconds |\n|---|---|")
    for name, task in rims.items():
        print(f"| {name} | {statistics.median(measure(task)['inner'] for _ in range(options.rounds)):.2f} |")
    print()
    ours_each = median("xcrater, 32-vertex polygons, all_touched") / pairs
    for name in peers:
        print(f"xcrater is {of_peer[name] / ours_each:,.0f} x {name} per crater and region")
    exact = median("xcrater, true circles, exact") / median("xcrater, true circles, center")
    order = median("xcrater, true circles, center, median and percentile_90") / median(
        "xcrater, true circles, center, mean and std"
    )
    print(
        f"exact fractions take {exact:.2f} x the time of centres; median and percentile_90 {order:.2f} x mean and std"
    )
    for name in peers:
        if name.startswith("exactextract"):
            fractions = median("xcrater, 32-vertex polygons, exact") / pairs
            print(f"exact fractions of polygons: {of_peer[name] / fractions:,.0f} x {name}")
    planned = [measure(["run_plan", raster, craters]) for _ in range(options.rounds)]
    print(
        f"from call to graph: {statistics.median(p['inner'] for p in planned):.2f} s, {planned[0]['tasks']} tasks, "
        f"{planned[0]['bytes']:.1f} bytes of pickled graph per crater"
    )
    for name, task in ours.items():
        print(f"\n{name}, one thread:")
        parts = measure(["run_parts", *task[1:]])["parts"]
        for part, seconds in sorted(parts.items(), key=lambda item: -item[1]):
            print(f"  {seconds:6.2f} s  {part}")
    print()
    print(f"import xcrater: {import_ratio(5):.2f} x importing xarray, rioxarray and dask.array")


if __name__ == "__main__":
    main()
