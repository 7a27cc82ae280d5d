"""The columns of a crater table, found by the words in its header."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from difflib import get_close_matches
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from xcrater.errors import TableError
from xcrater.table.reading import values

METRES = {"m": 1.0, "km": 1000.0}
"""Metres in each unit of length that a table may use."""

_KEYWORDS = {"latitude": "lat_col", "longitude": "lon_col", "radius": "rad_col", "diameter": "diam_col"}
_NOUNS = {
    "latitude": "latitude latitudes lat lats",
    "longitude": "longitude longitudes lon lons long lng",
    "radius": "radius radii rad",
    "diameter": "diameter diameters diam diams dia",
}
_QUANTITY = {word: quantity for quantity, words in _NOUNS.items() for word in words.split()}
_AXES = {"x": "longitude", "easting": "longitude", "y": "latitude", "northing": "latitude"}
_INITIALS = {"r": "radius", "d": "diameter"}


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LENGTHS = dict.fromkeys(_set("m meter meters metre metres"), "m")
_LENGTHS |= dict.fromkeys(_set("km kms kilometer kilometers kilometre kilometres"), "km")
_ANGLES = _set("deg degs degree degrees")
_NEUTRAL = _ANGLES | _LENGTHS.keys() | _set("e east n north")
_CIRCLE = _set("circ circle circular c img image im center centre")
_ELLIPSE = _set("elli ell ellipse elliptical el major minor semimajor semiminor")
_FULL_AXIS = _set("major minor")
_HALF_AXIS = _set("semimajor semiminor semi radius radii rad")
_TILT = _set("angle orientation")
# A column with any of these words describes the quantity (its error, its rank, a bound) and does not hold it.
_NEVER = _set(
    """
    sd std stdev stddev dev deviation err error errors sigma unc uncert uncertainty var variance rms rmse ci precision
    eccen eccentricity ecc ellip ellipticity angle azimuth orientation tilt axis aspect ratio frac fraction
    depth height elevation area perimeter volume slope count number num rank order bin flag quality class type state
    confidence score id name source method reference note notes comment
    min max minimum maximum range lower upper low high bound bounds limit
    northmost southmost eastmost westmost northernmost southernmost easternmost westernmost
    log ln delta diff difference offset radian radians px pix pixel pixels mile miles mi ft feet
    """
)
# A word ends where its letters end, and where the case changes: "DiamKm", "DIAMkm" and "LonE" are two words each.
_WORD = re.compile(r"[A-Z]{2,}(?=(?:km|m|deg)(?![a-z]))|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class SizeColumn(NamedTuple):
    """The column that says how large the craters are."""

    name: Hashable
    radii: Literal[1, 2]
    """How many radii its numbers are: 1 for a radius, 2 for a diameter."""


class EllipseColumns(NamedTuple):
    """The columns of ellipses that are fitted to crater rims."""

    major: Hashable
    minor: Hashable
    angle: Hashable
    """Orientation of the major axis, degrees."""
    major_scale: float
    """Metres of the semi-major axis for each unit of its column: half as many where the column holds full axes."""
    minor_scale: float
    """The same of the semi-minor axis."""


def find_column(table: pd.DataFrame, quantity: str, name: str | None, *, projected: bool = False) -> Hashable:
    """Find the column of a coordinate.

    Parameters
    ----------
    table : pandas.DataFrame
        The crater table.
    quantity : {"latitude", "longitude"}
        What the column holds.
    name : str or None
        Name of the column, as the user gave it; None to go by the header.
    projected : bool, default False
        Whether the coordinates are x and y of a projected CRS, so that columns named ``x`` or ``northing`` count.

    Returns
    -------
    hashable
        Label of the column.

    Raises
    ------
    TableError
        There is no such column, or several are equally good.
    """
    keyword = _KEYWORDS[quantity]
    if name is not None:
        return _named_column(table, keyword, name)
    candidates = _best_columns(table, quantity, projected=projected)
    if not candidates:
        raise TableError(
            f"found no {quantity} column among {_listed(table.columns)}; "
            f"name it: {keyword}='...'{_separator_hint(table)}"
        )
    if len(candidates) > 1:
        raise TableError(_ambiguous(quantity, candidates, keyword))
    return candidates[0]


def find_size_column(table: pd.DataFrame, rad_col: str | None, diam_col: str | None, units: str) -> SizeColumn:
    """Find the column of the radius or of the diameter.

    Parameters
    ----------
    table : pandas.DataFrame
        The crater table.
    rad_col, diam_col : str or None
        Name of the column, as the user gave it; both None to go by the header.
    units : {"m", "km"}
        Unit that the user says the column is in. Among columns that differ in their unit alone, it decides.

    Returns
    -------
    SizeColumn
        The column, and whether it holds radii or diameters.

    Raises
    ------
    TableError
        There is no such column, several are equally good, a radius and a diameter column disagree, or the header names
        another unit than `units`.
    """
    if rad_col is not None:
        return SizeColumn(_in_units(_named_column(table, "rad_col", rad_col), units), 1)
    if diam_col is not None:
        return SizeColumn(_in_units(_named_column(table, "diam_col", diam_col), units), 2)
    radii, diameters = (_best_size_columns(table, quantity, units) for quantity in ("radius", "diameter"))
    if not radii and not diameters:
        raise TableError(
            f"found no radius or diameter column among {_listed(table.columns)}; "
            f"name it: rad_col='...' or diam_col='...'{_separator_hint(table)}"
        )
    for quantity, candidates in (("radius", radii), ("diameter", diameters)):
        if len(candidates) > 1:
            keywords = "rad_col or diam_col" if radii and diameters else _KEYWORDS[quantity]
            raise TableError(_ambiguous(quantity, candidates, keywords))
    if radii and diameters and not _agree(table, radii[0], diameters[0], units):
        raise TableError(
            f"found both a radius column {radii[0]!r} and a diameter column {diameters[0]!r}, and one is not twice the "
            f"other; say which: rad_col={radii[0]!r} or diam_col={diameters[0]!r}"
        )
    if radii:
        return SizeColumn(_in_units(radii[0], units), 1)
    return SizeColumn(_in_units(diameters[0], units), 2)


def find_ellipse_columns(
    table: pd.DataFrame, major_col: str | None, minor_col: str | None, angle_col: str | None, units: str
) -> EllipseColumns:
    """Find the columns of ellipses' axes and orientation.

    Parameters
    ----------
    table : pandas.DataFrame
        The crater table.
    major_col, minor_col, angle_col : str or None
        Names of the columns, as the user gave them; None to go by the header.
    units : {"m", "km"}
        Unit that the user says the table's lengths are in. Among columns that differ in their unit alone, it decides.

    Returns
    -------
    EllipseColumns
        The columns. Axes are full ones, as diameters are, unless the header says "semi" or "radius".

    Raises
    ------
    TableError
        There is no such column, several are equally good, the header names another unit, or it does not say whether a
        column that the user named holds full or half axes.
    """
    major = _ellipse_column(table, "major axis", _set("major semimajor"), "major_col", major_col, units)
    minor = _ellipse_column(table, "minor axis", _set("minor semiminor"), "minor_col", minor_col, units)
    angle = _ellipse_column(table, "angle of the major axis", _TILT, "angle_col", angle_col, None)
    if not {"rad", "radian", "radians"}.isdisjoint(_words(angle)):
        raise TableError(f"column {angle!r} says radians; expected degrees. Convert it, and rename it to say so")
    return EllipseColumns(major, minor, angle, *(_axis_scale(column) * METRES[units] for column in (major, minor)))


def _ellipse_column(
    table: pd.DataFrame, quantity: str, nouns: frozenset[str], keyword: str, name: str | None, units: str | None
) -> Hashable:
    if name is not None:
        column: Hashable = _named_column(table, keyword, name)
    else:
        never = _NEVER - _TILT - {"axis"} if nouns == _TILT else _NEVER - {"axis"}
        words = {column: set(_words(column)) for column in table.columns if not str(column).startswith("_")}
        candidates = [column for column, has in words.items() if has & nouns and never.isdisjoint(has)]
        for better in (
            [column for column in candidates if words[column] & _ELLIPSE],
            [column for column in candidates if _header_unit(column) == units],
        ):
            candidates = better if len(candidates) > 1 and better else candidates
        if not candidates:
            raise TableError(
                f"found no column of the ellipses' {quantity} among {_listed(table.columns)}; name it: {keyword}='...'"
            )
        if len(candidates) > 1:
            raise TableError(_ambiguous(quantity, candidates, keyword))
        column = candidates[0]
    return column if units is None else _in_units(column, units)


def _axis_scale(column: Hashable) -> float:
    """Semi-axes to a unit of a column of axes: 1, or a half where it holds full axes."""
    words = set(_words(column))
    if words & _HALF_AXIS:
        return 1.0
    if words & _FULL_AXIS or any(_QUANTITY.get(word) == "diameter" for word in words):
        return 0.5
    raise TableError(
        f"column {column!r} does not say whether it holds full or half axes; rename it to say so, "
        f"such as {f'major_axis_{column}'!r} or {f'semimajor_{column}'!r}"
    )


def _words(column: Hashable) -> list[str]:
    return [word.lower() for word in _WORD.findall(str(column))]


def _meaning(column: Hashable, *, projected: bool) -> tuple[str, int] | None:
    """The quantity that a header names and the rank of its wording, 0 the best; None if it names no quantity."""
    if str(column).startswith("_"):
        return None
    words = _words(column)
    without_units = [word for word in words if word not in _LENGTHS]
    if len(without_units) == 1 and without_units[0] in _INITIALS:
        return _INITIALS[without_units[0]], 2
    if projected and len(without_units) == 1 and without_units[0] in _AXES:
        return _AXES[without_units[0]], 0
    nouns = [word for word in words if word in _QUANTITY]
    if len(nouns) != 1 or not _NEVER.isdisjoint(words):
        return None
    quantity = _QUANTITY[nouns[0]]
    if quantity in ("radius", "diameter") and not _ANGLES.isdisjoint(words):
        return None
    qualifiers = {*words} - {*nouns} - _NEUTRAL
    if not qualifiers:
        return quantity, 0
    if qualifiers <= _CIRCLE:
        return quantity, 1
    return quantity, 2 if qualifiers.isdisjoint(_ELLIPSE) else 3


def _best_columns(table: pd.DataFrame, quantity: str, *, projected: bool = False) -> list[Hashable]:
    """The columns whose headers name a quantity with the best rank; several if they are equally good."""
    ranks = [
        (meaning[1], column)
        for column in table.columns
        if (meaning := _meaning(column, projected=projected)) is not None and meaning[0] == quantity
    ]
    best = min((rank for rank, _ in ranks), default=0)
    return [column for rank, column in ranks if rank == best]


def _best_size_columns(table: pd.DataFrame, quantity: str, units: str) -> list[Hashable]:
    candidates = _best_columns(table, quantity)
    # A table may give the same quantity in several units
    matching = [column for column in candidates if _header_unit(column) == units]
    return matching if len(matching) == 1 else candidates


def _named_column(table: pd.DataFrame, keyword: str, name: str) -> str:
    """The name itself, where exactly one column has it."""
    found = int((table.columns == name).sum())
    if found == 1:
        return name
    if found:
        raise TableError(f"received {keyword}={name!r}; {found} columns have that name. Rename all but one")
    close = get_close_matches(str(name), [str(column) for column in table.columns])
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"expected one of {_listed(table.columns)}"
    raise TableError(f"received {keyword}={name!r}, which is not a column; {hint}")


def _header_unit(column: Hashable) -> str | None:
    """The unit of length that a header names, "m" or "km"; None if it names none, or both."""
    units = {_LENGTHS[word] for word in _words(column) if word in _LENGTHS}
    return units.pop() if len(units) == 1 else None


def _in_units(column: Hashable, units: str) -> Hashable:
    """The column itself, unless its header contradicts `units`."""
    header = _header_unit(column)
    if header is not None and header != units:
        raise TableError(
            f"column {column!r} says {header}, but units={units!r}; pass units={header!r}, or rename the column "
            "if its header is wrong"
        )
    return column


def _agree(table: pd.DataFrame, rad_col: Hashable, diam_col: Hashable, units: str) -> bool:
    """Whether the diameters are twice the radii, to a thousandth."""
    radius, diameter = (values(table, column) * METRES[_header_unit(column) or units] for column in (rad_col, diam_col))
    both = np.isfinite(radius) & np.isfinite(diameter)
    return bool(np.all(np.abs(diameter - 2 * radius)[both] <= 1e-3 * np.abs(2 * radius)[both]))


def _ambiguous(quantity: str, candidates: Iterable[Hashable], keyword: str) -> str:
    return f"found several {quantity} columns, {_listed(candidates)}; say which with {keyword}='...'"


def _separator_hint(table: pd.DataFrame) -> str:
    if len(table.columns) > 1:
        return ""
    return ". There is only one column: are its values separated otherwise? Read it with pandas.read_csv(..., sep=...)"


def _listed(labels: Iterable[Hashable], limit: int = 20) -> str:
    names = [repr(label) for label in labels]
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
