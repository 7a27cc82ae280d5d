"""CraterDatabase: craterpy's table, with statistics and pixels of rasters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from xcrater import frames
from xcrater.table.crater_table import CraterTable


class CraterDatabase(CraterTable):
    """A table of craters on one body, with named regions around each crater.

    Parameters
    ----------
    dataset : str, os.PathLike or pandas.DataFrame
        Path of a table (.csv; .tsv, .tab or .txt with tabs; .parquet), or the table itself, which is copied.
    body : str
        Planetary body in any case, such as ``"moon"`` or ``"Mars"``; any body of PROJ's IAU_2015 authority.
    input_crs : str or pyproj.CRS, default "default"
        What the table's coordinates are in: ``"planetocentric"``, ``"planetographic"``, one of Vesta's systems, or a
        CRS of the body; see `xcrater.geometry.bodies.to_geodetic`. Columns of a projected CRS are its x and y.
    units : {"m", "km"}, default "m"
        Unit of the radius or diameter column.
    lat_col, lon_col : str, optional
        Names of the latitude and longitude columns; found by the words in the header if not given. Longitudes may be
        in any range.
    rad_col, diam_col : str, optional
        Name of the radius column, or of the diameter column; found likewise.
    errors : {"raise", "drop"}, default "raise"
        What to do with rows that cannot be used: without a position, or with a radius that is no positive number or
        more than half the body's circumference.

    Attributes
    ----------
    data : pandas.DataFrame
        The table's own columns, and ``_lat``, ``_lon`` (degrees) and ``_radius_m`` (metres).
    orig_cols : pandas.Index
        The table's own columns.
    regions : dict of str to Annulus or Polygons
        The declared regions by name; ``del cdb.regions["rim"]`` removes one.

    Raises
    ------
    TableError
        The table cannot be read, a column is missing or ambiguous, its header contradicts `units`, or rows cannot be
        used.
    BodyError
        The body is unknown, or `input_crs` is unknown or belongs to another body.

    Warns
    -----
    DroppedRowsWarning
        Rows were dropped because of ``errors="drop"``.

    Notes
    -----
    A header counts by whole words: ``DIAM_CIRC_IMG`` holds a diameter, ``DEGRADATION_STATE`` no radius. Plain names
    come before circle fits (``CIRC``, ``IMG``), these before other qualified names, and ellipse fits (``ELLI``,
    ``MAJOR``) last. Standard deviations, shapes, bounds and the like are never taken.

    Each region is also an attribute: ``cdb.rim`` is a pandas.Series of shapely polygons in longitude and latitude,
    cut at the antimeridian and closed over the poles. It is made anew on each access, so keep it in a variable.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"Lat": [-43.3, 9.6], "Lon": [348.8, 339.9], "Diam_km": [85.0, 96.0]})
    >>> cdb = CraterDatabase(table, "moon", units="km")
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> cdb
    CraterDatabase of length 2 with attributes lat, lon, rad, center, rim.
    >>> cdb.lon.round(3).tolist(), cdb.rad.tolist()
    ([-11.2, -20.1], [42500.0, 48000.0])
    >>> cdb.rim.iloc[0].geom_type
    'Polygon'
    """

    def get_stats(
        self,
        rasters: Any,
        regions: str | Sequence[str],
        stats: str | Sequence[str] = ("mean", "std", "count"),
        nodata: Any = None,
        n_jobs: int | None = None,
        *,
        coverage: str | None = None,
        weights: Any = None,
        exclude: Any = None,
        categorical: bool = False,
        add_stats: Any = None,
    ) -> pd.DataFrame:
        """Compute statistics of the raster's pixels in each region of each crater.

        Parameters
        ----------
        rasters : path, rasterio dataset, xarray.DataArray, or dict or list of these
            What to summarise. Names of several appear in the columns.
        regions : str or sequence of str
            Names of regions.
        stats : str or sequence of str, default ("mean", "std", "count")
            Names of statistics, as in rasterstats.
        nodata : number or dict, optional
            Pixel value that stands for no data, instead of the raster's own; a dict gives one per raster.
        n_jobs : int, optional
            Number of threads; -1 all cores, -2 all but one, as in craterpy.
        coverage : {"all_touched", "center", "exact"}, optional
            Which pixels belong to a region: every one that it intersects (unless set otherwise with
            `xcrater.set_options`), those whose centre lies inside, or every one by the fraction of its area inside.
        weights : {"area"} or xarray.DataArray, optional
            Weight of each pixel besides: its true area, or an array on the raster's own grid.
        exclude : Exclude or number, optional
            Pixels near to other craters that regions are to be without: see `xcrater.Exclude`; a number is the
            distance from the centres of this table's other craters, in radii of theirs.
        categorical : bool, default False
            Whether to count the pixels of each value.
        add_stats : dict of str to callable, optional
            Statistics of one's own, by name, each a function of a crater's masked pixels.

        Returns
        -------
        pandas.DataFrame
            The table's own columns, then one per statistic, raster and region, such as ``mean_rim``.

        Raises
        ------
        RegionError
            A region was not added, or `exclude` makes no sense.
        GridError
            A raster cannot be placed on the body.
        StatisticError
            A statistic is unknown.

        Examples
        --------
        >>> from xcrater import CraterDatabase, sample_data
        >>> cdb = CraterDatabase(sample_data["moon_craters_km.csv"], "moon", units="km")
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> cdb.get_stats(sample_data["moon.tif"], "rim", stats="mean count").iloc[0].round(4).to_dict()
        {'Diameter (km)': 1145.53, 'Latitude': 34.72, 'Longitude': -14.91, 'mean_rim': 59.5178, 'count_rim': 14844.0}
        """
        return frames.stats_frame(
            self,
            rasters,
            regions,
            stats=stats,
            nodata=nodata,
            n_jobs=n_jobs,
            coverage=coverage,
            weights=weights,
            exclude=exclude,
            categorical=categorical,
            add_stats=add_stats,
        )

    def get_arrays(
        self,
        rasters: Any,
        regions: str | Sequence[str],
        nodata: Any = None,
        n_jobs: int | None = None,
        *,
        coverage: str | None = None,
        exclude: Any = None,
    ) -> pd.DataFrame:
        """Cut the pixels of each region of each crater out of the raster.

        Parameters
        ----------
        rasters : path, rasterio dataset, xarray.DataArray, or dict or list of these
            What to cut. Names of several appear in the columns.
        regions : str or sequence of str
            Names of regions.
        nodata : number or dict, optional
            Pixel value that stands for no data, instead of the raster's own; a dict gives one per raster.
        n_jobs : int, optional
            Number of threads; -1 all cores, -2 all but one, as in craterpy.
        coverage : {"all_touched", "center", "exact"}, optional
            Which pixels belong to a region: every one that it intersects (unless set otherwise with
            `xcrater.set_options`; "exact" means the same here), or those whose centre lies inside.
        exclude : Exclude or number, optional
            Pixels near to other craters that regions are to be without: see `xcrater.Exclude`; a number is the
            distance from the centres of this table's other craters, in radii of theirs.

        Returns
        -------
        pandas.DataFrame
            The table's own columns, then one per raster and region, each cell a numpy.ma.MaskedArray in the raster's
            units with everything outside of the region masked.

        Raises
        ------
        RegionError
            A region was not added, or `exclude` makes no sense.
        GridError
            A raster cannot be placed on the body.

        Examples
        --------
        >>> from xcrater import CraterDatabase, sample_data
        >>> cdb = CraterDatabase(sample_data["moon_craters_km.csv"], "moon", units="km")
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> arrays = cdb.get_arrays(sample_data["moon.tif"], "rim")
        >>> arrays["rim"].iloc[0].shape, float(arrays["rim"].map(lambda pixels: pixels.max()).iloc[0])
        ((162, 201), 171.0)
        """
        return frames.arrays_frame(
            self, rasters, regions, nodata=nodata, n_jobs=n_jobs, coverage=coverage, exclude=exclude
        )
