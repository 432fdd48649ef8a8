"""A run that is killed at random moments and started again is whole at last, as the scripts say that look for it."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_at_three_moments_is_whole_at_last(tmp_path):
    command = [
        sys.executable,
        str(SCRIPTS / "kill_and_continue.py"),
        "--moments",
        "3",
        "--seed",
        "1",
        "--work",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "complete after 3 kills: nothing twice, nothing lost" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ["plain", "iterations"])
def test_training_killed_in_each_part_of_a_step_ends_with_the_same_bytes(way):
    command = [sys.executable, str(SCRIPTS / "kill_and_compare.py"), way, "--kills", "4", "--steps", "20"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same, byte for byte" in done.stdout
