"""The real vLLM on a CPU, with models small enough for it to load in seconds. `make test-vllm` runs these alone."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

from rlvr.config.schema import ModelConfig, ScratchConfig
from rlvr_envs import make

collect_ignore_glob = [] if find_spec("vllm") else ["test_*.py"]  # without vLLM these cannot even be imported
ENV = make("scheduling?tier=compact")
SMALL = ScratchConfig(
    hidden_size=64,
    intermediate_size=128,
    num_layers=2,
    num_heads=2,
    num_kv_heads=2,
    vocab_size=400,
    context_length=256,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.vllm)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scratch Qwen3 whose weights are spread out, so that its distributions differ from a uniform one."""
    from rlvr.models.scratch import make_scratch_model

    folder = tmp_path_factory.mktemp("model")
    model, _ = make_scratch_model(folder, SMALL, ENV, seed=0)
    _sharpen(model)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def model(model_folder: Path):
    from rlvr.models.load import load_model

    return load_model(str(model_folder), ModelConfig(path=str(model_folder)), train_all=True)


@pytest.fixture(scope="session")
def tokenizer(model_folder: Path):
    from rlvr.models.load import load_tokenizer

    return load_tokenizer(str(model_folder), ModelConfig(path=str(model_folder)))


@pytest.fixture(scope="module")
def sampler(model_folder: Path, tokenizer) -> Iterator:
    """One engine for the tests of a module; each test gives it the model it wants."""
    from rlvr.engine.vllm_sampler import VLLMSampler

    folder = str(model_folder)
    made = VLLMSampler(folder, [tokenizer.eos_token_id], tokenizer=folder, max_rows=64)
    yield made
    made.close()


@pytest.fixture(scope="session")
def llama_folder(model_folder: Path, tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights beside the tokenizer of the scratch model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llama")
    settings = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    torch.manual_seed(0)
    made = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=256, **settings, **ends))
    _sharpen(made)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def sharpen():
    """A function that gives a fresh model likely and unlikely tokens."""
    return _sharpen


def _sharpen(model) -> None:
    """Makes the weights of a fresh model three times as large."""
    import torch

    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(3)
