"""From a plain Python function to a reward: parameters injected by name, the value checked, errors recorded.

    @reward
    def exact_number(completion: str, answer: str) -> float: ...

Parameters are filled by name from the completion and the task row: `completion`, `prompt`, `task` (the whole row), or
any column. A keyword-only parameter with a default (`*, rel=0.01`) is a setting, changed with `.using(rel=0.05)`.

A function with a parameter `completions`, `completion_ids` or `prompts` has TRL's batch signature and is called once
for the whole batch. What may hang or must wait runs beside the others, with a deadline: `rlvr_rewards.running`.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, overload

from rlvr_rewards.algebra import Reward
from rlvr_rewards.errors import UserError
from rlvr_rewards.injection import Injected
from rlvr_rewards.leaf import BatchReward, FunctionReward, name_of
from rlvr_rewards.running import Runs, refuse_what_cannot_travel, running_of

__all__ = ["BatchReward", "FunctionReward", "penalty", "reward"]

_TRL_BATCH = frozenset(("completions", "completion_ids", "prompts"))


@overload
def reward(function: Callable[..., Any], /) -> FunctionReward: ...
@overload
def reward(
    *,
    low: float | None = None,
    high: float | None = None,
    runs: str | None = None,
    deadline_s: float | None = None,
    imports: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], FunctionReward]: ...
def reward(
    function: Any = None,
    /,
    *,
    low: float | None = None,
    high: float | None = None,
    runs: str | None = None,
    deadline_s: float | None = None,
    imports: Sequence[str] = (),
) -> Any:
    """Makes a function a reward whose value lies in `[low, high]`, by default `[0, 1]`.

    A batch function with TRL's signature may return any finite number unless bounds are given. A value out of range,
    NaN, a string or a list of the wrong length is recorded as an error.

    >>> @reward
    ... def says_please(completion: str) -> float:
    ...     return float("please" in completion)
    >>> says_please("pass the salt, please")
    1.0

    Args:
        function: Plain, or `async def`: then all completions of a batch run beside each other on an event loop.
        low: The least it may return.
        high: The most it may return.
        runs: `inline` (the default), `process` for what may hang or crash, `thread` for what waits; see
            `rlvr_rewards.running`.
        deadline_s: Seconds that one completion may take (a batch function: the batch), for what is not inline. Without
            it 10 in a process, 60 in a thread or on the loop.
        imports: Modules that a worker process imports before its first call, so that this does not count.

    Raises:
        UserError: The function hides its parameters, is a reward already, or the arguments do not fit each other.
    """
    if function is None:
        return lambda wrapped: _wrap(wrapped, low, high, runs, deadline_s, imports)
    return _wrap(function, low, high, runs, deadline_s, imports)


@overload
def penalty(function: Callable[..., Any], /) -> FunctionReward: ...
@overload
def penalty(
    *, runs: str | None = None, deadline_s: float | None = None, imports: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], FunctionReward]: ...
def penalty(
    function: Any = None,
    /,
    *,
    runs: str | None = None,
    deadline_s: float | None = None,
    imports: Sequence[str] = (),
) -> Any:
    """Makes a function a penalty: its value lies in `[-1, 0]`, and the most it can give is 0.

    >>> @penalty
    ... def shouting(completion: str) -> float:
    ...     return -1.0 if completion.isupper() else 0.0
    >>> shouting.max
    0.0

    The arguments are those of `reward`.
    """
    made = reward(low=-1.0, high=0.0, runs=runs, deadline_s=deadline_s, imports=imports)
    return made if function is None else made(function)


def _wrap(
    function: Callable[..., Any],
    low: float | None,
    high: float | None,
    runs: str | None,
    deadline_s: float | None,
    imports: Sequence[str],
) -> FunctionReward:
    if isinstance(function, Reward):
        raise UserError(f"{function!r} is a reward already: apply @reward once")
    is_async = any(inspect.iscoroutinefunction(each) for each in (function, getattr(function, "__call__", None)))  # noqa: B004
    running = running_of(name_of(function), is_async, runs, deadline_s, imports)
    injected = Injected(function)
    if running.runs is Runs.PROCESS:
        refuse_what_cannot_travel(name_of(function), injected)
    is_batch = not _TRL_BATCH.isdisjoint(injected.required + injected.optional)
    default = (-math.inf, math.inf) if is_batch else (0.0, 1.0)
    bounds = (default[0] if low is None else low, default[1] if high is None else high)
    if not bounds[0] <= bounds[1]:
        raise UserError(f"{name_of(function)}: low={bounds[0]:g} is above high={bounds[1]:g}")
    return (BatchReward if is_batch else FunctionReward)(function, *bounds, running)
