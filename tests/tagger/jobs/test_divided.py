"""Files that several runs divide: each tags a part, and one merges them to the bytes of one run."""

from pathlib import Path

import pytest

from tests.corpus.test_build import digests
from tests.tagger.jobs.conftest import Tag
from tests.tagger.jobs.fakes import Capitals

Caught = pytest.CaptureFixture[str]
LINES = [f"Ada {number} met Bob" for number in range(20)]


@pytest.mark.parametrize("output", ["jsonl", "folder"])
def test_tags_of_parts_are_the_same(
    tag: Tag,
    capitals: Capitals,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    capsys: Caught,
) -> None:
    monkeypatch.setattr("nerbert.tagger.jobs.files._PART", 40)
    inputs = ["a.txt", "b.txt"] if output == "folder" else ["a.txt"]
    for name in inputs:
        Path(name).write_text("\n".join(f"{line} {name}" for line in LINES))
    suffix = "" if output == "folder" else ".jsonl"
    assert tag(*inputs, "-o", f"whole{suffix}") == 0
    everything = sorted(capitals.seen)
    capitals.seen.clear()
    seen = []
    for part in ("1/3", "3/3", "2/3"):
        assert tag(*inputs, "-o", f"out{suffix}", "--part", part) == 0
        seen.append(len(capitals.seen))
    assert sorted(capitals.seen) == everything
    assert max(seen[0], seen[1] - seen[0], seen[2] - seen[1]) < len(everything) / 2
    assert tag(*inputs, "-o", f"out{suffix}", "--merge") == 0
    assert sorted(capitals.seen) == everything, "nothing is tagged again"
    made, whole = Path(f"out{suffix}"), Path(f"whole{suffix}")
    assert digests(made) == digests(whole)
    if suffix:
        assert made.read_bytes() == whole.read_bytes()
    assert not list(Path().glob(".*"))
    capsys.readouterr()
    assert tag(*inputs, "--part", "1/2") == 1
    assert "name a file or folder with -o" in capsys.readouterr().err


def test_standard_input_cannot_be_divided(tag: Tag, capsys: Caught) -> None:
    assert tag("-", "-o", "out.jsonl", "--part", "1/2") == 1
    assert "can't be divided among runs" in capsys.readouterr().err


def test_a_server_takes_no_parts(tag: Tag, capsys: Caught) -> None:
    assert tag("x.txt", "--server", "http://127.0.0.1:1", "--part", "1/2") == 1
    assert "--part: up to the server" in capsys.readouterr().err
