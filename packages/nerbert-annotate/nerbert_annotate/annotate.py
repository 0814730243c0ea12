"""The steps of `nerbert annotate`: read the texts, request missing labels, write labels and a report.

Each distinct text is labelled once: from a saved answer, else by a request within the budget. A failed text is counted,
and the run continues. The output depends only on the saved answers. Cost: the texts are read three times. With a
temperature above 0, the output differs between machines.
"""

import asyncio
import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nerbert.artifacts import check_free, publish_job, write_json
from nerbert.data.open_types import open_type_line
from nerbert.errors import InputError, NerbertError, bad_path, refused
from nerbert.formats.lines import ERRORS
from nerbert.schema import read_json, to_plain
from nerbert.sources.remote import DEFAULT_POLICY, pause_after
from nerbert.terminal import Progress, progress, tell
from nerbert.texts.inputs import InputFile, check_no_input, find_sources
from nerbert_annotate.answers import BYTES_PER_TOKEN, Failure, Fault, Labels, Reply, Tokens, read_labels
from nerbert_annotate.settings import AnnotateSettings, Prompt, load_key, load_prompt
from nerbert_annotate.store import AnswerStore, Budget, open_store, text_key

if TYPE_CHECKING:
    from pydantic import SecretStr

    from nerbert_annotate.client import ChatClient

_LISTED = 1000
"""Maximum number of failed passages that a report lists."""
_OVERHEAD = 64
"""Tokens that a server may add to a prompt. Reservations assume one byte per token, the minimum."""
_AGAIN = "rerun the command to resume"
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass
class AnnotateReport:
    """Counts of texts; passages = answered + failed, without empty texts."""

    passages: int = 0
    distinct: int = 0
    kept_before: int = 0
    empty: int = 0
    answered: int = 0
    failed: int = 0
    entities: int = 0
    invented_mentions: int = 0
    bad_lines: int = 0
    cut_off: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tokens_are_estimated: bool = False
    failures: Counter[str] = field(default_factory=Counter)
    failed_passages: list[dict[str, Any]] = field(default_factory=list)


@refused(bad_path)
def annotate_texts(
    texts: Sequence[str | Path],
    output: str | Path,
    settings: AnnotateSettings,
    *,
    from_: str = "",
    field: str = "text",
    errors: str = ERRORS[0],
    overwrite: bool = False,
) -> AnnotateReport:
    """Label texts by a language model; write `output`, JSON lines with open types, and a report, which is returned.

    `texts` are files or folders, as `nerbert tag` reads them. Each answer is saved at once: after a kill or an error,
    the same call resumes. If the budget is used up, raise BudgetSpent, which names a larger one.
    """
    inputs = find_sources([*map(str, texts)], from_, field=field, errors=errors)
    prompt = load_prompt(settings.prompt)
    key = load_key(settings.key_variable)
    target = Path(output)
    report = target.with_name(f"{target.stem}.report.json")
    query = {
        "endpoint": settings.endpoint,
        "model": settings.model,
        "prompt": [prompt.form, prompt.text],
        "request": settings.request_fields(),
    }
    for path in (target, report):
        check_no_input(inputs, path)
    check_free(target, overwrite=overwrite, file=True)
    check_free(report, overwrite=overwrite or (not target.exists() and _made_from(report) == query), file=True)
    address = urlsplit(settings.endpoint)
    if key.get_secret_value() and address.scheme == "http" and address.hostname not in _LOCAL:
        tell(f"{settings.endpoint}: the key travels unencrypted; use https if the server has it")
    with publish_job(target, None, overwrite=overwrite, file=True) as draft, open_store(settings.cache, query) as store:
        sources = [source.copy_to(draft.work / f"{number}") for number, source in enumerate(inputs.sources)]
        run = AnnotateRun(settings, prompt, key, store, partial(_rows, sources))
        try:
            run.ask()
        except (KeyboardInterrupt, SystemExit) as stop:
            stop.add_note(f"{run.summary()}; {_AGAIN}")
            raise
        run.write(draft.path)
        # written before the output, so that a run killed in between is repeated
        write_json(report, {"made_from": query} | to_plain(run.report))
    inputs.tell_skipped()
    tell(run.summary())
    use = shlex.quote(f"open_types.files={json.dumps([str(output)], ensure_ascii=False)}")
    tell(
        f"{output}: {run.report.answered:,} texts with {run.report.entities:,} entities; report: {report}; to train "
        f"on it: nerbert pretrain SETTINGS.toml -o FOLDER --set objective=concepts --set {use}"
    )
    return run.report


def _made_from(report: Path) -> object:
    """Return the request that a report was made from; None for any other file."""
    with suppress(InputError):
        return read_json(report, dict[str, Any]).get("made_from")
    return None


class AnnotateRun:
    """One run over the texts: get an answer for each, which `read` understands, and write the labels."""

    def __init__(
        self,
        settings: AnnotateSettings,
        prompt: Prompt,
        key: "SecretStr",
        store: AnswerStore,
        rows: Callable[[], Iterator[tuple[str, int, str]]],
        read: Callable[..., Labels] = read_labels,
    ) -> None:
        self._settings, self._prompt, self._key, self._store = settings, prompt, key, store
        self._rows, self._read = rows, read
        self._budget = Budget(settings.max_total_tokens)
        self.report = AnnotateReport()
        self.failures: dict[bytes, tuple[Fault, str]] = {}
        self._stop: NerbertError | None = None
        self._stopped = asyncio.Event()
        self._done, self._failed_in_a_row, self._resume_at = 0, 0, 0.0

    def ask(self) -> None:
        """Get an answer for each text without one; raise NerbertError if the run can't be finished."""
        taken, produced = 0, 0
        for text in self._distinct():
            reply, labels = self._find_answer(text)
            self.report.distinct += 1
            self.report.kept_before += labels is not None
            taken = taken + reply.tokens.input
            produced = produced + reply.tokens.output
        self._done = self.report.kept_before
        self._budget.spent = Tokens(taken, produced)
        if self._done < self.report.distinct:
            with progress("texts", self.report.distinct) as bar:
                bar.advance(self._done, before=True)
                asyncio.run(self._ask_all(bar))
        if self._stop is not None:
            remedy = self._budget.remedy(self._done, self.report.distinct - self._done - len(self.failures)) or _AGAIN
            raise type(self._stop)(f"{self._stop}; {self.summary()}; {remedy}") from None
        if self.report.distinct and len(self.failures) == self.report.distinct:
            fault, message = next(iter(self.failures.values()))
            raise InputError(f"no text got a usable answer ({fault}: {message}); {self.summary()}")

    def summary(self) -> str:
        """Return the progress and the tokens spent, in one line."""
        spent, report = self._budget.spent, self.report
        faults = Counter(fault for fault, _ in self.failures.values())
        failed = "".join(f", {number:,} {fault}" for fault, number in faults.most_common())
        return (
            f"{self._done:,} of {report.distinct:,} texts done ({report.kept_before:,} by earlier runs){failed}; "
            f"{spent.input:,} + {spent.output:,} tokens spent"
        )

    async def _ask_all(self, bar: Progress) -> None:
        from nerbert_annotate.client import open_client

        asyncio.get_running_loop().set_exception_handler(_pass_over_stops)
        texts = self._distinct()
        async with open_client(self._settings, self._prompt, self._key) as client, asyncio.TaskGroup() as group:
            for _ in range(min(self._settings.concurrency, self.report.distinct)):
                group.create_task(self._work(client, texts, bar))

    async def _work(self, client: "ChatClient", texts: Iterator[str], bar: Progress) -> None:
        """Label one text after another, until none is left or the run stops; then wait for requests in flight."""
        for text in texts:
            if self._stop is not None:
                return
            if self._find_answer(text)[1] is not None:
                self._failed_in_a_row = 0  # else no run could skip the texts that failed in an earlier one
                await asyncio.sleep(0)  # lets requests in flight continue
                continue
            try:
                await self._ask(client, text, bar)
            except NerbertError as error:
                self._stop = self._stop or error
                self._stopped.set()
            bar.advance()

    async def _ask(self, client: "ChatClient", text: str, bar: Progress) -> None:
        """Send requests for a text until it has a usable answer, or has failed, or the run stops."""
        now = asyncio.get_running_loop().time
        failed = Counter[Fault]()
        while self._stop is None:
            if (left := self._resume_at - now()) > 0:
                await _sleep(left, self._stopped)
            try:
                await self._try(client, text)
            except Failure as failure:
                fault = failure.fault
                message = str(failure)
                failed[fault] += 1
                if failed[fault] >= failure.tries:
                    self.failures[text_key(text)] = fault, message
                    self._failed_in_a_row += 1
                    if self._failed_in_a_row >= self._settings.max_failures:
                        many = f"{self._failed_in_a_row} texts in a row failed (max_failures)"
                        raise InputError(f"{many}, the last one: {fault}: {message}") from None
                    break
                if fault in (Fault.BUSY, Fault.CONNECTION):
                    pause = pause_after(failed[fault], failure.wait, DEFAULT_POLICY)
                    bar.advance(0, f"pauses: {message}"[:80])
                    if failure.wait:  # the server requests a pause for all requests, not only this one
                        self._resume_at = max(self._resume_at, now() + pause)
                    await _sleep(pause, self._stopped)
            else:
                break

    async def _try(self, client: "ChatClient", text: str) -> None:
        """Send one request, save the answer, and read it; raise Failure if it is unusable."""
        size = len(self._prompt.fill(text).encode("utf-8", "replace"))
        estimate = size // BYTES_PER_TOKEN
        most = size + _OVERHEAD + self._settings.longest_answer
        taken = Tokens()
        reply = None
        await self._budget.reserve(most)
        try:
            if self._stop is None:
                reply = await client.ask(text, estimate)
                taken = reply.tokens
                self._store.add(text, reply)
        except Failure as failure:
            if failure.lost:
                taken = Tokens(estimate, self._settings.longest_answer)
                self._store.add(text, Reply(None, cut=False, tokens=taken, estimated=True))
            raise
        finally:
            await self._budget.settle(most, taken)
        if reply is not None:
            self._read(text, reply.content or "", cut=reply.cut)
            self._done = self._done + 1
            self._failed_in_a_row = 0

    def _find_answer(self, text: str) -> tuple[Reply, Labels | None]:
        """Return a text's saved answer and its labels; None without a usable answer."""
        reply = self._store.get(text)
        if reply.content is not None:
            with suppress(Failure):
                return reply, self._read(text, reply.content, cut=reply.cut)
        return reply, None

    def _distinct(self) -> Iterator[str]:
        """Yield the distinct nonblank texts."""
        seen = set[bytes]()
        for _, _, text in self._rows():
            if text.strip() and (key := text_key(text)) not in seen:
                seen.add(key)
                yield text

    def write(self, path: Path) -> None:
        """Write the labels of all passages in order, and count them in the report."""
        report = self.report
        with path.open("wb") as stream:
            for file, row, text in self._rows():
                if not text.strip():
                    report.empty += 1
                    continue
                reply, labels = self._find_answer(text)
                report.passages += 1
                report.tokens_are_estimated |= reply.estimated
                if labels is not None:
                    asked = self._prompt.asked or (() if reply.cut else None)
                    stream.write(open_type_line(replace(labels.text, asked=asked)))
                    report.answered += 1
                    report.entities += len(labels.text.entities)
                    report.invented_mentions += labels.invented
                    report.bad_lines += labels.bad
                    report.cut_off += reply.cut
                elif (failure := self.failures.get(text_key(text))) is not None:
                    report.failed += 1
                    report.failures[failure[0]] += 1
                    if len(report.failed_passages) < _LISTED:
                        listed = {"file": file, "row": row, "reason": failure[0], "message": failure[1]}
                        report.failed_passages.append(listed)
                else:
                    raise InputError(f"{file}: changed while it was read; rerun the command")
        report.input_tokens, report.output_tokens = self._budget.spent


def _pass_over_stops(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Ignore tasks that SIGTERM ended; the command itself reports that it stopped."""
    if not isinstance(context.get("exception"), SystemExit):
        loop.default_exception_handler(context)


async def _sleep(seconds: float, stopped: asyncio.Event) -> None:
    """Sleep, but wake up when the run stops."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopped.wait(), seconds)


def _rows(sources: Sequence[InputFile]) -> Iterator[tuple[str, int, str]]:
    """Yield (file, row number, text) of each row."""
    for source in sources:
        yield from ((str(source), row.line, row.text) for row in source.documents())
