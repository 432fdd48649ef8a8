r"""Regular expressions over what a model wrote, in time that is linear in its length whatever the pattern.

Python's `re` tries again and again where a pattern can match in many ways: `(a+)+b` on thirty letters `a` takes
minutes, and a policy under training finds such texts. RE2 (google-re2) cannot do that. It knows no look-around and no
back-references; a pattern with either is refused. A timeout in place of this would make the reward depend on how busy
the machine is.
"""

from functools import lru_cache
from typing import Any

from rlvr_rewards.errors import one_line
from rlvr_rewards.optional import optional_module

_PACKAGE = "google-re2"


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """A pattern of RE2, with `search` and `fullmatch`; hand it texts through `readable`.

    Raises:
        ValueError: RE2 cannot read it; its own words say why.
        UserError: google-re2 is not installed.
    """
    re2 = optional_module("re2", _PACKAGE)
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(readable(pattern), options)
    except re2.error as error:
        raise ValueError(
            f"the pattern {pattern[:80]!r} cannot be read by RE2, which has no look-around and no back-references: "
            f"{one_line(error)}"
        ) from None


def readable(text: str) -> str:
    """The same text, with U+FFFD for unpaired surrogates, which are no UTF-8."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not text.isascii() else text
