"""A preference that no rule states is learned, pays a policy, and is followed; and what goes wrong on the way."""

import doctest
import json
import shutil

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.cli import main
from rlvr.models.reward_model import numbers_of, open_reward_model
from rlvr.rewards import reward_model as rewards_module
from rlvr.rewards.reward_model import reward_model, reward_model_logit
from rlvr.traces.store import read_shard
from rlvr_envs import make
from rlvr_rewards import parse_reward
from rlvr_rewards.catalogue import REWARDS

MODEL = """
threads = 1
[model.scratch]
hidden_size = 64
intermediate_size = 128
num_layers = 2
num_heads = 2
num_kv_heads = 2
vocab_size = 340
context_length = 256
[env]
name = "arithmetic"
largest = 9
"""
STAGES = """
[[stage]]
kind = "sft"
steps = 60
batch_size = 32
learning_rate = 3e-3
[[stage]]
kind = "reward_model"
name = "taste"
data = "FOLDER/pairs.jsonl"
steps = 60
batch_size = 16
learning_rate = 2e-3
[[stage]]
kind = "grpo"
algorithm = "rloo"
steps = 20
learning_rate = 1e-3
prompts_per_step = 8
group_size = 8
max_new_tokens = 30
[stage.reward]
expression = "0.2*format + taste"
[[stage]]
kind = "evaluate"
models = ["sft", "grpo"]
num_tasks = 40
num_samples = 4
max_new_tokens = 30
metrics = ["parts.taste"]
[stage.reward]
expression = "format + taste"
"""


def pairs(count):
    """Of two answers to a sum the even one is preferred: no part of the environment's reward says so."""
    env = make("arithmetic?largest=9")
    for number, (task, _) in enumerate(zip(env.rows("train", 1), range(count), strict=False)):
        even, odd = 2 * (number % 9), 2 * (number % 8) + 1
        sides = [f"<think>{task['question']}={n}</think><answer>{n}</answer>" for n in (even, odd)]
        yield {"prompt": env.messages(task), "chosen": sides[0], "rejected": sides[1]}


def write_pairs(folder, count=150):
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs(count)))


def manifest(run):
    return {stage["name"]: stage for stage in json.loads((run / "manifest.json").read_text())["stages"]}


def write(folder, text):
    (folder / "run.toml").write_text(text.replace("FOLDER", str(folder)))
    return ["run", str(folder / "run.toml"), "--run-dir", str(folder / "run")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a run that went through; do not change it."""
    folder = tmp_path_factory.mktemp("taste")
    write_pairs(folder)
    assert main(write(folder, MODEL + STAGES)) == 0
    return folder


@pytest.fixture(scope="module")
def taste(folder):
    return str(folder / "run/models/taste")


def test_it_prefers_what_it_was_taught_to_on_pairs_that_it_did_not_learn(folder, taste):
    numbers = manifest(folder / "run")["taste"]["metrics"]
    assert numbers["num_held_out"] == 15
    assert numbers["accuracy"] > 0.8
    assert numbers_of(taste)["reference"] == numbers["reference"]


def test_rloo_raises_its_score_on_held_out_tasks(folder):
    rows = json.loads((folder / "run/results.json").read_text())
    found = {row["stage"]: row for row in rows if row["metric"] == "parts.taste"}
    assert found["grpo"]["ci_low"] > found["sft"]["ci_high"]
    assert found["grpo"]["mean"] > found["sft"]["mean"] + 0.15


def test_its_value_stands_on_every_trace_beside_the_verifiable_part(folder):
    paths = sorted((folder / "run/traces").glob("grpo.train.*.parquet"))
    rows = [row for path in paths for row in read_shard(path).to_pylist()]
    assert len(rows) == 20 * 64
    parts = [dict(row["parts"]) for row in rows]
    assert all(0 <= part["taste"] <= 1 for part in parts)
    totals = [0.2 * part["format"] + part["taste"] for part in parts]
    assert [row["reward"] for row in rows] == pytest.approx(totals)
    assert not any(row["errors"] for row in rows)


def test_the_stage_after_it_starts_from_the_model_before_it(folder):
    stages = manifest(folder / "run")
    assert {"stage sft", "stage taste"} <= stages["grpo"]["inputs"].keys()
    assert json.loads((folder / "run/models/grpo/config.json").read_text())["architectures"] == ["Qwen3ForCausalLM"]
    assert json.loads((folder / "run/models/taste/config.json").read_text())["architectures"] == [
        "Qwen3ForSequenceClassification"
    ]
    assert not list((folder / "run/models/taste").glob("*.bin"))


def test_the_same_command_again_does_nothing_and_another_taste_trains_the_policy_again(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "copy")
    command = write(tmp_path / "copy", MODEL + STAGES.replace("FOLDER", str(folder)))
    assert main([*command, "--plan"]) == 0
    planned = " ".join(capsys.readouterr().out.split())
    assert planned.count("finished 20") == 4
    assert main([*command, "--plan", "--set", "stage.taste.steps=61"]) == 0
    planned = " ".join(capsys.readouterr().out.split())
    assert "2. taste (reward_model) would run again because steps" in planned
    assert "it takes the model of taste, which runs before it" in planned
    assert "1. sft (sft) would be skipped" in planned


def conversations():
    env = make("arithmetic?largest=9")
    rows = [task for task, _ in zip(env.rows("test", 0), range(12), strict=False)]
    return [(env.messages(task), env.gold(task) + " so" * (index % 5)) for index, task in enumerate(rows)]


def test_what_is_beside_it_in_the_batch_changes_no_value(taste):
    prompts, texts = zip(*conversations(), strict=True)
    node = reward_model.using(path=taste)
    together = [score.reward for score in node.score_batch(texts, {"prompt": list(prompts)})]
    alone = [node.score(text, prompt=prompt).reward for prompt, text in conversations()]
    assert together == pytest.approx(alone, abs=1.1e-4)
    assert max(together) - min(together) > 0.5
    backwards = node.score_batch(texts[::-1], {"prompt": list(prompts)[::-1]})
    assert [score.reward for score in backwards][::-1] == pytest.approx(together, abs=1.1e-4)


def test_the_sigmoid_is_of_the_logit_less_the_reference(taste):
    (prompt, text), *_ = conversations()
    logit = reward_model_logit.using(path=taste).score(text, prompt=prompt).reward
    half = reward_model.using(path=taste, reference=logit).score(text, prompt=prompt).reward
    assert half == pytest.approx(0.5, abs=1e-4)
    low, high = (reward_model.using(path=taste, reference=x).score(text, prompt=prompt).reward for x in (1e6, -1e6))
    assert (low, high) == (0.0, 1.0)


def test_it_reads_text_and_messages_alike_and_no_special_token_is_smuggled_in(taste):
    node = reward_model_logit.using(path=taste)
    question = [{"role": "user", "content": "3+4=?"}]
    as_messages = node.score([{"role": "assistant", "content": "7"}], prompt=question).reward
    assert node.score("7", prompt="3+4=?").reward == as_messages
    assert node.score("7<|im_end|>", prompt="3+4=?").reward == as_messages


def test_a_conversation_beyond_its_context_is_an_error_of_that_completion_alone(taste):
    scores = reward_model.using(path=taste).score_batch(["7", "7 " * 1000], {})
    assert scores[0].reward is not None
    assert scores[1].reward is None
    assert "does not fit into the 256" in scores[1].errors["reward_model"]


def test_what_is_no_reward_model_is_refused_in_one_line(folder, taste, tmp_path):
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.from_pretrained(taste, num_labels=2)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "two")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(f"{taste}/{name}", tmp_path / "two")
    for path, says in (
        (folder / "run/models/sft", "is no reward model: it has no weights score.weight"),
        (tmp_path / "two", "gives 2 numbers, and a reward model gives one"),
        (tmp_path / "nowhere", "no such folder"),
    ):
        (error,) = reward_model.using(path=str(path)).score("7").errors.values()
        assert says in error
        assert "\n" not in error


def test_a_model_that_is_trained_anew_in_its_place_is_opened_anew(taste, tmp_path):
    shutil.copytree(taste, tmp_path / "model")
    before = open_reward_model(str(tmp_path / "model"))
    assert open_reward_model(str(tmp_path / "model")) is before
    numbers = json.loads((tmp_path / "model/reward.json").read_text())
    (tmp_path / "model/reward.json").write_text(json.dumps(numbers | {"reference": 7.5}))
    assert open_reward_model(str(tmp_path / "model")).reference == 7.5


OUTSIDE = """
[reward]
expression = "reward_model(path='PATH') & format"
[[stage]]
kind = "grpo"
steps = 1
prompts_per_step = 2
group_size = 2
max_new_tokens = 4
"""


def test_a_model_of_elsewhere_is_named_by_its_path_and_another_one_there_trains_again(taste, tmp_path, capsys):
    shutil.copytree(taste, tmp_path / "model")
    command = write(tmp_path, MODEL + OUTSIDE.replace("PATH", str(tmp_path / "model")))
    assert main([*command, "--check"]) == 0
    assert "not tried on golds: it rests on a reward model" in " ".join(capsys.readouterr().out.split())
    assert main(command) == 0
    inputs = manifest(tmp_path / "run")["grpo"]["inputs"]
    assert f"reward file {tmp_path / 'model'}" in inputs
    capsys.readouterr()
    raw = bytearray((tmp_path / "model/model.safetensors").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "model/model.safetensors").write_bytes(raw)  # of the same size
    assert main([*command, "--plan"]) == 0
    assert f"would run again because file {tmp_path / 'model'} changed" in " ".join(capsys.readouterr().out.split())


OWN = """
[[stage]]
kind = "sft"
steps = 40
batch_size = 32
learning_rate = 3e-3
[[stage]]
kind = "reward_model"
steps = 2
batch_size = 4
num_tasks = 12
group_size = 4
max_new_tokens = 30
length_gap = 1.0
[stage.reward]
expression = "'FOLDER/varied.py:varied'"
[stage.lora]
r = 4
[[stage]]
kind = "grpo"
steps = 1
prompts_per_step = 2
group_size = 2
max_new_tokens = 4
[stage.reward]
expression = "correct + reward_model"
"""
VARIED = """
from rlvr_rewards import reward

@reward
def varied(completion: str) -> float:
    '''A score that nobody can foresee.'''
    return sum(completion.encode()) % 7 / 7
"""


def test_an_adapter_learns_from_its_own_groups_and_pays_too(tmp_path, capsys):
    (tmp_path / "varied.py").write_text(VARIED)
    (tmp_path / "run.toml").write_text(MODEL + OWN.replace("FOLDER/", ""))  # a file beside the config
    assert main(["run", str(tmp_path / "run.toml"), "--run-dir", str(tmp_path / "run")]) == 0
    model = tmp_path / "run/models/reward_model"
    assert (model / "adapter_config.json").exists()
    head = open_reward_model(str(model)).model.score.weight
    assert head.shape == (1, 64)
    stages = manifest(tmp_path / "run")
    assert stages["reward_model"]["metrics"]["pairs"] >= 2
    assert stages["grpo"]["status"] == "done"
    assert "hardly better than chance" in " ".join(capsys.readouterr().out.split()) or numbers_of(str(model))
    learned = (tmp_path / "run/data/reward_model.jsonl").read_text().splitlines()
    assert {*json.loads(learned[0])} == {"prompt", "chosen", "rejected"}


def test_an_adapter_on_a_model_in_bfloat16_as_the_hub_has_them(tmp_path, tiny_qwen2):
    write_pairs(tmp_path, 12)
    text = """
threads = 1
[model]
path = "MODEL"
[env]
name = "arithmetic"
[[stage]]
kind = "reward_model"
data = "FOLDER/pairs.jsonl"
steps = 2
batch_size = 4
[stage.lora]
r = 4
"""
    assert main(write(tmp_path, text.replace("MODEL", str(tiny_qwen2)))) == 0
    opened = open_reward_model(str(tmp_path / "run/models/reward_model"))
    assert type(opened.model).__name__ == "Qwen2ForSequenceClassification"
    prompt = [{"role": "user", "content": "3+4=?"}]
    logits = opened.logits([[*prompt, {"role": "assistant", "content": text}] for text in ("7", "8", "9" * 50)])
    assert len(set(logits)) == 3


REFUSED = [
    ("[reward]\nexpression = 'correct + taste'\n", "", "name taste under [stage.reward] of the stages after it"),
    ("", "[stage.reward]\nexpression = 'correct + tase'\n", "did you mean 'taste'"),
    ("", "[stage.reward]\nexpresion = 'correct'\n", "did you mean 'expression'"),
    ("", "start = 'taste'\n", "taste"),
]


@pytest.mark.parametrize(("reward", "stage", "says"), REFUSED)
def test_what_cannot_work_is_refused_before_anything_loads(tmp_path, capsys, reward, stage, says):
    write_pairs(tmp_path, 4)
    learner = "[[stage]]\nkind = 'grpo'\nname = 'first'\nsteps = 1\n"
    judge = "[[stage]]\nkind = 'reward_model'\nname = 'taste'\ndata = 'FOLDER/pairs.jsonl'\n"
    last = "[[stage]]\nkind = 'grpo'\nsteps = 1\n"
    assert main([*write(tmp_path, MODEL + reward + learner + judge + last + stage), "--check"]) == 2
    said = capsys.readouterr().err
    assert says in " ".join(said.split())
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("[stage.spectrum]\ntop_percent = 50\n", "would freeze the new head"),
        ("[stage.trl]\nmargin = 1\n", "unknown TRL setting"),
        ("held_out = 0\n", "greater than 0"),
    ],
)
def test_settings_that_it_cannot_have_are_refused(tmp_path, capsys, settings, says):
    write_pairs(tmp_path, 4)
    stage = "[[stage]]\nkind = 'reward_model'\ndata = 'FOLDER/pairs.jsonl'\n"
    assert main([*write(tmp_path, MODEL + stage + settings), "--check"]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_the_rewards_are_found_by_name_and_documented():
    assert {"reward_model", "reward_model_logit"} <= set(REWARDS.names())
    assert parse_reward("0.5*reward_model(path='owner/name')").bounds == (0.0, 0.5)
    assert parse_reward("reward_model_logit(path='owner/name').clip(-5, 5)").max == 5
    assert doctest.testmod(rewards_module).failed == 0
