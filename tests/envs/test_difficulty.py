"""How hard a task is before anyone tries it: from the row alone, and in the order that one would give."""

from itertools import islice

from rlvr_envs import make
from rlvr_envs.library.gsm8k import Gsm8k


def rising(env, *tasks):
    found = [env.difficulty(task) for task in tasks]
    assert found == sorted(found) and len(set(found)) == len(found), found
    assert all(0 <= value <= 1 for value in found)


def test_sums_are_harder_with_more_digits_carries_and_below_zero():
    questions = ("1+2", "9+2", "45-12", "13-67", "45+67")
    rising(make("arithmetic"), *({"question": question, "answer": ""} for question in questions))
    assert make("arithmetic?largest=9").difficulty({"question": "1-9", "answer": "-8"}) == 0.75


def test_countdown_is_harder_the_more_numbers_it_takes():
    rising(make("countdown"), *({"solution": text} for text in ("3 * 5", "(3 * 5) + 7", "((3 * 5) + 7) - 12")))
    assert make("countdown?num_numbers=2").difficulty({"solution": "3 * 5"}) == 0.0


def test_word_problems_are_harder_with_more_steps_and_unknown_without_marks():
    steps = [{"question": "", "answer": "<<1+1=2>>" * count + "#### 2"} for count in (1, 3, 8)]
    rising(Gsm8k(), *steps)
    assert Gsm8k().difficulty({"question": "", "answer": "<<1+1=2>>" * 20 + "#### 2"}) == 1.0
    assert Gsm8k().difficulty({"question": "", "answer": "#### 2"}) is None


def test_days_are_harder_the_more_events_go_together():
    def day(*events):
        return {"events": [[name, f"0{start}:00", f"0{end}:00"] for name, start, end in events]}

    env = make("scheduling?tier=compact")
    rising(
        env,
        day(("A", 0, 5), ("B", 1, 6), ("C", 2, 7)),
        day(("A", 0, 3), ("B", 1, 6), ("C", 4, 7)),
        day(("A", 0, 3), ("B", 3, 5), ("C", 5, 7)),
    )


def test_tasks_of_an_environment_differ_in_it():
    for spec in ("arithmetic", "countdown", "scheduling", "scheduling?tier=compact", "scheduling?tier=hard"):
        env = make(spec)
        found = {env.difficulty(task) for task in islice(env.rows("train", 0), 30)}
        assert len(found) > 2, (spec, found)
