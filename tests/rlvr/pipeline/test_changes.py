"""Changing a setting of a finished run: that stage and those after it run again, nothing else, and nothing is lost."""

import json
import shutil

import pytest


@pytest.fixture
def copy(workshop, finished):
    """A finished run of its own to change."""
    shutil.copytree(finished.run_dir, workshop.run_dir)
    for name in ("config.toml", "manifest.json"):
        file = workshop.run_dir / name
        file.write_text(file.read_text().replace(str(finished.path), str(workshop.path)))
    # its reward stands in another folder now, and so do the hashes of its expression
    assert workshop.run() == 0
    return workshop


def entries(run):
    return {entry["name"]: entry for entry in json.loads((run.run_dir / "manifest.json").read_text())["stages"]}


def planned(run, said, *sets):
    """What `--plan` says of each stage."""
    said()
    assert run.run(*sets, flags=["--plan"]) == 0
    words = said()
    starts = [words.index(f" {number}. ") for number in (1, 2, 3)]
    return [words[a:b].split(") would ")[1] for a, b in zip(starts, [*starts[1:], None], strict=True)]


LR = "stage.grpo.learning_rate=1e-3"


def test_the_plan_of_a_new_run_and_of_a_finished_one(workshop, finished, said):
    assert planned(workshop, said) == ["run: it was not run yet"] * 3
    assert not workshop.run_dir.exists()
    assert all(line.startswith("be skipped: finished 20") for line in planned(finished, said))


@pytest.mark.parametrize(
    ("setting", "runs", "why"),
    [
        ("stage.sft.learning_rate=1e-4", [0, 1, 2], "learning_rate: 0.001 there, 0.0001 now"),
        (LR, [1, 2], "learning_rate: 0.0002 there, 0.001 now"),
        ("stage.grpo.trl.max_grad_norm=0.5", [1, 2], "trl.max_grad_norm: None there, 0.5 now"),
        ("stage.evaluate.num_tasks=3", [2], "num_tasks: 2 there, 3 now"),
        ("reward.expression=success", [1, 2], "the reward changed"),
        ("stage.grpo.start=base", [1, 2], "start: None there, 'base' now"),
        ("stage.grpo.save_steps=2", [], ""),
        ("threads=2", [], ""),
    ],
)
def test_a_changed_setting_runs_its_stage_again_and_those_after_it(finished, said, setting, runs, why):
    lines = planned(finished, said, setting)
    again = [number for number, line in enumerate(lines) if line.startswith("run again because ")]
    assert again == runs
    if runs:
        assert why in lines[runs[0]]
    if runs[-2:] == [1, 2]:
        assert lines[2].endswith("it takes the model of grpo, which runs before it")


def test_of_many_changes_the_plan_says_how_many_more_there_are(finished, said):
    decay, norm = "stage.grpo.trl.weight_decay=0.1", "stage.grpo.trl.max_grad_norm=0.5"
    assert planned(finished, said, LR, decay, norm)[1].count(" there, ") == 3
    assert planned(finished, said, LR, decay, norm, "stage.grpo.temperature=0.9")[1].endswith("; and 1 more")


@pytest.mark.parametrize("setting", ["seed=1", "env.largest=8", "model.scratch.num_layers=2"])
def test_another_run_is_refused_with_the_way_out(finished, said, setting):
    for flags in (["--plan"], []):
        assert finished.run(setting, flags=flags) == 2
        printed = said()
        assert "belongs to another config" in printed and "--run-dir" in printed


def test_checkpoints_of_a_run_killed_just_after_a_stage_was_recorded_do_not_stay(copy):
    left = copy.run_dir / "checkpoints/sft/checkpoint-2"
    left.mkdir(parents=True)
    assert copy.run() == 0
    assert not left.parent.exists() and copy.is_finished()


def test_a_changed_stage_runs_again_and_the_folder_is_as_if_it_had_been_so_from_the_start(copy, said):
    before, sft = entries(copy), (copy.run_dir / "models/sft/model.safetensors").stat().st_mtime_ns
    said()
    assert copy.run(LR) == 0
    printed = said()
    assert "grpo runs again: learning_rate: 0.0002 there, 0.001 now" in printed
    assert "evaluate runs again: it takes the model of grpo" in printed
    assert f"kept in {copy.run_dir / 'replaced'} until the run is complete" in printed
    assert "sft: finished before, skipped" in printed
    now = entries(copy)
    assert now["sft"] == before["sft"]
    assert (copy.run_dir / "models/sft/model.safetensors").stat().st_mtime_ns == sft
    assert now["grpo"]["outputs"] != before["grpo"]["outputs"]
    assert copy.is_finished() and copy.metric_steps("grpo") == [1, 2, 3, 4]
    assert sorted(copy.trace_steps("grpo")) == sorted([1, 2, 3, 4] * 4)
    assert not (copy.run_dir / "replaced").exists()
    assert all(line.startswith("be skipped") for line in planned(copy, said, LR))


def test_what_a_stopped_rerun_replaces_is_put_back_with_the_old_settings(copy, said):
    def state():
        files = [path for name in ("models", "traces") for path in sorted((copy.run_dir / name).rglob("*"))]
        contents = {path: path.read_bytes() for path in files if path.is_file() and path.name[0] != "."}
        results = json.loads((copy.run_dir / "results.json").read_text())
        return contents, sorted(map(str, results)), sorted((copy.run_dir / "metrics.jsonl").read_text().splitlines())

    before, made = state(), entries(copy)
    (copy.path / "calls").unlink()
    copy.fate(5, "SIGTERM")
    assert copy.run(LR) == 143
    assert (copy.run_dir / "replaced/grpo.1/models/grpo/model.safetensors").exists()
    assert planned(copy, said, LR)[1].startswith("go on: from the checkpoint of step ")
    assert planned(copy, said)[1:] == [
        "be put back: it was finished with these settings, and is kept in grpo.1",
        made["evaluate"] and f"be skipped: finished {made['evaluate']['finished']}",
    ]
    assert copy.run() == 0
    assert "grpo is put back" in said()
    for now, then in zip(state(), before, strict=True):
        assert now == then
    assert entries(copy) == made
    assert not (copy.run_dir / "replaced").exists() and not (copy.run_dir / "checkpoints/grpo").exists()


def test_a_stage_under_way_with_other_settings_starts_anew(workshop, said):
    workshop.fate(5, "SIGTERM")
    assert workshop.run() == 143
    assert planned(workshop, said, LR)[1] == "run again because learning_rate: 0.0002 there, 0.001 now"
    assert workshop.run(LR) == 0
    assert "resuming" not in said()
    assert workshop.is_finished() and workshop.metric_steps("grpo") == [1, 2, 3, 4]


def test_a_file_of_the_reward_that_changed_runs_what_it_scored_again(copy, said):
    file = copy.path / "fateful.py"
    file.write_text(file.read_text() + "\n# no longer the same\n")
    lines = planned(copy, said)
    assert lines[0].startswith("be skipped")
    assert lines[1] == f"run again because file {file} changed"


def test_a_model_that_is_gone_is_made_again(copy, said):
    shutil.rmtree(copy.run_dir / "models/sft")
    assert planned(copy, said)[0] == "run again because models/sft is gone"


def test_a_stage_that_is_new_runs_alone_and_one_that_is_no_more_leaves_what_it_made(finished, workshop, said):
    config = finished.path / "run.toml"
    more = config.read_text() + '[[stage]]\nkind = "evaluate"\nname = "again"\nsplit = "train"\nnum_tasks = 2\n'
    (workshop.path / "more.toml").write_text(more)
    workshop.run_dir, workshop.config = finished.run_dir, "more.toml"
    assert workshop.run(flags=["--plan"]) == 0
    assert said().endswith("4. again (evaluate) would run: it was not run yet")
    fewer = config.read_text().partition('[[stage]]\nkind = "evaluate"')[0]
    (workshop.path / "more.toml").write_text(fewer)
    assert workshop.run(flags=["--plan"]) == 0
    assert said().endswith("evaluate is in the folder and not in the config: what it made would stay")
