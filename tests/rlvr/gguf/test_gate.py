"""The gate lets a right file of every architecture pass, and stops one that was broken on purpose."""

from dataclasses import replace

import pytest

from rlvr.gguf.convert import plan_export, write_file
from rlvr.gguf.credits import Credits
from rlvr.gguf.file_types import FileType
from rlvr.gguf.gate import compare
from rlvr.gguf.reference import ask_model

ARCHITECTURES = ("llama", "qwen2", "qwen3", "smollm3", "gemma3")


@pytest.fixture(scope="module")
def asked(folder_of, opened_model):
    """Plan and reference of a tiny model by its name."""
    found = {}

    def find(name):
        if name not in found:
            model, tokenizer = opened_model(name)
            plan = plan_export(folder_of(name), tokenizer, Credits("tiny"))
            found[name] = plan, ask_model(model, tokenizer, None, max_new_tokens=8, seed=0)
        return found[name]

    return find


def findings(path, plan, reference, file_type=FileType.F16):
    write_file(path, plan, file_type)
    return {finding.name: finding for finding in compare(path, file_type, reference)}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_file_of_every_architecture_passes(name, asked, tmp_path):
    plan, reference = asked(name)
    for file_type in (FileType.F16, FileType.Q8_0):
        found = findings(tmp_path / f"{file_type}.gguf", plan, reference, file_type)
        assert {each: finding.says for each, finding in found.items() if not finding.passed} == {}
    assert len(reference.texts) == 200


def broken(plan, **tokenizer):
    changed = {f"tokenizer.ggml.{name}": value for name, value in tokenizer.items()}
    return replace(plan, metadata={**plan.metadata, **changed})


def without_template(plan):
    return replace(plan, metadata={k: v for k, v in plan.metadata.items() if k != "tokenizer.chat_template"})


def with_swapped_tensors(plan):
    """The two halves of every gated MLP, which have the same shape."""
    by_name = {tensor.name: tensor for tensor in plan.tensors}
    swap = {"ffn_gate": "ffn_up", "ffn_up": "ffn_gate"}

    def partner(tensor):
        for ours, theirs in swap.items():
            if f".{ours}." in tensor.name:
                return replace(by_name[tensor.name.replace(ours, theirs)], name=tensor.name)
        return tensor

    return replace(plan, tensors=[partner(tensor) for tensor in plan.tensors])


BREAKS = {
    "wrong pre-tokenizer": ("qwen2", lambda plan: broken(plan, pre="gpt-2"), "tokens"),
    "double BOS": ("llama", lambda plan: broken(plan, add_bos_token=True), "tokens"),
    "lost template": ("qwen3", without_template, "template"),
    "swapped tensors": ("qwen3", with_swapped_tensors, "log-probs"),
    "wrong EOS": ("qwen3", lambda plan: broken(plan, eos_token_id=0), "end of turn"),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_each_break_is_caught(fault, asked, tmp_path):
    name, break_it, caught_by = BREAKS[fault]
    plan, reference = asked(name)
    found = findings(tmp_path / "broken.gguf", break_it(plan), reference)
    assert not found[caught_by].passed
    if fault == "double BOS":
        assert "BOS stands twice" in found[caught_by].says


def test_another_template_is_caught(asked, tmp_path):
    plan, reference = asked("qwen3")
    other = replace(plan, metadata={**plan.metadata, "tokenizer.chat_template": "{{ messages[0]['content'] }}"})
    assert not findings(tmp_path / "broken.gguf", other, reference)["template"].passed
