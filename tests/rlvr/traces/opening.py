"""Runs opened and looked into, for the tests of what an index says of them."""

from rlvr.traces.index import TraceIndex


def opened(path):
    index = TraceIndex.open(path)
    index.refresh()
    return index


def step_of(index, step, split="train"):
    return next(each for each in index.steps() if (each.step, each.split) == (step, split))
