"""Reading the pixels of craters from a zarr store, one crater or many at a time.

`xcrater.pixels.store` describes the arrays of a store, and `xcrater.pixels.layout` their checksums.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.engine.craters import Craters, place
from xcrater.engine.plan import Plan, Tile
from xcrater.engine.region_set import RegionSet
from xcrater.engine.request import Request
from xcrater.errors import StoreError, UncheckedStoreWarning
from xcrater.geometry.bodies import get_body
from xcrater.geometry.grid import Window
from xcrater.pixels.blocks import Blocks, groups
from xcrater.pixels.cutting import PIXELS, Cut, Cutter, Pieces
from xcrater.pixels.layout import (
    damaged,
    entry_checksums,
    naming,
    read_about,
    read_column,
    stored_checksum,
    table_checksum,
    whole_path,
)
from xcrater.pixels.source import BlockSource, LazyPixels
from xcrater.raster.reading import georeferenced, read_raster
from xcrater.table.crater_table import CraterTable
from xcrater.table.regions import Varying

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Store:
    """A finished store.

    Parameters
    ----------
    path : str
        Absolute path, or URL.
    made : str
        Random number that distinguishes the store from others that were at the same path before.
    names : tuple of str
        Names of its regions.
    entries : int
        Number of its entries, one per crater.
    exact : bool
        Whether it holds the fraction of each pixel inside the region.
    """

    path: str
    made: str
    names: tuple[str, ...]
    entries: int
    exact: bool

    @property
    def crater(self) -> Ints:
        """Position in the table of each entry's crater, shape (entries,)."""
        return _column(self, "crater", self.entries)

    @property
    def entry(self) -> Ints:
        """Entry of each crater of the table, shape (craters,)."""
        return _entries(self)

    def window(self, region: int) -> Ints:
        """Window of each entry of a region on the raster's grid, shape (entries, 4)."""
        return _column(self, f"region-{region}/window", self.entries)

    def blocks(self, region: int, start: int, stop: int, fill_value: Any) -> Blocks:
        """Blocks of the entries [start, stop) of a region, each compared with its checksum."""
        group, part = f"region-{region}", f"region {self.names[region]!r}"
        offset = _column(self, f"{group}/offset", self.entries + 1)[start : stop + 1]
        pixels = slice(int(offset[0]), int(offset[-1]))
        with naming(self.path, part):
            blocks = Blocks(
                crater=self.crater[start:stop],
                window=self.window(region)[start:stop],
                offset=offset - offset[0],
                values=_array(self, f"{group}/values")[..., pixels],
                mask=_array(self, f"{group}/mask")[..., pixels],
                fraction=_array(self, f"{group}/coverage")[pixels] if self.exact else None,
                fill_value=fill_value,
            )
        if _checksums(self) is not None:
            self._compare(region, start, entry_checksums(blocks.values, blocks.mask, blocks.fraction, blocks.offset))
        return blocks

    def rows(self, region: int, entry: int, rows: Window, fill_value: Any) -> Blocks:
        """Some rows of one entry's block; with its first rows, the whole entry is compared with its checksum."""
        name = f"region-{region}"
        first, last = _column(self, f"{name}/offset", self.entries + 1)[entry : entry + 2].tolist()
        top, _, left, right = self.window(region)[entry].tolist()
        start, stop = (first + (row - top) * (right - left) for row in rows[:2])
        with naming(self.path, f"region {self.names[region]!r}"):
            if rows[0] == top and _checksums(self) is not None:
                self._compare(region, entry, np.array([stored_checksum(_group(self)[name], first, last)], np.uint32))
            return Blocks(
                crater=self.crater[entry : entry + 1],
                window=np.array([rows]),
                offset=np.array([0, stop - start]),
                values=_array(self, f"{name}/values")[..., start:stop],
                mask=_array(self, f"{name}/mask")[..., start:stop],
                fraction=_array(self, f"{name}/coverage")[start:stop] if self.exact else None,
                fill_value=fill_value,
            )

    def _compare(self, region: int, start: int, found: NDArray[np.uint32]) -> None:
        """Compare the checksums of the entries from ``start`` on with those that were written."""
        wanted = _column(self, f"region-{region}/checksum", self.entries)[start : start + len(found)]
        differing = np.flatnonzero(found != wanted)
        if differing.size:
            labels = f"the craters at positions {self.crater[start + differing[:5]].tolist()} of the table"
            cause = f"a chunk is missing or was changed; it holds {labels}"
            raise damaged(self.path, f"region {self.names[region]!r}", cause)


@dataclass(frozen=True)
class StoredCutter(Cutter):
    """Reads blocks from a store instead of cutting them from tiles.

    Parameters
    ----------
    store : Store
        The store.
    regions : tuple of int
        Positions of the regions in the store.
    """

    store: Store
    regions: tuple[int, ...]

    def windows(self, craters: Craters) -> Ints:
        """Window of every region of every crater, shape (region, crater, 4)."""
        entry = self.store.entry[craters.row]
        return np.stack([self.store.window(k)[entry] for k in self.regions])

    def __call__(self, block: NDArray[Any], tile: Tile) -> Cut:
        """Read the blocks of a tile's craters; the pixels of the tile are not used."""
        alone = np.arange(len(tile.craters))
        return Cut(alone, self._read(tile.craters), self._no_pieces(math.prod(block.shape[:-2])))

    def join(self, craters: Craters, parts: Sequence[Pieces], lead: tuple[int, ...]) -> Iterator[list[Blocks]]:
        """Read the blocks of craters that no tile lists; a store has no pieces to assemble."""
        if len(craters):
            yield self._read(craters)

    def band(self, crater: Craters, rows: Window, parts: Iterable[Pieces], lead: tuple[int, ...]) -> Blocks:
        """Read some rows of one crater's block; nothing is cut."""
        return self.store.rows(self.regions[0], int(self.store.entry[crater.row][0]), rows, self.fill_value)

    def _read(self, craters: Craters) -> list[Blocks]:
        """Read the blocks of craters in one pass from the first of their entries to the last."""
        entry = self.store.entry[craters.row]
        start, stop = int(entry.min()), int(entry.max()) + 1
        found = [self.store.blocks(k, start, stop, self.fill_value) for k in self.regions]
        wanted = entry - start
        return found if np.array_equal(wanted, np.arange(stop - start)) else [blocks.take(wanted) for blocks in found]

    def _no_pieces(self, images: int) -> Pieces:
        none = np.empty(0, np.int64)
        values, mask = np.empty((images, 0), self.dtype), np.empty((images, 0), bool)
        fraction = np.empty(0) if self.shapes.exact else None
        return Pieces(none, none, np.empty((0, 4), np.int64), np.zeros(1, np.int64), values, mask, fraction)


@dataclass(frozen=True, eq=False)
class StoredSource(BlockSource):
    """The blocks of a finished store, or of some of its regions and craters.

    Parameters
    ----------
    store : Store
        The store. The request's raster has the grid of the one that was cut, but no pixels.
    """

    store: Store = field(kw_only=True)

    @property
    def path(self) -> str:
        """Path of the store."""
        return self.store.path

    @cached_property
    def cutter(self) -> StoredCutter:
        """Reads the regions' blocks from the store."""
        request = self.request
        regions = tuple(self.store.names.index(name) for name in request.names)
        return StoredCutter(request.shapes, request.raster, request.da.dtype.str, self.store, regions)

    @cached_property
    def plan(self) -> Plan:
        """A plan in which craters that are read together are treated like those that lie on one tile."""
        craters = self.request.craters
        windows = self.cutter.windows(craters)
        size = ((windows[..., 1] - windows[..., 0]) * (windows[..., 3] - windows[..., 2])).sum(axis=0)
        order = np.argsort(self.store.entry[craters.row])
        together = groups(size[order], PIXELS)
        member = [np.sort(order[run]) for run in together]
        return Plan(
            self.request.raster.grid,
            craters,
            np.zeros(len(together), np.int64),
            np.array([0, *(run.stop for run in together)]),
            np.concatenate([np.empty(0, np.int32), *member]).astype(np.int32),
        )


@lru_cache(maxsize=8)
def _group(store: Store) -> Any:
    """The store's root group, opened once per process."""
    return require("zarr", extra="zarr").open_group(store.path, mode="r")


@lru_cache(maxsize=128)
def _array(store: Store, name: str) -> Any:
    return _group(store)[name]


@lru_cache(maxsize=64)
def _column(store: Store, name: str, items: int) -> Ints:
    """An array that holds one item per entry, read and compared with its checksum once per process."""
    return read_column(_group(store), store.path, name, items, _checksums(store))


def _checksums(store: Store) -> dict[str, int] | None:
    """The checksums of a store's arrays; None for a store of an earlier version."""
    found: dict[str, int] | None = _group(store).attrs["xcrater"].get("checksums")
    return found


@lru_cache(maxsize=8)
def _entries(store: Store) -> Ints:
    entry = np.empty_like(store.crater)
    entry[store.crater] = np.arange(entry.size)
    return entry


def open_source(path: str | os.PathLike[str]) -> StoredSource:
    """Open the blocks of a finished store; see `open_arrays`."""
    path = whole_path(path)
    about = read_about(path)
    if about is None:
        raise FileNotFoundError(f"there is no store {path!r}")
    with naming(path, "its crater table"):
        request = _read_request(path, about)
    if about["written"] is None or about["written"] < len(request.craters):
        raise StoreError(
            f"the store {path!r} is not finished: it holds {about['written'] or 0} of {len(request.craters)} craters. "
            "Go on with the call that was interrupted, arrays.to_zarr(path) of the same raster, table and regions"
        )
    if "checksums" not in about:
        warnings.warn(
            f"the store {path!r} was written by an earlier version of xcrater, without checksums: a chunk that is "
            "missing or was changed is not noticed. To have one that is checked, write it anew at another path: "
            "open_arrays(path).to_zarr(another)",
            UncheckedStoreWarning,
            stacklevel=3,
        )
    stored = Store(path, about["made"], tuple(about["regions"]), about["written"], about["coverage"] == "exact")
    return StoredSource(request, request.table.data.index, LazyPixels(request.da), store=stored)


def _read_request(path: str, about: dict[str, Any]) -> Request:
    """Restore the request of a store, over a raster that has the grid of the original and no pixels in memory."""
    dtype, extra = np.dtype(about["dtype"]), about["extra_dims"]
    root = require("zarr", extra="zarr").open_group(path, mode="r")
    if "checksums" in about and table_checksum(root["craters"]) != about["checksums"]["craters"]:
        raise damaged(path, "its crater table", "a chunk is missing or was changed")
    with xr.open_zarr(path, group="craters", consolidated=False, chunks=None) as opened:
        table = opened.load()
    da = xr.DataArray(
        np.broadcast_to(np.zeros((), dtype), (*extra.values(), *about["shape"])),
        {name: coord for name, coord in table.coords.items() if coord.dims and set(coord.dims) <= set(extra)},
        (*extra, "y", "x"),
        about["name"],
        about["attrs"],
    )
    da = georeferenced(da, about["crs"], about["transform"])
    body = get_body(about["body"])
    frame = pd.DataFrame(
        {name: table[name].to_numpy() for name in ("lat", "lon", "radius")},
        table.indexes["crater"].rename(about["index"]),
    )
    cdb = CraterTable(frame, body.name, "planetocentric", lat_col="lat", lon_col="lon", rad_col="radius")
    raster = read_raster(da, body=body, nodata=about["nodata"])
    grid = raster.grid
    members = tuple(Varying(k, described) for k, described in enumerate(about["drawn"]))  # never drawn again
    shapes = RegionSet(members, about["coverage"], grid.radians, grid.closed, grid.frame)
    angle = np.degrees(cdb.rad.to_numpy(float) / raster.sphere)
    craters = place(grid, cdb.lon.to_numpy(float), cdb.lat.to_numpy(float), angle)
    # A single pixel represents the raster, so that it takes no space in a graph of tasks either.
    pixel = da.isel(y=slice(1), x=slice(1)).chunk()
    return Request(pixel, raster, about["regions"], shapes, craters, cdb)
