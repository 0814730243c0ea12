"""GLiNER's own server (`POST /gliner`), NeMo Guardrails' (`POST /v1/extract`) and NVIDIA's NIM (a chat).

Sources: gliner 0.2.29, `gliner/serve/server.py` (`GLiNERServer`) and `client.py`; nemoguardrails 0.24.1,
`library/gliner/request.py` and `models.py`. Any model can answer; one with fixed types must have the labels. GLiNER's
relations, adapters and several labels for one span are refused. Guardrails blocks by `total_entities` and masks by
`entities`. Texts are always read in windows, so `chunk_length` and `overlap` have no effect. `tagged_text` can't
contain nested entities, so there are none, whatever `flat_ner` says.
"""

import secrets
import time
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field
from pydantic_core import to_json

from nerbert.errors import InputError
from nerbert.records import EntityLabel, Span
from nerbert.serve.protocol import Call, Strings, list_entities, refuse
from nerbert.serve.service import Ask

_THRESHOLD = 0.5


class GlinerRequest(BaseModel):
    """A text and labels; a label's value is its prompt."""

    text: str
    labels: Strings | dict[str, str]
    threshold: float | None = Field(None, ge=0, le=1)
    flat_ner: bool = True
    multi_label: bool = False
    relations: list[str] | dict[str, Any] | None = None
    adapter_id: str | None = None


async def predict(call: Call) -> dict[str, Any]:
    """Find entities, as GLiNER's server does."""
    body: GlinerRequest = call.body
    # Ignoring these would give an answer that looks complete.
    refuse("relations", body.relations, "this server finds entities only; leave it out")
    refuse("adapter_id", body.adapter_id, "this server has no adapters; leave it out")
    refuse("multi_label", body.multi_label, "a place has one label; leave it out")
    labels = [EntityLabel(*label) for label in body.labels.items()] if isinstance(body.labels, dict) else body.labels
    # GLiNER's own default, which its clients rely on when they leave it out.
    threshold = _THRESHOLD if body.threshold is None else body.threshold
    decoding = "" if body.flat_ner else "nested"
    (spans,) = await call.tag([body.text], Ask(call.query.model, labels, threshold, decoding))
    return {"entities": list_entities(spans, "text", "label", "start", "end", "score")}


class _EntityQuery(BaseModel):
    """Labels and options of a request."""

    labels: Strings | None = None
    threshold: float | None = Field(None, ge=0, le=1)


class ExtractRequest(_EntityQuery):
    """A text, and the entities to find in it."""

    text: str


class ContentPart(BaseModel):
    """A part of a message; only texts are supported."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """A message; its content is the text to tag."""

    role: str = "user"
    content: str | list[ContentPart]


class ChatRequest(_EntityQuery):
    """Messages, of which the last is tagged; `model` is one of the server's, other names mean the first one."""

    model: str = ""
    messages: list[ChatMessage] = Field(min_length=1)


async def extract(call: Call) -> dict[str, Any]:
    """Find entities, as NeMo Guardrails' GLiNER server does."""
    names = "value", "suggested_label", "start_position", "end_position", "score"
    return await _find_entities(call, call.body.text, call.query.model, *names)


async def chat(call: Call) -> dict[str, Any]:
    """Find entities, as JSON in a chat's answer, as NVIDIA's NIM does."""
    body: ChatRequest = call.body
    content = body.messages[-1].content
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    # Chat clients must send a model's name; one that isn't here means the first model.
    model = call.query.model or body.model * (body.model in call.service.models)
    entities = await _find_entities(call, text, model, "text", "label", "start", "end", "score")
    message = {"role": "assistant", "content": to_json(entities).decode()}
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }


async def _find_entities(call: Call, text: str, model: str, *names: str) -> dict[str, Any]:
    """Return a text's entities under these names, their number, and the text with each as `[entity](label)`."""
    # `tagged_text` can't hold nested entities.
    flat = "flat" if call.service.find(model).tagger.decoding == "nested" else ""
    (spans,) = await call.tag([text], Ask(model, call.body.labels or None, call.body.threshold, flat))
    # A rail that reads half a text lets the rest pass.
    if spans.read < len(text):
        raise InputError(f"the model read {spans.read:,} of {len(text):,} characters; send less at once")
    entities = list_entities(spans, *names)
    return {"entities": entities, "total_entities": len(spans), "tagged_text": _mark_entities(text, spans)}


def _mark_entities(text: str, spans: Sequence[Span]) -> str:
    ends = [0, *(span.end for span in spans)]
    parts = [f"{text[end : span.start]}[{span.text}]({span.type})" for end, span in zip(ends, spans, strict=False)]
    return "".join([*parts, text[ends[-1] :]])
