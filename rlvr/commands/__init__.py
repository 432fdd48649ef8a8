"""The subcommands of `rlvr`, one a module. A new module here is found by itself.

A module has a docstring whose first line is its help, `configure(parser)` and `run(args) -> int`. It imports nothing
heavy at its top: `rlvr --help` reads all of them.
"""
