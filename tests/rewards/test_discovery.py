"""Rewards found by name: ours, those of other packages, and those of a file."""

import sys
from importlib.metadata import EntryPoint

import pytest

import rlvr_rewards
from rlvr_rewards import Reward, UserError
from rlvr_rewards.catalogue import REWARDS
from rlvr_rewards.discovery import Catalogue
from rlvr_rewards.errors import unknown_name

MINE = "from rlvr_rewards import reward\n\n@reward\ndef brief(completion):\n    return 0.5\n"


def test_every_reward_of_the_library_is_an_attribute_of_the_package():
    assert {"exact_number", "think_format", "multiple_choice"} <= set(REWARDS.names())
    for name in REWARDS.names():
        assert getattr(rlvr_rewards, name).name == name


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UserError, match="unknown reward 'exact_numbr': did you mean 'exact_number'"):
        REWARDS.get("exact_numbr")
    with pytest.raises(AttributeError, match="did you mean 'exact_number'"):
        _ = rlvr_rewards.exact_numbr


def test_of_many_names_the_nearest_is_offered_and_the_others_are_not_listed():
    many = ["beta", *(f"setting_{number}" for number in range(100))]
    assert str(unknown_name("TRL setting", "betta", many)) == "unknown TRL setting 'betta': did you mean 'beta'?"
    assert "Known: beta, setting_0" in str(unknown_name("TRL setting", "zzz", many))


def test_a_reward_of_a_file(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE + "both = (2 * brief).named('both')\n")
    assert REWARDS.get(f"{tmp_path}/mine.py:brief").score("x").reward == 0.5
    assert REWARDS.get(f"{tmp_path}/mine.py:both").score("x").reward == 1.0
    monkeypatch.chdir(tmp_path)
    assert REWARDS.get("mine.py:brief").score("x").parts == {"brief": 0.5}


def test_a_file_may_import_its_neighbour_and_the_path_is_left_as_it_was(tmp_path):
    (tmp_path / "neighbour_of_mine.py").write_text("SHARE = 0.5\n")
    (tmp_path / "json.py").write_text("raise RuntimeError('shadows the standard library')\n")
    (tmp_path / "mine.py").write_text(f"import json\nfrom neighbour_of_mine import SHARE\n{MINE}")
    before = list(sys.path)
    assert REWARDS.get(f"{tmp_path}/mine.py:brief").score("x").reward == 0.5
    assert sys.path == before


def test_a_file_is_imported_once(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    assert REWARDS.get(f"{tmp_path}/mine.py:brief") is REWARDS.get(f"{tmp_path}/mine.py:brief")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("x = 1\ny = 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("x = 1\ndef broken(:\n", "line 2: SyntaxError"),
        ("x = 1\n\nimport no_such_package_here\n", "line 3: ModuleNotFoundError"),
        ("def f():\n    raise ValueError('a\\nb')\n\nf()\n", "line 2: ValueError: a b"),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
        ("import json\njson.loads('{')\n", "line 2: JSONDecodeError"),
    ],
)
@pytest.mark.parametrize("relative", [False, True])
def test_a_broken_file_names_its_line(tmp_path, monkeypatch, content, says, relative):
    (tmp_path / "broken.py").write_text(content)
    monkeypatch.chdir(tmp_path)
    path = "broken.py" if relative else f"{tmp_path}/broken.py"
    with pytest.raises(UserError) as caught:
        REWARDS.get(f"{path}:brief")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mended_file_is_read_again_after_a_failure(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("1 / 0\n")
    with pytest.raises(UserError):
        REWARDS.get(f"{path}:brief")
    path.write_text(MINE)
    assert REWARDS.get(f"{path}:brief").score("x").reward == 0.5


def test_what_a_file_lacks_is_said(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE + "def plain(completion): return 1.0\n")
    with pytest.raises(UserError, match="did you mean 'brief'"):
        REWARDS.get(f"{path}:brif")
    with pytest.raises(UserError, match="plain cannot be used as a reward: it is of type function"):
        REWARDS.get(f"{path}:plain")
    with pytest.raises(UserError, match="say which reward of the file you mean"):
        REWARDS.get(str(path))
    with pytest.raises(UserError, match="no such file"):
        REWARDS.get(f"{tmp_path}/other.py:brief")


@pytest.fixture
def with_entry_points(monkeypatch):
    def catalogue(**points):
        found = [EntryPoint(name, value, "rlvr.rewards") for name, value in points.items()]
        monkeypatch.setattr("rlvr_rewards.discovery.entry_points", lambda group: found)
        return Catalogue("reward", "rlvr_rewards.library", "rlvr.rewards", REWARDS.name_of)

    return catalogue


def test_another_package_adds_a_reward_by_entry_point(with_entry_points):
    catalogue = with_entry_points(theirs="rlvr_rewards.library.number:exact_number")
    assert "theirs" in catalogue.names()
    assert isinstance(catalogue.get("theirs"), Reward)


@pytest.mark.parametrize("value", ["no_such_package_here:x", "rlvr_rewards:nothing_here", "json:loads"])
def test_an_entry_point_that_cannot_be_used_is_named(with_entry_points, value):
    catalogue = with_entry_points(theirs=value)
    with pytest.raises(UserError, match=f"reward 'theirs': {value}"):
        catalogue.get("theirs")
