"""Helpers that several test modules share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dask

from xcrater.engine.region_set import RegionSet
from xcrater.table.regions import Annulus


class CountingScheduler:
    """A dask scheduler that fails if it is asked to compute more often than allowed."""

    def __init__(self, max_computes: int = 0) -> None:
        self.max_computes = max_computes
        self.total_computes = 0

    def __call__(self, dsk: Any, keys: Any, **kwargs: Any) -> Any:
        self.total_computes += 1
        if self.total_computes > self.max_computes:
            raise RuntimeError(f"dask computed {self.total_computes} times; at most {self.max_computes} allowed")
        return dask.get(dsk, keys, **kwargs)


@contextmanager
def raise_if_dask_computes(max_computes: int = 0) -> Iterator[CountingScheduler]:
    """Within the block, fail on any dask compute beyond `max_computes`."""
    scheduler = CountingScheduler(max_computes)
    with dask.config.set(scheduler=scheduler):
        yield scheduler


def ring_set(
    bounds: Sequence[tuple[float, float]], coverage: str, grid: tuple[float, float, float], nvert: int | None = None
) -> RegionSet:
    """Rings between pairs of crater radii on a grid with a closed form; true circles unless `nvert` is given."""
    return RegionSet(tuple(Annulus(inner, outer, nvert) for inner, outer in bounds), coverage, grid)
