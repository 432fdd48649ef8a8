"""How often a stage goes through what it learns, said where it is more than once."""

from rich.console import Console

_TOO_OFTEN = 20
"""Times that call for a warning."""


def say_repeated(console: Console, label: str, count: int, what: str, learned: int) -> None:
    """Says it.

    Args:
        console: Of the run.
        label: What the stage is called on the screen.
        count: Examples there are.
        what: One of them, such as `pair`.
        learned: Examples that all steps together take.
    """
    times = learned / count
    if times <= 1:
        return
    too_often = times > _TOO_OFTEN
    advice = ": it will learn these by heart; sample more tasks, or take fewer steps" if too_often else ""
    seen = f"{count} {what}{'s' * (count != 1)}, gone through {times:,.0f} times{advice}"
    console.print(f"[{'yellow' if too_often else 'dim'}]{label}: {seen}[/]")
