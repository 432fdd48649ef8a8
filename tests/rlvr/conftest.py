"""What whole runs of tests have in common: a network of one layer, made from nothing."""

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
