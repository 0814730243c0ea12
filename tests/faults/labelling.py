"""`nerbert label` at a desk: a page that outlives its servers and sends each action until it is answered."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.faults.harness import Command, Desk, Running, wait_for

UNSAVED = (422, 507)
"""Statuses of what can't be read, or be written."""
ANSWERS = ("accept", "accept", "reject", "undo", "skip", "accept", "undo", "accept", "accept", "reject")
ADDRESS = re.compile(r"address: (http://\S+)$", re.MULTILINE)


class Page:
    """What a page does: each action is sent until it is answered, under one name, to whichever server is there."""

    def __init__(self) -> None:
        self._left, self._item, self._actions = 2 * len(ANSWERS), dict[str, Any](), iter(self._script())
        self._next: tuple[str, dict[str, Any]] | None = next(self._actions)

    def _script(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, answer in enumerate(ANSWERS):
            named = {"tab": "a", "request": f"r{number}"}
            if answer == "undo":
                yield "undo", named
                continue
            yield "next", {"tab": "a"}
            text, item = self._item["text"], self._item
            entities = [{"start": 0, "end": len(text.split()[0]), "type": "ship"}]
            yield "save", named | {"id": item["id"], "revision": item["revision"], "entities": entities,
                                   "answer": answer}  # fmt: skip

    def talk(self, client: httpx.Client) -> bool:
        """Send what isn't answered yet; stop where something can't be saved or read; False if the server is gone."""
        try:
            client.get("/ready")  # with nothing to say, it would be stopped before it can be
            return self._talk(client)
        except httpx.TransportError:
            return False

    def _talk(self, client: httpx.Client) -> bool:
        while self._next is not None:
            what, body = self._next
            answer = client.post(f"/label/{what}", json=body)
            if answer.status_code in UNSAVED:
                error = answer.json()["error"]
                assert "\n" not in error, error
                return True
            assert answer.status_code == 200, answer.text
            self._item = answer.json().get("item") or self._item
            self._next = next(self._actions, None)
        return True


class LabelDesk(Desk):
    """A desk at which a page talks to the command; the page outlives its servers."""

    def __init__(self, folder: Path, command: Command) -> None:
        self._pages = dict[Path, Page]()
        super().__init__(folder, command)

    def talk(self, run: Path, running: Running) -> None:
        page = self._pages.setdefault(run, Page())
        wait_for(lambda: ADDRESS.search(running.told()) or running.process.poll() is not None, "no address")
        if found := ADDRESS.search(running.told()):
            with httpx.Client(base_url=found[1], trust_env=False, timeout=300) as client:
                is_there = page.talk(client)
            if is_there:
                running.send(signal.SIGTERM)
