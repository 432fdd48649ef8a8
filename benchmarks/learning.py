"""Whether speed is paid with learning: the quickstart's GRPO by stock TRL and by ours, from the same SFT models.

    python benchmarks/learning.py FOLDER [--seeds 0,1,2] [--steps 300] [--tasks 500] [--again]

For each seed `rlvr run` trains the quickstart's SFT and, without its DPO, GRPO by ours; stock TRL then trains from the
same SFT model with the same settings and tasks. Both are evaluated on the same held-out days. Printed are the paired
differences, and whether they lie within 0.05 of 0: two one-sided tests at 5% each, over tasks. With --again stock TRL
is trained twice, the second time drawing other completions: so far do two runs differ by chance. FOLDER gets
learning.svg, reward against wall-clock of both. What is trained in FOLDER is not trained again. It takes hours; to try
it: --steps 2 --sft-steps 5 --tasks 20.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from statistics import NormalDist, mean, stdev
from typing import Any

MARGIN = 0.05
_WIDTH, _HEIGHT, _EDGE = 640, 360, 45
_STOCK, _AGAIN = "stock", "stock-again"
_COLOURS = {_STOCK: "#c2571a", "ours": "#2a6fbb"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--sft-steps", type=int, default=190)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:  # stock TRL in a process of its own, as ours is
        return train_stock(args.one, args)
    seeds = [int(seed) for seed in args.seeds.split(",")]
    os.environ.update(OMP_NUM_THREADS=str(args.threads))
    runs = {seed: trained(args.folder / f"seed-{seed}", seed, args) for seed in seeds}
    stock = {seed: scores(run, _STOCK, args.tasks) for seed, run in runs.items()}
    compared = [("ours", "models/grpo"), *([("stock again", _AGAIN)] if args.again else [])]
    for name, model in compared:
        other = {seed: scores(run, model, args.tasks) for seed, run in runs.items()}
        report(name, {seed: [a - b for a, b in zip(other[seed], stock[seed], strict=True)] for seed in seeds})
    found = [
        {"ours": _over_time(run / "metrics.jsonl"), _STOCK: _over_time(_log(run / _STOCK))} for run in runs.values()
    ]
    (args.folder / "learning.svg").write_text(svg(curves(found)), encoding="utf-8")


def trained(run: Path, seed: int, args: argparse.Namespace) -> Path:
    """The run's folder, with the models of both sides."""
    settings = [f"seed={seed}", f"threads={args.threads}", f"stage.sft.steps={args.sft_steps}"]
    settings += [f"stage.grpo.steps={args.steps}", "stage.grpo.start=sft"]
    options = [part for setting in settings for part in ("--set", setting)]
    config = shortened(args.folder)
    subprocess.run([sys.executable, "-m", "rlvr", "run", str(config), "--run-dir", str(run), *options], check=True)
    for model in (_STOCK, _AGAIN) if args.again else (_STOCK,):
        if not (run / model / "config.json").exists():
            passed_on = [f"--steps={args.steps}", f"--threads={args.threads}", f"--one={run / model}"]
            subprocess.run([sys.executable, __file__, str(args.folder), *passed_on], check=True)
    return run


def shortened(folder: Path) -> Path:
    """The quickstart with its stages `sft` and `grpo` alone."""
    text = (Path(__file__).parents[1] / "configs" / "quickstart.toml").read_text(encoding="utf-8")
    head, *stages = text.split("[[stage]]")
    chosen = [next(each for each in stages if f'kind = "{kind}"' in each) for kind in ("sft", "grpo")]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "learning.toml"
    path.write_text("[[stage]]".join([head, *chosen]), encoding="utf-8")
    return path


def train_stock(model: Path, args: argparse.Namespace) -> None:
    """TRL's own trainer with the settings of the stage `grpo`, on its tasks, from the model of `sft`."""
    from rlvr.pipeline.environment import prepare_process, quiet_libraries

    prepare_process(offline=True)
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback
    from trl import GRPOTrainer

    from rlvr.config.load import load_config
    from rlvr.models.load import load_model, load_tokenizer
    from rlvr.pipeline.run import environment_of, reward_of
    from rlvr.pipeline.training import trl_config

    quiet_libraries()
    torch.set_num_threads(args.threads)
    run = model.parent
    config = load_config(str(run / "config.toml"), [])
    stage, env = next(each for each in config.stage if each.name == "grpo"), environment_of(config)
    start, written = str(run / "models" / "sft"), _log(model)
    arguments = trl_config(stage, _run(config, run), start)
    arguments.output_dir, arguments.save_strategy = f"{model}-checkpoints", "no"
    tasks = _tasks(stage, _run(config, run), env)

    class Log(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "reward" in logs:
                line = {"stage": "grpo", "step": state.global_step, "reward": logs["reward"], "time": time.time()}
                with written.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")

    written.unlink(missing_ok=True)
    trainer = GRPOTrainer(
        model=load_model(start, config.model),
        reward_funcs=reward_of(config, env),
        args=arguments,
        train_dataset=Dataset.from_list(tasks),
        processing_class=load_tokenizer(start, config.model),
        callbacks=[Log()],
    )
    trainer.remove_callback(PrinterCallback)
    if model.name == _AGAIN:
        torch.manual_seed(arguments.seed + 1)
    trainer.train()
    trainer.save_model(str(model))


def _log(model: Path) -> Path:
    return model.with_suffix(".jsonl")


def _run(config: Any, path: Path) -> Any:
    from rich.console import Console

    from rlvr.pipeline.folder import RunFolder
    from rlvr.pipeline.run import Run

    return Run(config, RunFolder(path), Console(quiet=True))


def _tasks(stage: Any, run: Any, env: Any) -> list[dict[str, Any]]:
    """Those of the stage, with the columns that its reward asks for."""
    rows = islice(env.rows("train", run.seed(stage=stage.name)), stage.steps * stage.prompts_per_step)
    return [{**task, "prompt": env.messages(task)} for task in rows]


def scores(run: Path, model: str, num_tasks: int) -> list[float]:
    """Success on each held-out task, drawn at temperature 1 with the same seeds."""
    out = run / f"{Path(model).name}-scores"
    command = [sys.executable, "-m", "rlvr", "eval", "--model", str(run / model), "--env", "scheduling?tier=compact"]
    command += ["--n", str(num_tasks), "--max-new-tokens", "40", "--force", "--traces", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return _successes(out)


def _successes(folder: Path) -> list[float]:
    import pyarrow.parquet as pq

    rows = [row for path in sorted(folder.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    by_task = {row["task_id"]: float(bool(row["success"])) for row in rows}
    return [by_task[task] for task in sorted(by_task)]


def _over_time(path: Path) -> list[tuple[float, float]]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    kept = [(line["time"], line["reward"]) for line in lines if line.get("stage") == "grpo" and "reward" in line]
    return [(at - kept[0][0], reward) for at, reward in kept]


def report(name: str, differences: dict[int, list[float]]) -> None:
    """The paired differences of each seed, and of the seeds' mean on each task, with what the test says.

    The test is over tasks, for the models of these seeds; how far runs differ by chance, the seeds' own means tell.
    """
    for seed, each in differences.items():
        print(f"seed {seed}: {name} - stock {_said(each)}, {len(each)} tasks")
    print(f"mean of the seeds: {_said([mean(of_task) for of_task in zip(*differences.values(), strict=True)])}")
    means = [mean(each) for each in differences.values()]
    if len(means) > 1:
        print(f"the seeds' means differ by {stdev(means):.3f} (one standard deviation)")


def _said(values: list[float]) -> str:
    """Two one-sided tests by the normal distribution, which hundreds of tasks allow."""
    if len(values) < 2 or stdev(values) == 0:
        return f"{mean(values):+.3f}"
    normal, error = NormalDist(), stdev(values) / len(values) ** 0.5
    worst = max(1 - normal.cdf((mean(values) + MARGIN) / error), normal.cdf((mean(values) - MARGIN) / error))
    half = normal.inv_cdf(0.95) * error
    verdict = f"equivalent within {MARGIN}" if worst < 0.05 else f"not shown to be within {MARGIN}"
    return (
        f"{mean(values):+.3f} (90% {mean(values) - half:+.3f} … {mean(values) + half:+.3f}), p {worst:.3f}: {verdict}"
    )


def curves(found: list[dict[str, Any]]) -> list[tuple[str, list[tuple[float, float]]]]:
    """A line for each side and seed, each point the mean of 10 steps."""
    lines = []
    for each in found:
        for side in _COLOURS:
            points = each[side]
            groups = [points[first : first + 10] for first in range(0, len(points), 10)]
            lines.append((side, [(group[-1][0], mean(reward for _, reward in group)) for group in groups]))
    return lines


def svg(lines: list[tuple[str, list[tuple[float, float]]]]) -> str:
    """Reward against minutes."""
    longest = max(at for _, line in lines for at, _ in line) or 1.0
    most = max(reward for _, line in lines for _, reward in line) or 1.0

    def x(seconds: float) -> float:
        return _EDGE + seconds / longest * (_WIDTH - 2 * _EDGE)

    def y(reward: float) -> float:
        return _HEIGHT - _EDGE - max(reward, 0.0) / most * (_HEIGHT - 2 * _EDGE)

    drawn = []
    for tenth in range(0, int(most * 10) + 1, 5):
        drawn.append(f'<path stroke="#ddd" d="M{_EDGE},{y(tenth / 10):.1f}H{_WIDTH - _EDGE}"/>')
        drawn.append(f'<text x="{_EDGE - 28}" y="{y(tenth / 10) + 4:.1f}">{tenth / 10:.1f}</text>')
    for minute in range(0, int(longest / 60) + 1, 5):
        drawn.append(f'<text x="{x(60 * minute) - 4:.1f}" y="{_HEIGHT - _EDGE + 20}">{minute}</text>')
    for side, line in lines:
        points = " ".join(f"{x(at):.1f},{y(reward):.1f}" for at, reward in line)
        drawn.append(f'<polyline fill="none" stroke-width="1.5" stroke="{_COLOURS[side]}" points="{points}"/>')
    for number, (side, colour) in enumerate(_COLOURS.items()):
        drawn.append(f'<text x="{_EDGE + 90 * number}" y="25" fill="{colour}">{side}</text>')
    drawn.append(f'<text x="{_WIDTH - _EDGE - 260}" y="25">reward (10 steps) by minutes of training</text>')
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="13"'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', ground, *drawn, "</svg>\n"])


if __name__ == "__main__":
    main()
