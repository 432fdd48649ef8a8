"""`rlvr eval` with a real tiny model, from the command line to its rows."""

import json

import pytest

pytest.importorskip("trl")

from rlvr.cli import main
from rlvr.config.schema import ModelConfig, ScratchConfig
from rlvr.engine.sampling import SamplingParams
from rlvr.evaluation.evaluate import held_out_tasks
from rlvr.evaluation.policy import load_policy
from rlvr.models.scratch import make_scratch_model
from rlvr.traces.store import read_shard, shards
from rlvr.traces.summary import row_dicts
from rlvr_envs import make
from rlvr_rewards import UserError

ENV = make("arithmetic?largest=9")
TIMES = ("time", "sample_s", "reward_s")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    shape = ScratchConfig(hidden_size=32, intermediate_size=32, num_layers=1, num_heads=2, num_kv_heads=2)
    make_scratch_model(folder, shape, ENV, seed=0)
    return str(folder)


def evaluated(model, *more):
    return main(["eval", "--model", model, "--env", "arithmetic?largest=9", "--n", "5", "--max-new-tokens", "6", *more])


def rows_of(folder):
    (shard,) = shards(folder)
    return [{k: v for k, v in row.items() if k not in TIMES} for row in row_dicts(read_shard(shard.path))]


def test_the_same_command_gives_the_same_results_and_rows(model, tmp_path, capsys):
    for name in ("a", "b"):
        folder = tmp_path / name / "traces"
        assert (
            evaluated(model, "--samples", "2", "--json", str(tmp_path / f"{name}.json"), "--traces", str(folder)) == 0
        )
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert rows_of(tmp_path / "a" / "traces") == rows_of(tmp_path / "b" / "traces")
    assert "success" in capsys.readouterr().out


def test_results_and_traces_say_the_same(model, tmp_path):
    out, folder = tmp_path / "out.json", tmp_path / "kept"
    assert evaluated(model, "--samples", "2", "--seed", "3", "--json", str(out), "--traces", str(folder)) == 0
    results = {row["metric"]: row for row in json.loads(out.read_text())}
    rows = rows_of(folder)
    assert len(rows) == 10
    assert {row["stage"] for row in rows} == {"tiny"} == {row["stage"] for row in results.values()}
    assert results["success"]["mean"] == pytest.approx(sum(row["success"] for row in rows) / 10)
    assert results["tokens"]["mean"] == pytest.approx(sum(row["completion_tokens"] for row in rows) / 10)
    said = {key: results["score"][key] for key in ("env", "split", "n", "samples", "temperature", "seed")}
    assert said == {"env": "arithmetic", "split": "test", "n": 5, "samples": 2, "temperature": 1.0, "seed": 3}
    assert "pass@2" in results
    for row in rows:
        assert len(row["logprobs"]) == len(row["token_ids"]) == row["completion_tokens"] <= 6
        assert row["prompt_tokens"] > 0


def test_samples_differ_at_temperature_one_and_agree_when_greedy(model, tmp_path):
    for temperature in ("1", "0"):
        folder = tmp_path / temperature
        assert evaluated(model, "--samples", "3", "--temperature", temperature, "--traces", str(folder)) == 0
        distinct = {tuple(row["token_ids"]) for row in rows_of(folder) if row["group"] == 0}
        assert len(distinct) == (3 if temperature == "1" else 1)


def test_another_seed_asks_other_tasks(model, tmp_path):
    for seed in ("0", "1"):
        assert evaluated(model, "--seed", seed, "--traces", str(tmp_path / seed)) == 0
    assert {r["task_id"] for r in rows_of(tmp_path / "0")} != {r["task_id"] for r in rows_of(tmp_path / "1")}


def test_files_that_exist_are_refused_without_force(model, tmp_path, capsys):
    out, folder = tmp_path / "out.json", tmp_path / "kept"
    given = ("--json", str(out))
    assert evaluated(model, *given) == 0
    before = out.read_bytes()
    assert evaluated(model, *given) == 2
    assert out.read_bytes() == before
    assert evaluated(model, *given, "--force") == 0
    assert evaluated(model, "--traces", str(folder)) == 0
    assert evaluated(model, "--traces", str(folder)) == 2
    assert "--force" in capsys.readouterr().err
    assert evaluated(model, "--traces", str(folder), "--force") == 0
    assert len(rows_of(folder)) == 5


def test_a_context_that_is_too_short_is_refused_before_sampling(model, tmp_path, capsys):
    out = tmp_path / "out.json"
    assert evaluated(model, "--max-new-tokens", "500", "--json", str(out)) == 2
    said = capsys.readouterr().err
    assert "not fit into the model's context of 512 tokens" in said
    assert said.count("\n") == 1
    assert not out.exists()
    longest = int(said.split("a prompt of ")[1].split()[0])
    fits = load_policy(model, ModelConfig(path=model), ENV, SamplingParams(512 - longest), "test", 0)
    fits.check(held_out_tasks(ENV, "test", 5, 0))
    tight = load_policy(model, ModelConfig(path=model), ENV, SamplingParams(513 - longest), "test", 0)
    with pytest.raises(UserError, match=f"at most {512 - longest}"):
        tight.check(held_out_tasks(ENV, "test", 5, 0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--model", "model.gguf"), "there is no such file"),
        (("--model", "http://localhost:9/v1"), "nobody answers there"),
        (("--model", "./nowhere"), "no such folder"),
        (("--env", "arithmetics"), "did you mean 'arithmetic'"),
        (("--split", "dev"), "no split 'dev'"),
        (("--json", "nowhere/out.json"), "make it first"),
    ],
)
def test_a_mistake_is_one_line(model, change, said, capsys):
    assert evaluated(model, *change) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "change", [("--n", "0"), ("--samples", "x"), ("--temperature", "-1"), ("--temperature", "nan"), ("--seed", "-1")]
)
def test_a_number_that_cannot_be_is_refused(model, change):
    with pytest.raises(SystemExit) as refused:
        evaluated(model, *change)
    assert refused.value.code == 2
