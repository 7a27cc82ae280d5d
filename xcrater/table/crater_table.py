"""The table of craters on one body."""

from __future__ import annotations

import os
from typing import Any, Literal

import pandas as pd
import pyproj
import shapely

from xcrater.geometry.bodies import get_body
from xcrater.table import region_names
from xcrater.table.declared_regions import DeclaredRegions
from xcrater.table.positions import Names, read_craters


class CraterTable(DeclaredRegions):
    """A table of craters on one body, with named regions around each crater.

    `xcrater.CraterDatabase`, which adds statistics and pixels of rasters, documents the parameters and attributes.
    """

    data: pd.DataFrame
    orig_cols: pd.Index[Any]

    def __init__(
        self,
        dataset: str | os.PathLike[str] | pd.DataFrame,
        body: str,
        input_crs: Any = "default",
        units: str = "m",
        *,
        lat_col: str | None = None,
        lon_col: str | None = None,
        rad_col: str | None = None,
        diam_col: str | None = None,
        errors: Literal["raise", "drop"] = "raise",
    ) -> None:
        self._body = get_body(body)
        self._units = units
        names = Names(lat_col, lon_col, rad_col, diam_col)
        self.data, self.orig_cols = read_craters(dataset, self._body, input_crs, units, errors, names)
        self.regions = {}

    def __repr__(self) -> str:
        attributes = ["lat", "lon", "rad", "center", *region_names.by_attribute(self.regions)]
        return f"CraterDatabase of length {len(self)} with attributes {', '.join(attributes)}."

    def __str__(self) -> str:
        return f"{self.body.capitalize()} CraterDatabase (N={len(self)})"

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CraterTable):
            return NotImplemented
        return bool(self.crs == other.crs and self.regions == other.regions and self.data.equals(other.data))

    @property
    def body(self) -> str:
        """Lower-case name of the body.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.body
        'moon'
        """
        return self._body.name

    @property
    def body_radius(self) -> float:
        """Radius of the body's IAU sphere, metres.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.body_radius
        1737400.0
        """
        return self._body.radius

    @property
    def crs(self) -> pyproj.CRS:
        """CRS of `lon` and `lat`: the body's IAU sphere, planetocentric.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.crs.name
        'Moon (2015) - Sphere / Ocentric'
        """
        return self._body.crs

    @property
    def lat(self) -> pd.Series[float]:
        """Planetocentric latitude of each centre, degrees.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [9.6, -43.3], "lon": [339.9, 348.8], "radius": [48e3, 43e3]})
        >>> cdb = CraterDatabase(table, "moon")
        >>> cdb.lat.tolist()
        [9.6, -43.3]
        """
        return self.data["_lat"]

    @property
    def lon(self) -> pd.Series[float]:
        """East longitude of each centre in [-180, 180), degrees.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [9.6, -43.3], "lon": [339.9, 348.8], "radius": [48e3, 43e3]})
        >>> cdb = CraterDatabase(table, "moon")
        >>> cdb.lon.round(1).tolist()
        [-20.1, -11.2]
        """
        return self.data["_lon"]

    @property
    def rad(self) -> pd.Series[float]:
        """Radius of each crater, metres.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [9.6, -43.3], "lon": [339.9, 348.8], "radius": [48e3, 43e3]})
        >>> cdb = CraterDatabase(table, "moon")
        >>> cdb.rad.tolist()
        [48000.0, 43000.0]
        """
        return self.data["_radius_m"]

    @property
    def center(self) -> pd.Series[Any]:
        """Centre of each crater: shapely points (longitude, latitude), computed on each access."""
        points = shapely.points(self.lon.to_numpy(), self.lat.to_numpy())
        return pd.Series(points, index=self.data.index, name="center", dtype=object)

    def copy(self) -> CraterTable:
        """Return an independent copy, whose table and regions can be changed without affecting this one.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e4]}), "moon")
        >>> other = cdb.copy()
        >>> other.add_circles("crater")
        >>> other == cdb, list(cdb.regions)
        (False, [])
        """
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__, data=self.data.copy(), regions=dict(self.regions))
        return new
