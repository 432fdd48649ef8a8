"""An OpenAI-compatible endpoint (vLLM, llama-server, Ollama, a hosted one): one chat request until it is answered.

Written after the API reference of `POST /v1/chat/completions`. Temperature 0 and a fixed seed are asked for; that a
server then repeats itself is its promise, not ours, which is one reason for the cache. Servers that refuse structured
output, or to be told a seed or a temperature, are asked without.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

from rlvr_rewards.errors import UserError
from rlvr_rewards.judge.cache import Reply
from rlvr_rewards.judge.errors import JudgeError
from rlvr_rewards.judge.web import NoAnswerError, RefusedError, ask_json

_TRIES = 6
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
_CHARACTERS_A_TOKEN = 4
_REFUSES_AN_OPTION = (400, 422)
_REFUSES_US = (401, 403, 404)

STRUCTURED, TAGGED, PLAIN = range(3)
"""What a request asks for: a JSON schema, seed and temperature; the latter two alone; neither."""

Message = dict[str, str]


@dataclass
class Endpoint:
    """Where a judge is, and how it is asked; from many threads at once.

    Attributes:
        url: Up to and with `/v1`.
        model: Its name there; empty: the first that the server names.
        key_env: The environment variable that holds the key.
        timeout_s: For one try.
        concurrency: Requests under way at once.
        reply_tokens: Tokens of a reply at most.
        level: The most that the server was found to take: `STRUCTURED`, `TAGGED` or `PLAIN`.
    """

    url: str
    model: str = ""
    key_env: str = "OPENAI_API_KEY"
    timeout_s: float = 60.0
    concurrency: int = 16
    reply_tokens: int = 1024
    level: int = STRUCTURED
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.url = checked_url(self.url)
        if self.concurrency < 1 or self.timeout_s <= 0 or self.reply_tokens < 1:
            raise UserError("a judge's concurrency and reply_tokens are at least 1, its timeout_s is above 0")
        self._slots = threading.BoundedSemaphore(self.concurrency)

    def name(self) -> str:
        """The model's name, asked of the server where none was given.

        Raises:
            JudgeError: Nobody answers there, or not as such a server does.
        """
        if self.model:
            return self.model
        with self._lock:
            if not self.model:
                answer = self._until_answered("/models", lambda: None, lambda: None)
                try:
                    self.model = str(answer["data"][0]["id"])
                except (KeyError, IndexError, TypeError):
                    raise JudgeError(f"{self.url}/models names no model: is the address right? Or set model") from None
        return self.model

    def ask(
        self,
        messages: Callable[[bool], Sequence[Message]],
        schema: dict[str, Any],
        seed: int,
        reserve: Callable[[], None],
        release: Callable[[], None],
    ) -> Reply:
        """One reply.

        Args:
            messages: The question, for a reply as JSON (`True`) or in tags.
            schema: Of a reply as JSON.
            seed: Asked for where the server takes one.
            reserve: Called before each try; what it raises ends the asking.
            release: Called after each try that was not answered.

        Raises:
            JudgeError: There is none after every try, or the server refuses.
        """
        while True:
            level = self.level
            body = self._body(messages(level == STRUCTURED), schema, seed, level)
            try:
                return _reply(self._until_answered("/chat/completions", reserve, release, body), body)
            except RefusedError as error:
                if level == PLAIN or error.status not in _REFUSES_AN_OPTION:
                    raise self._refused(error) from None
                self._lower(level)

    def _lower(self, level: int) -> None:
        with self._lock:
            self.level = max(self.level, level + 1)

    def _body(self, messages: Sequence[Message], schema: dict[str, Any], seed: int, level: int) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.name(), "messages": list(messages), "max_tokens": self.reply_tokens}
        if level < PLAIN:
            body |= {"temperature": 0, "seed": seed}
        if level == STRUCTURED:
            named = {"name": "verdict", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def _until_answered(
        self, path: str, reserve: Callable[[], None], release: Callable[[], None], body: dict[str, Any] | None = None
    ) -> Any:
        """An answer, tried again with pauses that double, or as long as the server asks for.

        Raises:
            JudgeError: None came.
            RefusedError: The server refuses one of the request's options.
        """
        failure = ""
        for attempt in range(_TRIES):
            reserve()
            try:
                with self._slots:
                    return self._checked(ask_json(self.url + path, self._key(), self.timeout_s, body), body)
            except NoAnswerError as error:
                release()
                failure = str(error)
                if attempt + 1 < _TRIES:
                    time.sleep(min(_LONGEST_PAUSE_S, error.wait_s or self._pause_s(attempt, str(body))))
            except RefusedError as error:
                release()
                if body is None or error.status in _REFUSES_US:
                    raise self._refused(error) from None
                raise
        raise JudgeError(f"{self.url}: no answer after {_TRIES} tries, the last: {failure}")

    @staticmethod
    def _checked(answer: Any, body: dict[str, Any] | None) -> Any:
        """An answer to a chat request that holds a message; overloaded servers also send others."""
        if body is not None:
            try:
                answer["choices"][0]["message"]["content"]
            except (KeyError, IndexError, TypeError):
                raise NoAnswerError("no chat completion came back") from None
        return answer

    def _key(self) -> str:
        return os.environ.get(self.key_env, "").strip()

    def _refused(self, error: RefusedError) -> JudgeError:
        hint = f"check url, model and the key in ${self.key_env}" if error.status in _REFUSES_US else "check its log"
        return JudgeError(f"{self.url} refuses {self.model or 'to name a model'} ({error}): {hint}")

    @staticmethod
    def _pause_s(attempt: int, what: str) -> float:
        """Doubled each time and spread by up to a half, so that requests refused together do not come back together."""
        spread = blake2b(f"{attempt}{what}".encode("utf-8", "surrogatepass"), digest_size=2).digest()
        return _FIRST_PAUSE_S * 2**attempt * (1 + int.from_bytes(spread, "big") / 131_072)


def _reply(answer: Any, body: dict[str, Any]) -> Reply:
    """What an answer holds; tokens are estimated where the server does not count them."""
    message, usage = answer["choices"][0]["message"], answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    text = str(message["content"] or "")
    asked = sum(len(each["content"]) for each in body["messages"])
    return Reply(text, _tokens(usage.get("prompt_tokens"), asked), _tokens(usage.get("completion_tokens"), len(text)))


def _tokens(counted: Any, num_characters: int) -> int:
    is_count = isinstance(counted, int) and counted >= 0
    return counted if is_count else -(-num_characters // _CHARACTERS_A_TOKEN)


def checked_url(url: str) -> str:
    """An address without a slash at its end.

    Raises:
        UserError: It is none of an HTTP server, or holds a password or key, which would end up in configs and traces.

    >>> checked_url("http://localhost:8000/v1/")
    'http://localhost:8000/v1'
    """
    parts = urlsplit(url)
    if not re.fullmatch(r"https?", parts.scheme) or not parts.hostname:
        raise UserError(f"judge: url={url!r} is no address: write http://HOST:PORT/v1")
    if parts.username or parts.password or parts.query:
        raise UserError(
            "judge: a url holds no user, password or query: the key goes into the variable that key_env names"
        )
    return url.rstrip("/")
