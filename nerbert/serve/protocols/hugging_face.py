"""Hugging Face's token classification, as called by `InferenceClient(model=URL).token_classification`.

Source: huggingface_hub 2.4.0, `inference/_client.py` and `inference/_generated/types/token_classification.py`. The body
can't name labels, so they are in the address: `/models/NAME?labels=ship,port`, or `/` for the first model. Texts are
always read in windows, so `stride` has no effect. Without a strategy entities are whole, as with `simple`.
"""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from nerbert.serve.protocol import Call, Strings
from nerbert.tagger.spans import Spans
from nerbert.words import split_words


class Parameters(BaseModel):
    """Parameters of the client."""

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] | None = None
    ignore_labels: list[str] | None = None


class Inputs(BaseModel):
    """A text, or a list of texts, which gets a list of answers."""

    inputs: str | Strings
    parameters: Parameters | None = None


async def classify(call: Call) -> list[Any]:
    """Find entities, as Hugging Face's token classification does."""
    body: Inputs = call.body
    parameters = body.parameters or Parameters()
    texts = body.inputs
    several = texts if isinstance(texts, list) else [texts]
    call.query.model = call.path.get("model", call.query.model)
    results = [list(_list_elements(spans, parameters)) for spans in await call.tag(several, call.query.ask())]
    return results if isinstance(texts, list) else results[0]


def _list_elements(spans: Spans, parameters: Parameters) -> Iterator[dict[str, Any]]:
    for span in spans:
        parts = [("entity_group", span.type, 0, len(span.text))]
        # Clients that merge words themselves need B- and I-.
        if parameters.aggregation_strategy == "none":
            words = enumerate(split_words(span.text))
            parts = [("entity", f"{'I' if number else 'B'}-{span.type}", *word) for number, word in words]
        for key, name, start, end in parts:
            if name not in (parameters.ignore_labels or ()):
                yield {
                    key: name,
                    "score": span.confidence,
                    "word": span.text[start:end],
                    "start": span.start + start,
                    "end": span.start + end,
                }
