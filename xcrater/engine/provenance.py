"""Provenance of a run: the raster, the table, the regions and the options that determine its results."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import xarray as xr

from xcrater.engine import graph
from xcrater.engine.neighbours import Exclude
from xcrater.raster.mosaic import describe_raster
from xcrater.table.crater_table import CraterTable


def describe_run(
    rasters: Mapping[str, xr.DataArray],
    cdb: CraterTable,
    regions: Iterable[str],
    options: Mapping[str, Any],
    *,
    table: str | None = None,
    command: str | None = None,
    run_id: str | None = None,
) -> dict[str, Any]:
    """Describe a run for the metadata of its output.

    Parameters
    ----------
    rasters : mapping of str to xarray.DataArray
        The rasters by their names, as they were opened.
    cdb : CraterTable
        The craters.
    regions : iterable of str
        Names of the regions.
    options : mapping
        Everything else that results depend on, by name; values that JSON cannot express are written as text.
    table : str, optional
        Path from which the table was read.
    command : str, optional
        The command line.
    run_id : str, optional
        Name of the run under which its checkpoints are kept.

    Returns
    -------
    dict
        A dict that JSON can express, with ``xcrater`` (the version), ``rasters``, ``table``, ``regions``, ``options``,
        and ``command`` and ``run_id`` if given. Equal rasters, tables, regions and options have equal descriptions.
    """
    about: dict[str, Any] = {
        "xcrater": importlib.metadata.version("xcrater"),
        "rasters": {name or "raster": describe_raster(da) for name, da in rasters.items()},
        "table": {"path": table, **_describe_table(cdb)},
        "regions": {
            name: {"shape": cdb.region(name).describe(), "hash": graph.token(cdb.region(name))} for name in regions
        },
        "options": {name: _plain(value) for name, value in options.items()},
    }
    more = {"command": command, "run_id": run_id}
    return about | {name: value for name, value in more.items() if value is not None}


def _describe_table(cdb: CraterTable) -> dict[str, Any]:
    return {"body": cdb.body, "craters": len(cdb), "hash": _hash_of_table(cdb.data)}


def _hash_of_table(data: pd.DataFrame) -> str:
    """Hash the labels and cells of a table."""
    digest = hashlib.blake2b(repr(list(data.columns)).encode(), digest_size=16)
    digest.update(pd.util.hash_pandas_object(data.index, index=False).to_numpy().tobytes())
    for n in range(data.shape[1]):
        column = data.iloc[:, n]
        try:
            hashed = pd.util.hash_pandas_object(column, index=False)
        except TypeError:  # some cells, such as geometries, cannot be hashed
            hashed = pd.util.hash_pandas_object(column.map(repr), index=False)
        digest.update(hashed.to_numpy().tobytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """Convert a value to one that JSON can express."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Exclude) and value.of is not None:
        return {"exclude": repr(replace(value, of=None)), "of": _describe_table(value.of)}
    return repr(value)
