"""A dataset of reasoning-gym by its name and options: what it is called, what it is, and made.

Used on both sides: in this process to say what options there are, in a worker process to make rows and to score.
"""

import dataclasses
import importlib
import inspect
import json
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, get_type_hints

from rlvr_rewards.errors import UserError, one_line, unknown_name

OURS = ("seed", "size")
"""What a dataset's configuration holds and is not an option: rows come by our seeds, and without end."""


def names() -> list[str]:
    """Every dataset by name.

    Raises:
        ImportError: reasoning-gym is not installed.
    """
    return sorted(_registry())


def about(name: str) -> str:
    """What a dataset is, in the first line of its docstring, and its category."""
    cls, _ = _registry()[name]
    said = (inspect.cleandoc(cls.__doc__ or "").splitlines() or [""])[0].rstrip(".")
    category = cls.__module__.split(".")[1]
    return f"{said or name.replace('_', ' ')} ({category})"


def options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a dataset, each with its type and its default."""
    _, config = _registry()[name]
    found = {}
    for field, kind in _kinds(config).items():
        if field.name not in OURS:
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            default = inspect.Parameter.empty if default is dataclasses.MISSING else default
            found[field.name] = inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
            )
    return found


def checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON values, of the kinds that the dataset wants; text is read as JSON where text does not do.

    Raises:
        UserError: There is no such option, its value is of another kind, or the dataset refuses it.
    """
    known = options(name)
    plain = {}
    for option, value in given.items():
        if option not in known:
            raise unknown_name(f"option of reasoning_gym/{name}", option, known)
        adapter = _adapter(known[option].annotation)
        plain[option] = adapter.dump_python(_read(adapter, name, option, value), mode="json")
    _config(name, plain, seed=0, size=1)
    return plain


def make_dataset(name: str, options: Mapping[str, Any], seed: int, size: int) -> Any:
    """The dataset itself.

    Raises:
        UserError: It refuses its options.
    """
    cls, _ = _registry()[name]
    return cls(_config(name, options, seed, size))


@lru_cache(maxsize=32)
def scoring_dataset(name: str, options: str) -> Any:
    """A dataset to score with, its options given as JSON; one for all rows."""
    return make_dataset(name, json.loads(options), seed=0, size=1)


@cache
def _registry() -> dict[str, tuple[type, type]]:
    return importlib.import_module("reasoning_gym.factory").DATASETS if importlib.import_module("reasoning_gym") else {}


def _kinds(config: type) -> dict[dataclasses.Field[Any], Any]:
    hints = get_type_hints(config)
    return {field: hints[field.name] for field in dataclasses.fields(config)}


def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _read(adapter: Any, name: str, option: str, value: Any) -> Any:
    from pydantic import ValidationError

    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        if isinstance(value, str):
            try:
                return adapter.validate_json(value)
            except ValidationError:
                pass
        says = error.errors()[0]["msg"]
        raise UserError(f"reasoning_gym/{name}: option {option}={value!r}: {says}") from None


def _config(name: str, given: Mapping[str, Any], seed: int, size: int) -> Any:
    _, kind = _registry()[name]
    known = options(name)
    values = {option: _adapter(known[option].annotation).validate_python(value) for option, value in given.items()}
    config = kind(**values, seed=seed, size=size)
    try:
        getattr(config, "validate", lambda: None)()
    except (AssertionError, ValueError) as error:
        raise UserError(f"reasoning_gym/{name}: {one_line(error)}") from None
    return config
