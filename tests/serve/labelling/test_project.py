"""A labelling project keeps each action, takes each back, and lets no tab overwrite another."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, OutputExists, SettingsError, StaleOutput, WriteError
from nerbert.formats.documents import Reading
from nerbert.formats.examples import read_examples
from nerbert.serve.labelling.project import LabelType, Project, complete_types

TEXTS = ("The Beagle left Plymouth.", "Ada saw the 👩‍👩‍👧 at Kiel.", "Nothing here.")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project of three sentences, all of them shown, with two types."""
    found = opened(tmp_path)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    load(found, tmp_path / "texts.txt")
    found.set_types([LabelType("ship"), LabelType("port", "where ships stay", "#112233", "p")])
    for item in found.items:
        found.draw(item, test=item.id == 2)
    yield found
    found.close()


def opened(folder: Path) -> Project:
    return Project(folder / "work", Reading())


def load(project: Project, path: Path) -> int:
    added, long = project.read(path)
    project.add(added)
    return long


def save(project: Project, id_: int, *entities: tuple[int, int, str], answer: Any = "", tab: str = "a") -> None:
    item = project.find(id_)
    project.save(item, item.revision, entities, answer, tab)


def labels(project: Project) -> list[dict[str, Any]]:
    path = project.folder / "labels.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def facts(project: Project) -> list[Any]:
    return [project.types, *((each.state, each.revision, each.drawn, each.test) for each in project.items)]


def test_accepted_sentences_are_data_that_nerbert_reads(project: Project) -> None:
    save(project, 1, (0, 3, "ship"), (12, 17, "port"), answer="accept")
    (row,) = labels(project)
    assert [(each["start"], each["end"], each["text"]) for each in row["spans"]] == [(0, 3, "Ada"), (12, 17, "👩‍👩‍👧")]
    assert all(row["text"][each["start"] : each["end"]] == each["text"] for each in row["spans"])
    assert (row["id"], row["test"]) == (1, False)
    (example,) = read_examples(project.folder / "labels.jsonl")
    assert [(each.start, each.end, each.type) for each in example.spans] == [(0, 3, "ship"), (12, 17, "port")]


def test_a_killed_process_loses_nothing(project: Project, tmp_path: Path) -> None:
    save(project, 0, (4, 10, "ship"))
    save(project, 0, (4, 10, "ship"), (16, 24, "port"), answer="accept")
    save(project, 1, answer="reject")
    project.undo("a")
    before = facts(project), labels(project)
    os.unlink(project.folder / "labels.jsonl")  # noqa: PTH108  (as if it was killed before it was written)
    with (project.folder / "journal.jsonl").open("ab") as stream:
        stream.write(b'{"do": "set", "id": 1, "ent')
    project.close()
    again = opened(tmp_path)
    assert (facts(again), labels(again)) == before
    assert again.undo("a") is again.items[0]
    assert again.items[0].state.entities[0].type == "ship"
    assert again.items[0].state.answer == ""
    again.close()


def test_any_number_of_steps_is_taken_back(project: Project) -> None:
    save(project, 0, (4, 10, "ship"))
    save(project, 0, answer="skip")
    save(project, 1, (0, 3, "ship"), answer="accept")
    assert [getattr(project.undo("a"), "id", None) for _ in range(4)] == [1, 0, 0, None]
    assert [each.state.answer for each in project.items] == ["", "", ""]
    assert labels(project) == []


def test_a_tab_that_is_behind_is_refused(project: Project) -> None:
    item = project.find(0)
    project.save(item, 0, [(4, 10, "ship")], "", "a")
    with pytest.raises(StaleOutput, match="another tab"):
        project.save(item, 0, [], "accept", "b")
    project.save(item, 1, [], "accept", "b")
    with pytest.raises(StaleOutput, match="another tab"):
        project.undo("a")
    assert item.state.answer == "accept"
    assert project.undo("a") is None
    assert project.undo("b") is item
    assert [each.text for each in item.state.entities] == ["Beagle"]


@pytest.mark.parametrize(
    ("entities", "reason"),
    [
        ([(4, 10, "boat")], "none of this project's types"),
        ([(4, 10, "ship"), (8, 15, "port")], "overlap"),
        ([(4, 99, "ship")], "nothing at this place"),
        ([(3, 4, "ship")], "nothing at this place"),
        ([(10, 4, "ship")], "nothing at this place"),
    ],
)
def test_entities_that_cannot_be_are_refused(
    project: Project, entities: list[tuple[int, int, str]], reason: str
) -> None:
    before = (project.folder / "journal.jsonl").read_bytes()
    with pytest.raises(InputError, match=reason):
        project.save(project.find(0), 0, entities, "accept", "a")
    assert (project.folder / "journal.jsonl").read_bytes() == before
    assert project.find(0).revision == 0


def test_a_full_disk_loses_only_the_action_that_was_refused(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(project, 0, (4, 10, "ship"), answer="accept")
    whole = os.pwrite
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda handle, line, at: whole(handle, line[:5], at))
        with pytest.raises(WriteError, match="No space left"):
            save(project, 1, answer="accept")
    save(project, 2, answer="accept")
    before = facts(project)
    project.close()
    again = opened(tmp_path)
    assert facts(again) == before
    assert [each.state.answer for each in again.items] == ["accept", "", "accept"]
    again.close()


def test_one_process_at_a_time_and_no_folder_of_others(project: Project, tmp_path: Path) -> None:
    with pytest.raises(OutputExists, match="another nerbert label"):
        opened(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(OutputExists, match="other files"):
        Project(tmp_path / "mine", Reading())


@pytest.mark.parametrize("what", ["nerbert.serve.labelling.project.held", "pathlib.Path.open"])
def test_a_disk_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def broken(*_: object, **__: object) -> object:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    Project(tmp_path / "out", Reading()).close()
    monkeypatch.setattr(what, broken)
    with pytest.raises(InputError, match=r"out.*: can't be .*: Input/output error$"):
        Project(tmp_path / "out", Reading())


def test_a_file_is_added_once(project: Project, tmp_path: Path) -> None:
    save(project, 0, answer="accept")
    texts = "Nothing here.", "The Argo left.", "x" * 30_000
    (tmp_path / "more.jsonl").write_text("\n".join(json.dumps({"text": each}) for each in texts))
    assert load(project, tmp_path / "more.jsonl") == 1
    assert [each.sentence.text for each in project.items] == [*TEXTS, "The Argo left."]
    assert project.find(0).state.answer == "accept"
    with pytest.raises(InputError, match="no such file"):
        project.read(tmp_path / "none.txt")


def test_types_of_a_file_come_with_it_and_its_labels_are_suggestions(tmp_path: Path) -> None:
    (tmp_path / "gold.conll").write_text("The O\nBeagle B-ship\nleft O\nKiel B-port\n\n")
    found = opened(tmp_path)
    load(found, tmp_path / "gold.conll")
    assert [(each.name, each.key) for each in found.types] == [("ship", "1"), ("port", "2")]
    assert [each.text for each in found.items[0].sentence.spans] == ["Beagle", "Kiel"]
    assert found.items[0].state.entities == ()
    found.close()


def test_a_used_type_stays(project: Project) -> None:
    save(project, 0, (4, 10, "ship"))
    with pytest.raises(SettingsError, match="can't be removed"):
        project.set_types([LabelType("port")])
    project.undo("a")
    project.set_types([LabelType("port"), LabelType("constructor"), LabelType("__proto__")])
    assert [each.name for each in project.types] == ["port", "constructor", "__proto__"]


@pytest.mark.parametrize(
    "types",
    [
        [LabelType("")], [LabelType("a b"), LabelType(" A_b ")], [LabelType("a", key="1"), LabelType("b", key="1")],
        [LabelType("a", colour="red")], [LabelType("a\u202eb")], [LabelType("a", key="  ")], [LabelType("x" * 101)],
        [LabelType(str(n)) for n in range(257)],
    ],
)  # fmt: skip
def test_types_that_cannot_be_are_refused(types: list[LabelType]) -> None:
    with pytest.raises(SettingsError, match=r"types?"):
        complete_types(types)


def test_two_hundred_types_get_colours_and_the_first_of_them_keys() -> None:
    found = complete_types([LabelType(f"type {n}") for n in range(200)])
    keys = [each.key for each in found if each.key]
    assert len(set(keys)) == len(keys) == 31
    assert not set(keys) & set("acmsx ")
    with pytest.raises(SettingsError, match="other than a, c, m, s, x"):
        complete_types([LabelType("ship", key="a")])
    assert all(each.colour.startswith("#") for each in found)


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "journal.jsonl").write_text(
        '{"do": "set", "id": 7, "entities": [], "answer": "", "tab": "a"}\n'
    )
    with pytest.raises(InputError, match="can't be repeated"):
        opened(tmp_path)
    for content, reason in (
        ("[1]\n", "isn't a journal"),
        ("my diary", "isn't a journal"),
        ('{"do": 1}\n', "no action"),
    ):
        (tmp_path / "work" / "journal.jsonl").write_text(content)
        with pytest.raises(InputError, match=reason):
            opened(tmp_path)
        assert (tmp_path / "work" / "journal.jsonl").read_text() == content


def test_a_request_that_is_repeated_is_done_once(project: Project, tmp_path: Path) -> None:
    item = project.find(0)
    project.save(item, 0, [(4, 10, "ship")], "accept", "a", "one")
    project.save(item, 0, [(4, 10, "ship")], "accept", "a", "one")
    project.save(project.find(1), 0, [], "accept", "a", "two")
    assert project.undo("a", "three") is project.items[1]
    assert project.undo("a", "three") is project.items[1]
    assert (item.revision, item.state.answer) == (1, "accept")
    project.close()
    again = opened(tmp_path)
    assert again.undo("a", "three") is again.items[1]
    assert again.items[0].state.answer == "accept"
    assert again.undo("a", "four") is again.items[0]
    again.close()


def test_two_labels_in_one_word_are_refused(project: Project) -> None:
    with pytest.raises(InputError, match="parts of one word"):
        save(project, 0, (4, 6, "ship"), (7, 9, "port"))
    save(project, 0, (4, 6, "ship"), (16, 20, "port"), answer="accept")
    (example,) = read_examples(project.folder / "labels.jsonl")
    assert [each.text for each in example.spans] == ["Beagle", "Plymouth"]


def test_changed_sentences_are_noticed(project: Project, tmp_path: Path) -> None:
    project.close()
    path = project.folder / "sentences.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    with pytest.raises(InputError, match="was changed"):
        opened(tmp_path)


def test_what_cannot_be_text_or_type_is_mended_when_it_is_read(tmp_path: Path) -> None:
    span = {"start": 4, "end": 8, "type": "a  b"}
    rows = [{"text": "The Fram left.", "spans": [span, {"start": 9, "end": 13, "type": "x\u200b"}]},
            {"text": "half \ud800 left", "spans": []}]  # fmt: skip
    (tmp_path / "odd.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    found = opened(tmp_path)
    load(found, tmp_path / "odd.jsonl")
    assert [each.name for each in found.types] == ["a b"]
    assert found.items[1].sentence.text == "half \N{REPLACEMENT CHARACTER} left"
    found.close()
    opened(tmp_path).close()


def test_labels_that_cannot_be_written_are_told_and_written_later(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise WriteError("full")

    with monkeypatch.context() as full:
        full.setattr("nerbert.serve.labelling.project.JsonLines.write", refuse)
        save(project, 0, (4, 10, "ship"), answer="accept")
    assert (project.trouble, labels(project)) == ("full", [])
    save(project, 1, answer="accept")
    assert (project.trouble, len(labels(project))) == ("", 2)


def test_a_new_last_label_is_added_without_writing_all_again(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the file is the same as one that is written anew."""
    save(project, 0, (4, 10, "ship"), answer="accept")
    with monkeypatch.context() as patch:
        patch.setattr("nerbert.serve.labelling.project.JsonLines.write", lambda *_: pytest.fail("all is written again"))
        save(project, 1, (0, 3, "ship"), answer="accept")
    added = (project.folder / "labels.jsonl").read_bytes()
    assert [each["id"] for each in labels(project)] == [0, 1]
    project.close()
    assert (opened(tmp_path).folder / "labels.jsonl").read_bytes() == added


def test_labels_stay_in_the_order_in_which_sentences_were_shown(project: Project) -> None:
    save(project, 1, (0, 3, "ship"), answer="accept")
    save(project, 0, (4, 10, "ship"), answer="accept")
    assert [each["id"] for each in labels(project)] == [0, 1]
    save(project, 1, answer="accept")
    assert [len(each["spans"]) for each in labels(project)] == [1, 0]


@pytest.mark.parametrize("damage", ["emptied", "without its last line break", "linked", "gone"])
def test_a_file_that_was_changed_is_written_anew(project: Project, damage: str) -> None:
    save(project, 0, (4, 10, "ship"), answer="accept")
    path = project.folder / "labels.jsonl"
    if damage == "linked":
        os.link(path, path.with_name("copy.jsonl"))
        copy = path.read_bytes()
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if damage != "emptied" else b"")
    save(project, 1, (0, 3, "ship"), answer="accept")
    assert [each["id"] for each in labels(project)] == [0, 1]
    assert damage != "linked" or path.with_name("copy.jsonl").read_bytes() == copy


def test_a_label_that_fits_only_in_part_is_not_added(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    save(project, 0, (4, 10, "ship"), answer="accept")
    before, real = labels(project), os.pwrite

    def full(handle: int, line: bytes, place: int) -> int:
        return real(handle, line[: len(line) if line.startswith(b'{"do":') else 9], place)

    def refuse(*_: object) -> None:
        raise WriteError("labels.jsonl: can't be written")

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", full)
        patch.setattr("nerbert.formats.jsonl.JsonLines.write", refuse)
        save(project, 1, answer="accept")
    assert "labels.jsonl: can't be written" in project.trouble
    assert labels(project) == before
    save(project, 1, (0, 3, "ship"), answer="accept")
    assert (project.trouble, len(labels(project))) == ("", 2)
