"""Pairs from groups: the widest margin among those of about one length, and no length to be learned from them."""

from hypothesis import given
from hypothesis import strategies as st

from rlvr.data.pairs import Candidate, Group, pairs_of

PROMPT = [{"role": "user", "content": "?"}]


def group(*candidates, task="t"):
    made = [Candidate(f"{number}", reward, tokens) for number, (reward, tokens) in enumerate(candidates)]
    return Group(task, PROMPT, made)


def chosen_and_rejected(found):
    return [(pair.chosen.text, pair.rejected.text) for pair in found.pairs]


def test_best_against_worst_of_about_one_length():
    one = group((1.0, 40), (0.9, 20), (0.0, 20), (0.5, 39))
    assert chosen_and_rejected(pairs_of([one], margin=0.0, length_gap=None)) == [("0", "2")]
    assert chosen_and_rejected(pairs_of([one], margin=0.0, length_gap=0.2)) == [("1", "2")]


def test_of_equal_margins_the_closest_lengths():
    assert chosen_and_rejected(pairs_of([group((1.0, 30), (0.0, 33), (0.0, 31))], 0.0, 0.2)) == [("0", "2")]


def test_groups_without_a_pair_are_counted_by_why():
    groups = [
        group((1.0, 9), (1.0, 9)),
        group((1.0, 9), (0.8, 9)),
        group((1.0, 90), (0.0, 9)),
        group((None, 9), (1.0, 9)),
        Group("t", PROMPT, [Candidate("a", 1.0, 9), Candidate("b", 0.0, 9, finished=False)]),
    ]
    found = pairs_of(groups, margin=0.5, length_gap=0.2)
    assert not found.pairs
    assert found.dropped == {"no_margin": 2, "no_length_match": 1, "unusable": 2}
    assert found.numbers()["dropped/no_margin"] == 2


def test_pairs_are_dropped_until_the_better_ones_are_no_longer_than_the_worse():
    longer = [group((1.0, 24), (0.0, 20)) for _ in range(9)]
    shorter = [group((1.0, 20), (0.0, 21)) for _ in range(4)]
    found = pairs_of([*longer, *shorter], 0.0, 0.2)
    assert abs(found.numbers()["chosen_longer_tokens"]) <= 1
    assert found.dropped == {"uneven_lengths": 13 - len(found.pairs)}
    assert len(pairs_of([*longer, *shorter], 0.0, None).pairs) == 13


candidates = st.lists(st.tuples(st.one_of(st.none(), st.floats(0, 1)), st.integers(1, 60)), min_size=2, max_size=6)


@given(st.lists(candidates, max_size=12), st.floats(0, 0.5), st.floats(0, 1))
def test_every_pair_keeps_the_margin_and_the_length(groups, margin, length_gap):
    found = pairs_of([group(*each) for each in groups], margin, length_gap)
    assert len(found.pairs) + found.dropped.total() == len(groups)
    for pair in found.pairs:
        assert pair.margin > 0 and pair.margin >= margin
        assert abs(pair.longer) <= length_gap * max(pair.chosen.tokens, pair.rejected.tokens)
    assert abs(sum(pair.longer for pair in found.pairs)) <= len(found.pairs)
