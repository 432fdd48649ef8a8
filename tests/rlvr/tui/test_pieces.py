"""The parts that pages are made of: wrapping, glyphs, differences, token texts."""

import doctest
import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from rlvr.tui import theme
from rlvr.tui.differences import differences
from rlvr.tui.glyphs import braille, fixed, glyph, number, sparkline
from rlvr.tui.lines import fitted, width_of
from rlvr.tui.tokens import Vocabulary, vocabulary
from rlvr.tui.wrap import marked_runs, safe_runs, wrapped


@pytest.mark.parametrize("name", ["glyphs", "wrap", "differences", "lines", "describe", "pages.runs"])
def test_what_the_docstrings_show(name):
    failed, tried = doctest.testmod(importlib.import_module(f"rlvr.tui.{name}"))
    assert tried
    assert not failed


@given(st.text(alphabet=st.characters(exclude_characters="\r\t"), max_size=300), st.integers(2, 60))
def test_wrapping_loses_nothing_and_keeps_to_the_width(text, width):
    safe = "".join(run[0] for run in safe_runs(text))
    lines = wrapped(safe_runs(text), width)
    assert "".join(run[0] for line in lines for run in line) == safe.replace("\n", "")
    assert all(cell_len("".join(run[0] for run in line).rstrip()) <= width for line in lines)


@given(st.text(max_size=200), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=5))
def test_marking_places_in_a_text_changes_no_character(text, spans):
    runs = marked_runs(text, [(start, end, "match") for start, end in spans])
    assert "".join(run[0] for run in runs) == "".join(run[0] for run in safe_runs(text))


@given(st.text(max_size=80), st.integers(0, 40))
def test_what_is_fitted_takes_exactly_its_columns(text, width):
    line = "".join(run[0] for run in safe_runs(text)).replace("\n", " ")
    assert width_of(fitted([(line, "")], width)) == width


@given(st.text(alphabet="ab c\n", max_size=60), st.text(alphabet="ab c\n", max_size=60))
def test_what_is_not_marked_as_different_is_the_same_in_both(first, second):
    ours, theirs = differences(first, second)

    def rest(text, spans):
        kept = [sign for at, sign in enumerate(text) if not any(start <= at < end for start, end in spans)]
        return "".join(kept).split()

    assert "".join(rest(first, ours)) == "".join(rest(second, theirs))


@given(st.lists(st.none() | st.floats(), max_size=50), st.integers(1, 40), st.integers(1, 8))
def test_curves_of_any_numbers_have_their_size(values, width, height):
    lines = braille(values, width, height, 0.0, 1.0)
    assert [len(line) for line in lines] == [width] * height
    assert len(sparkline(values, width)) == width


@given(st.floats())
def test_any_number_is_short(value):
    assert len(number(value)) <= 10
    assert len(glyph(value, 0, 1)) == 1
    assert fixed(value)


def test_a_wall_of_text_is_wrapped_in_no_time():
    import time

    started = time.process_time()
    lines = wrapped(safe_runs("größer " * 40_000), 78)
    assert len(lines) > 3000
    assert time.process_time() - started < 3


def test_tokens_that_share_a_character_and_specials_that_the_text_leaves_out():
    known = Vocabulary({0: "é".encode()[:1], 1: "é".encode()[1:], 2: b" a", 3: b"<eos>"}, frozenset({3}))
    assert known.spans([0, 1, 2, 3], "é a") == [(0, 1), (1, 1), (1, 3), (3, 3)]
    assert known.spans([2, 2], "é a") is None
    assert known.spans([0, 1, 9], "é a") is None


def test_a_vocabulary_with_marks_for_blanks_and_bytes(tmp_path):
    folder = tmp_path / "models" / "grpo"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(
        '{"model": {"vocab": {"▁the": 0, "<0xE2>": 1, "<0x82>": 2, "<0xAC>": 3}}, "decoder": {"type": "Metaspace"}}'
    )
    found = vocabulary(tmp_path, "grpo")
    assert found.spans([0, 0, 1, 2, 3], "the the€") == [(0, 3), (3, 7), (7, 8), (8, 8), (8, 8)]


def test_a_tokenizer_that_is_none_is_passed_over(tmp_path):
    folder = tmp_path / "models" / "grpo"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text("[1, 2")
    assert vocabulary(tmp_path, "grpo") is None
    assert vocabulary(None, "grpo") is None


def test_every_look_has_its_colours_in_both_themes_and_a_sign_without_colour():
    for found in (theme.DARK, theme.LIGHT):
        variables = {**found.to_color_system().generate(), **found.variables}
        looks = theme.palette(variables, no_color=False)
        assert looks["good"].color != looks["bad"].color
        assert looks["cursor"].bgcolor is not None
    plain = theme.palette({}, no_color=True)
    assert all(style.color is None and style.bgcolor is None for style in plain.values())
    assert plain["cursor"].reverse
    assert plain["differs"].underline
    assert not any(style.strike for style in plain.values())  # struck out, a text cannot be read
