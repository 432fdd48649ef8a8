"""The configs for a GPU and the hub: each checks here, and trains two steps with a tiny model of its architecture."""

import json

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.cli import main
from rlvr.config.load import load_config
from rlvr.config.shipped import shipped_configs

FOR_A_GPU = [name for name in shipped_configs() if "qwen" in name and not name.endswith("-chain")]
CHAINS = ["gsm8k-qwen2.5-0.5b-chain", "scheduling-qwen2.5-coder-7b-qlora-chain"]
SMALL = {
    "stage.grpo": {"steps": 2, "prompts_per_step": 1, "group_size": 2, "micro_batch_size": 1, "max_new_tokens": 4},
    "stage.evaluate": {"num_tasks": 2, "max_new_tokens": 4},
}


def test_there_are_five_and_two_chains():
    assert len(FOR_A_GPU) == 5 and set(CHAINS) <= set(shipped_configs())


@pytest.mark.parametrize("name", FOR_A_GPU + CHAINS)
def test_it_checks_without_the_model(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # --check sets it for its process, which is ours
    assert main(["run", name, "--check"]) == 0
    printed = capsys.readouterr().out
    assert "size unknown until it is downloaded" in printed and f"runs/{name} (new)" in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FOR_A_GPU)
def test_two_steps_with_a_tiny_model_in_its_place(name, tmp_path, monkeypatch, tiny_qwen2, gsm8k_rows, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # --check sets it for its process, which is ours
    sets = ["threads=1", f"model.path={tiny_qwen2}"]
    sets += [f"{stage}.{key}={value}" for stage, settings in SMALL.items() for key, value in settings.items()]
    sets += [f"env.path={gsm8k_rows}"] if name.startswith("gsm8k") else []
    command = ["run", name, *(part for each in sets for part in ("--set", each))]
    assert main([*command, "--check"]) == 0
    assert "memory a device" in capsys.readouterr().out
    assert main(command) == 0
    metrics = [json.loads(line) for line in (tmp_path / f"runs/{name}/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in metrics] == [1, 2]
    assert (tmp_path / f"runs/{name}/models/grpo/adapter_config.json").exists() == ("lora" in name)


SMALL_CHAIN = {
    "stage.sft": {"steps": 2, "batch_size": 2, "micro_batch_size": 1},
    "stage.dpo": {
        "steps": 2,
        "batch_size": 2,
        "micro_batch_size": 1,
        "num_tasks": 4,
        "max_new_tokens": 16,
        "length_gap": 1.0,
        "learning_rate": 1e-3,
    },
    "stage.grpo": {
        "steps": 2,
        "prompts_per_step": 1,
        "group_size": 4,
        "micro_batch_size": 2,
        "max_new_tokens": 8,
        "learning_rate": 1e-3,
    },
    "stage.merge": {"num_prompts": 2},
    "stage.evaluate": {"num_tasks": 2, "max_new_tokens": 4},
    "stage.export": {"num_tasks": 2, "max_new_tokens": 4, "margin": 100},
}
VARIED = """
from rlvr_rewards import reward

@reward
def varied(completion: str) -> float:
    '''A score that nobody can foresee, so that groups differ whatever a model of random weights says.'''
    return sum(completion.encode()) % 7 / 7
"""


@pytest.mark.parametrize("name", [CHAINS[0], pytest.param(CHAINS[1], marks=pytest.mark.slow)])
def test_the_whole_chain_with_a_tiny_model_in_its_place(name, tmp_path, monkeypatch, tiny_qwen2, gsm8k_rows):
    """Two steps a stage, the adapters merged, every file through its gate, every model and file evaluated."""
    pytest.importorskip("xllamacpp")
    if "qlora" in name:
        pytest.importorskip("bitsandbytes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "varied.py").write_text(VARIED)
    sets = ["threads=1", f"model.path={tiny_qwen2}", f"reward.expression=\"'{tmp_path}/varied.py:varied' + format\""]
    sets += [f"{stage}.{key}={value}" for stage, settings in SMALL_CHAIN.items() for key, value in settings.items()]
    sets += [f"env.path={gsm8k_rows}"] if name.startswith("gsm8k") else []
    command = ["run", name, *(part for each in sets for part in ("--set", each))]
    assert main([*command, "--check"]) == 0
    assert main(command) == 0
    run = tmp_path / "runs" / name
    stages = {stage["name"]: stage for stage in json.loads((run / "manifest.json").read_text())["stages"]}
    assert [*stages] == ["sft", "dpo", "grpo", "merge", "evaluate", "export"]
    assert {stage["status"] for stage in stages.values()} == {"done"}
    assert stages["merge"]["metrics"]["adapters"] == 3 and not (run / "models/merge/adapter_config.json").exists()
    assert ("trained_kl" in stages["merge"]["metrics"]) == ("qlora" in name)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [
        (stage, step) for stage in ("sft", "dpo", "grpo") for step in (1, 2)
    ]
    files = [f"merge-{kind}" for kind in load_config(name).stage[-1].types]
    evaluated = {row["stage"] for row in json.loads((run / "results.json").read_text())}
    assert evaluated >= {"base", "sft", "dpo", "grpo", "merge", *files}
    assert {path.name for path in (run / "gguf/export").iterdir()} >= {
        "RUN.md",
        "Modelfile",
        *(f"{f}.gguf" for f in files),
    }
