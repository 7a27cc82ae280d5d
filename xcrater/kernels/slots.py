"""Slots of an accumulator: what each number of one row holds. Plain Python, so that anyone may ask without a compiler.

A further sum over a region's pixels takes a slot and a name here, its merging in `xcrater.kernels.accumulators`, the
loop that fills it in `xcrater.kernels.run_sums`, and becomes a statistic, with the need "moments", in
`xcrater.statistics.aggregations`.
"""

from __future__ import annotations

COUNT, TOTAL, SQ_HIGH, SQ_LOW, LOW, HIGH, MISSING, NANS = range(8)
"""Slots of every accumulator: number of valid pixels, their sum, the two parts of their sum of squares, least and
greatest value, number of pixels that are missing, and of those that are NaN."""

PIXELS = SQ_LOW
"""Slot, in accumulators of weighted pixels, of the sum of fractions covered; COUNT is the sum of weights there."""

AREA, CUBES, FOURTHS, ORIGIN = range(8, 12)
"""Slots of accumulators of weighted pixels that were asked for more: area, sums of the third and fourth powers of
deviations from the mean, and the value that TOTAL counts from."""

MOMENTS = 12
"""Number of slots of accumulators with areas and higher moments."""

MOMENT_NAMES = {"area": AREA, "m3": CUBES, "m4": FOURTHS}
"""Slots that accumulators with areas and higher moments have besides, by their names in the state of a statistic."""
