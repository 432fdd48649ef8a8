"""Means with their uncertainty: Wilson intervals for shares, a bootstrap over tasks for means, paired differences.

Evaluations follow arXiv 2411.00640: samples of one task are one cluster, and two models are compared on the same tasks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvr_envs.seeds import derive_seed

Z95 = 1.959963984540054
NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval.

    Attributes:
        mean: The mean over tasks.
        ci_low: Lower end of the interval.
        ci_high: Upper end of the interval.
        n: Number of tasks.
    """

    mean: float
    ci_low: float
    ci_high: float
    n: int


def wilson(successes: float, n: int) -> Estimate:
    """The share of successes with Wilson's score interval (Wilson 1927), which is honest near 0 and 1.

    >>> wilson(0, 10)
    Estimate(mean=0.0, ci_low=0.0, ci_high=0.2775327998628892, n=10)
    """
    share = successes / n
    scale = 1 + Z95**2 / n
    centre = (share + Z95**2 / (2 * n)) / scale
    half = Z95 / scale * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half), n)


def bootstrap(values: Sequence[Sequence[float]], seed: int) -> Estimate:
    """The mean over tasks of the mean over samples, with a percentile bootstrap that resamples whole tasks.

    Args:
        values: For each task, the values of its samples.
        seed: Of the run; the resamples depend on it alone.
    """
    means = np.array([np.mean(samples) for samples in values])
    random = np.random.default_rng(derive_seed(seed, purpose="bootstrap"))
    picks = random.integers(0, len(means), size=(NUM_RESAMPLES, len(means)))
    low, high = np.quantile(means[picks].mean(axis=1), [0.025, 0.975])
    return Estimate(float(means.mean()), float(low), float(high), len(means))


def estimate(values: Sequence[Sequence[float]], seed: int) -> Estimate:
    """Wilson's interval where there is one 0/1 value a task, the clustered bootstrap otherwise."""
    if all(len(samples) == 1 and samples[0] in (0.0, 1.0) for samples in values):
        return wilson(sum(samples[0] for samples in values), len(values))
    return bootstrap(values, seed)


def paired_difference(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], seed: int) -> Estimate:
    """The mean difference on the same tasks, with a bootstrap over tasks: positive where `ours` is better."""
    differences = [[float(np.mean(a)) - float(np.mean(b))] for a, b in zip(ours, theirs, strict=True)]
    return bootstrap(differences, seed)
