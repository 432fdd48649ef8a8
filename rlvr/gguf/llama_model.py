"""A GGUF file opened by llama.cpp: its tokens, its template, and the logits of sequences under way.

Shapes: B rows whose logits are wanted, V vocabulary.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.gguf.llama_library import install_hint, last_errors, listen, llama_library
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    import numpy as np

_TOKENS_AT_ONCE = 512
Entry = tuple[int, int, int, bool]
"""One token to decode: its id, its position, its sequence, and whether the logits after it are wanted."""


class LlamaModel:
    """An open file.

    Args:
        path: The GGUF file.

    Raises:
        UserError: llama.cpp is not installed, or cannot open the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.library = llama_library()
        listen()
        found = self.library.llama_model_load_from_file(str(path).encode(), self.library.llama_model_default_params())
        if not found:
            said = "; ".join(last_errors[:2])[:300] or "it gives no reason"
            raise UserError(f"llama.cpp cannot open {path}: {said}")
        self.pointer = ctypes.c_void_p(found)
        self.vocab = ctypes.c_void_p(self.library.llama_model_get_vocab(self.pointer))
        self._pieces: dict[tuple[int, bool], bytes] = {}
        self.num_tokens: int = self.library.llama_vocab_n_tokens(self.vocab)
        self.context_length: int = self.library.llama_model_n_ctx_train(self.pointer)

    def close(self) -> None:
        if self.pointer:
            self.library.llama_model_free(self.pointer)
            self.pointer = ctypes.c_void_p(None)

    @property
    def bos_id(self) -> int:
        """-1 where there is none."""
        return self.library.llama_vocab_bos(self.vocab)

    @property
    def eos_id(self) -> int:
        return self.library.llama_vocab_eos(self.vocab)

    @property
    def adds_bos(self) -> bool:
        """Whether BOS is put before a text."""
        return self.library.llama_vocab_get_add_bos(self.vocab)

    def ends_turn(self, token: int) -> bool:
        """Whether llama.cpp stops there."""
        return self.library.llama_vocab_is_eog(self.vocab, token)

    def text_of(self, token: int) -> str:
        """A token as the vocabulary spells it; empty for none."""
        return self.library.llama_vocab_get_text(self.vocab, token).decode("utf-8", "replace") if token >= 0 else ""

    def metadata(self, key: str) -> str | None:
        """A value of the file's metadata as text; `None` where the file has no such key."""
        size = self.library.llama_model_meta_val_str(self.pointer, key.encode(), None, 0)
        if size < 0:
            return None
        text = ctypes.create_string_buffer(size + 1)
        self.library.llama_model_meta_val_str(self.pointer, key.encode(), text, size + 1)
        return text.value.decode("utf-8", "replace")

    def tokenize(self, text: str, add_special: bool) -> list[int]:
        """The tokens of a text, special ones read as such; with BOS where the file asks for it and `add_special`."""
        raw = text.encode("utf-8", "surrogatepass")
        room = len(raw) + 16
        ids = (ctypes.c_int32 * room)()
        count = self.library.llama_tokenize(self.vocab, raw, len(raw), ids, room, add_special, True)
        assert count >= 0, f"{-count} tokens do not fit where {room} bytes do"
        return list(ids[:count])

    @cached_property
    def end_ids(self) -> list[int]:
        """Every token that llama.cpp stops at."""
        return [token for token in range(self.num_tokens) if self.ends_turn(token)]

    def text(self, token_ids: Sequence[int], special: bool = False) -> str:
        """The text of tokens piece by piece, as llama.cpp's server gives it; special ones left out unless asked for."""
        return b"".join(self._piece(token, special) for token in token_ids).decode("utf-8", "replace")

    def _piece(self, token: int, special: bool) -> bytes:
        if (token, special) not in self._pieces:
            room = ctypes.create_string_buffer(256)
            size = self.library.llama_token_to_piece(self.vocab, token, room, len(room), 0, special)
            if size < 0:
                room = ctypes.create_string_buffer(-size)
                size = self.library.llama_token_to_piece(self.vocab, token, room, len(room), 0, special)
            self._pieces[token, special] = room.raw[:size]
        return self._pieces[token, special]

    def context(self, tokens_each: int, num_sequences: int) -> "LlamaContext":
        """Room for sequences under way; close it after use."""
        return LlamaContext(self, tokens_each, num_sequences)


class LlamaContext:
    """The memory of sequences under way.

    Args:
        model: Whose.
        tokens_each: The longest that one sequence may get.
        num_sequences: As many at once.
    """

    def __init__(self, model: LlamaModel, tokens_each: int, num_sequences: int) -> None:
        self.model, self.library = model, model.library
        params = self.library.llama_context_default_params()
        params.n_ctx, params.n_seq_max = tokens_each * num_sequences, num_sequences
        params.n_batch = params.n_ubatch = self.num_batch = min(_TOKENS_AT_ONCE, tokens_each * num_sequences)
        found = self.library.llama_init_from_model(model.pointer, params)
        if not found:
            raise UserError(f"llama.cpp cannot run {model.path}: {'; '.join(last_errors[-2:]) or 'it gives no reason'}")
        self.pointer = ctypes.c_void_p(found)
        self._refuse_moved_layout(tokens_each, num_sequences)
        threads = _num_threads()
        self.library.llama_set_n_threads(self.pointer, threads, threads)
        self.memory = ctypes.c_void_p(self.library.llama_get_memory(self.pointer))
        self.batch = self.library.llama_batch_init(self.num_batch, 0, 1)

    def close(self) -> None:
        if self.pointer:
            self.library.llama_batch_free(self.batch)
            self.library.llama_free(self.pointer)
            self.pointer = ctypes.c_void_p(None)

    def clear(self) -> None:
        """Forgets all sequences."""
        self.library.llama_memory_clear(self.memory, True)

    def forget(self, sequence: int) -> None:
        """Forgets one sequence."""
        self.library.llama_memory_seq_rm(self.memory, sequence, -1, -1)

    def copy(self, source: int, target: int) -> None:
        """Gives one sequence the tokens of another."""
        self.library.llama_memory_seq_cp(self.memory, source, target, -1, -1)

    def decode(self, entries: Sequence[Entry]) -> "np.ndarray":
        """Adds tokens to sequences, and gives the logits of those that want them, [B, V] float32, in their order.

        Raises:
            RuntimeError: llama.cpp fails; its room was checked before.
        """
        import numpy as np

        found = [self._decode(entries[i : i + self.num_batch]) for i in range(0, len(entries), self.num_batch)]
        return np.concatenate(found) if len(found) != 1 else found[0]

    def _decode(self, entries: Sequence[Entry]) -> "np.ndarray":
        import numpy as np

        batch = self.batch
        batch.n_tokens = len(entries)
        for index, (token, position, sequence, wants_logits) in enumerate(entries):
            batch.token[index], batch.pos[index] = token, position
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, sequence
            batch.logits[index] = wants_logits
        if code := self.library.llama_decode(self.pointer, batch):
            raise RuntimeError(
                f"llama.cpp cannot decode {len(entries)} tokens (code {code}): {'; '.join(last_errors[-2:])}"
            )
        size = self.model.num_tokens
        wanted = [index for index, entry in enumerate(entries) if entry[3]]
        logits_BV = np.empty((len(wanted), size), dtype=np.float32)
        for row, index in enumerate(wanted):
            logits_BV[row] = np.ctypeslib.as_array(self.library.llama_get_logits_ith(self.pointer, index), (size,))
        return logits_BV

    def _refuse_moved_layout(self, tokens_each: int, num_sequences: int) -> None:
        """The parameters were written by position: read back what became of them."""
        read: dict[str, Any] = {
            "n_ctx_seq": (self.library.llama_n_ctx_seq(self.pointer), tokens_each),
            "n_batch": (self.library.llama_n_batch(self.pointer), self.num_batch),
            "n_seq_max": (self.library.llama_n_seq_max(self.pointer), num_sequences),
        }
        for name, (found, asked) in read.items():
            if found < asked or (name == "n_seq_max" and found != asked):
                raise UserError(
                    f"this build of xllamacpp lays {name} elsewhere ({found}, not {asked}): {install_hint()}"
                )


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[LlamaModel]:
    """An open file that is closed at the end of the block."""
    model = LlamaModel(path)
    try:
        yield model
    finally:
        model.close()


def _num_threads() -> int:
    """As many as torch uses, which the run's `threads` sets."""
    import torch

    return torch.get_num_threads() or os.cpu_count() or 1
