"""What cannot be exported is refused in one line that names what is missing, before anything is written."""

import json
import shutil

import pytest

from rlvr.gguf.convert import plan_export
from rlvr.gguf.credits import Credits
from rlvr.models.load import load_tokenizer
from rlvr_rewards import UserError


@pytest.fixture
def copy(folder_of, tmp_path):
    """A tiny model's folder with some of a JSON file's entries changed."""

    def make(name, file="config.json", **changes):
        folder = tmp_path / name
        shutil.copytree(folder_of(name), folder, dirs_exist_ok=True)
        values = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(values | changes))
        return folder

    return make


def refusal(folder):
    from rlvr.config.schema import ModelConfig

    with pytest.raises(UserError) as refused:
        plan_export(folder, load_tokenizer(str(folder), ModelConfig(path=str(folder))), Credits())
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_an_architecture_without_a_mapping_names_the_tool_that_may_have_one(copy):
    said = refusal(copy("qwen2", model_type="phi3", architectures=["Phi3ForCausalLM"]))
    assert "Phi3ForCausalLM" in said
    assert "convert_hf_to_gguf.py" in said


@pytest.mark.parametrize(
    ("name", "changes", "what"),
    [
        ("llama", {"hidden_act": "gelu"}, "activation gelu"),
        ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "sliding window"),
        ("smollm3", {"no_rope_layers": [1, 1, 1, 1]}, "layers without positions"),
        ("gemma3", {"query_pre_attn_scalar": 32}, "query_pre_attn_scalar 32"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, "dynamic"),
    ],
)
def test_what_llama_cpp_computes_otherwise_is_refused(copy, name, changes, what):
    assert what in refusal(copy(name, **changes))


def test_a_tokenizer_that_splits_text_in_its_own_way_is_refused(copy):
    own = {"type": "Sequence", "pretokenizers": [{"type": "Punctuation", "behavior": "Isolated"}]}
    assert "splits text" in refusal(copy("qwen3", "tokenizer.json", pre_tokenizer=own))


def test_a_missing_shard_is_refused(copy, folder_of):
    from safetensors.torch import load_file, save_file

    folder = copy("qwen3")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("model.layers.1.mlp.up_proj.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert "blk.1.ffn_up.weight" in refusal(folder)


def test_a_tensor_that_llama_cpp_has_no_place_for_is_refused(copy):
    import torch
    from safetensors.torch import load_file, save_file

    folder = copy("qwen3")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.0.extra.weight"] = torch.zeros(2, 2)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert "model.layers.0.extra.weight has no place" in refusal(folder)


@pytest.mark.parametrize("value", [1e5, float("nan")])
def test_values_that_float16_cannot_hold_are_refused(copy, tmp_path, value):
    from safetensors.torch import load_file, save_file

    from rlvr.config.schema import ModelConfig
    from rlvr.gguf.convert import write_file
    from rlvr.gguf.file_types import FileType

    folder = copy("qwen3")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 3] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    plan = plan_export(folder, load_tokenizer(str(folder), ModelConfig(path=str(folder))), Credits())
    with pytest.raises(UserError, match=r"blk.1.ffn_up.weight holds values beyond 65,504"):
        write_file(tmp_path / "a.gguf", plan, FileType.F16)
