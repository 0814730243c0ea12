"""A protocol that only these tests know is served by its name, alone or beside built-in ones."""

import subprocess
from pathlib import Path

import pytest

from tests.serve.heads import tagger_folder
from tests.serve.servers import HEAD, ROOT, assert_fault, command, environment, serving

NAME = "tests.extending.toys.protocol_toy:operations"


def test_a_named_protocol_answers(tmp_path: Path) -> None:
    with serving(tmp_path / "told", "--protocols", NAME, "tag") as server:
        client = server.clients[0]
        answer = client.post("/lines?labels=ship,port", json={"content": "a ship in Port"})
        assert (answer.text, answer.headers["content-type"]) == (
            "ship\tship\nport\tPort\n",
            "text/plain; charset=utf-8",
        )
        assert_fault(client.post("/lines?labels=ship", json={"contents": "a"}), 422, "content is missing")
        assert_fault(client.post("/lines", json={"content": "a"}), 422, "give labels")
        assert server.tag("a ship").status_code == 200
        assert_fault(client.post("/gliner", json={"text": "a", "labels": ["ship"]}), 404)
        paths = client.get("/openapi.json").json()["paths"]
        assert {"/lines", "/tag", "/models"} <= set(paths)
        assert "/gliner" not in paths
        assert set(paths["/lines"]) == {"get", "post"}
        server.logged("POST /lines 200")


def test_an_operation_without_a_body_tags(tmp_path: Path) -> None:
    with serving(tmp_path / "told", "--protocols", NAME) as server:
        answer = server.clients[0].get("/lines", params={"labels": "ship", "content": "a ship"})
        assert answer.text == "ship\tship\n"


@pytest.mark.parametrize("name", ["tests.extending.toys.protocol_toy:none", "no_such_module:operations", "tagg"])
def test_a_protocol_that_is_not_there_is_one_line(tmp_path: Path, name: str) -> None:
    asked = command(tagger_folder(tmp_path / "told"), *HEAD, "--protocols", name)
    done = subprocess.run(asked, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"nerbert: protocol '{name}': ")
    assert done.stderr.count("\n") == 1
