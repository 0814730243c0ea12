"""All spans that a tagger finds in texts, those below its thresholds included, and a draw of some to be judged.

The tagger is asked at a fixed probability, so that the spans are the same whatever its thresholds. Limitation: labels
compete for words, so with thresholds by label it may find a few other spans than those of these that reach them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError, few
from nerbert.formats.data import train_sum
from nerbert.formats.entity_labels import parse_labels
from nerbert.formats.inputs import STDIN, InputFile, find_sources
from nerbert.formats.rows import ERRORS
from nerbert.metrics.span_sample import draw_spans
from nerbert.model.folder import ModelFolder
from nerbert.model.heads import NEEDS_LABELS, Entities
from nerbert.records import Example
from nerbert.rng import Array
from nerbert.tagger.pending import joined, whole
from nerbert.tagger.span_answers import AnswersHead, SpanAnswers, SpanQuestion
from nerbert.tagger.tagger import Tagger

LEAST = 0.05
"""The lowest probability at which labels given at run time are looked for."""
_PLACES = 6


@dataclass(frozen=True, slots=True)
class FoundSpans:
    """What a tagger finds in the sentences of texts; `texts` is their SHA-256, `weights` that of the model's weights.

    `lowest` is the lowest probability that was looked at; 0 for fixed types, of which all spans are found.
    """

    tagger: Tagger
    entities: Entities
    sentences: list[Example]
    name: str
    texts: str
    weights: str
    lowest: float

    @classmethod
    def of(
        cls, folder: Path, texts: Sequence[str | Path], *, labels: str = "", from_: str = "", field: str = "text",
        head: str = "",
    ) -> "FoundSpans":  # fmt: skip
        """Tag texts; `labels` are as in `parse_labels`, the rest as `nerbert tag` has it."""
        sources = find_sources(list(map(str, texts)), from_).sources
        if not sources or any(each.place == STDIN for each in sources):
            raise InputError("texts to judge must be files or folders: they are read again when you go on")
        tagger = Tagger.load(folder, backend=ModelFolder.open(folder).backend, precision="fp32", head=head)
        _check_unseen(folder, tagger.card, sources)
        at_run_time = not tagger.types
        tagger = tagger.for_labels(parse_labels(labels) if labels else None)
        if not tagger.types:
            raise InputError(f"{folder}: {NEEDS_LABELS}")
        digest, sentences = hashlib.sha256(), list[Example]()
        for text in _texts(sources, field):
            digest.update(f"{text.text if isinstance(text, Example) else text}\0".encode("utf-8", "surrogatepass"))
            sentences += _cut(tagger, text)
        finder = tagger.head.for_labels(tagger.labels, [LEAST] * len(tagger.labels)) if tagger.labels else tagger.head
        found, name = finder.predict(sentences), ", ".join(each.name.name for each in sources)
        if not found.types:
            raise InputError(f"{folder}: finds no entity in {name}; give more texts, or texts of its own domain")
        weights = ModelFolder(str(folder)).short_digest("loaded")  # a calibration doesn't change them
        return cls(tagger, found, sentences, name, digest.hexdigest(), weights, LEAST if at_run_time else 0.0)

    def draw(self, path: Path, count: int, seed: int) -> SpanAnswers:
        """Draw spans to be judged, and write them to a file without answers."""
        sure = self.entities.confidences(self.tagger.scaling)
        kept = sure >= np.array([self.tagger.thresholds.get(name, 0.0) for name in self.entities.types])
        drawn = draw_spans(self.entities.types, sure, kept, count, seed)
        head = AnswersHead("nerbert span answers 1", self.weights, self.texts, self.tagger.types, len(sure),
                           len(drawn.places), seed)  # fmt: skip
        pairs = zip(drawn.places.tolist(), drawn.probabilities.tolist(), strict=True)
        answers = SpanAnswers(path, head, [self._question(place, float(sure[place]), each) for place, each in pairs])
        answers.save()
        return answers

    def check(self, answers: SpanAnswers, count: int | None, seed: int | None) -> None:
        """Raise InputError unless answers are on spans of these, drawn in this way (None: in any)."""
        head, own = answers.head, {"spans": count, "seed": seed, "labels": self.tagger.types, "texts": self.texts,
                                   "tagger": self.weights, "found": len(self.entities.types)}  # fmt: skip
        for name, value in own.items():
            if value not in (None, getattr(head, name)):
                there, here = (
                    few(each) if isinstance(each, list) else str(each) for each in (getattr(head, name), value)
                )
                raise InputError(f"{answers.path}: its answers are on spans drawn with {name} {there:.80}, not "
                                 f"{here:.80}; give that again, or another file with --answers")  # fmt: skip
        for each in answers.questions:
            start, end, label, text = self._place(each.number)
            if (each.start, each.end, each.span, each.label, each.text) != (start, end, text[start:end], label, text):
                lost = f"span {each.span!r:.80} ({each.label:.80}) isn't found where it was"
                raise InputError(f'{answers.path}: {lost}; change nothing but "right" there, or give another file '
                                 "with --answers")  # fmt: skip

    def _question(self, place: int, confidence: float, probability: float) -> SpanQuestion:
        start, end, label, text = self._place(place)
        return SpanQuestion(place, text, start, end, text[start:end], label, round(confidence, _PLACES), probability)

    def _place(self, place: int) -> tuple[int, int, str, str]:
        """Return a span's start and end in its sentence, its label, and the sentence."""
        found, sentence = self.entities, self.sentences[int(self.entities.examples[place])]
        first, last = int(found.starts[place]), int(found.ends[place]) - 1
        return sentence.words[first][0], sentence.words[last][1], found.types[place], sentence.text

    def part(self, places: Array) -> Entities:
        """Return the spans at some places, which are sorted."""
        keep = np.zeros(len(self.entities.types), bool)
        keep[places] = True
        return self.entities.where(keep)


def _texts(sources: Sequence[InputFile], field: str) -> Iterator[str | Example]:
    """Yield each text, with its own words if it has any."""
    for source in sources:
        for block in source.blocks(field, ERRORS[0]):
            yield from (row.sentence or row.text for row in block.rows)


def _cut(tagger: Tagger, text: str | Example) -> list[Example]:
    """Return what goes through the model as one, as the tagger cuts it."""
    if isinstance(text, Example):
        return [whole(text)]
    return [each for _, each in joined(text, tagger.sentences(text), tagger.head.longest_text)]


def _check_unseen(folder: Path, card: Any, sources: Sequence[InputFile]) -> None:
    """Raise InputError for a file that the tagger was trained on."""
    learnt = {train_sum(card.get(each)) for each in ("data", "source_data")}
    for source in sources:
        if Path(source.place).is_file() and sha256_of(Path(source.place)) in learnt:
            raise InputError(f"{source}: {folder} was trained on it, so it is right too often there; give other texts")
