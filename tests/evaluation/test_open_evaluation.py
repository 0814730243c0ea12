"""Taggers that are told their labels, on passages that each ask for types of their own."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.evaluation.evaluate import evaluate_open, has_asked_types
from nerbert.model.heads import Entities
from nerbert.records import EntityLabel, Example
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.commands import exit_code
from tests.raised import raises
from tests.tagger.test_labels import NamesHead

TYPES = {"Fram": "ship", "Oslo": "port", "crew": "crew", "Bosun": "crew: rank"}


class WordsHead(NamesHead):
    """Finds the words that it knows the types of."""

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> "WordsHead":
        return WordsHead(labels, thresholds)

    def predict(self, examples: Sequence[Example]) -> Entities:
        return Entities.of(
            [
                [
                    ((place, place + 1, TYPES[word]), 3.0)
                    for place, word in enumerate(each.tokens)
                    if TYPES.get(word) in self.least
                ]
                for each in examples
            ]
        )


def row(text: str, *mentions: tuple[str, str], asked: object) -> str:
    entities = [{"start": text.index(one), "end": text.index(one) + len(one), "type": name} for one, name in mentions]
    return json.dumps({"text": text, "entities": entities, "asked": asked}) + "\n"


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    """Three mentions of four types; ports are asked for in the second passage alone."""
    path = tmp_path / "passages.jsonl"
    path.write_text(
        row("The Fram left Oslo.", ("Fram", "ship"), ("Fram", "Vessel"), asked=["Ship", "vessel", "crew"])
        + row("Men of Fram and Oslo", ("Men", "port"), ("Oslo", "port"), asked=["port"])
        + row("Nobody asks", asked=[])
    )
    return path


def test_a_mention_is_found_by_any_one_of_its_types(passages: Path) -> None:
    found = evaluate_open(Tagger(WordsHead(), SPLITTER, "en"), passages)
    assert found.counts.as_json() == {
        "right": 2,
        "predicted": 2,
        "gold": 3,
        "precision": 1.0,
        "recall": pytest.approx(2 / 3),
        "f1": 0.8,
    }
    assert (found.passages, found.types) == (3, 4)
    everything = passages.with_name("all.jsonl")
    everything.write_text(passages.read_text().replace('["port"]', '"all"'))
    found = evaluate_open(Tagger(WordsHead(), SPLITTER, "en"), everything)
    assert (found.counts.right, found.counts.predicted, found.counts.gold) == (2, 3, 3), "Fram is a ship there, too"


def test_a_colon_in_a_type_begins_no_description(tmp_path: Path) -> None:
    path = tmp_path / "colon.jsonl"
    path.write_text(row("The Bosun slept.", ("Bosun", "Crew: rank"), asked=["crew: rank"]))
    assert evaluate_open(Tagger(WordsHead(), SPLITTER, "en"), path).counts.right == 1


def test_the_command_prints_it(
    passages: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: Tagger(WordsHead(), SPLITTER, "en"))
    assert exit_code("evaluate", "any", passages, "--json") == 0
    assert json.loads(capsys.readouterr().out)["f1"] == 0.8
    assert exit_code("evaluate", "any", passages, "--train", passages) == 1
    assert "is of open types" in capsys.readouterr().err
    assert exit_code("evaluate", "any", passages) == 0
    assert "mention F1 on open types" in capsys.readouterr().out
    (tmp_path / "other.jsonl").write_text('{"text": "x"}\n')
    assert not has_asked_types(tmp_path / "other.jsonl")
    assert not has_asked_types(tmp_path)


def test_a_tagger_of_its_own_types_is_refused(passages: Path) -> None:
    class Fixed(WordsHead):
        types = ("ship",)  # type: ignore[assignment]

    with raises(InputError, words="asks for its own"):
        evaluate_open(Tagger(Fixed(), SPLITTER, "en"), passages)
