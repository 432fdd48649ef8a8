"""Writes the library in docs/rewards.md: what each reward says of itself. What stands above its heading is left alone.

python docs/make_rewards.py        # after any change to a reward of the library; a test fails while the page is behind
"""

import doctest
import inspect
import re
import sys
from enum import Enum
from pathlib import Path

from rlvr_rewards.catalogue import REWARDS
from rlvr_rewards.functions import FunctionReward
from rlvr_rewards.injection import columns_of
from rlvr_rewards.outside import outside_of
from rlvr_rewards.running import Runs

PAGE = Path(__file__).with_name("rewards.md")
HEADING = "## The library\n"
INTRO = """
From here on the page is written by `python docs/make_rewards.py` from what each reward says of itself; `rlvr rewards
NAME` shows the same. A module's words stand above its rewards and hold for all of them.
"""


def page() -> str:
    """The whole page: what is written by hand, then the library."""
    by_hand = PAGE.read_text("utf-8").partition(HEADING)[0]
    modules: dict[str, list[FunctionReward]] = {}
    for name in REWARDS.names():
        found = REWARDS.get(name)
        if isinstance(found, FunctionReward) and found.__module__.startswith(("rlvr_rewards.library.", "rlvr.")):
            modules.setdefault(found.__module__, []).append(found)
    in_order = sorted(modules, key=lambda module: (not module.startswith("rlvr_rewards"), module))
    ordered = [(module, sorted(modules[module], key=_line)) for module in in_order]
    sections = [_section(module, rewards) for module, rewards in ordered]
    return "\n".join([by_hand + HEADING + INTRO, _contents(ordered), *sections])


def _line(reward: FunctionReward) -> int:
    return inspect.getsourcelines(reward.injected.function)[1]


def _contents(ordered: list[tuple[str, list[FunctionReward]]]) -> str:
    rows = [(module, reward) for module, rewards in ordered for reward in rewards]
    lines = [f"| [`{r.name}`](#{r.name}) | {_first_sentence(r)} | {_range(r)} | {_columns(r)} |" for _, r in rows]
    return "\n".join(["| reward | what earns it | range | columns |", "|---|---|---|---|", *lines, ""])


def _section(module: str, rewards: list[FunctionReward]) -> str:
    said = inspect.cleandoc(sys.modules[module].__doc__ or "")
    head = f"### Module {module.removeprefix('rlvr_rewards.')}\n\n{_markdown(said)}"
    return "\n".join([head, *map(_entry, rewards)])


def _entry(reward: FunctionReward) -> str:
    facts = [f"Range {_range(reward)}", f"columns: {_columns(reward) or 'none'}", *_running(reward)]
    settings = [_setting(name, default) for name, default in reward.injected.settings.items()]
    lines = [f"#### {reward.name}", "", _markdown(inspect.cleandoc(reward.__doc__ or "")), "; ".join(facts) + "."]
    return "\n".join([*lines, *([f"Settings: {', '.join(settings)}."] if settings else []), ""])


def _markdown(doc: str) -> str:
    """A docstring with its examples fenced, and its `Raises:` as a sentence."""
    doc = re.sub(r"^Raises:\n((?:    .*\n?)+)", _raises, doc, flags=re.MULTILINE)
    found, examples = [], []
    for piece in doctest.DocTestParser().parse(doc):
        if isinstance(piece, doctest.Example):
            examples.append(_example(piece))
        elif piece.strip():
            found += [_fenced(examples), piece.strip("\n") + "\n"]
            examples = []
    return "\n".join(filter(None, [*found, _fenced(examples)]))


def _raises(section: re.Match[str]) -> str:
    errors = re.sub(r"\n {8}", " ", inspect.cleandoc(section[1]).replace("\n    ", " "))
    return "\n\n".join(re.sub(r"^(\w+): ", r"Raises `\1`: ", line) for line in errors.splitlines() if line) + "\n"


def _example(example: doctest.Example) -> str:
    first, *rest = example.source.splitlines()
    wanted = example.want.rstrip("\n")
    return "\n".join([f">>> {first}", *(f"... {line}" for line in rest), *([wanted] if wanted else [])])


def _fenced(examples: list[str]) -> str:
    return "```python\n" + "\n".join(examples) + "\n```\n" if examples else ""


def _first_sentence(reward: FunctionReward) -> str:
    first = " ".join(inspect.cleandoc(reward.__doc__ or "").partition("\n\n")[0].split())
    return first.removesuffix(".").replace("|", r"\|")


def _range(reward: FunctionReward) -> str:
    low, high = reward.bounds
    return f"{low:g} to {high:g}"


def _columns(reward: FunctionReward) -> str:
    needed = [f"`{name}`" for name in columns_of(reward.injected.required)]
    return ", ".join([*needed, *(f"`{name}` (or none)" for name in columns_of(reward.injected.optional))])


def _running(reward: FunctionReward) -> list[str]:
    runs, seconds = reward.running.runs, reward.running.deadline_s
    beside = [] if runs is Runs.INLINE else [f"runs in a {runs.value}, at most {seconds:g} s"]
    return [*beside, *(f"rests on {what}" for what in outside_of(reward))]


def _setting(name: str, default: object) -> str:
    if isinstance(default, Enum):
        return f"`{name}={default.value!r}` (of {', '.join(str(each.value) for each in type(default))})"
    return f"`{name}={default!r}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
