"""The exceptions and warnings of xcrater."""

from __future__ import annotations


class XcraterError(ValueError):
    """Base class of xcrater's errors: an argument or its data cannot be used."""


class TableError(XcraterError):
    """The crater table cannot be read, or its columns or rows cannot be used."""


class ColumnExistsError(TableError):
    """Results would have the names of columns that the crater table has already.

    Parameters
    ----------
    columns : list of str
        Labels of these columns.
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
    """A crater table is iterated over."""


class BodyError(XcraterError):
    """A planetary body or one of its coordinate systems is unknown, or two of them disagree."""


class RegionError(XcraterError):
    """A region's definition or name cannot be used."""


class GridError(XcraterError):
    """A raster's grid cannot be placed on the body."""


class ReadError(XcraterError):
    """Pixels of a raster file cannot be read, or are no longer those that were there when it was opened.

    Attributes
    ----------
    path : str
        The file.
    window : tuple of int
        First row and the row past the last, first column and the column past the last, of the pixels asked for; of the
        whole mosaic, where the file is one of many.
    raster : str
        The file, or what the mosaic that it is part of is called.
    """

    path: str = ""
    raster: str = ""
    window: tuple[int, int, int, int] = (0, 0, 0, 0)

    @classmethod
    def at(cls, path: str, window: tuple[int, int, int, int], text: str, *, raster: str | None = None) -> ReadError:
        """The error of some pixels of a file; attributes travel with it between processes."""
        error = cls(text)
        error.path, error.window, error.raster = path, window, path if raster is None else raster
        return error


class LostTilesError(XcraterError):
    """A cluster ended a run because its workers died or its scheduler did; there is no result, not even of a part.

    Parameters
    ----------
    text : str
        What happened.
    windows : list of tuple of int
        First row and the row past the last, first column and the column past the last, of each tile that is lost: of
        the one that the workers died of, or of all.
    """

    def __init__(self, text: str, windows: list[tuple[int, int, int, int]]) -> None:
        self.windows = windows
        super().__init__(text)

    def __reduce__(self) -> tuple[type[LostTilesError], tuple[str, list[tuple[int, int, int, int]]]]:
        return type(self), (str(self), self.windows)


class StatisticError(XcraterError):
    """A statistic is unknown or has no meaning here."""


class PlotError(XcraterError):
    """A figure of the requested kind cannot be drawn."""


class ChipError(XcraterError):
    """Chips of the requested size, extent or method cannot be made."""


class FunctionError(XcraterError):
    """A user-supplied function fails for a crater, or its arguments or results do not fit."""


class MemoryBudgetError(XcraterError):
    """Pixels or a result would take more memory than the option ``memory`` allows or than there is."""


class StoreError(XcraterError):
    """The file or directory at a path is not the expected store of crater arrays, or the store is damaged."""


class CheckpointError(XcraterError):
    """The directory in which a run keeps what it has finished cannot be used."""


class CheckpointWriteError(CheckpointError):
    """What is finished cannot be kept: the disk is full, for example. What was kept before stays."""


class OtherRunError(CheckpointError):
    """The directory holds checkpoints of another run."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint is not as it was written: it is cut short, or some of its bytes have changed."""


class NoOverlapWarning(UserWarning):
    """No region of any crater overlaps the raster."""


class ColumnNamesWarning(UserWarning):
    """Names of rasters and regions run together in the names of columns, some of which differ from the usual ones."""


class DroppedRowsWarning(UserWarning):
    """Rows of the crater table were dropped on request."""


class BlocksWarning(UserWarning):
    """Chunks straddle the blocks of a file, or chips the chunks of a raster, which are therefore read repeatedly.

    Or the blocks of a file are so large that each of them takes long to read, and much memory.
    """


class MissingFilesWarning(UserWarning):
    """Some of the files that a mosaic is to be made of do not exist."""


class UncheckedStoreWarning(UserWarning):
    """A store of crater arrays has no checksums, so that missing or changed chunks are not noticed."""
