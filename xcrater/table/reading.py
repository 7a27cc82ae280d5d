"""A crater table as it comes: files, numbers, and the rows that can be used."""

from __future__ import annotations

import os
import warnings
from collections.abc import Hashable, Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.errors import DroppedRowsWarning, TableError

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
_VECTOR = frozenset({".shp", ".geojson", ".json", ".gpkg", ".kml", ".gml", ".fgb"})


def read_table(dataset: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """Read a crater table from a file, or copy it.

    Parameters
    ----------
    dataset : str, os.PathLike or pandas.DataFrame
        Path of a file whose suffix says its format (.csv; .tsv, .tab or .txt with tabs; .parquet), or the table.

    Returns
    -------
    pandas.DataFrame
        A plain DataFrame of at least one row that the caller may keep.

    Raises
    ------
    TableError
        The file does not exist or cannot be read, its format is unknown, or the table has no rows.
    ImportError
        The file is Parquet and pyarrow is not installed.
    """
    if isinstance(dataset, pd.DataFrame):
        # pd.DataFrame also makes a plain table of a subclass such as geopandas'
        table, origin = pd.DataFrame(dataset.copy()), "the DataFrame"
    elif isinstance(dataset, (str, os.PathLike)):
        table, origin = _read_file(Path(dataset).expanduser()), f"{os.fspath(dataset)!r}"
    else:
        raise TableError(
            f"received a dataset of type {type(dataset).__name__}; expected a pandas.DataFrame or the path of a table"
        )
    if table.empty:
        raise TableError(f"{origin} has no rows; expected one row per crater")
    return table


def values(table: pd.DataFrame, column: Hashable) -> NDArray[np.float64]:
    """A column as floats, with NaN for whatever is no number."""
    numbers = pd.to_numeric(table[column], errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=float, na_value=np.nan))


def finite_values(table: pd.DataFrame, column: Hashable, faults: dict[str, NDArray[np.bool_]]) -> NDArray[np.float64]:
    """A column as floats, with NaN for whatever is no finite number.

    Parameters
    ----------
    table : pandas.DataFrame
        The crater table.
    column : hashable
        Label of the column.
    faults : dict of str to ndarray of bool
        Receives, for each reason why a number cannot be used, the rows that it applies to; see `usable_rows`.

    Returns
    -------
    ndarray, shape (rows,)
        The numbers.
    """
    numbers = values(table, column)
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


def _read_file(path: Path) -> pd.DataFrame:
    suffix = path.suffix.lower()
    if suffix in _VECTOR:
        raise TableError(
            f"received {str(path)!r}; vector files are not read yet. Read it with geopandas and pass the table: "
            f"CraterDatabase(geopandas.read_file({str(path)!r}), ...)"
        )
    if suffix not in _SEPARATORS and suffix != ".parquet":
        raise TableError(
            f"received {str(path)!r}; expected a file that ends in {', '.join(_SEPARATORS)} or .parquet. "
            "Read any other with pandas and pass the DataFrame"
        )
    if not path.is_file():
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise TableError(f"received {str(path)!r}; there is no such file{where}")
    if suffix == ".parquet":
        require("pyarrow", extra="parquet")
    try:
        return pd.read_parquet(path) if suffix == ".parquet" else _read_text(path, _SEPARATORS[suffix])
    except (OSError, ValueError) as err:
        kind = {".csv": "comma-separated", ".parquet": "Parquet"}.get(suffix, "tab-separated")
        raise TableError(
            f"{str(path)!r} cannot be read as a {kind} table: {err}. Read it with pandas and pass the DataFrame"
        ) from err


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    for encoding in ("utf-8-sig", "latin-1"):
        try:
            # Without index_col=False, a separator at the end of lines would shift all columns by one
            return pd.read_csv(
                path, sep=separator, encoding=encoding, index_col=False, skipinitialspace=True, low_memory=False
            )
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 decodes anything")


def _rows(labels: pd.Index[Any]) -> str:
    shown = ", ".join(str(label) for label in labels[:5])
    return f"{len(labels)} row{'s' if len(labels) > 1 else ''} ({shown}{', …' if len(labels) > 5 else ''})"
