"""Statistics as declarations: what tiles collect for each, and how that becomes a number.

A statistic passes through three stages. *Chunk*: it names what it needs, and a tile collects that once, however many
statistics share it. *Combine*: the accumulators of two tiles merge, in a fixed order of tiles. *Finalise*: a function
turns the merged accumulators of a block of craters, the *state*, into the statistic's array.

A new statistic based on what tiles already collect is one function of the state and one `Aggregation` in
`AGGREGATIONS`, at its position among the results; nothing else needs to know of it. It may build on the functions of
other statistics: the root mean square is ``np.hypot(_mean(state), _std(state))``. The state holds, under these names,
arrays of shape (lead, region, crater), where lead counts the raster's images (bands, times):

- ``count``, ``nodata``, ``nan``: numbers of pixels with a value, with the nodata value and with NaN; under "exact"
  coverage, sums of the fractions covered;
- ``weight``: sum of the weights of the pixels with a value (their number, without weights);
- ``total``, ``low``, ``high``: weighted sum, minimum and maximum of the *stored* numbers, to which neither scale nor
  offset has been applied;
- ``m2``: weighted sum of squared differences from the mean; integers without weights have ``sq_high`` and ``sq_low``
  instead, the exact sum of squares in two words. `_variance` serves both;
- ``m3``, ``m4``: weighted sums of the third and fourth powers of differences from the mean; read them only where the
  need "moments" is declared, for without it they may be 0;
- ``area``: area in m² of the pixels with a value; read it only where the need "area" is declared, for without it every
  pixel may count 1.

``statistic`` is the name of the statistic being computed, and ``dtype`` the name of the raster's dtype; ``scale`` and
``offset`` turn stored numbers into values, ``value = stored * scale + offset``. Order statistics do not add up like
sums, so an aggregation declares them as `OrderStatistics`, one search finds all those of a request together
(`xcrater.statistics.quantiles.search`), and the state offers them as ``order``, an `OrderTable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.errors import StatisticError
from xcrater.pixels.blocks import Masked
from xcrater.statistics import wide_integers
from xcrater.statistics.quantiles.table import OrderTable
from xcrater.statistics.quantiles.wanted import OrderStatistics

Array = NDArray[Any]
State = Mapping[str, Any]
"""Merged accumulators by name, as the module's docstring lists them."""
Function: TypeAlias = Callable[[Masked], Any]
"""A user-supplied statistic of one crater's pixels."""
Asked: TypeAlias = str | Function | Iterable[str | Function]
"""Statistics as users ask for them: names, functions, or several of these."""


def _counted(state: State, values: Array) -> Array:
    """Replace values by NaN where no pixel has any weight."""
    return np.where(state["weight"] > 0, values, np.nan)


def _decoded(state: State, stored: Array) -> Array:
    values: Array = stored * state["scale"] + state["offset"]
    return values


def _mean(state: State) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = state["total"] / state["weight"]
    if state["total"].dtype.kind == "f":  # rounding may move the mean out of the values' range, as when all are equal
        mean = np.clip(mean, state["low"], state["high"])
    return _decoded(state, mean)


def _sum(state: State) -> Array:
    return _counted(state, state["total"] * state["scale"] + state["offset"] * state["weight"])


def _variance(state: State) -> Array:
    """Population variance of the stored numbers."""
    n = state["weight"]
    if state["total"].dtype.kind == "f":
        with np.errstate(invalid="ignore", divide="ignore"):
            # The mean of equal values may be off in its last digit, but their variance must be 0.
            alike = (state["low"] == state["high"]) & np.isfinite(state["low"])
            return np.where(alike, 0.0, state["m2"] / n)
    out = np.empty(n.size)
    kernels.exact_variance(n.ravel(), *(state[name].ravel() for name in ("total", "sq_high", "sq_low")), out)
    return out.reshape(n.shape)


def _var(state: State) -> Array:
    return np.asarray(state["scale"] ** 2 * _variance(state))


def _std(state: State) -> Array:
    return np.asarray(np.abs(state["scale"]) * np.sqrt(_variance(state)))


def _variation(state: State) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(_std(state) / _mean(state))


def _standardised(state: State, moment: str, power: float) -> Array:
    """A central moment divided by a power of the variance; NaN where all values are equal."""
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
    if _is_wide(state):
        wide_integers.check_held(state, stored)
    return _counted(state, _decoded(state, stored))


def _is_wide(state: State) -> bool:
    """Whether values are integers that float64 may not hold; values with a scale are floats in any case."""
    return wide_integers.are_wide(state["dtype"]) and (state["scale"], state["offset"]) == (1.0, 0.0)


def _range(state: State) -> Array:
    if _is_wide(state) and state["low"].dtype.kind == "i":
        span = (state["high"] - state["low"]).view(np.uint64)  # correct even if the difference wraps around
        wide_integers.check_held(state, span)
        return _counted(state, span.astype(np.float64))
    with np.errstate(invalid="ignore"):  # inf - inf
        return _extreme(state, high=True) - _extreme(state, high=False)


def _quantile(state: State, *, q: float) -> Array:
    return _order(state).quantile(q)


def _frequency(state: State, *, which: str) -> Array:
    return _order(state).frequency(which)


def _share(state: State, *, value: float) -> Array:
    return _order(state).share(value)


def _categories(state: State) -> Array:
    return _order(state).categories()


def _order(state: State) -> OrderTable:
    table: OrderTable = state["order"]
    return table


def _plain(state: State, *, name: str) -> Array:
    array: Array = state[name]
    return array


@dataclass(frozen=True)
class Aggregation:
    """A statistic: what tiles collect for it, and how that becomes a number.

    Parameters
    ----------
    name : str
        The name by which users request it.
    needs : tuple of str
        What tiles collect for it: "sums" (counts, sums, extremes and the spread), and also "moments" (sums of third and
        fourth powers) or "area".
    finalise : callable
        Merged state of a block of craters -> array of shape (lead, region, crater), where lead counts the raster's
        images. Blocks are cut arbitrarily, so a result may depend only on its own crater. Sums and extremes refer to
        stored numbers: ``value = stored * state["scale"] + state["offset"]``.
    dtype : str
        Dtype of the result.
    order : OrderStatistics
        The order statistics that it takes from ``state["order"]``, an `OrderTable`, by ``quantile(q)``,
        ``frequency(name)``, ``share(value)`` and ``categories()``. These refer to values, with scale and offset
        applied.

    Raises
    ------
    StatisticError
        A need is unknown.

    Examples
    --------
    The interquartile range as a user-supplied statistic:

    >>> import numpy as np
    >>> import pandas as pd
    >>> import xcrater
    >>> from xcrater.aggregations import AGGREGATIONS, Aggregation, OrderStatistics
    >>> def spread(state):
    ...     return state["order"].quantile(0.75) - state["order"].quantile(0.25)
    >>> iqr = Aggregation("iqr", ("sums",), spread, order=OrderStatistics(quantiles=(0.25, 0.75)))
    >>> craters = pd.DataFrame({"lat": [12.0], "lon": [30.0], "radius": [600e3]})
    >>> cdb = xcrater.CraterDatabase(craters, "moon")
    >>> cdb.add_circles("floor", 1.0)
    >>> da = xcrater.tutorial.synthetic_mosaic("moon", ppd=1)
    >>> stats = da.craters.get_stats(cdb, "floor", ["median"], add_stats={"iqr": iqr})
    >>> sorted(stats.data_vars)
    ['iqr', 'median']
    >>> bool((stats["iqr"] > 0).all())
    True

    A statistic may build on the built-in ones, as does the root mean square of the values:

    >>> def rms(state):
    ...     return np.hypot(AGGREGATIONS["mean"].finalise(state), AGGREGATIONS["std"].finalise(state))
    >>> stats = da.craters.get_stats(cdb, "floor", ["max"], add_stats={"rms": Aggregation("rms", ("sums",), rms)})
    >>> bool((stats["rms"] < stats["max"]).all())
    True
    """

    name: str
    needs: tuple[str, ...]
    finalise: Callable[[State], Array] = field(compare=False)
    dtype: str = "float64"
    order: OrderStatistics = field(default_factory=OrderStatistics)

    def __post_init__(self) -> None:
        unknown = set(self.needs) - {"sums", "moments", "area"}
        if unknown:
            raise StatisticError(
                f"received needs={self.needs!r} of the statistic {self.name!r}; expected 'sums', 'moments' or 'area'. "
                "Order statistics are declared apart: from xcrater.aggregations import OrderStatistics, then "
                f"Aggregation({self.name!r}, ('sums',), finalise, order=OrderStatistics(quantiles=(0.25, 0.75)))"
            )


def _of_quantile(name: str, q: float) -> Aggregation:
    return Aggregation(name, ("sums",), partial(_quantile, q=q), order=OrderStatistics((q,)))


def _of_frequency(name: str, which: str) -> Aggregation:
    return Aggregation(name, ("sums",), partial(_frequency, which=which), order=OrderStatistics(frequencies=True))


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
"""The statistics with fixed names, in the order of results, which is rasterstats' order for those that it has."""

RASTERSTATS = tuple(
    "min max mean count sum std median majority minority unique range nodata nan".split()  # noqa: SIM905
)
"""The statistics that ``stats="*"`` selects in rasterstats."""

CATEGORICAL = Aggregation("categorical", ("sums",), _categories, "object", OrderStatistics(categories=True))
"""Dict of each value and the number of its pixels; requested by ``categorical=True`` rather than by name."""

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
"""Names of statistics in other tools, with the names used here."""

_FAMILIES = ("percentile_", "quantile_", "frac_")
"""Prefixes of the names that end in a number."""


def apart(
    stats: Asked, add_stats: Mapping[str, Function | Aggregation] | None
) -> tuple[str | list[str], dict[str, Function | Aggregation]]:
    """Separate the names among statistics from the functions, which are named after their definitions.

    Parameters
    ----------
    stats : str, callable or iterable of these
        Statistics.
    add_stats : mapping of str to callable or Aggregation, optional
        More functions, by their names.

    Returns
    -------
    names : str or list of str
        Names, as `parse` takes them.
    functions : dict of str to callable or Aggregation
        All functions by name, with those of `add_stats` last.

    Raises
    ------
    StatisticError
        A function has no name, or two functions have the same name.

    Examples
    --------
    >>> names, functions = apart(["mean", np.ma.ptp], None)
    >>> names, list(functions)
    (['mean'], ['ptp'])
    """
    if isinstance(stats, str):
        return stats, dict(add_stats or {})
    if not callable(stats) and not isinstance(stats, Iterable):
        raise StatisticError(f"received stats={stats!r}; expected names such as 'mean std', or a function of pixels")
    names: list[str] = []
    functions: dict[str, Function | Aggregation] = {}
    for one in [stats] if callable(stats) else stats:
        if not callable(one):
            names.append(one)
            continue
        name = getattr(one, "__name__", "<unnamed>")
        if is_builtin(name):
            raise StatisticError(
                f"received {one!r} as a statistic; expected a name such as {name!r}, which is a statistic already, or "
                "another name for the function: add_stats={'spread': function}"
            )
        if not name.isidentifier() or name in functions or name in (add_stats or {}):
            raise StatisticError(
                f"received the function {one!r} as a statistic, but no result can be named {name!r}; name it: "
                "add_stats={'spread': function}"
            )
        functions[name] = one
    return names, functions | dict(add_stats or {})


def parse(stats: str | Iterable[str]) -> tuple[Aggregation, ...]:
    """Look statistics up by name.

    Parameters
    ----------
    stats : str or iterable of str
        Names, or one string of names separated by spaces or commas; ``"*"`` or ``"ALL"`` for all of rasterstats'.
        ``percentile_<q>`` takes any number from 0 to 100, ``quantile_<q>`` from 0 to 1, ``frac_<value>`` any.

    Returns
    -------
    tuple of Aggregation
        In rasterstats' order: statistics with fixed names, then those with a number in the order given, then ``nodata``
        and ``nan``.

    Raises
    ------
    StatisticError
        A name is unknown or given twice, or a percentile or quantile is out of range.

    Examples
    --------
    >>> [a.name for a in parse("mean percentile_90 min")]
    ['min', 'mean', 'percentile_90']
    >>> [a.name for a in parse("mean,std")]
    ['mean', 'std']
    """
    names: Sequence[Any]  # users pass functions too, which the check below refuses
    if isinstance(stats, str):
        names = list(RASTERSTATS) if stats in ("*", "ALL") else stats.replace(",", " ").split()
    else:
        names = [stats] if callable(stats) else list(stats)
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
    """Whether a name belongs to a built-in statistic."""
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
        return Aggregation(name, ("sums",), partial(_share, value=number), order=OrderStatistics(shares=(number,)))
    most = 100.0 if family == "percentile" else 1.0
    if not 0.0 <= number <= most:
        example = "'percentile_90'" if family == "percentile" else "'quantile_0.9'"
        raise StatisticError(f"received {name!r}; expected {family}_<q> with q from 0 to {most:g}, such as {example}")
    return _of_quantile(name, number / most)
