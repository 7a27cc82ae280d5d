"""Crater tables that are crater counts: craters together with the area in which they were counted."""

from __future__ import annotations

import os
from typing import Any, Self

from xcrater.table import count_files
from xcrater.table.matchable_table import MatchableTable


class CountTable(MatchableTable):
    """A crater table that reads and writes the crater counts of craterstats and of tools for counting.

    Attributes
    ----------
    count_area : shapely Polygon or MultiPolygon, or None
        The area in which the craters were counted, in longitude and latitude, if a file states it.
    """

    count_area: Any = None

    @classmethod
    def read_count(cls, filename: str | os.PathLike[str], body: str | None = None, **kwargs: Any) -> Self:
        """Read a crater count: a file .scc, or CraterTools' pair of shapefiles.

        Parameters
        ----------
        filename : path
            A file of craterstats, CraterTools or OpenCraterTool that ends in .scc; or ``<name>_CRATER.shp``, with
            ``<name>_AREA.shp`` in the same directory.
        body : str, optional
            Planetary body; by default the body to which the file's radius or CRS belongs.
        **kwargs
            More arguments of `CraterDatabase`.

        Returns
        -------
        CraterDatabase
            The craters, with the columns ``Diam_km``, ``lon``, ``lat`` and, if the file has it, ``fraction``, the part
            of each crater that lies within the area. The area becomes `count_area`.

        Raises
        ------
        TableError
            The file does not exist, or is not a crater count.
        BodyError
            The body is unknown.
        ImportError
            The file is a shapefile, and geopandas or pyogrio is not installed.

        Notes
        -----
        Latitudes are taken as planetocentric, which these tools use even where a shapefile's CRS is on an ellipsoid.

        Examples
        --------
        >>> import pathlib, shapely, tempfile
        >>> from xcrater import CraterDatabase, tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 500, apart=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "mare.scc"
        ...     cdb.to_count(path, area=shapely.box(10, 0, 40, 30))
        ...     counted = CraterDatabase.read_count(path)
        >>> len(counted), counted.body, counted.count_area.bounds
        (10, 'moon', (10.0, 0.0, 40.0, 30.0))
        """
        found = count_files.read_count(filename, body)
        columns = {"lat_col": "lat", "lon_col": "lon", "diam_col": "Diam_km", "units": "km"}
        cdb = cls(found.craters, found.body, "planetocentric", **(columns | kwargs))
        cdb.count_area = found.area
        return cdb

    def to_count(self, filename: str | os.PathLike[str], area: Any = None) -> None:
        """Write a crater count, from which craterstats derives ages.

        Parameters
        ----------
        filename : path
            Name of the file: .scc; ``<name>_CRATER.shp``, which is written with ``<name>_AREA.shp``; or .stat, the
            number of craters in craterstats' pseudo-logarithmic bins of diameter.
        area : shapely Polygon or MultiPolygon, or float, optional
            The area in which the craters were counted, in longitude and latitude; `count_area` by default. For a .stat
            file its size in square kilometres is enough.

        Raises
        ------
        TableError
            There is no area, no crater lies within it, or the suffix of the file is not supported.
        ImportError
            A shapefile is requested, and geopandas or pyogrio is not installed.

        Notes
        -----
        Craters outside the area are left out. Those on its boundary count by the fraction of their area inside it, or
        by the column ``fraction`` if the table has one. Areas are measured on the body's sphere.

        Examples
        --------
        >>> import pandas as pd, pathlib, shapely, tempfile
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [1.0, 2.0, 9.0], "lon": [1.0, 2.0, 9.0], "diam_km": [1.05, 2.3, 4.0]})
        >>> cdb = CraterDatabase(table, "moon", units="km")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "count.stat"
        ...     cdb.to_count(path, area=shapely.box(0, 0, 3, 3))
        ...     [line.split()[:2] for line in path.read_text().splitlines() if line[0] != "#"]
        [['1', '1'], ['2', '1']]
        """
        count_files.write_count(self, self._body, filename, self.count_area if area is None else area)
