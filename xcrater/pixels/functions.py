"""A function of one's own over every crater's pixels, called where the pixels are read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from xcrater.engine.request import Request, make_request
from xcrater.errors import FunctionError
from xcrater.geometry import places
from xcrater.pixels.blocks import Blocks, Masked
from xcrater.pixels.cutting import Cutter
from xcrater.pixels.gathering import HandedOver, complete, hand_over
from xcrater.pixels.source import BlockSource, from_raster
from xcrater.raster.reading import Raster
from xcrater.table.regions import Region

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable

Array = NDArray[Any]
Returns = int | None | Mapping[str, int | None]

WANTS = ("values", "coverage", "distance", "azimuth", "x", "y", "lon", "lat")
"""What a function can be given of each pixel."""

PIXELS = 2**20
"""Pixels whose places are computed at once, unless one crater has more."""


def map_pixels(
    da: xr.DataArray,
    cdb: CraterTable,
    region: str | Iterable[str] | Mapping[str, Region],
    func: Callable[..., Any],
    *,
    dtype: Any = float,
    wants: str | Iterable[str] | None = None,
    returns: Returns = None,
    coverage: str | None = None,
    nodata: float | int | None = None,
    exclude: Exclude | float | None = None,
    errors: str = "raise",
) -> xr.DataArray | xr.Dataset:
    """A function of the pixels of every crater; see `CratersAccessor.map`."""
    takes = () if wants is None else _check_wants(wants)
    call = make_call(func, dtype, takes, returns, errors)
    request = make_request(da, cdb, region, coverage=coverage, nodata=nodata, exclude=exclude)
    dims = (*request.raster.extra_dims, "region", "crater")
    coords: dict[str, Any] = {**request.image_coordinates(), **request.coordinates(), "region": request.names}
    attrs = {"body": request.table.body, "coverage": request.shapes.coverage}
    taken = [name for name, _ in call.columns if name in coords or name in dims]
    if taken:
        raise FunctionError(f"received returns= with the name {taken[0]!r}, a coordinate of the result; choose another")
    cells = map_craters(from_raster(request, request.plan()), call)
    variables = {
        name: (dims if width is None else (*dims, "output" if name is None else f"{name}_output"), array)
        for (name, width), array in zip(call.columns, cells, strict=True)
    }
    result: xr.DataArray | xr.Dataset
    if None in variables:
        along, array = variables[None]
        result = xr.DataArray(array, dims=along, coords=coords, attrs=attrs)
    else:
        result = xr.Dataset(variables, coords=coords, attrs=attrs)
    return result.isel(region=0) if isinstance(region, str) else result


def with_whole_images(request: Request) -> Request:
    """The same request with the raster's extra dimensions in one chunk."""
    if graph.is_lazy(request.da) and request.raster.extra_dims:
        return request.with_data(request.da.chunk(dict.fromkeys(request.raster.extra_dims, -1)))
    return request


def _check_wants(wants: str | Iterable[str]) -> tuple[str, ...]:
    names = (wants,) if isinstance(wants, str) else tuple(wants)
    if not names or not set(names) <= set(WANTS):
        raise FunctionError(f"received wants={wants!r}; expected some of {', '.join(map(repr, WANTS))}")
    return names


@dataclass(frozen=True)
class Call:
    """What is done with each crater's pixels.

    Parameters
    ----------
    func : callable
        The function.
    takes : tuple of str or None
        Arrays of pixels that it takes by name; if empty, the valid values alone; None for the block as a masked array.
    columns : tuple of (str or None, int or None)
        Name and length of everything it returns; None for the only one, and for a single number.
    dtype : dtype
        Of what it returns.
    skip : bool
        Whether NaN stands for what it could not compute.
    """

    func: Callable[..., Any]
    takes: tuple[str, ...] | None
    columns: tuple[tuple[str | None, int | None], ...]
    dtype: np.dtype[Any]
    skip: bool = False

    @property
    def width(self) -> int:
        """Numbers that it returns."""
        return sum(1 if width is None else width for _, width in self.columns)

    def __call__(
        self, of_regions: Sequence[Blocks], craters: Craters, labels: Array, raster: Raster, apart: bool
    ) -> Array:
        """Results of some craters, shape (images, region, crater, width).

        Parameters
        ----------
        of_regions : sequence of Blocks
            Of each region, of the same craters.
        craters : Craters
            These.
        labels : sequence
            And their labels.
        raster : Raster
            What the blocks were cut from.
        apart : bool
            Whether images are apart: else each block has them all.
        """
        images = math.prod(of_regions[0].values.shape[:-1]) if apart else 1
        out = np.empty((images, len(of_regions), len(craters), self.width), self.dtype)
        for k, blocks in enumerate(of_regions):
            for some in blocks.groups(PIXELS):
                part = blocks.part(some.start, some.stop)
                for image, arguments in enumerate(self._arguments(part, craters, some, raster, apart)):
                    for cell, label, given in zip(out[image, k, some], labels[some], arguments, strict=True):
                        self._fill(cell, label, given)
        return out

    def _arguments(
        self, blocks: Blocks, craters: Craters, some: slice, raster: Raster, apart: bool
    ) -> Iterator[Iterable[Any]]:
        """For each image, what the function is given for each block."""
        if self.takes is None and not apart:
            yield blocks.arrays()
            return
        flat = (math.prod(blocks.values.shape[:-1]), blocks.values.shape[-1])
        values, mask = blocks.values.reshape(flat), blocks.mask.reshape(flat)
        if self.takes is None:
            for v, m in zip(values, mask, strict=True):
                yield replace(blocks, values=v, mask=m).arrays()
            return
        pixels = np.flatnonzero(~mask.all(axis=0))
        placed = _places(blocks, pixels, craters.take(some), raster, set(self.takes))
        for v, m in zip(values, mask, strict=True):
            valid = ~m[pixels]
            at = pixels[valid]
            ends = np.searchsorted(at, blocks.offset).tolist()
            cuts = [slice(a, b) for a, b in itertools.pairwise(ends)]
            if not self.takes:
                inside = v[at]
                yield (inside[cut] for cut in cuts)
                continue
            given = {name: v[at] if name == "values" else placed[name][valid] for name in self.takes}
            yield ({name: array[cut] for name, array in given.items()} for cut in cuts)

    def _fill(self, cell: Array, label: Any, given: Any) -> None:
        """Call the function for one crater."""
        try:
            value = self.func(**given) if self.takes else self.func(given)
        except Exception as err:
            if not self.skip:
                raise FunctionError(
                    f"the function failed for the crater labelled {_plain(label)!r} with {type(err).__name__}: {err}"
                ) from err
            cell[:] = np.nan
            return
        start = 0
        for name, width in self.columns:
            one = value
            if name is not None:
                if not isinstance(value, Mapping) or len(value) != len(self.columns) or name not in value:
                    raise FunctionError(
                        f"the function returned {_told(value)} for the crater labelled {_plain(label)!r}; expected a "
                        f"dict with {', '.join(repr(n) for n, _ in self.columns)}, as returns= says"
                    )
                one = value[name]
            if width is None and (self.dtype.kind == "O" or (type(one) is np.float64 and self.dtype == np.float64)):
                cell[start] = one
            else:
                cell[start : start + (width or 1)] = self._number(one, name, width, label)
            start += width or 1

    def _number(self, value: Any, name: str | None, width: int | None, label: Any) -> Array:
        """What the function returned, in the dtype and shape that were asked for."""
        array = np.asarray(value)
        if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
            array = np.where(np.ma.getmaskarray(value), np.nan, array)
        if isinstance(value, Mapping) or array.shape != (() if width is None else (width,)):
            what, of = "a number" if width is None else f"{width} numbers", "" if name is None else f" as {name!r}"
            raise FunctionError(
                f"the function returned {_told(value)}{of} for the crater labelled {_plain(label)!r}; expected {what}. "
                f"Say what it returns: {_advice(value, name)}"
            )
        numbers, kind = array.dtype.kind in "biufc", self.dtype.kind
        if numbers and kind in "biu":
            with np.errstate(invalid="ignore"):
                cast = array.astype(self.dtype)
            fits = bool((cast == array).all())
        else:
            fits = kind == "O" or (numbers and np.can_cast(array.dtype, self.dtype, "same_kind"))
        if not fits:
            raise FunctionError(
                f"the function returned {_told(value)} for the crater labelled {_plain(label)!r}; expected what "
                f"{self.dtype} holds. Say what it returns: dtype={array.dtype.name if numbers else 'object'}"
            )
        return array


def _plain(label: Any) -> Any:
    """A label as one would type it."""
    return label.item() if isinstance(label, np.generic) else label


def _told(value: Any) -> str:
    """A short description of what a function returned."""
    if isinstance(value, Mapping):
        return f"a dict with {', '.join(map(repr, value)) or 'nothing'}"
    array = np.asanyarray(value)
    return repr(value) if array.ndim == 0 else f"an array of shape {array.shape}"


def _advice(value: Any, name: str | None) -> str:
    """What to type so that a value fits."""
    if isinstance(value, Mapping):
        of = {str(n): None if np.ndim(v) == 0 else np.size(v) for n, v in value.items()}
        return f"returns={of!r}"
    size = None if np.ndim(value) == 0 else np.size(value)
    return f"returns={size!r}" if name is None else f"returns={{{name!r}: {size!r}, ...}}"


def make_call(
    func: Callable[..., Any], dtype: Any, takes: tuple[str, ...] | None, returns: Returns, errors: str
) -> Call:
    """Check what is to be done with each crater's pixels.

    Raises
    ------
    FunctionError
        Something does not fit.
    """
    if not callable(func):
        raise FunctionError(f"received {func!r}; expected a function of a crater's pixels")
    if errors not in ("raise", "nan"):
        raise FunctionError(f"received errors={errors!r}; expected 'raise' or 'nan'")
    kind = np.dtype(dtype)
    if kind.kind not in "biufcO":
        raise FunctionError(f"received dtype={dtype!r}; expected that of numbers, or object")
    if errors == "nan" and kind.kind in "biu":
        raise FunctionError(f"received errors='nan' with dtype {kind}, which has no NaN; take dtype=float")
    named = isinstance(returns, Mapping)
    columns: tuple[tuple[Any, Any], ...] = (
        tuple(returns.items()) if isinstance(returns, Mapping) else ((None, returns),)
    )
    sound = all(width is None or (isinstance(width, int | np.integer) and width > 0) for _, width in columns)
    if not columns or not sound or not all(isinstance(name, str) == named for name, _ in columns):
        raise FunctionError(
            f"received returns={returns!r}; expected None for a number, how many numbers, or a dict of those, such as "
            "returns={'mean': None, 'quartiles': 3}"
        )
    return Call(func, takes, columns, kind, errors == "nan")


def _places(blocks: Blocks, pixels: Array, craters: Craters, raster: Raster, wanted: set[str]) -> dict[str, Array]:
    """What is wanted of some pixels of blocks besides their values."""
    out: dict[str, Array] = {}
    if "coverage" in wanted:
        out["coverage"] = np.ones(pixels.size) if blocks.fraction is None else blocks.fraction[pixels]
    if not wanted & {"distance", "azimuth", "x", "y", "lon", "lat"}:
        return out
    of = np.searchsorted(blocks.offset, pixels, "right") - 1
    down, across = np.divmod(pixels - blocks.offset[of], blocks.shape[of, 1])
    u, v = blocks.window[of, 2] + across + 0.5, blocks.window[of, 0] + down + 0.5
    a, _, c, _, e, f = raster.surface[1]
    out |= {"x": c + a * u, "y": f + e * v}
    if wanted & {"distance", "azimuth", "lon", "lat"}:
        out["lon"], out["lat"] = places.lonlat(raster.grid, u, v)
    if wanted & {"distance", "azimuth"}:
        each = Craters(craters.row[of], craters.u0[of], craters.lat[of], craters.radius[of])
        out["distance"], out["azimuth"] = places.seen_from(raster.grid, each, out["lon"], out["lat"])
    return out


@dataclass(frozen=True, eq=False)
class LabelledTile(SpreadTile):
    """A tile that knows its craters' labels, by which errors name them.

    Parameters
    ----------
    labels : ndarray, shape (craters of this tile,)
        Labels in the table's index.
    """

    labels: Array


@dataclass(frozen=True, eq=False)
class Found:
    """Results of some craters.

    Parameters
    ----------
    row : ndarray of int32, shape (n,)
        Rows of the crater table.
    results : ndarray, shape (images, region, n, width)
        What the function returned.
    """

    row: NDArray[np.int32]
    results: Array


@dataclass(frozen=True)
class MapLeaf:
    """Calls the function for the craters of one tile, and hands the pieces of the others to their last tile.

    Parameters
    ----------
    cutter : Cutter
        How regions are cut.
    call : Call
        The function.
    apart : bool
        Whether it is called for each image apart.
    """

    cutter: Cutter
    call: Call
    apart: bool

    def __call__(self, block: Array, tile: LabelledTile) -> dict[int | None, Any]:
        """Results of the tile under None, the rest under the position of the tile that receives it."""
        cut = self.cutter(block, tile)
        alone = tile.craters.take(cut.alone)
        results = self.call(cut.whole, alone, tile.labels[cut.alone], self.cutter.raster, self.apart)
        return {None: [Found(alone.row, results)], **hand_over(cut, tile, tile.labels)}

    def complete(self, handed: Sequence[HandedOver]) -> list[Found]:
        """Results of the craters whose last tile has been read."""
        found = []
        for blocks, craters, labels in complete(self.cutter, handed):
            assert labels is not None
            results = self.call(blocks, craters, labels, self.cutter.raster, self.apart)
            found.append(Found(craters.row, results))
        return found


@dataclass(frozen=True, eq=False)
class MapFinish:
    """All results to one array, those of craters that lie on no tile computed at last.

    Parameters
    ----------
    cutter : Cutter
        How regions are cut.
    call : Call
        What is done with them.
    craters : Craters
        All of them.
    labels : pandas.Index
        Of the whole table.
    lead : tuple of int or None
        Shape of the raster's extra dimensions, where each block has them; None to keep images apart.
    """

    cutter: Cutter
    call: Call
    craters: Craters
    labels: pd.Index[Any]
    lead: tuple[int, ...] | None

    def __call__(self, found: list[Found], images: int) -> dict[str, Array]:
        """Put results together; images is their number in a block."""
        row, apart = self.craters.row, self.lead is None
        lead = (images,) if self.lead is None else self.lead
        shape = (images if apart else 1, len(self.cutter.shapes), row.size, self.call.width)
        out = np.empty(shape, self.call.dtype)
        position = np.zeros(int(row.max(initial=-1)) + 1, np.int64)
        position[row] = np.arange(row.size)
        left = np.ones(row.size, bool)
        for one in found:
            out[:, :, position[one.row]] = one.results
            left[position[one.row]] = False
        rest = np.flatnonzero(left)
        start = 0
        for blocks in self.cutter.join(self.craters.take(rest), [], lead):
            at = rest[start : start + len(blocks[0])]
            craters = self.craters.take(at)
            labels = self.labels[craters.row].to_numpy()
            out[:, :, at] = self.call(blocks, craters, labels, self.cutter.raster, apart)
            start += at.size
        return {"cells": out}


def merge(parts: Sequence[list[Found]]) -> list[Found]:
    """Merge what tiles gave, in order."""
    return [found for part in parts for found in part]


def map_craters(source: BlockSource, call: Call, *, apart: bool = True) -> list[Any]:
    """Results of every crater, an array for each thing that the function returns.

    Parameters
    ----------
    source : BlockSource
        The craters' blocks.
    call : Call
        The function.
    apart : bool
        Whether it is called for each image: else blocks have the raster's extra dimensions, which must be one chunk.

    Returns
    -------
    list of array
        Dimensions (extra dimensions if apart, region, crater, and one more for several numbers); lazy over a lazy
        raster.
    """
    request, cutter, index = source.request, source.cutter, source.request.table.data.index
    tiles = [
        LabelledTile(t.index, t.window, t.craters, t.number, t.spread, index[t.craters.row].to_numpy())
        for t in source.plan.spread_tiles()
    ]
    leaf = MapLeaf(cutter, call, apart)
    lead = None if apart else request.da.shape[:-2]
    cells = graph.reduce_tiles(
        request.da,
        tiles,
        leaf,
        merge,
        MapFinish(cutter, call, request.craters, index, lead),
        shape=(len(request.names), len(request.craters), call.width),
        dtypes={"cells": call.dtype.str},
        token=(request.craters, cutter, call, index, apart),
        keep_images=apart,
        later=graph.Later([tile.receivers.tolist() for tile in tiles], leaf.complete),
    )["cells"]
    results, start = [], 0
    for _, width in call.columns:
        results.append(cells[..., start] if width is None else cells[..., start : start + width])
        start += width or 1
    return results


@dataclass(frozen=True)
class _Together:
    """Several functions of a block as one."""

    functions: tuple[tuple[str, Callable[[Masked], Any]], ...]

    def __call__(self, block: Masked) -> dict[str, Any]:
        return {name: function(block) for name, function in self.functions}


def map_blocks(request: Request, plan: Plan, functions: Mapping[str, Callable[[Masked], Any]]) -> dict[str, Any]:
    """Functions of every crater's 2-D masked array: arrays of objects, dimensions (extra, region, crater)."""
    together = _Together(tuple(functions.items()))
    call = Call(together, None, tuple((name, None) for name in functions), np.dtype(object))
    return dict(zip(functions, map_craters(from_raster(request, plan), call), strict=True))
