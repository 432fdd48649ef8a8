r"""Where the answer stands in a gold completion, so that another one can be put in its place.

What is looked for, in this order, in the text after the last thought: a tag around it, `\boxed{…}`, `#### …`, the last
number; failing all, the whole of that text is the answer.
"""

import re
from dataclasses import dataclass

from rlvr_rewards.extract import THINK_CLOSE, THINK_OPEN, AnswerForm, final_answer, final_text

_TAG = re.compile(r"<([A-Za-z]\w*)>")


@dataclass(frozen=True)
class Gold:
    """A gold completion cut in pieces; joined they are what was cut, but for white space around the answer.

    Attributes:
        thought: All up to the last closed think block, its closing tag included; empty where there is none.
        between: What stands between the thought and the mark of the answer.
        opening: What marks the answer's begin, such as `<answer>`; may be empty.
        answer: The answer, without the white space around it.
        closing: What marks its end, such as `</answer>`; may be empty.
        after: What follows.
    """

    thought: str
    between: str
    opening: str
    answer: str
    closing: str
    after: str

    def form(self, text: str) -> str:
        """The gold completion with this as its answer."""
        return f"{self.thought}{self.between}{self.marked(text)}{self.after}"

    def marked(self, text: str) -> str:
        """This marked as an answer is."""
        return f"{self.opening}{text}{self.closing}"

    def unthought(self, text: str) -> str:
        """This in the asked form, with nothing thought: what one can write who does not know gold."""
        return f"{THINK_OPEN}{THINK_CLOSE}{self.marked(text)}" if self.thought else self.marked(text)


def cut(gold: str) -> Gold:
    """The pieces of a gold completion.

    >>> cut("<think>3+4</think> It is <answer> 7 </answer>!").form("8")
    '<think>3+4</think> It is <answer>8</answer>!'
    >>> cut("So it is 7.").form("8"), cut(r"It is \\boxed{7}.").form("8")
    ('So it is 8.', 'It is \\\\boxed{8}.')
    """
    rest = final_text(gold)
    rest = gold if rest is None else rest
    thought = gold[: len(gold) - len(rest)]
    start, end, opening, closing = _marks(rest)
    inner = rest[start + len(opening) : end]
    return Gold(thought, rest[:start], opening, inner.strip(), closing, rest[end + len(closing) :])


def _marks(text: str) -> tuple[int, int, str, str]:
    """Where the mark begins, where what it holds ends, and the mark's two halves."""
    if (tag := _TAG.search(text)) and (end := text.rfind(f"</{tag[1]}>")) > tag.start():
        return tag.start(), end, tag[0], f"</{tag[1]}>"
    if (boxed := final_answer(text, AnswerForm.BOXED)) is not None:
        start = text.index(opening := r"\boxed{")
        return start, text.index(boxed, start) + len(boxed), opening, "}"
    if (hashed := final_answer(text, AnswerForm.HASHES)) is not None:
        start = text.index("####")
        return start, text.index(hashed, start) + len(hashed), "#### ", ""
    if number := final_answer(text, AnswerForm.LAST_NUMBER):
        start = text.rindex(number)
        return start, start + len(number), "", ""
    return 0, len(text), "", ""
