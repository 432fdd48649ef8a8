"""Every environment by its name, made from a name with options: `scheduling?tier=hard`."""

import inspect
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, get_type_hints
from urllib.parse import parse_qsl

from rlvr_envs.collection import COLLECTIONS
from rlvr_envs.environment import Environment
from rlvr_rewards.discovery import Catalogue
from rlvr_rewards.errors import UserError, unknown_name


def _name_of(thing: Any) -> str | None:
    if isinstance(thing, type) and issubclass(thing, Environment) and not inspect.isabstract(thing):
        return thing.name or thing.__name__
    return None


ENVIRONMENTS: Catalogue[type[Environment]] = Catalogue("environment", "rlvr_envs.library", "rlvr.envs", _name_of)


def environment_named(name: str) -> type[Environment]:
    """The environment class of that name, of a file (`my_env.py:MyEnv`), or of a collection (`reasoning_gym/NAME`).

    Raises:
        UserError: There is none; the nearest is offered.
    """
    prefix, slash, rest = name.partition("/")
    if slash and prefix in COLLECTIONS.names():
        return COLLECTIONS.get(prefix).get(rest)
    return ENVIRONMENTS.get(name, also_known=[f"{collection}/…" for collection in COLLECTIONS.names()])


def make(spec: str, **options: Any) -> Environment:
    """The environment that `NAME`, `"NAME?tier=hard&path=…"`, `COLLECTION/NAME` or `my_env.py:MyEnv` describes.

    Options given as text are converted to the types of the environment's fields.

    >>> make("arithmetic?largest=9").largest
    9

    Raises:
        UserError: No such environment or option (the nearest is offered), or a value of the wrong type.
    """
    name, _, query = spec.partition("?")
    cls = environment_named(name)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise UserError(f"environment {spec!r}: write options as NAME?key=value&key=value") from None
    given = dict(pairs)
    if twice := [key for key in given if sum(key == other for other, _ in pairs) > 1]:
        raise UserError(f"environment {spec!r}: option {twice[0]!r} is given twice")
    return cls(**_checked_options(cls, {**given, **options}))


def every_tier() -> list[str]:
    """A spec for every environment found by name, one for each value of its options that are enumerations.

    >>> [spec for spec in every_tier() if spec.startswith("scheduling")]
    ['scheduling?tier=published', 'scheduling?tier=compact', 'scheduling?tier=hard']
    """
    specs = []
    for name in ENVIRONMENTS.names():
        options = option_names(ENVIRONMENTS.get(name)).items()
        enums = [(option, type(p.default)) for option, p in options if isinstance(p.default, Enum)]
        specs += [f"{name}?{option}={member.value}" for option, kind in enums for member in kind] or [name]
    return specs


def option_names(cls: type[Environment]) -> dict[str, inspect.Parameter]:
    """The options of an environment: the parameters of its constructor."""
    if cls.__init__ is object.__init__:
        return {}
    return dict(inspect.signature(cls).parameters)


def _checked_options(cls: type[Environment], options: dict[str, Any]) -> dict[str, Any]:
    from pydantic import TypeAdapter, ValidationError

    known = option_names(cls)
    hints = get_type_hints(cls if is_dataclass(cls) else cls.__init__)
    checked = {}
    for name, value in options.items():
        if name not in known:
            raise unknown_name(f"option of {cls.name}", name, known)
        try:
            checked[name] = TypeAdapter(hints.get(name, Any)).validate_python(value)
        except ValidationError as error:
            raise UserError(f"{cls.name}: option {name}={value!r}: {error.errors()[0]['msg']}") from None
    return checked
