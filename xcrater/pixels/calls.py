"""Calls of a user-supplied function: the arguments made from each crater's pixels, and the check of its results."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.engine.craters import Craters
from xcrater.errors import FunctionError
from xcrater.geometry import places
from xcrater.pixels.blocks import Blocks
from xcrater.raster.reading import Raster

Array = NDArray[Any]
Returns = int | None | Mapping[str, int | None]

WANTS = ("values", "coverage", "weights", "distance", "azimuth", "x", "y", "lon", "lat")
"""Names of the arrays that a function can receive, one element for each pixel."""

PIXELS = 2**20
"""Number of pixels whose coordinates are computed at once, unless one crater has more."""


def check_wants(wants: str | Iterable[str]) -> tuple[str, ...]:
    """Check the names of the arrays that a function is to receive, and return them as a tuple.

    Raises
    ------
    FunctionError
        A name is unknown.
    """
    names = (wants,) if isinstance(wants, str) else tuple(wants)
    if not names or not set(names) <= set(WANTS):
        raise FunctionError(f"received wants={wants!r}; expected some of {', '.join(map(repr, WANTS))}")
    return names


@dataclass(frozen=True)
class Call:
    """A user-supplied function, and how it is called for each crater and region.

    Parameters
    ----------
    func : callable
        The function.
    takes : tuple of str or None
        Names of the arrays of pixels that the function receives as keywords. If empty, it receives only the valid
        values; if None, the block as a masked array.
    columns : tuple of (str or None, int or None)
        Name and length of each result. The name is None if there is only one, and the length is None for a number.
    dtype : dtype
        Data type of the results.
    skip : bool
        Whether an exception in the function makes the crater's result NaN.
    """

    func: Callable[..., Any]
    takes: tuple[str, ...] | None
    columns: tuple[tuple[str | None, int | None], ...]
    dtype: np.dtype[Any]
    skip: bool = False

    @property
    def wants_places(self) -> bool:
        """Whether the function receives coordinates of pixels."""
        return bool(set(self.takes or ()) - {"values", "coverage", "weights"})

    def pixel_bytes(self, itemsize: int) -> int:
        """Approximate bytes per pixel that the arguments of the function take, in addition to the block itself.

        Parameters
        ----------
        itemsize : int
            Bytes of one value.
        """
        return 0 if self.takes is None else 1 + itemsize + 8 * len(self.takes) + (64 if self.wants_places else 0)

    @property
    def width(self) -> int:
        """Number of columns of the results."""
        return sum(1 if width is None else width for _, width in self.columns)

    def __call__(
        self,
        of_regions: Sequence[Blocks],
        weights: Sequence[Blocks] | None,
        craters: Craters,
        labels: Array,
        raster: Raster,
        *,
        apart: bool,
    ) -> Array:
        """Compute the results of some craters, shape (images, region, crater, width).

        Parameters
        ----------
        of_regions : sequence of Blocks
            The blocks of each region, all of the same craters.
        weights : sequence of Blocks or None
            The weights of the blocks' pixels, laid out in the same way; None for weights of 1.
        craters : Craters
            The craters.
        labels : ndarray
            Their labels.
        raster : Raster
            The raster that the blocks were cut from.
        apart : bool
            Whether the function is called for each image separately; otherwise each block has all images.
        """
        images = math.prod(of_regions[0].values.shape[:-1]) if apart else 1
        out = np.empty((images, len(of_regions), len(craters), self.width), self.dtype)
        for k, blocks in enumerate(of_regions):
            for some in blocks.groups(PIXELS):
                part = blocks.part(some.start, some.stop)
                mass = None if weights is None else weights[k].part(some.start, some.stop).values.ravel()
                for image, arguments in enumerate(self._arguments(part, mass, craters.take(some), raster, apart)):
                    for cell, label, received in zip(out[image, k, some], labels[some], arguments, strict=True):
                        self._fill(cell, label, received)
        return out

    def _arguments(
        self, blocks: Blocks, weights: Array | None, craters: Craters, raster: Raster, apart: bool
    ) -> Iterator[Iterable[Any]]:
        """Yield, for each image, the argument of the function for each block."""
        if self.takes is None and not apart:
            yield blocks.arrays()
            return
        flat = (math.prod(blocks.values.shape[:-1]), blocks.values.shape[-1])
        values, mask = blocks.values.reshape(flat), blocks.mask.reshape(flat)
        if self.takes is None:
            for v, m in zip(values, mask, strict=True):
                yield replace(blocks, values=v, mask=m).arrays()
            return
        valid = ~mask
        placed: dict[str, Array] = {}
        if self.wants_places:
            pixels = np.flatnonzero(valid.any(axis=0))
            placed = _places(blocks, pixels, craters, raster, set(self.takes))
            valid_of_placed = valid[:, pixels]
        if "weights" in self.takes:
            weights = np.ones(flat[1]) if weights is None else weights
        fraction = np.ones(flat[1]) if blocks.fraction is None and "coverage" in self.takes else blocks.fraction
        of_blocks = list(itertools.pairwise(blocks.offset.tolist()))
        for n, inside in enumerate(valid):
            ends = itertools.accumulate((np.count_nonzero(inside[a:b]) for a, b in of_blocks), initial=0)
            cuts = [slice(start, stop) for start, stop in itertools.pairwise(ends)]
            if not self.takes:
                values_inside = values[n][inside]
                yield (values_inside[cut] for cut in cuts)
                continue
            whole = {"values": values[n], "coverage": fraction, "weights": weights}
            arrays = {
                name: placed[name][valid_of_placed[n]] if name in placed else whole[name][inside] for name in self.takes
            }
            yield ({name: array[cut] for name, array in arrays.items()} for cut in cuts)

    def _fill(self, cell: Array, label: Any, received: Any) -> None:
        """Call the function for one crater and store its result in the cell."""
        try:
            value = self.func(**received) if self.takes else self.func(received)
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
        """Convert a returned value to the declared dtype, after checking it against the declared dtype and shape."""
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
    """A label in the form in which a user would type it."""
    return label.item() if isinstance(label, np.generic) else label


def _told(value: Any) -> str:
    """A short description of a returned value."""
    if isinstance(value, Mapping):
        return f"a dict with {', '.join(map(repr, value)) or 'nothing'}"
    array = np.asanyarray(value)
    return repr(value) if array.ndim == 0 else f"an array of shape {array.shape}"


def _advice(value: Any, name: str | None) -> str:
    """The line to type so that a returned value fits."""
    if isinstance(value, Mapping):
        of = {str(n): None if np.ndim(v) == 0 else np.size(v) for n, v in value.items()}
        return f"returns={of!r}"
    size = None if np.ndim(value) == 0 else np.size(value)
    return f"returns={size!r}" if name is None else f"returns={{{name!r}: {size!r}, ...}}"


def make_call(
    func: Callable[..., Any], dtype: Any, takes: tuple[str, ...] | None, returns: Returns, errors: str
) -> Call:
    """Check a user-supplied function and its declarations; see `CratersAccessor.map`.

    Raises
    ------
    FunctionError
        An argument does not fit.
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
    """Compute those coordinates of some pixels of blocks that the function receives."""
    out: dict[str, Array] = {}
    block = np.searchsorted(blocks.offset, pixels, "right") - 1
    down, across = np.divmod(pixels - blocks.offset[block], blocks.shape[block, 1])
    u, v = blocks.window[block, 2] + across + 0.5, blocks.window[block, 0] + down + 0.5
    a, _, c, _, e, f = raster.surface[1]
    out |= {"x": c + a * u, "y": f + e * v}
    if wanted & {"distance", "azimuth", "lon", "lat"}:
        out["lon"], out["lat"] = places.lonlat(raster.grid, u, v)
    if wanted & {"distance", "azimuth"}:
        each = replace(craters, shapes=(), near=None).take(block)
        out["distance"], out["azimuth"] = places.seen_from(raster.grid, each, out["lon"], out["lat"])
    return out
