"""What docs/audit.md shows is run: the policy of one's own; and the counts that it names are right."""

import re
from pathlib import Path

from rlvr.audit.mutations import KEEPS, LOSES
from rlvr.audit.policy import POLICIES
from rlvr.audit.testing import check_audit
from rlvr_envs import make

TEXT = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def test_the_policy_of_the_page_is_tried(tmp_path):
    source = next(block for block in blocks(TEXT, "python") if "def every_word_twice" in block)
    (tmp_path / "my_policies.py").write_text(source)
    own = POLICIES.get(f"{tmp_path}/my_policies.py:every_word_twice")
    found = check_audit(make("arithmetic"), num_tasks=3, policies=[own])
    assert found.trials[-1].name == "every word twice"


def test_the_page_counts_and_names_what_there_is():
    assert f"{len(POLICIES.names())} of them" in TEXT
    assert f"{len(LOSES)} that must lose" in TEXT and f"{len(KEEPS)} that must not" in TEXT
    assert [name for name in LOSES if name not in TEXT] == []
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    assert f"{len(POLICIES.names())} degenerate policies, {len(LOSES) + len(KEEPS)} mutations" in readme
