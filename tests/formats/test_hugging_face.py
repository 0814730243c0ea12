import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, MissingExtra
from nerbert.formats.conll import example_of
from nerbert.formats.documents import Reading
from nerbert.formats.format import read_documents
from nerbert.formats.parquet import Datasets
from nerbert.records import Document, Repairs, Span
from tests.formats.exports import plain
from tests.raised import raises

datasets = pytest.importorskip("datasets")
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value, load_from_disk  # noqa: E402

pytestmark = pytest.mark.extras
NAMES = ["O", "B-person", "I-person"]
FEATURES = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=NAMES))})
DATA = Dataset.from_dict(
    {"tokens": [["Ada", "Lovelace", "slept"], ["Oslo"]], "ner_tags": [[1, 2, 0], [0]]}, features=FEATURES
)


EXPECTED = [("Ada Lovelace slept", [(0, 12, "person")]), ("Oslo", [])]


def test_folders_that_datasets_saved_are_read(tmp_path: Path) -> None:
    DATA.save_to_disk(tmp_path / "one")
    assert Datasets().recognise(tmp_path / "one", b"")
    assert plain(list(Datasets().read(tmp_path / "one", Repairs()))) == EXPECTED
    DATA.select([1]).save_to_disk(tmp_path / "few")  # rows by an index
    assert plain(list(Datasets().read(tmp_path / "few", Repairs()))) == EXPECTED[1:]
    DatasetDict(train=DATA, test=DATA).save_to_disk(tmp_path / "all")
    assert not Datasets().recognise(tmp_path / "all", b"")
    assert Datasets().recognise(tmp_path / "all" / "train", b"")
    with raises(InputError, f"holds several splits; name one of them: {tmp_path}/all/train, {tmp_path}/all/test"):
        list(Datasets().read(tmp_path / "all", Repairs()))


@pytest.mark.parametrize(
    ("offsets", "damaged"),
    [((0, 3, 11, 16, 20), (0, 11, 3, 16, 20)), ((0, 3, 11, 16, 20), (0, 3, 11, 16, 1 << 30)), ((0, 3, 4), (0, 4, 3))],
)
def test_a_damaged_file_is_refused_before_its_rows_are_read(
    offsets: tuple[int, ...], damaged: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    DATA.save_to_disk(tmp_path / "one")
    (table,) = (tmp_path / "one").glob("*.arrow")
    before, after = (struct.pack(f"<{len(each)}i", *each) for each in (offsets, damaged))
    table.write_bytes(table.read_bytes().replace(before, after))
    monkeypatch.setattr("nerbert.formats.parquet._Rows.read", lambda *_: iter(()))  # reading may end the process
    with raises(InputError, "one: can't be read as a data set of Hugging Face: "):
        list(Datasets().read(tmp_path / "one", Repairs()))


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("conll", (("conll",), "train")),
        ("conll/test", (("conll",), "test")),
        ("owner/few", (("owner/few",), "train")),
        ("owner/few/dev", (("owner/few",), "validation")),
        ("owner/few/supervised/test", (("owner/few", "supervised"), "test")),
        ("owner/few/supervised", (("owner/few", "supervised"), "train")),
    ],
)
def test_a_name_of_the_hub_is_asked_for(name: str, asked: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = []

    def load(*names: str, split: str) -> Dataset:
        calls.append((names, split))
        return DATA

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", load)
    assert plain(list(Datasets().read(Path(name), Repairs()))) == EXPECTED
    assert calls == [asked]


def test_faults_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raises(InputError, "no such folder, and not the name of a data set"):
        Datasets().read(tmp_path / "none", Repairs())
    (tmp_path / "state.json").write_text("{")
    with raises(InputError, "can't be read as a data set of Hugging Face: "):
        Datasets().read(tmp_path, Repairs())
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with raises(MissingExtra, "nerbert[datasets]"):
        list(read_documents(tmp_path, Reading(from_="datasets")))


def test_what_is_written_is_read_here_and_by_datasets(tmp_path: Path) -> None:
    with raises(InputError, "no text to write"):
        Datasets().write(tmp_path / "a", [])
    assert not list(tmp_path.iterdir())
    tagged = example_of(["Ada", "Lovelace", "slept"], ["B-person", "I-person", "O"])
    made = [
        Document(tagged.text, (Span(0, 12, "person", "Ada Lovelace", 0.5),), tagged.words, "", {"note": 7}, 1),
        Document("Ada's", (Span(0, 3, "person", "Ada"),), ((0, 3), (3, 5)), "", {"note": 8}, 2),
        Document("", (), (), "", {"note": 9}, 3),
    ]
    Datasets().write(tmp_path / "a", made)
    assert list(Datasets().read(tmp_path / "a", Repairs())) == made
    found = load_from_disk(tmp_path / "a")
    assert found.features["ner_tags"].feature.names == NAMES
    assert found["ner_tags"][:2] == [[1, 2, 0], [1, 0]]
    assert found["tokens"][1] == ["Ada", "'s"]
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_text_without_words_becomes_sentences_of_one_document(tmp_path: Path) -> None:
    Datasets().write(tmp_path / "a", [Document("Ada slept. Bob ran.", (Span(11, 14, "person", "Bob"),)), Document("x")])
    found = list(Datasets().read(tmp_path / "a", Repairs()))
    assert [(each.text, each.group) for each in found] == [("Ada slept.", "1"), ("Bob ran.", "1"), ("x", "")]
    assert plain(found)[1] == ("Bob ran.", [(0, 3, "person")])
