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
from nerbert.corpus.shards import checked_shards, read_manifest, shard_hashes
from nerbert.errors import InputError
from nerbert.render.corpus import show_corpus


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
    (put("shards", value=["a"]), r"shards = \['a'\]: must be an object"),
    (put("shards", "a", value="1"), "shards.a = '1': must be a valid integer"),
    (put("shards", "a", value=True), "shards.a = True: must be a valid integer"),
    (put("shards", "\0", value=1), "outside the corpus"),
    (put("categories", value=["City"]), "categories = .*: must be an object"),
    (put("categories", "City", value={"mentions": 1}), "categories.City.with_copies is missing"),
    (put("splits", "train", value={}), "splits.train.sentences is missing"),
    (put("steps", 0, value=None), r"steps\[0\] = None: must be an object"),
    (put("steps", 0, "in", value=1.5), r"steps\[0\].in = 1.5: must be a valid integer"),
    (put("steps", value={}), r"steps = \{\}: must be a valid array"),
    (put("wiki", value=3), "wiki = 3: must be a valid string"),
    (put("label_set", value={"name": "a"}), "label_set.sha256 is missing"),
    (put("unheard of", value=deep(300)), "not JSON: recursion limit"),
    (put("shard_sha256", value=["a"]), r"shard_sha256 = \['a'\]: must be an object"),
    (put("shard_sha256", "a", value=1), "shard_sha256.a = 1: must be a valid string"),
    (put("knowledge", "passed_over", value=[{}]), r"knowledge.passed_over\[0\].path is missing"),
]


@pytest.fixture
def corpus(sample_corpus: Path, tmp_path: Path) -> Path:
    """A copy of the sample corpus, to be broken."""
    return Path(shutil.copytree(sample_corpus, tmp_path / "corpus"))


def test_a_whole_manifest_is_read(sample_corpus: Path) -> None:
    text = (sample_corpus / "manifest.json").read_text()
    assert json.dumps(read_manifest(sample_corpus)) == json.dumps(json.loads(text)), "in the order of the file"


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
        with pytest.raises(InputError, match=r"part-00000\.parquet: differs from the SHA-256 in manifest\.json"):
            list(checked_shards(corpus, manifest))
        path.write_bytes(whole)
        assert list(checked_shards(corpus, manifest)) == [path]
    path.unlink()
    with pytest.raises(InputError, match=r"part-00000\.parquet: shard can't be read: No such file"):
        list(checked_shards(corpus, manifest))


@pytest.mark.parametrize(("change", "message"), BREAKS)
def test_a_manifest_of_another_shape_names_file_and_key(
    corpus: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    manifest = json.loads((corpus / "manifest.json").read_text())
    change(manifest)
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=rf"manifest\.json(:1)?: .*{message}"):
        read_manifest(corpus)
    with pytest.raises(InputError, match=message):
        show_corpus(corpus, 1, as_json=False)


def test_a_shard_of_other_columns_is_refused(corpus: Path) -> None:
    path = corpus / "sentences" / "part-00000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["copies"]), path)
    with pytest.raises(InputError, match=r"part-00000\.parquet: its columns aren't those of a corpus"):
        read_manifest(corpus)


def test_a_loop_of_links_is_no_shard(corpus: Path) -> None:
    (corpus / "loop").symlink_to("loop")
    manifest = json.loads((corpus / "manifest.json").read_text())
    (corpus / "manifest.json").write_text(json.dumps(manifest | {"shards": {"loop": 1}}))
    with pytest.raises(InputError, match=r"'loop' lies outside the corpus|loop: shard is missing"):
        read_manifest(corpus)


def test_what_nobody_reads_is_kept(corpus: Path) -> None:
    path = corpus / "manifest.json"
    manifest = json.loads(path.read_text()) | {"unheard of": [2**63 - 1, -(2**63), deep(25)]}
    path.write_text(json.dumps(manifest))
    assert read_manifest(corpus) == manifest


def test_a_number_that_no_machine_reads_is_refused(corpus: Path) -> None:
    path = corpus / "manifest.json"
    path.write_text(path.read_text().replace("{", '{"x": ' + "9" * 5_000 + ",", 1))
    with pytest.raises(InputError, match=r"manifest\.json:1: not JSON: number out of range"):
        read_manifest(corpus)


def nothing(row: dict[str, Any], *keys: str) -> None:
    for key in keys[:-1]:
        row = row[key][0]
    row[keys[-1]] = [None] if keys[-1] == "class_path" else None


NULLS = [("start",), ("text",), ("copies",), ("words",), ("words", "start"), ("mentions",), ("mentions", "category"),
         ("mentions", "end"), ("mentions", "class_path"), ("mentions", "source"), ("title",), ("split",)]  # fmt: skip


@pytest.mark.parametrize("keys", NULLS, ids=".".join)
def test_a_shard_with_a_value_missing_names_file_and_column(
    corpus: Path, tmp_path: Path, keys: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    path = corpus / "sentences" / "part-00000.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    nothing(rows[-1], *keys)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    message = rf"part-00000\.parquet: a sentence has no {'.'.join(keys)}; build the corpus again"
    with pytest.raises(InputError, match=message):
        show_corpus(corpus, 1, as_json=False)
    with pytest.raises(InputError, match=message):
        export_corpus(corpus, tmp_path / "out.jsonl", "jsonl")
    if keys[0] not in ("start", "words"):  # the page reads neither
        for as_json, html in ((True, None), (False, tmp_path / "page.html")):
            with pytest.raises(InputError, match=message):
                show_corpus(corpus, as_json=as_json, html=html)


def test_a_shard_whose_texts_are_none_is_refused(corpus: Path) -> None:
    path = corpus / "sentences" / "part-00000.parquet"
    table = pq.read_table(path)
    ends = np.arange(table.num_rows + 1, dtype=np.int32)
    titles = pa.StringArray.from_buffers(table.num_rows, pa.py_buffer(ends), pa.py_buffer(b"\xff" * table.num_rows))
    pq.write_table(table.set_column(table.schema.get_field_index("title"), "title", titles), path)
    with pytest.raises(InputError, match=r"part-00000\.parquet: not a readable shard .*UTF8"):
        show_corpus(corpus, 1, as_json=False)
