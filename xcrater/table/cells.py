"""Numbers in cells of text, as people write them: with hemispheres, decimal commas and thousands separators.

Only unambiguous text becomes a number. Text that can be read in two ways, and angles with degree signs or in degrees,
minutes and seconds, raise an error that names the column and the line that settles the matter.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater.errors import TableError

Floats = NDArray[np.float64]
Mark: TypeAlias = Literal[".", ","]
"""The decimal mark of numbers in text."""

_SIGNS = {"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{NO-BREAK SPACE}": " "}
_GROUPS = re.compile(
    r"(?<=\d)[ '\N{RIGHT SINGLE QUOTATION MARK}\N{THIN SPACE}\N{NARROW NO-BREAK SPACE}](?=\d{3}(?!\d))"
)
_LETTERS = {"N": 1, "NORTH": 1, "E": 1, "EAST": 1, "S": -1, "SOUTH": -1, "W": -1, "WEST": -1}
_WORDS = "|".join(sorted(_LETTERS, key=len, reverse=True))
_HEMISPHERE = re.compile(
    rf"(?P<before>{_WORDS})?\.?\s*"
    r"(?P<number>[-+]?[\d.,](?:[^a-z]|(?<=\d)e(?=[-+]?\d)|deg(?:rees?)?)*?)"
    rf"\s*(?P<after>{_WORDS})?\.?",
    re.IGNORECASE,
)
_DEGREES = re.compile(r"[°º˚]|deg", re.IGNORECASE)
_MINUTES = re.compile(
    r"\d\s*(?:[°º˚:'′’]|deg(?:rees?)?)\s*\d|\d\s*['′’\"″]|^\D{0,2}\d{1,3}\s+\d{1,2}(?:[\s.]|\D?$)", re.IGNORECASE
)
_MARKS_OF_DEGREES = re.compile(r"[\d.,\s°º˚'′’\"″:]|deg(?:rees?)?", re.IGNORECASE)
# Numbers in which the position of the comma or point shows what it separates
_COMMA_DECIMAL = re.compile(r"^[-+]?(?:\d*,\d{1,2}|\d*,\d{4,}|0*,\d+|\d{4,},\d+|\d{1,3}(?:\.\d{3})+,\d*|0\d*,\d+)$")
_COMMA_GROUPS = re.compile(r"^[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?$")
_DOT_GROUPS = re.compile(r"^[-+]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d*)?$")


class Cells(NamedTuple):
    """The numbers in the cells of a column, and the hemispheres that they name."""

    numbers: Floats
    """The number without the letter of a hemisphere; NaN for anything that is not a number."""
    hemisphere: NDArray[np.int8]
    """1 if a cell says north or east, -1 if it says south or west, 0 if it says neither."""
    letters: NDArray[np.str_]
    """The first letter of the hemisphere in upper case, or an empty string."""


def read_cells(column: pd.Series[Any], mark: Mark | None = None, *, angle: bool = False) -> Cells:
    """Read the numbers of a column.

    Parameters
    ----------
    column : pandas.Series
        Numbers, or text.
    mark : {".", ","}, optional
        Decimal mark of the table's other text, for ambiguous cells such as "1,234".
    angle : bool, default False
        Whether the column holds angles, which may name their hemisphere and are too small for thousands separators.

    Returns
    -------
    Cells
        A number for each cell.

    Raises
    ------
    TableError
        The numbers can be read in two ways, or angles are written with degree signs or in degrees, minutes and seconds.
    """
    numbers = _floats(column)
    at = _text_rows(column)
    hemisphere, letters = np.zeros(len(column), np.int8), np.full(len(column), "", "U1")
    if mark != "," and not np.isnan(numbers[at]).any():
        return Cells(numbers, hemisphere, letters)
    cells = column.to_numpy(dtype=object)
    texts = [_plain(cells[i]) for i in at]
    if angle:
        _refuse_sexagesimal(column.name, texts)
        for k, text in enumerate(texts):
            texts[k], letter = _split_hemisphere(text)
            if letter:
                hemisphere[at[k]], letters[at[k]] = _LETTERS[letter], letter[0]
    mark = decimal_mark(column.name, texts) or mark or ("," if angle else None)
    if mark is None:
        _refuse_ambiguous(column.name, texts)
    numbers[at] = [_number(text, mark or ".") for text in texts]
    return Cells(numbers, hemisphere, letters)


def shared_mark(columns: Iterable[pd.Series[Any]]) -> Mark | None:
    """The decimal mark that the text in some columns of a table proves; None if none or both are proven."""
    found = set()
    for column in columns:
        at = _text_rows(column)
        if at.size:
            cells = column.to_numpy(dtype=object)
            found.add(decimal_mark(column.name, [_split_hemisphere(_plain(cells[i]))[0] for i in at]))
    found.discard(None)
    return found.pop() if len(found) == 1 else None


def decimal_mark(name: Hashable, texts: Iterable[str]) -> Mark | None:
    """The decimal mark that the numbers of a column prove; None if they leave it open.

    Parameters
    ----------
    name : hashable
        The column, for messages.
    texts : iterable of str
        The numbers of the column.

    Raises
    ------
    TableError
        Some numbers prove a decimal comma, and others a decimal point.
    """
    proven: dict[Mark, str] = {}
    for text in texts:
        mirrored = text.translate(str.maketrans(".,", ",."))
        if _COMMA_DECIMAL.match(text) or text.count(".") > 1:
            proven.setdefault(",", text)
        elif _COMMA_DECIMAL.match(mirrored) or text.count(",") > 1:
            proven.setdefault(".", text)
    if len(proven) == 2:
        raise TableError(
            f"column {name!r} mixes decimal commas and points, such as {proven[',']!r} and {proven['.']!r}; "
            "expected one of them"
        )
    return next(iter(proven), None)


def decimal_degrees(column: pd.Series[Any]) -> pd.Series[Any]:
    """Turn angles in degrees, minutes and seconds, or with degree signs, into decimal degrees.

    Parameters
    ----------
    column : pandas.Series
        Angles such as ``12°30'36"S``, ``-12:30:36``, ``12 30 36`` or ``12.51°``: degrees first, never hours.

    Returns
    -------
    pandas.Series
        The column in decimal degrees. The letter of a hemisphere is kept, as in ``12.51 S``, which `CraterDatabase`
        reads; without one, a sign counts for the whole angle.

    Raises
    ------
    TableError
        A cell is not an angle of this kind.

    Examples
    --------
    >>> import pandas as pd
    >>> decimal_degrees(pd.Series(["-12:30:36", "0°30'W", "7.25°"])).tolist()
    [-12.51, '0.5 W', 7.25]
    """
    return column.map(lambda cell: _decimal(column.name, cell), na_action="ignore")


def _decimal(name: Hashable, cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    text, letter = _split_hemisphere(_plain(cell))
    sign, text = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    parts = [part.replace(",", ".") for part in re.findall(r"\d+(?:[.,]\d+)?|[.,]\d+", text)]
    whole = all(float(part).is_integer() for part in parts[:-1]) and all(float(part) < 60 for part in parts[1:])
    if not 1 <= len(parts) <= 3 or not whole or _MARKS_OF_DEGREES.sub("", text):
        raise TableError(f"column {name!r} holds {cell!r}; expected degrees, or degrees, minutes and seconds")
    angle = sign * sum(float(part) / 60.0**k for k, part in enumerate(parts))
    return f"{angle!r} {letter[0]}" if letter else angle


def _floats(column: pd.Series[Any]) -> Floats:
    if not (pd.api.types.is_numeric_dtype(column) or column.dtype == object or pd.api.types.is_string_dtype(column)):
        if not isinstance(column.dtype, pd.CategoricalDtype):
            return np.full(len(column), np.nan)  # dates and other columns that hold no numbers
        column = column.astype(object)
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_complex_dtype(column):
        return np.full(len(column), np.nan)
    numbers = pd.to_numeric(column, errors="coerce")
    return np.array(numbers.to_numpy(dtype=float, na_value=np.nan))


def _text_rows(column: pd.Series[Any]) -> NDArray[np.intp]:
    """Positions of the cells that hold text other than blanks."""
    if pd.api.types.is_numeric_dtype(column):
        return np.zeros(0, np.intp)
    return np.flatnonzero([isinstance(cell, str) and bool(cell.strip()) for cell in column.to_numpy(dtype=object)])


def _plain(text: str) -> str:
    for shown, typed in _SIGNS.items():
        text = text.replace(shown, typed)
    return _GROUPS.sub("", text.strip())


def _split_hemisphere(text: str) -> tuple[str, str]:
    """Split a text from its hemisphere; the latter in upper case, empty if the text names none."""
    found = _HEMISPHERE.fullmatch(text)
    if found is None or bool(found["before"]) == bool(found["after"]):
        return text, ""
    return found["number"].strip(), (found["before"] or found["after"]).upper()


def _number(text: str, mark: Mark) -> float:
    if mark == "," and (_DOT_GROUPS.match(text) or "," in text):
        if "." in text and not _DOT_GROUPS.match(text):
            return np.nan
        text = text.replace(".", "").replace(",", ".")
    elif mark == "." and "," in text:
        if not _COMMA_GROUPS.match(text):
            return np.nan
        text = text.replace(",", "")
    try:
        return float(text) if not text[-1:].isalpha() or text.lower().lstrip("+-") in ("inf", "infinity") else np.nan
    except ValueError:
        return np.nan


def _refuse_sexagesimal(name: Hashable, texts: list[str]) -> None:
    for text in texts:
        minutes = bool(_MINUTES.search(text))
        if minutes or (_DEGREES.search(text) and re.search(r"\d", text)):
            what = "degrees, minutes and seconds" if minutes else "degree signs"
            raise TableError(
                f"column {name!r} holds {what}, such as {text!r}; expected decimal degrees. In a pandas table, type "
                f"from xcrater.table.cells import decimal_degrees; table[{name!r}] = decimal_degrees(table[{name!r}])"
            )


def _refuse_ambiguous(name: Hashable, texts: list[str]) -> None:
    for text in texts:
        if "," in text and _COMMA_GROUPS.match(text):
            column = f"table[{name!r}]"
            raise TableError(
                f"column {name!r} holds {text!r}, whose comma may stand before decimals or between thousands; in a "
                f"pandas table, type {column} = {column}.str.replace(',', '.').astype(float) for decimals, "
                f"or {column} = {column}.str.replace(',', '').astype(float) for thousands"
            )
