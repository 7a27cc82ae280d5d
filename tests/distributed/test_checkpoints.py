"""Workers of a cluster write their checkpoints into one shared directory."""

from __future__ import annotations

import os

import pandas as pd
import pytest

from xcrater import open_mosaic, tutorial
from xcrater.batch.run import Run, keeping
from xcrater.batch.work import WorkDir
from xcrater.errors import CheckpointError

pytestmark = pytest.mark.slow


def write_down():
    """Make a worker process record that it wrote a group."""
    from xcrater.batch import run

    keep = run.files.write
    run.files.write = lambda group, values: (group.path.with_suffix(f".{os.getpid()}").touch(), keep(group, values))


def be_blind():
    """Make a worker process behave as if it could not see the directory."""
    WorkDir.is_of = lambda self, run: False


def test_workers_write_the_groups_they_finish(client, cdb, tmp_path):
    path, work = tmp_path / "dem.tif", tmp_path / "work"
    dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=tutorial.synthetic_craters("moon", 30), dtype="int16")
    dem.rio.to_raster(path, tiled=True)

    def compute(directory):
        da = open_mosaic(str(path), chunks=256)
        with keeping(Run(directory, {"xcrater": "1"}, {"": da}, [], said.append, said.append)):
            return cdb.get_stats(da, ["rim", "true_ejecta"], "mean std median")

    said: list[str] = []
    wanted = cdb.get_stats(open_mosaic(str(path), chunks=256), ["rim", "true_ejecta"], "mean std median", n_jobs=1)
    client.run(write_down)
    pd.testing.assert_frame_equal(compute(work), wanted, check_exact=True)
    written = {file.suffix[1:] for file in (work / "groups").iterdir() if file.suffix[1:].isdigit()}
    assert written == {str(number) for number in client.run(os.getpid).values()}
    parts = sorted((work / "groups").glob("*.part"))
    assert len(parts) == 18
    for part in parts[::2]:
        part.unlink()
    pd.testing.assert_frame_equal(compute(work), wanted, check_exact=True)
    assert said == [f"9 of 18 groups are in {str(work)!r} already"]

    client.run(be_blind)
    try:
        with pytest.raises(CheckpointError, match="where tasks run, does not see the run"):
            compute(tmp_path / "elsewhere")
    finally:
        client.restart()  # other tests need workers that see the directory
