"""A cluster of separate processes: ``dask scheduler`` and ``dask worker`` over loopback, as users start them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from distributed import Client


class Processes:
    """A scheduler and workers of one thread each, which meet through a scheduler file and communicate over TCP.

    Parameters
    ----------
    folder : Path
        Directory for the scheduler file and the logs of the processes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self._running: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", ":0", "--no-show"
        )

    def add_worker(self, *options: str, directory: Path | None = None, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker under its nanny, in its own directory if one is given, and return the nanny's process."""
        options = ("--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1", *options)
        return self._start("worker", *options, directory=directory, **environment)

    def _start(
        self, what: str, *options: str, directory: Path | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", what, "--scheduler-file", str(self.file), *options]
        with open(self.folder / f"{what}-{len(self._running)}.log", "wb") as log:
            process = subprocess.Popen(
                command,
                cwd=directory or self.folder,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])} | environment,
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        return process

    @contextlib.contextmanager
    def client(self, workers: int) -> Iterator[Client]:
        """Yield a client once the given number of workers has connected."""
        deadline = time.monotonic() + 300
        while not self.file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        with Client(scheduler_file=str(self.file), timeout="30s") as client:
            client.wait_for_workers(workers, timeout=300)
            yield client

    def logs(self) -> str:
        """The logs of all processes."""
        return "\n".join(log.read_text(errors="replace") for log in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        """End all processes, workers before the scheduler."""
        for process in reversed(self._running):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
