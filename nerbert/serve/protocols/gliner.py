"""GLiNER's own server: `POST /gliner`, as `gliner.serve`'s client asks it.

Source: gliner 0.2.29, `gliner/serve/server.py` (`GLiNERServer`) and `client.py`. Any model answers, one with
fixed types if the labels are among them. Relations, adapters and several labels for one place are refused.
"""

from typing import Any

from pydantic import BaseModel, Field

from nerbert.records import EntityLabel
from nerbert.serve.protocol import Call, Strings, named, refuse
from nerbert.serve.service import Ask

_USUAL = 0.5


class GlinerRequest(BaseModel):
    """A text, and labels; a label's value is its prompt."""

    text: str
    labels: Strings | dict[str, str]
    threshold: float | None = Field(None, ge=0, le=1)
    flat_ner: bool = True
    multi_label: bool = False
    relations: list[str] | dict[str, Any] | None = None
    adapter_id: str | None = None


async def predict(call: Call) -> dict[str, Any]:
    """Find entities, as GLiNER's server."""
    body: GlinerRequest = call.body
    refuse("relations", body.relations, "this server finds entities only; leave it out")
    refuse("adapter_id", body.adapter_id, "this server has no adapters; leave it out")
    refuse("multi_label", body.multi_label, "a place has one label; leave it out")
    labels = [EntityLabel(*each) for each in body.labels.items()] if isinstance(body.labels, dict) else body.labels
    least = _USUAL if body.threshold is None else body.threshold
    decoding = "" if body.flat_ner else "nested"
    (spans,) = await call.tag([body.text], Ask(call.query.model, labels, least, decoding))
    return {"entities": named(spans, "text", "label", "start", "end", "score")}
