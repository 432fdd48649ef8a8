"""A conversation as text: by the template in a GGUF file, and by llama.cpp's own template engine."""

import contextlib
import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rlvr.gguf.llama_library import require_llama_cpp
from rlvr.gguf.llama_model import LlamaModel
from rlvr_envs import Message
from rlvr_rewards.errors import UserError

Render = Callable[[Sequence[Message]], str]


class FileTokenizer:
    """What `rlvr.models.chat` wants of a tokenizer, from the GGUF file alone.

    Args:
        model: The open file.

    Raises:
        UserError: The file has no chat template.
    """

    def __init__(self, model: LlamaModel) -> None:
        self.model = model
        self.template = model.metadata("tokenizer.chat_template")
        if not self.template:
            raise UserError(f"{model.path}: the file has no chat template: export the model again, from its folder")

    @property
    def eos_token_id(self) -> int:
        """The token that ends a turn, as the file says."""
        return self.model.eos_id

    @property
    def all_special_ids(self) -> list[int]:
        """The tokens that end a turn."""
        return self.model.end_ids

    def apply_chat_template(self, messages: Sequence[Message], tokenize: bool = True, **_: Any) -> Any:
        """The tokens of a prompt up to where the assistant's turn begins, or its text."""
        from transformers.utils.chat_template_utils import render_jinja_template

        rendered: Any = render_jinja_template(
            conversations=[list(messages)],
            chat_template=self.template,
            add_generation_prompt=True,
            bos_token=self.model.text_of(self.model.bos_id),
            eos_token=self.model.text_of(self.model.eos_id),
        )
        return self.model.tokenize(rendered[0][0], add_special=True) if tokenize else rendered[0][0]

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The tokens of a text."""
        return self.model.tokenize(text, add_special=add_special_tokens)

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """The text of tokens, by default with special ones left out."""
        return self.model.text(token_ids, special=not skip_special_tokens)


@contextlib.contextmanager
def llama_cpp_renderer(path: Path) -> Iterator[Render]:
    """How llama.cpp's server renders a conversation with the file at `path`, the assistant's turn opened at its end."""
    require_llama_cpp()
    from importlib import import_module

    xllamacpp: Any = import_module("xllamacpp")  # compiled, without stubs
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.port = str(path), 256, 1, 0
    params.warmup, params.verbosity, params.use_jinja, params.fit_params = False, -1, True, False
    server = xllamacpp.Server(params)
    _wait_until_it_listens(server.listening_address)  # one that is dropped before it does waits for itself for ever

    def render(messages: Sequence[Message]) -> str:
        request = urllib.request.Request(
            f"{server.listening_address}/apply-template",
            data=json.dumps({"messages": list(messages)}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["prompt"]

    yield render


def _wait_until_it_listens(address: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
            return
        time.sleep(0.02)
