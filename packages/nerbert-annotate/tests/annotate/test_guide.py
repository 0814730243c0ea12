"""The commands and Python of the how-to page and the README run, against a server of the tests' own."""

import re
import shlex
from pathlib import Path

import pytest

from tests.annotate.conftest import Desk
from tests.commands import exit_code

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("name", "files"), [("docs/how-to/annotate.md", 5), ("packages/nerbert-annotate/README.md", 2)]
)
def test_a_page(name: str, files: int, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("notes.txt").write_text("Ada met Bob.\nEve left.\n")
    page = (ROOT / name).read_text(encoding="utf-8").replace("http://localhost:8000/v1", desk.server.address)
    made = set()
    for language, body in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if language == "toml":
            Path("chemicals.toml").write_text(body)
            desk.server.label = lambda passage: f"{passage.splitlines()[-1].split()[0]} <> chemical"
        elif language == "sh":
            name, *arguments = shlex.split(body.replace("\\\n", ""))
            assert name == "nerbert"
            assert exit_code(*arguments) == 0
            made.add(arguments[arguments.index("-o") + 1])
        elif language == "python":
            exec(compile(body, name, "exec"), {})
            made.add("from-python.jsonl")
    assert made == {path.name for path in tmp_path.glob("*.jsonl")}
    assert len(made) == files
