"""One walk in a real terminal: the quickstart's run, a filter, a group, a winner, and the pair in a file."""

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
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
    """A run made by the quickstart, its stages cut short; its SFT only so far that its samples differ in reward."""
    folder = tmp_path_factory.mktemp("quickstart") / "runs" / "quickstart"
    config = tomllib.loads((Path(__file__).parents[3] / "configs" / "quickstart.toml").read_text())
    short = ["threads=1", "stage.export.margin=100", "stage.dpo.num_tasks=100"]
    for stage in config["stage"]:
        name = stage.get("name", stage["kind"])
        steps = {"sft": 100, "grpo": 6}.get(name, 2)  # of the stages with traces GRPO has most, and is opened
        short += [f"stage.{name}.steps={steps}"] if stage["kind"] in ("sft", "dpo", "grpo") else []
        short += [f"stage.{name}.num_tasks=4"] if stage["kind"] in ("evaluate", "export") else []
    assert (
        main(["run", "quickstart", "--run-dir", str(folder), *(word for each in short for word in ("--set", each))])
        == 0
    )
    return folder


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
        terminal.waits_for("1 pair written")
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
