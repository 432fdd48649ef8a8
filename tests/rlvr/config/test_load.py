"""A config's mistakes, each refused in one line that names the way out, before anything heavy is imported."""

import subprocess
import sys

import pytest

from rlvr.config.load import check_config, load_config
from rlvr.config.shipped import shipped_configs
from rlvr.pipeline.plan import check
from rlvr_rewards import UserError

GOOD = {
    "env": {"name": "scheduling", "tier": "compact"},
    "stage": [{"kind": "sft", "steps": 2}, {"kind": "grpo", "steps": 2}, {"kind": "evaluate"}],
}


STAGE = '[[stage]]\nkind = "sft"\n'


def config(tmp_path, text='[env]\nname = "scheduling"\n[[stage]]\nkind = "sft"\n[[stage]]\nkind = "grpo"\n', sets=()):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return load_config(str(path), sets)


def refusal(tmp_path, *sets):
    with pytest.raises(UserError) as caught:
        check(config(tmp_path, sets=sets))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("sead=1", "'seed'"),
        ("model.pth=x", "'path'"),
        ("model.scratch.num_layer=2", "'num_layers'"),
        ("reward.expresion=x", "'expression'"),
        ("env.teir=hard", "'tier'"),
        ("stage.sft.batchsize=2", "'batch_size'"),
        ("stage.grpo.lora.rr=2", "'r'"),
        ("stage.grpo.trl.betta=0.1", "'beta'"),
        ("stage.grop.steps=2", "'grpo'"),
    ],
)
def test_an_unknown_key_names_the_nearest_at_every_level(tmp_path, given, nearest):
    assert f"did you mean {nearest}?" in refusal(tmp_path, given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("stage.grpo.beta=0.04", "write stage.grpo.trl.beta"),
        ("stage.grpo.num_generations=4", "write group_size instead"),
        ("stage.grpo.trl.num_generations=4", "write group_size instead of trl.num_generations"),
        ("stage.sft.trl.output_dir=x", "write --run-dir instead"),
        ("stage.grpo.micro_batch_size=7", "micro_batch_size 7 does not divide the 128 rows"),
        ("stage.grpo.max_new_tokens=512", "leaves no room for a prompt in the 512 tokens of model.scratch"),
        ("stage.grpo.start=evaluate", "unknown start 'evaluate'"),
        ("stage.sft.start=grpo", "unknown start 'grpo'"),
        ("stage.grpo.name=sft", "two stages are called 'sft'"),
        ("stage.grpo.name=base", "choose another name"),
        ("stage.grpo.name=a/b", "name"),
        ("stage.grpo.group_size=1", "group_size"),
        ("stage.grpo.steps=many", "steps"),
        ("stage.grpo.kind=grop", "did you mean 'grpo'?"),
        ("env.tier=harder", "harder"),
        ("env.name=schedulin", "did you mean 'scheduling'?"),
        ("reward.expression=2*exact_nubmer", "did you mean 'exact_number'?"),
        ("reward.on_error=drop", "on_error"),
        ("model.scratch.hidden_size=96", "multiple"),
        ("model.path=./nowhere", "no such folder"),
        ("model.dtype=int8", "dtype"),
        ("stage=1", "stage"),
        ("stage.grpo=1", "name the stage and its setting"),
        ("env.name.x=1", "name is not a section"),
        ("nonsense", "key=value"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(tmp_path, given, says):
    sets = ["model.scratch.num_heads=5", given] if "hidden_size" in given else [given]
    assert says in refusal(tmp_path, *sets)


def test_a_reference_that_trl_could_not_open_is_refused(tmp_path):
    says = refusal(tmp_path, "stage.sft.lora.r=4", "stage.grpo.trl.beta=0.1")
    assert "train an adapter here too" in says
    check(config(tmp_path, sets=["stage.sft.lora.r=4", "stage.grpo.trl.beta=0.1", "stage.grpo.lora.r=4"]))


def test_rows_that_cannot_be_dealt_out_to_the_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert "set it to 30 or 33" in refusal(tmp_path, "stage.sft.batch_size=32")


@pytest.mark.parametrize("setting", ["loss_type=grpoo", "scale_rewards=batched", "importance_sampling_level=tokens"])
def test_a_choice_that_trl_would_refuse_only_while_training(tmp_path, setting):
    assert "did you mean" in refusal(tmp_path, f"stage.grpo.trl.{setting}")


def test_set_reaches_every_place(tmp_path):
    got = config(
        tmp_path,
        sets=[
            "env.tier=hard",
            "model.path=some/where, quoted?",
            "stage.grpo.trl.beta=0.04",
            "stage.grpo.lora.r=8",
            'stage.grpo.lora.target_modules=["q_proj"]',
            "stage.sft.steps=7",
            "reward.on_error=zero",
            "seed=3",
        ],
    )
    sft, grpo = got.stage
    assert (got.env.options, got.seed, got.reward.on_error) == ({"tier": "hard"}, 3, "zero")
    assert got.model.path == "some/where, quoted?"
    assert (grpo.trl, grpo.lora.r, grpo.lora.target_modules, sft.steps) == ({"beta": 0.04}, 8, ("q_proj",), 7)


MIXED = """
[[env]]
name = "scheduling"
tier = "compact"
[[env]]
name = "scheduling"
tier = "hard"
weight = 0.5
[[env]]
name = "arithmetic"
[[stage]]
kind = "evaluate"
metrics = ["success", "optimum_ratio", "parts.correct"]
"""


def test_one_of_several_environments_is_set_by_name_or_number(tmp_path):
    got = config(tmp_path, MIXED, ["env.arithmetic.largest=9", "env.1.tier=published", "env.1.weight=3"])
    assert [each.spec for each in got.envs] == [
        *("scheduling?tier=compact", "scheduling?tier=published", "arithmetic?largest=9")
    ]
    assert [each.weight for each in got.env] == [1.0, 3.0, 1.0]
    check(got)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("env.scheduling.tier=hard", "several environments are called scheduling: write env.0 or env.1"),
        ("env.arithmetik.largest=9", "did you mean 'arithmetic'"),
        ("env.3.largest=9", "unknown environment '3'"),
        ("env.tier=hard", "name the environment and its option, such as env.scheduling.tier=hard"),
        ("env.1.tier=compact", r"\[\[env\]\]: scheduling\?tier=compact is there twice"),
        ("env.arithmetic.largst=9", "did you mean 'largest'"),
        ('stage.evaluate.metrics=["parts.corect"]', "did you mean 'parts.correct'"),
        ("reward.expression=correct + format", "unknown reward 'correct'"),
        ('stage.evaluate.baselines=["greedy_heuristic"]', "unknown baseline"),
    ],
)
def test_what_is_wrong_with_several_environments_is_one_line(tmp_path, given, says):
    with pytest.raises(UserError, match=says) as caught:
        check(config(tmp_path, MIXED, [given]))
    assert "\n" not in str(caught.value)


def test_no_stages_no_env_and_broken_files(tmp_path):
    for text, says in [
        ('[env]\nname = "scheduling"\n', "stage"),
        ('stage = []\n[env]\nname = "scheduling"\n', "stage"),
        ('[[stage]]\nkind = "sft"\n', "env: is missing"),
        ('[env]\nname = "scheduling"\n[[stage]]\nsteps = 2\n', "needs a kind"),
        ("[env\n", "line 1"),
        (f"env = []\n{STAGE}", "write a table"),
        (f"env = 3\n{STAGE}", "env"),
        (f'[[env]]\nname = "scheduling"\n[[env]]\nname = "countdown"\nweight = 0\n{STAGE}', r"env\.1: weight: "),
        (f'[[env]]\nname = "scheduling"\n[[env]]\nweight = 1\n{STAGE}', r"env\.1: name: is missing"),
        (f'[[env]]\nname = "scheduling"\n[[env]]\nname = "countdwn"\n{STAGE}', "did you mean 'countdown'"),
        (f'[[env]]\nname = "scheduling"\n[[env]]\nname = "scheduling"\ntier = "published"\n{STAGE}', "is there twice"),
    ]:
        with pytest.raises(UserError, match=says):
            check(config(tmp_path, text))
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"run\.toml"):
        load_config(str(tmp_path / "run.toml"))
    with pytest.raises(UserError, match="no such config file"):
        load_config(str(tmp_path / "absent.toml"))
    with pytest.raises(UserError, match="did you mean 'quickstart'"):
        load_config("quikstart")


def test_shipped_configs_are_found_from_any_folder_and_say_their_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "quickstart" in shipped_configs()
    for name, path in shipped_configs().items():
        assert path.read_text().startswith(f"# rlvr run {name}"), name
        assert load_config(name).stage


def test_a_good_config_checks_and_a_stage_is_called_by_its_kind():
    checked = check_config(GOOD, "here")
    check(checked)
    assert [stage.name for stage in checked.stage] == ["sft", "grpo", "evaluate"]


def test_the_check_imports_no_torch_and_no_trl(tmp_path):
    program = (
        "import sys; from rlvr.cli import main\n"
        "assert main(['run', 'quickstart', '--check']) == 0\n"
        "sys.exit(', '.join({'torch', 'trl', 'transformers'} & {*sys.modules}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "override",
    [
        "seed=true",
        "model.trust_remote_code=yes",
        "model.trust_remote_code=1",
        'stage.grpo.steps="100"',
        "stage.grpo.steps=true",
        "stage.grpo.steps=10.0",
        'stage.grpo.learning_rate="1e-4"',
        "stage.evaluate.metrics=[1]",
    ],
)
def test_a_value_of_another_type_is_refused_and_never_bent(override):
    key = override.partition("=")[0].rpartition(".")[2]
    with pytest.raises(UserError, match=key):
        load_config("quickstart", [override])


@pytest.mark.parametrize("given", ["repetition_penalty=1.1", "generation_kwargs={do_sample=false}"])
def test_a_setting_of_trls_own_sampling_is_refused_where_it_would_do_nothing(tmp_path, given):
    assert "is of TRL's own sampling" in refusal(tmp_path, f"stage.grpo.trl.{given}")


def test_completions_are_sampled_for_whole_steps(tmp_path):
    passes = "stage.grpo.micro_batch_size=32"  # 4 passes a step
    check(config(tmp_path, sets=[passes, "stage.grpo.trl.steps_per_generation=8"]))
    assert "multiple of the 4 passes" in refusal(tmp_path, passes, "stage.grpo.trl.steps_per_generation=1")


def test_a_model_is_evaluated_once_a_split(tmp_path):
    again = '[env]\nname = "arithmetic"\n[[stage]]\nkind = "evaluate"\n[[stage]]\nkind = "evaluate"\nname = "greedy"\n'
    with pytest.raises(UserError, match="both evaluate base on test"):
        check(config(tmp_path, again))
    check(config(tmp_path, again + 'split = "train"\n'))


WITHOUT_TRAINING = """
import importlib.util, sys
real = importlib.util.find_spec
hidden = ("torch", "trl", "transformers", "peft", "datasets", "accelerate")
importlib.util.find_spec = lambda name, *more: None if name.split(".")[0] in hidden else real(name, *more)
for name in hidden:
    sys.modules[name] = None
from rlvr.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--check"], 0, "TRL's settings were not checked: trl is not installed (pip install 'rlvr[train]')"),
        (["--check"], 0, " (grpo): "),
        (["--check", "--set", "stage.sft.batchsize=2"], 2, "did you mean 'batch_size'?"),
        (["--check", "--set", "env.teir=hard"], 2, "did you mean 'tier'?"),
        (["--check", "--set", "reward.expression=2*exact_nubmer"], 2, "did you mean 'exact_number'?"),
        (["--check", "--set", "stage.grpo.trl.num_generations=4"], 2, "write group_size instead"),
        ([], 2, "pip install 'rlvr[train]'"),
    ],
)
def test_the_light_core_checks_all_of_ours_and_says_that_trls_settings_were_not(tmp_path, options, code, says):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRAINING, "run", "quickstart", *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr.count("\n")) == (code, 1 if code else 0), done.stderr
    assert says in done.stdout + done.stderr


TEXT_ENV = '[env]\nname = "scheduling"\ntier = "compact"\n[[stage]]\nkind = "evaluate"\n'


def test_a_reward_that_fails_on_every_gold_is_refused_before_anything_loads(tmp_path):
    with pytest.raises(UserError, match=r"fails on 20 of 20 golds; the first: exact_number: .*no column 'answer'"):
        check(config(tmp_path, TEXT_ENV, ["reward.expression=exact_number"]))


def test_a_reward_that_golds_do_not_earn_in_full_is_warned_of(tmp_path):
    (tmp_path / "mean.py").write_text(
        "from rlvr_rewards import reward\n@reward\ndef half(completion): return 0.5\n"
        "@reward\ndef trained(completion, completion_ids): return 1.0\n"
    )
    warned = check(config(tmp_path, TEXT_ENV, [f"reward.expression={tmp_path}/mean.py:half"]))
    assert warned == ["golds earn 0.5 on average, and the reward can give 1: does it fit these tasks?"]
    warned = check(config(tmp_path, TEXT_ENV, [f"reward.expression={tmp_path}/mean.py:trained"]))
    assert warned == ["the reward was not tried on golds: only training has completion_ids"]
    assert check(config(tmp_path, TEXT_ENV)) == []


def test_an_environments_file_is_found_beside_the_config(tmp_path):
    (tmp_path / "mine.py").write_text("from rlvr_envs.library.arithmetic import Arithmetic as Mine\n")
    text = '[env]\nname = "mine.py:Mine"\n[[stage]]\nkind = "evaluate"\n'
    assert check(config(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ('["sucess"]', "did you mean 'success'?"),
        ('["parts.formt"]', "did you mean 'parts.format'?"),
        ('["optimum_ratoi"]', "did you mean 'optimum_ratio'?"),
        ('["pass@2"]', "unknown metric of stage evaluate 'pass@2'"),
    ],
)
def test_a_metric_that_cannot_exist_is_refused(tmp_path, metrics, says):
    with pytest.raises(UserError) as caught:
        check(config(tmp_path, TEXT_ENV, [f"stage.evaluate.metrics={metrics}"]))
    assert says in str(caught.value)


def test_every_metric_that_there_is_may_be_named(tmp_path):
    known = '["success","score","errors","tokens","truncated","parts.format","optimum_ratio","pass@2","pass@3"]'
    check(config(tmp_path, TEXT_ENV, [f"stage.evaluate.metrics={known}", "stage.evaluate.num_samples=3"]))


@pytest.mark.parametrize("expression", ["mine.py:brief", "0.5*'mine.py:brief' + success", "success & 'mine.py:brief'"])
def test_a_reward_of_a_file_is_found_beside_the_config(tmp_path, expression):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "mine.py").write_text("")
    (folder / "run.toml").write_text(f'{TEXT_ENV}[reward]\nexpression = "{expression}"\n')
    found = load_config(str(folder / "run.toml")).reward.expression
    assert found == expression.replace("mine.py", str(folder / "mine.py"))
