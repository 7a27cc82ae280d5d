"""Pixels of craters written to a zarr store, batch by batch; `xcrater.pixels.stored` reads them.

Each region is a group of flat arrays: ``values``, ``mask`` and, for exact coverage, ``coverage``, one crater after
another. One crater's part of them is an entry; ``window`` is its window on the raster, ``offset`` gives its beginning
and end, and ``checksum`` shows whether it is as it was written. Entries are in the order in which tiles completed the
craters, so the array ``crater`` at the root holds each entry's position in the table. The group ``craters`` is the
table as xarray writes it; the attributes of the root describe the raster and the regions.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.engine.request import Request
from xcrater.engine.rounds import Room
from xcrater.errors import StoreError
from xcrater.options import get_option
from xcrater.pixels.bands import Band, iter_bands
from xcrater.pixels.blocks import Blocks
from xcrater.pixels.elements import Elements
from xcrater.pixels.gathering import in_batches
from xcrater.pixels.layout import (
    LAYOUT,
    checksum,
    entry_checksums,
    naming,
    read_about,
    read_column,
    stored_checksum,
    table_checksum,
    whole_path,
)
from xcrater.pixels.source import BlockSource
from xcrater.raster.reading import crs_wkt

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
    path, token = whole_path(path), source.token
    if batch < 1:
        raise StoreError(f"received batch={batch!r}; expected a number of craters from 1 on")
    found = read_about(path)
    if found is not None and found["token"] != token and not overwrite:
        raise StoreError(
            f"the store {path!r} was made from another raster, table or regions than these arrays, or from other "
            "chunks; name another path, or replace what is there: arrays.to_zarr(..., overwrite=True)"
        )
    if found is None or overwrite or found["written"] is None:
        _create(zarr, source, path, token, uuid.uuid4().hex)
    store = Growing(zarr.open_group(path, mode="r+"), path, source.regions)
    missing = np.ones(len(source.labels), bool)
    missing[read_column(store.root, path, "crater", store.about["written"], store.sums)] = False
    left = source.take(np.flatnonzero(missing))
    large = np.flatnonzero(missing)[left.large()]
    missing[large] = False
    position = np.flatnonzero(missing)
    for blocks in in_batches(source.take(position), batch) if position.size else ():
        several = list(blocks.values())
        store.append(several, position[several[0].crater])
    for n in large.tolist():
        for band in iter_bands(source, n, most=Room.within(get_option("memory")).waiting):
            store.append_band(band)
        store.complete(n)


def begin(source: BlockSource, path: str | os.PathLike[str], *, made: str) -> Growing:
    """Create an empty store, to which blocks are then added.

    Parameters
    ----------
    source : BlockSource
        The blocks to be added.
    path : path
        Path of the store; a store that exists there is replaced.
    made : str
        Distinguishes the store from others that were at the same path.
    """
    zarr, path = require("zarr", extra="zarr"), whole_path(path)
    _create(zarr, source, path, source.token, made)
    return Growing(zarr.open_group(path, mode="r+"), path, source.regions)


class Growing:
    """A store to which entries are added; an entry counts once it has been written completely.

    Parameters
    ----------
    root : zarr.Group
        The store's root.
    path : str
        Path of the store, for errors.
    regions : sequence of str
        Names of the regions.
    """

    def __init__(self, root: Any, path: str, regions: Sequence[str]) -> None:
        self.root, self._path, self._regions = root, path, regions
        self.about: dict[str, Any] = dict(root.attrs["xcrater"])

    @property
    def sums(self) -> dict[str, int] | None:
        """The checksums of arrays with one item per entry; None if an earlier version began the store."""
        return self.about.get("checksums")

    def append(self, several: Sequence[Blocks], position: NDArray[np.int64]) -> None:
        """Add the blocks of every region, whose craters have these positions in the table."""
        entry = self.about["written"]
        for k, of_region in enumerate(several):
            with self._naming(k):
                _append(self.root, f"region-{k}", entry, of_region, self.sums)
        self._count(position)

    def append_band(self, band: Band) -> None:
        """Add some rows of a crater to the next entry, region by region from the top."""
        with self._naming(band.region):
            _append_band(self.root, self.about["written"], band, self.sums)

    def complete(self, position: int) -> None:
        """Complete the entry of a crater once all of its bands have been added."""
        self._count(np.array([position]))

    def _count(self, position: NDArray[np.int64]) -> None:
        _extend(self.root, "crater", self.about["written"], position, self.sums)
        self.about["written"] += len(position)
        # Entries count only from here on, so an entry that an interruption leaves half written is written again.
        self.root.update_attributes({"xcrater": self.about})

    def _naming(self, region: int) -> contextlib.AbstractContextManager[None]:
        # Appending makes zarr read the chunk that the last batch filled in part, which may be damaged. An OSError, such
        # as that of a full disk, says nothing about the store.
        return naming(self._path, f"region {self._regions[region]!r}", but=(OSError,))


def _append_band(root: Any, entry: int, band: Band, sums: dict[str, int] | None) -> None:
    """Write some rows of a crater to the entry of their region; the last rows complete it."""
    region, blocks = f"region-{band.region}", band.blocks
    group = root[region]
    top, bottom, left, right = band.window
    first, width = int(group["offset"][entry]), right - left
    start, stop = (first + (int(row) - top) * width for row in blocks.window[0, :2])
    group["values"][..., start:stop] = blocks.values
    group["mask"][..., start:stop] = blocks.mask
    if blocks.fraction is not None:
        group["coverage"][start:stop] = blocks.fraction
    if blocks.window[0, 1] < bottom:
        return
    _extend(root, f"{region}/window", entry, np.array([band.window]), sums)
    _extend(root, f"{region}/offset", entry + 1, np.array([stop]), sums)
    if sums is not None:
        _extend(root, f"{region}/checksum", entry, np.array([stored_checksum(group, first, stop)]), sums)


def _append(root: Any, region: str, entry: int, blocks: Blocks, sums: dict[str, int] | None) -> None:
    """Write the blocks of one region after the entries that the store already holds."""
    group = root[region]
    first = int(group["offset"][entry])
    last = first + int(blocks.offset[-1])
    group["values"][..., first:last] = blocks.values
    group["mask"][..., first:last] = blocks.mask
    if blocks.fraction is not None:
        group["coverage"][first:last] = blocks.fraction
    _extend(root, f"{region}/window", entry, blocks.window, sums)
    _extend(root, f"{region}/offset", entry + 1, first + blocks.offset[1:], sums)
    if sums is not None:
        of_entries = entry_checksums(blocks.values, blocks.mask, blocks.fraction, blocks.offset)
        _extend(root, f"{region}/checksum", entry, of_entries, sums)


def _extend(root: Any, name: str, start: int, items: NDArray[Any], sums: dict[str, int] | None) -> None:
    """Append items to an array that holds one per entry, and update its checksum."""
    array = root[name]
    items = np.asarray(items, array.dtype)
    array[start : start + len(items)] = items
    if sums is not None:
        sums[name] = checksum(items, sums[name])


def _create(zarr: Any, source: BlockSource, path: str, token: str, made: str) -> None:
    """Make an empty store, replacing one that may exist at that path."""
    request, raster = source.request, source.request.raster
    if isinstance(source.labels, pd.MultiIndex):
        raise StoreError("received craters with labels of several levels; expected one: cdb.data.reset_index(...)")
    shapes = request.shapes
    about: dict[str, Any] = {
        "layout": LAYOUT,
        "token": token,
        "made": made,
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
    sums = {"craters": table_checksum(root["craters"]), "crater": 0}
    _flat(root, "crater", (entries,), "i8", ENTRIES)
    for k, name in enumerate(source.regions):
        group = root.create_group(f"region-{k}", attributes={"name": name})
        pixels = Elements(source.of([k])).pixels()
        _flat(group, "values", (*lead, pixels), source.cutter.result_dtype.newbyteorder("="), CHUNK)
        _flat(group, "mask", (*lead, pixels), "bool", CHUNK)
        if shapes.exact:
            _flat(group, "coverage", (pixels,), "f8", CHUNK)
        _flat(group, "offset", (entries + 1,), "i8", ENTRIES)
        _flat(group, "checksum", (entries,), "u4", ENTRIES)
        group.create_array("window", shape=(entries, 4), chunks=(max(1, min(entries, ENTRIES)), 4), dtype="i8")
        # The offsets differ from the other arrays in that they already hold their first item, 0.
        sums |= {f"region-{k}/{array}": 0 for array in ("window", "checksum")}
        sums[f"region-{k}/offset"] = checksum(np.zeros(1, np.int64))
    root.update_attributes({"xcrater": {**about, "written": 0, "checksums": sums}})


def _flat(group: Any, name: str, shape: tuple[int, ...], dtype: Any, chunk: int) -> None:
    """Create an array that is chunked along its long last dimension."""
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
