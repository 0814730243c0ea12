"""Data for figures: a corpus's categories, F1 by training size, maps (NER-BERT, Liu et al. 2021)."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nerbert.corpus.shards import read_manifest
from nerbert.errors import InputError, SettingsError, at, need, refused, unknown
from nerbert.evaluation.tables.results import COLUMNS
from nerbert.evaluation.tables.statistics import Summary, summary
from nerbert.records import Example, Span
from nerbert.rng import Array, uniform

F1, OWN_F1 = "micro.f1", "at_own_threshold.f1"
"""F1 (zero-shot: at a threshold of 0.5), and zero-shot F1 at the folder's own threshold, as users get it."""


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
        if row["metric"] in ("", F1, OWN_F1) and not row["type"]:
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
        if result.metric == F1 and result.state == "done" and result.f1 is not None:
            runs[result.target, result.system][result.size].append(result.f1)
    curves: Curves = {}
    for (target, system), sizes in runs.items():
        if len(sizes) > 1:
            curves.setdefault(target, {})[system] = {size: summary(values) for size, values in sizes.items()}
    if not curves:
        raise InputError("nothing to draw: no system has runs at several sizes of a target")
    return curves


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

    backbone = Backbone.of(encoder, seed=0, cut=False)
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
