"""Declaration of order statistics: those of one aggregation, and those of a whole request."""

from __future__ import annotations

from dataclasses import dataclass

from xcrater.errors import StatisticError

FREQUENCIES = ("majority", "minority", "unique")
"""The statistics that follow from the frequencies of distinct values, in the order of their columns."""


@dataclass(frozen=True)
class OrderStatistics:
    """Order statistics that an aggregation takes from ``state["order"]``.

    They are declared in advance, because one search over the tiles finds everything that a request needs.

    Parameters
    ----------
    quantiles : tuple of float
        Quantiles from 0 to 1, linear between the two nearest ranks like numpy's; for weighted pixels as
        `da.craters.get_stats` defines them.
    frequencies : bool
        Whether to find the most frequent value, the least frequent one and the number of distinct values.
    shares : tuple of float
        Values for each of which to find the fraction of the pixels that have it.
    categories : bool
        Whether to make a dict of every distinct value and the number (or weight) of its pixels.

    Raises
    ------
    StatisticError
        A quantile lies outside 0 to 1.

    Examples
    --------
    >>> wanted = OrderStatistics(quantiles=(0.25, 0.75)) | OrderStatistics(frequencies=True)
    >>> wanted.quantiles, wanted.columns
    ((0.25, 0.75), 5)
    """

    quantiles: tuple[float, ...] = ()
    frequencies: bool = False
    shares: tuple[float, ...] = ()
    categories: bool = False

    def __post_init__(self) -> None:
        for name in ("quantiles", "shares"):  # convert lists, which cannot be hashed
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for q in self.quantiles:
            if not 0.0 <= q <= 1.0:
                raise StatisticError(
                    f"received the quantile {q!r}; expected numbers from 0 to 1: "
                    "OrderStatistics(quantiles=(0.25, 0.75))"
                )

    def __or__(self, other: OrderStatistics) -> OrderStatistics:
        """Combine two declarations."""
        return OrderStatistics(
            tuple(sorted({*self.quantiles, *other.quantiles})),
            self.frequencies or other.frequencies,
            tuple(sorted({*self.shares, *other.shares})),
            self.categories or other.categories,
        )

    def __bool__(self) -> bool:
        return bool(self.quantiles) or self.distinct

    @property
    def distinct(self) -> bool:
        """Whether the pixels of each distinct value must be counted."""
        return self.frequencies or bool(self.shares) or self.categories

    @property
    def columns(self) -> int:
        """Number of columns of results per region: quantiles, then `FREQUENCIES`, then shares."""
        return len(self.quantiles) + len(FREQUENCIES) * self.frequencies + len(self.shares)

    def quantile_column(self, q: float) -> int:
        """Position of a quantile among the columns."""
        return self._position("quantiles", q)

    def frequency_column(self, name: str) -> int:
        """Position of one of `FREQUENCIES` among the columns."""
        if not self.frequencies:
            raise StatisticError(f"the {name} was not declared; expected order=OrderStatistics(frequencies=True)")
        return len(self.quantiles) + FREQUENCIES.index(name)

    def share_column(self, value: float) -> int:
        """Position of a value's share among the columns."""
        return self.columns - len(self.shares) + self._position("shares", value)

    def _position(self, field: str, number: float) -> int:
        declared: tuple[float, ...] = getattr(self, field)
        if number not in declared:
            raise StatisticError(
                f"{number!r} is not among the declared {field} {declared}; "
                f"expected order=OrderStatistics({field}=({number!r},))"
            )
        return declared.index(number)
