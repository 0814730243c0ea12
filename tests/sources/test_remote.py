"""Files at addresses: which failures are tried again, and where an address may lead."""

from types import SimpleNamespace

import pytest
from yarl import URL

from nerbert.errors import InputError, MissingExtra
from nerbert.sources.remote import (
    Missing,
    RetryPolicy,
    _check_redirect,
    asked_wait,
    file_system,
    pause_after,
    read_small,
    retry_call,
)
from tests.raised import raises, raising
from tests.sources.web_server import BODY, PLACE, Mood, Web


@pytest.mark.parametrize(("told", "seconds"), [("17", 17), ("Tue, 01 Jul 2025 10:00:40 GMT", 0), ("-5", 0)])
def test_what_a_busy_server_asks_for(told: str, seconds: float) -> None:
    assert asked_wait({"Retry-After": told}) == seconds


def test_pauses_vary_and_grow() -> None:
    policy = RetryPolicy(jitter=0.5)
    pauses = [pause_after(failed, 0, policy) / 2 ** (failed - 1) for failed in range(1, 6)]
    assert all(1 <= each <= 1.5 for each in pauses)
    assert len(set(pauses)) > 1
    assert pause_after(1, 99999, policy) == 300


@pytest.mark.parametrize(
    ("error", "tries"),
    [(OSError("reset"), 3), (TimeoutError(), 3), (FileNotFoundError(), 1), (PermissionError(), 1), (ValueError(), 1)],
)
def test_only_what_may_pass_is_tried_again(error: Exception, tries: int) -> None:
    called = list[int]()

    def fail() -> None:
        called.append(1)
        raise error

    policy = RetryPolicy(tries=3, sleep=lambda _: None, tell=lambda _: None)
    with pytest.raises(InputError):
        retry_call("x", fail, policy)
    assert len(called) == tries


def test_small_files_have_a_limit(web: Web) -> None:
    assert read_small(web.address + PLACE, len(BODY)) == BODY
    with raises(InputError, words="more than 5000 bytes; not read"):
        read_small(web.address + PLACE, 5000)


def test_a_password_goes_to_no_other_host(web: Web) -> None:
    web.moods["/x"] = [Mood(status=302, headers={"Location": PLACE}, body=b"")] * 9
    assert read_small(f"{web.address.replace('//', '//name:secret@')}/x", len(BODY)) == BODY
    web.moods["/gone"] = []
    with pytest.raises(Missing) as raised:
        read_small(f"{web.address.replace('//', '//name:s3cret@')}/gone?key=s3cret", 5)
    assert "s3cret" not in str(raised.value)


async def _redirect(where: str) -> None:
    response = SimpleNamespace(url=URL("https://a.example/z?key=secret"), headers={"Location": where})
    await _check_redirect(None, None, SimpleNamespace(response=response))


@pytest.mark.parametrize("where", ["http://a.example/x", "HTTP://a.example/x", "y", "https://b.example/"])
def test_https_never_leads_to_http(where: str) -> None:
    coroutine = _redirect(where)
    if where.lower().startswith("http:"):
        with raises(InputError, "https://a.example/z leads from https"):
            coroutine.send(None)
    else:
        with pytest.raises(StopIteration):
            coroutine.send(None)


def test_a_missing_library_is_named_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec.core.url_to_fs", raising(ImportError("Install gcsfs to access Google Storage")))
    with raises(MissingExtra, "gs://bucket/x: needs another library: pip install 'nerbert[gs]'"):
        file_system("gs://bucket/x")
    with raises(InputError, "nowhere://x: can't be read: ValueError Protocol not known"):
        monkeypatch.undo()
        file_system("nowhere://x")
