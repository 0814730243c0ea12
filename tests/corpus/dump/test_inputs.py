"""Dumps from a pipe, from addresses, with and without ranges: the same pages."""

import bz2
import gzip
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.parts import read_pages
from nerbert.corpus.pages import write_pages
from nerbert.corpus.settings import CorpusSettings
from nerbert.errors import InputError, MissingExtra
from nerbert.executors import HERE
from nerbert.sources.files import Source
from nerbert.sources.remote import Missing, RetryPolicy
from nerbert.terminal import Progress
from tests.raised import raises
from tests.sources.web_server import Mood, Web

HEAD, TAIL = b'<mediawiki xml:lang="en">\n', b"</mediawiki>\n"
PAGES = [
    f"<page><title>P{n}</title><id>{n}</id><revision><id>9</id><text>{hashlib.sha256(bytes(n)).hexdigest() * 900}"
    f"</text></revision></page>\n".encode()
    for n in range(1, 41)
]
XML = HEAD + b"".join(PAGES) + TAIL
MULTI = bz2.compress(HEAD) + b"".join(map(bz2.compress, PAGES)) + bz2.compress(TAIL)
IDS = list(range(1, 41))


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited for the net."""
    waits: list[float] = []
    policy = RetryPolicy(jitter=0.0, sleep=waits.append, tell=lambda _: None)
    monkeypatch.setattr("nerbert.sources.remote.DEFAULT_POLICY", policy)
    return waits


def ids(dump: Dump) -> list[int]:
    return [each.page_id for each in dump.pages()]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("data", [XML, MULTI, gzip.compress(XML, mtime=0), bz2.compress(XML)])
def test_an_address_is_read(web: Web, data: bytes, ranges: bool) -> None:
    web.files["/dump?signature=secret"] = data
    web.moods["/dump?signature=secret"] = [Mood(ranges=ranges)] * 99
    dump = Dump(f"{web.address}/dump?signature=secret")
    assert ids(dump) == IDS
    assert dump.splits == (ranges and data in (XML, MULTI))
    facts = dump.facts()
    assert (facts["file"], facts["bytes"]) == ("dump", len(data))
    assert facts["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("data", [XML, MULTI])
def test_the_digest_of_a_dump_that_is_read_in_parts(tmp_path: Path, data: bytes) -> None:
    """It is taken of the bytes as they are read; the parts begin as docs/formats.md says."""
    path = tmp_path / "dump"
    path.write_bytes(data)
    dump, step = Dump(path), len(data) // 4
    write_pages([dump], tmp_path / "out", CorpusSettings(split_bytes=step), HERE, Progress())
    mark = b"<page>" if data is XML else b"BZh91AY&SY"
    borders = [0, *(data.index(mark, cut) for cut in (step, 2 * step, 3 * step)), len(data)]
    digests = "".join(hashlib.sha256(data[one:other]).hexdigest() for one, other in pairwise(borders))
    facts = dump.facts()
    assert facts["sha256_of_parts"] == hashlib.sha256(digests.encode()).hexdigest()
    assert (facts["parts"], facts["part_bytes"], "sha256" in facts) == (4, step, False)


def test_messages(web: Web, slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    web.files |= {"/cut": gzip.compress(XML), "/busy": XML}
    web.moods |= {"/cut": [Mood(cut=5_000, ranges=False)] * 99, "/busy": [Mood(status=503)] * 99}
    with raises(InputError, "/cut: the connection failed: ClientPayloadError "):
        ids(Dump(f"{web.address}/cut"))
    assert len(slept) == 7
    gone = f"{web.address.replace('//', '//me:s%40cret@')}/gone?key=s@cret"
    with raises(Missing, f"{web.address}/gone: not there (status 404); check the address"):
        Dump(gone)
    with raises(InputError, "/busy: the server is busy or broken (status 503) (tried 8 times)"):
        Dump(f"{web.address}/busy")
    with raises(InputError, "/dump: the connection failed: ClientConnector") as caught:
        Dump(f"http://127.0.0.1:{free_port()}/dump?key=secret")
    assert str(caught.value).endswith(" (tried 8 times); rerun the command to resume")
    assert "secret" not in str(caught.value)
    with raises(InputError, "nowhere://x: can't be read: ValueError Protocol not known"):
        Dump("nowhere://x")
    with standard_input(XML[: len(XML) // 2]), raises(InputError, "standard input:") as caught:
        ids(Dump("-"))
    assert "not a complete" in str(caught.value)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with raises(MissingExtra, "fsspec not installed: pip install 'nerbert[corpus]'"):
        Dump("s3://bucket/dump.xml.bz2")


def free_port() -> int:
    """A port at which no server listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_stream_is_continued_where_it_broke(web: Web, slept: list[float]) -> None:
    """A dump that one process unpacks for all: the connection breaks, and the rest of the same version comes."""
    data = web.files["/dump"] = gzip.compress(XML)
    web.moods["/dump"] = [Mood(cut=len(data) // 2)]
    dump = Dump(f"{web.address}/dump")
    assert ids(dump) == IDS
    assert dump.facts()["sha256"] == hashlib.sha256(data).hexdigest()
    assert slept == [1]


def test_little_is_read_in_vain(web: Web) -> None:
    web.files["/dump"] = XML
    dump = Dump(f"{web.address}/dump")
    before = web.sent
    for part in dump.parts(1 << 19):
        with part.open() as stream:
            assert list(read_pages(part, stream))
    assert web.sent - before < 1.7 * len(XML)


def test_a_dump_that_is_replaced_between_two_reads_is_told(web: Web, tmp_path: Path) -> None:
    """By its tag, though it has as many bytes as before."""
    web.files["/dump"] = XML
    dump = Dump(f"{web.address}/dump")
    web.moods["/dump"] = [*[Mood()] * 4, Mood(put=XML[:10_000] + XML[10_000:].replace(b"0", b"1", 50))]
    with raises(InputError, "dump: changed while it was read"):
        write_pages([dump], tmp_path, CorpusSettings(split_bytes=500_000), HERE, Progress())


@pytest.mark.parametrize("etag", [True, False])
def test_parts_stay_only_where_a_server_names_the_version(web: Web, tmp_path: Path, etag: bool) -> None:
    web.files["/dump"] = XML
    web.moods["/dump"] = [Mood(headers={} if etag else {"ETag": None, "Last-Modified": None})] * 999
    for before in (0, len(IDS) if etag else 0):
        bar = Progress()
        write_pages([Dump(f"{web.address}/dump")], tmp_path, CorpusSettings(split_bytes=500_000), HERE, bar)
        assert (bar.items, bar.items_before) == (len(IDS), before)


def test_other_addresses_are_read(tmp_path: Path) -> None:
    """What has no size or ranges by the main process alone."""
    fsspec = pytest.importorskip("fsspec")
    (tmp_path / "dump.xml").write_bytes(XML)
    with fsspec.open("memory://wiki/dump.xml.bz2", "wb") as stream:
        stream.write(MULTI)
    for address, splits in (("memory://wiki/dump.xml.bz2", False), (f"file://{tmp_path}/dump.xml", True)):
        dump = Dump(address)
        assert (ids(dump), dump.splits) == (IDS, splits)
        assert splits or dump.facts()["sha256"] == hashlib.sha256(MULTI).hexdigest()


@contextmanager
def standard_input(data: bytes) -> Iterator[None]:
    """Put a pipe with `data` in the place of standard input."""
    reading, writing = os.pipe()
    kept = os.dup(0)
    os.dup2(reading, 0)
    os.close(reading)
    thread = threading.Thread(target=_pour, args=(writing, data))
    thread.start()
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        thread.join()


def _pour(writing: int, data: bytes) -> None:
    with os.fdopen(writing, "wb") as stream:
        stream.write(data)


@pytest.mark.parametrize("pack", [bytes, lambda _: MULTI, bz2.compress, gzip.compress])
def test_standard_input_is_read_once(pack: Callable[[bytes], bytes]) -> None:
    data = pack(XML)
    with standard_input(data):
        dump = Dump("-")
        assert dump.site.language == "en"
        assert (dump.size, dump.splits) == (None, False)
        assert ids(dump) == IDS
    assert dump.facts() == {
        "file": "-",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "wiki": "enwiki",
    }


def test_an_identity_follows_the_content(web: Web, tmp_path: Path) -> None:
    path, other_xml = tmp_path / "dump", XML.replace(b"P1<", b"Q1<")
    path.write_bytes(XML)
    one = Source(str(path)).identity()
    os.utime(path, ns=(1, 1))
    assert Source(str(path)).identity() == one
    path.write_bytes(other_xml)
    assert Source(str(path)).identity() != one
    web.files |= {"/a?signature=a": XML, "/a?signature=b": XML, "/a": other_xml}
    one, same, other = (Source(f"{web.address}/a{key}").identity() for key in ("?signature=a", "?signature=b", ""))
    assert one == same
    assert one["size"] == other["size"]
    assert one["ETag"] != other["ETag"]


def test_names_hold_no_secrets() -> None:
    source = Source("https://me:word@host.org/a/b.xml.bz2?key=1")
    assert (str(source), source.name) == ("https://host.org/a/b.xml.bz2", "b.xml.bz2")
    assert str(Source("https://me:w@rd@host.org/a?b=c@d")) == "https://host.org/a"
    assert (str(Source("-")), Source("-").name) == ("standard input", "-")
    assert (str(Source("a@b/c?.xml")), Source("a@b/c?.xml").name) == ("a@b/c?.xml", "c?.xml")
