"""Redirects in a table: against the folding of a dictionary."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nerbert.corpus.knowledge import external_sort as hashed
from nerbert.corpus.knowledge import mmap_table as mapped
from nerbert.corpus.knowledge.mmap_table import Mapped
from nerbert.corpus.knowledge.redirects import REDIRECTS, Redirects, fold, write_redirects
from nerbert.corpus.wikitext.titles import fold_redirects
from nerbert.errors import InputError
from tests.corpus.knowledge.looking import shrink

titles = st.sampled_from("ABCDEFGHIJKL")


@pytest.fixture(autouse=True, params=[False, True], ids=["plain", "tiny"])
def sizes(request: pytest.FixtureRequest) -> Iterator[None]:
    """All as it is, and with a handful of rows a run, a range and a batch."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            shrink(patch)
        yield


def ends(pairs: list[tuple[str, str]], asked: list[str]) -> dict[str, str]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "redirects.arrow"
        write_redirects(iter(pairs), path, Path(folder) / "scratch")
        assert list(Path(folder).iterdir()) == [path]
        return dict(zip(asked, Redirects(path).ends_of(asked), strict=True))


@given(st.lists(st.tuples(titles, titles), max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ends_are_those_of_the_dictionary(pairs: list[tuple[str, str]]) -> None:
    asked = [*"LKJIHGFEDCBA", "none", "A"]
    expected = fold_redirects(dict(pairs))
    assert ends(pairs, asked) == {title: expected.get(title, title) for title in asked}


@given(st.lists(st.integers(-1, 60), max_size=60), st.sampled_from([np.int32, np.int64]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_folding_numbers_is_folding_titles(targets: list[int], kind: type) -> None:
    """A target past the last redirect is where a chain ends."""
    count = len(targets)
    expected = fold_redirects(dict(enumerate(targets)))  # type: ignore[arg-type]
    last, entered = fold(np.array([each if each < count else -1 for each in targets], kind))
    folded = [entered[row] if entered[row] >= 0 else targets[last[row]] for row in range(count)]
    assert folded == [expected[row] for row in range(count)]  # type: ignore[index]


def test_long_chains_and_cycles_are_folded() -> None:
    size = 100_000
    following = np.arange(1, size + 1)
    following[-1] = -1
    assert set(fold(following)[0].tolist()) == {size - 1}
    following[-1] = size // 2
    entered = fold(following)[1]
    assert set(entered[: size // 2].tolist()) == {size // 2}
    assert entered[size // 2 :].tolist() == list(range(size // 2, size))


def test_what_leads_nowhere_ends_at_itself() -> None:
    pairs = [("A", ""), ("B", "x" * 1001), ("x" * 1001, "C"), ("D", "E")]
    assert ends(pairs, ["A", "B", "x" * 1001, "D"]) == {"A": "A", "B": "B", "x" * 1001: "x" * 1001, "D": "E"}
    assert ends([], ["A"]) == {"A": "A"}
    assert ends([("A", "B")], []) == {}


def test_redirects_that_are_left_out_are_counted(tmp_path: Path) -> None:
    pairs = [("A", ""), ("B", "x" * 1001), ("x" * 1001, "C"), ("D", "E")]
    assert write_redirects(pairs, tmp_path / "redirects.arrow", tmp_path / "scratch") == 3


def test_memory_does_not_follow_the_titles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashed, "_RUN_ROWS", 1000)
    monkeypatch.setattr(hashed, "_RANGE_BYTES", 1 << 20)
    monkeypatch.setattr(mapped, "_BATCH", 1000)

    def peak(count: int) -> int:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "redirects.arrow"
            tracemalloc.start()
            rows = ((f"{number} {'x' * 200}", f"{number + 1} {'x' * 200}") for number in range(0, 2 * count, 2))
            assert write_redirects(rows, path, Path(folder) / "scratch") == 0
            assert len(Mapped(path, REDIRECTS)) == count
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return most

    assert peak(20_000) < peak(2000) + 20_000 * 60


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "redirects.arrow"
    write_redirects([("A", "B")], path, tmp_path / "scratch")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="not a readable table"):
        Redirects(path)
