"""The corpus under other label sets, and copies drawn anew."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.encoder.settings import PretrainSettings
from nerbert.encoder.silver import copies_of, read_silver
from nerbert.errors import InputError, SettingsError
from nerbert.label_sets import open_label_set
from nerbert.records import ENTITY


@pytest.mark.parametrize("name", ["4types", "212types", "1type", "dbpedia"])
def test_only_categories_change(sample_corpus: Path, name: str) -> None:
    manifest = read_manifest(sample_corpus)
    own = read_silver(manifest, PretrainSettings(corpus=sample_corpus))
    other = read_silver(manifest, PretrainSettings(corpus=sample_corpus, label_set=name))
    assert own.categories == tuple(manifest["categories"])
    for one, two in ((own.training, other.training), (own.validation, other.validation)):
        assert [replace(each, mentions=()) for each in one] == [replace(each, mentions=()) for each in two]
        for mine, theirs in zip(one, two, strict=True):
            assert [replace(m, category="") for m in mine.mentions] == [
                replace(m, category="") for m in theirs.mentions
            ]
    some = open_label_set(name)
    mentions = [m for each in (*other.training, *other.validation) for m in each.mentions]
    assert {m.category for m in mentions} <= set(other.categories)
    assert all(m.category in (ENTITY, some.label(m.class_path)) for m in mentions)


def test_rare_labels_of_the_other_set_are_entity(sample_corpus: Path) -> None:
    manifest = read_manifest(sample_corpus)
    some = open_label_set("dbpedia")
    train = read_sentences(sample_corpus, "train")
    counts = Counter(some.label(m.class_path) for each in train for m in each.mentions)
    silver = read_silver(manifest, PretrainSettings(corpus=sample_corpus, label_set="dbpedia"))
    assert set(silver.categories) == {ENTITY} | {name for name, count in counts.items() if count >= 5}
    assert any(count < 5 for count in counts.values())


def test_the_corpus_own_set_by_name_changes_nothing(sample_corpus: Path) -> None:
    manifest = read_manifest(sample_corpus)
    settings = PretrainSettings(corpus=sample_corpus)
    assert read_silver(manifest, replace(settings, label_set="paper315")) == read_silver(manifest, settings)


def test_a_map_of_the_same_name_is_another_set(sample_corpus: Path, tmp_path: Path) -> None:
    """Sets are told apart by their digests: a corpus of one `map.tsv` isn't taken for that of another."""
    (tmp_path / "map.tsv").write_text("Person\tper\nPlace\tloc\n")
    manifest = read_manifest(sample_corpus)
    twin = manifest | {"label_set": {"name": "map.tsv", "sha256": "0" * 64}}
    settings = PretrainSettings(corpus=sample_corpus, label_set=str(tmp_path / "map.tsv"))
    silver = read_silver(twin, settings)
    assert silver.categories == (ENTITY, "loc", "per")
    assert silver.label_set["name"] == "map.tsv"
    train = list(read_sentences(sample_corpus, "train"))
    some = open_label_set(str(tmp_path / "map.tsv"))
    typed = [m.class_path for each in train for m in each.mentions if m.class_path]
    assert silver.label_set["typed_mentions"] == len(typed)
    assert silver.label_set["made_entity"] == sum(some.label(path) == ENTITY for path in typed)


def test_a_map_that_names_no_class_of_the_corpus_is_refused(sample_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "typo.tsv").write_text("Persom\tper\n")
    settings = PretrainSettings(corpus=sample_corpus, label_set=str(tmp_path / "typo.tsv"))
    with pytest.raises(InputError, match=r"label_set = 'typo\.tsv': no label of it has 5 mentions .* City"):
        read_silver(read_manifest(sample_corpus), settings)


def test_a_name_that_is_no_set_is_refused(sample_corpus: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean '4types'"):
        read_silver(read_manifest(sample_corpus), PretrainSettings(corpus=sample_corpus, label_set="4type"))


def test_copies_are_drawn_anew_each_epoch_around_their_expectation(sample_corpus: Path) -> None:
    manifest = read_manifest(sample_corpus)
    settings = PretrainSettings(corpus=sample_corpus, redraw_copies=True)
    training = read_silver(manifest, settings).training
    assert len(training) == manifest["splits"]["train"]["sentences"]
    epochs = [[copies_of(each, settings, epoch) for each in training] for epoch in range(60)]
    assert len({tuple(each) for each in epochs}) == 60
    means = [sum(each) / 60 for each in zip(*epochs, strict=True)]
    off = [mean - each.expected_copies for mean, each in zip(means, training, strict=True)]
    assert max(map(abs, off)) < 4.5 * 0.5 / 60**0.5
    assert abs(sum(off) / len(off)) < 0.02
    fixed = PretrainSettings(corpus=sample_corpus)
    assert all(copies_of(each, fixed, 7) == each.copies > 0 for each in read_silver(manifest, fixed).training)
