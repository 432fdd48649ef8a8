"""What goes over the steps of a stage, joined from its traces and from what training logged."""

from collections.abc import Mapping, Sequence

from rlvr.traces.metrics import Curve
from rlvr.traces.tally import StepSummary

_OF_STEPS = ("reward", "success", "length", "entropy", "zero_variance", "clipped", "errors")
_ORDER = ("reward", "parts", "success", "length", "entropy", "kl", "zero_variance", "clipped", "sampler_gap")


def curves_of(steps: Sequence[StepSummary], logged: Mapping[str, Curve]) -> dict[str, Curve]:
    """The curves by name; of a step that stands in both, the value of the traces.

    Args:
        steps: Of one stage and split.
        logged: The curves of `metrics.jsonl`.
    """
    curves = {name: dict(curve) for name, curve in logged.items()}
    for step in steps:
        parts = {f"parts.{name}": value for name, value in step.parts.items()}
        for name, value in {**{name: getattr(step, name) for name in _OF_STEPS}, **parts}.items():
            if value is not None:
                curves.setdefault(name, {})[step.step] = value
    return {name: sorted(curves[name].items()) for name in sorted(curves, key=_place) if curves[name]}


def _place(name: str) -> tuple[int, str]:
    """Where a curve stands among the others."""
    first = name.partition(".")[0]
    return (_ORDER.index(first) if first in _ORDER else len(_ORDER), name)
