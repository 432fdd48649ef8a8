"""The example runs as its docstring says, and stays short enough to read at a glance."""

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_first_reward.py"


def test_the_example_runs_and_fits_on_a_screen():
    said = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=True).stdout
    assert "at most 2.75" in said
    assert "checked" in said
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 40
