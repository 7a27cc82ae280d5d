"""Tables in text files as people and programs save them: encodings, comments, separators, names of rows.

pandas reads the file. This module first determines its layout from the first lines: the encoding, the lines that are
not data, the separator of cells, and whether rows have cells that the header does not name.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from xcrater.errors import TableError
from xcrater.table.cells import Mark, decimal_mark
from xcrater.table.wording import is_unit

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
"""Separator of the cells of a file, by its suffix, unless its lines show another."""

ROW_NAMES = "Unnamed: 0"
"""Label of a column of row names without a header, which is pandas' name for a first column without one."""

_SAMPLE = 1 << 18  # bytes: some thousand lines
_BEYOND = "_beyond_the_header_"
_COMMENTS = ("#", "%", "//")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_OPENED = re.compile(r"(?:^|[,;\t|])\s*\"[^\"]*$")
_NO_UNIT = ("", "-", "--", "1", "none", "None")
_EXCELS_HINT = re.compile(r"\"?sep=(.)\"?", re.IGNORECASE)


class _Layout(NamedTuple):
    """How to read the lines of a file."""

    separator: str
    decimal: Mark
    header: list[str]
    begins: int
    """Number of lines before the first row."""
    beyond: int
    """Number of cells by which the rows exceed the header."""


def read_text(path: Path, separator: str) -> tuple[pd.DataFrame, Mark | None]:
    r"""Read a table from a file of separated cells.

    Parameters
    ----------
    path : Path
        The file, in UTF-8, UTF-16 or Latin-1, with the line endings of any system. Lines before, between and after the
        rows that begin with ``#``, ``%`` or ``//`` are comments; if there is no other header, the last comment before
        the rows is the header. A line of units below the header is joined to it by underscores.
    separator : str
        Expected separator of cells. If the header does not contain it, cells are separated by a semicolon, tab, comma
        or bar that the header does contain, or else by blanks.

    Returns
    -------
    table : pandas.DataFrame
        The cells. Decimal commas are read as such if commas do not separate cells. Row names for which the header has
        no cell, as R writes them, become the first column under pandas' name ``Unnamed: 0``. Empty cells at the ends of
        all rows are left out, and so are rows of empty cells.
    mark : {".", ","} or None
        The decimal mark of the numbers that were read, if any has decimals.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or some rows have more cells than the header for another reason than row names.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from xcrater.table.text_files import read_text
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "craters.csv"
    ...     _ = path.write_text("# decimal commas\nlat;lon;radius\n9,6;-20,1;48000\n")
    ...     table, mark = read_text(path, ",")
    >>> table.values.tolist(), mark
    ([[9.6, -20.1, 48000.0]], ',')
    """
    encoding = _encoding(path)
    lines, whole = _first_lines(path, encoding)
    layout = _find_layout(path, lines, separator)
    if layout is None:
        raise ValueError("No columns to parse from file")
    source = _without_comments(path, encoding, layout) if _has_comments(path, encoding, lines, whole) else path
    begins = layout.begins if source is path else 0
    table = _without_empty_rows(_read(source, layout, encoding, begins))
    return table, _read_mark(table, layout)


def _encoding(path: Path) -> str:
    """Determine the encoding of a file from its first bytes, or else from what decodes all of it."""
    with path.open("rb") as file:
        start = file.read(_SAMPLE)
        for mark, encoding in _MARKS:
            if start.startswith(mark):
                return encoding
        if start.count(0) > len(start) // 4:  # in UTF-16, every other byte of ASCII text is 0
            return "utf-16-be" if start[:1] == b"\0" else "utf-16-le"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while start:
                decoder.decode(start)
                start = file.read(1 << 22)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def _first_lines(path: Path, encoding: str) -> tuple[list[str], bool]:
    """Read the first complete lines of a file; also tells whether these are all of its lines."""
    with path.open(encoding=encoding, errors="replace") as file:  # universal newlines accept those of any system
        text = file.read(_SAMPLE)
        whole = not file.read(1)
    lines = _joined(text.split("\n"))
    return lines if whole else lines[:-1] or lines, whole


def _joined(lines: list[str], end: str = "\n") -> list[str]:
    """Join lines of a file that a line break within a quoted cell splits, as in headers made in Excel."""
    joined: list[str] = []
    open_quote = False
    for line in lines:
        if open_quote:
            joined[-1] += end + line
            open_quote = joined[-1].count('"') % 2 == 1
        else:
            joined.append(line)
            open_quote = line.count('"') % 2 == 1 and _OPENED.search(line) is not None
    return joined


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(_COMMENTS)


def _has_comments(path: Path, encoding: str, lines: list[str], whole: bool) -> bool:
    """Whether any line of a file is a comment."""
    if any(map(_is_comment, lines)):
        return True
    if whole:
        return False
    with path.open(encoding=encoding, errors="replace") as file:
        return any(map(_is_comment, file))


def _find_layout(path: Path, lines: list[str], separator: str) -> _Layout | None:
    """Determine the layout from the first lines; None if there are no lines."""
    at = [i for i, line in enumerate(lines) if line.strip(' \t,;|"')]  # a line of separators alone is empty too
    if at and (hint := _EXCELS_HINT.fullmatch(lines[at[0]].strip())):
        separator, at = hint[1], at[1:]
    body = [i for i in at if not _is_comment(lines[i])]
    if len(body) < len(at) and (not body or _is_numeric(lines[body[0]])):
        # The header is itself a comment, as numpy's savetxt writes it; or all names of rows begin with a number sign
        first = max((i for i in at if _is_comment(lines[i]) and (not body or i < body[0])), default=-1)
        if not body:
            first, body = at[0], at[1:]
        head = lines[first].lstrip().lstrip("#%/").strip() if first >= 0 else lines[body[0]]
        begins = first + 1
    elif body:
        head, begins, body = lines[body[0]], body[0] + 1, body[1:]
    else:
        return None
    rows = [lines[i] for i in body[:1000]]
    separator = _find_separator(head, rows, separator)
    header = _cells(head, separator)
    units = _cells(rows[0], separator) if rows else []
    if any(map(is_unit, units)) and all(is_unit(cell) or cell in _NO_UNIT for cell in units):
        # The second line holds units and belongs to the header
        header = [
            f"{name}_{unit}" if is_unit(unit) else name for name, unit in zip_longest(header, units, fillvalue="")
        ]
        begins, rows = body[0] + 1, rows[1:]
    counts = Counter(len(_cells(row, separator)) for row in rows)
    most = max(counts, default=len(header))
    decimal: Mark = "."
    if separator != ",":
        texts = [cell for row in rows for cell in _cells(row, separator) if _is_number(cell)]
        decimal = decimal_mark("the file", texts) or "." if _proves_one(texts) else "."
    return _Layout(separator, decimal, header, begins, max(most - len(header), 0))


def _cells(line: str, separator: str) -> list[str]:
    if separator == r"\s+":
        return [cell.strip('"') for cell in re.findall(r'"[^"]*"|\S+', line)]
    cells = next(csv.reader(io.StringIO(line), delimiter=separator, skipinitialspace=True), [])
    return [cell.strip() for cell in cells]


def _find_separator(head: str, rows: list[str], expected: str) -> str:
    """Find the separator that splits the header, and gives as many rows as possible the same number of cells."""

    def fit(separator: str) -> tuple[bool, int, bool, int]:
        wanted = len(_cells(head, separator))
        same = sum(wanted <= len(_cells(row, separator)) <= wanted + 1 for row in rows[:100])
        return wanted > 1, same, separator == expected, wanted

    return max(dict.fromkeys((expected, ";", "\t", ",", "|", r"\s+")), key=fit)


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+]?[\d.,]*\d[\d.,]*(?:[eE][-+]?\d+)?", cell) is not None


def _is_numeric(line: str) -> bool:
    """Whether at least half of a line's cells are numbers, so that it cannot be a header."""
    cells = [cell for cell in re.split(r"[,;\t| ]+", line.strip()) if cell]
    return bool(cells) and 2 * sum(map(_is_number, cells)) >= len(cells)


def _proves_one(texts: list[str]) -> bool:
    try:
        decimal_mark("the file", texts)
    except TableError:
        return False  # the decimal mark must then be found for each column
    return True


def _without_comments(path: Path, encoding: str, layout: _Layout) -> io.StringIO:
    """The rows of a file without its header and comments."""
    with path.open(encoding=encoding, errors="strict") as file:
        lines = _joined(list(file), "")[layout.begins :]
    kept = [line for line in lines if not _is_comment(line)]
    # If all rows begin with a number sign, it belongs to their names and they are not comments
    return io.StringIO("".join(kept if any(line.strip() for line in kept) else lines))


def _read(source: Any, layout: _Layout, encoding: str, begins: int) -> pd.DataFrame:
    names = _unique(layout.header)
    beyond = [f"{_BEYOND}{k}" for k in range(layout.beyond)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                source,
                sep=layout.separator,
                decimal=layout.decimal,
                encoding=encoding,
                names=[*names, *beyond],
                header=None,
                skiprows=begins,
                index_col=False,
                skipinitialspace=True,
                low_memory=False,
            )
        except pd.errors.ParserWarning as err:
            raise ValueError("rows have more cells than the header") from err
    if not beyond:
        return table
    full = table[beyond].notna()
    if not full.to_numpy().any():
        return table[names]
    if len(beyond) == 1 and full[beyond[0]].all():
        # Each row begins with a name for which the header has no cell
        return table.set_axis(_unique([ROW_NAMES, *names]), axis=1)
    row = int(full.any(axis=1).to_numpy().argmax())
    raise ValueError(
        f"row {row} has more cells than the {len(names)} of the header. Do decimal commas separate cells, or is a cell "
        "with a separator not quoted?"
    )


def _without_empty_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Remove the rows that consist of separators alone."""
    empty = np.ones(len(table), bool)
    for name in table.columns:
        empty &= table[name].isna().to_numpy()
        if not empty.any():
            return table
    return table[~empty]


def _unique(header: list[str]) -> list[str]:
    """Make column names unique as pandas does: unnamed and repeated columns are numbered."""
    names: list[str] = []
    for k, cell in enumerate(header):
        name = base = cell or f"Unnamed: {k}"
        repeated = 0
        while name in names:
            repeated += 1
            name = f"{base}.{repeated}"
        names.append(name)
    return names


def _read_mark(table: pd.DataFrame, layout: _Layout) -> Mark | None:
    """The decimal mark, if any numbers were read that have decimals."""
    if layout.decimal == ",":
        return ","
    floats = table.select_dtypes("float")
    return "." if bool((floats % 1 != 0).where(floats.notna(), False).to_numpy().any()) else None
