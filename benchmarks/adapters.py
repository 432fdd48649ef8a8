"""All weights, LoRA, DoRA, QLoRA and Spectrum on the quickstart's task: score, trained weights, memory and time.

nice -n 19 python benchmarks/adapters.py OUT       # writes into OUT, prints both tables as Markdown; again: goes on

All start from one SFT model (the quickstart's, all weights) and train the same GRPO steps on it, with a learning rate a
method. The scores' intervals are over the held-out tasks of one seed: they say nothing of other seeds. Peak memory is
the process's resident set, which in so small a model is mostly the libraries': so a second table trains two steps of
SFT on a model of 114 M weights. Needs the extra qlora.
"""

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rlvr.models.adapters import LoraSettings
from rlvr.models.memory import GPU, Workload, memory_estimate
from rlvr.models.room import Lengths
from rlvr.models.shape import ModelShape
from rlvr.models.spectrum import SpectrumSettings

QWEN_7B = ModelShape(7_615_616_512, 2, 152_064, 3584, 18_944, 28, 28, 4, 128, 32_768)
METHODS = {
    "all weights": (3e-4, ""),
    "LoRA": (1e-3, "[stage.lora]\nr = 16\nalpha = 32"),
    "DoRA": (1e-3, "[stage.lora]\nr = 16\nalpha = 32\ndora = true"),
    "QLoRA": (1e-3, "[stage.lora]\nr = 16\nalpha = 32\nqlora = true"),
    "Spectrum": (3e-4, "[stage.spectrum]\ntop_percent = 25"),
}
"""By name: learning rate of GRPO, and the stage's table."""
HEAD = """
seed = 0
threads = {threads}
[model]
path = {path}
[env]
name = "scheduling"
tier = "compact"
[reward]
expression = "optimum_ratio + success"
"""
SFT = '[model.scratch]\nintermediate_size = 256\n[[stage]]\nkind = "sft"\nsteps = 200\nlearning_rate = 2e-3\n'
GRPO = """
[[stage]]
kind = "grpo"
steps = {steps}
learning_rate = {rate}
prompts_per_step = 16
group_size = 16
max_new_tokens = 40
[stage.trl]
warmup_steps = 5
adam_beta2 = 0.99
{settings}
[[stage]]
kind = "evaluate"
max_new_tokens = 40
metrics = ["optimum_ratio", "success"]
"""
LARGE = """
[model.scratch]
hidden_size = 768
intermediate_size = 3072
num_layers = 12
num_heads = 12
num_kv_heads = 12
[[stage]]
kind = "sft"
steps = 2
batch_size = 2
num_examples = 4
learning_rate = 1e-4
{settings}
"""


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=60, help="of GRPO (default 60)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    head = HEAD.replace("{threads}", str(args.threads))
    run(args.out / "sft", head.replace("{path}", '"scratch"') + SFT)
    start = json.dumps(str((args.out / "sft/models/sft").resolve()))
    trained = GRPO.replace("{steps}", str(args.steps))
    table(
        ("method", "learning rate", "optimum ratio", "optimal", "trained", "s of GRPO", "peak MiB", "7B on a GPU"),
        (quality(args.out, name, head.replace("{path}", start) + trained) for name in METHODS),
    )
    table(
        ("method", "trained", "peak MiB, 114 M weights"),
        (size(args.out, name, head.replace("{path}", '"scratch"') + LARGE) for name in METHODS),
    )


def quality(out: Path, name: str, config: str) -> tuple[str, ...]:
    """A row of the first table."""
    rate, settings = METHODS[name]
    folder = out / name.replace(" ", "-").lower()
    peak = run(folder, config.replace("{rate}", str(rate)).replace("{settings}", settings))
    rows = {row["metric"]: row for row in json.loads((folder / "results.json").read_text())}
    shown = [f"{r['mean']:.3f} [{r['ci_low']:.3f}, {r['ci_high']:.3f}]" for r in map(rows.get, SCORES) if r]
    seconds = next(s["seconds"] for s in manifest(folder) if s["name"] == "grpo")
    return (name, f"{rate:g}", *shown, trained_weights(folder, "grpo"), f"{seconds:.0f}", str(peak), estimate(settings))


SCORES = ("optimum_ratio", "success")


def size(out: Path, name: str, config: str) -> tuple[str, ...]:
    """A row of the second table."""
    folder = out / f"large-{name.replace(' ', '-').lower()}"
    peak = run(folder, config.replace("{settings}", METHODS[name][1]))
    return name, trained_weights(folder, "sft"), str(peak)


def run(folder: Path, config: str) -> int:
    """Runs a config in a process of its own, or takes what it left; the peak of its resident set in MiB."""
    path, peak = folder.with_suffix(".toml"), folder.with_suffix(".peak")
    if peak.exists():
        return int(peak.read_text())
    path.write_text(config)
    command = [sys.executable, "-m", "rlvr", "run", str(path), "--run-dir", str(folder)]
    pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
    _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{path} ended with {os.waitstatus_to_exitcode(status)}")
    peak.write_text(str(used.ru_maxrss // 1024))
    return used.ru_maxrss // 1024


def manifest(folder: Path) -> list[dict]:
    return json.loads((folder / "manifest.json").read_text())["stages"]


def trained_weights(folder: Path, stage: str) -> str:
    """How many weights a stage trained, from the shapes in what it saved."""
    from safetensors import safe_open

    adapter = folder / f"models/{stage}/adapter_model.safetensors"
    whole = folder / f"models/{stage}/model.safetensors"
    chosen = folder / f"spectrum/{stage}.yaml"
    with safe_open(adapter if adapter.exists() else whole, framework="np") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    if chosen.exists():
        names = {line.removeprefix("- ") for line in chosen.read_text().splitlines() if line.startswith("- ")}
        shapes = {name: shape for name, shape in shapes.items() if name.removesuffix(".weight") in names}
    count = 0
    for shape in shapes.values():
        rows = shape[0]
        count += rows * (shape[1] if len(shape) > 1 else 1)
    return f"{count:,}"


def estimate(settings: str) -> str:
    """Our own estimate for a 7B model: GRPO on 2 completions of up to 1,600 tokens at once, bfloat16."""
    given = tomllib.loads(settings).get("stage", {})
    lora = LoraSettings(**given["lora"]) if "lora" in given else None
    spectrum = SpectrumSettings(**given["spectrum"]) if "spectrum" in given else None
    work = Workload(2, 8, 1600, lora, reference=False, spectrum=spectrum)
    return f"{sum(memory_estimate(QWEN_7B, work, Lengths(450, 0, True), GPU).values()) / 2**30:.0f} GiB"


def table(columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
