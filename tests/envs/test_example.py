"""The example of the documentation runs as it stands, and stays short."""

import subprocess
import sys
from pathlib import Path

from rlvr_envs import make

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_first_env.py"


def test_the_first_environment_runs_in_forty_lines():
    assert len(EXAMPLE.read_text().splitlines()) <= 40
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, check=True)
    assert done.stdout.count("{'correct': 1.0} False") == 3


def test_it_keeps_the_contract():
    backwards = make(f"{EXAMPLE}:Backwards", num_letters=8)
    task = next(iter(backwards.rows("test", 0)))
    assert len(task["word"]) == 8
    assert backwards.score(task, backwards.gold(task)).reward == backwards.reward.max
    assert not backwards.success(task, f"<answer>{task['word']}</answer>")
