"""Radial profiles: statistics of rings around every crater, optionally in sectors of azimuth or stacked."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from xcrater.errors import RegionError, StatisticError
from xcrater.options import get_option
from xcrater.statistics import zonal
from xcrater.statistics.aggregations import Aggregation, Asked, Function, apart, parse
from xcrater.statistics.described import attributes
from xcrater.table.regions import Annulus, Sector

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable

Array = NDArray[Any]

OUTER = 2.5
"""Default outer bound, in crater radii, of a profile given by its number of rings."""


def radial_profile(
    da: xr.DataArray,
    cdb: CraterTable,
    edges: int | ArrayLike = 20,
    stats: Asked = ("mean",),
    *,
    outer: float | None = None,
    sectors: int | ArrayLike | None = None,
    stack: bool | str = False,
    nvert: int | None = None,
    coverage: str | None = None,
    add_stats: Mapping[str, Function | Aggregation] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Compute statistics of rings around every crater; see `CratersAccessor.radial_profile`.

    `options` are weights, nodata and exclude, which are passed on to `zonal.get_stats`.
    """
    radii = _radii(edges, outer)
    azimuths = None if sectors is None else _azimuths(sectors)
    stats, add_stats = apart(stats, add_stats)
    names = (*(a.name for a in parse(stats)), *add_stats)
    if not names:
        raise StatisticError("received no statistic; expected a name such as 'mean'")
    by = _stack(stack, names)
    if coverage is None and get_option("coverage") == "all_touched":
        coverage = "center"  # otherwise pixels on a bound would count in the rings on both sides of it
    rings: dict[str, Annulus] = {}
    for inner, outside in itertools.pairwise(radii):
        if azimuths is None:
            rings[f"{inner} to {outside}"] = Annulus(inner, outside, nvert)
        else:
            for start, stop in itertools.pairwise(azimuths):
                rings[f"{inner} to {outside}, {start} to {stop}"] = Sector(inner, outside, nvert, start, stop)

    if by == "pixels":
        asked, add_stats = _collected(names)
    else:
        asked = names[: len(names) - len(add_stats)]
    found = zonal.get_stats(da, cdb, rings, asked, coverage=coverage, add_stats=add_stats, **options)
    bins = {"r": len(radii) - 1} | ({} if azimuths is None else {"azimuth": len(azimuths) - 1})
    profile = xr.Dataset(
        {name: _unfold(variable, bins) for name, variable in found.data_vars.items()},
        coords=found.drop_vars("region").coords,
        attrs=found.attrs,
    ).assign_coords(_coordinates(radii, azimuths))
    if by is None:
        return profile
    return _stacked(profile, {name: attributes(name, da, options.get("weights")) for name in names}, by)


def _bounds(received: object, name: str, to: float, most: float, expected: str) -> list[float]:
    """Bounds of bins: those received, or those of a number of equal bins from 0."""
    try:
        if isinstance(received, Integral) and not isinstance(received, bool):
            bounds = np.linspace(0.0, to, max(int(received), 0) + 1)
        else:
            bounds = np.asarray(received, dtype=float)
    except (TypeError, ValueError):
        bounds = np.empty(0)
    if (
        bounds.ndim != 1
        or bounds.size < 2
        or not np.isfinite(bounds).all()
        or (np.diff(bounds) <= 0).any()
        or bounds[0] < 0
        or bounds[-1] > most
    ):
        raise RegionError(f"received {name}={received!r}; expected {expected}")
    return [float(bound) for bound in bounds]


def _radii(edges: object, outer: Any) -> list[float]:
    if outer is not None:
        if not isinstance(edges, Integral):
            raise RegionError(
                f"received outer={outer!r} besides the rings' bounds edges={edges!r}; expected outer with a number of "
                "rings alone"
            )
        if not (isinstance(outer, int | float | np.number) and 0.0 < float(outer) < np.inf):
            raise RegionError(f"received outer={outer!r}; expected crater radii above 0, such as outer=2.5")
    expected = "a number of equal rings from 1 on, or their bounds, increasing crater radii from 0 on: [0, 0.5, 1, 1.5]"
    return _bounds(edges, "edges", OUTER if outer is None else outer, np.inf, expected)


def _azimuths(sectors: object) -> list[float]:
    expected = (
        "a number of equal sectors from 1 on, or their bounds, increasing degrees clockwise from north between 0 and "
        "360: [0, 90, 180]"
    )
    return _bounds(sectors, "sectors", 360.0, 360.0, expected)


def _unfold(variable: xr.DataArray, bins: dict[str, int]) -> xr.Variable:
    """Reshape a statistic from (..., region, crater) to (..., crater, *bins), since the regions are bins."""
    *lead, _, crater = variable.dims
    shape = (*variable.shape[:-2], *bins.values(), variable.shape[-1])
    dims = (*lead, *bins, crater)
    return xr.Variable(dims, variable.data.reshape(shape), variable.attrs).transpose(*lead, crater, *bins)


def _coordinates(radii: Sequence[float], azimuths: Sequence[float] | None) -> dict[str, Any]:
    """Middles and bounds of the bins."""
    coordinates: dict[str, Any] = {}
    for dim, edges, bounds, units, name in (
        ("r", radii, ("inner", "outer"), "crater radii", "distance from the crater's centre"),
        ("azimuth", azimuths, ("start", "stop"), "degrees", "azimuth at the crater's centre, clockwise from north"),
    ):
        if edges is not None:
            low, high = np.array(edges[:-1]), np.array(edges[1:])
            for suffix, at in (("", (low + high) / 2), (f"_{bounds[0]}", low), (f"_{bounds[1]}", high)):
                attrs = {"units": units, "long_name": name + suffix.replace("_", ", ")}
                coordinates[dim + suffix] = (dim, at, attrs)
    return coordinates


def _stack(stack: object, names: Sequence[str]) -> str | None:
    """Check the argument `stack`, and return "craters", "pixels", or None for no stack."""
    by = "craters" if stack is True else None if stack is False else stack
    if by not in (None, "craters", "pixels"):
        raise StatisticError(
            f"received stack={stack!r}; expected False for a profile of every crater, True or 'craters' for the mean "
            "of these, 'pixels' for the pixels of all craters together"
        )
    if by == "pixels":
        for name in names:
            if name not in POOLED:
                raise StatisticError(
                    f"the {name!r} of the pixels of all craters together does not follow from that of each; expected "
                    f"any of {', '.join(POOLED)}, or the mean of each crater's {name!r}: stack='craters'"
                )
    return None if by is None else str(by)


def _reduce(function: Callable[..., Any], *variables: xr.DataArray, dtypes: Sequence[Any]) -> Any:
    """Reduce variables along the craters, which are in one chunk, to one or several; lazily if they are lazy."""
    if not variables[0].sizes["crater"]:  # nothing needs computing, and dask accepts no dimension of length 0
        variables = tuple(variable.copy(data=np.empty(variable.shape, variable.dtype)) for variable in variables)
    return xr.apply_ufunc(
        function,
        *variables,
        input_core_dims=[["crater"]] * len(variables),
        output_core_dims=[[]] * len(dtypes),
        dask="parallelized",
        output_dtypes=list(dtypes),
        keep_attrs=True,
    )


_quiet = np.errstate(invalid="ignore", divide="ignore", over="ignore")  # statistics of no values are NaN


@_quiet
def _mean_of_craters(values: Array) -> tuple[Array, Array, Array]:
    """Mean of the numbers other than NaN along the last axis, its standard error, and their count."""
    there = ~np.isnan(values)
    n = there.sum(axis=-1)
    mean = np.where(there, values, 0.0).sum(axis=-1) / n
    deviation = np.where(there, values - mean[..., None], 0.0)
    error = np.sqrt((deviation**2).sum(axis=-1) / (n - 1) / n)
    return mean, np.where(n > 1, error, np.nan), n


@_quiet
def _pooled(weight: Array, mean: Array) -> Array:
    return np.asarray(np.where(weight > 0, weight * mean, 0.0).sum(axis=-1) / weight.sum(axis=-1))


@_quiet
def _pooled_variance(weight: Array, mean: Array, variance: Array) -> Array:
    """Population variance of pooled groups from their variances and means (Chan, Golub & LeVeque 1979)."""
    away = mean - _pooled(weight, mean)[..., None]
    return _pooled(weight, variance + away**2)


def _pooled_deviation(weight: Array, mean: Array, variance: Array) -> Array:
    return np.sqrt(_pooled_variance(weight, mean, variance))


def _total(values: Array) -> Array:
    return np.asarray(values.sum(axis=-1))


@_quiet
def _sum(values: Array) -> Array:
    """Sum of the numbers other than NaN; NaN if there are none."""
    return np.where(np.isnan(values).all(axis=-1), np.nan, np.nansum(values, axis=-1))


def _least(values: Array) -> Array:
    return np.asarray(np.fmin.reduce(values, axis=-1, initial=np.nan))


def _greatest(values: Array) -> Array:
    return np.asarray(np.fmax.reduce(values, axis=-1, initial=np.nan))


POOLED: dict[str, tuple[tuple[str, ...], Callable[..., Array]]] = {
    "mean": (("weight", "mean"), _pooled),
    "count": (("count",), _total),
    "sum": (("sum",), _sum),
    "std": (("weight", "mean", "var"), _pooled_deviation),
    "var": (("weight", "mean", "var"), _pooled_variance),
    "min": (("min",), _least),
    "max": (("max",), _greatest),
    "area": (("area",), _total),
    "nodata": (("nodata",), _total),
    "nan": (("nan",), _total),
}
"""Statistics of the pixels of all craters together: the statistics of each crater that they use, and their pooling."""

WEIGHT = Aggregation("weight", ("sums",), itemgetter("weight"))
"""Total weight of the pixels with values."""


def _collected(names: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Aggregation]]:
    needs = dict.fromkeys(need for name in names for need in POOLED[name][0])
    return tuple(need for need in needs if need != "weight"), {"weight": WEIGHT} if "weight" in needs else {}


def _stacked(profile: xr.Dataset, shown: Mapping[str, dict[str, str]], by: str) -> xr.Dataset:
    """Stack the profiles of all craters into one, whose statistics have these attributes."""
    stacked = profile.drop_vars([name for name, variable in profile.variables.items() if "crater" in variable.dims])
    for name, attrs in shown.items():
        if by == "craters":
            # User-supplied functions give objects, of which a mean exists only if they are numbers
            each = profile[name].astype(float) if profile[name].dtype == object else profile[name]
            mean, error, count = _reduce(_mean_of_craters, each, dtypes=(float, float, np.int64))
            stacked[name] = mean.assign_attrs(attrs)
            stacked[f"{name}_stderr"] = error.assign_attrs(
                attrs | {"long_name": f"standard error of: {attrs['long_name']}"}
            )
            stacked[f"{name}_craters"] = count.assign_attrs(long_name="number of craters with a value", units="1")
        else:
            needs, function = POOLED[name]
            parts = [profile[need] for need in needs]
            stacked[name] = _reduce(function, *parts, dtypes=(parts[-1].dtype,)).assign_attrs(attrs)
    return stacked.assign_attrs(stack=by)
