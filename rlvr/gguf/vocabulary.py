"""A tokenizer in llama.cpp's words: tokens, merges or scores, the pre-tokenizer by what it does, special tokens.

llama.cpp knows pre-tokenizers by name and has their regular expressions in its code. A name that does not fit splits
text elsewhere, without a word, so it is chosen here by the expression that splits the text in transformers, never by
the model's name, and the parity gate compares tokens. That expression is not always the one in `tokenizer.json`: for
some architectures (Qwen2) transformers 5 puts its own in the place of the file's.
"""

import json
from pathlib import Path
from typing import Any

from rlvr.gguf.architectures import Metadata
from rlvr_rewards.errors import UserError

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6
_SPACE = "▁"
_UNSCORED = -1e6
"""Of tokens that no merge makes."""
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3 = _QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
_TOOL = "llama.cpp's convert_hf_to_gguf.py may know it"


def vocabulary(folder: Path, tokenizer: Any, vocab_size: int) -> Metadata:
    """The whole `tokenizer.ggml` part of a file's metadata, but for the chat template.

    Args:
        folder: It holds `tokenizer.json`.
        tokenizer: The same, opened by transformers.
        vocab_size: Rows of the embedding: tokens are filled up to as many.

    Raises:
        UserError: It is of a kind that llama.cpp cannot follow.
    """
    raw = _read(folder) | _as_opened(tokenizer)
    model = raw["model"]
    if model.get("type") != "BPE":
        raise _unfit(folder, f"is a {model.get('type')} model, and only BPE has a counterpart here")
    made = _sentencepiece(folder, raw, vocab_size) if model.get("byte_fallback") else _byte_level(folder, raw)
    tokens, types = _tokens(folder, raw, vocab_size)
    return {
        **made,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        **_special_tokens(tokenizer),
    }


def end_of_turn_id(tokenizer: Any) -> int:
    """The token that the chat template ends an assistant's turn with; the end-of-sequence token where it uses none.

    Raises:
        UserError: There is neither.
    """
    mark = "rlvr marks an answer"
    written = tokenizer.apply_chat_template(
        [{"role": "user", "content": "?"}, {"role": "assistant", "content": mark}], tokenize=False
    )
    after = tokenizer(written.partition(mark)[2], add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids)
    found = next((token for token in after if token in special), tokenizer.eos_token_id)
    if found is None:
        raise UserError("the tokenizer has no end-of-sequence token, and the chat template ends a turn with none")
    return int(found)


def template_writes_bos(tokenizer: Any) -> bool:
    """Whether a rendered conversation begins with the beginning-of-sequence token."""
    bos = tokenizer.bos_token
    return bool(bos) and tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False).startswith(
        bos
    )


def _special_tokens(tokenizer: Any) -> Metadata:
    """Ids, and whether BOS is put before a text: never where the template writes it, or it would stand there twice."""
    bos, end = tokenizer.bos_token_id, end_of_turn_id(tokenizer)
    adds_bos = bos is not None and tokenizer("a")["input_ids"][:1] == [bos] and not template_writes_bos(tokenizer)
    ids = {
        "bos_token_id": bos,
        "eos_token_id": end,
        "eot_token_id": tokenizer.eos_token_id if tokenizer.eos_token_id != end else None,
        "padding_token_id": tokenizer.pad_token_id,
        "unknown_token_id": tokenizer.unk_token_id,
    }
    found = {f"tokenizer.ggml.{name}": int(token) for name, token in ids.items() if token is not None}
    return {**found, "tokenizer.ggml.add_bos_token": adds_bos, "tokenizer.ggml.add_eos_token": False}


def _byte_level(folder: Path, raw: dict[str, Any]) -> Metadata:
    model = raw["model"]
    if odd := [name for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix") if model.get(name)]:
        raise _unfit(folder, f"uses {odd[0]}, which llama.cpp does not have")
    if _steps(raw.get("normalizer")) and [step["type"] for step in _steps(raw["normalizer"])] != ["NFC"]:
        raise _unfit(folder, "changes text before it splits it (a normalizer), which llama.cpp does not do")
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    if not merges:
        raise _unfit(folder, "has no merges, and llama.cpp refuses a file without any")
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": _pre_tokenizer(folder, raw),
        "tokenizer.ggml.merges": merges,
    }


def _pre_tokenizer(folder: Path, raw: dict[str, Any]) -> str:
    """llama.cpp's name for how text is split before merges apply."""
    steps = _steps(raw.get("pre_tokenizer"))
    kinds = [step["type"] for step in steps]
    last = steps[-1] if steps else {}
    if kinds[-1:] != ["ByteLevel"] or last.get("add_prefix_space"):
        raise _unfit(folder, "splits text in a way that has no name in llama.cpp")
    if kinds == ["ByteLevel"] and last.get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and last.get("use_regex", True):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not last.get("use_regex", True):
        expression = steps[0].get("pattern", {}).get("Regex")
        if expression == _QWEN2:
            return "qwen2"
        if expression == _LLAMA3:
            return "llama-bpe" if raw["model"].get("ignore_merges") else "smaug-bpe"
    raise _unfit(folder, "splits text in a way that has no name in llama.cpp")


def _sentencepiece(folder: Path, raw: dict[str, Any], vocab_size: int) -> Metadata:
    """SentencePiece's BPE (Gemma, Llama 2), which llama.cpp merges by a score of the merged token.

    `tokenizer.json` has merges in the order of those scores instead: minus a token's first merge is as good as its own.
    """
    steps = _steps(raw.get("normalizer"))
    replaces = any(s["type"] == "Replace" and s.get("content") == _SPACE for s in steps)
    splits = [step for step in _steps(raw.get("pre_tokenizer")) if step["type"] == "Metaspace"]
    if not (replaces or splits) or {s["type"] for s in steps} - {"Replace", "Prepend"}:
        raise _unfit(folder, "falls back to bytes, but does not write spaces as SentencePiece does")
    prefix = any(s["type"] == "Prepend" for s in steps) or any(s.get("prepend_scheme") != "never" for s in splits)
    scores: dict[str, float] = {}
    for rank, pair in enumerate(raw["model"]["merges"]):
        left, right = pair.split(" ") if isinstance(pair, str) else pair
        scores.setdefault(left + right, -float(rank))
    tokens = _by_id(raw)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.scores": [scores.get(tokens.get(i, ""), _UNSCORED) for i in range(vocab_size)],
        "tokenizer.ggml.add_space_prefix": prefix,
    }


def _tokens(folder: Path, raw: dict[str, Any], vocab_size: int) -> tuple[list[str], list[int]]:
    """The text and the kind of every token, filled up with unused ones to the rows of the embedding."""
    tokens = _by_id(raw)
    added = {token["id"]: token for token in raw.get("added_tokens", [])}
    if max(tokens) >= vocab_size:
        raise _unfit(folder, f"has {max(tokens) + 1} tokens, and the model's embedding {vocab_size} rows")
    return (
        [tokens.get(i, f"[PAD{i}]") for i in range(vocab_size)],
        [_kind(tokens[i], added.get(i), raw["model"]) if i in tokens else _UNUSED for i in range(vocab_size)],
    )


def _kind(token: str, added: dict[str, Any] | None, model: dict[str, Any]) -> int:
    if token == model.get("unk_token") and model.get("byte_fallback"):
        return _UNKNOWN
    if added is not None:
        return _CONTROL if added["special"] else _USER_DEFINED
    is_byte = model.get("byte_fallback") and len(token) == 6 and token.startswith("<0x") and token.endswith(">")
    return _BYTE if is_byte else _NORMAL


def _by_id(raw: dict[str, Any]) -> dict[int, str]:
    tokens = {number: token for token, number in raw["model"]["vocab"].items()}
    return tokens | {token["id"]: token["content"] for token in raw.get("added_tokens", [])}


def _steps(part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, sequences within sequences laid flat."""
    if part is None:
        return []
    inner = part.get("normalizers") or part.get("pretokenizers")
    return [step for each in inner for step in _steps(each)] if part["type"] == "Sequence" and inner else [part]


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["model"]["vocab"]
    except FileNotFoundError:
        raise _unfit(folder, f"has no tokenizer.json, the only form that is read here; {_TOOL}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"model {folder}: tokenizer.json cannot be read ({error}): get the model again") from None
    return raw


def _as_opened(tokenizer: Any) -> dict[str, Any]:
    """What transformers does to a text before it merges, which is what the model was trained with."""
    opened = json.loads(tokenizer.backend_tokenizer.to_str())
    return {name: opened.get(name) for name in ("normalizer", "pre_tokenizer")}


def _unfit(folder: Path, why: str) -> UserError:
    return UserError(f"model {folder}: its tokenizer {why}" + ("" if _TOOL in why else f"; {_TOOL}"))
