"""Outputs of commands: checked before anything is computed, and put in place only when complete."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import pandas as pd
import xarray as xr

from xcrater import CraterDatabase
from xcrater._optional import require
from xcrater.cli.packing import packed
from xcrater.errors import ColumnExistsError, TableError

TABLES = (".parquet", ".csv", ".geoparquet", ".gpkg")
"""Endings of the names of tables with one row per crater; the last two have the craters' centres as points."""

EXTRAS = {".parquet": "parquet", ".geoparquet": "vector", ".gpkg": "vector", ".zarr": "zarr"}
MODULES = {".parquet": ("pyarrow",), ".geoparquet": ("geopandas", "pyarrow"), ".gpkg": ("geopandas", "pyogrio")}
MODULES[".zarr"] = ("zarr",)

RUN = "xcrater_run"
"""Metadata key of an output that holds what `xcrater.engine.provenance.describe_run` returns, as JSON."""


class OutputOptions(NamedTuple):
    """Where a result goes, and what it may replace there."""

    out: Path
    overwrite: bool

    def check(self, endings: Sequence[str], option: str = "--out") -> None:
        """Refuse, before anything is computed, an output that cannot be written or whose place is taken."""
        out, ending = self.out, self.out.suffix
        if ending not in endings:
            raise click.UsageError(f"received {option} {str(out)!r}; expected a name ending in {' or '.join(endings)}")
        check_directory(out, option)
        for module in MODULES.get(ending, ()):
            require(module, extra=EXTRAS[ending])
        if not out.exists():
            return
        if not self.overwrite:
            raise click.UsageError(
                f"{str(out)!r} exists already; add --overwrite to replace it, or name another {option}"
            )
        if out.is_dir() != (ending == ".zarr"):
            kind = "file" if out.is_file() else "directory"
            raise click.UsageError(
                f"{str(out)!r} is a {kind}, which --overwrite does not replace; name another {option}"
            )


def output_options(help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of the result to a command, which receives them as one `OutputOptions` named ``output``."""
    options = (
        click.option("--out", required=True, type=click.Path(path_type=Path), help=help),
        click.option("--overwrite", is_flag=True, help="Replace --out if it exists."),
    )
    return lambda command: packed(command, "output", OutputOptions, options)


replace_option = click.option(
    "--replace", is_flag=True, help="Replace columns of CRATERS that have the names of results."
)


def check_directory(path: Path, option: str) -> None:
    """Refuse an output path whose directory does not exist or takes no files, before anything is computed."""
    if not path.parent.is_dir():
        raise click.UsageError(f"the directory of {option} {str(path)!r} does not exist; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise click.UsageError(f"the directory of {option} {str(path)!r} cannot be written to; name another one")


def with_free_columns(
    cdb: CraterDatabase, craters: str, compute: Callable[[], pd.DataFrame], *, replace: bool
) -> pd.DataFrame:
    """Compute a table of results; columns of CRATERS that it would hide are replaced, or refused before computing."""
    try:
        return compute()
    except ColumnExistsError as err:
        if not replace:
            columns = ", ".join(map(repr, err.columns))
            raise click.UsageError(
                f"{craters!r} already has columns with the names of results: {columns}. Add --replace to replace them, "
                "or give the regions other names"
            ) from err
        cdb.data = cdb.data.drop(columns=err.columns)
        return compute()


@contextlib.contextmanager
def whole(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside the output, which is moved there when the ``with`` block ends, or else removed.

    Parameters
    ----------
    path : Path
        The output.
    alone : bool
        Whether no other process can be making the same output, so that the leftovers of a killed one may be removed.
    """
    mark = "" if alone else f".{os.getpid()}"
    partial = path.with_name(f".{path.stem}{mark}.tmp{path.suffix}")  # drivers look at the ending
    try:
        if alone:
            _remove(partial)
        yield partial
        put_in_place(partial, path)
    finally:
        with contextlib.suppress(OSError):  # a thread that was writing to the store when a signal came may still write
            _remove(partial)


def put_in_place(made: Path, path: Path) -> None:
    """Move a complete file or directory to its final path, replacing what may be there."""
    if path.is_dir():  # a directory cannot be replaced in one step: the old one goes only once the new one is complete
        earlier = path.with_name(f".{path.name}.{os.getpid()}.old")
        path.replace(earlier)
        made.replace(path)
        shutil.rmtree(earlier)
    else:
        made.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_table(frame: pd.DataFrame, out: Path, run: dict[str, Any], cdb: CraterDatabase | None) -> None:
    """Write a table in the format that its name says, with the description of its run.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    out : Path
        The file.
    run : dict
        What `describe_run` returns. It goes into the metadata of Parquet files and GeoPackage layers; for a CSV file it
        is written to a separate file beside it, ``NAME.csv.json``.
    cdb : CraterDatabase or None
        The craters of the rows, whose centres are the points of vector files.
    """
    text = json.dumps(run)
    with whole(out) as partial:
        if out.suffix == ".csv":
            frame.to_csv(partial, index=False)
            with whole(out.with_name(f"{out.name}.json")) as beside:
                beside.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
        elif out.suffix == ".parquet":
            _write_parquet(frame, partial, text)
        else:
            assert cdb is not None
            _write_vector(frame, partial, out, text, cdb)


def _write_parquet(frame: pd.DataFrame, path: Path, run: str) -> None:
    pyarrow, parquet = require("pyarrow", extra="parquet"), require("pyarrow.parquet", extra="parquet")
    table = pyarrow.Table.from_pandas(frame)
    about = {**(table.schema.metadata or {}), RUN.encode(): run.encode()}
    if frame.attrs:
        about[b"PANDAS_ATTRS"] = json.dumps(frame.attrs).encode()  # as pandas writes and reads them
    parquet.write_table(table.replace_schema_metadata(about), path)


def _write_vector(frame: pd.DataFrame, path: Path, out: Path, run: str, cdb: CraterDatabase) -> None:
    geopandas = require("geopandas", extra="vector")
    centres = cdb.center
    data = frame.drop(columns="geometry", errors="ignore")
    points = geopandas.GeoDataFrame(data, geometry=centres.to_numpy(), crs=cdb.crs)
    if out.suffix == ".geoparquet":
        parquet = require("pyarrow.parquet", extra="parquet")
        points.to_parquet(path)
        table = parquet.read_table(path)
        parquet.write_table(table.replace_schema_metadata({**table.schema.metadata, RUN.encode(): run.encode()}), path)
        return
    pyogrio = require("pyogrio", extra="vector")
    try:
        pyogrio.write_dataframe(points, path, driver="GPKG", layer=out.stem, layer_metadata={RUN: run})
    except (pyogrio.errors.DataSourceError, pyogrio.errors.FieldError, ValueError) as err:
        raise TableError(f"the table cannot be written as a GeoPackage: {err}") from err


def write_dataset(dataset: xr.Dataset, out: Path, run: dict[str, Any]) -> None:
    """Write a dataset as a Zarr store, chunk by chunk as it is computed, with the description of its run."""
    with whole(out) as partial:
        dataset.assign_attrs({RUN: run}).to_zarr(partial, mode="w", consolidated=False, zarr_format=3)
