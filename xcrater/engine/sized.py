"""Partial results that report how many bytes they hold, so that a cluster can decide what to move and spill."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np

SAMPLE = 64
"""Number of elements of an array of objects that are measured; the others are assumed to be similar."""


class Sized:
    """A dataclass that travels between tasks, whose `sys.getsizeof` includes the arrays in its fields.

    dask asks objects of unknown types for this size. Without it, a partial result of 50 MB would count as 50 bytes: the
    scheduler would move it between workers as if that were free, and a worker short of memory would not spill it.
    """

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + _bytes_of_fields(self)


def _bytes_of_fields(record: Any) -> int:
    return sum(_bytes(getattr(record, each.name)) for each in dataclasses.fields(record))


def _bytes(value: Any) -> int:
    """Bytes of the arrays that a value holds, directly or in sequences, mappings and records."""
    if isinstance(value, np.ma.MaskedArray):
        return _bytes(value.data) + _bytes(np.ma.getmask(value))
    if isinstance(value, np.ndarray):
        some = value.ravel()[:SAMPLE].tolist() if value.dtype == object else []
        return value.nbytes + (sum(map(_bytes, some)) * value.size // len(some) if some else 0)
    if isinstance(value, dict):
        return sys.getsizeof(value) + sum(map(_bytes, value.values()))
    if isinstance(value, list | tuple):
        return sys.getsizeof(value) + sum(map(_bytes, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, Sized):
        return _bytes_of_fields(value)
    return sys.getsizeof(value)
