"""docs/new_reward.md is walked as a reader would: its files written, its commands run in order in an empty folder."""

import json
import re
from pathlib import Path

import pytest

from rlvr_rewards.discovery import load_file

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "new_reward.md").read_text(encoding="utf-8")
TRAINS = "rlvr run my_run.toml"
walking = load_file(DOCS / "walk.py")


def walked(folder, until=""):
    """What each command of the page printed; all of them ended well."""
    found = list(walking.walk(PAGE, folder, until))
    assert found[-1].code == 0, f"{found[-1].command}\n{found[-1].output}"
    return {done.command: done.output for done in found}


def test_a_new_reward_up_to_its_training(tmp_path):
    said = walked(tmp_path, until=TRAINS)
    assert "2 passed" in said["python -m pytest -q my_reward.py"]
    scored = [json.loads(line)["reward"] for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    assert scored == [1.0, 0.0, 0.0]
    audit, loose, whole = (output for command, output in said.items() if command.startswith("rlvr audit"))
    assert "no exploit wins" in audit and "trailing zeros" in audit and "currency sign" in audit
    assert "1 passed" in said["python -m pytest -q test_audit.py"]
    winners = re.search(r"It ends with 1 and (\d+) winners", PAGE)
    assert winners and f"{winners[1]} win: " in loose and loose.rstrip().endswith("exit code 1")
    assert "no exploit wins" in whole


def test_its_run_can_start(tmp_path):
    pytest.importorskip("trl", reason="needs the train extra")
    assert f"{TRAINS} --check" in walked(tmp_path, until=TRAINS)


@pytest.mark.slow
def test_all_of_the_page(tmp_path):
    pytest.importorskip("trl", reason="needs the train extra")
    said = walked(tmp_path)
    assert "my_reward" in said[TRAINS] and "format" in said[TRAINS]
    *_, traces, rescored = said.values()
    assert "grpo · train · step 1" in traces and "similarity" in rescored


def test_the_page_says_how_long_each_command_takes():
    table = PAGE.partition("## How long it takes\n")[2]
    commands = [step.command for step in walking.steps_of(PAGE) if step.command]
    assert [command for command in commands if f"| {walking.cell(command)} |" not in table] == []
    assert float(re.findall(r"\| all of it \| (\d+) \|", table)[0]) < 300
