"""Selection of rows of crater tables in the manner of pandas; the regions are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from numbers import Integral
from typing import Any, Generic, Self, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater.errors import IterationError, TableError
from xcrater.table import nearby
from xcrater.table.count_table import CountTable
from xcrater.table.regions import Polygons

Table = TypeVar("Table", bound="SelectableTable")


class SelectableTable(CountTable):
    """A crater table whose rows are selected like those of a DataFrame."""

    def __getitem__(self, key: Any) -> Self:
        """Select craters by a mask or by a slice of positions, as in a DataFrame."""
        if isinstance(key, slice):
            return self.iloc[key]
        values: Any = key.array if isinstance(key, pd.Series) else key
        mask: Any = None
        if isinstance(values, list | np.ndarray | pd.api.extensions.ExtensionArray):
            mask = pd.array(values)  # type: ignore[arg-type]
        if mask is None or mask.ndim != 1 or not pd.api.types.is_bool_dtype(mask.dtype):
            raise TableError(
                f"received cdb[{key!r}]; expected one truth value per crater, as in cdb[cdb.rad > 1000]. A column is "
                "cdb.data['name'], a region cdb.name, a crater cdb.loc[[label]] or cdb.iloc[[0]]"
            )
        if isinstance(key, pd.Series) and not key.index.equals(self.data.index):
            raise TableError(
                "received a mask with other labels than the table's; expected those of cdb.data.index. Make the mask "
                "of cdb.data, or go by position: cdb[mask.to_numpy()]"
            )
        if len(mask) != len(self):
            raise TableError(f"received a mask of {len(mask)} truth values; expected {len(self)}, one per crater")
        return self._taken(np.flatnonzero(np.asarray(mask.astype("boolean").fillna(False), dtype=bool)))

    def __iter__(self) -> Iterator[Any]:
        raise IterationError(
            "a crater table is not iterated over, because one crater at a time is slow; ask for all of them at once, "
            "as by cdb.get_stats(...), or type for crater in cdb.data.itertuples()"
        )

    @property
    def iloc(self) -> Rows[Self]:
        """Craters by position: ``cdb.iloc[:100]``, ``cdb.iloc[[3, 5]]``; one position gives a table of one crater.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [9.6, -43.3], "lon": [339.9, 348.8], "radius": [48e3, 43e3]})
        >>> cdb = CraterDatabase(table, "moon")
        >>> cdb.iloc[:1].rad.tolist()
        [48000.0]
        """
        return Rows(self, by_label=False)

    @property
    def loc(self) -> Rows[Self]:
        """Craters by label: ``cdb.loc[["Tycho"]]``; a single label also gives a table.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [9.6, -43.3], "lon": [-20.1, -11.2], "r": 4e4}, ["Copernicus", "Tycho"])
        >>> cdb = CraterDatabase(table, "moon")
        >>> cdb.loc[["Tycho"]].lat.tolist()
        [-43.3]
        """
        return Rows(self, by_label=True)

    def query(self, expression: str) -> Self:
        """Select the craters for which an expression of columns holds.

        Parameters
        ----------
        expression : str
            Expression of columns of `data`, in the syntax of `pandas.DataFrame.query`.

        Returns
        -------
        CraterDatabase
            These craters, with all regions.

        Raises
        ------
        TableError
            The expression cannot be evaluated, or does not give one truth value per crater.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [0.0, 5.0], "lon": [0.0, 5.0], "diam_km": [12.0, 30.0]})
        >>> CraterDatabase(table, "moon", units="km").query("diam_km > 20").rad.tolist()
        [15000.0]
        """
        try:
            mask = self.data.eval(expression, engine="python")
        except Exception as err:  # pandas raises whatever the expression does
            raise TableError(
                f"received the query {expression!r}, which cannot be evaluated: {err}. Columns are "
                f"{', '.join(map(str, self.data.columns))}; names with spaces stand in backticks"
            ) from err
        if not isinstance(mask, pd.Series):
            raise TableError(f"received the query {expression!r}; expected a comparison, such as '_radius_m > 1000'")
        return self[mask]

    def head(self, n: int = 5) -> Self:
        """The first `n` craters.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [9.6, -43.3], "lon": [339.9, 348.8], "radius": [48e3, 43e3]})
        >>> cdb = CraterDatabase(table, "moon")
        >>> len(cdb.head(1))
        1
        """
        return self.iloc[:n]

    def sample(self, n: int, *, seed: Any = None) -> Self:
        """Draw craters at random without replacement.

        Parameters
        ----------
        n : int
            Number of craters, at most that of the table.
        seed : int or numpy.random.Generator, optional
            The same seed draws the same craters.

        Raises
        ------
        TableError
            The table has fewer craters.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> len(cdb.sample(2, seed=1))
        2
        """
        if isinstance(n, bool) or not isinstance(n, Integral) or not 0 <= n <= len(self):
            raise TableError(f"received n={n!r}; expected a whole number of craters from 0 to {len(self)}")
        return self._taken(np.sort(np.random.default_rng(seed).choice(len(self), size=n, replace=False)))

    def sel_bbox(self, *, west: float = -180.0, east: float = 180.0, south: float = -90.0, north: float = 90.0) -> Self:
        """Craters whose centres lie between two meridians and two parallels.

        Parameters
        ----------
        west, east : float, default -180 and 180
            East longitudes in any range, degrees. The box reaches from west eastward to east, across the antimeridian
            if that lies between them, so that 170 to -170 is 20° wide.
        south, north : float, default -90 and 90
            Planetocentric latitudes, degrees.

        Returns
        -------
        CraterDatabase
            These craters, including those on the bounds, with all regions.

        Raises
        ------
        TableError
            A bound is not a number, or south is greater than north.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [0.0, 5.0, 5.0], "lon": [175.0, -175.0, 0.0], "r": 1e3})
        >>> CraterDatabase(table, "moon").sel_bbox(west=170, east=190, south=-10, north=10).lon.tolist()
        [175.0, -175.0]
        """
        return self._taken(nearby.in_box(self, west, east, south, north))

    def sel_nearest(self, *, lon: float, lat: float, n: int = 1, within: float | None = None) -> Self:
        """Craters whose centres are nearest to a point, the nearest first.

        Parameters
        ----------
        lon, lat : float
            East longitude, in any range, and planetocentric latitude of the point, degrees.
        n : int, default 1
            Number of craters; all of them if there are fewer.
        within : float, optional
            Greatest distance along the great circle, metres on the body's sphere.

        Returns
        -------
        CraterDatabase
            These craters, with all regions. Craters at equal distances keep the order of the table.

        Raises
        ------
        TableError
            A coordinate, `n` or `within` is not a number in its range.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [89.0, 80.0, 0.0], "lon": [175.0, -5.0, 0.0], "r": 1e3})
        >>> CraterDatabase(table, "moon").sel_nearest(lon=0, lat=85, n=2).lat.tolist()
        [80.0, 89.0]
        """
        return self._taken(nearby.nearest(self, lon, lat, n, within))

    def describe(self) -> pd.DataFrame:
        """Count, mean, spread and quartiles of latitude, longitude (degrees) and diameter (km).

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [9.6, -43.3], "lon": [339.9, 348.8], "radius": [48e3, 43e3]})
        >>> cdb = CraterDatabase(table, "moon")
        >>> cdb.describe().loc[["count", "mean"]].round(1)
                lat   lon  diameter_km
        count   2.0   2.0          2.0
        mean  -16.8 -15.7         91.0
        """
        sizes = {"lat": self.lat, "lon": self.lon, "diameter_km": self.rad / 500.0}
        return pd.DataFrame(sizes).describe()

    def _taken(self, at: NDArray[np.integer]) -> Self:
        """The craters at some positions, with their regions."""
        new = self.copy()
        new.data = self.data.iloc[at]
        for name, region in new.regions.items():
            if isinstance(region, Polygons):
                table = region.of_craters(self.data).table.take(at)
                centres = new.data[["_lon", "_lat"]].to_numpy(np.float64)
                new.regions[name] = replace(region, table=table, index=new.data.index, centres=centres)
        return new  # type: ignore[return-value]


class Rows(Generic[Table]):
    """Rows of a table by position or by label, like pandas' `iloc` and `loc`."""

    def __init__(self, table: Table, by_label: bool) -> None:
        self._table, self._by_label = table, by_label

    def __getitem__(self, key: Any) -> Table:
        """Select craters; every key gives a table."""
        index = self._table.data.index
        positions = pd.Series(np.arange(len(index)), index=index)
        try:
            found = positions.loc[key] if self._by_label else positions.iloc[key]
        except (KeyError, IndexError, TypeError, ValueError) as err:
            kind = "labels" if self._by_label else "positions"
            raise TableError(
                f"received the {kind} {key!r}, which are not those of the {len(index)} craters: {err}; expected "
                + ("labels of cdb.data.index" if self._by_label else f"positions from 0 to {len(index) - 1}")
            ) from err
        return self._table._taken(np.atleast_1d(np.asarray(found, dtype=np.int64)))
