"""What runs on the far side: the launcher, and all that is visible inside a sandbox.

These modules are started by `python -I -S` as the top-level package `inside`, without rlvr and without site-packages:
they import the standard library and each other (relatively), nothing else.
"""
