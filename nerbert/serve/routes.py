"""Every route of a server, by protocol; a protocol's file has its bodies and functions.

`nerbert.serve.protocol.PROTOCOLS` names these functions. Your own protocol is another one (docs/extending/protocol.md).
Answers in other servers' protocols are documented by those servers.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nerbert.serve.answers import ServedModels, TagAnswer, TextResult
from nerbert.serve.protocol import LabelQuery, Operation
from nerbert.serve.protocols import gliner, hugging_face, label_studio, presidio, status, tag

_TEXT = "Ada Lovelace came to London."


def get(path: str, run: Any, **fields: Any) -> Operation:
    """Return an operation without a body."""
    return Operation(path=path, run=run, method="GET", **fields)


def post(path: str, run: Any, body: Any, example: Any, **fields: Any) -> Operation:
    """Return an operation with a body, and one example of it."""
    return Operation(path=path, run=run, body=body, examples={"an example": example}, **fields)


def own_routes() -> Sequence[Operation]:
    """Return the routes of nerbert's own protocol."""
    labels = {
        "text": [_TEXT],
        "labels": ["person", "city: where people live"],
        "thresholds": {"person": 0.7},
        "nested": True,
        "offsets": "utf-16",
    }
    examples = {"a text": {"text": _TEXT}, "labels at run time": labels}
    return [
        Operation(path="/tag", run=tag.tag, body=tag.TagBody, answer=TagAnswer, examples=examples),
        post(
            "/tag/stream",
            tag.stream,
            tag.StreamLine,
            {"id": 7, "text": _TEXT},
            answer=TextResult,
            query=tag.StreamQuery,
            streams=True,
        ),
    ]


def hugging_face_routes() -> Sequence[Operation]:
    """Return the routes of Hugging Face's token classification."""
    example = {"inputs": _TEXT, "parameters": {"aggregation_strategy": "simple"}}
    return [
        post(path, hugging_face.classify, hugging_face.Inputs, example, query=LabelQuery)
        for path in ("/models/{model}", "/")
    ]


def gliner_routes() -> Sequence[Operation]:
    """Return the routes of GLiNER's server."""
    example = {"text": _TEXT, "labels": ["person", "city"], "threshold": 0.5}
    return [post("/gliner", gliner.predict, gliner.GlinerRequest, example)]


def presidio_routes() -> Sequence[Operation]:
    """Return the routes of Presidio's analyzer."""
    example = {"text": _TEXT, "language": "en", "entities": ["PERSON"]}
    health = partial(status.send_text, "Presidio Analyzer service is up")
    return [
        post("/analyze", presidio.analyze, presidio.PresidioRequest, example),
        get("/supportedentities", presidio.list_types, answer=list[str], query=presidio.LanguageQuery),
        get("/health", health, summary="Return whether it lives, as Presidio's analyzer", open=True),
    ]


def nemo_routes() -> Sequence[Operation]:
    """Return the routes of NeMo Guardrails' GLiNER server and of NVIDIA's NIM."""
    chat = {"messages": [{"role": "user", "content": _TEXT}], "labels": ["person"]}
    return [
        post("/v1/extract", gliner.extract, gliner.ExtractRequest, {"text": _TEXT, "labels": ["person"]}),
        post("/v1/chat/completions", gliner.chat, gliner.ChatRequest, chat),
    ]


def label_studio_routes() -> Sequence[Operation]:
    """Return the routes of Label Studio's backend."""
    project = {"project": "1.1700000000", "schema": label_studio.EXAMPLE}
    task = {"tasks": [{"data": {"text": "Ada came to Rome."}}], "label_config": label_studio.EXAMPLE}
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 1}}
    return [
        get("/label-studio/health", label_studio.health, open=True),
        post("/label-studio/setup", label_studio.setup, label_studio.LabelStudioSetup, project),
        post("/label-studio/predict", label_studio.predict, label_studio.LabelStudioTasks, task),
        post("/label-studio/webhook", label_studio.Trainings().take_event, label_studio.LabelStudioEvent, event),
    ]


def page_routes(more: Path | None = None) -> Sequence[Operation]:
    """Return the routes of the page; files of the folder `more` are added, or replace those of the same name."""
    send = partial(status.send_file, *status.read_page(more))
    page = get("/", send, summary="Return the page", open=True)
    return [page, get("/page/{name}", send, summary="Return the page or one of its files", open=True)]


def status_routes(metrics: status.Metrics) -> Sequence[Operation]:
    """Return the routes of every server."""
    return [
        get("/models", status.list_models, answer=ServedModels),
        get("/healthz", partial(status.send_text, "ok"), summary="Return whether the server lives", open=True),
        get("/ready", status.is_ready, open=True),
        get("/metrics", partial(status.send_metrics, metrics), summary="Counts, for Prometheus"),
    ]
