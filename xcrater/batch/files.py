"""One file for each group of tiles: written completely or not at all, and read only if it is as it was written.

A file begins with `MAGIC` and the length of its header. The header, in JSON, names the run and the group and describes
the arrays that follow. The last bytes are the CRC-32 of all others.
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
"""Version of the layout of files and of the manifest; a directory with another version is refused."""

LENGTH, CHECKSUM, BUFFER = 8, 4, 2**22
"""Bytes of the header's length, bytes of the checksum, and bytes read at a time."""


class _Checksum:
    """CRC-32 of successive parts; at several gigabytes a second it costs little compared with a disk."""

    def __init__(self) -> None:
        self._number = 0

    def add(self, part: bytes | memoryview) -> None:
        """Include more bytes in the checksum."""
        self._number = zlib.crc32(part, self._number)

    def bytes(self) -> bytes:
        """The checksum of all bytes so far, in the form in which files end with it."""
        return self._number.to_bytes(CHECKSUM, "little")


class Group(NamedTuple):
    """The place where a group's results are kept.

    Parameters
    ----------
    directory : str
        The directory of the run.
    run : str
        Id of the run.
    name : str
        Name of the group.
    """

    directory: str
    run: str
    name: str

    @property
    def path(self) -> Path:
        """Path of the group's file."""
        return Path(self.directory, "groups", f"{self.name}.part")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, which gets its name only when it is complete and on the disk; errors leave nothing behind.

    Raises
    ------
    CheckpointWriteError
        The disk is full, or the directory cannot be written to.
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
    """Flush the entries of a directory to the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def why_unwritable(path: Path, err: OSError) -> str:
    """The message that a file of a run cannot be written, with the remedy."""
    full = err.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "make room there" if full else "name a --work-dir that can be written"
    kept = ", and start the command again: what is finished is kept" if full else ""
    return f"cannot write {str(path)!r}: {err.strerror or err}; {advice}{kept}"


def write(group: Group, values: Sequence[Any]) -> None:
    """Keep the results of a group.

    Parameters
    ----------
    group : Group
        Place of the file.
    values : sequence
        The results, of types that `xcrater.batch.encoding.encode` takes.
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
    """View the bytes of a contiguous array without copying them."""
    ordered = array if array.flags.c_contiguous else array.T
    return memoryview(cast(Any, ordered.reshape(-1).view(np.uint8)))


def _write_all(file: BinaryIO, part: bytes | memoryview) -> None:
    """Write all bytes, since a single call may write only some of them."""
    view = memoryview(part)
    while view:
        view = view[file.write(view) :]


def read(group: Group) -> list[Any]:
    """Read the results of a group.

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
    """Check that a group's file is as it was written, and belongs to this group.

    Parameters
    ----------
    group : Group
        Place of the file.
    thorough : bool
        Whether to read the whole file instead of checking only its size.

    Raises
    ------
    DamagedCheckpointError
        The file is damaged or belongs to another group.
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
    """Open a file and read its header; yields the file, the header and the checksum so far.

    Whatever is wrong with the header counts as damage.
    """
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
            group.path, f"it belongs to group {header['group']!r} of run {header['run']!r}, not to run {group.run!r}"
        )


def _read_into(file: BinaryIO, part: memoryview) -> int:
    """Fill memory from a file as far as the file goes, and return the number of bytes read."""
    done = 0
    while done < len(part):
        count = file.readinto(part[done:])  # type: ignore[attr-defined]
        if not count:
            break
        done += count
    return done


def _damaged(path: Path, why: str) -> DamagedCheckpointError:
    return DamagedCheckpointError(f"the checkpoint {str(path)!r} cannot be used: {why}; it is computed again")
