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
from xcrater.pixels import chips
from xcrater.pixels.gathering import GatherLeaf
from xcrater.raster import mosaic
from xcrater.statistics.leaf import Leaf

MOMENT = 0.02
"""Seconds that a tile takes at least."""

SOME = 10
"""So few groups that some are left: a run must not be over before the signal arrives."""


def slowed(call):
    """A leaf that takes a moment for each tile."""

    def slowly(self, *args):
        time.sleep(MOMENT)
        return call(self, *args)

    return slowly


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


def content(out: Path) -> object:
    """The bytes of an output, without the command that a store tells of."""
    if out.is_file():
        return out.read_bytes()
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    about = json.loads(files.pop("zarr.json"))
    del about["attributes"]["xcrater_run"]["command"]
    return about, files


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
        da = open_mosaic(command[1])
        cdb.get_stats(da, "rim")
        da.craters.get_arrays(cdb, "rim").compute()
        da.craters.chips(cdb, 16).compute()
    for leaf in (Leaf, GatherLeaf, chips.Leaf):
        leaf.__call__ = slowed(leaf.__call__)

    ending = ".csv" if command[0] == "stats" else ".zarr"
    log, plain = given.place / "log.txt", given.place / f"plain{ending}"
    begun = time.monotonic()
    # Without a directory, arrays have an order and a number of their own.
    kept = [] if ending == ".csv" else ["--work-dir", str(given.place / "plain")]
    assert code_of(start([*command, "--out", str(plain), *kept], log)) == 0
    lasts = time.monotonic() - begun
    for n, sent in enumerate(given.signals):
        work, out = given.place / f"work-{n}", given.place / f"{n}{ending}"
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
        if code == 0:  # it was over before: the first run had a busier machine
            lasts *= 0.8
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
                    "same": content(out) == content(plain),
                    "left": [path.name for path in [*work.rglob("*.tmp"), *given.place.glob(f".{n}.tmp.zarr")]],
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
