"""A tagger that is told its labels, judged on files of open types, whose passages each ask for types of their own.

A mention is a span, found if the tagger gives exactly this span with any one of its types. The price: narrow and broad
are the same here, and the figure can't be compared with another set's.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, at
from nerbert.evaluation.evaluate import labels_asked, open_tagger
from nerbert.formats.open_types import normalised, read_open_types, types_asked
from nerbert.metrics.score import Counts
from nerbert.records import OpenText
from nerbert.sources.files import open_plain
from nerbert.tagger.tagger import Tagger
from nerbert.tagger.thresholds import Answering, answering_of, check_thresholds

RULES = "mention F1 on open types: exact span, any one of its types, each passage asked for its own types"
_HEAD = 1 << 20


@dataclass(frozen=True, slots=True)
class OpenEvaluation:
    """What is said of a tagger on one file: how many passages and types, and counts of mentions."""

    file: str
    passages: int
    types: int
    counts: Counts
    answering: Answering

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        facts = {"file": self.file, "passages": self.passages, "types": self.types, "rules": RULES}
        return facts | self.counts.as_json() | {"answering": asdict(self.answering)}


def has_asked_types(path: Path) -> bool:
    """Return whether a file's first row is of open types with what was asked for."""
    if not path.is_file():
        return False
    with open_plain(path) as stream:
        line = stream.readline(_HEAD)
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and {"text", "entities", "asked"} <= row.keys()


def evaluate_open(
    tagger: str | Path | Tagger, path: Path, *, labels: Mapping[str, str] | None = None,
    thresholds: float | Mapping[str, float] | None = None, **loading: Any,
) -> OpenEvaluation:  # fmt: skip
    """Judge a tagger, or its folder, on a file of open types, as `nerbert tag` answers.

    `labels` (type → label) says by which other names types are asked for. `thresholds` and `loading` (decoding, head,
    backend, precision) are as in `Tagger.load`. Raise InputError for a tagger that isn't told its labels.
    """
    loaded = open_tagger(tagger, thresholds=thresholds, **loading)
    if loaded.types and not loaded.labels:
        raise InputError(f"{path}: asks for types of its own, and this tagger finds those that it learnt alone")
    texts = list(read_open_types(path))
    every = tuple(sorted({normalised(each.type) for one in texts for each in one.entities}))
    groups: dict[tuple[str, ...], list[OpenText]] = {}
    for one in texts:
        group = types_asked(one)
        groups.setdefault(every if group is None else group, []).append(one)
    names = labels_asked({name for group in groups for name in group},
                         {normalised(type_): label for type_, label in (labels or {}).items()})  # fmt: skip
    check_thresholds(thresholds, (each.name for each in names.values()))
    right = predicted = gold = 0
    bounds = dict[str, float]()
    for group, some in groups.items():
        with at(path):
            asked = loaded.with_labels(names[each] for each in group) if group else None
            tagged = list(_found(asked, {names[each].name: each for each in group}, some))
        bounds |= asked.thresholds if asked else {}
        for one, found in zip(some, tagged, strict=True):
            wanted: dict[tuple[int, int], set[str]] = {}
            for each in one.entities:
                wanted.setdefault((each.start, each.end), set()).add(normalised(each.type))
            right += sum(type_ in wanted.get(span, ()) for span, type_ in found.items())
            predicted, gold = predicted + len(found), gold + len(wanted)
    how = answering_of(loaded, bounds, list(bounds))
    return OpenEvaluation(str(path), len(texts), len(names), Counts(right, predicted, gold), how)


def _found(
    tagger: Tagger | None, types: Mapping[str, str], some: list[OpenText]
) -> Iterator[dict[tuple[int, int], str]]:
    """Yield the type of each span that a tagger finds in each passage; nothing where nothing is asked for."""
    if tagger is None:
        yield from ({} for _ in some)
        return
    for spans in tagger.tag_many([one.text for one in some]):
        yield {(each.start, each.end): types[each.type] for each in spans}
