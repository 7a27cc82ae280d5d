"""The directory of a run: a manifest that describes the run, one file for each group of tiles, and locks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from xcrater.batch import files
from xcrater.errors import CheckpointError, DamagedCheckpointError, OtherRunError

MANIFEST = "run.json"

DIFFERENCES = 3
"""Largest number of differences between two runs that an error names."""


class Shard(NamedTuple):
    """One of several independent parts of a run's first stage.

    Parameters
    ----------
    number, parts : int
        Number of the part, counted from 1, and how many parts there are.
    """

    number: int
    parts: int

    def has(self, group: int) -> bool:
        """Whether the group with a number belongs to this part."""
        return group % self.parts == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"


WHOLE = Shard(1, 1)
"""All groups."""


@dataclass(frozen=True)
class WorkDir:
    """A directory that keeps what a run has finished.

    Parameters
    ----------
    path : Path
        The directory.
    """

    path: Path

    def manifest(self) -> dict[str, Any] | None:
        """Read the manifest; None if there is none.

        Raises
        ------
        CheckpointError
            The manifest cannot be read.
        """
        path = self.path / MANIFEST
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            if found["format"] != files.FORMAT:
                raise OtherRunError(
                    f"{str(self.path)!r} was begun by another version of xcrater ({found['about']['xcrater']}), which "
                    f"keeps results in format {found['format']!r}, and this one in {files.FORMAT}; name another "
                    "--work-dir"
                )
            return found
        except FileNotFoundError:
            if self.path.is_dir() and any(self.path.iterdir()):
                raise CheckpointError(
                    f"{str(self.path)!r} is a directory of something else; name another --work-dir, which is created"
                ) from None
            return None
        except NotADirectoryError:
            raise CheckpointError(f"{str(self.path)!r} is a file; name another --work-dir") from None
        except (OSError, ValueError, KeyError, TypeError) as err:
            if isinstance(err, CheckpointError):
                raise
            raise CheckpointError(
                f"the manifest {str(path)!r} of the run is damaged ({err}); delete the directory, and start again"
            ) from err

    def existing(self) -> dict[str, Any]:
        """Read the manifest of a run that must exist.

        Raises
        ------
        CheckpointError
            There is no manifest, or it cannot be read.
        """
        found = self.manifest() if self.path.exists() else None
        if found is None:
            raise CheckpointError(f"there is no run in {str(self.path)!r}; expected the --work-dir of a run")
        return found

    def begin(self, run: str, about: Mapping[str, Any], command: Sequence[str], tasks: Mapping[str, Any]) -> None:
        """Begin or resume a run in this directory.

        Parameters
        ----------
        run : str
            The run's id.
        about : mapping
            Description of the run, of types that JSON has.
        command : sequence of str
            The arguments of the command line.
        tasks : mapping
            What distinguishes its tasks from others: "hash", "memory", and "groups", their number in each stage.

        Raises
        ------
        OtherRunError
            The directory keeps another run.
        CheckpointError
            The directory cannot be used.
        """
        found = self.manifest()
        if found is not None:
            self._refuse_another(found, run, about, tasks)
            return
        try:
            (self.path / "groups").mkdir(parents=True, exist_ok=True)
            (self.path / "locks").mkdir(exist_ok=True)
            self._mark(run).touch()
        except OSError as err:
            raise CheckpointError(files.why_unwritable(self.path, err)) from err
        manifest = {
            "format": files.FORMAT,
            "run": run,
            "about": about,
            "command": list(command),
            "directory": os.getcwd(),
            "begun": time.strftime("%Y-%m-%d %H:%M:%S %z"),
            "tasks": tasks,
        }
        with files.written_whole(self.path / MANIFEST) as file:
            file.write(json.dumps(manifest, indent=1).encode())

    def _refuse_another(
        self, found: Mapping[str, Any], run: str, about: Mapping[str, Any], tasks: Mapping[str, Any]
    ) -> None:
        if found["run"] != run:
            what = list(_differences(about, found["about"]))
            what = what[:-1] or what
        elif found["tasks"] != tasks:
            what = list(_differing({"--memory": tasks["memory"]}, {"--memory": found["tasks"]["memory"]}, ()))
            what = what or ["tasks of other names, as other versions of dask or numpy give them"]
        else:
            return
        more = f", and {len(what) - DIFFERENCES} more differences" if len(what) > DIFFERENCES else ""
        raise OtherRunError(
            f"{str(self.path)!r} keeps the results of another run: this one has {'; '.join(what[:DIFFERENCES])}{more}. "
            "Name another --work-dir, or repeat the command that began it: "
            + shlex.join(["xcrater", *found["command"]])
        )

    @contextlib.contextmanager
    def locked(self, shard: Shard) -> Iterator[None]:
        """Keep other processes from computing the same shard, where the file system supports locks.

        Raises
        ------
        CheckpointError
            Another process is computing it.
        """
        lock = FileLock(self._lock(shard))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise CheckpointError(
                f"another process is computing shard {shard} of {str(self.path)!r}; wait for it, or end it first"
            ) from None
        except NotImplementedError:  # without locks work may be done twice, but files are identical and appear complete
            yield
            return
        except OSError as err:
            raise CheckpointError(files.why_unwritable(self._lock(shard), err)) from err
        try:
            yield
        finally:
            lock.release()

    def shards(self) -> dict[Shard, bool]:
        """The shards that have been started, and whether each of them is being computed."""
        found = {}
        for path in (self.path / "locks").glob("*-of-*.lock"):
            match = re.fullmatch(r"(\d+)-of-(\d+)", path.stem)
            if match is not None:
                lock = FileLock(path)
                try:
                    lock.acquire(timeout=0)
                    lock.release()
                    running = False
                except Timeout:
                    running = True
                except (NotImplementedError, OSError):
                    running = False
                found[Shard(int(match[1]), int(match[2]))] = running
        return dict(sorted(found.items(), key=lambda item: item[0][::-1]))

    def is_of(self, run: str) -> bool:
        """Whether this directory belongs to a run, as far as this process can see."""
        return self._mark(run).exists()

    def _mark(self, run: str) -> Path:
        return self.path / "groups" / f"run-{run}"

    def _lock(self, shard: Shard) -> Path:
        return self.path / "locks" / f"{shard.number}-of-{shard.parts}.lock"

    def group(self, run: str, name: str) -> files.Group:
        """The place where a group is kept."""
        return files.Group(str(self.path), run, name)

    def names(self) -> dict[str, tuple[int, int]]:
        """Stage and number of each group that the manifest knows, by name."""
        counts = self.existing()["tasks"]["groups"]
        return {name_of(stage, n): (stage, n) for stage, count in enumerate(counts) for n in range(count)}

    def look(self, run: str, names: Sequence[str], *, thorough: bool = True) -> State:
        """Examine the kept groups: which are finished, and what is wrong with damaged ones.

        Parameters
        ----------
        run : str
            The run's id.
        names : sequence of str
            Names of the groups.
        thorough : bool
            Whether to read the files instead of checking only their sizes.
        """
        finished, damaged = set(), {}
        there = {path.stem for path in (self.path / "groups").glob("*.part")}
        for name in names:
            if name in there:
                try:
                    files.check(self.group(run, name), thorough=thorough)
                    finished.add(name)
                except DamagedCheckpointError as err:
                    damaged[name] = str(err)
        return State(finished, damaged)

    def clear(self, shard: Shard) -> None:
        """Remove the unfinished files that a killed process left for a shard."""
        for path in (self.path / "groups").glob(".*.tmp"):
            match = re.match(r"\.\d+-(\d+)\.part", path.name)
            if match is not None and shard.has(int(match[1])):
                path.unlink(missing_ok=True)


class State(NamedTuple):
    """The state of a run's kept groups.

    Parameters
    ----------
    finished : set of str
        Names of the groups whose results are as they were written.
    damaged : dict of str
        What is wrong with the other kept groups, by name.
    """

    finished: set[str]
    damaged: dict[str, str]


def name_of(stage: int, number: int) -> str:
    """Make the name of a group."""
    return f"{stage}-{number:05d}"


def run_id(about: Mapping[str, Any]) -> str:
    """Hash the description of a run."""
    return hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=8).hexdigest()


def _differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """Describe how a run differs from another, in the user's terms."""
    files_differ = mine["files"] != theirs["files"]
    if files_differ:
        for name, of_one in mine["files"].items():
            known = theirs["files"].get(name, {})
            for path, facts in of_one.items():
                if facts != known.get(path):
                    yield f"the raster {path!r}{', which has changed since' if path in known else ''}"
    for name in dict.fromkeys([*mine, *theirs]):
        if name == "files" or (name == "rasters" and files_differ):
            continue
        yield from _differing(mine.get(name), theirs.get(name), (name,))
    yield "other rasters"  # if no other difference was found, the other run has more rasters


def _differing(mine: Any, theirs: Any, where: tuple[str, ...]) -> Iterator[str]:
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        names = [name for name in dict.fromkeys([*mine, *theirs]) if mine.get(name) != theirs.get(name)]
        for name in names:
            if name != "hash" or names == ["hash"]:  # a hash says less than any other difference
                yield from _differing(mine.get(name), theirs.get(name), (*where, str(name)))
    elif mine != theirs:
        yield f"{' '.join(where)} {_short(mine)} instead of {_short(theirs)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:40] + "…"


Report = Callable[[str], None]
"""Called with a line that the user should see."""
