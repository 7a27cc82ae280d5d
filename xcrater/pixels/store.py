"""Writing of pixels of craters to a zarr store, batch by batch; see `xcrater.pixels.layout`."""

from __future__ import annotations

import json
import os
import uuid
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from xcrater._optional import require
from xcrater.engine.request import Request
from xcrater.errors import StoreError
from xcrater.pixels.blocks import Blocks
from xcrater.pixels.elements import Elements
from xcrater.pixels.gathering import iter_blocks
from xcrater.pixels.layout import CHUNK, ENTRIES, LAYOUT, digest, read_about, whole_path
from xcrater.pixels.source import BlockSource
from xcrater.raster.reading import crs_wkt


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
        _create(zarr, source, path, token)
    with zarr.config.set({"array.write_empty_chunks": True}):  # which arrays that are opened again do not know
        _write_missing(zarr.open_group(path, mode="r+"), source, batch)


def _write_missing(root: Any, source: BlockSource, batch: int) -> None:
    """Write the blocks of the craters that a store does not hold yet."""
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
    shapes, coordinates = request.shapes, request.coordinates()
    about: dict[str, Any] = {
        "layout": LAYOUT,
        "token": token,
        "made": uuid.uuid4().hex,
        "written": None,
        "body": request.table.body,
        "table": digest((coordinates[name][1] for name in ("lat", "lon", "radius")), source.labels),
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
    table = xr.Dataset(coords={**_extra_coords(request), **coordinates})
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
        _array(group, "window", (entries, 4), "i8", (max(1, min(entries, ENTRIES)), 4))
    root.update_attributes({"xcrater": {**about, "written": 0}})


def _flat(group: Any, name: str, shape: tuple[int, ...], dtype: Any, chunk: int) -> None:
    """Create an array that is cut into chunks along its long last dimension."""
    _array(group, name, shape, dtype, (*(1 for _ in shape[:-1]), max(1, min(chunk, shape[-1]))))


def _array(group: Any, name: str, shape: tuple[int, ...], dtype: Any, chunks: tuple[int, ...]) -> None:
    """Create an array whose chunks are all written, each with a checksum."""
    codecs = require("zarr.codecs", extra="zarr")
    group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        compressors=[codecs.ZstdCodec(level=0), codecs.Crc32cCodec()],
    )


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
