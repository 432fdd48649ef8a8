"""A degenerate policy: a function that writes what earns a badly made reward, and should earn nothing here.

    @policy
    def every_word_twice(case: Case, random: Random) -> str | None:
        '''Gold with every word of the answer written twice.'''
        return case.form(" ".join(word for word in case.answer.split() for _ in range(2)))

Written in any module of `rlvr.audit.policies` it is found by itself; other packages add theirs through the entry point
`rlvr.policies`, and a file's is given to `rlvr audit --policy FILE.py:NAME`.
"""

from collections.abc import Callable
from functools import update_wrapper
from random import Random
from typing import Any, overload

from rlvr.audit.case import Case, Write
from rlvr_rewards.discovery import Catalogue
from rlvr_rewards.row import Completion


class Policy:
    """A way to write a completion without solving; called with a case, `None` where it does not apply to it.

    Attributes:
        name: The function's, with blanks.
        blind: Whether it guesses without a look at gold, so that what it gets right it gets right by chance.
    """

    def __init__(self, write: Write, blind: bool) -> None:
        update_wrapper(self, write, assigned=("__module__", "__doc__"))
        self.write, self.blind = write, blind
        self.name = str(getattr(write, "__name__", "policy")).replace("_", " ")

    def __call__(self, case: Case, random: Random) -> Completion | None:
        return self.write(case, random)


@overload
def policy(write: Write, /) -> Policy: ...
@overload
def policy(*, blind: bool) -> Callable[[Write], Policy]: ...
def policy(write: Write | None = None, /, *, blind: bool = False) -> Any:
    """Makes a function a policy; `blind` says that it guesses, without a look at gold."""
    if write is None:
        return lambda function: Policy(function, blind)
    return Policy(write, blind)


def _name_of(thing: Any) -> str | None:
    return thing.name if isinstance(thing, Policy) else None


POLICIES: Catalogue[Policy] = Catalogue("policy", "rlvr.audit.policies", "rlvr.policies", _name_of)
