"""A client of `nerbert serve`, blocking or asynchronous, with the signatures of a local tagger.

Texts are sent in lists, which are small, so that other clients of the server needn't wait for one of them.
"""

import asyncio
import os
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Self

from nerbert.errors import InputError, SettingsError, TimedOut, refused
from nerbert.formats.entity_labels import entity_labels, parse_labels
from nerbert.records import EntityLabel, Example
from nerbert.serve.answers import ServedModel
from nerbert.serve.client_requests import RETRIES, Connection, add, in_lists, sendable
from nerbert.serve.settings import TOKEN
from nerbert.sources.http import RetryPolicy
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger
from nerbert.tagger.thresholds import parse_thresholds
from nerbert.terminal import tell

if TYPE_CHECKING:
    import httpx

    from nerbert.tagger.jobs.job import TagJob

_IN_FLIGHT = 4
"""Requests of one asynchronous `tag_many` that are in progress."""


class _BaseClient:
    """What both clients have."""

    _first: "_BaseClient | None" = None
    """The client that this one is a copy of; it closes the connections when none is left."""

    def __init__(
        self, url: str, *, model: str = "", token: str = "", timeout: float = 60.0,
        thresholds: float | Mapping[str, float] | None = None, nested: bool = False, offsets: str = "characters",
        fingerprint: str = "", retries: RetryPolicy = RETRIES, transport: Any = None,
    ) -> None:  # fmt: skip
        self._to = Connection(
            url=url.rstrip("/"), model=model, token=(token or os.environ.get(TOKEN, "")).strip(), timeout=timeout,
            thresholds=thresholds, nested=nested, offsets=offsets, fingerprint=fingerprint, retries=retries,
        )  # fmt: skip
        import httpx

        with refused(f"{self._to.url}: can't be asked", SettingsError):
            self._connect(httpx, self._to.options(transport))

    def _connect(self, httpx: Any, options: Mapping[str, Any]) -> None:
        """Make httpx's client."""
        raise NotImplementedError

    @property
    def labels(self) -> tuple[EntityLabel, ...]:
        """Return the labels to find, if given (`with_labels`)."""
        return self._to.labels

    @property
    def offsets(self) -> str:
        """Return what `start` and `end` count."""
        return self._to.offsets

    def with_labels(self, labels: Iterable[str | EntityLabel] | None) -> Self:
        """Return a client that finds these labels only, with the same connections; None: itself.

        Each is `name` or `name: description`. The server refuses those that its model can't find.
        """
        if labels is None:
            return self
        found = copy(self)
        found._to = replace(self._to, labels=entity_labels(labels))
        return found

    def __copy__(self) -> Self:
        """Return one with the same connections."""
        found = object.__new__(type(self))
        vars(found).update(vars(self), _first=self)
        return found


class Client(_BaseClient):
    """A tagger behind `nerbert serve`: `tag`, `tag_many` and `with_labels` as those of `Tagger`.

    `url` is the server's address, `model` the name of one of its models (default: the first), `token` the server's
    (default: the environment's variable NERBERT_TOKEN). `timeout` is how many seconds of silence are too many.
    `thresholds` and `offsets` are as in `Tagger.load`; `nested` asks for entities inside others, else the server's own
    decoding is used. Confidences have four digits. With `fingerprint` answers of any other model are refused. A server
    that is busy or out of reach is asked again, as `retries` says.

    Connections are kept until the client is closed, or gone: `with Client(url) as client: …`.
    """

    _http: "httpx.Client"

    def _connect(self, httpx: Any, options: Mapping[str, Any]) -> None:
        self._http = httpx.Client(**options)
        weakref.finalize(self, self._http.close)

    def tag(self, text: str, labels: Iterable[str | EntityLabel] | None = None) -> Spans:
        """Return the entities of `text`, in order; `labels` are as in `with_labels`, by default the model's types."""
        return next(self.tag_many([text], labels))

    def tag_many(
        self, texts: Iterable[str | Example], labels: Iterable[str | EntityLabel] | None = None
    ) -> Iterator[Spans]:
        """Yield the entities of each text, in order; read and hold one request's texts at a time."""
        client, lists = self.with_labels(labels), in_lists(texts)
        return (spans for some in lists for spans in client._each(some))

    def _each(self, texts: list[str]) -> Iterator[Spans]:
        """Yield the entities of each text; if there is a fault, of those before."""
        try:
            found = self._found(texts)
        except (InputError, TimedOut):
            if len(texts) == 1:
                raise
        else:
            yield from found
            return
        for each in texts:
            yield from self._found([each])

    def _found(self, texts: list[str]) -> list[Spans]:
        return self._to.spans(self._ask("POST", "/tag", self._to.body(texts)), texts)

    @property
    def types(self) -> list[str]:
        """Return the entity types that are found, sorted; the server is asked once."""
        return sorted(each.name for each in self.labels) or self._described.types

    @property
    def fingerprint(self) -> str:
        """Return the model's fingerprint, as `Tagger` has it; the server is asked once."""
        return self._to.fingerprint or self._described.fingerprint

    @cached_property
    def _described(self) -> ServedModel:
        return self._to.described(self._ask("GET", "/models"))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the body of an answer; ask again as long as that may help."""
        import httpx

        for failed in count(1):
            content = bytearray()
            try:
                with self._http.stream(method, path, content=body) as response:
                    for block in response.iter_bytes():
                        add(content, block, self._to.url)
                fault = self._to.fault(response, bytes(content))
            except (httpx.HTTPError, RuntimeError) as error:
                fault = self._to.lost(error)
            if fault is None:
                break
            self._to.retries.sleep(self._to.pause(failed, fault))
        return bytes(content)

    def close(self) -> None:
        """Close the connections, those of copies (`with_labels`) too."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_BaseClient):
    """A `Client` whose methods are coroutines; `tag_many` has a few requests in progress at once.

    Its arguments are those of `Client`. Close it in the event loop that it was used in: `async with AsyncClient(url) as
    client: …`.
    """

    _http: "httpx.AsyncClient"
    _known: ServedModel | None = None

    def _connect(self, httpx: Any, options: Mapping[str, Any]) -> None:
        self._http = httpx.AsyncClient(**options)

    async def tag(self, text: str, labels: Iterable[str | EntityLabel] | None = None) -> Spans:
        """Return the entities of `text`, as `Client.tag` does."""
        (found,) = await self.with_labels(labels)._found([sendable(text)])
        return found

    def tag_many(
        self, texts: Iterable[str | Example], labels: Iterable[str | EntityLabel] | None = None
    ) -> AsyncIterator[Spans]:
        """Yield the entities of each text, in order; read and hold a few requests' texts at a time."""
        return self.with_labels(labels)._tagged(in_lists(texts))

    async def _tagged(self, lists: Iterator[list[str]]) -> AsyncIterator[Spans]:
        tasks = deque[tuple[list[str], asyncio.Task[list[Spans]]]]()
        try:
            while True:
                for some in islice(lists, _IN_FLIGHT - len(tasks)):
                    tasks.append((some, asyncio.create_task(self._found(some))))
                if not tasks:
                    break
                async for spans in self._each(*tasks.popleft()):
                    yield spans
        finally:
            for _, task in tasks:
                task.cancel()
            await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)

    async def _each(self, texts: list[str], task: "asyncio.Task[list[Spans]]") -> AsyncIterator[Spans]:
        """Yield the entities of each text; if there is a fault, of those before."""
        try:
            found = await task
        except (InputError, TimedOut):
            if len(texts) == 1:
                raise
            for each in texts:
                yield (await self._found([each]))[0]
            return
        for spans in found:
            yield spans

    async def _found(self, texts: list[str]) -> list[Spans]:
        return self._to.spans(await self._ask("POST", "/tag", self._to.body(texts)), texts)

    async def types(self) -> list[str]:
        """Return the entity types that are found, sorted; the server is asked once."""
        return sorted(each.name for each in self.labels) or (await self._described()).types

    async def fingerprint(self) -> str:
        """Return the model's fingerprint, as `Tagger` has it; the server is asked once."""
        return self._to.fingerprint or (await self._described()).fingerprint

    async def _described(self) -> ServedModel:
        self._known = self._known or self._to.described(await self._ask("GET", "/models"))
        return self._known

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the body of an answer; ask again as long as that may help."""
        import httpx

        for failed in count(1):
            content = bytearray()
            try:
                async with self._http.stream(method, path, content=body) as response:
                    async for block in response.aiter_bytes():
                        add(content, block, self._to.url)
                fault = self._to.fault(response, bytes(content))
            except (httpx.HTTPError, RuntimeError) as error:
                fault = self._to.lost(error)
            if fault is None:
                break
            await self._sleep(self._to.pause(failed, fault))
        return bytes(content)

    @staticmethod
    async def _sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def aclose(self) -> None:
        """Close the connections, those of copies (`with_labels`) too."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class RemoteTagger(Client):
    """A client as a job's tagger: it is of one version of a model, and cuts texts into sentences itself."""

    @property
    def head(self) -> ServedModel:
        """Return what answers; its name says how."""
        return replace(self._described, name=f"server: {self._described.answering}")

    @property
    def sentences(self) -> Callable[[str], Iterator[tuple[int, Example]]]:
        """Return what cuts a text into sentences of words, for files that hold such."""
        return Tagger(None, self._described.word_splitter, self._described.language).sentences  # type: ignore[arg-type]  # cuts without a head


def connected_tagger(url: str, job: "TagJob") -> RemoteTagger:
    """Return a server's model as a job's tagger; raise what the server has against the job."""
    client = RemoteTagger(
        url, model=job.tagger, thresholds=parse_thresholds(job.min_confidence), retries=replace(RETRIES, tell=tell)
    )
    client._to = replace(client._to, fingerprint=client.fingerprint)
    client = client.with_labels(parse_labels(job.labels) if job.labels else None)
    client.tag("")
    return client
