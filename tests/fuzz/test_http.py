"""The HTTP API with hostile requests: always an answer, never 500, and the next good request is answered as before."""

from collections.abc import Iterator
from functools import partial
from zlib import crc32

import pytest
from hypothesis import strategies as st

from nerbert.serve.protocol import Operation
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER
from tests.fuzz.asgi import AsgiServer, HttpRequest, asgi_server
from tests.fuzz.conftest import Fuzz
from tests.fuzz.http_cases import addressed, check_answer, examples, path_of, requests
from tests.fuzz.json_values import dumped
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import calls_of, exponent
from tests.tagger.test_labels import NamesHead

pytestmark = pytest.mark.fuzz
GOOD = HttpRequest("POST", b"/tag", parts=(dumped({"text": "The ship left 👩‍👧 a port.", "labels": ["ship", "port"]}),))
GOOD_AFTER = 8
"""A good request is made after one of so many: after always the same ones, so that a fault can be found again."""
LIMITS = {"max_body": 100_000, "max_characters": 20_000, "max_texts": 200}


@pytest.fixture(scope="module")
def server() -> Iterator[AsgiServer]:
    with asgi_server(Tagger(NamesHead(), SPLITTER, "en").with_labels(["ship", "port"]), **LIMITS) as found:
        yield found


def check(server: AsgiServer, request: HttpRequest) -> None:
    """Check an answer, and for some requests that of a good one after it."""
    check_answer(server, request, server.ask(request))
    if crc32(repr(request).encode()) % GOOD_AFTER:
        return
    answer = server.ask(GOOD)
    assert answer.status == 200
    assert answer.body.count(b'"start":') == 2, answer


def test_bodies(server: AsgiServer, fuzz: Fuzz) -> None:
    taken = [each for each in server.operations if each.body is not None]
    assert len(taken) > 8
    for each in taken:
        good = [HttpRequest(each.method, path_of(each), parts=(dumped(body),)) for body in examples(each)]
        statuses = {server.ask(one).status for one in good}
        assert 200 in statuses, each.path
        assert statuses <= {200, 400}, each.path  # a model of another name
    fuzz(requests(taken), lambda case: check(server, case), share=2)


def test_addresses(server: AsgiServer, fuzz: Fuzz) -> None:
    fuzz(addressed(server.operations), lambda case: check(server, case), share=2)


def streamed(operation: Operation) -> st.SearchStrategy[HttpRequest]:
    """Return a strategy for streams, which come in two parts."""
    line = dumped({"text": "a ship", "id": 1}) + b"\n"
    seeds = [line, line * 3, line + b"\n" + line[:-1], b""]

    def parted(content: bytes, where: int) -> tuple[bytes, ...]:
        cut = where * len(content) >> 10
        return content[:cut], content[cut:]

    parts = st.builds(parted, mutated(seeds, [b'{"text":"a port"}\n', b'{"text":1}\n']), st.integers(0, 1023))
    return st.builds(HttpRequest, st.just(operation.method), st.just(path_of(operation)), st.just(b"labels=ship,port"),
                     st.just(()), parts)  # fmt: skip


def test_streams(server: AsgiServer, fuzz: Fuzz) -> None:
    (operation,) = (each for each in server.operations if each.streams)
    fuzz(streamed(operation), lambda case: check(server, case))


def test_a_bodys_cost_grows_with_its_length(server: AsgiServer) -> None:
    sizes = [250, 500, 1000, 2000]
    for make in (
        lambda size: {"text": "a ship " * size, "labels": ["ship"]},
        lambda size: {"text": ["a ship"] * (size // 20), "labels": ["ship"]},
        lambda size: {"text": "a ship", "labels": [f"l{n}" for n in range(size // 20)]},
        lambda size: {"text": "a ship", "labels": ["ship"], "thresholds": {str(n): 0.5 for n in range(size)}},
    ):
        found = [HttpRequest("POST", b"/tag", parts=(dumped(make(size)),)) for size in sizes]
        assert server.ask(found[0]).status in (200, 400)  # of no such type
        assert exponent(sizes, [calls_of(partial(server.ask, one)) for one in found]) < 1.2
