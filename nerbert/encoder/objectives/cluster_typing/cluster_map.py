"""A map of an encoder's clusters of entities: points on a plane, and for each cluster its classes and members.

Held-out mentions are clustered anew. Cost: it isn't the clustering that the last epoch learnt from.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nerbert.encoder.objectives.cluster_typing.cluster_typing import TypingSettings, clusters_of
from nerbert.encoder.objectives.cluster_typing.entity_vectors import entities_of, vectors_of
from nerbert.labels import sentence_example, tag_names
from nerbert.model.backbone import Backbone, load_tokenizer
from nerbert.model.concept_encoder import class_words
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer, special_pieces
from nerbert.model.windows import Windows
from nerbert.records import Mention, Sentence
from nerbert.rng import Array, uniform, uniforms
from nerbert.training.loop import TrainingData
from nerbert.training.settings import TrainSettings

_DRAWN = 1500
"""Most points of a map; t-SNE's time grows with them."""
_PERPLEXITY = 30.0
_CLASSES, _MEMBERS = 3, 5
"""Names of classes, and members, that a cluster is told by."""
_RARE = 3
"""Classes of fewer mentions tell nothing of a cluster."""


@dataclass(frozen=True, slots=True)
class MapPoint:
    """A mention's place on the map, 0–1 both ways, its text, and its class in words ("" where it isn't known)."""

    x: float
    y: float
    cluster: int
    text: str
    class_: str


@dataclass(frozen=True, slots=True)
class MapCluster:
    """A cluster: how many mentions it has, the classes nearest to its centre, and the nearest members' texts."""

    number: int
    size: int
    classes: list[str]
    members: list[str]


@dataclass(frozen=True, slots=True)
class ClusterMap:
    """All clusters, the largest first, and points of some of their mentions."""

    clusters: list[MapCluster]
    points: list[MapPoint]


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
    homes, terms, _ = entities_of(windows, numbers, after)
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


def cluster_map(encoder: str, sentences: Sequence[Sentence], settings: TrainSettings) -> ClusterMap | None:
    """Return the map of an encoder's folder; None where the sentences have no two mentions."""
    found = mention_vectors(encoder, sentences, settings)
    if len(found.texts) < 2:
        return None
    clustering = clusters_of(found.vectors, settings.of(TypingSettings), seed_of(settings, "map"))
    numbers, points = clustering.assign(found.vectors), clustering.whitening.of(found.vectors)
    names, near = _class_centres(found.classes, points)
    clusters = []
    for number, centre in enumerate(clustering.centres):
        own = np.flatnonzero(numbers == number)
        nearest = own[np.argsort(-(points[own] @ centre), kind="stable")]
        members = list(dict.fromkeys(found.texts[each] for each in nearest))[:_MEMBERS]
        classes = [names[each] for each in np.argsort(-(near @ centre), kind="stable")[:_CLASSES]]
        clusters.append(MapCluster(number, len(own), classes, members))
    clusters = sorted((each for each in clusters if each.size), key=lambda each: -each.size)
    chances = uniforms(settings.seed, "points of the map", np.arange(len(numbers)))
    drawn = np.sort(np.argsort(chances, kind="stable")[:_DRAWN])
    places = zip(drawn.tolist(), _on_a_plane(points[drawn], seed_of(settings, "plane")).tolist(), strict=True)
    return ClusterMap(
        clusters, [MapPoint(x, y, int(numbers[at]), found.texts[at], found.classes[at]) for at, (x, y) in places]
    )


def seed_of(settings: TrainSettings, what: str) -> int:
    """Return scikit-learn's seed for something of a map."""
    return int(uniform(settings.seed, what, "clusters") * (1 << 32))


def _class_centres(classes: Sequence[str], points: Array) -> tuple[list[str], Array]:
    """Return the names of all classes that aren't rare, and the mean point of each, of length 1."""
    members = defaultdict[str, list[int]](list)
    for place, name in enumerate(classes):
        if name:
            members[name].append(place)
    frequent = {name: own for name, own in members.items() if len(own) >= _RARE}
    centres = np.array([points[own].mean(0) for own in frequent.values()]).reshape(len(frequent), points.shape[1])
    return list(frequent), centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), np.finfo(float).tiny)


def _on_a_plane(points: Array, seed: int) -> Array:
    """Return (points, 2) of t-SNE, each way from 0 to 1."""
    from sklearn.manifold import TSNE

    perplexity, init = min(_PERPLEXITY, (len(points) - 1) / 3), "pca" if points.shape[1] > 1 else "random"
    plane = TSNE(perplexity=perplexity, init=init, random_state=seed).fit_transform(points)
    low, high = plane.min(0), plane.max(0)
    scaled: Array = (plane - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return scaled
