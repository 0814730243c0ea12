"""Dumps from a pipe, from addresses, with and without ranges: the same pages."""

import bz2
import gzip
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nerbert.corpus.dump import Dump
from nerbert.corpus.hashing import Beside
from nerbert.corpus.inputs import Source
from nerbert.corpus.pages import write_pages
from nerbert.corpus.settings import CorpusSettings
from nerbert.errors import InputError, MissingExtra
from nerbert.show import Progress

HEAD, TAIL = b'<mediawiki xml:lang="en">\n', b"</mediawiki>\n"
PAGES = [
    f"<page><title>P{n}</title><id>{n}</id><revision><id>9</id><text>{hashlib.sha256(bytes(n)).hexdigest() * 900}"
    f"</text></revision></page>\n".encode()
    for n in range(1, 41)
]
XML = HEAD + b"".join(PAGES) + TAIL
MULTI = bz2.compress(HEAD) + b"".join(map(bz2.compress, PAGES)) + bz2.compress(TAIL)
IDS = list(range(1, 41))


class Server(BaseHTTPRequestHandler):
    """Serves `files`; with `ranges` parts of them too. Counts what it sent."""

    files: dict[str, bytes]
    ranges = True
    cut = False
    sent = 0

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        data = self.files.get(self.path.partition("?")[0])
        if data is None:
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
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
        self.send_header("ETag", hashlib.sha256(data).hexdigest())
        self.end_headers()
        if body:
            type(self).sent += len(part)
            self.wfile.write(part[: len(part) // 2] if self.cut else part)


@contextmanager
def serve(files: dict[str, bytes], **more: object) -> Iterator[str]:
    handler = type("Handler", (Server,), {"files": files, **more})
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
@pytest.mark.parametrize("data", [XML, MULTI, gzip.compress(XML), bz2.compress(XML)])
def test_an_address_is_read(data: bytes, ranges: bool) -> None:
    pytest.importorskip("aiohttp")
    with serve({"/dump": data}, ranges=ranges) as address:
        dump = Dump(f"{address}/dump?signature=secret")
        assert ids(dump) == IDS
        assert dump.splits == (ranges and data in (XML, MULTI))
        facts = dump.facts()
    assert (facts["file"], facts["bytes"]) == ("dump", len(data))
    if dump.splits:
        parts = [data[place : place + (1 << 20)] for place in range(0, len(data), 1 << 20)]
        digests = "".join(hashlib.sha256(part).hexdigest() for part in parts)
        assert facts["sha256_of_parts"] == hashlib.sha256(digests.encode()).hexdigest()
        assert (facts["parts"], facts["part_bytes"], "sha256" in facts) == (len(parts), 1 << 20, False)
    else:
        assert facts["sha256"] == hashlib.sha256(data).hexdigest()


def test_an_address_that_changes_is_another_input() -> None:
    pytest.importorskip("aiohttp")
    with serve({"/dump": XML}) as address:
        one = Source(f"{address}/dump").identity()
    with serve({"/dump": XML.replace(b"P1", b"Q1")}) as address:
        other = Source(f"{address}/dump").identity()
    assert one["size"] == other["size"]
    assert one["ETag"] != other["ETag"]


def test_what_the_net_does_wrong_is_one_line() -> None:
    pytest.importorskip("aiohttp")
    with serve({"/dump": gzip.compress(XML)}, cut=True, ranges=False) as address:
        with pytest.raises(InputError, match=r"dump: (can't be read|compressed data is cut off)"):
            ids(Dump(f"{address}/dump"))
        with pytest.raises(InputError, match=r"http://127.*/none: can't be read: FileNotFoundError|No such file|none"):
            Dump(f"{address.replace('//', '//me:secret@')}/none?key=secret").look()
    with pytest.raises(InputError, match="can't be read") as caught:
        Dump(f"{address}/dump?key=secret").look()
    assert "secret" not in str(caught.value)


def test_workers_read_an_address_on_their_own(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    settings = CorpusSettings(split_bytes=100_000)
    with serve({"/dump.xml.bz2": MULTI}) as address:
        for workers in (1, 2):
            dump = Dump(f"{address}/dump.xml.bz2")
            write_pages([dump], tmp_path / str(workers), settings, workers, Progress())
            assert dump.facts()["parts"] == -(-len(MULTI) // 100_000)
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


def test_addresses_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"fsspec, aiohttp not installed: pip install 'nerbert\[remote\]'"):
        Dump("https://example.org/dump.xml.bz2").look()
    with pytest.raises(MissingExtra, match=r"fsspec not installed: pip install 'nerbert\[remote\]'"):
        Dump("s3://bucket/dump.xml.bz2").look()


def test_an_unknown_address_is_refused() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(InputError, match=r"nowhere://x: can't be read: ValueError Protocol not known"):
        Dump("nowhere://x").look()


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
        assert dump.look().language == "en"
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
    with standard_input(XML[: len(XML) // 2]), pytest.raises(InputError, match=r"^standard input:[0-9]+: not a whole"):
        ids(Dump("-"))


def test_a_files_identity_follows_its_content(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(XML)
    one = Source(str(path)).identity()
    os.utime(path, ns=(1, one["changed"]))
    assert Source(str(path)).identity() == one
    path.write_bytes(XML.replace(b"P1<", b"Q1<"))
    os.utime(path, ns=(1, one["changed"]))
    assert Source(str(path)).identity() != one


def test_a_digest_is_taken_beside_the_work(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(XML)
    beside = Beside(Source(str(path)))
    assert beside.result() == hashlib.sha256(XML).hexdigest()
    beside = Beside(Source(str(tmp_path / "none")))
    with pytest.raises(InputError, match="none: can't be read: No such file"):
        beside.result()


def test_names_hold_no_secrets() -> None:
    source = Source("https://me:word@host.org/a/b.xml.bz2?key=1")
    assert (str(source), source.name) == ("https://host.org/a/b.xml.bz2", "b.xml.bz2")
    assert (str(Source("-")), Source("-").name) == ("standard input", "-")
    assert (str(Source("a@b/c?.xml")), Source("a@b/c?.xml").name) == ("a@b/c?.xml", "c?.xml")
