"""A client of `nerbert serve`, blocking or asynchronous, with the signatures of a local tagger.

Both share their code, written as coroutines; those of the blocking client never wait, so they finish at once. Texts are
sent in small lists, so that other clients of the server don't have to wait for one of them.
"""

import asyncio
import os
import re
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from copy import copy
from dataclasses import replace
from itertools import count, islice
from math import ceil
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic_core import to_json

from nerbert.about import __version__
from nerbert.errors import (
    InputError,
    NerbertError,
    Overloaded,
    SettingsError,
    TimedOut,
    Unavailable,
    at,
    refused,
    unknown,
)
from nerbert.formats.entity_labels import entity_labels, parse_labels
from nerbert.formats.rows import without_surrogates
from nerbert.records import EntityLabel, Example, Span
from nerbert.schema import LARGEST_FILE, parse_json
from nerbert.serve.answers import Refusal, ServedModel, ServedModels, TagAnswer, TextResult
from nerbert.serve.settings import TOKEN
from nerbert.sources.remote import RetryPolicy, asked_wait, no_cookies, pause_after, without_secrets
from nerbert.tagger.spans import Spans, character_spans, check_offsets
from nerbert.tagger.tagger import Tagger
from nerbert.tagger.thresholds import parse_thresholds
from nerbert.terminal import tell

if TYPE_CHECKING:
    import httpx

    from nerbert.tagger.jobs.job import TagJob

Result = TypeVar("Result")
_IN_FLIGHT = 4
"""Concurrent requests of one asynchronous `tag_many`."""
_MOST_TEXTS, _MOST_BYTES = 256, 1 << 17
"""Maximum number of texts in a request, and of their bytes; escaped in JSON they fit a server's default limit."""
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_ERRORS = {error.http_status: error for error in (InputError, SettingsError, Overloaded, Unavailable, TimedOut)}
_ERRORS |= {401: SettingsError, 413: InputError, 502: Unavailable}
_BUSY = frozenset({429, 502, 503})
_CONNECTION_TRIES = 3
"""Tries if no connection can be made."""
_UNFIT = "the answer doesn't fit what was asked"
_REMEDY = "is this the address of a nerbert server?"
RETRIES = RetryPolicy(longest_pause=30.0, tell=lambda _: None)
"""Retries while a server is busy or unreachable. A server that asks for a longer pause isn't asked again."""


class _BaseClient:
    """The common code of both clients, as coroutines."""

    labels: tuple[EntityLabel, ...] = ()
    """The requested labels, if any (`with_labels`)."""
    _first: "_BaseClient | None" = None
    """The original of a copied client, which closes the connections when no copy is left."""
    _model: ServedModel | None = None
    _http: Any

    def __init__(
        self, url: str, *, model: str = "", token: str = "", timeout: float = 60.0,
        thresholds: float | Mapping[str, float] | None = None, nested: bool = False, offsets: str = "characters",
        fingerprint: str = "", retries: RetryPolicy = RETRIES, transport: Any = None,
    ) -> None:  # fmt: skip
        self._url, self._timeout, self._retries = url.rstrip("/"), timeout, retries
        self.offsets, self._fingerprint = check_offsets(offsets), fingerprint
        self._settings = {"model": model, "thresholds": thresholds, "nested": nested, "offsets": offsets}
        token = (token or os.environ.get(TOKEN, "")).strip()
        if not _URL.fullmatch(self._url):
            raise SettingsError(f"server {without_secrets(self._url)!r:.200}: must be http://HOST:PORT, or https://…, "
                                "and no more than that and a path")  # fmt: skip
        if not (token.isascii() and token.isprintable()):
            raise SettingsError("the token must have printable ASCII characters only", setting="token")
        import ssl

        import httpx

        headers = {"User-Agent": f"nerbert/{__version__}", "Accept-Encoding": "identity"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        client = httpx.AsyncClient if isinstance(self, AsyncClient) else httpx.Client
        with refused(f"{self._url}: can't be asked", SettingsError):
            self._http = client(
                base_url=self._url, headers=headers, timeout=httpx.Timeout(timeout, pool=None), transport=transport,
                follow_redirects=False, cookies=no_cookies(), verify=ssl.create_default_context(),
                trust_env=self._url.startswith("https:"),  # with http:, a proxy would see the texts
            )  # fmt: skip
        if not isinstance(self, AsyncClient):
            weakref.finalize(self, self._http.close)

    async def _send(self, method: str, path: str, body: bytes | None) -> "tuple[httpx.Response, bytes]":
        """Return a response and its body; a blocking client's `_send` and `_sleep` block."""
        content = bytearray()
        async with self._http.stream(method, path, content=body) as response:
            async for block in response.aiter_bytes():
                self._add(content, block)
        return response, bytes(content)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def with_labels(self, labels: Iterable[str | EntityLabel] | None) -> Self:
        """Return a client that finds only these labels, with the same connections; for None return this client.

        Each is `name` or `name: description`. The server refuses labels that its model can't find.
        """
        if labels is None:
            return self
        client = copy(self)
        client._first, client.labels = self, entity_labels(labels)
        return client

    async def _tag_texts(self, texts: list[str]) -> list[Spans | NerbertError]:
        """Return the entities of each text; if a list is refused, those before the first error, and the error last."""
        try:
            return [*await self._tag_at_once(texts)]
        except (InputError, TimedOut) as error:
            if len(texts) == 1:
                return [error]
        answers = list[Spans | NerbertError]()
        for text in texts:
            answers += await self._tag_texts([text])
            if isinstance(answers[-1], NerbertError):
                break
        return answers

    async def _tag_at_once(self, texts: list[str]) -> list[Spans]:
        labels = [label.text for label in self.labels] or None
        body = to_json({"text": list(map(without_surrogates, texts)), "labels": labels, **self._settings})
        answer = parse_json(await self._request("POST", "/tag", body), TagAnswer, self._url, remedy=_REMEDY)
        if self._fingerprint and answer.fingerprint != self._fingerprint:
            raise Unavailable(f"{self._url}: has another version of the model now ({answer.fingerprint:.40} in place "
                              f"of {self._fingerprint}); make a new client")  # fmt: skip
        with at(self._url):
            if len(answer.results) != len(texts) or answer.offsets != self.offsets:
                raise InputError(_UNFIT)
            return [_check_spans(*pair, self.offsets) for pair in zip(texts, answer.results, strict=True)]

    async def _describe_model(self) -> ServedModel:
        """Return the server's description of the model; it is requested once."""
        if self._model is None:
            answer = parse_json(await self._request("GET", "/models"), ServedModels, self._url, remedy=_REMEDY)
            models = {model.name: model for model in answer.models}
            name = str(self._settings["model"] or next(iter(models), ""))
            if name not in models:
                raise SettingsError(f"{self._url}: model {name!r:.80}{unknown(name, models)}", setting="model")
            self._model = models[name]
        return self._model

    async def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the body of an answer; retry as long as that may help."""
        import httpx

        policy = self._retries
        error: NerbertError
        for number in count(1):
            tries, wait = policy.tries, 0.0
            try:
                response, content = await self._send(method, path, body)
                if response.status_code == 200:
                    return content
                error, wait = self._read_error(response, content), asked_wait(response.headers)
                tries = policy.tries if response.status_code in _BUSY and wait <= policy.longest_pause else 1
            except httpx.HTTPError as fault:
                error = Unavailable(f"{self._url}: can't be reached, or hung up: {type(fault).__name__} {fault}")
                if isinstance(fault, httpx.ConnectError | httpx.ConnectTimeout):
                    tries = min(tries, _CONNECTION_TRIES)
                elif isinstance(fault, httpx.TimeoutException):
                    error, tries = TimedOut(f"{self._url}: no answer within {self._timeout:g} seconds"), 1
            if number >= tries:
                break
            pause = pause_after(number, wait, policy)
            policy.tell(f"{error} (try {number} of {policy.tries} failed; the next in {pause:g} seconds)")
            await self._sleep(pause)
        raise error

    def _read_error(self, response: "httpx.Response", content: bytes) -> NerbertError:
        """Return the error in an unsuccessful response."""
        status = response.status_code
        try:
            message, type_ = parse_json(content, Refusal, self._url).error, _ERRORS.get(status, NerbertError)
        except InputError:
            message, type_ = ("busy", _ERRORS[status]) if status in _BUSY else (_REMEDY, SettingsError)
        error = type_(f"{self._url}: {message} (status {status})")
        if isinstance(error, Overloaded):
            error.retry_after = max(1, ceil(asked_wait(response.headers)))
        return error

    def _add(self, content: bytearray, block: bytes) -> None:
        """Add a block to an answer; raise InputError if the answer is too long."""
        content += block
        if len(content) > LARGEST_FILE:
            raise InputError(f"{self._url}: the answer is longer than {LARGEST_FILE:,} bytes; {_REMEDY}")


class Client(_BaseClient, AbstractContextManager["Client"]):
    """A tagger behind `nerbert serve`, with `tag`, `tag_many` and `with_labels` as in `Tagger`.

    `url` is the server's address, `model` the name of one of its models (default: the first), `token` the server's
    (default: the environment variable NERBERT_TOKEN). `timeout` is the longest silence to wait for, in seconds.
    `thresholds` and `offsets` are as in `Tagger.load`; `nested` requests entities inside others, otherwise the server's
    decoding is used. Confidences have four digits. With `fingerprint`, answers of any other model raise an error. If
    the server is busy or unreachable, requests are retried as set by `retries`.

    Connections stay open until the client is closed or deleted: `with Client(url) as client: …`.
    """

    def tag(self, text: str, labels: Iterable[str | EntityLabel] | None = None) -> Spans:
        """Return the entities of `text`, in order; `labels` are as in `with_labels`, by default the model's types."""
        return next(self.tag_many([text], labels))

    def tag_many(
        self, texts: Iterable[str | Example], labels: Iterable[str | EntityLabel] | None = None
    ) -> Iterator[Spans]:
        """Yield the entities of each text, in order; only the texts of one request are read ahead."""
        client, lists = self.with_labels(labels), _in_lists(texts)
        return (_raise_error(spans) for part in lists for spans in _run(client._tag_texts(part)))

    @property
    def types(self) -> list[str]:
        """Return the entity types that the model finds, sorted; the server is asked once."""
        return sorted(label.name for label in self.labels) or _run(self._describe_model()).types

    @property
    def fingerprint(self) -> str:
        """Return the model's fingerprint, as `Tagger` has it; the server is asked once."""
        return self._fingerprint or _run(self._describe_model()).fingerprint

    async def _send(self, method: str, path: str, body: bytes | None) -> "tuple[httpx.Response, bytes]":
        content = bytearray()
        with self._http.stream(method, path, content=body) as response:
            for block in response.iter_bytes():
                self._add(content, block)
        return response, bytes(content)

    async def _sleep(self, seconds: float) -> None:
        self._retries.sleep(seconds)

    def close(self) -> None:
        """Close the connections, including those of copies (`with_labels`)."""
        self._http.close()

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_BaseClient, AbstractAsyncContextManager["AsyncClient"]):
    """A `Client` whose methods are coroutines; `tag_many` has a few requests in progress at once.

    Its arguments are those of `Client`. Close it in the same event loop: `async with AsyncClient(url) as client: …`.
    """

    async def tag(self, text: str, labels: Iterable[str | EntityLabel] | None = None) -> Spans:
        """Return the entities of `text`, as `Client.tag` does."""
        ((checked,),) = _in_lists([text])
        (spans,) = await self.with_labels(labels)._tag_texts([checked])
        return _raise_error(spans)

    def tag_many(
        self, texts: Iterable[str | Example], labels: Iterable[str | EntityLabel] | None = None
    ) -> AsyncIterator[Spans]:
        """Yield the entities of each text, in order; only the texts of a few requests are read ahead."""
        return self.with_labels(labels)._tag_in_order(_in_lists(texts))

    async def _tag_in_order(self, lists: Iterator[list[str]]) -> AsyncIterator[Spans]:
        tasks = deque[asyncio.Task[list[Spans | NerbertError]]]()
        try:
            while True:
                tasks.extend(
                    asyncio.create_task(self._tag_texts(part)) for part in islice(lists, _IN_FLIGHT - len(tasks))
                )
                if not tasks:
                    break
                for spans in await tasks.popleft():
                    yield _raise_error(spans)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def types(self) -> list[str]:
        """Return the entity types that the model finds, sorted; the server is asked once."""
        return sorted(label.name for label in self.labels) or (await self._describe_model()).types

    async def fingerprint(self) -> str:
        """Return the model's fingerprint, as `Tagger` has it; the server is asked once."""
        return self._fingerprint or (await self._describe_model()).fingerprint

    async def aclose(self) -> None:
        """Close the connections, including those of copies (`with_labels`)."""
        await self._http.aclose()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class RemoteTagger(Client):
    """A client as a job's tagger: fixed to one version of a model, with local sentence splitting."""

    @property
    def head(self) -> ServedModel:
        """Return the description of the model, whose name contains its backend."""
        model = _run(self._describe_model())
        return replace(model, name=f"server: {model.answering}")

    known_language = ""  # the server's answer is the splitter's language, by default English

    @property
    def sentences(self) -> Callable[[str], Iterator[tuple[int, Example]]]:
        """Return a function that splits a text into sentences of words, for file formats with sentences."""
        model = _run(self._describe_model())
        return Tagger(None, model.word_splitter, model.language).sentences  # type: ignore[arg-type]  # cuts without a head


def connected_tagger(url: str, job: "TagJob") -> RemoteTagger:
    """Return a server's model as a job's tagger; raise an error if the server rejects the job."""
    client = RemoteTagger(
        url, model=job.tagger, thresholds=parse_thresholds(job.min_confidence), retries=replace(RETRIES, tell=tell)
    )
    client._fingerprint = client.fingerprint
    client = client.with_labels(parse_labels(job.labels) if job.labels else None)
    client.tag("")
    return client


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise RuntimeError("a blocking client waits in an event loop")


def _check_spans(text: str, result: TextResult, offsets: str) -> Spans:
    """Return a text's entities; raise InputError if they don't match the text."""
    spans = [Span(entity.start, entity.end, entity.type, entity.text, entity.confidence) for entity in result.spans]
    sent, in_characters = without_surrogates(text), character_spans(text, spans, offsets)
    fits = all(span.end <= len(text) and sent[span.start : span.end] == span.text for span in in_characters)
    if not fits or result.characters != len(text) or not 0 <= result.read <= len(text):
        raise InputError(_UNFIT)
    pairs = zip(spans, in_characters, strict=True)
    return Spans(text, (replace(span, text=text[part.start : part.end]) for span, part in pairs), offsets, result.read)


def _raise_error(answer: Spans | NerbertError) -> Spans:
    """Return the entities of a text, or raise the error."""
    if isinstance(answer, NerbertError):
        raise answer
    return answer


def _in_lists(texts: Iterable[str | Example]) -> Iterator[list[str]]:
    """Return texts in lists, one for each request."""
    if isinstance(texts, str):
        raise InputError("can't tag a str letter by letter: give a list of texts, or use `tag`")
    return _fill_lists(texts)


def _fill_lists(texts: Iterable[object]) -> Iterator[list[str]]:
    block, size = list[str](), 0
    for text in texts:
        if isinstance(text, Example):
            raise InputError("a sentence with its own words can't be sent to a server, which splits texts itself; give "
                             "its text, or use a local tagger")  # fmt: skip
        if not isinstance(text, str):
            raise InputError(f"can't tag {type(text).__name__}: give a str")
        bytes_ = len(text.encode("utf-8", "surrogatepass"))
        if block and (len(block) >= _MOST_TEXTS or size + bytes_ > _MOST_BYTES):
            yield block
            block, size = [], 0
        block.append(text)
        size += bytes_
    if block:
        yield block
