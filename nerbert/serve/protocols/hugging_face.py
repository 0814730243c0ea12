"""Hugging Face's token classification, as `InferenceClient(model=URL).token_classification` asks for it.

Source: huggingface_hub 2.4.0, `inference/_client.py` and `inference/_generated/types/token_classification.py`. The body
can't name labels, so they are in the address: `/models/NAME?labels=ship,port`. A text is always read in windows, so
`stride` changes nothing. Without a strategy entities are whole, as `simple` gives them.
"""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from nerbert.records import Span
from nerbert.serve.protocol import Call, Strings
from nerbert.tagger.spans import Spans
from nerbert.words import split_words


class Parameters(BaseModel):
    """What the client may set."""

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] | None = None
    ignore_labels: list[str] | None = None


class Inputs(BaseModel):
    """A text; a list of texts has a list of answers."""

    inputs: str | Strings
    parameters: Parameters | None = None


async def classify(call: Call) -> list[Any]:
    """Find entities, as Hugging Face's token classification."""
    body: Inputs = call.body
    how, texts = body.parameters or Parameters(), body.inputs
    several = texts if isinstance(texts, list) else [texts]
    call.query.model = call.path["model"]
    results = [list(_elements(spans, how)) for spans in await call.tag(several, call.query.ask())]
    return results if isinstance(texts, list) else results[0]


def _elements(spans: Spans, how: Parameters) -> Iterator[dict[str, Any]]:
    ignored = how.ignore_labels or ()
    for span in spans:
        if how.aggregation_strategy == "none":
            for number, (start, end) in enumerate(split_words(span.text)):
                if (name := f"{'I' if number else 'B'}-{span.type}") not in ignored:
                    yield {"entity": name, **_element(span, span.start + start, span.start + end)}
        elif span.type not in ignored:
            yield {"entity_group": span.type, **_element(span, span.start, span.end)}


def _element(span: Span, start: int, end: int) -> dict[str, Any]:
    word = span.text[start - span.start : end - span.start]
    return {"score": span.confidence, "word": word, "start": start, "end": end}
