"""Comparison of two crater tables: the craters that both contain."""

from __future__ import annotations

from typing import Self

import pandas as pd

from xcrater.table import matching
from xcrater.table.crater_table import CraterTable
from xcrater.table.vector_table import VectorTable


class MatchableTable(VectorTable):
    """A crater table that can be compared and merged with another one."""

    def match(self, other: CraterTable, *, separation: float = 1.0, ratio: float = 1.5) -> pd.DataFrame:
        """Find the craters that another table also contains.

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
            of the smaller; and ``ratio``, the radius in the other table over that in this one. No crater is in two
            pairs: the best pair, by the separation and the logarithm of the ratio, is taken first.

        Raises
        ------
        BodyError
            The tables are on two bodies.
        TableError
            A tolerance is not a finite number in the allowed range.

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
        """Merge two tables, keeping each crater that both contain only once.

        Parameters
        ----------
        cdb1, cdb2 : CraterDatabase
            Tables on one body.
        separation, ratio : float
            Tolerances within which two craters count as the same; see `match`.

        Returns
        -------
        CraterDatabase
            The craters of `cdb1` with their positions and radii, then those that only `cdb2` contains. The columns are
            those of both tables; columns that only `cdb2` has are filled in for matched craters too. There are no
            regions.

        Raises
        ------
        BodyError
            The tables are on two bodies.
        TableError
            One column would mix sizes in metres and in kilometres.

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
