"""The order statistics of a whole table, from which aggregations read."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xcrater.errors import StatisticError
from xcrater.statistics.quantiles.answers import Answers
from xcrater.statistics.quantiles.pairs import Array
from xcrater.statistics.quantiles.problem import Problem
from xcrater.statistics.quantiles.wanted import OrderStatistics
from xcrater.statistics.wide_integers import refuse


@dataclass(eq=False)
class OrderTable:
    """Order statistics of all ROIs, which an aggregation finds as ``state["order"]``.

    An aggregation may read what its `OrderStatistics` declare. Every answer is an array of shape (lead, region,
    crater), where lead counts the raster's images (bands, times).

    Parameters
    ----------
    answers : sequence of Answers
        Answers of all tiles and passes. A ROI that is in none of them has no pixels.
    problem : Problem
        The requested order statistics.
    craters, images : int
        Length of the table, and number of images.

    Examples
    --------
    >>> from xcrater.aggregations import Aggregation, OrderStatistics
    >>> from xcrater import tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> def spread(state):
    ...     return state["order"].quantile(0.75) - state["order"].quantile(0.25)
    >>> declared = Aggregation("spread", (), spread, order=OrderStatistics(quantiles=(0.25, 0.75)))
    >>> found = dem.craters.get_stats(cdb, "rim", [], add_stats={"spread": declared})
    >>> found["spread"].compute().round(1).values
    array([577.1, 255.2, 161.7])
    """

    answers: Sequence[Answers]
    problem: Problem
    craters: int
    images: int

    def __post_init__(self) -> None:
        self._statistic, self._declared = "", self.problem.wanted
        self._filled: NDArray[np.bool_] | None = None
        wanted = self.problem.wanted
        rois = self.craters * self.images * self.problem.regions
        self._numbers = np.full((wanted.columns, rois), np.nan)
        for part in self.answers:
            self._numbers[:, part.roi] = part.numbers.T
        self._dicts: Array | None = None
        if wanted.categories:
            self._dicts = np.empty(rois, object)
            for i in range(rois):
                self._dicts[i] = {}
            for part in self.answers:
                if part.categories is not None:
                    self._dicts[part.roi] = part.categories

    def block(self, first: int, stop: int, filled: NDArray[np.bool_] | None = None) -> OrderTable:
        """Select the craters from ``first`` to before ``stop``.

        Parameters
        ----------
        first, stop : int
            Positions in the table.
        filled : ndarray of bool, shape (lead, region, crater), or None
            Regions that have pixels, given if a NaN there means an integer that float64 does not hold.
        """
        part = copy(self)
        part._filled = filled
        part.craters = stop - first
        each = self.images * self.problem.regions
        part._numbers = self._numbers[:, first * each : stop * each]
        part._dicts = None if self._dicts is None else self._dicts[first * each : stop * each]
        return part

    def declared_by(self, statistic: str, declared: OrderStatistics) -> OrderTable:
        """A view for one statistic, which shows only what the statistic has declared."""
        part = copy(self)
        part._statistic, part._declared = statistic, declared
        return part

    def quantile(self, q: float) -> NDArray[np.float64]:
        """A declared quantile of each region's values, shape (lead, region, crater); NaN without pixels.

        Parameters
        ----------
        q : float
            The quantile, from 0 to 1; one of `OrderStatistics.quantiles`.

        Raises
        ------
        StatisticError
            The quantile was not declared.

        Examples
        --------
        >>> from xcrater.aggregations import Aggregation, OrderStatistics
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> def high(state):
        ...     return state["order"].quantile(0.9)
        >>> declared = Aggregation("high", (), high, order=OrderStatistics(quantiles=(0.9,)))
        >>> found = dem.craters.get_stats(cdb, "rim", [], add_stats={"high": declared})
        >>> found["high"].compute().round(1).values
        array([1400.7,  619. ,  458.8])
        """
        self._declared.quantile_column(q)
        return self._exact(self._numbers[self.problem.wanted.quantile_column(q)])

    def frequency(self, name: str) -> NDArray[np.float64]:
        """The majority, minority or number of distinct values, shape (lead, region, crater); NaN without pixels.

        Parameters
        ----------
        name : str
            "majority" for the most frequent value, "minority" for the least frequent one (of several, the smallest),
            "unique" for the number of distinct values.

        Raises
        ------
        StatisticError
            Frequencies were not declared.

        Examples
        --------
        >>> from xcrater.aggregations import Aggregation, OrderStatistics
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> def different(state):
        ...     return state["order"].frequency("unique")
        >>> declared = Aggregation("different", (), different, order=OrderStatistics(frequencies=True))
        >>> found = dem.round(-2).craters.get_stats(cdb, "rim", [], add_stats={"different": declared})
        >>> found["different"].compute().values
        array([23., 13., 10.])
        """
        self._declared.frequency_column(name)
        return self._exact(self._numbers[self.problem.wanted.frequency_column(name)])

    def share(self, value: float) -> NDArray[np.float64]:
        """Fraction, from 0 to 1, of each region's pixels that have a given value, shape (lead, region, crater).

        Parameters
        ----------
        value : float
            The value; one of `OrderStatistics.shares`.

        Raises
        ------
        StatisticError
            The value was not declared.

        Examples
        --------
        >>> from xcrater.aggregations import Aggregation, OrderStatistics
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> def high(state):
        ...     return state["order"].share(1.0)
        >>> declared = Aggregation("high", (), high, order=OrderStatistics(shares=(1.0,)))
        >>> found = (dem > 0).astype("float32").craters.get_stats(cdb, "rim", [], add_stats={"high": declared})
        >>> found["high"].compute().round(2).values
        array([0.96, 0.87, 0.83])
        """
        self._declared.share_column(value)
        return self._shaped(self._numbers[self.problem.wanted.share_column(value)])

    def categories(self) -> NDArray[np.object_]:
        """Dicts of each value and the number (or weight) of its pixels, shape (lead, region, crater).

        A region without pixels has an empty dict.

        Raises
        ------
        StatisticError
            Categories were not declared.

        Examples
        --------
        >>> from xcrater.aggregations import Aggregation, OrderStatistics
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> def classes(state):
        ...     return state["order"].categories()
        >>> declared = Aggregation("classes", (), classes, dtype="object", order=OrderStatistics(categories=True))
        >>> found = (dem > 0).astype("float32").craters.get_stats(cdb, "rim", [], add_stats={"classes": declared})
        >>> found["classes"].compute().values
        array([{0.0: 9, 1.0: 223}, {0.0: 5, 1.0: 33}, {0.0: 5, 1.0: 24}],
              dtype=object)
        """
        if self._dicts is None or not self._declared.categories:
            raise StatisticError("categories were not declared; expected order=OrderStatistics(categories=True)")
        return self._shaped(self._dicts)

    def _exact(self, flat: Array) -> Array:
        """Shape an array, after refusing integers that float64 does not hold."""
        shaped = self._shaped(flat)
        if self._filled is not None and (np.isnan(shaped) & self._filled).any():
            raise refuse(self._statistic, "float64 does not hold all integers beyond 2**53")
        return shaped

    def _shaped(self, flat: Array) -> Array:
        return flat.reshape(self.craters, self.images, self.problem.regions).transpose(1, 2, 0)
