"""The train part's windows from the cache, against cutting all sentences in memory."""

import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.encoder.corpus_labels import LabelledCorpus, read_label_set
from nerbert.encoder.preprocess import draw_by_shares, open_training_data
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError
from nerbert.executors import HERE, LocalExecutor
from nerbert.labels import sentence_example, tag_names
from nerbert.model.backbone import load_tokenizer
from nerbert.model.surgery import train_tokenizer
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer
from nerbert.model.windows import Label, Window, Windows
from nerbert.records import Example, Sentence
from nerbert.rng import Array
from nerbert.training.batches import TrainingData
from tests.encoder.corpora import cut, poison, with_column
from tests.raised import raises
from tests.windows import row_of


@pytest.fixture
def corpus(few: Path, tmp_path: Path) -> Path:
    """Every tenth sentence of the sample's, in a folder of the test's own."""
    return shutil.copytree(few, tmp_path / "corpus")


@pytest.fixture
def pieces(tokenizers: dict[str, Any], config: Callable[..., Any]) -> SubwordTokenizer:
    """A cutter with short windows, so that some sentences have several."""
    return SubwordTokenizer(tokenizers["wordpiece"], config(), 32)


def made_windows(settings: PretrainSettings) -> Path:
    """The folder of windows in the cache."""
    return Path(settings.cache) / "pieces"


Opened = Callable[..., TrainingData]


@pytest.fixture
def opened(settings: PretrainSettings, pieces: SubwordTokenizer) -> Opened:
    """Open the training data with changed settings, or another cutter."""

    def run(pieces: SubwordTokenizer = pieces, workers: int = 1, **changes: Any) -> TrainingData:
        own = replace(settings, **changes)
        with LocalExecutor(workers) as executor:
            return open_training_data([LabelledCorpus(own)], pieces, own, executor)

    return run


def training(settings: PretrainSettings, *, every: bool = False) -> list[Sentence]:
    """Sentences with copies, or `every` one that was expected to have some, relabelled."""
    labels = read_label_set(read_manifest(settings.corpus_folder), settings)
    train = map(labels.relabel, read_sentences(settings.corpus_folder, "train"))
    return [each for each in train if (each.expected_copies if every else each.copies)]


def plain_windows(settings: PretrainSettings, pieces: SubwordTokenizer) -> list[Window]:
    """All windows of `training`, each as often as its sentence has copies."""
    sentences = training(settings)
    examples = [sentence_example(each) for each in sentences]
    tags = tag_names(read_label_set(read_manifest(settings.corpus_folder), settings).categories)
    windows = pieces.windows(examples, BioLabels(tags))
    return [window for window in windows for _ in range(sentences[window.sentence].copies)]


def content(windows: Windows) -> list[bytes]:
    return [np.asarray(getattr(windows, each.name)).tobytes() for each in fields(windows)]


def caches(settings: PretrainSettings) -> list[str]:
    """Everything that lies in the cache's place for pieces."""
    return sorted(path.name for path in made_windows(settings).glob("*"))


@pytest.mark.parametrize(
    ("name", "kind"), [("", "wordpiece"), ("4types", "wordpiece"), ("1type", "byte-level"), ("", "unigram")]
)
def test_windows_are_those_of_cutting_all_sentences_in_memory(
    settings: PretrainSettings,
    opened: Opened,
    name: str,
    kind: str,
    tokenizers: dict[str, Any],
    config: Callable[..., Any],
) -> None:
    pieces = SubwordTokenizer(tokenizers[kind], config(), 32)
    data, expected = opened(pieces, label_set=name), plain_windows(replace(settings, label_set=name), pieces)
    rows = [row_of(data.windows, number) for number in data.numbers_of(0)]
    assert [replace(each, sentence=0) for each in rows] == [replace(each, sentence=0) for each in expected]
    of_one = [(rows[at].sentence == rows[at + 1].sentence) for at in range(len(rows) - 1)]
    assert of_one == [expected[at].sentence == expected[at + 1].sentence for at in range(len(rows) - 1)]
    assert len(rows) > len({each.sentence for each in rows}) > 100


def test_windows_of_all_that_can_have_copies_are_there(
    settings: PretrainSettings, pieces: SubwordTokenizer, opened: Opened
) -> None:
    examples = [sentence_example(each) for each in training(settings, every=True)]
    tags = tag_names(read_label_set(read_manifest(settings.corpus_folder), settings).categories)
    windows = opened().windows
    assert content(windows) == content(Windows.pack(pieces.windows(examples, BioLabels(tags))))
    assert all(isinstance(getattr(windows, each.name), np.memmap) for each in fields(windows))


def test_a_second_opening_reads_no_shard(settings: PretrainSettings, pieces: SubwordTokenizer, opened: Opened) -> None:
    corpus, before = LabelledCorpus(settings), content(opened().windows)
    assert corpus.labels
    poison(settings.corpus_folder)
    data = open_training_data([corpus], pieces, settings)
    assert content(data.windows) == before
    assert len(data.numbers_of(0))


def test_several_processes_make_the_same_bytes(settings: PretrainSettings, opened: Opened, tmp_path: Path) -> None:
    other = replace(settings, cache=str(tmp_path / "other"))
    opened(label_set="4types")
    opened(label_set="4types", cache=other.cache, workers=2)
    assert caches(settings) == caches(other)
    one, two = (
        {path.name: path.read_bytes() for path in made_windows(each).rglob("*.*") if path.is_file()}
        for each in (settings, other)
    )
    assert one == two
    assert len(one) == 12


@pytest.mark.parametrize(
    "change", ["tokenizer", "label set", "length", "truncate", "special pieces", "shards", "nothing"]
)
def test_what_decides_the_windows_decides_their_folder(
    change: str,
    settings: PretrainSettings,
    pieces: SubwordTokenizer,
    opened: Opened,
    tokenizers: dict[str, Any],
    config: Callable[..., Any],
    few: Path,
    tmp_path: Path,
) -> None:
    opened()
    tokenizer = tokenizers["wordpiece"]
    match change:
        case "tokenizer":
            texts = [each.text for each in read_sentences(few)]
            opened(SubwordTokenizer(train_tokenizer(texts, 700), config(), 32))
        case "label set":
            opened(label_set="4types")
        case "length":
            opened(SubwordTokenizer(tokenizer, config(), 31))
        case "truncate":
            opened(SubwordTokenizer(tokenizer, config(), 32, on_too_long="truncate"))
        case "special pieces":
            pieces._after = (*pieces._after, pieces._after[0])
            opened()
        case "shards":
            changed = cut(few, tmp_path / "changed", with_column("copies", lambda each: each + 1))
            opened(corpus=(changed,))
        case "nothing":
            tokenizer.save_pretrained(tmp_path / "tokenizer")
            again = load_tokenizer(str(tmp_path / "tokenizer"))
            again("a", padding="max_length", truncation=True, max_length=9)
            opened(SubwordTokenizer(again, config(), 32), epochs=5, seed=2)
            opened(label_set="paper315")
    assert len(caches(settings)) == (1 if change == "nothing" else 2)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [("copies", -1, "copies = -1: must be at least 0"), ("words", [{"start": 0, "end": 1}], "cuts a word")],
)
def test_values_that_no_corpus_has_name_the_shard(
    few: Path, settings: PretrainSettings, opened: Opened, tmp_path: Path, column: str, value: Any, words: str
) -> None:
    broken = cut(few, tmp_path / "broken", with_column(column, lambda _: value))
    with raises(InputError, words) as error:
        opened(corpus=(broken,))
    assert "part-00000.parquet: " in str(error.value)
    assert not caches(settings)


def test_a_train_part_without_copies_is_told(few: Path, opened: Opened, tmp_path: Path) -> None:
    none = cut(few, tmp_path / "none", with_column("copies", lambda _: 0))
    empty = cut(few, tmp_path / "empty", with_column("split", lambda _: "validation"))
    for corpus in (none, empty):
        with raises(InputError, "nothing to train on: no training sentence has copies and a word"):
            opened(corpus=(corpus,))


def test_copies_are_the_corpus_own_in_every_epoch(settings: PretrainSettings, opened: Opened) -> None:
    data = opened()
    copies = np.array([each.copies for each in training(settings, every=True)])
    counts = np.bincount(data.numbers_of(3), minlength=len(data.windows))
    assert np.array_equal(counts, copies[data.windows.sentences])
    assert data.numbers_of(0) is data.numbers_of(7)
    assert data.numbers_of(0).dtype == np.int64


def test_other_labels_with_an_inherited_key_have_their_own_windows(
    settings: PretrainSettings, pieces: SubwordTokenizer
) -> None:
    class AllOutside(BioLabels):
        def of(self, example: Example) -> list[Label]:
            return [0] * len(example.words)

    corpus = LabelledCorpus(settings)
    tags = tag_names(corpus.labels.categories)
    usual, own = (
        open_training_data([corpus], pieces, settings, HERE, kind(tags)).windows for kind in (BioLabels, AllOutside)
    )
    assert (usual.labels > 0).any()
    assert not (own.labels > 0).any()


PARTS: dict[str, Array] = {"large": np.arange(900), "small": np.arange(900, 1000)}


def sizes(drawn: Array) -> list[int]:
    return [int((drawn < 900).sum()), int((drawn >= 900).sum())]


def test_sources_have_their_shares_and_an_epoch_its_size() -> None:
    assert sizes(draw_by_shares(PARTS, (1, 1), 1, 0)) == [500, 500]
    assert sizes(draw_by_shares(PARTS, (1, 1e-5), 1, 0)) == [1000, 1]
    drawn = draw_by_shares(PARTS, (3.0, 1.0), 1, 0)
    assert sizes(drawn) == [750, 250]
    counts = np.bincount(drawn, minlength=1000)
    assert (set(counts[:900].tolist()), set(counts[900:].tolist())) == ({0, 1}, {2, 3})


def test_each_epoch_and_seed_draws_anew_and_the_same_again() -> None:
    one, again, epoch, seed = (draw_by_shares(PARTS, (1, 1), *of) for of in ((1, 0), (1, 0), (1, 1), (2, 0)))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, epoch)
    assert not np.array_equal(one, seed)


def test_copies_count() -> None:
    parts = {"a": np.repeat(np.arange(10), 30), "b": np.arange(10, 110)}
    counts = np.bincount(draw_by_shares(parts, (1, 1), 1, 0), minlength=110)
    assert counts[:10].sum() == counts[10:].sum() == 200
    assert counts[:10].min() > 10


def test_an_empty_source_is_named() -> None:
    with raises(InputError, "setting shares: small has nothing to train on"):
        draw_by_shares(PARTS | {"small": np.arange(0)}, (1, 1), 1, 0)
