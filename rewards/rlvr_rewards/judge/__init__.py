"""An LLM as a judge, behind any OpenAI-compatible endpoint: what is asked, how it is read, what it may cost.

A judge is slow, costs money, prefers what stands first and what is long, and reads text that wants to be rated well. So
judgments are cached on disk and paid from a budget, pairs are asked in both orders and a disagreement is a tie, and the
judged text is delimited and cannot speak in the form of a verdict. The rewards are in `rlvr_rewards.library.judge`.

Not here: any claim that a judge is right. Measure it: `report()` says how often it changed its mind with the order.
"""

from rlvr_rewards.judge.judging import report

__all__ = ["report"]
