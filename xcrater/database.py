"""CraterDatabase: craterpy's table, with statistics and pixels of rasters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from xcrater import frames
from xcrater.display.plot_table import PlotTable


class CraterDatabase(PlotTable):
    """A table of craters on one body, with named regions around each crater.

    Parameters
    ----------
    dataset : str, os.PathLike, pandas.DataFrame or geopandas.GeoDataFrame
        Path of a table (.csv; .tsv, .tab or .txt; .parquet) or of a vector file (.geojson, .gpkg, .shp and others; see
        `read_shapefile` for where craters lie), or the table itself, which is copied. Text files may be in
        UTF-8, UTF-16 or Latin-1, with comments, semicolons, decimal commas or names of rows; see
        `xcrater.table.text_files.read_text`. Levels of column labels are joined by underscores. A table without rows
        makes an empty database, which is false.
    body : str
        Planetary body in any case, such as ``"moon"`` or ``"Mars"``; any body of PROJ's IAU_2015 authority.
    input_crs : str or pyproj.CRS, default "default"
        CRS of the table's coordinates: ``"planetocentric"``, ``"planetographic"``, one of Vesta's systems, or a
        CRS of the body; see `xcrater.geometry.bodies.to_geodetic`. The columns of a projected CRS are its x and y.
    units : {"m", "km"}, default "m"
        Unit of the radius or diameter column. Centimetres, millimetres and feet in its header are converted.
    lat_col, lon_col : str, optional
        Names of the latitude and longitude columns; by default found by the words in the header. Longitudes may be in
        any range.
    rad_col, diam_col : str, optional
        Name of the radius column or of the diameter column; found likewise.
    errors : {"raise", "drop"}, default "raise"
        Whether rows that cannot be used are an error or are dropped: rows without a position, or with a radius that is
        not a positive number or exceeds half the body's circumference.

    Attributes
    ----------
    data : pandas.DataFrame
        The table's own columns, and ``_lat``, ``_lon`` (degrees) and ``_radius_m`` (metres). Its attribute ``crs`` is
        the CRS of `center`.
    orig_cols : pandas.Index
        The table's own columns.
    regions : dict of str to Region
        The declared regions by name (`xcrater.table.regions.Region` says what each offers);
        ``del cdb.regions["rim"]`` removes one.

    Raises
    ------
    TableError
        The table cannot be read, a column is missing or ambiguous, its header contradicts `units` or `input_crs`, its
        cells can be read in two ways, or rows cannot be used.
    BodyError
        The body is unknown, or `input_crs` is unknown or belongs to another body.

    Warns
    -----
    DroppedRowsWarning
        Rows were dropped because of ``errors="drop"``.

    Notes
    -----
    Headers are read by whole words: ``DIAM_CIRC_IMG`` holds a diameter, ``DEGRADATION_STATE`` no radius. Plain names
    take precedence over circle fits (``CIRC``, ``IMG``), these over other qualified names, and these over ellipse fits
    (``ELLI``, ``MAJOR``). Standard deviations, shapes, bounds and the like are never used.

    Headers also state conventions. Longitudes under ``Lon_W`` or ``West Longitude`` count westward, and under ``Lon_E``
    eastward, whatever is usual on the body; latitudes under ``Lat_S`` count southward, and under ``Co-Latitude`` from
    the north pole; ``(radians)`` are converted. Latitudes are planetocentric unless the header or `input_crs` says
    ``planetographic``: those are converted with the flattening of the body's IAU ellipsoid, and remain as they are
    where that is a sphere. Cells such as ``12.5 W`` and ``45.0S`` are read likewise. What remains ambiguous is an error
    that says what to type. Angles in degrees, minutes and seconds are refused;
    `xcrater.table.cells.decimal_degrees` converts them.

    Each region is also an attribute: ``cdb.rim`` is a pandas.Series of shapely polygons in longitude and latitude,
    cut at the antimeridian and closed over the poles. It is computed on each access, so keep it in a variable.

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
        stats: Any = ("mean", "std", "count"),
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
            Raster or rasters to summarise. Where there are several, the columns contain their names: the keys of a
            dict; for a list, the file names of paths given as strings, and ``raster0``, ``raster1`` and so on for
            everything else.
        regions : str or sequence of str
            Names of regions.
        stats : str, callable or sequence of these, default ("mean", "std", "count")
            Names of statistics, as in rasterstats, or one string of them: ``"mean,std"``. A function of a crater's
            pixels, as `add_stats` takes it, gives columns under its own name.
        nodata : number or dict, optional
            Stored number that stands for a missing value, instead of the one that the raster declares; a dict gives
            one per raster by its name, ``"_"`` for a single one.
        n_jobs : int, optional
            Number of threads, under craterpy's name: -1 for all cores, -2 for all but one. Lazy results take the same
            number as ``workers`` when they are computed. By default dask decides.
        coverage : {"all_touched", "center", "exact"}, optional
            Which pixels belong to a region: every pixel that it intersects; those whose centre lies inside; or every
            pixel, weighted by the fraction of its area inside. The default is the option ``coverage``
            (`xcrater.set_options`).
        weights : {"area"} or xarray.DataArray, optional
            Further weight of each pixel: its true area, or an array on the raster's own grid.
        exclude : Exclude or number, optional
            Leave pixels near other craters out of every region: see `xcrater.Exclude`; a number is the distance from
            the centres of this table's other craters, in their radii.
        categorical : bool, default False
            Whether to count the pixels of each value.
        add_stats : dict of str to callable, optional
            User-supplied statistics by name: functions of a crater's pixels as a masked array.

        Returns
        -------
        pandas.DataFrame
            The table's own columns, then one per statistic, raster and region, such as ``mean_rim``. A result of an
            earlier run is replaced by one of the same name. The table's ``attrs["xcrater_results"]`` lists such
            columns; pandas and Parquet files preserve it, CSV files do not.

        Raises
        ------
        ColumnExistsError
            A result would hide a column of the table that is not known to be one of an earlier run.
        RegionError
            A region was not added, or `exclude` cannot be used.
        GridError
            A raster cannot be placed on the body.
        StatisticError
            A statistic is unknown.

        Warns
        -----
        ColumnNamesWarning
            Names of rasters and regions would make equal column names, which more underscores keep distinct.

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
            Raster or rasters to cut from; the names of several appear in the columns, as in `get_stats`.
        regions : str or sequence of str
            Names of regions.
        nodata : number or dict, optional
            Stored number that stands for a missing value, instead of the one that the raster declares; a dict gives
            one per raster by its name, ``"_"`` for a single one.
        n_jobs : int, optional
            Number of threads, under craterpy's name: -1 for all cores, -2 for all but one. Lazy results take the same
            number as ``workers`` when they are computed. By default dask decides.
        coverage : {"all_touched", "center", "exact"}, optional
            Which pixels belong to a region: every pixel that it intersects ("all_touched" and "exact" alike), or those
            whose centre lies inside. The default is the option ``coverage`` (`xcrater.set_options`).
        exclude : Exclude or number, optional
            Leave pixels near other craters out of every region: see `xcrater.Exclude`; a number is the distance from
            the centres of this table's other craters, in their radii.

        Returns
        -------
        pandas.DataFrame
            The table's own columns, then one per raster and region, each cell a numpy.ma.MaskedArray in the raster's
            units with everything outside the region masked.

        Raises
        ------
        RegionError
            A region was not added, or `exclude` cannot be used.
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
