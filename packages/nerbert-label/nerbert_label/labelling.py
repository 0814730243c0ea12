"""The labelling page's operations: next sentence, save, undo; types, files, training.

A browser tab names itself. A sentence that it has open isn't given to other tabs until it has been silent for long.
"""

import asyncio
import re
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.responses import Response

from nerbert import about
from nerbert.data.convert import convert_data
from nerbert.errors import InputError, NerbertError
from nerbert.formats.documents import Reading, reading_for
from nerbert.formats.format import FORMATS
from nerbert.model.folder import read_card
from nerbert.records import EntityLabel, Example, Span
from nerbert.serve.protocol import Call, Query
from nerbert.serve.service import Ask, Service, log
from nerbert_label.learning import MINE, Learner
from nerbert_label.project import Answer, LabelItem, LabelType, Project
from nerbert_label.sentences import LONGEST, Draw

_SILENT = 600.0
"""Seconds without requests after which a tab's sentence may be given to another tab."""
_LARGEST = 256 << 20
"""Maximum size of a file loaded on the page, in bytes."""
_SAMPLE = Path(about.__file__).parent / "sample" / "domain" / "train.conll"
_SAMPLE_TYPES = ("object", "material", "maker", "person", "vessel", "port", "date", "inventory")
_LISTED, _HEAD = 500, 200
"""Maximum number of sentences in a list, and of characters of each."""


class NoBody(BaseModel):
    """An empty body; base class of others."""

    model_config = ConfigDict(extra="forbid")


class TabBody(NoBody):
    """The tab, and a name for the request: a repeated one changes nothing."""

    tab: Annotated[str, Field(min_length=1, max_length=64)]
    request: Annotated[str, Field(max_length=64)] = ""


class OpenBody(TabBody):
    """A sentence that was shown."""

    id: int


class PlacedEntity(BaseModel):
    """An entity in a text; `start` and `end` (exclusive) count code points."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    type: str = Field(min_length=1, max_length=200)


class SaveBody(OpenBody):
    """A sentence's entities and answer, and the revision that the tab saw."""

    revision: int
    entities: list[PlacedEntity] = Field(max_length=10_000)
    answer: Answer = ""


class TypesBody(NoBody):
    """All types, in order."""

    types: list[LabelType]


class LoadQuery(Query):
    """Name of the uploaded file."""

    name: str = Field("pasted.txt", max_length=200)


class ExportQuery(Query):
    """Format of the file."""

    format: str = Field("jsonl", max_length=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelJob:
    """The input of labelling: files, the folder for the work, the first types, and the encoder to fine-tune."""

    folder: Path
    files: tuple[Path, ...] = ()
    types: tuple[EntityLabel, ...] = ()
    encoder: str = "embedded-open"
    config: Path | None = None
    """Settings of fine-tuning, as for `nerbert finetune`."""
    seed: int = 0
    reading: Reading = field(default_factory=Reading)


class Labelling:
    """A project behind operations: the open sentences of tabs, and suggestions by the newest tagger."""

    def __init__(self, job: LabelJob) -> None:
        self._job = job
        self.project = Project(job.folder, reading_for(read_card(job.encoder), job.reading, training=True))
        self.note = ""
        # Files named again add only sentences that are new.
        for path in job.files:
            self._add(*self.project.read(path))
        types = {type_.name for type_ in self.project.types}
        # Types given again must not replace those that were changed on the page.
        if missing := [LabelType(label.name, label.description) for label in job.types if label.name not in types]:
            self.project.set_types([*self.project.types, *missing])
        self._learner = Learner(self.project, job.encoder, job.config, job.reading.language)
        self._draw = self._start_draw()
        self._open = dict[str, tuple[int, float]]()
        """By tab: its open sentence, and the time of its last request."""
        self._loading = asyncio.Lock()

    @asynccontextmanager
    async def run(self, service: Service) -> AsyncIterator[None]:
        """Use the newest tagger; stop training at the end."""
        await self._learner.resume(service)
        try:
            yield
        finally:
            await self._learner.close()
            try:
                self.project.close()
            except NerbertError as error:
                log.warning("the labels: %s", error)

    async def describe_state(self, _: Call) -> dict[str, Any]:
        """Return the state of the project, which the page shows next to the sentence."""
        project, learner = self.project, self._learner
        answers = Counter[tuple[str, bool]]((item.state.answer, item.test) for item in project.drawn)
        counts = {
            f"{answer}ed" if answer != "skip" else "skipped": answers[answer, True] + answers[answer, False]
            for answer in ("accept", "reject", "skip")
        }
        return {
            "file": ", ".join(path.name for path in self._job.files),
            "folder": str(project.folder),
            "note": self.note,
            "types": project.types,
            "example": next((item.sentence.text for item in reversed(project.items) if not item.drawn), ""),
            "counts": {"sentences": len(project.items), **counts, "test": answers["accept", True]},
            "next_round": learner.next_round,
            "learning": {
                "sentences": learner.sentences,
                "seconds": round(time.monotonic() - learner.started, 1),
                "line": learner.line,
            }
            if learner.running
            else None,
            "rounds": learner.rounds,
            "enough": learner.enough(),
            "formats": [name for name in FORMATS if name != "datasets"],
        }

    async def next(self, call: Call) -> dict[str, Any]:
        """Return the next sentence."""
        tab = call.body.tab
        open_here = self._open.get(tab, (-1, 0.0))[0]
        late = time.monotonic() - _SILENT
        # A tab that was closed says nothing, so its sentence is free after a while.
        taken = {number for number, heard in self._open.values() if heard > late} - {open_here}
        # Sentences without an answer come before new ones, so that none is forgotten.
        waiting = [item for item in self.project.with_answer("") if item.id not in taken]
        # The tab's own open sentence first: reloading the page must not skip it.
        item = min(waiting, key=lambda candidate: candidate.id != open_here, default=None)
        if item is None and (drawn := self._draw.next()):
            item = self.project.items[drawn[0]]
            # On disk before it is shown: the order must survive a crash.
            self.project.draw(item, test=drawn[1])
            self._draw.show(item.id)
        return await self._open_item(call, item, tab)

    async def open_sentence(self, call: Call) -> dict[str, Any]:
        """Return a sentence that was shown."""
        body: OpenBody = call.body
        return await self._open_item(call, self.project.find(body.id), body.tab)

    async def save(self, call: Call) -> dict[str, Any]:
        """Save a sentence's entities and answer."""
        body: SaveBody = call.body
        item = self.project.find(body.id)
        entities = [(entity.start, entity.end, entity.type) for entity in body.entities]
        self.project.save(item, body.revision, entities, body.answer, body.tab, body.request)
        self._open[body.tab] = (item.id, time.monotonic())
        self._learner.start_if_due(call.service)
        return {"revision": item.revision, "state": await self.describe_state(call)}

    async def undo(self, call: Call) -> dict[str, Any]:
        """Revert what a tab saved last."""
        body: TabBody = call.body
        return await self._open_item(call, self.project.undo(body.tab, body.request), body.tab)

    async def _open_item(self, call: Call, item: LabelItem | None, tab: str) -> dict[str, Any]:
        """Return a sentence as the page shows it, and reserve it for the tab."""
        if item is None:
            return {"item": None, "state": await self.describe_state(call)}
        self._open[tab] = (item.id, time.monotonic())
        suggestions, by = await self._suggest(call, item)
        items = self.project.items
        return {
            "item": {
                "id": item.id,
                "text": item.sentence.text,
                "words": item.sentence.words,
                "answer": item.state.answer,
                "entities": item.state.entities,
                "suggestions": suggestions,
                "suggested_by": by,
                "test": item.test,
                "revision": item.revision,
                "before": items[item.id - 1].sentence.text if item.id else "",
                "after": items[item.id + 1].sentence.text if item.id + 1 < len(items) else "",
            },
            "state": await self.describe_state(call),
        }

    async def _suggest(self, call: Call, item: LabelItem) -> tuple[list[Span], str]:
        """Return the suggestions of a file, or of each type's newest model, and their source; none for the test."""
        # Suggestions would bias the sentences that measure the tagger.
        if item.test or item.state.answer:
            return [], ""
        left = {type_.name: EntityLabel(type_.name, type_.description) for type_ in self.project.types}
        if of_file := [span for span in item.sentence.spans if span.type in left]:
            return of_file, "the file"
        kept = list[Span]()
        by = list[str]()
        # The newest model last in the dictionary: it suggests first, older ones fill in other types.
        for name, served in reversed(list(call.service.models.items())):
            labels = [label for label in left.values() if served.takes_labels or label.name in served.tagger.types]
            # A model that can't answer now gives no suggestions; labelling goes on.
            with suppress(NerbertError):
                if labels:
                    (spans,) = await call.tag([item.sentence.text], Ask(model=name, labels=labels))
                    kept += _apart_from(kept, spans)
                    by.append("your tagger" if name == MINE else name)
                    for label in labels:
                        del left[label.name]
        return sorted(kept, key=lambda span: span.start), " and ".join(by)

    async def list_answered(self, _: Call) -> dict[str, Any]:
        """Return the answered sentences, latest first."""
        answered = self.project.with_answer("accept", "reject", "skip")[: -_LISTED - 1 : -1]
        return {
            "items": [
                {
                    "id": item.id,
                    "text": item.sentence.text[:_HEAD],
                    "answer": item.state.answer,
                    "test": item.test,
                    "entities": len(item.state.entities),
                }
                for item in answered
            ]
        }

    async def set_types(self, call: Call) -> dict[str, Any]:
        """Set the types."""
        self.project.set_types(call.body.types)
        return {"state": await self.describe_state(call)}

    async def train(self, call: Call) -> dict[str, Any]:
        """Train a tagger now."""
        self._learner.start(call.service)
        return {"state": await self.describe_state(call)}

    async def cancel(self, call: Call) -> dict[str, Any]:
        """Cancel the training."""
        await self._learner.cancel()
        return {"state": await self.describe_state(call)}

    async def load(self, call: Call) -> AsyncIterator[bytes]:
        """Add the sentences of an uploaded file, which is first written to disk in parts."""
        with TemporaryDirectory() as folder:
            name = re.sub(r"[^\w.-]", "_", PurePath(call.query.name).name).lstrip(".")[-80:]
            path = Path(folder) / (name or "pasted.txt")
            size = 0
            with path.open("wb") as stream:
                # In parts, since a file may be larger than the memory that requests share.
                async for part in call.content:
                    size += len(part)
                    if size > _LARGEST:
                        raise InputError(
                            f"a file of more than {_LARGEST >> 20} MB can't be loaded here; name it in "
                            "the command: nerbert label FILE"
                        )
                    stream.write(part)
                    call.hold(-len(part))
            await self._read(path)
        return _yield_line(to_json({"state": await self.describe_state(call)}) + b"\n")

    async def sample(self, call: Call) -> dict[str, Any]:
        """Add the sentences of the sample domain, without labels, and its types if the project has none."""
        await self._read(_SAMPLE, bare=True)
        if not self.project.types:
            self.project.set_types([LabelType(name) for name in _SAMPLE_TYPES])
        return {"state": await self.describe_state(call)}

    async def _read(self, path: Path, *, bare: bool = False) -> None:
        """Add the sentences of a file, one file at a time, without blocking the page."""
        # Two uploads at once would give two sentences the same number.
        async with self._loading:
            # Reading takes long, and runs beside other requests; adding happens between them.
            self._add(*await asyncio.to_thread(self.project.read, path, bare=bare))
            # New sentences are shuffled among the old ones that were not shown.
            self._draw = self._start_draw()

    def _add(self, sentences: Sequence[Example], long: int) -> None:
        self.project.add(sentences)
        self.note = f"{long:,} of more than {LONGEST:,} characters were left out." if long else ""

    def _start_draw(self) -> Draw:
        draw = Draw([item.sentence for item in self.project.items], self._job.seed)
        for item in self.project.drawn:
            draw.show(item.id)
        return draw

    async def export(self, call: Call) -> Response:
        """Return the accepted sentences in a format; a format with several files is packed as ZIP."""
        name = call.query.format
        # `module:name` would import code that a browser has named.
        if ":" in name:
            raise InputError(f"format {name!r}: is none of nerbert's")
        labels = self.project.write_labels()
        if labels is None:
            raise InputError("no sentence is accepted yet")
        return await asyncio.to_thread(_export, labels, name)


async def _yield_line(line: bytes) -> AsyncIterator[bytes]:
    yield line


def _apart_from(kept: Sequence[Span], spans: Sequence[Span]) -> list[Span]:
    # Entities of a sentence must not overlap.
    return [span for span in spans if all(span.end <= other.start or other.end <= span.start for other in kept)]


def _export(labels: Path, name: str) -> Response:
    suffixes = FORMATS.find(name)().suffixes
    with TemporaryDirectory() as folder:
        target = Path(folder) / f"labels{suffixes[0] if suffixes else ''}"
        convert_data(labels, target, to=name)
        if target.is_dir():
            target = Path(shutil.make_archive(str(Path(folder) / "labels"), "zip", target))
        headers: Mapping[str, str] = {"Content-Disposition": f'attachment; filename="{target.name}"'}
        return Response(target.read_bytes(), headers=headers, media_type="application/octet-stream")
