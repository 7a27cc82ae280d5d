"""Progress bars appear where somebody is watching, and nowhere else."""

from __future__ import annotations

import io
import os
import sys
from types import SimpleNamespace

import dask
import pandas as pd
import pytest
from dask.diagnostics import ProgressBar

from xcrater import CraterDatabase, set_options, tutorial
from xcrater.engine import graph, progress
from xcrater.errors import XcraterError


@pytest.fixture
def terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(progress, "looked_at", lambda: stream)
    monkeypatch.setattr(progress, "AFTER", 0.0)
    return stream


def compute():
    assert graph.compute(dask.delayed(sum)([1, 2]))[0] == 3


def test_a_terminal_shows_a_bar(terminal):
    compute()
    assert "100% Completed" in terminal.getvalue()


def test_statistics_of_a_raster_show_one_bar(terminal):
    cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "radius": [9e4]}), "moon")
    cdb.add_circles("floor")
    cdb.get_stats(tutorial.synthetic_mosaic("moon", ppd=1).chunk({"y": 60}), "floor", "count")
    assert terminal.getvalue().count("100% Completed") == 1


def test_short_computations_show_no_bar(terminal, monkeypatch):
    monkeypatch.setattr(progress, "AFTER", 3.0)
    compute()
    assert terminal.getvalue() == ""


def test_the_option_turns_bars_off(terminal):
    with set_options(progress=False):
        compute()
    assert terminal.getvalue() == ""
    with pytest.raises(XcraterError, match="received progress=1; expected True or False"):
        set_options(progress=1)


def test_there_is_one_bar_at_a_time(terminal):
    own = io.StringIO()
    with ProgressBar(out=own):
        compute()
    assert terminal.getvalue() == ""
    assert "100% Completed" in own.getvalue()


def test_terminals_and_notebooks_are_recognised(monkeypatch):
    assert progress.looked_at() is None  # pytest captures the output
    parent, child = os.openpty()
    with open(child, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert progress.looked_at() is stream
    os.close(parent)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for inside, shown in ((None, None), (SimpleNamespace(), None), (SimpleNamespace(kernel=1), sys.stderr)):
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda inside=inside: inside))
        assert progress.looked_at() is shown
    monkeypatch.setattr(sys, "stderr", None)
    assert progress.looked_at() is None
