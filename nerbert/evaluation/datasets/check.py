"""Check a data set: its contents, and faults that spoil scores (leaks, contradictions, types that can't be learnt).

Nothing is corrected, and only what can't be read is refused. Sentences are equal if their tokens are. Tag schemes are
read from the tags as written, since entities don't tell how they were written: IOB2 begins every entity with B-; IOB1
only one that touches another of its type; IO none; others also mark ends (`nerbert.formats.schemes`); any other use is
called mixed. The price: each file is read again.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from nerbert.evaluation.datasets.load import AT_LEAST, Data, find_duplicates, open_data
from nerbert.formats.conll import Conll, scheme_of
from nerbert.formats.documents import Reading
from nerbert.formats.examples import find_format
from nerbert.formats.schemes import Scheme
from nerbert.labels import WordSpan, word_spans
from nerbert.records import Example

_PAIRS = (("train", "test"), ("train", "dev"), ("dev", "test"))
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """The contents of a split."""

    sentences: int
    tokens: int
    entities: int
    types: dict[str, int]
    """Entities of each type."""
    repeated: int
    """Sentences equal to an earlier one of the split."""
    long: int
    scheme: Scheme


@dataclass(frozen=True, slots=True)
class Conflict:
    """Equal sentences with different tags: the text, and each one's split and place (from 0)."""

    text: str
    places: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of a check."""

    long_above: ClassVar[int] = 256
    """Words above which a sentence is long."""
    rare_below: ClassVar[int] = 5
    """Entities in train below which a type is rare."""
    duplicates_at_least: ClassVar[int] = AT_LEAST
    """Fewest tokens of equal sentences that count as duplicates."""
    data: Data
    splits: dict[str, SplitFacts]
    lacking: dict[str, dict[str, int]]
    """By split, the types that train lacks, with their entities."""
    rare: dict[str, int]
    """Types of which train has fewer entities than `rare_below`."""
    duplicates: dict[str, int]
    """`train/test`: sentences of eight tokens or more of the second that are in the first, and so on."""
    conflicts: int
    conflict_examples: tuple[Conflict, ...]

    @property
    def schemes(self) -> dict[str, str]:
        """The tag scheme of each split with entities."""
        return {split: facts.scheme.name for split, facts in self.splits.items() if facts.entities}

    def as_json(self) -> dict[str, Any]:
        """Return all findings as JSON."""
        known = self.data.known
        return {
            "name": self.data.name, "known": known.name if known else None, "notes": list(self.data.notes),
            "sha256": self.data.sha256, "splits": {split: asdict(facts) for split, facts in self.splits.items()},
            "lacking": self.lacking, "rare": self.rare, "duplicates": self.duplicates,
            "duplicates_at_least": self.duplicates_at_least, "conflicts": self.conflicts,
            "conflict_examples": [asdict(each) for each in self.conflict_examples],
        }  # fmt: skip


def check_data(name: str, root: Path | None = None, reading: Reading | None = None) -> Findings:
    """Read and check a data set, named as in `open_data`."""
    data = open_data(name, root, reading)
    splits = {split: _facts(data.splits[split], path, data.reading.from_) for split, path in data.files.items()}
    lacking: dict[str, dict[str, int]] = {}
    rare: dict[str, int] = {}
    if "train" in splits:
        learnt = splits["train"].types
        rare = {type_: count for type_, count in learnt.items() if count < Findings.rare_below}
        for split, facts in splits.items():
            if unknown := {type_: count for type_, count in facts.types.items() if type_ not in learnt}:
                lacking[split] = unknown
    pairs = [(first, second) for first, second in _PAIRS if first in splits and second in splits]
    duplicates = {f"{one}/{two}": len(find_duplicates(data.splits[one], data.splits[two])) for one, two in pairs}
    conflicts = _conflicts(data)
    return Findings(data, splits, lacking, rare, duplicates, len(conflicts), tuple(conflicts[:_SHOWN]))


def read_scheme(path: Path) -> Scheme:
    """Return the scheme of the tags of a file in CoNLL's format."""
    return scheme_of(path)


def _facts(examples: Sequence[Example], path: Path, format_: str) -> SplitFacts:
    types = Counter(span.type for example in examples for span in example.spans)
    return SplitFacts(
        sentences=len(examples),
        tokens=sum(len(example.words) for example in examples),
        entities=types.total(),
        types=dict(sorted(types.items(), key=lambda item: (-item[1], item[0]))),
        repeated=len(examples) - len({example.tokens for example in examples}),
        long=sum(len(example.words) > Findings.long_above for example in examples),
        scheme=read_scheme(path) if isinstance(find_format(path, format_), Conll) else Scheme("spans", 0, 0),
    )


def _conflicts(data: Data) -> list[Conflict]:
    """Return sentences that are tagged in more than one way, in the order in which they first occur."""
    places: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    tagged: dict[tuple[str, ...], set[tuple[WordSpan, ...]]] = defaultdict(set)
    for split, examples in data.splits.items():
        for place, example in enumerate(examples):
            places[example.tokens].append((split, place))
            tagged[example.tokens].add(tuple(word_spans(example)))
    return [Conflict(" ".join(each), tuple(where)) for each, where in places.items() if len(tagged[each]) > 1]
