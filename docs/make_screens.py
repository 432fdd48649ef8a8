"""Makes the pictures of the trace browser in docs/img, from the golden run of the tests or from a run of one's own.

python docs/make_screens.py [RUN]
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from textual.pilot import Pilot

from rlvr.traces.index import TraceIndex
from rlvr.tui.app import TracesApp

_HERE = Path(__file__).parent
_SIZE = (110, 32)
_PICTURES: dict[str, Sequence[str]] = {
    "traces-curves": ("left", "left"),
    "traces-groups": ("enter", "s", "down", "enter"),
    "traces-group": ("enter", "w"),
    "traces-compare": ("c",),
    "traces-heat": ("escape", "b", "enter", "h", *["right"] * 4),
}
"""Each picture, and the keys from the one before it."""


async def take(run: Path) -> None:
    """One walk through the run, a picture at each stop."""
    app = TracesApp(TraceIndex.open(run), run.parent)
    async with app.run_test(size=_SIZE) as pilot:
        await _settle(pilot)
        for name, keys in _PICTURES.items():
            for key in keys:
                await pilot.press(key)
                await _settle(pilot)
            path = _HERE / "img" / f"{name}.svg"
            path.parent.mkdir(exist_ok=True)
            path.write_text(app.export_screenshot(title=f"rlvr traces {run.name}"))
            print(path)


async def _settle(pilot: Pilot[None]) -> None:
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def main() -> None:
    if len(sys.argv) > 1:
        asyncio.run(take(Path(sys.argv[1])))
        return
    sys.path.insert(0, str(_HERE.parent / "tests" / "rlvr" / "tui"))
    from golden import make_golden  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(take(make_golden(Path(folder) / "golden", steps=40)))


if __name__ == "__main__":
    main()
