"""Are an encoder's clusters of entities the same under another seed, and are they classes?

`python benchmarks/cluster_stability.py CORPUS ENCODER… [--num-clusters 23] [--cluster-dimensions 128]
[--split validation] [--seeds 1,2,3]`; a minute an encoder. The mentions of a split of the corpus are clustered as
`typing` does it. Encoders that are pre-trainings of one recipe with other seeds tell how stable the recipe is. Three
adjusted Rand indices, 1 for equal, 0 for chance:

- `k-means`: of one encoder, between seeds of k-means, mean over pairs;
- `encoders`: with each other encoder, mean over pairs of encoders and seeds;
- `classes`: with the knowledge's classes, over the mentions that have one, mean over seeds.

Last line: JSON.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from report import surroundings

from nerbert.corpus.shards import read_sentences
from nerbert.encoder.objectives.cluster_typing.cluster_typing import TypingSettings, clusters_of
from nerbert.encoder.objectives.cluster_typing.clustering import NO_CLUSTER, rand_index
from nerbert.encoder.objectives.cluster_typing.entity_vectors import entities_of, vectors_of
from nerbert.encoder.settings import PretrainSettings
from nerbert.labels import sentence_example, tag_names
from nerbert.model.backbone import Backbone, load_tokenizer
from nerbert.model.concept_table import class_words
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer, special_pieces
from nerbert.model.windows import Windows
from nerbert.records import Mention, Sentence
from nerbert.rng import Array
from nerbert.training.batches import TrainingData
from nerbert.training.settings import TrainSettings

PACKAGES = ("torch", "transformers", "scikit-learn", "numpy")


def main() -> None:
    """Print a row an encoder, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("encoders", nargs="+")
    parser.add_argument("--num-clusters", type=int, default=23)
    parser.add_argument("--cluster-dimensions", type=int, default=128)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--seeds", default="1,2,3")
    given = parser.parse_args()
    settings = PretrainSettings(corpus=given.corpus)
    own = TypingSettings(num_clusters=given.num_clusters, dimensions=given.cluster_dimensions)
    sentences = list(read_sentences(given.corpus, given.split))
    seeds = [int(each) for each in given.seeds.split(",")]
    mentions = {encoder: mention_vectors(encoder, sentences, settings) for encoder in given.encoders}
    if len({tuple(each.texts) for each in mentions.values()}) > 1:
        parser.error("the encoders don't read the same mentions: their tokenizers leave out different words")
    runs = {name: [clusters_of(each.vectors, own, seed).assign(each.vectors) for seed in seeds]
            for name, each in mentions.items()}  # fmt: skip
    rows = [row_of(name, runs, mentions[name]) for name in given.encoders]
    print("| encoder | mentions | k-means | encoders | classes |\n|---|---:|---:|---:|---:|")
    for row in rows:
        figures = ("–" if row[name] is None else f"{row[name]:.3f}" for name in ("k-means", "encoders", "classes"))
        print(f"| {row['encoder']} | {row['mentions']} | {' | '.join(figures)} |")
    around = surroundings([given.corpus / "manifest.json"], PACKAGES)
    options = {"num_clusters": given.num_clusters, "cluster_dimensions": given.cluster_dimensions, "split": given.split}
    print(json.dumps({**options, "seeds": seeds, "rows": rows, **around}))


@dataclass(frozen=True, slots=True)
class MentionVectors:
    """Mentions of sentences, their texts and classes in words ("" for none), and an encoder's vectors of them."""

    texts: list[str]
    classes: list[str]
    vectors: Array


def mention_vectors(encoder: str, sentences: Sequence[Sentence], settings: TrainSettings) -> MentionVectors:
    """Return the vectors that an encoder's folder gives the mentions of sentences, in order."""
    tokenizer = load_tokenizer(encoder)
    model = Backbone(encoder, tokenizer, settings.seed).load_body().eval()
    pieces = SubwordTokenizer(tokenizer, model.config, settings.max_length)
    types = {each.category for sentence in sentences for each in sentence.mentions}
    labels = BioLabels(tag_names(types))
    windows = Windows.pack(pieces.windows([sentence_example(each) for each in sentences], labels))
    numbers = np.arange(len(windows))
    after = len(special_pieces(tokenizer)[1])
    homes, terms = entities_of(windows, numbers, after)
    data = TrainingData(windows, lambda _: numbers, pieces.pad_id)
    places = zip(windows.sentences[homes].tolist(), windows.words[terms].tolist(), strict=True)
    found = [(sentences[number], _mention_at(sentences[number], word)) for number, word in places]
    return MentionVectors(
        [sentence.text[each.start : each.end] for sentence, each in found],
        [class_words(each.class_path[-1]) if each.class_path else "" for _, each in found],
        vectors_of(model, data, homes, terms, after, settings),
    )


def _mention_at(sentence: Sentence, word: int) -> Mention:
    start = sentence.words[word][0]
    return next(each for each in sentence.mentions if each.start == start)


def row_of(name: str, runs: dict[str, list[Array]], own: MentionVectors) -> dict[str, Any]:
    """The three indices of an encoder; None where there is nothing to compare."""
    others = [run for other, each in runs.items() if other != name for run in each]
    classes = numbers_of(own.classes)
    return {
        "encoder": Path(name).name, "mentions": len(own.texts),
        "k-means": mean_index(combinations(runs[name], 2)), "encoders": mean_index(product(runs[name], others)),
        "classes": mean_index((run, classes) for run in runs[name]),
    }  # fmt: skip


def mean_index(pairs: Iterable[tuple[Array, Array]]) -> float | None:
    """The mean adjusted Rand index of some pairs."""
    found = [rand_index(*pair) for pair in pairs]
    return fmean(found) if found else None


def numbers_of(classes: Sequence[str]) -> Array:
    """A number for each class; what has none has no cluster."""
    known = sorted({each for each in classes if each})
    return np.array([known.index(each) if each else NO_CLUSTER for each in classes])


if __name__ == "__main__":
    main()
