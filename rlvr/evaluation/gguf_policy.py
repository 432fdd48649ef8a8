"""A GGUF file that answers tasks, in llama.cpp: what runs on the phone, measured like the model that was trained."""

from collections.abc import Sequence
from pathlib import Path

from rlvr.engine.sampling import Request, SamplingParams
from rlvr.evaluation.policy import Answer, answer_seeds
from rlvr.models.chat import completion_of, prompt_ids
from rlvr_envs import Environment, Task
from rlvr_rewards.errors import UserError


def is_gguf(path: str) -> bool:
    """Whether a model's path means a GGUF file."""
    return path.endswith(".gguf") and not Path(path).is_dir()


class GGUFPolicy:
    """A file that samples each task's completions as one group.

    Its prompts are written by the file's own chat template, its random streams are those of `ModelPolicy`: a file that
    is the model it was made from gives the same completions.

    Args:
        path: The file.
        env: Whose tasks.
        params: How completions are drawn.
        split: Which tasks; part of the seeds.
        seed: Of the run.

    Raises:
        UserError: llama.cpp is not installed, cannot open the file, or the file has no chat template.
    """

    def __init__(self, path: str, env: Environment, params: SamplingParams, split: str, seed: int) -> None:
        from rlvr.gguf.llama_model import LlamaModel
        from rlvr.gguf.sampler import LlamaSampler
        from rlvr.gguf.template import FileTokenizer

        if not Path(path).is_file():
            raise UserError(f"model {path}: there is no such file")
        self.model = LlamaModel(path)
        self.tokenizer = FileTokenizer(self.model)
        self.sampler = LlamaSampler(self.model, self.tokenizer)
        self.env, self.params, self.split, self.seed = env, params, split, seed
        self.temperature = params.temperature

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuses tasks whose prompt and token budget do not fit the file's context together.

        Raises:
            UserError: One does not fit; the message says by how much.
        """
        longest = max(len(self._prompt(task)) for task in tasks)
        room = self.model.context_length - longest
        if room < self.params.max_new_tokens:
            mend = f"set that to at most {room}" if room > 0 else "take a model with a longer context"
            raise UserError(
                f"evaluation: a prompt of {longest} tokens and max_new_tokens {self.params.max_new_tokens} do not fit "
                f"into the file's context of {self.model.context_length} tokens: {mend}"
            )

    def answer(self, tasks: Sequence[Task], num_samples: int) -> list[list[Answer]]:
        requests = [
            Request(self._prompt(task), answer_seeds(self.env, task, self.split, self.seed, num_samples))
            for task in tasks
        ]
        groups = self.sampler.sample(requests, self.params)
        return [
            [
                Answer(completion_of(self.tokenizer, c.token_ids), seed, c, len(request.prompt_ids))
                for seed, c in zip(request.seeds, group, strict=True)
            ]
            for request, group in zip(requests, groups, strict=True)
        ]

    def close(self) -> None:
        """Closes the file."""
        self.model.close()

    def _prompt(self, task: Task) -> list[int]:
        return prompt_ids(self.tokenizer, self.env.messages(task))
