"""A tagger learns new types and keeps its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nerbert
from nerbert import example
from nerbert.data.splits import DataSet, read_data
from nerbert.errors import InputError
from nerbert.finetuning.add_types import add_types, prepare
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import TaggerOutput
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.model.folder import read_card
from nerbert.model.heads import Entities, Head
from nerbert.records import Example
from nerbert.tagger.tagger import Tagger
from tests.commands import exit_code
from tests.raised import raises
from tests.stages import finetune

SETTINGS = FinetuneSettings(
    epochs=1, min_steps=60, max_steps=60, precision="fp32", threads=1, max_length=64, learning_rate=3e-3, batch_size=6
)
SHIP, PERSON = "The Margarethe sailed", "Larsen & Holm"
OLD = [example(SHIP, [(4, 14, "ship")]), example(PERSON, [(0, 13, "person")])] * 3
NEW_TEXT = "The Margarethe sailed Oslo"
NEW = [example(NEW_TEXT, [(22, 26, "port")]), example("Larsen & Holm sailed Oslo", [(21, 25, "port")])] * 3


@pytest.fixture(scope="module")
def tagger(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tagger of ships and persons that knows its training sentences by heart."""
    folder = tmp_path_factory.mktemp("tagger") / "old"
    finetune(str(tiny_encoder), OLD, folder, SETTINGS)
    assert found(str(folder), SHIP) == [("Margarethe", "ship")]
    return str(folder)


def found(tagger: str, text: str) -> list[tuple[str, str]]:
    return [(each.text, each.type) for each in Tagger.load(tagger, device="cpu", precision="fp32").tag(text)]


def data_of(examples: Sequence[Example]) -> Domains[DataSet]:
    return Domains(read_data(list(examples)))


def test_new_types_are_learnt_and_own_ones_are_kept(tagger: str, tmp_path: Path) -> None:
    both, alone = tmp_path / "both", tmp_path / "alone"
    assert nerbert.add_types(tagger, NEW, both, SETTINGS) == [both]
    assert found(str(both), NEW_TEXT) == [("Margarethe", "ship"), ("Oslo", "port")]
    assert found(str(both), PERSON) == [("Larsen & Holm", "person")]
    card = read_card(str(both))
    assert card["types"] == ["person", "port", "ship"]
    assert card["added_types"]["own"] == ["person", "ship"]
    assert card["added_types"]["found"] == 6
    assert card["settings"]["source_head"] == "shared"
    finetune(tagger, NEW, alone, SETTINGS)
    assert found(str(alone), SHIP) == []  # what it would forget


def test_what_new_data_alone_cannot_measure_is_said_first(tagger: str, capsys: pytest.CaptureFixture[str]) -> None:
    for train, words in ((NEW, "of its own types\n"), (NEW[:1], "of its own types: of person none was found, so ")):
        prepare(tagger, Domains(DataSet(Path("x"), train, train)), SETTINGS)
        err = capsys.readouterr().err
        assert f"without --old-data, nothing here measures what is forgotten {words}" in err
        assert "on dev, its own answers stand for its own types" in err
    prepare(tagger, data_of(NEW), SETTINGS, OLD)
    assert "nothing here measures" not in capsys.readouterr().err


def test_its_own_answers_stand_beside_the_new_annotation(tagger: str) -> None:
    new = [example(NEW_TEXT, [(0, 14, "port")]), example(PERSON, [])]
    prepared = prepare(tagger, data_of(new), SETTINGS)
    first, second = prepared.domains.target.train
    assert [each.type for each in first.spans] == ["port"], "the annotation wins where they overlap"
    (person,) = second.spans
    assert (person.start, person.end, person.type) == (0, 13, "person")
    assert 0.5 < person.confidence < 1
    assert prepared.settings.objective == "distillation"


class Reader(Head):
    """Finds each first word, as what it is told."""

    def __init__(self, type_: str) -> None:
        self.type = type_

    @property
    def types(self) -> list[str]:
        return [self.type]

    def predict(self, examples: Sequence[Example]) -> Entities:
        return Entities.of([[((0, 1, self.type), 2.0)] for _ in examples])


def test_in_old_sentences_what_learnt_the_new_ones_finds_new_types(tagger: str) -> None:
    old = [example("Oslo saw Anna", [(9, 13, "person")]), example("Anna left", [(0, 4, "person")])]
    prepared = prepare(tagger, data_of(NEW), SETTINGS, old)
    assert prepared.facts["added_types"]["old_sentences"] == 2
    both = prepared.with_old(Reader("port")).target.train
    assert both[:-2] == prepared.domains.target.train
    first, second = both[-2:]
    assert [(each.text, each.type) for each in first.spans] == [("Oslo", "port"), ("Anna", "person")]
    assert first.spans[0].confidence == pytest.approx(0.8808, abs=1e-4)
    assert [each.type for each in second.spans] == ["person"], "the annotation wins where they overlap"
    assert prepared.with_old(Reader("ship")).target.train[-2:] == old, "own types are annotated there"


def test_without_new_types_both_are_trained_on_at_once(tagger: str) -> None:
    new = data_of([example(NEW_TEXT, [(4, 14, "ship")])])
    prepared = prepare(tagger, new, SETTINGS, OLD, same_types=True)
    assert len(prepared.domains.target.train) == 1 + len(OLD)
    assert prepared.old == []


SHIP_TOO = [example(NEW_TEXT, [(22, 26, "ship")]), example(SHIP, [])]


def test_a_type_of_both_may_be_the_same(tagger: str) -> None:
    prepared = prepare(tagger, data_of(SHIP_TOO), SETTINGS, same_types=True)
    assert prepared.domains.target.train[1].spans == (), "all new sentences are labelled with it"


@pytest.mark.parametrize(
    ("start", "new", "how", "words"),
    [
        ("", SHIP_TOO, {}, "ship: types of the new sentences that "),
        (
            "",
            [example(NEW_TEXT, [(22, 26, "PER")])],
            {"same_types": True},
            "'person' and 'PER' are one under two names",
        ),
        ("", [example("Oslo lies", [(0, 4, "town")])], {"old": NEW}, "has types that the tagger lacks (port)"),
        ("embedded", NEW, {}, "has no types of its own; it is an encoder, so leave out --add-types"),
        ("embedded-open", NEW, {}, "has no types of its own; name the types to keep with --labels"),
    ],
)
def test_messages(tagger: str, start: str, new: list[Example], how: dict[str, Any], words: str) -> None:
    with raises(InputError, words):
        prepare(start or tagger, data_of(new), SETTINGS, **how)


def test_options_are_refused_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("finetune", "x", "--data", "x", "-o", tmp_path / "y", "--same-types") == 1
    assert "--old-data and --same-types are for --add-types" in capsys.readouterr().err


def test_a_model_of_labels_at_run_time_keeps_the_types_of_its_card(tmp_path: Path) -> None:
    few = replace(SETTINGS, min_steps=0, max_steps=2, learning_rate=0.0, max_length=256)
    first, second = tmp_path / "first", tmp_path / "second"
    finetune("embedded-open", OLD, first, few)
    card = read_card(str(first))
    assert (card["head"], card["settings"]["objective"]) == ("concepts", "names")
    add_types(str(first), Domains(NEW), TaggerOutput(second), few, old=OLD)
    card = read_card(str(second))
    assert card["types"] == ["person", "port", "ship"]
    assert card["words_of_types"] == {"person": "person", "port": "port", "ship": "ship"}


def test_a_gliner_folder_keeps_its_types(tiny_gliner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = replace(SETTINGS, objective="", max_steps=2)
    (old,) = finetune(str(tiny_gliner), OLD, tmp_path / "old", settings)
    forgets = "note: trained on person, ship alone, the new tagger will find other types less than "
    assert capsys.readouterr().err.startswith(forgets), "before it starts"
    (new,) = add_types(str(old), Domains(NEW), TaggerOutput(tmp_path / "new"), settings, old=OLD)
    assert "alone" not in capsys.readouterr().err
    card = read_card(str(new))
    assert card["head"] == "gliner"
    assert set(card["types"]) == {"person", "ship", "port"}
    assert Tagger.load(new).with_default_labels().types == ["person", "port", "ship"]
