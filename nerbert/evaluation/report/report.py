"""Tagger + annotated sentences → the content of a report, optionally with a comparison to a second tagger."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.about import __version__
from nerbert.data.catalogue import known_data
from nerbert.data.splits import AnyData
from nerbert.errors import InputError, at
from nerbert.evaluation.evaluate import Evaluation, Scored, evaluate, reading_card
from nerbert.evaluation.report.difference import TaggerComparison, compare
from nerbert.evaluation.report.sentences import ScoredAnswers, SentenceList, missed_sentences, worst_sentences
from nerbert.formats.documents import Reading, reading_for
from nerbert.metrics.calibration import Bin, Threshold, kept_counts, lowest_thresholds, reliability
from nerbert.metrics.judging import (
    Confusion,
    Figure,
    Interval,
    Judgement,
    Part,
    bootstrap,
    by_length,
    by_type,
    confusions,
    counts_by_sentence,
)
from nerbert.metrics.score import Counts
from nerbert.model.folder import seed_folders
from nerbert.process import cores, peak_memory
from nerbert.tagger.summary import ModelSummary, summarise
from nerbert.tagger.tagger import Tagger
from nerbert.tagger.thresholds import Answering

THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Thresholds of the curves: entities of lower confidence are left out."""
PRECISIONS = (0.8, 0.9, 0.95)
"""Precisions for which each type's lowest threshold is computed."""
CURVES = 30
"""Number of types with a curve: those with the most gold entities."""
_FIGURES: tuple[Figure, ...] = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class TypeThresholds:
    """The effect of thresholds on a type, "" for all: counts at each of `THRESHOLDS` (empty for a rare type), and the
    lowest threshold for each of `PRECISIONS` (empty if the type was never predicted).
    """

    name: str
    gold: int
    curve: tuple[tuple[float, Counts], ...]
    lowest: tuple[Threshold, ...]


@dataclass(frozen=True, slots=True)
class TaggingSpeed:
    """The cost of tagging: seconds, sentences, words; peak memory of the process, and of a GPU if used, in bytes."""

    seconds: float
    sentences: int
    words: int
    memory: int
    gpu_memory: int | None
    machine: str


@dataclass(frozen=True, slots=True)
class ReportSource:
    """The annotated sentences: file, SHA-256, counts; `title` and `licence` if nerbert knows the data set, else ""."""

    file: str
    sha256: str
    sentences: int
    words: int
    entities: int
    title: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The content of a report on a tagger and annotated data. Shares and confidences are 0–1."""

    name: str
    evaluation: Evaluation
    judgement: Judgement
    intervals: dict[Figure, Interval]
    by_type: tuple[Part, ...]
    by_length: tuple[Part, ...]
    confusions: tuple[Confusion, ...]
    worst: SentenceList
    missed: SentenceList
    reliability: tuple[Bin, ...]
    thresholds: tuple[TypeThresholds, ...]
    """For all entities first, then by type."""
    learning: tuple[tuple[int, float], ...]
    """(step, F1 on the dev split) during training; empty if the tagger's log has none."""
    speed: TaggingSpeed
    source: ReportSource
    card: Mapping[str, Any]
    """The tagger's `nerbert.json`."""
    model: ModelSummary | None
    """Summary of its folder; None for a tagger without one."""
    fingerprint: str
    comparison: TaggerComparison | None
    command: str
    version: str = __version__

    @property
    def answering(self) -> Answering | None:
        """How the tagger was run; None for a file of predictions."""
        return next(iter(self.evaluation.answering.values()), None)


def make_report(
    tagger: str | Path | Tagger,
    data: AnyData,
    *,
    against: str | Path | Tagger | None = None,
    train: AnyData | None = None,
    reading: Reading | None = None,
    command: str = "",
    **options: Any,
) -> Report:
    """Score a tagger, or its folder, and analyse its mistakes; compare it with the tagger `against`, if given.

    Other parameters are as in `evaluate`, for both taggers; `command` is shown. Raise InputError for several seeds.
    """
    for source in (tagger, against):
        if isinstance(source, str | Path) and (seeds := seed_folders(str(source))):
            raise InputError(
                f"{source}: holds a tagger for each seed, and a report is of one; name one of them, say {seeds[0]}"
            )
    reading = reading_for(reading_card(tagger), reading)
    evaluation, scored = _evaluate(tagger, data, train=train, reading=reading, **options)
    (judgement,) = evaluation.judgements.values()
    name, second = _names(tagger, against)
    answers = ScoredAnswers.of(scored)
    opened = scored.tagger
    types = by_type(answers.pair)
    # Before the second tagger is run, whose memory would count as the first one's.
    speed = _measure_speed(scored)
    comparison = None
    if against is not None:
        with at(second):
            other, other_scored = _evaluate(against, data, reading=reading, **options)
        comparison = compare(answers, ScoredAnswers.of(other_scored), second, other)
    return Report(
        name=name,
        evaluation=evaluation,
        judgement=judgement,
        intervals={figure: bootstrap(counts_by_sentence(answers.pair), figure) for figure in _FIGURES},
        by_type=tuple(types),
        by_length=tuple(by_length(answers.pair)),
        confusions=tuple(confusions(answers.pair)),
        worst=worst_sentences(answers),
        missed=missed_sentences(answers),
        reliability=tuple(reliability(answers.confidences, answers.right.tolist())),
        thresholds=_thresholds(answers, types),
        learning=learning_curve(opened.card),
        speed=speed,
        source=_source(scored),
        card=opened.card,
        model=summarise(opened.origin.folder)[0] if opened.origin else None,
        fingerprint=opened.fingerprint,
        comparison=comparison,
        command=command,
    )


def learning_curve(card: Mapping[str, Any]) -> tuple[tuple[int, float], ...]:
    """Return step and dev F1 (0–1) of each evaluation in a card's log; empty if there are none."""
    # The card may be of a tagger that another program made, so its log can hold anything.
    log = card.get("log")
    entries = [entry for entry in log if isinstance(entry, dict)] if isinstance(log, list) else []
    pairs = [(entry.get("step"), entry.get("dev_f1")) for entry in entries]
    return tuple(
        (step, float(f1))
        for step, f1 in pairs
        if isinstance(step, int) and isinstance(f1, int | float) and 0 <= f1 <= 1
    )


def _names(tagger: str | Path | Tagger, against: str | Path | Tagger | None) -> tuple[str, str]:
    """Return the taggers' names on the page: their folders' names, or the whole paths if these are the same."""
    first, second = (
        (source.origin.folder if source.origin else "") if isinstance(source, Tagger) else str(source)
        for source in (tagger, against or "")
    )
    # Two taggers in folders `a/seed-1` and `b/seed-1` would have the same short name.
    for names in ((Path(first).name, Path(second).name), (first, second)):
        if all(names[: 1 if against is None else 2]) and names[0] != names[1]:
            return names
    return ("first tagger", "second tagger") if against is not None else ("tagger", "")


def _evaluate(tagger: str | Path | Tagger, data: AnyData, **options: Any) -> tuple[Evaluation, Scored]:
    scored = list[Scored]()
    evaluation = evaluate(tagger, data, kept=scored.append, **options)
    return evaluation, scored[0]


def _thresholds(answers: ScoredAnswers, parts: list[Part]) -> tuple[TypeThresholds, ...]:
    pair = answers.pair
    sure = np.asarray(answers.confidences, float)
    of_entity = [pair.types[number] for number in pair.predicted.types.tolist()]
    lowest = [
        {
            # Once for all entities together, under the name "".
            **lowest_thresholds([""] * len(of_entity), sure, answers.right, precision),
            **lowest_thresholds(of_entity, sure, answers.right, precision),
        }
        for precision in PRECISIONS
    ]
    thresholds = list[TypeThresholds]()
    golds = (("", pair.gold.starts.size), *((part.name, part.counts.gold) for part in parts))
    for rank, (name, gold) in enumerate(golds):
        mask = pair.predicted.types == pair.types.index(name) if name else np.ones(len(of_entity), bool)
        counts = kept_counts(sure[mask], answers.right[mask], gold, THRESHOLDS)
        curve = tuple(zip(THRESHOLDS, counts, strict=True)) if rank <= CURVES else ()
        by_precision = tuple(by_name[name] for by_name in lowest if name in by_name)
        thresholds.append(TypeThresholds(name, gold, curve, by_precision))
    return tuple(thresholds)


def _measure_speed(scored: Scored) -> TaggingSpeed:
    examples = scored.gold.examples
    # An exported tagger runs without torch; importing it only to ask would take seconds.
    torch = sys.modules.get("torch")
    gpu = torch.cuda.max_memory_allocated() if torch and torch.cuda.is_initialized() else None
    machine = f"{platform.system()} {platform.machine()}, {cores()} cores"
    words = sum(len(example.words) for example in examples)
    return TaggingSpeed(max(scored.seconds, 1e-9), len(examples), words, peak_memory(), gpu, machine)


def _source(scored: Scored) -> ReportSource:
    gold = scored.gold
    # By content, not by name: a renamed file of a known set keeps its licence.
    known = next(
        (
            known
            for known in known_data().values()
            for split in known.splits.values()
            if gold.sha256 and split.sha256 == gold.sha256
        ),
        None,
    )
    words, entities = (
        sum(map(len, column))
        for column in zip(*((example.words, example.spans) for example in gold.examples), strict=True)
    )
    return ReportSource(
        gold.place,
        gold.sha256,
        len(gold.examples),
        words,
        entities,
        known.title if known else "",
        known.licence if known else "",
    )
