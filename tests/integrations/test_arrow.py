"""Ray Data, `datasets`, and whatever else gives Arrow tables: the rows of `nerbert tag`."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.corpus.shards import read_sentences
from nerbert.errors import InputError, SettingsError
from nerbert.integrations.arrow import Tagging
from tests.commands import exit_code

FP32 = ("--precision", "fp32")
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
    with pytest.raises(InputError, match=r"batch: row 42: .*'text' holds None"):
        Tagging(tiny_tagger)(pa.table({"text": ["a", None]}), range(40, 42))
    with pytest.raises(InputError, match=r"batch: row 1: field 'text' holds 7"):
        Tagging(tiny_tagger)(pa.table({"text": [7]}))
    with pytest.raises(InputError, match="column 'spans' holds no entities"):
        Tagging(tiny_tagger)(pa.table({"text": ["a"], "spans": [7]}))
    with pytest.raises(InputError, match=r"a batch is dict, no Arrow table; .*with_format\('arrow'\)"):
        Tagging(tiny_tagger)({"text": ["a"]})
    with pytest.raises(SettingsError, match="--offsets"):
        Tagging("nowhere", offsets="words")


def rows_of(data_set: Any) -> list[dict[str, Any]]:
    """Return the rows of a data set of `datasets` as Python's objects."""
    return list(data_set.with_format(None))


@pytest.fixture
def _as_in_a_program_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let SIGTERM end forked processes (commands that ran here handle it), and keep `os.environ`, which `datasets`
    replaces.
    """
    monkeypatch.setattr("os.environ", os.environ)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_as_in_a_program_of_its_own")
@pytest.mark.parametrize("how", ["fork", pytest.param("spawn", marks=pytest.mark.nightly)])
def test_a_data_set_of_hugging_face_is_tagged_by_processes(
    tiny_tagger: Path, table: pa.Table, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its other columns keep their types, and an error names the row of the whole data set."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("multiprocess.Pool", pytest.importorskip("multiprocess").get_context(how).Pool)
    wanted = Tagging(tiny_tagger, precision="fp32")(table).to_pylist()
    known = {
        "id": datasets.Value("int16"),
        "text": datasets.Value("string"),
        "when": datasets.ClassLabel(names=["1893"]),
    }
    rows = datasets.Dataset.from_dict(table.to_pydict(), features=datasets.Features(known)).with_format("arrow")
    tagging = Tagging(tiny_tagger, precision="fp32")
    done = rows.map(tagging, batched=True, batch_size=7, num_proc=2)
    assert {name: done.features[name] for name in known} == known
    assert [{**row, "when": None} for row in rows_of(done)] == [{**row, "when": None} for row in wanted]
    bad = datasets.Dataset.from_dict({"text": [*TEXTS, None]}).with_format("arrow")
    with pytest.raises(InputError, match=r"^batch: row 51: field 'text' holds None"):
        bad.map(tagging, batched=True, batch_size=7, num_proc=2, with_indices=True)


def test_a_stream_of_hugging_face_is_tagged(tiny_tagger: Path, table: pa.Table, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    stream = datasets.Dataset.from_dict(table.to_pydict()).to_iterable_dataset().with_format("arrow")
    done = stream.map(Tagging(tiny_tagger, precision="fp32"), batched=True, batch_size=7)
    assert rows_of(done) == tagged(tiny_tagger, tmp_path, *FP32).to_pylist()


def test_datasets_tags_again_only_what_another_tagger_would_find(
    tiny_tagger: Path, table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    tagger = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    rows = datasets.Dataset.from_parquet(str(tmp_path / "texts.parquet"), cache_dir=str(tmp_path / "cache"))
    calls, tag = list[int](), Tagging._tagged

    def counted(self: Tagging, batch: pa.RecordBatch, first: int) -> pa.Table:
        calls.append(first)
        return tag(self, batch, first)

    monkeypatch.setattr(Tagging, "_tagged", counted)

    def tagged_anew(**options: Any) -> bool:
        calls.clear()
        rows.with_format("arrow").map(Tagging(tagger, **options), batched=True)
        return bool(calls)

    assert [tagged_anew(), tagged_anew()] == [True, False]
    assert [tagged_anew(min_confidence="0.9"), tagged_anew()] == [True, False]
    card = json.loads((tagger / "nerbert.json").read_text())
    (tagger / "nerbert.json").write_text(json.dumps(card | {"note": "other files, same weights"}))
    assert tagged_anew()


@pytest.fixture
def data() -> Iterator[Any]:
    """Ray Data on a Ray of its own, with two cores."""
    data = pytest.importorskip("ray.data")
    import ray

    ray.init(address="local", num_cpus=2, object_store_memory=200_000_000, include_dashboard=False)
    yield data
    ray.shutdown()


def bare(span: dict[str, Any]) -> dict[str, Any]:
    """Return an entity without its confidence."""
    return {name: value for name, value in span.items() if name != "confidence"}


def by_actors(data: Any, table: pa.Table, tagger: Path, batch_size: int) -> list[dict[str, Any]]:
    """Return the rows that actors tagged, by their ids."""
    rows = data.from_arrow(table).repartition(5).map_batches(
        Tagging, fn_constructor_args=[str(tagger)], fn_constructor_kwargs={"precision": "fp32"}, batch_format="pyarrow",
        batch_size=batch_size, concurrency=1,
    )  # fmt: skip
    return sorted(rows.take_all(), key=lambda row: int(row["id"]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_a_data_set_of_ray_is_tagged_by_actors(data: Any, tiny_tagger: Path, table: pa.Table, tmp_path: Path) -> None:
    assert by_actors(data, table, tiny_tagger, 10) == tagged(tiny_tagger, tmp_path, *FP32).to_pylist()


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_a_hundred_thousand_texts_have_the_rows_of_the_command(
    data: Any, tiny_tagger: Path, sample_corpus: Path, tmp_path: Path
) -> None:
    """Other batches round otherwise: a confidence may differ in its last digit."""
    texts = list(islice(cycle(each.text for each in read_sentences(sample_corpus)), 100_000))
    table = pa.table({"id": range(100_000), "text": texts})
    pq.write_table(table, tmp_path / "texts.parquet")
    found, wanted = by_actors(data, table, tiny_tagger, 1000), tagged(tiny_tagger, tmp_path, *FP32).to_pylist()
    assert sum(len(row["spans"]) for row in wanted) > 10_000
    for one, other in zip(found, wanted, strict=True):
        assert (one["id"], one["text"]) == (other["id"], other["text"])
        assert [{**span, "confidence": 0} for span in one["spans"]] == [
            {**span, "confidence": 0} for span in other["spans"]
        ]
        for span, same in zip(one["spans"], other["spans"], strict=True):
            assert span["confidence"] == pytest.approx(same["confidence"], abs=1.5e-4)
