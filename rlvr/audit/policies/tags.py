"""The right answer in tags that are not the asked ones: nested, torn, turned round. For answers in tags."""

from random import Random

from rlvr.audit.case import Case
from rlvr.audit.policy import policy


@policy
def tag_in_a_tag(case: Case, random: Random) -> str | None:
    """The answer marked twice, one mark inside the other."""
    return case.form(case.pieces.marked(case.answer)) if _is_tagged(case) else None


@policy
def deeply_nested_tags(case: Case, random: Random) -> str | None:
    """A thousand marks around the answer."""
    pieces = case.pieces
    return case.form(pieces.opening * 1000 + case.answer + pieces.closing * 1000) if _is_tagged(case) else None


@policy
def tag_never_closed(case: Case, random: Random) -> str | None:
    """The answer without its closing tag."""
    return _torn(case, case.pieces.opening, "") if _is_tagged(case) else None


@policy
def tag_never_opened(case: Case, random: Random) -> str | None:
    """The answer without its opening tag."""
    return _torn(case, "", case.pieces.closing) if _is_tagged(case) else None


@policy
def closed_before_opened(case: Case, random: Random) -> str | None:
    """The two tags turned round."""
    return _torn(case, case.pieces.closing, case.pieces.opening) if _is_tagged(case) else None


def _is_tagged(case: Case) -> bool:
    return case.pieces.opening.startswith("<")


def _torn(case: Case, opening: str, closing: str) -> str:
    return f"{case.pieces.thought}{case.pieces.between}{opening}{case.answer}{closing}{case.pieces.after}"
