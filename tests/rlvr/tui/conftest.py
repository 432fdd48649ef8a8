"""The golden run, and a walk through the browser: keys pressed by Textual's Pilot, the screen read from its SVG."""

import asyncio
import contextlib
import html
import os
import re
import shutil
import time
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs the tui extra")
pytest.importorskip("textual", reason="needs the tui extra")

from textual.widgets import Input
from textual.worker import WorkerCancelled

from rlvr.traces.index import TraceIndex
from rlvr.tui.app import TracesApp
from rlvr.tui.session import Start

from .golden import make_golden

_SNAPSHOTS = Path(__file__).parent / "snapshots"
_TEXT = re.compile(
    r'<text class="[^"]*-(r\d+)" x="([\d.]+)" y="[\d.]+" textLength="[\d.]+" '
    r'clip-path="url\(#[^)]*-line-(\d+)\)">(.*?)</text>'
)
_LOOK = re.compile(r"-(r\d+) \{ (.*?) \}")
_RECT = re.compile(r'<rect fill="([^"]+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="[\d.]+" shape-rendering')
_LINE = 24.4
"""The height of a line in Textual's screenshots."""
_CELL = 12.2
"""The width of a character in Textual's screenshots."""


@pytest.fixture(scope="session")
def golden_once(tmp_path_factory):
    return make_golden(tmp_path_factory.mktemp("golden") / "golden")


@pytest.fixture
def golden(golden_once, tmp_path, monkeypatch):
    """A copy of the golden run under runs/, which is where one stands; last written two hours ago."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("NO_COLOR", "COLORFGBG", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)
    run = tmp_path / "runs" / "golden"
    shutil.copytree(golden_once, run)
    for path in (run, *run.rglob("*")):
        os.utime(path, (time.time() - 7300,) * 2)
    monkeypatch.chdir(tmp_path)
    return run


class Walk:
    """Someone at the keys."""

    def __init__(self, app, pilot):
        self.app, self.pilot = app, pilot

    async def press(self, *keys):
        """Presses keys, and waits after each until all is read and drawn."""
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def type(self, text):
        """Writes into the line that is asked for, at its end; `test_terminal.py` types sign by sign."""
        field = self.app.screen.query_one(Input)
        field.value += text
        field.cursor_position = len(field.value)
        await self.settle()

    async def settle(self):
        with contextlib.suppress(WorkerCancelled):
            await self.app.workers.wait_for_complete()
        await self.pilot.pause()

    def lines(self):
        """The screen as lines of text."""
        return lines_of(self.app.export_screenshot())

    def text(self):
        return "\n".join(self.lines())

    def sees(self, *texts):
        """Asserts that the screen shows all of these."""
        seen = self.text()
        for text in texts:
            assert text in seen, f"{text!r} is not on the screen:\n{seen}"

    def sees_not(self, text):
        assert text not in self.text(), f"{text!r} is on the screen:\n{self.text()}"

    def matches(self, name):
        """Asserts that the screen is the picture of this name; RLVR_SNAPSHOTS=write makes it that."""
        seen, path = picture_of(self.app.export_screenshot()), _SNAPSHOTS / f"{name}.txt"
        if os.environ.get("RLVR_SNAPSHOTS") == "write":
            path.parent.mkdir(exist_ok=True)
            path.write_text(seen)
        before = path.read_text() if path.exists() else ""
        assert seen.splitlines() == before.splitlines(), f"{path.name} looks different"


def lines_of(svg):
    """The text of a Textual screenshot, line by line."""
    lines = {}
    for _, x, line, text in _TEXT.findall(svg):
        before = lines.get(int(line), "")
        lines[int(line)] = before.ljust(round(float(x) / _CELL)) + html.unescape(text).replace("\xa0", " ")
    return [lines.get(number, "").rstrip() for number in range(max(lines, default=-1) + 1)]


def picture_of(svg):
    """A screenshot as text: its lines, then for each line its colours from column to column, then its backgrounds."""
    looks = dict(_LOOK.findall(svg))
    colours, grounds = {}, {}
    for look, x, line, _ in _TEXT.findall(svg):
        colours.setdefault(int(line), []).append(f"{round(float(x) / _CELL)} {looks[look]}")
    for fill, x, y, width in _RECT.findall(svg):
        start, end = round(float(x) / _CELL), round((float(x) + float(width)) / _CELL)
        grounds.setdefault(round((float(y) - 1.5) / _LINE), []).append(f"{start}-{end} {fill}")
    lines = [f"{line} {' | '.join(found)}" for line, found in sorted(colours.items())]
    lines += [f"{line} {' | '.join(found)}" for line, found in sorted(grounds.items())]
    return "\n".join([*lines_of(svg), "", "colours", *lines, ""])


@pytest.fixture
def walk(golden):
    """Runs an async function with a walk through a run, by default the golden one."""

    def run(steps, path=golden, size=(80, 24), at=None, **options):
        async def walking():
            app = TracesApp(None if path is None else TraceIndex.open(path), Path("runs"), at or Start(), **options)
            async with app.run_test(size=size) as pilot:
                walk = Walk(app, pilot)
                await walk.settle()
                await steps(walk)

        asyncio.run(walking())

    return run
