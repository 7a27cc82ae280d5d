"""The jobs of ``benchmarks/hpc``, run with stand-ins for SLURM's commands that start local processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from xcrater import CraterDatabase, tutorial

HERE = Path(__file__).parent
JOBS = HERE.parents[1] / "benchmarks" / "hpc"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with a raster and a table of craters."""
    place = tmp_path_factory.mktemp("slurm")
    craters = tutorial.synthetic_craters("moon", 30)
    dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=craters, dtype="int16")
    dem.rio.to_raster(place / "dem.tif", tiled=True, blockxsize=128, blockysize=128)
    frame = pd.DataFrame({"Lat": craters.lat, "Lon": craters.lon, "Diameter (km)": 2 * craters.rad / 1000})
    frame.to_csv(place / "craters.csv", index=False)
    return place


@pytest.fixture(scope="module")
def expected(place) -> pd.DataFrame:
    cdb = CraterDatabase(place / "craters.csv", "moon", units="km")
    cdb.add_annuli("floor", 0, 0.8)
    cdb.add_annuli("rim", 1, 1.5)
    return cdb.get_stats(place / "dem.tif", ["floor", "rim"], ["mean", "std", "count", "median"])


XCRATER = """
import os, time, xcrater.raster.files, xcrater.raster.mosaic
from xcrater.cli import main
xcrater.raster.mosaic.TARGET_PIXELS = 2**14  # tiles of 128 x 128 pixels, of which each takes a while to read
read = xcrater.raster.files.FilePixels.read
def slowly(*arguments):
    time.sleep(float(os.environ.get("SECONDS_PER_TILE", "0")))
    return read(*arguments)
xcrater.raster.files.FilePixels.read = slowly
main()
"""


def submit(place, command, name, **variables):
    """Submit a job as its user does; return its output and the log of the stand-in for SLURM."""
    bin_ = place / "bin"
    bin_.mkdir(exist_ok=True)
    for program, started in (("xcrater", f"-c '{XCRATER}'"), ("dask", "-m dask")):
        (bin_ / program).write_text(f'#!/bin/bash\nexec "{sys.executable}" -W ignore {started} "$@"\n')
        (bin_ / program).chmod(0o755)
    state = place / f"state-{name}"
    state.mkdir()
    paths = {"RASTER": "dem.tif", "CRATERS": "craters.csv", "OUT": f"{name}.parquet", "WORK": f"work-{name}"}
    environ = {
        **os.environ,
        **{variable: str(place / path) for variable, path in paths.items()},
        "PATH": os.pathsep.join([str(bin_), str(HERE / "bin"), os.environ["PATH"]]),
        "SLURM_STAND_IN": str(state),
        "MEMORY": "256MiB",
        "STAND_IN_CPUS": "1",
        **variables,
    }
    done = subprocess.run(command, cwd=JOBS, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    out = place / f"{name}.parquet"
    assert out.exists(), done.stderr
    return pd.read_parquet(out), done.stderr


@pytest.mark.slow
def test_several_nodes_with_a_scheduler_file(place, expected):
    found, said = submit(place, ["sbatch", "cluster.sbatch"], "cluster", STAND_IN_NODES="2", WORKER_MEMORY="2GiB")
    pd.testing.assert_frame_equal(found, expected)
    assert said.count("Registered to:") == 2
    assert not list(place.glob("scheduler-*.json"))
    assert list((place / "work-cluster" / "groups").glob("*.part"))


@pytest.mark.slow
def test_a_requeued_job_on_one_node_resumes(place, expected):
    parts = place / "work-one" / "groups" / "*.part"
    found, said = submit(
        place, ["sbatch", "one_node.sbatch"], "one", STAND_IN_SIGNAL_WHEN=str(parts), SECONDS_PER_TILE="0.05"
    )
    pd.testing.assert_frame_equal(found, expected)
    assert said.count("stopped by SIGUSR1") == 1


@pytest.mark.slow
def test_an_array_job_and_the_job_that_merges_it(place, expected):
    found, said = submit(place, ["bash", "submit_array.sh"], "array", STAND_IN_ARRAY="1-2")
    pd.testing.assert_frame_equal(found, expected)
    assert "shard 1/2 is finished" in said
    assert "shard 2/2 is finished" in said
