"""A model small enough for tests."""

from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.config.schema import ScratchConfig
from rlvr.models.scratch import make_scratch_model
from rlvr_envs import make

TINY = ScratchConfig(hidden_size=32, intermediate_size=64, num_layers=2, num_heads=2, num_kv_heads=1, vocab_size=352)
ENV = make("arithmetic?largest=9")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder; do not change it."""
    folder = tmp_path_factory.mktemp("tiny")
    make_scratch_model(folder, TINY, ENV, seed=0)
    return folder
