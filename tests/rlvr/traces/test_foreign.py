"""Other tools' completions, read as the same rows."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr.cli import main
from rlvr.traces.find import find
from rlvr.traces.index import GroupKey, TraceIndex
from rlvr.traces.query import parse_filter
from rlvr_rewards import UserError

from .opening import opened


def write_lines(path, lines):
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def chat(text):
    return [{"role": "user", "content": text}]


@pytest.fixture
def trl(tmp_path):
    """As TRL 1.16 writes with log_completions: no total, the rewards by name, NaN for what does not apply."""
    folder = tmp_path / "out" / "completions"
    folder.mkdir(parents=True)
    for step in (10, 20):
        table = pa.table(
            {
                "step": [step] * 4,
                "prompt": [chat("p"), chat("p"), chat("q"), chat("q")],
                "completion": [[{"role": "assistant", "content": f"c{n}"}] for n in range(4)],
                "correct": [1.0, 0.0, float("nan"), 0.5],
                "format": [1.0, 1.0, 1.0, 0.0],
                "advantage": [0.5, -0.5, 0.0, 0.0],
            }
        )
        pq.write_table(table, folder / f"completions_{step:05d}.parquet")
    return folder


def test_trls_completions_are_steps_groups_and_parts(trl):
    for path in (trl, trl.parent):
        index = opened(path)
        assert [(step.step, step.num_rows, step.num_groups) for step in index.steps()] == [(10, 4, 2), (20, 4, 2)]
    row = index.rows(GroupKey("trl", "train", 20, 1))[0]
    assert (row.completion, row.parts, row.reward, row.messages) == (
        "c2",
        {"correct": None, "format": 1.0},
        1.0,
        chat("q"),
    )
    assert index.rows(GroupKey("trl", "train", 10, 0))[1].advantage == -0.5
    assert "plain sum" in index.problems[0]
    assert len(opened(trl / "completions_00010.parquet").steps()) == 1


def test_a_step_that_trl_adds_appears(trl):
    index = opened(trl / "completions_00020.parquet")
    folder = TraceIndex.open(trl)
    pq.write_table(pq.read_table(trl / "completions_00020.parquet").slice(0, 2), trl / "completions_00020.parquet")
    index.refresh()
    assert index.steps()[0].num_rows == 2
    pq.write_table(pq.read_table(trl / "completions_00010.parquet"), trl / "completions_00030.parquet")
    folder.refresh()
    assert [step.num_rows for step in folder.steps()] == [8, 2]  # the rows say which step, not the name


def test_verifiers_results(tmp_path):
    lines = [
        {
            "example_id": example,
            "prompt": chat(f"question {example}"),
            "completion": [
                {"role": "assistant", "content": "let me look", "tool_calls": []},
                {"role": "tool", "content": "7"},
                {"role": "assistant", "content": f"it is {sample}"},
            ],
            "answer": "7",
            "task": "math",
            "reward": sample / 2,
            "correct_answer": float(sample),
            "generation_ms": 12.5,
            "info": {"difficulty": "hard"},
            "is_truncated": sample == 0,
        }
        for example in (5, 9)
        for sample in (0, 1)
    ]
    index = opened(write_lines(tmp_path / "results.jsonl", lines))
    assert index.steps() == opened(tmp_path).steps()
    (step,) = index.steps()
    assert (step.stage, step.num_groups, step.reward, step.clipped) == ("verifiers", 2, 0.25, 0.5)
    row = index.rows(GroupKey("verifiers", "eval", 0, 1))[1]
    assert (row.task_id, row.env, row.gold, row.finish_reason) == ("9", "math", "7", "stop")
    assert row.completion == "let me look\n\nit is 1"
    assert [turn["role"] for turn in row.turns] == ["assistant", "tool", "assistant"]
    assert (row.parts, row.info) == ({"correct_answer": 1.0}, {"generation_ms": 12.5, "difficulty": "hard"})


def test_any_jsonl_with_prompt_completion_and_reward(tmp_path):
    lines = [
        {
            "prompt": "2+2?",
            "completion": "4",
            "reward": 1,
            "metrics": {"exact": True},
            "mood": "calm",
            "temperature": 0.7,
        },
        {"prompt": "2+2?", "completion": "5\ud83d", "reward": 0.0, "finish_reason": "length"},
        {"prompt": "3+3?", "completion": "6"},
        {"prompt": "no completion"},
        "[1, 2]",
        '{"prompt": ' + "[" * 100_000,
        "",
        '{"prompt": "cut sho',
    ]
    index = opened(write_lines(tmp_path / "mine.jsonl", lines))
    assert [(g.rewards, g.parts) for g in index.groups("mine", "rows", 0)] == [
        ((1.0, 0.0), {"exact": 1.0}),
        ((None,), {"exact": None}),
    ]
    first, second = index.rows(GroupKey("mine", "rows", 0, 0))
    assert (first.messages, first.info, first.completion_tokens) == (
        chat("2+2?"),
        {"mood": "calm", "temperature": 0.7},
        None,
    )
    assert second.completion == "5\\ud83d"
    said = "\n".join(index.problems)
    assert "without a completion" in said
    assert "no JSON object" in said
    assert "cut short" in said
    assert len(find(index, parse_filter('info.mood == "calm" and reward == 1'))) == 1


def test_what_a_trainer_still_writes_to_is_read_again(tmp_path):
    path = write_lines(tmp_path / "live.jsonl", [{"step": 1, "prompt": "a", "completion": "b", "reward": 0}])
    index = opened(path)
    with path.open("a") as file:
        file.write(json.dumps({"step": 2, "prompt": "a", "completion": "c", "reward": 1}) + "\n")
    assert index.refresh()
    assert [step.reward for step in index.steps()] == [0.0, 1.0]
    assert not index.refresh()


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_what_was_exported_opens_as_it_was(run_folder, tmp_path, suffix):
    out = tmp_path / f"rows.{suffix}"
    assert main(["traces", str(run_folder), "--split", "train", "--export", str(out)]) == 0
    before, after = opened(run_folder), opened(out)
    assert list(after.steps()) == [step for step in before.steps() if step.split == "train"]
    key = GroupKey("grpo", "train", 2, 1)
    assert after.rows(key) == before.rows(key)


def test_judgments_stand_beside_the_file_and_not_in_the_cache(tmp_path):
    index = opened(write_lines(tmp_path / "mine.jsonl", [{"prompt": "a", "completion": "b", "reward": 1}]))
    assert (index.home, index.prefix) == (tmp_path, "mine.")


def test_without_a_cache_folder_it_still_opens(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    index = opened(write_lines(tmp_path / "mine.jsonl", [{"prompt": "a", "completion": "b", "reward": 1}]))
    assert index.steps()[0].reward == 1.0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.jsonl", b"", "no completions to show"),
        ("other.jsonl", b'{"question": "a"}\n', "without a prompt"),
        ("binary.jsonl", b"\xff\xfe\x00", "no JSON"),
        ("broken.parquet", b"PAR1 nonsense", "cut short"),
    ],
)
def test_what_holds_no_completions_is_one_clear_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        TraceIndex.open(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_the_tables_of_the_command_show_them_too(trl, capsys):
    assert main(["traces", str(trl), "--step", "10", "--group", "0"]) == 0
    out = capsys.readouterr().out
    assert "reward 2" in out
    assert "c0" in out


def test_rows_of_ours_with_odd_values_are_left_out_and_the_rest_is_shown(tmp_path):
    place = {"stage": "g", "split": "train", "step": 1, "group": 0}
    row = {**place, "messages": [{"role": "user", "content": "x"}], "completion": "y", "reward": 1.0}
    odd = [
        {"reward": "high"}, {"step": "one"}, {"stage": None}, {"alternatives": "x"}, {"alternatives": [[5]]},
        {"token_ids": ["a"]}, {"parts": {"a": "b"}}, {"group": 2**40},
    ]  # fmt: skip
    kept = {"alternatives": [[[5, -1.0], [6, -2.5]]], "token_ids": [4]}
    lines = [{**row, "sample": n, **more} for n, more in enumerate([{}, *odd, kept])]
    index = opened(write_lines(tmp_path / "rows.jsonl", lines))
    rows = index.rows(GroupKey("g", "train", 1, 0))
    assert [each.sample for each in rows] == [0, 9]
    assert rows[1].alternatives == [[(5, -1.0), (6, -2.5)]]
    said = "\n".join(index.problems)
    assert "was left out" in said
    assert "high" in said
