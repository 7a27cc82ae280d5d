"""The memory budget of pixels: what cannot fit is refused before anything is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater import formatting
from xcrater.errors import MemoryBudgetError
from xcrater.options import get_option


def check_craters(needed: NDArray[np.int64], labels: pd.Index[Any], remedy: str) -> None:
    """Refuse craters whose pixels take more memory than the option ``memory`` allows.

    Parameters
    ----------
    needed : ndarray of int64, shape (craters,)
        Bytes that the pixels of each crater take while they are assembled and used.
    labels : pandas.Index
        Labels of the craters.
    remedy : str
        What the user may type instead of allowing more memory.

    Raises
    ------
    MemoryBudgetError
        Some craters take more than the option ``memory``.
    """
    memory = get_option("memory")
    large = np.flatnonzero(needed > memory)
    if not large.size:
        return
    largest = large[np.argmax(needed[large])]
    most, label = int(needed[largest]), labels[largest]
    label = label.item() if isinstance(label, np.generic) else label
    others = f", and so do those of {large.size - 1} more" if large.size > 1 else ""
    raise MemoryBudgetError(
        f"the pixels of the crater labelled {label!r} take {formatting.size(most)} at work, more than the "
        f"{formatting.size(memory)} of the option memory{others}. Allow more: xcrater.set_options(memory={most}); or "
        f"{remedy}"
    )


def check_result(needed: int, made: str, remedy: str) -> None:
    """Refuse a result that is larger than the memory that is available.

    Parameters
    ----------
    needed : int
        Bytes that the result takes.
    made : str
        The call that makes the result, as a user would type it.
    remedy : str
        What the user may type instead.

    Raises
    ------
    MemoryBudgetError
        The result does not fit into the available memory.
    """
    import psutil

    available = int(psutil.virtual_memory().available)
    if needed > available:
        raise MemoryBudgetError(
            f"the result of {made} takes {formatting.size(needed)}, and {formatting.size(available)} of memory are "
            f"available; {remedy}"
        )
