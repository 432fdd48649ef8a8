"""One JSON request over HTTP with the standard library: what came back, or why nothing did and whether to ask again.

The key goes into a header and nowhere else; redirects are refused, since they would take it to another host.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from typing import Any

_MOST_BYTES = 10_000_000
_RETRIED = (408, 409, 425, 429)


class NoAnswerError(Exception):
    """Nothing usable came back, and asking again may help.

    Attributes:
        wait_s: How long the server asks to be left alone, in seconds; 0 where it does not say.
    """

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class RefusedError(Exception):
    """The server refuses such a request, now and later.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, why: str, status: int) -> None:
        super().__init__(why)
        self.status = status


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def ask_json(url: str, key: str, timeout_s: float, body: dict[str, Any] | None = None) -> Any:
    """What a server answers, as JSON: to a POST of `body`, or to a GET without one.

    Args:
        url: The whole address.
        key: Sent as a bearer token; empty: none is sent.
        timeout_s: For the whole answer, in seconds.
        body: What is posted.

    Raises:
        NoAnswerError: It cannot be reached, takes too long, is overloaded or broken, or answers no JSON.
        RefusedError: It answers that the request is wrong.
    """
    headers = {"Content-Type": "application/json", "User-Agent": "rlvr"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)
    opener = urllib.request.build_opener(_NoRedirects)
    until = time.monotonic() + timeout_s
    try:
        with opener.open(request, timeout=timeout_s) as response:
            return json.loads(_read(response, until, timeout_s))
    except urllib.error.HTTPError as error:
        raise _of_status(error) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise NoAnswerError(_reason(error, timeout_s)) from None
    except (ValueError, RecursionError):
        raise NoAnswerError("the answer is not JSON") from None


def _read(response: http.client.HTTPResponse, until: float, timeout_s: float) -> bytes:
    """The whole body; a server that sends a byte now and then does not hold a request for ever."""
    found = bytearray()
    while chunk := response.read1(65536):
        found += chunk
        if len(found) > _MOST_BYTES:
            raise NoAnswerError(f"the answer is longer than {_MOST_BYTES} bytes")
        if time.monotonic() > until:
            raise NoAnswerError(f"no whole answer within {timeout_s:g} s")
    if response.length:  # what Content-Length promised and the connection did not bring
        raise NoAnswerError("the connection broke")
    return bytes(found)


def _of_status(error: urllib.error.HTTPError) -> NoAnswerError | RefusedError:
    try:
        said = " ".join(error.read(2000).decode("utf-8", "replace").split())[:200]
    except (OSError, http.client.HTTPException):
        said = ""
    why = f"HTTP {error.code}: {said}" if said else f"HTTP {error.code}"
    if error.code >= 500 or error.code in _RETRIED:
        return NoAnswerError(why, seconds_of(error.headers.get("Retry-After", "")))
    return RefusedError(why, error.code)


def seconds_of(retry_after: str) -> float:
    """What a `Retry-After` header asks for, in seconds: a number, or a date; 0.0 where it is neither.

    >>> seconds_of("7"), seconds_of("soon"), seconds_of("Wed, 21 Oct 2015 07:28:00 GMT")
    (7.0, 0.0, 0.0)
    """
    if retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _reason(error: Exception, timeout_s: float) -> str:
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError) or "timed out" in str(cause):
        return f"no answer within {timeout_s:g} s"
    if isinstance(cause, ConnectionRefusedError):
        return "it refuses connections"
    if isinstance(cause, ConnectionError | http.client.HTTPException):
        return "the connection broke"
    return " ".join(f"{type(cause).__name__}: {cause}".split())[:200]
