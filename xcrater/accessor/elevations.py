"""Measurements on elevation models, as methods of the accessor."""

from __future__ import annotations

import xarray as xr

from xcrater.database import CraterDatabase
from xcrater.engine.neighbours import Exclude
from xcrater.statistics import depths


class ElevationMethods:
    """Methods of `da.craters` for rasters of elevations."""

    _da: xr.DataArray

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
        """Measure the depths of craters on an elevation model.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters; no regions are needed.
        rim, floor, wall : tuple of float
            Inner and outer limit of each zone, in crater radii from the centre.
        background : tuple of float, optional
            Limits of the surroundings above which the rim's height is measured, such as (5, 5.5). None omits the
            height, and spares reading most of the pixels.
        method : {"mean", "percentile"}
            Whether the elevations of rim and floor are means or percentiles of their pixels. Everything else is based
            on means.
        percentiles : tuple of float
            Percentile of the rim's pixels and of the floor's, from 0 to 100.
        detrend : {None, "plane"}
            Whether to subtract from each crater's elevations the plane that fits its surroundings best.
        plane : tuple of float
            Limits of the zone to which the plane is fitted, in crater radii.
        nvert : int, optional
            Number of vertices of the polygons that stand for circles; None for true circles.
        coverage : {"exact", "center", "all_touched"}
            Which pixels belong to a zone, as in `get_stats`. Many rims are narrower than a pixel: only the fractions
            covered weight their pixels correctly, and only ``"exact"`` is sure to find any.
        weights : {"area"}, optional
            Weight pixels by their true area on the body as well, which matters for large craters and near a pole.
        nodata, exclude
            As in `get_stats`.

        Returns
        -------
        xarray.Dataset
            Dimensions (extra dimensions of the raster, crater); lazy where the raster is. ``rim``, ``floor``,
            ``background``, ``depth`` (rim less floor) and ``rim_height`` (rim less background) in metres;
            ``depth_diameter``; ``wall_slope`` in degrees, positive up outwards. Each with its standard error, such as
            ``depth_error``; and with the number of valid pixels of each zone, such as ``rim_count``. A crater without
            valid pixels in a zone has count 0 there and NaN in whatever needs the zone.

        Raises
        ------
        GridError, BodyError, RegionError, StatisticError, XcraterError
            The raster, its units, the table, a zone's limits or an option do not fit; or percentiles need more memory
            than the option ``memory`` allows.

        Notes
        -----
        Elevations are in the raster's ``units``, m or km, or in metres where it names none; scale and offset are
        applied. The limits differ from author to author. A rim of 0.99 to 1.01 radii is often compared with a floor
        of 0.4 to 0.6, which a central peak does not raise; Breton et al. (2019) subtract the 3rd percentile of the
        whole interior from the 60th of the rim, ``method="percentile", floor=(0, 1)``. Planes are fitted to 2 to 3
        radii, and rim heights refer to a background of 5 to 5.5. For fresh lunar craters, Pike (1977) found depths of
        0.196 D^1.010 km (simple craters) and 1.044 D^0.301 km (complex craters, D in km).

        The wall's slope is measured between its inner and its outer half: the arctangent of the difference of their
        mean elevations over that of their mean distances, 2/3 (b³ - a³) / (b² - a²) radii for a ring from a to b. That
        is the slope of a straight wall, and for a parabola the slope half-way between the limits.

        The plane is fitted by (weighted) least squares in the crater's azimuthal equidistant projection, x = d sin
        azimuth and y = d cos azimuth of each pixel's centre, where d is its distance. Percentiles of detrended
        elevations hold all pixels of rim and floor in memory at once, 32 bytes each and as much again for sorting.
        Percentiles without detrending respect the option ``memory``.

        Standard errors treat pixels as independent, which neighbouring pixels seldom are, so they are lower bounds.
        The error of a mean is the standard deviation over the square root of the count. The error of the percentile p
        is sqrt(p (1 - p) / count) / f, where f is the density of elevations, estimated from the percentiles 5 points
        (less near 0 and 100) to either side (Siddiqui 1960); it is NaN at 0 and 100. With a count of 1 or less all
        errors are NaN, as one pixel says nothing about the scatter of elevations. Errors of differences add in
        quadrature. They include neither the error of the plane nor that of the table's diameters.

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
            depths.Zones(rim=rim, floor=floor, wall=wall, background=background, plane=plane),
            method=method,
            percentiles=percentiles,
            detrend=detrend,
            nvert=nvert,
            coverage=coverage,
            weights=weights,
            nodata=nodata,
            exclude=exclude,
        )
