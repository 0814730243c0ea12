"""Ray Data, `datasets`, and whatever else gives Arrow tables: the rows of `nerbert tag`."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.errors import InputError, SettingsError
from nerbert.integrations.arrow import Tagging
from tests.commands import exit_code
from tests.raised import raises

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


@pytest.mark.parametrize(
    ("column", "batch", "words"),
    [
        ("text", pa.table({"text": ["a", None]}), "batch: row 42: field 'text' holds None"),
        ("body", pa.table({"text": ["a"]}), "(there are: text); name the text's: Tagging(TAGGER, 'text')"),
        ("text", pa.table({"text": ["a"], "spans": [7]}), "column 'spans' holds no entities"),
        ("text", {"text": ["a"]}, "a batch is dict, no Arrow table; of datasets: with_format('arrow')"),
    ],
)
def test_messages(tiny_tagger: Path, column: str, batch: Any, words: str) -> None:
    """A row is counted in the whole; options are checked before the tagger is loaded."""
    with raises(InputError, words):
        Tagging(tiny_tagger, column)(batch, range(40, 42))
    with raises(SettingsError, "--offsets"):
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


@pytest.mark.extras
@pytest.mark.usefixtures("_as_in_a_program_of_its_own")
@pytest.mark.parametrize("how", ["fork", pytest.param("spawn", marks=pytest.mark.nightly)])
def test_a_data_set_of_hugging_face_is_tagged_by_processes(
    tiny_tagger: Path, table: pa.Table, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its other columns keep their types, and an error names the row of the whole data set."""
    import datasets

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
    with raises(InputError, "batch: row 51: field 'text' holds None"):
        bad.map(tagging, batched=True, batch_size=7, num_proc=2, with_indices=True)


@pytest.mark.extras
def test_datasets_tags_again_only_what_another_tagger_would_find(tiny_tagger: Path, tmp_path: Path) -> None:
    """A tagger, which it pickles along, is known by its weights' file; the rest by the fingerprint."""
    from datasets.fingerprint import Hasher

    folder = shutil.copytree(tiny_tagger, tmp_path / "tagger")

    def key(**options: Any) -> Any:
        return Hasher.hash(Tagging(folder, **options))

    first = key()
    assert key() == first != key(min_confidence="0.9")
    os.utime(folder / "model.safetensors", ns=(0, 0))
    second = key()
    card = json.loads((folder / "nerbert.json").read_text())
    (folder / "nerbert.json").write_text(json.dumps(card | {"note": "other files, same weights"}))
    assert len({first, second, key()}) == 3


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Ray Data on a Ray of its own, with two cores; on a loaded machine its processes may take minutes to start."""
    for name in ("gcs_server_port_wait_time_s", "worker_register_timeout_seconds"):
        monkeypatch.setenv(f"RAY_{name}", "600")
    import ray.data

    ray.init(address="local", num_cpus=2, object_store_memory=200_000_000, include_dashboard=False)
    yield ray.data
    ray.shutdown()


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_a_data_set_of_ray_is_tagged_by_actors(data: Any, tiny_tagger: Path, table: pa.Table, tmp_path: Path) -> None:
    rows = (
        data.from_arrow(table)
        .repartition(5)
        .map_batches(
            Tagging,
            fn_constructor_args=[str(tiny_tagger)],
            fn_constructor_kwargs={"precision": "fp32"},
            batch_format="pyarrow",
            batch_size=10,
            concurrency=1,
        )
    )
    found = sorted(rows.take_all(), key=lambda row: int(row["id"]))
    assert found == tagged(tiny_tagger, tmp_path, "--precision", "fp32").to_pylist()
