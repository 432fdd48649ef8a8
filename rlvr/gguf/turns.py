"""A chat template as fixed texts around each message, for programs that read no Jinja (Ollama's Modelfile).

The known formats are tried one after another, and one is kept only where it gives back what the template itself writes
for several conversations. A template with more logic (dates, tools, thoughts taken out of earlier turns) has none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr_envs import Message


@dataclass(frozen=True)
class Turns:
    """What stands around messages.

    Attributes:
        lead: Before the first: the beginning-of-sequence token, where the template writes it.
        around: For each role that the template takes, what stands before and after its text.
        opening: What opens the assistant's turn.
        default_system: The system message that the template adds where none is given; empty for none.
    """

    lead: str
    around: dict[str, tuple[str, str]]
    opening: str
    default_system: str = ""

    def written(self, messages: Sequence[Message]) -> str:
        """A conversation, with the assistant's turn opened."""
        if self.default_system and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": self.default_system}, *messages]
        return self.lead + "".join(m["content"].join(self.around[m["role"]]) for m in messages) + self.opening


def turns_of(tokenizer: Any) -> Turns | None:
    """The fixed texts of a tokenizer's chat template; `None` where no known format gives back what it writes."""
    return next((turns for turns in _candidates(tokenizer) if _holds(turns, tokenizer)), None)


_FORMATS = (
    {role: (f"<|im_start|>{role}\n", "<|im_end|>\n") for role in ("system", "user", "assistant")},
    {
        role: (f"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>")
        for role in ("system", "user", "assistant")
    },
    {"user": ("<start_of_turn>user\n", "<end_of_turn>\n"), "assistant": ("<start_of_turn>model\n", "<end_of_turn>\n")},
    {role: (f"<|{role}|>\n", "</s>\n") for role in ("system", "user", "assistant")},
)
"""ChatML (Qwen, SmolLM, ours), Llama 3, Gemma, Zephyr."""


def _candidates(tokenizer: Any) -> Iterator[Turns]:
    mark = "rlvr marks a question"
    before, _, opening = _rendered(tokenizer, [{"role": "user", "content": mark}]).partition(mark)
    lead = tokenizer.bos_token if tokenizer.bos_token and before.startswith(tokenizer.bos_token) else ""
    for around in _FORMATS:
        start, end = around["user"]
        system_start, system_end = around.get("system", ("", ""))
        added = before.removeprefix(lead).removesuffix(start)
        default = added.removeprefix(system_start).removesuffix(system_end)
        if opening.startswith(end):
            yield Turns(lead, around, opening.removeprefix(end), default)


def _holds(turns: Turns, tokenizer: Any) -> bool:
    talk = [("user", "Hi there"), ("assistant", "Hello!"), ("user", "2 + 2?"), ("assistant", "4"), ("user", "Thanks")]
    proofs = [talk[:1], talk[:3], talk]
    if "system" in turns.around:
        proofs += [[("system", "Be brief."), *each] for each in proofs]
    for proof in proofs:
        messages = [{"role": role, "content": text} for role, text in proof]
        if turns.written(messages) != _rendered(tokenizer, messages):
            return False
    return True


def _rendered(tokenizer: Any, messages: Sequence[Message]) -> str:
    return tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
