"""What docs/audit.md shows is run: the walk from an empty folder, the policy of one's own, the counts it names."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rlvr.audit.mutations import KEEPS, LOSES
from rlvr.audit.policy import POLICIES
from rlvr.audit.testing import check_audit
from rlvr_envs import make

TEXT = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
WALK = TEXT.partition("## From a new reward to a training step\n")[2].partition("\n## ")[0]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def run(folder, script):
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"], cwd=folder, env=env, capture_output=True, text=True
    )


def test_the_walk_works_from_an_empty_folder(tmp_path):
    test_file, loose = blocks(WALK, "python")
    (tmp_path / "test_audit.py").write_text(test_file)
    (tmp_path / "loose.py").write_text(loose)
    first, second = (run(tmp_path, script) for script in blocks(WALK, "bash"))
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.rstrip().endswith("no exploit wins")
    assert "trailing zeros" in first.stdout and "currency sign" in first.stdout
    assert second.returncode == 0, second.stdout + second.stderr
    assert "1 passed" in second.stdout and second.stdout.rstrip().endswith("exit code 1")
    winners = re.search(r"It ends with 1 and (\d+) winners", TEXT)
    assert winners and f"{winners[1]} win: " in second.stdout


def test_the_run_of_the_walk_can_start(tmp_path):
    pytest.importorskip("trl", reason="needs the train extra")
    (tmp_path / "my_run.toml").write_text(blocks(WALK, "toml")[0])
    done = run(tmp_path, "rlvr new reward my_reward && rlvr run my_run.toml --check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_policy_of_the_page_is_tried(tmp_path):
    source = next(block for block in blocks(TEXT, "python") if "def every_word_twice" in block)
    (tmp_path / "my_policies.py").write_text(source)
    own = POLICIES.get(f"{tmp_path}/my_policies.py:every_word_twice")
    found = check_audit(make("arithmetic"), num_tasks=3, policies=[own])
    assert found.trials[-1].name == "every word twice"


def test_the_page_counts_and_names_what_there_is():
    assert f"{len(POLICIES.names())} of them" in TEXT
    assert f"{len(LOSES)} that must lose" in TEXT and f"{len(KEEPS)} that must not" in TEXT
    assert [name for name in LOSES if name not in TEXT] == []
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    assert f"{len(POLICIES.names())} degenerate policies, {len(LOSES) + len(KEEPS)} mutations" in readme
