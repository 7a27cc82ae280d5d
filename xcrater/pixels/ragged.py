"""Arrays of many shapes as a few flat ones: all values one after another, and the offset of each array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater import kernels
from xcrater._optional import require
from xcrater.engine.rounds import Room
from xcrater.options import get_option
from xcrater.pixels import gathering
from xcrater.pixels.bands import Band, iter_bands
from xcrater.pixels.blocks import RAW, Blocks
from xcrater.pixels.budget import check_result
from xcrater.pixels.source import BlockSource

Ints = NDArray[np.int64]
Masked = np.ma.MaskedArray[Any, Any]


@dataclass(frozen=True, eq=False)
class Ragged:
    """One region's pixels of every crater, one crater after another.

    ``ragged[i]`` is the masked array of crater i, a view that copies nothing.

    Parameters
    ----------
    values : ndarray, shape (pixels,)
        Values of the craters' arrays, each in row-major order, including masked pixels.
    mask : ndarray of bool, shape (pixels,)
        True where a pixel is masked, as in `numpy.ma`: outside the region, or without a value.
    offsets : ndarray of int64, shape (craters + 1,)
        Crater i has the pixels [offsets[i], offsets[i + 1]).
    shapes : ndarray of int64, shape (craters, ndim)
        Shape of each crater's array: the raster's extra dimensions, rows, columns.
    labels : pandas.Index
        Labels of the craters.
    windows : ndarray of int64, shape (craters, 4)
        Window of each array on the raster's grid: row_start, row_stop, col_start, col_stop. It may reach beyond the
        raster's edges; columns are continuous across the antimeridian.
    fill_value : number or None
        Number shown for masked pixels; None for numpy's default.
    coverage : ndarray of float64, shape (pixels,), or None
        Fraction of each pixel that lies inside the region, including masked pixels, and the same in every image of a
        crater; only for ``coverage="exact"``.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> flat = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> shapes = np.array([[1, 2], [2, 2]])
    >>> window = np.zeros((2, 4), int)
    >>> ragged = Ragged(flat, flat > 5, np.array([0, 2, 6]), shapes, pd.Index(["a", "b"]), window)
    >>> ragged[1].tolist()
    [[3.0, 4.0], [5.0, None]]
    >>> np.add.reduceat(np.where(ragged.mask, 0, ragged.values), ragged.offsets[:-1]).tolist()
    [3.0, 12.0]
    """

    values: NDArray[Any]
    mask: NDArray[np.bool_]
    offsets: Ints
    shapes: Ints
    labels: pd.Index[Any]
    windows: Ints
    fill_value: Any = None
    coverage: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, i: int) -> Masked:
        i = range(len(self))[i]
        part = slice(*self.offsets[i : i + 2].tolist())
        shape = tuple(self.shapes[i].tolist())
        return np.ma.MaskedArray(
            self.values[part].reshape(shape), mask=self.mask[part].reshape(shape), fill_value=self.fill_value
        )

    def __iter__(self) -> Iterator[Masked]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Ragged of {len(self)} craters, {self.values.size} pixels, dtype {self.values.dtype}"

    def to_arrow(self) -> Any:
        """Convert to an Arrow array, which shares values, offsets and coverage without copying them.

        Returns
        -------
        pyarrow.StructArray
            One entry per crater: its label ``crater``, ``shape`` and ``window`` as fixed-size lists of int64,
            ``values`` as a large list that is null where masked, and ``coverage`` for exact coverage.

        Raises
        ------
        ImportError
            pyarrow is not installed.

        Examples
        --------
        >>> import numpy as np, pandas as pd
        >>> flat, shapes = np.array([1.0, 2.0, 3.0]), np.array([[1, 2], [1, 1]])
        >>> ragged = Ragged(flat, flat > 2, np.array([0, 2, 3]), shapes, pd.Index([7, 8]), np.zeros((2, 4), int))
        >>> [entry["values"].as_py() for entry in ragged.to_arrow()]
        [[1.0, 2.0], [None]]
        """
        pyarrow = require("pyarrow", extra="parquet")
        fields = {
            "crater": pyarrow.array(self.labels.to_numpy()),
            "shape": _fixed(pyarrow, self.shapes),
            "window": _fixed(pyarrow, self.windows),
            "values": self._listed(pyarrow, self.values, np.packbits(~self.mask, bitorder="little")),
        }
        if self.coverage is not None:
            fields["coverage"] = self._listed(pyarrow, self.coverage, None)
        return pyarrow.StructArray.from_arrays(list(fields.values()), list(fields))

    def _listed(self, pyarrow: Any, values: NDArray[Any], valid: NDArray[np.uint8] | None) -> Any:
        """Make one large list per crater that shares the values' memory; only booleans are copied, to Arrow's bits."""
        kind = pyarrow.from_numpy_dtype(values.dtype)
        data = np.packbits(values, bitorder="little") if values.dtype.kind == "b" else np.ascontiguousarray(values)
        buffers = [None if valid is None else pyarrow.py_buffer(valid), pyarrow.py_buffer(data)]
        flat = pyarrow.Array.from_buffers(kind, values.size, buffers)
        offsets = pyarrow.py_buffer(np.ascontiguousarray(self.offsets))
        return pyarrow.Array.from_buffers(pyarrow.large_list(kind), len(self), [None, offsets], children=[flat])


BATCH = 10_000
"""Number of craters that `to_ragged` processes at a time."""


def to_ragged(source: BlockSource) -> dict[str, Ragged]:
    """Lay the pixels of every crater out in flat arrays, one set per region; see `CraterArrays.to_ragged`."""
    check_result(
        int(source.sizes.sum()), "arrays.to_ragged()", "store them by arrays.to_zarr(path), or use arrays.iter_blocks()"
    )
    cutter, none = source.cutter, np.empty(0, np.int64)
    values = np.empty((*source.lead, 0), cutter.result_dtype)
    like = Blocks(
        crater=none,
        window=np.empty((0, 4), np.int64),
        offset=np.zeros(1, np.int64),
        values=values,
        mask=values.astype(bool),
        fraction=np.empty(0) if source.request.shapes.exact else None,
        fill_value=cutter.fill_value,
    )
    windows = dict(zip(source.regions, cutter.windows(source.request.craters), strict=True))
    large = source.large()
    whole = np.setdiff1d(np.arange(len(source.labels)), large)
    batches = gathering.in_batches(source.take(whole), BATCH) if whole.size else iter(())
    placed = ({name: replace(of, crater=whole[of.crater]) for name, of in found.items()} for found in batches)
    out = lay_out(placed, windows, source.labels, like)
    for position in large.tolist():
        for band in iter_bands(source, position, most=Room.within(get_option("memory")).waiting):
            _lay_band(band, out[source.regions[band.region]], position)
    return out


def _lay_band(band: Band, out: Ragged, position: int) -> None:
    """Copy some rows of one crater to their place in the flat arrays."""
    rows = slice(band.blocks.window[0, 0] - band.window[0], band.blocks.window[0, 1] - band.window[0])
    part, shape = slice(*out.offsets[position : position + 2].tolist()), out.shapes[position].tolist()
    for source, target in ((band.blocks.values, out.values), (band.blocks.mask, out.mask)):
        target[part].reshape(shape)[..., rows, :] = source.reshape(*shape[:-2], -1, shape[-1])
    if out.coverage is not None and band.blocks.fraction is not None:
        out.coverage[part].reshape(shape)[..., rows, :] = band.blocks.fraction.reshape(-1, shape[-1])


def lay_out(
    batches: Iterable[Mapping[str, Blocks]], windows: Mapping[str, Ints], labels: pd.Index[Any], like: Blocks
) -> dict[str, Ragged]:
    """Put blocks in the order of the craters, for each region.

    Parameters
    ----------
    batches : iterable of mapping of str to Blocks
        Blocks by region, every crater once and in any order; `Blocks.crater` is its position.
    windows : mapping of str to ndarray, shape (craters, 4)
        Window of every crater's block, by region.
    labels : pandas.Index
        Labels of the craters.
    like : Blocks
        An empty `Blocks` with the extra dimensions, dtype and fill value of the others, and with fractions if they have
        any.

    Returns
    -------
    dict of str to Ragged
        The pixels of each region.
    """
    lead = np.array(like.values.shape[:-1], np.int64)
    found = {}
    for name, window in windows.items():
        shape = np.column_stack([np.broadcast_to(lead, (len(window), lead.size)), window[:, 1::2] - window[:, ::2]])
        offset = np.concatenate([[0], np.cumsum(shape.prod(axis=1))])
        found[name] = Ragged(
            np.empty(offset[-1], like.values.dtype), np.empty(offset[-1], bool), offset, shape, labels, window,
            like.fill_value, None if like.fraction is None else np.empty(offset[-1]),
        )  # fmt: skip
    for of_regions in batches:
        for name, blocks in of_regions.items():
            _lay(blocks, int(lead.prod()), found[name])
    return found


def _lay(blocks: Blocks, images: int, out: Ragged) -> None:
    """Copy the pixels of blocks to the offsets of their craters."""
    begin, pixels = out.offsets[blocks.crater], int(blocks.offset[-1])
    for source, target in ((blocks.values, out.values), (blocks.mask, out.mask), (blocks.fraction, out.coverage)):
        if source is None or target is None or not pixels:
            continue
        source = np.ascontiguousarray(np.broadcast_to(source.reshape(-1, pixels), (images, pixels)))
        raw = RAW[source.itemsize]
        kernels.lay(source.view(raw), blocks.offset, begin, target.view(raw))


def _fixed(pyarrow: Any, table: Ints) -> Any:
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(table.ravel()), table.shape[1])
