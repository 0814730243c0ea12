"""What is asked of a server before its file is read, and where it may lead."""

from types import SimpleNamespace

import httpx
import pytest

from nerbert.errors import InputError
from nerbert.sources import http
from nerbert.sources.files import Source
from nerbert.sources.http import probe
from tests.sources.web_server import BODY, PLACE, Mood, Web


def test_an_empty_file_is_known_by_the_first_answer(web: Web) -> None:
    web.moods[PLACE] = [Mood(status=416, headers={"Content-Range": "bytes */0"}, body=b"")]
    version, parts = probe(web.address + PLACE)
    assert (version.size, parts) == (0, False)
    assert len(web.asked) == 1


def test_a_server_that_refuses_a_part_is_asked_for_the_whole(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "DEFAULT_POLICY", http.RetryPolicy(sleep=lambda _: None))
    web.moods[PLACE] = [Mood(status=416, headers={"Content-Range": None}, body=b"")]
    version, parts = probe(web.address + PLACE)
    assert (version.size, parts) == (len(BODY), False)
    assert web.ranges() == ["bytes=0-0", ""]


@pytest.mark.parametrize("where", ["http://a.example/x", "//a.example/x", "y", "https://b.example/"])
def test_https_never_leads_to_http(where: str) -> None:
    asked = httpx.Request("GET", "https://a.example/z?key=secret")
    response = httpx.Response(302, headers={"Location": where}, request=asked)
    if where.startswith("http:"):
        with pytest.raises(InputError, match=r"^https://a.example/z leads from https .*give another address$"):
            http._check_redirect(response)
    else:
        http._check_redirect(response)


def test_a_file_system_that_cant_seek_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = pytest.importorskip("fsspec.implementations.memory")
    source = Source("github://o:r@main/x")
    files = memory.MemoryFileSystem()
    monkeypatch.setattr(type(files), "protocol", "else")
    files.pipe("/seekable", b"abc")
    monkeypatch.setattr(Source, "file_system", lambda _: (files, "/seekable"))
    assert source.seeks

    def refuse(*_: object) -> None:
        raise ValueError("can't seek")

    monkeypatch.setattr(memory.MemoryFile, "seek", refuse)
    assert not source.seeks


def test_each_head_has_its_own_time_and_other_bytes_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time begins when a head is waited for: connections are slow, too, and redirects are many."""
    now, asked = [0.0], list[float | None]()
    monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=lambda: now[0]))
    heads = http._Heads(10.0)

    def read(max_bytes: int, timeout: float | None = None) -> bytes:
        asked.append(timeout)
        return b"x" * max_bytes

    connection = SimpleNamespace(read=read)
    heads.follow("connection.connect_tcp.complete", {"return_value": connection})
    assert connection.read(max_bytes=2) == b"xx"  # of a proxy
    for begun in (100.0, 200.0):
        now[0] = begun
        heads.follow("http11.receive_response_headers.started", {})
        now[0] += 6
        assert connection.read(1, timeout=3.0) == connection.read(1, timeout=5.0) == b"x"
        now[0] += 5
        with pytest.raises(httpx.ReadTimeout):
            connection.read(1, timeout=5.0)
        heads.follow("http11.receive_response_headers.complete", {})
        assert connection.read(1, timeout=5.0) == b"x"
    assert asked == [None, *[3.0, 4.0, 5.0] * 2]
