"""A protocol: operations, each with the types of its body and answer, and a function from a call to an answer.

An extension point: docs/extending/protocol.md. Bodies are checked strictly by pydantic; unknown keys are ignored, since
clients of other servers send additional ones, unless a model forbids them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from nerbert.about import __version__
from nerbert.errors import SettingsError, Unavailable
from nerbert.records import Span
from nerbert.registry import Registry
from nerbert.serve.answers import Refusal
from nerbert.serve.service import Ask, Served, Service
from nerbert.tagger.spans import Spans

Result = TypeVar("Result")
_LINES, _JSON = "application/x-ndjson", "application/json"
_MANY = 2000
"""Number of entities in a request that take more than a few milliseconds to write as JSON."""
_PAUSE = 0.05
"""Seconds between checks for space for a part of a stream."""


class Query(BaseModel):
    """The query parameters of every operation."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field("", description="Name of the model; default: the first.", max_length=100)


class LabelQuery(Query):
    """Labels and threshold as query parameters, for clients whose bodies can't contain them."""

    labels: str = Field("", description="Labels, separated by commas.", max_length=5000)
    threshold: float | None = Field(None, ge=0, le=1, description="Lowest confidence of entities.")

    def ask(self) -> Ask:
        """Return the query as an `Ask`."""
        labels = [label.strip() for label in self.labels.split(",") if label.strip()]
        return Ask(model=self.model, labels=labels or None, thresholds=self.threshold)


class Gone(Exception):  # noqa: N818  (reads as the fact that it reports)
    """The client hung up."""


@dataclass(slots=True)
class Call:
    """A request: its checked `query` and `body`, the names in its `path`; the other fields are for logs and limits.

    An operation that streams uses `content`, the body's bytes as they arrive, instead of `body`.
    """

    service: Service
    id: str
    receive: Callable[[], Awaitable[Any]]
    started: float = field(default_factory=time.perf_counter)
    route: str = "other"
    status: int = 0
    query: Any = None
    path: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    held: int = 0
    """Bytes counted for this request until they are released."""
    served: Served | None = None
    """The model that answered."""
    words: int = 0
    entities: int = 0

    def hold(self, size: int) -> None:
        """Count bytes that the request holds; a negative number releases some."""
        self.held += size
        self.service.held += size

    @property
    async def content(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, when there is space for it; raise Gone if the client hangs up."""
        message: Mapping[str, Any] = {"more_body": True}
        while message.get("more_body", False):
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part: bytes = message.get("body", b"")
            # The client isn't read meanwhile, so it slows down instead of being refused.
            while self.service.held + len(part) > self.service.limits.max_held and not self.service.draining:
                await asyncio.sleep(_PAUSE)
            # A stream has no end of its own, so stopping would wait for it forever.
            if self.service.draining:
                raise Unavailable("the server is stopping; the stream ends here")
            self.hold(len(part))
            yield part

    async def tag(self, texts: Sequence[str], ask: Ask) -> list[Spans]:
        """Return the entities of each text; raise the error of the first one that can't be tagged.

        Raise Gone if the client hangs up in the meantime; texts that aren't in the model yet are then dropped.
        """
        self.words += sum(len(text.split()) for text in texts)
        self.served, spans = await self._while_connected(self.service.tag(texts, ask))
        self.entities += sum(map(len, spans))
        return spans

    async def make_answer(self, make: Callable[[], Result]) -> Result:
        """Return the result of a function of the entities; if these are many, in a thread, not to block others."""
        return await asyncio.to_thread(make) if self.entities > _MANY else make()

    async def hang_up(self) -> None:
        """Wait until the client hangs up."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def _while_connected(self, work: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(self.hang_up())
        try:
            # Texts of a client that has gone would only delay those of others.
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Gone
            return task.result()
        finally:
            task.cancel()
            gone.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method, a path (with `{names}`) and a function that returns a response, or an object for pydantic to write.

    `summary` is its description (default: the first line of `run`'s docstring); `body` and `answer` are the types that
    pydantic checks and describes; `examples` are bodies by title. With `streams`, the body is read as it arrives.
    `open` operations need no token.
    """

    path: str
    run: Callable[[Call], Awaitable[Any]]
    summary: str = ""
    method: str = "POST"
    body: Any = None
    answer: Any = None
    examples: Mapping[str, Any] = field(default_factory=dict)
    query: type[BaseModel] = Query
    streams: bool = False
    open: bool = False


Strings = Annotated[list[str], Field(fail_fast=True)]
"""A list of texts; validation stops at the first element that isn't one."""
Lifespan = Callable[[Service], AbstractAsyncContextManager[object]]
"""A function that returns what runs as long as the server, between the start and the stop of its models."""
Protocol = Callable[[], Sequence[Operation]]
"""A function that returns the operations of a protocol."""
PROTOCOLS: Registry[Protocol] = Registry(
    "protocol",
    "nerbert.protocols",
    {
        "tag": "nerbert.serve.routes:own_routes",
        "hugging-face": "nerbert.serve.routes:hugging_face_routes",
        "gliner": "nerbert.serve.routes:gliner_routes",
        "presidio": "nerbert.serve.routes:presidio_routes",
        "nemo": "nerbert.serve.routes:nemo_routes",
        "label-studio": "nerbert.serve.routes:label_studio_routes",
        "page": "nerbert.serve.routes:page_routes",
    },
)
"""The protocols that clients can use."""


def operations_of(protocol: str) -> Sequence[Operation]:
    """Return the operations of a protocol by name; raise SettingsError for one that returns something else."""
    operations = PROTOCOLS.find(protocol)()
    # A protocol of another distribution is checked at the start, not at its first request.
    if not isinstance(operations, list | tuple) or not all(isinstance(item, Operation) for item in operations):
        raise SettingsError(f"protocol {protocol!r}: must return a list of Operation; leave it out of --protocols")
    return operations


def list_entities(spans: Iterable[Span], *names: str) -> list[dict[str, Any]]:
    """Return entities as objects: text, type, start, end and confidence under these names."""
    values = attrgetter("text", "type", "start", "end", "confidence")
    return [dict(zip(names, values(span), strict=True)) for span in spans]


def refuse(name: str, value: object, why: str) -> None:
    """Raise SettingsError for an unsupported parameter, unless it is empty."""
    if value:
        raise SettingsError(f"{name} = {value!r:.80}: {why}", setting=name)


def describe(operations: Sequence[Operation], *, token: bool) -> dict[str, Any]:
    """Return the OpenAPI description of operations; `token` is True if they need one."""
    types: dict[str, Any] = {"fault": Refusal}
    for operation in operations:
        name = f"{operation.method} {operation.path}"
        types |= {f"{name} body": operation.body, f"{name} answer": operation.answer}
    adapters = [(name, "validation", TypeAdapter(type_)) for name, type_ in types.items() if type_ is not None]
    # All at once, so that shared models are defined once, under names that don't clash.
    by_mode, parts = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas: dict[str, Any] = {name: schema for (name, _), schema in by_mode.items()}
    paths = dict[str, dict[str, Any]]()
    for operation in operations:
        facts = _describe_operation(operation, schemas, token=token and not operation.open)
        paths.setdefault(operation.path, {})[operation.method.lower()] = facts
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nerbert",
            "version": __version__,
            "description": "Named entities in text. Places count code points, unless `offsets` says otherwise.",
        },
        "paths": paths,
        "components": {
            "schemas": parts.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _describe_operation(operation: Operation, schemas: Mapping[str, Any], *, token: bool) -> dict[str, Any]:
    media = _LINES if operation.streams else _JSON
    name = f"{operation.method} {operation.path}"
    facts: dict[str, Any] = {
        "summary": operation.summary or (operation.run.__doc__ or "").partition("\n")[0].rstrip("."),
        "operationId": name.replace("/", " ").replace("{", "").replace("}", ""),
        "parameters": [
            *(
                {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
                for part in operation.path.split("/")
                if part.startswith("{")
            ),
            *(
                {"name": key, "in": "query", "required": False, "schema": schema}
                for key, schema in operation.query.model_json_schema()["properties"].items()
            ),
        ],
        "responses": {
            "200": {"description": "The answer", **_wrap_schema(media, schemas.get(f"{name} answer"))},
            "default": {"description": "An error", **_wrap_schema(_JSON, schemas["fault"])},
        },
    }
    if operation.body is not None:
        facts["requestBody"] = {"required": True, **_wrap_schema(media, schemas[f"{name} body"], operation.examples)}
    if token:
        facts["security"] = [{"token": []}]
    return facts


def _wrap_schema(media: str, schema: Any, examples: Mapping[str, Any] | None = None) -> dict[str, Any]:
    values = {"examples": {name: {"value": value} for name, value in examples.items()}} if examples else {}
    return {"content": {media: {"schema": schema, **values}}} if schema else {}
