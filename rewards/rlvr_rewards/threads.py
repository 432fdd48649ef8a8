"""Many waiting calls beside each other, each in a thread, each with a deadline of its own.

For functions that wait: for a network, or for another program. A thread cannot be stopped: one that misses its deadline
is left behind, and another takes its place, so that it holds nobody up. Threads are daemons: a process that ends does
not wait for them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from typing import Any

from rlvr_rewards.running import Outcomes, outcome_of, too_late

MAX_THREADS = 512
_LEFT_BEHIND = "its thread was left behind; raise deadline_s, or mend what it waits for"


class _Call:
    """One call and when it ran; times in seconds of `time.monotonic`."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.begun, self.done = Event(), Event()
        self.start = self.end = 0.0
        self.outcome: Any = None

    def run(self) -> None:
        self.start = time.monotonic()
        self.begun.set()
        self.outcome = outcome_of(self.work)
        self.end = time.monotonic()
        self.done.set()

    def wait(self, deadline_s: float) -> Any:
        """Its outcome; a `TimeoutError` once the deadline is past, though it may still run."""
        self.begun.wait()
        if not self.done.wait(max(0.0, self.start + deadline_s - time.monotonic())):
            return too_late(deadline_s, _LEFT_BEHIND)
        return self.outcome if self.end - self.start <= deadline_s else too_late(deadline_s, "it ended too late")


def begin_in_threads(
    function: Callable[..., Any], calls: Sequence[Mapping[str, Any]], deadline_s: float
) -> Callable[[], Outcomes]:
    """Begins all calls, at most 512 at a time; what is returned waits for them.

    Args:
        function: Called from several threads at once.
        calls: The arguments of each.
        deadline_s: Seconds that each may take, from when it begins.
    """
    waiting = [_Call(lambda arguments=arguments: function(**arguments)) for arguments in calls]
    left = deque(waiting)
    for _ in range(min(MAX_THREADS, len(waiting))):
        _start_thread(left)

    def wait() -> Outcomes:
        try:
            outcomes = []
            for call in waiting:  # begun in this order, so that none waits here for one that stands behind it
                outcomes.append(call.wait(deadline_s))
                if not call.done.is_set():
                    _start_thread(left)
            return outcomes
        finally:
            left.clear()  # an interrupted wait begins no more of them

    return wait


def _start_thread(left: deque[_Call]) -> None:
    def run() -> None:
        while True:
            try:
                call = left.popleft()
            except IndexError:
                return
            call.run()

    Thread(target=run, name="rlvr reward", daemon=True).start()
