"""A vLLM server, as `rlvr serve` starts it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests


class Serving:
    """A server of its own process group."""

    def __init__(self, model: Path, log: Path, port: int | None = None) -> None:
        if port is None:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
        self.url, self.log, self.port = f"http://127.0.0.1:{port}", log, port
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rlvr", "serve", str(model), "--port", str(port), "--max-rows", "64"],
            stdout=log.open("w"), stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def wait(self) -> "Serving":
        until = time.time() + 240
        while time.time() < until and self.process.poll() is None:
            try:
                if requests.get(self.url + "/health", timeout=5).ok:
                    return self
            except requests.RequestException:
                time.sleep(1)
        raise AssertionError(self.log.read_text()[-3000:])

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
