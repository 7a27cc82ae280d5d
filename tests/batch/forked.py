"""Runs the command line again and again in forked processes and ends them with a signal, as a batch system does.

A process that is forked from this one starts at once: everything is imported, and the kernels are loaded. Tiles are
small and take a moment each, so that there are some to be interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import dask

from xcrater import CraterDatabase, cli, open_mosaic
from xcrater.raster import mosaic
from xcrater.statistics.leaf import Leaf

MOMENT = 0.02
"""Seconds that a tile takes at least."""

SOME = 10
"""So few groups that more than half are left: a run must not be over before the signal arrives."""

call = Leaf.__call__


def slowly(self, *args):
    """A tile that takes a moment."""
    time.sleep(MOMENT)
    return call(self, *args)


def start(arguments: list[str], log: Path) -> int:
    """Start the command in a process of its own: its number."""
    number = os.fork()
    if number:
        return number
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 2)
    sys.argv = ["xcrater", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        sys.stderr.flush()
        os._exit(end.code)
    except BaseException:
        os._exit(99)


def code_of(number: int) -> int:
    """Exit code of a process, negative for a signal, once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def marks(work: Path) -> dict[str, tuple[int, int]]:
    """What changes when a group is written again."""
    found = {}
    for path in (work / "groups").glob("*.part"):
        facts = path.stat()
        found[path.name] = facts.st_ino, facts.st_mtime_ns
    return found


def main() -> None:
    """End a run by each of some signals, each time in another directory, and take it up again."""
    parser = argparse.ArgumentParser()
    parser.add_argument("place", type=Path)
    parser.add_argument("signals", type=lambda names: [getattr(signal, name) for name in names.split(",")])
    parser.add_argument("seed", type=int)
    given, command = parser.parse_known_args()
    draw = random.Random(given.seed)
    mosaic.TARGET_PIXELS = 2**16
    with dask.config.set(scheduler="sync"):  # kernels are loaded, and no thread is started that a fork would lose
        cdb = CraterDatabase(command[2], "moon", units="km")
        cdb.add_annuli("rim", 1, 1.5)
        cdb.get_stats(open_mosaic(command[1]), "rim")
    Leaf.__call__ = slowly

    log, plain = given.place / "log.txt", given.place / "plain.csv"
    begun = time.monotonic()
    assert code_of(start([*command, "--out", str(plain)], log)) == 0
    lasts = time.monotonic() - begun
    for n, sent in enumerate(given.signals):
        work, out = given.place / f"work-{n}", given.place / f"{n}.csv"
        arguments = [*command, "--out", str(out), "--work-dir", str(work)]
        number = start(arguments, log)
        if sent == signal.SIGKILL and n % 2:
            time.sleep(draw.uniform(0, lasts))
        else:  # at some moment after some groups
            some = draw.randrange(1, SOME)
            while len(marks(work)) < some:
                time.sleep(0.001)
            time.sleep(draw.uniform(0, 2 * MOMENT))
        os.kill(number, sent)
        code, whole, before = code_of(number), out.exists(), marks(work)
        assert code_of(start([*arguments, "--overwrite"], log)) == 0
        after = marks(work)
        print(
            json.dumps(
                {
                    "code": code,
                    "whole": whole,
                    "finished": len(before),
                    "groups": len(after),
                    "kept": before.items() <= after.items(),
                    "same": out.read_bytes() == plain.read_bytes(),
                    "left": [path.name for path in work.rglob("*.tmp")],
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
