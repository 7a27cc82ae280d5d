"""Sources of blocks of pixels: a raster, or a store of blocks that were cut from one earlier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater.engine import graph
from xcrater.engine.rounds import Room, in_rounds
from xcrater.options import get_option
from xcrater.pixels.cutting import Cutter

if TYPE_CHECKING:
    import xarray as xr

    from xcrater.engine.plan import Plan
    from xcrater.engine.request import Request


@dataclass(frozen=True, eq=False)
class LazyPixels:
    """A raster's pixels as a dask array, made once for all sources that share the raster.

    Parameters
    ----------
    da : xarray.DataArray
        The raster, rows and columns last.
    """

    da: xr.DataArray

    @cached_property
    def array(self) -> Any:
        """The dask array, made only when needed, since naming an array in memory takes a hash of all its pixels."""
        return graph.to_dask(self.da)


@dataclass(frozen=True, eq=False)
class BlockSource:
    """The blocks of a request's regions and craters, to be cut from the raster tile by tile.

    Parameters
    ----------
    request : Request
        The regions and craters; the raster's extra dimensions are in one chunk.
    labels : pandas.Index
        Label of each of the request's craters.
    pixels : LazyPixels
        The request's raster.
    planned : Plan or None
        The request's plan, if it is known already.
    """

    request: Request
    labels: pd.Index[Any]
    pixels: LazyPixels
    planned: Plan | None = None

    @property
    def regions(self) -> list[str]:
        """Names of the regions."""
        return self.request.names

    @property
    def lead(self) -> tuple[int, ...]:
        """Lengths of the raster's extra dimensions."""
        return self.request.da.shape[:-2]

    @property
    def path(self) -> str | None:
        """Path of the store from which blocks are read; None if they are cut from the raster."""
        return None

    @cached_property
    def cutter(self) -> Cutter:
        """Cuts blocks from a tile."""
        request = self.request
        return Cutter(request.shapes, request.raster, request.da.dtype.str)

    @cached_property
    def plan(self) -> Plan:
        """The tiles, and the craters to cut from each."""
        return self.request.plan(warn=False) if self.planned is None else self.planned

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of the pixels of all regions of each crater, shape (craters,)."""
        return self.cutter.sizes(self.request.craters, self.request.images)

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the values of all regions and craters, including masked pixels."""
        window = self.cutter.windows(self.request.craters)
        pixels = ((window[..., 1] - window[..., 0]) * (window[..., 3] - window[..., 2])).sum()
        return math.prod(self.lead) * self.cutter.result_dtype.itemsize * int(pixels)

    def large(self) -> NDArray[np.int64]:
        """Positions, ascending, of the craters whose pixels exceed the share of memory for waiting pixels."""
        return np.flatnonzero(self.sizes > Room.within(get_option("memory")).waiting)

    def rounds(self) -> list[Plan]:
        """The plan of all craters, in as many rounds as the option ``memory`` makes necessary."""
        return in_rounds(self.plan, self.sizes, Room.within(get_option("memory")))

    @property
    def token(self) -> str:
        """Hash of everything that the blocks depend on, and of the craters' labels."""
        return graph.token(self.pixels.array.name, self.cutter, self.request.craters, self.labels, self.regions)

    @cached_property
    def position(self) -> NDArray[np.int64]:
        """Position in this source of each row of the crater table; 0 for rows of craters that are not in it."""
        row = self.request.craters.row
        position = np.zeros(int(row.max(initial=-1)) + 1, np.int64)
        position[row] = np.arange(row.size)
        return position

    def of(self, regions: Sequence[int]) -> BlockSource:
        """The blocks of some of the regions, by position; the source itself for all regions in order."""
        if list(regions) == list(range(len(self.regions))):
            return self
        return replace(self, request=self.request.of(regions), planned=None)

    def take(self, positions: NDArray[np.integer]) -> BlockSource:
        """The blocks of some of the craters, in the order of the positions."""
        return replace(self, request=self.request.take(positions), labels=self.labels[positions], planned=None)


def from_raster(request: Request, plan: Plan) -> BlockSource:
    """Make the source of the blocks of all craters of a table, to be cut from a raster.

    Parameters
    ----------
    request : Request
        The regions and craters.
    plan : Plan
        The request's plan.
    """
    return BlockSource(request, request.table.data.index, LazyPixels(request.da), plan)
