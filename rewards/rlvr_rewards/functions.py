"""From a plain Python function to a reward: parameters injected by name, the value checked, errors recorded.

    @reward
    def exact_number(completion: str, answer: str) -> float: ...

Parameters are filled by name from the completion and the task row: `completion`, `prompt`, `task` (the whole row), or
any column. A keyword-only parameter with a default (`*, rel=0.01`) is a setting, changed with `.using(rel=0.05)`.

A function with a parameter `completions`, `completion_ids` or `prompts` has TRL's batch signature and is called once
for the whole batch.
"""

import copy
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from enum import Enum
from functools import update_wrapper
from numbers import Real
from typing import Any, Self, overload

from rlvr_rewards.algebra import Reward
from rlvr_rewards.errors import UserError, one_line, unknown_name
from rlvr_rewards.injection import Injected
from rlvr_rewards.row import Row
from rlvr_rewards.scorable import Bounds

_TRL_BATCH = frozenset(("completions", "completion_ids", "prompts"))
_NEVER_NONE = (float, int, bool, "float", "int", "bool")


class FunctionReward(Reward):
    """A leaf: one function, one part. Calling it without `completions=` calls the function itself."""

    def __init__(self, function: Callable[..., Any], low: float, high: float) -> None:
        update_wrapper(self, function, assigned=("__module__", "__qualname__", "__doc__"))
        self.name = _name_of(function)
        self.injected = Injected(function)
        self.settings: dict[str, Any] = {}
        self._bounds = (low, high)
        self._optional = inspect.signature(function).return_annotation not in _NEVER_NONE

    @property
    def bounds(self) -> Bounds:
        return self._bounds

    @property
    def children(self) -> tuple[Reward, ...]:
        return ()

    @property
    def optional(self) -> bool:
        return self._optional

    def using(self, **settings: Any) -> Self:
        """The same reward with other settings (its keyword-only parameters).

        Raises:
            UserError: It has no such setting, or the value is not of the default's kind.
        """
        changed = copy.copy(self)
        changed.settings = {**self.settings, **{name: self._checked_setting(name, settings[name]) for name in settings}}
        return changed

    def named(self, name: str) -> Self:
        changed = copy.copy(self)
        changed.name = name
        return changed

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FunctionReward)
            and self.injected.function is other.injected.function
            and self.settings == other.settings
            and self.name == other.name
        )

    def __hash__(self) -> int:
        return hash((self.injected.function, self.name))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{self.name}({settings})" if settings else str(self.name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if "completions" in kwargs:
            return super().__call__(*args, **kwargs)
        return self.injected.function(*args, **{**self.settings, **kwargs})

    def value(self, row: Row) -> float | None:
        name = str(self.name)
        try:
            value = self._checked(self.compute(row))
        except Exception as error:  # recorded on the row, never a silent zero
            row.fail(name, one_line(error))
            return 0.0
        row.parts[name] = value
        return value

    def compute(self, row: Row) -> Any:
        return self.injected(row.values, self.settings)

    def _checked(self, value: Any) -> float | None:
        if value is None:
            return None
        number, (low, high) = value if type(value) is float else _as_float(value), self._bounds
        if not math.isfinite(number):
            raise ValueError(f"returned {number}: return a finite number or None")
        if not low <= number <= high:
            raise ValueError(
                f"returned {number:g}, outside [{low:g}, {high:g}]: scale it by a weight, not in the function"
            )
        return number

    def _checked_setting(self, name: str, value: Any) -> Any:
        if name not in self.injected.settings:
            raise unknown_name(f"setting of {self.name}", name, self.injected.settings)
        default = self.injected.settings[name]
        if isinstance(default, Enum):
            kind = type(default)
            try:
                return kind(value)
            except ValueError:
                raise unknown_name(f"{name} of {self.name}", str(value), [member.value for member in kind]) from None
        kind = int | float if isinstance(default, float) else type(default)
        if isinstance(default, bool | int | float | str) and not isinstance(value, kind):
            raise UserError(f"{self.name}: {name}={value!r} is of the wrong type: write one like {default!r}")
        return value


class BatchReward(FunctionReward):
    """A leaf whose function scores a whole batch: `f(prompts=, completions=, **columns) -> list[float | None]`."""

    def compute(self, row: Row) -> Any:
        values = row.batch_values[id(self)]
        if isinstance(values, Exception):
            raise values.with_traceback(None)
        return values[row.index]

    def compute_batch(self, arguments: Mapping[str, Any], num_rows: int) -> list[Any] | Exception:
        """One value a row, or the error that every row of the batch shares."""
        try:
            values = self.injected(arguments, self.settings)
            if isinstance(values, str) or not hasattr(values, "__len__") or len(values) != num_rows:
                got = _shortened(values) if isinstance(values, str) or not hasattr(values, "__len__") else len(values)
                raise ValueError(
                    f"returned {got} for {num_rows} completions: return a list of {num_rows} numbers or Nones"
                )
            return list(values)
        except Exception as error:  # becomes an error on each row
            return error


def _as_float(value: Any) -> float:
    if hasattr(value, "item"):  # a number of numpy or torch
        value = value.item()
    if not isinstance(value, Real):
        raise TypeError(f"returned {_shortened(value)}: return a number or None")
    return float(value)


def _name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@overload
def reward(function: Callable[..., Any], /) -> FunctionReward: ...
@overload
def reward(*, low: float = 0.0, high: float = 1.0) -> Callable[[Callable[..., Any]], FunctionReward]: ...
def reward(function: Any = None, /, *, low: float | None = None, high: float | None = None) -> Any:
    """Makes a function a reward whose value lies in `[low, high]`, by default `[0, 1]`.

    A batch function with TRL's signature may return any finite number unless bounds are given. A value out of range,
    NaN, a string or a list of the wrong length is recorded as an error.

    >>> @reward
    ... def says_please(completion: str) -> float:
    ...     return float("please" in completion)
    >>> says_please("pass the salt, please")
    1.0

    Raises:
        UserError: The function is async, hides its parameters, or is a reward already.
    """
    if function is None:
        return lambda wrapped: _wrap(wrapped, low, high)
    return _wrap(function, low, high)


def penalty(function: Callable[..., Any], /) -> FunctionReward:
    """Makes a function a penalty: its value lies in `[-1, 0]`, and the most it can give is 0.

    >>> @penalty
    ... def shouting(completion: str) -> float:
    ...     return -1.0 if completion.isupper() else 0.0
    >>> shouting.max
    0.0
    """
    return _wrap(function, -1.0, 0.0)


def _wrap(function: Callable[..., Any], low: float | None, high: float | None) -> FunctionReward:
    if isinstance(function, Reward):
        raise UserError(f"{function!r} is a reward already: apply @reward once")
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
        raise UserError(f"{_name_of(function)} is async: write it as a plain function")
    injected = Injected(function)
    is_batch = not _TRL_BATCH.isdisjoint(injected.required + injected.optional)
    default = (-math.inf, math.inf) if is_batch else (0.0, 1.0)
    bounds = (default[0] if low is None else low, default[1] if high is None else high)
    if not bounds[0] <= bounds[1]:
        raise UserError(f"{_name_of(function)}: low={bounds[0]:g} is above high={bounds[1]:g}")
    return (BatchReward if is_batch else FunctionReward)(function, *bounds)
