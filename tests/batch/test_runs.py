"""Runs kept in a directory give the same bytes however they are interrupted, split, damaged or resumed."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path
from unittest import mock

import dask
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xcrater import open_mosaic, set_options, tutorial
from xcrater.batch import groups, run
from xcrater.batch.run import Run, ShardFinished, keeping
from xcrater.batch.work import Shard, WorkDir
from xcrater.errors import CheckpointError, OtherRunError, ReadError
from xcrater.statistics.leaf import Leaf

SIDE = 180
"""Side of a chunk in pixels, which makes 8 tiles."""


@pytest.fixture(scope="module")
def raster(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("raster") / "dem.tif"
    craters = tutorial.synthetic_craters("moon", 30)
    tutorial.synthetic_mosaic("moon", ppd=2, craters=craters, dtype="int16").rio.to_raster(path, tiled=True)
    return path


class Case:
    """Statistics of one raster, which can be computed repeatedly in one directory."""

    def __init__(self, raster, directory, stats="mean std", **options):
        self.raster, self.directory, self.stats, self.options = raster, directory, stats, options
        self.said: list[str] = []

    def lazy(self):
        self.cdb = tutorial.synthetic_craters("moon", 30)
        self.cdb.add_annuli("rim", 0, 8, nvert=None)
        self.da = open_mosaic(str(self.raster), chunks=SIDE)
        return lambda: self.cdb.get_stats(self.da, "rim", self.stats, **self.options)

    def plainly(self) -> pd.DataFrame:
        with dask.config.set(scheduler="sync"):
            return self.lazy()()

    def compute(self, shard=None, about=None) -> pd.DataFrame | None:
        compute = self.lazy()
        about = about or {"xcrater": "1", "options": {"stats": self.stats}}
        with (
            contextlib.suppress(ShardFinished),
            dask.config.set(scheduler="sync"),
            keeping(Run(self.directory, about, {"": self.da}, ["stats"], self.said.append, self.said.append, shard)),
        ):
            return compute()
        return None

    def kept(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.directory / "groups").glob("*.part"))}


@contextlib.contextmanager
def counted_tiles():
    """Collect the windows of the tiles that are computed within the block."""
    windows: list = []

    def noting(function):
        def noted(self, block, tile, *more):
            windows.append((function.__name__, *more[1:], tile.window))
            return function(self, block, tile, *more)

        return noted

    calls = {name: noting(getattr(Leaf, name)) for name in ("__call__", "next_pass")}
    with mock.patch.multiple(Leaf, **calls):
        yield windows


def assert_same_bytes(found, wanted):
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)
    for name in wanted:
        assert found[name].to_numpy().tobytes() == wanted[name].to_numpy().tobytes()


CASES = {
    "sums": {"stats": "mean std count"},
    "order": {"stats": "median majority"},
    "areas": {"stats": "area skew mean", "coverage": "exact"},
    "weights": {"stats": "mean median", "weights": "area"},
    "categories": {"stats": "count", "categorical": True},
}


@pytest.mark.parametrize("name", CASES)
def test_a_resumed_run_gives_the_result_of_an_uninterrupted_one(name, raster, tmp_path):
    case = Case(raster, tmp_path / "work", **CASES[name])
    wanted = case.plainly()
    assert_same_bytes(case.compute(), wanted)
    kept = case.kept()
    assert len(kept) == 8
    random.Random(0).choice(sorted((case.directory / "groups").glob("*.part"))).unlink()
    with counted_tiles() as tiles:
        assert_same_bytes(case.compute(), wanted)
    assert len(tiles) == 1
    assert case.kept() == kept
    assert case.said == [f"7 of 8 groups are in {str(case.directory)!r} already"]


def test_a_search_in_several_passes_writes_groups_in_each(tmp_path):
    craters = tutorial.synthetic_craters("moon", 30)
    mosaic = tutorial.synthetic_mosaic("moon", ppd=2, craters=craters).astype("float32")
    mosaic.rio.to_raster(tmp_path / "dem.tif", tiled=True)
    with set_options(memory=2**16):
        case = Case(tmp_path / "dem.tif", tmp_path / "work", "median")
        wanted = case.plainly()
        assert_same_bytes(case.compute(), wanted)
        stages = WorkDir(case.directory).existing()["tasks"]["groups"]
        assert len(stages) == 2
        assert_same_bytes(case.compute(), wanted)
        (case.directory / "groups" / "1-00001.part").unlink()
        with counted_tiles() as tiles:
            assert_same_bytes(case.compute(), wanted)
        assert [call[:2] for call in tiles] == [("next_pass", 1)]
        # A shard computes its tiles of the first pass; the remaining passes are computed at the end.
        parted = Case(tmp_path / "dem.tif", tmp_path / "parted", "median")
        for n in (1, 2):
            parted.compute(Shard(n, 2))
        assert sum(name.startswith("0-") for name in parted.kept()) == len(parted.kept()) == stages[0]
        assert_same_bytes(parted.compute(), wanted)


def test_shards_compute_all_rounds_of_a_run_with_little_memory(raster, tmp_path):
    with set_options(memory=2**10):
        case = Case(raster, tmp_path / "work")
        wanted = case.plainly()
        for n in (1, 2):
            case.compute(Shard(n, 2))
        (count,) = WorkDir(case.directory).existing()["tasks"]["groups"]
        assert count > 8
        assert len(case.kept()) == count
        with counted_tiles() as tiles:
            assert_same_bytes(case.compute(), wanted)
        assert tiles == []


@pytest.mark.parametrize("parts", [1, 2, 7, 64])
def test_merged_shards_give_the_bytes_of_one_run(parts, raster, tmp_path):
    case = Case(raster, tmp_path / "work", "mean std median")
    with counted_tiles() as tiles:
        for n in range(parts, 0, -1):
            assert case.compute(Shard(n, parts)) is None
        assert len(tiles) == len(set(tiles)) == 8
        assert_same_bytes(case.compute(), case.plainly())
        assert len(tiles) == 16  # the plain run


def test_tiles_are_grouped_if_there_are_many(raster, tmp_path):
    case = Case(raster, tmp_path / "work")
    find = groups.find_groups
    with mock.patch.object(groups, "find_groups", lambda *args: find(*args, most=3)):
        assert_same_bytes(case.compute(), case.plainly())
        assert len(case.kept()) == 2
        assert_same_bytes(case.compute(), case.plainly())


def test_a_different_run_is_refused_and_the_difference_named(raster, tmp_path):
    case = Case(raster, tmp_path / "work")
    case.compute()
    kept = case.kept()
    other = Case(raster, case.directory, "mean")
    with pytest.raises(OtherRunError, match="options stats 'mean' instead of 'mean std'"):
        other.compute()
    with pytest.raises(OtherRunError, match="xcrater '2' instead of '1'"):
        case.compute(about={"xcrater": "2", "options": {"stats": "mean std"}})
    with set_options(memory=2**13), pytest.raises(OtherRunError, match=r"--memory 8192 instead of"):
        case.compute()
    same = tmp_path / "same.tif"
    same.write_bytes(raster.read_bytes())
    with pytest.raises(OtherRunError, match=r"the raster '.*same\.tif'"):
        Case(same, case.directory).compute()
    mine = Case(same, tmp_path / "mine")
    mine.compute()
    os.utime(same)
    with pytest.raises(OtherRunError, match="which has changed since"):
        mine.compute()
    assert case.kept() == kept


def test_a_directory_with_other_files_is_refused(raster, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="of something else"):
        Case(raster, tmp_path).compute()
    with pytest.raises(CheckpointError, match="is a file"):
        Case(raster, tmp_path / "notes.txt").compute()
    case = Case(raster, tmp_path / "work")
    case.compute()
    (case.directory / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"manifest .* is damaged"):
        case.compute()
    (case.directory / "run.json").write_text('{"format": 9, "about": {"xcrater": "9.1"}}')
    with pytest.raises(OtherRunError, match=r"9\.1"):
        case.compute()


def test_an_unwritable_directory_is_refused(raster, tmp_path):
    case = Case(raster, tmp_path / "work")
    denied = PermissionError(13, "Permission denied")
    with mock.patch.object(Path, "mkdir", side_effect=denied), pytest.raises(CheckpointError, match="cannot write"):
        case.compute()


def test_only_one_process_computes_a_shard(raster, tmp_path):
    case = Case(raster, tmp_path / "work")
    case.compute(Shard(1, 2))
    work = WorkDir(case.directory)
    with work.locked(Shard(2, 2)):
        assert work.shards() == {Shard(1, 2): False, Shard(2, 2): True}
        case.compute(Shard(1, 2))
        with pytest.raises(CheckpointError, match="another process is computing shard 2/2"):
            case.compute(Shard(2, 2))
    assert work.shards() == {Shard(1, 2): False, Shard(2, 2): False}


def test_a_raster_that_changes_during_the_run_gives_no_result(raster, tmp_path):
    path = tmp_path / "dem.tif"
    path.write_bytes(raster.read_bytes())
    case = Case(path, tmp_path / "work")

    calls = iter(range(8))

    def touching(*args, keep=run._keep):
        if next(calls) == 7:  # no tile is read after the change
            os.utime(path)
        return keep(*args)

    with mock.patch.object(run, "_keep", touching), pytest.raises(ReadError, match="since the run began"):
        case.compute()
    assert len(case.kept()) == 8
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(OtherRunError, match="which has changed since"):
        case.compute()


def test_a_truncated_raster_is_an_error_that_keeps_finished_groups(raster, tmp_path):
    path = tmp_path / "dem.tif"
    path.write_bytes(raster.read_bytes()[:-60000])
    case = Case(path, tmp_path / "work")
    lost = []
    for n in range(1, 9):
        try:
            case.compute(Shard(n, 8))
        except ReadError:
            lost.append(n)
    assert 0 < len(lost) < 8
    kept = case.kept()
    assert len(kept) == 8 - len(lost)
    with pytest.raises(ReadError, match="cannot read"):
        case.compute()
    assert case.kept() == kept


def test_temporary_files_of_killed_processes_are_removed(raster, tmp_path):
    case = Case(raster, tmp_path / "work")
    case.compute(Shard(1, 2))
    left = [case.directory / "groups" / f".0-0000{n}.part.ab.tmp" for n in (0, 1)]
    for path in left:
        path.write_bytes(b"XCRA")
    case.compute(Shard(1, 2))
    assert [path.exists() for path in left] == [False, True]  # the other may belong to a shard that is running


class Killed(BaseException):
    """Raised to end a run at once."""


class Batch(RuleBasedStateMachine):
    """A run killed, damaged, split into shards and resumed in any order gives the same bytes in the end."""

    raster: Path
    wanted: pd.DataFrame

    @initialize(data=st.data())
    def begin(self, data):
        self.case = Case(self.raster, self.directory() / "work", "mean median")
        self.finished: dict[str, bytes] = {}
        self.computed = 0

    def directory(self) -> Path:
        Batch.runs += 1
        path = self.root / str(Batch.runs)
        path.mkdir()
        return path

    def after(self, kills: int | None):
        """Write groups, and die at one of them, before or after it gets its final name."""
        if kills is None:
            return contextlib.nullcontext()
        calls = iter(range(1000))
        replace = os.replace

        def dying(source, target):
            if str(target).endswith(".part") and next(calls) == kills // 2:
                if kills % 2:
                    replace(source, target)
                raise Killed
            replace(source, target)

        return mock.patch.object(os, "replace", dying)

    def compute(self, shard, kills):
        before = self.case.kept() if self.case.directory.exists() else {}
        sound = {name for name, content in before.items() if self.finished.get(name, content) == content}
        with counted_tiles() as tiles, self.after(kills):
            try:
                result = self.case.compute(shard)
            except Killed:
                result = None
        kept = self.case.kept()
        for name, content in kept.items():
            assert self.finished.setdefault(name, content) == content or name not in sound
        mine = {f"0-{n:05d}" for n in range(8) if shard is None or shard.has(n)}
        # No finished group is computed again, so a kill loses at most one tile.
        assert len(tiles) <= len(mine - sound)
        if result is not None:
            assert_same_bytes(result, self.wanted)
            assert len(kept) == 8

    @rule(kills=st.none() | st.integers(0, 15))
    def run(self, kills):
        self.compute(None, kills)

    @rule(parts=st.sampled_from([1, 2, 7, 64]), which=st.integers(1, 64), kills=st.none() | st.integers(0, 7))
    def run_a_shard(self, parts, which, kills):
        self.compute(Shard(1 + which % parts, parts), kills)

    @precondition(lambda self: self.finished)
    @rule(data=st.data(), how=st.sampled_from(["empty", "cut", "flip", "remove"]))
    def damage(self, data, how):
        name = data.draw(st.sampled_from(sorted(self.finished)))
        path = self.case.directory / "groups" / name
        content = path.read_bytes() if path.exists() else b""
        if how == "remove" or not content:
            path.unlink(missing_ok=True)
        else:
            at = data.draw(st.integers(0, len(content) - 1))
            flipped = content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]
            path.write_bytes({"empty": b"", "cut": content[:at], "flip": flipped}[how])

    @invariant()
    def nothing_unfinished_has_a_name(self):
        if hasattr(self, "case") and self.case.directory.exists():
            assert (self.case.directory / "run.json").exists()

    def teardown(self):
        if hasattr(self, "case"):
            self.compute(None, None)


def test_plan_run_kill_corrupt_resume_merge(raster, tmp_path):
    Batch.raster, Batch.root, Batch.runs = raster, tmp_path, 0
    Batch.wanted = Case(raster, tmp_path / "none", "mean median").plainly()
    Batch.TestCase.settings = settings(
        max_examples=8, stateful_step_count=6, deadline=None, suppress_health_check=list(HealthCheck)
    )
    Batch.TestCase().runTest()
    assert Batch.runs  # every run compared its own result
