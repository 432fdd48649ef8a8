"""Ours in stock TRL: its trainer, its tool calls and its command line, on a model of one layer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlvr_envs import make
from rlvr_envs.adapters.trl import environment_factory, reward_function, rows_for_trl
from rlvr_rewards import UserError

pytest.importorskip("trl")

SCRATCH = {"hidden_size": 32, "intermediate_size": 64, "num_layers": 1, "num_heads": 2, "num_kv_heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of one layer with the chat template of Qwen3, which knows tools."""
    import trl

    from rlvr.config.schema import ScratchConfig
    from rlvr.models.scratch import make_scratch_model

    folder = tmp_path_factory.mktemp("model")
    config = ScratchConfig(**SCRATCH, vocab_size=400, context_length=4096)
    _, tokenizer = make_scratch_model(folder, config, make("arithmetic"), seed=0)
    tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text()
    tokenizer.save_pretrained(folder)
    return folder


def trained(trainer_class, folder, output, spec, **given):
    from datasets import Dataset
    from trl import GRPOConfig

    rows = rows_for_trl(make(spec), num_rows=8)
    args = GRPOConfig(
        output_dir=str(output),
        max_steps=2,
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=given.pop("max_completion_length", 16),
        use_cpu=True,
        bf16=False,
        report_to=[],
        logging_steps=1,
        save_strategy="no",
    )
    trainer = trainer_class(model=str(folder), args=args, train_dataset=Dataset.from_list(rows), **given)
    trainer.train()
    return trainer, [log for log in trainer.state.log_history if "reward" in log]


def test_an_environment_factory_trains_in_stock_trl(folder, tmp_path):
    from trl import GRPOTrainer

    trainer, logs = trained(
        GRPOTrainer, folder, tmp_path, "calculator", environment_factory=environment_factory("calculator")
    )
    assert [tool.__name__ for tool in trainer.tools] == ["say"]
    assert len(logs) == 2
    assert all(log["rewards/calculator/mean"] == log["reward"] == 0.0 for log in logs)  # it never calls the tool


def test_what_is_said_by_tool_calls_is_an_episode_and_its_reward_is_ours(folder, tmp_path):
    from trl import GRPOTrainer

    class Scripted(GRPOTrainer):
        """Stock but for who writes: the first of four asks the calculator and answers, the second answers wrongly."""

        def _generate_single_turn(self, prompt_ids, *rest, **more):
            texts = [self._next(self._tokenizer.decode(ids), row) for row, ids in enumerate(prompt_ids)]
            return [[*self._tokenizer.encode(text), self._tokenizer.eos_token_id] for text in texts], None

        def _next(self, context, row):
            task = next(env.episode.task for env in map(Seen, self.environments) if env.asks(context))
            said = context.count("<tool_response>")
            turns = [f"<calc>{task['expression']}</calc>", f"<answer>{task['answer']}</answer>"]
            if said >= len(turns) or (said == 0 and row >= 2):
                return "That is all."
            if row == 1 and said == 0:
                turns = ["<answer>0</answer>"]
            call = {"name": "say", "arguments": {"text": turns[min(said, len(turns) - 1)]}}
            return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"

    class Seen:
        """What the script may know: the task of a rollout's environment."""

        def __init__(self, env):
            self.episode = env._episode

        def asks(self, context):
            return self.episode.task["question"] in context

    _, logs = trained(
        Scripted,
        folder,
        tmp_path,
        "calculator?role=user",
        environment_factory=environment_factory("calculator"),
        max_completion_length=2048,
    )
    most = make("calculator").reward.max
    assert logs[0]["tools/call_frequency"] > 0 and logs[0]["tools/failure_frequency"] == 0
    assert logs[0]["rewards/calculator/mean"] == pytest.approx(most / 4)


def test_a_row_without_a_task_is_refused():
    with pytest.raises(UserError, match="make it with rows_for_trl"):
        environment_factory("calculator")().reset(prompt="x")


def test_the_environment_itself():
    env = make("arithmetic")
    row = rows_for_trl(env, num_rows=1)[0]
    ours = environment_factory("arithmetic")()
    ours.reset(**row)
    assert ours.get_reward() == env.score(json.loads(row["task"]), "").reward
    assert ours.say(env.gold(json.loads(row["task"]))) == "It is over."
    assert ours.say("<answer>0</answer>") == "It is over: nothing more is heard."
    assert ours.get_reward() == env.reward.max
    ours.reset(**row)
    assert ours.get_reward() < env.reward.max


def test_a_reward_by_its_dotted_path():
    import rlvr_envs.adapters.trl as ours

    row = rows_for_trl(make("scheduling"), num_rows=1)[0]
    gold = make("scheduling").gold(json.loads(row["task"]))
    values = ours.scheduling(completions=[gold, [{"role": "assistant", "content": gold}], ""], task=[row["task"]] * 3)
    assert values[0] == values[1] == make("scheduling").reward.max > (values[2] or 0.0)
    assert ours.scheduling.__name__ == "scheduling"
    assert reward_function("scheduling?tier=compact").__name__ == "scheduling"
    with pytest.raises(AttributeError, match="did you mean 'scheduling'"):
        ours.schedulin  # noqa: B018


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_rewards_on_trls_own_command_line(folder, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    rows = [
        {**row, "answer": json.loads(row["task"])["answer"]} for row in rows_for_trl(make("arithmetic"), num_rows=8)
    ]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [
        *(str(Path(sys.executable).parent / "trl"), "grpo"),
        *("--model_name_or_path", str(folder), "--dataset_name", str(data), "--output_dir", str(tmp_path / "out")),
        *("--reward_funcs", "rlvr_rewards.exact_number", "rlvr_envs.adapters.trl.arithmetic"),
        *("--max_steps", "2", "--per_device_train_batch_size", "4", "--num_generations", "4"),
        *("--max_completion_length", "16", "--use_cpu", "true", "--bf16", "false", "--report_to", "none"),
        *("--logging_steps", "1", "--save_strategy", "no", "--dtype", "float32"),
    ]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=360)
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout + done.stderr
    assert "rewards/exact_number/mean" in said and "rewards/arithmetic/mean" in said
    assert (tmp_path / "out" / "model.safetensors").is_file()
