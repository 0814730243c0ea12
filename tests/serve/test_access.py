"""Who may ask, at which address, and what the log says of it."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from nerbert.serve.app import Access
from tests.commands import exit_code
from tests.serve.conftest import Serve
from tests.serve.heads import tagger_folder
from tests.serve.servers import HEAD, LABELS, Inside, Server, assert_fault, serving

TOKEN = "a-token-of-at-least-sixteen-characters"
BODY = {"text": "a ship", "labels": LABELS}
FOREIGN = "https://page.example"
Caught = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to serve by a command of this process, whose signals stay as they are."""
    monkeypatch.delenv("NERBERT_TOKEN", raising=False)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return tagger_folder(tmp_path / "told")


def ask(server: Server, **headers: str) -> httpx.Response:
    return server.clients[0].post("/tag", json=BODY, headers=headers)


def test_only_those_with_the_token_may_ask(serve: Serve) -> None:
    server = serve(access=Access(token=TOKEN))
    wrong = ["", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer \xff"]
    client = server.clients[0]
    for given in wrong:
        reply = client.post("/tag", json=BODY, headers=[(b"authorization", given.encode("latin-1"))])
        assert_fault(reply, 401, "a token is needed")
        assert reply.headers["www-authenticate"] == "Bearer"
    for path in ("/models", "/metrics", "/openapi.json", "/supportedentities", "/none", "/label"):
        assert_fault(client.get(path), 401)
    for path in ("/tag", "/", "/page/app.js"):
        assert_fault(client.post(path, content=b"{"), 401)
    assert client.head("/").status_code == 200
    assert [client.get(path).status_code for path in ("/healthz", "/ready", "/health", "/")] == [200] * 4
    for right in (f"Bearer {TOKEN}", f"bearer  {TOKEN}"):
        assert ask(server, authorization=right).status_code == 200
    description = client.get("/openapi.json", headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert description["paths"]["/tag"]["post"]["security"] == [{"token": []}]
    assert "security" not in description["paths"]["/ready"]["get"]


def test_the_page_runs_its_scripts_only(client: httpx.Client) -> None:
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert (page.status_code, "default-src 'none'" in policy, "unsafe" in policy) == (200, True, False)
    assert client.get("/page/app.js").headers["content-type"].startswith("text/javascript")
    for path in ("/page/..%2fapp.py", "/page/none.js", "/page/"):
        assert_fault(client.get(path), 404)


def test_what_is_refused_at_the_start(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught, server: Inside
) -> None:
    (tmp_path / "empty").write_text("")
    remote = "--host {0}: others could use this server; set a token"
    port = server.url.rpartition(":")[2]
    table: list[tuple[str, Sequence[object], str]] = [
        *(("", ("--host", host), remote.format(host)) for host in ("0.0.0.0", "192.0.2.1", "::", "example.org")),
        *((token, (), "printable ASCII") for token in ("short", "a" * 1001, "ä" * 20, "a\tb" * 10)),
        ("", ("--token-file", tmp_path / "empty"), "printable ASCII"),
        ("", ("--token-file", tmp_path / "none"), "can't be read"),
        (TOKEN, ("--no-token",), "--no-token: there is one"),
        (TOKEN, ("--host", "nowhere.invalid", "--port", 0), "nowhere.invalid:0: can't be listened on: "),
        ("", (tmp_path / "no-such-folder" / "x", "--port", 0), "no-such-folder"),
        ("", (folder,), "must be one model"),
        ("", ("--protocols", "tagg"), "protocol 'tagg': did you mean 'tag'?"),
        ("", ("--port", port), f"127.0.0.1:{port}: can't be listened on: Address already in use"),
        ("", ("--port", port), "; give another --port or --host"),
    ]
    for token, options, words in table:
        monkeypatch.setenv("NERBERT_TOKEN", token)
        assert exit_code("serve", folder, *HEAD, *options) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n"), err[:9]) == ("", 1, "nerbert: "), err
        assert words in err


def test_a_check_starts_nothing(folder: Path, capsys: Caught) -> None:
    assert exit_code("serve", folder, *HEAD, "--check") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"told: {folder}, " in out
    assert "POST http://127.0.0.1:8000/tag\n" in out


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://127.0.0.1.evil.example"])
def test_pages_of_others_may_not_ask(server: Inside, origin: str) -> None:
    assert_fault(ask(server, origin=origin), 403, "may not ask; allow them with --cors")
    assert_fault(server.clients[0].get("/models", headers={"origin": origin}), 403)
    preflight = {"origin": origin, "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in server.clients[0].options("/tag", headers=preflight).headers


def test_its_own_pages_may_ask_unless_their_name_leads_here(server: Inside) -> None:
    assert ask(server, origin=server.url).status_code == 200
    assert_fault(ask(server, origin="http://rebound.example:8000", host="rebound.example:8000"), 403, "not as 'rebound")


@pytest.mark.parametrize("allowed", [["*"], ["https://other.example", FOREIGN]])
def test_pages_that_are_allowed(serve: Serve, allowed: Sequence[str]) -> None:
    server = serve(access=Access(token=TOKEN, origins=allowed))
    preflight = server.clients[0].options(
        "/tag",
        headers={
            "origin": FOREIGN,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, content-type",
        },
    )
    right, refused = ask(server, origin=FOREIGN, authorization=f"Bearer {TOKEN}"), ask(server, origin=FOREIGN)
    assert_fault(refused, 401)  # which the page can read
    assert [preflight.status_code, right.status_code] == [200, 200]
    for reply in (preflight, right, refused):
        assert reply.headers["access-control-allow-origin"] == ("*" if allowed == ["*"] else FOREIGN)
    if "*" not in allowed:
        assert_fault(ask(server, origin="https://third.example", authorization=f"Bearer {TOKEN}"), 403)


def test_the_log_has_neither_texts_nor_tokens(tmp_path: Path) -> None:
    """The token is in a file; it is served at an address of IPv6, if there are any."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    host = "::1" if Path("/proc/net/if_inet6").exists() else "127.0.0.1"
    options = "--cors", FOREIGN, "--token-file", tmp_path / "token", "--host", host
    with serving(tmp_path / "told", *options, NERBERT_TOKEN="another one that is long enough") as server:
        secret = {"authorization": f"Bearer {TOKEN}", "origin": FOREIGN}
        client = server.clients[0]
        client.post("/tag", json={"text": "secretword ship", "labels": ["secretword"]}, headers=secret)
        client.post("/tag", json={"text": 3, "secretword": 1, "labels": ["secretword"]}, headers=secret)
        client.post("/tag?model=secretword", json=BODY, headers=secret)
        client.post("/models/told?labels=secretword", json={"inputs": "secretword"}, headers=secret)
        client.get("/secretword?secretword=1", headers=secret)
        client.post("/tag/stream?labels=secretword", content=b'{"text": "secretword"}\nsecretword\n', headers=secret)
        client.post("/tag", json=BODY, headers={"authorization": "Bearer secretword"})
        with closing(server.connection()) as connection:
            connection.connect()
            connection.send(b"secretword / HTTP/1.1\r\nsecretword\r\n\r\n")
            connection.sock.recv(1)
        assert server.stop() == 0
    log = server.log()
    assert sum(" ms " in line for line in log.splitlines()) >= 8
    assert "access: with a token" in log
    assert "POST /tag 200 " in log
    assert "secretword" not in log
    assert TOKEN[:8] not in log
