"""Check a data set for faults that distort scores, without keeping sentences. Cost: reads files twice, CoNLL again."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from nerbert.data.catalogue import AT_LEAST, KnownData, find_known_files, find_place
from nerbert.data.splits import SplitStream, stream_splits
from nerbert.errors import InputError, at
from nerbert.formats.conll import Conll, scheme_of
from nerbert.formats.documents import CheckReading, Reading, no_sentence, sentences_of
from nerbert.formats.format import find_format
from nerbert.formats.schemes import Scheme, find_tags
from nerbert.labels import word_spans
from nerbert.records import Example, Repairs
from nerbert.rng import hash64
from nerbert_bench.datasets.mentions import ManyTypes, Mentions, Slip

_PAIRS = (("train", "test"), ("train", "dev"), ("dev", "test"))
_SHOWN = 20
_NO_LETTER = re.compile(r"[\W_]+")
_NO_SCHEME = Scheme("spans", 0, 0)


@dataclass(slots=True)
class SplitFacts:
    """The contents of a split, counted while it is read."""

    sentences: int = 0
    tokens: int = 0
    entities: int = 0
    types: dict[str, int] = field(default_factory=dict)
    """Number of entities of each type."""
    repeated: int = 0
    """Sentences equal to an earlier one of the split."""
    long: int = 0
    scheme: Scheme = _NO_SCHEME
    first_long: str = ""
    """Position of the first long sentence."""

    def add(self, example: Example, position: str) -> None:
        """Count a sentence."""
        self.sentences += 1
        self.tokens += len(example.words)
        self.entities += len(example.spans)
        for span in example.spans:
            self.types[span.type] = self.types.get(span.type, 0) + 1
        if len(example.words) > Findings.long_above:
            self.long = self.long + 1
            self.first_long = self.first_long or position


@dataclass(slots=True)
class Conflict:
    """Equal sentences with different tags: the text, and the split and index (from 0) of the first twenty."""

    text: str
    places: list[tuple[str, int]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """The same places as file and line."""


class Repeats:
    """Counts equal sentences, then finds those that differ in entities. Cost: 200 bytes of memory per sentence."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[int]] = defaultdict(Counter)
        """Split → digest of the words → number of sentences."""
        self._long = set[int]()
        self._entities = dict[int, int]()
        self._numbers = Counter[str]()
        self.differ = set[int]()
        self.shown = dict[int, Conflict]()
        """Sentences (by digest) whose entities differ between occurrences, and the first of them."""

    def count(self, split: str, example: Example) -> None:
        """Count a sentence of a split."""
        words = _digest(example)
        entities = hash64(repr(word_spans(example))) if example.spans else 0
        self._counts[split][words] += 1
        if len(example.words) >= AT_LEAST:
            self._long.add(words)
        # Any split: "Washington" tagged in train and untagged in test is a conflict, too.
        if self._entities.setdefault(words, entities) != entities:
            self.differ.add(words)

    def look(self, split: str, example: Example, position: str) -> None:
        """Record the position of a counted sentence if another occurrence has other entities."""
        words = _digest(example)
        number = self._numbers[split]
        self._numbers[split] += 1
        if words in self.differ and (words in self.shown or len(self.shown) < _SHOWN):
            conflict = self.shown.setdefault(words, Conflict(" ".join(example.tokens)))
            if len(conflict.places) < _SHOWN:
                conflict.places.append((split, number))
                conflict.lines.append(position)

    def count_repeated(self, split: str) -> int:
        """Return the number of sentences equal to an earlier one of the split."""
        return self._counts[split].total() - len(self._counts[split])

    def count_duplicates(self, split: str, other: str) -> int:
        """Return the number of sentences of `other`, of at least `AT_LEAST` words, that are in `split`."""
        # Short sentences such as "Yes ." repeat without a leak.
        words_there = self._counts[split].keys() & self._long
        return sum(count for words, count in self._counts[other].items() if words in words_there)


def _digest(example: Example) -> int:
    return hash64("\n".join(example.tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The result of a check. `…_examples` have at most twenty, the first or worst."""

    long_above: ClassVar[int] = 256
    """Sentences with more words are long."""
    rare_below: ClassVar[int] = 5
    """Types with fewer entities in train are rare."""
    folder: Path
    name: str
    known: KnownData | None
    notes: tuple[str, ...]
    sha256: dict[str, str]
    splits: dict[str, SplitFacts]
    lacking: dict[str, dict[str, int]]
    """Split → type that train lacks → number of entities."""
    rare: dict[str, int]
    """Types of which train has fewer entities than `rare_below`."""
    duplicates: dict[str, int]
    """Under `train/test`: number of test sentences of at least eight tokens that are in train; and so on."""
    duplicates_at_least: int = AT_LEAST
    """Minimum tokens of equal sentences that count as duplicates."""
    conflicts: int
    conflict_examples: tuple[Conflict, ...]
    similar_types: tuple[tuple[str, ...], ...]
    """Types whose names differ only in case, plural, hyphens or underscores."""
    tag_types: tuple[str, ...]
    """Types that are tags, such as B-PER."""
    slips: int
    """Number of mentions that are labelled in only some places."""
    slip_examples: tuple[Slip, ...]
    many_types: int
    """Number of mentions that have several types."""
    many_types_examples: tuple[ManyTypes, ...]
    mentions_cut: bool
    """True if there were too many mentions to compare all."""
    repairs: Repairs

    @property
    def schemes(self) -> dict[str, str]:
        """The tag scheme of each split with entities."""
        return {split: facts.scheme.name for split, facts in self.splits.items() if facts.entities}

    def as_json(self) -> dict[str, Any]:
        """Return all findings as JSON."""
        facts = asdict(self) | {"known": self.known and self.known.name, "repairs": dict(+self.repairs)}
        del facts["folder"]
        return facts


def check_data(name: str, root: Path | None = None, reading: Reading | None = None) -> Findings:
    """Read and check a data set, named as in `open_data`, without keeping sentences."""
    reading = reading or CheckReading()
    repairs = Repairs()
    mentions = Mentions()
    repeats = Repeats()
    folder, name = find_place(name, root)
    stream = stream_splits(folder, reading)
    splits = {split: SplitFacts() for split in stream.files}
    for split, position, example in _sentences(stream, repairs):
        splits[split].add(example, position)
        repeats.count(split, example)
        mentions.count(example)
    # After the whole first pass, since a file that is cut into splits fills several of them.
    for split, path in stream.files.items():
        if not splits[split].sentences:
            raise InputError(f"{path}: {no_sentence(repairs)}")
    # The second pass knows what differs. Its repairs are thrown away: they are counted already.
    for split, position, example in _sentences(stream, Repairs()):
        repeats.look(split, example, position)
        mentions.look(example, position)
    schemes = _read_schemes(stream.files.values(), reading)
    for split, facts in splits.items():
        facts.types = dict(sorted(facts.types.items(), key=lambda item: (-item[1], item[0])))
        path = stream.files[split]
        facts.repeated = repeats.count_repeated(split)
        facts.scheme = schemes[path]
        # Faults of a file that is cut into splits count only once.
        schemes[path] = replace(schemes[path], broken=0)
    learnt = splits.get("train", SplitFacts()).types
    slips = mentions.slips()
    many_types = mentions.many_types()
    names = {type_ for facts in splits.values() for type_ in facts.types}
    sums = stream.sums()
    known, notes = find_known_files(name, sums)
    return Findings(
        name=name,
        folder=folder,
        sha256=sums,
        known=known,
        notes=notes,
        splits=splits,
        lacking=_unlearnt(splits) if "train" in splits else {},
        rare={type_: count for type_, count in learnt.items() if count < Findings.rare_below},
        duplicates={"/".join(pair): repeats.count_duplicates(*pair) for pair in _PAIRS if splits.keys() >= {*pair}},
        conflicts=len(repeats.differ),
        conflict_examples=tuple(repeats.shown.values()),
        similar_types=_group_similar(names),
        tag_types=tuple(find_tags(names)),
        slips=len(slips),
        slip_examples=tuple(slips[:_SHOWN]),
        many_types=len(many_types),
        many_types_examples=tuple(many_types[:_SHOWN]),
        mentions_cut=mentions.cut,
        repairs=repairs,
    )


def _read_schemes(paths: Iterable[Path], reading: Reading) -> dict[Path, Scheme]:
    return {
        # Tags are converted while reading, so the scheme of the file itself is read from the file again.
        path: scheme_of(path, reading.tag_column) if isinstance(find_format(path, reading.from_), Conll) else _NO_SCHEME
        for path in dict.fromkeys(paths)
    }


def _unlearnt(splits: Mapping[str, SplitFacts]) -> dict[str, dict[str, int]]:
    """Return the numbers of entities of types that train lacks, by split and type."""
    learnt = splits["train"].types
    lacking = {
        split: {type_: count for type_, count in facts.types.items() if type_ not in learnt}
        for split, facts in splits.items()
    }
    return {split: types for split, types in lacking.items() if types}


def _sentences(stream: SplitStream, repairs: Repairs) -> Iterator[tuple[str, str, Example]]:
    """Yield split, position and example of each sentence."""
    numbers = Counter[Path]()
    for split, path, document in stream.documents(repairs):
        numbers[path] += 1
        # Formats without lines, such as one JSON value, name the text by its number.
        line = f":{document.line}" if document.line else f", {document.group or f'text {numbers[path]}'}"
        with at(path, document.line or None):
            sentences = sentences_of(document, stream.reading, repairs)
        yield from ((split, f"{path.name}{line}", sentence) for sentence in sentences)


def _group_similar(types: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of types whose names differ only in case, plural, hyphens, underscores and spaces."""
    groups: dict[str, list[str]] = {}
    for type_ in sorted(types):
        name = _NO_LETTER.sub("", type_.casefold())
        # "companies" and "Company" are one type; "parties" ends in "ies", "cars" only in "s".
        name = f"{name[:-3]}y" if name.endswith("ies") else name[:-1] if name.endswith("s") else name
        groups.setdefault(name or type_, []).append(type_)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)
