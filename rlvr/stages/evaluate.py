"""`evaluate`: models and baselines on the same held-out tasks, with intervals and paired differences."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from rlvr.config.schema import RunConfig
from rlvr.models.room import check_budget
from rlvr.pipeline.sampling import SamplingConfig, check_sampling, refuse_vllm_of_one
from rlvr.pipeline.stage import Stage, StageResult
from rlvr_rewards.errors import UserError, unknown_name

if TYPE_CHECKING:
    from rlvr.evaluation.evaluate import Evaluation, Exam
    from rlvr.pipeline.run import Run


class EvaluateStageConfig(SamplingConfig):
    """Settings of `evaluate`.

    Attributes:
        models: Names of training stages (or `base`) whose models are evaluated; by default that of `start`.
        baselines: Names of the environment's policies without a model.
        num_tasks: Held-out tasks, the same for all; of several environments as many of each.
        num_samples: Completions a task.
        temperature: Of sampling; 0 is greedy.
        top_p, top_k, min_p: What is left out of the draw; see `SamplingParams`.
        split: Which tasks.
        metrics: What the closing tables show, and what the policies' paired differences are taken of.
    """

    models: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()
    split: str = "test"
    num_tasks: int = Field(default=500, ge=2)
    num_samples: int = Field(default=1, ge=1)
    temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    min_p: float = Field(default=0.0, ge=0, le=1)
    metrics: tuple[str, ...] = ("success", "score")


class EvaluateStage(Stage):
    """Samples, scores, and writes `results.json`."""

    kind = "evaluate"
    Config = EvaluateStageConfig
    makes_model = False

    @classmethod
    def check(cls, config: EvaluateStageConfig, run: RunConfig) -> None:
        from rlvr.pipeline.run import BASE, environment_of
        from rlvr.stages import STAGES

        env = environment_of(run)
        env.require_split(config.split)
        check_sampling(config)
        check_budget(config.name, config.max_new_tokens, run.model)
        names = [stage.name for stage in run.stage]
        _refuse_second_evaluation(config, run)
        _refuse_unknown_metrics(config, run)
        before = [BASE, *(s.name for s in run.stage[: names.index(config.name)] if STAGES.get(s.kind).makes_model)]
        for name in config.models:
            if name not in before:
                raise unknown_name(f"model of stage {config.name}", name, before)
        for name in config.baselines:
            if name not in env.baselines():
                raise unknown_name(f"baseline of {env.name}", name, env.baselines())
            if name in names:
                raise UserError(f"stage {config.name}: a stage and a baseline are both called {name}: rename the stage")

    @classmethod
    def check_processes(cls, config: EvaluateStageConfig) -> None:
        refuse_vllm_of_one(config)

    @classmethod
    def plan(cls, config: EvaluateStageConfig) -> str:
        return f"{config.num_tasks} held-out tasks, {config.num_samples} sample(s), temperature {config.temperature:g}"

    @classmethod
    def depends_on(cls, config: EvaluateStageConfig, run: RunConfig) -> tuple[str, ...]:
        return _models(config, run)

    @classmethod
    def traced(cls, config: EvaluateStageConfig, run: RunConfig) -> list[tuple[str, str]]:
        return [(name, config.split) for name in (*config.baselines, *_models(config, run))]

    @classmethod
    def run(cls, config: EvaluateStageConfig, run: "Run") -> StageResult:
        from rlvr.evaluation.evaluate import Exam, held_out_tasks
        from rlvr.evaluation.results import result_rows
        from rlvr.evaluation.table import show_results

        seed, models = run.config.seed, _models(config, run.config)
        tasks = held_out_tasks(run.env, config.split, config.num_tasks, seed)
        wanted = config.num_tasks * len(run.env.streams(config.split, seed))
        if len(tasks) < wanted:
            found = f"the split {config.split} has {len(tasks)} tasks, not num_tasks {wanted}"
            run.warn(f"{config.name}: {found}: all are taken")
        exam = Exam(run.env, run.reward, config.split, tasks, config.num_samples, seed, run.folder.path.name)
        evaluations = [_evaluate(name, config, exam, run) for name in (*config.baselines, *models)]
        paths = {name: _relative(run.model_of(name), run.folder.path) for name in models}
        rows = result_rows(evaluations, exam, paths, config.metrics)
        run.folder.record_results(rows)
        show_results(run.console, rows, evaluations, config.metrics)
        return StageResult(tokens=sum(_num_tokens(evaluation) for evaluation in evaluations))

    @classmethod
    def recall(cls, config: EvaluateStageConfig, run: "Run") -> None:
        from rlvr.evaluation.table import show_metrics

        names = {*config.baselines, *_models(config, run.config)}
        rows = [row for row in run.folder.results() if row["stage"] in names and row["split"] == config.split]
        show_metrics(run.console, rows, config.metrics)


def _refuse_unknown_metrics(config: EvaluateStageConfig, run: RunConfig) -> None:
    """Refuses a metric that no evaluation could have; where the tasks are not on this machine yet, nobody can say."""
    from rlvr.evaluation.metrics import possible_metrics
    from rlvr.pipeline.run import environment_of, reward_of
    from rlvr_envs.faults import faults_named

    env = environment_of(run)
    reward = reward_of(run, env)
    try:
        with faults_named(env):
            known = possible_metrics(env, reward, config.split, config.num_samples, run.seed)
    except UserError:
        return
    for metric in config.metrics if known else ():
        if metric not in known:
            raise unknown_name(f"metric of stage {config.name}", metric, known)


def _refuse_second_evaluation(config: EvaluateStageConfig, run: RunConfig) -> None:
    """Refuses to evaluate a policy twice on one split: results and traces of one would replace those of the other."""

    def policies(stage: EvaluateStageConfig) -> set[str]:
        return {*stage.baselines, *_models(stage, run)}

    for other in run.stage[: [stage.name for stage in run.stage].index(config.name)]:
        if isinstance(other, EvaluateStageConfig) and other.split == config.split:
            for name in sorted(policies(other) & policies(config)):
                raise UserError(
                    f"stages {other.name} and {config.name} both evaluate {name} on {config.split}, and the results of "
                    "one would replace the other's: do it in one stage, or measure again with rlvr eval"
                )


def _evaluate(name: str, config: EvaluateStageConfig, exam: "Exam", run: "Run") -> "Evaluation":
    from rlvr.engine.sampling import SamplingParams
    from rlvr.evaluation.evaluate import evaluate
    from rlvr.evaluation.policy import BaselinePolicy, load_policy
    from rlvr.progress import progress_bar
    from rlvr.traces.store import TraceWriter

    traces = TraceWriter(run.folder.traces, name, config.split)
    if name in config.baselines:
        baseline = BaselinePolicy(run.env, name, config.split, exam.seed)
        with progress_bar(run.console, name, len(exam.tasks)) as advance:
            return evaluate(name, baseline, exam, traces, None, advance)
    params = SamplingParams(
        config.max_new_tokens,
        config.temperature,
        config.top_p,
        config.top_k,
        config.min_p,
        config.min_new_tokens,
        config.stop,
        config.record_alternatives,
        config.max_turns,
    )
    model, sampler = run.model_of(name), config.sampler_settings(run.config.model.trust_remote_code)
    policy = load_policy(model, run.config.model, run.env, params, config.split, exam.seed, sampler, run.console.print)
    with closing(policy), progress_bar(run.console, name, len(exam.tasks)) as advance:
        return evaluate(name, policy, exam, traces, _steps_of(name, run.config), advance)


def _num_tokens(evaluation: "Evaluation") -> int:
    return int(sum(sum(samples) for samples in evaluation.values.get("tokens", [])))


def _steps_of(name: str, config: RunConfig) -> int | None:
    """Optimizer steps that the model of a stage has behind it there; 0 for the base model."""
    return next((getattr(stage, "steps", None) for stage in config.stage if stage.name == name), 0)


def _relative(model: str, folder: Path) -> str:
    """A model's path from inside the run's folder where it is in there, so that the folder can move."""
    path = Path(model)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else model


def _models(config: EvaluateStageConfig, run: RunConfig) -> tuple[str, ...]:
    from rlvr.pipeline.run import start_of

    return config.models or (start_of(config, run),)
