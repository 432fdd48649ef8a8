"""What each mutation makes of an answer, written out by hand."""

from random import Random

import pytest

from rlvr.audit.answer import cut
from rlvr.audit.case import Case
from rlvr.audit.mutations import CHANGES, HEDGES, KEEPS, LOSES, SCALES
from rlvr_rewards.numerals import read_number

DAY = {
    "events": [["call", "08:00", "09:00"], ["lunch", "08:30", "10:00"], ["walk", "10:00", "11:00"]],
    "priority_events": [],
    "optimal_score": 150,
}
PLAN = """<think>so</think>
<schedule>
<event><name>lunch</name><start>08:30</start><end>10:00</end></event>
<event><name>walk</name><start>10:00</start><end>11:00</end></event>
</schedule>"""


def case_of(gold, task=None, next_answer="9"):
    return Case(task or {}, "id", gold, cut(gold), "", "", next_answer, "8", "<answer>8</answer>", ("7", "8"), "7")


def mutated(name, answer, **more):
    text = {**LOSES, **KEEPS}[name](case_of(f"<think>so</think><answer>{answer}</answer>", **more), Random(0))
    return None if text is None else text.removeprefix("<think>so</think><answer>").removesuffix("</answer>")


@pytest.mark.parametrize(
    ("name", "answer", "after"),
    [
        ("last digit changed", "1,234", "1235"), ("last digit changed", "9", "0"), ("last digit changed", "-7", "-8"),
        ("last digit dropped", "124", "12"), ("last digit dropped", "7", ""),
        ("sign flipped", "7", "-7"), ("sign flipped", "-7", "7"), ("sign flipped", "0", None),
        ("off by one above", "99", "100"), ("off by one above", "86.5", "87.5"), ("off by one below", "7", "6"),
        ("ten times", "72", "720"), ("ten times", "0", None), ("ten times", "8.65", "86.50"),
        ("digits swapped", "1,234", "2134"), ("digits swapped", "77", None), ("digits swapped", "5", None),
        ("decimal moved", "72", "7.2"), ("decimal moved", "7", "0.7"), ("decimal moved", "86.5", "865"),
        ("a half too much", "7", "7.5"), ("a billionth too much", "7", "7.000000001"),
        ("comma misplaced", "1234", "123,4"), ("comma misplaced", "7", None),
        ("digits as words", "72", "seven two"), ("digits as words", "86.5", None),
        ("unit dropped", "72 clips", "72"), ("unit dropped", "5 km/h", "5"), ("unit dropped", "50%", "50"),
        ("unit dropped", "72", None), ("unit dropped", "room 7", None),
        ("name misspelt", "7", None), ("name misspelt", "Jo", "Jq"),
        ("answer of the next row", "7", "9"), ("answer of the next row", "9", None),
        ("last digit changed", "(3 + 12) / 2", "(3 + 12) / 3"), ("digits swapped", "(3 + 12)", "(3 + 21)"),
        ("event removed", "7", None), ("one minute shifted", "7", None),
        ("white space around the answer", "7", "\n 7\t"),
        ("thousands separators", "1234", "1,234"), ("thousands separators", "-1,234", "-1234"),
        ("thousands separators", "999", None),
        ("trailing zeros", "7", "7.00"), ("trailing zeros", "86.5", "86.50"), ("trailing zeros", "seven", None),
        ("currency sign", "1,234", "$1,234"), ("currency sign", "-7", "-$7"), ("currency sign", "72 clips", None),
        ("tags in capitals", "7", None),
        ("item removed", "a, b", "a"), ("item removed", '{"a": 1, "b": [2]}', '{"a": 1}'),
        ("item removed", "[1]", "[]"),
        ("item removed", "New York", None), ("item removed", "1,234", None), ("item removed", "a,\nb", None),
        ("item added", "a, b", "a, b, zebra"), ("item added", "[1, 2]", '[1, 2, "zebra"]'), ("item added", "7", None),
        ("item added", '{"a": 1}', '{"a": 1, "zebra": "zebra"}'), ("item added", "{}", None),
        ("field renamed", '{"a": 1, "b": 2}', '{"as": 1, "b": 2}'), ("field renamed", "[1]", None),
        ("field given twice", '{"a": 1}', '{"a": "zebra", "a": 1}'), ("field given twice", "a, b", None),
        ("fields in another order", '{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
        ("fields in another order", '{"a": 1}', None),
        ("white space inside JSON", "[1, 2]", "[\n    1,\n    2\n]"), ("white space inside JSON", "a, b", None),
    ],
)  # fmt: skip
def test_an_answer_after_it(name, answer, after):
    assert mutated(name, answer) == after


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("event added", [("call", "08:00", "09:00"), ("lunch", "08:30", "10:00"), ("walk", "10:00", "11:00")]),
        ("two events swapped", [("walk", "10:00", "11:00"), ("lunch", "08:30", "10:00")]),
        ("white space between events", [("lunch", "08:30", "10:00"), ("walk", "10:00", "11:00")]),
    ],
)
def test_a_schedule_after_it(name, lines):
    text = {**LOSES, **KEEPS}[name](case_of(PLAN, DAY), Random(0))
    events = [f"<event><name>{n}</name><start>{s}</start><end>{e}</end></event>" for n, s, e in lines]
    assert text is not None and text.split() == f"<think>so</think> <schedule>{' '.join(events)}</schedule>".split()


def test_what_is_drawn_changes_one_thing_of_a_schedule():
    removed = {LOSES["event removed"](case_of(PLAN, DAY), Random(seed)).count("<event>") for seed in range(9)}
    assert removed == {1}
    shifted = {LOSES["one minute shifted"](case_of(PLAN, DAY), Random(seed)) for seed in range(9)}
    assert len(shifted) == 2 and all(("08:29" in text) != ("10:59" in text) for text in shifted)
    case = case_of(PLAN, DAY)
    misspelt, gold = LOSES["name misspelt"](case, Random(0)), case.form(case.answer)
    assert sum(a != b for a, b in zip(misspelt, gold, strict=True)) == 1
    assert misspelt.count("<event><name>") == 2


@pytest.mark.parametrize("words", [*SCALES, *CHANGES, *HEDGES])
def test_no_word_behind_a_number_that_changes_it_is_taken_for_a_unit(words):
    assert read_number(f"86 {words}") is None


def test_gold_is_not_touched_by_what_only_writes_it_otherwise():
    case = case_of("<think>so</think><answer>1234</answer>")
    for name, write in KEEPS.items():
        text = write(case, Random(0))
        assert text is None or read_number(cut(text).answer) == 1234, name
