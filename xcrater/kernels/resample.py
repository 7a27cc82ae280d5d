"""Numba kernels that sample a raster at given places: a tile's share of every sample, as weighted sums.

Interpolation is a weighted mean of stored pixels, so each tile can add what its own pixels weigh and the sums of all
tiles make the value: no tile needs its neighbours' pixels, and a chip of any size costs the memory of its sums.
Pixels are counted over the seam of the body and over its poles here, where taps become rows and columns.
"""

from __future__ import annotations

import math

from xcrater.kernels.compile import inlined, jit

FAR = 2**40
"""Rows, in halves, at which there is no pole to go over."""


@inlined
def tap_weight(taps, tap, fraction):
    """Weight of one of the pixels that a sample is made of, along one axis.

    Parameters
    ----------
    taps : int
        1 for the nearest pixel, 2 for linear interpolation, 4 for cubic convolution (Keys 1981, with a = -1/2).
    tap : int
        Which of them, from the first.
    fraction : float
        Distance of the sample past the centre of the last pixel before it, in pixels.
    """
    if taps == 1:
        return 1.0
    if taps == 2:
        return fraction if tap else 1.0 - fraction
    away = abs(fraction + 1.0 - tap)
    if away <= 1.0:
        return (1.5 * away - 2.5) * away * away + 1.0
    return ((2.5 - 0.5 * away) * away - 4.0) * away + 2.0


@inlined
def add_sample(block, nodata, has_nodata, window, around, taps, u, v, share, total, weight, k, y, x):
    """Add what a tile's pixels have in one sample.

    Parameters
    ----------
    block : ndarray, shape (images, rows, columns)
        The tile's stored numbers.
    nodata : scalar of the block's dtype
        Stands for no value.
    has_nodata : bool
        Whether it does.
    window : tuple of int
        The tile's first row, row past its last, first column, column past its last.
    around : tuple
        Columns after which the raster goes on with its first one, or 0; half as many, where rows go on over the poles,
        or 0; columns per turn of longitude, or 0; middle of the columns; twice the row coordinate of the pole before
        the first row, and of the one after the last.
    taps : int
        As in `tap_weight`.
    u, v : float
        The sample, along columns and rows.
    share : float
        Weight of the sample.
    total, weight : ndarray, shape (images, chips, rows, columns)
        Sum of weights by values, and of the weights of pixels that have one.
    k, y, x : int
        Where the sample belongs.
    """
    columns, half, period, middle, low, high = around
    if not (abs(u) < 1e15 and abs(v) < 1e15):
        return
    if period > 0.0:
        u -= period * math.floor((u - middle) / period + 0.5)
    if taps > 1:
        u -= 0.5
        v -= 0.5
    first_row, first_col = math.floor(v), math.floor(u)
    down, right = v - first_row, u - first_col
    if taps == 4:
        first_row -= 1
        first_col -= 1
    top, left = first_row - window[0], first_col - window[2]
    if top >= 0 and left >= 0 and first_row + taps <= window[1] and first_col + taps <= window[3]:
        for m in range(block.shape[0]):
            values = weights = 0.0
            for i in range(taps):
                row_weight = tap_weight(taps, i, down)
                for j in range(taps):
                    value = block[m, top + i, left + j]
                    w = row_weight * tap_weight(taps, j, right)
                    if value != value or (has_nodata and value == nodata) or w == 0.0:
                        continue
                    values += w * float(value)
                    weights += w
            total[m, k, y, x] += values * share
            weight[m, k, y, x] += weights * share
        return
    for i in range(taps):
        row, shift = first_row + i, 0
        if half and 2 * row + 1 < low:
            row, shift = low - 1 - row, half
        elif half and 2 * row + 1 > high:
            row, shift = high - 1 - row, half
        row_weight = tap_weight(taps, i, down) * share
        if row < window[0] or row >= window[1] or row_weight == 0.0:
            continue
        for j in range(taps):
            col = first_col + j + shift
            if columns:
                if col < 0:
                    col += columns
                elif col >= columns:
                    col -= columns
            if col < window[2] or col >= window[3]:
                continue
            w = row_weight * tap_weight(taps, j, right)
            if w == 0.0:
                continue
            for m in range(block.shape[0]):
                value = block[m, row - window[0], col - window[2]]
                if value != value or (has_nodata and value == nodata):
                    continue
                total[m, k, y, x] += w * float(value)
                weight[m, k, y, x] += w


@inlined
def angle_of(opposite, adjacent):
    """Angle of a right triangle with those sides, radians; like ``atan2``, by its series where that is exact."""
    if abs(opposite) < 0.03 * adjacent:
        t = opposite / adjacent
        s = t * t
        return t * (1.0 - s * (1 / 3 - s * (1 / 5 - s * (1 / 7 - s * (1 / 9 - s * (1 / 11))))))
    return math.atan2(opposite, adjacent)


@jit
def sample_sphere(
    block, nodata, has_nodata, window, around, taps, steps, u0, lat, radius, turn, fine, extent, total, weight
):
    """Sample chips of a raster whose columns are linear in longitude and rows in latitude, on a sphere.

    Each sample is the great-circle direct problem (Snyder 1987, eq. 5-3 to 5-6) from its crater's centre.

    Parameters
    ----------
    block, nodata, has_nodata, window, around, taps
        As in `add_sample`.
    steps : tuple of float
        Latitude of the first row's edge, latitude per row and longitude per column, radians.
    u0, lat, radius : ndarray, shape (chips,)
        The craters: column coordinate; latitude and angular radius, radians.
    turn : ndarray, shape (chips,)
        Azimuth of each chip's upward direction, radians.
    fine : ndarray of int, shape (chips, 2)
        Samples of a chip's pixel along rows and columns.
    extent : float
        From a chip's centre to its edge, crater radii.
    total, weight : ndarray, shape (images, chips, rows, columns)
        As in `add_sample`.
    """
    lat_origin, lat_step, lon_step = steps
    by_lat, by_lon = 1.0 / lat_step, 1.0 / lon_step
    rows, cols = total.shape[2], total.shape[3]
    for k in range(u0.size):
        sin_lat, cos_lat = math.sin(lat[k]), math.cos(lat[k])
        sin_turn, cos_turn = math.sin(turn[k]), math.cos(turn[k])
        down, across = fine[k, 0], fine[k, 1]
        share = 1.0 / (down * across)
        v0 = (lat[k] - lat_origin) * by_lat
        many = down * across > 1
        size = extent * radius[k]
        # A chip's samples are so far apart, along rows and columns
        deep, wide = 2.0 * size / (rows * down), 2.0 * size / (cols * across)
        reach = size * math.hypot(1.0 / rows, 1.0 / cols) + 4.0 * abs(lat_step)
        for y in range(rows):
            for x in range(cols):
                if many:
                    # Most pixels of a chip that is larger than the tile lie elsewhere
                    up, right = size - deep * down * (y + 0.5), wide * across * (x + 0.5) - size
                    at_lon, at_lat = reached(
                        sin_lat, cos_lat, right * cos_turn + up * sin_turn, up * cos_turn - right * sin_turn
                    )
                    if apart(lat[k] + at_lat, u0[k] + at_lon * by_lon, reach, window, around[2], steps):
                        continue
                for a in range(y * down, (y + 1) * down):
                    up = size - deep * (a + 0.5)
                    for b in range(x * across, (x + 1) * across):
                        right = wide * (b + 0.5) - size
                        at_lon, at_lat = reached(
                            sin_lat, cos_lat, right * cos_turn + up * sin_turn, up * cos_turn - right * sin_turn
                        )
                        add_sample(
                            block, nodata, has_nodata, window, around, taps,
                            u0[k] + at_lon * by_lon, v0 + at_lat * by_lat,
                            share, total, weight, k, y, x,
                        )  # fmt: skip


@inlined
def reached(sin_lat, cos_lat, east, north):
    """Longitude and latitude, from the centre's own, of a point at that distance and azimuth; NaN past the antipode."""
    square = east * east + north * north
    if square > math.pi * math.pi:
        return math.nan, math.nan
    if square < 0.01:
        # Series of sin(r) / r and cos(r); the next terms are below a tenth of the last digit
        s = square
        sinc = 1.0 - s * (1 / 6) * (
            1.0 - s * (1 / 20) * (1.0 - s * (1 / 42) * (1.0 - s * (1 / 72) * (1.0 - s * (1 / 110))))
        )
        cos_r = 1.0 - s * (1 / 2) * (
            1.0 - s * (1 / 12) * (1.0 - s * (1 / 30) * (1.0 - s * (1 / 56) * (1.0 - s * (1 / 90))))
        )
    else:
        r = math.sqrt(square)
        sinc, cos_r = math.sin(r) / r, math.cos(r)
    # Unit vector: towards the centre's meridian, east of it, and north
    p = cos_lat * cos_r - sin_lat * sinc * north
    q = sinc * east
    z = sin_lat * cos_r + cos_lat * sinc * north
    level = math.sqrt(p * p + q * q)
    return angle_of(q, p), angle_of(z * cos_lat - level * sin_lat, level * cos_lat + z * sin_lat)


@inlined
def apart(lat, u, reach, window, period, steps):
    """Whether a tile lies farther than that, radians, from a point; may say no."""
    lat_origin, lat_step, lon_step = steps
    if math.isnan(lat):
        return False
    v, rows = (lat - lat_origin) / lat_step, reach / abs(lat_step)
    if v + rows < window[0] or v - rows > window[1]:
        return True
    if abs(lat) + reach > 1.57:
        return False
    wide = math.asin(min(1.0, math.sin(reach) / math.cos(lat))) / abs(lon_step) + 4.0
    away = abs(u - 0.5 * (window[2] + window[3]))
    away -= period * math.floor(away / period)
    return min(away, period - away) > wide + 0.5 * (window[3] - window[2])


@jit
def sample_points(block, nodata, has_nodata, window, around, taps, u, v, chip, row, fine, total, weight):
    """Sample chips at places that are known.

    Parameters
    ----------
    block, nodata, has_nodata, window, around, taps
        As in `add_sample`.
    u, v : ndarray, shape (n, down, columns * across)
        Samples of n rows of chips, along the raster's columns and rows.
    chip, row : ndarray of int, shape (n,)
        Which.
    fine : tuple of int
        Samples of a chip's pixel along rows and columns: down, across.
    total, weight : ndarray, shape (images, chips, rows, columns)
        As in `add_sample`.
    """
    down, across = fine
    share = 1.0 / (down * across)
    for n in range(chip.size):
        for x in range(total.shape[3]):
            for a in range(down):
                for b in range(x * across, (x + 1) * across):
                    add_sample(
                        block, nodata, has_nodata, window, around, taps, u[n, a, b], v[n, a, b],
                        share, total, weight, chip[n], row[n], x,
                    )  # fmt: skip
