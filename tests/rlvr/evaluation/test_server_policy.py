"""`rlvr eval --model http://…`: a real server of llama.cpp, and one that fails on purpose."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("trl")

from rlvr.cli import main
from rlvr.engine.sampling import SamplingParams
from rlvr.evaluation import chat_server
from rlvr.evaluation.chat_server import parse_address
from rlvr.evaluation.server_policy import ServerPolicy
from rlvr.failure import WorkError
from rlvr_envs import make
from rlvr_rewards import UserError

ENV = "arithmetic?largest=9"


class Scripted(BaseHTTPRequestHandler):
    """Answers with what `script` says: called with the number of the request, it gives a status and a body."""

    def do_GET(self):
        self.answer(200, {"data": [{"id": "fake"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            number = len(self.server.bodies)
            self.server.under_way += 1
            self.server.most = max(self.server.most, self.server.under_way)
        status, answer = self.server.script(number, body)
        with self.server.lock:
            self.server.under_way -= 1
        self.answer(status, answer)

    def answer(self, status, body):
        raw = json.dumps(body).encode() if not isinstance(body, bytes) else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args):
        pass


@pytest.fixture
def serve(monkeypatch):
    """Starts a server with a script, and gives it with its address; retries come at once."""
    monkeypatch.setattr(chat_server, "_FIRST_PAUSE_S", 0.001)
    servers = []

    def start(script):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
        server.lock, server.bodies, server.script = threading.Lock(), [], script
        server.under_way = server.most = 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server, f"http://127.0.0.1:{server.server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def said(text, reason="stop", **message):
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": reason}
    return 200, {"choices": [choice], "usage": {"completion_tokens": 7, "prompt_tokens": 11}}


def asked(address, num_tasks=4, num_samples=1):
    env = make(ENV)
    tasks = [row for row, _ in zip(env.rows("test", 0), range(num_tasks), strict=False)]
    policy = ServerPolicy(address, env, SamplingParams(5, temperature=0.5), "test", 0)
    try:
        policy.check(tasks)
        return policy.answer(tasks, num_samples)
    finally:
        policy.close()


def test_every_sample_is_asked_for_by_itself_with_its_seed(serve):
    server, address = serve(lambda number, body: said("hi"))
    groups = asked(address, num_tasks=3, num_samples=2)
    assert [[answer.text for answer in group] for group in groups] == [["hi", "hi"]] * 3
    assert groups[0][0].num_tokens == 7
    assert len({body["seed"] for body in server.bodies}) == 6
    body = server.bodies[0]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("fake", 5, 0.5)
    assert (body["top_k"], body["min_p"], body["top_p"]) == (0, 0.0, 1.0)


def test_what_passes_is_tried_again(serve):
    server, address = serve(lambda number, body: said("hi") if number > 3 else (503, {"error": "loading"}))
    (group,) = asked(address + "?concurrency=1", num_tasks=1)
    assert (group[0].text, group[0].failure) == ("hi", "")
    assert len(server.bodies) == 4


def test_a_hosted_server_that_refuses_sampling_options_is_asked_without(serve):
    script = lambda number, body: (400, {"error": "unknown top_k"}) if "top_k" in body else said("hi")  # noqa: E731
    server, address = serve(script)
    groups = asked(address + "?concurrency=1", num_tasks=3)
    assert all(group[0].text == "hi" for group in groups)
    assert sum("top_k" in body for body in server.bodies) == 1


def test_no_more_requests_are_under_way_than_asked_for(serve):
    import time

    def slow(number, body):
        time.sleep(0.02)
        return said("hi")

    server, address = serve(slow)
    asked(address + "?concurrency=3", num_tasks=12)
    assert server.most <= 3


def test_a_thought_that_comes_apart_is_put_back(serve):
    _, address = serve(lambda number, body: said("4", reasoning_content="2 + 2"))
    assert asked(address, num_tasks=1)[0][0].text == "<think>2 + 2</think>4"


@pytest.mark.parametrize("answer", [(200, b"<html>"), (200, {"choices": []}), (500, {}), (400, {"error": "too long"})])
def test_failures_are_counted_and_the_rest_is_measured(serve, answer, tmp_path, capsys):
    def script(number, body):
        if body["seed"] % 3 == 0:
            return answer
        question = body["messages"][-1]["content"].removesuffix("=?")
        sign = "+" if "+" in question else "-"
        left, right = map(int, question.split(sign))
        result = left + right if sign == "+" else left - right
        return said(make(ENV).gold({"question": question, "answer": str(result)}))

    _, address = serve(script)
    out = tmp_path / "out.json"
    command = ["eval", "--model", address, "--env", ENV, "--n", "12", "--max-new-tokens", "9", "--json", str(out)]
    assert main(command) == 0
    found = {row["metric"]: row for row in json.loads(out.read_text())}
    assert 0 < found["errors"]["mean"] < 1
    assert found["success"]["mean"] == pytest.approx(1 - found["errors"]["mean"])
    assert found["success"]["stage"] == "127.0.0.1_" + address.split(":")[2].split("/")[0]
    assert "something failed" in capsys.readouterr().out


def test_a_server_that_never_answers_is_failed_work(serve):
    _, address = serve(lambda number, body: (500, {"error": "out of memory"}))
    with pytest.raises(WorkError, match="all of 2 requests failed, the last: HTTP 500"):
        asked(address, num_tasks=2)


def test_a_wrong_key_is_said_at_once(serve):
    server, address = serve(lambda number, body: (401, {"error": "no key"}))
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        asked(address + "?concurrency=1", num_tasks=2)
    assert len(server.bodies) <= 2  # a task each, never tried again


def test_nobody_there_and_bad_addresses_are_one_line():
    with pytest.raises(UserError, match="nobody answers there"):
        asked("http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match="did you mean 'concurrency'"):
        parse_address("http://h/v1?concurency=3")
    with pytest.raises(UserError, match="whole number"):
        parse_address("http://h/v1?concurrency=many")


def test_a_real_server_of_llama_cpp(tmp_path):
    """Greedy, through its own template and sampler: the completions that the model itself gives."""
    xllamacpp = pytest.importorskip("xllamacpp")
    from rlvr.config.schema import ScratchConfig
    from rlvr.models.scratch import make_scratch_model

    shape = ScratchConfig(hidden_size=64, intermediate_size=96, num_layers=2, num_heads=2, num_kv_heads=2)
    make_scratch_model(tmp_path / "tiny", shape, make(ENV), seed=0)
    options = ["--types", "F32", "--no-verify", "--to", str(tmp_path)]
    assert main(["export", str(tmp_path / "tiny"), *options]) == 0
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = str(tmp_path / "tiny-F32.gguf"), 1024, 2
    params.port, params.warmup, params.verbosity = 0, False, -1
    server = xllamacpp.Server(params)

    def measured(model, name):
        out = tmp_path / name
        options = ["--env", ENV, "--n", "5", "--temperature", "0", "--max-new-tokens", "6", "--json", str(out)]
        assert main(["eval", "--model", model, *options]) == 0
        return {row["metric"]: row["mean"] for row in json.loads(out.read_text())}

    of_server = measured(f"{server.listening_address}/v1?concurrency=2", "server.json")
    of_file = measured(str(tmp_path / "tiny-F32.gguf"), "file.json")
    assert of_server == of_file


def test_an_episode_is_asked_for_turn_by_turn(serve):
    env = make("guess?largest=15&guesses=4")
    task = {"high": 15, "number": 12}

    def halving(number, body):
        told = [message["content"] for message in body["messages"][1:] if message["role"] == "user"]
        low, high = 1, 15
        for reply in told:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if reply == "higher" else (low, middle - 1)
        return said(f"<guess>{(low + high) // 2}</guess>")

    server, address = serve(halving)
    policy = ServerPolicy(f"{address}?concurrency=1", env, SamplingParams(20), "test", 0)
    ((answer,),) = policy.answer([task], 1)
    assert list(answer.turns) == env.gold(task) and env.success(task, answer.turns)
    assert [len(body["messages"]) for body in server.bodies] == [1, 3]
    assert server.bodies[0]["seed"] != server.bodies[1]["seed"]
    assert (answer.counted_tokens, answer.num_prompt_tokens) == (14, 11)


def test_a_server_that_fails_within_an_episode_is_an_error_of_it(serve):
    _, address = serve(lambda _, body: said("<guess>1</guess>") if len(body["messages"]) == 1 else (400, {}))
    policy = ServerPolicy(f"{address}?concurrency=1", make("guess?largest=15&guesses=4"), SamplingParams(20), "test", 0)
    (found,), (failed,) = policy.answer([{"high": 15, "number": 1}, {"high": 15, "number": 12}], 1)
    assert (found.failure, len(found.turns)) == ("", 1)
    assert failed.failure.startswith("HTTP 400") and len(failed.turns) == 2
