"""Sets mixed by weight: the shares hold in every stretch, small sets repeat, and nothing is left to chance."""

from hypothesis import given
from hypothesis import strategies as st

from rlvr.data.mixing import mixed


def test_without_weights_sets_follow_each_other():
    assert mixed(["ab", "c"], [None, None], 10) == ["a", "b", "c"]
    assert mixed(["ab", "c"], [None, None], 2) == ["a", "b"]


def test_with_weights_small_sets_start_over_until_each_was_gone_through():
    found = mixed(["aaa", "b"], [1.0, 1.0], 100)
    assert sorted(found) == list("aaabbb")
    assert mixed(["aaaa", "b"], [3.0, 1.0], 4).count("b") == 1


@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0.1, 10)), min_size=1, max_size=4), st.integers(1, 200))
def test_every_stretch_from_the_start_holds_the_shares(sets, limit):
    items = [[number] * size for number, (size, _) in enumerate(sets)]
    weights = [weight for _, weight in sets]
    found = mixed(items, weights, limit)
    assert len(found) <= limit
    for end in range(1, len(found) + 1):
        for number, weight in enumerate(weights):
            assert abs(found[:end].count(number) - weight / sum(weights) * end) < len(sets)
