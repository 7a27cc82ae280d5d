"""The ``.craters`` accessor of DataArrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from xcrater.database import CraterDatabase
from xcrater.engine.neighbours import Exclude
from xcrater.pixels import chips, container, functions, masks
from xcrater.pixels.container import CraterArrays
from xcrater.statistics import depths, profiles, zonal
from xcrater.statistics.aggregations import Aggregation


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
        exclude: Exclude | float | None = None,
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
            region's pixels on the raster that hold values), area (of the pixels with values, m²; with the coverage
            "exact" the true area of what lies inside of each, on the body).
        coverage : {"all_touched", "center", "exact"}, optional
            Pixels that belong to a region: every one that it intersects; those whose centre lies inside; or every
            one by the fraction of its area that lies inside, as its weight. The default is the option of that name.
        weights : {"area"} or xarray.DataArray, optional
            Weight of each pixel besides, by which its fraction is multiplied: its true area on the body in m², or an
            array on the raster's own grid of numbers from 0 on.
        nodata : number, optional
            Stored number that stands for no value, instead of the one that the raster declares.
        exclude : Exclude or number, optional
            Leave pixels near to other craters out of every region: `xcrater.Exclude` says of which and how near; a
            number is the distance from the centres of the table's other craters, in radii of theirs.
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
            exclude=exclude,
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
        exclude: Exclude | float | None = None,
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
        exclude : Exclude or number, optional
            Leave pixels near to other craters out of every region: `xcrater.Exclude` says of which and how near; a
            number is the distance from the centres of the table's other craters, in radii of theirs.

        Returns
        -------
        CraterArrays
            ``arrays["rim"].iloc[0]`` is a dask array of one `numpy.ma.MaskedArray` over the region's bounding
            box; nothing is read until it is computed. ``container.compute()`` reads every tile once.

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

    def radial_profile(
        self,
        cdb: CraterDatabase,
        edges: int | ArrayLike = 20,
        stats: str | Iterable[str] = ("mean",),
        *,
        outer: float | None = None,
        sectors: int | ArrayLike | None = None,
        stack: bool | str = False,
        nvert: int | None = None,
        coverage: str | None = None,
        weights: str | xr.DataArray | None = None,
        nodata: float | int | None = None,
        exclude: Exclude | float | None = None,
    ) -> xr.Dataset:
        """Radial profiles: statistics of rings about every crater, and of sectors of these.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters; their own regions play no part.
        edges : int or array_like of float
            Bounds of the rings, increasing, in crater radii from 0 on; or a number of equally wide rings from the
            centre out to `outer`.
        stats : str or iterable of str
            Any that `get_stats` knows.
        outer : float, optional
            How far so many rings reach, in crater radii; 2.5 by default.
        sectors : int or array_like of float, optional
            A number of equal sectors of azimuth, the first of which begins at north; or their bounds, increasing
            degrees clockwise from north between 0 and 360, not necessarily all the way round. A pixel belongs to the
            sector that the azimuth of its centre lies in: that of the great circle (on an ellipsoid the geodesic) on
            which it is seen from the crater's centre. The centre itself lies north.
        stack : bool or {"craters", "pixels"}
            One profile of all craters instead of one of each. ``"craters"`` (or True): the mean of the craters'
            statistics, every crater with a value counting the same; with variables ``<stat>_stderr``, its standard
            error, and ``<stat>_craters``, how many craters have a value. ``"pixels"``: the statistic of all craters'
            pixels together, so that each crater weighs by its pixels (times `weights`), and a pixel counts once
            for every crater in whose ring it lies; count, sum, mean, std, var, min, max, area, nodata and nan alone.
        nvert : int or None
            Vertices of the polygons that stand for the rings' bounds; None, the default, for true circles.
        coverage : {"center", "exact", "all_touched"}, optional
            Which pixels belong to a ring. The default is the option of that name, with ``"center"`` in place of
            ``"all_touched"``: this would count a pixel on a bound in the rings on both of its sides.
        weights : {"area"} or xarray.DataArray, optional
            Weight of each pixel besides; see `get_stats`.
        nodata : number, optional
            Stored number that stands for no value, instead of the one that the raster declares.
        exclude : Exclude or number, optional
            Leave pixels near to other craters out of every ring; see `get_stats`.

        Returns
        -------
        xarray.Dataset
            One variable per statistic, dimensions (extra dimensions of the raster, crater, radius, azimuth), the last
            with sectors only and no crater where stacked. ``radius`` is the middle of each ring in crater radii, with
            its bounds ``radius_inner`` and ``radius_outer``; ``azimuth`` the middle of each sector in degrees clockwise
            from north, with ``azimuth_start`` and ``azimuth_stop``. The craters' radii in metres are
            ``crater_radius``. Lazy where the raster is.

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
        Crater studies take some 20 rings out to 2.5 radii. All rings of a crater are visited at once, which costs
        little more than its disc; sectors tell every pixel's azimuth.

        Examples
        --------
        >>> import pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> cdb = xcrater.CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [20.0], "radius": [50e3]}), "moon")
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> profile = dem.craters.radial_profile(cdb, [0, 0.5, 1, 1.5, 2], "mean count").compute()
        >>> profile["radius"].values.tolist(), profile["count"].values.tolist()
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
        )

    def chips(
        self,
        cdb: CraterDatabase,
        size: int | tuple[int, int] = 64,
        extent: float = 1.5,
        *,
        method: str = "bilinear",
        north_up: bool = True,
        antialias: bool = True,
        order: str = "table",
        group: int | None = None,
        nodata: float | int | None = None,
    ) -> xr.DataArray:
        """An image of every crater, all of one size in crater radii and pixels.

        Each is in the crater's own azimuthal equidistant frame: distances and directions from its centre are true,
        so circular craters are round at any latitude, across the antimeridian and over the poles.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters.
        size : int or tuple of int
            Pixels of a chip along each side; or rows and columns.
        extent : float
            Crater radii from the centre to the chip's edges.
        method : {"bilinear", "cubic", "nearest"}
            Linear interpolation between 2 x 2 pixels; cubic convolution of 4 x 4, which may overshoot; or the
            pixel that a place lies in, for classes.
        north_up : bool
            Whether north at the crater's centre is up. Otherwise up is the way to lower rows along the raster's
            column there, so that chips lie as the map does: turned, never mirrored. A crater whose centre is off the
            map has no such direction, and no values.
        antialias : bool
            Whether, where the raster is finer than the chip, a chip's pixel is the mean of many samples. Not for
            ``"nearest"``.
        order : {"table", "tiles"}
            Of the craters: as in the table, whatever the chunks; or those of one chunk of the raster side by side,
            so that each chunk of the result is a group of neighbours and needs but a few of the raster. Choose these
            for large tables on large rasters, where the table's order brings a warning;
            ``chips.sel(crater=label)`` finds one, ``chips.sortby("crater")`` sorts by label.
        group : int, optional
            Most craters in a chunk of the result; as many as make two million pixels by default.
        nodata : number, optional
            Stored number that stands for no value, instead of the one that the raster declares.

        Returns
        -------
        xarray.DataArray
            Dimensions (extra dimensions of the raster, crater, y, x), lazy where the raster is: one chunk for each
            group of craters. Coordinates x and y are those of the pixels' centres in crater radii, y from the top
            down; besides there are crater, lat, lon (degrees) and radius (m). Values have the raster's scale and
            offset applied and are float32 for floats and integers of at most 16 bits, float64 for longer ones and
            where a scale or offset applies; NaN where there is none.

        Raises
        ------
        ChipError
            There are no such chips, or one takes more than the option ``memory`` allows.
        GridError, BodyError
            The raster or the table does not fit.

        Notes
        -----
        Places are those of the great-circle direct problem (Snyder 1987, eq. 5-3 to 5-6) from the centre, on an
        ellipsoid of the geodesic one (Karney 2013). Cubic convolution is Keys's (1981), with a = -1/2. A value is
        the weighted mean of the pixels that have one, if these hold at least half of the weight; beyond the raster's
        edge there are none. Where columns go round the body and rows reach a pole, they go on beyond it on the
        opposite meridian. More than half-way round the body there is nothing.

        With `antialias` a chip's pixel is the mean of n x n samples evenly spread over it, n the number of the
        raster's pixels along its side, rounded up: the root of how many it covers, as pixels near a pole of a
        longitude and latitude grid are narrow. n is 32 at the most, which bounds the time that a large crater takes;
        memory is bounded anyway, as each chunk of the raster adds its own part to a chip and is then let go.

        References
        ----------
        Keys, R. G. (1981). Cubic convolution interpolation for digital image processing. IEEE Transactions on
        Acoustics, Speech, and Signal Processing 29, 1153-1160.
        Snyder, J. P. (1987). Map projections: a working manual. USGS Professional Paper 1395.

        Examples
        --------
        >>> import pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> cdb = xcrater.CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [20.0], "radius": [50e3]}), "moon")
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> chips = dem.craters.chips(cdb, size=32)
        >>> chips.dims, chips.shape, chips.dtype
        (('crater', 'y', 'x'), (1, 32, 32), dtype('float32'))
        >>> bool(chips.sel(x=0, y=0, method="nearest") < chips.sel(x=1, y=0, method="nearest"))
        True

        Batches for learning, read and resampled as they are asked for:

        >>> batches = (chips.isel(crater=slice(i, i + 256)).to_numpy() for i in range(0, chips.sizes["crater"], 256))
        >>> next(batches).shape
        (1, 32, 32)
        """
        return chips.chips(
            self._da,
            cdb,
            size,
            extent,
            method=method,
            north_up=north_up,
            antialias=antialias,
            order=order,
            group=group,
            nodata=nodata,
        )

    def mask(
        self,
        cdb: CraterDatabase,
        region: str,
        kind: str = "any",
        *,
        coverage: str | None = None,
        exclude: Exclude | float | None = None,
    ) -> xr.DataArray:
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
        exclude : Exclude or number, optional
            Leave pixels near to other craters out of every region; see `get_stats`.

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
        return masks.mask(self._da, cdb, region, kind, coverage=coverage, exclude=exclude)

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
        exclude: Exclude | float | None = None,
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
        exclude : Exclude or number, optional
            Leave pixels near to other craters out of every zone; see `get_stats`.

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
        return depths.depths(
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
            exclude=exclude,
        )

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
        exclude: Exclude | float | None = None,
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
        exclude : Exclude or number, optional
            Leave pixels near to other craters out of every region; see `get_stats`.
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
        of others are put together, and the function is called, with the last of their tiles.

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
            region,
            func,
            dtype=dtype,
            wants=wants,
            returns=returns,
            coverage=coverage,
            nodata=nodata,
            exclude=exclude,
            errors=errors,
        )
