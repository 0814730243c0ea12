"""`nerbert redact`: nothing marked is in any output, the map restores it, and bad input leaves nothing behind."""

import csv
import json
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.entity_labels import read_words
from nerbert.tables import read_columns
from nerbert.texts.kinds import read_rows
from nerbert_redact.job import KEY
from tests.commands import exit_code
from tests.tagger.jobs.fakes import Capitals
from tests.tagger.jobs.rows import rows, write_rows
from tests.tagger.jobs.test_resume import interrupted

Redact = Callable[..., int]
Caught = pytest.CaptureFixture[str]
LINES = "Ada met Bob.\n\nlater ada  left\r, ADA_x\nnothing\n"
ROWS = [
    {"text": "Ada met Bob.", "id": 1, "spans": [{"start": 0, "end": 3, "text": "Ada"}], "title": ["bob"], "Ada": "x"},
    {"text": "", "id": 2},
    {"text": "ada\nBob\nx", "id": 3, "title": ["by ADA", "bob", "7"]},
]


@pytest.fixture
def redact(capitals: Capitals) -> Redact:
    """`nerbert redact tagger …`; its exit code. Words with a capital are entities."""
    return partial(exit_code, "redact", "tagger")


def write(name: str) -> None:
    if name.endswith(".jsonl"):
        write_rows(name, ROWS)
    elif name.endswith(".csv"):
        with Path(name).open("w", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(["text", "id", "title"])
            table.writerows([each["text"], each["id"], json.dumps(each.get("title"))] for each in ROWS)
    else:
        table_rows = [{"text": each["text"], "id": each["id"], "title": json.dumps(each.get("title"))} for each in ROWS]
        pq.write_table(pa.Table.from_pylist(table_rows), name)


def content(name: str) -> str:
    return repr(pq.read_table(name).to_pylist()) if name.endswith(".parquet") else Path(name).read_text()


@pytest.mark.parametrize(
    ("source", "output", "how"),
    [
        ("x.jsonl", "y.csv", "replace"),
        ("x.csv", "y.parquet", "mask"),
        ("x.parquet", "y.jsonl", "hash"),
        ("x.csv", "y.csv", "hash"),
        ("x.jsonl", "y.jsonl", "mask"),
        ("x.parquet", "y.parquet", "replace"),
    ],
)
def test_nothing_marked_is_in_any_output(
    redact: Redact, monkeypatch: pytest.MonkeyPatch, source: str, output: str, how: str
) -> None:
    monkeypatch.setenv(KEY, "a secret of many bytes")
    write(source)
    assert redact(source, "-o", output, "--how", how, "--keep", "id,title", "--map", "m.jsonl") == 0
    shown = content(output).casefold()
    assert [word for word in ("ada", "bob", "spans", "met") if word in shown] == ["met"]
    before = content(source)
    assert exit_code("redact", "--undo", "m.jsonl", output, "-o", f"back-{output}") == 0
    assert content(source) == before
    restored = content(f"back-{output}")
    assert "Ada met Bob." in restored
    assert "ada\nBob\nx" in restored or r"ada\nBob\nx" in restored


@pytest.mark.parametrize(
    "raw", [b"\xef\xbb\xbfAda left.\r\nBob\r\n", b"Ada", b"", b"\xef\xbb\xbf", b"x\n\r", b"\nAda\r\r\n"]
)
def test_marks_and_ends_of_lines_are_kept_and_restored(redact: Redact, raw: bytes) -> None:
    Path("x.txt").write_bytes(raw)
    assert redact("x.txt", "-o", "y.txt", "--map", "m") == 0
    assert Path("y.txt").read_bytes() == raw.replace(b"Ada", b"[vowel 1]").replace(b"Bob", b"[else 1]")
    assert exit_code("redact", "--undo", "m", "y.txt", "-o", "z.txt") == 0
    assert Path("z.txt").read_bytes() == raw


def test_a_placeholder_of_the_text_stays_and_a_name_over_lines_is_one(redact: Redact) -> None:
    Path("x.txt").write_text("[vowel 1] met Ada\nada_lee\n")
    assert redact("x.txt", "-o", "y.txt", "--map", "m") == 0
    assert Path("y.txt").read_text() == "[vowel 1] met [vowel 2]\n[vowel 2]_lee\n"
    Path("y.txt").write_text("[vowel 1] saw [vowel 2]\n")
    assert exit_code("redact", "--undo", "m", "y.txt", "-o", "z.txt", "--edited") == 0
    assert Path("z.txt").read_text() == "[vowel 1] saw Ada\n"


def test_lines_are_redacted_counted_and_restored_to_the_byte(
    redact: Redact, capitals: Capitals, capsys: Caught
) -> None:
    Path("x.txt").write_bytes(LINES.encode())
    assert redact("x.txt", "-o", "y.txt", "--map", "m.jsonl") == 0
    assert Path("y.txt").read_bytes() == (b"[vowel 1] met [else 1].\n\nlater [vowel 1]  left\r, [vowel 2]\nnothing\n")
    said = capsys.readouterr().err
    counts = "entities redacted: 3 (vowel 2, else 1); repeats of them that the tagger didn't mark: 1 "
    assert f"y.txt: 4 rows; {counts}" in said
    assert "What the tagger misses stays in the text. How much that is isn't known of this tagger." in said
    assert stat.S_IMODE(Path("m.jsonl").stat().st_mode) == 0o600
    assert exit_code("redact", "--undo", "m.jsonl", "y.txt", "-o", "z.txt") == 0
    assert Path("z.txt").read_bytes() == LINES.encode()
    capitals.card = {"dev": {"recall": 0.875}}
    assert redact("x.txt", "-o", "again.txt") == 0
    assert "On its dev data it found 87.50 % of the entities." in capsys.readouterr().err


@pytest.mark.extras
@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv", "parquet"])
def test_checked_patterns_are_redacted_counted_and_restored(redact: Redact, capsys: Caught, kind: str) -> None:
    pytest.importorskip("presidio_analyzer")
    text = "Ada has GB82 WEST 1234 5698 7654 32, or 030-901820 x@example.org"
    write_rows("x.jsonl", [{"text": text}])
    options = ("-o", f"y.{kind}", "--map", "m", "--patterns")
    assert redact("x.jsonl", *options) == 0
    counts = capsys.readouterr().err
    assert "entities redacted: 4 (" in counts
    assert "bank account number 1" in counts
    new = "[vowel 1] has [bank account number 1], or [phone number 1] [e-mail address 1]"
    name = "text" if kind == "txt" else kind
    assert [row.text for row in read_rows(Path(f"y.{kind}"), name)] == [new]
    assert exit_code("redact", "--undo", "m", f"y.{kind}", "-o", f"z.{kind}") == 0
    assert [row.text for row in read_rows(Path(f"z.{kind}"), name)] == [text]


def test_patterns_are_refused_before_the_tagger_is_loaded(
    redact: Redact, capsys: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("x.txt").write_text("Ada\n")
    assert redact("x.txt", "-o", "y.txt", "--patterns=iban,BIC") == 1
    said = capsys.readouterr().err
    assert "--patterns 'BIC'" in said
    table = list(read_columns("patterns.tsv", "name", "label", package="nerbert_redact"))
    assert [name for name, _ in table if name not in said] == []
    assert [read_words(name) for name, _ in table] == [label for _, label in table]
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    assert redact("x.txt", "-o", "y.txt", "--patterns") == 1
    assert "pip install 'nerbert[presidio]'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_texts_of_any_characters_are_restored(redact: Redact, kind: str) -> None:
    texts = ["Ada\r\nand\rBob\r", "", '"Ada", ""', "Ada\u2028\x85\tBob\n", "nothing", "\ufeffAda"]
    write_rows("x.jsonl", [{"text": each} for each in texts])
    assert redact("x.jsonl", "-o", f"y.{kind}", "--map", "m") == 0
    assert exit_code("redact", "--undo", "m", f"y.{kind}", "-o", f"z.{kind}") == 0
    assert [row.text for row in read_rows(Path(f"z.{kind}"), kind)] == texts


def test_only_wanted_fields_are_kept_and_the_others_named(redact: Redact, capsys: Caught) -> None:
    write("x.jsonl")
    assert redact("x.jsonl", "-o", "y.jsonl", "--keep", "id,nope") == 0
    assert rows("y.jsonl")[0] == {"text": "[vowel 1] met [else 1].", "id": 1}
    said = capsys.readouterr().err
    assert "fields left out: spans, title, Ada (--keep keeps some)" in said
    assert "--keep: no row has nope" in said
    assert redact("x.jsonl", "-o", "y.txt", "--map", "m") == 1
    assert "x.jsonl:3: a text of several lines can't be one line; choose --to jsonl" in capsys.readouterr().err
    assert not [name for name in ("y.txt", "m") if Path(name).exists()]


REDACTED = [
    ("x.txt", "Bob saw ada\nAda\nBob\n", "", "[else 1] saw [vowel 1]\n[vowel 1]\n[else 1]\n"),
    ("x.txt", "Bob saw ada\nAda\nBob\n", "--document row", "[else 1] saw ada\n[vowel 1]\n[else 1]\n"),
    ("x.txt", "Bob saw ada\nAda\nBob\n", "--no-repeats", "[else 1] saw ada\n[vowel 1]\n[else 1]\n"),
    (
        "x.jsonl",
        '{"text": "Ada", "title": "ada"}',
        "--keep title --no-repeats --to jsonl",
        '{"text": "[vowel 1]", "title": "[vowel 1]"}\n',
    ),
    ("x.conll", "Ada\tB-person\nslept\tO\n\n", "--to jsonl", '{"text": "[vowel 1] slept"}\n'),
]


@pytest.mark.parametrize(("name", "content", "options", "redacted"), REDACTED)
def test_repeats_kept_fields_and_given_words_are_redacted(
    redact: Redact, name: str, content: str, options: str, redacted: str
) -> None:
    Path(name).write_text(content)
    assert redact(name, "-o", "y.txt", *options.split()) == 0
    assert Path("y.txt").read_text() == redacted


def test_a_folder_becomes_a_folder_and_each_of_its_files_can_be_restored(redact: Redact) -> None:
    for name, text in (("a", "Ada\n"), ("b", "Eve\n")):  # equal when redacted
        (Path("in") / name).mkdir(parents=True)
        (Path("in") / name / "x.txt").write_text(text)
    assert redact("in", "-o", "out", "--to", "text", "--map", "m.jsonl") == 0
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["files"][0] == {
        "file": "a/x.txt",
        "rows": 1,
        "without": 0,
        "entities": {"vowel": 1},
        "repeats": {},
    }
    assert not [path for path in Path("out").rglob("*.*") if {"Ada", "Eve"} & set(path.read_text().split())]
    for name, text in (("a", "Ada\n"), ("b", "Eve\n")):
        assert exit_code("redact", "--undo", "m.jsonl", f"out/{name}/x.txt", "-o", f"{name}.txt") == 0
        assert Path(f"{name}.txt").read_text() == text


def test_a_stopped_job_goes_on(redact: Redact, capitals: Capitals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.tagger.jobs.files._PART", 40)
    Path("x.txt").write_text("Ada was there\n" * 30)
    done = interrupted(redact, capitals, "x.txt", "-o", "y.txt")
    assert not Path("y.txt").exists()
    assert redact("x.txt", "-o", "y.txt", "--how", "mask") == 0
    assert 0 < len(done) < 30 == len(done) + len(capitals.seen)
    assert Path("y.txt").read_text() == "███ was there\n" * 30


REFUSED = {
    "-o x.txt": "x.txt: is the input itself; name another output",
    "-o y.html": "--to 'html': must be one of text, jsonl, csv, parquet",
    "-o y.jsonl --how hide": "--how 'hide': must be one of replace, mask, hash",
    "-o y.jsonl --document book": "--document 'book': must be one of file, row",
    "-o y.jsonl --how hash": f"--how hash: needs a secret key; give --key FILE, or the variable {KEY}",
    "-o y.jsonl --how hash --key none": "none: can't be read: No such file or directory",
    "-o y.jsonl --how hash --key short": "the key has 15 bytes; it needs at least 16 (openssl rand -hex 32)",
    "-o y.jsonl --key short": "--key: is for --how hash, not replace; leave one out",
    "-o y.jsonl --keep spans": "--keep spans: has the text, its words or entities, so it can't be kept",
    "-o y.txt --keep id": "--keep id: text has no other fields; choose --to jsonl, csv or parquet",
    "-o y.jsonl --map y.jsonl": "y.jsonl: the map undoes the redaction, so it can't be in the output; keep it apart",
    "x.txt -o out --map out/m": "out/m: the map undoes the redaction, so it can't be in the output; keep it apart",
    "-o y.jsonl --map x.txt": "x.txt: is the input itself; name another output",
    "-o y.jsonl --edited": "--edited: is for --undo MAP; give the map, or leave it out",
    "-o y.jsonl --map no/m": "no: no such folder; make it first",
}


@pytest.mark.parametrize("given", REFUSED)
def test_bad_options_are_refused_in_one_line(
    redact: Redact, monkeypatch: pytest.MonkeyPatch, capsys: Caught, given: str
) -> None:
    monkeypatch.delenv(KEY, raising=False)
    Path("x.txt").write_text("Ada\n")
    Path("short").write_text("fifteen bytes k\n")
    before = sorted(Path().rglob("*"))
    assert redact("x.txt", *given.split()) in (1, 2)
    assert REFUSED[given] in capsys.readouterr().err.splitlines()[-1]
    assert sorted(Path().rglob("*")) == before


def test_an_edited_file_gets_the_originals_of_the_pseudonyms_it_still_has(redact: Redact, capsys: Caught) -> None:
    Path("x.txt").write_text("Ada met Bob\nADA and Otto\n")
    assert redact("x.txt", "-o", "y.txt", "--map", "m") == 0
    assert "[vowel 1]" in Path("y.txt").read_text()
    Path("y.txt").write_text("Dear [vowel 1], [vowel 1]s and [vowel 10]!\nBye.\n")
    assert exit_code("redact", "--undo", "m", "y.txt", "-o", "z.txt", "--edited") == 0
    assert Path("z.txt").read_text() == "Dear Ada, Adas and [vowel 10]!\nBye.\n"
    assert "z.txt: 1 of 3 names restored; gone: [else 1], [vowel 2]" in capsys.readouterr().err


CHANGED = "y.txt: isn't a file that was redacted with this map, or was changed since; if you edited it: --edited"
NO_NAMES = "may stand for several names, so an edited text can't be restored"


@pytest.mark.parametrize(
    ("how", "body", "undo", "why"),
    [
        ("", "Ada\nOtto\n", "", CHANGED),
        ("", "[vowel 2]\n[vowel 1]\n", "", CHANGED),
        ("", "", "", CHANGED),
        ("--how mask", "███\n████\n", "--edited", NO_NAMES),
        ("--document row", "[vowel 1]\n", "--edited", NO_NAMES),
    ],
)
def test_a_changed_file_and_pseudonyms_that_tell_nothing_apart_are_refused(
    redact: Redact, capsys: Caught, how: str, body: str, undo: str, why: str
) -> None:
    Path("x.txt").write_text("Ada\nOtto\n")
    assert redact("x.txt", "-o", "y.txt", "--map", "m", *how.split()) == 0
    Path("y.txt").write_text(body)
    assert exit_code("redact", "--undo", "m", "y.txt", "-o", "z.txt", *undo.split()) == 1
    assert why in capsys.readouterr().err
    assert not Path("z.txt").exists()


@pytest.mark.parametrize(
    ("line", "why"),
    [("[]", "must be an object"), ('{"row": "x"}', "row = 'x': must be a valid integer"), ("x", "not JSON")],
)
def test_a_map_of_another_kind_is_refused(redact: Redact, capsys: Caught, line: str, why: str) -> None:
    Path("y.txt").write_text("Ada\n")
    Path("m").write_text(line)
    assert exit_code("redact", "--undo", "m", "y.txt", "-o", "z.txt") == 1
    assert why in capsys.readouterr().err
    assert exit_code("redact", "--undo", "m", "y.txt", "more", "-o", "z.txt") == 1
    assert "--undo: restores one file, y.txt; leave more out" in capsys.readouterr().err
