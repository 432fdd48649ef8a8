"""`rlvr score`: what a line becomes, what is refused, and that nothing half-written is ever left."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from itertools import islice

import pytest

from rlvr.cli import main
from rlvr_envs import make

TASK = {"question": "1+2", "answer": "3"}
GOOD = {"task": TASK, "completion": "<think>1+2</think><answer>3</answer>"}


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def score(files, *more, env="arithmetic"):
    return main(["score", "--env", env, "--input", str(files[0]), "--output", str(files[1]), *more])


def scored(files):
    return [json.loads(line) for line in files[1].read_text().splitlines()]


def test_a_line_gains_its_verdict_and_keeps_its_other_keys(files, capsys):
    write(files[0], {**GOOD, "id": [7, None], "reward": "old"}, {**GOOD, "completion": "3"})
    assert score(files) == 0
    right, wrong = scored(files)
    env = make("arithmetic")
    assert right == {
        **GOOD,
        "id": [7, None],
        "reward": env.reward.max,
        "success": True,
        "parts": {"correct": 1.0, "format": 1.0},
        "errors": {},
        "info": {},
    }
    assert wrong["success"] is False and wrong["reward"] < right["reward"]
    summary = capsys.readouterr().err
    assert "completions" in summary and "0.500" in summary


def test_standard_input_to_standard_output():
    done = subprocess.run(
        [sys.executable, "-m", "rlvr", "score", "--env", "arithmetic", "--input", "-", "--output", "-"],
        input=json.dumps(GOOD),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["success"] is True


def test_the_golds_of_an_environment_all_succeed(files):
    env = make("arithmetic")
    write(files[0], *({"task": task, "completion": env.gold(task)} for task in islice(env.rows("test", 0), 50)))
    assert score(files) == 0
    assert all(line["success"] and line["reward"] == env.reward.max for line in scored(files))


def test_gsm8k_is_scored_by_its_own_rules(files, tmp_path):
    for split in ("train", "test"):
        row = {"question": f"A pen costs 2 and a {split} 3. Both?", "answer": "2+3=<<2+3=5>>5\n#### 5"}
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    env = make(f"gsm8k?path={tmp_path}")
    task = next(iter(env.rows("test", 0)))
    write(files[0], {"task": task, "completion": env.gold(task)}, {"task": task, "completion": "It is 5"})
    assert score(files, env=f"gsm8k?path={tmp_path}") == 0
    gold, bare = scored(files)
    assert gold["success"] and gold["reward"] == env.reward.max
    assert set(gold["parts"]) >= {"correct", "format"}
    assert not bare["success"]


def test_scheduling_says_why_an_answer_failed(files, capsys):
    env = make("scheduling")
    task = next(iter(env.rows("test", 0)))
    write(files[0], {"task": task, "completion": env.gold(task)}, {"task": task, "completion": "no idea"})
    assert score(files, env="scheduling") == 0
    gold, idle = scored(files)
    assert (gold["info"]["failure"], gold["info"]["optimum_ratio"]) == ("none", 1.0)
    assert (idle["info"]["failure"], idle["info"]["optimum_ratio"]) == ("format", 0)
    assert "failure: format" in capsys.readouterr().err


@pytest.mark.parametrize(
    "completion", ["", "\ud800 alone", "\x00\x1b[31m\u2028", "<answer>" * 10_000, "</think>" * 10_000, "x" * 10_000_000]
)
def test_odd_completions_are_scored_and_survive(files, completion):
    write(files[0], {"task": TASK, "completion": completion})
    start = time.perf_counter()
    assert score(files) == 0
    assert time.perf_counter() - start < 10
    (line,) = scored(files)
    assert line["completion"] == completion
    assert (line["success"], line["errors"]) == (False, {})


def test_a_raw_surrogate_in_the_bytes_survives(files):
    files[0].write_bytes(json.dumps(GOOD).encode().replace(b"1+2</think>", b"\xed\xa0\x80</think>"))
    assert score(files) == 0
    assert "\ud800" in scored(files)[0]["completion"]


def test_blank_lines_and_a_byte_order_mark_are_passed_over(files):
    files[0].write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n\r\n\n" + json.dumps(GOOD).encode())
    assert score(files) == 0
    assert len(scored(files)) == 2


BAD_LINES = {
    "not json": "not JSON",
    '{"task": {"question": "1+2", "answer": "3"}, "completion": "cut o': "not JSON",
    '{"task": {"question": "1+2", "answer": "3"}, "completion": "x", "p": NaN}': "not JSON (NaN",
    "[" * 100_000: "not JSON",
    "[1, 2]": "not an object",
    '{"completion": "x"}': "has no 'task'",
    '{"task": {"question": "1+2", "answer": "3"}}': "has no 'completion'",
    '{"task": "1+2", "completion": "x"}': "'task' must be an object",
    '{"task": {"question": "1+2", "answer": "3"}, "completion": null}': "'completion' must be text",
    '{"task": {"question": "1+2"}, "completion": "x"}': "lacks the column 'answer'",
}


@pytest.mark.parametrize("bad", BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_line_is_named_by_its_number_and_nothing_is_written(files, bad, capsys):
    files[0].write_text(f"{json.dumps(GOOD)}\n\n{bad}\n")
    assert score(files) == 2
    err = capsys.readouterr().err
    assert f"{files[0]} line 3: " in err and BAD_LINES[bad] in err
    assert err.count("\n") == 1
    assert [path.name for path in files[0].parent.iterdir()] == ["in.jsonl"]


def test_bad_lines_are_skipped_and_counted_on_request(files, capsys):
    files[0].write_bytes("\n".join([json.dumps(GOOD), *BAD_LINES, json.dumps(GOOD)]).encode() + b"\n\xff\xfe\n")
    assert score(files, "--skip-bad") == 0
    assert len(scored(files)) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert f"skipped {len(BAD_LINES) + 1} lines" in err and "line 2: not JSON" in err


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file_is_refused(files, content, capsys):
    files[0].write_text(content)
    assert score(files) == 2
    assert "holds no line to score" in capsys.readouterr().err
    assert not files[1].exists()


def test_a_file_of_bad_lines_only_is_refused_with_the_first_reason(files, capsys):
    files[0].write_text("oops\n")
    assert score(files, "--skip-bad") == 2
    assert "line 1: not JSON" in capsys.readouterr().err


def test_a_missing_input_is_refused(files, capsys):
    assert score(files) == 2
    assert "in.jsonl cannot be read: No such file" in capsys.readouterr().err


def test_an_existing_output_is_kept_unless_forced(files, capsys):
    write(files[0], GOOD)
    files[1].write_text("precious")
    assert score(files) == 2
    assert "--force" in capsys.readouterr().err
    assert files[1].read_text() == "precious"
    assert score(files, "--force") == 0
    assert scored(files)[0]["success"]


def test_a_failure_leaves_the_old_output_as_it_was(files):
    files[0].write_text(json.dumps(GOOD) + "\noops\n")
    files[1].write_text("precious")
    assert score(files, "--force") == 2
    assert files[1].read_text() == "precious"
    assert len(list(files[1].parent.iterdir())) == 2


@pytest.mark.parametrize("link", [False, True])
def test_the_input_is_never_the_output(files, link, capsys):
    write(files[0], GOOD)
    if link:
        os.link(*files)
    target = files[1] if link else files[0]
    assert score((files[0], target), "--force") == 2
    assert "the same file" in capsys.readouterr().err
    assert json.loads(files[0].read_text()) == GOOD


@pytest.mark.parametrize(
    ("target", "said"),
    [("nowhere/out.jsonl", "there is no folder"), (".", "is a folder"), ("/dev/full", "No space left")],
)
def test_an_output_that_cannot_be_written_is_one_line(files, target, said, capsys):
    write(files[0], GOOD)
    assert score((files[0], files[0].parent / target)) == (1 if target == "/dev/full" else 2)
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopped_half_way_it_leaves_nothing(files, stop):
    process = subprocess.Popen(
        [sys.executable, "-m", "rlvr", "score", "--env", "arithmetic", "--input", "-", "--output", str(files[1])],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stderr
    process.stdin.write((json.dumps(GOOD) + "\n") * 1000)
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while not any(files[1].parent.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(stop)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + stop
    assert "Traceback" not in err
    assert list(files[1].parent.iterdir()) == []


def test_a_completion_may_be_chat_messages_which_come_back_as_they_were(files, capsys):
    messages = [{"role": "assistant", "content": GOOD["completion"]}]
    write(files[0], {**GOOD, "completion": messages})
    assert score(files) == 0
    assert (scored(files)[0]["completion"], scored(files)[0]["success"]) == (messages, True)
    for wrong in ([1], [{"role": "assistant", "content": 7}], {"role": "assistant"}):
        write(files[0], {**GOOD, "completion": wrong})
        assert score(files, "--force") == 2
        assert "line 1: 'completion' must be text or a list of chat messages" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "kind"), [("float('nan')", "nan"), ("{1}", "a set"), ("object()", "an object")])
def test_an_info_that_is_not_json_is_blamed_on_the_environment(files, tmp_path, value, kind):
    (tmp_path / "env.py").write_text(
        "from rlvr_envs.library.arithmetic import Arithmetic\n"
        "class Odd(Arithmetic):\n"
        f"    def info(self, task, completion): return {{'fine': 1, 'odd': {value}}}\n"
    )
    write(files[0], GOOD)
    assert score(files, env=f"{tmp_path / 'env.py'}:Odd") == 0
    (line,) = scored(files)
    assert line["errors"] == {"info": f"environment arithmetic: info['odd'] is {kind}, which is not JSON"}
    assert (line["reward"], line["info"]) == (1.2, {})


def test_an_environment_whose_verdict_raises_is_an_error_not_the_end(files, tmp_path):
    (tmp_path / "env.py").write_text(
        textwrap.dedent("""
        from rlvr_envs.library.arithmetic import Arithmetic

        class Broken(Arithmetic):
            def success(self, task, completion):
                return 1 / 0
    """)
    )
    write(files[0], GOOD)
    assert score(files, env=f"{tmp_path / 'env.py'}:Broken") == 0
    (line,) = scored(files)
    assert line["success"] is None
    assert line["errors"] == {"success": "ZeroDivisionError: division by zero"}
    assert line["reward"] == 1.2


def test_columns_named_like_our_own_words_do_no_harm(files):
    write(files[0], {**GOOD, "task": {**TASK, "completion": "<answer>9</answer>", "self": 1, "prompt": "p", "task": 2}})
    assert score(files) == 0
    assert scored(files)[0]["reward"] == make("arithmetic").reward.max


PEAK = textwrap.dedent("""
    import resource, sys
    from rlvr.cli import main
    assert main(["score", "--env", "arithmetic", "--input", "-", "--output", "/dev/null"]) == 0
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
""")


def test_memory_does_not_grow_with_the_file():
    line = json.dumps({"task": TASK, "completion": "<answer>4</answer>" + "x" * 2000}) + "\n"
    peaks_kib = []
    for num_lines in (500, 10_000):  # the longer one is 20 MB
        done = subprocess.run(
            [sys.executable, "-c", PEAK], input=line * num_lines, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        peaks_kib.append(int(done.stdout))
    assert peaks_kib[1] - peaks_kib[0] < 5_000


def test_rewards_of_length_go_by_the_tokens_that_a_line_gives(files, capsys):
    write(files[0], {**GOOD, "num_tokens": 90}, {**GOOD, "num_tokens": None}, GOOD)
    assert score(files, "--reward", "soft_overlong_punishment(max_completion_len=100, soft_punish_cache=20)") == 0
    assert [row["reward"] for row in scored(files)] == [-0.5, 0.0, 0.0]
    write(files[0], {**GOOD, "num_tokens": "many"})
    assert score(files, "--force") == 2
    assert "line 1: 'num_tokens' must be the length" in capsys.readouterr().err
