"""The pixels around craters, as methods of the accessor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import xarray as xr

from xcrater._deprecation import deprecated_arguments
from xcrater.database import CraterDatabase
from xcrater.engine.neighbours import Exclude
from xcrater.pixels import container, functions
from xcrater.pixels.container import CraterArrays


class PixelMethods:
    """Methods of `da.craters` that give pixels, or hand them to a function."""

    _da: xr.DataArray

    def get_arrays(
        self,
        cdb: CraterDatabase,
        regions: str | Iterable[str],
        *,
        coverage: str | None = None,
        nodata: float | int | None = None,
        exclude: Exclude | float | None = None,
    ) -> CraterArrays:
        """Cut out the pixels as lazy masked arrays, one for every crater and region.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        regions : str or iterable of str
            Names of regions.
        coverage, nodata, exclude
            As in `get_stats`; with ``coverage="exact"`` every pixel of which any part lies inside belongs to a region.

        Returns
        -------
        CraterArrays
            ``arrays["rim"].iloc[0]`` is a dask array of one `numpy.ma.MaskedArray` over the region's bounding
            box; nothing is read until it is computed. ``container.compute()`` goes tile by tile.

        Raises
        ------
        GridError, BodyError, RegionError
            The raster, the table or a region does not fit.

        Examples
        --------
        >>> import pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> cdb = xcrater.CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [20.0], "radius": [50e3]}), "moon")
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> dem.craters.get_arrays(cdb, "rim")["rim"].iloc[0].compute().shape
        (20, 22)
        """
        return container.get_arrays(self._da, cdb, regions, coverage=coverage, nodata=nodata, exclude=exclude)

    @deprecated_arguments(renamed={"region": "regions"})
    def map(
        self,
        cdb: CraterDatabase,
        regions: str | Iterable[str],
        func: Callable[..., Any],
        *,
        dtype: Any = float,
        wants: str | Iterable[str] | None = None,
        returns: int | Mapping[str, int | None] | None = None,
        coverage: str | None = None,
        weights: str | xr.DataArray | None = None,
        nodata: float | int | None = None,
        exclude: Exclude | float | None = None,
        errors: str = "raise",
    ) -> xr.DataArray | xr.Dataset:
        """Apply a user-supplied function to every crater's pixels, reading each tile once.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        regions : str or iterable of str
            Names of regions; a list gives the result a ``region`` dimension.
        func : callable
            Receives the valid pixels of one region of one crater and returns what `returns` says. It must be picklable
            to run in other processes. For a crater without valid pixels it receives empty arrays.
        dtype : dtype
            Data type of the numbers that it returns.
        wants : iterable of str, optional
            Names of the arrays that the function receives, as keywords; all are one-dimensional and of one length, with
            the pixels row by row:

            - ``values``: the raster's values, scale and offset applied;
            - ``coverage``: fraction of the pixel inside the region, 1 unless ``coverage="exact"``;
            - ``weights``: weight of the pixel, 1 without `weights`;
            - ``distance``: from the crater's centre to the pixel's, in crater radii along the great circle (on an
              ellipsoid the geodesic);
            - ``azimuth``: direction of the pixel's centre at the crater's centre, degrees clockwise from north;
            - ``x``, ``y``: coordinates of the pixel's centre in units of the raster's CRS, continuous across the
              antimeridian;
            - ``lon``, ``lat``: east longitude, likewise continuous, and planetocentric latitude, degrees.

            By default it receives the values alone, as its only positional argument.
        returns : int or mapping of str to int or None, optional
            What the function returns: None for one number, an integer for that many numbers, or a mapping of names to
            either for a dict.
        coverage, nodata, exclude
            As in `get_stats`; with ``coverage="exact"`` every pixel of which any part lies inside belongs to a region.
        weights : {"area"} or xarray.DataArray, optional
            Weight of each pixel: its true area on the body in m², or an array on the raster's own grid. The function
            receives them unscaled under the name ``weights``, which `wants` must list.
        errors : {"raise", "nan"}
            Whether an exception raised by the function stops the computation or makes that crater's result NaN.

        Returns
        -------
        xarray.DataArray or xarray.Dataset
            Dimensions (extra dimensions of the raster, region, crater), and ``output`` for several numbers
            (``<name>_output`` in a Dataset); a Dataset where a dict is returned. Lazy where the raster is.

        Raises
        ------
        FunctionError
            An argument does not fit; or, when computed, the function raises an exception or returns something other
            than `returns` and `dtype` say. The message names the crater by its label.
        MemoryBudgetError
            The pixels of one crater and the arrays passed to the function take more than the option ``memory``.
        GridError, BodyError, RegionError
            The raster, the table or a region does not fit.

        Notes
        -----
        The task that reads a tile finishes the craters that lie on it entirely and passes on only their results. The
        pixels of other craters are assembled in the task of the last of their tiles.

        Examples
        --------
        The slope of elevation against distance from the centre:

        >>> import numpy as np, pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> cdb = xcrater.CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [20.0], "radius": [50e3]}), "moon")
        >>> cdb.add_annuli("flank", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> def line(values, distance):
        ...     slope, height = np.polyfit(distance, values, 1)
        ...     return {"slope": slope, "ends": [height + slope, height + 1.5 * slope]}
        >>> fits = dem.craters.map(
        ...     cdb, "flank", line, wants=("values", "distance"), returns={"slope": None, "ends": 2}
        ... )
        >>> fits["ends"].dims, bool(fits["slope"].values[0] < 0)
        (('crater', 'ends_output'), True)
        """
        return functions.map_pixels(
            self._da,
            cdb,
            regions,
            func,
            dtype=dtype,
            wants=wants,
            returns=returns,
            coverage=coverage,
            weights=weights,
            nodata=nodata,
            exclude=exclude,
            errors=errors,
        )
