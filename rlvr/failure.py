"""Work that failed for a reason we know: one line and exit code 1, where a mistake in the input is 2."""


class WorkError(RuntimeError):
    """What went wrong at work, in one line that says what was kept and how to go on."""


class OutsideError(WorkError):
    """What the work leans on went away, such as a server: what was learned so far is sound, and worth a checkpoint."""
