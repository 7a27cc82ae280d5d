"""The description of lazy arrays that notebooks show."""

from __future__ import annotations

import numpy as np

from xcrater import formatting
from xcrater.engine import graph
from xcrater.pixels.source import BlockSource

_MEASURED = 20_000  # most craters for which windows are computed in order to count their pixels


def overview(source: BlockSource) -> dict[str, str]:
    """Describe the arrays of a source, by heading; nothing is read.

    Parameters
    ----------
    source : BlockSource
        The blocks of which the arrays consist.

    Returns
    -------
    dict of str to str
        The rows of a table.
    """
    request, raster = source.request, source.request.raster
    shapes, sizes = request.shapes, [*request.da.sizes.items()][:-2]
    sizes += zip((raster.y_dim, raster.x_dim), raster.grid.shape, strict=True)
    chunks = " × ".join(str(max(np.diff(e))) for e in (raster.grid.row_edges, raster.grid.col_edges))
    regions = [f"{name} ({shapes.regions[k].describe()})" for k, name in enumerate(source.regions)]
    rows = {
        "Craters": f"{len(source.labels):,}",
        "Regions": ", ".join(regions),
        "Coverage": shapes.coverage,
        "Values": str(source.cutter.result_dtype),
    }
    if len(source.labels) <= _MEASURED or "nbytes" in vars(source):
        rows["Pixels"] = f"{formatting.size(source.nbytes)} of values"
    rows["Raster"] = " × ".join(f"{dim} {n}" for dim, n in sizes)
    if source.path is not None:
        rows["Store"] = source.path
    else:
        lazy = graph.is_lazy(request.da)
        rows["Raster"] += f", lazy, in chunks of {chunks}" if lazy else ", in memory"
        rows["Tiles"] = f"{len(source.plan):,}"
    return rows
