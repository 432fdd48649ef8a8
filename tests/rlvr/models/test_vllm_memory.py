"""What vLLM takes beside a trainer, by hand, and what `--check` says of it."""

import dataclasses

import pytest

from rlvr.cli import main
from rlvr.models.memory import GPU, Workload, memory_estimate
from rlvr.models.room import Lengths
from rlvr.models.shape import ModelShape
from rlvr.models.vllm_memory import (
    Engine,
    TrainerMemory,
    better_cut,
    cache_bytes,
    cpu_bytes,
    engine_bytes,
    loaded_length,
    smallest_card,
    trainer_memory,
)
from rlvr.pipeline import card

GIB = 2**30
QWEN_7B = ModelShape(7_615_616_512, 2, 152_064, 3584, 18_944, 28, 28, 4, 128, 32_768)
SMALL = ModelShape(1000, 4, 10, 8, 16, 2, 2, 1, 4, 64)


def test_what_vllm_takes_of_a_gpu_by_hand():
    a_layer = 2 * (3584 + 3584) + 2 * (3584 + 512) + 3 * (3584 + 18_944)
    got = engine_bytes(QWEN_7B, Engine(256, 4096, 0.3, lora_rank=20))
    assert got == {
        "weights": 2 * 7_615_616_512,
        "adapter": 2 * 32 * (28 * a_layer + 2 * (152_064 + 3584)),  # memory is set aside for rank 32
        "largest pass": 28 * 256 * 152_064,  # the draw: more than 4096 * 2 * (2 * 3584 + 3 * 18944) of a prefill
    }
    assert engine_bytes(SMALL, Engine(1, 64, 0.3))["largest pass"] == 4096 * 2 * (2 * 8 + 3 * 16)


def test_the_cache_of_one_completion_by_hand():
    assert cache_bytes(QWEN_7B, 4096) == 4096 * 28 * 2 * 4 * 128 * 2  # 224 MiB
    assert cache_bytes(SMALL, 10, value_bytes=4) == 10 * 2 * 2 * 1 * 4 * 4


def test_without_a_gpu_the_cache_is_a_gib_or_one_completion():
    assert cpu_bytes(SMALL, Engine(8, 64, 0.3), 4) == {"weights": 4000, "adapter": 0, "KV cache": GIB}
    long = cpu_bytes(QWEN_7B, Engine(8, 32_768, 0.3), 4)
    assert long["KV cache"] == (32_768 + 32) * 28 * 2 * 4 * 128 * 4


@pytest.mark.parametrize(
    ("asked", "budget", "prompt", "context", "length"),
    [
        (None, 64, 100, 32_768, 4096),
        (None, 64, 100, 512, 512),
        (None, 4000, 200, 32_768, 8400),
        (None, 4000, 200, None, 8400),
        (1000, 64, 100, 32_768, 1000),
        (9000, 64, 100, 512, 512),
    ],
)
def test_how_long_completions_vllm_is_loaded_for(asked, budget, prompt, context, length):
    assert loaded_length(asked, budget, prompt, context) == length


def test_of_the_trainer_matters_what_it_holds_and_its_peak():
    work = Workload(4, 0, 786, None, reference=True)
    parts = memory_estimate(QWEN_7B, work, Lengths(304, 0, True), GPU)
    trainer = trainer_memory(QWEN_7B, parts, 786)
    n = QWEN_7B.num_params
    assert trainer.held == 4 * n + 8 * n + 4 * n
    assert trainer.peak == sum(parts.values()) > trainer.held
    assert trainer.comparing == 786 * 152_064 * 10


def least(engine):
    """What vLLM must have, by hand: 14.2 GiB of weights, 1.0 of drawing, 0.2 of one completion."""
    return 2 * 7_615_616_512 + 28 * 256 * 152_064 + engine.max_length * 28 * 2 * 4 * 128 * 2


def test_awake_both_need_their_parts_of_the_card_at_once():
    engine, trainer = Engine(256, 4096, 0.5), TrainerMemory(20 * GIB, GIB, 30 * GIB)
    assert smallest_card(QWEN_7B, engine, trainer) == round((30 * GIB + GIB) / 0.5)
    narrow = dataclasses.replace(engine, share=0.1)
    assert smallest_card(QWEN_7B, narrow, trainer) == round(least(engine) / 0.1)


def test_asleep_the_update_has_the_whole_card():
    engine, trainer = Engine(256, 4096, 0.4, sleeps=True), TrainerMemory(10 * GIB, GIB, 60 * GIB)
    assert smallest_card(QWEN_7B, engine, trainer) == 61 * GIB
    large = TrainerMemory(50 * GIB, GIB, 60 * GIB)
    assert smallest_card(QWEN_7B, engine, large) == round(51 * GIB / 0.6)


def test_the_better_cut_is_where_both_need_the_same_card():
    engine, trainer = Engine(256, 4096, 0.9), TrainerMemory(20 * GIB, GIB, 30 * GIB)
    best = better_cut(QWEN_7B, engine, trainer)  # 15.5 of 15.5 + 31: a third
    assert best.share == 0.35
    assert smallest_card(QWEN_7B, best, trainer) == round(31 * GIB / 0.65)


CONFIG = """
[model]
path = "MODEL"
[env]
name = "arithmetic"
[[stage]]
kind = "grpo"
sampler = "vllm"
"""


@pytest.fixture
def told(tiny, tmp_path, monkeypatch, capsys):
    """What `--check` says of a stage that samples with vLLM on a GPU of so many bytes."""
    monkeypatch.setattr("rlvr.pipeline.sampling.require_vllm", lambda: None)
    (tmp_path / "run.toml").write_text(CONFIG.replace("MODEL", str(tiny)))

    def tell(size, *sets):
        monkeypatch.setattr(card, "card_bytes", lambda: size)
        options = [part for each in sets for part in ("--set", each)]
        code = main(["run", str(tmp_path / "run.toml"), "--check", "--run-dir", str(tmp_path / "r"), *options])
        said = capsys.readouterr()
        return code, said.out + said.err

    return tell


def test_check_says_which_gpu_both_fit_on(told):
    code, said = told(None)
    assert code == 0
    assert "vLLM in the same memory, estimated: weights" in said
    assert "vLLM on the same GPU, estimated: 30% of it: weights" in said
    assert "both fit on a GPU of" in said
    assert "with trl.vllm_gpu_memory_utilization 0.05 on one of" in said


@pytest.mark.parametrize(
    ("size", "line"),
    [
        (80 * GIB, "both fit on this GPU: it has 80.0 GiB"),
        (GIB, "both do not fit on this GPU: it has 1.0 GiB, and they need one of"),
        (round(1.3 * GIB), "; with trl.vllm_gpu_memory_utilization 0.05 on one of"),
    ],
)
def test_check_says_whether_both_fit_on_this_gpu(told, size, line):
    code, said = told(size)
    assert code == 0
    assert line in said


def test_check_refuses_a_share_that_is_none(told):
    code, said = told(None, "stage.grpo.trl.vllm_gpu_memory_utilization=1.5")
    assert code == 2
    assert "stage grpo: trl.vllm_gpu_memory_utilization = 1.5: Input should be less than 1" in said


def test_a_stage_that_samples_with_torch_is_told_nothing_of_vllm(told):
    code, said = told(80 * GIB, "stage.grpo.sampler=torch")
    assert code == 0
    assert "vLLM" not in said
