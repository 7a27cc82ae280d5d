"""Crater counts in the files of craterstats, CraterTools and OpenCraterTool: craters and the area they were counted in.

Text files (.scc) hold both; shapefiles come in pairs, ``<name>_CRATER.shp`` and ``<name>_AREA.shp``. Binned counts
(.stat) are written for craterstats, which fits ages to them. Sizes are diameters in kilometres, and coordinates are
east longitude and planetocentric latitude.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.errors import TableError
from xcrater.geometry.antimeridian import cut_at_antimeridian
from xcrater.geometry.bodies import Body, body_of_crs
from xcrater.table.crater_table import CraterTable
from xcrater.table.polygon_tables import make_polygon_table
from xcrater.table.regions import Circle
from xcrater.table.vector_files import read_file
from xcrater.table.vector_output import SHAPEFILE, write_frame

Floats = NDArray[np.float64]

BOUNDS = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0)
"""Lower bounds, within each decade, of the pseudo-logarithmic diameter bins of .stat files."""

CRATER, AREA = "_CRATER", "_AREA"
"""Endings of the names of the two shapefiles of a pair."""


class Count(NamedTuple):
    """A crater count read from a file."""

    craters: pd.DataFrame
    """Columns ``Diam_km``, ``lon`` and ``lat``, and any others of the file, such as ``fraction``."""
    area: Any
    """Polygon of the area in longitude and latitude; None if the file has none."""
    body: str


def read_count(path: str | os.PathLike[str], body: str | None) -> Count:
    """Read a crater count; see `CraterDatabase.read_count`."""
    where = Path(path).expanduser()
    if where.suffix.lower() not in (".scc", ".shp"):
        raise TableError(
            f"received {os.fspath(path)!r}; expected a crater count that ends in .scc, or in {CRATER}.shp beside the "
            f"file of its area that ends in {AREA}.shp"
        )
    if not where.is_file():
        raise TableError(f"received {os.fspath(path)!r}; there is no such file in {Path.cwd()}")
    return _read_scc(where, body) if where.suffix.lower() == ".scc" else _read_shapefiles(where, body)


def _read_scc(path: Path, body: str | None) -> Count:
    values, tables = _parse(path)
    if "crater" not in tables or not {"diam", "lon", "lat"} <= set(tables["crater"].columns):
        raise TableError(f"{str(path)!r} is no crater count: it has no table crater = {{diam, ..., lon, lat}}")
    radius = next((text for name, text in values.items() if re.fullmatch(r"a[-_]axis[ _]radius", name)), None)
    if body is None:
        found = None
        if radius is not None:
            metres = 1000.0 * _number(path, radius.partition("<")[0])
            found = body_of_crs(pyproj.CRS.from_proj4(f"+proj=longlat +R={metres!r} +no_defs"))
        if found is None:
            raise TableError(f"{str(path)!r} has a radius of {radius}; name its body: body='moon'")
        body = found.name
    craters = tables["crater"].rename(columns={"diam": "Diam_km"})
    return Count(craters, _area_of(path, tables.get("unit_boundary")), body)


def _parse(path: Path) -> tuple[dict[str, str], dict[str, pd.DataFrame]]:
    """Values and tables of a text file, by name; comments begin with #."""
    values: dict[str, str] = {}
    tables: dict[str, pd.DataFrame] = {}
    name, columns, rows = "", [""], list[list[str]]()
    for line in path.read_text("utf-8", "replace").splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if name and text == "}":
            # Some tools write columns that the header does not name, or name columns that they do not write
            short = min([len(columns), *map(len, rows)])
            kept = columns[:short]
            tables[name] = pd.DataFrame([row[:short] for row in rows], columns=kept)
            for column in kept:
                if column != "tag":
                    tables[name][column] = [_number(path, cell) for cell in tables[name][column]]
            name, rows = "", []
        elif name:
            rows.append(re.split(r"[\s,;]+", text))
        elif "=" in text:
            key, _, value = (part.strip() for part in text.partition("="))
            if value.startswith("{"):
                name, columns = key, [column.strip() for column in value[1:].split(",")]
            else:
                values[key] = value
    if name:
        raise TableError(f"{str(path)!r} ends within its table {name!r}; the file is not complete")
    return values, tables


def _number(path: Path, text: str) -> float:
    try:
        return float(text)
    except ValueError as err:
        raise TableError(f"{str(path)!r} has {text!r} where a number is expected") from err


def _area_of(path: Path, vertices: pd.DataFrame | None) -> Any:
    """Assemble the polygon from rings tagged as exterior ("ext") or hole ("int")."""
    if vertices is None or not len(vertices):
        return None
    if not {"sub_area", "tag", "lon", "lat"} <= set(vertices.columns):
        raise TableError(f"{str(path)!r} has a unit_boundary without the columns sub_area, tag, lon and lat")
    rings: dict[str, list[Any]] = {"ext": [], "int": []}
    for _, ring in vertices.groupby("sub_area", sort=True):
        tag = str(ring["tag"].iloc[0])
        if tag not in rings or len(ring) < 4:
            raise TableError(
                f"{str(path)!r} has a ring of {len(ring)} vertices with the tag {tag!r}; expected ext, int"
            )
        rings[tag].append(shapely.Polygon(ring[["lon", "lat"]].to_numpy()))
    parts = []
    for outside in rings["ext"]:
        holes = [hole for hole in rings["int"] if outside.covers(hole.representative_point())]
        parts.append(shapely.difference(outside, shapely.union_all(holes)) if holes else outside)
    return shapely.union_all(parts) if len(parts) > 1 else parts[0] if parts else None


def _read_shapefiles(path: Path, body: str | None) -> Count:
    frame = read_file(path)
    if not {"Diam_km", "x_coord", "y_coord"} <= set(frame.columns):
        raise TableError(f"{str(path)!r} is no crater count: it has no columns Diam_km, x_coord and y_coord")
    if body is None:
        found = None if frame.crs is None else body_of_crs(frame.crs)
        if found is None:
            raise TableError(f"{str(path)!r} does not say which body it is on; name it: body='moon'")
        body = found.name
    craters = pd.DataFrame(frame.drop(columns="geometry")).rename(columns={"x_coord": "lon", "y_coord": "lat"})
    beside = path.with_name(path.name.replace(CRATER, AREA))
    area = None
    if beside != path and beside.is_file():
        shapes = read_file(beside)
        area = shapely.union_all(shapes.geometry.to_numpy())
        if shapes.crs is not None and shapes.crs.is_projected:
            # Use the kind of latitude that the crater columns hold, whatever PROJ calls it
            inverse = pyproj.Transformer.from_crs(shapes.crs, shapes.crs.geodetic_crs, always_xy=True)
            area = shapely.transform(area, lambda points: np.column_stack(inverse.transform(*points.T)))
    return Count(craters, area, body)


class Counted(NamedTuple):
    """The craters counted within an area."""

    rows: NDArray[np.intp]
    """Positions of the craters that lie at least partly within the area, from the smallest to the largest."""
    diameter: Floats
    """Diameters, km."""
    fraction: Floats
    """Fraction of each crater's area that lies within the area."""
    size: float
    """Area, km²."""


def counted(cdb: CraterTable, body: Body, area: Any) -> Counted:
    """Find the craters of a table within an area, and the fraction of each that lies inside.

    Parameters
    ----------
    cdb : CraterTable
        The craters.
    body : Body
        Their body.
    area : shapely Polygon or MultiPolygon, or a number
        The area in longitude and latitude; or its size in km², in which case all craters lie inside it entirely.

    Returns
    -------
    Counted
        The craters. For craters on the boundary, the fraction is that of their discs' areas on the sphere, unless the
        table has a column ``fraction``.
    """
    diameter = 2e-3 * np.asarray(cdb.rad, np.float64)
    if isinstance(area, int | float | np.number) and not isinstance(area, bool) and 0 < float(area) < math.inf:
        fraction, size = np.ones(len(cdb)), float(area)
    elif isinstance(area, shapely.Polygon | shapely.MultiPolygon) and not area.is_empty:
        whole = cut_at_antimeridian(make_polygon_table(np.array([area], object), body).polygons())[0]
        fraction, size = _shares(cdb, body, whole), _square_metres(whole, body) / 1e6
    else:
        raise TableError(
            f"received area={area!r}; expected a shapely polygon in longitude and latitude, or square kilometres"
        )
    if "fraction" in cdb.data.columns:
        fraction = np.asarray(cdb.data["fraction"], np.float64)
    rows = np.flatnonzero(fraction > 0)
    rows = rows[np.argsort(diameter[rows], kind="stable")]
    return Counted(rows, diameter[rows], fraction[rows], size)


def _shares(cdb: CraterTable, body: Body, area: Any) -> Floats:
    discs = Circle(1.0, 64).polygons(cdb.data, body.radius)
    shapely.prepare(area)
    share = np.asarray(shapely.covers(area, discs), np.float64)
    for row in np.flatnonzero(shapely.intersects(area, discs) & (share == 0)):
        part = shapely.intersection(area, discs[row])
        share[row] = _square_metres(part, body) / _square_metres(discs[row], body)
    return share


def _square_metres(shape: Any, body: Body) -> float:
    """Area on the body's sphere, with edges along great circles."""
    geod = pyproj.Geod(a=body.radius, b=body.radius)
    total = 0.0
    for part in shapely.get_parts(shape):
        if part.geom_type == "Polygon":
            total += abs(geod.geometry_area_perimeter(shapely.orient_polygons(part))[0])
    return total


def write_count(cdb: CraterTable, body: Body, path: str | os.PathLike[str], area: Any) -> None:
    """Write a crater count; see `CraterDatabase.to_count`."""
    target = Path(path).expanduser()
    kind = target.suffix.lower()
    if kind not in (".scc", ".stat", ".shp"):
        raise TableError(f"received {os.fspath(path)!r}; expected a file that ends in .scc, .stat or {CRATER}.shp")
    if area is None:
        raise TableError(
            "received no area that the craters were counted in; pass a polygon in longitude and latitude, "
            "area=shapely.box(10, -5, 20, 5), or for a .stat file square kilometres, area=1000.0"
        )
    found = counted(cdb, body, area)
    if kind != ".stat" and not isinstance(area, shapely.Polygon | shapely.MultiPolygon):
        raise TableError(f"received area={area!r}; a {kind} file needs the polygon of the area")
    if kind == ".shp":
        if not target.stem.endswith(CRATER):
            raise TableError(f"received {os.fspath(path)!r}; expected a name that ends in {CRATER}.shp")
        _write_shapefiles(cdb, body, target, area, found)
    else:
        lines = _stat(found) if kind == ".stat" else _scc(cdb, body, area, found)
        made = target.with_name(f".{target.name}.part")
        made.write_text("\n".join(lines) + "\n", "utf-8")
        made.replace(target)


def _scc(cdb: CraterTable, body: Body, area: Any, found: Counted) -> list[str]:
    boundary: list[str] = []
    ring_number = 0
    for part in shapely.get_parts(area):
        for tag, rings in (("ext", [part.exterior]), ("int", part.interiors)):
            for ring in rings:
                ring_number += 1
                for lon, lat in shapely.get_coordinates(ring):
                    boundary.append(f"{len(boundary) + 1}\t{ring_number}\t{tag}\t{lon:.12f}\t{lat:.12f}")
    lon, lat = (np.asarray(column, np.float64)[found.rows] for column in (cdb.lon, cdb.lat))
    craters = zip(found.diameter, found.fraction, lon, lat, strict=True)
    radius = f"{body.radius / 1000:.10g} <km>"
    return [
        "# Spatial crater count",
        "#",
        f"a_axis_radius = {radius}",
        f"b_axis_radius = {radius}",
        f"c_axis_radius = {radius}",
        f"coordinate_system_name = {body.crs.name}",
        f"Total_area = {found.size:.12g} <km^2>",
        "#",
        "unit_boundary = {vertex, sub_area, tag, lon, lat",
        *boundary,
        "}",
        "#",
        "crater = {diam, fraction, lon, lat",
        *(f"{d:.12g}\t{part:.12g}\t{x:.12f}\t{y:.12f}" for d, part, x, y in craters),
        "}",
    ]


def _stat(found: Counted) -> list[str]:
    """Lines of a table of bins, with the lower bound, the incremental and cumulative counts, and their densities."""
    if not found.rows.size:
        raise TableError("no crater lies within the area; expected some to be counted")
    low, high = (math.floor(math.log10(d)) for d in (found.diameter[0], found.diameter[-1]))
    bounds = np.array([b * 10.0**decade for decade in range(low, high + 2) for b in BOUNDS])
    first = max(int(np.searchsorted(bounds, found.diameter[0] * (1 + 1e-12), "right")) - 1, 0)
    last = int(np.searchsorted(bounds, found.diameter[-1] * (1 + 1e-12), "right"))
    bounds = bounds[first : last + 1]
    events, _ = np.histogram(found.diameter * (1 + 1e-12), bounds)
    number, _ = np.histogram(found.diameter * (1 + 1e-12), bounds, weights=found.fraction)
    beyond = np.cumsum(number[::-1])[::-1]
    lines = [
        "# Crater count in pseudo-logarithmic bins of diameter, for craterstats",
        "#",
        f"# Total area = {found.size:.10g} km^2",
        "#",
        "# D_min       F(D)       N_inc       Error        C(D)       N_cum       Error"
        "      D_mean      N_diff       Error     N_event",
        "#",
    ]
    for k in np.flatnonzero(events):
        width, middle = bounds[k + 1] - bounds[k], math.sqrt(bounds[k] * bounds[k + 1])
        density, cumulative = number[k] / found.size, beyond[k] / found.size
        lines.append(
            f"{bounds[k]:<7.5g}{number[k]:>11.5g}{density:>13.3E}{density / math.sqrt(number[k]):>12.3E}"
            f"{beyond[k]:>11.5g}{cumulative:>13.3E}{cumulative / math.sqrt(beyond[k]):>12.3E}{middle:>12.4g}"
            f"{density / width:>12.3E}{density / width / math.sqrt(events[k]):>12.3E}{events[k]:>12.5g}"
        )
    return lines


def _write_shapefiles(cdb: CraterTable, body: Body, path: Path, area: Any, found: Counted) -> None:
    geopandas = require("geopandas", extra="vector")
    rows = cdb.data.iloc[found.rows]
    craters = {"Diam_km": found.diameter, "x_coord": rows["_lon"].to_numpy(), "y_coord": rows["_lat"].to_numpy()}
    outlines = Circle(1.0, 128).polygons(rows, body.radius)
    frame = geopandas.GeoDataFrame({**craters, "tag": "standard"}, geometry=outlines, crs=body.crs)
    whole = geopandas.GeoDataFrame({"area": [found.size], "area_name": ["area"]}, geometry=[area], crs=body.crs)
    write_frame(frame, path, SHAPEFILE)
    write_frame(whole, path.with_name(path.name.replace(CRATER, AREA)), SHAPEFILE)
