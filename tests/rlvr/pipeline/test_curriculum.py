"""A run whose tasks follow a curriculum: what is logged, what is refused, and how a broken-off one goes on."""

import json
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.cli import main
from rlvr.traces.store import read_shard
from rlvr_envs.library.arithmetic import Arithmetic

CONFIG = """
[env]
name = "arithmetic"
[[stage]]
kind = "grpo"
steps = 4
prompts_per_step = 4
group_size = 2
max_new_tokens = 4
extra_groups = 2
save_steps = 2
[stage.curriculum]
start = 1.0
step = 0.3
"""
ENV = Arithmetic()


class Runs:
    def __init__(self, path: Path, model: str) -> None:
        self.path = path
        (path / "run.toml").write_text(model + CONFIG)

    def run(self, name: str, *sets: str) -> int:
        options = [part for each in sets for part in ("--set", each)]
        return main(["run", str(self.path / "run.toml"), "--run-dir", str(self.path / name), *options])

    def metrics(self, name: str) -> list[dict]:
        return [json.loads(line) for line in (self.path / name / "metrics.jsonl").read_text().splitlines()]

    def tasks(self, name: str) -> list[tuple]:
        paths = sorted((self.path / name / "traces").glob("grpo.train.*.parquet"))
        rows = [row for path in paths for row in read_shard(path).to_pylist()]
        return [(row["step"], row["group"], row["attempt"], row["sample"], row["task"], row["seed"]) for row in rows]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_model) -> Runs:
    made = Runs(tmp_path_factory.mktemp("curriculum"), tiny_model)
    assert made.run("whole") == 0
    return made


def test_a_model_that_solves_nothing_is_asked_ever_easier_tasks(runs):
    lines = runs.metrics("whole")
    targets = [line["curriculum/target"] for line in lines]
    assert targets == sorted(targets, reverse=True) and targets[0] - targets[-1] > 0.3
    assert [line["curriculum/pass_rate"] for line in lines] == [0.0] * 4
    for line in lines:
        asked = {task for step, *_, task, _ in runs.tasks("whole") if step == line["step"]}
        mean = sum(ENV.difficulty(json.loads(task)) for task in asked) / len(asked)
        assert mean == pytest.approx(line["curriculum/target"], abs=0.15)
    assert {attempt for _, _, attempt, *_ in runs.tasks("whole")} == {0, 1}


def test_broken_off_between_two_checkpoints_it_goes_on_as_it_would_have(runs, monkeypatch):
    from rlvr.engine.curriculum import Curriculum

    observe, calls = Curriculum.observe, []

    def dies(self, groups):
        calls.append(1)
        if len(calls) == 4:
            raise OSError("the power went")
        return observe(self, groups)

    monkeypatch.setattr(Curriculum, "observe", dies)
    assert runs.run("broken") == 1
    monkeypatch.undo()
    assert runs.run("broken") == 0
    assert runs.tasks("broken") == runs.tasks("whole")
    for ours, theirs in zip(runs.metrics("broken"), runs.metrics("whole"), strict=True):
        assert {name: ours[name] for name in ours if name.startswith(("curriculum", "loss", "grad"))} == {
            name: theirs[name] for name in theirs if name.startswith(("curriculum", "loss", "grad"))
        }


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["stage.grpo.curriculum.band=[0.7, 0.3]"], "curriculum.band: give two pass rates"),
        (["stage.grpo.curriculum.bands=1"], "did you mean 'band'"),
        (["stage.grpo.curriculum.num_tasks=3"], "below the 4 prompts that are sampled at once"),
        (["stage.grpo.curriculum.start=2"], "curriculum.start"),
        (["env.name=SILENT"], "silent does not say: give it a method difficulty(task)"),
    ],
)
def test_a_curriculum_that_cannot_be_is_one_line(runs, capsys, sets, says):
    silent = runs.path / "silent.py"
    silent.write_text(
        "from dataclasses import dataclass\nfrom rlvr_envs import Environment\n"
        "from rlvr_envs.library.arithmetic import Arithmetic\n"
        "@dataclass(frozen=True)\nclass Silent(Arithmetic):\n    name = 'silent'\n"
        "    difficulty = Environment.difficulty\n"
    )
    assert runs.run("refused", *(each.replace("SILENT", f"{silent}:Silent") for each in sets)) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert says in said and "Traceback" not in said
