"""A labelling project keeps each action, takes each back, and lets no tab overwrite another."""

import errno
import json
import math
import os
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from nerbert import __file__ as package
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError, StaleOutput, WriteError
from nerbert.formats.documents import Reading, example_of_spans
from nerbert.records import Example
from nerbert_label.project import COLOURS, LabelType, Project, complete_types
from nerbert_label.sentences import Draw, is_for_test
from tests.examples import read_examples
from tests.raised import raises, raising

TEXTS = ("The Beagle left Plymouth.", "Ada saw the 👩‍👩‍👧 at Kiel.", "Nothing here.")
BEAGLE, ADA = (4, 10, "ship"), (0, 3, "ship")
TYPES = [LabelType("ship"), LabelType("port", "where ships stay", "#112233", "p")]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project of three sentences, all of them shown, with two types."""
    made = opened(tmp_path)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    load(made, tmp_path / "texts.txt")
    made.set_types(TYPES)
    for item in made.items:
        made.draw(item, test=item.id == 2)
    yield made
    made.close()


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
    path = project.write_labels()
    return [json.loads(line) for line in path.read_text().splitlines()] if path else []


def facts(project: Project) -> list[Any]:
    return [project.types, *((item.state, item.revision, item.drawn, item.test) for item in project.items)]


def test_accepted_sentences_are_data_that_nerbert_reads(project: Project) -> None:
    save(project, 1, ADA, (12, 17, "port"), answer="accept")
    (row,) = labels(project)
    assert [(span["start"], span["end"], span["text"]) for span in row["spans"]] == [(0, 3, "Ada"), (12, 17, "👩‍👩‍👧")]
    assert (row["text"], row["id"], row["test"]) == (TEXTS[1], 1, False)
    (example,) = read_examples(project.folder / "labels.jsonl")
    assert [(span.start, span.end, span.type) for span in example.spans] == [ADA, (12, 17, "port")]


def test_a_killed_process_loses_nothing(project: Project, tmp_path: Path) -> None:
    save(project, 0, BEAGLE)
    save(project, 0, BEAGLE, (16, 24, "port"), answer="accept")
    save(project, 1, answer="reject")
    project.undo("a")
    before = facts(project), labels(project)
    with raises(OutputExists, "has it open"):
        opened(tmp_path)
    (project.folder / "labels.jsonl").unlink()  # as if it was killed before it was written
    with (project.folder / "journal.jsonl").open("ab") as stream:
        stream.write(b'{"do": "set", "id": 1, "ent')
    project.close()
    again = opened(tmp_path)
    assert (facts(again), labels(again)) == before
    assert again.undo("a") is again.items[0]
    assert (again.items[0].state.entities[0].type, again.items[0].state.answer) == ("ship", "")
    again.close()


def test_any_number_of_steps_is_taken_back(project: Project) -> None:
    save(project, 0, BEAGLE)
    save(project, 0, answer="skip")
    save(project, 1, ADA, answer="accept")
    assert [getattr(project.undo("a"), "id", None) for _ in range(4)] == [1, 0, 0, None]
    assert [item.state.answer for item in project.items] == ["", "", ""]
    assert labels(project) == []


def test_a_tab_that_is_behind_is_refused(project: Project) -> None:
    item = project.find(0)
    project.save(item, 0, [BEAGLE], "", "a")
    with raises(StaleOutput, "shown as it is now"):
        project.save(item, 0, [], "accept", "b")
    project.save(item, 1, [], "accept", "b")
    with raises(StaleOutput, "nothing was undone"):
        project.undo("a")
    assert item.state.answer == "accept"
    assert project.undo("a") is None
    assert project.undo("b") is item
    assert [span.text for span in item.state.entities] == ["Beagle"]


Act = Callable[[Project], object]
MESSAGES: list[tuple[type[NerbertError], str, Act]] = [
    (InputError, "none of this project's types", lambda one: save(one, 0, (4, 10, "boat"))),
    (InputError, "overlap", lambda one: save(one, 0, BEAGLE, (8, 15, "port"))),
    (InputError, "parts of one word", lambda one: save(one, 0, (4, 6, "ship"), (7, 9, "port"))),
    (InputError, "nothing at this place", lambda one: save(one, 0, (4, 99, "ship"))),
    (InputError, "nothing at this place", lambda one: save(one, 0, (3, 4, "ship"))),
    (InputError, "nothing at this place", lambda one: save(one, 0, (10, 4, "ship"))),
    (InputError, "sentence 9: was not shown yet", lambda one: one.find(9)),
    (InputError, "no such file", lambda one: one.read(one.folder / "none.txt")),
    (OutputExists, "another nerbert label", lambda one: Project(one.folder, Reading())),
    (OutputExists, "other files", lambda one: Project(one.folder.parent, Reading())),
    *(
        (SettingsError, "a name has 1 to", lambda one, name=name: one.set_types([LabelType(name)]))
        for name in ("", "a\u202eb", "x" * 101)
    ),
    *(
        (SettingsError, "its name or key is another's", lambda one, types=types: one.set_types(types))
        for types in ([LabelType("a b"), LabelType(" A_b ")], [LabelType("a", key="1"), LabelType("b", key="1")])
    ),
    *(
        (SettingsError, "other than a, c, m, s, x", lambda one, type_=type_: one.set_types([type_]))
        for type_ in (LabelType("a", colour="red"), LabelType("a", key="  "), LabelType("ship", key="a"))
    ),
    (SettingsError, "257 types: at most 256", lambda one: one.set_types([LabelType(str(n)) for n in range(257)])),
]


@pytest.mark.parametrize(("error", "words", "act"), MESSAGES)
def test_messages(project: Project, error: type[NerbertError], words: str, act: Act) -> None:
    """And what is refused changes nothing."""
    journal = project.folder / "journal.jsonl"
    before = facts(project), journal.read_bytes()
    with raises(error, words):
        act(project)
    assert (facts(project), journal.read_bytes()) == before


def test_a_full_disk_loses_only_the_action_that_was_refused(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(project, 0, BEAGLE, answer="accept")
    whole = os.pwrite
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda handle, line, at: whole(handle, line[:5], at))
        with raises(WriteError, "No space left"):
            save(project, 1, answer="accept")
    save(project, 2, answer="accept")
    before = facts(project)
    project.close()
    again = opened(tmp_path)
    assert facts(again) == before
    assert [item.state.answer for item in again.items] == ["accept", "", "accept"]
    again.close()


@pytest.mark.parametrize("what", ["nerbert_label.project.held", "pathlib.Path.open"])
def test_a_disk_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    opened(tmp_path).close()
    monkeypatch.setattr(what, raising(OSError(errno.EIO, os.strerror(errno.EIO))))
    with raises(InputError, ": Input/output error"):
        opened(tmp_path)


def test_a_file_is_added_once(project: Project, tmp_path: Path) -> None:
    save(project, 0, answer="accept")
    texts = "Nothing here.", "The Argo left.", "x" * 30_000
    (tmp_path / "more.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    assert load(project, tmp_path / "more.jsonl") == 1
    assert [item.sentence.text for item in project.items] == [*TEXTS, "The Argo left."]
    assert project.find(0).state.answer == "accept"


def test_types_of_a_file_come_with_it_and_its_labels_are_suggestions(tmp_path: Path) -> None:
    (tmp_path / "gold.conll").write_text("The O\nBeagle B-ship\nleft O\nKiel B-port\n\n")
    made = opened(tmp_path)
    load(made, tmp_path / "gold.conll")
    assert [(type_.name, type_.key) for type_ in made.types] == [("ship", "1"), ("port", "2")]
    assert [span.text for span in made.items[0].sentence.spans] == ["Beagle", "Kiel"]
    assert made.items[0].state.entities == ()
    made.close()


def test_a_used_type_stays(project: Project) -> None:
    save(project, 0, BEAGLE)
    with raises(SettingsError, "it can't be removed"):
        project.set_types([LabelType("port")])
    project.undo("a")
    project.set_types([LabelType("port"), LabelType("constructor"), LabelType("__proto__")])
    assert [type_.name for type_ in project.types] == ["port", "constructor", "__proto__"]


def test_two_hundred_types_get_colours_and_the_first_of_them_keys() -> None:
    types = complete_types([LabelType(f"type {n}") for n in range(200)])
    keys = [type_.key for type_ in types if type_.key]
    assert len(set(keys)) == len(keys) == 31
    assert not set(keys) & set("acmsx ")
    assert all(type_.colour.startswith("#") for type_ in types)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"do": "set", "id": 7, "entities": [], "answer": "", "tab": "a"}\n', "can't be repeated"),
        ("[1]\n", "isn't a journal"),
        ("my diary", "isn't a journal"),
        ('{"do": 1}\n', "journal.jsonl:1: an action that can't be repeated"),
    ],
)
def test_a_journal_of_something_else_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "journal.jsonl").write_text(content)
    with raises(InputError, words):
        opened(tmp_path)
    assert (tmp_path / "work" / "journal.jsonl").read_text() == content


def test_changed_sentences_are_noticed(project: Project, tmp_path: Path) -> None:
    project.close()
    path = project.folder / "sentences.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    with raises(InputError, "was changed"):
        opened(tmp_path)


def test_a_request_that_is_repeated_is_done_once(project: Project, tmp_path: Path) -> None:
    item = project.find(0)
    for _ in range(2):
        project.save(item, 0, [BEAGLE], "accept", "a", "one")
    project.save(project.find(1), 0, [], "accept", "a", "two")
    assert project.undo("a", "three") is project.undo("a", "three") is project.items[1]
    assert (item.revision, item.state.answer) == (1, "accept")
    project.close()
    again = opened(tmp_path)
    assert again.undo("a", "three") is again.items[1]
    assert again.items[0].state.answer == "accept"
    assert again.undo("a", "four") is again.items[0]
    again.close()


def test_a_label_of_a_part_is_of_the_whole_word(project: Project) -> None:
    save(project, 0, (4, 6, "ship"), (16, 20, "port"), answer="accept")
    project.write_labels()
    (example,) = read_examples(project.folder / "labels.jsonl")
    assert [span.text for span in example.spans] == ["Beagle", "Plymouth"]


def test_what_cannot_be_text_or_type_is_mended_when_it_is_read(tmp_path: Path) -> None:
    spans = {"start": 4, "end": 8, "type": "a  b"}, {"start": 9, "end": 13, "type": "x\u200b"}
    rows = {"text": "The Fram left.", "spans": spans}, {"text": "half \ud800 left", "spans": []}
    (tmp_path / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = opened(tmp_path)
    load(made, tmp_path / "odd.jsonl")
    assert [type_.name for type_ in made.types] == ["a b"]
    assert made.items[1].sentence.text == "half \N{REPLACEMENT CHARACTER} left"
    made.close()
    opened(tmp_path).close()


def test_labels_are_written_in_the_order_in_which_sentences_were_shown(project: Project, tmp_path: Path) -> None:
    """When the project is closed, and when it is opened."""
    save(project, 1, ADA, answer="accept")
    save(project, 0, BEAGLE, answer="accept")
    path = project.folder / "labels.jsonl"
    assert not path.exists()
    project.close()
    written = path.read_bytes()
    assert [json.loads(line)["id"] for line in written.splitlines()] == [0, 1]
    path.unlink()
    again = opened(tmp_path)
    assert path.read_bytes() == written
    again.close()


# The order of sentences


def sentences(count: int) -> list[Example]:
    return [example_of_spans(f"w{n} a{n} b{n} c{n} d{n} .", []) for n in range(count)]


def drawn(draw: Draw, count: int) -> list[tuple[int, bool]]:
    found = []
    for _ in range(count):
        one = draw.next()
        if one is None:
            break
        draw.show(one[0])
        found.append(one)
    return found


def test_all_come_once_in_an_order_of_the_seed() -> None:
    some = sentences(60)
    found = drawn(Draw(some, 1), 100)
    assert sorted(number for number, _ in found) == list(range(60))
    assert found == drawn(Draw(some, 1), 100)
    assert found != drawn(Draw(some, 2), 100)
    assert [number for number, _ in found] != list(range(60))


def test_one_in_five_is_for_the_test_at_a_place_of_chance() -> None:
    places = [place for place in range(500) if is_for_test(place, 3)]
    assert [place // 5 for place in places] == list(range(100))
    assert {place % 5 for place in places} == {0, 1, 2, 3, 4}


def test_near_duplicates_never_come() -> None:
    some = [
        *sentences(5),
        example_of_spans("W0 a0, b0 c0 d0!", []),
        example_of_spans("w0 a0 b0 c0 other words here", []),
    ]
    numbers = {number for number, _ in drawn(Draw(some, 0), 10)}
    assert len(numbers) == 6
    assert len(numbers & {0, 5}) == 1


def test_a_draw_that_is_made_again_goes_on() -> None:
    some = sentences(40)
    first = drawn(Draw(some, 0), 40)
    again = Draw(some, 0)
    for number, _ in first[:17]:
        again.show(number)
    assert drawn(again, 40) == first[17:]


def lab(colour: str, share: float, card: float) -> tuple[float, float, float]:
    """Return the CIELAB values of a colour's tint on a grey card."""
    mixed = [share * int(colour[at : at + 2], 16) / 255 + (1 - share) * card for at in (1, 3, 5)]
    r, g, b = (((value + 0.055) / 1.055) ** 2.4 for value in mixed)
    x, y, z = 0.434 * r + 0.376 * g + 0.190 * b, 0.213 * r + 0.715 * g + 0.072 * b, 0.018 * r + 0.109 * g + 0.873 * b
    return 116 * y ** (1 / 3), 500 * (x ** (1 / 3) - y ** (1 / 3)), 200 * (y ** (1 / 3) - z ** (1 / 3))


@pytest.mark.parametrize("card", [1.0, 0.127])
def test_no_two_default_colours_look_alike_as_tints(card: float) -> None:
    assert json.dumps(COLOURS) in (Path(package).parent / "serve" / "page" / "text.js").read_text()
    for one, other in combinations(COLOURS, 2):
        assert math.dist(lab(one, 0.34, card), lab(other, 0.34, card)) > 12, (one, other)
