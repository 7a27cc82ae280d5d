"""Cost of checkpoints: the statistics of the headline with and without a checkpoint directory, in turn.

    python benchmarks/checkpoints.py           the mosaic and the craters of benchmarks/headline.py
    python benchmarks/checkpoints.py --small   a few seconds, for continuous integration

Each measurement runs in its own process, and lasts from opening the file to a finished DataFrame. A run with
checkpoints begins in an empty directory and is started once more when it has finished; the second time it reads no
pixel.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from headline import REGIONS, STATS, make_craters, make_mosaic

PLAIN, KEPT, AGAIN = "without checkpoints", "with checkpoints", "started again when finished"


def measure(raster: str, craters: str, work: str) -> None:
    """Compute the statistics, with checkpoints if a directory is given, and print time and sizes."""
    import xcrater
    from xcrater.batch.run import Run, keeping

    start, processors = time.perf_counter(), time.process_time()
    cdb = xcrater.CraterDatabase(craters, "moon", units="km")
    for name, bounds in REGIONS.items():
        cdb.add_annuli(name, *bounds)
    da = xcrater.open_mosaic(raster)
    about = {"xcrater": xcrater.__version__}
    run = Run(Path(work), about, {"": da}, [], print, lambda _: None)
    with keeping(run) if work else contextlib.nullcontext():
        frame = cdb.get_stats(da, list(REGIONS), STATS)
    seconds, work_of_processors = time.perf_counter() - start, time.process_time() - processors
    digest = hashlib.blake2b(digest_size=8)
    for name in STATS:
        for region in REGIONS:
            digest.update(frame[f"{name}_{region}"].to_numpy().tobytes())
    sizes = [path.stat().st_size for path in Path(work).glob("groups/*.part")] if work else []
    found = {"seconds": seconds, "processors": work_of_processors, "files": len(sizes), "bytes": sum(sizes)}
    print(json.dumps({**found, "digest": digest.hexdigest()}))


def in_process(*arguments: object) -> dict:
    """Run `measure` in its own process and return its numbers."""
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="8 pixels per degree, 5,000 craters, one round")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "xcrater-bench"
    )
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure(*options.child)
        return
    ppd, count, rounds = (8, 5_000, 1) if options.small else (128, 1_300_000, options.rounds)
    options.data.mkdir(parents=True, exist_ok=True)
    raster, craters = options.data / f"moon_{ppd}ppd.tif", options.data / f"craters_{count}.parquet"
    if not craters.exists():
        make_craters(craters, count)
    if not raster.exists():
        make_mosaic(raster, ppd)

    found: dict[str, list[dict]] = {PLAIN: [], KEPT: [], AGAIN: []}
    in_process(raster, craters, "")  # compiles the kernels and brings the file into memory
    for n in range(rounds):
        work = Path(tempfile.mkdtemp(dir=options.data))
        turns = [(PLAIN, ""), (KEPT, work), (AGAIN, work)]
        for name, directory in turns if n % 2 == 0 else turns[1:] + turns[:1]:
            found[name].append(in_process(raster, craters, directory))
        shutil.rmtree(work)
    assert len({each["digest"] for of_one in found.values() for each in of_one}) == 1, "results differ"

    kept = found[KEPT][0]
    print(f"\n| statistics of {count:,} craters at {ppd} pixels per degree | seconds | of all processors |")
    print("|---|---:|---:|")
    for name in found:
        cells = []
        for what in ("seconds", "processors"):
            plain, median = (statistics.median(each[what] for each in found[which]) for which in (PLAIN, name))
            cells.append(f"{median:.2f}" + ("" if name == PLAIN else f" ({median / plain - 1:+.1%})"))
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\n{kept['files']} files of {kept['bytes'] / 1e6:.1f} MB together; the bytes of all results are the same")


if __name__ == "__main__":
    main()
