"""Zonal statistics: one number per statistic, region and crater."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xcrater.engine import graph
from xcrater.engine.neighbours import Exclude
from xcrater.engine.plan import Plan, Tile
from xcrater.engine.reduction import Output, Passes, Reduction
from xcrater.engine.request import Request, make_request
from xcrater.engine.rounds import Room, along_tiles
from xcrater.engine.weights import check_weights
from xcrater.errors import StatisticError
from xcrater.options import get_option
from xcrater.pixels import functions
from xcrater.statistics import accumulators
from xcrater.statistics.aggregations import CATEGORICAL, Aggregation, Asked, Function, apart, is_builtin, parse
from xcrater.statistics.described import attributes
from xcrater.statistics.finish import Finish, FinishRounds, FinishSome
from xcrater.statistics.leaf import Leaf
from xcrater.statistics.quantiles.coding import Coding
from xcrater.statistics.quantiles.problem import Problem
from xcrater.statistics.quantiles.search import OrderSearch
from xcrater.statistics.quantiles.sharing import choose_digits, shared_tiles
from xcrater.statistics.quantiles.wanted import OrderStatistics
from xcrater.table.regions import Region

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable


def get_stats(
    da: xr.DataArray,
    cdb: CraterTable,
    regions: str | Iterable[str] | Mapping[str, Region],
    stats: Asked = ("mean", "std", "count"),
    *,
    coverage: str | None = None,
    weights: str | xr.DataArray | None = None,
    nodata: float | int | None = None,
    exclude: Exclude | float | None = None,
    categorical: bool = False,
    add_stats: Mapping[str, Function | Aggregation] | None = None,
) -> xr.Dataset:
    """Compute statistics of the pixels in the regions of every crater; see `CratersAccessor.get_stats`."""
    request = make_request(da, cdb, regions, coverage=coverage, nodata=nodata, exclude=exclude)
    given = check_weights(request, weights)
    names, functions_by_name = apart(stats, add_stats)
    wanted = parse(names) + ((CATEGORICAL,) if categorical else ())
    if not wanted and not functions_by_name:
        wanted = parse(("count", "min", "max", "mean"))
    added: dict[str, Any] = {}
    for name, function in functions_by_name.items():
        if is_builtin(name):
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
        raster = request.raster
        needs = {need for a in wanted for need in a.needs}
        order = reduce(or_, (a.order for a in wanted))
        leaf = Leaf(
            request.shapes,
            raster.nodata,
            order=_order(request, order, weights is not None, given is not None) if order else None,
            weights="given" if given is not None else "area" if weights is not None else None,
            area="area" in needs,
            higher="moments" in needs,
            surface=raster.surface if "area" in needs or (weights is not None and given is None) else None,
        )
        finish = Finish(wanted, shape[1], shape[0], da.dtype.str, raster.scale, raster.offset, leaf)
        passes: Passes | None = None
        end: Callable[..., Any] = finish
        if leaf.order is None:
            rounds, end = _rounds(request, plan, finish)
        else:
            tiles, passes = _passes(request, plan, leaf)
            rounds = [graph.Round(tiles)]
        results = graph.reduce_rounds(
            request.da,
            rounds,
            Reduction(
                leaf,
                partial(accumulators.merge, order=leaf.order),
                end,
                {a.name: Output(shape, a.dtype) for a in wanted},
                beside=given,
                passes=passes,
            ),
            token=(request.craters, leaf, finish),
        )
    if added:
        results |= functions.map_blocks(request, plan, added)

    dims = (*request.raster.extra_dims, "region", "crater")
    variables = {name: (dims, array, attributes(name, da, weights)) for name, array in results.items()}
    coords = {**request.image_coordinates(), **request.coordinates(), "region": request.region_coordinate()}
    dataset = xr.Dataset(variables, coords=coords)
    dataset.attrs = {"body": request.table.body, "coverage": request.shapes.coverage}
    if weights is not None:
        dataset.attrs["weights"] = "an array" if given is not None else weights
    return dataset.isel(region=0) if isinstance(regions, str) else dataset


def _rounds(request: Request, plan: Plan, finish: Finish) -> tuple[list[graph.Round], Callable[..., Any]]:
    """Divide a request into rounds whose accumulators fit half of the memory; also returns what finishes them."""
    each = finish.leaf.crater_bytes(request.images)
    parts = along_tiles(plan, each, Room.within(get_option("memory")).accumulators)
    if len(parts) < 2:
        return [graph.Round(list(plan))], finish
    rounds = [graph.Round(list(plan.only(craters)), finish=FinishSome(finish, craters)) for craters in parts]
    return rounds, FinishRounds(finish)


def _order(request: Request, wanted: OrderStatistics, weighted: bool, given: bool) -> OrderSearch:
    raster = request.raster
    coding = Coding(request.da.dtype.str, raster.scale, raster.offset)
    weighted = weighted or request.shapes.exact
    return OrderSearch(Problem(wanted, coding, len(request.names), get_option("memory"), weighted, given))


def _passes(request: Request, plan: Plan, leaf: Leaf) -> tuple[Sequence[Tile], Passes]:
    """Tiles that know how they share craters, and further passes over the tiles of craters too large to ship."""
    order, da = leaf.order, request.da
    assert order is not None
    pixels = np.minimum(request.pixels(), da.shape[-1] * da.shape[-2]) * request.shapes.layers
    by_digits = choose_digits(plan.spread, len(plan), pixels.astype(np.int64), order.problem, images=request.images)
    all_tiles = list(shared_tiles(plan, by_digits))
    again = [large for tile in all_tiles if (large := tile.revisited()) is not None]
    between, finish = partial(accumulators.targets, order), partial(accumulators.with_targets, order)
    return all_tiles, Passes(again, order.passes - 1, leaf.next_pass, order.merge, between, finish)
