from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.formats.folder import SPLITS, read_data


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
