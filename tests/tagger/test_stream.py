import io
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from nerbert.errors import InputError
from nerbert.records import Span
from nerbert.tagger.stream import print_tagged, tag_stream
from nerbert.tagger.tagger import Tagger

LINE = "The brig Margarethe was built by Larsen & Holm."


def test_json_lines(tiny_tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = [LINE, "", "Tromsø\u2028 \x1b[31m red \x9b31m \x7f"]
    (tmp_path / "text").write_bytes("\r\n".join(text).encode())
    tag_stream(str(tiny_tagger), str(tmp_path / "text"), as_json=True)
    raw = capsys.readouterr().out
    rows = [json.loads(line) for line in raw.split("\n") if line]
    assert [row["text"] for row in rows] == text
    assert rows[0]["spans"]
    for row in rows:
        for span in row["spans"]:
            assert row["text"][span["start"] : span["end"]] == span["text"]
            assert set(span) == {"text", "type", "start", "end", "confidence"}
    assert "Tromsø" in raw
    assert not set(raw) & set("\x1b\x9b\x7f\u2028")


def test_text_for_people(tiny_tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text(f"{LINE}\n\n\x1b[31m red \x9b \x07\n")
    tag_stream(str(tiny_tagger), str(tmp_path / "text"), as_json=False)
    out = capsys.readouterr().out
    assert "Margarethe" in out
    assert r"\x1b" in out
    assert not set(out) & set("\x1b\x9b\x07")


def test_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    line = "[bold]red[/nope]"
    print_tagged(Console(soft_wrap=True), line, [Span(6, 9, "[/t]", "red", 0.5)])
    assert capsys.readouterr().out == "[bold]red [/t][/nope]\n  6–9  [/t]  0.50  red\n"


def test_bytes_that_are_no_text_name_the_line(tiny_tagger: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"fine\nnot \xff fine\n")
    with pytest.raises(InputError, match="text:2: not UTF-8 at byte 4"):
        tag_stream(str(tiny_tagger), str(tmp_path / "text"), as_json=True)


def test_standard_input(tiny_tagger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LINE.encode()), encoding="latin-1"))
    tag_stream(str(tiny_tagger), "-", as_json=True)
    assert json.loads(capsys.readouterr().out)["text"] == LINE
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    with pytest.raises(InputError, match="standard input:1: not UTF-8"):
        tag_stream(str(tiny_tagger), "-", as_json=True)


def test_a_pipe_is_a_file(tiny_tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(LINE))
    writer.start()
    tag_stream(str(tiny_tagger), str(tmp_path / "pipe"), as_json=True)
    writer.join()
    assert json.loads(capsys.readouterr().out)["text"] == LINE


def test_no_such_file_is_said_before_loading(tmp_path: Path) -> None:
    for name in ("none", "."):
        with pytest.raises(InputError, match="no such file"):
            tag_stream("./no-model", str(tmp_path / name), as_json=True)


class Instant(Tagger):
    """Finds nothing, at once."""

    def __init__(self) -> None: ...

    def tag_many(self, texts: Iterable[str]) -> Iterator[list[Span]]:
        """As many empty lists as texts, when all texts are there."""
        yield from [[] for _ in list(texts)]


class Screen(io.StringIO):
    """Says when something was flushed to it."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = threading.Event()

    def flush(self) -> None:
        """Say whether there is something to see."""
        if self.getvalue():
            self.shown.set()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_slow_pipe_is_answered_line_by_line(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    reader, writer = os.pipe()
    screen, answered = Screen(), []

    def ask() -> None:
        with os.fdopen(writer, "wb", buffering=0) as pipe:
            pipe.write(b"first\nsec")
            answered.append(screen.shown.wait(20))
            pipe.write(b"ond\nlast")

    monkeypatch.setattr(Tagger, "load", lambda source: Instant())
    monkeypatch.setattr("sys.stdin", os.fdopen(reader, encoding="utf-8"))
    monkeypatch.setattr("sys.stdout", screen)
    asker = threading.Thread(target=ask)
    asker.start()
    tag_stream("any", "-", as_json=as_json)
    asker.join()
    sys.stdin.close()
    assert answered == [True]
    found = screen.getvalue().splitlines()
    assert [json.loads(line)["text"] if as_json else line for line in found] == ["first", "second", "last"]


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"a", b"a\n", b"a\r\n\r\nb", b"x" * 200_000 + b"\n" + b"y" * 70_000 + b"\n"]
)
def test_lines_are_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: bytes
) -> None:
    (tmp_path / "text").write_bytes(text)
    monkeypatch.setattr(Tagger, "load", lambda source: Instant())
    tag_stream("any", str(tmp_path / "text"), as_json=True)
    found = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
    assert found == [line.decode().rstrip("\r\n") for line in io.BytesIO(text)]
