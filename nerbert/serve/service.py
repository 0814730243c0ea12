"""The models of a server, and the threads that compute their answers.

Threads of one process are enough: onnxruntime and tokenizers let others run meanwhile
(docs/results/2026-11-24-serve.md). The event loop submits texts, and is told of each finished batch once. A model that
is loaded again takes the old one's place between two batches.
"""

import asyncio
import ctypes
import gc
import logging
import re
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, NerbertError, SettingsError, TimedOut, Unavailable, at, unknown
from nerbert.formats.entity_labels import entity_labels
from nerbert.records import EntityLabel
from nerbert.serve.queue import Queue, QueuedBatch, Ticket
from nerbert.serve.settings import Limits
from nerbert.tagger.pending import TagRequest
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger

log = logging.getLogger("nerbert.serve")
_NAME = re.compile(r"[\w.+-]{1,100}")
_SHORT, _KEPT = 2000, 256
"""Characters of labels that are read at once (more are in a thread), and lists of labels whose rates are kept."""
_WARM = "Ada Lovelace and " * 120
"""A sentence that about fills a window: what the model needs for it is held before the first request."""


@dataclass(frozen=True, slots=True)
class Served:
    """A tagger under its name."""

    name: str
    source: str
    tagger: Tagger
    fingerprint: str

    @property
    def group(self) -> tuple[str, str]:
        """Return what texts for it have in common: no batch mixes two versions of a model."""
        return self.name, self.fingerprint

    @property
    def takes_labels(self) -> bool:
        """Return whether it finds any labels; otherwise its own types only."""
        return bool(self.tagger.labels) or not self.tagger.types


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to find, and by which model; None or "": the first model, its own labels, thresholds and decoding."""

    model: str = ""
    labels: Sequence[str | EntityLabel] | None = None
    thresholds: float | Mapping[str, float] | None = None
    decoding: str = ""


@dataclass(slots=True)
class TaggedTexts:
    """The answers to a request's texts; milliseconds that they waited and were computed (of the last batch)."""

    served: Served
    spans: list[Spans | NerbertError]
    queued: float = 0.0
    computed: float = 0.0


@dataclass(eq=False, slots=True)
class _Pending:
    """A request whose texts are being tagged."""

    future: "asyncio.Future[None]"
    answers: TaggedTexts
    left: int


@dataclass(frozen=True, slots=True)
class _Text:
    """A text of a request, by its place."""

    pending: _Pending
    place: int
    request: TagRequest


def milliseconds() -> float:
    """Return the time of a clock that only moves forward."""
    return time.monotonic() * 1000


def peak_memory() -> int:
    """Return the bytes that the process has needed at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def named_sources(sources: Sequence[str]) -> dict[str, str]:
    """Return the folders or hub names of `[NAME=]TAGGER`, by name; raise SettingsError for names that can't be used."""
    found = dict[str, str]()
    if not sources:
        raise SettingsError("TAGGERS is missing: name the folder of a tagger at least (see nerbert serve --help)")
    for each in sources:
        given, equals, rest = each.partition("=")
        name, source = (given, rest) if equals and "/" not in given else (Path(each).absolute().name, each)
        if not _NAME.fullmatch(name) or not source:
            raise SettingsError(f"model {name!r:.80}: a name in addresses has letters, digits and . _ + - only; give "
                                "another one (NAME=TAGGER)")  # fmt: skip
        if name in found:
            raise SettingsError(f"model {name!r}: {found[name]} and {source} have one name; give another (NAME=TAGGER)")
        found[name] = source
    return found


class Service:
    """Taggers by name, the first one is the default; start it in the event loop that uses it.

    `load` makes a tagger from a folder's name. `noted` is given each finished batch and the milliseconds that it took.
    """

    def __init__(
        self, sources: Mapping[str, str], load: Callable[[str], Tagger], limits: Limits,
        noted: Callable[[QueuedBatch[Any], float], object] = lambda *_: None,
    ) -> None:  # fmt: skip
        self._load, self.limits, self._noted = load, limits, noted
        self.queue = Queue[_Text](
            batch_cost=limits.batch, deadline=limits.deadline, most=limits.max_waiting, workers=limits.workers
        )
        self.window = 0
        """Bytes that a model needed to read a window."""
        self.held = 0
        """Bytes of requests in progress."""
        self.models = {name: self._loaded(name, source) for name, source in sources.items()}
        self._changed, self._stopping, self._reloading = threading.Condition(), False, asyncio.Lock()
        self._workers = [threading.Thread(target=self._work, name=f"worker {n}") for n in range(limits.workers)]
        self._rates = dict[tuple[tuple[str, str], tuple[EntityLabel, ...] | None], tuple[int, float]]()

    def _loaded(self, name: str, source: str) -> Served:
        with at(part=f"model {name}"):
            tagger = self._load(source)
            labels = None if tagger.types or tagger.with_default_labels().types else ["name"]
            begun, before = milliseconds(), peak_memory()
            (answer,) = tagger.tag_batch([TagRequest(_WARM, labels)])
            if isinstance(answer, NerbertError):
                raise answer
            self.window = max(self.window, peak_memory() - before)
            served = Served(name, source, tagger, tagger.fingerprint)
            self.queue.learn(served.group, tagger.cost(_WARM, labels), milliseconds() - begun)
        return served

    def start(self) -> None:
        """Start the threads; call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        for each in self._workers:
            each.start()

    async def stop(self) -> None:
        """Finish what was taken, and stop the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for each in self._workers:
            await asyncio.to_thread(each.join)

    @property
    def ready(self) -> bool:
        """Return whether it takes requests."""
        return not self._stopping

    def find(self, name: str = "") -> Served:
        """Return a model by its name, by default the first; raise SettingsError if there is none."""
        if name and name not in self.models:
            raise SettingsError(f"model {name!r:.80}{unknown(name, self.models)}", setting="model")
        return self.models[name] if name else next(iter(self.models.values()))

    async def reload(self, *names: str) -> dict[str, str]:
        """Load models (default: all) from their folders again; return by name what went wrong, "" if nothing did.

        A model that can't be loaded stays as it was. No request waits for it.
        """
        found = dict[str, str]()
        async with self._reloading:
            for name in names or self.models:
                try:
                    self.models[name] = await asyncio.to_thread(self._loaded, name, self.find(name).source)
                    found[name] = ""
                except NerbertError as error:
                    found[name] = str(error)
                except Exception as error:
                    log.exception("model %s can't be loaded", name, exc_info=error)
                    found[name] = INTERNAL
                _give_back()
                log.info("model %s: %s", name, found[name] or f"loaded again, {self.models[name].fingerprint}")
        return found

    async def tag(self, texts: Sequence[str], ask: Ask) -> TaggedTexts:
        """Return the answer to each text, in batches with those of others: spans, or the error of a text.

        Raise what is wrong with the request as a whole, Overloaded if there is no place, TimedOut if it takes too long.
        When the caller is cancelled, texts that aren't in the model yet are left out.
        """
        served = self.find(ask.model)
        labels = self._checked(texts, ask, served)
        now = milliseconds()
        with self._changed:
            self.queue.check(now)
        least, slope = await self._rate(served, labels)
        costs = [least + int(slope * len(text.encode("utf-8", "replace"))) for text in texts]
        self._check_time(served, max(costs, default=0))
        expires = now + self.limits.timeout * 1000
        pending = _Pending(self._loop.create_future(), TaggedTexts(served, [TimedOut(_LATE)] * len(texts)), len(texts))
        tickets = [self._ticket(served, pending, place, text, cost, labels, ask, expires)
                   for place, (text, cost) in enumerate(zip(texts, costs, strict=True))]  # fmt: skip
        with self._changed:
            if self._stopping:
                raise Unavailable("the server is stopping; try again")
            self.queue.submit(tickets, milliseconds())
            self._changed.notify(len(tickets))
        try:
            if tickets:
                await pending.future
        finally:
            for each in tickets:
                each.cancelled = True
        return pending.answers

    def _check_time(self, served: Served, cost: int) -> None:
        """Raise TimedOut at once for a text that would take longer than the limit."""
        seconds = self.queue.least_time(served.group, cost) / 1000
        if seconds > self.limits.timeout:
            raise TimedOut(f"a text of {cost:,} subwords, with its labels, would take about {seconds:,.0f} seconds: at "
                           f"most {self.limits.timeout:g} are allowed; send less text, or fewer labels")  # fmt: skip

    def _checked(self, texts: Sequence[str], ask: Ask, served: Served) -> tuple[EntityLabel, ...] | None:
        """Return the labels; raise InputError for more of anything than the limits allow."""
        limits = self.limits
        if len(texts) > limits.max_texts:
            raise InputError(f"{len(texts):,} texts: one request may have at most {limits.max_texts:,}; send several")
        for place, text in enumerate(texts):
            if len(text) > limits.max_characters:
                with at(part=f"text {place}" if len(texts) > 1 else "text"):
                    raise InputError(f"{len(text):,} characters: at most {limits.max_characters:,} are allowed; cut it")
        bounds = ask.thresholds.values() if isinstance(ask.thresholds, Mapping) else [ask.thresholds]
        if served.takes_labels and any(each is not None and each < limits.least_threshold for each in bounds):
            raise InputError(f"thresholds: below {limits.least_threshold:g} too much would be found; give higher ones")
        if ask.labels is None:
            return None
        if len(ask.labels) > limits.max_labels:
            raise InputError(f"{len(ask.labels):,} labels: one request may have at most {limits.max_labels:,}")
        return entity_labels(ask.labels)

    async def _rate(self, served: Served, labels: tuple[EntityLabel, ...] | None) -> tuple[int, float]:
        """Return the subwords of a very short text, and of each byte more, with labels' prompts."""
        key = served.group, labels
        if key not in self._rates:
            many = sum(len(each.text) for each in labels or ()) > _SHORT
            rate = await asyncio.to_thread(_rate, served.tagger, labels) if many else _rate(served.tagger, labels)
            self._rates = dict([*self._rates.items()][1 - _KEPT :]) | {key: rate}
        return self._rates[key]

    @staticmethod
    def _ticket(
        served: Served, pending: _Pending, place: int, text: str, cost: int, labels: Sequence[EntityLabel] | None,
        ask: Ask, expires: float,
    ) -> Ticket[_Text]:  # fmt: skip
        request = TagRequest(text, labels, ask.thresholds, lambda: not ticket.is_open(milliseconds()), ask.decoding)
        ticket = Ticket(served.group, _Text(pending, place, request), cost, milliseconds(), expires)
        return ticket

    def _work(self) -> None:
        """Compute batches until the server stops and none is left; one thread does this."""
        while batch := self._next():
            served = batch.tickets[0].work.pending.answers.served
            answers = _answers(served.tagger, [each.work.request for each in batch.tickets])
            for fault in {str(each) for each in answers if isinstance(each, NerbertError) and each.http_status >= 500}:
                log.error("model %s: %s", batch.group[0], fault)
            now = milliseconds()
            with self._changed:
                self.queue.done(batch, now)
            self._loop.call_soon_threadsafe(self._deliver, batch, answers, now)

    def _next(self) -> QueuedBatch[_Text] | None:
        with self._changed:
            while True:
                if batch := self.queue.next_batch(milliseconds(), self._dropped):
                    return batch
                if self._stopping:
                    return None
                self._changed.wait()

    def _dropped(self, ticket: Ticket[_Text]) -> None:
        self._loop.call_soon_threadsafe(self._answer, ticket, None)

    def _deliver(self, batch: QueuedBatch[_Text], answers: Sequence[Spans | NerbertError | None], now: float) -> None:
        self._noted(batch, now - batch.started)
        for ticket, answer in zip(batch.tickets, answers, strict=True):
            found = ticket.work.pending.answers
            found.queued = batch.started - ticket.entered
            found.computed = now - batch.started
            self._answer(ticket, answer)

    @staticmethod
    def _answer(ticket: Ticket[_Text], answer: Spans | NerbertError | None) -> None:
        """Give a text its answer; None leaves that it took too long."""
        pending = ticket.work.pending
        if answer is not None:
            pending.answers.spans[ticket.work.place] = answer
        pending.left -= 1
        if not pending.left and not pending.future.done():
            pending.future.set_result(None)


def _rate(tagger: Tagger, labels: Sequence[EntityLabel] | None) -> tuple[int, float]:
    """Return the rate by two texts: counting each text's subwords would take a tenth of the time to tag it."""
    least = tagger.cost("a", labels)
    return least, (tagger.cost(_WARM, labels) - least) / len(_WARM)


def _answers(tagger: Tagger, requests: Sequence[TagRequest]) -> list[Spans | NerbertError | None]:
    """Return the answer to each text; one that makes the model's code fail fails alone."""
    try:
        return tagger.tag_batch(requests)
    except Exception as error:
        if len(requests) > 1:
            return [answer for each in requests for answer in _answers(tagger, [each])]
        log.exception("a text failed", exc_info=error)
        return [NerbertError(INTERNAL)]


def _give_back() -> None:
    """Give the memory of a model that is no longer used back to the system, where the C library is glibc."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


INTERNAL = "the server has an internal error; its log says more"
_LATE = "the answer takes longer than this server's limit; send less text at once, or try again later"
