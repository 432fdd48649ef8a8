"""Numbers as people and models write them, read exactly."""

import time
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rlvr_rewards.numerals import gold_number, read_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7), ("-5", -5), ("−5", -5), ("+5", 5), ("007", 7), (" 7\n", 7), ("7.", 7), ("0", 0), ("-0", 0),
        ("1,000", 1000), ("1,234,567.50", Fraction(2469135, 2)), ("-12,345", -12345),
        ("3.5", Fraction(7, 2)), ("3.50", Fraction(7, 2)), (".5", Fraction(1, 2)), ("5.0", 5), ("0.1", Fraction(1, 10)),
        ("2.5e3", 2500), ("1E-2", Fraction(1, 100)), ("1e99", 10**99),
        ("3/4", Fraction(3, 4)), ("-6/8", Fraction(-3, 4)), ("1 3/4", Fraction(7, 4)), ("-1 1/2", Fraction(-3, 2)),
        ("$5", 5), ("-$5", -5), ("$-5", -5), (r"\$5", 5), ("£1,000.50", Fraction(2001, 2)), ("5 €", 5), ("₹5", 5),
        ("50%", 50), (r"50\%", 50), ("50 percent", 50), ("12.5 %.", Fraction(25, 2)),
        ("72 clips", 72), ("72 clips.", 72), ("5 km", 5), ("5km", 5), ("30 km/h", 30), ("20 °C", 20), ("90°", 90),
        ("10 m²", 10), ("3 square feet", 3), ("60 miles per hour", 60), ("3/4 cup", Fraction(3, 4)), ("5 dollars", 5),
        ("8 quarters", 8), ("3 months", 3), ("5 points", 5), ("7 five dollar bills", 7), ("2 double rooms", 2),
    ],
)  # fmt: skip
def test_accepted(text, number):
    assert read_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "seven", "-", "+", ".", "$", "%", "$.", "-.", "e5", ",", "/", "km",
        "3+4", "3-4", "3 - 4", "x = 7", "=7", "7=7", "2*3", "1.5/2", "3/4/5", "1/0", "-1/0", "7!", "2^3", "sqrt 4",
        "1,00,0", "1,0000", ",100", "0,123", "1,000,", "1.000,5", "1 000", "1_000", "1.2.3", "12,34",
        "inf", "-inf", "nan", "Infinity", "1e999", "1e100", "1e-999", "1e", "1e+", "0x10", "0b1",
        "(5)", "--5", "+-5", "-$-5", "- 5", "5-", "–5", "٣", "７", "²", "½", "Ⅷ",
        "5 million", "5 Thousand", "3 dozen", "5k", "5 K", "7th", "1st", "2x", "2pi", "3i", "3 and a half", "3 squared",
        "5 thousands", "5 hundred", "5 millions", "5 dozens", "5 mln", "7 tenths", "2 thirds", "3 hundredths",
        "5 halves", "7 point five", "7 divided by two", "7 multiplied by two", "7 by two", "7 doubled",
        "7 tripled", "7 halved",
        "7 or 8", "7 or eight", "7 and 8", "7, 8", "7;8", "7\n8", "7 clips 8", "7 is the answer, not eight", "**7**",
        "86 alternatively nine", "86 maybe eighty", "86 eighty", "7 clips eight", "7 otherwise six", "7 instead of six",
        "7 perhaps", "7 possibly not", "7 versus eight", "7 vs 8", "7 unless wrong", "7 if any", "7 else eight",
        "5 tens", "5 lakh", "5 crores", "1 third", "2 fifth", "4 sevenths", "7 raised to ten", "7 percent of ten",
        r"\frac{3}{4}", "7\x00", "7\ud800", "<7>", "7 not eight",
    ],
)  # fmt: skip
def test_not_accepted(text):
    assert read_number(text) is None


@pytest.mark.parametrize(
    "text",
    ["9" * 10_000_000, "-" * 10_000_000, "1" + ",000" * 2_500_000, " " * 10_000_000 + "7x", "1e" + "9" * 10_000_000],
    ids=["digits", "signs", "commas", "white space", "exponent"],
)
def test_ten_megabytes_are_refused_at_once(text):
    start = time.perf_counter()
    assert read_number(text) is None
    assert time.perf_counter() - start < 1


@given(st.integers(-(10**30), 10**30))
def test_a_whole_number_is_read_back_with_and_without_separators(number):
    assert read_number(str(number)) == read_number(f"{number:,}") == number


@given(st.decimals(-(10**9), 10**9, places=4))
def test_a_decimal_is_read_back_exactly_whatever_zeros_trail(number):
    assert read_number(f"{number:f}") == read_number(f"{number:f}000") == Fraction(number)


@given(st.text(max_size=120))
@example("1" * 100 + "/")
def test_no_text_raises(text):
    read_number(text)


@pytest.mark.parametrize(
    ("gold", "number"), [("1,000", 1000), (7, 7), (-2.5, Fraction(-5, 2)), (1e-07, Fraction(1, 10**7))]
)
def test_gold_may_be_text_or_a_number(gold, number):
    assert gold_number(gold) == number


@pytest.mark.parametrize("gold", ["seven", "", None, True, [7], float("nan"), float("inf"), "9" * 10_000])
def test_a_gold_that_is_no_number_raises_in_one_short_line(gold):
    with pytest.raises(ValueError, match="is not a number") as caught:
        gold_number(gold)
    assert len(str(caught.value)) < 200
