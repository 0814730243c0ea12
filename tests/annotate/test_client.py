"""Servers that misbehave, and the key, which must not get out."""

import gzip
import json
import logging
import traceback
from collections.abc import Callable

import pytest

from nerbert.annotate import asking
from nerbert.errors import InputError, NerbertError, SettingsError
from tests.annotate.conftest import Desk
from tests.annotate.model_server import (
    LATER,
    Handler,
    Mood,
    completion,
    cut_off,
    drip,
    endless,
    fail,
    hang_up,
    say,
    send,
    serving,
    silent,
)

ADA, EVE = "Ada met Bob.", "Eve left."
KEY = 'sk-"secret\\0123456789/abc+'
GOOD = say("none")
SLEEP = asking._sleep


@pytest.mark.parametrize(
    ("mood", "pause"),
    [
        (fail(429, Retry_After="7"), 7.0),
        (fail(429, Retry_After=LATER), 42.0),
        (fail(503, Retry_After="299"), 299.0),
    ],
)
def test_a_pause_that_the_server_asks_for_is_made(desk: Desk, mood: Mood, pause: float) -> None:
    desk.server.moods = [mood]
    assert desk.annotate(ADA).answered == 1
    assert desk.slept[0] == pause
    assert desk.server.passages == [ADA, ADA]


def test_each_kind_of_fault_has_its_own_tries(desk: Desk) -> None:
    desk.server.moods = [fail(500), fail(429), say("Sorry."), fail(500)]
    assert (desk.annotate(ADA).answered, len(desk.server.asked)) == (1, 5)


def test_all_requests_wait_when_the_server_asks_for_it(desk: Desk) -> None:
    desk.server.moods = [fail(429, Retry_After="200")]
    desk.annotate(ADA, EVE)
    assert desk.server.passages == [ADA, ADA, EVE]
    assert len(desk.slept) == 3  # after the answer, and before both that follow, since no clock goes on here
    assert desk.slept[0] == 200
    assert min(desk.slept) > 0


def test_a_pause_that_is_too_long_stops_the_run(desk: Desk) -> None:
    desk.server.moods = [GOOD, fail(429, "day limit", Retry_After="36000")]
    with pytest.raises(InputError, match=r"asks for a pause of 36000 seconds \(status 429: day limit\).*1 of 2 texts"):
        desk.annotate(ADA, EVE)
    assert desk.slept == []


@pytest.mark.parametrize("mood", [fail(500), fail(429), fail(529), send(b"<html>busy", "text/html", 502), hang_up])
def test_what_may_pass_is_tried_again_with_growing_pauses(desk: Desk, mood: Mood) -> None:
    desk.server.moods = [mood] * 3
    report = desk.annotate(ADA)
    assert (report.answered, len(desk.server.asked)) == (1, 4)
    assert [1 <= desk.slept[0] <= 1.3, 2 <= desk.slept[1] <= 2.5, 4 <= desk.slept[2] <= 5] == [True] * 3


@pytest.mark.parametrize(
    ("mood", "fault"),
    [(fail(500), "server_busy_or_broken"), (hang_up, "connection_lost"), (cut_off, "connection_lost")],
)
def test_after_many_tries_a_text_has_failed(desk: Desk, mood: Mood, fault: str) -> None:
    desk.server.moods = [GOOD]
    desk.server.always = mood
    report = desk.annotate(EVE, ADA)
    assert report.failures == {fault: 1}
    assert len(desk.server.asked) == 9
    assert [row["text"] for row in desk.rows()] == [EVE]


def test_an_answer_that_is_cut_off_counts_at_its_most(desk: Desk) -> None:
    desk.server.moods = [cut_off]
    report = desk.annotate(ADA, max_answer_tokens=500)
    assert report.tokens_are_estimated
    assert report.output_tokens == 500 + 10
    assert desk.annotate(ADA, max_answer_tokens=500, overwrite=True).output_tokens == 510  # in later runs too


@pytest.mark.parametrize(
    ("mood", "fault"),
    [
        (endless(), "answer_too_large"),
        (endless(500), "answer_too_large"),
        (drip, "answer_too_slow"),
        (silent, "answer_too_slow"),
        (send(b'{"choices": [{"mess'), "not_a_completion"),
        (send(b'{"choices": "x"}'), "not_a_completion"),
        (send(completion("none")[:-5]), "not_a_completion"),
        (say('{"entities": []}', "content_filter"), "refused_by_the_model"),
        (fail(400, "too long"), "request_rejected"),
        (fail(413), "request_rejected"),
        (fail(403, "flagged by moderation"), "request_rejected"),
    ],
)
def test_answers_of_no_use_are_counted_by_reason(desk: Desk, mood: Mood, fault: str) -> None:
    desk.server.moods = [GOOD, mood, mood]
    deadline = 0.2 if fault == "answer_too_slow" else 60.0
    report = desk.annotate(EVE, ADA, deadline=deadline, max_answer_tokens=100)
    assert report.failures == {fault: 1}
    assert [row["text"] for row in desk.rows()] == [EVE]


@pytest.mark.parametrize(
    ("mood", "message"),
    [
        (fail(401, "bad key"), r"refuses the key \(status 401: bad key\); check the variable OPENAI_API_KEY"),
        (fail(402, "no balance"), "the account is used up"),
        (fail(429, "You have no quota", "insufficient_quota"), "the account is used up .*You have no quota"),
        (fail(404, "no model m"), r"has no model 'm', or isn't an endpoint \(status 404: no model m\)"),
        (send(b"<!doctype html><p>Hello", "text/html"), "does not answer as a model does"),
        (send(b"hello", "text/plain"), "does not answer as a model does"),
        (send(b'{"ok": true}'), "does not answer as a model does .*choices"),
        (send(b"", status=301, Location="https://elsewhere.example/v1"), "redirects to 'https://elsewhere"),
        (send(gzip.compress(completion("none")), Content_Encoding="gzip"), "sends compressed answers"),
    ],
)
def test_what_lasts_stops_the_run_at_once(desk: Desk, mood: Mood, message: str) -> None:
    desk.server.always = mood
    with pytest.raises(InputError, match=message) as raised:
        desk.annotate(*(f"Text {number}." for number in range(20)))
    assert str(raised.value).startswith(desk.server.address)
    assert len(desk.server.asked) <= 3
    assert not desk.output.exists()


def test_requests_in_flight_are_waited_for_when_another_stops_the_run(desk: Desk) -> None:
    def late(handler: Handler) -> None:
        while len(desk.server.asked) < 2:
            handler.server_state.ended.wait(0.005)
        handler.server_state.ended.wait(0.05)
        GOOD(handler)

    desk.server.moods = [late, fail(401)]
    with pytest.raises(InputError, match="1 of 3 texts done"):
        desk.annotate(ADA, EVE, "More.", concurrency=2)
    assert len(desk.server.asked) == 2


def test_no_pause_outlasts_the_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.annotate.asking._sleep", SLEEP)

    def refuse(handler: Handler) -> None:
        while desk.server.at_once > 1:  # the other one has been told to wait
            handler.server_state.ended.wait(0.005)
        fail(401)(handler)

    desk.server.moods = [fail(429, Retry_After="299"), refuse]
    with pytest.raises(InputError, match="refuses the key"):
        desk.annotate(ADA, EVE, concurrency=2)
    assert len(desk.server.asked) == 2


def test_no_server_at_all(desk: Desk) -> None:
    with pytest.raises(InputError, match=r"can't be reached \(ConnectError: .*\); is the server running"):
        desk.annotate(ADA, endpoint="http://127.0.0.1:1/v1")
    assert desk.slept == []


def test_a_strange_answer_is_asked_for_again(desk: Desk) -> None:
    desk.server.moods = [send(b'{"choices": [{"mess')]
    report = desk.annotate(ADA)
    assert (report.answered, len(desk.server.asked)) == (1, 2)


# The key


@pytest.fixture
def keyed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return desk


def test_the_key_goes_to_the_endpoint_and_nothing_else_of_the_environment(
    keyed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as other:
        monkeypatch.setenv("OPENAI_BASE_URL", other.address)
        for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "OPENAI_WEBHOOK_SECRET"):
            monkeypatch.setenv(name, "of-another-project")
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Other: of-another-project\nAuthorization: of-another-project")
        keyed.annotate(ADA)
        keyed.server.always = send(b"", status=307, Location=f"{other.address}/chat/completions")
        with pytest.raises(InputError, match="redirects to"):
            keyed.annotate(EVE, overwrite=True)
        assert other.asked == []
    headers = keyed.server.asked[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "of-another-project" not in str(headers)
    assert headers["user-agent"].startswith("nerbert/")


def test_without_a_key_none_is_sent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "of-another-project")
    desk.annotate(ADA)
    assert "authorization" not in desk.server.asked[0].headers


def test_another_variable_may_hold_the_key(keyed: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="the environment variable MY_KEY holds no key; set it"):
        keyed.annotate(ADA, key_variable="MY_KEY")
    monkeypatch.setenv("MY_KEY", " other-key\n")
    keyed.annotate(ADA, key_variable="MY_KEY")
    assert keyed.server.asked[0].headers["authorization"] == "Bearer other-key"
    monkeypatch.setenv("MY_KEY", "sécret\x00key"[:6])
    with pytest.raises(SettingsError, match="holds what can't be a key") as raised:
        keyed.annotate(EVE, key_variable="MY_KEY", overwrite=True)
    assert "cret" not in str(raised.value)


ESCAPED = "".join(f"\\u{ord(char):04x}" for char in KEY)
ECHOES: list[Callable[[], Mood]] = [
    lambda: fail(401, f"Incorrect key: {KEY}"),
    lambda: fail(500, f"key {KEY}"),
    lambda: fail(400, f"{'x' * 190}{KEY}"),
    lambda: send(f'{{"error": "{ESCAPED}"}}'.encode(), status=401),
    lambda: send(json.dumps({"error": {"code": KEY, "message": [KEY]}}).encode(), status=404),
    lambda: send(f"<p>{KEY}".encode(), "text/html"),
    lambda: send(json.dumps({"choices": KEY}).encode()),
    lambda: send(json.dumps({"choices": "x" * 70 + KEY}).encode()),
    lambda: send(f'{{"choices": [{{"message": {{"content": "Ada <> {ESCAPED}"}}}}]}}'.encode()),
    lambda: send(f'{{"choices": [{{"message": {{"content": "{ESCAPED} <> x"}}}}]}}'.encode()),
    lambda: send(f'{{"choices": "{ESCAPED}"}}'.encode()),
    lambda: send(b"", status=307, Location=f"https://elsewhere.example/?key={KEY}"),
    lambda: send(b"{}", Set_Cookie=f"key={KEY}", X_Key=KEY),
]


@pytest.mark.parametrize("number", range(len(ECHOES)))
def test_a_key_that_the_server_sends_back_is_never_shown_or_kept(
    keyed: Desk, number: int, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = ""
    keyed.server.always = ECHOES[number]()
    for prompt in ("lines-1", "json-1"):
        try:
            keyed.annotate(ADA, prompt=prompt, overwrite=True)
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
        with pytest.raises(SettingsError, match="put the key into an environment variable") as raised:
            desk.settings(endpoint=address)
        assert "hunter22" not in str(raised.value)


def test_a_key_over_http_is_told(keyed: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="can't be reached"):
        keyed.annotate(ADA, endpoint="http://127.0.0.2:1/v1")
    assert "http://127.0.0.2:1/v1: the key travels unencrypted" in capsys.readouterr().err
