"""Which tensor gets which type, and that the numbers survive it."""

import pytest

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

import numpy as np
from gguf import GGMLQuantizationType, quants

from rlvr.gguf.file_types import FileType, parse_types, tensor_type
from rlvr.gguf.k_quants import quantize_rows
from rlvr_rewards import UserError


def kind(file_type, name, shape=(512, 256), num_layers=16, is_tied=True):
    return tensor_type(FileType(file_type), name, shape, num_layers, is_tied).name


def test_the_recipe_of_q4_k_m_is_that_of_llama_cpp():
    more = [layer for layer in range(16) if kind("Q4_K_M", f"blk.{layer}.ffn_down.weight") == "Q6_K"]
    assert more == [0, 1, 4, 7, 10, 13, 14, 15]
    assert [layer for layer in range(16) if kind("Q5_K_M", f"blk.{layer}.attn_v.weight") == "Q6_K"] == more
    assert kind("Q4_K_M", "blk.2.ffn_down.weight") == "Q4_K"
    assert kind("Q4_K_M", "blk.0.attn_q.weight") == "Q4_K"
    assert kind("Q4_K_M", "token_embd.weight") == "Q6_K"
    assert kind("Q4_K_M", "token_embd.weight", is_tied=False) == "Q4_K"
    assert kind("Q4_K_M", "output.weight", is_tied=False) == "Q6_K"


def test_vectors_and_norms_stay_whole():
    for file_type in FileType:
        assert kind(file_type, "blk.0.attn_norm.weight", (256,)) == "F32"
        assert kind(file_type, "blk.0.attn_q.bias", (256,)) == "F32"


@pytest.mark.parametrize(
    ("file_type", "narrow"), [("Q4_K_M", "Q5_0"), ("Q5_K_M", "Q5_1"), ("Q6_K", "Q8_0"), ("Q4_0", "Q4_0")]
)
def test_rows_that_do_not_fit_get_a_wider_type(file_type, narrow):
    assert kind(file_type, "blk.2.ffn_up.weight", (64, 96)) == narrow
    assert kind(file_type, "token_embd.weight", (64, 96)) == "Q8_0"
    assert kind(file_type, "blk.2.ffn_up.weight", (64, 33)) == "F16"


@pytest.mark.parametrize(("name", "error"), [("Q4_K", 0.09), ("Q5_K", 0.05), ("Q6_K", 0.03)])
def test_k_quants_hold_what_was_put_into_them(name, error):
    rows = np.random.default_rng(0).normal(size=(8, 512)).astype(np.float32)
    stored = quantize_rows(rows, GGMLQuantizationType[name])
    assert np.abs(quants.dequantize(stored, GGMLQuantizationType[name]) - rows).mean() < error


def test_llama_cpp_and_gguf_write_the_same_bytes_of_q8_0():
    rows = np.random.default_rng(0).normal(size=(8, 512)).astype(np.float32)
    ours = quants.quantize(rows, GGMLQuantizationType.Q8_0)
    assert (quantize_rows(rows, GGMLQuantizationType.Q8_0) == ours).all()


def test_an_unknown_type_offers_the_nearest():
    with pytest.raises(UserError, match="did you mean 'Q4_K_M'"):
        parse_types("F16,Q4_KM")
    with pytest.raises(UserError, match="no type"):
        parse_types(" , ")
