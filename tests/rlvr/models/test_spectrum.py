"""Spectrum's ratio against hand-computed values and numpy, its ranking, its files, and what is left to train."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rlvr.config.schema import ModelConfig
from rlvr.models.load import load_model
from rlvr.models.spectrum import (
    Signal,
    SpectrumSettings,
    best,
    chosen_types,
    freeze_all_but,
    held_matrices,
    outside_of_layers,
    scan,
    signal_to_noise,
    stored_matrices,
)
from rlvr.models.spectrum_files import fingerprint, read_unfrozen, scan_into, unfrozen_yaml, write_unfrozen
from rlvr_rewards import UserError


def ratio(weights):
    return signal_to_noise(torch.linalg.svdvals(weights), tuple(weights.shape))


def test_a_ratio_by_hand():
    # Q25 = 1.75, Q75 = 4.75, sigma = 3 / 1.349 = 2.2239, beta = 1, epsilon = 4.4477: signal 10, noise 3 + 2 + 1
    snr, note = ratio(torch.diag(torch.tensor([10.0, 3.0, 2.0, 1.0])))
    assert snr == pytest.approx(10 / 6 / 10)
    assert note == ""


@pytest.mark.parametrize("shape", [(64, 64), (40, 90), (90, 40), (96, 32)])
def test_a_ratio_is_what_numpy_computes(shape):
    values = np.random.default_rng(0).standard_normal(shape) + 3 * np.ones(shape)
    s = np.linalg.svd(values, compute_uv=False)
    q25, q75 = np.quantile(s, [0.25, 0.75])
    limit = (q75 - q25) / 1.349 * (1 + np.sqrt(min(shape) / max(shape)))
    expected = s[s > limit].sum() / s[s <= limit].sum() / s[0]
    assert ratio(torch.tensor(values))[0] == pytest.approx(expected, rel=1e-5)


def test_without_noise_its_sum_counts_as_one_and_that_is_said():
    assert ratio(torch.eye(4)) == (4.0, "no noise found")
    assert ratio(torch.zeros(4, 4)) == (0.0, "all zero")


@pytest.mark.parametrize(("rows", "share"), [(50, 1.0), (125, 1.0), (150, 0.97), (200, 0.8), (500, 0.24)])
def test_pure_noise_counts_as_signal_in_elongated_matrices_and_those_are_noted(rows, share):
    torch.manual_seed(0)
    s = torch.linalg.svdvals(torch.randn(rows, 500))
    limit = (torch.quantile(s, 0.75) - torch.quantile(s, 0.25)) / 1.349 * (1 + (rows / 500) ** 0.5)
    assert float((s > limit).float().mean()) == pytest.approx(share, abs=0.03)
    noted = signal_to_noise(s, (rows, 500))[1]
    assert (noted == "noise of this shape counts as signal") == (share == 1.0)


def test_the_best_are_chosen_within_a_type_and_shape():
    def row(name, kind, shape, snr):
        return Signal(name, kind, shape, snr)

    rows = [row(f"layers.{n}.up", "up", (8, 4), snr) for n, snr in enumerate([3.0, 9.0, 1.0, 5.0])]
    rows += [row(f"layers.{n}.down", "down", (4, 8), 100.0 + n) for n in range(3)]
    rows += [row("layers.9.up", "up", (16, 4), 0.1)]
    assert [signal.name for signal in best(rows, 50)] == ["layers.1.up", "layers.3.up", "layers.2.down", "layers.9.up"]
    assert [signal.name for signal in best(rows, 1)] == ["layers.1.up", "layers.2.down", "layers.9.up"]
    assert len(best(rows, 100)) == len(rows)


def test_a_stored_model_is_scanned_as_a_loaded_one_and_read_matrix_by_matrix(tiny):
    stored, held = list(stored_matrices(tiny)), list(held_matrices(load_model(str(tiny), ModelConfig())))
    assert outside_of_layers(stored) == ["model.embed_tokens"] == outside_of_layers(held)
    layers = chosen_types(stored, ())
    assert sorted({matrix.kind for matrix in layers}) == [
        *(f"mlp.{name}_proj" for name in ("down", "gate", "up")),
        *(f"self_attn.{name}_proj" for name in "koqv"),
    ]
    by_name = {signal.name: signal for signal in scan(chosen_types(held, ()), {})}
    assert {signal.name: signal for signal in scan(layers, {})} == by_name

    read = []
    watched = [replace(m, load=lambda m=m: read.append(m.name) or m.load()) for m in layers]
    first = next(scan(watched, {}))
    assert read == [first.name]


def test_modules_narrow_the_choice_and_an_unknown_one_is_refused(tiny):
    matrices = list(stored_matrices(tiny))
    assert {m.kind for m in chosen_types(matrices, ["mlp.up_proj"])} == {"mlp.up_proj"}
    with pytest.raises(UserError, match=r"mlp\.up_proj"):
        chosen_types(matrices, ["mlp.up_prj"])


def test_a_scan_that_was_broken_off_goes_on_and_other_weights_are_scanned_anew(tiny, tmp_path):
    file, weights = tmp_path / "spectrum/sft.jsonl", fingerprint(str(tiny))
    matrices = chosen_types(stored_matrices(tiny), ())
    whole = scan_into(file, weights, matrices, lambda done: None)
    lines = file.read_text().splitlines()
    assert len(lines) == 1 + len(matrices)
    file.write_text("\n".join([*lines[:4], lines[4][:20]]))
    read = []
    watched = [replace(m, load=lambda m=m: read.append(m.name) or m.load()) for m in matrices]
    assert scan_into(file, weights, watched, lambda done: None) == whole
    assert read == [matrix.name for matrix in matrices[3:]]
    assert sorted(file.read_text().splitlines()) == sorted(lines)
    scan_into(file, [["other.safetensors", 1, 2]], watched, lambda done: None)
    assert len(read) == len(matrices) - 3 + len(matrices)


def test_the_list_is_written_and_read_as_the_reference_tool_does(tmp_path):
    chosen = [Signal("model.layers.1.mlp.up_proj", "mlp.up_proj", (8, 4), 2.0)]
    assert unfrozen_yaml(chosen, ["model.embed_tokens"]) == (
        "unfrozen_parameters:\n- ^model.embed_tokens.weight$\n# mlp.up_proj layers\n- model.layers.1.mlp.up_proj\n"
    )
    write_unfrozen(tmp_path / "a.yaml", chosen, ["model.embed_tokens"])
    assert read_unfrozen(tmp_path / "a.yaml") == ["^model.embed_tokens.weight$", "model.layers.1.mlp.up_proj"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("frozen: [a]", "no list unfrozen_parameters"),
        ("unfrozen_parameters: []", "no list unfrozen_parameters"),
        ("unfrozen_parameters: [model.layers.2[0-9]+.mlp]", "no YAML"),
        ('unfrozen_parameters: ["model.layers.2[0-9]+.mlp"]', "is a pattern"),
        ("unfrozen_parameters: !!python/object/apply:os.system [ls]", "no YAML"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path, text, says):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=says):
        read_unfrozen(tmp_path / "a.yaml")


def test_all_but_the_named_is_frozen(tiny):
    model = load_model(str(tiny), ModelConfig())
    trained = freeze_all_but(model, ["model.layers.1.mlp.up_proj", "^model.norm.weight$"])
    left = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert left == {"model.layers.1.mlp.up_proj.weight", "model.norm.weight"}
    assert trained == 32 * 64 + 32
    freeze_all_but(model, ["^lm_head.weight$"])
    assert [name for name, weight in model.named_parameters() if weight.requires_grad] == ["model.embed_tokens.weight"]
    with pytest.raises(UserError, match=r"model\.layers\.1\.mlp\.up_proj"):
        freeze_all_but(model, ["model.layers.1.mlp.up_prj"])


def test_layer_1_does_not_mean_layer_11(tiny):
    model = load_model(str(tiny), ModelConfig())
    freeze_all_but(model, ["model.layers.1"])
    assert all(name.startswith("model.layers.1.") for name, weight in model.named_parameters() if weight.requires_grad)


def test_a_finished_list_leaves_nothing_to_choose():
    with pytest.raises(ValueError, match="leave out top_percent"):
        SpectrumSettings(parameters="a.yaml", top_percent=10)
