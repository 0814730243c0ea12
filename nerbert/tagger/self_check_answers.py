"""A tagger's answers for 20 short texts, kept in its folder, and the differences when it answers again.

A text's projection changes with any weight and label. Limitation: it shows that a model differs, not how.
"""

import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import Field

from nerbert.about import __version__
from nerbert.errors import NerbertError, at, refused
from nerbert.model.heads import Head
from nerbert.model.onnx import read_exported
from nerbert.process import installed_version
from nerbert.records import EntityLabel, Example, Span
from nerbert.schema import read_json, to_plain
from nerbert.tagger.spans import Spans
from nerbert.terminal import tell

CHECK = "check.json"
_PLACES = 5
_LARGEST = 1 << 20
_REMEDY = "the file is damaged, or of another version of nerbert: make it again with `nerbert check TAGGER --renew`"
_LIBRARIES = {"torch": ("torch", "transformers", "tokenizers"), "onnx": ("onnxruntime", "tokenizers")}
"""Libraries that a back end's answers depend on."""


class JobTagger(Protocol):
    """The interface of a tagger for jobs, wherever it computes; `Tagger` implements it."""

    @property
    def head(self) -> Any:
        """Return the head that computes entities; its `name` has all that they depend on besides the weights."""

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of its weights."""

    @property
    def types(self) -> list[str]:
        """Return the types that it finds, sorted."""

    @property
    def labels(self) -> tuple[EntityLabel, ...]:
        """Return the labels to find, if given."""

    @property
    def known_language(self) -> str:
        """Return the code of the language that its card names, if any."""

    @property
    def sentences(self) -> Callable[[str], Iterable[tuple[int, Example]]]:
        """Return the function that splits a text into sentences of words."""

    def tag_many(self, texts: Iterable[str | Example], /) -> Iterator[Spans]:
        """Yield the entities of each text, in order; raise InputError for one that can't be tagged."""


class AnsweringTagger(JobTagger, Protocol):
    """The interface of a tagger for self-checks."""

    @property
    def head(self) -> Head:
        """Return the head that finds entities."""

    def with_default_labels(self) -> Self:
        """Return the tagger with the types that it was fine-tuned on."""

    def for_self_check(self, decoding: str) -> Self:
        """Return the tagger with this decoding, without thresholds."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Maximum differences of projections and confidences (0–1), and whether the same entities must be found."""

    projection: float
    confidence: float
    same_entities: bool


TOLERANCES = {
    "fp32": Tolerance(0.0005, 0.001, same_entities=True),
    "bf16": Tolerance(0.02, 0.05, same_entities=False),
    "int8": Tolerance(0.25, 0.5, same_entities=False),
}
"""Tolerances by precision; in bf16 and int8 an uncertain entity may appear or disappear."""


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """A tagger's answer for a text; `projection` is None for a head that isn't linear."""

    text: Annotated[str, Field(max_length=10_000)]
    spans: Annotated[list[Span], Field(max_length=1000)]
    projection: Annotated[float, Field(allow_inf_nan=False)] | None

    @property
    def entities(self) -> dict[tuple[int, int, str], float]:
        """Return the confidence of each entity, by start, end and type."""
        return {(span.start, span.end, span.type): span.confidence for span in self.spans}


@dataclass(frozen=True, slots=True)
class Expected:
    """The content of `check.json`."""

    format: Literal[1]
    versions: dict[str, str]
    platform: str
    backend: str
    decoding: str
    answers: Annotated[list[TextAnswer], Field(min_length=1, max_length=100)]


@dataclass(frozen=True, slots=True)
class Difference:
    """A text whose answers differ by more than the tolerance."""

    expected: TextAnswer
    found: TextAnswer

    @property
    def projection(self) -> float:
        """Return the difference of the projections; 1 if only one answer has one."""
        before, now = self.expected.projection, self.found.projection
        if before is None or now is None:
            return 0.0 if before is now else 1.0
        return round(abs(before - now), _PLACES)

    @property
    def confidence(self) -> float:
        """Return the greatest difference in confidence of an entity that both have."""
        before, now = self.expected.entities, self.found.entities
        return max((round(abs(before[key] - now[key]), _PLACES) for key in before.keys() & now.keys()), default=0.0)

    def within(self, tolerance: Tolerance) -> bool:
        """Return whether a tolerance allows it."""
        if tolerance.same_entities and self.expected.entities.keys() != self.found.entities.keys():
            return False
        return self.projection <= tolerance.projection and self.confidence <= tolerance.confidence


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check on `backend`: the texts that differ, the greatest differences, the current `versions`."""

    tagger: str
    fingerprint: str
    backend: str
    versions: dict[str, str]
    expected: Expected
    tolerance: Tolerance
    projection: float
    confidence: float
    differences: list[Difference]

    def as_json(self) -> dict[str, Any]:
        """Return all but the texts whose answers are as expected; a difference without a number is null."""
        facts = to_plain(self)
        facts["expected"]["answers"] = len(self.expected.answers)
        return {"ok": not self.differences, **facts}


@cache
def check_texts() -> list[str]:
    """Return the texts with which new taggers are checked."""
    return files("nerbert.tables").joinpath("check_texts.txt").read_text(encoding="utf-8").splitlines()


def answers_of(tagger: AnsweringTagger, texts: Sequence[str], decoding: str) -> list[TextAnswer]:
    """Return a tagger's answers without its thresholds; long sentences go through windows."""
    tagger = tagger.for_self_check(decoding)
    rounded = [
        [replace(span, confidence=round(float(span.confidence), _PLACES)) for span in spans]
        for spans in tagger.tag_many(texts)
    ]
    numbers = tagger.head.projections([[example for _, example in tagger.sentences(text)] for text in texts])
    projections = (None if number is None else round(float(number), _PLACES) for number in numbers)
    return [TextAnswer(*answer) for answer in zip(texts, rounded, projections, strict=True)]


def expect_answers(tagger: AnsweringTagger) -> Expected:
    """Return a tagger's answers to the texts, as `check.json` holds them."""
    answers = answers_of(tagger, check_texts(), tagger.head.decoding)
    head = tagger.head
    where = f"{platform.system()} {platform.machine()}"
    return Expected(1, read_versions(), where, head.name, head.decoding, answers)


def read_check(folder: Path) -> Expected | None:
    """Return the answers stored in a tagger's folder; None without `check.json`."""
    path = folder / CHECK
    return read_json(path, Expected, limit=_LARGEST, remedy=_REMEDY) if path.is_file() else None


def compare(tagger: AnsweringTagger, name: str, expected: Expected) -> Checked:
    """Compare a tagger's answers with those expected."""
    with at(name), refused(f"can't answer the texts of {CHECK}"):
        answers = answers_of(tagger, [answer.text for answer in expected.answers], expected.decoding)
    pairs = [Difference(*pair) for pair in zip(expected.answers, answers, strict=True)]
    tolerance = TOLERANCES[next((word for word in tagger.head.name.split() if word in ("bf16", "int8")), "fp32")]
    return Checked(
        name,
        tagger.fingerprint,
        tagger.head.name,
        read_versions(),
        expected,
        tolerance,
        max(pair.projection for pair in pairs),
        max(pair.confidence for pair in pairs),
        [pair for pair in pairs if not pair.within(tolerance)],
    )


CHECKED = set[Path]()
"""Folders that this process has checked or need not check."""


def check_loaded(tagger: AnsweringTagger, folder: Path) -> None:
    """Warn, once per process, if a tagger's answers differ from those under older versions of its libraries."""
    if folder.resolve() in CHECKED:
        return
    CHECKED.add(folder.resolve())
    try:
        if not (expected := read_check(folder)) or not (changes := _name_changes(tagger, folder, expected.versions)):
            return
        if differences := compare(tagger.with_default_labels(), str(folder), expected).differences:
            tell(
                f"{folder}: under other versions than it was made with ({changes}) {len(differences)} of "
                f"{len(expected.answers)} texts have other answers; `nerbert check` shows them"
            )
    except NerbertError as error:
        tell(f"not checked: {error}")


def _name_changes(tagger: AnsweringTagger, folder: Path, versions: Mapping[str, str]) -> str:
    """Return the changed versions as text; an exported graph's onnxruntime version is in its own card."""
    backend = tagger.head.name.partition(" ")[0]
    if backend == "onnx" and (exported := read_exported(str(folder))):
        versions = {**versions, **exported.card.versions}
    names = _LIBRARIES.get(backend, _LIBRARIES["torch"])
    pairs = ((name, versions.get(name, ""), _read_version(name)) for name in names)
    return ", ".join(
        f"{name} {then} then, {now} now"
        for name, then, now in pairs
        if then and now and then.split(".")[:2] != now.split(".")[:2]
    )


def read_versions() -> dict[str, str]:
    """Return the versions of nerbert, Python and the installed libraries that answers depend on."""
    libraries = {name: _read_version(name) for name in chain.from_iterable(_LIBRARIES.values())}
    installed = {name: number for name, number in libraries.items() if number}
    return {"nerbert": __version__, "python": platform.python_version(), **installed}


def _read_version(name: str) -> str:
    """Return a library's version, "" if it is missing; a loaded library is asked directly, which is fast."""
    return str(getattr(sys.modules.get(name), "__version__", "")) or installed_version(name)
