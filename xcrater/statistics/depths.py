"""Depths of craters and related measures: elevations of rim, floor and background, rim height, slope of the wall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xcrater.engine.neighbours import Exclude
from xcrater.errors import GridError, RegionError, StatisticError, XcraterError
from xcrater.statistics import zonal
from xcrater.statistics.derivation import Derive, attributes, percentiles_around
from xcrater.statistics.planes import above_planes
from xcrater.table.regions import Annulus

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable

Limits = tuple[float, float]

METRES = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
}
"""Metres per unit of elevation."""


@dataclass(frozen=True)
class Zones:
    """Rings around a crater's centre from whose elevations its depth is measured.

    Each ring is given by its inner and outer limit in crater radii.

    Parameters
    ----------
    rim, floor, wall : tuple of float
        Parts of the crater.
    background : tuple of float or None
        The surroundings above which the rim rises.
    plane : tuple of float or None
        The ring to which the plane is fitted that is subtracted from elevations; None to subtract no plane.
    """

    rim: Limits
    floor: Limits
    wall: Limits
    background: Limits | None
    plane: Limits | None

    @property
    def wall_bounds(self) -> tuple[float, float, float]:
        """Inner limit, middle and outer limit of the wall."""
        inner, outer = _limits("wall", self.wall)
        return inner, (inner + outer) / 2, outer

    def limits(self) -> dict[str, Limits]:
        """Limits of all zones by name, with separate zones for the lower and the upper half of the wall."""
        inner, middle, outer = self.wall_bounds
        limits = {"rim": self.rim, "floor": self.floor, "wall, lower": (inner, middle), "wall, upper": (middle, outer)}
        limits |= {} if self.background is None else {"background": self.background}
        return limits | ({} if self.plane is None else {"plane": self.plane})


def depths(
    da: xr.DataArray,
    cdb: CraterTable,
    zones: Zones,
    *,
    method: str,
    percentiles: tuple[float, float],
    detrend: str | None,
    nvert: int | None,
    coverage: str,
    weights: str | None,
    nodata: float | int | None,
    exclude: Exclude | float | None,
) -> xr.Dataset:
    """Measure the depths of craters on an elevation model; see `CratersAccessor.depths`."""
    if method not in ("mean", "percentile"):
        raise XcraterError(f"received method={method!r}; expected 'mean' or 'percentile'")
    if detrend not in (None, "plane"):
        raise XcraterError(f"received detrend={detrend!r}; expected None or 'plane'")
    if weights is not None and str(weights) != "area":
        raise StatisticError(f"received weights={weights!r}; expected None, or 'area' for each pixel's true area")
    if detrend is None:
        zones = replace(zones, plane=None)
    limits = zones.limits()
    rings = {name: Annulus(*_limits(name, received), nvert) for name, received in limits.items()}
    ranks = dict(zip(("rim", "floor"), _ranks(percentiles), strict=True)) if method == "percentile" else {}
    around = percentiles_around(ranks.values())
    factor, units = _units(da)

    options: Any = {"coverage": coverage, "nodata": nodata, "weights": weights, "exclude": exclude}
    if detrend is None:
        stats = _as_they_are(da, cdb, rings, tuple(ranks), around, options)
    else:
        stats = above_planes(da, cdb, rings, tuple(ranks), around, **options)
    derive = Derive(tuple(rings), tuple(ranks.items()), zones.wall_bounds, factor)
    arrays = [stats[name][stat] for name in rings for stat in derive.needs(name)]
    names = derive.names()
    results = xr.apply_ufunc(
        derive, *arrays, arrays[0]["radius"], output_core_dims=[[]] * len(names), dask="parallelized", keep_attrs=True,
        output_dtypes=[arrays[0].dtype if name.endswith("_count") else np.dtype("f8") for name in names],
    )  # fmt: skip
    out = xr.Dataset(attrs={"body": cdb.body, "coverage": coverage, "method": method, "elevation_units": units})
    out.attrs |= {name: list(pair) for name, pair in limits.items() if "," not in name} | {"wall": list(zones.wall)}
    out.attrs |= {"percentiles": list(percentiles)} if ranks else {}
    out.attrs |= {"weights": weights} if weights else {}
    out.attrs |= {"detrend": detrend} if detrend else {}
    for name, array in zip(names, results, strict=True):
        out[name] = array
        out[name].attrs = attributes(name, above_plane=detrend is not None)
    return out


def _limits(name: str, given: object) -> Limits:
    """Check the limits of a zone."""
    if not isinstance(given, list | tuple) or len(given) != 2:
        raise RegionError(
            f"received {name}={given!r}; expected its inner and outer limit in crater radii, such as {name}=(0.9, 1.1)"
        )
    ring = Annulus(*given)  # its error says what is wrong with the limits
    return float(ring.inner), float(ring.outer)


def _ranks(given: object) -> tuple[float, float]:
    """Check the percentiles of the rim and of the floor."""
    pair = given if isinstance(given, list | tuple) and len(given) == 2 else ()
    if not pair or not all(isinstance(rank, int | float) and 0 <= rank <= 100 for rank in pair):
        raise StatisticError(
            f"received percentiles={given!r}; expected that of the rim and that of the floor, from 0 to 100, such as "
            "percentiles=(60, 3)"
        )
    return float(pair[0]), float(pair[1])


def _units(da: xr.DataArray) -> tuple[float, str]:
    """Metres per unit of the raster's elevations, and the text about the unit for the result's attributes."""
    given = da.attrs.get("units")
    named = {str(unit).strip().lower() for unit in (given if isinstance(given, list | tuple) else [given])}
    if given is None or named <= {"", "none"}:
        return 1.0, "m, assumed: the raster names none"
    found = {METRES.get(unit) for unit in named}
    factor = found.pop()
    if factor is None or found:
        raise GridError(
            f"received elevations in units of {given!r}; expected 'm' or 'km'. If they are metres, say so: "
            'da = da.assign_attrs(units="m")'
        )
    return factor, ", ".join(sorted(named))


def _as_they_are(
    da: xr.DataArray,
    cdb: CraterTable,
    zones: Mapping[str, Annulus],
    ranked: Sequence[str],
    percentiles: Sequence[str],
    options: Any,
) -> dict[str, xr.Dataset]:
    """Statistics of each zone's elevations: count, mean and std, or count and percentiles for ranked zones."""
    parts = [([name for name in zones if name not in ranked], ["mean", "std", "count"])]
    if ranked:
        parts.append((list(ranked), ["count", *percentiles]))
    found: dict[str, xr.Dataset] = {}
    for names, stats in parts:
        dataset = zonal.get_stats(da, cdb, {name: zones[name] for name in names}, stats, **options)
        found |= {name: dataset.sel(region=name, drop=True) for name in names}
    return found
