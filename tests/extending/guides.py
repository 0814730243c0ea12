"""The examples of docs/extending, to be run."""

import re
import shlex
from pathlib import Path

import pytest

from tests.commands import exit_code

GUIDES = Path(__file__).parents[2] / "docs" / "extending"


def blocks(guide: str, language: str) -> list[str]:
    """Return a guide's examples in a language."""
    text = (GUIDES / guide).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def module(guide: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Save a guide's first example in Python as a module that can be imported."""
    (folder / f"{name}.py").write_text(blocks(guide, "python")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(folder)


def run_commands(lines: str) -> None:
    """Run a guide's commands of nerbert in this process."""
    for line in lines.replace("\\\n", " ").splitlines():
        if line.startswith("nerbert "):
            assert exit_code(*shlex.split(line)[1:]) == 0, line
