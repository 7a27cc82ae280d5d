"""A progress bar for computations that somebody is watching."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from xcrater.options import get_option

AFTER = 3.0
"""Seconds after which a computation shows a bar."""


@contextmanager
def bar() -> Iterator[None]:
    """Show dask's progress bar for computations in the block on dask's threads that take longer than some seconds.

    No bar appears if the option ``progress`` is off, if nobody is watching (there is neither a terminal nor a
    notebook), or if a bar is already shown by the command line or by the user's own `dask.diagnostics.ProgressBar`.
    Clusters have their dashboard.
    """
    from dask.callbacks import Callback
    from dask.diagnostics.progress import ProgressBar

    stream = looked_at()
    if stream is None or not get_option("progress") or Callback.active:
        yield
        return
    with ProgressBar(minimum=AFTER, dt=0.2, out=stream):  # type: ignore[no-untyped-call]
        yield


def looked_at() -> TextIO | None:
    """The stream that somebody is watching, of a terminal or of a notebook; None if there is none."""
    if sys.stderr is None or sys.stderr.isatty():  # programs with only windows have no standard error
        return sys.stderr
    shell = sys.modules.get("IPython")
    inside = None if shell is None else shell.get_ipython()
    return sys.stderr if inside is not None and hasattr(inside, "kernel") else None
