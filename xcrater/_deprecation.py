"""Support for calls that the documentation once showed: they keep working, with a DeprecationWarning."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def deprecated_arguments(
    *, renamed: Mapping[str, str] | None = None, positional: str | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function accept arguments as they were passed before, with a warning that says what to type instead.

    Parameters
    ----------
    renamed : mapping of str to str, optional
        The new name of each renamed argument, by its old name.
    positional : str, optional
        The keyword-only argument that could be passed by position, after the function's positional ones.

    Returns
    -------
    callable
        A decorator that keeps the function's signature.

    Warns
    -----
    DeprecationWarning
        When the function is called in the old manner.

    Examples
    --------
    >>> @deprecated_arguments(renamed={"region": "regions"})
    ... def count(regions):
    ...     return len(regions)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     count(region=["rim", "floor"])
    2
    >>> print(caught[0].message)
    count() has renamed region=; type count(..., regions=...)
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function).parameters.values()
        places = sum(parameter.kind is not inspect.Parameter.KEYWORD_ONLY for parameter in parameters)
        name = function.__name__

        @functools.wraps(function)
        def accepting(*args: Any, **kwargs: Any) -> Any:
            for old, new in (renamed or {}).items():
                if old in kwargs and new not in kwargs:
                    _warn(f"{name}() has renamed {old}=; type {name}(..., {new}=...)")
                    kwargs[new] = kwargs.pop(old)
            if positional is not None and len(args) == places + 1 and positional not in kwargs:
                value, args = args[-1], args[:-1]
                _warn(f"{name}() takes {positional} by keyword only; type {name}(..., {positional}={value!r})")
                kwargs[positional] = value
            return function(*args, **kwargs)

        return accepting

    return decorate


def crater_before_region(method: Callable[P, R]) -> Callable[P, R]:
    """Let a method of a crater's position and a region accept ``(region, crater)`` as before, with a warning.

    Parameters
    ----------
    method : callable
        (object, position, region) -> anything.

    Returns
    -------
    callable
        A method of the same signature, which also takes (object, region, crater).

    Warns
    -----
    DeprecationWarning
        When the region comes first, or the position is called ``crater``.
    """
    name = method.__name__

    @functools.wraps(method)
    def accepting(*args: Any, **kwargs: Any) -> Any:
        itself, *given = args
        if given and isinstance(given[0], str):
            kwargs["region"] = given.pop(0)
            kwargs["crater"] = given.pop(0) if given else kwargs.get("crater")
        if "crater" in kwargs:
            kwargs["position"] = kwargs.pop("crater")
            shown = ", ".join(repr(kwargs[key]) for key in ("position", "region") if key in kwargs)
            _warn(f"{name}() takes the crater's position before the region; type {name}({shown})")
        return method(*[itself, *given], **kwargs)

    return accepting


def _warn(message: str) -> None:
    warnings.warn(message, DeprecationWarning, stacklevel=3)
