"""What a data set holds, and what in it spoils scores: leaks, contradictions, types that can't be learnt.

The choice: nothing is mended and nothing refused here but what can't be read; who made the data decides. Sentences are
equal if their tokens are, to the letter. The price: only what can be counted is found.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from nerbert.evaluation.datasets.duplicates import AT_LEAST, find_twins
from nerbert.evaluation.datasets.load import Data, find_place, load_folder, split_files
from nerbert.evaluation.datasets.tags import Scheme, read_scheme
from nerbert.labels import example_tags
from nerbert.records import Example

_PAIRS = (("train", "test"), ("train", "dev"), ("dev", "test"))
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """What a split holds."""

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
    twins_at_least: ClassVar[int] = AT_LEAST
    """Tokens from which on equal sentences count as twins."""
    data: Data
    splits: dict[str, SplitFacts]
    lacking: dict[str, dict[str, int]]
    """By split, the types that train lacks, with their entities."""
    rare: dict[str, int]
    """Types of which train has fewer entities than `rare_below`."""
    twins: dict[str, int]
    """`train/test`: sentences of eight tokens or more of the second that are in the first, and so on."""
    conflicts: int
    conflict_examples: tuple[Conflict, ...]

    @property
    def schemes(self) -> dict[str, str]:
        """How each split's entities are written."""
        return {split: facts.scheme.name for split, facts in self.splits.items() if facts.entities}

    def as_json(self) -> dict[str, Any]:
        """Return all of it, as JSON."""
        plain = ("splits", "lacking", "rare", "twins", "conflicts", "conflict_examples")
        known = self.data.known
        head = {"name": self.data.name, "known": known.name if known else None, "notes": list(self.data.notes)}
        told = {key: _plain(getattr(self, key)) for key in plain}
        return head | {"sha256": self.data.sha256, "twins_at_least": self.twins_at_least} | told


def check_named(name: str, root: Path | None = None) -> Findings:
    """Check what `open_data` reads by that name; raise InputError for tags of a scheme that isn't read."""
    folder, name = find_place(name, root)
    schemes = {split: read_scheme(path) for split, path in split_files(folder).items()}
    return _findings(load_folder(folder, name=name), schemes)


def check_data(data: Data) -> Findings:
    """Count and compare what was read already."""
    return _findings(data, {split: read_scheme(path) for split, path in data.files.items()})


def _findings(data: Data, schemes: Mapping[str, Scheme]) -> Findings:
    splits = {split: _facts(data.splits[split], scheme) for split, scheme in schemes.items()}
    learnt = splits["train"].types
    lacking = {
        split: {type_: count for type_, count in facts.types.items() if type_ not in learnt}
        for split, facts in splits.items()
    }
    rare = {type_: count for type_, count in learnt.items() if count < Findings.rare_below}
    twins = {
        f"{first}/{second}": len(_twins(data, first, second))
        for first, second in _PAIRS
        if first in splits and second in splits
    }
    conflicts = _conflicts(data)
    lacking = {split: types for split, types in lacking.items() if types}
    return Findings(data, splits, lacking, rare, twins, len(conflicts), tuple(conflicts[:_SHOWN]))


def _twins(data: Data, first: str, second: str) -> tuple[int, ...]:
    """Those of train and test were found when the data were read."""
    known = (first, second) == ("train", "test")
    return data.twins if known else find_twins(data.splits[first], data.splits[second])


def _facts(examples: Sequence[Example], scheme: Scheme) -> SplitFacts:
    types = Counter(span.type for example in examples for span in example.spans)
    return SplitFacts(
        sentences=len(examples),
        tokens=sum(len(example.words) for example in examples),
        entities=types.total(),
        types=dict(sorted(types.items(), key=lambda item: (-item[1], item[0]))),
        repeated=len(examples) - len({example.tokens for example in examples}),
        long=sum(len(example.words) > Findings.long_above for example in examples),
        scheme=scheme,
    )


def _conflicts(data: Data) -> list[Conflict]:
    """Return sentences that are tagged in more than one way, in the order in which they first occur."""
    places: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for split, examples in data.splits.items():
        for place, example in enumerate(examples):
            places[example.tokens].append((split, place))
    several = {tokens: where for tokens, where in places.items() if len(where) > 1}
    tags = {
        tokens: {tuple(example_tags(data.splits[split][place])) for split, place in where}
        for tokens, where in several.items()
    }
    return [Conflict(" ".join(tokens), tuple(where)) for tokens, where in several.items() if len(tags[tokens]) > 1]


def _plain(value: Any) -> Any:
    """Return a value with its dataclasses as dicts."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
