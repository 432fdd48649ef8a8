"""`rlvr score --reward`: another reward in place of the environment's own, and what becomes of one that fails."""

import textwrap
import time

import pytest

from rlvr_envs import make
from tests.rlvr.test_score import GOOD, TASK, score, scored, write

REWARDS = textwrap.dedent("""
    from rlvr_rewards import reward

    @reward
    def brief(completion: str) -> float:
        return float(len(completion) < 100)

    @reward
    def moody(completion: str, mood: str) -> float:
        return {"raise": lambda: 1 / 0, "nan": lambda: float("nan"), "inf": lambda: float("inf"),
                "text": lambda: "good", "much": lambda: 7.0, "fine": lambda: 1.0}[mood]()

    @reward
    def short_batch(completions, **columns) -> list[float]:
        return [1.0] * (len(completions) + 1)
""")


def test_another_reward_takes_the_place_of_the_environments_own(files, tmp_path):
    (tmp_path / "mine.py").write_text(REWARDS)
    write(files[0], GOOD)
    assert score(files, "--reward", f"{tmp_path / 'mine.py'}:brief") == 0
    assert (scored(files)[0]["parts"], scored(files)[0]["success"]) == ({"brief": 1.0}, True)
    expression = f"2*exact_number + '{tmp_path / 'mine.py'}:brief'"
    assert score(files, "--reward", expression, "--force") == 0
    assert scored(files)[0]["reward"] == 3.0


def test_a_reward_that_fails_is_recorded_on_its_line_and_counted(files, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(REWARDS)
    moods = ("raise", "nan", "inf", "text", "much", "fine")
    write(files[0], GOOD, *({**GOOD, "task": {**TASK, "mood": mood}} for mood in moods))
    assert score(files, "--reward", f"{tmp_path / 'mine.py'}:moody") == 0
    lines = scored(files)
    assert [line["reward"] for line in lines] == [None] * 6 + [1.0]
    assert "no column 'mood'" in lines[0]["errors"]["moody"]
    assert "ZeroDivisionError" in lines[1]["errors"]["moody"]
    err = capsys.readouterr().err
    assert "first error: moody" in err
    assert next(line for line in err.splitlines() if "with errors" in line).split()[-2] == "6"


def test_a_batch_reward_of_the_wrong_length_is_an_error(files, tmp_path):
    (tmp_path / "mine.py").write_text(REWARDS)
    write(files[0], GOOD)
    assert score(files, "--reward", f"{tmp_path / 'mine.py'}:short_batch") == 2
    assert "2" in scored(files)[0]["errors"]["short_batch"]


def test_a_reward_that_fails_on_every_line_is_no_success(files, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(REWARDS)
    write(files[0], GOOD, GOOD)
    assert score(files, "--reward", f"{tmp_path / 'mine.py'}:moody") == 2
    assert [line["reward"] for line in scored(files)] == [None, None]
    err = capsys.readouterr().err
    assert next(line for line in err.splitlines() if "mean reward" in line).split()[-2] == "–"
    last = err.splitlines()[-1]
    assert "every one of the 2 lines has an error and no reward; the first: moody: LookupError" in last


def test_a_reward_may_name_parts_metrics_and_success_of_the_environment(files):
    env = make("scheduling")
    task = next(iter(env.rows("test", 0)))
    write(files[0], {"task": task, "completion": env.gold(task)})
    assert score(files, "--reward", "success + 0.5*optimum_ratio + 0.25*format", env="scheduling") == 0
    assert scored(files)[0]["reward"] == 1.75


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--reward", "exact_numbr"), "did you mean 'exact_number'?"),
        (("--reward", "nowhere.py:mine"), "nowhere.py: no such file"),
    ],
)
def test_an_unknown_reward_is_refused_before_anything_is_read(files, more, said, capsys):
    assert score(files, *more) == 2
    assert said in capsys.readouterr().err


def test_lines_under_a_reward_that_waits_are_scored_beside_each_other_and_in_order(files, tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
        import asyncio
        from rlvr_rewards import reward

        @reward(deadline_s=5.0)
        async def slow(completion: str) -> float:
            await asyncio.sleep(0.2)
            return float(completion.count("!") / 100)
        """)
    )
    write(files[0], *[{"task": TASK, "completion": "!" * number} for number in range(40)])
    start = time.monotonic()
    assert score(files, "--reward", f"{tmp_path}/mine.py:slow") == 0
    assert time.monotonic() - start < 4.0  # one after the other they would wait 8 s
    assert [line["reward"] for line in scored(files)] == [number / 100 for number in range(40)]
