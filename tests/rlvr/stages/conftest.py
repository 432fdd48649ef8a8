"""What tests of stages have in common: a network and rows of the kind that the configs for a GPU are for."""

import json

import pytest

pytest.importorskip("trl", reason="needs the train extra")

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from rlvr.config.schema import ScratchConfig
from rlvr.models.scratch import corpus, make_tokenizer
from rlvr_envs import make


@pytest.fixture(scope="session")
def tiny_qwen2(tmp_path_factory):
    """A Qwen2 network of one layer in bfloat16, as the hub's are saved, with a tokenizer of bytes; do not change it."""
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
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.eos_token_id] *= 50  # so that it ends some of its turns
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def gsm8k_rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    rows = [
        {"question": f"What is {n} plus 1?", "answer": f"{n}+1=<<{n}+1={n + 1}>>{n + 1}\n#### {n + 1}"}
        for n in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
