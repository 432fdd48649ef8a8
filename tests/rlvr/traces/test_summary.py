"""The numbers of the tables, computed by hand."""

import pytest

from rlvr.traces.summary import by_group, summarise


def completion(group, reward, attempt=0, parts=None, errors=None, success=False, tokens=4):
    return {
        "group": group,
        "attempt": attempt,
        "task_id": "t",
        "reward": reward,
        "success": success,
        "parts": parts or {},
        "errors": errors or {},
        "completion_tokens": tokens,
        "kept": True,
    }


def test_means_leave_out_what_has_no_value():
    rows = [
        completion(0, 1.0, parts={"a": 1.0, "b": None}, success=True, tokens=2),
        completion(0, 0.0, parts={"a": 0.0, "b": 1.0}, tokens=4),
        completion(1, None, parts={"a": None}, errors={"a": "no"}, success=None, tokens=6),
    ]
    found = summarise(rows)
    assert (found.num_completions, found.reward, found.success, found.tokens) == (3, 0.5, 0.5, 4.0)
    assert found.parts == {"a": 0.5, "b": 1.0}
    assert found.errors == pytest.approx(1 / 3)


def test_zero_variance_counts_groups_in_which_all_earned_the_same():
    rows = [completion(0, 1.0), completion(0, 1.0), completion(1, 1.0), completion(1, 0.0)]
    assert summarise(rows).zero_variance == 0.5


def test_a_group_sampled_again_is_another_group():
    rows = [completion(0, 1.0), completion(0, 1.0), completion(0, 1.0, attempt=1), completion(0, 0.0, attempt=1)]
    assert summarise(rows).zero_variance == 0.5


def test_a_group_of_one_has_no_variance_to_speak_of():
    assert summarise([completion(0, 1.0), completion(1, 0.0)]).zero_variance is None


def test_nothing_is_unknown_and_not_zero():
    found = summarise([])
    assert (found.num_completions, found.reward, found.errors) == (0, None, None)


def test_groups_are_in_order():
    assert list(by_group([completion(10, 1.0), completion(2, 1.0)])) == [2, 10]
