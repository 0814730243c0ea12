"""Files, tables, servers and tools give all fields of the spans that a tagger gives."""

import asyncio
import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytest.importorskip("mcp")

import mcp

from nerbert.integrations.mcp import mcp_server
from nerbert.model.loading import Loading
from nerbert.records import SPAN_COLUMNS
from nerbert.serve.client import Client
from nerbert.serve.server import ServeJob
from nerbert.serve.settings import Limits
from nerbert.tagger.tagger import Tagger
from tests.commands import exit_code
from tests.serve.heads import tagger_folder
from tests.serve.servers import HEAD, LABELS, inside

pytestmark = pytest.mark.extras
TEXT = "The ship 🚢 left the port."


def files(folder: Path, tagger: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the spans in the files that `nerbert tag` writes, by format."""
    (folder / "x.txt").write_text(TEXT)
    paths = {kind: folder / f"y.{kind}" for kind in ("jsonl", "parquet", "csv")}
    for path in paths.values():
        assert exit_code("tag", tagger, folder / "x.txt", "-o", path, "--labels", ",".join(LABELS), *HEAD) == 0
    rows = list(csv.DictReader(paths["csv"].read_text().splitlines()))
    cells = [
        {name: kind(row["label" if name == "type" else name]) for name, kind in SPAN_COLUMNS.items()} for row in rows
    ]
    return {
        "jsonl": json.loads(paths["jsonl"].read_text())["spans"],
        "parquet": pq.read_table(paths["parquet"])["spans"].to_pylist()[0],
        "csv": [{**span, "text": TEXT[span["start"] : span["end"]]} for span in cells],
    }


def tool(tagger: Path) -> list[dict[str, Any]]:
    """Return the spans that an assistant's tool gives."""
    server = mcp_server(ServeJob(taggers=(str(tagger),), loading=Loading(head=HEAD[1]), limits=Limits()))

    async def run() -> Any:
        async with mcp.Client(server) as client:
            return await client.call_tool("tag", {"texts": [TEXT], "labels": LABELS})

    return asyncio.run(run()).structured_content["results"][0]["spans"]  # type: ignore[no-any-return]


def test_no_field_of_a_span_is_lost(tmp_path: Path) -> None:
    tagger = tagger_folder(tmp_path / "told")
    spans = Tagger.load(tagger, head=HEAD[1]).tag(TEXT, LABELS)
    wanted = list(map(asdict, spans))
    assert [span.text for span in spans] == LABELS
    answers = {
        "to_dicts": spans.to_dicts(),
        "to_pandas": spans.to_pandas().to_dict("records"),
        **files(tmp_path, tagger),
        "mcp": tool(tagger),
    }
    with inside(tmp_path / "server") as server, Client(server.url) as client:
        answers["server"] = server.tag(TEXT).json()["results"][0]["spans"]
        answers["client"] = list(map(asdict, client.tag(TEXT, LABELS)))
    for name, given in answers.items():
        assert list(map(exact, given)) == list(map(exact, wanted)), name


def exact(span: dict[str, Any]) -> dict[str, Any]:
    """Return a span's fields, with four digits of fractions."""
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in span.items()}
