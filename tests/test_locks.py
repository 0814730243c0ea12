"""Locks: one process at a time."""

import errno
import os
from pathlib import Path

import pytest

from nerbert.errors import OutputExists
from nerbert.locks import held


@pytest.mark.parametrize("name", ["folder", "file"])
def test_one_holds_a_folder_or_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    for _ in range(2):
        with held(tmp_path / name, "x"):
            with pytest.raises(OutputExists, match="taken"), held(tmp_path / name, "taken"):
                pass
            with pytest.raises(OutputExists, match="taken"), held(tmp_path / name, "taken"):
                pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"folder", name})


def test_what_locking_raises_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    def refuse(handle: int, _: int) -> None:
        opened.append(handle)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match="broken"), held(tmp_path, "taken"):
        pass
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(opened[0])
