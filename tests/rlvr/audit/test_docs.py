"""What docs/audit.md shows is run: the policy of one's own; and the counts that it names are right."""

import re
from pathlib import Path

from rlvr.audit.mutations import KEEPS, LOSES
from rlvr.audit.policy import POLICIES
from rlvr.audit.testing import check_audit
from rlvr_envs import make
from rlvr_envs.catalogue import every_tier
from rlvr_rewards.discovery import load_file

PARTS = ("environments", "fuzz")
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


def test_the_page_shows_the_audit_of_every_environment_and_what_is_fuzzed():
    """`python docs/make_audit.py` writes both tables; what is new since then is missing in them."""
    fuzz = load_file(Path(__file__).parents[3] / "benchmarks" / "fuzz.py")
    audited, fuzzed = (TEXT.partition(f"<!-- {part}: python")[2].partition(f"<!-- {part}: end")[0] for part in PARTS)
    specs = [spec.replace("gsm8k", "gsm8k?path=data/gsm8k") for spec in every_tier()]
    assert [spec for spec in specs if f"| `{spec}` |" not in audited] == []
    assert "no exploits win, no mutations miss" in audited
    assert [target.name for target in fuzz.targets() if f"| {target.name} |" not in fuzzed] == []
    assert "seed 0: no faults." in fuzzed
