"""Types by lists of names: the lists themselves, and what they match, against the plainest way to look them up."""

import bz2
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from nerbert.config import make_settings
from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.encoder.corpus_labels import LabelledCorpus, held_out_examples, read_label_set
from nerbert.encoder.gazetteers import Automaton, Gazetteers, marked, open_gazetteers
from nerbert.encoder.preprocess import open_training_data
from nerbert.encoder.pretrain import pretrain
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, MissingExtra, NerbertError, SettingsError
from nerbert.executors import LocalExecutor
from nerbert.labels import sentence_example
from nerbert.model.backbone import load_tokenizer
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer
from nerbert.records import TRAIN, Example, Span
from nerbert.words import SPLITTER, split_words
from tests.raised import raises


@pytest.fixture
def settings(few: Path, tmp_path: Path) -> PretrainSettings:
    return PretrainSettings(corpus=(few,), cache=str(tmp_path / "cache"))


TEXT_MATCH = pytest.param("text", marks=pytest.mark.extras)


def lists(folder: Path, **files: str) -> tuple[Path, ...]:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return tuple(folder / name.replace("_", ".") for name in files)


def opened(folder: Path, match: str, *paths: Path, splitter: str = SPLITTER) -> Gazetteers:
    values = {"corpus": "c", "cache": str(folder / "cache"), "gazetteers": {"files": paths, "match": match}}
    return open_gazetteers(make_settings(PretrainSettings, values), splitter)


def typed(found: Gazetteers, text: str, *anchors: str, splitter: str = SPLITTER) -> list[tuple[str, str]]:
    spans = tuple(Span(text.index(each), text.index(each) + len(each), "own", each) for each in anchors)
    (example,) = found.relabelled([Example(text, split_words(text, splitter), spans)])
    assert all(text[span.start : span.end] == span.text for span in example.spans)
    return [(span.text, span.type) for span in example.spans]


@pytest.mark.extras
def test_free_text_is_matched_in_the_words_of_the_corpus(settings: PretrainSettings, tmp_path: Path) -> None:
    """Older corpora have Korean words, newer ones syllables; lists of one of them are not taken for the other's."""
    (city,) = lists(tmp_path, city_txt="서울\n")
    older, anchors = opened(tmp_path, "text", city, splitter="unicode-words-1"), opened(tmp_path, "anchors", city)
    newer = opened(tmp_path, "text", city)
    assert typed(older, "서울 서울시", splitter="unicode-words-1") == [("서울", "city")]
    assert typed(newer, "서울 서울시") == [("서울", "city")] * 2
    assert older.digest != newer.digest
    assert anchors.digest == opened(tmp_path, "anchors", city, splitter="unicode-words-1").digest
    for wrong in ("other", ""):
        with raises(InputError, f"word splitter '{wrong}'"):
            opened(tmp_path, "text", city, splitter=wrong)
    own = settings.changed({"gazetteers": {"files": [city], "match": "text"}})
    manifest = read_manifest(own.corpus_folder)
    for splitter, digest in (("unicode-words-1", older.digest), (SPLITTER, newer.digest)):
        assert read_label_set(manifest | {"word_splitter": splitter}, own).facts["sha256"] == digest


TEXT = "Ada met Paris in Paris, Texas; X was there."


@pytest.mark.parametrize("match", ["anchors", TEXT_MATCH])
def test_the_first_of_equal_entries_counts(tmp_path: Path, match: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = "Entry\tType\nParis\tcity\nTexas \t state\r\nTexas\tstate"
    person, place = lists(
        tmp_path,
        person_txt="\ufeffAda\n\nParis\nX\n",
        place_tsv=table,
    )
    found = opened(tmp_path, match, person, place)
    assert typed(found, TEXT, "Ada", "Paris", "Texas", "X")[:2] == [("Ada", "person"), ("Paris", "person")]
    assert found.types == ("person", "city", "state")
    assert found.facts == {"entries": 3, "one_letter": 1, "repeated": 2}
    assert "3 entries of 3 types; left out: 1 of one letter, 2 repeated" in capsys.readouterr().err
    turned = opened(tmp_path, match, place, person)
    assert ("Paris", "city") in typed(turned, TEXT, "Paris")
    assert turned.digest != found.digest
    assert "X" not in [text for text, _ in typed(turned, TEXT, "X")]


def test_anchors_match_whole_and_exactly(tmp_path: Path) -> None:
    found = opened(tmp_path, "anchors", *lists(tmp_path, place_txt="New York\nParis\n"))
    assert typed(found, "In new York, Paris.", "new York", "Paris") == [("Paris", "place")]
    assert typed(found, "In New York.", "New") == []
    assert typed(found, "In New York.") == []
    (tmp_path / "place.txt.bz2").write_bytes(bz2.compress(b"Paris\n"))
    assert typed(opened(tmp_path, "anchors", tmp_path / "place.txt.bz2"), "In Paris", "Paris") == [("Paris", "place")]


@pytest.mark.extras
def test_free_text_matches_longest_on_words(tmp_path: Path) -> None:
    names = "New York\nNew York Ci\nNew Yorker\nYork City Hall\nCity\nU.S.\nSaint-Denis\n"
    found = opened(tmp_path, "text", *lists(tmp_path, place_txt=names))
    text = "New  York City is no New Yorkers' place; the U.S. and Saint-Denis, New York, York City Hall"
    found_there = [name for name, _ in typed(found, text)]
    assert found_there == ["New  York", "City", "U.S.", "Saint-Denis", "New York", "York City Hall"]


@pytest.mark.extras
def test_free_text_is_the_longest_match_of_all_entries() -> None:
    """Against a brute force over all runs of words; in Chinese a character is a word."""
    random = Random(4)
    alphabet = ["a", "ab", "b", "ba", "é", "北", "京", "."]
    entries = {tuple(random.choices(alphabet, k=random.randrange(1, 5))): number for number in range(120)}
    automaton = Automaton([marked(entry) for entry in entries], np.array(list(entries.values())))
    matches = 0
    for _ in range(300):
        words = random.choices(alphabet, k=random.randrange(0, 15))
        expected, first = [], 0
        while first < len(words):
            ends = [end for end in range(len(words), first, -1) if tuple(words[first:end]) in entries]
            if ends:
                expected.append((first, ends[0], entries[tuple(words[first : ends[0]])]))
            first = ends[0] if ends else first + 1
        assert list(automaton.find(words)) == expected
        matches += len(expected)
    assert matches > 300


def relabelled_plainly(example: Example, entries: dict[str, str], keys: dict[Any, str], match: str) -> Example:
    if match == "anchors":
        spans = [replace(span, type=entries[span.text]) for span in example.spans if span.text in entries]
        return replace(example, spans=tuple(spans))
    spans, first, words, tokens = [], 0, example.words, example.tokens
    while first < len(words):
        for end in range(len(words), first, -1):
            if type_ := keys.get(tokens[first:end]):
                start, stop = words[first][0], words[end - 1][1]
                spans.append(Span(start, stop, type_, example.text[start:stop]))
                first = end - 1
                break
        first += 1
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


@pytest.mark.parametrize(
    ("match", "most"), [("anchors", 0), ("anchors", 20), pytest.param("text", 0, marks=pytest.mark.extras)]
)
def test_a_corpus_is_cut_with_the_types_of_lists(
    settings: PretrainSettings, tiny_encoder: Path, tmp_path: Path, match: str, most: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    entries = of_corpus(settings.corpus_folder, tmp_path)
    paths = (tmp_path / "one.txt", tmp_path / "two.txt")
    settings = settings.changed({"gazetteers": {"files": paths, "match": match, "max_words": most}})
    manifest = read_manifest(settings.corpus_folder)
    labels = read_label_set(manifest, settings)
    assert labels.categories == ("one", "two")
    keys = {tuple(name[a:b] for a, b in split_words(name)): type_ for name, type_ in reversed(list(entries.items()))}
    tags = ["O", "B-one", "I-one", "B-two", "I-two"]
    tokenizer = load_tokenizer(str(tiny_encoder))
    pieces = SubwordTokenizer(tokenizer, _Config(), settings.max_length)
    sentences = [each for each in read_sentences(settings.corpus_folder) if not most or len(each.words) <= most]
    with LocalExecutor(2 if most else 1) as executor:
        corpora = [LabelledCorpus(settings, manifest, labels)]
        windows = open_training_data(corpora, pieces, settings, executor, BioLabels(tags)).windows
    assert ("sentences have more words than gazetteers.max_words" in capsys.readouterr().err) == bool(most)
    trained = [sentence_example(each) for each in sentences if each.split == TRAIN and each.expected_copies]
    plain = [relabelled_plainly(example, entries, keys, match) for example in trained]
    expected = [label for each in pieces.windows(plain, BioLabels(tags)) for label in each.labels]
    assert windows.labels.tolist() == expected
    assert set(expected) >= set(range(5))
    kept = {each.text for each in sentences}
    held = held_out_examples(manifest, labels, settings)
    assert held
    for example in held:
        assert example.text in kept
    texts = {each.text: sentence_example(each) for each in sentences}
    assert held == [relabelled_plainly(texts[each.text], entries, keys, match) for each in held]


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
        opened(tmp_path, "anchors", tmp_path / name)
    assert "setting gazetteers.files" in str(error.value)


@pytest.mark.parametrize(
    ("more", "kind", "fields", "words"),
    [
        ({}, InputError, {}, "no link of the corpus is in the lists"),
        pytest.param({"gazetteers": {"match": "text"}}, InputError, {}, "nothing in the corpus's text is in the lists",
                     marks=pytest.mark.extras),
        ({"label_set": "4types"}, SettingsError, {"setting": "label_set"}, ""),
        ({"objective": "concepts"}, SettingsError, {"setting": "gazetteers.files"}, ""),
        ({"gazetteers": {"max_words": 1}}, SettingsError, {"setting": "gazetteers.max_words"}, ""),
    ],
)  # fmt: skip
def test_lists_that_do_not_fit(
    settings: PretrainSettings, tmp_path: Path, more: dict[str, Any], kind: type[NerbertError], fields: Any, words: str
) -> None:
    lists(tmp_path, place_txt="Zzyzx Road 77\n")
    own = settings.changed({"gazetteers": {"files": [tmp_path / "place.txt"]}, "fresh_vocab_size": 300}).changed(more)
    with raises(kind, words, **fields):
        pretrain(own, tmp_path / "encoder")


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with raises(MissingExtra, "pip install 'nerbert[gazetteers]'"):
        opened(tmp_path, "text", *lists(tmp_path, place_txt="Paris\n"))
