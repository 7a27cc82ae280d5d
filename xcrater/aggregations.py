"""Statistics of your own: `Aggregation` declares what tiles collect and how that becomes a number."""

from xcrater.statistics.aggregations import AGGREGATIONS, RASTERSTATS, Aggregation, parse

__all__ = ["AGGREGATIONS", "RASTERSTATS", "Aggregation", "parse"]
