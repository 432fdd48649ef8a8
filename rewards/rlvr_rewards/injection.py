"""Calling a function with what its parameters ask for by name, as pytest fills fixtures.

A parameter without a default must be there, one with a default may be absent, and a keyword-only one with a default
(`*, rel=0.01`) is a *setting*: it is never filled from the row. `**columns` takes everything.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rlvr_rewards.errors import UserError

_FROM_US = ("completion", "completions", "prompt", "prompts", "task", "num_tokens", "turns")
FROM_TRL = ("completion_ids", "trainer_state", "log_extra", "log_metric", "environments")
"""What a reward may ask for that only TRL's training has."""
_NOT_COLUMNS = frozenset((*_FROM_US, *FROM_TRL))


def columns_of(names: Iterable[str]) -> list[str]:
    """Those of the names that are columns of a task row, and nothing that we or TRL hand over beside it.

    >>> columns_of(["completion", "answer", "num_tokens", "log_metric"])
    ['answer']
    """
    return [name for name in names if name not in _NOT_COLUMNS]


class Injected:
    """A function and what it asks for.

    Attributes:
        required: Parameters that must be filled.
        optional: Parameters that keep their default where nothing has their name.
        settings: The settings and their defaults.
        takes_all: Whether the function also takes everything that it does not name.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.required: list[str] = []
        self.optional: list[str] = []
        self.settings: dict[str, Any] = {}
        self.takes_all = False
        for name, parameter in _parameters(function).items():
            if parameter.kind is parameter.VAR_KEYWORD:
                self.takes_all = True
            elif parameter.kind is parameter.VAR_POSITIONAL:
                continue
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                raise UserError(f"{function!r}: {name!r} cannot be filled by name: remove the / from its parameters")
            elif parameter.default is parameter.empty:
                self.required.append(name)
            elif parameter.kind is parameter.KEYWORD_ONLY:
                self.settings[name] = parameter.default
            else:
                self.optional.append(name)

    def __call__(self, values: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
        """Calls the function; a required parameter that `values` lacks is a `LookupError` naming it."""
        return self.function(**self.arguments(values), **settings)

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What the function asks for of `values`, without its settings.

        Raises:
            LookupError: A required parameter is not among them.
        """
        try:
            arguments = {name: values[name] for name in self.required}
        except KeyError as missing:
            columns = ", ".join(sorted(values.keys() - _NOT_COLUMNS)) or "none"
            raise LookupError(f"the task row has no column {missing}; it has: {columns}") from None
        if self.takes_all:
            return {name: value for name, value in values.items() if name not in self.settings}
        for name in self.optional:
            if name in values:
                arguments[name] = values[name]
        return arguments


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise UserError(f"{function!r} does not say its parameters: wrap it in a function that does") from None
