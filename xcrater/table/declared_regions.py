"""Declaration of regions around the craters of a table, with one method for each kind, and their look-up by name."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd

from xcrater.geometry.bodies import Body
from xcrater.options import OPTION, Vertices, get_nvert
from xcrater.table import region_names
from xcrater.table.ellipses import Ellipses
from xcrater.table.header import find_ellipse_columns
from xcrater.table.polygon_tables import declare_polygons
from xcrater.table.regions import Annulus, Circle, Region


class DeclaredRegions:
    """Named regions around each crater of a table, which `CraterTable` adds to its rows.

    A declaration holds parameters and no outlines. Looking a region up as an attribute makes its polygons for the
    table's current rows.
    """

    data: pd.DataFrame
    regions: dict[str, Region]
    _body: Body
    _units: str

    def __getattr__(self, name: str) -> pd.Series[Any]:
        # Copying and unpickling look attributes up before the instance has any
        shown = region_names.by_attribute(self.__dict__.get("regions", {}))
        if name not in shown:
            known = f"; its regions are {', '.join(shown)}" if shown else "; it has no regions yet"
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}{known}", name=name, obj=self
            )
        return self._polygons(shown[name])

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *region_names.by_attribute(self.regions)})

    def add_circles(
        self, name: str = "", size: float = 1.0, *, nvert: Vertices = OPTION, n_jobs: int | None = None
    ) -> None:
        """Declare a region that is the disc around each crater.

        Parameters
        ----------
        name : str, optional
            Name of the region, ``circle_{size}`` if not given.
        size : float, default 1.0
            Radius of the disc in crater radii.
        nvert : int or None, optional
            Number of vertices of the polygon that stands for each circle, None for the true small circle. The default
            is the option ``nvert`` (`xcrater.set_options`), 32 unless set otherwise.
        n_jobs : int, optional
            Without effect, since a declaration takes no time: accepted for calls written for craterpy.

        Raises
        ------
        RegionError
            The name is taken or reserved, or the size or number of vertices cannot be used.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e4]}), "moon")
        >>> cdb.add_circles(size=2.5)
        >>> cdb.regions
        {'circle_2.5': Circle(inner=0.0, outer=2.5, nvert=32)}
        """
        self._declare(name or f"circle_{size}", Circle(size, get_nvert(nvert)))

    def add_annuli(
        self, name: str, inner: float, outer: float, *, nvert: Vertices = OPTION, n_jobs: int | None = None
    ) -> None:
        """Declare a region that is a ring around each crater.

        Parameters
        ----------
        name : str
            Name of the region, ``annulus_{inner}_{outer}`` if empty.
        inner, outer : float
            Distances from the centre in crater radii, ``0 <= inner < outer``. The ring from 1 to 3 covers the ejecta
            out to one diameter from the rim.
        nvert : int or None, optional
            Number of vertices of the polygon that stands for each circle, None for the true small circle. The default
            is the option ``nvert`` (`xcrater.set_options`), 32 unless set otherwise.
        n_jobs : int, optional
            Without effect, since a declaration takes no time: accepted for calls written for craterpy.

        Raises
        ------
        RegionError
            The name is taken or reserved, or the bounds or number of vertices make no ring.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e4]}), "moon")
        >>> cdb.add_annuli("rim", 1, 1.5, nvert=None)
        >>> cdb.regions
        {'rim': Annulus(inner=1, outer=1.5, nvert=None)}
        """
        self._declare(name or f"annulus_{inner}_{outer}", Annulus(inner, outer, get_nvert(nvert)))

    def add_ellipses(
        self,
        name: str,
        inner: float = 0.0,
        outer: float = 1.0,
        *,
        major_col: str | None = None,
        minor_col: str | None = None,
        angle_col: str | None = None,
        angle_from: Literal["east", "north"] = "east",
        nvert: int | None = None,
    ) -> None:
        """Declare a region that is a ring of ellipses around each crater, from the table's fits to the rims.

        Parameters
        ----------
        name : str
            Name of the region, ``ellipse_{inner}_{outer}`` if empty.
        inner, outer : float, default 0 and 1
            Bounds in units of the fitted ellipse, ``0 <= inner < outer``.
        major_col, minor_col, angle_col : str, optional
            Columns of the axes, in the table's units, and of the angle of the major axis, degrees; by default found by
            the words in the header. Axes are full axes, unless the header says "semi" or "radius".
        angle_from : {"east", "north"}, default "east"
            Whether the angle is counter-clockwise from east (see `xcrater.table.ellipses.Ellipses` for the reason), or
            clockwise from north.
        nvert : int or None, optional
            Number of vertices, even, of the polygon that stands for each ellipse; None means the true curve.

        Raises
        ------
        RegionError, TableError
            A name, bound, column or ellipse cannot be used. Craters without axes and angle have no region.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [0.0], "lon": [0.0], "diam": [20.0], "major": [24.0], "minor": [16.0]})
        >>> cdb = CraterDatabase(table.assign(angle=30.0), "moon", units="km")
        >>> cdb.add_ellipses("floor", 0, 0.8)
        >>> cdb.regions
        {'floor': Ellipses(inner=0, outer=0.8, nvert=None)}
        """
        columns = find_ellipse_columns(self.data, major_col, minor_col, angle_col, self._units)
        region = Ellipses(inner, outer, columns, angle_from, nvert)
        region.check(self.data, self._body.radius)
        self._declare(name or f"ellipse_{inner}_{outer}", region)

    def add_polygons(self, name: str, geometries: Any, crs: Any = None) -> None:
        """Declare a region of user-supplied polygons, such as mapped ejecta, one or none per crater.

        Parameters
        ----------
        name : str
            Name of the region.
        geometries : sequence, numpy.ndarray, pandas.Series or geopandas.GeoSeries
            A shapely Polygon or MultiPolygon per crater, in the table's order; None or an empty polygon for a crater
            without one. The index of a Series must be the table's.
        crs : str or pyproj.CRS, optional
            CRS of the coordinates, as the table's `input_crs`. By default a GeoSeries' own CRS, or else east longitude
            and planetocentric latitude, as `lon` and `lat` are.

        Raises
        ------
        RegionError
            The name is taken or reserved, there is not one geometry per crater, or one cannot be used: it is not a
            polygon, is invalid, or lies outside its CRS. The error names the crater.
        BodyError
            The CRS is unknown or belongs to another body.

        Notes
        -----
        Edges are straight in the given CRS, and are drawn so on a raster in the same projected CRS. Longitudes may be
        in any range; polygons that cross the antimeridian may continue past it, jump from one side to the other, or be
        cut in two there. In longitude and latitude an edge of more than 180° is taken the short way round, so a wider
        edge needs vertices in between. A ring that goes around the body is closed over the nearer pole.
        `xcrater.table.polygon_tables.make_polygon_table` states these rules and the accuracy in full.

        The polygons stay with their craters when rows of `data` are selected or sorted.

        Examples
        --------
        >>> import pandas as pd
        >>> import shapely
        >>> from xcrater import CraterDatabase
        >>> cdb = CraterDatabase(pd.DataFrame({"lat": [0.0, 9.0], "lon": [0.0, 180.0], "r": [1e4, 2e4]}), "moon")
        >>> cdb.add_polygons("ejecta", [None, shapely.box(179, 8, 181, 10)])
        >>> cdb.regions
        {'ejecta': Polygons(1 of 2 craters, 4 vertices)}
        >>> cdb.ejecta[1].bounds
        (-180.0, 8.0, 180.0, 10.0)
        """
        region_names.check_name(name, self.regions, self)
        self.regions[name] = declare_polygons(self.data, geometries, self._body, crs)

    def region(self, name: str) -> Region:
        """Look up the declaration of a region by name; raises a `RegionError` if there is none.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e4]}), "moon")
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> cdb.region("rim").outer
        1.5
        """
        return region_names.find_region(name, self.regions)

    def _declare(self, name: str, region: Region) -> None:
        self.regions[region_names.check_name(name, self.regions, self)] = region

    def _polygons(self, name: str) -> pd.Series[Any]:
        polygons = self.region(name).polygons(self.data, self._body.radius)
        return pd.Series(polygons, index=self.data.index, name=name, dtype=object)
