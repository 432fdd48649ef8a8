"""What docs/rewards.md shows is run: its examples, and its first five minutes from an empty folder."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

from rlvr_rewards import exact_number, parse_reward
from rlvr_rewards.catalogue import REWARDS
from rlvr_rewards.discovery import load_file

PAGE = Path(__file__).parents[2] / "docs" / "rewards.md"
MADE = load_file(PAGE.with_name("make_rewards.py"))
TEXT = PAGE.read_text(encoding="utf-8").partition(MADE.HEADING)[0]  # the rest is made from docstrings, and tested there


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)


def test_the_examples_give_what_the_page_says():
    result = doctest.DocTestRunner().run(doctest.DocTestParser().get_doctest(TEXT, {}, "page", str(PAGE), 0))
    assert result.attempted > 10
    assert result.failed == 0


def test_the_first_five_minutes_work_from_an_empty_folder(tmp_path):
    reward_file, test_file = blocks("python")[:2]
    (tmp_path / "my_reward.py").write_text(reward_file)
    (tmp_path / "test_my_reward.py").write_text(test_file)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in result.stdout, result.stdout + result.stderr
    assert parse_reward(f"{tmp_path}/my_reward.py:total").max == 2.5


def test_the_expressions_of_the_page_are_understood(tmp_path, monkeypatch):
    (tmp_path / "my_reward.py").write_text(blocks("python")[0])
    monkeypatch.chdir(tmp_path)
    lines = blocks("toml")[0].splitlines()
    assert [parse_reward(line.partition(" = ")[2].strip('"')).max for line in lines] == [2.5, 1.1]


def test_the_expressions_of_length_are_understood_beside_what_an_environment_has():
    def lookup(name):
        return exact_number.named("correct") if name == "correct" else REWARDS.get(name)

    lines = blocks("toml")[1].splitlines()
    assert [parse_reward(line.partition(" = ")[2].strip('"'), lookup).max for line in lines] == [1.0, 1.0, 2.0, 1.0]


def test_the_library_on_the_page_is_current():
    assert PAGE.read_text("utf-8") == MADE.page(), "run: python docs/make_rewards.py"
    assert all(f"#### {name}\n" in MADE.page() for name in REWARDS.names())
