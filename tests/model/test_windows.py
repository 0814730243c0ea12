from dataclasses import replace
from errno import ENOSPC
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError, WriteError
from nerbert.model.windows import Window, Windows, copied_to_file, open_windows, take_column, write_windows
from tests.raised import raises
from tests.windows import row_of, rows_of


@st.composite
def window(draw: st.DrawFn) -> Window:
    ids = draw(st.lists(st.integers(0, 99), min_size=1, max_size=9))
    places = sorted(draw(st.sets(st.integers(0, len(ids) - 1))))
    labels = draw(st.lists(st.integers(-100, 5), min_size=len(places), max_size=len(places)))
    return Window(draw(st.integers(0, 9)), tuple(ids), tuple(range(len(places))), tuple(places), tuple(labels))


ROWS = st.lists(window(), max_size=12)


@given(ROWS)
def test_rows_come_back(rows: list[Window]) -> None:
    packed = Windows.pack(rows)
    assert rows_of(packed) == rows
    assert packed.lengths.tolist() == [len(row.ids) for row in rows]
    bare = Windows.pack([replace(row, labels=()) for row in rows])
    assert len(bare.labels) == 0
    assert [row_of(bare, number) for number in range(len(rows))] == [replace(row, labels=()) for row in rows]


@given(ROWS, st.data())
def test_a_choice_is_that_of_the_rows(rows: list[Window], data: st.DataObject) -> None:
    packed = Windows.pack(rows)
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9)) if rows else []
    numbers = np.array(wanted, np.int64)
    ids, lengths = take_column(packed.ids, packed.ends, numbers)
    assert ids.tolist() == [piece for number in wanted for piece in rows[number].ids]
    assert lengths.tolist() == packed.lengths_of(numbers).tolist() == [len(rows[number].ids) for number in wanted]
    labels, _ = take_column(packed.labels, packed.word_ends, numbers)
    assert labels.tolist() == [label for number in wanted for label in rows[number].labels]


@given(st.lists(ROWS, max_size=4))
def test_parts_that_are_written_are_one_when_mapped(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[Window]]
) -> None:
    folder = tmp_path_factory.mktemp("windows")
    write_windows(folder, map(Windows.pack, parts))
    assert rows_of(open_windows(folder)) == [row for part in parts for row in part]


@pytest.mark.parametrize("name", ["ids.bin", "ends.bin", "labels.bin", "windows.json"])
def test_files_that_are_not_whole_are_refused(tmp_path: Path, name: str) -> None:
    write_windows(tmp_path, [Windows.pack([Window(0, (1, 2, 3), (0,), (1,), (4,))])])
    path = tmp_path / name
    for content in (path.read_bytes()[:-3], None):
        path.unlink()
        if content:
            path.write_bytes(content)
        with raises(InputError, name.removesuffix(".bin")):
            open_windows(tmp_path)
        path.touch()


def test_a_copy_is_in_a_file_without_a_name(tmp_path: Path) -> None:
    write_windows(tmp_path, [Windows.pack([Window(0, (1, 2), (0,), (0,), (3,))])])
    windows, files = open_windows(tmp_path), sorted(tmp_path.iterdir())
    copy = copied_to_file(windows.labels, beside=windows.labels)
    copy[0] = 5
    assert isinstance(copy, np.memmap)
    assert (copy.tolist(), windows.labels.tolist()) == ([5], [3])
    assert sorted(tmp_path.iterdir()) == files
    in_memory = copied_to_file(windows.labels, beside=np.zeros(1))
    assert not isinstance(in_memory, np.memmap)


def test_a_full_disk_is_an_error_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(BytesIO):
        def write(self, _: object) -> int:
            raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr("nerbert.model.windows.TemporaryFile", lambda **_: Full())
    with raises(WriteError, "free space"):
        copied_to_file(np.zeros(3))
