"""Every loss of DPO that TRL has, by its name: two steps on given preferences."""

import json
import math

import pytest
import torch

pytest.importorskip("trl", reason="needs the train extra")

from safetensors.torch import load_file

from rlvr.cli import main
from rlvr.stages.dpo import LOSSES

ENV = '[env]\nname = "arithmetic"\n'
STAGE = """
[[stage]]
kind = "dpo"
name = "LOSS"
loss_type = "LOSS"
start = "base"
data = "PAIRS"
steps = 2
batch_size = 4
learning_rate = 1e-2
"""
SETTINGS = {"exo_pair": "[stage.trl]\nlabel_smoothing = 1e-3\n"}


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model):
    """The folder of a run with a stage for each loss; do not change it."""
    folder = tmp_path_factory.mktemp("dpo")
    pairs = [{"prompt": f"{n}+1=?", "chosen": f"It is {n + 1}.", "rejected": f"{n}"} for n in range(8)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    stages = [STAGE.replace("LOSS", loss) + SETTINGS.get(loss, "") for loss in LOSSES]
    stages = "".join(stages).replace("PAIRS", str(folder / "pairs.jsonl"))
    (folder / "dpo.toml").write_text(tiny_model + ENV + stages)
    assert main(["run", str(folder / "dpo.toml"), "--run-dir", str(folder / "run")]) == 0
    return folder / "run"


@pytest.mark.parametrize("loss", LOSSES)
def test_two_steps_of_every_loss(loss, run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["stage"] == loss]
    assert [line["step"] for line in lines] == [1, 2] and all(math.isfinite(line["loss"]) for line in lines)
    before, after = (load_file(run / f"models/{name}/model.safetensors") for name in ("base", loss))
    assert any(not torch.equal(after[name], before[name]) for name in after)
