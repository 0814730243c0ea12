"""The steps of `nerbert distil`: a teacher tags texts, and a student is trained on its entities."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nerbert.about import __version__
from nerbert.artifacts import check_free, publish_job, sha256_of
from nerbert.config import refuse
from nerbert.data.exclude import Excluded, ngrams, read_excluded
from nerbert.data.sampling import plural
from nerbert.data.splits import AnyData, DataSet, read_data
from nerbert.distillation.settings import SOFT, DistilSettings
from nerbert.entity_labels import entity_labels
from nerbert.errors import InputError, SettingsError
from nerbert.executors import HERE, Executor
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import TaggerOutput, finetune_domains, held_out_facts
from nerbert.finetuning.start import check_head, objective_for
from nerbert.formats.documents import Reading, document_of, reading_for
from nerbert.formats.jsonl import JsonLines
from nerbert.formats.lines import ERRORS, TEXT
from nerbert.labels import types_of_examples, word_spans
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import Backbone
from nerbert.model.folder import SILVER, ModelFolder, TaggerHook, read_card
from nerbert.model.heads import NEEDS_LABELS, Head
from nerbert.model.loading import DEFAULTS, Loading
from nerbert.process import check_alone
from nerbert.records import Document, EntityLabel, Example, Span
from nerbert.rng import uniform
from nerbert.schema import to_plain
from nerbert.tagger.jobs.files import TaggedParts, check_apart, tag_all
from nerbert.tagger.tagger import Tagger
from nerbert.tagger.thresholds import check_thresholds
from nerbert.terminal import percent, tell
from nerbert.texts.inputs import JobPaths, find_sources
from nerbert.training.objective import FINETUNE
from nerbert.training.sections import chosen_objective

_FORMAT = 1
"""Increase this when the format of parts changes."""
_TOLD, _FEW = 5, 100
_APART, _APART_MOST = 10, 500
"""One in this many silver sentences is held out to score the student, up to this maximum."""
SHARED_WORDS = 8
"""Consecutive words that no silver sentence may share with an excluded text: as in a corpus's `exclude_ngram_size`."""


@dataclass
class SilverCounts:
    """Counts of the texts: `sentences` = `excluded` + `with_entities` + those without.

    `kept` are trained on, `kept_empty` of them have no entity, `apart` score the student. `lost` entities cross the end
    of a sentence.
    """

    rows: int = 0
    sentences: int = 0
    excluded: int = 0
    with_entities: int = 0
    lost: int = 0
    kept: int = 0
    kept_empty: int = 0
    apart: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    """Entities of the kept sentences, by type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilPlan:
    """Teacher, texts and student; `labels` None: the types of the data, or else all types of the teacher."""

    teacher: str
    texts: Sequence[str]
    output: Path
    labels: Iterable[str | EntityLabel] | None = None
    encoder: str = "embedded"
    data: AnyData | None = None
    exclude: Sequence[Path] = ()
    """Files of sentences that silver sentences may not share consecutive words with."""
    min_confidence: float | Mapping[str, float] | None = None
    loading: Loading = DEFAULTS
    """Of the teacher, but for the threads, which are those of the settings."""
    from_: str = ""
    field: str = TEXT
    errors: str = ERRORS[0]
    overwrite: bool = False
    executor: Executor | None = None
    """Runs the teacher's tagging (None: in this process); each worker loads the teacher once."""


def distil(plan: DistilPlan, settings: DistilSettings, card: TaggerHook | None = None) -> SilverCounts:
    """Train a tagger on a teacher's entities in texts, and on labelled sentences; the same call resumes it."""
    check_alone("distillation")
    sources = find_sources(plan.texts, plan.from_, field=plan.field, errors=plan.errors)
    chosen = objective_for(plan.encoder, settings, SOFT)
    at_run_time = not settings.objective and chosen.objective != SOFT
    settings = replace(chosen, source_head="new") if at_run_time else chosen
    objective = chosen_objective(settings, FINETUNE)
    joins = check_head(objective, settings).traits.joins_source
    refuse(joins, "objective", settings.objective, "another one: it learns from two domains, not a teacher")
    check_apart(sources, plan.output)
    check_free(plan.output, overwrite=plan.overwrite)
    if not ModelFolder.open(plan.encoder, "model").check().kind.objective:
        _ = Backbone.of(plan.encoder, settings.seed).config  # to find errors there early
    gold = _read_gold(plan, settings)
    held_out = _read_held_out(plan, gold) if gold else {}
    excluded = read_excluded(plan.exclude, SHARED_WORDS) if plan.exclude else Excluded()
    teacher = _load_teacher(plan, settings, gold)
    teacher_facts = {  # with this, everything but the texts that affects silver tags; no local folder's name
        "name": None if Path(plan.teacher).exists() else plan.teacher,
        "sha256": teacher.fingerprint,
        "backend": teacher.head.name,
        "decoding": teacher.decoding,
        "labels": [label.text for label in teacher.labels] or teacher.types,
        "thresholds": {name: bound for name, bound in teacher.thresholds.items() if name in teacher.types},
    }
    key = {"format": _FORMAT, "made_by": f"nerbert {__version__}", "teacher": teacher_facts, **sources.facts}
    with publish_job(plan.output, key, overwrite=plan.overwrite) as draft:
        parts = _tag_all(plan, teacher, sources, draft.work)
        silver, apart, counts = _draw(plan, settings, teacher, parts, excluded)
        _tell_leaks(held_out, silver)
        path = draft.path / SILVER
        JsonLines().write(path, map(document_of, silver))
        lessons = [soften(example, teacher.thresholds) for example in silver]
        data = DataSet(Path(SILVER), lessons, sha256={SILVER: sha256_of(path)}, reading=_choose_reading(plan))
        if gold is None:
            settings = replace(settings, epochs=settings.source_epochs, min_steps=0)
        student = finetune_domains(plan.encoder, Domains(gold, data) if gold else Domains(data), settings)
        facts = {"teacher": teacher_facts, "silver": to_plain(counts), "excluded": list(excluded.files)}
        scores = held_out_facts(student.head, gold) if gold else {}
        facts |= _check_student(plan, settings, student.head, teacher, gold.dev if gold else apart, scores)
        output = TaggerOutput(plan.output, calibrate=False, card=card, facts={"distilled": facts, **scores})
        output.write(draft.path, student, gold or data)
    _tell_counts(plan, teacher, counts)
    sources.tell_skipped()
    return counts


def _read_gold(plan: DistilPlan, settings: DistilSettings) -> DataSet | None:
    """Return the labelled sentences, if any."""
    gold = None if plan.data is None else read_data(plan.data, reading=_choose_reading(plan))
    if settings.select == "dev" and not (gold and gold.dev):
        raise SettingsError("setting select = 'dev': needs data with a dev split; or use 'last'", setting="select")
    if gold is None:
        return None
    if not any(example.spans for example in gold.train):
        raise InputError(f"{gold.folder}: no training sentence has an entity; leave the data out, or label some")
    spans = (tuple(replace(span, confidence=1.0) for span in example.spans) for example in gold.train)
    sure = [replace(example, spans=checked) for example, checked in zip(gold.train, spans, strict=True)]
    return replace(gold, train=sure)  # a person has checked them, whatever tagged them first


def _read_held_out(plan: DistilPlan, gold: DataSet) -> dict[str, tuple[frozenset[str], object]]:
    """Return the word n-grams of dev and test, with the file of each; the test split is read only for this."""
    test = read_data(plan.data, ("test",), _choose_reading(plan)) if isinstance(plan.data, str | Path) else gold
    files = gold.files | test.files
    runs = {
        split: frozenset(run for example in examples for run in ngrams(example.text, SHARED_WORDS))
        for split, examples in (("dev", gold.dev), ("test", test.test))
    }
    return {split: (words, files.get(split, "FILE")) for split, words in runs.items()}


def _choose_reading(plan: DistilPlan) -> Reading:
    """Return how to read labelled texts: with the teacher's words and sentences, except for GLiNER's words."""
    return reading_for(read_card(plan.encoder), reading_for(read_card(plan.teacher), None), training=True)


def _load_teacher(plan: DistilPlan, settings: DistilSettings, gold: DataSet | None) -> Tagger:
    """Return the teacher with its labels."""
    labels = None if plan.labels is None else entity_labels(plan.labels)
    types = types_of_examples(gold.train) if gold else []
    names = types if labels is None else [label.name for label in labels]
    if gold and (lacking := [name for name in names if name not in types]):
        raise InputError(
            f"{gold.folder}: no training sentence has an entity of {lacking[0]!r:.80}, so the student "
            "would unlearn it there; add one, or leave the label or the data out"
        )
    if names:
        check_thresholds(plan.min_confidence, names)
    loading = replace(plan.loading, threads=settings.threads)
    teacher = Tagger.load(plan.teacher, thresholds=plan.min_confidence, **vars(loading))
    if teacher.decoding == "nested":
        why = "its entities may be nested, which no student learns; give --decoding flat or touching"
        raise SettingsError(f"{plan.teacher}: {why}")
    if labels is None and teacher.types and gold:
        names = [name for name in types if name in teacher.types]
        if not names:
            raise InputError(
                f"{plan.teacher}: knows none of the types of {gold.folder} ({', '.join(types):.200}), "
                f"only {', '.join(teacher.types):.200}; take another teacher"
            )
    teacher = teacher.with_labels(labels or names) if names else teacher.with_default_labels()
    if not teacher.types:
        raise InputError(f"{plan.teacher}: {NEEDS_LABELS}")
    return teacher


def _tag_all(plan: DistilPlan, teacher: Tagger, paths: JobPaths, work: Path) -> list[TaggedParts]:
    """Tag all texts that an earlier run hasn't tagged; raise InputError if no entity is found."""
    parts = tag_all(paths.sources, work, teacher, plan.executor or HERE)
    if not any(part.entities for part in parts):
        bounds = sorted(set(teacher.thresholds.values()) or {0.0})
        raise InputError(
            f"{plan.teacher}: found no entity in {sum(part.rows for part in parts):,} rows of text, looking for "
            f"{', '.join(teacher.types):.200} from a confidence of {bounds[0]:g} on; give other labels or texts, or a "
            "lower --min-confidence (and --overwrite, since these tags are kept)"
        )
    return parts


def _draw(
    plan: DistilPlan, settings: DistilSettings, teacher: Tagger, parts: Iterable[TaggedParts], excluded: Excluded
) -> tuple[list[Example], list[Example], SilverCounts]:
    """Return the sentences to train on, those held out if there are no labelled data, and the counts of all."""
    sample = SilverSample(settings.max_sentences, settings.empty_share, settings.seed)
    counts = SilverCounts()
    for part in parts:
        counts.rows += part.rows
        for row in part:
            counts.lost += len(row.spans)
            for example in silver_examples(teacher, row):
                counts.sentences += 1
                counts.lost -= len(example.spans)
                if shares_words(example, excluded.ngrams):
                    counts.excluded += 1
                    continue
                counts.with_entities += bool(example.spans)
                sample.add(example)
    drawn = sample.drawn()
    counts.apart = 0 if plan.data is not None else min(len(drawn) // _APART, _APART_MOST)
    apart = drawn[: counts.apart]
    drawn = drawn[counts.apart :]
    counts.kept = len(drawn)
    counts.kept_empty = sum(not example.spans for example in drawn)
    counts.entities = Counter(span.type for example in drawn for span in example.spans)
    if not counts.entities:
        raise InputError(
            f"{plan.teacher}: no sentence with an entity is left: of {counts.sentences:,}, "
            f"{counts.excluded:,} share words with --exclude, and {counts.lost:,} entities reach over the "
            "end of a sentence; give other texts"
        )
    return drawn, apart, counts


def _check_student(
    plan: DistilPlan,
    settings: DistilSettings,
    student: Head,
    teacher: Tagger,
    examples: Sequence[Example],
    scores: Mapping[str, Any],
) -> dict[str, Any]:
    """Return and print F1 of student (as in `scores`) and teacher; raise InputError if the student is too bad."""
    gold = [word_spans(example) for example in examples]
    if not any(gold):
        tell(f"{plan.output}: isn't scored: no sentence with an entity is apart from those trained on")
        return {}
    tagged = zip(examples, teacher.tag_many(examples) if plan.data is not None else (), strict=False)
    answers = [word_spans(replace(example, spans=tuple(spans))) for example, spans in tagged] or gold
    best = score_spans(gold, answers).f1
    dev = scores.get("dev")
    f1 = dev["f1"] if dev else score_spans(gold, student.predict(examples).word_spans(len(gold))).f1
    where = f"{len(gold):,} {'held-out silver sentences' if answers is gold else 'sentences of dev'}"
    figures = f"F1 of the student {percent(f1)}, of the teacher {percent(best)}, on {where}"
    if f1 < settings.min_f1_share * best:
        raise InputError(
            f"{plan.output}: {figures}: too low, so it isn't kept; give more texts, or more passes over "
            "them (source_epochs); --set min_f1_share=0 takes it all the same"
        )
    tell(f"{plan.output}: {figures}")
    return {"f1": f1, "teacher_f1": best, "scored_sentences": len(gold)}


def _tell_leaks(held_out: Mapping[str, tuple[frozenset[str], object]], silver: Sequence[Example]) -> None:
    """Warn about silver sentences that are also held out."""
    for split, (runs, path) in held_out.items():
        if count := sum(shares_words(example, runs) for example in silver):
            tell(
                f"warning: {count:,} of {len(silver):,} silver sentences share {SHARED_WORDS} words in a row with the "
                f"{split} split, so scores there will be too high; --exclude {path} leaves them out"
            )


def _tell_counts(plan: DistilPlan, teacher: Tagger, counts: SilverCounts) -> None:
    types = ", ".join(f"{name} {count:,}" for name, count in counts.entities.most_common(_TOLD))
    tell(
        f"{plan.output}: trained on {counts.kept:,} of {counts.sentences:,} sentences, "
        f"{counts.kept - counts.kept_empty:,} of them with entities ({types})"
    )
    if sum(counts.entities.values()) < _FEW:
        tell(f"warning: with fewer than {_FEW} entities a student may learn to find nothing; give more texts")
    if never := [name for name in teacher.types if name not in counts.entities]:
        tell(f"no silver sentence has {', '.join(never):.200}, so the student didn't learn them from the teacher")
    if counts.excluded:
        tell(f"{plural(counts.excluded, 'sentence')} left out, sharing words with --exclude")
    if counts.lost:
        tell(f"entities that reach over the end of a sentence, left out: {counts.lost:,}")


def silver_examples(tagger: Tagger, row: Document) -> Iterator[Example]:
    """Yield the sentences of a tagged text with the entities inside each; the text's entities are in order."""
    if row.sentence is not None:
        yield replace(row.sentence, spans=row.spans)
        return
    waiting = deque(row.spans)
    for start, sentence in tagger.sentences(row.text):
        spans = list[Span]()
        end = start + len(sentence.text)
        while waiting and waiting[0].start < end:
            span = waiting.popleft()
            if span.start >= start and span.end <= end:
                spans.append(replace(span, start=span.start - start, end=span.end - start))
        yield replace(sentence, spans=tuple(spans))


class SilverSample:
    """A sample of sentences of limited size, each text once; at most a share of them (below 1) has no entity."""

    def __init__(self, most: int, empty_share: float, seed: int) -> None:
        self._most, self._share, self._seed = most, empty_share, seed
        self._kinds = {True: dict[str, tuple[float, Example]](), False: dict[str, tuple[float, Example]]()}
        self._seen = Counter[bool]()

    def add(self, example: Example) -> None:
        """Add a sentence to the draw; of equal texts the most confident one is used."""
        text = example.text
        full = bool(example.spans)
        kept = self._kinds[full]
        self._seen[full] += 1
        other = kept[text][1] if text in kept else example
        kept[text] = uniform(self._seed, "distil: sentences", text), max(other, example, key=_confidence_key)
        if len(kept) > 2 * self._most:
            self._kinds[full] = {text: (number, example) for number, text, example in self._lowest(full)}

    def drawn(self) -> list[Example]:
        """Return the sentences, in the order of their hashes."""
        full = self._lowest(True)
        empty = self._lowest(False)
        share = min(self._share, self._seen[False] / max(1, self._seen.total()))
        full = full[: max(1, int(self._most * (1 - share) + 0.5))]
        texts = {text for _, text, _ in full}
        empty = [entry for entry in empty if entry[1] not in texts]
        empty = empty[: min(self._most - len(full), int(len(full) * share / (1 - share) + 0.5))]
        return [example for _, _, example in sorted([*full, *empty], key=lambda entry: entry[:2])]

    def _lowest(self, full: bool) -> list[tuple[float, str, Example]]:
        """Return number, text and sentence of the sentences with the lowest numbers, in order."""
        items = ((number, text, example) for text, (number, example) in self._kinds[full].items())
        return sorted(items, key=lambda entry: entry[:2])[: self._most]


def _confidence_key(example: Example) -> tuple[Any, ...]:
    """Return the sort key of sentences of equal text: confidence first, then the rest to break ties."""
    spans = [(span.start, span.end, span.type, span.confidence) for span in example.spans]
    return sum(span.confidence for span in example.spans), spans, example.words


def soften(example: Example, thresholds: Mapping[str, float]) -> Example:
    """Return a silver sentence whose confidences are odds relative to a teacher's thresholds (0–1, by type).

    A confidence equal to a threshold below 0.5 becomes 0.5: otherwise a student would learn to leave such entities out.
    """

    def above(span: Span) -> float:
        sure = span.confidence
        least = thresholds.get(span.type, 0.0)
        return sure * (1 - least) / (sure * (1 - least) + (1 - sure) * least) if 0 < least < 0.5 else sure

    return replace(example, spans=tuple(replace(span, confidence=above(span)) for span in example.spans))


def shares_words(example: Example, runs: frozenset[str]) -> bool:
    """Return whether a sentence shares `SHARED_WORDS` consecutive words with others, or equals a short one."""
    return bool(runs) and not ngrams(example.text, SHARED_WORDS).isdisjoint(runs)
