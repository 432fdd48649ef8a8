"""Sizes known without loading are those of the loaded model, and the estimate follows its formulas."""

from dataclasses import replace

import pytest

from rlvr.config.schema import ModelConfig
from rlvr.models.adapters import LoraSettings, peft_config
from rlvr.models.load import load_model
from rlvr.models.memory import CPU, GPU, Workload, lora_params, memory_estimate
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
        "products": 0,
        "activations": 2 * 2000 * (28 * 3584 * 2 + 34 * 3584 + 8 * 18_944),
        "copies": 0,
        "head": 2 * 2000 * 32_768 * 2,
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
    got = memory_estimate(QWEN_7B, Workload(1, 0, 100, None, False), Lengths(100, 0, True), CPU)
    assert got["activations"] == 1 * 200 * 28 * (40 * 3584 + 16 * 18_944)
    assert got["head"] == 200 * 32_768 * 32 + 4 * 152_064 * 3584
    sampling = memory_estimate(QWEN_7B, Workload(1, 8, 100, None, False), Lengths(100, 0, True), CPU)
    assert sampling["prepacked"] == 4 * (QWEN_7B.layer_params + 152_064 * 3584)


def test_products_kept_for_the_update_count_on_a_cpu_where_they_fit():
    work, lengths = Workload(1, 2, 30, None, False, kept_prompts=1, kept_rows=2), Lengths(70, 0, True)
    outputs = 28 * (2 * 3584 + 2 * 512 + 2 * 18_944 + 3584)
    assert memory_estimate(QWEN_7B, work, lengths, CPU)["products"] == 4 * (70 + 2 * 30) * outputs
    for other in (replace(work, kept_rows=8), replace(work, lora=LoraSettings()), replace(work, recomputes=True)):
        assert memory_estimate(QWEN_7B, other, lengths, CPU)["products"] == 0
    assert memory_estimate(QWEN_7B, work, lengths, GPU)["products"] == 0


def test_training_all_weights_with_a_reference_by_hand():
    got = memory_estimate(QWEN_7B, Workload(1, 8, 100, None, True, "adamw_8bit"), Lengths(100, 0, True))
    n = QWEN_7B.num_params
    assert (got["weights"], got["gradients"], got["optimizer"], got["reference"]) == (4 * n, 4 * n, 2 * n, 4 * n)


def test_where_sampling_holds_more_its_cache_counts():
    got = memory_estimate(QWEN_7B, Workload(1, 256, 1000, None, False), Lengths(100, 0, True))
    assert got["cache"] == 256 * 1100 * 28 * 2 * 2 * 4 * 128 * 5 // 4
    assert got["decoding"] == 256 * 1100 * 2 * 2 * 28 * 128  # keys and values of a layer, spread over the heads
    assert "activations" not in got


@pytest.mark.parametrize("recomputes", [True, False])
def test_recomputing_as_the_stage_was_told_to(recomputes):
    work = Workload(4, 0, 786, None, False, recomputes=recomputes)
    got = memory_estimate(QWEN_7B, work, Lengths(304, 0, True))
    layer = 34 * 3584 + 8 * 18_944
    assert got["activations"] == 4 * 1090 * (28 * 3584 * 4 + layer if recomputes else 28 * layer)
    assert got["copies"] == (0 if recomputes else 2 * QWEN_7B.layer_params)


@pytest.mark.parametrize("name", ["Qwen2", "Qwen3"])
@pytest.mark.parametrize(("bfloat16", "of_hidden", "of_mlp", "of_heads"), [(False, 40, 16, 8), (True, 34, 8, 6)])
def test_what_a_layer_keeps_for_the_backward_pass(name, bfloat16, of_hidden, of_mlp, of_heads):
    kept = {
        (layers, tokens): kept_bytes(name, layers, tokens, bfloat16)
        for layers, tokens in ((1, 32), (2, 32), (1, 64), (2, 64))
    }
    a_layer = {tokens: kept[2, tokens] - kept[1, tokens] for tokens in (32, 64)}  # without embeddings and the last norm
    normed = 2 * 64 if name == "Qwen3" else 0
    expected = of_hidden * 64 + of_mlp * 160 + of_heads * normed
    assert (a_layer[64] - a_layer[32]) / 64 == pytest.approx(expected, rel=0.03)


def kept_bytes(name, num_layers, num_tokens, bfloat16):
    """What autograd keeps of a forward pass of two rows, the weights themselves left out."""
    import torch
    import transformers

    config = getattr(transformers, f"{name}Config")(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=16,
    )
    model = getattr(transformers, f"{name}Model")(config).train()
    found = {weights.untyped_storage().data_ptr(): 0 for weights in model.parameters()}
    kept = []

    def keep(tensor):
        kept.append(tensor)  # or its address would be given to another
        found.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes())
        return tensor

    ids = torch.zeros(2, num_tokens, dtype=torch.long)
    saving = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with saving, torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        model(ids, use_cache=False)
    return sum(found.values())


@pytest.mark.parametrize("known", [True, False])
def test_lengths_are_counted_by_the_tokenizer_where_there_is_one(tiny, known):
    lengths = sample_lengths(ENV, ModelConfig(path=str(tiny)) if known else ModelConfig(), seed=0)
    assert lengths.exact is known
    assert 0 < lengths.gold < lengths.prompt
