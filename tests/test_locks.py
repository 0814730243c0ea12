"""Locks: one process at a time."""

import threading
from pathlib import Path

import pytest

from nerbert.artifacts import held
from nerbert.errors import OutputExists
from nerbert.locks import ThreadLock, _renew_locks
from tests.raised import raises


@pytest.mark.parametrize("name", ["folder", "file"])
def test_one_holds_a_folder_or_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    for _ in range(2):
        with held(tmp_path / name, "x", wait=lambda: pytest.fail("nobody waits for what is free")):
            for _ in range(2):
                with raises(OutputExists, words="taken"), held(tmp_path / name, "taken"):
                    pass


def test_who_waits_gets_it_next_even_if_the_file_went(tmp_path: Path) -> None:
    path, waits, order = tmp_path / "lock", threading.Event(), list[str]()

    def second() -> None:
        with held(path, "x", wait=waits.set):
            order.append("second")
            assert path.exists()

    with held(path, "x"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(60)
        order.append("first")
        path.unlink()
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_between_threads_is_free_in_a_forked_process() -> None:
    """Also for a block that was entered before the fork."""
    lock = ThreadLock()
    with lock:
        _renew_locks()  # what a fork does in the child
        with lock:
            pass
    with lock:
        pass
