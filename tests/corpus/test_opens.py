"""A corpus opens without nerbert: `datasets`, DuckDB, pandas and polars see the same rows, texts and mentions."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.shards import TYPED, read_sentences, shard_paths

Row = tuple[str, list[str]]


@pytest.fixture(scope="module")
def expected(sample_corpus: Path) -> list[Row]:
    """Each sentence's text and anchors, as nerbert reads them."""
    return [(each.text, [each.text[m.start : m.end] for m in each.mentions]) for each in read_sentences(sample_corpus)]


def rows_of(texts: Iterable[str], mentions: Iterable[Iterable[Any]]) -> list[Row]:
    """The same from columns of a table."""
    pairs = zip(texts, mentions, strict=True)
    return [(text, [text[each["start"] : each["end"]] for each in of_text]) for text, of_text in pairs]


def test_anchors_are_words_of_the_page(expected: list[Row]) -> None:
    assert sum(len(anchors) for _, anchors in expected) > 500
    assert all(anchor and anchor == anchor.strip() for _, anchors in expected for anchor in anchors)


def test_datasets(sample_corpus: Path, expected: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    files = [str(path) for path in shard_paths(sample_corpus / "sentences")]
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert loaded.features.arrow_schema.remove_metadata() == TYPED
    assert rows_of(loaded["text"], loaded["mentions"]) == expected


def test_duckdb(sample_corpus: Path, expected: list[Row]) -> None:
    import duckdb

    files = str(sample_corpus / "sentences" / "*.parquet")
    query = "select text, mentions from read_parquet(?) order by filename, file_row_number"
    with duckdb.connect() as database:
        table = database.execute(query.replace("(?)", "(?, filename = true, file_row_number = true)"), [files])
        texts, mentions = zip(*table.fetchall(), strict=True)
    assert rows_of(texts, mentions) == expected


def test_duckdb_cuts_anchors_in_sql(sample_corpus: Path, expected: list[Row]) -> None:
    import duckdb

    query = "select text[m.start + 1 : m.end] from (select text, unnest(mentions) as m from read_parquet(?))"
    with duckdb.connect() as database:
        found = database.execute(query, [str(sample_corpus / "sentences" / "*.parquet")]).fetchall()
    assert sorted(anchor for (anchor,) in found) == sorted(anchor for _, anchors in expected for anchor in anchors)


def test_pandas(sample_corpus: Path, expected: list[Row]) -> None:
    import pandas as pd

    frame = pd.read_parquet(sample_corpus / "sentences")
    assert list(frame.columns) == TYPED.names
    assert rows_of(frame["text"], frame["mentions"]) == expected


def test_polars(sample_corpus: Path, expected: list[Row]) -> None:
    import polars as pl

    frame = pl.read_parquet(sample_corpus / "sentences" / "*.parquet")
    assert frame.columns == TYPED.names
    assert rows_of(frame["text"], frame["mentions"].to_list()) == expected
