"""A reward model's opinion as a reward: in [0, 1] by the sigmoid, or the logit as it is.

The model is opened at the first completion. What it scores is the conversation, the prompt and the completion with its
thought, under its own chat template; a batch is taken in rows of about one length. Values are rounded to four digits,
so that what else is in the batch, which changes the last bits of a float, hardly ever changes a reward.

An opinion is learned from pairs, and wrong beyond them: a policy that is trained against it long enough finds where
(Gao et al. 2022, arXiv 2210.10760). Keep a verifiable reward beside it, and evaluate that.
"""

from collections.abc import Callable, Mapping, Sequence
from math import exp
from typing import Any

from rlvr_rewards.errors import UserError
from rlvr_rewards.functions import reward
from rlvr_rewards.outside import rests_on
from rlvr_rewards.row import Completion, completion_text

_DIGITS = 4


@reward(low=0.0, high=1.0)
@rests_on("a reward model")
def reward_model(
    prompts: Sequence[Any],
    completions: Sequence[Completion],
    *,
    path: str = "",
    reference: float | None = None,
    device: str = "auto",
) -> list[Any]:
    """The sigmoid of a reward model's logit: 1.0 for what it likes without reserve, 0.0 for what it does not like.

    With `reference` taken away first: by default what the model's folder names as the logit of an average completion
    (a stage `reward_model` measures it), so that 0.5 is as good as average; 0.0 where it names none.

    `path` is a folder or a hub id of a sequence-classification model with one label: safetensors alone, no code of its
    own. In a run, the name of a stage `reward_model` before it is such a reward: `correct + 0.5*reward_model`.

    >>> reward_model.bounds
    (0.0, 1.0)
    >>> reward_model.score("7").errors
    {'reward_model': "UserError: a reward model needs its folder or hub id: path='owner/name'"}

    A hack: whatever the model was never taught to dislike. No contract can rule that out.

    Raises:
        UserError: There is no path, the model cannot be opened, or a conversation is longer than its context.
    """
    model = _opened(path, device)
    middle = model.reference if reference is None else reference
    return _each(model.logits(_conversations(prompts, completions)), lambda logit: _sigmoid(logit - middle))


@reward
@rests_on("a reward model")
def reward_model_logit(
    prompts: Sequence[Any], completions: Sequence[Completion], *, path: str = "", device: str = "auto"
) -> list[Any]:
    """A reward model's logit as it is, without bounds: give it some, such as `.clip(-5, 5)`, and a small weight.

    Where no logit was taken away, 0.0 and 1.0 mean nothing by themselves: only differences do, and those are all that
    an advantage is made of.

    >>> reward_model_logit.using(path="owner/model").clip(-5, 5).bounds
    (-5, 5)
    >>> reward_model_logit.bounds
    (-inf, inf)

    A hack: as of `reward_model`, and without a bound on what one completion can earn by it.

    Raises:
        UserError: There is no path, the model cannot be opened, or a conversation is longer than its context.
    """
    return _each(_opened(path, device).logits(_conversations(prompts, completions)), lambda logit: logit)


def _opened(path: str, device: str) -> Any:
    from rlvr.models.reward_model import open_reward_model

    if not path:
        raise UserError("a reward model needs its folder or hub id: path='owner/name'")
    return open_reward_model(path, device)


def _each(logits: Sequence[Any], value: Callable[[float], float]) -> list[Any]:
    """A value for each logit; the error of a conversation that has none stays its error."""
    return [logit if isinstance(logit, Exception) else round(value(logit), _DIGITS) for logit in logits]


def _sigmoid(logit: float) -> float:
    """Without overflow on either side."""
    return 1 / (1 + exp(-logit)) if logit >= 0 else exp(logit) / (1 + exp(logit))


def _conversations(prompts: Sequence[Any], completions: Sequence[Completion]) -> list[list[dict[str, str]]]:
    return [[*_messages(prompt), *_said(text)] for prompt, text in zip(prompts, completions, strict=True)]


def _said(completion: Completion) -> list[dict[str, str]]:
    """A completion as messages; of an episode, what was replied to it too."""
    if isinstance(completion, str) or len(completion) < 2:
        return [{"role": "assistant", "content": completion_text(completion)}]
    return _messages(completion)


def _messages(prompt: Any) -> list[dict[str, str]]:
    """A prompt as chat messages; text is what a user says, and none is no message."""
    if isinstance(prompt, str) or prompt is None:
        return [{"role": "user", "content": prompt}] if prompt else []
    turns = [each for each in prompt if isinstance(each, Mapping)]
    return [{"role": str(each["role"]), "content": str(each["content"])} for each in turns]
