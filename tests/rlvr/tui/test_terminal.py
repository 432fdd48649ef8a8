"""One walk in a real terminal: the quickstart's run, a filter, a group, a winner, and the pair in a file."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlvr.cli import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux, which is not installed"),
]
_PATIENCE_S = 60


class Terminal:
    """A terminal of 80 columns and 24 lines, in which the browser runs."""

    def __init__(self, folder, command):
        self.socket = str(folder / "tmux.sock")
        environment = {**os.environ, "TERM": "screen-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
        self._run("new-session", "-d", "-x", "80", "-y", "24", "-c", str(folder), command, env=environment)
        self._run("set-option", "-g", "set-clipboard", "on")

    def keys(self, *keys):
        for key in keys:
            self._run("send-keys", key)
            time.sleep(0.2)

    def type(self, text):
        self._run("send-keys", "-l", text)

    def waits_for(self, text):
        """Waits until the screen shows a text."""
        deadline = time.monotonic() + _PATIENCE_S
        while text not in (seen := self.screen()):
            assert time.monotonic() < deadline, f"{text!r} never came:\n{seen}"
            time.sleep(0.1)
        return seen

    def screen(self):
        return self._run("capture-pane", "-p", check=False)

    def clipboard(self):
        """What came by OSC 52."""
        return self._run("show-buffer")

    def close(self):
        self._run("kill-server", check=False)

    def _run(self, *arguments, env=None, check=True):
        command = ["tmux", "-S", self.socket, "-f", "/dev/null", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """A run made by the quickstart, with few steps."""
    folder = tmp_path_factory.mktemp("quickstart") / "runs" / "quickstart"
    short = ("stage.sft.steps=20", "stage.grpo.steps=3", "stage.grpo.save_steps=3", "threads=1")
    short += ("stage.evaluate.num_tasks=8",) if _names_evaluate() else ()
    settings = [argument for setting in short for argument in ("--set", setting)]
    assert main(["run", "quickstart", "--run-dir", str(folder), *settings]) == 0
    return folder


def _names_evaluate():
    import tomllib

    config = Path(__file__).parents[3] / "configs" / "quickstart.toml"
    return any(
        stage["kind"] == "evaluate" and "name" not in stage for stage in tomllib.loads(config.read_text())["stage"]
    )


def test_a_walk_in_tmux(quickstart, tmp_path):
    python = Path(sys.executable)
    (tmp_path / "opened").mkdir()
    pager = f"PAGER='cp -t {tmp_path / 'opened'}'"
    terminal = Terminal(tmp_path, f"{pager} {python} -m rlvr traces {quickstart}; echo left; sleep 60")
    try:
        terminal.waits_for("grpo · train")
        terminal.keys("f")
        terminal.waits_for("filter")
        terminal.type("step >= 1 and lenth > 1")
        terminal.waits_for("did you mean length")
        terminal.keys("C-u")
        terminal.type("step >= 1 and length > 1")
        terminal.keys("Enter")
        terminal.waits_for("step >= 1 and length > 1")
        terminal.keys("Escape")
        terminal.waits_for("▸ reward")
        terminal.keys("Enter")
        terminal.waits_for("groups")
        terminal.keys("Enter")
        terminal.waits_for("gold")
        terminal.keys("o")
        terminal.waits_for("gold")
        terminal.keys("y")
        terminal.waits_for("sent to the clipboard")
        terminal.keys("Space", "j", "Space", "c")
        terminal.waits_for("side by side")
        terminal.keys("1")
        terminal.waits_for("★ winner")
        terminal.keys("e")
        terminal.waits_for("preference pairs")
        terminal.keys("Enter")
        terminal.waits_for("quickstart-pairs.jsonl")
        terminal.keys("Enter")
        terminal.waits_for("1 pairs written")
        copied = terminal.clipboard()
        terminal.keys("q")
        terminal.waits_for("left")
    finally:
        terminal.close()
    (opened,) = (tmp_path / "opened").iterdir()  # what $PAGER was given
    assert opened.read_text() == copied
    pair = json.loads((tmp_path / "quickstart-pairs.jsonl").read_text())
    assert pair["prompt"][0]["role"] == "user"
    assert pair["chosen"][0]["role"] == pair["rejected"][0]["role"] == "assistant"
    assert pair["chosen"][0]["content"] == copied
