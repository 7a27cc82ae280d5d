"""Runs with ``--work-dir`` survive being interrupted, split into shards, and damaged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import xcrater
from tests.batch import forked
from tests.cli.test_commands import ARGS, assert_refused, run
from xcrater import tutorial
from xcrater.batch import files
from xcrater.batch.work import Shard, WorkDir
from xcrater.raster import mosaic

TIMES = int(os.environ.get("XCRATER_KILLS", "5"))
"""How often a run is killed; set XCRATER_KILLS=50 before a release."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with a raster and a table of craters."""
    place = tmp_path_factory.mktemp("batch")
    craters = tutorial.synthetic_craters("moon", 60)
    dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=craters, dtype="int16")
    dem.rio.to_raster(place / "dem.tif", tiled=True, blockxsize=128, blockysize=128)
    frame = pd.DataFrame({"Lat": craters.lat, "Lon": craters.lon, "Diameter (km)": 2 * craters.rad / 1000})
    frame.to_csv(place / "craters.csv", index=False)
    return place


@pytest.fixture
def small_chunks():
    """Small chunks, so that the rasters of these tests have 84 tiles instead of one."""
    with mock.patch.object(mosaic, "TARGET_PIXELS", 2**14):
        yield


STATS = ("dem.tif", "craters.csv", *ARGS, "--region", "rim=1:1.5", "--stats", "mean,median")


ARRAYS = ("arrays", "dem.tif", "craters.csv", *ARGS, "--region", "rim=1:1.5", "--batch", "3")
CHIPS = ("chips", "dem.tif", "craters.csv", *ARGS, "--size", "16", "--memory", "32KiB")


@pytest.mark.slow
@pytest.mark.parametrize(("command", "times"), [(STATS, TIMES), (ARRAYS, -(-TIMES // 5)), (CHIPS, -(-TIMES // 5))])
def test_a_killed_or_stopped_run_loses_nothing(command, times, place, tmp_path):
    """A run is killed at random moments, or stopped by the signals of a batch system, and started again."""
    words = (*(("stats", *command) if command == STATS else command), "--threads", "2")
    polite = ["SIGTERM", "SIGUSR1"] if command == STATS else ["SIGTERM"]
    sent = [*times * ["SIGKILL"], *polite]
    done = subprocess.run(
        [*map(str, (sys.executable, "-W", "ignore", forked.__file__, tmp_path, ",".join(sent), 7, *words))],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300 + 60 * len(sent),
        check=False,
    )
    said = (tmp_path / "log.txt").read_text()
    assert done.returncode == 0, done.stderr + said
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(sent)
    for name, each in zip(sent, found):
        assert each["same"]
        assert each["kept"], "a finished group was written again"
        assert each["left"] == []
        assert each["code"] in ((75,) if name in polite else (-signal.SIGKILL, 0))
        assert not each["whole"] or each["finished"] == each["groups"]
    assert any(0 < each["finished"] < each["groups"] for each in found)
    for name in polite:
        assert f"stopped by {name}; what is finished is in" in said
    assert "groups are in" in said
    assert "Traceback" not in said


def groups_of(work):
    return sorted((work / "groups").glob("*.part"))


def test_shards_are_merged(place, tmp_path, small_chunks):
    work, out = tmp_path / "work", tmp_path / "stats.parquet"
    plain = tmp_path / "plain.parquet"
    assert run("stats", *STATS, "--out", plain, cwd=place).returncode == 0
    shard = ("stats", *STATS, "--out", out, "--work-dir", work, "--shard")
    first = run(*shard, "1/3", cwd=place)
    assert first.returncode == 0
    assert f"shard 1/3 is finished; once all are, `xcrater merge {work}` makes the output" in first.stderr
    assert not out.exists()

    status = run("status", work)
    count = WorkDir(work).existing()["tasks"]["groups"][0]
    assert f"groups      {len(groups_of(work))} of {count} groups finished, 0 damaged" in status.stdout
    assert "shard 1/3" in status.stdout
    with WorkDir(work).locked(Shard(2, 3)):
        assert "is being computed" in run("status", work).stdout
        assert_refused(run("merge", work), "shard 2/3", "is being computed")
        assert_refused(run(*shard, "2/3", cwd=place), "another process is computing shard 2/3")

    for n in (2, 3):
        assert run(*shard, f"{n}/3", cwd=place).returncode == 0
    assert len(groups_of(work)) == count
    merged = run("merge", work, "--threads", 1, "--overwrite", cwd=tmp_path)
    assert merged.returncode == 0, merged.stderr
    assert f"{count} of {count} groups are in {str(work)!r} already" in merged.stderr
    found, wanted = pd.read_parquet(out), pd.read_parquet(plain)
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)
    assert run("verify", work).returncode == 0


def test_damage_is_named_and_repaired(place, tmp_path, small_chunks):
    work, out = tmp_path / "work", tmp_path / "stats.csv"
    stats = ("stats", *STATS, "--out", out, "--work-dir", work, "--quiet")
    assert run(*stats, cwd=place).returncode == 0
    whole, paths = out.read_bytes(), groups_of(work)
    count = len(paths)
    content = [path.read_bytes() for path in paths[:4]]
    paths[0].write_bytes(b"")
    paths[1].write_bytes(content[1][:-5])
    paths[2].write_bytes(content[2][:-30] + bytes([content[2][-30] ^ 1]) + content[2][-29:])
    paths[3].write_bytes(content[3].replace(b'"format": 1', b'"format": 2'))

    verify = run("verify", work)
    assert verify.returncode == 1
    for path, why in zip(paths, ("is empty", "cut short", "not those that were written", "its format is 2")):
        assert any(str(path) in line and why in line for line in verify.stdout.splitlines())
    assert f"{count - 4} groups are as they were written, 4 are damaged" in verify.stdout
    assert f"{count - 3} of {count} groups finished, 3 damaged, 0 missing" in run("status", work).stdout

    again = run(*stats, "--overwrite", cwd=place)
    assert again.returncode == 0
    assert again.stderr.count("cannot be used") == 4
    assert out.read_bytes() == whole
    assert [path.read_bytes() for path in paths[:4]] == content
    assert run("verify", work).returncode == 0


@pytest.mark.parametrize("command", ["profile", "depths"])
def test_other_commands_keep_finished_groups(command, place, tmp_path, small_chunks):
    """Profiles of rings, and depths above planes, whose percentiles need the pixels themselves."""
    more = {"profile": ("--edges", 3), "depths": ("--detrend", "--percentiles", 60, 3)}[command]
    work, outs = tmp_path / "work", [tmp_path / "a.csv", tmp_path / "b.csv"]
    words = (command, "dem.tif", "craters.csv", *ARGS, *more, "--quiet", "--out")
    assert run(*words, outs[0], cwd=place).returncode == 0
    assert run(*words, outs[1], "--work-dir", work, "--shard", "1/2", cwd=place).returncode == 0
    paths = groups_of(work)
    assert len(paths) > 1
    paths[0].unlink()
    assert run(*words, outs[1], "--work-dir", work, cwd=place).returncode == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


@pytest.mark.parametrize("command", [ARRAYS, pytest.param(CHIPS, marks=pytest.mark.slow)])
def test_shards_of_pixels_are_merged(command, place, tmp_path, monkeypatch):
    """A group is a few craters, or a band of rows of a large crater; damaged groups are computed again."""
    monkeypatch.setattr(mosaic, "TARGET_PIXELS", 2**18 if command == ARRAYS else 2**14)
    more = ["--quiet"]
    if command == ARRAYS:
        more += ["--region", "far=0:8", "--memory", "64KiB", "--batch", "12"]
    work, outs = tmp_path / "work", [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    assert run(*command, *more, "--out", outs[0], "--work-dir", tmp_path / "other", cwd=place).returncode == 0
    for n in (1, 2):
        shard = ("--work-dir", work, "--shard", f"{n}/2")
        assert run(*command, *more, "--out", outs[1], *shard, cwd=place).returncode == 0
    assert not outs[1].exists()
    paths = groups_of(work)
    count = WorkDir(work).existing()["tasks"]["groups"][0]
    assert len(paths) == count > 10
    content = paths[1].read_bytes()
    paths[0].unlink()
    paths[1].write_bytes(content[:-1])
    merged = run("merge", work, cwd=tmp_path)
    assert merged.returncode == 0
    assert merged.stderr.count("cannot be used") == 1
    assert forked.content(outs[0]) == forked.content(outs[1])
    assert paths[1].read_bytes() == content
    assert run("verify", work).returncode == 0
    assert_refused(
        run(*command, *more, "--out", tmp_path / "c.zarr", "--work-dir", work, "--nodata", -1, cwd=place),
        "nodata -1.0 instead of None",
    )
    if command == ARRAYS:
        assert run(*command, *more, "--out", tmp_path / "c.zarr", cwd=place).returncode == 0
        found, wanted = (xcrater.open_arrays(path).compute() for path in (outs[1], tmp_path / "c.zarr"))
        for name in ("rim", "far"):
            for one, other in zip(found[name], wanted[name]):
                np.testing.assert_array_equal(one.filled(-1), other.filled(-1))


def test_a_full_disk_ends_a_run_and_keeps_finished_groups(place, tmp_path, small_chunks):
    work, out = tmp_path / "work", tmp_path / "stats.csv"
    stats = ("stats", *STATS, "--out", out, "--work-dir", work, "--threads", 1)
    write, calls = files._write_all, iter(range(1000))

    def filling(file, part):
        if next(calls) > 40:
            raise OSError(28, "No space left on device")
        write(file, part)

    with mock.patch.object(files, "_write_all", filling):
        full = run(*stats, cwd=place)
    assert full.returncode == 1
    line = full.stderr.splitlines()[-1]
    assert "No space left on device; make room there, and start the command again: what is finished is kept" in line
    assert not out.exists()
    kept = len(groups_of(work))
    assert kept > 0
    again = run(*stats, cwd=place)
    assert again.returncode == 0
    assert f"{kept} of" in again.stderr


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (("stats", *STATS, "--out", "o.csv", "--shard", "1/2"), ["--shard without --work-dir"]),
        (("stats", *STATS, "--out", "o.csv", "--work-dir", "w", "--shard", "0/2"), ["I from 1 to N", "--array=1-7"]),
        (("stats", *STATS, "--out", "o.csv", "--work-dir", "w", "--shard", "3/2"), ["I from 1 to N"]),
        (("stats", *STATS, "--out", "o.csv", "--work-dir", "."), ["directory of something else"]),
        (("stats", *STATS, "--out", "o.csv", "--work-dir", "dem.tif"), ["is a file"]),
        (("merge", "nowhere"), ["there is no run in", "nowhere'; expected the --work-dir of a run"]),
        (("status", "nowhere"), ["there is no run in 'nowhere'"]),
        (("verify", "."), ["directory of something else"]),
    ],
)
def test_impossible_directories_and_shards_are_refused(args, parts, place):
    assert_refused(run(*args, "--quiet" if args[0] == "stats" else "--", cwd=place), *parts)
    assert not (place / "o.csv").exists()


def test_a_different_run_in_the_same_directory_is_refused(place, tmp_path, small_chunks):
    stats = ("stats", *STATS, "--out", tmp_path / "o.csv", "--work-dir", tmp_path / "w", "--quiet", "--overwrite")
    assert run(*stats, cwd=place).returncode == 0
    assert_refused(run(*stats, "--coverage", "exact", cwd=place), "coverage 'exact' instead of 'all_touched'")
    assert_refused(run(*stats, "--region", "floor=0.8", cwd=place), "floor")
    assert_refused(run(*stats, "--memory", "1MiB", cwd=place), "--memory 1048576 instead of 1073741824")
