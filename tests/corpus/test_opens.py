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


def test_duckdb(sample_corpus: Path, expected: list[Row]) -> None:
    """Rows in order, and anchors that are cut in SQL."""
    import duckdb

    files = str(sample_corpus / "sentences" / "*.parquet")
    query = """select text, mentions from read_parquet(?, filename = true, file_row_number = true)
               order by filename, file_row_number"""
    cut = "select text[m.start + 1 : m.end] from (select text, unnest(mentions) as m from read_parquet(?))"
    with duckdb.connect() as database:
        texts, mentions = zip(*database.execute(query, [files]).fetchall(), strict=True)
        anchors = [anchor for (anchor,) in database.execute(cut, [files]).fetchall()]
    assert rows_of(texts, mentions) == expected
    assert sorted(anchors) == sorted(anchor for _, of_text in expected for anchor in of_text)


@pytest.mark.extras
def test_datasets_pandas_and_polars(
    sample_corpus: Path, expected: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets
    import pandas as pd
    import polars as pl

    files = [str(path) for path in shard_paths(sample_corpus / "sentences")]
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert loaded.features.arrow_schema.remove_metadata() == TYPED
    assert rows_of(loaded["text"], loaded["mentions"]) == expected
    frame = pd.read_parquet(sample_corpus / "sentences")
    assert list(frame.columns) == TYPED.names
    assert rows_of(frame["text"], frame["mentions"]) == expected
    polar = pl.read_parquet(sample_corpus / "sentences" / "*.parquet")
    assert polar.columns == TYPED.names
    assert rows_of(polar["text"], polar["mentions"].to_list()) == expected
