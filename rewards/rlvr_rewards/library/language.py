"""The script that a completion is written in, as a sign of its language."""

import re
import unicodedata
from collections import Counter
from enum import StrEnum
from functools import lru_cache

from rlvr_rewards.errors import unknown_name
from rlvr_rewards.examples import Example
from rlvr_rewards.extract import THINK_CLOSE, THINK_OPEN, final_text
from rlvr_rewards.functions import reward

SCRIPTS = {
    "arabic": {"ARABIC"},
    "armenian": {"ARMENIAN"},
    "bengali": {"BENGALI"},
    "chinese": {"CJK"},
    "cyrillic": {"CYRILLIC"},
    "devanagari": {"DEVANAGARI"},
    "ethiopic": {"ETHIOPIC"},
    "georgian": {"GEORGIAN"},
    "greek": {"GREEK"},
    "hebrew": {"HEBREW"},
    "japanese": {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"},
    "korean": {"HANGUL", "CJK"},
    "latin": {"LATIN"},
    "tamil": {"TAMIL"},
    "telugu": {"TELUGU"},
    "thai": {"THAI"},
}
"""What each script's letters are called by in Unicode: the first word of their names."""
EXAMPLES = {"script_consistency": Example("<think>三加四</think><answer>七</answer>", {"script": "chinese"})}
_COMMAND = re.compile(r"\\[A-Za-z]{1,40}")


class Span(StrEnum):
    """What of a completion is looked at."""

    ALL = "all"
    """All of it."""
    THOUGHT = "thought"
    """What stands up to the end of the last closed think block; all of it where a block was never closed."""
    FINAL = "final"
    """What follows the last closed think block; nothing where a block was never closed."""


@reward
def script_consistency(
    completion: str,
    script: str | None = None,
    *,
    default_script: str = "latin",
    of: Span = Span.ALL,
    tag: str = "answer",
) -> float:
    r"""The share of letters that are of a script: the column `script`, or `default_script`; 0.0 where there are none.

    For models that switch languages while they think. Scripts: arabic, armenian, bengali, chinese, cyrillic,
    devanagari, ethiopic, georgian, greek, hebrew, japanese, korean, latin, tamil, telugu, thai. The tags of thought and
    answer and LaTeX commands (`\frac`) are not counted; digits and marks are no letters.

    >>> script_consistency("<think>三加四是七</think><answer>7</answer>", script="chinese")
    1.0
    >>> script_consistency("три plus 4", script="cyrillic"), script_consistency("3+4=7")
    (0.42857142857142855, 0.0)

    Its limits: a script is not a language (English and German are both `latin`), and names, units, code and formulas
    are Latin letters in any text, so that honest Russian or Chinese does not reach 1.0. Add it with a small weight.

    A hack: any letters will do, since nothing is read; look-alikes of another script count as that other one.

    >>> script_consistency("lorem ipsum"), script_consistency("раypаl".replace("y", "у").replace("l", "ӏ"))
    (1.0, 0.16666666666666666)

    Source: the language consistency reward of DeepSeek-R1, arXiv 2501.12948, section 2.3.2 (the share of words in the
    target language), with letters for words and scripts for languages.

    Raises:
        ValueError: There is no such script.
    """
    wanted = SCRIPTS.get(default_script if script is None else script)
    if wanted is None:
        raise unknown_name("script", str(script or default_script), SCRIPTS)
    found = Counter(_text(completion, of, tag))
    letters = {letter: number for letter, number in found.items() if letter.isalpha()}
    num_letters = sum(letters.values())
    return (
        sum(number for letter, number in letters.items() if _script(letter) in wanted) / num_letters if letters else 0.0
    )


def _text(completion: str, of: Span, tag: str) -> str:
    """What is looked at, without tags and commands."""
    final = final_text(completion)
    if of == Span.FINAL:
        text = final or ""
    elif of == Span.THOUGHT and final is not None:
        text = completion[: len(completion) - len(final)]
    else:
        text = completion
    for mark in (THINK_OPEN, THINK_CLOSE, f"<{tag}>", f"</{tag}>"):
        text = text.replace(mark, " ")
    return _COMMAND.sub(" ", text)


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]
