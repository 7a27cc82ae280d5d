"""What each statistic collects from tiles, how that merges, and how it becomes a number: declarations.

*Chunk*: a statistic names what it needs; a tile collects that once, whatever number of statistics share it.
*Combine*: accumulators of two tiles merge, tile by tile in a fixed order. *Finalise*: the merged accumulators of all
craters become the statistic's array.

A statistic sees each accumulator as an array of shape (lead, region, crater), where lead counts the raster's extra
dimensions. Order statistics do not reduce to sums:
`xcrater.statistics.quantiles.order` finds those that the statistics ask for together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.errors import StatisticError
from xcrater.statistics.quantiles.order import Wanted

Array = NDArray[Any]
State = Mapping[str, Any]
"""Merged accumulators by name; ``scale`` and ``offset`` turn stored numbers into values."""


def _counted(state: State, values: Array) -> Array:
    """Values as float64, NaN where no pixel has any weight."""
    return np.where(state["weight"] > 0, values, np.nan)


def _decoded(state: State, stored: Array) -> Array:
    return stored * state["scale"] + state["offset"]


def _mean(state: State) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = state["total"] / state["weight"]
    if state["total"].dtype.kind == "f":  # that of equal values may be off by its last digit
        mean = np.clip(mean, state["low"], state["high"])
    return _decoded(state, mean)


def _sum(state: State) -> Array:
    return _counted(state, state["total"] * state["scale"] + state["offset"] * state["weight"])


def _variance(state: State) -> Array:
    """Population variance of the stored numbers."""
    n = state["weight"]
    if state["total"].dtype.kind == "f":
        with np.errstate(invalid="ignore", divide="ignore"):
            # Of equal values the mean may be off by its last digit.
            alike = (state["low"] == state["high"]) & np.isfinite(state["low"])
            return np.where(alike, 0.0, state["m2"] / n)
    out = np.empty(n.size)
    kernels.exact_variance(n.ravel(), *(state[name].ravel() for name in ("total", "sq_high", "sq_low")), out)
    return out.reshape(n.shape)


def _var(state: State) -> Array:
    return state["scale"] ** 2 * _variance(state)


def _std(state: State) -> Array:
    return np.abs(state["scale"]) * np.sqrt(_variance(state))


def _variation(state: State) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(_std(state) / _mean(state))


def _standardised(state: State, moment: str, power: float) -> Array:
    """A higher moment by a power of the variance; NaN of equal values."""
    variance = _variance(state)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.where(variance > 0.0, state[moment] / state["weight"] / variance**power, np.nan)


def _skew(state: State) -> Array:
    return np.asarray(np.sign(state["scale"]) * _standardised(state, "m3", 1.5))


def _kurtosis(state: State) -> Array:
    return _standardised(state, "m4", 2.0) - 3.0


def _coverage(state: State) -> Array:
    count = state["count"]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, count / (count + state["nodata"] + state["nan"]), np.nan)


def _extreme(state: State, *, high: bool) -> Array:
    stored = state["high" if high == (state["scale"] > 0) else "low"]
    return _counted(state, _decoded(state, stored))


def _range(state: State) -> Array:
    with np.errstate(invalid="ignore"):  # of infinities
        return _extreme(state, high=True) - _extreme(state, high=False)


def _quantile(state: State, *, q: float) -> Array:
    return state["order"].quantile(q)


def _frequency(state: State, *, which: str) -> Array:
    return state["order"].frequency(which)


def _share(state: State, *, value: float) -> Array:
    return state["order"].share(value)


def _categories(state: State) -> Array:
    return state["order"].categories()


def _plain(state: State, *, name: str) -> Array:
    return state[name]


@dataclass(frozen=True)
class Aggregation:
    """One statistic.

    Parameters
    ----------
    name : str
        As users type it.
    needs : tuple of str
        What tiles collect for it: "sums" (counts, sums and extremes), and "moments" (sums of higher powers) or "area".
    finalise : callable
        Merged state of some craters -> array of shape (lead, region, crater). They come by the block, so a number
        may depend on nothing but its own crater.
    dtype : str
        Of the result.
    order : Wanted
        The order statistics that it takes from ``state["order"]``, an `xcrater.statistics.quantiles.order.Table`.

    Examples
    --------
    The share of a region's pixels that hold values, as a statistic of one's own:

    >>> covered = Aggregation("covered", ("sums",), lambda s: s["count"] / (s["count"] + s["nodata"] + s["nan"]))
    >>> covered.needs
    ('sums',)

    It is asked for by ``da.craters.get_stats(cdb, "rim", add_stats={"covered": covered})``.
    """

    name: str
    needs: tuple[str, ...]
    finalise: Callable[[State], Array] = field(compare=False)
    dtype: str = "float64"
    order: Wanted = field(default_factory=Wanted)

    def __post_init__(self) -> None:
        unknown = set(self.needs) - {"sums", "moments", "area"}
        if unknown:
            raise StatisticError(
                f"received needs={self.needs!r} of the statistic {self.name!r}; expected 'sums', 'moments' or 'area', "
                "and order statistics by order=xcrater.order.Wanted(...)"
            )


def _of_quantile(name: str, q: float) -> Aggregation:
    return Aggregation(name, ("sums",), partial(_quantile, q=q), order=Wanted((q,)))


def _of_frequency(name: str, which: str) -> Aggregation:
    return Aggregation(name, ("sums",), partial(_frequency, which=which), order=Wanted(frequencies=True))


AGGREGATIONS = {
    a.name: a
    for a in (
        Aggregation("min", ("sums",), partial(_extreme, high=False)),
        Aggregation("max", ("sums",), partial(_extreme, high=True)),
        Aggregation("mean", ("sums",), _mean),
        Aggregation("count", ("sums",), partial(_plain, name="count"), "int64"),
        Aggregation("sum", ("sums",), _sum),
        Aggregation("std", ("sums",), _std),
        _of_quantile("median", 0.5),
        _of_frequency("majority", "majority"),
        _of_frequency("minority", "minority"),
        _of_frequency("unique", "unique"),
        Aggregation("range", ("sums",), _range),
        Aggregation("var", ("sums",), _var),
        Aggregation("cv", ("sums",), _variation),
        Aggregation("skew", ("moments",), _skew),
        Aggregation("kurtosis", ("moments",), _kurtosis),
        _of_frequency("variety", "unique"),
        Aggregation("coverage", ("sums",), _coverage),
        Aggregation("area", ("area",), partial(_plain, name="area")),
        Aggregation("nodata", ("sums",), partial(_plain, name="nodata"), "int64"),
        Aggregation("nan", ("sums",), partial(_plain, name="nan"), "int64"),
    )
}
"""Statistics by name, rasterstats' in the order that rasterstats gives them."""

RASTERSTATS = tuple(
    "min max mean count sum std median majority minority unique range nodata nan".split()  # noqa: SIM905
)
"""Those that ``stats="*"`` means in rasterstats."""

CATEGORICAL = Aggregation("categorical", ("sums",), _categories, "object", Wanted(categories=True))


_OTHER_NAMES = {
    "average": "mean",
    "avg": "mean",
    "n": "count",
    "stdev": "std",
    "stddev": "std",
    "maximum": "max",
    "minimum": "min",
    "total": "sum",
    "mode": "majority",
    "variance": "var",
    "skewness": "skew",
    "fraction": "frac_<value>",
    "frac": "frac_<value>",
}


_FAMILIES = ("percentile_", "quantile_", "frac_")


def parse(stats: str | Iterable[str]) -> tuple[Aggregation, ...]:
    """Look statistics up by name.

    Parameters
    ----------
    stats : str or iterable of str
        Names, or one string of names separated by spaces; ``"*"`` or ``"ALL"`` for all of rasterstats'.
        ``percentile_<q>`` takes any number from 0 to 100, ``quantile_<q>`` from 0 to 1, ``frac_<value>`` any.

    Returns
    -------
    tuple of Aggregation
        In rasterstats' order: named ones, then those with a number as given, missing pixels.

    Raises
    ------
    StatisticError
        A name is unknown or twice there, or a percentile lies outside 0 to 100.

    Examples
    --------
    >>> [a.name for a in parse("mean percentile_90 min")]
    ['min', 'mean', 'percentile_90']
    """
    names: Sequence[str]
    if isinstance(stats, str):
        names = list(RASTERSTATS) if stats in ("*", "ALL") else stats.split()
    else:
        names = list(stats)
    for name in names:
        if not isinstance(name, str):
            raise StatisticError(f"received {name!r} as a statistic; expected a name such as 'mean'")
        if list(names).count(name) > 1:
            raise StatisticError(f"the statistic {name!r} is asked for twice; name it once")
    numbered = [_numbered(name) for name in names if name.startswith(_FAMILIES)]
    for name in names:
        if name not in AGGREGATIONS and not name.startswith(_FAMILIES):
            close = (
                [_OTHER_NAMES[name]]
                if name in _OTHER_NAMES
                else get_close_matches(name, [*AGGREGATIONS, "percentile_50", "quantile_0.5"], n=3)
            )
            hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
            raise StatisticError(
                f"unknown statistic {name!r}; {hint}expected any of {', '.join(AGGREGATIONS)}, percentile_<0 to 100>, "
                "quantile_<0 to 1>, frac_<value>"
            )
    asked = [a for a in AGGREGATIONS.values() if a.name in names]
    missing = [a for a in asked if a.name in ("nodata", "nan")]
    return (*(a for a in asked if a not in missing), *numbered, *missing)


def is_builtin(name: str) -> bool:
    """Whether a name is that of a statistic that there is."""
    return name in AGGREGATIONS or name.startswith(_FAMILIES) or name == CATEGORICAL.name


def _numbered(name: str) -> Aggregation:
    family, _, text = name.partition("_")
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if family == "frac":
        if np.isnan(number):
            raise StatisticError(f"received {name!r}; expected frac_<value> with a number, such as 'frac_7'")
        return Aggregation(name, ("sums",), partial(_share, value=number), order=Wanted(shares=(number,)))
    most = 100.0 if family == "percentile" else 1.0
    if not 0.0 <= number <= most:
        example = "'percentile_90'" if family == "percentile" else "'quantile_0.9'"
        raise StatisticError(f"received {name!r}; expected {family}_<q> with q from 0 to {most:g}, such as {example}")
    return _of_quantile(name, number / most)
