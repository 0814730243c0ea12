"""A hub that lies: a name is refused in one line, nothing half fetched is used, and an honest hub may be asked next.

Only what huggingface_hub checks is here: its caller can't check what a hub says before its files are written.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.model.download import download

COMMIT, LATER = "c0ffee" * 6 + "abcd", "beef" * 10
FILES = {"config.json": b"{}", "README.md": b"read me", "model.safetensors": bytes(1000)}
OUTSIDE = {"/evil.json": b"{}", "../../../../evil.json": b"{}", "a/../../../../../evil.json": b"{}"}


@dataclass
class LyingHub:
    """A hub with one model, `me/ships`: what it says in place of the truth."""

    about: object = field(default_factory=lambda: {"id": "me/ships", "sha": COMMIT})
    page: bytes = b""
    """In place of anything in JSON."""
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    headers: dict[str, str] = field(default_factory=dict)


class HubHandler(BaseHTTPRequestHandler):
    """Answers as huggingface.co does to one who fetches a model."""

    hub: LyingHub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET(body=False)

    def do_GET(self, *, body: bool = True) -> None:
        """Answer about the model, about its files, or with one."""
        hub, path, more = self.hub, self.path.partition("?")[0], dict[str, str]()
        if path.startswith("/api/"):
            rows = [{"type": "file", "path": name, "size": len(each), "oid": "a" * 40}
                    for name, each in hub.files.items()]  # fmt: skip
            content = hub.page or json.dumps(rows if "/tree/" in path else hub.about).encode()
        else:
            content = hub.files[path.partition("/resolve/")[2].partition("/")[2]]
            more = {"ETag": f'"{len(content):040}"', "X-Repo-Commit": path.split("/")[4]} | hub.headers
        self.send_response(200)
        for name, value in ({"Content-Length": str(len(content))} | more).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LyingHub]:
    """A hub that huggingface_hub asks."""
    hub = LyingHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (HubHandler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("no_proxy", "*")
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    constants = {"ENDPOINT": address, "HF_HUB_OFFLINE": False, "HUGGINGFACE_CO_URL_TEMPLATE": template}
    for name, value in constants.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    yield hub
    server.shutdown()
    server.server_close()


LIES: dict[str, LyingHub] = {
    "a web page": LyingHub(page=b"<!DOCTYPE html><html>log in</html>"),
    "JSON cut off": LyingHub(page=b'{"id": "me/ships", "sha": "c0'),
    "too deep": LyingHub(page=b"[" * 100_000),
    "not UTF-8": LyingHub(page=b'{"id": "\xff"}'),
    "a list": LyingHub(about=[]),
    "nothing": LyingHub(about=None),
    "no commit": LyingHub(about={"id": "me/ships"}),
    "a commit that is a number": LyingHub(about={"id": "me/ships", "sha": 7}),
    "names outside": LyingHub(files=FILES | OUTSIDE),
    "a commit outside": LyingHub(headers={"X-Repo-Commit": "../../../../evil"}),
    "too short": LyingHub(headers={"Content-Length": "5000"}),
    "a length of letters": LyingHub(headers={"Content-Length": "many"}),
    "packed": LyingHub(headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize(
    "lie", [pytest.param(each, marks=[pytest.mark.nightly] * (each == "too short")) for each in LIES]
)
def test_a_hub_that_lies_is_refused_in_one_line(hub: LyingHub, tmp_path: Path, lie: str) -> None:
    """The slow one is asked again and again by huggingface_hub, with pauses."""
    cache = tmp_path / "a" / "b" / "c" / "d"
    hub.__dict__.update(vars(LIES[lie]))
    with pytest.raises(InputError, match=r"^me/ships: no such folder, and not available from the hub: ") as raised:
        download("me/ships", ["*.json", "README.md", "*.safetensors"], cache_dir=str(cache))
    assert (str(raised.value).isprintable(), len(str(raised.value)) < 600) == (True, True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and cache not in path.parents]
    hub.__dict__.update(vars(LyingHub(about={"id": "me/ships", "sha": LATER})))
    folder = download("me/ships", ["*.json", "README.md", "*.safetensors"], cache_dir=str(cache))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
