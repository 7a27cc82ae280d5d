"""Workers that share nothing with the client except the network and the raster file."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

import xcrater
from tests.distributed.processes import Processes


@pytest.mark.slow
def test_workers_in_their_own_directory_without_cached_kernels(tmp_path, monkeypatch, cdb):
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    shutil.copy(xcrater.sample_data["moon.tif"], here / "moon.tif")
    monkeypatch.chdir(here)
    lazy = xcrater.open_mosaic("moon.tif", chunks=128).craters.get_stats(
        cdb, "true_ejecta", ["count", "mean", "std"], coverage="center"
    )
    expected = lazy.compute(scheduler="threads")
    cluster = Processes(tmp_path)
    try:
        cluster.add_worker(directory=there, NUMBA_CACHE_DIR=str(there))
        with cluster.client(1) as client:
            found = lazy.compute()
            assert list(client.run(lambda: "numba" in sys.modules).values()) == [True]
            assert not client.run_on_scheduler(lambda: "numba" in sys.modules)
    finally:
        cluster.stop()
    assert any(there.glob("*/*/*.nbi"))
    for name in lazy.data_vars:
        np.testing.assert_array_equal(found[name], expected[name])
        assert found[name].values.tobytes() == expected[name].values.tobytes()


@pytest.mark.slow
def test_distributed_is_not_imported_without_a_client():
    # On computing, dask itself imports distributed to look for a client, so the lazy result is only built.
    code = """
import sys, xcrater
lazy, here = (xcrater.open_mosaic(xcrater.sample_data["moon.tif"], chunks=chunks) for chunks in (256, None))
cdb = xcrater.CraterDatabase(xcrater.sample_data["moon_craters_km.csv"], "moon", units="km")
cdb.add_annuli("floor", 0, 1, nvert=None)
for da in (lazy, here):
    da.craters.get_stats(cdb, "floor", ["mean"], coverage="center")
print(sorted({name.split(".")[0] for name in sys.modules} & {"distributed", "numba"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split("\n")[-2] == "['numba']", done.stdout
