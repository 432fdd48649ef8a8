"""List the rewards, or show one: what it accepts, its settings, bounds and the columns it needs."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlvr_rewards import Reward
    from rlvr_rewards.functions import FunctionReward


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="a name, FILE.py:NAME, or an expression; without it, list all")


def run(args: argparse.Namespace) -> int:
    if args.name:
        _show_one(args.name)
    else:
        _list_all()
    return 0


def _list_all() -> None:
    from rlvr.console import console, first_line, table
    from rlvr_rewards.catalogue import REWARDS

    found = {name: REWARDS.get(name) for name in REWARDS.names()}
    rows = [(name, first_line(found[name].__doc__), _range(found[name]), _columns(found[name])) for name in found]
    out = console()
    out.print(table("rewards", ("name", "what earns it", "range", "columns"), rows))
    out.print("rlvr rewards NAME shows one; compose them as in '2.0*exact_number + 0.5*think_format'.")


def _show_one(text: str) -> None:
    from rlvr.console import console, titled
    from rlvr_rewards import parse_reward

    reward = parse_reward(text)
    out = console()
    out.print(f"{text}: range {_range(reward)}, columns {_columns(reward) or 'none'}")
    for leaf in _leaves(reward):
        out.print()
        titled(out, str(leaf.name), _body(leaf))
        for name, default in leaf.injected.settings.items():
            out.print(f"setting {_setting(name, leaf.settings.get(name, default))}")


def _setting(name: str, value: object) -> str:
    """Such as `rel=0.01`; of an enumeration, what else it may be."""
    from enum import Enum

    if not isinstance(value, Enum):
        return f"{name}={value!r}"
    return f"{name}={value.value!r} (of: {', '.join(str(member.value) for member in type(value))})"


def _body(leaf: "FunctionReward") -> str:
    import inspect

    return inspect.cleandoc(leaf.__doc__ or "(no docstring)")


def _leaves(reward: "Reward") -> "list[FunctionReward]":
    from rlvr_rewards.functions import FunctionReward

    return list(dict.fromkeys(node for node in reward.walk() if isinstance(node, FunctionReward)))


def _range(reward: "Reward") -> str:
    low, high = reward.bounds
    return f"{low:g} to {high:g}"


def _columns(reward: "Reward") -> str:
    from rlvr_rewards.injection import columns_of

    leaves = _leaves(reward)
    needed = columns_of(name for leaf in leaves for name in leaf.injected.required)
    optional = columns_of(name for leaf in leaves for name in leaf.injected.optional)
    return ", ".join(dict.fromkeys([*needed, *(f"{name} (or none)" for name in optional if name not in needed)]))
