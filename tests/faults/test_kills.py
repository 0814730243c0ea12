"""Long commands, killed and struck by other faults: a few times here, at all their operations by night.

`pytest -n0 -m nightly tests/faults/test_kills.py --kills 30 --kill-seed 2` prints a table: command, operations,
the kills, how often the result was compared and equal, and the faults.
"""

import bz2
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from nerbert import artifacts
from nerbert.artifacts import draft_of
from nerbert.corpus.build import CorpusPlan, build_corpus
from nerbert.corpus.settings import CorpusSettings
from nerbert.errors import InputError, StaleOutput
from tests.commands import LINUX
from tests.corpus.test_build import digests
from tests.faults.harness import Command, Desk, kill_at_publishes, kill_in_a_row
from tests.faults.jobs import COMMANDS, SERVED
from tests.faults.strikes import STRIKES, Strike, strike
from tests.raised import raises

pytestmark = LINUX
DeskOf = Callable[[Command], Desk]
ALL = COMMANDS | SERVED
EVERY = {**STRIKES, "publish": kill_at_publishes, "row": kill_in_a_row}
UNSTRUCK = {("knowledge fetch", "flip"), *((name, "publish") for name in SERVED)}
"""Of fetched files only sizes are looked at again."""
SETTINGS = CorpusSettings(min_mentions=2, split_bytes=25_000)


@pytest.mark.parametrize("name", ["corpus build", "tag, file"])
def test_a_sample_of_kills_and_faults(name: str, desk_of: DeskOf) -> None:
    desk = desk_of(ALL[name])
    tallies = [kill_at_publishes(desk, 1, seed=1), kill_in_a_row(desk, 2, seed=1), strike(desk, "full", 1, seed=1)]
    assert [each.faults for each in tallies] == [[]] * 3
    assert [each.kills for each in tallies] == [2, 2, 1]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name in ALL for fault in EVERY if (name, fault) not in UNSTRUCK]
)
def test_struck_at_any_file_operation(
    name: str, fault: str, desk_of: DeskOf, strike_often: Callable[[Desk, Strike], None]
) -> None:
    strike_often(desk_of(ALL[name]), EVERY[fault])


@pytest.fixture
def half(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CorpusPlan:
    """A build that was stopped when two of its parts were done."""
    plan = CorpusPlan((inputs / "wiki.xml",), (inputs / "knowledge",), tmp_path / "out")
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            build_corpus(plan, SETTINGS)
    assert len(marks(plan.output)) == 2
    return plan


def stop_at(patch: pytest.MonkeyPatch, part: int) -> None:
    """Stop, as Ctrl-C does, where a build would mark this part as done."""
    made, artifact = count(1), artifacts.artifact

    def stopping(mark: Path, fingerprint: str, paths: Any, make: Callable[[], Any], kind: Any) -> Any:
        def stopped() -> Any:
            if next(made) == part:
                raise KeyboardInterrupt
            return make()

        return artifact(mark, fingerprint, paths, stopped, kind)

    patch.setattr("nerbert.corpus.pages.artifact", stopping)


def marks(output: Path) -> dict[str, int]:
    """Return the parts of a half-made corpus that are done, with the inode of each one's file."""
    folder = draft_of(output).work
    return {path.stem: (folder / "pages" / f"{path.stem}.parquet").stat().st_ino for path in folder.glob("done/*.json")}


def test_other_settings_and_inputs_are_refused_or_begin_anew(half: CorpusPlan, tmp_path: Path) -> None:
    lists = replace(SETTINGS, lists=True)
    with raises(StaleOutput, words="out: half made already, but from something else (settings.lists: False then, True"):
        build_corpus(half, lists)
    other = replace(half, dumps=(tmp_path / "else.xml",))
    other.dumps[0].write_bytes(half.dumps[0].read_bytes())  # type: ignore[union-attr]
    with raises(StaleOutput, words="(inputs[0].name: 'wiki.xml' then, 'else.xml' now)"):
        build_corpus(other, SETTINGS)
    assert len(marks(half.output)) == 2
    anew = replace(half, overwrite=True)
    build_corpus(anew, lists)
    build_corpus(replace(half, output=tmp_path / "whole"), SETTINGS)
    assert digests(half.output) != digests(tmp_path / "whole")
    build_corpus(anew, SETTINGS)
    assert digests(half.output) == digests(tmp_path / "whole")


def test_input_that_changed_is_told(inputs: Path, tmp_path: Path) -> None:
    xml, dump = (inputs / "wiki.xml").read_bytes(), tmp_path / "dump.xml.bz2"
    dump.write_bytes(bz2.compress(xml[:-20]))
    plan = CorpusPlan((dump,), (inputs / "knowledge",), tmp_path / "out")
    with raises(InputError, words="dump.xml.bz2:"):
        build_corpus(plan, SETTINGS)
    assert marks(plan.output)
    dump.write_bytes(bz2.compress(xml))
    with raises(StaleOutput, words="(inputs[0].size: "):
        build_corpus(plan, SETTINGS)
