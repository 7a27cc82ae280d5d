"""Process-wide defaults."""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Callable
from numbers import Integral
from types import TracebackType
from typing import Literal, overload

from xcrater.errors import XcraterError

COVERAGES = ("all_touched", "center", "exact")


def _checked_nvert(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 4 or int(value) % 2:
        raise XcraterError(f"received nvert={value!r}; expected an even number from 4 on, or None for a true circle")
    return int(value)


def check_coverage(value: object) -> str:
    """The coverage rule itself where it is one.

    Parameters
    ----------
    value : object
        What was received.

    Returns
    -------
    str
        The name of a coverage rule.

    Raises
    ------
    XcraterError
        If it is none.
    """
    if not isinstance(value, str) or value not in COVERAGES:
        raise XcraterError(f"received coverage={value!r}; expected one of {', '.join(map(repr, COVERAGES))}")
    return value


_UNITS = {"": 1, "b": 1}
_UNITS |= {f"{prefix}b": 1000 ** (n + 1) for n, prefix in enumerate("kmgt")}
_UNITS |= {f"{prefix}ib": 1024 ** (n + 1) for n, prefix in enumerate("kmgt")}


def _checked_memory(value: object) -> int:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([a-z]*)\s*", value.lower())
        if match and match[2] in _UNITS and float(match[1]) * _UNITS[match[2]] >= 1:
            return int(float(match[1]) * _UNITS[match[2]])
    elif not isinstance(value, bool) and isinstance(value, Integral) and int(value) > 0:
        return int(value)
    raise XcraterError(f"received memory={value!r}; expected a number of bytes, or a text such as '512 MiB' or '2 GB'")


_CHECKS: dict[str, Callable[[object], int | str | None]] = {
    "nvert": _checked_nvert,
    "coverage": check_coverage,
    "memory": _checked_memory,
}
_lock = threading.Lock()
_options: dict[str, int | str | None] = {"nvert": 32, "coverage": "all_touched", "memory": 2**30}


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
def get_option(name: str) -> int | str | None: ...
def get_option(name: str) -> int | str | None:
    """Value of one option.

    Parameters
    ----------
    name : str
        An option of `set_options`.

    Returns
    -------
    int, str or None
        Its value now.

    Raises
    ------
    XcraterError
        If there is no such option.

    Examples
    --------
    >>> get_option("nvert")
    32
    """
    return _options[_checked_name(name)]


class set_options:
    """Set process-wide defaults, for good or within a ``with`` block.

    An argument given to a function always wins over a default. All threads see the same defaults. They are read
    when a computation is described, so that a lazy result does not change with options set later.

    Parameters
    ----------
    **options
        nvert : int or None, default 32
            Number of vertices of the polygon that stands for each circle, even; None for the true small circle.
        coverage : {"all_touched", "center", "exact"}, default "all_touched"
            Which pixels belong to a region: every pixel that it intersects, those whose centre lies inside, or every
            pixel by the fraction of its area inside. The accurate setting is ``nvert=None, coverage="exact"``.
        memory : int or str, default "1 GiB"
            Bytes that pixel values may take in one process while order statistics (median, percentiles, majority,
            ...) are found, besides the raster's blocks: one half for the values under way between tiles, the other
            for the tiles being worked on, on as many threads as there are processors. Larger regions take more
            looks at their tiles, with the same result; where that cannot help, an error tells how much is needed.

    Raises
    ------
    XcraterError
        If an option is unknown or a value is not accepted; then none of the options is set.

    Examples
    --------
    >>> with set_options(nvert=None, coverage="center"):
    ...     get_option("nvert"), get_option("coverage")
    (None, 'center')
    >>> get_option("coverage")
    'all_touched'

    Called outside of a ``with`` statement, it sets the options until the next call:

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
