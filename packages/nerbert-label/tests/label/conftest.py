"""Servers of a labelling project, one of which can be killed and started again, and a browser."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from nerbert.entity_labels import parse_labels
from nerbert.tagger.tagger import Tagger
from nerbert_label.labelling import LabelJob, Labelling
from nerbert_label.routes import label_routes
from tests.serve.conftest import serve
from tests.serve.heads import DEADLINE, until
from tests.serve.page.conftest import browser, visit
from tests.serve.servers import ROOT, environment, inside, is_ready

__all__ = ["browser", "serve", "visit"]


@dataclass
class LabelServer:
    """A server of a labelling project, in the folder `work`."""

    url: str
    work: Path

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = httpx.get(f"{self.url}/label", timeout=DEADLINE).json()
        return state

    def labels(self) -> list[dict[str, Any]]:
        """Return the rows that are exported; each entity's text is where it says."""
        answer = httpx.get(f"{self.url}/label/export?format=jsonl", timeout=DEADLINE)
        rows = [json.loads(line) for line in answer.text.splitlines()] if answer.status_code == 200 else []
        assert all(row["text"][span["start"] : span["end"]] == span["text"] for row in rows for span in row["spans"])
        return rows


class LabelProcess(LabelServer):
    """`nerbert label` in a process of its own, always at the same port."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        super().__init__(f"http://127.0.0.1:{port}", folder / "work")
        self._log = folder / "log"
        self._asked = [
            sys.executable,
            "-m",
            "nerbert",
            "label",
            *arguments,
            "-o",
            str(self.work),
            "--no-browser",
            "--port",
            str(port),
        ]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._asked, cwd=ROOT, env=environment(), stdout=log, stderr=log)
        with httpx.Client(base_url=self.url) as client:
            until(lambda: is_ready(client) or self.process.poll() is not None, "the server is ready")
        assert self.process.poll() is None, self._log.read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End its process."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(DEADLINE)


@pytest.fixture(scope="module")
def labelling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LabelServer]]:
    """What serves lines of text, or files, to label: `labelling(lines, types)`; `nerbert label` with `process`."""
    tagger = Tagger.load("embedded-open", threads=1)
    with ExitStack() as stack:

        def make(lines: Sequence[str], types: str = "", *more: str, process: bool = False) -> LabelServer:
            folder = tmp_path_factory.mktemp("label")
            texts = folder / "texts.jsonl"
            texts.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
            files = (texts,) if lines else ()
            if process:
                server = LabelProcess(folder, *map(str, files), "--types", types, *more)
                stack.callback(server.stop)
                server.start()
                return server
            labels = tuple(parse_labels(types)) if types else ()
            work = Labelling(LabelJob(folder=folder / "work", files=files, types=labels))
            how: dict[str, Any] = {"operations": label_routes(work), "lifespan": work.run}
            running = stack.enter_context(inside(folder / "served", lambda _: tagger, **how))
            return LabelServer(running.url, folder / "work")

        yield make
