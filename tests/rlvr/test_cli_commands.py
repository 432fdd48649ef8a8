"""The commands that show and make things: envs, rewards, play, new, doctor."""

import io
import subprocess
import sys

import pytest

from rlvr.cli import main
from rlvr_envs import ENVIRONMENTS, make
from rlvr_rewards.catalogue import REWARDS


def shown(capsys, *argv):
    assert main(list(argv)) == 0
    return capsys.readouterr().out


def test_envs_lists_every_environment_and_its_options(capsys):
    out = shown(capsys, "envs")
    assert all(name in out for name in ENVIRONMENTS.names())
    assert "largest=99" in out


def test_envs_shows_rows_messages_gold_and_baselines(capsys):
    env = make("arithmetic?largest=9")
    task = next(iter(env.rows("train", 3)))
    out = shown(capsys, "envs", "arithmetic?largest=9", "--split", "train", "--seed", "3", "--n", "20", "--show", "1")
    assert env.messages(task)[-1]["content"] in out
    assert env.gold(task) in out
    assert "on 20 tasks of train, seed 3" in out
    gold_row = next(line for line in out.splitlines() if "│ gold" in line)
    assert f"{env.reward.max:.3f}" in gold_row and "1.000" in gold_row
    assert "│ random" in out


def test_rewards_lists_every_reward(capsys):
    out = shown(capsys, "rewards")
    assert all(name in out for name in REWARDS.names())


def test_rewards_shows_a_composition_with_its_range_and_columns(capsys):
    out = shown(capsys, "rewards", "2*exact_number - think_format")
    assert "range -1 to 2" in out
    assert "columns answer" in out
    assert (REWARDS.get("exact_number").__doc__ or "").splitlines()[0] in out


def play(monkeypatch, capsys, typed, *more):
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    return shown(capsys, "play", "--env", "arithmetic", *more)


@pytest.mark.parametrize("end", ["\n\n", "\n.\nnot read\n", ""])
def test_play_scores_a_typed_answer_and_then_shows_gold(monkeypatch, capsys, end):
    env = make("arithmetic")
    task = next(iter(env.rows("test", 0)))
    out = play(monkeypatch, capsys, env.gold(task).replace("</think>", "\n\n</think>\n") + end)
    assert "success: yes" in out
    assert out.index("your answer") < out.index("success") < out.index(env.gold(task))


def test_play_asks_for_as_many_as_wanted_and_a_wrong_answer_fails(monkeypatch, capsys):
    out = play(monkeypatch, capsys, "no idea\n\nat all\n.\nnone\n", "--n", "2")
    assert "task 1 of 2" in out and "task 2 of 2" in out
    assert out.count("success: no") == 2


@pytest.mark.parametrize(("kind", "name", "thing"), [("env", "digit_sum", "DigitSum"), ("reward", "brief", "brief")])
def test_what_new_writes_passes_its_tests_and_is_usable_at_once(kind, name, thing, tmp_path, capsys):
    said = shown(capsys, "new", kind, name, "--dir", str(tmp_path))
    assert thing in said and f"python -m pytest {tmp_path / name}.py" in said
    path = tmp_path / f"{name}.py"
    assert f"python -m pytest {path}" in path.read_text()
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", path.name], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout
    assert shown(capsys, "envs" if kind == "env" else "rewards", f"{path}:{thing}")


BROKEN = """
from rlvr_envs.library.arithmetic import Arithmetic

class NoDraw(Arithmetic):
    def draw(self, random):
        return {"sum": random.randint(1, 0)}

class NoPrompt(Arithmetic):
    def messages(self, task):
        return [{"role": "user", "content": task["qestion"]}]
"""


@pytest.mark.parametrize("command", [["envs"], ["play", "--env"]])
@pytest.mark.parametrize(
    ("name", "where"),
    [("NoDraw", "draw (broken.py line 6): ValueError"), ("NoPrompt", "messages (broken.py line 10): Key")],
)
def test_an_environment_that_fails_is_one_line_that_says_where(command, name, where, tmp_path, capsys):
    (tmp_path / "broken.py").write_text(BROKEN)
    assert main([*command, f"{tmp_path}/broken.py:{name}"]) == 2
    err = capsys.readouterr().err
    assert f"environment arithmetic: {where}" in err and err.count("\n") == 1


def test_a_setting_shows_its_value_and_what_else_it_may_be(capsys):
    assert "setting form='tag' (of: tag, hashes, boxed, last_number, text)" in shown(capsys, "rewards", "exact_number")


def test_a_new_environment_refuses_an_option_that_cannot_be(tmp_path, capsys):
    assert main(["new", "env", "sum_of_digits", "--dir", str(tmp_path)]) == 0
    assert main(["envs", f"{tmp_path}/sum_of_digits.py:SumOfDigits?num_digits=0"]) == 2
    assert "sum_of_digits: num_digits=0: give 1 or more" in capsys.readouterr().err


def test_new_keeps_what_is_there_unless_forced(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text("precious")
    assert main(["new", "reward", "mine", "--dir", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == "precious"
    assert main(["new", "reward", "mine", "--dir", str(tmp_path), "--force"]) == 0
    assert "def mine" in path.read_text()


def test_new_takes_a_class_name_too(tmp_path, capsys):
    assert "digit_sum.py:DigitSum" in shown(capsys, "new", "env", "DigitSum", "--dir", str(tmp_path))


def test_doctor_names_the_machine_the_versions_and_what_is_missing(capsys, monkeypatch):
    from importlib.metadata import version

    out = shown(capsys, "doctor")
    assert f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}" in out
    assert version("pydantic") in out
    assert "rlvr score" in out


def test_doctor_survives_a_torch_that_cannot_be_imported(capsys, monkeypatch):
    from rlvr.commands import doctor

    def broken():
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(doctor, "_gpus", broken)
    assert "unknown (RuntimeError: operator torchvision::nms" in " ".join(shown(capsys, "doctor").split())


def test_doctor_tells_how_to_install_what_is_missing_or_too_old(capsys, monkeypatch):
    from rlvr import installed

    have = {"torch": None, "trl": "0.1.0"}
    real = installed._version
    monkeypatch.setattr(installed, "_version", lambda name: have.get(name, real(name)))
    out = " ".join(shown(capsys, "doctor").split())
    assert "missing" in out and "unsupported version" in out
    assert "pip install" in out and "'torch>=" in out and "'trl<" in out
