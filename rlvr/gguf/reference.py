"""What the model says in transformers, once, for every file to be compared with: tokens, log-probs, completions.

Shapes: T positions, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlvr.engine.sampling import Completion, Request, SamplingParams
from rlvr.gguf.texts import conversations, is_open, texts
from rlvr.gguf.vocabulary import end_of_turn_id
from rlvr.models.chat import end_of_turn_ids, pad_id, prompt_ids
from rlvr_envs import Environment, Message

if TYPE_CHECKING:
    import torch

_MAX_PROMPTS = 32
_MAX_LOGPROBS = 2**27
"""Log-probs held in memory: half a gigabyte."""


@dataclass(frozen=True)
class Continuation:
    """A prompt and the model's own greedy answer, with the log-probs from the prompt's last token on."""

    token_ids: list[int]
    first: int
    logprobs_TV: "torch.Tensor"


@dataclass(frozen=True)
class Reference:
    """The model in transformers, asked everything that a file is asked.

    Attributes:
        template: Its chat template.
        texts: With `text_tokens`, the tokens of each without special ones around.
        conversations: With `chat_tokens` and `chat_texts`, each as the template writes it.
        bos_id: `None` where it has none.
        end_id: The token that ends an assistant's turn; `stop_ids` are all that end one in transformers.
        prompts: Real prompts, with the greedy completion of each and its log-probs in `continuations`.
    """

    template: str
    texts: list[str]
    text_tokens: list[list[int]]
    conversations: list[list[Message]]
    chat_texts: list[str]
    chat_tokens: list[list[int]]
    bos_id: int | None
    end_id: int
    stop_ids: list[int]
    prompts: list[list[int]]
    completions: list[Completion]
    continuations: list[Continuation]
    max_new_tokens: int


def ask_model(model: Any, tokenizer: Any, env: Environment | None, max_new_tokens: int, seed: int) -> Reference:
    """Asks the model.

    Args:
        model: In float32.
        tokenizer: Its.
        env: Where real prompts come from; without one, a handful of general ones.
        max_new_tokens: Of a greedy completion.
        seed: Which tasks and random texts.
    """
    from rlvr.engine.torch_sampler import TorchSampler
    from rlvr.gguf.convert import template_of

    chats = conversations(tokenizer, env, _MAX_PROMPTS, seed)
    chat_texts = [written(tokenizer, messages) for messages in chats]
    asked = texts(tokenizer, chat_texts, seed)
    opened = [messages for messages in chats if is_open(messages)][-_MAX_PROMPTS:]
    prompts = [prompt_ids(tokenizer, messages) for messages in opened]
    stops = end_of_turn_ids(model, tokenizer)
    sampler = TorchSampler(model, stops, pad_id(tokenizer))
    room = getattr(model.config, "max_position_embeddings", 2**31) - max(map(len, prompts))
    budget = max(1, min(max_new_tokens, room))
    groups = sampler.sample([Request(prompt, [0]) for prompt in prompts], SamplingParams(budget, temperature=0))
    completions = [group[0] for group in groups]
    return Reference(
        template=template_of(tokenizer),
        texts=asked,
        text_tokens=[tokenizer(text, add_special_tokens=False)["input_ids"] for text in asked],
        conversations=chats,
        chat_texts=chat_texts,
        chat_tokens=[tokenizer(text, add_special_tokens=False)["input_ids"] for text in chat_texts],
        bos_id=tokenizer.bos_token_id,
        end_id=end_of_turn_id(tokenizer),
        stop_ids=stops,
        prompts=prompts,
        completions=completions,
        continuations=list(_with_logprobs(model, prompts, completions)),
        max_new_tokens=budget,
    )


def written(tokenizer: Any, messages: Sequence[Message]) -> str:
    """A conversation as the template writes it; where it is the assistant's turn, with that turn opened."""
    return tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=is_open(messages))


def _with_logprobs(
    model: Any, prompts: Sequence[list[int]], completions: Sequence[Completion]
) -> Iterator[Continuation]:
    """Each prompt with its completion, until the memory for log-probs is used up; at least one."""
    import torch

    left = _MAX_LOGPROBS
    for prompt, completion in zip(prompts, completions, strict=True):
        token_ids = [*prompt, *completion.token_ids[:-1]]
        first = len(prompt) - 1
        with torch.no_grad():
            ids = torch.tensor([token_ids], device=model.device)
            logits_TV = model(input_ids=ids, logits_to_keep=len(token_ids) - first).logits[0]
        yield Continuation(token_ids, first, logits_TV.float().log_softmax(-1).cpu())
        left -= logits_TV.numel()
        if left < logits_TV.numel():
            return
