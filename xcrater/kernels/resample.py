"""Kernels that sample a raster at given places: a tile's contribution to every sample, as weighted sums.

Interpolation is a weighted mean of stored pixels, so each tile can add the contribution of its own pixels, and the sums
over all tiles give the value. No tile needs its neighbours' pixels, and a chip takes only the memory of its sums.
Pixels across the seam of the body and beyond its poles are found here, where taps become rows and columns.
"""

from __future__ import annotations

import math

from xcrater.kernels.compile import inlined, jit

FAR = 2**40
"""Doubled row coordinates of poles that do not exist, so that no row lies beyond them."""


@inlined
def tap_weight(taps, tap, fraction):
    """Weight along one axis of one of the pixels from which a sample is made.

    Parameters
    ----------
    taps : int
        1 for the nearest pixel, 2 for linear interpolation, 4 for cubic convolution (Keys 1981, with a = -1/2).
    tap : int
        Position of the pixel among them, counting from 0.
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
def add_sample(source, u, v, share, chips, k, y, x):
    """Add the contribution of a tile's pixels to one sample.

    Parameters
    ----------
    source : Source
        The tile.
    u, v : float
        Column and row coordinate of the sample.
    share : float
        Weight of the sample.
    chips : Chips
        Changed.
    k, y, x : int
        Chip, row and column that the sample belongs to.
    """
    block, nodata, has_nodata, window, around, taps = source
    total, weight = chips
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
    """Angle of a right triangle opposite one side, radians: ``atan2``, or its series for small angles."""
    if abs(opposite) < 0.03 * adjacent:
        t = opposite / adjacent
        s = t * t
        return t * (1.0 - s * (1 / 3 - s * (1 / 5 - s * (1 / 7 - s * (1 / 9 - s * (1 / 11))))))
    return math.atan2(opposite, adjacent)


@jit
def sample_sphere(source, steps, caps, turn, fine, extent, chips):
    """Sample chips of a raster whose columns are linear in longitude and rows in latitude, on a sphere.

    The position of each sample is the great-circle direct problem from its crater's centre (Snyder 1987, eq. 5-3 to
    5-6).

    Parameters
    ----------
    source : Source
        The tile.
    steps : tuple of float
        Latitude of the outer edge of row 0, latitude per row, and longitude per column, radians.
    caps : Caps
        The craters, one for each chip.
    turn : ndarray of float64, shape (chips,)
        Azimuth of each chip's upward direction, radians.
    fine : ndarray of int64, shape (chips, 2)
        Number of samples of a chip's pixel along rows and along columns.
    extent : float
        Distance from a chip's centre to its edge, crater radii.
    chips : Chips
        Changed.
    """
    window, period = source.window, source.around[2]
    u0, lat, radius = caps
    lat_origin, lat_step, lon_step = steps
    by_lat, by_lon = 1.0 / lat_step, 1.0 / lon_step
    rows, cols = chips.total.shape[2], chips.total.shape[3]
    for k in range(u0.size):
        sin_lat, cos_lat = math.sin(lat[k]), math.cos(lat[k])
        sin_turn, cos_turn = math.sin(turn[k]), math.cos(turn[k])
        down, across = fine[k, 0], fine[k, 1]
        share = 1.0 / (down * across)
        v0 = (lat[k] - lat_origin) * by_lat
        many = down * across > 1
        size = extent * radius[k]
        # Distance between samples along rows and columns, radians.
        deep, wide = 2.0 * size / (rows * down), 2.0 * size / (cols * across)
        reach = size * math.hypot(1.0 / rows, 1.0 / cols) + 4.0 * abs(lat_step)
        for y in range(rows):
            for x in range(cols):
                if many:
                    # If a chip is larger than the tile, most of its pixels lie elsewhere.
                    up, right = size - deep * down * (y + 0.5), wide * across * (x + 0.5) - size
                    d_lon, d_lat = reached(
                        sin_lat, cos_lat, right * cos_turn + up * sin_turn, up * cos_turn - right * sin_turn
                    )
                    if apart(lat[k] + d_lat, u0[k] + d_lon * by_lon, reach, window, period, steps):
                        continue
                for a in range(y * down, (y + 1) * down):
                    up = size - deep * (a + 0.5)
                    for b in range(x * across, (x + 1) * across):
                        right = wide * (b + 0.5) - size
                        d_lon, d_lat = reached(
                            sin_lat, cos_lat, right * cos_turn + up * sin_turn, up * cos_turn - right * sin_turn
                        )
                        add_sample(source, u0[k] + d_lon * by_lon, v0 + d_lat * by_lat, share, chips, k, y, x)


@inlined
def reached(sin_lat, cos_lat, east, north):
    """Longitude and latitude of a point, both counted from those of the centre, radians; NaN beyond the antipode.

    Parameters
    ----------
    sin_lat, cos_lat : float
        Sine and cosine of the centre's latitude.
    east, north : float
        Components of the great-circle distance from the centre along its azimuth, radians.
    """
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
    """Whether a tile certainly lies farther from a point than ``reach``, radians; False if that is not certain.

    Parameters
    ----------
    lat, u : float
        Latitude of the point, radians, and its column coordinate.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile on the whole grid.
    period : float
        Columns per turn of longitude.
    steps : tuple of float
        As `sample_sphere` takes it.
    """
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
def sample_points(source, u, v, chip, row, fine, chips):
    """Sample rows of chips at known positions.

    Parameters
    ----------
    source : Source
        The tile.
    u, v : ndarray of float64, shape (n, down, columns * across)
        Column and row coordinates of the samples of n rows of chips.
    chip, row : ndarray of int64, shape (n,)
        Chip that each row belongs to, and its position there.
    fine : tuple of int
        Number of samples of a chip's pixel along rows and along columns: down, across.
    chips : Chips
        Changed.
    """
    down, across = fine
    share = 1.0 / (down * across)
    for n in range(chip.size):
        for x in range(chips.total.shape[3]):
            for a in range(down):
                for b in range(x * across, (x + 1) * across):
                    add_sample(source, u[n, a, b], v[n, a, b], share, chips, chip[n], row[n], x)
