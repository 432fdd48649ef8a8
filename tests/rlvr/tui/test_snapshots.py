"""Every screen on the golden run, character by character and colour by colour.

After a change that is meant: RLVR_SNAPSHOTS=write python -m pytest tests/rlvr/tui/test_snapshots.py, and look at them.
"""

import pytest

from rlvr.tui.session import Start

AT_GROUP = Start("grpo", "train", 4, 1)


@pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["small", "large"])
def test_from_the_runs_to_a_completion(walk, size):
    async def steps(walk):
        name = f"{size[0]}"
        walk.matches(f"runs-{name}")
        await walk.press("enter")
        walk.matches(f"run-{name}")
        await walk.press("left", "down", "left")
        walk.matches(f"curve-{name}")
        await walk.press("enter")
        walk.matches(f"groups-{name}")
        await walk.press("down", "enter")
        walk.matches(f"group-{name}")
        await walk.press("c")
        walk.matches(f"compare-{name}")
        await walk.press("escape", "enter")
        walk.matches(f"completion-{name}")
        await walk.press("h", "right", "right", "right")
        walk.matches(f"heat-{name}")

    walk(steps, path=None, size=size)


def test_steps_task_found_help_and_questions(walk):
    async def steps(walk):
        await walk.press("s")
        walk.matches("steps")
        await walk.press("enter", "t")
        walk.matches("task")
        await walk.press("escape", "question_mark")
        walk.matches("help")
        await walk.press("escape", "s")
        walk.matches("sort")
        await walk.press("escape", "f")
        await walk.type("reward < 1 and lenth > 3")
        walk.matches("filter-error")
        await walk.press("escape", "slash")
        await walk.type("wait")
        walk.matches("search")
        await walk.press("enter")
        walk.matches("found")

    walk(steps)


def test_what_is_hard_to_show(walk):
    async def steps(walk):
        walk.matches("group-cjk")
        await walk.press("down", "down", "down", "enter")
        walk.matches("cjk")
        await walk.press("right_square_bracket")
        walk.matches("escapes")
        await walk.press("right_square_bracket")
        walk.matches("right-to-left")
        await walk.press("escape", "right_square_bracket", "down", "down", "enter", "end")
        walk.matches("turns")

    walk(steps, at=Start("grpo", "train", 4, 2))


def test_light(walk, monkeypatch):
    monkeypatch.setenv("COLORFGBG", "0;15")

    async def steps(walk):
        walk.matches("light")
        await walk.press("T")
        walk.matches("dark")

    walk(steps, at=AT_GROUP)


def test_without_colour_the_cursor_and_the_differences_are_seen(walk, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(walk):
        walk.matches("no-colour")
        await walk.press("c")
        walk.matches("no-colour-compare")

    walk(steps, at=AT_GROUP)
