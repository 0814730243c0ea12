"""Ask a language model about texts, each once: saved answers first, then requests within the budget.

A failed text is counted, and the run continues.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nerbert.annotate.answers import BYTES_PER_TOKEN, Failure, Fault, Labels, Reply, Tokens, read_labels
from nerbert.annotate.budget import Budget
from nerbert.annotate.settings import AnnotateSettings, Prompt
from nerbert.annotate.store import AnswerStore, text_key
from nerbert.errors import InputError, NerbertError
from nerbert.sources.remote import DEFAULT_POLICY, pause_after
from nerbert.terminal import Progress, progress, tell

if TYPE_CHECKING:
    from pydantic import SecretStr

    from nerbert.annotate.client import ChatClient

_OVERHEAD = 64
"""Tokens that a server may put around a prompt. A token has a byte at least, which is what reservations count with."""
AGAIN = "rerun the command to resume"
_LOCAL = ("localhost", "127.0.0.1", "::1")


def asked_as(settings: AnnotateSettings, prompt: Prompt) -> dict[str, Any]:
    """Return the way of asking, in JSON types: answers to another one are saved apart."""
    return {"endpoint": settings.endpoint, "model": settings.model, "prompt": [prompt.form, prompt.text],
            "request": settings.request_fields()}  # fmt: skip


def warn_of_open_key(settings: AnnotateSettings, key: "SecretStr") -> None:
    """Print a line if the key would travel unencrypted."""
    address = urlsplit(settings.endpoint)
    if key.get_secret_value() and address.scheme == "http" and address.hostname not in _LOCAL:
        tell(f"{settings.endpoint}: the key travels unencrypted; use https if the server has it")


class ModelRun:
    """One run over texts, each of which gets an answer."""

    def __init__(
        self, settings: AnnotateSettings, prompt: Prompt, key: "SecretStr", store: AnswerStore,
        texts: Callable[[], Iterator[str]],
    ) -> None:  # fmt: skip
        self._settings, self._prompt, self._key, self._store = settings, prompt, key, store
        self._texts, self.budget = texts, Budget(settings, store)
        self.distinct, self.kept_before = 0, 0
        self._failures: dict[bytes, tuple[Fault, str]] = {}
        self._stop: NerbertError | None = None
        self._stopped = asyncio.Event()
        self._done, self._failed_in_a_row, self._resume_at = 0, 0, 0.0

    def ask(self) -> None:
        """Get an answer to each text without one; raise NerbertError if the run can't be finished."""
        keys = set[bytes]()
        for text in self._distinct():
            keys.add(text_key(text))
            self.kept_before += self.kept(text)[1] is not None
        self.distinct, self._done = len(keys), self.kept_before
        self.budget.begin(keys)
        if self._done < self.distinct:
            with progress("texts", self.distinct) as bar:
                bar.advance(self._done, before=True)
                asyncio.run(self._ask_all(bar))
        if self._stop is not None:
            how = self.budget.remedy(self._done, self.distinct - self._done - len(self._failures)) or AGAIN
            raise type(self._stop)(f"{self._stop}; {self.summary()}; {how}") from None
        if self.distinct and len(self._failures) == self.distinct:
            fault, message = next(iter(self._failures.values()))
            raise InputError(f"no text got a usable answer ({fault}: {message}); {self.summary()}")

    def summary(self) -> str:
        """Return progress and spending in a line."""
        spent = self.budget.spent
        faults = Counter(fault for fault, _ in self._failures.values())
        failed = "".join(f", {number:,} {fault}" for fault, number in faults.most_common())
        requests, most = self.budget.unanswered
        unanswered = (
            f" ({sum(most):,} of them reserved for requests without an answer: {requests:,})" if requests else ""
        )
        return (f"{self._done:,} of {self.distinct:,} texts done ({self.kept_before:,} by earlier runs){failed}; "
                f"{spent.input:,} + {spent.output:,} tokens spent{unanswered}")  # fmt: skip

    def failure(self, text: str) -> tuple[Fault, str] | None:
        """Return why a text has no usable answer, as the reason that counts and a message; None if it didn't fail."""
        return self._failures.get(text_key(text))

    async def _ask_all(self, bar: Progress) -> None:
        from nerbert.annotate.client import open_client

        asyncio.get_running_loop().set_exception_handler(_pass_over_stops)
        texts = self._distinct()
        async with open_client(self._settings, self._prompt, self._key) as client, asyncio.TaskGroup() as group:
            for _ in range(min(self._settings.concurrency, self.distinct)):
                group.create_task(self._work(client, texts, bar))

    async def _work(self, client: "ChatClient", texts: Iterator[str], bar: Progress) -> None:
        """Ask for one text after another, until none is left or the run stops; requests in flight are waited for."""
        for text in texts:
            if self._stop is not None:
                return
            if self.kept(text)[1] is not None:
                self._failed_in_a_row = 0  # else no run could skip what failed in an earlier one
                await asyncio.sleep(0)  # so that requests in flight continue meanwhile
                continue
            try:
                await self._ask(client, text, bar)
            except NerbertError as error:
                self._stop = self._stop or error
                self._stopped.set()
            bar.advance()

    async def _ask(self, client: "ChatClient", text: str, bar: Progress) -> None:
        """Ask for a text until it has a usable answer, or has failed, or the run stops."""
        now, failed = asyncio.get_running_loop().time, Counter[Fault]()
        while self._stop is None:
            if (left := self._resume_at - now()) > 0:
                await _sleep(left, self._stopped)
            try:
                await self._try(client, text)
            except Failure as failure:
                fault, message = failure.fault, str(failure)
                failed[fault] += 1
                if failed[fault] >= failure.tries:
                    self._failures[text_key(text)] = fault, message
                    self._failed_in_a_row += 1
                    if self._failed_in_a_row >= self._settings.max_failures:
                        many = f"{self._failed_in_a_row} texts in a row failed (max_failures)"
                        raise InputError(f"{many}, the last one: {fault}: {message}") from None
                    break
                if fault in (Fault.BUSY, Fault.CONNECTION):
                    pause = pause_after(failed[fault], failure.wait, text, DEFAULT_POLICY)
                    bar.advance(0, f"pauses: {message}"[:80])
                    if failure.wait:  # asked of all requests, not of this one alone
                        self._resume_at = max(self._resume_at, now() + pause)
                    await _sleep(pause, self._stopped)
            else:
                break

    async def _try(self, client: "ChatClient", text: str) -> None:
        """Ask once, keep the answer, and read it; raise Failure if it is unusable."""
        size = len(self._prompt.filled(text).encode("utf-8", "replace"))
        estimate = size // BYTES_PER_TOKEN
        reply, failed = None, None
        request = await self.budget.reserve(text, Tokens(size + _OVERHEAD, self._settings.longest_answer))
        try:
            if self._stop is None:
                reply = await client.ask(text, estimate)
        except (Failure, NerbertError) as error:
            failed = error
            if isinstance(error, Failure) and error.lost:
                reply = Reply(None, cut=False, tokens=Tokens(estimate, self._settings.longest_answer), estimated=True)
        await self.budget.settle(request, reply)
        if failed is not None:
            raise failed
        if reply is not None:
            self._read(text, reply)
            self._done, self._failed_in_a_row = self._done + 1, 0

    def kept(self, text: str) -> tuple[Reply, Labels | None]:
        """Return a text's saved answer and what it means; None without a usable answer."""
        reply = self._store.get(text)
        if reply.content is not None:
            with suppress(Failure):
                return reply, self._read(text, reply)
        return reply, None

    def _read(self, text: str, reply: Reply) -> Labels:
        return read_labels(text, reply.content or "", self._prompt.form, cut=reply.cut)

    def _distinct(self) -> Iterator[str]:
        """Yield each text once."""
        seen = set[bytes]()
        for text in self._texts():
            if text.strip() and (key := text_key(text)) not in seen:
                seen.add(key)
                yield text


def _pass_over_stops(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Ignore tasks that SIGTERM ended; the command itself reports that it stopped."""
    if not isinstance(context.get("exception"), SystemExit):
        loop.default_exception_handler(context)


async def _sleep(seconds: float, stopped: asyncio.Event) -> None:
    """Wait, but no longer than until the run stops."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopped.wait(), seconds)
