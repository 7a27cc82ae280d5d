"""Statistics of the pixels around craters, as methods of the accessor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from xcrater.database import CraterDatabase
from xcrater.display.plan import CraterPlan, make_crater_plan
from xcrater.engine.neighbours import Exclude
from xcrater.statistics import profiles, zonal
from xcrater.statistics.aggregations import Aggregation, Asked


class StatisticsMethods:
    """Methods of `da.craters` that give numbers per crater."""

    _da: xr.DataArray

    def get_stats(
        self,
        cdb: CraterDatabase,
        regions: str | Iterable[str],
        stats: Asked = ("mean", "std", "count"),
        *,
        coverage: str | None = None,
        weights: str | xr.DataArray | None = None,
        nodata: float | int | None = None,
        exclude: Exclude | float | None = None,
        categorical: bool = False,
        add_stats: Mapping[str, Callable[[np.ma.MaskedArray[Any, Any]], Any] | Aggregation] | None = None,
    ) -> xr.Dataset:
        """Compute statistics of the pixels in the regions of every crater.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        regions : str or iterable of str
            Names of regions; a list gives the result a ``region`` dimension.
        stats : str, callable or iterable of these
            Names of statistics, with rasterstats' definitions: count, min, max, mean, sum, std (population), median,
            majority and minority (the smallest of equals), unique (number of distinct values), range, nodata and nan
            (missing pixels of each kind), percentile_<0 to 100> (linear between ranks). Further var, cv (std over
            mean), skew and kurtosis (of the population, 0 for a normal distribution), variety (as unique),
            quantile_<0 to 1>, frac_<value> (share of the pixels with that value), coverage (share of the region's
            pixels on the raster that hold values) and area (of the pixels with values, m²; with ``coverage="exact"``
            the true area on the body of the parts inside). Or functions of a crater's pixels, as `add_stats` takes
            them, which give variables under their own names: ``np.ma.ptp``.
        coverage : {"all_touched", "center", "exact"}, optional
            Which pixels belong to a region: every pixel that it intersects; those whose centre lies inside; or every
            pixel, weighted by the fraction of its area inside. The default is the option ``coverage``
            (`xcrater.set_options`).
        weights : {"area"} or xarray.DataArray, optional
            Further weight of each pixel, which multiplies its fraction: its true area on the body in m², or an array
            of non-negative numbers on the raster's own grid.
        nodata : number, optional
            Stored number that stands for a missing value, instead of the one that the raster declares.
        exclude : Exclude or number, optional
            Leave pixels near other craters out of every region. `xcrater.Exclude` says near which craters and how
            near; a number is the distance from the centres of the table's other craters, in their radii.
        categorical : bool
            Add the variable ``categorical``: for each crater a dict of value to pixel count.
        add_stats : mapping of str to callable or Aggregation, optional
            User-supplied statistics by name: functions of a crater's pixels, the 2-D masked array that `get_arrays`
            gives; or `xcrater.aggregations.Aggregation`, which declares what tiles collect and how this becomes a
            number, so that the pixels are never held in memory. Results of functions are variables of dtype object,
            since a function may return anything; ``.astype(float)`` converts them to numbers.

        Returns
        -------
        xarray.Dataset
            One variable per statistic, dimensions (extra dimensions of the raster, region, crater). A crater
            without valid pixels has count 0 and NaN elsewhere. Values have the raster's scale and offset
            applied; sums of integer rasters are exact.

        Raises
        ------
        GridError, BodyError, RegionError, StatisticError
            The raster, the table, a region, a statistic or the weights do not fit; or order statistics need more
            memory than the option ``memory`` allows.

        Notes
        -----
        With c the fraction covered (1 unless ``coverage="exact"``) and w the weight (1 by default), the definitions
        are those of exactextract, except where this note says otherwise: count is the sum of c, sum is the sum of
        c w x, and mean is the latter over the sum of c w; var, skew and kurtosis are moments with the weights c w;
        majority and minority are the values with the most and the least c w. Fractions are exact to 1e-9 of a pixel, so
        sums of c w that differ by no more than 1e-9 of themselves and of a pixel count as equal, and the smallest of
        their values is taken (exactextract takes whichever rounding makes larger). Pixels of weight 0 take part in
        count, coverage and area only; exactextract's min, max, majority, minority and variety look at fractions alone,
        and so include them.

        Without weights, and with pixels counted whole, quantiles are numpy's, linear between ranks. With the weights
        v = c w they are Akinshin's weighted quantiles of type 7 [1]_. Let V be the sum of all v, and D the sum of all
        v² over V, the typical weight of one pixel. The quantile of q is then the mean of the sorted pixels whose
        cumulated weights lie between q (V - D) and q (V - D) + D. V / D is Kish's effective number of pixels.
        Multiplying all weights by a number changes nothing, and equal weights give numpy's quantiles, however often a
        value occurs. In exactextract's formula each *distinct* value counts once, so that its median of 80 pixels of 10
        and one of 250 is 130; here it is 10. With unequal weights the quantile of 0 is the mean over the lowest D of
        weight, and may lie above the minimum. Like numpy's, these quantiles are NaN where interpolation between an
        infinity and a number meets inf - inf.

        Integers of up to 2**63 are exact in counts, extremes, range, majority, minority and numbers of distinct values,
        in a median or percentile that is one pixel's value, and in sums that fit 64 bits. Where a statistic would not
        be exact, an error names it: spreads of integers of 2**31 or more, and results beyond 2**53 that float64 cannot
        represent.

        Order statistics are exact for regions of any size within the option ``memory``: where a region is too large
        for it, tiles are read again (float32 and 32-bit integers once more, float64 three times).

        References
        ----------
        .. [1] Akinshin, A. (2023). Weighted quantile estimators. arXiv:2304.07265.

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
            exclude=exclude,
            categorical=categorical,
            add_stats=add_stats,
        )

    def radial_profile(
        self,
        cdb: CraterDatabase,
        edges: int | ArrayLike = 20,
        stats: Asked = ("mean",),
        *,
        outer: float | None = None,
        sectors: int | ArrayLike | None = None,
        stack: bool | str = False,
        nvert: int | None = None,
        coverage: str | None = None,
        weights: str | xr.DataArray | None = None,
        nodata: float | int | None = None,
        exclude: Exclude | float | None = None,
        add_stats: Mapping[str, Callable[[np.ma.MaskedArray[Any, Any]], Any] | Aggregation] | None = None,
    ) -> xr.Dataset:
        """Compute radial profiles: statistics of rings around every crater, or of sectors of the rings.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters; their own regions are not used.
        edges : int or array_like of float
            Bounds of the rings, increasing, in crater radii from the centre; or a number of equally wide rings from
            the centre out to `outer`.
        stats : str, callable or iterable of these
            As in `get_stats`.
        outer : float, optional
            Outer bound of the last ring where `edges` is a number, in crater radii; 2.5 by default. It is the radius of
            a circle, whereas `chips` shows a square out to its `extent`.
        sectors : int or array_like of float, optional
            A number of equal sectors of azimuth, the first of which begins at north; or their bounds, increasing
            degrees clockwise from north between 0 and 360, not necessarily all the way round. A pixel belongs to the
            sector that contains the azimuth of its centre, measured at the crater's centre along the great circle (on
            an ellipsoid the geodesic). The crater's centre itself has azimuth 0.
        stack : bool or {"craters", "pixels"}
            Whether to give one profile of all craters instead of one per crater. ``"craters"`` (or True) is the mean of
            the craters' statistics, in which every crater with a value counts the same; ``<stat>_stderr`` is its
            standard error and ``<stat>_craters`` the number of craters with a value. ``"pixels"`` is the statistic of
            all craters' pixels together: each crater counts by its pixels (times `weights`), and a pixel counts once
            for every crater in whose ring it lies. It exists for count, sum, mean, std, var, min, max, area, nodata
            and nan.
        nvert : int or None
            Number of vertices of the polygons that stand for the rings' bounds; None, the default, for true circles.
        coverage : {"center", "exact", "all_touched"}, optional
            Which pixels belong to a ring. The default is the option ``coverage``, with ``"center"`` in place of
            ``"all_touched"``, which would count a pixel on a bound in the rings on both sides of it.
        weights, nodata, exclude, add_stats
            As in `get_stats`. User-supplied statistics have no meaning for ``stack="pixels"``.

        Returns
        -------
        xarray.Dataset
            One variable per statistic, dimensions (extra dimensions of the raster, crater, r, azimuth), the last with
            sectors only, and without crater where stacked. ``r`` is the middle of each ring in crater radii, with its
            bounds ``r_inner`` and ``r_outer``; ``azimuth`` the middle of each sector in degrees clockwise from north,
            with ``azimuth_start`` and ``azimuth_stop``; ``radius``, as everywhere, the radius of each crater in
            metres. Lazy where the raster is.

        Raises
        ------
        RegionError
            The bounds of rings or sectors do not increase, or are out of range.
        StatisticError
            A statistic is unknown, or has no meaning for the pixels of several craters together.
        GridError, BodyError
            The raster or the table does not fit.

        Notes
        -----
        Crater studies use some 20 rings out to 2.5 radii. All rings of a crater are visited in one pass, which costs
        little more than its disc; sectors need every pixel's azimuth as well.

        Examples
        --------
        >>> import pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> cdb = xcrater.CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [20.0], "radius": [50e3]}), "moon")
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> profile = dem.craters.radial_profile(cdb, [0, 0.5, 1, 1.5, 2], "mean count").compute()
        >>> profile["r"].values.tolist(), profile["count"].values.tolist()
        ([0.25, 0.75, 1.25, 1.75], [[32, 112, 172, 236]])
        >>> dem.craters.radial_profile(cdb, 5, sectors=4, stack=True).sizes["azimuth"]
        4
        """
        return profiles.radial_profile(
            self._da,
            cdb,
            edges,
            stats,
            outer=outer,
            sectors=sectors,
            stack=stack,
            nvert=nvert,
            coverage=coverage,
            weights=weights,
            nodata=nodata,
            exclude=exclude,
            add_stats=add_stats,
        )

    def plan(
        self,
        cdb: CraterDatabase,
        regions: str | Iterable[str],
        stats: str | Iterable[str] = ("mean", "std", "count"),
        *,
        coverage: str | None = None,
        nodata: float | int | None = None,
        exclude: Exclude | float | None = None,
    ) -> CraterPlan:
        """Estimate what statistics and arrays of these regions would read, return and hold in memory, reading nothing.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        regions : str or iterable of str
            Names of regions.
        stats : str or iterable of str
            Names of the statistics whose results are counted.
        coverage, nodata, exclude
            As in `get_stats`.

        Returns
        -------
        CraterPlan
            The tiles with the number of craters on each and the bytes to read; and for statistics and arrays each, the
            bytes of the result, the rounds over the raster that the option ``memory`` makes necessary, and the
            approximate memory that a process needs. Notebooks show it as a table.

        Raises
        ------
        GridError, BodyError, RegionError, StatisticError
            The raster, the table, a region or a statistic does not fit.

        Examples
        --------
        >>> import pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> table = pd.DataFrame({"lat": [10.0, 60.0], "lon": [20.0, 0.0], "radius": [50e3, 300e3]})
        >>> cdb = xcrater.CraterDatabase(table, "moon")
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> plan = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb, chunks=240).craters.plan(cdb, "rim")
        >>> len(plan.tiles), plan.chunks, plan.bytes_read
        (3, 18, 691200)
        >>> plan.sizes.tolist()
        [2200, 147600]
        >>> plan.arrays.rounds
        1
        """
        return make_crater_plan(self._da, cdb, regions, stats, coverage=coverage, nodata=nodata, exclude=exclude)
