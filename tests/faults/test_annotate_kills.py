"""`nerbert annotate`, struck between requests and statements of its database, with a server that answers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.annotate.model_server import serving
from tests.faults.harness import Command, Desk
from tests.faults.strikes import STRIKES, Strike


@pytest.fixture
def desk(inputs: Path, tmp_path: Path, warm_python: None) -> Iterator[Desk]:
    """The desk of a command whose server is there as long as the test is."""
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "texts.txt").write_text("".join(f"Ada {number} met Bob in Oslo.\n" for number in range(6)))
    with serving() as server:
        yield Desk(tmp_path, Command("annotate", ("annotate", "../inputs/texts.txt", "-o", "out.jsonl", "--endpoint",
                                                  server.address, "--model", "m", "--concurrency", "1")))  # fmt: skip


@pytest.mark.nightly
def test_killed_while_it_asks(desk: Desk, kill_often: Callable[[Desk], None]) -> None:
    kill_often(desk)


@pytest.mark.nightly
@pytest.mark.parametrize("fault", STRIKES)
def test_struck_while_it_asks(desk: Desk, fault: str, strike_often: Callable[[Desk, Strike], None]) -> None:
    strike_often(desk, STRIKES[fault])
