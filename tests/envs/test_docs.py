"""The Python of docs/environments.md runs as it is written."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "environments.md"


def test_every_python_block_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    mine = next(block for block in blocks if "class Backwards" in block)
    (tmp_path / "my_env.py").write_text(mine)
    for number, block in enumerate(blocks):
        called = "".join(f"\n{name}()" for name in re.findall(r"^def (test_\w+)", block, re.MULTILINE))
        (tmp_path / f"block_{number}.py").write_text(block + called)
        subprocess.run([sys.executable, f"block_{number}.py"], cwd=tmp_path, check=True)
