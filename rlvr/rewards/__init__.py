"""Rewards that need more than the text and its row, such as torch; found by the entry point `rlvr.rewards`."""
