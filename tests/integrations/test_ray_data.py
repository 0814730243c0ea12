"""Ray Data, and whatever else gives Arrow tables: the rows of `nerbert tag`."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.errors import InputError, SettingsError
from nerbert.integrations.ray_data import Tagging
from tests.commands import exit_code

TEXTS = [f"The brig Margarethe {number} was built by Larsen & Holm in Tromsø." for number in range(50)]


@pytest.fixture
def table(tmp_path: Path) -> pa.Table:
    made = pa.table({"id": pa.array(range(50), pa.int16()), "text": TEXTS, "when": [None, "1893"] * 25})
    pq.write_table(made, tmp_path / "texts.parquet")
    return made


def tagged(tagger: Path, folder: Path, *more: str) -> pa.Table:
    assert exit_code("tag", tagger, folder / "texts.parquet", "-o", folder / "tags.parquet", *more) == 0
    return pq.read_table(folder / "tags.parquet")


@pytest.mark.parametrize("offsets", ["characters", "bytes"])
def test_rows_are_those_of_the_command(tiny_tagger: Path, table: pa.Table, tmp_path: Path, offsets: str) -> None:
    wanted = tagged(tiny_tagger, tmp_path, "--offsets", offsets)
    found = Tagging(tiny_tagger, offsets=offsets)(table)
    assert found.schema == wanted.schema
    assert found.to_pylist() == wanted.to_pylist()
    assert any(found["spans"].to_pylist())


def test_chunks_and_words_and_nothing(tiny_tagger: Path, table: pa.Table) -> None:
    tagging = Tagging(tiny_tagger)
    whole = tagging(table)
    assert tagging(pa.concat_tables([table.slice(0, 7), table.slice(7)])).equals(whole)
    assert tagging(table.slice(0, 0)).schema == whole.schema
    words = pa.table({"tokens": [text.split(" ") for text in TEXTS[:3]]})
    assert tagging(words)["text"].to_pylist() == TEXTS[:3]
    assert tagging(whole).equals(whole), "earlier entities are replaced"


def test_bad_rows_and_options_are_told(tiny_tagger: Path) -> None:
    with pytest.raises(InputError, match=r"batch: row 2: .*'text'"):
        Tagging(tiny_tagger)(pa.table({"text": ["a", None]}))
    with pytest.raises(InputError, match=r"batch: row 1: .*'body'"):
        Tagging(tiny_tagger, "body")(pa.table({"text": ["a"]}))
    with pytest.raises(SettingsError, match="--offsets"):
        Tagging("nowhere", offsets="words")


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_a_data_set_of_ray_is_tagged_by_actors(tiny_tagger: Path, table: pa.Table, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray.data")
    import ray as core

    core.init(address="local", num_cpus=2, object_store_memory=100_000_000, include_dashboard=False)
    try:
        data = ray.from_arrow(table).repartition(5)
        rows: Any = data.map_batches(
            Tagging, fn_constructor_args=[str(tiny_tagger)], fn_constructor_kwargs={"threads": 1},
            batch_format="pyarrow", batch_size=10, concurrency=1,
        )  # fmt: skip
        found = sorted(rows.take_all(), key=lambda row: row["id"])
    finally:
        core.shutdown()
    assert found == tagged(tiny_tagger, tmp_path).to_pylist()
