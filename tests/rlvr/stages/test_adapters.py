"""The ways of training through the command: Spectrum and QLoRA, two stages each, and what is refused."""

import json

import pytest
import torch

pytest.importorskip("trl", reason="needs the train extra")

from safetensors.torch import load_file

from rlvr.cli import main
from rlvr.models.spectrum_files import read_unfrozen

STAGES = """
[env]
name = "arithmetic"
largest = 9
[reward]
expression = "'REWARD:varied'"
[[stage]]
kind = "sft"
steps = 2
batch_size = 4
num_examples = 8
save_steps = 1
SETTINGS
[[stage]]
kind = "grpo"
steps = 2
prompts_per_step = 2
group_size = 4
max_new_tokens = 4
learning_rate = 1e-2
[stage.trl]
beta = 0.04
SETTINGS
"""

REWARD = """
import os, signal
from pathlib import Path
from rlvr_rewards import reward

STOP = Path(__file__).with_name("stop")

@reward
def varied(completion: str) -> float:
    '''What a model from nothing earns as well, so that every step teaches something; ends the run once if told to.'''
    if STOP.exists() and not completion.endswith("</answer>"):
        STOP.unlink()
        os.kill(os.getpid(), signal.SIGTERM)
    return 1.0 if completion.endswith("</answer>") else sum(completion.encode()) % 7 / 7
"""


@pytest.fixture
def run(tmp_path, tiny_model):
    """Runs both stages with the given tables after each; options go to `rlvr run`."""

    def run(settings, *options):
        (tmp_path / "varied.py").write_text(REWARD)
        stages = STAGES.replace("SETTINGS", settings).replace("REWARD", str(tmp_path / "varied.py"))
        (tmp_path / "run.toml").write_text(tiny_model + stages)
        return main(["run", str(tmp_path / "run.toml"), "--run-dir", str(tmp_path / "run"), *options])

    return run


def test_spectrum_trains_what_it_chose_and_nothing_else(run, tmp_path, capsys):
    assert run("[stage.spectrum]\ntop_percent = 50") == 0
    assert "Spectrum trains 0.0" in " ".join(capsys.readouterr().out.split())
    models = tmp_path / "run/models"
    before = load_file(models / "base/model.safetensors")
    for stage in ("sft", "grpo"):
        after = load_file(models / stage / "model.safetensors")
        chosen = read_unfrozen(tmp_path / f"run/spectrum/{stage}.yaml")
        moved = {name.removesuffix(".weight") for name in after if not torch.equal(after[name], before[name])}
        assert moved == set(chosen) and len(chosen) == 7
        rows = (tmp_path / f"run/spectrum/{stage}.jsonl").read_text().splitlines()
        assert len(rows) == 8
        before = after


def test_spectrum_takes_a_list_and_embeddings_on_request(run, tmp_path):
    given = tmp_path / "given.yaml"
    given.write_text("unfrozen_parameters:\n- ^lm_head.weight$\n- ^model.embed_tokens.weight$\n")
    assert run(f'[stage.spectrum]\nparameters = "{given}"') == 0
    base, sft = (load_file(tmp_path / f"run/models/{name}/model.safetensors") for name in ("base", "sft"))
    assert {name for name in sft if not torch.equal(sft[name], base[name])} == {"model.embed_tokens.weight"}
    assert not (tmp_path / "run/spectrum").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("[stage.spectrum]\n[stage.lora]", "keep one of the two"),
        ("[stage.spectrum]\ntop_percent = 0", "top_percent"),
        ("[stage.spectrum]\ntop_procent = 20", "top_percent"),
        ('[stage.spectrum]\nparameters = "nowhere.yaml"', "nowhere.yaml cannot be read"),
        ("[stage.lora]\ndora = 1", "dora"),
        ("[stage.lora]\nuse_dora = true", "dora"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_loads(run, settings, says, capsys):
    assert run(settings, "--check") == 2
    assert says in capsys.readouterr().err


def test_an_unknown_module_for_spectrum_is_named(run, capsys):
    assert run('[stage.spectrum]\nmodules = ["mlp.up_prj"]') == 2
    assert "mlp.up_proj" in capsys.readouterr().err


def test_qlora_trains_two_stages_on_a_cpu_goes_on_and_leaves_float32_adapters(run, tmp_path, capsys):
    pytest.importorskip("bitsandbytes", reason="needs the qlora extra")
    (tmp_path / "stop").touch()
    assert run("[stage.lora]\nr = 4\nqlora = true") == 143
    assert run("[stage.lora]\nr = 4\nqlora = true") == 0
    folder = tmp_path / "run"
    losses = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in losses] == [1, 2, 1, 2]
    assert all("kl" in line for line in losses[2:])
    for stage, base in (("sft", "base"), ("grpo", "sft")):
        adapter = load_file(folder / f"models/{stage}/adapter_model.safetensors")
        assert {weights.dtype for weights in adapter.values()} == {torch.float32}
        settings = json.loads((folder / f"models/{stage}/adapter_config.json").read_text())
        assert settings["base_model_name_or_path"].endswith(f"models/{base}")
        assert "quantization_config" not in json.loads((folder / f"models/{stage}/config.json").read_text())
    assert any(weights.abs().max() > 0 for name, weights in adapter.items() if "lora_B" in name)


def test_paging_without_a_gpu_is_refused_by_name(run, capsys):
    if torch.cuda.is_available():
        pytest.skip("here is a GPU")
    assert run("[stage.lora]\nr = 4", "--set", "stage.sft.trl.optim=paged_adamw_8bit") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "paged_adamw_8bit pages to and from a GPU, and here is none: set it to adamw_8bit" in said
