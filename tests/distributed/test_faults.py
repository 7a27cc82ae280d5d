"""Clusters that break while they work: a run gives the same bytes or ends in one error that names tiles.

Workers and schedulers are separate processes and die by real signals. Set ``XCRATER_FAULTS=20`` to repeat each fault
that many times.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr
from distributed import Client

import xcrater
from tests.distributed.processes import Processes
from xcrater import CraterDatabase
from xcrater.engine import graph
from xcrater.errors import LostTilesError, ReadError

TIMES = int(os.environ.get("XCRATER_FAULTS", 1))
STATS = ["count", "mean", "std", "median"]
SIDE = 120


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Processes]:
    """A scheduler and two workers."""
    cluster = Processes(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.add_worker()
        cluster.add_worker()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def cdb(cdb) -> CraterDatabase:
    cdb.add_annuli("circle", 0, 1, nvert=None)
    return cdb


@pytest.fixture(scope="module")
def da() -> xr.DataArray:
    return xcrater.open_mosaic(xcrater.sample_data["moon.tif"], chunks=SIDE)


@pytest.fixture(scope="module")
def expected(da, cdb) -> xr.Dataset:
    return statistics(da, cdb).compute(scheduler="threads")


def statistics(da: xr.DataArray, cdb: CraterDatabase) -> xr.Dataset:
    return da.craters.get_stats(cdb, "circle", STATS, coverage="center")


def delayed(da: xr.DataArray, seconds: float, also: Callable[[], Any] | None = None) -> xr.DataArray:
    """The same pixels, with a delay for each block; the function is a closure so that workers need no test module."""

    def wait(block):
        import time

        time.sleep(seconds)
        if also is not None:
            also()
        return block

    return da.copy(data=da.data.map_blocks(wait, dtype=da.dtype, meta=np.empty((0, 0), da.dtype)))


@contextlib.contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Run a function in a thread while the block runs, and raise its exception, if any, at the end."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as err:
            failed.append(err)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()
    if failed:
        raise failed[0]


def assert_same_or_lost(lazy: xr.Dataset, expected: xr.Dataset) -> bool:
    """Compute on the cluster and return whether all bytes are right; otherwise an error must name lost tiles."""
    lost = None
    try:
        (found,) = graph.compute(lazy)
    except LostTilesError as err:
        lost = err
    if lost is not None:
        top, bottom, left, right = lost.windows[0]
        assert f"rows {top} to {bottom}, columns {left} to {right}" in str(lost)
        return False
    for name in STATS:
        assert found[name].values.tobytes() == expected[name].values.tobytes(), name
    return True


def kill_workers(client: Client, times: int, pause: float) -> None:
    for _ in range(times):
        time.sleep(random.uniform(0, pause))
        running = list(client.run(os.getpid, on_error="ignore").values())
        if running:  # workers that are still starting do not answer
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(running), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(max(2, TIMES)))
def test_killed_workers(cluster, da, cdb, expected, turn):
    with cluster.client(2) as client, meanwhile(lambda: kill_workers(client, 1 + turn % 4, 2.0)):
        assert_same_or_lost(statistics(delayed(da, 0.1), cdb), expected)


@pytest.mark.slow
def test_a_tile_that_kills_its_workers_is_named(cluster, da, cdb, expected):
    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def allow(failures):
        def on_scheduler(dask_scheduler):
            dask_scheduler.allowed_failures = failures

        return on_scheduler

    with cluster.client(2) as client:
        client.run_on_scheduler(allow(0))  # so that the death of one worker is enough
        try:
            with pytest.raises(LostTilesError, match=r"lost the tile of rows \d+ to \d+, .* 1 workers? died") as error:
                graph.compute(statistics(delayed(da, 0.0, die), cdb))
        finally:
            client.run_on_scheduler(allow(3))
        ((top, bottom, left, right),) = error.value.windows
        assert bottom - top <= SIDE
        assert right - left <= SIDE
        client.wait_for_workers(2, timeout=300)
        assert assert_same_or_lost(statistics(da.chunk(SIDE // 2), cdb), expected) is not None


@contextlib.contextmanager
def one_more(cluster: Processes, client: Client, *options: str, **environment: str) -> Iterator[str]:
    """Start a third worker and yield its address."""
    name = f"extra-{uuid.uuid4().hex}"
    nanny = cluster.add_worker("--name", name, *options, **environment)
    client.wait_for_workers(3, timeout=300)
    try:
        yield next(at for at, facts in client.scheduler_info(-1)["workers"].items() if facts["name"] == name)
    finally:
        nanny.terminate()
        try:
            nanny.wait(60)
        except subprocess.TimeoutExpired:  # on a busy machine, a worker may take long to shut down
            nanny.kill()
            nanny.wait()


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(TIMES))
def test_a_retired_worker(cluster, da, cdb, expected, turn):
    with cluster.client(2) as client, one_more(cluster, client) as worker:

        def retire() -> None:
            time.sleep(random.uniform(0, 1.5))
            client.retire_workers([worker])

        with meanwhile(retire):
            assert assert_same_or_lost(statistics(delayed(da, 0.1), cdb), expected)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(TIMES))
def test_a_worker_over_its_memory_limit(cluster, da, cdb, expected, turn):
    def eat():
        if "HUNGRY" in os.environ:
            held = np.ones(100_000_000)
            time.sleep(30 * held[-1])

    with cluster.client(2) as client, one_more(cluster, client, "--memory-limit", "500MB", HUNGRY="yes"):
        assert_same_or_lost(statistics(delayed(da, 0.1, eat), cdb), expected)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(TIMES))
def test_reads_that_fail_on_one_worker(cluster, da, cdb, turn):
    with (
        cluster.client(2) as client,
        one_more(cluster, client, GDAL_SKIP="GTiff"),
        pytest.raises(ReadError, match=r"cannot read rows \d+ to \d+, columns \d+ to \d+") as error,
    ):
        statistics(da, cdb).compute()
    top, bottom, left, right = error.value.window
    assert f"rows {top} to {bottom}, columns {left} to {right}" in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(TIMES))
def test_a_scheduler_that_is_killed(tmp_path, da, cdb, expected, turn):
    cluster = Processes(tmp_path)
    try:
        cluster.add_worker()

        def kill() -> None:
            time.sleep(random.uniform(0, 1.5))
            cluster.scheduler.kill()

        with cluster.client(1), meanwhile(kill):
            assert not assert_same_or_lost(statistics(delayed(da, 0.3), cdb), expected)
    finally:
        cluster.stop()
