"""The guide to protocols is true: its example answers."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from nerbert.registry import PROTOCOLS
from nerbert.serve.app import Access, application
from nerbert.serve.metrics import Metrics
from nerbert.serve.service import Service
from nerbert.serve.settings import Limits
from nerbert.tagger.tagger import Tagger
from tests.extending.test_guides import module

TEXT = "The brig Margarethe was built by Larsen & Holm in Bergen."


def ask(service: Service, *requests: tuple[str, str, Any]) -> list[httpx.Response]:
    """Return the answers of a server with the guide's protocol to requests of method, path and body."""

    async def answers() -> list[httpx.Response]:
        app = application(service, PROTOCOLS.find("mask:operations")(), Access(), Metrics())
        service.start()
        try:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
                return [await client.request(method, path, json=body) for method, path, body in requests]
        finally:
            await service.stop()

    return asyncio.run(answers())


def test_the_protocol_answers(tiny_tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module("protocol.md", "mask", tmp_path, monkeypatch)
    tagger = Tagger.load(tiny_tagger, threads=1)
    spans = tagger.tag(TEXT)
    assert spans
    kept = TEXT
    for each in reversed(spans):
        kept = f"{kept[: each.start]}<{each.type}>{kept[each.end :]}"
    one = spans[0].type
    service = Service({"ships": "folder"}, lambda _: tagger, Limits())
    whole, some, number, unknown, description = ask(
        service,
        ("POST", "/mask", {"content": TEXT}),
        ("POST", "/mask?model=ships", {"content": TEXT, "kinds": [one]}),
        ("POST", "/mask", {"content": 1}),
        ("POST", "/mask?model=planes", {"content": TEXT}),
        ("GET", "/openapi.json", None),
    )
    assert whole.json() == {"content": kept, "masked": len(spans)}
    assert some.json()["masked"] == sum(each.type == one for each in spans)
    assert (number.status_code, unknown.status_code) == (422, 400)
    assert description.json()["paths"]["/mask"]["post"]["summary"] == "Mask entities"
