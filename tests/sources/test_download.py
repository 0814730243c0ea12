"""One file through dropped connections, lies, busy servers, kills; what is there in the end is of one version."""

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.errors import InputError, WriteError
from nerbert.sources import download, http
from nerbert.sources.download import FETCHED
from tests.sources.web_server import (
    BODY,
    ONTOLOGY,
    OTHER,
    PLACE,
    STEP,
    Mood,
    Web,
    fails,
    get,
    names,
    serving,
    whole,
)

DROPPED = Mood(cut=3000)
TAKEN_UP = ["", "bytes=3000-"]


def lying(headers: dict[str, str | None], **more: Any) -> list[Mood]:
    return [DROPPED, Mood(headers=headers, **more)]


ANSWERS: dict[str, tuple[list[Mood], list[str]]] = {
    "nothing cut": ([Mood()], [""]),
    "chunked": ([Mood(chunked=True)], [""]),
    "chunked, cut": ([Mood(chunked=True, cut=500)], ["", "bytes=500-"]),
    "chunked, cut in a later chunk": ([Mood(chunked=True, cut=1500)], ["", "bytes=1500-"]),
    "chunked, cut at once": ([Mood(chunked=True, cut=0)], ["", ""]),
    "cut at once": ([Mood(cut=0)], ["", ""]),
    "cut at the last byte": ([Mood(cut=len(BODY) - 1)], ["", f"bytes={len(BODY) - 1}-"]),
    "another start": (lying({"Content-Range": f"bytes 5-{len(BODY) - 1}/{len(BODY)}"}, status=206), [*TAKEN_UP, ""]),
    "another size": (lying({"Content-Range": f"bytes 3000-{len(BODY) - 1}/{len(BODY) + 1}"}), [*TAKEN_UP, ""]),
    "no range told": (lying({"Content-Range": None}), [*TAKEN_UP, ""]),
    "nonsense": (lying({"Content-Range": "bytes x-y/z"}), [*TAKEN_UP, ""]),
    "backwards": (lying({"Content-Range": f"bytes 3000-2999/{len(BODY)}"}), [*TAKEN_UP, ""]),
    "another length": (lying({}, body=BODY[:7]), [*TAKEN_UP, ""]),
    "another version's range": (lying({"ETag": '"else"'}), [*TAKEN_UP, ""]),
    "no such range": (lying({}, status=416, body=b""), [*TAKEN_UP, ""]),
    "less than asked for": (
        lying({"Content-Range": f"bytes 3000-4999/{len(BODY)}"}, body=BODY[3000:5000]), [*TAKEN_UP, "bytes=5000-"],
    ),
    "bytes behind the part": (lying({}, body=BODY[3000:] + b"more", chunked=True), TAKEN_UP),
    "no ranges": ([DROPPED, Mood(ranges=False, cut=4000), Mood(ranges=False)], [*TAKEN_UP, "bytes=4000-"]),
    # RFC 9110, 13.1.5: no weak ETag in If-Range; a date alone may be that of two versions
    "a weak version": ([Mood(cut=3000, headers={"ETag": 'W/"weak"'})], ["", ""]),
    "a date for a version": ([Mood(cut=3000, headers={"ETag": None})], ["", ""]),
    "no version": ([Mood(cut=3000, headers={"ETag": None, "Last-Modified": None})], ["", ""]),
}  # fmt: skip


@pytest.mark.parametrize("what", ANSWERS)
def test_whatever_is_cut_or_wrong_is_asked_for_again(web: Web, tmp_path: Path, what: str) -> None:
    moods, ranges = ANSWERS[what]
    web.moods[PLACE] = [*moods]
    get(web, tmp_path)
    assert whole(tmp_path)
    assert web.ranges() == ranges


def test_dropped_connections_are_taken_up(web: Web, tmp_path: Path) -> None:
    web.moods[PLACE] = [Mood(cut=n) for n in (3000, 1, 0, 2999)]
    slept: list[float] = []
    get(web, tmp_path, slept=slept)
    assert whole(tmp_path)
    assert web.ranges() == ["", "bytes=3000-", "bytes=3001-", "bytes=3001-", "bytes=6000-"]
    assert slept == [1, 2, 4, 1], "a row of failures ends with progress"
    assert web.sent == len(BODY)
    assert {condition for *_, condition in web.asked[1:]} == {f'"{hashlib.md5(BODY).hexdigest()}"'}


def test_each_failed_try_is_told_with_its_pause(web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    web.moods[PLACE] = [Mood(status=503, headers={"Retry-After": "3"}), Mood(cut=0)]
    get(web, tmp_path)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{web.address}{PLACE}: the server is busy or broken (status 503) ")
    assert first.endswith("(try 1 of 8 failed; the next in 3 seconds)")
    assert second.endswith(" (try 2 of 8 failed; the next in 2 seconds)")


def test_patience_ends(web: Web, tmp_path: Path) -> None:
    web.moods[PLACE] = [Mood(cut=100)] + [Mood(cut=1)] * 20
    slept: list[float] = []
    fails(InputError, web, tmp_path, PLACE, "tried 8 times", "rerun", slept=slept)
    assert slept == [1, 2, 4, 8, 16, 32, 64]
    assert names(tmp_path) == [".ontology.xml.partial", ".ontology.xml.version"]
    web.moods.clear()
    get(web, tmp_path)
    assert whole(tmp_path)
    web.moods[PLACE] = [Mood(cut=5000, headers={"ETag": None, "Last-Modified": None})] * 20
    fails(InputError, web, tmp_path / "other", "tried 8 times")  # what comes again is no progress


@pytest.mark.parametrize("kept", [True, False])
def test_two_versions_are_never_mixed(web: Web, tmp_path: Path, kept: bool) -> None:
    """The file changes while the connection is down, within a run and between two."""
    web.moods[PLACE] = [Mood(cut=3000), Mood(put=OTHER, cut=2000)]
    if kept:
        get(web, tmp_path)
    else:
        fails(InputError, web, tmp_path, tries=1)
        fails(InputError, web, tmp_path, tries=1)
        get(web, tmp_path)
    assert whole(tmp_path, OTHER)
    assert web.ranges() == ["", "bytes=3000-", "bytes=2000-"]


BUSY: list[tuple[int, dict[str, str | None], float]] = [
    (503, {"Retry-After": "17"}, 17),
    (503, {"Retry-After": "99999999999999999999"}, 300),
    (429, {"Retry-After": "Tue, 01 Jul 2025 10:00:40 GMT"}, 40),
    (429, {"Retry-After": "Tue, 01 Jul 2025 09:00:40 GMT"}, 1),
    (500, {"Retry-After": "-5"}, 1),
    (502, {"Retry-After": "soon"}, 1),
    (504, {}, 1),
    (408, {}, 1),
]


@pytest.mark.parametrize(("status", "headers", "pause"), BUSY)
def test_a_busy_server_is_given_time(
    web: Web, tmp_path: Path, status: int, headers: dict[str, str | None], pause: float
) -> None:
    web.moods[PLACE] = [Mood(status=status, headers=headers, body=b"busy")]
    slept: list[float] = []
    get(web, tmp_path, slept=slept)
    assert whole(tmp_path)
    assert slept == [pause]
    assert len(web.asked) == 2


def redirect(where: str) -> Mood:
    return Mood(status=302, headers={"Location": where}, body=b"")


NOT_FETCHED: dict[str, tuple[Mood, str]] = {
    **{str(status): (Mood(status=status, body=b""), str(status)) for status in (404, 403, 410, 401, 400, 204, 206)},
    **{where: (redirect(where), "not followed")
       for where in ("file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x/", PLACE)},
    "packed": (Mood(headers={"Content-Encoding": "gzip"}), "gzip"),
    "no length": (Mood(headers={"Content-Length": None}), "how long"),
    "a web page": (Mood(body=b"<!DOCTYPE html><html>log in</html>"), "begins with"),
    "nothing": (Mood(body=b""), "begins with"),
    "too long": (Mood(), "not fetched"),
    "too long, untold": (Mood(chunked=True), "not kept"),
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_FETCHED)
def test_what_is_no_such_file_is_refused(web: Web, tmp_path: Path, what: str) -> None:
    mood, word = NOT_FETCHED[what]
    limit = 3000 if "too long" in what else ONTOLOGY.limit
    web.moods[PLACE] = [mood] * 20
    fails(InputError, web, tmp_path, f"{web.address}{PLACE}", word, addresses=[replace(ONTOLOGY, limit=limit)])
    assert names(tmp_path) == []
    assert len(web.asked) == 1 or what == PLACE, "a clear no is not asked twice"


def test_a_redirect_is_followed_and_taken_up(web: Web, tmp_path: Path) -> None:
    web.files["/else"] = BODY
    there = Mood(status=301, headers={"Location": f"{web.address}/else"}, body=b"")
    web.moods = {PLACE: [there, there], "/else": [Mood(cut=3000)]}
    get(web, tmp_path)
    assert whole(tmp_path)
    assert web.ranges("/else") == ["", "bytes=3000-"]


def test_silence_ends_and_is_tried_again(web: Web, tmp_path: Path) -> None:
    spoken = threading.Event()
    web.moods[PLACE] = [Mood(silent=spoken)]
    get(web, tmp_path, silence=1.0)
    spoken.set()
    assert whole(tmp_path)
    assert len(web.asked) > 1


def test_a_server_that_is_gone_is_told(web: Web, tmp_path: Path) -> None:
    with serving() as gone:
        web.address = gone.address
    slept: list[float] = []
    fails(InputError, web, tmp_path, web.address, "the connection failed: ConnectError", tries=3, slept=slept)
    assert slept == [1, 2]


@pytest.mark.parametrize(
    ("where", "error", "ranges"),
    [
        ("sleep", KeyboardInterrupt(), TAKEN_UP),
        ("publish", SystemExit(), [""]),
        ("stream", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), TAKEN_UP),
    ],
)
def test_what_has_come_outlives_a_stop(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: BaseException, ranges: list[str]
) -> None:
    """Ctrl-C between two tries, SIGTERM while the file gets its name, a full disk in the middle."""

    def stop(*_: object) -> None:
        raise error

    def fill(*arguments: Any, **more: Any) -> Iterator[bytes]:
        yield next(http.stream(*arguments, **more))[:3000]
        raise error

    web.moods[PLACE] = [DROPPED] if where == "sleep" else []
    with monkeypatch.context() as patched:
        patched.setattr(download._Partial, "publish", stop if where == "publish" else download._Partial.publish)
        patched.setattr(download, "stream", fill if where == "stream" else http.stream)
        with pytest.raises((type(error), WriteError)) as raised:
            get(web, tmp_path, sleep=stop)
    if where == "stream":
        assert "ontology.xml: can't be written: No space left" in str(raised.value)
    else:
        assert raised.value.__notes__ == ["rerun the command to resume"]
    get(web, tmp_path)
    assert whole(tmp_path)
    assert web.ranges() == ranges


def test_what_a_killed_run_left_beside_a_whole_file_is_removed(web: Web, tmp_path: Path) -> None:
    """It was killed between the file's renaming and the removal of its version; an older nerbert kept no SHA-1."""
    get(web, tmp_path)
    (tmp_path / ".ontology.xml.version").write_text("{}")
    known = json.loads((tmp_path / FETCHED).read_text())
    del known["files"]["ontology.xml"]["sha1"]
    (tmp_path / FETCHED).write_text(json.dumps(known))
    get(web, tmp_path)
    assert whole(tmp_path)
    assert len(web.asked) == 1


ELSEWHERE = b'{"address": "http://else.example/", "version": {"etag": "\\"y\\"", "modified": "", "size": 9999}}'


@pytest.mark.parametrize("mark", [b"", b"[]", b'{"address": 1}', b"\xff", ELSEWHERE, None])
def test_a_partial_of_unknown_origin_is_not_taken_up(web: Web, tmp_path: Path, mark: bytes | None) -> None:
    (tmp_path / ".ontology.xml.partial").write_bytes(b"else" * STEP)
    if mark is not None:
        (tmp_path / ".ontology.xml.version").write_bytes(mark)
    get(web, tmp_path)
    assert whole(tmp_path)
    assert web.ranges() == [""]


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, len(BODY)), max_size=7), kinds=st.data())
def test_whatever_the_server_does_the_bytes_are_one_versions(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], kinds: st.DataObject
) -> None:
    moods = st.builds(
        Mood,
        cut=st.sampled_from(cuts) if cuts else st.none(),
        ranges=st.booleans(),
        put=st.sampled_from([None, None, BODY, OTHER]),
        status=st.sampled_from([0, 0, 0, 503, 416]),
        chunked=st.booleans(),
    )
    output = tmp_path_factory.mktemp("out")
    with serving() as web, pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "*")
        web.moods[PLACE] = kinds.draw(st.lists(moods, max_size=6))
        get(web, output)
    assert (output / "ontology.xml").read_bytes() in (BODY, OTHER)
    assert names(output) == [FETCHED, "ontology.xml"]


def test_pauses_vary_with_place_and_try(web: Web, tmp_path: Path) -> None:
    slept: list[float] = []
    web.moods[PLACE] = [Mood(cut=0)] * 5
    get(web, tmp_path, jitter=0.5, slept=slept)
    assert all(base <= pause <= 1.5 * base for base, pause in zip((1, 2, 4, 8, 16), slept, strict=True))
    assert len({pause / 2**number for number, pause in enumerate(slept)}) > 1


def test_a_proxy_of_the_environment_is_asked(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", web.address)
    web.address = "http://example.invalid"
    web.files[f"{web.address}{PLACE}"] = BODY
    get(web, tmp_path)
    assert whole(tmp_path)
    assert [path for path, *_ in web.asked] == [f"{web.address}{PLACE}"]
