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
HEADERS = [(name, value.encode("latin-1")) for name, values in {
    b"Retry-After": ("0", "-1", "9" * 5000, "nan", "²", "Fri, 99 Nov 99999 99:99:99 GMT", "1e400", "\xff",
                     "Fri, 27 Nov 2026 12:00:00 -9999"),
    b"Content-Type": ("text/html; charset=utf-16", "application/json; charset=nonsense"),
    b"Location": ("http://elsewhere.example/",), b"Content-Encoding": ("gzip", "zip, br"),
    b"Set-Cookie": ("a=\xff; expires=x",),
}.items() for value in values]  # fmt: skip
STATUSES = (200, 200, 200, 204, 206, 301, 304, 400, 401, 404, 413, 422, 429, 500, 502, 503, 504, 599, 999, 100)
VALUES: tuple[Any, ...] = (ENTITY, TEXT, len(TEXT), "utf-16", "bytes", [ENTITY] * 3, {"start": 3, "end": 0}, [])
Reply = tuple[int, tuple[tuple[bytes, bytes], ...], bytes]
COOKIE: Reply = (503, ((b"Set-Cookie", b"a=\xff"),), b"")
"""It was sent back with the next try, in letters that no header may have."""


def replies(valid: Any) -> st.SearchStrategy[Reply]:
    """Return a strategy for hostile answers in place of a valid one."""
    known = [valid, REFUSAL]
    bodies = st.one_of(json_mutated([valid], (), (*VALUES, valid)).map(dumped), json_mutated(known).map(dumped),
                       mutated([dumped(answer) for answer in known]))  # fmt: skip
    return st.tuples(st.sampled_from(STATUSES), st.lists(st.sampled_from(HEADERS), max_size=2).map(tuple), bodies)


class Hostile:
    """A server that always gives one answer: `reply`."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.transport = httpx.MockTransport(self._answer)
        retries = replace(RETRIES, tries=3, sleep=lambda _: None)
        self.options: dict[str, Any] = {"url": "http://server", "retries": retries, "transport": self.transport}

    def _answer(self, _: httpx.Request) -> httpx.Response:
        status, headers, body = self.reply
        return httpx.Response(status, headers=[*headers], stream=httpx.ByteStream(body))


@pytest.mark.parametrize("offsets", ["characters", "utf-16", "bytes"])
def test_what_was_found(offsets: str, fuzz: Fuzz) -> None:
    valid = {**ANSWER, "offsets": offsets}
    hostile = Hostile((200, (), dumped(valid)))
    client = Client(**hostile.options, offsets=offsets)
    assert len(client.tag(TEXT)) == 1

    def check(case: Reply) -> None:
        hostile.reply = case
        spans: Spans | None = answer(lambda: client.tag(TEXT))
        if spans is None:
            return
        assert spans.text == TEXT
        assert 0 <= spans.read <= len(TEXT)
        if offsets == "characters":
            check_documents([Document(TEXT, tuple(spans))])
        assert all(0 <= span.confidence <= 1 and span.text in TEXT for span in spans)

    fuzz(replies(valid), check, found=[COOKIE])


def test_what_is_served(fuzz: Fuzz) -> None:
    hostile = Hostile((200, (), dumped(MODELS)))
    client = RemoteTagger(**hostile.options)

    def read(client: RemoteTagger) -> None:
        assert isinstance(client.types, list)
        assert isinstance(client.fingerprint, str)
        assert isinstance(client.head.name, str)
        assert all(sentence.words for _, sentence in client.sentences("A ship. A port."))

    def check(case: Reply) -> None:
        hostile.reply = case
        answer(lambda: read(copy(client)))  # which was told nothing yet

    read(copy(client))
    fuzz(replies(MODELS), check, found=[COOKIE])


def test_no_cookie_is_kept() -> None:
    hostile = Hostile((200, ((b"Set-Cookie", b"a=\xff; domain=server"), (b"Set-Cookie", b"b=c")), b""))
    with httpx.Client(cookies=no_cookies(), transport=hostile.transport) as client:
        for _ in range(2):
            assert client.get("http://server").status_code == 200
        assert not client.cookies
