"""One task under way, turn by turn: what the model says, what the environment replies, and how it ends.

The one loop of turns that knows no model: `gymnasium`, `rlvr play`, servers and scoring go through it; sampling a whole
batch of episodes goes through `rlvr.engine.turns`, which knows tokens too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rlvr_envs.environment import Environment, Message, Task
from rlvr_rewards.row import Completion, completion_text, turns_of


@dataclass
class Episode:
    """A task with what was said after its prompt.

    Attributes:
        max_turns: Turns of the model's at most; by default what the environment allows.
        turns: The conversation so far.
        terminated: Whether the environment ended it.
        truncated: Whether the turns were used up before it did.
    """

    env: Environment
    task: Task
    max_turns: int = 0
    turns: list[Message] = field(default_factory=list)
    terminated: bool = False
    truncated: bool = False

    @property
    def is_over(self) -> bool:
        return self.terminated or self.truncated

    @property
    def num_turns(self) -> int:
        """Turns of the model's so far."""
        return sum(turn["role"] == "assistant" for turn in self.turns)

    def step(self, text: str) -> Message | None:
        """Adds a turn of the model's; gives the reply, `None` where the environment ended the episode.

        Raises:
            ValueError: The episode is over.
        """
        if self.is_over:
            raise ValueError("the episode is over: begin another")
        self.turns.append({"role": "assistant", "content": text})
        reply = self.env.reply(self.task, self.turns)
        if reply is None:
            self.terminated = True
        else:
            self.turns.append(reply)
            self.truncated = self.num_turns >= (self.max_turns or self.env.max_turns)
        return reply


def played(env: Environment, task: Task, completion: Completion | Sequence[str]) -> Episode:
    """The episode that a completion's turns make, up to its end or theirs; see `Environment.episode`."""
    episode = Episode(env, task)
    for text in _said(completion):
        if episode.is_over:
            break
        episode.step(text)
    return episode


def _said(completion: Completion | Sequence[str]) -> list[str]:
    """The texts of the assistant's turns."""
    if isinstance(completion, str):
        return [completion]
    texts = [each for each in completion if isinstance(each, str)]
    if len(texts) == len(completion):
        return texts
    return [completion_text([m]) for m in turns_of(completion) if m.get("role", "assistant") == "assistant"]  # pyright: ignore
