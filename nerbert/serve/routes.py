"""Every route of a server, by protocol; a protocol's file has its bodies, its answers and what it does.

`nerbert.registry.PROTOCOLS` names these functions. Yours is another such function (docs/extending/protocol.md).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from nerbert.serve.answers import ServedModels, TagAnswer, TextResult
from nerbert.serve.protocol import LabelQuery, Operation
from nerbert.serve.protocols import gliner, hugging_face, inception, label_studio, nemo, page, presidio, status, tag

if TYPE_CHECKING:
    from nerbert.serve.protocols.labelling import Labelling

_TEXT = "Ada Lovelace came to London."


def _get(path: str, run: Any, answer: Any = None, **more: Any) -> Operation:
    return Operation(path=path, run=run, method="GET", answer=answer, **more)


def _post(path: str, run: Any, body: Any, answer: Any, examples: Mapping[str, Any], **more: Any) -> Operation:
    return Operation(path=path, run=run, body=body, answer=answer, examples=examples, **more)


def own_routes() -> Sequence[Operation]:
    """Return those of nerbert's own protocol."""
    labels = {"text": [_TEXT], "labels": ["person", "city: where people live"], "thresholds": {"person": 0.7},
              "nested": True, "offsets": "utf-16"}  # fmt: skip
    examples, line = {"a text": {"text": _TEXT}, "labels at run time": labels}, {"a line": {"id": 7, "text": _TEXT}}
    return [
        _post("/tag", tag.tag, tag.TagBody, TagAnswer, examples),
        _post("/tag/stream", tag.stream, tag.StreamLine, TextResult, line, query=tag.StreamQuery, streams=True),
    ]


def hugging_face_routes() -> Sequence[Operation]:
    """Return those of Hugging Face's token classification."""
    answer = list[hugging_face.Element] | list[list[hugging_face.Element]]
    simple = {"inputs": _TEXT, "parameters": {"aggregation_strategy": "simple"}}
    return [_post("/models/{model}", hugging_face.classify, hugging_face.Inputs, answer, {"a text": simple},
                  query=LabelQuery)]  # fmt: skip


def gliner_routes() -> Sequence[Operation]:
    """Return those of GLiNER's server."""
    labels = {"text": _TEXT, "labels": ["person", "city"], "threshold": 0.5}
    return [_post("/gliner", gliner.predict, gliner.GlinerRequest, gliner.GlinerAnswer, {"labels": labels})]


def presidio_routes() -> Sequence[Operation]:
    """Return those of Presidio's analyzer."""
    answer = list[presidio.PresidioEntity] | list[list[presidio.PresidioEntity]]
    people = {"text": _TEXT, "language": "en", "entities": ["PERSON"]}
    return [
        _post("/analyze", presidio.analyze, presidio.PresidioRequest, answer, {"people": people}),
        _get("/supportedentities", presidio.supported, list[str], query=presidio.LanguageQuery),
        _get("/health", presidio.health, open=True),
    ]


def nemo_routes() -> Sequence[Operation]:
    """Return those of NeMo Guardrails' GLiNER server and of NVIDIA's NIM."""
    text = {"text": _TEXT, "labels": ["person"], "threshold": 0.5}
    chat = {"messages": [{"role": "user", "content": _TEXT}], "labels": ["person"]}
    return [
        _post("/v1/extract", nemo.extract, nemo.ExtractRequest, nemo.Extracted, {"people": text}),
        _post("/v1/chat/completions", nemo.chat, nemo.ChatRequest, dict[str, Any], {"people": chat}),
    ]


def label_studio_routes() -> Sequence[Operation]:
    """Return those of Label Studio's backend."""
    project = {"project": "1.1700000000", "schema": label_studio.EXAMPLE}
    task = {"tasks": [{"data": {"text": "Ada came to Rome."}}], "label_config": label_studio.EXAMPLE}
    event, answer = {"action": "ANNOTATION_CREATED", "project": {"id": 1}}, dict[str, str]
    trainings, predictions = label_studio.Trainings(), dict[str, list[Any]]
    return [
        _get("/label-studio/health", label_studio.health, answer, open=True),
        _post("/label-studio/setup", label_studio.setup, label_studio.LabelStudioSetup, answer, {"a project": project}),
        _post("/label-studio/predict", label_studio.predict, label_studio.LabelStudioTasks, predictions,
              {"a task": task}),
        _post("/label-studio/webhook", trainings.event, label_studio.LabelStudioEvent, answer,
              {"an annotation": event}),
    ]  # fmt: skip


def inception_routes() -> Sequence[Operation]:
    """Return those of INCEpTION's external recommender."""
    return [_post("/inception/predict", inception.predict, inception.RecommenderRequest, inception.RecommenderAnswer,
                  {"a document": inception.EXAMPLE}, query=LabelQuery)]  # fmt: skip


def page_routes() -> Sequence[Operation]:
    """Return those of the page."""
    return [_get("/", page.index, open=True), _get("/page/{name}", page.file, open=True)]


def status_routes(metrics: status.Metrics, *, reload: bool) -> Sequence[Operation]:
    """Return those of any server; models are loaded again only with `reload`."""
    again = Operation(path="/models/{model}/reload", run=status.reload, answer=status.Reloaded)
    return [
        _get("/models", status.models, ServedModels),
        _get("/healthz", status.is_alive, open=True),
        _get("/ready", status.is_ready, open=True),
        _get("/metrics", partial(status.count, metrics), summary="Counts, for Prometheus"),
        *([again] if reload else []),
    ]


def label_routes(work: "Labelling") -> Sequence[Operation]:
    """Return those that the page asks while sentences are labelled."""
    from nerbert.serve.protocols import labelling

    def post(path: str, run: Any, body: Any = labelling.NoBody, **example: Any) -> Operation:
        return _post(path, run, body, None, {"an example": example})

    entity = {"start": 0, "end": 3, "type": "ship"}
    return [
        _get("/label", work.state_of),
        _get("/label/list", work.listed),
        post("/label/next", work.next, labelling.TabBody, tab="a1"),
        post("/label/open", work.opened, labelling.OpenBody, tab="a1", id=0),
        post("/label/save", work.save, labelling.SaveBody, tab="a1", id=0, revision=0, entities=[entity]),
        post("/label/undo", work.undo, labelling.TabBody, tab="a1"),
        post("/label/types", work.set_types, labelling.TypesBody, types=[{"name": "ship"}]),
        post("/label/train", work.train),
        post("/label/cancel", work.cancel),
        post("/label/sample", work.sample),
        Operation(path="/label/load", run=work.load, query=labelling.LoadQuery, streams=True),
        _get("/label/export", work.export, query=labelling.ExportQuery),
    ]
