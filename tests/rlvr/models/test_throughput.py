"""The arithmetic of a step on paper, against numbers computed by hand; and the line that a check prints of it."""

from dataclasses import replace

import pytest

from rlvr.models.adapters import LoraSettings
from rlvr.models.memory import Workload
from rlvr.models.room import Lengths
from rlvr.models.shape import ModelShape
from rlvr.models.throughput import Batch, Card, states_bytes, step_on_paper
from rlvr.pipeline.scale import scale_lines
from rlvr.stages.grpo import GRPOStageConfig
from rlvr.stages.sft import SFTStageConfig

SHAPE = ModelShape(
    num_params=1_000_000,
    bytes_per_weight=2,
    vocab_size=1000,
    hidden_size=100,
    mlp_size=400,
    num_layers=2,
    num_heads=2,
    num_kv_heads=1,
    head_dim=50,
    context_length=512,
)
"""Matrices of a layer: 100 x 100 + 2 x 100 x 50 + 100 x 100 + 3 x 100 x 400 = 150,000; with the head 400,000."""
WORK = Workload(rows=8, sampled_rows=8, max_new_tokens=60, lora=None, reference=False)
BATCH = Batch(groups=2, group_size=4, prompt=40, completion=60)
CARD = Card("a card", 10**9, flops=1e9, bytes_per_s=1e9)

FORWARD = 2 * 400_000 + 2 * 2 * 2 * 50 * 100
"""Operations of a token: 800,000 of the matrices, 40,000 of attention to half of 100 tokens."""


def test_an_update_takes_three_forward_passes_of_every_token():
    assert SHAPE.layer_params == 300_000 and FORWARD == 840_000
    step = step_on_paper(SHAPE, WORK, BATCH, CARD)
    assert step.update_s == pytest.approx(8 * 100 * 3 * 840_000 / 0.4e9) == pytest.approx(5.04)
    assert step.busy_tokens_per_s == pytest.approx(8 * 60 / 5.04)


def test_an_adapter_takes_a_third_less_and_recomputing_a_pass_more():
    adapter = replace(WORK, lora=LoraSettings())
    assert step_on_paper(SHAPE, adapter, BATCH, CARD).update_s == pytest.approx(5.04 * 2 / 3)
    assert step_on_paper(SHAPE, replace(WORK, recomputes=True), BATCH, CARD).update_s == pytest.approx(5.04 * 4 / 3)


def test_sampling_waits_for_arithmetic_or_for_memory_whichever_is_slower():
    prefill_s = 2 * 40 * 840_000 / 0.4e9
    decode_s = 8 * 840_000 / 0.4e9
    assert step_on_paper(SHAPE, WORK, BATCH, CARD).sample_s == pytest.approx(prefill_s + 60 * decode_s)
    cache = (40 + 30) * 2 * 4 * 1 * 50
    slow = replace(CARD, bytes_per_s=1e7)
    memory_s = (2 * 1_000_000 + 8 * cache) / 0.6e7
    step = step_on_paper(SHAPE, WORK, BATCH, slow)
    assert step.sample_s == pytest.approx(prefill_s + 60 * memory_s)
    assert step.samplers_per_trainer == pytest.approx(step.sample_s / 5.04)


def test_the_bottleneck_moves_with_the_link_and_the_card():
    assert step_on_paper(SHAPE, WORK, BATCH, CARD).sync_bytes == 2_000_000
    assert step_on_paper(SHAPE, WORK, BATCH, CARD).bottleneck(link_bytes_per_s=1e6) == "the update"
    assert step_on_paper(SHAPE, WORK, BATCH, CARD).bottleneck(link_bytes_per_s=1e5) == "sending weights"
    slow = replace(CARD, bytes_per_s=1e7)
    assert step_on_paper(SHAPE, WORK, BATCH, slow).bottleneck(link_bytes_per_s=1e6) == "sampling"


def test_states_are_16_bytes_a_trained_weight_over_the_devices_that_share_them():
    assert states_bytes(SHAPE, WORK) == 16_000_000
    assert states_bytes(SHAPE, WORK, num_shards=8) == 2_000_000
    r = 4  # (100 + 100) + 2 (100 + 50) + (100 + 100) + 2 (100 + 400) + (400 + 100) = 2,200 a layer
    assert states_bytes(SHAPE, replace(WORK, lora=LoraSettings(r=r))) == 2_000_000 + 16 * r * 2 * 2_200


def test_a_check_prints_a_line_a_card_for_what_samples_while_it_learns(monkeypatch):
    stage, lengths = GRPOStageConfig(kind="grpo", name="grpo"), Lengths(40, 60, exact=True)
    assert not list(scale_lines(stage, WORK, SHAPE, lengths))  # too small for arithmetic to say anything
    large = replace(SHAPE, num_params=500_000_000)
    lines = list(scale_lines(stage, WORK, large, lengths))
    assert len(lines) == 2 and all("on paper" in line and "weights sent 954 MiB" in line for line in lines)
    assert not list(scale_lines(SFTStageConfig(kind="sft", name="sft"), WORK, large, lengths))
