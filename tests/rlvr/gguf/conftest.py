"""Tiny models of every architecture, with tokenizers of every kind, their weights large enough for a fault to show."""

import json

import pytest

pytest.importorskip("trl")
pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from rlvr.config.schema import ModelConfig, ScratchConfig
from rlvr.gguf.vocabulary import _LLAMA3, _QWEN2
from rlvr.models.load import load_model, load_tokenizer
from rlvr.models.scratch import make_scratch_model
from rlvr_envs import make

ENV = "arithmetic?largest=9"
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
QWEN = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}{% endif %}"
    + CHATML
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' "
    "+ m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' + m['content'] | trim "
    "+ '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
TEXTS = [
    "the quick brown fox jumps over the lazy dog and doesn't stop at 12:30, 1,000 or 2024.",
    "What is 12 + 30?\nThe answer is 42.\n\nuser assistant system model",
    "def f(a, b):\n    return a + b",
] * 3


def byte_level(specials, pre, normalizer=None, ignore_merges=False):
    core = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    core.pre_tokenizer, core.decoder = pre, decoders.ByteLevel()
    if normalizer:
        core.normalizer = normalizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=384, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(TEXTS, trainer)
    core.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    return core


def split(expression):
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(expression), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def sentencepiece():
    """A tokenizer as Gemma's: spaces as ▁, unknown characters as bytes."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    learned = Tokenizer(models.BPE())
    learned.normalizer = normalizers.Replace(" ", "▁")
    learned.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=200, show_progress=False))
    found = json.loads(learned.to_str())["model"]
    tokens = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *sorted(found["vocab"], key=found["vocab"].get)]
    core = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=[tuple(pair) for pair in found["merges"]],
            byte_fallback=True,
            unk_token="<unk>",
            fuse_unk=True,
        )
    )
    core.normalizer = normalizers.Replace(" ", "▁")
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    core.add_special_tokens(specials)
    return core


def saved(folder, core, network, config, template, **special):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, chat_template=template, clean_up_tokenization_spaces=False, **special
    )
    torch.manual_seed(0)
    sizes = {
        "vocab_size": -(-len(tokenizer) // 32) * 32,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model = network(config(**sizes))
    for name, weight in model.named_parameters():
        spread = 0.1 if "norm" in name else 0.12
        with torch.no_grad():
            weight.add_(torch.randn_like(weight) * spread)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def qwen2(folder):
    core = byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], split(_QWEN2), normalizers.NFC())
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return saved(folder, core, Qwen2ForCausalLM, lambda **s: Qwen2Config(num_hidden_layers=2, **s), QWEN, **special)


def llama(folder):
    specials = ["<|begin|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]
    core = byte_level(specials, split(_LLAMA3), ignore_merges=True)
    rope = {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    return saved(
        folder,
        core,
        LlamaForCausalLM,
        lambda **s: LlamaConfig(num_hidden_layers=2, rope_parameters=rope, tie_word_embeddings=False, **s),
        LLAMA3,
        bos_token="<|begin|>",
        eos_token="<|eot_id|>",
        pad_token="<|eot_id|>",
    )


def smollm3(folder):
    pre = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core = byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], pre)
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return saved(
        folder, core, SmolLM3ForCausalLM, lambda **s: SmolLM3Config(num_hidden_layers=4, **s), CHATML, **special
    )


def gemma3(folder):
    def config(**sizes):
        return Gemma3TextConfig(num_hidden_layers=6, head_dim=16, query_pre_attn_scalar=16, sliding_window=32, **sizes)

    special = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return saved(folder, sentencepiece(), Gemma3ForCausalLM, config, GEMMA, **special)


def qwen3(folder):
    shape = ScratchConfig(hidden_size=64, intermediate_size=96, num_layers=2, num_heads=2, num_kv_heads=2)
    model, _ = make_scratch_model(folder, shape, make(ENV), seed=0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    model.save_pretrained(folder)
    return folder


MAKERS = {made.__name__: made for made in (llama, qwen2, qwen3, smollm3, gemma3)}


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory):
    """The folder of a tiny model by the name of its architecture."""
    made = {}

    def find(name):
        if name not in made:
            made[name] = MAKERS[name](tmp_path_factory.mktemp("models") / name)
        return made[name]

    return find


@pytest.fixture(scope="session")
def opened_model(folder_of):
    """Model (float32) and tokenizer of a tiny model by its name."""

    def find(name):
        config = ModelConfig(path=str(folder_of(name)), dtype="float32")
        return load_model(config.path, config), load_tokenizer(config.path, config)

    return find
