"""Crater tables and other ones: the craters that two of them have in common."""

from __future__ import annotations

from typing import Self

import pandas as pd

from xcrater.table import matching
from xcrater.table.crater_table import CraterTable
from xcrater.table.vector_table import VectorTable


class MatchableTable(VectorTable):
    """A crater table that is compared and joined with another one."""

    def match(self, other: CraterTable, *, separation: float = 1.0, ratio: float = 1.5) -> pd.DataFrame:
        """Find the craters that another table has as well.

        Parameters
        ----------
        other : CraterDatabase
            A table on the same body.
        separation : float, default 1.0
            Greatest distance between the centres, in radii of the smaller of the two craters.
        ratio : float, default 1.5
            Greatest ratio of the larger radius to the smaller.

        Returns
        -------
        pandas.DataFrame
            One row per pair: the labels ``first`` and ``second`` of the craters in this table and in the other; their
            positions ``first_row`` and ``second_row``; ``distance_m``, metres; ``separation``, that distance in radii
            of the smaller; and ``ratio``, the other radius over this one. No crater is in two pairs: the best pair is
            taken first, by the separation and the logarithm of the ratio.

        Raises
        ------
        BodyError
            The tables are on two bodies.
        TableError
            A tolerance is no number that it can be.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> one, two = (CraterDatabase(pd.DataFrame({"lat": [0, 9], "lon": [0, 9], "r": r}), "moon") for r in (10, 12))
        >>> one.match(two)[["first", "second", "ratio"]].values.tolist()
        [[0.0, 0.0, 1.2], [1.0, 1.0, 1.2]]
        """
        return matching.match(self, other, separation, ratio)

    @classmethod
    def merge(cls, cdb1: Self, cdb2: Self, *, separation: float = 1.0, ratio: float = 1.5) -> Self:
        """Join two tables, with the craters that both have once.

        Parameters
        ----------
        cdb1, cdb2 : CraterDatabase
            Tables on one body.
        separation, ratio : float
            How far craters that are the same may differ; see `match`, which says which craters these are.

        Returns
        -------
        CraterDatabase
            The craters of `cdb1` with their positions and radii, then those that `cdb2` alone has. It has the columns
            of both: those of `cdb2` alone are filled in for craters of both tables. It has no regions.

        Raises
        ------
        BodyError
            The tables are on two bodies.
        TableError
            Sizes in metres and in kilometres would come into one column.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> one = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [10.0]}), "moon")
        >>> two = CraterDatabase(pd.DataFrame({"lat": [0.0, 5.0], "lon": [0.0, 5.0], "r": [11.0, 7.0]}), "moon")
        >>> CraterDatabase.merge(one, two).rad.tolist()
        [10.0, 7.0]
        """
        new = cdb1.copy()
        new.data, new.orig_cols = matching.merged(cdb1, cdb2, (cdb1._units, cdb2._units), separation, ratio)
        new.regions = {}
        return new  # type: ignore[return-value]
