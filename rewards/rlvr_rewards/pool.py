"""Worker processes for functions that may hang or crash: killed at the deadline, replaced, the error recorded.

The workers are shared by all rewards of this process, one a core (`RLVR_REWARD_WORKERS` says another number), and
begin when first needed. Each is a new interpreter, never a fork of this process, which may hold torch and threads.

What travels: the function as the name of its module and its own, so it must stand at the top of a module or a file;
its arguments and its value as JSON, which is what tasks are made of. Nothing is unpickled on either side.

A worker ends when this process does, however that ends: its socket is closed then, and a call in progress is ended by
an alarm. It has a session of its own, so that Ctrl-C in the terminal reaches this process alone.

Why no package: the executors of `concurrent.futures`, loky and joblib cannot stop one call that hangs; pebble's and
`multiprocessing`'s workers import the user's script again, and answer in pickle, which is no way to hear from a
process that has read hostile text.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from rlvr_rewards.errors import ReportedError, UserError
from rlvr_rewards.running import Outcomes, too_late
from rlvr_rewards.worker import Source
from rlvr_rewards.worker_process import WorkerDiedError, WorkerProcess

IMPORT_DEADLINE_S = 120.0
"""For starting an interpreter and importing the function's module: a heavy library on a busy machine takes long."""
_KILLED = "its worker process was killed and replaced; raise deadline_s, or mend what takes long"


class _CannotLoadError(Exception):
    """The function cannot be had in a worker: no call of it can succeed."""


@dataclass(frozen=True)
class _Function:
    """What workers call: where it is found, what they import before, and what all calls share."""

    source: Source
    imports: tuple[str, ...]
    settings: Mapping[str, Any]
    deadline_s: float

    @property
    def key(self) -> tuple[Source, tuple[str, ...]]:
        return self.source, self.imports


def begin_in_processes(
    function: Callable[..., Any],
    calls: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    deadline_s: float,
    imports: Sequence[str],
) -> Callable[[], Outcomes]:
    """Begins all calls on the workers that there are; what is returned waits for them.

    Args:
        function: At the top of a module or of a file.
        calls: The arguments of each; plain data.
        settings: The same for all calls.
        deadline_s: Seconds that each may take, from when a worker begins with it.
        imports: Modules that a worker imports before.

    Raises:
        UserError: A worker could not find the function.
    """
    called = _Function(source_of(function), tuple(imports), settings, deadline_s)
    outcomes: Outcomes = [None] * len(calls)
    left, pool = deque(enumerate(calls)), _pool()
    num_workers = min(pool.size, len(calls))
    threads = [
        Thread(target=_feed, args=(pool, called, left, outcomes), name="rlvr reward worker", daemon=True)
        for _ in range(num_workers)
    ]
    for thread in threads:
        thread.start()

    def wait() -> Outcomes:
        try:
            for thread in threads:
                thread.join()
            return outcomes
        finally:
            left.clear()  # an interrupted wait begins no more of them

    return wait


def source_of(function: Callable[..., Any]) -> Source:
    """Where a worker finds a function.

    Raises:
        UserError: It is nowhere that can be imported.
    """
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
    shown = f"{name or repr(function)} runs in a worker process, which must import it"
    if module == "__main__":
        raise UserError(f"{shown}, and it is of the script that is running: move it into a file of its own")
    found: Any = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not function and getattr(getattr(found, "injected", None), "function", None) is not function:
        raise UserError(f"{shown}: write it with def at the top of a module, under a name of its own")
    return Source(module, name, None if file is None else str(Path(file).absolute()))


def _feed(pool: _Pool, called: _Function, left: deque[tuple[int, Mapping[str, Any]]], outcomes: Outcomes) -> None:
    """Takes one call after another, as long as there are any, to one worker."""
    with pool.place() as place:
        while left:
            try:
                index, arguments = left.popleft()
            except IndexError:  # another thread was quicker
                return
            try:
                outcomes[index] = place.call(called, arguments)
            except _CannotLoadError as error:
                outcomes[index] = ReportedError(str(error))
                while left:  # those after it would fail as slowly
                    outcomes[left.popleft()[0]] = ReportedError(str(error))


class _Pool:
    """The places of workers; a scoring thread has one to itself as long as it needs it."""

    def __init__(self) -> None:
        cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE") or 1)
        self.size = max(1, int(os.environ.get("RLVR_REWARD_WORKERS") or cores))
        self.process = os.getpid()
        self._all = [_Place() for _ in range(self.size)]
        self._free: queue.SimpleQueue[_Place] = queue.SimpleQueue()
        for place in self._all:
            self._free.put(place)

    @contextmanager
    def place(self) -> Iterator[_Place]:
        """A place, as soon as one is free."""
        place = self._free.get()
        try:
            yield place
        finally:
            self._free.put(place)

    def end(self) -> None:
        """Kills the workers."""
        for place in self._all:
            place.end()


_LOCK = Lock()
_POOLS: list[_Pool] = []


def _pool() -> _Pool:
    """The pool of this process; a forked process makes its own."""
    with _LOCK:
        if not _POOLS or _POOLS[-1].process != os.getpid():
            _POOLS[:] = [_Pool()]
        return _POOLS[-1]


@atexit.register
def end_workers() -> None:
    """Kills the workers of this process; the next call begins new ones."""
    with _LOCK:
        for pool in _POOLS:
            if pool.process == os.getpid():
                pool.end()
        _POOLS.clear()


class _Place:
    """Where one worker stands: begun when it is needed, replaced when it has ended."""

    def __init__(self) -> None:
        self._worker: WorkerProcess | None = None

    def call(self, called: _Function, arguments: Mapping[str, Any]) -> Any:
        """What the call returns, or the exception that it fails with.

        Raises:
            _CannotLoadError: No call of this function can succeed.
        """
        try:
            message = json.dumps({"arguments": arguments, "settings": called.settings, "deadline_s": called.deadline_s})
        except (TypeError, ValueError) as error:
            return TypeError(f"only plain data (JSON) goes to a worker process: {error}")
        worker, number = self._loaded(called)
        try:
            reply = worker.ask(f'{{"call": {number}, {message[1:]}', called.deadline_s)
        except TimeoutError:
            self.end()
            return too_late(called.deadline_s, _KILLED)
        except Exception as error:  # it died, or answered what is no answer
            self.end()
            return error
        return ReportedError(reply["error"]) if "error" in reply else reply["value"]

    def _loaded(self, called: _Function) -> tuple[WorkerProcess, int]:
        """The worker, and the number under which it knows the function."""
        try:
            if self._worker and not self._worker.is_alive:  # killed while it had nothing to do
                self.end()
            self._worker = self._worker or WorkerProcess()
            known = self._worker.known
            if called.key not in known:
                request = json.dumps({"load": called.source, "imports": called.imports})
                reply = self._worker.ask(request, IMPORT_DEADLINE_S)
                if "error" in reply:
                    raise _CannotLoadError(reply["error"])
                known[called.key] = int(reply["value"])
            return self._worker, known[called.key]
        except (OSError, WorkerDiedError, ValueError) as error:
            self.end()
            raise _CannotLoadError(f"WorkerDiedError: no worker process could begin: {error}") from error

    def end(self) -> None:
        """Kills the worker, if there is one."""
        if self._worker:
            self._worker.kill()
            self._worker = None
