"""Label Studio's machine-learning backend, at `/label-studio`: health, setup, predictions, and training if allowed.

Source: label-studio 1.23.2, `ml/api_connector.py`, `ml/serializers.py` and `ml/models.py`. Label Studio shows only the
status of an error, so problems of a project are also logged.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.formats.label_studio import LabelStudio
from nerbert.records import Document, EntityLabel
from nerbert.serve.commands import run_command
from nerbert.serve.protocol import Call
from nerbert.serve.protocols.presidio import asked_labels
from nerbert.serve.service import Ask, Served, Service, log
from nerbert.tagger.spans import Spans

EXAMPLE = '<View><Labels name="k" toName="t"><Label value="person"/></Labels><Text name="t" value="$text"/></View>'
_URL, _KEY = "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"
_LARGEST = 1 << 30
"""Maximum size of an export, in bytes."""
_SECONDS = 300.0
"""Maximum seconds for Label Studio to send a part of an answer."""


class LabelStudioSetup(BaseModel):
    """A connected project; Label Studio's address and token in it are not used."""

    project: str
    config: str = Field(alias="schema")


class LabelStudioTask(BaseModel):
    """A task; its text is under a key of `data`."""

    data: dict[str, Any]


class LabelStudioTasks(BaseModel):
    """Tasks, and the labelling interface of their project."""

    tasks: list[LabelStudioTask]
    label_config: str


class LabelStudioProject(BaseModel):
    """A project, given by its number."""

    id: int = Field(ge=0)


class LabelStudioEvent(BaseModel):
    """An event in a project."""

    action: str
    project: LabelStudioProject | None = None


async def health(_: Call) -> dict[str, str]:
    """Return the status, as Label Studio's backend does."""
    return {"status": "UP", "model_class": "nerbert"}


async def setup(call: Call) -> dict[str, str]:
    """Connect a project of Label Studio."""
    served = call.service.find(call.query.model)
    _read_interface(call.body.config, served)
    return {"model_version": _version(served)}


async def predict(call: Call) -> dict[str, list[Any]]:
    """Find entities in Label Studio's tasks."""
    body: LabelStudioTasks = call.body
    served = call.service.find(call.query.model)
    (control, shown, key), labels = _read_interface(body.label_config, served)
    texts = [task.data.get(key) for task in body.tasks]
    read = [text for text in texts if isinstance(text, str)]
    # Mixed tasks are normal, but none with a text means a wrong key.
    if texts and not read:
        raise InputError(f"tasks: none has a text under {key!r:.80}, which the labelling interface shows")
    answers, results = iter(await call.tag(read, Ask(served.name, [*map(EntityLabel, labels)]))), list[Any]()
    for text in texts:
        # A task without a text (an image, say) gets an empty prediction, so that positions fit.
        spans = next(answers) if isinstance(text, str) else Spans("")
        prediction = LabelStudio().value(Document(spans.text, tuple(spans), tagged=True))["predictions"][0]
        for region in prediction["result"]:
            region |= {"from_name": control, "to_name": shown}
            region["value"]["labels"] = [labels[name] for name in region["value"]["labels"]]
        results.append(prediction | {"model_version": _version(served)})
    return {"results": results}


def _read_interface(config: str, served: Served) -> tuple[tuple[str, str, str], dict[str, str]]:
    """Return an interface's control, text and the text's key, and labels by the names to find; log problems."""
    try:
        control, names = _parse_interface(config)
        labels = asked_labels(served, names)
        if not labels:
            raise InputError(
                f"the model {served.name} finds {', '.join(served.tagger.types)}, and none of {', '.join(names)}"
            )
    except (ElementTree.ParseError, InputError) as error:
        # Label Studio shows its users only the status of an error.
        log.warning("Label Studio: the labelling interface: %s", error)
        raise InputError(f"the labelling interface: {error}") from error
    return control, labels


def _parse_interface(config: str) -> tuple[tuple[str, str, str], list[str]]:
    """Return the names in an interface's first `Labels` for a `Text`; raise InputError if it has none."""
    # A DOCTYPE can define entities that grow exponentially ("billion laughs").
    if "<!DOCTYPE" in config:
        raise InputError("a DOCTYPE isn't allowed")
    root = ElementTree.fromstring(config)  # noqa: S314  (entities need a DOCTYPE)
    # With `valueType="url"`, the task holds an address instead of a text.
    texts = {text.get("name", ""): text for text in root.iter("Text") if text.get("valueType") != "url"}
    for control in root.iter("Labels"):
        # Label Studio stores the alias, if there is one.
        labels = {label.get("alias") or label.get("value") or "" for label in control.iter("Label")} - {""}
        if labels and (text := control.get("toName", "")) in texts:
            return (control.get("name", ""), text, texts[text].get("value", "").removeprefix("$")), sorted(labels)
    raise InputError("it has no <Labels> with a <Label> whose toName names a <Text>; add one")


def _version(served: Served) -> str:
    return f"{served.name}-{served.fingerprint}"


class Trainings:
    """Training runs on annotated tasks, one at a time, each from the first served tagger, whose name they keep."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._sources = dict[str, str]()

    async def take_event(self, call: Call) -> dict[str, str]:
        """Handle an event of Label Studio; START_TRAINING starts training."""
        body: LabelStudioEvent = call.body
        # Label Studio sends every event of a project to the same address.
        if body.action != "START_TRAINING":
            return {"status": "ok", "result": ""}
        if body.project is None:
            raise InputError("project is missing")
        service = call.service
        served = call.service.find(call.query.model)
        if not service.limits.allow_training:
            raise HTTPException(403, "this server trains nothing; start it with --allow-training")
        # A second training would take the cores of the first and of the server.
        if self._task and not self._task.done():
            raise HTTPException(409, "a tagger is in training already; wait for it")
        url, key = (os.environ.get(name, "").strip() for name in (_URL, _KEY))
        if not (url.startswith(("http://", "https://")) and key):
            raise SettingsError(f"the server needs Label Studio's address and a key for it, in {_URL} and {_KEY}")
        project = body.project.id
        folder = Path("label-studio", f"{project}-{time.strftime('%Y%m%d-%H%M%S')}")
        # Always from the first tagger: training on a trained one would repeat the same annotations.
        source = self._sources.setdefault(served.name, served.source)
        work = _train(service, served.name, source, folder, partial(_export, url, key, project))
        self._task = asyncio.create_task(work)
        return {"status": "started", "result": str(folder)}


async def _train(
    service: Service, name: str, source: str, folder: Path, export: Callable[[Path], Awaitable[None]]
) -> None:
    """Train a tagger on a project's annotations, and let the server use it."""
    data = folder / "annotations.json"
    tagger = str(folder / "tagger")
    try:
        folder.mkdir(parents=True)
        await export(data)
        await run_command("finetune", source, "--data", str(data), "-o", tagger)
        await service.add(name, tagger)
        log.info("Label Studio: model %s is now %s", name, tagger)
    # Nobody awaits this task, so an error must end in the log.
    except Exception as error:
        unforeseen = not isinstance(error, NerbertError | OSError)
        log.warning("Label Studio: no training in %s: %s", folder, error, exc_info=unforeseen)


async def _export(url: str, key: str, project: int, target: Path) -> None:
    """Write the annotations of a project to a file; raise InputError if they aren't available."""
    import httpx

    try:
        async with httpx.AsyncClient(base_url=url, timeout=_SECONDS) as client:
            headers = {"Authorization": f"Token {key}"}
            # A personal access token (a JWT): exchange it for a short-lived one.
            if key.count(".") == 2:
                answer = await client.post("/api/token/refresh", json={"refresh": key})
                headers = {"Authorization": f"Bearer {answer.raise_for_status().json()['access']}"}
            path = f"/api/projects/{project}/export?exportType=JSON"
            async with client.stream("GET", path, headers=headers) as answer:
                answer.raise_for_status()
                with target.open("wb") as file:
                    async for part in answer.aiter_bytes():
                        file.write(part)
                        if file.tell() > _LARGEST:
                            raise InputError(f"the export has more than {_LARGEST:,} bytes")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{url}: the annotations can't be had: {why}") from error
