"""A tagger that is told its labels, judged on files of open types, whose passages each ask for types of their own.

A passage is asked for the types that its annotator looked for, in one prompt; one that looked for all of them, for all
types of the file. Its entities may overlap: a mention has its narrow type and each broader one, and names may lie in
names. A tagger gives a span once. So a mention is a span, which counts once, and is found if the tagger gives exactly
this span with any one of its types. The price: narrow and broad are the same here, a tagger whose entities don't
overlap misses names in names, and the figure stands beside no other set's.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, at
from nerbert.formats.open_types import normalised, read_open_types, types_asked
from nerbert.metrics.score import Counts
from nerbert.records import EntityLabel, OpenText
from nerbert.sources.files import open_plain
from nerbert.tagger.tagger import Tagger

RULES = "mention F1 on open types: exact span, any one of its types, each passage asked for its own types"
_HEAD = 1 << 20


@dataclass(frozen=True, slots=True)
class OpenEvaluation:
    """What is said of a tagger on one file: how many passages and types, and counts of mentions."""

    file: str
    passages: int
    types: int
    counts: Counts

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        facts = {"file": self.file, "passages": self.passages, "types": self.types, "rules": RULES}
        return facts | self.counts.as_json()


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


def evaluate_open(tagger: str | Path | Tagger, path: Path, *, decoding: str = "", head: str = "") -> OpenEvaluation:
    """Judge a tagger, or its folder, on a file of open types, by its usual thresholds.

    `decoding` and `head` are as in `Tagger.load`. Raise InputError for a tagger that isn't told its labels.
    """
    loaded = tagger if isinstance(tagger, Tagger) else Tagger.load(tagger, decoding=decoding, head=head)
    if loaded.types and not loaded.labels:
        raise InputError(f"{path}: asks for types of its own, and this tagger finds those that it learnt alone")
    texts = list(read_open_types(path))
    every = tuple(sorted({normalised(each.type) for one in texts for each in one.entities}))
    groups: dict[tuple[str, ...], list[OpenText]] = {}
    for one in texts:
        asked = types_asked(one)
        groups.setdefault(every if asked is None else asked, []).append(one)
    right = predicted = gold = 0
    for names, some in groups.items():
        with at(path):
            tagged = list(_found(loaded, names, some))
        for one, found in zip(some, tagged, strict=True):
            wanted: dict[tuple[int, int], set[str]] = {}
            for each in one.entities:
                wanted.setdefault((each.start, each.end), set()).add(normalised(each.type))
            right += sum(type_ in wanted.get(span, ()) for span, type_ in found.items())
            predicted, gold = predicted + len(found), gold + len(wanted)
    types = {name for names in groups for name in names}
    return OpenEvaluation(str(path), len(texts), len(types), Counts(right, predicted, gold))


def _found(tagger: Tagger, names: tuple[str, ...], some: list[OpenText]) -> Iterator[dict[tuple[int, int], str]]:
    """Yield the type of each span that a tagger finds in each passage; nothing where nothing is asked for."""
    if not names:
        yield from ({} for _ in some)
        return
    for spans in tagger.tag_many([one.text for one in some], map(EntityLabel, names)):
        yield {(each.start, each.end): each.type for each in spans}
