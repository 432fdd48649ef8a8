"""`rlvr export` from the command line, and the files it leaves measured by `rlvr eval`."""

import json

import pytest

pytest.importorskip("trl")

from rlvr.cli import main
from rlvr.engine.sampling import SamplingParams
from rlvr.evaluation.evaluate import Evaluation, Exam
from rlvr.gguf.score import ScoreGate, judged
from rlvr_envs import make

ENV = "arithmetic?largest=9"


@pytest.fixture(scope="module")
def exported(folder_of, tmp_path_factory):
    to = tmp_path_factory.mktemp("exported")
    options = (
        "--types",
        "F32,Q8_0",
        "--env",
        ENV,
        "--n",
        "6",
        "--max-new-tokens",
        "8",
        "--author",
        "A",
        "--license",
        "mit",
    )
    assert main(["export", str(folder_of("qwen3")), "--to", str(to), "--name", "tiny", *options]) == 0
    return to


def test_the_files_come_with_all_that_runs_them(exported):
    assert {path.name for path in exported.iterdir()} == {
        "tiny-F32.gguf",
        "tiny-Q8_0.gguf",
        "Modelfile",
        "RUN.md",
        "parity.json",
    }
    proof = json.loads((exported / "parity.json").read_text())
    assert [file["passed"] for file in proof] == [True, True]
    names = ["template", "tokens", "end of turn", "log-probs", "greedy", "success", "score"]
    assert [finding["name"] for finding in proof[0]["findings"]] == names
    notes = (exported / "RUN.md").read_text()
    for tool in ("llama-server", "ollama create", "PocketPal", "vllm serve", "tiny-Q8_0.gguf"):
        assert tool in notes


def test_the_file_says_whose_it_is(exported):
    from rlvr.gguf.llama_model import opened

    with opened(exported / "tiny-Q8_0.gguf") as model:
        assert model.metadata("general.author") == "A"
        assert model.metadata("general.license") == "mit"
        assert model.metadata("general.name") == "tiny"
        assert model.context_length == 512
        assert model.text_of(model.eos_id) == "<|im_end|>"
        assert "<|im_start|>" in (model.metadata("tokenizer.chat_template") or "")


def evaluated(model, out, *more):
    options = ("--env", ENV, "--n", "6", "--samples", "2", "--max-new-tokens", "8", "--json", str(out))
    assert main(["eval", "--model", str(model), *options, *more]) == 0
    return {row["metric"]: row["mean"] for row in json.loads(out.read_text())}


@pytest.mark.parametrize("temperature", ["0", "1"])
def test_a_whole_file_gives_the_numbers_of_the_model(temperature, exported, folder_of, tmp_path):
    """Not only alike: with the same seeds the same completions."""
    of_file = evaluated(exported / "tiny-F32.gguf", tmp_path / "file.json", "--temperature", temperature)
    of_model = evaluated(folder_of("qwen3"), tmp_path / "model.json", "--temperature", temperature)
    assert of_file == of_model
    assert of_file["tokens"] > 0


def test_nothing_is_overwritten_unasked(exported, folder_of, capsys):
    before = (exported / "tiny-F32.gguf").stat().st_mtime_ns
    options = ("--to", str(exported), "--name", "tiny", "--types", "F32", "--no-verify")
    assert main(["export", str(folder_of("qwen3")), *options]) == 2
    assert "--force" in capsys.readouterr().err
    assert (exported / "tiny-F32.gguf").stat().st_mtime_ns == before


def test_no_verify_is_said_loudly(folder_of, tmp_path, capsys):
    assert main(["export", str(folder_of("qwen3")), "--to", str(tmp_path), "--types", "F16", "--no-verify"]) == 0
    assert "NOT VERIFIED" in capsys.readouterr().out
    assert "NOT VERIFIED" in (tmp_path / "RUN.md").read_text()
    assert not (tmp_path / "parity.json").exists()


def test_a_file_that_fails_is_not_written(folder_of, tmp_path, capsys, monkeypatch):
    """The limit is set below what rounding to 8 bits costs."""
    from rlvr.gguf import gate
    from rlvr.gguf.file_types import FileType

    monkeypatch.setitem(gate.KL_LIMITS, FileType.Q8_0, 1e-9)
    options = ("--to", str(tmp_path), "--name", "tiny", "--types", "F16,Q8_0", "--max-new-tokens", "8")
    assert main(["export", str(folder_of("qwen3")), *options]) == 1
    printed = capsys.readouterr()
    assert "1 of 2 files failed the parity gate" in printed.err
    assert "tiny-Q8_0.gguf: log-probs: mean KL" in printed.err
    assert (tmp_path / "tiny-F16.gguf").exists()
    assert not (tmp_path / "tiny-Q8_0.gguf").exists()
    assert not list(tmp_path.glob(".*"))


def test_an_adapter_is_merged_first(folder_of, tmp_path):
    from peft import LoraConfig, get_peft_model

    from rlvr.config.schema import ModelConfig
    from rlvr.models.load import load_model, load_tokenizer

    base = str(folder_of("qwen3"))
    config = ModelConfig(path=base)
    settings = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(load_model(base, config), settings).save_pretrained(tmp_path / "adapter")
    load_tokenizer(base, config).save_pretrained(tmp_path / "adapter")
    options = ("--types", "F16", "--max-new-tokens", "8")
    assert main(["export", str(tmp_path / "adapter"), "--to", str(tmp_path / "out"), *options]) == 0
    assert (tmp_path / "out" / "adapter-F16.gguf").exists()


def gate_of(before, margin=2.0):
    env = make(ENV)
    exam = Exam(env, env.reward, "test", [{}] * len(before), 1, 0, "")
    return ScoreGate(exam, SamplingParams(8), Evaluation("model", 1.0, {"success": before}), margin)


def of(solved, n=500):
    return [[float(number < solved)] for number in range(n)]


@pytest.mark.parametrize(
    ("before", "after", "margin", "passes"),
    [
        (of(400), of(400), 2.0, True),
        (of(400), of(380), 2.0, False),
        (of(400), of(380), 5.0, True),
        (of(400), of(420), 2.0, True),
        (of(16, 20), of(15, 20), 2.0, True),
    ],
)
def test_a_drop_beyond_margin_and_chance_fails(before, after, margin, passes):
    found = judged("success", gate_of(before, margin), Evaluation("file", 1.0, {"success": after}))
    assert found.passed is passes
    if not passes:
        assert "dropped by 4.0 points" in found.says
    if len(before) == 20:
        assert "too few to tell" in found.says
