"""The Modelfile carries the template where it has a plain form, and what ends a turn."""

import pytest

from rlvr.gguf.companions import modelfile
from rlvr.gguf.turns import turns_of

TALK = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "2 + 2?"},
]


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "smollm3", "gemma3"])
def test_the_fixed_texts_give_back_what_the_template_writes(name, opened_model):
    _, tokenizer = opened_model(name)
    turns = turns_of(tokenizer)
    assert turns is not None
    assert turns.written(TALK) == tokenizer.apply_chat_template(TALK, tokenize=False, add_generation_prompt=True)


def test_a_template_with_more_logic_has_none(opened_model):
    _, tokenizer = opened_model("qwen3")
    before = tokenizer.chat_template
    tokenizer.chat_template = before.replace("message['content']", "message['content'] | upper")
    try:
        assert turns_of(tokenizer) is None
    finally:
        tokenizer.chat_template = before
    assert "TEMPLATE" not in modelfile("a.gguf", None, ["<|im_end|>"], 512, 1.0)


def test_the_modelfile_has_template_system_and_stops(opened_model):
    _, tokenizer = opened_model("qwen2")
    text = modelfile("tiny-Q8_0.gguf", turns_of(tokenizer), ["<|im_end|>"], 256, 0.7)
    assert text.splitlines()[1] == "FROM ./tiny-Q8_0.gguf"
    assert '{{- if eq .Role "system" }}{{ "<|im_start|>system\\n" }}{{ .Content }}{{ "<|im_end|>\\n" }}' in text
    assert 'SYSTEM """You are helpful."""' in text
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert "PARAMETER num_ctx 256" in text
    assert "PARAMETER temperature 0.7" in text
