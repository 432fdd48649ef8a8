"""A base in 4 bits: it trains on a CPU, samples as it trains, and its adapter is merged into 16 or 32 bits."""

import pytest
import torch

pytest.importorskip("bitsandbytes", reason="needs the qlora extra")

from bitsandbytes.nn import Linear4bit
from peft import get_peft_model

from rlvr.config.schema import ModelConfig, ScratchConfig
from rlvr.models.adapters import LoraSettings, peft_config
from rlvr.models.load import load_model, load_tokenizer
from rlvr.models.merge import logprobs_of, mean_kl
from rlvr.models.quantized import BYTES_PER_WEIGHT, adapter_in_float32, is_4bit
from rlvr.models.scratch import make_scratch_model
from rlvr.models.shape import shape_of
from rlvr_envs import make
from rlvr_rewards import UserError

IDS = torch.tensor([[5, 6, 7, 8]])
TEXTS = [[5, 6, 7, 8]]


def layers(model):
    return [module for module in model.modules() if isinstance(module, Linear4bit)]


@pytest.mark.parametrize(("hidden", "mlp"), [(32, 64), (96, 160)])
def test_a_base_of_any_size_computes_alike_while_it_samples_and_while_it_trains(tmp_path, hidden, mlp):
    sizes = {"hidden_size": hidden, "intermediate_size": mlp, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1}
    make_scratch_model(tmp_path, ScratchConfig(vocab_size=330, **sizes), make("arithmetic"), seed=0)
    model = load_model(str(tmp_path), ModelConfig(), four_bit=True)
    assert len(layers(model)) == 7 and model.dtype == torch.float32
    training = model.train()(IDS).logits.detach()
    with torch.no_grad():
        assert torch.equal(model.eval()(IDS).logits, training)
    assert torch.equal(model.train()(IDS).logits.detach(), training)


def test_a_weight_takes_the_bytes_that_the_estimate_counts(tmp_path):
    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_layers": 1, "num_heads": 4, "num_kv_heads": 4}
    make_scratch_model(tmp_path, ScratchConfig(vocab_size=330, **sizes), make("arithmetic"), seed=0)
    model = load_model(str(tmp_path), ModelConfig(), four_bit=True)
    taken = sum(
        module.weight.nbytes + module.weight.quant_state.absmax.nbytes + module.weight.quant_state.state2.absmax.nbytes
        for module in layers(model)
    )
    weights = sum(module.in_features * module.out_features for module in layers(model))
    assert taken / weights == pytest.approx(BYTES_PER_WEIGHT, rel=1e-3)


def test_a_chain_is_merged_before_it_is_4bit(tiny, tmp_path):
    adapted = get_peft_model(load_model(str(tiny), ModelConfig(), four_bit=True), peft_config(LoraSettings(r=4)))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weights in adapted.named_parameters():
            if "lora_" in name:
                weights.normal_(std=0.1)
    wanted = logprobs_of(adapted, TEXTS)
    adapted.save_pretrained(tmp_path / "sft")
    whole = load_model(str(tmp_path / "sft"), ModelConfig())
    assert whole.dtype == torch.float32 and not layers(whole)
    again = load_model(str(tmp_path / "sft"), ModelConfig(), four_bit=True)
    assert len(layers(again)) == 14 and again.name_or_path == str(tmp_path / "sft")
    base = logprobs_of(load_model(str(tiny), ModelConfig()), TEXTS)
    for model in (whole, again):  # quantization moves it, but by far less than the adapter did
        assert mean_kl(wanted, logprobs_of(model, TEXTS)) < mean_kl(wanted, base) / 4


def test_a_model_saved_in_4_bits_takes_an_adapter_and_nothing_else(tiny, tmp_path):
    saved = tmp_path / "four"
    load_model(str(tiny), ModelConfig(dtype="bfloat16"), four_bit=True).save_pretrained(saved)
    load_tokenizer(str(tiny), ModelConfig()).save_pretrained(saved)
    assert is_4bit(saved) and not is_4bit(tiny)
    shape, whole = shape_of(ModelConfig(path=str(saved))), shape_of(ModelConfig(path=str(tiny)))
    assert shape and whole and (shape.num_params, shape.bytes_per_weight) == (whole.num_params, 2)
    assert layers(load_model(str(saved), ModelConfig(), four_bit=True))
    with pytest.raises(UserError, match="qlora = true"):
        load_model(str(saved), ModelConfig(), train_all=True)
    adapted = get_peft_model(load_model(str(saved), ModelConfig(), four_bit=True), peft_config(LoraSettings(r=4)))
    adapted.save_pretrained(tmp_path / "sft")
    whole = load_model(str(tmp_path / "sft"), ModelConfig())
    assert whole.dtype == torch.bfloat16 and not layers(whole)


def test_an_adapter_that_was_cast_is_float32_again(tiny):
    adapted = get_peft_model(load_model(str(tiny), ModelConfig(), four_bit=True), peft_config(LoraSettings(r=4)))
    trained = [weights for weights in adapted.parameters() if weights.requires_grad]
    for weights in trained:
        weights.data = weights.data.bfloat16()
    adapter_in_float32(adapted)
    assert {weights.dtype for weights in trained} == {torch.float32}
    assert layers(adapted)[0].weight.dtype == torch.uint8
