"""Completions beside each other: siblings, a task's first and last answer, the same task in another run."""

import shutil
from dataclasses import replace

from rlvr.traces.store import TraceWriter
from rlvr.tui.session import Start

from .golden import sample_of, step_rows

AT_GROUP = Start("grpo", "train", 4, 1)


def test_siblings_of_equal_reward_are_compared_by_length(walk, golden):
    rows = [sample_of(9, 0, sample) for sample in (6, 0, 7)]
    rows = [replace(row, sample=sample, reward=0.5) for sample, row in enumerate(rows)]
    TraceWriter(golden / "traces", "grpo", "train").write(9, rows)

    async def steps(walk):
        await walk.press("c")
        walk.sees("side by side", "1 sample 0", "2 sample 2")

    walk(steps, at=Start("grpo", "train", 9, 0))


def test_equal_siblings_are_compared_all_the_same(walk, golden):
    rows = [replace(sample_of(9, 0, 0), sample=sample) for sample in range(3)]
    TraceWriter(golden / "traces", "grpo", "train").write(9, rows)

    async def steps(walk):
        await walk.press("c")
        walk.sees("1 sample 0", "2 sample 1")

    walk(steps, at=Start("grpo", "train", 9, 0))


def test_one_completion_alone_is_not_offered_to_compare(walk, golden):
    TraceWriter(golden / "traces", "grpo", "train").write(9, [sample_of(9, 0, 0)])

    async def steps(walk):
        walk.sees("1 sibling ", "open")
        walk.sees_not("compare")
        walk.sees_not("best")

    walk(steps, at=Start("grpo", "train", 9, 0))


def test_a_mark_beside_another_says_how_to_judge_here(walk, golden):
    async def steps(walk):
        await walk.press("c", "plus")
        walk.sees("here 1, 2, 3 pick the winner")
        await walk.press("minus")
        walk.sees("mark one completion")

    walk(steps, at=AT_GROUP)
    assert not (golden / "judgments.jsonl").exists()


def test_another_run_is_listed_with_what_it_shares(walk, golden):
    shutil.copytree(golden, golden.parent / "twin")
    rows = [row for row in step_rows(1) if row.group in (2, 3)]
    TraceWriter(golden.parent / "part" / "traces", "grpo", "train").write(1, rows)
    strange = [replace(rows[0], task_id="strange")]
    TraceWriter(golden.parent / "strange" / "traces", "grpo", "train").write(1, strange)

    async def steps(walk):
        await walk.press("t", "R")
        walk.sees(
            "compare with the run", "has this task, 8 tasks in both", "not this task, 2 tasks in both", "nor another"
        )
        await walk.press("down", "enter")
        walk.sees("part has not this task; in both are", "24+4", "What is 24+4?")
        await walk.press("enter")
        walk.sees("side by side", "1 golden", "2 part")
        await walk.press("escape", "R", "enter")
        walk.sees("task 17+8 › side by side", "2 twin")

    walk(steps, at=AT_GROUP)


def test_first_and_last_answer_stand_in_the_order_of_training(walk, golden):
    for stage in ("a-last-one", "sft", "greedy"):
        rows = [replace(sample_of(0, 9, 0, "test"), stage=stage, task_id="held-out", time=5.0)]
        rows = [replace(row, token_ids=[], logprobs=[]) for row in rows] if stage == "greedy" else rows
        TraceWriter(golden / "traces", stage, "test").write(0, rows)
    stages = ['kind = "sft"', 'kind = "sft"\nname = "a-last-one"', 'kind = "evaluate"\nbaselines = ["greedy"]']
    (golden / "config.toml").write_text("".join(f"[[stage]]\n{stage}\n" for stage in stages))

    async def steps(walk):
        await walk.press("f")
        await walk.type("task_id == 'held-out'")
        await walk.press("enter", "t")
        lines = [line for line in walk.lines() if " · test" in line and "│" not in line]
        assert [line.split()[0] for line in lines] == ["greedy", "sft", "a-last-one"]  # a baseline is no first answer
        await walk.press("c")
        walk.sees("1 sft · test", "2 a-last-one · test")

    walk(steps, size=(100, 24))


def test_reward_bars_are_measured_by_the_rewards_of_the_run(walk, golden):
    poor = [replace(sample_of(9, 0, sample), task_id="poor", reward=0.1) for sample in range(4)]
    TraceWriter(golden / "traces", "grpo", "train").write(9, poor)

    async def steps(walk):
        walk.sees("▁▁▁▁")
        await walk.press("t")
        walk.sees("▁▁▁▁")

    walk(steps, at=Start("grpo", "train", 9))
