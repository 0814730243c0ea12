"""`nerbert knowledge fetch` and `nerbert data fetch`, struck at any file operation, with a server that answers."""

import bz2
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nerbert.corpus.knowledge.addresses import list_addresses
from nerbert.evaluation.datasets.load import KnownData
from tests.evaluation.datasets import test_fetch as made_up
from tests.faults.harness import Command, Desk, kill_once
from tests.faults.strikes import STRIKES, Strike
from tests.sources.web_server import BODY, Web, place, serving

FETCHES = {
    "knowledge fetch": Command("knowledge fetch", ("knowledge", "fetch", "--language", "en", "-o", "out")),
    "data fetch": Command("data fetch", ("data", "fetch", "plain", "drawn", "-o", "out"),
                          "nerbert.evaluation.datasets.fetch:find_public=tests.faults.test_fetching_kills:find_made_up"),
}  # fmt: skip


def find_made_up(name: str) -> KnownData:
    """Return a data set that the test's server has."""
    return made_up.KNOWN[name]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server with all public files of the English Wikipedia's knowledge, small ones, and two data sets."""
    monkeypatch.setenv("no_proxy", "*")
    with serving() as web:
        for each in list_addresses("en"):
            web.files[place(each)] = BODY if each.name.endswith(".xml") else bz2.compress(each.name.encode())
        web.files |= made_up.published()
        yield web


@pytest.fixture
def fetching(web: Web, tmp_path: Path, warm_python: None) -> Callable[[str], Desk]:
    """Make the desk of a command that fetches from the server."""

    def make(name: str) -> Desk:
        command = FETCHES[name]
        return Desk(tmp_path, Command(name, (*command.arguments, "--mirror", web.address), command.patch))

    return make


def test_a_sample_of_kills(fetching: Callable[[str], Desk]) -> None:
    tally = kill_once(fetching("knowledge fetch"), 2, seed=1)
    assert (tally.faults, tally.kills) == ([], 2)


@pytest.mark.nightly
@pytest.mark.parametrize("name", FETCHES)
def test_killed_at_any_file_operation(
    name: str, fetching: Callable[[str], Desk], kill_often: Callable[[Desk], None]
) -> None:
    kill_often(fetching(name))


@pytest.mark.nightly
@pytest.mark.parametrize("fault", [each for each in STRIKES if each != "flip"])
@pytest.mark.parametrize("name", FETCHES)
def test_struck_at_any_file_operation(
    name: str, fault: str, fetching: Callable[[str], Desk], strike_often: Callable[[Desk, Strike], None]
) -> None:
    """But for flipped bits: of files of gigabytes only sizes are looked at again, and a manifest is not."""
    strike_often(fetching(name), STRIKES[fault])
