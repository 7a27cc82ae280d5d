"""One file for each group of tiles: written whole or not at all, and read only if it is as it was written.

A file begins with `MAGIC` and the length of its header; the header, JSON, names the run and the group and says what
the arrays after it are. The last bytes are the CRC-32 of all others.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import uuid
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from xcrater.batch.encoding import decode, encode
from xcrater.errors import CheckpointError, CheckpointWriteError, DamagedCheckpointError

MAGIC = b"XCRATER\n"
FORMAT = 1
"""Number of the layout of files and of the manifest; a directory of another is refused."""

LENGTH, CHECKSUM, BUFFER = 8, 4, 2**22
"""Bytes of the header's length and of the checksum, and bytes that are read at a time."""


class _Checksum:
    """CRC-32 of parts one after another: at several gigabytes a second, it costs little beside a disk."""

    def __init__(self) -> None:
        self._number = 0

    def add(self, part: bytes | memoryview) -> None:
        """Go on with more bytes."""
        self._number = zlib.crc32(part, self._number)

    def bytes(self) -> bytes:
        """The checksum of all bytes so far, as files end with it."""
        return self._number.to_bytes(CHECKSUM, "little")


class Group(NamedTuple):
    """Where a group's results are kept.

    Parameters
    ----------
    directory : str
        The directory of the run.
    run : str
        What the run is known by.
    name : str
        Name of the group.
    """

    directory: str
    run: str
    name: str

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.directory, "groups", f"{self.name}.part")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes its name once it is complete and on the disk; on errors nothing is left.

    Raises
    ------
    CheckpointWriteError
        The disk is full, or the directory cannot be written.
    """
    try:
        unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with open(unfinished, "xb", buffering=0) as file:
                yield file
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
            raise
        _sync_directory(path.parent)
    except OSError as err:
        raise CheckpointWriteError(why_unwritable(path, err)) from err


def _sync_directory(path: Path) -> None:
    """Put the names of a directory on the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def why_unwritable(path: Path, err: OSError) -> str:
    """What is said where a file of a run cannot be written."""
    full = err.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "make room there" if full else "name a --work-dir that can be written"
    kept = ", and start the command again: what is finished is kept" if full else ""
    return f"cannot write {str(path)!r}: {err.strerror or err}; {advice}{kept}"


def write(group: Group, values: Sequence[Any]) -> None:
    """Keep the results of a group.

    Parameters
    ----------
    group : Group
        Where.
    values : sequence
        The results, which `xcrater.batch.encoding.encode` takes.
    """
    skeleton, arrays = encode(list(values))
    header = json.dumps(
        {
            "format": FORMAT,
            "run": group.run,
            "group": group.name,
            "arrays": [[a.dtype.str, list(a.shape), "C" if a.flags.c_contiguous else "F"] for a in arrays],
            "values": skeleton,
        }
    ).encode()
    checksum = _Checksum()
    with written_whole(group.path) as file:
        parts: list[bytes | memoryview] = [MAGIC, len(header).to_bytes(LENGTH, "little"), header]
        for part in [*parts, *map(_bytes, arrays)]:
            checksum.add(part)
            _write_all(file, part)
        _write_all(file, checksum.bytes())


def _bytes(array: NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array, which are not copied."""
    ordered = array if array.flags.c_contiguous else array.T
    return memoryview(cast(Any, ordered.reshape(-1).view(np.uint8)))


def _write_all(file: BinaryIO, part: bytes | memoryview) -> None:
    """Write all bytes; the system takes no more than it likes at once."""
    view = memoryview(part)
    while view:
        view = view[file.write(view) :]


def read(group: Group) -> list[Any]:
    """The results of a group.

    Raises
    ------
    DamagedCheckpointError
        The file is missing, or not as it was written.
    """
    with _opened(group.path) as (file, header, checksum):
        _check_origin(group, header)
        arrays = []
        for dtype, shape, order in header["arrays"]:
            array = np.empty(shape if order == "C" else shape[::-1], dtype)
            part = _bytes(array)
            if _read_into(file, part) < len(part):
                raise _damaged(group.path, "it is cut short")
            checksum.add(part)
            arrays.append(array if order == "C" else array.T)
        if file.read(CHECKSUM + 1) != checksum.bytes():
            raise _damaged(group.path, "its bytes are not those that were written")
        return list(decode(header["values"], arrays))


def check(group: Group, *, thorough: bool = True) -> None:
    """Make sure that a group's file is as it was written, and this group's.

    Parameters
    ----------
    group : Group
        Where.
    thorough : bool
        Whether to read it all, rather than to look at its size.

    Raises
    ------
    DamagedCheckpointError
        It is not.
    """
    with _opened(group.path) as (file, header, checksum):
        _check_origin(group, header)
        content = sum(math.prod(shape) * np.dtype(dtype).itemsize for dtype, shape, _ in header["arrays"])
        if os.fstat(file.fileno()).st_size != file.tell() + content + CHECKSUM:
            raise _damaged(group.path, "it is cut short, or something was added to it")
        if not thorough:
            return
        while content:
            part = file.read(min(content, BUFFER))
            checksum.add(part)
            content -= len(part)
        if file.read() != checksum.bytes():
            raise _damaged(group.path, "its bytes are not those that were written")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, dict[str, Any], _Checksum]]:
    """A file after its header, the header, and the checksum up to there; whatever is wrong with them is damage."""
    try:
        with open(path, "rb") as file:
            start = file.read(len(MAGIC) + LENGTH)
            if not start:
                raise _damaged(path, "it is empty")
            size = int.from_bytes(start[len(MAGIC) :], "little")
            if not start.startswith(MAGIC) or size > os.fstat(file.fileno()).st_size:
                raise _damaged(path, "it is cut short, or its bytes are not those that were written")
            text = file.read(size)
            header = json.loads(text)
            if header["format"] != FORMAT:
                raise _damaged(path, f"its format is {header['format']!r}, and this version writes {FORMAT}")
            checksum = _Checksum()
            checksum.add(start + text)
            yield file, header, checksum
    except FileNotFoundError:
        raise _damaged(path, "there is no such file") from None
    except OSError as err:
        raise _damaged(path, err.strerror or str(err)) from err
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as err:
        if isinstance(err, CheckpointError):
            raise
        raise _damaged(path, "its bytes are not those that were written") from err


def _check_origin(group: Group, header: dict[str, Any]) -> None:
    if (header["run"], header["group"]) != (group.run, group.name):
        raise _damaged(
            group.path, f"it is of group {header['group']!r} of run {header['run']!r}, and not of {group.run!r}"
        )


def _read_into(file: BinaryIO, part: memoryview) -> int:
    """Fill memory from a file as far as that goes: the number of bytes."""
    done = 0
    while done < len(part):
        count = file.readinto(part[done:])  # type: ignore[attr-defined]
        if not count:
            break
        done += count
    return done


def _damaged(path: Path, why: str) -> DamagedCheckpointError:
    return DamagedCheckpointError(f"the checkpoint {str(path)!r} cannot be used: {why}; it is computed again")
