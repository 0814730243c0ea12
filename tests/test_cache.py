"""Folders that are made once: whole or absent, by one process at a time, nobody else's."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import current_process
from pathlib import Path
from typing import Any

import pytest

from nerbert import cache
from nerbert.cache import cached
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError, WriteError
from nerbert.locks import held


def makes(made: list[str], text: str = "whole") -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        made.append(text)
        (folder / "text").write_text(text)

    return make


def reads(folder: Path) -> str:
    text = (folder / "text").read_text()
    if text != "whole":
        raise InputError(f"{folder}: damaged")
    return text


def names(place: Path) -> list[str]:
    return [path.name for path in place.rglob("*")]


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    made = list[str]()
    for _ in range(3):
        assert cached(str(tmp_path), "kind", {"a": 1}, makes(made), reads) == "whole"
    assert len(made) == 1
    cached(str(tmp_path), "kind", {"a": 2}, makes(made), reads)
    assert len(made) == 2
    assert len(list((tmp_path / "kind").iterdir())) == 2


def test_what_a_run_left_that_was_killed_after_its_last_rename_is_removed(tmp_path: Path) -> None:
    cached(str(tmp_path), "kind", 1, makes([]), reads)
    (whole,) = (tmp_path / "kind").iterdir()
    lock, work = (whole.with_name(f".{whole.name}.{ending}") for ending in ("lock", "work"))
    lock.touch()
    work.mkdir()
    (work / "lock").touch()
    with held(lock, ""):
        cached(str(tmp_path), "kind", 1, makes([]), reads)
        assert {*whole.parent.iterdir()} == {whole, lock, work}, "another run is at it"
    cached(str(tmp_path), "kind", 1, makes([]), reads)
    assert [*whole.parent.iterdir()] == [whole]


def test_its_place_by_default_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    cached("", "kind", 1, makes([]), reads)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    cached("", "kind", 1, makes([]), reads)
    cached("~/mine", "kind", 1, makes([]), reads)
    (key,) = {path.name for path in tmp_path.rglob("kind/*")}
    for place in ("xdg/nerbert", "home/.cache/nerbert", "home/mine"):
        assert (tmp_path / place / "kind" / key / "text").read_text() == "whole"


def test_a_damaged_one_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = list[str]()
    cached(str(tmp_path), "kind", 1, makes(made), reads)
    (folder,) = (tmp_path / "kind").iterdir()
    (folder / "text").write_text("torn")
    assert cached(str(tmp_path), "kind", 1, makes(made), reads) == "whole"
    assert len(made) == 2
    assert capsys.readouterr().err == f"{folder}: damaged, or made by an older version; it is made again\n"


@pytest.mark.parametrize("name", ["text", "checksums.json", "below/more"])
def test_a_flipped_bit_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    def make(folder: Path) -> None:
        (folder / "below").mkdir()
        for part in ("text", "below/more"):
            (folder / part).write_bytes(bytes(3 << 20))

    def read(folder: Path) -> bytes:
        return (folder / "text").read_bytes() + (folder / "below" / "more").read_bytes()

    cached(str(tmp_path), "kind", 1, make, read)
    (folder,) = (tmp_path / "kind").iterdir()
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert cached(str(tmp_path), "kind", 1, make, read) == bytes(6 << 20)
    assert "it is made again" in capsys.readouterr().err
    assert cached(str(tmp_path), "kind", 1, make, read) == bytes(6 << 20)
    assert capsys.readouterr().err == ""


def test_a_folder_without_checksums_is_made_again(tmp_path: Path) -> None:
    made = list[str]()
    cached(str(tmp_path), "kind", 1, makes(made), reads)
    (folder,) = (tmp_path / "kind").iterdir()
    (folder / "checksums.json").unlink()
    cached(str(tmp_path), "kind", 1, makes(made), reads)
    assert len(made) == 2


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "text").write_text("half")
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        cached(str(tmp_path), "kind", 1, fail, reads)
    assert names(tmp_path) == ["kind"]


CHILD = """
import os, signal, sys
from nerbert.cache import cached

def make(folder):
    (folder / "text").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

cached(sys.argv[1], "kind", 1, make, lambda folder: 1)
"""


def test_what_a_killed_run_leaves_is_not_taken_for_whole(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", CHILD, tmp_path], check=False).returncode == -9
    assert len(names(tmp_path)) > 1
    assert cached(str(tmp_path), "kind", 1, makes([]), reads) == "whole"
    assert {"checksums.json", "made_from.json", "text"} < {*names(tmp_path)}
    assert len(names(tmp_path)) == 5


def test_of_two_that_want_the_same_the_second_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, waiting, told, found = threading.Event(), threading.Event(), list[str](), list[str]()
    made = list[str]()

    def slow(folder: Path) -> None:
        begun.set()
        assert waiting.wait(60)
        makes(made)(folder)

    def tell(line: str) -> None:
        told.append(line)
        waiting.set()

    monkeypatch.setattr(cache, "tell", tell)
    first = threading.Thread(target=lambda: found.append(cached(str(tmp_path), "kind", 1, slow, reads)))
    first.start()
    assert begun.wait(60)
    found.append(cached(str(tmp_path), "kind", 1, makes(made), reads))
    first.join()
    assert (found, made) == (["whole", "whole"], ["whole"])
    assert [line.partition(": ")[2] for line in told] == ["another run is making it; waiting for its end"]
    assert len(list((tmp_path / "kind").iterdir())) == 1


def test_a_worker_that_runs_its_parents_script_does_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_process(), "_inheriting", True, raising=False)
    with pytest.raises(NerbertError, match="__main__"):
        cached(str(tmp_path), "kind", 1, makes([]), reads)


def test_versions_that_have_their_own_keys_leave_each_others_entries_alone(tmp_path: Path) -> None:
    made = {version: list[str]() for version in (1, 2)}
    for version in (1, 2, 1, 2, 1):
        found = cached(str(tmp_path), "kind", {"version": version}, makes(made[version], f"of {version}"),
                       lambda folder: (folder / "text").read_text())  # fmt: skip
        assert found == f"of {version}"
    assert made == {1: ["of 1"], 2: ["of 2"]}


@pytest.mark.parametrize("newer", ['{"format": 9, "files": {"text": "sha256:0"}}', "[]", "", '{"text": 1', "\0\1"])
def test_what_another_version_wrote_under_the_same_key_is_not_read(tmp_path: Path, newer: str) -> None:
    made = list[str]()
    for _ in range(2):
        assert cached(str(tmp_path), "kind", 1, makes(made), reads) == "whole"
        (folder,) = (tmp_path / "kind").iterdir()
        (folder / "checksums.json").write_text(newer)
        (folder / "more of it").write_text("whole")
    assert made == ["whole"] * 2
    assert cached(str(tmp_path), "kind", 1, makes(made), reads) == "whole"
    assert {each.name for each in folder.iterdir()} == {"text", "made_from.json", "checksums.json"}


def _fill(place: str, start: Any, answers: Any) -> None:
    made = list[str]()
    start.wait(60)
    answers.put((cached(place, "kind", 1, makes(made), reads), len(made)))


def test_processes_that_fill_an_entry_at_once_make_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(6), context.SimpleQueue()
    children = [context.Process(target=_fill, args=(str(tmp_path), start, answers)) for _ in range(6)]
    for each in children:
        each.start()
    found = [answers.get() for _ in children]
    for each in children:
        each.join(60)
    assert sorted(found) == [("whole", 0)] * 5 + [("whole", 1)]
    assert len(names(tmp_path)) == 5


@pytest.mark.parametrize("depth", ["kind", "folder", "partial"])
def test_links_are_left_alone(tmp_path: Path, depth: str) -> None:
    place, other = tmp_path / "cache", tmp_path / "other"
    cached(str(place), "kind", 1, makes([]), reads)
    (folder,) = (place / "kind").iterdir()
    shutil.move(place / "kind" if depth == "kind" else folder, other)
    link = {"kind": place / "kind", "folder": folder, "partial": folder.with_name(f".{folder.name}.partial")}[depth]
    link.symlink_to(other)
    before = names(other)
    with pytest.raises(OutputExists, match="is a link or another user's"):
        cached(str(place), "kind", 1, makes([]), reads)
    assert names(other) == before


def test_a_folder_of_another_user_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(str(tmp_path), "kind", 1, makes([]), reads)
    me = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: me + 1)
    with pytest.raises(OutputExists, match="is a link or another user's"):
        cached(str(tmp_path), "kind", 1, makes([]), reads)


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"file/kind: can't be written: .*; name another folder as cache"):
        cached(str(tmp_path / "file"), "kind", 1, makes([]), reads)


def test_a_file_in_a_folders_place_makes_way(tmp_path: Path) -> None:
    cached(str(tmp_path), "kind", 1, makes([]), reads)
    (folder,) = (tmp_path / "kind").iterdir()
    shutil.rmtree(folder)
    folder.write_text("no folder")
    assert cached(str(tmp_path), "kind", 1, makes([]), reads) == "whole"
    assert folder.is_dir()


@pytest.mark.parametrize("place", ["a\0b", "x" * 300])
def test_a_place_that_can_not_be_is_a_setting_that_is_refused(place: str) -> None:
    with pytest.raises(SettingsError, match="can't be a folder"):
        cached(place, "kind", 1, makes([]), reads)
