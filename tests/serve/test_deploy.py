"""The Containerfile and the systemd unit: the server takes their options, and each of their lines is explained."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

from nerbert.cli import app
from nerbert.serve.routes import status_routes

DEPLOY = Path(__file__).parents[2] / "deploy"


def lines(name: str) -> dict[str, str]:
    """Return the values of a file's lines, by instruction or setting; of several, the last."""
    text = (DEPLOY / name).read_text(encoding="utf-8").replace("\\\n", " ")
    return dict(re.findall(r"^(\w+)[ =](.*)$", text, re.MULTILINE))


def parsed(command: list[str]) -> dict[str, Any]:
    """Return what the command line gives to `serve`."""
    program, *arguments = command
    assert Path(program).name == "nerbert"
    function, bound, *_ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    assert function.__name__ == "serve"
    return dict(bound.arguments)


def test_the_image_starts_a_server() -> None:
    image = lines("Containerfile")
    given = parsed([*json.loads(image["ENTRYPOINT"]), *json.loads(image["CMD"])])
    assert given == {"taggers": ("/model",), "host": "0.0.0.0", "port": int(image["EXPOSE"])}
    uid, gid = map(int, image["USER"].split(":"))
    assert uid >= 1000
    assert gid >= 1000


def test_the_health_check_asks_what_needs_no_token() -> None:
    image = lines("Containerfile")
    program, option, code = json.loads(image["HEALTHCHECK"].partition(" CMD ")[2])
    assert (program, option) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")
    (port, path) = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)'", code)[0]
    assert port == image["EXPOSE"]
    assert path in {each.path for each in status_routes(None) if each.open}  # type: ignore[arg-type]


def test_the_unit_starts_a_server() -> None:
    unit = lines("nerbert.service")
    given = parsed(shlex.split(unit["ExecStart"]))
    assert given["host"] == "127.0.0.1"
    assert given["token_file"] == Path("${CREDENTIALS_DIRECTORY}/token")
    assert unit["LoadCredential"].startswith("token:")
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
