"""Labels corrected by two taggers, each of which reads what it didn't learn."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nerbert import pretrain
from nerbert.corpus.settings import USUAL_STEPS, CorpusSettings
from nerbert.corpus.shards import in_half, read_manifest, read_sentences
from nerbert.distillation import relabel
from nerbert.distillation.relabel import Reader, corrected
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import SettingsError
from nerbert.labels import bio_from_spans
from nerbert.model.heads import Entities, Head, WordTags
from nerbert.records import Example, Sentence
from tests.corpus.test_propagation import built

PATHS = {"person": ("Person",), "artist": ("Person", "Artist"), "city": ("Place", "City")}
TEXT = "Ada Lovelace met Bob in London"


def row(*mentions: tuple[str, str], unknown: Sequence[str] = (), text: str = TEXT) -> dict[str, Any]:
    """Return a row of the corpus with (text, category) as mentions."""
    words, at = [], 0
    for word in text.split():
        words.append({"start": text.index(word, at), "end": text.index(word, at) + len(word)})
        at = words[-1]["end"]
    places = [
        {"start": text.index(own), "end": text.index(own) + len(own), "target": own, "resolved_target": own,
         "class_path": list(PATHS.get(category, ())), "source": "table", "category": category, "origin": "link"}
        for own, category in mentions
    ]  # fmt: skip
    stretches = [{"start": text.index(own), "end": text.index(own) + len(own), "reason": "r"} for own in unknown]
    return {"text": text, "words": words, "mentions": places, "unknown": stretches}


def tags(*spans: tuple[int, int, str], sure: float = 0.95, text: str = TEXT) -> WordTags:
    """Return the tags of words, all with one probability."""
    count = len(text.split())
    return WordTags(bio_from_spans(count, spans), [sure] * count)


def result(before: dict[str, Any], found: WordTags, least: float = 0.9) -> tuple[list[tuple[str, str, str]], list[str]]:
    after = corrected(before, found, least, PATHS)
    mentions = [(before["text"][m["start"] : m["end"]], m["category"], m["source"]) for m in after["mentions"]]
    return mentions, [before["text"][each["start"] : each["end"]] for each in after["unknown"]]


@pytest.mark.parametrize(
    ("category", "type_", "stays"),
    [("person", "person", True), ("person", "artist", True), ("artist", "person", True), ("city", "person", False)],
)
def test_a_type_agrees_above_and_below(category: str, type_: str, *, stays: bool) -> None:
    mentions, unknown = result(row(("Ada Lovelace", category)), tags((0, 2, type_)))
    assert (mentions, unknown) == (([("Ada Lovelace", category, "table")], []) if stays else ([], ["Ada Lovelace"]))


def test_other_borders_contradict() -> None:
    assert result(row(("Lovelace", "person")), tags((0, 2, "person"))) == ([], ["Lovelace"])


def test_words_that_are_surely_outside_contradict() -> None:
    assert result(row(("met", "person")), tags()) == ([], ["met"])
    assert result(row(("met", "person")), tags(sure=0.8)) == ([("met", "person", "table")], [])


def test_one_unsure_word_keeps_a_mention() -> None:
    unsure = WordTags(["O"] * 6, [0.95, 0.5, 0.95, 0.95, 0.95, 0.95])
    assert result(row(("Ada Lovelace", "person")), unsure) == ([("Ada Lovelace", "person", "table")], [])


def test_an_unsure_tagger_changes_nothing() -> None:
    before = row(("Ada Lovelace", "city"), ("Bob", "ENTITY"), unknown=["London"])
    found = tags((0, 2, "person"), (3, 4, "person"), (5, 6, "city"), sure=0.89)
    assert corrected(before, found, 0.9, PATHS) == {"mentions": before["mentions"], "unknown": before["unknown"]}


def test_what_has_no_type_gets_one() -> None:
    after = corrected(row(("Ada Lovelace", "ENTITY")), tags((0, 2, "artist")), 0.9, PATHS)
    (mention,) = after["mentions"]
    assert (mention["category"], mention["class_path"], mention["source"]) == ("artist", ["Person", "Artist"], "model")
    assert (mention["origin"], mention["target"]) == ("link", "Ada Lovelace")


def test_what_is_found_becomes_a_mention_and_is_unknown_no_more() -> None:
    before = row(("Ada Lovelace", "person"), unknown=["Bob in London"])
    mentions, unknown = result(before, tags((0, 2, "person"), (5, 6, "city")))
    assert mentions == [("Ada Lovelace", "person", "table"), ("London", "city", "model")]
    assert unknown == ["Bob in"]


def test_what_is_found_without_a_known_class_stays_unknown() -> None:
    before = row(unknown=["Bob", "London"])
    assert result(before, tags((3, 4, "ENTITY"), (5, 6, "novel"))) == ([], ["Bob", "London"])


class Known(Head):
    """A head that finds `London` and `Rome` as cities, with a probability of 0.88 each, and notes what it read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    @property
    def types(self) -> list[str]:
        return ["city"]

    def predict(self, examples: Sequence[Example]) -> Entities:
        self.read += [each.text for each in examples]
        odds = float(np.log(0.88 / 0.12))
        return Entities.of(
            [[((n, n + 1, "city"), odds) for n, word in enumerate(each.tokens) if word in ("London", "Rome")]
             for each in examples]
        )  # fmt: skip

    def tag(self, examples: Sequence[Example], temperature: float = 1.0) -> list[WordTags]:
        found = super().tag(examples, temperature)
        sure = [np.where(np.array(each.tags) == "O", 0.5, each.confidences).tolist() for each in found]
        return [WordTags(each.tags, own) for each, own in zip(found, sure, strict=True)]


PAGES = {f"P{number}": f"[[Ada Lovelace]] saw London, number {number}." for number in range(40)} | {
    f"Q{number}": f"[[London]] or [[Ada Lovelace|Rome]], number {number}." for number in range(40)
}


@pytest.fixture
def halves(tmp_path: Path) -> tuple[Path, Path]:
    """Return the folders of two encoders, which have cards alone."""
    places = (tmp_path / "second", tmp_path / "first")
    for each in places:
        write_card(each)
    return places


def write_card(folder: Path, **more: Any) -> None:
    folder.mkdir(exist_ok=True)
    card = {
        "format": 1, "kind": "encoder", "made_by": "nerbert", "word_splitter": "unicode-words-2", "language": "en",
        "objective": "tagging", "label_set": {"name": "paper315"}, "settings": {"half": folder.name},
    }  # fmt: skip
    (folder / "nerbert.json").write_text(json.dumps(card | more))
    (folder / "config.json").write_text("{}")


STEPS = tuple(step for each in USUAL_STEPS for step in (["relabel", each] if each == "split" else [each]))


def settings(halves: tuple[Path, Path], **more: Any) -> CorpusSettings:
    usual: dict[str, Any] = {
        "min_mentions": 1, "validation_ratio": 0.0, "common_categories": 0, "keep_untyped": True, "steps": STEPS,
        "relabel_taggers": halves, "relabel_confidence": 0.6,
    }  # fmt: skip
    return CorpusSettings(**(usual | more))


def relabelled(
    tmp_path: Path, halves: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Sentence], dict[str, Known]]:
    heads = {str(each): Known() for each in halves}
    monkeypatch.setattr(relabel, "_loaded", lambda folder, _: SimpleNamespace(head=heads[folder]))
    return built(tmp_path, PAGES, settings(halves)), heads


def test_each_tagger_reads_what_it_did_not_learn(
    tmp_path: Path, halves: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences, heads = relabelled(tmp_path, halves, monkeypatch)
    for folder, head in heads.items():
        own = Path(folder).name
        read = {each.text for each in sentences if not in_half([each.id], own)[0]}
        assert {*head.read} == read
        assert 20 < len(read) < 60


def test_a_corpus_is_corrected(tmp_path: Path, halves: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    sentences, _ = relabelled(tmp_path, halves, monkeypatch)
    one, other = (next(each for each in sentences if each.title == title) for title in ("P1", "Q1"))
    assert [(one.text[m.start : m.end], m.category, m.class_path, m.origin) for m in one.mentions] == [
        ("Ada Lovelace", "person", ("Person",), "link"), ("London", "city", ("City",), "model"),
    ]  # fmt: skip
    assert [(m.category, m.origin) for m in other.mentions] == [("city", "link")]
    assert [(other.text[start:end], why) for start, end, why in other.unknown] == [("Rome", "contradicted")]
    manifest = read_manifest(tmp_path / "out")
    assert manifest["mention_origins"] == {"link": 80, "model": 40}
    assert manifest["settings"]["relabel_taggers"] == ["second", "first"]


def test_confidences_are_calibrated_on_mentions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relabel, "_loaded", lambda *_: SimpleNamespace(head=Known()))
    always = [row(("London", "city")) for _ in range(40)]
    never = [row(("London", "person")) for _ in range(40)]
    elsewhere = [row(("Bob", "person")) for _ in range(40)]
    reader = Reader("", "first")
    assert reader.calibrated(always, PATHS).temperature < 1 < reader.calibrated(never, PATHS).temperature
    assert reader.calibrated(elsewhere, PATHS).temperature == 1


def test_wrong_taggers_are_refused(halves: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="two encoders"):
        relabel.Relabelling(settings(halves[:1] * 2))
    with pytest.raises(SettingsError, match="two encoders"):
        relabel.Relabelling(settings(halves, relabel_taggers=()))
    write_card(halves[0], label_set={"name": "4types"})
    with pytest.raises(SettingsError, match="label set '4types', the corpus 'paper315'"):
        relabel.Relabelling(settings(halves))
    write_card(tmp_path / "whole", settings={"half": ""})
    with pytest.raises(SettingsError, match="half=first"):
        relabel.Relabelling(settings((halves[1], tmp_path / "whole")))


@pytest.mark.parametrize("steps", [("relabel", *USUAL_STEPS), (*USUAL_STEPS, "relabel")])
def test_the_step_has_one_place(halves: tuple[Path, Path], steps: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="after 'typing'"):
        relabel.Relabelling(settings(halves, steps=steps))


@pytest.fixture(scope="module")
def trained(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two encoders of halves of the sample's pages."""
    folder = tmp_path_factory.mktemp("halves")
    small: dict[str, Any] = {
        "max_steps": 40, "learning_rate": 5e-3, "batch_size": 16, "precision": "fp32", "threads": 1,
        "max_eval_samples": 20,
        "fresh_num_layers": 1, "fresh_hidden_size": 64, "fresh_vocab_size": 1500, "max_length": 128,
    }  # fmt: skip
    for half in ("first", "second"):
        pretrain(folder / half, PretrainSettings(corpus=(sample_corpus,), half=half, **small))
    return folder / "first", folder / "second"


def test_encoders_of_halves_relabel(trained: tuple[Path, Path], sample_corpus: Path, tmp_path: Path) -> None:
    label_set = read_manifest(sample_corpus)["label_set"]["name"]
    readers = relabel.Relabelling(settings(trained, label_set=label_set))._readers
    rows = [
        {"id": each.id, "text": each.text, "words": [{"start": s, "end": e} for s, e in each.words]}
        for each in read_sentences(sample_corpus)
    ]
    for reader, folder in zip(readers, reversed(trained), strict=True):
        assert (Path(reader.folder), reader.half) == (folder, "first" if folder.name == "second" else "second")
        found = reader.tags([relabel._example(each) for each in rows])
        assert [len(each.tags) for each in found] == [len(row["words"]) for row in rows]
