"""Found spans that were drawn to be judged, with the answers so far, in a JSON lines file that people can edit.

The first line says what was drawn from: another tagger's file, or that of other texts, is refused. The file is written
anew at each answer, whole, so nothing is lost. Cost: it holds sentences of the texts.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from nerbert.artifacts import json_line, publish
from nerbert.errors import InputError, os_refused
from nerbert.schema import LARGEST_FILE, parse_json, to_plain

_REMEDY = "give another file with --answers"
_LONGEST_NAME, _LEAST = 1000, 1e-12
"""Characters of a name, and the least probability, whose inverse is a weight."""
FROM_FILE = "file"
"""Whose answer one is that was written with an editor."""
Answer: TypeAlias = bool | Literal["unsure"]


@dataclass(frozen=True, slots=True)
class AnswersHead:
    """What spans were drawn from: the tagger's weights, the texts, the labels, all spans that were found; and how."""

    format: Literal["nerbert span answers 1"]
    tagger: str
    texts: str
    labels: list[str]
    found: Annotated[int, Field(ge=1)]
    spans: Annotated[int, Field(ge=1)]
    seed: int


@dataclass(frozen=True, slots=True)
class SpanQuestion:
    """A span of a sentence, with its number among all found spans and the probability with which it was drawn.

    `right` is the answer: true, false, "unsure" (left out), or null for none yet; `by` says whose it is.
    """

    number: Annotated[int, Field(ge=0)]
    text: str
    start: Annotated[int, Field(ge=0)]
    end: int
    span: str
    label: Annotated[str, Field(max_length=_LONGEST_NAME)]
    confidence: Annotated[float, Field(ge=0, le=1)]
    probability: Annotated[float, Field(ge=_LEAST, le=1)]
    right: Answer | None = None
    by: Annotated[str, Field(max_length=_LONGEST_NAME)] = ""


class SpanAnswers:
    """The drawn spans, in the order in which to ask, and their answers, each of which is saved at once."""

    def __init__(self, path: Path, head: AnswersHead, questions: Iterable[SpanQuestion]) -> None:
        self.path, self.head, self.questions = path, head, list(questions)

    @classmethod
    def read(cls, path: Path) -> "SpanAnswers":
        """Return what a file holds; raise InputError with the line of what it can't hold."""
        with os_refused(f"{path}: can't be read"):
            if path.stat().st_size > LARGEST_FILE:
                raise InputError(f"{path}: is larger than any file of answers; {_REMEDY}")
            lines = path.read_bytes().splitlines()
        rows = [(f"{path}:{number}", line) for number, line in enumerate(lines, 1) if line.strip()]
        if not rows:
            raise InputError(f"{path}: is empty; {_REMEDY}")
        head = parse_json(rows[0][1], AnswersHead, rows[0][0], remedy=f"the file holds no answers; {_REMEDY}")
        found = cls(path, head, [parse_json(line, SpanQuestion, place) for place, line in rows[1:]])
        many = Counter(each.number for each in found.questions)
        if len(many) != head.spans or many.total() != head.spans or max(many) >= head.found:
            raise InputError(f"{path}: has {many.total():,} spans where {head.spans:,} different ones were drawn")
        return found

    @property
    def open(self) -> list[int]:
        """Return the places of the spans without an answer."""
        return [place for place, each in enumerate(self.questions) if each.right is None]

    @property
    def judges(self) -> dict[str, int]:
        """Return who gave how many answers, other than "unsure"."""
        return dict(Counter(each.by or FROM_FILE for each in self.questions if isinstance(each.right, bool)))

    def answer(self, place: int, right: Answer | None, by: str) -> None:
        """Set an answer, or take it back (None), and save all."""
        self.answer_all({place: right}, by)

    def answer_all(self, answers: dict[int, Answer | None], by: str) -> None:
        """Set several answers and save all."""
        for place, right in answers.items():
            self.questions[place] = replace(self.questions[place], right=right, by="" if right is None else by)
        self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        with publish(self.path) as draft:
            rows = (self.head, *self.questions)
            draft.write_text("".join(f"{json_line(to_plain(each))}\n" for each in rows), encoding="utf-8")
