"""What only TRL knows to be wrong in a later stage is said before the first stage trains."""

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.cli import main

CONFIG = """
[env]
name = "arithmetic"
[[stage]]
kind = "sft"
steps = 2
batch_size = 4
[[stage]]
kind = "grpo"
steps = 2
prompts_per_step = 2
group_size = 2
"""


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ('num_iterations="two"', "trl.num_iterations = 'two'"),
        ("report_to=wandbx", "wandbx"),
        ("lr_scheduler_type=wavy", "wavy"),
        ("multi_objective_aggregation=normalise", "normalise"),
    ],
)
def test_a_wrong_value_in_a_later_stage_stops_before_the_first(tmp_path, tiny_model, capsys, setting, says):
    path = tmp_path / "run.toml"
    path.write_text(tiny_model + CONFIG)
    assert main(["run", str(path), "--run-dir", str(tmp_path / "run"), "--set", f"stage.grpo.trl.{setting}"]) == 2
    assert says in capsys.readouterr().err
    assert not list((tmp_path / "run").glob("models/sft"))


def test_a_reward_without_named_parts_is_refused_for_gdpo_before_the_first_stage(tmp_path, tiny_model, capsys):
    path = tmp_path / "run.toml"
    path.write_text(tiny_model + CONFIG + 'algorithm = "gdpo"\n[reward]\nexpression = "correct & format"\n')
    assert main(["run", str(path), "--run-dir", str(tmp_path / "run")]) == 2
    assert "give it one, (…).named('…')" in capsys.readouterr().err
    assert not list((tmp_path / "run").glob("models/sft"))
