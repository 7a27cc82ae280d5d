"""Reading of vector files of craters, as GIS programs write them, as tables."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.errors import BodyError, TableError
from xcrater.geometry.bodies import Body, body_of_crs, same_body, to_geodetic

Geometries = NDArray[np.object_]

SUFFIXES = (".shp", ".geojson", ".json", ".gpkg", ".kml", ".gml", ".fgb")
"""Suffixes of files that are read as vector files."""

CENTRE = {"_lat": "latitude", "_lon": "longitude", "_radius_m": "radius"}
"""Columns that hold each crater's centre, east and planetocentric, and its radius in metres."""

_OF_FILE = "xcrater_of_file"
WKT, ACTIVE = "_wkt", "_active_wkt"
"""Endings of the names of columns that hold a region's polygons as text; the second is for the region that is also the
geometry."""

_FIRST_LINES = 2**16  # bytes in which to look for those members of a GeoJSON file that are not features


class Source(NamedTuple):
    """A vector file or GeoDataFrame as a table, with the CRS and columns that a plain table states in its header."""

    data: pd.DataFrame
    input_crs: Any
    names: tuple[str | None, str | None, str | None]
    """Columns of latitude, longitude and radius in metres; None for those that are not known."""


def is_vector(dataset: object) -> bool:
    """Tell whether a dataset is a vector file, by its suffix or as GeoParquet, or a GeoDataFrame."""
    if isinstance(dataset, (str, os.PathLike)):
        path = Path(dataset).expanduser()
        return path.suffix.lower() in SUFFIXES or _is_geoparquet(path)
    return isinstance(dataset, pd.DataFrame) and hasattr(type(dataset), "total_bounds") and hasattr(dataset, "geometry")


def _is_geoparquet(path: Path) -> bool:
    """Tell whether a Parquet file has the metadata of GeoParquet."""
    if path.suffix.lower() != ".parquet" or not path.is_file() or importlib.util.find_spec("pyarrow") is None:
        return False
    parquet = require("pyarrow.parquet", extra="parquet")
    try:
        return b"geo" in (parquet.read_schema(path).metadata or {})
    except (OSError, ValueError):
        return False  # the error is left to the function that reads the table


def read_file(path: str | os.PathLike[str]) -> Any:
    """Read a vector file.

    Parameters
    ----------
    path : path
        A file that GDAL reads.

    Returns
    -------
    geopandas.GeoDataFrame
        One row per feature.

    Raises
    ------
    TableError
        There is no such file, or GDAL cannot read it.
    ImportError
        geopandas or pyogrio is not installed.
    """
    geopandas, pyogrio = require("geopandas", extra="vector"), require("pyogrio", extra="vector")
    where = Path(path).expanduser()
    if not where.exists():
        raise TableError(f"received {os.fspath(path)!r}; there is no such file in {Path.cwd()}")
    try:
        if _is_geoparquet(where):
            frame = geopandas.read_parquet(where)
        else:
            frame = geopandas.read_file(where, engine="pyogrio")
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as err:
        raise TableError(f"{os.fspath(path)!r} cannot be read as a vector file: {err}") from err
    frame.attrs[_OF_FILE] = True
    return frame


def as_table(dataset: Any, body: Body, input_crs: Any, placed: bool) -> Source:
    """Make a plain table of a vector file or GeoDataFrame.

    Parameters
    ----------
    dataset : path or geopandas.GeoDataFrame
        The craters, one per row.
    body : Body
        The body that they are on.
    input_crs : str or pyproj.CRS
        As `CraterDatabase` takes it.
    placed : bool
        Whether the user states the positions by column names or `input_crs`; geometries are then ignored.

    Returns
    -------
    Source
        The attributes, without the geometries. Positions come from the columns that `to_geojson` writes, if they are
        there; otherwise from the geometries, if these are points in a CRS of the body; otherwise from the headers.

    Raises
    ------
    TableError
        The file cannot be read.
    BodyError
        The geometries are on another body.
    """
    frame = read_file(dataset) if isinstance(dataset, (str, os.PathLike)) else dataset
    active = getattr(frame, "_geometry_column_name", None)
    data = pd.DataFrame(frame.drop(columns=[active] if active in frame.columns else []))
    data.attrs = dict(frame.attrs)
    # In a file, our own columns match the others; in a frame in memory, the other columns may have been changed since
    own = bool(data.attrs.pop(_OF_FILE, False)) and {"_lat", "_lon"} <= set(data.columns)
    crs = None if active not in frame.columns or frame.crs is None else pyproj.CRS(frame.crs)
    if placed:
        return Source(data, input_crs, (None, None, None))
    if crs is not None and not same_body(crs, body):
        # GeoJSON knows no CRS but the Earth's, so files of other bodies claim EPSG:4326, which must not be believed.
        if crs.to_epsg() != 4326:
            other = body_of_crs(crs)
            raise BodyError(
                f"received the CRS {crs.name!r}, {f'of {other.name}' if other else 'of no body'}; the table is on "
                f"{body.name}. Pass " + (f"body={other.name!r}" if other else f"input_crs={body.crs.to_string()!r}")
            )
        crs = body.crs
    if own:
        return Source(data, "planetocentric", ("_lat", "_lon", "_radius_m" if "_radius_m" in data.columns else None))
    if {"x_coord", "y_coord"} <= set(data.columns) and not (frame.geom_type == "Point").any():
        return Source(data, "planetocentric", ("y_coord", "x_coord", None))  # outlines of CraterTools
    if crs is None or not len(data) or not (frame.geom_type == "Point").all() or frame.geometry.is_empty.any():
        return Source(data, input_crs, (None, None, None))
    lon, lat = to_geodetic(frame.geometry.x.to_numpy(), frame.geometry.y.to_numpy(), body, crs)
    outside = data.index[np.isnan(lon)]
    if len(outside):
        raise TableError(f"{len(outside)} points, the first at row {outside[0]}, are outside the CRS {crs.name!r}")
    return Source(data.assign(_lat=lat, _lon=lon), "planetocentric", ("_lat", "_lon", None))


class Shapes(NamedTuple):
    """A vector file, perhaps written by `to_geojson` or craterpy, with the information beyond its attributes."""

    frame: Any
    """GeoDataFrame without the columns of regions."""
    body: str
    units: str
    regions: dict[str, Geometries]
    """Polygons of regions in east longitude and planetocentric latitude, by name."""


def read_shapes(path: str | os.PathLike[str], body: str | None, units: str) -> Shapes:
    """Read a vector file with the body, units and regions that it may state; see `CraterDatabase.read_shapefile`."""
    frame = read_file(path)
    told = _metadata(Path(path).expanduser())
    if body is None:
        body = told.get("body")
    if body is None:
        found = None if frame.crs is None or frame.crs.to_epsg() == 4326 else body_of_crs(frame.crs)
        if found is None:
            raise BodyError(f"{os.fspath(path)!r} does not say which body it is on; name it: body='moon'")
        body = found.name
    regions = {}
    for column in [column for column in frame.columns if str(column).endswith(WKT)]:
        name = str(column).removesuffix(ACTIVE).removesuffix(WKT)
        try:
            shapes = shapely.from_wkt(frame[column].to_numpy())
        except (shapely.errors.GEOSException, TypeError):
            continue  # the column was not written by `to_geojson`
        frame = frame.drop(columns=column)
        if np.isin(shapely.get_type_id(shapes), (-1, 3, 6)).all():
            regions[name] = shapes
    return Shapes(frame, body, told.get("units", units), regions)


def _metadata(path: Path) -> dict[str, str]:
    """The member ``metadata`` of a GeoJSON file; empty for other files."""
    if path.suffix.lower() not in (".geojson", ".json") or not path.is_file():
        return {}
    with path.open("rb") as file:
        head = file.read(_FIRST_LINES).decode("utf-8", "ignore")
    at = head.find('"metadata"')
    features = head.find('"features"')
    if at < 0 or 0 <= features < at:
        return {}
    try:
        told, _ = json.JSONDecoder().raw_decode(head[head.index("{", at) :])
    except ValueError:
        return {}
    return {name: value for name, value in told.items() if isinstance(value, str)}
