"""The stage `export`: its files in the run's folder, evaluated like models, and its refusals."""

import json

import pytest

pytest.importorskip("trl")
pytest.importorskip("xllamacpp")

from rlvr.cli import main

CONFIG = """
threads = 1
[model.scratch]
hidden_size = 64
intermediate_size = 96
num_layers = 1
num_heads = 2
num_kv_heads = 2
[env]
name = "arithmetic"
largest = 9
[[stage]]
kind = "sft"
steps = 2
batch_size = 4
[[stage]]
kind = "export"
types = ["F16", "Q4_0"]
num_tasks = 5
max_new_tokens = 8
margin = 100
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG)
    return path


def test_the_files_are_in_the_run_and_in_its_results(config, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["run", str(config), "--run-dir", str(run)]) == 0
    assert {path.name for path in (run / "gguf" / "export").iterdir()} == {
        "sft-F16.gguf",
        "sft-Q4_0.gguf",
        "Modelfile",
        "RUN.md",
        "parity.json",
    }
    rows = {(row["stage"], row["metric"]): row for row in json.loads((run / "results.json").read_text())}
    assert rows["sft-F16", "success-sft"]["mean"] == 0
    assert rows["sft-Q4_0", "score"]["model"] == "gguf/export/sft-Q4_0.gguf"
    assert ("sft-Q4_0", "success-sft-F16") in rows
    notes = (run / "gguf" / "export" / "RUN.md").read_text()
    again = "--env 'arithmetic?largest=9' --n 5 --max-new-tokens 8 --temperature 1 --seed 0"
    assert f"rlvr eval --model sft-Q4_0.gguf {again}\n" in notes
    manifest = json.loads((run / "manifest.json").read_text())
    assert {row["stage"]: row["before"] for row in manifest["table"] if row["mean"] is not None} == {
        "sft-F16": "sft",
        "sft-Q4_0": "sft",
    }
    entry = next(e for e in manifest["stages"] if e["kind"] == "export")
    assert entry["metrics"]["sft-F16.gguf"]["log-probs.mean_kl"] <= 1e-5
    assert "sft-Q4_0" in capsys.readouterr().out
    assert main(["run", str(config), "--run-dir", str(run)]) == 0  # finished: nothing is done again


def test_an_unknown_type_is_refused_before_anything_runs(config, tmp_path, capsys):
    command = ["run", str(config), "--run-dir", str(tmp_path / "run"), "--set", 'stage.export.types=["Q4_KM"]']
    assert main(command) == 2
    assert "Q4_K_M" in capsys.readouterr().err
    assert not (tmp_path / "run" / "models").exists()
