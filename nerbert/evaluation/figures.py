"""Data for figures: a corpus's categories, F1 by training size and speed, maps (NER-BERT, Liu et al. 2021)."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from nerbert.corpus.shards import read_manifest
from nerbert.errors import InputError, SettingsError, at, need, refused, unknown
from nerbert.evaluation.tables.results import COLUMNS
from nerbert.evaluation.tables.statistics import Summary, summary
from nerbert.records import Example, Span
from nerbert.rng import Array, uniform
from nerbert.schema import read_json

SPEEDS = "speeds.json"
"""File of speeds in the results folder."""
_F1, _OWN_F1 = "micro.f1", "at_own_threshold.f1"
"""F1 (zero-shot: at a threshold of 0.5), and zero-shot F1 at the folder's own threshold, as users get it."""
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def category_counts(corpus: Path) -> tuple[list[str], dict[str, list[int]]]:
    """Return the categories of a corpus's train part, the most frequent first, and their entities before and after
    sampling; raise InputError for a folder that isn't a corpus, or has no categories.
    """
    counts = read_manifest(corpus)["categories"]
    names = sorted(counts, key=lambda name: (-counts[name]["mentions"], name))
    if not names:
        raise InputError(f"{corpus}: its manifest names no category")
    keys = {"before sampling": "mentions", "after sampling": "with_copies"}
    return names, {label: [int(counts[name][key]) for name in names] for label, key in keys.items()}


class Result(NamedTuple):
    """F1 (0–1) of one run, or of a paper (`state` published); `f1` is None for a cell without a result."""

    system: str
    protocol: str
    target: str
    size: str
    run: tuple[str, str]
    state: str
    metric: str
    f1: float | None


def read_results(results: Path, suite: str, protocol: str = "") -> list[Result]:
    """Read a suite's CSV in a folder of results: the runs of one protocol, with published figures; raise InputError if
    it is missing or another kind of file, SettingsError unless `protocol` is one of its protocols, or it has only one.
    """
    path = results / f"{suite}.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `nerbert benchmark {suite}.toml -o {results}` first")
    with refused(f"{path}: can't be read", of=OSError), at(path), path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        with refused("can't be read as CSV", of=(csv.Error, UnicodeDecodeError)):
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise InputError(f"not a benchmark's CSV; its columns are {', '.join(COLUMNS)}")
            read = list(_results(rows))
    protocols = dict.fromkeys(result.protocol for result in read if result.state != "published")
    if protocol not in protocols if protocol else len(protocols) > 1:
        raise SettingsError(f"{path}: --protocol {protocol!r}{unknown(protocol, protocols)}")
    return [result for result in read if protocol in ("", result.protocol) or result.state == "published"]


def _results(rows: "csv.DictReader[str]") -> Iterator[Result]:
    for row in rows:
        if None in row or None in row.values():
            raise InputError(f"line {rows.line_num}: doesn't have {len(COLUMNS)} columns")
        if row["metric"] in ("", _F1, _OWN_F1) and not row["type"]:
            f1 = _share(row["value"]) if row["metric"] else None
            run = row["draw"], row["seed"]
            cell = row["system"], row["protocol"], row["target"], row["size"]
            yield Result(*cell, run, row["state"], row["metric"], f1)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"value {text!r:.80}: must be F1 between 0 and 1")
    return share


Curves = dict[str, dict[str, dict[str, Summary]]]
"""Target → system → size → F1; an observation is a draw with its seed."""


def few_labels_of(results: Iterable[Result]) -> Curves:
    """Return the curves of systems with finished cells at several sizes of a target; raise InputError if none has."""
    runs: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        if result.metric == _F1 and result.state == "done" and result.f1 is not None:
            runs[result.target, result.system][result.size].append(result.f1)
    curves: Curves = {}
    for (target, system), sizes in runs.items():
        if len(sizes) > 1:
            curves.setdefault(target, {})[system] = {size: summary(values) for size, values in sizes.items()}
    if not curves:
        raise InputError("nothing to draw: no system has runs at several sizes of a target")
    return curves


@dataclass(frozen=True, slots=True)
class Speed:
    """The cost of tagging with a system: words per CPU-second (one thread) and peak memory in MB."""

    words_per_cpu_second: _Positive
    memory_mb: _Positive


@dataclass(frozen=True, slots=True)
class Speeds:
    """The content of `speeds.json`: speeds by system name; `about` describes the measurement."""

    systems: dict[str, Speed]
    about: dict[str, Any] = field(default_factory=dict)


class FrontierPoint(NamedTuple):
    """A system at a size: the mean F1 (0–1) over all targets, and the lowest and highest of its runs."""

    system: str
    f1: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Frontier:
    """All data of the picture; `missing` lists the points that it lacks, with reasons."""

    targets: Sequence[str]
    speeds: Mapping[str, Speed]
    """Speeds of the systems that have a point."""
    points: Mapping[str, Sequence[FrontierPoint]]
    """Points by size, slowest first."""
    published: Mapping[tuple[str, str], float]
    """(paper, size) → mean F1 (0–1) over the same targets."""
    missing: Sequence[str]

    def best(self, size: str) -> list[FrontierPoint]:
        """Return the points of a size that no other point beats in both speed and F1, slowest first."""
        best: list[FrontierPoint] = []
        for point in reversed(self.points[size]):
            if not best or point.f1 > best[-1].f1:
                best.append(point)
        return best[::-1]


def read_frontier(results: Path, suite: str = "frontier", protocol: str = "") -> Frontier:
    """Read a suite's CSV and the speeds from a folder of `nerbert benchmark`; raise InputError if one is missing."""
    read = read_results(results, suite, protocol)
    if not (results / SPEEDS).is_file():
        raise InputError(f"{results / SPEEDS}: no such file; it has each system's words_per_cpu_second and memory_mb")
    with at(results / f"{suite}.csv"):
        return frontier_of(read, read_json(results / SPEEDS, Speeds).systems)


def frontier_of(results: Iterable[Result], speeds: Mapping[str, Speed]) -> Frontier:
    """Return the picture's data; raise InputError if there is nothing to draw."""
    runs: dict[tuple[str, str], dict[str, dict[tuple[str, str], float]]] = defaultdict(lambda: defaultdict(dict))
    papers: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    systems, targets, sizes = dict[str, None](), dict[str, None](), dict[str, None]()
    for result in sorted(results, key=lambda result: result.metric == _OWN_F1):  # these replace the others
        if result.state == "published" and result.f1 is not None:
            papers[result.system, result.size][result.target] = result.f1
            continue
        systems[result.system], targets[result.target], sizes[result.size] = None, None, None
        if result.f1 is not None:
            runs[result.system, result.size][result.target][result.run] = result.f1
    published = {paper: fmean(f1s.values()) for paper, f1s in papers.items() if f1s.keys() == targets.keys()}
    missing, points = list[str](), dict[str, list[FrontierPoint]]()
    for system in systems:
        if system not in speeds:
            missing.append(f"{system}: no speed in {SPEEDS}")
            continue
        complete = [size for size in sizes if runs[system, size].keys() == targets.keys()]
        for size in complete:  # each target has the same weight; only runs that all targets have count
            by_target = runs[system, size].values()
            common = set.intersection(*map(set, by_target))
            means = [fmean(f1s[run] for f1s in by_target) for run in sorted(common)]
            mean = fmean(fmean(f1s.values()) for f1s in by_target)
            point = FrontierPoint(system, mean, min([*means, mean]), max([*means, mean]))
            points.setdefault(size, []).append(point)
        if lacking := [size for size in sizes if size not in complete]:
            missing.append(f"{system} at {', '.join(lacking)}: no result on some target")
    if not points:
        raise InputError(f"nothing to draw: {'; '.join(missing)[:300] or 'no record of a run'}")
    pace = {system: speed.words_per_cpu_second for system, speed in speeds.items()}
    by_size = {size: sorted(points.get(size, ()), key=lambda point: (pace[point.system], point.f1))
               for size in sizes if size in points or size in {size for _, size in published}}  # fmt: skip
    drawn = {point.system for of_size in points.values() for point in of_size}
    drawn_speeds = {system: speeds[system] for system in systems if system in drawn}
    return Frontier(list(targets), drawn_speeds, by_size, published, missing)


_PERPLEXITY, _SEED = 30, 1
_LENGTH = 256
"""Window length, in subwords."""
Point = tuple[int, Span]
"""(sentence number, entity)."""


def make_maps(encoders: Sequence[str], sentences: Sequence[Example], most: int) -> tuple[list[str], dict[str, Array]]:
    """Return types of up to `most` entities, and coordinates by encoder, (entities, 2); InputError for too few."""
    need("figures", "openTSNE")
    from openTSNE import TSNE

    points = draw_points(sentences, most, _SEED)
    types = [span.type for _, span in points]
    if len(points) <= 3 * _PERPLEXITY:
        raise InputError(f"{len(points)} entities: a map of perplexity {_PERPLEXITY} needs more than {3 * _PERPLEXITY}")
    if len({*types}) < 2:
        raise InputError("the entities have a single type: there is nothing to tell apart")
    maps = dict[str, Array]()
    for name in encoders:
        tsne = TSNE(perplexity=_PERPLEXITY, metric="cosine", initialization="pca", neighbors="exact",
                    random_state=_SEED, n_jobs=1)  # fmt: skip
        maps[name] = np.asarray(tsne.fit(entity_vectors(name, sentences, points)))
    return types, maps


def draw_points(sentences: Sequence[Example], most: int, seed: int) -> list[Point]:
    """Return at most `most` entities in order, drawn by the seed."""
    points = [(number, span) for number, sentence in enumerate(sentences) for span in sentence.spans]
    chance = [uniform(seed, "map", f"{number} {span.start} {span.end}") for number, span in points]
    kept = sorted(sorted(range(len(points)), key=chance.__getitem__)[:most])
    return [points[index] for index in kept]


def entity_vectors(encoder: str, sentences: Sequence[Example], points: Sequence[Point]) -> Array:
    """Return (points, width) in fp32: the last hidden states of the entities' first subwords."""
    from nerbert.model.backbone import Backbone
    from nerbert.model.forward import TorchScorer, states_at
    from nerbert.model.linear import word_scores
    from nerbert.model.tokenizer import SubwordTokenizer

    backbone = Backbone.of(encoder, seed=0)
    body = backbone.load_body()
    pieces = SubwordTokenizer(backbone.tokenizer, body.config, _LENGTH)
    rows = {number: row for row, number in enumerate(dict.fromkeys(number for number, _ in points))}
    scores = word_scores(TorchScorer(body, "fp32", states_at), pieces, [sentences[number] for number in rows],
                         int(body.config.hidden_size))  # fmt: skip
    first = [next(word for word, (start, _) in enumerate(sentences[number].words) if start >= span.start)
             for number, span in points]  # fmt: skip
    words = np.array([scores.offsets[rows[number]] for number, _ in points]) + first
    indices = np.minimum(np.searchsorted(scores.read, words), len(scores.read) - 1)
    if not (scores.read[indices] == words).all():
        raise InputError(f"{encoder}: some entity begins inside a subword of its tokenizer, or has none")
    vectors: Array = scores.logits[indices]
    return vectors
