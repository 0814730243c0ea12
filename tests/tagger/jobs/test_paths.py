"""Folders and several inputs, what is refused before any work, and options that don't go together."""

import io
import json
import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.artifacts import MARKERS
from nerbert.tagger.tagger import Tagger
from tests.tagger.jobs.conftest import Tag
from tests.tagger.jobs.fakes import Capitals
from tests.tagger.jobs.rows import rows

Caught = pytest.CaptureFixture[str]


@pytest.fixture
def folder(capitals: Capitals) -> Path:
    """A folder of files, of which some can be read."""
    files = {
        "a.txt": "Ada\n",
        "deep/er/b.jsonl": '{"text": "Bob"}\n',
        "deep/c.conll": "Eve\tO\n",
        "d.pdf": "%PDF",
        ".hidden.txt": "x",
        "deep/.h/e.txt": "x",
        "README.md": "x",
    }
    for name, text in files.items():
        path = Path("in") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Path("in")


def names(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def test_a_folder_becomes_a_folder(tag: Tag, folder: Path, capsys: Caught) -> None:
    assert tag(folder, "-o", "out") == 0
    assert names("out") == ["a.jsonl", "deep/c.jsonl", "deep/er/b.jsonl", "manifest.json"]
    assert rows("out/deep/er/b.jsonl")[0]["spans"][0]["text"] == "Bob"
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["files"] == [
        {"file": "a.jsonl", "rows": 1, "entities": {"vowel": 1}},
        {"file": "deep/c.jsonl", "rows": 1, "entities": {"vowel": 1}},
        {"file": "deep/er/b.jsonl", "rows": 1, "entities": {"else": 1}},
    ]
    assert capsys.readouterr().err == (
        "out: 3 files, 3 rows, 3 entities (vowel 2, else 1)\n"
        "files skipped: 2, such as in/README.md; name them, or give --from\n"
    )
    assert "manifest.json" in MARKERS
    assert tag(folder, "-o", "out") == 1
    assert "out: exists already; choose another place or pass --overwrite" in capsys.readouterr().err
    assert tag(folder, "-o", "out", "--to", "html", "--overwrite") == 0
    assert names("out") == ["a.html", "deep/c.html", "deep/er/b.html", "manifest.json"]


def test_a_folder_of_one_kind(tag: Tag, folder: Path, capsys: Caught) -> None:
    assert tag(folder, "-o", "out", "--from", "conll", "--to", "conll") == 0
    assert names("out") == ["deep/c.conll", "manifest.json"]
    assert tag(folder, "--from", "parquet", "--json") == 1
    assert "in: contains no file with a name for parquet" in capsys.readouterr().err


def test_links_that_lead_out_of_a_folder_are_passed_over(tag: Tag, folder: Path, capsys: Caught) -> None:
    Path("secret.txt").write_text("Secret\n")
    Path("elsewhere").mkdir()
    Path("elsewhere/f.txt").write_text("Secret\n")
    for name, target in (
        ("out.txt", "../secret.txt"),
        ("dir", "../elsewhere"),
        ("none.txt", "nothing"),
        ("in.txt", "a.txt"),
        ("round.txt", "round.txt"),
    ):
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.txt")
    assert tag(folder, "-o", "out") == 0
    assert names("out") == ["a.jsonl", "deep/c.jsonl", "deep/er/b.jsonl", "in.jsonl", "manifest.json"]
    assert "files skipped: 7" in capsys.readouterr().err


def test_several_inputs_and_a_folder_of_one_file_become_folders(
    tag: Tag, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("z.txt").write_text("Zoe\n")
    assert tag("z.txt", folder / "deep", "-o", "new/out") == 0
    assert names("new/out") == ["c.jsonl", "er/b.jsonl", "manifest.json", "z.jsonl"]
    assert tag(folder / "deep" / "er", "-o", "one") == 0
    assert names("one") == ["b.jsonl", "manifest.json"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Ada")))
    assert tag("-", folder / "a.txt", "-o", "out") == 0
    assert names("out") == ["a.jsonl", "manifest.json", "stdin.jsonl"]


@pytest.mark.usefixtures("capitals")
def test_names_keep_what_tells_no_kind(tag: Tag) -> None:
    for name in ("notes.v1", "notes.v2", "x.txt.gz", "y.json"):
        Path(name).write_bytes(b"")
    assert tag("notes.v1", "notes.v2", "x.txt.gz", "y.json", "-o", "out", "--to", "conll") == 0
    assert names("out") == ["manifest.json", "notes.v1.conll", "notes.v2.conll", "x.conll", "y.conll"]


def test_names_that_are_no_text(tag: Tag, capitals: Capitals, capsys: Caught) -> None:
    odd = os.fsdecode(b"in/\xff\x1b.txt")
    Path("in").mkdir()
    Path(odd).write_text("Ada")
    assert tag("in", "-o", "out", "--field", "\udcff") == 0
    assert json.loads(Path("out/manifest.json").read_text())["files"][0]["file"] == "\\udcff\x1b.jsonl"
    assert tag(odd, "-o", "y.html") == 0
    Path(odd).write_bytes(b"\xff")
    assert tag("in", "--json") == 1
    assert capsys.readouterr().err.endswith(
        "nerbert: in/\\udcff\\x1b.txt:1: not UTF-8 at byte 0 of the line; convert "
        "the text to UTF-8 (or pass --errors replace)\n"
    )


CLASHES: list[tuple[dict[str, str], str, str]] = [
    ({"in/a.conll": "x"}, "in -o out", "in/a.txt and in/a.conll: both would become out/a.jsonl"),
    ({"a.txt": "x"}, "a.txt in/a.txt -o out", "in/a.txt and a.txt: both would become out/a.jsonl"),
    ({"in/a.jsonl/x.txt": "x"}, "in -o out", "in/a.jsonl/x.txt: would lie in out/a.jsonl, which is a file there"),
    ({"in/manifest.json/x.txt": "x"}, "in -o out", "in/manifest.json/x.txt: would lie in out/manifest.json, which is"),
    ({"out/letter": "dear"}, "in -o out --overwrite", "out: not a folder that nerbert made"),
]
REFUSED: list[tuple[str | list[str], str]] = [
    ("none.txt", "none.txt: no such file or folder; give files or folders, - for standard input, or a text itself"),
    ("in/a.txt none", "none: no such file or folder"),
    (["Ada met Bob."], "Ada met Bob.: no such file or folder; give files or folders, - for standard input, or a text"),
    (["Ada came. " * 40], "Ada came. Ada came. Ada came. Ada came. Ada c … . Ada came. Ada came. Ada came. : no such"),
    ("in/a.txt --text Ada", "--text: is tagged instead of files, such as 'in/a.txt'"),
    (["", "x"], "'': no such file or folder"),
    ("in/deep/.h", "in/deep/.h: "),
    ("in -o in/out", "in/out: is in itself, is in it or contains it"),
    ("in -o in", "in: is in/a.txt itself, is in it or contains it"),
    ("in/a.txt in/README.md -o in", "in: is in/a.txt itself, is in it or contains it"),
    ("in/a.txt -o in/a.txt --overwrite", "in/a.txt: is the input itself; name another output"),
    ("in/a.txt -o nowhere/x.jsonl", "nowhere: no such folder; make it first"),
    ("in/a.txt -o in", "in: its name tells no format; give --to one of text, conll, jsonl, parquet"),
    ("in/a.txt -o in --json", "in: is no file; name one"),
    ("in/a.txt -o x.jsonl.gz", "x.jsonl.gz: can't be packed here"),
    ("in/a.txt -o x.docx", "x.docx: its name tells no format; give --to one of"),
    ("in/a.txt -o x.json", "x.json: several formats have such names; give --to one of gliner, "),
    ("in/d.pdf", "in/d.pdf: seems to be PDF; extract its text, or name its format with --from"),
    ("in/a.txt --to html", "--to html: is made as a whole, so name a file for it with -o"),
    ("in/a.txt --to docx", "--to 'docx': must be one of text, conll, jsonl, parquet, html, spacy"),
    ("in/a.txt --from html", "--from 'html': must be one of text, conll, jsonl, parquet, spacy"),
    ("in/a.txt --to doccano", "--to doccano: is made as a whole, so name a file for it with -o"),
    ("in/a.txt --offsets utf-16 --to doccano -o x", "--offsets utf-16: doccano counts as"),
    ("in/a.txt --errors ignore", "--errors 'ignore': must be one of strict, replace"),
    ("in/a.txt --offsets words --json", "--offsets 'words': must be one of characters, utf-16, bytes"),
    ("in/a.txt --offsets utf-16", "--offsets utf-16: text has no offsets for programs"),
    ("in/a.txt --json --to conll", "--json is --to jsonl, so --to conll contradicts it"),
    ("- -", "standard input (-) can be read only once"),
    *(
        (f"in/a.txt --min-confidence {text}", f"--min-confidence {text!r}: must be a number, or type=number")
        for text in ("much", "a=", "a=0.5,b", "=x")
    ),
]


@pytest.mark.parametrize(
    ("files", "arguments", "told"), [*CLASHES, *(({}, arguments, told) for arguments, told in REFUSED)]
)
def test_what_cannot_be_is_said_before_the_tagger_is_loaded(
    tag: Tag,
    folder: Path,
    capsys: Caught,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    arguments: str | list[str],
    told: str,
) -> None:
    monkeypatch.setattr(Tagger, "load", None)
    for name, text in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    (folder / "deep" / ".h" / "e.txt").unlink()
    before = names(".")
    assert tag(*(arguments.split() if isinstance(arguments, str) else arguments)) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"nerbert: {told}")
    assert err.count("\n") == 1
    assert names(".") == before


@pytest.mark.parametrize("source", ["-", "pipe"])
def test_parquet_through_a_pipe_is_copied_for_a_file_and_refused_for_standard_output(
    tag: Tag, capsys: Caught, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    pq.write_table(pa.table({"text": ["Ada", "x"]}), "x.parquet")
    data = Path("x.parquet").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    os.mkfifo("pipe")
    assert tag(source, "--from", "parquet", "--json") == 1
    told = f"{source.replace('-', 'standard input')}: Parquet can't be read from a pipe; name a file"
    assert told in capsys.readouterr().err
    writer = threading.Thread(target=lambda: source == "pipe" and Path(source).write_bytes(data))
    writer.start()
    assert tag(source, "--from", "parquet", "-o", "y.parquet") == 0
    writer.join()
    assert [len(spans) for spans in pq.read_table("y.parquet")["spans"].to_pylist()] == [1, 0]


def test_what_the_tagger_is_loaded_with(folder: Path, monkeypatch: pytest.MonkeyPatch, tag: Tag) -> None:
    seen: list[dict[str, object]] = []

    def load(source: str, **named: object) -> Capitals:
        seen.append({"source": source, **named})
        return Capitals()

    monkeypatch.setattr(Tagger, "load", load)
    options = ["--decoding", "greedy", "--on-too-long", "error", "--backend", "torch", "--precision", "fp32"]
    assert tag("in/a.txt", *options, "--threads", "2", "--device", "cpu", "--min-confidence", "a=b=0.5, c=1") == 0
    assert tag("in/a.txt", "--min-confidence", "0.25") == 0
    usual = {
        "source": "tagger",
        "decoding": "",
        "on_too_long": "",
        "backend": "auto",
        "precision": "auto",
        "device": "",
        "threads": 0,
        "head": "",
    }
    assert seen == [
        {
            "source": "tagger",
            "decoding": "greedy",
            "on_too_long": "error",
            "backend": "torch",
            "precision": "fp32",
            "threads": 2,
            "device": "cpu",
            "head": "",
            "thresholds": {"a=b": 0.5, "c": 1.0},
        },
        usual | {"thresholds": 0.25},
    ]
