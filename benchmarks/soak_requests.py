"""Requests of all protocols of `nerbert serve`, each with the entities that its answer must have; for serving_soak.py.

What is expected is what `Tagger.tag_batch` finds in this process with the same folders.
"""

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nerbert.entity_labels import presidio_name
from nerbert.errors import NerbertError
from nerbert.tagger.pending import TagRequest
from nerbert.tagger.tagger import Tagger

Entity = tuple[int, int, str]
Entities = list[list[Entity]]
LABELS = (("artist", "city", "artwork"), ("person", "place"), ("ship", "date", "museum", "material"))
_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and how to read its answer, which must have these entities; None: there is nothing to compare."""

    kind: str
    path: str
    body: Any = None
    expected: Entities | None = None
    read: Callable[[Any], Entities] = lambda _: []
    lines: bool = False
    """Whether body and answer are JSON lines."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """Return the request's bytes."""
        if self.body is None:
            return _head("GET", self.path, {})
        if self.lines:
            body = b"".join(json.dumps(each).encode() + b"\n" for each in self.body)
        else:
            body = json.dumps(self.body).encode()
        return _head("POST", self.path, {"Content-Length": str(len(body)), **self.headers}) + body

    def refused(self, answer: bytes) -> int:
        """Return the status of the first line that has an error in place of entities, 0 if there is none."""
        lines = map(json.loads, answer.splitlines()) if self.lines else ()
        return next((int(each["status"]) for each in lines if "error" in each), 0)

    def wrong(self, answer: bytes) -> str:
        """Return in what an answer differs from what is expected, "" if in nothing."""
        if self.expected is None:
            return ""
        content = [json.loads(each) for each in answer.splitlines()] if self.lines else json.loads(answer)
        found = [sorted(each) for each in self.read(content)]
        return "" if found == self.expected else f"expected {self.expected}, found {found}"


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def post(path: str, body: bytes, size: int | None = None) -> bytes:
    """Return the bytes of a request; `size` is what it says of its body's length."""
    return _head("POST", path, {"Content-Length": str(len(body) if size is None else size)}) + body


class Requests:
    """Draws requests for two models, `fixed` (types of its own) and `open` (labels at run time)."""

    def __init__(self, texts: Sequence[str], fixed: Tagger, opened: Tagger, seed: int) -> None:
        self.texts, self._chance, self._types = texts, random.Random(seed), fixed.types  # noqa: S311
        self._fixed = dict(zip(texts, _entities(fixed, [TagRequest(each) for each in texts]), strict=True))
        asked = {labels: [TagRequest(each, labels, _THRESHOLD) for each in texts] for labels in LABELS}
        self._open = {labels: dict(zip(texts, _entities(opened, each), strict=True)) for labels, each in asked.items()}
        makers: dict[Callable[[], Asked], int] = {
            self._tag: 6,
            self._tag_labels: 3,
            self._many: 2,
            self._stream: 2,
            self._hugging_face: 4,
            self._gliner: 4,
            self._presidio: 4,
            self._extract: 3,
            self._chat: 2,
            self._label_studio: 3,
            self._status: 2,
        }
        self._makers, self._weights = list(makers), list(makers.values())

    @property
    def entities(self) -> tuple[int, int]:
        """Return how many entities are in the answers of the fixed model, and of the other one."""
        return sum(map(len, self._fixed.values())), sum(len(each) for of in self._open.values() for each in of.values())

    def draw(self) -> Asked:
        """Return a request."""
        return self._chance.choices(self._makers, self._weights)[0]()

    def _some(self, most: int) -> list[str]:
        return self._chance.sample(self.texts, self._chance.randint(1, most))

    def _text(self) -> str:
        return self._chance.choice(self.texts)

    def _labels(self) -> tuple[str, ...]:
        return self._chance.choice(LABELS)

    def _tag(self) -> Asked:
        return Asked("tag", "/tag", {"text": (text := self._text())}, [self._fixed[text]], _results)

    def _tag_labels(self) -> Asked:
        text, labels = self._text(), self._labels()
        body = {"text": text, "labels": labels, "thresholds": _THRESHOLD, "model": "open"}
        return Asked("tag, labels", "/tag", body, [self._open[labels][text]], _results)

    def _many(self) -> Asked:
        texts = self._some(20)
        return Asked("tag, list", "/tag", {"text": texts}, [self._fixed[each] for each in texts], _results)

    def _stream(self) -> Asked:
        texts = self._some(10)
        body = [{"text": each, "id": number} for number, each in enumerate(texts)]
        return Asked(
            "tag/stream",
            "/tag/stream",
            body,
            [self._fixed[each] for each in texts],
            lambda lines: _results({"results": lines}),
            lines=True,
        )

    def _hugging_face(self) -> Asked:
        texts = self._some(3)
        body = {"inputs": texts, "parameters": {"aggregation_strategy": "simple"}}
        return Asked(
            "hugging-face",
            "/models/fixed",
            body,
            [self._fixed[each] for each in texts],
            lambda found: [_read(each, "start", "end", "entity_group") for each in found],
        )

    def _gliner(self) -> Asked:
        text, labels = self._text(), self._labels()
        body = {"text": text, "labels": labels, "threshold": _THRESHOLD}
        return Asked(
            "gliner",
            "/gliner?model=open",
            body,
            [self._open[labels][text]],
            lambda found: [_read(found["entities"], "start", "end", "label")],
        )

    def _presidio(self) -> Asked:
        text = self._text()
        expected = sorted((start, end, presidio_name(type_)) for start, end, type_ in self._fixed[text])
        return Asked(
            "presidio",
            "/analyze?model=fixed",
            {"text": text, "language": "en"},
            [expected],
            lambda found: [_read(found, "start", "end", "entity_type")],
        )

    def _extract(self) -> Asked:
        text = self._text()
        names = "start_position", "end_position", "suggested_label"
        return Asked(
            "nemo, extract",
            "/v1/extract?model=fixed",
            {"text": text},
            [self._fixed[text]],
            lambda found: [_read(found["entities"], *names)],
        )

    def _chat(self) -> Asked:
        text, labels = self._text(), self._labels()
        body = {
            "model": "open",
            "messages": [{"role": "user", "content": text}],
            "labels": labels,
            "threshold": _THRESHOLD,
        }

        def read(found: Any) -> Entities:
            content = json.loads(found["choices"][0]["message"]["content"])
            return [_read(content["entities"], "start", "end", "label")]

        return Asked("nemo, chat", "/v1/chat/completions", body, [self._open[labels][text]], read)

    def _label_studio(self) -> Asked:
        texts = self._some(5)
        labels = "".join(f'<Label value="{each}"/>' for each in self._types)
        config = f'<View><Labels name="k" toName="t">{labels}</Labels><Text name="t" value="$text"/></View>'
        body = {
            "tasks": [{"id": number, "data": {"text": each}} for number, each in enumerate(texts)],
            "label_config": config,
        }

        def read(found: Any) -> Entities:
            values = ([region["value"] for region in each["result"]] for each in found["results"])
            return [[(each["start"], each["end"], each["labels"][0]) for each in of] for of in values]

        return Asked(
            "label-studio", "/label-studio/predict?model=fixed", body, [self._fixed[each] for each in texts], read
        )

    def _status(self) -> Asked:
        path = self._chance.choice(
            [
                "/",
                "/models",
                "/metrics",
                "/ready",
                "/healthz",
                "/health",
                "/openapi.json",
                "/supportedentities",
                "/label-studio/health",
            ]
        )
        return Asked("status and page", path)


def _entities(tagger: Tagger, requests: Iterable[TagRequest]) -> Entities:
    found = tagger.tag_batch(requests)
    for each in found:
        if isinstance(each, NerbertError):
            raise each
    return [sorted((span.start, span.end, span.type) for span in each) for each in found]  # type: ignore[union-attr]


def _results(found: Any) -> Entities:
    return [_read(each["spans"], "start", "end", "type") for each in found["results"]]


def _read(found: Sequence[Any], start: str, end: str, type_: str) -> list[Entity]:
    return [(each[start], each[end], each[type_]) for each in found]
