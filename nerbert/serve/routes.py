"""Every route of a server, by protocol; a protocol's file has its bodies and functions.

`nerbert.serve.protocol.PROTOCOLS` names these functions. Your own protocol is another one (docs/extending/protocol.md).
Answers in other servers' protocols are documented by those servers.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from nerbert.serve.answers import ServedModels, TagAnswer, TextResult
from nerbert.serve.protocol import LabelQuery, Operation
from nerbert.serve.protocols import gliner, hugging_face, label_studio, presidio, status, tag

if TYPE_CHECKING:
    from nerbert.serve.protocols.labelling import Labelling

_TEXT = "Ada Lovelace came to London."


def _get(path: str, run: Any, **fields: Any) -> Operation:
    return Operation(path=path, run=run, method="GET", **fields)


def _post(path: str, run: Any, body: Any, example: Any, **fields: Any) -> Operation:
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
        _post(
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
        _post(path, hugging_face.classify, hugging_face.Inputs, example, query=LabelQuery)
        for path in ("/models/{model}", "/")
    ]


def gliner_routes() -> Sequence[Operation]:
    """Return the routes of GLiNER's server."""
    example = {"text": _TEXT, "labels": ["person", "city"], "threshold": 0.5}
    return [_post("/gliner", gliner.predict, gliner.GlinerRequest, example)]


def presidio_routes() -> Sequence[Operation]:
    """Return the routes of Presidio's analyzer."""
    example = {"text": _TEXT, "language": "en", "entities": ["PERSON"]}
    health = partial(status.send_text, "Presidio Analyzer service is up")
    return [
        _post("/analyze", presidio.analyze, presidio.PresidioRequest, example),
        _get("/supportedentities", presidio.list_types, answer=list[str], query=presidio.LanguageQuery),
        _get("/health", health, summary="Return whether it lives, as Presidio's analyzer", open=True),
    ]


def nemo_routes() -> Sequence[Operation]:
    """Return the routes of NeMo Guardrails' GLiNER server and of NVIDIA's NIM."""
    chat = {"messages": [{"role": "user", "content": _TEXT}], "labels": ["person"]}
    return [
        _post("/v1/extract", gliner.extract, gliner.ExtractRequest, {"text": _TEXT, "labels": ["person"]}),
        _post("/v1/chat/completions", gliner.chat, gliner.ChatRequest, chat),
    ]


def label_studio_routes() -> Sequence[Operation]:
    """Return the routes of Label Studio's backend."""
    project = {"project": "1.1700000000", "schema": label_studio.EXAMPLE}
    task = {"tasks": [{"data": {"text": "Ada came to Rome."}}], "label_config": label_studio.EXAMPLE}
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 1}}
    return [
        _get("/label-studio/health", label_studio.health, open=True),
        _post("/label-studio/setup", label_studio.setup, label_studio.LabelStudioSetup, project),
        _post("/label-studio/predict", label_studio.predict, label_studio.LabelStudioTasks, task),
        _post("/label-studio/webhook", label_studio.Trainings().take_event, label_studio.LabelStudioEvent, event),
    ]


def page_routes() -> Sequence[Operation]:
    """Return the routes of the page."""
    page = _get("/", status.send_file, summary="Return the page", open=True)
    return [page, _get("/page/{name}", status.send_file, open=True)]


def status_routes(metrics: status.Metrics) -> Sequence[Operation]:
    """Return the routes of every server."""
    return [
        _get("/models", status.list_models, answer=ServedModels),
        _get("/healthz", partial(status.send_text, "ok"), summary="Return whether the server lives", open=True),
        _get("/ready", status.is_ready, open=True),
        _get("/metrics", partial(status.send_metrics, metrics), summary="Counts, for Prometheus"),
    ]


def label_routes(work: "Labelling") -> Sequence[Operation]:
    """Return the routes of the labelling page."""
    from nerbert.serve.protocols import labelling as bodies

    saved = {"tab": "a1", "id": 0, "revision": 0, "entities": [{"start": 0, "end": 3, "type": "ship"}]}
    return [
        _get("/label", work.describe_state),
        _get("/label/list", work.list_answered),
        _post("/label/next", work.next, bodies.TabBody, {"tab": "a1"}),
        _post("/label/open", work.open_sentence, bodies.OpenBody, {"tab": "a1", "id": 0}),
        _post("/label/save", work.save, bodies.SaveBody, saved),
        _post("/label/undo", work.undo, bodies.TabBody, {"tab": "a1"}),
        _post("/label/types", work.set_types, bodies.TypesBody, {"types": [{"name": "ship"}]}),
        _post("/label/train", work.train, bodies.NoBody, {}),
        _post("/label/cancel", work.cancel, bodies.NoBody, {}),
        _post("/label/sample", work.sample, bodies.NoBody, {}),
        Operation(path="/label/load", run=work.load, query=bodies.LoadQuery, streams=True),
        _get("/label/export", work.export, query=bodies.ExportQuery),
    ]
