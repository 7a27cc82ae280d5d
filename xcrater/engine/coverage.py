"""Coverage rules: which pixels belong to a region.

A rule is declared here and named in `xcrater.options.COVERAGES`; kernels know it by the number of its mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xcrater import kernels

Rounding = Literal["CENTER", "TOUCHED", "CONTAINED"]
"""Which pixels a disc takes: those whose centre it contains, those it touches, or those it contains entirely."""


@dataclass(frozen=True)
class CoverageRule:
    """A rule that decides which pixels belong to a region.

    Parameters
    ----------
    kernel_mode : str
        Name of the kernels' constant for the rule.
    outer, inner : {"CENTER", "TOUCHED", "CONTAINED"}
        Pixels that a region's outer disc includes, and those that its inner disc removes.
    weighs : bool
        Whether pixels count by the fraction of their area that is covered.
    """

    kernel_mode: Literal["CENTER", "TOUCHED", "EXACT"]
    outer: Rounding
    inner: Rounding
    weighs: bool = False

    @property
    def mode(self) -> int:
        """The number by which kernels know the rule."""
        return int(getattr(kernels, self.kernel_mode))

    @property
    def roundings(self) -> tuple[int, int]:
        """The numbers by which kernels know the roundings of outer and inner discs."""
        return int(getattr(kernels, self.outer)), int(getattr(kernels, self.inner))


RULES = {
    "center": CoverageRule("CENTER", "CENTER", "CENTER"),
    "all_touched": CoverageRule("TOUCHED", "TOUCHED", "CONTAINED"),
    # With fractions, inner and outer bounds of one radius share the same disc.
    "exact": CoverageRule("EXACT", "CENTER", "CENTER", weighs=True),
}
"""The coverage rules by name."""
