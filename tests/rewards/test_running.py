"""Rewards that are not computed in their place: deadlines, crashes, and the time that a batch takes."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from rlvr_rewards import UserError, parse_reward, penalty, reward
from rlvr_rewards.discovery import load_file
from rlvr_rewards.pool import end_workers

theirs = load_file(Path(__file__).parent / "running_rewards.py")
LATE = "TimeoutError: took over"


def errors(scores):
    return [next(iter(score.errors.values()), "").partition(";")[0] for score in scores]


def test_a_worker_that_hangs_or_dies_costs_one_completion():
    said = ["fine", "hang", "exit", "leave", "crash", "memory", "raise", "none", "much", "text", "fine"]
    scores = theirs.fickle.score_batch(said, {})
    assert errors(scores) == [
        "",
        "TimeoutError: took over 1 s: its worker process was killed and replaced",
        "WorkerDiedError: its worker process died with exit code 3",
        "SystemExit: 1",
        "WorkerDiedError: its worker process died of signal SIGSEGV",
        "MemoryError",
        "KeyError: 'x'",
        "",
        "ValueError: returned 7, outside [0, 1]: scale it by a weight, not in the function",
        "TypeError: returned 'much': return a number or None",
        "",
    ]
    assert [score.reward for score in scores] == [0.5, *[None] * 9, 0.5]
    assert theirs.fickle.using(worth=0.25).score("fine").reward == 0.25


def test_a_deadline_can_be_set_where_the_reward_is_used():
    shorter = parse_reward("fickle(deadline_s=0.3)", {"fickle": theirs.fickle}.__getitem__)
    start = time.monotonic()
    assert "took over 0.3 s" in shorter.score("hang").errors["fickle"]
    assert time.monotonic() - start < 1.0 + 10.0
    with pytest.raises(UserError, match="deadline_s=0"):
        theirs.fickle.using(deadline_s=0)


@pytest.mark.parametrize("slow", [theirs.sleeps, theirs.asleep, theirs.sleeps + theirs.asleep], ids=repr)
def test_512_completions_that_wait_a_second_take_less_than_three(slow):
    start = time.monotonic()
    scores = slow.score_batch(["1"] * 512, {})
    assert time.monotonic() - start < 3.0
    assert {score.reward for score in scores} == {slow.max}


@pytest.mark.parametrize("slow", [theirs.sleeps, theirs.asleep], ids=repr)
def test_each_completion_has_its_own_deadline(slow):
    start = time.monotonic()
    scores = slow.using(deadline_s=0.5).score_batch(["0", "2", "0.1", "2"], {})
    assert time.monotonic() - start < 1.5
    assert [score.reward for score in scores] == [1.0, None, 1.0, None]
    assert errors(scores)[1].startswith(LATE)


def test_stuck_threads_hold_nobody_up(monkeypatch):
    monkeypatch.setattr("rlvr_rewards.threads.MAX_THREADS", 2)
    scores = theirs.sleeps.using(deadline_s=0.2).score_batch(["3", "3", "3", "0", "0"], {})
    assert [score.reward for score in scores] == [None, None, None, 1.0, 1.0]


@pytest.mark.parametrize("how", ["block", "refuse"])
def test_a_coroutine_that_cannot_be_cancelled_is_an_error_and_the_next_batch_is_well(how):
    assert errors([theirs.stubborn.score(how)])[0].startswith(LATE)
    assert theirs.stubborn.score("fine").reward == 0.0


def test_async_rewards_work_inside_a_running_loop_and_are_awaited_when_called():
    async def inside():
        return theirs.asleep.score("0").reward, await theirs.asleep("0")

    assert asyncio.run(inside()) == (1.0, 1.0)


def test_batch_functions_run_anywhere_too():
    found = theirs.batch_in_process.score_batch(["abc", "d"], {"answer": ["a", "de"]})
    assert [score.reward for score in found] == [2.0, -1.0]
    assert [score.reward for score in theirs.batch_asleep.score_batch(["abc", "d"], {})] == [3.0, 1.0]


def test_all_slow_parts_are_begun_before_any_is_waited_for():
    one, other = theirs.sleeps, theirs.sleeps.named("other")
    start = time.monotonic()
    (one + other + theirs.asleep).score_batch(["1"] * 4, {})
    assert time.monotonic() - start < 1.9


def test_what_a_condition_rules_out_is_not_computed():
    seen = []

    @reward(runs="thread")
    def costly(completion):
        seen.append(completion)
        return 1.0

    scores = costly.when(lambda kind: kind == "a").score_batch(["x", "y"], {"kind": ["a", "b"]})
    assert seen == ["x"]
    assert [score.reward for score in scores] == [1.0, None]


def test_a_missing_column_is_an_error_of_its_row():
    @reward(runs="thread")
    def needy(completion, answer):
        return 1.0

    assert needy.score("x").errors == {"needy": "LookupError: the task row has no column 'answer'; it has: none"}


def test_workers_are_kept_and_shared():
    first, second = (theirs.whose.score_batch(["x"] * 50, {}) for _ in range(2))
    assert {score.reward for score in first} & {score.reward for score in second}
    assert os.getpid() / 10**9 not in {score.reward for score in first}


def test_several_threads_may_score_at_once():
    found = []
    threads = [threading.Thread(target=lambda: found.append(theirs.fickle.score("fine").reward)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0.5] * 8


def test_a_worker_killed_while_idle_is_replaced():
    pid = round(theirs.whose.score("x").reward * 10**9)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    scores = theirs.whose.score_batch(["x"] * 4, {})
    assert not any(score.errors for score in scores)


def test_what_is_no_plain_data_is_named():
    score = theirs.batch_in_process.score("abc", answer="a", lock=object())
    assert "only plain data (JSON)" in score.errors["batch_in_process"]


def test_a_function_that_workers_cannot_find_is_refused():
    @reward(runs="process")
    def inner(completion):
        return 1.0

    with pytest.raises(UserError, match="write it with def at the top of a module"):
        inner.score("x")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runs": "gpu"}, "choose inline, process, thread"),
        ({"runs": "loop"}, "choose inline, process, thread"),
        ({"deadline_s": 1.0}, "deadline_s needs runs="),
        ({"runs": "thread", "deadline_s": -1.0}, "give seconds above 0"),
        ({"runs": "thread", "imports": ["math"]}, "imports is for runs='process'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        penalty(**arguments)(lambda completion: 0.0)


def test_a_trainers_own_things_do_not_go_to_a_worker():
    def curious(completion, trainer_state):
        return 1.0

    with pytest.raises(UserError, match="trainer_state cannot go to a worker process"):
        reward(runs="process")(curious)


def script(tmp_path, text):
    (tmp_path / "theirs.py").write_text((Path(__file__).parent / "running_rewards.py").read_text())
    file = tmp_path / "script.py"
    file.write_text(textwrap.dedent(text))
    return [sys.executable, str(file)]


def test_a_function_of_the_script_itself_is_refused_with_the_way_out(tmp_path):
    command = script(
        tmp_path,
        """
        from rlvr_rewards import UserError, reward

        @reward(runs="process")
        def mine(completion):
            return 1.0

        try:
            mine.score("x")
        except UserError as error:
            print(error)
        """,
    )
    assert "move it into a file of its own" in subprocess.check_output(command, text=True)


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, None], ids=["kill -9", "Ctrl-C", "normal"])
def test_workers_end_with_their_parent(tmp_path, ending):
    command = script(
        tmp_path,
        """
        import sys, time
        from theirs import fickle, whose
        pids = {round(score.reward * 10**9) for score in whose.score_batch(["x"] * 200, {})}
        print(*pids, flush=True)
        if len(sys.argv) > 1:
            fickle.using(deadline_s=2.0).score_batch(["hang"] * 9, {})
        """,
    )
    process = subprocess.Popen(
        [*command, *(["hang"] if ending else [])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert pids
    if ending:
        time.sleep(0.3)
        process.send_signal(ending)
    _, said = process.communicate(timeout=30)
    assert said.count("Traceback") == (ending == signal.SIGINT)  # the parent's own KeyboardInterrupt
    end = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(alive, pids))


def test_ending_the_workers_is_no_end():
    end_workers()
    assert theirs.fickle.score("fine").reward == 0.5
