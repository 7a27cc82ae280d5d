"""Pixel values in several patterns and dtypes, shared by the tests of order statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "i8", "f2", "f4", "f8")
QUANTILES = (0.0, 0.175, 0.25, 0.5, 0.9, 1.0)
PATTERNS = ("constant", "few", "wide", "extreme", "ascending", "normal")


def patterned(rng: np.random.Generator, dtype: str, pattern: str, size: Any) -> Array:
    """Pixel values of one pattern. Floats may include infinities and signed zeros; integers are exact in float64."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        values = {
            "constant": lambda: np.full(size, rng.choice([-0.0, 0.0, 2.5])),
            "few": lambda: rng.choice([-1.0, -0.0, 0.0, 1.0, 0.1], size),
            "wide": lambda: rng.choice([-1, 1], size) * 10.0 ** rng.uniform(-4, 4, size),
            "extreme": lambda: rng.choice([-np.inf, float(np.finfo(dtype).max), np.inf, -0.0], size),
            "ascending": lambda: np.sort(rng.normal(size=size), axis=None).reshape(size),
            "normal": lambda: rng.normal(0, 300, size),
        }[pattern]()
        return values.astype(dtype)
    low, high = max(np.iinfo(dtype).min, -(2**53)), min(np.iinfo(dtype).max, 2**53)
    return {
        "constant": lambda: np.full(size, rng.choice([low, 0, 7, high])),
        "few": lambda: rng.integers(0, 4, size),
        "wide": lambda: rng.integers(low, high, size, endpoint=True, dtype=dtype),
        "extreme": lambda: rng.choice(np.array([low, high], dtype), size),
        "ascending": lambda: np.sort(rng.integers(0, 100, size), axis=None).reshape(size),
        "normal": lambda: np.clip(rng.normal(0, 300, size), low, high),
    }[pattern]().astype(dtype)
