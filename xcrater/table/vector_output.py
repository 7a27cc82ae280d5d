"""Geometries of craters in any CRS of their body, and vector files of them, for GIS programs."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

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


def write_geojson(
    cdb: CraterTable,
    path: str | os.PathLike[str],
    shapes: pd.Series[Any],
    region: str | None,
    *,
    units: str,
    keep_cols: Iterable[str] | None,
    keep_all: bool,
    wkt: Callable[[str], pd.Series[Any]],
) -> None:
    """Write one geometry per crater as GeoJSON; see `CraterDatabase.to_geojson`.

    Parameters
    ----------
    cdb : CraterTable
        The craters.
    path : path
        The file, which is replaced when the new one is complete.
    shapes : GeoSeries
        Geometries in the CRS of the file.
    region : str or None
        Name of the region that they are.
    units : {"m", "km"}
        Unit of the table's sizes.
    keep_cols, keep_all
        As `CraterDatabase.to_geojson` takes them.
    wkt : callable
        Polygons of a region in longitude and latitude.
    """
    geopandas, pyogrio = require("geopandas", extra="vector"), require("pyogrio", extra="vector")
    own = [str(column) for column in cdb.orig_cols]
    wanted = list(keep_cols) if keep_cols is not None else [str(c) for c in cdb.data.columns if c not in CENTRE]
    missing = [column for column in wanted if column not in (*map(str, cdb.data.columns), *cdb.regions)]
    if missing:
        raise TableError(f"received keep_cols={missing!r}; expected columns among {', '.join(cdb.data.columns)}")
    # Outlines do not say where centres lie, so that a file of them has the centres beside them; not the radii, which
    # craterpy would take for those of the table, in the table's units
    further = CENTRE if keep_all and keep_cols is None else tuple(CENTRE)[:2] if region is not None else ()
    columns = list(dict.fromkeys((*own, *(c for c in wanted if c in cdb.data.columns), *further)))
    data = cdb.data[columns].drop(columns="geometry", errors="ignore")
    kept = [name for name in cdb.regions if name in wanted or (keep_all and keep_cols is None)]
    for name in dict.fromkeys((*kept, *(() if region is None else (region,)))):
        data[f"{name}{ACTIVE if name == region else WKT}"] = shapely.to_wkt(wkt(name).to_numpy(), rounding_precision=9)
    crs = pyproj.CRS(shapes.crs)
    if crs.to_authority() is None:
        raise BodyError(
            f"received the CRS {crs.name!r}, which has no code; a GeoJSON file can name no other: pass "
            f"crs={cdb.crs.to_string()!r}, or write a GeoPackage: geopandas.GeoDataFrame(cdb.data, "
            "geometry=cdb.center).to_file('craters.gpkg')"
        )
    frame = geopandas.GeoDataFrame(data, geometry=shapes.to_numpy(), crs=crs)
    target = Path(path).expanduser()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".xcrater-") as folder:
        made = Path(folder) / "made.geojson"
        try:
            frame.to_file(made, driver="GeoJSON", engine="pyogrio", layer=target.stem)
        except (pyogrio.errors.DataSourceError, pyogrio.errors.FieldError, ValueError) as err:
            raise TableError(f"the table cannot be written as GeoJSON: {err}") from err
        complete = Path(folder) / "complete.geojson"
        with made.open("rb") as source, complete.open("wb") as file:
            file.write(source.readline() + source.readline())
            about = {"body": cdb.body, "units": units, "creator": "xcrater"}
            file.write(b'"metadata": ' + json.dumps(about).encode() + b",\n")
            shutil.copyfileobj(source, file)
        complete.replace(target)


def as_series(
    geometries: Geometries, index: pd.Index[Any], name: str, body: Body, crs: pyproj.CRS | None
) -> pd.Series[Any]:
    """Geometries in longitude and latitude as a Series of a CRS: a GeoSeries where geopandas is installed.

    Parameters
    ----------
    geometries : ndarray of shapely geometries, shape (n,)
        In east longitude and planetocentric latitude.
    index : pandas.Index
        Labels of the craters.
    name : str
        What they are.
    body : Body
        The body that they are on.
    crs : pyproj.CRS or None
        The CRS that the Series is to be in; None for that of longitude and latitude.

    Returns
    -------
    pandas.Series or geopandas.GeoSeries
        The geometries; None where a projection does not show one, and without the parts that it does not show.
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
    """Geometries in another CRS.

    Parameters
    ----------
    geometries : ndarray of shapely geometries, shape (n,)
        In east longitude and planetocentric latitude, degrees.
    body : Body
        The body that they are on.
    crs : pyproj.CRS
        A CRS of the body.

    Returns
    -------
    ndarray of shapely geometries, shape (n,)
        The same, with vertices at least every degree; those that the projection does not show as a whole are None.
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
    if areal:  # a region over a pole runs to it and back along the antimeridian, which is no edge of most maps
        crooked = ~shapely.is_valid(out) & (shapely.get_dimensions(out) == 2)
        out[crooked] = [_areas(shape) for shape in shapely.make_valid(out[crooked])]
    return out


def _areas(shape: Any) -> Any:
    """The areas among the parts of a geometry."""
    parts = shapely.get_parts(shape)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
