"""The doctor's line: curves of each kind, drawn with noise, are told apart."""

import math
from random import Random

import pytest

from rlvr.data.loss_curve import Curve, read_curve


def drawn(of_step, steps=200, noise=0.03):
    random = Random(0)
    return [of_step(n / steps) * (1 + random.uniform(-noise, noise)) for n in range(steps)]


def decay(start, end, rate=8):
    return lambda t: end + (start - end) * math.exp(-rate * t)


@pytest.mark.parametrize(
    ("losses", "held_out", "curve", "says"),
    [
        ([3.0, 2.0, 1.0], [], Curve.SHORT, "too few"),
        (drawn(decay(6, 1)), [], Curve.SETTLED, "settled"),
        (drawn(decay(6, 1, rate=1)), [], Curve.FALLING, "more steps"),
        (drawn(lambda t: decay(5.5, 0.65, rate=30)(t) - 0.25 * t), [], Curve.FALLING, "more steps"),
        (drawn(lambda t: 2.3), [], Curve.FLAT, "learning rate is too low"),
        (drawn(lambda t: 2 + t), [], Curve.RISING, "learning rate is too high"),
        (drawn(lambda t: 6 - 4 * min(t, 0.5) + 3 * max(0, t - 0.5)), [], Curve.RISING, "its lowest"),
        (drawn(decay(6, 0.05)), [], Curve.LOW, "held_out"),
        (drawn(decay(6, 0.05)), [3.0, 0.9, 0.8], Curve.MEMORISING, "under 0.2"),
        (drawn(decay(6, 0.5)), [2.0, 1.0, 1.6], Curve.MEMORISING, "after 1.000 at its best"),
        (drawn(decay(6, 0.05)), [3.0, 0.2, 0.06], Curve.SETTLED, "no sign of memorising"),
    ],
)
def test_it_sees_what_it_is(losses, held_out, curve, says):
    found = read_curve(losses, held_out)
    assert found.curve is curve, found
    assert says in found.says and "\n" not in found.says
