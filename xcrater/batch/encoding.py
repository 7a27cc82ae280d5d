"""Partial results as bytes: a skeleton in JSON, which says what they are made of, and the bytes of their arrays.

A pickle can run any code when it is read, and what can be read depends on the classes of the day. Here a file can only
name the records listed in `RECORDS`, and everything else is plain: numbers, texts, lists and arrays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.errors import CheckpointError
from xcrater.pixels.blocks import Blocks
from xcrater.statistics.accumulators import Partial, Sums
from xcrater.statistics.planes import Moments, Pixels
from xcrater.statistics.quantiles.answers import Answers
from xcrater.statistics.quantiles.pairs import Pairs
from xcrater.statistics.quantiles.passes import Targets
from xcrater.statistics.quantiles.search import OrderPartial
from xcrater.statistics.quantiles.weighted_passes import WeightedTargets

Array = NDArray[Any]

RECORDS: dict[str, Any] = {
    record.__name__: record
    for record in (Answers, Blocks, Moments, OrderPartial, Pairs, Partial, Pixels, Sums, Targets, WeightedTargets)
}
"""The dataclasses that partial results consist of, by name: no other is read."""


def encode(value: Any) -> tuple[Any, list[Array]]:
    """Take a partial result apart.

    Parameters
    ----------
    value : object
        Records, lists, tuples, dicts, numbers, texts, None and arrays within one another.

    Returns
    -------
    skeleton : object
        What JSON can express, in which arrays are numbers.
    arrays : list of ndarray
        The arrays, contiguous in the order of C or of Fortran.

    Raises
    ------
    CheckpointError
        Something is of another type.
    """
    arrays: list[Array] = []
    return _skeleton(value, arrays), arrays


def _skeleton(value: Any, arrays: list[Array]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        return {type(value).__name__: [_skeleton(item, arrays) for item in value]}
    if type(value) is dict:
        return {"dict": [[_skeleton(key, arrays), _skeleton(item, arrays)] for key, item in value.items()]}
    if type(value) is np.ndarray and value.dtype == object:
        items = [_skeleton(item, arrays) for item in value.ravel().tolist()]
        return {"objects": items, "shape": list(value.shape)}
    if type(value) is np.ndarray or isinstance(value, np.generic):
        ordered = np.asarray(value)
        if not (ordered.flags.c_contiguous or ordered.flags.f_contiguous):
            ordered = np.ascontiguousarray(ordered)
        arrays.append(ordered)
        return {"array" if type(value) is np.ndarray else "number": len(arrays) - 1}
    name = type(value).__name__
    if RECORDS.get(name) is type(value):
        held = {field.name: _skeleton(getattr(value, field.name), arrays) for field in dataclasses.fields(value)}
        return {"record": name, "fields": held}
    raise CheckpointError(
        f"partial results with an object of type {name} cannot be kept in a directory; compute without it: leave "
        "--work-dir out"
    )


def decode(skeleton: Any, arrays: Sequence[Array]) -> Any:
    """Put a partial result together again.

    Parameters
    ----------
    skeleton, arrays : object
        What `encode` made of it.

    Raises
    ------
    KeyError, IndexError, TypeError, ValueError
        They are not what it made.
    """
    if not isinstance(skeleton, dict):
        return skeleton
    if "record" in skeleton:
        fields = {name: decode(item, arrays) for name, item in skeleton["fields"].items()}
        return RECORDS[skeleton["record"]](**fields)
    if "objects" in skeleton:
        filled = np.empty(len(skeleton["objects"]), object)
        for n, item in enumerate(skeleton["objects"]):
            filled[n] = decode(item, arrays)
        return filled.reshape(skeleton["shape"])
    ((kind, content),) = skeleton.items()
    return _KINDS[kind](content, arrays)


_KINDS: dict[str, Callable[[Any, Sequence[Array]], Any]] = {
    "list": lambda items, arrays: [decode(item, arrays) for item in items],
    "tuple": lambda items, arrays: tuple(decode(item, arrays) for item in items),
    "dict": lambda items, arrays: {decode(key, arrays): decode(item, arrays) for key, item in items},
    "array": lambda number, arrays: arrays[number],
    "number": lambda number, arrays: arrays[number][()],
}
