"""Import of optional dependencies."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional dependency at the point of use.

    Parameters
    ----------
    module : str
        Full name of the module, such as ``"matplotlib.pyplot"``.
    extra : str
        The extra of xcrater that installs it.

    Returns
    -------
    types.ModuleType
        The module itself, ``matplotlib.pyplot`` rather than ``matplotlib``.

    Raises
    ------
    ImportError
        The module is not installed. An import error from inside an installed module passes unchanged.

    Examples
    --------
    >>> require("json.decoder", extra="vector").__name__
    'json.decoder'
    >>> require("no_such_module", extra="vector")
    Traceback (most recent call last):
        ...
    ImportError: no_such_module is needed here and is not installed; type: pip install "xcrater[vector]"
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ImportError(
            f'{error.name} is needed here and is not installed; type: pip install "xcrater[{extra}]"', name=error.name
        ) from error
