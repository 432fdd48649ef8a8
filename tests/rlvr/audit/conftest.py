"""Every environment found by name, in each of its tiers; `gsm8k` on a few rows made here."""

import json

import pytest

from rlvr_envs import make
from rlvr_envs.catalogue import every_tier

ROWS = [
    ("Ann has 1,250 nuts and eats 16. How many are left?", "1250-16=<<1250-16=1234>>1,234\n#### 1,234"),
    ("It is 5 degrees and falls by 12. What is it now?", "5-12=<<5-12=-7>>-7\n#### -7"),
    ("Tom gives away all of his 9 pens. How many has he?", "9-9=<<9-9=0>>0\n#### 0"),
    ("A pen costs 3 dollars. What do 24 pens cost?", "24*3=<<24*3=72>>72\n#### 72"),
    ("Half of 173 sheets are blue. How many is that?", "173/2=<<173/2=86.5>>86.5\n#### 86.5"),
    ("Sue reads 43 pages in the morning and as many at noon. How many?", "43+43=<<43+43=86>>86\n#### 86"),
]


@pytest.fixture(scope="session")
def gsm8k_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gsm8k")
    rows = [{"question": question, "answer": answer} for question, answer in ROWS]
    for split, chosen in (("test", rows), ("train", [{**rows[0], "question": "1250-16?"}])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen))
    return folder


@pytest.fixture(params=every_tier())
def environment(request, gsm8k_folder):
    return make(request.param, **({"path": str(gsm8k_folder)} if request.param == "gsm8k" else {}))


@pytest.fixture
def arithmetic():
    return make("arithmetic")
