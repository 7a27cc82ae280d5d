"""A bar that shows how far a computation has come, where somebody looks at it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from xcrater.options import get_option

AFTER = 3.0
"""Seconds after which a computation gets a bar."""


@contextmanager
def bar() -> Iterator[None]:
    """Show dask's bar for computations in the block on dask's threads that take longer than some seconds.

    There is none where the option ``progress`` is off, where nobody looks (neither a terminal nor a notebook), and
    where a bar is shown already, as by the command line or by the user's own `dask.diagnostics.ProgressBar`. Clusters
    have their dashboard.
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
    """The stream that somebody reads at once: of a terminal, or of a notebook; None if there is none."""
    if sys.stderr is None or sys.stderr.isatty():  # there is none in programs with windows alone
        return sys.stderr
    shell = sys.modules.get("IPython")
    inside = None if shell is None else shell.get_ipython()
    return sys.stderr if inside is not None and hasattr(inside, "kernel") else None
