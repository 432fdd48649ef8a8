"""The trace browser in a terminal: what a run sampled, from its curves to one token. It reads `rlvr.traces` alone."""
