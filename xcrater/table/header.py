"""The columns of a crater table, found by the words in its header."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from difflib import get_close_matches
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from xcrater.errors import TableError
from xcrater.table.reading import values
from xcrater.table.wording import (
    ELLIPSE,
    METRES,
    NEVER,
    NOUNS,
    UNIT_NAMES,
    UNUSABLE,
    Quantity,
    Wording,
    read_wording,
    unit_of,
    word_set,
    words_of,
)

UNITS = ("m", "km")
"""Units of length that the user may declare for a table."""

_KEYWORDS: dict[str, str] = {
    "latitude": "lat_col",
    "longitude": "lon_col",
    "radius": "rad_col",
    "diameter": "diam_col",
}
_FULL_AXIS = word_set("major minor")
_HALF_AXIS = word_set("semimajor semiminor semi radius radii rad")
_TILT = word_set("angle orientation")
_SAME = 1e-5  # degrees: columns that agree to this are the same coordinate written twice


class Column(NamedTuple):
    """A column that holds a quantity, and what its header says about the numbers."""

    name: Hashable
    wording: Wording


class SizeColumn(NamedTuple):
    """The column with the craters' sizes."""

    name: Hashable
    radii: Literal[1, 2]
    """Ratio of its numbers to the radius: 1 for a radius, 2 for a diameter."""
    unit: str
    """Unit of its numbers, a key of `METRES`."""

    @property
    def metres(self) -> float:
        """Metres per unit of its numbers."""
        return METRES[self.unit]


class EllipseColumns(NamedTuple):
    """The columns of the ellipses fitted to crater rims."""

    major: Hashable
    minor: Hashable
    angle: Hashable
    """Orientation of the major axis, degrees."""
    major_scale: float
    """Metres of the semi-major axis per unit of its column, which is half as much if the column holds full axes."""
    minor_scale: float
    """The same for the semi-minor axis."""


def find_column(
    table: pd.DataFrame, quantity: Literal["latitude", "longitude"], name: str | None, *, projected: bool = False
) -> Column:
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
    Column
        Label of the column, and what its header says.

    Raises
    ------
    TableError
        There is no such column, several are equally good and differ, or it is in a unit that is not converted.
    """
    keyword = _KEYWORDS[quantity]
    if name is not None:
        wording = read_wording(_named_column(table, keyword, name), projected=projected, as_quantity=quantity)
        assert wording is not None
        return _usable(Column(name, wording))
    candidates = _best_columns(table, quantity, projected=projected)
    if not candidates:
        raise TableError(
            f"found no {quantity} column among {_listed(table.columns)}; "
            f"name it: {keyword}='...'{_separator_hint(table)}"
        )
    if len(candidates) > 1 and not _same_coordinate(table, candidates):
        raise TableError(_ambiguous(quantity, candidates, keyword))
    _refuse_crossed_letters(table, candidates)
    # If the same longitudes are given in both directions, prefer those that count eastward, as results do
    candidates.sort(key=lambda candidate: candidate.wording.direction in ("west", "south"))
    return _usable(candidates[0])


def find_size_column(table: pd.DataFrame, rad_col: str | None, diam_col: str | None, units: str) -> SizeColumn:
    """Find the column of the radius or of the diameter.

    Parameters
    ----------
    table : pandas.DataFrame
        The crater table.
    rad_col, diam_col : str or None
        Name of the column, as the user gave it; both None to go by the header.
    units : {"m", "km"}
        Unit that the user declares for the column. It decides between columns that differ only in their unit.

    Returns
    -------
    SizeColumn
        The column, whether it holds radii or diameters, and its unit. If a table has both and they agree, it is the
        one whose header names `units`, or else the radius.

    Raises
    ------
    TableError
        There is no such column, several are equally good, a radius and a diameter column disagree, or the header names
        a unit other than `units`.
    """
    if rad_col is not None:
        return _size(_named_column(table, "rad_col", rad_col), "radius", units)
    if diam_col is not None:
        return _size(_named_column(table, "diam_col", diam_col), "diameter", units)
    radii, diameters = (_best_size_columns(table, quantity, units) for quantity in ("radius", "diameter"))
    if not radii and not diameters:
        raise TableError(
            f"found no radius or diameter column among {_listed(table.columns)}; "
            f"name it: rad_col='...' or diam_col='...'{_separator_hint(table)}"
        )
    if any(found.wording.rank < UNUSABLE for found in (*radii, *diameters)):
        radii, diameters = (
            [found for found in candidates if found.wording.rank < UNUSABLE] for candidates in (radii, diameters)
        )
    for quantity, candidates in (("radius", radii), ("diameter", diameters)):
        if len(candidates) > 1:
            keywords = "rad_col or diam_col" if radii and diameters else _KEYWORDS[quantity]
            raise TableError(_ambiguous(quantity, candidates, keywords))
    if radii and diameters and not _agree(table, radii[0], diameters[0], units):
        raise TableError(
            f"found both a radius column {radii[0].name!r} and a diameter column {diameters[0].name!r}, and one is not "
            f"twice the other; say which: rad_col={radii[0].name!r} or diam_col={diameters[0].name!r}"
        )
    best = min((*radii, *diameters), key=lambda found: _distance(found.wording.unit, units))
    return _size(best.name, best.wording.quantity, units)


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
        Unit that the user declares for the table's lengths. It decides between columns that differ only in their unit.

    Returns
    -------
    EllipseColumns
        The columns. Axes are full axes, like diameters, unless the header says "semi" or "radius".

    Raises
    ------
    TableError
        There is no such column, several are equally good, the header names another unit, or it does not say whether a
        column that the user named holds full or half axes.
    """
    major = _ellipse_column(table, "major axis", word_set("major semimajor"), "major_col", major_col, units)
    minor = _ellipse_column(table, "minor axis", word_set("minor semiminor"), "minor_col", minor_col, units)
    angle = _ellipse_column(table, "angle of the major axis", _TILT, "angle_col", angle_col, None)
    if not {"rad", "radian", "radians"}.isdisjoint(words_of(angle)):
        raise TableError(f"column {angle!r} says radians; expected degrees. Convert it, and rename it to say so")
    return EllipseColumns(
        major, minor, angle, *(_axis_scale(column) * METRES[_length_unit(column, units)] for column in (major, minor))
    )


def _ellipse_column(
    table: pd.DataFrame, quantity: str, nouns: frozenset[str], keyword: str, name: str | None, units: str | None
) -> Hashable:
    if name is not None:
        return _named_column(table, keyword, name)
    never = NEVER - _TILT - {"axis"} if nouns == _TILT else NEVER - {"axis"}
    words = {column: set(words_of(column)) for column in table.columns if not str(column).startswith("_")}
    candidates = [column for column, has in words.items() if has & nouns and never.isdisjoint(has)]
    for better in (
        [column for column in candidates if words[column] & ELLIPSE],
        [column for column in candidates if units is None or unit_of(column) is None or unit_of(column) in METRES],
        [column for column in candidates if unit_of(column) == units],
    ):
        candidates = better if len(candidates) > 1 and better else candidates
    if not candidates:
        raise TableError(
            f"found no column of the ellipses' {quantity} among {_listed(table.columns)}; name it: {keyword}='...'"
        )
    if len(candidates) > 1:
        raise TableError(_several(quantity, candidates, keyword))
    return candidates[0]


def _axis_scale(column: Hashable) -> float:
    """Factor from a column of axes to semi-axes: 1, or 0.5 if the column holds full axes."""
    words = set(words_of(column))
    if words & _HALF_AXIS:
        return 1.0
    if words & _FULL_AXIS or any(NOUNS.get(word) == "diameter" for word in words):
        return 0.5
    raise TableError(
        f"column {column!r} does not say whether it holds full or half axes; rename it to say so, "
        f"such as {f'major_axis_{column}'!r} or {f'semimajor_{column}'!r}"
    )


def _best_columns(table: pd.DataFrame, quantity: Quantity, *, projected: bool = False) -> list[Column]:
    """The columns whose headers name a quantity at the best rank; several if they are equally good."""
    found = [
        Column(column, wording)
        for column in table.columns
        if (wording := read_wording(column, projected=projected)) is not None and wording.quantity == quantity
    ]
    best = min((candidate.wording.rank for candidate in found), default=0)
    return [candidate for candidate in found if candidate.wording.rank == best]


def _best_size_columns(table: pd.DataFrame, quantity: Quantity, units: str) -> list[Column]:
    candidates = _best_columns(table, quantity)
    # A table may give the same quantity in several units
    matching = [candidate for candidate in candidates if candidate.wording.unit == units]
    return matching if len(matching) == 1 else candidates


def _named_column(table: pd.DataFrame, keyword: str, name: str) -> str:
    """Check that exactly one column has a name, and return the name."""
    found = int((table.columns == name).sum())
    if found == 1:
        return name
    if found:
        raise TableError(f"received {keyword}={name!r}; {found} columns have that name. Rename all but one")
    close = get_close_matches(str(name), [str(column) for column in table.columns])
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"expected one of {_listed(table.columns)}"
    raise TableError(f"received {keyword}={name!r}, which is not a column; {hint}")


def _usable(found: Column) -> Column:
    """Return the column of a coordinate, after checking that its unit is an angle."""
    name, wording = found
    if wording.rank < UNUSABLE:
        return Column(name, wording)
    unit, keyword = str(wording.unit), _KEYWORDS[wording.quantity]
    advice = (
        "pass the input_crs that they are in, such as input_crs='IAU_2015:30110'"
        if unit in METRES
        else f"convert it into a column of another name, and pass {keyword}='...'"
    )
    raise TableError(
        f"column {name!r} says {UNIT_NAMES.get(unit, unit)}; expected a {wording.quantity} in degrees or radians. If "
        f"it is right, {advice}; otherwise rename the column"
    )


def _size(column: Hashable, quantity: Quantity, units: str) -> SizeColumn:
    return SizeColumn(column, 2 if quantity == "diameter" else 1, _length_unit(column, units, _KEYWORDS[quantity]))


def _distance(unit: str | None, units: str) -> int:
    """Rank of a header's unit: 0 if it is the requested one, 1 if the header names none, more otherwise."""
    return 0 if unit == units else 1 if unit is None else 2


def _length_unit(column: Hashable, units: str, keyword: str = "major_col or minor_col") -> str:
    """The unit of a column of lengths; its header may name the unit, but must not contradict `units`.

    Units that `units` cannot express, such as feet, are converted. The default ``units="m"`` does not contradict them;
    an explicit "km" does.
    """
    unit = unit_of(column)
    if unit is None or unit == units:
        return units
    if unit in UNITS:
        raise TableError(
            f"column {column!r} says {unit}, but units={units!r}; pass units={unit!r}, or rename the column "
            "if its header is wrong"
        )
    if unit not in METRES:
        raise TableError(
            f"column {column!r} says {UNIT_NAMES.get(unit, unit)}, which are not converted; expected a length. Convert "
            f"it into a column of another name, such as 'size_{units}', and pass {keyword}='size_{units}'"
        )
    if units != "m":
        raise TableError(
            f"column {column!r} says {unit}, but units={units!r}; leave units away, and {unit} are converted, or "
            "rename the column if its header is wrong"
        )
    return unit


def _agree(table: pd.DataFrame, radius: Column, diameter: Column, units: str) -> bool:
    """Whether the diameters are twice the radii, to a thousandth."""
    r, d = (values(table, found.name) * METRES.get(found.wording.unit or units, np.nan) for found in (radius, diameter))
    both = np.isfinite(r) & np.isfinite(d)
    return bool(np.all(np.abs(d - 2 * r)[both] <= 1e-3 * np.abs(2 * r)[both]))


def _same_coordinate(table: pd.DataFrame, candidates: list[Column]) -> bool:
    """Whether equally good columns hold the same coordinate, perhaps with other ranges or directions of longitude."""
    if any(c.wording.rank == UNUSABLE or c.wording.from_pole or c.wording.unit == "rad" for c in candidates):
        return False
    if len({candidate.name for candidate in candidates}) < len(candidates):
        return False  # several columns share a name
    signed = [values(table, c.name) * (-1.0 if c.wording.direction in ("west", "south") else 1.0) for c in candidates]
    if any(np.isnan(numbers[table[c.name].notna()]).any() for c, numbers in zip(candidates, signed, strict=True)):
        return False  # text may contain more than its header says, such as a hemisphere
    turn = 360.0 if candidates[0].wording.quantity == "longitude" else np.inf
    for other in signed[1:]:
        apart = np.abs(other - signed[0])
        apart = np.minimum(apart % turn, turn - apart % turn) if np.isfinite(turn) else apart
        if not np.all((apart < _SAME) | (np.isnan(other) & np.isnan(signed[0]))):
            return False
    return len(table) > 0


def _refuse_crossed_letters(table: pd.DataFrame, candidates: list[Column]) -> None:
    """Refuse a letter as a direction if another column has a letter of the other axis.

    "lat_s" and "lat_e" are start and end, not south and east.
    """
    quantity = candidates[0].wording.quantity
    ours, others = ({"n", "s"}, {"e", "w"}) if quantity == "latitude" else ({"e", "w"}, {"n", "s"})
    lettered = [found.name for found in candidates if ours.intersection(words_of(found.name))]
    crossed = [
        column
        for column in table.columns
        if others.intersection(words := words_of(column)) and any(NOUNS.get(word) == quantity for word in words)
    ]
    if lettered and crossed:
        raise TableError(_several(quantity, [*lettered, *crossed], _KEYWORDS[quantity]))


def _ambiguous(quantity: str, candidates: Iterable[Column], keyword: str) -> str:
    return _several(quantity, [candidate.name for candidate in candidates], keyword)


def _several(quantity: str, names: Iterable[Hashable], keyword: str) -> str:
    return f"found several {quantity} columns, {_listed(names)}; say which with {keyword}='...'"


def _separator_hint(table: pd.DataFrame) -> str:
    if len(table.columns) > 1:
        return ""
    return ". There is only one column: are its values separated otherwise? Read it with pandas.read_csv(..., sep=...)"


def _listed(labels: Iterable[Hashable], limit: int = 20) -> str:
    names = [repr(label) for label in labels]
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
