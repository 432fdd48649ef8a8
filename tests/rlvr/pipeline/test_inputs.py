"""A run whose reward, environment or data changed since a stage was finished does not go on as if nothing had."""

import pytest

from rlvr.config.load import check_config
from rlvr.pipeline.inputs import input_hashes, refuse_changed_inputs
from rlvr_rewards import UserError


def config_of(tmp_path):
    (tmp_path / "rw.py").write_text("x = 1\n")
    (tmp_path / "env.py").write_text("x = 1\n")
    (tmp_path / "train.jsonl").write_text("{}\n")
    (tmp_path / "demos.jsonl").write_text("{}\n")
    raw = {
        "env": {"name": f"{tmp_path}/env.py:Mine", "path": str(tmp_path), "tier": "hard"},
        "reward": {"expression": f"0.5*'{tmp_path}/rw.py:brief' + success"},
        "stage": [{"kind": "sft", "data": str(tmp_path / "demos.jsonl")}],
    }
    return check_config(raw, "test")


def test_every_file_of_the_user_is_known_by_its_hash(tmp_path):
    config = config_of(tmp_path)
    names = {path.rpartition("/")[2] for path in input_hashes(config, config.stage[0])}
    assert names == {"rw.py", "env.py", "train.jsonl", "demos.jsonl"}


@pytest.mark.parametrize("change", [lambda path: path.write_text("x = 2\n"), lambda path: path.unlink()])
def test_a_file_that_changed_or_is_gone_is_named(tmp_path, change):
    config = config_of(tmp_path)
    entry = {"name": "sft", "status": "done", "inputs": input_hashes(config, config.stage[0])}
    refuse_changed_inputs([entry])
    change(tmp_path / "rw.py")
    with pytest.raises(UserError, match=r"rw\.py is not what it was when stage sft was finished"):
        refuse_changed_inputs([entry])
    refuse_changed_inputs([{**entry, "status": "running"}])
