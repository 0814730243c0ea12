"""Clients of a hostile server: an answer that was checked, or one line that says what is wrong with it."""

from copy import copy
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st

from nerbert.records import Document
from nerbert.serve.client import Client, RemoteTagger
from nerbert.serve.client_requests import RETRIES
from nerbert.sources.http import no_cookies
from nerbert.tagger.spans import Spans
from tests.fuzz.conftest import Fuzz
from tests.fuzz.json_values import dumped, json_mutated
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import answer, check_documents

pytestmark = pytest.mark.fuzz
TEXT = "Ada 👩‍👧 sailed to Oslo."
ENTITY = {"text": "Ada", "type": "person", "start": 0, "end": 3, "confidence": 0.9}
ANSWER = {"model": "a", "fingerprint": "0f" * 8, "offsets": "characters",
          "results": [{"spans": [ENTITY], "characters": len(TEXT), "read": len(TEXT)}]}  # fmt: skip
MODELS = {"models": [{"name": "a", "fingerprint": "0f" * 8, "types": ["person"], "takes_labels": False,
                      "language": "en", "word_splitter": "unicode-words-1", "answering": "by torch"}]}  # fmt: skip
REFUSAL = {"error": "busy", "status": 429, "request_id": "x"}
_HEADERS = (
    ("Retry-After", "0"), ("Retry-After", "-1"), ("Retry-After", "9" * 5000), ("Retry-After", "nan"),
    ("Retry-After", "²"), ("Retry-After", "Fri, 99 Nov 99999 99:99:99 GMT"),
    ("Retry-After", "Fri, 27 Nov 2026 12:00:00 -9999"), ("Retry-After", "1e400"), ("Retry-After", "\xff"),
    ("Content-Type", "text/html; charset=utf-16"), ("Content-Type", "application/json; charset=nonsense"),
    ("Location", "http://elsewhere.example/"), ("Content-Encoding", "gzip"), ("Content-Encoding", "zip, br"),
    ("Set-Cookie", "a=\xff; expires=x"),
)  # fmt: skip
_STATUSES = (200, 200, 200, 204, 206, 301, 304, 400, 401, 404, 413, 422, 429, 500, 502, 503, 504, 599, 999, 100)
Reply = tuple[int, tuple[tuple[str, str], ...], bytes]


COOKIE: Reply = (503, (("Set-Cookie", "a=ÿ"),), b"")
"""It was sent back with the next try, in letters that no header may have."""


def replies(valid: Any) -> st.SearchStrategy[Reply]:
    """Return a strategy for hostile answers in place of a valid one."""
    known = [valid, REFUSAL]
    values: tuple[Any, ...] = (
        ENTITY,
        TEXT,
        len(TEXT),
        "utf-16",
        "bytes",
        [ENTITY] * 3,
        {"start": 3, "end": 0},
        [],
        valid,
    )
    bodies = st.one_of(json_mutated([valid], (), values).map(dumped), json_mutated(known).map(dumped),
                       mutated([dumped(each) for each in known]))  # fmt: skip
    return st.tuples(st.sampled_from(_STATUSES), st.lists(st.sampled_from(_HEADERS), max_size=2).map(tuple), bodies)


class Hostile:
    """A server that always gives one answer: `reply`."""

    def __init__(self) -> None:
        self.reply: Reply = (200, (), b"")

    def __call__(self, _: httpx.Request) -> httpx.Response:
        """Answer a request."""
        status, headers, body = self.reply
        given = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        return httpx.Response(status, headers=given, stream=httpx.ByteStream(body))

    def options(self, **how: Any) -> dict[str, Any]:
        """Return the options of a client that doesn't wait."""
        retries = replace(RETRIES, tries=3, sleep=lambda _: None)
        return {"url": "http://server", "retries": retries, "transport": httpx.MockTransport(self), **how}


@pytest.mark.parametrize("offsets", ["characters", "utf-16", "bytes"])
def test_what_was_found(offsets: str, fuzz: Fuzz) -> None:
    hostile = Hostile()
    client = Client(**hostile.options(offsets=offsets))

    def check(case: Reply) -> None:
        hostile.reply = case
        found: Spans | None = answer(lambda: client.tag(TEXT))
        if found is None:
            return
        assert found.text == TEXT
        assert 0 <= found.read <= len(TEXT)
        if offsets == "characters":
            check_documents([Document(TEXT, tuple(found))])
        for each in found:
            assert 0 <= each.confidence <= 1
            assert each.text in TEXT

    valid = {**ANSWER, "offsets": offsets}
    hostile.reply = (200, (), dumped(valid))
    assert len(client.tag(TEXT)) == 1
    fuzz(replies(valid), check, found=[COOKIE])


def test_what_is_served(fuzz: Fuzz) -> None:
    hostile = Hostile()
    client = RemoteTagger(**hostile.options())

    def read(client: RemoteTagger) -> None:
        assert isinstance(client.types, list)
        assert isinstance(client.fingerprint, str)
        assert isinstance(client.head.name, str)
        for _, each in client.sentences("A ship. A port."):
            assert each.words

    def check(case: Reply) -> None:
        hostile.reply = case
        answer(lambda: read(copy(client)))  # which was told nothing yet

    check((200, (), dumped(MODELS)))
    fuzz(replies(MODELS), check, found=[COOKIE])


def test_no_cookie_is_kept() -> None:
    hostile = Hostile()
    hostile.reply = (200, (("Set-Cookie", "a=ÿ; domain=server"), ("Set-Cookie", "b=c")), b"")
    with httpx.Client(cookies=no_cookies(), transport=httpx.MockTransport(hostile)) as client:
        for _ in range(2):
            assert client.get("http://server").status_code == 200
        assert not client.cookies
