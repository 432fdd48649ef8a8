"""Moving about by keys and clicks: what is pressed, and what a person then sees. What is asked: `test_asking.py`."""

import shutil
from dataclasses import replace

from rlvr.traces.store import TraceWriter
from rlvr.tui.pages.groups import GroupsPage
from rlvr.tui.session import Start

from .golden import sample_of, step_rows

AT_GROUP = Start("grpo", "train", 4, 1)


def test_from_the_runs_down_and_back_up(walk):
    async def steps(walk):
        walk.sees("golden", "finished", "sft → grpo", "2 h")
        await walk.press("enter")
        walk.sees("reward", "kl", "grpo · train")
        await walk.press("left", "enter")
        walk.sees("step 5", "5 groups")
        await walk.press("right_square_bracket")
        walk.sees("step 6")
        await walk.press("right_square_bracket")
        walk.sees("this is the last step so far")
        await walk.press("left_square_bracket", "down", "enter")
        walk.sees("group 1", "What is 17+8?", "error")
        await walk.press("right_square_bracket")
        walk.sees("group 2")
        await walk.press("enter")
        walk.sees("sample 0", "answer beside gold")
        await walk.press("right_square_bracket")
        walk.sees("sample 1")
        await walk.press("escape", "escape", "escape")
        walk.sees("▸ reward")
        await walk.press("escape")
        walk.sees("finished")

    walk(steps, path=None)


def test_stages_and_the_table_of_steps(walk):
    async def steps(walk):
        await walk.press("left_square_bracket", "enter")
        walk.sees("evaluate-grpo · test › step 0", "8 groups")
        await walk.press("escape", "right_square_bracket", "s")
        walk.sees("zero-var", "steps")
        await walk.press("home", "enter")
        walk.sees("step 1")

    walk(steps)


def test_the_chosen_stage_is_in_sight_however_many_there_are(walk, golden):
    for number in range(9):
        rows = [replace(sample_of(0, 0, 0, "test"), stage=f"a-long-name-{number}", time=2e9 + number)]
        TraceWriter(golden / "traces", f"a-long-name-{number}", "test").write(0, rows)

    async def steps(walk):
        for _ in range(9):
            await walk.press("right_square_bracket")
        walk.sees("‹", " a-long-name-7 · test ")
        first = walk.lines()[1].split()[1]
        await walk.pilot.click("Stages", offset=(5, 0))
        await walk.settle()
        assert walk.app.screen.stage == (first, "test")

    walk(steps)


def test_groups_sort_by_what_is_picked_and_by_a_click_on_a_head(walk):
    async def steps(walk):
        def order():
            return [line.split()[0] for line in walk.lines()[2:7]]

        assert order() == ["0", "1", "2", "3", "4"]
        await walk.press("r")
        assert order() == ["4", "3", "2", "1", "0"]
        await walk.press("s", *["down"] * 6)
        walk.sees("sort groups by", "disagreement between parts")
        await walk.press("enter")
        walk.sees("disagr▾")
        await walk.pilot.click("Table", offset=(42, 0))
        await walk.settle()
        walk.sees("mean▾")

    walk(steps, at=Start("grpo", "train", 4))


def test_best_and_worst_are_one_key_apart_and_marked_ones_come_side_by_side(walk):
    async def steps(walk):
        page = walk.app.screen
        await walk.press("w")
        assert page.row().reward == min(row.reward for row in page.rows if row.reward is not None)
        await walk.press("b")
        assert page.row().reward == max(row.reward for row in page.rows if row.reward is not None)
        await walk.press("home", "space", "down", "space", "down", "space", "down", "space")
        walk.sees("three are marked already")
        await walk.press("c")
        walk.sees("1 sample 0", "2 sample 1", "3 sample 2")

    walk(steps, at=AT_GROUP)


def test_thought_and_prompt_fold(walk):
    async def steps(walk):
        await walk.press("enter")
        walk.sees("▾ think", "▸ user", "first 17+7=24")
        await walk.press("z", "p")
        walk.sees("▸ think", "▾ user")
        walk.sees_not("first 17+7=24")
        await walk.pilot.click("Prose", offset=(3, 0))
        await walk.settle()
        walk.sees("▸ system")

    walk(steps, at=AT_GROUP)


def test_heat_shows_each_token_and_what_the_sampler_thought_of_it(walk):
    async def steps(walk):
        await walk.press("enter", "h")
        walk.sees("token 1 of", '"<think>"', "log-prob", 'instead  "</think>" 0.368   "<answer>" 0.135')
        walk.sees("shades  sure, p above 0.9", "below 0.02, unsure")
        await walk.press("right", "right")
        walk.sees("token 3 of", "p 0.316  log-prob -1.15", 'instead  "8"')
        await walk.press("right_square_bracket")
        walk.sees("alternatives are not recorded")
        await walk.press("left_square_bracket")
        await walk.press("h")
        walk.sees("3 nats")
        await walk.press("h")
        walk.sees_not("token 3 of")

    walk(steps, at=AT_GROUP)


def test_heat_says_when_the_tokens_do_not_spell_the_text(walk, golden):
    shutil.rmtree(golden / "models")

    async def steps(walk):
        await walk.press("enter", "h")
        walk.sees("no heat: the run keeps no tokenizer.json")

    walk(steps, at=AT_GROUP)


def test_a_task_through_training_its_ends_and_another_run(walk, golden):
    shutil.copytree(golden, golden.parent / "other")

    async def steps(walk):
        await walk.press("t")
        walk.sees("task 17+8", "grpo step 1", "grpo step 6")
        assert sum("grpo · train" in line for line in walk.lines()) == 6
        await walk.press("c")
        walk.sees("side by side", "1 grpo step 1", "2 grpo step 6")
        await walk.press("escape", "R")
        walk.sees("compare with the run", "other")
        await walk.press("enter")
        walk.sees("1 golden", "2 other")
        await walk.press("1")
        walk.sees_not("winner")  # two runs are no siblings

    walk(steps, at=AT_GROUP)


def test_the_page_of_keys_names_them_and_the_signs(walk):
    async def steps(walk):
        await walk.press("question_mark")
        walk.sees("On this page", "best", "worst")
        await walk.press("end")
        walk.sees("Signs", "won a comparison")
        await walk.press("question_mark")
        walk.sees("siblings")

    walk(steps, at=AT_GROUP)


def test_a_click_on_a_key_presses_it_and_a_second_click_on_a_row_opens_it(walk):
    async def steps(walk):
        await walk.pilot.click("Keys", offset=(2, 0))
        await walk.settle()
        walk.sees("On this page")
        await walk.press("escape")
        await walk.pilot.click("Table", offset=(10, 3))
        await walk.settle()
        await walk.pilot.click("Table", offset=(10, 3))
        await walk.settle()
        walk.sees("sample 2")

    walk(steps, at=AT_GROUP)


def test_problems_are_listed(walk):
    async def steps(walk):
        walk.sees("! 1")
        await walk.press("exclamation_mark")
        walk.sees("Not all of this run could be read", "step00000007", "cut short")

    walk(steps)


def test_new_steps_appear_and_follow_stays_at_the_newest(walk, golden):
    async def steps(walk):
        await walk.press("F")
        walk.sees("● follow", "step 6")
        TraceWriter(golden / "traces", "grpo", "train").write(9, step_rows(6))
        await walk.pilot.pause(2.0)
        await walk.settle()
        assert isinstance(walk.app.screen, GroupsPage)
        walk.sees("step 9")
        await walk.press("F", "escape")
        walk.sees("9")

    walk(steps, at=Start("grpo", "train", 4))


def test_vi_keys_move_too(walk):
    async def steps(walk):
        await walk.press("G")
        assert walk.app.screen.row().sample == 7
        await walk.press("k", "k", "j", "g", "ctrl+f")
        assert walk.app.screen.row().sample == 7
        await walk.press("ctrl+b", "enter", "G", "g", "space")
        walk.sees("sample 0")

    walk(steps, at=AT_GROUP)


def test_columns_that_do_not_fit_come_by_the_arrows(walk):
    async def steps(walk):
        await walk.press("s")
        walk.sees("zero-var", "correct  ›", "← → columns")
        walk.sees_not("format")
        await walk.press("right")
        walk.sees("‹", "step", "format")
        walk.sees_not("›  ")
        await walk.press("right", "right")
        walk.sees("step")
        await walk.press("left", "left")
        walk.sees("correct  ›")

    walk(steps)


def test_an_empty_folder_of_runs_offers_nothing_to_open(walk, tmp_path, monkeypatch):
    (tmp_path / "elsewhere" / "runs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")

    async def steps(walk):
        walk.sees("no run under runs", "? help", "q quit")
        walk.sees_not("open")

    walk(steps, path=None)


def test_a_run_without_a_step_offers_nothing_to_go_to(walk, tmp_path):
    (tmp_path / "runs" / "new").mkdir(parents=True)
    (tmp_path / "runs" / "new" / "metrics.jsonl").touch()

    async def steps(walk):
        walk.sees("no traces yet", "esc back")
        for key in ("open step", "steps", "stage", "search", "filter"):
            walk.sees_not(f" {key}  ")

    walk(steps, path=tmp_path / "runs" / "new")


def test_nothing_moves_while_a_run_is_read_for_the_first_time(walk, golden, monkeypatch):
    monkeypatch.setattr("rlvr.tui.app._LOOK_FOR_S", 0.0)
    (golden / "traces" / ".index.jsonl").unlink()
    seen = []

    async def first(walk):
        seen.append([line[:16] for line in walk.lines()[10:]])

    async def second(walk):
        await walk.pilot.pause(1.5)
        await walk.settle()
        seen.append([line[:16] for line in walk.lines()[10:]])

    walk(first)
    walk(second)
    assert seen[0] == seen[1]


def test_a_thought_folded_by_a_click_stays_folded(walk):
    async def steps(walk):
        await walk.press("enter")
        await walk.pilot.click("Prose", offset=(3, 2))
        await walk.settle()
        walk.sees("▸ think")
        await walk.press("right_square_bracket")
        walk.sees("▸ think")

    walk(steps, at=AT_GROUP)
