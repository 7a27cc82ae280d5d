"""Self-tests of compiled kernels, whose machine code may come from a file, on pixels with known sums."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.craters import Craters
from xcrater.engine.region_set import RegionSet
from xcrater.kernels import slots
from xcrater.statistics.accumulators import empty_accumulator
from xcrater.statistics.paths import Fractions, Image, WholePixels
from xcrater.table.regions import Annulus


def _clean(stored: NDArray[Any]) -> Image:
    """An image at the first row and column of its grid in which every pixel has a value."""
    exact = None if stored.dtype.kind == "f" else True
    pixels = kernels.Pixels(stored, np.empty((1, 1), np.uint8), True, exact)
    return Image(pixels, (0, stored.shape[0], 0, stored.shape[1]), np.ones((1, 1)), np.ones((1, 1)))


@cache
def check_kernels(dtype: str) -> None:
    """Test the kernels of a dtype, which may come from a file, on pixels with known sums; once per process.

    Raises
    ------
    RuntimeError
        The kernels give other sums.
    """
    size, side, top = (160, 256), 0.25, 20.0
    row, column = np.indices(size)
    pixels = ((7 * row + 3 * column) % 101).astype(dtype)
    lon, lat, angle = 31.91, 0.43, 10.0
    north, east = np.radians(top - side * (row + 0.5)), np.radians(side * (column + 0.5) - lon)
    up, both = np.sin((north - np.radians(lat)) / 2) ** 2, np.cos(north) * math.cos(math.radians(lat))
    distance = np.degrees(2 * np.arcsin(np.sqrt(up + both * np.sin(east / 2) ** 2))) / angle
    rows = kernels.Rows(math.radians(top), math.radians(-side), 360 / side)
    shapes = RegionSet((Annulus(0, 1, None), Annulus(0.7, 1.8, None)), "center", rows)
    craters = Craters(np.zeros(1, np.int32), np.array([lon / side]), np.radians([lat]), np.radians([angle]))
    start = empty_accumulator(pixels.dtype)
    out = np.empty((1, 1, 2, start.size), start.dtype)
    way = WholePixels(np.arange(2), shapes, summarise=True)
    way(_clean(pixels), craters, kernels.Sums(start, 0, out))
    for k, held in enumerate(out[0, 0]):
        inside = pixels[(shapes.bounds[0, k] < distance) & (distance < shapes.bounds[1, k])].astype(np.int64)
        wanted = [inside.size, inside.sum(), inside.min(), inside.max(), inside.size * inside.var()]
        found = [held[slot] for slot in (slots.COUNT, slots.TOTAL, slots.LOW, slots.HIGH)]
        square = held[slots.SQ_HIGH]
        if start.dtype.kind != "f":
            square = square * 2**32 + held[slots.SQ_LOW] - inside.sum() ** 2 / inside.size
        if found != wanted[:4] or not math.isclose(square, wanted[4], rel_tol=1e-9):
            raise RuntimeError(
                f"the compiled kernels give wrong numbers ({[*found, square]} for {wanted}); expected those of a file "
                f"in {kernels.cache_directory()} to be sound: delete that directory and start again"
            )


@cache
def check_covered(dtype: str) -> None:
    """Test that the fractions covered of a disc's pixels sum to its area; once per process.

    Raises
    ------
    RuntimeError
        The kernels give another area.
    """
    size, side, top, lat, rho = (160, 256), 0.25, 20.0, math.radians(0.43), math.radians(10.0)
    rows = kernels.Rows(math.radians(top), math.radians(-side), 360 / side)
    shapes = RegionSet((Annulus(0, 1, None),), "exact", rows)
    craters = Craters(np.zeros(1, np.int32), np.array([127.64]), np.array([lat]), np.array([rho]))
    out = np.empty((1, 1, 1, 8))
    pixels = np.full(size, 7, dtype)
    start = empty_accumulator(np.dtype("f8"))
    Fractions(np.arange(1), shapes)(_clean(pixels), craters, kernels.Sums(start, 0, out))
    # Integrate the disc's width over latitude, with a substitution that makes the integrand smooth.
    nodes, weights = np.polynomial.legendre.leggauss(64)
    angle = np.pi / 2 * nodes
    north = lat + rho * np.sin(angle)
    up = np.sin((rho - (north - lat)) / 2) * np.sin((rho + (north - lat)) / 2)
    width = 4 * np.arcsin(np.sqrt(up / (np.cos(north) * math.cos(lat))))
    area = float((weights * width * rho * np.cos(angle)).sum() * np.pi / 2 / math.radians(side) ** 2)
    found = [float(out[0, 0, 0, slot]) for slot in (slots.COUNT, slots.TOTAL, slots.SQ_HIGH)]
    if not np.allclose(found, [area, 7 * area, 0.0], rtol=1e-9, atol=1e-9):
        raise RuntimeError(
            f"the compiled kernels give wrong numbers ({found} for {[area, 7 * area, 0.0]}); expected those of a file "
            f"in {kernels.cache_directory()} to be sound: delete that directory and start again"
        )
