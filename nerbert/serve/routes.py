"""Every route of a server, by protocol; a protocol's file has its bodies, its answers and what it does.

`nerbert.registry.PROTOCOLS` names these functions. Yours is another such function (docs/extending/protocol.md).
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from nerbert.serve.answers import ServedModels, TagAnswer, TextResult
from nerbert.serve.protocol import LabelQuery, Operation
from nerbert.serve.protocols import gliner, hugging_face, inception, label_studio, nemo, page, presidio, status, tag

if TYPE_CHECKING:
    from nerbert.serve.protocols.labelling import Labelling

_TEXT = "Ada Lovelace came to London."
_get, _open = partial(Operation, method="GET"), partial(Operation, method="GET", open=True)


def own_routes() -> Sequence[Operation]:
    """Return those of nerbert's own protocol."""
    labels = {"text": [_TEXT], "labels": ["person", "city: where people live"], "thresholds": {"person": 0.7},
              "nested": True, "offsets": "utf-16"}  # fmt: skip
    return [
        Operation(path="/tag", run=tag.tag, body=tag.TagBody, answer=TagAnswer,
                  summary="Tag a text, or a list of texts",
                  examples={"a text": {"text": _TEXT}, "labels at run time": labels}),
        Operation(path="/tag/stream", run=tag.stream, body=tag.StreamLine, answer=TextResult, query=tag.StreamQuery,
                  streams=True, summary="Tag JSON lines as they come; answers are lines in their order",
                  examples={"a line": {"id": 7, "text": _TEXT}}),
    ]  # fmt: skip


def hugging_face_routes() -> Sequence[Operation]:
    """Return those of Hugging Face's token classification."""
    simple = {"inputs": _TEXT, "parameters": {"aggregation_strategy": "simple"}}
    return [
        Operation(path="/models/{model}", run=hugging_face.classify, body=hugging_face.Inputs,
                  answer=list[hugging_face.Element] | list[list[hugging_face.Element]], query=LabelQuery,
                  summary="Token classification, as Hugging Face's", examples={"a text": simple})
    ]  # fmt: skip


def gliner_routes() -> Sequence[Operation]:
    """Return those of GLiNER's server."""
    labels = {"text": _TEXT, "labels": ["person", "city"], "threshold": 0.5}
    return [
        Operation(path="/gliner", run=gliner.predict, body=gliner.GlinerRequest, answer=gliner.GlinerAnswer,
                  summary="Entities, as GLiNER's server", examples={"labels": labels})
    ]  # fmt: skip


def presidio_routes() -> Sequence[Operation]:
    """Return those of Presidio's analyzer."""
    people = {"text": _TEXT, "language": "en", "entities": ["PERSON"]}
    return [
        Operation(path="/analyze", run=presidio.analyze, body=presidio.PresidioRequest, examples={"people": people},
                  answer=list[presidio.PresidioEntity] | list[list[presidio.PresidioEntity]],
                  summary="Analyze, as Presidio's"),
        _get(path="/supportedentities", run=presidio.supported, answer=list[str], query=presidio.LanguageQuery,
             summary="Names of the types of a model, as Presidio's"),
        _open(path="/health", run=presidio.health, summary="Health, as Presidio's"),
    ]  # fmt: skip


def nemo_routes() -> Sequence[Operation]:
    """Return those of NeMo Guardrails' GLiNER server and of NVIDIA's NIM."""
    chat = {"messages": [{"role": "user", "content": _TEXT}], "labels": ["person"]}
    return [
        Operation(path="/v1/extract", run=nemo.extract, body=nemo.ExtractRequest, answer=nemo.Extracted,
                  summary="Entities, as NeMo Guardrails' GLiNER server",
                  examples={"people": {"text": _TEXT, "labels": ["person"], "threshold": 0.5}}),
        Operation(path="/v1/chat/completions", run=nemo.chat, body=nemo.ChatRequest, answer=dict[str, Any],
                  summary="Entities as JSON in a chat's answer, as NVIDIA's NIM", examples={"people": chat}),
    ]  # fmt: skip


def label_studio_routes() -> Sequence[Operation]:
    """Return those of Label Studio's backend."""
    config, answer = label_studio.EXAMPLE, dict[str, str]
    return [
        _open(path="/label-studio/health", run=label_studio.health, answer=answer,
              summary="Health, as Label Studio's backend"),
        Operation(path="/label-studio/setup", run=label_studio.setup, body=label_studio.LabelStudioSetup, answer=answer,
                  summary="Connect a project of Label Studio",
                  examples={"a project": {"project": "1.1700000000", "schema": config}}),
        Operation(path="/label-studio/predict", run=label_studio.predict, body=label_studio.LabelStudioTasks,
                  answer=dict[str, list[Any]], summary="Predictions for Label Studio's tasks",
                  examples={"a task": {"tasks": [{"data": {"text": "Ada came to Rome."}}], "label_config": config}}),
        Operation(path="/label-studio/webhook", run=label_studio.Trainings().event, answer=answer,
                  body=label_studio.LabelStudioEvent,
                  summary="What happened in Label Studio; START_TRAINING starts a training",
                  examples={"an annotation": {"action": "ANNOTATION_CREATED", "project": {"id": 1}}}),
    ]  # fmt: skip


def inception_routes() -> Sequence[Operation]:
    """Return those of INCEpTION's external recommender."""
    return [
        Operation(path="/inception/predict", run=inception.predict, body=inception.RecommenderRequest,
                  answer=inception.RecommenderAnswer, query=LabelQuery, examples={"a document": inception.EXAMPLE},
                  summary="Recommend annotations, as INCEpTION's external recommender")
    ]  # fmt: skip


def page_routes() -> Sequence[Operation]:
    """Return those of the page."""
    return [_open(path="/", run=page.index, summary="The page"),
            _open(path="/page/{name}", run=page.file, summary="A file of the page")]  # fmt: skip


def status_routes(metrics: status.Metrics, *, reload: bool) -> Sequence[Operation]:
    """Return those of any server; models are loaded again only with `reload`."""
    again = Operation(path="/models/{model}/reload", run=status.reload, answer=status.Reloaded,
                      summary="Load a model again")  # fmt: skip
    return [
        _get(path="/models", run=status.models, answer=ServedModels, summary="The models, the default first"),
        _open(path="/healthz", run=status.is_alive, summary="Whether the server lives"),
        _open(path="/ready", run=status.is_ready, summary="Whether it takes requests"),
        _get(path="/metrics", run=partial(status.count, metrics), summary="Counts, for Prometheus"),
        *([again] if reload else []),
    ]  # fmt: skip


def label_routes(work: "Labelling") -> Sequence[Operation]:
    """Return those that the page asks while sentences are labelled."""
    from nerbert.serve.protocols import labelling

    tab, types = {"tab": "a1"}, {"types": [{"name": "ship"}]}
    saved = {**tab, "id": 0, "revision": 0, "answer": "accept", "entities": [{"start": 0, "end": 3, "type": "ship"}]}

    def post(path: str, run: Any, summary: str, body: Any = labelling.NoBody, **example: Any) -> Operation:
        return Operation(path=path, run=run, summary=summary, body=body, examples={"an example": example})

    return [
        _get(path="/label", run=work.state_of, summary="The state of the project"),
        _get(path="/label/list", run=work.listed, summary="The sentences that were answered, the last first"),
        post("/label/next", work.next, "The next sentence", labelling.TabBody, **tab),
        post("/label/open", work.opened, "A sentence that was shown", labelling.OpenBody, **tab, id=0),
        post("/label/save", work.save, "Save a sentence's entities and answer", labelling.SaveBody, **saved),
        post("/label/undo", work.undo, "Take back what this tab saved last", labelling.TabBody, **tab),
        post("/label/types", work.set_types, "Set the types", labelling.TypesBody, **types),
        post("/label/train", work.train, "Train a tagger now"),
        post("/label/cancel", work.cancel, "Cancel the training"),
        post("/label/sample", work.sample, "Add the sample domain's sentences, to practise"),
        Operation(path="/label/load", run=work.load, summary="Add a file's sentences", query=labelling.LoadQuery,
                  streams=True),
        _get(path="/label/export", run=work.export, query=labelling.ExportQuery,
             summary="The accepted sentences, as a file"),
    ]  # fmt: skip
