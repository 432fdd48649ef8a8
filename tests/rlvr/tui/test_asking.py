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
        walk.sees("1 example written to golden-sft.jsonl")

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


def test_rows_and_pages_are_exported_of_what_is_shown_or_of_the_run(walk, golden, tmp_path):
    async def steps(walk):
        await walk.press("e")
        walk.sees("this group: 8 rows", "the whole run: 248 rows", "all that was judged: 0 pairs", ".jsonl")
        await walk.press("down", "down", "enter")
        walk.sees("write rows as .jsonl, or .parquet (this group: 8 rows) to", "golden-grpo-train-step4-group1.jsonl")
        await walk.press("enter")
        walk.sees("8 rows written to golden-grpo-train-step4-group1.jsonl")
        await walk.press("e", "down", "down", "down", "enter", "enter")
        walk.sees("8 completions written to golden-grpo-train-step4-group1.html")
        await walk.press("escape", "e")
        await walk.press("down", "down", "enter")
        walk.sees("golden-rows.jsonl")  # on the curves there is the run alone
        await walk.press("enter")
        walk.sees("248 rows written")

    walk(steps, at=AT_GROUP)
    rows = [json.loads(line) for line in (tmp_path / "golden-grpo-train-step4-group1.jsonl").read_text().splitlines()]
    assert [(row["step"], row["group"], row["sample"]) for row in rows] == [(4, 1, n) for n in range(8)]
    assert len((tmp_path / "golden-rows.jsonl").read_text().splitlines()) == 248


def test_what_was_found_is_exported_alone(walk, tmp_path):
    async def steps(walk):
        await walk.press("f")
        await walk.type("reward < 0.2 and step == 2")
        await walk.press("enter", "s", "down", "enter", "e")
        walk.sees("what was found: ", "the whole run")
        await walk.press("down", "down", "enter")
        await walk.press(*["backspace"] * len("jsonl"))
        await walk.type("parquet")
        await walk.press("enter")
        walk.sees("rows written to golden-found.parquet")

    walk(steps)
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "golden-found.parquet")
    assert table.num_rows > 4
    assert set(table["step"].to_pylist()) == {2}
    assert max(table["reward"].to_pylist()) < 0.2


def test_a_search_says_which_filter_stays_and_a_filter_which_search(walk):
    async def steps(walk):
        await walk.press("f")
        await walk.type("step == 2")
        await walk.press("enter", "slash")
        walk.sees("search completions for a text among what the filter lets through: step == 2")
        await walk.type("wait")
        await walk.press("enter")
        walk.sees("/wait/ · step == 2", "5 of 248")
        await walk.press("f")
        walk.sees("filter what /wait/ finds")
        await walk.press("ctrl+u", "enter")
        walk.sees("30 of 248")
        await walk.press("slash")
        walk.sees_not("among what")

    walk(steps, size=(100, 24))


def test_the_filter_s_hint_names_a_part_of_this_run(walk):
    async def steps(walk):
        await walk.press("f")
        walk.sees("parts.correct == 1")

    walk(steps)


def test_nothing_found_offers_no_key_that_would_do_nothing(walk):
    async def steps(walk):
        await walk.press("f")
        await walk.type("step == 99")
        await walk.press("enter")
        walk.sees("nothing was found", "f filter")
        for key in ("open", "sort", "task"):
            walk.sees_not(f" {key} ")

    walk(steps)
