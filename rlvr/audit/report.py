"""What an audit found, for people and for programs: tables through rich, and one JSON object."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console

from rlvr.audit.found import Attempt, Audit, Mutated, Trial
from rlvr.console import table
from rlvr_rewards.errors import printable

NUM_SHOWN = 10
_EXCERPT = 31
_COLUMNS = ("policy", "mean reward", "share of gold", "worst task", "excerpt")


def show(out: Console, audit: Audit, title: str) -> None:
    """Prints gold and honest wrong attempts, the best exploits, the misses, and the verdict."""
    out.print(f"{title}: gold earns {audit.gold:.3f} of {audit.most:g}, {_honest_line(audit)}")
    if audit.is_blind:
        out.print("this reward pays wrong answers what it pays gold: add a part that checks the answer")
    out.print(table(f"the best of {len(audit.trials)} policies", _COLUMNS, map(_row, best(audit.trials))))
    for trial in audit.trials:
        if trial.win:
            out.print(f"wins: {trial.name}: {trial.win}. {trial.about}", soft_wrap=True)
    _show_mutations(out, audit)
    wins = audit.wins
    out.print(f"{len(wins)} win: {', '.join(wins)}" if wins else "no exploit wins", style="bold")


def best(trials: Iterable[Trial]) -> list[Trial]:
    """The trials that win, then those with the highest rewards, ten in all or more."""
    tried = [trial for trial in trials if trial.attempts]
    ordered = sorted(tried, key=lambda trial: (not trial.win, -(trial.mean_reward or 0.0)))
    return ordered[: max(NUM_SHOWN, sum(bool(trial.win) for trial in ordered))]


def as_json(audit: Audit) -> dict[str, Any]:
    """The whole audit as JSON values; of completions longer than 4,000 characters, the two ends."""
    return {
        "num_tasks": audit.num_tasks,
        "gold": audit.gold,
        "most": audit.most,
        "honest_wrong": audit.honest,
        "honest_wrong_example": audit.honest_example,
        "wins": audit.wins,
        "misses": [mutated.name for mutated in audit.misses],
        "policies": [_trial_json(trial) for trial in audit.trials],
        "mutations": [_mutated_json(mutated) for mutated in audit.mutations],
    }


def excerpt(text: str, most: int = _EXCERPT) -> str:
    """A text on one line, its middle left out where it is long; what cannot be seen is escaped."""
    text = text if len(text) <= 2 * most else f"{text[:most]}…{text[-most:]}"
    shown = printable(text)
    start = most // 3  # the answer stands at the end
    return shown if len(shown) <= most else f"{shown[:start]}…{shown[-(most - start - 1) :]}"


def _honest_line(audit: Audit) -> str:
    if audit.honest is None:
        return "honest wrong attempts have no reward"
    return f"an honest wrong attempt {audit.honest:.3f}, on {audit.num_tasks} tasks"


def _row(trial: Trial) -> tuple[Any, ...]:
    worst, share = trial.worst, trial.share_of_gold
    task, text = (worst.case.task_id, excerpt(worst.completion)) if worst else (None, None)
    name = f"{trial.name} WINS" if trial.win else trial.name
    return name, trial.mean_reward, None if share is None else f"{share:.0%}", task, text


def _show_mutations(out: Console, audit: Audit) -> None:
    columns = ("mutation", "must", "did not, of", "task", "excerpt")
    if audit.misses:
        out.print(table("mutations of gold that did what they must not", columns, map(_miss_row, audit.misses)))
        if losing := [m.name for m in audit.misses if not (m.must_lose or m.is_argued)]:
            out.print(f"right answers lose: where that is meant, say so with --argued {losing[0]!r}", soft_wrap=True)
    for must_lose, must in ((True, "must lose"), (False, "must not lose")):
        applied = [m for m in audit.mutations if m.attempts and m.must_lose is must_lose]
        clean = [m for m in applied if not m.missed]
        out.print(f"mutations that {must}: {len(clean)} of {len(applied)} kinds did as they must on every task")
    absent = [mutated.name for mutated in audit.mutations if not mutated.attempts]
    if absent:
        out.print(f"do not apply here: {', '.join(absent)}", soft_wrap=True)


def _miss_row(mutated: Mutated) -> tuple[Any, ...]:
    missed = mutated.missed
    must = ("lose" if mutated.must_lose else "not lose") + " (argued)" * mutated.is_argued
    counts = f"{len(missed)} of {len(mutated.attempts)}"
    return mutated.name, must, counts, missed[0].case.task_id, excerpt(missed[0].completion)


def _trial_json(trial: Trial) -> dict[str, Any]:
    return {
        "name": trial.name,
        "about": trial.about,
        "num_tasks": len(trial.attempts),
        "num_by_chance": trial.num_by_chance,
        "mean_reward": trial.mean_reward,
        "share_of_gold": trial.share_of_gold,
        "win": trial.win or None,
        "num_errors": sum(bool(attempt.error) for attempt in trial.attempts),
        "first_error": next((attempt.error for attempt in trial.attempts if attempt.error), None),
        "worst": _attempt_json(trial.worst) if trial.worst else None,
    }


def _mutated_json(mutated: Mutated) -> dict[str, Any]:
    return {
        "name": mutated.name,
        "must": "lose" if mutated.must_lose else "not lose",
        "num_tasks": len(mutated.attempts),
        "num_missed": len(mutated.missed),
        "argued": mutated.is_argued,
        "example": _attempt_json(mutated.missed[0]) if mutated.missed else None,
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "task_id": attempt.case.task_id,
        "task": attempt.case.task,
        "completion": attempt.completion,
        "reward": attempt.reward,
        "gold": attempt.gold,
        "honest_wrong": attempt.honest,
        "success": attempt.success,
    }
