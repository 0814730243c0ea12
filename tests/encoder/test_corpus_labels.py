"""The corpus under its own and other label sets, read piece by piece, against reading it whole."""

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.shards import read_manifest, read_sentences, sentence_batches
from nerbert.encoder import corpus_labels as silver
from nerbert.encoder.corpus_labels import CorpusLabels, LabelledCorpus, held_out, read_label_set
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, SettingsError
from nerbert.label_sets import frequent_categories, open_label_set
from nerbert.records import ENTITY, Example, Sentence, Span
from nerbert.rng import uniform
from tests.encoder.corpora import cut, poison, with_column
from tests.raised import raises

SETS = ["", "paper315", "4types", "212types", "1type", "dbpedia"]


def labels_of(settings: PretrainSettings) -> CorpusLabels:
    return read_label_set(read_manifest(settings.corpus_folder), settings)


def relabelled(sentence: Sentence, name: str, kept: frozenset[str]) -> Sentence:
    """The plain way to another label set's categories."""
    some = open_label_set(name)
    pairs = [(each, some.label(each.class_path)) for each in sentence.mentions]
    mentions = (replace(each, category=category if category in kept else ENTITY) for each, category in pairs)
    return replace(sentence, mentions=tuple(mentions))


def read_whole(manifest: dict[str, Any], settings: PretrainSettings) -> tuple[CorpusLabels, list[Sentence]]:
    """Categories, what the card tells, and the train part, from all sentences in memory."""
    train, name = list(read_sentences(settings.corpus_folder, "train")), settings.label_set
    told, categories = manifest["label_set"], tuple(manifest["categories"])
    if name and (some := open_label_set(name)).digest != told["sha256"]:
        counts = Counter(some.label(m.class_path) for each in train for m in each.mentions)
        kept = frequent_categories(counts, manifest["settings"]["min_mentions"])
        train = [relabelled(each, name, kept) for each in train]
        told, categories = {"name": name, "sha256": some.digest}, tuple(sorted(kept | {ENTITY}))
    typed = [m for each in train for m in each.mentions if m.class_path]
    facts = {"name": told["name"], "sha256": told["sha256"], "typed_mentions": len(typed)}
    return CorpusLabels(facts | {"made_entity": sum(m.category == ENTITY for m in typed)}, categories), train


@pytest.mark.parametrize(("name", "rows"), [*zip(SETS, cycle((7, 2_000)), strict=False)])
def test_streaming_finds_what_reading_it_whole_finds(
    settings: PretrainSettings, name: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silver, "sentence_batches", partial(sentence_batches, rows=rows))
    settings = replace(settings, label_set=name)
    expected, train = read_whole(read_manifest(settings.corpus_folder), settings)
    for _ in range(2):
        labels = labels_of(settings)
        assert (labels.facts, labels.categories) == (expected.facts, expected.categories)
    assert [labels.relabel(each) for each in read_sentences(settings.corpus_folder, "train")] == train
    own = labels_of(replace(settings, label_set=""))
    assert (labels == own) == (name in ("", "paper315"))
    assert (train == list(read_sentences(settings.corpus_folder, "train"))) == (labels == own)


def test_a_class_that_only_the_validation_part_has_is_an_entity(
    settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each mention of the train part has a class."""
    monkeypatch.setattr(silver, "_count_mentions", lambda *_: Counter({(("Place",), "Place"): 9}))
    manifest = read_manifest(settings.corpus_folder)
    labels = read_label_set(manifest, settings, named=True)
    assert labels.concepts is not None
    kept = {each.category for one in held_out(manifest, labels, settings) for each in one.mentions}
    assert ENTITY in kept
    assert kept <= labels.concept_texts.keys() == {"Place", ENTITY}
    words = labels.concepts.word_rows(Example("x", ((0, 1),), (Span(0, 1, ENTITY),)), labels.concept_texts)
    assert set(words) <= set(labels.concepts.rows)


def test_classes_with_one_name_in_the_ontology_are_no_synonyms(
    settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DBpedia calls City and Town `Stadt` in German, and Place and Venue `lieu` in French."""
    paths = [("Place", "City"), ("Place", "Town"), ("Place", "Island")]
    monkeypatch.setattr(silver, "_count_mentions", lambda *_: Counter({(path, path[-1]): 9 for path in paths}))
    words = {"City": "Stadt", "Town": "Stadt", "Island": "Insel"}
    classes = {"classes": {name: {"label": label} for name, label in words.items()}}
    table = read_label_set(read_manifest(settings.corpus_folder) | classes, settings, named=True).concepts
    assert table is not None
    assert table.names_like("stadt") == {"stadt"}
    assert table.names_like("insel") == {"insel", "island"}


@pytest.mark.parametrize(("rows", "at_most"), [(7, 0), (2_000, 1), (7, 5), (2_000, 10_000)])
def test_the_validation_part_is_drawn_by_coin(
    settings: PretrainSettings, at_most: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silver, "sentence_batches", partial(sentence_batches, rows=rows))
    settings = replace(settings, max_eval_samples=at_most, label_set="4types")
    labels = labels_of(settings)
    validation = [labels.relabel(each) for each in read_sentences(settings.corpus_folder, "validation")]
    ordered = sorted(validation, key=lambda each: uniform(settings.seed, "validation part", each.id))
    for _ in range(2):
        assert held_out(read_manifest(settings.corpus_folder), labels, settings) == ordered[: at_most or None]
    other = held_out(read_manifest(settings.corpus_folder), labels, replace(settings, seed=2))
    assert (other == ordered[: at_most or None]) is False


def test_a_second_run_reads_no_shard(settings: PretrainSettings) -> None:
    manifest = read_manifest(settings.corpus_folder)
    before = read_label_set(manifest, settings), held_out(manifest, labels_of(settings), settings)
    poison(settings.corpus_folder)
    labels = read_label_set(manifest, settings)
    assert (labels, held_out(manifest, labels, settings)) == before
    with raises(InputError, "part-00000.parquet: differs from the SHA-256 in manifest.json"):
        held_out(manifest, labels, replace(settings, seed=5))


def test_messages(few: Path, settings: PretrainSettings, tmp_path: Path) -> None:
    corpus = cut(few, tmp_path / "train", with_column("split", lambda _: "train"))
    empty = replace(settings, corpus=(corpus,))
    with raises(InputError, "its validation split is empty; build it with a larger validation_ratio"):
        held_out(read_manifest(corpus), labels_of(empty), empty)
    assert not list((tmp_path / "cache" / "validation").iterdir())
    manifest = read_manifest(settings.corpus_folder)
    del manifest["categories"]["city"]
    with raises(InputError, "they changed since; build the corpus again"):
        read_label_set(manifest, settings)
    assert read_label_set(manifest, replace(settings, label_set="4types")).categories
    (tmp_path / "typo.tsv").write_text("Persom\tper\n")
    with raises(InputError, "label_set = 'typo.tsv': no label of it has 5 mentions "):
        labels_of(replace(settings, label_set=str(tmp_path / "typo.tsv")))
    with raises(SettingsError, "did you mean '4types'"):
        labels_of(replace(settings, label_set="4type"))


def test_texts_to_train_on_are_those_with_copies(settings: PretrainSettings) -> None:
    train = list(read_sentences(settings.corpus_folder, "train"))
    assert list(LabelledCorpus(settings).texts()) == [each.text for each in train if each.copies]
    assert 0 < sum(each.copies > 0 for each in train) < len(train)


def test_a_map_of_the_same_name_is_another_set(settings: PretrainSettings, tmp_path: Path) -> None:
    """Sets are told apart by their digests: a corpus of one `map.tsv` isn't taken for that of another."""
    (tmp_path / "map.tsv").write_text("Person\tper\nPlace\tloc\n")
    twin = read_manifest(settings.corpus_folder) | {"label_set": {"name": "map.tsv", "sha256": "0" * 64}}
    labels = read_label_set(twin, replace(settings, label_set=str(tmp_path / "map.tsv")))
    assert labels.categories == (ENTITY, "loc", "per")
    assert labels.facts["name"] == "map.tsv"
    train = list(read_sentences(settings.corpus_folder, "train"))
    some = open_label_set(str(tmp_path / "map.tsv"))
    typed = [m.class_path for each in train for m in each.mentions if m.class_path]
    assert labels.facts["typed_mentions"] == len(typed)
    assert labels.facts["made_entity"] == sum(some.label(path) == ENTITY for path in typed)
