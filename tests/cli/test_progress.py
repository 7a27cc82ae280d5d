"""Commands report their progress: lines in a log, a bar on a terminal, and nothing with ``--quiet``."""

from __future__ import annotations

import io
import sys
import time

import dask
import dask.array
import pytest

from xcrater import kernels
from xcrater.cli import progress
from xcrater.cli.progress import CountTasks, Done, watching
from xcrater.cli.shared import RunOptions


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(progress, "LOG", 0.02)
    monkeypatch.setattr(progress, "REFRESH", 0.02)


def output_of_run(monkeypatch, stream, *, quiet=False):
    """The output for a run that is one third done for a while, and then finished."""
    monkeypatch.setattr(sys, "stderr", stream)
    steps = iter([Done(0, 0), *[Done(1000, 3000)] * 3])
    with watching("stats", "tasks", lambda: next(steps, Done(3000, 3000)), quiet=quiet):
        time.sleep(0.3)
    return stream.getvalue()


def test_a_log_gets_regular_lines(monkeypatch):
    lines = output_of_run(monkeypatch, io.StringIO()).splitlines()
    assert 4 < len(lines) < 20
    assert lines[0] == "xcrater stats: 0 s"
    assert lines[1] == "xcrater stats: 1,000 of 3,000 tasks, 0 s, about 0 s to go"
    assert lines[-1].startswith("xcrater stats: 3,000 of 3,000 tasks")


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    text = output_of_run(monkeypatch, Terminal())
    assert "3000/3000" in text
    assert "stats" in text


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_quiet_prints_nothing(monkeypatch, stream):
    assert output_of_run(monkeypatch, stream(), quiet=True) == ""


def test_tasks_are_counted_as_they_finish():
    with CountTasks() as counted, dask.config.set(scheduler="synchronous"):
        dask.array.zeros(10, chunks=1).sum().compute(optimize_graph=False)
    done, total = counted.measure()
    assert done == total > 10


def test_compiling_is_reported_once_and_only_where_it_happens(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(kernels, "cache_directory", lambda: tmp_path, raising=False)
    run = RunOptions(None, None, None, None, quiet=False)

    def told(run, **options):
        with run.running("stats", **options):
            pass
        return "compiling kernels" in capsys.readouterr().err

    assert told(run)
    assert not told(run, compiles=False)
    assert not told(run._replace(quiet=True))
    (tmp_path / "sums").mkdir()
    (tmp_path / "sums" / "accumulate.nbi").touch()
    assert not told(run)
