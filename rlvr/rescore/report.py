"""What rescoring found, as a person reads it: what moves, in which groups, and the completions that show it."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlvr.console import table
from rlvr.rescore.advantages import Scaling
from rlvr.rescore.comparison import Change, Moved
from rlvr.rescore.disagreement import Disagreement, Place
from rlvr.rescore.result import Rescored, Stretch, summed
from rlvr.traces.text import counted, think_and_answer, visible

_MOST_STRETCHES = 8
_MOST_SIBLINGS = 16
_EXCERPT = 160
_COLUMNS = ("n", "reward", "new", "zero-var", "new", "groups", "sign", "order", "silenced", "woken", "similarity")


def show(to: Console, found: Rescored) -> None:
    """Prints all of it."""
    stages = found.by_stage()
    to.print(Text(f"{found.path}, scored with {found.reward or 'its own reward, as it is now'}"), soft_wrap=True)
    lines = [(f"{stage} · {split}", *_cells(change)) for (stage, split), change in stages.items()]
    to.print(_plain(table("recorded and new", ("stage", *_COLUMNS), lines)))
    for (stage, split), change in stages.items():
        own = [each for each in found.stretches.items() if (each[0].stage, each[0].split) == (stage, split)]
        stretches = _fewer(own)
        if len(stretches) > 1 and change.groups.compared:
            lines = [(stretch.steps, *_cells(each)) for stretch, each in stretches]
            to.print(_plain(table(f"{stage} · {split}, by step", ("steps", *_COLUMNS), lines)))
    _show_parts(to, found.total)
    for line in notes(found):
        to.print(Text(line), soft_wrap=True)
    if found.disagreements:
        to.print(Text("\nwhere they disagree the most", style="bold"))
        for number, each in enumerate(found.disagreements, start=1):
            _show_disagreement(to, number, each, found.path)


def notes(found: Rescored) -> Iterator[str]:
    """What else there is to know, a line each."""
    total = found.total
    groups = total.groups
    if not total.reward.changed:
        yield "every completion earns what is recorded"
    elif groups.compared:
        yield (
            f"{groups.changed:,} of {counted(groups.compared, 'group')} would be pushed otherwise: the sign of an "
            f"advantage changes in {groups.sign:,} (in {groups.flipped:,} from up to down or back), the order in "
            f"{groups.order:,} (in {groups.swapped:,} two completions swap places), {groups.silenced:,} would teach "
            f"nothing any more, {groups.woken:,} would begin to"
        )
    if groups.replaced:
        yield (
            f"{counted(groups.replaced, 'group')} gave way to others, since all of each earned the same: "
            f"{groups.replaced_teach:,} of them would have taught"
        )
    if groups.off:
        scalings = ", ".join(sorted({str(each) for each in found.scalings.values()} or {Scaling.GROUP.value}))
        yield (
            f"{groups.off:,} of {groups.checked:,} recorded advantages are not what the recorded rewards give (scaled "
            f"by: {scalings}): both sides here are computed from rewards"
        )
    if total.num_errors:
        parts = ", ".join(f"{name} {count:,}" for name, count in total.errors.most_common())
        yield (
            f"the reward failed for {counted(total.num_errors, 'completion')} of {total.num_rows:,} ({parts}); "
            f"the first: {visible(total.first_error)}"
        )
    yield from found.problems


def command(path: str, place: Place) -> str:
    """The command that opens the group of a place."""
    key = place.key
    where = ["--stage", key.stage, "--split", key.split, "--step", str(key.step), "--group", str(key.group)]
    return shlex.join(["rlvr", "traces", path, *where])


def _cells(change: Change) -> list[object]:
    groups = change.groups
    shares = (groups.zero_variance_before, groups.zero_variance_after)
    zero = [None if share is None else f"{share:.0%}" for share in shares]
    counts = [groups.compared, groups.sign, groups.order, groups.silenced, groups.woken]
    return [change.num_rows, change.reward.before, change.reward.after, *zero, *counts, groups.similarity]


def _fewer(stretches: Sequence[tuple[Stretch, Change]]) -> list[tuple[Stretch, Change]]:
    """At most so many, neighbours together."""
    count = min(_MOST_STRETCHES, len(stretches))
    cuts = [number * len(stretches) // count for number in range(count + 1)]
    together = [stretches[low:high] for low, high in pairwise(cuts)]
    return [(replace(same[0][0], last=same[-1][0].last), summed(change for _, change in same)) for same in together]


def _show_parts(to: Console, total: Change) -> None:
    lines = [(name, *_part_cells(moved)) for name, moved in [*total.parts.items(), ("reward", total.reward)]]
    to.print(_plain(table("parts", ("part", "recorded", "new", "changed", "rose", "fell", "came", "went"), lines)))
    if total.reward.changed and not any(moved.changed for moved in total.parts.values()):
        to.print("no part changed: what is made of them did")


def _part_cells(moved: Moved) -> list[object]:
    return [moved.before, moved.after, moved.changed, moved.rose, moved.fell, moved.came, moved.went]


def _show_disagreement(to: Console, number: int, found: Disagreement, path: str) -> None:
    place, row = found.place, found.row
    key = place.key
    old, new = place.advantages
    head = f"{number}. {key.stage} · {key.split} · step {key.step} · group {key.group} · sample {place.sample}"
    to.print(Text(f"{head} · {place.what}", style="bold"), soft_wrap=True)
    lines = [f"reward {' → '.join(map(_number, place.rewards))}, advantage {old:+.2f} → {new:+.2f}{_parts(place)}"]
    if len(place.siblings[0]) > 1:
        lines.append(f"group: {_siblings(place.siblings[0])} → {_siblings(place.siblings[1])}")
    lines += [f"error in {name}: {said}" for name, said in place.errors.items()]
    if row is not None:
        lines.append(f"gold {_excerpt(row.gold or '')}")
        lines.append(f"says {_excerpt(row.completion)}")
    lines.append(command(path, place))
    for line in lines:
        to.print(Text(f"   {line}"), soft_wrap=True)


def _parts(place: Place) -> str:
    """The parts that are not what they were."""
    before, after = place.parts
    names = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    moved = [f"{visible(name)} {_number(before.get(name))} → {_number(after.get(name))}" for name in names]
    return f"; {', '.join(moved)}" if moved else ""


def _siblings(rewards: Sequence[float | None]) -> str:
    shown = " ".join(_number(each) for each in rewards[:_MOST_SIBLINGS])
    return shown if len(rewards) <= _MOST_SIBLINGS else f"{shown} …"


def _excerpt(text: str) -> str:
    """One line: the end of the thought, and the answer."""
    thought, answer = (visible(" ".join(part.split())) for part in think_and_answer(text))
    room = max(20, _EXCERPT - len(answer))
    thought = thought if len(thought) <= room else f"…{thought[-room:]}"
    said = f"{thought}{' ' if thought and answer else ''}{answer}"
    return said if len(said) <= 2 * _EXCERPT else f"{said[: 2 * _EXCERPT]}…"


def _plain(made: Table) -> Table:
    made.box, made.collapse_padding = box.SIMPLE_HEAD, True
    return made


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
