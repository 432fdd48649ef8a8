"""What another reward would have done to groups that are known."""

import pyarrow.parquet as pq
import pytest

from rlvr.rescore import rescore, rows, run
from rlvr.rescore.advantages import Scaling
from rlvr.traces.compact import compact
from rlvr.traces.store import TraceWriter
from rlvr_rewards import UserError, parse_reward, reward

from .known import BARE, BARE_WRONG, REWARD, RIGHT, WRONG, group_rows, row

PICKY = """
from rlvr_rewards import reward

@reward
def picky(completion: str) -> float:
    return float(completion[0] == '<') or 1 / 0
"""


def counts(found):
    """All of it but the sums of floats, which are added up in another order."""
    total = found.as_json()["total"]
    return {**total, "groups": {**total["groups"], "similarity": round(total["groups"]["similarity"], 9)}}


def test_its_own_reward_changes_nothing(make_run):
    found = rescore(make_run([[[RIGHT, WRONG, BARE], [BARE, BARE, BARE]]]))
    total = found.total
    assert total.num_rows == total.reward.num_after == 6
    assert total.reward.changed == total.groups.changed == 0
    assert (total.groups.checked, total.groups.off) == (6, 0)
    assert found.disagreements == []
    assert total.groups.zero_variance_before == total.groups.zero_variance_after == 0.5


def test_groups_are_told_apart_by_what_becomes_of_them(make_run):
    groups = [
        [RIGHT, WRONG, BARE],  # 1.2 0.2 1.0 -> 1 0 1: a tie is made, BARE keeps being pushed up
        [RIGHT, BARE, BARE],  # 1.2 1.0 1.0 -> 1 1 1: silenced
        [WRONG, BARE_WRONG, BARE_WRONG],  # 0.2 0 0 -> 0 0 0: silenced
        [RIGHT, WRONG, WRONG],  # as it was, but for the size
        [RIGHT, RIGHT, RIGHT],
    ]
    found = rescore(make_run([groups]), "exact_number")
    counts = found.total.groups
    assert (counts.compared, counts.silenced, counts.woken, counts.order, counts.swapped) == (5, 2, 0, 1, 0)
    assert (counts.flat_before, counts.flat_after) == (1, 3)
    assert counts.changed == 3
    parts = found.total.parts
    assert parts["exact_number"].changed == 0 and parts["think_format"].went == 15


def test_a_swap_and_a_flip_are_seen(make_run):
    found = rescore(make_run([[[BARE, WRONG, BARE_WRONG]]]), "think_format")  # 1, 0.2, 0 -> 0, 1, 0
    counts = found.total.groups
    assert (counts.sign, counts.flipped, counts.order, counts.swapped) == (1, 1, 1, 1)
    assert counts.num_flipped == 2
    assert counts.similarity is not None and counts.similarity < 0


def test_a_reward_that_wakes_groups(make_run):
    found = rescore(make_run([[[RIGHT, BARE]]], reward="exact_number"), "exact_number + think_format")
    assert (found.total.groups.woken, found.total.groups.zero_variance_after) == (1, 0.0)


def test_the_scaling_of_the_stage_decides_what_advantages_are(make_run):
    groups = [[RIGHT, WRONG], [BARE, BARE_WRONG]]
    grouped = rescore(make_run([groups]), "exact_number")
    plain = rescore(make_run([groups], settings='algorithm = "dr_grpo"', name="other"), "exact_number")
    batch = rescore(make_run([groups], settings='[stage.trl]\nscale_rewards = "batch"', name="third"), "exact_number")
    assert plain.scalings["grpo"] is Scaling.NONE
    assert plain.total.groups.off == 4  # recorded are those of the group
    new = [abs(found.disagreements[0].place.advantages[1]) for found in (plain, grouped, batch)]
    assert new == pytest.approx([0.5, 0.707, 0.866], abs=1e-3)


def test_parts_that_are_normalized_apart_teach_where_totals_are_equal(make_run):
    groups = [[RIGHT, BARE_WRONG], [BARE, WRONG]]  # in the second: 1 + 0 and 0 + 1
    found = rescore(make_run([groups], settings='algorithm = "gdpo"'), "exact_number + think_format")
    assert found.scalings["grpo"] is Scaling.WHITEN
    assert (found.total.groups.flat_before, found.total.groups.flat_after) == (0, 0)
    assert found.total.groups.silenced == 0 and found.total.reward.changed == 2
    with pytest.raises(UserError, match="has no name of its own"):
        rescore(make_run([groups], settings='algorithm = "gdpo"', name="other"), "exact_number & think_format")


def test_the_largest_disagreement_comes_first_with_what_was_said(make_run):
    found = rescore(make_run([[[RIGHT, WRONG], [RIGHT, BARE]], [[BARE, WRONG]]]), "think_format", top=2)
    first = found.disagreements[0]
    assert first.place.key.step == 2 and first.row is not None
    assert first.row.completion in (BARE, WRONG) and first.place.what == "sign and order"
    assert len(found.disagreements) == 2


def test_groups_that_gave_way_are_counted_apart(make_run):
    folder = make_run([])
    node = parse_reward("exact_number")
    rows = group_rows(node, [RIGHT, WRONG], attempt=1)
    replaced = group_rows(node, [RIGHT, BARE])
    for each in replaced:
        each.advantage, each.kept, each.why_not_kept = None, False, "all of its group earned the same"
    TraceWriter(folder / "traces", "grpo", "train").write(1, [*rows, *replaced])
    counts = rescore(folder, REWARD).total.groups
    assert (counts.compared, counts.replaced, counts.replaced_teach) == (1, 1, 1)
    assert counts.flat_before == 0 and counts.off == 0


def test_a_completion_whose_reward_fails_is_counted_and_has_no_advantage(make_run):
    @reward
    def picky(completion: str) -> float:
        if "think" not in completion:
            raise ValueError("no thought")
        return 1.0

    found = rescore(make_run([[[RIGHT, WRONG, BARE]]]), picky)
    assert found.total.num_errors == 1 and found.total.errors == {"picky": 1}
    assert found.total.first_error == "picky: ValueError: no thought"
    assert found.total.reward.went == 1 and found.total.groups.silenced == 1


def test_a_policy_for_whole_groups_sees_whole_groups(make_run):
    folder = make_run([[[RIGHT, BARE_WRONG], [RIGHT, RIGHT]]], reward="exact_number")
    (folder.parent / "picky.py").write_text(PICKY)
    found = rescore(folder, f"'{folder.parent}/picky.py:picky'.on_error('drop_group')")
    assert (found.total.num_errors, found.total.reward.num_after) == (1, 2)


@pytest.mark.parametrize("asked", ["log_metric", "environments"])
def test_what_a_trace_lacks_is_said_in_one_line(make_run, asked):
    @reward
    def trained(completion: str, **others) -> float:
        return 1.0

    trained.injected.required.append(asked)
    with pytest.raises(UserError, match=f"asks for {asked}, which training has and traces do not"):
        rescore(make_run([[[RIGHT, BARE]]]), trained)


def test_a_column_that_no_task_has_is_said_in_one_line(make_run):
    @reward
    def counts(completion: str, length: int) -> float:
        return 1.0

    with pytest.raises(UserError, match=r"needs the column 'length'.* grpo .*answer"):
        rescore(make_run([[[RIGHT, BARE]]]), counts)


def test_a_reward_gets_what_it_gets_in_training(make_run):
    seen = []

    @reward
    def nosy(completion: str, prompt, task: dict, num_tokens: int, trainer_state, turns) -> float:
        seen.append((prompt[0]["content"], task["answer"], len(turns), num_tokens, trainer_state.global_step))
        return 1.0

    found = rescore(make_run([[[RIGHT, BARE]], [[RIGHT, BARE]]], reward="think_format"), nosy)
    assert not found.total.first_error
    assert seen == [("3+4=?", "7", 1, 3, step) for step in (0, 0, 1, 1)]


def test_an_episode_is_scored_by_its_turns_and_its_own_tokens(make_run):
    @reward
    def own(num_tokens: int, turns: list) -> float:
        return float(num_tokens == 2 and [turn["role"] for turn in turns] == ["assistant", "tool", "assistant"])

    turns = [("assistant", [0, 1]), ("tool", [1, 5]), ("assistant", [5, 6])]
    said = [{"role": role, "content": "x", "tokens": span} for role, span in turns]
    folder = make_run([])
    TraceWriter(folder / "traces", "grpo", "train").write(1, [row(turns=said, token_ids=[*range(6)], reward=0.0)])
    assert rescore(folder, own).total.reward.after == 1.0


def test_what_never_came_is_not_scored(make_run):
    folder = make_run([])
    lost = row(completion="", errors={"request": "TimeoutError"}, split="test", step=0)
    TraceWriter(folder / "traces", "grpo", "test").write(0, [lost])
    total = rescore(folder, "think_format").total
    assert (total.reward.num_after, total.num_errors, total.reward.changed) == (0, 0, 0)


def test_each_of_several_environments_has_its_own_parts(make_run):
    folder = make_run([])
    env = '[[env]]\nname = "arithmetic"\n[[env]]\nname = "countdown"\n[[stage]]\nkind = "grpo"\n'
    (folder / "config.toml").write_text(env)
    task = {"numbers": [3, 4], "target": 7}
    of_countdown = row(env="countdown", group=1, task=task, completion="<think>3+4</think><answer>3+4</answer>")
    TraceWriter(folder / "traces", "grpo", "train").write(1, [row(), of_countdown])
    found = rescore(folder, "success")
    assert found.total.reward.sum_after == 2.0
    assert rescore(folder).total.parts.keys() >= {"correct", "format", "target"}


def test_a_run_whose_environment_is_gone_can_be_scored_by_the_library(make_run):
    folder = make_run([[[RIGHT, WRONG]]])
    config = folder / "config.toml"
    config.write_text(config.read_text().replace('"arithmetic"', '"gone.py:Gone"'))
    assert rescore(folder, "exact_number").total.reward.after == 0.5
    with pytest.raises(UserError, match=r"unknown reward 'correct'.*environment.* cannot be made: gone.py"):
        rescore(folder, "correct")


def test_a_run_whose_config_cannot_be_read_any_more_can_be_scored_too(make_run):
    folder = make_run([[[RIGHT, WRONG]]])
    (folder / "config.toml").write_text('[[stage]]\nkind = "grpo"\nalgorithm = "dr_grpo"\nnot_known_any_more = 1\n')
    assert rescore(folder, "exact_number").total.reward.after == 0.5
    with pytest.raises(UserError, match=r"config\.toml"):
        rescore(folder)


def test_a_stage_with_a_reward_of_its_own_is_scored_by_it(make_run):
    settings = '[stage.reward]\nexpression = "think_format"'
    folder = make_run([[[RIGHT, BARE]]], reward="think_format", settings=settings)
    config = folder / "config.toml"
    config.write_text(config.read_text().replace('"think_format"', '"exact_number"', 1))
    assert rescore(folder).total.reward.changed == 0


def test_a_condition_on_the_task_is_no_missing_column(make_run):
    def has_length(task):
        return "length" in task

    @reward
    def brief(completion: str, length: int) -> float:
        return 1.0

    found = rescore(make_run([[[RIGHT, BARE]]]), parse_reward("exact_number") + brief.when(has_length))
    assert found.total.num_errors == 0


def test_a_weight_that_changes_in_training_is_that_of_the_step(make_run):
    folder = make_run([[[RIGHT, WRONG]]] * 3, reward="exact_number")
    TraceWriter(folder / "traces", "grpo", "test").write(0, [row(split="test", step=0)])
    found = rescore(folder, "linear(0.0, 1.0, steps=2) * exact_number")
    assert [change.reward.sum_after for change in found.stretches.values()] == [0.0, 0.5, 1.0, 1.0]


def test_a_batch_function_of_trl_gets_messages(make_run):
    def lengths(completions, **_):
        return [float(len(each[0]["content"]) > 20) for each in completions]

    found = rescore(make_run([[[RIGHT, BARE]]]), lengths)
    assert (found.reward, found.total.reward.after) == ("lengths", 0.5)


def test_the_environments_parts_can_be_named(make_run):
    found = rescore(make_run([[[RIGHT, WRONG]]]), "success + 0.5*format")
    assert found.total.parts.keys() >= {"success", "format"}
    assert found.total.reward.after == pytest.approx(1.0)


def test_stretches_cover_the_steps(make_run, monkeypatch):
    monkeypatch.setattr(run, "_STRETCHES", 2)
    found = rescore(make_run([[[RIGHT, WRONG]]] * 5), "exact_number")
    assert [each.steps for each in found.stretches] == ["1-2", "3-5"]
    assert [change.num_rows for change in found.stretches.values()] == [4, 6]


def test_several_processes_find_the_same(make_run, monkeypatch):
    monkeypatch.setattr(run, "_PORTIONS_EACH", 1)
    monkeypatch.setattr(rows, "_STEPS_AT_ONCE", 2)
    folder = make_run([[[RIGHT, WRONG, BARE]], [[BARE, WRONG, RIGHT]]] * 4)
    alone, together = (rescore(folder, "think_format", workers=workers) for workers in (1, 2))
    assert alone == together
    assert alone.total.num_rows == 24


def test_packs_and_large_steps_give_the_same(make_run, monkeypatch):
    steps = [[[RIGHT, WRONG, BARE]] * 30 + [[BARE, BARE_WRONG, RIGHT]] * 30] * 3
    folder = make_run(steps)
    before = rescore(folder, "think_format")
    monkeypatch.setattr(rows, "MOST_ROWS", 10)
    cut = rescore(folder, "think_format")
    assert counts(cut) == counts(before)
    assert [each.place.key for each in cut.disagreements] == [each.place.key for each in before.disagreements]
    compact(folder / "traces", folder)
    packed = rescore(folder, "think_format")
    assert counts(packed) == counts(before)
    assert [each.row for each in packed.disagreements] == [each.row for each in before.disagreements]


def test_groups_that_do_not_stand_together_are_put_together(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MOST_ROWS", 2)
    folder = tmp_path / "traces"
    scattered = [
        row(group=n % 3, sample=n // 3, completion=[RIGHT, WRONG][n // 3], reward=1.0, split="test", step=0)
        for n in range(6)
    ]
    TraceWriter(folder, "eval", "test").write(0, scattered)
    assert rescore(folder, "exact_number").total.groups.woken == 3


def test_another_tools_file_is_scored_too(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"prompt": "3+4?", "completion": "<answer>7</answer>", "answer": "7", "reward": 0.0}\n'
        '{"prompt": "3+4?", "completion": "<answer>8</answer>", "answer": "7", "reward": 0.0}\n'
    )
    assert rescore(path, "exact_number").total.groups.woken == 1
    with pytest.raises(UserError, match="does not say what its reward was: give --reward, or --env"):
        rescore(path)
    with pytest.raises(UserError, match="give --env for its parts"):
        rescore(path, "correct")
    assert rescore(path, "correct", env="arithmetic").total.reward.after == 0.5


def test_a_damaged_file_is_passed_over_and_said(make_run):
    folder = make_run([[[RIGHT, BARE]]] * 2)
    next((folder / "traces").glob("*step00000002*")).write_bytes(b"PAR1 cut short")
    found = rescore(folder, "exact_number")
    assert found.total.num_rows == 2
    assert len(found.problems) == 1 and "step00000002" in found.problems[0]


def test_the_new_scores_as_rows(make_run, tmp_path):
    out = tmp_path / "new.parquet"
    with out.open("wb") as file:
        rescore(make_run([[[BARE, WRONG, BARE_WRONG]]]), "think_format", output=file)
    found = pq.read_table(out).to_pylist()
    assert [each["new_reward"] for each in found] == [0.0, 1.0, 0.0]
    assert [each["reward"] for each in found] == [1.0, 0.2, 0.0]
    assert [dict(each["new_parts"]) for each in found] == [{"think_format": value} for value in (0.0, 1.0, 0.0)]
    assert all(each["sign_changed"] and each["order_changed"] for each in found)
