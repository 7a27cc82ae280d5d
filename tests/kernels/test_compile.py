"""Compiled kernels on disk are reused, keyed by their sources and safe to share, and work without a cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import xcrater
from tests.helpers import ring_set
from xcrater import kernels
from xcrater.engine.craters import Craters
from xcrater.engine.plan import Tile
from xcrater.kernels import slots
from xcrater.kernels.half_widths import arcsine_ratio
from xcrater.statistics.leaf import Leaf
from xcrater.statistics.selftest import check_covered, check_kernels

ANSWER = """
import numpy as np
from xcrater import kernels

grid, out = kernels.Rows(np.radians(90.0), np.radians(-1.0), 360.0), np.empty((1, 4))
u0, lat, radius = np.array([10.0]), np.radians([5.0]), np.radians([20.0])
kernels.region_windows(u0, lat, radius, 1.0, 32, grid, kernels.node_scratch(32), out)
print(round(1e6 * out.sum()), kernels.cache_directory())
"""
"""The box around a polygon of 32 vertices: a kernel that calls functions of other files and compiles in seconds."""


def start(cache, **env):
    return subprocess.Popen(
        [sys.executable, "-c", ANSWER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache), **env},
    )


def answer(process) -> tuple[int, str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    count, directory = out.split()
    return int(count), directory


def compiled(directory) -> set[str]:
    return {p.name for p in Path(directory).rglob("*.nbc")}


@pytest.mark.slow
def test_processes_that_compile_at_once_agree_and_leave_one_good_cache(tmp_path):
    together = [answer(p) for p in [start(tmp_path) for _ in range(3)]]
    assert len(set(together)) == 1
    kept = compiled(tmp_path)
    assert kept
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nbc")}
    assert answer(start(tmp_path)) == together[0]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nbc")} == stamps  # nothing was compiled again


@pytest.mark.slow
def test_an_unwritable_directory_does_no_harm(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    count, directory = answer(start(blocked, XDG_CACHE_HOME=str(blocked), TMPDIR=str(tmp_path)))
    assert count > 0
    assert Path(directory).parent.name.startswith("xcrater")
    assert Path(directory).parents[1] == tmp_path


@pytest.mark.slow
def test_without_any_directory_kernels_are_compiled_in_memory():
    refuse = "import pathlib\ndef refuse(*a, **k):\n    raise PermissionError\npathlib.Path.mkdir = refuse\n"
    script = refuse + ANSWER
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert out.returncode == 0, out.stderr
    assert out.stdout.split()[1] == "None"


@pytest.mark.slow
def test_the_directory_name_depends_on_the_sources(tmp_path):
    """Kernels inline functions of other files, so a change in any of these must not find the old machine code."""
    package = Path(xcrater.__file__).parent
    names = set()
    for change in (None, "spans.py", "sums.py"):
        copy = tmp_path / str(change)
        shutil.copytree(package, copy / "xcrater")
        if change:
            with open(copy / "xcrater" / "kernels" / change, "a") as file:
                file.write("\n# changed\n")
        script = "from xcrater.kernels import compile; print(compile.__file__, compile.cache_directory())"
        out = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True, text=True, timeout=300, check=True, cwd=copy,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        ).stdout.split()  # fmt: skip
        assert out[0].startswith(str(copy))
        names.add(out[1])
    assert len(names) == 3


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"rubbish"])
def test_damaged_cache_files_are_replaced(tmp_path, damage):
    before = answer(start(tmp_path))
    files = [p for p in tmp_path.rglob("*.nb?")]
    assert files
    for suffix in (".nbc", ".nbi"):
        for path in files:
            if path.suffix == suffix:
                path.write_bytes(damage or path.read_bytes()[:100])
        assert answer(start(tmp_path)) == before
        assert all(len(p.read_bytes()) > 100 for p in tmp_path.rglob("*.nb?"))


def test_inlined_functions_refuse_calls_from_python():
    for _ in range(2):
        with pytest.raises(TypeError, match="py_func"):
            arcsine_ratio(0.0)
    assert arcsine_ratio.py_func(0.0) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "i8", "f4", "f8"])
def test_kernels_give_the_known_answer(dtype):
    check_kernels.__wrapped__(np.dtype(dtype).str)
    check_covered.__wrapped__(np.dtype(dtype).str)


@pytest.mark.parametrize("slot", ["COUNT", "TOTAL", "LOW", "HIGH", "SQ_HIGH"])
def test_kernels_that_fail_their_self_test_are_not_used(monkeypatch, slot):
    sound = kernels.accumulate

    def wrong(*args):
        sound(*args)
        args[-1].out[..., getattr(slots, slot)] += 1

    monkeypatch.setattr(kernels, "accumulate", wrong)
    check_kernels.cache_clear()
    shapes = ring_set([(0.0, 1.0)], "center", kernels.Rows(np.radians(90.0), np.radians(-1.0), 360.0))
    craters = Craters(np.arange(1, dtype="i4"), np.array([10.0]), np.radians([5.0]), np.radians([20.0]))
    tile = Tile((0, 0), (0, 180, 0, 360), craters)
    with pytest.raises(RuntimeError, match="delete that directory"):
        Leaf(shapes, None)(np.ones((180, 360), "i2"), tile)
    monkeypatch.undo()
    Leaf(shapes, None)(np.ones((180, 360), "i2"), tile)
