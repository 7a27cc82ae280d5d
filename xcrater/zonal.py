"""Zonal statistics: one number per statistic, region and crater."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xcrater import arrays, graph, tiles
from xcrater.aggregations import AGGREGATIONS, CATEGORICAL, Aggregation, parse
from xcrater.errors import StatisticError
from xcrater.request import Request, make_request

if TYPE_CHECKING:
    from xcrater.database import CraterDatabase


def get_stats(
    da: xr.DataArray,
    cdb: CraterDatabase,
    regions: str | Iterable[str],
    stats: str | Iterable[str] = ("mean", "std", "count"),
    *,
    coverage: str | None = None,
    weights: str | xr.DataArray | None = None,
    nodata: float | int | None = None,
    categorical: bool = False,
    add_stats: Mapping[str, Callable[[np.ma.MaskedArray[Any, Any]], Any] | Aggregation] | None = None,
) -> xr.Dataset:
    """Statistics of a raster's pixels in the regions of every crater; see `CratersAccessor.get_stats`."""
    request = make_request(da, cdb, regions, coverage=coverage, nodata=nodata)
    given = check_weights(request, weights)
    wanted = parse(stats) + ((CATEGORICAL,) if categorical else ())
    if not wanted and not add_stats:
        wanted = parse(("count", "min", "max", "mean"))
    added: dict[str, Any] = {}
    for name, function in (add_stats or {}).items():
        if name in AGGREGATIONS or name.startswith("percentile_") or name == CATEGORICAL.name:
            raise StatisticError(f"received add_stats with the name {name!r}, a built-in statistic; choose another")
        if isinstance(function, Aggregation):
            wanted += (replace(function, name=name),)
        elif callable(function):
            added[name] = function
        else:
            raise StatisticError(f"received add_stats[{name!r}] = {function!r}; expected a function of a masked array")

    if request.shapes.exact:  # counts are sums of fractions
        wanted = tuple(replace(a, dtype="float64") if a.dtype == "int64" else a for a in wanted)
    plan = request.plan()
    shape = (len(request.names), len(request.craters))
    results: dict[str, Any] = {}
    if wanted:
        needs = {need for a in wanted for need in a.needs}
        leaf = tiles.Leaf(
            request.shapes,
            request.raster.nodata,
            values="values" in needs,
            weights="given" if given is not None else weights if isinstance(weights, str) else None,
            more=not needs.isdisjoint(("area", "moments")),
            surface=request.raster.surface if "area" in needs or isinstance(weights, str) else None,
        )
        finish = tiles.Finish(wanted, shape[1], shape[0], da.dtype.str, request.raster.scale, request.raster.offset, leaf)
        results = graph.reduce_tiles(
            request.da,
            plan,
            leaf,
            tiles.merge,
            finish,
            shape=shape,
            dtypes={a.name: a.dtype for a in wanted},
            token=(request.craters, leaf, finish),
            beside=given,
        )
    if added:
        results |= arrays.map_blocks(request, plan, added)

    dims = (*request.raster.extra_dims, "region", "crater")
    variables = {name: (dims, array) for name, array in results.items()}
    extra = {name: c.variable for name, c in request.da.coords.items() if set(c.dims) <= set(request.raster.extra_dims)}
    extra.pop("spatial_ref", None)
    dataset = xr.Dataset(variables, coords={**extra, **request.coordinates(), "region": request.names})
    dataset.attrs = {"body": request.table.body, "coverage": request.shapes.coverage}
    return dataset.isel(region=0) if isinstance(regions, str) else dataset


def check_weights(request: Request, weights: object) -> xr.DataArray | None:
    """The array of weights, its rows and columns last, where there is one.

    Raises
    ------
    StatisticError
        The weights are neither "area" nor an array on the raster's own grid.
    """
    if weights is None or (isinstance(weights, str) and weights == "area"):
        return None
    if not isinstance(weights, xr.DataArray):
        raise StatisticError(
            f"received weights={weights!r}; expected None, 'area' for each pixel's true area, or an xarray.DataArray "
            "on the raster's grid"
        )
    da, raster = request.da, request.raster
    dims = (raster.y_dim, raster.x_dim)
    if set(weights.dims) != set(dims):
        raise StatisticError(
            f"received weights with dimensions {tuple(weights.dims)}; expected those of the raster's rows and columns, "
            f"{dims}. Take one image: weights.isel(...)"
        )
    weights = weights.transpose(*dims)
    for dim in dims:
        same = weights.sizes[dim] == da.sizes[dim] and (
            (dim in weights.coords) == (dim in da.coords)
            and (dim not in da.coords or np.array_equal(weights[dim].to_numpy(), da[dim].to_numpy()))
        )
        if not same:
            raise StatisticError(
                f"received weights whose {dim!r} is not the raster's ({weights.sizes[dim]} against {da.sizes[dim]} "
                "pixels, or other coordinates); expected the same grid: weights = weights.rio.reproject_match(da)"
            )
    if weights.rio.crs is not None and weights.rio.crs != da.rio.crs:
        raise StatisticError(
            "received weights whose CRS is not the raster's; expected the same grid: "
            "weights = weights.rio.reproject_match(da)"
        )
    if weights.dtype.kind not in "biuf":
        raise StatisticError(f"received weights of dtype {weights.dtype}; expected numbers")
    return weights
