"""A judge of one's own on this machine, for tests and examples: a real HTTP server that answers as a function says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def local_judge(answer: Callable[[str], str]) -> Iterator[str]:
    """The address of a server that answers every question with what `answer` makes of its text.

    >>> from rlvr_rewards import judge_rubric
    >>> with local_judge(lambda question: f"<verdict>{10 * ('please' in question)}</verdict>") as url:
    ...     polite = judge_rubric.using(url=url, rubric="It asks politely.", cache="off")
    ...     polite.score("Salt, please.").reward, polite.score("Salt!").reward
    (1.0, 0.0)
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send({"data": [{"id": "local"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = answer(body["messages"][-1]["content"])
            self._send({"choices": [{"message": {"role": "assistant", "content": said}}]})

        def _send(self, what: dict[str, Any]) -> None:
            raw = json.dumps(what).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
