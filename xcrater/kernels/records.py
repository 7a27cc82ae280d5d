"""Records that kernels take: arrays that belong together, under names.

They are plain named tuples, which numba passes like so many separate arguments: a record costs nothing in a kernel.
This module loads neither numba nor a kernel, so any module may import it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Rows(NamedTuple):
    """A grid whose rows are equally spaced in latitude and its columns in longitude.

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
    """One image of a tile, as stored, and which of its pixels hold a value.

    Parameters
    ----------
    stored : ndarray, shape (rows, columns)
        Stored numbers, C-contiguous.
    codes : ndarray of uint8, shape (rows, columns) or (1, 1)
        Code of each pixel: `VALID`, `NODATA` or `NAN`. Not looked at where the tile is clean.
    clean : bool
        Whether every pixel holds a value.
    exact : bool or None
        True where sums are exact integers, None where they are floating-point numbers: a kernel is compiled for either.
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
    """Regions as annuli, each by itself.

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
        Columns per turn of longitude; infinite where columns do not wrap.
    """

    u: Floats
    v: Floats
    ring: Ints
    shape: Ints
    period: float


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
