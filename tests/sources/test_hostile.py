"""Servers that don't keep to HTTP, or never end: one line, nothing under the file's name, bounded memory and bytes."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.sources.download import FETCHED, Address, fetch
from nerbert.sources.http import RetryPolicy, read_small
from tests.raised import raises
from tests.sources.raw_server import RawServer, Speech, raw_serving
from tests.sources.web_server import BODY, ONTOLOGY

OK = b"HTTP/1.1 200 OK\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n"
WHOLE = Speech(OK + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LIMIT = 3 * len(BODY)
SMALL = Address(ONTOLOGY.name, ONTOLOGY.kind, ONTOLOGY.address, LIMIT, ONTOLOGY.begins, "")
BOMB = gzip.compress(b"<?xml " + bytes(1 << 24))
HTML = b"<!DOCTYPE html><html>log in</html>"
TRIES, MOST_BYTES, MOST_MEMORY = 3, 1 << 25, 1 << 24


def leading(place: bytes) -> Speech:
    """Return an answer that leads elsewhere."""
    return Speech(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + place + b"\r\n\r\n")


def part(place: bytes) -> Speech:
    """Return an answer with a part of a file."""
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes "
    return Speech(head + place + b"\r\n\r\nabcde")


HOSTILE: dict[str, Speech] = {
    "nothing": Speech(b""),
    "another protocol": Speech(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "another version": Speech(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "no status": Speech(b"HTTP/1.1 \r\n\r\n"),
    "a status of letters": Speech(b"HTTP/1.1 OK 200\r\n\r\n"),
    "a large status": Speech(b"HTTP/1.1 99999 OK\r\n\r\n"),
    "an endless status": Speech(b"HTTP/1.1 200 ", b"O"),
    "an endless header": Speech(OK + b"X: ", b"a"),
    "endless headers": Speech(OK, b"X: a\r\n"),
    "a header cut off": Speech(OK + b"Content-Len"),
    "bytes of control in a header": Speech(OK + b"X: \x00\x1b[2J\r\n\r\n"),
    "a reason that acts on the terminal": Speech(b"HTTP/1.1 418 \x1b[2J\xe2\x80\xae\r\nContent-Length: 0\r\n\r\n"),
    "a huge length": Speech(OK + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n" + BODY),
    "a length of thousands of digits": Speech(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + BODY),
    "a negative length": Speech(OK + b"Content-Length: -5\r\n\r\n" + BODY),
    "a length of letters": Speech(OK + b"Content-Length: many\r\n\r\n" + BODY),
    "two lengths": Speech(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + BODY),
    "a length in other digits": Speech(OK + "Content-Length: ²\r\n\r\n".encode() + BODY),
    "too short": Speech(OK + b"Content-Length: %d\r\n\r\n" % (len(BODY) + 1) + BODY),
    "no length": Speech(OK + b"\r\n" + BODY),
    "an endless body": Speech(CHUNKED, b"4000\r\n" + b"<" * 0x4000 + b"\r\n"),
    "an endless body without a length": Speech(OK + b"\r\n", b"<"),
    "an endless chunk": Speech(CHUNKED + b"f" * 15 + b"\r\n", b"<"),
    "an endless size of a chunk": Speech(CHUNKED, b"1"),
    "a chunk of letters": Speech(CHUNKED + b"size\r\n"),
    "a negative chunk": Speech(CHUNKED + b"-1\r\nab\r\n"),
    "endless trailers": Speech(CHUNKED + b"0\r\n", b"X: a\r\n"),
    "packed": Speech(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
    "packed on the way": Speech(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + b"4\r\nabcd\r\n0\r\n\r\n"),
    "packed in an odd way": Speech(OK + b"Content-Encoding: \x1f\xff\r\nContent-Length: 1\r\n\r\n<"),
    "a web page": Speech(OK + b"Content-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(HTML) + HTML),
    "a part that was not asked for": part(b"5-9/10"),
    "a part without a place": part(b""),
    "a part that ends before it begins": part(b"9-5/10"),
    "a part of something huge": part(b"0-4/" + b"9" * 40),
    "to a file": leading(b"file:///etc/passwd"),
    "to itself": leading(b"/"),
    "to nowhere": leading(b""),
    "to no host": leading(b"http://"),
    "to an odd host": leading(b"http://[::1/\xff\x1b"),
    "to an odd port": leading(b"http://127.0.0.1:99999/"),
    "to a very long place": leading(b"/" + b"a" * 60_000),
    "with a wait without end": Speech(BUSY + b"Retry-After: " + b"9" * 5000 + b"\r\n\r\n"),
    "an error with an endless body": Speech(b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "an odd version": Speech(OK + b"ETag: \"\xff\x1b\"\r\nContent-Length: 9\r\n\r\n" + HTML[:9]),
}  # fmt: skip
QUICK = {"another protocol", "an endless header", "too short", "an endless body", "packed", "to a file", "to itself"}
CASES = [pytest.param(each, marks=() if each in QUICK else pytest.mark.nightly) for each in HOSTILE]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    """A server that is reached without a proxy."""
    monkeypatch.setenv("no_proxy", "*")
    with raw_serving() as server:
        yield server


@pytest.mark.parametrize("what", CASES)
def test_whatever_a_server_sends_is_refused_in_one_line(server: RawServer, tmp_path: Path, what: str) -> None:
    server.speeches = [HOSTILE[what]]
    slept, told = list[float](), list[str]()
    policy = RetryPolicy(silence=20.0, tries=TRIES, longest_pause=300.0, sleep=slept.append, tell=told.append)
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as raised:
            list(fetch([SMALL], tmp_path, server.address, policy))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for line in (str(raised.value), *told):
        assert server.address in line
        assert (line.isprintable(), "passwd" in line and "not followed" not in line) == (True, False), line
        assert len(line) < 600
    assert len(server.asked) <= 12 * TRIES
    assert max(slept, default=0) <= policy.longest_pause
    assert server.sent < MOST_BYTES
    assert peak < MOST_MEMORY
    left = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert left.keys() <= {".ontology.xml.partial", ".ontology.xml.version"}, "but for what a later run takes up"
    assert sum(left.values()) <= LIMIT + 2000
    server.speeches = [WHOLE]
    list(fetch([SMALL], tmp_path, server.address, policy))
    assert (tmp_path / "ontology.xml").read_bytes() == BODY
    assert json.loads((tmp_path / FETCHED).read_text())["files"]["ontology.xml"]["size"] == len(BODY)


def test_early_answers_without_end_are_cut_off(server: RawServer, tmp_path: Path) -> None:
    server.speeches = [Speech(b"", b"HTTP/1.1 100 Continue\r\n\r\n")]
    policy = RetryPolicy(silence=0.2, tries=TRIES, sleep=lambda _: None)
    with pytest.raises(InputError, match=r"the connection failed: .* \(tried 3 times\)"):
        list(fetch([SMALL], tmp_path, server.address, policy))
    assert [*tmp_path.iterdir()] == []
    server.speeches = [WHOLE]
    list(fetch([SMALL], tmp_path, server.address, RetryPolicy(silence=20.0)))
    assert (tmp_path / "ontology.xml").read_bytes() == BODY


@pytest.mark.parametrize("what", ["an endless body", "an endless chunk"])
def test_a_small_file_without_end_is_refused(server: RawServer, what: str) -> None:
    server.speeches = [HOSTILE[what]]
    with raises(InputError, words="more than 5000 bytes; not read"):
        read_small(server.address, 5000)
    assert server.sent < MOST_BYTES


def test_a_server_that_leads_elsewhere_is_followed_with_nothing_but_the_request(server: RawServer) -> None:
    """What it wants to be remembered by is not told to the other host, nor to itself."""
    with raw_serving() as other:
        other.speeches = [Speech(OK + b"Content-Length: 2\r\n\r\nab")]
        server.speeches = [leading(f"{other.address}/x?signature=1\r\nSet-Cookie: a=b".encode())]
        assert read_small(f"{server.address.replace('//', '//name:secret@')}/y", 5) == b"ab"
    (asked,) = other.asked
    assert asked.startswith(b"GET /x?signature=1 HTTP/1.1\r\n")
    assert not [word for word in (b"Cookie", b"Authorization", b"Referer", b"secret") if word in asked]
