"""A job that was stopped goes on: with what is done, with nothing else, to the same bytes."""

import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from nerbert.tagger.jobs import files, job
from tests.tagger.jobs.conftest import Tag
from tests.tagger.jobs.fakes import Capitals

Caught = pytest.CaptureFixture[str]
LINES = [f"Ada {number} met Bob" for number in range(10)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three lines are a part."""
    monkeypatch.setattr("nerbert.tagger.jobs.files._PART", 40)


def stop(capitals: Capitals, after: int) -> None:
    """Let the tagger be stopped when it has tagged so many rows."""
    capitals.seen.clear()
    capitals.enough = after


def go_on(capitals: Capitals) -> None:
    """Let it work again."""
    stop(capitals, 1 << 30)


def texts(path: str) -> list[str]:
    """The texts of a file of JSON lines."""
    return [json.loads(line)["text"] for line in Path(path).read_text().splitlines()]


def left() -> list[str]:
    """Hidden files and folders."""
    return [path.name for path in Path().glob(".*")]


@pytest.mark.parametrize("to", ["jsonl", "conll", "txt", "parquet", "html"])
def test_it_goes_on_to_the_same_bytes(
    tag: Tag, capitals: Capitals, monkeypatch: pytest.MonkeyPatch, capsys: Caught, to: str
) -> None:
    Path("x.txt").write_text("\n".join(LINES))
    assert tag("x.txt", "-o", f"whole.{to}") == 0
    stop(capitals, after=6)
    assert tag("x.txt", "-o", f"y.{to}") == 130
    places = f".y.{to}.partial and .y.{to}.work"
    told = f"nerbert: stopped; {places} stay: run the command again to resume, or delete both\n"
    assert capsys.readouterr().err.endswith(told)
    assert not Path(f"y.{to}").exists()
    go_on(capitals)
    assert tag("x.txt", "-o", f"y.{to}") == 0
    assert capitals.seen == LINES[6:]
    assert Path(f"y.{to}").read_bytes() == Path(f"whole.{to}").read_bytes()
    assert left() == []


def test_a_folder_goes_on_too(tag: Tag, capitals: Capitals, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in/b").mkdir(parents=True)
    for name in ("in/a.txt", "in/b/c.txt", "in/d.txt"):
        Path(name).write_text(f"{name}\n" + "\n".join(LINES[:4]))
    assert tag("in", "-o", "whole") == 0
    everything = list(capitals.seen)
    stop(capitals, after=8)
    assert tag("in", "-o", "out") == 130
    done = list(capitals.seen)
    go_on(capitals)
    assert tag("in", "-o", "out") == 0
    assert [*done, *capitals.seen] == everything
    for path in Path("whole").rglob("*.json*"):
        assert Path("out", path.relative_to("whole")).read_bytes() == path.read_bytes()
    assert left() == []


def test_a_line_that_was_mended_costs_its_part_only(tag: Tag, capitals: Capitals, capsys: Caught) -> None:
    lines = [line.encode() for line in LINES]
    lines[7] = b"Ad\xff"
    Path("x.txt").write_bytes(b"\n".join(lines))
    assert tag("x.txt", "-o", "y.jsonl") == 1
    assert capsys.readouterr().err == (
        "nerbert: x.txt:8: not UTF-8 at byte 2 of the line; convert the text to UTF-8 (or pass --errors replace); "
        ".y.jsonl.partial and .y.jsonl.work stay: run the command again to resume, or delete both\n"
    )
    assert capitals.seen == LINES[:6]
    Path("x.txt").write_bytes(b"\n".join([*lines[:7], b"Ada was mended", *lines[8:]]))
    capitals.seen.clear()
    assert tag("x.txt", "-o", "y.jsonl") == 0
    assert capitals.seen == [LINES[6], "Ada was mended", *LINES[8:]]
    assert texts("y.jsonl") == [*LINES[:7], "Ada was mended", *LINES[8:]]


def test_replacing_bad_bytes_goes_on_but_is_never_taken_for_whole(tag: Tag, capitals: Capitals) -> None:
    Path("x.txt").write_bytes("\n".join(LINES).encode().replace(b"7 met", b"\xff met").replace(b"9 met", b"\xe9 met"))
    assert tag("x.txt", "-o", "y.jsonl") == 1
    capitals.seen.clear()
    assert tag("x.txt", "-o", "y.jsonl", "--errors", "replace") == 0
    assert capitals.seen == [line.replace("7", "\ufffd").replace("9", "\ufffd") for line in LINES[6:]]


def test_a_part_with_replaced_bytes_is_none_where_they_are_refused(
    tag: Tag, capitals: Capitals, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    Path("x.txt").write_bytes(b"Ad\xff\n" + "\n".join(LINES).encode())
    stop(capitals, after=6)
    assert tag("x.txt", "-o", "y.jsonl", "--errors", "replace") == 130
    go_on(capitals)
    assert tag("x.txt", "-o", "y.jsonl") == 1
    assert "x.txt:1: not UTF-8" in capsys.readouterr().err


def test_changed_rows_are_tagged_again(tag: Tag, capitals: Capitals, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("x.txt").write_text("\n".join(LINES))
    stop(capitals, after=6)
    assert tag("x.txt", "-o", "y.jsonl") == 130
    go_on(capitals)
    other = [LINES[0], "Eva 1 met Bob", *LINES[2:]]
    Path("x.txt").write_text("\n".join(other))
    assert tag("x.txt", "-o", "y.jsonl") == 0
    assert capitals.seen == [*other[:3], *LINES[6:]]
    assert texts("y.jsonl") == other


def test_words_in_other_sentences_are_other_rows(tag: Tag, capitals: Capitals) -> None:
    Path("x.conll").write_text("Ada\n\nmet\nBob\n\n" + "x\ty\n" * 10 + "\n\ty\n")
    assert tag("x.conll", "-o", "y.jsonl") == 1
    assert capitals.seen == ["Ada", "met Bob", "x x x x x x x x x x"]
    Path("x.conll").write_text("Ada\nmet\nBob\n\n" + "x\ty\n" * 10)
    assert tag("x.conll", "-o", "y.jsonl") == 0
    assert texts("y.jsonl") == ["Ada met Bob", "x x x x x x x x x x"]


@pytest.mark.parametrize("what", ["gone", "torn", "odd"])
def test_damaged_parts_are_made_again(tag: Tag, capitals: Capitals, what: str) -> None:
    Path("x.txt").write_text("\n".join(LINES))
    stop(capitals, after=6)
    assert tag("x.txt", "-o", "y.jsonl") == 130
    go_on(capitals)
    part = Path(".y.jsonl.work/parts/000000/000000.json")
    content = {"torn": part.read_text()[:-9], "odd": "[1]"}
    part.unlink()
    if what != "gone":
        part.write_text(content[what])
    assert tag("x.txt", "-o", "y.jsonl") == 0
    assert capitals.seen == [*LINES[:3], *LINES[6:]]
    assert texts("y.jsonl") == LINES


def test_another_kind_of_output_costs_no_part(tag: Tag, capitals: Capitals, capsys: Caught) -> None:
    lines = [json.dumps({"text": line, "x": number}) for number, line in enumerate(LINES)]
    Path("x.jsonl").write_text("\n".join([*lines, json.dumps({"text": "Eve", "x": "y"})]))
    assert tag("x.jsonl", "-o", "y", "--to", "parquet") == 1
    assert "Field x has incompatible types: int64 vs string; such fields can't be one" in capsys.readouterr().err
    assert capitals.seen == [*LINES, "Eve"]
    assert tag("x.jsonl", "-o", "y", "--to", "jsonl", "--offsets", "utf-16") == 0
    assert capitals.seen == [*LINES, "Eve"]
    assert texts("y") == [*LINES, "Eve"]


def test_standard_input_goes_on_too(tag: Tag, capitals: Capitals, monkeypatch: pytest.MonkeyPatch) -> None:
    for after, code in ((6, 130), (1 << 30, 0)):
        stop(capitals, after)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(LINES).encode())))
        assert tag("-o", "y.jsonl") == code
    assert capitals.seen == LINES[6:]
    assert texts("y.jsonl") == LINES
    assert left() == []


def test_a_pipe_becomes_a_file(tag: Tag) -> None:
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_text("\n".join(LINES)))
    writer.start()
    assert tag("pipe", "-o", "y.jsonl") == 0
    writer.join()
    assert texts("y.jsonl") == LINES


@pytest.mark.parametrize("after", [[*LINES[:9], "Eve"], LINES[:6], [*LINES, "Eve"]])
def test_an_input_that_changes_before_it_is_written_is_told(
    tag: Tag, monkeypatch: pytest.MonkeyPatch, capsys: Caught, after: list[str]
) -> None:
    Path("x.txt").write_text("\n".join(LINES))
    tag_parts = files.tag_parts

    def changed(*given: Any) -> None:
        tag_parts(*given)
        Path("x.txt").write_text("\n".join(after))

    monkeypatch.setattr(job, "tag_parts", changed)
    assert tag("x.txt", "-o", "y.jsonl") == 1
    assert "x.txt: changed while it was read; give the same command again" in capsys.readouterr().err
    assert not Path("y.jsonl").exists()
    monkeypatch.setattr(job, "tag_parts", tag_parts)
    assert tag("x.txt", "-o", "y.jsonl") == 0
    assert texts("y.jsonl") == after


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["--field", "body"], "field: 'text' then, 'body' now"),
        (["--min-confidence", "0.5"], "tagger.min_confidence: '' then, '0.5' now"),
        (["--decoding", "greedy"], "tagger.decoding: '' then, 'greedy' now"),
        (["--from", "jsonl"], "inputs[0].kind: 'text' then, 'jsonl' now"),
    ],
)
def test_other_settings_are_told(
    tag: Tag, capitals: Capitals, monkeypatch: pytest.MonkeyPatch, capsys: Caught, change: list[str], told: str
) -> None:
    Path("x").write_text("\n".join(LINES))
    stop(capitals, after=6)
    assert tag("x", "-o", "y.jsonl", "--from", "text") == 130
    go_on(capitals)
    capsys.readouterr()
    options = change if "--from" in change else ["--from", "text", *change]
    assert tag("x", "-o", "y.jsonl", *options) == 1
    assert f"y.jsonl: half made already, but from something else ({told}); run as before, or" in capsys.readouterr().err
    assert tag("x", "-o", "y.jsonl", "--from", "text", "--threads", "3") == 0, "threads change no byte to speak of"
    assert capitals.seen == LINES[6:]


def test_another_tagger_or_input_is_told_and_overwritten_on_demand(
    tag: Tag, capitals: Capitals, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    for name in ("x.txt", "z.txt"):
        Path(name).write_text("\n".join(LINES))
    stop(capitals, after=6)
    assert tag("x.txt", "-o", "y.jsonl") == 130
    go_on(capitals)
    assert tag("z.txt", "-o", "y.jsonl") == 1
    assert "inputs[0].name: 'x.txt' then, 'z.txt' now" in capsys.readouterr().err
    Path("tagger/model.safetensors").write_text("other weights")
    assert tag("x.txt", "-o", "y.jsonl") == 1
    assert "(tagger.sha256: " in capsys.readouterr().err
    Path("tagger/model.safetensors").unlink()
    Path("tagger/notes.txt").write_text("no figure hangs on them")
    capitals.head.name = "other"
    assert tag("x.txt", "-o", "y.jsonl") == 1
    assert "tagger.backend: 'instant' then, 'other' now" in capsys.readouterr().err
    assert capitals.seen == []
    assert tag("x.txt", "-o", "y.jsonl", "--overwrite") == 0
    assert capitals.seen == LINES


def test_a_file_is_replaced_only_when_the_new_one_is_whole(
    tag: Tag, capitals: Capitals, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    Path("x.txt").write_text("\n".join(LINES))
    Path("y.jsonl").write_text("old")
    assert tag("x.txt", "-o", "y.jsonl") == 1
    assert "y.jsonl: exists already; choose another place or pass --overwrite" in capsys.readouterr().err
    stop(capitals, after=6)
    assert tag("x.txt", "-o", "y.jsonl", "--overwrite") == 130
    assert Path("y.jsonl").read_text() == "old"
    go_on(capitals)
    assert tag("x.txt", "-o", "y.jsonl", "--overwrite") == 0
    assert capitals.seen == LINES[6:]
    assert len(Path("y.jsonl").read_text().splitlines()) == len(LINES)


def test_parquet_goes_on_by_rows(tag: Tag, capitals: Capitals, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setattr("nerbert.formats.parquet._MOST_ROWS", 3)
    pq.write_table(pa.table({"text": LINES}), "x.parquet", row_group_size=4)
    stop(capitals, after=6)
    assert tag("x.parquet", "-o", "y.parquet") == 130
    done = list(capitals.seen)
    go_on(capitals)
    assert tag("x.parquet", "-o", "y.parquet") == 0
    assert 0 < len(done) < len(LINES)
    assert [*done, *capitals.seen] == LINES
    stop(capitals, after=6)
    assert tag("x.parquet", "-o", "z.parquet") == 130
    pq.write_table(pa.table({"text": LINES}), "x.parquet", row_group_size=5)
    go_on(capitals)
    assert tag("x.parquet", "-o", "z.parquet") == 0
    assert capitals.seen == LINES, "another file is read anew, whatever its rows"
