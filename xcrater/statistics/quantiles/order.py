"""Order statistics of regions of any size, in bounded memory.

Pixel values become *keys*, unsigned integers of the same order, and a *roi* is one region of one crater in one image,
by number. What lies in one tile is solved there. Of what several tiles share, each ships its *pairs* (distinct keys
and how many pixels have each), which merge in a tree; a roi is solved, and its pairs are dropped, as soon as all of
its tiles are there. Where pairs of a wide dtype would take too much memory and quantiles alone are asked for, tiles
count the keys' first 16 bits instead: the counts tell the first 16 bits of the wanted keys, and another look at the
same tiles counts the 16 bits that follow, and so on. Keys of 8 or 16 bits whose pixels have no weights are counted
where they lie (`xcrater.statistics.quantiles.counting`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.plan import FAN_IN, Tile
from xcrater.errors import StatisticError
from xcrater.statistics.quantiles.counting import Counting

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

Collect = Callable[[Ints, tuple[int, int]], tuple[Array, Floats | None, Ints]]
"""(positions among the tile's craters, rows (start, stop)) -> values of the valid pixels in these rows, crater by
crater and region by region, in an array of their own; their weights or None; how many, shape (craters, regions)."""

DIGIT = 16
"""Bits that one look at a tile tells of a key."""

NARROW = 2**26
"""Bytes of pairs under way that are allowed in any case, of keys of 16 bits: a roi has no more than 0.7 MB of them."""

BATCH = 2**20
"""Pixels of several craters that are worked on at once."""

PAIR = 32
"""Bytes of one pair at most, with the copy that merging makes."""


@dataclass(frozen=True)
class Wanted:
    """Which order statistics.

    Parameters
    ----------
    quantiles : tuple of float
        From 0 to 1.
    frequencies : bool
        Majority, minority and number of distinct values.
    shares : tuple of float
        Values whose share of the pixels is asked for.
    categories : bool
        A dict of every value and the number (or weight) of its pixels.

    Examples
    --------
    >>> Wanted((0.5,), frequencies=True).columns
    4
    """

    quantiles: tuple[float, ...] = ()
    frequencies: bool = False
    shares: tuple[float, ...] = ()
    categories: bool = False

    def __or__(self, other: Wanted) -> Wanted:
        """Those of both."""
        return Wanted(
            tuple(sorted({*self.quantiles, *other.quantiles})),
            self.frequencies or other.frequencies,
            tuple(sorted({*self.shares, *other.shares})),
            self.categories or other.categories,
        )

    def __bool__(self) -> bool:
        return bool(self.quantiles) or self.distinct

    @property
    def distinct(self) -> bool:
        """Whether distinct values have to be counted."""
        return self.frequencies or bool(self.shares) or self.categories

    @property
    def columns(self) -> int:
        """How many numbers these are: the quantiles, majority, minority and number, the shares."""
        return len(self.quantiles) + 3 * self.frequencies + len(self.shares)


@dataclass(frozen=True)
class Coding:
    """How stored numbers become keys and keys become values.

    Parameters
    ----------
    dtype : str
        Of the raster.
    scale, offset : float
        ``value = stored * scale + offset``.

    Examples
    --------
    >>> coding = Coding("<f4", 2.0)
    >>> keys = coding.keys(np.array([1.5, -0.0, -np.inf], "f4"))
    >>> coding.values(keys)
    array([  3.,   0., -inf])
    """

    dtype: str
    scale: float = 1.0
    offset: float = 0.0

    @property
    def key(self) -> np.dtype[Any]:
        """Dtype of the keys."""
        stored = np.dtype(self.dtype)
        small = 1 if stored.kind in "bu" else 2 if stored.kind == "i" else 4
        return np.dtype(f"u{min(8, max(small, stored.itemsize))}")

    @property
    def bits(self) -> int:
        """Of a key."""
        return 8 * self.key.itemsize

    @property
    def mirrored(self) -> bool:
        """Whether the largest key is the smallest value."""
        return self.scale < 0

    @property
    def scaled(self) -> bool:
        """Whether values are not the stored numbers."""
        return (self.scale, self.offset) != (1.0, 0.0)

    @property
    def kind(self) -> str:
        """Of the stored numbers."""
        return np.dtype(self.dtype).kind

    def _sign(self) -> Any:
        return self.key.type(1 << (self.bits - 1))

    def keys(self, stored: Array) -> Array:
        """Keys of stored numbers, none of them NaN; where the width is the same, they take the numbers' memory."""
        if self.kind == "f":
            bits = stored.astype(f"f{self.key.itemsize}", copy=False).view(self.key)
            kernels.encode_floats(bits, self._sign(), self.key.type(2**self.bits - 1))
            return bits
        keys = stored.view(self.key) if stored.dtype.itemsize == self.key.itemsize else stored.astype(self.key)
        if self.kind == "i":
            keys ^= self._sign()
        return keys

    def values(self, keys: Array) -> Floats:
        """Values of keys; there is no -0.0."""
        keys = keys.astype(self.key)
        if self.kind == "f":
            bits = np.where(keys & self._sign(), keys ^ self._sign(), ~keys)
            stored = bits.view(f"f{self.key.itemsize}")
        elif self.kind == "i":
            stored = (keys ^ self._sign()).view(f"i{self.key.itemsize}")
        else:
            stored = keys
        values = stored.astype(np.float64)
        if self.scaled:
            values = values * self.scale + self.offset
        return values + 0.0

    def nearest(self, value: float) -> float:
        """The number that stands for a value in the raster: of 0.1, float32 has another than float64."""
        stored = np.dtype(self.dtype)
        return float(stored.type(value)) if stored.kind == "f" and not self.scaled else value


@dataclass(frozen=True, eq=False)
class Share:
    """How the tiles share each crater.

    Parameters
    ----------
    tiles : ndarray of int32, shape (n,)
        How many tiles list it.
    digits : ndarray of bool, shape (n,)
        Whether they count digits of its keys, rather than ship pairs.
    """

    tiles: NDArray[np.int32]
    digits: NDArray[np.bool_]

    def take(self, index: NDArray[np.integer] | slice) -> Share:
        """The craters at some positions."""
        return Share(self.tiles[index], self.digits[index])

    def on(self, tile: Tile) -> SharedTile:
        """A tile that knows how others share its craters; positions are rows of the table."""
        return SharedTile(tile.index, tile.window, tile.craters, self.take(tile.craters.row))


@dataclass(frozen=True, eq=False)
class SharedTile(Tile):
    """A tile that knows how the tiles share its craters.

    Parameters
    ----------
    share : Share
        Shape (craters of this tile,).
    """

    share: Share


def share(offset: Ints, member: NDArray[np.integer], pixels: Ints, order: Order, *, images: int = 1) -> Share:
    """Decide how tiles share each crater, by what is known before anything is read.

    Craters ship their pairs but the largest, as many of these as it takes for what is under way at one time to fit
    half of the memory.

    Parameters
    ----------
    offset, member : ndarray
        The plan: tile t lists the craters ``member[offset[t]:offset[t + 1]]``.
    pixels : ndarray of int64, shape (craters,)
        At most so many pixels each crater's regions have together.
    order : Order
        What is asked for.
    images : int
        Images in one block.
    """
    n = pixels.size
    tiles = np.bincount(member, minlength=n).astype(np.int32)
    digits = np.zeros(n, bool)
    if not order.narrows or not (tiles > 1).any():
        return Share(tiles, digits)
    tile = np.repeat(np.arange(offset.size - 1), np.diff(offset))
    first, last = np.zeros(n, np.int64), np.zeros(n, np.int64)
    last[member] = tile
    first[member[::-1]] = tile[::-1]
    together = last.copy()  # the last tile of the smallest group of merged tiles that has all of the crater's
    group = 1
    while group < offset.size - 1:
        group *= FAN_IN
        whole = (first // group == last // group) & (first // (group // FAN_IN) != last // (group // FAN_IN))
        together[whole] = np.minimum((last[whole] // group + 1) * group, offset.size - 1) - 1
    size = np.where(tiles > 1, pixels * images * PAIR, 0)

    def under_way(limit: int) -> int:
        held = np.where(size <= limit, size, 0)
        change = np.bincount(first, held, offset.size) - np.bincount(together + 1, held, offset.size)
        return int(np.cumsum(change).max())

    sizes = np.unique(np.append(0, size))
    low, high = 0, sizes.size - 1  # nothing of size 0 is under way
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if under_way(int(sizes[middle])) <= order.memory // 2 else (low, middle - 1)
    digits = (tiles > 1) & (size > sizes[low])
    return Share(tiles, digits)


@dataclass(frozen=True, eq=False)
class Solved:
    """Answers.

    Parameters
    ----------
    roi : ndarray of int64, shape (n,)
        Whose.
    numbers : ndarray of float64, shape (n, `Wanted.columns`)
        Order statistics.
    categories : ndarray of object, shape (n,), or None
        Dicts.
    """

    roi: Ints
    numbers: Floats
    categories: Array | None


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs that await those of other tiles.

    Parameters
    ----------
    roi : ndarray of int64, shape (n,)
        Whose, ascending.
    seen, tiles : ndarray of int32, shape (n,)
        How many tiles they come from, of how many.
    start, stop : ndarray of int64, shape (n,)
        Where the pairs of each begin and end.
    keys : ndarray
        Ascending for each roi.
    tally : ndarray of int32, int64 or float64
        Number or weight of the pixels of each key.
    most : int
        No number of pixels is larger.
    """

    roi: Ints
    seen: NDArray[np.int32]
    tiles: NDArray[np.int32]
    start: Ints
    stop: Ints
    keys: Array
    tally: Array
    most: int = 2**62

    def take(self, index: Ints) -> Pairs:
        """Some of them, where they are."""
        names = ("roi", "seen", "tiles", "start", "stop")
        return replace(self, **{name: getattr(self, name)[index] for name in names})

    def packed(self) -> Pairs:
        """One after the other, with nothing between."""
        offsets = _offsets(self.stop - self.start)
        if offsets[-1] == self.keys.size and np.array_equal(offsets[:-1], self.start):
            return self
        keys, tally = np.empty(offsets[-1], self.keys.dtype), np.empty(offsets[-1], self.tally.dtype)
        kernels.pack(self.keys, self.tally, self.start, self.stop, keys, tally)
        return replace(self, start=offsets[:-1], stop=offsets[1:], keys=keys, tally=tally)

    @property
    def nbytes(self) -> int:
        """Bytes of the pairs."""
        return self.keys.nbytes + self.tally.nbytes


@dataclass(frozen=True, eq=False)
class Targets:
    """Keys that are wanted, as far as they are known.

    Parameters
    ----------
    roi : ndarray of int64, shape (n,)
        Whose, ascending.
    count : ndarray of int64, shape (n,)
        How many pixels it has.
    prefix : ndarray of uint64, shape (n, 2, quantiles)
        First bits of the keys on both sides of each quantile.
    rank : ndarray of int64, shape (n, 2, quantiles)
        Rank of each among the keys with these first bits.
    tiles : ndarray of int32, shape (n,)
        How many tiles share the roi.
    """

    roi: Ints
    count: Ints
    prefix: NDArray[np.uint64]
    rank: Ints
    tiles: NDArray[np.int32]

    def __len__(self) -> int:
        return self.roi.size

    def take(self, index: Any) -> Targets:
        """Some of them."""
        return Targets(self.roi[index], self.count[index], self.prefix[index], self.rank[index], self.tiles[index])

    @cached_property
    def questions(self) -> tuple[Ints, NDArray[np.uint64], Ints]:
        """Distinct (roi, prefix), ascending, as positions of targets and prefixes; and that of each target."""
        n = len(self)
        at = np.repeat(np.arange(n), self.prefix[0].size if n else 0)
        both = np.stack([at.astype(np.uint64), self.prefix.ravel()], axis=1)
        distinct, which = np.unique(both, axis=0, return_inverse=True)
        return distinct[:, 0].astype(np.int64), distinct[:, 1], which.reshape(self.prefix.shape).astype(np.int64)

    def asked(self, at: int) -> tuple[int, NDArray[np.uint64]]:
        """The first of one roi's questions, and the prefixes of all of its."""
        target, prefix, _ = self.questions
        a, b = np.searchsorted(target, [at, at + 1]).tolist()
        return a, prefix[a:b]


@dataclass(frozen=True, eq=False)
class Found:
    """What some tiles found, or all.

    Parameters
    ----------
    solved : list of Solved
        Answers.
    pairs : list of Pairs
        What awaits other tiles.
    digits : list of Pairs
        The same; keys are 16 bits of the rois' keys. After the first look, rois are positions of questions.
    targets : list of Targets
        What awaits another look at the tiles.
    """

    solved: list[Solved] = field(default_factory=list)
    pairs: list[Pairs] = field(default_factory=list)
    digits: list[Pairs] = field(default_factory=list)
    targets: list[Targets] = field(default_factory=list)


@dataclass(frozen=True)
class Order:
    """One request's order statistics: how a tile finds them, and what becomes of those of several.

    Parameters
    ----------
    wanted : Wanted
        Which.
    coding : Coding
        What stored numbers mean.
    regions : int
        How many regions each crater has.
    memory : int
        Bytes that values, counts and copies of them may take in one process.
    weighted : bool
        Whether pixels have weights.
    """

    wanted: Wanted
    coding: Coding
    regions: int
    memory: int
    weighted: bool = False

    @property
    def looks(self) -> int:
        """At how many times the tiles of `Share.digits` are looked."""
        return max(1, self.coding.bits // DIGIT)

    def find(
        self, collect: Collect, counts: Ints, craters: Array, share: Share, window: tuple[int, int, int, int],
        image: int = 0, images: int = 1, counting: Counting | None = None,
    ) -> Found:  # fmt: skip
        """First look at an image of a tile.

        Parameters
        ----------
        collect : callable
            See `Collect`.
        counts : ndarray of int64, shape (craters, regions)
            At most so many valid pixels there are.
        craters : ndarray, shape (craters,)
            Positions in the table of the tile's craters, ascending.
        share : Share
            How tiles share them.
        window : tuple of int
            (row_start, row_stop, col_start, col_stop) of the tile.
        image, images : int
            Which image of the block, of how many.
        counting : Counting or None
            What counts the keys, where they are narrow and without weights.
        """
        if counting is not None:
            return self._join(self._counted(counting, self._rois(craters, image, images), share))
        rows, width = (window[0], window[1]), window[3] - window[2]
        roi = self._rois(craters, image, images)
        of = np.repeat(share.tiles[:, None], self.regions, axis=1)
        held, room = counts.sum(axis=1), self._room()
        found = Found()
        for index in _batches(np.flatnonzero(share.tiles == 1), held, min(room, BATCH)):
            if held[index].sum() <= room:
                found.solved.append(self._solve(roi[index].ravel(), *self._keys(collect, index, rows)))
            elif self.narrows:
                found.solved.extend(self._narrow_down(collect, int(index[0]), roi[index[0]], rows, width))
            else:
                found.solved.append(self._solve_pairs(self._ship(collect, index, roi, of, rows, width, room)))
        for index in _batches(np.flatnonzero((share.tiles > 1) & ~share.digits), held, min(room, BATCH)):
            whole = room if held[index].sum() > room else None
            found.pairs.append(self._ship(collect, index, roi, of, rows, width, whole))
        for i in np.flatnonzero(share.digits).tolist():
            asked = [(k, int(roi[i, k]), np.zeros(1, np.uint64)) for k in range(self.regions)]
            found.digits.append(self._count(collect, i, asked, share.tiles[i], rows, width, 0))
        return self._join(found)

    def _counted(self, counting: Counting, roi: Ints, share: Share) -> Found:
        """What a tile finds whose keys are counted."""
        alone, several = np.flatnonzero(share.tiles == 1), np.flatnonzero(share.tiles > 1)
        found = Found()
        if not self.wanted.distinct:
            low, high = counting.select(alone, np.array(self.wanted.quantiles), self.coding.mirrored)
            answers = self._between(low, high, counting.number[alone].ravel())
            found.solved.append(Solved(roi[alone].ravel(), answers, None))
        else:
            for index in _batches(alone, counting.distinct.sum(axis=1), min(self._room(), BATCH)):
                one = np.ones(roi[index].size, np.int32)
                pairs = Pairs(roi[index].ravel(), one, one, *counting.pairs(index))
                found.solved.append(self._solve_pairs(pairs))
        if several.size:
            of = np.repeat(share.tiles[several], self.regions)
            one = np.ones(of.size, np.int32)
            found.pairs.append(Pairs(roi[several].ravel(), one, of, *counting.pairs(several), counting.stored.size))
        return found

    def look(
        self, collect: Collect, craters: Array, window: tuple[int, int, int, int], targets: Targets, look: int,
        image: int = 0, images: int = 1,
    ) -> Found:  # fmt: skip
        """Another look at an image of a tile.

        Parameters
        ----------
        collect, craters, window, image, images
            See `find`.
        targets : Targets
            What the looks before found.
        look : int
            The how manieth it is, from 1 on.
        """
        found = Found()
        if not len(targets):
            return found
        roi = self._rois(craters, image, images)
        at = np.minimum(np.searchsorted(targets.roi, roi), len(targets) - 1)
        known = targets.roi[at] == roi
        for i in np.flatnonzero(known.any(axis=1)).tolist():
            asked = [(k, *targets.asked(int(at[i, k]))) for k in np.flatnonzero(known[i]).tolist()]
            tiles = targets.tiles[at[i, asked[0][0]]]
            rows, width = (window[0], window[1]), window[3] - window[2]
            found.digits.append(self._count(collect, i, asked, tiles, rows, width, look))
        return self._join(found, targets)

    def merge(self, founds: Sequence[Found], before: Targets | None = None) -> Found:
        """Put together what tiles found, in the order given, and solve what is complete.

        Parameters
        ----------
        founds : sequence of Found
            Of one look at tiles.
        before : Targets or None
            What the looks before found.

        Raises
        ------
        StatisticError
            Pairs take more than the memory option allows.
        """
        parts = ("solved", "pairs", "digits", "targets")
        whole = Found(**{name: [part for f in founds for part in getattr(f, name)] for name in parts})
        return self._join(whole, before)

    def targets(self, found: Found) -> Targets:
        """What all tiles leave open, for another look at them."""
        q = len(self.wanted.quantiles)
        none = Targets(
            np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2, q), np.uint64), np.empty((0, 2, q), np.int64),
            np.empty(0, np.int32),
        )  # fmt: skip
        parts = [none, *found.targets]
        whole = Targets(*(np.concatenate([getattr(t, n) for t in parts]) for n in none.__dataclass_fields__))
        return whole.take(np.argsort(whole.roi))

    def finish(self, found: Found, last: Targets | None = None) -> Found:
        """What was found, with the answers that the last look gave."""
        if last is None or not len(last):
            return found
        keys = last.prefix.astype(self.coding.key)
        answer = Solved(last.roi, self._between(keys[:, 0], keys[:, 1], last.count), None)
        return replace(found, solved=[*found.solved, answer], targets=[])

    @property
    def narrows(self) -> bool:
        """Whether keys can be found 16 bits at a time."""
        return not (self.wanted.distinct or self.weighted) and self.coding.bits > DIGIT

    def _rois(self, craters: Array, image: int, images: int) -> Ints:
        """Numbers of the rois of some craters, shape (craters, regions)."""
        return (craters.astype(np.int64)[:, None] * images + image) * self.regions + np.arange(self.regions)

    def _room(self) -> int:
        """Pixels that one tile may take at a time: all threads together use half of the memory."""
        key = self.coding.key.itemsize
        # Keys and as many to sort them with; counts, values and their copies.
        each = 2 * key + 16 * self.weighted + (48 if self.wanted.distinct or self.weighted else 0)
        room = max(1, self.memory // (2 * (os.cpu_count() or 1) * each))
        # What is counted rather than sorted may as well come in pieces that stay in the processor's cache.
        return min(room, 4 * BATCH) if self.coding.bits <= DIGIT else room

    def _keys(self, collect: Collect, index: Ints, rows: tuple[int, int]) -> tuple[Array, Floats | None, Ints]:
        values, weights, length = collect(index, rows)
        return self.coding.keys(values), weights, _offsets(length)

    def _solve(self, roi: Ints, keys: Array, weights: Floats | None, offsets: Ints) -> Solved:
        """Answers of whole runs."""
        if self.wanted.distinct or weights is not None:
            one = np.ones(roi.size, np.int32)
            return self._solve_pairs(self._pairs(roi, one, keys, weights, offsets))
        q = np.array(self.wanted.quantiles)
        low, high = (np.zeros((roi.size, q.size), np.uint64) for _ in range(2))
        _sort(keys, offsets, 2**16)
        spare = np.empty(int(np.diff(offsets).max(initial=0)), keys.dtype)
        counts = np.empty(kernels.BUCKETS, np.int64)
        kernels.select(keys, offsets, q, self.coding.mirrored, spare, counts, low, high)
        return Solved(roi, self._between(low, high, np.diff(offsets)), None)

    def _between(self, low: Array, high: Array, n: Ints) -> Floats:
        """Quantiles from the keys on both sides of them, linear between ranks as numpy's; NaN of no pixels."""
        if self.coding.mirrored:
            low, high = high, low
        x, y = (self.coding.values(k.astype(self.coding.key)) for k in (low, high))
        rank = np.array(self.wanted.quantiles) * np.maximum(n - 1, 0)[:, None]
        t = rank - np.floor(rank)
        with np.errstate(invalid="ignore"):  # of infinities
            between = np.where(t >= 0.5, y - (y - x) * (1.0 - t), x + (y - x) * t)
        return np.where(n[:, None] == 0, np.nan, np.where((x == y) | (t == 0.0), x, between) + 0.0)

    def _pairs(self, roi: Ints, tiles: Array, keys: Array, weights: Floats | None, offsets: Ints) -> Pairs:
        """One tile's pairs, in the memory of the keys and weights."""
        if weights is None:
            _sort(keys, offsets, np.inf)
        longest = int(np.diff(offsets).max(initial=0))
        dtype = np.int64 if weights is None else np.float64
        tally = np.empty(keys.size, np.int64) if weights is None else weights
        spare = np.empty(longest, keys.dtype), None if weights is None else np.empty(longest)
        counts, dense = np.empty(kernels.BUCKETS, np.int64), np.empty(kernels.BUCKETS, dtype)
        ends = np.empty_like(offsets)
        kernels.to_pairs(keys, weights, offsets, *spare, counts, dense, tally, ends)
        one = np.ones(roi.size, np.int32)
        return Pairs(roi, one, tiles, ends[:-1], ends[1:], keys[: ends[-1]], tally[: ends[-1]])

    def _ship(
        self, collect: Collect, index: Ints, roi: Ints, of: Array, rows: tuple[int, int], width: int, room: int | None
    ) -> Pairs:
        """One tile's pairs, in memory of their own; from few rows at a time where there is not the room for all."""
        pieces: list[Pairs] = []
        for band in [rows] if room is None else _bands(rows, width * self.regions, room):
            piece = self._pairs(roi[index].ravel(), of[index].ravel(), *self._keys(collect, index, band))
            piece = replace(piece, keys=piece.keys.copy(), tally=piece.tally.copy())
            pieces.append(piece)
            if len(pieces) == FAN_IN:
                pieces = [self._together(pieces)]
        return replace(self._together(pieces), seen=np.ones(index.size * self.regions, np.int32))

    def _together(self, parts: list[Pairs]) -> Pairs:
        """Pairs of several tiles in one."""
        narrow = 8 * parts[0].keys.itemsize <= DIGIT
        allowed = max(self.memory // 2, NARROW) if narrow else self.memory // 2
        while len(parts) > 1:
            pairwise = [_merge_two(*two) for two in zip(parts[::2], parts[1::2], strict=False)]
            parts = pairwise + parts[2 * len(pairwise) :]
            needed = sum(part.nbytes for part in parts)
            if needed > allowed:
                raise StatisticError(
                    f"order statistics of large regions take {needed} bytes or more at a time, and {allowed} are "
                    f"allowed (half of the option memory); set_options(memory={4 * needed}) or more, or ask for "
                    f"fewer regions at a time, or for quantiles without frequencies and weights"
                )
        return parts[0]

    def _solve_pairs(self, pairs: Pairs) -> Solved:
        """Answers of whole runs that are given as pairs."""
        wanted, coding = self.wanted, self.coding
        q = np.array(wanted.quantiles)
        numbers = np.full((pairs.roi.size, wanted.columns), np.nan)
        if q.size and not self.weighted:
            low, high = (np.zeros((pairs.roi.size, q.size), np.uint64) for _ in range(2))
            count = np.empty(pairs.roi.size, np.int64)
            kernels.select_pairs(
                pairs.keys, pairs.tally, pairs.start, pairs.stop, q, coding.mirrored, low, high, count
            )  # fmt: skip
            numbers[:, : q.size] = self._between(low, high, count)
        if not (wanted.distinct or self.weighted):
            return Solved(pairs.roi, numbers, None)
        pairs = pairs.packed()
        values, offsets = coding.values(pairs.keys), np.append(pairs.start, pairs.keys.size)
        tally = pairs.tally.astype(np.float64 if self.weighted else np.int64, copy=False)
        backwards = slice(None, None, -1 if coding.mirrored else 1)
        if coding.mirrored:
            values, tally = np.ascontiguousarray(values[::-1]), np.ascontiguousarray(tally[::-1])
            offsets = offsets[-1] - offsets[::-1]
        if coding.scaled:
            values, tally, offsets = _distinct(values, tally, offsets)
        if q.size and self.weighted:
            kernels.weighted_quantiles(values, tally, offsets, q, numbers[backwards, : q.size])
        columns = numbers[backwards, q.size :]
        three = columns[:, :3] if wanted.frequencies else np.empty((pairs.roi.size, 3))
        shared = columns[:, 3 * wanted.frequencies :]
        asked = np.array([coding.nearest(value) for value in wanted.shares])
        kernels.frequencies(values, tally, offsets, asked, three[:, 0], three[:, 1], three[:, 2], shared)
        categories = None
        if wanted.categories:
            named = values if coding.scaled or coding.kind == "f" else values.astype(np.int64)
            dicts = np.empty(pairs.roi.size, object)
            for i, (a, b) in enumerate(itertools.pairwise(offsets.tolist())):
                dicts[i] = dict(zip(named[a:b].tolist(), tally[a:b].tolist(), strict=True))
            categories = dicts[backwards]
        return Solved(pairs.roi, numbers, categories)

    def _count(
        self, collect: Collect, crater: int, asked: Asked, tiles: Any, rows: tuple[int, int], width: int, look: int
    ) -> Pairs:
        """Digits of one crater's keys: for each region in ``asked``, by its prefixes."""
        shift = np.uint64(self.coding.bits - DIGIT * (look + 1))
        counts = [np.zeros((prefix.size, 1 << DIGIT), np.int64) for _, _, prefix in asked]
        for band in _bands(rows, width * self.regions, self._room()):
            keys, _, offsets = self._keys(collect, np.array([crater]), band)
            for (k, _, prefix), count in zip(asked, counts, strict=True):
                kernels.count_digits(keys[offsets[k] : offsets[k + 1]], shift, prefix, count)
        question = [first + np.arange(prefix.size) for _, first, prefix in asked]
        present = [np.flatnonzero(c != 0) for count in counts for c in count]  # several times as fast as of integers
        tally = [c[at] for c, at in zip((c for count in counts for c in count), present, strict=True)]
        roi, offsets = np.concatenate(question), _offsets(np.array([at.size for at in present]))
        return Pairs(
            roi, np.ones(roi.size, np.int32), np.full(roi.size, tiles, np.int32), offsets[:-1], offsets[1:],
            np.concatenate(present).astype(np.uint16), np.concatenate(tally),
        )  # fmt: skip

    def _narrow_down(self, collect: Collect, crater: int, roi: Ints, rows: tuple[int, int], width: int) -> list[Solved]:
        """Answers of one crater that lies in one tile, from as many looks at its rows as it takes."""
        asked: Asked = [(k, int(roi[k]), np.zeros(1, np.uint64)) for k in range(self.regions)]
        before = self._aim(self._count(collect, crater, asked, 1, rows, width, 0))
        for look in range(1, self.looks):
            at = np.searchsorted(roi, before.roi)
            asked = [(int(k), *before.asked(n)) for n, k in enumerate(at)]
            if asked:
                before = _narrow(before, before.questions[2], self._count(collect, crater, asked, 1, rows, width, look))
        return self.finish(Found(), before).solved

    def _aim(self, digits: Pairs) -> Targets:
        """Targets of rois whose first digits are all there."""
        total = np.append(0, np.cumsum(digits.tally))
        count = total[digits.stop] - total[digits.start]
        some = np.flatnonzero(count)
        digits, count = digits.take(some), count[some]
        q = np.array(self.wanted.quantiles)
        below = (q * (count - 1)[:, None]).astype(np.int64)
        above = np.minimum(below + 1, count[:, None] - 1)
        if self.coding.mirrored:
            below, above = count[:, None] - 1 - above, count[:, None] - 1 - below
        rank = np.stack([below, above], axis=1)
        start = Targets(digits.roi, count, np.zeros(rank.shape, np.uint64), rank, digits.tiles)
        which = np.broadcast_to(digits.roi[:, None, None], rank.shape)
        return _narrow(start, which, digits)

    def _join(self, found: Found, before: Targets | None = None) -> Found:
        """Pairs of all parts in one; what is complete, solved."""
        solved, targets = list(found.solved), list(found.targets)
        pairs, digits = [], []
        if found.pairs:
            complete, rest = _part(self._together(found.pairs))
            if complete.roi.size:
                solved.append(self._solve_pairs(complete))
            pairs = [rest] if rest.roi.size else []
        if found.digits:
            complete, rest = _part(self._together(found.digits))
            if complete.roi.size and before is None:
                targets.append(self._aim(complete))
            elif complete.roi.size and before is not None:
                # All questions of a roi are complete at once: the same tiles answer them.
                target, _, which = before.questions
                at = np.unique(target[complete.roi])
                targets.append(_narrow(before.take(at), which[at], complete))
            digits = [rest] if rest.roi.size else []
        return Found(solved, pairs, digits, targets)


Asked = list[tuple[int, int, NDArray[np.uint64]]]
"""For some regions: which, the number of its first question, and the prefix of each of its questions."""


def _narrow(before: Targets, which: Ints, digits: Pairs) -> Targets:
    """Targets with the next digit of each, ``which`` telling whose digits it is found in."""
    past = np.cumsum(digits.tally)
    first = past - digits.tally
    start = first[digits.start[np.searchsorted(digits.roi, which)]]
    at = np.searchsorted(past, start + before.rank, side="right")
    prefix = (before.prefix << np.uint64(DIGIT)) | digits.keys[at].astype(np.uint64)
    return replace(before, prefix=prefix, rank=start + before.rank - first[at])


def _part(pairs: Pairs) -> tuple[Pairs, Pairs]:
    """Those of all their tiles, and the others."""
    done = pairs.seen == pairs.tiles
    if done.all() or not done.any():
        none = pairs.take(np.empty(0, np.int64))
        return (pairs, none) if done.all() else (none, pairs)
    return pairs.take(np.flatnonzero(done)), pairs.take(np.flatnonzero(~done)).packed()


def _merge_two(one: Pairs, two: Pairs) -> Pairs:
    """Pairs of two tiles."""
    roi = np.union1d(one.roi, two.roi)
    seen, tiles = np.zeros(roi.size, np.int32), np.zeros(roi.size, np.int32)
    ends = []
    for part in (one, two):
        at = np.searchsorted(roi, part.roi)
        start, stop = np.zeros(roi.size, np.int64), np.zeros(roi.size, np.int64)
        start[at], stop[at] = part.start, part.stop
        seen[at] += part.seen
        tiles[at] = part.tiles
        ends.append((start, stop))
    size, most = one.keys.size + two.keys.size, min(one.most + two.most, 2**62)
    counts = np.result_type(one.tally, two.tally)
    counts = np.dtype(np.int64) if counts == np.int32 and most >= 2**31 else counts
    keys, tally, offsets = np.empty(size, one.keys.dtype), np.empty(size, counts), np.empty(roi.size + 1, int)
    tally1, tally2 = (part.tally.astype(counts, copy=False) for part in (one, two))
    kernels.merge_pairs(one.keys, tally1, *ends[0], two.keys, tally2, *ends[1], keys, tally, offsets)
    end = int(offsets[-1])  # at least half of the room, of which the rest was never touched
    return Pairs(roi, seen, tiles, offsets[:-1], offsets[1:], keys[:end], tally[:end], most)


def _distinct(values: Floats, tally: Array, offsets: Ints) -> tuple[Floats, Array, Ints]:
    """Runs of ascending values, those that decoding made equal put together."""
    new = np.ones(values.size, bool)
    new[1:] = values[1:] != values[:-1]
    new[offsets[:-1][offsets[:-1] < values.size]] = True
    if new.all():
        return values, tally, offsets
    return values[new], np.add.reduceat(tally, np.flatnonzero(new)), np.append(0, np.cumsum(new))[offsets]


def _sort(keys: Array, offsets: Ints, longest: float) -> None:
    """Sort runs of wide keys that are worth a call of numpy's sort, which sorts in vector lanes."""
    if 8 * keys.itemsize > DIGIT:
        length = np.diff(offsets)
        for i in np.flatnonzero((length >= 256) & (length < longest)).tolist():
            keys[offsets[i] : offsets[i + 1]].sort()


def _offsets(length: Array) -> Ints:
    """Where runs of these lengths begin, and the end."""
    return np.append(0, np.cumsum(length.ravel())).astype(np.int64)


def _batches(index: Ints, held: Ints, room: int) -> Iterator[Ints]:
    """Consecutive craters that hold at most so many pixels together; one alone may hold more."""
    past = np.cumsum(held[index])
    a = 0
    while a < index.size:
        before = past[a - 1] if a else 0
        b = max(a + 1, int(np.searchsorted(past, before + room, side="right")))
        yield index[a:b]
        a = b


def _bands(rows: tuple[int, int], width: int, room: int) -> list[tuple[int, int]]:
    """Rows in bands of at most so many pixels; one row alone may have more."""
    height = max(1, room // max(1, width))
    return [(row, min(row + height, rows[1])) for row in range(rows[0], rows[1], height)]


@dataclass(eq=False)
class Table:
    """The order statistics of all rois.

    Parameters
    ----------
    found : Found
        Of all tiles and looks.
    order : Order
        What was asked for.
    craters, images : int
        Length of the table, and images in the block.
    """

    found: Found
    order: Order
    craters: int
    images: int

    def __post_init__(self) -> None:
        wanted = self.order.wanted
        rois = self.craters * self.images * self.order.regions
        self._numbers = np.full((wanted.columns, rois), np.nan)
        for part in self.found.solved:
            self._numbers[:, part.roi] = part.numbers.T
        self._dicts: Array | None = None
        if wanted.categories:
            self._dicts = np.empty(rois, object)
            for i in range(rois):
                self._dicts[i] = {}
            for part in self.found.solved:
                if part.categories is not None:
                    self._dicts[part.roi] = part.categories

    def block(self, first: int, stop: int) -> Table:
        """Those of some consecutive craters."""
        part = copy(self)
        part.craters = stop - first
        each = self.images * self.order.regions
        part._numbers = self._numbers[:, first * each : stop * each]
        part._dicts = None if self._dicts is None else self._dicts[first * each : stop * each]
        return part

    def _shaped(self, flat: Array) -> Array:
        return flat.reshape(self.craters, self.images, self.order.regions).transpose(1, 2, 0)

    def quantile(self, q: float) -> Array:
        """One of the quantiles, shape (image, region, crater); NaN where there is no pixel."""
        return self._shaped(self._numbers[self.order.wanted.quantiles.index(q)])

    def frequency(self, which: str) -> Array:
        """Majority, minority or number of distinct values (unique), shape (image, region, crater)."""
        at = len(self.order.wanted.quantiles) + ("majority", "minority", "unique").index(which)
        return self._shaped(self._numbers[at])

    def share(self, value: float) -> Array:
        """Part of the pixels that have a value, shape (image, region, crater)."""
        shares = self.order.wanted.shares
        return self._shaped(self._numbers[self.order.wanted.columns - len(shares) + shares.index(value)])

    def categories(self) -> Array:
        """A dict of value to number (or weight) of its pixels for each roi, shape (image, region, crater)."""
        assert self._dicts is not None
        return self._shaped(self._dicts)
