"""Weights of pixels: their true areas, or an array on the raster's grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xcrater.engine.request import Request
from xcrater.errors import StatisticError
from xcrater.geometry.areas import pixel_areas
from xcrater.geometry.grid import Window
from xcrater.raster.declared import decoded
from xcrater.raster.reading import Raster


def block_weights(raster: Raster, window: Window, beside: NDArray[Any] | None) -> NDArray[np.float64]:
    """Compute the weights of a tile's pixels.

    Parameters
    ----------
    raster : Raster
        The raster.
    window : tuple of int
        The tile's window on the grid.
    beside : ndarray or None
        The block of weights, which becomes NaN where it is masked; None for true areas in m².

    Returns
    -------
    ndarray
        Weights, which broadcast to the tile's (rows, columns).
    """
    if beside is None:
        return pixel_areas(*raster.surface, window, whole=True)
    return np.ma.filled(beside.astype(np.float64), np.nan)


def check_weights(request: Request, weights: object) -> xr.DataArray | None:
    """Check weights; an array of them is returned in the raster's order of rows and columns, anything else as None.

    Nodata, scale and offset of the array are applied, so that a pixel without a weight has NaN.

    Parameters
    ----------
    request : Request
        The request, with the raster that the weights belong to.
    weights : object
        The argument of the operation: None, "area" or an array.

    Raises
    ------
    StatisticError
        The weights are neither "area" nor an array on the raster's own grid.
    """
    if weights is None or (isinstance(weights, str) and weights == "area"):
        return None
    if not isinstance(weights, xr.DataArray):
        raise StatisticError(
            f"received weights={weights!r}; expected None, 'area' for each pixel's true area, or an xarray.DataArray "
            "on the raster's grid"
        )
    da, raster = request.da, request.raster
    dims = (raster.y_dim, raster.x_dim)
    if set(weights.dims) != set(dims):
        raise StatisticError(
            f"received weights with dimensions {tuple(weights.dims)}; expected those of the raster's rows and columns, "
            f"{dims}. Take one image: weights.isel(...)"
        )
    weights = weights.transpose(*dims)
    for dim in dims:
        same = weights.sizes[dim] == da.sizes[dim] and (
            (dim in weights.coords) == (dim in da.coords)
            and (dim not in da.coords or np.array_equal(weights[dim].to_numpy(), da[dim].to_numpy()))
        )
        if not same:
            raise StatisticError(
                f"received weights whose {dim!r} is not the raster's ({weights.sizes[dim]} against {da.sizes[dim]} "
                "pixels, or other coordinates); expected the same grid: weights = weights.rio.reproject_match(da)"
            )
    if weights.rio.crs is not None and weights.rio.crs != da.rio.crs:
        raise StatisticError(
            "received weights whose CRS is not the raster's; expected the same grid: "
            "weights = weights.rio.reproject_match(da)"
        )
    if weights.dtype.kind not in "biuf":
        raise StatisticError(f"received weights of dtype {weights.dtype}; expected numbers")
    return decoded(weights)
