"""Runs that were stopped anywhere become byte for byte what they would have been; damage is seen before training."""

import hashlib
import json
import resource
import shutil

import pytest

from rlvr.pipeline import checkpoint_writing, training_stage
from rlvr.pipeline.checkpoints import RECORD
from rlvr.traces.store import read_shard
from tests.rlvr.pipeline.conftest import Workshop

ROWS = 4
TIMES = {"time", "sample_s", "reward_s", "step_time", "completions_per_s", "examples_per_s", "pairs_per_s"}


def without_times(row):
    return {name: value for name, value in row.items() if name not in TIMES}


def contents(run):
    """Weights by checksum, trace rows and metrics but for times, and the numbers in the manifest."""
    weights = {
        str(path.relative_to(run.run_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((run.run_dir / "models").rglob("*.safetensors"))
    }
    shards = sorted((run.run_dir / "traces").glob("*.parquet"))
    rows = [without_times(row) for path in shards for row in read_shard(path).to_pylist()]
    metrics = [without_times(json.loads(line)) for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
    stages = json.loads((run.run_dir / "manifest.json").read_text())["stages"]
    numbers = [{k: v for k, v in stage["metrics"].items() if "/s" not in k} for stage in stages]
    tokens = [stage["tokens"] for stage in stages]
    return {"weights": weights, "rows": rows, "metrics": metrics, "numbers": numbers, "tokens": tokens}


def alone(run, stage):
    """Leaves one stage of the three in the config."""
    head, *stages = (run.path / "run.toml").read_text().split("[[stage]]\n")
    kept = next(each for each in stages if each.startswith(f'kind = "{stage}"'))
    (run.path / "run.toml").write_text(f"{head}[[stage]]\n{kept}")
    return run


@pytest.fixture
def grpo(workshop):
    """GRPO alone, on tasks that are used up after three of its steps, with a checkpoint every third step."""
    alone(workshop, "grpo")
    (workshop.path / "few.py").write_text(FEW)
    text = (workshop.path / "run.toml").read_text().replace('"arithmetic"', f'"{workshop.path}/few.py:Few"')
    (workshop.path / "run.toml").write_text(text.replace("save_steps = 1", "save_steps = 3"))
    return workshop


FEW = """
from dataclasses import dataclass
from itertools import islice
from rlvr_envs.library.arithmetic import Arithmetic

@dataclass(frozen=True)
class Few(Arithmetic):
    '''Seven sums, and no more.'''

    tasks: int = 7

    def rows(self, split, seed):
        return islice(super().rows(split, seed), self.tasks)
"""


UPDATES = ["stage.grpo.trl.num_iterations=2", "stage.grpo.trl.logging_steps=3"]
SLOW = pytest.mark.slow
WAYS = [
    pytest.param(2, [*UPDATES, "stage.grpo.extra_groups=2"], id="several updates of the same, refilled"),
    pytest.param(3, UPDATES, id="several updates of the same", marks=SLOW),
    pytest.param(5, [], id="epochs", marks=SLOW),
    pytest.param(5, ["stage.grpo.micro_batch_size=2"], id="micro batches", marks=SLOW),
    pytest.param(5, ["stage.grpo.extra_groups=3"], id="dynamic sampling", marks=SLOW),
    pytest.param(5, ["stage.grpo.extra_groups=3", "stage.grpo.curriculum.start=1.0"], id="curriculum", marks=SLOW),
    pytest.param(4, ["stage.grpo.lora.r=4", "stage.grpo.lora.dropout=0.2"], id="LoRA with dropout", marks=SLOW),
    pytest.param(
        4,
        ["stage.grpo.trl.beta=0.1", "stage.grpo.trl.sync_ref_model=true", "stage.grpo.trl.ref_model_sync_steps=2"],
        id="a moving reference",
        marks=SLOW,
    ),
]


@pytest.mark.parametrize(("batch", "sets"), WAYS)
def test_a_stopped_run_becomes_what_it_would_have_been(grpo, batch, sets):
    sets = ["stage.grpo.steps=8", *sets]
    assert grpo.run(*sets) == 0
    undisturbed = contents(grpo)
    assert undisturbed["rows"] and undisturbed["weights"]
    shutil.rmtree(grpo.run_dir)
    (grpo.path / "calls").unlink()
    grpo.fate(batch * ROWS, "SIGTERM")
    assert grpo.run(*sets) == 143
    assert grpo.run(*sets) == 0
    resumed = contents(grpo)
    for what, expected in undisturbed.items():
        assert resumed[what] == expected, what


PAIRS = """kind = "KIND"
steps = 7
batch_size = 4
data = "FOLDER/pairs.jsonl"
"""


@pytest.mark.parametrize(
    ("stage", "sets"),
    [
        pytest.param("sft", [], id="sft", marks=SLOW),
        pytest.param("sft", ["stage.sft.trl.train_sampling_strategy=group_by_length"], id="sft by length"),
        pytest.param("dpo", [], id="dpo", marks=SLOW),
        pytest.param("orpo", [], id="orpo", marks=SLOW),
        pytest.param("reward_model", [], id="reward_model", marks=SLOW),
    ],
)
def test_other_stages_go_on_in_a_later_epoch_between_two_log_lines(workshop, said, stage, sets):
    """Killed in the sixth step of seven: the fifth is of the second epoch, and was not logged yet."""
    if stage != "sft":
        head = (workshop.path / "run.toml").read_text().split("[[stage]]\n")[0]
        pairs = PAIRS.replace("KIND", stage).replace("FOLDER", str(workshop.path))
        (workshop.path / "run.toml").write_text(f"{head}[[stage]]\n{pairs}")
        rows = ({"prompt": f"{n}+1=?", "chosen": f"{n + 1}", "rejected": "none" * n} for n in range(1, 12))
        (workshop.path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        alone(workshop, "sft")
        sets = [*sets, "stage.sft.steps=7", "stage.sft.num_examples=11"]
    sets = [*sets, f"stage.{stage}.trl.logging_steps=2", f"stage.{stage}.save_steps=1"]
    assert workshop.run(*sets) == 0
    expected = contents(workshop)
    shutil.rmtree(workshop.run_dir)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_stage, "_save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert workshop.run(*sets, f"stage.{stage}.keep_checkpoints=100") == 130
    for step in (6, 7):
        shutil.rmtree(workshop.run_dir / f"checkpoints/{stage}/checkpoint-{step}")
    assert workshop.run(*sets) == 0
    assert f"{stage}: resuming from step 5 of 7" in said()
    found = contents(workshop)
    for what in expected:
        assert found[what] == expected[what], what


def test_a_run_killed_after_its_last_step_trains_none_more(workshop, said):
    """In the middle of an epoch of three steps, to whose end transformers would go on."""
    sets = ["stage.sft.num_examples=9", "stage.sft.steps=4"]
    alone(workshop, "sft")
    assert workshop.run(*sets) == 0
    expected = contents(workshop)
    shutil.rmtree(workshop.run_dir)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_stage, "_save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert workshop.run(*sets) == 130
    assert workshop.run(*sets) == 0
    assert "sft: resuming from step 4 of 4" in said()
    assert contents(workshop) == expected


def test_a_run_killed_after_its_last_step_ends_with_its_best_weights_where_those_are_wanted(workshop):
    """Steps so long that the first one's weights stay the best."""
    trl = ("eval_strategy='steps'", "eval_steps=1", "load_best_model_at_end=true", "lr_scheduler_type='constant'")
    sets = ["stage.sft.num_examples=12", "stage.sft.held_out=0.25", "stage.sft.learning_rate=0.3"]
    sets += [f"stage.sft.trl.{setting}" for setting in trl]
    alone(workshop, "sft")
    assert workshop.run(*sets) == 0
    expected = contents(workshop)
    shutil.rmtree(workshop.run_dir)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_stage, "_save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert workshop.run(*sets) == 130
    saved = workshop.run_dir / "checkpoints/sft"
    state = json.loads((saved / "checkpoint-3/trainer_state.json").read_text())
    assert state["best_global_step"] < 3
    assert workshop.run(*sets) == 0
    found = contents(workshop)
    assert (found["weights"], found["numbers"]) == (expected["weights"], expected["numbers"])


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, tiny_model):
    """Stopped in the fourth of six steps of GRPO: checkpoints of steps 3 and 4 are there."""
    made = alone(Workshop(tmp_path_factory.mktemp("stopped"), tiny_model), "grpo")
    made.fate(3 * ROWS + 1, "SIGTERM")
    assert made.run("stage.grpo.steps=6") == 143
    assert sorted(path.name for path in folder(made).glob("*-*")) == ["checkpoint-3", "checkpoint-4"]
    shutil.copytree(made.run_dir, made.path / "kept")
    return made


@pytest.fixture
def broken_off(stopped):
    shutil.rmtree(stopped.run_dir, ignore_errors=True)
    shutil.copytree(stopped.path / "kept", stopped.run_dir)
    return stopped


def folder(run):
    return run.run_dir / "checkpoints/grpo"


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(flip, "optimizer.pt has another checksum than when it was written", id="flipped"),
        pytest.param(cut, "optimizer.pt has", id="cut", marks=SLOW),
        pytest.param(lambda path: path.unlink(), "optimizer.pt is missing", id="missing", marks=SLOW),
    ],
)
def test_a_damaged_checkpoint_is_said_and_the_one_before_is_used(broken_off, said, spoil, says):
    spoil(folder(broken_off) / "checkpoint-4/optimizer.pt")
    said()
    assert broken_off.run("stage.grpo.steps=6") == 0
    printed = said()
    assert f"grpo: the checkpoint of step 4 is damaged ({says}" in printed
    assert "the one of step 3 is used" in printed and "grpo: resuming from step 3 of 6" in printed
    assert broken_off.metric_steps("grpo") == [1, 2, 3, 4, 5, 6]


def test_where_no_checkpoint_is_whole_the_stage_starts_anew_and_says_so(broken_off, said):
    for path in folder(broken_off).glob("checkpoint-*"):
        flip(path / "model.safetensors")
    said()
    assert broken_off.run("stage.grpo.steps=6") == 0
    printed = said()
    assert "step 3 is damaged" in printed and "no other is whole, so that it starts anew" in printed
    assert "grpo: resuming" not in printed
    assert sorted(broken_off.trace_steps("grpo")) == sorted([1, 2, 3, 4, 5, 6] * ROWS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda record: record["config"].update(algorithm="dr_grpo") or record.update(config_hash="0"), "algorithm"),
        (lambda record: record["inputs"].update(model="0"), "another model"),
        (lambda record: record.update(processes=2, holds_samples=True), "start 2"),
    ],
    ids=["algorithm", "model", "processes"],
)
def test_a_checkpoint_of_something_else_is_refused_before_training(broken_off, said, change, says):
    path = folder(broken_off) / "checkpoint-4" / RECORD
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    said()
    assert broken_off.run("stage.grpo.steps=6") == 2
    printed = said()
    assert says in printed and "move it away" in printed and "Traceback" not in printed
    assert len(list(folder(broken_off).glob("checkpoint-*"))) == 2
    assert max(broken_off.metric_steps("grpo")) == 4


def test_a_checkpoint_of_more_processes_goes_on_and_says_so(broken_off, said):
    path = folder(broken_off) / "checkpoint-4" / RECORD
    path.write_text(json.dumps({**json.loads(path.read_text()), "processes": 2}))
    assert broken_off.run("stage.grpo.steps=6") == 0
    assert "the checkpoint is of 2 processes, now there are 1" in said()


@pytest.mark.parametrize(("keep", "kept"), [(1, [4]), pytest.param(3, [2, 3, 4], marks=SLOW)])
def test_as_many_checkpoints_stay_as_are_wanted(workshop, keep, kept):
    alone(workshop, "grpo")
    workshop.fate(3 * ROWS + 1, "SIGTERM")
    assert workshop.run(f"stage.grpo.keep_checkpoints={keep}") == 143
    assert sorted(int(path.name[11:]) for path in folder(workshop).glob("checkpoint-*")) == kept


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("save_total_limit=3", "write keep_checkpoints instead of trl.save_total_limit"),
        ("save_only_model=true", "with trl.save_only_model a stopped run could not go on as it was"),
        ("ignore_data_skip=true", "with trl.ignore_data_skip a stopped run could not go on as it was"),
    ],
)
def test_settings_that_would_break_going_on_are_refused(workshop, said, setting, says):
    assert workshop.run(f"stage.grpo.trl.{setting}", flags=["--check"]) == 2
    assert says in said()


def test_a_disk_that_fills_in_a_checkpoint_leaves_nothing_half_written(workshop, said):
    alone(workshop, "grpo")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        workshop.fate(2 * ROWS + 1, "disk60000")
        assert workshop.run() == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "the checkpoint of step 2 is whole, and the same command goes on from it" in said()
    assert sorted(path.name for path in folder(workshop).iterdir() if path.is_dir()) == ["checkpoint-1", "checkpoint-2"]


def test_sigusr1_saves_a_checkpoint_and_the_run_goes_on(workshop, said, monkeypatch):
    published, publish = [], checkpoint_writing.publish
    monkeypatch.setattr(checkpoint_writing, "publish", lambda *args: published.append(args[1]) or publish(*args))
    alone(workshop, "grpo").fate(2 * ROWS + 1, "SIGUSR1")
    assert workshop.run("stage.grpo.save_steps=100") == 0
    assert published == [3, 4]  # the last step is always saved
    assert "grpo: a checkpoint of step 3 is saved" in said()
    assert workshop.metric_steps("grpo") == [1, 2, 3, 4]


def test_sigusr1_outside_of_training_does_nothing(workshop):
    text = (alone(workshop, "evaluate").path / "run.toml").read_text()
    (workshop.path / "run.toml").write_text(text.replace('models = ["sft", "grpo"]', 'models = ["base"]'))
    workshop.fate(1, "SIGUSR1")
    assert workshop.run() == 0
    assert not (workshop.path / "fate").exists()
