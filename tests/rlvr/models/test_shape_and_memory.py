"""Sizes known without loading are those of the loaded model, and the estimate follows its formulas."""

import pytest

from rlvr.config.schema import ModelConfig
from rlvr.models.adapters import LoraSettings, peft_config
from rlvr.models.load import load_model
from rlvr.models.memory import CPU, Workload, lora_params, memory_estimate
from rlvr.models.room import Lengths, sample_lengths
from rlvr.models.shape import ModelShape, scratch_shape, shape_of
from rlvr.models.spectrum import SpectrumSettings

from .conftest import ENV, TINY

QWEN_7B = ModelShape(7_615_616_512, 2, 152_064, 3584, 18_944, 28, 28, 4, 128, 32_768)


def test_a_folder_and_a_scratch_model_are_counted_as_they_load(tiny):
    model = load_model(str(tiny), ModelConfig())
    shape = shape_of(ModelConfig(path=str(tiny)))
    assert shape is not None
    assert shape.num_params == model.num_parameters()
    assert shape.bytes_per_weight == 4 and shape.context_length == TINY.context_length
    planned = scratch_shape(TINY.model_copy(update={"vocab_size": shape.vocab_size}))
    assert planned == shape


def test_a_hub_model_that_is_not_here_is_unknown():
    assert shape_of(ModelConfig(path="nobody/has-this")) is None


@pytest.mark.parametrize("dora", [False, True])
def test_adapter_weights_are_those_that_peft_makes(tiny, dora):
    from peft import get_peft_model

    lora = LoraSettings(r=4, dora=dora)
    adapted = get_peft_model(load_model(str(tiny), ModelConfig()), peft_config(lora))
    shape = shape_of(ModelConfig(path=str(tiny)))
    assert lora_params(shape, lora) == adapted.get_nb_trainable_parameters()[0]


def test_the_estimate_of_a_7b_adapter_by_hand():
    lora = LoraSettings(r=32)
    got = memory_estimate(QWEN_7B, Workload(2, 8, 1600, lora, reference=True), Lengths(400, 0, True))
    per_layer = 2 * (3584 + 3584) + 2 * (3584 + 512) + 3 * (3584 + 18_944)
    trained = 28 * 32 * per_layer
    assert got == {
        "weights": 2 * 7_615_616_512 + 4 * trained,
        "gradients": 4 * trained,
        "optimizer": 8 * trained,
        "reference": 0,
        "activations": 2 * 2000 * 2 * (28 * 3584 + 8 * 3584 + 4 * 18_944),
        "logits": 2 * 1600 * 8 * 152_064,
    }


def test_a_base_in_4_bits_by_hand():
    work = Workload(2, 8, 1600, LoraSettings(r=32, qlora=True), reference=True)
    got = memory_estimate(QWEN_7B, work, Lengths(400, 0, True))
    layers = 28 * (2 * 3584 * 3584 + 2 * 3584 * 512 + 3 * 3584 * 18_944)
    four_bit = layers * (0.5 + 1 / 64 + 4 / (64 * 256))
    assert got["weights"] == round((7_615_616_512 - layers) * 2 + four_bit) + got["gradients"]


def test_spectrums_share_by_hand():
    n, layers = QWEN_7B.num_params, 28 * (2 * 3584 * 3584 + 2 * 3584 * 512 + 3 * 3584 * 18_944)
    for settings, trained in (
        (SpectrumSettings(top_percent=25), layers // 4),
        (SpectrumSettings(top_percent=25, embeddings=True), layers // 4 + n - layers),
        (SpectrumSettings(parameters="list.yaml"), n),
    ):
        work = Workload(1, 8, 100, None, False, spectrum=settings)
        got = memory_estimate(QWEN_7B, work, Lengths(100, 0, True))
        assert (got["weights"], got["gradients"], got["optimizer"]) == (4 * n, 4 * trained, 8 * trained)


def test_a_cpu_computes_in_float32_and_recomputes_nothing():
    got = memory_estimate(QWEN_7B, Workload(1, 8, 100, None, False), Lengths(100, 0, True), CPU)
    assert got["activations"] == 1 * 200 * 4 * 28 * (8 * 3584 + 4 * 18_944)


def test_training_all_weights_with_a_reference_by_hand():
    got = memory_estimate(QWEN_7B, Workload(1, 8, 100, None, True, "adamw_8bit"), Lengths(100, 0, True))
    n = QWEN_7B.num_params
    assert (got["weights"], got["gradients"], got["optimizer"], got["reference"]) == (4 * n, 4 * n, 2 * n, 4 * n)


def test_where_sampling_holds_more_its_cache_counts():
    got = memory_estimate(QWEN_7B, Workload(1, 256, 1000, None, False), Lengths(100, 0, True))
    assert got["cache"] == 256 * 1100 * 28 * 2 * 2 * 4 * 128
    assert "logits" not in got


@pytest.mark.parametrize("known", [True, False])
def test_lengths_are_counted_by_the_tokenizer_where_there_is_one(tiny, known):
    lengths = sample_lengths(ENV, ModelConfig(path=str(tiny)) if known else ModelConfig(), seed=0)
    assert lengths.exact is known
    assert 0 < lengths.gold < lengths.prompt
