"""`evaluate`: models and baselines on the same held-out tasks, with intervals and paired differences."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from rlvr.config.schema import RunConfig, StageConfig
from rlvr.pipeline.stage import Stage, StageResult
from rlvr_rewards.errors import unknown_name

if TYPE_CHECKING:
    from rlvr.evaluation.evaluate import Evaluation
    from rlvr.pipeline.run import Run


class EvaluateStageConfig(StageConfig):
    """Settings of `evaluate`.

    Attributes:
        models: Names of training stages (or `base`) whose models are evaluated; by default the last one's.
        baselines: Names of the environment's policies without a model.
        num_tasks: Held-out tasks, the same for all.
        num_samples: Completions a task.
        temperature: Of sampling; 0 is greedy.
        max_new_tokens: The token budget of one completion.
        metrics: What the closing table shows.
    """

    models: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()
    split: str = "test"
    num_tasks: int = Field(default=500, ge=2)
    num_samples: int = Field(default=1, ge=1)
    temperature: float = Field(default=1.0, ge=0)
    max_new_tokens: int = Field(default=64, ge=1)
    metrics: tuple[str, ...] = ("success", "score")


class EvaluateStage(Stage):
    """Samples, scores, and writes `results.json`."""

    kind = "evaluate"
    Config = EvaluateStageConfig
    makes_model = False

    @staticmethod
    def check(config: EvaluateStageConfig, run: RunConfig) -> None:
        from rlvr.pipeline.run import BASE, environment_of
        from rlvr.stages import STAGES

        env = environment_of(run)
        env.require_split(config.split)
        names = [stage.name for stage in run.stage]
        before = [BASE, *(s.name for s in run.stage[: names.index(config.name)] if STAGES.get(s.kind).makes_model)]
        for name in config.models:
            if name not in before:
                raise unknown_name(f"model of stage {config.name}", name, before)
        for name in config.baselines:
            if name not in env.baselines():
                raise unknown_name(f"baseline of {env.name}", name, env.baselines())

    @staticmethod
    def plan(config: EvaluateStageConfig) -> str:
        return f"{config.num_tasks} held-out tasks, {config.num_samples} sample(s), temperature {config.temperature:g}"

    @staticmethod
    def run(config: EvaluateStageConfig, run: "Run") -> StageResult:
        from rlvr.evaluation.evaluate import baseline_policy, evaluate, held_out_tasks, result_rows
        from rlvr.evaluation.table import results_table

        tasks = held_out_tasks(run.env, config.split, config.num_tasks, run.config.seed)
        evaluations: list[Evaluation] = []
        for name in [*config.baselines, *_models(config, run)]:
            policy = (
                baseline_policy(run.env, name, run.config.seed)
                if name in config.baselines
                else _model_policy(name, config, run)
            )
            completions = policy(tasks, config.num_samples)
            evaluations.append(evaluate(name, run.env, run.reward, tasks, completions))
        for evaluation in evaluations:
            is_model = evaluation.stage not in config.baselines
            common: dict[str, Any] = {
                "model": run.model_of(evaluation.stage) if is_model else None,
                "env": run.config.env.name,
                "split": config.split,
                "samples": config.num_samples,
                "temperature": config.temperature if is_model else None,
                "seed": run.config.seed,
            }
            run.folder.record_results(result_rows(evaluation, common, run.config.seed))
        run.console.print(results_table(evaluations, config.metrics, run.config.seed))
        return StageResult()


def _models(config: EvaluateStageConfig, run: "Run") -> tuple[str, ...]:
    from rlvr.stages import STAGES

    if config.models:
        return config.models
    before = []
    for stage in run.config.stage:
        if stage.name == config.name:
            break
        before += [stage.name] if STAGES.get(stage.kind).makes_model else []
    return (before[-1] if before else "base",)


def _model_policy(name: str, config: EvaluateStageConfig, run: "Run") -> Any:
    from rlvr.engine.sampling import SamplingParams
    from rlvr.evaluation.policy import model_policy
    from rlvr.models.load import load_model, load_tokenizer

    path = run.model_of(name)
    params = SamplingParams(config.max_new_tokens, config.temperature)
    return model_policy(
        load_model(path, run.config.model), load_tokenizer(path, run.config.model), run.env, params, run.config.seed
    )
