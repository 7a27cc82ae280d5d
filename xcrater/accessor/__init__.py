"""The ``.craters`` accessors of DataArrays and Datasets. One module here holds the methods for each kind of result.

Each method holds the documentation that ``help(da.craters.get_stats)`` shows, and delegates the work in one expression.
"""

from __future__ import annotations

import xarray as xr

from xcrater.accessor.datasets import DatasetCratersAccessor
from xcrater.accessor.elevations import ElevationMethods
from xcrater.accessor.images import ImageMethods
from xcrater.accessor.pixels import PixelMethods
from xcrater.accessor.plots import PlotMethods
from xcrater.accessor.statistics import StatisticsMethods


@xr.register_dataarray_accessor("craters")
class CratersAccessor(StatisticsMethods, PixelMethods, ImageMethods, ElevationMethods, PlotMethods):
    """Crater science on a raster: ``da.craters``.

    The raster needs two spatial dimensions, evenly spaced coordinates (or a geotransform) and a CRS on the
    table's body; further dimensions such as bands are kept. Where it is backed by dask, results are lazy.

    Arguments that several methods share are described in full by `get_stats`.

    Examples
    --------
    >>> from xcrater import tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> dem.craters.get_stats(cdb, "rim", "mean,max").compute()["max"].round(1).values
    array([1726.5, 1014.9,  586.2])
    """

    def __init__(self, da: xr.DataArray) -> None:
        self._da = da


xr.register_dataset_accessor("craters")(DatasetCratersAccessor)
