"""Who may ask, at which address, and what the log says of it."""

import signal
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.serve.conftest import Serve
from tests.serve.heads import tagger_folder
from tests.serve.raw import answer, post
from tests.serve.servers import HEAD, LABELS, ROOT, Server, assert_fault, command, environment

TOKEN = "a token of at least sixteen characters".replace(" ", "-")
BODY = {"text": "a ship", "labels": LABELS}
FOREIGN = "https://page.example"


def fails(folder: Path, *options: object, **variables: str) -> str:
    """Return the one line with which a server doesn't start."""
    asked = command(folder, *HEAD, *options)
    done = subprocess.run(asked, cwd=ROOT, env=environment(**variables), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nerbert: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tagger_folder(tmp_path / "told")


def ask(server: Server, **headers: str) -> httpx.Response:
    return server.clients[0].post(
        "/tag", json=BODY, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def test_only_those_with_the_token_may_ask(serve: Serve) -> None:
    server = serve(NERBERT_TOKEN=TOKEN)
    assert "access: with a token" in server.log()
    wrong = [
        "",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        "Bearer",
        "Bearer \xff",
        f"Bearer {TOKEN} {TOKEN}",
    ]
    client = server.clients[0]
    for each in wrong:
        reply = client.post("/tag", json=BODY, headers=[(b"authorization", each.encode("latin-1"))])
        assert_fault(reply, 401, "a token is needed")
        assert reply.headers["www-authenticate"] == "Bearer"
    for path in ("/models", "/metrics", "/openapi.json", "/supportedentities", "/none"):
        assert_fault(client.get(path), 401)
    assert_fault(client.post("/tag", content=b"{"), 401)
    for path in ("/healthz", "/ready", "/health"):
        assert client.get(path).status_code == 200
    for right in (f"Bearer {TOKEN}", f"bearer  {TOKEN}"):
        assert ask(server, authorization=right).status_code == 200
    assert TOKEN not in server.log()
    description = client.get("/openapi.json", headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert description["paths"]["/tag"]["post"]["security"] == [{"token": []}]
    assert "security" not in description["paths"]["/ready"]["get"]


def test_a_token_in_a_file(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    server = serve("--token-file", tmp_path / "token", NERBERT_TOKEN="another one that is long enough")
    assert ask(server).status_code == 401
    assert ask(server, authorization=f"Bearer {TOKEN}").status_code == 200


def test_what_is_refused_at_the_start(folder: Path, tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::", "example.org"):
        assert f"--host {host}: others could use this server; set a token" in fails(folder, "--host", host)
    for token in ("short", "a" * 1001, "ä" * 20, "a\tb" * 10):
        assert "printable ASCII" in fails(folder, NERBERT_TOKEN=token)
    (tmp_path / "empty").write_text("")
    assert "printable ASCII" in fails(folder, "--token-file", tmp_path / "empty")
    assert "can't be read" in fails(folder, "--token-file", tmp_path / "none")
    assert "--no-token: there is one" in fails(folder, "--no-token", NERBERT_TOKEN=TOKEN)
    assert "nowhere.invalid" in fails(folder, "--host", "nowhere.invalid", NERBERT_TOKEN=TOKEN)
    assert "no-such-folder" in fails(tmp_path / "no-such-folder" / "x")
    assert "have one name" in fails(folder, folder)
    assert "protocol 'tagg': did you mean 'tag'?" in fails(folder, "--protocols", "tagg")


def test_anyone_who_reaches_it(serve: Serve) -> None:
    server = serve("--host", "0.0.0.0", "--no-token")
    server.url = server.url.replace("0.0.0.0", "127.0.0.1")
    with server.client() as client:
        assert client.post("/tag", json=BODY).status_code == 200
    assert "access: anyone who reaches it" in server.log()


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://localhost:1", "http://127.0.0.1.evil.example"])
def test_pages_of_others_may_not_ask(server: Server, origin: str) -> None:
    assert_fault(ask(server, origin=origin), 403, "may not ask; allow them with --cors")
    assert_fault(server.clients[0].get("/models", headers={"origin": origin}), 403)
    preflight = {"origin": origin, "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in server.clients[0].options("/tag", headers=preflight).headers


def test_its_own_pages_may_ask(server: Server) -> None:
    assert ask(server, origin=server.url).status_code == 200


def test_a_page_whose_name_leads_here_may_not_ask(server: Server) -> None:
    assert ask(server, origin="http://rebound.example:8000", host="rebound.example:8000").status_code in (400, 403, 421)


@pytest.mark.parametrize("allowed", [[FOREIGN], ["*"], ["https://other.example", FOREIGN]])
def test_pages_that_are_allowed(serve: Serve, allowed: Sequence[str]) -> None:
    server = serve("--cors", *allowed, NERBERT_TOKEN=TOKEN)
    preflight = server.clients[0].options("/tag", headers={
        "origin": FOREIGN, "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type",
    })  # fmt: skip
    named = "*" if allowed == ["*"] else FOREIGN
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, named)
    reply = ask(server, origin=FOREIGN, authorization=f"Bearer {TOKEN}")
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, named)
    if "*" not in allowed:
        assert_fault(ask(server, origin="https://third.example", authorization=f"Bearer {TOKEN}"), 403)


def test_allowed_pages_can_read_a_refusal(serve: Serve) -> None:
    server = serve("--cors", FOREIGN, NERBERT_TOKEN=TOKEN)
    reply = ask(server, origin=FOREIGN)
    assert_fault(reply, 401)
    assert reply.headers.get("access-control-allow-origin") == FOREIGN


def test_two_servers_at_one_port(server: Server, folder: Path) -> None:
    port = server.url.rpartition(":")[2]
    asked = [part if part != "0" else port for part in command(folder, *HEAD)]
    done = subprocess.run(asked, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"nerbert: 127.0.0.1:{port}: can't be listened on: Address already in use")
    assert done.stderr.endswith("give another --port or --host\n")
    assert done.stderr.count("\n") == 1


def test_a_check_starts_nothing(folder: Path) -> None:
    done = subprocess.run(
        command(folder, *HEAD, "--check"), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"told: {folder}, " in done.stdout
    assert "memory: at most " in done.stdout


def test_an_address_of_ipv6(serve: Serve) -> None:
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    server = serve("--host", "::1")
    assert server.url.startswith("http://[::1]:")
    assert server.tag("a ship").status_code == 200


def test_the_log_has_neither_texts_nor_tokens(serve: Serve) -> None:
    server = serve(NERBERT_TOKEN=TOKEN)
    secret = {"authorization": f"Bearer {TOKEN}", "origin": server.url}
    client = server.clients[0]
    client.post("/tag", json={"text": "secretword ship", "labels": ["secretword"]}, headers=secret)
    client.post("/tag", json={"text": 3, "secretword": 1, "labels": ["secretword"]}, headers=secret)
    client.post("/tag?model=secretword", json=BODY, headers=secret)
    client.post("/models/secretword?labels=secretword", json={"inputs": "secretword"}, headers=secret)
    client.post("/models/told?labels=secretword", json={"inputs": "secretword"}, headers=secret)
    client.get("/secretword?secretword=1", headers=secret)
    client.post("/tag/stream?labels=secretword", content=b'{"text": "secretword"}\nsecretword\n', headers=secret)
    client.post("/tag", json=BODY, headers={"authorization": "Bearer secretword"})
    with closing(server.connect()) as connection:
        connection.sendall(b"secretword / HTTP/1.1\r\nsecretword\r\n\r\n")
        connection.recv(1)
    with closing(server.connect()) as connection:
        connection.sendall(post("/secretword", b"secretword"))
        assert answer(connection)[0] == 401
    assert server.stop(signal.SIGTERM) == 0
    log = server.log()
    assert sum(" ms " in line for line in log.splitlines()) >= 10
    assert "POST /tag 200 " in log
    assert "secretword" not in log
    assert TOKEN not in log
    assert TOKEN[:8] not in log
