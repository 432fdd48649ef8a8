"""The filter line: what it means, and how it says what is wrong with it."""

import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.traces.query import FilterError, parse_filter
from rlvr.traces.schema import to_table


@pytest.fixture
def table(row):
    return to_table(
        [
            row(sample=0, reward=0.1, parts={"format": 1.0, "correct": 0.0}, token_ids=[1] * 300, success=False),
            row(sample=1, reward=1.2, parts={"format": 1.0, "correct": 1.0}, finish_reason="length"),
            row(sample=2, reward=None, parts={"format": None}, errors={"correct": "ValueError: no"}, success=None),
            row(sample=3, reward=0.2, parts={}, info={"failure": "overlap", "n": 3, "ok": True}, completion="Wait, NO"),
        ]
    )


def passed(text, table):
    found = parse_filter(text)
    mask = found.mask(table.select(sorted(found.columns)))  # only the columns that it names are at hand
    assert mask.null_count == 0
    return [number for number, kept in enumerate(mask.to_pylist()) if kept]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("reward < 0.2", [0]),
        ("reward <= 0.2", [0, 3]),
        ("0.2 >= reward", [0, 3]),
        ("reward < 0.2 and parts.format == 1 and length > 200", [0]),
        ("reward is none", [2]),
        ("reward is not none", [0, 1, 3]),
        ("reward != 0.1", [1, 3]),  # what has no value is neither equal nor different
        ("not reward == 0.1", [1, 2, 3]),
        ("success", [1, 3]),
        ("not success", [0, 2]),
        ("success == false", [0]),
        ('finish_reason == "length" or errors > 0', [1, 2]),
        ("finish_reason == 'length' || errors >= 1", [1, 2]),
        ('completion ~ "(?i)wait,? no"', [3]),
        ('completion !~ "3\\+4"', [3]),
        ('completion contains "NO"', [3]),
        ('completion ~ "3" and reward < 0.5 and prompt ~ "3"', [0]),  # texts last, in the rows that are left alone
        ('completion ~ "." and reward > 99', []),
        ('reward > 99 or not (completion !~ "NO" or success == false)', [3]),
        ('prompt ~ "^3\\+4=\\?$"', [0, 1, 2, 3]),
        ('prompt contains "user"', []),  # what the message says, not the JSON around it
        ("sample in (1, 3)", [1, 3]),
        ('sample not in (1, 3) and stage in ("grpo")', [0, 2]),
        ('info.failure == "overlap"', [3]),
        ("info.n >= 3 and info.ok", [3]),
        ("info.n == 'overlap'", []),
        ('errors.correct ~ "ValueError"', [2]),
        ("parts.correct > parts.format", []),
        ("parts.correct < parts.format", [0]),
        ('parts."format" == 1', [0, 1]),
        ("parts.nothing is none", [0, 1, 2, 3]),
        ("(reward < 0.2 or reward > 1) and not (sample == 1)", [0]),
        ("reward > -1e-3 AND NOT reward > .5", [0, 3]),
        ('task.question == "3+4"', [0, 1, 2, 3]),
    ],
)
def test_what_a_filter_lets_through(text, rows, table):
    assert passed(text, table) == rows


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("", 0, "an empty filter"),
        ("rewrad < 1", 0, "did you mean reward?"),
        ("reward <", 8, "missing at the end"),
        ("reward < 1 and", 14, "missing at the end"),
        ("reward = 1", 7, "write == to compare"),
        ("(reward < 1", 0, "never closed"),
        ("reward < 1)", 10, "never opened"),
        ('reward < "a"', 9, "is a text"),
        ('completion ~ "("', 13, "no regular expression"),
        ("completion ~ wait", 13, "text in quotes"),
        ('finish_reason == "length', 17, "no closing quote"),
        ("length", 6, "compare length, as in length > 0"),
        ("reward < 1 < 2", 11, "two at a time"),
        ("reward < 1 length > 2", 11, "and or or is missing"),
        ("reward is empty", 10, "none or not none"),
        ("1 < 2", 0, "one side must be a field"),
        ("completion < 3", 13, "is a number"),
        ('stage < "b"', 6, "only numbers are more or less"),
        ("reward < 1 § 2", 11, "means nothing here"),
        ("step in (1, x)", 12, "a list holds numbers and texts"),
        ("step in 1", 8, "wants a list"),
        ("(" * 60 + "success" + ")" * 60, 50, "too deep"),
    ],
)
def test_a_mistake_is_shown_where_it_is(text, column, said):
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert said in caught.value.message
    assert caught.value.column == column


def test_a_part_that_there_is_not_names_those_that_there_are():
    with pytest.raises(FilterError, match="there is: correct, format"):
        parse_filter("parts.formt < 1", ["correct", "format"])


@given(st.text(st.sampled_from("reward<>=!~()\"' andor.not1 2in,is none\\"), max_size=60))
def test_any_line_is_a_filter_or_one_clear_error(text):
    try:
        parse_filter(text)
    except FilterError as error:
        assert 0 <= error.column <= len(text)
        assert "\n" not in error.message


def test_a_regular_expression_takes_linear_time(row):
    table = to_table([row(completion="a" * 200_000)])
    started = time.perf_counter()
    assert passed('completion ~ "^(a+)+$"', table) == [0]
    assert passed('completion ~ "^(a|aa)+b$"', table) == []
    assert time.perf_counter() - started < 5


def test_nothing_is_evaluated():
    with pytest.raises(FilterError):
        parse_filter("__import__('os').system('true')")


def test_an_empty_table_has_an_empty_mask(row):
    found = parse_filter("parts.a < 1 or completion ~ 'x' or info.a == 1")
    assert found.mask(to_table([row()]).slice(0, 0)).type == pa.bool_()
