"""User-supplied statistics. An `Aggregation` declares what tiles collect and how that becomes a number.

It is passed to ``da.craters.get_stats(cdb, regions, add_stats={name: aggregation})``. Quantiles and the frequencies of
values are declared by `OrderStatistics` and read from ``state["order"]``, an `OrderTable`.
"""

from xcrater.statistics.aggregations import AGGREGATIONS, RASTERSTATS, Aggregation, parse
from xcrater.statistics.quantiles.table import OrderTable
from xcrater.statistics.quantiles.wanted import OrderStatistics

__all__ = ["AGGREGATIONS", "RASTERSTATS", "Aggregation", "OrderStatistics", "OrderTable", "parse"]
