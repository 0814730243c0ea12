"""A tagger as Model Context Protocol tools, for assistants: `nerbert mcp TAGGER`. It has the limits of a server."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stdout
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field, RootModel

from nerbert.about import __version__
from nerbert.errors import NerbertError
from nerbert.serve.answers import FoundEntity, ServedModel, TagAnswer, TextResult
from nerbert.serve.server import ServeJob
from nerbert.serve.service import Ask, Service, message_of, model_of

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_Texts = Annotated[list[str], Field(description="Texts, each of any number of sentences.")]
_Labels = Annotated[
    list[str] | None,
    Field(description="What to find, as `name` or `name: description`; default: the types of the tool `types`."),
]
_Least = Annotated[float | None, Field(ge=0, le=1, description="Lowest confidence of entities.")]


def mcp_server(job: ServeJob) -> MCPServer[None]:
    """Return a server of the job's first tagger, loaded, to run once; raise NerbertError if loading fails."""
    with redirect_stdout(sys.stderr):  # stdout is for the protocol
        service = Service(job.sources(), job.load, job.limits)

    @asynccontextmanager
    async def run_service(_: MCPServer[None]) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            await service.stop()

    server = MCPServer[None]("nerbert", version=__version__, log_level="WARNING", lifespan=run_service)

    @server.tool(annotations=_READS)
    async def tag(texts: _Texts, labels: _Labels = None, min_confidence: _Least = None) -> RootModel[TagAnswer]:
        """Find entities in texts: spans with a type, `start` and `end` (characters), and a confidence (0-1)."""
        try:
            served, of_texts = await service.tag(texts, Ask(labels=labels, thresholds=min_confidence))
            results = [
                TextResult([FoundEntity(**values) for values in spans.to_dicts()], len(spans.text), spans.read)
                for spans in of_texts
            ]
        except NerbertError as error:
            raise ToolError(message_of(error)) from error
        return RootModel(TagAnswer(*served.group, "characters", results))

    @server.tool(annotations=_READS)
    def types() -> RootModel[ServedModel]:
        """Say which types the tagger finds; with `takes_labels` it finds other labels, too."""
        return RootModel(model_of(service.find()))

    return server


def serve_mcp(job: ServeJob) -> None:
    """Serve a tagger on standard input and output until the input ends; signals end the process at once."""
    server = mcp_server(job)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # otherwise the process waits for the thread that reads input
    server.run()
