"""Figures of a raster and its craters, as methods of the accessor."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xcrater.database import CraterDatabase


class PlotMethods:
    """Methods of `da.craters` that draw."""

    _da: xr.DataArray

    def plot(self, cdb: CraterDatabase, region: str = "", **kwargs: Any) -> Any:
        """Draw the outlines of craters or of one of their regions over the raster.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters.
        region : str, optional
            Name of a region; the rims by default.
        **kwargs
            More arguments of `CraterDatabase.plot`, which describes them.

        Returns
        -------
        matplotlib.axes.Axes
            The map.

        Examples
        --------
        >>> import xcrater
        >>> cdb = xcrater.CraterDatabase(xcrater.sample_data["moon_craters_km.csv"], "moon", units="km")
        >>> da = xcrater.open_mosaic(xcrater.sample_data["moon.tif"])
        >>> ax = da.craters.plot(cdb, size=3, projection="orthographic", color="cyan")
        >>> len(ax.images)
        1
        """
        return cdb.plot(self._da, region, **kwargs)

    def plot_rois(self, cdb: CraterDatabase, region: str, index: Any = 9, **kwargs: Any) -> NDArray[np.object_]:
        """Draw the regions of a few craters, each in a panel of its own with the raster's pixels.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters.
        region : str
            Name of a region.
        index : int, pandas.Index or sequence of int, default 9
            How many craters from the first one on, labels of craters, or positions in the table.
        **kwargs
            More arguments of `CraterDatabase.plot_rois`, which describes them.

        Returns
        -------
        numpy.ndarray of matplotlib.axes.Axes, shape (rows, 3)
            The panels.

        Examples
        --------
        >>> import xcrater
        >>> cdb = xcrater.CraterDatabase(xcrater.sample_data["moon_craters_km.csv"], "moon", units="km")
        >>> cdb.add_circles("disc", 1.5)
        >>> da = xcrater.open_mosaic(xcrater.sample_data["moon.tif"])
        >>> da.craters.plot_rois(cdb, "disc", cdb.data.index[[5, 7]], pixels=32).shape
        (1, 3)
        """
        return cdb.plot_rois(self._da, region, index, **kwargs)
