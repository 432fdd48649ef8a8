"""The parity gate: whether a GGUF file, in llama.cpp, is the model that it was made from, in transformers.

In this order, since a fault of a line shows in all below it:

1. template: the file's is the model's, and llama.cpp's own engine writes the same text with it
2. tokens: the same for 200 texts, and for every conversation as written, with BOS where the file puts it
3. end of turn: the token that ends the assistant's turn is the file's EOS, and llama.cpp stops there
4. log-probs: the mean Kullback-Leibler divergence from the model's, over the whole vocabulary, on real prompts and the
   model's own answers: Σ_v p(v) (log p(v) − log q(v)), in nats a token
5. greedy: completions side by side

The sixth, the environment's own evaluation, is `score`.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr.engine.sampling import Completion, FinishReason, Request, SamplingParams
from rlvr.gguf.file_types import FileType
from rlvr.gguf.llama_model import LlamaContext, LlamaModel, opened
from rlvr.gguf.reference import Continuation, Reference
from rlvr.gguf.sampler import LlamaSampler
from rlvr.gguf.template import llama_cpp_renderer
from rlvr.gguf.texts import is_open

KL_LIMITS = {FileType.F32: 1e-5, FileType.F16: 1e-5, FileType.Q8_0: 5e-3}
"""Nats a token; other types are reported."""
_BROKEN_KL = 0.5
"""What no type reaches by rounding: a file of any type fails there, since its tensors are not the model's."""


@dataclass(frozen=True)
class Finding:
    """What one line of the gate found.

    Attributes:
        name: Such as `tokens`.
        passed: Whether the file may go out.
        says: In a few words, with the first case that differs.
        values: Its numbers, by name.
    """

    name: str
    passed: bool
    says: str
    values: dict[str, float] = field(default_factory=dict)


def compare(path: Path, file_type: FileType, reference: Reference) -> list[Finding]:
    """What the gate finds without an environment's evaluation.

    Raises:
        UserError: llama.cpp is not installed, or cannot open the file.
    """
    with opened(path) as model:
        return [
            _template(path, model, reference),
            _tokens(model, reference),
            _end_of_turn(model, reference),
            _logprobs(model, file_type, reference),
            _greedy(model, reference),
        ]


def _template(path: Path, model: LlamaModel, reference: Reference) -> Finding:
    found = model.metadata("tokenizer.chat_template")
    if found != reference.template:
        what = "is missing" if found is None else "is another one"
        return Finding("template", False, f"the chat template {what}: llama.cpp would write turns in another format")
    pairs = list(zip(reference.conversations, reference.chat_texts, strict=True))
    open_pairs = [(messages, text) for messages, text in pairs if is_open(messages)]
    with llama_cpp_renderer(path) as render:
        for messages, text in open_pairs:
            if (rendered := render(messages)) != text:
                return Finding("template", False, f"llama.cpp writes {_short(rendered)} for {_short(text)}")
    return Finding("template", True, f"{len(open_pairs)} prompts written alike by llama.cpp's engine")


def _tokens(model: LlamaModel, reference: Reference) -> Finding:
    cases = [
        *((text, ids, False) for text, ids in zip(reference.texts, reference.text_tokens, strict=True)),
        *((text, ids, True) for text, ids in zip(reference.chat_texts, reference.chat_tokens, strict=True)),
    ]
    unlike = [(text, ids, found) for text, ids, chat in cases if (found := model.tokenize(text, chat)) != ids]
    values = {"texts": float(len(cases)), "different": float(len(unlike))}
    if unlike:
        text, ids, found = unlike[0]
        bos = reference.bos_id if reference.bos_id is not None else model.bos_id
        doubled = " (BOS stands twice)" if found[:2] == [bos, bos] or (found[:1] == [bos] and found[1:] == ids) else ""
        says = f"{len(unlike)} of {len(cases)} differ{doubled}; {_short(text)} is {found[:12]}, not {ids[:12]}"
        return Finding("tokens", False, says, values)
    return Finding("tokens", True, f"identical for {len(cases)} texts", values)


def _end_of_turn(model: LlamaModel, reference: Reference) -> Finding:
    if model.eos_id != reference.end_id:
        found, wanted = (repr(model.text_of(token)) for token in (model.eos_id, reference.end_id))
        return Finding("end of turn", False, f"EOS is {found}, and the template ends a turn with {wanted}")
    if missed := [model.text_of(token) for token in reference.stop_ids if not model.ends_turn(token)]:
        return Finding("end of turn", False, f"llama.cpp goes on after {missed[0]!r}, where transformers stops")
    return Finding("end of turn", True, f"EOS is {model.text_of(model.eos_id)!r}")


def _logprobs(model: LlamaModel, file_type: FileType, reference: Reference) -> Finding:
    longest = max(len(continuation.token_ids) for continuation in reference.continuations)
    with closing(model.context(longest, 1)) as context:
        kls = [kl for continuation in reference.continuations for kl in _kls(context, continuation)]
    mean, worst, limit = sum(kls) / len(kls), max(kls), KL_LIMITS.get(file_type)
    values = {"mean_kl": mean, "max_kl": worst, "positions": len(kls)}
    bound = f"limit {limit:.0e}" if limit else "reported"
    says = f"mean KL {mean:.1e} ({bound}), worst {worst:.1e}, {len(kls)} positions"
    return Finding("log-probs", mean <= (limit or _BROKEN_KL), says, values)


def _kls(context: LlamaContext, continuation: Continuation) -> Iterator[float]:
    import torch

    ids, first = continuation.token_ids, continuation.first
    context.clear()
    logits_TV = context.decode([(token, place, 0, place >= first) for place, token in enumerate(ids)])
    p_TV = continuation.logprobs_TV.double()
    q_TV = torch.from_numpy(logits_TV).double().log_softmax(-1)[:, : p_TV.shape[-1]]
    yield from (p_TV.exp() * (p_TV - q_TV)).sum(-1).clamp(min=0).tolist()


def _greedy(model: LlamaModel, reference: Reference) -> Finding:
    """Reported, but for a file that seldom ends where the model does: a near tie may turn the best of files."""
    requests = [Request(prompt, [0]) for prompt in reference.prompts]
    params = SamplingParams(reference.max_new_tokens, temperature=0)
    found = [group[0] for group in LlamaSampler(model).sample(requests, params)]
    same = sum(ours.token_ids == theirs.token_ids for ours, theirs in zip(found, reference.completions, strict=True))
    ended, ended_before = _share_ended(found), _share_ended(reference.completions)
    values = {"identical": same / len(found), "ended": ended, "ended_in_transformers": ended_before}
    says = f"{same} of {len(found)} completions identical, {ended:.0%} ended (in transformers {ended_before:.0%})"
    return Finding("greedy", ended >= ended_before / 2, says, values)


def _share_ended(completions: Sequence[Completion]) -> float:
    return sum(each.finish_reason == FinishReason.STOP for each in completions) / len(completions)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…'"
