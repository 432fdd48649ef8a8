"""`rlvr spectrum`: what it shows, what it writes, and how it goes on."""

import pytest

from rlvr.cli import main
from rlvr.models.spectrum_files import read_unfrozen


def test_it_shows_the_types_and_writes_the_list(tiny, tmp_path, capsys):
    out, rows = tmp_path / "out.yaml", tmp_path / "rows.jsonl"
    command = ["spectrum", str(tiny), "--top-percent", "50", "--embeddings", "--to", str(out), "--rows", str(rows)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "mlp.down_proj" in printed and "32 x 64" in printed
    names = read_unfrozen(out)
    assert names[0] == "^model.embed_tokens.weight$" and len(names) == 8
    assert len(rows.read_text().splitlines()) == 15
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["nobody/has-this"], "not on this machine"),
        (["."], "found no matrix"),
    ],
)
def test_what_cannot_be_scanned_is_said(tmp_path, monkeypatch, capsys, options, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the command sets it for its process, which is ours
    assert main(["spectrum", *options]) == 2
    assert says in " ".join(capsys.readouterr().err.split())
