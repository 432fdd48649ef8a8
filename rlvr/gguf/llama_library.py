"""llama.cpp itself, as the xllamacpp wheel carries it: its C functions through ctypes, with their signatures.

xllamacpp wraps the server alone, which gives text. What is proven here needs tokens, log-probs over the whole
vocabulary and llama.cpp's quantization, all of which the C interface (`llama.h`) has.

Its structs of parameters grow at their ends from version to version. They are never built here, only taken from the
library's own defaults, into room that is larger than they are; of their fields only the first four of a context are
set, and read back through the library's functions, so that a layout that moved is an error and not a wrong number.
"""

import ctypes
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int8, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from functools import cache
from importlib.util import find_spec
from typing import Any

from rlvr_rewards.errors import UserError


class ModelParams(ctypes.Structure):
    """`llama_model_params`, never looked into."""

    _fields_ = [("unknown", ctypes.c_uint64 * 64)]


class ContextParams(ctypes.Structure):
    """`llama_context_params`: the fields that have stood at its head for years, then whatever follows."""

    _fields_ = [
        ("n_ctx", c_uint32),
        ("n_batch", c_uint32),
        ("n_ubatch", c_uint32),
        ("n_seq_max", c_uint32),
        ("unknown", ctypes.c_uint64 * 62),
    ]


class Batch(ctypes.Structure):
    """`llama_batch`: tokens with their positions, their sequences, and whether their logits are wanted."""

    _fields_ = [
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", c_void_p),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(POINTER(c_int32))),
        ("logits", POINTER(c_int8)),
    ]


_LOG_CALLBACK = ctypes.CFUNCTYPE(None, c_int32, c_char_p, c_void_p)
_ERROR_LEVEL = 4
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [_LOG_CALLBACK, c_void_p]),
    "llama_model_default_params": (ModelParams, []),
    "llama_context_default_params": (ContextParams, []),
    "llama_model_load_from_file": (c_void_p, [c_char_p, ModelParams]),
    "llama_model_free": (None, [c_void_p]),
    "llama_model_n_ctx_train": (c_int32, [c_void_p]),
    "llama_model_meta_val_str": (c_int32, [c_void_p, c_char_p, c_char_p, c_size_t]),
    "llama_model_get_vocab": (c_void_p, [c_void_p]),
    "llama_init_from_model": (c_void_p, [c_void_p, ContextParams]),
    "llama_free": (None, [c_void_p]),
    "llama_set_n_threads": (None, [c_void_p, c_int32, c_int32]),
    "llama_n_ctx_seq": (c_uint32, [c_void_p]),
    "llama_n_batch": (c_uint32, [c_void_p]),
    "llama_n_seq_max": (c_uint32, [c_void_p]),
    "llama_get_memory": (c_void_p, [c_void_p]),
    "llama_memory_clear": (None, [c_void_p, c_bool]),
    "llama_memory_seq_rm": (c_bool, [c_void_p, c_int32, c_int32, c_int32]),
    "llama_memory_seq_cp": (None, [c_void_p, c_int32, c_int32, c_int32, c_int32]),
    "llama_batch_init": (Batch, [c_int32, c_int32, c_int32]),
    "llama_batch_free": (None, [Batch]),
    "llama_decode": (c_int32, [c_void_p, Batch]),
    "llama_get_logits_ith": (POINTER(c_float), [c_void_p, c_int32]),
    "llama_vocab_n_tokens": (c_int32, [c_void_p]),
    "llama_vocab_bos": (c_int32, [c_void_p]),
    "llama_vocab_eos": (c_int32, [c_void_p]),
    "llama_vocab_is_eog": (c_bool, [c_void_p, c_int32]),
    "llama_vocab_get_add_bos": (c_bool, [c_void_p]),
    "llama_vocab_get_text": (c_char_p, [c_void_p, c_int32]),
    "llama_tokenize": (c_int32, [c_void_p, c_char_p, c_int32, POINTER(c_int32), c_int32, c_bool, c_bool]),
    "llama_token_to_piece": (c_int32, [c_void_p, c_int32, c_char_p, c_int32, c_int32, c_bool]),
    "ggml_quantize_chunk": (c_size_t, [c_int32, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p]),
}

last_errors: list[str] = []
"""What llama.cpp complained of since `listen`."""


@_LOG_CALLBACK
def _keep_errors(level: int, text: bytes, _: Any) -> None:
    if level == _ERROR_LEVEL:
        last_errors.append(text.decode("utf-8", "replace").strip())


@cache
def llama_library() -> Any:
    """The loaded library.

    Raises:
        UserError: xllamacpp is not installed, or its library lacks a function.
    """
    require_llama_cpp()
    from importlib import import_module

    library = ctypes.CDLL(import_module("xllamacpp.xllamacpp").__file__)
    for name, (result, arguments) in _SIGNATURES.items():
        if not hasattr(library, name):
            raise UserError(f"this build of xllamacpp does not give {name} away: {install_hint()}")
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.llama_backend_init()
    return library


def listen() -> None:
    """Keeps what llama.cpp complains of from now on, and the rest off the screen; its server takes that over."""
    last_errors.clear()
    llama_library().llama_log_set(_keep_errors, None)


def require_llama_cpp() -> None:
    """Refuses to go on without the xllamacpp wheel.

    Raises:
        UserError: It is missing; the line names the install.
    """
    if find_spec("xllamacpp") is None:
        raise UserError(f"llama.cpp is needed, and xllamacpp is not installed: {install_hint()}")


def install_hint() -> str:
    return "pip install 'rlvr[gguf]' (rlvr doctor says more)"
