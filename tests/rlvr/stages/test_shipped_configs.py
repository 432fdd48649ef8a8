"""The configs for a GPU and the hub: each checks here, and trains two steps with a tiny model of its architecture."""

import json

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from transformers import Qwen2Config, Qwen2ForCausalLM

from rlvr.cli import main
from rlvr.config.schema import ScratchConfig
from rlvr.config.shipped import shipped_configs
from rlvr.models.scratch import corpus, make_tokenizer
from rlvr_envs import make

FOR_A_GPU = [name for name in shipped_configs() if "qwen" in name]
SMALL = {
    "stage.grpo": {"steps": 2, "prompts_per_step": 1, "group_size": 2, "micro_batch_size": 1, "max_new_tokens": 4},
    "stage.evaluate": {"num_tasks": 2, "max_new_tokens": 4},
}


@pytest.fixture(scope="module")
def tiny_qwen2(tmp_path_factory):
    """A Qwen2 network of one layer in bfloat16, as the hub's are saved, with a tokenizer of bytes."""
    folder = tmp_path_factory.mktemp("qwen2")
    tokenizer = make_tokenizer(corpus(make("arithmetic"), 0), ScratchConfig(vocab_size=352, context_length=2048))
    config = Qwen2Config(
        vocab_size=352,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen2ForCausalLM(config).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def gsm8k_rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    rows = [
        {"question": f"What is {n} plus 1?", "answer": f"{n}+1=<<{n}+1={n + 1}>>{n + 1}\n#### {n + 1}"}
        for n in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_there_are_five():
    assert len(FOR_A_GPU) == 5


@pytest.mark.parametrize("name", FOR_A_GPU)
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
