"""Output for GIS programs: geometries of craters in any CRS of their body, and vector files of them."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.errors import BodyError, TableError
from xcrater.geometry.bodies import Body, crs_on_body, from_geodetic
from xcrater.table.crater_table import CraterTable
from xcrater.table.vector_files import ACTIVE, CENTRE, WKT

Geometries = NDArray[np.object_]

_EDGE = 1.0  # degrees; longer edges of polygons get vertices in between before they are projected


SHAPEFILE = "ESRI Shapefile"
DRIVERS = {".gpkg": "GPKG", ".shp": SHAPEFILE, ".parquet": "GeoParquet"}
"""GDAL's names of the formats that `write_file` knows, by suffix."""

_FIELD_NAME = 10  # characters of a column's name in a shapefile


class Content(NamedTuple):
    """The content of a vector file. The last fields are arguments of `CraterDatabase.to_file`."""

    cdb: CraterTable
    shapes: pd.Series[Any]
    """Geometries in the CRS of the file, one per crater."""
    region: str | None
    """Name of the region whose outlines the geometries are; None if they are centres."""
    wkt: Callable[[str], pd.Series[Any]]
    """Polygons of a region in longitude and latitude."""
    keep_cols: Iterable[str] | None
    keep_all: bool

    def frame(self, *, texts: bool = True) -> Any:
        """Make the GeoDataFrame to write, optionally with the polygons of regions as text."""
        geopandas = require("geopandas", extra="vector")
        cdb, region = self.cdb, self.region
        own = [str(column) for column in cdb.orig_cols]
        wanted = [str(c) for c in cdb.data.columns if c not in CENTRE]
        if self.keep_cols is not None:
            wanted = list(self.keep_cols)
        missing = [column for column in wanted if column not in (*map(str, cdb.data.columns), *cdb.regions)]
        if missing:
            raise TableError(f"received keep_cols={missing!r}; expected columns among {', '.join(cdb.data.columns)}")
        whole = self.keep_all and self.keep_cols is None
        # Centres cannot be derived from outlines, so a file of outlines also holds the centres. It does not hold the
        # radii, which craterpy would take for a column in the table's units.
        further = CENTRE if whole else tuple(CENTRE)[:2] if region is not None else ()
        columns = list(dict.fromkeys((*own, *(c for c in wanted if c in cdb.data.columns), *further)))
        data = cdb.data[columns].drop(columns="geometry", errors="ignore")
        kept = [name for name in cdb.regions if name in wanted or whole]
        for name in dict.fromkeys((*kept, *(() if region is None else (region,)))) if texts else ():
            shapes = shapely.to_wkt(self.wkt(name).to_numpy(), rounding_precision=9)
            data[f"{name}{ACTIVE if name == region else WKT}"] = shapes
        return geopandas.GeoDataFrame(data, geometry=self.shapes.to_numpy(), crs=pyproj.CRS(self.shapes.crs))


def write_geojson(content: Content, path: str | os.PathLike[str], units: str) -> None:
    """Write one geometry per crater as GeoJSON; see `CraterDatabase.to_geojson`.

    Parameters
    ----------
    content : Content
        The content of the file.
    path : path
        The file, which is replaced when the new one is complete.
    units : {"m", "km"}
        Unit of the table's sizes.
    """
    frame = content.frame()
    if frame.crs.to_authority() is None:
        raise BodyError(
            f"received the CRS {frame.crs.name!r}, which has no code; a GeoJSON file can name no other: pass "
            f"crs={content.cdb.crs.to_string()!r}, or write a GeoPackage: cdb.to_file('craters.gpkg')"
        )
    target = Path(path).expanduser()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".xcrater-") as folder:
        made = Path(folder) / "made.geojson"
        _write(frame, made, "GeoJSON", target.stem)
        complete = Path(folder) / "complete.geojson"
        with made.open("rb") as source, complete.open("wb") as file:
            file.write(source.readline() + source.readline())
            about = {"body": content.cdb.body, "units": units, "creator": "xcrater"}
            file.write(b'"metadata": ' + json.dumps(about).encode() + b",\n")
            shutil.copyfileobj(source, file)
        complete.replace(target)


def write_file(content: Content, path: str | os.PathLike[str]) -> None:
    """Write one geometry per crater in the format that a file's suffix names; see `CraterDatabase.to_file`.

    Parameters
    ----------
    content : Content
        The content of the file.
    path : path
        The file, which is replaced when the new one is complete, together with the other files of a shapefile.
    """
    target = Path(path).expanduser()
    driver = DRIVERS.get(target.suffix.lower())
    if driver is None:
        raise TableError(
            f"received {os.fspath(path)!r}; expected a file that ends in .geojson, {', '.join(DRIVERS)}, such as "
            f"{target.with_suffix('.gpkg').name!r}"
        )
    write_frame(content.frame(texts=driver != SHAPEFILE), target, driver)


def write_frame(frame: Any, target: Path, driver: str) -> None:
    """Write a GeoDataFrame under a temporary name, and rename the file, or all files of a shapefile, when complete."""
    if driver == SHAPEFILE:
        frame = frame.rename(columns=_short_names([str(c) for c in frame.columns]))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".xcrater-") as folder:
        made = Path(folder) / target.name
        if driver == "GeoParquet":
            require("pyarrow", extra="parquet")
            frame.to_parquet(made, index=True)
        else:
            _write(frame, made, driver, target.stem)
        for file in sorted(Path(folder).iterdir()):
            file.replace(target.parent / file.name)


def _write(frame: Any, path: Path, driver: str, layer: str) -> None:
    pyogrio = require("pyogrio", extra="vector")
    try:
        frame.to_file(path, driver=driver, engine="pyogrio", layer=layer)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.FieldError, ValueError) as err:
        raise TableError(f"the table cannot be written as {driver}: {err}") from err


def _short_names(columns: list[str]) -> dict[str, str]:
    """Shorten names for the columns of a shapefile, keeping them distinct regardless of case."""
    names: dict[str, str] = {}
    for column in columns:
        short = column[:_FIELD_NAME] if column != "geometry" else column
        taken = {name.lower() for name in names.values()}
        count = 1
        while short.lower() in taken:
            count += 1
            short = f"{column[: _FIELD_NAME - 1 - len(str(count))]}_{count}"
        names[column] = short
    return names


def as_series(
    geometries: Geometries, index: pd.Index[Any], name: str, body: Body, crs: pyproj.CRS | None
) -> pd.Series[Any]:
    """Make a Series of geometries in a CRS, which is a GeoSeries if geopandas is installed.

    Parameters
    ----------
    geometries : ndarray of shapely geometries, shape (n,)
        Geometries in east longitude and planetocentric latitude.
    index : pandas.Index
        Labels of the craters.
    name : str
        Name of the Series.
    body : Body
        The body that they are on.
    crs : pyproj.CRS or None
        The CRS of the Series; None for longitude and latitude.

    Returns
    -------
    pandas.Series or geopandas.GeoSeries
        The geometries; None for a geometry that the projection does not show as a whole.
    """
    if crs is not None:
        geometries = projected(geometries, body, crs)
    if importlib.util.find_spec("geopandas") is None:
        return pd.Series(geometries, index=index, name=name, dtype=object)
    series: pd.Series[Any] = require("geopandas", extra="vector").GeoSeries(
        geometries, index=index, name=name, crs=body.crs if crs is None else crs
    )
    return series


def projected(geometries: Geometries, body: Body, crs: pyproj.CRS) -> Geometries:
    """Project geometries to another CRS.

    Parameters
    ----------
    geometries : ndarray of shapely geometries, shape (n,)
        Geometries in east longitude and planetocentric latitude, degrees.
    body : Body
        The body that they are on.
    crs : pyproj.CRS
        A CRS of the body.

    Returns
    -------
    ndarray of shapely geometries, shape (n,)
        The projected geometries, with vertices at least every degree; None for those that the projection does not show
        as a whole.
    """
    crs = crs_on_body(crs, body)
    areal = crs.is_projected and bool((shapely.get_dimensions(geometries) == 2).any())
    if areal:
        geometries = shapely.segmentize(geometries, _EDGE)
    coordinates = shapely.get_coordinates(geometries)
    x, y = from_geodetic(coordinates[:, 0], coordinates[:, 1], body, crs)
    shown = np.isfinite(x) & np.isfinite(y)
    out = np.array(shapely.set_coordinates(geometries.copy(), np.column_stack([x, y])))
    if not shown.all():
        _, owner = shapely.get_coordinates(geometries, return_index=True)
        out[np.unique(owner[~shown])] = None
    if areal:  # a region over a pole goes to it and back along the antimeridian, which is not an edge of most maps
        crooked = ~shapely.is_valid(out) & (shapely.get_dimensions(out) == 2)
        out[crooked] = [_areas(shape) for shape in shapely.make_valid(out[crooked])]
    return out


def _areas(shape: Any) -> Any:
    """The union of those parts of a geometry that are areas."""
    parts = shapely.get_parts(shape)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
