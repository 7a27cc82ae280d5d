"""Reading of crater tables: files, numbers, and the selection of rows that can be used."""

from __future__ import annotations

import os
import warnings
from collections.abc import Hashable, Iterable, Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.errors import DroppedRowsWarning, TableError
from xcrater.table.cells import Mark, read_cells
from xcrater.table.text_files import SEPARATORS, read_text


class Table(NamedTuple):
    """A crater table as it was read."""

    data: pd.DataFrame
    mark: Mark | None
    """Decimal mark of the file's text, if its other numbers prove one."""


def read_table(dataset: str | os.PathLike[str] | pd.DataFrame) -> Table:
    """Read a crater table from a file, or copy it.

    Parameters
    ----------
    dataset : str, os.PathLike or pandas.DataFrame
        Path of a file whose suffix says its format (.csv, .tsv, .tab or .txt, as `xcrater.table.text_files` reads them;
        .parquet), or the table. Levels of column labels are joined by underscores.

    Returns
    -------
    Table
        A plain DataFrame that the caller may keep; it may have no rows, as after a filter that no crater passes.

    Raises
    ------
    TableError
        The file does not exist or cannot be read, its format is unknown, or the table has no columns.
    ImportError
        The file is Parquet and pyarrow is not installed.
    """
    mark: Mark | None = None
    if isinstance(dataset, pd.DataFrame):
        # pd.DataFrame also turns a subclass, such as a GeoDataFrame, into a plain table
        table, origin = pd.DataFrame(dataset.copy()), "the DataFrame"
        table.attrs = dict(dataset.attrs)
        _bring_to_native_order(table)
    elif isinstance(dataset, (str, os.PathLike)):
        (table, mark), origin = _read_file(Path(dataset).expanduser()), f"{os.fspath(dataset)!r}"
    else:
        raise TableError(
            f"received a dataset of type {type(dataset).__name__}; expected a pandas.DataFrame or the path of a table"
        )
    if not len(table.columns):
        raise TableError(f"{origin} has no columns; expected one row per crater, and a header")
    if table.columns.nlevels > 1:
        table.columns = pd.Index([_joined(label) for label in table.columns.to_list()])
    return Table(table, mark)


def values(table: pd.DataFrame, column: Hashable) -> NDArray[np.float64]:
    """Read a column as floats, with NaN for anything that is not a plain number."""
    numbers = pd.to_numeric(table[column], errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=float, na_value=np.nan))


def finite_numbers(
    table: pd.DataFrame,
    column: Hashable,
    faults: dict[str, NDArray[np.bool_]],
    mark: Mark | None = None,
    numbers: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Read a column as floats, with NaN for anything that is not a finite number, and note the faulty rows.

    Parameters
    ----------
    table : pandas.DataFrame
        The crater table.
    column : hashable
        Label of the column.
    faults : dict of str to ndarray of bool
        Filled with the rows to which each reason not to use a number applies; see `usable_rows`.
    mark : {".", ","}, optional
        Decimal mark of the table's text; see `xcrater.table.cells.read_cells`.
    numbers : ndarray, shape (rows,), optional
        The column's numbers, if they have been read already.

    Returns
    -------
    ndarray, shape (rows,)
        The numbers.

    Raises
    ------
    TableError
        Numbers in text can be read in two ways.
    """
    if numbers is None:
        numbers = read_cells(table[column], mark).numbers
    missing = table[column].isna().to_numpy(dtype=bool)
    faults[f"{column!r} is missing"] = missing
    faults[f"{column!r} is not a number"] = np.isnan(numbers) & ~missing
    faults[f"{column!r} is infinite"] = np.isinf(numbers)
    return np.where(np.isinf(numbers), np.nan, numbers)


def usable_rows(
    index: pd.Index[Any], faults: Mapping[str, NDArray[np.bool_]], errors: Literal["raise", "drop"]
) -> NDArray[np.bool_]:
    """Find the rows without faults.

    Parameters
    ----------
    index : pandas.Index
        Labels of the rows, for messages.
    faults : mapping of str to ndarray of bool
        For each reason why a row cannot be used, the rows that it applies to.
    errors : {"raise", "drop"}
        Whether rows with faults are an error, or are dropped with a warning.

    Returns
    -------
    ndarray of bool
        Which rows can be used.

    Raises
    ------
    TableError
        No row can be used, or some cannot and `errors` is "raise".

    Warns
    -----
    DroppedRowsWarning
        Some rows cannot be used and `errors` is "drop". The warning points at the line that makes the database.
    """
    bad = reduce(or_, faults.values())
    count = int(bad.sum())
    if not count:
        return ~bad
    reasons = "; ".join(f"{reason}: {_rows(index[rows])}" for reason, rows in faults.items() if rows.any())
    if count == len(bad):
        raise TableError(f"none of the {count} rows can be used. {reasons}. Check the columns, units and input_crs")
    if errors == "raise":
        raise TableError(
            f"{count} of {len(bad)} rows cannot be used. {reasons}. Correct them, or leave them out with errors='drop'"
        )
    warnings.warn(f"dropped {count} of {len(bad)} rows. {reasons}", DroppedRowsWarning, stacklevel=4)
    return ~bad


def _read_file(path: Path) -> Table:
    suffix = path.suffix.lower()
    if suffix not in SEPARATORS and suffix != ".parquet":
        raise TableError(
            f"received {str(path)!r}; expected a file that ends in {', '.join(SEPARATORS)} or .parquet, or a "
            "vector file. Read any other with pandas and pass the DataFrame"
        )
    if not path.is_file():
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise TableError(f"received {str(path)!r}; there is no such file{where}")
    if suffix == ".parquet":
        require("pyarrow", extra="parquet")
    try:
        if suffix == ".parquet":
            return Table(pd.read_parquet(path), None)
        return Table(*read_text(path, SEPARATORS[suffix]))
    except (OSError, ValueError) as err:
        kind = {".csv": "comma-separated", ".parquet": "Parquet"}.get(suffix, "tab-separated")
        raise TableError(
            f"{str(path)!r} cannot be read as a {kind} table: {err}. Read it with pandas and pass the DataFrame"
        ) from err


def _bring_to_native_order(table: pd.DataFrame) -> None:
    """Swap the bytes of columns in foreign byte order, as in FITS files, because pandas cannot select rows of them."""
    for i, dtype in enumerate(table.dtypes):
        if isinstance(dtype, np.dtype) and not dtype.isnative:
            table.isetitem(i, table.iloc[:, i].to_numpy().astype(dtype.newbyteorder("=")))
    labels = table.index.to_numpy()
    if not labels.dtype.isnative:
        table.index = pd.Index(labels.astype(labels.dtype.newbyteorder("=")), name=table.index.name)


def _joined(label: Iterable[Hashable]) -> str:
    """Join the levels of a label, without those that pandas invents for empty cells of a header."""
    parts = [str(part).strip() for part in label]
    return "_".join(part for part in parts if part and not part.startswith("Unnamed: ")) or "_".join(parts)


def _rows(labels: pd.Index[Any]) -> str:
    shown = ", ".join(str(label) for label in labels[:5])
    return f"{len(labels)} row{'s' if len(labels) > 1 else ''} ({shown}{', …' if len(labels) > 5 else ''})"
