"""`rlvr audit`: its tables, its JSON, its exit codes, and what it says to bad input."""

import json

import pytest

from rlvr.audit.fixtures import audited  # noqa: F401
from rlvr.cli import main
from rlvr_envs import make

FAULTY = '''
import re

from rlvr_rewards import reward


@reward
def last_tag(completion: str, answer: str) -> float:
    """1.0 where the last tag holds the answer."""
    found = re.findall(r"<answer>(.*?)</answer>", completion, re.DOTALL)
    return float(bool(found) and found[-1].strip() == answer)


@reward
def any_case(completion: str, answer: str) -> float:
    """1.0 for the answer; tags in any case."""
    rest = re.split("</think>", completion, flags=re.IGNORECASE)[-1]
    found = re.findall(r"<answer>(.*?)</answer>", rest, re.DOTALL | re.IGNORECASE)
    return float(len(found) == 1 and "<think>" not in rest and found[0].strip() == answer)
'''
POLICY = '''
from rlvr.audit.policy import policy


@policy
def gold_itself(case, random):
    """Gold: it wins, of course."""
    return case.gold
'''


@pytest.fixture
def rewards(tmp_path):
    path = tmp_path / "rewards_of_mine.py"
    path.write_text(FAULTY)
    return path


def audit(*argv):
    return main(["audit", "--n", "6", *map(str, argv)])


def test_an_environment_that_cannot_be_cheated_ends_with_0(capsys):
    assert audit("--env", "scheduling") == 0
    out = capsys.readouterr().out
    assert "gold earns 1.000 of 1" in out
    assert "mean reward" in out and "share of gold" in out and "worst task" in out and "all events" in out
    assert "do not apply here: last digit changed" in out
    assert out.rstrip().endswith("no exploit wins")


def test_an_exploit_that_wins_is_shown_and_ends_with_1(capsys, rewards):
    assert audit("--env", "arithmetic", "--reward", f"{rewards}:last_tag") == 1
    out = capsys.readouterr().out
    assert "first wrong last right WINS" in out
    assert (
        "wins: first wrong last right: as much as gold on 6 of 6 tasks. Two wrong answers, then the right one." in out
    )
    assert "win: " in out.splitlines()[-1]


def test_a_right_answer_that_loses_is_listed_and_wins_nothing(capsys, rewards):
    assert audit("--env", "arithmetic", "--reward", f"{rewards}:any_case") == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "trailing zeros" in line)
    assert "not lose" in row and "6 of 6" in row


def test_a_docstring_that_allows_tags_in_any_case_is_held_to_it(capsys, rewards, audited):  # noqa: F811
    assert audit("--env", "arithmetic", "--reward", f"{rewards}:any_case", "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)
    capitals = next(m for m in found["mutations"] if m["name"] == "tags in capitals")
    assert (capitals["num_tasks"], capitals["num_missed"]) == (6, 0)
    strict = audited(make("arithmetic"), num_tasks=3)
    assert not next(m for m in strict.mutations if m.name == "tags in capitals").attempts


def test_json_holds_every_policy_and_mutation_and_is_not_replaced_unasked(tmp_path, capsys):
    out = tmp_path / "audit.json"
    assert audit("--env", "countdown", "--json", out, "--seed", "3") == 0
    found = json.loads(out.read_text())
    assert (found["env"], found["reward"], found["seed"], found["num_tasks"]) == ("countdown", None, 3, 6)
    assert found["wins"] == [] and found["misses"] == []
    assert found["gold"] == pytest.approx(1.3) and 0 < found["honest_wrong"] < 1.3
    empty = next(policy for policy in found["policies"] if policy["name"] == "empty")
    assert empty["mean_reward"] == 0 and empty["worst"]["completion"] == ""
    assert max(len(policy["worst"]["completion"]) for policy in found["policies"] if policy["worst"]) < 5000
    assert next(m for m in found["mutations"] if m["name"] == "event added")["num_tasks"] == 0
    assert audit("--env", "countdown", "--json", out) == 2
    assert "--force" in capsys.readouterr().err
    before = out.read_bytes()
    assert audit("--env", "countdown", "--json", out, "--seed", "3", "--force") == 0
    assert out.read_bytes() == before


def test_a_policy_of_a_file_is_tried_too(tmp_path, capsys):
    path = tmp_path / "policies_of_mine.py"
    path.write_text(POLICY)
    assert audit("--env", "arithmetic", "--policy", f"{path}:gold_itself") == 1
    assert "wins: gold itself: as much as gold on 6 of 6 tasks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--env", "arithmetik"], "did you mean 'arithmetic'"),
        (["--env", "arithmetic", "--split", "dev"], "has no split 'dev'"),
        (["--env", "arithmetic", "--reward", "exact_numbr"], "did you mean 'exact_number'"),
        (["--env", "arithmetic", "--argued", "unit droped"], "did you mean 'unit dropped'"),
        (["--env", "arithmetic", "--policy", "none.py:nothing"], "no such file"),
        (["--env", "countdown", "--reward", "exact_number"], "the reward fails on gold"),
        (["--env", "arithmetic", "--json", "no/such/folder/out.json"], "there is no folder"),
    ],
)
def test_bad_input_is_one_line_and_2(capsys, argv, said):
    assert audit(*argv) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.strip().splitlines()) == 1


def test_the_fixture_is_the_helper(audited, arithmetic):  # noqa: F811
    assert audited(arithmetic, num_tasks=3).wins == []
