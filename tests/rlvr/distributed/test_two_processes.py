"""Two processes make of a run what one does, and end it in good order where one of them ends."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rlvr.traces.store import read_shards, shards

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_TIMES = ("time", "sample_s", "reward_s")
_NUMBERS = ("logprobs", "advantage")


@pytest.fixture(scope="module")
def alone(folder: Path, started) -> Path:
    done = started("alone")
    assert done.returncode == 0, done.stderr
    return folder / "alone/run"


@pytest.fixture(scope="module")
def together(folder: Path, started) -> Path:
    done = started("together", processes=2)
    assert done.returncode == 0, done.stderr
    (folder / "together/said").write_text(done.stdout)
    return folder / "together/run"


@pytest.mark.parametrize("model", ["sft", "one", "three"])
def test_two_processes_train_the_same_weights_as_one(alone, together, model):
    one, two = (load_file(run / "models" / model / "model.safetensors") for run in (alone, together))
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-5, rtol=0)


def test_loss_gradient_and_means_are_those_of_one_process(alone, together):
    for one, two in zip(_metrics(alone), _metrics(together), strict=True):
        assert (one["stage"], one["step"]) == (two["stage"], two["step"])
        for name in ("loss", "grad_norm", "reward", "parts/fateful", "completions/mean_length", "num_tokens"):
            if name in one:
                assert two[name] == pytest.approx(one[name], abs=1e-5), (one["stage"], one["step"], name)


def test_each_completion_is_in_the_traces_once_as_with_one_process(alone, together):
    one, two = _rows(alone), _rows(together)
    assert len(two) == 4 * 4 * 4 + 8
    for row, other in zip(one, two, strict=True):
        assert {name: value for name, value in row.items() if name not in (*_TIMES, *_NUMBERS)} == {
            name: value for name, value in other.items() if name not in (*_TIMES, *_NUMBERS)
        }
        assert other["logprobs"] == pytest.approx(row["logprobs"], abs=1e-5)
        assert other["advantage"] == pytest.approx(row["advantage"], abs=1e-4)
    assert {shard.rank for shard in shards(together / "traces", "three")} == {0, 1}


def test_only_the_first_process_speaks_and_evaluates(folder, alone, together):
    said = (folder / "together/said").read_text()
    assert said.count("three 3/3") == 1
    stages = {
        stage["name"]: stage["status"] for stage in json.loads((together / "manifest.json").read_text())["stages"]
    }
    assert stages == {"sft": "done", "one": "done", "three": "done", "evaluate": "done"}
    assert json.loads((together / "results.json").read_text()) == json.loads((alone / "results.json").read_text())
    assert (together / "logs/three.rank1.log").exists()


def test_a_process_that_dies_takes_the_run_down_and_another_number_of_them_goes_on(folder, alone, started):
    """Killed in the second step of two processes, then in the third of one; two finish it."""
    sft_and_one = 8  # completions of the stage `one`, in each of two processes
    (folder / "fate").write_text(f"1 {sft_and_one + 9} KILL")
    began = time.monotonic()
    done = started("resumed", processes=2)
    assert done.returncode == 1 and time.monotonic() - began < 60 + 30
    assert "another process of this run ended" in done.stderr
    assert "the checkpoint of step 1 is whole, and the same command goes on from it" in done.stderr
    (folder / "fate").write_text("0 17 KILL")
    assert started("resumed").returncode == -9
    assert not (folder / "fate").exists()
    done = started("resumed", processes=2)
    assert done.returncode == 0, done.stderr
    assert "resuming from step 2 of 3" in done.stdout
    resumed = folder / "resumed/run"
    assert [_place(row) for row in _rows(resumed)] == [_place(row) for row in _rows(alone)]
    one, two = (load_file(run / "models/three/model.safetensors") for run in (alone, resumed))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-5, rtol=0)


def test_where_the_first_process_dies_the_second_says_so(folder, started):
    (folder / "fate").write_text("0 9 KILL")
    done = started("headless", "--set", "stage.one.steps=40", "--set", "stage.one.save_steps=1", processes=2)
    assert done.returncode == 1
    assert done.stderr.count("rlvr: stage one: another process of this run ended") == 1
    assert "the checkpoint of step 1 is whole" in done.stderr


def test_sigterm_to_the_launcher_leaves_a_checkpoint_of_the_step_under_way(folder, started):
    (folder / "fate").write_text("0 9 TERM")
    arguments = ("--set", "stage.one.steps=40", "--set", "stage.one.save_steps=50")
    done = started("stopped", *arguments, processes=2, accelerate=True)
    assert done.returncode != 0
    assert "rlvr: stopped by SIGTERM" in done.stderr and "process 1 of 2" not in done.stderr
    stopped = folder / "stopped/run"
    assert [path.name for path in (stopped / "checkpoints/one").glob("checkpoint-*")] == ["checkpoint-2"]
    assert _stages(stopped) == {"sft": "done", "one": "stopped"}


def test_sigusr1_to_one_process_makes_all_of_them_write_a_checkpoint_and_go_on(folder, started):
    (folder / "fate").write_text("1 9 USR1")
    done = started("saved", "--set", "stage.one.steps=3", "--set", "stage.one.save_steps=50", processes=2)
    assert done.returncode == 0, done.stderr
    assert "one: a checkpoint of step 2 is saved" in done.stdout


def test_unequal_completions_and_fresh_groups_do_not_make_a_process_wait_for_ever(folder, started):
    """Long ones, cut at a letter by chance: the processes make different numbers of passes, and refill alone."""
    arguments = [
        f"stage.one.{setting}"
        for setting in ("steps=3", "max_new_tokens=150", "group_size=16", 'stop=["q"]', "extra_groups=4")
    ]
    done = started("unequal", *(word for setting in arguments for word in ("--set", setting)), processes=2)
    assert done.returncode == 0, done.stderr
    rows = [row for row in _rows(folder / "unequal/run") if row["stage"] == "one" and row["kept"]]
    first, second = (sum(len(row["token_ids"]) for row in rows if row["group"] // 2 == half) for half in (0, 1))
    assert abs(first - second) > 100
    assert len(rows) == 3 * 4 * 16


def test_a_curriculum_asks_the_same_tasks_of_two_processes_as_of_one(folder, started):
    arguments = ("--set", "stage.three.curriculum.start=1.0", "--set", "stage.three.curriculum.step=0.3")
    for where, processes in (("asked-alone", 1), ("asked-together", 2)):
        done = started(where, *arguments, processes=processes)
        assert done.returncode == 0, done.stderr
    one, two = folder / "asked-alone/run", folder / "asked-together/run"
    assert [_place(row) for row in _rows(two)] == [_place(row) for row in _rows(one)]
    found = [[line for line in _metrics(run) if line["stage"] == "three"] for run in (one, two)]
    for name in ("curriculum/target", "curriculum/difficulty", "curriculum/pass_rate"):
        assert [line[name] for line in found[0]] == [line[name] for line in found[1]]
    targets = [line["curriculum/target"] for line in found[0]]
    assert len(set(targets)) == 3
    done = started("refilled", *arguments, "--set", "stage.three.extra_groups=2", processes=2)
    assert done.returncode == 0, done.stderr


def test_a_process_that_is_late_at_the_end_of_a_stage_finds_its_checkpoints_still_there(folder, started):
    """transformers lists them in each process; the first one then tidies up."""
    (folder / "late.py").write_text(LATE)
    done = started("late", "--set", f"reward.expression='{folder}/late.py:late'", processes=2)
    assert done.returncode == 0, done.stderr
    assert (folder / "listed").read_text().splitlines() == ["True"] * 3  # sft, one, three


LATE = """
import os, time
from pathlib import Path
from rlvr_rewards import reward

if os.environ.get("RANK") == "1":
    import transformers.trainer

    listing = transformers.trainer.sort_checkpoints

    def listing_late(output_dir: str, **others):
        time.sleep(2)
        with Path(__file__).with_name("listed").open("a") as file:
            file.write(f"{os.path.isdir(output_dir)}\\n")
        return listing(output_dir, **others)

    transformers.trainer.sort_checkpoints = listing_late

@reward
def late(completion: str) -> float:
    return sum(completion.encode()) % 97 / 97
"""


@pytest.mark.parametrize(
    ("fails", "step", "says"),
    [
        ("by_first(away) if calls == 3 else None", 2, "a checkpoint of step 2 is saved, and the same command goes on"),
        (
            "calls == 3 and rank() == 1 and away()",
            0,
            "of the processes this one alone failed, and the same command starts again",
        ),
    ],
)
def test_a_server_that_stays_away_ends_the_run_with_what_all_processes_have_finished(
    folder, started, started_script, fails, step, says
):
    """In the third step: for the first process, which the others wait for, or for the second alone."""
    where = f"away-{step}"
    arguments = ["run", str(folder / "run.toml"), "--run-dir", str(folder / where / "run")]
    sets = ["--set", "stage.one.steps=4", "--set", "stage.one.save_steps=50"]
    began = time.monotonic()
    done = started_script(AWAY.replace("FAILS", fails).replace("ARGUMENTS", repr([*arguments, *sets])))
    assert done.returncode == 1 and time.monotonic() - began < 60
    assert f"the vLLM server stays away; {says}" in done.stderr
    saved = [path.name for path in (folder / where / "run/checkpoints/one").glob("checkpoint-*")]
    assert saved == ([f"checkpoint-{step}"] if step else [])
    done = started(where, *sets, processes=2)
    assert done.returncode == 0, done.stderr
    assert (f"one: resuming from step {step} of 4" in done.stdout) == bool(step)


AWAY = """
import sys
import rlvr.pipeline.rescue as rescue
from rlvr.cli import main
from rlvr.engine.torch_sampler import TorchSampler
from rlvr.failure import OutsideError
from rlvr.pipeline.processes import by_first, rank

rescue._TOGETHER_S = 5.0
calls, sample = 0, TorchSampler.sample

def away():
    raise OutsideError("the vLLM server stays away")

def sampled(self, *args):
    global calls
    calls += 1
    FAILS
    return sample(self, *args)

TorchSampler.sample = sampled
sys.exit(main(ARGUMENTS))
"""


def test_means_of_a_step_are_those_of_one_process_where_the_processes_have_other_tasks(folder, started):
    """Two environments, of which each process has another share."""
    config = (folder / "run.toml").read_text().replace('[env]\nname = "arithmetic"\nlargest = 9', MIXED)
    (folder / "mixed.toml").write_text(config)
    for where, processes in (("mixed-alone", 1), ("mixed-together", 2)):
        done = started(where, "--set", "stage.three.steps=2", processes=processes, config="mixed.toml")
        assert done.returncode == 0, done.stderr
    alone, together = (
        [line for line in _metrics(folder / where / "run") if line["stage"] == "three"]
        for where in ("mixed-alone", "mixed-together")
    )
    for one, two in zip(alone, together, strict=True):
        names = [name for name in one if name.startswith(("parts/", "success", "reward/"))]
        assert any(name.startswith("reward/") for name in names)
        assert {name: two[name] for name in names} == pytest.approx({name: one[name] for name in names}, abs=1e-6)


MIXED = """
[[env]]
name = "arithmetic"
largest = 9
weight = 3
[[env]]
name = "arithmetic"
largest = 5
weight = 1
"""


def test_what_all_processes_run_into_is_said_once(started):
    done = started("refused", "--set", "stage.one.prompts_per_step=5", processes=2)
    assert done.returncode == 1
    refusal = "rlvr: stage one: prompts_per_step 5 cannot be dealt out evenly over 2 processes: set it to 4 or 6"
    assert done.stderr.count(refusal) == 1 and done.stderr.count("rlvr: ") == 1


def test_episodes_of_unequal_numbers_of_turns_do_not_make_a_process_wait_for_ever(folder, started):
    """Each process plays on until its own episodes are over; what ends a turn comes by chance."""
    settings = ("steps=2", "max_new_tokens=90", 'stop=["e","1"]', "extra_groups=4")
    others = ("env.name=guess", "env.largest=15", "env.guesses=4", "stage.sft.steps=1")
    arguments = [*others, *(f"stage.one.{setting}" for setting in settings)]
    done = started("turns", *(word for argument in arguments for word in ("--set", argument)), processes=2)
    assert done.returncode == 0, done.stderr
    rows = [row for row in _rows(folder / "turns/run") if row["stage"] == "one"]
    turns = [sum(turn["role"] == "assistant" for turn in json.loads(row["turns"])) for row in rows]
    assert len(rows) >= 2 * 16 and len(set(turns)) > 1
    assert {shard.rank for shard in shards(folder / "turns/run/traces", "one")} == {0, 1}


def _stages(run: Path) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in json.loads((run / "manifest.json").read_text())["stages"]}


def _metrics(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return sorted(lines, key=lambda line: (line["stage"], line["step"]))


def _rows(run: Path) -> list[dict[str, Any]]:
    tables = read_shards(shards(run / "traces"), on_bad=pytest.fail)
    return sorted((row for _, table in tables for row in table.to_pylist()), key=_place)


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("stage", "split", "step", "group", "attempt", "sample", "token_ids"))
