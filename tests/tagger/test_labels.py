"""Labels at run time, with a head that finds the labels' own names in a text, and with one of fixed types."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.labels import spans_from_bio
from nerbert.metrics.calibration import Scaling
from nerbert.model.heads import Entities, Head
from nerbert.records import EntityLabel, Example
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER, split_words
from tests.commands import exit_code
from tests.raised import raises

Caught = pytest.CaptureFixture[str]
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
        return Entities.of(
            [
                [
                    ((place, place + 1, name), LOGIT_60 if word.islower() else LOGIT_90)
                    for place, word in enumerate(each.tokens)
                    for name in self.least
                    if name == word.lower() and self.least[name] <= (0.6 if word.islower() else 0.9)
                ]
                for each in examples
            ]
        )


@pytest.fixture
def open_tagger() -> Tagger:
    return Tagger(NamesHead(), SPLITTER, "en")


def found(tagger: Tagger, text: str, labels: list[str] | None = None) -> list[tuple[str, str]]:
    spans = tagger.tag(text, labels)
    assert all(text[each.start : each.end] == each.text for each in spans)
    return [(each.text, each.type) for each in spans]


def test_a_tagger_without_types_needs_labels(open_tagger: Tagger) -> None:
    with raises(InputError, "takes its labels at run time: give labels"):
        open_tagger.tag("a ship")
    assert found(open_tagger, "a ship in port", ["ship"]) == [("ship", "ship")]
    assert found(open_tagger, "a ship in port", ["port: where ships call", "ship"]) == [
        ("ship", "ship"),
        ("port", "port"),
    ]
    assert [len(each) for each in open_tagger.tag_many(["a ship", "", "the port"], ["port", "ship"])] == [1, 0, 1]
    assert open_tagger.types == []


def test_the_types_that_it_was_fine_tuned_on_are_the_default(
    open_tagger: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Caught
) -> None:
    open_tagger.card = {"types": ["port", "ship"], "thresholds": {"ship": 0.7}}
    assert found(open_tagger, "a ship, a SHIP in port") == [("SHIP", "ship"), ("port", "port")]
    assert found(open_tagger, "a whale, a ship", ["whale"]) == [("whale", "whale")]
    assert open_tagger.types == []
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: open_tagger)
    text = tmp_path / "in.txt"
    text.write_text("a SHIP in port\n")
    assert exit_code("tag", "x", text) == 0
    assert capfd.readouterr().out.splitlines()[0] == "a [SHIP|ship] in [port|port]"
    assert exit_code("tag", "x", text, "--labels", "port", "--json") == 0
    assert [each["type"] for each in json.loads(capfd.readouterr().out)["spans"]] == ["port"]


def test_labels_that_find_nothing_in_a_long_text_are_told(
    open_tagger: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Caught
) -> None:
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: open_tagger)
    text = tmp_path / "in.txt"
    for words, labels in (("a ship in port. " * 5, []), ("a ship in port. " * 70, ["whale", "hull"])):
        text.write_text(words)
        asked = ("tag", "x", text, "--labels", "port,whale,ship,hull")
        assert exit_code(*asked, "--json") == 0
        out, err = capfd.readouterr()
        assert json.loads(out).get("labels_not_found", []) == labels
        told = [line for line in err.splitlines() if line.startswith("note: nothing found")]
        assert [line.partition(";")[0] for line in told] == [
            f"note: nothing found in {len(words):,} characters for {', '.join(labels)}" for _ in labels[:1]
        ]
        assert exit_code(*asked, "-o", tmp_path / "out.html", "--overwrite") == 0
        assert all(line in capfd.readouterr().err for line in told)


def test_thresholds_are_by_label_and_meet_the_temperature(open_tagger: Tagger) -> None:
    text, labels = "ship SHIP port PORT", ["ship", "port"]
    assert len(found(open_tagger, text, labels)) == 4
    open_tagger.scaling = Scaling(3.0)  # 60 % become 53 %, 90 % become 68 %
    asked = open_tagger.with_labels(labels)
    assert [round(each.confidence, 2) for each in asked.tag(text)] == [0.53, 0.68, 0.53, 0.68]
    assert asked.head.least == pytest.approx(dict.fromkeys(labels, 0.5))  # type: ignore[attr-defined]
    open_tagger.thresholds = {"ship": 0.6, "whale": 0.9}
    assert found(open_tagger, text, ["port", "ship"]) == [("SHIP", "ship"), ("port", "port"), ("PORT", "port")]


def test_a_cards_threshold_is_the_usual_one(open_tagger: Tagger) -> None:
    text, labels = "ship SHIP port PORT", ["ship", "port"]
    open_tagger.card = {"threshold": 0.7}
    assert open_tagger.usual_threshold == 0.7
    assert found(open_tagger, text, labels) == [("SHIP", "ship"), ("PORT", "port")]
    open_tagger.card = {"threshold": 0.7, "thresholds": {"ship": 0.5}}
    assert found(open_tagger, text, labels) == [("ship", "ship"), ("SHIP", "ship"), ("PORT", "port")]
    open_tagger._chosen = 0.55
    assert len(found(open_tagger, text, labels)) == 4


def test_thresholds_and_temperature_may_be_set_after_the_labels(open_tagger: Tagger) -> None:
    text = "ship SHIP"
    asked = open_tagger.with_labels(["ship"])
    assert open_tagger.with_labels(["ship"]).head is asked.head, "labels are prepared once"
    assert open_tagger.with_labels(["ship: it floats"]).head is not asked.head
    asked.thresholds = {"ship": 0.8}
    assert found(asked, text) == [("SHIP", "ship")]
    asked.scaling, asked.thresholds = Scaling(3.0), {"ship": 0.52}  # 60 % become 53 %
    assert len(found(asked, text)) == 2
    open_tagger._chosen, open_tagger.thresholds = 0.1, {"ship": 0.8}
    assert found(open_tagger, text, ["ship"]) == [("SHIP", "ship")]


def test_the_threshold_of_a_misspelt_label_is_told(open_tagger: Tagger, capfd: Caught) -> None:
    open_tagger._chosen = {"shipp": 0.8, "port": 0.8}
    assert found(open_tagger, "ship PORT", ["port"]) == [("PORT", "port")]
    assert not capfd.readouterr().err, "one of another label waits for it"
    assert found(open_tagger, "ship", ["port", "ship"]) == [("ship", "ship")]
    told = "note: the threshold of 'shipp' isn't used for port, ship: did you mean 'ship'?"
    assert told in capfd.readouterr().err
    open_tagger._chosen = {"shipp": 0.8, "ship": 0.5}
    assert found(open_tagger, "ship", ["ship"]) == [("ship", "ship")]
    assert not capfd.readouterr().err, "ship has its own"


class NestedHead(NamesHead):
    """Finds the first three words, and the one in their middle."""

    decoding = "nested"
    types = ("port", "ship")  # type: ignore[assignment]

    def predict(self, examples: Sequence[Example]) -> Entities:
        return Entities.of([[((0, 3, "ship"), 2.0), ((1, 2, "port"), 1.0)] for _ in examples], nested=True)


def test_nested_entities_go_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Caught) -> None:
    monkeypatch.setattr(Tagger, "load", lambda *_, **__: Tagger(NestedHead(), SPLITTER, "en"))
    text = tmp_path / "in.txt"
    text.write_text("Great Bergen harbour is open.\n")
    able = "text, jsonl, parquet, label-studio, argilla, doccano, brat, csv"
    for kind in ("conll", "html", "gliner", "marked", "prodigy"):
        assert exit_code("tag", "x", text, "--to", kind, "-o", tmp_path / "out", "--decoding", "nested") == 1
        told = f"nerbert: --decoding nested: {kind} can't hold entities inside others; choose one of {able}\n"
        assert capfd.readouterr().err == told
    assert exit_code("tag", "x", text, "--decoding", "nested") == 0
    marked, *rows = capfd.readouterr().out.splitlines()
    assert marked == "[Great Bergen harbour|ship] is open."
    assert [each.split()[1] for each in rows] == ["ship", "port"]
    assert exit_code("tag", "x", text, "--json", "--decoding", "nested") == 0
    assert [each["type"] for each in json.loads(capfd.readouterr().out)["spans"]] == ["ship", "port"]


def test_sentences_are_read_together_as_far_as_the_head_can(open_tagger: Tagger) -> None:
    text = (
        "A ship left. \U0001f6a2 One port.\nThe next line has ship, port and ship. "
        "\ud800 A ship of nine words is longer than all."
    )
    asked = open_tagger.with_labels(["ship", "port"])
    spans = asked.tag(text)
    assert [text[each.start : each.end] for each in spans] == ["ship", "port", "ship", "port", "ship", "ship"]
    assert asked.head.read == [  # type: ignore[attr-defined]
        "A ship left. \U0001f6a2 One port.",
        "The next line has ship, port and ship.",
        "\ufffd A ship of nine words is longer than all.",
    ]


def test_fixed_types_are_filtered(tagger: Tagger) -> None:
    everything = tagger.tag(SHIP)
    kinds = sorted({each.type for each in everything})
    assert len(kinds) > 1
    for kind in kinds:
        assert tagger.tag(SHIP, [kind]) == [each for each in everything if each.type == kind]
    first = tagger.with_labels(kinds[:1])
    assert first.types == kinds[:1]
    assert first.with_labels(kinds[1:]).types == kinds[1:]
    first.thresholds = {kinds[0]: 1.0}  # the head is asked again, and isn't wrapped twice
    assert first.tag(SHIP) == []
    again = pickle.loads(pickle.dumps(first))
    assert (again.labels, again.types, again.thresholds) == (first.labels, kinds[:1], first.thresholds)
    assert first.head._head is tagger.head  # type: ignore[attr-defined]
    with raises(InputError, "label 'whale' is none of this tagger's fixed types: must be one of "):
        tagger.tag(SHIP, [kinds[0], "whale"])


def test_a_heading_of_a_form_is_no_entity_of_its_type(open_tagger: Tagger) -> None:
    assert found(open_tagger, "Ship: a ship\nport of the ship : Port", ["ship", "port"]) == [
        ("ship", "ship"),
        ("port", "port"),
        ("ship", "ship"),
        ("Port", "port"),
    ]


class CodeHead(Head):
    """Finds entities at fixed words."""

    types = ("number", "port")  # type: ignore[assignment]

    def __init__(self, *spans: tuple[int, int, str]) -> None:
        self.spans = spans

    def predict(self, examples: Sequence[Example]) -> Entities:
        return Entities.of([[(span, 2.0) for span in self.spans] for _ in examples])


@pytest.mark.parametrize(
    ("text", "spans", "wanted"),
    [
        ("pay INV-2025-0417 now", [(2, 6, "number")], [("INV-2025-0417", "number")]),
        ("pay INV-2025-0417 now", [(1, 2, "port"), (2, 6, "number")], [("INV", "port"), ("-2025-0417", "number")]),
        ("pay INV-2025-0417, now", [(2, 7, "number")], [("INV-2025-0417", "number")]),
        ("at -5 now", [(1, 3, "number")], [("-5", "number")]),
        ("pay INV-2025", [(2, 3, "number")], []),
        ("Person: Ada", [(0, 1, "PER"), (2, 3, "PER")], [("Ada", "PER")]),  # a heading of its type, written as a code
    ],
)
def test_an_entity_has_the_whole_of_a_code_without_the_comma_beside_it(
    text: str, spans: list[tuple[int, int, str]], wanted: list[tuple[str, str]]
) -> None:
    tagger = Tagger(CodeHead(*spans), SPLITTER, "en")
    assert found(tagger, text) == wanted
    example = Example(text, split_words(text))
    tags = spans_from_bio(tagger.tag_examples([example])[0].tags)
    assert [
        (text[example.words[first][0] : example.words[last - 1][1]], type_) for first, last, type_ in tags
    ] == wanted


def test_a_tab_ends_a_sentence(open_tagger: Tagger) -> None:
    text = "\tMara Berg\tGraz.\t\t12 May\r\nPaul\tCork\t"
    sentences = [(text[offset : offset + len(each.text)], each.text) for offset, each in open_tagger.sentences(text)]
    assert sentences == [(each, each) for each in ("Mara Berg", "Graz.", "12 May", "Paul", "Cork")]
