"""A model's text on a terminal: visible, and harmless."""

import doctest
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rlvr.traces import columns, fields, query, text
from rlvr.traces.schema import to_table
from rlvr.traces.show import show_group
from rlvr.traces.summary import row_dicts
from rlvr.traces.text import think_and_answer, visible

any_text = st.text(st.characters(codec=None, categories=None))


def test_the_examples_hold():
    assert doctest.testmod(text).failed == 0


@given(any_text)
def test_no_control_character_gets_through(given_text):
    shown = visible(given_text)
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t"]
    assert not set(shown) & set("\u202a\u202e\u2066\u2069\u2028\u200b\ufeff")


def test_what_people_write_is_left_alone():
    plain = "naïve Σ 漢字 👩‍🚀\n\tx ≤ y"
    assert visible(plain) == plain


@given(any_text)
def test_think_and_answer_are_the_whole_completion(completion):
    assert "".join(think_and_answer(completion)) == completion


@pytest.mark.parametrize(
    ("completion", "answer"),
    [("<think>a</think>b", "b"), ("<think>a</think>b<think>c", ""), ("a</think>b</think>c", "c"), ("<think>a", "")],
)
def test_the_answer_is_what_the_rewards_see(completion, answer):
    assert think_and_answer(completion)[1] == answer


def test_ten_megabytes_take_linear_time():
    assert len(visible("\x1b<think>" * 1_250_000)) == 11 * 1_250_000


def test_a_hostile_row_sends_nothing_to_the_terminal_but_our_own_styles(row):
    hostile = "\x1b]0;owned\x07\x1b[2J\r[bold]x[/bold]\u202e"
    out = io.StringIO()
    given_row = {
        **row_dicts(to_table([row()]))[0],
        "completion": f"<think>{hostile}</think>{hostile}",
        "parts": {hostile: 1.0},
        "errors": {hostile: hostile},
        "gold": hostile,
        "finish_reason": hostile,
        "task": hostile,
        "info": hostile,
    }
    console = Console(file=out, width=80, markup=False, highlight=False, force_terminal=True, color_system=None)
    show_group(console, hostile, [given_row])
    shown = out.getvalue()
    assert not set("\x07\r\u202e") & set(shown)
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "[bold]x[/bold]" in shown


def test_the_examples_of_the_other_modules_hold():
    for module in (columns, fields, query):
        assert doctest.testmod(module).failed == 0


def test_a_long_text_is_cut_and_says_by_how_much():
    assert text.cut("x" * 10_000_000, 100) == ("x" * 100, 9_999_900)
    assert text.cut("short") == ("short", 0)
