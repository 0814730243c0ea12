"""What the tests of annotating share."""

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nerbert_annotate.annotate import AnnotateReport, annotate_texts
from nerbert_annotate.settings import AnnotateSettings
from tests.annotate.model_server import ModelServer, serving

CERTIFICATES = ssl.create_default_context()  # reading them takes a while


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving() as server:
        yield server


@dataclass
class Desk:
    """A folder with texts, a server, and the pauses that were made."""

    server: ModelServer
    folder: Path
    slept: list[float] = field(default_factory=list)

    @property
    def output(self) -> Path:
        return self.folder / "out.jsonl"

    def settings(self, **changes: Any) -> AnnotateSettings:
        given: dict[str, Any] = {
            "endpoint": self.server.address,
            "model": "m",
            "concurrency": 1,
            "cache": str(self.folder / "cache"),
        }
        return AnnotateSettings(**(given | changes))

    def annotate(self, *lines: str, overwrite: bool = False, **changes: Any) -> AnnotateReport:
        texts = self.folder / "texts.txt"
        texts.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return annotate_texts([texts], self.output, self.settings(**changes), overwrite=overwrite)

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.read_text(encoding="utf-8").splitlines()]

    def entities(self) -> list[set[tuple[int, int, str, str]]]:
        """Return the entities of each row: start, end, type, description."""
        return [
            {(each["start"], each["end"], each["type"], each.get("description", "")) for each in row["entities"]}
            for row in self.rows()
        ]

    def files(self) -> dict[str, bytes]:
        """All that was written, by name."""
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def desk(server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(server, tmp_path)

    async def sleep(seconds: float, _: object) -> None:
        desk.slept.append(seconds)

    monkeypatch.setattr("nerbert_annotate.annotate._sleep", sleep)
    monkeypatch.setattr("nerbert_annotate.client.ssl.create_default_context", lambda: CERTIFICATES)
    return desk
