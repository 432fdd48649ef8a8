"""The catalogues that benchmarks/scoring_tables.py scores: no wrong answer of theirs succeeds, every right one does."""

import json
from pathlib import Path
from random import Random

import pytest

from rlvr_envs import make
from rlvr_rewards.discovery import load_file

tables = load_file(Path(__file__).parents[1] / "benchmarks" / "scoring_tables.py")
ROWS = [
    {"question": "Ann has 1,250 nuts and eats 16. Left?", "answer": "<<10+6=16>> <<1250-16=1234>>1,234\n#### 1,234"},
    {"question": "It is 5 degrees and falls by 12. What is it now?", "answer": "5-12=<<5-12=-7>>-7\n#### -7"},
    {"question": "Tom gives away all of his 9 pens. How many has he?", "answer": "9-9=<<9-9=0>>0\n#### 0"},
]


@pytest.fixture
def env(tmp_path):
    for split, rows in {"train": ROWS[:2], "test": ROWS[2:]}.items():
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return make("gsm8k", path=str(tmp_path))


def written(kinds, kind, env, seeds):
    cases = tables.all_cases(env, seed=0)
    texts = ((case.task, kinds[kind](case, Random(seed))) for case in cases for seed in range(seeds))
    return [(task, text) for task, text in texts if text is not None]


@pytest.mark.parametrize("kind", tables.WRONG)
def test_no_wrong_kind_succeeds_whatever_the_chance(env, kind):
    for task, completion in written(tables.WRONG, kind, env, seeds=20):
        assert not env.success(task, completion), completion
        assert not env.score(task, completion).errors


@pytest.mark.parametrize("kind", tables.RIGHT)
def test_every_right_kind_succeeds(env, kind):
    for task, completion in written(tables.RIGHT, kind, env, seeds=1):
        assert env.success(task, completion), completion


def test_what_does_not_apply_to_numbers_is_left_out(env):
    cases = tables.all_cases(env, seed=0)
    applying = tables.applying(tables.WRONG, cases)
    assert len(applying) > 60
    assert {"last digit changed", "first wrong last right", "a step on the way"} <= set(applying)
    assert not {"event removed", "all events", "name misspelt"} & set(applying)


def test_the_tables_are_what_the_command_wrote(env, capsys):
    completions = [("gold", row, env.gold(row)) for row in ROWS] + [("empty", row, "") for row in ROWS]
    records = tables.print_table(f"gsm8k?path={env.path}", "mixed", completions)
    assert [bool(record["success"]) for record in records] == [True] * 3 + [False] * 3
    assert "| gold | 3 | 1.200 | 100.0% | 1.000 | 1.000 | none |" in capsys.readouterr().out
