"""Slots of an accumulator: the meaning of each number in a row. Plain Python, so that it loads without a compiler.

A further sum over a region's pixels needs a slot and a name here, its merging in `xcrater.kernels.accumulators`, the
loop that fills it in `xcrater.kernels.run_sums`, and a statistic with the need "moments" in
`xcrater.statistics.aggregations`.
"""

from __future__ import annotations

COUNT, TOTAL, SQ_HIGH, SQ_LOW, LOW, HIGH, MISSING, NANS = range(8)
"""Slots of every accumulator: number of valid pixels, their sum, the two parts of their sum of squares, least and
greatest value, number of pixels that are missing, and of those that are NaN."""

PIXELS = SQ_LOW
"""Slot, in accumulators of weighted pixels, of the sum of fractions covered; COUNT is the sum of weights there."""

AREA, CUBES, FOURTHS, ORIGIN = range(8, 12)
"""Slots of extended accumulators, which are of weighted pixels: area, sums of the third and fourth powers of deviations
from the mean, and the value to which TOTAL is relative."""

MOMENTS = 12
"""Number of slots of accumulators with areas and higher moments."""

MOMENT_NAMES = {"area": AREA, "m3": CUBES, "m4": FOURTHS}
"""The additional slots of accumulators with areas and higher moments, by their names in the state of a statistic."""
