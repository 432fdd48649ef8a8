"""Which run a command means: a folder or file that is named, a run's name under runs/, or the newest one there."""

from pathlib import Path

RUNS = Path("runs")


def run_path(run: str | None) -> Path:
    """The run's folder, or whatever else was named.

    Raises:
        UserError: There is no such thing, or no run at all.
    """
    from rlvr_rewards import UserError

    if run is not None:
        path = next((path for path in (Path(run), RUNS / run) if path.exists()), None)
        if path is None:
            raise UserError(f"{run}: no such folder or file, and no run of that name under {RUNS}/")
        return path
    runs = [path for path in RUNS.glob("*") if path.is_dir() and not path.name.startswith(".")]
    if not runs:
        raise UserError(f"there is no run under {RUNS}/: name a run's folder, or train one with rlvr run quickstart")
    return max(runs, key=_changed)


def _changed(run: Path) -> float:
    """When a run last wrote a file of its own or a trace, in seconds since the epoch."""
    return max(path.stat().st_mtime for path in (run, run / "traces") if path.exists())
