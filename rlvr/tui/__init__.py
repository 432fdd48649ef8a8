"""The trace browser in a terminal: what a run sampled, from the curves down to one token. It reads `rlvr.traces` alone."""
