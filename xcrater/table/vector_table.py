"""Crater tables and GIS: geometries with a CRS, and vector files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Self

import pandas as pd
import pyproj

from xcrater.geometry.bodies import crs_on_body
from xcrater.table import vector_output
from xcrater.table.crater_table import CraterTable
from xcrater.table.vector_files import read_shapes


class VectorTable(CraterTable):
    """A crater table whose centres and regions are geometries in a CRS, and which reads and writes vector files."""

    _shown_in: pyproj.CRS | None = None

    @property
    def data(self) -> pd.DataFrame:
        """The table; its attribute ``crs`` is the CRS of `center`, as in craterpy's GeoDataFrame.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.data.columns.tolist()
        ['lat', 'lon', 'diameter', '_lat', '_lon', '_radius_m']
        >>> cdb.data.crs == cdb.crs
        True
        """
        frame: pd.DataFrame = self.__dict__["data"]
        if "crs" not in frame.columns:
            # A plain attribute, which pandas does not pass on to copies, since they may come to hold anything
            object.__setattr__(frame, "crs", self._shown_in or self.crs)
        return frame

    @data.setter
    def data(self, frame: pd.DataFrame) -> None:
        self.__dict__["data"] = frame

    @property
    def center(self) -> pd.Series[Any]:
        """Centre of each crater: shapely points, a GeoSeries where geopandas is installed, made on each access.

        The coordinates are longitude and latitude in `crs`, or those of the CRS set by `to_crs`.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [9.6, -43.3], "lon": [339.9, 348.8], "radius": [48e3, 43e3]})
        >>> cdb = CraterDatabase(table, "moon")
        >>> cdb.center[0].y
        9.6
        """
        points = super().center
        return vector_output.as_series(points.to_numpy(), points.index, "center", self._body, self._shown_in)

    def _polygons(self, name: str) -> pd.Series[Any]:
        shapes = super()._polygons(name)
        return vector_output.as_series(shapes.to_numpy(), shapes.index, name, self._body, self._shown_in)

    def to_crs(self, crs: Any, inplace: bool = False) -> Self | None:
        """Show centres and outlines of regions in another CRS.

        Parameters
        ----------
        crs : str or pyproj.CRS
            Geographic or projected CRS of the body.
        inplace : bool, default False
            Whether to change this table instead of a copy.

        Returns
        -------
        CraterDatabase or None
            A copy whose `center`, regions and GeoJSON files are in that CRS; None with ``inplace=True``. `lon`, `lat`,
            `rad` and statistics do not change.

        Raises
        ------
        BodyError
            The CRS is unknown or belongs to another body.

        Notes
        -----
        Edges of outlines get vertices every degree before they are projected. A shape that the projection does not show
        as a whole is None. Latitudes become geodetic where the CRS is on an ellipsoid, unless its axes say
        planetocentric.

        Examples
        --------
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> cdb = CraterDatabase(pd.DataFrame({"lat": [-90.0], "lon": [0.0], "r": [1e4]}), "moon")
        >>> cdb.to_crs("IAU_2015:30135").center[0].wkt
        'POINT (0 0)'
        """
        found = crs_on_body(crs, self._body)
        changed = self if inplace else self.copy()
        changed.__dict__["_shown_in"] = None if found == self.crs else found
        return None if inplace else changed  # type: ignore[return-value]

    def to_geojson(
        self,
        filename: str | os.PathLike[str],
        region: str | None = None,
        crs: Any = None,
        keep_cols: Iterable[str] | None = None,
        keep_all: bool = False,
    ) -> None:
        """Write the craters to a GeoJSON file.

        Parameters
        ----------
        filename : path
            The file; one that exists is replaced once the new one is complete.
        region : str, optional
            Name of the region whose outlines are the geometries; centres by default.
        crs : str or pyproj.CRS, optional
            CRS of the geometries, which must have an authority code; by default that of the table, see `to_crs`.
        keep_cols : sequence of str, optional
            Columns to write in addition to the table's own, and names of regions to write as text in a column
            ``<name>_wkt``. By default all columns.
        keep_all : bool, default False
            Whether to write all regions as text, and the centres and radii in ``_lat``, ``_lon`` and ``_radius_m``.
            Without effect on columns if `keep_cols` is given.

        Raises
        ------
        TableError
            A column does not exist, or the table cannot be written.
        RegionError
            The region was not added.
        BodyError
            The CRS is unknown, belongs to another body or has no code.
        ImportError
            geopandas or pyogrio is not installed.

        See Also
        --------
        read_shapefile : Read the file again.

        Notes
        -----
        The member ``metadata`` of the file states the body and the unit of the table's sizes, and files of outlines
        hold the centres in the columns ``_lat`` and ``_lon``, so that reading the file restores the table. Outlines in
        longitude and latitude are cut at the antimeridian.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [9.6, -43.3], "lon": [339.9, 348.8], "radius": [48e3, 43e3]})
        >>> cdb = CraterDatabase(table, "moon")
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "rims.geojson"
        ...     cdb.to_geojson(path, region="rim")
        ...     CraterDatabase(path, "moon").rad.tolist()
        [48000.0, 43000.0]
        """
        content = self._content(region, crs, keep_cols, keep_all)
        vector_output.write_geojson(content, filename, self._units)

    def to_file(
        self,
        filename: str | os.PathLike[str],
        region: str | None = None,
        crs: Any = None,
        keep_cols: Iterable[str] | None = None,
        keep_all: bool = False,
    ) -> None:
        """Write the craters to a file for GIS programs, in the format that its suffix names.

        Parameters
        ----------
        filename : path
            The file: GeoPackage (.gpkg), shapefile (.shp), GeoParquet (.parquet) or GeoJSON (.geojson).
            One that exists is replaced once the new one is complete.
        region, crs, keep_cols, keep_all
            As in `to_geojson`; only for GeoJSON does the CRS need a code.

        Raises
        ------
        TableError
            The format is unknown, a column does not exist, or the table cannot be written.
        RegionError
            The region was not added.
        BodyError
            The CRS is unknown or belongs to another body.
        ImportError
            geopandas or pyogrio is not installed, or pyarrow for GeoParquet.

        See Also
        --------
        read_shapefile : Read the file again.

        Notes
        -----
        The file has the CRS of the body, which QGIS shows by its name. Shapefiles allow ten characters for the name of
        a column, so longer names are cut and kept distinct by a number at the end. They hold no regions as text.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [9.6, -43.3], "lon": [339.9, 348.8], "radius": [48e3, 43e3]})
        >>> cdb = CraterDatabase(table, "moon")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "craters.gpkg"
        ...     cdb.to_file(path)
        ...     CraterDatabase(path, "moon")
        CraterDatabase of length 2 with attributes lat, lon, rad, center.
        """
        if os.fspath(filename).lower().endswith((".geojson", ".json")):
            self.to_geojson(filename, region, crs, keep_cols, keep_all)
        else:
            vector_output.write_file(self._content(region, crs, keep_cols, keep_all), filename)

    def _content(
        self, region: str | None, crs: Any, keep_cols: Iterable[str] | None, keep_all: bool
    ) -> vector_output.Content:
        shown = self if crs is None else self.to_crs(crs)
        assert shown is not None
        if region is not None:
            self.region(region)
        shapes = shown.center if region is None else shown._polygons(region)
        return vector_output.Content(self, shapes, region, super()._polygons, keep_cols, keep_all)

    @classmethod
    def read_shapefile(
        cls, filename: str | os.PathLike[str], body: str | None = "Moon", units: str = "m", **kwargs: Any
    ) -> Self:
        """Read craters from a vector file: shapefile, GeoJSON, GeoPackage or another that GDAL reads.

        Parameters
        ----------
        filename : path
            The file.
        body : str or None, default "Moon"
            Planetary body; None for the one that the file states in its metadata or by its CRS.
        units : {"m", "km"}, default "m"
            Unit of the radius or diameter column. A unit in the metadata of a GeoJSON file, as `to_geojson` writes it,
            takes precedence.
        **kwargs
            More arguments of `CraterDatabase`.

        Returns
        -------
        CraterDatabase
            The craters, with those regions that `to_geojson` wrote as text.

        Raises
        ------
        TableError
            The file does not exist, cannot be read, or has no sizes or positions.
        BodyError
            The file belongs to another body, or does not state its body.
        ImportError
            geopandas or pyogrio is not installed.

        Notes
        -----
        Positions are those of the file's points in its CRS. The columns of longitude and latitude are used if there are
        no points, or if `input_crs` or names of columns are given. A GeoJSON file without a CRS is taken to be in
        longitude and latitude on the body.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import pandas as pd
        >>> from xcrater import CraterDatabase
        >>> table = pd.DataFrame({"lat": [9.6, -43.3], "lon": [339.9, 348.8], "radius": [48e3, 43e3]})
        >>> cdb = CraterDatabase(table, "moon")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "craters.shp"
        ...     cdb.to_file(path)
        ...     CraterDatabase.read_shapefile(path, "Moon", units="m")
        CraterDatabase of length 2 with attributes lat, lon, rad, center.
        """
        found = read_shapes(filename, body, units)
        cdb = cls(found.frame, found.body, units=found.units, **kwargs)
        for name, shapes in found.regions.items():
            cdb.add_polygons(name, shapes)
        return cdb
