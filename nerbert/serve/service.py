"""The models of a server, and the threads that compute their answers.

Threads of one process are enough: onnxruntime and tokenizers release the interpreter while they work
(docs/results/2026-11-24-serve.md). The event loop submits texts, and is notified once per finished batch. A reloaded
model replaces the old one between two batches.
"""

import asyncio
import ctypes
import gc
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any, NamedTuple, TypeAlias

from nerbert.entity_labels import entity_labels
from nerbert.errors import InputError, NerbertError, Overloaded, SettingsError, TimedOut, Unavailable, at, unknown
from nerbert.records import EntityLabel
from nerbert.serve.answers import ServedModel
from nerbert.serve.queue import Queue, QueuedBatch, Ticket
from nerbert.serve.settings import Limits
from nerbert.tagger.pending import TagRequest
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger

log = logging.getLogger("nerbert.serve")
_Labels: TypeAlias = tuple[EntityLabel, ...] | None
_Bounds: TypeAlias = float | Mapping[str, float] | None
_KEPT = 32
"""Number of label lists whose costs are cached."""
_WARM = "Ada Lovelace and " * 120
"""A sentence that nearly fills a window, so that the model allocates its memory before the first request."""
_PAUSE = 0.05
"""Seconds between checks for space in the queue."""
INTERNAL = "the server has an internal error; its log says more"
_LATE = "the answer takes longer than this server's limit; send less text at once, or try again later"


@dataclass(frozen=True, slots=True)
class Served:
    """A named tagger; with `takes_labels` it finds any labels, otherwise only its own types."""

    name: str
    source: str
    tagger: Tagger
    fingerprint: str
    takes_labels: bool

    @property
    def group(self) -> tuple[str, str]:
        """Return the key of texts that may share a batch: no batch mixes two versions of a model."""
        return self.name, self.fingerprint


@dataclass(frozen=True, slots=True)
class Ask:
    """Labels, model and options of a request; None or "": the first model, its own labels, thresholds and decoding."""

    model: str = ""
    labels: Sequence[str | EntityLabel] | None = None
    thresholds: _Bounds = None
    decoding: str = ""


class _Text(NamedTuple):
    """A text and the `future` of its answer."""

    tagger: Tagger
    request: TagRequest
    future: "asyncio.Future[Spans | NerbertError]"


def model_of(served: Served) -> ServedModel:
    """Return a server's description of a model."""
    tagger = served.tagger
    default = tagger.with_default_labels()
    named = default if default.types else tagger.with_labels(["name"])
    answering = str(named.answering)
    if tagger.origin and (too_long := tagger.origin.loading.on_too_long):
        answering += f", on_too_long {too_long}"
    return ServedModel(
        served.name,
        served.fingerprint,
        default.types,
        served.takes_labels,
        tagger.language,
        tagger.splitter,
        answering,
        threshold=default.lowest_threshold,
    )


def milliseconds() -> float:
    """Return the time of a monotonic clock."""
    return time.monotonic() * 1000


class Service:
    """Taggers by name (the first is the default); start it in the event loop that uses it.

    `load` makes a tagger from a folder's name. `note` is called with each finished batch and its milliseconds.
    """

    def __init__(
        self,
        sources: Mapping[str, str],
        load: Callable[[str], Tagger],
        limits: Limits,
        note: Callable[[QueuedBatch[Any], float], object] = lambda *_: None,
    ) -> None:
        self._load, self.limits, self._note = load, limits, note
        self.queue = Queue[_Text](
            batch_cost=limits.batch, deadline=limits.deadline, most=limits.max_waiting, workers=limits.workers
        )
        self.held = 0
        """Bytes of requests in progress."""
        self.draining = False
        """True if the server is about to stop: streams end."""
        self.models = {name: self._load_model(name, source) for name, source in sources.items()}
        self._changed = threading.Condition()
        self._stopping = False
        self._loading = threading.Lock()
        self._patience = asyncio.Lock()
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(limits.workers)]
        self._rates = dict[object, tuple[int, float]]()

    def _load_model(self, name: str, source: str) -> Served:
        with at(part=f"model {name}"):
            tagger = self._load(source)
            labels = None if tagger.types or tagger.with_default_labels().types else ["name"]
            (answer,) = tagger.tag_batch([TagRequest(_WARM, labels)])
            if isinstance(answer, NerbertError):
                raise answer
            return Served(name, source, tagger, tagger.fingerprint, bool(tagger.labels) or not tagger.types)

    def start(self) -> None:
        """Start the threads; call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        for worker in self._workers:
            worker.start()

    async def stop(self) -> None:
        """Finish accepted requests, and stop the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for worker in self._workers:
            await asyncio.to_thread(worker.join)

    @property
    def ready(self) -> bool:
        """Return whether it accepts requests and its threads are alive."""
        return not self.draining and all(worker.is_alive() for worker in self._workers)

    def find(self, name: str = "") -> Served:
        """Return a model by its name, by default the first; raise SettingsError if there is none."""
        if name and name not in self.models:
            raise SettingsError(f"model {name!r:.80}{unknown(name, self.models)}", setting="model")
        return self.models[name] if name else next(iter(self.models.values()))

    async def reload(self) -> None:
        """Load all models from their folders again, and log the results; one that can't be loaded stays unchanged.

        Requests don't wait for it.
        """
        for name, served in self.models.items():
            try:
                await self.add(name, served.source)
                log.info("model %s: loaded again, %s", name, self.models[name].fingerprint)
            except NerbertError as error:
                log.info("model %s: %s", name, error)
            except Exception:
                log.exception("model %s can't be loaded", name)

    async def add(self, name: str, source: str) -> None:
        """Load a model under a name, replacing one with the same name; raise an error if it can't be loaded."""
        await asyncio.to_thread(self._add, name, source)

    def _add(self, name: str, source: str) -> None:
        """Load a model in a thread, which continues if the caller is cancelled."""
        with self._loading:
            try:
                self.models = {**self.models, name: self._load_model(name, source)}
            finally:
                gc.collect()
                with suppress(OSError, AttributeError):  # the C library isn't glibc
                    ctypes.CDLL(None).malloc_trim(0)  # return the old model's memory to the system

    async def tag(self, texts: Sequence[str], ask: Ask, *, patient: bool = False) -> tuple[Served, list[Spans]]:
        """Return the model and the entities of each text, found in batches with those of other requests.

        Raise the error of the request, or of its first text that can't be tagged; Overloaded if the queue is full
        (`patient`: wait instead), TimedOut after the limit. Then, and if the caller is cancelled, texts that aren't in
        the model yet are dropped. Of a request with many texts, only some are in the queue at once, so that others
        don't have to wait for all of them.
        """
        try:
            async with asyncio.timeout(self.limits.timeout):
                return await self._tag(texts, ask, patient=patient)
        except TimeoutError as error:
            raise TimedOut(_LATE) from error

    async def _tag(self, texts: Sequence[str], ask: Ask, *, patient: bool) -> tuple[Served, list[Spans]]:
        if not patient:
            with self._changed:
                self.queue.check(milliseconds())
        served = self.find(ask.model)
        labels, bounds = self._check_request(texts, ask, served)
        least, slope = await self._measure_rate(served, labels)
        costs = [least + int(slope * len(text.encode("utf-8", "replace"))) for text in texts]
        tickets = list[Ticket[_Text]]()
        for text, cost in zip(texts, costs, strict=True):
            future = self._loop.create_future()
            request = TagRequest(text, labels, bounds, future.cancelled, ask.decoding)
            work = _Text(served.tagger, request, future)
            tickets.append(Ticket(served.group, work, cost, milliseconds(), future.cancelled))
        parts = groupby(zip(tickets, accumulate(costs), strict=True), lambda pair: pair[1] // self.limits.batch)
        chunks = [[ticket for ticket, _ in part] for _, part in parts]
        try:
            for number, chunk in enumerate(chunks):
                if number >= self.limits.workers:
                    await asyncio.wait([ticket.work.future for ticket in chunks[number - self.limits.workers]])
                await self._enter(chunk, patient=patient or number > 0)
            spans = list[Spans]()
            for number, ticket in enumerate(tickets):
                answer = await ticket.work.future
                if isinstance(answer, NerbertError):
                    with at(part=f"text {number}" if len(texts) > 1 else ""):
                        raise answer
                spans.append(answer)
            return served, spans
        finally:
            for ticket in tickets:
                ticket.work.future.cancel()

    async def _enter(self, tickets: Sequence[Ticket[_Text]], *, patient: bool) -> None:
        """Put texts into the queue; with `patient`, wait for space, in order of arrival."""
        if not patient:
            return self._submit(tickets)
        async with self._patience:
            while True:
                with suppress(Overloaded):
                    return self._submit(tickets)
                await asyncio.sleep(_PAUSE)

    def _submit(self, tickets: Sequence[Ticket[_Text]]) -> None:
        with self._changed:
            if self._stopping:
                raise Unavailable("the server is stopping; try again")
            self.queue.submit(tickets, milliseconds())
            self._changed.notify(len(tickets))

    def _check_request(self, texts: Sequence[str], ask: Ask, served: Served) -> tuple[_Labels, _Bounds]:
        """Return labels and thresholds, checked once for all texts; raise InputError if they exceed the limits."""
        limits = self.limits
        if len(texts) > limits.max_texts:
            raise InputError(f"{len(texts):,} texts: one request may have at most {limits.max_texts:,}; send several")
        for number, text in enumerate(texts):
            if len(text) > limits.max_characters:
                with at(part=f"text {number}" if len(texts) > 1 else "text"):
                    raise InputError(f"{len(text):,} characters: at most {limits.max_characters:,} are allowed; cut it")
        if ask.labels is not None and len(ask.labels) > limits.max_labels:
            raise InputError(f"{len(ask.labels):,} labels: one request may have at most {limits.max_labels:,}")
        bounds = ask.thresholds
        if served.takes_labels and bounds is not None:
            least = limits.least_threshold
            if isinstance(bounds, Mapping):
                bounds = {name: _raise_threshold(bound, least) for name, bound in bounds.items()}
            else:
                bounds = _raise_threshold(bounds, least)
        return None if ask.labels is None else entity_labels(ask.labels), bounds

    async def _measure_rate(self, served: Served, labels: _Labels) -> tuple[int, float]:
        """Return the subwords of a very short text, and per additional byte, since counting each text's takes long."""
        key = served.group, labels
        if key not in self._rates:
            least, most = await asyncio.to_thread(lambda: [served.tagger.cost(text, labels) for text in ("a", _WARM)])
            self._rates = dict([*self._rates.items()][1 - _KEPT :]) | {key: (least, (most - least) / len(_WARM))}
        return self._rates[key]

    def _work(self) -> None:
        """Compute batches until the server stops and no batch is left; runs in a thread."""
        while batch := self._wait_for_batch():
            answers = _tag_texts(batch.tickets[0].work.tagger, [ticket.work.request for ticket in batch.tickets])
            errors = (answer for answer in answers if isinstance(answer, NerbertError))
            for fault in {str(error) for error in errors if error.http_status >= 500}:
                log.error("model %s: %s", batch.group[0], fault)
            now = milliseconds()
            with self._changed:
                self.queue.done(batch, now, learn=all(isinstance(answer, Spans) for answer in answers))
            with suppress(RuntimeError):  # after a second Ctrl-C there is no event loop
                self._loop.call_soon_threadsafe(self._deliver, batch, answers, now)

    def _wait_for_batch(self) -> QueuedBatch[_Text] | None:
        with self._changed:
            while True:
                if batch := self.queue.next_batch(milliseconds()):
                    return batch
                if self._stopping:
                    return None
                self._changed.wait()

    def _deliver(self, batch: QueuedBatch[_Text], answers: Sequence[Spans | NerbertError | None], now: float) -> None:
        """Set the answers of texts, except those that were cancelled."""
        for ticket, answer in zip(batch.tickets, answers, strict=True):
            if answer is not None and not ticket.cancelled():
                ticket.work.future.set_result(answer)
        self._note(batch, now - batch.started)


def _raise_threshold(bound: float, least: float) -> float:
    """Return a threshold of at least `least`; an invalid one stays, to be rejected later."""
    return least if 0 <= bound < least else bound


def _tag_texts(tagger: Tagger, requests: Sequence[TagRequest]) -> list[Spans | NerbertError | None]:
    """Return the answer to each text; if the model's code fails on a text, only that text fails."""
    try:
        return tagger.tag_batch(requests)
    except BaseException as error:  # a panic in tokenizers' Rust code isn't an Exception
        if len(requests) > 1:
            return [answer for request in requests for answer in _tag_texts(tagger, [request])]
        log.exception("a text failed", exc_info=error)
        return [NerbertError(INTERNAL)]


def message_of(error: NerbertError) -> str:
    """Return the message of an error for a client; details of internal errors are in the server's log."""
    return INTERNAL if error.http_status == 500 else str(error)
