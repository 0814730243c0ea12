"""The data of NER-BERT's figures (Liu et al. 2021): entities of each category (1, 8), F1 with few labels (2)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nerbert.corpus.shards import read_manifest
from nerbert.errors import InputError, at
from nerbert.evaluation.figures.records import F1, csv_of, read_records, share_of
from nerbert.evaluation.tables.statistics import Summary, summary

_MENTIONS, _SAMPLED = "mentions", "with_copies"


@dataclass(frozen=True, slots=True)
class CategoryCounts:
    """Entities of each category in the train part of a corpus, the most frequent first, before and after sampling."""

    names: Sequence[str]
    before: Sequence[int]
    after: Sequence[int]


@dataclass(frozen=True, slots=True)
class FewLabels:
    """F1 (0–1) by target, system and size; `sizes` are in the suite's order. An observation is a draw with its seed."""

    sizes: Sequence[str]
    curves: Mapping[str, Mapping[str, Mapping[str, Summary]]]


def read_category_counts(corpus: Path) -> CategoryCounts:
    """Return a corpus's entities by category; raise InputError for a folder that is none, or has no category."""
    counts = read_manifest(corpus)["categories"]
    names = sorted(counts, key=lambda name: (-counts[name][_MENTIONS], name))
    if not names:
        raise InputError(f"{corpus}: its manifest names no category")
    before, after = ([int(counts[name][kind]) for name in names] for kind in (_MENTIONS, _SAMPLED))
    return CategoryCounts(names, before, after)


def read_few_labels(results: Path, suite: str) -> FewLabels:
    """Read a suite's CSV from a folder of `nerbert benchmark`; raise InputError where there is nothing to draw."""
    path = csv_of(results, suite)
    with at(path):
        return few_labels_of(read_records(path))


def few_labels_of(records: Iterable[Mapping[str, str]]) -> FewLabels:
    """Return the curves of finished cells; raise InputError if there is none."""
    runs: dict[tuple[str, str, str], dict[tuple[str, str], float]] = defaultdict(dict)
    sizes = dict[str, None]()
    for each in records:
        if each["metric"] == F1 and not each["type"] and each["state"] == "done":
            sizes[each["size"]] = None
            runs[each["target"], each["system"], each["size"]][each["draw"], each["seed"]] = share_of(each)
    if not runs:
        raise InputError("nothing to draw: no record of a run")
    curves: dict[str, dict[str, dict[str, Summary]]] = defaultdict(lambda: defaultdict(dict))
    for (target, system, size), found in runs.items():
        curves[target][system][size] = summary(list(found.values()))
    return FewLabels(list(sizes), curves)
