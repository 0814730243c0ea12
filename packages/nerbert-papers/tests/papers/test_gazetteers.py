"""Types by lists of names: the lists themselves, and what they match, against the plainest way to look them up."""

import bz2
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.shards import read_sentences
from nerbert.encoder.corpus_labels import LabelledCorpus
from nerbert.encoder.preprocess import open_training_data
from nerbert.encoder.pretrain import pretrain
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.executors import LocalExecutor
from nerbert.labels import sentence_example
from nerbert.model.backbone import load_tokenizer
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer
from nerbert.records import TRAIN, Example, Span
from nerbert.training.sections import change_settings, make_settings
from nerbert.words import split_words
from nerbert_papers.gazetteers import Gazetteers, GazetteersSettings, open_gazetteers
from tests.raised import raises


@pytest.fixture
def settings(few: Path, tmp_path: Path) -> PretrainSettings:
    return PretrainSettings(corpus=(few,), cache=str(tmp_path / "cache"))


def lists(folder: Path, **files: str) -> tuple[Path, ...]:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return tuple(folder / name.replace("_", ".") for name in files)


def opened(folder: Path, *paths: Path) -> Gazetteers:
    values = {"corpus": "c", "cache": str(folder / "cache"), "gazetteers": {"files": paths}}
    settings = make_settings(PretrainSettings, values)
    return open_gazetteers(settings.of(GazetteersSettings), settings.cache)


def typed(found: Gazetteers, text: str, *anchors: str) -> list[tuple[str, str]]:
    spans = tuple(Span(text.index(each), text.index(each) + len(each), "own", each) for each in anchors)
    (example,) = found.relabel([Example(text, split_words(text), spans)])
    assert all(text[span.start : span.end] == span.text for span in example.spans)
    return [(span.text, span.type) for span in example.spans]


TEXT = "Ada met Paris in Paris, Texas; X was there."


def test_the_first_of_equal_entries_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = "Entry\tType\nParis\tcity\nTexas \t state\r\nTexas\tstate"
    person, place = lists(tmp_path, person_txt="\ufeffAda\n\nParis\nX\n", place_tsv=table)
    found = opened(tmp_path, person, place)
    assert typed(found, TEXT, "Ada", "Paris", "Texas", "X")[:2] == [("Ada", "person"), ("Paris", "person")]
    assert found.types == ("person", "city", "state")
    assert found.facts.items() >= {"entries": 3, "one_letter": 1, "repeated": 2}.items()
    assert "3 entries of 3 types; left out: 1 of one letter, 2 repeated" in capsys.readouterr().err
    turned = opened(tmp_path, place, person)
    assert ("Paris", "city") in typed(turned, TEXT, "Paris")
    assert turned.facts["sha256"] != found.facts["sha256"]
    assert "X" not in [text for text, _ in typed(turned, TEXT, "X")]


def test_anchors_match_whole_and_exactly(tmp_path: Path) -> None:
    found = opened(tmp_path, *lists(tmp_path, place_txt="New York\nParis\n"))
    assert typed(found, "In new York, Paris.", "new York", "Paris") == [("Paris", "place")]
    assert typed(found, "In New York.", "New") == []
    assert typed(found, "In New York.") == []
    (tmp_path / "place.txt.bz2").write_bytes(bz2.compress(b"Paris\n"))
    assert typed(opened(tmp_path, tmp_path / "place.txt.bz2"), "In Paris", "Paris") == [("Paris", "place")]


def relabelled_plainly(example: Example, entries: dict[str, str]) -> Example:
    spans = [replace(span, type=entries[span.text]) for span in example.spans if span.text in entries]
    return replace(example, spans=tuple(spans))


def of_corpus(corpus: Path, folder: Path) -> dict[str, str]:
    """Every second anchor of a corpus with a type, also in files."""
    anchors = dict.fromkeys(each.text[m.start : m.end] for each in read_sentences(corpus) for m in each.mentions)
    entries = {
        anchor: ("one", "two")[place % 4 > 1] for place, anchor in enumerate(anchors) if place % 2 and len(anchor) > 1
    }
    for type_ in ("one", "two"):
        names = (anchor for anchor, own in entries.items() if own == type_)
        (folder / f"{type_}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return dict(sorted(entries.items(), key=lambda entry: entry[1]))


@pytest.mark.parametrize("most", [0, 20])
def test_a_corpus_is_cut_with_the_types_of_lists(
    settings: PretrainSettings,
    tiny_encoder: Path,
    tmp_path: Path,
    most: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    entries = of_corpus(settings.corpus_folder, tmp_path)
    paths = (tmp_path / "one.txt", tmp_path / "two.txt")
    settings = change_settings(settings, {"gazetteers": {"files": paths, "max_words": most}})
    corpus = LabelledCorpus(settings)
    assert corpus.labels.categories == ("one", "two")
    tags = ["O", "B-one", "I-one", "B-two", "I-two"]
    tokenizer = load_tokenizer(str(tiny_encoder))
    pieces = SubwordTokenizer(tokenizer, _Config(), settings.max_length)
    sentences = [each for each in read_sentences(settings.corpus_folder) if not most or len(each.words) <= most]
    with LocalExecutor(2 if most else 1) as executor:
        windows = open_training_data([corpus], pieces, settings, executor, BioLabels(tags)).windows
    assert ("sentences have more words than max_words" in capsys.readouterr().err) == bool(most)
    trained = [sentence_example(each) for each in sentences if each.split == TRAIN and each.expected_copies]
    plain = [relabelled_plainly(example, entries) for example in trained]
    expected = [label for each in pieces.windows(plain, BioLabels(tags)) for label in each.labels]
    assert windows.labels.tolist() == expected
    assert set(expected) >= set(range(5))
    kept = {each.text for each in sentences}
    held = corpus.held_out()
    assert held
    for example in held:
        assert example.text in kept
    texts = {each.text: sentence_example(each) for each in sentences}
    assert held == [relabelled_plainly(texts[each.text], entries) for each in held]


class _Config:
    vocab_size, max_position_embeddings, model_type, pad_token_id = 0, 512, "bert", 0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("place.txt", b"", "place.txt: has no entry of more than one letter; leave the file out, or fill it"),
        ("place.txt", b"A\nB\n\n", "has no entry of more than one letter"),
        ("place.txt", "Zürich\n".encode("latin-1"), "place.txt:1: not UTF-8"),
        ("place.txt", b"Paris\n" + b"a" * 5000 + b"\nRome", "place.txt:2: 5000 bytes: is it a list of names?"),
        ("place.tsv", b"Paris\tplace\nRome\n", "place.tsv:2: 'Rome': must be entry<TAB>type"),
        ("place.tsv", b"Paris\tplace\tmore\n", "must be entry<TAB>type"),
        ("place.tsv", b"Paris\tbig place\n", "place.tsv:1: type 'big place': must be one word"),
        ("place.txt", b"Paris\tplace\n", "place.txt:1: 'Paris\\tplace': has a tab"),
        ("big place.txt", b"Paris\n", "type 'big place': must be one word"),
        ("none.txt", None, "none.txt: can't be read: No such file"),
    ],
)
def test_messages(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with raises(InputError, words) as error:
        opened(tmp_path, tmp_path / name)
    assert "setting gazetteers.files" in str(error.value)


@pytest.mark.parametrize(
    ("more", "kind", "fields", "words"),
    [
        ({}, InputError, {}, "no link of the corpus is in the lists"),
        ({"label_set": "4types"}, SettingsError, {"setting": "label_set"}, ""),
        ({"objective": "concepts"}, SettingsError, {"setting": "gazetteers.files"}, ""),
        ({"gazetteers": {"max_words": 1}}, SettingsError, {"setting": "gazetteers.max_words"}, ""),
    ],
)
def test_lists_that_do_not_fit(
    settings: PretrainSettings, tmp_path: Path, more: dict[str, Any], kind: type[NerbertError], fields: Any, words: str
) -> None:
    lists(tmp_path, place_txt="Zzyzx Road 77\n")
    own = change_settings(
        change_settings(settings, {"gazetteers": {"files": [tmp_path / "place.txt"]}, "fresh_vocab_size": 300}), more
    )
    with raises(kind, words, **fields):
        pretrain(own, tmp_path / "encoder")
