"""The ``.craters`` accessor of DataArrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xcrater import arrays, masks, morphometry, zonal
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

    def mask(self, cdb: CraterDatabase, region: str, kind: str = "any", *, coverage: str | None = None) -> xr.DataArray:
        """Which pixels of the raster lie in a region of any crater.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        region : str
            Name of a region.
        kind : {"any", "count", "crater"}
            What a pixel says: whether it lies in any crater's region; in how many; or whose it is: the position in
            the table of the smallest crater by radius, of equals the first, -1 where there is none.
        coverage : {"all_touched", "center", "exact"}, optional
            Pixels that belong to a region; with ``"exact"`` all of which any part does. The default is the option of
            that name.

        Returns
        -------
        xarray.DataArray
            bool or int32, of the raster's rows and columns, with their coordinates, CRS and chunks; lazy where the
            raster is, one task to a chunk, none of which reads the raster. What the raster holds there plays no
            part. Columns past one turn of longitude are marked as well.

        Raises
        ------
        GridError, BodyError, RegionError, XcraterError
            The raster, the table, the region or an option does not fit.

        Examples
        --------
        >>> import pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> cdb = xcrater.CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [20.0], "radius": [50e3]}), "moon")
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> int(dem.craters.mask(cdb, "rim").sum())
        236
        >>> outside = dem.where(~dem.craters.mask(cdb, "rim"))  # nothing is computed
        """
        return masks.mask(self._da, cdb, region, kind, coverage=coverage)

    def depths(
        self,
        cdb: CraterDatabase,
        *,
        rim: tuple[float, float] = (0.99, 1.01),
        floor: tuple[float, float] = (0.0, 0.4),
        wall: tuple[float, float] = (0.7, 0.9),
        background: tuple[float, float] | None = None,
        method: str = "mean",
        percentiles: tuple[float, float] = (60, 3),
        detrend: str | None = None,
        plane: tuple[float, float] = (2.0, 3.0),
        nvert: int | None = None,
        coverage: str = "exact",
        weights: str | None = None,
        nodata: float | int | None = None,
    ) -> xr.Dataset:
        """Depths of craters on an elevation model.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters; it needs no regions.
        rim, floor, wall : tuple of float
            Inner and outer limit of each zone, in crater radii from the centre.
        background : tuple of float, optional
            The same of the surroundings that the rim rises above, such as (5, 5.5). None leaves that out, and with it
            most of the pixels that would be read.
        method : {"mean", "percentile"}
            Whether rim and floor elevation are means, or percentiles of their pixels. All else is of means.
        percentiles : tuple of float
            Percentile of the rim's pixels and of the floor's, from 0 to 100.
        detrend : {None, "plane"}
            Whether to subtract from each crater's elevations the plane that fits its surroundings best.
        plane : tuple of float
            Limits of the zone to which the plane is fitted.
        nvert : int, optional
            Vertices of the polygons that stand for circles; None takes true circles.
        coverage : {"exact", "center", "all_touched"}
            Pixels that belong to a zone, as in `get_stats`. Rims are narrower than a pixel around many a crater: only
            by their fractions covered do the pixels there count as much as they should, and there are always some.
        weights : {"area"}, optional
            Weigh pixels by their true area on the body besides, which matters for large craters and near a pole.
        nodata : number, optional
            Stored number that stands for no value, instead of the one that the raster declares.

        Returns
        -------
        xarray.Dataset
            Dimensions (extra dimensions of the raster, crater); lazy where the raster is. ``rim``, ``floor``,
            ``background``, ``depth`` (rim less floor) and ``rim_height`` (rim less background) in metres;
            ``depth_diameter``; ``wall_slope`` in degrees, positive up outwards. Each with its standard error, such as
            ``depth_error``; and the pixels with values of each zone, such as ``rim_count``. A crater without valid
            pixels in a zone has 0 there and NaN in what needs it.

        Raises
        ------
        GridError, BodyError, RegionError, StatisticError, XcraterError
            The raster, its units, the table, a zone's limits or an option do not fit; percentiles as they are take
            more than the option ``memory`` allows.

        Notes
        -----
        Elevations are in the raster's ``units``, m or km, and taken for metres where it names none; scale and offset
        are applied. What limits to take differs from author to author: a rim of 0.99 to 1.01 radii is often set
        against a floor of 0.4 to 0.6, where a central peak does not raise it; Breton et al. (2019) take the 60th
        percentile of the rim less the 3rd of all that is inside, ``method="percentile", floor=(0, 1)``; planes are
        fitted to 2 to 3 radii; and rims rise above a background of 5 to 5.5. For fresh lunar craters, Pike (1977)
        found depths of 0.196 D^1.010 km (simple ones) and 1.044 D^0.301 km (complex ones, D in km).

        The wall's slope is that between its lower and its upper half, which the middle between the limits parts:
        the arctangent of the difference of their mean elevations over that of their mean distances,
        2/3 (b³ - a³) / (b² - a²) radii for a ring from a to b. That is the slope of a straight wall, and of a
        parabola the one at the middle.

        The plane is fitted by least squares (with the weights) in the crater's azimuthal equidistant frame, x = d sin
        azimuth and y = d cos azimuth of each pixel's centre, d its distance. Percentiles of detrended elevations hold
        all pixels of rim and floor in memory at once, 32 bytes each and as much again for sorting, where those of
        elevations as they are keep to the option ``memory``.

        Standard errors take pixels as independent, which those of neighbouring pixels seldom are: they are lower
        bounds. That of a mean is the standard deviation by the square root of the count. That of the percentile p is
        sqrt(p (1 - p) / count) / f, with the density f of elevations there from those 5 percentage points (less near 0
        and 100) to either side (Siddiqui 1960); NaN at 0 and 100. Where the count is 1 or less they are NaN, as one
        pixel says nothing of how elevations scatter. Those of differences add in quadrature. Neither the error of the
        plane nor that of the table's diameters is in them.

        References
        ----------
        Breton, S., et al. (2019). Semi-automated crater depth measurements. MethodsX 6, 2293-2304.
        Pike, R. J. (1977). Size-dependence in the shape of fresh impact craters on the moon. In: Impact and
        Explosion Cratering, Pergamon, 489-509.
        Siddiqui, M. M. (1960). Distribution of quantiles in samples from a bivariate population. J. Res. Natl. Bur.
        Stand. 64B, 145-150.

        Examples
        --------
        >>> import pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> cdb = xcrater.CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [20.0], "radius": [50e3]}), "moon")
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=16, craters=cdb, roughness=0)  # 0.2 D deep, a parabola
        >>> found = dem.craters.depths(cdb).compute()
        >>> round(found["depth"].item() / 1000, 1), round(found["rim_count"].item())
        (18.1, 89)
        """
        return morphometry.depths(
            self._da,
            cdb,
            rim=rim,
            floor=floor,
            wall=wall,
            background=background,
            method=method,
            percentiles=percentiles,
            detrend=detrend,
            plane=plane,
            nvert=nvert,
            coverage=coverage,
            weights=weights,
            nodata=nodata,
        )
