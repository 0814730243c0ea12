"""Requests made from the description of a server, good and bad, each answered as the description says."""

import json
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.serve.servers import LABELS, Inside, inside, told

pytestmark = pytest.mark.extras
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


LEFT_OUT = (
    "positive_data_acceptance",  # what fits the schema may still be wrong: labels given twice, a language without model
    "negative_data_rejection",  # values in an address are texts: whatever is unknown there is ignored
    "unsupported_method",  # HEAD is answered where GET is
    "missing_required_header", "ignored_auth",  # there is no token here; tests/serve/test_access.py has one
)  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A server whose model has labels by default, so that most requests are answered."""
    folder = tmp_path_factory.mktemp("labelled") / "told"
    with inside(folder, lambda gate: told(gate).with_labels(LABELS)) as running:
        yield running


def statuses_of(server: Inside, mode: Any, count: int) -> Counter[int]:
    """Send this many cases of each operation; return how many answers had which status."""
    from schemathesis.checks import CHECKS

    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    checks = [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name not in LEFT_OUT]
    statuses = Counter[int]()
    for result in schema.get_all_operations():

        @settings(max_examples=count, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
                  suppress_health_check=[*HealthCheck])  # fmt: skip
        @given(case=result.ok().as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            answer = case.call()
            statuses[answer.status_code] += 1
            if answer.text == "Invalid HTTP request received.":  # uvicorn's own word, for an address of 64 KiB and more
                assert len(answer.request.url) > 1 << 15
            else:
                case.validate_response(answer, checks=checks)

        ask()
    return statuses


@pytest.mark.parametrize("count", [10, pytest.param(1000, marks=pytest.mark.nightly)])
def test_requests_are_answered_as_described(server: Inside, count: int) -> None:
    modes = schemathesis.GenerationMode
    good, bad = (statuses_of(server, mode, count) for mode in (modes.POSITIVE, modes.NEGATIVE))
    assert good[200] > good.total() / 3
    assert {*good, *bad} <= {200, 400, 404, 405, 413, 415, 422}
    assert good.total() + bad.total() >= 10 * count
    assert server.clients[0].get("/ready").status_code == 200
