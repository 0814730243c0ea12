"""Tagger or file of predictions + gold sentences → scores; for several seeds, mean and standard deviation."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate, chain, repeat, starmap, zip_longest
from operator import ne
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from nerbert.data.catalogue import AT_LEAST, find_duplicates
from nerbert.data.open_types import read_open_types, types_asked
from nerbert.data.splits import AnyData, DataSet, GoldSentences, read_data, read_gold, train_sum
from nerbert.entity_labels import entity_labels
from nerbert.errors import InputError, SettingsError, at, unknown
from nerbert.formats.documents import Reading, reading_for, sentences_of
from nerbert.formats.format import read_documents, recognise_format
from nerbert.labels import common_name, example_tags, fold_type, types_of_examples, word_spans
from nerbert.metrics.judging import Judgement, assess, seen_entities
from nerbert.metrics.score import Counts, Score
from nerbert.model.folder import PRETRAINED, SIGNS, ModelFolder, read_card, seed_folders
from nerbert.model.heads import Entities, Head, WordTags
from nerbert.records import Document, EntityLabel, Example, OpenText, Span
from nerbert.sources.files import open_plain
from nerbert.tagger.tagger import Tagger
from nerbert.tagger.thresholds import Answering, answering_of, check_thresholds, thresholds_of
from nerbert.terminal import percent, tell
from nerbert.words import SPLITTER

_OPEN_RULES = "mention F1 on open types: exact span, any one of its types, each passage asked for its own types"
# The first row decides; a file of one endless line must not be read whole.
_HEAD = 1 << 20

_SUMMARY: dict[str, Callable[[Judgement], float]] = {
    "micro": lambda judged: judged.score.f1,
    "macro": lambda judged: judged.score.macro.f1,
    "strict": lambda judged: judged.strict.f1,
    "span": lambda judged: judged.span.f1,
    "token": lambda judged: judged.token.macro.f1,
}


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation:
    """The scores of one or more taggers (seeds) on one file; a notebook shows them as a table."""

    file: str
    sentences: int
    judgements: dict[str, Judgement]
    unknown_types: tuple[str, ...]
    not_finetuned: tuple[str, ...] = ()
    """Taggers that are pre-trained only and know none of the gold types."""
    train: str = ""
    """The source of the training sentences; "" if they were not given."""
    other_train: tuple[str, ...] = ()
    """Taggers whose training file has another SHA-256 than `train`; a subset counts as another file."""
    learnt_gold: tuple[str, ...] = ()
    """Taggers that were trained on the scored file, or on other splits cut from it."""
    min_words: int = AT_LEAST
    """Minimum words of a test sentence that counts as a repeat of a training sentence."""
    answering: dict[str, Answering] = field(default_factory=dict)
    """How each tagger was run; a file of predictions has no entry."""
    asked: dict[str, str] = field(default_factory=dict)
    """Type → label requested from the taggers, where it differs from the type's name."""
    html: "Callable[[Evaluation], str] | None" = field(default=None, compare=False)
    """Renderer of the table that a notebook shows; set by `nerbert.evaluate`."""

    @property
    def scores(self) -> dict[str, Score]:
        """Precision, recall and F1 of each tagger, over all types and by type."""
        return {name: judged.score for name, judged in self.judgements.items()}

    @property
    def f1_mean(self) -> float:
        """Mean F1 over seeds."""
        return self.over_seeds()["micro"]["mean"]

    @property
    def f1_sd(self) -> float:
        """Sample standard deviation of F1 over seeds; 0 for one seed."""
        return self.over_seeds()["micro"]["sd"]

    def __repr__(self) -> str:
        scores = self.scores.values()
        how = " / ".join(dict.fromkeys(map(str, self.answering.values())))
        means = {
            "F1": self.f1_mean,
            "precision": mean(score.precision for score in scores),
            "recall": mean(score.recall for score in scores),
        }
        figures = ", ".join(f"{name} {percent(share)}" for name, share in means.items())
        seeds = f" (means over {len(scores)} seeds)" if len(scores) > 1 else ""
        return f"<Evaluation on {self.file}, {self.sentences:,} sentences: {figures}{seeds}{how and f'; {how}'}>"

    def _repr_html_(self) -> str | None:
        return self.html(self) if self.html else None

    def over_seeds(self) -> dict[str, dict[str, float]]:
        """Return mean and sample standard deviation over seeds of F1: micro, macro, strict, span, macro token F1."""
        figures = {}
        for name, figure in _SUMMARY.items():
            values = [figure(judged) for judged in self.judgements.values()]
            figures[name] = {"mean": mean(values), "sd": stdev(values) if len(values) > 1 else 0.0}
        return figures

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON; `precision`, `recall` and `f1` at the top are means over the taggers."""
        scores = self.scores.values()
        return {
            "file": self.file,
            "sentences": self.sentences,
            "train": self.train or None,
            "precision": mean(score.precision for score in scores),
            "recall": mean(score.recall for score in scores),
            "f1": self.f1_mean,
            "f1_sd": self.f1_sd,
            "over_seeds": self.over_seeds(),
            "unknown_types": list(self.unknown_types),
            "not_finetuned": list(self.not_finetuned),
            "trained_on_other": list(self.other_train),
            "trained_on_file": list(self.learnt_gold),
            "answering": {name: asdict(answering) for name, answering in self.answering.items()},
            "asked": self.asked,
            "taggers": {name: judged.as_json() for name, judged in self.judgements.items()},
        }


@dataclass(frozen=True, slots=True)
class Scored:
    """A tagger and its answers for gold sentences, with the data's type names; `seconds` is the tagging time."""

    tagger: Tagger
    gold: GoldSentences
    answers: list[WordTags]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Judged:
    """A tagger's judgement, and what is noted about the tagger."""

    judgement: Judgement
    answering: Answering | None
    """None for a file of predictions."""
    known_types: set[str]
    """The gold types that it has, under their labels."""
    similar: dict[str, str]
    """Gold type → type of the tagger that may mean the same."""
    not_finetuned: bool
    other_train: bool
    learnt_gold: bool


class _Judge:
    """Scores taggers on the same gold sentences."""

    def __init__(self, gold: GoldSentences, learnt: DataSet | None, labels: Mapping[str, str]) -> None:
        self._gold = gold
        self._learnt = learnt
        self._tags = [example_tags(example) for example in gold.examples]
        self._words = [example.tokens for example in gold.examples]
        self._seen = seen_entities(learnt.train) if learnt else None
        self._duplicates = find_duplicates(learnt.train, gold.examples) if learnt else ()
        self._types = frozenset(types_of_examples(gold.examples))
        self.asked = labels_asked(self._types, labels)
        # A tagger that was asked for "person" answers so, and the gold type is `PER`.
        renamed = {label.name: type_ for type_, label in self.asked.items() if label.name != type_}
        self._names = {f"{mark}-{label}": f"{mark}-{type_}" for label, type_ in renamed.items() for mark in "BI"}

    def tag(self, tagger: Tagger) -> Scored:
        """Return a tagger's answers for the gold sentences."""
        start = time.perf_counter()
        answers = tagger.tag_examples(self._gold.examples)
        if self._names:
            answers = [replace(answer, tags=[self._names.get(tag, tag) for tag in answer.tags]) for answer in answers]
        return Scored(tagger, self._gold, answers, time.perf_counter() - start)

    def judge(self, scored: Scored) -> _Judged:
        """Return the scores of a tagger's answers, and what its card says of its training."""
        tagger = scored.tagger
        data = tagger.card.get("data")
        # A file without confidences has 1 everywhere, which would be scored as overconfidence.
        file = tagger.head if isinstance(tagger.head, PredictionFile) else None
        sure = None if file and not file.has_confidences else [answer.confidences for answer in scored.answers]
        known = {type_ for type_, label in self.asked.items() if label.name in tagger.types}
        return _Judged(
            assess(
                self._tags,
                [answer.tags for answer in scored.answers],
                confidences=sure,
                words=self._words,
                seen=self._seen,
                without=self._duplicates,
            ),
            answering=None if file else tagger.answering,
            known_types=known,
            similar=_find_similar(
                self._types - known, set(tagger.types) - {label.name for label in self.asked.values()}
            ),
            # An encoder that was only pre-trained may know none of the gold types: a note explains its F1 of 0.
            not_finetuned=bool(self._types) and not known and tagger.card.get("kind") in PRETRAINED,
            other_train=self._learnt is not None
            and train_sum(data) not in ("", train_sum({"sha256": self._learnt.sha256})),
            learnt_gold=self._gold.learnt_by(data),
        )

    def summary(self, results: Mapping[str, _Judged]) -> Evaluation:
        """Return the results of all taggers; print a note if they write gold types in another way."""
        self._tell_similar(results.values())
        return Evaluation(
            self._gold.place,
            len(self._gold.examples),
            {name: result.judgement for name, result in results.items()},
            tuple(sorted(self._types.difference(*(result.known_types for result in results.values())))),
            not_finetuned=tuple(name for name, result in results.items() if result.not_finetuned),
            train=str(self._learnt.folder) if self._learnt else "",
            other_train=tuple(name for name, result in results.items() if result.other_train),
            learnt_gold=tuple(name for name, result in results.items() if result.learnt_gold),
            answering={name: result.answering for name, result in results.items() if result.answering},
            asked={type_: label.text for type_, label in self.asked.items() if label.text != type_},
        )

    def _tell_similar(self, results: Iterable[_Judged]) -> None:
        similar = dict(chain.from_iterable(result.similar.items() for result in results))
        # F1 of 0 because of `PER` and `person` looks like a bad tagger.
        if similar:
            pairs = ",".join(f"{type_}={name}" for type_, name in similar.items())
            tell(
                f'note: the tagger writes types of {self._gold.place} otherwise; --labels "{pairs:.200}" (`labels` in '
                "Python) scores them as one"
            )


def evaluate(
    tagger: str | Path | Tagger,
    data: AnyData,
    *,
    train: AnyData | None = None,
    thresholds: float | Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    reading: Reading | None = None,
    kept: Callable[[Scored], None] | None = None,
    **loading: Any,
) -> Evaluation:
    """Score a tagger's folder (or a folder of several seeds, or a file of predictions) on a file, or on the test split
    of a data folder.

    Arguments are as in `nerbert.evaluate`, `loading` (decoding, head, backend, precision) as in `Tagger.load`.
    `reading` sets how all files are read, by default as the (first) tagger reads data: to compare taggers with
    different splitters, set the same `word_splitter` for both. `kept` is called with each tagger and its answers.
    """
    folders: Mapping[str, str | Tagger] = (
        {"tagger": tagger} if isinstance(tagger, Tagger) else tagger_folders(str(tagger))
    )
    reading = reading_for(reading_card(next(iter(folders.values()))), reading)
    gold = read_gold(data, "test", reading)
    learnt = None if train is None else read_data(train, reading=reading)
    given = labels or {}
    judge = _Judge(gold, learnt, given)
    results = dict[str, _Judged]()
    for name, folder in folders.items():
        opened = open_tagger(folder, reading=reading, **loading, thresholds=thresholds)
        scored = judge.tag(_ask_for(opened, judge.asked, given, thresholds))
        if kept:
            kept(scored)
        results[name] = judge.judge(scored)
    return judge.summary(results)


def _find_similar(gold: Iterable[str], predicted: Iterable[str]) -> dict[str, str]:
    """Return gold type → predicted type, for names that differ only in case, underscores or an abbreviation."""
    by_name = {common_name(fold_type(type_)): type_ for type_ in predicted}
    pairs = {by_name.get(common_name(fold_type(type_))): type_ for type_ in sorted(gold)}
    return {type_: name for name, type_ in pairs.items() if name}


def reading_card(tagger: str | Path | Tagger) -> Mapping[str, Any]:
    """Return a tagger's card, which has its settings for reading data."""
    if isinstance(tagger, Tagger):
        return {**tagger.card, "language": tagger.language, "word_splitter": tagger.splitter}
    return {} if holds_predictions(tagger) else read_card(str(tagger))


def holds_predictions(source: str | Path) -> bool:
    """Return whether a path is a file, or a folder of annotated texts rather than of a model."""
    path = Path(source)
    # A model's folder may hold JSON files that some format would recognise: kinds are asked first.
    return path.is_file() or (path.is_dir() and not ModelFolder.open(path).kinds and recognise_format(path) != "")


def open_tagger(
    tagger: str | Path | Tagger,
    *,
    reading: Reading | None = None,
    **loading: Any,
) -> Tagger:
    """Return a loaded tagger as it is, load a folder, or wrap a file's predictions; raise SettingsError for options
    that apply only to a folder.
    """
    if not isinstance(tagger, Tagger):
        if not holds_predictions(tagger):
            return Tagger.load(tagger, **loading)
        head = PredictionFile(Path(tagger), reading or Reading())
        tagger = Tagger(head, SPLITTER, "en", thresholds=thresholds_of(loading.pop("thresholds"), None, head.types))
        # The file's entities are scored as they are, even those of signs alone.
        tagger.card = {SIGNS: True}
    if options := [name for name, value in loading.items() if value not in ("", "auto", None)]:
        names = " and ".join(options)
        raise SettingsError(f"{names}: only for a tagger's folder; a loaded one has its own: see Tagger.load")
    return tagger


class PredictionFile(Head):
    """A file's entities, in any format; its texts may differ from gold only in white space and sentence ends.

    An entity across the end of a gold sentence becomes one in each sentence, as in columns of tags.
    """

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path = path
        self._reading = replace(reading, from_=recognise_format(path) or reading.from_)
        letters = list[str]()
        self._spans = list[Span]()
        size = 0
        for document in read_documents(path, self._reading):
            # Offsets are counted in visible characters, which don't change with white space or line ends.
            offsets = [*accumulate((not char.isspace() for char in document.text), initial=size)]
            self._spans += [
                replace(span, start=offsets[span.start], end=offsets[span.end], text="") for span in document.spans
            ]
            letters += document.text.split()
            size = offsets[-1]
        self._letters = "".join(letters)
        self.has_confidences = any(span.confidence < 1 for span in self._spans)

    @property
    def types(self) -> list[str]:
        """Return the types of the entities, sorted; a single empty name if there are no entities."""
        # A tagger without any type would count as one that takes types at run time.
        return sorted({span.type for span in self._spans}) or [""]

    def predict(self, examples: Sequence[Example]) -> Entities:
        """Return the entities of all examples; raise InputError if the file's texts or their order differ."""
        gold = "".join(chain.from_iterable(example.text.split() for example in examples))
        if gold != self._letters:
            same = [*starmap(ne, zip_longest(gold, self._letters))].index(True)
            here, there = (text[max(0, same - 20) : same + 20] for text in (self._letters, gold))
            raise InputError(
                f"{self._path}: holds other texts than the gold data, or in another order: {here!r} in "
                f"place of {there!r} (white space aside)"
            )
        waiting = deque(self._spans)
        begin = 0
        by_example = list[Example]()
        for number, example in enumerate(examples, 1):
            indices = [index for index, char in enumerate(example.text) if not char.isspace()]
            spans = list[Span]()
            end = begin + len(indices)
            while waiting and waiting[0].start < end:
                span = waiting.popleft()
                first = indices[span.start - begin]
                last = indices[min(span.end, end) - begin - 1]
                spans.append(replace(span, start=first, end=last + 1))
                # The rest of the entity begins the next sentence.
                if span.end > end:
                    waiting.appendleft(replace(span, start=end))
            with at(self._path, part=f"gold sentence {number}"):
                by_example += sentences_of(Document(example.text, tuple(spans), example.words), self._reading)
            begin = end
        # Confidence 1 has infinite log odds, which is meant.
        with np.errstate(divide="ignore"):
            return Entities.of(
                [
                    [
                        (words, float(np.log(span.confidence) - np.log1p(-span.confidence)))
                        for words, span in zip(word_spans(example), example.spans, strict=True)
                    ]
                    for example in by_example
                ]
            )


def _ask_for(
    tagger: Tagger,
    asked: Mapping[str, EntityLabel],
    given: Mapping[str, str],
    thresholds: float | Mapping[str, float] | None,
) -> Tagger:
    """Return a tagger that predicts these labels (one with fixed types unchanged); raise InputError for a clash."""
    if tagger.types:
        # `with_labels` raises here for a label that the tagger doesn't have.
        if given:
            tagger.with_labels(asked[type_] for type_ in given)
        taken = {label.name for label in asked.values()}
        # `PER=person` for a tagger with both types: its own PER would count as person, too.
        if type_ := next((type_ for type_ in given if type_ in tagger.types and type_ not in taken), None):
            raise InputError(
                f"labels: the tagger has a type {type_!r:.80} itself, which would be scored as "
                f"{asked[type_].name!r:.80} is; leave {type_!r:.80} out"
            )
        return tagger
    check_thresholds(thresholds, (label.name for label in asked.values()))
    return tagger.with_labels(asked.values()) if asked else tagger


def labels_asked(types: Iterable[str], given: Mapping[str, str]) -> dict[str, EntityLabel]:
    """Return type → label for the types of the data; raise SettingsError for a given type that isn't in them."""
    known = sorted(types)
    if strange := [type_ for type_ in given if type_ not in known]:
        why = f"setting labels: the data has no type {strange[0]!r:.80}{unknown(strange[0], known)}"
        raise SettingsError(why, setting="labels")
    return labels_by_type(known, given) if given else {type_: EntityLabel(type_) for type_ in known}


def labels_by_type(types: Iterable[str], given: Mapping[str, str]) -> dict[str, EntityLabel]:
    """Return type → label to ask for, in order: the `given` one, or the type's name. Raise InputError for two types
    with the same label; labels that differ only in case or underscores are the same.
    """
    labels = {type_: entity_labels([given.get(type_) or EntityLabel(type_)])[0] for type_ in types}
    first = dict[str, str]()
    for type_, label in labels.items():
        # The tagger would find the same entities for both, and couldn't tell which type to give.
        if (other := first.setdefault(fold_type(label.name), type_)) != type_:
            both = f"types {other!r:.80} and {type_!r:.80}"
            raise InputError(f"{both} have the same label, {label.name!r:.80}; give them different ones (labels)")
    return labels


def tagger_folders(source: str) -> dict[str, str]:
    """Return name → folder: one entry, or one for each subfolder `seed-*`."""
    seeds = seed_folders(source)
    if not seeds:
        return {Path(source).name or source: source}
    # A mean over fewer seeds than the user believes would be wrong.
    broken = [folder for folder in seeds if not (folder / "nerbert.json").is_file()]
    if broken:
        raise InputError(f"{broken[0]}: not a complete tagger (nerbert.json is missing); fine-tune again")
    return {folder.name: str(folder) for folder in seeds}


@dataclass(frozen=True, slots=True)
class OpenEvaluation:
    """A tagger's result on one file of open types: a mention counts as found if its exact span has any of its types.

    Cost: narrow and broad types count the same, and the figure is not comparable with other sets'.
    """

    file: str
    passages: int
    types: int
    counts: Counts
    answering: Answering

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        facts = {"file": self.file, "passages": self.passages, "types": self.types, "rules": _OPEN_RULES}
        return facts | self.counts.as_json() | {"answering": asdict(self.answering)}


def has_asked_types(path: Path) -> bool:
    """Return whether a file's first row has open types and a list of types to ask for."""
    if not path.is_file():
        return False
    with open_plain(path) as stream, suppress(ValueError, RecursionError):
        row = json.loads(stream.readline(_HEAD))
        # Without `asked`, the same file may be annotated data with ordinary types.
        return isinstance(row, dict) and {"text", "entities", "asked"} <= row.keys()
    return False


def evaluate_open(
    tagger: str | Path | Tagger,
    path: Path,
    *,
    labels: Mapping[str, str] | None = None,
    thresholds: float | Mapping[str, float] | None = None,
    **loading: Any,
) -> OpenEvaluation:
    """Score a tagger, or its folder, on a file of open types, by the spans that `nerbert tag` would return.

    `labels` maps types to other names, `loading` is as in `Tagger.load`. Raise InputError for a tagger of fixed types.
    """
    loaded = open_tagger(tagger, **loading, thresholds=thresholds)
    if loaded.types and not loaded.labels:
        raise InputError(f"{path}: asks for its own types, but this tagger finds only the types that it was trained on")
    texts = list(read_open_types(path))
    by_types = _group_by_asked(texts)
    names = labels_asked(
        {type_ for types in by_types for type_ in types},
        # Types of open data differ in case and underscores, so given ones are folded likewise.
        {fold_type(type_): label for type_, label in (labels or {}).items()},
    )
    check_thresholds(thresholds, (label.name for label in names.values()))
    counts = list[tuple[int, ...]]()
    bounds = dict[str, float]()
    for types, passages in by_types.items():
        type_of = {names[type_].name: type_ for type_ in types}
        with at(path):
            asked = loaded.with_labels(names[type_] for type_ in types) if types else None
            tagged = asked.tag_many([text.text for text in passages]) if asked else repeat(())
            bounds |= asked.thresholds if asked else {}
            counts += _count_mentions(passages, tagged, type_of)
    answering = answering_of(loaded.head, loaded.scaling, bounds, list(bounds))
    return OpenEvaluation(str(path), len(texts), len(names), Counts(*map(sum, zip(*counts, strict=True))), answering)


def _count_mentions(
    texts: Iterable[OpenText], tagged: Iterable[Sequence[Span]], type_of: Mapping[str, str]
) -> Iterator[tuple[int, ...]]:
    """Yield the numbers of right, predicted and gold mentions of each text."""
    for text, spans in zip(texts, tagged, strict=False):
        # One answer for each span: gold types of a span are alternatives, not separate entities.
        predictions = {(span.start, span.end): type_of[span.type] for span in spans}
        mentions: dict[tuple[int, int], set[str]] = {}
        for entity in text.entities:
            mentions.setdefault((entity.start, entity.end), set()).add(fold_type(entity.type))
        right = sum(type_ in mentions.get(span, ()) for span, type_ in predictions.items())
        yield right, len(predictions), len(mentions)


def _group_by_asked(texts: Sequence[OpenText]) -> dict[tuple[str, ...], list[OpenText]]:
    """Return the texts by the types asked for in them: their own, or else those of all texts."""
    all_types = tuple(sorted({fold_type(entity.type) for text in texts for entity in text.entities}))
    by_types: dict[tuple[str, ...], list[OpenText]] = {}
    for text in texts:
        types = types_asked(text)
        by_types.setdefault(all_types if types is None else types, []).append(text)
    return by_types
