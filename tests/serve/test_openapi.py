"""Requests made from the description of a server, good and bad, each answered as the description says."""

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.serve.servers import Server, serving

with warnings.catch_warnings():  # of its own imports
    warnings.simplefilter("ignore")
    schemathesis: Any = pytest.importorskip("schemathesis")


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator]
def one_line(_: object, value: object) -> bytes:
    """Return a body of one line."""
    return json.dumps(value).encode() + b"\n"


@schemathesis.deserializer("application/x-ndjson")  # type: ignore[untyped-decorator]
def answered_line(_: object, answer: Any) -> object:
    """Return the one line of an answer; for an error what the description has, which knows of none in a stream."""
    line = json.loads(answer.content or b"{}")
    return {"spans": [], "characters": 0, "read": 0} if set(line) >= {"error", "status"} or not line else line


FEW, MANY = 20, 1_000
"""Cases of each operation and mode, of which there are many times more in the slow run."""
LEFT_OUT = (
    "positive_data_acceptance",  # what fits the schema may still be wrong: labels given twice, a language without model
    "negative_data_rejection",  # values in an address are texts: whatever is unknown there is ignored
    "unsupported_method",  # HEAD is answered where GET is
    "missing_required_header", "ignored_auth",  # there is no token here; tests/serve/test_access.py has one
)  # fmt: skip


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose model has labels by default, so that most requests are answered."""
    with serving(tmp_path_factory.mktemp("labelled") / "told", "--labels", "ship,port") as found:
        yield found


def run(server: Server, mode: Any, count: int) -> tuple[int, dict[int, int]]:
    """Send `count` cases of each operation; return how many there were, and how many of each status."""
    from schemathesis.checks import CHECKS

    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    checks = [
        check
        for name, check in ((name, CHECKS.get_one(name)) for name in CHECKS.get_all_names())
        if name not in LEFT_OUT
    ]
    statuses = dict[int, int]()
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=count, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
                  suppress_health_check=[*HealthCheck])  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            answer = case.call()
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            if answer.text == "Invalid HTTP request received.":  # uvicorn's own word, for an address of 64 KiB and more
                assert len(answer.request.url) > 1 << 15
            else:
                case.validate_response(answer, checks=checks)

        ask()
    return sum(statuses.values()), statuses


def check(server: Server, count: int) -> int:
    modes = schemathesis.GenerationMode
    good, found = run(server, modes.POSITIVE, count)
    assert found[200] > good / 3
    bad, refused = run(server, modes.NEGATIVE, count)
    assert {*found, *refused} <= {200, 400, 404, 405, 413, 415, 422}
    assert server.clients[0].get("/ready").status_code == 200
    sys.stdout.write(f"{good:,} good requests: {found}; {bad:,} others: {refused}\n")
    return good + bad


def test_some_requests_are_answered_as_described(labelled: Server) -> None:
    assert check(labelled, FEW) >= 10 * FEW


@pytest.mark.nightly
def test_many_requests_are_answered_as_described(tmp_path: Path) -> None:
    with serving(tmp_path / "told", "--labels", "ship,port") as server:
        assert check(server, MANY) >= 20 * MANY
