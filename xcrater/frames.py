"""Statistics and arrays of one or several rasters as DataFrames with craterpy's columns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import rasterio
import xarray as xr

from xcrater.engine import graph
from xcrater.engine.neighbours import Exclude
from xcrater.engine.request import make_request
from xcrater.errors import GridError, ReadError
from xcrater.pixels import container
from xcrater.raster.mosaic import open_mosaic
from xcrater.statistics import zonal
from xcrater.statistics.aggregations import Aggregation
from xcrater.table.crater_table import CraterTable

RasterLike: TypeAlias = str | os.PathLike[str] | rasterio.DatasetReader | xr.DataArray
Nodata: TypeAlias = float | int | None


def stats_frame(
    cdb: CraterTable,
    rasters: RasterLike | Mapping[str, RasterLike] | Iterable[RasterLike],
    regions: str | Iterable[str],
    *,
    stats: str | Iterable[str],
    nodata: Nodata | Mapping[str, Nodata],
    n_jobs: int | None,
    coverage: str | None,
    weights: Any,
    exclude: Exclude | float | None,
    categorical: bool,
    add_stats: Mapping[str, Callable[[np.ma.MaskedArray[Any, Any]], Any] | Aggregation] | None,
) -> pd.DataFrame:
    """Make the table with a column per statistic, raster and region; see `CraterDatabase.get_stats`."""
    named, missing, regions = _prepare(rasters, nodata, regions)
    stats = stats if isinstance(stats, str) else list(stats)
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
    try:
        results = graph.compute(*lazy, workers=n_jobs)
    except ReadError as err:
        for name, da in named.items():
            if da.encoding.get("source") == err.path:
                with make_request(da, cdb, regions, coverage=coverage, nodata=missing.get(name)).naming_craters():
                    raise
        raise
    columns: dict[str, Any] = {}
    for region in regions:
        for name, result in zip(named, results, strict=True):
            for label, image in _images(result.sel(region=region)):
                for stat, values in image.data_vars.items():
                    columns.update(_columns(str(stat), values, _suffix(name, region, label)))
    return _beside(cdb, columns)


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
    computed = container.compute_together(lazy, workers=n_jobs)
    columns = {}
    for region in regions:
        for name, arrays in zip(named, computed, strict=True):
            columns[_suffix(name, region, "").removeprefix("_")] = arrays[region]
    return _beside(cdb, columns)


def _beside(cdb: CraterTable, columns: Mapping[str, Any]) -> pd.DataFrame:
    """The table's own columns beside new ones, which are not copied."""
    table = cdb.data[cdb.orig_cols]
    if table.columns.intersection(list(columns)).empty:
        return pd.DataFrame({**table, **columns}, index=table.index, copy=False)
    return pd.concat([table, pd.DataFrame(columns, index=table.index)], axis=1)


def _prepare(
    rasters: Any, nodata: Nodata | Mapping[str, Nodata], regions: str | Iterable[str]
) -> tuple[dict[str, xr.DataArray], Mapping[str, Nodata], list[str]]:
    """Rasters by name ("" for a single one), nodata by raster, and the list of regions."""
    named: dict[str, Any]
    if isinstance(rasters, Mapping):
        named = {str(name): raster for name, raster in rasters.items()}
    elif isinstance(rasters, (str, os.PathLike, rasterio.DatasetReader, xr.DataArray)):
        named = {"": rasters}
    elif isinstance(rasters, Iterable) and not hasattr(rasters, "dtype"):
        named = {}
        for i, raster in enumerate(rasters):
            name = Path(raster).name if isinstance(raster, (str, os.PathLike)) else f"raster{i}"
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
        unknown = [name for name in missing if name not in named]
        if unknown:
            raise GridError(f"received nodata for {unknown}; the rasters are {list(named)}")
    else:
        missing = dict.fromkeys(named, nodata)
    opened = {
        name: raster if isinstance(raster, xr.DataArray) else open_mosaic(raster) for name, raster in named.items()
    }
    return opened, missing, [regions] if isinstance(regions, str) else list(regions)


def _images(result: xr.Dataset) -> Iterable[tuple[str, xr.Dataset]]:
    """Each 2-D image of a raster with extra dimensions, with a label for its columns, empty if there is only one."""
    extra = [d for d in result.dims if d != "crater"]
    if not extra:
        yield "", result
        return
    stacked = result.stack(image=extra)
    for i in range(stacked.sizes["image"]):
        image = stacked.isel(image=i)
        label = "_".join(f"{d}{image[d].item()}" if d in image.coords else f"{d}{i}" for d in extra)
        yield "" if stacked.sizes["image"] == 1 else label, image


def _suffix(raster: str, region: str, image: str) -> str:
    return "_" + "_".join(part for part in (raster, image, region) if part).strip("_")


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
