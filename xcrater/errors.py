"""The exceptions and warnings of xcrater."""

from __future__ import annotations


class XcraterError(ValueError):
    """Base class of xcrater's errors: an argument or its data cannot be used.

    Examples
    --------
    >>> from xcrater import CraterDatabase, errors
    >>> try:
    ...     CraterDatabase("craters.csv", "moon")
    ... except errors.XcraterError as err:
    ...     print(type(err).__name__)
    TableError
    """


class TableError(XcraterError):
    """The crater table cannot be read, or its columns or rows cannot be used.

    Examples
    --------
    >>> import pandas as pd, xcrater
    >>> xcrater.CraterDatabase(pd.DataFrame({"lat": [9.6], "lon": [-20.1]}), "moon")
    Traceback (most recent call last):
        ...
    xcrater.errors.TableError: found no radius or diameter column among 'lat', 'lon'; name it: rad_col='...' or
        diam_col='...'
    """


class ColumnExistsError(TableError):
    """Results would have the names of columns that the crater table already has.

    Parameters
    ----------
    columns : list of str
        Labels of these columns.

    Examples
    --------
    >>> import pandas as pd, xcrater
    >>> table = pd.DataFrame({"lat": [9.6], "lon": [-20.1], "radius": [48e3], "count_rim": [7]})
    >>> cdb = xcrater.CraterDatabase(table, "moon")
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> cdb.get_stats(xcrater.tutorial.synthetic_mosaic("moon", ppd=1), "rim")
    Traceback (most recent call last):
        ...
    xcrater.errors.ColumnExistsError: the table has the column 'count_rim' already, which results would hide,
        and which is not known to be of an earlier run; type cdb.data = cdb.data.drop(columns=['count_rim']) to
        replace it, or give the regions other names
    """

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns
        several = len(columns) > 1
        super().__init__(
            f"the table has the column{'s' if several else ''} {', '.join(map(repr, columns))} already, which results "
            f"would hide, and which {'are' if several else 'is'} not known to be of an earlier run; type cdb.data = "
            f"cdb.data.drop(columns={columns!r}) to replace {'them' if several else 'it'}, or give the regions other "
            "names"
        )

    def __reduce__(self) -> tuple[type[ColumnExistsError], tuple[list[str]]]:
        return type(self), (self.columns,)


class IterationError(XcraterError, TypeError):
    """A crater table is iterated over.

    Examples
    --------
    >>> import xcrater
    >>> list(xcrater.tutorial.synthetic_craters("moon", 3))
    Traceback (most recent call last):
        ...
    xcrater.errors.IterationError: a crater table is not iterated over, because one crater at a time is slow;
        ask for all of them at once, as by cdb.get_stats(...), or type for crater in cdb.data.itertuples()
    """


class BodyError(XcraterError):
    """A planetary body or one of its coordinate systems is unknown, or two of them disagree.

    Examples
    --------
    >>> import xcrater
    >>> xcrater.tutorial.synthetic_craters("plutto", 3)
    Traceback (most recent call last):
        ...
    xcrater.errors.BodyError: received body='plutto'; expected one of the ... bodies of IAU_2015, did you mean
        'pluto' or 'lutetia'?
    """


class RegionError(XcraterError):
    """A region's definition or name cannot be used.

    Examples
    --------
    >>> import xcrater
    >>> cdb = xcrater.tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1.5, 1)
    Traceback (most recent call last):
        ...
    xcrater.errors.RegionError: received inner=1.5, outer=1; inner must be less than outer (both in crater radii
        from the centre)
    """


class GridError(XcraterError):
    """A raster's grid cannot be placed on the body.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xcrater
    >>> cdb = xcrater.tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> xr.DataArray(np.zeros(5), dims="time").craters.get_stats(cdb, "rim")
    Traceback (most recent call last):
        ...
    xcrater.errors.GridError: received a DataArray with dimensions ('time',); expected two spatial ones such as
        ('y', 'x'). Name them: da = da.rio.set_spatial_dims(x_dim=..., y_dim=...)
    """


class ReadError(XcraterError):
    """Pixels of a raster file cannot be read, or have changed since the file was opened.

    Attributes
    ----------
    path : str
        The file.
    window : tuple of int
        First row and the row past the last, first column and the column past the last, of the requested pixels; counted
        on the whole mosaic where the file is one of many.
    raster : str
        The file, or the name of the mosaic that it is part of.

    Examples
    --------
    >>> import tempfile
    >>> import xcrater
    >>> dem = xcrater.tutorial.synthetic_mosaic("moon", ppd=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dem.rio.to_raster(f"{folder}/dem.tif")
    ...     opened = xcrater.open_mosaic(f"{folder}/dem.tif")
    >>> try:
    ...     opened.compute()  # the file is gone by now
    ... except xcrater.errors.ReadError as err:
    ...     print(err.window)
    (0, 180, 0, 360)
    """

    path: str = ""
    raster: str = ""
    window: tuple[int, int, int, int] = (0, 0, 0, 0)

    @classmethod
    def at(cls, path: str, window: tuple[int, int, int, int], text: str, *, raster: str | None = None) -> ReadError:
        """Make the error for some pixels of a file, with attributes that survive the way between processes.

        Examples
        --------
        >>> from xcrater import errors
        >>> errors.ReadError.at("dem.tif", (0, 512, 0, 512), "dem.tif cannot be read").window
        (0, 512, 0, 512)
        """
        error = cls(text)
        error.path, error.window, error.raster = path, window, path if raster is None else raster
        return error


class LostTilesError(XcraterError):
    """A cluster ended a run because its workers or its scheduler died; there is no result, not even a partial one.

    Parameters
    ----------
    text : str
        Description of what happened, with the remedy.
    windows : list of tuple of int
        First row and the row past the last, first column and the column past the last, of each lost tile: the one that
        killed the workers, or all of them.

    Examples
    --------
    >>> from xcrater import errors
    >>> try:
    ...     raise errors.LostTilesError("the workers died of one tile", [(0, 512, 0, 512)])  # as a cluster does
    ... except errors.LostTilesError as err:
    ...     print(err.windows)
    [(0, 512, 0, 512)]
    """

    def __init__(self, text: str, windows: list[tuple[int, int, int, int]]) -> None:
        self.windows = windows
        super().__init__(text)

    def __reduce__(self) -> tuple[type[LostTilesError], tuple[str, list[tuple[int, int, int, int]]]]:
        return type(self), (str(self), self.windows)


class StatisticError(XcraterError):
    """A statistic is unknown or has no meaning here.

    Examples
    --------
    >>> from xcrater import tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> dem.craters.get_stats(cdb, "rim", "average")
    Traceback (most recent call last):
        ...
    xcrater.errors.StatisticError: unknown statistic 'average'; did you mean 'mean'? expected any of min, max, ...
    """


class PlotError(XcraterError):
    """A figure of the requested kind cannot be drawn.

    Examples
    --------
    >>> from xcrater import tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> dem.craters.get_stats(cdb, "rim").craters.plot_depths()
    Traceback (most recent call last):
        ...
    xcrater.errors.PlotError: received a Dataset without one depth per crater; expected the result of
        da.craters.depths(cdb), of one image: .isel(band=0)
    """


class ChipError(XcraterError):
    """Chips of the requested size, extent or method cannot be made.

    Examples
    --------
    >>> from xcrater import tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> dem.craters.chips(cdb, size=0)
    Traceback (most recent call last):
        ...
    xcrater.errors.ChipError: received size=0; expected pixels along each side, above 0: size=64, or (rows,
        columns)
    """


class FunctionError(XcraterError):
    """A user-supplied function fails for a crater, or its arguments or results do not fit.

    Examples
    --------
    >>> from xcrater import tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 1)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> dem.craters.map(cdb, "rim", lambda values: "high").compute()
    Traceback (most recent call last):
        ...
    xcrater.errors.FunctionError: the function returned 'high' for the crater labelled 0; expected what float64
        holds. Say what it returns: dtype=object
    """


class MemoryBudgetError(XcraterError):
    """Pixels or a result would take more memory than the option ``memory`` allows or the machine has.

    Examples
    --------
    >>> import xcrater
    >>> from xcrater import tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> with xcrater.set_options(memory="1 kB"):
    ...     next(dem.craters.get_arrays(cdb, "rim").iter_computed())
    Traceback (most recent call last):
        ...
    xcrater.errors.MemoryBudgetError: the pixels of the crater labelled 0 take ... at work, more than the 0.98 kiB of
        the option memory, and so do those of 1 more. Allow more: xcrater.set_options(memory=...); or leave such craters
        out by arrays.loc[... * arrays.sizes <= 1000], or take arrays.to_zarr(path)
    """


class StoreError(XcraterError):
    """The file or directory at a path is not the expected store of crater arrays, or the store is damaged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import xcrater
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pathlib.Path(folder, "rim.zarr").mkdir()
    ...     pathlib.Path(folder, "rim.zarr", "notes.txt").touch()
    ...     xcrater.open_arrays(f"{folder}/rim.zarr")
    Traceback (most recent call last):
        ...
    xcrater.errors.StoreError: '.../rim.zarr' is no store of crater arrays; expected a path where
        there is nothing yet, or one that arrays.to_zarr(path) wrote. What is there is left as it is
    """


class CheckpointError(XcraterError):
    """The directory in which a run keeps what it has finished cannot be used.

    Examples
    --------
    >>> from xcrater.cli import cli
    >>> cli.main(["status", "absent"], standalone_mode=False)
    Traceback (most recent call last):
        ...
    xcrater.errors.CheckpointError: there is no run in 'absent'; expected the --work-dir of a run
    """


class CheckpointWriteError(CheckpointError):
    """Finished results cannot be kept, for example because the disk is full. Those kept before remain.

    Examples
    --------
    >>> from xcrater import errors
    >>> issubclass(errors.CheckpointWriteError, errors.CheckpointError)
    True
    """


class OtherRunError(CheckpointError):
    """The directory holds checkpoints of another run.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from xcrater.cli import cli
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "run.json").write_text('{"about": {"xcrater": "0.0"}, "format": 0}')
    ...     cli.main(["status", folder], standalone_mode=False)
    Traceback (most recent call last):
        ...
    xcrater.errors.OtherRunError: ...
    """


class DamagedCheckpointError(CheckpointError):
    """A checkpoint is not as it was written: it is cut short, or some of its bytes have changed.

    Examples
    --------
    >>> from xcrater import errors
    >>> issubclass(errors.DamagedCheckpointError, errors.CheckpointError)
    True
    """


class NoOverlapWarning(UserWarning):
    """No region of any crater overlaps the raster.

    Examples
    --------
    >>> import warnings
    >>> from xcrater import errors, tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", errors.NoOverlapWarning)
    ...     found = dem.isel(y=slice(0, 8)).craters.get_stats(cdb, "rim", "count")
    >>> found["count"].compute().values
    array([0, 0, 0])
    """


class ColumnNamesWarning(UserWarning):
    """Names of rasters and regions would make equal column names, so some columns have other names than usual.

    Examples
    --------
    >>> import warnings
    >>> from xcrater import errors, tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> cdb.add_annuli("slope_rim", 1, 1.5)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", errors.ColumnNamesWarning)
    ...     found = cdb.get_stats({"dem": dem, "dem_slope": dem}, ["rim", "slope_rim"], "mean")
    >>> found.columns[-4:].tolist()
    ['mean_dem_rim', 'mean_dem_slope_rim', 'mean_dem__slope_rim', 'mean_dem_slope_slope_rim']
    """


class DroppedRowsWarning(UserWarning):
    """Rows of the crater table were dropped on request.

    Examples
    --------
    >>> import warnings
    >>> import pandas as pd
    >>> from xcrater import CraterDatabase, errors
    >>> table = pd.DataFrame({"lat": [9.6, None], "lon": [-20.1, 0.0], "radius": [48e3, 1e3]})
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", errors.DroppedRowsWarning)
    ...     cdb = CraterDatabase(table, "moon", errors="drop")
    >>> len(cdb)
    1
    """


class BlocksWarning(UserWarning):
    """Chunks straddle the blocks of a file, or chips the chunks of a raster, which are therefore read repeatedly.

    The warning also appears where the blocks of a file are so large that each takes long to read and much memory.

    Examples
    --------
    >>> import tempfile, warnings
    >>> from xcrater import errors, open_mosaic, tutorial
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=2)
    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", errors.BlocksWarning)
    ...     dem.rio.to_raster(f"{folder}/dem.tif", tiled=True, blockxsize=256, blockysize=256)
    ...     opened = open_mosaic(f"{folder}/dem.tif", chunks=300)
    >>> opened.chunks[0]
    (300, 60)
    """


class MissingFilesWarning(UserWarning):
    """Some of the files of a mosaic do not exist.

    Examples
    --------
    >>> import tempfile, warnings
    >>> from xcrater import errors, open_mosaic, tutorial
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=1)
    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", errors.MissingFilesWarning)
    ...     dem.rio.to_raster(f"{folder}/west.tif")
    ...     opened = open_mosaic([f"{folder}/west.tif", f"{folder}/east.tif"])
    >>> opened.shape
    (180, 360)
    """


class UncheckedStoreWarning(UserWarning):
    """A store of crater arrays has no checksums, so that missing or changed chunks are not noticed.

    Examples
    --------
    >>> import warnings
    >>> from xcrater import errors
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", errors.UncheckedStoreWarning)  # open_arrays now refuses such a store
    """
