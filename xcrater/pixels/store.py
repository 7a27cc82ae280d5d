"""Pixels of craters in a zarr store, written batch by batch and read one crater at a time.

Each region is a group of flat arrays: ``values``, ``mask`` and, for exact coverage, ``coverage`` of one crater after
another. One crater's part of them is an entry; ``window`` is its window on the raster, and ``offset`` says where it
begins and ends. Entries come in the order in which tiles completed the craters, so the array ``crater`` at the root
holds each entry's position in the table. The group ``craters`` is the table as xarray writes it; the attributes of the
root describe the raster and the regions.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
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
from xcrater.errors import StoreError
from xcrater.geometry.bodies import get_body
from xcrater.pixels.blocks import Blocks, groups
from xcrater.pixels.cutting import PIXELS, Cut, Cutter, Pieces
from xcrater.pixels.elements import Elements
from xcrater.pixels.gathering import iter_blocks
from xcrater.pixels.source import BlockSource, LazyPixels
from xcrater.raster.reading import crs_wkt, georeferenced, read_raster
from xcrater.table.crater_table import CraterTable
from xcrater.table.regions import Varying

Ints = NDArray[np.int64]

LAYOUT = 1
"""Version of the layout; stores of other versions are refused."""

CHUNK = 2**18
"""Number of pixels in a chunk of the flat arrays."""

ENTRIES = 2**16
"""Number of entries in a chunk of the arrays that hold one item per entry."""


def write(source: BlockSource, path: str | os.PathLike[str], *, batch: int, overwrite: bool) -> None:
    """Store the pixels of every crater; see `CraterArrays.to_zarr`.

    Parameters
    ----------
    source : BlockSource
        The blocks.
    path : path
        The store, a directory or a URL that zarr writes.
    batch : int
        Number of craters written at a time.
    overwrite : bool
        Whether to replace another store of crater arrays at that path.
    """
    zarr = require("zarr", extra="zarr")
    path, token = _whole(path), source.token
    if batch < 1:
        raise StoreError(f"received batch={batch!r}; expected a number of craters from 1 on")
    found = _read_about(path)
    if found is not None and found["token"] != token and not overwrite:
        raise StoreError(
            f"the store {path!r} was made from another raster, table or regions than these arrays, or from other "
            "chunks; name another path, or replace what is there: arrays.to_zarr(..., overwrite=True)"
        )
    if found is None or overwrite or found["written"] is None:
        _create(zarr, source, path, token)
    root = zarr.open_group(path, mode="r+")
    about = dict(root.attrs["xcrater"])
    missing = np.ones(len(source.labels), bool)
    missing[root["crater"][: about["written"]]] = False
    position = np.flatnonzero(missing)
    groups = [dict(root[f"region-{k}"].arrays()) for k in range(len(source.regions))]
    for blocks in iter_blocks(source.take(position), batch) if position.size else ():
        entry = about["written"]
        for group, of_region in zip(groups, blocks.values(), strict=True):
            _append(group, entry, of_region)
            about["written"] = entry + len(of_region)
        root["crater"][entry : about["written"]] = position[of_region.crater]
        # Only now do the entries count: what an interruption leaves half written is written again.
        root.update_attributes({"xcrater": about})


def _append(group: Any, entry: int, blocks: Blocks) -> None:
    """Write the blocks of one region after the entries that the store already holds."""
    first = int(group["offset"][entry])
    last, stop = first + int(blocks.offset[-1]), entry + len(blocks)
    group["values"][..., first:last] = blocks.values
    group["mask"][..., first:last] = blocks.mask
    if blocks.fraction is not None:
        group["coverage"][first:last] = blocks.fraction
    group["window"][entry:stop] = blocks.window
    group["offset"][entry : stop + 1] = first + blocks.offset


def _create(zarr: Any, source: BlockSource, path: str, token: str) -> None:
    """Make an empty store, in place of one that may be at that path."""
    request, raster = source.request, source.request.raster
    if isinstance(source.labels, pd.MultiIndex):
        raise StoreError("received craters with labels of several levels; expected one: cdb.data.reset_index(...)")
    shapes = request.shapes
    about: dict[str, Any] = {
        "layout": LAYOUT,
        "token": token,
        "made": uuid.uuid4().hex,
        "written": None,
        "body": request.table.body,
        "index": source.labels.name,
        "dtype": request.da.dtype.newbyteorder("=").str,
        "name": request.da.name,
        "attrs": _plain(request.da.attrs),
        "extra_dims": {dim: request.da.sizes[dim] for dim in raster.extra_dims},
        "shape": list(raster.grid.shape),
        "crs": crs_wkt(request.da),
        "transform": list(raster.surface[1]),
        "nodata": None if raster.nodata is None else np.asarray(raster.nodata).item(),
        "coverage": shapes.coverage,
        "regions": list(source.regions),
        "drawn": [region.describe() for region in shapes.regions],
    }
    root = zarr.open_group(path, mode="w", attributes={"xcrater": about})
    table = xr.Dataset(coords={**_extra_coords(request), **request.coordinates()})
    table.to_zarr(path, group="craters", mode="w", consolidated=False, zarr_format=3)
    entries, lead = len(source.labels), source.lead
    _flat(root, "crater", (entries,), "i8", ENTRIES)
    for k, name in enumerate(source.regions):
        group = root.create_group(f"region-{k}", attributes={"name": name})
        pixels = Elements(source.of([k])).pixels()
        _flat(group, "values", (*lead, pixels), source.cutter.result_dtype.newbyteorder("="), CHUNK)
        _flat(group, "mask", (*lead, pixels), "bool", CHUNK)
        if shapes.exact:
            _flat(group, "coverage", (pixels,), "f8", CHUNK)
        _flat(group, "offset", (entries + 1,), "i8", ENTRIES)
        group.create_array("window", shape=(entries, 4), chunks=(max(1, min(entries, ENTRIES)), 4), dtype="i8")
    root.update_attributes({"xcrater": {**about, "written": 0}})


def _flat(group: Any, name: str, shape: tuple[int, ...], dtype: Any, chunk: int) -> None:
    """Create an array that is cut into chunks along its long last dimension."""
    chunks = (*(1 for _ in shape[:-1]), max(1, min(chunk, shape[-1])))
    group.create_array(name, shape=shape, chunks=chunks, dtype=dtype)


def _extra_coords(request: Request) -> dict[Any, xr.DataArray]:
    """Coordinates along the raster's extra dimensions."""
    extra = set(request.raster.extra_dims)
    return {name: coord for name, coord in request.da.coords.items() if coord.dims and set(coord.dims) <= extra}


def _plain(attrs: Any) -> dict[str, Any]:
    """Those of a raster's attributes that JSON can express."""
    plain = {}
    for key, value in attrs.items():
        value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        try:
            plain[str(key)] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError):
            continue
    return plain


def _read_about(path: str) -> dict[str, Any] | None:
    """The description that a store holds in its attributes; None if there is nothing at that path.

    Raises
    ------
    StoreError
        Something else is at that path, or a store whose layout is of another version.
    """
    zarr = require("zarr", extra="zarr")
    try:
        attrs = dict(zarr.open_group(path, mode="r").attrs)
    except FileNotFoundError:
        local = Path(path)
        if not local.exists() or (local.is_dir() and not any(local.iterdir())):
            return None
        attrs = {}
    except ValueError:  # an array, or something broken
        attrs = {}
    if "xcrater" not in attrs:
        raise StoreError(
            f"{path!r} is no store of crater arrays; expected a path where there is nothing yet, or one that "
            "arrays.to_zarr(path) wrote. What is there is left as it is"
        )
    about: dict[str, Any] = attrs["xcrater"]
    if about["layout"] != LAYOUT:
        raise StoreError(
            f"the store {path!r} has layout {about['layout']}; this version of xcrater reads and writes layout "
            f"{LAYOUT}: write it anew at another path"
        )
    return about


@dataclass(frozen=True)
class Store:
    """A finished store.

    Parameters
    ----------
    path : str
        Absolute path, or URL.
    made : str
        Random number that tells the store from any other that was at the same path before.
    names : tuple of str
        Names of its regions.
    """

    path: str
    made: str
    names: tuple[str, ...]

    @property
    def crater(self) -> Ints:
        """Position in the table of each entry's crater, shape (entries,)."""
        return _column(self, "crater")

    @property
    def entry(self) -> Ints:
        """Entry of each crater of the table, shape (craters,)."""
        return _entries(self)

    def window(self, region: int) -> Ints:
        """Window of each entry of a region on the raster's grid, shape (entries, 4)."""
        return _column(self, f"region-{region}/window")

    def blocks(self, region: int, start: int, stop: int, fill_value: Any) -> Blocks:
        """Blocks of the entries [start, stop) of a region."""
        group = f"region-{region}"
        offset = _column(self, f"{group}/offset")[start : stop + 1]
        pixels = slice(int(offset[0]), int(offset[-1]))
        covered = f"{group}/coverage" in _group(self)
        return Blocks(
            crater=self.crater[start:stop],
            window=self.window(region)[start:stop],
            offset=offset - offset[0],
            values=_array(self, f"{group}/values")[..., pixels],
            mask=_array(self, f"{group}/mask")[..., pixels],
            fraction=_array(self, f"{group}/coverage")[pixels] if covered else None,
            fill_value=fill_value,
        )


@dataclass(frozen=True)
class StoredCutter(Cutter):
    """Reads blocks from a store instead of cutting them from a tile.

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
        """Read the blocks of craters that no tile lists; a store has no pieces to be put together."""
        if len(craters):
            yield self._read(craters)

    def _read(self, craters: Craters) -> list[Blocks]:
        """Blocks of craters, read in one go from the first of their entries to the last."""
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
        The store. The request's raster has the place of the one that was cut, and no pixels.
    """

    store: Store = field(kw_only=True)

    @property
    def path(self) -> str:
        """Path of the store."""
        return self.store.path

    @cached_property
    def cutter(self) -> StoredCutter:
        """What reads the regions' blocks from the store."""
        request = self.request
        regions = tuple(self.store.names.index(name) for name in request.names)
        return StoredCutter(request.shapes, request.raster, request.da.dtype.str, self.store, regions)

    @cached_property
    def plan(self) -> Plan:
        """Craters that are read together take the place of those that lie on one tile."""
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
    """The store's root group, opened once in a process."""
    return require("zarr", extra="zarr").open_group(store.path, mode="r")


@lru_cache(maxsize=128)
def _array(store: Store, name: str) -> Any:
    return _group(store)[name]


@lru_cache(maxsize=64)
def _column(store: Store, name: str) -> Ints:
    """An array that holds one item per entry, read once in a process."""
    return np.asarray(_array(store, name)[:])


@lru_cache(maxsize=8)
def _entries(store: Store) -> Ints:
    entry = np.empty_like(store.crater)
    entry[store.crater] = np.arange(entry.size)
    return entry


def open_source(path: str | os.PathLike[str]) -> StoredSource:
    """The blocks of a finished store; see `open_arrays`."""
    path = _whole(path)
    about = _read_about(path)
    if about is None:
        raise FileNotFoundError(f"there is no store {path!r}")
    request = _read_request(path, about)
    if about["written"] is None or about["written"] < len(request.craters):
        raise StoreError(
            f"the store {path!r} is not finished: it holds {about['written'] or 0} of {len(request.craters)} craters. "
            "Go on with the call that was interrupted, arrays.to_zarr(path) of the same raster, table and regions"
        )
    stored = Store(path, about["made"], tuple(about["regions"]))
    return StoredSource(request, request.table.data.index, LazyPixels(request.da), store=stored)


def _read_request(path: str, about: dict[str, Any]) -> Request:
    """The request that was stored, over a raster with the grid of the original and no pixels in memory."""
    dtype, extra = np.dtype(about["dtype"]), about["extra_dims"]
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
    # A single pixel stands for the raster, so that it takes no room in a graph of tasks either.
    pixel = da.isel(y=slice(1), x=slice(1)).chunk()
    return Request(pixel, raster, about["regions"], shapes, craters, cdb)


def _whole(path: str | os.PathLike[str]) -> str:
    """A path that means the same in every process, whatever its working directory."""
    path = os.fspath(path)
    return path if "://" in path or "::" in path else os.path.abspath(path)
