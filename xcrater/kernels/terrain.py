"""Synthetic terrain: waves over the sphere and craters."""

from __future__ import annotations

import math

from xcrater.kernels.compile import jit
from xcrater.kernels.spans import region_spans


@jit
def plane_waves(lon, lat, waves, out):
    """Sum of waves over the sphere: ``a cos(k . p + phase)`` of each pixel's unit vector p.

    ``waves`` has a row (kx, ky, kz, phase, a) per wave; lon and lat are the pixel centres in radians.
    """
    for r in range(lat.size):
        z, xy = math.sin(lat[r]), math.cos(lat[r])
        for c in range(lon.size):
            x, y = xy * math.cos(lon[c]), xy * math.sin(lon[c])
            height = 0.0
            for w in range(waves.shape[0]):
                height += waves[w, 4] * math.cos(waves[w, 0] * x + waves[w, 1] * y + waves[w, 2] * z + waves[w, 3])
            out[r, c] = height


@jit
def crater_height(r, depth, rim, extent):
    """Height of a synthetic crater at r crater radii: a parabolic bowl, and ejecta falling as r**-3 to 0 at extent."""
    if r <= 1.0:
        return rim - depth * (1.0 - r * r)
    if r >= extent:
        return 0.0
    end = extent**-3.0
    return rim * (r**-3.0 - end) / (1.0 - end)


@jit
def stamp_craters(u0, lat0, rad, depth, rim, extent, grid, window, buffers, out):
    """Add synthetic craters to a block of heights. Depth and rim height are those of each crater."""
    spans = buffers[5]
    lat_origin, lat_step, period = grid
    for i in range(u0.size):
        for s in range(region_spans(u0[i], lat0[i], rad[i], 0.0, extent, 0, False, grid, window, buffers)):
            row = spans[0, s]
            lat = lat_origin + lat_step * (row + 0.5)
            up = math.sin(0.5 * (lat - lat0[i])) ** 2
            both = math.cos(lat) * math.cos(lat0[i])
            for c in range(spans[1, s], spans[2, s]):
                along = math.sin(math.pi * (c + 0.5 - u0[i]) / period) ** 2
                distance = 2.0 * math.asin(min(1.0, math.sqrt(up + both * along)))
                out[row - window[0], c - window[2]] += crater_height(distance / rad[i], depth[i], rim[i], extent)
