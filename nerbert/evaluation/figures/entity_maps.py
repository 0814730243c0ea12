"""Maps of entities in encoders' spaces (NER-BERT, Liu et al. 2021, Figures 3 to 7), and figures of the whole space.

An entity's vector is the last state of its first subword. Maps are t-SNE's (van der Maaten and Hinton 2008), made by
openTSNE.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nerbert.errors import InputError, need
from nerbert.model.backbone import Backbone
from nerbert.model.forward import TorchScorer, states_at
from nerbert.model.linear import word_scores
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example, Span
from nerbert.rng import Array, uniform

_PERPLEXITY, _NEIGHBOURS = 30, 10
_LENGTH = 256
"""Subwords of a window."""


@dataclass(frozen=True, slots=True)
class MappedEntity:
    """A point: an entity, its sentence, and that one's number."""

    number: int
    sentence: Example
    span: Span

    @property
    def surface(self) -> str:
        """Return its text without case."""
        return self.sentence.text[self.span.start : self.span.end].casefold()


@dataclass(frozen=True, slots=True)
class EntityMap:
    """An encoder's map: (points, 2), and what its whole space says.

    `purity` is the mean share of an entity's ten neighbours that have its type, by cosine, without those of its own
    sentence or text; `chance` is the same of all such entities. `silhouette` is by cosine too.
    """

    name: str
    places: Array
    purity: float
    chance: float
    silhouette: float


@dataclass(frozen=True)
class EntityMaps:
    """The same entities in several encoders."""

    points: Sequence[MappedEntity]
    maps: Sequence[EntityMap]

    @cached_property
    def types(self) -> list[str]:
        """Return the types, the most frequent first."""
        counts = Counter(point.span.type for point in self.points)
        return sorted(counts, key=lambda name: (-counts[name], name))


def make_maps(encoders: Sequence[str], sentences: Sequence[Example], most: int = 2000, seed: int = 1) -> EntityMaps:
    """Return the maps of at most `most` entities, drawn by the seed; raise InputError for too few, or one type."""
    need("figures", "openTSNE")
    need("figures", "sklearn")
    points = drawn_points(sentences, most, seed)
    if len(points) <= 3 * _PERPLEXITY:
        raise InputError(f"{len(points)} entities: a map of perplexity {_PERPLEXITY} needs more than {3 * _PERPLEXITY}")
    if len({each.span.type for each in points}) < 2:
        raise InputError("the entities have a single type: there is nothing to tell apart")
    return EntityMaps(points, [_map_of(name, points, seed) for name in encoders])


def drawn_points(sentences: Sequence[Example], most: int, seed: int) -> list[MappedEntity]:
    """Return entities in order, at most so many, drawn by the seed."""
    every = [MappedEntity(number, each, span) for number, each in enumerate(sentences) for span in each.spans]
    chance = [uniform(seed, "map", f"{each.number} {each.span.start} {each.span.end}") for each in every]
    kept = sorted(sorted(range(len(every)), key=chance.__getitem__)[:most])
    return [every[place] for place in kept]


def _map_of(name: str, points: Sequence[MappedEntity], seed: int) -> EntityMap:
    from openTSNE import TSNE
    from sklearn.metrics import silhouette_score

    vectors = entity_vectors(name, points)
    purity, chance = purity_of(vectors, points)
    types = [each.span.type for each in points]
    made = TSNE(perplexity=_PERPLEXITY, metric="cosine", initialization="pca", neighbors="exact", random_state=seed,
                n_jobs=1).fit(vectors)  # fmt: skip
    silhouette = float(silhouette_score(vectors, types, metric="cosine"))
    return EntityMap(name, np.asarray(made), purity, chance, silhouette)


def entity_vectors(encoder: str, points: Sequence[MappedEntity]) -> Array:
    """Return (points, width) in fp32: the last states of the entities' first subwords."""
    backbone = Backbone.of(encoder, seed=0)
    body = backbone.load_body()
    pieces = SubwordTokenizer(backbone.tokenizer, body.config, _LENGTH)
    sentences = {each.number: each.sentence for each in points}
    places = {number: place for place, number in enumerate(sentences)}
    scores = word_scores(TorchScorer(body, "fp32", states_at), pieces, list(sentences.values()),
                         int(body.config.hidden_size))  # fmt: skip
    words = np.array([scores.offsets[places[each.number]] + _first_word(each) for each in points])
    found = np.minimum(np.searchsorted(scores.read, words), len(scores.read) - 1)
    if not (scores.read[found] == words).all():
        raise InputError(f"{encoder}: some entity begins inside a subword of its tokenizer, or has none")
    vectors: Array = scores.logits[found]
    return vectors


def _first_word(point: MappedEntity) -> int:
    return next(number for number, (start, _) in enumerate(point.sentence.words) if start >= point.span.start)


def purity_of(vectors: Array, points: Sequence[MappedEntity], neighbours: int = _NEIGHBOURS) -> tuple[float, float]:
    """Return the purity and its level by chance, both 0–1; points without any neighbour don't count."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    types, sentences, surfaces = (
        np.unique(column, return_inverse=True)[1]
        for column in ([each.span.type for each in points], [each.number for each in points],
                       [each.surface for each in points])
    )  # fmt: skip
    near, chance = list[float](), list[float]()
    for place, similar in enumerate(unit @ unit.T):
        allowed = np.flatnonzero((sentences != sentences[place]) & (surfaces != surfaces[place]))
        if len(allowed):
            same = types[allowed] == types[place]
            order = np.argsort(-similar[allowed], kind="stable")[:neighbours]
            near.append(float(same[order].mean()))
            chance.append(float(same.mean()))
    if not near:
        raise InputError("no entity has a neighbour in another sentence with another text")
    return float(np.mean(near)), float(np.mean(chance))
