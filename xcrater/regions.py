"""What a region is, before any raster: a shape measured in crater radii."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from xcrater.errors import RegionError


@dataclass(frozen=True)
class Annulus:
    """The ring between two distances from a crater's centre.

    Parameters
    ----------
    inner, outer : float
        Bounds in crater radii, ``0 <= inner < outer``.
    nvert : int or None
        Number of vertices, even, of the polygon that stands for each bounding circle (edges straight in
        longitude and latitude), or None for the true small circle.

    Raises
    ------
    RegionError
        If the bounds or the number of vertices make no ring.

    Examples
    --------
    >>> Annulus(1, 1.5)
    Annulus(inner=1, outer=1.5, nvert=32)
    """

    inner: float
    outer: float
    nvert: int | None = 32

    def __post_init__(self) -> None:
        if not all(isinstance(bound, Real) and math.isfinite(bound) for bound in (self.inner, self.outer)):
            raise RegionError(f"received inner={self.inner!r}, outer={self.outer!r}; both must be finite numbers")
        if self.inner < 0:
            raise RegionError(f"received inner={self.inner!r}; a distance in crater radii is 0 or more")
        if self.inner >= self.outer:
            raise RegionError(
                f"received inner={self.inner!r}, outer={self.outer!r}; inner must be less than outer "
                "(both in crater radii from the centre)"
            )
        if self.nvert is not None and (self.nvert != int(self.nvert) or self.nvert < 4 or self.nvert % 2):
            raise RegionError(
                f"received nvert={self.nvert!r}; expected an even number from 4 on, or None for a true circle"
            )


@dataclass(frozen=True)
class Circle(Annulus):
    """The disc within a distance of a crater's centre: an annulus whose inner bound is 0."""

    def __init__(self, size: float = 1.0, nvert: int | None = 32) -> None:
        super().__init__(0.0, size, nvert)
