"""A job that was stopped goes on: with what is done, with nothing else, to the same bytes."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nerbert.tagger.jobs import files
from tests.tagger.jobs.conftest import Tag
from tests.tagger.jobs.fakes import Capitals
from tests.tagger.jobs.rows import rows, texts, write_rows
from tests.tagger.jobs.test_pipe import give

Caught = pytest.CaptureFixture[str]
LINES = [f"Ada {number} met Bob" for number in range(10)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three lines are a part."""
    monkeypatch.setattr("nerbert.tagger.jobs.files._PART", 40)


def interrupted(tag: Tag, capitals: Capitals, *arguments: object, after: int = 6) -> list[str]:
    """Tag until the tagger is stopped, after so many rows; return them."""
    capitals.seen.clear()
    capitals.enough = after
    assert tag(*arguments) == 130
    capitals.enough = 1 << 30
    done = list(capitals.seen)
    capitals.seen.clear()
    return done


def write(lines: list[str]) -> None:
    Path("x.txt").write_text("\n".join(lines))


def write_standoff(texts: list[str]) -> Path:
    """Write a folder of BRAT, a file for each text."""
    folder = Path("brat/deep")
    folder.mkdir(parents=True)
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text)
        (folder / f"{number}.ann").write_text("T1\told 0 3\tAda\n")
    return Path("brat")


def contents(path: Path) -> dict[Path, bytes]:
    """Return the bytes of a file, or of those in a folder."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {each.relative_to(path): each.read_bytes() for each in files}


def left() -> list[str]:
    return [path.name for path in Path().glob(".*")]


@pytest.mark.parametrize(
    ("source", "to", "output"),
    [
        *(("x.txt", to, f"y.{to}") for to in ("jsonl", "conll", "parquet", "html")),
        ("x.txt", "text", "y.txt"),
        ("in", "jsonl", "out"),
        ("brat", "brat", "y"),
        ("brat", "jsonl", "y.jsonl"),
        ("x.json", "label-studio", "y.json"),
        ("x.csv", "tests.extending.toys.format_toy:Toy", "y.toy"),
    ],
)
def test_it_goes_on_to_the_same_bytes(
    tag: Tag, capitals: Capitals, capsys: Caught, source: str, to: str, output: str
) -> None:
    write(LINES)
    Path("in/b").mkdir(parents=True)
    for name, lines in (("a.txt", LINES[:4]), ("b/c.txt", LINES[4:8]), ("d.txt", LINES[8:])):
        Path("in", name).write_text("\n".join(lines))
    write_standoff(LINES)
    Path("x.json").write_text(json.dumps([{"data": {"text": line, "n": 1}, "annotations": []} for line in LINES]))
    Path("x.csv").write_text("\n".join(["text", *LINES]))
    whole, made = Path(f"whole-{output}"), Path(output)
    assert tag(source, "-o", whole, "--to", to) == 0
    done = interrupted(tag, capitals, source, "-o", output, "--to", to)
    assert done == LINES[: len(done)]
    assert len(done) in range(6, 10)
    told = f"nerbert: stopped; .{output}.partial and .{output}.work stay: rerun the command to resume, or delete both\n"
    assert capsys.readouterr().err.endswith(told)
    assert not made.exists()
    assert tag(source, "-o", output, "--to", to) == 0
    assert capitals.seen == LINES[len(done) :]
    assert contents(made) == contents(whole) != {}
    assert left() == []


def test_a_line_that_was_mended_costs_its_part_only(tag: Tag, capitals: Capitals, capsys: Caught) -> None:
    Path("x.txt").write_bytes("\n".join([*LINES[:7], "Ad\udcff", *LINES[8:]]).encode(errors="surrogateescape"))
    assert tag("x.txt", "-o", "y.jsonl") == 1
    assert capsys.readouterr().err == (
        "nerbert: x.txt:8: not UTF-8 at byte 2 of the line; convert the text to UTF-8 (or pass --errors replace); "
        ".y.jsonl.partial and .y.jsonl.work stay: rerun the command to resume, or delete both\n"
    )
    assert capitals.seen == LINES[:6]
    capitals.seen.clear()
    mended = [*LINES[:7], "Ada was mended", *LINES[8:]]
    write(mended)
    assert tag("x.txt", "-o", "y.jsonl") == 0
    assert capitals.seen == mended[6:]
    assert texts("y.jsonl") == mended


def _change_a_row() -> list[str]:
    changed = [LINES[0], "Eva 1 met Bob", *LINES[2:]]
    write(changed)
    return changed


def _tear_a_part() -> list[str]:
    part = Path(".y.jsonl.work/parts/000000/000000.json")
    part.write_text(part.read_text()[:-9])
    return LINES


@pytest.mark.parametrize("change", [_change_a_row, _tear_a_part])
def test_a_changed_row_and_a_damaged_part_are_tagged_again(
    tag: Tag, capitals: Capitals, change: Callable[[], list[str]]
) -> None:
    write(LINES)
    interrupted(tag, capitals, "x.txt", "-o", "y.jsonl")
    wanted = change()
    assert tag("x.txt", "-o", "y.jsonl") == 0
    assert capitals.seen == [*wanted[:3], *LINES[6:]]
    assert texts("y.jsonl") == wanted


def test_fields_are_read_anew(tag: Tag, capitals: Capitals) -> None:
    for number in (1, 2):
        write_rows("x.jsonl", [{"text": line, "n": number} for line in LINES])
        if number == 1:
            assert interrupted(tag, capitals, "x.jsonl", "-o", "y.jsonl") == LINES[:6]
    assert tag("x.jsonl", "-o", "y.jsonl") == 0
    assert capitals.seen == LINES[6:]
    assert [row["n"] for row in rows("y.jsonl")] == [2] * 10


def test_another_kind_of_output_costs_no_part(tag: Tag, capitals: Capitals, capsys: Caught) -> None:
    write_rows("x.jsonl", [*({"text": line, "x": 1} for line in LINES), {"text": "Eve", "x": "y"}])
    assert tag("x.jsonl", "-o", "y", "--to", "parquet") == 1
    told = capsys.readouterr().err
    assert told.startswith(
        "nerbert: x.jsonl:1: field 'x' can't be a Parquet column: Could not convert 'y' with type str"
    )
    assert capitals.seen == [*LINES, "Eve"]
    assert tag("x.jsonl", "-o", "y", "--to", "jsonl", "--offsets", "utf-16") == 0
    assert capitals.seen == [*LINES, "Eve"]
    assert texts("y") == [*LINES, "Eve"]


def test_standard_input_and_a_pipe_become_files(tag: Tag, capitals: Capitals, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, "\n".join(LINES).encode())
    interrupted(tag, capitals, "-o", "y.jsonl")
    give(monkeypatch, "\n".join(LINES).encode())
    assert tag("-o", "y.jsonl") == 0
    assert capitals.seen == LINES[6:]
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_text("\n".join(LINES)))
    writer.start()
    assert tag("pipe", "-o", "z.jsonl") == 0
    writer.join()
    assert texts("y.jsonl") == texts("z.jsonl") == LINES
    assert left() == []


@pytest.mark.parametrize("after", [[*LINES[:9], "Eve"], LINES[:6], [*LINES, "Eve"]])
def test_an_input_that_changes_before_it_is_written_is_told(
    tag: Tag, monkeypatch: pytest.MonkeyPatch, capsys: Caught, after: list[str]
) -> None:
    write(LINES)

    tag_all = files.tag_all

    def changed(*given: Any) -> list[files.TaggedParts]:
        done = tag_all(*given)
        write(after)
        return done

    monkeypatch.setattr(files, "tag_all", changed)
    assert tag("x.txt", "-o", "y.jsonl") == 1
    assert "x.txt: changed while it was read; rerun the command" in capsys.readouterr().err
    assert not Path("y.jsonl").exists()
    monkeypatch.setattr(files, "tag_all", tag_all)
    assert tag("x.txt", "-o", "y.jsonl") == 0
    assert texts("y.jsonl") == after


def test_parts_of_another_version_with_fewer_fields_are_told(
    tag: Tag, capitals: Capitals, monkeypatch: pytest.MonkeyPatch, capsys: Caught
) -> None:
    write(LINES)
    with monkeypatch.context() as before:
        before.setattr("nerbert.tagger.jobs.job.SPAN_COLUMNS", {"start": int, "end": int})
        interrupted(tag, capitals, "x.txt", "-o", "y.jsonl")
    assert tag("x.txt", "-o", "y.jsonl") == 1
    assert "fields" in capsys.readouterr().err


def test_another_tagger_or_input_is_told_and_overwritten_on_demand(
    tag: Tag, capitals: Capitals, capsys: Caught
) -> None:
    write(LINES)
    Path("z.txt").write_bytes(Path("x.txt").read_bytes())
    interrupted(tag, capitals, "x.txt", "-o", "y.jsonl")
    assert tag("z.txt", "-o", "y.jsonl") == 1
    assert "inputs[0].name: 'x.txt' then, 'z.txt' now" in capsys.readouterr().err
    Path("tagger/model.safetensors").write_text("other weights")
    assert tag("x.txt", "-o", "y.jsonl") == 1
    assert "(tagger.sha256: " in capsys.readouterr().err
    Path("tagger/model.safetensors").unlink()
    Path("tagger/notes.txt").write_text("no figure hangs on them")
    assert tag("x.txt", "-o", "y.jsonl", "--decoding", "greedy") == 1
    assert "tagger.decoding: '' then, 'greedy' now" in capsys.readouterr().err
    capitals.head.name = "other"
    assert tag("x.txt", "-o", "y.jsonl") == 1
    assert "tagger.backend: 'instant' then, 'other' now" in capsys.readouterr().err
    assert capitals.seen == []
    assert tag("x.txt", "-o", "y.jsonl", "--overwrite") == 0
    assert capitals.seen == LINES
