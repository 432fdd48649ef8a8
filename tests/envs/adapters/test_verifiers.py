"""verifiers both ways, with its own package: its tasksets as environments of ours, ours on its command line."""

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from rlvr_envs import make
from rlvr_rewards import UserError

pytest.importorskip("verifiers")

SUMS = '''
import verifiers.v1 as vf

class SumData(vf.TaskData):
    total: str

class SumTask(vf.Task[SumData]):
    @vf.reward(weight=2.0)
    async def right(self, trace: vf.Trace) -> float:
        return float(trace.last_reply.endswith(f"<answer>{self.data.total}</answer>"))

    @vf.reward(weight=0.5)
    async def brief(self, trace: vf.Trace) -> float:
        return float(len(trace.last_reply) < 100)

class SumConfig(vf.TasksetConfig):
    num_tasks: int = 40

class SumTaskset(vf.Taskset[SumTask, SumConfig]):
    def load(self):
        for n in range(self.config.num_tasks):
            yield SumTask(SumData(prompt=f"{n}+{n}", system_prompt="Add.", total=str(2 * n)), self.config.task)

class Tool(vf.Toolset[vf.ToolsetConfig]):
    @vf.tool
    def echo(self, text: str) -> str:
        """The same."""
        return text

class ToolTask(SumTask):
    @classmethod
    def toolsets(cls, config):
        return [Tool(vf.ToolsetConfig())]

__all__ = ["SumTaskset"]
'''


@pytest.fixture(scope="module", autouse=True)
def my_sums(tmp_path_factory):
    """A taskset in the form that `vf-init` writes, installed as a module."""
    folder = tmp_path_factory.mktemp("tasksets")
    (folder / "g_my_sums.py").write_text(SUMS)
    (folder / "g_my_tools.py").write_text(
        "import verifiers.v1 as vf\nfrom g_my_sums import SumConfig, ToolTask\n"
        "class ToolTaskset(vf.Taskset[ToolTask, SumConfig]):\n    def load(self):\n        return []\n"
        "__all__ = ['ToolTaskset']\n"
    )
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def test_a_taskset_is_an_environment():
    env = make("verifiers/g-my-sums?num_tasks=30")
    train, test = (list(env.rows(split, 0)) for split in ("train", "test"))
    assert len(train) + len(test) == 30
    assert not {env.task_id(row) for row in train} & {env.task_id(row) for row in test}
    row = train[0]
    assert next(env.rows("train", 0)) == row != next(env.rows("train", 1))
    number = int(row["data"]["total"]) // 2
    assert env.messages(row) == [
        {"role": "system", "content": "Add."},
        {"role": "user", "content": f"{number}+{number}"},
    ]
    assert env.gold(row) == f"<answer>{2 * number}</answer>"
    score = env.score(row, env.gold(row))
    assert (score.reward, score.parts) == (2.5, {"right": 1.0, "brief": 1.0}) == (env.reward.max, score.parts)
    assert env.success(row, env.gold(row)) and not env.success(row, "no idea")
    assert env.score(row, "no idea").parts == {"right": 0.0, "brief": 1.0}
    assert json.loads(json.dumps(row)) == row


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("verifiers/g-no-such", "not found"),
        ("verifiers/g-my-sums?num_task=3", "did you mean 'num_tasks'?"),
        ("verifiers/g-my-sums?num_tasks=few", "num_tasks: Input should be a valid integer"),
        ("verifiers/json", "is no taskset"),
        ("verifiers/textarena", "textarena"),
        ("verifiers/g-my-tools", "its tasks have tools"),
    ],
)
def test_what_cannot_be_one_is_refused_in_one_line(spec, says):
    with pytest.raises(UserError) as error:
        make(spec)
    assert says in str(error.value) and "\n" not in str(error.value)


def run(program, *arguments, cwd):
    command = [str(Path(sys.executable).parent / program), *map(str, arguments), "--no-rich", "-o", str(cwd / "out")]
    env = {**os.environ, "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.mark.slow
def test_its_validation_finds_our_gold_right_and_an_empty_reply_wrong(tmp_path):
    said = run(
        *("vf-validate", "rlvr-taskset", "--taskset.environment", "scheduling?tier=compact", "-n", "4"),
        *("--runtime.type", "subprocess"),
        cwd=tmp_path,
    )
    assert '"valid": 4' in said and '"invalid": 0' in said


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """llama.cpp's own server with a model of random weights."""
    pytest.importorskip("trl")
    xllamacpp = pytest.importorskip("xllamacpp")

    from rlvr.cli import main
    from rlvr.config.schema import ScratchConfig
    from rlvr.models.scratch import make_scratch_model

    folder = tmp_path_factory.mktemp("served")
    shape = ScratchConfig(
        hidden_size=64, intermediate_size=96, num_layers=2, num_heads=2, num_kv_heads=2, context_length=1024
    )
    make_scratch_model(folder / "tiny", shape, make("arithmetic"), seed=0)
    assert main(["export", str(folder / "tiny"), "--types", "F32", "--no-verify", "--to", str(folder)]) == 0
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = str(folder / "tiny-F32.gguf"), 4096, 2
    params.port, params.warmup, params.verbosity, params.n_predict = 0, False, -1, 24
    return xllamacpp.Server(params)


@pytest.mark.slow
@pytest.mark.parametrize("environment", ["arithmetic", "guess"])
def test_its_evaluation_plays_ours_against_a_server(server, tmp_path, environment):
    run(
        *("vf-eval", "rlvr-taskset", "--env.taskset.environment", environment, "-n", "2", "-r", "2", "-c", "2"),
        *("--env.agent.runtime.type", "subprocess", "--no-push", "--model", "tiny"),
        *("--client.base-url", f"{server.listening_address}/v1", "--client.api-key-var", "NO_KEY"),
        cwd=tmp_path,
    )
    [file] = (tmp_path / "out").glob("*/traces.jsonl")
    episodes = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(episodes) == 4
    for episode in episodes:
        [trace] = episode.get("traces", [episode])
        assert not trace["errors"] and trace["is_completed"]
        env, row = make(environment), json.loads(trace["task"]["data"]["row"])
        turns = [node["message"] for node in trace["nodes"] if node.get("sampled")]
        said = [{"role": "assistant", "content": turn.get("content") or ""} for turn in turns]
        score = env.score(row, said)
        assert trace["rewards"]["reward"]["score"] == pytest.approx(score.reward)
        assert {name: trace["metrics"][name] for name in score.parts} == score.parts
        assert trace["metrics"]["success"] in (0.0, 1.0)
        if environment == "guess":
            assert len(turns) == env.max_turns or trace["metrics"]["success"]
        assert list(islice(env.rows("test", 0), 2)).count(row) == 1
