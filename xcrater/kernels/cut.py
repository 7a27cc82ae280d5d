"""Cutting blocks of pixels out of a tile, and assembling them."""

from __future__ import annotations

from xcrater.kernels.compile import inlined, jit


@inlined
def _copy(source, target):
    """Copy pixels: a loop over slices, which the compiler vectorises."""
    for j in range(target.size):
        target[j] = source[j]


@inlined
def _set(target, value):
    for j in range(target.size):
        target[j] = value


@jit
def cut_pixels(block, tile, turn, place, offset, out):
    """Copy rectangles of a tile's pixels, one after another.

    Parameters
    ----------
    block : ndarray, shape (images, rows, columns)
        The tile's pixels.
    tile : tuple of int
        Window of the tile.
    turn : int
        Columns after which the grid's columns repeat; 0 if they do not.
    place : ndarray, shape (n, 4)
        The rectangles as windows, whose columns may continue into the next turn. Pixels outside the tile are left
        unchanged.
    offset : ndarray, shape (n + 1,)
        Position of each rectangle's first pixel.
    out : ndarray, shape (images, pixels)
        Filled with the pixels.
    """
    last = 1 if turn > 0 else 0
    for i in range(place.shape[0]):
        top, bottom = max(place[i, 0], tile[0]), min(place[i, 1], tile[1])
        width = place[i, 3] - place[i, 2]
        for t in range(-last, last + 1):
            left, right = max(place[i, 2], tile[2] + t * turn), min(place[i, 3], tile[3] + t * turn)
            if left < right:
                for image in range(block.shape[0]):
                    for r in range(top, bottom):
                        at = offset[i] + (r - place[i, 0]) * width + left - place[i, 2]
                        c = left - t * turn - tile[2]
                        _copy(block[image, r - tile[0], c : c + right - left], out[image, at : at + right - left])


@jit
def cut_regions(drawn, first, members, piece, turn, place, offset, outside, fraction):
    """Mark the pixels of drawn regions in rectangles: False in ``outside``, the fraction covered in ``fraction``.

    Parameters
    ----------
    drawn : Runs
        Regions of some craters.
    first : int
        Position of the first of these craters.
    members : ndarray of int64, shape (k,)
        Position of each region.
    piece : ndarray of int64, shape (regions, craters, m)
        The rectangles of each region of each crater; -1 for none.
    turn, place, offset
        As `cut_pixels` takes them.
    outside : ndarray of bool, shape (pixels,)
        Changed.
    fraction : ndarray of float64, shape (pixels,) or (0,)
        Changed, unless it is empty.
    """
    runs, weight, bounds = drawn
    last = 1 if turn > 0 else 0
    weighted = fraction.size > 0
    for i in range(bounds.shape[0]):
        for k in range(bounds.shape[1]):
            for m in range(piece.shape[2]):
                p = piece[members[k], first + i, m]
                if p < 0:
                    continue
                width = place[p, 3] - place[p, 2]
                for s in range(bounds[i, k, 0], bounds[i, k, 1]):
                    r = runs[0, s]
                    if r < place[p, 0] or r >= place[p, 1] or not weight[s] > 0.0:
                        continue
                    row = offset[p] + (r - place[p, 0]) * width - place[p, 2]
                    for t in range(-last, last + 1):
                        left, right = max(place[p, 2], runs[1, s] + t * turn), min(place[p, 3], runs[2, s] + t * turn)
                        if left < right:
                            _set(outside[row + left : row + right], False)
                            if weighted:
                                _set(fraction[row + left : row + right], weight[s])


@jit
def lay(pixels, offset, begin, out):
    """Copy blocks to their places in a flat array, the images of each block one after another.

    Parameters
    ----------
    pixels : ndarray, shape (images, pixels)
        Pixels of the blocks, one after another.
    offset : ndarray, shape (n + 1,)
        Position of each block's first pixel.
    begin : ndarray, shape (n,)
        Position of each block's first pixel in ``out``.
    out : ndarray, shape (m,)
        The flat array, which is changed.
    """
    for i in range(begin.size):
        length = offset[i + 1] - offset[i]
        for image in range(pixels.shape[0]):
            target = begin[i] + image * length
            for j in range(length):
                out[target + j] = pixels[image, offset[i] + j]


@jit
def put(pixels, which, to, place, offset, window, begin, out):
    """Copy pieces to their places in their blocks.

    Parameters
    ----------
    pixels : ndarray, shape (images, pixels)
        Pixels of all pieces.
    which, to : ndarray, shape (n,)
        Positions of pieces, and of the block that each belongs to.
    place, offset : ndarray, shape (pieces, 4) and (pieces + 1,)
        Windows of the pieces, and position of each piece's first pixel.
    window, begin : ndarray, shape (blocks, 4) and (blocks + 1,)
        The same for the blocks.
    out : ndarray, shape (images, pixels)
        Pixels of all blocks; changed.
    """
    for n in range(which.size):
        p, b = which[n], to[n]
        length, width = place[p, 3] - place[p, 2], window[b, 3] - window[b, 2]
        for image in range(pixels.shape[0]):
            for r in range(place[p, 0], place[p, 1]):
                source = offset[p] + (r - place[p, 0]) * length
                target = begin[b] + (r - window[b, 0]) * width + place[p, 2] - window[b, 2]
                _copy(pixels[image, source : source + length], out[image, target : target + length])
