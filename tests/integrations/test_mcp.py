"""MCP: a client's tools find the tagger's entities, within a server's limits, and errors say what is wrong."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from nerbert.integrations.mcp import mcp_server
from nerbert.model.loading import Loading
from nerbert.serve.server import ServeJob
from nerbert.serve.settings import Limits
from nerbert.tagger.tagger import Tagger
from tests.serve.heads import tagger_folder

pytestmark = pytest.mark.extras
ROOT = Path(__file__).parents[2]
TEXT = "The brig Margarethe was built by Larsen & Holm in Tromsø."
SHIP = "The ship 🚢 left port."
TOLD = {"head": "tests.serve.heads:ToldKind"}
NOISY = """
from tests.serve.heads import Gate, ToldHead, ToldKind

class NoisyHead(ToldHead):
    def predict(self, examples):
        print("reading")
        return super().predict(examples)

class NoisyKind(ToldKind):
    @classmethod
    def open(cls, folder, wanted):
        print("loading")
        return NoisyHead.at(Gate(folder.path))
"""


def asked(ask: Callable[[Client], Awaitable[Any]], tagger: Path, labels: str = "", **loading: Any) -> Any:
    """Return what a client is told by a server of its process."""
    server = mcp_server(ServeJob(taggers=(str(tagger),), labels=labels, loading=Loading(**loading), limits=Limits()))

    async def run() -> Any:
        async with Client(server) as client:
            return await ask(client)

    return asyncio.run(run())


def spans(result: CallToolResult) -> list[list[tuple[str, str, int, int, float]]]:
    assert not result.is_error, result.content
    content: Any = result.structured_content
    return [[tuple(each.values()) for each in one["spans"]] for one in content["results"]]


def fault(result: CallToolResult) -> str:
    (content,) = result.content
    assert result.is_error
    assert isinstance(content, TextContent)
    return content.text


@pytest.fixture
def told(tmp_path: Path) -> Path:
    (tmp_path / "noisy.py").write_text(NOISY)
    return tagger_folder(tmp_path / "told")


def test_the_tools_give_the_taggers_entities_and_types(tiny_tagger: Path) -> None:
    async def ask(client: Client) -> tuple[CallToolResult, CallToolResult]:
        return await client.call_tool("tag", {"texts": [TEXT, ""]}), await client.call_tool("types", {})

    tagged, types = asked(ask, tiny_tagger)
    tagger = Tagger.load(tiny_tagger)
    wanted = [(each.text, each.type, each.start, each.end, round(each.confidence, 4)) for each in tagger.tag(TEXT)]
    assert wanted
    assert spans(tagged) == [wanted, []]
    assert tagged.structured_content["fingerprint"] == types.structured_content["fingerprint"] == tagger.fingerprint
    assert types.structured_content["types"] == tagger.types
    assert not types.structured_content["takes_labels"]


def test_tools_describe_their_parameters_and_results(told: Path) -> None:
    tag, types = asked(Client.list_tools, told, **TOLD).tools
    assert (tag.name, types.name) == ("tag", "types")
    assert tag.annotations.read_only_hint
    assert tag.input_schema["required"] == ["texts"]
    assert set(tag.input_schema["properties"]) == {"texts", "labels", "min_confidence"}
    assert set(tag.output_schema["$defs"]["FoundEntity"]["required"]) == {"text", "type", "start", "end", "confidence"}
    assert "takes_labels" in types.output_schema["properties"]


def test_labels_and_confidences(told: Path) -> None:
    async def ask(client: Client) -> list[CallToolResult]:
        more: list[dict[str, Any]] = [
            {},
            {"labels": ["ship", "port: where ships call"]},
            {"labels": ["ship"], "min_confidence": 0.7},
        ]
        return [await client.call_tool("tag", {"texts": [SHIP], **each}) for each in more]

    default, both, sure = asked(ask, told, labels="port", **TOLD)
    assert spans(default) == [[("port", "port", 16, 20, 0.6)]], "offsets are characters"
    assert [each[1] for each in spans(both)[0]] == ["ship", "port"]
    assert spans(sure) == [[]]


def test_errors_say_what_is_wrong_and_faults_are_not_shown(told: Path) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"texts": [SHIP]}, "give labels"),
        ({"texts": ["x"] * 1025, "labels": ["ship"]}, "1,025 texts: one request may have at most"),
        ({"texts": [SHIP, "brokenmodel"], "labels": ["ship"]}, "the server has an internal error"),
        ({"texts": "a text", "labels": ["ship"]}, "valid list"),
        ({"texts": [SHIP], "labels": ["ship"], "min_confidence": 2}, "less than or equal to 1"),
    ]

    async def ask(client: Client) -> list[CallToolResult]:
        return [await client.call_tool("tag", each) for each, _ in wrong]

    for result, (_, words) in zip(asked(ask, told, **TOLD), wrong, strict=True):
        assert words in fault(result)


def test_the_command_speaks_the_protocol_alone_whatever_is_printed(told: Path) -> None:
    arguments = ["-m", "nerbert", "mcp", str(told), "--labels", "ship", "--head", "noisy:NoisyKind"]
    environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join([str(told.parent), str(ROOT)])}

    async def run() -> CallToolResult:
        async with Client(StdioServerParameters(command=sys.executable, args=arguments, env=environment)) as client:
            return await client.call_tool("tag", {"texts": [SHIP]})

    assert [each[0] for each in spans(asyncio.run(run()))[0]] == ["ship"]
    done = subprocess.run(
        [sys.executable, *arguments],
        text=True,
        capture_output=True,
        check=True,
        env=environment,
        input='{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n',
    )
    assert done.stdout == '{"jsonrpc":"2.0","id":1,"result":{}}\n'
    assert "loading" in done.stderr
