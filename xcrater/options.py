"""Process-wide defaults: `set_options`, and the rule by which functions fill in an argument that was not given."""

from __future__ import annotations

import contextlib
import difflib
import re
import threading
from collections.abc import Callable
from enum import Enum
from numbers import Integral
from types import TracebackType
from typing import Final, Literal, TypeAlias, overload

from xcrater.errors import XcraterError

COVERAGES = ("all_touched", "center", "exact")
"""The coverage rules: which pixels belong to a region."""


class _Default(Enum):
    """Type of `OPTION`, so that type checkers tell it from other values."""

    OPTION = "option"

    def __repr__(self) -> str:
        return "<default>"


OPTION: Final = _Default.OPTION
"""Default of an argument for which the option of its name stands, where None has a meaning of its own."""

Vertices: TypeAlias = int | Literal[_Default.OPTION] | None
"""An argument `nvert`: a number of vertices, None for a true small circle, or `OPTION`."""


def _checked_nvert(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 4 or int(value) % 2:
        raise XcraterError(f"received nvert={value!r}; expected an even number from 4 on, or None for a true circle")
    return int(value)


def check_coverage(value: object) -> str:
    """Return the coverage rule itself if it is one.

    Parameters
    ----------
    value : object
        What the user gave.

    Returns
    -------
    str
        One of `COVERAGES`.

    Raises
    ------
    XcraterError
        The value is no coverage rule.
    """
    if not isinstance(value, str) or value not in COVERAGES:
        raise XcraterError(f"received coverage={value!r}; expected one of {', '.join(map(repr, COVERAGES))}")
    return value


def _checked_memory(value: object) -> int:
    # Imported late, because modules below the engine do not load dask
    from dask.utils import parse_bytes

    count = 0
    if isinstance(value, str):
        # Stricter than dask, which reads "1 2" as 12 and "GiB" as 1 GiB
        if re.fullmatch(r"\s*\d+(\.\d*)?\s*[a-z]*\s*", value.lower()):
            with contextlib.suppress(ValueError):
                count = parse_bytes(value)
    elif isinstance(value, Integral) and not isinstance(value, bool):
        count = int(value)
    if count <= 0:
        raise XcraterError(
            f"received memory={value!r}; expected a number of bytes, or a text such as '512 MiB' or '2 GB'"
        )
    return count


def _checked_progress(value: object) -> bool:
    if not isinstance(value, bool):
        raise XcraterError(f"received progress={value!r}; expected True or False")
    return value


_CHECKS: dict[str, Callable[[object], int | str | None]] = {
    "nvert": _checked_nvert,
    "coverage": check_coverage,
    "memory": _checked_memory,
    "progress": _checked_progress,
}
_lock = threading.Lock()
_options: dict[str, int | str | None] = {"nvert": 32, "coverage": "all_touched", "memory": 2**30, "progress": True}


def _checked_name(name: str) -> str:
    if name not in _CHECKS:
        close = difflib.get_close_matches(name, _CHECKS)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"the options are {', '.join(_CHECKS)}"
        raise XcraterError(f"received the unknown option {name!r}; {hint}")
    return name


@overload
def get_option(name: Literal["nvert"]) -> int | None: ...
@overload
def get_option(name: Literal["coverage"]) -> str: ...
@overload
def get_option(name: Literal["memory"]) -> int: ...
@overload
def get_option(name: Literal["progress"]) -> bool: ...
@overload
def get_option(name: str) -> int | str | None: ...
def get_option(name: str) -> int | str | None:
    """Return the current value of one option.

    Parameters
    ----------
    name : str
        Name of an option of `set_options`.

    Returns
    -------
    int, str or None
        The value.

    Raises
    ------
    XcraterError
        There is no option of that name.

    Examples
    --------
    >>> get_option("nvert")
    32
    """
    return _options[_checked_name(name)]


def get_nvert(nvert: Vertices) -> int | None:
    """Resolve an argument `nvert`: the argument itself, or the option where it was not given.

    Parameters
    ----------
    nvert : int, None or OPTION
        The argument.

    Returns
    -------
    int or None
        Number of vertices of the polygon that stands for a circle, None for the true small circle. An argument is not
        checked; the region that it goes to does that.
    """
    return get_option("nvert") if nvert is OPTION else nvert


def get_coverage(coverage: str | None) -> str:
    """Resolve an argument `coverage`: the argument itself, checked, or the option where it is None.

    Parameters
    ----------
    coverage : str or None
        The argument.

    Returns
    -------
    str
        One of `COVERAGES`.

    Raises
    ------
    XcraterError
        The argument is no coverage rule.
    """
    return get_option("coverage") if coverage is None else check_coverage(coverage)


class set_options:
    """Set process-wide defaults, until the next call or within a ``with`` block.

    An argument passed to a function always takes precedence over a default. All threads share the defaults. They are
    read when a computation is described, so that a lazy result does not change with options set later.

    Parameters
    ----------
    **options
        nvert : int or None, default 32
            Number of vertices of the polygon that stands for each circle, even; None for the true small circle.
        coverage : {"all_touched", "center", "exact"}, default "all_touched"
            Which pixels belong to a region: every pixel that it intersects, those whose centre lies inside, or every
            pixel by the fraction of its area inside. The accurate setting is ``nvert=None, coverage="exact"``.
        memory : int or str, default "1 GiB"
            Bytes of pixels and accumulators that statistics, arrays and functions of pixels may hold in one process, in
            addition to their result and to the raster's blocks. What does not fit is read in more rounds over the tiles
            that it needs, with the same result. For pixels (arrays and functions of them), a quarter of the memory is
            reserved for craters that wait for further tiles, and a sixth for what all threads cut from their current
            tiles. For statistics, half is reserved for accumulators. For order statistics (median, percentiles,
            majority, ...), half is reserved for values in transit between tiles and half for the tiles being processed.
            What cannot fit at all, such as a basin's pixels as one array, is refused before anything is read, with a
            `MemoryBudgetError` that says how much it takes.
        progress : bool, default True
            Whether calls that compute immediately, such as `CraterDatabase.get_stats`, show dask's progress bar in a
            terminal or a notebook if they take longer than 3 seconds.

    Raises
    ------
    XcraterError
        An option is unknown or a value is not accepted. None of the options is set then.

    Examples
    --------
    >>> from xcrater.options import get_option
    >>> with set_options(nvert=None, coverage="center"):
    ...     get_option("nvert"), get_option("coverage")
    (None, 'center')
    >>> get_option("coverage")
    'all_touched'

    Outside of a ``with`` statement, the options hold until they are set again:

    >>> _ = set_options(nvert=64)
    >>> get_option("nvert")
    64
    >>> _ = set_options(nvert=32)
    """

    def __init__(self, **options: object) -> None:
        checked = {name: _CHECKS[_checked_name(name)](value) for name, value in options.items()}
        with _lock:
            self._previous = {name: _options[name] for name in checked}
            _options.update(checked)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with _lock:
            _options.update(self._previous)
