"""How fast the trace browser answers: first paint, key event to repaint measured inside the app, and peak memory.

The app runs in a real terminal (a pty with Textual's own driver); keys come through the pty one after another. A key's
clock starts when the driver made its event and stops when the repaint was written. Pilot is no part of it.

    python benchmarks/tui.py RUN [--keys 200]

A run of a million completions comes from benchmarks/traces.py.
"""

import argparse
import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time
from pathlib import Path

_SIZE = (50, 160)
_ROUND = ["left", "left", "down", "down", "up", "enter", "down", "down", "down", "pagedown", "end", "home", "enter"]
_ROUND += ["down", "b", "w", "down", "enter", "pagedown", "]", "escape", "escape", "escape", "right"]
"""Through curves, a step's groups and a group, and back."""
_SEQUENCES = {
    "left": "\x1b[D", "right": "\x1b[C", "up": "\x1b[A", "down": "\x1b[B", "enter": "\r", "escape": "\x1b",
    "pagedown": "\x1b[6~", "end": "\x1b[F", "home": "\x1b[H",
}  # fmt: skip
_QUIT = "\x03"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--gap", type=float, default=0.15, help="seconds between two keys")
    args = parser.parse_args()
    measure(args.run, 0, args.gap)  # the files and the catalog come into the cache
    found = measure(args.run, args.keys, args.gap)
    print(f"run                    {args.run}, terminal {_SIZE[1]}×{_SIZE[0]}")
    print(f"first paint, warm      {found['first_paint_s']:.2f} s, imports included")
    times, cpu = (sorted(each[place] for each in found["times"]) for place in (1, 2))
    print(f"key event to repaint   {len(times)} keys: median {_at(times, 0.5):.1f} ms, 95% {_at(times, 0.95):.1f} ms")
    print(f"  of that CPU          median {_at(cpu, 0.5):.1f} ms, 95% {_at(cpu, 0.95):.1f} ms")
    print(f"  slowest              {slowest(found['times'])}")
    print(f"peak memory            {found['peak_mb']:.0f} MB")


def slowest(times: list[tuple[str, float, float]]) -> str:
    """The mean of the keys that take longest."""
    by_key: dict[str, list[float]] = {}
    for key, ms, _ in times:
        by_key.setdefault(key, []).append(ms)
    means = sorted(((sum(found) / len(found), key) for key, found in by_key.items()), reverse=True)
    return ", ".join(f"{key} {ms:.0f} ms" for ms, key in means[:4])


def _at(times: list[float], share: float) -> float:
    return times[min(int(len(times) * share), len(times) - 1)]


def measure(run: Path, num_keys: int, gap_s: float) -> dict:
    """One visit in a process of its own: keys in rounds, then Ctrl-C."""
    report, write_report = os.pipe()
    started = time.monotonic()
    process, terminal = pty.fork()
    if process == 0:
        os.close(report)
        os.set_inheritable(write_report, True)
        os.execv(
            sys.executable, [sys.executable, __file__.replace("tui.py", "_tui_child.py"), str(run), str(write_report)]
        )
    os.close(write_report)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
    first_paint = _wait_for(terminal, run.resolve().name.encode(), started)
    _drain(terminal, 1.5)
    for number in range(num_keys):
        key = _ROUND[number % len(_ROUND)]
        os.write(terminal, _SEQUENCES.get(key, key).encode())
        _drain(terminal, gap_s)
    os.write(terminal, _QUIT.encode())
    while select.select([terminal], [], [], 10)[0]:
        try:
            if not os.read(terminal, 65536):
                break
        except OSError:  # the other end is closed
            break
    with os.fdopen(report) as file:
        found = json.loads(file.read())
    os.waitpid(process, 0)
    return {**found, "first_paint_s": first_paint}


def _wait_for(terminal: int, text: bytes, started: float) -> float:
    seen = b""
    while text not in seen:
        if time.monotonic() - started > 60:
            raise SystemExit(f"nothing was drawn within a minute:\n{seen[-2000:]!r}")
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 65536)
    return time.monotonic() - started


def _drain(terminal: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            os.read(terminal, 65536)


if __name__ == "__main__":
    main()
