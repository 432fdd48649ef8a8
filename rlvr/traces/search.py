"""A text looked for in completions, prompts or both: plain or as a regular expression (RE2, linear in the text)."""

import json
import re
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from rlvr.traces.arrow import pc
from rlvr.traces.columns import whole
from rlvr.traces.fields import literal, once_each, prompt_text
from rlvr_rewards.errors import UserError

_START, _END = "\ue000", "\ue001"
"""Set around what is found; a text that has such a character of its own is searched without it."""
_UNMARKED = re.compile(f"[{_START}{_END}]")


class Where(StrEnum):
    """Which texts are searched."""

    COMPLETIONS = "completions"
    PROMPTS = "prompts"
    BOTH = "both"


@dataclass(frozen=True)
class Search:
    """What to look for.

    Args:
        text: The text, or the regular expression.
        regex: Which of both it is.
        where: Which texts are searched.
        ignore_case: Whether A finds a.

    Raises:
        UserError: It is no regular expression, or empty.
    """

    text: str
    regex: bool = False
    where: Where = Where.COMPLETIONS
    ignore_case: bool = True

    def __post_init__(self) -> None:
        if not self.text:
            raise UserError("nothing to search for: type a text")
        try:
            self._found(pa.array([""]))
        except pa.ArrowInvalid as error:
            reason = " ".join(str(error).split()).removeprefix("Invalid regular expression: ")
            raise UserError(f"no regular expression: {reason[:100]}") from None

    @property
    def columns(self) -> list[str]:
        """The columns of a trace that it needs."""
        names = {Where.COMPLETIONS: ["completion"], Where.PROMPTS: ["messages"]}
        return names.get(self.where, ["completion", "messages"])

    @property
    def _pattern(self) -> str:
        return self.text if self.regex else literal(self.text)

    def mask(self, table: pa.Table) -> pa.Array:
        """In which rows it is found."""
        masks = []
        if self.where != Where.PROMPTS:
            masks.append(self._found(whole(table["completion"])))
        if self.where != Where.COMPLETIONS:
            masks.append(self._found_in_prompts(whole(table["messages"])))
        return masks[0] if len(masks) == 1 else pc.or_(*masks)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where it stands in a text that is shown, as start and end; by RE2 too: no pattern takes for ever."""
        pattern = f"(?i){self._pattern}" if self.ignore_case else self._pattern
        marked = pc.replace_substring_regex(pa.array([_UNMARKED.sub(" ", text)]), pattern, f"{_START}\\0{_END}")[
            0
        ].as_py()
        spans, at, start = [], 0, 0
        for piece in re.split(f"({_START}|{_END})", marked):
            if piece == _START:
                start = at
            elif piece == _END:
                spans += [(start, at)] if at > start else []
            else:
                at += len(piece)
        return spans

    def _found(self, texts: pa.Array) -> pa.Array:
        return pc.fill_null(pc.match_substring_regex(texts, self._pattern, ignore_case=self.ignore_case), False)

    def _found_in_prompts(self, messages: pa.Array) -> pa.Array:
        """Siblings share their prompt, so each prompt is opened once; a plain text is first looked for in the JSON."""
        maybe = self._found_in_json(messages)
        said = once_each(pc.if_else(maybe, messages, None), lambda text: text and prompt_text(text), pa.string())
        return self._found(said)

    def _found_in_json(self, messages: pa.Array) -> pa.Array:
        inside_json = json.dumps(self.text)[1:-1]
        if self.regex or (self.ignore_case and not self.text.isascii()):
            return pc.is_valid(messages)
        found = pc.match_substring_regex(messages, literal(inside_json), ignore_case=self.ignore_case)
        return pc.fill_null(found, False)
