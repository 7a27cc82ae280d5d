"""Blocks of pixels, one per crater, in flat arrays, so that bulk operations need not handle a million small arrays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.engine.sized import Sized

Masked = np.ma.MaskedArray[Any, Any]
Array = NDArray[Any]

RAW = {1: "u1", 2: "u2", 4: "u4", 8: "u8", 16: "c16"}
"""Dtype as which pixels are copied, by their number of bytes, since kernels copy bytes whatever they mean."""


@dataclass(frozen=True, eq=False)
class Blocks(Sized):
    """Pixels of one region of some craters: the bounding box of each crater row by row, one crater after another.

    Parameters
    ----------
    crater : ndarray of int64, shape (n,)
        Position of each crater, in the crater table or in the arrays that the blocks were taken from.
    window : ndarray of int64, shape (n, 4)
        (row_start, row_stop, col_start, col_stop) of each block on the raster's grid. It may reach beyond the raster;
        columns are continuous across the antimeridian.
    offset : ndarray of int64, shape (n + 1,)
        Block i has the pixels [offset[i], offset[i + 1]).
    values : ndarray, shape (..., pixels)
        Values with scale and offset applied; the dots stand for the raster's extra dimensions.
    mask : ndarray of bool, shape (..., pixels)
        True where there is no value: outside the region, at nodata or NaN, or beyond the raster.
    fraction : ndarray of float64, shape (pixels,), or None
        Fraction of each pixel that lies inside the region, for ``coverage="exact"``.
    fill_value : number or None
        Number shown for masked pixels; None for numpy's default.

    Examples
    --------
    >>> import numpy as np
    >>> from xcrater import tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> arrays = dem.craters.get_arrays(cdb, "rim")
    >>> (found,) = arrays.iter_blocks()
    >>> blocks = found["rim"]
    >>> np.add.reduceat(~blocks.mask, blocks.offset[:-1]).tolist()
    [232, 29, 38]
    """

    crater: NDArray[np.int64]
    window: NDArray[np.int64]
    offset: NDArray[np.int64]
    values: Array
    mask: NDArray[np.bool_]
    fraction: NDArray[np.float64] | None = None
    fill_value: Any = None

    def __len__(self) -> int:
        return self.crater.size

    @property
    def shape(self) -> NDArray[np.int64]:
        """Rows and columns of each block, shape (n, 2).

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> (found,) = arrays.iter_blocks()
        >>> found["rim"].shape.tolist()
        [[10, 39], [5, 8], [6, 9]]
        """
        return self.window[:, 1::2] - self.window[:, ::2]

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> (found,) = arrays.iter_blocks()
        >>> found["rim"].nbytes == int(arrays.sizes.sum())
        True
        """
        return self.values.nbytes + self.mask.nbytes + (0 if self.fraction is None else self.fraction.nbytes)

    def part(self, start: int, stop: int) -> Blocks:
        """Views of the blocks [start, stop).

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> (found,) = arrays.iter_blocks()
        >>> found["rim"].part(0, 2).crater.tolist()
        [0, 2]
        """
        pixels = slice(int(self.offset[start]), int(self.offset[stop]))
        return replace(
            self,
            crater=self.crater[start:stop],
            window=self.window[start:stop],
            offset=self.offset[start : stop + 1] - self.offset[start],
            values=self.values[..., pixels],
            mask=self.mask[..., pixels],
            fraction=None if self.fraction is None else self.fraction[pixels],
        )

    def take(self, which: NDArray[np.int64]) -> Blocks:
        """Copies of the blocks at some positions.

        Examples
        --------
        >>> import numpy as np
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> (found,) = arrays.iter_blocks()
        >>> found["rim"].take(np.array([2, 0])).crater.tolist()
        [1, 0]
        """
        sizes = np.diff(self.offset)[which]
        offset = np.concatenate([[0], np.cumsum(sizes)])
        pixels = np.repeat(self.offset[which] - offset[:-1], sizes) + np.arange(offset[-1])
        return replace(
            self,
            crater=self.crater[which],
            window=self.window[which],
            offset=offset,
            values=self.values[..., pixels],
            mask=self.mask[..., pixels],
            fraction=None if self.fraction is None else self.fraction[pixels],
        )

    def groups(self, pixels: int) -> list[slice]:
        """Cut the blocks into runs of at most ``pixels`` pixels together; a larger block is a run by itself."""
        return groups(np.diff(self.offset), pixels)

    def arrays(self) -> list[Masked]:
        """One masked array per block, dimensions (..., row, column): views of the values and the mask.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> (found,) = arrays.iter_blocks()
        >>> [int(array.count()) for array in found["rim"].arrays()]
        [232, 29, 38]
        """
        fill = None if self.fill_value is None else np.array(self.fill_value, self.values.dtype)
        state = vars(np.ma.MaskedArray(self.values[..., :0], fill_value=None))
        lead, out, start = self.values.shape[:-1], [], 0
        for (rows, columns), stop in zip(self.shape.tolist(), self.offset[1:].tolist(), strict=True):
            shape = (*lead, rows, columns)
            block: Any = self.values[..., start:stop].reshape(shape).view(_Unfinished)
            block.__class__ = np.ma.MaskedArray
            own = vars(block)
            own.update(state, _mask=self.mask[..., start:stop].reshape(shape), _optinfo={}, _basedict={})
            if fill is not None:
                own["_fill_value"] = fill.copy()
            out.append(block)
            start = stop
        return out


class _Unfinished(np.ma.MaskedArray[Any, Any]):
    """A masked array whose attributes are still to be set.

    They are known here, whereas MaskedArray's own way of finding them takes longer than everything else that is done
    for a small crater.
    """

    __slots__ = ()
    __array_finalize__ = np.ndarray.__array_finalize__


def groups(sizes: NDArray[np.int64], most: int) -> list[slice]:
    """Cut a sequence into runs.

    Parameters
    ----------
    sizes : ndarray of int64
        Size of each item.
    most : int
        Largest total size of a run; a larger item is a run by itself.
    """
    ends = np.cumsum(sizes)
    cuts = [0]
    while cuts[-1] < sizes.size:
        first = cuts[-1]
        before = int(ends[first - 1]) if first else 0
        cuts.append(max(first + 1, int(np.searchsorted(ends, before + most, "right"))))
    return [slice(a, b) for a, b in itertools.pairwise(cuts)]


def concatenate(blocks: Sequence[Blocks]) -> Blocks:
    """Join blocks of one region; there must be at least one `Blocks`."""
    if len(blocks) == 1:
        return blocks[0]
    first = blocks[0]
    sizes = np.concatenate([np.diff(b.offset) for b in blocks])
    return replace(
        first,
        crater=np.concatenate([b.crater for b in blocks]),
        window=np.concatenate([b.window for b in blocks]),
        offset=np.concatenate([[0], np.cumsum(sizes)]),
        # Without a dtype, numpy would convert values of foreign byte order to the machine's own.
        values=np.concatenate([b.values for b in blocks], axis=-1, dtype=first.values.dtype),
        mask=np.concatenate([b.mask for b in blocks], axis=-1),
        fraction=None
        if first.fraction is None
        else np.concatenate([b.fraction for b in blocks if b.fraction is not None]),
    )
