"""A stage begins with the memory of those before it given back: on a GPU there is room for one model, not for two."""

import gc

import torch

from rlvr.stages import STAGES


def num_parameters() -> int:
    return sum(type(each) is torch.nn.Parameter for each in gc.get_objects())


def test_no_model_of_a_finished_stage_is_left_when_the_next_begins(workshop, monkeypatch):
    gc.collect()
    before, found = num_parameters(), {}
    for kind in ("grpo", "evaluate"):
        stage = STAGES.get(kind)

        def run(config, running, started=stage.run):
            found[config.kind] = num_parameters()
            return started(config, running)

        monkeypatch.setattr(stage, "run", staticmethod(run))
    assert workshop.run() == 0
    assert found == {"grpo": before, "evaluate": before}
