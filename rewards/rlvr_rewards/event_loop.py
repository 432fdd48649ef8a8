"""`async def` rewards: all completions of a batch on one event loop, each with a deadline of its own.

The loop runs in a daemon thread of this process and stays, so that a function may keep a client between batches. It
works where the caller is inside a running loop of its own, which is only blocked meanwhile. A coroutine that blocks the
loop (`time.sleep` in place of `asyncio.sleep`) cannot be stopped: the batch's unfinished completions are errors, and
the next batch gets a new loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import time
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from threading import Lock, Thread
from typing import Any

from rlvr_rewards.running import Outcomes, too_late

MAX_AT_ONCE = 512
_GRACE_S = 2.0
_CANCELLED = "it was cancelled; raise deadline_s, or mend what it waits for"
_BLOCKED = "a coroutine blocks the event loop; await what takes long (asyncio.sleep, an async client)"


def begin_on_loop(
    function: Callable[..., Any], calls: Sequence[Mapping[str, Any]], deadline_s: float
) -> Callable[[], Outcomes]:
    """Begins all calls, at most 512 at a time; what is returned waits for them.

    Args:
        function: An `async def` function.
        calls: The arguments of each.
        deadline_s: Seconds that each may take, from when it begins.
    """
    outcomes: Outcomes = [too_late(deadline_s, _BLOCKED) for _ in calls]
    at_most_s = ceil(len(calls) / MAX_AT_ONCE) * deadline_s + _GRACE_S

    async def run_all() -> None:
        places = asyncio.Semaphore(MAX_AT_ONCE)

        async def run(index: int, arguments: Mapping[str, Any]) -> None:
            async with places:
                outcomes[index] = await _outcome(function, arguments, deadline_s)

        await asyncio.gather(*(run(index, arguments) for index, arguments in enumerate(calls)))

    loop = _LOOP.running()
    done = asyncio.run_coroutine_threadsafe(run_all(), loop)

    def wait() -> Outcomes:
        try:
            done.result(at_most_s)
        except concurrent.futures.TimeoutError:
            _LOOP.replace(loop)
        finally:
            done.cancel()
        return list(outcomes)

    return wait


async def _outcome(function: Callable[..., Any], arguments: Mapping[str, Any], deadline_s: float) -> Any:
    start = time.monotonic()
    task = asyncio.ensure_future(function(**arguments))
    finished, _ = await asyncio.wait({task}, timeout=deadline_s)
    if not finished or time.monotonic() - start > deadline_s + _GRACE_S:
        task.cancel()  # not awaited: it may refuse
        return too_late(deadline_s, _CANCELLED)
    if task.cancelled():
        return RuntimeError("it cancelled itself")
    return task.exception() or task.result()


class _Loop:
    """The event loop of this process, in a thread; a forked process makes its own."""

    def __init__(self) -> None:
        self._lock, self._process = Lock(), os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None

    def running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._process != os.getpid():
                self._loop, self._process = asyncio.new_event_loop(), os.getpid()
                Thread(target=self._loop.run_forever, name="rlvr rewards' event loop", daemon=True).start()
            return self._loop

    def replace(self, blocked: asyncio.AbstractEventLoop) -> None:
        """The next batch gets a new one; the blocked one ends where it is ever free again."""
        with self._lock:
            blocked.call_soon_threadsafe(blocked.stop)
            if self._loop is blocked:
                self._loop = None


_LOOP = _Loop()
