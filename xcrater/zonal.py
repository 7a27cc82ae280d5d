"""Zonal statistics: one number per statistic, region and crater."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xcrater import arrays, graph, tiles
from xcrater.aggregations import AGGREGATIONS, CATEGORICAL, Aggregation, parse
from xcrater.errors import StatisticError
from xcrater.options import get_option
from xcrater.order import Coding, Order, Wanted
from xcrater.order import share as order_share
from xcrater.plan import extents
from xcrater.request import make_request

if TYPE_CHECKING:
    from xcrater.database import CraterDatabase


def get_stats(
    da: xr.DataArray,
    cdb: CraterDatabase,
    regions: str | Iterable[str],
    stats: str | Iterable[str] = ("mean", "std", "count"),
    *,
    coverage: str | None = None,
    weights: None = None,
    nodata: float | int | None = None,
    categorical: bool = False,
    add_stats: Mapping[str, Callable[[np.ma.MaskedArray[Any, Any]], Any] | Aggregation] | None = None,
) -> xr.Dataset:
    """Statistics of a raster's pixels in the regions of every crater; see `CratersAccessor.get_stats`."""
    if weights is not None:
        raise StatisticError(f"received weights={weights!r}; weights are not supported yet, expected None")
    request = make_request(da, cdb, regions, coverage=coverage, nodata=nodata)
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

    plan = request.plan()
    shape = (len(request.names), len(request.craters))
    results: dict[str, Any] = {}
    if wanted:
        raster, grid = request.raster, request.raster.grid
        order, shared, looks = None, list(plan), None
        if not all(a.reduces for a in wanted):
            asked = [getattr(a.finalise, "keywords", {}) for a in wanted]
            names = {a.name for a in wanted}
            order = Order(
                Wanted(
                    tuple(sorted({k["q"] for k in asked if "q" in k})),
                    bool(names & {"majority", "minority", "unique"}),
                    categories=CATEGORICAL.name in names,
                ),
                Coding(da.dtype.str, raster.scale, raster.offset),
                shape[0],
                get_option("memory"),
            )
            top, bottom, half = extents(grid, request.craters, max(request.shapes.outer))
            size = np.minimum(bottom - top + 2, grid.shape[0]) * np.minimum(2 * half + 2, grid.shape[1])
            images = (
                math.prod(max(c) for c in request.da.chunks[:-2]) if request.da.chunks else request.da[..., 0, 0].size
            )
            share = order_share(plan.offset, plan.member, (size * shape[0]).astype(np.int64), order, images=images)
            shared = [replace(t, share=share.take(t.craters.row)) for t in shared]
        leaf = tiles.Leaf(request.shapes, raster.nodata, values=False, order=order)
        if order is not None:
            digits = [np.flatnonzero(share.digits[t.craters.row]) for t in shared]
            again = [replace(t, craters=t.craters.take(d)) for t, d in zip(shared, digits, strict=True) if d.size]
            looks = graph.Looks(
                again, order.looks - 1, leaf.look, order.merge, partial(tiles.targets, order),
                partial(tiles.with_targets, order),
            )  # fmt: skip
        finish = tiles.Finish(wanted, shape[1], shape[0], da.dtype.str, raster.scale, raster.offset, order)
        results = graph.reduce_tiles(
            request.da,
            shared,
            leaf,
            partial(tiles.merge, order=order),
            finish,
            shape=shape,
            dtypes={a.name: a.dtype for a in wanted},
            token=(request.craters, leaf, finish),
            looks=looks,
        )
    if added:
        results |= arrays.map_blocks(request, plan, added)

    dims = (*request.raster.extra_dims, "region", "crater")
    variables = {name: (dims, array) for name, array in results.items()}
    extra = {name: c.variable for name, c in request.da.coords.items() if set(c.dims) <= set(request.raster.extra_dims)}
    extra.pop("spatial_ref", None)
    dataset = xr.Dataset(variables, coords={**extra, **request.coordinates(), "region": request.names})
    dataset.attrs = {"body": request.table.body, "coverage": "all_touched" if request.shapes.touched else "center"}
    return dataset.isel(region=0) if isinstance(regions, str) else dataset
