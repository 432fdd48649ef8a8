"""Why there is no judgment: each becomes an error on the row, in one line, and never a score."""


class JudgeError(Exception):
    """The judge gave no judgment: it cannot be reached, refuses, says nothing that can be read, or costs too much."""


class BudgetError(JudgeError):
    """What the judge may cost is spent."""
