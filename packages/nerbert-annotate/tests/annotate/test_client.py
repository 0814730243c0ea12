"""Servers that misbehave, and the key, which must not get out."""

import json
import logging
import traceback

import pytest

from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert_annotate import annotate
from tests.annotate import model_server
from tests.annotate.conftest import Desk
from tests.annotate.model_server import Handler, Mood, completion, cut_off, endless, fail, hang_up, say, send
from tests.raised import raises

ADA, EVE = "Ada met Bob.", "Eve left."
KEY = 'sk-"secret\\0123456789/abc+'
GOOD = say("none")
SLEEP = annotate._sleep


@pytest.mark.parametrize(
    ("mood", "pause"),
    [
        (fail(429, Retry_After="7"), 7.0),
        (fail(503, Retry_After="299"), 299.0),
    ],
)
def test_all_requests_wait_when_the_server_asks_for_it(desk: Desk, mood: Mood, pause: float) -> None:
    desk.server.moods = [mood]
    assert desk.annotate(ADA, EVE).answered == 2
    assert desk.server.passages == [ADA, ADA, EVE]
    assert len(desk.slept) == 3  # after the answer, and before both that follow, since no clock goes on here
    assert desk.slept[0] == pause
    assert min(desk.slept) > 0


def test_each_kind_of_fault_has_its_own_tries(desk: Desk) -> None:
    desk.server.moods = [fail(500), fail(429), say("Sorry."), fail(500)]
    assert (desk.annotate(ADA).answered, len(desk.server.asked)) == (1, 5)
    desk.server.moods = [send(b'{"choices": [{"mess')]  # a strange answer is asked for again
    assert (desk.annotate(EVE, overwrite=True).answered, len(desk.server.asked)) == (1, 7)


@pytest.mark.parametrize("mood", [fail(500), fail(429), fail(529), send(b"<html>busy", "text/html", 502), hang_up])
def test_what_may_pass_is_tried_again_with_growing_pauses(desk: Desk, mood: Mood) -> None:
    desk.server.moods = [mood] * 3
    assert (desk.annotate(ADA).answered, len(desk.server.asked)) == (1, 4)
    assert [1 <= desk.slept[0] <= 1.3, 2 <= desk.slept[1] <= 2.5, 4 <= desk.slept[2] <= 5] == [True] * 3


def test_an_answer_that_is_cut_off_counts_at_its_most(desk: Desk) -> None:
    desk.server.moods = [cut_off]
    report = desk.annotate(ADA, max_answer_tokens=500)
    assert (report.tokens_are_estimated, report.output_tokens) == (True, 500 + 10)
    assert desk.annotate(ADA, max_answer_tokens=500, overwrite=True).output_tokens == 510  # in later runs too


@pytest.mark.parametrize(
    ("mood", "fault"),
    [
        (endless(), "answer_too_large"),
        (endless(500), "answer_too_large"),
        (model_server.drip, "answer_too_slow"),
        (model_server.silent, "answer_too_slow"),
        (send(b'{"choices": [{"mess'), "not_a_completion"),
        (send(b'{"choices": "x"}'), "not_a_completion"),
        (send(completion("none")[:-5]), "not_a_completion"),
        (say("none", "content_filter"), "refused_by_the_model"),
        (fail(400, "too long"), "request_rejected"),
        (fail(413), "request_rejected"),
        (fail(403, "flagged by moderation"), "request_rejected"),
        (fail(500), "server_busy_or_broken"),
        (hang_up, "connection_lost"),
        (cut_off, "connection_lost"),
    ],
)
def test_answers_of_no_use_are_counted_by_reason(desk: Desk, mood: Mood, fault: str) -> None:
    tries = {"request_rejected": 1, "server_busy_or_broken": 8, "connection_lost": 8}.get(fault, 2)
    desk.server.moods = [GOOD]
    desk.annotate(EVE, max_answer_tokens=100)  # which is kept: no deadline counts for it
    deadline = 0.05 if fault == "answer_too_slow" else 60.0
    desk.server.always = mood
    report = desk.annotate(EVE, ADA, deadline=deadline, max_answer_tokens=100, overwrite=True)
    assert report.failures == {fault: 1}
    assert fault == "answer_too_slow" or len(desk.server.asked) == 1 + tries
    assert [row["text"] for row in desk.rows()] == [EVE]


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        (fail(401, "bad key"), "refuses the key (status 401: bad key); check the variable OPENAI_API_KEY"),
        (fail(402, "no balance"), "the account is used up"),
        (fail(429, "You have no quota", "insufficient_quota"), "the account is used up (status 429: You have no quota"),
        (fail(404, "no model m"), "has no model 'm', or isn't an endpoint (status 404: no model m)"),
        (send(b"", status=301, Location="https://elsewhere.example/v1"), "redirects to 'https://elsewhere"),
        (fail(429, "day limit", Retry_After="36000"), "asks for a pause of 36000 seconds (status 429: day limit)"),
    ],
)
def test_what_lasts_stops_the_run_at_once(desk: Desk, mood: Mood, words: str) -> None:
    desk.server.always = mood
    with raises(InputError, words) as raised:
        desk.annotate(*(f"Text {number}." for number in range(20)))
    assert str(raised.value).startswith(desk.server.address)
    assert "0 of 20 texts done" in str(raised.value)
    assert len(desk.server.asked) <= 3
    assert (desk.slept, desk.output.exists()) == ([], False)


def test_requests_in_flight_are_waited_for_when_another_stops_the_run(desk: Desk) -> None:
    def late(handler: Handler) -> None:
        while len(desk.server.asked) < 2:
            handler.server_state.ended.wait(0.005)
        handler.server_state.ended.wait(0.05)
        GOOD(handler)

    desk.server.moods = [late, fail(401)]
    with raises(InputError, "1 of 3 texts done"):
        desk.annotate(ADA, EVE, "More.", concurrency=2)
    assert len(desk.server.asked) == 2


def test_no_pause_outlasts_the_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert_annotate.annotate._sleep", SLEEP)

    def refuse(handler: Handler) -> None:
        while desk.server.at_once > 1:  # the other one has been told to wait
            handler.server_state.ended.wait(0.005)
        fail(401)(handler)

    desk.server.moods = [fail(429, Retry_After="299"), refuse]
    with raises(InputError, "refuses the key"):
        desk.annotate(ADA, EVE, concurrency=2)
    assert len(desk.server.asked) == 2


def test_a_server_of_something_else_is_told_after_some_texts(desk: Desk) -> None:
    desk.server.always = send(b"<!doctype html><p>Hello", "text/html")
    with raises(InputError, "3 texts in a row failed (max_failures), the last one: not_a_completion") as raised:
        desk.annotate(*(f"Text {number}." for number in range(20)), max_failures=3, max_answer_tokens=10)
    assert "most addresses end in /v1" in str(raised.value)


def test_no_server_at_all(desk: Desk) -> None:
    with raises(InputError, "can't be reached (ConnectError: "):
        desk.annotate(ADA, endpoint="http://127.0.0.1:1/v1")
    assert desk.slept == []


# The key


@pytest.fixture
def keyed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return desk


def test_the_key_goes_to_the_endpoint_alone(keyed: Desk) -> None:
    with model_server.serving() as other:
        keyed.annotate(ADA)
        keyed.server.always = send(b"", status=307, Location=f"{other.address}/chat/completions")
        with raises(InputError, "redirects to"):
            keyed.annotate(EVE, overwrite=True)
        assert other.asked == []
    headers = keyed.server.asked[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["user-agent"].startswith("nerbert/")


def test_another_variable_may_hold_the_key(keyed: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with raises(SettingsError, "the environment variable MY_KEY holds no key; set it", setting="key_variable"):
        keyed.annotate(ADA, key_variable="MY_KEY")
    monkeypatch.setenv("MY_KEY", " other-key\n")
    keyed.annotate(ADA, key_variable="MY_KEY")
    assert keyed.server.asked[0].headers["authorization"] == "Bearer other-key"
    monkeypatch.setenv("MY_KEY", "sécret\x00key"[:6])
    with raises(SettingsError, "holds what can't be a key", setting="key_variable") as raised:
        keyed.annotate(EVE, key_variable="MY_KEY", overwrite=True)
    assert "cret" not in str(raised.value)


ESCAPED = "".join(f"\\u{ord(char):04x}" for char in KEY)
ECHOES: list[Mood] = [
    fail(401, f"Incorrect key: {KEY}"),
    fail(500, f"key {KEY}"),
    fail(400, f"{'x' * 190}{KEY}"),
    send(json.dumps({"error": {"code": KEY, "message": [KEY]}}).encode(), status=404),
    send(f"<p>{KEY}".encode(), "text/html"),
    send(json.dumps({"choices": "x" * 70 + KEY}).encode()),
    send(f'{{"choices": [{{"message": {{"content": "{ESCAPED} <> x"}}}}]}}'.encode()),
    send(b"", status=307, Location=f"https://elsewhere.example/?key={KEY}"),
    send(b"{}", Set_Cookie=f"key={KEY}", X_Key=KEY),
]


@pytest.mark.parametrize("mood", ECHOES)
def test_a_key_that_the_server_sends_back_is_never_shown_or_kept(
    keyed: Desk, mood: Mood, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = ""
    keyed.server.always = mood
    try:
        keyed.annotate(ADA)
    except NerbertError as error:
        shown += "".join(traceback.format_exception(error))
    assert keyed.server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    told = capsys.readouterr()
    assert shown or told.err
    for part in (KEY, KEY[:12], KEY[-12:], ESCAPED):
        assert part not in shown + told.out + told.err
        assert part not in "".join(f"{record.getMessage()} {record.args}" for record in caplog.records)
        assert not [name for name, data in keyed.files().items() if part.encode() in data]


def test_a_key_in_the_address_is_refused(desk: Desk) -> None:
    for address in ("https://user:hunter22@example.com/v1", "https://example.com/v1?key=hunter22"):
        with raises(SettingsError, "put the key into an environment variable", setting="endpoint") as raised:
            desk.settings(endpoint=address)
        assert "hunter22" not in str(raised.value)


def test_a_key_over_http_is_told(keyed: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    with raises(InputError):
        keyed.annotate(ADA, endpoint="http://127.0.0.2:1/v1")
    assert "http://127.0.0.2:1/v1: the key travels unencrypted" in capsys.readouterr().err
