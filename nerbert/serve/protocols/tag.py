"""nerbert's own protocol: `POST /tag`, for a text or a list, and `POST /tag/stream`, JSON lines both ways.

An answer contains the model's fingerprint, and how much of each text the model read.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import to_json

from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.records import span_json
from nerbert.schema import parse_json
from nerbert.serve.answers import Unit
from nerbert.serve.protocol import Call, Gone, LabelQuery, Strings
from nerbert.serve.service import INTERNAL, Ask, log, message_of
from nerbert.tagger.spans import Spans, counted_spans

_WINDOW = 32
"""Maximum number of lines of a stream in progress at once."""
_OWN = frozenset({"spans", "characters", "read", "error", "status"})
"""Fields of answers; lines' fields of the same names aren't returned."""


class _Wish(BaseModel):
    """The entities to find, and the unit of offsets."""

    model: str = Field("", description="Name of the model; default: the first.")
    labels: Strings | None = Field(
        None, description="Labels to find, as `name` or `name: description`; default: the model's types."
    )
    thresholds: float | dict[str, float] | None = Field(
        None, description="Lowest confidence (0-1) of entities, one for all or by label; default: the model's."
    )
    nested: bool = Field(default=False, description="Also entities inside others; for models of spans.")
    offsets: Unit = Field("characters", description="What `start` and `end` count; characters are code points.")

    def ask(self) -> Ask:
        """Return the request to a model."""
        return Ask(self.model, self.labels, self.thresholds, "nested" if self.nested else "")


class TagBody(_Wish):
    """A text, or several texts."""

    model_config = ConfigDict(extra="forbid")

    text: str | Strings = Field(description="A text, or a list of texts.")


class StreamLine(_Wish):
    """A text; other fields are returned with its entities."""

    model_config = ConfigDict(extra="allow")

    text: str


class StreamQuery(LabelQuery):
    """The labels of lines that have none."""

    offsets: Unit = "characters"


async def tag(call: Call) -> dict[str, Any]:
    """Tag a text, or a list of texts."""
    body: TagBody = call.body
    texts = [body.text] if isinstance(body.text, str) else body.text
    if call.query.model and body.model:
        raise SettingsError("model: is named in the address and in the body; leave one out", setting="model")
    body.model = body.model or call.query.model
    answers = await call.tag(texts, body.ask())
    results = await call.make_answer(lambda: [_describe_result(spans, body) for spans in answers])
    model, fingerprint = call.served.group  # type: ignore[union-attr]
    return {"model": model, "fingerprint": fingerprint, "offsets": body.offsets, "results": results}


def _describe_result(spans: Spans, wish: _Wish) -> dict[str, Any]:
    counted = counted_spans(spans.text, spans, wish.offsets)
    return {"spans": list(map(span_json, counted)), "characters": len(spans.text), "read": spans.read}


async def stream(call: Call) -> AsyncGenerator[bytes, None]:
    """Tag JSON lines as they arrive; answers are lines in the same order."""
    return _answer_lines(call)


async def _answer_lines(call: Call) -> AsyncGenerator[bytes, None]:
    """Yield an answer for each line; few are in progress, so reading stops if the client doesn't read."""
    # A bounded queue: if the client doesn't read answers, its lines aren't read either.
    lines = _Lines(_WINDOW)
    reader = asyncio.create_task(_read_lines(call, lines))
    try:
        while read := await lines.get():
            task, size = read
            # The reader ends early only if the client has hung up.
            await asyncio.wait({task, reader}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                raise Gone
            yield task.result()
            # Only after the answer is sent, so that unread answers count as memory.
            call.hold(-size)
        # The reader gets a chance to notice a hang-up.
        await asyncio.sleep(0)
        # At the end of the lines the reader watches for a hang-up: if it has ended, there was one.
        if reader.done():
            raise Gone
    finally:
        reader.cancel()
        while not lines.empty():
            if read := lines.get_nowait():
                read[0].cancel()


_Lines = asyncio.Queue[tuple[asyncio.Task[bytes], int] | None]
"""Pending answers, each with the bytes of its line; None after the last."""


async def _read_lines(call: Call, lines: _Lines) -> None:
    """Put a pending answer for each line into a queue; stop when the client hangs up."""
    number = 1
    try:
        async for line in split_lines(call.content, call.service.limits.max_body):
            await lines.put((asyncio.create_task(_answer_line(call, line, number)), len(line)))
            number += 1
    except Gone:
        await lines.put(None)
        return
    except Exception as error:
        # An error of the body ends the stream, after the answers to the lines before it.
        await lines.put((asyncio.create_task(_describe_fault({"line": number}, error)), 0))
    await lines.put(None)
    await call.hang_up()


async def split_lines(content: AsyncIterable[bytes], longest: int) -> AsyncIterator[bytes]:
    """Yield the lines of a body with their ends; raise InputError for a line of more than `longest` bytes."""
    last = b""
    async for part in content:
        # A part may end in the middle of a line, or of a character.
        *lines, last = (last + part).split(b"\n")
        # The unfinished line is checked, too: a line without end would fill the memory.
        for number, line in enumerate((*lines, last)):
            if len(line) > longest:
                raise InputError(f"a line of more than {longest:,} bytes; the stream ends here")
            if number < len(lines):
                yield line + b"\n"
    if last:
        yield last


async def _answer_line(call: Call, content: bytes, number: int) -> bytes:
    """Return the answer to a line, or "" to an empty one; it may be an error. Wait for space in the queue."""
    kept: dict[str, JsonValue] = {"line": number}
    # Many writers end with an empty line.
    if not content.strip():
        return b""
    try:
        line = parse_json(content, StreamLine, "line")
        kept = {name: value for name, value in (line.model_extra or {}).items() if name not in _OWN} or kept
        query = call.query.ask()
        # null counts as not given: the address applies then.
        names = {name for name in line.model_fields_set if getattr(line, name) is not None}
        default = {
            "model": query.model,
            "offsets": call.query.offsets,
            "labels": query.labels,
            "thresholds": query.thresholds,
        }
        wish = line.model_copy(update={name: value for name, value in default.items() if name not in names})
        call.words += len(line.text.split())
        call.served, (spans,) = await call.service.tag([line.text], wish.ask(), patient=True)
        return _json_line({**kept, **_describe_result(spans, wish)})
    # One bad line must not end a stream of thousands.
    except Exception as error:
        return await _describe_fault(kept, error)


async def _describe_fault(kept: dict[str, JsonValue], error: Exception) -> bytes:
    if not isinstance(error, NerbertError):
        log.exception("a line of a stream failed", exc_info=error)
        error = NerbertError(INTERNAL)
    return _json_line({**kept, "error": message_of(error), "status": error.http_status})


def _json_line(value: Any) -> bytes:
    # A line's own fields may hold NaN, which isn't JSON.
    return to_json(value, inf_nan_mode="null") + b"\n"
