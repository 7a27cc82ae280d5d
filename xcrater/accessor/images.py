"""Images made from a raster and its craters, as methods of the accessor."""

from __future__ import annotations

import xarray as xr

from xcrater._deprecation import deprecated_arguments
from xcrater.database import CraterDatabase
from xcrater.engine.neighbours import Exclude
from xcrater.pixels import chips, masks


class ImageMethods:
    """Methods of `da.craters` that give images: one per crater, or one of all craters."""

    _da: xr.DataArray

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
        """Resample an image of every crater, all of one size in crater radii and in pixels.

        Each image is in the crater's own azimuthal equidistant projection: distances and directions from its centre
        are true, so that circular craters are round at any latitude, across the antimeridian and over the poles.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters.
        size : int or tuple of int
            Number of pixels along each side of a chip; or numbers of rows and columns.
        extent : float
            Distance from the crater's centre to the chip's edges, in crater radii: half the side of a square, whose
            corners lie farther out, whereas `outer` of `radial_profile` is the radius of a circle.
        method : {"bilinear", "cubic", "nearest"}
            Linear interpolation between 2 x 2 pixels; cubic convolution of 4 x 4 pixels, which may overshoot; or the
            pixel in which a point lies, for classes.
        north_up : bool
            Whether north at the crater's centre is up. Otherwise up is the direction of lower rows along the raster's
            column there, so that chips are oriented as the map is: rotated, never mirrored. A crater whose centre is
            off the map has no such direction, and no values.
        antialias : bool
            Whether a chip's pixel is the mean of many samples where the raster is finer than the chip. Does not apply
            to ``"nearest"``.
        order : {"table", "tiles"}
            Order of the craters: that of the table; or grouped by chunk of the raster, so that each chunk of the
            result holds neighbours and needs only a few chunks of the raster. In the latter, chips that reach into
            another chunk of the raster get chunks of their own, so that others need not wait in memory for them.
            Choose it for large tables on large rasters, where the table's order raises a warning;
            ``chips.sel(crater=label)`` finds a crater, and ``chips.sortby("crater")`` sorts by label.
        group : int, optional
            Largest number of craters in a chunk of the result; by default as many as make two million pixels.
        nodata : number, optional
            As in `get_stats`.

        Returns
        -------
        xarray.DataArray
            Dimensions (extra dimensions of the raster, crater, y, x), lazy where the raster is: one chunk per group
            of craters. Coordinates x and y are those of the pixels' centres in crater radii, y decreasing; further
            crater, lat, lon (degrees) and radius (m). Values have the raster's scale and offset applied and are
            float32 for floats and integers of at most 16 bits, float64 for longer ones and where a scale or offset
            applies; NaN where a value is missing.

        Raises
        ------
        ChipError
            An argument does not fit, or one chip takes more memory than the option ``memory`` allows.
        GridError, BodyError
            The raster or the table does not fit.

        Notes
        -----
        Points of a chip solve the direct problem from the crater's centre along the great circle (Snyder 1987,
        eq. 5-3 to 5-6), on an ellipsoid along the geodesic (Karney 2013). Cubic convolution is Keys's (1981), with
        a = -1/2. A value is the weighted mean of the pixels that have one, if these hold at least half of the weight;
        beyond the raster's edge there are none. Where columns go all round the body and rows reach a pole, sampling
        continues beyond it on the opposite meridian. More than half-way round the body there are no values.

        With `antialias` a chip's pixel is the mean of n x n samples evenly spread over it, where n is the square root,
        rounded up, of the number of raster pixels that it covers (pixels of a longitude and latitude grid are narrow
        near the poles). The limit n <= 32 bounds the time that a large crater takes. Memory is bounded anyway, as each
        chunk of the raster adds its part to a chip and is then released.

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

        Batches for machine learning, read and resampled on demand:

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

    @deprecated_arguments(positional="kind")
    def mask(
        self,
        cdb: CraterDatabase,
        region: str,
        *,
        kind: str = "any",
        coverage: str | None = None,
        exclude: Exclude | float | None = None,
    ) -> xr.DataArray:
        """Mark the pixels of the raster that lie in a region of any crater.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        region : str
            Name of a region.
        kind : {"any", "count", "crater"}
            What is stored per pixel: whether it lies in any crater's region; in how many craters' regions it lies; or
            the table position of the smallest crater whose region contains it (the first of equal radii), -1 where no
            region does.
        coverage, exclude
            As in `get_stats`; with ``coverage="exact"`` every pixel of which any part lies inside belongs to a region.

        Returns
        -------
        xarray.DataArray
            bool or int32, on the raster's rows and columns with their coordinates, CRS and chunks; lazy where the
            raster is, with one task per chunk. The raster's values are neither used nor read. Columns beyond one turn
            of longitude are also marked.

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
