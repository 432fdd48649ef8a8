"""Each kind of failure, each mended defect, the tiers and the baselines."""

from itertools import islice
from statistics import fmean

import pytest

from rlvr_envs import make
from rlvr_envs.scheduling.events import minutes_of, overlapping, read_events
from rlvr_envs.scheduling.generator import SHAPES, Tier
from rlvr_envs.seeds import derive_random
from rlvr_rewards import UserError

DAY = {
    "events": [
        ["walk", "09:00", "10:00"],
        ["call", "09:30", "11:00"],
        ["lunch", "10:00", "11:00"],
        ["visit", "12:00", "13:00"],
    ],
    "priority_events": ["walk"],
    "optimal_score": 240,
}
PUBLISHED, COMPACT = make("scheduling"), make("scheduling?tier=compact")
WALK, CALL, LUNCH, VISIT = DAY["events"]


def write(*events, think="<think>so</think>"):
    elements = [f"<event><name>{n}</name><start>{s}</start><end>{e}</end></event>" for n, s, e in events]
    return f"{think}<schedule>{''.join(elements)}</schedule>"


@pytest.mark.parametrize(
    ("completion", "failure"),
    [
        ("", "format"),
        ("I would walk, then have lunch.", "format"),
        ("<schedule></schedule", "format"),
        ("<schedule>walk 09:00 10:00</schedule>", "format"),
        (write(["walk", "9am", "10am"], LUNCH), "format"),
        (write(), "too_few"),
        (write(WALK), "too_few"),
        (write(WALK, ["nap", "10:00", "11:00"]), "unknown_event"),
        (write(WALK, ["lunch", "10:00", "11:30"]), "unknown_event"),
        (write(["Walk", "09:00", "10:00"], LUNCH), "unknown_event"),
        (write(LUNCH, WALK), "unsorted"),
        (write(WALK, WALK), "unsorted"),
        (write(WALK, CALL), "overlap"),
        (write(WALK, LUNCH), "none"),
    ],
)
def test_the_first_failure_is_named(completion, failure):
    info = PUBLISHED.info(DAY, completion)
    assert info["failure"] == failure
    assert (info["optimum_ratio"] > 0) == (failure == "none")
    assert not PUBLISHED.success(DAY, completion)


@pytest.mark.parametrize(
    ("events", "failure"),
    [
        ([["nap", "08:00", "08:00"]], "too_few"),
        ([VISIT, ["nap", "09:00", "10:00"]], "unknown_event"),
        ([LUNCH, CALL], "unsorted"),
    ],
)
def test_where_several_fail_the_published_order_decides(events, failure):
    assert PUBLISHED.info(DAY, write(*events))["failure"] == failure


def test_valid_but_not_best_is_reported_apart_from_success():
    completion = write(WALK, LUNCH)
    assert PUBLISHED.info(DAY, completion) == {"failure": "none", "optimum_ratio": 0.75}
    assert PUBLISHED.score(DAY, completion).parts == {"format": 1.0, "order": 1.0, "value": 0.75}


def test_touching_events_are_allowed_by_reward_and_evaluation_alike():
    completion = write(WALK, LUNCH, VISIT)
    assert PUBLISHED.score(DAY, completion).reward == PUBLISHED.reward.max
    assert PUBLISHED.success(DAY, completion)


def test_both_members_of_an_overlapping_pair_earn_nothing():
    parts = PUBLISHED.score(DAY, write(WALK, CALL, VISIT)).parts
    assert parts == {"format": 1.0, "order": 1.0, "value": 60 / 240}


@pytest.mark.parametrize(
    "events", [[WALK, WALK], [WALK, LUNCH, ["nap", "14:00", "15:00"]], [WALK, ["lunch", "10:00", "10:45"]], [WALK]]
)
def test_an_invented_altered_duplicated_or_single_event_takes_the_whole_value(events):
    assert PUBLISHED.score(DAY, write(*events)).parts["value"] == 0.0


@pytest.mark.parametrize(
    "completion",
    [
        f"<think>{write(WALK, LUNCH, VISIT, think='')}</think>",
        f"<think>{write(WALK, LUNCH, VISIT, think='')}",
        f"<think>{write(WALK, LUNCH, VISIT, think='')}</think><schedule></schedule>",
        write(WALK, LUNCH, VISIT) + write(WALK, LUNCH, think=""),
        write(WALK, LUNCH, think="") + write(WALK, LUNCH, VISIT, think=""),
    ],
)
def test_a_schedule_inside_think_or_beside_another_does_not_count(completion):
    assert not PUBLISHED.success(DAY, completion)
    assert PUBLISHED.score(DAY, completion).parts["value"] == 0.0


def test_without_a_think_block_the_schedule_counts_and_the_format_does_not():
    completion = write(WALK, LUNCH, VISIT, think="")
    assert PUBLISHED.success(DAY, completion)
    assert PUBLISHED.score(DAY, completion).parts == {"format": 0.0, "order": 1.0, "value": 1.0}


def test_blanks_between_elements_are_no_error():
    spaced = write(WALK, LUNCH, VISIT).replace("><", ">\n  <").replace("walk", " walk ")
    assert PUBLISHED.success(DAY, spaced)


def test_the_compact_form_is_read_in_its_tier_alone():
    task = {
        "events": [["A", "00:00", "03:00"], ["B", "02:00", "04:00"], ["C", "03:00", "06:00"]],
        "priority_events": ["B"],
        "optimal_score": 360,
    }
    COMPACT.check(task)
    assert COMPACT.messages(task) == [{"role": "user", "content": "A0-3 B2-4* C3-6"}]
    assert COMPACT.gold(task) == "<think>C3 B4 A6</think><schedule>A0-3 C3-6</schedule>"
    assert PUBLISHED.info(task, COMPACT.gold(task))["failure"] == "format"
    assert COMPACT.info(task, "<schedule>A0-3 B2-4</schedule>")["failure"] == "overlap"
    assert COMPACT.info(task, "<schedule>A0-3 C3-7</schedule>")["failure"] == "unknown_event"
    assert COMPACT.info(task, "<schedule>A0-3C3-6</schedule>")["failure"] == "format"


@pytest.mark.parametrize("tier", list(Tier))
def test_drawn_days_keep_to_the_tier(tier):
    shape = SHAPES[tier]
    for task in islice(make("scheduling", tier=tier).rows("train", 0), 40):
        events, count = read_events(task["events"]), len(task["events"])
        assert shape.num_events[0] <= count <= shape.num_events[1]
        assert all(shape.duration[0] <= event.minutes <= shape.duration[1] for event in events)
        assert all(minutes_of(time) % shape.step == 0 for event in events for time in event[1:])
        assert all(event.start >= "00:00" and event.end <= "24:00" for event in events)
        assert any(overlapping(one, other) for one in events for other in events if one is not other)
        assert max(1, count // 5) <= len(task["priority_events"]) <= 2 * count // 5


@pytest.mark.parametrize("tier", list(Tier))
def test_every_baseline_is_valid_and_only_the_solver_always_succeeds(tier):
    environment = make("scheduling", tier=tier)
    tasks = list(islice(environment.rows("test", 1), 40))
    for name, baseline in environment.baselines().items():
        answers = [baseline(task, derive_random(0, task=i)) for i, task in enumerate(tasks)]
        infos = [environment.info(task, answer) for task, answer in zip(tasks, answers, strict=True)]
        assert {info["failure"] for info in infos} == {"none"}, name
        assert (fmean(info["optimum_ratio"] for info in infos) == 1.0) == (name == "optimal"), name


def test_greedy_falls_short_on_hard_days():
    environment = make("scheduling?tier=hard")
    greedy = environment.baselines()["greedy_heuristic"]
    tasks = islice(environment.rows("train", 2), 100)
    ratios = [environment.info(task, greedy(task, derive_random(0)))["optimum_ratio"] for task in tasks]
    assert fmean(ratios) < 0.9


def test_the_order_of_events_or_another_column_makes_no_other_task():
    shuffled = {**DAY, "events": DAY["events"][::-1], "prompt": "Plan my day"}
    assert PUBLISHED.task_id(shuffled) == PUBLISHED.task_id(DAY)
    assert PUBLISHED.score(shuffled, PUBLISHED.gold(shuffled)).reward == PUBLISHED.reward.max
    assert PUBLISHED.task_id({**DAY, "priority_events": ["visit"]}) != PUBLISHED.task_id(DAY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"events": "walk"}, "a list is needed"),
        ({"events": [["walk", "09:00"]]}, "an event is"),
        ({"events": [["walk", "09:00", "24:15"]]}, "24:15"),
        ({"events": [["walk", "9:00", "10:00"]]}, "9:00"),
        ({"events": [["walk", "10:00", "10:00"]]}, "not after its start"),
        ({"events": [["<b>", "09:00", "10:00"]]}, "cannot be a name"),
        ({"events": [WALK, WALK]}, "two events are called 'walk'"),
        ({"priority_events": ["nap"]}, "'nap' is not among the events"),
        ({"optimal_score": 230}, "240 is the optimum"),
        ({"events": [WALK, CALL], "optimal_score": 120}, "the best schedule has fewer than 2"),
    ],
)
def test_a_row_that_cannot_be_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        PUBLISHED.check({**DAY, **change})


def test_compact_refuses_what_its_form_cannot_write():
    with pytest.raises(UserError, match="one letter and whole hours"):
        COMPACT.check(DAY)


def test_an_unknown_tier_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="'published', 'compact' or 'hard'"):
        make("scheduling?tier=easy")
