"""Partial results as bytes: a skeleton in JSON, which describes their structure, and the bytes of their arrays.

A pickle can run any code when it is read, and depends on the classes of the version that wrote it. Here a file can only
name the records listed in `RECORDS`; everything else is plain numbers, texts, lists and arrays.
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
"""The dataclasses that partial results consist of, by name; no others are read."""


def encode(value: Any) -> tuple[Any, list[Array]]:
    """Split a partial result into a skeleton and its arrays.

    Parameters
    ----------
    value : object
        Records, lists, tuples, dicts, numbers, texts, None and arrays, nested in any way.

    Returns
    -------
    skeleton : object
        The structure in terms of JSON, in which each array is represented by its number.
    arrays : list of ndarray
        The arrays, contiguous in C or Fortran order.

    Raises
    ------
    CheckpointError
        The result contains an object of another type.
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
    """Restore a partial result.

    Parameters
    ----------
    skeleton, arrays : object
        The results of `encode`.

    Raises
    ------
    KeyError, IndexError, TypeError, ValueError
        The arguments were not made by `encode`.
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
