"""What goes to standard output: as it comes, in every format, escaped for terminals."""

import gzip
import io
import json
import os
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from nerbert.records import Span
from nerbert.tagger.jobs.job import TagJob, tag_files
from nerbert.tagger.tagger import Tagger
from nerbert.texts.kinds import lines_of, print_tagged
from tests.serve.heads import DEADLINE
from tests.tagger.jobs.conftest import Tag
from tests.tagger.jobs.fakes import Instant
from tests.tagger.jobs.rows import tagged

LINE = "The brig Margarethe was built by Larsen & Holm."
Caught = pytest.CaptureFixture[str]


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Let standard input hold this."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="latin-1"))


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        (
            "x",
            "Ada met Bob\n\n\x1b[31m red \x9b \x07\n",
            "[Ada|vowel] met [Bob|else]\n  0–3  vowel  0.70  Ada\n  8–11  else  0.83  Bob\n\\x1b[31m red \\x9b \\x07\n",
        ),
        ("x.jsonl", json.dumps({"text": "one Ada\r\ntwo"}), "one [Ada|vowel]\ntwo\n  4–7  vowel  0.70  Ada\n"),
    ],
)
def test_text_for_people(tag: Tag, capsys: Caught, name: str, content: str, shown: str) -> None:
    Path(name).write_text(content)
    assert tag(name) == 0
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("kind", ["text", "jsonl", "conll"])
def test_nothing_drives_a_terminal(tag: Tag, capsys: Caught, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr("nerbert.tagger.jobs.job.on_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    Path("x.jsonl").write_text(json.dumps({"tokens": ["Ada\x1b]0;x\x07", "\x9b31m", "\ud800"], "text\x1b": "\x9b"}))
    assert tag("x.jsonl", "--to", kind) == 0
    out = capsys.readouterr().out
    assert "Ada" in out
    assert not set(out) & set("\x07\x9b\ud800")
    assert ("\x1b[" in out) == (kind == "text")
    assert "\x1b]" not in out


def test_markup_is_text(capsys: Caught) -> None:
    line = "[bold]red[/nope]"
    print_tagged(Console(soft_wrap=True), line, [Span(6, 9, "[/t]", "red", 0.5)])
    assert capsys.readouterr().out == "[bold][red|[/t]][/nope]\n  6–9  [/t]  0.50  red\n"


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("", [], [("", [])]),
        ("a\nb\r\n", [(0, 1), (2, 3)], [("a", [(0, 1)]), ("b", [(0, 1)]), ("", [])]),
        ("ab\ncd", [(1, 4)], [("ab", [(1, 2)]), ("cd", [(0, 1)])]),
        ("ab\n\ncd", [(0, 6)], [("ab", [(0, 2)]), ("", []), ("cd", [(0, 2)])]),
        ("ab\ncd", [(2, 3), (3, 5)], [("ab", []), ("cd", [(0, 2)])]),
    ],
)
def test_lines_with_their_parts_of_entities(
    text: str, spans: list[tuple[int, int]], expected: list[tuple[str, list[tuple[int, int]]]]
) -> None:
    found = lines_of(text, [Span(*each, "t", text[slice(*each)]) for each in spans])
    assert [(line, [(start, end) for start, end, _ in marked]) for line, marked in found] == expected


def test_standard_input(tag: Tag, monkeypatch: pytest.MonkeyPatch, capsys: Caught) -> None:
    give(monkeypatch, "Ås Ada".encode())
    assert tag("-", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["text"], row["spans"][0]["start"]) == ("Ås Ada", 3)
    give(monkeypatch, b"ok\n\xff")
    assert tag("--json") == 1
    told = capsys.readouterr()
    assert told.out == '{"text": "ok", "spans": []}\n', "what was whole is given before the error"
    assert told.err.startswith("nerbert: standard input:2: not UTF-8 at byte 0 of the line")
    assert told.err.count("\n") == 1
    monkeypatch.setattr("sys.stdin", None)
    assert tag("--json") == 1
    assert "standard input: is closed" in capsys.readouterr().err


def test_a_text_itself_is_tagged(tag: Tag, capsys: Caught) -> None:
    """It may begin with a hyphen, have several lines, and go to a file."""
    assert tag("--text", "-Ada\nBob") == 0
    assert capsys.readouterr().out == "-[Ada|vowel]\n  1–4  vowel  0.70  Ada\n[Bob|else]\n  0–3  else  0.83  Bob\n"
    assert tag("--text", "Ada", "-o", "x.jsonl") == 0
    assert tagged("x.jsonl") == [("Ada", ["Ada"])]
    for options, told in (
        ((os.fsdecode(b"A\xff"),), "--text:1: "),
        (("Ada", "--workers", 2), "workers = 2: rows go to standard output from one process; name a file or folder"),
        (("Ada", "--executor", "tests.extending.toys.executor_toy:Threads"), "executor Threads, workers = 1: rows go"),
    ):
        assert tag("--text", *options) == 1
        assert told in capsys.readouterr().err
    for name, value in (("--workers", "1"), ("--executor", "local")):
        assert tag("--text", "Ada", name, value) == 0


@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_that_is_waited_for_is_told(
    tag: Tag, monkeypatch: pytest.MonkeyPatch, capsys: Caught, terminal: bool
) -> None:
    give(monkeypatch, b"Ada\n")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: terminal)
    assert tag() == 0
    told = capsys.readouterr()
    assert told.err == ("nerbert: reading from the terminal; end with Ctrl-D\n" if terminal else "")
    assert told.out.startswith("[Ada|vowel]")


def test_several_inputs_follow_one_another(tag: Tag, capsys: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.txt").write_text("a")
    Path("b.jsonl").write_text('{"text": "b", "id": 7}\n')
    Path("c.txt.gz").write_bytes(gzip.compress(b"c\n"))
    give(monkeypatch, b"d\n")
    assert tag("a.txt", "b.jsonl", "c.txt.gz", "-", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[1] == {"text": "b", "id": 7, "spans": []}


class Screen(io.BytesIO):
    def __init__(self) -> None:
        super().__init__()
        self.shown = threading.Event()

    def flush(self) -> None:
        if self.getvalue():
            self.shown.set()


SLOW = {
    "text": (b"first\nsec", b"ond\nlast", ["first", "second", "last"]),
    "jsonl": (b'{"text": "first"}\n{"te', b'xt": "second"}', ["first", "second"]),
    "conll": (b"first\tO\nword\tO\n\nsec", b"ond\n", ["first word", "second"]),
}


@pytest.mark.parametrize("to", ["text", "jsonl"])
@pytest.mark.parametrize("kind", SLOW)
def test_a_slow_pipe_is_answered_line_by_line(monkeypatch: pytest.MonkeyPatch, kind: str, to: str) -> None:
    reader, writer = os.pipe()
    screen, answered = Screen(), []
    begin, end, expected = SLOW[kind]

    def ask() -> None:
        with os.fdopen(writer, "wb", buffering=0) as pipe:
            pipe.write(begin)
            answered.append(screen.shown.wait(DEADLINE))
            pipe.write(end)

    monkeypatch.setattr(Tagger, "load", lambda source, **_: Instant())
    monkeypatch.setattr("sys.stdin", os.fdopen(reader, encoding="utf-8"))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(screen))
    asker = threading.Thread(target=ask)
    asker.start()
    tag_files(TagJob(tagger="any", from_=kind, to=to))
    asker.join()
    sys.stdin.close()
    assert answered == [True]
    found = screen.getvalue().decode().splitlines()
    assert [json.loads(line)["text"] if to == "jsonl" else line for line in found] == expected


def test_a_row_that_cannot_be_tagged_is_named_and_those_before_it_given(tag: Tag, capsys: Caught) -> None:
    Path("text").write_text("Ada\nBob\nthis is too long\nEve\n")
    assert tag("text", "--json") == 1
    told = capsys.readouterr()
    assert [json.loads(line)["text"] for line in told.out.splitlines()] == ["Ada", "Bob"]
    assert told.err == "nerbert: text:3: a sentence is longer than the window\n"
