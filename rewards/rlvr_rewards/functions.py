"""From a plain Python function to a reward: parameters injected by name, the value checked, errors recorded.

    @reward
    def exact_number(completion: str, answer: str) -> float: ...

Parameters are filled by name from the completion and the task row, as pytest fills fixtures: `completion`, `prompt`,
`task` (the whole row), or any column. A parameter with a default may be absent from the row. A keyword-only parameter
with a default (`*, rel=0.01`) is a *setting*: it is never injected, and is changed with `.using(rel=0.05)`.

A function with a `completions` parameter has TRL's batch signature and is called once for the whole batch.
"""

import copy
import inspect
import math
from collections.abc import Callable, Mapping
from functools import update_wrapper
from numbers import Real
from typing import Any, Self, overload

from rlvr_rewards.algebra import Bounds, Reward
from rlvr_rewards.errors import UserError, unknown_name
from rlvr_rewards.row import Row


class Injected:
    """A function called with what its parameters ask for by name."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.required: list[str] = []
        self.optional: list[str] = []
        self.settings: dict[str, Any] = {}
        self.takes_all = False
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                self.takes_all = True
            elif parameter.kind is parameter.VAR_POSITIONAL:
                continue
            elif parameter.default is parameter.empty:
                self.required.append(name)
            elif parameter.kind is parameter.KEYWORD_ONLY:
                self.settings[name] = parameter.default
            else:
                self.optional.append(name)

    def __call__(self, values: Mapping[str, Any], **settings: Any) -> Any:
        """Calls the function; a required parameter that `values` lacks is a `LookupError` naming it."""
        if self.takes_all:
            return self.function(**{**values, **settings})
        try:
            arguments = {name: values[name] for name in self.required}
        except KeyError as missing:
            columns = sorted(name for name in values if name not in ("completion", "prompt", "task"))
            raise LookupError(f"the task row has no column {missing}; it has: {', '.join(columns) or 'none'}") from None
        for name in self.optional:
            if name in values:
                arguments[name] = values[name]
        return self.function(**arguments, **settings)


class FunctionReward(Reward):
    """A leaf: one function, one part. Calling it positionally calls the function itself."""

    def __init__(self, function: Callable[..., Any], low: float, high: float) -> None:
        update_wrapper(self, function, assigned=("__module__", "__qualname__", "__doc__"))
        self.name = getattr(function, "__name__", type(function).__name__)
        self._bounds = (low, high)
        self.injected = Injected(function)
        self.settings: dict[str, Any] = {}

    @property
    def bounds(self) -> Bounds:
        return self._bounds

    @property
    def children(self) -> tuple[Reward, ...]:
        return ()

    def using(self, **settings: Any) -> Self:
        """The same reward with other settings (its keyword-only parameters)."""
        for name in settings:
            if name not in self.injected.settings:
                raise unknown_name(f"setting of {self.name}", name, self.injected.settings)
        changed = copy.copy(self)
        changed.settings = {**self.settings, **settings}
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
        try:
            value = self._checked(self.compute(row))
        except Exception as error:  # recorded on the row, never a silent zero
            row.errors[str(self.name)] = one_line(error)
            row.parts[str(self.name)] = None
            return 0.0
        row.parts[str(self.name)] = value
        return value

    def compute(self, row: Row) -> Any:
        return self.injected(row.values, **self.settings)

    def _checked(self, value: Any) -> float | None:
        if value is None:
            return None
        if not isinstance(value, Real):
            raise TypeError(f"returned {_shortened(value)}: return a number or None")
        number, (low, high) = float(value), self._bounds
        if not math.isfinite(number):
            raise ValueError(f"returned {number}: return a finite number or None")
        if not low <= number <= high:
            raise ValueError(
                f"returned {number:g}, outside [{low:g}, {high:g}]: scale it by a weight, not in the function"
            )
        return number


class BatchReward(FunctionReward):
    """A leaf whose function scores a whole batch: `f(prompts=, completions=, **columns) -> list[float | None]`."""

    def compute(self, row: Row) -> Any:
        values = row.batch_values[id(self)]
        if isinstance(values, str):
            raise RuntimeError(values)
        return values[row.index]

    def compute_batch(self, arguments: Mapping[str, Any], num_rows: int) -> list[Any] | str:
        """One value a row, or the error that every row of the batch shares, as text."""
        try:
            values = self.injected(arguments, **self.settings)
            if not isinstance(values, list | tuple) or len(values) != num_rows:
                got = len(values) if isinstance(values, list | tuple) else _shortened(values)
                raise ValueError(
                    f"returned {got} for {num_rows} completions: return a list of {num_rows} numbers or Nones"
                )
            return list(values)
        except Exception as error:  # becomes an error on each row
            return one_line(error)


def one_line(error: Exception) -> str:
    """An exception as one line of at most 300 characters: its type and its message."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}"[:300]


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
    parameters = inspect.signature(function).parameters
    is_batch = "completions" in parameters
    default = (-math.inf, math.inf) if is_batch else (0.0, 1.0)
    bounds = (default[0] if low is None else low, default[1] if high is None else high)
    return (BatchReward if is_batch else FunctionReward)(function, *bounds)
