"""K-quants through the program `llama-quantize`, and what is said of rows that are no whole blocks of a type.

Where the program is on the PATH, its files are compared with ours; a stand-in shows what becomes of what it writes.
"""

import json
import shutil
import stat

import pytest
from gguf import GGUFReader

from rlvr.cli import main
from rlvr.gguf.convert import plan_export, write_file
from rlvr.gguf.credits import Credits
from rlvr.gguf.file_types import FileType
from rlvr.gguf.llama_quantize import quantize_file
from rlvr.models.load import load_tokenizer

K_QUANTS = (FileType.Q4_K_M, FileType.Q5_K_M, FileType.Q6_K)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a `llama-quantize` with the given lines of shell on the PATH; they find SOURCE, TARGET and TYPE."""

    def make(lines):
        path = tmp_path / "bin" / "llama-quantize"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\nSOURCE=$1 TARGET=$2 TYPE=$3\necho $TYPE >> {tmp_path}/asked\n{lines}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
        return tmp_path / "asked"

    return make


def exported(folder, to, types, *more):
    return main(["export", str(folder), "--to", str(to), "--name", "tiny", "--types", types, *more])


def test_its_files_go_through_the_gate_and_say_what_is_stored_otherwise(program, folder_of, tmp_path, capsys):
    asked = program("cp $SOURCE $TARGET")
    assert exported(folder_of("qwen2"), tmp_path / "out", "Q4_K_M,Q6_K", "--max-new-tokens", "4") == 0
    assert asked.read_text().split() == ["Q4_K_M", "Q6_K"]
    printed = " ".join(capsys.readouterr().out.split())
    assert "16 matrices have rows that are no whole blocks of Q4_K_M" in printed
    assert "stored as Q5_0, Q8_0, as llama.cpp does" in printed
    assert {path.name for path in (tmp_path / "out").glob("*")} >= {"tiny-Q4_K_M.gguf", "tiny-Q6_K.gguf"}
    assert not list((tmp_path / "out").rglob("float.gguf"))
    proof = json.loads((tmp_path / "out/parity.json").read_text())
    assert proof[0]["stored_otherwise"]["blk.0.attn_q.weight"] == "Q5_0"


def test_a_file_that_it_spoiled_is_caught(program, folder_of, tmp_path, capsys):
    """It says that all went well, and wrote another file's weights."""
    source = folder_of("llama")
    plan = plan_export(source, load_tokenizer(str(source), _config(source)), Credits())
    write_file(tmp_path / "other.gguf", plan, FileType.F32)
    program(f"cp {tmp_path}/other.gguf $TARGET")
    assert exported(folder_of("qwen2"), tmp_path / "out", "Q4_K_M", "--max-new-tokens", "4") == 1
    assert "failed the parity gate" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.gguf"))


def test_where_it_fails_the_line_ends_with_what_it_said(program, folder_of, tmp_path, capsys):
    program("echo main: quantizing; echo cannot quantize tensor blk.0 >&2; exit 1")
    assert exported(folder_of("qwen2"), tmp_path / "out", "Q4_K_M", "--no-verify") == 1
    assert "llama-quantize fails on Q4_K_M (code 1): cannot quantize tensor blk.0" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_with_it_and_without_the_gate_nothing_else_of_llama_cpp_is_needed(program, folder_of, tmp_path, monkeypatch):
    from rlvr.gguf import llama_library

    monkeypatch.setattr(llama_library, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert exported(folder_of("qwen2"), tmp_path / "none", "Q4_K_M", "--no-verify") == 2
    program("cp $SOURCE $TARGET")
    assert exported(folder_of("qwen2"), tmp_path / "out", "Q4_K_M", "--no-verify") == 0


@pytest.mark.parametrize(
    ("hidden", "mlp", "file_type", "says"),
    [
        (64, 96, "Q4_0", None),
        (64, 80, "Q4_0", "2 matrices have rows that are no whole blocks of Q4_0 (blk.0.ffn_down.weight, …): stored as"),
        (64, 80, "Q8_0", "2 matrices have rows that are no whole blocks of Q8_0 (blk.0.ffn_down.weight, …): stored as"),
        (256, 512, "Q4_K_M", None),
        (256, 96, "Q4_K_M", "2 matrices have rows that are no whole blocks of Q4_K_M (blk.0.ffn_down.weight, …)"),
    ],
)
def test_rows_that_are_no_whole_blocks_are_said_in_one_line(tmp_path, capsys, hidden, mlp, file_type, says):
    assert exported(_qwen2(tmp_path / "model", hidden, mlp), tmp_path / "out", file_type, "--max-new-tokens", "4") == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if "whole blocks" in line]
    assert len(lines) == (says is not None) and all(line.startswith(says) for line in lines)
    if says and file_type in ("Q4_0", "Q8_0"):
        assert lines[0].endswith("stored as F16, as llama.cpp does")


@pytest.mark.parametrize(("hidden", "mlp"), [(256, 512), (128, 256), (256, 352), (64, 96)])
def test_the_real_program_writes_the_same_bytes(tmp_path, hidden, mlp):
    """Of every tensor: types and values, also where rows are no whole blocks."""
    if shutil.which("llama-quantize") is None:
        pytest.skip("no llama-quantize on the PATH")
    model = _qwen2(tmp_path / "model", hidden, mlp, layers=9)
    plan = plan_export(model, load_tokenizer(str(model), _config(model)), Credits())
    write_file(tmp_path / "float.gguf", plan, FileType.F32)
    for file_type in K_QUANTS:
        quantize_file(tmp_path / "float.gguf", tmp_path / "theirs.gguf", file_type)
        write_file(tmp_path / "ours.gguf", plan, file_type)
        theirs, ours = ({t.name: t for t in GGUFReader(tmp_path / f"{w}.gguf").tensors} for w in ("theirs", "ours"))
        assert {name: t.tensor_type.name for name, t in theirs.items()} == {
            name: t.tensor_type.name for name, t in ours.items()
        }
        assert all((theirs[name].data == ours[name].data).all() for name in theirs)


def _config(folder):
    from rlvr.config.schema import ModelConfig

    return ModelConfig(path=str(folder))


def _qwen2(folder, hidden, mlp, layers=2):
    """A Qwen2 network of these sizes with random weights."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from rlvr.config.schema import ScratchConfig
    from rlvr.models.scratch import corpus, make_tokenizer
    from rlvr_envs import make

    tokenizer = make_tokenizer(corpus(make("arithmetic"), 0), ScratchConfig(vocab_size=352))
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=352,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
