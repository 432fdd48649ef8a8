"""One vLLM server over HTTP: what it says of itself, requests to it, and waiting for it with back-off.

Not here: what is asked of it (`vllm_server`), and how weights get to it (`vllm_transfer`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from rlvr.engine.sampling import MAX_ROWS
from rlvr.failure import OutsideError
from rlvr_rewards.errors import UserError

_PROBE_S = 5.0
"""How long a server may take to say that it is alive."""
_LONGEST_PAUSE_S = 15.0


class ServerAwayError(Exception):
    """A server gave no answer, or one that says that it is broken; asking again may help."""


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself.

    Attributes:
        model: The name that requests must call its model by.
        max_length: Tokens of prompt and completion together that it takes.
        takes_files: Whether it takes weights from files (`rlvr.engine.vllm_worker`).
        takes_nccl: Whether it takes weights over NCCL (vLLM's weight transfer).
        logprobs_mode: Of which distribution its log-probs are.
    """

    model: str
    max_length: int
    takes_files: bool
    takes_nccl: bool
    logprobs_mode: str


class Server:
    """A server by its URL.

    Args:
        url: Such as `http://localhost:8000`.
        answer_s: How long it may take for one answer.
        patience_s: How long it may be away before work stops.
        say: Told when it is waited for.
    """

    def __init__(self, url: str, answer_s: float, patience_s: float, say: Callable[[str], None]) -> None:
        self.url, self.answer_s, self.patience_s, self.say = url.rstrip("/"), answer_s, patience_s, say
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=MAX_ROWS))

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What it answers, as JSON.

        Raises:
            ServerAwayError: It cannot be reached, takes longer than `answer_s`, or fails.
            UserError: It refuses what was asked for.
        """
        return self._ask("POST", path, self.answer_s, json=body)

    def info(self) -> ServerInfo:
        """What it says of itself; the first time it lists its machine's packages for it, which takes seconds.

        Raises:
            ServerAwayError: It cannot be reached, takes longer than `patience_s`, or fails.
            UserError: It refuses what was asked for.
        """
        card = self._ask("GET", "/v1/models", self.patience_s)["data"][0]
        config = self._ask("GET", "/server_info", self.patience_s, params={"config_format": "json"})["vllm_config"]
        extension = str(config["parallel_config"]["worker_extension_cls"])
        return ServerInfo(
            model=card["id"],
            max_length=int(card["max_model_len"]),
            takes_files=extension == "rlvr.engine.vllm_worker.WeightsFromFile",
            takes_nccl=config.get("weight_transfer_config") is not None,
            logprobs_mode=str(config["model_config"]["logprobs_mode"]),
        )

    def wait(self) -> None:
        """Returns once it answers: asked at once, then after pauses that double.

        Raises:
            OutsideError: It did not within `patience_s`.
        """
        until, pause, told = time.monotonic() + self.patience_s, 0.5, False
        while True:
            try:
                self._ask("GET", "/health", _PROBE_S, json_wanted=False)
                return
            except ServerAwayError as error:
                left = until - time.monotonic()
                if left <= 0:
                    raise OutsideError(
                        f"the vLLM server at {self.url} is away for {self.patience_s:g} s ({error}): start it again "
                        "(rlvr serve)"
                    ) from None
                if not told:
                    self.say(f"waiting up to {self.patience_s:g} s for the vLLM server at {self.url} ({error})")
                    told = True
            time.sleep(min(pause, left, _LONGEST_PAUSE_S))
            pause *= 2

    def _ask(self, method: str, path: str, timeout_s: float, json_wanted: bool = True, **what: Any) -> Any:
        try:
            answer = self._session.request(method, self.url + path, timeout=timeout_s, **what)
        except requests.Timeout:
            raise ServerAwayError(f"no answer within {timeout_s:g} s") from None
        except requests.RequestException as error:
            raise ServerAwayError(_reason(error)) from None
        if answer.status_code >= 500:
            raise ServerAwayError(f"it answers {answer.status_code}: {_message(answer)}")
        if answer.status_code >= 400:
            raise UserError(f"the vLLM server at {self.url} refuses {path}: {_message(answer)}")
        return answer.json() if json_wanted else None


def _reason(error: requests.RequestException) -> str:
    return "it refuses connections" if "refused" in str(error) else "the connection broke"


def _message(answer: requests.Response) -> str:
    """What vLLM says of an error, in one line of at most 300 characters."""
    try:
        text = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        text = answer.text or answer.reason
    return " ".join(str(text).split())[:300]
