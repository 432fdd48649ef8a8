"""Means with their uncertainty: Wilson intervals for shares, a bootstrap over tasks for means, paired differences.

Evaluations follow arXiv 2411.00640: samples of one task are one cluster, and two models are compared on the same tasks.
A task without a value (a part that applied to none of its samples) is left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

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

        (p̂ + z²/2n ± z √(p̂(1 − p̂)/n + z²/4n²)) / (1 + z²/n)

    >>> wilson(0, 10)
    Estimate(mean=0.0, ci_low=0.0, ci_high=0.2775327998628892, n=10)
    """
    share = successes / n
    scale = 1 + Z95**2 / n
    centre = (share + Z95**2 / (2 * n)) / scale
    half = Z95 / scale * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return Estimate(share, low, high, n)


def bootstrap(values: Sequence[Sequence[float]], seed: int) -> Estimate:
    """The mean over tasks of the mean over samples, with a percentile bootstrap that resamples whole tasks.

    Args:
        values: For each task, the values of its samples.
        seed: Of the run; the resamples depend on it alone.
    """
    means = np.array([np.mean(samples) for samples in values if samples])
    random = np.random.default_rng(derive_seed(seed, purpose="bootstrap"))
    resampled = [means[random.integers(0, len(means), len(means))].mean() for _ in range(NUM_RESAMPLES)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(float(means.mean()), float(low), float(high), len(means))


class Kind(StrEnum):
    """What the values of a metric are, which decides its interval; the values met do not, since they vary by chance."""

    SHARE = "share"
    """Yes or no, such as `success`."""
    FRACTION = "fraction"
    """Anything from 0 to 1, such as a part of the reward."""
    NUMBER = "number"
    """Anything."""


def estimate(values: Sequence[Sequence[float]], seed: int, kind: Kind = Kind.SHARE) -> Estimate:
    """Wilson's interval for a share with one value a task, the clustered bootstrap otherwise.

    Where every sample of every task is 0, or every one is 1, Wilson's over tasks for fractions too: a bootstrap has
    nothing to vary there, and would call the result certain. Wilson's holds, since no fraction with such values can
    have a mean further away than a share could.
    """
    values = [samples for samples in values if samples]
    met = {value for samples in values for value in samples}
    is_single = kind == Kind.SHARE and all(len(samples) == 1 for samples in values)
    if met <= {0.0, 1.0} and kind != Kind.NUMBER and (len(met) == 1 or is_single):
        return wilson(sum(samples[0] for samples in values), len(values))
    return bootstrap(values, seed)


def paired_difference(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], seed: int) -> Estimate:
    """The mean difference on the same tasks, with a bootstrap over tasks: positive where `ours` is better."""
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a and b]
    return bootstrap([[float(np.mean(a)) - float(np.mean(b))] for a, b in pairs], seed)


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that k of a task's n samples, drawn without putting back, hold one of the c that succeeded.

        pass@k = 1 − Π_{i=n−c+1..n} (1 − k/i), and 1 where n − c < k        (Chen et al. 2021, arXiv 2107.03374)

    >>> pass_at_k(n=4, c=1, k=2)
    0.5
    """
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))
