"""Checkpoint files return what was written, and detect any damage."""

from __future__ import annotations

import errno
import os
import re
from unittest import mock

import numpy as np
import pytest

from xcrater.batch import files
from xcrater.batch.encoding import decode, encode
from xcrater.errors import CheckpointError, CheckpointWriteError, DamagedCheckpointError
from xcrater.statistics.accumulators import Partial, Sums
from xcrater.statistics.quantiles.answers import Answers
from xcrater.statistics.quantiles.pairs import Pairs
from xcrater.statistics.quantiles.search import OrderPartial


def some_values() -> list:
    """Partial results of all kinds: nested records, empty arrays, byte orders, and dicts of categories."""
    dicts = np.empty(2, object)
    dicts[:] = [{1: 3, -2: 5}, {np.int16(7): np.float64(0.5)}]
    answers = Answers(np.arange(2), np.array([[np.nan, np.inf], [-0.0, 1e300]]), dicts)
    pairs = Pairs(*(np.arange(2, dtype=kind) for kind in ("i8", "i4", "i4", "i8", "i8", "u2", "f8")), None, most=2**62)
    nothing = Sums(np.empty(0, np.int32), np.empty((0, 1, 1, 8), np.int64))
    sums = Sums(np.arange(3, dtype=np.int32), np.asfortranarray(np.arange(24.0).reshape(3, 2, 4)))
    return [
        Partial([sums, nothing], [], [OrderPartial([answers], [pairs])]),
        {None: [True, 2, 0.1, "text", None], (1, 2): np.arange(6, dtype=">i2")[::2], "number": np.float32(3)},
    ]


def plain(value):
    """A value as nested lists of types and bytes, which can be compared."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return ["objects", value.shape, [plain(each) for each in value.ravel()]]
    if isinstance(value, np.ndarray | np.generic):
        return [type(value).__name__, value.dtype.str, value.shape, value.tobytes()]
    if isinstance(value, dict):
        return [[plain(key), plain(each)] for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(plain, value)]
    if hasattr(value, "__dataclass_fields__"):
        return [type(value).__name__, *(plain(getattr(value, name)) for name in value.__dataclass_fields__)]
    return value


@pytest.fixture
def group(tmp_path):
    (tmp_path / "groups").mkdir()
    return files.Group(str(tmp_path), "0123", "0-00012")


def test_written_values_can_be_read_back(group):
    values = some_values()
    files.write(group, values)
    files.check(group)
    read = files.read(group)
    assert plain(read) == plain(values)
    assert read[0].sums[0].sums.flags.f_contiguous
    assert read[0].sums[0].sums.flags.writeable
    assert os.listdir(group.path.parent) == ["0-00012.part"]


def test_only_plain_values_and_listed_records_are_written():
    with pytest.raises(CheckpointError, match="type object cannot be kept"):
        encode([object()])
    for skeleton in ({"record": "Popen", "fields": {}}, {"pickle": 0}, {"list": 3}, {"array": 1}):
        with pytest.raises((KeyError, IndexError, TypeError)):
            decode(skeleton, [np.arange(2)])


def emptied(content):
    return b""


def cut_short(content):
    return content[:-1]


def cut_in_the_header(content):
    return content[:40]


def lengthened(content):
    return content + b"\0"


def of_another_format(content):
    return content.replace(b'"format": 1', b'"format": 9')


def of_another_run(content):
    return content.replace(b'"run": "0123"', b'"run": "4567"')


def no_checkpoint(content):
    return b"PK" + content[2:]


DAMAGES = [emptied, cut_short, cut_in_the_header, lengthened, of_another_format, of_another_run, no_checkpoint]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_and_never_read(damage, group):
    files.write(group, some_values())
    group.path.write_bytes(damage(group.path.read_bytes()))
    for look in (files.read, files.check):
        with pytest.raises(DamagedCheckpointError, match=re.escape(repr(str(group.path)))):
            look(group)


def test_any_flipped_bit_is_detected(group):
    files.write(group, some_values())
    content = group.path.read_bytes()
    for n in range(0, 8 * len(content), 61):
        flipped = bytearray(content)
        flipped[n // 8] ^= 1 << n % 8
        group.path.write_bytes(flipped)
        for look in (files.read, files.check):
            with pytest.raises(DamagedCheckpointError):
                look(group)


def test_a_missing_file_is_an_error(group):
    with pytest.raises(DamagedCheckpointError, match="no such file"):
        files.read(group)


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_file(fails, group):
    files.write(group, [1])
    full = OSError(errno.ENOSPC, "No space left on device")
    with mock.patch.object(os, fails, side_effect=full), pytest.raises(CheckpointWriteError, match="make room"):
        files.write(group, [2])
    assert files.read(group) == [1]
    assert os.listdir(group.path.parent) == ["0-00012.part"]
