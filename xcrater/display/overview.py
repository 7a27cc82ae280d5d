"""The HTML that notebooks show for a crater table: its numbers, a small map of the craters, and its first rows."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from xcrater import formatting
from xcrater.table.crater_table import CraterTable
from xcrater.table.regions import Circle

Floats = NDArray[np.float64]

_DOTS = 2000
"""Most craters that the map shows as dots; of more it shows the density."""

_OUTLINED = 60  # largest craters whose outlines the map shows
_LARGE = 2.0  # radius in degrees from which an outline differs visibly from a dot
_CELL = 5  # degrees along a side of a cell of the map of densities
_SHADES = (0.08, 0.18, 0.3, 0.45, 0.65)
_ROWS, _COLUMNS = 5, 8  # of the table's head


def html(cdb: CraterTable) -> str:
    """Describe a crater table in HTML, at a cost at most proportional to its rows.

    Parameters
    ----------
    cdb : CraterTable
        The craters.

    Returns
    -------
    str
        Numbers, a map in SVG, and the first rows as a folded table; all contents of the table are escaped.
    """
    # Chosen by position, because a table may have the same label twice
    own = np.flatnonzero(cdb.data.columns.isin(cdb.orig_cols))[:_COLUMNS]
    head = cdb.data.iloc[:_ROWS, own].to_html(border=0, escape=True, notebook=True)
    below = f"<details><summary>First rows</summary>{head}</details>" if len(cdb) else ""
    return formatting.table(f"xcrater.{type(cdb).__name__}", _rows(cdb), picture=_map(cdb), below=below)


def _rows(cdb: CraterTable) -> dict[str, str]:
    """The lines that describe the table, by heading."""
    rows = {"Craters": f"{len(cdb):,}", "Body": f"{cdb.body.title()}, radius {cdb.body_radius / 1000:,.10g} km"}
    if len(cdb):
        diameters = 2.0 * np.asarray(cdb.rad, dtype=np.float64)
        unit, metres = ("km", 1000.0) if np.nanmax(diameters) >= 1000.0 else ("m", 1.0)
        low, middle, high = (formatting.number(f(diameters) / metres) for f in (np.nanmin, np.nanmedian, np.nanmax))
        rows["Diameters"] = f"{low} to {high} {unit}, median {middle} {unit}"
        rows["Latitudes"] = f"{cdb.lat.min():.1f}° to {cdb.lat.max():.1f}°, planetocentric"
        rows["Longitudes"] = f"{cdb.lon.min():.1f}° to {cdb.lon.max():.1f}°, east"
    regions = [f"{name} ({region.describe()})" for name, region in cdb.regions.items()]
    rows["Regions"] = ", ".join(regions) or "none yet: cdb.add_annuli('rim', 1, 1.5)"
    return rows


def _map(cdb: CraterTable) -> str:
    """Map of the craters in longitude and latitude, in the colour of the text around it."""
    lon, lat, radius = (np.asarray(c, dtype=np.float64) for c in (cdb.lon, cdb.lat, cdb.rad))
    lines = "".join(f"M{x} -90v180" for x in range(-120, 180, 60)) + "".join(
        f"M-180 {y}h360" for y in (-60, -30, 30, 60)
    )
    parts = [f'<path d="{lines}M-180 0h360" stroke-width="0.5" stroke-opacity="0.25"/>']
    known = np.isfinite(lon) & np.isfinite(lat) & np.isfinite(radius)
    if known.sum() > _DOTS:
        parts += _densities(lon[known], lat[known])
    dots = np.flatnonzero(known)
    largest = dots[np.argpartition(-radius[dots], min(_OUTLINED, dots.size) - 1)[:_OUTLINED]] if dots.size else dots
    largest = largest[np.degrees(radius[largest] / cdb.body_radius) >= _LARGE]
    if dots.size <= _DOTS:
        small = np.setdiff1d(dots, largest)
        path = "".join(f"M{x:.1f} {-y:.1f}h0" for x, y in zip(lon[small], lat[small], strict=True))
        parts.append(f'<path d="{path}" stroke-width="2" stroke-linecap="round" stroke-opacity="0.6"/>')
    outlines = Circle(1.0, 24).polygons(cdb.data.iloc[largest], cdb.body_radius)
    path = "".join(_closed(shapely.get_coordinates(ring)) for ring in shapely.get_rings(shapely.get_parts(outlines)))
    parts.append(f'<path d="{path}" stroke="none" fill="currentColor" fill-opacity="0.3" fill-rule="nonzero"/>')
    return (
        '<svg viewBox="-181 -91 362 182" width="362" height="182" role="img" aria-label="map of the craters" '
        f'fill="none" stroke="currentColor">{"".join(parts)}'
        '<rect x="-180" y="-90" width="360" height="180" stroke-opacity="0.5"/></svg>'
    )


def _densities(lon: Floats, lat: Floats) -> list[str]:
    """Cells shaded by the number of craters per area, darker for more."""
    columns, rows = 360 // _CELL, 180 // _CELL
    column = np.floor((lon + 180.0) % 360.0 / _CELL).astype(np.int64).clip(0, columns - 1)
    row = np.floor((90.0 - lat) / _CELL).astype(np.int64).clip(0, rows - 1)
    count = np.bincount(row * columns + column, minlength=rows * columns).reshape(rows, columns)
    edges = np.sin(np.radians(90.0 - _CELL * np.arange(rows + 1)))
    density = count / (edges[:-1] - edges[1:])[:, None]
    bounds = np.quantile(density[count > 0], np.linspace(0, 1, len(_SHADES) + 1)[1:-1])
    shade = np.where(count > 0, np.searchsorted(bounds, density, side="right"), -1)
    cells = []
    for number, opacity in enumerate(_SHADES):
        path = "".join(_runs(shade == number))
        cells.append(f'<path d="{path}" stroke="none" fill="currentColor" fill-opacity="{opacity}"/>')
    return cells


def _runs(cells: NDArray[np.bool_]) -> list[str]:
    """Merge adjacent cells into rectangles."""
    found = []
    for row, run in enumerate(cells):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], run, [False]]).astype(np.int8)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            width = (stop - start) * _CELL
            found.append(f"M{start * _CELL - 180} {row * _CELL - 90}h{width}v{_CELL}h{-width}z")
    return found


def _closed(points: Floats) -> str:
    """A ring of longitudes and latitudes as a closed path."""
    return "M" + "L".join(f"{x:.1f} {-y:.1f}" for x, y in points[:-1]) + "z"
