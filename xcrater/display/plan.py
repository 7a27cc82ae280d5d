"""Estimates of what an operation will read, return and hold in memory, made before it runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xcrater import formatting
from xcrater.engine.neighbours import Exclude
from xcrater.engine.plan import Plan
from xcrater.engine.request import make_request
from xcrater.engine.rounds import Room, along_tiles
from xcrater.options import get_option
from xcrater.pixels.functions import with_whole_images
from xcrater.pixels.source import from_raster
from xcrater.statistics.aggregations import parse
from xcrater.statistics.leaf import Leaf

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable

RUNNING = 256 * 2**20
"""Bytes that a process takes once it has loaded the compiled kernels and the libraries that read files."""


@dataclass(frozen=True, eq=False)
class Outlook:
    """What one kind of operation costs under a plan.

    Parameters
    ----------
    rounds : int
        Number of rounds over the raster, which the option ``memory`` makes necessary.
    tiles_read : int
        Number of tiles read in all rounds; a tile counts once for each round that reads it.
    result : int
        Bytes of the result.
    peak : int
        Estimated bytes that one process holds at most, the result included.

    Examples
    --------
    >>> from xcrater import tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> outlook = dem.craters.plan(cdb, "rim", "mean").statistics
    >>> outlook.rounds, outlook.tiles_read, outlook.result
    (1, 2, 24)
    """

    rounds: int
    tiles_read: int
    result: int
    peak: int


@dataclass(frozen=True, eq=False)
class CraterPlan:
    """What a table and its regions require of a raster; made by ``da.craters.plan``, which reads no pixel.

    Attributes
    ----------
    tiles : pandas.DataFrame
        One row for each chunk of the raster that any region may reach, in the order in which they are read: ``row`` and
        ``column`` of the chunk, number of ``craters`` whose regions meet it, and ``bytes`` to be read, all images
        together.
    chunks : int
        Number of chunks of the raster, including those that no region reaches.
    craters : int
        Number of craters.
    regions : list of str
        Names of the regions.
    sizes : pandas.Series
        Bytes that the pixels of each crater take with their masks, by label.
    statistics : Outlook
        For `get_stats` with the requested statistics.
    arrays : Outlook
        For `get_arrays`: the result is that of ``compute()``, the peak that of ``iter_computed()``, which never holds
        the whole result.

    Notes
    -----
    Peaks are estimates for a process with one thread per processor. They exclude what a file's driver caches.

    Examples
    --------
    >>> from xcrater import tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> plan = dem.craters.plan(cdb, "rim")
    >>> plan.craters, plan.chunks, plan.tiles.columns.tolist()
    (3, 2, ['row', 'column', 'craters', 'bytes'])
    """

    tiles: pd.DataFrame
    chunks: int
    craters: int
    regions: list[str]
    sizes: pd.Series[int]
    statistics: Outlook
    arrays: Outlook

    @property
    def bytes_read(self) -> int:
        """Bytes of all tiles, each read once.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> dem.craters.plan(cdb, "rim").bytes_read == dem.nbytes
        True
        """
        return int(self.tiles["bytes"].sum())

    def _rows(self) -> dict[str, str]:
        """The lines of the text and HTML representations, by heading."""
        rows = {
            "Craters": f"{self.craters:,}",
            "Regions": ", ".join(self.regions),
            "Tiles": f"{len(self.tiles):,} of the raster's {self.chunks:,} chunks",
            "To read": formatting.size(self.bytes_read),
        }
        if len(self.sizes):
            rows["Largest crater"] = f"{formatting.size(int(self.sizes.max()))} of pixels: {self.sizes.idxmax()}"
        for name, outlook in (("Statistics", self.statistics), ("Arrays", self.arrays)):
            rounds = "" if outlook.rounds < 2 else f" in {outlook.rounds} rounds, {outlook.tiles_read:,} tiles read"
            result, peak = formatting.size(outlook.result), formatting.size(outlook.peak)
            rows[name] = f"{result} of results, at most about {peak} of memory{rounds}"
        return rows

    def __repr__(self) -> str:
        rows = self._rows()
        width = max(map(len, rows)) + 2
        return "\n".join(["xcrater.CraterPlan", *(f"  {name:{width}}{text}" for name, text in rows.items())])

    def _repr_html_(self) -> str:
        return formatting.table("xcrater.CraterPlan: nothing has been read", self._rows())


def make_crater_plan(
    da: xr.DataArray,
    cdb: CraterTable,
    regions: str | Iterable[str],
    stats: str | Iterable[str] = ("mean", "std", "count"),
    *,
    coverage: str | None = None,
    nodata: float | int | None = None,
    exclude: Exclude | float | None = None,
) -> CraterPlan:
    """Estimate what a table and its regions require of a raster; see `CratersAccessor.plan`."""
    wanted = parse(stats)
    request = make_request(da, cdb, regions, coverage=coverage, nodata=nodata, exclude=exclude)
    plan, raster = request.plan(), request.raster
    row, column = np.divmod(plan.tile, len(raster.grid.col_edges) - 1)
    heights, widths = np.diff(raster.grid.row_edges)[row], np.diff(raster.grid.col_edges)[column]
    images, itemsize = int(np.prod(request.da.shape[:-2])), request.da.dtype.itemsize
    tiles = pd.DataFrame(
        {"row": row, "column": column, "craters": np.diff(plan.offset), "bytes": heights * widths * images * itemsize}
    )
    source = from_raster(with_whole_images(request), plan)
    threads = os.cpu_count() or 1
    # Each thread holds a block twice: as it was read, and as the kernel takes it
    blocks = RUNNING + 2 * threads * int(tiles["bytes"].max() if len(tiles) else 0)
    needs = {need for a in wanted for need in a.needs}
    leaf = Leaf(request.shapes, raster.nodata, area="area" in needs, higher="moments" in needs)
    of_arrays, numbers = source.rounds(), images * len(request.names) * len(wanted)
    return CraterPlan(
        tiles=tiles,
        chunks=(len(raster.grid.row_edges) - 1) * (len(raster.grid.col_edges) - 1),
        craters=len(request.craters),
        regions=request.names,
        sizes=pd.Series(source.sizes, source.labels, name="bytes"),
        statistics=_of_statistics(plan, leaf.crater_bytes(request.images), numbers, blocks),
        arrays=Outlook(
            rounds=len(of_arrays),
            tiles_read=sum(map(len, of_arrays)),
            result=int(source.sizes.sum()),
            peak=blocks + _of_arrays(source.sizes),
        ),
    )


def _of_statistics(plan: Plan, each: int, numbers: int, blocks: int) -> Outlook:
    """Outlook of statistics whose accumulators take `each` bytes per crater on a tile."""
    most = Room.within(get_option("memory")).accumulators
    parts = along_tiles(plan, each, most)
    rounds = [plan.only(craters) for craters in parts]
    result = 8 * numbers * len(plan.craters)
    held = min(each * int(plan.offset[-1]), most)
    return Outlook(len(rounds), sum(map(len, rounds)), result, blocks + result + 2 * held)


def _of_arrays(sizes: Any) -> int:
    """Bytes of pixels held at once: those waiting, those cut and copied, and the batch; or the largest crater alone."""
    room, total = Room.within(get_option("memory")), int(sizes.sum())
    largest = int(sizes.max(initial=0))
    return max(min(total, room.waiting) * 2 + min(total, room.threads) * 3, largest + min(total, room.threads))
