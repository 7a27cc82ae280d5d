"""Derivation of depths from statistics of zones: differences, ratios, slopes, and their standard errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SPREAD = 5.0
"""Percentage points on either side of a percentile over which the density of elevations is estimated."""


@dataclass(frozen=True)
class Derive:
    """Turns statistics of zones into depths and related measures.

    This is one function of whole arrays, so that a lazy result has a single additional task rather than one for every
    operation.

    Parameters
    ----------
    zones : tuple of str
        Names of the zones, in order.
    ranks : tuple of (str, float)
        Zones whose elevation is a percentile, each with its rank from 0 to 100.
    wall : tuple of float
        Inner limit, middle and outer limit of the wall, in crater radii.
    factor : float
        Metres per unit of elevation.
    """

    zones: tuple[str, ...]
    ranks: tuple[tuple[str, float], ...]
    wall: tuple[float, float, float]
    factor: float

    def needs(self, zone: str) -> list[str]:
        """Names of the statistics needed for a zone, in order."""
        ranks = dict(self.ranks)
        if zone not in ranks:
            return ["count", "mean", "std"]
        p, h = ranks[zone], _spread(ranks[zone])
        return ["count", *dict.fromkeys(_percentile(at) for at in (p, p - h, p + h))]

    def names(self) -> list[str]:
        """Names of the results, in order."""
        levels = [zone for zone in ("rim", "floor", "background") if zone in self.zones]
        values = [*levels, "depth", *(["rim_height"] if "background" in levels else []), "depth_diameter", "wall_slope"]
        counts = [zone for zone in self.zones if "," not in zone] + ["wall"]
        return [value + suffix for value in values for suffix in ("", "_error")] + [f"{zone}_count" for zone in counts]

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Compute values and standard errors in the order of `names`.

        The last of the given arrays holds the craters' radii in metres.
        """
        statistics, radius = iter(arrays[:-1]), arrays[-1]
        out: dict[str, Array] = {}
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for zone in self.zones:
                found = {name: next(statistics) for name in self.needs(zone)}
                out[f"{zone}_count"] = found["count"]
                out[zone], out[f"{zone}_error"] = self._level(zone, found)
            self._subtract(out, "depth", "rim", "floor")
            for suffix in ("", "_error"):
                out[f"depth_diameter{suffix}"] = out[f"depth{suffix}"] / (2 * radius)
            if "background" in self.zones:
                self._subtract(out, "rim_height", "rim", "background")
            inner, middle, outer = self.wall
            self._subtract(out, "rise", "wall, upper", "wall, lower")
            run = radius * (_mean_distance(middle, outer) - _mean_distance(inner, middle))
            slope = out["rise"] / run
            out["wall_slope"] = np.degrees(np.arctan(slope))
            out["wall_slope_error"] = np.degrees(out["rise_error"] / run / (1 + slope**2))
        out["wall_count"] = out["wall, lower_count"] + out["wall, upper_count"]
        return tuple(out[name] for name in self.names())

    def _level(self, zone: str, found: Mapping[str, Array]) -> tuple[Array, Array]:
        """Elevation of a zone and its standard error, metres."""
        n = np.where(found["count"] > 1, found["count"], np.nan)  # a single pixel says nothing about the scatter
        if "mean" in found:
            return self.factor * found["mean"], self.factor * found["std"] / np.sqrt(n)
        p = dict(self.ranks)[zone]
        h = _spread(p)
        density = 2 * h / (found[_percentile(p + h)] - found[_percentile(p - h)]) if h else np.full(n.shape, np.nan)
        return self.factor * found[_percentile(p)], self.factor * np.sqrt(p * (100 - p) / n) / density

    @staticmethod
    def _subtract(out: dict[str, Array], name: str, one: str, other: str) -> None:
        out[name] = out[one] - out[other]
        out[f"{name}_error"] = np.hypot(out[f"{one}_error"], out[f"{other}_error"])


def _spread(p: float) -> float:
    """Distance from a rank to the percentiles on either side, which must stay between 0 and 100."""
    return min(SPREAD, p, 100.0 - p)


def _percentile(p: float) -> str:
    return f"percentile_{p!r}"


def percentiles_around(ranks: Iterable[float]) -> list[str]:
    """Names of the percentiles at some ranks and on either side of them, from which the density is estimated."""
    return list(dict.fromkeys(_percentile(p + h) for p in ranks for h in (0.0, -_spread(p), _spread(p))))


def _mean_distance(inner: float, outer: float) -> float:
    """Mean distance from the centre of the points of a flat ring, in the unit of its bounds."""
    return 2 / 3 * (outer**3 - inner**3) / (outer**2 - inner**2)


def attributes(name: str, above_plane: bool) -> dict[str, str]:
    """Attributes of a result by its name."""
    if name.endswith("_count"):
        return {"long_name": f"pixels with values, {name.removesuffix('_count')}", "units": "1"}
    of = name.removesuffix("_error")
    above = "height above the plane" if above_plane else "elevation"
    long_name, units = {
        "depth": ("depth, rim to floor", "m"),
        "rim_height": ("height of the rim above the background", "m"),
        "depth_diameter": ("depth by diameter", "1"),
        "wall_slope": ("slope of the wall, up outwards", "degrees"),
    }.get(of, (f"{above} of the {of}", "m"))
    return {"long_name": long_name if of == name else f"standard error of: {long_name}", "units": units}
