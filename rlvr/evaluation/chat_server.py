"""An OpenAI-compatible server (vLLM, llama-server, Ollama, a hosted one): one chat request and what can go wrong.

Written after the API reference of `POST /v1/chat/completions`. Not here: tasks and policies (`server_policy`).
"""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from rlvr.engine.sampling import SamplingParams
from rlvr_envs import Message
from rlvr_envs.seeds import derive_random
from rlvr_rewards.errors import UserError, one_line, unknown_name

if TYPE_CHECKING:
    import httpx

_TRIES = 5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)
_HOPELESS = (401, 403, 404)
_SEED_LIMIT = 2**31
"""Servers take seeds of 32 bits."""


@dataclass(frozen=True)
class Address:
    """Where a server is, and how it is asked.

    Attributes:
        url: Up to and with `/v1`.
        model: Its name there; empty: the first that the server names.
        concurrency: Requests under way at once.
        timeout_s: For one try.
    """

    url: str
    model: str = ""
    concurrency: int = 8
    timeout_s: float = 600.0

    @property
    def label(self) -> str:
        """What it is called in results: its model, or where it is."""
        return re.sub(r"[^\w.-]+", "_", self.model or urlsplit(self.url).netloc)


@dataclass(frozen=True)
class Reply:
    """What came back for one request.

    Attributes:
        text: With the thought in `<think>` tags where the server sends it apart.
        is_cut: Whether the token budget ended it.
        num_tokens: Of the completion; 0 where the server does not say.
        num_prompt_tokens: Likewise.
        failure: Why there is none, after every retry; empty where there is one.
    """

    text: str = ""
    is_cut: bool = False
    num_tokens: int = 0
    num_prompt_tokens: int = 0
    failure: str = ""


def parse_address(text: str) -> Address:
    """An address such as `http://localhost:8080/v1?model=NAME&concurrency=16&timeout_s=60`.

    Raises:
        UserError: An option is unknown, or no number of the right kind.

    >>> parse_address("http://localhost:8080/v1?concurrency=2")
    Address(url='http://localhost:8080/v1', model='', concurrency=2, timeout_s=600.0)
    """
    parts = urlsplit(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known: dict[str, Any] = {"model": str, "concurrency": int, "timeout_s": float}
    for name in options:
        if name not in known:
            raise unknown_name("option of a server's address", name, known)
    try:
        found = {name: known[name](value) for name, value in options.items()}
    except ValueError:
        raise UserError(f"--model {text}: concurrency is a whole number, timeout_s a number of seconds") from None
    if not parts.hostname or found.get("concurrency", 1) < 1 or not found.get("timeout_s", 1) > 0:
        raise UserError(f"--model {text}: write http://HOST:PORT/v1, concurrency at least 1, timeout_s above 0")
    return Address(urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", "")), **found)


class ChatServer:
    """A server that is asked from many threads at once.

    The key, where the server wants one, is the environment variable `OPENAI_API_KEY`.

    Args:
        address: Where it is.
    """

    def __init__(self, address: Address) -> None:
        import httpx

        key = os.environ.get("OPENAI_API_KEY")
        limits = httpx.Limits(max_connections=address.concurrency, max_keepalive_connections=address.concurrency)
        self.address, self.model = address, address.model
        self.client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(address.timeout_s, connect=min(10.0, address.timeout_s)),
            limits=limits,
        )
        self.takes_plain_sampling = True

    def close(self) -> None:
        self.client.close()

    def open(self) -> None:
        """Finds the model's name where none was given.

        Raises:
            UserError: Nobody answers there, or not as such a server does.
        """
        if self.model:
            return
        import httpx

        url = f"{self.address.url}/models"
        try:
            response = self.client.get(url)
            self.model = str(response.raise_for_status().json()["data"][0]["id"])
        except httpx.TransportError as error:
            raise UserError(f"{url}: nobody answers there ({one_line(error)}): is the server up?") from None
        except (httpx.HTTPError, KeyError, IndexError, TypeError, ValueError) as error:
            raise UserError(
                f"{url} does not name a model ({one_line(error)}): is the address right, with /v1? Or add ?model=NAME"
            ) from None

    def ask(self, messages: Sequence[Message], params: SamplingParams, seed: int) -> Reply:
        """One completion, tried again with growing pauses where trying again may help.

        Raises:
            UserError: The server refuses all requests like this one: the key, the model's name or the path is wrong.
        """
        import httpx

        failure, pause_s = "", 0.0
        for attempt in range(_TRIES):
            time.sleep(pause_s)
            pause_s = _pause_s(attempt, seed)
            try:
                response = self._post(messages, params, seed)
            except httpx.HTTPError as error:
                failure = one_line(error)
                continue
            if response.status_code == httpx.codes.OK:
                return _reply(response)
            failure = f"HTTP {response.status_code}: {' '.join(response.text.split())[:200]}"
            if response.status_code in _HOPELESS:
                refused = f"{self.address.url} refuses {self.model!r} ({failure})"
                raise UserError(f"{refused}: check the address, ?model=NAME and OPENAI_API_KEY")
            if response.status_code not in _RETRIED:
                break
            pause_s = _asked_pause_s(response, pause_s)
        return Reply(failure=failure)

    def _post(self, messages: Sequence[Message], params: SamplingParams, seed: int) -> "httpx.Response":
        """One try. Local servers cut the distribution off unless told not to; hosted ones refuse to be told."""
        url = f"{self.address.url}/chat/completions"
        body = {
            "model": self.model,
            "messages": list(messages),
            "max_tokens": params.max_new_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "seed": seed % _SEED_LIMIT,
        }
        plain = {"top_k": params.top_k, "min_p": params.min_p} if self.takes_plain_sampling else {}
        response = self.client.post(url, json=body | plain)
        if plain and response.status_code in (400, 422):
            response = self.client.post(url, json=body)
            self.takes_plain_sampling = response.status_code in (400, 422)  # then it was not that
        return response


def _reply(response: "httpx.Response") -> Reply:
    """What an answer of the server holds; a failure where it is none of a chat server."""
    try:
        answer = response.json()
        choice, usage = answer["choices"][0], answer.get("usage") or {}
        message = choice["message"]
        thought = message.get("reasoning_content") or message.get("reasoning") or ""
        text = message.get("content") or ""
        return Reply(
            text=f"<think>{thought}</think>{text}" if thought else text,
            is_cut=choice.get("finish_reason") == "length",
            num_tokens=int(usage.get("completion_tokens") or 0),
            num_prompt_tokens=int(usage.get("prompt_tokens") or 0),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        return Reply(failure=f"no chat completion came back ({one_line(error)})")


def _pause_s(attempt: int, seed: int) -> float:
    """Doubled each time, and spread by up to a half, so that requests refused together do not come back together."""
    spread = derive_random(seed, purpose="pause", attempt=attempt).uniform(1, 1.5)
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt * spread)


def _asked_pause_s(response: "httpx.Response", otherwise: float) -> float:
    """What the server asks for in `Retry-After`, within reason."""
    asked = response.headers.get("retry-after", "")
    return min(_LONGEST_PAUSE_S, float(asked)) if asked.isdecimal() else otherwise
