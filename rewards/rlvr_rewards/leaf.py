"""The leaves of a reward: one function, one part. Its value is checked, its errors are recorded under its name.

Not here: how a function becomes a leaf (`rlvr_rewards.functions`), and where it is run (`rlvr_rewards.running`).
"""

import copy
import functools
import inspect
import math
from collections.abc import Callable, Sequence
from enum import Enum
from functools import update_wrapper
from numbers import Real
from typing import Any, Self

from rlvr_rewards.algebra import Reward
from rlvr_rewards.errors import UserError, one_line, unknown_name
from rlvr_rewards.injection import Injected
from rlvr_rewards.row import Row
from rlvr_rewards.running import (
    Arguments,
    Outcomes,
    Running,
    Runs,
    begin,
    outcome_of,
)
from rlvr_rewards.scorable import Bounds

_NEVER_NONE = (float, int, bool, "float", "int", "bool")


class FunctionReward(Reward):
    """A leaf: one function, one part. Calling it without `completions=` calls the function itself, without a deadline.

    Attributes:
        running: Where it is computed, and how long it may take.
        is_ahead: Whether it is computed for a whole batch at once, before the algebra is walked.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        low: float,
        high: float,
        running: Running = Running(),  # noqa: B008 (frozen)
    ) -> None:
        update_wrapper(self, function, assigned=("__module__", "__qualname__", "__doc__"))
        self.name = name_of(function)
        self.injected = Injected(function)
        self.settings: dict[str, Any] = {}
        self.running = running
        self.is_ahead = running.runs is not Runs.INLINE
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
        """The same reward with other settings: its keyword-only parameters, and `deadline_s` where it has one.

        Raises:
            UserError: It has no such setting, or the value is not of the default's kind.
        """
        changed = copy.copy(self)
        if "deadline_s" in settings and self.running.deadline_s and "deadline_s" not in self.injected.settings:
            changed.running = self.running.within(str(self.name), settings.pop("deadline_s"))
        changed.settings = {**self.settings, **{name: self._checked_setting(name, settings[name]) for name in settings}}
        return changed

    def at(self, step: int) -> Self:
        return self

    def named(self, name: str) -> Self:
        changed = copy.copy(self)
        changed.name = name
        return changed

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FunctionReward)
            and self.injected.function is other.injected.function
            and self.settings == other.settings
            and self.running == other.running
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
        """Its value for one completion; raises what it fails with."""
        return row.computed(self) if self.is_ahead else self.injected(row.values, self.settings)

    def begin(self, rows: Sequence[Row], wanted: Sequence[int], batch: Arguments) -> Callable[[], Outcomes | Exception]:
        """Begins with the completions of `wanted`; what is returned waits for them.

        Args:
            rows: All completions.
            wanted: The positions of those whose value will be asked for.
            batch: What functions with TRL's batch signature are called with.
        """
        calls = [outcome_of(lambda index=index: self.injected.arguments(rows[index].values)) for index in wanted]
        wait = begin(self.running, self.injected, calls, self.settings)

        def all_values() -> Outcomes:
            values: Outcomes = [None] * len(rows)
            for index, outcome in zip(wanted, wait(), strict=True):
                values[index] = outcome
            return values

        return all_values

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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_ahead = True

    def begin(self, rows: Sequence[Row], wanted: Sequence[int], batch: Arguments) -> Callable[[], Outcomes | Exception]:
        """Begins its one call; what is returned waits for it."""
        if self.running.runs is Runs.INLINE:
            return lambda: outcome_of(lambda: _checked_length(self.injected(batch, self.settings), len(rows)))
        arguments = outcome_of(lambda: self.injected.arguments(batch))
        wait = begin(self.running, self.injected, [arguments], self.settings)

        def values() -> Outcomes | Exception:
            [found] = wait()
            return found if isinstance(found, Exception) else outcome_of(lambda: _checked_length(found, len(rows)))

        return values


def _checked_length(values: Any, num_rows: int) -> list[Any]:
    if isinstance(values, str) or not hasattr(values, "__len__") or len(values) != num_rows:
        got = _shortened(values) if isinstance(values, str) or not hasattr(values, "__len__") else len(values)
        raise ValueError(f"returned {got} for {num_rows} completions: return a list of {num_rows} numbers or Nones")
    return list(values)


def _as_float(value: Any) -> float:
    if hasattr(value, "item"):  # a number of numpy or torch
        value = value.item()
    if not isinstance(value, Real):
        raise TypeError(f"returned {_shortened(value)}: return a number or None")
    return float(value)


def name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
