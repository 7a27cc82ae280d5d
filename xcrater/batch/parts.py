"""Runs that are computed part by part, such as the pixels of some craters at a time, and keep each part.

Tiles have sums of all their craters, which others complete; what this is for has no sums to be kept. Its parts need
nothing of one another, and each is computed from the raster to what belongs into the output. A part is a group of the
run: one file, and some of them a shard.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from xcrater.batch import files
from xcrater.batch.run import Run
from xcrater.batch.work import name_of
from xcrater.errors import DamagedCheckpointError
from xcrater.options import get_option


@dataclass(frozen=True)
class Parts:
    """Parts of what is computed, which need nothing of one another.

    Parameters
    ----------
    count : int
        How many there are.
    compute : callable
        Number of a part, from 0 on -> what it is: a list that `xcrater.batch.encoding.encode` takes.
    token : str
        What tells the parts from those of other runs.
    tell : callable
        Takes how many parts are there, and how many there are to be.
    """

    count: int
    compute: Callable[[int], list[Any]]
    token: str
    tell: Callable[[int, int], None]

    def results(self) -> Iterator[list[Any]]:
        """What all parts are, one after another."""
        return self._each(range(self.count), self.compute)

    @contextlib.contextmanager
    def kept(self, run: Run) -> Iterator[Iterator[list[Any]]]:
        """What all parts are, one after another; each is kept before it is given, or taken from what is kept.

        Raises
        ------
        CheckpointError, ShardFinished
            See `Run.begun` and `Run.finish`; of a shard no results are given, and the block is not entered.
        ReadError
            After the last part, if a file of a raster is no longer what it was.
        """
        mine = [n for n in range(self.count) if run.mine(n)]
        with run.begun({"memory": get_option("memory"), "groups": [self.count], "hash": self.token}):
            there = run.work.look(run.id, [name_of(0, n) for n in mine], thorough=False)
            run.tell_kept(len(there.finished), len(mine))
            results = self._kept(run, mine)
            if run.shard is not None:
                deque(results, maxlen=0)
            yield results

    def _kept(self, run: Run, numbers: Sequence[int]) -> Iterator[list[Any]]:
        yield from self._each(numbers, lambda n: self._one(run, n))
        run.finish()

    def _one(self, run: Run, number: int) -> list[Any]:
        group = run.work.group(run.id, name_of(0, number))
        if group.path.exists():
            try:
                return files.read(group)
            except DamagedCheckpointError as err:
                run.report(str(err))
        found = self.compute(number)
        files.write(group, found)
        return found

    def _each(self, numbers: Sequence[int], find: Callable[[int], list[Any]]) -> Iterator[list[Any]]:
        """What some parts are; the next one is found while the caller uses the one before."""
        thread = ThreadPoolExecutor(1)
        try:
            coming: Future[list[Any]] | None = None
            for done, n in enumerate([*numbers, None]):
                # The thread sees the options that are set here and now.
                following = None if n is None else thread.submit(contextvars.copy_context().run, find, n)
                if coming is not None:
                    result = coming.result()
                    self.tell(done, len(numbers))
                    coming = None  # so that no part is held once it has been used
                    yield result
                    del result
                coming = following
        finally:
            thread.shutdown(wait=False, cancel_futures=True)
