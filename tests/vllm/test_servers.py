"""Real vLLM servers, as `rlvr serve` starts them: sampled from, and killed in the middle of a step."""

import json
import subprocess
import sys
import tempfile
import threading

import pytest
import requests
import torch

from rlvr.engine.samplers import alone
from rlvr.engine.sampling import Request, SamplingParams
from rlvr.engine.vllm_guard import sampler_gap
from rlvr.engine.vllm_server import ServerSampler
from rlvr.failure import OutsideError
from rlvr_rewards import UserError
from tests.vllm.serving import Serving

PARAMS = SamplingParams(max_new_tokens=24)
REQUESTS = [Request([5, 6, 7, 8 + group], [100 * group + sample for sample in range(8)]) for group in range(6)]
CONFIG = """
threads = 1
[model]
path = "MODEL"
[env]
name = "scheduling"
tier = "compact"
[reward]
expression = "'FOLDER/deadly.py:digits'"
[[stage]]
kind = "grpo"
steps = 4
prompts_per_step = 4
group_size = 8
max_new_tokens = 40
sampler = "vllm-server"
servers = ["URL"]
[stage.trl]
vllm_server_timeout = 2
"""
DEADLY = '''
import subprocess, sys
from pathlib import Path
from rlvr_rewards import reward

FOLDER = Path(__file__).parent

@reward
def digits(completion: str) -> float:
    """The share of digits; after two steps it sets the killer on the server that `victim` names, if it names one."""
    if completion.endswith("</schedule>"):
        return 1.0
    calls = FOLDER / "calls"
    calls.write_text(calls.read_text() + "." if calls.exists() else ".")
    victim = FOLDER / "victim"
    if len(calls.read_text()) > 32 and victim.exists():
        subprocess.Popen([sys.executable, FOLDER / "killer.py", *victim.read_text().split(), FOLDER / "killed"])
        victim.unlink()
    return sum(letter.isdigit() for letter in completion) / max(1, len(completion))
'''
KILLER = """
import os, re, signal, sys, time, urllib.request

url, process, mark = sys.argv[1:]
until = time.time() + 100
urllib.request.urlopen(url + "/metrics")
print("watching", flush=True)
while time.time() < until:
    said = urllib.request.urlopen(url + "/metrics").read().decode()
    running = re.search(r"^vllm:num_requests_running\\{.*\\} ([0-9.]+)", said, re.MULTILINE)
    if float(running[1]) > 0:
        os.killpg(int(process), signal.SIGKILL)
        open(mark, "w").write(running[1])
        sys.exit()
    time.sleep(0.002)
sys.exit("it never answered anything")
"""
"""Kills a server while it answers."""


@pytest.fixture(scope="module")
def servers(model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("servers")
    started = [Serving(model_folder, folder / f"{number}.log") for number in range(2)]
    try:
        for server in started:
            server.wait()
        yield started
    finally:
        for server in started:
            server.kill()


def sampler_of(servers, tokenizer, patience_s=5.0, answer_s=120.0, said=None):
    urls, say = [server.url for server in servers], (said if said is not None else []).append
    return ServerSampler(
        urls,
        [tokenizer.eos_token_id],
        answer_s=answer_s,
        patience_s=patience_s,
        group_port=51216,
        by_first=alone,
        say=say,
    )


def tokens(groups):
    return [[completion.token_ids for completion in group] for group in groups]


def test_two_servers_sample_from_the_models_weights_as_one_does(servers, model, tokenizer):
    one, two = sampler_of(servers[:1], tokenizer), sampler_of(servers, tokenizer)
    first = one.holding(model).sample(REQUESTS, PARAMS)
    assert one.metrics["sampler_gap"] < 1e-4
    assert tokens(two.holding(model).sample(REQUESTS, PARAMS)) == tokens(first)
    assert all(len({tuple(ids) for ids in group}) == 8 for group in tokens(first))
    with torch.no_grad():
        model.lm_head.weight.mul_(1.5)
    assert tokens(two.holding(model).sample(REQUESTS, PARAMS)) != tokens(first)
    assert two.metrics["sampler_gap"] < 1e-4
    one.close()
    two.close()


def test_stop_strings_and_the_fewest_tokens_mean_the_same_here(servers, model, tokenizer):
    from rlvr.engine.torch_sampler import TorchSampler

    greedy = SamplingParams(48, temperature=0, stop=("1", "<answer>"), min_new_tokens=10)
    here = TorchSampler(model, [tokenizer.eos_token_id], tokenizer.pad_token_id, tokenizer=tokenizer)
    there = sampler_of(servers, tokenizer)
    assert tokens(there.holding(model).sample(REQUESTS, greedy)) == tokens(here.sample(REQUESTS, greedy))
    there.close()


def test_a_prompt_longer_than_the_servers_context_is_one_line(servers, model, tokenizer):
    with pytest.raises(UserError, match="a prompt of 250 tokens and max_new_tokens 24 do not fit into the 256 tokens"):
        sampler_of(servers, tokenizer).holding(model).sample([Request([5] * 250, [1])], PARAMS)


def test_another_model_than_the_server_holds_is_one_line(servers, tokenizer):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    other = Qwen3ForCausalLM(Qwen3Config(vocab_size=320, hidden_size=32, num_hidden_layers=1, num_attention_heads=2))
    with pytest.raises(UserError, match=r"does not take the model's weights .*: serve the model that is trained"):
        sampler_of(servers, tokenizer).holding(other).sample(REQUESTS, PARAMS)


def test_a_server_that_is_too_slow_is_asked_again_and_then_work_stops(servers, model, tokenizer):
    said = []
    slow = sampler_of(servers[:1], tokenizer, said=said)
    slow.holding(model).sample(REQUESTS, PARAMS)
    slow.servers[0].answer_s = 0.05
    with pytest.raises(OutsideError, match=r"fails again and again|does not take the weights"):
        slow.sample(REQUESTS, SamplingParams(200))
    assert any("no answer within 0.05 s" in line for line in said)
    slow.close()


def test_a_server_that_dies_while_it_answers_and_comes_back_is_asked_again(
    servers, model, tokenizer, model_folder, tmp_path
):
    long, said = SamplingParams(200), []
    sampler = sampler_of(servers[:1], tokenizer, patience_s=120.0, said=said).holding(model)
    undisturbed = tokens(sampler.sample(REQUESTS, long))
    (tmp_path / "killer.py").write_text(KILLER)
    killer = [sys.executable, tmp_path / "killer.py", servers[0].url, str(servers[0].process.pid), tmp_path / "killed"]

    watching = subprocess.Popen(killer, stdout=subprocess.PIPE)
    watching.stdout.readline()  # a process that starts beside busy servers may get no core until they are done

    def kill_and_start_again():
        assert watching.wait() == 0
        servers[0].process.wait()
        servers[0] = Serving(model_folder, tmp_path / "again.log", servers[0].port)

    thread = threading.Thread(target=kill_and_start_again)
    thread.start()
    found = tokens(sampler.sample(REQUESTS, long))
    thread.join()
    assert float((tmp_path / "killed").read_text()) > 0
    assert found == undisturbed
    assert any("did not answer (" in line and line.endswith("asking again") for line in said), said
    assert sampler_gap(model, REQUESTS, sampler.sample(REQUESTS, PARAMS), PARAMS) < 1e-4
    sampler.close()


def test_weights_lie_on_the_disk_no_longer_than_servers_read_them(servers, model, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sampler = sampler_of(servers, tokenizer)
    sampler.holding(model).sample(REQUESTS, PARAMS)
    assert not list(tmp_path.rglob("*.safetensors"))
    sampler.close()
    assert not list(tmp_path.iterdir())


def test_a_server_that_dies_in_a_run_leaves_a_checkpoint_that_another_goes_on_from(servers, model_folder, tmp_path):
    (tmp_path / "deadly.py").write_text(DEADLY)
    (tmp_path / "killer.py").write_text(KILLER)
    (tmp_path / "victim").write_text(f"{servers[0].url} {servers[0].process.pid}")
    text = CONFIG.replace("MODEL", str(model_folder)).replace("FOLDER", str(tmp_path))
    (tmp_path / "run.toml").write_text(text.replace("URL", servers[0].url))
    command = [sys.executable, "-m", "rlvr", "run", str(tmp_path / "run.toml"), "--run-dir", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    said = " ".join(done.stderr.split())
    assert done.returncode == 1, done.stdout + done.stderr
    assert float((tmp_path / "killed").read_text()) > 0, "it was killed between two requests"
    assert "did not answer (the connection broke): asking again" in " ".join(done.stdout.split())
    assert f"the vLLM server at {servers[0].url} is away for 2 s" in said
    assert "a checkpoint of step 2 is saved, and the same command goes on" in said
    assert "Traceback" not in said
    again = [*command, "--set", f'stage.grpo.servers=["{servers[1].url}"]']
    done = subprocess.run(again, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "resuming from step 2 of 4" in done.stdout
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(line["sampler_gap"] < 1e-4 for line in lines)


def test_a_server_that_is_not_there_is_one_line_after_the_wait(model, tokenizer):
    class Nobody:
        url = "http://127.0.0.1:9"

    said = []
    with pytest.raises(OutsideError, match=r"http://127.0.0.1:9 is away for 1 s \(it refuses connections\): start it"):
        sampler_of([Nobody], tokenizer, patience_s=1.0, said=said).holding(model).sample(REQUESTS, PARAMS)
    assert any("waiting up to 1 s" in line for line in said)


def serve(*arguments):
    command = [sys.executable, "-m", "rlvr", "serve", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_port_in_use_is_one_line(servers, model_folder):
    code, said = serve(model_folder, "--port", servers[1].port)
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{servers[1].port}" in said
    assert "choose another --port" in said and "Traceback" not in said


def test_a_length_above_the_context_is_one_line(model_folder):
    code, said = serve(model_folder, "--port", "8799", "--max-length", 300)
    assert code == 2
    assert "--max-length 300 is above the 256 tokens of the model's context" in said


def test_a_model_that_vllm_cannot_load_is_one_line_of_the_server(tmp_path):
    from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

    odd = OpenAIGPTConfig(vocab_size=64, n_positions=256, n_embd=32, n_layer=1, n_head=2)
    OpenAIGPTLMHeadModel(odd).save_pretrained(tmp_path)
    code, said = serve(tmp_path, "--port", "8799")
    assert code == 2
    assert f"vLLM cannot load model {tmp_path}" in said and "Traceback" not in said


def test_a_server_of_a_model_with_a_long_context_starts(tmp_path):
    from transformers import Qwen3Config

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Qwen3Config(
        vocab_size=64, head_dim=32, num_key_value_heads=2, max_position_embeddings=40_960, **sizes,
        architectures=["Qwen3ForCausalLM"],
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    server = Serving(tmp_path, tmp_path / "log")
    try:
        card = requests.get(server.wait().url + "/v1/models", timeout=10).json()["data"][0]
    finally:
        server.kill()
    assert card["max_model_len"] == 4096
