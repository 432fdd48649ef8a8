"""The program in a gold answer, for what is tried against tasks whose answer is run on inputs."""

import ast
from dataclasses import dataclass

from rlvr.audit.case import Case


@dataclass(frozen=True)
class Program:
    """A gold answer that is Python.

    Attributes:
        name: The function that is called: the first one that it defines.
    """

    name: str

    def doing(self, body: str, before: str = "") -> str:
        """Another program with that function, which takes anything, and what stands before it.

        >>> print(Program("f").doing("return args[0]", "import os"))
        import os
        def f(*args):
            return args[0]
        """
        lines = [*before.splitlines(), f"def {self.name}(*args):", *(f"    {line}" for line in body.splitlines())]
        return "\n".join(lines)


def program_of(case: Case) -> Program | None:
    """The program that gold's answer is; `None` where it defines no function."""
    try:
        body = ast.parse(case.answer).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    return Program(names[0]) if names else None
