"""Splits: found in a folder by their names, cut from one file, or examples in memory."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nerbert.data.splits import SPLITS, cut_documents, find_splits, read_data, read_gold, split_of, train_sum
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.formats.conll import example_of
from nerbert.formats.documents import Reading, document_of, example_of_spans
from nerbert.formats.jsonl import JsonLines
from nerbert.texts.inputs import find_sources
from tests.raised import raises

OSLO = document_of(example_of(["Oslo"], ["B-place"]))


def test_splits_are_read_and_test_only_on_wish(tmp_path: Path) -> None:
    for name, count in (("train", 3), ("dev", 2), ("test", 1)):
        (tmp_path / f"{name}.conll").write_text("Oslo\tB-place\n\n" * count)
    found = read_data(tmp_path)
    assert (len(found.train), len(found.dev), found.test) == (3, 2, [])
    assert set(found.sha256) == {"train.conll", "dev.conll"}
    whole = read_data(str(tmp_path), SPLITS)
    assert (len(whole.test), set(whole.sha256)) == (1, {"train.conll", "dev.conll", "test.conll"})
    assert whole.source("dev") == {"name": "dev.conll", "sha256": found.sha256["dev.conll"]}
    assert read_data(whole) is whole


def test_one_file_is_training_data(tmp_path: Path) -> None:
    (tmp_path / "some.conll").write_text("Oslo\tB-place\n\n" * 12)
    found = read_data(tmp_path / "some.conll")
    assert (len(found.train), found.dev, list(found.sha256)) == (12, [], ["some.conll"])


def test_what_is_missing_empty_or_has_another_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "aa.txt").symlink_to(tmp_path / "nowhere")  # hints take no fault's place
    os.mkfifo(tmp_path / "bb")
    with raises(InputError, "holds no train split, say train.conll or train.jsonl"):
        read_data(tmp_path)
    with raises(InputError, "nosuch: no such file or folder; name a file of annotated sentences, or a"):
        read_data(tmp_path / "nosuch")
    labels = tmp_path / "sets" / "labels.jsonl"
    labels.parent.mkdir()
    labels.write_text('{"text": "a", "entities": [{"start": 0, "end": 1, "type": "x"}], "asked": "all"}')
    (labels.parent / "labels.report.json").write_text('{"passages": 1}')
    with raises(InputError, "label.jsonl: no such file or folder: did you mean 'labels.jsonl'?"):
        read_data(labels.with_name("label.jsonl"))
    with raises(InputError, ".jsonl; name a file of annotated sentences, or"):
        read_data(labels.parent)
    (tmp_path / "train.conll").write_text("Oslo\tB-place\n")
    (tmp_path / "dev.conll").write_text("\n")
    with raises(InputError, "dev.conll: holds no sentence"):
        read_data(tmp_path)


def test_what_is_not_asked_for_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "test.conll").write_text("Oslo\tB-place\n")
    for name in ("train", "dev"):
        (tmp_path / f"{name}.conll").write_text("Oslo\n")
    found = read_data(tmp_path, ["test"])
    assert (found.train, found.dev, len(found.test), set(found.sha256)) == ([], [], 1, {"test.conll"})
    (tmp_path / "train.conll").unlink()
    assert read_data(tmp_path, ["test"]).train == []
    with raises(InputError, path=tmp_path / "dev.conll", line=1):
        read_data(tmp_path, ["test", "dev"])


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.conll", "train"),
        ("eng.testa", "dev"),
        ("eng.testb", "test"),
        ("validation", "dev"),
        ("en_ewt-ud-train.iob2", "train"),
        ("Test.JSON", "test"),
        ("train-00000-of-00001.parquet", "train"),
        ("latest.conll", ""),
        ("train_test.conll", ""),
        ("gold.conll", ""),
        ("devices.csv", ""),
    ],
)
def test_the_split_that_a_name_says(name: str, split: str) -> None:
    assert split_of(name) == split


def test_splits_are_found_in_any_format_and_under_their_usual_names(tmp_path: Path) -> None:
    JsonLines().write(tmp_path / "training.jsonl", [OSLO])
    (tmp_path / "eng.testa").write_text("Oslo\tB-place\n")
    (tmp_path / "test_log.json").write_text('{"loss": 1}')
    (tmp_path / "README.train").write_text("Read me before training.\n")
    (tmp_path / "test.conll").mkdir()
    found = find_splits(tmp_path)
    assert {split: path.name for split, path in found.items()} == {"train": "training.jsonl", "dev": "eng.testa"}
    read = read_data(tmp_path)
    assert read.train == read.dev
    assert find_splits(tmp_path, Reading(from_="conll")) == {}
    assert find_splits(tmp_path / "none") == {}
    assert read_gold(tmp_path, "dev").name == "eng.testa"
    assert read_gold(tmp_path / "eng.testa", "test").place == str(tmp_path / "eng.testa")
    with raises(InputError, "; name a file of annotated sentences, or"):
        read_gold(tmp_path, "test")
    with raises(InputError, "none: no such file or folder"):
        read_gold(tmp_path / "none", "test")


def test_a_text_that_is_named_as_a_split_is_one_of_its_folder(tmp_path: Path) -> None:
    def put(name: str) -> None:
        (tmp_path / f"{name}.txt").write_text("Oslo")
        (tmp_path / f"{name}.ann").write_text("T1\tplace 0 4\tOslo\n")

    put("train")
    put("test")
    assert {split: path.name for split, path in find_splits(tmp_path).items()} == {
        "train": "train.ann",
        "test": "test.ann",
    }
    put("a")
    assert find_splits(tmp_path) == {"train": tmp_path}
    assert len(read_data(tmp_path).train) == 3


@pytest.mark.parametrize(("right", "locked"), [("iterdir", "other/inner"), ("stat", "train")])
def test_folders_that_cannot_be_listed_or_entered_are_named(
    right: str, locked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that can't be listed, and one that can't be entered."""
    for name in ("train", "other/inner"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.md").touch()
    (tmp_path / "dev.conll").write_text("Oslo\tB-place\n")
    before = getattr(Path, right)

    def refuse(path: Path, **options: Any) -> Any:
        if tmp_path / locked == (path if right == "iterdir" else path.parent):
            raise PermissionError(13, "Permission denied", str(path))
        return before(path, **options)

    monkeypatch.setattr(Path, right, refuse)
    words = f"{tmp_path / locked}: can't be listed: Permission denied"
    for read in (lambda: read_data(tmp_path), lambda: find_sources([str(tmp_path)], "")):
        with raises(InputError, words):
            read()


def test_two_files_of_a_split_are_not_chosen_from(tmp_path: Path) -> None:
    for name in ("train.conll", "train.bio", "train.jsonl"):
        (tmp_path / name).write_text("Oslo\tB-place\n")
    with raises(InputError, "holds train.bio and train.conll; move one away, or choose with --from"):
        read_data(tmp_path)
    assert find_splits(tmp_path, Reading(from_="jsonl"))["train"].name == "train.jsonl"
    JsonLines().write(tmp_path / "test.jsonl", [OSLO])
    assert len(read_data(tmp_path, ["test"]).test) == 1, "a split that isn't asked for causes no failure"


def test_one_file_is_cut_by_documents_the_same_way_each_time(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    rows = [{"text": f"Ship {number % 40} sank in Oslo.", "spans": []} for number in range(60)]
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    reading = Reading(split="80/10/10")
    found = read_data(path, SPLITS, reading)
    texts = {split: {each.text for each in examples} for split, examples in found.splits.items()}
    assert sum(map(len, found.splits.values())) == 60
    assert sum(map(len, texts.values())) == 40, "equal texts stay together"
    assert 0.7 < len(found.train) / 60 < 0.9
    assert found.splits == read_data(path, SPLITS, reading).splits
    assert found.splits != read_data(path, SPLITS, Reading(split="80/10/10", split_seed=1)).splits
    assert read_gold(path, "test", reading).examples == found.test
    assert (read_gold(path, "test", reading).name, list(found.sha256)) == ("all.jsonl", ["all.jsonl"])
    assert set(find_splits(path, Reading(split="50/50"))) == {"train", "dev"}
    (tmp_path / "train.jsonl").write_text(json.dumps(rows[0]))
    with raises(InputError, "has splits of its own (train); leave out --split"):
        read_data(tmp_path, SPLITS, reading)


def test_groups_are_not_cut_apart() -> None:
    keys = [f"document {number // 5}" for number in range(100)]
    splits = cut_documents(keys, "60/20/20", 0)
    assert Counter(splits) == {"train": 60, "dev": 20, "test": 20}
    assert len(set(zip(keys, splits, strict=True))) == 20
    with raises(InputError, "2 documents are too few for 80/10/10: none would be"):
        cut_documents(["a", "b"], "80/10/10", 0)


@pytest.mark.parametrize("split", ["80", "80/30", "0/50/50", "80/10/5/5", "a/b", "80/10/10 "])
def test_shares_must_make_a_hundred(split: str) -> None:
    with raises(SettingsError, "must be percentages of train, dev and test that sum to 100"):
        cut_documents(["a"], split, 0)


ADA, BOB = (example_of_spans(f"{name} slept", [(0, 3, "person")]) for name in ("Ada", "Bob"))


def test_examples_in_memory_are_data_and_are_read_once() -> None:
    found = read_data(each for each in [ADA, BOB])
    assert (found.train, found.dev, found.test) == ([ADA, BOB], [], [])
    assert found.sha256 != read_data([ADA]).sha256
    assert read_gold((each for each in [ADA]), "test").examples == [ADA]
    found = read_data({"train": [ADA], "dev": [BOB]})
    assert (found.train, found.dev, found.test) == ([ADA], [BOB], [])
    assert found.source("dev")["sha256"] == read_data([BOB]).source("train")["sha256"]
    assert read_gold({"train": [ADA], "test": [BOB]}, "test").examples == [BOB]


def read_twice(folder: Path) -> None:
    """Read data of which the training split was not read."""
    (folder / "test.conll").write_text("Oslo\tB-place\n")
    read_data(read_data(folder, ["test"]))


@pytest.mark.parametrize(
    ("read", "kind", "words"),
    [
        (
            lambda _: read_data([{"text": "Ada"}]),  # type: ignore[list-item]
            InputError,
            "data: dict is not an Example; make examples with nerbert.example",
        ),
        (lambda _: read_gold({"train": [ADA]}, "test"), InputError, "its test split holds no sentence"),
        (lambda _: read_data({"valid": [BOB]}), InputError, "split 'valid': must be one of train, dev, test"),
        (lambda folder: read_data(folder, ["valid"]), SettingsError, "split 'valid': must be one of train, dev, test"),
        (read_twice, InputError, "its train split holds no sentence, or was not read"),
        *(
            (
                lambda _, data=data: read_data(data),
                InputError,
                f"data: {type(data).__name__} is not data; give a folder",
            )
            for data in (None, 5, ADA)
        ),
    ],
)
def test_what_is_no_data_is_named(
    tmp_path: Path, read: Callable[[Path], object], kind: type[NerbertError], words: str
) -> None:
    with raises(kind, words):
        read(tmp_path)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"sha256": {"dev.toy": "d", "train.toy": "t"}}, "t"),
        ({"sha256": {"gold.txt": "g"}}, "g"),
        ({"sha256": {"a": "1", "b": "2"}}, ""),
        ({"sha256": {"train.conll": 7}}, ""),
        ({"sha256": {}}, ""),
        ({"sha256": []}, ""),
        (None, ""),
    ],
)
def test_the_training_file_of_a_card(data: object, found: str) -> None:
    assert train_sum(data) == found
