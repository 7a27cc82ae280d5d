"""The search for order statistics over the tiles of a plan: exact and in bounded memory for regions of any size.

Quantiles do not add up like sums, so tiles exchange what does. Pixel values become *keys*, unsigned integers of the
same order (`coding`). A *ROI* is one region of one crater in one image. A crater that lies on a single tile is solved
there (`answers`). For a crater that several tiles share, each tile ships the ROIs' *pairs*, the distinct keys and the
number of pixels that have each (`pairs`). Pairs merge in the tree of partial results; as soon as all tiles of a ROI
have been seen, it is solved and its pairs are dropped. Nothing is rounded or sampled on the way, so the answers are
those of sorting all pixels, in any chunking.

Pairs of wide dtypes may be as many as the pixels. Craters whose pairs would not fit the memory are known before
anything is read (`sharing`). If only quantiles are requested, their tiles count 16-bit *digits* of the keys instead,
with one pass over the tiles for every 16 bits (`passes`; with weights that are fractions or areas, `weighted_passes`).
Keys of 8 or 16 bits without weights are counted in place (`counting`).

A process respects the option ``memory``: half of it is for pairs that wait for other tiles, the other half for the
pixels on which all of its threads work (`Problem.room`). Pairs that cannot be avoided, those of frequencies and of
quantiles with an array of weights, may need more; the error then says how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.engine.sized import Sized
from xcrater.statistics.quantiles.answers import (
    Answers,
    AnyTargets,
    answer_pairs,
    answer_targets,
    first_targets,
    interpolate,
)
from xcrater.statistics.quantiles.counting import Counting
from xcrater.statistics.quantiles.pairs import Ints, Pairs, merge_pairs
from xcrater.statistics.quantiles.passes import Asked, Targets
from xcrater.statistics.quantiles.problem import Problem
from xcrater.statistics.quantiles.tile_image import TileImage, batches
from xcrater.statistics.quantiles.weighted_passes import WeightedTargets


@dataclass(frozen=True, eq=False)
class OrderPartial(Sized):
    """Results of one pass over some tiles.

    Parameters
    ----------
    answers : list of Answers
        Order statistics of ROIs that are solved.
    pairs : list of Pairs
        Pairs that wait for those of other tiles.
    digits : list of Pairs
        Digits that wait for those of other tiles; their keys are 16 bits of the ROIs' keys. After the first pass, they
        have numbers of questions in place of those of ROIs.
    targets : list of Targets or WeightedTargets
        ROIs that wait for another pass.
    """

    answers: list[Answers] = field(default_factory=list)
    pairs: list[Pairs] = field(default_factory=list)
    digits: list[Pairs] = field(default_factory=list)
    targets: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class OrderSearch:
    """One request's search: the work on a tile in each pass, and the merging of partial results.

    Parameters
    ----------
    problem : Problem
        The requested order statistics.
    """

    problem: Problem

    @property
    def passes(self) -> int:
        """Number of passes over the tiles of craters whose keys are found by digits."""
        return self.problem.passes

    def first_pass(
        self, image: TileImage, pixels: Ints, tiles: NDArray[np.int32], by_digits: NDArray[np.bool_]
    ) -> OrderPartial:
        """Search one image of a tile in the first pass.

        Parameters
        ----------
        image : TileImage
            The pixels.
        pixels : ndarray of int64, shape (craters, regions)
            Upper bound of the number of valid pixels of each region on this tile.
        tiles : ndarray of int32, shape (craters,)
            Number of tiles that list each crater.
        by_digits : ndarray of bool, shape (craters,)
            Whether a crater's digits are counted, from `xcrater.statistics.quantiles.sharing.choose_digits`.
        """
        held, room = pixels.sum(axis=1), self.problem.room
        partial = OrderPartial()
        for index in batches(self.problem, np.flatnonzero(tiles == 1), held):
            if held[index].sum() <= room:
                partial.answers.append(image.answers(index))
            elif self.problem.narrows:
                partial.answers.append(image.answers_by_digits(int(index[0])))
            else:
                partial.answers.append(image.answers_by_pairs(int(index[0])))
        for index in batches(self.problem, np.flatnonzero((tiles > 1) & ~by_digits), held):
            partial.pairs.append(image.pairs(index, tiles[index], banded=bool(held[index].sum() > room)))
        for i in np.flatnonzero(by_digits).tolist():
            asked = [Asked.any_key(k, roi) for k, roi in enumerate(image.rois[i].tolist())]
            partial.digits.append(image.digits(i, asked, int(tiles[i]), 0))
        return self._joined(partial)

    def counting_pass(self, counting: Counting, rois: Ints, tiles: NDArray[np.int32]) -> OrderPartial:
        """Search one image of a tile whose keys are counted in place, which takes a single pass.

        Parameters
        ----------
        counting : Counting
            The pixels.
        rois : ndarray of int64, shape (craters, regions)
            Number of each ROI.
        tiles : ndarray of int32, shape (craters,)
            Number of tiles that list each crater.
        """
        alone, several = np.flatnonzero(tiles == 1), np.flatnonzero(tiles > 1)
        partial = OrderPartial()
        if not self.problem.wanted.distinct:
            low, high = counting.select(alone, self.problem.quantiles, self.problem.coding.mirrored)
            numbers = interpolate(self.problem, low, high, counting.number[alone].ravel())
            partial.answers.append(Answers(rois[alone].ravel(), numbers))
        else:
            for index in batches(self.problem, alone, counting.distinct.sum(axis=1)):
                one = np.ones(rois[index].size, np.int32)
                pairs = Pairs(rois[index].ravel(), one, one, *counting.pairs(index))
                partial.answers.append(answer_pairs(self.problem, pairs))
        if several.size:
            count = np.repeat(tiles[several], self.problem.regions)
            one = np.ones(count.size, np.int32)
            pairs = Pairs(rois[several].ravel(), one, count, *counting.pairs(several), most=counting.stored.size)
            partial.pairs.append(pairs)
        return self._joined(partial)

    def next_pass(self, image: TileImage, targets: AnyTargets, number: int) -> OrderPartial:
        """Search one image of a tile in a later pass.

        Parameters
        ----------
        image : TileImage
            The pixels.
        targets : Targets
            Keys as far as earlier passes have found them.
        number : int
            Number of passes before this one.
        """
        partial = OrderPartial()
        if not len(targets):
            return partial
        rois = image.rois
        position = np.minimum(np.searchsorted(targets.roi, rois), len(targets) - 1)
        known = targets.roi[position] == rois
        for i in np.flatnonzero(known.any(axis=1)).tolist():
            regions = np.flatnonzero(known[i]).tolist()
            asked = [targets.asked(k, int(position[i, k])) for k in regions]
            tiles = int(targets.tiles[position[i, regions[0]]])
            partial.digits.append(image.digits(i, asked, tiles, number))
        return self._joined(partial, targets)

    def merge(self, partials: Sequence[OrderPartial], targets: AnyTargets | None = None) -> OrderPartial:
        """Merge partial results of one pass, and solve the ROIs that are complete.

        Parameters
        ----------
        partials : sequence of OrderPartial
            Partial results in the order of the tiles.
        targets : Targets or None
            Keys as far as earlier passes have found them; None in the first pass.

        Raises
        ------
        StatisticError
            Pairs take more than the option ``memory`` allows.
        """
        names = OrderPartial.__dataclass_fields__
        whole = OrderPartial(**{name: [part for p in partials for part in getattr(p, name)] for name in names})
        return self._joined(whole, targets)

    def targets(self, partial: OrderPartial) -> AnyTargets:
        """Make the targets of the next pass from the merged result of one pass."""
        kind: Any = WeightedTargets if self.problem.weighted else Targets
        together: AnyTargets = kind.together(self.problem, partial.targets)
        return together

    def finish(self, partial: OrderPartial, last: AnyTargets | None = None) -> OrderPartial:
        """Complete the merged result of the first pass by the targets of the last one."""
        if last is None or not len(last):
            return partial
        answers = [*partial.answers, answer_targets(self.problem, last)]
        return replace(partial, answers=answers, targets=[])

    def _joined(self, partial: OrderPartial, targets: AnyTargets | None = None) -> OrderPartial:
        """Merge all pairs into one set, and turn complete ROIs into answers or targets."""
        answers, new_targets = list(partial.answers), list(partial.targets)
        pairs, digits = [], []
        if partial.pairs:
            complete, waiting = merge_pairs(partial.pairs, self.problem.memory).split()
            if complete.roi.size:
                answers.append(answer_pairs(self.problem, complete))
            pairs = [waiting] if waiting.roi.size else []
        if partial.digits:
            complete, waiting = merge_pairs(partial.digits, self.problem.memory).split()
            if complete.roi.size and targets is None:
                new_targets.append(first_targets(self.problem, complete))
            elif complete.roi.size and targets is not None:
                new_targets.append(targets.extended(complete))
            digits = [waiting] if waiting.roi.size else []
        return OrderPartial(answers, pairs, digits, new_targets)
