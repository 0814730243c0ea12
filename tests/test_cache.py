"""Folders that are made once: whole or absent, by one process at a time, nobody else's."""

import os
import shutil
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing import current_process
from pathlib import Path

import pytest

from nerbert import cache
from nerbert.artifacts import held
from nerbert.cache import load_cached
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError, WriteError
from tests.raised import raises


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


def entry(place: Path) -> tuple[str, bool]:
    """Return what an entry of the cache holds, and whether it was made now."""
    made = list[str]()
    return load_cached(str(place), "kind", 1, makes(made), reads), bool(made)


def folder_of(place: Path) -> Path:
    (folder,) = (place / "kind").iterdir()
    return folder


def names(place: Path) -> list[str]:
    return [path.name for path in place.rglob("*")]


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    made = list[str]()
    for version in (1, 2, 1, 2, 1):
        assert load_cached(str(tmp_path), "kind", {"version": version}, makes(made), reads) == "whole"
    assert len(made) == 2
    assert len(list((tmp_path / "kind").iterdir())) == 2


def test_what_a_run_left_that_was_killed_after_its_last_rename_is_removed(tmp_path: Path) -> None:
    entry(tmp_path)
    whole = folder_of(tmp_path)
    lock, work = (whole.with_name(f".{whole.name}.{ending}") for ending in ("lock", "work"))
    lock.touch()
    work.mkdir()
    (work / "lock").touch()
    with held(lock, ""):
        entry(tmp_path)
        assert {*whole.parent.iterdir()} == {whole, lock, work}, "another run is at it"
    entry(tmp_path)
    assert [*whole.parent.iterdir()] == [whole]


def test_its_place_by_default_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    load_cached("", "kind", 1, makes([]), reads)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    load_cached("", "kind", 1, makes([]), reads)
    load_cached("~/mine", "kind", 1, makes([]), reads)
    (key,) = {path.name for path in tmp_path.rglob("kind/*")}
    for place in ("xdg/nerbert", "home/.cache/nerbert", "home/mine"):
        assert (tmp_path / place / "kind" / key / "text").read_text() == "whole"


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _overwrite(text: str, folder: Path) -> None:
    (folder / "checksums.json").write_text(text)


def _replace(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


NEWER = ['{"format": 9, "files": {"text": "sha256:0"}}', "[]", "", '{"text": 1', "\0\1"]
DAMAGES: dict[str, Callable[[Path], object]] = {
    "torn": lambda folder: (folder / "text").write_text("torn"),
    "a bit": lambda folder: _flip(folder / "text"),
    "a bit of the checksums": lambda folder: _flip(folder / "checksums.json"),
    "a bit below": lambda folder: _flip(folder / "below" / "more"),
    "no checksums": lambda folder: (folder / "checksums.json").unlink(),
    "a file more": lambda folder: (folder / "more of it").write_text("whole"),
    "a file": _replace,
    **{f"another version's {text}": partial(_overwrite, text) for text in NEWER},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    def make(folder: Path) -> None:
        (folder / "below").mkdir()
        (folder / "below" / "more").write_bytes(bytes(3 << 20))
        makes([])(folder)

    load_cached(str(tmp_path), "kind", 1, make, reads)
    folder = folder_of(tmp_path)
    DAMAGES[damage](folder)
    told = f"{folder}: damaged, or made by an older version; it is made again\n" if folder.is_dir() else ""
    assert load_cached(str(tmp_path), "kind", 1, make, reads) == "whole"
    assert capsys.readouterr().err == told
    assert {each.name for each in folder.iterdir()} == {"text", "below", "made_from.json", "checksums.json"}
    assert entry(tmp_path) == ("whole", False)
    assert capsys.readouterr().err == ""


def test_what_cannot_be_read_any_more_is_made_again(tmp_path: Path) -> None:
    load_cached(str(tmp_path), "kind", 1, makes([], "older"), lambda folder: (folder / "text").read_text())
    assert [entry(tmp_path), entry(tmp_path)] == [("whole", True), ("whole", False)]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "text").write_text("half")
        raise InputError("no")

    with raises(InputError):
        load_cached(str(tmp_path), "kind", 1, fail, reads)
    assert names(tmp_path) == ["kind"]


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
    first = threading.Thread(target=lambda: found.append(load_cached(str(tmp_path), "kind", 1, slow, reads)))
    first.start()
    assert begun.wait(60)
    found.append(load_cached(str(tmp_path), "kind", 1, makes(made), reads))
    first.join()
    assert (found, made) == (["whole", "whole"], ["whole"])
    assert [line.partition(": ")[2] for line in told] == ["another run is making it; waiting for its end"]
    assert len(list((tmp_path / "kind").iterdir())) == 1


def test_a_worker_that_runs_its_parents_script_does_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_process(), "_inheriting", True, raising=False)
    with raises(NerbertError, words="__main__"):
        entry(tmp_path)


@pytest.mark.parametrize("depth", ["kind", "folder", "partial", "another user"])
def test_what_is_anothers_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: str) -> None:
    place, other = tmp_path / "cache", tmp_path / "other"
    entry(place)
    folder = folder_of(place)
    if depth == "another user":
        shutil.copytree(place, other)
        user = os.geteuid() + 1
        monkeypatch.setattr("os.geteuid", lambda: user)
    else:
        shutil.move(place / "kind" if depth == "kind" else folder, other)
        link = {"kind": place / "kind", "folder": folder, "partial": folder.with_name(f".{folder.name}.partial")}[depth]
        link.symlink_to(other)
    before = names(other)
    with raises(OutputExists, words="is a link or another user's"):
        entry(place)
    assert names(other) == before


def test_a_place_that_can_not_be_written_or_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with raises(WriteError, words="file/kind: can't be written: Not a directory; name another folder as cache"):
        entry(tmp_path / "file")
    for place in ("a\0b", "x" * 300):
        with raises(SettingsError, words="can't be a folder"):
            load_cached(place, "kind", 1, makes([]), reads)
