"""Portions of a run scored in several processes, their results in order, a few of them waiting at a time.

The processes are started anew (not forked: threads of pyarrow are under way here) and read the reward for themselves.
They end with this one, however it ends.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait

from rlvr.failure import WorkError
from rlvr.rescore.portion import Job, Portion, Scorers, score_portion
from rlvr.traces.shards import Shard

_held: list[tuple[Job, Scorers]] = []
"""Of a worker: what it scores with."""


@contextmanager
def in_order(job: Job, portions: Sequence[Sequence[Shard]], count: int) -> Iterator[Iterator[Portion]]:
    """What each portion comes to, by so many processes; an interruption ends them at once.

    Raises:
        WorkError: A process died, such as one that took too much memory.
    """
    others = {*multiprocessing.active_children()}
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _prepare, (job,))
    try:
        yield _results(pool, portions, 2 * count)
    except BaseException as error:
        for process in {*multiprocessing.active_children()} - others:  # one may be at work for long
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise WorkError(
                "a process that scored was killed, or the reward ended it: --workers 1 shows where"
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _results(pool: ProcessPoolExecutor, portions: Sequence[Sequence[Shard]], ahead: int) -> Iterator[Portion]:
    waiting: deque[Future[Portion]] = deque()
    for portion in portions:
        with _deaf_children():
            waiting.append(pool.submit(_score, portion))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def _deaf_children() -> Iterator[None]:
    """A process that is started within never hears Ctrl-C, which reaches all of a terminal: the first one decides."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(job: Job) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _held.append((job, Scorers(job)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _score(portion: Sequence[Shard]) -> Portion:
    return score_portion(portion, *_held[0])
