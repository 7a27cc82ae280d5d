"""Records that kernels take: arrays that belong together, under names.

They are plain named tuples, which numba passes like separate arguments, so a record costs nothing in a kernel. This
module loads neither numba nor a kernel, so any module may import it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Rows(NamedTuple):
    """A grid whose rows are equally spaced in latitude and whose columns are equally spaced in longitude.

    Parameters
    ----------
    lat_origin : float
        Latitude of the outer edge of row 0, radians.
    lat_step : float
        Latitude per row, radians; negative where rows run south.
    period : float
        Columns per turn of longitude.
    """

    lat_origin: float
    lat_step: float
    period: float


class Caps(NamedTuple):
    """Craters as spherical caps on a grid.

    Parameters
    ----------
    u0 : ndarray of float64, shape (craters,)
        Column coordinate of each centre's meridian; column j covers [j, j + 1).
    lat : ndarray of float64, shape (craters,)
        Latitude of each centre, radians.
    radius : ndarray of float64, shape (craters,)
        Angular radius of each crater, radians.
    """

    u0: Floats
    lat: Floats
    radius: Floats


class Pixels(NamedTuple):
    """The stored numbers of one image of a tile, and which of its pixels have a value.

    Parameters
    ----------
    stored : ndarray, shape (rows, columns)
        Stored numbers, C-contiguous.
    codes : ndarray of uint8, shape (rows, columns) or (1, 1)
        Code of each pixel: `VALID`, `NODATA` or `NAN`. Not read if the tile is clean.
    clean : bool
        Whether every pixel has a value.
    exact : bool or None
        True if sums are exact integers, None if they are floating-point numbers; a kernel is compiled for each case.
    """

    stored: Array
    codes: NDArray[np.uint8]
    clean: bool
    exact: bool | None


class Runs(NamedTuple):
    """Regions as runs of pixels: neighbouring columns of one row that are equally covered.

    Parameters
    ----------
    runs : ndarray of int64, shape (3, n)
        Row, first column and column past the last of each run, counted on the whole grid; rows ascending, and columns
        ascending within a row, region after region.
    weight : ndarray of float64, shape (n,)
        Fraction covered of each pixel of a run, from 0 to 1.
    offset : ndarray of int64, shape (craters, regions, 2)
        Position of each region's first run, and the position past its last.
    """

    runs: Ints
    weight: Floats
    offset: Ints


class Nest(NamedTuple):
    """Regions that are bounded by nested discs around the crater's centre.

    Parameters
    ----------
    edges : ndarray of float64, shape (discs,)
        Radius of each disc in crater radii, ascending.
    modes : ndarray of int64, shape (discs,)
        Which pixels each disc takes: `CENTER`, `TOUCHED` or `CONTAINED`.
    outer, inner : ndarray of int64, shape (regions,)
        Position of the disc that bounds each region outwards and inwards; -1 for a region without a hole.
    members : ndarray of int64, shape (regions,)
        Position of each region in the output.
    nvert : int
        Number of vertices of the polygons that stand for discs; 0 for true circles.
    """

    edges: Floats
    modes: Ints
    outer: Ints
    inner: Ints
    members: Ints
    nvert: int


class Annuli(NamedTuple):
    """Regions as separate annuli.

    Parameters
    ----------
    inner, outer : ndarray of float64, shape (regions,)
        Bounds in crater radii; an inner bound of 0 for discs.
    nvert : ndarray of int64, shape (regions,)
        Number of vertices of the polygons that stand for both bounds; 0 for true circles.
    """

    inner: Floats
    outer: Floats
    nvert: Ints


class Polygons(NamedTuple):
    """Polygons in pixel coordinates: shapes made of rings made of vertices.

    Parameters
    ----------
    u, v : ndarray of float64, shape (vertices,)
        Column and row coordinate of each vertex; the last vertex of a ring is joined to its first.
    ring : ndarray of int64, shape (rings + 1,)
        Position of each ring's first vertex, and the number of vertices.
    shape : ndarray of int64, shape (shapes + 1,)
        Position of each shape's first ring, and the number of rings.
    period : float
        Columns per turn of longitude; infinite if columns do not wrap.
    """

    u: Floats
    v: Floats
    ring: Ints
    shape: Ints
    period: float


class Sectors(NamedTuple):
    """Regions as sectors of rings.

    Parameters
    ----------
    edges : ndarray of float64, shape (4 n,)
        Azimuths that bound sectors, ascending, as `compass` numbers them; filled up with infinite ones.
    first : ndarray of int64, shape (rings + 1,)
        Regions ``first[k]`` to ``first[k + 1]`` are the sectors of ring k.
    table : ndarray of int64, shape (rings, edges)
        Region that takes the pixels of a ring from each edge to the next; -1 for none.
    members : ndarray of int64, shape (regions,)
        Position of each region in the output.
    east : float
        Longitude per column, radians; negative where columns run west.
    across : ndarray of float64, shape (2, columns)
    azimuth : ndarray of float64, shape (columns,)
    number : ndarray of int16, shape (columns,)
    pieces : ndarray of int64, shape (2, columns + 1)
        Scratch space, of the window's columns.
    """

    edges: Floats
    first: Ints
    table: Ints
    members: Ints
    east: float
    across: Floats
    azimuth: Floats
    number: NDArray[np.int16]
    pieces: Ints


class Sums(NamedTuple):
    """Accumulators of one image, ``out[:, image]``.

    Parameters
    ----------
    start : ndarray, shape (slots,)
        An accumulator before any pixel.
    image : int
        Position of the image among those of the tile.
    out : ndarray, shape (craters, images, regions, slots)
        The accumulators of all images.
    """

    start: Array
    image: int
    out: Array


class SpanScratch(NamedTuple):
    """Scratch arrays in which spans of discs are made, for one window; from `span_scratch`.

    Parameters
    ----------
    tables : ndarray of float64, shape (3, rows + 1)
        Sine and cosine of half the latitude and inverse cosine of the latitude of each row's centre, or of its edges.
    nodes : ndarray of float64, shape (7, n)
        Vertices of a disc's polygon on one side of its meridian; see `polygon_nodes`.
    half : ndarray of float64, shape (discs, rows)
        Half-width of each disc in each row, columns.
    lanes : ndarray of int16, shape (2, discs + 1, rows)
        First lane of each disc in each row, and the one past its last; see `ring_sums`.
    reach : ndarray of int64, shape (discs, 2)
        Rows that each disc may meet, counted from the first of the outermost disc.
    spans : ndarray of int64, shape (4, n)
        Row, first column and column past the last of each span.
    """

    tables: Floats
    nodes: Floats
    half: Floats
    lanes: NDArray[np.int16]
    reach: Ints
    spans: Ints


class Disc(NamedTuple):
    """One disc, prepared for the fractions of pixels that it covers.

    Parameters
    ----------
    profile : ndarray of float64, shape (n,)
        The kind of the disc, and the numbers that describe it; see `disc_profiles`.
    nodes : ndarray of float64, shape (7, n)
        Vertices of the disc's polygon; see `polygon_nodes`.
    areas : ndarray of float64, shape (rows,)
        Area of the disc on one side of its meridian in each row, pixels.
    lists : ndarray of float64, shape (5, columns)
        Crossings of edges of columns with the disc; see `disc_lists`.
    """

    profile: Floats
    nodes: Floats
    areas: Floats
    lists: Floats


class Discs(NamedTuple):
    """Discs of one crater, innermost first: each field of `Disc`, with an axis of discs before the others.

    Parameters
    ----------
    nodes, profiles, areas, lists : ndarray of float64
        The fields of `Disc`, for all discs.
    columns : ndarray of int64, shape (discs, 4)
        First and last edge of columns that crosses each disc west of its meridian, then east of it.
    reach : ndarray of int64, shape (discs, 2)
        Rows that each disc may meet, counted from the first of the outermost disc.
    """

    nodes: Floats
    profiles: Floats
    areas: Floats
    lists: Floats
    columns: Ints
    reach: Ints


class EdgeScratch(NamedTuple):
    """Arrays for the pixels on the edges of one crater's discs.

    Parameters
    ----------
    tally : ndarray of int64, shape (rows, 4)
        Scratch space of `disc_bounds`.
    bounds : ndarray of int64, shape (discs, rows, 4)
        First column that each disc touches, first that it contains, and those past the last contained and touched.
    lanes : ndarray of int16, shape (2, 2 * discs + 1, rows)
        The same in lanes: those that the previous disc touches, those that each disc contains, those that it touches.
    places : ndarray of int64, shape (2, n)
        Row, counted from the first of the outermost disc, and column of partly covered pixels.
    parts, rest, values : ndarray of float64, shape (n,)
        Fraction covered of each of these pixels, fraction left to the next ring, and value.
    whole : ndarray of int64, shape (discs,)
        Number of fully covered pixels of each ring.
    nested : ndarray of bool, shape (discs,)
        Whether each disc contains every pixel that the previous disc touches.
    """

    tally: Ints
    bounds: Ints
    lanes: NDArray[np.int16]
    places: Ints
    parts: Floats
    rest: Floats
    values: Floats
    whole: Ints
    nested: NDArray[np.bool_]


class BoxSums(NamedTuple):
    """Sums of each column of a box of pixels, each of shape (columns,).

    Parameters
    ----------
    weight, total, square : ndarray of float64
        Sums of fractions covered, of these times the values' deviations, and times the squares of these.
    low, high : ndarray of float64
        Least and greatest value.
    """

    weight: Floats
    total: Floats
    square: Floats
    low: Floats
    high: Floats


class BoxScratch(NamedTuple):
    """Arrays for a small crater whose pixels are all treated alike.

    Parameters
    ----------
    values : ndarray of float64, shape (rows, columns)
        Pixels of the box around the crater.
    parts : ndarray of float64, shape (discs, rows, columns)
        Fraction of each pixel that each disc, and then each ring, covers.
    shown : ndarray of int64, shape (discs, 2)
        First column of the box that each disc meets, and the number of columns; for a crater without a box, its rows.
    sums : BoxSums
        Sums of columns.
    """

    values: Floats
    parts: Floats
    shown: Ints
    sums: BoxSums


class CoveredScratch(NamedTuple):
    """Scratch arrays of `accumulate_covered`; from `covered_scratch`.

    Parameters
    ----------
    discs : Discs
        The discs of one crater.
    edges, boxes
        Pixels on the edges of discs; pixels of small craters.
    held : ndarray, shape (discs, 8)
        Unweighted accumulators of one crater's rings, for fully covered pixels.
    partly : ndarray of float64, shape (discs + 1, 8)
        Weighted accumulators of the crater's rings, and of one region.
    """

    discs: Discs
    edges: EdgeScratch
    boxes: BoxScratch
    held: Array
    partly: Floats


class CoverScratch(NamedTuple):
    """Scratch arrays in which one region's covered pixels are found, for one window; from `cover_scratch`.

    Parameters
    ----------
    tables : ndarray of float64, shape (3, rows + 1)
        Sine and cosine of half the latitude and inverse cosine of the latitude of each row's edges.
    discs : Discs
        The region's hole and its outer disc.
    half : ndarray of float64, shape (2 * discs, rows)
        Half-widths of the pixels that each disc contains and touches in each row, columns.
    cover : ndarray of float64, shape (discs, columns)
        Fraction that each disc covers of the pixels of one row.
    """

    tables: Floats
    discs: Discs
    half: Floats
    cover: Floats


class HoleScratch(NamedTuple):
    """Scratch arrays of `leave_out`.

    Parameters
    ----------
    begin : ndarray of int64, shape (rows + 1,)
        Any numbers.
    depth : ndarray of int64, shape (columns + 1,)
        Zeros.
    cuts : ndarray of int64, shape (2, n)
        Any numbers; as many as there is room for runs.
    """

    begin: Ints
    depth: Ints
    cuts: Ints


class PolygonScratch(NamedTuple):
    """Scratch arrays of `polygon_runs`; from `polygon_scratch`.

    Parameters
    ----------
    rows : ndarray of int64, shape (rows, 2)
        Position of each row's newest piece, -1 for none, and the winding number west of the window.
    area : ndarray of int64, shape (columns + 2,)
        Change of the area covered from column to column of one row; zeros between rows.
    pieces : ndarray of int64, shape (pieces, 4)
        Next piece of the same row, columns [first, stop), and change of the winding number or of the area.
    ends : ndarray of float64, shape (pieces, 4)
        Beginning and end of each piece, counted from its first column: u of both, then v.
    order : ndarray of int64, shape (pieces, 3)
        Pieces of one row from west to east: columns and change.
    moments : ndarray of float64, shape (moments, columns + 2) or (0, 0)
        Change of the moments from column to column of one row; zeros between rows. Empty without a surface.
    so_far : ndarray of float64, shape (moments,)
        Moments of the current pixel.
    beside : ndarray of float64, shape (rows, 3) or (0, 0)
        Moments of y, y² and y³ of the parts west of the window in each row; zeros between shapes.
    around, areas : ndarray of float64
        True areas of pixels with a margin, and those to which fractions refer; empty without a surface.
    """

    rows: Ints
    area: Ints
    pieces: Ints
    ends: Floats
    order: Ints
    moments: Floats
    so_far: Floats
    beside: Floats
    around: Floats
    areas: Floats


class Squares(NamedTuple):
    """Counts of the keys of every whole square of pixels, one square after another.

    Parameters
    ----------
    base : ndarray of int64, shape (squares,)
        Least pixel of each square, at which its counts begin.
    start : ndarray of int64, shape (squares + 1,)
        Position of each square's first count; a square that is not counted has none.
    counts : ndarray of uint16, shape (n,)
        Number of pixels of each key.
    """

    base: Ints
    start: Ints
    counts: NDArray[np.uint16]


class Ranges(NamedTuple):
    """Number and range of the valid pixels of regions.

    Parameters
    ----------
    number : ndarray of int64, shape (n,)
        Number of valid pixels.
    low, high : ndarray of int64, shape (n,)
        Least and greatest valid pixel.
    """

    number: Ints
    low: Ints
    high: Ints


class HistogramScratch(NamedTuple):
    """Scratch arrays for order statistics of narrow integers; from `histogram_scratch`.

    Parameters
    ----------
    keys, spare : ndarray of uint, shape (n,)
        Keys of one region, and as many again.
    counts : ndarray of int64, shape (65536,)
        Counts of buckets.
    dense : ndarray of uint32, shape (65536,)
        Counts of keys; zeros between regions.
    whole : ndarray of int64, shape (squares across + 2,)
        Number of rows in which a region holds each square of one row of squares.
    """

    keys: Array
    spare: Array
    counts: Ints
    dense: NDArray[np.uint32]
    whole: Ints


class Source(NamedTuple):
    """A tile from which samples are taken.

    Parameters
    ----------
    block : ndarray, shape (images, rows, columns)
        Stored numbers of the tile.
    nodata : scalar of the block's dtype
        Stored number that stands for a missing value.
    has_nodata : bool
        Whether there is such a number.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile on the whole grid.
    around : tuple
        How the raster continues beyond its edges: number of columns after which the first one follows, or 0; half that
        number if rows continue over the poles, or 0; columns per turn of longitude, or 0; middle of the columns; twice
        the row coordinate of the pole before the first row, and of the one after the last.
    taps : int
        Number of pixels along each axis from which a sample is made: 1 for the nearest pixel, 2 for linear
        interpolation, 4 for cubic convolution.
    """

    block: Array
    nodata: Any
    has_nodata: bool
    window: tuple[int, int, int, int]
    around: tuple[int, int, float, float, int, int]
    taps: int


class Chips(NamedTuple):
    """Weighted sums of samples, pixel by pixel of chips.

    Parameters
    ----------
    total : ndarray of float64, shape (images, chips, rows, columns)
        Sum of weights times values.
    weight : ndarray of float64, shape (images, chips, rows, columns)
        Sum of the weights of pixels that have a value.
    """

    total: Floats
    weight: Floats
