from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.formats.examples import SPLITS, find_splits, read_data, split_file, train_sum
from nerbert.formats.jsonl import JsonLines


def test_splits_are_read_and_test_only_on_wish(tmp_path: Path) -> None:
    for name, count in (("train", 3), ("dev", 2), ("test", 1)):
        (tmp_path / f"{name}.conll").write_text("Oslo\tB-place\n\n" * count)
    found = read_data(tmp_path)
    assert (len(found.train), len(found.dev), found.test) == (3, 2, [])
    assert set(found.sha256) == {"train.conll", "dev.conll"}
    whole = read_data(tmp_path, SPLITS)
    assert (len(whole.test), set(whole.sha256)) == (1, {"train.conll", "dev.conll", "test.conll"})


def test_one_file_is_training_data(tmp_path: Path) -> None:
    (tmp_path / "some.conll").write_text("Oslo\tB-place\n\n" * 12)
    found = read_data(tmp_path / "some.conll")
    assert (len(found.train), found.dev, list(found.sha256)) == (12, [], ["some.conll"])


def test_what_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no train\.conll"):
        read_data(tmp_path)
    (tmp_path / "train.conll").write_text("Oslo\tB-place\n")
    (tmp_path / "dev.conll").write_text("\n")
    with pytest.raises(InputError, match=r"dev\.conll: holds no sentence"):
        read_data(tmp_path)


def test_what_is_not_asked_for_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "test.conll").write_text("Oslo\tB-place\n")
    for name in ("train", "dev"):
        (tmp_path / f"{name}.conll").write_text("Oslo\n")
    found = read_data(tmp_path, ["test"])
    assert (found.train, found.dev, len(found.test), set(found.sha256)) == ([], [], 1, {"test.conll"})
    (tmp_path / "train.conll").unlink()
    assert read_data(tmp_path, ["test"]).train == []
    with pytest.raises(InputError, match=r"dev\.conll:1: "):
        read_data(tmp_path, ["test", "dev"])


def test_splits_are_found_in_any_format(tmp_path: Path) -> None:
    JsonLines().write(tmp_path / "train.jsonl", [example_of(["Oslo"], ["B-place"])])
    (tmp_path / "dev.BIO").write_text("Oslo\tB-place\n")
    for name in ("test.md", "test", "train.v2.conll", "training.conll", "validation.conll"):
        (tmp_path / name).write_text("Oslo\tB-place\n")
    (tmp_path / "test.conll").mkdir()
    found = find_splits(tmp_path)
    assert {split: path.name for split, path in found.items()} == {"train": "train.jsonl", "dev": "dev.BIO"}
    read = read_data(tmp_path)
    assert read.train == read.dev
    assert set(read.sha256) == {"train.jsonl", "dev.BIO"}
    assert list(find_splits(tmp_path, "conll")) == ["dev"]
    assert find_splits(tmp_path / "none") == {}
    assert split_file(tmp_path, "dev").name == "dev.BIO"
    assert split_file(tmp_path / "test.md", "dev").name == "test.md"
    with pytest.raises(InputError, match=r"holds no test\.conll or test\.jsonl; name a file"):
        split_file(tmp_path, "test")
    with pytest.raises(InputError, match=r"holds no train\.conll; give a folder"):
        read_data(tmp_path, format_="conll")


def test_two_files_of_a_split_are_not_chosen_from(tmp_path: Path) -> None:
    for name in ("train.conll", "train.bio", "train.jsonl"):
        (tmp_path / name).write_text("Oslo\tB-place\n")
    with pytest.raises(InputError, match=r"holds train\.bio and train\.conll; move one away, or choose with --from"):
        read_data(tmp_path)
    assert find_splits(tmp_path, "jsonl")["train"].name == "train.jsonl"
    JsonLines().write(tmp_path / "test.jsonl", [example_of(["Oslo"], ["B-place"])])
    assert len(read_data(tmp_path, ["test"]).test) == 1, "a split that isn't asked for causes no failure"
    assert split_file(tmp_path, "test").name == "test.jsonl"


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
