"""What a person asks for, judges and takes away: filters, searches, marks, winners, exports, the clipboard."""

import json

from rlvr.tui.session import Start

AT_GROUP = Start("grpo", "train", 4, 1)


def test_a_filter_with_its_error_saved_and_taken_back(walk, golden):
    async def steps(walk):
        await walk.press("f")
        await walk.type("reward < 0.2 adn")
        walk.sees("▲")
        await walk.press("enter")
        walk.sees("▲")  # it is not taken
        await walk.press(*["backspace"] * 4)
        await walk.press("ctrl+s")
        await walk.type("low")
        await walk.press("enter")
        walk.sees("saved as low")
        await walk.press("enter")
        walk.sees("reward < 0.2", "46 of 248")
        await walk.press("f", "ctrl+u", "ctrl+o")
        walk.sees("saved filters", "low")
        await walk.press("enter")
        walk.sees("reward < 0.2")
        await walk.press("escape", "enter")
        walk.sees("sample 6", "group 0")

    walk(steps)
    assert json.loads((golden / "filters.json").read_text()) == {"low": "reward < 0.2"}


def test_search_plain_and_as_a_pattern_in_completions_and_prompts(walk):
    async def steps(walk):
        await walk.press("slash")
        await walk.type("wait")
        await walk.press("enter")
        walk.sees("/wait/", "30 of 248")
        await walk.press("enter", "n")
        walk.sees("2 of 8")
        await walk.press("N")
        walk.sees("1 of 8")
        await walk.press("escape", "slash", "ctrl+u", "ctrl+r")
        await walk.type("wai(t")
        walk.sees("no regular expression")
        await walk.press("ctrl+u")
        await walk.type("wa.t, no")
        await walk.press("enter")
        walk.sees("/wa.t, no/", "30 of 248")
        await walk.press("slash", "ctrl+u", "ctrl+t")
        walk.sees("search prompts")
        await walk.type("is 10.3")
        await walk.press("enter")
        walk.sees("49 of 248")

    walk(steps)


def test_what_was_found_sorts_by_anything(walk):
    async def steps(walk):
        await walk.press("f")
        await walk.type("length > 1")
        await walk.press("enter", "s", "down", "enter")
        walk.sees("2.50")
        await walk.press("r")
        walk.sees("0.12")

    walk(steps)


def test_judging_marks_notes_and_winners_and_exports_the_pairs(walk, golden, tmp_path):
    async def steps(walk):
        await walk.press("plus")
        walk.sees("marked good", "●")
        await walk.press("down", "minus", "m")
        await walk.type("guessed")
        await walk.press("enter")
        walk.sees("note kept", "○ ✎")
        await walk.press("c", "1")
        walk.sees("★ winner", "e exports the pairs")
        await walk.press("escape", "e", "enter")
        walk.sees("preference pairs", "golden-pairs.jsonl")
        await walk.press("enter")
        walk.sees("written to golden-pairs.jsonl")
        await walk.press("e", "enter")
        walk.sees("there is something of that name already")
        await walk.press("escape", "e", "down", "enter", "enter")
        walk.sees("1 examples written to golden-sft.jsonl")

    walk(steps, at=AT_GROUP)
    pairs = [json.loads(line) for line in (tmp_path / "golden-pairs.jsonl").read_text().splitlines()]
    assert len(pairs) == 2  # the winner, and good before bad
    assert pairs[0]["prompt"][-1]["content"] == "What is 17+8?"
    assert pairs[0]["chosen"] != pairs[0]["rejected"]
    assert not list((golden / "traces").glob("judgments*"))  # never in the trace


def test_copy_puts_the_completion_on_the_clipboard(walk):
    async def steps(walk):
        await walk.press("y")
        assert walk.app.clipboard == walk.app.screen.row().completion
        walk.sees("characters sent to the clipboard")

    walk(steps, at=AT_GROUP)
