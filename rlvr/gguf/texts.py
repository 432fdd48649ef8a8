"""The 200 texts and the conversations whose tokens must be the same in llama.cpp as in transformers.

They are where tokenizers differ: digits in a row, white space in every amount, contractions, scripts, emoji, control
characters, a vocabulary's own added tokens inside text.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any

from rlvr_envs import Environment, Message
from rlvr_envs.seeds import derive_random
from rlvr_rewards.row import turns_of

NUM_TEXTS = 200
_CHOSEN = (
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog.",
    "I'm sure you're right; they've said it's what we'll do, I'd guess.",
    "DON'T SHOUT, IT'S RUDE",
    "'tis don''t 'S 's",
    " leading space",
    "trailing space ",
    "trailing spaces   ",
    "two  spaces   three    four",
    "\ttab\tbetween\t\ttabs",
    "line\nbreak\n\nempty line\n\n\nthree",
    "windows\r\nlines\r\n\r\n",
    "\n",
    "\n\n\n",
    " ",
    "    ",
    "   \n   \n  indented",
    "mixed \t \n \t space",
    "1",
    "12",
    "123",
    "1234",
    "12345678901234567890",
    "3.14159, 1,000,000.50 and -42",
    "2024-05-17T12:30:00Z",
    "09:00-10:45, 12:15–13:00",
    "x=1;y=22;z=333;w=4444",
    "1 2 3 4 5 6 7 8 9 10 11 12",
    "½ ² ① Ⅷ ٣٤ 五 १२३",
    "50% of $3.99 is ~€2.00 (≈£1.70)",
    "f(x) = x**2 + 3*x - 7",
    "def f(a, b):\n    return a + b  # sum\n",
    "if (x != 0 && y <= 3) { return !z; }",
    '{"key": [1, 2, {"a": null}], "b": true}',
    "<b>bold</b> &amp; <i>x</i>",
    "<think>\nlet me see\n</think>\n<answer>42</answer>",
    "<think></think><answer></answer>",
    "<schedule>\n<event>\n<name>A</name>\n</event>\n</schedule>",
    "<not_a_tag> </also not> <<>> < >",
    "https://example.org/a?b=c&d=e#f",
    "me@example.org, @someone #tag",
    "snake_case camelCase PascalCase SCREAMING_CASE kebab-case",
    "...!!!???---___***",
    "“quotes” ‘single’ «guillemets» „low“",
    "em—dash en–dash minus− hyphen‐",
    "naïve café résumé Ærøskøbing Łódź",
    "Straße GROSS ß ẞ",
    "Привет, как дела?",
    "Καλημέρα κόσμε",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "你好，世界！今天是星期五。",
    "こんにちは世界、元気ですか？",
    "안녕하세요 세계",
    "xin chào thế giới",
    "🙂",
    "🙂🙃👍🏽👨‍👩‍👧‍👦🏳️‍🌈",
    "emoji 🎉 between 🎊 words",
    "a\u00a0b\u2003c\u200bd\ufeffe",
    "soft\u00adhyphen and zero\u200djoiner",
    "control \x01\x02 \x7f characters",
    "math: ∑ᵢ xᵢ² ≤ ∫ f(x) dx → ∞",
    "𝒻𝒶𝓃𝒸𝓎 𝕥𝕖𝕩𝕥",
    "null\\0 backslash \\n \\t \\\\",
    "▁lower one eighth▁block▁",
    "Ġ Ċ ĉ look like bytes",
    "a" * 100,
    "ab " * 40,
    "\u0301 combining alone",
    "ÿþ\u0080\u009f",
    "CamelCaseHTTPServer2Go",
    "1st 2nd 3rd 4th 21st",
    "a1b2c3 4d5e6f",
    "10:30am-11:45pm",
    "Q: 7*8?\nA: 56",
    "The answer is \\boxed{42}.",
    "#### 18",
    "<<3+4=7>>7 apples",
)
_CHARACTERS = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789",
    "     \n\t",
    ".,;:!?'\"-()[]{}<>/\\|@#$%^&*_+=~`",
    "äöüßéèçñøåæ",
    "абвгдежзик",
    "世界你好中文字",
    "🙂🎉👍",
)
_TURNS: tuple[tuple[Message, ...], ...] = (
    ({"role": "user", "content": "What is 12 + 30?"},),
    ({"role": "user", "content": " spaces around \n"},),
    ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello! How can I help?"}),
    (
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two\n\nthree"},
    ),
    (
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "Who are you? 🙂"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\nMe."},
        {"role": "user", "content": "Sure?"},
    ),
)
"""A conversation for each turn there can be: system, user, assistant, and one after another."""


def texts(tokenizer: Any, conversations: Sequence[str], seed: int) -> list[str]:
    """200 texts: rendered conversations with all their turns, chosen ones, added tokens in context, then random ones.

    Where the tokenizer composes characters first (NFC: Qwen), the texts are composed before: llama.cpp cannot.
    """
    random = derive_random(seed, purpose="parity texts")
    found = [*conversations, *_CHOSEN, *(f"a{token} b {token}\n" for token in _added_tokens(tokenizer))]
    found = list(dict.fromkeys(found[:NUM_TEXTS]))
    while len(found) < NUM_TEXTS:
        found.append(_random_text(random))
    return [unicodedata.normalize("NFC", text) for text in found] if _composes(tokenizer) else found


def conversations(tokenizer: Any, env: Environment | None, num_tasks: int, seed: int) -> list[list[Message]]:
    """Conversations that the chat template takes: every kind of turn, and tasks of the environment with their golds."""
    found = [list(turns) for turns in _TURNS]
    if env is not None:
        found += list(_of_tasks(env, num_tasks, seed))
    return [messages for messages in found if _is_taken(tokenizer, messages)]


def is_open(messages: Sequence[Message]) -> bool:
    """Whether it is the assistant's turn."""
    return messages[-1]["role"] != "assistant"


def _of_tasks(env: Environment, num_tasks: int, seed: int) -> Iterator[list[Message]]:
    for task in islice(env.rows("test" if "test" in env.splits else env.splits[0], seed), num_tasks):
        yield env.messages(task)
        yield [*env.messages(task), *turns_of(env.gold(task))]  # pyright: ignore[reportReturnType]


def _is_taken(tokenizer: Any, messages: Sequence[Message]) -> bool:
    """Some templates refuse a role, such as the system's: that is theirs to say, in llama.cpp too."""
    try:
        tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=is_open(messages))
    except Exception:  # a template raises what it likes
        return False
    return True


def _added_tokens(tokenizer: Any) -> list[str]:
    return [token.content for _, token in sorted(tokenizer.added_tokens_decoder.items())][:40]


def _composes(tokenizer: Any) -> bool:
    normalizer = tokenizer.backend_tokenizer.normalizer
    return normalizer is not None and normalizer.normalize_str("e\u0301") == "é"


def _random_text(random: Random) -> str:
    alphabet = "".join(random.sample(_CHARACTERS, k=random.randint(1, 4)))
    return "".join(random.choice(alphabet) for _ in range(random.randint(1, 60)))
