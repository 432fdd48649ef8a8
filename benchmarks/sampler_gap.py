"""The gap between the sampler's log-probs and the trainer's at every step of runs, as an SVG.

python benchmarks/sampler_gap.py RUN [RUN …] --svg docs/sampler_gap.svg

It reads `sampler_gap` (nats a token) from each run's `metrics.jsonl`, and draws it on a logarithmic scale with the line
that no step may be above. Prints the mean and the largest gap of each run; exit code 1 where one is above the line.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

LIMIT = 0.01
WIDTH, HEIGHT, LEFT, BOTTOM = 640, 300, 60, 40
LOWEST, HIGHEST = -8, -1  # powers of ten
COLOURS = ("#2563eb", "#d97706", "#059669", "#9333ea")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--svg", type=Path, required=True)
    args = parser.parse_args()
    gaps = {run.name: gaps_of(run) for run in args.runs}
    args.svg.write_text(drawing(gaps), encoding="utf-8")
    for name, points in gaps.items():
        values = [gap for _, gap in points]
        print(f"{name}: {len(values)} steps, mean {sum(values) / len(values):.1e}, largest {max(values):.1e}")
    return int(any(gap > LIMIT for points in gaps.values() for _, gap in points))


def gaps_of(run: Path) -> list[tuple[int, float]]:
    """Step and gap of every step that has one."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [(line["step"], line["sampler_gap"]) for line in lines if "sampler_gap" in line]
    if not found:
        sys.exit(f"{run}: no step has a sampler_gap: it was not sampled with vLLM")
    return found


def drawing(gaps: dict[str, list[tuple[int, float]]]) -> str:
    """The SVG."""
    last = max(step for points in gaps.values() for step, _ in points)
    marks = [_grid(), _line(LIMIT, "no step above"), *(_curve(i, *item, last) for i, item in enumerate(gaps.items()))]
    steps = "".join(_text(_x(step, last), HEIGHT - 20, str(step), "middle") for step in (1, last // 2, last))
    title = _text(LEFT, 16, "mean |log-prob of the sampler − of the trainer|, nats a token, by step", "start")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>{title}{steps}{"".join(marks)}</svg>\n'
    )


def _x(step: int, last: int) -> float:
    return LEFT + (WIDTH - LEFT - 20) * (step - 1) / max(1, last - 1)


def _y(gap: float) -> float:
    power = min(max(math.log10(max(gap, 1e-30)), LOWEST), HIGHEST)
    return 30 + (HEIGHT - BOTTOM - 30) * (HIGHEST - power) / (HIGHEST - LOWEST)


def _grid() -> str:
    rows = []
    for power in range(LOWEST, HIGHEST + 1):
        y = _y(10.0**power)
        rows.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>')
        rows.append(_text(LEFT - 8, y + 4, f"1e{power}", "end"))
    return "".join(rows)


def _line(gap: float, label: str) -> str:
    y = _y(gap)
    stroke = 'stroke="#dc2626" stroke-dasharray="6 4"'
    return f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" {stroke}/>' + _text(
        WIDTH - 24, y - 5, f"{label} {gap:g}", "end"
    )


def _curve(number: int, name: str, points: Sequence[tuple[int, float]], last: int) -> str:
    colour = COLOURS[number % len(COLOURS)]
    path = " ".join(f"{_x(step, last):.1f},{_y(gap):.1f}" for step, gap in points)
    label = _text(WIDTH - 24, HEIGHT - BOTTOM - 10 - 16 * number, name, "end", colour)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>{label}'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#374151") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'


if __name__ == "__main__":
    sys.exit(main())
