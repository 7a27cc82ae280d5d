"""User-supplied functions of every crater's pixels, called in the tasks that read the pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xcrater.engine import graph
from xcrater.engine.craters import Craters
from xcrater.engine.neighbours import Exclude
from xcrater.engine.plan import Plan, SpreadTile
from xcrater.engine.reduction import Handover, Output, Reduction, chained
from xcrater.engine.request import Request, make_request
from xcrater.engine.rounds import used_up
from xcrater.engine.sized import Sized
from xcrater.engine.weights import block_weights, check_weights
from xcrater.errors import FunctionError
from xcrater.pixels.blocks import Masked
from xcrater.pixels.budget import check_craters
from xcrater.pixels.calls import Call, Returns, check_wants, make_call
from xcrater.pixels.cutting import Cutter
from xcrater.pixels.gathering import HandedOver, RegionBlocks, complete, hand_over
from xcrater.pixels.source import BlockSource, from_raster
from xcrater.table.regions import Region

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable

Array = NDArray[Any]


def map_pixels(
    da: xr.DataArray,
    cdb: CraterTable,
    regions: str | Iterable[str] | Mapping[str, Region],
    func: Callable[..., Any],
    *,
    dtype: Any = float,
    wants: str | Iterable[str] | None = None,
    returns: Returns = None,
    coverage: str | None = None,
    weights: str | xr.DataArray | None = None,
    nodata: float | int | None = None,
    exclude: Exclude | float | None = None,
    errors: str = "raise",
) -> xr.DataArray | xr.Dataset:
    """Apply a function to the pixels of every crater; see `CratersAccessor.map`."""
    takes = () if wants is None else check_wants(wants)
    call = make_call(func, dtype, takes, returns, errors)
    request = make_request(da, cdb, regions, coverage=coverage, nodata=nodata, exclude=exclude)
    beside = check_weights(request, weights)
    if weights is not None and "weights" not in takes:
        raise FunctionError(
            "received weights that the function does not take; expected it to take them by name: "
            "wants=('values', 'weights')"
        )
    dims = (*request.raster.extra_dims, "region", "crater")
    coords: dict[str, Any] = {
        **request.image_coordinates(),
        **request.coordinates(),
        "region": request.region_coordinate(),
    }
    attrs = {"body": request.table.body, "coverage": request.shapes.coverage}
    taken = [name for name, _ in call.columns if name in coords or name in dims]
    if taken:
        raise FunctionError(f"received returns= with the name {taken[0]!r}, a coordinate of the result; choose another")
    source = from_raster(request, request.plan())
    cells = map_craters(source, call, weights=beside if beside is not None else weights)
    variables = {
        name: (
            dims if width is None else (*dims, "output" if name is None else f"{name}_output"),
            array,
            _named(func, name),
        )
        for (name, width), array in zip(call.columns, cells, strict=True)
    }
    result: xr.DataArray | xr.Dataset
    if None in variables:
        along, array, name = variables[None]
        result = xr.DataArray(array, dims=along, coords=coords, attrs=name | attrs)
    else:
        result = xr.Dataset(variables, coords=coords, attrs=attrs)
    return result.isel(region=0) if isinstance(regions, str) else result


def _named(func: Callable[..., Any], name: str | None) -> dict[str, str]:
    """Attributes of a function's results."""
    return {"long_name": str(getattr(func, "__name__", "function of pixels")) if name is None else name}


def with_whole_images(request: Request) -> Request:
    """A copy of a request with the raster's extra dimensions in one chunk."""
    if graph.is_lazy(request.da) and request.raster.extra_dims:
        return request.with_data(request.da.chunk(dict.fromkeys(request.raster.extra_dims, -1)))
    return request


@dataclass(frozen=True, eq=False)
class LabelledTile(SpreadTile):
    """A tile that knows the labels of its craters, so that errors can name them.

    Parameters
    ----------
    labels : ndarray, shape (craters of this tile,)
        Labels of the craters.
    """

    labels: Array


@dataclass(frozen=True, eq=False)
class Results(Sized):
    """Results of some craters.

    Parameters
    ----------
    row : ndarray of int32, shape (n,)
        Positions of the craters in the table.
    values : ndarray, shape (images, region, n, width)
        Results of the function.
    """

    row: NDArray[np.int32]
    values: Array


@dataclass(frozen=True, eq=False)
class HandedPixels(Sized):
    """Pixels that one tile hands to the last tile that lists some of its craters.

    Parameters
    ----------
    values : HandedOver
        Pixels of the raster, and the craters' labels.
    weights : HandedOver or None
        Pixels of the weights, if there are any.
    """

    values: HandedOver
    weights: HandedOver | None


@dataclass(frozen=True)
class MapLeaf:
    """Calls the function for the craters of one tile that are complete, and hands over the pixels of the others.

    Parameters
    ----------
    cutter : Cutter
        Cuts regions from the raster.
    call : Call
        The function.
    apart : bool
        Whether the function is called for each image separately.
    weights : {"area", "given"} or None
        Weights of the pixels: their true areas, those of a second raster, or none.
    """

    cutter: Cutter
    call: Call
    apart: bool
    weights: str | None

    @property
    def weight_cutter(self) -> Cutter:
        """Cuts the same regions from the weights."""
        return Cutter(self.cutter.shapes, replace(self.cutter.raster, nodata=None, scale=1.0, offset=0.0), "<f8")

    def __call__(
        self, block: Array, tile: LabelledTile, beside: Array | None = None
    ) -> dict[int | None, list[Results] | HandedPixels]:
        """Compute the results of a tile.

        Results of complete craters are stored under None; the pixels of others under the position of the tile that
        receives them.
        """
        cut = self.cutter(block, tile)
        handed = hand_over(cut, tile, tile.labels)
        weights, handed_weights = None, None
        if self.weights is not None:
            mass = block_weights(self.cutter.raster, tile.window, beside)
            weight_cut = self.weight_cutter(np.broadcast_to(mass, block.shape[-2:]), tile)
            weights, handed_weights = weight_cut.whole, hand_over(weight_cut, tile)
        alone = tile.craters.take(cut.alone)
        out: dict[int | None, list[Results] | HandedPixels] = {
            None: [self._results(cut.whole, weights, alone, tile.labels[cut.alone])]
        }
        for receiver, values in handed.items():
            out[receiver] = HandedPixels(values, None if handed_weights is None else handed_weights[receiver])
        return out

    def complete(self, handed: Sequence[HandedPixels]) -> list[Results]:
        """Compute the results of the craters whose last tile has been read."""
        weights = [one.weights for one in handed if one.weights is not None]
        weight_blocks = complete(self.weight_cutter, weights) if weights else None
        found = []
        for blocks, craters, labels in complete(self.cutter, [one.values for one in handed]):
            assert labels is not None
            # Weights come in the same groups, because their blocks have the same windows.
            mass = None if weight_blocks is None else next(weight_blocks).blocks
            found.append(self._results(blocks, mass, craters, labels))
        return found

    def _results(self, blocks: RegionBlocks, weights: RegionBlocks | None, craters: Craters, labels: Array) -> Results:
        values = self.call(blocks, weights, craters, labels, self.cutter.raster, apart=self.apart)
        return Results(craters.row, values)


@dataclass(frozen=True, eq=False)
class MapFinish:
    """Puts the results of all craters into one array, and calls the function for craters that lie on no tile.

    Parameters
    ----------
    cutter : Cutter
        Cuts regions from the raster.
    call : Call
        The function.
    craters : Craters
        All craters.
    labels : pandas.Index
        Labels of the whole table.
    lead : tuple of int or None
        Lengths of the raster's extra dimensions if each block has all images; None if images are separate.
    """

    cutter: Cutter
    call: Call
    craters: Craters
    labels: pd.Index[Any]
    lead: tuple[int, ...] | None

    def __call__(self, found: list[Results], images: int) -> dict[str, Array]:
        """Assemble the array of shape (images, region, crater, width)."""
        row, apart = self.craters.row, self.lead is None
        lead = (images,) if self.lead is None else self.lead
        shape = (images if apart else 1, len(self.cutter.shapes), row.size, self.call.width)
        out = np.empty(shape, self.call.dtype)
        position = np.zeros(int(row.max(initial=-1)) + 1, np.int64)
        position[row] = np.arange(row.size)
        left = np.ones(row.size, bool)
        for results in found:
            out[:, :, position[results.row]] = results.values
            left[position[results.row]] = False
        rest = np.flatnonzero(left)
        start = 0
        for blocks in self.cutter.join(self.craters.take(rest), [], lead):
            at = rest[start : start + len(blocks[0])]
            craters = self.craters.take(at)
            labels = self.labels[craters.row].to_numpy()
            out[:, :, at] = self.call(blocks, None, craters, labels, self.cutter.raster, apart=apart)
            start += at.size
        return {"cells": out}


def map_craters(
    source: BlockSource, call: Call, *, apart: bool = True, weights: xr.DataArray | str | None = None
) -> list[Any]:
    """Compute the results of every crater, one array for each item that the function returns.

    Parameters
    ----------
    source : BlockSource
        The craters' blocks.
    call : Call
        The function.
    apart : bool
        Whether the function is called for each image separately; otherwise blocks have the raster's extra dimensions,
        which must be in one chunk.
    weights : {"area"} or xarray.DataArray, optional
        Weight of each pixel, as `check_weights` returns it.

    Returns
    -------
    list of array
        Dimensions (extra dimensions if apart, region, crater, and one more for several numbers); lazy if the raster
        is.
    """
    request, cutter = source.request, source.cutter
    index = request.table.data.index
    # A crater is in memory three times: as pieces, as pieces being handed over, and as the assembled block.
    block = cutter.pixel_bytes(request.images)
    handed = call.pixel_bytes(cutter.result_dtype.itemsize) + (0 if weights is None else 18)
    needed = source.sizes // block * (3 * block + handed)
    check_craters(needed, source.labels, "take statistics that are not user-supplied: they never hold a whole crater")
    rounds = [
        [
            LabelledTile(t.index, t.window, t.craters, t.number, t.spread, index[t.craters.row].to_numpy())
            for t in plan.spread_tiles()
        ]
        for plan in used_up(source.rounds())
    ]
    beside = weights if isinstance(weights, xr.DataArray) else None
    leaf = MapLeaf(cutter, call, apart, None if weights is None else "area" if beside is None else "given")
    lead = None if apart else source.lead
    cells = graph.reduce_rounds(
        request.da,
        [graph.Round(tiles, Handover.to_last(tiles, leaf.complete)) for tiles in rounds],
        Reduction(
            leaf,
            chained,
            MapFinish(cutter, call, request.craters, index, lead),
            {"cells": Output((len(request.names), len(request.craters), call.width), call.dtype.str)},
            keep_images=apart,
            beside=beside,
        ),
        token=(request.craters, leaf, index),
    )["cells"]
    results, start = [], 0
    for _, width in call.columns:
        results.append(cells[..., start] if width is None else cells[..., start : start + width])
        start += width or 1
    return results


@dataclass(frozen=True)
class _Together:
    """Combines several functions of a block into one."""

    functions: tuple[tuple[str, Callable[[Masked], Any]], ...]

    def __call__(self, block: Masked) -> dict[str, Any]:
        return {name: function(block) for name, function in self.functions}


def map_blocks(request: Request, plan: Plan, functions: Mapping[str, Callable[[Masked], Any]]) -> dict[str, Any]:
    """Apply functions to every crater's 2-D masked array; arrays of objects, dimensions (extra, region, crater)."""
    together = _Together(tuple(functions.items()))
    call = Call(together, None, tuple((name, None) for name in functions), np.dtype(object))
    return dict(zip(functions, map_craters(from_raster(request, plan), call), strict=True))
