"""Runs that are computed and kept part by part, such as the pixels of a batch of craters at a time.

Statistics keep the sums of tiles, which other tiles complete. The operations here have no such sums. Their parts are
independent, and each is computed from the raster to its piece of the output. A part is a group of the run and is kept
in one file; a shard consists of several parts.
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
    """The independent parts of a computation.

    Parameters
    ----------
    count : int
        Number of parts.
    compute : callable
        Number of a part, counted from 0 -> its results, a list that `xcrater.batch.encoding.encode` takes.
    token : str
        Distinguishes the parts from those of other runs.
    tell : callable
        Called with the number of parts that are finished, and the total number.
    """

    count: int
    compute: Callable[[int], list[Any]]
    token: str
    tell: Callable[[int, int], None]

    def results(self) -> Iterator[list[Any]]:
        """Yield the results of all parts in turn."""
        return self._each(range(self.count), self.compute)

    @contextlib.contextmanager
    def kept(self, run: Run) -> Iterator[Iterator[list[Any]]]:
        """Yield the results of all parts in turn, each kept before it is yielded, or loaded if it was kept earlier.

        Raises
        ------
        CheckpointError, ShardFinished
            See `Run.begun` and `Run.finish`; for a shard no results are yielded, and the block is not entered.
        ReadError
            After the last part, if a file of a raster has changed meanwhile.
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
        """Yield the results of some parts; a thread finds the next one while the caller uses the last."""
        thread = ThreadPoolExecutor(1)
        try:
            coming: Future[list[Any]] | None = None
            for done, n in enumerate([*numbers, None]):
                # A thread does not inherit context variables, so hand it the options that are set here.
                following = None if n is None else thread.submit(contextvars.copy_context().run, find, n)
                if coming is not None:
                    result = coming.result()
                    self.tell(done, len(numbers))
                    coming = None  # release the part as soon as it has been used
                    yield result
                    del result
                coming = following
        finally:
            thread.shutdown(wait=False, cancel_futures=True)
