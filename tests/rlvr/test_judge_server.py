"""The judge over a real server of llama.cpp: a schema that it is held to, and a training step that is paid by it."""

import json

import pytest

pytest.importorskip("trl", reason="needs the train extra")
pytest.importorskip("xllamacpp", reason="needs the gguf extra")

import xllamacpp

from rlvr.cli import main
from rlvr.config.schema import ScratchConfig
from rlvr.models.scratch import make_scratch_model
from rlvr.traces.store import read_shard
from rlvr_envs import make
from rlvr_rewards import judge_preference, judge_rubric
from rlvr_rewards.judge import report

SHAPE = ScratchConfig(
    hidden_size=64, intermediate_size=96, num_layers=2, num_heads=2, num_kv_heads=2, context_length=4096
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A model of random weights: whatever it says, llama.cpp holds it to the schema."""
    folder = tmp_path_factory.mktemp("judge")
    make_scratch_model(folder / "tiny", SHAPE, make("arithmetic"), seed=0)
    assert main(["export", str(folder / "tiny"), "--types", "F32", "--no-verify", "--to", str(folder)]) == 0
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = str(folder / "tiny-F32.gguf"), 8192, 2
    params.port, params.warmup, params.verbosity = 0, False, -1
    return xllamacpp.Server(params)


@pytest.fixture
def url(server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"{server.listening_address}/v1"


def test_verdicts_of_every_form_come_back_as_json_and_again_from_the_cache(url):
    grade = judge_rubric.using(url=url, explained=False, concurrency=2)
    met = grade.using(items={"is right": 3.0, "is brief": 1.0})
    better = judge_preference.using(url=url, explained=False, concurrency=2)
    texts, columns = ["It is 7.", "It is 8."], {"answer": ["7", "7"], "prompt": ["3+4=?", "3+4=?"]}
    for reward, values in ((grade, {n / 10 for n in range(11)}), (met, {0, 0.25, 0.75, 1}), (better, {0, 0.5, 1})):
        scores = reward.score_batch(texts, columns)
        assert not any(score.errors for score in scores)
        assert {score.reward for score in scores} <= values
        assert reward.score_batch(texts, columns) == scores
    (account,) = [each for each in report() if each["url"] == url]
    assert (account["calls"], account["cached"], account["unread"]) == (8, 8, 0)
    assert account["tokens_in"] > 1000


CONFIG = """
[env]
name = "arithmetic"
[reward]
expression = "correct + 0.5*judge_rubric(url='URL', explained=False, concurrency=2).named('judged')"
[[stage]]
kind = "grpo"
steps = 1
prompts_per_step = 2
group_size = 2
max_new_tokens = 4
"""


@pytest.mark.slow
def test_a_training_step_is_paid_by_it(url, tmp_path, tiny_model):
    (tmp_path / "run.toml").write_text(tiny_model + CONFIG.replace("URL", url))
    assert main(["run", str(tmp_path / "run.toml"), "--run-dir", str(tmp_path / "run")]) == 0
    (shard,) = (tmp_path / "run/traces").glob("grpo.train.*.parquet")
    rows = read_shard(shard).to_pylist()
    assert len(rows) == 4
    assert not any(row["errors"] for row in rows)
    assert all(dict(row["parts"])["judged"] in {n / 10 for n in range(11)} for row in rows)
    (line,) = map(json.loads, (tmp_path / "run/metrics.jsonl").read_text().splitlines())
    assert 0 <= line["parts/judged"] <= 1
    assert line["judge/tokens"] > 0 and line["judge/cached"] == 0
