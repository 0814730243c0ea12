"""Shards and the manifest that names them; Parquet piece by piece."""

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.corpus.export import export_corpus
from nerbert.corpus.shards import checked_shards, open_writer, read_batches, read_manifest, shard_hashes, write_grouped
from nerbert.errors import InputError
from nerbert.render.corpus import show_corpus
from tests.raised import raises


def put(*keys: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(manifest: Any) -> None:
        for key in keys[:-1]:
            manifest = manifest[key]
        manifest[keys[-1]] = value

    return change


def deep(levels: int) -> Any:
    return {"a": deep(levels - 1)} if levels else 1


KEYS = ("shards", "steps", "splits", "categories", "knowledge", "mention_sources", "word_splitter", "wiki", "language")
BREAKS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    *((lambda manifest, key=key: manifest.pop(key), f"{key} is missing") for key in KEYS),
    (put("format", value=99), "format = 99: must be 3; build the corpus again"),
    (put("shards", "a", value="1"), "shards.a = '1': must be a valid integer"),
    (put("shards", "\0", value=1), "outside the corpus"),
    (put("shards", value={"../../etc/passwd": 5}), "lies outside the corpus; refused"),
    (put("shards", value={"sentences/part-00009.parquet": 5}), "shard is missing or damaged"),
    (put("shards", "sentences/part-00000.parquet", value=5), " sentences, the manifest says 5"),
    (put("categories", value=["City"]), "categories = ['City']: must be an object"),
    (put("categories", "City", value={"mentions": 1}), "categories.City.with_copies is missing"),
    (put("splits", "train", value={}), "splits.train.sentences is missing"),
    (put("steps", 0, value=None), "steps[0] = None: must be an object"),
    (put("label_set", value={"name": "a"}), "label_set.sha256 is missing"),
    (put("unheard of", value=deep(300)), "not JSON: recursion limit"),
    (put("knowledge", "passed_over", value=[{}]), "knowledge.passed_over[0].path is missing"),
]


@pytest.fixture
def corpus(sample_corpus: Path, tmp_path: Path) -> Path:
    """A copy of the sample corpus, to be broken."""
    return Path(shutil.copytree(sample_corpus, tmp_path / "corpus"))


@pytest.fixture(scope="module")
def small(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample corpus without the pages it was made from; its manifest is broken, its shards are whole."""
    folder = tmp_path_factory.mktemp("small")
    return Path(shutil.copytree(sample_corpus, folder / "c", ignore=lambda *_: ["pages", "titles", "targets"]))


@pytest.mark.parametrize(("change", "words"), BREAKS)
def test_messages_of_manifests(
    sample_corpus: Path, small: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    manifest = json.loads((sample_corpus / "manifest.json").read_text())
    change(manifest)
    (small / "manifest.json").write_text(json.dumps(manifest))
    with raises(InputError, words):
        read_manifest(small)
    with raises(InputError, words):
        show_corpus(small, 1, as_json=False)


def test_messages_of_folders(corpus: Path, tmp_path: Path) -> None:
    with raises(InputError, "no such corpus folder"):
        read_manifest(tmp_path / "none")
    manifest, shard = corpus / "manifest.json", corpus / "sentences" / "part-00000.parquet"
    whole, table = manifest.read_text(), pq.read_table(shard)
    manifest.write_text(whole.replace("{", '{"x": ' + "9" * 5_000 + ",", 1))
    with raises(InputError, "manifest.json:1: not JSON: number out of range"):
        read_manifest(corpus)
    manifest.unlink()
    with raises(InputError, "has no manifest.json: not a corpus, or unfinished"):
        read_manifest(corpus)
    (corpus / "loop").symlink_to("loop")
    manifest.write_text(json.dumps(json.loads(whole) | {"shards": {"loop": 1}}))
    with raises(InputError, "loop"):
        read_manifest(corpus)
    manifest.write_text(whole)
    pq.write_table(table.drop_columns(["copies"]), shard)
    with raises(InputError, "part-00000.parquet: its columns aren't those of a corpus"):
        read_manifest(corpus)
    ends = np.arange(table.num_rows + 1, dtype=np.int32)
    titles = pa.StringArray.from_buffers(table.num_rows, pa.py_buffer(ends), pa.py_buffer(b"\xff" * table.num_rows))
    pq.write_table(table.set_column(table.schema.get_field_index("title"), "title", titles), shard)
    with raises(InputError, "part-00000.parquet: not a readable shard: "):
        show_corpus(corpus, 1, as_json=False)


def test_the_manifest_has_the_hash_of_each_shard(corpus: Path) -> None:
    manifest = read_manifest(corpus)
    hashes = {
        f"sentences/{path.name}": sha256(path.read_bytes()).hexdigest() for path in (corpus / "sentences").iterdir()
    }
    assert manifest["shard_sha256"] == hashes == shard_hashes(corpus, manifest)
    assert list(checked_shards(corpus, manifest)) == [corpus / name for name in manifest["shards"]]
    without = {key: value for key, value in manifest.items() if key != "shard_sha256"}
    assert shard_hashes(corpus, without) == hashes
    assert list(checked_shards(corpus, without)) == [corpus / name for name in manifest["shards"]]


def test_a_shard_of_other_bytes_is_noticed_at_any_time(corpus: Path) -> None:
    manifest = read_manifest(corpus)
    path = corpus / "sentences" / "part-00000.parquet"
    whole = path.read_bytes()
    for broken in (b"", whole[:-1], whole[:99] + bytes([whole[99] ^ 1]) + whole[100:]):
        path.write_bytes(broken)
        with raises(InputError, "part-00000.parquet: differs from the SHA-256 in manifest.json"):
            list(checked_shards(corpus, manifest))
        path.write_bytes(whole)
        assert list(checked_shards(corpus, manifest)) == [path]
    path.unlink()
    with raises(InputError, "part-00000.parquet: shard can't be read: No such file"):
        list(checked_shards(corpus, manifest))


NULLS = [
    ("start",),
    ("text",),
    ("copies",),
    ("words",),
    ("words", "start"),
    ("mentions",),
    ("mentions", "category"),
    ("mentions", "end"),
    ("mentions", "class_path"),
    ("mentions", "source"),
    ("title",),
    ("split",),
]


@pytest.mark.parametrize("keys", NULLS, ids=".".join)
def test_a_shard_with_a_value_missing_names_file_and_column(
    corpus: Path, tmp_path: Path, keys: tuple[str, ...]
) -> None:
    path = corpus / "sentences" / "part-00000.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    row = rows[-1]
    for key in keys[:-1]:
        row = row[key][0]
    row[keys[-1]] = [None] if keys[-1] == "class_path" else None
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    words = f"part-00000.parquet: a sentence has no {'.'.join(keys)}; build the corpus again"
    with raises(InputError, words):
        show_corpus(corpus, 1, as_json=False)
    with raises(InputError, words):
        export_corpus(corpus, tmp_path / "out.jsonl", "jsonl")
    if keys[0] not in ("start", "words"):  # the page reads neither
        for as_json, html in ((True, None), (False, tmp_path / "page.html")):
            with raises(InputError, words):
                show_corpus(corpus, as_json=as_json, html=html)


SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.string())])


def table(*numbers: int) -> pa.Table:
    return pa.Table.from_pylist([{"a": number, "b": str(number)} for number in numbers], schema=SCHEMA)


def test_what_is_added_is_read(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a.parquet", SCHEMA) as add:
        add(table(*range(3000)))
        add(table())
        add(table(7))
        assert not (tmp_path / "a.parquet").exists()
    batches = list(read_batches(tmp_path / "a.parquet", ["a"]))
    assert max(batch.num_rows for batch in batches) <= 2000
    assert [row for batch in batches for row in batch["a"].to_pylist()] == [*range(3000), 7]
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 2


def test_a_file_without_rows_has_its_columns_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a.parquet", SCHEMA):
        pass
    assert pq.read_schema(tmp_path / "a.parquet").equals(SCHEMA)
    assert list(read_batches(tmp_path / "a.parquet")) == []
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with raises(InputError, "a.parquet: not a readable shard: "):
        list(read_batches(tmp_path / "a.parquet"))


@pytest.mark.parametrize("sizes", [[], [3], [10_000], [4_000] * 6, [25_000, 1], [0, 9_999, 2]])
def test_row_groups_are_full_whatever_the_tables_sizes(tmp_path: Path, sizes: list[int]) -> None:
    schema = pa.schema([("n", pa.int64())])
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    tables = [pa.table({"n": range(start, start + size)}, schema) for start, size in zip(starts, sizes, strict=True)]
    write_grouped(tables, tmp_path / "t.parquet", schema)
    file = pq.ParquetFile(tmp_path / "t.parquet")
    assert file.read()["n"].to_pylist() == list(range(sum(sizes)))
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert all(size == 10_000 for size in groups[:-1])
    assert sum(groups) == sum(sizes)
