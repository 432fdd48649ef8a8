"""The solver against every subset of small days."""

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from rlvr_envs.scheduling.events import Event, by_start, time_of
from rlvr_envs.scheduling.solver import solve
from rlvr_envs.scheduling.verdict import total_value


@st.composite
def days(draw):
    count = draw(st.integers(0, 7))
    events = []
    for name in "ABCDEFG"[:count]:
        start = draw(st.integers(0, 11))
        events.append(Event(name, time_of(60 * start), time_of(60 * draw(st.integers(start + 1, 12)))))
    priorities = draw(st.lists(st.sampled_from([e.name for e in events]), unique=True)) if events else []
    return events, priorities


def is_valid(schedule):
    return all(first.end <= second.start for first, second in pairwise(schedule))


def brute_force(events, priorities):
    """The best value, and the most events with which it is reached."""
    subsets = (subset for size in range(len(events) + 1) for subset in combinations(by_start(events), size))
    return max((total_value(subset, priorities), len(subset)) for subset in subsets if is_valid(subset))


@given(days())
def test_the_plan_is_valid_and_as_good_as_the_best_subset(day):
    events, priorities = day
    plan = solve(events, priorities)
    assert is_valid(plan.chosen)
    assert (total_value(plan.chosen, priorities), len(plan.chosen)) == brute_force(events, priorities)
    assert plan.score == total_value(plan.chosen, priorities)


@given(days())
def test_each_total_is_the_best_of_the_events_from_there_on(day):
    events, priorities = day
    plan = solve(events, priorities)
    for i, total in enumerate(plan.totals):
        assert total == brute_force(plan.events[i:], priorities)[0]


@given(days())
def test_the_order_of_the_events_does_not_matter(day):
    events, priorities = day
    assert solve(events[::-1], priorities) == solve(events, priorities)
