"""Folders, disks, models and rewards that are not as they should be: one clear line each, and nothing good is lost."""

import fcntl
import json
import os
import resource
import shutil

import pytest
import torch
from safetensors.torch import load_file

from rlvr.pipeline.checkpoints import checkpoints


@pytest.fixture(autouse=True)
def limits():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def copy(workshop, finished):
    """A finished run of its own to spoil."""
    shutil.copytree(finished.run_dir, workshop.run_dir)
    config = workshop.run_dir / "config.toml"
    config.write_text(config.read_text().replace(str(finished.path), str(workshop.path)))
    return workshop


def test_a_folder_of_other_files_is_no_run_folder(workshop, said):
    workshop.run_dir.mkdir()
    (workshop.run_dir / "notes.md").write_text("mine")
    assert workshop.run() == 2
    assert "holds other files, and no run" in said()
    assert [each.name for each in workshop.run_dir.iterdir() if each.name != ".lock"] == ["notes.md"]


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("manifest.json", "{", "is not JSON"),
        ("manifest.json", "[1]", "is not what rlvr writes"),
        ("manifest.json", '{"stages": [{}]}', "is not what rlvr writes"),
        ("manifest.json", '{"stages": [{"name": "sft", "status": "done"}]}', "is not what rlvr writes"),
        ("config.toml", "[", "is not TOML"),
    ],
)
def test_a_damaged_file_of_the_run_is_named(copy, said, file, content, says):
    (copy.run_dir / file).write_text(content)
    assert copy.run() == 2
    printed = said()
    assert file in printed and says in printed and "Traceback" not in printed


def test_damaged_results_are_named(copy, said):
    manifest = json.loads((copy.run_dir / "manifest.json").read_text())
    manifest["stages"].pop()
    (copy.run_dir / "manifest.json").write_text(json.dumps(manifest))
    (copy.run_dir / "results.json").write_text("{}")
    assert copy.run() == 2
    assert "results.json is not what rlvr writes" in said()


def test_a_run_folder_that_is_none_or_in_use(workshop, said):
    workshop.run_dir.write_text("a file")
    assert workshop.run() == 2
    assert "choose another with --run-dir" in said()
    workshop.run_dir.unlink()
    workshop.run_dir.mkdir()
    with (workshop.run_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert workshop.run() == 2
    assert "in use by another process" in said()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_folder_that_cannot_be_written(workshop, said):
    workshop.run_dir.mkdir(mode=0o500)
    assert workshop.run() == 2
    assert "Permission denied" in said()


@pytest.mark.parametrize("size", [60_000, 2_000])
def test_a_full_disk_is_one_line_and_the_last_checkpoint_goes_on(workshop, said, size):
    """60 kB are enough for traces but not for a checkpoint, 2 kB for neither."""
    workshop.fate(2 * 4 + 1, f"disk{size}")
    assert workshop.run() == 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    printed = said()
    assert "cannot be written" in printed and "the checkpoint of step 2 is whole" in printed
    assert "Traceback" not in printed
    assert workshop.run() == 0
    assert "grpo: resuming from step 2 of 4" in said()
    assert workshop.is_finished()


def test_a_reward_that_always_fails_stops_with_its_first_error(workshop, said):
    (workshop.path / "broken").touch()
    assert workshop.run() == 2
    printed = said()
    assert "the reward failed for every completion of step 1" in printed
    assert "ZeroDivisionError: no luck" in printed


def test_a_tracker_that_is_not_installed_is_named(workshop, said, monkeypatch):
    monkeypatch.setattr("transformers.integrations.get_available_reporting_integrations", lambda: ["wandb"])
    assert workshop.run('stage.sft.trl.report_to=["wandb", "tensorboard"]') == 2
    printed = said()
    assert "stage sft: trl.report_to names tensorboard, which is not installed" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("logging_steps", [1, 100])
def test_diverged_training_stops_and_leaves_a_good_checkpoint(workshop, said, logging_steps):
    sets = ["stage.sft.learning_rate=1e30", "stage.sft.steps=6", f"stage.sft.trl.logging_steps={logging_steps}"]
    assert workshop.run(*sets) == 1
    printed = said()
    assert "stage sft:" in printed and "is not a finite number at step" in printed and "learning_rate" in printed
    saved = checkpoints(workshop.run_dir / "checkpoints/sft")
    assert saved
    for checkpoint in saved:
        assert all(bool(torch.isfinite(w).all()) for w in load_file(checkpoint / "model.safetensors").values())


def test_a_loss_that_is_no_number_is_seen_without_any_checkpoint(workshop, said):
    assert workshop.run("stage.sft.learning_rate=1e30", "stage.sft.steps=6", "stage.sft.save_steps=100") == 1
    assert "not a finite number at step" in said()
    assert not list((workshop.run_dir / "checkpoints/sft").glob("checkpoint-*"))


@pytest.fixture
def model(workshop, finished):
    """The folder of a good model, to spoil."""
    return shutil.copytree(finished.run_dir / "models/base", workshop.path / "model")


def spoil_weights(model):
    (model / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:5000])


def spoil_config(model):
    (model / "config.json").write_text('{"model_type": ')


def forget_weights(model):
    (model / "model.safetensors").unlink()


def forget_template(model):
    (model / "chat_template.jinja").unlink()
    settings = json.loads((model / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (model / "tokenizer_config.json").write_text(json.dumps(settings))


def forget_tokenizer(model):
    (model / "tokenizer_config.json").unlink()


def forget_all(model):
    shutil.rmtree(model)


def shorten_context(model):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 40}))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_weights, "model.safetensors is damaged"),
        (spoil_config, "config.json cannot be read"),
        (forget_weights, "has no *.safetensors"),
        (forget_template, "has no chat template"),
        (forget_tokenizer, "has no tokenizer_config.json"),
        (forget_all, "no such folder"),
        (shorten_context, "not fit into the model's context of 40 tokens"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(workshop, said, model, spoil, says):
    spoil(model)
    assert workshop.run(f"model.path={model}") == 2
    printed = said()
    assert says in printed and "Traceback" not in printed
