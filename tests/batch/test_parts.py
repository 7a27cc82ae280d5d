"""Runs that consist of independent parts."""

from __future__ import annotations

import numpy as np
import pytest

from xcrater import open_mosaic, tutorial
from xcrater.batch.parts import Parts
from xcrater.batch.run import Run, ShardFinished
from xcrater.batch.work import Shard
from xcrater.errors import OtherRunError, ReadError

COUNT = 5


class Case:
    """Parts that are numbers, with a record of what was computed and reported."""

    def __init__(self, directory, rasters=()):
        self.directory, self.rasters = directory, dict(rasters)
        self.computed, self.said, self.told = [], [], []

    def compute(self, number):
        self.computed.append(number)
        return [np.arange(number)]

    def results(self, shard=None, token="a"):
        parts = Parts(COUNT, self.compute, token, lambda *counts: self.told.append(counts))
        run = Run(self.directory, {"xcrater": "1"}, self.rasters, [], self.said.append, self.said.append, shard)
        with parts.kept(run) as results:
            return [array.size for (array,) in results]

    def path(self, number):
        return self.directory / "groups" / f"0-{number:05d}.part"


def test_each_part_is_computed_once(tmp_path):
    case = Case(tmp_path / "work")
    assert case.results() == case.results() == list(range(COUNT))
    assert case.computed == list(range(COUNT))
    assert case.told[:COUNT] == case.told[COUNT:] == [(n + 1, COUNT) for n in range(COUNT)]
    assert case.said == [f"{COUNT} of {COUNT} groups are in {str(case.directory)!r} already"]
    with pytest.raises(OtherRunError):
        case.results(token="b")


def test_damaged_or_missing_parts_are_computed_again(tmp_path):
    case = Case(tmp_path / "work")
    case.results()
    content = case.path(3).read_bytes()
    case.path(3).write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    case.path(1).unlink()
    assert case.results() == list(range(COUNT))
    assert case.computed[COUNT:] == [1, 3]
    assert case.path(3).read_bytes() == content
    assert sum("cannot be used" in text for text in case.said) == 1


def test_a_shard_has_no_results(tmp_path):
    case = Case(tmp_path / "work")
    for shard in (Shard(1, 2), Shard(2, 2), Shard(2, 2)):
        with pytest.raises(ShardFinished):
            case.results(shard)
    assert case.computed == [0, 2, 4, 1, 3]
    assert case.results() == list(range(COUNT))
    assert len(case.computed) == COUNT


def test_an_error_keeps_the_earlier_parts(tmp_path):
    case = Case(tmp_path / "work")
    compute, case.compute = case.compute, lambda number: compute(number) if number < 3 else 1 / 0
    with pytest.raises(ZeroDivisionError):
        case.results()
    case.compute = compute
    assert case.results() == list(range(COUNT))
    assert case.computed == list(range(COUNT))


def test_a_raster_that_changes_during_the_run_is_an_error_after_the_last_part(tmp_path):
    path = tmp_path / "dem.tif"
    dem = tutorial.synthetic_mosaic("moon", ppd=1, dtype="int16")
    dem.rio.to_raster(path)
    case = Case(tmp_path / "work", {"": open_mosaic(str(path))})
    compute = case.compute

    def changing(number):
        if number == COUNT - 1:
            (dem + 1).rio.to_raster(path)
        return compute(number)

    case.compute = changing
    with pytest.raises(ReadError, match="has been changed"):
        case.results()
    assert case.computed == list(range(COUNT))
