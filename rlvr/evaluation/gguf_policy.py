"""A GGUF file that answers tasks, in llama.cpp: what runs on the phone, measured like the model that was trained."""

from collections.abc import Sequence
from pathlib import Path

from rlvr.engine.sampling import SamplingParams
from rlvr.evaluation.policy import SampledPolicy
from rlvr_envs import Environment, Task
from rlvr_rewards.errors import UserError


def is_gguf(path: str) -> bool:
    """Whether a model's path means a GGUF file."""
    return path.endswith(".gguf") and not Path(path).is_dir()


class GGUFPolicy(SampledPolicy):
    """A file whose prompts are written by its own chat template.

    Its random streams are those of every `SampledPolicy`: a file that is the model it was made from gives the same
    completions.

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
        tokenizer = FileTokenizer(self.model)
        super().__init__(LlamaSampler(self.model, tokenizer), tokenizer, env, params, split, seed)

    def check(self, tasks: Sequence[Task]) -> None:
        longest = max(len(self.prompt(task)) for task in tasks)
        room = self.model.context_length - longest
        if room < self.params.max_new_tokens:
            mend = f"set that to at most {room}" if room > 0 else "take a model with a longer context"
            raise UserError(
                f"evaluation: a prompt of {longest} tokens and max_new_tokens {self.params.max_new_tokens} do not fit "
                f"into the file's context of {self.model.context_length} tokens: {mend}"
            )

    def close(self) -> None:
        """Closes the file."""
        self.model.close()
