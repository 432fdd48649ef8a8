"""What the engine benchmark trains on: shapes, a task of any length, and lengths and rewards that a plan forces.

Used by engine.py and gpu.py. Nothing here imports torch before a child process asks for it.

Shapes: B rows (completions of a step), V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from rlvr_envs import Environment
from rlvr_envs.environment import Message, Task
from rlvr_envs.library.arithmetic import Arithmetic
from rlvr_envs.seeds import canonical_json

TEN_MILLION = {
    "hidden_size": 384,
    "intermediate_size": 1024,
    "num_layers": 6,
    "num_heads": 6,
    "num_kv_heads": 6,
    "vocab_size": 1024,
    "context_length": 1024,
}
_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]


@dataclass(frozen=True)
class Shape:
    """What a step is made of.

    Attributes:
        title: What it stands for.
        scratch: The model, as `[model.scratch]`, or a size of random_model.py; `None`: that of configs/quickstart.toml,
            with its environment.
        prompt_tokens: Of a prompt, about.
        prompts: Groups of a step.
        group: Completions of a prompt.
        max_new_tokens: The budget of a completion.
        vllm: Whether vLLM samples, on all sides.
    """

    title: str
    scratch: dict[str, int] | str | None
    prompt_tokens: int
    prompts: int
    group: int
    max_new_tokens: int
    vllm: bool = False

    @property
    def rows(self) -> int:
        return self.prompts * self.group


SHAPES = {
    "A": Shape("quickstart, 0.8M", None, 30, 16, 16, 40),
    "B": Shape("like GSM8K, 10M", TEN_MILLION, 200, 4, 8, 128),
    "C": Shape("B sampled by vLLM", TEN_MILLION, 200, 4, 8, 128, vllm=True),
    "D": Shape("few-shot prompt, 10M", TEN_MILLION, 800, 1, 8, 128),
}


@dataclass(frozen=True)
class LongSums(Arithmetic):
    """Sums behind a story of made-up words, to have prompts of a wanted length."""

    name = "long_sums"
    num_words: int = 100

    def messages(self, task: Task) -> list[Message]:
        random = Random(task["question"])
        words = ("".join(random.choices(_SYLLABLES, k=random.randint(2, 3))) for _ in range(self.num_words))
        system, user = super().messages(task)
        return [system, {**user, "content": f"{' '.join(words)}. {user['content']}"}]


def make_model(shape: Shape, folder: Path) -> tuple[Environment, Any]:
    """Saves the model of a shape into a folder; the environment that it learns, and what completions earn there."""
    from random_model import make_random_model

    from rlvr.config.load import load_config
    from rlvr.config.schema import ModelConfig, ScratchConfig
    from rlvr.models.load import load_tokenizer
    from rlvr.models.scratch import make_scratch_model
    from rlvr.pipeline.run import environment_of, reward_of

    if shape.scratch is None:
        config = load_config("quickstart", [])
        env = environment_of(config)
        make_scratch_model(folder, config.model.scratch, env, seed=0)
        return env, reward_of(config, env)
    env = LongSums(largest=9999)
    if isinstance(shape.scratch, str):
        make_random_model(shape.scratch, folder)
    else:
        make_scratch_model(folder, ScratchConfig(**shape.scratch), env, seed=0)
    return _of_length(env, load_tokenizer(str(folder), ModelConfig()), shape.prompt_tokens), env.reward


def _of_length(env: LongSums, tokenizer: Any, wanted: int) -> LongSums:
    """The environment with so many words that prompts have about the wanted number of tokens."""
    for _ in range(3):
        prompts = [env.messages(task) for task in islice(env.rows("train", 0), 20)]
        found = [len(tokenizer.apply_chat_template(each, add_generation_prompt=True).input_ids) for each in prompts]
        env = replace(env, num_words=max(1, round(env.num_words + (wanted - sum(found) / 20) / 3)))
    return env


def dataset(env: Environment, num_tasks: int) -> Any:
    """Training tasks, with the columns that both trainers ask for."""
    from datasets import Dataset

    tasks = islice(env.rows("train", 0), num_tasks)
    return Dataset.from_list(
        [{**t, "prompt": env.messages(t), "task": canonical_json(t), "task_id": env.task_id(t)} for t in tasks]
    )


@dataclass
class Plan:
    """What all sides are made to do at each step, so that nothing but their speed differs.

    Attributes:
        shape: The shape.
        full: Whether every completion takes the whole budget; otherwise a quarter of it to all of it.
        flat: The share of groups whose completions all earn the same.
        step: Of the benchmark, counted from 1.
        lengths: Tokens of each completion, the end of the turn included.
    """

    shape: Shape
    full: bool
    flat: float = 0.0
    step: int = 0
    lengths: list[int] = field(default_factory=list)

    def next(self, flat: float) -> None:
        """Goes to the next step."""
        self.step, self.flat = self.step + 1, flat
        most = self.shape.max_new_tokens
        random = Random(self.step)
        self.lengths = [most if self.full else random.randint(most // 4, most) for _ in range(self.shape.rows)]

    def forced(self, reward: Any) -> Any:
        """A reward for what it costs, and one that the plan decides for what it gives."""
        from rlvr_rewards import reward as as_reward

        def planned(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float]:
            num_flat, group = round(self.flat * self.shape.prompts), self.shape.group
            return [0.5 if row < num_flat * group else row % group / group for row in range(len(completions))]

        return 0.0 * reward + as_reward(planned).named("planned")

    def force(self, logits_BV: Any, rows_B: Sequence[int], position: int, eos_id: int) -> None:
        """Changes logits so that each row ends its turn where the plan says, and not before.

        Args:
            logits_BV: Of the next token.
            rows_B: Which completion of the step each row is.
            position: How many tokens they have so far.
            eos_id: What ends a turn.
        """
        logits_BV[:, eos_id] = -float("inf")
        if self.full:
            return
        last = [index for index, row in enumerate(rows_B) if self.lengths[row] == position + 1]
        logits_BV[last] = -float("inf")
        logits_BV[last, eos_id] = 0.0
