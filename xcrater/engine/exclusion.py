"""Removal of pixels near other craters from the runs of regions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from xcrater import kernels
from xcrater.engine.craters import Craters, Neighbours
from xcrater.engine.drawn import ROOM, Drawn
from xcrater.geometry.grid import Window


def leave_out(
    drawn: Iterable[Drawn],
    near: Neighbours,
    window: Window,
    draw_discs: Callable[[Craters, Window], Iterable[Drawn]],
) -> Iterator[Drawn]:
    """Remove from runs the pixels whose centres lie in the discs of the craters' neighbours.

    Parameters
    ----------
    drawn : iterable of Drawn
        Regions of the craters.
    near : Neighbours
        Discs to exclude from each crater's regions.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) on the whole grid.
    draw_discs : callable
        Discs and a window -> the runs of pixels whose centres lie in the discs.
    """
    begin, depth = np.empty(window[1] - window[0] + 1, np.int64), np.zeros(window[3] - window[2] + 1, np.int64)
    for some in drawn:
        here = near.take(some.craters)
        if here is None:
            yield some
            continue
        pieces = list(draw_discs(here.discs, window))
        ends = [int(piece.offset[-1, 0, 1]) for piece in pieces]
        holes = np.concatenate([piece.runs[:, :end] for piece, end in zip(pieces, ends, strict=True)], axis=1)
        before = np.cumsum([0, *ends[:-1]])
        hole = np.concatenate([piece.offset + n for piece, n in zip(pieces, before, strict=True)])
        discs = kernels.Runs(holes, np.empty(0), hole)
        count, room, first = len(some.offset), min(ROOM, 2**12 * len(some.offset)), 0
        while first < count:
            runs, weight, cuts = np.empty((3, room), np.int64), np.empty(room), np.empty((2, room), np.int64)
            offset = np.empty(some.offset.shape, np.int64)
            scratch, left = kernels.HoleScratch(begin, depth, cuts), kernels.Runs(runs, weight, offset)
            stop = kernels.leave_out(first, some.record(), discs, here.offset, here.member, window, scratch, left)
            if stop > first:
                at = some.craters.start
                yield Drawn(slice(at + first, at + stop), runs, weight, offset[first:stop])
            else:
                room *= 4
            first = stop
