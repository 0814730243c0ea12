"""Long commands, killed and struck by other faults: a few times here, at all their operations by night.

`pytest -n0 -m nightly tests/faults/test_kills.py --kills 30 --kill-seed 2` prints a table: command, operations,
the kills, how often the result was compared and equal, and the faults.
"""

import bz2
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

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
    tallies = [kill_at_publishes(desk, 1, seed=1), kill_in_a_row(desk, 2, seed=1)]
    tallies += [strike(desk, fault, 1, seed=1) for fault in ("full", "int")]
    assert [each.faults for each in tallies] == [[]] * 4
    assert [each.kills for each in tallies] == [2, 2, 1, 1]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name in ALL for fault in EVERY if (name, fault) not in UNSTRUCK]
)
def test_struck_at_any_file_operation(
    name: str, fault: str, desk_of: DeskOf, strike_often: Callable[[Desk, Strike], None]
) -> None:
    strike_often(desk_of(ALL[name]), EVERY[fault])


def test_other_settings_and_inputs_are_refused_or_begin_anew(inputs: Path, tmp_path: Path) -> None:
    """After a build that ended at a fault of its dump, when some of its parts were done."""
    xml, dump = (inputs / "wiki.xml").read_bytes(), tmp_path / "dump.xml.bz2"
    dump.write_bytes(bz2.compress(xml[:-20]))
    plan = CorpusPlan((dump,), (inputs / "knowledge",), tmp_path / "out")
    with raises(InputError, words="dump.xml.bz2:"):
        build_corpus(plan, SETTINGS)
    assert list(draft_of(plan.output).work.glob("done/*.json"))
    lists = replace(SETTINGS, lists=True)
    with raises(StaleOutput, words="out: half made already, but from something else (settings.lists: False then, True"):
        build_corpus(plan, lists)
    other = tmp_path / "else.xml.bz2"
    other.write_bytes(dump.read_bytes())
    with raises(StaleOutput, words="(inputs[0].name: 'dump.xml.bz2' then, 'else.xml.bz2' now)"):
        build_corpus(replace(plan, dumps=(other,)), SETTINGS)
    dump.write_bytes(bz2.compress(xml))
    with raises(StaleOutput, words="(inputs[0].size: "):
        build_corpus(plan, SETTINGS)
    anew, whole = replace(plan, overwrite=True), replace(plan, output=tmp_path / "whole")
    build_corpus(anew, lists)
    build_corpus(whole, SETTINGS)
    assert digests(plan.output) != digests(whole.output)
    build_corpus(anew, SETTINGS)
    assert digests(plan.output) == digests(whole.output)
