"""Statistics and arrays of one or several rasters as DataFrames with craterpy's columns."""

from __future__ import annotations

import itertools
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr

from xcrater.engine import graph
from xcrater.engine.neighbours import Exclude
from xcrater.engine.request import make_request, users_level
from xcrater.errors import ColumnExistsError, ColumnNamesWarning, GridError, ReadError
from xcrater.pixels import container
from xcrater.raster.files import Dataset
from xcrater.raster.mosaic import open_mosaic
from xcrater.statistics import zonal
from xcrater.statistics.aggregations import CATEGORICAL, Aggregation, Asked, Function, apart
from xcrater.table.crater_table import CraterTable

RasterLike: TypeAlias = str | os.PathLike[str] | Dataset | xr.DataArray
Nodata: TypeAlias = float | int | None


_RESULTS = "xcrater_results"
"""Key of a table's `attrs` that lists its columns of results; pandas and Parquet files keep it, CSV files cannot."""


class _Image(NamedTuple):
    """One 2-D image of a raster with extra dimensions."""

    label: str
    position: dict[str, int]


class _Group(NamedTuple):
    """The columns of one region of one image of a raster."""

    stats: tuple[str, ...]
    raster: str
    image: str
    region: str

    def __str__(self) -> str:
        raster = f"raster {self.raster!r}" if self.raster else "the raster"
        return f"{raster}{f' at {self.image}' if self.image else ''} and region {self.region!r}"

    def spellings(self) -> Iterator[str]:
        """Candidate endings of the columns' names: craterpy's first, then with ever more underscores between parts."""
        parts = [part for part in (self.raster, self.image, self.region) if part]
        yield "_" + "_".join(parts).strip("_")
        yield "_" + "_".join(parts)
        for n in itertools.count(2):
            yield "_" * (n if len(parts) == 1 else 1) + ("_" * n).join(parts)

    def names(self, end: str) -> set[str]:
        """Names of the columns, except those of categories, which are unknown until the values have been counted."""
        return {f"{stat}{end}" if stat else end.removeprefix("_") for stat in self.stats if stat != CATEGORICAL.name}


def stats_frame(
    cdb: CraterTable,
    rasters: RasterLike | Mapping[str, RasterLike] | Iterable[RasterLike],
    regions: str | Iterable[str],
    *,
    stats: Asked,
    nodata: Nodata | Mapping[str, Nodata],
    n_jobs: int | None,
    coverage: str | None,
    weights: Any,
    exclude: Exclude | float | None,
    categorical: bool,
    add_stats: Mapping[str, Function | Aggregation] | None,
) -> pd.DataFrame:
    """Make the table with a column per statistic, raster and region; see `CraterDatabase.get_stats`."""
    named, missing, regions = _prepare(rasters, nodata, regions)
    stats, add_stats = apart(stats, add_stats)
    lazy = [
        zonal.get_stats(
            da,
            cdb,
            regions,
            stats,
            coverage=coverage,
            weights=weights,
            nodata=missing.get(name),
            exclude=exclude,
            categorical=categorical,
            add_stats=add_stats,
        )
        for name, da in named.items()
    ]
    # A clash of names must be found before anything is computed
    images = [_images(result) for result in lazy]
    groups = [
        _Group(tuple(map(str, result.data_vars)), name, image.label, region)
        for region in regions
        for name, result, of_raster in zip(named, lazy, images, strict=True)
        for image in of_raster
    ]
    endings = _endings(groups)
    table = _table_beside(cdb, groups, endings)
    try:
        results = graph.compute(*lazy, workers=n_jobs)
    except ReadError as err:
        for name, da in named.items():
            if da.encoding.get("source") == err.raster:
                with make_request(da, cdb, regions, coverage=coverage, nodata=missing.get(name)).naming_craters():
                    raise
        raise
    columns: dict[str, Any] = {}
    ending = iter(endings)
    for region in regions:
        for result, of_raster in zip(results, images, strict=True):
            of_region = result.sel(region=region)
            for image in of_raster:
                end = next(ending)
                for stat, values in of_region.isel(image.position).data_vars.items():
                    columns.update(_columns(str(stat), values, end))
    return _beside(table, columns)


def arrays_frame(
    cdb: CraterTable,
    rasters: RasterLike | Mapping[str, RasterLike] | Iterable[RasterLike],
    regions: str | Iterable[str],
    *,
    nodata: Nodata | Mapping[str, Nodata],
    n_jobs: int | None,
    coverage: str | None,
    exclude: Exclude | float | None,
) -> pd.DataFrame:
    """Make the table with a column of masked arrays per raster and region; see `CraterDatabase.get_arrays`."""
    named, missing, regions = _prepare(rasters, nodata, regions)
    lazy = [
        container.get_arrays(da, cdb, regions, coverage=coverage, nodata=missing.get(name), exclude=exclude)
        for name, da in named.items()
    ]
    groups = [_Group(("",), name, "", region) for region in regions for name in named]
    endings = _endings(groups)
    table = _table_beside(cdb, groups, endings)
    computed = container.compute_together(lazy, workers=n_jobs)
    cells = (arrays[region] for region in regions for arrays in computed)
    return _beside(table, {end.removeprefix("_"): cell for end, cell in zip(endings, cells, strict=True)})


def measures_frame(cdb: CraterTable, lazy: xr.Dataset) -> pd.DataFrame:
    """Make the table with a column per measurement, such as those of ``da.craters.depths``.

    Parameters
    ----------
    cdb : CraterTable
        The craters.
    lazy : xarray.Dataset
        The measurements, dimensions (extra dimensions of the raster, crater); computed only when the names of their
        columns are known to be free.

    Raises
    ------
    ColumnExistsError
        A measurement has the name of a column of the table.
    """
    images = _images(lazy)
    endings = [f"_{image.label}" if image.label else "" for image in images]
    groups = [_Group(tuple(map(str, lazy.data_vars)), "", image.label, "") for image in images]
    table = _table_beside(cdb, groups, endings)
    (result,) = graph.compute(lazy)
    columns: dict[str, Any] = {}
    for image, end in zip(images, endings, strict=True):
        for name, values in result.isel(image.position).data_vars.items():
            columns.update(_columns(str(name), values, end))
    return _beside(table, columns)


def _table_beside(cdb: CraterTable, groups: Sequence[_Group], endings: Sequence[str]) -> pd.DataFrame:
    """The table's own columns, without those results of an earlier run that new ones replace.

    Raises
    ------
    ColumnExistsError
        A result would have the name of a column that is not known to be a result.
    """
    table = cdb.data.loc[:, cdb.data.columns.isin(cdb.orig_cols)]
    names = {name for group, end in zip(groups, endings, strict=True) for name in group.names(end)}
    counted = [end for group, end in zip(groups, endings, strict=True) if CATEGORICAL.name in group.stats]
    same = [
        column
        for column in table.columns
        if column in names or any(re.fullmatch(rf"[-+]?\d[\d.e+-]*{re.escape(end)}", str(column)) for end in counted)
    ]
    earlier = table.attrs.get(_RESULTS, ())
    others = [column for column in same if column not in earlier]
    if others:
        raise ColumnExistsError(others)
    return table.loc[:, ~table.columns.isin(same)]


def _beside(table: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Append columns to a table without copying them, and mark them as results."""
    if table.columns.is_unique:
        result = pd.DataFrame({**table, **columns}, index=table.index, copy=False)
    else:
        result = pd.concat([table, pd.DataFrame(dict(columns), index=table.index)], axis=1)
    earlier = [name for name in table.attrs.get(_RESULTS, ()) if name in table.columns]
    result.attrs = {**table.attrs, _RESULTS: [*earlier, *columns]}
    return result


def _prepare(
    rasters: Any, nodata: Nodata | Mapping[str, Nodata], regions: str | Iterable[str]
) -> tuple[dict[str, xr.DataArray], Mapping[str, Nodata], list[str]]:
    """Rasters by name ("" for a single one), nodata by raster, and the list of regions."""
    named: dict[str, Any]
    if isinstance(rasters, Mapping):
        named = {str(name): raster for name, raster in rasters.items()}
    elif isinstance(rasters, (str, os.PathLike, Dataset, xr.DataArray)):
        named = {"": rasters}
    elif isinstance(rasters, Iterable) and not hasattr(rasters, "dtype"):
        named = {}
        for i, raster in enumerate(rasters):
            name = Path(raster).name if isinstance(raster, str) else f"raster{i}"  # as craterpy names them
            if name in named:
                raise GridError(f"received two rasters named {name!r}; give them names: {{'a': ..., 'b': ...}}")
            named[name] = raster
    else:
        raise GridError(
            f"received an object of type {type(rasters).__name__} as raster; expected a path, a DataArray, or several"
        )
    if not named:
        raise GridError("received no raster; expected a path, a DataArray, or several")
    if isinstance(nodata, Mapping):
        missing = {str(name): value for name, value in nodata.items()}
        if "" in named and "_" in missing:  # craterpy's name of a single raster
            missing[""] = missing.pop("_")
        for name, raster in named.items():
            if isinstance(raster, os.PathLike) and Path(raster).name in missing and name not in missing:
                missing[name] = missing.pop(Path(raster).name)
        unknown = [name for name in missing if name not in named]
        if unknown:
            raise GridError(f"received nodata for {unknown}; the rasters are {list(named)}")
    else:
        missing = dict.fromkeys(named, nodata)
    opened = {
        name: raster if isinstance(raster, xr.DataArray) else open_mosaic(raster) for name, raster in named.items()
    }
    return opened, missing, [regions] if isinstance(regions, str) else list(regions)


def _images(result: xr.Dataset) -> list[_Image]:
    """The 2-D images of a raster with extra dimensions, with labels for their columns, empty if there is only one."""
    extra = [str(d) for d in result.dims if d not in ("crater", "region")]
    at = [dict(zip(extra, position, strict=True)) for position in np.ndindex(*(result.sizes[d] for d in extra))]
    if len(at) == 1:
        return [_Image("", at[0])]
    texts = {d: _readable(result[d].values) if d in result.coords else range(result.sizes[d]) for d in extra}
    return [_Image("_".join(f"{d}{texts[d][i]}" for d, i in position.items()), position) for position in at]


def _readable(values: np.ndarray) -> list[str]:
    """Short texts for the coordinates along a dimension, all different."""
    if values.dtype.kind == "M":
        texts = [str(np.datetime_as_string(value, unit="auto")) for value in values]
    elif values.dtype.kind == "m":
        texts = [pd.Timedelta(value).isoformat() for value in values]
    else:
        texts = [value.isoformat() if hasattr(value, "isoformat") else str(value) for value in values]
        texts = [text.removesuffix("T00:00:00") for text in texts]
    repeated = {text for text in texts if texts.count(text) > 1}
    return [f"{text}[{i}]" if text in repeated else text for i, text in enumerate(texts)]


def _endings(groups: Sequence[_Group]) -> list[str]:
    """The part of each group's column names that follows the statistic, chosen so that no two columns share a name.

    It is craterpy's ``_raster_region``. Where two groups would share a name, the later one has two underscores between
    its parts, and a warning says so.
    """
    endings: list[str] = []
    taken: dict[str, _Group] = {}
    for group in groups:
        usual = next(group.spellings())
        end = next(e for e in group.spellings() if e not in endings and taken.keys().isdisjoint(group.names(e)))
        if end != usual:
            same = groups[endings.index(usual)] if usual in endings else None
            other = same or next(taken[name] for name in group.names(usual) if name in taken)
            warnings.warn(
                f"column names of {group} and {other} would be equal; those of the former end in {end!r} instead. Give "
                "the rasters or regions other names to tell them apart at sight",
                ColumnNamesWarning,
                stacklevel=users_level(),
            )
        endings.append(end)
        taken |= dict.fromkeys(group.names(end), group)
    return endings


def _columns(stat: str, values: xr.DataArray, suffix: str) -> dict[str, Any]:
    cells = values.to_numpy()
    if stat == "categorical":
        found = sorted({value for cell in cells for value in cell})
        return {f"{value}{suffix}": np.array([cell.get(value, 0) for cell in cells]) for value in found}
    if stat == "unique" and not np.isnan(cells).any():
        cells = cells.astype(np.int64)
    if cells.dtype == object:
        cells = pd.Series(list(cells), dtype=object).infer_objects().to_numpy()
    return {f"{stat}{suffix}": cells}
