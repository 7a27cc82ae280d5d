"""The order statistics of a whole table, as aggregations read them."""

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


@dataclass(eq=False)
class OrderTable:
    """Order statistics of all ROIs: what an aggregation finds as ``state["order"]``.

    An aggregation may ask for what it has declared by its `OrderStatistics`. Every answer is an array of shape
    (lead, region, crater), where lead counts the raster's images (bands, times).

    Parameters
    ----------
    answers : sequence of Answers
        Answers of all tiles and passes. A ROI that is in none has no pixel.
    problem : Problem
        What was asked for.
    craters, images : int
        Length of the table, and number of images.
    """

    answers: Sequence[Answers]
    problem: Problem
    craters: int
    images: int

    def __post_init__(self) -> None:
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

    def block(self, first: int, stop: int) -> OrderTable:
        """The craters from ``first`` to before ``stop``."""
        part = copy(self)
        part.craters = stop - first
        each = self.images * self.problem.regions
        part._numbers = self._numbers[:, first * each : stop * each]
        part._dicts = None if self._dicts is None else self._dicts[first * each : stop * each]
        return part

    def quantile(self, q: float) -> NDArray[np.float64]:
        """A declared quantile of each region's values, shape (lead, region, crater); NaN without any pixel.

        Parameters
        ----------
        q : float
            From 0 to 1, one of `OrderStatistics.quantiles`.

        Raises
        ------
        StatisticError
            It was not declared.
        """
        return self._shaped(self._numbers[self.problem.wanted.quantile_column(q)])

    def frequency(self, name: str) -> NDArray[np.float64]:
        """The majority, minority or number of distinct values, shape (lead, region, crater); NaN without any pixel.

        Parameters
        ----------
        name : str
            "majority" for the most frequent value, "minority" for the least frequent one (of several, the smallest),
            "unique" for the number of distinct values.

        Raises
        ------
        StatisticError
            Frequencies were not declared.
        """
        return self._shaped(self._numbers[self.problem.wanted.frequency_column(name)])

    def share(self, value: float) -> NDArray[np.float64]:
        """Fraction, from 0 to 1, of each region's pixels that have a value, shape (lead, region, crater).

        Parameters
        ----------
        value : float
            One of `OrderStatistics.shares`.

        Raises
        ------
        StatisticError
            It was not declared.
        """
        return self._shaped(self._numbers[self.problem.wanted.share_column(value)])

    def categories(self) -> NDArray[np.object_]:
        """Dicts of each value and the number (or weight) of its pixels, shape (lead, region, crater).

        A region without any pixel has an empty dict.

        Raises
        ------
        StatisticError
            Categories were not declared.
        """
        if self._dicts is None:
            raise StatisticError("categories were not declared; expected order=OrderStatistics(categories=True)")
        return self._shaped(self._dicts)

    def _shaped(self, flat: Array) -> Array:
        return flat.reshape(self.craters, self.images, self.problem.regions).transpose(1, 2, 0)
