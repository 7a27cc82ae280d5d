"""Run the command line repeatedly in forked processes and end them with a signal, as a batch system does.

A forked process starts at once, with all modules imported and kernels loaded. Tiles are small and each takes a moment,
so that there is always one to interrupt.
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
"""Minimum time per tile in seconds."""

SOME = 10
"""Upper limit of finished groups before a signal; small, so that the run is not over when the signal arrives."""


def slowed(call):
    """The call of a leaf, made to take a moment for each tile."""

    def slowly(self, *args):
        time.sleep(MOMENT)
        return call(self, *args)

    return slowly


def start(arguments: list[str], log: Path) -> int:
    """Start the command in a forked process and return its process number."""
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
    """Wait for a process and return its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def marks(work: Path) -> dict[str, tuple[int, int]]:
    """Inode and modification time of each group; they change if a group is written again."""
    found = {}
    for path in (work / "groups").glob("*.part"):
        facts = path.stat()
        found[path.name] = facts.st_ino, facts.st_mtime_ns
    return found


def content(out: Path) -> object:
    """The bytes of an output, without the command line recorded in a store."""
    if out.is_file():
        return out.read_bytes()
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    about = json.loads(files.pop("zarr.json"))
    del about["attributes"]["xcrater_run"]["command"]
    return about, files


def main() -> None:
    """For each signal, end a run with it in a new directory, and resume the run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("place", type=Path)
    parser.add_argument("signals", type=lambda names: [getattr(signal, name) for name in names.split(",")])
    parser.add_argument("seed", type=int)
    given, command = parser.parse_known_args()
    draw = random.Random(given.seed)
    mosaic.TARGET_PIXELS = 2**16
    with dask.config.set(scheduler="sync"):  # with the kernels loaded, and no threads, which a fork would lose
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
    # Without a working directory, arrays are stored in another order and batch size.
    kept = [] if ending == ".csv" else ["--work-dir", str(given.place / "plain")]
    assert code_of(start([*command, "--out", str(plain), *kept], log)) == 0
    lasts = time.monotonic() - begun
    for n, sent in enumerate(given.signals):
        work, out = given.place / f"work-{n}", given.place / f"{n}{ending}"
        arguments = [*command, "--out", str(out), "--work-dir", str(work)]
        number = start(arguments, log)
        if sent == signal.SIGKILL and n % 2:
            time.sleep(draw.uniform(0, lasts))
        else:  # wait for some groups and then for a random moment
            some = draw.randrange(1, SOME)
            while len(marks(work)) < some:
                time.sleep(0.001)
            time.sleep(draw.uniform(0, 2 * MOMENT))
        os.kill(number, sent)
        code, whole, before = code_of(number), out.exists(), marks(work)
        if code == 0:  # the run was already over; the first run had a busier machine
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
