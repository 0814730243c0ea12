"""One file through dropped connections, busy servers, lies and kills; what is there in the end is of one version."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.sources import download
from nerbert.sources.download import FETCHED
from tests.raised import raising
from tests.sources.web_server import BODY, OTHER, PLACE, Mood, Web, fails, get, names, serving, whole

ANSWERS: dict[str, list[Mood]] = {
    "nothing cut": [Mood()],
    "chunked": [Mood(chunked=True)] * 9,
    "chunked, cut": [Mood(chunked=True, cut=500), *[Mood(chunked=True)] * 9],
    "cut at once": [Mood(cut=0)],
    "cut at the last byte": [Mood(cut=len(BODY) - 1)],
    "no ranges": [Mood(ranges=False, cut=4000), Mood(ranges=False)],
    "busy": [Mood(status=503, headers={"Retry-After": "17"}), Mood(status=429)],
}


@pytest.mark.parametrize("what", ANSWERS)
def test_whatever_is_cut_is_asked_for_again(web: Web, tmp_path: Path, what: str) -> None:
    web.moods[PLACE] = [*ANSWERS[what]]
    get(web, tmp_path)
    assert whole(tmp_path)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file comes in several blocks."""
    for module in ("remote", "download"):
        monkeypatch.setattr(f"nerbert.sources.{module}._BLOCK", 1000)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("headers", [{}, *({"ETag": etag, "Last-Modified": None} for etag in ('W/"weak"', None))])
def test_patience_ends_and_a_later_run_goes_on_from_a_strong_version_alone(
    web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str], headers: dict[str, str | None]
) -> None:
    mood = Mood(headers=headers)
    web.moods[PLACE] = [mood] * 2 + [replace(mood, cut=0)] * 99
    slept: list[float] = []
    fails(InputError, web, tmp_path, PLACE, "tried 8 times", "rerun", slept=slept)
    assert slept == [1, 2, 4, 8, 16, 32, 64]
    assert "(try 7 of 8 failed; the next in 64 seconds)" in capsys.readouterr().err
    kept = sum(partial.stat().st_size for partial in tmp_path.glob(".ontology.xml.*.partial"))
    assert headers or kept > 1000
    web.moods[PLACE] = [mood] * 99
    web.asked.clear()
    get(web, tmp_path)
    assert whole(tmp_path)
    assert web.ranges()[0].startswith(f"bytes={0 if headers else kept}-")


def test_a_partial_of_another_version_is_not_taken_up(web: Web, tmp_path: Path) -> None:
    for name in (".ontology.xml.partial", ".ontology.xml.0123456789abcdef.partial"):
        (tmp_path / name).write_bytes(b"else" * 999)
    get(web, tmp_path)
    assert whole(tmp_path)


@pytest.mark.usefixtures("small_blocks")
def test_two_versions_are_never_mixed(web: Web, tmp_path: Path) -> None:
    web.moods[PLACE] = [Mood(), Mood(put=OTHER)]
    fails(InputError, web, tmp_path, "changed while it was fetched")
    assert names(tmp_path) == []
    get(web, tmp_path)
    assert whole(tmp_path, OTHER)


def redirect(where: str) -> Mood:
    return Mood(status=302, headers={"Location": where}, body=b"")


NOT_FETCHED: dict[str, tuple[Mood, str]] = {
    **{str(status): (Mood(status=status, body=b""), str(status)) for status in (404, 403, 410, 401, 400)},
    **{where: (redirect(where), "can't be read") for where in ("file:///etc/passwd", "ftp://127.0.0.1/x", PLACE)},
    "packed": (Mood(headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b"), "begins with"),
    "a web page": (Mood(body=b"<!DOCTYPE html><html>log in</html>"), "begins with"),
    "nothing": (Mood(body=b""), "begins with"),
    "too long": (Mood(headers={"Content-Length": "99999999999"}), "nothing was kept"),
}


@pytest.mark.parametrize("what", NOT_FETCHED)
def test_what_is_no_such_file_is_refused(web: Web, tmp_path: Path, what: str) -> None:
    mood, word = NOT_FETCHED[what]
    web.moods[PLACE] = [mood] * 99
    fails(InputError, web, tmp_path, PLACE, word)
    assert not [name for name in names(tmp_path) if "ontology" in name and name[0] != "."]


def test_a_server_that_is_gone_is_told(web: Web, tmp_path: Path) -> None:
    with serving() as gone:
        web.address = gone.address
    slept: list[float] = []
    fails(InputError, web, tmp_path, web.address, "the connection failed: ClientConnector", tries=3, slept=slept)
    assert slept == [1, 2]


def test_what_has_come_outlives_a_stop(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(download, "_check_content", raising(SystemExit()))
        with pytest.raises(SystemExit) as raised:
            get(web, tmp_path)
    assert raised.value.__notes__ == ["rerun the command to resume"]
    web.asked.clear()
    get(web, tmp_path)
    assert whole(tmp_path)
    assert web.ranges() == []


def test_a_proxy_of_the_environment_is_asked(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", web.address)
    web.address = "http://example.invalid"
    web.files[f"{web.address}{PLACE}"] = BODY
    get(web, tmp_path)
    assert (tmp_path / "ontology.xml").read_bytes() == BODY
    assert json.loads((tmp_path / FETCHED).read_text())["files"]
