"""The exceptions and warnings that xcrater raises of its own."""

from __future__ import annotations


class XcraterError(ValueError):
    """Base of xcrater's errors: something it was given cannot be used."""


class TableError(XcraterError):
    """The crater table cannot be read, or its columns or rows do not fit."""


class BodyError(XcraterError):
    """A planetary body or one of its coordinate systems is unknown, or two of them disagree."""


class RegionError(XcraterError):
    """A region's definition or name does not fit."""


class GridError(XcraterError):
    """A raster's grid cannot be placed on the body."""


class StatisticError(XcraterError):
    """A statistic is unknown or has no meaning here."""


class ChipError(XcraterError):
    """Chips of that size, extent or method cannot be made."""


class FunctionError(XcraterError):
    """A function of one's own fails for a crater, or what it takes or returns does not fit."""


class StoreError(XcraterError):
    """What is at a path is not the store of crater arrays that is wanted."""


class NoOverlapWarning(UserWarning):
    """No crater region meets the raster."""


class DroppedRowsWarning(UserWarning):
    """Rows of the crater table were dropped on request."""


class BlocksWarning(UserWarning):
    """Chunks straddle the blocks of a file, or chips the chunks of a raster, which are read several times."""
