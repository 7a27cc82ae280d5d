"""How xcrater compiles its kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def jit(function: Callable[..., Any]) -> Any:
    """Compile a kernel: serial, without the interpreter lock, IEEE division, cached on disk where that is possible.

    Parameters
    ----------
    function : callable
        A function in the subset of Python that numba compiles.

    Returns
    -------
    callable
        The compiled function (the function itself where ``NUMBA_DISABLE_JIT=1``).
    """
    options: Any = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds no directory to cache in; a slower start is better than no start
        return numba.njit(cache=False, **options)(function)
