"""Reading gold answers that are text: strictly, since a gold that cannot be read is a fault of the data, never a 0."""

from typing import Any


def gold_texts(gold: Any) -> list[str]:
    """The gold answer, or each of several that are as right, none of them blank.

    >>> gold_texts("New York"), gold_texts(["New York", "NYC"])
    (['New York'], ['New York', 'NYC'])

    Raises:
        ValueError: It is neither text nor a list of texts, or one is blank: an empty answer would earn it.
    """
    golds = [gold] if isinstance(gold, str) else gold
    if not isinstance(golds, list | tuple) or not golds or not all(isinstance(g, str) and g.strip() for g in golds):
        raise ValueError(f"the gold answer {str(gold)[:80]!r} is not text, nor a list of texts")
    return list(golds)
