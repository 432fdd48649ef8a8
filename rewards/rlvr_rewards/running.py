"""Where a reward function is computed: in its place, beside others in threads, in worker processes, on an event loop.

What may hang, crash or wait has a deadline for each completion, counted from when work on it begins. One that misses it
is an error of that completion; the others are untouched.

    inline    in its place, one completion after another (the default): for what is quick and cannot hang
    process   in a worker process, which is killed at the deadline and replaced: for what may hang or crash
    thread    in a thread of its own: for what waits (a network, another program)
    loop      `async def` functions: on an event loop

Not here: the kinds of running themselves (`rlvr_rewards.pool`, `.threads`, `.event_loop`), and when the functions of a
reward are begun (`.ahead`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from rlvr_rewards.errors import UserError
from rlvr_rewards.injection import FROM_TRL, Injected

Arguments = Mapping[str, Any]
Outcomes = list[Any]
"""For each call what it returned, or the exception that it failed with."""

_OF_THIS_PROCESS = frozenset(FROM_TRL) - {"completion_ids"}


class Runs(StrEnum):
    """Where a function is computed."""

    INLINE = "inline"
    PROCESS = "process"
    THREAD = "thread"
    LOOP = "loop"
    """What `async def` functions do; not to be chosen."""


DEADLINES_S = {Runs.PROCESS: 10.0, Runs.THREAD: 60.0, Runs.LOOP: 60.0}
"""Seconds that a completion may take where nothing is said."""


MAX_DEADLINE_S = 86_400


@dataclass(frozen=True)
class Running:
    """How a function is run.

    Attributes:
        runs: Where.
        deadline_s: Seconds that one completion may take, from when work on it begins; `None` for `inline`.
        imports: Modules that a worker process imports before its first call, so that this does not count.
    """

    runs: Runs = Runs.INLINE
    deadline_s: float | None = None
    imports: tuple[str, ...] = ()

    def within(self, name: str, deadline_s: Any) -> Running:
        """The same with another deadline.

        Raises:
            UserError: It is no number of seconds.
        """
        return replace(self, deadline_s=_checked_deadline(name, deadline_s))


def running_of(
    name: str, is_async: bool, runs: str | None, deadline_s: float | None, imports: Sequence[str]
) -> Running:
    """What a decorator's arguments say.

    Raises:
        UserError: They do not fit each other, or the function.
    """
    kinds = [Runs.INLINE, Runs.PROCESS, Runs.THREAD]
    if runs is not None and (is_async or runs not in kinds):
        why = "is async, and so runs on an event loop: leave runs out" if is_async else f"choose {', '.join(kinds)}"
        raise UserError(f"{name}: runs={runs!r}: {why}")
    where = Runs.LOOP if is_async else Runs(runs or Runs.INLINE)
    if where is Runs.INLINE and deadline_s is not None:
        raise UserError(f"{name}: deadline_s needs runs='process' or runs='thread': nothing inline can be stopped")
    if imports and where is not Runs.PROCESS:
        raise UserError(f"{name}: imports is for runs='process'")
    seconds = DEADLINES_S.get(where) if deadline_s is None else _checked_deadline(name, deadline_s)
    return Running(where, seconds, tuple(imports))


def _checked_deadline(name: str, deadline_s: Any) -> float:
    if isinstance(deadline_s, bool) or not isinstance(deadline_s, int | float) or not 0 < deadline_s <= MAX_DEADLINE_S:
        raise UserError(f"{name}: deadline_s={deadline_s!r}: give seconds above 0, at most {MAX_DEADLINE_S}")
    return float(deadline_s)


def refuse_what_cannot_travel(name: str, injected: Injected) -> None:
    """Of a function that runs in a worker process: what belongs to the trainer's process stays there."""
    if held := _OF_THIS_PROCESS.intersection(injected.required + injected.optional):
        raise UserError(f"{name}: {', '.join(sorted(held))} cannot go to a worker process: use runs='thread'")


def begin(
    running: Running, injected: Injected, calls: Sequence[Arguments | Exception], settings: Arguments
) -> Callable[[], Outcomes]:
    """Begins the calls; what is returned waits for them. An exception in place of arguments is its own outcome."""
    runnable = [call for call in calls if not isinstance(call, Exception)]
    wait = _begin(running, injected, runnable, settings)

    def all_outcomes() -> Outcomes:
        outcomes = iter(wait())
        return [call if isinstance(call, Exception) else next(outcomes) for call in calls]

    return all_outcomes


def _begin(
    running: Running, injected: Injected, calls: Sequence[Arguments], settings: Arguments
) -> Callable[[], Outcomes]:
    deadline_s = running.deadline_s or 0.0
    if running.runs is Runs.PROCESS:
        from rlvr_rewards.pool import begin_in_processes

        kept = [{name: value for name, value in call.items() if name not in _OF_THIS_PROCESS} for call in calls]
        return begin_in_processes(injected.function, kept, settings, deadline_s, running.imports)
    if running.runs is Runs.LOOP:
        from rlvr_rewards.event_loop import begin_on_loop

        return begin_on_loop(injected.function, [{**call, **settings} for call in calls], deadline_s)
    from rlvr_rewards.threads import begin_in_threads

    return begin_in_threads(injected.function, [{**call, **settings} for call in calls], deadline_s)


def too_late(deadline_s: float, what_then: str) -> TimeoutError:
    """The error of a completion that missed its deadline."""
    return TimeoutError(f"took over {deadline_s:g} s: {what_then}")


def outcome_of(work: Callable[[], Any]) -> Any:
    """What it returns, or the exception that it raises."""
    try:
        return work()
    except Exception as error:  # becomes an error on the row
        return error
