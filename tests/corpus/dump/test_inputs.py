"""Dumps from a pipe, from addresses, with and without ranges: the same pages."""

import bz2
import gzip
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.parse import read_pages
from nerbert.corpus.pages import write_pages
from nerbert.corpus.settings import CorpusSettings
from nerbert.errors import InputError, MissingExtra
from nerbert.executors import HERE, LocalExecutor
from nerbert.sources.files import Source
from nerbert.sources.http import RetryPolicy
from nerbert.terminal import Progress

HEAD, TAIL = b'<mediawiki xml:lang="en">\n', b"</mediawiki>\n"
PAGES = [
    f"<page><title>P{n}</title><id>{n}</id><revision><id>9</id><text>{hashlib.sha256(bytes(n)).hexdigest() * 900}"
    f"</text></revision></page>\n".encode()
    for n in range(1, 41)
]
XML = HEAD + b"".join(PAGES) + TAIL
MULTI = bz2.compress(HEAD) + b"".join(map(bz2.compress, PAGES)) + bz2.compress(TAIL)
IDS = list(range(1, 41))


def altered(data: bytes, start: int) -> bytes:
    """The same number of bytes, some other text in it from `start` on."""
    return data[:start] + data[start:].replace(b"0", b"1", 50)


class Server(BaseHTTPRequestHandler):
    """Serves `files`; with `ranges` parts of them too. Counts what it sent.

    Of the requests for ranges so many as `bad` says, from number `bad_from` on, are cut off or answered with `status`
    (from 0 on: all requests); so many answers with the whole file as `cut_whole` says are cut off; from number
    `other_from` on `others` are served.
    """

    files: dict[str, bytes]
    ranges = True
    cut = False
    sent = 0
    etag = True
    status = 0
    gets = 0
    cut_whole = 0
    bad_from, bad = 10**9, 10**9
    others: dict[str, bytes]
    other_from = 10**9

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        kind, wanted = type(self), self.headers.get("Range")
        kind.gets += bool(body and wanted)
        files = self.others if self.gets >= self.other_from else self.files
        data = files.get(self.path.partition("?")[0])
        counts = bool(body and wanted) or not self.bad_from
        bad = counts and self.bad_from <= self.gets < self.bad_from + self.bad
        if data is None or (self.status and bad):
            self.send_error(self.status or 404)
            return
        start, stop = 0, len(data)
        if wanted and self.ranges:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop = int(first), int(last) + 1 if last else len(data)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{min(stop, len(data)) - 1}/{len(data)}")
        else:
            self.send_response(200)
        part = data[start:stop]
        self.send_header("Content-Length", str(len(part)))
        if self.etag:
            self.send_header("ETag", hashlib.sha256(data).hexdigest())
        self.end_headers()
        if body:
            type(self).sent += len(part)
            cut = self.cut or bad or (part == data and type(self).cut_whole > 0)
            type(self).cut_whole -= part == data
            self.wfile.write(part[: len(part) // 2] if cut else part)


SERVERS: list[type[Server]] = []
"""The handlers of all servers, the last one last."""


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited for the net."""
    waits: list[float] = []
    policy = RetryPolicy(jitter=0.0, sleep=waits.append, tell=lambda _: None)
    monkeypatch.setattr("nerbert.sources.http.DEFAULT_POLICY", policy)
    return waits


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@contextmanager
def serve(files: dict[str, bytes], **more: object) -> Iterator[str]:
    handler = type("Handler", (Server,), {"files": files, **more})
    SERVERS.append(handler)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def ids(dump: Dump) -> list[int]:
    return [each.page_id for each in dump.pages()]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("data", [XML, MULTI, gzip.compress(XML, mtime=0), bz2.compress(XML)])
def test_an_address_is_read(data: bytes, ranges: bool) -> None:
    with serve({"/dump": data}, ranges=ranges) as address:
        dump = Dump(f"{address}/dump?signature=secret")
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


def test_an_address_that_changes_is_another_input() -> None:
    with serve({"/dump": XML}) as address:
        one = Source(f"{address}/dump").identity()
    with serve({"/dump": XML.replace(b"P1", b"Q1")}) as address:
        other = Source(f"{address}/dump").identity()
    assert one["size"] == other["size"]
    assert one["ETag"] != other["ETag"]


def test_what_the_net_does_wrong_is_one_line(slept: list[float]) -> None:
    told = "dump: changed while it was read, or can't be read from byte [0-9]+ on: the server sends the whole file"
    with serve({"/dump": gzip.compress(XML)}, cut=True, ranges=False) as address:
        with pytest.raises(InputError, match=told):
            ids(Dump(f"{address}/dump"))
        with pytest.raises(InputError, match=r"^http://127[^ @]*/gone: not there \(status 404\); check the address$"):
            Dump(f"{address.replace('//', '//me:s%40cret@')}/gone?key=s@cret")
    assert slept == [1]
    told = r"/dump: the connection failed: ConnectError .*refused.* \(tried 8 times\); rerun the command"
    with pytest.raises(InputError, match=told) as caught:
        Dump(f"{address}/dump?key=secret")
    assert "secret" not in str(caught.value)
    with (
        serve({"/dump": XML}, status=503, bad_from=0) as address,
        pytest.raises(InputError, match=r"/dump: the server is busy or broken \(status 503\) \(tried 8 times\)"),
    ):
        Dump(f"{address}/dump")


@pytest.mark.parametrize("status", [0, 503, 429, 425])
def test_a_place_is_asked_for_again(slept: list[float], status: int) -> None:
    with serve({"/dump": MULTI}, bad_from=6, bad=3, status=status) as address:
        assert ids(Dump(f"{address}/dump")) == IDS
    assert slept == [1, 2, 4]


def test_the_net_gets_eight_tries(slept: list[float]) -> None:
    with serve({"/dump": MULTI}, bad_from=6) as address, pytest.raises(InputError, match="dump: the connection failed"):
        ids(Dump(f"{address}/dump"))
    assert slept == [1, 2, 4, 8, 16, 32, 64]


def test_what_is_gone_is_not_asked_for_again(slept: list[float]) -> None:
    with serve({"/dump": MULTI}, bad_from=6, status=404) as address, pytest.raises(InputError, match="status 404"):
        ids(Dump(f"{address}/dump"))
    assert slept == []


def test_a_stream_is_continued_where_it_broke(slept: list[float]) -> None:
    """A dump that one process unpacks for all: the connection breaks, and the rest of the same version comes."""
    data = gzip.compress(XML)
    with serve({"/dump": data}, cut_whole=1) as address:
        dump = Dump(f"{address}/dump")
        assert ids(dump) == IDS
    assert dump.facts()["sha256"] == hashlib.sha256(data).hexdigest()
    assert slept == [1]


def test_little_is_read_in_vain() -> None:
    with serve({"/dump": XML}) as address:
        dump = Dump(f"{address}/dump")
        before = SERVERS[-1].sent
        for part in dump.parts(1 << 19):
            with part.open() as stream:
                assert list(read_pages(part, stream))
    assert SERVERS[-1].sent - before < 1.7 * len(XML)


def test_a_dump_that_is_replaced_between_two_reads_is_told(tmp_path: Path) -> None:
    settings, other = CorpusSettings(split_bytes=500_000), altered(XML, 10_000)
    with serve({"/dump": XML}, others={"/dump": other}, other_from=12) as address:
        dump = Dump(f"{address}/dump")
        with pytest.raises(InputError, match=r"dump: changed while it was read.*; run again"):
            write_pages([dump], tmp_path, settings, HERE, Progress())


@pytest.mark.parametrize("etag", [True, False])
def test_parts_stay_only_where_a_server_names_the_version(tmp_path: Path, etag: bool) -> None:
    settings = CorpusSettings(split_bytes=500_000)
    with serve({"/dump": XML}, etag=etag) as address:
        before = 0
        for _ in range(2):
            bar = Progress()
            write_pages([Dump(f"{address}/dump")], tmp_path, settings, HERE, bar)
            assert (bar.items, bar.items_before) == (len(IDS), before)
            before = len(IDS) if etag else 0


def test_workers_read_an_address_on_their_own(tmp_path: Path) -> None:
    settings = CorpusSettings(split_bytes=1_000)
    with serve({"/dump.xml.bz2": MULTI}) as address:
        for workers in (1, 2):
            dump = Dump(f"{address}/dump.xml.bz2")
            with LocalExecutor(workers) as executor:
                write_pages([dump], tmp_path / str(workers), settings, executor, Progress())
            assert dump.facts()["parts"] > 5
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / workers).rglob("part*")} for workers in ("1", "2")
    )
    assert one == two


def test_memory_is_read_by_the_main_process() -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://wiki/dump.xml.bz2", "wb") as stream:
        stream.write(MULTI)
    dump = Dump("memory://wiki/dump.xml.bz2")
    assert ids(dump) == IDS
    assert not dump.splits
    assert dump.facts()["sha256"] == hashlib.sha256(MULTI).hexdigest()


def test_a_file_address_splits(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    (tmp_path / "dump.xml").write_bytes(XML)
    dump = Dump(f"file://{tmp_path}/dump.xml")
    assert ids(dump) == IDS
    assert dump.splits


def test_addresses_of_other_protocols_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"fsspec not installed: pip install 'nerbert\[remote\]'"):
        Dump("s3://bucket/dump.xml.bz2")


def test_an_unknown_address_is_refused() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(InputError, match=r"nowhere://x: can't be read: ValueError Protocol not known"):
        Dump("nowhere://x")


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
        "file": "-", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "wiki": "enwiki",
    }  # fmt: skip


def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_bytes, args=(gzip.compress(XML),))
    thread.start()
    assert ids(Dump(path)) == IDS
    thread.join()


def test_a_cut_off_pipe_is_told() -> None:
    with (
        standard_input(XML[: len(XML) // 2]),
        pytest.raises(InputError, match=r"^standard input:[0-9]+: not a complete"),
    ):
        ids(Dump("-"))


def test_a_files_identity_follows_its_content(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(XML)
    one = Source(str(path)).identity()
    os.utime(path, ns=(1, 1))
    assert Source(str(path)).identity() == one
    path.write_bytes(XML.replace(b"P1<", b"Q1<"))
    assert Source(str(path)).identity() != one


def test_an_addresss_identity_holds_no_signature() -> None:
    with serve({"/dump": XML}) as address:
        one, other = (Source(f"{address}/dump?signature={key}").identity() for key in "ab")
    assert one == other


def test_names_hold_no_secrets() -> None:
    source = Source("https://me:word@host.org/a/b.xml.bz2?key=1")
    assert (str(source), source.name) == ("https://host.org/a/b.xml.bz2", "b.xml.bz2")
    assert str(Source("https://me:w@rd@host.org/a?b=c@d")) == "https://host.org/a"
    assert (str(Source("-")), Source("-").name) == ("standard input", "-")
    assert (str(Source("a@b/c?.xml")), Source("a@b/c?.xml").name) == ("a@b/c?.xml", "c?.xml")
