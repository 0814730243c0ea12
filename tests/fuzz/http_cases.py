"""Hostile requests, and what holds for any answer."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from nerbert.serve.protocol import Operation
from tests.fuzz.asgi import AsgiServer, Headers, HttpAnswer, HttpRequest
from tests.fuzz.json_values import dumped, json_mutated
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import check_message

METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "X" * 300, "PROPFIND")
STATUSES = {200, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429}
"""What is answered, whatever was asked; 5xx is a fault of the server."""
HEADERS: Headers = (
    (b"Content-Type", b"application/json"), (b"Content-Type", b"text/plain; charset=utf-16"),
    (b"Content-Type", b"\xff"), (b"Content-Type", b"multipart/form-data; boundary="),
    (b"Content-Type", b"application/json; " + b"a=b;" * 500), (b"Content-Encoding", b"gzip"),
    (b"Content-Encoding", b"identity"), (b"Content-Encoding", b""), (b"Accept-Encoding", b"gzip"),
    (b"Accept-Encoding", b"gzip;q=nan, *;q=-1"), (b"Accept", b"\xff\xfe"), (b"Content-Length", b"0"),
    (b"Content-Length", b"99999999999"), (b"Content-Length", b"1"), (b"Expect", b"100-continue"),
    (b"X-Request-Id", b"mine"), (b"X-Request-Id", b"a\xffb"), (b"X-Request-Id", b"x" * 5000),
    (b"Authorization", b"Bearer \xff"), (b"Authorization", b"Basic ====="), (b"Authorization", b"Basic"),
    (b"Origin", b"http://elsewhere.example"), (b"Origin", b"null"), (b"Host", b"[::1"), (b"Host", b"\xff" * 300),
    (b"Cookie", b"a=b; " * 200), (b"Inference-Header-Content-Length", b"5"),
    (b"Inference-Header-Content-Length", b"-1"), (b"Range", b"bytes=5-1,0-99999999999999999999"),
    (b"Range", b"bytes=x"), (b"If-None-Match", b"*\xff"), (b"If-Modified-Since", b"Fri, 99 Xxx 99999 99:99:99 GMT"),
    (b"If-Range", b"\xff"), (b"Upgrade", b"h2c"),
)  # fmt: skip
_QUERY = (
    b"model=told&labels=ship,port&threshold=0.4", b"labels=ship&offsets=utf-16&threshold=1",
    b"language=en&format=jsonl", b"name=texts.txt&format=conll", b"",
)  # fmt: skip
_QUERY_WORDS = (
    b"%00", b"%ed%a0%80", b"%ff", b"%", b"+", b"&&", b"=", b";", b"labels=", b"model=", b"threshold=nan",
    b"threshold=1e999", b"threshold=", b"format=", b"format=os:system", b"name=..%2f..%2fx", b"offsets=bytes",
)  # fmt: skip
_PATH_WORDS = (
    b"%2e%2e", b"%2f", b"%5c", b"%00", b"//", b"/../", b"/./", b"%c3%28", b"%ed%a0%80", b"%e2%80%ae", b"%25",
    b"{model}", b"page/", b";x", b"%0d%0aX-A:%20b", b"~root",
)  # fmt: skip
KEYS = (
    "text", "texts", "labels", "threshold", "thresholds", "model", "offsets", "decoding", "nested", "inputs",
    "parameters", "flat_ner", "multi_label", "language", "entities", "tasks", "project", "label_config", "data",
    "messages", "content", "document", "xmi", "typeSystem", "metadata", "aggregation_strategy", "stride",
    "score_threshold", "tab", "id", "revision", "answer", "request", "types", "name", "description", "colour", "key",
    "chunk_length", "overlap",
)  # fmt: skip
VALUES = (
    "The ship left a port.", "ship", "port", ["ship", "port"], {"ship": "a boat"}, {"ship": 0.5}, "utf-16", "bytes",
    "nested", "flat", ["a"] * 300, "ship " * 400, [{"start": 0, "end": 3, "type": "ship"}],
)  # fmt: skip


def examples(operation: Operation) -> list[Any]:
    """Return valid bodies of an operation."""
    return [*operation.examples.values()] or [{"text": "The ship left a port.", "labels": ["ship", "port"]}]


def path_of(operation: Operation) -> bytes:
    """Return the path of an operation, with a model's name in it."""
    return operation.path.replace("{model}", "told").replace("{version}", "1").encode()


def bodies(operation: Operation) -> st.SearchStrategy[bytes]:
    """Return a strategy for bodies: most are JSON with hostile values, some aren't JSON."""
    known = examples(operation)
    values = json_mutated(known, KEYS, VALUES).map(dumped)
    broken = mutated([dumped(each) for each in known], [b'"text":1,', b'"labels":["ship"],', b"\xff\xfe"])
    return st.one_of(values, values, values, broken)


def requests(operations: Sequence[Operation]) -> st.SearchStrategy[HttpRequest]:
    """Return a strategy for requests whose bodies are hostile."""
    return st.one_of([
        st.builds(HttpRequest, st.just(each.method), st.just(path_of(each)), st.just(b""),
                  st.just(((b"Content-Type", b"application/json"),)), bodies(each).map(lambda body: (body,)))
        for each in operations
    ])  # fmt: skip


def addressed(operations: Sequence[Operation]) -> st.SearchStrategy[HttpRequest]:
    """Return a strategy for requests whose methods, paths, queries and headers are hostile."""
    paths = [path_of(each) for each in operations] + [b"/", b"/openapi.json", b"/page/main.js"]
    known = st.sampled_from(operations)
    plain = st.tuples(known.map(lambda each: each.method), known.map(path_of))
    broken = mutated(paths, _PATH_WORDS, edits=3).map(_as_path)
    odd = st.tuples(st.sampled_from(METHODS), st.one_of(st.sampled_from(paths), broken))
    query = mutated(_QUERY, _QUERY_WORDS).map(
        lambda found: found.replace(b"\n", b"").replace(b"\r", b"").replace(b"\0", b"")
    )
    body = st.one_of(
        st.just(()), st.sampled_from([(b"{}",), (b"[]",), (b"",), (b'{"text": "a ship",', b' "labels": ["ship"]}')])
    )
    headers = st.lists(st.sampled_from(HEADERS), max_size=5).map(tuple)
    return st.builds(
        lambda place, query, headers, body: HttpRequest(place[0], place[1], query, headers, body),
        st.one_of(plain, known.map(lambda each: (each.method, path_of(each))), odd), query, headers, body,
    )  # fmt: skip


def _as_path(found: bytes) -> bytes:
    """Return what is left of a path on its way: ASCII without spaces and control characters."""
    return b"/" + quote(found, safe="/%{};:@&=+$,~!*'()").encode().lstrip(b"/")


def check_answer(server: AsgiServer, request: HttpRequest, answer: HttpAnswer, texts: Iterable[str] = ()) -> None:
    """Check the properties of any answer; `texts` are those that the server has itself."""
    assert not server.logged, (request, server.logged)
    assert answer.status in STATUSES, (request, answer)
    assert all(value.isprintable() for value in answer.headers.values()), answer.headers
    if request.method == "HEAD":
        return
    if answer.status != 200:
        content = json.loads(answer.body)
        assert set(content) == {"error", "status", "request_id"}, content
        assert content["status"] == answer.status
        assert content["request_id"] == answer.headers["x-request-id"]
        check_message(content["error"])
    elif answer.headers["content-type"] == "application/json" and answer.headers.get("content-encoding") != "gzip":
        check_places(json.loads(answer.body), {*texts_of(request), *texts})


def texts_of(request: HttpRequest) -> Iterator[str]:
    """Yield all texts in a body."""
    try:
        left = [json.loads(b"".join(request.parts))]
    except ValueError:
        return
    while left:
        here = left.pop()
        if isinstance(here, str):
            yield here
        elif isinstance(here, dict | list):
            left += here.values() if isinstance(here, dict) else here


def check_places(found: Any, texts: set[str]) -> None:
    """Check that what an answer says of a place is there in one of the texts, if it counts characters."""
    left = [found]
    while left:
        here = left.pop()
        if isinstance(here, dict):
            if here.get("offsets", "characters") != "characters":
                continue
            left += here.values()
            start, end = here.get("start", here.get("start_position")), here.get("end", here.get("end_position"))
            said = next((here[name] for name in ("text", "word", "value") if isinstance(here.get(name), str)), None)
            if isinstance(start, int) and isinstance(end, int):
                assert 0 <= start < end, here
                assert said is None or any(each[start:end] == said for each in texts), (here, texts)
        elif isinstance(here, list):
            left += here
