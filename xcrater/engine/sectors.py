"""Sectors of rings: the runs of a ring are divided by the azimuths of pixels as seen from the crater's centre."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.craters import Craters
from xcrater.engine.drawn import Drawn
from xcrater.geometry import places
from xcrater.geometry.frame import Frame
from xcrater.geometry.grid import Grid, Window

Array = NDArray[Any]

ROOM, PIXELS = 2**14, 2**18
"""Number of runs of rings that are drawn at a time, and number of pixels whose azimuths are computed at a time."""


class Placement(NamedTuple):
    """The placement of pixels on the body.

    Parameters
    ----------
    closed : bool
        Whether rows are equally spaced in latitude and columns in longitude, on a sphere.
    rows : Rows
        The grid's rows and columns as kernels take them, used if `closed`.
    frame : Frame
        Placement of pixels in any projection.
    """

    closed: bool
    rows: kernels.Rows
    frame: Frame


def share_out(
    rings: Iterable[Drawn],
    first: Sequence[int],
    bounds: Sequence[tuple[float, float]],
    craters: Craters,
    window: Window,
    place: Placement,
) -> Iterator[Drawn]:
    """Divide the runs of whole rings among their sectors.

    Parameters
    ----------
    rings : iterable of Drawn
        Whole rings of the craters.
    first : sequence of int
        First region of each ring; the regions up to that of the next ring are sectors of it.
    bounds : sequence of (float, float)
        Azimuths between which each region lies, degrees clockwise from north.
    craters : Craters
        The craters that were drawn.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) on the whole grid.
    place : Placement
        Placement of the pixels on the body.
    """
    edges = np.unique(bounds)
    low, high = np.searchsorted(edges, bounds).T
    for ring in rings:
        drawn = ring.in_order()
        count = drawn.weight.size
        begin = np.concatenate([[0], np.cumsum(drawn.runs[2] - drawn.runs[1])])
        number = azimuth_bins(drawn, craters.take(drawn.craters), begin, edges, window, place)
        room = count + np.count_nonzero(number[1:] != number[:-1])
        runs, weight, pieces = np.empty((3, room), np.int64), np.empty(room), np.empty((4, room), np.int64)
        offset = np.empty((len(drawn.offset), len(bounds), 2), np.int64)
        regions, out = np.array([*first, len(bounds)]), kernels.Runs(runs, weight, offset)
        kernels.split_runs(drawn.record(), begin, number, regions, low, high, pieces, out)
        yield Drawn(drawn.craters, runs, weight, offset)


def azimuth_bins(drawn: Drawn, craters: Craters, begin: Array, edges: Array, window: Window, place: Placement) -> Array:
    """Index of the azimuth bin of each pixel centre.

    Parameters
    ----------
    drawn : Drawn
        Runs, crater by crater.
    craters : Craters
        The craters that were drawn.
    begin : ndarray of int64, shape (runs + 1,)
        Position of the first pixel of each run.
    edges : ndarray, shape (edges,)
        Edges of the bins, degrees clockwise from north, ascending.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) on the whole grid.
    place : Placement
        Placement of the pixels on the body.

    Returns
    -------
    ndarray of int16, shape (pixels,)
        Index of the bin, which is that of its lower edge; -1 before the first edge. Centres that are not on the body
        get the index of the last edge, where no bin begins.
    """
    closed, grid_rows, frame = place
    number = np.empty(begin[-1], np.int16)
    if closed:
        east = longitude_per_column(place)
        across = np.empty((2, window[3] - window[2]))
        caps = craters.caps()
        kernels.number_sectors(drawn.record(), caps, grid_rows, east, window, compass(edges), across, number)
        return number
    # Only the closed form has a shortcut; in all other projections the azimuth of each pixel must be computed.
    grid = Grid(frame.shape, 0.0, 1.0, 0.0, 1.0, (), (), frame)
    craters = replace(craters, shapes=(), near=None)
    crater = np.repeat(np.arange(len(drawn.offset)), np.diff(drawn.offset, axis=2).sum(axis=(1, 2)))
    cuts = np.unique([*np.searchsorted(begin, np.arange(0, begin[-1], PIXELS)), begin.size - 1])
    for first, stop in itertools.pairwise(cuts.tolist()):
        length = np.diff(begin[first : stop + 1])
        nth = np.arange(begin[first], begin[stop]) - np.repeat(begin[first:stop], length)
        u, v = np.repeat(drawn.runs[1, first:stop], length) + nth, np.repeat(drawn.runs[0, first:stop], length)
        seen = craters.take(np.repeat(crater[first:stop], length))
        _, azimuth = places.seen_from(grid, seen, *places.lonlat(grid, u + 0.5, v + 0.5))
        number[begin[first] : begin[stop]] = np.searchsorted(edges, azimuth, "right") - 1
    return number


def longitude_per_column(place: Placement) -> float:
    """Longitude per column, radians, of a grid with a closed form; negative if columns run west."""
    return math.copysign(2 * math.pi / place.rows.period, place.frame.columns[1])


def sector_record(
    first: Sequence[int], bounds: Sequence[tuple[float, float]], members: Array, window: Window, place: Placement
) -> kernels.Sectors:
    """Make the record of sectors that kernels take, with scratch space for a window.

    Parameters
    ----------
    first, bounds, window, place
        As `share_out` takes them; on a grid with a closed form.
    members : ndarray of int64, shape (regions,)
        Position of each region in the output.
    """
    edges = np.unique(bounds)
    begin = np.array([*first, len(bounds)])
    table = np.full((len(first), edges.size), -1)
    ring = np.repeat(np.arange(len(first)), np.diff(begin))
    for region, (low, high) in enumerate(np.searchsorted(edges, bounds)):
        table[ring[region], low:high] = region
    columns = window[3] - window[2]
    scratch = (
        np.empty((2, columns)),
        np.empty(columns),
        np.empty(columns, np.int16),
        np.empty((2, columns + 1), np.int64),
    )
    fours = np.append(compass(edges), np.full(-edges.size % 4, np.inf))
    return kernels.Sectors(fours, begin, table, members, longitude_per_column(place), *scratch)


def compass(azimuth: Array) -> Array:
    """Convert azimuths of 0 to 360 degrees to numbers from 0 to 4 that need no arctangent; see `kernels.compass`."""
    quarter, rest = np.divmod(azimuth, 90.0)
    east, north = np.sin(np.radians(rest)), np.cos(np.radians(rest))
    return np.asarray(quarter + east / (east + north))
