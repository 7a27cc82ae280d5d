"""The attributes of craters that geometry needs, as a protocol, because geometry knows no class of the layers above."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Caps(Protocol):
    """Spherical caps placed on a grid, such as craters."""

    @property
    def lon(self) -> NDArray[np.float64]:
        """East longitude of the centre, degrees."""

    @property
    def lat(self) -> NDArray[np.float64]:
        """Planetocentric latitude of the centre, radians."""

    @property
    def radius(self) -> NDArray[np.float64]:
        """Angular radius, radians."""

    def take(self, index: NDArray[np.integer]) -> Caps:
        """Select the caps at some positions."""
