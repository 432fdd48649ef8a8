"""What tests of commands have in common: a network of one layer, made from nothing, and files to score."""

from pathlib import Path

import pytest

TINY_MODEL = """
threads = 1
[model.scratch]
hidden_size = 32
intermediate_size = 64
num_layers = 1
num_heads = 2
num_kv_heads = 2
vocab_size = 330
context_length = 256
"""


@pytest.fixture(scope="session")
def tiny_model() -> str:
    """The start of a config: a model that trains a step in some milliseconds."""
    return TINY_MODEL


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Where `rlvr score` reads and writes."""
    return tmp_path / "in.jsonl", tmp_path / "out.jsonl"
