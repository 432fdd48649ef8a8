"""A server that is busy with something else when it is asked what it is: slow, or broken for a moment."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rlvr.engine.samplers import alone
from rlvr.engine.sampling import Request, SamplingParams
from rlvr.engine.vllm_server import ServerSampler
from rlvr.failure import OutsideError


class Busy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path.startswith("/health"):
            self.send_response(200)  # alive
        else:
            time.sleep(self.server.late_s)
            self.send_response(503, "Busy")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def busy():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    server.late_s, server.asked = 0.0, []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("late_s", "problem"), [(0.0, "it answers 503: Busy"), (0.5, "no answer within 0.2 s")])
def test_a_busy_server_is_asked_again_what_it_is_and_then_work_stops(busy, tiny_model, late_s, problem):
    busy.late_s = late_s
    url = f"http://127.0.0.1:{busy.server_port}"
    said, times = [], {"answer_s": 600.0, "patience_s": 0.2}
    sampler = ServerSampler([url], [1], **times, group_port=51216, by_first=alone, say=said.append)
    with pytest.raises(OutsideError, match=f"does not say what it is .{problem}.: look at its log"):
        sampler.holding(tiny_model).sample([Request([3, 4], [1])], SamplingParams(4))
    assert busy.asked.count("/v1/models") == 3
    assert said == [f"the vLLM server at {url} did not answer ({problem}): asking again"] * 3
