import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nerbert.corpus.report import show_corpus
from nerbert.corpus.shards import read_manifest
from nerbert.errors import InputError


def put(*keys: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(manifest: Any) -> None:
        for key in keys[:-1]:
            manifest = manifest[key]
        manifest[keys[-1]] = value

    return change


KEYS = ("shards", "steps", "splits", "categories", "knowledge", "mention_sources", "word_splitter", "wiki", "language")
BREAKS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    *((lambda manifest, key=key: manifest.pop(key), f"{key} is missing") for key in KEYS),
    (put("shards", value=["a"]), r"shards = \['a'\]: must be a table"),
    (put("shards", "a", value="1"), "shards.a = '1': must be a whole number"),
    (put("shards", "a", value=True), "shards.a = True: must be a whole number"),
    (put("shards", "\0", value=1), "outside the corpus"),
    (put("categories", value=["City"]), "categories = .*: must be a table"),
    (put("categories", "City", value={"mentions": 1}), "categories.City.with_copies is missing"),
    (put("splits", "train", value={}), "splits.train.sentences is missing"),
    (put("steps", 0, value=None), r"steps\[0\] = None: must be a table"),
    (put("steps", 0, "in", value=1.5), r"steps\[0\].in = 1.5: must be a whole number"),
    (put("steps", value={}), r"steps = \{\}: must be a list"),
    (put("wiki", value=3), "wiki = 3: must be a text"),
    (put("knowledge", "passed_over", value=[{}]), r"knowledge.passed_over\[0\].path is missing"),
]


@pytest.fixture
def corpus(sample_corpus: Path, tmp_path: Path) -> Path:
    """A copy of the sample corpus, to be broken."""
    return Path(shutil.copytree(sample_corpus, tmp_path / "corpus"))


def test_a_whole_manifest_is_read(sample_corpus: Path) -> None:
    assert read_manifest(sample_corpus) == json.loads((sample_corpus / "manifest.json").read_text())


@pytest.mark.parametrize(("change", "message"), BREAKS)
def test_a_manifest_of_another_shape_names_file_and_key(
    corpus: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    manifest = json.loads((corpus / "manifest.json").read_text())
    change(manifest)
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=rf"manifest\.json: .*{message}"):
        read_manifest(corpus)
    with pytest.raises(InputError, match=message):
        show_corpus(corpus, 1, as_json=False)


def test_a_shard_of_other_columns_is_refused(corpus: Path) -> None:
    path = corpus / "sentences" / "part-00000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["copies"]), path)
    with pytest.raises(InputError, match=r"part-00000\.parquet: its columns aren't those of a corpus"):
        read_manifest(corpus)
