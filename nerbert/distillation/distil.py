"""The steps of `nerbert distil`: a teacher tags texts, and a student is trained on its entities."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nerbert.artifacts import check_apart, check_free, publish_job, sha256_of
from nerbert.config import refuse
from nerbert.data.exclude import ngrams, read_excluded
from nerbert.data.splits import AnyData, DataSet, read_data
from nerbert.distillation.settings import SOFT, DistilSettings
from nerbert.distillation.silver import SHARED_WORDS, SilverCounts, draw_silver, shares_words, soften
from nerbert.errors import InputError, SettingsError, at
from nerbert.executors import HERE, Executor
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import TaggerOutput, finetune_domains, held_out_facts
from nerbert.finetuning.start import choose_objective, objective_for
from nerbert.formats.documents import document_of, reading_for
from nerbert.formats.jsonl import JsonLines
from nerbert.labels import types_of_examples, word_spans
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import Backbone
from nerbert.model.folder import SILVER, TaggerHook, read_card
from nerbert.model.heads import Head
from nerbert.process import check_alone
from nerbert.records import Example
from nerbert.schema import to_plain
from nerbert.tagger.jobs.files import TaggedParts, tag_all
from nerbert.tagger.jobs.job import TagJob
from nerbert.tagger.tagger import Tagger
from nerbert.terminal import percent, tell
from nerbert.texts.kinds import JSONL

_TOLD, _FEW = 5, 100


def distil(
    tag: TagJob,
    output: Path,
    settings: DistilSettings,
    *,
    encoder: str = "embedded",
    data: AnyData | None = None,
    exclude: Sequence[Path] = (),
    executor: Executor | None = None,
    card: TaggerHook | None = None,
) -> SilverCounts:
    """Train a tagger on a teacher's entities in texts, and on labelled `data` last; the same call resumes it.

    `tag` names the teacher and its texts; without labels, the teacher looks for the types of the data, if there are
    any. No silver sentence shares consecutive words with the files of `exclude`. The executor's workers tag (None: this
    process); each loads the teacher once. `card` writes the model card.
    """
    check_alone("distillation")
    tag = replace(tag, to=JSONL, loading=replace(tag.loading, threads=settings.threads))
    texts, _ = tag.find()
    settings = _choose_objective(encoder, settings)
    check_apart(output, texts.places)
    check_free(output, overwrite=tag.overwrite)
    # An encoder that can't be trained is refused before the teacher tags.
    backbone = Backbone.of(encoder, settings.seed)
    if not backbone.objective:
        _ = backbone.config
    # The teacher's words and sentences, except for GLiNER's words.
    reading = reading_for(read_card(encoder), reading_for(read_card(tag.tagger), None), training=True)
    gold = None if data is None else read_data(data, reading=reading)
    needs = "'last', or 'dev' with data that have a dev split"
    refuse(settings.select == "dev" and not (gold and gold.dev), "select", "dev", needs)
    # The test split is read only to warn of its sentences.
    test = read_data(data, ("test",), reading) if isinstance(data, str | Path) else gold
    excluded = read_excluded(exclude, SHARED_WORDS)
    teacher = _load_teacher(tag, gold)
    key = {**tag.fingerprint(teacher, texts), "thresholds": dict(teacher.thresholds)}
    with publish_job(output, key, overwrite=tag.overwrite) as draft:
        parts = tag_all(texts.sources, draft.work, teacher, executor or HERE)
        _check_found(tag.tagger, teacher, parts)
        with at(tag.tagger):
            silver, apart, counts = draw_silver(teacher, parts, excluded.ngrams, settings, hold_out=gold is None)
        if gold and test:
            _tell_leaks(gold, test, silver)
        path = draft.path / SILVER
        JsonLines().write(path, map(document_of, silver))
        softened = [soften(example, teacher.thresholds) for example in silver]
        lessons = DataSet(Path(SILVER), softened, sha256={SILVER: sha256_of(path)}, reading=reading)
        if gold is None:
            domains, settings = Domains(lessons), replace(settings, epochs=settings.source_epochs, min_steps=0)
        else:
            domains = Domains(replace(gold, train=list(map(_as_checked, gold.train))), lessons)
        student = finetune_domains(encoder, domains, settings)
        facts = {
            "teacher": {
                # A folder's name on this machine means nothing to others.
                "name": None if Path(tag.tagger).exists() else tag.tagger,
                **key["tagger"],
                "decoding": teacher.decoding,
                "labels": [label.text for label in teacher.labels] or teacher.types,
                "thresholds": key["thresholds"],
            },
            "silver": to_plain(counts),
            "excluded": list(excluded.files),
        }
        scores = held_out_facts(student.head, domains.target)
        facts |= _check_student(output, student.head, teacher, settings, gold.dev if gold else apart, scores)
        made = TaggerOutput(output, calibrate=False, card=card, facts={"distilled": facts, **scores})
        made.write(draft.path, student, domains.target)
    _tell_counts(output, counts, teacher.types)
    texts.tell_skipped()
    return counts


def _choose_objective(encoder: str, settings: DistilSettings) -> DistilSettings:
    """Return settings with an objective: the encoder's own one if it takes labels at run time, else soft labels."""
    chosen = objective_for(encoder, settings, SOFT)
    if not settings.objective and chosen.objective != SOFT:
        chosen = replace(chosen, source_head="new")
    joins = choose_objective(encoder, chosen)[1].traits.joins_source
    refuse(joins, "objective", settings.objective, "another one: it learns from two domains, not a teacher")
    return chosen


def _load_teacher(tag: TagJob, gold: DataSet | None) -> Tagger:
    """Return the teacher with its labels: the job's, or the types of the labelled sentences, or all of its own."""
    types = types_of_examples(gold.train) if gold else []
    if gold and not types:
        raise InputError(f"{gold.folder}: no training sentence has an entity; leave the data out, or label some")
    teacher = tag.load(types)
    if gold and (lacking := [name for name in teacher.types if name not in types]):
        raise InputError(
            f"{gold.folder}: no training sentence has an entity of {lacking[0]!r:.80}, so the student "
            "would unlearn it there; add one, or leave the label or the data out"
        )
    if teacher.decoding == "nested":
        why = "its entities may be nested, which no student learns; give --decoding flat or touching"
        raise SettingsError(f"{tag.tagger}: {why}")
    return teacher


def _check_found(name: str, teacher: Tagger, parts: Sequence[TaggedParts]) -> None:
    """Raise InputError if the teacher found no entity."""
    if not any(part.entities for part in parts):
        bounds = sorted(set(teacher.thresholds.values()) or {0.0})
        raise InputError(
            f"{name}: found no entity in {sum(part.rows for part in parts):,} rows of text, looking for "
            f"{', '.join(teacher.types):.200} from a confidence of {bounds[0]:g} on; give other labels or texts, or a "
            "lower --min-confidence (and --overwrite, since these tags are kept)"
        )


def _as_checked(example: Example) -> Example:
    """Return a labelled sentence with confidence 1: a person has checked it, whatever tagged it first."""
    return replace(example, spans=tuple(replace(span, confidence=1.0) for span in example.spans))


def _check_student(
    output: Path,
    student: Head,
    teacher: Tagger,
    settings: DistilSettings,
    examples: Sequence[Example],
    scores: Mapping[str, Any],
) -> dict[str, Any]:
    """Return and print F1 of student (as in `scores`) and teacher; raise InputError if the student is too bad."""
    gold = [word_spans(example) for example in examples]
    if not any(gold):
        tell(f"{output}: isn't scored: no sentence with an entity is apart from those trained on")
        return {}
    if dev := scores.get("dev"):
        f1 = dev["f1"]
        tagged = zip(examples, teacher.tag_many(examples), strict=True)
        best = score_spans(gold, [word_spans(replace(example, spans=tuple(spans))) for example, spans in tagged]).f1
    else:
        # The teacher's own entities are the truth here.
        f1 = score_spans(gold, student.predict(examples).word_spans(len(gold))).f1
        best = 1.0
    where = f"{len(gold):,} {'sentences of dev' if dev else 'held-out silver sentences'}"
    figures = f"F1 of the student {percent(f1)}, of the teacher {percent(best)}, on {where}"
    if f1 < settings.min_f1_share * best:
        raise InputError(
            f"{output}: {figures}: too low, so it isn't kept; give more texts, or more passes over "
            "them (source_epochs); --set min_f1_share=0 takes it all the same"
        )
    tell(f"{output}: {figures}")
    return {"f1": f1, "teacher_f1": best, "scored_sentences": len(gold)}


def _tell_leaks(gold: DataSet, test: DataSet, silver: Sequence[Example]) -> None:
    """Warn about silver sentences that are also held out."""
    for split, held_out in (("dev", gold.dev), ("test", test.test)):
        runs = {run for example in held_out for run in ngrams(example.text, SHARED_WORDS)}
        if count := sum(shares_words(example, runs) for example in silver):
            path = (gold.files | test.files).get(split, "FILE")
            tell(
                f"warning: {count:,} of {len(silver):,} silver sentences share {SHARED_WORDS} words in a row with the "
                f"{split} split, so scores there will be too high; --exclude {path} leaves them out"
            )


def _tell_counts(output: Path, counts: SilverCounts, types: Sequence[str]) -> None:
    most = ", ".join(f"{name} {count:,}" for name, count in counts.entities.most_common(_TOLD))
    tell(
        f"{output}: trained on {counts.kept:,} of {counts.sentences:,} sentences, "
        f"{counts.kept - counts.kept_empty:,} of them with entities ({most})"
    )
    if counts.entities.total() < _FEW:
        tell(f"warning: with fewer than {_FEW} entities a student may learn to find nothing; give more texts")
    if never := [name for name in types if name not in counts.entities]:
        tell(f"no silver sentence has {', '.join(never):.200}, so the student didn't learn them from the teacher")
    if counts.excluded:
        tell(f"sentences left out, sharing words with --exclude: {counts.excluded:,}")
    if counts.lost:
        tell(f"entities that reach over the end of a sentence, left out: {counts.lost:,}")
