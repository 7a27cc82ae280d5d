"""Keys: pixel values encoded as unsigned integers of the same order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.statistics.wide_integers import inexact

Array = NDArray[Any]


@dataclass(frozen=True)
class Coding:
    """The mapping of stored numbers to keys, and of keys to values.

    Integers are shifted so that the least number of their dtype has key 0. The bits of a floating-point number ascend
    with its magnitude, so the sign bit of positive numbers and all bits of negative ones are flipped. Both mappings can
    be inverted, so order statistics found among keys are exact.

    Parameters
    ----------
    dtype : str
        Dtype of the raster.
    scale, offset : float
        ``value = stored * scale + offset``.

    Examples
    --------
    >>> coding = Coding("<f4", 2.0)
    >>> keys = coding.keys(np.array([1.5, -0.0, -np.inf], "f4"))
    >>> coding.values(keys)
    array([  3.,   0., -inf])
    """

    dtype: str
    scale: float = 1.0
    offset: float = 0.0

    @property
    def key(self) -> np.dtype[Any]:
        """Dtype of the keys."""
        stored = np.dtype(self.dtype)
        narrowest = 1 if stored.kind in "bu" else 2 if stored.kind == "i" else 4
        return np.dtype(f"u{min(8, max(narrowest, stored.itemsize))}")

    @property
    def bits(self) -> int:
        """Number of bits of a key."""
        return 8 * self.key.itemsize

    @property
    def mirrored(self) -> bool:
        """Whether a negative scale makes the largest key the smallest value."""
        return self.scale < 0

    @property
    def scaled(self) -> bool:
        """Whether values differ from the stored numbers."""
        return (self.scale, self.offset) != (1.0, 0.0)

    @property
    def kind(self) -> str:
        """Kind of the raster's dtype, as numpy's ``dtype.kind``."""
        return np.dtype(self.dtype).kind

    def _sign(self) -> Any:
        return self.key.type(1 << (self.bits - 1))

    def keys(self, stored: Array) -> Array:
        """Encode stored numbers, none of which may be NaN.

        If keys have the width of the numbers, they overwrite them: pass a copy of numbers that are still needed.
        """
        if self.kind == "f":
            bits = stored.astype(f"f{self.key.itemsize}", copy=False).view(self.key)
            kernels.encode_floats(bits, self._sign(), self.key.type(2**self.bits - 1))
            return bits
        keys = stored.view(self.key) if stored.dtype.itemsize == self.key.itemsize else stored.astype(self.key)
        if self.kind == "i":
            keys ^= self._sign()
        return keys

    @property
    def exact(self) -> bool:
        """Whether values are integers that float64 may not hold."""
        stored = np.dtype(self.dtype)
        return not self.scaled and stored.kind in "iu" and stored.itemsize == 8

    def values(self, keys: Array) -> NDArray[np.float64]:
        """Decode keys to values. Negative zero becomes 0.0, and an integer that float64 does not hold becomes NaN."""
        stored = self.stored(keys)
        values = stored.astype(np.float64)
        if self.exact:
            values[inexact(stored)] = np.nan
        if self.scaled:
            values = values * self.scale + self.offset
        return values + 0.0

    def stored(self, keys: Array) -> Array:
        """Decode keys to stored numbers."""
        keys = keys.astype(self.key)
        if self.kind == "f":
            bits = np.where(keys & self._sign(), keys ^ self._sign(), ~keys)
            return bits.view(f"f{self.key.itemsize}")
        return (keys ^ self._sign()).view(f"i{self.key.itemsize}") if self.kind == "i" else keys

    def nearest(self, value: float) -> float:
        """The number by which the raster's dtype represents a value: 0.1 differs between float32 and float64."""
        stored = np.dtype(self.dtype)
        return float(stored.type(value)) if stored.kind == "f" and not self.scaled else value
