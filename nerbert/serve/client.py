"""A client of `nerbert serve`, with the signatures of a local tagger.

Texts are sent in small lists, so that other clients of the server don't have to wait for one of them.
"""

import math
import os
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from pydantic_core import to_json

from nerbert.about import __version__
from nerbert.entity_labels import entity_labels
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
from nerbert.formats.lines import without_surrogates
from nerbert.records import SPAN_FIELDS, EntityLabel, Example, Span
from nerbert.schema import LARGEST_FILE, parse_json
from nerbert.serve.answers import Refusal, ServedModel, ServedModels, TagAnswer, TextResult
from nerbert.serve.settings import TOKEN
from nerbert.sources.remote import RetryPolicy, Setback, asked_wait, no_cookies, retry, without_secrets
from nerbert.tagger.spans import Spans, character_spans, check_offsets
from nerbert.tagger.tagger import Tagger, check_list
from nerbert.tagger.thresholds import parse_thresholds
from nerbert.terminal import tell

if TYPE_CHECKING:
    import httpx

    from nerbert.tagger.jobs.job import TagJob

_MOST_TEXTS = 256
_MOST_BYTES = 1 << 17
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


class Client(AbstractContextManager["Client"]):
    """A tagger behind `nerbert serve`, with `tag`, `tag_many` and `with_labels` as in `Tagger`.

    `url` is the server's address, `model` the name of one of its models (default: the first), `token` the server's
    (default: the environment variable NERBERT_TOKEN). `timeout` is the longest silence to wait for, in seconds.
    `thresholds` and `offsets` are as in `Tagger.load`; `nested` requests entities inside others, otherwise the server's
    decoding is used. Confidences have four digits. With `fingerprint`, answers of any other model raise an error. If
    the server is busy or unreachable, requests are retried as set by `retries`.

    Connections stay open until the client is closed or deleted: `with Client(url) as client: …`.
    """

    labels: tuple[EntityLabel, ...] = ()
    """The requested labels, if any (`with_labels`)."""
    _first: "Client | None" = None
    """The original of a copied client, which closes the connections when no copy is left."""
    _model: ServedModel | None = None
    _http: Any

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        token: str = "",
        timeout: float = 60.0,
        thresholds: float | Mapping[str, float] | None = None,
        nested: bool = False,
        offsets: str = "characters",
        fingerprint: str = "",
        retries: RetryPolicy = RETRIES,
        transport: Any = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._retries = retries
        self.offsets = check_offsets(offsets)
        self._fingerprint = fingerprint
        self._settings = {"model": model, "thresholds": thresholds, "nested": nested, "offsets": offsets}
        token = (token or os.environ.get(TOKEN, "")).strip()
        if not _URL.fullmatch(self._url):
            raise SettingsError(
                f"server {without_secrets(self._url)!r:.200}: must be http://HOST:PORT, or https://…, "
                "and no more than that and a path"
            )
        # A line break in a token would begin another header.
        if not (token.isascii() and token.isprintable()):
            raise SettingsError("the token must have printable ASCII characters only", setting="token")
        import ssl

        import httpx

        headers = {"User-Agent": f"nerbert/{__version__}", "Accept-Encoding": "identity"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        with refused(f"{self._url}: can't be asked", SettingsError):
            self._http = httpx.Client(
                base_url=self._url,
                headers=headers,
                # Threads share the connections, and waiting for a free one is no silence of the server.
                timeout=httpx.Timeout(timeout, pool=None),
                transport=transport,
                follow_redirects=False,
                cookies=no_cookies(),
                verify=ssl.create_default_context(),
                # With http:, a proxy from the environment would see the texts.
                trust_env=self._url.startswith("https:"),
            )
        # Bound to the original client, which copies keep alive by `_first`.
        weakref.finalize(self, self._http.close)

    def with_labels(self, labels: Iterable[str | EntityLabel] | None) -> Self:
        """Return a client that finds only these labels, with the same connections; for None return this client.

        Each is `name` or `name: description`. The server refuses labels that its model can't find.
        """
        if labels is None:
            return self
        client = copy(self)
        client._first = self
        client.labels = entity_labels(labels)
        return client

    def tag(self, text: str, labels: Iterable[str | EntityLabel] | None = None) -> Spans:
        """Return the entities of `text`, in order; `labels` are as in `with_labels`, by default the model's types."""
        return next(self.tag_many([text], labels))

    def tag_many(
        self, texts: Iterable[str | Example], labels: Iterable[str | EntityLabel] | None = None
    ) -> Iterator[Spans]:
        """Yield the entities of each text, in order; only the texts of one request are read ahead."""
        client = self.with_labels(labels)
        lists = _in_lists(check_list(texts))
        return (spans for part in lists for spans in client._tag_texts(part))

    @property
    def types(self) -> list[str]:
        """Return the entity types that the model finds, sorted; the server is asked once."""
        return sorted(label.name for label in self.labels) or self._describe_model().types

    @property
    def fingerprint(self) -> str:
        """Return the model's fingerprint, as `Tagger` has it; the server is asked once."""
        return self._fingerprint or self._describe_model().fingerprint

    def close(self) -> None:
        """Close the connections, including those of copies (`with_labels`)."""
        self._http.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tag_texts(self, texts: list[str]) -> Iterator[Spans]:
        """Yield the entities of each text; of a list that is refused, those of the texts before the first error."""
        try:
            # As with a local tagger, an error comes after the answers to the texts before it.
            answers: Iterable[Spans] = self._tag_at_once(texts)
        except (InputError, TimedOut):
            if len(texts) == 1:
                raise
            # one text is at fault: asked one by one, those before it have answers
            answers = (spans for text in texts for spans in self._tag_at_once([text]))
        yield from answers

    def _tag_at_once(self, texts: list[str]) -> list[Spans]:
        labels = [label.text for label in self.labels] or None
        # JSON can't hold lone surrogates; their replacement has the same length, so offsets fit.
        body = to_json({"text": list(map(without_surrogates, texts)), "labels": labels, **self._settings})
        answer = parse_json(self._request("POST", "/tag", body), TagAnswer, self._url, remedy=_REMEDY)
        # A job must not mix the answers of two models.
        if self._fingerprint and answer.fingerprint != self._fingerprint:
            raise Unavailable(
                f"{self._url}: has another version of the model now ({answer.fingerprint:.40} in place "
                f"of {self._fingerprint}); make a new client"
            )
        with at(self._url):
            if len(answer.results) != len(texts) or answer.offsets != self.offsets:
                raise InputError(_UNFIT)
            return [_check_spans(*pair, self.offsets) for pair in zip(texts, answer.results, strict=True)]

    def _describe_model(self) -> ServedModel:
        """Return the server's description of the model; it is requested once."""
        if self._model is None:
            answer = parse_json(self._request("GET", "/models"), ServedModels, self._url, remedy=_REMEDY)
            models = {model.name: model for model in answer.models}
            name = str(self._settings["model"] or next(iter(models), ""))
            if name not in models:
                raise SettingsError(f"{self._url}: model {name!r:.80}{unknown(name, models)}", setting="model")
            self._model = models[name]
        return self._model

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the body of an answer; retry as long as that may help."""
        return retry(lambda: self._send(method, path, body), self._retries)

    def _send(self, method: str, path: str, body: bytes | None) -> bytes:
        """Return the body of an answer; raise Setback for a failure that another try may mend."""
        import httpx

        content = bytearray()
        try:
            with self._http.stream(method, path, content=body) as response:
                for block in response.iter_bytes():
                    content += block
                    if len(content) > LARGEST_FILE:
                        raise InputError(f"{self._url}: the answer is longer than {LARGEST_FILE:,} bytes; {_REMEDY}")
        except httpx.HTTPError as fault:
            away = isinstance(fault, httpx.ConnectError | httpx.ConnectTimeout)
            # The server may still be at work: asking again would double its load.
            if isinstance(fault, httpx.TimeoutException) and not away:
                raise TimedOut(f"{self._url}: no answer within {self._timeout:g} seconds") from fault
            error = Unavailable(f"{self._url}: can't be reached, or hung up: {type(fault).__name__} {fault}")
            # A server that isn't running is likelier than a busy one, so there are few tries.
            raise Setback(error, tries=_CONNECTION_TRIES if away else math.inf) from fault
        # Redirects aren't followed: they would send texts and token elsewhere.
        if response.status_code == 200:
            return bytes(content)
        refusal = self._read_error(response, bytes(content))
        wait = asked_wait(response.headers)
        # Other errors, such as an invalid text, would come again.
        if response.status_code in _BUSY and wait <= self._retries.longest_pause:
            raise Setback(refusal, wait)
        raise refusal

    def _read_error(self, response: "httpx.Response", content: bytes) -> NerbertError:
        """Return the error in an unsuccessful response."""
        status = response.status_code
        try:
            message = parse_json(content, Refusal, self._url).error
            type_ = _ERRORS.get(status, NerbertError)
        except InputError:
            # The answer isn't nerbert's form: a proxy's page, or another server.
            message, type_ = ("busy", _ERRORS[status]) if status in _BUSY else (_REMEDY, SettingsError)
        error = type_(f"{self._url}: {message} (status {status})")
        if isinstance(error, Overloaded):
            error.retry_after = max(1, math.ceil(asked_wait(response.headers)))
        return error


class RemoteTagger(Client):
    """A client as a job's tagger: fixed to one version of a model, with local sentence splitting."""

    @property
    def head(self) -> ServedModel:
        """Return the description of the model, whose name contains its backend."""
        model = self._describe_model()
        return replace(model, name=f"server: {model.answering}")

    # The server's answer has the splitter's language, by default English.
    known_language = ""

    @property
    def sentences(self) -> Callable[[str], Iterator[tuple[int, Example]]]:
        """Return a function that splits a text into sentences of words, for file formats with sentences."""
        model = self._describe_model()
        return Tagger(None, model.word_splitter, model.language).sentences  # type: ignore[arg-type]  # cuts without a head


def connected_tagger(url: str, job: "TagJob") -> RemoteTagger:
    """Return a server's model as a job's tagger; raise an error if the server rejects the job."""
    client = RemoteTagger(
        url, model=job.tagger, thresholds=parse_thresholds(job.min_confidence), retries=replace(RETRIES, tell=tell)
    )
    # Fixed now: a model that is replaced during the job is an error.
    client._fingerprint = client.fingerprint
    client = client.with_labels(job.asked or None)
    # Labels and thresholds that the server refuses are an error before any file is written.
    client.tag("")
    return client


def _check_spans(text: str, result: TextResult, offsets: str) -> Spans:
    """Return a text's entities; raise InputError if they don't match the text."""
    spans = [Span(**{name: getattr(entity, name) for name in SPAN_FIELDS}) for entity in result.spans]
    # The server saw this text, so its answers are compared with it.
    sent = without_surrogates(text)
    in_characters = character_spans(text, spans, offsets)
    fits = all(span.end <= len(text) and sent[span.start : span.end] == span.text for span in in_characters)
    if not fits or result.characters != len(text) or not 0 <= result.read <= len(text):
        raise InputError(_UNFIT)
    pairs = zip(spans, in_characters, strict=True)
    return Spans(text, (replace(span, text=text[part.start : part.end]) for span, part in pairs), offsets, result.read)


def _in_lists(texts: Iterable[object]) -> Iterator[list[str]]:
    """Yield texts in lists, one for each request."""
    block = list[str]()
    size = 0
    for text in texts:
        if isinstance(text, Example):
            raise InputError(
                "a sentence with its own words can't be sent to a server, which splits texts itself; give "
                "its text, or use a local tagger"
            )
        if not isinstance(text, str):
            raise InputError(f"can't tag {type(text).__name__}: give a str")
        bytes_ = len(text.encode("utf-8", "surrogatepass"))
        # A text longer than the limit goes alone; the server decides.
        if block and (len(block) >= _MOST_TEXTS or size + bytes_ > _MOST_BYTES):
            yield block
            block = []
            size = 0
        block.append(text)
        size += bytes_
    if block:
        yield block
