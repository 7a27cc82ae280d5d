"""Coordinates that a table spreads over several columns: degrees, minutes and seconds; a number and its hemisphere.

One of these columns alone is a wrong position, so they are refused by name, with the line that joins them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal

import numpy as np
import pandas as pd

from xcrater.errors import TableError
from xcrater.table.reading import values
from xcrater.table.wording import NOUNS, Quantity, word_set, words_of

_PARTS = {
    "degrees": word_set("d deg degs degree degrees"),
    "minutes": word_set("m min mins minute minutes arcmin arcminute arcminutes"),
    "seconds": word_set("s sec secs second seconds arcsec arcsecond arcseconds"),
}
_LETTERS: dict[Quantity, frozenset[str]] = {
    "latitude": word_set("N S NORTH SOUTH"),
    "longitude": word_set("E W EAST WEST"),
}
_PAIRS: dict[Quantity, frozenset[str]] = {"latitude": word_set("n s"), "longitude": word_set("e w")}
_SAYS_SO = word_set("hemisphere hemi dir direction ns ew nors eorw")


def refuse_sexagesimal_columns(table: pd.DataFrame, quantity: Literal["latitude", "longitude"]) -> None:
    """Raise a `TableError` where a coordinate stands in columns of degrees, minutes and perhaps seconds."""
    found = {part: _part(table, quantity, words) for part, words in _PARTS.items()}
    degrees, minutes, seconds = found["degrees"], found["minutes"], found["seconds"]
    if degrees is None or minutes is None:
        return
    whole, sixtieths = values(table, degrees), values(table, minutes)
    whole, sixtieths = whole[np.isfinite(whole)], sixtieths[np.isfinite(sixtieths)]
    if not sixtieths.size or (whole % 1 != 0).any() or (sixtieths < 0).any() or (sixtieths >= 60).any():
        return
    parts = [part for part in (degrees, minutes, seconds) if part is not None]
    joined = " + ':' + ".join(f"table.pop({part!r}).astype(str)" for part in parts)
    raise TableError(
        f"columns {', '.join(map(repr, parts))} hold degrees, minutes and seconds of a {quantity}; expected decimal "
        "degrees in one column. In a pandas table, read with dtype=str so that -0 keeps its sign, type from "
        f"xcrater.table.cells import decimal_degrees; table[{quantity!r}] = decimal_degrees({joined})"
    )


def refuse_hemisphere_column(table: pd.DataFrame, quantity: Literal["latitude", "longitude"], name: Hashable) -> None:
    """Raise a `TableError` where the numbers of a coordinate have no sign and another column names the hemisphere.

    Parameters
    ----------
    table : pandas.DataFrame
        The crater table.
    quantity : {"latitude", "longitude"}
        The coordinate.
    name : hashable
        Its column.
    """
    if not pd.api.types.is_numeric_dtype(table[name]) or (table[name] < 0).any():
        return
    for column in table.columns:
        if column != name and _names_hemisphere(table, quantity, column):
            raise TableError(
                f"column {name!r} has no signs, and column {column!r} names hemispheres; expected both in one column. "
                f"In a pandas table, type table[{name!r}] = table[{name!r}].astype(str) + ' ' + table[{column!r}]"
            )


def _part(table: pd.DataFrame, quantity: Quantity, words: frozenset[str]) -> Hashable | None:
    """The column of degrees, minutes or seconds of a coordinate; None unless it is one, and no bound."""
    found = []
    for column in table.columns:
        has = words_of(column)
        nouns = [word for word in has if NOUNS.get(word) == quantity]
        if len(nouns) == 1 and {*has} - {*nouns} <= words and len(has) == 2:
            found.append(column)
    return found[0] if len(found) == 1 else None


def _names_hemisphere(table: pd.DataFrame, quantity: Quantity, column: Hashable) -> bool:
    words = set(words_of(column))
    nouns = {word for word in words if word in NOUNS}
    about = {NOUNS[word] for word in nouns} == {quantity} or words >= _PAIRS[quantity] or words & _SAYS_SO
    cells: Any = table[column]
    if not about or not isinstance(cells, pd.Series) or pd.api.types.is_numeric_dtype(cells):
        return False
    texts = {str(cell).strip().upper() for cell in cells.dropna().unique()}
    return bool(texts) and texts <= _LETTERS[quantity]
