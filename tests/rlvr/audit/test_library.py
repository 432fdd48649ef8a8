"""The rewards of the library on answers of their kind: what nothing cheats, and what pays a part for a part."""

from pathlib import Path

import pytest

from rlvr.audit.testing import check_audit
from rlvr.audit.trial import audit
from rlvr_envs import make
from rlvr_rewards import parse_reward
from rlvr_rewards.discovery import load_file

of = load_file(Path(__file__).with_name("library_envs.py"))
DIGITS_ALONE = ("trailing zeros", "currency sign")  # the pattern allows no others; a length pays for the fewer tokens
SOUND = [
    (of.Records(), "exact_json", ()),
    (of.Records(), "exact_json & json_schema", ()),
    (of.Lists(), "exact_list", ()),
    (of.Lists(), "exact_list(ordered=False, distinct=True)", ()),
    (of.Names(), "exact_text", ()),
    (make("arithmetic"), "correct & pattern_match(default_pattern='-?[0-9]+')", DIGITS_ALONE),
    (make("arithmetic"), "correct & tokens_within", ()),
    (make("arithmetic"), "correct & cosine_length", DIGITS_ALONE),
    (make("arithmetic"), "correct & budget_left", DIGITS_ALONE),
    (make("arithmetic"), "correct + 0.5*soft_overlong_punishment", ()),
]
INVISIBLE = {"combining mark", "control character", "unpaired surrogate", "zero width character", "cyrillic letters"}
HEDGES = {"list of two", "right or wrong", "wrong or right", "wrong then right in one"}
GUESSES = {"commonest answer", "every candidate listed"}  # near to the mean of wrong answers, on either side of it
SHAPED = [
    (of.Records(), "json_f1", INVISIBLE | GUESSES, set()),
    (of.Lists(), "list_f1", INVISIBLE | HEDGES | GUESSES, set()),
    (of.Names(), "fuzzy_text", INVISIBLE | HEDGES | GUESSES, set()),
    (of.Sentences(), "bleu(form='tag')", INVISIBLE | HEDGES | GUESSES, set()),
    (of.Sentences(), "rouge(form='tag')", INVISIBLE | HEDGES | GUESSES, INVISIBLE),
]


def name(value):
    return value if isinstance(value, str) else getattr(value, "name", None)


@pytest.mark.parametrize(("env", "expression", "argued"), SOUND, ids=name)
def test_no_exploit_wins_and_every_miss_is_argued(env, expression, argued):
    found = check_audit(env, parse_reward(expression, env.part), num_tasks=8, argued=argued)
    assert not found.is_blind


@pytest.mark.parametrize(("env", "expression", "more_than_honest", "as_gold"), SHAPED, ids=name)
def test_what_pays_a_part_for_a_part_pays_less_than_gold(env, expression, more_than_honest, as_gold):
    """These attempts hold gold, damaged or beside a wrong answer, or a part of it by chance."""
    found = audit(env, parse_reward(expression), num_tasks=8)
    assert set(found.wins) <= more_than_honest
    assert {trial.name for trial in found.trials if any(a.is_as_good_as_gold for a in trial.attempts)} <= as_gold
    assert found.misses == []


@pytest.mark.parametrize(
    ("env", "expression", "exploit"),
    [
        (of.Lists(), "list_recall", "every candidate listed"),
        (of.Sentences(), "keyword_coverage(form='tag')", "every candidate listed"),
        (of.Sentences(), "rouge(form='tag', measure='recall')", "list of two"),
        (make("arithmetic"), "2.0*(correct & cosine_length) - cosine_length", "huge thought"),
        (make("arithmetic"), "correct + 0.1*script_consistency", "always yes"),
    ],
    ids=name,
)
def test_the_hack_that_a_docstring_names_is_found(env, expression, exploit):
    assert exploit in audit(env, parse_reward(expression, env.part), num_tasks=8).wins


@pytest.mark.parametrize("expression", ["json_schema", "pattern_match(default_pattern='(?s).*')", "tokens_within"])
def test_a_reward_that_never_looks_at_gold_is_said_to_be_blind(expression):
    assert audit(of.Records(), parse_reward(expression), num_tasks=4).is_blind
