"""Labels at run time, with a head that finds the labels' own names in a text, and with one of fixed types."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

from nerbert.errors import InputError, SettingsError
from nerbert.model.heads import Entities, Head
from nerbert.records import EntityLabel, Example
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.commands import exit_code

SHIP = "The brig Margarethe was built by Larsen & Holm in Tromsø."
LOGIT_60, LOGIT_90 = 0.4055, 2.1972


class NamesHead(Head):
    """Finds the names of its labels: 60 % sure of those in lower case, 90 % of others."""

    usual_threshold, longest_text = 0.5, 8

    def __init__(self, labels: Sequence[EntityLabel] = (), thresholds: Sequence[float] = ()) -> None:
        self.least = dict(zip((each.name for each in labels), thresholds, strict=True))
        self.read = list[str]()

    @property
    def types(self) -> list[str]:
        return sorted(self.least)

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> "NamesHead":
        return NamesHead(labels, thresholds)

    def predict(self, examples: Sequence[Example]) -> Entities:
        self.read += [each.text for each in examples]
        return Entities.of([
            [((place, place + 1, name), LOGIT_60 if word.islower() else LOGIT_90)
             for place, word in enumerate(each.tokens) for name in self.least
             if name == word.lower() and self.least[name] <= (0.6 if word.islower() else 0.9)]
            for each in examples
        ])  # fmt: skip


@pytest.fixture
def open_tagger() -> Tagger:
    return Tagger(NamesHead(), SPLITTER, "en")


def found(tagger: Tagger, text: str, labels: list[str] | None = None) -> list[tuple[str, str]]:
    spans = tagger.tag(text, labels)
    assert all(text[each.start : each.end] == each.text for each in spans)
    return [(each.text, each.type) for each in spans]


def test_a_tagger_without_types_needs_labels(open_tagger: Tagger) -> None:
    with pytest.raises(InputError, match="finds what it is asked for: give labels"):
        open_tagger.tag("a ship")
    assert found(open_tagger, "a ship in port", ["ship"]) == [("ship", "ship")]
    assert found(open_tagger, "a ship in port", ["port: where ships call", "ship"]) == [
        ("ship", "ship"), ("port", "port")]  # fmt: skip
    assert [len(each) for each in open_tagger.tag_many(["a ship", "", "the port"], ["port", "ship"])] == [1, 0, 1]
    assert open_tagger.types == []


def test_thresholds_are_by_label_and_meet_the_temperature(open_tagger: Tagger) -> None:
    text, labels = "ship SHIP port PORT", ["ship", "port"]
    assert len(found(open_tagger, text, labels)) == 4
    open_tagger.temperature = 3.0  # 60 % become 53 %, 90 % become 68 %
    asked = open_tagger.with_labels(labels)
    assert [round(each.confidence, 2) for each in asked.tag(text)] == [0.53, 0.68, 0.53, 0.68]
    assert asked.head.least == pytest.approx(dict.fromkeys(labels, 0.5))  # type: ignore[attr-defined]
    open_tagger.thresholds = {"ship": 0.6, "whale": 0.9}
    assert found(open_tagger, text, ["port", "ship"]) == [("SHIP", "ship"), ("port", "port"), ("PORT", "port")]


def test_labels_are_prepared_once(open_tagger: Tagger) -> None:
    asked = open_tagger.with_labels(["ship"])
    assert open_tagger.with_labels(["ship"]) is asked
    assert open_tagger.with_labels(["ship: it floats"]) is not asked


def test_sentences_are_read_together_as_far_as_the_head_can(open_tagger: Tagger) -> None:
    text = (
        "A ship left. \U0001f6a2 One port.\nThe next line has ship, port and ship. "
        "\ud800 A ship of nine words is longer than all."
    )
    asked = open_tagger.with_labels(["ship", "port"])
    spans = asked.tag(text)
    assert [text[each.start : each.end] for each in spans] == ["ship", "port", "ship", "port", "ship", "ship"]
    assert asked.head.read == [  # type: ignore[attr-defined]
        "A ship left. \U0001f6a2 One port.", "The next line has ship, port and ship.",
        "\ufffd A ship of nine words is longer than all."]  # fmt: skip


def test_fixed_types_are_filtered(tagger: Tagger) -> None:
    everything = tagger.tag(SHIP)
    kinds = sorted({each.type for each in everything})
    assert len(kinds) > 1
    for kind in kinds:
        assert tagger.tag(SHIP, [kind]) == [each for each in everything if each.type == kind]
    assert tagger.with_labels(kinds[:1]).types == kinds[:1]
    with pytest.raises(InputError, match=r"label 'whale': this tagger has fixed types.*known: "):
        tagger.tag(SHIP, [kinds[0], "whale"])


def test_labels_and_thresholds_go_to_other_processes(tiny_tagger: Path) -> None:
    one = Tagger.load(tiny_tagger, device="cpu", thresholds=0.01)
    kind = one.tag(SHIP)[0].type
    asked = one.with_labels([kind])
    again = pickle.loads(pickle.dumps(asked))
    assert (again.labels, again.types, again.thresholds) == (asked.labels, [kind], {kind: 0.01})
    assert again.tag(SHIP) == asked.tag(SHIP)
    with pytest.raises(SettingsError, match="no type 'nonesuch'"):
        Tagger.load(tiny_tagger, thresholds={"nonesuch": 0.5})


def test_the_command_takes_labels(
    tiny_tagger: Path, tagger: Tagger, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kind = tagger.tag(SHIP)[0].type
    text, labels = tmp_path / "in.txt", tmp_path / "labels.txt"
    text.write_text(f"{SHIP}\n")
    labels.write_text(f"{kind}\n")
    assert exit_code("tag", tiny_tagger, text, "--labels", labels, "--json") == 0
    spans = json.loads(capfd.readouterr().out)["spans"]
    assert spans
    assert {each["type"] for each in spans} == {kind}
    assert exit_code("tag", tiny_tagger, text, "--labels", f"{kind},whale") == 1
    assert "label 'whale': this tagger has fixed types" in capfd.readouterr().err
