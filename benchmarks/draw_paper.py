"""The figures of NER-BERT's paper (Liu et al. 2021) from corpora, encoders, and results of `nerbert benchmark`.

`python benchmarks/draw_paper.py PLACE… -o FOLDER [--data DATA…] [--suite ner_bert] [--protocol NAME]`

From a corpus: entities of each category before and after sampling (1; by rank, our form of 8). From results: F1 with
few labels (2).
From all encoders together: maps of the entities in `--data`, one picture for each data set (3 to 7).
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figures import COLOURS, Curves, few_labels_of, open_panels, open_picture, plain_axes, read_results, styles_of

from nerbert.corpus.shards import is_corpus, read_manifest
from nerbert.data.sampling import parse_size
from nerbert.data.splits import read_gold
from nerbert.errors import InputError, NerbertError, SettingsError, need, refused
from nerbert.records import Example, Span
from nerbert.rng import Array, uniform
from nerbert_bench.tables.statistics import Summary

_NAMED = 4
"""Figure 1 names every fourth category."""
_IMPROVEMENT: Any = {"color": "#7f7f7f", "linestyle": "--", "linewidth": 1}


def main() -> None:
    """Draw the pictures, and print their paths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="+", help="folders of `nerbert corpus build` or `nerbert benchmark`; encoders")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the pictures")
    parser.add_argument(
        "--data", type=Path, nargs="*", action="extend", default=[], help="annotated sentences for the maps"
    )
    parser.add_argument("--points", type=int, default=2000, help="maximum number of entities in a map")
    parser.add_argument("--suite", default="ner_bert", help="name of the suite: SUITE.csv of results is drawn")
    parser.add_argument("--protocol", default="", help="the suite's protocol to draw, if the results have several")
    parser.add_argument("--kind", choices=("svg", "png", "pdf"), default="svg")
    try:
        draw(parser.parse_args())
    except NerbertError as error:
        sys.exit(str(error))


def draw(options: argparse.Namespace) -> None:
    """Draw what the places allow."""
    output, kind = options.output, options.kind
    corpora = [path for path in map(Path, options.places) if is_corpus(path)]
    results = [path for path in map(Path, options.places) if (path / f"{options.suite}.csv").is_file()]
    encoders = [name for name in options.places if Path(name) not in (*corpora, *results)]
    pictures = {output / f"maps-{'-'.join(path.resolve().parts[1:][-2:])}.{kind}": path for path in options.data}
    if len(pictures) < len(options.data):
        raise SettingsError("--data: two data sets have the same names of folders, so the same picture; rename one")
    if encoders and not options.data:
        why = f"no corpus, and no results with {options.suite}.csv; if it is an encoder, give sentences with --data"
        raise SettingsError(f"{encoders[0]}: {why}")
    with refused(f"{output}: can't be made", of=OSError):
        output.mkdir(parents=True, exist_ok=True)
    for corpus in corpora:
        names, counts = category_counts(corpus)
        draw_categories(names, counts, first := picture_of(output, corpus, corpora, f"1-categories.{kind}"))
        draw_all_categories(counts, second := picture_of(output, corpus, corpora, f"8-all-categories.{kind}"))
        print(first, second, sep="\n")
    for folder in results:
        curves = few_labels_of(read_results(folder, options.suite, options.protocol))
        draw_few_labels(curves, picture := picture_of(output, folder, results, f"2-few-labels.{kind}"))
        print(picture)
    for picture, path in pictures.items():
        draw_maps(*make_maps(encoders, read_gold(path, "test").examples, options.points), picture)
        print(picture)


def picture_of(output: Path, folder: Path, folders: Sequence[Path], name: str) -> Path:
    """Return the path of a picture; with several folders, their names are prefixes."""
    return output / (f"{folder.resolve().name}-{name}" if len(folders) > 1 else name)


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


def draw_categories(names: Sequence[str], counts: Mapping[str, Sequence[int]], output: Path) -> None:
    """Draw the entities of an evenly spaced quarter of the categories (Figure 1); `counts` has the bars by label."""
    named, height = names[::_NAMED], 0.8 / len(counts)
    with open_picture(output, (7, 0.9 + 0.2 * len(named))) as figure:
        panel = figure.subplots()
        for number, (label, values) in enumerate(counts.items()):
            heights = [rank + (number - 0.5) * height for rank in range(len(named))]
            panel.barh(heights, values[::_NAMED], height, color=COLOURS[number], label=label)
        panel.set_yticks(range(len(named)), named)
        panel.invert_yaxis()
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.margins(y=0.01)
        panel.set_xlabel("entities")
        panel.legend(frameon=False)
        plain_axes(panel)


def draw_all_categories(counts: Mapping[str, Sequence[int]], output: Path) -> None:
    """Draw the entities of all categories by rank (Figure 8 in our form); `counts` has the lines by their labels."""
    with open_picture(output, (7, 3.6)) as figure:
        panel = figure.subplots()
        for (label, values), (colour, shape) in zip(counts.items(), styles_of(counts).values(), strict=True):
            points = [(rank, count) for rank, count in enumerate(values, 1) if count]
            panel.plot(*zip(*points, strict=True), color=colour, linestyle="", marker=shape, markersize=3, label=label)
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter("{x:,.0f}")
        panel.set_xlabel("categories, the most frequent first")
        panel.set_ylabel("entities")
        panel.legend(frameon=False)
        plain_axes(panel)


def draw_few_labels(curves: Curves, output: Path) -> None:
    """Draw F1 by size, a panel for each target, with the 95 % interval if there are three runs (Figure 2); of two
    systems also the second's improvement over the first, on a right axis.
    """
    styles = styles_of(dict.fromkeys(system for target in curves.values() for system in target))
    with open_panels(output, len(curves), 2.8) as (figure, panels):
        for panel, (target, lines) in zip(panels.flat, curves.items(), strict=False):
            sizes = sorted({size for line in lines.values() for size in line}, key=lambda size: parse_size(size).order)
            for system, (colour, shape) in styles.items():
                line = lines.get(system, {})
                points = [(number, line[size]) for number, size in enumerate(sizes) if size in line]
                panel.plot(
                    [x for x, _ in points],
                    [100 * f1.mean for _, f1 in points],
                    color=colour,
                    marker=shape,
                    markersize=4,
                    label=system,
                )
                intervals = [(x, *(100 * end for end in f1.interval)) for x, f1 in points if f1.interval]
                columns = zip(*intervals, strict=True) if intervals else ([], [], [])
                panel.fill_between(*columns, color=colour, alpha=0.15, linewidth=0)
            if len(styles) == 2:
                _draw_improvement(panel, [lines.get(system, {}) for system in styles], sizes)
                panel.plot([], [], **_IMPROVEMENT, label="{1} less {0} (right axis)".format(*styles))
            panel.set_xticks(range(len(sizes)), sizes)
            plain_axes(panel, target)
        figure.supylabel("entity F1 in percent", fontsize=9)
        panels[-1, panels.shape[1] // 2].set_xlabel("training sentences")


def _draw_improvement(panel: Any, lines: Sequence[Mapping[str, Summary]], sizes: Sequence[str]) -> None:
    """Draw the second line less the first, where both have a point, on an axis that has zero."""
    base, better = lines
    both = [size for size in sizes if size in base and size in better]
    points = [100 * (better[size].mean - base[size].mean) for size in both]
    right = panel.twinx()
    right.plot([sizes.index(size) for size in both], points, **_IMPROVEMENT)
    right.set_ylim(bottom=min([0.0, *points]))
    right.spines["top"].set_visible(False)


def draw_maps(types: Sequence[str], maps: Mapping[str, Array], output: Path) -> None:
    """Draw the entities by encoder, one panel each; types differ by colour and shape (Figures 3 to 7)."""
    styles = styles_of(name for name, _ in Counter(sorted(types)).most_common())
    with open_panels(output, len(maps), 3.2) as (_, panels):
        for panel, (encoder, positions) in zip(panels.flat, maps.items(), strict=False):
            panel.set_axis_off()
            for name, (colour, shape) in styles.items():
                of_type = [index for index, type_ in enumerate(types) if type_ == name]
                panel.scatter(*positions[of_type].T, s=9, color=colour, marker=shape, linewidth=0, label=name)
            panel.set_title(encoder, fontsize=8)


_PERPLEXITY, _SEED = 30, 1
_LENGTH = 256
"""Window length, in subwords."""
Point = tuple[int, Span]
"""(sentence number, entity)."""


def make_maps(encoders: Sequence[str], sentences: Sequence[Example], most: int) -> tuple[list[str], dict[str, Array]]:
    """Return types of up to `most` entities, and coordinates by encoder, (entities, 2); InputError for too few."""
    need("figures", "openTSNE", package="nerbert-bench")
    from openTSNE import TSNE

    points = draw_points(sentences, most, _SEED)
    types = [span.type for _, span in points]
    if len(points) <= 3 * _PERPLEXITY:
        raise InputError(f"{len(points)} entities: a map of perplexity {_PERPLEXITY} needs more than {3 * _PERPLEXITY}")
    if len({*types}) < 2:
        raise InputError("the entities have a single type: there is nothing to tell apart")
    maps = dict[str, Array]()
    for name in encoders:
        tsne = TSNE(
            perplexity=_PERPLEXITY,
            metric="cosine",
            initialization="pca",
            neighbors="exact",
            random_state=_SEED,
            n_jobs=1,
        )
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
    scores = word_scores(
        TorchScorer(body, "fp32", states_at),
        pieces,
        [sentences[number] for number in rows],
        int(body.config.hidden_size),
    )
    first = [
        next(word for word, (start, _) in enumerate(sentences[number].words) if start >= span.start)
        for number, span in points
    ]
    words = np.array([scores.offsets[rows[number]] for number, _ in points]) + first
    indices = np.minimum(np.searchsorted(scores.read, words), len(scores.read) - 1)
    if not (scores.read[indices] == words).all():
        raise InputError(f"{encoder}: some entity begins inside a subword of its tokenizer, or has none")
    vectors: Array = scores.logits[indices]
    return vectors


if __name__ == "__main__":
    main()
