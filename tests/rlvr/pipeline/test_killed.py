"""A run that is killed at random moments and started again is whole at last, as the script says that looks for it."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts/kill_and_continue.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_at_three_moments_is_whole_at_last(tmp_path):
    command = [sys.executable, str(SCRIPT), "--moments", "3", "--seed", "1", "--work", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "complete after 3 kills: nothing twice, nothing lost" in done.stdout
