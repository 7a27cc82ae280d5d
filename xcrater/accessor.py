"""The ``.craters`` accessor of DataArrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xcrater import arrays, mapping, zonal
from xcrater.aggregations import Aggregation
from xcrater.arrays import CraterArrays
from xcrater.database import CraterDatabase


@xr.register_dataarray_accessor("craters")
class CratersAccessor:
    """Crater science on a raster: ``da.craters``.

    The raster needs two spatial dimensions, evenly spaced coordinates (or a geotransform) and a CRS on the
    table's body; further dimensions such as bands are kept. Where it is backed by dask, results are lazy.
    """

    def __init__(self, da: xr.DataArray) -> None:
        self._da = da

    def get_stats(
        self,
        cdb: CraterDatabase,
        regions: str | Iterable[str],
        stats: str | Iterable[str] = ("mean", "std", "count"),
        *,
        coverage: str | None = None,
        weights: str | xr.DataArray | None = None,
        nodata: float | int | None = None,
        categorical: bool = False,
        add_stats: Mapping[str, Callable[[np.ma.MaskedArray[Any, Any]], Any] | Aggregation] | None = None,
    ) -> xr.Dataset:
        """Statistics of the pixels in the regions of every crater.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        regions : str or iterable of str
            Names of regions; a list gives the result a ``region`` dimension.
        stats : str or iterable of str
            rasterstats' names, with its definitions: count, min, max, mean, sum, std (population), median,
            majority and minority (the smallest of equals), unique (number of distinct values), range, nodata,
            nan (missing pixels of each kind), percentile_<0 to 100> (linear between ranks). And var, cv (std by
            mean), skew and kurtosis (of the population, 0 for a normal distribution), variety (as unique),
            quantile_<0 to 1>, frac_<value> (share of the pixels that have the value), coverage (share of the
            region's pixels on the raster that hold values), area (of the pixels with values, m²).
        coverage : {"all_touched", "center", "exact"}, optional
            Pixels that belong to a region: every one that it intersects; those whose centre lies inside; or every
            one by the fraction of its area that lies inside, as its weight. The default is the option of that name.
        weights : {"area"} or xarray.DataArray, optional
            Weight of each pixel besides: its true area on the body in m², or an array on the raster's own grid of
            numbers from 0 on.
        nodata : number, optional
            Stored number that stands for no value, instead of the one that the raster declares.
        categorical : bool
            Add the variable ``categorical``: for each crater a dict of value to pixel count.
        add_stats : mapping of str to callable or Aggregation, optional
            More statistics: functions of a crater's pixels, the 2-D masked array that `get_arrays` gives; or
            `xcrater.aggregations.Aggregation`, which declares what tiles collect and how that becomes a number,
            and so never holds the pixels.

        Returns
        -------
        xarray.Dataset
            One variable per statistic, dimensions (extra dimensions of the raster, region, crater). A crater
            without valid pixels has count 0 and NaN elsewhere. Values have the raster's scale and offset
            applied; sums of integer rasters are exact.

        Raises
        ------
        GridError, BodyError, RegionError, StatisticError
            The raster, the table, a region, a statistic or the weights do not fit; order statistics take more than
            the option ``memory`` allows.

        Notes
        -----
        With c the fraction covered (1 unless ``coverage="exact"``) and w the weight (1 without), definitions are
        those of exactextract: count is the sum of c, mean the sum of c w x by that of c w, sum that of c w x; var,
        skew and kurtosis are moments with the weights c w; majority and minority the values with most and least c w;
        pixels of weight 0 take part in count, coverage and area alone. A weighted quantile goes by distinct values
        x_i with weights w_i: linear between s_0 = 0, s_i = i w_i + (n - 1) (w_0 + ... + w_{i-1}) and its like at
        q (n - 1) times the sum of all w. Without weights, and with pixels counted whole, quantiles are numpy's.

        Order statistics are exact for regions of any size, in the memory that the option ``memory`` sets: where a
        region is too large for it, tiles are read again (float32 and 32-bit integers once more, float64 three times).

        Examples
        --------
        >>> import pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> cdb = xcrater.CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [20.0], "radius": [50e3]}), "moon")
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> dem.craters.get_stats(cdb, "rim", "count max").compute()["count"].item()
        236
        """
        return zonal.get_stats(
            self._da,
            cdb,
            regions,
            stats,
            coverage=coverage,
            weights=weights,
            nodata=nodata,
            categorical=categorical,
            add_stats=add_stats,
        )

    def get_arrays(
        self,
        cdb: CraterDatabase,
        regions: str | Iterable[str],
        *,
        coverage: str | None = None,
        nodata: float | int | None = None,
    ) -> CraterArrays:
        """The pixels themselves: for every crater and region a lazy masked array.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        regions : str or iterable of str
            Names of regions.
        coverage : {"all_touched", "center", "exact"}, optional
            Pixels that belong to a region; with ``"exact"`` all of which any part does. The default is the option of
            that name.
        nodata : number, optional
            Stored number that stands for no value, instead of the one that the raster declares.

        Returns
        -------
        CraterArrays
            ``arrays["rim"].iloc[0]`` is a dask array of one `numpy.ma.MaskedArray` over the region's bounding
            box; nothing is read until it is computed. ``arrays.compute()`` reads every tile once.

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
        return arrays.get_arrays(self._da, cdb, regions, coverage=coverage, nodata=nodata)

    def map(
        self,
        cdb: CraterDatabase,
        region: str | Iterable[str],
        func: Callable[..., Any],
        *,
        dtype: Any = float,
        wants: str | Iterable[str] | None = None,
        returns: int | Mapping[str, int | None] | None = None,
        coverage: str | None = None,
        nodata: float | int | None = None,
        errors: str = "raise",
    ) -> xr.DataArray | xr.Dataset:
        """A function of one's own over every crater's pixels, reading each tile once.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        region : str or iterable of str
            Name of a region; a list gives the result a ``region`` dimension.
        func : callable
            Takes one crater's valid pixels and returns what `returns` says. It must be picklable to run on other
            processes. Of a crater without valid pixels it is given empty arrays.
        dtype : dtype
            Of what it returns.
        wants : iterable of str, optional
            Which arrays it takes, by these names as keywords; all are one-dimensional and of one length, pixels row by
            row:

            - ``values``: the raster's values, scale and offset applied;
            - ``coverage``: fraction of the pixel inside the region, 1 unless ``coverage="exact"``;
            - ``distance``: of the pixel's centre from the crater's, in crater radii along the great circle (on an
              ellipsoid the geodesic);
            - ``azimuth``: direction in which the crater's centre sees it, degrees clockwise from north;
            - ``x``, ``y``: of its centre in the units of the raster's CRS, running on across the antimeridian;
            - ``lon``, ``lat``: east longitude, running on as well, and planetocentric latitude, degrees.

            If not given, it takes the values alone, as its only positional argument.
        returns : int or mapping of str to int or None, optional
            None for a number, an integer for that many numbers, or a dict of those by name.
        coverage : {"all_touched", "center", "exact"}, optional
            Pixels that belong to a region; with ``"exact"`` all of which any part does. The default is the option of
            that name.
        nodata : number, optional
            Stored number that stands for no value, instead of the one that the raster declares.
        errors : {"raise", "nan"}
            What to do where the function raises.

        Returns
        -------
        xarray.DataArray or xarray.Dataset
            Dimensions (extra dimensions of the raster, region, crater), and ``output`` for several numbers
            (``<name>_output`` in a Dataset); a Dataset where a dict is returned. Lazy where the raster is.

        Raises
        ------
        FunctionError
            An argument does not fit; or when computed: the function raises, or returns something else than
            `returns` and `dtype` say. The message has the crater's label.
        GridError, BodyError, RegionError
            The raster, the table or a region does not fit.

        Notes
        -----
        A crater whose regions lie on one tile is finished where the tile is read: only its results go further. Pixels
        of others are put together at the end.

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
        return mapping.map_pixels(
            self._da,
            cdb,
            region,
            func,
            dtype=dtype,
            wants=wants,
            returns=returns,
            coverage=coverage,
            nodata=nodata,
            errors=errors,
        )
