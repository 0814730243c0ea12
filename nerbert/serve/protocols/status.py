"""What every server answers: its models, whether it lives and is ready, its counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from starlette.responses import PlainTextResponse, Response

from nerbert.errors import Unavailable
from nerbert.serve.answers import ServedModels
from nerbert.serve.metrics import CONTENT_TYPE, Metrics
from nerbert.serve.protocol import Call, Operation
from nerbert.serve.service import model_of


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What went wrong when a model was loaded again; "" if nothing did."""

    error: str
    fingerprint: str


def operations(metrics: Metrics, *, reload: bool) -> Sequence[Operation]:
    """Return the operations; models are loaded again only with `reload`."""
    found = [
        Operation(
            path="/models", method="GET", run=_models, answer=ServedModels, summary="The models, the default first"
        ),
        Operation(path="/healthz", method="GET", run=_alive, summary="Whether the server lives", open=True),
        Operation(path="/ready", method="GET", run=_ready, summary="Whether it takes requests", open=True),
        Operation(path="/metrics", method="GET", run=partial(_count, metrics), summary="Counts, for Prometheus"),
    ]
    again = Operation(path="/models/{model}/reload", run=_reload, answer=Reloaded, summary="Load a model again")
    return [*found, again] if reload else found


async def _models(call: Call) -> ServedModels:
    return ServedModels([model_of(each) for each in call.service.models.values()])


async def _alive(_: Call) -> Response:
    return PlainTextResponse("ok")


async def _ready(call: Call) -> Response:
    if not call.service.ready:
        raise Unavailable("the server is stopping")
    return PlainTextResponse("ready")


async def _count(metrics: Metrics, _: Call) -> Response:
    return Response(metrics.text(), media_type=CONTENT_TYPE)


async def _reload(call: Call) -> Reloaded:
    name = call.service.find(call.path["model"]).name
    errors = await call.service.reload(name)
    return Reloaded(errors[name], call.service.find(name).fingerprint)
