"""Positions and radii of the craters of a table, in the one convention that everything else counts in."""

from __future__ import annotations

import math
import os
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater.errors import TableError
from xcrater.geometry.bodies import Body, Convention, convention_of, ellipsoids, is_projected, to_geodetic
from xcrater.geometry.sphere import planetocentric_latitude
from xcrater.table.cells import Cells, Mark, read_cells, shared_mark
from xcrater.table.coordinate_system import in_stated_system
from xcrater.table.header import UNITS, Column, SizeColumn, find_column, find_size_column
from xcrater.table.reading import finite_numbers, read_table, usable_rows
from xcrater.table.split_coordinates import refuse_hemisphere_column, refuse_sexagesimal_columns
from xcrater.table.vector_files import as_table, is_vector
from xcrater.table.wording import Direction

Floats = NDArray[np.float64]
Faults = dict[str, NDArray[np.bool_]]

OWN_COLUMNS = ("_lat", "_lon", "_radius_m")
"""Columns that positions and radii are stored in, beside those of the table."""

_NEGATIVE: dict[Direction, Direction] = {"west": "east", "south": "north"}


class Names(NamedTuple):
    """Columns that the user names; None for those that their headers are to tell."""

    latitude: str | None = None
    longitude: str | None = None
    radius: str | None = None
    diameter: str | None = None


def read_craters(
    dataset: str | os.PathLike[str] | pd.DataFrame,
    body: Body,
    input_crs: Any,
    units: str,
    errors: Literal["raise", "drop"],
    names: Names,
) -> tuple[pd.DataFrame, pd.Index[Any]]:
    """Read a crater table and find its positions and radii.

    Parameters
    ----------
    dataset, body, input_crs, units, errors
        As `CraterDatabase` takes them, the body looked up.
    names : Names
        Columns that the user names.

    Returns
    -------
    data : pandas.DataFrame
        The table without the rows that cannot be used, with the columns `OWN_COLUMNS`.
    original : pandas.Index
        The table's own columns.

    Raises
    ------
    TableError
        The table, its columns or its rows cannot be used.
    BodyError
        `input_crs` cannot be used.
    """
    if units not in UNITS:
        raise TableError(f"received units={units!r}; expected 'm' or 'km', the unit of the radius or diameter column")
    if errors not in ("raise", "drop"):
        raise TableError(f"received errors={errors!r}; expected 'raise' or 'drop'")
    if names.radius is not None and names.diameter is not None:
        raise TableError(
            f"received rad_col={names.radius!r} and diam_col={names.diameter!r}; expected only one of them"
        )
    if is_vector(dataset):
        placed = names.latitude is not None or names.longitude is not None or input_crs != "default"
        dataset, input_crs, found = as_table(dataset, body, input_crs, placed)
        names = names._replace(latitude=names.latitude or found[0], longitude=names.longitude or found[1])
        if found[2] is not None and names.radius is None and names.diameter is None:
            names, units = names._replace(radius=found[2]), "m"
    table, mark = read_table(dataset)
    projected = is_projected(input_crs)
    if names.latitude is None and not projected:
        refuse_sexagesimal_columns(table, "latitude")
    if names.longitude is None and not projected:
        refuse_sexagesimal_columns(table, "longitude")
    lat_column = find_column(table, "latitude", names.latitude, projected=projected)
    lon_column = find_column(table, "longitude", names.longitude, projected=projected)
    size = find_size_column(table, names.radius, names.diameter, units)
    mark = mark or shared_mark(table[name] for name in (lat_column.name, lon_column.name, size.name))

    faults: Faults = {}
    if projected:
        _refuse_conventions(lat_column, lon_column)
        x, y = (finite_numbers(table, column.name, faults, mark) for column in (lon_column, lat_column))
    else:
        x, y = _angles(table, lon_column, lat_column, faults, mark, body, input_crs)
    lon, lat = to_geodetic(x, y, body, input_crs)
    faults["the position is outside the projection"] = np.isfinite(x) & np.isfinite(y) & np.isnan(lon)
    radius = _radii(table, size, units, faults, mark, body)

    good = usable_rows(table.index, faults, errors)
    original = table.columns[~table.columns.isin(OWN_COLUMNS)]
    data = table.assign(_lat=lat, _lon=lon, _radius_m=radius)
    return data if good.all() else data.loc[good], original


def _radii(table: pd.DataFrame, size: SizeColumn, units: str, faults: Faults, mark: Mark | None, body: Body) -> Floats:
    """Radius of each crater, metres."""
    radius = finite_numbers(table, size.name, faults, mark) * (size.metres / size.radii)
    half_circumference = math.pi * body.radius
    faults[f"{size.name!r} is 0 or less"] = radius <= 0
    faults[
        f"{size.name!r} in {size.unit} makes a radius of more than half the circumference of {body.name}, "
        f"{half_circumference / 1000:.6g} km"
    ] = radius > half_circumference
    return radius


def _angles(
    table: pd.DataFrame,
    lon_column: Column,
    lat_column: Column,
    faults: Faults,
    mark: Mark | None,
    body: Body,
    input_crs: Any,
) -> tuple[Floats, Floats]:
    """Longitude and latitude, degrees, in the convention of `input_crs`, which headers and cells may specify."""
    refuse_hemisphere_column(table, "longitude", lon_column.name)
    refuse_hemisphere_column(table, "latitude", lat_column.name)
    convention = convention_of(body, input_crs)
    lat_column, lon_column = in_stated_system(
        table, lat_column, lon_column, convention, oblate=len(ellipsoids(body)) > 1
    )
    lat_cells = _read_angles(table, lat_column, faults, mark)
    lon_cells = _read_angles(table, lon_column, faults, mark)
    if not lon_cells.hemisphere.any():
        _check_directions(lon_column, lat_column, convention, body)
    y = _degrees(lat_cells, lat_column, faults, west=False)
    x = _degrees(lon_cells, lon_column, faults, west=convention.west)
    swapped = " (are longitudes and latitudes interchanged?)" if np.all(np.abs(x) <= 90) else ""
    faults[f"{lat_column.name!r} is beyond ±90°{swapped}"] = np.abs(y) > 90
    if not convention.stated and lat_column.wording.kind == "planetographic":
        y = planetocentric_latitude(y, ellipsoids(body)[-1])
    return x, y


def _read_angles(table: pd.DataFrame, column: Column, faults: Faults, mark: Mark | None) -> Cells:
    """The cells of a coordinate, all or none of which name their hemisphere, but for 0 and 180; others are faults."""
    name, wording = column
    cells = read_cells(table[name], mark, angle=True)
    lettered = cells.hemisphere != 0
    size = np.abs(cells.numbers)
    bare = ~lettered & np.isfinite(size) & (size != 0) & (size != 180)
    if bare.sum() >= lettered.sum():  # signed numbers, among which letters are out of place
        numbers = np.where(lettered, np.nan, cells.numbers)
        cells = Cells(finite_numbers(table, name, faults, mark, numbers), 0 * cells.hemisphere, cells.letters)
        if wording.direction in _NEGATIVE and not wording.from_pole:
            _refuse_negative(column, cells.numbers)
        return cells
    axis = ["N", "S"] if wording.quantity == "latitude" else ["E", "W"]
    faults[f"{name!r} names a hemisphere of the other coordinate"] = lettered & ~np.isin(cells.letters, axis)
    faults[f"{name!r} has both a sign and a hemisphere"] = lettered & (cells.numbers < 0)
    faults[f"{name!r} names no hemisphere, but others do"] = bare
    return cells._replace(numbers=finite_numbers(table, name, faults, mark, cells.numbers))


def _degrees(cells: Cells, column: Column, faults: Faults, *, west: bool) -> Floats:
    """A coordinate in degrees: latitudes northward; longitudes eastward, or westward if `west`."""
    name, wording = column
    numbers = np.degrees(cells.numbers) if wording.unit == "rad" else cells.numbers
    if wording.from_pole:
        faults[f"{name!r} is no co-latitude from 0 to 180°"] = (numbers < 0) | (numbers > 180)
        numbers = 90.0 - numbers
    direction = wording.direction
    if direction is None and wording.quantity == "longitude":
        # Planetocentric longitudes count eastward by definition
        direction = "west" if west and wording.kind != "planetocentric" else "east"
    # Cells that name their hemisphere say more than the header
    positive = np.where(cells.hemisphere == 0, -1 if direction in _NEGATIVE else 1, cells.hemisphere)
    return np.asarray(numbers * (-positive if west else positive))


def _check_directions(lon: Column, lat: Column, convention: Convention, body: Body) -> None:
    """Refuse headers that contradict `input_crs`, or leave the direction of longitudes open."""
    direction = lon.wording.direction
    counted = "west" if convention.west else "east"
    if convention.stated:
        if direction is not None and direction != counted:
            raise TableError(
                f"column {lon.name!r} counts {direction}ward, but longitudes of input_crs count {counted}ward; in a "
                f"pandas table, type table['lon'] = -table.pop({lon.name!r}), or rename the column if its header is "
                "wrong"
            )
        if lat.wording.kind is not None and lat.wording.kind != convention.latitude and len(ellipsoids(body)) > 1:
            raise TableError(
                f"column {lat.name!r} says {lat.wording.kind}, but latitudes of input_crs are {convention.latitude}; "
                f"leave input_crs away, so that headers count, or rename the column if its header is wrong"
            )
        return
    oblate = len(ellipsoids(body)) > 1
    if oblate and lon.wording.kind == "planetographic" and lat.wording.kind is None:
        raise TableError(
            f"column {lon.name!r} says planetographic, and column {lat.name!r} does not say which latitude it is; "
            "rename it to 'planetographic_lat' or 'planetocentric_lat', or pass input_crs"
        )
    if not oblate or "planetographic" not in (lat.wording.kind, lon.wording.kind) or direction is not None:
        return
    theirs = convention_of(body, "planetographic")
    if theirs.west != convention.west and lon.wording.kind != "planetocentric":
        raise TableError(
            f"planetographic longitudes of {body.name} count westward, and column {lon.name!r} does not say whether "
            "its do; pass input_crs='planetographic' if they do, or rename the column to 'lon_east' if they count "
            "eastward"
        )


def _refuse_negative(column: Column, numbers: Floats) -> None:
    """Refuse negative numbers alone below a header of the negative direction: one of both may be meant twice."""
    if (numbers > 0).any() or not (numbers < 0).any():
        return
    direction = column.wording.direction
    assert direction is not None
    keyword, new = ("lon_col", "lon_east") if direction == "west" else ("lat_col", "lat_north")
    raise TableError(
        f"column {column.name!r} counts {direction}ward, yet all of its numbers are negative; in a pandas table, type "
        f"table[{new!r}] = table.pop({column.name!r}) if negative numbers lie in the {direction}, or "
        f"table[{new!r}] = -table.pop({column.name!r}) if they lie in the {_NEGATIVE[direction]}, and pass "
        f"{keyword}={new!r}"
    )


def _refuse_conventions(*columns: Column) -> None:
    """Refuse conventions of longitude and latitude in headers of a projected CRS' x and y."""
    for column in columns:
        if column.wording.direction in _NEGATIVE or column.wording.from_pole or column.wording.kind is not None:
            raise TableError(
                f"column {column.name!r} is one of longitudes and latitudes, but input_crs is projected; name the "
                "columns of x and y: lon_col='...', lat_col='...', or pass a geographic input_crs"
            )
