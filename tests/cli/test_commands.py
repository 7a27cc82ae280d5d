"""Commands write what the library computes, refuse bad input in one line, and leave no half-written files."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import click.testing
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import rasterio
import shapely
import xarray as xr

import xcrater
from xcrater import CraterDatabase, tutorial
from xcrater.cli import cli, main


class Result(NamedTuple):
    """The result of a command as a shell sees it: its exit code and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def run(*args, cwd="."):
    """Run a command in this process, through the entry point of the installed command."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        mock.patch.object(sys, "argv", ["xcrater", *map(str, args)]),
        pytest.raises(SystemExit) as exit_,
    ):
        main()
    return Result(exit_.value.code, stdout.getvalue(), stderr.getvalue())


def run_as_a_process(*args, cwd=None):
    """Run a command in a process, as users and batch jobs do; importing takes seconds, so few tests do so."""
    return subprocess.run(
        [sys.executable, "-m", "xcrater", *map(str, args)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        check=False,
    )


def assert_refused(result, *parts):
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    for part in ("xcrater: ", *parts):
        assert part in lines[0]


@pytest.fixture(scope="module")
def raster(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("raster") / "dem.tif"
    craters = tutorial.synthetic_craters("moon", 30)
    tutorial.synthetic_mosaic("moon", ppd=4, craters=craters, dtype="int16").rio.to_raster(path, tiled=True)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("table") / "craters.csv"
    craters = tutorial.synthetic_craters("moon", 30)
    frame = pd.DataFrame({"Lat": craters.lat, "Lon": craters.lon, "Diameter (km)": 2 * craters.rad / 1000})
    frame.to_csv(path, index=False)
    return path


ARGS = ("--body", "moon", "--units", "km")


def test_stats_writes_what_the_library_computes(raster, table, tmp_path):
    out = tmp_path / "stats.parquet"
    result = run(
        "stats", raster, table, *ARGS, "--region", "rim=1:1.5", "--region", "floor=0.8",
        "--stats", "mean,std,count,percentile_90", "--out", out, "--threads", 2,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert f"{out}: 30 craters, 11 columns" in result.stderr
    cdb = CraterDatabase(table, "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    cdb.add_circles("floor", 0.8)
    expected = cdb.get_stats(raster, ["rim", "floor"], ["mean", "std", "count", "percentile_90"])
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected)
    assert os.listdir(tmp_path) == ["stats.parquet"]
    described = json.loads(pyarrow.parquet.read_schema(out).metadata[b"xcrater_run"])
    assert described["xcrater"] == xcrater.__version__
    assert described["command"].startswith("xcrater stats ")
    assert described["rasters"]["raster"]["source"] == str(raster)
    assert described["table"]["craters"] == 30
    assert list(described["regions"]) == ["rim", "floor"]
    assert described["options"]["stats"] == ["mean", "std", "count", "percentile_90"]


def test_stats_as_csv_of_true_circles(raster, table, tmp_path):
    out = tmp_path / "stats.csv"
    result = run_as_a_process(
        "stats",
        raster,
        table,
        *ARGS,
        "--region",
        "rim=1:1.5",
        "--out",
        out,
        "--nvert",
        0,
        "--coverage",
        "center",
        "--quiet",
    )
    assert (result.returncode, result.stderr) == (0, "")
    cdb = CraterDatabase(table, "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5, nvert=None)
    expected = cdb.get_stats(raster, "rim", coverage="center")
    pd.testing.assert_frame_equal(pd.read_csv(out), expected)


def test_stats_of_ellipses(raster, table, tmp_path):
    frame = pd.read_csv(table)
    size = frame["Diameter (km)"]
    frame = frame.assign(DIAM_ELLI_MAJOR_IMG=1.2 * size, DIAM_ELLI_MINOR_IMG=0.8 * size, DIAM_ELLI_ANGLE_IMG=30.0)
    frame.to_csv(tmp_path / "fits.csv", index=False)
    out = tmp_path / "stats.csv"
    result = run("stats", raster, tmp_path / "fits.csv", *ARGS, "--ellipse", "rim=1:1.5", "--out", out, "--quiet")
    assert (result.returncode, result.stderr) == (0, "")
    cdb = CraterDatabase(frame, "moon", units="km")
    cdb.add_ellipses("rim", 1, 1.5)
    pd.testing.assert_frame_equal(pd.read_csv(out), cdb.get_stats(raster, "rim"))


@pytest.mark.slow
def test_stats_on_a_cluster(raster, table, tmp_path):
    from distributed import LocalCluster

    out = tmp_path / "stats.csv"
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        result = run(
            "stats",
            raster,
            table,
            *ARGS,
            "--region",
            "rim=1:1.5",
            "--out",
            out,
            "--scheduler",
            cluster.scheduler_address,
        )
    assert result.returncode == 0, result.stderr
    cdb = CraterDatabase(table, "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    pd.testing.assert_frame_equal(pd.read_csv(out), cdb.get_stats(raster, "rim"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_interrupted_stats_leave_no_half_written_file(sent, code, raster, table, tmp_path):
    """A batch job that is stopped midway leaves the earlier result intact, and nothing else behind."""
    out = tmp_path / "stats.csv"
    out.write_text("earlier result\n")
    many = pd.concat([pd.read_csv(table)] * 6000)
    many.to_csv(tmp_path / "many.csv", index=False)
    # Imports may take long on a cold machine, so the clock starts when they are done. A shell's background jobs ignore
    # interrupts and pass this on to their children, and the tests may run in one.
    command = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from xcrater.cli import main; print('ready', flush=True); main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", command, "stats", str(raster), str(tmp_path / "many.csv"), *ARGS,
         "--region", "big=0:80", "--out", str(out), "--overwrite"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        time.sleep(1.5)
        process.send_signal(sent)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert out.read_text() == "earlier result\n"
    assert sorted(os.listdir(tmp_path)) == ["many.csv", "stats.csv"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_second_run_on_the_table_written_by_the_first(suffix, raster, table, tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / f"second.{suffix}"
    args = (*ARGS, "--region", "rim=1:1.5", "--stats", "mean", "--quiet")
    assert run("stats", raster, table, *args, "--out", first).returncode == 0
    again = ("stats", raster, first, *ARGS, "--region", "rim=1:2", "--stats", "mean", "--quiet", "--out", second)
    assert_refused(run(*again), "first.csv", "'mean_rim'. Add --replace to replace them")
    assert sorted(os.listdir(tmp_path)) == ["first.csv", "first.csv.json"]
    assert run(*again, "--replace").returncode == 0
    found = pd.read_csv(second) if suffix == "csv" else pd.read_parquet(second)
    assert list(found.columns) == list(pd.read_csv(first).columns)
    assert (found["mean_rim"] != pd.read_csv(first)["mean_rim"]).any()


def test_stats_of_a_table_left_empty_by_a_filter(raster, table, tmp_path):
    pd.read_csv(table).iloc[:0].to_csv(tmp_path / "none.csv", index=False)
    out = tmp_path / "stats.csv"
    result = run(
        "stats", raster, tmp_path / "none.csv", *ARGS, "--region", "rim=1:1.5", "--stats", "mean", "--out", out
    )
    assert result.returncode == 0, result.stderr
    assert pd.read_csv(out).columns.tolist() == ["Lat", "Lon", "Diameter (km)", "mean_rim"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("lat;lon;diam_km\n10;20;1,234\n", "whose comma may stand before decimals or between thousands"),
        ("lat,lon,diam_km\n1,2,10.5,20.25,30\n", "more cells than the 3 of the header"),
        ("lat,lon,Diameter (px)\n10.5,20.25,30\n", "says pixels"),
        ("lat,Lon_W,diam_km\n10.5,-20.25,30\n", "all of its numbers are negative"),
        ("lat,lon,diam_km\n10:30:00,20.25,30\n", "degrees, minutes and seconds"),
    ],
)
def test_faulty_tables_are_refused_before_the_raster_is_read(text, part, tmp_path):
    (tmp_path / "craters.csv").write_text(text)
    args = ("--region", "rim=1:1.5", "--out", tmp_path / "stats.csv")
    assert_refused(run("stats", "nowhere.tif", tmp_path / "craters.csv", *ARGS, *args), part)


def test_info_of_a_raster(raster):
    result = run("info", raster)
    assert result.returncode == 0, result.stderr
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert rows["pixels"].startswith("1440 x 720 int16")
    assert rows["body"] == "moon (radius 1.7374e+06 m)"
    assert rows["longitude"] == "-180 to 180 degrees east"
    assert rows["resolution"] == "4 pixels per degree"
    assert rows["wraps"] == "yes, once round the body"
    assert rows["nodata"] == "none declared"


def test_info_of_a_projected_raster(tmp_path):
    path = tmp_path / "polar.tif"
    crs = "+proj=stere +lat_0=-90 +R=1737400 +units=m"
    with rasterio.open(
        path, "w", driver="GTiff", height=3, width=4, count=1, dtype="int16", crs=crs,
        transform=rasterio.Affine(1e4, 0, -2e4, 0, -1e4, 3e4),
    ) as file:  # fmt: skip
        file.write(np.arange(12, dtype="i2").reshape(3, 4), 1)
    result = run("info", str(path))
    assert result.returncode == 0, result.stderr
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert rows["body"] == "moon (radius 1.7374e+06 m)"
    assert rows["x"] == "-20000 to 20000 in units of the CRS"
    assert rows["y"] == "0 to 30000, rows from the top"
    assert rows["resolution"] == "10000 x 10000 per pixel"
    assert rows["wraps"] == "no"


def test_version():
    assert run_as_a_process("--version").stdout == f"xcrater, version {xcrater.__version__}\n"


def test_help_names_the_commands():
    assert all(name in run("--help").stdout for name in ("demo", "info", "stats"))


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (("stats", "nowhere.tif", "{table}", *ARGS, "--region", "rim=1:1.5", "--out", "o.csv"), ["no raster file"]),
        (("stats", "{raster}", "nowhere.csv", *ARGS, "--region", "rim=1:1.5", "--out", "o.csv"), ["nowhere.csv"]),
        (("stats", "{raster}", "{table}", "--body", "mooon", "--region", "rim=1:1.5", "--out", "o.csv"), ["moon"]),
        (("stats", "{raster}", "{table}", "--body", "moon", "--region", "rim=1:1.5", "--out", "o.csv"), ["units"]),
        (("stats", "{raster}", "{table}", "--body", "mars", "--units", "km", "--region", "rim=1:1.5", "--out", "o.csv"),
         ["not on mars", "write_crs"]),
        (("stats", "{raster}", "{table}", *ARGS, "--region", "rim=1,1.5", "--out", "o.csv"), ["NAME=INNER:OUTER"]),
        (("stats", "{raster}", "{table}", *ARGS, "--region", "rim=2:1", "--out", "o.csv"), ["less than outer"]),
        (("stats", "{raster}", "{table}", *ARGS, "--region", "rim=1:1.5", "--out", "o.xlsx"), [".parquet or .csv or"]),
        (("stats", "{raster}", "{table}", *ARGS, "--region", "rim=1:1.5", "--out", "no/o.csv"), ["does not exist"]),
        (("stats", "{raster}", "{table}", *ARGS, "--region", "rim=1:1.5", "--stats", "meen", "--out", "o.csv"),
         ["unknown statistic 'meen'", "'mean'"]),
        (("stats", "{raster}", "{table}", *ARGS, "--out", "o.csv"), ["--region"]),
        (("stats", "{raster}"), ["RASTER"]),
        (("info", "{table}"), ["cannot read"]),
        (("convert", "nowhere.tif", "o.zarr"), ["no raster file"]),
        (("convert", "{raster}", "o.png"), ["received OUT 'o.png'", ".zarr"]),
        (("convert", "{raster}", "no/o.tif"), ["the directory of OUT"]),
        (("convert", "{raster}", "{raster}"), ["exists already; add --overwrite"]),
        (("profile", "{raster}", "{table}", *ARGS, "--out", "o.gpkg"), [".parquet or .csv or .zarr"]),
        (("depths", "nowhere.tif", "{table}", *ARGS, "--out", "o.csv"), ["no raster file"]),
        (("chips", "{raster}", "{table}", *ARGS, "--out", "o.zarr", "--size", "0"), ["size"]),
        (("arrays", "{raster}", "{table}", *ARGS, "--out", "o.zarr"), ["received no region"]),
        (("plan", "{raster}", "{table}", *ARGS, "--region", "rim=1:1.5", "--stats", "meen"), ["did you mean"]),
        (("demo", "--ppd", "0.31"), ["expected 360"]),
        (("demo", "--figure", "no/where.png"), ["does not exist"]),
        (("frobnicate",), ["frobnicate"]),
    ],
)  # fmt: skip
def test_bad_input_gives_one_line(args, parts, raster, table, tmp_path):
    filled = [a.format(raster=raster, table=table) for a in args]
    assert_refused(run(*filled, cwd=tmp_path), *parts)
    assert os.listdir(tmp_path) == []


def test_bad_input_in_a_process_gives_one_line(tmp_path):
    assert_refused(run_as_a_process("stats", "nowhere.tif", cwd=tmp_path), "Missing argument")
    assert os.listdir(tmp_path) == []


def test_demo_shows_the_truth_and_writes_a_figure(tmp_path):
    import matplotlib.image

    result = run("demo", "--ppd", 8, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "floor_mean  floor_true" in result.stdout
    assert "MaskedArray" in result.stdout
    figure = matplotlib.image.imread(tmp_path / "xcrater_demo.png")
    assert figure.shape[1] > 1000
    assert np.ptp(figure) > 0.9


@pytest.mark.slow
def test_real_demo_prints_the_documented_numbers(tmp_path):
    result = run_as_a_process("demo", "--real", "--figure", "rims.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "CraterDatabase of length 786 with attributes lat, lon, rad, center, rim." in result.stdout
    assert re.search(r"59\.517785 +14844 +14\.817788", result.stdout)
    assert "shape (162, 201), uint8" in result.stdout
    assert (tmp_path / "rims.png").stat().st_size > 50_000


STATS = ("stats", "{raster}", "{table}", *ARGS, "--region", "rim=1:1.5", "--out")


@pytest.mark.parametrize("ending", ["gpkg", "geoparquet"])
def test_stats_as_points_in_vector_files(ending, raster, table, tmp_path):
    import geopandas
    import pyogrio

    out = tmp_path / f"stats.{ending}"
    args = ("--region", "rim=1:1.5", "--stats", "count", "--quiet", "--out", out)
    assert run("stats", raster, table, *ARGS, *args) == Result(0, "", "")
    found = geopandas.read_file(out) if ending == "gpkg" else geopandas.read_parquet(out)
    cdb = CraterDatabase(table, "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    expected = cdb.get_stats(raster, "rim", "count")
    pd.testing.assert_frame_equal(pd.DataFrame(found.drop(columns="geometry")), expected)
    assert found.crs.ellipsoid == cdb.crs.ellipsoid  # a GeoPackage writes the CRS differently
    assert shapely.equals_exact(found.geometry.to_numpy(), cdb.center.to_numpy(), 1e-9).all()
    if ending == "gpkg":
        described = json.loads(pyogrio.read_info(out)["layer_metadata"]["xcrater_run"])
    else:
        described = json.loads(pyarrow.parquet.read_schema(out).metadata[b"xcrater_run"])
    assert described["regions"]["rim"]["shape"] == cdb.regions["rim"].describe()
    assert os.listdir(tmp_path) == [out.name]


def test_stats_of_named_rasters_in_polygons_without_neighbours(raster, table, tmp_path):
    import geopandas

    cdb = CraterDatabase(table, "moon", units="km")
    cdb.add_annuli("mapped", 0, 1.2, nvert=32)
    geopandas.GeoDataFrame(geometry=cdb.mapped.to_numpy(), crs=cdb.crs).to_file(tmp_path / "mapped.gpkg")
    result = run(
        "stats", f"dem={raster}", f"same={raster}", table, *ARGS, "--polygons", tmp_path / "mapped.gpkg",
        "--region", "ring=1:3", "--nvert", 0, "--stats", "count", "--exclude", 1.5, "--exclude-ratio", "0.5:",
        "--nodata", "same=-5", "--memory", "64MiB", "--out", tmp_path / "stats.csv", "--quiet",
    )  # fmt: skip
    assert result == Result(0, "", "")
    found = pd.read_csv(tmp_path / "stats.csv")
    again = CraterDatabase(table, "moon", units="km")
    again.add_annuli("ring", 1, 3, nvert=None)
    again.add_polygons("mapped", cdb.mapped.to_numpy())
    expected = again.get_stats(
        {"dem": raster, "same": raster}, ["ring", "mapped"], "count", nodata={"same": -5},
        exclude=xcrater.Exclude(1.5, min_ratio=0.5),
    )  # fmt: skip
    assert list(found.columns) == list(expected.columns)
    pd.testing.assert_frame_equal(found, expected)
    described = json.loads((tmp_path / "stats.csv.json").read_text())
    assert described["options"]["exclude"] == "Exclude(within=1.5, min_ratio=0.5, max_ratio=inf, of=None)"
    assert set(described["rasters"]) == {"dem", "same"}


def test_pixels_near_craters_of_a_second_table_are_left_out(raster, table, tmp_path):
    others, out = tmp_path / "others.csv", tmp_path / "stats.csv"
    frame = pd.read_csv(table).iloc[:5]
    frame.assign(Lat=frame["Lat"] / 2).to_csv(others, index=False)
    args = ("stats", raster, table, *ARGS, "--region", "ring=0:3", "--stats", "count", "--out", out, "--quiet")
    assert run(*args, "--exclude", f"{others}:1.5") == Result(0, "", "")
    cdb = CraterDatabase(table, "moon", units="km")
    cdb.add_annuli("ring", 0, 3)
    of = CraterDatabase(others, "moon", units="km")
    expected = cdb.get_stats(raster, "ring", "count", exclude=xcrater.Exclude(1.5, of=of))
    pd.testing.assert_frame_equal(pd.read_csv(out), expected)
    assert (expected["count_ring"] < cdb.get_stats(raster, "ring", "count")["count_ring"]).any()
    described = json.loads((tmp_path / "stats.csv.json").read_text())["options"]["exclude"]
    assert described["exclude"] == "Exclude(within=1.5, min_ratio=0.0, max_ratio=inf, of=None)"
    assert described["of"]["craters"] == 5


def test_existing_files_are_replaced_only_on_request(raster, table, tmp_path):
    out = tmp_path / "stats.csv"
    out.write_text("earlier result\n")
    args = [str(part).format(raster=raster, table=table) for part in (*STATS, out)]
    assert_refused(run(*args), "exists already; add --overwrite")
    assert out.read_text() == "earlier result\n"
    assert run(*args, "--overwrite").returncode == 0
    assert len(pd.read_csv(out)) == 30
    (tmp_path / "folder.csv").mkdir()
    assert_refused(run(*args[:-1], tmp_path / "folder.csv", "--overwrite"), "is a directory")


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (("--exclude-ratio", "0.5"), ["without --exclude"]),
        (("--exclude", "1", "--exclude-ratio", "a:b"), ["MIN:MAX"]),
        (("--exclude", "-1"), ["above 0"]),
        (("--exclude", "others.csv"), ["others.csv:1"]),
        (("--exclude", "nowhere.csv:1"), ["there is no file 'nowhere.csv'"]),
        (("--polygons", "no.gpkg"), ["there is no file 'no.gpkg'"]),
        (("--polygons", "two={two}"), ["30 craters"]),
        (("--scheduler", "tcp://127.0.0.1:1", "--scheduler-file", "s.json"), ["expected one of them"]),
        (("--scheduler-file", "s.json"), ["there is no file 's.json'", "dask scheduler --scheduler-file"]),
        (("--memory", "much"), ["memory='much'"]),
        (("--nodata", "x=1"), ["received --nodata for 'x'"]),
        (("--nodata", "none"), ["NAME=NUMBER"]),
    ],
)
def test_options_are_checked_before_anything_is_computed(args, parts, raster, table, tmp_path):
    import geopandas

    two = tmp_path / "two.geojson"
    geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)] * 2, crs="EPSG:4326").to_file(two)
    filled = [a.format(raster=raster, table=table, two=two) for a in (*STATS, "o.csv", *args)]
    assert_refused(run(*filled, cwd=tmp_path), *parts)
    assert os.listdir(tmp_path) == ["two.geojson"]


def test_rasters_need_different_names(raster, table):
    assert_refused(run("stats", raster, raster, table, *ARGS, "--region", "rim=1:1.5", "--out", "o.csv"), "two rasters")


def test_depths_as_a_table(raster, table, tmp_path):
    out = tmp_path / "depths.parquet"
    args = ("--background", "2:2.5", "--percentiles", 60, 3, "--out", out, "--quiet")
    assert run("depths", raster, table, *ARGS, *args) == Result(0, "", "")
    found = pd.read_parquet(out)
    cdb = CraterDatabase(table, "moon", units="km")
    expected = xcrater.open_mosaic(raster).craters.depths(
        cdb, background=(2, 2.5), method="percentile", percentiles=(60, 3)
    )
    assert list(found.columns) == [*cdb.orig_cols, *expected.data_vars]
    for name in expected.data_vars:
        np.testing.assert_array_equal(found[name], expected[name])
    assert_refused(run("depths", raster, table, *ARGS, "--rim", "1", "--out", tmp_path / "o.csv"), "INNER:OUTER")
    assert_refused(run("depths", raster, table, *ARGS, "--rim", "2:1", "--out", tmp_path / "o.csv"), "less than outer")


def test_depths_replace_columns_of_the_same_names_only_on_request(raster, table, tmp_path):
    pd.read_csv(table).assign(depth=1.0).to_csv(tmp_path / "own.csv", index=False)
    again = ("depths", raster, tmp_path / "own.csv", *ARGS, "--out", tmp_path / "o.csv", "--quiet")
    assert_refused(run(*again), "'depth'. Add --replace to replace them")
    assert run(*again, "--replace").returncode == 0
    assert (pd.read_csv(tmp_path / "o.csv")["depth"] != 1).all()


def test_profiles_as_a_long_table_and_as_a_store(raster, table, tmp_path):
    cdb = CraterDatabase(table, "moon", units="km")
    expected = xcrater.open_mosaic(raster).craters.radial_profile(cdb, [0, 0.5, 1, 2], "mean count", sectors=2)
    args = ("profile", raster, table, *ARGS, "--edges", "0,0.5,1,2", "--sectors", 2, "--stats", "mean,count", "--quiet")
    assert run(*args, "--out", tmp_path / "long.csv") == Result(0, "", "")
    found = pd.read_csv(tmp_path / "long.csv")
    assert len(found) == 30 * 3 * 2
    assert {"crater", "r", "azimuth", "lat", "lon", "radius", "r_inner", "r_outer", "mean", "count"} <= {*found.columns}
    np.testing.assert_array_equal(found["count"], expected["count"].to_numpy().ravel())
    assert run(*args, "--out", tmp_path / "p.zarr") == Result(0, "", "")
    store = xr.open_zarr(tmp_path / "p.zarr", consolidated=False)
    np.testing.assert_array_equal(store["mean"], expected["mean"])
    np.testing.assert_array_equal(store["azimuth_stop"], [180, 360])
    assert store.attrs["xcrater_run"]["options"]["sectors"] == 2
    assert sorted(os.listdir(tmp_path)) == ["long.csv", "long.csv.json", "p.zarr"]
    assert_refused(run(*args, "--out", tmp_path / "p.zarr"), "exists already")
    assert run(*args, "--out", tmp_path / "p.zarr", "--overwrite").returncode == 0
    assert_refused(run(*args, "--edges", "0;1", "--out", tmp_path / "q.csv"), "separated by commas")
    assert_refused(run(*args, "--edges", "2,1", "--out", tmp_path / "q.csv"), "increas")


def examples():
    """Yield the examples in the help of each command, split into words."""
    for name, each in cli.commands.items():
        text = click.testing.CliRunner().invoke(each, ["--help"]).output.split("Example:")[1]
        words = shlex.split(text.replace("\\\n", " "))
        assert words[:2] == ["xcrater", name]
        yield words[1:]


@pytest.mark.slow
def test_the_example_of_every_command_works(raster, table, tmp_path):
    (tmp_path / "dem.tif").symlink_to(raster)
    (tmp_path / "craters.csv").symlink_to(table)
    shown = list(examples())
    assert {words[0] for words in shown} == set(cli.commands)
    shard = ("--region", "rim=1:1.5", "--out", "merged.csv", "--work-dir", "work", "--shard", "1/1")
    assert run("stats", "dem.tif", "craters.csv", *ARGS, *shard, cwd=tmp_path).returncode == 0  # `merge` needs it
    for words in shown:
        if words[0] == "demo":
            continue  # run by the test of the demo
        elsewhere = words[0] in ("stats", "convert", "merge")  # run in processes by other tests
        result = (run if elsewhere else run_as_a_process)(*words, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert "Warning" not in result.stderr
        assert "--out" not in words or (tmp_path / words[words.index("--out") + 1]).exists()


def test_arrays_grow_in_a_partial_store_and_resume(raster, table, tmp_path, monkeypatch):
    from xcrater.pixels import store

    out, partial = tmp_path / "rims.zarr", tmp_path / ".rims.zarr.partial"
    args = ("arrays", raster, table, *ARGS, "--region", "rim=1:1.5", "--batch", 7, "--out", out, "--quiet")
    extend, calls = store._extend, []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) > 8:
            raise OSError(28, "No space left on device")
        extend(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(store, "_extend", full)
        failed = run(*args)
    assert failed.returncode == 1
    assert failed.stderr == "xcrater: [Errno 28] No space left on device\n"
    assert os.listdir(tmp_path) == [partial.name]
    other = [*args[:5], *map(str, args[5:])]
    other[other.index("rim=1:1.5")] = "rim=1:2"
    assert_refused(run(*other), ".rims.zarr.partial", "--overwrite")
    assert run(*args) == Result(0, "", "")
    assert os.listdir(tmp_path) == [out.name]
    cdb = CraterDatabase(table, "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    expected = cdb.get_arrays(raster, "rim")["rim"]
    found = xcrater.open_arrays(out).compute()["rim"]
    for k in range(30):
        np.testing.assert_array_equal(found.iloc[k].filled(-1), expected.iloc[k].filled(-1))
    import zarr

    assert zarr.open_group(out).attrs["xcrater_run"]["regions"]["rim"]["shape"] == cdb.regions["rim"].describe()
    assert_refused(run(*args), "exists already")
    assert run(*args, "--overwrite").returncode == 0


def test_chips_as_a_store(raster, table, tmp_path):
    out = tmp_path / "chips.zarr"
    args = ("chips", raster, table, *ARGS, "--size", 16, "--order", "table", "--out", out, "--quiet")
    assert run(*args) == Result(0, "", "")
    cdb = CraterDatabase(table, "moon", units="km")
    expected = xcrater.open_mosaic(raster).craters.chips(cdb, 16)
    found = xr.open_zarr(out, consolidated=False)
    np.testing.assert_array_equal(found["chips"], expected)
    np.testing.assert_array_equal(found["crater"], expected["crater"])
    assert found.attrs["xcrater_run"]["options"]["size"] == 16
    assert_refused(run(*args[:-2], tmp_path / "chips.tif"), "ending in .zarr")
    assert_refused(run(*args, "--overwrite", "--extent", "-1"), "extent")


def test_plan_says_what_would_be_read_and_how_long_it_would_take(raster, table, tmp_path):
    args = ("plan", raster, table, *ARGS, "--region", "rim=1:1.5", "--exclude", 1)
    result = run(*args, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "xcrater.CraterPlan"
    assert re.fullmatch(
        r"  Time +about \d+ s for the statistics on \d+ threads of this machine, measured .*", lines[-1]
    )
    cdb = CraterDatabase(table, "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    assert "\n".join(lines[:-1]) == repr(xcrater.open_mosaic(raster).craters.plan(cdb, "rim", exclude=1))
    assert "Time" not in run(*args, "--no-calibrate", cwd=tmp_path).stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_conversion_stopped_by_a_signal_resumes(raster, tmp_path):
    out = tmp_path / "copy.zarr"
    command = (
        "import os, signal, xcrater.raster.converting as converting; from xcrater.cli import main\n"
        "note = converting._note\n"
        "def stop(*a): note(*a); os.kill(os.getpid(), signal.SIGUSR1)\n"
        "converting._note = stop; main()"
    )
    args = ("convert", str(raster), str(out), "--chunk", "256", "--quiet")
    stopped = subprocess.run([sys.executable, "-c", command, *args], capture_output=True, text=True, check=False)
    assert stopped.returncode == 75
    assert "stopped by SIGUSR1" in stopped.stderr
    assert os.listdir(tmp_path) == [".copy.zarr.partial"]
    assert json.loads((tmp_path / ".copy.zarr.partial" / "progress.json").read_text())["done"] == 1
    assert run(*args) == Result(0, "", "")
    np.testing.assert_array_equal(xcrater.open_mosaic(out), xcrater.open_mosaic(raster))
